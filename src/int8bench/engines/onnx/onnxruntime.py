"""The engine ``onnxruntime``: ONNX Runtime's own CPU kernels, float32 and int8 (QDQ)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any, ClassVar, TypeAlias, TypedDict

import numpy as np

from int8bench import units
from int8bench.documents import Json
from int8bench.engines.base import Images, Logits
from int8bench.engines.onnx import files
from int8bench.engines.onnx.files import LOGITS, multiply_adds
from int8bench.engines.onnx.quantizer import PICTURES
from int8bench.engines.operators import Kind, Operator, Shape, ran
from int8bench.errors import EngineError
from int8bench.workload.cases import NCHW, Group

PROVIDER = "CPUExecutionProvider"
ERRORS_ONLY = 3  # severity: the runtime tells of what it optimizes away at lower ones
PROFILED_CALLS = 10  # after one that is left out, as it also allocates
KERNEL = "_kernel_time"  # how the profile's events of operators end
EDGES = {"QuantizeLinear", "DequantizeLinear", "Transpose", "ReorderInput", "ReorderOutput", "Cast"}
MOVES = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Split", "Slice", "Gather", "Shape", "Identity"}
_BYTES = {"uint8", "int8"}
_US = 1e-6

Tensors: TypeAlias = Sequence[Mapping[str, Sequence[int]]]
"""Tensors as a profile has them: ``{"float": [1, 3, 32, 32]}``, nothing of one that is left out."""


class Arguments(TypedDict, total=False):
    """What a profile tells of a kernel's call."""

    op_name: str
    provider: str
    node_index: str
    input_type_shape: Tensors
    output_type_shape: Tensors


class ProfileEvent(TypedDict, total=False):
    """One event of a profile as ONNX Runtime writes it, of which these are used."""

    name: str
    dur: float
    """Microseconds."""
    args: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxRuntimeEngine(files.OnnxEngine):
    """ONNX Runtime on the CPU."""

    name: str = "onnxruntime"
    modules: ClassVar = ("onnx", "onnxruntime", "onnxscript")
    layout: ClassVar = NCHW  # as ONNX has it; the runtime blocks channels itself

    def build(self, prepared: files.Model, group: Group) -> OnnxRuntimePredictor:
        """Return a predictor whose session has a thread pool of its own.

        Args:
            prepared: the content of the converted file, and a picture for the evidence.
            group: the batch size of the evidence, and the threads of the pool.

        Raises:
            EngineError: the runtime cannot take the model.
        """
        return OnnxRuntimePredictor(prepared.variant.label, prepared.content, prepared.example, group)


class OnnxRuntimePredictor:
    """A session, which answers any number of pictures.

    Telling it the batch size in advance saves nothing: ratios of 0.98 to 1.01 at batch 1 and 32, float32 and int8.
    """

    def __init__(self, name: str, content: bytes, example: Images, group: Group) -> None:
        """Open the session.

        Args:
            name: how errors call it.
            content: the model.
            example: a picture, for the evidence.
            group: the batch size and the threads of the session.
        """
        self.serialized_bytes = len(content)
        self._name, self._content, self._group, self._example = name, content, group, example
        self._session = _opened(name, content, _options(group))
        self._classes = _classes(name, self._session)

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of all initializers: weights, biases, scales and zero points."""
        return files.weights_bytes(self._content)

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """The runtime's own profile of a few calls, in a session of its own."""
        import onnxruntime

        return {
            "engine": "onnxruntime",
            "version": onnxruntime.__version__,
            "providers": self._session.get_providers(),
            "threads": self._group.threads,
            "spinning": False,
            "ran": ran("ONNX Runtime's profile", operators(*self._profile())),
        }

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        Raises:
            EngineError: the runtime cannot answer.
        """
        try:
            answer: Logits = self._session.run([LOGITS], {PICTURES: np.ascontiguousarray(batch)})[0]
        except Exception as error:  # the runtime's errors have no base but Exception
            reason = units.reason(error)
            raise EngineError(f"{self._name}: cannot answer a batch of shape {batch.shape}: {reason}") from error
        if answer.shape != (len(batch), self._classes):
            raise EngineError(
                f"{self._name}: the model returns shape {answer.shape} for {len(batch)} images, expected (image, class)"
            )
        return answer

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body, over bound input and output buffers.

        They take 6 % less at 0.1 ms than handing the arrays in with each call. Runs nothing, so that the first call is
        a cold one. Each call writes the same answer anew.
        """
        pictures = np.array(batch, dtype=np.float32, order="C")
        answer = np.empty((len(pictures), self._classes), np.float32)
        binding = self._session.io_binding()
        binding.bind_cpu_input(PICTURES, pictures)  # which keeps them alive
        binding.bind_output(LOGITS, "cpu", element_type=np.float32, shape=answer.shape, buffer_ptr=answer.ctypes.data)
        run = self._session.run_with_iobinding

        def forward() -> Logits:
            run(binding)
            return answer

        return forward

    def _profile(self) -> tuple[list[ProfileEvent], Mapping[str, Sequence[Shape]]]:
        """Return the events of a few calls at the batch size of the group, and the shapes of each node's weights."""
        pictures = np.repeat(self._example[:1], self._group.batch, axis=0)
        with tempfile.TemporaryDirectory() as folder:
            options = _options(self._group)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
            session = _opened(self._name, self._content, options)
            for _ in range(1 + PROFILED_CALLS):
                session.run([LOGITS], {PICTURES: pictures})
            events: list[ProfileEvent] = json.loads(Path(session.end_profiling()).read_bytes())
            return events, files.weights_of_nodes(Path(folder) / "optimized.onnx")


