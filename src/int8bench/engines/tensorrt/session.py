"""A TensorRT engine on the GPU with the memory that it reads and writes: fills, runs, waits. Never builds an engine.

Not verified on hardware.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from int8bench.engines.base import Images, Logits
from int8bench.engines.tensorrt.build import last
from int8bench.errors import EngineError

CUDA_FAULTS = (RuntimeError, AssertionError, ValueError)  # what torch.cuda raises where CUDA fails or is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A deserialized engine, the names of its input and output, and what TensorRT says meanwhile."""

    trt: Any
    engine: Any
    given: str
    left: str
    label: str
    """How errors call it."""
    messages: list[str]


class TensorRtSession:
    """An execution context with the memory that it reads and writes, on the engine's stream."""

    def __init__(self, loaded: Loaded) -> None:
        """Reserve the memory, on the GPU and pinned on the host, and give the context its addresses.

        Raises:
            EngineError: TensorRT refuses.
        """
        import torch

        engine, self._label, self._messages = loaded.engine, loaded.label, loaded.messages
        self._context = engine.create_execution_context()
        if self._context is None:
            raise EngineError(f"{loaded.label}: no room for the engine on the GPU ({last(loaded.messages)})")
        self._context.nvtx_verbosity = loaded.trt.ProfilingVerbosity.NONE  # no marks for a profiler that is not there
        self._stream = _stream()
        self.shape = tuple(engine.get_tensor_shape(loaded.given))
        self._on_gpu = torch.empty(self.shape, dtype=torch.float32, device="cuda")
        self._logits = torch.empty(tuple(engine.get_tensor_shape(loaded.left)), dtype=torch.float32, device="cuda")
        self._host = torch.empty(self._logits.shape, dtype=torch.float32, pin_memory=True)  # else copies do not queue
        for name, tensor in ((loaded.given, self._on_gpu), (loaded.left, self._logits)):
            if not self._context.set_tensor_address(name, tensor.data_ptr()):
                raise EngineError(f"{loaded.label}: TensorRT takes no memory for {name!r} ({last(loaded.messages)})")

    @property
    def batch(self) -> int:
        """The one batch size that it takes."""
        return int(self.shape[0])

    def fill(self, batch: Images) -> None:
        """Copy pictures into the GPU's memory and wait for it."""
        import torch

        self._on_gpu.copy_(torch.tensor(batch, dtype=torch.float32))
        torch.cuda.synchronize()  # the copy is on the thread's stream, the network on ours

    def run(self) -> object:
        """Queue the network and the copy back, and wait; the logits then lie in the host's memory, as returned."""
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise EngineError(f"{self._label}: TensorRT does not run ({last(self._messages)})")
        self._host.copy_(self._logits, non_blocking=True)
        self._stream.synchronize()
        return self._host

    def stay(self) -> None:
        """Make the stream the thread's current one: `run` copies on the current one."""
        import torch

        torch.cuda.set_stream(self._stream)

    def answer(self, batch: Images) -> Logits:
        """Return the logits of a full batch; the caller's thread is left as it was.

        Raises:
            EngineError: CUDA fails.
        """
        import torch

        try:
            with torch.cuda.stream(self._stream):
                self.fill(batch)
                self.run()
        except CUDA_FAULTS as error:
            raise EngineError(f"{self._label}: CUDA fails: {last([str(error)])}") from error
        return np.array(self._host.numpy(), dtype=np.float32)

    def between_events(self) -> float:
        """Return the seconds that the GPU takes from the start of the network to its end, by its own clock."""
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record(self._stream)
        self._context.execute_async_v3(self._stream.cuda_stream)
        end.record(self._stream)
        self._stream.synchronize()
        return float(start.elapsed_time(end)) / 1e3  # told in milliseconds

    def profile(self, profiler: Any) -> None:  # noqa: ANN401
        """Have a profiler hear the times of layers after each call."""
        self._context.profiler = profiler


_streams: list[Any] = []  # one a process, made where it is first needed: not before a fork


def _stream() -> Any:  # noqa: ANN401
    """Return the stream of every predictor in this process.

    It never is the default one, on which TensorRT would wait twice.
    """
    import torch

    if not _streams:
        _streams.append(torch.cuda.Stream())  # type: ignore[no-untyped-call]
    return _streams[0]


def ends(trt: Any, engine: Any, label: str) -> tuple[str, str]:  # noqa: ANN401
    """Return the names of the input and the output, both float32.

    Args:
        trt: TensorRT's package.
        engine: deserialized by it.
        label: how errors call the contender.

    Raises:
        EngineError: the engine has other inputs or outputs.
    """
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    given = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    left = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]
    typed = all(engine.get_tensor_dtype(name) == trt.DataType.FLOAT for name in names)
    if (len(given), len(left), typed) != (1, 1, True):
        raise EngineError(f"{label}: the engine has {names}, expected one float32 input and one float32 output")
    return given[0], left[0]


def profiler(trt: Any, seconds: dict[str, float]) -> Any:  # noqa: ANN401
    """Return a profiler that takes TensorRT's time of each layer.

    Args:
        trt: TensorRT's package.
        seconds: gets the seconds of each layer, by its name.
    """

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        """TensorRT's IProfiler, whose `report_layer_time` must be overridden."""

        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            seconds[layer_name] = ms / 1e3

    return Profiler()
