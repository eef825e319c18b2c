"""What a compiled model runs: oneDNN's words for the primitives it ran, inductor's own code for the rest. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from int8bench.engines.operators import Kind, Operator
from int8bench.engines.torch.onednn_log import Primitive

INDUCTOR, ATEN = "inductor", "ATen"

_BODY = re.compile(r"::run_impl\(.*?\n(?P<body>.*)// AOTInductorModel::run_impl", re.DOTALL)
_CALL = re.compile(
    r"^\s*(?P<kernel>cpp_\w+?)_\d+\((?P<arguments>.*)\);"
    r"|aoti_torch_cpu_(?P<shim>\w+)\("
    r"|aoti_torch_proxy_executor_call_function\(proxy_executor, (?P<node>\d+)",
    re.MULTILINE,
)
_POINTER = re.compile(r"\((?:const )?(?P<type>\w+)\*\)")
_BY_ONEDNN = re.compile(r"qconv|qlinear|mkldnn|onednn|(linear|convolution)(_transpose)?_pointwise")
_EDGES = "dequantize_per_tensor|dequantize_per_channel|quantize_per_tensor|quantize_per_channel"
_MOVES = (
    "as_strided|_unsafe_view|view|clone|permute|transpose|unsqueeze|squeeze|expand|flatten|cat|copy|slice|"
    "constant_pad_nd"
)
_EDGE = re.compile(_EDGES)
_NO_ARITHMETIC = re.compile(rf"cpp_fused|{_EDGES}|{_MOVES}|_")
_INTEGERS = {"uint8_t", "int8_t", "int32_t", "int64_t"}
_BYTES = {"u8", "s8"}
_PRODUCT = re.compile(r"aten::(mm|bmm|addmm|baddbmm|convolution|linear|lstm|gru|mkldnn_rnn|_?scaled_dot_product)")
ROUNDING = 0.01  # of the work: what compilers take out and put in, such as channels that fill a register


def written(source: str, targets: Sequence[str]) -> tuple[Operator, ...]:
    """Return the calls of a forward that oneDNN does not tell of, in their order.

    Args:
        source: what inductor wrote in C++.
        targets: the operators that it leaves to torch's dispatcher, by number.

    Raises:
        ValueError: the source has no forward.
    """
    body = _BODY.search(source)
    if body is None:
        raise ValueError("inductor's code has no run_impl: written by a version of torch that is not known")
    return tuple(_calls(body["body"], targets))


def _calls(body: str, targets: Sequence[str]) -> Iterator[Operator]:
    for call in _CALL.finditer(body):
        if call["kernel"]:
            yield Operator(
                name=call["kernel"], implementation=INDUCTOR, kind=kernel_kind(call["kernel"], call["arguments"])
            )
        elif call["node"]:
            yield _by_torch(targets[int(call["node"])])
        elif not _BY_ONEDNN.search(call["shim"]):
            yield _by_torch(f"aten::{call['shim']}")


def kernel_kind(name: str, arguments: str) -> Kind:
    """Return the kind of a kernel that inductor wrote, by the operators in its name and the types of its pointers.

    Args:
        name: of the kernel, without its number.
        arguments: of its call, in C++.
    """
    if not _NO_ARITHMETIC.sub("", name):
        return Kind.EDGE if _EDGE.search(name) else Kind.OTHER
    types = {match["type"] for match in _POINTER.finditer(arguments)}
    # Between a dequantization and a quantization the arithmetic is float, whatever the pointers say.
    return Kind.INT8 if types <= _INTEGERS and not _EDGE.search(name) else Kind.FLOAT


def _by_torch(target: str) -> Operator:
    kind = Kind.INT8 if target.startswith("quantized::") else Kind.FLOAT
    return Operator(name=target, implementation=ATEN, kind=kind)


def operators(primitives: Sequence[Primitive], others: Sequence[Operator], multiply_adds: int) -> tuple[Operator, ...]:
    """Return the operators that ran: oneDNN's primitives, and the calls that it does not tell of.

    Args:
        primitives: as oneDNN tells them, with their multiply-adds.
        others: what `written` gives.
        multiply_adds: of the whole model; what oneDNN does not tell of is torch's own products.
    """
    by_onednn = [
        Operator(
            name=primitive.primitive,
            implementation=f"oneDNN {primitive.implementation}",
            kind=primitive_kind(primitive),
            multiply_adds=None if primitive.multiply_adds is None else primitive.multiply_adds // primitive.calls,
        )
        for primitive in primitives
        for _ in range(primitive.calls)
    ]
    return (*by_onednn, *_with_the_rest(others, _rest(multiply_adds, by_onednn)))


def _rest(multiply_adds: int, known: Sequence[Operator]) -> int | None:
    """Return the part of a model's multiply-adds that oneDNN leaves; None where it does not tell its own."""
    counts = [each.multiply_adds for each in known]
    if None in counts:
        return None
    rest = multiply_adds - sum(count or 0 for count in counts)
    return rest if rest > ROUNDING * multiply_adds else 0


def _with_the_rest(others: Sequence[Operator], rest: int | None) -> Iterator[Operator]:
    """Yield the calls that oneDNN does not tell of, with the rest of the work on torch's products.

    The first product has it, for all of them.
    """
    products = [other for other in others if _PRODUCT.search(other.name)]
    is_told = rest is not None and (bool(products) or not rest)
    for each in others:
        mine = products[:1] == [each] and bool(rest)
        name = " and ".join(dict.fromkeys(product.name for product in products)) if mine else each.name
        yield replace(each, name=name, multiply_adds=(rest if mine else 0) if is_told else None)
        products = [] if mine else products


def primitive_kind(primitive: Primitive) -> Kind:
    """Return the kind of a primitive of oneDNN; an int8 one in a reference implementation is no int8."""
    if primitive.int8:
        return Kind.INT8
    if primitive.primitive == "reorder":
        return Kind.EDGE
    return Kind.OTHER if primitive.src in _BYTES else Kind.FLOAT
