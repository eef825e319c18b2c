"""A model whose products do not fit into 16 bits, and what any engine's answers to it say of its arithmetic.

For engines whose quantized numbers cannot be read as torch's can: the model goes through their own conversion like any
other, and the answers are held against real arithmetic. Measures numbers, never time; all but the model is NumPy.

A convolution and a linear layer see the same pictures and answer side by side, within the same range, so that no grid
is coarser than it has to be. What an exact engine may err by follows from its grids: `one_step`. With inputs on 127
steps, weights on 63 and outputs on 127 (7 bits, which engines reduce to where 8 would saturate; none does it to inputs
and weights at once), one whole step off in all of them together, always to the same side, is 29 dB. Rounding is half
of a step at most, to either side, and most of it cancels: 50 dB and more. Where pairs of products of full range are
added in 16 bits, each pair keeps 0.51 to 0.79 of its size, which is 14 dB at best and 8.5 here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from int8bench.engines.base import Images, Logits
from int8bench.engines.saturation import (
    Reals,
    SaturationComparison,
    convolved,
    held_against,
    saturating_pictures,
    saturating_weights,
    worst,
)
from int8bench.errors import EngineError
from int8bench.machine.finding import SaturationProbe

if TYPE_CHECKING:
    from torch import nn

MODEL = "int8bench.engines.saturation_model:probe_model"  # as models.load_model takes it
SHAPE = (32, 8, 8)  # of a picture: channels, a multiple of 4, so that no kernel pads its groups of 4 products
PICTURES = 32
OUTPUTS = 16
KERNEL = 3
CONVOLVED = OUTPUTS * (SHAPE[1] - KERNEL + 1) * (SHAPE[2] - KERNEL + 1)
CLASSES = CONVOLVED + OUTPUTS  # the convolution's answers, then the linear layer's
AGAINST = "float32"

_INPUT_STEPS = 127  # from 0 up; fbgemm's 7 bits of activations
_WEIGHT_STEPS = 63  # to either side of 0; ONNX Runtime's and OpenVINO's 7 bits of weights
_OUTPUT_STEPS = 127  # to either side of 0: 8 bits


def probe_model() -> nn.Module:
    """Return the model, the same on every machine: it takes (image, 32, 8, 8) and gives (image, `CLASSES`)."""
    import torch
    from torch import nn

    class SideBySide(nn.Module):
        """A convolution and a linear layer of the same pictures."""

        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(SHAPE[0], OUTPUTS, KERNEL)
            self.linear = nn.Linear(int(np.prod(SHAPE)), OUTPUTS)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            convolved = torch.flatten(self.convolution(x), 1)
            return torch.cat([convolved, self.linear(torch.flatten(x, 1))], 1)

    model = SideBySide()
    with torch.no_grad():
        for layer, weights in zip((model.convolution, model.linear), _weights(), strict=True):
            layer.get_parameter("weight").copy_(torch.from_numpy(weights.astype(np.float32)))
            nn.init.zeros_(layer.get_parameter("bias"))
    return model.eval()


def pictures() -> Images:
    """Return the pictures that calibrate the model and are put to it: (image, 32, 8, 8)."""
    return saturating_pictures(np.random.default_rng(1), PICTURES, *SHAPE)


def judged(engine: str, answers: Logits) -> SaturationProbe:
    """Return the probe that an engine's answers to `pictures` make; the worse of the two layers counts.

    Args:
        engine: that answered.
        answers: (image, `CLASSES`).

    Raises:
        EngineError: they are not answers to them.
    """
    if answers.shape != (PICTURES, CLASSES) or not np.isfinite(answers).all():
        raise EngineError(f"{engine}: its answers to the model that is made to saturate are no numbers of its shape")
    answered = _branches(answers.astype(np.float64))
    return worst(engine, [_compared(*each) for each in zip(_layers(), answered, strict=True)], against=AGAINST)


def one_step(layer: Callable[[Reals, Reals], Reals], images: Reals, weights: Reals) -> Reals:
    """Return the error of a layer whose inputs, weights and outputs are each one step too large.

    Args:
        layer: computes outputs of images and weights.
        images: not negative.
        weights: (output, ...); all of one output have the same sign.
    """
    sizes = np.abs(weights)
    by_output = (slice(None), *(np.newaxis,) * (weights.ndim - 1))
    largest = sizes.reshape(len(sizes), -1).max(axis=1)
    exact = layer(images, sizes)
    larger = layer(images + images.max() / _INPUT_STEPS, sizes + (largest / _WEIGHT_STEPS)[by_output])
    error: Reals = larger - exact + exact.max() / _OUTPUT_STEPS
    return error


def _compared(layer: _Layer, answered: Reals) -> SaturationComparison:
    function, weights = layer
    images = pictures().astype(np.float64)
    expected = function(images, weights)
    return held_against(expected, answered, one_step=one_step(function, images, weights))


_Layer = tuple[Callable[[Reals, Reals], Reals], Reals]


def _layers() -> tuple[_Layer, _Layer]:
    convolution, linear = _weights()
    return (lambda images, weights: _flat(convolved(images, weights)), convolution), (
        lambda images, weights: _flat(images) @ weights.T,
        linear,
    )


def _weights() -> tuple[Reals, Reals]:
    """Return the weights of the convolution and the linear layer, sized so that both answer within the same range.

    None is tiny: observers of torch's let no scale fall below 2**-12, and round tiny weights to a step or two.
    """
    rng = np.random.default_rng(0)
    convolution = saturating_weights(rng, OUTPUTS, SHAPE[0], KERNEL, KERNEL).astype(np.float64)
    linear = saturating_weights(rng, OUTPUTS, int(np.prod(SHAPE))).astype(np.float64)
    return convolution, linear * (convolution[0].size / linear[0].size)


def _branches(answers: Reals) -> tuple[Reals, Reals]:
    return answers[:, :CONVOLVED], answers[:, CONVOLVED:]


def _flat(values: Reals) -> Reals:
    return values.reshape(len(values), -1)
