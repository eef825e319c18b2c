"""What a side's suite is to the rest of the agent: named benchmarks that can be entered, and faults in a line. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..wire import Origins


def first_line(error: BaseException) -> str:
    """Return the kind of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


# What a benchmark gives: a call that is timed, text that is timed in a fresh interpreter each time, or a number.
TIME, FRESH, TRACK = "time", "fresh", "track"


class SkippedError(Exception):
    """A benchmark that says of itself that it cannot run here; the message is its reason."""


class BrokenSuiteError(Exception):
    """The suite's own code, or what it imports, does not let it be opened; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A benchmark that is set up: a call to time, or numbers by metric; `before` is called untimed before each call.

    Where other processes are what is measured, `timed` has one of them measured and gives its seconds, and `seen` says
    where the modules of the side's packages came from in them so far.
    """

    call: Callable[[], object] | None = None
    before: Callable[[], object] | None = None
    values: Mapping[str, float] | None = None
    timed: Callable[[], float] | None = None
    seen: Callable[[], Origins] | None = None


Within = Callable[[Opened], None]
"""What is done while a benchmark is set up; it is torn down when this returns."""


class Suite(Protocol):
    """The benchmarks of one side."""

    def names(self) -> Mapping[str, str]:
        """Return the kind of every benchmark, `TIME`, `FRESH` or `TRACK`, by its id, the same on both sides."""

    def left_out(self) -> Mapping[str, str]:
        """Return the reasons for benchmarks that are there and not measured, by their id or file."""

    def enter(self, name: str, within: Within) -> None:
        """Set a benchmark up, call `within` once, and tear it down.

        Args:
            name: of the benchmark.
            within: is called while it is set up.

        Raises:
            SkippedError: it cannot run here.
            Exception: whatever the benchmark itself raises.
        """
