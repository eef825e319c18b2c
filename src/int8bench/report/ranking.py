"""A run's ranking, on one screen and as a page's table: contenders by settings, the recommendation, who is left out.

Draws, never measures.
"""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import geometric_mean
from typing import Any

from int8bench import units
from int8bench.cases import FLOAT32
from int8bench.report.recommendation import label, name, points, sentence
from int8bench.study.findings.causes import cause_of
from int8bench.study.records import BEST, FAILED, SKIPPED

Ranking = Sequence[Mapping[str, Any]]
FINE = 0.01  # half an interval: below, it is shown as less than a percent
MARKS = (
    "* the fastest, or not shown to be slower. p: nothing is ahead of it in time, peak memory and SQNR together. "
    "SQNR and top-1 (in points against float32): the worst of its settings; memory: the most; "
)
LEGEND = (
    "1.27 2%: takes 1.27 times as long as the fastest of its setting (t2 b8: 2 threads, batch 8), give or take 2% at "
    f"95%. {MARKS}vs f32: times as fast as the best float32 of any engine, in the mean of them."
)
PAGE_LEGEND = (
    "1.27x: takes 1.27 times as long as the fastest of its setting (t2 b8: 2 threads, batch 8), with its 95% interval. "
    f"{MARKS}vs float32: times as fast, in the mean of them. The order behind the best is that of the estimates."
)


def lines(
    ranking: Ranking, recommendation: Mapping[str, Any] | None, *, width: int, constant: bool = False
) -> tuple[str, ...]:
    """The ranking, line by line; nothing where nothing was ranked.

    Args:
        ranking: as a record keeps it.
        recommendation: as a record keeps it.
        width: columns of the screen; a row of the table is never broken, however few.
        constant: whether float32 answers every picture alike, so that no SQNR proves anything.
    """
    if not ranking:
        return ()
    wrapped = [*([sentence(recommendation, constant=constant)] if recommendation else []), *left_out(ranking), LEGEND]
    drawn = ["Ranking: time over the fastest's", *_table(ranking, width, constant=constant)]
    folded = (line for each in wrapped for line in textwrap.wrap(each, width, break_on_hyphens=False))
    return tuple(_printable(line).rstrip() for line in (*drawn, *folded))


def left_out(ranking: Ranking) -> Iterator[str]:
    """Who is not ranked and why, once for all contenders and settings of the same reason."""
    settings: dict[tuple[str, str], list[tuple[str, Mapping[str, Any]]]] = {}
    for setting in ranking:
        for each in setting["unranked"]:
            settings.setdefault((name(each), _cause(each)), []).append((label(setting), each))
    contenders: dict[tuple[str, tuple[str, ...]], list[Mapping[str, Any]]] = {}
    for (_, cause), found in settings.items():
        contenders.setdefault((cause, tuple(where for where, _ in found)), []).append(found[0][1])
    for (cause, where), mine in contenders.items():
        at = "" if len(where) == len(ranking) else f" at {', '.join(where)}"
        said = cause if len({each["engine"] for each in mine}) > 1 else str(mine[0]["reason"])
        stopped = f"{mine[0]['status']}, " if mine[0]["status"] in {FAILED, SKIPPED} else ""
        yield f"Not ranked: {', '.join(map(name, mine))}{at}: {stopped}{said}"


