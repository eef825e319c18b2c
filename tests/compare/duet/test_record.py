"""DUET.json: what is written down comes back, and what is damaged or newer is refused with a sentence."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from int8bench.compare.comparisons import Comparison, Metric, SideRatio
from int8bench.compare.duet import record
from int8bench.compare.duet.record import Duet
from int8bench.compare.duet.samples import DuetSamples, Load, PairedFork, TrackedNumbers
from int8bench.errors import RecordError, RequestError
from int8bench.machine.finding import Severity, ShownFinding
from int8bench.study.records import rounded

# The keys of one comparison, which other programs read.
KEYS = {"id", "metric", "verdict", "ratio", "launches", "forks", "pairs", "smallest_visible_effect", "reason"}


def _comparison(metric: Metric = Metric.TIME, verdict: str = "slower", value: float | None = 1.5) -> Comparison:
    return Comparison(
        id="speed.time_it",
        metric=metric,
        verdict=verdict,
        ratio=None if value is None else SideRatio(value=value, low=value - 0.1, high=value + 0.1),
        launches=4,
        forks=4,
        pairs=900,
        smallest_visible_effect=0.013,
        reason=None if value is not None else "head raised",
    )


def _finding(severity: str) -> ShownFinding:
    return ShownFinding(code="x", severity=Severity(severity), subject="y", message="z", why="", advice="")


def _samples() -> DuetSamples:
    fork = PairedFork(launch=0, fork=0, calls=3, base_s=(1e-3, 2e-3), head_s=(1e-3, 3e-3), kept=(1, 0), log_ratio=0.1)
    return DuetSamples(
        forks={"a": [fork]},
        numbers={"b": [TrackedNumbers(launch=0, base={"value": math.inf}, head={"value": 3.0})]},
        loads={"a": [Load(launch=0, log_ratio=-0.5)]},
    )


def _duet(*comparisons: Comparison, findings: tuple[dict[str, str], ...] = ()) -> Duet:
    return Duet(
        base="1111aaaa",
        head="2222bbbb",
        complete=True,
        error_rate=0.001,
        comparisons=comparisons,
        added=("new",),
        removed=("old",),
        findings=findings,
        environment={"fingerprint": "abcd"},
        settings={"suite": "asv"},
        samples=_samples().to_dict(),
    )


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    """All of it, through a file of strict JSON."""
    duet = _duet(_comparison(), _comparison(Metric.TRACKED, "unclear", None), findings=(_finding("note"),))
    path = tmp_path / "folder" / "duet.json"
    record.save(duet, path)
    document = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    loaded = record.from_dict(document)
    assert loaded == replace(duet, samples=document["samples"])
    assert loaded.to_dict() == document


def test_a_comparison_has_the_keys_that_were_promised() -> None:
    """No more and no fewer, and the top has those that other programs read."""
    document = _duet(_comparison()).to_dict()
    assert document["comparisons"][0].keys() == KEYS
    assert document["comparisons"][0]["ratio"].keys() == {"value", "low", "high"}
    assert {"base", "head", "complete", "error_rate", "comparisons", "added", "removed"} <= document.keys()


def test_what_is_shown_has_no_samples() -> None:
    """They are most of a record, and nobody reads them on a screen."""
    assert "samples" not in _duet().shown.to_dict()
    assert _duet().shown.comparisons == _duet().comparisons


def test_numbers_that_json_has_not_are_spelled(tmp_path: Path) -> None:
    """A tracked number may be infinite; a record of it can still be written."""
    record.save(_duet(), tmp_path / "duet.json")
    written = json.loads((tmp_path / "duet.json").read_text(encoding="utf-8"))["samples"]
    assert written["numbers"] == {"b": [{"launch": 0, "base": {"value": "inf"}, "head": {"value": 3.0}}]}
    assert written["forks"]["a"][0]["kept"] == [1, 0]
    assert written["loads"] == {"a": [{"launch": 0, "log_ratio": -0.5}]}


def _change(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document.__setitem__(key, value)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_change("schema", "int8bench.run"), "not a record of int8bench duet"),
        (_change("schema_version", 2), "schema version 2, this int8bench reads up to 1; type: pip install --upgrade"),
        (_change("schema_version", "1"), "schema version 1, this int8bench reads"),
        (lambda document: document.pop("head"), "cut short or damaged: 'head'"),
        (_change("comparisons", [{"id": "x"}]), "cut short or damaged"),
        (_change("comparisons", None), "cut short or damaged"),
        (_change("added", "new"), "added: expected array, got 'new'"),
        (
            lambda document: document["comparisons"][0].update(metric="smell"),
            "comparisons[0].metric: expected one of time, speedup, throughput, peak_memory, weights, sqnr, ",
        ),
        (
            lambda document: document["comparisons"][0].update(more=1),
            "comparisons[0]: Additional properties are not allowed ('more' was unexpected)",
        ),
        (lambda document: document["comparisons"][0].update(ratio=1.5), "cut short or damaged"),
    ],
)
def test_what_is_damaged_or_newer_is_refused(damage: Callable[[dict[str, Any]], object], sentence: str) -> None:
    """With the file's name, what is wrong, and what to type."""
    document = _duet(_comparison()).to_dict()
    damage(document)
    with pytest.raises(RecordError, match=r"^DUET\.json: ") as told:
        record.from_dict(document, name="DUET.json")
    assert sentence in str(told.value)


