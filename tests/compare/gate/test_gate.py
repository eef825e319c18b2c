"""The gate: a run against its baseline or a duet against a base, what is recorded, and what is refused."""

import importlib.util
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from int8bench.compare.comparisons import Comparison, Metric, SideRatio
from int8bench.compare.duet import study as duet_study
from int8bench.compare.gate import baselines, gate
from int8bench.compare.gate.judging import Gate
from int8bench.compare.gate.policy import Policy
from int8bench.errors import InterruptedRunError, NothingMeasuredError, RecordError, RequestError
from int8bench.study import records, study
from int8bench.study.records import Run

_SPEC = importlib.util.spec_from_file_location("runs", Path(__file__).parents[2] / "helpers" / "runs.py")
assert _SPEC is not None
assert _SPEC.loader is not None
runs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(runs)

Played = runs.Played
OLD = runs.run(Played(seed=1))
HERE = OLD.environment.fingerprint
BATCH_8 = "m/fbgemm/int8/channels_last/b8/t1"
Judge = Callable[..., Gate]


@dataclass(frozen=True)
class Duet:
    """Stands in for a duet."""

    base: str
    comparisons: tuple[Comparison, ...]
    head: str = "HEAD"
    complete: bool = True
    error_rate: float = 0.001
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    findings: tuple[dict, ...] = ()


def _duet(base: str, verdict: str = "slower") -> Duet:
    ratio = SideRatio(value=1.03, low=1.02, high=1.04)
    counts = {"launches": 8, "forks": 8, "pairs": 80}
    slower = Comparison(
        id="cell", metric=Metric.TIME, verdict=verdict, ratio=ratio, smallest_visible_effect=0.01, reason=None, **counts
    )
    return Duet(base, (slower,))


