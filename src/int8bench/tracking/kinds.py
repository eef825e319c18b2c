"""What kind of number a series is, which decides what is known of its noise, and which direction is good. Pure."""

import re
from enum import StrEnum

LOWER, HIGHER = "lower", "higher"
# asv takes more for worse; these are the exceptions, by unit or by the name of the function.
MORE_IS_BETTER_UNITS = {"x", "db", "items/s", "agreement", "accuracy", "1/s", "fps"}
MORE_IS_BETTER_NAMES = re.compile(r"speedup|throughput|per_second|agreement|accuracy|sqnr|score")
ASV_COSTS = re.compile(r"(time|timeraw|mem|peakmem)_")  # asv's own types, of which more is always worse
RATIOS = {"x", "of float32"}
TIMES = {"s", "sec", "second", "seconds", "ms", "milliseconds", "us", "µs", "microseconds", "ns", "nanoseconds"}
SIZES = {"byte", "bytes", "kb", "mb", "gb", "kib", "mib", "gib"}


class SeriesKind(StrEnum):
    """A kind of number."""

    PAIRED = "paired"
    """A ratio of two things that took turns: what the machine does to both leaves it alone."""
    TIME = "time"
    """A plain time, which the machine moves as well as a commit."""
    MEMORY = "memory"
    TRACKED = "tracked"
    """Whatever else a benchmark returns."""


def kind_of(benchmark: str, unit: str | None) -> SeriesKind:
    """The kind of a benchmark's numbers, by asv's own prefix of its function, else by its unit."""
    function, given = benchmark.rpartition(".")[2], (unit or "").strip().lower()
    if function.startswith(("time_", "timeraw_")):
        return SeriesKind.TIME
    if function.startswith(("mem_", "peakmem_")):
        return SeriesKind.MEMORY
    if given in RATIOS:
        return SeriesKind.PAIRED
    if given in TIMES:
        return SeriesKind.TIME
    return SeriesKind.MEMORY if given in SIZES else SeriesKind.TRACKED


def better(benchmark: str, unit: str | None) -> str:
    """Which direction is good."""
    function = benchmark.rpartition(".")[2]
    if ASV_COSTS.match(function):
        return LOWER
    more = (unit or "").lower() in MORE_IS_BETTER_UNITS or MORE_IS_BETTER_NAMES.search(function.lower())
    return HIGHER if more else LOWER
