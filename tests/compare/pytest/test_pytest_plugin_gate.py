"""The gate over pytest-benchmark's stored runs, played with chosen medians in its own storage."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from int8bench.compare.pytest import gate, machines, text
from int8bench.selftest import trust

# Loaded before pytester runs pytest in this process, which then finds them and does not load them a second time.
from int8bench.study import records

assert records
assert gate
assert text

pytest_plugins = ["pytester"]
PLUGIN = "int8bench.pytest_plugin"
HERE, ELSEWHERE = "0123456789ab", "ba9876543210"
STEADY = (1.00, 1.01, 0.99, 1.005, 0.995, 1.002)
# pytest-benchmark's session gets what its fixture would have measured, as its own objects.
CONFTEST = """
    from types import SimpleNamespace
    import pytest
    from pytest_benchmark.stats import Metadata

    def pytest_addoption(parser):
        parser.addoption("--medians", default="")

    def pytest_benchmark_generate_machine_info():
        return {"cpu": {}}  # theirs asks the processor for a second

    @pytest.fixture
    def measured(request):
        for number, median in enumerate(request.config.getoption("--medians").split(",")):
            failed = median == "error"
            fixture = SimpleNamespace(
                name=f"it[{number}]", fullname=f"test_it.py::it[{number}]", group=None, param=str(number),
                params={"number": number}, extra_info={}, cprofile_stats=None, has_error=failed,
            )
            benchmark = Metadata(fixture, iterations=1, options={})
            for _ in range(0 if failed else 3):
                benchmark.update(float(median))
            request.config._benchmarksession.benchmarks.append(benchmark)
"""
Run = Callable[..., pytest.RunResult]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Plays the machine of that fingerprint."""

    def be(fingerprint: str | None) -> None:
        monkeypatch.setattr(machines, "fingerprint_here", lambda: fingerprint)
        monkeypatch.setattr(gate, "fingerprint_here", lambda: fingerprint)

    be(HERE)
    return be


