"""A duet from two commits to its comparisons: a real asv suite end to end, what is refused, and Ctrl-C half-way."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lean_pytest import LEAN
from played_lab import PlayedPeer

from int8bench import documents, machine
from int8bench.compare.comparisons import Metric
from int8bench.compare.duet import findings, plan, record, serving, study
from int8bench.compare.duet.failures import Outcome, Stage
from int8bench.compare.duet.record import Duet
from int8bench.compare.duet.state import BenchmarkRow, DuetRequest, State
from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError, RequestError
from int8bench.lab.agent.wire import FirstCall
from int8bench.lab.peers import LaunchLostError, SideSkippedError, StrayedError
from int8bench.lab.progress import Progress

WHO = ("-c", "user.name=toy", "-c", "user.email=toy@example.invalid", "-c", "commit.gpgsign=false")
TOY = """
def slow(): return sum(range({slow}))
def same(): return sum(range(6000))
def numbers(): return {numbers}
def asked(): {asked}
"""
SUITE = """
import toy

def time_slow(): toy.slow()
def time_same(): toy.same()
def time_asked(): toy.asked()
def track_numbers(): return toy.numbers()
def time_{only}(): pass

class Skips:
    def setup(self): raise NotImplementedError("not on this machine")
    def time_it(self): pass

class Broken:
    def setup(self): raise ValueError("broken in both")
    def time_it(self): pass
"""
OWN = """
def test_slow(benchmark):
    import toy
    benchmark(toy.slow)
"""
SLOWER = 8  # times: a few launches are sure of it, however busy the machine is
BASE = {"slow": 3000, "numbers": 10, "asked": "return 1"}
HEAD = {"slow": 3000 * SLOWER, "numbers": 12, "asked": "raise KeyError('gone')"}
COMPARISON = {"id", "metric", "verdict", "ratio", "launches", "forks", "pairs", "smallest_visible_effect", "reason"}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *WHO, "-C", folder, *arguments), capture_output=True, text=True, check=True)
    return done.stdout


def _commit(folder: Path, tag: str, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "-m", tag)
    _git(folder, "tag", tag)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two commits of a small project with an asv suite: head is slower, and breaks something."""
    folder = tmp_path_factory.mktemp("study") / "project"
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    common = {"asv.conf.json": "{}", "benchmarks/__init__.py": "", "tests/test_speed.py": OWN, "conftest.py": ""}
    _commit(folder, "bare", {"toy.py": TOY.format(**BASE), "README.md": "no suite yet"})
    _commit(
        folder, "base", {**common, "toy.py": TOY.format(**BASE), "benchmarks/b.py": SUITE.format(only="only_in_base")}
    )
    _commit(folder, "head", {"toy.py": TOY.format(**HEAD), "benchmarks/b.py": SUITE.format(only="only_in_head")})
    return folder


@pytest.fixture
def _own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


pytestmark = pytest.mark.usefixtures("_own_cache")


def _request(project: Path, **changes: Any) -> DuetRequest:
    asked = DuetRequest(base="base", head="head", suite="asv", quick=True, timeout_s=60.0, folder=project)
    return replace(asked, **changes)


def _quiet(_: Progress) -> None:
    """Progress that nobody looks at."""


