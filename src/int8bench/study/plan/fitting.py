"""Which cells of a grid fit into the time that is left, and what is said of the others. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from int8bench import units
from int8bench.machine.finding import Finding, note
from int8bench.stats.limits import LAUNCHES_FOR_A_VERDICT
from int8bench.study.cells import SKIPPED, Cell, measured
from int8bench.workload.cases import TORCH, Case

LEAST_LAUNCHES = LAUNCHES_FOR_A_VERDICT  # before an engine goes altogether, all are measured in so few

Seconds = Callable[[Sequence[Case], int], float]
"""What some of the cells take in so many launches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What stands and falls together: the cells of an engine at a batch size."""

    engine: str
    batch: int

    def has(self, case: Case) -> bool:
        """Tell whether a cell belongs to the unit."""
        return (case.variant.engine, case.group.batch) == (self.engine, self.batch)


def fitted(cases: Sequence[Case], seconds: Seconds, left_s: float, *, fewest: int) -> dict[Case, float]:
    """Return the cells to leave out so that the others fit, with the seconds saved by leaving out the unit of each.

    First what costs most goes, as long as each engine keeps a batch size; then launches become as few as a verdict can
    be made of; then engines go. The last one stays, whatever it takes: to try is all that is left.

    Args:
        cases: of the grid, torch's float32 included, which goes where nothing else is left at a batch size.
        seconds: what some of the cells take in so many launches.
        left_s: the time there is.
        fewest: launches that are given up only before the last batch size of an engine goes.
    """
    kept, gone = tuple(cases), dict[Unit, float]()
    for launches, spares in ((fewest, True), (min(fewest, LEAST_LAUNCHES), False)):
        while seconds(kept, launches) > left_s and (units := _dispensable(kept, spares=spares)):
            costs = {unit: seconds(kept, launches) - seconds(_without(kept, unit), launches) for unit in units}
            unit = max(costs, key=costs.__getitem__)
            gone[unit] = max(0.0, costs[unit])
            kept = _without(kept, unit)
    for unit in list(reversed(gone)):  # what went in vain, before one went that was alone too much
        with_it = _with(cases, kept, unit)
        if seconds(with_it, fewest) <= left_s:
            kept = with_it
            del gone[unit]
    return {case: _seconds_of(case, gone) for case in cases if case not in kept}


def _seconds_of(case: Case, gone: dict[Unit, float]) -> float:
    """Return the seconds that leaving out a case's unit saves; of torch's float32, those of the last unit beside it."""
    mine = [unit for unit in gone if unit.batch == case.group.batch]
    return gone[next((unit for unit in mine if unit.has(case)), mine[-1])]


def _with(cases: Sequence[Case], kept: Sequence[Case], unit: Unit) -> tuple[Case, ...]:
    """Return the kept cells and a unit, with the float32 at its batch size, in the order of the grid."""
    beside = Unit(engine=TORCH, batch=unit.batch)
    return tuple(case for case in cases if case in kept or unit.has(case) or beside.has(case))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Cells that were left out together, and about how long they would have taken."""

    cases: tuple[Case, ...]
    needed_s: float


def parts(cases: Sequence[Case], gone: Mapping[Case, float]) -> tuple[Part, ...]:
    """Return the cells left out, in as few parts as a person can measure on their own: whole batch sizes, else engines.

    Args:
        cases: of which some are gone.
        gone: what `fitted` said.
    """
    kept = {case.group.batch for case in cases if case not in gone}
    together: dict[str | None, list[Case]] = {}
    for case in gone:
        together.setdefault(case.variant.engine if case.group.batch in kept else None, []).append(case)
    return tuple(Part(cases=tuple(mine), needed_s=_needed_s(mine, gone)) for mine in together.values())


def _needed_s(cases: Sequence[Case], gone: Mapping[Case, float]) -> float:
    """Return the seconds of all units of some cells.

    Torch's float32 has gone with another engine's unit, and has its seconds in that one's.
    """
    return sum(gone[next(case for case in cases if unit.has(case))] for unit in _units(cases) if unit.engine != TORCH)


