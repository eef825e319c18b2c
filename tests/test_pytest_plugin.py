"""The plug-in as others have it installed: nothing changes, nothing weighs, and a wrong option is one sentence."""

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]
PLUGIN = "int8bench.pytest_plugin"
# What a pytest that starts must not have paid for.
HEAVY = (
    "torch",
    "scipy",
    "numpy",
    "int8bench.compare.pytest",
    "int8bench.machine",
    "int8bench.study.figures",
    "psutil",
)
FOREIGN = """
    def test_passes(tmp_path):
        (tmp_path / "x").write_text("x")

    def test_fails():
        assert 1 == 2
"""


def test_loading_the_plug_in_imports_nothing_heavy() -> None:
    """Every pytest on the machine loads it."""
    program = f"import sys, {PLUGIN}; print(*[name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_every_session_of_pytest_benchmark_pays_is_little() -> None:
    """A stored run says on which hardware it was made: that asks the machine, and loads no statistics."""
    program = (
        f"import sys, {PLUGIN} as plugin; info = {{}}; plugin.pytest_benchmark_update_machine_info(info); "
        "print(len(info), *[name for name in sys.argv[1:] if name in sys.modules])"
    )
    heavy = ("torch", "scipy", "numpy", "int8bench.compare.pytest.gate", "int8bench.study.figures")
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize("without", [(), ("-p", "no:benchmark")], ids=["with", "without"])
def test_other_peoples_tests_run_as_before(pytester: pytest.Pytester, without: tuple[str, ...]) -> None:
    """With and without pytest-benchmark: the same results, exit status and summary as where this is not loaded."""
    pytester.makepyfile(FOREIGN)
    ours = pytester.runpytest_subprocess(*without, "-W", "error")
    theirs = pytester.runpytest_subprocess("-p", "no:int8bench", *without, "-W", "error")
    for result in (ours, theirs):
        result.assert_outcomes(passed=1, failed=1)
        result.stdout.no_fnmatch_line("*int8bench: *")
    assert ours.ret == theirs.ret == pytest.ExitCode.TESTS_FAILED


def test_a_fixture_of_their_own_called_race_is_theirs(pytester: pytest.Pytester) -> None:
    """A conftest overrides a plug-in, as always."""
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef race(): return 7")
    pytester.makepyfile("def test_it(race): assert race == 7")
    pytester.runpytest("-p", PLUGIN).assert_outcomes(passed=1)


@pytest.mark.parametrize("how", ["-p", "conftest"])
def test_loaded_twice_it_is_there_once(pytester: pytest.Pytester, how: str) -> None:
    """By entry point and by name, in either order, where pytest itself would stop with a trace."""
    pytester.makepyfile("def test_it(race): assert callable(race)")
    if how == "conftest":
        pytester.makeconftest(f"pytest_plugins = ['{PLUGIN}']")
    result = pytester.runpytest_subprocess(*(("-p", PLUGIN) if how == "-p" else ()))
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--int8bench-gate=fast",), "--int8bench-gate fast: expected a percentage*try --int8bench-gate 1%"),
        (("--int8bench-gate", "-p", "no:benchmark"), "--int8bench-gate judges*leave out -p no:benchmark"),
        (("--int8bench-gate", "--benchmark-disable"), "--int8bench-gate judges*leave out --benchmark-disable"),
        (("--int8bench-gate-json=x.json",), "--int8bench-gate-json x.json: there is no gate*add --int8bench-gate"),
        (("--int8bench-race-budget=soon",), "--int8bench-race-budget soon: expected a duration*try*90s"),
    ],
)
def test_a_wrong_option_is_one_sentence(pytester: pytest.Pytester, arguments: tuple[str, ...], sentence: str) -> None:
    """Before any test runs."""
    pytester.makepyfile(FOREIGN)
    result = pytester.runpytest("-p", PLUGIN, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])
    result.stdout.no_fnmatch_line("*passed*")


def test_a_gate_under_xdist_is_refused(pytester: pytest.Pytester) -> None:
    """Its option stands in for it: pytest-benchmark measures nothing there."""
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--dist', default='no')")
    result = pytester.runpytest("-p", PLUGIN, "--int8bench-gate", "--dist=load")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --int8bench-gate: pytest-benchmark measures nothing*run with -n 0"])
