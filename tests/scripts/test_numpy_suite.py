"""The independent project that verdicts are tried on: the truth that it states is the one that its commits hold."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "numpy_suite.py"
DRIVER = Path(__file__).parents[1] / "helpers" / "peer_driver.py"
Told = Mapping[str, Any]


def built(folder: Path) -> Told:
    """What the script tells of the project that it makes."""
    done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def git(folder: Path, *arguments: str) -> str:
    """What git answers."""
    done = subprocess.run(("git", "-C", folder, *arguments), capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One project for all tests."""
    return built(tmp_path_factory.mktemp("numpy") / "new" / "project")


@pytest.fixture
def project(told: Told) -> Path:
    """Where it lies."""
    return Path(told["folder"])


def repeats(project: Path, revision: str) -> dict[str, int]:
    """How often each function of a commit runs its kernel."""
    code = git(project, "show", f"{revision}:src/nptoy/__init__.py")
    return {name: int(n) for name, n in re.findall(r"def (\w+)\(x\):.*?repeat\(None, (\d+)\)", code, re.DOTALL)}


def test_the_truth_is_the_share_of_repeats(told: Told, project: Path) -> None:
    """One function takes 3 % longer, one 10 %, one 5 % less, and three are left alone."""
    base, head = repeats(project, told["base"]), repeats(project, told["head"])
    truth = {name: each["truth"] for name, each in told["functions"].items()}
    assert {name: head[name] / base[name] for name in base} == truth
    assert sorted(truth.values()) == [0.95, 1.0, 1.0, 1.0, 1.03, 1.10]


def test_the_commits_differ_in_numbers_alone(told: Told, project: Path) -> None:
    """Nothing but counts is changed, and nothing is left uncommitted."""
    changed = [line for line in git(project, "diff", "-U0", "base", "head").splitlines() if line[0] in "+-"]
    lines = [re.sub(r"\d+", "N", line[1:]) for line in changed if line[:3] not in {"+++", "---"}]
    assert len(lines) == 12
    assert lines == [line for at in range(0, 12, 4) for line in lines[at : at + 2] * 2]
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-parse", "base", "head").split() == [told["base"], told["head"]]


def test_the_project_is_the_same_everywhere(told: Told, tmp_path: Path) -> None:
    """Its commits have the same names wherever and whenever it is built."""
    again = built(tmp_path / "again")
    assert (again["base"], again["head"]) == (told["base"], told["head"])


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    """With a sentence."""
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "is there already; give a new folder" in done.stderr


@pytest.mark.parametrize("kind", ["asv", "pytest"])
def test_its_benchmarks_are_those_that_it_names(told: Told, project: Path, tmp_path: Path, kind: str) -> None:
    """Both suites open, and every benchmark runs."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join((str(project / "src"), environment.get("PYTHONPATH", "")))
    answer = tmp_path / "answer.json"
    command = [sys.executable, "-P", DRIVER, kind, project, answer]
    subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    found = json.loads(answer.read_text(encoding="utf-8"))
    assert set(found["names"]) == {each[kind] for each in told["functions"].values()}
    assert all(each.keys() == {"opened"} for each in found["entered"].values())
    assert found["left_out"] == {}
