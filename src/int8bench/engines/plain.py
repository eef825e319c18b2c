"""A float32 model as exporters like it: without the stubs that torch's own quantization puts into its models."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def plain(model: nn.Module) -> nn.Module:
    """A copy of a model that computes the same from plain operators: in eval mode, without gradients.

    Stubs, which do nothing in float, become identities; arithmetic modules, which observe their results, become
    arithmetic. The model itself is left as it was.
    """
    copied = copy.deepcopy(model).eval().requires_grad_(requires_grad=False)
    return _replaced(copied)


def _replaced(module: nn.Module) -> nn.Module:
    from torch import nn
    from torch.ao.nn.quantized import FloatFunctional
    from torch.ao.quantization import DeQuantStub, QuantStub

    if isinstance(module, QuantStub | DeQuantStub):
        return nn.Identity()
    if isinstance(module, FloatFunctional):
        return _arithmetic()
    for name, child in list(module._modules.items()):  # noqa: SLF001  named_children leaves out a child's second name
        if child is not None:
            setattr(module, name, _replaced(child))
    return module


def _arithmetic() -> nn.Module:
    """What FloatFunctional offers, without its observer."""
    import torch
    from torch import nn

    class Arithmetic(nn.Module):
        """Stateless arithmetic under the names of FloatFunctional."""

        add = staticmethod(torch.add)
        mul = staticmethod(torch.mul)
        matmul = staticmethod(torch.matmul)
        cat = staticmethod(torch.cat)
        add_scalar = staticmethod(torch.add)
        mul_scalar = staticmethod(torch.mul)

        @staticmethod
        def add_relu(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            """The sum, where it is positive."""
            return torch.relu(torch.add(x, y))

    return Arithmetic().eval()
