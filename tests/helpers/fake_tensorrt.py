"""A stand-in for NVIDIA's package: it notes each call, and refuses every name that the real bindings do not have.

The names come from tests/golden/tensorrt/api-11.4.json, which was read from the bindings themselves. It computes
something simple instead of a network: logit k of a picture is its mean times k + 1.
"""

import ctypes
import json
from enum import IntEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

API = json.loads((Path(__file__).parents[1] / "golden" / "tensorrt" / "api-11.4.json").read_text())
CLASSES = 10
LAYERS = {
    "Layers": [
        {
            "Name": "input reformat",
            "LayerType": "Reformat",
            "Inputs": [{"Name": "x", "Format": "Row major linear", "DataType": "Float"}],
            "Outputs": [{"Name": "y", "Format": "Thirty-two wide channel vectorized", "DataType": "Int8"}],
        },
        {
            "Name": "conv + relu",
            "LayerType": "CaskConvolution",
            "ParameterType": "Convolution",
            "Inputs": [{"Name": "y", "Format": "Thirty-two wide channel vectorized", "DataType": "Int8"}],
            "Outputs": [{"Name": "z", "Format": "Row major linear", "DataType": "Float"}],
            "Weights": {"Type": "Int8", "Count": 864},
            "TacticName": "sm80_xmma_fprop_implicit_gemm_i8i8_i8i32_f32",
        },
    ]
}
TIMES_MS = {"input reformat": 0.25, "conv + relu": 0.75}


class _Named:
    """Refuses, to read and to write, what the real class does not have."""

    real = ""

    def __getattribute__(self, name: str) -> Any:
        kind = object.__getattribute__(self, "real")
        if kind and not name.startswith("_") and name not in ("real", *API["classes"][kind]["members"]):
            raise AssertionError(f"{kind} has no {name} in TensorRT {API['version']}")
        return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        assert name.startswith("_") or name in API["classes"][self.real]["members"], f"{self.real} has no {name}"
        object.__setattr__(self, name, value)


def _enum(name: str) -> Any:
    return IntEnum(name, API["enums"][name])  # type: ignore[misc]  members from a file


class FakeTensorRt:
    """The module, and how it is to behave."""

    __version__ = API["version"]

    def __init__(self, *, batch: int = 1, shape: tuple[int, ...] = (3, 32, 32)) -> None:
        """Behaves well until a test says otherwise."""
        self.calls: list[Any] = []
        self.batch = batch
        self.shape = shape
        self.parser_errors: list[tuple[str, str, str]] = []
        self.builds = True
        self.starts = True
        self.loads = True
        self.has_room = True
        self.takes_memory = True
        self.runs = True
        self.says: str | None = None
        self.input_type = "FLOAT"
        for name in API["enums"]:
            if name != "Severity":
                setattr(self, name, _enum(name))
        _classes(self)
        for name in vars(self):
            if name[0].isupper():
                assert name in API["module"], name

    def note(self, *call: Any) -> None:
        """Notes a call and what matters of its arguments."""
        self.calls.append(call)

    def names(self) -> list[str]:
        """The calls alone."""
        return [call[0] for call in self.calls]


