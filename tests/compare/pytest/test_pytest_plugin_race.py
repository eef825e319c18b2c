"""The race fixture end to end: launches of a real test, verdicts, what they cost, and every way to use it wrongly."""

import os
import re
import runpy
import subprocess
import sys
from contextlib import nullcontext
from inspect import signature
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from lean_pytest import LEAN
from played_lab import PlayedFork, PlayedLab

from int8bench import machine
from int8bench.compare.comparisons import SideRatio
from int8bench.compare.pytest import node, race, text
from int8bench.compare.pytest.node import NodeOrder
from int8bench.compare.pytest.race import RaceRequest
from int8bench.compare.pytest.result import RaceResult
from int8bench.errors import RequestError
from int8bench.lab import sampling

GOOD = """
    import os
    from pathlib import Path
    import pytest

    LONG = list(range(4000))
    SHORT = LONG[:500]  # a difference that is clear beside other work too

    @pytest.fixture
    def folder(tmp_path):
        (tmp_path / "here").write_text(str(os.getpid()))
        return tmp_path

    class TestSlow:
        @pytest.mark.parametrize("numbers", [LONG], ids=["long"])
        def test_named(self, race, numbers, folder, mine):
            with open("ran.txt", "a") as ran:
                ran.write(f"{os.getpid()}\\n")
            def candidate():
                assert (folder / "here").exists()
                return sum(numbers)
            found = race(lambda: sum(SHORT), candidate, launches=4)
            assert found.verdict == "slower"
            assert not found.surely_not_slower_by("3%")
            assert found.not_slower_by("3%"), "seen"

    def test_twice(race, mine):
        first = race(lambda: sum(LONG), lambda: sum(SHORT), launches=4)
        assert first.verdict == "faster"
        assert 0.02 < first.ratio.low < first.ratio.value < first.ratio.high < 0.9
        second = race(lambda: sum(SHORT), lambda: sum(LONG), launches=4)
        assert second.sure.low > 1.1
        assert not second.not_slower_by(0.05)
"""
GOOD_CONFTEST = """
    import pytest

    def pytest_addoption(parser):
        parser.addoption("--mine", default="nothing")

    @pytest.fixture
    def mine(request):
        assert request.config.getoption("--mine") == "this"
"""
BAD = """
    import os, threading, time
    import pytest

    LAUNCH = "INT8BENCH_TEST_PARENT" in os.environ and os.environ["INT8BENCH_TEST_PARENT"] != str(os.getpid())
    os.environ.setdefault("INT8BENCH_TEST_PARENT", str(os.getpid()))

    def nothing():
        pass

    def test_no_function(race): race(nothing, 3)
    def test_takes_arguments(race): race(nothing, lambda x: x)
    def test_raises(race): race(lambda: 1 / 0, nothing)
    def test_skips(race): race(nothing, lambda: pytest.skip("not here"))
    def test_aborts(race): race(nothing, os.abort)
    def test_budget(race): race(nothing, nothing, budget="soon")
    def test_launches(race): race(nothing, nothing, launches=3)
    def test_threads(race): race(nothing, nothing, threads=9999)
    def test_another_way(race):
        assert not LAUNCH, "only where it began"
        race(nothing, nothing)
    def test_no_race(race):
        if not LAUNCH: race(nothing, nothing)
    def test_skipped(race):
        if LAUNCH: pytest.skip("not in a launch")
        race(nothing, nothing)
    def test_thread(race):
        threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        race(nothing, nothing)
    @pytest.mark.parametrize("number", [0], ids=[f"pid{os.getpid()}"])
    def test_other_name(race, number): race(nothing, nothing)
    def test_threshold(race, made): made.not_slower_by("a bit")
"""
BAD_CONFTEST = """
    import pytest
    from int8bench.compare.comparisons import SideRatio
    from int8bench.compare.pytest.result import RaceResult

    @pytest.fixture
    def made():
        one = SideRatio(value=1.0, low=1.0, high=1.0)
        return RaceResult(name="x", ratio=one, sure=one, verdict="same", error_rate=0.001, launches=4, forks=8,
                          pairs=9, smallest_visible_effect=None, reason=None)
"""


