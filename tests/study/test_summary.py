import json
import math
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
from runs import int8_variants

from int8bench.lab.sampling import Durations
from int8bench.machine import Hardware
from int8bench.machine.finding import SaturationProbe
from int8bench.stats.verdict import Looks
from int8bench.study import records
from int8bench.study.cells import FilesMade, RaceSample, SoloSample, known
from int8bench.study.figures import computed, record, samples_alone, settled
from int8bench.study.plan.plan import Plan
from int8bench.study.records import Run
from int8bench.study.session.ledger import NOT_YET, Ledger
from int8bench.study.session.worker import Checked
from int8bench.workload.cases import Case, grid
from int8bench.workload.fidelity import Fidelity

GOLDEN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"
LAST_DIGITS = 1e-10  # a float has 16; those of exp and log differ in the last one, and bounds of intervals add some
SETTINGS = {"confidence": 0.95, "precision": 0.01, "margin": 0.01, "error_rate": 0.001, "family_error_rate": 0.05}
PLAN = Plan(
    looks=Looks(launches=(4, 6)),
    forks=2,
    durations=Durations(warmup_s=0.0, race_s=0.1, single_s=0.1),
    replicates=3,
    load_s=0.1,
    budget_s=60.0,
)
MACHINE = Hardware(arch="x86_64", vendor="GenuineIntel", flags=frozenset({"avx2"}), os="Linux", usable_cores=2)
CASES = grid(model="m", variants=int8_variants("fbgemm"), batches=(4,), threads=(1,))
CHANNELS_LAST, NCHW, INT8 = CASES


def _race(time_s: float, *, launch: int, fork: int, rounds: int = 8, noise: float = 0.01) -> RaceSample:
    """A fork in which a call takes about `time_s`, off by its own luck; the same fork is the same in all contenders."""
    luck = np.random.default_rng([launch, fork, int(1e9 * time_s)])
    times_s = (time_s * np.exp(noise * luck.standard_normal(2 * rounds))).tolist()
    return RaceSample(
        launch=launch,
        fork=fork,
        calls=2,
        times_s=tuple(times_s[:rounds]),
        kept=(0, *[1] * (rounds - 1)),
        single_s=tuple(times_s[rounds:]),
        cpu_s=0.9 * rounds * time_s,
        wall_s=1.0 * rounds * time_s,
        lingering_s=0.0,
        noise={"competing_load": 0.0},
    )


def _solo(case: Case, replicate: int) -> SoloSample:
    return SoloSample(
        launch=replicate,
        replicate=replicate,
        build_s=0.1,
        cold_s=0.01 * (1 + replicate),
        peak_bytes=5_000_000 + 1000 * replicate,
        idle_peak_bytes=1_000_000,
        streams=2,
        items=100 * case.group.batch,
        seconds=0.1 * (1 + 0.01 * replicate),
    )


def _ledger(times_s: dict[Case, float], *, launches: int = 4, replicates: int = 3, noise: float = 0.01) -> Ledger:
    """A ledger in which each case takes the given time a call."""
    ledger = Ledger(created_at="2026-01-01T00:00:00+00:00")
    for case, time_s in times_s.items():
        ledger.races[case.id] = [
            _race(time_s, launch=launch, fork=fork, noise=noise) for launch in range(launches) for fork in range(2)
        ]
        ledger.solos[case.id] = [_solo(case, replicate) for replicate in range(replicates)]
        ledger.checks[case.variant] = Checked(
            fidelity=Fidelity(sqnr_db=30.0, agreement=0.99, top1=0.98, top1_float32=0.98),
            objection=None,
            weights_bytes=1000,
            serialized_bytes=2000,
            evidence={"engine": case.variant.engine},
        )
    return ledger


TIMES_S = {CHANNELS_LAST: 2e-3, NCHW: 4e-3, INT8: 1e-3}


def _record(ledger: Ledger, *, cases: Sequence[Case] = CASES, plan: Plan = PLAN, complete: bool = True) -> Run:
    settings = {**SETTINGS, "plan": plan.to_dict()}
    return record(cases=cases, ledger=ledger, plan=plan, machine=MACHINE, settings=settings, complete=complete)


