"""What a run left out to keep its budget: reasons, each with the command that includes it, and findings. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from int8bench import units
from int8bench.machine.finding import Finding, note
from int8bench.study.cells import SKIPPED, Cell, measured

LEFT_OUT = "left out for time"


def reason(why: str, command: str) -> str:
    """What the row of a cell says that was left out."""
    return f"{LEFT_OUT}: {why}; to include it, type: {command}"


def is_reason(error: str | None) -> bool:
    """Whether a cell's error says that it was left out for time."""
    return error is not None and error.startswith(LEFT_OUT)


def too_long(needed_s: float, promise: str) -> str:
    """Of what was not begun."""
    return f"it would take about {units.duration(needed_s)}, for which the {promise} have no room"


def stopped(what: str, spent_s: float, promise: str) -> str:
    """Of what was begun and took too long."""
    return f"{what} was stopped after {units.duration(spent_s)}, its share of the {promise}"


def findings_of(
    cells: Sequence[Cell], pictures: Mapping[str, tuple[int, int]], unprobed: Mapping[str, float]
) -> Iterator[Finding]:
    """All that was left out, once an engine and reason.

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
        code="left-out-for-time",
        subject=engine,
        message=f"{engine} is {why.replace(LEFT_OUT, 'left out', 1)} ({len(mine)} of {total} cells, batch {batches}).",
        why="The run keeps the time that it stated, from start to exit, and what does not fit is left out.",
        advice=f"To include it, type: {command}",
    )


def _pictures(engine: str, checked: int, total: int) -> Finding:
    return note(
        code="checked-on-fewer",
        subject=engine,
        message=f"The answers of {engine} were checked on {checked} of {total} pictures, as more would take too long.",
        why="SQNR is that of these pictures; of few, top-1 says nothing, and is not told.",
        advice="Give a longer --budget to have all of them checked.",
    )


def _probe(engine: str, needed_s: float) -> Finding:
    return note(
        code="probe-left-out",
        subject=engine,
        message=f"Whether the arithmetic of {engine} saturates here was not probed: "
        f"that takes about {units.duration(needed_s)}, which were not left.",
        why="The probe converts a model of its own, as everything does that an engine runs.",
        advice=f"Type int8bench doctor --engine {engine}, which probes it.",
    )
