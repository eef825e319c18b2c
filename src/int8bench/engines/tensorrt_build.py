"""The conversion of the engine tensorrt: a model becomes ONNX, and ONNX a serialized engine for this GPU.

Not verified on hardware: the calls are held against the bindings of TensorRT 11.4, and made on a stand-in in tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8bench.engines import packages, tensorrt_onnx
from int8bench.engines.base import Material
from int8bench.engines.tensorrt_needs import EXTRA, NAME
from int8bench.errors import EngineError

PLAN = "model.plan"
PRECISION = "precision"  # of the options
MOST_ERRORS = 5  # of a parser; the first ones say it


def convert(
    material: Material, options: Mapping[str, bool | int | float | str], batch: int | None, folder: Path
) -> Mapping[str, object]:
    """Writes the serialized engine of a precision and batch size; TensorRT's version and warnings.

    Raises:
        EngineError: the package cannot be loaded, or TensorRT refuses the model.
    """
    assert batch is not None
    trt = load()
    messages: list[str] = []
    plan = serialized(trt, tensorrt_onnx.network(material, str(options[PRECISION]), batch), messages)
    (folder / PLAN).write_bytes(plan)
    return {"tensorrt": str(trt.__version__), "plan_bytes": len(plan), "messages": messages[:MOST_ERRORS]}


def load() -> Any:  # noqa: ANN401  a module whose package is not there when types are checked
    """TensorRT's Python package.

    Raises:
        EngineError: it is not there, or the library behind it is not.
    """
    try:
        import tensorrt
    except (ImportError, OSError) as error:
        raise packages.broken(EXTRA, error) from error
    return tensorrt


def serialized(trt: Any, onnx: bytes, messages: list[str]) -> bytes:  # noqa: ANN401
    """The engine that TensorRT builds of a network, serialized; TF32 is off.

    Args:
        trt: TensorRT's package.
        onnx: the network.
        messages: gets what TensorRT says of warnings and errors.

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
    """TensorRT's Builder or Runtime, the two objects that start CUDA.

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
    """A logger that keeps warnings and errors, and prints nothing."""

    class Listener(trt.ILogger):  # type: ignore[misc]
        """TensorRT's ILogger, whose `log` must be overridden."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)  # pybind11 wants the base's own constructor called

        def log(self, severity: Any, msg: str) -> None:  # noqa: ANN401
            if int(severity) <= int(trt.ILogger.Severity.WARNING):  # smaller is graver
                messages.append(msg)

    return Listener()


def last(messages: list[str]) -> str:
    """What TensorRT said last, on one line."""
    return " ".join(messages[-1].split()) if messages else "it says nothing"


def _errors(parser: Any) -> str:  # noqa: ANN401
    found = [parser.get_error(index) for index in range(parser.num_errors)]
    told = [f"{each.desc()} (node {each.node_name()!r}, {each.node_operator()})" for each in found[:MOST_ERRORS]]
    return "; ".join(told) or "it says nothing"
