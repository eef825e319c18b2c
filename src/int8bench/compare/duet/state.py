"""What a person asked of a duet, and where it stands while it is measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from int8bench.compare.duet import judged
from int8bench.compare.duet.failures import Stage
from int8bench.compare.duet.plan import DuetPlan, Selection
from int8bench.compare.duet.samples import DuetSamples
from int8bench.compare.duet.sides import Side
from int8bench.compare.revisions.asv_configuration import Variables
from int8bench.lab.agent.suites.suite import TIME
from int8bench.lab.clock import SILENCE_S
from int8bench.lab.peers import Place, SharedLuck
from int8bench.lab.session import Underway
from int8bench.machine import Hardware
from int8bench.machine.finding import Finding
from int8bench.stats import limits
from int8bench.workload.cases import BATCHES, DATA, ENGINES, MODEL

GRID, ASV, PYTEST = SUITES = ("grid", "asv", "pytest")
MOST_SEED = 2**31  # what every generator takes


@dataclass(frozen=True, slots=True, kw_only=True)
class DuetRequest:
    """What a person asked for; None means that the duet chooses."""

    base: str | None
    head: str | None
    base_python: str | None = None
    head_python: str | None = None
    suite: str = GRID
    select: str | None = None
    select_regex: str | None = None
    benchmarks: str = "head"
    quick: bool = False
    budget_s: float | None = None
    timeout_s: float = SILENCE_S
    seed: int = 0
    error_rate: float = limits.ERROR_RATE
    family_error_rate: float = limits.FAMILY_ERROR_RATE
    model: str = MODEL
    input_shape: str | None = None
    data: str = DATA
    engines: tuple[str, ...] = ENGINES
    batches: tuple[int, ...] = BATCHES
    threads: tuple[int, ...] | None = None
    folder: Path = field(default_factory=Path.cwd)

    @property
    def selection(self) -> Selection:
        """The benchmarks that are meant.

        Raises:
            RequestError: the selection is none.
        """
        return Selection(text=self.select, pattern=self.select_regex)


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """A benchmark with the environment variables that it is measured with."""

    name: str
    """The benchmark's id on both sides."""
    kind: str
    variables: Variables
    is_fresh: bool = False
    """Whether each of its samples is a fresh process."""


@dataclass(slots=True, kw_only=True)
class State(Underway):
    """Where one duet stands."""

    request: DuetRequest
    sides: tuple[Side, Side]
    places: tuple[Place, Place]
    machine: Hardware
    usable: tuple[int, ...]
    """The processors that may be used, no more than a container's quota pays for."""
    output: Path | None
    rng: np.random.Generator
    findings: list[Finding]
    variables: tuple[Variables, ...] = (Variables(),)
    samples: DuetSamples = field(default_factory=DuetSamples)
    rows: dict[str, BenchmarkRow] = field(default_factory=dict)
    """By the id that is printed."""
    fresh: dict[str, float] = field(default_factory=dict)
    """The timed benchmarks whose samples are fresh processes, with the seconds that a launch of each may take."""
    patience_s: dict[tuple[str, Stage], float] = field(default_factory=dict)
    """How long a benchmark may be silent at a stage, where one side was too long before."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    plan: DuetPlan | None = None

    @property
    def planned(self) -> DuetPlan:
        """The plan, once the suites are open."""
        assert self.plan is not None
        return self.plan

    @property
    def names(self) -> Mapping[str, str]:
        """The kind of every benchmark, by its id."""
        return {name: row.kind for name, row in self.rows.items()}

    @property
    def error(self) -> float:
        """The error of one verdict."""
        return judged.error_of_each(self.names, each=self.request.error_rate, family=self.request.family_error_rate)

    def luck(self, variables: Variables) -> SharedLuck:
        """Return the luck that the next pair of launches shares, drawn now."""
        return SharedLuck(seed=int(self.rng.integers(MOST_SEED)), variables=variables.values)

    def live(self, kind: str) -> list[str]:
        """Return the benchmarks of a kind that can still be measured."""
        gone = self.samples.gone
        return [name for name, row in self.rows.items() if (row.kind == TIME) == (kind == TIME) and name not in gone]
