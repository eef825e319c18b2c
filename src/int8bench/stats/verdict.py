"""From an estimate to a word, or to unclear with what it would take; when a race may stop, its error kept. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, stdtrit

from int8bench.stats.limits import LAUNCHES_FOR_A_VERDICT, POWER, Verdict, why_too_few, why_unclear, word
from int8bench.stats.prediction import visible_effect
from int8bench.stats.ratio import Estimate, LaunchTable, centre_and_error, estimate, smallest_of

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
    """Return the verdict on a candidate against one reference.

    Args:
        table: log-ratios (launch, fork), positive where the candidate is faster.
        nominal_error: two-sided error of this look.
        margin: differences up to this fraction either way are "same".
    """
    if table.launches < LAUNCHES_FOR_A_VERDICT:
        return _too_few(table.launches)
    shown = estimate(table, confidence=1 - nominal_error, nominal_error=nominal_error)
    return _judged(shown, table, nominal_error, margin)


def judge_against_best(tables: Mapping[str, LaunchTable], *, nominal_error: float, margin: float) -> Judgement:
    """Return the verdict on a candidate against the best of several references; see `ratio.smallest_of`.

    Args:
        tables: log-ratios (launch, fork) against each reference, by its name; positive where the candidate is faster.
        nominal_error: two-sided error of this look.
        margin: differences up to this fraction either way are "same".
    """
    fewest = min(table.launches for table in tables.values())
    if fewest < LAUNCHES_FOR_A_VERDICT:
        return _too_few(fewest)
    name, smallest = smallest_of(tables, confidence=1 - nominal_error, nominal_error=nominal_error)
    return _judged(smallest, tables[name], nominal_error, margin)


def smallest_visible_effect(table: LaunchTable, nominal_error: float) -> float:
    """Return the difference, as a fraction, that a race with this spread calls with probability `POWER`.

    Args:
        table: log-ratios (launch, fork), two launches or more.
        nominal_error: two-sided error of the look.
    """
    _, error = centre_and_error(table)
    return visible_effect(error, freedom=table.launches - 1, nominal_error=nominal_error, power=POWER)


def _judged(shown: Estimate, table: LaunchTable, nominal_error: float, margin: float) -> Judgement:
    verdict = word(shown.low, shown.high, margin)
    visible = smallest_visible_effect(table, nominal_error)
    unclear = verdict is Verdict.UNCLEAR
    return Judgement(
        verdict=verdict,
        reason=why_unclear(shown.low, shown.high, margin, nominal_error) if unclear else None,
        smallest_visible_effect=visible,
        more_launches=_more_launches(table, nominal_error, margin) if unclear else None,
    )


def _more_launches(table: LaunchTable, nominal_error: float, margin: float) -> int | None:
    """Return how many more launches settle it, at this spread; None where `MOST_EXTRA_LAUNCHES` do not.

    They leave an interval that excludes 1 or lies inside the margin.
    """
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


FIRST_LOOK = 4  # below, Student's quantile at an error of 0.001 is above 30
# Nominal errors from normal theory are a little too large for Student's t at few launches: simulated t paths exceed
# the declared error by up to this factor (looks after 4, 5 and 6 launches at 0.001); tests/stats/test_simulation.py
# holds it.
SMALL_SAMPLE = 1.16
_NODES = 801  # points of the integration; nominal errors agree with the published ones to four figures
_REACH = 12.0  # standard deviations that the integration spans: beyond lies less than 1e-32


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """The launches after which a race is looked at.

    Raises:
        ValueError: none, not increasing, or fewer than two launches at the first.
    """

    launches: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the order."""
        increasing = all(a < b for a, b in zip(self.launches, self.launches[1:], strict=False))
        if not self.launches or not increasing or self.launches[0] < 2:  # noqa: PLR2004  a spread needs two
            raise ValueError(f"looks must be increasing launches from 2 up, got {self.launches}")

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of the planned launches at each look."""
        return tuple(launches / self.launches[-1] for launches in self.launches)


def default_looks(most_launches: int) -> Looks:
    """Return the looks at three fifths, four fifths and all of the launches, from the fourth launch on.

    An earlier look would cost more width than the launches it could save.

    Raises:
        ValueError: fewer than two launches.
    """
    looks = (math.ceil(most_launches * share) for share in (0.6, 0.8, 1.0))
    return Looks(launches=tuple(sorted({min(most_launches, max(FIRST_LOOK, look)) for look in looks})))


@lru_cache(maxsize=256)
def nominal_errors(looks: Looks, error: float) -> tuple[float, ...]:
    """Return the two-sided error of each look, so that all looks together are wrong with probability `error`.

    Args:
        looks: of the race.
        error: of the race, all looks together.

    Raises:
        ValueError: an error outside 0 to 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error: expected a number between 0 and 1, got {error}")
    spendable = error / SMALL_SAMPLE if len(looks.launches) > 1 else error
    bounds: list[float] = []
    for look, fraction in enumerate(looks.fractions):
        if look == 0:
            bounds.append(float(-ndtri(spendable * fraction / 2)))
        else:
            bounds.append(_next_bound(looks.fractions[: look + 1], tuple(bounds), spendable * fraction))
    return tuple(2 * float(ndtr(-bound)) for bound in bounds)


def nominal_error_at(looks: Looks, launches: int, error: float) -> float:
    """Return the nominal error of the look that some launches have reached; the first look's before any is reached.

    Args:
        looks: of the race.
        launches: that are done.
        error: of the race, all looks together.
    """
    reached = sum(launches >= look for look in looks.launches)
    return nominal_errors(looks, error)[max(0, reached - 1)]


def _next_bound(fractions: tuple[float, ...], bounds: tuple[float, ...], spent: float) -> float:
    """Return the bound at the last of `fractions` at which the error spent so far is `spent`."""
    points, density = _inside(fractions[:-1], bounds)
    step = math.sqrt(fractions[-1] - fractions[-2])
    before = 1.0 - float(np.trapezoid(density, points))

    def excess(bound: float) -> float:
        limit = bound * math.sqrt(fractions[-1])
        leaving = ndtr((-limit - points) / step) + ndtr((points - limit) / step)
        return before + float(np.trapezoid(density * leaving, points)) - spent

    return float(brentq(excess, 0.0, _REACH, xtol=1e-10))


def _inside(
    fractions: tuple[float, ...], bounds: tuple[float, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return points and density of the score B(t) at the last fraction, of the paths that have crossed no bound yet."""
    points = np.empty(0)
    density = np.empty(0)
    last = 0.0
    for fraction, bound in zip(fractions, bounds, strict=True):
        limit, step = bound * math.sqrt(fraction), math.sqrt(fraction - last)
        here = np.linspace(-limit, limit, _NODES)
        if last == 0.0:
            arrived = _normal(here / step) / step
        else:
            moves = _normal((here[:, None] - points[None, :]) / step) / step
            arrived = np.asarray(np.trapezoid(moves * density[None, :], points, axis=1))
        points, density, last = here, arrived, fraction
    return points, density


def _normal(z: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
