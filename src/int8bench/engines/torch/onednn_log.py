"""oneDNN's own words about one forward: its primitives, their implementations and types.

The parser is pure, and reads the multiply-adds of a primitive from its problem: ``mb8_ic3oc32_ih32oh32kh3``. `collect`
runs the forward in a forked process whose standard output is kept in a nameless file, so that nothing is seen of it,
and answers plainly where oneDNN has nothing to say (fbgemm, qnnpack).
"""

from __future__ import annotations

import ctypes
import math
import os
import re
import signal
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO, NoReturn

from int8bench.documents import Json

_AXIS = re.compile(r"(?<![a-z])(?P<name>mb|g|ic|oc|id|ih|iw|od|oh|ow|kd|kh|kw|l|t|sic|slc|dhc)(?P<size>\d+)")
_GATES = {"vanilla_lstm": 4, "vanilla_gru": 3, "lbr_gru": 3, "vanilla_augru": 3, "lbr_augru": 3, "vanilla_rnn": 1}
_OF_INPUT, _OF_OUTPUT, _OF_KERNEL = ("id", "ih", "iw"), ("od", "oh", "ow"), ("kd", "kh", "kw")


def multiply_adds(primitive: str, problem: str, auxiliary: str) -> int | None:
    """Return the multiply-adds of a primitive: 0 where it multiplies nothing, None where its problem does not tell.

    Args:
        primitive: its kind.
        problem: the field ``problem_desc`` of a line.
        auxiliary: the field of that name, which has the algorithm.
    """
    if primitive == "matmul":
        return _of_matmul(problem)
    if primitive not in {"convolution", "deconvolution", "inner_product", "rnn"}:
        return 0
    axes = {match["name"]: int(match["size"]) for match in _AXIS.finditer(problem)}
    if primitive == "rnn":
        return _of_rnn(axes, auxiliary)
    if not {"mb", "ic", "oc"} <= axes.keys():
        return None
    channels = axes["mb"] * axes["ic"] * axes["oc"] // axes.get("g", 1)
    if primitive == "inner_product":
        return channels * _size(axes, _OF_INPUT)
    return channels * _size(axes, _OF_KERNEL) * _size(axes, _OF_OUTPUT if primitive == "convolution" else _OF_INPUT)


def _size(axes: dict[str, int], names: tuple[str, ...]) -> int:
    return math.prod(axes.get(name, 1) for name in names)


def _of_matmul(problem: str) -> int | None:
    """Return the multiply-adds of a product: ``4x8x64:4x64x10`` has the axes of both sides, the last two multiplied."""
    sides = [[int(axis) for axis in side.split("x") if axis.isdecimal()] for side in problem.split(":")[:2]]
    if len(sides) != 2 or any(len(side) < 2 for side in sides):  # noqa: PLR2004  two sides, of two axes or more
        return None
    left, right = sides
    batch = math.prod(max(pair) for pair in zip(left[:-2], right[:-2], strict=False))
    return batch * left[-2] * left[-1] * right[-1]


def _of_rnn(axes: dict[str, int], auxiliary: str) -> int | None:
    gates = next((count for name, count in _GATES.items() if name in auxiliary), None)
    if gates is None or not {"mb", "t", "sic", "slc", "dhc"} <= axes.keys():
        return None
    steps = axes.get("l", 1) * axes["t"] * axes["mb"] * (2 if "bidirectional" in auxiliary else 1)
    return steps * gates * axes["dhc"] * (axes["sic"] + axes["slc"])


LISTENING_S = 60  # a forward that takes longer is killed; the evidence says so
# What oneDNN 3.5 and newer announce in their header; used where the header was spent before we listened.
_USUAL_PREFIX = "onednn_verbose,v1,primitive"
_USUAL_COLUMNS = (
    "operation",
    "engine",
    "primitive",
    "implementation",
    "prop_kind",
    "memory_descriptors",
    "attributes",
    "auxiliary",
    "problem_desc",
    "exec_time",
)

_TEMPLATE = re.compile(r"(?P<prefix>onednn_verbose\S*?),info,(?:prim_)?template:(?P<columns>\S+)")
_VERSION = re.compile(r"onednn_verbose\S*?,info,(?:cpu,)?oneDNN v(?P<version>\S+)")
_ISA = re.compile(r"onednn_verbose\S*?,info,cpu,isa:(?P<isa>.+)")
_TYPE = r"\b{argument}[_:](?P<type>[a-z0-9]+)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One primitive that oneDNN executed."""

    primitive: str
    implementation: str
    src: str | None
    weights: str | None
    time_ms: float
    multiply_adds: int | None = None
    """None where its problem is not told in a form that is known."""

    @property
    def isa(self) -> str | None:
        """The instruction set in the implementation's name, as in ``brg_conv_fwd:avx512_core_vnni``."""
        _, separator, isa = self.implementation.rpartition(":")
        return isa if separator else None

    @property
    def is_int8(self) -> bool:
        """Whether it multiplied int8 by int8 in a kernel that is no reference implementation."""
        return self.src in {"u8", "s8"} and self.weights == "s8" and not self.implementation.startswith("ref")


