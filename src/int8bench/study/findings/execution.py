"""Findings from the evidence of what really ran: int8 in name only, float left in it, float32 that was none. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from int8bench.cases import FLOAT32, INT8
from int8bench.machine.finding import Finding, Severity

NEARLY_NO_INT8 = 0.05  # of the multiply-adds: a layer that is quantized here and there is none in an int8 model
MUCH_FLOAT = 0.05  # of the multiply-adds or the time: below, what is left in float is not worth a person's time
NAMED = 3  # operators that a sentence names
_NARROW = ("bf16", "fp16", "f16")  # how the names of kernels end, and of types

Cells = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """How much of something was int8 and how much float, and which operators were in float, the most first."""

    of: str
    int8: float
    in_float: float
    operators: tuple[str, ...]

    @property
    def int8_of_arithmetic(self) -> float:
        """Edges and moves aside."""
        return self.int8 / (self.int8 + self.in_float)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ran:
    """What an int8 forward was made of: its work, weighed by multiply-adds where they are told, and its time."""

    witness: str
    work: _Share
    time: _Share | None
    """Where the work is told by something else."""


def findings_of(engine: str, cells: Cells) -> Iterator[Finding]:
    """What the evidence of an engine's measured cells says.

    Args:
        engine: their engine.
        cells: of a record, measured; a variant's evidence is the same in all of its cells.
    """
    yield from _of_int8(engine, [cell for cell in cells if cell["precision"] == INT8])
    yield from _of_float32(engine, [cell for cell in cells if cell["precision"] == FLOAT32])


def in_name_only(cell: Mapping[str, Any]) -> bool:
    """Whether a measured int8 cell is proven to have worked in float, or nearly."""
    found = _told(cell["evidence"])
    return found is not None and found.work.int8_of_arithmetic < NEARLY_NO_INT8


def _of_int8(engine: str, cells: Cells) -> Iterator[Finding]:
    told = [_told(cell["evidence"]) for cell in cells]
    known = [each for each in told if each is not None]
    if len(known) < len(told):
        yield _missing(engine)
    if not known:
        return
    worst = min(known, key=lambda each: each.work.int8_of_arithmetic)
    if worst.work.int8_of_arithmetic < NEARLY_NO_INT8:
        yield _ran_as_float(engine, worst)
        return
    slowest = max(known, key=lambda each: (each.time or each.work).in_float)
    if worst.work.in_float > MUCH_FLOAT:
        yield _partly_float(engine, worst)
    elif slowest.time is not None and slowest.time.in_float > MUCH_FLOAT:
        yield _partly_float(engine, slowest)


def _missing(engine: str) -> Finding:
    return Finding(
        code="evidence-missing",
        severity=Severity.NOTE,
        subject=engine,
        message=f"Nothing says what {engine} int8 ran: its figures may be those of float arithmetic.",
        why="No profile, graph or log of this engine tells which operators it ran, or none could be taken here.",
        advice="Hold its time and its weights against float32's before you trust the name.",
    )


def _ran_as_float(engine: str, ran: _Ran) -> Finding:
    work = ran.work
    return Finding(
        code="ran-as-float",
        severity=Severity.ERROR,
        subject=engine,
        message=f"{engine} int8 ran in float: {work.int8:.0%} of its {work.of} is int8 and {work.in_float:.0%} "
        f"float{_named(work)}{_and_time(ran)}.",
        why=f"The engine fell back to float arithmetic without a word, as {ran.witness} tells.",
        advice=f"Type int8bench doctor --engine {engine}, or use another engine: this one's int8 is no int8 here.",
    )


def _partly_float(engine: str, ran: _Ran) -> Finding:
    work = ran.work
    left = f"{work.in_float:.0%} of its {work.of} in float{_named(work)}{_and_time(ran)}"
    if ran.time is not None and work.in_float <= MUCH_FLOAT:
        left = (
            f"{ran.time.in_float:.0%} of its time in float{_named(ran.time)}, "
            f"though {work.in_float:.0%} of its {work.of}"
        )
    return Finding(
        code="partly-float",
        severity=Severity.WARNING,
        subject=engine,
        message=f"{engine} int8 leaves {left}.",
        why=f"Operators that the engine has no int8 kernel for run in float, as {ran.witness} tells.",
        advice="Fuse or replace those operators in the model, or use an engine that has them in int8.",
    )


def _and_time(ran: _Ran) -> str:
    return "" if ran.time is None else f"; {ran.time.in_float:.0%} of its time is float"


def _named(share: _Share) -> str:
    """The largest operators in float, ready to follow a sentence."""
    if not share.operators:
        return ""
    more = ", ..." if len(share.operators) > NAMED else ""
    return f" ({', '.join(share.operators[:NAMED])}{more})"


def _of_float32(engine: str, cells: Cells) -> Iterator[Finding]:
    narrow = dict.fromkeys(name for cell in cells for name in _narrow(cell["evidence"]))
    if narrow:
        yield Finding(
            code="not-float32",
            severity=Severity.ERROR,
            subject=engine,
            message=f"{engine} float32 ran in a narrower type: {', '.join(narrow)}.",
            why="Some runtimes turn float32 into bf16 or fp16 unasked; int8 looks slower beside it than it is.",
            advice="Do not hold int8 against it: ask the engine for real float32, or leave it out.",
        )


def _told(evidence: Mapping[str, Any]) -> _Ran | None:
    """What ran, where the witness tells; None where it does not, or where nothing computed."""
    ran = evidence.get("ran")
    if not ran or ran["int8_share"] is None:
        return None
    shares = [each for each in (_of_multiply_adds(ran), _of_operators(ran)) if each and each.int8 + each.in_float > 0]
    if not shares:
        return None
    timed = len(shares) > 1 and ran["share_of"] == "time"
    return _Ran(witness=ran["witness"], work=shares[0], time=shares[1] if timed else None)


def _of_multiply_adds(ran: Mapping[str, Any]) -> _Share | None:
    made = ran.get("multiply_adds")
    if not made:
        return None
    return _Share(
        of="multiply-adds",
        int8=made["int8_share"],
        in_float=made["float_share"],
        operators=tuple(each["operator"] for each in made["float_operators"]),
    )


def _of_operators(ran: Mapping[str, Any]) -> _Share:
    """By time, or by number where the witness has no times."""
    return _Share(
        of=ran["share_of"],
        int8=ran["int8_share"],
        in_float=ran["float_share"],
        operators=tuple(dict.fromkeys(each["operator"] for each in ran["operators"] if each["kind"] == "float")),
    )


def _narrow(evidence: Mapping[str, Any]) -> Iterable[str]:
    """The kernels that computed in less than float32."""
    for each in (evidence.get("ran") or {}).get("operators", ()):
        name = each["implementation"]
        by_isa = ":" in name  # oneDNN's names end in an instruction set, which may be called after a type
        if each["kind"] == "float" and name.lower().endswith(_NARROW) and not by_isa:
            yield name
    for call in (evidence.get("onednn") or {}).get("primitives", ()):
        if {call["src"], call["weights"]} & set(_NARROW):
            yield call["implementation"]
