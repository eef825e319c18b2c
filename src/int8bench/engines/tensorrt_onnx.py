"""The ONNX file that TensorRT is given, in each precision: networks are strongly typed, so the file says the types.

Float32 is as exported. Float16 keeps float32 at its input and output. Int8 has pairs of QuantizeLinear and
DequantizeLinear as NVIDIA asks for (https://docs.nvidia.com/deeplearning/tensorrt, explicit quantization): symmetric,
signed, before what multiplies or adds and not behind it, biases in float; hence not the file of the engine onnxruntime.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from int8bench.cases import FLOAT16, INT8
from int8bench.engines import onnx_files, onnx_quantizer
from int8bench.engines.base import Images, Material
from int8bench.errors import EngineError
from int8bench.units import reason

QUANTIZED = ("Conv", "Gemm", "MatMul", "Add")  # their inputs; the rest moves along: TensorRT pulls pairs through it
OPTIONS = {
    "ActivationSymmetric": True,  # a zero point other than 0 is refused
    "WeightSymmetric": True,
    "QuantizeBias": False,  # a bias of 32-bit integers cannot be dequantized there
    "AddQDQPairToWeight": True,  # weights are float in the file and quantized by the builder
    "DedicatedQDQPair": True,  # a pair before each consumer, so that each can be fused
    "OpTypesToExcludeOutputQuantization": list(QUANTIZED),  # else no activation could be fused behind them
}


def network(material: Material, precision: str, batch: int) -> bytes:
    """The model in a precision, for one batch size.

    Raises:
        EngineError: it cannot be exported, quantized or converted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        onnx_files.export(material, {}, None, folder)
        try:
            model = _typed(folder / onnx_files.FILE, precision, material.calibration)
        except Exception as error:  # onnxruntime's tools raise whatever their passes raise
            raise EngineError(f"tensorrt: no {precision} onnx can be made of the model: {reason(error)}") from error
    return bytes(_fixed(model, batch).SerializeToString())


def _typed(exported: Path, precision: str, calibration: Images) -> Any:  # noqa: ANN401  onnx has no types
    if precision == INT8:
        return _quantized(exported, calibration)
    return _halved(exported) if precision == FLOAT16 else _loaded(exported)


def _quantized(exported: Path, calibration: Images) -> Any:  # noqa: ANN401
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready, target = exported.with_name("ready.onnx"), exported.with_name("int8.onnx")
    quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
    quantize_static(
        str(ready),
        str(target),
        onnx_quantizer.Calibration(calibration),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(QUANTIZED),
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options=OPTIONS,
    )
    return _loaded(target)


def _halved(exported: Path) -> Any:  # noqa: ANN401
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    halved = OnnxModel(convert_float_to_float16(_loaded(exported), keep_io_types=True))
    halved.topological_sort()  # the tool puts its casts at the end, where ONNX does not allow them
    return halved.model


def _loaded(path: Path) -> Any:  # noqa: ANN401
    import onnx

    return onnx.load(str(path))


def _fixed(model: Any, batch: int) -> Any:  # noqa: ANN401
    """The model with the batch size that it will have for good, from which kernels are chosen."""
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]  # shapes within that still say otherwise; they are worked out again
    return model
