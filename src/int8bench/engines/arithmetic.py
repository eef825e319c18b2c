"""How many multiply-adds an operator makes, by the shapes of its tensors: what its share of a model's work is. Pure.

The number of elements decides, so layouts need not be known: blocked or channels-last shapes give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

Shape: TypeAlias = Sequence[int]
_MATRIX = 2  # the last axes, which a product sums over; those before are of the batch


def convolution(answer: Shape, weights: Shape) -> int:
    """Of a convolution, whatever its groups, stride and padding.

    Args:
        answer: in any layout.
        weights: (output channel, input channel of a group, ...), the kernel in any order.
    """
    return math.prod(answer) * math.prod(weights[1:])


def transposed_convolution(given: Shape, weights: Shape) -> int:
    """Of a transposed convolution: each element of its input meets each weight of its channel.

    Args:
        given: the input, in any layout.
        weights: (input channel, output channel of a group, ...).
    """
    return math.prod(given) * math.prod(weights[1:])


def linear(answer: Shape, weights: Shape) -> int:
    """Of a linear layer.

    Args:
        answer: (..., output feature).
        weights: of both features, in any order.
    """
    return math.prod(answer) * math.prod(weights) // answer[-1] if answer and answer[-1] else 0


def product(left: Shape, right: Shape, answer: Shape) -> int:
    """Of a matrix product, transposed or not, of a batch or not: the elements of the answer times the axis summed over.

    Of axes M x K, K x N and M x N, the product of the first two over the third is K squared.
    """
    sizes = [math.prod(each[-_MATRIX:]) for each in (left, right, answer)]
    if not all(sizes):
        return 0
    return math.prod(answer) * math.isqrt(sizes[0] * sizes[1] // sizes[2])


def recurrent(steps: int, *weights: Shape) -> int:
    """Of a recurrent layer: every weight once a step and sequence.

    Args:
        steps: of all sequences of a batch.
        weights: those of the input and of the state.
    """
    return steps * sum(map(math.prod, weights))
