"""From an estimate to a word, or to unclear with what it would take. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scipy.special import stdtrit

from int8bench.stats.limits import LAUNCHES_FOR_A_VERDICT, POWER
from int8bench.stats.prediction import visible_effect
from int8bench.stats.ratio import Estimate, LaunchTable, centre_and_error, estimate, smallest_of
from int8bench.stats.words import Verdict, why_too_few, why_unclear, word

MOST_EXTRA_LAUNCHES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict; where it is unclear, why, and how many more launches would settle it.

    `smallest_visible_effect` is the difference, as a fraction, that would have been called with 95 % probability.
    """

    verdict: Verdict
    reason: str | None
    smallest_visible_effect: float | None
    more_launches: int | None


def judge(table: LaunchTable, *, nominal_error: float, margin: float) -> Judgement:
    """The verdict on a candidate against one reference.

    Args:
        table: log-ratios (launch, fork), positive where the candidate is faster.
        nominal_error: two-sided error of this look.
        margin: differences up to this fraction either way are "same".
    """
    if table.launches < LAUNCHES_FOR_A_VERDICT:
        return _too_few(table.launches)
    found = estimate(table, confidence=1 - nominal_error, nominal_error=nominal_error)
    return _judged(found, table, nominal_error, margin)


def judge_against_best(tables: Mapping[str, LaunchTable], *, nominal_error: float, margin: float) -> Judgement:
    """The verdict on a candidate against the best of several references; see `ratio.smallest_of`."""
    fewest = min(table.launches for table in tables.values())
    if fewest < LAUNCHES_FOR_A_VERDICT:
        return _too_few(fewest)
    name, found = smallest_of(tables, confidence=1 - nominal_error, nominal_error=nominal_error)
    return _judged(found, tables[name], nominal_error, margin)


def smallest_visible_effect(table: LaunchTable, nominal_error: float) -> float:
    """The difference, as a fraction, that a race with this spread calls with probability `POWER`."""
    _, error = centre_and_error(table)
    return visible_effect(error, freedom=table.launches - 1, nominal_error=nominal_error, power=POWER)


def _judged(found: Estimate, table: LaunchTable, nominal_error: float, margin: float) -> Judgement:
    verdict = word(found.low, found.high, margin)
    visible = smallest_visible_effect(table, nominal_error)
    unclear = verdict is Verdict.UNCLEAR
    return Judgement(
        verdict=verdict,
        reason=why_unclear(found.low, found.high, margin, nominal_error) if unclear else None,
        smallest_visible_effect=visible,
        more_launches=_more_launches(table, nominal_error, margin) if unclear else None,
    )


def _more_launches(table: LaunchTable, nominal_error: float, margin: float) -> int | None:
    """How many launches more, at this spread, leave an interval that excludes 1 or lies inside the margin."""
    centre, error = centre_and_error(table)
    spread = error * math.sqrt(table.launches)
    distance = max(abs(centre), math.log1p(margin) - abs(centre))
    launches = table.launches + 1
    while launches < table.launches + MOST_EXTRA_LAUNCHES:
        if float(stdtrit(launches - 1, 1 - nominal_error / 2)) * spread / math.sqrt(launches) < distance:
            return launches - table.launches
        launches += max(1, launches // 20)
    return None


def _too_few(launches: int) -> Judgement:
    return Judgement(
        verdict=Verdict.UNCLEAR,
        reason=why_too_few(launches),
        smallest_visible_effect=None,
        more_launches=LAUNCHES_FOR_A_VERDICT - launches,
    )
