"""The engine tensorrt: NVIDIA's compiler and runtime, on a GPU. Float32 without TF32, float16, int8 from explicit QDQ.

NOT VERIFIED ON HARDWARE. Every name and signature used is held against the bindings of TensorRT 11.4, and the order of
the calls is tested on a stand-in that refuses what the bindings do not have; no engine was ever built or timed by us.

What is timed follows the rule of the engines on a CPU: the pictures lie ready in the engine's own memory, here the
GPU's, and the logits are back in the host's memory when the call ends. So the copy to the GPU is outside, the copy
back and the wait for the stream are inside. CUDA events around the work alone are measured beside, as evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, ClassVar

from int8bench.documents import Json
from int8bench.engines import operators, packages
from int8bench.engines.base import Availability, Conversion, Images, Logits, Material
from int8bench.engines.fixed_batch import ByBatch, filled, in_parts
from int8bench.engines.tensorrt import layers
from int8bench.engines.tensorrt.build import PLAN, PRECISION, convert, last, listener, started
from int8bench.engines.tensorrt.needs import NAME, obstacles, off_platform
from int8bench.engines.tensorrt.session import CUDA_FAULTS, Loaded, TensorRtSession, ends, profiler
from int8bench.errors import EngineError
from int8bench.machine import nvidia
from int8bench.workload.cases import FLOAT16, FLOAT32, INT8, NCHW, Group, Variant

if TYPE_CHECKING:
    from int8bench.machine import Hardware

# What the distributions are called for CUDA 12 and 13, and what the ONNX file depends on.
PACKAGES = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", "torch", "onnx", "onnxscript", "onnxruntime")
EVENTS = 20  # calls measured with CUDA events: their median is steady and they take milliseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorRtEngine(packages.PackagedEngine[ByBatch[bytes]]):
    """TensorRT on the first GPU that this process may see."""

    name: str = NAME

    precisions: ClassVar = (FLOAT32, FLOAT16, INT8)
    layout: ClassVar = NCHW  # TensorRT's own linear format

    def availability(self, hardware: Hardware) -> Availability:
        """Tell whether package, library, driver and GPU are there; each that is not has its own sentence."""
        return Availability.unless(" ".join(obstacles(hardware)) or None)

    def fit(self, hardware: Hardware) -> Availability:
        """Tell whether system and architecture fit; unknown where they do.

        No description of a processor tells whether there is a GPU.
        """
        reason = off_platform(hardware)
        if reason is None:
            return Availability(available=None, reason=f"{self.name} needs an NVIDIA GPU, of which nothing is told")
        return Availability.unless(reason)

    def objection(self, group: Group) -> str | None:
        """Return why thread counts other than 1 are not measured: on the GPU they would be the same cell again."""
        if group.threads == 1:
            return None
        return f"{self.name} works on the GPU and takes no threads, so it is measured on one alone; type --threads 1"

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion:  # noqa: ARG002  the protocol asks
        """Return the conversion to an engine for each batch size, good for one kind of GPU and one driver alone.

        Args:
            variant: whose precision the engines have.
            hardware: any machine; the GPU is looked up here.
        """
        return Conversion(
            name=f"{self.name} {variant.precision}",
            function=convert,
            packages=PACKAGES,
            options={PRECISION: variant.precision, **_gpu_of(nvidia.look())},
            by_batch=True,
        )

    def prepare(self, variant: Variant, material: Material) -> ByBatch[bytes]:
        """Return the serialized engines, read; the package is imported, CUDA is not started.

        Args:
            variant: one of `variants`.
            material: the folder of each batch size, and pictures for the evidence.

        Raises:
            EngineError: the package cannot be loaded, or a file cannot be read.
        """
        packages.loaded(NAME, NAME)
        plans = {batch: _read(folder / PLAN) for batch, folder in material.by_batch.items()}
        return ByBatch(variant=variant, made=plans, example=material.example)

    def build(self, prepared: ByBatch[bytes], group: Group) -> TensorRtPredictor:
        """Return a predictor of a batch size's engine, deserialized on the GPU.

        Args:
            prepared: the serialized engines by batch size.
            group: the batch size that chooses the engine; its threads change nothing.

        Raises:
            EngineError: no such batch size was converted, or TensorRT or CUDA refuse.
        """
        plan, label = prepared.made.get(group.batch), prepared.variant.label
        if plan is None:
            raise EngineError(f"{label}: no engine was converted for batch {group.batch}")
        return TensorRtPredictor(plan, label=label, example=prepared.example)


def _gpu_of(facts: nvidia.GpuFacts) -> dict[str, str]:
    """Return the facts that a serialized engine depends on besides its packages."""
    gpu = next(iter(nvidia.visible(facts)), None)
    if gpu is None:
        return {}
    return {"gpu": gpu.name, "compute_capability": ".".join(map(str, gpu.compute_capability)), "driver": gpu.driver}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{NAME}: {path} cannot be read ({error.strerror}); run again to convert anew") from error


class TensorRtPredictor:
    """A deserialized engine, which answers batches of one size on a stream of its own."""

    def __init__(self, plan: bytes, *, label: str, example: Images) -> None:
        """Deserialize the engine.

        Args:
            plan: the serialized engine.
            label: how errors call it.
            example: pictures that the evidence answers.

        Raises:
            EngineError: TensorRT or CUDA refuse.
        """
        self._trt = packages.loaded(NAME, NAME)
        self._label = label
        self._example = example
        self.serialized_bytes = len(plan)  # kernels included
        self._messages: list[str] = []
        self._logger = listener(self._trt, self._messages)
        self._runtime = started(self._trt.Runtime, self._logger, self._messages)  # must outlive its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineError(
                f"{label}: the serialized engine does not load ({last(self._messages)}); it may be of another GPU, "
                "driver or TensorRT: run again to convert anew"
            )
        given, left = ends(self._trt, self._engine, label)
        self._loaded = Loaded(
            trt=self._trt, engine=self._engine, given=given, left=left, label=label, messages=self._messages
        )
        self._answering = self._session()

    @property
    def weights_bytes(self) -> int:
        """Bytes of the weights in the engine, by its own count; of the whole plan where this version has no count."""
        ask = getattr(self._engine, "get_engine_stat", None)  # TensorRT 10.0 to 10.9 have none
        return self.serialized_bytes if ask is None else int(ask(self._trt.EngineStat.TOTAL_WEIGHTS_SIZE))

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """The layers that were made, their types and times, and the GPU's own times of the whole."""
        import torch

        properties = torch.cuda.get_device_properties(0)
        inspected = self._engine.create_engine_inspector().get_engine_information(self._trt.LayerInformationFormat.JSON)
        made = layers.operators(inspected, self._layer_seconds())
        return {
            "ran": operators.ran("TensorRT's engine inspector and profiler", made),
            "tensorrt": str(self._trt.__version__),
            "gpu": properties.name,
            "compute_capability": f"{properties.major}.{properties.minor}",
            "tf32": False,
            "device_memory_bytes": int(self._engine.device_memory_size_v2),
            "timed": "pictures lie in the GPU's memory; the copy of the logits to the host is inside the call",
            "gpu_seconds": self._event_seconds(),
        }

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        A batch is split into parts of the engine's size, the last one filled up.

        Raises:
            EngineError: the pictures have another shape, or CUDA fails.
        """
        size = self._answering.batch
        if tuple(batch.shape[1:]) != tuple(self._answering.shape[1:]):
            raise EngineError(
                f"{self._label}: pictures of shape {batch.shape[1:]}, expected {tuple(self._answering.shape[1:])}"
            )
        return in_parts(batch, size, self._answering.answer)

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: the network on pictures that lie on the GPU, until the logits are back on the host.

        The call copies the logits back and waits for the stream. Makes the engine's stream the calling thread's current
        one for good; every predictor of the process shares it, so that none pays for changing it in each call.
        """
        session = self._session()
        session.fill(batch)
        session.stay()
        return session.run

    def _session(self) -> TensorRtSession:
        try:
            return TensorRtSession(self._loaded)
        except CUDA_FAULTS as error:
            raise EngineError(f"{self._label}: CUDA refuses: {last([str(error)])}") from error

    def _layer_seconds(self) -> Mapping[str, float]:
        session = self._session()
        seconds: dict[str, float] = {}
        session.profile(profiler(self._trt, seconds))
        for _ in range(2):  # the first one may load kernels; the second overwrites it
            session.answer(filled(self._example, session.batch))
        return seconds

    def _event_seconds(self) -> Mapping[str, Json]:
        session = self._session()
        session.answer(filled(self._example, session.batch))
        return {"median": median(session.between_events() for _ in range(EVENTS)), "calls": EVENTS}
