"""When a race may stop, with the declared error kept: the looks of a group-sequential design. Pure.

The intervals shown are repeated confidence intervals (Jennison and Turnbull 1989): they hold at all looks together,
whatever made the race stop. The error is spent in proportion to the launches seen (Lan and DeMets 1983, the power
family of Kim and DeMets 1987 with exponent 1), the boundaries come from the recursive integration of Armitage,
McPherson and Rowe (1969), and each nominal error is used with Student's quantile at the look's degrees of freedom
(the significance-level approach: Jennison and Turnbull 2000, section 3.8).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

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
        """Checks the order."""
        increasing = all(a < b for a, b in zip(self.launches, self.launches[1:], strict=False))
        if not self.launches or not increasing or self.launches[0] < 2:  # noqa: PLR2004  a spread needs two
            raise ValueError(f"looks must be increasing launches from 2 up, got {self.launches}")

    @property
    def fractions(self) -> tuple[float, ...]:
        """The share of the planned launches at each look."""
        return tuple(launches / self.launches[-1] for launches in self.launches)


def default_looks(most_launches: int) -> Looks:
    """Looks at three fifths, four fifths and all of the launches, from the fourth launch on.

    An earlier look would cost more width than the launches it could save.

    Raises:
        ValueError: fewer than two launches.
    """
    looks = (math.ceil(most_launches * share) for share in (0.6, 0.8, 1.0))
    return Looks(launches=tuple(sorted({min(most_launches, max(FIRST_LOOK, look)) for look in looks})))


@lru_cache(maxsize=256)
def nominal_errors(looks: Looks, error: float) -> tuple[float, ...]:
    """The two-sided error to use at each look, so that all looks together are wrong with probability `error`.

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
    """The nominal error to use at the look that so many launches have reached; the first's before any is."""
    reached = sum(launches >= look for look in looks.launches)
    return nominal_errors(looks, error)[max(0, reached - 1)]


def _next_bound(fractions: tuple[float, ...], bounds: tuple[float, ...], spent: float) -> float:
    """The bound at the last of `fractions` at which the error spent so far is `spent`."""
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
    """Points and density of the score B(t) at the last fraction, of the paths that have crossed no bound yet."""
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
