import json
from dataclasses import replace

import numpy as np
import pytest
from contests import RULES, Contender, Contest, contest, float32
from hypothesis import given, settings
from hypothesis import strategies as st

from int8bench import documents
from int8bench.stats.verdict import Looks
from int8bench.study.cells import BEST, Interval, known
from int8bench.study.ranking import Rules, ranked
from int8bench.study.standings import Entry, Setting

FAST, SLOW, LOSSY = (
    Contender(engine="fast", time_s=1e-3),
    Contender(engine="slow", time_s=2e-3),
    Contender(engine="lossy", time_s=5e-4, sqnr_db=21.4),
)
TIMES = st.sampled_from((1e-3, 1.001e-3, 1.05e-3, 2e-3))
MEMORY = st.sampled_from((1e6, 2e6, 3e6))
SQNR = st.sampled_from((None, 30.0, 40.0))


def _ranked(found: Contest, rules: Rules = RULES) -> tuple[Setting, ...]:
    return ranked(found.cases, found.cells, found.ledger, rules)


def _one(*contenders: Contender, rules: Rules = RULES, **more: object) -> Setting:
    (setting,) = _ranked(contest(*contenders, **more), rules)
    return setting


def _engines(setting: Setting) -> list[str]:
    return [entry.variant.engine for entry in setting.entries]


def _entry(setting: Setting, engine: str) -> Entry:
    return next(entry for entry in setting.entries if entry.variant.engine == engine)


def test_contenders_stand_in_the_order_of_their_times() -> None:
    """The fastest first, int8 and float32 of every engine together, each with its place and how far it is behind."""
    setting = _one(SLOW, FAST, float32("other", 3e-3))
    assert _engines(setting) == ["fast", "slow", "other", "torch", "torch"]
    assert [entry.rank for entry in setting.entries] == [1, 2, 3, 4, 5]
    assert [entry.best for entry in setting.entries] == [True, False, False, False, False]
    assert [entry.behind.value for entry in setting.entries] == pytest.approx([1, 2, 3, 4, 6], rel=0.01)
    assert all(entry.behind.low < entry.behind.value < entry.behind.high for entry in setting.entries[1:])


def test_a_place_carries_what_a_choice_needs() -> None:
    """Speed-up over the best float32, threads, memory, answers, and what making its files took."""
    entry = _entry(_one(FAST, SLOW, float32("other", 3e-3)), "fast")
    assert entry.speedups[BEST].reference == "m/other/float32/nchw/b1/t1"
    assert entry.speedups[BEST].value == pytest.approx(3)
    assert (entry.threads_used, entry.peak_bytes, entry.weights_bytes) == (1.0, 1e6, 60_000)
    assert (entry.sqnr_db, entry.top1, entry.top1_change, entry.conversion_s) == (35.0, 0.98, 0.0, 3.0)


def test_settings_stand_by_threads_and_batch() -> None:
    """Each batch on each number of threads has a ranking of its own."""
    found = _ranked(contest(FAST, SLOW, batches=(8, 1), threads=(2, 1)))
    assert [(each.threads, each.batch) for each in found] == [(1, 1), (1, 8), (2, 1), (2, 8)]
    assert all(each.entries for each in found)


@pytest.mark.parametrize(
    ("contender", "status", "reason"),
    [
        (LOSSY, "inaccurate", "21.4 dB SQNR, 25 dB or more expected"),
        (
            replace(FAST, engine="wrong", top1=0.96),
            "inaccurate",
            "top-1 is 2.0 points lower than float32's, 1 at most expected",
        ),
        (replace(FAST, engine="broken", failed="it broke"), "failed", "it broke"),
        (replace(FAST, engine="narrow", batches=(8,)), "skipped", "one picture"),
    ],
    ids=["sqnr", "top1", "failed", "skipped"],
)
def test_what_lost_accuracy_or_did_not_run_has_a_reason_and_no_rank(
    contender: Contender, status: str, reason: str
) -> None:
    """However fast it is, it neither has a place nor is anyone held against it."""
    setting = _one(replace(contender, time_s=1e-4), FAST, SLOW)
    assert [(each.variant.engine, each.status, each.reason) for each in setting.unranked] == [
        (contender.engine, status, reason)
    ]
    assert _engines(setting)[0] == "fast"
    assert setting.entries[0].behind.value == 1


@pytest.mark.parametrize(
    ("contender", "rules"),
    [
        (replace(FAST, top1=0.97), RULES),
        (replace(FAST, top1=0.5), replace(RULES, trained=False)),
        (replace(FAST, top1=0.96), replace(RULES, accuracy_loss=0.02)),
        (replace(FAST, top1=None), RULES),
        (replace(FAST, sqnr_db=None), RULES),
        (float32("fast", 1e-3, sqnr_db=20.0, top1=0.1), RULES),
    ],
    ids=["a point", "untrained", "allowed", "no labels", "exact", "float32"],
)
def test_accuracy_that_holds_is_ranked(contender: Contender, rules: Rules) -> None:
    """A loss as large as stated is held; top-1 counts where the weights were learned; float32 loses to none."""
    setting = _one(contender, SLOW, rules=rules)
    assert _engines(setting)[0] == "fast"
    assert not setting.unranked


