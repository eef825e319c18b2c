"""What ran in a forward, operator by operator, how much was int8, and how many multiply-adds each makes. Pure.

One form for every witness. Multiply-adds are told by the shapes of tensors. The number of elements decides, so layouts
need not be known: blocked or channels-last shapes give the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from int8bench.documents import Json

Shape: TypeAlias = Sequence[int]
_MATRIX = 2  # the last axes, which a product sums over; those before are of the batch


def convolution(answer: Shape, weights: Shape) -> int:
    """Return the multiply-adds of a convolution, whatever its groups, stride and padding.

    Args:
        answer: in any layout.
        weights: (output channel, input channel of a group, ...), the kernel in any order.
    """
    return math.prod(answer) * math.prod(weights[1:])


def transposed_convolution(given: Shape, weights: Shape) -> int:
    """Return the multiply-adds of a transposed convolution.

    Each element of its input meets each weight of its channel.

    Args:
        given: the input, in any layout.
        weights: (input channel, output channel of a group, ...).
    """
    return math.prod(given) * math.prod(weights[1:])


def linear(answer: Shape, weights: Shape) -> int:
    """Return the multiply-adds of a linear layer.

    Args:
        answer: (..., output feature).
        weights: of both features, in any order.
    """
    return math.prod(answer) * math.prod(weights) // answer[-1] if answer and answer[-1] else 0


def product(left: Shape, right: Shape, answer: Shape) -> int:
    """Return the multiply-adds of a matrix product, transposed or not, of a batch or not.

    They are the elements of the answer times the axis summed over. Of axes M x K, K x N and M x N, the product of the
    first two over the third is K squared.

    Args:
        left: (..., M, K).
        right: (..., K, N).
        answer: (..., M, N).
    """
    sizes = [math.prod(each[-_MATRIX:]) for each in (left, right, answer)]
    if not all(sizes):
        return 0
    return math.prod(answer) * math.isqrt(sizes[0] * sizes[1] // sizes[2])


def recurrent(steps: int, *weights: Shape) -> int:
    """Return the multiply-adds of a recurrent layer: every weight once a step and sequence.

    Args:
        steps: of all sequences of a batch.
        *weights: those of the input and of the state.
    """
    return steps * sum(map(math.prod, weights))


class Kind(StrEnum):
    """What an operator computed with."""

    INT8 = "int8"
    FLOAT = "float"
    EDGE = "edge"
    """Neither: it quantizes, dequantizes or changes a layout."""
    OTHER = "other"
    """Moves or reshapes data of any type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator that ran: its name, its kernel, and the seconds and the work where the witness tells them."""

    name: str
    implementation: str
    kind: Kind
    seconds: float | None = None
    multiply_adds: int | None = None
    """None where the witness does not tell, 0 of what makes none."""


def ran(witness: str, operators: Sequence[Operator], *, arithmetic: Sequence[Operator] = ()) -> dict[str, Json]:
    """Return the operators that ran as a JSON value: the shares of int8 and float, and equal ones counted together.

    Shares are of the time where every operator has one, else of the number of operators (`share_of` says which); a
    share is None where nothing ran.

    Args:
        witness: who says so: ``ONNX Runtime's profile``.
        operators: of one forward, in any order.
        arithmetic: the same forward as another part of the witness tells it, with its multiply-adds; those of
            `operators` where it is empty.
    """
    timed = bool(operators) and all(operator.seconds is not None for operator in operators)
    weights = [operator.seconds or 0.0 for operator in operators] if timed else [1.0] * len(operators)
    total = sum(weights)
    shares = {
        f"{kind.value}_share": round(
            sum(w for w, each in zip(weights, operators, strict=True) if each.kind is kind) / total, 4
        )
        if total
        else None
        for kind in Kind
    }
    return {
        "witness": witness,
        "share_of": "time" if timed else "operators",
        **shares,
        "multiply_adds": _multiply_adds(arithmetic or operators),
        "operators": list(_counted(operators, weights, total)),
    }


def _multiply_adds(operators: Sequence[Operator]) -> dict[str, Json] | None:
    """Return the shares of int8 and float of all multiply-adds, and the operators of those in float, the most first.

    None where there are none, or where the witness leaves some untold.
    """
    if any(operator.multiply_adds is None for operator in operators):
        return None
    made = [(operator, operator.multiply_adds or 0) for operator in operators]
    total = sum(count for _, count in made)
    if not total:
        return None
    left: dict[str, int] = {}
    for each, count in made:
        if each.kind is Kind.FLOAT and count:
            left[each.name] = left.get(each.name, 0) + count
    return {
        "total": total,
        "int8_share": round(sum(count for each, count in made if each.kind is Kind.INT8) / total, 4),
        "float_share": round(sum(left.values()) / total, 4),
        "float_operators": [
            {"operator": name, "share": round(count / total, 4)}
            for name, count in sorted(left.items(), key=lambda item: -item[1])
        ],
    }


def _counted(operators: Sequence[Operator], weights: Sequence[float], total: float) -> Iterable[Mapping[str, Json]]:
    alike: dict[tuple[str, str, Kind], list[float]] = {}
    for each, weight in zip(operators, weights, strict=True):
        alike.setdefault((each.name, each.implementation, each.kind), []).append(weight)
    for (name, implementation, kind), mine in sorted(alike.items(), key=lambda item: -sum(item[1])):
        yield {
            "operator": name,
            "implementation": implementation,
            "kind": kind.value,
            "calls": len(mine),
            "share": round(sum(mine) / total, 4) if total else None,
        }