def run(folder: Path, *arguments: str, **files: str) -> "subprocess.CompletedProcess[str]":
    """Runs pytest in a folder of these modules, as a person does."""
    for name, content in files.items():
        lines = [line.removeprefix("    ") for line in content.splitlines()]
        (folder / f"{name}.py").write_text("\n".join(lines), encoding="utf-8")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "int8bench.pytest_plugin", "-p", "no:hypothesispytest", *arguments],
        cwd=folder,
        env={**os.environ, **LEAN, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )


def result(low: float, high: float, **more: object) -> RaceResult:
    """A race whose interval at the error rate is this."""
    sure = SideRatio(value=(low * high) ** 0.5, low=low, high=high)
    known = {"verdict": "unclear", "launches": 8, "forks": 16, "pairs": 900, "smallest_visible_effect": 0.02}
    given = {"name": "t.py::t", "error_rate": 0.001, "reason": None, **known, **more}
    return RaceResult(ratio=sure, sure=sure, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> "tuple[Path, subprocess.CompletedProcess[str]]":
    """A session with races that are clear at once, one of which fails its test."""
    folder = tmp_path_factory.mktemp("good")
    (folder / "pytest.ini").write_text(
        "[pytest]\nint8bench_race_budget = 1s\naddopts = --mine=this --junitxml=junit.xml -k test_\n", encoding="utf-8"
    )
    return folder, run(folder, "-W", "error", "test_it.py", test_it=GOOD, conftest=GOOD_CONFTEST)


def test_verdicts_hold_in_a_real_session(good: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    """In a class, with parameters, fixtures, closures and options of the project; twice in a test; both ways round."""
    _, done = good
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert re.search(r"AssertionError: seen", done.stdout)
    assert re.search(r"where False = not_slower_by\('3%'\)", done.stdout)
    assert re.search(r"<slower: candidate/reference \d+\.\d+ \[\d+\.\d+, \d+\.\d+\], at error 0\.001 \[", done.stdout)


def test_the_summary_lists_all_races(good: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    """Each with its interval, that of the failed test too."""
    _, done = good
    listed = re.findall(
        r"^(test_it\.py::\S+(?: #\d)?) +(\w+): candidate/reference .* pairs$", done.stdout, re.MULTILINE
    )
    assert listed == [
        ("test_it.py::TestSlow::test_named[long]", "slower"),
        ("test_it.py::test_twice", "faster"),
        ("test_it.py::test_twice #2", "slower"),
    ]


def test_a_test_runs_once_a_launch(good: "tuple[Path, subprocess.CompletedProcess[str]]") -> None:
    """What comes before the race is done in the session and in each launch, and in no fork; nothing else is left."""
    folder, done = good
    launches = re.search(r"test_named\[long\] +slower: .*, (\d+) launches", done.stdout)
    assert launches
    pids = (folder / "ran.txt").read_text(encoding="utf-8").split()
    assert len(pids) == len(set(pids)) == 1 + int(launches[1])
    report = (folder / "junit.xml").read_text(encoding="utf-8")
    assert 'tests="2"' in report
    assert not list(folder.glob(".pytest_cache/v/cache/launch*"))


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says of a session in which every race is asked wrongly."""
    folder = tmp_path_factory.mktemp("bad")
    return run(folder, "-p", "no:cacheprovider", "--tb=line", test_bad=BAD, conftest=BAD_CONFTEST).stdout


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        ("test_no_function", r"race: the candidate is 3: expected a function; try lambda"),
        ("test_takes_arguments", r"race: the candidate raises TypeError: .*missing 1 required positional argument"),
        ("test_raises", r"race: the reference raises ZeroDivisionError: division by zero"),
        ("test_skips", r"race: the candidate raises Skipped: not here"),
        ("test_aborts", r"race: the measuring process was ended by SIGABRT"),
        ("test_budget", r"race: budget soon: expected a duration such as 90s"),
        ("test_launches", r"race: launches=3: expected 4 to 1000; try launches=8"),
        ("test_threads", r"race: threads=9999: this machine can use 1 to \d+; try threads=1"),
        (
            "test_another_way",
            r"race: run alone .* did not come to this race: failed in its call: .*only where it began",
        ),
        ("test_no_race", r"race: run alone .* did not come to this race: it passed after 0 races"),
        ("test_skipped", r"race: run alone .* did not come to this race: skipped in its call: .*not in a launch"),
        ("test_thread", r"race: run alone .*: 2 threads run before the race, and a fork would have one"),
        ("test_other_name", r"race: run alone .* did not come to this race: pytest found no such test to run"),
        ("test_threshold", r"not_slower_by a bit: expected a percentage .*; try not_slower_by 1%"),
    ],
)
def test_wrong_use_is_one_sentence(bad: str, test: str, sentence: str) -> None:
    """In the line that pytest shows of the failed test."""
    (line,) = re.findall(rf"^FAILED test_bad\.py::{test}(?:\[\S+)? - (.*)$", bad, re.MULTILINE)
    assert re.search(sentence, line)


def test_a_worker_of_xdist_is_refused(tmp_path: Path) -> None:
    """Its neighbours compete for the cores."""
    conftest = "def pytest_configure(config): config.workerinput = {'workerid': 'gw0'}"
    content = "def test_it(race): race(int, int)"
    done = run(tmp_path, "-p", "no:cacheprovider", "-p", "no:benchmark", test_it=content, conftest=conftest)
    assert (
        "Failed: race: the workers of pytest-xdist disturb each other's races; run this test with -n 0" in done.stdout
    )


@pytest.mark.parametrize(
    ("low", "high", "passes", "surely", "unclear"),
    [
        (0.99, 1.02, True, True, False),
        (0.99, 1.05, True, False, True),
        (1.02, 1.05, True, False, True),
        (1.04, 1.05, False, False, False),
        (0.80, 0.90, True, True, False),
    ],
)
@pytest.mark.parametrize("threshold", ["3%", 0.03])
def test_slower_by_more_than_the_threshold_is_said_when_it_is_sure(
    low: float, high: float, *, passes: bool, surely: bool, unclear: bool, threshold: str | float
) -> None:
    """The plain question fails by a sure slow-down alone, the strict one by all that is not surely none."""
    found = result(low, high)
    assert found.not_slower_by(threshold) is passes
    assert bool(found.unanswered) is unclear
    assert found.surely_not_slower_by(threshold) is surely


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0.99, 1.05, "some 67 launches would tell"), (1.01, 1.0505, "no number of launches tells")],
)
def test_an_unclear_question_is_in_the_summary(low: float, high: float, told: str) -> None:
    """With the interval and what it would take: a test that passed by it is not green in silence."""
    found = result(low, high, reason="holds 1")
    assert found.not_slower_by("3%")
    lines = text.race_lines([found])
    assert lines[-1].startswith("UNCLEAR, taken as not slower: t.py::t: slower by more than 3 %? ")
    assert told in lines[-1]
    assert any(line.strip() == "holds 1" for line in lines)


def test_an_assertion_shows_all_figures() -> None:
    """Pytest cuts what is longer than 240 characters."""
    shown = repr(
        result(0.99, 1.05, reason="holds 1 and is wider than 1%; launches=999 and 99.9 times the budget would tell")
    )
    assert "unclear: candidate/reference 1.020 [0.990, 1.050], at error 0.001 [0.990, 1.050], 8 launches" in shown
    assert len(shown) < 240


def test_a_launch_has_the_options_that_neither_select_nor_write() -> None:
    """Plain values of pytest's, plug-ins' and the project's own."""
    given = {
        "mine": "this",
        "strict_markers": True,
        "override_ini": ["a=b"],
        "keyword": "x",
        "maxfail": 1,
        "basetemp": "/gone",
        "xmlpath": "junit.xml",
        "benchmark_json": "x.json",
        "cov_source": ["src"],
        "int8bench_gate": "1%",
        "open_file": sys.stdout,
    }
    assert node.carried(given) == {"mine": "this", "strict_markers": True, "override_ini": ["a=b"]}


def test_libraries_of_a_launch_start_no_more_threads_than_asked_for() -> None:
    """Set at its start, so that nothing runs before the forks."""
    asked = RaceRequest(name="t", budget_s=1.0, launches=4, threads=1)
    variables = dict(asked.settings.variables)
    assert (variables["OMP_NUM_THREADS"], variables["OPENBLAS_NUM_THREADS"]) == ("1", "1")
    with pytest.raises(RequestError, match="launches=0"):
        RaceRequest(name="t", budget_s=1.0, launches=0, threads=1)


def test_a_race_has_no_more_threads_than_a_quota_pays_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a run: more would be throttled, whatever they call."""
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1, 2, 3))
    monkeypatch.setattr(machine, "usable_core_count", lambda: 2)
    assert RaceRequest(name="t", budget_s=1.0, launches=4, threads=2).threads == 2
    with pytest.raises(RequestError, match="threads=3: this machine can use 1 to 2; try threads=1"):
        RaceRequest(name="t", budget_s=1.0, launches=4, threads=3)


@pytest.mark.parametrize(("spread", "launches"), [(0.0, 5), (0.1, 8)])
def test_launches_are_raced_up_to_the_look_that_is_clear(
    monkeypatch: pytest.MonkeyPatch, spread: float, launches: int
) -> None:
    """Or to the last, on as many processors as a quota pays for."""
    lab, cores = PlayedLab(), set()
    rng = np.random.default_rng(1)

    def answer(fork: PlayedFork[sampling.Race]) -> SimpleNamespace:
        cores.add(fork.cores)
        times = {node.REFERENCE: 1e-3 * float(np.exp(spread * rng.standard_normal())), node.CANDIDATE: 1e-3}
        return SimpleNamespace(kept=(True,) * 9, track=lambda name: SimpleNamespace(times_s=(times[name],) * 9))

    lab.answer = answer
    monkeypatch.setattr(race, "launched", lab.launched)
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1, 2, 3))
    monkeypatch.setattr(machine, "usable_core_count", lambda: 2)
    order = NodeOrder(name="t", arguments=(), options={}, directory="", temporary="", earlier=())
    found = race.measure(order, RaceRequest(name="t", budget_s=1.0, launches=8, threads=1))
    assert found.launches == launches
    assert [index for block in lab.starts for index in block] == list(range(launches))
    assert cores == {(0,), (1,)}


@pytest.mark.parametrize(
    ("low", "high", "verdict", "red"), [(0.2, 5.0, "unclear", False), (1.2, 1.3, "slower", True)], ids=["noisy", "slow"]
)
def test_our_own_performance_tests_are_red_only_where_it_is_sure(
    low: float,
    high: float,
    verdict: str,
    red: bool,  # noqa: FBT001
) -> None:
    """A race that the engines' tests disturbed until it cannot tell is no failure; what is surely slower is."""
    names = runpy.run_path(str(Path(__file__).parents[2] / "perf" / "test_perf.py"))
    tests = [each for name, each in names.items() if name.startswith("test_") and "race" in signature(each).parameters]
    assert len(tests) == 3
    for test in tests:
        with pytest.raises(AssertionError) if red else nullcontext():
            test(lambda *_, **__: result(low, high, verdict=verdict))