@pytest.fixture(scope="module")
def raced(project: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> "tuple[Duet, Path, list[Progress]]":
    """One duet, the file that it leaves, and what it told; each revision has benchmark code of its own."""
    output, steps = tmp_path_factory.mktemp("raced") / "duet.json", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        found = study.run(_request(project, benchmarks="own", budget_s=14.0), output, steps.append)
    return found, output, steps


def _of(duet: Duet, name: str) -> dict[str, Any]:
    return next(documents.written(each) for each in duet.comparisons if each.id == name)


def test_what_got_slower_is_named(raced: tuple[Duet, Path, list[Progress]]) -> None:
    """With its size; what is alike is not called different."""
    duet = raced[0]
    slow, same = _of(duet, "b.time_slow"), _of(duet, "b.time_same")
    assert slow["verdict"] == "slower"
    assert 1 < slow["ratio"]["low"] < slow["ratio"]["value"] < slow["ratio"]["high"]
    assert SLOWER / 2 < slow["ratio"]["value"] < SLOWER * 2
    assert (slow["launches"], slow["forks"]) == (4, 4)
    assert slow["pairs"] >= 4 * 4
    assert same["verdict"] in {"same", "unclear"}
    assert [each.id for each in duet.worse] == ["b.time_slow"]


def test_a_tracked_number_is_compared(raced: tuple[Duet, Path, list[Progress]]) -> None:
    """It has no noise, and nobody said which way is worse."""
    found = _of(raced[0], "b.track_numbers")
    assert (found["metric"], found["verdict"]) == (Metric.TRACKED.value, "more")
    assert found["ratio"]["value"] == pytest.approx(1.2)


def test_what_one_side_alone_has_is_listed(raced: tuple[Duet, Path, list[Progress]]) -> None:
    """Not failed, and not compared."""
    duet = raced[0]
    assert (duet.added, duet.removed) == (("b.time_only_in_head",), ("b.time_only_in_base",))
    assert not {"b.time_only_in_head", "b.time_only_in_base"} & {each.id for each in duet.comparisons}


def test_what_head_breaks_is_an_error_and_what_both_break_a_warning(
    raced: tuple[Duet, Path, list[Progress]],
) -> None:
    """Both are rows with their reason; what skips itself is a note and no row."""
    duet = raced[0]
    broken = "fails in 7 of 7 launches of head, 0 of 7 of base: head: KeyError: 'gone'"
    assert _of(duet, "b.time_asked")["reason"] == broken
    both = (
        "fails in 4 of 4 launches of head, 4 of 4 of base: base: ValueError: broken in both; "
        "head: ValueError: broken in both"
    )
    assert _of(duet, "b.Broken.time_it")["reason"] == both
    found = {(each.severity, each.code, each.message) for each in duet.findings}
    assert found == {
        ("error", "benchmark-failed", f"b.time_asked: {broken}"),
        ("warning", "benchmark-failed", f"b.Broken.time_it: {both}"),
        ("note", "skipped", "b.Skips.time_it: not on this machine"),
    }
    assert duet.is_bad_news


def test_the_record_is_all_of_it(raced: tuple[Duet, Path, list[Progress]], project: Path) -> None:
    """Strict JSON, with the samples, the plan and both commits."""
    duet, output, _ = raced
    document = json.loads(output.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record.from_dict(document).shown == record.from_dict(duet.shown.to_dict())
    assert document["complete"] is True
    assert set(document["samples"]["forks"]) == {"b.time_slow", "b.time_same"}
    assert {side: each["commit"] for side, each in document["settings"]["sides"].items()} == {
        side: _git(project, "rev-parse", side).strip() for side in ("base", "head")
    }
    assert document["environment"]["fingerprint"] == machine.fingerprint(machine.detect())
    assert document["settings"]["plan"]["budget_s"] == 14


def test_progress_is_told_to_the_end(raced: tuple[Duet, Path, list[Progress]]) -> None:
    """It never goes back, and ends where it is done."""
    steps = [each for each in raced[2] if each.total is not None]
    assert [each.done for each in steps] == sorted(each.done for each in steps)
    assert steps[-1].done == steps[-1].total
    assert all(each.total is None or each.done <= each.total for each in steps)


def test_the_repository_is_left_as_it_was(raced: tuple[Duet, Path, list[Progress]], project: Path) -> None:
    """No worktree, no branch, no file."""
    assert raced[0].complete
    assert _git(project, "status", "--porcelain", "--ignored") == ""
    assert len(_git(project, "worktree", "list").splitlines()) == 1
    assert _git(project, "branch", "--list").split() == ["*", "main"]


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"suite": "unittest"}, RequestError, "--suite unittest: expected one of grid, asv, pytest"),
        ({"benchmarks": "mine"}, RequestError, "--benchmarks mine: expected one of base, head, own"),
        (
            {"select_regex": "("},
            RequestError,
            r"--select-regex \(: not a regular expression: .*; --select takes a text",
        ),
        ({"select": "a", "select_regex": "b"}, RequestError, "one selection is expected; leave one out"),
        ({"base": None}, RequestError, "BASE: not given; type int8bench duet BASE HEAD, or --base-python PYTHON"),
        ({"head": None}, RequestError, "HEAD: not given; type int8bench duet BASE HEAD, or --head-python PYTHON"),
        ({"base": "nowhere"}, RequestError, "nowhere: no such commit"),
        ({"base_python": "/no/python"}, RequestError, "--base-python /no/python: cannot be started"),
        ({"threads": (10_000,)}, RequestError, "--threads 10000: this machine has .* usable cores; try --threads"),
        ({"budget_s": 1.0}, RequestError, "--budget 1s: .* benchmarks need .* s or more; try --budget"),
        ({"select": "no_such"}, NothingMeasuredError, "have 7 asv benchmarks, and none that match --select no_s"),
        ({"head": "bare", "base": "bare"}, RequestError, "has no asv.conf.json in .*project; change into"),
        ({"base": "bare", "benchmarks": "own"}, NothingMeasuredError, r"base: the suite does not open: .*asv\.conf"),
        ({"select": "Skips"}, NothingMeasuredError, "nothing could be compared: b.Skips.time_it: not on this machine"),
        (
            {"select": "Broken"},
            NothingMeasuredError,
            "nothing could be compared: b.Broken.time_it: fails in 4 of 4 laun",
        ),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    project: Path, changes: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    """What was given, what was expected, what to type; exit code 2, or 3 where nothing could be measured."""
    with pytest.raises(kind, match=sentence) as told:
        study.run(_request(project, **changes), None, _quiet)
    assert "\n" not in str(told.value)
    assert "start again" not in str(told.value)


