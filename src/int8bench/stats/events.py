"""Steps that half of a machine's series or more make at one place: events, which are no change of any one. Pure.

What the common drift of many series does is searched like a series, by commit and by the time of measuring. Each
series that went along is a member, whatever the size of its own step; where fewer than half did, each step is its own.
A step is an event where half of the series show it by themselves, the drift left in them: less than that is the
drift's. Where a drift cannot be told, for want of series, changes that coincide are counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.stats import t as student

from int8bench.stats.changes import Change, Floats, Indices, Levels, find_levels
from int8bench.stats.drift import HALF, NEAR, Drift, Mask, correlated_levels, correlation_of
from int8bench.stats.limits import CONFIDENCE

FEWEST_TOGETHER = 2  # series whose changes coincide
OUTLYING = 4.0  # spreads of the members' steps beyond which a member did something of its own as well
MEDIAN_DEVIATION = 1.4826  # a normal's deviation over its median absolute one


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonStep:
    """A step that half or more of the series make at one place.

    `step`, `low` and `high` are fractions of the level before, as a change has them.
    """

    before: int
    """The last session before the step."""
    after: int
    """The first session after it."""
    step: float | None
    low: float | None
    high: float | None
    members: tuple[int, ...]
    """Which series went along."""
    present: int
    """How many series were measured on both sides."""
    by_commit: bool
    """Whether sessions stand before and after by commit; by the time of measuring otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A step of the drift: its size and half interval in logarithms, and the sessions after it."""

    before: int
    after: int
    size: float
    half: float
    later: Mask
    by_commit: bool

    def both(self, drift: Drift) -> Mask:
        """Return which series were measured before and after, (series,)."""
        there = np.isfinite(drift.logs)
        return np.asarray((there & self.later).any(axis=1) & (there & ~self.later).any(axis=1))


def events_of(drift: Drift, measured: Indices, *, error: float) -> tuple[list[CommonStep], Floats]:
    """Return the events of a drift, and the logarithms of the series without drift and events, (series, session).

    A series that did not go along, or that did something else besides, keeps that as its own.

    Args:
        drift: what the series share.
        measured: (session,): the rank of each session in order of time.
        error: probability of one false step or more.
    """
    own, events = drift.own, list[CommonStep]()
    for step in _steps(drift.common, measured, error):
        members, taken, net = _weighed(step, drift)
        own = own - np.where(step.later, taken[:, None], 0.0)
        if members.any():
            events.append(_event(step, net, members, step.both(drift)))
    alone = {
        by_commit: _alone(drift.logs, measured, error=error, by_commit=by_commit)
        for by_commit in {event.by_commit for event in events}
    }
    return [event for event in events if _shown(event, alone[event.by_commit], measured)], own


def _alone(logs: Floats, measured: Indices, *, error: float, by_commit: bool) -> list[list[tuple[int, float]]]:
    """Return the place and the size of each change that a series shows by itself, (series)(change,), in order."""
    order = np.arange(len(measured)) if by_commit else np.argsort(measured)
    ordered = logs[:, order]
    levels, _ = correlated_levels(ordered, error=error)
    return [
        [(each.after, float(np.log(each.level_after / each.level_before))) for each in (mine.changes if mine else ())]
        for mine in levels
    ]


def _shown(event: CommonStep, alone: Sequence[Sequence[tuple[int, float]]], measured: Indices) -> bool:
    """Tell whether half of the present series show an event, or half of its size, by themselves."""
    place = event.after if event.by_commit else int(measured[event.after])
    size = float(np.log1p(event.step or 0.0))
    up = np.sign(size)
    count = sum(any(abs(at - place) <= NEAR and its * up >= abs(size) / 2 for at, its in each) for each in alone)
    return count >= HALF * event.present


def _steps(common: Floats, measured: Indices, error: float) -> list[_Step]:
    """Return the steps of the drift in the order that explains it better, then those of the rest in the other."""
    by_commit = np.arange(len(common))
    by_time = np.argsort(measured)
    orders = [(by_commit, True)]
    if not np.array_equal(by_commit, by_time):
        orders.append((by_time, False))
        orders.sort(key=lambda each: _cost(common[each[0]], error))
    steps = list[_Step]()
    for order, is_commit in orders:
        levels = _levels(common[order], error)
        steps += [_step(change, order, by_commit=is_commit) for change in (levels.changes if levels else ())]
        if levels:
            common = common.copy()
            common[order] -= levels.fitted - levels.levels[0]
    return steps


def _levels(common: Floats, error: float) -> Levels | None:
    """Return the levels of a drift, with the noise of its own: about levels that take the noise for independent."""
    rough = find_levels([np.exp(common)], error=error)
    return find_levels([np.exp(common)], error=error, correlation=correlation_of(common[None, :], rough).tolist())[0]


def _cost(common: Floats, error: float) -> float:
    """Return how badly levels explain a drift in some order: Schwarz's criterion (1978)."""
    levels = _levels(common, error)
    points = len(common)
    return 0.0 if levels is None else float(2 * points * np.log(levels.scale) + len(levels.levels) * np.log(points))


def _step(change: Change, order: Indices, *, by_commit: bool) -> _Step:
    size, low, high = (float(np.log1p(each or 0.0)) for each in (change.step, change.low, change.high))
    later = np.zeros(len(order), dtype=bool)
    later[order[change.after :]] = True
    before, after = int(order[change.before]), int(order[change.after])
    return _Step(before=before, after=after, size=size, half=(high - low) / 2, later=later, by_commit=by_commit)


