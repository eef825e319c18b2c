"""Change points: known answers, a slow oracle, properties, and the declared error held by simulation."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from int8bench.stats import changes
from int8bench.stats.changes import find_changes

ERROR = 0.01


def _noise(kind: str, shape: tuple[int, ...], seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_t(3, shape) if kind == "t3" else rng.standard_normal(shape)


def _stepped(points: int = 60, at: int = 30, step: float = 0.05, sd: float = 0.005, seed: int = 1) -> np.ndarray:
    values = 100 * np.exp(sd * _noise("normal", (points,), seed))
    values[at:] *= 1 + step
    return values


def _places(values: np.ndarray) -> list[int]:
    return [each.after for each in find_changes([values], error=ERROR)[0]]


@pytest.mark.parametrize("step", [0.03, 0.05, -0.05])
def test_a_step_is_found_where_it_is_with_its_size(step: float) -> None:
    """One change, at the first point of the new level, its interval about the truth."""
    (found,) = find_changes([_stepped(step=step, sd=0.003)], error=ERROR)[0]
    assert (found.before, found.after) == (29, 30)
    assert found.low < step < found.high
    assert found.level_before == pytest.approx(100, rel=0.003)
    assert found.level_after == pytest.approx(100 * (1 + step), rel=0.003)


def test_a_series_keeps_its_own_levels_beside_others_without_changes() -> None:
    """Levels are fitted to the series that changed, wherever it stands among those that did not."""
    flat = 7 * np.exp(0.002 * _noise("normal", (60,), 5))
    stepped = _stepped()
    alone = find_changes([stepped, flat], error=ERROR)[0]
    assert len(alone) == 1
    assert find_changes([flat, stepped], error=ERROR) == [(), alone]


@pytest.mark.parametrize(("after", "step"), [(3, 0.05), (4, 0.03)])
def test_a_step_is_found_soon_after_it_is_measured(after: int, step: float) -> None:
    """Three points after a step of 5 %, at 0.3 % of noise, are enough; one is not."""
    series = [_stepped(57 + after, 57, step, 0.003, seed) for seed in range(40)]
    assert sum(bool(each) for each in find_changes(series, error=ERROR)) >= 38
    assert not any(find_changes([each[:58] for each in series], error=ERROR))


def test_a_step_that_recovers_is_two_changes() -> None:
    """A bump of a tenth of the series is hidden by neither side of it."""
    values = _stepped(60, 30)
    values[36:] /= 1.05
    assert _places(values) == [30, 36]


def test_several_steps_are_all_found() -> None:
    """Up, up and down."""
    values = _stepped(80, 20)
    values[40:] *= 1.04
    values[60:] *= 0.95
    assert _places(values) == [20, 40, 60]


@pytest.mark.parametrize(
    ("values", "places"),
    [
        ([65_849.0] * 10 + [65_849.0 * 1.05] * 2, [10]),
        ([65_849.0] * 10 + [65_849.0 * 1.05], []),
        ([2.0] * 8 + [3.0] * 2, [8]),
        ([0.0] * 8 + [3.0] * 4, [8]),
        ([-2.0] * 8 + [-1.0] * 4, [8]),
        ([1.0] * 20, []),
        ([0.0] * 20, []),
        ([5.0, 5.0, 6.0, 6.0], [2]),
        ([5.0, 6.0, 6.0], []),
        ([], []),
        ([2.0] * 10 + [3.0] + [2.0] * 10, []),
    ],
    ids=str,
)
def test_series_without_noise_change_where_two_points_stay(values: list[float], places: list[int]) -> None:
    """Bytes and counts: any step that stays for two points; a single point that differs is none."""
    assert _places(np.array(values)) == places


def test_a_step_from_zero_is_no_fraction() -> None:
    """There is nothing that it would be a fraction of, and its levels say the rest."""
    (found,) = find_changes([[0.0] * 8 + [3.0] * 4], error=ERROR)[0]
    assert (found.step, found.low, found.high) == (None, None, None)
    assert (found.level_before, found.level_after) == (0.0, pytest.approx(3.0))


def test_a_step_below_zero_is_a_fraction_of_the_size_before() -> None:
    """From -2 to -1 is up by a half."""
    (found,) = find_changes([[-2.0] * 8 + [-1.0] * 8], error=ERROR)[0]
    assert found.step == pytest.approx(0.5)


@pytest.mark.parametrize("at", [0, 1, 30, 58, 59])
@pytest.mark.parametrize("size", [0.5, 2.0, 100.0])
def test_a_single_outlier_is_no_change(at: int, size: float) -> None:
    """However far, and at the ends too."""
    values = 100 * np.exp(0.005 * _noise("normal", (60,)))
    values[at] *= size
    assert _places(values) == []


def test_missing_points_keep_their_places() -> None:
    """Positions are those of the series as given; a gap at the step is spanned."""
    values = _stepped()
    values[[3, 29, 30, 50]] = math.nan
    (found,) = find_changes([values], error=ERROR)[0]
    assert (found.before, found.after) == (28, 31)


def test_scaling_changes_no_step() -> None:
    """Units do not matter."""
    values = _stepped()
    (here,), (scaled,) = find_changes([values], error=ERROR)[0], find_changes([1e-7 * values], error=ERROR)[0]
    assert (scaled.after, scaled.step) == (here.after, pytest.approx(here.step))


def test_reversal_mirrors_the_changes() -> None:
    """What is up one way is down the other, at the same place."""
    values = _stepped(step=0.05, sd=0.003, at=20)
    (there,), (back,) = find_changes([values], error=ERROR)[0], find_changes([values[::-1]], error=ERROR)[0]
    assert back.after == len(values) - there.after
    assert there.step is not None
    assert back.step == pytest.approx(1 / (1 + there.step) - 1)


def test_the_order_of_series_does_not_matter() -> None:
    """Nor do lengths and kinds of the others."""
    series = [_stepped(), np.ones(20), _stepped(80, 70, -0.04), np.zeros(9), _stepped(30, 15, 0.0), np.arange(3.0)]
    found = find_changes(series, error=ERROR)
    assert [len(each) for each in found] == [1, 0, 1, 0, 0, 0]
    assert find_changes(series[::-1], error=ERROR) == found[::-1]


def test_more_series_need_more_evidence() -> None:
    """A step that is found alone is not found as one of thousands: the error is that of all together."""
    values = _stepped(60, 57, 0.03, 0.005, 3)
    assert find_changes([values], error=ERROR)[0]
    assert not find_changes([values, *[np.ones(4)] * 20_000], error=ERROR)[0]


def test_the_error_is_that_of_all_series_together() -> None:
    """Of 60 families of 100 series without a change, no more than the declared 20 % have one that is called changed."""
    families = np.exp(0.005 * _noise("normal", (60, 100, 20), 4))
    alarms = sum(any(find_changes(list(family), error=0.2)) for family in families)
    assert alarms <= 0.2 * 60 + 3.1 * math.sqrt(0.2 * 60)


def test_counts_that_flicker_are_noise() -> None:
    """Where single points differ now and then, two in a row are no level, though most neighbours are equal."""
    values = np.full(40, 2.0)
    values[[5, 12, 20, 29]] = 3.0
    values[-2:] = 3.0
    assert _places(values) == []


def test_known_noise_is_the_least_that_is_believed() -> None:
    """Points that agree by luck are judged by their intervals."""
    values = _stepped(12, 6, 0.05, 0.001)
    assert find_changes([values], error=ERROR)[0]
    assert not find_changes([values], error=ERROR, least_noise=[0.05])[0]


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1])
def test_an_error_outside_zero_to_one_is_refused(error: float) -> None:
    """The message has the number."""
    with pytest.raises(ValueError, match=f"error: expected a number between 0 and 1, got {error}"):
        find_changes([[1.0, 2.0]], error=error)


def _cost(values: np.ndarray, scale: float) -> float:
    """-2 log likelihood of one level, its level searched plainly."""

    def at(level: float) -> float:
        return sum(4 * math.log1p(((value - level) / scale) ** 2 / 3) for value in values)

    starts = sorted(values)
    return min(
        float(minimize_scalar(at, bracket=(start - 0.1 * scale, start + 0.1 * scale)).fun) for start in {*starts}
    )


def _slowly(values: np.ndarray, scale: float, penalty: float, most: int = 2) -> tuple[list[int], float]:
    """The cheapest of all segmentations into up to three levels of three points or more, by trying each."""
    points = len(values)
    tried = []
    for count in range(most + 1):
        for inner in combinations(range(1, points), count):
            edges = [0, *inner, points]
            if min(b - a for a, b in pairwise(edges)) >= changes.SHORTEST:
                cost = sum(_cost(values[a:b], scale) for a, b in pairwise(edges))
                tried.append((cost + penalty * count, edges))
    cost, edges = min(tried)
    return edges, cost


@pytest.mark.parametrize("seed", range(6))
def test_the_segmentation_is_the_cheapest_of_all(seed: int) -> None:
    """The recursion over levels finds what trying every segmentation finds, up to the coarseness of its levels."""
    values = _noise("t3", (13,), seed)
    values[5:9] += 3.0 * seed
    fast = changes._segment(values[None, :], np.ones(1), 6.0, changes.SHORTEST)[0]
    slow, cheapest = _slowly(values, 1.0, 6.0)
    cost = sum(_cost(values[a:b], 1.0) for a, b in pairwise(fast)) + 6.0 * (len(fast) - 2)
    assert cost <= cheapest + 4 / 3 * (len(slow) - 1)
    assert seed < 3 or fast == slow


@pytest.mark.parametrize("points", [6, 10, 20, 60, 300])
@pytest.mark.parametrize("kind", ["normal", "t3", "outliers"])
def test_the_declared_error_is_kept(points: int, kind: str) -> None:
    """Of series without a change, no more are called changed than declared: at 5 % each and at 1 % for all of 20."""
    count = 40_000 // points
    values = _noise("normal" if kind == "outliers" else kind, (count, points), points)
    if kind == "outliers":
        rng = np.random.default_rng(points)
        values[np.arange(count), rng.integers(points, size=count)] += rng.choice([-20, -8, 8, 20], size=count)
    (batch,) = changes._batches(list(np.exp(0.005 * values)), np.zeros(count), np.ones(count))
    for error in (0.05, ERROR / 20):
        alarms = sum(len(levels.edges) > 2 for _, levels in changes._search(batch, error))
        # as many as the declared error gives with a chance of 0.001 at the most
        assert alarms <= error * count + 3.1 * math.sqrt(error * count) + 1


@pytest.mark.parametrize("kind", ["normal", "t3"])
def test_intervals_hold_the_step(kind: str) -> None:
    """In 93 % or more of 400 series, where 95 % are declared."""
    values = np.exp(0.005 * _noise(kind, (400, 60), 9))
    values[:, 40:] *= 1.05
    found = [each for each in find_changes(list(values), error=ERROR) if len(each) == 1]
    assert len(found) > 390
    held = [each.low is not None and each.high is not None and each.low <= 0.05 <= each.high for (each,) in found]
    assert np.mean(held) >= 0.93
