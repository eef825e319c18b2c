"""A suite over commits in the present environment: which commands asv gets, in which order, with which package."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from int8bench.errors import RequestError
from int8bench.tracking import asv_process


def _git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *who, "-C", str(folder), *arguments), capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A repository of three commits with a configuration and one module."""
    _git(tmp_path, "init", "--quiet", "repository")
    top = tmp_path / "repository"
    (top / "asv.conf.json").write_text("{}", encoding="utf-8")
    for number in range(3):
        (top / "module.py").write_text(f"NUMBER = {number}\n", encoding="utf-8")
        _git(top, "add", ".")
        _git(top, "commit", "--quiet", "-m", str(number))
    return top


class FakeAsv:
    """Keeps what it is asked, and the module that it would find first."""

    def __init__(self, codes: Sequence[int] = (0, 0, 0, 0)) -> None:
        """Will answer with these exit codes."""
        self.codes = list(codes)
        self.asked: list[tuple[str, ...]] = []
        self.modules: list[str] = []
        self.environments: list[Mapping[str, str]] = []

    def __call__(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        """One call of asv."""
        self.asked.append(tuple(arguments))
        self.environments.append(environment)
        if "ASV_PYTHONPATH" in environment:
            self.modules.append((Path(environment["ASV_PYTHONPATH"]) / "module.py").read_text(encoding="utf-8"))
        return self.codes.pop(0)


def _measured(suite: Path, name: str, asv: FakeAsv, *arguments: str) -> tuple[int, list[str]]:
    notes: list[str] = []
    return asv_process.measure(name, folder=suite, arguments=arguments, note=notes.append, asv=asv), notes


def test_each_commit_is_run_with_its_own_package(suite: Path) -> None:
    """The machine is described first, without questions; then commit after commit, oldest first."""
    asv = FakeAsv()
    code, notes = _measured(suite, "HEAD~2..HEAD", asv, "--quick")
    hashes = _git(suite, "rev-list", "--reverse", "HEAD~2..HEAD").split()
    assert code == 0
    assert asv.asked[0] == ("machine", "--yes")
    assert [(each[4], each[-1]) for each in asv.asked[1:]] == [(commit, "--quick") for commit in hashes]
    assert all(each[:3] == ("run", "-E", asv.asked[1][2]) and each[3] == "--set-commit-hash" for each in asv.asked[1:])
    assert asv.modules == ["NUMBER = 1\n", "NUMBER = 2\n"]
    assert len(notes) == 2


def test_asv_and_its_processes_know_the_commit_and_the_settings(suite: Path) -> None:
    """In an existing environment asv tells its processes nothing, so they are told here what the side file needs."""
    asv = FakeAsv()
    _measured(suite, "HEAD", asv)
    environment = asv.environments[1]
    assert environment["ASV_COMMIT"] == _git(suite, "rev-parse", "HEAD")
    assert environment["ASV_CONF_DIR"] == str(suite.resolve())
    assert environment["ASV_ENV_NAME"].startswith("existing-py")
    assert environment["MALLOC_MMAP_THRESHOLD_"] == str(1 << 30)
    assert environment["PATH"] == os.environ["PATH"]


def test_the_worst_exit_code_is_told_and_the_others_go_on(suite: Path) -> None:
    """A failed benchmark in one commit does not stop the next."""
    asv = FakeAsv(codes=(0, 2, 0))
    code, _ = _measured(suite, "HEAD~2..HEAD", asv)
    assert code == 2
    assert len(asv.asked) == 3


def test_a_dirty_tree_is_told(suite: Path) -> None:
    """The suite comes from the working tree and the package from the commit: whoever has changes should know."""
    (suite / "module.py").write_text("NUMBER = 9\n", encoding="utf-8")
    asv = FakeAsv()
    _, notes = _measured(suite, "HEAD", asv)
    assert "the working tree has changes" in notes[0]
    assert asv.modules == ["NUMBER = 2\n"]


def test_nothing_is_left_behind(suite: Path) -> None:
    """Neither a worktree nor the scratch folder."""
    asv = FakeAsv()
    _measured(suite, "HEAD", asv)
    assert not Path(asv.environments[1]["ASV_PYTHONPATH"]).exists()
    assert len(_git(suite, "worktree", "list").splitlines()) == 1


def test_no_suite_here_is_a_sentence(tmp_path: Path) -> None:
    """It says what to type."""
    with pytest.raises(RequestError, match="int8bench init"):
        _measured(tmp_path, "HEAD", FakeAsv())


def test_an_unknown_commit_is_a_sentence_before_anything_runs(suite: Path) -> None:
    """Not even the machine is described."""
    asv = FakeAsv()
    with pytest.raises(RequestError, match="no such commit"):
        _measured(suite, "nosuch", asv)
    assert asv.asked == []
