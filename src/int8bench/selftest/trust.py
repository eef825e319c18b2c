"""What the last selftest on this machine said, kept in the user's cache by hardware fingerprint, and quoted."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8bench import cache, files, units
from int8bench.errors import RequestError

SCHEMA = "int8bench.selftest"
SCHEMA_VERSION = 1
_FINGERPRINT = re.compile(r"[0-9a-f]{4,64}")  # it becomes part of a file's name, and may come from somebody's record


def path_for(fingerprint: str) -> Path | None:
    """Where the result for that hardware lies; None where nothing can be kept, or it is no fingerprint."""
    folder = cache.folder()
    return folder / f"selftest-{fingerprint}.json" if folder and _FINGERPRINT.fullmatch(fingerprint) else None


def unfinished_path_for(fingerprint: str, budget_s: float) -> Path | None:
    """Where a selftest of that length keeps its forks until it is done."""
    path = path_for(fingerprint)
    return path.with_suffix(f".unfinished-{budget_s:.0f}s.json") if path else None


def quote(fingerprint: str) -> str | None:
    """The sentence that a verdict on that hardware is shown with; None where no selftest on it is known here."""
    path = path_for(fingerprint)
    document = load(path) if path else None
    try:
        return None if document is None else sentence(document)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None  # not what a selftest writes


def sentence(document: Mapping[str, Any]) -> str:
    """A selftest's result in one sentence.

    Raises:
        KeyError, TypeError, ValueError, OverflowError: the document is none.
    """
    alarms = document["false_alarms"]
    count, races, high = int(alarms["count"]), int(alarms["trials"]), float(alarms["high"])
    trusted = document["trusted"]
    word = f"can be trusted down to {units.down_to(document['trusted_down_to'])}" if trusted else "cannot be trusted"
    return (
        f"selftest of {str(document['created_at'])[:10]} on this machine: verdicts {word} "
        f"({count} false {'alarm' if count == 1 else 'alarms'} in {races} {'race' if races == 1 else 'races'}, "
        f"at most {100 * high:.1f} % by its 95 % interval)"
    )


def load(path: Path) -> dict[str, Any] | None:
    """The document at a path; None where there is none, or not one that this int8bench wrote."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    known = isinstance(document, dict) and (document.get("schema"), document.get("schema_version")) == (
        SCHEMA,
        SCHEMA_VERSION,
    )
    return document if known else None


def keep(path: Path | None, document: Mapping[str, Any]) -> bool:
    """Writes a document to its place, whole or not at all; whether there is a place that can be written."""
    try:
        if path:
            files.write_text(path, json.dumps({"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **document}))
    except RequestError:  # a selftest answers without it
        return False
    return path is not None


def forget(path: Path | None) -> None:
    """Removes what is no longer needed, where it is there and can be."""
    try:
        if path:
            path.unlink(missing_ok=True)
    except OSError:
        return
