"""Two stored runs: what is compared, what is left out and why, and which word follows."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.compare import stored
from int8bench.compare.comparisons import Comparison, Metric
from int8bench.errors import NothingMeasuredError, RecordError, RequestError
from int8bench.machine.finding import Severity, ShownFinding
from int8bench.stats.verdict import Looks, nominal_errors
from int8bench.study import records
from int8bench.study.records import Run

_SPEC = importlib.util.spec_from_file_location("runs", Path(__file__).parents[1] / "helpers" / "runs.py")
assert _SPEC is not None
assert _SPEC.loader is not None
runs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(runs)

Played = runs.Played
OLD = runs.run(Played(seed=1))
SMALL, LARGE, ENGINE = (
    "m/fbgemm/int8/channels_last/b1/t1",
    "m/fbgemm/int8/channels_last/b8/t1",
    "m/fbgemm/int8/channels_last",
)
GOLDEN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"


def _compared(new: Run, old: Run = OLD) -> stored.Compared:
    return stored.compare(old, new, base="OLD.json", head="NEW.json")


def _by_name(found: stored.Compared) -> dict[tuple[str, Metric], Comparison]:
    return {(each.id, each.metric): each for each in found.comparisons}


def test_a_cell_that_became_slower_is_named_and_no_other() -> None:
    """Int8 that takes 10 % longer at batch 8 has a speed-up of 1/1.1 there, and nothing else is called."""
    found = _compared(runs.run(Played(seed=2, slowed=8)))
    called = [each for each in found.comparisons if each.verdict not in {"same", "unclear"}]
    assert [(each.id, each.metric, each.verdict) for each in called] == [(LARGE, Metric.SPEEDUP, "less")]
    assert called[0].ratio is not None
    assert called[0].ratio.low <= 1 / 1.1 <= called[0].ratio.high
    assert (called[0].launches, called[0].forks, called[0].pairs) == (8, 8, 8 * runs.ROUNDS)


def test_a_slow_day_is_no_slow_down() -> None:
    """A machine that is 40 % slower that day leaves the speed-ups as they are, and time gets no verdict."""
    found = _compared(runs.run(Played(seed=2, clock=1.4)))
    by_name = _by_name(found)
    assert by_name[SMALL, Metric.SPEEDUP].verdict in {"same", "unclear"}
    for metric in (Metric.TIME, Metric.THROUGHPUT):
        mine = by_name[SMALL, metric]
        assert (mine.verdict, mine.reason, mine.smallest_visible_effect) == ("unclear", stored.NOT_JUDGED, None)
        assert mine.ratio is not None
    assert by_name[SMALL, Metric.TIME].ratio.value == pytest.approx(1.4, rel=0.15)
    assert by_name[SMALL, Metric.THROUGHPUT].ratio.value == pytest.approx(1 / 1.4)
    assert any("shown, not judged" in note for note in found.notes)


def test_eight_megabytes_more_are_seen() -> None:
    """Peak memory has three replicates a cell, which is enough for 8 MB on top of 30."""
    found = _by_name(_compared(runs.run(Played(seed=2, memory_bytes=38_000_000))))
    mine = found[SMALL, Metric.PEAK_MEMORY]
    assert mine.verdict == "more"
    assert mine.ratio.low <= 38 / 30 <= mine.ratio.high


@pytest.mark.parametrize(
    ("change", "metric", "verdict", "value"),
    [
        ({}, Metric.WEIGHTS, "same", 1.0),
        ({"weights_bytes": 60_001}, Metric.WEIGHTS, "more", 60_001 / 60_000),
        ({"sqnr_db": 34.0}, Metric.SQNR, "less", 34 / 35),
        ({"sqnr_db": -3.0}, Metric.SQNR, "less", 0.0),
        ({"top1": 0.97}, Metric.TOP1, "less", 0.97 / 0.98),
        ({"top1": 0.99}, Metric.TOP1, "more", 0.99 / 0.98),
    ],
)
def test_what_has_no_noise_is_sure(change: dict, metric: Metric, verdict: str, value: float) -> None:
    """Bytes of weights, SQNR and top-1: any difference is called, once an engine, and its interval is a point."""
    found = _by_name(_compared(runs.run(Played(seed=2, **change))))[ENGINE, metric]
    assert found.verdict == verdict
    assert (found.ratio.value, found.ratio.low, found.ratio.high) == pytest.approx((value,) * 3)


def test_answers_that_prove_nothing_are_not_compared() -> None:
    """A top-1 by chance is neither better nor worse, and so is the SQNR of answers that no picture changes."""
    new = runs.run(Played(top1=0.5, sqnr_db=30.0))
    chance = ShownFinding(code="top1-is-chance", severity=Severity.NOTE, subject="x", message="x", why="x", advice="x")
    alike = [replace(each, fidelity=replace(each.fidelity, constant_float32=True)) for each in new.cells]
    runs_of = (new, replace(new, findings=(chance,)), replace(new, cells=alike))
    told = [{metric for _, metric in _by_name(_compared(each))} & {Metric.TOP1, Metric.SQNR} for each in runs_of]
    assert told == [{Metric.TOP1, Metric.SQNR}, {Metric.SQNR}, {Metric.TOP1}]


@pytest.mark.parametrize(
    ("old", "new", "verdict", "value"),
    [(None, 30.0, "less", 0.0), (30.0, None, "more", None), (None, None, "same", 1.0)],
)
def test_exact_answers_are_infinitely_good(
    old: float | None, new: float | None, verdict: str, value: float | None
) -> None:
    """No SQNR means exact: to lose that is worse without bound, to gain it has no ratio but a reason."""
    found = _compared(runs.run(Played(sqnr_db=new)), runs.run(Played(sqnr_db=old)))
    mine = _by_name(found)[ENGINE, Metric.SQNR]
    assert (mine.verdict, mine.ratio and mine.ratio.value) == (verdict, value)
    assert (mine.reason is None) == (value is not None)


def test_answers_of_other_weights_are_not_compared() -> None:
    """SQNR and top-1 of models that were trained apart say nothing of the code; bytes of weights still do."""
    compared = _compared(runs.run(Played(weights_sha256="b", top1=0.5)))
    assert not {Metric.SQNR, Metric.TOP1} & {each.metric for each in compared.comparisons}
    assert "SQNR and top-1 are not compared: the runs differ in weights_sha256 (a and b)." in compared.notes
    assert _by_name(compared)[ENGINE, Metric.WEIGHTS].verdict == "same"


def test_a_peak_that_is_none_is_left_out() -> None:
    """A model so small that it holds no more than an idle process has no ratio of peaks, and that is no fault."""
    assert (SMALL, Metric.PEAK_MEMORY) not in _by_name(_compared(runs.run(Played(memory_bytes=-9_000_000))))


def test_pictures_without_labels_have_no_top1() -> None:
    """Nothing is said of an accuracy that nobody knows."""
    assert (ENGINE, Metric.TOP1) not in _by_name(_compared(runs.run(Played(top1=None))))


@pytest.mark.parametrize(("old", "new"), [(runs.AVX2, runs.AMX), (runs.AMX, runs.AVX2)])
def test_other_hardware_has_ratios_and_weights_alone(old: object, new: object) -> None:
    """AVX2 and AMX, both ways: speed-ups and bytes of weights are compared, and a sentence names what differs."""
    found = _compared(runs.run(Played(machine=new)), runs.run(Played(machine=old)))
    assert {each.metric for each in found.comparisons} == {Metric.SPEEDUP, Metric.WEIGHTS}
    note = found.notes[0]
    assert note.startswith("The hardware differs in vendor (")
    assert "instruction sets (" in note
    assert "amx_int8" in note
    assert "architecture" not in note


def test_a_fingerprint_of_another_formula_is_named() -> None:
    """Where the machine is the same and its fingerprint is not, nothing else can differ."""
    other = replace(OLD, environment=replace(OLD.environment, fingerprint="0" * 12))
    assert "the fingerprint, which another version of int8bench took" in _compared(other).notes[0]


def test_other_processes_and_versions_are_named() -> None:
    """Other allocator settings end the comparison of absolute figures; other versions are said and compared."""
    environment = replace(OLD.environment, process={"MALLOC_TOP_PAD_": "1"})
    found = _compared(replace(OLD, environment=environment))
    assert {each.metric for each in found.comparisons} == {Metric.SPEEDUP, Metric.WEIGHTS, Metric.SQNR, Metric.TOP1}
    assert "MALLOC_TOP_PAD_ (67108864 and 1)" in found.notes[0]
    newer = _compared(
        replace(OLD, environment=replace(OLD.environment, versions={**OLD.environment.versions, "torch": "9"}))
    )
    assert any(note.startswith("Versions differ in torch (") for note in newer.notes)
    assert Metric.TIME in {each.metric for each in newer.comparisons}


def test_cells_of_one_side_are_listed() -> None:
    """What one run alone has is added or removed, not compared."""
    found = _compared(runs.run(Played(batches=(8, 32))))
    assert found.added == tuple(name.replace("b8", "b32") for name in found.added)
    assert len(found.added) == len(found.removed) == 3
    assert all("/b1/" in name for name in found.removed)
    assert {each.id for each in found.comparisons} == {LARGE, ENGINE}


def test_a_cell_that_failed_has_its_reason() -> None:
    """A cell that head could not measure is unclear, with what went wrong."""
    mine = _by_name(_compared(runs.run(Played(failed=True))))[SMALL, Metric.SPEEDUP]
    assert (mine.verdict, mine.ratio, mine.reason) == ("unclear", None, "head failed: it broke")


def test_too_few_launches_never_tell() -> None:
    """Two launches have an interval and no verdict, however large the change."""
    old, new = (runs.run(Played(launches=2, speedup=speedup)) for speedup in (2.0, 1.0))
    mine = _by_name(_compared(new, old))[SMALL, Metric.SPEEDUP]
    assert mine.verdict == "unclear"
    assert "2 launches, 3 or more" in mine.reason


@pytest.mark.parametrize("early", [0, 1])
def test_a_run_that_stopped_early_costs_error(early: int) -> None:
    """The verdict is made at the smaller of the nominal errors of the looks that the two runs reached."""
    both = [runs.run(Played(seed=seed, launches=launches, spread=0.05)) for seed, launches in ((1, 5), (2, 8))]
    looks = Looks(launches=(5, 7, 8))
    plan = {**both[0].settings["plan"], "looks": list(looks.launches)}
    both = [replace(run, settings={**run.settings, "plan": plan}) for run in both]
    reason = _by_name(_compared(both[1 - early], both[early]))[SMALL, Metric.SPEEDUP].reason
    at_first, _, at_last = nominal_errors(looks, 0.001)
    assert f"{at_first:.2g}" != f"{at_last:.2g}"
    assert f"at error {min(at_first, at_last):.2g} holds 1" in reason


def test_the_error_of_the_grid_is_shared_out() -> None:
    """With 60 noisy comparisons each gets a sixtieth of the 5 %."""
    batches = tuple(range(1, 31))
    played = runs.run(Played(batches=batches, launches=3))
    assert _compared(played, played).error_rate == pytest.approx(0.05 / 60)
    assert _compared(OLD).error_rate == 0.001


def test_nothing_in_common_is_no_answer() -> None:
    """Runs without a common int8 cell are refused, and so are runs of other inputs and looks out of order."""
    with pytest.raises(NothingMeasuredError, match="no int8 cell in common"):
        _compared(runs.run(Played(engines=("qnnpack",))))
    subject = {**OLD.settings["subject"], "input_shape": [1, 8, 8]}
    with pytest.raises(RequestError, match=r"differ in input shape \(\[3, 32, 32\] and \[1, 8, 8\]\)"):
        _compared(replace(OLD, settings={**OLD.settings, "subject": subject}))
    plan = {**OLD.settings["plan"], "looks": [4, 4]}
    with pytest.raises(RecordError, match=r"NEW.json: settings.plan.looks: .*increasing"):
        _compared(replace(OLD, settings={**OLD.settings, "plan": plan}))


def test_a_real_record_against_itself_differs_in_nothing() -> None:
    """The golden run: no verdict but same and unclear, every ratio 1, and the answer is strict JSON."""
    golden = records.load(GOLDEN)
    found = _compared(golden, golden)
    assert {each.verdict for each in found.comparisons} == {"same", "unclear"}
    assert all(each.ratio.value == pytest.approx(1.0) for each in found.comparisons)
    assert set(json.loads(json.dumps(found.to_dict(), allow_nan=False))) == {
        *("base", "head", "complete", "error_rate", "comparisons", "added", "removed", "notes")
    }


def test_an_unfinished_run_is_said() -> None:
    """It is compared as far as it goes."""
    found = _compared(runs.run(Played(complete=False)))
    assert not found.complete
    assert "NEW.json is unfinished." in found.notes
