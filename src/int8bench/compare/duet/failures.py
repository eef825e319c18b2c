"""Failures as data: one outcome of each side a launch, and whether head fails more often than chance allows. Pure.

A launch has three stages at which a benchmark may fail: while it is opened, at its first call, and later. A stage
counts where both sides came that far, so that at each both had the same occasion to fail. Each is tested by Fisher's
exact test of head against base with its share of the error. What fails at a stage in every launch of head and in none
of base is judged as soon as the test can say so: with the same code on both sides that has a probability of a quarter a
launch at most, which is taken off the error of the test that all others get in the end: from its second launch on it
is tried on one side at a time, so that neither side fails by the other's doing.

In a race both sides are there, and what only one of them can have, such as a port, makes the other one fail: then their
failures exclude each other, and differ by more than Fisher's test allows for. So head has to fail alone surely more
often than base alone as well, by the sign test, which holds however the two sides of a launch go together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from int8bench.stats.limits import LAUNCHES_FOR_A_FAILURE
from int8bench.stats.proportion import chance_of_at_least, chance_of_more

MOST_LAUNCHES = 40  # 40 of 40 against none: an error that nobody asks for
COUNTS = range(LAUNCHES_FOR_A_FAILURE, MOST_LAUNCHES)


class Stage(StrEnum):
    """When a benchmark fails; in their order."""

    OPEN = "open"
    FIRST = "first"
    CALL = "call"


# Of the error: real breaks fail at once, and seven launches have to be enough for those.
SHARES = {Stage.OPEN: 0.36, Stage.FIRST: 0.36, Stage.CALL: 0.28}
STAGES = tuple(Stage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a benchmark in one launch; None for a side that did not fail."""

    launch: int
    stage: Stage
    base: str | None = None
    head: str | None = None

    @property
    def failed(self) -> bool:
        """Whether a side failed."""
        return self.base is not None or self.head is not None


Outcomes = Sequence[Outcome]


def launches_to_decide(error: float) -> int:
    """Return the number of launches in which head, and never base, has to fail to be called broken at any stage."""
    return max(next((n for n in COUNTS if _is_sure(n, 0, n, error, stage)), MOST_LAUNCHES) for stage in STAGES)


def is_breaking(outcomes: Outcomes) -> bool:
    """Tell whether all launches so far fail on head alone, and at the same stage."""
    stages = {outcome.stage for outcome in outcomes}
    return len(stages) == 1 and all(outcome.head is not None and outcome.base is None for outcome in outcomes)


def is_broken(outcomes: Outcomes, error: float) -> bool:
    """Tell whether head surely fails more often than base.

    Args:
        outcomes: of one benchmark, launch by launch.
        error: of one verdict, which the stages share.
    """
    alone = is_breaking(outcomes)
    return any(
        _is_worse(at, error, stage) and (alone or _is_one_sided(at, error, stage))
        for stage in STAGES
        for at in [_at(outcomes, stage)]
    )


def fails_always(outcomes: Outcomes) -> bool:
    """Tell whether no launch has answers of both sides."""
    return bool(outcomes) and all(outcome.failed for outcome in outcomes)


def sentence(outcomes: Outcomes) -> str:
    """Return a sentence on the failures of both sides: how often each failed, and the first reason of each.

    It begins such as "fails in 2 of 16 launches of head, 0 of 16 of base".
    """
    heads, bases = (
        [outcome.head for outcome in outcomes if outcome.head],
        [outcome.base for outcome in outcomes if outcome.base],
    )
    counts = f"fails in {len(heads)} of {len(outcomes)} launches of head, {len(bases)} of {len(outcomes)} of base"
    return f"{counts}: {'; '.join((*bases[:1], *heads[:1]))}"


def by_sentence(failing: Mapping[str, Outcomes]) -> dict[str, list[str]]:
    """Return the benchmarks of each sentence on failures, in their order, so that one cause is reported once."""
    names_by_sentence: dict[str, list[str]] = {}
    for name, outcomes in failing.items():
        names_by_sentence.setdefault(sentence(outcomes), []).append(name)
    return names_by_sentence


def _at(outcomes: Outcomes, stage: Stage) -> list[Outcome]:
    """Return the outcomes of a stage in the launches that came so far; a later failure is none here."""
    came = [outcome for outcome in outcomes if STAGES.index(outcome.stage) >= STAGES.index(stage)]
    return [each if each.stage is stage else Outcome(launch=each.launch, stage=stage) for each in came]


def _is_worse(outcomes: Outcomes, error: float, stage: Stage) -> bool:
    head, base = _count(outcome.head for outcome in outcomes), _count(outcome.base for outcome in outcomes)
    return len(outcomes) >= LAUNCHES_FOR_A_FAILURE and head > base and _is_sure(head, base, len(outcomes), error, stage)


def _is_one_sided(outcomes: Outcomes, error: float, stage: Stage) -> bool:
    """Tell whether head alone surely fails more often than base alone, by the sign test."""
    single = [outcome.head is not None for outcome in outcomes if (outcome.head is None) != (outcome.base is None)]
    return chance_of_at_least(sum(single), len(single), 0.5) <= SHARES[stage] * error


def _is_sure(head: int, base: int, launches: int, error: float, stage: Stage) -> bool:
    """Tell whether the test of a stage is below its share of the error; see the head of this file."""
    return chance_of_more(head, base, launches=launches) <= SHARES[stage] * error - 4.0**-launches


def _count(reasons: Iterable[str | None]) -> int:
    return sum(reason is not None for reason in reasons)
