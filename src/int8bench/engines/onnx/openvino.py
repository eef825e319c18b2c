"""The engine ``openvino``: Intel's runtime on the CPU, float32 that is float32, and int8 (QDQ).

Its workers spin for about a millisecond after a call on two threads and more, for which there is no switch: TBB's own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Images, Logits
from int8bench.engines.fixed_batch import check_logits, in_parts
from int8bench.engines.onnx import files
from int8bench.engines.onnx.openvino_graph import (
    GraphNode,
    GraphProfile,
    not_float32,
    operators,
    precisions,
    references,
)
from int8bench.engines.operators import ran
from int8bench.errors import EngineError
from int8bench.workload.cases import CHANNELS_LAST, FLOAT32, Group, Variant

DEVICE = "CPU"
TELEMETRY = "openvino_telemetry"
PROFILES, PROFILED_CALLS = 3, 5  # sessions, and calls of each after one that is left out, as it also packs weights
# How lines begin that say where in its source OpenVINO failed, or that something did.
_EMPTY_WORDS = ("Exception from ", "Check '", "FrontEnd API failed", "Model wasn't fully converted", "Summary:")
_REQUIREMENTS, _ISA = "RUNTIME_REQUIREMENTS", "isa="


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoEngine(files.OnnxEngine):
    """OpenVINO on the CPU."""

    name: str = "openvino"
    modules: ClassVar = ("onnx", "onnxruntime", "onnxscript", "openvino")  # onnxruntime has the quantizer
    layout: ClassVar = CHANNELS_LAST  # NCHW pictures it would reorder: 2 to 4 % of SimpleCNN

    def runtime(self) -> Any:  # noqa: ANN401  the runtime has no types
        """Return the package, imported without its telemetry."""
        return _runtime()

    def build(self, prepared: files.Model, group: Group) -> OpenVinoPredictor:
        """Return a predictor of the model compiled for the batch size, with threads of the calling process.

        Args:
            prepared: the content of the converted file, and a picture for the shape.
            group: the batch size that is compiled for, and the threads.

        Raises:
            EngineError: the runtime cannot take the model.
        """
        return OpenVinoPredictor(prepared.variant, prepared.content, prepared.example, group)


class OpenVinoPredictor:
    """A model compiled for one batch size, which answers any number of pictures a batch at a time."""

    def __init__(self, variant: Variant, content: bytes, example: Images, group: Group) -> None:
        """Compile the model.

        Args:
            variant: what it is.
            content: the ONNX file.
            example: one picture, for the shape and the evidence.
            group: the batch size and the threads.
        """
        self.serialized_bytes = len(content)
        self._variant, self._content, self._example, self._group = variant, content, example, group
        self._compiled = self._compile(profiled=False)

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of all initializers of the ONNX file: weights, biases, scales and zero points."""
        return files.weights_bytes(self._content)

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """The graph as OpenVINO executes it, timed over a few calls in sessions that are there for that.

        Raises:
            EngineError: what is called float32 ran in a narrower type.
        """
        profiles = [self._profile() for _ in range(PROFILES)]
        nodes = profiles[0].warm
        narrower = not_float32(nodes) if self._variant.precision == FLOAT32 else ()
        if narrower:
            raise EngineError(
                f"{self._variant.label}: {', '.join(narrower)} ran on this CPU although f32 was asked for; "
                f"type {packages.command('openvino')} --upgrade, or leave this engine's float32 out"
            )
        return {
            **_settings(self._compiled),
            "precision": list(precisions(nodes)),
            "reference_kernels": list(references(nodes)),
            "ran": ran(
                "OpenVINO's execution graph",
                operators(profiles, files.work_of_nodes(self._content, self._group.batch)),
            ),
        }

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        Raises:
            EngineError: the runtime cannot answer, or its answer is no (image, class) array.
        """
        request = self._compiled.create_infer_request()
        return in_parts(batch, self._group.batch, lambda pictures: self._answered(request, pictures))

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one synchronous call over a copy of `batch` in the request's own channels-last tensor.

        Its answers are views of the request's output. Of 53 us at batch 1, 5 are Python's side of the call.

        Raises:
            EngineError: the pictures have another shape.
        """
        request = self._compiled.create_infer_request()
        self._fill(request, batch)
        return partial(request.infer, share_outputs=True)

    def _answered(self, request: Any, pictures: Images) -> Logits:  # noqa: ANN401  the runtime has no types
        """Return the answers to exactly as many pictures as the model takes."""
        self._fill(request, pictures)
        try:
            request.infer(share_outputs=True)
        except RuntimeError as error:
            raise EngineError(f"{self._variant.label}: cannot answer: {_said(error)}") from error
        answers: Logits = np.array(request.get_output_tensor().data)
        check_logits(self._variant.label, answers.shape, self._group.batch)
        return answers

    def _fill(self, request: Any, pictures: Images) -> None:  # noqa: ANN401  the runtime has no types
        """Copy pictures into the request's own input: (image, row, column, channel)."""
        there = request.get_input_tensor().data
        images = np.moveaxis(pictures, 1, -1)
        if images.shape != there.shape:
            count, height, width, channels = there.shape
            raise EngineError(
                f"{self._variant.label}: cannot answer a batch of shape {pictures.shape}, "
                f"expected {(count, channels, height, width)}"
            )
        np.copyto(there, images)

    def _compile(self, *, profiled: bool) -> Any:  # noqa: ANN401  the runtime has no types
        """Return the model for a fixed batch of channels-last pictures.

        Raises:
            EngineError: the file is broken, or holds what OpenVINO does not have.
        """
        runtime, group = _runtime(), self._group
        try:
            core = runtime.Core()
            model = core.read_model(self._content)
            model.reshape([group.batch, *self._example.shape[1:]])
            properties = _properties(group.threads, profiled=profiled)
            return core.compile_model(_channels_last(runtime, model), DEVICE, properties)
        except (RuntimeError, TypeError, ValueError) as error:
            name = self._variant.label
            raise EngineError(f"{name}: OpenVINO cannot take the converted model: {_said(error)}") from error

    def _profile(self) -> GraphProfile:
        compiled = self._compile(profiled=True)
        request = compiled.create_infer_request()
        self._fill(request, np.repeat(self._example, self._group.batch, axis=0))
        request.infer()
        cold = _nodes(compiled)
        for _ in range(PROFILED_CALLS):
            request.infer()
        return GraphProfile(cold=cold, warm=_nodes(compiled), calls=1 + PROFILED_CALLS)


