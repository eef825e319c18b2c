"""What a side's suite is to the rest of the peer: named benchmarks that can be entered. Pure types."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

TIME, TRACK = "time", "track"  # what a benchmark gives: a call that is timed, or a number


class SkippedError(Exception):
    """A benchmark that says of itself that it cannot run here; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A benchmark that is set up: a call to time, or numbers by metric; `before` is called untimed before each call."""

    call: Callable[[], object] | None = None
    before: Callable[[], object] | None = None
    values: Mapping[str, float] | None = None


Within = Callable[[Opened], None]
"""What is done while a benchmark is set up; it is torn down when this returns."""


class Suite(Protocol):
    """The benchmarks of one side."""

    def names(self) -> Mapping[str, str]:
        """Every benchmark by its id, the same on both sides, and whether it is of `TIME` or `TRACK`."""

    def left_out(self) -> Mapping[str, str]:
        """What is there and is not measured, by its id or file, with the reason."""

    def enter(self, name: str, within: Within) -> None:
        """Sets a benchmark up, calls `within` once, and tears it down.

        Raises:
            SkippedError: it cannot run here.
            Exception: whatever the benchmark itself raises.
        """
