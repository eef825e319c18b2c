"""OpenVINO's executed graph, node by node: what computed, in which type, for how long. Pure: never imports OpenVINO."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from int8bench.engines.operators import Kind, Operator, Shape, linear, product, recurrent

EDGES = {"Reorder", "Convert", "FakeQuantize"}
ELEMENTWISE = {"Subgraph", "Eltwise"}  # an edge where the type changes: it quantizes or dequantizes
MOVES = {"Broadcast", "Concatenation", "Gather", "Pad", "Reshape", "Split", "StridedSlice", "Tile", "Transpose"}
FLOATS = {"f32", "bf16", "f16"}
BYTES = {"i8", "u8"}
_NOT_EXECUTED = "not_executed"
_US = 1e-6
NO_WORK: Mapping[str, int] = MappingProxyType({})


def _convolution(given: Sequence[Shape], answer: Shape) -> int:
    """Return the multiply-adds of a convolution.

    Its weights may have an axis of groups more, so that channels of the answer are counted there.
    """
    return math.prod(answer) * math.prod(given[1]) // answer[1]


def _transposed(given: Sequence[Shape], _answer: Shape) -> int:
    return math.prod(given[0]) * math.prod(given[1]) // given[0][1]


def _product(given: Sequence[Shape], answer: Shape) -> int:
    return product(given[0], given[1], answer)


def _linear(given: Sequence[Shape], answer: Shape) -> int:
    return linear(answer, given[1])


def _attention(given: Sequence[Shape], _answer: Shape) -> int:
    """Return the multiply-adds of attention over (image, head, row, feature).

    Half of them make the weight that each row gives to each other one, half apply these weights to the values.
    """
    return 2 * math.prod(given[0]) * given[1][-2]


def _recurrent(given: Sequence[Shape], _answer: Shape) -> int:
    """Return the multiply-adds of a recurrent layer over (image, step, feature).

    The weights of the input and of the state are the last ones with three axes.
    """
    deep = [each for each in given[1:] if len(each) == _DIRECTED]
    return recurrent(math.prod(given[0][:-1]), *deep[-2:])


_DIRECTED = 3  # axes of weights: (direction, gate and feature, feature)
_MULTIPLYING: Mapping[str, Callable[[Sequence[Shape], Shape], int]] = {
    "Convolution": _convolution,
    "Deconvolution": _transposed,
    "MatMul": _product,
    "FullyConnected": _linear,
    "ScaledDotProductAttention": _attention,
    "RNNSeq": _recurrent,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphNode:
    """A node of the graph after its fusions; without a time where it was not executed, as constants are not."""

    name: str
    layer: str
    primitive: str
    """The kernel and the type of its first input: ``brgconv_avx512_I8``."""
    takes: str
    gives: str
    mean_us: int | None
    """Of all calls so far, cut to whole microseconds."""
    given: tuple[Shape, ...] = ()
    """Of its inputs, weights among them: (image, channel, ...), whatever its layout."""
    answers: tuple[Shape, ...] = ()
    fused: tuple[str, ...] = ()
    """The nodes of the file that it stands for."""

    @classmethod
    def of(
        cls, name: str, info: Mapping[str, str], *, given: tuple[Shape, ...] = (), answers: tuple[Shape, ...] = ()
    ) -> GraphNode:
        """Return a node by its runtime information, and the shapes of its inputs and outputs.

        Args:
            name: that OpenVINO shows of it.
            info: of the runtime, as text by OpenVINO's keys: ``execTimeMcs``.
            given: the shape of each input, weights among them; empty where it is not static.
            answers: the shape of each output.
        """
        time = info.get("execTimeMcs", _NOT_EXECUTED)
        return cls(
            name=name,
            layer=info.get("layerType", "unknown"),
            primitive=info.get("primitiveType", "unknown"),
            takes=info.get("runtimePrecision", "unknown").lower(),
            gives=info.get("outputPrecisions", "unknown").partition(",")[0].lower(),
            mean_us=int(time) if time.isdigit() else None,
            given=given,
            answers=answers,
            fused=tuple(filter(None, info.get("originalLayersNames", "").split(","))),
        )

    @property
    def computes_in(self) -> str:
        """The type that its kernel's name ends in: ``i8``, ``f32``, ``bf16``; older versions say ``FP32``."""
        return self.primitive.rpartition("_")[2].lower().replace("fp", "f")

    def multiply_adds(self, work: Mapping[str, int]) -> int | None:
        """Return the multiply-adds of the node; None where its shapes do not tell.

        Args:
            work: of each node of the file, by its name: what was fused into one kernel shows no products of its own.
        """
        if self.layer in ELEMENTWISE:
            return sum(work.get(name, 0) for name in self.fused)
        if self.layer not in _MULTIPLYING:
            return 0
        given = [each for each in self.given if len(each) > 1]
        return _MULTIPLYING[self.layer](given, self.answers[0]) if len(given) > 1 and self.answers else None

    def title(self, work: Mapping[str, int]) -> str:
        """Return the node's title for a person: its layer, with the file's products that were fused into it."""
        products = [name for name in self.fused if work.get(name)] if self.layer in ELEMENTWISE else []
        return f"{self.layer} of {' and '.join(products)}" if products else self.layer

    def kind(self, work: Mapping[str, int]) -> Kind:
        """Return the kind of the node: by its kernel, unless it only quantizes or moves.

        A node with products of its own is no edge.

        Args:
            work: of each node of the file, by its name.
        """
        if self.layer in ELEMENTWISE and self.multiply_adds(work):
            return Kind.INT8 if self.computes_in in BYTES else Kind.FLOAT
        crosses = (self.takes in BYTES) != (self.gives in BYTES)
        if self.layer in EDGES or (self.layer in ELEMENTWISE and crosses):
            return Kind.EDGE
        if self.layer in MOVES:
            return Kind.OTHER
        if self.computes_in in BYTES:
            return Kind.INT8
        return Kind.FLOAT if self.computes_in in FLOATS else Kind.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphProfile:
    """What one session told of its calls: the graph after the first, which also packed weights, and after all."""

    cold: tuple[GraphNode, ...]
    warm: tuple[GraphNode, ...]
    calls: int

    @property
    def layers(self) -> tuple[str, ...]:
        """The kinds of its nodes in their order, by which sessions of one model are told to be alike."""
        return tuple(node.layer for node in self.warm)

    def seconds(self) -> dict[int, float]:
        """Return the mean seconds of the calls after the first, by the place of each node that was executed."""
        return {
            place: _without_first(cold.mean_us or 0, warm.mean_us or 0, self.calls) * _US
            for place, (cold, warm) in enumerate(zip(self.cold, self.warm, strict=True))
            if warm.mean_us is not None
        }


