"""Which operators of an ExecuTorch program ran, on what types and for how long: by its event tracer or its graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypedDict

from int8bench.engines.executorch.files import PROFILE, Delegation, EdgeNode, decoded
from int8bench.engines.operators import Kind, Operator

WARM_UP = 3  # forwards before those that count: the first ones touch memory
FORWARDS = 20  # over which times are averaged, since XNNPACK's clock counts whole microseconds
TRACER = "ExecuTorch's event tracer"
GRAPH = "the graph that XNNPACK was given"

_XNNPACK = "XNNPACK"
_OWN = "ExecuTorch's own kernel"  # portable or optimized; the tracer does not tell them apart
_SECONDS = 1e-9  # of a tick of the tracer's clock
_KERNEL = "native_call_"
_NUMBER = re.compile(r" #\d+$")
_EDGES = re.compile(r"Convert|Transpose|XNNConvert|XNNStaticTranspose|quantize_per|dequantize_per|_clone_dim_order")
_MOVES = re.compile(
    r"Static Reshape|Copy|Concatenate|Constant Pad|Slice|Split|Depth To Space|Space To Depth|Unpooling"
    r"|XNNStaticReshape|XNNConcatenate|XNNStaticConstantPad|XNNStaticSlice|XNNDepthToSpace"
    r"|(?:view|permute|slice|cat|clone|squeeze|unsqueeze|expand|select|split\w*)(?:_copy)?\b"
)
_INT8_TYPES = re.compile(r"\b(?:Q[SUCD]8W?|[SU]8)\b")  # of XNNPACK's operator names: "Convolution (NHWC, QC8) IGEMM"
_FLOAT_TYPES = re.compile(r"\b(?:P?F(?:16|32)|BF16)\b")
_INT8_TENSORS = {"qint8", "quint8", "qcint8"}


class OperatorEvent(TypedDict, total=False):
    """What a tracer tells of a call, of which these are used."""

    name: str | None
    delegate_debug_id_str: str | None
    """The operator inside a delegate."""
    start_time: int
    """Ticks."""
    end_time: int


class ProfileEntry(TypedDict, total=False):
    """An entry of a run, of which some are of other kinds than calls."""

    profile_event: OperatorEvent | None


class ProfiledRun(TypedDict):
    """What was traced in one step: ``Execute`` for a forward."""

    name: str
    events: Sequence[ProfileEntry]


class ForwardProfile(TypedDict):
    """What a tracer wrote, of which this is used."""

    run_data: Sequence[ProfiledRun]


def traced(runtime: Any, program: bytes, pictures: Any) -> tuple[Operator, ...] | None:  # noqa: ANN401
    """Return the operators of a warm forward with their mean seconds; None where the runtime is built without a tracer.

    Opens a session of its own, with the threads that the runtime has now.

    Args:
        runtime: ExecuTorch's extension module.
        program: of an ExecuTorch file.
        pictures: a float32 tensor of the program's shape, (image, channel, height, width).
    """
    session = runtime._load_program_from_buffer(program, enable_etdump=True)  # noqa: SLF001  it has no other name
    if not session.has_etdump():
        return None
    method = session.load_method("forward")
    for _ in range(WARM_UP + FORWARDS):
        method([pictures], False)  # noqa: FBT003  the extension takes it by position in older versions
    return profiled(decoded(PROFILE, lambda path: session.write_etdump_result_to_file(str(path)), size_prefixed=True))


def profiled(profile: ForwardProfile) -> tuple[Operator, ...]:
    """Return the operators of a profile's last forwards, with the mean of their seconds."""
    runs = [list(_events(run)) for run in profile["run_data"] if run["name"] == "Execute"][-FORWARDS:]
    # A forward whose profile lacks an event, or has one twice, is not like the others and says nothing of them.
    names = Counter(tuple(each.name for each in run) for run in runs)
    (usual, _), *_ = names.most_common(1) or [((), 0)]
    whole = [run for run in runs if tuple(each.name for each in run) == usual]
    return tuple(_mean(alike) for alike in zip(*whole, strict=True))


def _events(run: ProfiledRun) -> Iterator[Operator]:
    for entry in run["events"]:
        event = entry.get("profile_event") or OperatorEvent()
        seconds = (event.get("end_time", 0) - event.get("start_time", 0)) * _SECONDS
        inside, name = event.get("delegate_debug_id_str"), event.get("name") or ""
        if inside:
            yield _operator(_NUMBER.sub("", inside), _XNNPACK, seconds)
        elif name.startswith(_KERNEL):
            yield _operator(name.removeprefix(_KERNEL), _OWN, seconds)


def _operator(name: str, implementation: str, seconds: float) -> Operator:
    return Operator(name=name, implementation=implementation, kind=kind(name), seconds=seconds)


def _mean(alike: Sequence[Operator]) -> Operator:
    return replace(alike[0], seconds=sum(each.seconds or 0.0 for each in alike) / len(alike))


def kind(name: str) -> Kind:
    """Return the kind of an operator of XNNPACK or of ExecuTorch by its name; float where the name has no type."""
    plain = name.rpartition("::")[2]
    if _EDGES.match(plain):
        return Kind.EDGE
    if _MOVES.match(plain):
        return Kind.OTHER
    return Kind.INT8 if _INT8_TYPES.search(plain) else Kind.FLOAT


def completed(operators: Iterable[Operator], given: Iterable[EdgeNode]) -> tuple[Operator, ...]:
    """Return the same operators, with types that XNNPACK's names leave out taken from the graph that it was given.

    Elementwise operators are called ``Add (ND)`` on any type. They are int8 where all nodes of the graph by that name
    are; where it has none (``Clamp (NC)`` comes of a node's own limits), where all nodes that compute are.

    Args:
        operators: as the tracer tells them.
        given: the nodes of the graph.
    """
    nodes = [each for each in _nodes(given) if each.kind in {Kind.INT8, Kind.FLOAT}]
    return tuple(
        replace(operator, kind=_kind_among(nodes, operator.name)) if _is_untold(operator) else operator
        for operator in operators
    )


def _is_untold(each: Operator) -> bool:
    return each.implementation == _XNNPACK and each.kind is Kind.FLOAT and not _FLOAT_TYPES.search(each.name)


def _kind_among(nodes: Sequence[Operator], name: str) -> Kind:
    alike = [node for node in nodes if node.name.startswith(f"XNN{name.partition(' ')[0]}")] or nodes
    return Kind.INT8 if alike and all(each.kind is Kind.INT8 for each in alike) else Kind.FLOAT


def planned(delegation: Delegation) -> tuple[Operator, ...]:
    """Return the operators of a program by its conversion's notes: without times, and with their multiply-adds."""
    made = delegation.not_delegated_multiply_adds
    left = (
        # All of a name together, on the first of them.
        _untimed(name, _OWN, kind(name), 0 if number else made[name])
        for name, count in delegation.not_delegated.items()
        for number in range(count)
    )
    return (*_nodes(delegation.nodes), *left)


def _nodes(nodes: Iterable[EdgeNode]) -> Iterator[Operator]:
    for node in nodes:
        computes = kind(node.operator)
        if computes is Kind.FLOAT and node.types and node.types[0] in _INT8_TENSORS:
            computes = Kind.INT8
        yield _untimed(f"{node.operator} ({', '.join(node.types)})", _XNNPACK, computes, node.multiply_adds)


def _untimed(name: str, implementation: str, computes: Kind, multiply_adds: int | None) -> Operator:
    return Operator(name=name, implementation=implementation, kind=computes, multiply_adds=multiply_adds)
