"""Our own performance, by our own rule: ratios with thresholds, never a time; red only where the answer is sure.

`make perf` runs them with nothing beside, since a busy machine makes a race unclear. A race starts launches of its own
test. The benchmarks are for ``--int8bench-gate``, which holds their medians against stored runs of the same machine:
``pytest tests/perf --benchmark-autosave --int8bench-gate=10%``.
"""

from importlib import metadata
from itertools import repeat
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from packaging.version import Version

from int8bench.lab.sampling import time_calls
from int8bench.report import text
from int8bench.stats.changes import find_changes
from int8bench.stats.verdict import default_looks, nominal_errors
from int8bench.study import records

RUN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"
measures = pytest.mark.skipif(
    not hasattr(pytest.Item, "_nodeid") and Version(metadata.version("pytest-benchmark")) < Version("5.3"),
    reason="pytest-benchmark before 5.3 asks for Item._nodeid, which pytest 9.2 lacks",
)


def test_a_timed_body_is_the_call_and_nothing_else(race) -> None:
    """A hundred timed calls take no more than 3 % longer than the plainest loop over them."""
    numbers = list(range(200))

    def call() -> int:
        return sum(numbers)

    def loop() -> None:
        for _ in repeat(None, 100):
            call()

    assert race(loop, lambda: time_calls(call, 100, perf_counter), budget="3s").not_slower_by("3%")


def test_the_series_of_a_dashboard_are_searched_together(race) -> None:
    """One search of ten series is not as slow as ten searches."""
    series = list(np.random.default_rng(0).normal(1.0, 0.01, (10, 40)))

    def one_by_one() -> None:
        for each in series:
            find_changes([each], error=0.05)

    found = race(one_by_one, lambda: find_changes(series, error=0.05), budget="3s")
    assert found.verdict in {"faster", "unclear"}


def test_a_stopping_rule_is_worked_out_once(race) -> None:
    """The second verdict of a run does not pay for the looks again."""
    looks = default_looks(8)
    found = race(
        lambda: nominal_errors.__wrapped__(looks, 0.001), lambda: nominal_errors(looks, 0.001), budget="3s", launches=4
    )
    assert found.not_slower_by("3%")


@measures
def test_reading_a_record(benchmark) -> None:
    """Parsed and validated."""
    content = RUN.read_text(encoding="utf-8")
    assert benchmark(records.loads, content).cells


@measures
def test_drawing_a_run(benchmark) -> None:
    """As one screen of text."""
    run = records.load(RUN)
    assert benchmark(text.render, run, width=120, colour=False)
