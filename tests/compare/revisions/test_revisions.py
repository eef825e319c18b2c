"""Commits of a scratch repository: found by name, laid out, installed beside; nothing is left in the repository."""

import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path, PurePosixPath

import pytest
import wheels

from int8bench.compare.revisions.packages import DESCRIBING, TOP, chosen, packages_of
from int8bench.compare.revisions.revisions import Overlay, Repository, choice_of, install_beside, on_path
from int8bench.errors import RequestError

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "scratchpkg"
version = "{version}"
[tool.hatch.build.targets.wheel]
packages = ["src/scratchpkg"]
"""


def git(folder: Path, *arguments: str) -> str:
    """Git in a folder, as somebody."""
    who = ("-c", "user.name=A", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *who, "-C", str(folder), *arguments), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Three commits of a package whose number is the commit's."""
    top = tmp_path / "repository"
    (top / "src/scratchpkg").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", str(top))
    for number in range(3):
        (top / "pyproject.toml").write_text(PYPROJECT.format(version=f"0.{number}"), encoding="utf-8")
        (top / "src/scratchpkg/__init__.py").write_text(f"NUMBER = {number}\n", encoding="utf-8")
        git(top, "add", ".")
        git(top, "commit", "--quiet", "-m", f"number {number}")
    return Repository.around(top / "src")


def test_a_repository_is_found_from_within(repository: Repository) -> None:
    """Any folder of it leads to its top."""
    assert repository.top.name == "repository"


def test_outside_of_a_repository_is_a_sentence(tmp_path: Path) -> None:
    """It says what to type."""
    with pytest.raises(RequestError, match="git init"):
        Repository.around(tmp_path)


def test_names_and_ranges_are_commits_oldest_first(repository: Repository) -> None:
    """A range leaves its start out, as git does."""
    hashes = git(repository.top, "rev-list", "--reverse", "HEAD").split()
    assert repository.commit("HEAD~1") == hashes[1]
    assert repository.commits("HEAD~2..HEAD") == tuple(hashes[1:])
    assert repository.commits(hashes[0][:8]) == (hashes[0],)


@pytest.mark.parametrize("name", ["nosuch", "HEAD~9", "-x", "HEAD..HEAD", "nosuch..HEAD", ""])
def test_an_unknown_commit_is_a_sentence(repository: Repository, name: str) -> None:
    """It names what was given, also where it looks like an option."""
    with pytest.raises(RequestError, match=r"no such commit|no commits in this range"):
        repository.commits(name)


def test_a_shallow_clone_without_the_commit_says_so(repository: Repository, tmp_path: Path) -> None:
    """It says how to get the rest."""
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository.top}", "shallow")
    with pytest.raises(RequestError, match="git fetch --unshallow"):
        Repository.around(tmp_path / "shallow").commit("HEAD~1")


def test_changes_of_tracked_files_are_dirt(repository: Repository) -> None:
    """New files are not."""
    (repository.top / "notes.txt").write_text("x", encoding="utf-8")
    assert not repository.is_dirty()
    (repository.top / "pyproject.toml").write_text("", encoding="utf-8")
    assert repository.is_dirty()


def test_a_tree_is_laid_out_and_the_repository_is_only_read(repository: Repository, tmp_path: Path) -> None:
    """The tree is the commit's, and no worktree or branch is left behind."""
    tree = repository.lay_out(repository.commit("HEAD~2"), tmp_path / "tree")
    assert (tree / "src/scratchpkg/__init__.py").read_text(encoding="utf-8") == "NUMBER = 0\n"
    assert len(git(repository.top, "worktree", "list").splitlines()) == 1
    assert git(repository.top, "status", "--porcelain") == ""
    assert git(repository.top, "branch", "--list").count("\n") == 0


def test_a_package_is_installed_beside_and_found_first(repository: Repository, tmp_path: Path) -> None:
    """The overlay holds that commit's package."""
    tree = repository.lay_out(repository.commit("HEAD~1"), tmp_path / "tree")
    choice = choice_of(repository, "HEAD~1", near=TOP, python=sys.executable)
    (overlay,) = install_beside(tree, tmp_path / "overlay", choice).path
    assert _number(overlay) == "1"