def test_int8_that_answers_every_picture_alike_has_no_rank() -> None:
    """Unless float32 does so too, where nothing tells them apart."""
    for theirs, is_ranked in ((False, False), (True, True)):
        found = contest(FAST, SLOW)
        cells = [
            replace(
                cell,
                fidelity=replace(known(cell.fidelity), constant=cell.engine == "fast", constant_float32=theirs),
            )
            for cell in found.cells
        ]
        (setting,) = ranked(found.cases, cells, found.ledger, RULES)
        assert ("fast" in _engines(setting)) is is_ranked
        assert [each.reason for each in setting.unranked] == (
            [] if is_ranked else ["answers every picture alike, which float32 does not"]
        )


def test_one_engine_is_no_contest() -> None:
    """Beside torch's float32, which always runs, two engines must have answered; a lossy one did."""
    assert _ranked(contest(FAST, float32("fast", 2e-3))) == ()
    assert _ranked(contest(FAST, replace(SLOW, failed="it broke"))) == ()
    assert _ranked(contest(FAST, LOSSY))


def test_what_never_raced_with_the_fastest_has_no_rank() -> None:
    """A ratio needs two launches in common."""
    found = contest(FAST, SLOW)
    slow = next(case.id for case in found.cases if case.variant.engine == "slow")
    found.ledger.races[slow] = [replace(race, launch=race.launch + 7) for race in found.ledger.races[slow]]
    (setting,) = _ranked(found)
    assert [(each.id, each.status) for each in setting.unranked] == [(slow, "unpaired")]
    assert "slow" not in _engines(setting)


def test_the_fastest_is_who_wins_the_rounds() -> None:
    """Where medians of calls timed one by one say otherwise, the pairs decide, and nobody is ahead of the fastest."""
    found = contest(FAST, replace(SLOW, time_s=1.2e-3))
    early = Interval(value=9e-4, low=9e-4, high=9e-4)
    cells = [
        replace(cell, latency_s=replace(known(cell.latency_s), median=early)) if cell.engine == "slow" else cell
        for cell in found.cells
    ]
    (setting,) = ranked(found.cases, cells, found.ledger, RULES)
    assert _engines(setting)[:2] == ["fast", "slow"]
    assert not _entry(setting, "slow").best
    assert all(entry.behind.value >= 1 for entry in setting.entries)


def test_a_twin_of_the_fastest_is_tied_with_it() -> None:
    """In 95 of 100 played settings at least, on as few launches as a run has, at any noise."""
    twins = [replace(FAST, engine=name) for name in ("first", "second")]
    tied = [
        all(_entry(setting, each.engine).best for each in twins)
        for seed in range(100)
        for setting in [_one(*twins, seed=seed, launches=4, spread=0.01)]
    ]
    assert sum(tied) >= 95


def test_a_tenth_more_time_is_never_tied_at_little_noise() -> None:
    """Ten percent is seen through noise of 0.2 % in each of 50 played settings."""
    slower = replace(FAST, engine="slower", time_s=1.1e-3)
    assert not any(_entry(_one(FAST, slower, seed=seed), "slower").best for seed in range(50))


def test_a_difference_within_the_margin_is_a_tie() -> None:
    """Half a percent, seen beyond doubt, does not matter; without a margin it does."""
    near = replace(FAST, engine="near", time_s=1.005e-3)
    assert _entry(_one(FAST, near, spread=1e-5), "near").best
    assert not _entry(_one(FAST, near, spread=1e-5, rules=replace(RULES, margin=0.0)), "near").best


def test_more_settings_make_a_place_harder_to_lose() -> None:
    """The error is one of the whole grid: what one setting alone would call slower may be a tie among many."""
    near = replace(FAST, engine="near", time_s=1.02e-3)
    alone, among = ([], [])
    for seed in range(30):
        alone.append(_entry(_one(FAST, near, spread=0.01, seed=seed), "near"))
        many = _ranked(contest(FAST, near, spread=0.01, seed=seed, batches=tuple(range(1, 21))))
        among.append(_entry(many[0], "near"))
    assert [each.behind for each in alone] == [each.behind for each in among]
    assert sum(each.best for each in alone) < sum(each.best for each in among)


