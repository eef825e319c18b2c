"""An engine of another package, in one file: int8 for chains of linear layers, and the faults that int8bench must see.

A chain without activations is one matrix, which this engine multiplies out, quantizes and applies with NumPy: less work
than torch's layer by layer, so that the sound engine is never slower than float32. Each fault has an engine of its own.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from int8bench.documents import Json
from int8bench.engines.base import AnyEngine, Availability, Engine, Images, Logits, Material
from int8bench.engines.operators import Kind, Operator, ran
from int8bench.errors import EngineError
from int8bench.machine import Hardware
from int8bench.workload.cases import INT8, NCHW, Group, Variant

DEPTH, WIDTH = 12, 192  # layers for torch to run one by one: several times what one matrix takes
SLEEP_S = 10e-3  # two hundred times what torch takes: clear in four launches of a busy machine
LEAK_BYTES, LEAKS = 2 << 20, 16  # a call, and calls that leak: 32 MB in all, since a race makes thousands of calls
CALLS_BEFORE_THE_CRASH = 3
ENTRY_POINTS = {
    "toy": "toy_engine:sound",
    "toy-wrong-scale": "toy_engine:wrong_scale",
    "toy-float": "toy_engine:in_float",
    "toy-sleeping": "toy_engine:sleeping",
    "toy-crashing": "toy_engine:crashing",
    "toy-leaking": "toy_engine:leaking",
}
Body = Callable[[], object]


def model(num_classes: int) -> Any:
    """A chain of linear layers for pictures of 3 x 8 x 8."""
    from torch import nn

    hidden = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH)]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(WIDTH, num_classes, bias=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """A layer in int8, or in float where it fell back: its weights by output, and the scales of both sides."""

    weights: np.ndarray
    weight_scales: np.ndarray
    input_scale: float

    def apply(self, images: Images) -> Logits:
        """The logits of pictures: quantized, multiplied in 32 bits, and scaled back."""
        flat = images.reshape(len(images), -1)
        if self.weights.dtype != np.int8:
            return (flat @ self.weights).astype(np.float32)
        inputs = np.rint(flat * np.float32(1 / self.input_scale)).clip(-127, 127).astype(np.int32)
        sums = inputs @ self.weights.astype(np.int32)
        return (sums * self.weight_scales).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyEngine(Engine[Matrix]):
    """Int8 by NumPy, with at most one fault."""

    name: str = "toy"
    scale: float = 1.0
    """What scales are multiplied with."""
    falls_back: bool = False
    disturb: str = ""
    """What is done to the timed body; nothing without a name."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Int8 from pictures as they come."""
        return (Variant(engine=self.name, precision=INT8, layout=NCHW),)

    def availability(self, hardware: Hardware) -> Availability:  # noqa: ARG002  the protocol asks
        """Everywhere."""
        return Availability(available=True)

    def prepare(self, variant: Variant, material: Material) -> Matrix:  # noqa: ARG002  there is but one
        """The chain as one matrix.

        Raises:
            EngineError: the model is no chain of linear layers.
        """
        weights = _multiplied_out(material.model)
        if self.falls_back:
            return Matrix(weights=weights, weight_scales=np.ones(1), input_scale=1.0)
        input_scale = float(np.abs(material.calibration).max()) / 127
        scales = np.abs(weights).max(axis=0) / 127
        return Matrix(
            weights=np.rint(weights / scales).astype(np.int8),
            weight_scales=(scales * input_scale * self.scale).astype(np.float32),
            input_scale=input_scale,
        )

    def build(self, prepared: Matrix, group: Group) -> ToyPredictor:  # noqa: ARG002  any batch, one thread
        """The matrix and what disturbs it."""
        return ToyPredictor(prepared, DISTURBED.get(self.disturb, lambda body: body))


class ToyPredictor:
    """A matrix that answers."""

    def __init__(self, matrix: Matrix, disturbed: Callable[[Body], Body]) -> None:
        """Keeps what it is given."""
        self._matrix, self._disturbed = matrix, disturbed

    @property
    def weights_bytes(self) -> int:
        """Of the matrix."""
        return self._matrix.weights.nbytes + self._matrix.weight_scales.nbytes

    @property
    def serialized_bytes(self) -> int:
        """As NumPy saves it."""
        file = io.BytesIO()
        np.savez(file, self._matrix.weights, self._matrix.weight_scales)
        return len(file.getvalue())

    @property
    def evidence(self) -> Mapping[str, Json]:
        """By the type of the weights that are multiplied."""
        kind = Kind.INT8 if self._matrix.weights.dtype == np.int8 else Kind.FLOAT
        return {"ran": ran("NumPy's types", [Operator(name="matmul", implementation="NumPy", kind=kind)])}

    def __call__(self, batch: Images) -> Logits:
        """Undisturbed answers: what is wrong shows in the timed body alone, or in the answers themselves."""
        return self._matrix.apply(batch)

    def bind(self, batch: Images) -> Body:
        """The timed body."""
        images = np.array(batch)
        return self._disturbed(lambda: self._matrix.apply(images))


def sound() -> AnyEngine:
    """Nothing is wrong with it."""
    return ToyEngine()


def wrong_scale() -> AnyEngine:
    """Scales are three times too large."""
    return ToyEngine(name="toy-wrong-scale", scale=3.0)


def in_float() -> AnyEngine:
    """Answers in float32 and calls itself int8."""
    return ToyEngine(name="toy-float", falls_back=True)


def sleeping() -> AnyEngine:
    """Waits in each call."""
    return ToyEngine(name="toy-sleeping", disturb="sleep")


def crashing() -> AnyEngine:
    """Takes its process down once it is timed."""
    return ToyEngine(name="toy-crashing", disturb="crash")


def leaking() -> AnyEngine:
    """Keeps memory of each call."""
    return ToyEngine(name="toy-leaking", disturb="leak")


def _sleeping(body: Body) -> Body:
    def slow() -> object:
        time.sleep(SLEEP_S)
        return body()

    return slow


def _crashing(body: Body) -> Body:
    calls: list[object] = []

    def dying() -> object:
        calls.append(body())
        if len(calls) > CALLS_BEFORE_THE_CRASH:
            os.abort()
        return calls[-1]

    return dying


def _leaking(body: Body) -> Body:
    kept: list[np.ndarray] = []

    def greedy() -> object:
        if len(kept) < LEAKS:
            kept.append(np.ones(LEAK_BYTES, np.uint8))
        return body()

    return greedy


def _multiplied_out(module: Any) -> np.ndarray:
    from torch import nn

    layers = [each for each in module.children() if not isinstance(each, nn.Flatten)]
    if not layers or not all(isinstance(each, nn.Linear) and each.bias is None for each in layers):
        raise EngineError("toy: takes chains of linear layers alone; give --model toy_engine:model")
    matrices = [each.weight.detach().numpy().astype(np.float64).T for each in layers]
    return np.linalg.multi_dot(matrices).astype(np.float32)


DISTURBED: Mapping[str, Callable[[Body], Body]] = {"sleep": _sleeping, "crash": _crashing, "leak": _leaking}
