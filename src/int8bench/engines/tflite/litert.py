"""The engine ``litert``: TensorFlow Lite's runtime with XNNPACK, float32 and int8.

Both take and give float32: XNNPACK quantizes and dequantizes, as the other engines do inside their own graphs.

Its workers wait without spinning: XNNPACK's delegate always asks for that, and a process at two threads uses no
processor time after a call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Conversion, Images, Logits, Material
from int8bench.engines.fixed_batch import ByBatch, damaged
from int8bench.engines.operators import Kind, Operator, ran
from int8bench.engines.packages import PACKAGED
from int8bench.engines.tflite import files
from int8bench.engines.tflite.files import OperatorDetails, TensorDetails, multiply_adds
from int8bench.engines.tflite.predictor import FixedBatchPredictor
from int8bench.workload.cases import CHANNELS_LAST, Group, Variant

if TYPE_CHECKING:
    from int8bench.machine import Hardware

DISTRIBUTIONS = ("ai-edge-litert", "litert-torch", "ai-edge-quantizer")
# litert-converter, without which no file is made, has packages for these alone.
_PLATFORMS = {("x86_64", "Linux"), ("arm64", "Darwin"), ("x86_64", "Windows")}

NOT_MADE = "no file was made"
_DELEGATE = "DELEGATE"
_EDGES = {"QUANTIZE", "DEQUANTIZE", "TRANSPOSE"}
_MOVES = {"RESHAPE", "SQUEEZE", "PAD", "PADV2", "CONCATENATION", "SLICE", "STRIDED_SLICE", "SPLIT", "PACK", "UNPACK"}
PER_CHANNEL_BYTES = 12  # a float32 scale and an int64 zero point, as the file format keeps them


@dataclass(frozen=True, slots=True, kw_only=True)
class LitertFile:
    """A file that was made for one batch size, and where it came from."""

    content: bytes
    folder: Path


LitertFiles: TypeAlias = ByBatch[LitertFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiteRtEngine(packages.PackagedEngine[LitertFiles]):
    """Google's LiteRT, formerly TensorFlow Lite."""

    name: str = "litert"
    modules: ClassVar = ("ai_edge_litert", "ai_edge_quantizer", "litert_torch")
    layout: ClassVar = CHANNELS_LAST

    def unfit(self, hardware: Hardware) -> str | None:
        """Return why a system and architecture have no package of the converter, or None where they have."""
        if (hardware.arch, hardware.os) in _PLATFORMS:
            return None
        executorch = "choose --engines executorch, which runs XNNPACK too"
        return (
            f"{self.name}: the converter to .tflite, litert-converter, has no package for {hardware.os} on "
            f"{hardware.arch}; {executorch if hardware.arch in PACKAGED else 'stay with float32'}"
        )

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion | None:  # noqa: ARG002  any machine's
        """Return the conversion to a .tflite file for each batch size.

        Args:
            variant: whose precision the files have.
            hardware: any machine; the files are the same for all.
        """
        return files.conversion(variant.precision)

    def prepare(self, variant: Variant, material: Material) -> LitertFiles:
        """Return the files in memory, with the runtime imported.

        Args:
            variant: one of `variants`.
            material: the folder of each batch size, and pictures.

        Raises:
            EngineError: the runtime cannot be loaded, or a file cannot be read.
        """
        packages.loaded(self.name, "ai_edge_litert.interpreter")  # paid before the forks
        return read(variant, material)

    def build(self, prepared: LitertFiles, group: Group) -> FixedBatchPredictor:
        """Return a predictor whose session is opened, and its weights packed, in the calling process.

        Args:
            prepared: the files by batch size.
            group: the batch size that chooses the file, and the threads of the session.

        Raises:
            EngineError: there is no file for the batch size, or it cannot be opened.
        """
        file, name = prepared.of(group.batch, NOT_MADE), prepared.variant.label
        start = partial(_opened, name, file, group.threads)
        return FixedBatchPredictor(
            name=name,
            batch=group.batch,
            content=file.content,
            open_session=lambda: LiteRtSession(start()),
            weigh=lambda: weights_bytes(start()),
            describe=lambda: _evidence(start(), group.threads),
        )


def read(variant: Variant, material: Material) -> LitertFiles:
    """Return the files of every batch size.

    Args:
        variant: that the files are of.
        material: with the folders of the conversions.

    Raises:
        EngineError: one cannot be read.
    """
    made = {batch: _read(variant, folder) for batch, folder in material.by_batch.items()}
    return ByBatch(variant=variant, made=made, example=material.calibration)


def _read(variant: Variant, folder: Path) -> LitertFile:
    try:
        return LitertFile(content=files.content(folder), folder=folder)
    except OSError as error:
        raise damaged(variant.label, folder, error) from error


