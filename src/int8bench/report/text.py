"""A run as one screen of text: the answer first, then the table and what is wrong. Draws, never measures."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from int8bench import units
from int8bench.machine.finding import Severity, ShownFinding
from int8bench.report import ranking
from int8bench.report.words import counted, fitting, interval, label, name, printable
from int8bench.study.cells import BEST, NAIVE, OK, Cell, Speedup, known
from int8bench.study.findings.causes import cause_of, listed, together
from int8bench.study.findings.chance import CONSTANT, TOP1_CHANCE
from int8bench.study.records import Run
from int8bench.workload.cases import FLOAT32, INT8, TORCH
from int8bench.workload.fidelity import Fidelity

COLOURS = {"faster": "green", "slower": "red", "same": "default", "unclear": "yellow"}
STATES = {"failed": "red", "skipped": "dim"}
ANSWERS = {"yes": "bold green", "no": "bold red"}  # any other answer is yellow
MOST_IN_FULL = 2  # engines beside torch's float32 whose every cell is shown; of more, their ranking
NO_RESULT = "no result"
LEFT_IN_FLOAT = "left-in-float"  # the code of a finding of `outcomes`
GAP = 2  # spaces between columns
SEVERITIES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def render(run: Run, *, width: int, colour: bool, quote: str | None = None) -> str:
    """Return a run as text.

    Args:
        run: finished or not.
        width: columns of the screen; a row is never broken, however few.
        colour: whether to use colours, for a terminal.
        quote: what the selftest said of this hardware, where there was one.
    """
    quoted = [Text(printable(quote), style="dim")] if quote else []
    if len(_ranked_engines(run)) > MOST_IN_FULL:
        content = Group(*_ranked(run, width), *_collected_findings(run), _footer(run), *quoted)
        return draw(content, width=width, colour=colour)
    columns = _columns(run, width)
    content = Group(*_headline(run), _table(run, columns), *_reasons(run), *_findings(run), _footer(run), *quoted)
    return draw(content, width=max(width, _width(columns)), colour=colour)


def _ranked_engines(run: Run) -> set[str]:
    """Return the engines that have a rank somewhere, beside torch's float32."""
    return {entry.engine for setting in run.ranking for entry in setting.entries} - {TORCH}


def _ranked(run: Run, width: int) -> Iterator[Text]:
    """Yield the ranking of several engines, in place of all their cells, of which there are too many."""
    yield Text(f"Which engine is the fastest? {model_of(run)} on {machine_of(run)}", style="bold")
    if not run.complete:
        yield Text("unfinished: the same command goes on from here", style="yellow")
    for line in ranking.lines(run.ranking, run.recommendation, width=width, constant=is_constant(run)):
        yield Text(line, style="bold green" if line.startswith("Recommended") else "default")
    yield Text("")


def draw(content: Group, *, width: int, colour: bool) -> str:
    """Return rich content as text, in lines without trailing spaces.

    Args:
        content: the parts, one below the other.
        width: columns of the screen.
        colour: whether to use colours, for a terminal.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        highlight=False,
        emoji=False,
        markup=False,
    )
    console.print(content)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a run says of one int8 engine: a word, and what stands behind it."""

    engine: str
    word: str
    detail: str

    @property
    def style(self) -> str:
        """The style of its word on a screen."""
        return ANSWERS.get(self.word, "bold yellow")


def answers(run: Run) -> tuple[Answer, ...]:
    """Return the answer of each int8 engine to the question whether it is faster than the best float32.

    Engines that have no result for the same cause share an answer.
    """
    engines = dict.fromkeys(cell.engine for cell in run.cells if cell.precision == INT8)
    answered = [_answer(run, engine) for engine in engines]
    # Without a result, what fails for one cause is one answer.
    causes = [cause_of(each.detail, each.engine) if each.word == NO_RESULT else each.engine for each in answered]
    return tuple(
        mine[0] if len(mine) == 1 else replace(mine[0], engine=listed([each.engine for each in mine]), detail=cause)
        for cause, mine in zip(dict.fromkeys(causes), together(zip(causes, answered, strict=True)), strict=True)
    )


def _answer(run: Run, engine: str) -> Answer:
    cells = [cell for cell in run.cells if (cell.engine, cell.precision) == (engine, INT8)]
    judged = [(cell, best) for cell in cells if (best := cell.speedup(BEST)) is not None]
    if not judged:
        reason = next((cell.error for cell in cells if cell.error), "too few launches")
        return Answer(engine=engine, word=NO_RESULT, detail=printable(reason))
    words = [best.verdict for _, best in judged]
    counts = ", ".join(f"{word} in {words.count(word)}" for word in COLOURS if word in words)
    low, high = (choose(judged, key=lambda lead: lead[1].value) for choose in (min, max))
    reach = " to ".join(_speedup(*each) for each in ([low] if low is high else [low, high]))
    missing = f", {len(cells) - len(judged)} without a result" if len(cells) > len(judged) else ""
    detail = f"{counts} of {counted(len(judged), 'cell')}{missing}{_doubt(run, engine)}: {reach}"
    return Answer(engine=engine, word=_word(words), detail=detail)