def _cases(run: Run) -> tuple[Case, ...]:
    first = run.cells[0]
    return grid(
        model=first.model,
        variants=int8_variants(*dict.fromkeys(cell.engine for cell in run.cells if cell.precision == "int8")),
        batches=tuple(dict.fromkeys(cell.batch for cell in run.cells)),
        threads=tuple(dict.fromkeys(cell.threads for cell in run.cells)),
    )


def _again(run: Run) -> Run:
    """The run with every figure computed again from its samples."""
    return record(
        cases=_cases(run),
        ledger=Ledger.of(run),
        plan=Plan.from_dict(run.settings["plan"]),
        machine=Hardware.from_dict(run.environment.hardware),
        settings=run.settings,
        complete=run.complete,
    )


@pytest.mark.parametrize("source", ["golden", "made up"])
def test_every_figure_can_be_computed_again_from_its_samples(source: str) -> None:
    """A ledger read back from a record gives it all again, what is ranked, recommended and found too."""
    made_up = records.loads(records.dumps(_record(_ledger(TIMES_S))))
    run = records.load(GOLDEN) if source == "golden" else made_up
    again, stored = (json.loads(records.dumps(each)) for each in (_again(run), run))
    for part in ("cells", "ranking", "recommendation", "findings"):
        assert again[part] == stored[part] if source == "made up" else _alike(again[part], stored[part]), part
    assert all(cell["status"] == "ok" for cell in again["cells"])
    assert bool(again["ranking"]) is (source == "golden")


