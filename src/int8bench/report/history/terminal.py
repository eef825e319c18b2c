"""A history as one screen of text: what got worse, what got better, and how hard was looked. Draws, never searches."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from int8bench.report.history import events as history_events
from int8bench.report.history.document import EventRow, HistoryDocument, MachineRow, SeriesRow, StepRow
from int8bench.report.history.view import BETTER, RECOVERED, WORSE, day, kind, magnitude, step, unmirrored
from int8bench.report.text import SEVERITIES, draw
from int8bench.report.words import counted

STYLES = {WORSE: "bold red", RECOVERED: "yellow", BETTER: "green"}
TITLES = {WORSE: "Got worse, and stands", RECOVERED: "Got worse, and was made good", BETTER: "Got better"}
MOST_ROWS = 12  # of each kind: one screen; --json has all
MOST_EVENTS = 6
MOST_PROBLEMS = 8


def render(document: HistoryDocument, *, width: int, colour: bool) -> str:
    """Return the document of ``history --json`` as text.

    Args:
        document: what `tracking.history.History.document` gives.
        width: columns of the screen.
        colour: whether to use colours, for a terminal.
    """
    series = unmirrored(document.series)
    parts = [
        _headline(document),
        *_events(document.events),
        *_changes(series),
        *_findings(document.machines),
        *_problems(document.problems),
    ]
    return draw(Group(*parts, _footer(document)), width=width, colour=colour)


def _headline(document: HistoryDocument) -> Text:
    count = document.regressions
    if not any(each.points for each in document.series):
        return Text("Nothing measured yet.", style="bold")
    together = len(document.events)
    more = f" {counted(together, 'step')} of many series together." if together else ""
    if count:
        return Text(f"{counted(count, 'regression')} standing.{more}", style=STYLES[WORSE])
    return Text(f"No regression stands.{more}", style=STYLES[BETTER] if not together else "bold yellow")


def _events(events: Sequence[EventRow]) -> Iterator[RenderableType]:
    """Yield lines on the steps that many series made together, the largest first: no regression of one of them."""
    if not events:
        return
    yield Text("")
    yield Text("Moved together", style="bold yellow")
    for event in sorted(events, key=lambda each: -magnitude(each))[:MOST_EVENTS]:
        where = f"{event.machine}, {event.environment}"
        line = Text(f"{history_events.moved(event)} between {history_events.between(event)}")
        line.append(f" on {where}: {history_events.cause(event)}. ", style="default")
        line.append(f"{history_events.settle(event)} settles it.", style="dim")
        yield line
    if len(events) > MOST_EVENTS:
        yield Text(f"and {len(events) - MOST_EVENTS} more, see --json", style="dim")


def _changes(series: Sequence[SeriesRow]) -> Iterator[RenderableType]:
    """Yield a table for each kind of change that there is, the largest step first."""
    names, places = history_events.names(series), history_events.places(series)
    for which, title in TITLES.items():
        mine = [
            ((names[number], places[number]), change)
            for number, each in enumerate(series)
            for change in each.changes
            if kind(change) == which
        ]
        if mine:
            yield Text("")
            yield Text(title, style=STYLES[which])
            mine.sort(key=lambda pair: -magnitude(pair[1]))
            yield _table(mine[:MOST_ROWS])
            if len(mine) > MOST_ROWS:
                yield Text(f"and {len(mine) - MOST_ROWS} more, see --json", style="dim")


def _table(rows: Sequence[tuple[tuple[str, str], StepRow]]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("step", no_wrap=True)
    table.add_column("series", overflow="fold")
    table.add_column("between", no_wrap=True)
    table.add_column("on", no_wrap=True)
    table.add_column("machine", overflow="fold")
    for (name, place), change in rows:
        table.add_row(step(change), name, history_events.between(change), day(change.date), place)
    return table


def _findings(machines: Sequence[MachineRow]) -> Iterator[Text]:
    for machine in machines:
        for finding in machine.findings:
            line = Text(f"{finding.severity} ", style=SEVERITIES[finding.severity])
            line.append(f"{machine.machine}: {finding.message} ", style="default")
            line.append(f"{finding.advice} [{finding.code}]", style="dim")
            yield line


def _problems(problems: Sequence[str]) -> Iterator[Text]:
    if problems:
        yield Text("")
    for problem in problems[:MOST_PROBLEMS]:
        yield Text(f"problem: {problem}", style="yellow")
    if len(problems) > MOST_PROBLEMS:
        yield Text(f"and {len(problems) - MOST_PROBLEMS} problems more, see --json", style="yellow")


def _footer(document: HistoryDocument) -> Text:
    series = document.series
    points = sum(len(each.points) for each in series)
    return Text(
        f"{len(series)} series with {points} points searched; {' '.join(history_events.claim(document))} Intervals of "
        "95 %. Series of different machines, environments and hardware are never joined.",
        style="dim",
    )