def test_outside_a_repository_a_revision_is_told(tmp_path: Path) -> None:
    """By the folder that was looked in."""
    with pytest.raises(RequestError, match="not in a git repository"):
        study.run(_request(tmp_path), None, _quiet)


def test_a_place_that_cannot_be_written_is_told_before_the_race(project: Path, tmp_path: Path) -> None:
    """Not after minutes."""
    phases: list[str] = []
    with pytest.raises(RequestError, match="it is a folder"):
        study.run(_request(project, select="slow"), tmp_path, lambda step: phases.append(step.phase))
    assert phases == ["laying out base and head", "opening the suites"]


def test_a_suite_that_one_revision_has_alone_is_listed(project: Path) -> None:
    """The code of head runs on both sides, so that base has a suite too; of its own it would have none."""
    steps: list[str] = []

    def stop(step: Progress) -> None:
        steps.append(step.phase)
        if step.phase.startswith("racing"):
            raise KeyboardInterrupt

    with pytest.raises(NothingMeasuredError, match="stopped before anything could be compared; type the same command"):
        study.run(_request(project, base="bare", select="slow"), None, stop)
    assert steps[-1] == "racing b.time_slow, launch 1 of 4"


@pytest.mark.parametrize("kept", [True, False])
def test_ctrl_c_half_way_keeps_what_is_there(project: Path, tmp_path: Path, *, kept: bool) -> None:
    """Three launches are a verdict: they are in -o, and it is said so; without -o it is said what would keep them."""
    output = tmp_path / "duet.json" if kept else None

    def stop(step: Progress) -> None:
        if step.phase == "starting launch 4 of 4":
            raise KeyboardInterrupt

    sentence = rf"they are in {re.escape(str(output))}" if kept else "give -o DUET.json to keep them"
    with pytest.raises(InterruptedRunError, match=f"^stopped, with 1 comparisons made; {sentence}$"):
        study.run(_request(project, select="numbers" if not kept else "time_slow", budget_s=3.0), output, stop)
    if output is not None:
        duet = record.from_dict(json.loads(output.read_text(encoding="utf-8")))
        assert not duet.complete
        assert [each.launches for each in duet.comparisons] == [3]


def test_a_dirty_tree_is_a_note(project: Path) -> None:
    """Base and head are commits; what is not committed is in neither."""
    (project / "toy.py").write_text("changed", encoding="utf-8")
    try:
        duet = study.run(_request(project, select="track_numbers"), None, _quiet)
    finally:
        _git(project, "checkout", "--quiet", "--", "toy.py")
    assert [(each.severity, each.code) for each in duet.findings] == [("note", "dirty-tree")]


