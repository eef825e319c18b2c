"""Findings from the evidence of what really ran: int8 in name only, float left in it, float32 that was none. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from int8bench.cases import FLOAT32, INT8
from int8bench.findings import Finding, Severity

NEARLY_NO_INT8 = 0.05  # of the arithmetic: a layer that is quantized here and there is none in an int8 model
MUCH_FLOAT = 0.05  # of a forward: below, what is left in float is not worth a person's time
NAMED = 3  # operators that a sentence names
_NARROW = ("bf16", "fp16", "f16")  # how the names of kernels end, and of types

Cells = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    """How much of a forward was int8 and how much float, of what, and who says so."""

    int8: float
    in_float: float
    of: str
    witness: str
    operators: tuple[str, ...]
    """Those in float."""

    @property
    def int8_of_arithmetic(self) -> float:
        """Edges and moves aside."""
        return self.int8 / (self.int8 + self.in_float)


def findings_of(engine: str, cells: Cells) -> Iterator[Finding]:
    """What the evidence of an engine's measured cells says.

    Args:
        engine: their engine.
        cells: of a record, measured; a variant's evidence is the same in all of its cells.
    """
    yield from _of_int8(engine, [cell for cell in cells if cell["precision"] == INT8])
    yield from _of_float32(engine, [cell for cell in cells if cell["precision"] == FLOAT32])


def in_name_only(cell: Mapping[str, Any]) -> bool:
    """Whether a measured int8 cell is proven to have run in float, or nearly."""
    shares = _shares(cell["evidence"])
    return shares is not None and shares.int8_of_arithmetic < NEARLY_NO_INT8


def _of_int8(engine: str, cells: Cells) -> Iterator[Finding]:
    told = [_shares(cell["evidence"]) for cell in cells]
    known = [each for each in told if each is not None]
    if len(known) < len(told):
        yield _missing(engine)
    if not known:
        return
    worst = min(known, key=lambda each: each.int8_of_arithmetic)
    if worst.int8_of_arithmetic < NEARLY_NO_INT8:
        yield _ran_as_float(engine, worst)
    elif worst.in_float > MUCH_FLOAT:
        yield _partly_float(engine, worst)


def _missing(engine: str) -> Finding:
    return Finding(
        code="evidence-missing",
        severity=Severity.NOTE,
        subject=engine,
        message=f"Nothing says what {engine} int8 ran: its figures may be those of float arithmetic.",
        why="No profile, graph or log of this engine tells which operators it ran, or none could be taken here.",
        advice="Hold its time and its weights against float32's before you trust the name.",
    )


def _ran_as_float(engine: str, shares: _Shares) -> Finding:
    return Finding(
        code="ran-as-float",
        severity=Severity.ERROR,
        subject=engine,
        message=f"{engine} int8 ran in float: {shares.int8:.0%} of its {shares.of} is int8 and {shares.in_float:.0%} "
        f"float{_named(shares)}.",
        why=f"The engine fell back to float arithmetic without a word, as {shares.witness} tells.",
        advice=f"Type int8bench doctor --engine {engine}, or use another engine: this one's int8 is no int8 here.",
    )


def _partly_float(engine: str, shares: _Shares) -> Finding:
    return Finding(
        code="partly-float",
        severity=Severity.WARNING,
        subject=engine,
        message=f"{engine} int8 leaves {shares.in_float:.0%} of its {shares.of} in float{_named(shares)}.",
        why=f"Operators that the engine has no int8 kernel for run in float, as {shares.witness} tells.",
        advice="Fuse or replace those operators in the model, or use an engine that has them in int8.",
    )


def _named(shares: _Shares) -> str:
    """The largest operators in float, ready to follow a sentence."""
    if not shares.operators:
        return ""
    more = ", ..." if len(shares.operators) > NAMED else ""
    return f" ({', '.join(shares.operators[:NAMED])}{more})"


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


def _shares(evidence: Mapping[str, Any]) -> _Shares | None:
    """What ran, in the common form or, of torch's engines, by counting layers; None where nothing tells."""
    found = _told(evidence["ran"]) if evidence.get("ran") else _counted(evidence)
    return found if found is not None and found.int8 + found.in_float > 0 else None


def _told(ran: Mapping[str, Any]) -> _Shares | None:
    if ran["int8_share"] is None:
        return None
    return _Shares(
        int8=ran["int8_share"],
        in_float=ran["float_share"],
        of=ran["share_of"],
        witness=ran["witness"],
        operators=tuple(dict.fromkeys(each["operator"] for each in ran["operators"] if each["kind"] == "float")),
    )


def _counted(evidence: Mapping[str, Any]) -> _Shares | None:
    layers = evidence.get("quantized_modules", 0), len(evidence.get("float_modules", ()))
    total = sum(layers)
    if not total:
        return None
    return _Shares(
        int8=layers[0] / total,
        in_float=layers[1] / total,
        of="operators",
        witness="its converted graph",
        operators=tuple(evidence.get("float_modules", ())),
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
