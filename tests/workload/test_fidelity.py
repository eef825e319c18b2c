import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from int8bench import documents
from int8bench.errors import EngineError
from int8bench.workload import fidelity
from int8bench.workload.fidelity import LOWEST_SQNR_DB, Fidelity, compare, objection

LOGITS = hnp.arrays(np.float32, (3, 4), elements=st.floats(-100, 100, width=32))


def logits(*rows: list[float]) -> np.ndarray:
    """Logits (image, class)."""
    return np.array(rows, dtype=np.float32)


def slow_sqnr_db(reference: np.ndarray, candidate: np.ndarray) -> float:
    """The formula, number by number."""
    signal = noise = 0.0
    for expected, answered in zip(reference.ravel().tolist(), candidate.ravel().tolist(), strict=True):
        signal += expected**2
        noise += (expected - answered) ** 2
    return 10 * math.log10(signal / noise)


def slow_share(left: list[int], right: list[int]) -> float:
    """How often two lists say the same."""
    return sum(a == b for a, b in zip(left, right, strict=True)) / len(left)


def slow_top(answers: np.ndarray) -> list[int]:
    """The first largest logit of each image."""
    return [max(range(len(row)), key=row.__getitem__) for row in answers.tolist()]


def of_sqnr(value: float | None) -> Fidelity:
    """A finding with that SQNR."""
    return Fidelity(sqnr_db=value, agreement=0.5, top1=None, top1_float32=None)