def test_two_environments_need_no_repository(tmp_path: Path, project: Path) -> None:
    """The suite is the one in the folder that the person is in."""
    suite = {"asv.conf.json": "{}", "benchmarks/__init__.py": "", "benchmarks/b.py": "def track_it(): return 3\n"}
    for name, content in suite.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    asked = _request(
        project, base=None, head=None, base_python=sys.executable, head_python=sys.executable, folder=tmp_path
    )
    duet = study.run(asked, None, _quiet)
    assert [(each.id, each.verdict) for each in duet.comparisons] == [("b.track_it", "same")]
    assert (duet.base, duet.head) == (f"installed in {sys.executable}", f"installed in {sys.executable}")


def test_tests_of_pytest_benchmark_are_raced_with_the_sides_own_code(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though pytest puts the folder of head's code first on the path, base measures its own."""
    monkeypatch.setenv("PYTEST_ADDOPTS", LEAN["PYTEST_ADDOPTS"])
    duet = study.run(_request(project, suite="pytest", budget_s=3.0), None, _quiet)
    (found,) = duet.comparisons
    assert (found.id, found.verdict) == ("tests/test_speed.py::test_slow", "slower")


def test_the_command_answers_json_and_markdown(project: Path, tmp_path: Path) -> None:
    """Exit code 1 where head is worse; comparisons with the keys that were promised; a comment for a pull request."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "int8bench", "duet", "base", "head", "--suite", "asv", "--quick", "--budget", "5s"),
            *("--select-regex", "time_slow|numbers", "--json", "--markdown", str(tmp_path / "comment.md")),
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout, parse_constant=pytest.fail)
    assert [set(each) for each in document["comparisons"]] == [COMPARISON, COMPARISON]
    assert document["selftest"] is None
    assert "samples" not in document
    comment = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert "**slower**" in comment
    assert "| `b.track_numbers` | tracked | 1.200 |" in comment


WHOLE = """
import time
end = time.perf_counter() + {import_s}
while time.perf_counter() < end: pass
kept = []
def keep(): kept.append(bytearray(b"x") * ({kept_mib} << 20))
"""
WHOLE_SUITE = """
import toy

def timeraw_import(): return "import toy"

class Memory:
    def setup(self): toy.keep()
    def peakmem_kept(self): return bytearray(b"x") * (4 << 20)
    def peakmem_nothing(self): pass
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three commits of a project whose suite has fresh processes and peaks of memory alone; two of them are alike."""
    folder = tmp_path_factory.mktemp("whole") / "project"
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    suite = {"asv.conf.json": "{}", "benchmarks/__init__.py": "", "benchmarks/b.py": WHOLE_SUITE}
    toy = WHOLE.format(import_s=0.02, kept_mib=1)
    _commit(folder, "base", {**suite, "toy.py": toy, "README.md": "one"})
    _commit(folder, "alike", {"README.md": "two"})
    _commit(folder, "head", {"toy.py": WHOLE.format(import_s=0.1, kept_mib=17)})
    return folder


def _command(folder: Path, head: str) -> "tuple[int, dict[str, dict[str, Any]]]":
    """The exit code and the comparisons of the command."""
    command = (sys.executable, "-m", "int8bench", "duet", "base", head, "--suite", "asv", "--quick", "--json")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, {each["id"]: each for each in json.loads(done.stdout)["comparisons"]}


def test_fresh_processes_and_peaks_of_memory_are_compared(whole: Path) -> None:
    """A slower import and what setup holds are named, each with its metric."""
    code, found = _command(whole, "head")
    assert code == 1
    assert {name: (each["metric"], each["verdict"]) for name, each in found.items()} == {
        "b.timeraw_import": ("time", "slower"),
        "b.Memory.peakmem_kept": ("peak_memory", "more"),
        "b.Memory.peakmem_nothing": ("peak_memory", "more"),
    }
    assert 2 < found["b.timeraw_import"]["ratio"]["value"] < 8
    assert found["b.timeraw_import"]["pairs"] >= 4 * 2
    assert found["b.Memory.peakmem_kept"]["ratio"]["value"] == pytest.approx(21 / 5, rel=0.1)
    assert _git(whole, "status", "--porcelain", "--ignored") == ""


def test_of_identical_code_neither_is_called_different(whole: Path) -> None:
    """A few pages more on nothing are no regression."""
    code, found = _command(whole, "alike")
    assert code == 0
    assert {each["verdict"] for each in found.values()} <= {"same", "unclear"}
    assert found["b.Memory.peakmem_nothing"]["verdict"] in {"same", "unclear"}


def test_fresh_processes_from_elsewhere_are_refused(whole: Path) -> None:
    """The proof is that of the processes which were timed, not of the one that started them."""
    elsewhere = whole.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "toy.py").write_text("", encoding="utf-8")
    text = f"def timeraw_x(): return 'import sys; sys.path.insert(0, {str(elsewhere)!r}); import toy'"
    for name, content in {"base": "", "head": "\n"}.items():
        _commit(
            whole,
            f"elsewhere-{name}",
            {"benchmarks/b.py": text.replace("'import", '"import').replace("toy'", 'toy"') + content},
        )
    asked = _request(whole, base="elsewhere-base", head="elsewhere-head")
    with pytest.raises(NothingMeasuredError, match=f"base: toy was imported from {elsewhere}, not from"):
        study.run(asked, None, _quiet)


def test_the_bar_learns_what_fresh_processes_take(duet: State) -> None:
    """The launches to come are taken to be as long as the last."""
    duet.plan = plan.plan_for(timed=2, fresh=1, tracked=0, budget_s=100.0, quick=True, timeout_s=60.0)
    duet.fresh, duet.total = {"b.time_it": 3.0}, 40.0
    serving._foresee(duet, "b.time_it", 0, 5.0)
    assert (duet.fresh, duet.total) == ({"b.time_it": 5.0}, 40.0 + 2.0 * 3)
    serving._foresee(duet, "b.time_it", 3, 1.0)
    assert duet.total == 46.0


@pytest.fixture(scope="module")
def prepared(project: Path, cache: Path) -> State:
    """A duet that is prepared once, since git and the machine take a quarter of a second to answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        state = study._prepared(_request(project), None, _quiet)
    state.rows = {"b.time_it": BenchmarkRow(name="b.time_it", kind="time", variables=state.variables[0])}
    return state


@pytest.fixture
def duet(prepared: State) -> State:
    """A duet that is prepared, and has measured nothing; each test has its own."""
    return copy.deepcopy(prepared)


def _worked(_: object) -> serving.Worked:
    return serving.Worked(faults={}, keep=lambda: None)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("base", "head"),
    [
        (None, LabError("head: it broke")),
        (LabError("base: it broke"), None),
        (LabError("base: it broke"), LabError("head: it broke")),
    ],
)
def test_a_failure_is_an_outcome_in_whatever_order_sides_are_opened(
    duet: State, base: Exception | None, head: Exception | None, seed: int
) -> None:
    """Of both sides in each launch; what was opened is ended, and the benchmark is tried again in the next launch."""
    duet.rng = np.random.default_rng(seed)
    sides: Any = (PlayedPeer("base", fault=base), PlayedPeer("head", fault=head))
    for index in range(2):
        serving.guarded(duet, sides, index, "b.time_it", lambda _: pytest.fail("nothing to measure"))
    told = {"base": base and str(base), "head": head and str(head)}
    assert duet.samples.outcomes["b.time_it"] == [Outcome(launch=i, stage=Stage.OPEN, **told) for i in range(2)]
    assert [each.ended for each in sides] == [2 * int(each.fault is None) for each in sides]
    assert not duet.samples.gone


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("base", "head", "severity", "message"),
    [
        (SideSkippedError("base: not here"), LabError("head: it broke"), "warning", "b.time_it: base: not here"),
        (LabError("base: it broke"), SideSkippedError("head: not here"), "warning", "b.time_it: head: not here"),
        (None, SideSkippedError("head: not here"), "warning", "b.time_it: head: not here"),
        (SideSkippedError("base: not here"), SideSkippedError("head: not here"), "note", "b.time_it: not here"),
        (SideSkippedError("base: a"), SideSkippedError("head: b"), "note", "b.time_it: base: a; head: b"),
        (None, StrayedError("head: toy was imported from x"), "warning", "b.time_it: head: toy was imported from x"),
    ],
)
def test_what_is_not_measured_is_never_red(
    duet: State, base: Exception | None, head: Exception | None, severity: str, message: str, seed: int
) -> None:
    """It is told with its reason, and not tried again."""
    duet.rng = np.random.default_rng(seed)
    sides: Any = (PlayedPeer("base", fault=base), PlayedPeer("head", fault=head))
    serving.guarded(duet, sides, 0, "b.time_it", lambda _: pytest.fail("nothing to measure"))
    (found,) = (each.shown for each in findings.of_samples(duet.samples, 0.001))
    assert (found.severity, found.message) == (severity, message)
    assert [each.ended for each in sides] == [each.entered for each in sides]
    serving.guarded(duet, (), 1, "b.time_it", lambda _: pytest.fail("it is not tried again"))


