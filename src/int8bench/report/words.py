"""How reports say things: one label, one interval, one count, one table, whatever is drawn."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from int8bench import units
from int8bench.selftest.answer import CellFigures
from int8bench.study.cells import Cell, Interval, Speedup
from int8bench.study.standings import Lead, Named, Ratio, Setting, Win
from int8bench.workload.cases import FLOAT32, TORCH, Variant


def label(setting: Cell | CellFigures | Setting | Win) -> str:
    """Return a setting as a person reads it: ``t2 b8``."""
    return f"t{setting.threads} b{setting.batch}"


def name(contender: Cell | Named | Variant) -> str:
    """Return a contender as a person reads it: ``openvino int8``, or ``float32 channels-last`` of torch's two."""
    if (contender.engine, contender.precision) == (TORCH, FLOAT32):
        return f"float32 {contender.layout.replace('_', '-')}"
    return f"{contender.engine} {contender.precision}"


def interval(ratio: Ratio | Speedup) -> str:
    """Return a ratio with its interval: ``1.27x [1.20, 1.34]``."""
    return f"{units.ratio(ratio.value)} [{ratio.low:.2f}, {ratio.high:.2f}]"


def exact_interval(ratio: Interval | Lead | Speedup | None) -> str:
    """Return a ratio with its interval to three decimals; nothing for None, and no interval for a point."""
    if ratio is None:
        return ""
    if ratio.low == ratio.high:
        return units.ratio(ratio.value)
    return f"{ratio.value:.3f}x [{ratio.low:.3f}, {ratio.high:.3f}]"


def points(change: float) -> str:
    """Return a change of top-1 in points, without a sign where it rounds to nothing."""
    return f"{100 * change:+.1f}" if abs(100 * change) >= 0.05 else "0.0"  # noqa: PLR2004  half of the last digit


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun: ``1 cell``, ``3 cells``.

    Args:
        count: of the things.
        one: what one of them is called.
        many: what several are called, where that is not `one` with an s.
    """
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def printable(text: object) -> str:
    """Return a text of somebody else's without the characters that a terminal would take for a command."""
    return "".join(each if each.isprintable() else " " for each in str(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a table: its title, what stands below, the spaces before it, and whether it stands to the left."""

    title: str
    cells: tuple[str, ...]
    gap: int = 2
    left: bool = False

    @property
    def width(self) -> int:
        """The width of the widest cell, with the gap before it."""
        return self.gap + max(len(text) for text in (self.title, *self.cells))

    @property
    def drawn(self) -> tuple[str, ...]:
        """The title and the cells, all of one width."""
        texts = (self.title, *self.cells)
        if self.left:
            return tuple(f"{' ' * self.gap}{text}".ljust(self.width) for text in texts)
        return tuple(text.rjust(self.width) for text in texts)


def lines(columns: Sequence[Column]) -> Iterator[str]:
    """Yield the lines of a table, its titles first."""
    for row in zip(*(column.drawn for column in columns), strict=True):
        yield "".join(row)


class _Titled(Protocol):
    """What has a title."""

    @property
    def title(self) -> str: ...


C = TypeVar("C", bound=_Titled)


def fitting(columns: Sequence[C], dispensable: Sequence[str], fits: Callable[[Sequence[C]], bool]) -> list[C]:
    """Return the columns that fit a screen, with as few left out as possible.

    Args:
        columns: of a table.
        dispensable: titles of those that are least asked for, the least of all first.
        fits: whether a table of some of them does.
    """
    kept = list(columns)
    for title in dispensable:
        if fits(kept):
            break
        kept = [column for column in kept if column.title != title]
    return kept
