"""Multiply-adds of the operators of a .tflite file, by the shapes of their tensors. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from int8bench.engines import arithmetic
from int8bench.engines.arithmetic import Shape

_UNTOLD = {"STABLEHLO_COMPOSITE", "CUSTOM", "WHILE", "IF", "CALL_ONCE"}  # with work of their own inside
_LSTM_WEIGHTS = slice(1, 9)  # of the four gates, for the input and for the state


def multiply_adds(name: str, given: Sequence[Shape], answer: Shape) -> int | None:
    """How many an operator makes; 0 of one that makes none, None of one whose shapes do not tell.

    Args:
        name: of the operator in the file format.
        given: shapes of its inputs in their order, () of one that is left out.
        answer: shape of its first output.
    """
    if name in _UNTOLD:
        return None
    return _COUNTED[name](given, answer) if name in _COUNTED else 0


def _lstm(given: Sequence[Shape], _answer: Shape) -> int:
    return arithmetic.recurrent(math.prod(given[0][:-1]), *(each for each in given[_LSTM_WEIGHTS] if each))


_COUNTED: Mapping[str, Callable[[Sequence[Shape], Shape], int]] = {
    "CONV_2D": lambda given, answer: math.prod(answer) * math.prod(given[1][1:]),
    "DEPTHWISE_CONV_2D": lambda given, answer: math.prod(answer) * math.prod(given[1][:-1]),
    "CONV_3D": lambda given, answer: math.prod(answer) * math.prod(given[1][:-1]),
    "TRANSPOSE_CONV": lambda given, _answer: math.prod(given[2]) * math.prod(given[1][:-1]),
    "FULLY_CONNECTED": lambda given, answer: arithmetic.linear(answer, given[1]),
    "BATCH_MATMUL": lambda given, answer: arithmetic.product(given[0], given[1], answer),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
