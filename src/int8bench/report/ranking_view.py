"""What the ranking's part of a page shows; the template is `ranking.html.j2`. Draws, never measures."""

from collections.abc import Mapping
from typing import Any

from int8bench import units
from int8bench.report.ranking import PAGE_LEGEND, Ranking, left_out, rows
from int8bench.report.recommendation import label, sentence


def view(ranking: Ranking, recommendation: Mapping[str, Any] | None, *, constant: bool = False) -> dict[str, object]:
    """The names that the template shows.

    Args:
        ranking: as a record keeps it.
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that no SQNR proves anything.
    """
    return {
        "settings": [label(setting) for setting in ranking],
        "rows": rows(ranking, constant=constant),
        "sentence": sentence(recommendation, constant=constant) if recommendation else None,
        "left_out": tuple(left_out(ranking)),
        "legend": PAGE_LEGEND,
    }


def interval(found: Mapping[str, float] | None) -> str:
    """A ratio with its interval, to three decimals; the fastest's own is 1 and has none."""
    if found is None:
        return ""
    if found["low"] == found["high"]:
        return units.ratio(found["value"])
    return f"{found['value']:.3f}x [{found['low']:.3f}, {found['high']:.3f}]"