def test_what_fails_when_it_ends_has_failed_in_the_call(duet: State) -> None:
    """What it asserts of its result, or its teardown; nothing of that launch is kept."""
    sides: Any = (PlayedPeer("base", fault=None), PlayedPeer("head", fault=None, late=LabError("head: wrong answer")))
    kept: list[int] = []
    done = serving.Worked(faults={}, keep=lambda: kept.append(1))
    serving.guarded(duet, sides, 0, "b.time_it", lambda _: done)
    assert duet.samples.outcomes["b.time_it"] == [Outcome(launch=0, stage=Stage.CALL, head="head: wrong answer")]
    assert not kept
    fine: Any = (PlayedPeer("base", fault=None), PlayedPeer("head", fault=None))
    serving.guarded(duet, fine, 1, "b.time_it", lambda _: done)
    assert duet.samples.outcomes["b.time_it"][1] == Outcome(launch=1, stage=Stage.CALL)
    assert kept


class _Shared:
    """What only one process can have, such as a port or a file; and who has it."""

    def __init__(self) -> None:
        self.owner: object = None


class _Taking(PlayedPeer):
    """A launch whose benchmark takes what is shared at its first call, or removes it when it is torn down."""

    def __init__(self, label: str, shared: _Shared, stage: Stage) -> None:
        super().__init__(label)
        self.shared, self.stage = shared, stage

    def enter(self, _name: str, *, timeout_s: float, **more: object) -> PlayedPeer:
        if self.stage is Stage.CALL:
            self.shared.owner = "written"
        return super().enter(_name, timeout_s=timeout_s, **more)

    def ask(self, _message: object, _timeout_s: float) -> FirstCall:
        if self.stage is Stage.FIRST:
            if self.shared.owner not in {None, self}:
                raise LabError(f"{self.label}: address already in use")
            self.shared.owner = self
        return FirstCall(first_s=0.1)

    def finish(self, _timeout_s: float) -> None:
        if self.stage is Stage.CALL and self.shared.owner is None:
            raise LabError(f"{self.label}: no such file")
        self.shared.owner = None

    def end(self) -> None:
        super().end()
        if self.shared.owner is self:
            self.shared.owner = None


