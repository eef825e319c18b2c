"""From the samples of a duet to its words: each metric's own, the error of all of them kept, and what has no ratio."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest

from int8bench.compare.comparisons import Comparison, Metric
from int8bench.compare.duet import judged
from int8bench.compare.duet.samples import DuetSamples, Load, PairedFork, TrackedNumbers
from int8bench.lab.agent.suites.suite import TIME, TRACK
from int8bench.stats import limits
from int8bench.stats.verdict import Looks, default_looks

LOOKS = Looks(launches=(4,))
ERROR = 0.001
STEADY = (0.0, 0.0001, -0.0001, 0.0)  # launches that hardly differ
CELL, FLOAT32 = "fbgemm/b1/t1", "float32/b1/t1"


def _forks(
    log_ratio: float, spread: Sequence[float] = STEADY, *, launches: Sequence[int] | None = None
) -> list[PairedFork]:
    return [
        PairedFork(
            launch=launch, fork=0, calls=1, base_s=(1.0, 1.0), head_s=(1.0, 1.0), kept=(1, 0), log_ratio=log_ratio + d
        )
        for launch, d in zip(launches or range(len(spread)), spread, strict=True)
    ]


def _numbers(metric: str, *sides: tuple[float | None, float | None]) -> list[TrackedNumbers]:
    return [
        TrackedNumbers(
            launch=launch,
            base={} if base is None else {metric: base},
            head={} if head is None else {metric: head},
        )
        for launch, (base, head) in enumerate(sides)
    ]


def _compared(names: Mapping[str, str], samples: DuetSamples, *, error: float = ERROR) -> dict[Metric, Comparison]:
    """The comparisons of one benchmark, by metric."""
    return {each.metric: each for each in judged.comparisons(names, samples, LOOKS, LOOKS, error)}


def _timed(log_ratio: float, spread: Sequence[float] = STEADY) -> Comparison:
    return _compared({"time_it": TIME}, DuetSamples(forks={"time_it": _forks(log_ratio, spread)}))[Metric.TIME]


def _tracked(metric: str, *sides: tuple[float | None, float | None]) -> Comparison:
    found = _compared({"it": TRACK}, DuetSamples(numbers={"it": _numbers(metric, *sides)}))
    assert len(found) == 1
    return next(iter(found.values()))


@pytest.mark.parametrize(
    ("ratio", "word"), [(1.5, "slower"), (1.03, "slower"), (1.0, "same"), (1.005, "same"), (0.95, "faster")]
)
def test_times_have_the_words_of_people(ratio: float, word: str) -> None:
    """Above 1 head takes longer; up to 1 % either way is the same; the figures are those of the launches."""
    found = _timed(math.log(ratio))
    assert found.verdict == word
    assert found.ratio is not None
    assert found.ratio.low < found.ratio.value < found.ratio.high
    assert found.ratio.value == pytest.approx(ratio)
    assert (found.launches, found.forks, found.pairs, found.reason) == (4, 4, 4, None)
    assert found.smallest_visible_effect is not None
    assert 0 < found.smallest_visible_effect < 0.01


def test_what_is_unclear_says_why_and_what_it_would_take() -> None:
    """The interval, the margin, and how many more launches."""
    found = _timed(0.02, (0.03, -0.03, 0.02, -0.02))
    assert found.verdict == "unclear"
    assert found.reason is not None
    assert "holds 1 and is wider than the margin of 1%" in found.reason
    assert found.reason.endswith("more launches would settle it")


@pytest.mark.parametrize("launches", [0, 1, 2])
def test_too_few_launches_are_no_verdict(launches: int) -> None:
    """However sure they look; it is said how many there are."""
    found = _timed(1.0, STEADY[:launches])
    assert found.verdict == "unclear"
    assert found.reason is not None
    assert found.reason.startswith(f"{launches} launches, ")


def test_throughput_is_judged_with_its_own_words() -> None:
    """More of it is better; it has one look."""
    loads = [Load(launch=i, log_ratio=math.log(0.9) + d) for i, d in enumerate(STEADY)]
    found = _compared({CELL: TIME}, DuetSamples(forks={CELL: _forks(0.0)}, loads={CELL: loads}))
    assert found[Metric.TIME].verdict == "same"
    assert found[Metric.THROUGHPUT].verdict == "less"
    assert found[Metric.THROUGHPUT].worse_by == pytest.approx(1 / 0.9 - 1)


@pytest.mark.parametrize(
    ("float32", "int8", "word", "ratio"),
    [(1.0, 1.25, "less", 0.8), (1.25, 1.0, "more", 1.25), (1.25, 1.25, "same", 1.0)],
)
def test_a_speed_up_comes_from_two_cells(float32: float, int8: float, word: str, ratio: float) -> None:
    """Of head over base: what made both cells slower leaves it as it was."""
    samples = DuetSamples(forks={FLOAT32: _forks(math.log(float32)), CELL: _forks(math.log(int8))})
    found = judged.comparisons({FLOAT32: TIME, CELL: TIME}, samples, LOOKS, LOOKS, ERROR)
    (speedup,) = [each for each in found if each.metric is Metric.SPEEDUP]
    assert speedup.id == CELL
    assert speedup.verdict == word
    assert speedup.ratio is not None
    assert speedup.ratio.value == pytest.approx(ratio)


def test_a_speed_up_pairs_forks_of_the_same_launch() -> None:
    """A launch that only one of both has is left out, and what a launch does to both is gone."""
    luck = (0.3, -0.2, 0.1, -0.2)
    samples = DuetSamples(
        forks={
            FLOAT32: _forks(0.0, luck),
            CELL: _forks(math.log(1.1), (*luck, 7.0), launches=(0, 1, 2, 3, 4)),
        }
    )
    found = judged.comparisons({FLOAT32: TIME, CELL: TIME}, samples, LOOKS, LOOKS, ERROR)
    (speedup,) = [each for each in found if each.metric is Metric.SPEEDUP]
    assert (speedup.verdict, speedup.launches) == ("less", 4)
    assert speedup.ratio is not None
    assert speedup.ratio.value == pytest.approx(1 / 1.1)


def test_without_its_float32_a_cell_has_no_speed_up() -> None:
    """Nor has one whose float32 was given up, nor a benchmark of another suite."""
    for samples in (
        DuetSamples(forks={CELL: _forks(0.0)}),
        DuetSamples(forks={CELL: _forks(0.0)}, stopped={FLOAT32: "head: it broke"}),
    ):
        assert Metric.SPEEDUP not in _compared({FLOAT32: TIME, CELL: TIME}, samples)


@pytest.mark.parametrize(
    ("metric", "head", "word"),
    [
        ("weights", 1001.0, "more"),
        ("weights", 999.0, "less"),
        ("weights", 1000.0, "same"),
        ("sqnr", 999.9, "less"),
        ("top1", 999.0, "less"),
        ("peak_memory", 1100.0, "more"),
        ("peak_memory", 1005.0, "same"),
        ("value", 1100.0, "more"),
        ("value", 1005.0, "same"),
    ],
)
def test_numbers_without_noise_are_sure(metric: str, head: float, word: str) -> None:
    """Of weights, SQNR and top-1 any difference is one; the others have the margin."""
    found = _tracked(metric, *[(1000.0, head)] * 4)
    assert found.verdict == word
    assert found.ratio is not None
    assert found.ratio.low == found.ratio.high == pytest.approx(head / 1000)
    assert found.smallest_visible_effect == 0


def test_a_number_of_a_suite_is_one_that_it_tracks() -> None:
    """Whatever the suite calls it; nobody said which way is worse."""
    found = _tracked("value", *[(10.0, 20.0)] * 4)
    assert (found.metric, found.verdict, found.worse_by) == (Metric.TRACKED, "more", 0.0)


@pytest.mark.parametrize(
    ("metric", "sides", "verdict", "reason"),
    [
        ("top1", [(0.9, 0.0)] * 4, "less", "nothing of it is left in head"),
        ("sqnr", [(30.0, -2.0)] * 4, "less", "nothing of it is left in head"),
        ("value", [(5.0, -5.0)] * 4, "unclear", "base is 5, head is -5: there is no ratio of these"),
        ("peak_memory", [(0.0, 8e6)] * 4, "unclear", "base is 0, head is 8e+06: there is no ratio of these"),
        ("value", [(-1.0, -2.0)] * 4, "unclear", "base is -1, head is -2: there is no ratio of these"),
        ("value", [(0.0, 0.0)] * 4, "same", None),
        ("value", [(-3.0, -3.0)] * 4, "same", None),
        ("value", [(math.inf, math.inf)] * 4, "same", None),
        ("value", [(math.nan, 1.0)] * 4, "unclear", "base is nan"),
        ("value", [(1.0, math.inf)] * 4, "unclear", "head is inf"),
        ("sqnr", [(30.0, None)] * 4, "unclear", "head has no sqnr"),
        ("sqnr", [(None, 30.0)] * 4, "unclear", "base has no sqnr"),
        ("top1", [(0.9, 0.0), (0.9, 0.9), (0.9, 0.9), (0.9, 0.9)], "unclear", "there is no ratio"),
        ("value", [(1.0, 1e300), (1.0, 1e-300), (1.0, 1e300), (1e300, 1.0)], "unclear", "more than any ratio can say"),
    ],
)
def test_what_has_no_ratio_says_so(
    metric: str, sides: list[tuple[float | None, float | None]], verdict: str, reason: str | None
) -> None:
    """Numbers that vanish, appear, change their sign, or are none; the same numbers are the same, whatever they are."""
    found = _tracked(metric, *sides)
    assert found.verdict == verdict
    assert (found.reason is None) if reason is None else (found.reason is not None and reason in found.reason)


def test_an_accuracy_that_vanishes_is_bad_news() -> None:
    """As bad as can be, with a ratio that JSON has."""
    found = _tracked("top1", *[(0.9, 0.0)] * 4)
    assert found.worse_by == math.inf
    assert found.ratio is not None
    assert (found.ratio.value, found.launches) == (0.0, 4)


def test_several_metrics_of_one_benchmark_are_judged_each() -> None:
    """Under the id that a person knows the cell by."""
    both = [
        TrackedNumbers(launch=i, base={"weights": 4.0, "top1": 0.9}, head={"weights": 4.0, "top1": 0.8})
        for i in range(4)
    ]
    found = judged.comparisons(
        {"fbgemm#answers": TRACK}, DuetSamples(numbers={"fbgemm#answers": both}), LOOKS, LOOKS, ERROR
    )
    assert {(each.id, each.metric.value, each.verdict) for each in found} == {
        ("fbgemm", "weights", "same"),
        ("fbgemm", "top1", "less"),
    }


def test_what_is_given_up_or_not_measured_yet_is_a_row_with_its_reason() -> None:
    """Never a verdict, and never missing."""
    samples = DuetSamples(stopped={"a": "head: ValueError: no"})
    found = judged.comparisons({"a": TIME, "b": TIME, "c": TRACK}, samples, LOOKS, LOOKS, ERROR)
    assert [(each.id, each.verdict, each.ratio) for each in found] == [
        ("a", "unclear", None),
        ("b", "unclear", None),
        ("c", "unclear", None),
    ]
    assert [each.reason for each in found][::2] == ["head: ValueError: no", "not measured yet"]


@pytest.mark.parametrize(
    "names",
    [
        {f"time_{i}": TIME for i in range(60)},
        {f"track_{i}": TRACK for i in range(60)},
        {f"{contender}/b{i}/t1": TIME for contender in ("float32", "x86", "fbgemm", "qnnpack") for i in range(40)},
    ],
    ids=["times", "numbers", "speed-ups"],
)
def test_the_error_of_all_comparisons_together_is_bounded(names: dict[str, str]) -> None:
    """However many there may be: each one's share is small enough."""
    samples = DuetSamples(
        forks={name: _forks(0.0) for name, kind in names.items() if kind == TIME},
        loads={name: [Load(launch=i, log_ratio=0.0) for i in range(4)] for name in names if "/" in name},
        numbers={
            name: [TrackedNumbers(launch=0, base={"weights": 1.0, "top1": 1.0, "sqnr": 1.0}, head={})]
            for name, kind in names.items()
            if kind == TRACK
        },
    )
    error = judged.error_of_each(names)
    made = len(judged.comparisons(names, samples, LOOKS, LOOKS, error))
    assert made * error <= limits.FAMILY_ERROR_RATE


