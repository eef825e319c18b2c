"""The pytest suite of a side: tests that ask for `benchmark`, run one by one with the project's own fixtures."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from lean_pytest import LEAN

DRIVER = Path(__file__).parents[3] / "helpers" / "peer_driver.py"
HEAD = """
import os, sys, pytest

def log(*words):
    with open(os.environ["LOG"], "a") as file:
        print(*words, file=file)
"""
Told = Mapping[str, Any]
Opens = Callable[..., Told]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the tests of a project write what they did."""
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def opens(tmp_path: Path, log: Path) -> Opens:
    """Writes a project's test module and other files, and enters all of it; what the driver told."""

    def open_project(test: str = "", files: Mapping[str, str] | None = None, **options: object) -> Told:
        project = tmp_path / "project"
        for name, content in {"tests/test_it.py": HEAD + test, **(files or {})}.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(content, encoding="utf-8")
        answer = tmp_path / "answer.json"
        done = driven(project, answer, log, options)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert list((tmp_path / "temporary").iterdir()) == []
        return json.loads(answer.read_text(encoding="utf-8"))

    return open_project


def driven(project: Path, answer: Path, log: Path, options: Mapping[str, object]) -> "subprocess.CompletedProcess[str]":
    """The driver's run, with nothing of the pytest that runs this."""
    place = answer.parent / "temporary"
    place.mkdir(exist_ok=True)
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    path = os.pathsep.join((str(answer.parent / "side"), ours.get("PYTHONPATH", "")))
    return subprocess.run(
        [sys.executable, "-P", str(DRIVER), "pytest", str(project), str(answer), json.dumps(options)],
        capture_output=True,
        text=True,
        env={**ours, **LEAN, "LOG": str(log), "TMPDIR": str(place), "PYTHONPATH": path},
        cwd=place,
        timeout=120,
        check=False,
    )


def test_ids_are_node_ids_of_the_tests_that_ask_for_the_fixture(opens: Opens) -> None:
    """Themselves or through another fixture; parameters as pytest spells them; a parameter of that name is not ours."""
    suite = opens(
        """
@pytest.mark.parametrize("text", ["a b", "[x]", "ü", "a::b"])
def test_text(benchmark, text): assert benchmark(str.upper, text) == text.upper()

class TestClass:
    class TestInner:
        def test_method(self, benchmark): benchmark(lambda: 5)

@pytest.fixture
def timed(benchmark): return lambda number: benchmark(abs, number)
def test_indirect(timed): timed(-3)

@pytest.mark.parametrize("benchmark", [1])
def test_other(benchmark): pass
def test_plain(): raise AssertionError
""",
        {"tests/sub/test_more.py": "def test_more(benchmark): benchmark(int)"},
    )
    assert {name: each["opened"] for name, each in suite["entered"].items()} == {
        "tests/sub/test_more.py::test_more": [[0] * 3],
        "tests/test_it.py::test_text[a b]": [["A B"] * 3],
        "tests/test_it.py::test_text[[x]]": [["[X]"] * 3],
        "tests/test_it.py::test_text[\\xfc]": [["Ü"] * 3],
        "tests/test_it.py::test_text[a::b]": [["A::B"] * 3],
        "tests/test_it.py::TestClass::TestInner::test_method": [[5] * 3],
        "tests/test_it.py::test_indirect": [[3] * 3],
    }
    assert set(suite["names"].values()) == {"time"}
    assert suite["left_out"] == {}


def test_a_test_runs_with_the_fixtures_of_its_project(opens: Opens, log: Path) -> None:
    """Automatic ones and those of a session too, made in each process; and it is given what its call gave."""
    opens(
        """
@pytest.fixture(autouse=True)
def around(): log("before"); yield; log("after")

def test_closure(benchmark, made, tmp_path):
    def call(word, *, times): log("call"); return word * times
    assert benchmark(call, made, times=2) == "sesses"
    (tmp_path / "file").touch()
    assert os.getcwd() == str(__import__("pathlib").Path(__file__).parents[1])
""",
        {
            "tests/conftest.py": HEAD
            + """
@pytest.fixture(scope="session")
def made(): log("made"); yield "ses"; log("unmade")
"""
        },
    )
    assert log.read_text().splitlines() == ["made", "before", *["call"] * 4, "after", "unmade"]