def _classes(trt: Any) -> None:  # noqa: C901  one stand-in of a module, class by class
    severity = IntEnum("Severity", API["enums"]["Severity"])  # type: ignore[misc]

    class ILogger:
        Severity = severity

        def __init__(self) -> None:
            self._ready = True

    class IProfiler:
        def __init__(self) -> None:
            self._ready = True

    def said(logger: Any) -> None:
        assert logger._ready, "the base's constructor was not called"
        for level, text in ((severity.INFO, "chatter"), (severity.ERROR, trt.says)):
            if text is not None:
                logger.log(level, text)

    class Builder(_Named):
        real = "Builder"

        def __init__(self, logger: Any) -> None:
            said(logger)
            if not trt.starts:
                raise TypeError("pybind11::init(): factory function returned nullptr")
            self._logger = logger
            trt.note("Builder")

        def create_network(self, flags: int = 0) -> Any:
            trt.note("create_network", flags)
            return INetworkDefinition()

        def create_builder_config(self) -> Any:
            trt.note("create_builder_config")
            return IBuilderConfig()

        def build_serialized_network(self, network: Any, config: Any) -> Any:
            assert isinstance(network, INetworkDefinition)
            trt.note("build_serialized_network", config.profiling_verbosity)
            said(self._logger)
            return b"plan of " + network._onnx if trt.builds else None

    class INetworkDefinition(_Named):
        real = "INetworkDefinition"
        _onnx = b""

    class IBuilderConfig(_Named):
        real = "IBuilderConfig"
        profiling_verbosity: Any = None

        def clear_flag(self, flag: Any) -> None:
            assert isinstance(flag, trt.BuilderFlag)
            trt.note("clear_flag", flag.name)

    class OnnxParser(_Named):
        real = "OnnxParser"

        def __init__(self, network: Any, logger: Any) -> None:
            assert logger._ready
            self._network = network
            trt.note("OnnxParser")

        def parse(self, model: bytes) -> bool:
            trt.note("parse")
            self._network._onnx = model
            return not trt.parser_errors

        @property
        def num_errors(self) -> int:
            return len(trt.parser_errors)

        def get_error(self, index: int) -> Any:
            return ParserError(*trt.parser_errors[index])

    class ParserError(_Named):
        real = "ParserError"

        def __init__(self, desc: str, name: str, operator: str) -> None:
            self._told = (desc, name, operator)

        def desc(self) -> str:
            return self._told[0]

        def node_name(self) -> str:
            return self._told[1]

        def node_operator(self) -> str:
            return self._told[2]

    class Runtime(_Named):
        real = "Runtime"

        def __init__(self, logger: Any) -> None:
            said(logger)
            if not trt.starts:
                raise TypeError("pybind11::init(): factory function returned nullptr")
            trt.note("Runtime")

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
            assert isinstance(serialized_engine, bytes)
            trt.note("deserialize_cuda_engine", serialized_engine)
            return ICudaEngine() if trt.loads else None

    class ICudaEngine(_Named):
        real = "ICudaEngine"
        num_io_tensors = 2
        device_memory_size_v2 = 4096

        def get_tensor_name(self, index: int) -> str:
            return ("logits", "pictures")[index]  # no order is promised

        def get_tensor_mode(self, name: str) -> Any:
            return trt.TensorIOMode.INPUT if name == "pictures" else trt.TensorIOMode.OUTPUT

        def get_tensor_dtype(self, name: str) -> Any:
            return trt.DataType[trt.input_type] if name == "pictures" else trt.DataType.FLOAT

        def get_tensor_shape(self, name: str) -> tuple[int, ...]:
            return (trt.batch, *trt.shape) if name == "pictures" else (trt.batch, CLASSES)

        def get_engine_stat(self, stat: Any) -> int:
            assert stat is trt.EngineStat.TOTAL_WEIGHTS_SIZE
            return 1234

        def create_engine_inspector(self) -> Any:
            return EngineInspector()

        def create_execution_context(self) -> Any:
            trt.note("create_execution_context")
            return IExecutionContext() if trt.has_room else None

    class EngineInspector(_Named):
        real = "EngineInspector"

        def get_engine_information(self, format: Any) -> str:  # noqa: A002  as the bindings call it
            assert format is trt.LayerInformationFormat.JSON
            return json.dumps(LAYERS)

    class IExecutionContext(_Named):
        real = "IExecutionContext"
        nvtx_verbosity: Any = None
        profiler: Any = None

        def set_tensor_address(self, name: str, memory: int) -> bool:
            trt.note("set_tensor_address", name)
            self._addresses = {**getattr(self, "_addresses", {}), name: memory}
            return bool(trt.takes_memory)

        def execute_async_v3(self, stream_handle: int) -> bool:
            trt.note("execute_async_v3", stream_handle)
            if trt.runs:
                pictures = _array(self._addresses["pictures"], (trt.batch, *trt.shape))
                _array(self._addresses["logits"], (trt.batch, CLASSES))[:] = answers(pictures)
                for layer, ms in TIMES_MS.items():
                    if self.profiler is not None:
                        self.profiler.report_layer_time(layer, ms)
            return bool(trt.runs)

    for each in (ILogger, IProfiler, Builder, INetworkDefinition, IBuilderConfig, OnnxParser, ParserError, Runtime):
        setattr(trt, each.__name__, each)
    for each in (ICudaEngine, EngineInspector, IExecutionContext):
        setattr(trt, each.__name__, each)


def answers(pictures: Any) -> Any:
    """What the stand-in answers."""
    return pictures.mean(axis=(1, 2, 3))[:, None] * np.arange(1, CLASSES + 1, dtype=np.float32)


def _array(address: int, shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    return np.frombuffer((ctypes.c_float * count).from_address(address), dtype=np.float32).reshape(shape)


class FakeCuda:
    """CUDA on the host's memory: what torch is asked for is noted in the same list as TensorRT's calls."""

    def __init__(self, trt: FakeTensorRt, monkeypatch: Any) -> None:
        """Takes CUDA's place in torch for a test; a name that torch does not have cannot be taken."""
        import torch

        self.current: Any = None
        self._trt = trt
        empty, copy = torch.empty, torch.Tensor.copy_

        def _empty(*args: Any, device: str = "cpu", pin_memory: bool = False, **named: Any) -> Any:
            if device == "cuda" or pin_memory:
                trt.note("empty", "pinned" if pin_memory else device, tuple(args[0]))
            return empty(*args, **named)

        def _copy(tensor: Any, source: Any, *, non_blocking: bool = False) -> Any:
            trt.note("copy", tuple(tensor.shape), non_blocking, self.current)
            return copy(tensor, source)

        monkeypatch.setattr(torch, "empty", _empty)
        monkeypatch.setattr(torch.Tensor, "copy_", _copy)
        monkeypatch.setattr(torch.cuda, "Stream", self._stream)
        monkeypatch.setattr(torch.cuda, "Event", lambda *, enable_timing: self._event(enable_timing))
        monkeypatch.setattr(torch.cuda, "stream", self._on)
        monkeypatch.setattr(torch.cuda, "set_stream", lambda stream: setattr(self, "current", stream.cuda_stream))
        monkeypatch.setattr(torch.cuda, "synchronize", lambda: trt.note("synchronize"))
        properties = SimpleNamespace(name="NVIDIA Pretend", major=9, minor=0)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)

    def _stream(self) -> Any:
        return SimpleNamespace(cuda_stream=77, synchronize=lambda: self._trt.note("stream.synchronize"))

    def _event(self, timing: bool) -> Any:  # noqa: FBT001  as torch names it
        assert timing
        return SimpleNamespace(
            record=lambda stream: self._trt.note("record", stream.cuda_stream), elapsed_time=lambda _: 0.5
        )

    def _on(self, stream: Any) -> Any:
        return _On(self, stream.cuda_stream)


class _On:
    """A stream made current for a while."""

    def __init__(self, cuda: FakeCuda, stream: int) -> None:
        self._cuda, self._stream = cuda, stream

    def __enter__(self) -> None:
        self._before, self._cuda.current = self._cuda.current, self._stream

    def __exit__(self, *_: object) -> None:
        self._cuda.current = self._before
