"""The mean of a benchmark over its parameters; what else series do is tested with the history."""

from collections.abc import Mapping

import numpy as np
import pytest

from int8bench.stats.changes import find_changes
from int8bench.tracking.series import ALL, Point, Series, overall

NAME = "speedup.Speedup.track_speedup"


def _series(values: Mapping[str, float], batch: str, **fields: str) -> Series:
    given = {"benchmark": NAME, "machine": "rack-1", "fingerprint": "f00d"} | fields
    return Series(
        params={"batch": batch, "threads": "1"},
        env_name="env",
        version="1",
        unit="x",
        points=[
            Point(commit, number, value, value * 0.9, value * 1.1, number, number)
            for number, (commit, value) in enumerate(values.items())
        ],
        **given,
    )


def test_the_mean_is_geometric_and_of_commits_that_have_every_cell() -> None:
    """A commit that lacks a cell, or has none of a number there, has no point; the mean has no interval."""
    cells = [_series({"a": 1.0, "b": 2.0, "c": 3.0}, "1"), _series({"a": 4.0, "b": 8.0, "d": 1.0}, "8")]
    (mean,) = overall(cells, NAME)
    assert dict(mean.params) == {"batch": ALL, "threads": ALL}
    assert [(point.commit, point.value) for point in mean.points] == [
        ("a", pytest.approx(2.0)),
        ("b", pytest.approx(4.0)),
    ]
    assert {(point.low, point.high) for point in mean.points} == {(None, None)}
    cells[0].points[0] = cells[0].points[0]._replace(value=0.0)
    assert [point.commit for point in overall(cells, NAME)[0].points] == ["b"]


@pytest.mark.parametrize("field", ["benchmark", "machine", "fingerprint"])
def test_unlike_series_have_no_mean(field: str) -> None:
    """Neither other benchmarks nor other machines or hardware are joined, and one cell alone is its own mean."""
    cells = [_series({"a": 1.0}, "1"), _series({"a": 4.0}, "8", **{field: "other"})]
    assert overall(cells, NAME) == []


def test_a_step_everywhere_is_seen_in_the_mean_before_it_is_seen_in_a_cell() -> None:
    """Eight cells with a spread of 3 % and a step of 5 % for eight commits: none is called by itself."""
    rng = np.random.default_rng(4)
    levels = np.where(np.arange(16) < 8, 1.0, 0.95)
    noise = np.exp(rng.normal(0, 0.03, (8, 16)))
    cells = [
        _series({str(commit): value for commit, value in enumerate(levels * noise[cell])}, str(cell))
        for cell in range(8)
    ]
    everything = [*overall(cells, NAME), *cells]
    found = find_changes([[point.value for point in each.points] for each in everything], error=0.01)
    assert [len(changes) for changes in found] == [1] + [0] * 8