def test_a_fixture_may_time_its_call_itself(opens: Opens, log: Path) -> None:
    """What is measured while a test is set up is measured all the same."""
    suite = opens(
        """
@pytest.fixture
def answer(benchmark): return benchmark(lambda: 6)
def test_answer(answer): log(answer)
"""
    )
    assert suite["entered"] == {"tests/test_it.py::test_answer": {"opened": [[6] * 3]}}
    assert log.read_text() == "6\n"


PEDANTIC = """
def setup(): log("setup"); return ([1, 2],), {"reverse": True}
def bare(): log("bare")
def down(*args, **kwargs): log("down", args, kwargs)
def call(*args, **kwargs): log("call", args, kwargs); return len(args)
def test_it(benchmark): assert benchmark.pedantic(call, %s) is not None
"""


@pytest.mark.parametrize(
    ("arguments", "round_"),
    [
        ("rounds=5, iterations=7, warmup_rounds=2", ["call () {}"]),
        ("(1,), {'a': 2}", ["call (1,) {'a': 2}"]),
        ("setup=setup", ["setup", "call ([1, 2],) {'reverse': True}"]),
        ("(1,), setup=bare", ["bare", "call (1,) {}"]),
        ("kwargs={'a': 2}, teardown=down", ["call () {'a': 2}", "down () {'a': 2}"]),
        (
            "setup=setup, teardown=down",
            ["setup", "call ([1, 2],) {'reverse': True}", "down ([1, 2],) {'reverse': True}"],
        ),
    ],
)
def test_a_pedantic_call_has_a_setup_and_a_teardown_of_its_own(
    opens: Opens, log: Path, arguments: str, round_: list[str]
) -> None:
    """In order, for each of the driver's three calls and for the one whose result the test gets."""
    suite = opens(PEDANTIC % arguments)
    assert "error" not in suite["entered"]["tests/test_it.py::test_it"]
    assert log.read_text().splitlines() == round_ * 4


TWICE = "AlreadyUsedError: Fixture can only be used once. Previously it was used in {} mode."


SAYING = [
    ("benchmark(abs, 1); benchmark(abs, 2)", {"error": TWICE.format("benchmark(...)")}),
    ("benchmark.pedantic(abs, (1,)); benchmark(abs, 2)", {"error": TWICE.format("benchmark.pedantic(...)")}),
    (
        "benchmark.pedantic(abs, setup=int, iterations=2)",
        {"error": "ValueError: Can't use more than 1 `iterations` with a `setup` function."},
    ),
    (
        "benchmark.pedantic(abs, (1,), setup=lambda: ((1,), {}))",
        {"error": "TypeError: Can't use `args` or `kwargs` if `setup` returns the arguments."},
    ),
    ("benchmark({}.__getitem__, 'gone')", {"error": "KeyError: 'gone'"}),
    ("with pytest.raises(KeyError): benchmark({}.__getitem__, 'gone')", {"error": "KeyError: 'gone'"}),
    ("pytest.skip('no AVX2'); benchmark(int)", {"skipped": "no AVX2"}),
    ("pytest.fail('no good'); benchmark(int)", {"error": "Failed: no good"}),
    ("pytest.xfail('known'); benchmark(int)", {"skipped": "fails as the project expects: known"}),
    ("pass", {"skipped": "asks for `benchmark` and never uses it"}),
    ("benchmark.weave(os)", {"skipped": "weaves its benchmark into other code, which cannot take turns"}),
    ("sys.exit('over')", {"error": "SystemExit: over"}),
]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[Told]:
    """What came of each body, all in one project."""
    folder = tmp_path_factory.mktemp("saying")
    tests = "".join(f"def test_{n:02}(benchmark):\n    {body}\n" for n, (body, _) in enumerate(SAYING))
    (folder / "test_it.py").write_text(HEAD + tests, encoding="utf-8")
    done = driven(folder, folder / "answer.json", folder / "log", {})
    assert done.returncode == 0, done.stderr
    return list(json.loads((folder / "answer.json").read_text(encoding="utf-8"))["entered"].values())


