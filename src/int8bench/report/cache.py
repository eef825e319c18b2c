"""What is kept between runs, as text. Pure."""

from collections.abc import Mapping
from typing import Any

from int8bench import units
from int8bench.report.words import counted


def render(document: Mapping[str, Any]) -> str:
    """Return the document of ``cache --json`` as text for a person.

    What was used longest ago comes first, as it goes first.

    Args:
        document: what `cache.Contents.to_dict` writes.
    """
    if document["folder"] is None:
        return "There is no cache: set XDG_CACHE_HOME to a folder that you can write to."
    entries = document["entries"]
    lines = [_line(entry) for entry in entries]
    count = counted(len(entries), "entry", "entries")
    lines += ["", f"{document['folder']}: {units.size(document['bytes'])} in {count}, {_cap(document)}."]
    if document["freed_bytes"] is not None:
        lines.append(f"Freed {units.size(document['freed_bytes'])}.")
    return "\n".join(lines).lstrip("\n")


def _line(entry: Mapping[str, Any]) -> str:
    used = str(entry["last_used"])[:16].replace("T", " ")
    in_use = "  in use" if entry["in_use"] else ""
    return f"{units.size(entry['bytes']):>8}  {used}  {entry['kind']:<10}  {entry['name']}{in_use}"


def _cap(document: Mapping[str, Any]) -> str:
    return (
        f"{units.size(document['cap_bytes'])} at most (INT8BENCH_CACHE_CAP or run --cache-cap); "
        "empty it with int8bench cache --prune"
    )
