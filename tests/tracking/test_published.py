"""What a record publishes to asv: names, parameters, numbers and the ratios behind them."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from int8bench.study import records
from int8bench.study.cells import Samples
from int8bench.tracking import published
from int8bench.tracking.side import SidePoint

TESTS = Path(__file__).parents[1]
HEALTH = {("qnnpack", "error"): 1, ("qnnpack", "warning"): 0}


@pytest.fixture(scope="module")
def run() -> records.Run:
    """A real run of two int8 engines at two batch sizes on one thread."""
    return records.load(next(iter(sorted((TESTS / "golden/runs").glob("*.json")))))


@pytest.fixture(scope="module")
def points(run: records.Run) -> list[SidePoint]:
    """What it publishes of fbgemm."""
    cells = tuple(cell for cell in run.cells if cell.engine in {"torch", "fbgemm"})
    return list(published.points(replace(run, cells=cells), HEALTH))


def test_every_name_of_the_suite_is_published_but_for_plain_times(points: list[SidePoint]) -> None:
    """And nothing that the suite does not know."""
    suite = set(json.loads((TESTS / "golden/suite.json").read_text(encoding="utf-8"))["versions"])
    assert {point.benchmark for point in points} == suite - {"latency.Forward.time_forward"}


def test_plain_nchw_is_not_published(points: list[SidePoint]) -> None:
    """A contender stands for one layout."""
    contenders = {point.params["contender"] for point in points if "contender" in point.params}
    assert contenders == {"'float32'", "'fbgemm'"}
    assert len({(point.benchmark, *point.params.items()) for point in points}) == len(points)


def test_a_speed_up_is_the_records_with_its_interval(run: records.Run, points: list[SidePoint]) -> None:
    """Value, ends and counts are the headline's; the relative time is its inverse."""
    cell = next(cell for cell in run.cells if cell.engine == "fbgemm")
    best = cell.speedup("best_float32")
    assert best is not None
    params = {"batch": repr(cell.batch), "threads": repr(cell.threads)}
    speedup, relative = (
        next(each for each in points if each.benchmark.endswith(name) and each.params == params)
        for name in ("track_speedup", "track_relative_time")
    )
    assert (speedup.value, speedup.low, speedup.high) == (best.value, best.low, best.high)
    assert (speedup.launches, speedup.forks, speedup.pairs) == (best.launches, best.forks, best.pairs)
    assert relative.low <= relative.value <= relative.high
    assert relative.value == pytest.approx(1 / speedup.value)


def test_the_ratios_behind_a_speed_up_give_it_again(points: list[SidePoint]) -> None:
    """The mean over launches of the mean over forks is the logarithm of the value."""
    speedups = [point for point in points if point.benchmark.endswith("track_speedup")]
    assert speedups
    for point in speedups:
        assert math.exp(mean(mean(forks) for forks in point.log_ratios)) == pytest.approx(point.value, rel=1e-6)
        assert sum(len(forks) for forks in point.log_ratios) == point.forks


def test_values_are_found_by_what_asv_calls_them(points: list[SidePoint]) -> None:
    """By the name and the parameters in asv's order and spelling."""
    values = published.values(points)
    assert values["health.Findings.track_count"] == {("'qnnpack'", "'error'"): 1.0, ("'qnnpack'", "'warning'"): 0.0}
    assert set(values["cost.Size.track_weight_bytes"]) == {("'float32'",), ("'fbgemm'",)}
    assert values["cost.Size.track_weight_bytes"]["'float32'",] == 60_362 * 4


def test_a_cell_that_failed_publishes_nothing(run: records.Run) -> None:
    """Asv then shows n/a; the others are published."""
    cells = tuple(replace(cell, status="failed") if cell.batch == 1 else cell for cell in run.cells)
    left = published.points(replace(run, cells=cells), {})
    assert {point.params["batch"] for point in left if "batch" in point.params} == {"8"}


def test_a_fork_without_a_ratio_is_left_out_as_in_the_record(run: records.Run) -> None:
    """A fork that kept one round gives none: the others are published, and nothing breaks."""
    cells = tuple(replace(cell, samples=_with_a_poor_fork(cell.samples)) for cell in run.cells)
    found = published.points(replace(run, cells=cells), {})
    speedups = [point for point in found if point.benchmark.endswith("track_speedup")]
    assert {sum(len(forks) for forks in point.log_ratios) for point in speedups} == {3}


def _with_a_poor_fork(samples: Samples) -> Samples:
    poor, *others = samples.races
    return replace(samples, races=(replace(poor, kept=(1, *(0,) * (len(poor.kept) - 1))), *others))
