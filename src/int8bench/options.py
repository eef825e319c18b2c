"""What a person types, turned into values: lists, percentages, durations, grids. Pure; says what to type instead."""

import re

from int8bench.errors import RequestError

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>s|m|min|h)?")
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_PERCENT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<sign>%?)")


def names(option: str, text: str) -> tuple[str, ...]:
    """The names of a comma-separated list, each once, in order.

    Raises:
        RequestError: nothing but commas and spaces.
    """
    found = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found:
        raise RequestError(f"{option} {text!r}: expected names with commas between them; try {option} fbgemm,x86")
    return found


def counts(option: str, text: str) -> tuple[int, ...]:
    """The whole numbers of a comma-separated list, each 1 or more, each once, in order.

    Raises:
        RequestError: something else than whole numbers from 1 up.
    """
    return tuple(dict.fromkeys(_count(option, part) for part in names(option, text)))


def fraction(option: str, text: str) -> float:
    """A percentage as a fraction: ``1%`` and ``0.01`` are both 0.01.

    Raises:
        RequestError: not a percentage above 0 % and below 100 %.
    """
    found = _PERCENT.fullmatch(text.strip())
    value = float(found["number"]) * (0.01 if found["sign"] else 1.0) if found else 0.0
    if not 0.0 < value < 1.0:
        raise RequestError(f"{option} {text}: expected a percentage above 0% and below 100%; try {option} 1%")
    return value


def seconds(option: str, text: str) -> float:
    """A duration in seconds: ``90s``, ``90`` and ``1.5m`` are all 90.

    Raises:
        RequestError: not a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise RequestError(f"{option} {text}: expected a duration such as 90s, 5m or 1h; try {option} 90s")
    return float(found["number"]) * _SECONDS[found["unit"]]


def _count(option: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise RequestError(f"{option} {text}: expected whole numbers from 1 up; try {option} 1 or {option} 1,8,32")
    return int(text)
