import pytest

from int8bench import documents
from int8bench.compare.comparisons import WORSE, Comparison, Metric, SideRatio, words
from int8bench.compare.gate.policy import DEFAULT_THRESHOLDS, JUDGED


def _comparison(metric: Metric, verdict: str, value: float | None) -> Comparison:
    ratio = None if value is None else SideRatio(value=value, low=value * 0.99, high=value * 1.01)
    return Comparison(
        id="cell",
        metric=metric,
        verdict=verdict,
        ratio=ratio,
        launches=8,
        forks=16,
        pairs=900,
        smallest_visible_effect=0.01,
        reason=None,
    )


@pytest.mark.parametrize(
    ("metric", "verdict", "value", "worse_by"),
    [
        (Metric.TIME, "slower", 1.05, 0.05),
        (Metric.TIME, "faster", 0.8, -0.2),
        (Metric.TIME, "same", 1.05, 0.0),
        (Metric.TIME, "unclear", None, 0.0),
        (Metric.SPEEDUP, "less", 0.5, 1.0),
        (Metric.SPEEDUP, "more", 2.0, -0.5),
        (Metric.SQNR, "less", 0.8, 0.25),
        (Metric.TOP1, "less", 0.0, float("inf")),
        (Metric.PEAK_MEMORY, "more", 3.0, 2.0),
        (Metric.TRACKED, "more", 3.0, 0.0),
    ],
)
def test_worse_by_follows_the_metric(metric: Metric, verdict: str, value: float | None, worse_by: float) -> None:
    """What is worse depends on the metric; what is not sure, or of which nobody knows, is worse by nothing."""
    assert _comparison(metric, verdict, value).worse_by == pytest.approx(worse_by)


@pytest.mark.parametrize("value", [None, 1.25])
def test_json_goes_there_and_back(value: float | None) -> None:
    """A comparison read back is the comparison written."""
    comparison = _comparison(Metric.TIME, "slower", value)
    assert documents.read(Comparison, documents.written(comparison), name="") == comparison


def test_every_metric_has_a_direction_and_two_words() -> None:
    """No metric is forgotten in the tables."""
    assert WORSE.keys() == set(Metric)
    assert {metric: words(metric) for metric in Metric}[Metric.TIME] == ("faster", "slower")


def test_every_metric_that_a_gate_judges_has_a_threshold() -> None:
    """Or judging the first comparison of a new one would end in a missing key."""
    assert set(JUDGED) == set(DEFAULT_THRESHOLDS)
