"""The clock's own resolution, with clocks that are played."""

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
