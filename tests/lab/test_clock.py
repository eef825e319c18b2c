"""The clock's own resolution, with clocks that are played."""

import os
import subprocess
import sys
import time
from itertools import chain, count, repeat

import pytest

from int8bench.lab import clock


def test_a_step_is_the_smallest_move_and_a_reading_what_one_costs() -> None:
    """Of a clock that steps by quarters of a second and is now and then held up."""
    times = iter([0.0, 0.0, 0.25, 0.5, 0.5, 5.0])
    assert clock.resolution(lambda: next(times), readings=6) == clock.Resolution(step_s=0.25, reading_s=1.0)


def test_a_clock_that_stands_is_read_until_it_moves() -> None:
    """A coarse clock steps once in many readings."""
    times = chain(repeat(7.0, 9), repeat(7.5))
    found = clock.resolution(lambda: next(times), readings=3)
    assert found == clock.Resolution(step_s=0.5, reading_s=0.5 / 9)


def test_the_real_clock_moves() -> None:
    """Forwards, and a reading of it takes time."""
    found = clock.resolution()
    assert found.step_s > 0
    assert found.reading_s > 0


@pytest.mark.parametrize(("duration_s", "readings"), [(0.0, 2), (2.5, 4)])
def test_a_wait_ends_with_the_first_reading_past_its_time(duration_s: float, readings: int) -> None:
    """The clock of whole seconds is read once to begin, and then until the time is up."""
    seconds = count()
    clock.spin(duration_s, lambda: float(next(seconds)))
    assert next(seconds) == readings


def test_how_fast_python_is_is_its_quickest_loop() -> None:
    """One that was held up counts for nothing."""
    times = iter([0.0, 0.3, 1.0, 1.1, 2.0, 2.2, 3.0, 3.9, 4.0, 4.5])
    assert clock.python_s(lambda: next(times)) == pytest.approx(0.1)


def test_a_process_knows_when_it_began() -> None:
    """Before this test, and after its parent."""
    program = "from int8bench.lab import clock; import time; print(clock.began_s(), time.monotonic())"
    before_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    began_s, asked_s = map(float, done.stdout.split())
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    assert before_s - tick_s <= began_s < asked_s <= time.monotonic()
