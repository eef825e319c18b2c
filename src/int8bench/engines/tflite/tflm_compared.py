"""TensorFlow Lite Micro's int8 answers held against LiteRT's kernels, operator by operator; in output steps.

All run the same file on the same 8-bit pictures. LiteRT's reference kernels are the measure: TensorFlow Lite Micro is
written after them, to the bit. The file is int8 from its input to its output, as a board has it: its edges are
quantized and dequantized here in NumPy, inside the timed call, since on a board too float32 pictures are not what it
reads.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from int8bench import units
from int8bench.documents import Json
from int8bench.engines.base import Images, Logits
from int8bench.engines.operators import Kind, Operator
from int8bench.engines.tflite.files import TensorDetails, channels_last

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
    def of(cls, details: TensorDetails) -> Scale:
        """Return the scale of an int8 tensor by the runtime's details of it."""
        assert details["dtype"] is np.int8
        parameters = details["quantization_parameters"]
        return cls(step=float(parameters["scales"][0]), zero_point=int(parameters["zero_points"][0]))

    def quantizer(self, shape: tuple[int, ...]) -> Callable[[Images, Int8], None]:
        """Return a function that writes float32 pictures of a shape into an int8 buffer, with no new array a call."""
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
        """Return a function that makes float32 answers of int8 ones."""
        step, zero_point = np.float32(self.step), np.float32(self.zero_point)

        def dequantize(answers: Int8) -> Logits:
            logits = np.subtract(answers, zero_point, dtype=np.float32)
            logits *= step
            return logits

        return dequantize


MICRO, REFERENCE, OPTIMIZED, XNNPACK = "TensorFlow Lite Micro", "reference", "optimized", "XNNPACK"
MOST_PICTURES = 32
_WORK_BYTES = 10_000_000  # file size times pictures: resnet18, a second a picture in reference kernels, has one

Tensors: TypeAlias = Callable[[int], npt.NDArray[Any]]
"""The content of a tensor of the file, by its number."""
Kernels: TypeAlias = Callable[[Int8], Tensors]
"""Runs the file over one picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An operator of the file, and the numbers of its tensors."""

    name: str
    inputs: tuple[int, ...]
    output: int


@dataclass(slots=True, kw_only=True)
class Tally:
    """How far answers are apart, over all pictures so far."""

    largest_step: int = 0
    differing: int = 0
    answers: int = 0

    def add(self, one: npt.NDArray[Any], other: npt.NDArray[Any]) -> None:
        """Count one picture's answers.

        Args:
            one: integers, in any shape.
            other: those that they are held against, in the same shape.
        """
        apart = np.abs(one.astype(np.int32) - other.astype(np.int32))
        self.largest_step = max(self.largest_step, int(apart.max()))
        self.differing += int(np.count_nonzero(apart))
        self.answers += apart.size

    def to_dict(self) -> dict[str, Json]:
        """Return the tally as a JSON value."""
        return {"largest_step": self.largest_step, "differing_share": round(self.differing / self.answers, 6)}


@dataclass(slots=True, kw_only=True)
class OutputComparison:
    """Several kernels over the same pictures."""

    steps: tuple[Step, ...]
    against: dict[str, Tally] = field(default_factory=dict)
    """Micro's answers against each of LiteRT's kernels."""
    rounding: dict[str, dict[str, int]] = field(default_factory=dict)
    """Per kernels, the operators that make of the same inputs something else than the reference, and by how much."""

    def add(self, tensors: Mapping[str, Tensors]) -> None:
        """Count one picture that all kernels have run over."""
        answer = self.steps[-1].output
        for name, each in tensors.items():
            if name != MICRO:
                self.against.setdefault(name, Tally()).add(tensors[MICRO](answer), each(answer))
            if name != REFERENCE:
                self._add_rounding(self.rounding.setdefault(name, {}), each, tensors[REFERENCE])

    def _add_rounding(self, known: dict[str, int], mine: Tensors, reference: Tensors) -> None:
        for step in self.steps:
            apart = np.abs(mine(step.output).astype(np.int64) - reference(step.output).astype(np.int64)).max()
            if apart and all(np.array_equal(mine(each), reference(each)) for each in step.inputs):
                known[step.name] = max(known.get(step.name, 0), int(apart))

    @property
    def sentence(self) -> str:
        """What a person reads."""
        reference, xnnpack = self.against[REFERENCE], self.against[XNNPACK]
        exact = (
            "bit-exact with LiteRT's reference kernels"
            if not reference.largest_step
            else f"up to {_steps(reference.largest_step)} from LiteRT's reference kernels, by {self._blame(MICRO)}"
        )
        if not xnnpack.largest_step:
            return f"{exact} and with XNNPACK"
        return f"{exact}; up to {_steps(xnnpack.largest_step)} from XNNPACK, by {self._blame(XNNPACK)}"

    def _blame(self, name: str) -> str:
        names = ", ".join(sorted(self.rounding[name]))
        return f"the rounding of {names}" if names else "operators not told apart"


