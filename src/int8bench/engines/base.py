"""What an engine is: the protocols that every engine file fulfils. Pure: runs no model and imports no framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from int8bench.documents import Json
from int8bench.workload.cases import Group, Variant

if TYPE_CHECKING:
    from torch import nn

    from int8bench.machine import Hardware

Images: TypeAlias = npt.NDArray[np.float32]
"""Axes (image, channel, height, width)."""
Logits: TypeAlias = npt.NDArray[np.float32]
"""Axes (image, class)."""
Prepared = TypeVar("Prepared")
"""The type of what `Engine.prepare` leaves for `Engine.build`; only the engine that made it looks inside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """Whether an engine can run on a machine; where it cannot, the reason says why and how to get it."""

    available: bool | None
    """None where it hangs on instructions that are not told."""
    reason: str | None = None

    @classmethod
    def unless(cls, reason: str | None) -> Availability:
        """Return the availability of an engine: it can run, unless there is a reason why not."""
        return cls(available=reason is None, reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """Files to be made of a model before an engine can run it: once a model, not once a run.

    `function` runs in a process of its own, which may start threads, take its time, or die. What it writes is kept by
    content: the model's weights, the calibration pictures, all fields here, and the versions of `packages`. Two engines
    that ask for the same conversion share its files.
    """

    name: str
    """How a person reads it: ``onnx int8``."""
    function: Convert
    """A function of a module."""
    packages: tuple[str, ...]
    """Distributions whose versions the files depend on."""
    options: Options = field(default_factory=dict)
    by_batch: bool = False
    """Whether each batch size needs files of its own."""

    def batches(self, asked: tuple[int, ...]) -> tuple[int | None, ...]:
        """Return the batch sizes to convert for; None is one for all."""
        return tuple(dict.fromkeys(asked)) if self.by_batch else (None,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What an engine is made ready with: a float32 model, pictures, and the files that its conversion has left."""

    model: nn.Module
    """In eval mode; to be left as it is."""
    calibration: Images
    """Pictures from which the ranges of activations are taken."""
    example: Images
    """One picture or more, of the shape that will be asked."""
    files: Mapping[int | None, Path] = field(default_factory=dict)
    """The folder of each converted batch size; None is for all of them."""
    shared: dict[str, object] = field(default_factory=dict)
    """What engines leave for others of their kind that are made ready with the same model and pictures."""

    @property
    def by_batch(self) -> dict[int, Path]:
        """The folders of files that are for one batch size each."""
        return {batch: folder for batch, folder in self.files.items() if batch is not None}


Options: TypeAlias = Mapping[str, bool | int | float | str]
"""What a conversion is told beside the model, by name; its files are kept by these too."""
Convert: TypeAlias = Callable[[Material, Options, int | None, Path], Mapping[str, Json]]
"""What a conversion does, given its options, a batch size or None, and an empty folder: writes its files there, and
answers with what a person may want to know of them, as JSON values. It raises EngineError where the model cannot be
converted; any other exception is reported with its type."""


class Predictor(Protocol):
    """A model built by an engine: float32 pictures in, float32 logits out."""

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights, biases and quantization parameters, as the engine's format stores them."""

    @property
    def serialized_bytes(self) -> int:
        """Bytes of the model saved in the engine's own file format."""

    @property
    def evidence(self) -> Mapping[str, Json]:
        """What ran, in the words of those who ran it; JSON values. May run a forward in a process of its own.

        The key ``ran`` holds what `engines.operators.ran` makes, where the engine can tell.
        """

    def __call__(self, batch: Images) -> Logits:
        """Return the answers to a batch of any size; the caller's thread is left as it was.

        Raises:
            EngineError: the engine cannot answer.
        """

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one call of it is one forward over an own copy of `batch` in the engine's layout.

        Float32 pictures go in and float32 logits come out: what an engine quantizes at its edges is inside the call.
        May change the calling thread for good (inference mode), since what the body does not pay in each call must
        be paid once: bind in a process that is there to measure.
        """


def converts(engine: AnyEngine) -> bool:
    """Tell whether an engine has conversions of its own, and not the default that there are none."""
    return type(engine).conversion is not Engine.conversion


class Engine(Protocol[Prepared]):
    """Turns a float32 model into predictors, in two phases around a fork, after a conversion where one is needed.

    A class that inherits from ``Engine[Plans]`` prepares plans and builds from them, and has the defaults: no
    conversion, every batch.
    """

    @property
    def name(self) -> str:
        """The name by which it is asked for."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The precisions and layouts that it offers; its int8 is held against its own float32 too, where it has one."""

    def availability(self, hardware: Hardware) -> Availability:
        """Tell whether the engine can run in this environment, on this machine; import no framework."""

    def fit(self, hardware: Hardware) -> Availability:  # noqa: ARG002  a default
        """Tell whether the engine runs on a machine, this one or another, by architecture and instructions alone."""
        return Availability(available=True)

    def objection(self, group: Group) -> str | None:  # noqa: ARG002  a default
        """Return why the engine cannot run at this batch and thread count, or None where it can."""
        return None

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion | None:  # noqa: ARG002  a default
        """Return the conversion that a model needs first, or None where `prepare` does it all.

        Args:
            variant: that will be prepared.
            hardware: the machine that it will run on.
        """
        return None

    def prepare(self, variant: Variant, material: Material) -> Prepared:
        """Return the plans that `build` works from, made once in a launch, before it forks.

        That takes imports, tracing, calibration, reading files.

        Starts no thread, given a single-threaded process, and leaves the model as it was.

        Args:
            variant: one of `variants`.
            material: what it is made of; shared with other engines, so only read.

        Raises:
            EngineError: the engine cannot take this model.
        """

    def build(self, prepared: Prepared, group: Group) -> Predictor:
        """Return a predictor for this batch and thread count, packed anew in the calling process.

        `prepared` stays reusable.

        Args:
            prepared: what `prepare` returned in this launch.
            group: the batch size and the threads that will be asked for.

        Raises:
            EngineError: the engine cannot convert or pack the model.
        """


AnyEngine: TypeAlias = Engine[Any]
"""An engine of a list of engines: whoever asks it hands what it prepared back to it alone, and does not look inside."""
