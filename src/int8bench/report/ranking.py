"""A run's ranking, on one screen and as a page's table: contenders by settings, the recommendation, who is left out.

Draws, never measures.
"""

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import geometric_mean

from int8bench import units
from int8bench.report import words
from int8bench.report.words import Column, counted, interval, label, name, points
from int8bench.study.cells import BEST, FAILED, SKIPPED
from int8bench.study.findings.causes import cause_of
from int8bench.study.standings import STAY, SWITCH, UNCLEAR, Entry, Ratio, Recommendation, Setting, Standing, Unranked
from int8bench.workload.cases import FLOAT32

Ranking = Sequence[Setting]
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
    ranking: Ranking, recommendation: Recommendation | None, *, width: int, constant: bool = False
) -> tuple[str, ...]:
    """Return the ranking, line by line; nothing where nothing was ranked.

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
    return tuple(words.printable(line).rstrip() for line in (*drawn, *folded))


def left_out(ranking: Ranking) -> Iterator[str]:
    """Yield the contenders without a rank and why, once for all contenders and settings of the same reason."""
    settings: dict[tuple[str, str], list[tuple[str, Unranked]]] = {}
    for setting in ranking:
        for unranked in setting.unranked:
            settings.setdefault((name(unranked), _cause(unranked)), []).append((label(setting), unranked))
    contenders: dict[tuple[str, tuple[str, ...]], list[Unranked]] = {}
    for (_, cause), places in settings.items():
        contenders.setdefault((cause, tuple(where for where, _ in places)), []).append(places[0][1])
    for (cause, where), mine in contenders.items():
        at = "" if len(where) == len(ranking) else f" at {', '.join(where)}"
        said = cause if len({unranked.engine for unranked in mine}) > 1 else mine[0].reason
        stopped = f"{mine[0].status}, " if mine[0].status in {FAILED, SKIPPED} else ""
        yield f"Not ranked: {', '.join(map(name, mine))}{at}: {stopped}{said}"


def _cause(unranked: Unranked) -> str:
    return cause_of(unranked.reason, unranked.engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingRow:
    """A contender over all settings; an entry is None where it is not ranked."""

    name: str
    entries: tuple[Entry | None, ...]
    constant: bool = False
    """Whether float32 answers every picture alike."""

    @property
    def ranked(self) -> tuple[Entry, ...]:
        """The entries of the settings in which it is ranked."""
        return tuple(entry for entry in self.entries if entry is not None)

    @property
    def mean_log_behind(self) -> float:
        """The log of the mean ratio to the fastest, by which rows are sorted."""
        return math.log(geometric_mean(entry.behind.value for entry in self.ranked))

    @property
    def sqnr(self) -> str:
        """The lowest SQNR of its settings; nothing for float32, which the others are held against."""
        if self.ranked[0].precision == FLOAT32:
            return ""
        if self.constant:
            return "constant"
        known = [entry.sqnr_db for entry in self.ranked if entry.sqnr_db is not None]
        return f"{min(known):.1f}" if known else "exact"

    @property
    def top1(self) -> str:
        """The worst change of top-1 in its settings, in points; ``chance`` for a top-1 without a change."""
        changes = [entry.top1_change for entry in self.ranked if entry.top1_change is not None]
        labelled = any(entry.top1 is not None for entry in self.ranked)
        return points(min(changes)) if changes else "chance" if labelled else ""

    @property
    def memory(self) -> str:
        """The largest peak memory of its settings."""
        return units.size(max(entry.peak_bytes for entry in self.ranked))

    @property
    def weights(self) -> str:
        """The bytes of its weights; the most of its settings."""
        return units.size(max(entry.weights_bytes for entry in self.ranked))

    @property
    def threads_used(self) -> str:
        """Processor time over wall time, from the fewest of its settings to the most."""
        used = [entry.threads_used for entry in self.ranked]
        return f"{min(used):.1f} to {max(used):.1f}" if len(used) > 1 else f"{used[0]:.1f}"

    @property
    def conversion(self) -> str:
        """The longest time of making its files; nothing where there was nothing to make."""
        seconds = [entry.conversion_s for entry in self.ranked if entry.conversion_s is not None]
        return units.seconds(max(seconds)) if seconds else ""

    def speedup(self, role: str) -> Ratio | None:
        """Return the geometric mean of the settings' speed-ups and of their intervals' ends; None for float32."""
        leads = [entry.speedups[role] for entry in self.ranked if role in entry.speedups]
        return Ratio.mean_of(leads) if leads else None


def rows(ranking: Ranking, *, constant: bool = False) -> tuple[RankingRow, ...]:
    """Return a row for each contender that is ranked somewhere, the least behind in the mean of its settings first.

    Args:
        ranking: as a record keeps it.
        constant: whether float32 answers every picture alike, so that no SQNR proves anything.
    """
    variants = dict.fromkeys(entry.variant for setting in ranking for entry in setting.entries)
    table = [
        RankingRow(
            name=name(variant), entries=tuple(setting.entry_of(variant) for setting in ranking), constant=constant
        )
        for variant in variants
    ]
    return tuple(sorted(table, key=lambda row: (row.mean_log_behind, row.name)))


def _table(ranking: Ranking, width: int, *, constant: bool) -> Iterator[str]:
    """Return the lines of the ranking, in as many columns as fit the screen: the least asked for go first."""
    columns = _columns(ranking, rows(ranking, constant=constant))
    return words.lines(
        words.fitting(columns, LEAST_ASKED_FOR, lambda kept: sum(column.width for column in kept) <= width)
    )


def _columns(ranking: Ranking, found: Sequence[RankingRow]) -> list[Column]:
    names = Column(title="contender", cells=tuple(row.name for row in found), gap=0, left=True)
    settings = [
        Column(title=label(setting), cells=tuple(_place(row.entries[index]) for row in found), gap=1)
        for index, setting in enumerate(ranking)
    ]
    figures = [
        Column(title="SQNR", cells=tuple(row.sqnr for row in found), gap=1),
        Column(title="top-1", cells=tuple(row.top1 for row in found)),
        Column(title="memory", cells=tuple(row.memory for row in found)),
        Column(title="vs f32", cells=tuple(_short(row.speedup(BEST)) for row in found)),
    ]
    return [names, *settings, *figures]


def _place(entry: Entry | None) -> str:
    """Return the distance to the fastest, and the marks of an entry, each always in its place: ``*1.27 2%p``."""
    if entry is None:
        return "-   "
    behind = entry.behind
    off = "" if behind.low == behind.high else _half_width(behind)
    return f"{'*' if entry.best else ' '}{_times(behind.value)} {off:>3}{'p' if entry.pareto else ' '}"


def _short(speedup: Ratio | None) -> str:
    return "" if speedup is None else f"{units.ratio(speedup.value)} {_half_width(speedup):>3}"


def _half_width(ratio: Ratio) -> str:
    """Return half of a ratio's interval, as a share of the ratio."""
    off = (ratio.high - ratio.low) / 2 / ratio.value
    return "<1%" if off < FINE else f"{off:.0%}"


