"""RUN.json: what is written down of a run, its schema, an atomic save and a validated load."""

import json
import platform
import reprlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from int8bench import files
from int8bench.cases import Case, Group, Variant
from int8bench.errors import RecordError
from int8bench.machine.finding import Finding, Severity
from int8bench.stats.words import Verdict

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

SCHEMA = "int8bench.run"
SCHEMA_VERSION = 2
DIGITS = 6  # of a raw time: a nanosecond of a millisecond, below any clock's noise
OK, FAILED, SKIPPED = "ok", "failed", "skipped"
# The roles of a reference: the headline's, of any engine; torch's that flatters; and the best of the engine's own.
BEST, NAIVE, OWN = "best_float32", "naive_float32", "own_float32"
PACKAGES = ("int8bench", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "psutil")
OPTIONAL_PACKAGES = (  # of which a version is written down where they are installed
    "py-cpuinfo",
    "py-cpuinfo2",  # its fork; both put a module cpuinfo there
    "ai-edge-litert",
    "ai-edge-quantizer",
    "executorch",
    "litert-torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tflite-micro",
    "torchao",
)
INTERVALS = ("latency_s.median", "throughput_items_per_s", "memory_bytes.peak_delta")
# How a failed rule of the schema reads; {limit} is what the rule says.
RULES = {
    "type": "expected {limit}",
    "const": "expected {limit}",
    "enum": "expected one of {limit}",
    "minimum": "expected {limit} or more",
    "maximum": "expected {limit} or less",
    "exclusiveMinimum": "expected a number above {limit}",
    "exclusiveMaximum": "expected a number below {limit}",
    "minItems": "expected {limit} or more entries",
    "maxItems": "expected {limit} entries at most",
}


FASTER, SLOWER = "faster", "slower"


def speed_word(verdict: Verdict) -> str:
    """What a verdict on the ratio of a reference's time to a candidate's is called of the candidate."""
    return {Verdict.ABOVE: FASTER, Verdict.BELOW: SLOWER}.get(verdict, verdict.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run was made: the machine, versions, and the variables of measuring processes."""

    hardware: Mapping[str, Any]
    fingerprint: str
    versions: Mapping[str, str]
    process: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One cell: its figures, None where it was not measured, and its raw samples."""

    id: str
    model: str
    engine: str
    precision: str
    layout: str
    batch: int
    threads: int
    status: str
    error: str | None
    latency_s: Mapping[str, Any] | None
    cold_s: float | None
    throughput_items_per_s: Mapping[str, Any] | None
    threads_used: float | None
    memory_bytes: Mapping[str, Any] | None
    fidelity: Mapping[str, Any] | None
    conversion: Mapping[str, Any] | None
    speedups: Sequence[Mapping[str, Any]]
    evidence: Mapping[str, Any]
    samples: Mapping[str, Any]

    def speedup(self, role: str) -> Mapping[str, Any] | None:
        """The speed-up of that role, where there is one."""
        return next((each for each in self.speedups if each["role"] == role), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run, finished or not."""

    complete: bool
    created_at: str
    int8bench_version: str
    environment: Environment
    settings: Mapping[str, Any]
    findings: Sequence[Finding]
    cells: Sequence[Cell]
    ranking: Sequence[Mapping[str, Any]] = ()
    """Of every setting, see `ranking.Setting`; empty where fewer than two engines beside torch answered."""
    recommendation: Mapping[str, Any] | None = None
    """See `recommendation.Recommendation`."""

    @property
    def has_error(self) -> bool:
        """Whether a finding says that something that was asked for does not fit."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def to_dict(run: Run) -> dict[str, Any]:
    """The JSON form; the inverse of `from_dict`."""
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(run)}


def from_dict(document: object, *, name: str = "record") -> Run:
    """The run that a JSON document holds.

    Raises:
        RecordError: not such a document; the message has `name` and the path inside it.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise RecordError(f"{name}: not a record of int8bench run; expected an object with schema {SCHEMA!r}")
    version = document.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecordError(
            f"{name}: schema version {version}, this int8bench reads up to {SCHEMA_VERSION}; "
            "type: pip install --upgrade int8bench"
        )
    _validate(document, name)
    return assembled(document)


def assembled(document: Mapping[str, Any]) -> Run:
    """The run of a document that is known to be one, such as one that was just made."""
    fields = {key: value for key, value in document.items() if key not in {"schema", "schema_version"}}
    return Run(
        **{
            **fields,
            "environment": Environment(**document["environment"]),
            "findings": tuple(Finding.from_dict(each) for each in document["findings"]),
            "cells": tuple(Cell(**cell) for cell in document["cells"]),
            "ranking": tuple(document.get("ranking", ())),
        }
    )


def rounded(times_s: Sequence[float]) -> tuple[float, ...]:
    """The times as they are written down, so that every figure follows from the record to the last digit."""
    return tuple(float(f"{time_s:.{DIGITS}g}") for time_s in times_s)


def versions() -> dict[str, str]:
    """The versions of Python and of the packages whose code is measured or measures."""
    optional = {name: version for name in OPTIONAL_PACKAGES if (version := _version(name)) is not None}
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}, **optional}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def dumps(run: Run) -> str:
    """The run as strict JSON, a cell a line."""
    text = json.dumps(to_dict(run), allow_nan=False, separators=(",", ":"))
    return text.replace('{"id":', '\n{"id":') + "\n"


def save(run: Run, path: Path) -> None:
    """Writes the run to `path`, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    files.write_text(path, dumps(run))


def load(path: Path) -> Run:
    """The run that a file holds.

    Raises:
        RecordError: there is no such file, or it holds no run; the message has the file and the path inside it.
    """
    return from_dict(load_document(path), name=str(path))


def load_document(path: Path) -> object:
    """The JSON document that a file holds, of whatever schema.

    Raises:
        RecordError: there is no such file, or it holds none.
    """
    try:
        return _document(path.read_text(encoding="utf-8"), name=str(path))
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; make one with: int8bench run -o {path}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path}: not a text file; expected a record that int8bench run wrote") from None
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror or error}; give a file that you can read"
        ) from error


