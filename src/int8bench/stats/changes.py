"""Change points of many series at once, with one declared error over all of them. Pure.

Model: a series is constant between changes, with independent noise of Student's t with 3 degrees of freedom about each
level, so that a bad day is no change (a slowly growing loss against outliers: Fearnhead and Rigaill 2019). A
segmentation costs -2 log likelihood and a penalty for each change; the cheapest of all segmentations is found over a
grid of levels (optimal partitioning, Jackson et al. 2005, with Viterbi's recursion over levels). A step that recovers
is weighed as two changes; nothing hides it, as in binary segmentation.

Error: at one place, k points beside it look like a new level by chance with probability about exp(-gain * TAIL). The
density of k values of t3 that agree at x falls as x**(-4 k) and their gain grows as 8 k log x, so that the exponent is
(4 k - 1) / 8 k, least where k is least. The penalty makes this `error / (series * places)`; by Bonferroni a false
change anywhere has at most probability `error`, and gains of several add, so that those are rarer by powers. The scale
of the noise is estimated; `_inflation` pays for that. Simulations in tests/stats/test_changes.py hold the constants.

Limit: that holds for noise no heavier than the model. Where one measurement in twenty lies far off on one side, three
side by side at an end of a series happen more often than the model says, and the error can exceed the declared one
(scripts/scratch_history.py tries it on stored races).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from int8bench.stats.limits import CONFIDENCE

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

FREEDOM = 3.0  # of the noise model
SHORTEST = 3  # points of a level: two outliers side by side are no level
SHORTEST_EXACT = 2  # the same where nothing varies between steps
TAIL = (4 * SHORTEST - 1) / (8 * SHORTEST)  # the exponent above
PLACES_COST = 0.15  # simulated false alarms stay below the declared ones from 6 points to 2,000, t3 and normal
EXACT = 1e-9  # of the level: smaller differences are rounding
T3_MEDIAN_DIFFERENCE = 1.21  # median of |t - t'| for two values of t3, simulated with 2,000,000 pairs
# Variance of a level's estimate, in scale**2 / points: 1.5 for t3 (the inverse of its Fisher information), 1.87 for
# normal noise, whose fitted scale of t3 is 0.793 of its deviation (means over 4,000,000 values). The larger serves.
LEVEL_VARIANCE = 1.87
SPACING = 2.0  # of the levels tried, in noise scales / sqrt(points): a level between two of them costs 4/3 at most
DILATION = 2  # levels tried on either side of each running median
REFITS = 15  # of a robust level or scale: the fourth digit is still by then
CHUNK = 1 << 16  # (series, level) numbers worked on at once; they stay in a processor's cache


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A step between two neighbouring points that were measured.

    `step` is a fraction of the level before (0.05 is 5 % up), `low` and `high` its 95 % interval; None where the level
    before is zero, of which nothing is a fraction.
    """

    before: int
    """Position of the last point before the step."""
    after: int
    """Position of the first point after it."""
    step: float | None
    low: float | None
    high: float | None
    level_before: float
    level_after: float


@dataclass(frozen=True, slots=True)
class _Batch:
    """Series of one length that share a scale (logarithms or plain) and the fewest points of a level."""

    rows: tuple[int, ...]
    """Which of the series given."""
    values: Floats
    """(series, point), in logarithms where `logs`."""
    floors: Floats
    """(series,): the least scale of the noise."""
    logs: bool
    exact: bool
    longer: Floats
    """(series,): by how much the noise of a level is larger than that of as many independent points."""

    @property
    def shortest(self) -> int:
        return SHORTEST_EXACT if self.exact else SHORTEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """A series as levels between changes."""

    places: Indices
    """(point,): the positions that were measured."""
    edges: tuple[int, ...]
    """Of the levels among those: 0, the first point of each further level, and their number."""
    levels: tuple[float, ...]
    """In logarithms where `logs`."""
    scale: float
    """Of the noise of one point, in the same."""
    longer: float
    """By how much the noise of a level is larger than that of as many independent points."""
    logs: bool

    @property
    def fitted(self) -> Floats:
        """(point,): the level that each measured point lies in."""
        return np.repeat(np.asarray(self.levels), np.diff(self.edges))

    @property
    def changes(self) -> tuple[Change, ...]:
        """The steps between the levels, in order."""
        return tuple(_changes(self))


