"""How a person reads seconds, bytes, ratios, shares, and another library's error. Pure."""

import math
import re

_SECONDS = ((1.0, " s"), (1e-3, " ms"), (1e-6, " us"), (1e-9, " ns"))
_BYTES = ((1e9, " GB"), (1e6, " MB"), (1e3, " kB"))
_RATES = ((1e6, "M/s"), (1e3, "k/s"), (1.0, "/s"))
_TRACEBACK = "Traceback (most recent call last):"
_NAMED = re.compile(r"(?:\w+\.)*(?=[A-Z])\w*(?:Error|Exception|Unsupported|Failure|Interrupt)(?:: |$)")
# How lines begin that say where an error was met, and not what it is.
_WHERE = ('File "', "^", "While executing %", "Original traceback", "from user code", "Set TORCH", "Use tlparse")
_LONGEST_REASON = 240  # torch lists each parameter that does not fit; the first ones tell


def seconds(value: float) -> str:
    """Return three digits and a unit: 0.84 ms is ``840 us``, 12.3 ms is ``12.3 ms``, 999.6 us is ``1.00 ms``."""
    return _scaled(value, _SECONDS)


def duration(value_s: float) -> str:
    """Return a time that a person waits, to the second, one at least: ``38 s``, ``4 min 12 s``, ``1 h 5 min``."""
    whole = max(1, round(value_s))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{rest} s"


def size(value: float) -> str:
    """Return three digits and a decimal unit: 65849 is ``65.8 kB``; no share of a byte is shown."""
    return f"{value:.0f} B" if abs(_rounded(value)) < _BYTES[-1][0] else _scaled(value, _BYTES)


def ratio(value: float) -> str:
    """Return two decimals and an x: ``1.27x``."""
    return f"{value:.2f}x"


def rate(value: float) -> str:
    """Items a second, three digits: ``12.3k/s``."""
    return _scaled(value, _RATES)


def share(value: float) -> str:
    """Return a fraction as a percentage with one decimal."""
    return f"{value:.1%}"


def three_digits(value: float) -> str:
    """Return three significant digits without an exponent; digits before the point are all kept."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(_rounded(value)))))
    return f"{value:.{decimals}f}"


def shape(axes: tuple[int, ...]) -> str:
    """Return a shape as it is typed: ``3x32x32``."""
    return "x".join(str(axis) for axis in axes)


def reason(error: BaseException) -> str:
    """Return what another library's error comes from, on one line: ``ValueError: no such layer``.

    Of an error that was raised from another one it is that one which tells, and so on; of a text that quotes another
    process's traceback, its last line. What only announces the next line, or says where and not what, is left out.
    """
    cause = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(_telling(str(cause)).split())
    short = text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."
    if _NAMED.match(short):  # a quoted error has its own name
        return short
    return f"{type(cause).__name__}: {short}" if short else type(cause).__name__


def _telling(text: str) -> str:
    """Return the lines of an error's text that say what is wrong."""
    _, quoted, traceback = text.rpartition(_TRACEBACK)
    if quoted:
        return next(
            (line for line in traceback.splitlines() if _NAMED.match(line)), traceback.strip().rpartition("\n")[2]
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    saying = [line for line in lines if not line.endswith(":") and not line.startswith(_WHERE)]
    return "\n".join(saying or lines)


def first_line(error: BaseException) -> str:
    """Return the first line of what another library's error says; its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    # The unit is chosen for the digits that are shown: 999.6 of one is 1.00 of the next, not 1000.
    scale, unit = next(((s, u) for s, u in units if abs(_rounded(value)) >= s), units[-1])
    return f"{three_digits(value / scale)}{unit}"


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def down_to(share: float) -> str:
    """Return a claim in percent, rounded up, so that no more is promised than was measured."""
    return f"{math.ceil(round(1000 * share, 6)) / 10:.1f} %"
