"""Findings from holding the int8 engines of a run against each other. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from int8bench.machine.finding import Finding, warning
from int8bench.study.cells import Cell
from int8bench.workload.cases import Group

OUTDONE = "outdone"  # the code of the finding
TIMES = 2.0  # as fast: what a processor's wider instructions are worth, and no choice of settings is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loss:
    """A cell that another engine's int8 outdoes, and how many times as fast that is."""

    cell: Cell
    winner: str
    factor: float


def outdone(cells: Sequence[Cell], misfits: frozenset[str], sound: Sequence[Cell]) -> Iterator[Finding]:
    """Engines that another is at least `TIMES` as fast as.

    Args:
        cells: of int8, measured.
        misfits: the engines of which a rule has said already that they do not fit.
        sound: those of the cells whose answers are as good as int8's should be: others outdo nobody.
    """
    for engine in dict.fromkeys(cell.engine for cell in cells if cell.engine not in misfits):
        mine = [cell for cell in cells if cell.engine == engine]
        losses = [loss for cell in mine if (loss := _loss(cell, sound)) is not None]
        if losses:
            most = max(losses, key=lambda each: each.factor)
            yield warning(
                code=OUTDONE,
                subject=engine,
                message=f"{engine} is outdone here by {most.winner}, {most.factor:.1f} times as fast at "
                f"{setting(most.cell)}, and in {len(losses)} of {len(mine)} cells in all.",
                why="Measured: its kernels leave instructions of this processor idle that another engine's use.",
                advice=f"Choose --engines {most.winner}.",
            )


def _loss(cell: Cell, sound: Sequence[Cell]) -> _Loss | None:
    """By whom a cell is outdone, beyond the intervals of both; None where it is not."""
    here = [rival for rival in sound if rival.group == cell.group and rival.engine != cell.engine]
    if not here:
        return None
    best = min(here, key=lambda rival: rival.median.value)
    factor = cell.median.value / best.median.value
    clear = best.median.high < cell.median.low
    return _Loss(cell=cell, winner=best.engine, factor=factor) if clear and factor >= TIMES else None


def setting(cell: Cell | Group) -> str:
    """Say where a cell stands, or a group of them: ``batch 8 on 1 thread``."""
    return f"batch {cell.batch} on {cell.threads} thread{'s' if cell.threads > 1 else ''}"
