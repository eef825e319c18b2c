"""The operators of a graph that torch quantized, each with what it computes with and its multiply-adds.

The graph is run once, node by node: a layer that was left in float is one node, however much is in it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from int8bench.engines.operators import Kind, Operator, convolution, linear, product, transposed_convolution

if TYPE_CHECKING:
    import torch
    from torch import fx, nn

_FLOAT_PRODUCTS = {"aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::convolution"}
_STANDARD_ERROR = 2
_WORKS = {"call_module", "call_function", "call_method"}
_MATRIX, _PICTURE = 2, 3  # axes of a linear layer's weights, and of a convolution's at least


def operators(module: fx.GraphModule, example: torch.Tensor) -> list[Operator]:
    """Return the operators of a converted graph in the order in which they ran.

    Args:
        module: what `convert_fx` gives.
        example: pictures that it answers.
    """
    import torch
    from torch import fx

    ran: list[Operator] = []

    class Recorder(fx.Interpreter):
        """Runs a graph and notes what each node did."""

        def run_node(self, n: fx.Node) -> Any:  # noqa: ANN401  whatever a node answers
            if n.op not in _WORKS:
                return super().run_node(n)
            given, _ = self.fetch_args_kwargs_from_env(n)
            with _counted(module if n.op != "call_module" else module.get_submodule(str(n.target))) as counts:
                answer = super().run_node(n)
            each = _operator(n, given, answer, sum(counts))
            # Without a kernel of its own, torch dequantizes, multiplies in float, and quantizes again.
            doubtful = each.kind is Kind.INT8 and each.multiply_adds and n.op != "call_module"
            hidden = doubtful and _multiplies_in_float(partial(super().run_node, n))
            ran.append(replace(each, kind=Kind.FLOAT) if hidden else each)
            return answer

    with torch.no_grad():
        Recorder(module).run(example)
    return ran


def float_multiply_adds(module: nn.Module, example: torch.Tensor) -> int:
    """Return the multiply-adds of one forward of a float model.

    Args:
        module: in eval mode.
        example: pictures that it answers.
    """
    import torch

    with torch.no_grad(), _counted(module) as counts:
        module(example)
    return sum(counts)


def _multiplies_in_float(run: Callable[[], object]) -> bool:
    """Tell whether a call comes down to torch's float products, as its own profiler tells."""
    from torch.autograd.profiler import profile

    with _silent(), profile(use_kineto=False) as profiler:
        run()
    return any(each.name in _FLOAT_PRODUCTS for each in profiler.function_events or ())


@contextmanager
def _silent() -> Iterator[None]:
    """Run the block without the profiler's words on standard error, which would pass for a process's last ones."""
    before = os.dup(_STANDARD_ERROR)
    with tempfile.TemporaryFile() as nowhere:
        os.dup2(nowhere.fileno(), _STANDARD_ERROR)
        try:
            yield
        finally:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)


def _operator(node: fx.Node, given: tuple[Any, ...], answer: object, in_modules: int) -> Operator:
    kind = _kind(node, given, answer)
    made = in_modules or (_by_shapes(node, given, answer) if kind is Kind.INT8 else 0)
    name = str(node.target) if node.op == "call_module" else node.name
    return Operator(name=name, implementation=_implementation(node), kind=kind, multiply_adds=made)


def _implementation(node: fx.Node) -> str:
    return node.op if node.op != "call_function" else str(getattr(node.target, "__name__", node.target))


def _kind(node: fx.Node, given: tuple[Any, ...], answer: object) -> Kind:
    """Return the kind of a node by its tensors: quantized, float, or one of each where it goes between them."""
    import torch

    tensors = [each for each in given if isinstance(each, torch.Tensor)]
    results = [each for each in _flat(answer) if isinstance(each, torch.Tensor)]
    if node.target in {torch.quantize_per_tensor, "dequantize"}:
        return Kind.EDGE
    if results and any(each.is_quantized for each in (*results, *tensors)):
        return Kind.INT8
    return Kind.FLOAT if any(result.is_floating_point() for result in results) else Kind.OTHER


def _flat(answer: object) -> Iterator[object]:
    if isinstance(answer, tuple | list):
        for each in answer:
            yield from _flat(each)
    else:
        yield answer


@contextmanager
def _counted(module: nn.Module) -> Iterator[list[int]]:
    """Count the multiply-adds of the block: of float by torch's counter, of packed layers in `module` by shapes.

    Without fused kernels, which torch's counter knows nothing of: a transformer's fast path, oneDNN's recurrent layers,
    and attention in one piece.
    """
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counts: list[int] = []
    fast = torch.backends.mha.get_fastpath_enabled()
    packed = [each for each in module.modules() if hasattr(each, "_packed_params") and hasattr(each, "scale")]
    with ExitStack() as stack:
        for each in packed:
            stack.callback(each.register_forward_hook(lambda *run: counts.append(_of_packed(*run))).remove)
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast)
        torch.backends.mha.set_fastpath_enabled(value=False)
        stack.callback(setattr, torch.backends.mkldnn, "enabled", torch.backends.mkldnn.enabled)
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        counter = stack.enter_context(FlopCounterMode(display=False))
        yield counts
    counts.append(counter.get_total_flops() // 2)


def _of_packed(module: Any, given: tuple[torch.Tensor, ...], answer: torch.Tensor) -> int:  # noqa: ANN401
    weights = tuple(module.weight().shape)
    if len(weights) == _MATRIX:
        return linear(tuple(answer.shape), weights)
    if getattr(module, "transposed", False):
        return transposed_convolution(tuple(given[0].shape), weights)
    return convolution(tuple(answer.shape), weights)


def _by_shapes(node: fx.Node, given: tuple[Any, ...], answer: object) -> int:
    """Return the multiply-adds of a quantized function, by its packed weights or as a product of two activations."""
    import torch

    if not isinstance(answer, torch.Tensor):
        return 0
    packed: Any = next((each for each in given if isinstance(each, torch.ScriptObject)), None)
    if packed is not None:
        weights = tuple(packed.unpack()[0].shape)
        return (
            linear(tuple(answer.shape), weights)
            if len(weights) < _PICTURE
            else convolution(tuple(answer.shape), weights)
        )
    # The scale and the zero point of the answer come as tensors without axes.
    tensors = [tuple(each.shape) for each in given if isinstance(each, torch.Tensor) and each.ndim]
    if "matmul" in _implementation(node) and len(tensors) == _MATRIX:
        return product(tensors[0], tensors[1], tuple(answer.shape))
    return 0