@pytest.mark.parametrize("stage", [Stage.FIRST, Stage.CALL])
def test_what_only_one_process_can_have_breaks_neither_side(duet: State, stage: Stage) -> None:
    """In a race it is luck who gets it, and who is tried alone does."""
    shared = _Shared()
    sides: Any = (_Taking("base", shared, stage), _Taking("head", shared, stage))

    def work(turns: Any) -> serving.Worked:
        return serving._first(duet, 0, "b.time_it", turns) or _worked(turns)

    for index in range(12):
        serving.guarded(duet, sides, index, "b.time_it", work)
    outcomes = duet.samples.outcomes["b.time_it"]
    assert {(each.base is None, each.head is None) for each in outcomes} == {(True, False), (False, True)}
    for index in range(12):
        serving.attempt(duet, sides, index, "b.time_it")
    assert not any(each.failed for each in outcomes[12:])


@pytest.mark.parametrize("kind", ["time", "track"])
@pytest.mark.parametrize("seed", range(2))
def test_an_attempt_tells_what_fails_on_one_side(duet: State, kind: str, seed: int) -> None:
    """Whoever is tried first; what skips itself is left out, and what hangs on both sides is given up."""
    duet.rng = np.random.default_rng(seed)
    duet.rows["b.time_it"] = replace(duet.rows["b.time_it"], kind=kind)
    fine = _Taking("base", _Shared(), Stage.FIRST)
    broken: Any = (fine, PlayedPeer("head", fault=LabError("head: it broke")))
    serving.attempt(duet, broken, 0, "b.time_it")
    assert duet.samples.outcomes["b.time_it"] == [Outcome(launch=0, stage=Stage.OPEN, head="head: it broke")]
    assert (fine.entered, fine.ended) == (1, 1)
    hangs: Any = [PlayedPeer(each, fault=LabError(f"{each}: gave no answer in 5 s")) for each in ("base", "head")]
    serving.attempt(duet, hangs, 1, "b.time_it")
    assert duet.samples.stopped == {"b.time_it": "base: gave no answer in 5 s; head: gave no answer in 5 s"}
    duet.samples.stopped.clear()
    skips: Any = [PlayedPeer(each, fault=SideSkippedError(f"{each}: not here")) for each in ("base", "head")]
    serving.attempt(duet, skips, 2, "b.time_it")
    assert duet.samples.skipped == {"b.time_it": "base: not here; head: not here"}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_not_measured_after_all_is_told_of_both_sides(duet: State, seed: int) -> None:
    """Whichever ends first: what both skip is a note, and of what strays base's reason is told."""
    duet.rng = np.random.default_rng(seed)
    for late, message in ((SideSkippedError, "b.time_it: not here"), (StrayedError, "b.time_it: base: not here")):
        sides: Any = [PlayedPeer(each, fault=None, late=late(f"{each}: not here")) for each in ("base", "head")]
        serving.guarded(duet, sides, 0, "b.time_it", _worked)
        (found,) = (each.shown for each in findings.of_samples(duet.samples, 0.001))
        assert found.message == message
        duet.samples.skipped.clear()


