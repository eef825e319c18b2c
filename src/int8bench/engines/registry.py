"""The engines by name: one line each, and what other packages add. Never imports torch."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from int8bench.engines.base import AnyEngine
from int8bench.engines.executorch.engine import ExecuTorchEngine
from int8bench.engines.inductor.engine import InductorEngine
from int8bench.engines.onnx.onnxruntime import OnnxRuntimeEngine
from int8bench.engines.onnx.openvino import OpenVinoEngine
from int8bench.engines.tensorrt.engine import TensorRtEngine
from int8bench.engines.tflite.litert import LiteRtEngine
from int8bench.engines.tflite.tflm import TflmEngine
from int8bench.engines.torch.float32 import Float32Engine
from int8bench.engines.torch.int8 import QuantizedEngine
from int8bench.errors import RequestError

ENTRY_POINT_GROUP = "int8bench.engines"  # another package's `name = "its.module:factory"`, called without arguments

_BUILT_IN: tuple[AnyEngine, ...] = (
    Float32Engine(),
    QuantizedEngine(name="fbgemm"),
    QuantizedEngine(name="x86"),
    QuantizedEngine(name="onednn"),
    QuantizedEngine(name="qnnpack"),
    OnnxRuntimeEngine(),
    OpenVinoEngine(),
    InductorEngine(),
    ExecuTorchEngine(),
    LiteRtEngine(),
    TflmEngine(),
    TensorRtEngine(),
)


def engine_names() -> tuple[str, ...]:
    """Return the names of all engines: ours, then those of other packages in alphabetical order; load none of them."""
    ours = tuple(engine.name for engine in _BUILT_IN)
    return tuple(dict.fromkeys((*ours, *sorted(entry.name for entry in _entry_points()))))


def engine_named(name: str) -> AnyEngine:
    """Return the engine of that name.

    Raises:
        RequestError: no engine has the name, or the package that brings it cannot be loaded.
    """
    for engine in _BUILT_IN:
        if engine.name == name:
            return engine
    for entry in _entry_points():
        if entry.name == name:
            return _loaded(entry)
    raise RequestError(_unknown(name))


def _entry_points() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def _loaded(entry: EntryPoint) -> AnyEngine:
    try:
        engine: AnyEngine = entry.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise RequestError(
            f"engine {entry.name!r}: {entry.value} cannot be loaded: {error}; reinstall the package that brings it, "
            f"or choose one of {', '.join(each.name for each in _BUILT_IN)}"
        ) from error
    return engine


def _unknown(name: str) -> str:
    known = engine_names()
    close = get_close_matches(name.lower(), known, n=1)
    suggestion = f"did you mean {close[0]}?" if close else f"try {known[1]}"
    return f"engine {name!r}: unknown, expected one of {', '.join(known)}; {suggestion}"
