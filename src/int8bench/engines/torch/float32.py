"""The engine ``torch``: the float32 model as it is, channels-last or plain NCHW. Never quantizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from int8bench.documents import Json
from int8bench.engines.base import Availability, Engine, Material
from int8bench.engines.plain import frozen
from int8bench.engines.torch.predictor import TorchModel, TorchPredictor, layout_format
from int8bench.errors import EngineError
from int8bench.workload.cases import CHANNELS_LAST, TORCH, Group, Variant, float32_references

if TYPE_CHECKING:
    from torch import nn

    from int8bench.machine import Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Float32Engine(Engine[TorchModel]):
    """PyTorch's eager float32 arithmetic, the reference of every int8 engine of torch."""

    name: str = TORCH

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Channels-last, then plain NCHW."""
        return float32_references(self.name)

    def availability(self, hardware: Hardware) -> Availability:  # noqa: ARG002  the protocol asks
        """Return that the engine is available: float32 runs wherever torch does."""
        return Availability(available=True)

    def prepare(self, variant: Variant, material: Material) -> TorchModel:
        """Return a copy of the model in eval mode, without gradients; there is nothing to calibrate.

        Args:
            variant: channels-last or plain NCHW.
            material: the model, and pictures for the evidence.
        """
        if variant not in self.variants:
            raise EngineError(f"{self.name}: {variant.label} is not offered; expected float32, channels-last or nchw")
        return TorchModel(module=frozen(material.model), variant=variant, example=material.example)

    def build(self, prepared: TorchModel, group: Group) -> TorchPredictor:
        """Return a predictor of a copy of the model, laid out anew in the calling process.

        Args:
            prepared: the copy that `prepare` made; it stays as it is.
            group: the threads that torch is set to; any batch size fits.
        """
        import torch

        torch.set_num_threads(group.threads)
        module = frozen(prepared.module)
        if prepared.variant.layout == CHANNELS_LAST:
            module = module.to(memory_format=layout_format(CHANNELS_LAST))
        return TorchPredictor(module=module, prepared=prepared, describe=partial(_evidence, module))


def _evidence(module: nn.Module, forward: Callable[[], object]) -> Mapping[str, Json]:
    import torch

    from int8bench.engines.torch import onednn_log

    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "engine": "torch",
        "packed_types": [],
        "quantized_modules": 0,
        "float_modules": [name for name, child in module.named_modules() if list(child.parameters(recurse=False))],
        "onednn": onednn_log.collect(forward).to_dict(),
    }
