"""Puts the cells of selftests into METHOD.md, between its two markers.

int8bench selftest --thorough --json > selftest.json
python scripts/method_selftest.py selftest.json ...
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from int8bench import documents, files

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
class _Bounded:
    """A figure with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _SlowDown:
    """What was said of a known slow-down."""

    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Raced:
    """What the races of one cell came to."""

    batch: int
    threads: int
    races: int
    false_alarms: int
    median_half_width: float
    smallest_slow_down: _Bounded
    slow_downs: tuple[_SlowDown, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """Intervals that hold the truth."""

    count: int
    trials: int

    @property
    def excluded(self) -> str:
        """How many do not hold it."""
        return f"{self.trials - self.count} of {self.trials}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coverage:
    """Intervals of both kinds of race, of all cells together: a selftest does not count them cell by cell."""

    itself: _Held
    slowed: _Held


@dataclass(frozen=True, slots=True, kw_only=True)
class _Selftest:
    """What a selftest says of a machine, as far as the table shows it."""

    created_at: str
    machine: str
    races: int
    median_half_width: float
    coverage: _Coverage
    cells: tuple[_Raced, ...]


def main() -> None:
    """Reads the files named on the command line, and rewrites METHOD.md."""
    tests = [
        documents.read(_Selftest, documents.load(Path(name), by="int8bench selftest --json"), name=name, strict=False)
        for name in sys.argv[1:]
    ]
    files.write_text(METHOD, filled(METHOD.read_text(encoding="utf-8"), tests))


def filled(method: str, tests: list[_Selftest]) -> str:
    """Return the text of METHOD.md with the table of these selftests in it.

    Args:
        method: the text, with both markers in it.
        tests: in the order of their rows.
    """
    before, begins, rest = method.partition(BEGIN)
    _, ends, after = rest.partition(END)
    if not begins or not ends:
        sys.exit(f"METHOD.md has no {BEGIN} with a {END} after it")
    rows = [row for test in tests for row in (*(_row(test, cell) for cell in test.cells), _row_of_all(test))]
    lines = [" | ".join(COLUMNS), "|".join(["---"] * len(COLUMNS)), *rows]
    return "\n".join([f"{before}{BEGIN}", *(f"| {line} |" for line in lines), f"{END}{after}"])


def _row(test: _Selftest, cell: _Raced) -> str:
    smallest = cell.smallest_slow_down
    seen = sum(slowed.verdict == "slower" for slowed in cell.slow_downs)
    figures = (
        test.machine,
        test.created_at[:10],
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


def _row_of_all(test: _Selftest) -> str:
    known = [slowed for cell in test.cells for slowed in cell.slow_downs]
    figures = (
        test.machine,
        test.created_at[:10],
        "all",
        "all",
        test.races,
        sum(cell.false_alarms for cell in test.cells),
        test.coverage.itself.excluded,
        test.coverage.slowed.excluded,
        f"{sum(slowed.verdict == 'slower' for slowed in known)} of {len(known)}",
        f"{test.median_half_width:.2%}",
        "",
    )
    return " | ".join(map(str, figures))


if __name__ == "__main__":
    main()
