"""A model as ONNX: float32 with a free batch size, and int8 with QuantizeLinear / DequantizeLinear pairs (QDQ).

What onnxruntime, OpenVINO and TensorRT read; they share the files. Quantized by onnxruntime's own tool: min-max ranges
over all calibration pictures, unsigned activations, signed weights by channel.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from int8bench import units
from int8bench.cases import FLOAT32, Variant
from int8bench.engines import packages
from int8bench.engines.base import Conversion, Images, Material
from int8bench.engines.plain import plain
from int8bench.engines.torch_int8 import CALIBRATION_BATCH
from int8bench.errors import EngineError
from int8bench.findings.choice import dot_products

if TYPE_CHECKING:
    from torch import nn

    from int8bench.hardware import Hardware

FILE = "model.onnx"
PICTURES, LOGITS = "pictures", "logits"  # the names of the input and the output
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


class Calibration:
    """Pictures by batches, as onnxruntime's calibration reads them (its CalibrationDataReader, by its one method)."""

    def __init__(self, pictures: Images) -> None:
        """Keeps pictures (image, channel, height, width)."""
        self._batches: Iterator[Images] = (
            pictures[first : first + CALIBRATION_BATCH] for first in range(0, len(pictures), CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, Images] | None:
        """The next batch, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {PICTURES: batch}


def weights_bytes(content: bytes) -> int:
    """Bytes of all initializers of a file: weights, biases, scales and zero points."""
    import onnx

    model = onnx.load_from_string(content)
    return sum(onnx.numpy_helper.to_array(each).nbytes for each in model.graph.initializer)


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
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=folder) as place:
        exported, ready = Path(place) / FILE, Path(place) / "ready.onnx"
        notes = _exported(plain(material.model), material.example, exported)
        try:
            quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
            quantize_static(
                str(ready),
                str(folder / FILE),
                Calibration(material.calibration),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=bool(options["reduce_range"]),
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
        except OSError:  # of the disk, not of the model
            raise
        except Exception as error:  # the tool raises whatever its passes raise
            raise EngineError(
                f"onnx: {type(material.model).__name__} cannot be quantized by onnxruntime's tool: "
                f"{units.reason(error)}; {ADVICE}"
            ) from error
    return {**notes, "reduce_range": bool(options["reduce_range"])}


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
            f"onnx: {type(model).__name__} cannot be exported: {units.reason(_origin(error))}; {ADVICE}"
        ) from error
    assert program is not None
    program.save(str(path), external_data=False)  # with weights apart, quantizing fails on a check of links
    return {"nodes": len(program.model.graph), "opset": program.model.opset_imports.get("")}


def _origin(error: BaseException) -> BaseException:
    """What an exporter's error comes from: its own text is advice for those who call it, in colours."""
    return _origin(error.__cause__) if error.__cause__ else error