def _word(verdicts: Sequence[str]) -> str:
    """Return the answer to the question in a word or two; a yes or a no only where it holds for every cell."""
    kinds = set(verdicts)
    if kinds == {"faster"}:
        return "yes"
    if kinds == {"unclear"}:
        return "cannot tell"
    if "faster" in kinds:
        return "in some cells"
    return "cannot tell in some cells" if "unclear" in kinds else "no"


def _speedup(cell: Cell, best: Speedup) -> str:
    return f"{interval(best)} at {label(cell)}"


def is_constant(run: Run) -> bool:
    """Tell whether float32 answers every picture alike in a run, as a finding says."""
    return any((finding.code, finding.subject) == (CONSTANT, FLOAT32) for finding in run.findings)


def _doubt(run: Run, engine: str) -> str:
    """Return a doubt about the answers behind an engine's figures; nothing where there is none."""
    codes = {(finding.code, finding.subject) for finding in run.findings}
    if is_constant(run):
        return f"; float32 answers every picture alike, see {CONSTANT}"
    if (CONSTANT, engine) in codes:
        return f"; it answers every picture alike, see {CONSTANT}"
    return "; its answers differ, see accuracy-loss" if ("accuracy-loss", engine) in codes else ""


def machine_of(run: Run) -> str:
    """Return the name of the processor that a run was made on."""
    hardware = run.environment.hardware
    return printable(str(hardware["brand"] or hardware["arch"]))


def model_of(run: Run) -> str:
    """Return the model that a run is about."""
    return run.cells[0].model if run.cells else "nothing"


def _headline(run: Run) -> Iterator[Text]:
    """Yield the question, and one answer for each int8 engine, with the cells where it gains least and most."""
    yield Text(f"Is int8 faster than the best float32? {model_of(run)} on {machine_of(run)}", style="bold")
    if not run.complete:
        yield Text("unfinished: the same command goes on from here", style="yellow")
    for answer in answers(run):
        line = Text(f"{answer.engine}: ", style="bold")
        line.append(answer.word, style=answer.style)
        line.append(f", {answer.detail}", style="default")
        yield line
    if run.recommendation:
        yield Text(printable(ranking.sentence(run.recommendation, constant=is_constant(run))), style="bold green")
    yield Text("")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """A column: its title, its width, and how a cell is shown in it."""

    title: str
    show: Callable[[Cell], Text | str]
    justify: Literal["left", "right"] = "right"
    named: bool = False
    """Whether it names the cell, so that it is there for a cell without figures too."""
    width: int = 0


def _columns(run: Run, width: int) -> list[_Column]:
    """Return the columns that fit a screen, each as wide as its widest figure; the least asked for go first."""
    shown = [replace(column, show=_chance) if column.show is _top1 and guesses(run) else column for column in COLUMNS]
    columns = [replace(each, width=_widest(each, run.cells)) for each in shown]
    return fitting(columns, LEAST_ASKED_FOR, lambda kept: _width(kept) <= width)


def _width(columns: Sequence[_Column]) -> int:
    return sum(column.width + GAP for column in columns) - GAP


def _widest(column: _Column, cells: Sequence[Cell]) -> int:
    shown = [column.show(cell) for cell in cells if column.named or cell.status == OK]
    return max(len(column.title), *(len(each) for each in shown), 0)


def _table(run: Run, columns: Sequence[_Column]) -> Table:
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.title, justify=column.justify, no_wrap=True, min_width=column.width)
    before: Cell | None = None
    for cell in sorted(run.cells, key=lambda each: (each.threads, each.batch)):
        same_group = before is not None and label(before) == label(cell)
        table.add_row(*_row(cell, columns, label="" if same_group else label(cell)))
        before = cell
    return table


def _row(cell: Cell, columns: Sequence[_Column], *, label: str) -> list[Text | str]:
    """Return a cell's figures, or its status where there are none.

    The label of its group stands on the first row of the group.
    """
    if cell.status != OK:
        return [label, Text(name(cell), style=STATES[cell.status]), cell.status]
    return [label, *(column.show(cell) for column in columns[1:])]


def _reasons(run: Run) -> Iterator[Text]:
    """Yield the reasons of cells without figures that no finding gives, once for all cells of the same reason."""
    failed = [
        (f"{cell.status} {_cause(cell)}", cell) for cell in run.cells if cell.status != OK and not _is_told(run, cell)
    ]
    for cells in together(failed):
        where = f"{listed([cell.engine for cell in cells])} {label(cells[0])}{', ...' if len(cells) > 1 else ''}"
        reason = _cause(cells[0]) if len({cell.engine for cell in cells}) > 1 else _reason(cells[0])
        yield Text(
            f"{cells[0].status}, {counted(len(cells), 'cell')} ({where}): {printable(reason)}", STATES[cells[0].status]
        )


def _is_told(run: Run, cell: Cell) -> bool:
    """Tell whether a finding says why a cell has no figures."""
    return any(_cause(cell) in finding.message for finding in run.findings)


def _cause(cell: Cell) -> str:
    return cause_of(_reason(cell), cell.engine)


