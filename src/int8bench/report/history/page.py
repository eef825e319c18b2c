"""The history as one HTML page that needs nothing from outside: speed-ups over commits, what changed, findings.

Draws what `int8bench history --json` says; never searches, never measures, opens no file.
"""

from int8bench.report.history import events, plots, view
from int8bench.report.history.document import HistoryDocument
from int8bench.report.page import rendered

MOST_GRAPHS = 60  # a browser draws these in a few seconds; the rest stays in the tables


def page(document: HistoryDocument, *, show_commit_url: str = "#", home: str | None = None) -> str:
    """Return the page of a history, as HTML with its scripts inside.

    Args:
        document: what `int8bench history --json` prints.
        show_commit_url: what goes before a commit's hash, as in asv's configuration; where it is no web address, a
            commit leads to its figures on the page itself.
        home: the address of the page to go back to.
    """
    series = view.unmirrored(document.series)
    commits = view.commits(series, show_commit_url)
    graphs = view.graphs(series, document.events)
    listed = view.listed(series, graphs)
    return rendered(
        "history.html.j2",
        {
            "params": view.params,
            "where": view.where,
            "moved": events.moved,
            "cause": events.cause,
            "settle": events.settle,
        },
        document=document,
        claims=list(events.claim(document)),
        events=sorted(document.events, key=lambda each: -view.magnitude(each)),
        known=commits,
        series=series,
        home=home,
        graphs=graphs[:MOST_GRAPHS],
        graphs_left_out=len(graphs[MOST_GRAPHS:]),
        plots=[plots.plot(graph, commits, with_script=not number) for number, graph in enumerate(graphs[:MOST_GRAPHS])],
        changes=view.change_rows(series, commits),
        worse=view.WORSE,
        commits=list(reversed(commits.values())),
        figures=view.figures(listed),
        series_left_out=len(series) - len(listed),
    )
