"""What a launch is sent of a workload, and what its times are guessed from: plain values that load no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from int8bench.workload.cases import Variant

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

INITIAL = "initial"  # weights of a model as its factory drew them, which another seed would draw otherwise
PYTHON_S = 0.006  # of `lab.clock.python_s` where the guesses were taken
CALIBRATION = 160  # pictures that a static quantization answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """What a conversion takes: a fixed part, one for each layer, and calls of the model by calibration picture."""

    fixed_s: float
    layer_s: float
    calls: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """What first guesses are scaled by: the model's layers, its float32 on one picture, and this machine at Python."""

    layers: int
    picture_s: float
    python_s: float = PYTHON_S

    def seconds(self, guess: Guess) -> float:
        """Return a guess, scaled."""
        at_python = (guess.fixed_s + guess.layer_s * self.layers) * self.python_s / PYTHON_S
        return at_python + guess.calls * CALIBRATION * self.picture_s


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAndPictures:
    """A model by its name, its weights as a saved state dict, and its pictures; can be sent to another process."""

    model: str
    input_shape: tuple[int, int, int]
    num_classes: int
    state: bytes
    calibration: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    validation: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    labels: npt.NDArray[np.int64]
    """(image,)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order(ModelAndPictures):
    """All that a launch needs to prepare its engines."""

    variants: tuple[Variant, ...]
    files: Mapping[Variant, Mapping[int | None, Path]] = field(default_factory=dict)
    """The folders that conversions left, by batch size."""
