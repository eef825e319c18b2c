import json
from dataclasses import replace

import pytest
from contests import RULES, Contender, Contest, contest, float32

from int8bench import documents
from int8bench.study.ranking import ranked
from int8bench.study.recommendation import recommended
from int8bench.study.standings import Recommendation

FAST, SLOW = Contender(engine="fast", time_s=1e-3), Contender(engine="slow", time_s=2e-3)
DRAGGING = Contender(engine="dragging", time_s=9e-3)


def _recommended(found: Contest, *, complete: bool = True) -> Recommendation | None:
    return recommended(ranked(found.cases, found.cells, found.ledger, RULES), RULES, complete=complete)


def _of(*contenders: Contender, **more: object) -> Recommendation:
    found = _recommended(contest(*contenders, **more))
    assert found is not None
    return found


def test_the_fastest_of_most_settings_is_recommended() -> None:
    """With its places, its speed-up over the best float32 of any engine, its answers, and what all of it rests on."""
    found = _of(FAST, replace(SLOW, top1=0.97), float32("other", 3e-3), batches=(1, 8), threads=(1, 2))
    assert (found.answer, found.choice.variant.engine) == ("switch", "fast")
    assert (found.choice.best_in, found.choice.alone_in, found.choice.ranked_in, found.settings) == (4, 4, 4, 4)
    assert found.choice.references == ("other",)
    assert found.choice.speedup is not None
    assert found.choice.speedup.value == pytest.approx(3)
    assert (found.choice.speedup.low, found.choice.speedup.high) == pytest.approx((2.91, 3.09))
    assert (found.choice.sqnr_db, found.choice.top1_change) == (35.0, 0.0)
    assert (found.launches, found.error, found.nearest, found.runner_up) == ((8, 8), 0.05, None, None)


def test_ties_fall_to_the_least_behind_in_the_mean() -> None:
    """Of two that are tied everywhere, the one with the smaller mean ratio; each is best in all and alone in none."""
    near = replace(FAST, engine="a", time_s=1.005e-3)
    found = _of(near, FAST, batches=(1, 2, 4), spread=1e-4)
    assert found.choice.variant.engine == "fast"
    assert (found.choice.best_in, found.choice.alone_in) == (3, 0)


def test_who_takes_every_setting_goes_before_who_is_fast_in_one() -> None:
    """A contender that takes one batch only wins that one: it is the runner-up, with what the choice loses there."""
    narrow = replace(FAST, engine="narrow", time_s=5e-4, batches=(1,))
    found = _of(FAST, narrow, SLOW, batches=(1, 8, 32))
    assert (found.choice.variant.engine, found.choice.best_in) == ("fast", 2)
    assert found.runner_up is not None
    assert found.runner_up.variant.engine == "narrow"
    (win,) = found.runner_up.wins
    assert (win.batch, win.threads) == (1, 1)
    assert win.behind is not None
    assert win.behind.value == pytest.approx(2, rel=0.01)


def test_a_setting_that_the_choice_does_not_take_is_a_win_without_a_ratio() -> None:
    """The choice is not held against the runner-up where it did not run."""
    found = _of(replace(FAST, batches=(1, 2)), SLOW, batches=(1, 2, 4))
    assert found.runner_up is not None
    assert [(win.batch, win.behind) for win in found.runner_up.wins] == [(4, None)]


def test_float32_stays_where_nothing_is_faster() -> None:
    """The best float32 of any engine, with what of reduced precision comes nearest."""
    found = _of(DRAGGING, replace(DRAGGING, engine="worse", time_s=2e-2), float32("other", 3e-3))
    assert (found.answer, found.choice.variant.label) == ("stay", "other float32")
    assert found.nearest is not None
    assert found.nearest.variant.engine == "dragging"


def test_float32_stays_where_nothing_else_holds_its_accuracy() -> None:
    """What is fast and wrong is no choice, and nothing is near."""
    found = _of(*(replace(each, sqnr_db=21.4) for each in (FAST, SLOW)))
    assert (found.answer, found.choice.variant.engine, found.nearest) == ("stay", "torch", None)


def test_what_cannot_be_told_is_said() -> None:
    """Where every verdict is unclear, so is the recommendation; until then float32 is what is sure."""
    as_float32 = [Contender(engine=name, time_s=4e-3) for name in ("first", "second")]
    found = _of(*as_float32)
    assert (found.answer, found.choice.variant.engine) == ("unclear", "torch")
    assert found.nearest is not None


def test_int8_that_is_nowhere_faster_is_no_choice() -> None:
    """Tied with float32 everywhere and a hair ahead is no reason to quantize."""
    found = _of(Contender(engine="hair", time_s=3.99e-3), DRAGGING, spread=1e-4)
    assert (found.answer, found.choice.variant.engine) == ("stay", "torch")


def test_an_unfinished_run_recommends_nothing() -> None:
    """Nor does one with nothing ranked."""
    assert _recommended(contest(FAST, SLOW), complete=False) is None
    assert _recommended(contest(FAST)) is None


def test_a_recommendation_is_json() -> None:
    """What a record keeps is strict JSON."""
    narrow = replace(FAST, engine="narrow", time_s=5e-4, batches=(1,))
    stored = json.loads(json.dumps(documents.written(_of(FAST, narrow, batches=(1, 8, 32))), allow_nan=False))
    assert stored["choice"]["engine"] == "fast"
    assert stored["choice"]["references"] == ["torch"]
    assert stored["runner_up"]["wins"][0]["batch"] == 1
    assert stored["launches"] == [8, 8]