def _times(value: float) -> str:
    """Return a ratio with three digits: ``1.27``, ``14.2``, ``152``."""
    return units.three_digits(value).rjust(4)


LEAST_ASKED_FOR = ("memory", "top-1", "vs f32", "SQNR")  # left out in this order where a screen is narrow


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What the template of a page shows of a ranking."""

    settings: tuple[str, ...]
    rows: tuple[RankingRow, ...]
    sentence: str | None
    left_out: tuple[str, ...]
    legend: str = PAGE_LEGEND


def view(ranking: Ranking, recommendation: Recommendation | None, *, constant: bool = False) -> View:
    """Return the parts of a ranking that a page shows.

    Args:
        ranking: as a record keeps it.
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that no SQNR proves anything.
    """
    return View(
        settings=tuple(label(setting) for setting in ranking),
        rows=rows(ranking, constant=constant),
        sentence=sentence(recommendation, constant=constant) if recommendation else None,
        left_out=tuple(left_out(ranking)),
    )


def sentence(recommendation: Recommendation, *, constant: bool = False) -> str:
    """Return the recommendation in a sentence, with its basis and its certainty.

    Args:
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that its SQNR proves nothing.
    """
    few, most = recommendation.launches
    basis = (
        f"; basis: measured here, {few if few == most else f'{few} to {most}'} launches, "
        f"at most {recommendation.error:.0%} chance that any setting's true fastest is not among its fastest or tied"
    )
    return _OPENING[recommendation.answer](recommendation, constant) + basis + _runner_up(recommendation)


def _switch(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    choice = recommendation.choice
    parts = [_places(recommendation), _speedup(choice), _quality(choice, constant=constant)]
    return f"Recommended here: {name(choice)}: {', '.join(part for part in parts if part)}"


def _stay(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    places, nearest = _places(recommendation), _nearest(recommendation, constant=constant)
    return f"Recommended here: stay with {name(recommendation.choice)}: {places}{nearest}"


def _unclear(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    return (
        "Recommended here: unclear, nothing of reduced precision can be told from the best float32 yet"
        f"{_nearest(recommendation, constant=constant)}; a longer --budget tells more, until then stay with "
        f"{name(recommendation.choice)}: {_places(recommendation)}"
    )


_OPENING = {SWITCH: _switch, STAY: _stay, UNCLEAR: _unclear}


def _nearest(recommendation: Recommendation, *, constant: bool) -> str:
    nearest = recommendation.nearest
    if nearest is None:
        return ", nothing of reduced precision holds its accuracy"
    parts = (f"; nearest: {name(nearest)}", _speedup(nearest), _quality(nearest, constant=constant))
    return ", ".join(part for part in parts if part)


def _places(recommendation: Recommendation) -> str:
    choice = recommendation.choice
    alone = f" (alone in {choice.alone_in})" if choice.alone_in else ""
    return f"fastest or tied in {choice.best_in} of {counted(recommendation.settings, 'setting')}{alone}"


def _speedup(standing: Standing) -> str:
    if standing.speedup is None:
        return ""
    of = f"the best float32 ({', '.join(standing.references)})"
    where = f" in the mean of {counted(standing.ranked_in, 'setting')}" if standing.ranked_in > 1 else ""
    return f"{interval(standing.speedup)} {of}{where}"


def _quality(standing: Standing, *, constant: bool) -> str:
    if constant:
        return "answers that prove nothing, since every picture has the same"
    sqnr = "answers the same to the bit" if standing.sqnr_db is None else f"{standing.sqnr_db:.1f} dB SQNR"
    return sqnr if standing.top1_change is None else f"{sqnr}, top-1 {points(standing.top1_change)} points"


def _runner_up(recommendation: Recommendation) -> str:
    runner_up = recommendation.runner_up
    if runner_up is None:
        return ""
    wins = ", ".join(f"{label(win)}{_lost_by(win.behind)}" for win in runner_up.wins)
    return f". Runner-up: {name(runner_up)}, fastest or tied where that is not: {wins}"


def _lost_by(behind: Ratio | None) -> str:
    return "" if behind is None else f" (by {interval(behind)})"