def _never(*_: object) -> Run:
    pytest.fail("nothing was to be measured")


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Runs the gate in an empty project on the played AVX2 machine; `played` is what the run gives."""

    def judged(
        played: Run | None = None, *, policy: Policy | None = None, fingerprint: str = HERE, **options: object
    ) -> Gate:
        return gate.run(
            gate.GateRequest(folder=tmp_path, **options),
            policy or Policy(),
            lambda _: None,
            race=_duet,
            measure=_never if played is None else lambda *_: played,
            fingerprint=fingerprint,
        )

    return judged


def test_the_first_run_is_recorded_and_not_judged(judge: Judge, tmp_path: Path) -> None:
    """No baseline of this hardware: recorded, said so, exit 0; the next run is judged by it."""
    first = judge(OLD)
    assert (first.verdict, first.exit_code, first.comparisons) == ("recorded", 0, ())
    assert first.reasons[0].startswith(f"no baseline of this hardware ({HERE})")
    assert f"{HERE}.json" in first.reasons[-1]
    second = judge(runs.run(Played(seed=2)))
    assert (second.verdict, second.exit_code) == ("pass", 0)
    assert second.base == f"baseline {HERE}.json"
    assert records.dumps(baselines.load(tmp_path, HERE)).count('"id"') == len(OLD.cells)


def test_a_slow_down_is_red_with_its_cell_and_size(judge: Judge) -> None:
    """Ten percent at batch 8 fails, at batch 8 alone, with its interval."""
    judge(OLD)
    found = judge(runs.run(Played(seed=2, slowed=8)))
    assert found.exit_code == 1
    red = [reason for reason in found.reasons if "is allowed" in reason]
    assert len(red) == 1
    assert red[0].startswith(f"{BATCH_8}: speedup is less, worse by ")


@pytest.mark.parametrize(
    ("change", "metric"),
    [
        ({"memory_bytes": 38_000_000}, "peak_memory"),
        ({"weights_bytes": 60_100}, "weights"),
        ({"sqnr_db": 20.0}, "sqnr"),
        ({"top1": 0.9}, "top1"),
        ({"speedup": 1.0}, "speedup"),
    ],
)
def test_every_stored_metric_can_be_red(judge: Judge, change: dict, metric: str) -> None:
    """A leak, more weights, lost accuracy and a lost engine are as red as each other."""
    judge(OLD)
    found = judge(runs.run(Played(seed=2, **change)))
    assert found.exit_code == 1
    assert {reason.split(": ")[1].split(" ")[0] for reason in found.reasons if "is allowed" in reason} == {metric}


def test_a_slow_day_is_not_red(judge: Judge) -> None:
    """Times and throughput of stored runs are shown and never judged, and no doubt is made of them."""
    judge(OLD)
    found = judge(runs.run(Played(seed=2, clock=1.8)))
    assert found.exit_code == 0
    assert {Metric.TIME, Metric.THROUGHPUT} <= {each.metric for each in found.comparisons}
    assert not any(reason.startswith(("time", "throughput")) for reason in found.reasons)
    assert any("shown, not judged" in note for note in found.notes)


@pytest.mark.parametrize(("there", "here"), [(runs.AVX2, runs.AMX), (runs.AMX, runs.AVX2)])
def test_a_baseline_of_other_hardware_judges_nothing(judge: Judge, there: object, here: object, tmp_path: Path) -> None:
    """AVX2 and AMX, both ways: half the speed on the other machine is recorded there, and named; not red."""
    judge(runs.run(Played(seed=1, machine=there)))
    slow = runs.run(Played(seed=2, machine=here, speedup=1.0))
    mine = slow.environment.fingerprint
    found = judge(slow, fingerprint=mine)
    assert (found.verdict, found.exit_code) == ("recorded", 0)
    assert any("baselines of other hardware do not judge this one: " in reason for reason in found.reasons)
    assert len(list((tmp_path / "reports" / "baselines").iterdir())) == 2
    assert judge(slow, fingerprint=mine).verdict == "pass"


def test_a_required_baseline_that_is_not_there_is_no_green(judge: Judge) -> None:
    """Exit 3, before any minute is spent."""
    with pytest.raises(NothingMeasuredError, match="record one with: int8bench gate --record") as raised:
        judge(require_baseline=True)
    assert raised.value.exit_code == 3
    judge(OLD)
    assert judge(OLD, require_baseline=True).verdict == "pass"


@pytest.mark.parametrize("change", [{}, {"slowed": 8}])
def test_a_new_baseline_is_recorded_on_purpose_alone(judge: Judge, change: dict, tmp_path: Path) -> None:
    """Green or red, the old baseline stays unless --record is given; the verdict is the same either way."""
    judge(OLD)
    before = baselines.load(tmp_path, HERE)
    new = runs.run(Played(seed=2, **change))
    code = judge(new).exit_code
    assert baselines.load(tmp_path, HERE) == before
    found = judge(new, record=True)
    assert found.exit_code == code
    assert found.reasons[-1].startswith("recorded as the baseline of this hardware")
    assert baselines.load(tmp_path, HERE).cells == records.loads(records.dumps(new)).cells


def test_a_red_finding_fails_and_records_nothing(judge: Judge, tmp_path: Path) -> None:
    """A first run with an error is red and no baseline; with --record it is one, and still red."""
    faulty = runs.run(Played(finding="error"))
    found = judge(faulty)
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert baselines.load(tmp_path, HERE) is None
    assert judge(faulty, record=True).exit_code == 1
    assert baselines.load(tmp_path, HERE) is not None
    assert judge(faulty).exit_code == 1
    assert judge(OLD).exit_code == 0


def test_a_broken_baseline_stops_the_gate_before_it_measures(judge: Judge, tmp_path: Path) -> None:
    """Exit 2, and it is not written over, even with --record."""
    path = baselines.path_of(tmp_path, HERE)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with pytest.raises(RecordError, match="left alone"):
        judge(record=True)
    assert path.read_text() == "{"


def test_nothing_measured_is_exit_3(judge: Judge) -> None:
    """No cell with figures, none in common with the baseline, or a run that was stopped."""
    with pytest.raises(NothingMeasuredError, match="no cell was measured"):
        judge(runs.run(Played(launches=1)))
    judge(OLD)
    with pytest.raises(NothingMeasuredError, match="no int8 cell in common"):
        judge(runs.run(Played(engines=("qnnpack",))))


def test_a_run_that_was_stopped_is_not_judged(tmp_path: Path) -> None:
    """It is not gone on with either: by then the code may be another."""

    def stopped(*_: object) -> Run:
        raise InterruptedRunError("stopped, with figures for 3 of 8 cells; the same command goes on from x.json")

    with pytest.raises(NothingMeasuredError) as raised:
        gate.run(
            gate.GateRequest(folder=tmp_path), Policy(), lambda _: None, race=_duet, measure=stopped, fingerprint=HERE
        )
    assert str(raised.value) == (
        "not judged: stopped, with figures for 3 of 8 cells; type the same command to start again"
    )
    assert list(tmp_path.iterdir()) == []


def test_the_policy_is_what_is_measured(tmp_path: Path) -> None:
    """Model, grid and budget go to the study as they stand; --quick and --budget win over the policy's budget."""
    asked: list[study.Request] = []
    policy = Policy(engines=("x86",), batch=(2,), threads=(1,), budget_s=60.0, model="a.b:c", input_shape="1x8x8")

    def measure(request: study.Request, path: Path, _advance: object) -> Run:
        assert not path.exists()
        asked.append(request)
        return OLD

    for options in ({}, {"quick": True}, {"budget_s": 9.0}):
        request = gate.GateRequest(folder=tmp_path, **options)
        gate.run(request, policy, lambda _: None, race=_duet, measure=measure, fingerprint=HERE)
    first, quick, budgeted = asked
    assert (first.model, first.input_shape, first.engines, first.batches) == ("a.b:c", "1x8x8", ("x86",), (2,))
    assert (first.threads, first.quick, first.measuring_s) == ((1,), False, 60.0)
    assert (quick.quick, quick.measuring_s) == (True, None)
    assert (budgeted.quick, budgeted.measuring_s) == (False, 9.0)
    assert records.load(tmp_path / gate.RUN_FILE) == records.loads(records.dumps(OLD))


