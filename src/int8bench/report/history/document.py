"""The history document: what `int8bench history --json` prints, and what its terminal and its page draw.

`tracking` searches and fills it in; its fields are the keys of JSON, in their order.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from int8bench.machine.finding import ShownFinding

SCHEMA = "int8bench.history"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PointRow:
    """A figure of a series at a commit; the value is None where it was not measured."""

    commit: str
    date: float
    """Of the commit, in milliseconds since 1970."""
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step of a series, as a fraction of the level before; None where that was zero."""

    commit_before: str
    commit_after: str
    step: float | None
    low: float | None
    high: float | None
    worse: bool
    recovered: bool
    date: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRow:
    """A benchmark with its parameters on a machine, over commits."""

    benchmark: str
    params: Mapping[str, str]
    machine: str
    fingerprint: str | None
    env: str
    unit: str | None
    better: str
    kind: str
    absolute: bool
    points: tuple[PointRow, ...]
    changes: tuple[StepRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberRow:
    """A series that an event moved."""

    benchmark: str
    params: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A step that many series of a machine made together."""

    machine: str
    environment: str
    fingerprint: str | None
    kind: str
    commit_before: str
    commit_after: str
    date: float
    step: float | None
    low: float | None
    high: float | None
    series: int
    of: int
    share: float
    control: bool
    evidence: tuple[str, ...]
    members: tuple[MemberRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseRow:
    """What is known of the noise of a machine's series of one kind, and whether their drift was taken out."""

    machine: str
    environment: str
    fingerprint: str | None
    kind: str
    series: int
    apart: bool
    correlation: float
    drift: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    """A machine with one hardware, and what was last found wrong with it."""

    machine: str
    fingerprint: str | None
    cpu: str | None
    findings: tuple[ShownFinding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryDocument:
    """All series of a results folder, searched together."""

    schema: str = SCHEMA
    schema_version: int = SCHEMA_VERSION
    results: str
    error_rate: float
    series: tuple[SeriesRow, ...]
    regressions: int
    events: tuple[EventRow, ...]
    noise: tuple[NoiseRow, ...]
    machines: tuple[MachineRow, ...]
    problems: tuple[str, ...]