@dataclass(frozen=True, slots=True, kw_only=True)
class Primitive:
    """Equal calls counted together, as evidence has them; the fields are its keys."""

    primitive: str
    implementation: str
    isa: str | None
    src: str | None
    weights: str | None
    int8: bool
    calls: int
    multiply_adds: int | None
    """Of all calls together; None where oneDNN does not tell those of one."""
    time_share: float | None
    """Of oneDNN's time; None where that is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A listening process that came to grief, and how."""

    error: str

    def to_dict(self) -> dict[str, Json]:
        """Return the evidence, which leaves open whether oneDNN was used."""
        return {"used": None, "error": self.error}


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What oneDNN said."""

    version: str | None
    isa: str | None
    calls: tuple[Call, ...]

    @property
    def int8_calls(self) -> int:
        """How many primitives are proven to be int8."""
        return sum(call.is_int8 for call in self.calls)

    @property
    def primitives(self) -> tuple[Primitive, ...]:
        """The calls, equal ones counted together."""
        return _summed(self.calls)

    def to_dict(self) -> dict[str, Json]:
        """Return the evidence as JSON values."""
        return {
            "used": bool(self.calls),
            "version": self.version,
            "isa": self.isa,
            "int8_calls": self.int8_calls,
            "primitives": [asdict(primitive) for primitive in self.primitives],
        }


def parse(text: str) -> Words:
    """Return oneDNN's words in a verbose log, its columns read by its own ``template:`` line."""
    prefix, columns = _template(text)
    lines = [line[len(prefix) + 1 :].split(",") for line in text.splitlines() if line.startswith(f"{prefix},")]
    rows = [dict(zip(columns, fields, strict=True)) for fields in lines if len(fields) == len(columns)]
    return Words(
        version=_found(_VERSION, text, "version"),
        isa=_found(_ISA, text, "isa"),
        calls=tuple(_call(row) for row in rows if row["operation"] == "exec"),
    )


def collect(forward: Callable[[], object]) -> Words | Silence:
    """Return oneDNN's words on one warm call of `forward`; its silence where the listening process comes to grief."""
    with tempfile.TemporaryFile() as log:
        pid = _fork()
        if pid == 0:
            _listen(forward, log)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code != 0:
            return Silence(error=_ending(code))
        log.seek(0)
        return parse(log.read().decode(errors="replace"))


def _template(text: str) -> tuple[str, tuple[str, ...]]:
    for match in _TEMPLATE.finditer(text):
        columns = tuple(match["columns"].split(","))
        if "primitive" in columns:  # a second template describes graph partitions
            return match["prefix"], columns
    return _USUAL_PREFIX, _USUAL_COLUMNS


def _call(row: Mapping[str, str]) -> Call:
    return Call(
        primitive=row["primitive"],
        implementation=row["implementation"],
        src=_type_of("src", row["memory_descriptors"]),
        weights=_type_of("wei", row["memory_descriptors"]),
        time_ms=float(row["exec_time"]),
        multiply_adds=multiply_adds(row["primitive"], row.get("problem_desc", ""), row.get("auxiliary", "")),
    )


def _type_of(argument: str, descriptors: str) -> str | None:
    """Return the data type of an argument: ``src:u8::blocked`` today, ``src_u8::blocked`` before oneDNN 3.5."""
    return _found(re.compile(_TYPE.format(argument=argument)), descriptors, "type")


def _found(pattern: re.Pattern[str], text: str, group: str) -> str | None:
    match = pattern.search(text)
    return match[group] if match else None


def _summed(calls: tuple[Call, ...]) -> tuple[Primitive, ...]:
    total_ms = sum(call.time_ms for call in calls)
    alike: dict[tuple[str, str, str | None, str | None], list[Call]] = {}
    for call in calls:
        alike.setdefault((call.primitive, call.implementation, call.src, call.weights), []).append(call)
    return tuple(
        Primitive(
            primitive=group[0].primitive,
            implementation=group[0].implementation,
            isa=group[0].isa,
            src=group[0].src,
            weights=group[0].weights,
            int8=group[0].is_int8,
            calls=len(group),
            multiply_adds=_work(group),
            time_share=round(sum(call.time_ms for call in group) / total_ms, 4) if total_ms else None,
        )
        for group in alike.values()
    )


def _work(calls: Sequence[Call]) -> int | None:
    counts = [call.multiply_adds for call in calls]
    return None if None in counts else sum(count or 0 for count in counts)


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of a fork beside threads; the child runs on one thread and needs no lock of another.
        warnings.filterwarnings("ignore", message=".*multi-threaded.*fork", category=DeprecationWarning)
        return os.fork()


def _listen(forward: Callable[[], object], log: IO[bytes]) -> NoReturn:
    """Run the forked process to its end; it must not return into the caller's frames, whatever happens."""
    code = 1
    try:
        import torch

        signal.alarm(LISTENING_S)
        os.dup2(log.fileno(), 1)  # oneDNN prints with C's stdout
        torch.set_num_threads(1)  # the threads of a parallel region do not survive a fork
        forward()  # the first one also packs: reorders that no later forward repeats
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):  # type: ignore[no-untyped-call]
            forward()
        ctypes.CDLL(None).fflush(None)
        code = 0
    finally:
        os._exit(code)


def _ending(code: int) -> str:
    if code == -signal.SIGALRM:
        return f"the forward took more than {LISTENING_S} s"
    if code < 0:
        return f"the forward ended with {signal.Signals(-code).name}"
    return "the forward failed"
