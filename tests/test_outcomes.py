from collections.abc import Mapping
from typing import Any

import pytest

from int8bench.cases import Case, grid, int8_variants
from int8bench.findings import Finding, SaturationProbe
from int8bench.hardware import Hardware
from int8bench.ledger import NOT_YET, Ledger, RaceSample
from int8bench.outcomes import findings_of

MACHINE = Hardware(arch="x86_64", vendor="AuthenticAMD", flags=frozenset({"avx2"}), os="Linux", usable_cores=2)
ENGINES = ("fbgemm", "x86")
CASES = grid(model="m", variants=int8_variants(*ENGINES), batches=(1, 8), threads=(1,))
FIDELITY = {"sqnr_db": 35.0, "agreement": 0.99, "top1": 0.98, "top1_float32": 0.98}
SEEN = {"smallest_visible_effect": 0.05, "launches": 8, "more_launches": None}


def _best(verdict: str, value: float, **changes: object) -> dict[str, object]:
    return {"role": "best_float32", "verdict": verdict, "value": value, **SEEN, **changes}


def _cell(case: Case, **changes: object) -> dict[str, Any]:
    """A measured cell without trouble: int8 twice as fast as float32."""
    int8 = case.variant.precision == "int8"
    return {
        "engine": case.variant.engine,
        "precision": case.variant.precision,
        "batch": case.group.batch,
        "threads": case.group.threads,
        "status": "ok",
        "error": None,
        "latency_s": {"median": {"value": 1e-3 if int8 else 2e-3}},
        "threads_used": 1.0,
        "fidelity": FIDELITY,
        "speedups": [_best("faster", 2.0)] if int8 else [],
        **changes,
    }


def _found(
    changes: Mapping[tuple[str, int], Mapping[str, object]] | None = None,
    *,
    cases: tuple[Case, ...] = CASES,
    ledger: Ledger | None = None,
    machine: Hardware = MACHINE,
) -> list[Finding]:
    """The findings of a run whose cells have these changes, by engine and batch."""
    cells = [_cell(case, **(changes or {}).get((case.variant.engine, case.group.batch), {})) for case in cases]
    return list(findings_of(cases, cells, ledger or Ledger(created_at="now"), machine))


def _of(code: str, found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.code == code]


def _only(code: str, found: list[Finding]) -> Finding:
    (only,) = _of(code, found)
    return only


OURS = {"cell-failed", "slower-than-float32", "accuracy-loss", "unclear", "threads-beyond-asked", "competing-load"}


def test_a_run_without_trouble_has_none_of_our_findings() -> None:
    """Cells that are fine give no finding but the fastest engine."""
    assert not {each.code for each in _found()} & OURS


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
    """Two engines, or one for two reasons, are not thrown together."""
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
        "fbgemm failed in 1 of 2 cells (batch 8 on 1 thread): hung.",
        "x86 failed in 1 of 2 cells (batch 8 on 1 thread): hung.",
    ]


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
    found = _found({("fbgemm", 1): skipped, ("fbgemm", 8): skipped}, machine=old)
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


def test_the_recommended_engine_wins_most_settings() -> None:
    """The lowest median latency counts, setting by setting."""
    quick = {"latency_s": {"median": {"value": 1e-4}}}
    finding = _only("recommended-engine", _found({("x86", 1): quick, ("x86", 8): quick}))
    assert finding.subject == "x86"
    assert "in 2 of 2 settings" in finding.message
    assert finding.advice == "Choose --engines x86."


@pytest.mark.parametrize(
    "trouble",
    [{"fidelity": {**FIDELITY, "sqnr_db": 20.0}}, {"speedups": [_best("slower", 0.9)]}],
    ids=["wrong answers", "slower than float32"],
)
def test_a_fast_engine_in_trouble_is_not_recommended(trouble: dict[str, object]) -> None:
    """A fast wrong answer is no win, and neither is int8 that loses to float32."""
    quick = {"latency_s": {"median": {"value": 1e-4}}, **trouble}
    found = _of("recommended-engine", _found({("x86", 1): quick, ("x86", 8): quick}))
    assert "x86" not in {each.subject for each in found}


def test_one_engine_alone_wins_nothing() -> None:
    """Where one int8 engine was run there was no choice to make."""
    cases = grid(model="m", variants=int8_variants("fbgemm"), batches=(1, 8), threads=(1,))
    assert not _of("recommended-engine", _found(cases=cases))


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


def test_an_engine_of_another_package_has_the_findings_of_the_machine() -> None:
    """No rule knows it, and its run is not stopped for that."""
    cases = grid(model="m", variants=int8_variants("theirs"), batches=(1,), threads=(64,))
    found = findings_of(cases, [_cell(case) for case in cases], Ledger(created_at="now"), MACHINE)
    assert "threads-above-cores" in {finding.code for finding in found}
