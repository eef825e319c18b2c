"""What several engines' reasons for having no figures have in common: the cause, said once for all of them. Pure."""

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

# The error that a reason quotes, as `units.reason` words it.
_RAISED = re.compile(
    r"(?P<cause>\b(?:\w+\.)*(?=[A-Z])\w*(?:Error|Exception|Unsupported|Failure|SymNode|Fail|InvalidGraph|InvalidArgument)"
    r"(?:: .*)?)$",
    re.DOTALL,
)
# What torch's tracers say of one thing, in words of their own.
_PLAIN = (
    (
        re.compile(
            r"cannot be used as inputs to control flow|GuardOnDataDependent|[Dd]ata-dependent|Dynamic control flow"
        ),
        "forward takes a branch on the values or the shape of its input, which a tracer cannot follow",
    ),
)
_CONVERSION = re.compile(r"^[^:]*: the conversion failed: ")
_LABEL = r"^{engine}(?: (?:float32|float16|int8))?: "
_ADVICE = "; "  # which our sentences end in

T = TypeVar("T")


def cause_of(reason: str, engine: str) -> str:
    """Return the cause of a failure, equal for engines that fail for one cause.

    The name of the engine and advice are not in it.

    Args:
        reason: as a record keeps it.
        engine: whose reason it is.
    """
    known = next((plain for pattern, plain in _PLAIN if pattern.search(reason)), None)
    if known is not None:
        return known
    raised = _RAISED.search(reason)
    return raised["cause"].partition(_ADVICE)[0].rstrip(".") if raised is not None else said(reason, engine)


def said(reason: str, engine: str) -> str:
    """Return a reason without the name of the engine or the conversion that it begins with.

    Args:
        reason: as a record keeps it.
        engine: whose reason it is.
    """
    return re.sub(_LABEL.format(engine=re.escape(engine)), "", _CONVERSION.sub("", reason)).rstrip(".")


def told(reason: str, engine: str) -> str:
    """Return a reason with its cause in it, in plain words where the reason has none.

    Args:
        reason: as a record keeps it.
        engine: whose reason it is.
    """
    cause, plain = cause_of(reason, engine), said(reason, engine)
    return plain if cause in plain else f"{cause} ({plain})"


def together(caused: Iterable[tuple[str, T]]) -> list[list[T]]:
    """Return things grouped by cause, each in the order in which it was found.

    Args:
        caused: causes, each with the thing that it caused.
    """
    groups: dict[str, list[T]] = {}
    for cause, each in caused:
        groups.setdefault(cause, []).append(each)
    return list(groups.values())


def listed(names: Sequence[str]) -> str:
    """Return engines as a person reads them, each once: ``fbgemm, x86 and onednn``."""
    once = list(dict.fromkeys(names))
    return " and ".join([", ".join(once[:-1]), once[-1]] if len(once) > 1 else once)
