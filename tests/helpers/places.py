"""Folders in which a person types what README.md and CI.md say: small projects, stored records, a clone of this one."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from documented import REPOSITORY, Promise

GOLDEN = REPOSITORY / "tests" / "golden"
WHO = ("-c", "user.name=toy", "-c", "user.email=toy@example.invalid", "-c", "commit.gpgsign=false")
# What a make that runs these tests sets, and would hand on to the commands.
NOT_HANDED_ON = ("MAKE", "MFLAGS", "COV_", "COVERAGE_", "PYTEST_", "TORCH_INDEX_URL", "INT8BENCH_LEFT_OUT")
TIMEOUT_S = 2400.0
PAIRED_BUDGET_S = "30"  # of an asv suite's paired figures: the least that their grid needs
PROJECT = {
    "toy.py": "def parse(): return sum(range(3000))\n",
    "conftest.py": "",
    "benchmarks/__init__.py": "",
    "benchmarks/parse.py": "import toy\n\ndef time_it(): toy.parse()\n",
    "tests/test_speed.py": "import toy\n\ndef test_speed(benchmark): benchmark(toy.parse)\n",
    "asv.conf.json": "{}",
    ".gitignore": "old\nnew\n",
    "pyproject.toml": '[tool.int8bench.gate]\nsuite = "asv"\nmetrics = ["time"]\nbudget = "3s"\n',
}
SLOWER = {"toy.py": "def parse(): return sum(range(24000))\n"}
MODEL = """
from torch import nn

def factory(num_classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
    )
"""
POLICY = '[tool.int8bench.gate]\nengines = ["fbgemm"]\nbatch = [1]\nthreads = [1]\nbudget = "40s"\n'
ASV = {
    "version": 1,
    "project": "toy",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "existing",
    "results_dir": ".asv/results",
    "html_dir": ".asv/html",
    "plugins": [".int8bench.tracking.dashboard"],
}
COMMITS, STEP = 16, 8  # of the history, and the first of its slower ones


@dataclass(frozen=True, slots=True)
class Places:
    """Makes each folder once, below one of its own."""

    top: Path
    cache: Path
    made: dict[str, Path] = field(default_factory=dict)

    def at(self, name: str) -> Path:
        """Returns the folder of that name."""
        if name not in self.made:
            self.made[name] = self.top / name
            self.made[name].mkdir()
            MAKERS[name](self.made[name])
        return self.made[name]

    def typed(self, command: str, promise: Promise) -> str:
        """Types a command where it makes sense, and holds it to its promise.

        Args:
            command: as the document has it.
            promise: what its document says of it.

        Returns:
            What it printed.
        """
        folder = self.at(promise.place)
        done = subprocess.run(
            ["bash", "-c", f"{command} {promise.shortened}"],
            cwd=folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode in promise.codes, done.stdout[-5000:]
        assert re.search(promise.says, done.stdout, re.MULTILINE), done.stdout[-5000:]
        assert [name for name in promise.makes if not (folder / name).exists()] == []
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """Returns the variables of a person who has activated the environment of these tests."""
        theirs = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
        path = os.pathsep.join((str(Path(sys.executable).parent), theirs.get("PATH", os.defpath)))
        ours = {"PATH": path, "HOME": str(self.top), "XDG_CACHE_HOME": str(self.cache), "PIP_NO_INDEX": "1"}
        return {**theirs, **ours, "COLUMNS": "120", "INT8BENCH_BUDGET_S": PAIRED_BUDGET_S}


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *WHO, "-C", folder, *arguments), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


def _commit(folder: Path, files: Mapping[str, str], message: str = "A commit") -> None:
    if not (folder / ".git").exists():
        _git(folder, "init", "--quiet", "--initial-branch=main")
    _write(folder, files)
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--allow-empty", "-m", message)


def _records(folder: Path) -> None:
    """Stored runs, and what another machine says of itself."""
    shutil.copy(GOLDEN / "hardware" / "linux-ubuntu20.04-zen3", folder / "cpuinfo.txt")
    for name in ("int8bench-run.json", "old.json", "new.json"):
        shutil.copy(GOLDEN / "runs" / "quick.json", folder / name)


def _project(folder: Path) -> None:
    """A package, its benchmarks for asv and for pytest, a policy, and a branch whose one commit is slower."""
    _commit(folder, PROJECT)
    _git(folder, "update-ref", "refs/remotes/origin/main", "main")
    _git(folder, "switch", "--quiet", "--create", "topic")
    _commit(folder, SLOWER)
    for name, files in (("old", PROJECT), ("new", SLOWER)):
        _write(_environment_at(folder / name), {"toy.py": files["toy.py"]})


def _own(folder: Path) -> None:
    """Somebody's repository with a model of theirs."""
    for number in range(4):
        package = {"package/__init__.py": f"NUMBER = {number}\n", "package/module.py": MODEL}
        _commit(folder, {".gitignore": "PATH\n", **package})