@pytest.mark.parametrize("document", [None, [], "text", 7, {}])
def test_what_is_no_record_is_refused(document: object) -> None:
    """Whatever JSON it is."""
    with pytest.raises(RecordError, match="not a record of int8bench duet"):
        record.from_dict(document)


def test_a_place_that_cannot_be_written_is_a_wrong_request(tmp_path: Path) -> None:
    """And what is there is left alone."""
    with pytest.raises(RequestError, match="it is a folder"):
        record.save(_duet(), tmp_path)


@pytest.mark.parametrize(
    ("comparisons", "severities", "bad"),
    [
        ((), (), False),
        ((_comparison(),), (), True),
        (
            (_comparison(verdict="faster", value=0.5), _comparison(verdict="unclear"), _comparison(verdict="same")),
            (),
            False,
        ),
        ((_comparison(Metric.SPEEDUP, "less", 0.5),), (), True),
        ((_comparison(Metric.SPEEDUP, "more", 2.0),), (), False),
        ((_comparison(Metric.TRACKED, "more", 9.0),), (), False),
        ((), ("note", "warning"), False),
        ((), ("note", "error"), True),
    ],
)
def test_bad_news_are_what_is_surely_worse_or_broken(
    comparisons: tuple[Comparison, ...], severities: tuple[str, ...], *, bad: bool
) -> None:
    """Nothing that is unclear, and no number of which nobody said which way is worse."""
    duet = _duet(*comparisons, findings=tuple(_finding(each) for each in severities))
    assert duet.is_bad_news is bad
    assert duet.worse == (comparisons if bad and not severities else ())


def test_a_benchmark_that_is_given_up_keeps_no_figures() -> None:
    """Its reason stays; one that skips itself is told apart from one that failed."""
    samples = _samples()
    samples.drop("a", "head: it broke", among=samples.stopped)
    samples.drop("b", "head: not here", among=samples.skipped)
    assert (samples.forks, samples.numbers, samples.loads) == ({}, {}, {})
    assert (samples.stopped, samples.skipped) == ({"a": "head: it broke"}, {"b": "head: not here"})
    assert samples.gone == {"a", "b"}


def test_times_are_written_to_six_digits() -> None:
    """Whatever their size, below any clock's noise."""
    assert rounded((0.00123456789, 12345.6789)) == (0.00123457, 12345.7)