class LiteRtSession:
    """An interpreter with its tensors allocated."""

    def __init__(self, interpreter: Any) -> None:  # noqa: ANN401  ai_edge_litert has no types
        """Look up the one input and the one output."""
        self._interpreter = interpreter
        (entry,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
        self._input, self._output = entry["index"], answer["index"]

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """Return a call over pictures, which are put into the input here: no call overwrites it."""
        invoke, answers = self._interpreter.invoke, partial(self._interpreter.get_tensor, self._output)
        self._interpreter.set_tensor(self._input, pictures)

        def forward() -> Logits:
            invoke()
            return answers()  # type: ignore[no-any-return]

        return forward


def _opened(name: str, file: LitertFile, threads: int) -> Any:  # noqa: ANN401
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_content=file.content, num_threads=threads)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise damaged(name, file.folder, error) from error
    return interpreter


def weights_bytes(interpreter: Any) -> int:  # noqa: ANN401
    """Return the bytes of weights and biases among the constants, with their scales; shapes and axes are left out."""
    made = {int(each) for node in interpreter._get_ops_details() for each in node["outputs"]}  # noqa: SLF001  no other
    given = {detail["index"] for detail in interpreter.get_input_details()}
    tensors = [detail for detail in interpreter.get_tensor_details() if detail["index"] not in made | given]
    return sum(_weight_bytes(tensor) for tensor in tensors)


def _weight_bytes(tensor: TensorDetails) -> int:
    scales = len(tensor["quantization_parameters"]["scales"])
    if np.issubdtype(tensor["dtype"], np.integer) and not scales:
        return 0
    elements: int = math.prod(tensor["shape"].tolist())
    item_bytes: int = np.dtype(tensor["dtype"]).itemsize
    return elements * item_bytes + scales * PER_CHANNEL_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LitertNode:
    """One entry of an interpreter's graph: an operator of the file, or a delegate that took some of them."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    result_types: tuple[str, ...]


def taken(nodes: Sequence[LitertNode]) -> frozenset[int]:
    """Return the positions of the operators that a delegate runs: all that lie between its outputs and its inputs.

    The graph keeps what it replaced, and says nothing of it, so that it is followed back from what the delegate makes.
    """
    makers = {tensor: i for i, node in enumerate(nodes) if node.name != _DELEGATE for tensor in node.outputs}
    positions: set[int] = set()
    for delegate in (node for node in nodes if node.name == _DELEGATE):
        ahead = list(delegate.outputs)
        while ahead:
            tensor = ahead.pop()
            maker = makers.get(tensor)
            if maker is not None and maker not in positions and tensor not in delegate.inputs:
                positions.add(maker)
                ahead += nodes[maker].inputs
    return frozenset(positions)


def kind(name: str, result_types: Iterable[str]) -> Kind:
    """Return the kind of an operator of a .tflite file, by the types of its results.

    Args:
        name: of the operator in the file format.
        result_types: of its outputs, by the names that NumPy has for them.
    """
    if name in _EDGES:
        return Kind.EDGE
    if name in _MOVES:
        return Kind.OTHER
    types = set(result_types)
    if types == {"int8"}:
        return Kind.INT8
    return Kind.FLOAT if "float32" in types else Kind.OTHER


def _evidence(interpreter: Any, threads: int) -> Mapping[str, Json]:  # noqa: ANN401
    nodes = [_node(detail) for detail in interpreter._get_ops_details()]  # noqa: SLF001  nothing public tells of a delegate
    shapes = {detail["index"]: tuple(detail["shape"].tolist()) for detail in interpreter.get_tensor_details()}
    by_delegate = taken(nodes)
    operators = [
        Operator(
            name=node.name,
            implementation="XNNPACK" if position in by_delegate else "LiteRT",
            kind=kind(node.name, node.result_types),
            multiply_adds=multiply_adds(
                node.name, [shapes.get(each, ()) for each in node.inputs], shapes.get(node.outputs[0], ())
            ),
        )
        for position, node in enumerate(nodes)
        if node.name != _DELEGATE
    ]
    return {
        "engine": "litert",
        "versions": packages.versions(DISTRIBUTIONS),
        "threads": threads,
        "delegated_operators": len(by_delegate),
        "graph_operators": len(operators),
        "delegates": len(nodes) - len(operators),
        "ran": ran("LiteRT's graph, with what its delegate took", operators),
    }


def _node(details: OperatorDetails) -> LitertNode:
    return LitertNode(
        name=details["op_name"],
        inputs=tuple(details["inputs"].tolist()),
        outputs=tuple(details["outputs"].tolist()),
        result_types=tuple(np.dtype(each).name for each in details["result_types"]),
    )
