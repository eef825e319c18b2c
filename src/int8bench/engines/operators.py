"""What ran in a forward, operator by operator, and how much was int8: one form for every witness. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What an operator computed with."""

    INT8 = "int8"
    FLOAT = "float"
    EDGE = "edge"
    """Neither: it quantizes, dequantizes or changes a layout."""
    OTHER = "other"
    """Moves or reshapes data of any type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """One operator that ran: its name, its kernel, and the seconds and the work where the witness tells them."""

    name: str
    implementation: str
    kind: Kind
    seconds: float | None = None
    multiply_adds: int | None = None
    """None where the witness does not tell, 0 of what makes none."""


def ran(witness: str, operators: Sequence[Operator], *, arithmetic: Sequence[Operator] = ()) -> dict[str, object]:
    """What ran, as a JSON value: the shares of int8 and float, and equal operators counted together.

    Shares are of the time where every operator has one, else of the number of operators (`share_of` says which); a
    share is None where nothing ran.

    Args:
        witness: who says so: ``ONNX Runtime's profile``.
        operators: of one forward, in any order.
        arithmetic: the same forward as another part of the witness tells it, with its multiply-adds; those of
            `operators` where it is empty.
    """
    timed = bool(operators) and all(each.seconds is not None for each in operators)
    weights = [each.seconds or 0.0 for each in operators] if timed else [1.0] * len(operators)
    total = sum(weights)
    shares = {
        f"{kind.value}_share": round(
            sum(w for w, each in zip(weights, operators, strict=True) if each.kind is kind) / total, 4
        )
        if total
        else None
        for kind in Kind
    }
    return {
        "witness": witness,
        "share_of": "time" if timed else "operators",
        **shares,
        "multiply_adds": _multiply_adds(arithmetic or operators),
        "operators": list(_counted(operators, weights, total)),
    }


def _multiply_adds(operators: Sequence[Operator]) -> dict[str, object] | None:
    """The shares of int8 and float of all multiply-adds, and who makes those in float, the most first.

    None where there are none, or where the witness leaves some untold.
    """
    if any(each.multiply_adds is None for each in operators):
        return None
    made = [(each, each.multiply_adds or 0) for each in operators]
    total = sum(count for _, count in made)
    if not total:
        return None
    left: dict[str, int] = {}
    for each, count in made:
        if each.kind is Kind.FLOAT and count:
            left[each.name] = left.get(each.name, 0) + count
    return {
        "total": total,
        "int8_share": round(sum(count for each, count in made if each.kind is Kind.INT8) / total, 4),
        "float_share": round(sum(left.values()) / total, 4),
        "float_operators": [
            {"operator": name, "share": round(count / total, 4)}
            for name, count in sorted(left.items(), key=lambda item: -item[1])
        ],
    }


def _counted(operators: Sequence[Operator], weights: Sequence[float], total: float) -> Iterable[Mapping[str, object]]:
    alike: dict[tuple[str, str, Kind], list[float]] = {}
    for each, weight in zip(operators, weights, strict=True):
        alike.setdefault((each.name, each.implementation, each.kind), []).append(weight)
    for (name, implementation, kind), mine in sorted(alike.items(), key=lambda item: -sum(item[1])):
        yield {
            "operator": name,
            "implementation": implementation,
            "kind": kind.value,
            "calls": len(mine),
            "share": round(sum(mine) / total, 4) if total else None,
        }
