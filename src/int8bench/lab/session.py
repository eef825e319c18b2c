"""What every measurement of ours shares: blocks of launches up to each look, random order, an end that keeps figures.

A driver opens the launches and judges: `study/session` a grid, `compare/duet` two sides, `compare/pytest` the callables
of a test, `selftest` our own verdicts. Where they differ, each says why.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np

from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError
from int8bench.lab.progress import Advance, Progress

OVERRUN = 1.2  # of the time for measuring: what a forecast is off by before a block of launches is not begun
HEAP_SHIFT_BYTES = 2_000_000  # upper end of the random shift of the heap before anything is set up in a fork
STOPPED = "stopped"  # by the person: the reason where the lab has none

T = TypeVar("T")


def blocks(
    ends: Iterable[int], *, first: int = 0, has_time: Callable[[int], bool] = lambda _end: True
) -> Iterator[tuple[int, range]]:
    """Yield each look with the launches up to it, while there is time; where all has settled, the caller breaks.

    Args:
        ends: how many launches are done at each look; without an end where time alone ends it.
        first: launch to begin with.
        has_time: whether launches up to an end are begun, asked when those before are done.
    """
    for look, (begin, end) in enumerate(pairwise(chain((first,), ends))):
        if not has_time(end):
            return
        yield look, range(begin, end)


def shuffled(tasks: Sequence[T], rng: np.random.Generator) -> list[T]:
    """Return the tasks of a launch in random order, so that none has its first or last moments to itself.

    Args:
        tasks: in any order; they are left as they are.
        rng: draws the order.
    """
    return [tasks[i] for i in rng.permutation(len(tasks)).tolist()]


def seed_of_fork(rng: np.random.Generator) -> int:
    """Draw the seed of a fork."""
    return int(rng.integers(1 << 62))


def heap_shift(rng: np.random.Generator) -> int:
    """Draw the bytes that a fork takes before anything is set up: where data lies is luck, drawn in each fork anew."""
    return int(rng.integers(1, HEAP_SHIFT_BYTES))


@dataclass(slots=True, kw_only=True)
class Underway:
    """A measurement under way: how far it is, which is told, and how fast its launches measure."""

    advance: Advance
    done: float = 0.0
    total: float = 1.0
    phase: str = ""
    measured_s: float = 0.0
    """Seconds of measuring in launches, without their start."""
    paced: int = 0
    """The launches that took them: a measurement that goes on from a file has more."""

    def tell(self, phase: str) -> None:
        """Report the phase that begins now, with the progress so far."""
        self.phase = phase
        self.advance(Progress(done=min(self.done, self.total), total=self.total, phase=phase))

    def end(self) -> None:
        """Report that nothing is left; what settled early has made the total smaller."""
        self.total = self.done
        self.tell("done")

    def blocks(self, looks: Sequence[int], budget_s: float) -> Iterator[tuple[int, range]]:
        """Yield blocks of launches, until all up to the next look would overrun a budget at the pace so far.

        Args:
            looks: how many launches are done at each.
            budget_s: seconds planned for measuring.
        """
        return blocks(
            looks, has_time=lambda end: self.paced == 0 or self.measured_s * end / self.paced <= OVERRUN * budget_s
        )


def ended(sentence: str, *, figures: int) -> InterruptedRunError | NothingMeasuredError:
    """Return the error that ends a measurement which was stopped, by whether it has figures.

    Args:
        sentence: the message of the error.
        figures: how many there are.
    """
    return InterruptedRunError(sentence) if figures else NothingMeasuredError(sentence)


@contextmanager
def keeping(keep: Callable[[str], Exception]) -> Iterator[None]:
    """Run a block of measuring that Ctrl-C or a broken lab may end; its samples are then kept.

    Args:
        keep: saves it, and makes of the reason the error that says what there is and how to go on.

    Raises:
        InterruptedRunError: the person stopped it, or the lab broke down, with some figures.
        NothingMeasuredError: the same without any.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise keep(STOPPED) from None
    except LabError as error:
        raise keep(str(error)) from error
