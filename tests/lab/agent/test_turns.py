"""A benchmark that takes turns: what it calls for each message, what it answers, and on which cores its threads run."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from int8bench.lab.agent import turns
from int8bench.lab.agent.suites.suite import Opened
from int8bench.lab.agent.wire import (
    Began,
    First,
    FirstCall,
    Message,
    Sampled,
    Stop,
    Sustain,
    Sustained,
    TurnSample,
    Warm,
    Warmed,
)

CALL_S, BEFORE_S = 0.25, 100.0  # exact in binary


class _Clock:
    """A clock that only calls move on, and what was called."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.log: list[str] = []

    def __call__(self) -> float:
        return self.now

    def call(self) -> None:
        self.log.append("call")
        self.now += CALL_S

    def before(self) -> None:
        self.log.append("before")
        self.now += BEFORE_S


class _Talk:
    """A line on which a script is asked, and what was answered; it ends where the script ends."""

    def __init__(self, script: list[Message]) -> None:
        self.script = script
        self.told: list[Any] = []

    def send(self, message: Message) -> None:
        self.told.append(message)

    def receive(self) -> Message:
        if not self.script:
            raise EOFError
        return self.script.pop(0)


@pytest.fixture
def clock() -> _Clock:
    """A fresh clock."""
    return _Clock()


def told(clock: _Clock, *asked: Message, before: bool = False) -> list[Any]:
    """What the turns of a benchmark answer, the introduction left out."""
    talk = _Talk(list(asked))
    opened = Opened(call=clock.call, before=clock.before if before else None)
    turns.take_turns(talk, opened, {}, clock=clock, shared=clock)  # type: ignore[arg-type]
    return talk.told[1:]


def test_it_introduces_itself() -> None:
    """With the numbers that it tracks, and where its modules came from; then the line may end at once."""
    talk = _Talk([])
    turns.take_turns(talk, Opened(values={"value": 2.0}), {"toy": ["/somewhere/toy"]})  # type: ignore[arg-type]
    assert talk.told == [Began(values={"value": 2.0}, origins={"toy": ["/somewhere/toy"]})]


def test_stop_is_the_end(clock: _Clock) -> None:
    """Nothing is called or answered after it."""
    assert told(clock, Stop(), TurnSample(calls=1, untimed=0)) == []
    assert clock.log == []


def test_a_warm_up_lasts_as_long_as_asked(clock: _Clock) -> None:
    """One call at least and as many as begin in time; the fastest is told."""
    assert told(clock, Warm(duration_s=4 * CALL_S)) == [Warmed(fastest_s=CALL_S)]
    assert clock.log == ["call"] * 5
    clock.log.clear()
    told(clock, Warm(duration_s=0))
    assert clock.log == ["call"]


def test_the_first_call_is_one(clock: _Clock) -> None:
    """It starts the threads that a benchmark has, and may fail as no other does."""
    assert told(clock, First(cores=[])) == [FirstCall(first_s=CALL_S)]
    assert clock.log == ["call"]


def test_the_fastest_call_of_a_warm_up_is_told() -> None:
    """Not the first, which pays for everything."""
    clock = _Clock()
    lasts = [3.0, 0.5, 2.0, 2.0, 2.0]

    def call() -> None:
        clock.now += lasts.pop(0)

    talk = _Talk([Warm(duration_s=5.0)])
    turns.take_turns(talk, Opened(call=call), {}, clock=clock)  # type: ignore[arg-type]
    assert talk.told[1] == Warmed(fastest_s=0.5)


@pytest.mark.parametrize(("calls", "untimed"), [(1, 0), (4, 0), (4, 3)])
def test_a_sample_is_the_mean_of_its_timed_calls(clock: _Clock, calls: int, untimed: int) -> None:
    """The untimed calls come first and are in no figure."""
    (answer,) = told(clock, TurnSample(calls=calls, untimed=untimed))
    assert answer.mean_s == CALL_S
    assert clock.log == ["call"] * (untimed + calls)
    assert answer.lost >= 0
    assert answer.cpu_s >= 0


def test_what_comes_before_a_call_is_not_timed(clock: _Clock) -> None:
    """It is done before each call, the untimed ones and those of the warm-up too."""
    sample, warm = told(clock, TurnSample(calls=2, untimed=1), Warm(duration_s=1.5 * (CALL_S + BEFORE_S)), before=True)
    assert (sample.mean_s, warm.fastest_s) == (CALL_S, CALL_S)
    assert clock.log == ["before", "call"] * (3 + 3)


@pytest.mark.parametrize(("load_s", "calls"), [(4 * CALL_S, 4), (3.5 * CALL_S, 4), (-9.0, 1)])
def test_a_load_is_sustained_until_the_moment(clock: _Clock, load_s: float, calls: int) -> None:
    """Calls that have begun are ended; a turn that comes too late still has one, or there would be no rate."""
    start = clock.now
    (answer,) = told(clock, Sustain(until_s=start + load_s))
    assert answer == Sustained(calls=calls, started_s=start, ended_s=start + calls * CALL_S)