def test_a_package_that_does_not_install_is_a_sentence(repository: Repository, tmp_path: Path) -> None:
    """It has pip's last words."""
    tree = repository.lay_out(repository.commit("HEAD"), tmp_path / "tree")
    (tree / "pyproject.toml").write_text("[build-system\n", encoding="utf-8")
    choice = choice_of(repository, "HEAD", near=TOP, python=sys.executable)
    with pytest.raises(RequestError, match=r"pip install .* failed"):
        install_beside(tree, tmp_path / "overlay", choice)


def _tree(folder: Path, *files: str) -> Path:
    """Files of a tree; a pyproject.toml builds what lies beside it, under the name of its folder."""
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("", encoding="utf-8")
        if path.name == "pyproject.toml":
            path.write_text(wheels.PYPROJECT.replace("toy", path.parent.name), encoding="utf-8")
            (path.parent / "backend.py").write_text(wheels.BACKEND, encoding="utf-8")
    return folder


def _overlay(tree: Path, near: str, installed: Collection[str], target: Path) -> Overlay:
    """What is laid beside the environment, seen from a folder."""
    texts = {
        str(path.relative_to(tree)): path.read_text(encoding="utf-8")
        for path in tree.rglob("*")
        if path.name in DESCRIBING
    }
    place = PurePosixPath(near)
    return install_beside(tree, target, chosen(packages_of(texts), near=place, installed=installed), near=place)


TWO = ("one/pyproject.toml", "one/src/one/__init__.py", "two/pyproject.toml", "two/src/two/__init__.py")


@pytest.mark.parametrize(
    ("files", "near", "installed", "packages"),
    [
        (TWO, "one/benchmarks", (), ("one",)),
        (TWO, "one", ("two",), ("one", "two")),
        (TWO, ".", ("two",), ("one", "two")),  # as it lies in the tree
        (TWO, ".", (), ("one", "two")),
        (("pkg.py", "src/inner/__init__.py", "benchmarks/b.py", "tests/test_x.py"), ".", (), ("inner", "pkg")),
        (("sub/src/inner/__init__.py", "sub/perf/b.py"), "sub/perf", (), ("b", "inner", "perf")),
        (("python/pyproject.toml", "python/src/python/__init__.py"), "benchmarks", (), ("python",)),
    ],
)
def test_a_revisions_own_package_is_found(
    tmp_path: Path, files: Sequence[str], near: str, installed: Collection[str], packages: tuple[str, ...]
) -> None:
    """The nearest above; what else of the repository is installed; without packages, whatever lies there."""
    tree = _tree(tmp_path / "tree", *files)
    found = _overlay(tree, near, installed, tmp_path / "packages")
    assert found.packages == packages
    assert all(Path(each).is_dir() for each in found.path)


def test_a_package_that_holds_nothing_stands_for_the_others(tmp_path: Path) -> None:
    """As one on top of a repository of several; what is not in the environment counts only where nothing else is."""
    tree = _tree(tmp_path / "tree", *TWO)
    (tree / "pyproject.toml").write_text(wheels.PYPROJECT.replace("toy", "meta"), encoding="utf-8")
    (tree / "backend.py").write_text(wheels.BACKEND.replace('"src" if', '"none" if True or'), encoding="utf-8")
    assert _overlay(tree, "benchmarks", ("two",), tmp_path / "a").packages == ("two",)
    assert _overlay(tree, "benchmarks", (), tmp_path / "b").packages == ("one", "two")


def test_what_else_does_not_install_is_told(tmp_path: Path) -> None:
    """It is not the package that is measured, but what is measured may use it."""
    tree = _tree(tmp_path / "tree", *TWO)
    (tree / "two/pyproject.toml").write_text("[project]\nname = 'two'\n[build-system]\nrequires = 3", encoding="utf-8")
    found = _overlay(tree, "one", ("two",), tmp_path / "packages")
    assert found.packages == ("one",)
    assert len(found.failed) == 1
    assert found.failed[0].startswith("two: does not install: ")


def test_folders_of_the_working_tree_on_the_path_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for those of an environment that lies in the tree."""
    inside = tmp_path / "two/src"
    inside.mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", f"{inside}{os.pathsep}{tmp_path.parent}")
    assert on_path(sys.executable, tmp_path) == (PurePosixPath("two/src"),)
    assert not on_path(sys.executable, Path(sys.prefix))


def _number(path: Path) -> str:
    program = f"import sys; sys.path.insert(0, {str(path)!r}); import scratchpkg; print(scratchpkg.NUMBER)"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
