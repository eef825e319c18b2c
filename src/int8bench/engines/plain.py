"""A float32 model as exporters like it: without the stubs that torch's own quantization puts into its models."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

from int8bench.errors import EngineError

if TYPE_CHECKING:
    from torch import nn

# What a model's own forward is known to raise, and exporters, quantizers and converters of it.
REFUSALS = (ValueError, TypeError, RuntimeError, AttributeError, LookupError, AssertionError)


def plain(model: nn.Module) -> nn.Module:
    """Return a copy of a model that computes the same from plain operators: in eval mode, without gradients.

    Stubs, which do nothing in float, become identities; arithmetic modules, which observe their results, become
    arithmetic; padding becomes numbers. The model itself is left as it was.

    Raises:
        EngineError: it comes out of torch.jit.
    """
    check_python(model)
    return with_numbered_padding(_replaced(frozen(model)))


def check_python(model: nn.Module) -> None:
    """Refuse a model that has no Python code to be traced.

    Raises:
        EngineError: it comes out of torch.jit.
    """
    import torch

    if isinstance(model, torch.jit.ScriptModule):
        raise EngineError(
            f"{model.original_name} comes out of torch.jit, and what quantizes or exports a model reads Python alone; "
            "give the module that it was made of"
        )


def frozen(model: nn.Module) -> nn.Module:
    """Return a copy of a model in eval mode, without gradients.

    A model out of torch.jit, which has no `requires_grad_`, is copied too.
    """
    import torch

    with torch.no_grad():  # or what torch.jit copies would be computed, and no parameters
        copied = copy.deepcopy(model).eval()
    for parameter in copied.parameters():
        parameter.requires_grad_(False)  # noqa: FBT003  it has no keyword in its types
    return copied


def with_numbered_padding(model: nn.Module) -> nn.Module:
    """Return the model itself, its convolutions padded by numbers where a word said how.

    Quantizers do not read the words. "same" of a kernel with an even side pads one side more than the other, which
    takes a layer before it.
    """
    from torch import nn

    for module in list(model.modules()):
        for name, child in list(module._modules.items()):  # noqa: SLF001  named_children leaves out a second name
            if isinstance(child, nn.Conv1d | nn.Conv2d | nn.Conv3d) and isinstance(child.padding, str):
                setattr(module, name, _numbered(child))
    return model


def _numbered(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> nn.Module:
    from torch import nn

    totals = [step * (side - 1) for step, side in zip(layer.dilation, layer.kernel_size, strict=True)]
    if layer.padding == "valid":
        totals = [0] * len(totals)
    if not any(total % 2 for total in totals):
        layer.padding = tuple(total // 2 for total in totals)
        return layer
    if layer.padding_mode != "zeros":  # which pads by itself, and reads the word
        return layer
    layer.padding = (0,) * len(totals)
    ends = [side for total in reversed(totals) for side in (total // 2, total - total // 2)]  # the last axis first
    pad = {1: nn.ZeroPad1d, 2: nn.ZeroPad2d, 3: nn.ZeroPad3d}[len(totals)]
    return nn.Sequential(pad(tuple(ends)), layer)  # type: ignore[arg-type]


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
    """Return the arithmetic that FloatFunctional offers, without its observer."""
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
            """Return the sum where it is positive, and 0 elsewhere.

            Args:
                x: one summand, of any shape.
                y: the other one, of a shape that goes with the first.
            """
            return torch.relu(torch.add(x, y))

    return Arithmetic().eval()
