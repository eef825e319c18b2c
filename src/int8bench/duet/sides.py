"""A side: a git revision, a Python environment, or one in the other; its package first on the path of an interpreter.

What is built of a revision is kept in the cache, by its commit: the tree, and its package installed without its
dependencies. The repository and the environment of the person are read only, and nothing is left in them.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from int8bench import scratch
from int8bench.duet.peers import Place
from int8bench.errors import RequestError
from int8bench.tracking.revisions import Repository, install_beside, is_packaged

MOST_KEPT = 40  # builds in the cache; the oldest go
BUILDING = ".building-"
SUITES = {"benchmarks", "benchmark", "tests", "test", "conftest", "setup"}  # code that measures, not measured code
NOT_PACKAGES = (".dist-info", ".data", "bin", "__pycache__", ".libs", ".pth")
ASK = "import sys; print('tag', sys.implementation.cache_tag)"  # such as cpython-311: compiled parts fit one alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person typed for a side; None where it was not given."""

    label: str
    revision: str | None
    python: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python by its path, and the tag of what is compiled for it, which a newer one at the same path changes."""

    path: str
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A side that is ready to be measured, and what a record says of it."""

    label: str
    commit: str | None
    python: str
    path: tuple[str, ...]
    packages: tuple[str, ...]
    tree: Path | None

    @property
    def title(self) -> str:
        """The name a person reads."""
        where = self.commit[:12] if self.commit else None
        return where if where and self.python == sys.executable else f"{where or 'installed'} in {self.python}"

    def place(self, folder: Path) -> Place:
        """What its launches are started with, for a suite in that folder."""
        return Place(label=self.label, python=self.python, path=self.path, folder=str(folder), packages=self.packages)

    def to_dict(self) -> dict[str, object]:
        """What a record keeps."""
        return {"commit": self.commit, "python": self.python, "packages": list(self.packages)}


def prepared(asked: Asked, repository: Repository | None, cache: Path) -> Side:
    """The side, built where it is not in the cache yet.

    Raises:
        RequestError: no such revision or interpreter, or the revision does not install.
    """
    python = _interpreter(asked)
    if asked.revision is None:
        return Side(label=asked.label, commit=None, python=python.path, path=(), packages=(), tree=None)
    assert repository is not None
    commit = repository.commit(asked.revision)
    tree, package = _built(asked, repository, commit, python, cache)
    return Side(
        label=asked.label,
        commit=commit,
        python=python.path,
        path=(str(package),),
        packages=_packages(package),
        tree=tree,
    )


def suite_folder(side: Side, repository: Repository | None, here: Path) -> Path:
    """Where a suite of that side lies: the folder that the person is in, in the side's tree.

    Raises:
        RequestError: the side's revision has no such folder.
    """
    if side.tree is None or repository is None:
        return here
    folder = side.tree / here.resolve().relative_to(repository.top.resolve())
    if not folder.is_dir():
        raise RequestError(f"{side.title}: has no folder {here.name}; change to one that it has, or give --benchmarks")
    return folder


def _interpreter(asked: Asked) -> Interpreter:
    """The interpreter that was asked for, or this one.

    Raises:
        RequestError: it does not start, or is too old.
    """
    if asked.python is None:
        return Interpreter(path=sys.executable, tag=str(sys.implementation.cache_tag))
    given = shutil.which(asked.python) or asked.python
    option = f"--{asked.label}-python {asked.python}"
    try:
        done = subprocess.run([given, "-P", "-c", ASK], capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        why = error.strerror if isinstance(error, OSError) else "it does not answer"
        raise RequestError(f"{option}: cannot be started: {why}; give the python of an environment") from error
    word, _, tag = done.stdout.strip().partition(" ")
    if done.returncode or word != "tag":  # before 3.11 there is no -P
        raise RequestError(f"{option}: is no Python of 3.11 or later; give the python of an environment")
    path = os.path.abspath(given)  # noqa: PTH100  a link into an environment must stay that link
    return Interpreter(path=path, tag=tag)


def _built(asked: Asked, repository: Repository, commit: str, python: Interpreter, cache: Path) -> tuple[Path, Path]:
    """The tree of a commit and the folder of its package, from the cache or built into it.

    Raises:
        RequestError: the commit does not install; nothing of it is kept.
    """
    digest = hashlib.sha256(f"{repository.top.resolve()} {python.path} {python.tag}".encode()).hexdigest()[:8]
    folder = cache / f"{commit[:16]}-{digest}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        building = scratch.made(cache, BUILDING)
        try:
            tree = repository.lay_out(commit, building.path / "tree")
            _install(asked, tree, building.path / "package", python.path)
            with suppress(OSError):  # another duet was quicker
                building.path.rename(folder)
        finally:
            building.remove()
        _thin_out(cache)
    with suppress(OSError):
        os.utime(folder)
    tree = folder / "tree"
    return tree, folder / "package" if is_packaged(tree) else tree


def _install(asked: Asked, tree: Path, package: Path, python: str) -> None:
    try:
        install_beside(tree, package, python=python)
    except RequestError as error:
        raise RequestError(f"{asked.label} {asked.revision}: does not install: {error}") from error


def _thin_out(cache: Path) -> None:
    """Keeps the builds that were used last."""
    builds = sorted((each for each in cache.iterdir() if not each.name.startswith(".")), key=_used)
    for old in builds[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _used(build: Path) -> float:
    with suppress(OSError):
        return build.stat().st_mtime
    return 0.0


def _packages(folder: Path) -> tuple[str, ...]:
    """What can be imported from a folder, by its top-level name."""
    found = set()
    for each in folder.iterdir():
        ours = each.name.startswith((".", "_")) or each.name.endswith(NOT_PACKAGES)
        if ours or each.name.partition(".")[0] in SUITES:
            continue
        if each.is_dir() and any(each.glob("*.py")):
            found.add(each.name)
        elif each.suffix in {".py", ".so"}:
            found.add(each.name.partition(".")[0])
    return tuple(sorted(found))
