"""Histories of a machine's plain times, made up with a known answer: (series, session) factors about 1."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

STEP = 0.05
FROM_ENDS = 8  # commits between a step and either end


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Times, and (series, first session after it) of each step that a commit made."""

    values: npt.NDArray[np.float64]
    steps: frozenset[tuple[int, int]]


def made(kind: str, *, series: int = 20, sessions: int = 60, noise: float = 0.01, seed: int = 1) -> Made:
    """A history of one kind.

    Args:
        kind: "quiet"; "steps" of 5 to 30 % that all share; "walk" that all share; "ar0.3" and the like; "t3";
            "share0.4" and the like, of the series stepped by one commit; "one" that is; "one walk" and the like.
        series: how many.
        sessions: how many commits.
        noise: standard deviation of one point.
        seed: of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    what, _, also = kind.partition(" ")
    level = np.zeros((series, sessions))
    own = rng.standard_t(3, level.shape) if "t3" in kind else rng.standard_normal(level.shape)
    places = np.arange(FROM_ENDS, sessions - FROM_ENDS)
    steps = frozenset[tuple[int, int]]()
    for each in (what, also):
        if each.startswith("ar"):
            own = _correlated(own, float(each.removeprefix("ar")))
    if what == "steps":
        for at in rng.choice(places, 3, replace=False):
            level[:, at:] += rng.choice([-1, 1]) * rng.uniform(STEP, 0.3)
    if "walk" in kind:
        level += noise * np.cumsum(rng.standard_normal(sessions))
    if what.startswith("share") or what == "one":
        count = 1 if what == "one" else round(float(what.removeprefix("share")) * series)
        at, rows = int(rng.choice(places)), rng.choice(series, count, replace=False)
        level[rows, at:] += np.log1p(STEP)
        steps = frozenset((int(row), at) for row in rows)
    return Made(values=np.exp(level + noise * own), steps=steps)


def _correlated(own: npt.NDArray[np.float64], correlation: float) -> npt.NDArray[np.float64]:
    """An autoregression of first order with the variance of its innovations given."""
    found = own.copy()
    for at in range(1, own.shape[1]):
        found[:, at] = correlation * found[:, at - 1] + np.sqrt(1 - correlation**2) * own[:, at]
    return found