@given(seed=st.integers(0, 2**16), times=st.lists(TIMES, min_size=2, max_size=5), noise=st.sampled_from((0.001, 0.02)))
@settings(max_examples=30, deadline=None)
def test_the_order_of_what_is_given_changes_nothing(seed: int, times: list[float], noise: float) -> None:
    """Cases and cells shuffled give the same ranking."""
    found = contest(
        *(Contender(engine=f"e{index}", time_s=time_s) for index, time_s in enumerate(times)), seed=seed, spread=noise
    )
    order = np.random.default_rng(seed)
    cases = [found.cases[index] for index in order.permutation(len(found.cases))]
    cells = [found.cells[index] for index in order.permutation(len(found.cells))]
    assert ranked(cases, cells, found.ledger, RULES) == _ranked(found)


@given(
    contenders=st.lists(st.tuples(TIMES, MEMORY, SQNR), min_size=2, max_size=6),
    seed=st.integers(0, 2**16),
    noise=st.sampled_from((1e-5, 0.02)),
)
@settings(max_examples=50, deadline=None)
def test_the_front_is_never_empty_and_none_on_it_is_beaten(
    contenders: list[tuple[float, float, float | None]], seed: int, noise: float
) -> None:
    """On the front nobody is behind another that is ahead of it in memory, answers and, beyond doubt, in time."""
    entered = [
        Contender(engine=f"e{index}", time_s=time_s, peak_bytes=memory, sqnr_db=sqnr_db)
        for index, (time_s, memory, sqnr_db) in enumerate(contenders)
    ]
    entries = _one(*entered, seed=seed, spread=noise).entries
    front = [each for each in entries if each.pareto]
    assert front
    for each in front:
        ahead = [
            other
            for other in entries
            if (other.best or other.behind.value < 0.97 * each.behind.value)
            and (other.best or not each.best)
            and other.peak_bytes < each.peak_bytes
            and _quality(other) > _quality(each)
        ]
        assert not ahead


def _quality(entry: Entry) -> float:
    return entry.sqnr_db if entry.sqnr_db is not None and entry.variant.is_reduced else float("inf")


def test_the_front_holds_who_is_first_in_something() -> None:
    """Fastest, leanest and most exact stand on it; the one that is behind another in all three does not."""
    lean = replace(SLOW, engine="lean", peak_bytes=1e5)
    beaten = replace(SLOW, engine="beaten", time_s=2.5e-3)
    exact = float32("exact", 3e-3)
    setting = _one(FAST, lean, beaten, exact)
    assert {entry.variant.engine for entry in setting.entries if entry.pareto} == {"fast", "lean", "exact"}


def test_float32_is_never_less_exact_than_int8() -> None:
    """Its SQNR against torch's float32 is rounding, and counts as no loss at all."""
    exact = float32("exact", 3e-3, sqnr_db=141.0)
    assert _entry(_one(replace(FAST, sqnr_db=150.0), SLOW, exact), "exact").pareto


def test_intervals_hold_although_the_race_was_looked_at() -> None:
    """With looks on the way, an interval is wider and a place is harder to lose."""
    looked = replace(RULES, looks=Looks(launches=(4, 6, 8)))
    near = replace(FAST, engine="near", time_s=1.03e-3)
    plain, wide = (_entry(_one(FAST, near, rules=rules), "near").behind for rules in (RULES, looked))
    assert wide.low < plain.low < plain.value == wide.value < plain.high < wide.high


def test_a_tied_time_is_an_equal_time_on_the_front() -> None:
    """Of two that are tied, the one with less memory and no worse answers stands on it alone."""
    lean = replace(FAST, engine="lean", time_s=1.001e-3, peak_bytes=9e5)
    setting = _one(FAST, lean)
    assert _entry(setting, "lean").pareto
    assert not _entry(setting, "fast").pareto


def test_a_ranking_is_json() -> None:
    """What a record keeps is strict JSON, with a variant's fields beside its figures."""
    (found,) = _ranked(contest(FAST, LOSSY))
    stored = json.loads(json.dumps(documents.written(found), allow_nan=False))
    assert (stored["batch"], stored["threads"]) == (1, 1)
    assert stored["entries"][0] | {"engine": "fast", "precision": "int8", "layout": "nchw"} == stored["entries"][0]
    assert stored["entries"][0]["behind"] == {"value": 1.0, "low": 1.0, "high": 1.0, "launches": 8}
    assert stored["unranked"][0]["engine"] == "lossy"


def test_int8_in_name_only_is_not_ranked() -> None:
    """However fast, and however right its answers: it is somebody's float32."""
    quick = Contender(engine="quick", time_s=1e-4, int8_share=0.0)
    found = contest(quick, Contender(engine="honest", time_s=1e-3))
    (setting,) = ranked(found.cases, found.cells, found.ledger, RULES)
    assert [(each.variant.engine, each.status) for each in setting.unranked] == [("quick", "in name only")]
    assert setting.entries[0].variant.engine == "honest"
