"""A run as one HTML page that needs nothing from outside: plots, every figure, findings. Draws, never measures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from int8bench import units
from int8bench.report.ranking import view
from int8bench.report.text import answers, guesses, is_constant, machine_of, model_of, proven
from int8bench.report.words import exact_interval
from int8bench.study.cells import BEST, NAIVE, OK, Cell
from int8bench.study.records import Run
from int8bench.workload.cases import INT8


def rendered(template: str, filters: Mapping[str, Callable[..., object]], **names: object) -> str:
    """Return a template of ours with its names filled in; text from a record is escaped.

    Args:
        template: a file in `report/templates`.
        filters: by the names that the template calls them.
        **names: what the template shows.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    environment = Environment(
        loader=PackageLoader("int8bench.report"), autoescape=select_autoescape(["html", "j2"]), trim_blocks=True
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**names)


FILTERS: Mapping[str, Callable[..., object]] = {
    "seconds": units.seconds,
    "size": units.size,
    "ratio": units.ratio,
    "rate": units.rate,
    "share": units.share,
    "interval": exact_interval,
    "proven": proven,
}


def page(run: Run) -> str:
    """Return the page of a run, as HTML with its scripts inside."""
    return rendered(
        "run.html.j2",
        FILTERS,
        run=run,
        answers=answers(run),
        machine=machine_of(run),
        model=model_of(run),
        cells=sorted(run.cells, key=lambda each: (each.threads, each.batch)),
        ok=OK,
        best=BEST,
        naive=NAIVE,
        plots=_plots(run),
        guesses=guesses(run),
        ranking=view(run.ranking, run.recommendation, constant=is_constant(run)),
    )


def _plots(run: Run) -> list[str]:
    """Return a plot for each thread count: speed-ups over the best float32, with intervals.

    The script of plotly is in the first of them.
    """
    import plotly.graph_objects as go

    plots: list[str] = []
    for threads in sorted({cell.threads for cell in run.cells}):
        figure = go.Figure()
        for engine in dict.fromkeys(cell.engine for cell in run.cells if cell.precision == INT8):
            mine = [cell for cell in run.cells if (cell.engine, cell.threads) == (engine, threads) and cell.speedups]
            figure.add_trace(_trace(go, engine, sorted(mine, key=lambda each: each.batch)))
        figure.add_hline(y=1.0, line_dash="dot", line_color="#666")
        figure.update_layout(
            title=f"int8 speed-up over the best float32, {threads} thread{'s' if threads > 1 else ''}",
            xaxis={"title": "batch", "type": "category"},
            yaxis={"title": "times as fast", "rangemode": "tozero"},
            template="simple_white",
            height=380,
            margin={"t": 50, "r": 20},
        )
        plots.append(figure.to_html(full_html=False, include_plotlyjs=not plots, config={"displaylogo": False}))
    return plots


def _trace(go: Any, engine: str, cells: Sequence[Cell]) -> Any:  # noqa: ANN401  plotly has no types
    points = [(cell, best) for cell in cells if (best := cell.speedup(BEST)) is not None]
    return go.Scatter(
        name=engine,
        x=[str(cell.batch) for cell, _ in points],
        y=[best.value for _, best in points],
        error_y={
            "array": [best.high - best.value for _, best in points],
            "arrayminus": [best.value - best.low for _, best in points],
        },
        mode="markers+lines",
        text=[f"{best.verdict} [{best.low:.3f}, {best.high:.3f}]" for _, best in points],
    )
