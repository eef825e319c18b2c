"""What a person types, turned into values: lists, percentages, durations, grids. Pure; says what to type instead."""

import math
import re
from collections.abc import Iterable

from int8bench.errors import RequestError

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|m|min|h)?")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>kB|KB|MB|GB|TB)?")
_BYTES = {None: 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<sign>%?)")
LARGEST_COUNT = 10**9  # beyond any batch and any machine; Python itself refuses to read numbers of thousands of digits
LONGEST_IN_SECONDS = 90.0  # longer ones are typed in minutes
MOST_SHOWN = 40  # characters of what was typed that a sentence repeats
LARGEST_BYTES = 10**15  # beyond any disk
LONGEST_S = 7 * 86_400.0  # a week: nobody waits longer, and a socket cannot


class Counts(tuple[int, ...]):
    """Whole numbers, as `counts` reads them; a class of its own, since Typer takes a plain tuple for several words."""

    __slots__ = ()


class Names(tuple[str, ...]):
    """Names, as `names` reads them."""

    __slots__ = ()


def listed(values: Iterable[object]) -> str:
    """Return the values as a person types them: with commas between."""
    return ",".join(map(str, values))


def names(option: str, text: str) -> Names:
    """Return the names of a comma-separated list, each once, in order.

    Args:
        option: with which the sentence on a wrong text begins: ``--batch``.
        text: as it was typed.

    Raises:
        RequestError: nothing but commas and spaces.
    """
    typed = _parts(text)
    if not typed:
        raise RequestError(f"{option} {text!r}: expected names with commas between them; try {option} fbgemm,x86")
    return Names(typed)


def counts(option: str, text: str) -> Counts:
    """Return the whole numbers of a comma-separated list, each 1 or more, each once, in order.

    Args:
        option: with which the sentence on a wrong text begins: ``--batch``.
        text: as it was typed.

    Raises:
        RequestError: something else than whole numbers from 1 up.
    """
    return Counts(dict.fromkeys(_count(option, part) for part in _parts(text) or ("",)))


def fraction(option: str, text: str) -> float:
    """Return a percentage as a fraction: ``1%`` and ``0.01`` are both 0.01.

    Args:
        option: with which the sentence on a wrong text begins: ``--batch``.
        text: as it was typed.

    Raises:
        RequestError: not a percentage above 0 % and below 100 %.
    """
    match = _PERCENT.fullmatch(text.strip())
    value = float(match["number"]) * (0.01 if match["sign"] else 1.0) if match else 0.0
    if not 0.0 < value < 1.0:
        raise RequestError(f"{option} {_shown(text)}: expected a percentage above 0% and below 100%; try {option} 1%")
    return value


def seconds(option: str, text: str) -> float:
    """Return a duration in seconds: ``90s``, ``90`` and ``1.5m`` are all 90.

    Args:
        option: with which the sentence on a wrong text begins: ``--batch``.
        text: as it was typed.

    Raises:
        RequestError: not a duration, none at all, or more than a week.
    """
    match = _DURATION.fullmatch(text.strip())
    value = float(match["number"]) * _SECONDS[match["unit"]] if match else 0.0
    if not 0.0 < value <= LONGEST_S:
        raise RequestError(
            f"{option} {_shown(text)}: expected a duration such as 90s, 5m or 1h, up to a week; try {option} 90s"
        )
    return value


def size(option: str, text: str) -> int:
    """Return a size in bytes: ``2GB``, ``2000MB`` and ``2000000000`` are all one.

    Args:
        option: with which the sentence on a wrong text begins: ``--batch``.
        text: as it was typed.

    Raises:
        RequestError: not a size, or larger than any disk.
    """
    match = _SIZE.fullmatch(text.strip())
    value = float(match["number"]) * _BYTES[match["unit"]] if match else math.inf
    if value > LARGEST_BYTES:
        raise RequestError(f"{option} {_shown(text)}: expected a size such as 500MB, 5GB or 0; try {option} 5GB")
    return int(value)


def typed_seconds(value_s: float) -> str:
    """Return a duration of at least so many seconds, as a person would type it: ``40s``, ``8m``."""
    return f"{5 * math.ceil(value_s / 5)}s" if value_s <= LONGEST_IN_SECONDS else f"{math.ceil(value_s / 60)}m"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _count(option: str, text: str) -> int:
    plausible = text.isdecimal() and len(text) <= len(str(LARGEST_COUNT))
    if not plausible or not 1 <= int(text) <= LARGEST_COUNT:
        raise RequestError(
            f"{option} {_shown(text)}: expected whole numbers from 1 up; try {option} 1 or {option} 1,8,32"
        )
    return int(text)


def _shown(text: str) -> str:
    """Return what was typed, cut where it would fill the screen."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
