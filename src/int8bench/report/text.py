"""A run as one screen of text: the answer first, then the table and what is wrong. Draws, never measures."""

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from int8bench import units
from int8bench.records import OK, Cell, Run

BEST, NAIVE = "best_float32", "naive_float32"
INT8 = "int8"
COLOURS = {"faster": "green", "slower": "red", "same": "default", "unclear": "yellow"}
STATES = {"failed": "red", "skipped": "dim"}
NAMES_WIDTH = 8 + 23  # of a cell's and a contender's name
SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def render(run: Run, *, width: int, colour: bool) -> str:
    """The run as text.

    Args:
        run: finished or not.
        width: columns of the screen.
        colour: whether to use colours, for a terminal.
    """
    content = Group(*_headline(run), _table(run, width), *_reasons(run), *_findings(run), _footer(run))
    return draw(content, width=width, colour=colour)


def draw(content: Group, *, width: int, colour: bool) -> str:
    """Rich content as a string of lines without trailing spaces."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(content)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())


def _headline(run: Run) -> Iterator[Text]:
    """One sentence for each int8 engine: where it gains most and where least against the best float32."""
    machine = run.environment.hardware.get("brand") or run.environment.hardware.get("arch")
    unfinished = "" if run.complete else "  (unfinished: the same command goes on from here)"
    yield Text(f"{_model(run)} on {machine}{unfinished}", style="bold")
    for engine in dict.fromkeys(cell.engine for cell in run.cells if cell.precision == INT8):
        yield _verdict_line(engine, [cell for cell in run.cells if cell.engine == engine])
    yield Text("")


def _verdict_line(engine: str, cells: list[Cell]) -> Text:
    found = [(cell, cell.speedup(BEST)) for cell in cells if cell.status == OK]
    known = [(cell, best) for cell, best in found if best is not None]
    if not known:
        reason = next((cell.error for cell in cells if cell.error), "no result yet")
        return Text(f"{engine} int8: {reason}", style="red")
    low, high = (choose(known, key=lambda each: float(each[1]["value"])) for choose in (min, max))
    words = [str(best["verdict"]) for _, best in known]
    counts = ", ".join(f"{word} in {words.count(word)}" for word in COLOURS if word in words)
    line = Text(f"{engine} int8 against the best float32: ")
    for number, (cell, best) in enumerate([low] if low is high else [low, high]):
        line.append(" to " if number else "")
        line.append(units.ratio(best["value"]), style=COLOURS[best["verdict"]])
        line.append(f" [{best['low']:.2f}, {best['high']:.2f}] (batch {cell.batch}, {_threads(cell.threads)})")
    line.append(f"; {counts} of {len(known)} cells")
    return line


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column: its title, its width, and how a cell is shown in it."""

    title: str
    width: int
    show: Callable[[Cell], Text | str]
    justify: Literal["left", "right"] = "right"


def _columns(width: int) -> list[_Column]:
    """The columns that fit a screen; the least asked-for go first where it is narrow."""
    columns = [
        _Column(title="median", width=8, show=lambda cell: units.seconds(_of(cell.latency_s)["median"]["value"])),
        _Column(title="p99", width=8, show=lambda cell: units.seconds(_of(cell.latency_s)["p99"])),
        _Column(title="items/s", width=7, show=lambda cell: units.rate(_of(cell.throughput_items_per_s)["value"])),
        _Column(title="memory", width=7, show=lambda cell: units.size(_of(cell.memory_bytes)["peak_delta"]["value"])),
        _Column(title="vs best float32", width=26, show=_best, justify="left"),
        _Column(title="vs nchw", width=7, show=_naive),
        _Column(title="SQNR", width=8, show=_sqnr),
        _Column(title="top-1", width=6, show=_top1),
    ]
    for title in ("p99", "top-1", "memory", "vs nchw"):
        if sum(column.width + 2 for column in columns) + NAMES_WIDTH <= width:
            break
        columns = [column for column in columns if column.title != title]
    return columns