def _dispensable(cases: Sequence[Case], *, spares: bool) -> list[Unit]:
    """Return the units that can go: all batches of each engine but one where `spares`, else all units but the last."""
    units = [unit for unit in _units(cases) if unit.engine != TORCH]
    if not spares:
        return units if len(units) > 1 else []
    engines = [unit.engine for unit in units]
    return [unit for unit in units if engines.count(unit.engine) > 1]


def _units(cases: Sequence[Case]) -> tuple[Unit, ...]:
    return tuple(dict.fromkeys(Unit(engine=case.variant.engine, batch=case.group.batch) for case in cases))


def _without(cases: Sequence[Case], unit: Unit) -> tuple[Case, ...]:
    """Return the cells without a unit, and without the float32 that is then alone at its batch size."""
    rest = [case for case in cases if not unit.has(case)]
    raced = {case.group.batch for case in rest if case.variant.engine != TORCH}
    return tuple(case for case in rest if case.group.batch != unit.batch or case.group.batch in raced)


LEFT_OUT = "left out for time"


def reason(why: str, command: str) -> str:
    """Return the sentence that stands in the row of a cell that was left out.

    Args:
        why: without its end.
        command: that measures the cell.
    """
    return f"{LEFT_OUT}: {why}; to include it, type: {command}"


def is_reason(error: str | None) -> bool:
    """Tell whether a cell's error says that it was left out for time."""
    return error is not None and error.startswith(LEFT_OUT)


def too_long(needed_s: float, promise: str) -> str:
    """Return the reason of a cell that was not begun.

    Args:
        needed_s: seconds that it would take, about.
        promise: the total of the run, in words.
    """
    return f"it would take about {units.duration(needed_s)}, for which the {promise} have no room"


def stopped(what: str, spent_s: float, promise: str) -> str:
    """Return the reason of a cell that was begun and took too long.

    Args:
        what: was stopped, in words.
        spent_s: seconds until it was.
        promise: the total of the run, in words.
    """
    return f"{what} was stopped after {units.duration(spent_s)}, its share of the {promise}"


def findings_of(
    cells: Sequence[Cell], pictures: Mapping[str, tuple[int, int]], unprobed: Mapping[str, float]
) -> Iterator[Finding]:
    """Yield a finding for all that was left out, once an engine and reason.

    Args:
        cells: of a record.
        pictures: of engines whose answers were not checked on all of them: on how many, of how many.
        unprobed: the engines whose arithmetic was not probed, and about how many seconds that takes.
    """
    omitted: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.status == SKIPPED and cell.error is not None and is_reason(cell.error):
            omitted.setdefault((cell.engine, cell.error), []).append(cell)
    for (engine, error), mine in omitted.items():
        yield _cells(engine, error, mine, cells)
    answered = {cell.engine for cell in measured(cells)}
    for engine, (checked, total) in pictures.items():
        if engine in answered:
            yield _pictures(engine, checked, total)
    for engine, needed_s in unprobed.items():
        if engine in answered:
            yield _probe(engine, needed_s)


def _cells(engine: str, error: str, mine: Sequence[Cell], cells: Sequence[Cell]) -> Finding:
    why, _, command = error.partition("; to include it, type: ")
    total = sum(cell.engine == engine for cell in cells)
    batches = ", ".join(str(batch) for batch in dict.fromkeys(cell.batch for cell in mine))
    return note(
        "left-out-for-time",
        engine,
        why=why.replace(LEFT_OUT, "left out", 1),
        count=len(mine),
        total=total,
        batches=batches,
        command=command,
    )


def _pictures(engine: str, checked: int, total: int) -> Finding:
    return note("checked-on-fewer", engine, checked=checked, total=total)


def _probe(engine: str, needed_s: float) -> Finding:
    return note("probe-left-out", engine, needed=units.duration(needed_s))
