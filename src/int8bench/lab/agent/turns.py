"""One benchmark of one side, taking its turns: told to warm up, to time a sample, to stop; asleep in between."""

import os
import resource
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path

from .suites.suite import Opened
from .wire import (
    Began,
    First,
    FirstCall,
    Line,
    Origins,
    Sampled,
    Stop,
    Sustain,
    Sustained,
    TurnSample,
    Warm,
    Warmed,
)

Clock = Callable[[], float]

OTHERS_AT_MOST = 0.1  # of a thread's own processor time: what other threads may do beside it


def take_turns(
    line: Line,
    opened: Opened,
    origins: Origins,
    *,
    clock: Clock = time.perf_counter,
    shared: Clock = time.monotonic,
) -> None:
    """Send the benchmark's numbers and places of modules, then answer until a stop or the end of the line.

    After a `First` call, its threads are spread over the cores that come along. The answer to a `TurnSample` says how
    often the processor was lost during the timed calls. Of fresh processes, a first call and a sample are one each.

    Args:
        line: to the coordinator.
        opened: the benchmark.
        origins: where its modules came from.
        clock: for calls.
        shared: that all processes share.
    """
    line.send(Began(values=dict(opened.values) if opened.values is not None else None, origins=dict(origins)))
    while True:
        try:
            asked = line.receive()
        except EOFError:
            return
        match asked:
            case Stop():
                return
            case First() | Warm() | TurnSample() | Sustain():
                line.send(_answer(asked, opened, clock, shared))
            case _:
                raise ValueError(f"asked for {asked!r:.80}, which is nothing that a benchmark does")


def spread(cores: Sequence[int], *, alone: bool, tasks: Path = Path("/proc/self/task")) -> None:
    """Give each thread of this process a core of its own, where there are as many as cores; one thread has the first.

    A thread that was asleep may be woken on the core where its own main thread waits for it, and is moved away at the
    next tick only: a forward of 0.8 ms on two threads took 4 ms in most turns. And one thread that moves between cores
    finds other caches there than the other side does.

    Args:
        cores: of the benchmark, the same on both sides.
        alone: whether one thread does all of its work; with helpers that come and go, it is left to the scheduler.
        tasks: the threads of this process.
    """
    threads = sorted(int(each.name) for each in tasks.iterdir()) if tasks.exists() else []
    if len(threads) == len(cores) or (len(threads) == 1 and alone):
        for thread, core in zip(threads, cores, strict=False):
            with suppress(OSError):  # it has ended meanwhile, or may not go there
                os.sched_setaffinity(thread, {core})


def _works_alone(work: Callable[[], object]) -> bool:
    """Tell whether this thread does all of a work, to a tenth of its own time.

    No other thread, and no other process, then has a part in it.
    """
    others, mine, children = _others_s(), time.thread_time(), _children_s()
    work()
    spent = time.thread_time() - mine
    return _others_s() - others <= OTHERS_AT_MOST * spent and _children_s() == children


def _others_s() -> float:
    return time.process_time() - time.thread_time()


def _children_s() -> float:
    now = os.times()
    return now.children_user + now.children_system


def _answer(
    asked: First | Warm | TurnSample | Sustain, opened: Opened, clock: Clock, shared: Clock
) -> FirstCall | Warmed | Sampled | Sustained:
    match asked:
        case First():
            return FirstCall(first_s=_first(opened, asked.cores, clock))
        case TurnSample() if opened.timed is not None:
            return _fresh_sample(opened.timed, asked.calls)
        case TurnSample():
            return _sample(opened, asked, clock)
        case Warm():
            return Warmed(fastest_s=_warm(opened, asked.duration_s, clock))
        case Sustain():
            return _sustain(opened, asked.until_s, shared)


def _first(opened: Opened, cores: Sequence[int], clock: Clock) -> float:
    """Return the seconds of one call, which starts the threads of a benchmark, and spread these over cores."""
    if opened.timed is not None:
        return opened.timed()
    took: list[float] = []
    alone = _works_alone(lambda: took.append(_timed(opened, 1, clock)))
    spread(cores, alone=alone)
    return took[0]


def _warm(opened: Opened, duration_s: float, clock: Clock) -> float:
    """Call for so many seconds, once at least, and return the seconds of the fastest call."""
    fastest = _timed(opened, 1, clock)
    end = clock() + duration_s
    while clock() < end:
        fastest = min(fastest, _timed(opened, 1, clock))
    return fastest


def _sample(opened: Opened, asked: TurnSample, clock: Clock) -> Sampled:
    if asked.untimed:
        _timed(opened, asked.untimed, clock)
    before, cpu = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    seconds = _timed(opened, asked.calls, clock)
    after = resource.getrusage(resource.RUSAGE_SELF)
    lost = after.ru_nivcsw - before.ru_nivcsw + after.ru_majflt - before.ru_majflt
    return Sampled(mean_s=seconds / asked.calls, cpu_s=time.process_time() - cpu, lost=lost)


def _fresh_sample(timed: Callable[[], float], processes: int) -> Sampled:
    """Return a sample of the mean seconds of so many processes; one that waited for the disk is lost.

    None is as long as that undisturbed by others, so that how often it lost the processor says nothing.
    """
    before, cpu = resource.getrusage(resource.RUSAGE_CHILDREN), _children_s()
    seconds = sum(timed() for _ in range(processes))
    lost = resource.getrusage(resource.RUSAGE_CHILDREN).ru_majflt - before.ru_majflt
    return Sampled(mean_s=seconds / processes, cpu_s=_children_s() - cpu, lost=lost)


def _timed(opened: Opened, calls: int, clock: Clock) -> float:
    """Return the seconds of that many calls together.

    Where each has something to be done before it, each is timed alone.
    """
    call = opened.call
    assert call is not None
    if opened.before is None:
        rounds = repeat(None, calls)
        start = clock()
        for _ in rounds:
            call()
        return clock() - start
    total = 0.0
    for _ in range(calls):
        opened.before()
        start = clock()
        call()
        total += clock() - start
    return total


def _sustain(opened: Opened, until: float, clock: Clock) -> Sustained:
    call = opened.call
    assert call is not None
    calls, started = 0, clock()
    now = started
    while now < until or not calls:
        if opened.before is not None:
            opened.before()
        call()
        calls += 1
        now = clock()
    return Sustained(calls=calls, started_s=started, ended_s=now)