@pytest.mark.parametrize("number", range(len(SAYING)), ids=lambda number: SAYING[number][0])
def test_what_a_test_says_of_itself_is_told(said: list[Told], number: int) -> None:
    """A skip with its reason, a fault with its sentence, where or when ever it is raised."""
    assert {key: told for key, told in said[number].items() if key != "opened"} == SAYING[number][1]


def test_marks_of_pytest_hold(opens: Opens) -> None:
    """Skips and expected failures; and an assertion that fails after the call is a fault."""
    suite = opens(
        """
@pytest.mark.skip(reason="later")
def test_skip(benchmark): benchmark(int)
@pytest.mark.xfail(reason="bug 7", strict=True)
def test_known(benchmark): assert benchmark(int) == 1
@pytest.mark.xfail(reason="bug 8", strict=True)
def test_mended(benchmark): assert benchmark(int) == 0
@pytest.mark.benchmark(group="g", disable_gc=True, min_rounds=9)
def test_mark(benchmark): assert benchmark(__import__("gc").isenabled) and benchmark.group == "g"
def test_wrong(benchmark): assert benchmark(int) == 1
@pytest.fixture
def down(): yield; raise OSError("still open")
def test_down(benchmark, down): benchmark(int)
"""
    )
    entered = {name.partition("::")[2]: each for name, each in suite["entered"].items()}
    assert entered["test_skip"] == {"opened": [], "skipped": "later"}
    assert entered["test_known"] == {"opened": [[0] * 3], "skipped": "fails as the project expects: bug 7"}
    assert entered["test_mended"] == {"opened": [[0] * 3], "error": "AssertionError: [XPASS(strict)] bug 8"}
    assert entered["test_mark"] == {"opened": [[False] * 3]}
    assert entered["test_wrong"]["error"].splitlines()[0] == "AssertionError: assert 0 == 1"
    assert entered["test_down"] == {"opened": [[0] * 3], "error": "OSError: still open"}


def test_statistics_are_there_to_be_read_and_not_to_be_judged(opens: Opens) -> None:
    """A test that asserts something of them is left out; one that merely reads them is measured."""
    suite = opens(
        """
def test_reads(benchmark):
    benchmark.extra_info["n"] = 1
    assert (benchmark.enabled, benchmark.disabled, benchmark.name) == (True, False, "test_reads")
    before = benchmark.stats
    assert before is None
    benchmark(int)
    print(benchmark.stats.stats.mean, benchmark.stats["max"])
class TestAsserts:
    def test_asserts(self, benchmark):
        benchmark(int)
        assert 0 < benchmark.stats["mean"] < 1
def test_later(benchmark):
    benchmark(int)
    mean = benchmark.stats.stats.mean
    assert mean < 1
"""
    )
    assert suite["entered"]["tests/test_it.py::test_reads"] == {"opened": [[0] * 3]}
    reason = "asserts something of benchmark.stats, which has no meaning where calls are paired"
    assert suite["left_out"] == {"tests/test_it.py::TestAsserts::test_asserts": reason}
    late = suite["entered"]["tests/test_it.py::test_later"]
    assert late["skipped"].startswith("fails with benchmark.stats, which has no meaning where calls are paired: assert")


