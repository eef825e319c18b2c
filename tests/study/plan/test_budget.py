"""The time of a run, by a clock that a test sets."""

import math

import pytest

from int8bench.study.plan.budget import SHORTEST_S, Budget


def at(now_s: float, *, total_s: float = 300.0) -> Budget:
    """A budget that began at 100 and is looked at after so many seconds."""
    return Budget(total_s=total_s, started_s=100.0, clock=lambda: 100.0 + now_s)


def test_the_ending_is_kept_for_the_answer() -> None:
    """What is left to work with ends before the total does, so that the answer is out by then."""
    ending_s = at(0.0).ending_s
    assert 0 < ending_s < 15.0
    assert at(0.0).left_s() == pytest.approx(300.0 - ending_s)
    assert at(100.0).left_s() == pytest.approx(200.0 - ending_s)
    assert not at(299.0 - ending_s).is_over()
    assert at(301.0 - ending_s).is_over()
    assert at(1_000.0).left_s() == 0.0


def test_nobody_waits_past_the_end() -> None:
    """A time-out is what was asked, what is left, and never nothing: a socket would not wait for that at all."""
    assert at(0.0).limit_s(120.0) == 120.0
    assert at(250.0).limit_s(120.0) == pytest.approx(50.0 - at(0.0).ending_s)
    assert at(999.0).limit_s(120.0) == SHORTEST_S > 0


@pytest.mark.parametrize(
    ("spent_s", "total_s", "sentence"),
    [
        (252.0, 300.0, "took 4 min 12 s of 5 min"),
        (41.4, 90.0, "took 41 s of 1 min 30 s"),
        (41.4, math.inf, "took 41 s"),
    ],
)
def test_the_last_sentence_says_what_it_took_of_what(spent_s: float, total_s: float, sentence: str) -> None:
    """Of the total that was stated, where one was."""
    assert at(spent_s, total_s=total_s).taken() == sentence


def test_without_a_promise_there_is_no_end() -> None:
    """A suite gives each commit the same time for measuring, whatever comes on top."""
    endless = at(10_000.0, total_s=math.inf)
    assert not endless.is_over()
    assert endless.limit_s(600.0) == 600.0
    assert endless.promise() == "as long as it takes"