def _alike(ours: object, theirs: object) -> bool:
    """Whether two documents are one but for the last digits of figures, which the exp and log of a processor decide."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(_alike(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=LAST_DIGITS)
    return ours == theirs


def test_what_a_save_keeps_of_a_run_that_goes_on_comes_to_the_same_figures() -> None:
    """A save holds no figure; whoever looks has all, with what a check and a conversion said and who cannot run."""
    ledger = _ledger(TIMES_S)
    ledger.conversions[INT8.id] = FilesMade(seconds=3.0, reused=False, notes={"nodes": 2})
    ledger.skip(NCHW.id, "no such layout here")
    ledger.probes["fbgemm"] = SaturationProbe(engine="fbgemm", sqnr_db=8.0, saturates=True)
    ledger.probes["x86"] = SaturationProbe(engine="x86", sqnr_db=math.inf, saturates=False)
    kept = samples_alone(cases=CASES, ledger=ledger, machine=MACHINE, settings={**SETTINGS, "plan": PLAN.to_dict()})
    elsewhere = replace(kept, int8bench_version="0.0", environment=replace(kept.environment, versions={"torch": "1"}))
    saved = records.loads(records.dumps(elsewhere))
    assert saved == elsewhere
    assert {(cell.status, cell.latency_s) for cell in saved.cells} == {("skipped", None)}
    assert not saved.complete
    whole = replace(_record(ledger, complete=False), environment=saved.environment, int8bench_version="0.0")
    assert computed(saved) == whole
    assert [cell.status for cell in whole.cells] == ["ok", "skipped", "ok"]
    assert "saturating-activations" in {finding.code for finding in whole.findings}


def test_findings_of_a_run_that_was_killed_before_its_first_check_are_there() -> None:
    """What cannot run here is said before anything was measured."""
    ledger = Ledger(created_at="2026-01-01T00:00:00+00:00")
    ledger.skip(INT8.id, "not built into this torch")
    settings = {**SETTINGS, "plan": PLAN.to_dict()}
    saved = samples_alone(cases=CASES, ledger=ledger, machine=MACHINE, settings=settings)
    assert saved.findings == ()
    assert "cell-failed" in {finding.code for finding in computed(saved).findings}


def test_a_record_with_figures_is_as_it_was_written() -> None:
    """They are not computed again where they stand."""
    run = _record(_ledger(TIMES_S), complete=False)
    assert computed(run) is run


@pytest.mark.parametrize(
    ("ours", "alike"),
    [
        ({"value": 1.0 + 1e-13, "verdict": "faster", "n": [3]}, True),
        ({"value": 1.0 + 1e-9, "verdict": "faster", "n": [3]}, False),
        ({"value": 1.0, "verdict": "same", "n": [3]}, False),
        ({"value": 1.0, "verdict": "faster", "n": [4]}, False),
        ({"value": 1.0, "verdict": "faster", "n": []}, False),
        ({"value": 1.0, "verdict": "faster"}, False),
    ],
)
def test_only_last_digits_may_differ_between_processors(ours: dict[str, object], alike: bool) -> None:  # noqa: FBT001
    """A verdict, a count or a figure in its sixth digit is another answer."""
    assert _alike(ours, {"value": 1.0, "verdict": "faster", "n": [3]}) is alike


def test_a_figure_follows_its_samples() -> None:
    """A sample that is changed in a stored record changes the figure that is computed again from it."""
    ledger = _ledger(TIMES_S)
    slowed = [replace(race, single_s=tuple(2 * each for each in race.single_s)) for race in ledger.races[INT8.id]]
    before, after = _record(ledger).cells[2], None
    ledger.races[INT8.id] = slowed
    after = _record(ledger).cells[2]
    assert before.latency_s is not None
    assert after.latency_s is not None
    assert after.latency_s.p50 == pytest.approx(2 * before.latency_s.p50)
    assert after.speedups == before.speedups


def test_known_samples_give_known_figures() -> None:
    """With samples without noise every figure is known beforehand."""
    cell = _record(_ledger(TIMES_S, noise=0.0)).cells[2]
    assert cell.latency_s is not None
    assert cell.throughput_items_per_s is not None
    assert cell.memory_bytes is not None
    assert astuple(cell.latency_s.median) == pytest.approx((1e-3, 1e-3, 1e-3))
    assert (cell.latency_s.p50, cell.latency_s.p99) == pytest.approx((1e-3, 1e-3))
    assert cell.latency_s.calls == 4 * 2 * 8
    assert cell.cold_s == 0.02
    assert cell.throughput_items_per_s.streams == 2
    assert cell.throughput_items_per_s.value == pytest.approx(4000 / (1 * 1.01 * 1.02) ** (1 / 3))
    assert cell.threads_used == pytest.approx(0.9)
    assert cell.memory_bytes.peak_delta.value == pytest.approx(4_001_000)
    assert cell.memory_bytes.peak_delta.forks == 3
    assert (cell.memory_bytes.weights, cell.memory_bytes.serialized) == (1000, 2000)
    best, naive = cell.speedups
    assert (best.reference, best.role, best.verdict) == (CHANNELS_LAST.id, "best_float32", "faster")
    assert (naive.reference, naive.role, naive.verdict) == (NCHW.id, "naive_float32", "faster")
    assert (best.value, naive.value) == pytest.approx((2.0, 4.0))
    assert (best.launches, best.forks, best.pairs) == (4, 8, 4 * 2 * 7)


def test_every_interval_holds_its_value() -> None:
    """A figure with an interval lies inside it, and the interval has a width where the samples differ."""
    for cell in _record(_ledger(TIMES_S)).cells:
        assert cell.latency_s is not None
        assert cell.throughput_items_per_s is not None
        assert cell.memory_bytes is not None
        figures = (cell.median, known(cell.throughput_items_per_s), known(cell.memory_bytes).peak_delta)
        assert all(each.low < each.value < each.high for each in (*figures, *cell.speedups))


def test_the_headline_is_against_the_best_float32_whichever_it_is() -> None:
    """Where plain NCHW is the faster float32, it is the reference of both roles."""
    cell = _record(_ledger({CHANNELS_LAST: 4e-3, NCHW: 2e-3, INT8: 1e-3})).cells[2]
    assert [speedup.reference for speedup in cell.speedups] == [NCHW.id, NCHW.id]
    assert cell.speedups[0].value == pytest.approx(2.0, rel=0.02)


def test_float32_cells_are_held_against_nothing() -> None:
    """Only an int8 cell has speed-ups, two of them."""
    assert [len(cell.speedups) for cell in _record(_ledger(TIMES_S)).cells] == [0, 0, 2]


@pytest.mark.parametrize(
    ("launches", "replicates", "checked"), [(1, 3, True), (4, 1, True), (4, 3, False), (0, 0, True)]
)
def test_a_cell_without_an_interval_for_every_figure_is_not_measured_yet(
    launches: int,
    replicates: int,
    checked: bool,  # noqa: FBT001
) -> None:
    """One launch, one replicate or no check: no figure is shown, and the samples are kept."""
    ledger = _ledger(TIMES_S, launches=launches, replicates=replicates)
    if not checked:
        ledger.checks.clear()
    cells = _record(ledger, complete=False).cells
    assert {(cell.status, cell.error) for cell in cells} == {("skipped", NOT_YET)}
    assert all(cell.latency_s is None and not cell.speedups for cell in cells)
    assert [len(cell.samples.races) for cell in cells] == [2 * launches] * 3


def test_top1_of_random_weights_decides_nothing() -> None:
    """It is told as chance, and no contender is left out of the ranking for it, nor has a change of it there."""
    cases = grid(model="m", variants=int8_variants("fbgemm", "x86"), batches=(4,), threads=(1,))
    ledger = _ledger(dict.fromkeys(cases, 1e-3))
    guess = Fidelity(sqnr_db=30.0, agreement=0.99, top1=0.05, top1_float32=0.1)
    ledger.checks = {variant: replace(each, fidelity=guess) for variant, each in ledger.checks.items()}
    for weights, ranked in (("initial", 2), ("given", 0)):
        subject = {"weights": weights, "num_classes": 100, "validation_images": 300}
        run = record(
            cases=cases,
            ledger=ledger,
            plan=PLAN,
            machine=MACHINE,
            settings={**SETTINGS, "plan": PLAN.to_dict(), "subject": subject},
            complete=True,
        )
        int8 = [each for each in run.ranking[0].entries if each.precision == "int8"]
        assert len(int8) == ranked
        assert {each.top1_change for each in int8} <= {None}
        assert any(each.code == "top1-is-chance" for each in run.findings) is (weights == "initial")


def test_a_failed_cell_keeps_its_reason_and_the_others_their_figures() -> None:
    """A failed reference leaves the other as the best one; a failed candidate has no figures."""
    ledger = _ledger(TIMES_S)
    ledger.fail(CHANNELS_LAST.id, "crashed")
    cells = _record(ledger).cells
    assert [cell.status for cell in cells] == ["failed", "ok", "ok"]
    assert cells[0].error == "crashed"
    assert [speedup.reference for speedup in cells[2].speedups] == [NCHW.id, NCHW.id]


def test_a_fork_of_one_round_is_left_out_of_ratios() -> None:
    """A fork in which a call took so long that one round was made says nothing on a ratio, and spoils no run."""
    ledger = _ledger(TIMES_S)
    for case in CASES:
        ledger.races[case.id][0] = _race(TIMES_S[case], launch=0, fork=0, rounds=2)
    assert ledger.races[INT8.id][0].kept == (0, 1)
    assert _record(ledger).cells[2].speedups[0].forks == 7


def test_two_launches_give_an_interval_and_no_verdict() -> None:
    """An unfinished run of two launches shows its interval, and says that it cannot tell."""
    best = _record(_ledger(TIMES_S, launches=2), complete=False).cells[2].speedups[0]
    assert best.verdict == "unclear"
    assert best.reason == "2 launches, 3 or more are needed to tell"
    assert best.more_launches == 1


def test_settled_means_precise_and_told() -> None:
    """A group is settled when every headline has its verdict and the precision asked for."""
    group = INT8.group
    precise, noisy = _ledger(TIMES_S, noise=0.001), _ledger({**TIMES_S, INT8: 2.001e-3}, noise=0.2)
    assert settled(group, CASES, precise, PLAN, precision=0.01)
    assert not settled(group, CASES, precise, PLAN, precision=1e-7)
    assert not settled(group, CASES, noisy, PLAN, precision=0.99)
    assert not settled(group, CASES, _ledger({}), PLAN, precision=0.99)


def test_a_group_whose_engines_have_failed_is_settled() -> None:
    """Nothing is left to wait for where no candidate is left."""
    ledger = _ledger(TIMES_S)
    ledger.fail(INT8.id, "crashed")
    assert settled(INT8.group, CASES, ledger, PLAN, precision=1e-9)


def test_a_made_up_record_is_a_record() -> None:
    """What summary makes passes the schema, whole or not; the versions of what was measured are in it."""
    for launches in (0, 1, 2, 4):
        run = _record(_ledger(TIMES_S, launches=launches), complete=launches == 4)
        assert records.loads(records.dumps(run)).complete is (launches == 4)
    assert {"python", "torch", "numpy", "int8bench"} <= set(run.environment.versions)
