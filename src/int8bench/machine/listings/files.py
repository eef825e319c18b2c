"""Opens what ``--hardware`` names, finds out which of our forms it has, and refuses the rest in one sentence."""

import codecs
import json
from collections.abc import Mapping
from pathlib import Path

from int8bench.documents import Json
from int8bench.errors import RecordError
from int8bench.machine.hardware import Hardware
from int8bench.machine.levels import canonical_flags
from int8bench.machine.listings.cpuinfo import parse_cpuinfo
from int8bench.machine.listings.reading import json_part
from int8bench.machine.listings.sysctl import is_sysctl, parse_sysctl

MOST_BYTES = 1 << 26  # /proc/cpuinfo of 4,096 processors has some 8 MB; more is no description of a machine


def load(path: Path) -> Hardware:
    """Return the machine that a file describes: our JSON, a text of /proc/cpuinfo or lscpu, or a macOS sysctl listing.

    Raises:
        RecordError: no such file, not readable, or it describes no machine.
    """
    return parse(_text(path), source=str(path))


def parse(text: str, *, source: str) -> Hardware:
    """Return the machine that a text describes; `source` is what errors call it.

    Args:
        text: of a listing, or a document.
        source: with which errors begin.

    Raises:
        RecordError: the text describes no machine.
    """
    document = json_part(text)
    if document is not None:
        return _from_json(document, source)
    if is_sysctl(text):
        return parse_sysctl(text, source=source)
    return parse_cpuinfo(text, source=source)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; expected a recorded description of a machine") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise RecordError(f"{path}: cannot be read ({reason}); expected a recorded description of a machine") from None
    if len(content) > MOST_BYTES:
        raise RecordError(f"{path}: more than {MOST_BYTES >> 20} MiB; expected the description of one machine")
    text = _decoded(content)
    _check(text, path)
    return text


def _decoded(content: bytes) -> str:
    """Return the text: UTF-8, or UTF-16 where a mark says so, which is what Windows PowerShell's ``>`` writes."""
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if marked else "utf-8-sig", errors="replace")


def _check(text: str, path: Path) -> None:
    if not text.strip():
        raise RecordError(f"{path}: is empty; on the machine itself type: cat /proc/cpuinfo > machine.txt")
    if "\0" in text:
        raise RecordError(f"{path}: is not a text; expected /proc/cpuinfo, a sysctl listing or JSON")


def _from_json(text: str, source: str) -> Hardware:
    try:
        document = _loaded(text)
        if "\\ud" in text.lower():  # perhaps half a character, which JSON can hold and no terminal can show
            document = json.loads(json.dumps(document, ensure_ascii=False).encode(errors="replace"))
    except RecursionError:
        raise RecordError(f"{source}: JSON nested too deeply to be a description of a machine") from None
    except ValueError as error:
        raise RecordError(f"{source}: not valid JSON ({error}); write it anew with: int8bench doctor --json") from None
    return _from_document(document, source)


def _loaded(text: str) -> object:
    """Return the JSON value that a text begins with; what stands after it may be a prompt.

    Raises:
        ValueError: it is no JSON, with its lines as they are or joined.
    """
    decoder = json.JSONDecoder()
    try:
        return decoder.raw_decode(text.lstrip())[0]
    except ValueError:
        return decoder.raw_decode("".join(line.strip() for line in text.splitlines()))[0]  # as a terminal broke them


def _from_document(document: object, source: str) -> Hardware:
    """Return the machine in a document: ours, one that holds ours (of doctor or run), or torch's own list."""
    inner, path = document, source
    for holder in ("environment", "hardware"):
        if isinstance(inner, Mapping) and holder in inner:
            inner, path = inner[holder], f"{path}: {holder}"
    if isinstance(inner, Mapping) and isinstance(inner.get("get_capabilities"), Mapping):
        return _from_torch(inner, inner["get_capabilities"], source)
    if isinstance(inner, Mapping) and "arch" in inner:
        return Hardware.from_dict(inner, path=path)
    raise RecordError(
        f"{source}: JSON that describes no machine; expected an object with arch and flags, as int8bench doctor --json "
        "writes under hardware"
    )


def _from_torch(document: Mapping[str, Json], capabilities: Mapping[str, Json], source: str) -> Hardware:
    """Return the machine as torch.cpu.get_capabilities lists it, with what else torch was asked."""
    flags = sorted(canonical_flags(name for name, value in capabilities.items() if value is True))
    fields = {
        "arch": capabilities.get("architecture"),
        "brand": capabilities.get("cpu_name"),
        "logical_cores": capabilities.get("num_logical_cores"),
        "physical_cores": capabilities.get("num_physical_cores"),
        "flags": flags,
        "torch": {
            "capability": document.get("get_cpu_capability"),
            "supported_engines": document.get("supported_engines", []),
            "flags": flags,
        },
    }
    return Hardware.from_dict(fields, path=f"{source}: get_capabilities")