def test_a_base_is_a_duet_and_needs_no_baseline(judge: Judge, tmp_path: Path) -> None:
    """With --base, or the policy's base, both sides are raced: time is judged, nothing is stored."""
    found = judge(base="main")
    assert (found.base, found.exit_code) == ("main", 1)
    assert "cell: time is slower, worse by 3.0%" in found.reasons[0]
    assert judge(policy=Policy(base="develop", suite="asv")).base == "develop"
    assert list(tmp_path.iterdir()) == []


def test_what_is_raced_is_what_the_policy_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a stand-in the duet is asked for HEAD against the base, with the policy's suite, grid and budget."""
    asked: list[duet_study.DuetRequest] = []
    monkeypatch.setattr(duet_study, "run", lambda request, *_: (asked.append(request), _duet("main", "same"))[1])
    policy = Policy(suite="asv", budget_s=60.0, batch=(2,), threads=(1,), model="a.b:c", input_shape="1x8x8")
    request = gate.GateRequest(folder=tmp_path, base="main")
    assert gate.run(request, policy, lambda _: None).exit_code == 0
    gate.run(replace(request, select="b1", select_regex="t2"), Policy(engines=("x86",)), lambda _: None)
    first, second = asked
    assert (first.select, second.select, second.select_regex) == (None, "b1", "t2")
    assert (first.base, first.head, first.suite, first.budget_s, first.folder) == (
        "main",
        "HEAD",
        "asv",
        60.0,
        tmp_path,
    )
    assert (first.batches, first.threads, first.model, first.input_shape) == ((2,), (1,), "a.b:c", "1x8x8")
    assert (second.engines, second.budget_s, second.quick) == (("x86",), None, False)


def test_baseline_options_win_over_the_policys_base(judge: Judge) -> None:
    """What is typed is meant: --record measures and records though the policy names a base."""
    assert judge(OLD, policy=Policy(base="main"), record=True).reasons[-1].startswith("recorded")


@pytest.mark.parametrize(
    ("options", "policy", "sentence"),
    [
        ({"base": "main", "record": True}, Policy(), "--record is about baselines, and --base main needs none"),
        ({"base": "main", "require_baseline": True}, Policy(), "--require-baseline is about baselines"),
        (
            {"select": "b1"},
            Policy(),
            "--select b1: selects what a duet races; type: int8bench gate --base main",
        ),
        ({"select_regex": "b1"}, Policy(), "--select-regex b1: selects what a duet races"),
        ({}, Policy(suite="asv"), "suite asv: judged by a duet alone"),
        ({}, Policy(metrics=(Metric.TIME, Metric.THROUGHPUT)), "metrics time, throughput: judged by a duet alone"),
    ],
)
def test_contradictions_are_refused_before_anything_is_measured(
    judge: Judge, options: dict, policy: Policy, sentence: str
) -> None:
    """One sentence that says what to type instead."""
    with pytest.raises(RequestError, match=sentence):
        judge(policy=policy, **options)


def test_the_commit_is_named(judge: Judge, tmp_path: Path) -> None:
    """In a repository both sides carry their commit, and changes that are not committed are marked."""

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(("git", "-C", str(tmp_path), *identity, *arguments), capture_output=True, check=True)
        return done.stdout.decode().strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert judge(OLD).head == f"this run ({commit[:12]})"
    (tmp_path / "file").write_text("two")
    found = judge(OLD)
    assert found.base == f"baseline {HERE}.json ({commit[:12]})"
    assert found.head == f"this run ({commit[:12]}-dirty)"
    assert baselines.commit_of(baselines.load(tmp_path, HERE)) == commit