def find_changes(
    series: Sequence[npt.ArrayLike],
    *,
    error: float,
    least_noise: Sequence[float] | None = None,
    correlation: Sequence[float] | None = None,
) -> list[tuple[Change, ...]]:
    """Return the changes of each series, in order.

    Args:
        series: values in order of time; one that is not finite is missing.
        error: probability of one false change or more in all series together.
        least_noise: standard deviation of each series' noise as a fraction of its level, at the least; measured
            intervals know it better than a few points do.
        correlation: of the noise of each two neighbours; 0 where it is not given.

    Raises:
        ValueError: an error outside 0 to 1.
    """
    levels = find_levels(series, error=error, least_noise=least_noise, correlation=correlation)
    return [each.changes if each else () for each in levels]


def find_levels(
    series: Sequence[npt.ArrayLike],
    *,
    error: float,
    least_noise: Sequence[float] | None = None,
    correlation: Sequence[float] | None = None,
) -> list[Levels | None]:
    """Return the levels of each series, as `find_changes` has them; None for a series that is too short to be searched.

    Args:
        series: values in order of time; one that is not finite is missing.
        error: probability of one false change or more in all series together.
        least_noise: least standard deviation of each series' noise, as a fraction of its level; None is 0 for each.
        correlation: of the noise of each two neighbours, a number a series; None is 0 for each.

    Raises:
        ValueError: an error outside 0 to 1.
    """
    if not 0 < error < 1:
        raise ValueError(f"error: expected a number between 0 and 1, got {error}")
    arrays = [np.asarray(each, dtype=np.float64) for each in series]
    places = [np.flatnonzero(np.isfinite(array)) for array in arrays]
    noise = np.zeros(len(arrays)) if least_noise is None else np.asarray(least_noise, dtype=np.float64)
    rho = np.zeros(len(arrays)) if correlation is None else np.asarray(correlation, dtype=np.float64)
    longer = np.sqrt((1 + rho) / (1 - rho))
    searchable = sum(len(place) >= 2 * SHORTEST_EXACT for place in places)
    found: list[Levels | None] = [None] * len(arrays)
    for batch in _batches([each[kept] for each, kept in zip(arrays, places, strict=True)], noise, longer):
        for row, levels in _search(batch, error / searchable):
            found[row] = replace(levels, places=places[row])
    return found


def _batches(series: Sequence[Floats], noise: Floats, longer: Floats) -> Iterator[_Batch]:
    """Yield the series that are long enough to be searched, side by side with others that are treated alike."""
    by_length: defaultdict[tuple[int, bool], list[int]] = defaultdict(list)
    for row, values in enumerate(series):
        if len(values) >= 2 * SHORTEST_EXACT:
            by_length[len(values), bool((values > 0).all())].append(row)
    for (points, logs), rows in by_length.items():
        values = np.stack([series[row] for row in rows])
        largest = np.abs(values).max(axis=1)
        unit = np.where(largest > 0, largest, 1.0) if not logs else np.ones(len(rows))
        values = np.log(values) if logs else values
        blips = _blips(values, EXACT * unit)
        floors = np.maximum(np.maximum(blips, noise[rows] * unit), EXACT * unit)
        exact = (floors == EXACT * unit) & (_rough_scale(values) <= EXACT * unit)
        for kind in (True, False):
            chosen = np.flatnonzero(exact == kind)
            if len(chosen) and points >= 2 * (SHORTEST_EXACT if kind else SHORTEST):
                there = [rows[each] for each in chosen]
                spread = np.ones(len(there)) if kind else longer[there]
                yield _Batch(tuple(there), values[chosen], floors[chosen], logs, kind, spread)


def _blips(values: Floats, rounding: Floats) -> Floats:
    """Return the least noise, (series,), of series whose neighbours are mostly equal, from the points that are not.

    The median difference of those is zero though they vary. A last point that differs is no blip yet: it may stay.
    """
    away = values[:, 1:-1] - _running_median(values)
    size = np.sqrt((away * away).mean(axis=1))
    return np.where((_rough_scale(values) <= rounding) & (size > rounding), size, 0.0)


def _rough_scale(values: Floats) -> Floats:
    """Return the scale of t3 noise, (series,), from differences of neighbours, which few steps hardly touch."""
    return np.asarray(np.median(np.abs(np.diff(values, axis=1)), axis=1)) / T3_MEDIAN_DIFFERENCE


