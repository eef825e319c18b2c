"""A side: a git revision, a Python environment, or one in the other; its package first on the path of an interpreter.

What is built of a revision is kept in the cache, by its commit: the tree, and its package installed without its
dependencies. The repository and the environment of the person are read only, and nothing is left in them.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath

from int8bench import cache as kept
from int8bench import files
from int8bench.compare.revisions.packages import TOP, Choice
from int8bench.compare.revisions.revisions import Overlay, Repository, choice_of, install_beside
from int8bench.documents import Json
from int8bench.errors import RequestError
from int8bench.lab.peers import Place

MOST_KEPT = 40  # builds in the cache; the oldest go
BUILDING = ".building-"
OVERLAY = "overlay.json"  # beside a build: what can be imported from it, in paths that begin at the build
ASK = "import sys; print('tag', sys.implementation.cache_tag)"  # such as cpython-311: compiled parts fit one alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person typed for a side; None where it was not given."""

    label: str
    revision: str | None
    python: str | None
    near: PurePosixPath = TOP
    """The folder of the tree whose package is measured."""
    ignored: tuple[str, ...] = ()
    """Modules that measure, beside those that are called as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePython:
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
    failed: tuple[str, ...] = ()
    """Packages of the revision that do not install, and are the environment's where they are imported."""

    @property
    def title(self) -> str:
        """The name that a person reads."""
        where = self.commit[:12] if self.commit else None
        return where if where and self.python == sys.executable else f"{where or 'installed'} in {self.python}"

    def place(self, folder: Path) -> Place:
        """Return the place in which the side's launches are started, for a suite in that folder."""
        return Place(
            label=self.label,
            python=self.python,
            path=self.path,
            folder=str(folder),
            packages=self.packages,
            is_revision=self.tree is not None,
        )

    def to_dict(self) -> dict[str, Json]:
        """Return the side as a record keeps it."""
        return {"commit": self.commit, "python": self.python, "packages": list(self.packages)}


def prepared(asked: Asked, repository: Repository | None, cache: Path) -> Side:
    """Return a side that is ready to be measured, built where it is not in the cache yet.

    Args:
        asked: what was typed for the side.
        repository: that its revision is of; None where neither side is a revision.
        cache: the folder of all builds.

    Raises:
        RequestError: no such revision or interpreter, or the revision does not install.
    """
    python = _interpreter(asked)
    if asked.revision is None:
        return Side(label=asked.label, commit=None, python=python.path, path=(), packages=(), tree=None)
    assert repository is not None
    commit = repository.commit(asked.revision)
    choice = choice_of(repository, commit, near=asked.near, python=python.path)
    tree, overlay = _built(asked, repository, commit, python, choice, cache)
    return Side(
        label=asked.label,
        commit=commit,
        python=python.path,
        path=overlay.path,
        packages=overlay.packages,
        tree=tree,
        failed=overlay.failed,
    )


def suite_folder(side: Side, repository: Repository | None, here: Path) -> Path:
    """Return the folder of a side's suite: the folder that the person is in, in the side's tree.

    Args:
        side: ready to be measured.
        repository: that the revisions are of; None where neither side is one.
        here: the folder that the person is in; the answer itself where it is outside of the repository.

    Raises:
        RequestError: the side's revision has no such folder.
    """
    if side.tree is None or repository is None or not here.resolve().is_relative_to(repository.top.resolve()):
        return here  # a suite in a repository of its own is the same for both
    folder = side.tree / here.resolve().relative_to(repository.top.resolve())
    if not folder.is_dir():
        raise RequestError(f"{side.title}: has no folder {here.name}; change to one that it has, or give --benchmarks")
    return folder


def _interpreter(asked: Asked) -> SidePython:
    """Return the interpreter that was asked for, or this one.

    Raises:
        RequestError: it does not start, or is too old.
    """
    if asked.python is None:
        return SidePython(path=sys.executable, tag=str(sys.implementation.cache_tag))
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
    return SidePython(path=path, tag=tag)


def _built(
    asked: Asked, repository: Repository, commit: str, python: SidePython, choice: Choice, cache: Path
) -> tuple[Path, Overlay]:
    """Return the tree of a commit and its packages, from the cache or built into it.

    Raises:
        RequestError: the commit does not install; nothing of it is kept.
    """
    depends = f"{repository.top.resolve()} {python.path} {python.tag} {asked.near} {asked.ignored} {choice}"
    folder = cache / f"{commit[:16]}-{hashlib.sha256(depends.encode()).hexdigest()[:8]}"
    if not kept.hold(folder):
        cache.mkdir(parents=True, exist_ok=True)
        building = files.scratch_folder(cache, BUILDING)
        try:
            tree = repository.lay_out(commit, building.path / "tree")
            overlay = _installed(asked, tree, building.path / "packages", python.path, choice)
            _keep(overlay, building.path)
            with suppress(OSError):  # another duet was quicker
                building.path.rename(folder)
        finally:
            building.remove()
        kept.hold(folder)
        _thin_out(cache)
    return folder / "tree", _kept(folder)


def _installed(asked: Asked, tree: Path, packages: Path, python: str, choice: Choice) -> Overlay:
    try:
        return install_beside(tree, packages, choice, near=asked.near, python=python, ignored=asked.ignored)
    except RequestError as error:
        raise RequestError(f"{asked.label} {asked.revision}: does not install: {error}") from error


def _keep(overlay: Overlay, build: Path) -> None:
    """Write the description of a build that is about to move, with paths that begin where the build begins."""
    moving = replace(overlay, path=tuple(str(Path(each).relative_to(build)) for each in overlay.path))
    files.write_text(build / OVERLAY, json.dumps(asdict(moving)))


def _kept(build: Path) -> Overlay:
    overlays = {name: tuple(each) for name, each in json.loads((build / OVERLAY).read_text(encoding="utf-8")).items()}
    return replace(Overlay(**overlays), path=tuple(str(build / each) for each in overlays["path"]))


def _thin_out(cache: Path) -> None:
    """Remove the builds that were used longest ago, and none in use."""
    builds = sorted((each for each in cache.iterdir() if not each.name.startswith(".")), key=_used)
    for old in builds[:-MOST_KEPT]:
        kept.remove(old)


def _used(build: Path) -> float:
    with suppress(OSError):
        return build.stat().st_mtime
    return 0.0