@pytest.mark.parametrize("seed", range(2))
def test_what_hangs_on_one_side_is_waited_for_less_in_the_next_launch(duet: State, seed: int) -> None:
    """Many times what the other side takes; where both hang there is nothing to hold against each other."""
    duet.rng = np.random.default_rng(seed)
    hangs = LabError("head: gave no answer in 600 s and was stopped")
    sides: Any = (PlayedPeer("base", fault=None), PlayedPeer("head", fault=hangs))
    waited = []
    for index in range(2):
        serving.guarded(duet, sides, index, "b.time_it", lambda _: pytest.fail("nothing to measure"))
        waited.append(sides[0].waited_s)
    assert waited == [600.0, serving.SHORTEST_PATIENCE_S]
    assert not duet.samples.gone
    both: Any = (PlayedPeer("base", fault=LabError("base: gave no answer in 10 s and was stopped")), sides[1])
    serving.guarded(duet, both, 2, "b.time_it", lambda _: pytest.fail("nothing to measure"))
    assert duet.samples.stopped["b.time_it"].startswith("base: gave no answer in 10 s and was stopped; head: gave no")


def test_a_launch_that_is_gone_is_nobodys_failure(duet: State) -> None:
    """Benchmarks after the one that ended it would all be called broken; without a figure, that is the reason."""
    sides: Any = (PlayedPeer("base", fault=None), PlayedPeer("head", fault=LaunchLostError("head: a launch is gone")))
    serving.guarded(duet, sides, 0, "b.time_it", _worked)
    assert duet.samples.outcomes == {}
    assert duet.samples.why_nothing("b.time_it") == "head: a launch is gone"
    assert not duet.samples.gone


def test_a_stream_that_fails_under_load_takes_no_times_away(duet: State) -> None:
    """Its throughput is not compared; a fault is no outcome there."""
    sides: Any = (PlayedPeer("base", fault=None), PlayedPeer("head", fault=None))

    def work(_: object) -> serving.Worked:
        raise LabError("head: it hangs")

    serving.guarded(duet, sides, 0, "b.time_it", work, streams=2)
    assert not duet.samples.gone
    assert duet.samples.outcomes == {}
    serving.guarded(duet, sides, 0, "b.time_it", work)
    assert duet.samples.stopped == {"b.time_it": "head: it hangs"}


@pytest.mark.parametrize(
    ("data", "expected"), [("digits", "digits"), ("imagefolder:pictures", "imagefolder:{}/pictures"), ("x:y", "x:y")]
)
def test_data_of_the_person_is_found_from_any_folder(project: Path, data: str, expected: str) -> None:
    """Launches run in the tree of a commit, where what is not committed does not lie."""
    order = study._order(_request(project, suite="grid", data=data))
    assert order.grid is not None
    assert order.grid.data == expected.format(project)
    assert study._order(_request(project)).grid is None
