"""The whole rule simulated: looks, intervals, stopping and verdicts, on noise as it is found on shared machines."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit
from scipy.stats import multivariate_normal

from int8bench.stats.ratio import LaunchTable
from int8bench.stats.verdict import SMALL_SAMPLE, Looks, default_looks, nominal_errors, smallest_visible_effect

RUNS = 10_000
FORKS = 2
PRECISION = 0.004  # near what these runs reach, so that some stop early and some do not
MARGIN = 0.01


def _launch_means(rng: np.random.Generator, launches: int, kind: str, runs: int = RUNS) -> NDArray[np.float64]:
    """(run, launch): launch noise of 0.45 % and fork noise of 0.6 %, as METHOD's prototypes measured, truth 0."""
    shape = (runs, launches, FORKS)
    launch = rng.normal(0, 0.0045, shape[:2])
    if kind == "heavy":
        fork = 0.006 * rng.standard_t(3, shape) / np.sqrt(3)
        launch *= np.where(rng.random(shape[:2]) < 0.05, 4.0, 1.0)
    else:
        fork = rng.normal(0, 0.006, shape)
    if kind == "drift":
        phase = rng.uniform(0, 2 * np.pi, (runs, 1))
        launch += 0.003 * np.sin(phase + 2 * np.pi * np.arange(launches) / launches)
    return launch + fork.mean(axis=2)


def _stopped(means: NDArray[np.float64], looks: Looks, error: float, verdict_error: float) -> dict[str, NDArray]:
    """Per run: whether the interval at its stopping look holds the truth, its width against plain t, the verdict."""
    runs = len(means)
    covers, width_ratio = np.zeros(runs, bool), np.zeros(runs)
    wrong, running = np.zeros(runs, bool), np.ones(runs, bool)
    shown, judged = nominal_errors(looks, error), nominal_errors(looks, verdict_error)
    for look, launches in enumerate(looks.launches):
        seen = means[:, :launches]
        centre, se = seen.mean(axis=1), seen.std(axis=1, ddof=1) / np.sqrt(launches)
        half = stdtrit(launches - 1, 1 - shown[look] / 2) * se
        wide = stdtrit(launches - 1, 1 - judged[look] / 2) * se
        same = np.abs(centre) + wide <= MARGIN
        differs = ~same & (np.abs(centre) > wide)
        last = look == len(looks.launches) - 1
        stop = running & (((half <= PRECISION) & (same | differs)) | last)
        covers[stop] = (np.abs(centre) <= half)[stop]
        width_ratio[stop] = stdtrit(launches - 1, 1 - shown[look] / 2) / stdtrit(launches - 1, 1 - error / 2)
        wrong[stop] = differs[stop]
        running &= ~stop
    return {"covers": covers, "width_ratio": width_ratio, "wrong": wrong}


@pytest.mark.parametrize("kind", ["plain", "drift", "heavy"])
@pytest.mark.parametrize("looks", [default_looks(4), default_looks(8), default_looks(20), Looks(launches=(4, 5, 6))])
def test_intervals_cover_with_the_stopping_rule(looks: Looks, kind: str) -> None:
    """With early stopping the 95 % interval covers in 94 % or more, at most 1.3 times as wide as plain t."""
    means = _launch_means(np.random.default_rng([1, looks.launches[-1]]), looks.launches[-1], kind)
    found = _stopped(means, looks, error=0.05, verdict_error=0.001)
    assert found["covers"].mean() >= 0.94
    assert found["width_ratio"].mean() <= 1.3


@pytest.mark.parametrize("launches", [6, 8, 20])
@pytest.mark.parametrize("error", [0.05, 0.001])
def test_no_look_at_all_is_wrong_more_often_than_declared(launches: int, error: float) -> None:
    """Even a race that stops at the first look that excludes the truth is wrong no more often than declared."""
    looks = default_looks(launches)
    runs = 20_000 if error > 0.01 else 400_000
    means = np.random.default_rng([2, launches]).normal(0, 1, (runs, launches))
    wrong = np.zeros(runs, bool)
    for nominal, seen in zip(nominal_errors(looks, error), looks.launches, strict=True):
        part = means[:, :seen]
        limit = stdtrit(seen - 1, 1 - nominal / 2) * part.std(axis=1, ddof=1) / np.sqrt(seen)
        wrong |= np.abs(part.mean(axis=1)) > limit
    assert wrong.mean() <= error + 3 * np.sqrt(error / runs)


def test_equal_code_is_hardly_ever_called_different() -> None:
    """At a declared error of 0.001 at most one verdict in a thousand on equal code is faster or slower."""
    looks = default_looks(8)
    means = _launch_means(np.random.default_rng(3), 8, "plain", runs=200_000)
    wrong = _stopped(means, looks, error=0.05, verdict_error=0.001)["wrong"].mean()
    assert wrong <= 0.001


@pytest.mark.parametrize("launches", [4, 8, 20])
def test_the_smallest_visible_effect_is_seen(launches: int) -> None:
    """A difference of the size that is told is called in 95 % of runs with the same true spread."""
    error, runs = 0.001, 100_000
    columns = np.ones(launches)
    columns[::2] = -1.0  # launch means of standard deviation sqrt(n / (n - 1)) and mean 0
    scale = 0.004 * np.sqrt((launches - 1) / launches)
    table = LaunchTable(log_ratios=tuple((value,) for value in (scale * columns).tolist()), pairs=1)
    effect = np.log1p(smallest_visible_effect(table, error))
    means = np.random.default_rng(4).normal(effect, 0.004, (runs, launches))
    limit = stdtrit(launches - 1, 1 - error / 2) * means.std(axis=1, ddof=1) / np.sqrt(launches)
    assert (means.mean(axis=1) > limit).mean() == pytest.approx(0.95, abs=0.005)


def test_boundaries_spend_the_error_exactly() -> None:
    """For known variance the looks leave 0.05 / SMALL_SAMPLE in all, by an independent bivariate normal integral."""
    looks = Looks(launches=(10, 20))
    first, second = (-float(ndtri(nominal / 2)) for nominal in nominal_errors(looks, 0.05))
    joint = multivariate_normal(mean=[0, 0], cov=[[1, np.sqrt(0.5)], [np.sqrt(0.5), 1]])
    box = [(first, second), (-first, second), (first, -second), (-first, -second)]
    inside = joint.cdf(box[0]) - joint.cdf(box[1]) - joint.cdf(box[2]) + joint.cdf(box[3])
    assert 1 - inside == pytest.approx(0.05 / SMALL_SAMPLE, abs=2e-5)


@pytest.mark.parametrize("launches", [(), (1, 2), (4, 4), (6, 4)])
def test_senseless_looks_are_refused(launches: tuple[int, ...]) -> None:
    """No look, a look at one launch, and looks out of order."""
    with pytest.raises(ValueError, match="increasing launches"):
        Looks(launches=launches)


@pytest.mark.parametrize("error", [0.0, 1.0, -0.1])
def test_a_senseless_error_is_refused(error: float) -> None:
    """An error is between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        nominal_errors(Looks(launches=(4, 8)), error)
