import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cells import cell
from runs import int8_variants

from int8bench import machine
from int8bench.machine import Hardware
from int8bench.machine.finding import SaturationProbe, ShownFinding
from int8bench.study.cells import Cell, RaceSample
from int8bench.study.findings import chance
from int8bench.study.findings.outcomes import findings_of
from int8bench.study.session.ledger import NOT_YET, Ledger
from int8bench.workload.cases import Case, grid

MACHINE = Hardware(arch="x86_64", vendor="AuthenticAMD", flags=frozenset({"avx2"}), os="Linux", usable_cores=2)
ENGINES = ("fbgemm", "x86")
CASES = grid(model="m", variants=int8_variants(*ENGINES), batches=(1, 8), threads=(1,))
RECORDED = Path(__file__).parents[2] / "golden"
PROCESSORS = json.loads((RECORDED / "engines" / "two-processors.json").read_text(encoding="utf-8"))
RAN = {"witness": "a profile", "share_of": "time", "int8_share": 0.9, "float_share": 0.0, "operators": []}
FIDELITY = {"sqnr_db": 35.0, "agreement": 0.99, "top1": 0.98, "top1_float32": 0.98}
SEEN = {"smallest_visible_effect": 0.05, "launches": 8, "more_launches": None}


def _best(verdict: str, value: float, **changes: object) -> dict[str, object]:
    return {"role": "best_float32", "verdict": verdict, "value": value, **SEEN, **changes}


def _cell(case: Case, **changes: object) -> Cell:
    """A measured cell without trouble: int8 twice as fast as float32."""
    int8 = case.variant.precision == "int8"
    usual = {
        "model": case.model,
        "engine": case.variant.engine,
        "precision": case.variant.precision,
        "layout": case.variant.layout,
        "batch": case.group.batch,
        "threads": case.group.threads,
        "latency_s": _latency(1e-3 if int8 else 2e-3),
        "fidelity": FIDELITY,
        "speedups": [_best("faster", 2.0)] if int8 else [],
        "evidence": {"ran": RAN} if int8 else {},
    }
    return cell(**{**usual, **changes})


_SLOW = {
    (engine, batch): {"speedups": [_best("faster", 1.2)]}
    for engine, batch in (("fbgemm", 1), ("fbgemm", 8), ("x86", 1))
}


def _latency(seconds: float) -> dict[str, object]:
    """A median whose interval is a hundredth to either side."""
    return {"median": {"value": seconds, "low": 0.99 * seconds, "high": 1.01 * seconds}}


