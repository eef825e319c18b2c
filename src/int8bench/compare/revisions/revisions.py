"""A commit of a git repository, its tree, and its package installed beside the present environment.

The repository itself is only read: trees are laid out in clones that share its objects, so that nothing of ours is
left in it, whatever ends this process.
"""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from int8bench.compare.revisions.packages import (
    SUITES,
    TOP,
    Choice,
    Package,
    bare_folders,
    chosen,
    describing,
    importable,
    normalized,
    packages_of,
)
from int8bench.errors import RequestError

# What a Python has installed, a name a line; and its path, without the folders of the environment itself.
INSTALLED = (
    "import importlib.metadata as m; print(*{d.metadata['Name'] for d in m.distributions()} - {None}, sep='\\n')"
)
ON_PATH = "import os, sys; print(*(p for p in sys.path if not p.startswith(sys.prefix + os.sep)), sep='\\n')"
LAST_LINES = 300  # characters of a failed command's last line that are worth telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository by its top folder."""

    top: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        """Return the repository that a folder is part of.

        Raises:
            RequestError: the folder is in none.
        """
        top = _git(folder, "rev-parse", "--show-toplevel")
        if top is None:
            raise RequestError(f"{folder}: not in a git repository; change into one, or type git init")
        return cls(top=Path(top))

    def commit(self, name: str) -> str:
        """Return the full hash of a commit.

        Raises:
            RequestError: there is no such commit here.
        """
        answer = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if answer is None:
            raise RequestError(f"{name}: no such commit in {self.top}{self._shallow_hint()}; see git log --oneline")
        return answer

    def commits(self, name: str) -> tuple[str, ...]:
        """Return the commits of a range such as ``HEAD~3..HEAD``, oldest first; of a name, that commit alone.

        Raises:
            RequestError: no such range, or it is empty.
        """
        if ".." not in name:
            return (self.commit(name),)
        answer = _git(self.top, "rev-list", "--reverse", "--first-parent", "--end-of-options", name)
        if not answer:
            raise RequestError(f"{name}: no commits in this range{self._shallow_hint()}; try HEAD~3..HEAD")
        return tuple(answer.split())

    def is_dirty(self) -> bool:
        """Tell whether tracked files differ from the last commit."""
        return bool(_git(self.top, "status", "--porcelain", "--untracked-files=no"))

    def files(self, commit: str) -> tuple[str, ...]:
        """Return the files of a commit, by their paths from its top."""
        answer = _git(self.top, "ls-tree", "-r", "-z", "--name-only", "--full-tree", commit)
        return tuple(name for name in (answer or "").split("\0") if name)

    def read(self, commit: str, name: str) -> str:
        """Return the text of a file of a commit, without the bytes that are no text.

        Args:
            commit: its hash.
            name: the file's path from the tree's top.
        """
        answer = subprocess.run(
            ("git", "-C", str(self.top), "show", f"{commit}:{name}"), capture_output=True, check=False
        )
        return answer.stdout.decode(errors="ignore")

    def lay_out(self, commit: str, folder: Path) -> Path:
        """Return the tree of a commit, laid out in a clone of its own.

        Args:
            commit: its hash.
            folder: of the clone, which is made now.

        Raises:
            RequestError: git could not do it.
        """
        _run("git", "clone", "--quiet", "--shared", "--no-checkout", str(self.top), str(folder))
        _run("git", "-C", str(folder), "checkout", "--quiet", "--detach", commit)
        return folder

    def _shallow_hint(self) -> str:
        shallow = _git(self.top, "rev-parse", "--is-shallow-repository") == "true"
        return ", which is a shallow clone (git fetch --unshallow brings the rest)" if shallow else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """A revision's own packages, ready to be found before all others."""

    path: tuple[str, ...]
    """Folders to put first on the path."""
    packages: tuple[str, ...]
    """What can be imported from them."""
    failed: tuple[str, ...]
    """What else of the repository does not install, a sentence each; where it is imported, it is the environment's."""


def installed_in(python: str) -> frozenset[str]:
    """Return the distributions that an interpreter has, by their normalized names."""
    return frozenset(normalized(name) for name in _told_by(python, INSTALLED))