def compared(content: bytes, pictures: Images, arena_bytes: int) -> dict[str, Json]:
    """Return the differences of Micro's answers from LiteRT's, and their operators, as a JSON value.

    Args:
        content: a file for one picture, int8 from its input to its output.
        pictures: (image, channel, height, width); as many of them as the model's size allows.
        arena_bytes: enough for Micro to keep every tensor.
    """
    try:
        comparison, count = _compared(content, pictures, arena_bytes)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return {"pictures": 0, "sentence": f"not compared with LiteRT: {units.reason(error)}"}
    return {
        "pictures": count,
        "against": {name: tally.to_dict() for name, tally in comparison.against.items()},
        "rounds_differently": comparison.rounding,
        "sentence": comparison.sentence,
    }


def _compared(content: bytes, pictures: Images, arena_bytes: int) -> tuple[OutputComparison, int]:
    interpreters = _interpreters(content)
    reference = interpreters[REFERENCE]
    (entry,) = reference.get_input_details()
    kernels = {name: _kernels(each, entry["index"]) for name, each in interpreters.items()}
    kernels[MICRO] = _micro(content, arena_bytes)
    comparison = OutputComparison(steps=_steps_of(reference))
    chosen = channels_last(pictures[: max(1, min(MOST_PICTURES, _WORK_BYTES // len(content)))])
    quantize = Scale.of(entry).quantizer((1, *chosen.shape[1:]))
    for picture in chosen:
        eight_bit = np.empty((1, *picture.shape), dtype=np.int8)
        quantize(picture[None], eight_bit)
        comparison.add({name: run(eight_bit) for name, run in kernels.items()})
    return comparison, len(chosen)


def _interpreters(content: bytes) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolvers = {
        REFERENCE: OpResolverType.BUILTIN_REF,
        OPTIMIZED: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        XNNPACK: OpResolverType.AUTO,
    }
    with warnings.catch_warnings():
        # Said of XNNPACK; debugging is what we do.
        warnings.filterwarnings("ignore", message=".*Enabling `experimental_preserve_all_tensors`")
        made = {
            name: Interpreter(
                model_content=content,
                num_threads=1,
                experimental_op_resolver_type=each,
                experimental_preserve_all_tensors=True,
            )
            for name, each in resolvers.items()
        }
    for interpreter in made.values():
        interpreter.allocate_tensors()
    return made


def _kernels(interpreter: Any, entry: int) -> Kernels:  # noqa: ANN401  ai_edge_litert has no types
    def run(eight_bit: Int8) -> Tensors:
        interpreter.set_tensor(entry, eight_bit)
        interpreter.invoke()
        return interpreter.get_tensor  # type: ignore[no-any-return]

    return run


def _micro(content: bytes, arena_bytes: int) -> Kernels:
    from tflite_micro import runtime

    every_tensor = runtime.InterpreterConfig.kPreserveAllTensors
    interpreter = runtime.Interpreter.from_bytes(content, arena_size=arena_bytes, intrepreter_config=every_tensor)

    def run(eight_bit: Int8) -> Tensors:
        interpreter.set_input(eight_bit, 0)
        interpreter.invoke()
        return lambda index: interpreter.GetTensor(index, 0)["tensor_data"]

    return run


def _steps_of(interpreter: Any) -> tuple[Step, ...]:  # noqa: ANN401
    given = {detail["index"] for detail in interpreter.get_input_details()}
    nodes = interpreter._get_ops_details()  # noqa: SLF001  nothing public names the operators
    made = given | {int(each) for node in nodes for each in node["outputs"]}
    return tuple(
        Step(
            name=node["op_name"],
            inputs=tuple(each for each in node["inputs"].tolist() if each in made),
            output=int(node["outputs"][0]),
        )
        for node in nodes
    )


def _steps(count: int) -> str:
    return f"{count} step{'s' if count > 1 else ''}"
