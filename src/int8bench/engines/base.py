"""What an engine is: the protocols that every engine file fulfils. Pure: runs no model and imports no framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from int8bench.cases import Variant

if TYPE_CHECKING:
    from torch import nn

    from int8bench.hardware import Hardware

Images: TypeAlias = npt.NDArray[np.float32]
"""Axes (image, channel, height, width)."""
Logits: TypeAlias = npt.NDArray[np.float32]
"""Axes (image, class)."""
Prepared: TypeAlias = object
"""What `Engine.prepare` leaves for `Engine.build`; only the engine that made it looks inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether an engine can run on a machine; where it cannot, the reason says why and how to get it."""

    available: bool
    reason: str | None = None


class Predictor(Protocol):
    """A model built by an engine: float32 pictures in, float32 logits out."""

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights, biases and quantization parameters, as the engine's format stores them."""

    @property
    def serialized_bytes(self) -> int:
        """Bytes of the model saved in the engine's own file format."""

    @property
    def evidence(self) -> Mapping[str, object]:
        """What ran, in the words of those who ran it; JSON values. May run a forward in a process of its own."""

    def __call__(self, batch: Images) -> Logits:
        """The answers to a batch; the caller's thread is left as it was.

        Raises:
            EngineError: the engine cannot answer.
        """

    def bind(self, batch: Images) -> Callable[[], object]:
        """The timed body: one call of it is one forward over an own copy of `batch` in the engine's layout.

        May change the calling thread for good (inference mode), since what the body does not pay in each call must
        be paid once: bind in a process that is there to measure.
        """


class Engine(Protocol):
    """Turns a float32 model into predictors, in two phases around a fork."""

    @property
    def name(self) -> str:
        """The name by which it is asked for."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The precisions and layouts that it offers."""

    def availability(self, hardware: Hardware) -> Availability:
        """Whether it can run on a machine, by what is known of the machine; imports no framework."""

    def prepare(self, variant: Variant, model: nn.Module, calibration: Images, example: Images) -> Prepared:
        """What a launch does once, before it forks: tracing, observers, calibration.

        Starts no thread, given a single-threaded process, and leaves `model` as it was.

        Args:
            variant: one of `variants`.
            model: the float32 model, in eval mode.
            calibration: pictures from which the ranges of activations are taken.
            example: one picture or more, of the shape that will be asked.

        Raises:
            EngineError: the engine cannot take this model.
        """

    def build(self, prepared: Prepared, threads: int) -> Predictor:
        """A predictor, packed anew in the calling process, whose thread count it sets; `prepared` stays reusable.

        Raises:
            EngineError: the engine cannot convert or pack the model.
        """
