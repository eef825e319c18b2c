"""A model as ONNX: float32 with a free batch size, and int8 with QuantizeLinear / DequantizeLinear pairs (QDQ).

What onnxruntime, OpenVINO and TensorRT read; they share the files. Quantized by onnxruntime's own tool, see
quantizer.py. Multiply-adds of operators, of ONNX and of ONNX Runtime, are told by the shapes of what goes in and out.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from int8bench import units
from int8bench.documents import Json
from int8bench.engines import operators, packages
from int8bench.engines.base import Conversion, Images, Material, Options
from int8bench.engines.onnx import quantizer
from int8bench.engines.onnx.quantizer import PICTURES
from int8bench.engines.operators import Shape
from int8bench.engines.packages import PackagedEngine
from int8bench.engines.plain import plain
from int8bench.errors import EngineError
from int8bench.machine.rules.choice import dot_products
from int8bench.workload.cases import FLOAT32, Variant

_CONVOLUTIONS = {"Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "QLinearConv", "ConvInteger"}
_TRANSPOSED = {"ConvTranspose", "QLinearConvTranspose"}
_PRODUCTS = {
    "Gemm",
    "FusedGemm",
    "QGemm",
    "MatMul",
    "FusedMatMul",
    "TransposeMatMul",
    "MatMulInteger",
    "MatMulInteger16",
    "MatMulIntegerToFloat",
    "QLinearMatMul",
    "DynamicQuantizeMatMul",
    "MatMulNBits",
}
_RECURRENT = {"LSTM", "GRU", "RNN", "DynamicQuantizeLSTM"}
_PROJECTED = {"Attention", "QAttention"}  # of Microsoft's domain: with the weights of all projections
_ATTENTION = {"MultiHeadAttention", "GroupQueryAttention"}
_UNTOLD = {"Einsum"}  # what is summed over stands in its equation
_MATRIX = 2


def multiply_adds(name: str, given: Sequence[Shape], answers: Sequence[Shape]) -> int | None:
    """Return the multiply-adds of an operator: 0 where it makes none, None where its shapes do not tell.

    Args:
        name: of the operator's type.
        given: shapes of its inputs in their order; scales and zero points have one axis at most.
        answers: shapes of its outputs.
    """
    matrices = [each for each in given if len(each) >= _MATRIX]
    if name in _UNTOLD:
        return None
    if name not in _CONVOLUTIONS | _TRANSPOSED | _PRODUCTS | _RECURRENT | _PROJECTED | _ATTENTION:
        return 0
    if len(matrices) < _MATRIX or not answers:
        return None
    return _of(name, matrices, answers[0])


def _of(name: str, matrices: Sequence[Shape], answer: Shape) -> int:
    first, second, *others = matrices
    if name in _CONVOLUTIONS:
        return operators.convolution(answer, second)
    if name in _TRANSPOSED:
        return operators.transposed_convolution(first, second)
    if name in _PRODUCTS:
        return operators.product(first, second, answer)
    if name in _RECURRENT:
        return operators.recurrent(math.prod(first[:-1]), second, *others[:1])
    if name in _PROJECTED:
        return math.prod(first[:-1]) * math.prod(second) + 2 * math.prod(answer) * answer[-2]
    return 2 * math.prod(first) * second[-2]  # the weights of attention, and what they make of the values


if TYPE_CHECKING:
    from torch import nn

    from int8bench.machine import Hardware

FILE = "model.onnx"
LOGITS = "logits"  # the name of the output; that of the input is `PICTURES`
BATCH = "batch"  # the name of the free axis
MOST_PICTURES = 65_536  # of a batch: the exporter wants an end of the axis
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
ADVICE = "change the model, or leave the engines that read ONNX out of --engines"
_X86 = "x86_64"


class OnnxEngine(PackagedEngine["Model"]):
    """An engine that reads ONNX: one file for every batch size, whichever engine reads it."""

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion:
        """Return the conversion to a float32 or an int8 file; the processor decides on the bits of weights.

        Args:
            variant: that will be prepared.
            hardware: the machine that the file will run on.
        """
        if variant.precision == FLOAT32:
            return Conversion(name="onnx float32", function=export, packages=PACKAGES)
        options = {"reduce_range": reduces_range(hardware)}
        return Conversion(name="onnx int8", function=quantize, packages=PACKAGES, options=options)

    def prepare(self, variant: Variant, material: Material) -> Model:
        """Return the content of the converted file, with the runtime imported.

        Args:
            variant: one of `variants`.
            material: the folder of the file, and a picture for the evidence.

        Raises:
            EngineError: the package cannot be loaded, or the file cannot be read.
        """
        self.runtime()
        return Model(variant=variant, content=content(material), example=material.example[:1])

    def runtime(self) -> Any:  # noqa: ANN401  runtimes have no types
        """Return the imported package, which has the engine's name.

        Raises:
            EngineError: it cannot be loaded.
        """
        return packages.loaded(self.name, self.name)


def reduces_range(hardware: Hardware) -> bool:
    """Tell whether weights keep to 7 bits: on x86 without VNNI, where sums of products of 8 bits saturate in 16."""
    return hardware.arch == _X86 and not dot_products(hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A converted model, read once in a launch."""

    variant: Variant
    content: bytes
    example: Images
    """One picture."""


