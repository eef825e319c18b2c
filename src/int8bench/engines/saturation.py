"""The measured saturation probe: an engine's layers on this CPU, held against exact integer arithmetic.

Without VNNI or AMX, x86 kernels multiply unsigned activations by signed weights with ``vpmaddubsw``, which adds two
products into 16 bits and saturates: 255 * 127 * 2 is twice what fits. The layers here are made of such products.
Measures numbers, never time; the NumPy half is pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from int8bench.engines.base import Images, Material
from int8bench.engines.torch.int8 import QuantizedEngine, is_packed
from int8bench.errors import EngineError
from int8bench.machine.finding import EXACT_INTEGERS, SaturationProbe
from int8bench.workload.cases import Group, int8_variant

if TYPE_CHECKING:
    import torch
    from torch import nn

Integers = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Numbers = TypeVar("Numbers", Integers, Reals)

PROBED = ("fbgemm", "x86", "onednn", "qnnpack")

_CHANNELS = 32  # a multiple of 4, so that no kernel pads its groups of 4 products with zeros
_OUTPUTS = 16
_SIDE = 8
_KERNEL = 3
_PICTURES = 8
_SMALLEST = 0.8  # of the largest value: two adjacent products then make 0.64 to 1 of 64,770, beyond 32,767
_U8_MAX = 255
_DB_PER_DECADE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedLayer:
    """The numbers that a quantized layer holds, zero points of the weights already subtracted."""

    weights: Integers
    """(output, channel, kernel row, kernel column), or (output, feature)"""
    weight_scales: Reals
    """(output,)"""
    bias: Reals
    """(output,), real-valued"""
    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int


def probe(engine: str) -> SaturationProbe:
    """Return the probe of an engine on this CPU: the worse of a convolution and a linear layer.

    Sets the process's quantized engine; leaves its thread count alone.

    Raises:
        EngineError: the engine has no probe, or is not in this build of torch.
    """
    if engine not in PROBED:
        raise EngineError(f"{engine}: no saturation probe, expected one of {', '.join(PROBED)}")
    return worst(engine, [_measured(engine, layer) for layer in _layers()])


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturationComparison:
    """An engine's output against the exact one: SQNR in dB, the SQNR of being one step off everywhere, and its size."""

    sqnr_db: float
    one_step_db: float
    size: float
    """What is left of the exact output: 1 is all of it."""

    @property
    def saturates(self) -> bool:
        """Whether the error is beyond rounding, and a loss.

        Rounding to the output's grid errs by half a step at most, so exact accumulation, even with a requantization
        that is off by one here and there, stays on the good side of one step everywhere. A saturated 16-bit sum
        loses up to half of the value; it never gains, as a wrong scale may.
        """
        return self.sqnr_db < self.one_step_db and self.size < 1.0


def worst(engine: str, comparisons: list[SaturationComparison], *, against: str = EXACT_INTEGERS) -> SaturationProbe:
    """Return the probe of an engine from the comparisons of its layers, at least one.

    Args:
        engine: that was probed.
        comparisons: of its layers.
        against: what its answers were held against.
    """
    return SaturationProbe(
        engine=engine,
        sqnr_db=min(comparison.sqnr_db for comparison in comparisons),
        saturates=any(comparison.saturates for comparison in comparisons),
        against=against,
    )


def exact(layer: QuantizedLayer, activations: Integers) -> Reals:
    """Return the output of a layer if no sum saturates and nothing is rounded: (image, output[, row, column]).

    Only the range of the output is respected, as its 8 bits cannot say more.

    Args:
        layer: its quantized numbers.
        activations: quantized, (image, channel, row, column) or (image, feature).
    """
    centred = activations - layer.input_zero_point
    sums = convolved(centred, layer.weights) if centred.ndim > 2 else centred @ layer.weights.T  # noqa: PLR2004  pictures
    by_output = (slice(None), *(np.newaxis,) * (sums.ndim - 2))
    values = sums * (layer.input_scale * layer.weight_scales)[by_output] + layer.bias[by_output]
    lowest = -layer.output_zero_point * layer.output_scale
    return np.clip(values, lowest, lowest + _U8_MAX * layer.output_scale)


def compare(expected: Reals, answered: Reals, *, output_scale: float) -> SaturationComparison:
    """Return the comparison of an output with the exact one: SQNR = 20 log10(rms(exact) / rms(error)).

    Args:
        expected: exact values, in any shape.
        answered: the engine's, in the same shape.
        output_scale: the step of its output.
    """
    return held_against(expected, answered, one_step=np.full_like(expected, output_scale))


def held_against(expected: Reals, answered: Reals, *, one_step: Reals) -> SaturationComparison:
    """Return the comparison of an output with the exact one, where each value has a step of its own.

    Args:
        expected: exact values, in any shape.
        answered: the engine's, in the same shape.
        one_step: the error of being one step off, in the same shape.
    """
    signal = _rms(expected)
    return SaturationComparison(
        sqnr_db=_decibels(signal, _rms(answered - expected)),
        one_step_db=_decibels(signal, _rms(one_step)),
        size=float(np.vdot(answered, expected) / np.vdot(expected, expected)),
    )


