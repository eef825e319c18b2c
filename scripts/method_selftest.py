"""Puts the cells of selftests into METHOD.md, between its two markers.

int8bench selftest --thorough --json > selftest.json
python scripts/method_selftest.py selftest.json ...
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from int8bench import documents, files
from int8bench.documents import Json
from int8bench.selftest.answer import CellFigures, Counted, Figures

METHOD = Path(__file__).parents[1] / "METHOD.md"
BEGIN, END = "<!-- selftest:begin -->", "<!-- selftest:end -->"
COLUMNS = (
    "processor",
    "day",
    "batch",
    "threads",
    "races",
    "false alarms",
    "95 % intervals that exclude 1",
    "95 % intervals that exclude the slow-down",
    "slow-downs called slower",
    "median half-width",
    "smallest slow-down that is seen [95 %]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """Where and when a selftest was made."""

    created_at: str
    machine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A selftest as the table shows it."""

    made: _Made
    figures: Figures


def tested(document: Json, *, name: str) -> Tested:
    """Return what a document of ``selftest --json`` says.

    Args:
        document: which has the figures among its other keys.
        name: of it, for the sentence.

    Raises:
        RecordError: it says something else.
    """
    return Tested(
        made=documents.read(_Made, document, name=name, strict=False),
        figures=documents.read(Figures, document, name=name, strict=False),
    )


def main() -> None:
    """Reads the files named on the command line, and rewrites METHOD.md."""
    tests = [tested(json.loads(Path(name).read_text(encoding="utf-8")), name=name) for name in sys.argv[1:]]
    files.write_text(METHOD, filled(METHOD.read_text(encoding="utf-8"), tests))


def filled(method: str, tests: list[Tested]) -> str:
    """Return the text of METHOD.md with the table of these selftests in it.

    Args:
        method: the text, with both markers in it.
        tests: in the order of their rows.
    """
    before, begins, rest = method.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not begins or not ends:
        sys.exit(f"METHOD.md has no {BEGIN} with a {END} after it")
    rows = [row for test in tests for row in (*(_row(test, cell) for cell in test.figures.cells), _row_of_all(test))]
    lines = [" | ".join(COLUMNS), "|".join(["---"] * len(COLUMNS)), *rows]
    return "\n".join([f"{before}{BEGIN}", *(f"| {line} |" for line in lines), f"{END}{after}"])


def _row(test: Tested, cell: CellFigures) -> str:
    smallest = cell.smallest_slow_down
    seen = sum(slowed.verdict == "slower" for slowed in cell.slow_downs)
    figures = (
        test.made.machine,
        test.made.created_at[:10],
        cell.batch,
        cell.threads,
        cell.races,
        cell.false_alarms,
        "",
        "",
        f"{seen} of {len(cell.slow_downs)}",
        f"{cell.median_half_width:.2%}",
        f"{smallest.value:.1%} [{smallest.low:.1%}, {smallest.high:.1%}]",
    )
    return " | ".join(map(str, figures))


def _row_of_all(test: Tested) -> str:
    known = [slowed for cell in test.figures.cells for slowed in cell.slow_downs]
    figures = (
        test.made.machine,
        test.made.created_at[:10],
        "all",
        "all",
        test.figures.races,
        sum(cell.false_alarms for cell in test.figures.cells),
        _excluding(test.figures.coverage.itself),
        _excluding(test.figures.coverage.slowed),
        f"{sum(slowed.verdict == 'slower' for slowed in known)} of {len(known)}",
        f"{test.figures.median_half_width:.2%}",
        "",
    )
    return " | ".join(map(str, figures))


def _excluding(held: Counted) -> str:
    """How many intervals do not hold the truth."""
    return f"{held.trials - held.count} of {held.trials}"


if __name__ == "__main__":
    main()