def _search(batch: _Batch, error: float) -> Iterator[tuple[int, Levels]]:
    """Yield the row and the levels of each series, whose changes are found at `error` each.

    A first segmentation with a rough scale gives the residuals from which the scale is estimated well.
    """
    points = batch.values.shape[1]
    penalty = _penalty(points, error)
    widen = _inflation(points * _worth(batch.longer), penalty) * batch.longer
    rough = np.maximum(_rough_scale(batch.values), batch.floors)
    first = _segment(batch.values, rough * widen, penalty, batch.shortest)
    scales = np.maximum(_scales(batch.values, first, rough, batch.longer), batch.floors)
    starts = _segment(batch.values, scales * widen, penalty, batch.shortest)
    everywhere = np.arange(points)
    for row, edges in enumerate(starts):
        yield (
            batch.rows[row],
            Levels(
                places=everywhere,
                edges=tuple(edges),
                levels=tuple(_levels(batch.values[row], edges, scales[row])),
                scale=float(scales[row]),
                longer=float(batch.longer[row]),
                logs=batch.logs,
            ),
        )


def _penalty(points: int, error: float) -> float:
    """Return the gain that a change must have, in -2 log likelihood."""
    return math.log(max(1.0, PLACES_COST * points / error)) / TAIL


def _inflation(points: Floats, gain: float) -> Floats:
    """Return the factor on an estimated scale of t3 that makes far tails as rare as with a known scale.

    `points` is the number of values that the scale is estimated from.

    Student's t with v degrees reaches what a normal with gain z**2 does at t**2 = v (exp(z**2 / v) - 1), from its
    likelihood ratio; a scale of t3 is known as well as a normal's from half as many points (its Fisher information).
    """
    freedom = points / 2
    return np.asarray(np.sqrt(freedom * np.expm1(gain / freedom) / gain))


def _worth(longer: Floats) -> Floats:
    """Return the share of independent points that tell a scale as well as correlated ones.

    It is (1 - r**2) / (1 + r**2) at a correlation r (Bartlett 1946).
    """
    squared = longer * longer
    return np.asarray(2 * squared / (squared * squared + 1))


