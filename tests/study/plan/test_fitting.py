"""Which cells go so that the others fit, with prices that a test sets."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int8bench.study.plan.fitting import LEAST_LAUNCHES, fitted
from int8bench.workload.cases import TORCH, Case, Variant, grid

ENGINES = ("quick", "slow", "converted")


def cases(batches: tuple[int, ...] = (1, 8), engines: tuple[str, ...] = ENGINES) -> tuple[Case, ...]:
    """A grid of one thread count."""
    variants = tuple(Variant(engine=name, precision="int8", layout="nchw") for name in engines)
    return grid(model="m", variants=variants, batches=batches, threads=(1,))


def price(each: dict[str, float], once: dict[str, float] | None = None):
    """Seconds of a cell and launch, by engine and by batch size; and what an engine costs once a batch size."""

    def seconds(kept: Sequence[Case], launches: int) -> float:
        measured = sum(each.get(case.variant.engine, 1.0) * case.group.batch for case in kept)
        units = {(case.variant.engine, case.group.batch) for case in kept}
        return launches * measured + sum((once or {}).get(engine, 0.0) for engine, _ in units)

    return seconds


def names(gone: dict[Case, float]) -> set[tuple[str, int]]:
    """Engines and batch sizes of cells."""
    return {(case.variant.engine, case.group.batch) for case in gone}


def test_what_fits_stays() -> None:
    """All of it, to the last second."""
    seconds = price({})
    assert fitted(cases(), seconds, seconds(cases(), 4), fewest=4) == {}


def test_what_costs_most_goes_first_and_says_what_it_would_have_taken() -> None:
    """The large batch of the slow engine; all others stay."""
    seconds = price({"slow": 10.0})
    gone = fitted(cases(), seconds, seconds(cases(), 4) - 1.0, fewest=4)
    assert names(gone) == {("slow", 8)}
    assert set(gone.values()) == {4 * 10.0 * 8}


def test_every_engine_keeps_a_batch_size_as_long_as_that_helps() -> None:
    """All large batches go before the first engine does, and with the last int8 there the float32 beside it."""
    seconds = price({"slow": 10.0}, {"converted": 100.0})
    small = [case for case in cases() if case.group.batch == 1]
    gone = fitted(cases(), seconds, seconds(small, 4), fewest=4)
    assert names(gone) == {(engine, 8) for engine in (*ENGINES, TORCH)}


def test_fewer_launches_come_before_an_engine_goes() -> None:
    """But not before a batch size that is to spare."""
    seconds = price({"slow": 10.0})
    small = [case for case in cases() if case.group.batch == 1]
    assert names(fitted(cases(), seconds, seconds(small, LEAST_LAUNCHES), fewest=4)) == {
        (engine, 8) for engine in (*ENGINES, TORCH)
    }


def test_then_engines_go_the_dearest_first() -> None:
    """One that has to be converted for longer than all is measured."""
    seconds = price({"slow": 2.0}, {"converted": 100.0})
    gone = fitted(cases((1,)), seconds, 40.0, fewest=4)
    assert names(gone) == {("converted", 1)}


def test_the_last_one_is_tried_whatever_it_takes() -> None:
    """A forecast may be wrong; the clock is not."""
    gone = fitted(cases(), price({}), 0.0, fewest=4)
    left = {(case.variant.engine, case.group.batch) for case in cases() if case not in gone}
    assert len(left - {(TORCH, 1)}) == 1
    assert (TORCH, 1) in left


@settings(deadline=None, derandomize=True)
@given(
    prices=st.dictionaries(st.sampled_from(ENGINES), st.floats(0.1, 50.0)),
    once=st.dictionaries(st.sampled_from(ENGINES), st.floats(0.0, 200.0)),
    left_s=st.floats(0.0, 5_000.0),
    batches=st.sampled_from([(1,), (1, 8), (1, 8, 32)]),
)
def test_what_is_kept_fits_or_is_a_single_engine_at_a_single_batch(
    prices: dict[str, float], once: dict[str, float], left_s: float, batches: tuple[int, ...]
) -> None:
    """Whatever things cost; and where everything fits nothing goes."""
    seconds, all_of_them = price(prices, once), cases(batches)
    gone = fitted(all_of_them, seconds, left_s, fewest=4)
    kept = [case for case in all_of_them if case not in gone]
    assert seconds(kept, LEAST_LAUNCHES) <= left_s or sum(case.variant.engine != TORCH for case in kept) == 1
    assert (gone == {}) or seconds(all_of_them, 4) > left_s
    assert {case.group for case in kept if case.variant.engine == TORCH} == {case.group for case in kept}


@pytest.mark.parametrize("threads", [(1,), (1, 2)])
def test_a_unit_has_all_thread_counts(threads: tuple[int, ...]) -> None:
    """What is converted for a batch size serves them all, and is left out for all."""
    variants = tuple(Variant(engine=name, precision="int8", layout="nchw") for name in ENGINES)
    both = grid(model="m", variants=variants, batches=(1, 8), threads=threads)
    seconds = price({"slow": 10.0})
    gone = fitted(both, seconds, seconds(both, 4) - 1.0, fewest=4)
    assert len(gone) == len(threads)


def test_float32_that_was_alone_already_goes_with_nobody() -> None:
    """What is left of a batch size whose engines have settled or failed is no part of what goes at another."""
    alone = [case for case in cases() if (case.variant.engine, case.group.batch) == (TORCH, 1)]
    beside = [case for case in cases() if case.group.batch == 8]
    seconds = price({"slow": 10.0})
    gone = fitted((*alone, *beside), seconds, 0.0, fewest=4)
    assert gone
    assert ("slow", 8) in names(gone)
    assert (TORCH, 1) not in names(gone)
