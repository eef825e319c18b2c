"""Multiply-adds of a primitive, from what oneDNN tells of its problem: ``mb8_ic3oc32_ih32oh32kh3``. Pure."""

from __future__ import annotations

import math
import re

_AXIS = re.compile(r"(?<![a-z])(?P<name>mb|g|ic|oc|id|ih|iw|od|oh|ow|kd|kh|kw|l|t|sic|slc|dhc)(?P<size>\d+)")
_GATES = {"vanilla_lstm": 4, "vanilla_gru": 3, "lbr_gru": 3, "vanilla_augru": 3, "lbr_augru": 3, "vanilla_rnn": 1}
_OF_INPUT, _OF_OUTPUT, _OF_KERNEL = ("id", "ih", "iw"), ("od", "oh", "ow"), ("kd", "kh", "kw")


def multiply_adds(primitive: str, problem: str, auxiliary: str) -> int | None:
    """How many a primitive makes: 0 where it is none that multiplies, None where its problem does not tell.

    Args:
        primitive: its kind.
        problem: the field ``problem_desc`` of a line.
        auxiliary: the field of that name, which has the algorithm.
    """
    if primitive == "matmul":
        return _of_matmul(problem)
    if primitive not in {"convolution", "deconvolution", "inner_product", "rnn"}:
        return 0
    axes = {found["name"]: int(found["size"]) for found in _AXIS.finditer(problem)}
    if primitive == "rnn":
        return _of_rnn(axes, auxiliary)
    if not {"mb", "ic", "oc"} <= axes.keys():
        return None
    channels = axes["mb"] * axes["ic"] * axes["oc"] // axes.get("g", 1)
    if primitive == "inner_product":
        return channels * _size(axes, _OF_INPUT)
    return channels * _size(axes, _OF_KERNEL) * _size(axes, _OF_OUTPUT if primitive == "convolution" else _OF_INPUT)


def _size(axes: dict[str, int], names: tuple[str, ...]) -> int:
    return math.prod(axes.get(name, 1) for name in names)


def _of_matmul(problem: str) -> int | None:
    """Of ``4x8x64:4x64x10``: the axes of both sides, the last two of which are multiplied."""
    sides = [[int(axis) for axis in side.split("x") if axis.isdecimal()] for side in problem.split(":")[:2]]
    if len(sides) != 2 or any(len(side) < 2 for side in sides):  # noqa: PLR2004  two sides, of two axes or more
        return None
    left, right = sides
    batch = math.prod(max(pair) for pair in zip(left[:-2], right[:-2], strict=False))
    return batch * left[-2] * left[-1] * right[-1]


def _of_rnn(axes: dict[str, int], auxiliary: str) -> int | None:
    gates = next((count for name, count in _GATES.items() if name in auxiliary), None)
    if gates is None or not {"mb", "t", "sic", "slc", "dhc"} <= axes.keys():
        return None
    steps = axes.get("l", 1) * axes["t"] * axes["mb"] * (2 if "bidirectional" in auxiliary else 1)
    return steps * gates * axes["dhc"] * (axes["sic"] + axes["slc"])
