"""A selftest as one screen of text: the judgement first, then what it rests on. Draws, never measures."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Group
from rich.text import Text

from int8bench import units
from int8bench.report.text import draw

GAP = 2  # spaces between columns
LABEL = 14  # columns of what a line is about
TITLES = ("cell", "races", "false alarms", "interval", "launches", "forks", "smallest slow-down seen")
LEFT = {TITLES[0], TITLES[-1]}


def render(document: Mapping[str, Any], *, width: int, colour: bool) -> str:
    """The document of ``selftest --json`` as text.

    Args:
        document: what `selftest.run` gives.
        width: columns of the screen; a row is never broken, however few.
        colour: whether to use colours, for a terminal.
    """
    table = list(_table(document))
    texts = [*_judgement(document), *_figures(document), Text(""), *table, Text(""), _footer(document)]
    return draw(Group(*texts), width=max(width, *map(len, table)), colour=colour)


def _judgement(document: Mapping[str, Any]) -> Iterator[Text]:
    yield Text(document["judgement"], style="bold green" if document["trusted"] else "bold red")
    yield Text(
        f"{document['races']} races of {document['engine']} with itself, and as many with a known slow-down, over "
        f"{document['launches']} launches in {document['spent_s'] / 60:.1f} minutes: {document['machine']}"
    )
    yield Text("")


def _figures(document: Mapping[str, Any]) -> Iterator[Text]:
    alarms, coverage, slow = document["false_alarms"], document["coverage"], document["slow_downs"]
    declared = _percent(coverage["declared"])
    told = (
        ("false alarms", f"{_counted(alarms)}; {_percent(alarms['declared'])} declared"),
        ("coverage", f"{_counted(coverage['itself'])} intervals of the code with itself hold 1; {declared} declared"),
        ("", f"{_counted(coverage['slowed'])} intervals of a known slow-down hold it"),
        ("slow-downs", f"{_counted(slow)} seen; by the spread of launches {slow['expected']:.1f} or more are expected"),
        (
            "resolution",
            f"intervals of +-{_percent(document['median_half_width'])} (median); {_clock(document['clock'])}",
        ),
    )
    for name, text in told:
        yield Text(f"{name:<{LABEL}}{text}")


def _clock(clock: Mapping[str, float]) -> str:
    return f"the clock steps by {units.seconds(clock['step_s'])} and is read in {units.seconds(clock['reading_s'])}"


def _table(document: Mapping[str, Any]) -> Iterator[Text]:
    """A line a cell, under their titles."""
    rows = [TITLES, *map(_row, document["cells"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        columns = (
            text.ljust(width) if title in LEFT else text.rjust(width)
            for title, text, width in zip(TITLES, row, widths, strict=True)
        )
        yield Text((" " * GAP).join(columns).rstrip(), style="" if number else "bold")


def _row(cell: Mapping[str, Any]) -> tuple[str, ...]:
    smallest = cell["smallest_slow_down"]
    return (
        f"t{cell['threads']} b{cell['batch']}",
        str(cell["races"]),
        str(cell["false_alarms"]),
        f"+-{_percent(cell['median_half_width'])}",
        _percent(cell["launch_sd"]),
        _percent(cell["fork_sd"]),
        f"{_percent(smallest['value'])} [{100 * smallest['low']:.2f}, {100 * smallest['high']:.2f}]",
    )


def _footer(document: Mapping[str, Any]) -> Text:
    confidence, power = document["coverage"]["declared"], document["slow_downs"]["power"]
    return Text(
        f"t2 b8: 2 threads, batch 8. In brackets: {confidence:.0%} intervals, exact ones of counts. launches, forks: "
        "how far their effects on a ratio spread (standard deviation). smallest slow-down seen: what a run of "
        f"{document['design']['looks'][-1]} launches calls with a probability of {power:.0%}; the upper end of the "
        "noisiest cell is what verdicts are trusted down to. A smaller difference may end in unclear.",
        style="dim",
    )


def _counted(share: Mapping[str, Any]) -> str:
    return f"{share['count']} of {share['trials']} [{100 * share['low']:.1f}, {100 * share['high']:.1f} %]"


def _percent(share: float) -> str:
    """Two decimals below ten percent, as intervals are that narrow."""
    return f"{100 * share:.2f} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"  # noqa: PLR2004  ten percent