def _pictures(folder: Path) -> None:
    """The same, with pictures of theirs in the folder PATH."""
    import numpy as np
    from PIL import Image

    _own(folder)
    pixels = np.random.default_rng(0)
    for kind in ("cats", "dogs"):
        (folder / "PATH" / kind).mkdir(parents=True)
        for number in range(40):
            picture = Image.fromarray(pixels.integers(0, 255, (32, 32, 3), np.uint8))
            picture.save(folder / "PATH" / kind / f"{number}.png")


def _scaffold(folder: Path) -> None:
    """The same, after `int8bench init`."""
    _own(folder)
    command = (sys.executable, "-m", "int8bench", "init", "package.module:factory", "--input-shape", "3x32x32")
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    _commit(folder, {})


def _history(folder: Path) -> None:
    """A repository with asv's results of two benchmarks over its commits: one takes 10 % longer half-way."""
    for number in range(COMMITS):
        _commit(folder, {"toy.py": f"NUMBER = {number}\n", "asv.conf.json": json.dumps(ASV)}, f"Commit {number}")
    results = folder / ".asv" / "results"
    described: dict[str, dict[str, object]] = {
        name: {"name": name, "unit": "seconds", "type": "time", "version": "1", "param_names": [], "params": []}
        for name in ("parse.time_it", "parse.time_noop")
    }
    _write(results, {"benchmarks.json": json.dumps({**described, "version": 2})})
    machine = {"machine": "rack-1", "cpu": "A CPU", "version": 1}
    _write(results / "rack-1", {"machine.json": json.dumps(machine)})
    for number, commit in enumerate(_git(folder, "rev-list", "--reverse", "HEAD").split()):
        wobble = 1 + 0.002 * ((number * 7) % 5 - 2)
        took_s = {"parse.time_it": 1e-3 * wobble * (1.1 if number >= STEP else 1.0), "parse.time_noop": 1e-6 * wobble}
        document = {
            "commit_hash": commit,
            "env_name": "existing-python3.11",
            "date": 1_767_225_600_000 + number * 86_400_000,
            "params": {"machine": "rack-1", "python": "3.11"},
            "python": "3.11",
            "requirements": {},
            "env_vars": {},
            "result_columns": ["result", "params", "version"],
            "results": {name: [[value], [], "1"] for name, value in took_s.items()},
            "durations": {},
            "version": 2,
        }
        _write(results / "rack-1", {f"{commit[:8]}-existing-python3.11.json": json.dumps(document)})


def _policy(folder: Path) -> None:
    """A project whose gate measures one cell."""
    _write(folder, {"pyproject.toml": POLICY})


def _clone(folder: Path) -> None:
    """This repository, as it is committed, with an environment of its own that has the packages of this one."""
    folder.rmdir()
    subprocess.run(("git", "clone", "--quiet", "--no-local", REPOSITORY, folder), check=True)
    policy = (folder / "pyproject.toml").read_text(encoding="utf-8")
    shorter = re.sub(r'(?m)^budget = "6m"', 'budget = "90s"', policy)
    _commit(folder, {"pyproject.toml": shorter})
    _git(folder, "update-ref", "refs/remotes/origin/main", "HEAD~1")
    _environment_at(folder / ".venv")


def _environment_at(folder: Path) -> Path:
    """Makes an environment that has the packages of this one, so that nothing is fetched; where its own packages go."""
    venv.create(folder, symlinks=True)  # without a pip of its own, whose setuptools would come first
    own = Path(sysconfig.get_paths(scheme="venv", vars={"base": str(folder), "platbase": str(folder)})["purelib"])
    _write(own, {"these.pth": sysconfig.get_path("purelib") + "\n"})
    return own


MAKERS: Mapping[str, Callable[[Path], None]] = {
    "empty": lambda _: None,
    "records": _records,
    "project": _project,
    "own": _own,
    "pictures": _pictures,
    "scaffold": _scaffold,
    "history": _history,
    "policy": _policy,
    "clone": _clone,
}