def loads(text: str, *, name: str = "record") -> Run:
    """The run that a text holds; the inverse of `dumps`.

    Raises:
        RecordError: it holds no run; the message has `name` and the path inside it.
    """
    return from_dict(_document(text, name=name), name=name)


def _document(text: str, *, name: str) -> object:
    try:
        document: object = json.loads(text)
        if "\\ud" in text.lower():  # perhaps half a character, which no terminal and no file takes
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        what = f"{error.msg} at line {error.lineno}" if text.strip() else "the file is empty"
        raise RecordError(f"{name}: not JSON, or cut short: {what}; expected what int8bench run wrote") from None
    except RecursionError:
        raise RecordError(f"{name}: nested too deep to be a record of int8bench run") from None
    except UnicodeEncodeError:
        raise RecordError(f"{name}: holds half a character; expected what int8bench run wrote") from None
    except ValueError as error:  # a number of thousands of digits
        raise RecordError(f"{name}: {str(error)[:80]}; expected what int8bench run wrote") from None
    return document


def schema() -> dict[str, Any]:
    """The JSON Schema of RUN.json."""
    text = resources.files("int8bench").joinpath("schemas/run.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


@cache
def _validator() -> "Draft202012Validator":
    """The schema's validator, for which a number is finite, a whole number has no point, and a tuple is an array."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    types = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "number": lambda _, value: _is_number(value),
            "integer": lambda _, value: _is_number(value) and isinstance(value, int),
            "array": lambda _, value: isinstance(value, list | tuple),
        }
    )
    found: Draft202012Validator = extend(Draft202012Validator, type_checker=types)(schema())
    return found


def _validate(document: Mapping[str, Any], name: str) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(document))
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".")
        raise RecordError(": ".join(part for part in (name, where, _sentence(error)) if part))
    for where, objection in _objections(document["cells"]):
        raise RecordError(f"{name}: {where}: {objection}")


def _sentence(error: "ValidationError") -> str:
    """What was expected and what was there, however large that is."""
    if error.validator not in RULES:
        return str(error.message)[:120]  # a missing or an unknown key: the message names it first
    limit = error.validator_value
    joint = " or " if error.validator == "type" else ", "
    listed = joint.join(str(each) for each in limit) if isinstance(limit, list) else str(limit)
    return f"{RULES[error.validator].format(limit=listed)}, got {reprlib.repr(error.instance)}"


def _objections(cells: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Where, and what is wrong there that a schema cannot say."""
    known: set[str] = {cell["id"] for cell in cells}
    seen: set[str] = set()
    for index, cell in enumerate(cells):
        where = f"cells[{index}]"
        if cell["id"] in seen:
            yield f"{where}.id", f"{cell['id']} stands twice"
        seen.add(cell["id"])
        if cell["id"] != _id(cell):
            yield f"{where}.id", f"expected {_id(cell)} as its other fields say, got {cell['id']}"
        for path, figure in _figures(cell):
            if not figure["low"] <= figure["value"] <= figure["high"]:
                yield f"{where}.{path}", "expected low <= value <= high"
        for number, speedup in enumerate(cell["speedups"]):
            if speedup["reference"] not in known:
                yield f"{where}.speedups[{number}].reference", f"no cell {speedup['reference']}"
        for number, race in enumerate(cell["samples"]["races"]):
            yield from _race_objections(race, f"{where}.samples.races[{number}]")


def _id(cell: Mapping[str, Any]) -> str:
    variant = Variant(engine=cell["engine"], precision=cell["precision"], layout=cell["layout"])
    return Case(model=cell["model"], variant=variant, group=Group(batch=cell["batch"], threads=cell["threads"])).id


def _figures(cell: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every figure of a cell that has an interval, and where it stands."""
    for path in INTERVALS:
        figure: Any = cell
        for key in path.split("."):
            figure = figure and figure[key]
        if figure:
            yield path, figure
    for number, speedup in enumerate(cell["speedups"]):
        yield f"speedups[{number}]", speedup


def _race_objections(race: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """The long arrays, which a schema validator would take seconds over."""
    for key in ("times_s", "single_s"):
        for index, value in enumerate(race[key]):
            if not (_is_number(value) and value > 0):
                yield f"{where}.{key}[{index}]", f"expected a positive number, got {reprlib.repr(value)}"
    for index, value in enumerate(race["kept"]):
        if not (type(value) is int and value in {0, 1}):
            yield f"{where}.kept[{index}]", f"expected 1 for a round that counts or 0, got {reprlib.repr(value)}"
    if len(race["kept"]) != len(race["times_s"]):
        yield f"{where}.kept", f"{len(race['kept'])} entries for {len(race['times_s'])} rounds"


def _is_number(value: object) -> bool:
    """Whether a value is a number that can be reckoned with: finite, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