def _reason(cell: Cell) -> str:
    return (cell.error or "").rstrip(".")


def _naive(cell: Cell) -> str:
    naive = cell.speedup(NAIVE)
    return units.ratio(naive.value) if naive else ""


def proven(fidelity: Fidelity) -> str:
    """Return the SQNR of a cell's answers as a person reads it, or that no picture changes the answers."""
    if fidelity.constant or fidelity.constant_float32:
        return "constant"
    return "exact" if fidelity.sqnr_db is None else f"{fidelity.sqnr_db:.1f} dB"


def _top1(cell: Cell) -> str:
    top1 = known(cell.fidelity).top1
    return "" if top1 is None else units.share(top1)


def _chance(cell: Cell) -> str:
    return "" if known(cell.fidelity).top1 is None else "chance"


def guesses(run: Run) -> bool:
    """Tell whether top-1 is chance in a run, as a finding says."""
    return any(finding.code == TOP1_CHANCE for finding in run.findings)


def _best(cell: Cell) -> Text:
    best = cell.speedup(BEST)
    if best is None:
        return Text("")
    line = Text(f"{interval(best)} ")
    line.append(best.verdict, style=COLOURS[best.verdict])
    return line


def _findings(run: Run) -> Iterator[Text]:
    """Yield a line for each finding.

    Advice is left to the page where the finding is a mere note on the machine.
    """
    yield Text("")
    engines = {cell.engine for cell in run.cells}
    for finding in run.findings:
        yield _finding(finding, advised=finding.severity is not Severity.NOTE or finding.subject in engines)
    if run.findings:
        yield Text("")


def _finding(finding: ShownFinding, *, advised: bool) -> Text:
    line = Text(f"{finding.severity.value} ", style=SEVERITIES[finding.severity])
    line.append(printable(finding.message), style="default")
    if advised:
        line.append(f" {printable(finding.advice)}", style="dim")
    line.append(f" [{printable(finding.code)}]", style="dim")
    return line


def _in_full(finding: ShownFinding) -> bool:
    """Tell whether a finding is shown in full among many: an error, a part left in float, or one about all engines."""
    of_all = finding.code == TOP1_CHANCE or (finding.code, finding.subject) == (CONSTANT, FLOAT32)
    return finding.severity is Severity.ERROR or finding.code == LEFT_IN_FLOAT or of_all


def _collected_findings(run: Run) -> Iterator[Text]:
    """Yield the findings on many engines: errors and those about all engines in full, else a line for each severity.

    Such a line has the codes, and whom they are about.
    """
    yield from (_finding(each, advised=True) for each in run.findings if _in_full(each))
    for severity in (Severity.WARNING, Severity.NOTE):
        subjects: dict[str, list[str]] = {}
        for finding in run.findings:
            if finding.severity is severity and not _in_full(finding):
                subjects.setdefault(finding.code, []).append(finding.subject)
        if subjects:
            line = Text(f"{severity.value}s ", style=SEVERITIES[severity])
            summary = "; ".join(f"{code}: {', '.join(dict.fromkeys(about))}" for code, about in subjects.items())
            yield line.append(f"{printable(summary)}. In full: int8bench report RUN.json -o page.html", style="default")
    yield Text("")


def _footer(run: Run) -> Text:
    rates = run.rates
    launches = sorted({speedup.launches for cell in run.cells for speedup in cell.speedups})
    kept = [flag for cell in run.cells for race in cell.samples.races for flag in race.kept]
    dropped = 1 - sum(kept) / len(kept) if kept else 0.0
    streams = sorted({cell.throughput_items_per_s.streams for cell in run.cells if cell.throughput_items_per_s})
    return Text(
        f"t2 b8: 2 threads, batch 8. [low, high]: {rates.confidence:.0%} intervals over {_range(launches)} "
        f"launches, which hold for early stopping; a verdict is made at an error of {rates.error_rate:g}, "
        f"{rates.family_error_rate:.0%} at most for the grid. Left out as disturbed: {dropped:.1%} of "
        f"samples. items/s: {_range(streams)} streams at once. Times are this machine's, today's: compare ratios.",
        style="dim",
    )


def _range(values: list[int]) -> str:
    if not values:
        return "no"
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


COLUMNS = (
    _Column(title="cell", show=label, justify="left", named=True),
    _Column(title="contender", show=name, justify="left", named=True),
    _Column(title="median", show=lambda cell: units.seconds(cell.median.value)),
    _Column(title="p99", show=lambda cell: units.seconds(known(cell.latency_s).p99)),
    _Column(title="items/s", show=lambda cell: units.rate(known(cell.throughput_items_per_s).value)),
    _Column(title="memory", show=lambda cell: units.size(known(cell.memory_bytes).peak_delta.value)),
    _Column(title="vs best float32", show=_best, justify="left"),
    _Column(title="vs nchw", show=_naive),
    _Column(title="SQNR", show=lambda cell: proven(known(cell.fidelity))),
    _Column(title="top-1", show=_top1),
)
LEAST_ASKED_FOR = ("p99", "top-1", "memory", "vs nchw", "items/s")  # left out in this order where a screen is narrow
