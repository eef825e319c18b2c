"""asv's results folder as values: machines, benchmarks, and each number of each commit.

What cannot be read is a sentence, and the rest is still there; nothing is changed. asv's own reader stops at the first
unknown column and leaves out whole machines, so this reads the documented JSON (version 2 of asv's files) itself.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from int8bench.errors import RecordError, RequestError

BENCHMARKS, MACHINE = "benchmarks.json", "machine.json"
RESULTS_VERSION = BENCHMARKS_VERSION = 2
MACHINE_VERSION = 1
SIDE_FOLDER = "int8bench"  # ours, beside the machines'
NEEDED = ("result", "params")
COLUMNS = {*NEEDED, "version", "started_at", "duration", "samples", "profile"}
COLUMNS |= {f"stats_{name}" for name in ("ci_99_a", "ci_99_b", "q_25", "q_75", "number", "repeat")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """What benchmarks.json says of a benchmark."""

    unit: str | None
    version: str | None
    param_names: tuple[str, ...]


class Number(NamedTuple):
    """One number of a result: a tuple, as a folder has a million of them. `params` are as asv spells them."""

    benchmark: str
    params: tuple[str, ...]
    version: str | None
    value: float
    measured_ms: int
    """When its benchmark started; the date of the commit where it is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One file: a commit measured in an environment on a machine."""

    machine: str
    env_name: str
    commit_hash: str
    date_ms: int
    measured_ms: int
    """When the last of its benchmarks started; the date of the commit where it is not told."""
    numbers: Sequence[Number]
    benchmarks: frozenset[str]
    """The names it has, those included whose numbers all failed."""
    about: Mapping[str, str]
    """What it was measured on and with, as asv tells it: os, cpu, ram, python, and each requirement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """All that could be read of a results folder, and a sentence for each thing that could not."""

    benchmarks: Mapping[str, Benchmark]
    machines: Mapping[str, str | None]
    """The processor of each, where asv was told."""
    results: Sequence[Result]
    problems: Sequence[str]


def read(folder: Path) -> Folder:
    """Return everything in asv's results folder.

    Raises:
        RequestError: there is no such folder.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder; give asv's results folder, or type asv run first")
    problems: list[str] = []
    benchmarks = _benchmarks(folder / BENCHMARKS, problems)
    machines: dict[str, str | None] = {}
    results: list[Result] = []
    for place in sorted(each for each in folder.iterdir() if each.is_dir() and each.name != SIDE_FOLDER):
        machines[place.name] = _processor(place / MACHINE, problems)
        results += _results(place, problems)
    if not results:
        problems.append(f"{folder}: no results yet; type asv run")
    return Folder(benchmarks=benchmarks, machines=machines, results=results, problems=problems)


def _benchmarks(path: Path, problems: list[str]) -> dict[str, Benchmark]:
    try:
        document = _load(path, BENCHMARKS_VERSION)
    except RecordError as error:
        problems.append(f"{error}; units and names of parameters are unknown")
        return {}
    return {
        name: Benchmark(
            unit=_text(each.get("unit")),
            version=_text(each.get("version")),
            param_names=tuple(str(param) for param in each.get("param_names") or ()),
        )
        for name, each in document.items()
        if isinstance(each, dict)
    }


def _processor(path: Path, problems: list[str]) -> str | None:
    try:
        return _text(_load(path, MACHINE_VERSION).get("cpu"))
    except RecordError as error:
        problems.append(f"{error}; asv itself will leave its results out, type asv machine")
        return None


def _results(place: Path, problems: list[str]) -> Iterator[Result]:
    for path in sorted(place.glob("*.json")):
        if path.name == MACHINE:
            continue
        try:
            yield _result(_load(path, RESULTS_VERSION), path, problems)
        except RecordError as error:
            problems.append(str(error))


def _load(path: Path, version: int) -> dict[str, Any]:
    """Return the JSON object in a file of that version.

    Raises:
        RecordError: it is missing, cut short, no object, or of another version.
    """
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise RecordError(f"{path}: missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{path}: cut short or no JSON: {error}") from error
    if not isinstance(document, dict):
        raise RecordError(f"{path}: expected a JSON object, got {type(document).__name__}")
    given = document.pop("version", None)
    if given != version:
        hint = "type asv update" if isinstance(given, int) and given < version else "int8bench cannot read it"
        raise RecordError(f"{path}: version {given} of asv's format, expected {version}; {hint}")
    return document


def _result(document: Mapping[str, Any], path: Path, problems: list[str]) -> Result:
    try:
        columns, rows = list(document["result_columns"]), dict(document["results"])
        commit_hash, date_ms = str(document["commit_hash"]), int(document["date"])
        env_name = str(document["env_name"])
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{path}: not laid out as asv's results: {error!r}") from error
    lacking = [name for name in NEEDED if name not in columns]
    if lacking:
        raise RecordError(f"{path}: result_columns lacks {', '.join(lacking)}")
    unknown = [str(name) for name in columns if name not in COLUMNS]
    if unknown:
        problems.append(f"{path}: unknown columns, left out: {', '.join(unknown)}; asv itself will refuse this file")
    numbers: list[Number] = []
    started = [date_ms]
    for name, row in rows.items():
        try:
            fields = dict(zip(columns, row, strict=False))
            began = int(fields.get("started_at") or 0)
            numbers += _numbers(name, fields, began or date_ms)
            started.append(began)
        except (TypeError, ValueError) as error:
            problems.append(f"{path}: {name}: not laid out as a result: {error}")
    return Result(
        machine=path.parent.name,
        env_name=env_name,
        commit_hash=commit_hash,
        date_ms=date_ms,
        measured_ms=max(started),
        numbers=numbers,
        benchmarks=frozenset(rows),
        about=_about(document),
    )


def _about(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the machine's details, requirements and variables of a result, without asv's own name of the machine.

    What is not laid out so is left out.
    """
    details: dict[str, str] = {}
    for part in ("params", "requirements", "env_vars"):
        each = document.get(part)
        details |= {str(name): str(value) for name, value in each.items()} if isinstance(each, dict) else {}
    if document.get("python"):
        details.setdefault("python", str(document["python"]))
    return {name: value for name, value in details.items() if name != "machine"}


def _numbers(name: str, fields: Mapping[str, Any], measured_ms: int) -> Iterator[Number]:
    """Yield the measured numbers of a benchmark, without failed ones (null) and skipped ones (NaN).

    Raises:
        ValueError: as many numbers as parameters were expected, or a number is none.
    """
    params = [tuple(str(each) for each in grid) for grid in product(*(fields.get("params") or ()))]
    values = fields.get("result")
    if values is None:
        return
    if len(values) != len(params):
        raise ValueError(f"{len(values)} numbers for {len(params)} combinations of parameters")
    version = _text(fields.get("version"))
    for here, value in zip(params, values, strict=True):
        if value is not None and math.isfinite(value):
            yield Number(name, here, version, float(value), measured_ms)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