def _segment(values: Floats, scales: Floats, penalty: float, shortest: int) -> list[list[int]]:
    """Return the edges of each series' levels: 0, the first point of each further level, and the number of points."""
    grid = _grid(values, scales)
    rows = max(1, CHUNK // grid.shape[1])
    edges: list[list[int]] = []
    for start in range(0, len(values), rows):
        part = slice(start, start + rows)
        part_grid = grid[part]
        width = int(np.isfinite(part_grid).sum(axis=1).max())
        standard = values[part] / scales[part, None]
        begun = _cheapest(standard, part_grid[:, :width] / scales[part, None], penalty, shortest)
        edges += [_walk_back(row) for row in begun]
    return edges


def _grid(values: Floats, scales: Floats) -> Floats:
    """Return the levels to try, (series, level), about each running median of three points.

    A series with fewer levels than another has inf in their place.
    """
    spacing = SPACING / math.sqrt(values.shape[1]) * scales[:, None]
    steps = np.round(_running_median(values) / spacing)
    near = (steps[:, :, None] + np.arange(-DILATION, DILATION + 1)).reshape(len(values), -1)
    near.sort(axis=1)
    new = np.ones(near.shape, dtype=bool)
    new[:, 1:] = np.diff(near, axis=1) > 0
    places = np.cumsum(new, axis=1) - 1
    grid = np.full((len(values), int(places.max()) + 1), np.inf)
    rows, columns = np.nonzero(new)
    grid[rows, places[rows, columns]] = near[rows, columns]
    return grid * spacing


def _running_median(values: Floats) -> Floats:
    before, here, after = values[:, :-2], values[:, 1:-1], values[:, 2:]
    return np.maximum(np.minimum(before, here), np.minimum(np.maximum(before, here), after))


def _cheapest(values: Floats, grid: Floats, penalty: float, shortest: int) -> Indices:
    """Return where the last level of the cheapest segmentation of the first `end` points begins, (series, points + 1).

    Args:
        values: (series, point), in scales of the noise.
        grid: (series, level), in the same; inf is no level.
        penalty: of each change.
        shortest: fewest points of a level.
    """
    count, points = values.shape
    cost = np.full(grid.shape, np.inf)  # of the cheapest segmentation that ends at a level
    begun = np.zeros(grid.shape, dtype=np.intp)
    best = np.full((points + 1, count), np.inf)
    best[0] = -penalty  # the first level is no change
    starts = np.zeros((points + 1, count), dtype=np.intp)
    recent = np.zeros((shortest, *grid.shape))
    rows = np.arange(count)
    for end in range(1, points + 1):
        here = recent[end % shortest]
        np.subtract(values[:, end - 1, None], grid, out=here)
        _loss(here)
        cost += here
        if end >= shortest:
            fresh = recent.sum(axis=0)
            fresh += (best[end - shortest] + penalty)[:, None]
            better = fresh < cost
            np.copyto(cost, fresh, where=better)
            begun[better] = end - shortest
        cheapest = cost.argmin(axis=1)
        best[end], starts[end] = cost[rows, cheapest], begun[rows, cheapest]
    return starts.T


def _loss(residuals: Floats) -> None:
    """Turn residuals in scales into -2 log likelihood of t3 less that at zero, in place."""
    np.multiply(residuals, residuals, out=residuals)
    residuals /= FREEDOM
    np.log1p(residuals, out=residuals)
    residuals *= FREEDOM + 1


def _walk_back(starts: Indices) -> list[int]:
    edges = [len(starts) - 1]
    while edges[-1] > 0:
        edges.append(int(starts[edges[-1]]))
    return edges[::-1]


def _scales(values: Floats, edges: Sequence[Sequence[int]], rough: Floats, longer: Floats) -> Floats:
    """Return the scale of t3 that fits the residuals about the levels best, (series,).

    The degrees of freedom of the levels are paid for.
    """
    residuals = values - _fitted(values, edges)
    points = values.shape[1]
    levels = np.array([len(edge) - 1 for edge in edges])
    left = np.maximum(points - levels * longer * longer, np.minimum(points / 4, np.maximum(1, points - levels)))
    squares = residuals * residuals
    scales = rough * rough
    for _ in range(REFITS):
        weighted = squares * (FREEDOM + 1) / (FREEDOM + squares / scales[:, None])
        scales = np.maximum(weighted.mean(axis=1), np.finfo(float).tiny)
    return np.asarray(np.sqrt(scales * points / left))


def _fitted(values: Floats, edges: Sequence[Sequence[int]]) -> Floats:
    """Return the median of the level that each point lies in, (series, point)."""
    fitted = np.repeat(np.median(values, axis=1)[:, None], values.shape[1], axis=1)
    for row, each in enumerate(edges):
        if len(each) > 2:  # noqa: PLR2004  one level is done above, for all series at once
            for start, stop in pairwise(each):
                fitted[row, start:stop] = np.median(values[row, start:stop])
    return fitted


def _levels(values: Floats, edges: Sequence[int], scale: float) -> list[float]:
    """Return the most likely level between each two edges of one series."""
    return [_level(values[start:stop], scale) for start, stop in pairwise(edges)]


def _level(values: Floats, scale: float) -> float:
    """Return the most likely level of t3 noise: a mean in which far points weigh little, reweighted until it stands."""
    level = float(np.median(values))
    for _ in range(REFITS):
        weights = 1 / (FREEDOM + ((values - level) / scale) ** 2)
        level = float(weights @ values / weights.sum())
    return level


def _changes(levels: Levels) -> Iterator[Change]:
    points = levels.edges[-1]
    freedom = max(1.0, points / 2 / levels.longer**2 - len(levels.levels))
    quantile = float(stdtrit(freedom, 0.5 + CONFIDENCE / 2)) * levels.scale * levels.longer
    for number, (before, after) in enumerate(pairwise(levels.levels)):
        counts = np.diff(levels.edges[number : number + 3])
        half = quantile * math.sqrt(LEVEL_VARIANCE * float((1 / counts).sum()))
        step, low, high = (_relative(before, after + shift, logs=levels.logs) for shift in (0.0, -half, half))
        edge = levels.edges[number + 1]
        yield Change(
            before=int(levels.places[edge - 1]),
            after=int(levels.places[edge]),
            step=step,
            low=low,
            high=high,
            level_before=math.exp(before) if levels.logs else float(before),
            level_after=math.exp(after) if levels.logs else float(after),
        )


def _relative(before: float, after: float, *, logs: bool) -> float | None:
    if logs:
        return math.expm1(after - before)
    return (after - before) / abs(before) if before else None
