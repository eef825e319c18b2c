"""The state of one run of a study: its samples, its agenda, the time left, and its progress."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from int8bench.documents import Json
from int8bench.errors import LabError, SilenceError
from int8bench.lab.session import Underway
from int8bench.machine import Hardware
from int8bench.study import figures, records
from int8bench.study.plan import fitting
from int8bench.study.plan.agenda import CHECKING, Agenda
from int8bench.study.plan.budget import Budget
from int8bench.study.plan.forecast import Pace
from int8bench.study.plan.plan import Plan
from int8bench.study.plan.request import Request
from int8bench.study.session.conversions import Due
from int8bench.study.session.ledger import PLAN, Ledger
from int8bench.workload.cases import TORCH, Case, Group, Variant, float32_references
from int8bench.workload.subject import Subject

SAVE_EVERY_S = 3.0  # what a kill -9 costs at most, beside the task at work
LEAST_SHARE_S = 1.0  # of a variant's check: below, its evidence alone takes longer
PATIENCE = 0.1  # of a run's total: how long a process may be silent before it costs the others their time
FEWEST_S = 20.0  # ... and what it is given in any case


@dataclass(slots=True, kw_only=True)
class Session(Underway):
    """The state of one run of a study."""

    request: Request
    cases: tuple[Case, ...]
    plan: Plan
    subject: Subject
    machine: Hardware
    usable: tuple[int, ...]
    """The processors that it measures on."""
    output: Path
    ledger: Ledger
    settings: dict[str, Json]
    budget: Budget
    rng: np.random.Generator
    pace: Pace
    files: Mapping[Variant, Mapping[int | None, Path]] = field(default_factory=dict)
    converting: tuple[Due, ...] = ()
    unchecked: frozenset[Variant] = frozenset()
    launch: int = 0
    started: int = 0
    saved_s: float = 0.0

    def live(self, group: Group) -> tuple[Case, ...]:
        """Return the cases of a group that have neither failed nor been skipped."""
        return tuple(case for case in self.all_live() if case.group == group)

    def all_live(self) -> tuple[Case, ...]:
        """Return the cases that have neither failed nor been skipped."""
        return tuple(case for case in self.cases if case.id not in self.ledger.stopped)

    def groups(self) -> tuple[Group, ...]:
        """Return the groups of the grid that have cells left to race."""
        return tuple(dict.fromkeys(case.group for case in self.all_live()))

    def variants(self) -> tuple[Variant, ...]:
        """Return the variants that still have a cell to measure."""
        return tuple(dict.fromkeys(case.variant for case in self.all_live()))

    def prepared(self) -> tuple[Variant, ...]:
        """Return the variants that a launch prepares: the live ones, and the float32 that answers are held against."""
        return tuple(dict.fromkeys((float32_references()[0], *self.variants())))

    def patience_s(self) -> float:
        """Return the seconds that a measuring process may be silent: as asked, but no large part of the total."""
        return min(self.request.timeout_s, max(FEWEST_S, PATIENCE * self.budget.total_s))

    def timeout_s(self, work_s: float = 0.0) -> float:
        """Return the seconds to wait for a task that is expected to take `work_s` seconds."""
        return self.budget.limit_s(self.patience_s() + work_s)

    def check_share_s(self) -> float:
        """Return the most seconds that the check of one variant's answers takes."""
        return max(LEAST_SHARE_S, CHECKING * self.budget.total_s / max(1, len(self.variants())))

    def agenda(self) -> Agenda:
        """Return the agenda: what is still to do, and how fast things are."""
        return Agenda(
            plan=self.plan,
            pace=self.pace,
            cores=len(self.usable),
            ledger=self.ledger,
            pictures=len(self.subject.validation),
            check_share_s=self.check_share_s(),
            converting=self.converting,
            unchecked=self.unchecked,
            launch=self.launch,
            started=self.started,
        )

    def fit(self, groups: Sequence[Group] | None = None, *, fewest: int = fitting.LEAST_LAUNCHES) -> None:
        """Leave out the cells that do not fit into the time that is left.

        Args:
            groups: those that have not settled; all where None.
            fewest: launches that are given up only before the last batch of an engine goes.
        """
        if math.isinf(self.budget.total_s):
            return
        cases = [case for case in self.all_live() if groups is None or case.group in groups]
        left_s = self.budget.left_s()
        if not self.ledger.plan and self.agenda().seconds(cases, fewest) > left_s:
            self.replan(self.plan.lean())
        gone = fitting.fitted(cases, self.agenda().seconds, left_s, fewest=fewest)
        for part in fitting.parts(cases, gone):
            why = fitting.too_long(part.needed_s, self.budget.promise())
            self.leave_out(part.cases, why, part.needed_s)

    def replan(self, plan: Plan) -> None:
        """Go on by another plan; before anything was raced."""
        self.plan = plan
        self.settings[PLAN] = plan.to_dict()

    def leave_out(self, cases: Sequence[Case], why: str, needed_s: float) -> None:
        """Leave cases out for time, with one command that measures them.

        Args:
            cases: still in the grid.
            why: without its end, which is the command.
            needed_s: seconds that they take, about.
        """
        engines = tuple(dict.fromkeys(case.variant.engine for case in cases if case.variant.engine != TORCH))
        batches = tuple(dict.fromkeys(case.group.batch for case in cases))
        others = [case for case in self.all_live() if case.group.batch in batches and case not in cases]
        command = self.request.command(
            engines=engines if any(case.variant.engine != TORCH for case in others) else self.request.engines,
            batches=batches,
            needed_s=needed_s,
        )
        for case in cases:
            self.ledger.skip(case.id, fitting.reason(why, command))

    def give_up(self, cases: Iterable[Case], error: LabError, what: str) -> None:
        """Fail cells that went wrong; those that were silent for longer than the total allows are left out.

        Args:
            cases: still in the grid.
            error: what went wrong.
            what: was being done.
        """
        ours = isinstance(error, SilenceError) and self.patience_s() < self.request.timeout_s
        if ours:
            why = fitting.stopped(what, self.patience_s(), self.budget.promise())
            self.leave_out(tuple(cases), why, self.request.timeout_s / PATIENCE)
            return
        for case in cases:
            self.ledger.fail(case.id, str(error))

    def of(self, variant: Variant) -> tuple[Case, ...]:
        """Return the live cases of a variant."""
        return tuple(case for case in self.all_live() if case.variant == variant)

    def expect(self, groups: Iterable[Group]) -> None:
        """Set the total of the progress to what is left of some groups."""
        among = set(groups)
        cases = [case for case in self.all_live() if case.group in among]
        self.total = self.done + self.agenda().seconds(cases, self.plan.launches)

    def step(self, cost_s: float) -> None:
        """Add the seconds of a finished task to the progress, and save now and then."""
        self.done = min(self.done + cost_s, self.total)
        self.tell(self.phase)
        if self.budget.clock() - self.saved_s > SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the samples so far; their figures are computed when somebody looks."""
        self._write(
            figures.samples_alone(cases=self.cases, ledger=self.ledger, machine=self.machine, settings=self.settings)
        )

    def record(self, *, complete: bool) -> records.Run:
        """Write the record with its figures, as far as they are known, and return it."""
        return self._write(
            figures.record(
                cases=self.cases,
                ledger=self.ledger,
                plan=self.plan,
                machine=self.machine,
                settings=self.settings,
                complete=complete,
            )
        )

    def _write(self, record: records.Run) -> records.Run:
        records.save(record, self.output)
        self.saved_s = self.budget.clock()
        return record