def test_a_project_sees_no_command_but_that_of_pytest(opens: Opens) -> None:
    """A conftest that reads what was typed finds nothing of ours."""
    suite = opens(
        "def test_it(benchmark, typed): benchmark(lambda: typed)",
        {"tests/conftest.py": HEAD + "@pytest.fixture\ndef typed(): return [*sys.argv, sys.path[1] == os.getcwd()]"},
    )
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[["pytest", True]] * 3]}}


def test_what_cannot_be_collected_or_measured_is_told_and_the_rest_goes_on(opens: Opens) -> None:
    """Each with its reason; of a run's own options `-x` does not stop the collection, `-k` and `-m` hold."""
    suite = opens(
        """
def test_fine(benchmark): benchmark(int)
def test_woven(benchmark_weave): pass
@pytest.mark.slow
def test_slow(benchmark): benchmark(int)
@pytest.mark.slow
def test_slow_plain(): pass
""",
        {
            "tests/test_broken.py": "import no_such_library",
            "tests/test_error.py": "1 / 0",
            "tests/test_skip.py": "import pytest\npytest.importorskip('no_such_library')",
            "tests/test_syntax.py": "def (",
            "pytest.ini": "[pytest]\nmarkers = slow\naddopts = -x -m 'not slow' --strict-markers --lf\n",
        },
    )
    assert suite["entered"] == {"tests/test_it.py::test_fine": {"opened": [[0] * 3]}}
    assert suite["left_out"] == {
        "tests/test_broken.py": "ModuleNotFoundError: No module named 'no_such_library'",
        "tests/test_error.py": "ZeroDivisionError: division by zero",
        "tests/test_it.py::test_slow": "deselected by the project's own options of pytest",
        "tests/test_it.py::test_woven": "asks for benchmark_weave, which times calls inside other code",
        "tests/test_skip.py": "could not import 'no_such_library': No module named 'no_such_library'",
        "tests/test_syntax.py": "SyntaxError: invalid syntax (test_syntax.py, line 1)",
    }


@pytest.mark.parametrize(
    "options",
    [
        "--benchmark-skip -p no:cacheprovider --import-mode=importlib -ra -q",
        "--benchmark-disable --benchmark-autosave --strict-config -W error",
        "-p no:benchmark --strict-markers",
        "-p no:cov -p no:xdist -s --maxfail=1 --basetemp=base",
        "--cov=tests --cov-report=xml --benchmark-only",
        "-p no:benchmark -p pytest_benchmark.plugin --benchmark-skip",
        "--setup-plan --setup-only --doctest-modules",
        "--trace --pdb",
    ],
)
def test_the_options_of_a_project_hold_but_for_those_that_meddle(opens: Opens, tmp_path: Path, options: str) -> None:
    """pytest-benchmark may be told to skip, or not be there; nothing is covered, traced or written into the project."""
    suite = opens(
        """
@pytest.mark.benchmark(group="g")
def test_it(benchmark, tmp_path):
    print("loud")
    os.write(1, b"louder")
    benchmark(lambda: [sys.gettrace() is None, "coverage.sysmon" in sys.modules, len(os.listdir(tmp_path))])
""",
        {"pyproject.toml": f'[tool.pytest.ini_options]\naddopts = "{options}"\ntestpaths = ["tests"]\n'},
    )
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[[True, False, 0]] * 3]}}
    written = {path.name for path in (tmp_path / "project").iterdir()}
    assert written <= {"pyproject.toml", "tests"}


PLUG_IN = """
import pytest

def pytest_addoption(parser):
    parser.addoption("--meddle", "-Z", type=int, dest="numprocesses")
    parser.addoption("--dist", default="load")
def pytest_configure(config):
    config.addinivalue_line("markers", "timeout: limit")
    assert (config.option.numprocesses, config.option.dist) == (None, "no")
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    raise AssertionError("meddled")
@pytest.fixture
def benchmark(): return "another plug-in's"
"""


