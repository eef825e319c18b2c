"""Fresh interpreters that fork clean processes: what they answer, and every way in which they end."""

import importlib
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lab_tasks
import psutil
import pytest

from int8bench.errors import LabError, SilenceError
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Launch, first_to_answer, launched

POPEN = subprocess.Popen
HELPERS = Path(__file__).parents[1] / "helpers"


@pytest.fixture(autouse=True)
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HELPERS)
    monkeypatch.setenv("PYTHONPATH", str(HELPERS))  # for coordinators that a test starts


@pytest.fixture
def launch() -> Iterator[Launch]:
    """A launch whose state is [3]."""
    with launched((4,), Setup(function=lab_tasks.remember, payload=[3]), settings=ProcessSettings()) as (one,):
        yield one


def test_a_fork_answers_from_the_state_of_its_launch(launch: Launch) -> None:
    """A task gets the state that the setup left, and its own payload."""
    assert launch.index == 4
    assert launch.fork(lab_tasks.add, [4]).result(10) == [3, 4]


def test_a_fork_leaves_its_launch_as_it_was(launch: Launch) -> None:
    """What a task does to the state is gone with its process."""
    assert launch.fork(lab_tasks.spoil, 5).result(10) == [3, 5]
    assert launch.fork(lab_tasks.spoil, 6).result(10) == [3, 6]


def test_a_task_can_be_talked_to(launch: Launch) -> None:
    """Messages go both ways before the result."""
    fork = launch.fork(lab_tasks.talk, None)
    assert fork.heard(list, 10) == [3]
    fork.line.send("go")
    assert fork.result(10) == "go"


def test_two_forks_work_side_by_side(launch: Launch) -> None:
    """Forks of one launch have lines of their own."""
    first, second = (launch.fork(lab_tasks.talk, None) for _ in range(2))
    for fork, word in ((second, "b"), (first, "a")):
        fork.heard(list, 10)
        fork.line.send(word)
    assert first.result(10) == "a"
    assert second.result(10) == "b"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("raise_error", "ValueError: a layer is missing"),
        ("abort", "ended by SIGABRT: terminate called: bad kernel"),
        ("leave", "ended with exit code 7"),
        ("hang", "gave no answer in 1 s and was stopped"),
    ],
)
def test_a_task_that_goes_wrong_is_one_sentence(launch: Launch, task: str, sentence: str) -> None:
    """An exception, a crash, an exit and a hang each say what happened, and the launch goes on."""
    with pytest.raises(LabError, match=sentence):
        launch.fork(getattr(lab_tasks, task), None).result(1 if task == "hang" else 10)
    assert launch.fork(lab_tasks.add, [1]).result(10) == [3, 1]


