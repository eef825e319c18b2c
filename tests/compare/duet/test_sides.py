"""Sides: revisions built beside the environment, once a commit, with nothing left in anybody's repository."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from caches import let_go
from wheels import BACKEND, PYPROJECT

from int8bench import files
from int8bench.compare.duet import sides
from int8bench.compare.duet.sides import Asked, Side, prepared, suite_folder
from int8bench.compare.revisions.revisions import Repository
from int8bench.errors import RequestError

BROKEN = "def build_wheel(*_, **__):\n    raise SystemExit('there is no compiler')\n"
WHO = ("-c", "user.name=toy", "-c", "user.email=toy@example.invalid", "-c", "commit.gpgsign=false")
Commit = Callable[..., str]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(("git", *WHO, "-C", folder, *arguments), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository; no package index is asked."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet", "--initial-branch=main")
    return folder


@pytest.fixture
def commit(top: Path) -> Commit:
    """Writes files, None to remove one, and commits them."""

    def committed(**files: str | None) -> str:
        for name, content in files.items():
            path = top / name.replace("__", "/").replace("_py", ".py").replace("_toml", ".toml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if content is None else path.write_text(content, encoding="utf-8")
        _git(top, "add", "--all")
        _git(top, "commit", "--quiet", "--allow-empty", "-m", "a commit")
        return _git(top, "rev-parse", "HEAD")

    return committed


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where builds go; made by whoever builds."""
    return tmp_path / "cache" / "revisions"


@pytest.fixture
def made(top: Path, cache: Path) -> Callable[..., Side]:
    """Prepares a side of the repository."""

    def side(revision: str | None = "HEAD", *, python: str | None = None, label: str = "base") -> Side:
        return prepared(Asked(label=label, revision=revision, python=python), Repository(top=top), cache)

    return side


def _packaged(**files: str) -> dict[str, str]:
    return {"pyproject_toml": PYPROJECT, "backend_py": BACKEND, **files}


