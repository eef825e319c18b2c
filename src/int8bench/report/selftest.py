"""A selftest as one screen of text: the judgement first, then what it rests on. Draws, never measures."""

from collections.abc import Iterator

from rich.console import Group
from rich.text import Text

from int8bench import units
from int8bench.report.text import draw
from int8bench.report.words import Column, label, lines
from int8bench.selftest.answer import CellFigures, ClockSteps, Counted, Selftest

LABEL = 14  # columns of what a line is about


def render(answer: Selftest, *, width: int, colour: bool) -> str:
    """Return the answer of a selftest as text.

    Args:
        answer: what `selftest.run` gives.
        width: columns of the screen; a row is never broken, however few.
        colour: whether to use colours, for a terminal.
    """
    table = list(_table(answer))
    texts = [*_judgement(answer), *_figures(answer), Text(""), *table, Text(""), _footer(answer)]
    return draw(Group(*texts), width=max(width, *map(len, table)), colour=colour)


def _judgement(answer: Selftest) -> Iterator[Text]:
    figures = answer.figures
    yield Text(figures.judgement, style="bold green" if figures.trusted else "bold red")
    yield Text(
        f"{figures.races} races of {answer.settings.engine} with itself, and as many with a known slow-down, over "
        f"{answer.launches} launches in {answer.spent_s / 60:.1f} minutes: {answer.machine}"
    )
    yield Text("")


def _figures(answer: Selftest) -> Iterator[Text]:
    figures = answer.figures
    alarms, coverage, slow = figures.false_alarms, figures.coverage, figures.slow_downs
    declared = _percent(coverage.declared)
    told = (
        ("false alarms", f"{_counted(alarms)}; {_percent(alarms.declared)} declared"),
        ("coverage", f"{_counted(coverage.itself)} intervals of the code with itself hold 1; {declared} declared"),
        ("", f"{_counted(coverage.slowed)} intervals of a known slow-down hold it"),
        ("slow-downs", f"{_counted(slow)} seen; by the spread of launches {slow.expected:.1f} or more are expected"),
        (
            "resolution",
            f"intervals of +-{_percent(figures.median_half_width)} (median); {_clock(answer.clock)}",
        ),
    )
    for name, text in told:
        yield Text(f"{name:<{LABEL}}{text}")


def _clock(clock: ClockSteps) -> str:
    return f"the clock steps by {units.seconds(clock.step_s)} and is read in {units.seconds(clock.reading_s)}"


def _table(answer: Selftest) -> Iterator[Text]:
    """Yield a line for each cell, below the titles."""
    cells = answer.figures.cells
    columns = (
        Column(title="cell", cells=tuple(map(label, cells)), gap=0, left=True),
        Column(title="races", cells=tuple(str(cell.races) for cell in cells)),
        Column(title="false alarms", cells=tuple(str(cell.false_alarms) for cell in cells)),
        Column(title="interval", cells=tuple(f"+-{_percent(cell.median_half_width)}" for cell in cells)),
        Column(title="launches", cells=tuple(_percent(cell.launch_sd) for cell in cells)),
        Column(title="forks", cells=tuple(_percent(cell.fork_sd) for cell in cells)),
        Column(title="smallest slow-down seen", cells=tuple(map(_smallest, cells)), left=True),
    )
    for number, line in enumerate(lines(columns)):
        yield Text(line.rstrip(), style="" if number else "bold")


def _smallest(cell: CellFigures) -> str:
    smallest = cell.smallest_slow_down
    return f"{_percent(smallest.value)} [{100 * smallest.low:.2f}, {100 * smallest.high:.2f}]"


def _footer(answer: Selftest) -> Text:
    confidence, power = answer.figures.coverage.declared, answer.figures.slow_downs.power
    return Text(
        f"t2 b8: 2 threads, batch 8. In brackets: {confidence:.0%} intervals, exact ones of counts. launches, forks: "
        "how far their effects on a ratio spread (standard deviation). smallest slow-down seen: what a run of "
        f"{answer.settings.design.looks[-1]} launches calls with a probability of {power:.0%}; the upper end of the "
        "noisiest cell is what verdicts are trusted down to. A smaller difference may end in unclear.",
        style="dim",
    )


def _counted(share: Counted) -> str:
    return f"{share.count} of {share.trials} [{100 * share.low:.1f}, {100 * share.high:.1f} %]"


def _percent(share: float) -> str:
    """Return a share in percent, with two decimals below ten percent, as intervals are that narrow."""
    return f"{100 * share:.2f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"  # noqa: PLR2004  ten percent
