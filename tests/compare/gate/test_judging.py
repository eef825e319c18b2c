"""A policy against what changed: what is red, by how much, and what is merely said."""

from dataclasses import dataclass, field, replace

import pytest

from int8bench.compare.comparisons import Comparison, Metric, SideRatio
from int8bench.compare.gate.judging import EXIT_CODES, Gate, GateVerdict, judged
from int8bench.compare.gate.policy import JUDGED, Policy
from int8bench.errors import NothingMeasuredError
from int8bench.machine.finding import Severity, ShownFinding


@dataclass(frozen=True)
class Changed:
    """Stands in for a duet."""

    comparisons: tuple[Comparison, ...]
    base: str = "1111"
    head: str = "2222"
    complete: bool = True
    error_rate: float = 0.001
    added: tuple[str, ...] = ("new",)
    removed: tuple[str, ...] = field(default=("gone",))


def _comparison(
    metric: Metric, verdict: str, value: float | None = 1.0, *, visible: float | None = 0.02, reason: str | None = None
) -> Comparison:
    ratio = None if value is None else SideRatio(value=value, low=value - 0.01, high=value + 0.01)
    return Comparison(
        id="m/fbgemm/b1/t1",
        metric=metric,
        verdict=verdict,
        ratio=ratio,
        launches=8,
        forks=8,
        pairs=80,
        smallest_visible_effect=visible,
        reason=reason,
    )


def _gate(*comparisons: Comparison, policy: Policy | None = None, **changes: object) -> Gate:
    findings = changes.pop("findings", ())
    held = policy or Policy()
    return judged(Changed(comparisons, **changes), findings, held, metrics=held.metrics)


@pytest.mark.parametrize(
    ("metric", "verdict", "value", "red"),
    [
        (Metric.TIME, "slower", 1.02, True),
        (Metric.TIME, "slower", 1.009, False),
        (Metric.TIME, "faster", 0.5, False),
        (Metric.TIME, "unclear", 1.5, False),
        (Metric.SPEEDUP, "less", 0.98, True),
        (Metric.SPEEDUP, "more", 1.5, False),
        (Metric.THROUGHPUT, "less", 0.97, False),
        (Metric.THROUGHPUT, "less", 0.9, True),
        (Metric.PEAK_MEMORY, "more", 1.04, False),
        (Metric.PEAK_MEMORY, "more", 1.06, True),
        (Metric.WEIGHTS, "more", 1.00001, True),
        (Metric.WEIGHTS, "less", 0.9, False),
        (Metric.SQNR, "less", 0.98, True),
        (Metric.SQNR, "less", 0.0, True),
        (Metric.TOP1, "less", 0.996, False),
        (Metric.TOP1, "less", 0.99, True),
        (Metric.TRACKED, "more", 9.0, False),
    ],
)
def test_red_is_what_is_surely_worse_by_more_than_its_threshold(
    *, metric: Metric, verdict: str, value: float, red: bool
) -> None:
    """Each metric in its own direction with its default threshold; doubt is not red."""
    gate = _gate(_comparison(metric, verdict, value), _comparison(Metric.TIME, "same"))
    assert gate.verdict is (GateVerdict.FAIL if red else GateVerdict.PASS)
    assert gate.exit_code == (1 if red else 0)


def test_a_regression_names_the_cell_the_size_and_the_commits() -> None:
    """One sentence has all that a person needs to look for it."""
    gate = _gate(_comparison(Metric.SPEEDUP, "less", 0.8))
    (reason,) = gate.reasons
    assert reason == (
        "m/fbgemm/b1/t1: speedup is less, worse by 25.0% where 1% is allowed; head over base 0.800 [0.790, 0.810]; "
        "from 1111 to 2222"
    )
    assert "worse by all there was where 1%" in _gate(_comparison(Metric.SQNR, "less", 0.0)).reasons[0]


def test_the_threshold_and_the_metrics_are_the_policys() -> None:
    """What a policy allows is not red, nor what it does not name."""
    slower = _comparison(Metric.TIME, "slower", 1.05)
    same = _comparison(Metric.WEIGHTS, "same")
    thresholds = {**Policy().thresholds, Metric.TIME: 0.06}
    assert _gate(slower, policy=Policy(thresholds=thresholds)).verdict is GateVerdict.PASS
    assert _gate(slower, same, policy=Policy(metrics=(Metric.WEIGHTS,))).verdict is GateVerdict.PASS


