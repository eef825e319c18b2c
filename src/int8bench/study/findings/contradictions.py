"""Rules and int8 engines held against the figures of the same record: what was measured otherwise is not said. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from int8bench.machine.finding import Finding, warning
from int8bench.machine.rules.fit import OUTDONE_NOTICEABLY
from int8bench.study.cells import BEST, FASTER, Cell
from int8bench.study.findings.execution import in_onednn

# What the sentences of the rules mean in figures.
LESS_THAN = 2.0  # no-int8-dot-product: "less than twice as fast"
TWICE = 2.0  # qnnpack-on-x86 and fbgemm-outdone: no figure below is several times
NOTICEABLY = 1.1  # fbgemm-outdone, where AVX-VNNI is all that there is
_MADE_FOR_X86 = ("fbgemm", "x86", "onednn")
_REACH_VNNI = ("x86", "onednn")


def contradicted(finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether the measured int8 cells of a record say the opposite of what a rule expected.

    Args:
        finding: of a rule.
        cells: int8, measured.
    """
    contradicts = _RULES.get(finding.code)
    return contradicts is not None and contradicts(finding, cells)


def _gains_more(_finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether int8 is somewhere twice as fast as float32, or more."""
    return any(best.value >= LESS_THAN for cell in cells if (best := cell.speedup(BEST)) is not None)


def _qnnpack_keeps_up(_finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether qnnpack is nowhere several times behind the engines made for x86.

    Where it ran alone, it must be faster than float32 everywhere.
    """
    behind = list(_behind("qnnpack", _MADE_FOR_X86, cells))
    verdicts = [best.verdict for cell in _of("qnnpack", cells) if (best := cell.speedup(BEST)) is not None]
    return max(behind) < TWICE if behind else bool(verdicts) and set(verdicts) == {FASTER}


def _fbgemm_keeps_up(finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether no engine that reaches VNNI or AMX is as far ahead of fbgemm as the rule says."""
    behind = list(_behind("fbgemm", _REACH_VNNI, cells))
    expected = NOTICEABLY if finding.kind == OUTDONE_NOTICEABLY else TWICE
    return bool(behind) and max(behind) < expected


def _x86_ran_onednn(_finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether int8 ran in oneDNN for x86, as oneDNN itself says."""
    return any(in_onednn(cell.evidence).int8_calls > 0 for cell in _of("x86", cells))


def _default_is_better(finding: Finding, cells: Sequence[Cell]) -> bool:
    """Tell whether torch's default engine is nowhere behind the one that the rule recommends."""
    recommended = [engine for engine in _MADE_FOR_X86 if engine == finding.values["best"]]
    behind = list(_behind(finding.subject, recommended, cells))
    return bool(behind) and max(behind) <= 1


_RULES: Mapping[str, Callable[[Finding, Sequence[Cell]], bool]] = {
    "no-int8-dot-product": _gains_more,
    "qnnpack-on-x86": _qnnpack_keeps_up,
    "fbgemm-outdone": _fbgemm_keeps_up,
    "x86-is-fbgemm": _x86_ran_onednn,
    "default-engine-differs": _default_is_better,
}


def _behind(engine: str, rivals: Sequence[str], cells: Sequence[Cell]) -> Iterator[float]:
    """Yield how many times as long as the quickest of its rivals an engine takes, in each setting that they share."""
    for cell in _of(engine, cells):
        here = [rival for rival in cells if rival.engine in rivals and rival.group == cell.group]
        if here:
            yield cell.median.value / min(rival.median.value for rival in here)


def _of(engine: str, cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.engine == engine]


OUTDONE = "outdone"  # the code of the finding
TIMES = 2.0  # as fast: what a processor's wider instructions are worth, and no choice of settings is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loss:
    """A cell that another engine's int8 outdoes, and how many times as fast that is."""

    cell: Cell
    winner: str
    factor: float


def outdone(cells: Sequence[Cell], misfits: frozenset[str], sound: Sequence[Cell]) -> Iterator[Finding]:
    """Yield a finding for each engine that another is at least `TIMES` as fast as.

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
                OUTDONE,
                engine,
                winner=most.winner,
                factor=most.factor,
                place=most.cell.group.label,
                count=len(losses),
                total=len(mine),
            )


def _loss(cell: Cell, sound: Sequence[Cell]) -> _Loss | None:
    """Return the rival that outdoes a cell, beyond the intervals of both; None where none does."""
    here = [rival for rival in sound if rival.group == cell.group and rival.engine != cell.engine]
    if not here:
        return None
    best = min(here, key=lambda rival: rival.median.value)
    factor = cell.median.value / best.median.value
    clear = best.median.high < cell.median.low
    return _Loss(cell=cell, winner=best.engine, factor=factor) if clear and factor >= TIMES else None