def _found(
    changes: Mapping[tuple[str, int], Mapping[str, object]] | None = None,
    *,
    cases: tuple[Case, ...] = CASES,
    ledger: Ledger | None = None,
    described: Hardware = MACHINE,
    named: frozenset[str] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> list[ShownFinding]:
    """The findings of a run whose cells have these changes, by engine and batch."""
    cells = [_cell(case, **(changes or {}).get((case.variant.engine, case.group.batch), {})) for case in cases]
    return list(
        findings_of(
            cases,
            cells,
            ledger or Ledger(created_at="now"),
            described,
            named=named,
            subject=chance.described({"subject": subject or {}}),
        )
    )


def _of(code: str, found: list[ShownFinding]) -> list[ShownFinding]:
    return [each for each in found if each.code == code]


def _only(code: str, found: list[ShownFinding]) -> ShownFinding:
    (only,) = _of(code, found)
    return only


OURS = {
    "accuracy-loss",
    "cell-failed",
    "competing-load",
    "engine-not-here",
    "evidence-missing",
    "not-float32",
    "outdone",
    "partly-float",
    "ran-as-float",
    "slower-than-float32",
    "threads-below-asked",
    "threads-beyond-asked",
    "unclear",
}


def test_a_run_without_trouble_has_none_of_our_findings() -> None:
    """Cells that are fine give no finding of what was measured."""
    assert not {each.code for each in _found()} & OURS


def test_what_a_rule_expects_is_not_said_beside_figures_that_say_otherwise() -> None:
    """This processor has no VNNI, and int8 was measured more than twice as fast: the limit is left out."""
    assert _of("no-int8-dot-product", _found({("x86", 8): {"speedups": [_best("faster", 1.9)]}, **_SLOW}))
    assert not _of("no-int8-dot-product", _found({("x86", 8): {"speedups": [_best("faster", 2.22)]}, **_SLOW}))


def test_each_finding_stands_once_and_the_worst_first() -> None:
    """What every engine's inspection says of the machine is not said again, and errors come before notes."""
    found = _found({("x86", 8): {"status": "failed", "error": "crashed"}})
    assert len({(each.code, each.subject, each.message) for each in found}) == len(found)
    order = ["error", "warning", "note"]
    ranks = [order.index(each.severity.value) for each in found]
    assert ranks == sorted(ranks)
    assert found[0].code == "cell-failed"


def test_a_failed_cell_is_an_error_with_its_reason_and_what_to_type() -> None:
    """One finding says how many cells of the engine failed, which, why, and how to go on without it."""
    failed = {"status": "failed", "error": "the measuring process was ended by SIGSEGV."}
    finding = _only("cell-failed", _found({("x86", 1): failed, ("x86", 8): failed}))
    assert finding.severity == "error"
    assert finding.subject == "x86"
    assert finding.message == (
        "x86 failed in 2 of 2 cells (batch 1 on 1 thread, ...): the measuring process was ended by SIGSEGV."
    )
    assert finding.advice == (
        "Type int8bench doctor --engine x86, or leave it out with --engines fbgemm; the same command tries again."
    )


def test_an_engine_that_failed_in_part_is_no_way_out_of_itself() -> None:
    """Leaving it out leaves it out, even where some of its cells went well."""
    finding = _only("cell-failed", _found({("x86", 8): {"status": "failed", "error": "crashed"}}))
    assert "leave it out with --engines fbgemm;" in finding.advice


def test_each_reason_is_a_finding_of_its_own() -> None:
    """One engine for two reasons is not thrown together; two engines for one are."""
    found = _found(
        {
            ("x86", 1): {"status": "failed", "error": "crashed"},
            ("x86", 8): {"status": "failed", "error": "hung"},
            ("fbgemm", 8): {"status": "failed", "error": "hung"},
        }
    )
    messages = [each.message for each in _of("cell-failed", found)]
    assert messages == [
        "x86 failed in 1 of 2 cells (batch 1 on 1 thread): crashed.",
        "fbgemm and x86 failed in 2 of 4 cells (batch 8 on 1 thread, ...): hung.",
    ]


def test_one_cause_in_several_engines_is_told_once() -> None:
    """With the engines that met it, and the sentence of one of them; another cause is another finding."""
    reason = "{}: Net cannot be traced by torch.fx: TraceError: a branch on data; keep it out of forward"
    found = _found(
        {
            (engine, batch): {"status": "failed", "error": reason.format(engine) if batch == 1 else f"{engine} is slow"}
            for engine in ENGINES
            for batch in (1, 8)
        }
    )
    first, *others = _of("cell-failed", found)
    assert first.subject == "fbgemm, x86"
    assert first.message == (
        "fbgemm and x86 failed in 2 of 4 cells (batch 1 on 1 thread, ...): Net cannot be traced by torch.fx: "
        "TraceError: a branch on data; keep it out of forward."
    )
    assert [each.subject for each in others] == ["fbgemm", "x86"]


def test_what_was_left_out_is_told_once_with_the_engines() -> None:
    """Both read the same file; the operator, its name, and why the tool cannot take it."""
    left = {"operator": "ConvTranspose", "node": "up", "reason": "ValueError: 16 and 4"}
    notes = {"conversion": {"seconds": 1.0, "reused": False, "notes": {"left_in_float": [left]}}}
    found = _found({(engine, batch): notes for engine in ENGINES for batch in (1, 8)})
    finding = _only("left-in-float", found)
    assert (finding.severity, finding.subject) == ("warning", "fbgemm, x86")
    assert finding.message == (
        "fbgemm and x86 int8 leave ConvTranspose up in float: the tool that quantizes cannot take it "
        "(ValueError: 16 and 4)."
    )


def test_a_failed_float32_cell_is_an_error_too() -> None:
    """The reference is a cell like any other; its way out is not another int8 engine's absence."""
    finding = _only("cell-failed", _found({("torch", 8): {"status": "failed", "error": "crashed"}}))
    assert finding.subject == "torch"
    assert "2 of 4 cells" in finding.message


def test_an_engine_that_is_not_available_is_an_error() -> None:
    """What was asked for and could not run is bad news, even where no rule knows why."""
    skipped = {"status": "skipped", "error": "not built into this torch"}
    finding = _only("cell-failed", _found({("x86", 1): skipped, ("x86", 8): skipped}))
    assert finding.severity == "error"
    assert finding.message == "x86 skipped in 2 of 2 cells (batch 1 on 1 thread, ...): not built into this torch."


def test_what_a_rule_has_said_is_not_said_again() -> None:
    """An engine that an error of the rules explains has no second error for its skipped cells."""
    old = Hardware(arch="x86_64", flags=frozenset({"sse4_2"}), os="Linux", usable_cores=2)
    skipped = {"status": "skipped", "error": "needs AVX2"}
    found = _found({("fbgemm", 1): skipped, ("fbgemm", 8): skipped}, described=old)
    assert [each.code for each in found if each.severity == "error" and each.subject == "fbgemm"] == [
        "fbgemm-without-avx2"
    ]
    assert not _of("cell-failed", found)


def test_not_measured_yet_is_no_failure() -> None:
    """An unfinished run is not bad news."""
    waiting = {"status": "skipped", "error": NOT_YET}
    found = _found(dict.fromkeys([(engine, batch) for engine in ("torch", *ENGINES) for batch in (1, 8)], waiting))
    assert not {each.code for each in found} & OURS


def test_slower_cells_are_counted_and_the_worst_is_named() -> None:
    """How many of how many, and how bad at worst."""
    changes = {
        ("fbgemm", 1): {"speedups": [_best("slower", 0.8)]},
        ("fbgemm", 8): {"speedups": [_best("slower", 0.5)]},
        ("x86", 1): {"speedups": [_best("same", 1.0)]},
    }
    finding = _only("slower-than-float32", _found(changes))
    assert finding.severity == "warning"
    assert (
        finding.message == "fbgemm int8 is slower than float32 in 2 of 2 cells, at worst 0.50x at batch 8 on 1 thread."
    )


@pytest.mark.parametrize(
    ("fidelity", "lossy"),
    [
        ({"sqnr_db": 21.0}, True),
        ({"sqnr_db": 25.0}, False),
        ({"top1": 0.95}, True),
        ({"top1": 0.975}, False),
        ({"top1": None, "top1_float32": None}, False),
        ({"sqnr_db": None}, False),
    ],
)
def test_lost_accuracy_is_a_warning(fidelity: dict[str, object], lossy: bool) -> None:  # noqa: FBT001
    """Below 25 dB, or a point of top-1 lost; answers equal to the bit and data without labels lose nothing."""
    changed = {"fidelity": {**FIDELITY, **fidelity}}
    found = _of("accuracy-loss", _found({("x86", 1): changed, ("x86", 8): changed}))
    assert [each.subject for each in found] == (["x86"] if lossy else [])


def test_random_weights_have_no_top1_to_lose() -> None:
    """A point of chance is no loss of accuracy; decibels are one, and that the weights are random is told."""
    guessed = {("x86", 1): {"fidelity": {**FIDELITY, "top1": 0.08, "top1_float32": 0.1}}}
    assert _of("accuracy-loss", _found(guessed))
    random = _found(guessed, subject={"weights": "initial", "num_classes": 10})
    assert not _of("accuracy-loss", random)
    assert _only("top1-is-chance", random).severity == "note"
    faint = {("x86", 1): {"fidelity": {**FIDELITY, "sqnr_db": 20.0}}}
    assert _of("accuracy-loss", _found(faint, subject={"weights": "initial"}))


@pytest.mark.parametrize(
    ("saturates", "words"),
    [
        (None, "saturating arithmetic is the usual cause"),
        (True, "this engine saturates here"),
        (False, "nothing saturates here, as was measured"),
    ],
)
def test_saturation_is_no_cause_where_nothing_saturates(saturates: bool | None, words: str) -> None:  # noqa: FBT001
    """What a probe of the same record has ruled out is not given as the usual cause."""
    ledger = Ledger(created_at="now")
    if saturates is not None:
        ledger.probes["x86"] = SaturationProbe(engine="x86", sqnr_db=8.0, saturates=saturates)
    finding = _only("accuracy-loss", _found({("x86", 1): {"fidelity": {**FIDELITY, "sqnr_db": 20.0}}}, ledger=ledger))
    assert words in finding.why


def test_unclear_cells_say_what_would_have_been_seen_and_what_would_settle_it() -> None:
    """The least visible difference, and a budget that gives the launches that are missing."""
    changes = {
        ("fbgemm", 1): {"speedups": [_best("unclear", 1.02, smallest_visible_effect=0.1, more_launches=4)]},
        ("fbgemm", 8): {"speedups": [_best("unclear", 1.02, smallest_visible_effect=0.2, more_launches=12)]},
    }
    finding = _only("unclear", _found(changes))
    assert finding.severity == "note"
    assert finding.message == ("fbgemm is unclear in 2 of 2 cells; 1.20x would be seen in each.")
    assert finding.advice == "Type --budget 6m to settle it."


@pytest.mark.parametrize("more_launches", [None, 1000])
def test_what_no_budget_settles_says_so(more_launches: int | None) -> None:
    """No promise where more launches than a run makes would be needed."""
    unclear = {"speedups": [_best("unclear", 1.0, smallest_visible_effect=None, more_launches=more_launches)]}
    finding = _only("unclear", _found({("x86", 8): unclear}))
    assert finding.message == "x86 is unclear in 1 of 2 cells."
    assert finding.advice == "Type --budget 12m, the most that helps."


def test_more_threads_than_asked_for_is_a_warning() -> None:
    """An engine whose pool does not follow the setting is named once, whatever its cells."""
    many = {"threads_used": 1.9}
    finding = _only("threads-beyond-asked", _found({("x86", 1): many, ("x86", 8): many}))
    assert (finding.subject, finding.severity) == ("x86", "warning")
    assert finding.message == "x86 used 1.9 threads, not the 1 asked for."
    assert not _of("threads-beyond-asked", _found({("x86", 1): {"threads_used": 1.2}}))


def test_idle_threads_are_a_note_once_an_engine() -> None:
    """Far fewer than the several that were asked for; of one thread, and of two that mostly work, nothing is said."""
    cases = grid(model="m", variants=int8_variants("x86"), batches=(1, 8), threads=(2,))
    idle = {("x86", 1): {"threads_used": 1.05}, ("x86", 8): {"threads_used": 1.1}}
    busy = {("torch", 1): {"threads_used": 1.3}, ("torch", 8): {"threads_used": 2.0}}
    finding = _only("threads-below-asked", _found({**idle, **busy}, cases=cases))
    assert (finding.subject, finding.severity) == ("x86", "note")
    assert finding.message == (
        "x86 used far fewer threads than asked for in 2 of 2 cells, down to 1.1 of 2 at batch 1."
    )
    assert not _of("threads-below-asked", _found({("x86", 1): {"threads_used": 0.3}}))


HERE = frozenset({"fbgemm"})
ABSENT = {"status": "skipped", "error": "tensorrt: package tensorrt is not installed; type pip install it."}


def test_an_engine_that_nobody_named_may_be_absent() -> None:
    """Of all that there are, one that is not here is a note with its reason; of one that was named it is an error."""
    absent = {("x86", 1): ABSENT, ("x86", 8): ABSENT}
    finding = _only("engine-not-here", _found(absent, named=HERE))
    assert (finding.subject, finding.severity) == ("x86", "note")
    assert finding.message == "x86 takes no part: tensorrt: package tensorrt is not installed; type pip install it."
    assert "int8bench doctor --engine x86" in finding.advice
    assert not _of("cell-failed", _found(absent, named=HERE))
    for named in (None, frozenset({"x86"})):
        assert _only("cell-failed", _found(absent, named=named)).severity == "error"


def test_an_engine_that_takes_some_cells_is_absent_from_the_others() -> None:
    """The note says from how many, and where."""
    only = {"status": "skipped", "error": "takes one picture"}
    finding = _only("engine-not-here", _found({("x86", 8): only}, named=HERE))
    assert finding.message == "x86 takes no part in 1 of 2 cells (batch 8 on 1 thread): takes one picture."


def test_an_engine_that_failed_is_an_error_whoever_named_it() -> None:
    """Only absence is forgiven: what ran and crashed has something wrong."""
    found = _found({("x86", 8): {"status": "failed", "error": "crashed"}}, named=HERE)
    assert _only("cell-failed", found).severity == "error"


@pytest.mark.parametrize(
    ("named", "severity"), [(None, "error"), (frozenset({"qnnpack"}), "error"), (frozenset(), "warning")]
)
def test_a_misfit_that_nobody_chose_is_a_warning(named: frozenset[str] | None, severity: str) -> None:
    """Qnnpack on x86 is an error of a person who asks for it, not of one who runs all engines."""
    cases = grid(model="m", variants=int8_variants("fbgemm", "qnnpack"), batches=(1,), threads=(1,))
    slow = {("qnnpack", 1): {"latency_s": _latency(5e-3)}}
    assert _only("qnnpack-on-x86", _found(slow, cases=cases, named=named)).severity == severity


def _on(processor: str, *engines: str) -> list[ShownFinding]:
    """The findings of a run of engines with what was measured of them on one of the recorded processors."""
    told = PROCESSORS[processor]
    cases = grid(model="m", variants=int8_variants(*engines), batches=(32,), threads=(1,))
    ledger = Ledger(created_at="now")
    for engine in engines:
        db = told["probes"].get(engine)
        if db is not None:
            ledger.probes[engine] = SaturationProbe(engine=engine, sqnr_db=db, saturates=db < 30)
    changes: dict[tuple[str, int], Mapping[str, object]] = {}
    for engine in engines:
        fidelity = {**FIDELITY, "sqnr_db": told["sqnr_db"].get(engine, FIDELITY["sqnr_db"])}
        changes[engine, 32] = {"latency_s": _latency(told["ms"][engine] / 1e3), "fidelity": fidelity}
    described = machine.load(RECORDED / "hardware" / told["hardware"])
    return _found(changes, cases=cases, ledger=ledger, described=described)


TORCH_ENGINES = ("fbgemm", "x86", "onednn")
ALL_ENGINES = (*TORCH_ENGINES, "onnxruntime", "openvino", "executorch", "litert")


@pytest.mark.parametrize("engines", [TORCH_ENGINES, ALL_ENGINES], ids=["torch's", "all"])
def test_on_avx2_the_saturating_engine_is_flagged_by_measurement(engines: tuple[str, ...]) -> None:
    """Onednn alone saturates there, fast as it is; it outdoes nobody, and its lost accuracy is told too."""
    found = _on("avx2", *engines)
    finding = _only("saturating-activations", found)
    assert (finding.subject, finding.severity) == ("onednn", "error")
    assert "8.4 dB against exact integers, measured" in finding.message
    assert [each.subject for each in _of("accuracy-loss", found)] == ["onednn"]
    assert not [each for each in _of("outdone", found) if "onednn" in each.message]


@pytest.mark.parametrize("engine", PROCESSORS["without_vnni_at_full_range"])
def test_whichever_engine_keeps_the_full_range_without_vnni_is_flagged(engine: str) -> None:
    """By what its probe measured, of torch or not."""
    told = PROCESSORS["without_vnni_at_full_range"][engine]
    ledger = Ledger(created_at="now")
    ledger.probes[engine] = SaturationProbe(engine=engine, sqnr_db=told, saturates=True, against="float32")
    cases = grid(model="m", variants=int8_variants(engine), batches=(32,), threads=(1,))
    finding = _only("saturating-activations", _found(cases=cases, ledger=ledger))
    assert (finding.subject, finding.severity) == (engine, "error")


def test_on_avx2_fbgemm_is_not_outdone_by_torch() -> None:
    """No engine of torch that is exact there is faster; OpenVINO is twice as fast, which is said of it."""
    assert not _of("outdone", _on("avx2", *TORCH_ENGINES))
    assert not _of("fbgemm-outdone", _on("avx2", *TORCH_ENGINES))
    by_subject = {each.subject: each.message for each in _of("outdone", _on("avx2", *ALL_ENGINES))}
    assert by_subject["fbgemm"].startswith("fbgemm is outdone here by openvino, 2.1 times as fast at batch 32")


@pytest.mark.parametrize("rival", ["x86", "openvino", "onednn"])
def test_on_amx_fbgemm_is_flagged_as_outdone(rival: str) -> None:
    """Whichever engine that uses the processor runs beside it is four times as fast, and nothing saturates."""
    found = _on("amx", "fbgemm", rival)
    finding = _only("outdone", found)
    assert (finding.subject, finding.severity) == ("fbgemm", "warning")
    factor = PROCESSORS["amx"]["ms"]["fbgemm"] / PROCESSORS["amx"]["ms"][rival]
    assert finding.message == (
        f"fbgemm is outdone here by {rival}, {factor:.1f} times as fast at batch 32 on 1 thread, and in 1 of 1 cells "
        "in all."
    )
    assert factor > 3.9
    assert finding.advice == f"Choose --engines {rival}."
    assert not _of("saturating-activations", found)


def test_what_was_measured_stands_in_for_what_a_rule_expects() -> None:
    """On AMX the rule expects fbgemm to be outdone; where the run has shown it, that alone is said."""
    assert _of("fbgemm-outdone", _on("amx", "fbgemm"))
    assert not _of("fbgemm-outdone", _on("amx", "fbgemm", "x86"))


@pytest.mark.parametrize(
    "rival",
    [
        {"latency_s": {"median": {"value": 4e-4, "low": 3e-4, "high": 1.2e-3}}},
        {"latency_s": _latency(6e-4)},
        {"latency_s": _latency(1e-4), "fidelity": {**FIDELITY, "sqnr_db": 20.0}},
        {"latency_s": _latency(1e-4), "evidence": {"ran": {**RAN, "int8_share": 0.0, "float_share": 0.9}}},
    ],
    ids=["within the intervals", "less than twice", "at a loss of accuracy", "int8 in name only"],
)
def test_who_does_not_outdo(rival: Mapping[str, object]) -> None:
    """A rival must be twice as fast, beyond the intervals of both, with answers that hold."""
    assert not _of("outdone", _found({("x86", 1): rival, ("x86", 8): rival}))


def test_an_engine_that_does_not_fit_is_not_called_outdone_too() -> None:
    """The rule has said it, and why."""
    assert {each.code for each in _on("amx", "qnnpack", "x86")} >= {"qnnpack-on-x86"}
    assert not _of("outdone", _on("amx", "qnnpack", "x86"))


def test_a_saturating_engine_outdoes_nobody() -> None:
    """However well it answers these pictures: the probe has shown that others can go wrong."""
    ledger = Ledger(created_at="now")
    quick = {"latency_s": _latency(1e-4)}
    changes = {("x86", 1): quick, ("x86", 8): quick}
    assert _of("outdone", _found(changes, ledger=ledger))
    ledger.probes["x86"] = SaturationProbe(engine="x86", sqnr_db=8.0, saturates=True)
    assert not _of("outdone", _found(changes, ledger=ledger))


def _loaded(*loads: float) -> Ledger:
    ledger = Ledger(created_at="now")
    ledger.races["m"] = [
        RaceSample(
            launch=0,
            fork=fork,
            calls=1,
            times_s=(1.0, 1.0),
            kept=(1, 1),
            single_s=(1.0,),
            cpu_s=1.0,
            wall_s=1.0,
            lingering_s=0.0,
            noise={"competing_load": load},
        )
        for fork, load in enumerate(loads)
    ]
    return ledger


def test_competing_load_is_a_note_where_it_lasted() -> None:
    """The median over forks counts: one busy fork is not a busy machine."""
    finding = _only("competing-load", _found(ledger=_loaded(0.0, 0.5, 0.6)))
    assert finding.message == "Other processes kept 0.5 cores busy during the measurement."
    assert not _of("competing-load", _found(ledger=_loaded(0.0, 0.05, 0.9)))


def test_what_the_probes_measured_reaches_the_rules() -> None:
    """A saturating engine that was probed in the run is a finding of the run."""
    ledger = Ledger(created_at="now")
    ledger.probes["x86"] = SaturationProbe(engine="x86", sqnr_db=15.0, saturates=True)
    with_probe, without = ({each.code for each in _found(ledger=each)} for each in (ledger, Ledger(created_at="now")))
    assert with_probe - without == {"saturating-activations"}


@pytest.mark.parametrize("engines", [("x86", "fbgemm"), ("fbgemm", "x86")])
def test_a_saturating_engine_that_was_run_is_an_error_in_any_order(engines: tuple[str, ...]) -> None:
    """What the others' rules say of it, which did not ask for it, is no excuse."""
    cases = grid(model="m", variants=int8_variants(*engines), batches=(1,), threads=(1,))
    ledger = Ledger(created_at="now")
    ledger.probes["x86"] = SaturationProbe(engine="x86", sqnr_db=8.0, saturates=True)
    assert _only("saturating-activations", _found(cases=cases, ledger=ledger)).severity == "error"


def test_an_engine_that_no_rule_knows_is_flagged_by_its_probe() -> None:
    """It was asked for and it saturates; what it was held against is told."""
    cases = grid(model="m", variants=int8_variants("theirs"), batches=(1,), threads=(1,))
    ledger = Ledger(created_at="now")
    ledger.probes["theirs"] = SaturationProbe(engine="theirs", sqnr_db=8.54, saturates=True, against="float32")
    finding = _only("saturating-activations", _found(cases=cases, ledger=ledger))
    assert (finding.subject, finding.severity) == ("theirs", "error")
    assert "8.5 dB against float32, measured" in finding.message
    assert _only("saturating-activations", _found(cases=cases, ledger=ledger, named=HERE)).severity == "warning"


def test_an_engine_of_another_package_has_the_findings_of_the_machine() -> None:
    """No rule knows it, and its run is not stopped for that."""
    cases = grid(model="m", variants=int8_variants("theirs"), batches=(1,), threads=(64,))
    found = findings_of(cases, [_cell(case) for case in cases], Ledger(created_at="now"), MACHINE)
    assert "threads-above-cores" in {finding.code for finding in found}


@pytest.mark.parametrize(("lingering_s", "threads", "told"), [(0.002, 2, True), (0.0005, 2, False), (0.002, 1, False)])
def test_idle_threads_that_spin_are_a_note(lingering_s: float, threads: int, told: bool) -> None:  # noqa: FBT001
    """Of several threads, and for longer than a lead-in call covers."""
    cases = grid(model="m", variants=int8_variants("fbgemm"), batches=(1,), threads=(threads,))
    (sample,) = _loaded(0.0).races["m"]
    ledger = Ledger(created_at="now")
    ledger.races[cases[2].id] = [replace(sample, lingering_s=lingering_s)]
    found = [each for each in findings_of(cases, [], ledger, MACHINE) if each.code == "threads-linger"]
    assert [each.subject for each in found] == (["fbgemm"] if told else [])
    assert all("2.00 ms" in each.message for each in found)
