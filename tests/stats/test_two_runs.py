"""What changed between two stored runs: known answers, the declared error by simulation, and power."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import nctdtrinc, stdtrit

from int8bench.stats import two_runs
from int8bench.stats.ratio import LaunchTable
from int8bench.stats.verdict import default_looks, nominal_errors

ERROR = 0.001
RUNS = 200_000
SHAPES = [(4, 4), (4, 8), (8, 8), (6, 20)]  # launches of the old and of the new run


def _means(rng: np.random.Generator, launches: int, spread: float, runs: int = RUNS) -> NDArray[np.float64]:
    return rng.normal(0, spread, (runs, launches))


def _table(means: NDArray[np.float64]) -> LaunchTable:
    return LaunchTable(log_ratios=tuple((value,) for value in means.tolist()), pairs=len(means))


def _called(old: NDArray[np.float64], new: NDArray[np.float64], nominal: NDArray[np.float64] | float) -> float:
    """The share of simulated pairs of runs that the rule of `difference` calls different; one row a pair."""
    error = np.sqrt(old.var(axis=1, ddof=1) / old.shape[1] + new.var(axis=1, ddof=1) / new.shape[1])
    freedom = min(old.shape[1], new.shape[1]) - 1
    return float((np.abs(new.mean(axis=1) - old.mean(axis=1)) > stdtrit(freedom, 1 - nominal / 2) * error).mean())


def test_the_difference_is_that_of_the_textbook() -> None:
    """Mean, Welch's standard error and the smaller run's degrees of freedom, by hand and as simulated below."""
    found = two_runs.difference([0.0, 2.0, 4.0], [5.0, 7.0, 5.0, 7.0])
    assert (found.centre, found.freedom) == (4.0, 2)
    assert found.error == pytest.approx(math.sqrt(4.0 / 3 + (4 / 3) / 4))
    rng = np.random.default_rng(0)
    old, new = _means(rng, 4, 1.0, 200), _means(rng, 6, 2.0, 200)
    called = [
        abs(each.centre) > each.half_width(0.3)
        for each in (two_runs.difference(a, b) for a, b in zip(old.tolist(), new.tolist(), strict=True))
    ]
    assert np.mean(called) == pytest.approx(_called(old, new, 0.3))


@pytest.mark.parametrize("spread", [0.1, 1 / 3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize(("old", "new"), SHAPES)
def test_equal_runs_are_called_different_as_rarely_as_declared(old: int, new: int, spread: float) -> None:
    """At an error of 0.001 a thousandth at most, also where one run is much noisier than the other."""
    rng = np.random.default_rng([1, old, new])
    assert _called(_means(rng, old, 1.0), _means(rng, new, spread), ERROR) <= ERROR + 3 * math.sqrt(ERROR / RUNS)


def _stopped(rng: np.random.Generator, nominal: tuple[float, ...], looks: tuple[int, ...]) -> NDArray[np.float64]:
    """(pair, [mean, variance of the mean, launches, nominal error]) of runs that stop once they look quiet enough."""
    means = _means(rng, looks[-1], 0.005)
    found = np.zeros((RUNS, 4))
    running = np.ones(RUNS, bool)
    for look, launches in enumerate(looks):
        seen = means[:, :launches]
        variance = seen.var(axis=1, ddof=1) / launches
        quiet = stdtrit(launches - 1, 0.975) * np.sqrt(variance) < 0.004
        stop = running & (quiet | (launches == looks[-1]))
        columns = (seen.mean(axis=1), variance, np.full(RUNS, launches), np.full(RUNS, nominal[look]))
        found[stop] = np.column_stack(columns)[stop]
        running &= ~stop
    return found


def test_runs_that_stop_early_keep_the_error() -> None:
    """Both runs stop where they happen to look quiet; the smaller nominal error of the two looks makes up for it."""
    looks = default_looks(8)
    nominal = nominal_errors(looks, ERROR)
    rng = np.random.default_rng(2)
    old, new = _stopped(rng, nominal, looks.launches), _stopped(rng, nominal, looks.launches)
    assert 0.2 < (old[:, 2] < 8).mean() < 0.8
    freedom, error = np.minimum(old[:, 2], new[:, 2]) - 1, np.minimum(old[:, 3], new[:, 3])
    limit = stdtrit(freedom, 1 - error / 2) * np.sqrt(old[:, 1] + new[:, 1])
    assert (np.abs(new[:, 0] - old[:, 0]) > limit).mean() <= ERROR + 3 * math.sqrt(ERROR / RUNS)


@pytest.mark.parametrize("launches", [4, 8])
def test_the_smallest_visible_effect_is_seen(launches: int) -> None:
    """A change of the size that is told is called in 95 % or more of pairs of runs with the same spread."""
    error = 0.005 * math.sqrt(2 / launches)
    told = two_runs.Difference(centre=0.0, error=error, freedom=launches - 1).visible(ERROR)
    rng = np.random.default_rng([3, launches])
    old, new = _means(rng, launches, 0.005), _means(rng, launches, 0.005) + math.log1p(told)
    assert _called(old, new, ERROR) >= 0.95


def test_two_default_runs_see_three_percent() -> None:
    """Eight launches each with a spread of half a percent, as METHOD has it, call 3 % in 95 % of pairs of runs."""
    rng = np.random.default_rng(4)
    old, new = _means(rng, 8, 0.005), _means(rng, 8, 0.005) - math.log1p(0.03)
    assert _called(old, new, nominal_errors(default_looks(8), ERROR)[-1]) >= 0.95


@pytest.mark.parametrize("gap", [0.0, 0.002, 0.5])
def test_the_change_of_the_speedup_over_the_best_is_covered(gap: float) -> None:
    """Whichever reference is the best in which run, the shown interval holds the change of the minimum."""
    rng = np.random.default_rng([5, int(1000 * gap)])
    covered = 0
    for _ in range(1000):
        old = {"first": _table(rng.normal(0.0, 0.004, 6)), "second": _table(rng.normal(gap, 0.004, 6))}
        new = {"first": _table(rng.normal(0.05, 0.004, 6)), "second": _table(rng.normal(gap, 0.004, 6))}
        truth = math.exp(min(0.05, gap) - min(0.0, gap))
        found = two_runs.change_of_smallest(old, new, shown_error=0.05, judged_error=ERROR)
        assert found.surely_low <= found.low <= found.value <= found.high <= found.surely_high
        covered += found.low <= truth <= found.high
    assert covered >= 950 - 3 * math.sqrt(1000 * 0.05)


def test_a_reference_that_nobody_would_use_widens_nothing() -> None:
    """A reference far from the best is left out, however noisy; one that could be the best is not."""
    rng = np.random.default_rng(6)
    best = [_table(rng.normal(0, 0.004, 8)) for _ in range(2)]
    noise = rng.normal(0, 0.03, (2, 8))
    alone = two_runs.change_of_smallest({"best": best[0]}, {"best": best[1]}, shown_error=0.05, judged_error=ERROR)

    def with_another(distance: float) -> two_runs.RunChange:
        old, new = ({"best": best[run], "other": _table(distance + noise[run])} for run in (0, 1))
        return two_runs.change_of_smallest(old, new, shown_error=0.05, judged_error=ERROR)

    far, near = with_another(0.5), with_another(0.0)
    wide, narrow, plain = (math.log(each.high / each.low) for each in (near, far, alone))
    assert narrow == pytest.approx(plain, rel=0.1)
    assert wide > 3 * plain


def test_a_few_replicates_share_their_spread() -> None:
    """Twelve cells of three replicates, with luck that the cells of a run share, keep the error and see 25 %."""
    rng = np.random.default_rng(7)
    runs, wrong, seen = 4000, 0, 0
    for _ in range(runs):
        shared = rng.normal(0, 0.012, (2, 3))
        values = rng.normal(0, 0.012, (12, 2, 3)) + shared
        values[0, 1] += math.log(1.25)
        found = list(two_runs.pooled({str(i): (cell[0], cell[1]) for i, cell in enumerate(values)}).values())
        called = [abs(each.centre) > each.half_width(ERROR) for each in found]
        seen += called[0]
        wrong += sum(called[1:])
    assert wrong / (11 * runs) <= ERROR
    assert seen / runs >= 0.95


def test_a_cell_has_its_own_spread_or_the_common_one() -> None:
    """The quiet cells do not lend a noisy one their precision, nor does a cell that is quiet by chance keep its own."""
    cells = {str(i): ([0.0, 0.01], [0.0, 0.01]) for i in range(9)}
    found = two_runs.pooled({**cells, "noisy": ([0.0, 0.2], [0.1, 0.3]), "lucky": ([0.0, 0.0], [0.001, 0.001])})
    assert found["noisy"].error == pytest.approx(two_runs.difference([0.0, 0.2], [0.1, 0.3]).error)
    assert found["lucky"].error == pytest.approx(found["0"].error)
    assert found["0"].freedom == 2


def test_the_power_is_that_of_noncentral_t() -> None:
    """A difference of two standard errors' critical value, checked against the formula."""
    found = two_runs.Difference(centre=0.0, error=0.01, freedom=7)
    critical = stdtrit(7, 1 - ERROR / 2)
    assert math.log1p(found.visible(ERROR)) == pytest.approx(0.01 * nctdtrinc(7, 0.05, critical))


def test_what_cannot_be_told_is_refused() -> None:
    """One launch has no spread, and runs without a common reference no change."""
    with pytest.raises(ValueError, match="got 1 and 2"):
        two_runs.difference([0.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="no reference in common"):
        two_runs.change_of_smallest({"a": _table(np.ones(2))}, {}, shown_error=0.05, judged_error=ERROR)
    with pytest.raises(ValueError, match="two replicates"):
        two_runs.pooled({"a": ([0.0], [0.0, 1.0])})
