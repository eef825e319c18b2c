"""RUN.json: what is written down of a run, its schema, an atomic save and a validated load."""

import json
import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from int8bench.errors import RecordError, RequestError

SCHEMA = "int8bench.run"
SCHEMA_VERSION = 1
OK, FAILED, SKIPPED = "ok", "failed", "skipped"
DIGITS = 6  # of a raw time: a nanosecond of a millisecond, below any clock's noise


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
    findings: Sequence[Mapping[str, str]]
    cells: Sequence[Cell]


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
            "cells": tuple(Cell(**cell) for cell in document["cells"]),
        }
    )


def dumps(run: Run) -> str:
    """The run as strict JSON; raw times have six significant digits."""
    document = to_dict(run)
    for cell in document["cells"]:
        for race in cell["samples"]["races"]:
            race.update({key: [_rounded(value) for value in race[key]] for key in ("times_s", "single_s")})
    return json.dumps(document, allow_nan=False, separators=(",", ":")).replace('{"id":', '\n{"id":') + "\n"


def save(run: Run, path: Path) -> None:
    """Writes the run to `path`, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    write_text(path, dumps(run))


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all: into a temporary one beside it, which then takes its place.

    Raises:
        RequestError: the file cannot be written; what was there before is untouched.
    """
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        with suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise RequestError(
            f"-o {path}: cannot be written: {error.strerror}; give a path in a folder with room that you can write to"
        ) from error


def set_aside(path: Path) -> Path:
    """Moves a finished record out of the way of the next one; the last two are kept, this one as NAME.previous.json."""
    previous = path.with_suffix(f".previous{path.suffix}")
    path.replace(previous)
    return previous


def load(path: Path) -> Run:
    """The run that a file holds.

    Raises:
        RecordError: there is no such file, or it holds no run; the message has the file and the path inside it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; make one with: int8bench run -o {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(f"{path}: not JSON, or cut short: {error.msg} at line {error.lineno}") from error
    return from_dict(document, name=str(path))


def schema() -> dict[str, Any]:
    """The JSON Schema of RUN.json."""
    text = resources.files("int8bench").joinpath("schemas/run.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def _validate(document: Mapping[str, Any], name: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema()).iter_errors(document))
    if error is not None:
        where = error.json_path.removeprefix("$").removeprefix(".")
        raise RecordError(f"{name}: {where}: {error.message[:200]}" if where else f"{name}: {error.message[:200]}")
    _check_cells(document["cells"], name)


def _check_cells(cells: Sequence[Mapping[str, Any]], name: str) -> None:
    ids = [cell["id"] for cell in cells]
    for index, cell in enumerate(cells):
        where = f"{name}: cells[{index}]"
        if ids.index(cell["id"]) != index:
            raise RecordError(f"{where}.id: {cell['id']} stands twice")
        for number, speedup in enumerate(cell["speedups"]):
            if speedup["reference"] not in ids:
                raise RecordError(f"{where}.speedups[{number}].reference: no cell {speedup['reference']}")
            if not speedup["low"] <= speedup["value"] <= speedup["high"]:
                raise RecordError(f"{where}.speedups[{number}]: expected low <= value <= high")
        for number, race in enumerate(cell["samples"]["races"]):
            _check_race(race, f"{where}.samples.races[{number}]")


def _check_race(race: Mapping[str, Any], where: str) -> None:
    """The long arrays, which a schema validator would take seconds over."""
    for key in ("times_s", "single_s"):
        for index, value in enumerate(race[key]):
            if not isinstance(value, int | float) or not (0 < value < math.inf):
                raise RecordError(f"{where}.{key}[{index}]: expected a positive number, got {value}")
    if len(race["kept"]) != len(race["times_s"]):
        raise RecordError(f"{where}.kept: {len(race['kept'])} entries for {len(race['times_s'])} rounds")


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
