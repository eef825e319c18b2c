"""The clock itself: its steps, what a reading costs, a wait by it; how fast Python is, and since when it runs.

Times nothing else.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

STEPS = 200_000  # of a loop that shows how fast Python is: some 10 ms
LOOPS = 5
STARTED = 22  # the field of /proc/self/stat, which counts from 1
SILENCE_S = 120.0  # for which a process or a fork is waited for, unless a person says how long
READINGS = 2000  # some 0.1 ms in all: seldom interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a clock can tell apart, in seconds: its smallest step, and what a reading takes on average."""

    step_s: float
    reading_s: float


def resolution(clock: Callable[[], float] = time.perf_counter, readings: int = READINGS) -> Resolution:
    """Return the resolution of a clock: its smallest step, and the mean seconds of a reading.

    Args:
        clock: seconds, never going back.
        readings: how many in a row; more are taken until the clock has moved.
    """
    times = [clock() for _ in range(readings)]
    while times[-1] == times[0]:  # a clock that steps slower than it is read
        times.append(clock())
    gaps = sorted(after - before for before, after in pairwise(times))
    return Resolution(step_s=next(gap for gap in gaps if gap > 0), reading_s=(times[-1] - times[0]) / (len(times) - 1))


def spin(duration_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
    """Keep this thread busy for so many seconds, and the little more until the clock is read next.

    Args:
        duration_s: for how long.
        clock: that tells.
    """
    end = clock() + duration_s
    while clock() < end:
        pass


def python_s(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of a fixed loop in Python when it went quickest.

    They show how fast this machine is at what converters do.
    """
    seconds = []
    for _ in range(LOOPS):
        started_s, total = clock(), 0
        for step in range(STEPS):
            total += step & 3
        seconds.append(clock() - started_s)
    return min(seconds)


def began_s() -> float:
    """Return the start of this process on the clock of `time.monotonic`; now, where the system does not tell."""
    try:
        status = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        ticks = int(status.rpartition(")")[2].split()[STARTED - 3])  # the name in front may hold anything
        age_s = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age_s = 0.0
    return time.monotonic() - max(0.0, age_s)