SHUFFLING = """
import random

def pytest_addoption(parser):
    parser.addoption("--randomly-seed", dest="randomly_seed", type=int, default=random.Random().getrandbits(32))
def pytest_runtest_setup(item):
    random.seed(item.config.option.randomly_seed)
"""


def test_a_plug_in_that_draws_a_seed_for_each_process_gets_that_of_both_sides(opens: Opens) -> None:
    """As pytest-randomly does before every test: the two sides would measure different data."""
    suite = opens(
        "import random\n\ndef test_it(benchmark):\n    drawn = random.random()\n    benchmark(lambda: drawn)",
        {"pytest.ini": "[pytest]\npythonpath = plug\naddopts = -p shuffling\n", "plug/shuffling.py": SHUFFLING},
        seed=7,
    )
    drawn = random.Random(7).random()  # noqa: S311  what the test draws
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[drawn] * 3]}}


def test_plug_ins_that_end_or_spread_tests_are_set_aside(opens: Opens) -> None:
    """Their options and markers are still known; a fixture of the same name is not theirs."""
    suite = opens(
        "@pytest.mark.timeout(1)\ndef test_it(benchmark): benchmark(int)",
        {
            "pytest.ini": "[pytest]\npythonpath = plug\naddopts = -Z 4 -p timeout --strict-markers\n",
            "plug/timeout.py": PLUG_IN,
        },
    )
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[0] * 3]}}


def test_a_project_may_wrap_the_fixture(opens: Opens) -> None:
    """A conftest that gives it a group and hands it on, and one with pytest-benchmark's own hooks."""
    conftest = """
@pytest.fixture
def benchmark(benchmark): benchmark.group = "mine"; return benchmark
def pytest_benchmark_update_json(config, benchmarks, output_json): raise AssertionError
"""
    suite = opens(
        "def test_it(benchmark): assert benchmark(int) == 0 and benchmark.group == 'mine'",
        {"conftest.py": HEAD + conftest},
    )
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[0] * 3]}}


@pytest.mark.parametrize(("packages", "came"), [(["toy"], "side"), ([], "project")])
def test_a_measured_package_comes_from_its_side_though_a_project_puts_its_own_first(
    opens: Opens, tmp_path: Path, packages: list[str], came: str
) -> None:
    """A conftest in the root, or `pythonpath`, hides what is installed; not what is named."""
    (tmp_path / "side" / "toy").mkdir(parents=True)
    (tmp_path / "side" / "toy" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "side" / "toy" / "inner.py").write_text("FROM = 'side'", encoding="utf-8")
    suite = opens(
        "from toy.inner import FROM\ndef test_it(benchmark): benchmark(lambda: FROM)",
        {"conftest.py": "", "toy/__init__.py": "", "toy/inner.py": "FROM = 'project'"},
        packages=[*packages, "not_there"],
    )
    assert suite["entered"] == {"tests/test_it.py::test_it": {"opened": [[came] * 3]}}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"pytest.ini": "[pytest]\naddopts = --no-such-option"}, "error: unrecognized arguments: --no-such-option"),
        ({"conftest.py": "1 / 0"}, "ZeroDivisionError: division by zero"),
        ({"conftest.py": "def pytest_sessionstart(): import pytest; pytest.exit('no GPU')"}, "Exit: no GPU"),
        ({"test_exit.py": "import sys\nsys.exit('over')"}, "tests are collected: SystemExit: over"),
        ({"pytest.ini": "[pytest]\nminversion = 999"}, "requires pytest-999, actual pytest"),
    ],
)
def test_a_project_that_pytest_refuses_is_a_sentence(
    tmp_path: Path, log: Path, files: Mapping[str, str], sentence: str
) -> None:
    """The reason stands in the one line that is told."""
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = driven(tmp_path, tmp_path / "answer.json", log, {})
    assert sentence in done.stderr.splitlines()[-1]


def test_a_folder_without_such_tests_has_no_benchmarks(opens: Opens) -> None:
    """And that is no error."""
    suite = opens("def test_plain(): pass")
    assert (suite["names"], suite["left_out"]) == ({}, {})


