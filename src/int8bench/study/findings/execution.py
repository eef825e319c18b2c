"""Findings from the evidence of what really ran: int8 in name only, float left in it, float32 that was none. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from int8bench import documents
from int8bench.documents import JsonObject
from int8bench.machine.finding import Finding, error, note, warning
from int8bench.study.cells import Cell
from int8bench.workload.cases import FLOAT32, INT8

NEARLY_NO_INT8 = 0.05  # of the multiply-adds: a layer that is quantized here and there is none in an int8 model
MUCH_FLOAT = 0.05  # of the multiply-adds or the time: below, what is left in float is not worth a person's time
NAMED = 3  # operators that a sentence names
_NARROW = ("bf16", "fp16", "f16")  # how the names of kernels end, and of types


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operator:
    """An operator that ran, as evidence keeps it."""

    operator: str
    implementation: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _InFloat:
    """An operator that made multiply-adds in float."""

    operator: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _MultiplyAdds:
    """Whose multiply-adds were int8 and whose float."""

    int8_share: float
    float_share: float
    float_operators: tuple[_InFloat, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Forward:
    """What ran in a forward, as `engines.operators.ran` writes it into evidence; shares are None where nothing did."""

    witness: str
    share_of: str
    int8_share: float | None
    float_share: float | None
    multiply_adds: _MultiplyAdds | None = None
    operators: tuple[_Operator, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Primitive:
    """A call of oneDNN: its kernel, and the types of what it read."""

    implementation: str
    src: str | None
    weights: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDnn:
    """What oneDNN told of a forward; nothing where it was not asked."""

    int8_calls: int = 0
    primitives: tuple[_Primitive, ...] = ()


def in_onednn(evidence: JsonObject) -> OneDnn:
    """Return the part of evidence that oneDNN gave.

    Raises:
        RecordError: it has another form.
    """
    return documents.read(OneDnn, evidence.get("onednn") or {}, name="evidence", at="onednn", strict=False)


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


def findings_of(engine: str, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Yield the findings of the evidence of an engine's measured cells.

    Args:
        engine: their engine.
        cells: of a record, measured; a variant's evidence is the same in all of its cells.
    """
    yield from _of_int8(engine, [cell for cell in cells if cell.precision == INT8])
    yield from _of_float32(engine, [cell for cell in cells if cell.precision == FLOAT32])


def in_name_only(cell: Cell) -> bool:
    """Tell whether a measured int8 cell is proven to have worked in float, or nearly."""
    ran = _ran(cell.evidence)
    return ran is not None and ran.work.int8_of_arithmetic < NEARLY_NO_INT8


def _of_int8(engine: str, cells: Sequence[Cell]) -> Iterator[Finding]:
    witnessed = [_ran(cell.evidence) for cell in cells]
    known = [ran for ran in witnessed if ran is not None]
    if len(known) < len(witnessed):
        yield _missing(engine)
    if not known:
        return
    worst = min(known, key=lambda ran: ran.work.int8_of_arithmetic)
    if worst.work.int8_of_arithmetic < NEARLY_NO_INT8:
        yield _ran_as_float(engine, worst)
        return
    slowest = max(known, key=lambda ran: (ran.time or ran.work).in_float)
    if worst.work.in_float > MUCH_FLOAT:
        yield _partly_float(engine, worst)
    elif slowest.time is not None and slowest.time.in_float > MUCH_FLOAT:
        yield _partly_float(engine, slowest)


def _missing(engine: str) -> Finding:
    return note("evidence-missing", engine)


def _ran_as_float(engine: str, ran: _Ran) -> Finding:
    work = ran.work
    return error(
        "ran-as-float",
        engine,
        int8=work.int8,
        of=work.of,
        in_float=work.in_float,
        named=_named(work),
        and_time=_and_time(ran),
        witness=ran.witness,
    )


def _partly_float(engine: str, ran: _Ran) -> Finding:
    work, time = ran.work, ran.time
    if time is not None and work.in_float <= MUCH_FLOAT:
        return warning(
            "partly-float/time",
            engine,
            share=time.in_float,
            named=_named(time),
            work=work.in_float,
            of=work.of,
            witness=ran.witness,
        )
    return warning(
        "partly-float",
        engine,
        share=work.in_float,
        of=work.of,
        named=_named(work),
        and_time=_and_time(ran),
        witness=ran.witness,
    )


def _and_time(ran: _Ran) -> str:
    return "" if ran.time is None else f"; {ran.time.in_float:.0%} of its time is float"


def _named(share: _Share) -> str:
    """Return the largest operators in float, ready to follow a sentence."""
    if not share.operators:
        return ""
    more = ", ..." if len(share.operators) > NAMED else ""
    return f" ({', '.join(share.operators[:NAMED])}{more})"


def _of_float32(engine: str, cells: Sequence[Cell]) -> Iterator[Finding]:
    narrow = dict.fromkeys(name for cell in cells for name in _narrow(cell.evidence))
    if narrow:
        yield error("not-float32", engine, kernels=", ".join(narrow))


def _ran(evidence: JsonObject) -> _Ran | None:
    """Return the work of a forward, where the witness shows it; None where it does not, or where nothing computed."""
    forward = _forward(evidence)
    if forward is None or forward.int8_share is None:
        return None
    shares = [share for share in (_of_multiply_adds(forward), _of_operators(forward)) if share is not None]
    computed = [share for share in shares if share.int8 + share.in_float > 0]
    if not computed:
        return None
    timed = len(computed) > 1 and forward.share_of == "time"
    return _Ran(witness=forward.witness, work=computed[0], time=computed[1] if timed else None)


def _forward(evidence: JsonObject) -> _Forward | None:
    ran = evidence.get("ran")
    return documents.read(_Forward, ran, name="evidence", at="ran", strict=False) if ran else None


def _of_multiply_adds(forward: _Forward) -> _Share | None:
    made = forward.multiply_adds
    if made is None:
        return None
    return _Share(
        of="multiply-adds",
        int8=made.int8_share,
        in_float=made.float_share,
        operators=tuple(left.operator for left in made.float_operators),
    )


def _of_operators(forward: _Forward) -> _Share:
    """Return the shares of int8 and float by time, or by number where the witness has no times."""
    return _Share(
        of=forward.share_of,
        int8=forward.int8_share or 0.0,
        in_float=forward.float_share or 0.0,
        operators=tuple(dict.fromkeys(ran.operator for ran in forward.operators if ran.kind == "float")),
    )


def _narrow(evidence: JsonObject) -> Iterable[str]:
    """Yield the kernels that computed in less than float32."""
    forward = _forward(evidence)
    for ran in forward.operators if forward is not None else ():
        name = ran.implementation
        by_isa = ":" in name  # oneDNN's names end in an instruction set, which may be called after a type
        if ran.kind == "float" and name.lower().endswith(_NARROW) and not by_isa:
            yield name
    for call in in_onednn(evidence).primitives:
        if {call.src, call.weights} & set(_NARROW):
            yield call.implementation
