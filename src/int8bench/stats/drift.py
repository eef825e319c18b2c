"""The drift that series of one machine share, and the correlation of what is left. Pure.

Model: in logarithms, a number is the level of its series, plus a drift that all series share in one session of
measuring, plus noise of its own: y[series, session] = level[series, session] + drift[session] + noise. A level is
constant between the changes of its series (`changes.py`); the drift is free, session by session, so that it may step,
wander or come back in any order. Both are fitted in turn (Tukey's median polish, 1977, with levels for rows): the drift
is the location of the series' residuals under noise of Student's t with 3 degrees, which a minority of series that
step elsewhere hardly moves. For each series it is taken from the others alone, so that none is measured with itself.
Where more than half of the series step at one place, their common part is the drift's, not theirs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int8bench.stats.changes import FREEDOM, Floats, Indices, Levels, find_levels

FEWEST = 5  # series in which what they share can be told from what each does
FEWEST_OTHERS = 3  # that were measured in a session, for their drift to be known
NEAR = 1  # sessions between two steps that are at one place
TURNS = 8  # of fitting drift and levels: most end after three
STRICT_TURNS = 2  # in which large steps alone are taken for a series' own: the drift is not yet what it will be
STRICT = 1e-6  # of the error, there
SETTLING = 40  # turns of the drift with the levels between given changes, at the most
STILL = 1e-3  # of a scale: a drift that moves by less is settled
REWEIGHTS = 20  # of a location
CORRELATION_TURNS = 2
MOST_CORRELATION = 0.95
FAR = 2.5  # scales: what lies further off counts as this far for the correlation of neighbours
HALF = 0.5

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Levels and drift of series, in logarithms."""

    logs: Floats
    """(series, session), sessions in order of commits; nan where a series was not measured."""
    levels: Sequence[Levels | None]
    common: Floats
    """(session,): 0 in the middle."""
    others: Floats
    """(series, session): the drift without the series' own part in it."""
    correlation: Floats
    """(series,): of the noise of neighbours."""

    @property
    def own(self) -> Floats:
        """(series, session): the series without the drift."""
        return np.asarray(self.logs - self.others)


def fit_drift(logs: Floats, measured: Indices, *, error: float, least_noise: Floats) -> Drift:
    """Return the drift and the levels, fitted in turn until the levels stand.

    Args:
        logs: (series, session), sessions in order of commits; nan where a series was not measured.
        measured: (session,): the rank of each session in order of time.
        error: probability of one false change or more, as `find_changes` has it.
        least_noise: (series,) as `find_changes` has it.
    """
    middle = np.nanmedian(logs, axis=1)
    fitted = np.repeat(middle[:, None], logs.shape[1], axis=1)
    scales = _rough_scales(logs - fitted)
    edges: list[tuple[int, ...] | None] = []
    for turn in range(TURNS):
        drift, others = _settled(logs, fitted, scales, measured)
        strict = error * (STRICT if turn < STRICT_TURNS else 1.0)
        levels = find_levels(list(np.exp(logs - others)), error=strict, least_noise=least_noise.tolist())
        found = [level.edges if level else None for level in levels]
        fitted = _spread(levels, logs.shape, middle)
        scales = np.array([each.scale if each else scale for each, scale in zip(levels, scales, strict=True)])
        moved = _reanchored(fitted, logs)
        if found == edges and not moved and turn >= STRICT_TURNS:
            break
        edges = found
    levels, rho = correlated_levels(logs - others, error=error, least_noise=least_noise)
    return Drift(logs=logs, levels=levels, common=drift, others=others, correlation=rho)


def correlated_levels(
    logs: Floats, *, error: float, least_noise: Floats | None = None
) -> tuple[list[Levels | None], Floats]:
    """Return the levels of each series and the correlation of its neighbours, each of which fits the other.

    Levels are first fitted as if there were none, then twice with what is left about them. Steps that no level has pass
    for correlation, and correlation hides steps: where a series has many, further turns would lose them all.

    Args:
        logs: (series, session), nan where a series was not measured.
        error: as `find_changes` has it.
        least_noise: (series,) as `find_changes` has it.
    """
    values, rho = list(np.exp(logs)), np.zeros(len(logs))
    floors = None if least_noise is None else least_noise.tolist()
    levels = find_levels(values, error=error, least_noise=floors)
    for _ in range(CORRELATION_TURNS):
        rho = correlation_of(logs, levels)
        levels = find_levels(values, error=error, least_noise=floors, correlation=rho.tolist())
    return levels, rho


