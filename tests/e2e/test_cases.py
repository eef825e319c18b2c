"""Projects that were measured wrongly once, through the real command: each has the right answer."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import wheels
from lean_pytest import LEAN

CASES = Path(__file__).parents[1] / "cases"
WHO = ("-c", "user.name=toy", "-c", "user.email=toy@example.invalid", "-c", "commit.gpgsign=false")
SLOW = "def work(n):\n    return [sum(i * i for i in range(n)) for _ in range(30)][0]\n"
QUICK = "def work(n):\n    return sum(i * i for i in range(n))\n"
BUILT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "0.1"
"""
MEASURED = "from {module} import work\n\n\ndef test_work(benchmark):\n    benchmark(work, 300)\n"
BENCHMARK = "from {module} import work\n\n\ndef time_work():\n    work(3000)\n"


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(("git", *WHO, "-C", folder, *arguments), capture_output=True, check=True)


def _commit(folder: Path, tag: str, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", tag)
    _git(folder, "tag", tag)


def _built_by_itself(folder: str, name: str) -> dict[str, str]:
    """The files of a package that needs no build tool, which would take seconds a commit."""
    texts = {"pyproject.toml": wheels.PYPROJECT, "backend.py": wheels.BACKEND}
    return {f"{folder}/{file}": text.replace("toy", name) for file, text in texts.items()}


def _project(folder: Path, base: Mapping[str, str], head: Mapping[str, str]) -> Path:
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _commit(folder, "base", base)
    _commit(folder, "head", head)
    return folder


def _made(case: str, folder: Path) -> Path:
    """The project of a case; where head does three times the work it is thirty here, which a busy machine sees too."""
    text = (CASES / case).read_text(encoding="utf-8").replace("range(3)][0]", "range(30)][0]")
    subprocess.run(["sh", "-c", text, case, str(folder)], capture_output=True, check=True)
    return folder


def _duet(folder: Path, cache: Path, *arguments: str, lean: bool = True) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON answer and what was said beside it; where lean, without plug-ins of strangers."""
    done = subprocess.run(
        [sys.executable, "-m", "int8bench", "duet", *arguments, "--quick", "--json"],
        cwd=folder,
        env={**os.environ, **(LEAN if lean else {}), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr.strip().splitlines()[-1]


def _thirty_times(document: Mapping[str, Any]) -> None:
    (only,) = document["comparisons"]
    assert only["verdict"] == "slower"
    assert 15 < only["ratio"]["value"] < 60


@pytest.fixture(scope="module")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose package lies one folder down."""
    return _made("asv_monorepo.sh", tmp_path_factory.mktemp("mono") / "repository")


@pytest.mark.parametrize("suite", ["asv", "pytest"])
def test_a_package_one_folder_down_is_measured(monorepo: Path, cache: Path, suite: str) -> None:
    """It is not installed here, so that the revision's own is the only one; head does more work."""
    asked = ("slow~1", "slow", "--suite", suite, "--budget", "3s")
    code, document, _ = _duet(monorepo / "pkg-one", cache, *asked, lean=False)
    assert code == 1
    _thirty_times(document)


def test_a_package_on_top_that_holds_nothing_is_not_what_is_measured(tmp_path: Path, cache: Path) -> None:
    """The others are, where the suite lies on top; a second package that the first one uses is the revision's too."""
    folder = _project(
        tmp_path / "repository",
        {
            "pyproject.toml": BUILT.format(name="meta") + "[tool.setuptools]\npackages = []\n",
            "asv.conf.json": "{}",
            "benchmarks/__init__.py": "",
            "benchmarks/b.py": BENCHMARK.format(module="upper"),
            **_built_by_itself("up", "upper"),
            "up/upper/__init__.py": "from lower import work\n",
            **_built_by_itself("low", "lower"),
            "low/lower/__init__.py": QUICK,
        },
        {"low/lower/__init__.py": SLOW},
    )
    code, document, _ = _duet(folder, cache, "base", "head", "--suite", "asv", "--budget", "3s")
    assert code == 1
    _thirty_times(document)


def test_a_suite_of_another_project_has_no_figure(tmp_path: Path, cache: Path) -> None:
    """Nothing of the revision is loaded: a warning that says what is, never red and never "no change"."""
    folder = _project(
        tmp_path / "repository",
        {
            "own/__init__.py": "",
            "asv.conf.json": "{}",
            "benchmarks/__init__.py": "",
            "benchmarks/b.py": "import packaging\n\n\ndef time_it():\n    len(packaging.__name__)\n",
        },
        {"README.md": "words"},
    )
    code, document, said = _duet(folder, cache, "base", "head", "--suite", "asv", "--budget", "3s")
    assert (code, document) == (3, {})
    assert "b.time_it: nothing of base's revision was loaded, which holds own; imported was packaging from /" in said
    assert "--base-python OLD --head-python NEW" in said


@pytest.fixture(scope="module")
def traps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite with habits of real ones; after a documentation commit, one that breaks what a benchmark calls."""
    folder = _made("asv_traps.sh", tmp_path_factory.mktemp("traps") / "repository")
    raising = (
        "def spread(items):\n    if len(items) == 200:\n        raise ValueError('broken')\n    return sorted(items)\n"
    )
    _commit(folder, "broken", {"src/trapped/__init__.py": raising})
    return folder


def test_failures_and_draws_by_chance_turn_nothing_red(traps: Path, cache: Path) -> None:
    """Both sides draw the same, at import too; each row is named for what it is, two lambdas are two rows."""
    code, document, _ = _duet(traps, cache, "docs~1", "docs", "--suite", "asv")
    assert code == 0
    rows = {each["id"]: each for each in document["comparisons"]}
    drawn = [each["ratio"]["value"] for name, each in rows.items() if "Drawn" in name]
    assert len(drawn) == 3
    assert all(1 / 1.5 < value < 1.5 for value in drawn)  # 0.5 to 2, where each side draws its own
    sometimes = [name for name in rows if "time_sometimes_fails" in name]
    assert len(sometimes) == 3
    told = " ".join(each["message"] for each in document["findings"])
    assert "track_nothing: it gave nan" in told
    assert "time_not_for_all(False): raises NotImplementedError" in told
    assert "chance.Repeats.time_repeat" in rows


def test_what_head_breaks_is_red_in_a_quick_run(traps: Path, cache: Path) -> None:
    """Seven launches of head fail and none of base; what is left alone is measured beside it."""
    code, document, _ = _duet(
        traps, cache, "docs", "broken", "--suite", "asv", "--select", "time_not_for_all(True)", "--budget", "3s"
    )
    assert code == 1
    (finding,) = document["findings"]
    assert (finding["code"], finding["severity"]) == ("benchmark-failed", "error")
    assert "fails in 7 of 7 launches of head, 0 of 7 of base: head: ValueError: broken" in finding["message"]


@pytest.mark.parametrize(
    ("suite", "files"),
    [
        ("asv", {"asv.conf.json": "{}", "benchmarks/__init__.py": "import toy\n", "benchmarks/b.py": BENCHMARK}),
        ("pytest", {"tests/conftest.py": "import toy\n", "tests/test_b.py": MEASURED}),
    ],
)
def test_what_breaks_the_whole_suite_in_head_is_red(
    tmp_path: Path, cache: Path, suite: str, files: dict[str, str]
) -> None:
    """All that base measures is broken in head; the other way round nothing is, and nothing is measured."""
    files = {name: content.replace("{module}", "toy") for name, content in files.items()}
    folder = _project(tmp_path / "repository", {"toy.py": QUICK, **files}, {"toy.py": QUICK + "\n\nimport none_such\n"})
    code, document, _ = _duet(folder, cache, "base", "head", "--suite", suite, "--budget", "3s")
    assert code == 1
    (finding,) = document["findings"]
    assert (finding["code"], finding["severity"]) == ("benchmark-failed", "error")
    assert "launches of head, 0 of" in finding["message"]
    assert "the suite does not open: " in finding["message"]
    assert "No module named 'none_such'" in finding["message"]
    code, document, said = _duet(folder, cache, "head", "base", "--suite", suite, "--budget", "3s")
    assert (code, document) == (3, {})
    assert "base: the suite does not open: " in said


PORT = """
import socket, time
import toy

held = socket.socket()
held.bind(("127.0.0.1", {port}))


def time_it():
    toy.work(300)
"""


def test_what_only_one_import_can_have_breaks_neither_side(tmp_path: Path, cache: Path) -> None:
    """Both sides of a pair are imported at the same time; what fails on head alone is tried without the other one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        suite = PORT.format(port=free.getsockname()[1])
    folder = _project(
        tmp_path / "repository",
        {"toy.py": QUICK, "asv.conf.json": "{}", "benchmarks/__init__.py": "", "benchmarks/b.py": suite},
        {"README.md": "words"},
    )
    code, _, said = _duet(folder, cache, "base", "head", "--suite", "asv", "--budget", "3s")
    assert code == 3
    assert "cannot import b: OSError: [Errno 98] Address already in use" in said


def test_a_file_that_base_cannot_import_is_named_with_its_benchmarks(tmp_path: Path, cache: Path) -> None:
    """Never green in silence: a warning beside what is measured, exit code 3 where nothing else is left."""
    new = "from toy import fresh\n\n\ndef test_fresh(benchmark):\n    benchmark(fresh)\n"
    old = "from toy import work\n\n\ndef test_old(benchmark):\n    benchmark(work, 300)\n"
    folder = _project(
        tmp_path / "repository",
        {"toy.py": QUICK, "tests/test_old.py": old},
        {"toy.py": QUICK + "\n\ndef fresh():\n    return work(300)\n", "tests/test_new.py": new},
    )
    asked = ("base", "head", "--suite", "pytest", "--budget", "5s")
    code, document, _ = _duet(folder, cache, *asked)
    assert code == 0
    (finding,) = document["findings"]
    assert finding["severity"] == "warning"
    assert "tests/test_new.py::test_fresh: fails in 0 of 4 launches of head, 4 of 4 of base" in finding["message"]
    assert "cannot import tests/test_new.py: ImportError: cannot import name 'fresh'" in finding["message"]
    code, document, said = _duet(folder, cache, *asked, "--select", "tests/test_new.py::test_fresh")
    assert (code, document) == (3, {})
    assert "cannot import tests/test_new.py" in said


def test_the_id_of_a_benchmark_that_is_left_out_is_no_part_of_another(tmp_path: Path, cache: Path) -> None:
    """It selects itself: the answer is the reason why it is left out, not the figure of what begins as it does."""
    suite = (
        "from toy import work\n\n\ndef test_it(benchmark):\n    benchmark(work, 300)\n"
        "    assert benchmark.stats['min'] < 9\n\n\ndef test_it_all(benchmark):\n    benchmark(work, 300)\n"
    )
    folder = _project(tmp_path / "repository", {"toy.py": QUICK, "tests/test_b.py": suite}, {"README.md": "words"})
    asked = ("base", "head", "--suite", "pytest", "--budget", "3s", "--select", "tests/test_b.py::test_it")
    code, document, said = _duet(folder, cache, *asked)
    assert (code, document) == (3, {})
    assert "tests/test_b.py::test_it: asserts something of benchmark.stats" in said


def test_every_value_of_a_matrix_variable_is_a_row(tmp_path: Path, cache: Path) -> None:
    """With the variable set in the launches; the number that is tracked says so."""
    suite = "import os\nimport toy\n\n\ndef track_it():\n    return float(os.environ['TOY'])\n"
    folder = _project(
        tmp_path / "repository",
        {
            "toy.py": QUICK,
            "asv.conf.json": json.dumps({"matrix": {"env_nobuild": {"TOY": ["2", "3"], "PYTHONHASHSEED": ["0"]}}}),
            "benchmarks/__init__.py": "",
            "benchmarks/b.py": suite,
        },
        {"README.md": "words"},
    )
    code, document, _ = _duet(folder, cache, "base", "head", "--suite", "asv", "-o", str(tmp_path / "duet.json"))
    assert code == 0
    assert [(each["id"], each["verdict"]) for each in document["comparisons"]] == [
        ("b.track_it [TOY=2]", "same"),
        ("b.track_it [TOY=3]", "same"),
    ]
    numbers = json.loads((tmp_path / "duet.json").read_text(encoding="utf-8"))["samples"]["numbers"]
    assert {name: each[0]["base"]["value"] for name, each in numbers.items()} == {
        "b.track_it [TOY=2]": 2.0,
        "b.track_it [TOY=3]": 3.0,
    }
