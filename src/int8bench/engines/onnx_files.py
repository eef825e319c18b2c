"""A model as ONNX: float32 with a free batch size, and int8 with QuantizeLinear / DequantizeLinear pairs (QDQ).

What onnxruntime, OpenVINO and TensorRT read; they share the files. Quantized by onnxruntime's own tool, see
`onnx_quantizer`.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from int8bench import units
from int8bench.cases import FLOAT32, Variant
from int8bench.engines import onnx_quantizer, packages
from int8bench.engines.base import Conversion, Images, Material
from int8bench.engines.onnx_arithmetic import multiply_adds
from int8bench.engines.onnx_quantizer import PICTURES
from int8bench.engines.plain import plain
from int8bench.errors import EngineError
from int8bench.findings.choice import dot_products

if TYPE_CHECKING:
    from torch import nn

    from int8bench.hardware import Hardware

FILE = "model.onnx"
LOGITS = "logits"  # the name of the output; that of the input is `PICTURES`
BATCH = "batch"  # the name of the free axis
MOST_PICTURES = 65_536  # of a batch: the exporter wants an end of the axis
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")
ADVICE = "change the model, or leave the engines that read ONNX out of --engines"
_X86 = "x86_64"

Options = Mapping[str, bool | int | float | str]


def conversion(variant: Variant, hardware: Hardware) -> Conversion:
    """The files of a float32 or an int8 variant, whichever engine reads them."""
    if variant.precision == FLOAT32:
        return Conversion(name="onnx float32", function=f"{__name__}:export", packages=PACKAGES)
    return Conversion(
        name="onnx int8",
        function=f"{__name__}:quantize",
        packages=PACKAGES,
        options={"reduce_range": reduces_range(hardware)},
    )


def reduces_range(hardware: Hardware) -> bool:
    """Whether weights keep to 7 bits: on x86 without VNNI, where sums of products of 8 bits saturate in 16."""
    return hardware.arch == _X86 and not dot_products(hardware)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A converted model, read once in a launch."""

    variant: Variant
    content: bytes
    example: Images
    """One picture."""


def read(variant: Variant, material: Material) -> Model:
    """What a runtime of ONNX keeps from one fork to the next.

    Raises:
        EngineError: the converted file is not there.
    """
    return Model(variant=variant, content=content(material), example=material.example[:1])


def content(material: Material) -> bytes:
    """The converted file.

    Raises:
        EngineError: it is not there.
    """
    path = material.files[None] / FILE
    try:
        return path.read_bytes()
    except OSError as error:
        raise EngineError(f"{path}: the converted model cannot be read: {error.strerror}; run again") from error


def weights_bytes(content: bytes) -> int:
    """Bytes of all initializers of a file: weights, biases, scales and zero points."""
    import onnx

    model = onnx.load_from_string(content)
    return sum(onnx.numpy_helper.to_array(each).nbytes for each in model.graph.initializer)


def weights_of_nodes(path: Path) -> Mapping[str, list[tuple[int, ...]]]:
    """The shapes of each node's constants in their order, by the node's name."""
    import onnx

    graph = onnx.load(path).graph
    shapes = {each.name: tuple(each.dims) for each in graph.initializer}
    return {node.name: [shapes[name] for name in node.input if name in shapes] for node in graph.node}


def work_of_nodes(content: bytes, batch: int) -> Mapping[str, int]:
    """The multiply-adds of each node of a file, by its name; without those whose shapes cannot be inferred.

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
    found = {
        node.name: multiply_adds(
            node.op_type, *([shapes.get(name, ()) for name in end] for end in (node.input, node.output))
        )
        for node in graph.node
    }
    return {name: count for name, count in found.items() if count is not None}


def export(material: Material, _options: Options, _batch: int | None, folder: Path) -> Mapping[str, object]:
    """Writes the float32 model.

    Raises:
        EngineError: torch cannot export the model.
    """
    _check_packages()
    return _exported(plain(material.model), material.example, folder / FILE)


def quantize(material: Material, options: Options, _batch: int | None, folder: Path) -> Mapping[str, object]:
    """Writes the int8 model.

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
            left = onnx_quantizer.quantized(ready, folder / FILE, material.calibration, reduce_range=reduce_range)
        except OSError:  # of the disk, not of the model
            raise
        except Exception as error:  # the tool raises whatever its passes raise
            raise EngineError(
                f"onnx: {type(material.model).__name__} cannot be quantized by onnxruntime's tool: "
                f"{units.reason(error)}; {ADVICE}"
            ) from error
    return {**notes, "reduce_range": reduce_range, "left_in_float": [each.to_dict() for each in left]}


def _check_packages() -> None:
    """Says of a package which is half there what is wrong; the exporter would blame the model."""
    try:
        for each in ("onnx", "onnxscript", "onnxruntime.quantization"):
            importlib.import_module(each)
    except (ImportError, OSError) as error:
        raise packages.broken("onnxruntime", error) from error


def _exported(model: nn.Module, example: Images, path: Path) -> Mapping[str, object]:
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
