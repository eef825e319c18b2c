"""A PyTorch module that answers NumPy batches; what torch's float32 and int8 engines share. Never quantizes."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from int8bench.documents import Json
from int8bench.engines.base import Images, Logits
from int8bench.engines.fixed_batch import check_logits
from int8bench.errors import EngineError
from int8bench.units import reason
from int8bench.workload.cases import CHANNELS_LAST, Variant

if TYPE_CHECKING:
    import torch
    from torch import nn

_entered: list[torch.inference_mode] = []  # kept alive: the mode ends with the object that entered it


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchModel:
    """A module that a launch has made ready, and the variant that it becomes."""

    module: nn.Module
    variant: Variant
    example: Images
    """What a forward for the evidence answers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TorchPredictor:
    """A module in eval mode that needs no gradient, and how to make its engine the current one."""

    module: nn.Module
    prepared: TorchModel
    """What it was made of."""
    describe: Callable[[Callable[[], object]], Mapping[str, Json]]
    """The evidence, given a call that runs one forward."""
    select: Callable[[], object] | None = None
    """Makes the engine of the module the current one of the process, where that is needed."""

    @property
    def name(self) -> str:
        """How errors call it."""
        return self.prepared.variant.label

    @property
    def weights_bytes(self) -> int:
        """Bytes of every tensor of the state: parameters and buffers, or int8 weights with their scales and biases."""
        return sum(_tensor_bytes(tensor) for tensor in _tensors(self.module.state_dict()))

    @property
    def serialized_bytes(self) -> int:
        """Bytes of ``torch.save(state_dict())``."""
        import torch

        buffer = io.BytesIO()
        torch.save(self.module.state_dict(), buffer)
        return buffer.getbuffer().nbytes

    @property
    def evidence(self) -> Mapping[str, Json]:
        """What ran; oneDNN is listened to in a forked process."""
        return self.describe(lambda: self(self.prepared.example))

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        Raises:
            EngineError: the forward failed, or its result is no (image, class) tensor.
        """
        import torch

        body = self._body(batch)
        with torch.inference_mode():
            try:
                answer = body()
            except (RuntimeError, ValueError, TypeError) as error:
                raise EngineError(
                    f"{self.name}: cannot answer a batch of shape {batch.shape}: {reason(error)}"
                ) from error
        return self._logits(answer, len(batch))

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one forward over an own copy of `batch`.

        Enters inference mode for the rest of the thread's life, unless it is on: entering it in each call costs 1.5
        to 2 % of a forward of SimpleCNN at batch 1 (5 us of 285), leaving it out 2 to 6 % (autograd's dispatch).
        """
        _remain_in_inference_mode()
        return self._body(batch)

    def _body(self, batch: Images) -> Callable[[], object]:
        images = _tensor(batch, self.prepared.variant.layout)
        module, select = self.module, self.select
        if select is None:
            return partial(module, images)

        def forward() -> object:
            # Packed weights carry their engine, but pooling and addition read the process's current one at run time,
            # and the other contender may have set it: 0.06 us.
            select()
            return module(images)

        return forward

    def _logits(self, answer: object, images: int) -> Logits:
        import torch

        if not isinstance(answer, torch.Tensor):
            raise EngineError(
                f"{self.name}: the model returns {type(answer).__name__}, expected one tensor of logits; "
                "wrap it in a module whose forward returns (image, class)"
            )
        check_logits(self.name, answer.shape, images)
        return np.ascontiguousarray(answer.numpy(), dtype=np.float32)


def layout_format(layout: str) -> torch.memory_format:
    """Return the memory format that a layout's name stands for."""
    import torch

    return torch.channels_last if layout == CHANNELS_LAST else torch.contiguous_format


def _tensor(batch: Images, layout: str) -> torch.Tensor:
    import torch

    return torch.tensor(batch, dtype=torch.float32).contiguous(memory_format=layout_format(layout))


def _remain_in_inference_mode() -> None:
    import torch

    if not torch.is_inference_mode_enabled():
        mode = torch.inference_mode()
        mode.__enter__()
        _entered.append(mode)


def _tensors(state: object) -> Iterator[torch.Tensor]:
    """Yield every tensor of a state dict; packed linear layers keep a tuple of weight and bias."""
    import torch

    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, tuple | list):
        for value in state:
            yield from _tensors(value)


def _tensor_bytes(tensor: torch.Tensor) -> int:
    import torch

    stored = tensor.numel() * tensor.element_size()
    if tensor.is_quantized and tensor.qscheme() in {torch.per_channel_affine, torch.per_channel_symmetric}:
        return stored + tensor.q_per_channel_scales().nbytes + tensor.q_per_channel_zero_points().nbytes
    return stored