def _settled(logs: Floats, fitted: Floats, scales: Floats, measured: Indices) -> tuple[Floats, Floats]:
    """Return the drift, (session,), and that of the others, (series, session), once levels and drift stand.

    The places of changes stay; the sizes of levels and the drift are fitted in turn until neither moves the other.
    """
    new = np.zeros(fitted.shape, dtype=bool)
    new[:, 1:] = np.diff(fitted, axis=1) != 0
    number = np.cumsum(new, axis=1)
    rows = np.arange(len(logs))[:, None]
    shape = (len(logs), int(number.max()) + 1)
    there = np.isfinite(logs)
    fitted = fitted.copy()
    drift, others = _drift(logs - fitted, scales, measured)
    for _ in range(SETTLING):
        before = drift
        residuals = np.where(there, logs - drift - fitted, 0.0)
        weights = np.where(there, 1 / (FREEDOM + (residuals / scales[:, None]) ** 2), 0.0)
        sums, totals = np.zeros(shape), np.zeros(shape)
        np.add.at(sums, (np.broadcast_to(rows, number.shape), number), weights * residuals)
        np.add.at(totals, (np.broadcast_to(rows, number.shape), number), weights)
        fitted += np.where(totals > 0, sums / np.where(totals > 0, totals, 1.0), 0.0)[rows, number]
        drift, others = _drift(logs - fitted, scales, measured)
        if np.abs(drift - before).max() <= STILL * float(np.median(scales)):
            break
    return drift, others


def _rough_scales(residuals: Floats) -> Floats:
    """Return the noise about the series' common part, (series,), from differences of neighbours."""
    common = np.nanmedian(residuals, axis=0)
    scales = np.zeros(len(residuals))
    for row, each in enumerate(residuals - common):
        there = each[np.isfinite(each)]
        scales[row] = np.median(np.abs(np.diff(there))) / np.sqrt(2) if len(there) > 1 else np.nan
    typical = np.nanmedian(scales[scales > 0]) if (scales > 0).any() else 1.0
    return np.where(scales > 0, scales, typical)


def _drift(residuals: Floats, scales: Floats, measured: Indices) -> tuple[Floats, Floats]:
    """Return the drift, (session,), and that of the others, (series, session), which a series is measured against."""
    there = np.isfinite(residuals)
    filled = np.where(there, residuals, 0.0)
    precise = np.where(there, 1 / scales[:, None] ** 2, 0.0)
    drift = _weighted_median(residuals, 1 / scales**2)
    for _ in range(REWEIGHTS):
        weights = precise * (FREEDOM + 1) / (FREEDOM + precise * (filled - drift) ** 2)
        total = weights.sum(axis=0)
        drift = np.where(total > 0, (weights * filled).sum(axis=0) / np.where(total > 0, total, 1.0), 0.0)
    left = total - weights
    others = ((weights * filled).sum(axis=0) - weights * filled) / np.where(left > 0, left, 1.0)
    number = there.sum(axis=0)
    known = number >= FEWEST_OTHERS + 1
    drift = _filled(drift, known, measured)
    centre = float(np.median(drift))
    others = np.where(number - there >= FEWEST_OTHERS, others, drift)
    return drift - centre, others - centre


def _weighted_median(values: Floats, weights: Floats) -> Floats:
    """Return the median of each column, (session,), in which a series counts by its weight; 0 in an empty column."""
    order = np.argsort(np.where(np.isfinite(values), values, np.inf), axis=0)
    shares = np.take_along_axis(np.where(np.isfinite(values), weights[:, None], 0.0), order, axis=0).cumsum(axis=0)
    place = (shares < shares[-1] / 2).sum(axis=0)
    picked = np.take_along_axis(np.take_along_axis(values, order, axis=0), place[None, :], axis=0)[0]
    return np.where(shares[-1] > 0, picked, 0.0)