def on_path(python: str, top: Path) -> tuple[PurePosixPath, ...]:
    """Return the folders of a working tree on an interpreter's path, by their places in the tree.

    A PYTHONPATH puts them there, for example.

    Args:
        python: the interpreter.
        top: of the working tree.
    """
    folders = [Path(each).resolve() for each in _told_by(python, ON_PATH)]
    above = top.resolve()
    return tuple(PurePosixPath(folder.relative_to(above)) for folder in folders if folder.is_relative_to(above))


def choice_of(repository: Repository, commit: str, *, near: PurePosixPath, python: str) -> Choice:
    """Return the choice of a commit's packages for a folder of its tree and an interpreter.

    Args:
        repository: that the commit is of.
        commit: its hash.
        near: the folder that is measured from, by its place in the tree.
        python: the interpreter, whose distributions and path count.
    """
    texts = {name: repository.read(commit, name) for name in describing(repository.files(commit))}
    return chosen(
        packages_of(texts), near=near, installed=installed_in(python), on_path=on_path(python, repository.top)
    )


def install_beside(
    tree: Path,
    target: Path,
    choice: Choice,
    *,
    near: PurePosixPath = TOP,
    python: str = sys.executable,
    ignored: Iterable[str] = (),
) -> Overlay:
    """Install the chosen packages of a tree without their dependencies, each into a folder of its own in `target`.

    A package on top that holds no module, as that of a repository of several, stands for all others.

    Args:
        tree: of the commit.
        target: where installed packages go; made where something is installed.
        choice: which packages.
        near: the folder that is measured from.
        python: installs, and what is installed fits it.
        ignored: modules that measure, and are not measured.

    Raises:
        RequestError: the nearest package of this commit does not install.
    """
    names = SUITES | set(ignored)
    path: list[str] = []
    failed: list[str] = []
    if choice.nearest is not None:
        path += _path_of(tree, target / "0", choice.nearest, python, failed, needed=choice.nearest.builds)
    holds = any(importable(Path(each), ignored=names) for each in path)
    spare = () if holds or choice.others else choice.unused
    for number, package in enumerate((*choice.others, *choice.needed, *spare), 1):
        path += _path_of(tree, target / str(number), package, python, failed, needed=False)
    names_there = {name for each in path for name in importable(Path(each), ignored=names)}
    if choice.nearest is None or not names_there:
        bare = {tree / each: importable(tree / each, ignored=names, is_built=False) for each in bare_folders(near)}
        path += [str(each) for each, holding in bare.items() if holding]
        names_there |= {name for holding in bare.values() for name in holding}
    return Overlay(path=tuple(path) or (str(tree),), packages=tuple(sorted(names_there)), failed=tuple(failed))


def _path_of(
    tree: Path, target: Path, package: Package, python: str, failed: list[str], *, needed: bool
) -> tuple[str, ...]:
    """Return the folder that a package is installed into, alone; nothing where it does not install, and need not.

    The failure is then added to `failed`, in a sentence.
    """
    try:
        return (str(_installed(tree, target, package, python)),)
    except RequestError as error:
        if needed:
            raise
        failed.append(f"{package.folder}: does not install: {error}")
        return ()


def _installed(tree: Path, target: Path, package: Package, python: str) -> Path:
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    where = ("--target", str(target), str(tree / package.folder))
    try:
        _run(*pip, "--no-build-isolation", *where)  # as quick as can be, where the build backend is installed here
    except RequestError:
        _run(*pip, *where)
    target.mkdir(parents=True, exist_ok=True)  # pip makes none for a package that holds nothing
    return target


def _told_by(python: str, program: str) -> list[str]:
    done = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if line]


def _git(folder: Path, *arguments: str) -> str | None:
    """Return the answer of git without the line end; None where git fails."""
    try:
        done = subprocess.run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, check=False)
    except OSError as error:
        raise RequestError(f"git cannot be started: {error.strerror}; install it") from error
    return done.stdout.strip() if done.returncode == 0 else None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RequestError(f"{' '.join(command[:4])} ... failed: {_reason(done.stderr)[:LAST_LINES]}")


def _reason(output: str) -> str:
    """Return the last line with a message; of a build that pip quotes, the build's own, and no note by pip on it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    quoted = [i for i, line in enumerate(lines) if line.endswith("[end of output]")]
    if quoted and quoted[-1]:
        lines = lines[: quoted[-1]]
    said = [line for line in lines if not line.startswith(("note: ", "hint: "))]
    return (said or lines or ["no message"])[-1].lstrip("│ ")
