"""OpenVINO's executed graph, node by node: what computed, in which type, for how long. Pure: never imports OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from int8bench.engines.operators import Kind, Operator

EDGES = {"Reorder", "Convert", "FakeQuantize"}
ELEMENTWISE = {"Subgraph", "Eltwise"}  # an edge where the type changes: it quantizes or dequantizes
MOVES = {"Broadcast", "Concatenation", "Gather", "Pad", "Reshape", "Split", "StridedSlice", "Tile", "Transpose"}
FLOATS = {"f32", "bf16", "f16"}
BYTES = {"i8", "u8"}
_NOT_EXECUTED = "not_executed"
_US = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node of the graph after its fusions; without a time where it was not executed, as constants are not."""

    name: str
    layer: str
    primitive: str
    """The kernel and the type of its first input: ``brgconv_avx512_I8``."""
    takes: str
    gives: str
    mean_us: int | None
    """Of all calls so far, cut to whole microseconds."""

    @classmethod
    def of(cls, name: str, info: Mapping[str, str]) -> Node:
        """A node by its runtime information."""
        time = info.get("execTimeMcs", _NOT_EXECUTED)
        return cls(
            name=name,
            layer=info.get("layerType", "unknown"),
            primitive=info.get("primitiveType", "unknown"),
            takes=info.get("runtimePrecision", "unknown").lower(),
            gives=info.get("outputPrecisions", "unknown").partition(",")[0].lower(),
            mean_us=int(time) if time.isdigit() else None,
        )

    @property
    def computes_in(self) -> str:
        """The type that its kernel's name ends in: ``i8``, ``f32``, ``bf16``; older versions say ``FP32``."""
        return self.primitive.rpartition("_")[2].lower().replace("fp", "f")

    @property
    def kind(self) -> Kind:
        """What it computed with: by its kernel, unless it only quantizes or moves."""
        crosses = (self.takes in BYTES) != (self.gives in BYTES)
        if self.layer in EDGES or (self.layer in ELEMENTWISE and crosses):
            return Kind.EDGE
        if self.layer in MOVES:
            return Kind.OTHER
        if self.computes_in in BYTES:
            return Kind.INT8
        return Kind.FLOAT if self.computes_in in FLOATS else Kind.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one session told of its calls: the graph after the first, which also packed weights, and after all."""

    cold: tuple[Node, ...]
    warm: tuple[Node, ...]
    calls: int

    def seconds(self) -> dict[str, float]:
        """The mean of the calls after the first, by the name of each node that was executed."""
        first = {node.name: node.mean_us or 0 for node in self.cold}
        return {
            node.name: _without_first(first[node.name], node.mean_us or 0, self.calls) * _US
            for node in executed(self.warm)
        }


def operators(profiles: Sequence[Profile]) -> list[Operator]:
    """The operators of one forward, each with its time in the session where it was quickest.

    A node of microseconds that lost its processor for a few milliseconds would else seem to be a third of the forward.
    One that is quicker than the profile's clock has no time in some sessions, and counts where it has one.

    Args:
        profiles: of sessions of the same model, compiled alike.
    """
    nodes = {node.name: node for profile in profiles for node in executed(profile.warm)}
    sessions = [each.seconds() for each in profiles]
    quickest = {name: min(times[name] for times in sessions if name in times) for name in nodes}
    return [
        Operator(name=node.layer, implementation=node.primitive, kind=node.kind, seconds=quickest[name])
        for name, node in nodes.items()
    ]


def precisions(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The types that were computed in, without edges and moves: ``i8`` alone where nothing was left in float."""
    return tuple(sorted({node.computes_in for node in executed(nodes) if node.kind in {Kind.INT8, Kind.FLOAT}}))


def not_float32(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The kernels that computed in anything but float32."""
    computing = [node for node in executed(nodes) if node.kind in {Kind.INT8, Kind.FLOAT}]
    return tuple(sorted({node.primitive for node in computing if node.computes_in != "f32"}))


def references(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The kernels that are reference implementations: right, and slow."""
    return tuple(sorted({node.primitive for node in executed(nodes) if node.primitive.startswith("ref")}))


def executed(nodes: Sequence[Node]) -> list[Node]:
    """Those that have a time: no constants, and nothing that was done by sharing memory."""
    return [node for node in nodes if node.mean_us is not None]


def _without_first(first_us: int, mean_us: int, calls: int) -> float:
    """The mean of all calls but the first; never negative, since means are cut to whole microseconds."""
    return max(0.0, (mean_us * calls - first_us) / (calls - 1))
