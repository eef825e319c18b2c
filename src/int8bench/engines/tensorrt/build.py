"""The conversion of the engine tensorrt: a model becomes ONNX, and ONNX a serialized engine for this GPU.

Networks are strongly typed, so the ONNX file says the types. Float32 is as exported. Float16 keeps float32 at its input
and output. Int8 has pairs of QuantizeLinear and DequantizeLinear as NVIDIA asks for
(https://docs.nvidia.com/deeplearning/tensorrt, explicit quantization): symmetric, signed, before what multiplies or
adds and not behind it, biases in float; hence not the file of the engine onnxruntime.

Not verified on hardware: the calls are held against the bindings of TensorRT 11.4, and made on a stand-in in tests.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Images, Material, Options
from int8bench.engines.onnx import files, quantizer
from int8bench.engines.tensorrt.needs import NAME
from int8bench.errors import EngineError
from int8bench.units import reason
from int8bench.workload.cases import FLOAT16, INT8

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
    """Return the model in a precision, for one batch size, as the content of an ONNX file.

    Args:
        material: the model, and pictures to calibrate with.
        precision: `FLOAT32`, `FLOAT16` or `INT8`.
        batch: the size that the network is for.

    Raises:
        EngineError: it cannot be exported, quantized or converted.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        files.export(material, {}, None, folder)
        try:
            model = _typed(folder / files.FILE, precision, material.calibration)
        except Exception as error:  # onnxruntime's tools raise whatever their passes raise
            raise EngineError(f"tensorrt: no {precision} onnx can be made of the model: {reason(error)}") from error
    return bytes(_fixed(model, batch).SerializeToString())


def _typed(exported: Path, precision: str, calibration: Images) -> Any:  # noqa: ANN401  onnx has no types
    if precision == INT8:
        return _quantized(exported, calibration)
    return _halved(exported) if precision == FLOAT16 else _loaded(exported)


def _quantized(exported: Path, calibration: Images) -> Any:  # noqa: ANN401
    from onnxruntime.quantization.shape_inference import quant_pre_process

    ready, target = exported.with_name("ready.onnx"), exported.with_name("int8.onnx")
    quant_pre_process(str(exported), str(ready), skip_symbolic_shape=True)
    limits = {"op_types_to_quantize": list(QUANTIZED), "extra_options": OPTIONS}
    quantizer.by_tool(ready, target, calibration, activations="QInt8", **limits)
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
    """Return the model with the batch size that it will have for good, from which kernels are chosen."""
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = batch
    del model.graph.value_info[:]  # shapes within that still say otherwise; they are worked out again
    return model


PLAN = "model.plan"
PRECISION = "precision"  # of the options
MOST_ERRORS = 5  # of a parser; the first ones say it


def convert(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the serialized engine of a precision and batch size, and return TensorRT's version and warnings.

    Args:
        material: the model, and pictures to calibrate with.
        options: ``precision``.
        batch: the size that the engine is for.
        folder: where its file goes.

    Raises:
        EngineError: the package cannot be loaded, or TensorRT refuses the model.
    """
    assert batch is not None
    trt = packages.loaded(NAME, NAME)
    messages: list[str] = []
    plan = serialized(trt, network(material, str(options[PRECISION]), batch), messages)
    (folder / PLAN).write_bytes(plan)
    return {"tensorrt": str(trt.__version__), "plan_bytes": len(plan), "messages": messages[:MOST_ERRORS]}


def serialized(trt: Any, onnx: bytes, messages: list[str]) -> bytes:  # noqa: ANN401
    """Return the serialized engine that TensorRT builds of a network, with TF32 off.

    Args:
        trt: TensorRT's package.
        onnx: the network.
        messages: gets TensorRT's warnings and errors.

    Raises:
        EngineError: the parser or the builder refuses it.
    """
    logger = listener(trt, messages)
    builder = started(trt.Builder, logger, messages)
    # By name, since its number differs: 1 in TensorRT 10, 0 in 11, where it is always on.
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(onnx):
        raise EngineError(f"{NAME}: its parser does not take the model: {_errors(parser)}; stay with another engine")
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default: float32 with 10 bits of mantissa
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the layers' types, for the evidence
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineError(f"{NAME}: its builder makes no engine of the model: {last(messages)}")
    return bytes(plan)


def started(kind: Any, logger: Any, messages: list[str]) -> Any:  # noqa: ANN401
    """Return TensorRT's Builder or Runtime, the two objects that start CUDA.

    Args:
        kind: ``Builder`` or ``Runtime``.
        logger: that it talks to.
        messages: what TensorRT has said so far.

    Raises:
        EngineError: CUDA cannot be started.
    """
    try:
        return kind(logger)
    except TypeError as error:  # the bindings' word where the library gives them nothing
        raise EngineError(
            f"{NAME}: CUDA cannot be started ({last(messages)}); type int8bench doctor for what is missing"
        ) from error


def listener(trt: Any, messages: list[str]) -> Any:  # noqa: ANN401
    """Return a logger that keeps warnings and errors, and prints nothing.

    Args:
        trt: TensorRT's package.
        messages: gets the warnings and errors.
    """

    class Listener(trt.ILogger):  # type: ignore[misc]
        """TensorRT's ILogger, whose `log` must be overridden."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants the base's own constructor called

        def log(self, severity: Any, msg: str) -> None:  # noqa: ANN401
            if int(severity) <= int(trt.ILogger.Severity.WARNING):  # smaller is graver
                messages.append(msg)

    return Listener()


def last(messages: list[str]) -> str:
    """Return TensorRT's last message, on one line."""
    return " ".join(messages[-1].split()) if messages else "it says nothing"


def _errors(parser: Any) -> str:  # noqa: ANN401
    errors = [parser.get_error(index) for index in range(parser.num_errors)]
    sentences = [
        f"{error.desc()} (node {error.node_name()!r}, {error.node_operator()})" for error in errors[:MOST_ERRORS]
    ]
    return "; ".join(sentences) or "it says nothing"
