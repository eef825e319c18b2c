"""A run as one screen of text: the answer first, then the table and what is wrong. Draws, never measures."""

import io
from collections.abc import Iterator

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from int8bench import units
from int8bench.records import OK, Cell, Run

BEST, NAIVE = "best_float32", "naive_float32"
INT8 = "int8"
COLOURS = {"faster": "green", "slower": "red", "same": "default", "unclear": "yellow"}
SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def render(run: Run, *, width: int, colour: bool) -> str:
    """The run as text.

    Args:
        run: finished or not.
        width: columns of the screen.
        colour: whether to use colours, for a terminal.
    """
    return draw(Group(*_headline(run), _table(run), *_findings(run), _footer(run)), width=width, colour=colour)


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


def _table(run: Run) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("threads batch", no_wrap=True)
    table.add_column("contender", no_wrap=True)
    for title in ("median", "p99", "items/s", "memory"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("vs best float32", no_wrap=True)
    table.add_column("vs nchw", justify="right", no_wrap=True)
    table.add_column("SQNR", justify="right", no_wrap=True)
    table.add_column("top-1", justify="right", no_wrap=True)
    group: tuple[int, int] | None = None
    for cell in sorted(run.cells, key=lambda each: (each.threads, each.batch)):
        here = (cell.threads, cell.batch)
        table.add_row(f"{cell.threads:>4} {cell.batch:>7}" if here != group else "", _contender(cell), *_figures(cell))
        group = here
    return table


def _figures(cell: Cell) -> Iterator[Text | str]:
    latency, load = cell.latency_s, cell.throughput_items_per_s
    memory, fidelity = cell.memory_bytes, cell.fidelity
    if cell.status != OK or latency is None or load is None or memory is None or fidelity is None:
        yield Text(f"{cell.status}: {cell.error}", style="red" if cell.status == "failed" else "dim")
        return
    yield units.seconds(latency["median"]["value"])
    yield units.seconds(latency["p99"])
    yield units.rate(load["value"])
    yield units.size(memory["peak_delta"]["value"])
    yield _best(cell)
    naive = cell.speedup(NAIVE)
    yield units.ratio(naive["value"]) if naive else ""
    sqnr_db, top1 = fidelity["sqnr_db"], fidelity["top1"]
    yield "exact" if sqnr_db is None else f"{sqnr_db:.1f} dB"
    yield "" if top1 is None else units.share(top1)


def _best(cell: Cell) -> Text:
    best = cell.speedup(BEST)
    if best is None:
        return Text("")
    line = Text(f"{units.ratio(best['value'])} [{best['low']:.2f}, {best['high']:.2f}] ")
    line.append(best["verdict"], style=COLOURS[best["verdict"]])
    if best["verdict"] == "unclear" and best["smallest_visible_effect"] is not None:
        line.append(f" (sees {best['smallest_visible_effect']:.1%})", style="dim")
    return line


def _findings(run: Run) -> Iterator[Text]:
    yield Text("")
    for finding in run.findings:
        line = Text(f"{finding['severity']} ", style=SEVERITIES[finding["severity"]])
        line.append(f"{finding['message']}. ", style="default")
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
        f"{settings.get('family_error_rate', 0):.0%} at most for the grid. {dropped:.1%} of rounds dropped as disturbed. "
        f"items/s under sustained load, {_range(streams)} streams. "
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