def _says(side: Side, program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(side.path)}
    done = subprocess.run(
        [side.python, "-P", "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("place", ["src__toy__init", "toy__init"], ids=["src", "flat"])
def test_each_revision_is_installed_beside_the_environment(
    commit: Commit, made: Callable[..., Side], top: Path, place: str
) -> None:
    """Without its dependencies; each side imports its own, whatever its layout, and the repository is untouched."""
    module = place.replace("init", "part_py")
    first = commit(**_packaged(**{module: "WHICH = 'first'"}))
    second = commit(**{module: "WHICH = 'second'"})
    before = _git(top, "status", "--porcelain", "--ignored"), _git(top, "worktree", "list"), sorted(top.rglob("*"))
    found = {commit: made(commit) for commit in (first, second)}
    assert [_says(side, "import toy.part; print(toy.part.WHICH)") for side in found.values()] == ["first", "second"]
    for name, side in found.items():
        assert side.packages == ("toy",)
        assert side.commit == name
        assert side.title == name[:12]
        assert side.to_dict() == {"commit": name, "python": sys.executable, "packages": ["toy"]}
    after = _git(top, "status", "--porcelain", "--ignored"), _git(top, "worktree", "list"), sorted(top.rglob("*"))
    assert after == before


def test_a_tree_without_a_package_is_the_path_itself(commit: Commit, made: Callable[..., Side]) -> None:
    """What lies on top of it can be imported; what measures is not what is measured."""
    commit(toy_py="X = 1", deep__init_py="", tests__test_x_py="", conftest_py="", data__x_txt="")
    side = made()
    assert side.path == (str(side.tree),)
    assert side.packages == ("deep", "toy")
    assert _says(side, "import toy; print(toy.X)") == "1"


def test_a_revision_is_built_once(
    commit: Commit, made: Callable[..., Side], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever name it is asked for."""
    commit(**_packaged(toy__a_py=""))
    first = made("HEAD")
    monkeypatch.setattr(sides, "install_beside", lambda *_, **__: pytest.fail("built again"))
    assert replace(made("main", label="head"), label="base") == first
    assert len(list(cache.iterdir())) == 1


def test_another_interpreter_has_a_build_of_its_own(
    commit: Commit, made: Callable[..., Side], cache: Path, tmp_path: Path
) -> None:
    """Compiled parts fit one alone."""
    commit(**_packaged(toy__a_py=""))
    other = tmp_path / "python"
    other.symlink_to(sys.executable)
    assert made().title == made(python=sys.executable).title
    assert made(python=str(other)).title.endswith(f" in {other}")
    assert len(list(cache.iterdir())) == 2


def test_a_newer_interpreter_at_the_same_path_has_a_build_of_its_own(
    commit: Commit, made: Callable[..., Side], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compiled for the old one does not fit it."""
    commit(toy_py="")
    made()
    newer = sides.SidePython(path=sys.executable, tag="cpython-399")
    monkeypatch.setattr(sides, "_interpreter", lambda _: newer)
    made()
    assert len(list(cache.iterdir())) == 2


def test_what_does_not_install_leaves_nothing(commit: Commit, made: Callable[..., Side], cache: Path) -> None:
    """One sentence with the side, the revision and why; another revision is not harmed."""
    commit(**_packaged(toy__a_py=""))
    commit(backend_py=BROKEN)
    with pytest.raises(RequestError) as told:
        made("HEAD")
    assert str(told.value).startswith("base HEAD: does not install: ")
    assert str(told.value).endswith(" ... failed: there is no compiler")
    assert list(cache.iterdir()) == []
    assert made("HEAD~1").packages == ("toy",)


@pytest.mark.parametrize("name", ["nowhere", "--help", "HEAD:backend.py", ""])
def test_an_unknown_revision_is_told(commit: Commit, made: Callable[..., Side], name: str) -> None:
    """By its name, with where to look."""
    commit(toy_py="")
    with pytest.raises(RequestError, match=r"no such commit in .*; see git log --oneline"):
        made(name)


def test_a_shallow_clone_says_how_to_get_the_rest(commit: Commit, top: Path, cache: Path, tmp_path: Path) -> None:
    """Base is often what a clone for CI has not."""
    base = commit(toy_py="X = 1")
    commit(toy_py="X = 2")
    _git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{top}", "shallow")
    shallow = Repository(top=tmp_path / "shallow")
    asked = Asked(label="base", revision=base, python=None)
    with pytest.raises(RequestError, match=r"shallow clone \(git fetch --unshallow brings the rest\)"):
        prepared(asked, shallow, cache)
    assert prepared(replace(asked, revision="HEAD"), shallow, cache).packages == ("toy",)


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ("/no/such/python", "cannot be started: No such file or directory"),
        ("/", "cannot be started: Permission denied"),
        ("true", "is no Python of 3.11 or later"),
        ("echo", "is no Python of 3.11 or later"),
        ("false", "is no Python of 3.11 or later"),
    ],
)
def test_what_is_no_interpreter_is_told(made: Callable[..., Side], python: str, sentence: str) -> None:
    """By the option that gave it."""
    with pytest.raises(RequestError) as told:
        made(None, python=python)
    assert str(told.value).startswith(f"--base-python {python}: {sentence}; give the python of an environment")


def test_an_environment_is_measured_as_it_is(made: Callable[..., Side], top: Path) -> None:
    """Nothing is put on its path and nothing needs to be proven; a link stays the link that it is."""
    link = top / "python"
    link.symlink_to(sys.executable)
    side = made(None, python=str(link))
    assert (side.path, side.packages, side.commit, side.tree) == ((), (), None, None)
    assert side.title == f"installed in {link}"
    assert suite_folder(side, None, top) == top


def test_the_suite_lies_where_the_person_is(commit: Commit, made: Callable[..., Side], top: Path) -> None:
    """In the side's tree; a folder that the revision has not is told."""
    commit(part__benchmarks_py="", toy_py="")
    side, repository = made(), Repository(top=top)
    assert side.tree is not None
    assert suite_folder(side, repository, top) == side.tree
    assert suite_folder(side, repository, top / "part") == side.tree / "part"
    (top / "fresh").mkdir()
    with pytest.raises(RequestError, match="has no folder fresh"):
        suite_folder(side, repository, top / "fresh")


def test_the_oldest_builds_go(
    commit: Commit, made: Callable[..., Side], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that were used last stay, by use and not by when they were built."""
    monkeypatch.setattr(sides, "MOST_KEPT", 2)
    commits = [commit(toy_py=f"X = {i}") for i in range(3)]
    for i, name in enumerate(commits[:2]):
        made(name)
        os.utime(next(cache.glob(f"{name[:16]}-*")), (i, i))
    made(commits[0])
    let_go()
    made(commits[2])
    assert {each.name[:16] for each in cache.iterdir()} == {commits[0][:16], commits[2][:16]}


def test_a_build_that_is_in_use_stays(
    commit: Commit, made: Callable[..., Side], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long ago it was begun: a duet that takes an hour does not lose its sides to a shorter one."""
    monkeypatch.setattr(sides, "MOST_KEPT", 1)
    commits = [commit(toy_py=f"X = {i}") for i in range(2)]
    for name in commits:
        made(name)
    assert len(list(cache.iterdir())) == 2


def test_what_a_killed_build_left_is_removed(commit: Commit, made: Callable[..., Side], cache: Path) -> None:
    """Not what another is building now."""
    commit(toy_py="")
    (cache / f"{sides.BUILDING}left" / "tree").mkdir(parents=True)
    other = files.scratch_folder(cache, "x")  # sweeps nothing of the prefix
    busy = files.scratch_folder(cache, "y")
    other.remove()
    busy.path.rename(cache / f"{sides.BUILDING}busy")
    made()
    assert sorted(each.name for each in cache.iterdir() if each.name.startswith(".")) == [f"{sides.BUILDING}busy"]
    busy.remove()


def test_a_suite_in_a_repository_of_its_own_is_the_same_for_both(
    commit: Commit, made: Callable[..., Side], top: Path, tmp_path: Path
) -> None:
    """It lies in no tree of the measured repository."""
    commit(toy_py="")
    (tmp_path / "suite").mkdir()
    assert suite_folder(made(), Repository(top=top), tmp_path / "suite") == tmp_path / "suite"


def test_the_package_is_that_of_the_folder_that_the_person_is_in(commit: Commit, top: Path, cache: Path) -> None:
    """One down, as in a repository of several; from the cache it is found again."""
    package = {"one__pyproject_toml": PYPROJECT, "one__backend_py": BACKEND, "one__toy__part_py": "WHICH = 'one'"}
    commit(**package, README="", scripts__x_py="")
    asked = Asked(label="base", revision="HEAD", python=None, near=PurePosixPath("one/benchmarks"))
    for _ in range(2):
        side = prepared(asked, Repository(top=top), cache)
        assert side.packages == ("toy",)
        assert _says(side, "import toy.part; print(toy.part.WHICH)") == "one"
        assert side.place(top).is_revision
    assert len(list(cache.iterdir())) == 1