def operators(profiles: Sequence[GraphProfile], work: Mapping[str, int] = NO_WORK) -> list[Operator]:
    """Return the operators of one forward, each with its time in the session where it was quickest.

    A node of microseconds that lost its processor for a few milliseconds would else seem to be a third of the forward.
    One that is quicker than the profile's clock has no time in some sessions, and counts where it has one. Nodes are
    joined by their place: OpenVINO numbers those that it makes itself anew in each session.

    Args:
        profiles: of sessions of the same model, compiled alike; one with another graph than the first is left out.
        work: multiply-adds of each node of the file, by its name.
    """
    sessions = [profile.seconds() for profile in profiles if profile.layers == profiles[0].layers]
    places = sorted({place for times in sessions for place in times})
    nodes = [(profiles[0].warm[place], min(times[place] for times in sessions if place in times)) for place in places]
    return [
        Operator(
            name=node.title(work),
            implementation=node.primitive,
            kind=node.kind(work),
            seconds=seconds,
            multiply_adds=node.multiply_adds(work),
        )
        for node, seconds in nodes
    ]


def precisions(nodes: Sequence[GraphNode]) -> tuple[str, ...]:
    """Return the types that nodes computed in, edges and moves left out: ``i8`` alone where none is in float."""
    return tuple(
        sorted({node.computes_in for node in executed(nodes) if node.kind(NO_WORK) in {Kind.INT8, Kind.FLOAT}})
    )


def not_float32(nodes: Sequence[GraphNode]) -> tuple[str, ...]:
    """Return the kernels that computed in anything but float32."""
    computing = [node for node in executed(nodes) if node.kind(NO_WORK) in {Kind.INT8, Kind.FLOAT}]
    return tuple(sorted({node.primitive for node in computing if node.computes_in != "f32"}))


def references(nodes: Sequence[GraphNode]) -> tuple[str, ...]:
    """Return the kernels that are reference implementations: right, and slow."""
    return tuple(sorted({node.primitive for node in executed(nodes) if node.primitive.startswith("ref")}))


def executed(nodes: Sequence[GraphNode]) -> list[GraphNode]:
    """Return the nodes that have a time: no constants, and nothing that was done by sharing memory."""
    return [node for node in nodes if node.mean_us is not None]


def _without_first(first_us: int, mean_us: int, calls: int) -> float:
    """Return the mean of all calls but the first; never negative, since means are cut to whole microseconds."""
    return max(0.0, (mean_us * calls - first_us) / (calls - 1))
