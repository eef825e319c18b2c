"""The pieces of every measurement: blocks of launches and their time, random order, an end that keeps figures."""

from itertools import count

import numpy as np
import pytest

from int8bench.errors import Int8BenchError, InterruptedRunError, LabError, NothingMeasuredError
from int8bench.lab import session
from int8bench.lab.progress import Progress
from int8bench.lab.session import Underway, blocks, ended, keeping, shuffled


def underway(**changes: float) -> Underway:
    """A measurement that tells nobody."""
    return Underway(advance=lambda _step: None, **changes)


def test_blocks_are_the_launches_up_to_each_look() -> None:
    """Each launch once, in order; a measurement that goes on begins where it was stopped."""
    assert list(blocks((5, 7, 8))) == [(0, range(5)), (1, range(5, 7)), (2, range(7, 8))]
    assert list(blocks((5, 7), first=3)) == [(0, range(3, 5)), (1, range(5, 7))]


def test_time_is_asked_for_before_each_block_and_ends_those_without_an_end() -> None:
    """By how many launches would then be done."""
    asked: list[int] = []

    def has_time(end: int) -> bool:
        asked.append(end)
        return end < 7

    assert [launches for _, launches in blocks(count(2, 2), has_time=has_time)] == [range(2), range(2, 4), range(4, 6)]
    assert asked == [2, 4, 6, 8]


@pytest.mark.parametrize(("measured_s", "looks"), [(50.0, 3), (74.9, 3), (75.1, 2), (120.0, 1)])
def test_launches_up_to_the_next_look_keep_to_a_fifth_more_than_the_time(measured_s: float, looks: int) -> None:
    """At the pace of those that are done: 5 of 8 launches may take five eighths of 120 of 100 seconds."""
    measurement = underway()
    seen = []
    for look, launches in measurement.blocks((5, 7, 8), 100.0):
        seen.append(look)
        measurement.measured_s += measured_s / 5 * len(launches)
        measurement.paced += len(launches)
    assert seen == list(range(looks))


def test_a_pace_is_that_of_the_launches_that_were_timed() -> None:
    """Five are in the file already; the two that were measured now are slow."""
    measurement = underway(measured_s=40.0, paced=2)
    assert list(measurement.blocks((5,), 100.0)) == [(0, range(5))]
    assert list(measurement.blocks((7,), 100.0)) == []


def test_progress_is_never_past_its_end_and_ends_full() -> None:
    """Whatever was forecast."""
    steps: list[Progress] = []
    measurement = Underway(advance=steps.append, total=4.0)
    measurement.tell("one")
    measurement.done = 5.0
    measurement.tell("two")
    measurement.end()
    assert [(step.phase, step.done, step.total) for step in steps] == [
        ("one", 0.0, 4.0),
        ("two", 4.0, 4.0),
        ("done", 5.0, 5.0),
    ]


def test_order_is_drawn_and_nothing_is_left_out() -> None:
    """Another order with another draw, the same one with the same seed."""
    tasks = list("abcdefgh")
    orders = {tuple(shuffled(tasks, np.random.default_rng(seed))) for seed in (1, 2, 3, 1)}
    assert len(orders) == 3
    assert all(sorted(order) == tasks for order in orders)


def test_draws_of_a_fork_are_within_what_it_takes() -> None:
    """A shift of a byte at least, so that no fork has the heap as it was."""
    rng = np.random.default_rng(0)
    shifts = [session.heap_shift(rng) for _ in range(100)]
    assert 1 <= min(shifts) < max(shifts) < session.HEAP_SHIFT_BYTES
    assert len({session.seed_of_fork(rng) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("raised", "why"), [(KeyboardInterrupt(), "stopped"), (LabError("was ended by SIGKILL"), "was ended by SIGKILL")]
)
@pytest.mark.parametrize(("figures", "kind", "code"), [(2, InterruptedRunError, 2), (0, NothingMeasuredError, 3)])
def test_what_stops_a_measurement_has_its_figures_kept(
    raised: BaseException, why: str, figures: int, kind: type[Int8BenchError], code: int
) -> None:
    """Once, with the reason; the error says whether there are any, by its exit code too."""
    reasons: list[str] = []

    def keep(reason: str) -> Int8BenchError:
        reasons.append(reason)
        return ended(f"{reason}, with {figures}", figures=figures)

    with pytest.raises(kind, match=f"^{why}, with {figures}$") as told, keeping(keep):
        raise raised
    assert (reasons, told.value.exit_code) == ([why], code)


def test_what_is_no_end_of_a_measurement_passes() -> None:
    """Nothing to measure is said by whoever finds it out, and an end as planned has nothing to keep."""
    with pytest.raises(NothingMeasuredError, match="nothing in common"), keeping(lambda _reason: AssertionError()):
        raise NothingMeasuredError("nothing in common")
    with keeping(lambda _reason: AssertionError()):
        pass
