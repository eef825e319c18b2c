"""What is studied: a model with weights, and the pictures to calibrate, check and feed it with.

Runs in the coordinator; trains SimpleCNN where no weights are given, once, and keeps the checkpoint in the cache.
"""

import hashlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from int8bench import data as data_sets
from int8bench import models, training
from int8bench.errors import ModelError

TRAINED_BY_DEFAULT = "simplecnn"
MOST_VALIDATION_VALUES = 40_000_000  # what travels to each measuring process: 160 MB of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model, its weights as a saved state dict, and its pictures; all of it can be sent to another process."""

    model: str
    input_shape: tuple[int, int, int]
    num_classes: int
    data: str
    weights: str
    state: bytes
    calibration: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    validation: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    labels: npt.NDArray[np.int64]
    """(image,)"""

    def to_dict(self) -> dict[str, object]:
        """What tells this subject from another; the weights by their hash."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "data": self.data,
            "weights": self.weights,
            "weights_sha256": hashlib.sha256(self.state).hexdigest(),
            "calibration_images": len(self.calibration),
            "validation_images": len(self.validation),
        }