def test_few_comparisons_have_the_declared_error_each() -> None:
    """And a suite of nothing is no fault."""
    assert judged.error_of_each({"a": TIME}) == limits.ERROR_RATE
    assert judged.error_of_each({}) == limits.ERROR_RATE
    assert judged.error_of_each({"a": TIME}, each=0.5, family=0.1) == pytest.approx(0.1 / 3)


@pytest.mark.parametrize(
    ("log_ratio", "spread", "settled"),
    [(0.5, STEADY, True), (0.0, STEADY, True), (0.02, (0.3, -0.3, 0.2, -0.2), False), (0.5, STEADY[:2], False)],
)
def test_what_has_a_verdict_is_settled(log_ratio: float, spread: Sequence[float], *, settled: bool) -> None:
    """Too few launches or too much noise are not; what was given up is."""
    samples = DuetSamples(forks={"a": _forks(log_ratio, spread)})
    assert judged.is_settled("a", samples, LOOKS, ERROR) is settled
    samples.drop("a", "it broke", among=samples.stopped)
    assert judged.is_settled("a", samples, LOOKS, ERROR)


def _looked_at(differences: np.ndarray, looks: Looks, error: float) -> Comparison:
    """The comparison where the race stopped: at the first look with a verdict, or at the last."""
    samples, last = DuetSamples(forks={"a": []}), None
    for begin, end in pairwise((0, *looks.launches)):
        samples.forks["a"] += _forks(0.0, differences[begin:end], launches=range(begin, end))
        (last,) = judged.comparisons({"a": TIME}, samples, looks, looks, error)
        if judged.is_settled("a", samples, looks, error):
            break
    assert last is not None
    return last