def _weighed(step: _Step, drift: Drift) -> tuple[Mask, Floats, Floats]:
    """Return which series went along, the part to take from each beside the drift, and each one's step: (series,) each.

    Where fewer than half of the present series went along, none is a member and each gets the drift's step back.
    """
    present = step.both(drift)
    steps = _beside(step, drift)
    net = step.size + steps
    members = present & (net * np.sign(step.size) > abs(step.size) / 2)
    if members.sum() < HALF * present.sum():
        return np.zeros_like(members), np.where(present, -step.size, 0.0), net
    mine = net[members]
    typical = MEDIAN_DEVIATION * float(np.median(np.abs(mine - np.median(mine))))
    taken = np.where(np.abs(steps) <= max(OUTLYING * typical, abs(step.size) / 2), steps, 0.0)
    taken[~members] = np.where(np.abs(net) <= abs(step.size) / 2, steps, -step.size)[~members]
    return members, np.where(present, taken, 0.0), net


def _beside(step: _Step, drift: Drift) -> Floats:
    """Return the step of each series at the place of a step beside the step itself, (series,)."""
    if step.by_commit:
        return np.array([_step_near(level, step.after) for level in drift.levels])
    sizes = np.zeros(len(drift.logs))
    for row, each in enumerate(drift.levels):
        if each:
            left, later = drift.own[row, each.places] - each.fitted, step.later[each.places]
            counts = later.sum(), (~later).sum()
            if min(counts):
                size = float(left[later].mean() - left[~later].mean())
                noise = each.scale * each.longer * float(np.sqrt((1 / np.array(counts)).sum()))
                sizes[row] = size if abs(size) > OUTLYING * noise else 0.0
    return sizes


def _step_near(levels: Levels | None, place: int) -> float:
    if levels is None:
        return 0.0
    edges = zip(pairwise(levels.levels), levels.edges[1:-1], strict=True)
    return sum(after - before for (before, after), edge in edges if abs(int(levels.places[edge]) - place) <= NEAR)


def _event(step: _Step, net: Floats, members: Mask, present: Mask) -> CommonStep:
    middle, half = _mean(net[members])
    half = float(np.hypot(half, step.half))
    return CommonStep(
        before=step.before,
        after=step.after,
        step=float(np.expm1(middle)),
        low=float(np.expm1(middle - half)),
        high=float(np.expm1(middle + half)),
        members=tuple(int(each) for each in np.flatnonzero(members)),
        present=int(present.sum()),
        by_commit=step.by_commit,
    )


def _mean(values: Floats) -> tuple[float, float]:
    """Return the mean and half of its interval, by Student's t."""
    if len(values) < 2:  # noqa: PLR2004  one value has no spread
        return float(values.mean()), 0.0
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, len(values) - 1))
    return float(values.mean()), quantile * float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def coincidences(
    changes: Sequence[Sequence[Change]], there: Mask, leaders: Sequence[int] = (), *, followed: bool = True
) -> Iterator[tuple[CommonStep, frozenset[tuple[int, int]]]]:
    """Yield each event, a change of half or more of the series at one place in one direction, and its members' changes.

    Args:
        changes: (series): places are sessions.
        there: (series, session): where each was measured.
        leaders: series that no commit changes: a change of one of those makes an event of all at its place.
        followed: whether half of the series make an event without a leader.

    Yields:
        An event, and (series, number of the change) of each member's.
    """
    left = {
        (row, number): (each, 1 if each.level_after > each.level_before else -1)
        for row, mine in enumerate(changes)
        for number, each in enumerate(mine)
    }
    while left:
        best: tuple[int, set[tuple[int, int]]] = (0, set())
        for key, (change, sign) in left.items():
            led = key[0] in leaders
            near = {
                other
                for other, (each, its) in left.items()
                if abs(each.after - change.after) <= NEAR and (led or its == sign)
            }
            rows = {row for row, _ in near}
            enough = followed and len(rows) >= max(FEWEST_TOGETHER, HALF * _spanning(there, change))
            rank = len(rows) + (len(there) if led else 0)
            if (led or enough) and rank > best[0]:
                best = (rank, near)
                first = change
        if not best[1]:
            return
        yield _coincidence(first, best[1], left, there), frozenset(best[1])
        for key in best[1]:
            del left[key]


def _spanning(there: Mask, change: Change) -> int:
    """Return how many series were measured on both sides of a change."""
    return int((there[:, : change.after].any(axis=1) & there[:, change.after :].any(axis=1)).sum())


def _coincidence(
    first: Change, keys: set[tuple[int, int]], left: dict[tuple[int, int], tuple[Change, int]], there: Mask
) -> CommonStep:
    steps = [left[key][0].step for key in keys]
    known = np.array([np.log1p(step) for step in steps if step is not None and step > -1])
    middle, half = _mean(known) if len(known) else (np.nan, np.nan)
    alone = [change for change, _ in (left[key] for key in keys) if change.low is not None and change.high is not None]
    if len(alone) == 1 and alone[0].low is not None and alone[0].high is not None:
        half = float(np.log1p(alone[0].high) - np.log1p(alone[0].low)) / 2
    known_step = bool(len(known))
    return CommonStep(
        before=first.before,
        after=first.after,
        step=float(np.expm1(middle)) if known_step else None,
        low=float(np.expm1(middle - half)) if known_step else None,
        high=float(np.expm1(middle + half)) if known_step else None,
        members=tuple(sorted({row for row, _ in keys})),
        present=_spanning(there, first),
        by_commit=True,
    )