def test_a_load_has_what_comes_before_each_call(clock: _Clock) -> None:
    """It is part of what lasts."""
    (answer,) = told(clock, Sustain(until_s=clock.now + BEFORE_S), before=True)
    assert (answer.calls, clock.log) == (1, ["before", "call"])


@pytest.fixture
def fresh() -> tuple[list[float], Opened]:
    """Processes that tell their seconds, which are taken away from the list as they are measured."""
    seconds = [3.0, 2.0, 1.0, 4.0]
    return seconds, Opened(timed=lambda: seconds.pop(0), seen=dict)


def test_the_first_call_of_fresh_processes_is_one(fresh: tuple[list[float], Opened]) -> None:
    """It fills what is kept on the disk; nothing else of it is left in the next."""
    talk = _Talk([First(cores=[0])])
    turns.take_turns(talk, fresh[1], {})  # type: ignore[arg-type]
    assert talk.told[1:] == [FirstCall(first_s=3.0)]
    assert fresh[0] == [2.0, 1.0, 4.0]


def test_a_sample_is_what_fresh_processes_tell(fresh: tuple[list[float], Opened]) -> None:
    """Not the clock around them."""
    talk = _Talk([TurnSample(calls=1, untimed=0), TurnSample(calls=2, untimed=0)])
    turns.take_turns(talk, fresh[1], {})  # type: ignore[arg-type]
    assert [each.mean_s for each in talk.told[1:]] == [3.0, 1.5]
    assert all(isinstance(each, Sampled) and each.lost == 0 for each in talk.told[1:])


def test_the_processor_time_of_a_fresh_process_is_told() -> None:
    """Of the process, which has ended."""

    def timed() -> float:
        subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
        return 1.0

    talk = _Talk([TurnSample(calls=1, untimed=0)])
    turns.take_turns(talk, Opened(timed=timed), {})  # type: ignore[arg-type]
    assert talk.told[1].cpu_s > 0.01


@pytest.fixture
def placed(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """Where threads were put."""
    found: dict[int, set[int]] = {}
    monkeypatch.setattr(os, "sched_setaffinity", found.__setitem__)
    return found


@pytest.fixture
def tasks(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder like /proc/self/task."""

    def made(*threads: int) -> Path:
        for thread in threads:
            (tmp_path / str(thread)).mkdir()
        return tmp_path

    return made


def test_each_thread_has_a_core_of_its_own(tasks: Callable[..., Path], placed: dict[int, set[int]]) -> None:
    """The main thread, which has the lowest number, the first one; numbers are not sorted as text."""
    turns.spread([4, 6], alone=False, tasks=tasks(1001, 999))
    assert placed == {999: {4}, 1001: {6}}


@pytest.mark.parametrize(("alone", "expected"), [(True, {7: {3}}), (False, {})])
def test_one_thread_has_the_first_core_where_it_works_alone(
    tasks: Callable[..., Path], placed: dict[int, set[int]], *, alone: bool, expected: dict[int, set[int]]
) -> None:
    """With helpers that come and go with each call, one core would be all that they have."""
    turns.spread([3, 4], alone=alone, tasks=tasks(7))
    assert placed == expected


def _busy() -> None:
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        pass


def _helped() -> None:
    _busy()
    helper = threading.Thread(target=_busy)
    helper.start()
    helper.join()


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (_busy, True),
        (_helped, False),
        (lambda: subprocess.run([sys.executable, "-c", "sum(range(10**6))"], check=True), False),
    ],
)
def test_a_call_works_alone_without_threads_and_processes(work: Callable[[], object], *, expected: bool) -> None:
    """Both are gone again when the call returns, and have done a part of its work."""
    assert turns._works_alone(work) is expected


@pytest.mark.parametrize(("cores", "threads"), [([], (7, 8)), ([3, 4], (7, 8, 9)), ([3, 4, 5], (7, 8)), ([1, 2], ())])
def test_other_counts_are_left_to_the_kernel(
    tasks: Callable[..., Path], placed: dict[int, set[int]], cores: list[int], threads: tuple[int, ...]
) -> None:
    """Who has more or fewer threads than cores knows best."""
    turns.spread(cores, alone=True, tasks=tasks(*threads))
    turns.spread(cores, alone=True, tasks=Path("/no/such/folder"))
    assert placed == {}


def test_a_thread_that_has_ended_is_no_fault(tasks: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the move it may go; the others are moved all the same."""
    placed: dict[int, set[int]] = {}

    def place(thread: int, cores: set[int]) -> None:
        if thread == 1:
            raise ProcessLookupError
        placed[thread] = cores

    monkeypatch.setattr(os, "sched_setaffinity", place)
    turns.spread([0, 1], alone=False, tasks=tasks(1, 2))
    assert placed == {2: {1}}