@pytest.mark.parametrize("most", [4, 12])
def test_alike_sides_are_called_different_no_more_often_than_declared(most: int) -> None:
    """A against A at an error of 0.05, stopping at whichever look says something: 800 races, seeded."""
    rng, looks = np.random.default_rng(5), default_looks(most)
    found = [_looked_at(rng.normal(scale=0.02, size=most), looks, 0.05) for _ in range(800)]
    alarms = sum(each.verdict in {"faster", "slower"} for each in found)
    assert alarms <= 0.05 * 800 + 2 * math.sqrt(0.05 * 0.95 * 800)
    missed = sum(each.ratio is None or not each.ratio.low <= 1 <= each.ratio.high for each in found)
    assert missed <= 0.05 * 800 + 2 * math.sqrt(0.05 * 0.95 * 800)


def test_a_slow_down_is_seen() -> None:
    """3 % where launches spread by 0.5 %, at an error of 0.001: nearly always, and never the other way round."""
    rng, looks = np.random.default_rng(6), default_looks(12)
    found = [_looked_at(rng.normal(math.log(1.03), 0.005, size=12), looks, ERROR).verdict for _ in range(200)]
    assert found.count("slower") >= 0.95 * 200
    assert "faster" not in found


def test_what_would_have_been_seen_is_seen_so_often() -> None:
    """The effect that a race says it would have called with 95 % probability, made: it is."""
    rng = np.random.default_rng(8)
    visible = [_timed(0.0, rng.normal(scale=0.01, size=4)).smallest_visible_effect for _ in range(300)]
    typical = float(np.median([each for each in visible if each is not None]))
    seen = [_timed(math.log1p(typical), rng.normal(scale=0.01, size=4)).verdict for _ in range(300)]
    assert seen.count("slower") >= 0.75 * 300  # the effect is itself estimated from four launches