def _filled(drift: Floats, known: Mask, measured: Indices) -> Floats:
    """Return the drift, (session,), interpolated between its neighbours in time where too few series tell it."""
    if not known.any():
        return np.zeros_like(drift)
    order = np.argsort(measured)
    there = known[order]
    times = np.arange(len(order))
    filled = np.empty_like(drift)
    filled[order] = np.interp(times, times[there], drift[order][there])
    return filled


def _spread(levels: Sequence[Levels | None], shape: tuple[int, int], middle: Floats) -> Floats:
    """Return the level of each series everywhere, (series, session).

    A session without a measurement has the level of the last measured one; a series without levels has its median.
    """
    fitted = np.repeat(middle[:, None], shape[1], axis=1)
    for row, each in enumerate(levels):
        if each:
            number = np.searchsorted(each.places[list(each.edges[1:-1])], np.arange(shape[1]), side="right")
            fitted[row] = np.asarray(each.levels)[number]
    return fitted


def _reanchored(fitted: Floats, logs: Floats) -> bool:
    """Hand to the drift what most series do at one place, in `fitted`, and tell whether there was such a step."""
    there = np.isfinite(logs)
    steps = np.diff(fitted, axis=1)
    begun = np.maximum.accumulate(there, axis=1)[:, :-1]
    going = np.maximum.accumulate(there[:, ::-1], axis=1)[:, ::-1][:, 1:]
    spanning = begun & going
    moved = False
    while True:
        count = ((steps != 0) & spanning).sum(axis=0)
        near = np.convolve(count, np.ones(2 * NEAR + 1, dtype=int), mode="same")
        share = near / np.maximum(spanning.sum(axis=0), 1)
        enough = (share > HALF) & (near >= FEWEST_OTHERS) & (count > 0)
        if not enough.any():
            return moved
        place = int(np.argmax(np.where(enough, count, -1)))
        window = slice(max(0, place - NEAR), place + NEAR + 1)
        mine = steps[:, window].sum(axis=1)
        shift = float(np.median(mine[spanning[:, place]]))
        steps[:, window] = 0
        if shift:
            fitted[:, place + 1 :] -= shift
            moved = True


def correlation_of(logs: Floats, levels: Sequence[Levels | None]) -> Floats:
    """Return the correlation of the noise of neighbours, (series,).

    That of all series together, and what one has more of as far as they differ by more than so few points can tell
    (empirical Bayes). Far points are drawn in, so that a bad day is no correlation; what levels that were fitted take
    away is given back (Marriott and Pope 1954).

    Args:
        logs: (series, session), nan where a series was not measured.
        levels: of each series; one without has the correlation of all together.
    """
    correlations = np.zeros(len(logs))
    points = np.zeros(len(logs))
    for row, each in enumerate(levels):
        if not each or len(each.places) < 2 * FEWEST_OTHERS:
            continue
        left = np.clip((logs[row, each.places] - each.fitted) / each.scale, -FAR, FAR)
        square = float(left @ left)
        if square:
            raw = float(left[1:] @ left[:-1]) / square
            lost = len(each.levels) / len(left)
            correlations[row] = (raw + lost) / (1 - 3 * lost) if lost < 1 / 6 else raw + lost
            points[row] = len(left)
    if not points.any():
        return correlations
    measured = points > 0
    shared = float(np.average(correlations[measured], weights=points[measured]))
    shared += math.sqrt((1 - min(abs(shared), MOST_CORRELATION) ** 2) / float(points.sum()))  # one error up
    chance = (1 - min(abs(shared), MOST_CORRELATION) ** 2) / points[measured]
    between = max(0.0, float(np.average((correlations[measured] - shared) ** 2 - chance, weights=points[measured])))
    trust = between / (between + chance) if between else np.zeros(measured.sum())
    result = np.full(len(logs), shared)
    result[measured] += trust * np.maximum(0.0, correlations[measured] - shared)  # never less than all together
    return np.asarray(np.clip(result, 0.0, MOST_CORRELATION))