def saturating_pictures(rng: np.random.Generator, *shape: int) -> Images:
    """Return activations near the top of their range: quantized, all lie near 255 (127 if range is reduced).

    Args:
        rng: draws them.
        shape: (image, channel, height, width).
    """
    return rng.uniform(_SMALLEST, 1.0, shape).astype(np.float32)


def saturating_weights(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    """Return weights near plus or minus their largest, of one sign within an output, so that no products cancel.

    Args:
        rng: draws them.
        shape: output channels first.
    """
    signs = np.where(np.arange(shape[0]) % 2 == 0, 1.0, -1.0).reshape(-1, *(1,) * (len(shape) - 1))
    return (signs * rng.uniform(_SMALLEST, 1.0, shape)).astype(np.float32)


def convolved(images: Numbers, weights: Numbers) -> Numbers:
    """Return the convolution of images without padding, at stride 1: (image, output, row, column).

    Args:
        images: (image, channel, row, column).
        weights: (output, channel, kernel row, kernel column).
    """
    windows = np.lib.stride_tricks.sliding_window_view(images, weights.shape[2:], axis=(2, 3))
    sums: Numbers = np.einsum("icyxhw,ochw->ioyx", windows, weights, optimize=True)
    return sums


def _rms(values: Reals) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def _decibels(signal: float, error: float) -> float:
    return float("inf") if error == 0.0 else _DB_PER_DECADE * float(np.log10(signal / error))


def _layers() -> tuple[nn.Module, ...]:
    """Return a convolution and a linear layer, each alone in a model that takes pictures."""
    from torch import nn

    convolution = nn.Sequential(nn.Conv2d(_CHANNELS, _OUTPUTS, _KERNEL))
    linear = nn.Sequential(nn.Flatten(), nn.Linear(_CHANNELS * _SIDE * _SIDE, _OUTPUTS))
    return convolution, linear


def _measured(engine: str, model: nn.Module) -> SaturationComparison:
    import torch

    rng = np.random.default_rng(0)  # the same layer on every machine
    _saturate(model, rng)
    pictures = saturating_pictures(rng, _PICTURES, _CHANNELS, _SIDE, _SIDE)
    built = QuantizedEngine(name=engine)
    material = Material(model=model, calibration=pictures, example=pictures)
    prepared = built.prepare(int8_variant(engine), material)
    module = built.build(prepared, Group(batch=_PICTURES, threads=torch.get_num_threads())).module
    layer, activations = _numbers_of(module, pictures)
    with torch.inference_mode():
        answered = module(torch.from_numpy(pictures)).numpy().astype(np.float64)
    return compare(exact(layer, activations), answered, output_scale=layer.output_scale)


def _saturate(model: nn.Module, rng: np.random.Generator) -> None:
    import torch

    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("weight"):
                parameter.copy_(torch.from_numpy(saturating_weights(rng, *parameter.shape)))
            else:
                parameter.zero_()


def _numbers_of(module: nn.Module, pictures: Images) -> tuple[QuantizedLayer, Integers]:
    """Return the layer that a converted model holds, and the pictures as its input quantizes them."""
    import torch

    layer: Any = next(child for child in module.modules() if is_packed(child))
    scale, zero_point = _input_quantization(module)
    quantized = torch.quantize_per_tensor(torch.from_numpy(pictures), scale, zero_point, torch.quint8)
    activations = quantized.int_repr().numpy().astype(np.int64)
    weight = layer.weight()
    return QuantizedLayer(
        weights=_centred(weight),
        weight_scales=_scales(weight),
        bias=np.zeros(len(weight)),
        input_scale=scale,
        input_zero_point=zero_point,
        output_scale=float(layer.scale),
        output_zero_point=int(layer.zero_point),
    ), activations if weight.ndim > 2 else activations.reshape(len(pictures), -1)  # noqa: PLR2004  pictures


def _input_quantization(module: Any) -> tuple[float, int]:  # noqa: ANN401  a traced module's attributes have no types
    import torch

    node = next(each for each in module.graph.nodes if each.target is torch.quantize_per_tensor)
    scale, zero_point = (getattr(module, str(each.target)) for each in node.args[1:3])
    return float(scale), int(zero_point)


def _centred(weight: torch.Tensor) -> Integers:
    import torch

    values = weight.int_repr().numpy().astype(np.int64)
    if weight.qscheme() == torch.per_tensor_affine:
        return values - int(weight.q_zero_point())
    zero_points = weight.q_per_channel_zero_points().numpy().astype(np.int64)
    centred: Integers = values - zero_points.reshape(-1, *(1,) * (values.ndim - 1))
    return centred


def _scales(weight: torch.Tensor) -> Reals:
    import torch

    if weight.qscheme() == torch.per_tensor_affine:
        return np.full(len(weight), weight.q_scale())
    scales: Reals = weight.q_per_channel_scales().numpy().astype(np.float64)
    return scales