def operators(events: Sequence[ProfileEvent], weights: Mapping[str, Sequence[Shape]]) -> list[Operator]:
    """Return the operators of one forward, each with its median time; a profile's first call is left out.

    The median, since a call that the system interrupts would give its operator the share of ten.

    Args:
        events: of several forwards, in order of time, as ONNX Runtime writes them; times in microseconds.
        weights: shapes of constants by the name of their node; of those that a kernel packs, no event tells.
    """
    nodes: dict[tuple[str, str | None], list[ProfileEvent]] = {}
    for event in events:
        if event.get("name", "").endswith(KERNEL):
            # A pass that adds nodes may name two alike; their numbers differ.
            nodes.setdefault((event["name"], event["args"].get("node_index")), []).append(event)
    return [_operator(calls[1:], weights) for calls in nodes.values() if len(calls) > 1]


def _operator(calls: Sequence[ProfileEvent], weights: Mapping[str, Sequence[Shape]]) -> Operator:
    arguments = calls[0]["args"]
    name = arguments["op_name"]
    types = list(_types(arguments.get("input_type_shape", ())))
    given, answers = _shapes(arguments.get("input_type_shape", ())), _shapes(arguments.get("output_type_shape", ()))
    constants = weights.get(calls[0]["name"].removesuffix(KERNEL), ())
    return Operator(
        name=name,
        implementation=f"{arguments.get('provider', 'unknown')}, {types[0] if types else 'no input'}",
        kind=_kind(name, types),
        seconds=median(float(call["dur"]) for call in calls) * _US,
        multiply_adds=multiply_adds(name, [*given[:1], *constants, *given[1:]], answers),
    )


def _kind(name: str, types: Sequence[str]) -> Kind:
    """Return the kind of an operator by its first input, which it multiplies or compares.

    Operators that quantize or move are recognised by name.
    """
    if name in EDGES:
        return Kind.EDGE
    if name in MOVES or not types:
        return Kind.OTHER
    if types[0] in _BYTES:
        return Kind.INT8
    return Kind.FLOAT if types[0] in {"float", "float16", "bfloat16"} else Kind.OTHER


def _shapes(tensors: Tensors) -> list[tuple[int, ...]]:
    return [tuple(next(iter(tensor.values()), ())) for tensor in tensors]


def _types(inputs: Tensors) -> Iterator[str]:
    for tensor in inputs:
        yield from tensor


def _options(group: Group) -> Any:  # noqa: ANN401  the runtime has no types
    """Return the options of a session: as many threads as asked, which sleep while they have nothing to do.

    Threads that spin would take the core of the contender that is next.

    Memory comes from the runtime's own arena, as its users have it: without it each call asks the common allocator
    anew, which was slower wherever it was tried (SimpleCNN at batch 1 and 32), by an amount that the tries differ in.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = group.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _opened(name: str, content: bytes, options: Any) -> Any:  # noqa: ANN401  the runtime has no types
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(content, options, providers=[PROVIDER])
    except Exception as error:  # the runtime's errors have no base but Exception
        raise EngineError(
            f"{name}: ONNX Runtime cannot take the converted model: {units.reason(error)}; "
            "leave onnxruntime out of --engines"
        ) from error


def _classes(name: str, session: Any) -> int:  # noqa: ANN401  the runtime has no types
    shape = session.get_outputs()[0].shape
    if len(shape) == 2 and isinstance(shape[1], int):  # noqa: PLR2004  two axes: image, class
        return shape[1]
    raise EngineError(f"{name}: the model returns shape {tuple(shape)}, expected (image, class)")