@contextmanager
def _telemetry_off() -> Iterator[None]:
    """Run the block as if OpenVINO's package for telemetry were not installed.

    With it the import alone would write into the home folder, start threads and a process, and call a server.
    """
    there = TELEMETRY in sys.modules
    if there:  # someone else's choice, made before us
        yield
        return
    sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # how an import is told that there is no such module
    try:
        yield
    finally:
        sys.modules.pop(TELEMETRY, None)


def _runtime() -> Any:  # noqa: ANN401  the runtime has no types
    with _telemetry_off():
        return packages.loaded("openvino", "openvino")


def _properties(threads: int, *, profiled: bool) -> dict[str, bool | int | str]:
    """Return the properties of a session: one request at a time, on as many threads as asked, on any core.

    The hint for precision is what keeps float32 from bf16 or f16 on processors that have units for them. Threads are
    counted as the lab counts them, in logical processors, and not pinned, since the lab has done that.
    """
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "ENABLE_HYPER_THREADING": True,
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERF_COUNT": profiled,
    }


def _channels_last(runtime: Any, model: Any) -> Any:  # noqa: ANN401  the runtime has no types
    from openvino.preprocess import PrePostProcessor

    steps = PrePostProcessor(model)
    steps.input().tensor().set_layout(runtime.Layout("NHWC"))
    steps.input().model().set_layout(runtime.Layout("NCHW"))
    return steps.build()


def _settings(compiled: Any) -> dict[str, Json]:  # noqa: ANN401  the runtime has no types
    """Return the runtime's own description of itself and of the session that is timed."""
    tells = _REQUIREMENTS in compiled.get_property("SUPPORTED_PROPERTIES")
    requirements = str(compiled.get_property(_REQUIREMENTS)) if tells else ""
    isa = [part.removeprefix(_ISA) for part in requirements.split(";") if part.startswith(_ISA)]
    return {
        "engine": "openvino",
        "version": str(_runtime().get_version()),
        "isa": isa[0] if isa else None,
        "threads": int(compiled.get_property("INFERENCE_NUM_THREADS")),
        "streams": int(compiled.get_property("NUM_STREAMS")),
        "pinned": bool(compiled.get_property("ENABLE_CPU_PINNING")),
        "precision_hint": compiled.get_property("INFERENCE_PRECISION_HINT").to_string(),
    }


def _nodes(compiled: Any) -> tuple[GraphNode, ...]:  # noqa: ANN401  the runtime has no types
    return tuple(
        GraphNode.of(
            each.get_friendly_name(),
            {key: str(value.value) for key, value in each.get_rt_info().items()},
            given=_shapes(each.inputs()),
            answers=_shapes(each.outputs()),
        )
        for each in compiled.get_runtime_model().get_ordered_ops()
    )


def _shapes(tensors: Any) -> tuple[tuple[int, ...], ...]:  # noqa: ANN401  the runtime has no types
    known = (tensor.get_partial_shape() for tensor in tensors)
    return tuple(tuple(each.to_shape()) if each.is_static else () for each in known)


def _said(error: BaseException) -> str:
    """Return the first line of an error that says what failed, not where."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line.removeprefix("-- ") for line in lines if not line.startswith(_EMPTY_WORDS)]
    return (telling or lines or [type(error).__name__])[0]
