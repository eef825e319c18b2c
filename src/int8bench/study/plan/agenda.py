"""What a study has still to do, and how long that takes: conversions, launches, checks, measuring. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from int8bench import units
from int8bench.study.plan.forecast import Pace, together_s
from int8bench.study.plan.plan import Plan
from int8bench.study.session.conversions import Due
from int8bench.study.session.ledger import Ledger
from int8bench.workload.cases import Case, Group, Variant

CHECKING = 0.1  # of a run's total: the most that checks of answers may take


@dataclass(frozen=True, slots=True, kw_only=True)
class Agenda:
    """Where a study is, and how fast things are."""

    plan: Plan
    pace: Pace
    cores: int
    ledger: Ledger
    pictures: int
    """On which answers are checked."""
    check_share_s: float
    """The most that one variant's check takes."""
    converting: tuple[Due, ...]
    """The conversions that are not made yet."""
    unchecked: frozenset[Variant]
    launch: int
    """The first launch that may have something left to do."""
    started: int
    """How many launches have started, those that are over included."""

    def seconds(self, cases: Sequence[Case], launches: int) -> float:
        """Return the seconds that some of the cells take from now on, if none settles early.

        Args:
            cases: of the grid.
            launches: in all, those that are over included.
        """
        return sum(self.parts(cases, launches).values())

    def parts(self, cases: Sequence[Case], launches: int) -> dict[str, float]:
        """Return the same seconds by what they are spent on.

        Args:
            cases: of the grid.
            launches: in all, those that are over included.
        """
        variants = tuple(dict.fromkeys(case.variant for case in cases))
        return {
            "conversions": together_s([each.seconds for each in self._conversions(cases)]),
            "launches": self.pace.launch_s(variants, max(0, launches - self.started)),
            "checks": sum(self._check_s(variant) for variant in variants if variant in self.unchecked),
            "measuring": sum(self.launch_s(cases, index) for index in range(self.launch, launches)),
        }

    def told(self, cases: Sequence[Case], launches: int) -> str:
        """Return the parts in words, as a person reads them.

        Args:
            cases: of the grid.
            launches: in all, those that are over included.
        """
        parts = self.parts(cases, launches)
        counts = {"conversions": len(list(self._conversions(cases))), "launches": max(0, launches - self.started)}
        shown = [
            f"{counts.get(name, '')} {name} {units.duration(seconds)}".strip()
            for name, seconds in parts.items()
            if seconds > 0
        ]
        return ", ".join(shown) or "nothing is left to measure"

    def launch_s(self, cases: Sequence[Case], index: int) -> float:
        """Return the seconds for which a launch that has started measures some of the cells.

        Args:
            cases: of the grid.
            index: of the launch, from 0.
        """
        groups: dict[Group, list[Case]] = {}
        for case in cases:
            groups.setdefault(case.group, []).append(case)
        return sum(
            self.pace.drift(group) * (self._solos_s(mine, index) + self._races_s(mine, index))
            for group, mine in groups.items()
        )

    def _conversions(self, cases: Sequence[Case]) -> Iterator[Due]:
        """Yield the conversions that some of the cells wait for."""
        cells = {(case.variant, case.group.batch) for case in cases} | {(case.variant, None) for case in cases}
        for each in self.converting:
            if any((variant, each.piece.batch) in cells for variant in each.piece.variants):
                yield each

    def _check_s(self, variant: Variant) -> float:
        return min(self.pace.check_s(variant, self.pictures), self.check_share_s)

    def _solos_s(self, cases: Sequence[Case], index: int) -> float:
        if index >= self.plan.replicates:
            return 0.0
        left = [case for case in cases if not self.ledger.has_solo(case.id, index)]
        return sum(self.pace.solo_s(case, self.plan, self.cores) for case in left)

    def _races_s(self, cases: Sequence[Case], index: int) -> float:
        left = max(0, self.plan.forks - self.ledger.forks_done(cases, index))
        return left * self.pace.race_s(cases, self.plan)
