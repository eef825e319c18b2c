"""Folders that go with their process: a killed one's are removed when the next is made, and nobody else's."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from int8bench import files

MAKES = """
import sys
from pathlib import Path
from int8bench import files
made = files.scratch_folder(Path(sys.argv[1]), "toy-")
(made.path / "deep" / "er").mkdir(parents=True)
print(made.path, flush=True)
sys.stdin.read()
"""


def _maker(folder: Path) -> "tuple[subprocess.Popen[str], Path]":
    """Another process that has made a folder and holds it."""
    process = subprocess.Popen(
        [sys.executable, "-c", MAKES, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_a_folder_is_new_and_goes(tmp_path: Path) -> None:
    """Each has a name of its own; what lies in it goes with it."""
    first, second = (files.scratch_folder(tmp_path, "toy-") for _ in range(2))
    (first.path / "file").write_text("x", encoding="utf-8")
    assert {each.name[:4] for each in tmp_path.iterdir()} == {"toy-"}
    first.remove()
    assert list(tmp_path.iterdir()) == [second.path]
    second.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """While it lives it is left alone; files of other names always are."""
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "toy-file").write_text("no folder", encoding="utf-8")
    process, folder = _maker(tmp_path)
    with process:
        files.scratch_folder(tmp_path, "toy-").remove()
        assert (folder / "deep" / "er").is_dir()
        process.kill()
    files.scratch_folder(tmp_path, "toy-").remove()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["other", "toy-file"]


def test_a_link_to_somewhere_else_is_not_followed(tmp_path: Path) -> None:
    """What it points to is somebody's."""
    (tmp_path / "precious" / "thing").mkdir(parents=True)
    (tmp_path / "toy-link").symlink_to(tmp_path / "precious")
    files.sweep(tmp_path, "toy-")
    assert (tmp_path / "precious" / "thing").is_dir()


def test_a_folder_that_was_moved_away_stays(tmp_path: Path) -> None:
    """What is built aside and then put in its place is no longer scratch."""
    made = files.scratch_folder(tmp_path, "toy-")
    made.path.rename(tmp_path / "kept")
    made.remove()
    assert (tmp_path / "kept").is_dir()


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none: folders are made all the same, and none is taken for a left one."""

    def refuse(*_: object) -> None:
        raise OSError(fcntl.LOCK_EX, "no locks here")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    made = files.scratch_folder(tmp_path, "toy-")
    files.sweep(tmp_path, "toy-")
    assert made.path.is_dir()
    made.remove()
    assert not made.path.exists()


def test_a_folder_that_is_swept_before_it_is_held_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may come between; nobody is given a folder that is gone."""
    lock, swept = files.fcntl.flock, []

    def late(descriptor: int, how: int) -> None:
        if not swept:
            swept.append(next(tmp_path.glob("toy-*")))
            swept[0].rmdir()
        lock(descriptor, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    made = files.scratch_folder(tmp_path, "toy-")
    assert made.path.is_dir()
    assert made.path != swept[0]
    made.remove()


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Hundreds of launches are started in one process."""
    before = os.dup(0)  # the lowest number that is free
    os.close(before)
    for _ in range(5):
        made = files.scratch_folder(tmp_path, "toy-")
        files.sweep(tmp_path, "toy-")
        made.remove()
    after = os.dup(0)
    os.close(after)
    assert after == before
