"""The model that is made to saturate, answered by arithmetic that is played here: needs no engine, no processor."""

import numpy as np
import pytest

from int8bench.engines import saturation_model
from int8bench.engines.saturation_model import CLASSES, CONVOLVED, KERNEL, OUTPUTS, PICTURES, SHAPE, judged, pictures
from int8bench.errors import EngineError

INT16 = 2**15


def answered(*, inputs: int = 255, weights: int = 127, in_16_bits: bool = False, offset: int = 0) -> np.ndarray:
    """What an engine answers whose inputs and weights have so many steps from 0 up, and outputs 127.

    Args:
        inputs: steps of a picture from 0 to its largest.
        weights: steps of a weight from 0 to the largest of its output.
        in_16_bits: whether pairs of products are added with saturation, as vpmaddubsw does.
        offset: what is added to every weight's step: a requantization that is off.
    """
    quantized = np.rint(pictures().astype(np.float64) * inputs / pictures().max())
    scale = float(pictures().max()) / inputs
    convolution, linear = saturation_model._weights()
    windows = np.lib.stride_tricks.sliding_window_view(quantized, (KERNEL, KERNEL), axis=(2, 3))
    rows = windows.transpose(0, 2, 3, 4, 5, 1).reshape(PICTURES, -1, SHAPE[0] * KERNEL**2)  # channels are innermost
    by_channel = convolution.transpose(0, 2, 3, 1).reshape(OUTPUTS, -1)
    convolved = _layer(rows, by_channel, weights, in_16_bits=in_16_bits, offset=offset).transpose(0, 2, 1)
    flat = quantized.reshape(PICTURES, 1, -1)
    answers = _layer(flat, linear, weights, in_16_bits=in_16_bits, offset=offset)
    both = scale * np.concatenate([convolved.reshape(PICTURES, -1), answers.reshape(PICTURES, -1)], axis=1)
    step = np.abs(both).max() / 127
    return (np.rint(both / step) * step).astype(np.float32)


def _layer(rows: np.ndarray, weights: np.ndarray, steps: int, *, in_16_bits: bool, offset: int) -> np.ndarray:
    """Integer sums in the size of the weights: (image, position, output)."""
    scales = np.abs(weights).max(axis=1) / steps
    quantized = np.rint(weights / scales[:, None]) + offset
    products = rows[:, :, None, :] * quantized
    pairs = products[..., ::2] + products[..., 1::2]
    if in_16_bits:
        pairs = np.clip(pairs, -INT16, INT16 - 1)
    return pairs.sum(axis=-1) * scales


@pytest.mark.parametrize(
    ("arithmetic", "least_db"),
    [
        ({}, 45),
        ({"inputs": 127, "in_16_bits": True}, 40),
        ({"weights": 63, "in_16_bits": True}, 38),
        ({"inputs": 127, "weights": 63}, 38),
    ],
    ids=["32 bits", "16 bits, inputs on 7", "16 bits, weights on 7", "both on 7"],
)
def test_exact_arithmetic_is_told_as_such(arithmetic, least_db):
    """Wide sums at full range, and 16-bit sums at either reduced range, err by rounding alone."""
    found = judged("theirs", answered(**arithmetic))
    assert not found.saturates
    assert found.sqnr_db > least_db
    assert (found.engine, found.against) == ("theirs", "float32")


def test_sixteen_bits_at_full_range_saturate():
    """Pairs of products that do not fit lose a third of the answer, as far from rounding as 30 dB from 9."""
    found = judged("theirs", answered(in_16_bits=True))
    assert found.saturates
    assert found.sqnr_db < 14


@pytest.mark.parametrize("layer", [slice(0, CONVOLVED), slice(CONVOLVED, CLASSES)], ids=["convolution", "linear"])
def test_one_layer_that_saturates_is_enough(layer):
    """The other may be computed by another kernel, and cannot hide it, however few its answers are."""
    answers = answered()
    answers[:, layer] = answered(in_16_bits=True)[:, layer]
    assert judged("theirs", answers).saturates


def test_one_step_off_is_no_saturation():
    """A requantization that is wrong by a step in every weight, on top of rounding, is not taken for it."""
    assert not judged("theirs", answered(offset=1)).saturates
    assert judged("theirs", answered(offset=1)).sqnr_db < judged("theirs", answered()).sqnr_db


def test_the_limit_is_where_it_was_derived():
    """One step off everywhere is about 29 dB in both layers: far from what rounding and saturation each give."""
    for layer in saturation_model._layers():
        limit = saturation_model._compared(layer, layer[0](pictures().astype(np.float64), layer[1])).one_step_db
        assert limit == pytest.approx(29, abs=1)


def test_a_wrong_scale_is_no_saturation():
    """Answers that are several times too large are wrong, which fidelity says, and no sum was lost."""
    found = judged("theirs", 3 * answered())
    assert found.sqnr_db < 0
    assert not found.saturates


@pytest.mark.parametrize(
    "answers",
    [np.zeros((PICTURES, CLASSES - 1), np.float32), np.full((PICTURES, CLASSES), np.nan, np.float32)],
    ids=["shape", "not a number"],
)
def test_what_is_no_answer_is_a_sentence(answers):
    """Nothing is concluded from it."""
    with pytest.raises(EngineError, match="theirs: its answers to the model that is made to saturate"):
        judged("theirs", answers)


@pytest.mark.torch
def test_the_model_answers_as_it_is_judged():
    """What torch computes in float32 and what answers are held against are the same, through load_model as well."""
    import torch

    from int8bench.workload.models import load_model

    loaded = load_model(saturation_model.MODEL, num_classes=CLASSES, input_shape=SHAPE)
    assert loaded.num_classes == CLASSES
    with torch.inference_mode():
        answers = loaded.module(torch.from_numpy(pictures())).numpy()
    found = judged("torch", answers)
    assert found.sqnr_db > 100
    largest = [np.abs(branch).max() for branch in (answers[:, :CONVOLVED], answers[:, CONVOLVED:])]
    assert largest[1] == pytest.approx(largest[0], rel=0.05)