@pytest.fixture
def run(pytester: pytest.Pytester, machine: Callable[[str | None], None], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a test that measures the given medians, with the two plug-ins that this is about."""
    assert machine
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it="def test_it(measured): pass\ndef test_nothing(): pass")

    def session(medians: str, *arguments: str, test: str = "test_it") -> pytest.RunResult:
        return pytester.runpytest(
            f"test_it.py::{test}", "-p", "pytest_benchmark.plugin", "-p", PLUGIN, f"--medians={medians}", *arguments
        )

    return session


# This very process has the plug-in already, which pytest would rewrite where it is the first to import it.
ALREADY_IMPORTED = "ignore::pytest.PytestAssertRewriteWarning"


def store(run: Run, pytester: pytest.Pytester, medians: Sequence[float], benchmarks: int = 1) -> None:
    """Stored runs, of as many benchmarks alike: the first as pytest-benchmark writes it, the others copies of it."""
    if not medians:
        return
    assert run(",".join([str(medians[0])] * benchmarks), "--benchmark-save=run").ret == 0
    (path,) = stored(pytester)
    first = path.read_text(encoding="utf-8")
    for number, median in enumerate(medians[1:], start=2):
        changed = first.replace(f'"median": {medians[0]}', f'"median": {median}')
        path.with_name(f"{number:04}_run.json").write_text(changed, encoding="utf-8")


def stored(pytester: pytest.Pytester) -> list[Path]:
    """The files of pytest-benchmark's storage, oldest first."""
    return sorted(pytester.path.glob(".benchmarks/*/*.json"))


def rewrite(path: Path, fingerprint: str | None) -> None:
    """Makes a stored run one of another machine, or of none that is known."""
    run = json.loads(path.read_text(encoding="utf-8"))
    run["machine_info"].pop(machines.FINGERPRINT)
    if fingerprint is not None:
        run["machine_info"][machines.FINGERPRINT] = fingerprint
    path.write_text(json.dumps(run), encoding="utf-8")


def test_a_stored_run_says_on_which_hardware_it_was_made(run: Run, pytester: pytest.Pytester) -> None:
    """Without any option of ours, so that the gate finds it later."""
    store(run, pytester, STEADY[:1])
    (path,) = stored(pytester)
    assert json.loads(path.read_text(encoding="utf-8"))["machine_info"][machines.FINGERPRINT] == HERE


@pytest.mark.parametrize(
    ("median", "threshold", "ret", "verdict"),
    [
        (1.0, "1%", 0, "unclear"),
        (1.3, "1%", 1, "slower"),
        (1.3, "20%", 1, "slower"),
        (1.3, "25%", 0, "slower"),
        (0.7, "1%", 0, "faster"),
    ],
)
def test_a_sure_slow_down_beyond_the_threshold_fails(
    run: Run, pytester: pytest.Pytester, median: float, threshold: str, ret: int, verdict: str
) -> None:
    """The exit status, the table and the JSON say the same; the interval at the error rate must be beyond it."""
    store(run, pytester, STEADY)
    result = run(str(median), f"--int8bench-gate={threshold}", "--int8bench-gate-json=gate.json")
    assert result.ret == ret
    result.stdout.fnmatch_lines([f"test_it.py::it?0?  {'REGRESSION  ' if ret else ''}{verdict}: *6 stored runs*"])
    document = json.loads((pytester.path / "gate.json").read_text(encoding="utf-8"))
    (comparison,) = document["comparisons"]
    assert comparison["verdict"] == verdict
    assert comparison["ratio"]["low"] < median < comparison["ratio"]["high"]
    assert document["regressions"] == ["test_it.py::it[0]"] * ret
    assert (document["fingerprint"], document["error_rate"]) == (HERE, 0.001)


def test_the_present_run_is_not_among_the_stored_ones(run: Run, pytester: pytest.Pytester) -> None:
    """It is judged first and stored then, so that it does not widen the spread it is held against."""
    store(run, pytester, STEADY)
    result = run("1.3", "--int8bench-gate", "--benchmark-save=run")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*REGRESSION*6 stored runs*"])
    assert len(stored(pytester)) == 7


def test_the_error_of_the_session_is_bounded(run: Run, pytester: pytest.Pytester) -> None:
    """With a hundred benchmarks each has a share of 5 %, and only the one that changed is named."""
    store(run, pytester, STEADY, benchmarks=100)
    result = run(",".join(["1.6", *["1.0"] * 99]), "--int8bench-gate")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*at error 0.0005 a benchmark and 5 % a session"])
    assert [line.split()[0] for line in result.outlines if "REGRESSION" in line] == ["test_it.py::it[0]"]


@pytest.mark.parametrize("runs", [0, 3])
def test_too_few_runs_are_unclear_and_say_what_is_missing(run: Run, pytester: pytest.Pytester, runs: int) -> None:
    """Never red, never green in silence."""
    store(run, pytester, STEADY[:runs])
    result = run("9.0", "--int8bench-gate")
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"*unclear: {runs} stored runs of this machine, 4 are needed: store {4 - runs} more*"])


def test_copies_of_one_run_have_no_spread(run: Run, pytester: pytest.Pytester) -> None:
    """Else the smallest difference would be sure."""
    store(run, pytester, [1.0] * 5)
    result = run("1.1", "--int8bench-gate")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*unclear: all stored runs have the same figure*"])


@pytest.mark.parametrize(
    ("theirs", "told"), [(ELSEWHERE, "of another machine: 2"), (None, "that do not say of which machine*: 2")]
)
def test_runs_of_other_machines_do_not_count(
    run: Run, pytester: pytest.Pytester, theirs: str | None, told: str
) -> None:
    """Neither those of another fingerprint nor those without one; their number is said once."""
    store(run, pytester, STEADY[:5])
    for path in stored(pytester)[:2]:
        rewrite(path, theirs)
    result = run("2.0", "--int8bench-gate")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*unclear: 3 stored runs of this machine*", f"not compared: stored runs {told}"])


def test_a_machine_that_cannot_be_told_judges_nothing(
    run: Run, pytester: pytest.Pytester, machine: Callable[[str | None], None]
) -> None:
    """Without a fingerprint of its own no stored run is like it."""
    store(run, pytester, STEADY)
    machine(None)
    result = run("2.0", "--int8bench-gate")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*unclear: 0 stored runs*"])


def test_the_same_name_with_other_parameters_is_another_benchmark(run: Run, pytester: pytest.Pytester) -> None:
    """A parameter that changed under the same id makes another workload."""
    store(run, pytester, STEADY)
    for path in stored(pytester):
        path.write_text(path.read_text(encoding="utf-8").replace('"number": 0', '"number": 8'), encoding="utf-8")
    run("2.0", "--int8bench-gate").stdout.fnmatch_lines(["*unclear: 0 stored runs*"])


