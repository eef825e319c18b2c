"""Failures as data: the exact test against another library's, its error by simulation, and how failures are told."""

import numpy as np
import pytest
from scipy.stats import fisher_exact

from int8bench.compare.duet import failures
from int8bench.compare.duet.failures import Outcome, Stage
from int8bench.stats.proportion import chance_of_more

ERROR = 0.001


def _outcomes(base: str, head: str, stage: Stage = Stage.OPEN) -> list[Outcome]:
    """One outcome a letter: x fails, any other does not."""
    told = {"x": "it broke"}
    return [
        Outcome(launch=i, stage=stage, base=told.get(b), head=told.get(h))
        for i, (b, h) in enumerate(zip(base, head, strict=True))
    ]


@pytest.mark.parametrize("launches", [1, 2, 7, 12])
def test_the_chance_is_fishers(launches: int) -> None:
    """One-sided, as scipy has it, for every pair of counts."""
    for head in range(launches + 1):
        for base in range(launches + 1):
            table = [[head, launches - head], [base, launches - base]]
            expected = fisher_exact(table, alternative="greater").pvalue
            assert chance_of_more(head, base, launches=launches) == pytest.approx(expected)


@pytest.mark.parametrize(("head", "base", "launches"), [(1, 0, 0), (8, 0, 7), (0, -1, 7)])
def test_counts_that_are_none_are_refused(head: int, base: int, launches: int) -> None:
    """With what was given."""
    with pytest.raises(ValueError, match=f"{head} and {base} of {launches}"):
        chance_of_more(head, base, launches=launches)


@pytest.mark.parametrize(("error", "launches"), [(0.05, 7), (0.001, 8), (0.0005, 8), (0.0001, 9), (1e-30, 40)])
def test_how_many_launches_decide(error: float, launches: int) -> None:
    """Seven at least, and as many as the test needs."""
    assert failures.launches_to_decide(error) == launches


def test_what_fails_in_every_launch_of_head_and_none_of_base_is_broken() -> None:
    """From seven launches on, of what fails later from eight; a launch fewer, or one of base, is not enough."""
    for stage, fewest in ((Stage.OPEN, 7), (Stage.FIRST, 7), (Stage.CALL, 8)):
        assert failures.is_broken(_outcomes(fewest * "o", fewest * "x", stage), ERROR)
        assert not failures.is_broken(_outcomes((fewest - 1) * "o", (fewest - 1) * "x", stage), ERROR)
        assert not failures.is_broken(_outcomes("xoooooo", "xxxxxxx", stage), ERROR)
        assert not failures.is_broken(_outcomes("xxxxxxx", "ooooooo", stage), ERROR)
        assert not failures.is_broken(_outcomes("xxxxxxx", "xxxxxxx", stage), ERROR)
    assert not failures.is_broken([], ERROR)


def test_many_launches_tell_what_fails_more_often() -> None:
    """Though head answers now and then, and base fails now and then."""
    assert failures.is_broken(_outcomes("x" + 19 * "o", "o" + 15 * "x" + 4 * "o"), ERROR)
    assert not failures.is_broken(_outcomes(14 * "o" + "xx", 12 * "o" + "xxoo"), ERROR)


def test_stages_are_not_added_up() -> None:
    """What failed when it was opened had no occasion to fail when it is called."""
    late = _outcomes(9 * "x", 9 * "o", Stage.CALL)
    assert failures.is_broken([*_outcomes(7 * "o", 7 * "x", Stage.FIRST)], ERROR)
    assert not failures.is_broken([*_outcomes(7 * "o", 7 * "x", Stage.FIRST), *late], ERROR)
    mixed = _outcomes("oooo", "xxxx") + _outcomes("oooo", "xxxx", Stage.CALL)
    assert not failures.is_broken(mixed, ERROR)
    assert not failures.is_breaking(mixed)


def test_breaking_is_head_alone_in_every_launch_so_far() -> None:
    """That is what is opened until the test can decide."""
    assert failures.is_breaking(_outcomes("o", "x"))
    assert not failures.is_breaking(_outcomes("oo", "xo"))
    assert not failures.is_breaking(_outcomes("ox", "xx"))
    assert not failures.is_breaking([])


@pytest.mark.parametrize(
    "rates", [(0.5, 0.0, 0.0), (0.0, 0.0, 0.5), (1 / 3, 0.5, 0.5), (0.1, 0.1, 0.1), (0.9, 0.9, 0.9), (0.0, 0.5, 0.9)]
)
def test_chance_is_seldom_called_broken(rates: tuple[float, float, float]) -> None:
    """Played duets of the same code that fails by chance, stopped as ours are: no more are red than declared."""
    rng, error, runs, planned = np.random.default_rng(20260101), 0.02, 4000, 12
    red = 0
    for _ in range(runs):
        outcomes: list[Outcome] = []
        while len(outcomes) < planned or (
            failures.is_breaking(outcomes) and len(outcomes) < failures.launches_to_decide(error)
        ):
            if failures.is_breaking(outcomes) and failures.is_broken(outcomes, error):
                break
            outcomes.append(_played(rng, len(outcomes), rates))
        red += failures.is_broken(outcomes, error)
    assert red / runs <= error + 3 * (error / runs) ** 0.5


def test_what_only_one_side_can_have_is_seldom_called_broken() -> None:
    """Where each launch fails on one side or the other, whatever is in head, their failures exclude each other."""
    rng, error, runs = np.random.default_rng(20260102), 0.02, 2000
    red = 0
    for _ in range(runs):
        fails = rng.random(40) < 0.5
        head, base = ("".join("x" if each else "o" for each in side) for side in (fails, ~fails))
        red += failures.is_broken(_outcomes(base, head, Stage.CALL), error)
    assert red / runs <= error + 3 * (error / runs) ** 0.5


def _played(rng: np.random.Generator, launch: int, rates: tuple[float, float, float]) -> Outcome:
    for stage, rate in zip(Stage, rates, strict=True):
        base, head = (("it broke" if rng.random() < rate else None) for _ in range(2))
        if base or head or stage is Stage.CALL:
            return Outcome(launch=launch, stage=stage, base=base, head=head)
    raise AssertionError


def test_failures_are_told_by_their_counts_and_first_reasons() -> None:
    """What one cause breaks is told once."""
    outcomes = [*_outcomes(16 * "o", 2 * "x" + 14 * "o")]
    told = "fails in 2 of 16 launches of head, 0 of 16 of base: it broke"
    assert failures.sentence(outcomes) == told
    assert failures.by_sentence({"a": outcomes, "b": _outcomes("x", "o"), "c": outcomes}) == {
        told: ["a", "c"],
        "fails in 0 of 1 launches of head, 1 of 1 of base: it broke": ["b"],
    }