def _table(run: Run, width: int) -> Table:
    columns = _columns(width)
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("cell", no_wrap=True)
    table.add_column("contender", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify=column.justify, no_wrap=True, min_width=column.width)
    group: tuple[int, int] | None = None
    for cell in sorted(run.cells, key=lambda each: (each.threads, each.batch)):
        here = (cell.threads, cell.batch)
        label = f"t{cell.threads} b{cell.batch}" if here != group else ""
        if cell.status == OK:
            table.add_row(label, _contender(cell), *(column.show(cell) for column in columns))
        else:
            table.add_row(label, Text(_contender(cell), style=STATES[cell.status]), cell.status)
        group = here
    return table


def _reasons(run: Run) -> Iterator[Text]:
    """Why cells have no figures: once for all cells of the same reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in run.cells:
        if cell.status != OK:
            reasons.setdefault((cell.status, cell.error or ""), []).append(
                f"{cell.engine} t{cell.threads} b{cell.batch}"
            )
    for (status, reason), cells in reasons.items():
        yield Text(
            f"{status} ({len(cells)} cells, {cells[0]}{', ...' if len(cells) > 1 else ''}): {reason}", STATES[status]
        )


def _of(figures: Mapping[str, Any] | None) -> Mapping[str, Any]:
    assert figures is not None, "a cell whose status is ok has all its figures"
    return figures


def _naive(cell: Cell) -> str:
    naive = cell.speedup(NAIVE)
    return units.ratio(naive["value"]) if naive else ""


def _sqnr(cell: Cell) -> str:
    sqnr_db = _of(cell.fidelity)["sqnr_db"]
    return "exact" if sqnr_db is None else f"{sqnr_db:.1f} dB"


def _top1(cell: Cell) -> str:
    top1 = _of(cell.fidelity)["top1"]
    return "" if top1 is None else units.share(top1)


def _best(cell: Cell) -> Text:
    best = cell.speedup(BEST)
    if best is None:
        return Text("")
    line = Text(f"{units.ratio(best['value'])} [{best['low']:.2f}, {best['high']:.2f}] ")
    line.append(best["verdict"], style=COLOURS[best["verdict"]])
    if best["verdict"] == "unclear" and best["smallest_visible_effect"] is not None:
        line.append(f" ({best['smallest_visible_effect']:.0%})", style="dim")
    return line


def _findings(run: Run) -> Iterator[Text]:
    yield Text("")
    for finding in run.findings:
        line = Text(f"{finding['severity']} ", style=SEVERITIES[finding["severity"]])
        line.append(f"{finding['message']} ", style="default")
        line.append(f"{finding['advice']} [{finding['code']}]", style="dim")
        yield line


def _footer(run: Run) -> Text:
    settings = run.settings
    speedups = [each for cell in run.cells for each in cell.speedups]
    launches = sorted({int(each["launches"]) for each in speedups})
    pairs = sum(int(each["pairs"]) for each in speedups)
    kept = [flag for cell in run.cells for race in cell.samples["races"] for flag in race["kept"]]
    dropped = 1 - sum(kept) / len(kept) if kept else 0.0
    streams = sorted({cell.throughput_items_per_s["streams"] for cell in run.cells if cell.throughput_items_per_s})
    return Text(
        f"{settings['confidence']:.0%} intervals over {_range(launches)} launches ({pairs} pairs) that hold for early "
        f"stopping; verdicts at an error of {settings.get('error_rate', 0):g} each, "
        f"{settings.get('family_error_rate', 0):.0%} at most for the grid; unclear shows the smallest effect that "
        f"would have been seen. {dropped:.1%} of rounds dropped as disturbed. items/s under sustained load, "
        f"{_range(streams)} streams. "
        "Times are this machine's, today's: compare ratios, not milliseconds.",
        style="dim",
    )


def _contender(cell: Cell) -> str:
    return f"{cell.engine} int8" if cell.precision == INT8 else f"float32 {cell.layout.replace('_', '-')}"


def _model(run: Run) -> str:
    return run.cells[0].model if run.cells else "nothing"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _range(values: list[int]) -> str:
    if not values:
        return "no"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"
