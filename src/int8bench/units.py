"""How a person reads seconds, bytes, ratios and shares. Pure."""

import math

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
_BYTES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))


def seconds(value: float) -> str:
    """Three digits and a unit: 0.84 ms is ``840 us``, 12.3 ms is ``12.3 ms``."""
    scale, unit = next(((s, u) for s, u in _SECONDS if abs(value) >= s), _SECONDS[-1])
    return f"{three_digits(value / scale)} {unit}"


def size(value: float) -> str:
    """Three digits and a decimal unit: 65849 is ``65.8 kB``."""
    scale, unit = next(((s, u) for s, u in _BYTES if abs(value) >= s), _BYTES[-1])
    return f"{value / scale:.0f} {unit}" if unit == "B" else f"{three_digits(value / scale)} {unit}"


def ratio(value: float) -> str:
    """Two decimals and an x: ``1.27x``."""
    return f"{value:.2f}x"


def rate(value: float) -> str:
    """Items a second, three digits: ``12.3k/s``."""
    return f"{three_digits(value / 1e3)}k/s" if value >= 1e3 else f"{three_digits(value)}/s"  # noqa: PLR2004  kilo


def share(value: float) -> str:
    """A fraction as a percentage with one decimal."""
    return f"{value:.1%}"


def three_digits(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{decimals}f}"