def test_a_metric_without_a_threshold_of_its_own_is_held_to_the_default() -> None:
    """A policy that states one threshold judges the other metrics, and those that have no default, all the same."""
    slower, less = _comparison(Metric.TIME, "slower", 1.05), _comparison(Metric.SPEEDUP, "less", 0.98)
    policy = Policy(thresholds={Metric.TIME: 0.06})
    assert _gate(slower, policy=policy).verdict is GateVerdict.PASS
    assert _gate(slower, less, policy=policy).reasons[0].startswith("m/fbgemm/b1/t1: speedup is less")
    tracked = _comparison(Metric.TRACKED, "more", 3.0)
    assert _gate(tracked, policy=Policy(metrics=tuple(Metric))).verdict is GateVerdict.PASS


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("held", list(Severity))
def test_a_finding_is_red_at_the_policys_severity_or_worse(severity: Severity, held: Severity) -> None:
    """With "warning", warnings and errors; with "error", errors alone."""
    rank = ["note", "warning", "error"]
    finding = ShownFinding(code="a-code", severity=severity, subject="x", message="It is so.", why="", advice="")
    gate = _gate(_comparison(Metric.TIME, "same"), policy=Policy(severity=held), findings=[finding])
    red = rank.index(severity) >= rank.index(held)
    assert gate.verdict is (GateVerdict.FAIL if red else GateVerdict.PASS)
    assert gate.reasons == ((f"finding of severity {severity}, a-code: It is so.",) if red else ())


def test_doubt_is_said_with_what_would_have_been_seen() -> None:
    """Unclear cells are counted, with the change that all would have seen; a cell without figures is no pass."""
    doubts = [_comparison(Metric.TIME, "unclear", visible=visible) for visible in (0.02, 0.07)]
    gate = _gate(
        *doubts, _comparison(Metric.TIME, "same"), _comparison(Metric.SQNR, "unclear", None, visible=None, reason="why")
    )
    assert gate.verdict is GateVerdict.UNCLEAR
    assert _gate(*doubts).verdict is GateVerdict.PASS
    assert gate.reasons == (
        "time is unclear in 2 of 3: a change of 7.0% would have been seen in each; a longer --budget sees smaller ones",
        "sqnr has no answer in 1 of 1: why",
    )


def test_a_measurement_that_sees_next_to_nothing_says_so_without_a_figure() -> None:
    """Of a change of thousands of percent nobody learns anything."""
    (reason,) = _gate(_comparison(Metric.TIME, "unclear", visible=20.5)).reasons
    assert reason.startswith("time is unclear in 1 of 1: not even twice as much would have been seen in each")


def test_what_is_not_complete_is_not_green() -> None:
    """Half an answer is red where it is red, and no pass elsewhere."""
    same, slower = _comparison(Metric.TIME, "same"), _comparison(Metric.TIME, "slower", 1.5)
    assert _gate(same, complete=False).exit_code == 3
    assert _gate(slower, complete=False).exit_code == 1
    assert EXIT_CODES.keys() == set(GateVerdict)


@pytest.mark.parametrize("comparisons", [(), (_comparison(Metric.TIME, "unclear", None, reason="it broke"),)])
def test_nothing_measured_is_no_verdict(comparisons: tuple[Comparison, ...]) -> None:
    """Exit 3, with the first reason there is, and never green, whatever else was measured."""
    with pytest.raises(NothingMeasuredError, match="measured on both sides") as raised:
        _gate(*comparisons, _comparison(Metric.TRACKED, "same"))
    assert raised.value.exit_code == 3
    assert ("it broke" in str(raised.value)) == bool(comparisons)


def test_the_json_is_a_duets_and_the_verdict() -> None:
    """The shape of the answer, with the policy that made it."""
    document = _gate(_comparison(Metric.TIME, "same")).to_dict()
    duet = {"base", "head", "complete", "error_rate", "comparisons", "added", "removed"}
    assert set(document) == duet | {"verdict", "reasons", "findings", "policy", "notes"}
    assert (document["verdict"], document["added"], document["removed"]) == ("pass", ["new"], ["gone"])
    assert document["policy"]["metrics"] == [metric.value for metric in JUDGED]


def test_what_is_broken_is_red_though_nothing_else_was_measured() -> None:
    """A head that breaks every benchmark leaves no figure, and is no case of cannot tell."""
    finding = ShownFinding(
        code="benchmark-failed",
        severity=Severity.ERROR,
        subject="duet",
        message="it fails in 7 of 7",
        why="",
        advice="",
    )
    gate = _gate(_comparison(Metric.TIME, "unclear", None, reason="it broke"), findings=[finding])
    assert (gate.verdict, gate.exit_code) == (GateVerdict.FAIL, 1)
    with pytest.raises(NothingMeasuredError):
        _gate(_comparison(Metric.TIME, "unclear", None), findings=[replace(finding, severity=Severity.WARNING)])
