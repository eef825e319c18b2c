"""A graph of a history as a piece of HTML: values with intervals over commits, changes marked; never searches."""

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from int8bench.report.history import events
from int8bench.report.history.document import EventRow, PointRow, SeriesRow, StepRow
from int8bench.report.history.view import (
    BETTER,
    KINDS,
    RECOVERED,
    SPEEDUP,
    WORSE,
    Commit,
    Graph,
    figure,
    kind,
    magnitude,
    step,
)

MOST_TICKS = 4  # a hash and a date each, side by side on a screen of 400 pixels
LANES = 6  # of labels above a graph; where more run into each other, the next ones share the last
LANE_PIXELS = 30  # a label has two lines
MANY = 100  # commits of a graph from which on large markers hide each other
NEAR_ONE = 1.1  # the lowest speed-up of a graph that still shows the line at 1
LABEL_SHARE = 0.5  # of the width of a graph that a label needs on a screen of 400 pixels
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: everybody can tell them
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
EVENT_COLOUR = "#5b5b5b"
KIND_COLOURS = {WORSE: "#b3261e", RECOVERED: "#8a5a00", BETTER: "#14733b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mark:
    """Changes of one graph between the same two commits."""

    start: int
    end: int
    """Positions of the last commit before and the first one after."""
    changes: Sequence[tuple[str, StepRow]]
    """The name of the series and its change, the worst first."""

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def grows_right(self, last: int) -> bool:
        """Tell whether the mark's label goes to the right of its line: away from the nearer edge."""
        return self.middle <= last / 2


def plot(graph: Graph, commits: Mapping[str, Commit], *, with_script: bool) -> str:
    """Return a graph as HTML.

    Args:
        graph: its series and events.
        commits: all of the page by their hash, oldest first; the graph shows those that it needs.
        with_script: whether plotly's script is in it, which one graph of a page needs.
    """
    import plotly.graph_objects as go

    shown = _shown(graph, commits)
    positions = {commit.commit_hash: position for position, commit in enumerate(shown)}
    marks = _lanes(_marks(graph, positions), last=len(shown) - 1)
    drawn = go.Figure([_trace(go, graph, number, shown) for number in range(len(graph.series))])
    for event in graph.events:
        _draw_event(drawn, event, positions)
    for mark, lane in marks:
        _draw(drawn, mark, lane, last=len(shown) - 1)
    if _near_one(graph):
        drawn.add_hline(y=1.0, line_dash="dot", line_color="#666")
    drawn.update_layout(**_layout(graph.series[0], shown, lanes=1 + max((lane for _, lane in marks), default=-1)))
    text: str = drawn.to_html(
        full_html=False, include_plotlyjs=with_script, config={"displayModeBar": False, "responsive": True}
    )
    return text


def _near_one(graph: Graph) -> bool:
    """Tell whether the line of "as fast as float32" can be drawn without pressing small steps flat."""
    values = [point.value for each in graph.series for point in each.points if point.value is not None]
    return graph.series[0].benchmark == SPEEDUP and min(values, default=1.0) < NEAR_ONE


def _shown(graph: Graph, commits: Mapping[str, Commit]) -> list[Commit]:
    """Return the commits of a graph, oldest first.

    At each of them a series has a point, or a change or an event begins or ends.
    """
    mine = {point.commit for each in graph.series for point in each.points}
    steps: list[StepRow | EventRow] = [change for series in graph.series for change in series.changes]
    for moved in (*steps, *graph.events):
        mine |= {moved.commit_before, moved.commit_after}
    return [commit for commit_hash, commit in commits.items() if commit_hash in mine]


def _trace(go: Any, graph: Graph, number: int, shown: Sequence[Commit]) -> Any:  # noqa: ANN401  plotly has no types
    """Return the line of one series, with a gap at each commit that the series lacks."""
    series, name = graph.series[number], graph.names[number]
    measured = {point.commit: point for point in series.points if point.value is not None}
    points = [measured.get(commit.commit_hash) for commit in shown]
    colour = COLOURS[number % len(COLOURS)]
    return go.Scatter(
        name=_escaped(name),
        x=list(range(len(shown))),
        y=[point and point.value for point in points],
        error_y={
            "array": [point and _reach(point, point.high) for point in points],
            "arrayminus": [point and _reach(point, point.low) for point in points],
            "thickness": 1,
            "width": 2,
        },
        mode="markers+lines",
        marker={"color": colour, "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 7 if len(shown) <= MANY else 4},
        line={"color": colour, "width": 1},
        customdata=[commit.href for commit in shown],
        text=[
            point and _hover(name, figure(point, series.unit), commit)
            for point, commit in zip(points, shown, strict=True)
        ],
        hoverinfo="text",
    )


def _reach(point: PointRow, end: float | None) -> float | None:
    """Return the distance from a point's value to an end of its interval; None where either is missing."""
    return None if point.value is None or end is None else abs(end - point.value)


def _hover(name: str, value: str, commit: Commit) -> str:
    return f"{_escaped(name)}: {_escaped(value)}<br>{_escaped(commit.short)}, {commit.date}"


def _marks(graph: Graph, positions: Mapping[str, int]) -> list[_Mark]:
    """Return the marks of a graph from left to right, one for all changes between the same commits."""
    groups: dict[tuple[int, int], list[tuple[str, StepRow]]] = defaultdict(list)
    for name, series in zip(graph.names, graph.series, strict=True):
        for change in series.changes:
            ends = positions[change.commit_before], positions[change.commit_after]
            groups[ends].append((name, change))
    return [
        _Mark(start=start, end=end, changes=sorted(changes, key=_worst_first))
        for (start, end), changes in sorted(groups.items())
    ]


def _worst_first(named: tuple[str, StepRow]) -> tuple[int, float]:
    return KINDS.index(kind(named[1])), -magnitude(named[1])


def _lanes(marks: Sequence[_Mark], *, last: int) -> list[tuple[_Mark, int]]:
    """Return each mark with the lane of its label, the outer lanes first.

    The lane is the lowest in which the label runs into no other.

    Labels grow towards the middle, so that the line down from a label passes beside those below it; where it does
    not, they cover it, being drawn later.
    """
    lanes: list[list[_Mark]] = [[] for _ in range(LANES)]
    for mark in sorted(marks, key=lambda each: abs(each.middle - last / 2)):
        free = (lane for lane in lanes if not any(_overlap(mark, other, last) for other in lane))
        next(free, lanes[-1]).append(mark)
    return [(mark, number) for number, lane in reversed(list(enumerate(lanes))) for mark in lane]


def _overlap(one: _Mark, other: _Mark, last: int) -> bool:
    """Tell whether two labels would run into each other on the narrowest screen."""
    width = LABEL_SHARE * (last + 1)
    starts = [each.middle - (0 if each.grows_right(last) else width) for each in (one, other)]
    return abs(starts[0] - starts[1]) < width


def _draw(drawn: Any, mark: _Mark, lane: int, *, last: int) -> None:  # noqa: ANN401  plotly has no types
    """Draw a band over the commits that a change lies between, a line in its middle, and the change above it."""
    name, change = mark.changes[0]
    colour = KIND_COLOURS[kind(change)]
    side = "left" if mark.grows_right(last) else "right"
    more = f" and {len(mark.changes) - 1} more" if len(mark.changes) > 1 else ""
    drawn.add_vrect(x0=mark.start, x1=mark.end, fillcolor=colour, opacity=0.1, line_width=0, layer="below")
    drawn.add_vline(x=mark.middle, line_color=colour, line_dash="dash", line_width=1)
    drawn.add_annotation(
        x=mark.middle,
        y=1,
        yref="paper",
        ax=0,
        ay=-4 - lane * LANE_PIXELS,
        arrowcolor=colour,
        arrowhead=0,
        arrowwidth=1,
        xanchor=side,
        yanchor="bottom",
        align=side,
        bgcolor="#fff",
        font={"size": 11, "color": colour},
        text=f"{kind(change)} {step(change)}<br>{_escaped(name)}{more}",
        hovertext="<br>".join(_escaped(f"{each}: {kind(it)} {step(it)}") for each, it in mark.changes),
    )


def _draw_event(drawn: Any, event: EventRow, positions: Mapping[str, int]) -> None:  # noqa: ANN401  plotly
    """Draw a grey band over the commits that an event lies between, and the common step at its foot."""
    ends = sorted((positions[event.commit_before], positions[event.commit_after]))
    drawn.add_vrect(x0=ends[0], x1=ends[1], fillcolor=EVENT_COLOUR, opacity=0.15, line_width=0, layer="below")
    drawn.add_vline(x=sum(ends) / 2, line_color=EVENT_COLOUR, line_dash="dot", line_width=1)
    drawn.add_annotation(
        x=sum(ends) / 2,
        y=0,
        yref="paper",
        showarrow=False,
        xanchor="left" if sum(ends) < max(positions.values(), default=0) else "right",
        yanchor="bottom",
        bgcolor="#fff",
        font={"size": 11, "color": EVENT_COLOUR},
        text=f"together x{1 + event.step:.3g}" if event.step is not None else "together",
        hovertext=_escaped(events.moved(event)),
    )


def _layout(series: SeriesRow, shown: Sequence[Commit], *, lanes: int) -> dict[str, Any]:
    count = min(MOST_TICKS, len(shown))
    ticks = sorted({round(each * (len(shown) - 1) / max(1, count - 1)) for each in range(count)})
    top = 20 + lanes * LANE_PIXELS
    return {
        "template": "simple_white",
        "height": 360 + top,
        "margin": {"t": top, "r": 40, "l": 60, "b": 90},
        "showlegend": series.benchmark == SPEEDUP,
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        "hovermode": "closest",
        "xaxis": {
            "tickangle": 0,
            "tickfont": {"size": 10},
            "tickvals": ticks,
            "ticktext": [f"{_escaped(shown[tick].short)}<br>{shown[tick].date}" for tick in ticks],
            "range": [-0.5, len(shown) - 0.5],
        },
        "yaxis": {"title": _axis(series)} | _tick_format(series.unit),
    }


def _escaped(text: str) -> str:
    """Return a text for plotly, which draws a few tags of HTML and knows no entity for a quote."""
    return html.escape(text, quote=False)


def _axis(series: SeriesRow) -> str:
    if series.benchmark == SPEEDUP:
        return "times as fast"
    return _escaped(series.unit or "value")


def _tick_format(unit: str | None) -> dict[str, Any]:
    """Return the format of ticks, in which seconds and bytes have the letters of their thousands: 120u, 64M."""
    return {"tickformat": "~s"} if unit in {"s", "seconds", "bytes"} else {}
