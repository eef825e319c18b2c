"""The history as one HTML page that needs nothing from outside: speed-ups over commits, what changed, findings.

Draws what `int8bench history --json` says; never searches, never measures, opens no file.
"""

from collections.abc import Mapping
from typing import Any

from int8bench.report import history_events, history_plots, history_view
from int8bench.report.html import rendered

MOST_GRAPHS = 60  # a browser draws these in a few seconds; the rest stays in the tables


def page(document: Mapping[str, Any], *, show_commit_url: str = "#", home: str | None = None) -> str:
    """The page of a history, as HTML with its scripts inside.

    Args:
        document: what `int8bench history --json` prints.
        show_commit_url: what goes before a commit's hash, as in asv's configuration; where it is no web address, a
            commit leads to its figures on the page itself.
        home: the address of the page to go back to.
    """
    series = history_view.unmirrored(document["series"])
    commits = history_view.commits(series, show_commit_url)
    graphs = history_view.graphs(series, document["events"])
    listed = history_view.listed(series, graphs)
    return rendered(
        "history.html.j2",
        {
            "params": history_view.params,
            "where": history_view.where,
            "moved": history_events.moved,
            "cause": history_events.cause,
            "settle": history_events.settle,
        },
        document=document,
        claims=list(history_events.claim(document)),
        events=sorted(document["events"], key=lambda each: -history_view.magnitude(each)),
        known=commits,
        series=series,
        home=home,
        graphs=graphs[:MOST_GRAPHS],
        graphs_left_out=len(graphs[MOST_GRAPHS:]),
        plots=[
            history_plots.plot(graph, commits, with_script=not number)
            for number, graph in enumerate(graphs[:MOST_GRAPHS])
        ],
        changes=history_view.change_rows(series, commits),
        worse=history_view.WORSE,
        commits=list(reversed(commits.values())),
        figures=history_view.figures(listed),
        series_left_out=len(series) - len(listed),
    )