def content(material: Material) -> bytes:
    """Return the content of the converted file.

    Raises:
        EngineError: it is not there.
    """
    path = material.files[None] / FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: the converted model cannot be read: {error.strerror}; run again") from error


def weights_bytes(content: bytes) -> int:
    """Return the bytes of all initializers of a file: weights, biases, scales and zero points."""
    import onnx

    model = onnx.load_from_string(content)
    return sum(onnx.numpy_helper.to_array(each).nbytes for each in model.graph.initializer)


def weights_of_nodes(path: Path) -> Mapping[str, list[tuple[int, ...]]]:
    """Return the shapes of each node's constants in their order, by the node's name."""
    import onnx

    graph = onnx.load(path).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    return {node.name: [shapes[name] for name in node.input if name in shapes] for node in graph.node}


def work_of_nodes(content: bytes, batch: int) -> Mapping[str, int]:
    """Return the multiply-adds of each node of a file, by its name; leave out those whose shapes cannot be inferred.

    Args:
        content: of a converted model.
        batch: pictures a call.
    """
    import onnx

    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = batch
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    for each in (*graph.input, *graph.value_info, *graph.output):
        shapes[each.name] = tuple(axis.dim_value for axis in each.type.tensor_type.shape.dim)
    counts = {
        node.name: multiply_adds(
            node.op_type, *([shapes.get(name, ()) for name in end] for end in (node.input, node.output))
        )
        for node in graph.node
    }
    return {name: count for name, count in counts.items() if count is not None}


def export(material: Material, _options: Options, _batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the float32 model.

    Args:
        material: the model, and a picture for its shape.
        folder: where its file goes.

    Raises:
        EngineError: torch cannot export the model.
    """
    _check_packages()
    return _exported(plain(material.model), material.example, folder / FILE)


def quantize(material: Material, options: Options, _batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the int8 model.

    Args:
        material: the model, and pictures to calibrate with.
        options: ``reduce_range``.
        folder: where its file goes.

    Raises:
        EngineError: torch cannot export the model, or onnxruntime's tool cannot quantize it.
    """
    _check_packages()
    from onnxruntime.quantization.shape_inference import quant_pre_process

    reduce_range = bool(options["reduce_range"])
    with tempfile.TemporaryDirectory(dir=folder) as place:
        exported, ready = Path(place) / FILE, Path(place) / "ready.onnx"
        notes = _exported(plain(material.model), material.example, exported)
        try:
            quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
            left = quantizer.quantized(ready, folder / FILE, material.calibration, reduce_range=reduce_range)
        except OSError:  # of the disk, not of the model
            raise
        except Exception as error:  # the tool raises whatever its passes raise
            raise EngineError(
                f"onnx: {type(material.model).__name__} cannot be quantized by onnxruntime's tool: "
                f"{units.reason(error)}; {ADVICE}"
            ) from error
    return {**notes, "reduce_range": reduce_range, "left_in_float": [asdict(each) for each in left]}


def _check_packages() -> None:
    """Refuse a package that is only half there, for which the exporter would blame the model."""
    for each in ("onnx", "onnxscript", "onnxruntime.quantization"):
        packages.loaded("onnxruntime", each)


def _exported(model: nn.Module, example: Images, path: Path) -> Mapping[str, Json]:
    import torch

    pictures = torch.from_numpy(np.repeat(example[:1], 2, axis=0))  # of one picture, the exporter makes a constant
    batch = torch.export.Dim(BATCH, min=1, max=MOST_PICTURES)
    try:
        program = torch.onnx.export(
            model,
            (pictures,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=[PICTURES],
            output_names=[LOGITS],
            verbose=False,
        )
    except Exception as error:  # the model's forward runs on symbols here, and may object in any way
        raise EngineError(
            f"onnx: {type(model).__name__} cannot be exported: {units.reason(error)}; {ADVICE}"
        ) from error
    assert program is not None
    program.save(str(path), external_data=False)  # with weights apart, quantizing fails on a check of links
    return {"nodes": len(program.model.graph), "opset": program.model.opset_imports.get("")}
