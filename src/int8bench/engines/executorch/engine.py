"""The engine ``executorch``: PyTorch's runtime for phones, with the XNNPACK delegate; float32, and int8 by PT2E.

Its thread pool asks the machine, not the process, for the number of cores: left to itself, a process that is held to
one core of two has two threads that take turns on it. The pool is set to the threads asked for before a program is
loaded. One thread starts no worker, and workers wait without spinning: 9 us of processor time at most after a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from int8bench import documents
from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Conversion, Images, Logits, Material
from int8bench.engines.executorch import files as executorch_files
from int8bench.engines.executorch import operators
from int8bench.engines.executorch.files import ExecutorchFiles
from int8bench.engines.fixed_batch import ByBatch, check_logits, filled, in_parts
from int8bench.engines.operators import ran
from int8bench.errors import EngineError
from int8bench.units import reason
from int8bench.workload.cases import NCHW, Group, Variant

if TYPE_CHECKING:
    import torch

    from int8bench.machine import Hardware

_RUNTIME = "executorch.extension.pybindings._C"
_METHOD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecuTorchEngine(packages.PackagedEngine[ByBatch[ExecutorchFiles]]):
    """ExecuTorch with XNNPACK."""

    name: str = "executorch"
    modules: ClassVar = (_RUNTIME, "executorch.backends.xnnpack", "executorch.exir", "torchao")
    layout: ClassVar = NCHW  # fed with channels-last pictures, XNNPACK gets the model in two pieces

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion | None:  # noqa: ARG002  any machine's
        """Return the conversion to a program for each batch size.

        Args:
            variant: whose precision the programs have.
            hardware: any machine; the programs are the same for all.
        """
        return executorch_files.conversion(variant.precision)

    def prepare(self, variant: Variant, material: Material) -> ByBatch[ExecutorchFiles]:
        """Return the programs in memory, with the runtime imported; its thread pool is left for the forks to start.

        Args:
            variant: one of `variants`.
            material: the folder of each batch size, and pictures for the evidence.

        Raises:
            EngineError: the runtime cannot be loaded, or a file cannot be read.
        """
        _runtime()
        made = {batch: executorch_files.read(folder, variant.label) for batch, folder in material.by_batch.items()}
        return ByBatch(variant=variant, made=made, example=material.example)

    def build(self, prepared: ByBatch[ExecutorchFiles], group: Group) -> ExecuTorchPredictor:
        """Return a predictor whose session is opened, and its weights packed, in the calling process.

        Args:
            prepared: the programs by batch size.
            group: the batch size that chooses the program, and the threads that the pool is set to.

        Raises:
            EngineError: there is no program for the batch size, or the runtime refuses it.
        """
        name = prepared.variant.label
        files = prepared.of(group.batch, "no program was made")
        runtime = _runtime()
        if runtime._threadpool_get_thread_count() != group.threads:  # noqa: SLF001  they have no other name
            runtime._unsafe_reset_threadpool(group.threads)  # noqa: SLF001
        session = _opened(runtime, files.program, name)
        return ExecuTorchPredictor(session, files=files, group=group, name=name, example=prepared.example)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """A loaded method, and what it reads without keeping it alive: the program, and the bytes of it."""

    method: Any
    program: Any
    content: bytes


class ExecuTorchPredictor:
    """A program with its session; answers any number of pictures in parts of the program's batch size."""

    def __init__(self, session: _Session, *, files: ExecutorchFiles, group: Group, name: str, example: Images) -> None:
        """Keep a session and its facts.

        Args:
            session: opened in this process.
            files: what it was opened from.
            group: the batch size of the program, and the threads of the pool.
            name: how errors call it.
            example: what a forward answers for the evidence.
        """
        self.serialized_bytes = len(files.program)
        self._session = session
        self._files = files
        self._group = group
        self._name = name
        self._example = example

    @property
    def weights_bytes(self) -> int:
        """Bytes of the constants that the program keeps: weights, biases, and scales."""
        return self._files.delegation.weights_bytes

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """The operators that ran, by the tracer of a second session, and what XNNPACK was given to run."""
        runtime, delegation = _runtime(), self._files.delegation
        example = _tensor(filled(self._example, self._group.batch))
        traced = operators.traced(runtime, self._files.program, example)
        planned = operators.planned(delegation)
        measured = (
            ran(operators.GRAPH, planned)
            if traced is None
            else ran(operators.TRACER, operators.completed(traced, delegation.nodes), arithmetic=planned)
        )
        return {
            "engine": "executorch",
            "versions": packages.versions(executorch_files.PACKAGES),
            "threads": runtime._threadpool_get_thread_count(),  # noqa: SLF001  it has no other name
            "ran": measured,
            "delegation": documents.written(delegation),
        }

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch of any size, (image, class).

        Raises:
            EngineError: the runtime cannot answer, or its answer is no (image, class) tensor.
        """
        return in_parts(batch, self._group.batch, self._answer)

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one call of the runtime, which answers with a view of its own memory.

        Raises:
            EngineError: the batch is not of the program's size.
        """
        if len(batch) != self._group.batch:
            raise EngineError(f"{self._name}: made for batch {self._group.batch}, asked to be bound to {len(batch)}")
        return self._body(batch)

    def _body(self, batch: Images) -> Callable[[], Any]:
        session, inputs = self._session, [_tensor(batch)]
        method = session.method

        def forward(_held: _Session = session) -> Any:  # noqa: ANN401
            return method(inputs, False)  # noqa: FBT003  False: without a copy of the answers

        return forward

    def _answer(self, part: Images) -> Logits:
        import torch

        try:
            answers = self._body(part)()
        except (RuntimeError, ValueError, TypeError) as error:
            raise EngineError(f"{self._name}: cannot answer a batch of shape {part.shape}: {reason(error)}") from error
        if len(answers) != 1 or not isinstance(answers[0], torch.Tensor):
            raise EngineError(f"{self._name}: the model returns {len(answers)} values, expected one tensor of logits")
        check_logits(self._name, answers[0].shape, len(part))
        return np.array(answers[0].numpy(), dtype=np.float32)


def _runtime() -> Any:  # noqa: ANN401
    """Return the extension module itself.

    The package's own front to it imports the whole exporter for one warning.

    Raises:
        EngineError: it cannot be loaded.
    """
    import torch  # noqa: F401  the extension links against its libraries

    return packages.loaded("executorch", _RUNTIME)


def _opened(runtime: Any, content: bytes, name: str) -> _Session:  # noqa: ANN401
    try:
        program = runtime._load_program_from_buffer(  # noqa: SLF001  it has no other name
            content, program_verification=runtime.Verification.InternalConsistency
        )
        return _Session(method=program.load_method(_METHOD), program=program, content=content)
    except RuntimeError as error:
        raise EngineError(
            f"{name}: the runtime refuses the program: {reason(error)}; its file may be damaged or of another version"
        ) from error


def _tensor(batch: Images) -> torch.Tensor:
    import torch

    return torch.tensor(batch, dtype=torch.float32).contiguous()
