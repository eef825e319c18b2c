"""The side file of a measured commit: intervals, forks and samples that asv's result files have no room for.

One gzipped JSON document a commit, environment and machine, in the folder `int8bench` of asv's results folder: asv
leaves folders without a machine.json alone, and an unknown column in its own files would stop it.
"""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from int8bench import documents, files
from int8bench.documents import Json, JsonObject
from int8bench.errors import RecordError
from int8bench.machine.finding import ShownFinding

SCHEMA = "int8bench.side"
SCHEMA_VERSION = 1
FOLDER = "int8bench"
SUFFIX = ".json.gz"
SHORT_HASH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePoint:
    """A published number with what asv cannot keep; `params` are the strings that asv knows them by."""

    benchmark: str
    params: Mapping[str, str]
    value: float
    low: float
    high: float
    launches: int
    forks: int
    pairs: int
    log_ratios: tuple[tuple[float, ...], ...]
    """(launch, fork), positive where int8 is faster; empty where the number is no ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SideFile:
    """All that is kept of one commit in one environment on one machine."""

    commit_hash: str
    env_name: str
    fingerprint: str
    got: JsonObject
    """What asv's own process really ran with: variables, allocator, threads."""
    points: tuple[SidePoint, ...]
    run: JsonObject
    """The record, as `records.to_dict` gives it."""

    def find(self, benchmark: str, params: Mapping[str, str]) -> SidePoint | None:
        """Return the point of a benchmark and its parameters; None where there is no such point.

        Args:
            benchmark: its full name.
            params: the values by the names of the parameters, spelled as asv does.
        """
        return next((point for point in self.points if (point.benchmark, point.params) == (benchmark, params)), None)


def file_name(side: SideFile) -> str:
    """Return the name of a side file, the same for each measurement of its commit, environment and machine."""
    return f"{side.commit_hash[:SHORT_HASH]}-{side.env_name}-{side.fingerprint}{SUFFIX}"


def save(side: SideFile, results: Path) -> Path:
    """Write a side file under asv's results folder, whole or not at all, and return its path.

    Args:
        side: all that is kept of a commit.
        results: asv's results folder.

    Raises:
        RequestError: the file cannot be written.
    """
    path = results / FOLDER / file_name(side)
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **documents.written(side)}
    files.write_bytes(path, gzip.compress(json.dumps(document, allow_nan=False).encode(), mtime=0))
    return path


def load(path: Path) -> SideFile:
    """Return the side file at `path`.

    Raises:
        RecordError: it is cut short, of a newer schema, or no side file.
    """
    try:
        document: Json = json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise RecordError(f"{path}: cut short or no side file: {error}") from error
    return _side(document, str(path))


def load_all(results: Path) -> tuple[tuple[SideFile, ...], tuple[str, ...]]:
    """Return the side files under asv's results folder, and a sentence for each that cannot be read."""
    sides, problems = [], []
    for path in sorted((results / FOLDER).glob(f"*{SUFFIX}")):
        try:
            sides.append(load(path))
        except RecordError as error:
            problems.append(str(error))
    return tuple(sides), tuple(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hardware:
    """What a record tells of its processor."""

    brand: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Environment:
    """Where a record was made."""

    hardware: _Hardware = field(default_factory=_Hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What the record of a side file tells of its machine."""

    environment: _Environment = field(default_factory=_Environment)
    findings: tuple[ShownFinding, ...] = ()


def written_of(side: SideFile) -> Written:
    """Return the machine of a side file, as its record describes it.

    Raises:
        RecordError: it tells it in another form; `load` has made sure that it does not.
    """
    return documents.read(Written, side.run, name="", at="run", strict=False)


def _side(document: Json, name: str) -> SideFile:
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise RecordError(f"{name}: no side file of int8bench, expected schema {SCHEMA}")
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise RecordError(f"{name}: schema_version {version}, expected {SCHEMA_VERSION}; upgrade int8bench to read it")
    try:
        side = documents.read(SideFile, document, name="", strict=False)
        written_of(side)
    except RecordError as error:
        raise RecordError(f"{name}: not laid out as a side file: {error}") from error
    return side