def test_a_stored_run_that_cannot_be_read_is_told(run: Run, pytester: pytest.Pytester) -> None:
    """The others still count, warnings being errors or not."""
    store(run, pytester, STEADY)
    stored(pytester)[0].write_text("{", encoding="utf-8")
    result = run("1.4", "--int8bench-gate", "-W", "error", "-W", ALREADY_IMPORTED)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*REGRESSION*5 stored runs*", "not compared: Failed to load *"])


def test_figures_that_are_no_times_are_left_out(run: Run, pytester: pytest.Pytester) -> None:
    """A stored median of 0 or without a number is no run of that benchmark."""
    store(run, pytester, STEADY)
    for path, median in zip(stored(pytester), ("0", "null", '"fast"'), strict=False):
        text_ = path.read_text(encoding="utf-8")
        path.write_text(text_.replace('"median": ', f'"median": {median}, "was": '), encoding="utf-8")
    run("2.0", "--int8bench-gate").stdout.fnmatch_lines(["*unclear: 3 stored runs*"])


@pytest.mark.parametrize(
    ("test", "medians", "told"),
    [
        ("test_nothing", "", "no benchmark was measured, so nothing was judged"),
        ("test_it", "error", "not measured, it raised: test_it.py::it?0?"),
    ],
)
def test_a_session_that_measured_nothing_is_not_green(run: Run, test: str, medians: str, told: str) -> None:
    """Pytest's own status for nothing collected."""
    result = run(medians, "--int8bench-gate", test=test)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([told])


def test_a_json_that_cannot_be_written_is_said(run: Run, pytester: pytest.Pytester) -> None:
    """The table is there all the same."""
    pytester.mkdir("gate.json")
    result = run("1.0", "--int8bench-gate", "--int8bench-gate-json=gate.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["*unclear: 0 stored runs*", "--int8bench-gate-json: *gate.json*"])


@pytest.mark.parametrize(
    ("theirs", "gated", "fails"),
    [(HERE, False, True), (ELSEWHERE, False, False), (None, False, True), (None, True, False), (HERE, True, True)],
)
def test_compare_fail_does_not_judge_by_another_machine(
    run: Run, pytester: pytest.Pytester, theirs: str | None, *, gated: bool, fails: bool
) -> None:
    """Plain --benchmark-compare-fail stays as it is unless both fingerprints exist and differ, or the gate is asked."""
    store(run, pytester, STEADY[:1])
    rewrite(stored(pytester)[0], theirs)
    options = ("--benchmark-compare", "--benchmark-compare-fail=median:5%", *(["--int8bench-gate"] if gated else []))
    result = run("1.5", *options, "-W", "ignore")
    assert (result.ret != 0) == fails
    assert ("Performance has regressed" in result.stderr.str()) == fails
    lines = [line for line in result.outlines if "not comparable, the stored run is of another machine" in line]
    assert len(lines) == (not fails)
    if not fails:
        result.stdout.fnmatch_lines(["test_it.py::it?0? (*0001_run): Field 'median' has failed*"])


def test_the_fingerprint_alone_makes_no_warning_of_unlike_machines(run: Run, pytester: pytest.Pytester) -> None:
    """A run that was stored before this plug-in was there compares as it did, warnings being errors."""
    store(run, pytester, STEADY[:1])
    rewrite(stored(pytester)[0], None)
    result = run("1.0", "--benchmark-compare", "-W", "error::pytest_benchmark.logger.PytestBenchmarkWarning")
    assert result.ret == 0


@pytest.mark.parametrize("gated", [True, False])
def test_the_selftest_of_this_machine_is_quoted(run: Run, monkeypatch: pytest.MonkeyPatch, *, gated: bool) -> None:
    """Beside every verdict, and nowhere without one."""
    monkeypatch.setattr(trust, "quote", lambda fingerprint: f"verdicts on {fingerprint} can be trusted down to 1.3 %")
    result = run("1.0", *(["--int8bench-gate"] if gated else []))
    assert (f"verdicts on {HERE} can be trusted down to 1.3 %" in result.outlines) is gated
