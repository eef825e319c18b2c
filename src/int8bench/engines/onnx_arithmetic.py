"""Multiply-adds of operators of ONNX and of ONNX Runtime, by the shapes of what goes in and out. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from int8bench.engines import arithmetic
from int8bench.engines.arithmetic import Shape

_CONVOLUTIONS = {"Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"}
_TRANSPOSED = {"ConvTranspose", "QLinearConvTranspose"}
_PRODUCTS = {
    "Gemm",
    "FusedGemm",
    "QGemm",
    "MatMul",
    "FusedMatMul",
    "TransposeMatMul",
    "MatMulInteger",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "QLinearMatMul",
    "DynamicQuantizeMatMul",
    "MatMulNBits",
}
_RECURRENT = {"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"}
_PROJECTED = {"Attention", "QAttention"}  # of Microsoft's domain: with the weights of all projections
_ATTENTION = {"MultiHeadAttention", "GroupQueryAttention"}
_UNTOLD = {"Einsum"}  # what is summed over stands in its equation
_MATRIX = 2


def multiply_adds(name: str, given: Sequence[Shape], answers: Sequence[Shape]) -> int | None:
    """How many an operator makes; 0 of one that makes none, None of one whose shapes do not tell.

    Args:
        name: of the operator's type.
        given: shapes of its inputs in their order; scales and zero points have one axis at most.
        answers: shapes of its outputs.
    """
    matrices = [each for each in given if len(each) >= _MATRIX]
    if name in _UNTOLD:
        return None
    if name not in _CONVOLUTIONS | _TRANSPOSED | _PRODUCTS | _RECURRENT | _PROJECTED | _ATTENTION:
        return 0
    if len(matrices) < _MATRIX or not answers:
        return None
    return _of(name, matrices, answers[0])


def _of(name: str, matrices: Sequence[Shape], answer: Shape) -> int:
    first, second, *others = matrices
    if name in _CONVOLUTIONS:
        return arithmetic.convolution(answer, second)
    if name in _TRANSPOSED:
        return arithmetic.transposed_convolution(first, second)
    if name in _PRODUCTS:
        return arithmetic.product(first, second, answer)
    if name in _RECURRENT:
        return arithmetic.recurrent(math.prod(first[:-1]), second, *others[:1])
    if name in _PROJECTED:
        return math.prod(first[:-1]) * math.prod(second) + 2 * math.prod(answer) * answer[-2]
    return 2 * math.prod(first) * second[-2]  # the weights of attention, and what they make of the values
