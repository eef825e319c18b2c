"""A commit of a git repository, its tree, and its package installed beside the present environment.

The repository itself is only read: trees are laid out in clones that share its objects, so that nothing of ours is
left in it, whatever ends this process.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from int8bench.errors import RequestError

PACKAGED = ("pyproject.toml", "setup.py")
LAST_LINES = 300  # characters of a failed command's last line that are worth telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository by its top folder."""

    top: Path

    @classmethod
    def around(cls, folder: Path) -> "Repository":
        """The repository that a folder is part of.

        Raises:
            RequestError: the folder is in none.
        """
        found = _git(folder, "rev-parse", "--show-toplevel")
        if found is None:
            raise RequestError(f"{folder}: not in a git repository; change into one, or type git init")
        return cls(top=Path(found))

    def commit(self, name: str) -> str:
        """The full hash of a commit.

        Raises:
            RequestError: there is no such commit here.
        """
        found = _git(self.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
        if found is None:
            raise RequestError(f"{name}: no such commit in {self.top}{self._shallow_hint()}; see git log --oneline")
        return found

    def commits(self, name: str) -> tuple[str, ...]:
        """The commits of a range such as ``HEAD~3..HEAD``, oldest first; of a name, that commit alone.

        Raises:
            RequestError: no such range, or it is empty.
        """
        if ".." not in name:
            return (self.commit(name),)
        found = _git(self.top, "rev-list", "--reverse", "--first-parent", "--end-of-options", name)
        if not found:
            raise RequestError(f"{name}: no commits in this range{self._shallow_hint()}; try HEAD~3..HEAD")
        return tuple(found.split())

    def is_dirty(self) -> bool:
        """Whether tracked files differ from the last commit."""
        return bool(_git(self.top, "status", "--porcelain", "--untracked-files=no"))

    def lay_out(self, commit: str, folder: Path) -> Path:
        """The tree of a commit, in a clone of its own at `folder`.

        Raises:
            RequestError: git could not do it.
        """
        _run("git", "clone", "--quiet", "--shared", "--no-checkout", str(self.top), str(folder))
        _run("git", "-C", str(folder), "checkout", "--quiet", "--detach", commit)
        return folder

    def _shallow_hint(self) -> str:
        shallow = _git(self.top, "rev-parse", "--is-shallow-repository") == "true"
        return ", which is a shallow clone (git fetch --unshallow brings the rest)" if shallow else ""


def is_packaged(tree: Path) -> bool:
    """Whether a tree has a package that pip installs."""
    return any((tree / name).exists() for name in PACKAGED)


def install_beside(tree: Path, overlay: Path, *, python: str = sys.executable) -> Path:
    """A folder to put before all others on the path: the tree's package without its dependencies, or the tree itself.

    Raises:
        RequestError: the package of this commit does not install.
    """
    if not is_packaged(tree):
        return tree
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps")
    where = ("--target", str(overlay), str(tree))
    try:
        _run(*pip, "--no-build-isolation", *where)  # as quick as can be, where the build backend is installed here
    except RequestError:
        _run(*pip, *where)
    return overlay


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, without the line end; None where it fails."""
    try:
        done = subprocess.run(("git", "-C", str(folder), *arguments), capture_output=True, text=True, check=False)
    except OSError as error:
        raise RequestError(f"git cannot be started: {error.strerror}; install it") from error
    return done.stdout.strip() if done.returncode == 0 else None


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RequestError(f"{' '.join(command[:4])} ... failed: {_reason(done.stderr)[:LAST_LINES]}")


def _reason(told: str) -> str:
    """The last line that says something: of a build that pip quotes, the build's own; no note on what to do with it."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    quoted = [i for i, line in enumerate(lines) if line.endswith("[end of output]")]
    if quoted and quoted[-1]:
        lines = lines[: quoted[-1]]
    said = [line for line in lines if not line.startswith(("note: ", "hint: "))]
    return (said or lines or ["no message"])[-1].lstrip("│ ")
