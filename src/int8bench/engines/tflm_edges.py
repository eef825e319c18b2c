"""The edges of a file that is int8 from its input to its output, as a board has it: quantized and dequantized in NumPy.

Pure, and inside the timed call: on a board too, float32 pictures are not what the network reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from int8bench.engines.base import Images, Logits
from int8bench.engines.operators import Kind, Operator

Int8: TypeAlias = npt.NDArray[np.int8]

OPERATORS = tuple(
    Operator(name=name, implementation="NumPy", kind=Kind.EDGE, multiply_adds=0)
    for name in ("quantize the input", "dequantize the output")
)
"""What evidence calls them."""

_LOWEST, _HIGHEST = -128, 127
# 1.5 * 2**23: beside it a float32 has no fraction left, so that adding it rounds to a whole number, half to even, which
# then stands in the low bits. A fifth less time than with rint: 5 us at batch 1 of SimpleCNN, 56 us at batch 32.
_ROUNDING = np.float32(12_582_912)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How an int8 tensor stands for real numbers: (value - zero point) * step."""

    step: float
    zero_point: int

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> Scale:
        """What a runtime says of its int8 tensor."""
        assert details["dtype"] is np.int8
        found = details["quantization_parameters"]
        return cls(step=float(found["scales"][0]), zero_point=int(found["zero_points"][0]))

    def quantizer(self, shape: tuple[int, ...]) -> Callable[[Images, Int8], None]:
        """What writes float32 pictures of a shape into an int8 buffer, without a new array in a call."""
        inverse, shift = np.float32(1 / self.step), np.int8(self.zero_point)
        low, high = np.float32(_LOWEST - self.zero_point), np.float32(_HIGHEST - self.zero_point)
        scaled = np.empty(shape, dtype=np.float32)
        bits = scaled.view(np.int32)

        def quantize(pictures: Images, into: Int8) -> None:
            np.multiply(pictures, inverse, out=scaled)
            scaled.clip(low, high, out=scaled)
            np.add(scaled, _ROUNDING, out=scaled)
            np.copyto(into, bits, casting="unsafe")  # keeps the low byte
            np.add(into, shift, out=into)  # wraps into the range; before the rounding it would move the ties

        return quantize

    def dequantizer(self) -> Callable[[Int8], Logits]:
        """What makes float32 answers of int8 ones."""
        step, zero_point = np.float32(self.step), np.float32(self.zero_point)

        def dequantize(answers: Int8) -> Logits:
            logits = np.subtract(answers, zero_point, dtype=np.float32)
            logits *= step
            return logits

        return dequantize