def _cause(unranked: Mapping[str, Any]) -> str:
    return cause_of(str(unranked["reason"]), str(unranked["engine"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A contender over all settings; an entry is None where it is not ranked."""

    name: str
    entries: tuple[Mapping[str, Any] | None, ...]
    constant: bool = False
    """Whether float32 answers every picture alike."""

    @property
    def ranked(self) -> tuple[Mapping[str, Any], ...]:
        """Its entries."""
        return tuple(each for each in self.entries if each is not None)

    @property
    def mean_log_behind(self) -> float:
        """Which rows are sorted by."""
        return math.log(geometric_mean(each["behind"]["value"] for each in self.ranked))

    @property
    def sqnr(self) -> str:
        """The lowest of its settings; nothing for float32, which the others are held against."""
        if self.ranked[0]["precision"] == FLOAT32:
            return ""
        if self.constant:
            return "constant"
        found = [each["sqnr_db"] for each in self.ranked if each["sqnr_db"] is not None]
        return f"{min(found):.1f}" if found else "exact"

    @property
    def top1(self) -> str:
        """The worst change of its settings, in points; of a top-1 that no change is told of, that it is chance."""
        found = [each["top1_change"] for each in self.ranked if each["top1_change"] is not None]
        known = any(each["top1"] is not None for each in self.ranked)
        return points(min(found)) if found else "chance" if known else ""

    @property
    def memory(self) -> str:
        """The most of its settings."""
        return units.size(max(each["peak_bytes"] for each in self.ranked))

    @property
    def weights(self) -> str:
        """The bytes of its weights; the most of its settings."""
        return units.size(max(each["weights_bytes"] for each in self.ranked))

    @property
    def threads_used(self) -> str:
        """Processor time over wall time, from the fewest of its settings to the most."""
        used = [each["threads_used"] for each in self.ranked]
        return f"{min(used):.1f} to {max(used):.1f}" if len(used) > 1 else f"{used[0]:.1f}"

    @property
    def conversion(self) -> str:
        """The longest that making its files took; nothing where there was nothing to make."""
        found = [each["conversion_s"] for each in self.ranked if each["conversion_s"] is not None]
        return units.seconds(max(found)) if found else ""

    def speedup(self, role: str) -> Mapping[str, float] | None:
        """The geometric mean over its settings, and that of the ends of their intervals; None for float32."""
        found = [each["speedups"][role] for each in self.ranked if role in each["speedups"]]
        return {key: geometric_mean(each[key] for each in found) for key in ("value", "low", "high")} if found else None


def rows(ranking: Ranking, *, constant: bool = False) -> tuple[Row, ...]:
    """Every contender that is ranked somewhere, the least behind in the mean of its settings first."""
    keys = dict.fromkeys(_key(entry) for setting in ranking for entry in setting["entries"])
    found = [[_entry_of(setting, key) for setting in ranking] for key in keys]
    named = [
        Row(name=name(next(each for each in mine if each)), entries=tuple(mine), constant=constant) for mine in found
    ]
    return tuple(sorted(named, key=lambda row: (row.mean_log_behind, row.name)))


def _key(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["engine"], entry["precision"], entry["layout"]


def _entry_of(setting: Mapping[str, Any], key: tuple[str, str, str]) -> Mapping[str, Any] | None:
    return next((entry for entry in setting["entries"] if _key(entry) == key), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column: its title, what stands below, the spaces before it, and whether it stands to the left."""

    title: str
    cells: tuple[str, ...]
    gap: int = 2
    left: bool = False

    @property
    def width(self) -> int:
        return self.gap + max(len(each) for each in (self.title, *self.cells))

    @property
    def drawn(self) -> tuple[str, ...]:
        return tuple(
            each.ljust(self.width) if self.left else each.rjust(self.width) for each in (self.title, *self.cells)
        )


def _table(ranking: Ranking, width: int, *, constant: bool) -> Iterator[str]:
    """The rows, as many columns as a screen has room for: the least asked for go first."""
    columns = _columns(ranking, rows(ranking, constant=constant))
    for title in LEAST_ASKED_FOR:
        if sum(column.width for column in columns) <= width:
            break
        columns = [column for column in columns if column.title != title]
    for row in zip(*(column.drawn for column in columns), strict=True):
        yield "".join(row)


def _columns(ranking: Ranking, found: Sequence[Row]) -> list[_Column]:
    names = _Column(title="contender", cells=tuple(row.name for row in found), gap=0, left=True)
    settings = [
        _Column(title=label(setting), cells=tuple(_place(row.entries[index]) for row in found), gap=1)
        for index, setting in enumerate(ranking)
    ]
    figures = [
        _Column(title="SQNR", cells=tuple(row.sqnr for row in found), gap=1),
        _Column(title="top-1", cells=tuple(row.top1 for row in found)),
        _Column(title="memory", cells=tuple(row.memory for row in found)),
        _Column(title="vs f32", cells=tuple(_short(row.speedup(BEST)) for row in found)),
    ]
    return [names, *settings, *figures]


def _place(entry: Mapping[str, Any] | None) -> str:
    """How far behind, and its marks, each always in the same place: ``*1.27 2%p``."""
    if entry is None:
        return "-   "
    behind = entry["behind"]
    off = "" if behind["low"] == behind["high"] else _half_width(behind)
    return f"{'*' if entry['best'] else ' '}{_times(behind['value'])} {off:>3}{'p' if entry['pareto'] else ' '}"


def _short(speedup: Mapping[str, float] | None) -> str:
    return "" if speedup is None else f"{units.ratio(speedup['value'])} {_half_width(speedup):>3}"


def _half_width(found: Mapping[str, float]) -> str:
    """Half an interval, as a share of its ratio."""
    off = (found["high"] - found["low"]) / 2 / found["value"]
    return "<1%" if off < FINE else f"{off:.0%}"


def _times(value: float) -> str:
    """Three digits: ``1.27``, ``14.2``, ``152``."""
    return units.three_digits(value).rjust(4)


def _printable(text: str) -> str:
    """A text that a record brings, without what a terminal would take for a command."""
    return "".join(each if each.isprintable() else " " for each in text)


LEAST_ASKED_FOR = ("memory", "top-1", "vs f32", "SQNR")  # left out in this order where a screen is narrow


def view(ranking: Ranking, recommendation: Mapping[str, Any] | None, *, constant: bool = False) -> dict[str, object]:
    """The names that the template shows.

    Args:
        ranking: as a record keeps it.
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that no SQNR proves anything.
    """
    return {
        "settings": [label(setting) for setting in ranking],
        "rows": rows(ranking, constant=constant),
        "sentence": sentence(recommendation, constant=constant) if recommendation else None,
        "left_out": tuple(left_out(ranking)),
        "legend": PAGE_LEGEND,
    }


def interval(found: Mapping[str, float] | None) -> str:
    """A ratio with its interval, to three decimals; the fastest's own is 1 and has none."""
    if found is None:
        return ""
    if found["low"] == found["high"]:
        return units.ratio(found["value"])
    return f"{found['value']:.3f}x [{found['low']:.3f}, {found['high']:.3f}]"