@pytest.mark.parametrize(
    ("candidate", "expected_db"),
    [
        ([3.0, 4.5], 20.0),  # noise 0.25 of a signal of 25
        ([3.0, 9.0], 0.0),
        ([0.0, 0.0], 0.0),
        ([-3.0, -4.0], -10 * math.log10(4)),
        ([303.0, 404.0], -40.0),
    ],
)
def test_sqnr_has_its_known_values(candidate: list[float], expected_db: float) -> None:
    """Noise of a hundredth of the power is 20 dB; silence is 0 dB; the opposite is -6 dB."""
    assert compare(logits([3.0, 4.0]), logits(candidate)).sqnr_db == pytest.approx(expected_db, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_a_plain_loop(seed: int) -> None:
    """SQNR, agreement and both top-1 shares agree with loops over the numbers."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(size=(50, 10)).astype(np.float32)
    candidate = (reference + rng.normal(scale=0.5, size=reference.shape)).astype(np.float32)
    labels = rng.integers(0, 10, size=50)
    found = compare(reference, candidate, labels)
    assert found.sqnr_db == pytest.approx(slow_sqnr_db(reference, candidate), rel=1e-9)
    assert found.agreement == slow_share(slow_top(reference), slow_top(candidate))
    assert found.top1 == slow_share(slow_top(candidate), labels.tolist())
    assert found.top1_float32 == slow_share(slow_top(reference), labels.tolist())
    assert 0 < found.agreement < 1


def test_equal_answers_have_no_sqnr() -> None:
    """The same answers to the bit give None, not infinity, and full agreement."""
    answers = logits([1.0, 2.0], [3.0, 0.0])
    assert compare(answers, answers.copy()) == Fidelity(
        sqnr_db=None, agreement=1.0, top1=None, top1_float32=None, pictures=2
    )


def test_the_smallest_difference_is_not_equality() -> None:
    """One unit in the last place of one logit is noise."""
    answers = logits([1.0, 2.0])
    other = answers.copy()
    other[0, 0] = np.nextafter(other[0, 0], np.float32(2))
    assert 100 < compare(answers, other).sqnr_db < 200


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_a_model_that_answers_zeros_has_the_worst_sqnr(size: float) -> None:
    """No signal is a finite, hopeless SQNR whatever the candidate says."""
    found = compare(logits([0.0, 0.0]), logits([size, 0.0]))
    assert found.sqnr_db is not None
    assert math.isfinite(found.sqnr_db)
    assert objection(found) is not None


@settings(deadline=None, derandomize=True)
@given(reference=LOGITS, candidate=LOGITS, factor=st.sampled_from([2.0**-10, 0.5, 4.0, 2.0**10]))
def test_scaling_both_changes_nothing(reference: np.ndarray, candidate: np.ndarray, factor: float) -> None:
    """SQNR and agreement are of ratios, where a float32 that small loses no digit to the factor."""
    assume(all(np.array_equal(each * factor / factor, each) for each in (reference, candidate)))
    plain, scaled = compare(reference, candidate), compare(reference * factor, candidate * factor)
    assert scaled.agreement == plain.agreement
    if plain.sqnr_db is not None and np.abs(reference).max() > 1e-3 < np.abs(reference - candidate).max():
        assert scaled.sqnr_db == pytest.approx(plain.sqnr_db, abs=1e-6)


@settings(deadline=None, derandomize=True)
@given(reference=LOGITS, candidate=LOGITS, order=st.permutations(range(3)))
def test_the_order_of_images_changes_nothing(reference: np.ndarray, candidate: np.ndarray, order: list[int]) -> None:
    """Images may come in any order."""
    plain, shuffled = compare(reference, candidate), compare(reference[order], candidate[order])
    assert shuffled.agreement == plain.agreement
    assert (plain.sqnr_db is None) == (shuffled.sqnr_db is None)
    assert plain.sqnr_db is None or shuffled.sqnr_db == pytest.approx(plain.sqnr_db, abs=1e-9)


@pytest.mark.parametrize(
    ("reference", "candidate", "sentence"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), r"shape \(2, 4\), expected \(2, 3\)"),
        (np.zeros((2, 3)), np.zeros((3, 3)), r"shape \(3, 3\), expected \(2, 3\)"),
        (np.zeros((2, 3)), np.zeros(6), r"shape \(6,\), expected \(2, 3\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), r"shape \(0, 3\)"),
    ],
)
def test_answers_of_another_shape_are_refused(reference: np.ndarray, candidate: np.ndarray, sentence: str) -> None:
    """Another shape, or nothing at all, is no answer."""
    with pytest.raises(EngineError, match=sentence):
        compare(reference.astype(np.float32), candidate.astype(np.float32))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_answers_that_are_not_finite_are_refused(bad: float) -> None:
    """Neither side may answer with what is no number; the message says which did."""
    good, broken = logits([1.0, 2.0]), logits([1.0, bad])
    with pytest.raises(EngineError, match=r"^answers are not finite"):
        compare(good, broken)
    with pytest.raises(EngineError, match=r"^float32's own answers are not finite"):
        compare(broken, good)


@pytest.mark.parametrize("value", [None, LOWEST_SQNR_DB, 30.0])
def test_answers_that_are_near_enough_meet_no_objection(value: float | None) -> None:
    """At the threshold and above it, and for equal answers, a contender is timed."""
    assert objection(of_sqnr(value)) is None


@pytest.mark.parametrize("value", [math.nextafter(LOWEST_SQNR_DB, 0), 2.9, 0.0, -40.0])
def test_wrong_answers_meet_an_objection(value: float) -> None:
    """Below the threshold the sentence has the figure, the threshold and the agreement."""
    sentence = objection(of_sqnr(value))
    assert sentence is not None
    assert f"{value:.1f} dB" in sentence
    assert f"{LOWEST_SQNR_DB:.0f} dB or more" in sentence
    assert "50% of the top classes" in sentence


def test_the_threshold_tells_saturated_from_shuffled() -> None:
    """Noise of a tenth of the amplitude passes; a model with its classes shuffled does not."""
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(200, 10)).astype(np.float32)
    noisy = reference * np.float32(0.9)
    assert objection(compare(reference, noisy)) is None
    assert objection(compare(reference, np.roll(reference, 1, axis=1))) is not None


def test_a_record_keeps_every_figure() -> None:
    """The JSON form has the fields of the record's schema, by name."""
    found = Fidelity(sqnr_db=30.0, agreement=0.99, top1=0.97, top1_float32=0.98, pictures=8)
    told = {"sqnr_db": 30.0, "agreement": 0.99, "top1": 0.97, "top1_float32": 0.98}
    assert documents.written(found) == {**told, "constant": False, "constant_float32": False, "pictures": 8}
    assert list(documents.written(found)) == list(fidelity.Fidelity.__dataclass_fields__)


@pytest.mark.parametrize(
    ("reference", "candidate", "constant"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], [[1.0, 2.0], [1.0, 2.0]], (True, True)),
        ([[1.0, 2.0], [1.0, 2.0000002]], [[1.0, 2.1], [1.0, 2.2]], (True, False)),
        ([[1.0, 2.0], [1.0, 2.001]], [[1.0, 2.0], [1.0, 2.0]], (False, True)),
        ([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.1]], (True, False)),
        ([[1.0, 2.0]], [[1.0, 2.0]], (False, False)),
    ],
    ids=["both", "up to rounding", "int8 alone", "zeros", "one picture tells nothing"],
)
def test_answers_that_no_picture_changes_are_constant(
    reference: list[list[float]], candidate: list[list[float]], constant: tuple[bool, bool]
) -> None:
    """On either side, of two pictures or more; a thousandth is a difference, a rounding error is none."""
    found = compare(logits(*reference), logits(*candidate))
    assert (found.constant_float32, found.constant) == constant
