"""Builds an independent project to try verdicts on: plain NumPy functions in two commits, of which the truth is known.

Every function repeats one small kernel, so that it takes about half a millisecond; the second commit changes nothing
but how often three of them do. The share of extra work is therefore exact: the call and the loop around the kernels
are less than a thousandth of it. The project is an installable package, `nptoy`, with an asv suite and with
pytest-benchmark tests of the same functions; its commits are tagged `base` and `head`. Prints JSON: the commits, and
by function how long head takes over base, with the ids of its benchmarks.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

REPEATS = 100  # of a kernel in the base commit: some five microseconds each
# Who commits and when: the same everywhere, so that the commits are.
WHO = ("-c", "user.name=nptoy", "-c", "user.email=nptoy@example.invalid", "-c", "commit.gpgsign=false")
WHEN = {"GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the project: its kernel on `x`, the input that it gets, and how often head repeats it."""

    name: str
    kernel: str
    given: str
    head: int = REPEATS

    @property
    def truth(self) -> float:
        """How long it takes in head over how long it takes in base."""
        return self.head / REPEATS


FUNCTIONS = (
    Function(name="running", kernel="np.cumsum(x)", given="numbers.normal(size=1024)", head=103),
    Function(name="product", kernel="x @ x", given="numbers.normal(size=(40, 40))", head=110),
    Function(name="ranked", kernel="np.sort(x)", given="numbers.normal(size=1024)", head=95),
    Function(name="softened", kernel="np.tanh(x)", given="numbers.normal(size=2048)"),
    Function(name="clipped", kernel="np.clip(x, -1, 1)", given="numbers.normal(size=3072)"),
    Function(name="between", kernel="np.interp(x, MARKS, MARKS)", given="numbers.uniform(size=192)"),
)

PYPROJECT = """[build-system]
requires = ["setuptools>=61"]
build-backend = "setuptools.build_meta"

[project]
name = "nptoy"
version = "1.0"
requires-python = ">=3.11"
dependencies = ["numpy"]

[tool.setuptools.packages.find]
where = ["src"]
"""
ASV = """{
    // the speed of nptoy
    "version": 1,
    "project": "nptoy",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "virtualenv",
    "matrix": {"req": {"numpy": [""]}},
    "build_command": ["python -m pip wheel --no-deps --wheel-dir {build_cache_dir} {build_dir}"],
    "benchmark_dir": "benchmarks"
}
"""
PACKAGE = '''"""Plain NumPy functions, each a small kernel many times."""

from itertools import repeat

import numpy as np

MARKS = np.linspace(0, 1, 64)
'''
FUNCTION = '''

def {name}(x):
    """`{kernel}`, {repeats} times."""
    for _ in repeat(None, {repeats}):
        found = {kernel}
    return found
'''
SUITE = '''"""The speed of nptoy's functions."""

import numpy as np

import nptoy


class Functions:
    """Each on an input of its own."""

    def setup(self):
        """The same numbers in every process."""
        numbers = np.random.default_rng(2026)
'''
TESTS = '''"""The speed of nptoy's functions, and that they answer."""

import numpy as np
import pytest

import nptoy


@pytest.fixture
def numbers():
    """The same numbers in every process."""
    return np.random.default_rng(2026)
'''
TEST = """

def test_{name}(benchmark, numbers):
    assert np.isfinite(benchmark(nptoy.{name}, {given})).all()
"""


def build(folder: Path) -> Mapping[str, object]:
    """Makes the repository in a new folder; its commits and the truth about them.

    Raises:
        FileExistsError: the folder is there.
    """
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch=main")
    commits = {label: _commit(folder, label) for label in ("base", "head")}
    return {"folder": str(folder), **commits, "functions": {each.name: _told(each) for each in FUNCTIONS}}


def _told(function: Function) -> Mapping[str, object]:
    asv, test = f"speed.Functions.time_{function.name}", f"tests/test_speed.py::test_{function.name}"
    return {"truth": function.truth, "asv": asv, "pytest": test}


def _commit(folder: Path, label: str) -> str:
    for name, content in files(label).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "-m", f"nptoy: {label}")
    _git(folder, "tag", label)
    return _git(folder, "rev-parse", label)


def files(label: str) -> Mapping[str, str]:
    """The project's files in that commit."""
    repeats = {each: each.head if label == "head" else REPEATS for each in FUNCTIONS}
    functions = (FUNCTION.format(name=f.name, kernel=f.kernel, repeats=n) for f, n in repeats.items())
    inputs = (f"        self.{each.name} = {each.given}\n" for each in FUNCTIONS)
    timed = (f"\n    def time_{f.name}(self):\n        nptoy.{f.name}(self.{f.name})\n" for f in FUNCTIONS)
    return {
        "pyproject.toml": PYPROJECT,
        "asv.conf.json": ASV,
        ".gitignore": "__pycache__/\n.asv/\n*.egg-info/\nbuild/\nenv/\n",
        "src/nptoy/__init__.py": PACKAGE + "".join(functions),
        "benchmarks/__init__.py": "",
        "benchmarks/speed.py": SUITE + "".join(inputs) + "".join(timed),
        "tests/test_speed.py": TESTS + "".join(TEST.format(name=f.name, given=f.given) for f in FUNCTIONS),
    }


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ("git", *WHO, "-C", str(folder), *arguments),
        env={**os.environ, **WHEN},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def main() -> int:
    """Builds it where it is asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="is made, and must not be there")
    folder: Path = parser.parse_args().folder
    if folder.exists():
        parser.error(f"{folder} is there already; give a new folder")
    print(json.dumps(build(folder), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