def test_a_task_that_the_launch_does_not_find_is_one_sentence(
    launch: Launch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its module is imported in the fork, so that the launch goes on without it."""
    (tmp_path / "found_later.py").write_text("def task(_state, _payload, _line): return 1", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LabError, match="No module named 'found_later'"):
        launch.fork(importlib.import_module("found_later").task, None).result(10)
    assert launch.fork(lab_tasks.add, [1]).result(10) == [3, 1]


def test_what_is_not_what_was_waited_for_is_one_sentence(launch: Launch) -> None:
    """A task that speaks out of turn is a fault, not an answer."""
    with pytest.raises(LabError, match=r"sent \[3\], expected int$"):
        launch.fork(lab_tasks.talk, None).heard(int, 10)


def test_a_setup_that_raises_is_one_sentence() -> None:
    """A launch that cannot be set up says why."""
    setup = Setup(function=lab_tasks.refuse, payload="int3")
    with (
        pytest.raises(LabError, match="ValueError: no such thing as int3"),
        launched((0,), setup, settings=ProcessSettings()),
    ):
        pass


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to cores")
def test_a_fork_is_held_to_its_cores(launch: Launch) -> None:
    """Affinity is set in the fork, not in the launch."""
    core = min(os.sched_getaffinity(0))
    assert launch.fork(lab_tasks.cores, None, cores=(core,)).result(10) == [core]
    assert launch.fork(lab_tasks.cores, None).result(10) == sorted(os.sched_getaffinity(0))


def test_settings_are_there_when_the_process_starts(launch: Launch) -> None:
    """The allocator and OpenMP read their variables at start, so that is when they are set."""
    assert launch.fork(lab_tasks.environment, "GOMP_SPINCOUNT").result(10) == "10000"


def test_a_launch_finds_modules_where_its_coordinator_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that was added at run time, as asv does, counts; the current folder, which was not, does not."""
    (tmp_path / "added").mkdir()
    (tmp_path / "added/somewhere.py").write_text("def name(_state, _payload, _line): return __name__", encoding="utf-8")
    (tmp_path / "lab_tasks.py").write_text("raise ImportError('the wrong one')", encoding="utf-8")
    monkeypatch.syspath_prepend(HELPERS)
    monkeypatch.syspath_prepend(tmp_path / "added")
    monkeypatch.chdir(tmp_path)
    with launched((0,), Setup(function=lab_tasks.remember, payload=1), settings=ProcessSettings()) as (one,):
        assert one.fork(importlib.import_module("somewhere").name, None).result(10) == "somewhere"


def test_all_processes_end_with_the_block() -> None:
    """Nothing is left behind, not even a fork at work."""
    setup = Setup(function=lab_tasks.remember, payload=None)
    with launched((0, 1, 2), setup, settings=ProcessSettings()) as launches:
        pids = [launch.fork(lab_tasks.pid, None).result(10) for launch in launches]
        hanging = launches[0].fork(lab_tasks.hang, None)
        assert psutil.pid_exists(hanging.pid)
    _wait_until_gone([hanging.pid, *pids])


def test_a_start_that_fails_ends_those_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may start one process and refuse the next: that is a sentence, and the first one is not left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = []

    def once(*arguments: Any, **options: Any) -> "subprocess.Popen[bytes]":
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(POPEN(*arguments, **options))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", once)
    setup = Setup(function=lab_tasks.remember, payload=None)
    with (
        pytest.raises(LabError, match=r" does not start: Resource temporarily unavailable$"),
        launched((0, 1), setup, settings=ProcessSettings()),
    ):
        pytest.fail("both are ready")
    assert not psutil.pid_exists(started[0].pid)
    assert list(tmp_path.iterdir()) == []


def test_the_last_words_are_the_tasks_own(launch: Launch) -> None:
    """What an earlier task wrote is nothing that this one died of."""
    with pytest.raises(LabError, match=r"ended by SIGABRT: terminate called: bad kernel$"):
        launch.fork(lab_tasks.abort, None).result(10)
    with pytest.raises(LabError, match=r"ended with exit code 7$"):
        launch.fork(lab_tasks.leave, None).result(10)


def test_temporary_files_go_with_the_launch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launch is killed with its group, and cleans nothing up by itself."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with launched((0,), Setup(function=lab_tasks.remember, payload=1), settings=ProcessSettings()) as (one,):
        folder = Path(one.fork(lab_tasks.environment, "TMPDIR").result(10))
        assert folder.parent == tmp_path
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_coordinator_leaves_no_process() -> None:
    """Kill -9 of the coordinator ends its launches and their forks."""
    program = textwrap.dedent("""
        import sys, time, lab_tasks
        from int8bench.lab.environment import ProcessSettings
        from int8bench.lab.launches import launched
        from int8bench.lab.channel import Setup
        with launched((0,), Setup(function=lab_tasks.remember, payload=1), settings=ProcessSettings()) as (one,):
            fork = one.fork(lab_tasks.hang, None)
            print(fork.pid, flush=True)
            time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as coordinator:
        assert coordinator.stdout is not None
        fork = int(coordinator.stdout.readline())
        launch = psutil.Process(fork).ppid()
        coordinator.send_signal(signal.SIGKILL)
    _wait_until_gone([fork, launch])


def _wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still there: {[pid for pid in pids if _alive(pid)]}"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_first_to_answer_is_taken_first(launch: Launch) -> None:
    """Whichever was started first; one that has died answers too, and where none does nobody waits for ever."""
    silent, quick = launch.fork(lab_tasks.hang, None), launch.fork(lab_tasks.add, [4])
    assert first_to_answer([silent, quick], 60.0) is quick
    assert quick.result(10) == [3, 4]
    assert first_to_answer([silent], 0.0) is None
    os.kill(silent.pid, signal.SIGKILL)
    assert first_to_answer([silent], 60.0) is silent
    with pytest.raises(LabError, match="SIGKILL"):
        silent.result(10)


def test_silence_is_told_apart_from_what_went_wrong(launch: Launch) -> None:
    """Who waits may have waited too short; who has died has died."""
    with pytest.raises(SilenceError, match="gave no answer in 0 s"):
        launch.fork(lab_tasks.hang, None).result(0.05)


def test_a_launch_that_takes_too_long_is_not_waited_for() -> None:
    """It is ended, and the error says that it did not start."""
    setup = Setup(function=time.sleep, payload=600)
    with (
        pytest.raises(LabError, match="did not start"),
        launched((0,), setup, settings=ProcessSettings(), timeout_s=0.2),
    ):
        pytest.fail("it was ready")
    assert not [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
