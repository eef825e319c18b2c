"""The clock itself: how finely it steps, what a reading costs, and a wait by it. Times nothing else."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

READINGS = 2000  # some 0.1 ms in all: seldom interrupted


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a clock can tell apart, in seconds: its smallest step, and what a reading takes on average."""

    step_s: float
    reading_s: float

    def to_dict(self) -> dict[str, float]:
        """What an answer keeps of it."""
        return asdict(self)


def resolution(clock: Callable[[], float] = time.perf_counter, readings: int = READINGS) -> Resolution:
    """How finely a clock steps and what a reading costs.

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
    """Keeps this thread busy for so many seconds, and the little more until the clock is read next."""
    end = clock() + duration_s
    while clock() < end:
        pass