CODSPEED = """
import pytest
def pytest_addoption(parser): parser.addoption("--codspeed", action="store_true")
def pytest_configure(config): config.addinivalue_line("markers", "codspeed_benchmark: whole")
def pytest_runtest_protocol(item): raise AssertionError("not set aside")
@pytest.fixture
def codspeed_benchmark(): raise AssertionError("not set aside")
"""
MARKED = """
@pytest.fixture
def made(): log("made"); yield 7; log("unmade")
@pytest.mark.codspeed_benchmark
def test_whole(made): log("whole"); assert made == 7
@pytest.mark.benchmark
@pytest.mark.parametrize("n", [1])
def test_marked(n): pass
@pytest.mark.benchmark(group="g")
def test_both(benchmark): benchmark(int)
def test_named(codspeed_benchmark): codspeed_benchmark(int)
@pytest.mark.codspeed_benchmark
def test_wrong(): raise OSError("no file")
class TestIn:
    pytestmark = pytest.mark.codspeed_benchmark
    def test_method(self): pass
def test_plain(): pass
"""


@pytest.mark.parametrize(("installed", "options"), [(True, ""), (True, "--codspeed -p no:benchmark"), (False, "")])
def test_a_marked_test_is_measured_whole_where_codspeed_would(
    opens: Opens, tmp_path: Path, log: Path, *, installed: bool, options: str
) -> None:
    """Its setup is made once; `benchmark` alone marks a whole test only for a project that has pytest-codspeed."""
    if installed:
        place = tmp_path / "side" / "pytest_codspeed"
        (tmp_path / "side" / "pytest_codspeed-9.dist-info").mkdir(parents=True)
        (place.with_name("pytest_codspeed-9.dist-info") / "METADATA").write_text("Name: pytest-codspeed\nVersion: 9\n")
        (place.with_name("pytest_codspeed-9.dist-info") / "entry_points.txt").write_text(
            "[pytest11]\ncodspeed = pytest_codspeed.plugin\n"
        )
        place.mkdir()
        (place / "__init__.py").touch()
        (place / "plugin.py").write_text(CODSPEED)
    suite = opens(MARKED, {"pytest.ini": f"[pytest]\naddopts = --strict-markers {options}"})
    entered = {name.partition("::")[2]: each for name, each in suite["entered"].items()}
    whole = {"opened": [[None] * 3]}
    assert entered.pop("test_marked[1]", None) == (whole if installed else None)
    assert entered == {
        "test_whole": whole,
        "test_both": {"opened": [[0] * 3]},
        "test_named": {"opened": [[0] * 3]},
        "test_wrong": {"opened": [], "error": "OSError: no file"},
        "TestIn::test_method": whole,
    }
    assert log.read_text().splitlines() == ["made", *["whole"] * 4, "unmade"]


@pytest.mark.parametrize(
    ("fixture", "options", "given"),
    [("codspeed_benchmark", "", "[1]"), ("benchmark", "-p no:benchmark", "[1]"), ("benchmark", "", "[]")],
)
def test_a_setup_is_called_as_the_plug_in_calls_it(
    opens: Opens, tmp_path: Path, log: Path, fixture: str, options: str, given: str
) -> None:
    """With the target's arguments by pytest-codspeed, without by pytest-benchmark, where both are installed too."""
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / "pytest_codspeed.py").write_text(CODSPEED)
    suite = opens(
        f"""
def setup(*args): log("setup", list(args))
def test_it({fixture}): assert {fixture}.pedantic(abs, (1,), setup=setup) == 1
""",
        {"pytest.ini": f"[pytest]\naddopts = -p pytest_codspeed {options}"},
    )
    assert suite["entered"]["tests/test_it.py::test_it"] == {"opened": [[1] * 3]}
    assert log.read_text().splitlines() == [f"setup {given}"] * 4
