from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from int8bench.engines.base import Images, Logits
from int8bench.engines.fixed_batch import damaged
from int8bench.engines.tflite.predictor import FixedBatchPredictor
from int8bench.errors import EngineError


class Sum:
    """A session that answers a picture with the sums of its channels; keeps what it was given, as LiteRT does."""

    opened = 0

    def __init__(self) -> None:
        """Counts itself."""
        type(self).opened += 1

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """The sums of what the session holds when it is called."""
        self.pictures = pictures
        return lambda: self.pictures.sum(axis=(1, 2))


class Broken(Sum):
    """A session that takes no pictures."""

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """Refuses."""
        raise ValueError(f"no place for {len(pictures)}")


class Picture(Sum):
    """A session whose answers are no logits."""

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """The pictures themselves."""
        return lambda: pictures


def predictor(session: type[Sum] = Sum, batch: int = 4, **changed: Any) -> FixedBatchPredictor:
    """A predictor over a session of that kind."""
    session.opened = 0
    return FixedBatchPredictor(
        name="sum",
        batch=batch,
        content=b"four",
        open_session=session,
        **{"weigh": lambda: 7, "describe": lambda: {"a": 1}, **changed},
    )


def pictures(count: int) -> Images:
    """Pictures (image, channel, height, width) of 3 x 5 x 2."""
    return np.random.default_rng(0).normal(size=(count, 3, 5, 2)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 11])
def test_any_number_of_pictures_is_answered(count: int) -> None:
    """Pictures go in parts of the batch size, the last one filled up; each gets its own answer, in order."""
    asked = pictures(count)
    np.testing.assert_allclose(predictor()(asked), asked.sum(axis=(2, 3)), rtol=1e-5)


def test_one_session_serves_until_it_is_bound() -> None:
    """The session opened at the start answers and is then bound: nothing is packed twice before the timing."""
    built = predictor()
    built(pictures(9))
    built.bind(pictures(4))
    assert Sum.opened == 1


def test_a_bound_call_keeps_its_pictures() -> None:
    """What is asked or bound later, or done to the batch, does not change what a bound call answers."""
    built, batch, other = predictor(), pictures(4), pictures(4) + 1
    call = built.bind(batch)
    expected = batch.sum(axis=(2, 3))
    batch[:] = 0
    second = built.bind(other)
    built(other)
    np.testing.assert_allclose(call(), expected, rtol=1e-5)
    np.testing.assert_allclose(second(), other.sum(axis=(2, 3)), rtol=1e-5)


def test_pictures_of_one_channel_are_copied_too() -> None:
    """Where both layouts are the same in memory, the bound call still has its own pictures."""
    batch = pictures(4)[:, :1].copy()
    call = predictor().bind(batch)
    expected = batch.sum(axis=(2, 3))
    batch[:] = 0
    np.testing.assert_allclose(call(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("session", "expected"),
    [(Broken, r"sum: cannot answer pictures of shape \(4, 3, 5, 2\): ValueError: no place"), (Picture, "expected")],
)
def test_what_a_runtime_cannot_answer_is_an_error(session: type[Sum], expected: str) -> None:
    """A runtime that refuses, or answers something else than logits, is named with the shapes."""
    with pytest.raises(EngineError, match=expected):
        predictor(session)(pictures(2))


def test_evidence_and_weights_are_found_when_asked_and_once() -> None:
    """Neither costs anything before a measurement, and neither is collected twice."""
    asked: list[str] = []
    built = predictor(weigh=lambda: asked.append("weights") or 7, describe=lambda: asked.append("evidence") or {"a": 1})
    assert asked == []
    assert (built.weights_bytes, built.weights_bytes, built.serialized_bytes) == (7, 7, 4)
    assert built.evidence is built.evidence
    assert asked == ["weights", "evidence"]


def test_a_damaged_file_says_what_to_remove() -> None:
    """The error of a file that cannot be opened names it, and how to have it made again."""
    told = str(damaged("litert int8", None, ValueError("not a model")))
    assert told.startswith("litert int8: its converted file cannot be opened (ValueError: not a model); remove")
