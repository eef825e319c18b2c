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

from int8bench.errors import Int8BenchError, InterruptedRunError, LabError, NothingMeasuredError
from int8bench.lab.progress import Advance, Progress

OVERRUN = 1.2  # of the time for measuring: what a forecast is off by before a block of launches is not begun
SILENCE_S = 120.0  # for which a fork is waited for, unless a person says how long
HEAP_SHIFT_BYTES = 2_000_000  # upper end of the random shift of the heap before anything is set up in a fork
STOPPED = "stopped"  # by the person: the reason where the lab has none

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The launches between two looks; `last` is the first that is not in it."""

    look: int
    first: int
    last: int

    @property
    def launches(self) -> range:
        """The numbers of the launches."""
        return range(self.first, self.last)


def blocks(
    ends: Iterable[int], *, first: int = 0, has_time: Callable[[Block], bool] = lambda _block: True
) -> Iterator[Block]:
    """Yield block after block, as long as there is time for the next one; a driver that has settled leaves the loop.

    Args:
        ends: how many launches are done at each look; without an end where time alone ends it.
        first: launch of the first block.
        has_time: whether a block is begun, asked when the one before is done.
    """
    for look, (begin, end) in enumerate(pairwise(chain((first,), ends))):
        block = Block(look=look, first=begin, last=end)
        if not has_time(block):
            return
        yield block


def shuffled(tasks: Sequence[T], rng: np.random.Generator) -> list[T]:
    """Return the tasks of a launch in random order, so that none has the launch's first or last moments to itself."""
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
        """Tell what is being done from now on."""
        self.phase = phase
        self.advance(Progress(done=min(self.done, self.total), total=self.total, phase=phase))

    def end(self) -> None:
        """Tell that nothing is left; what settled early has made the total smaller."""
        self.total = self.done
        self.tell("done")

    def has_time(self, block: Block, budget_s: float) -> bool:
        """Tell whether all launches up to the end of a block keep to the time for measuring, at the pace so far."""
        return self.paced == 0 or self.measured_s * block.last / self.paced <= OVERRUN * budget_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a measurement that was stopped has: how many figures, and the sentence on them and how to go on."""

    figures: int
    sentence: str

    @property
    def error(self) -> Int8BenchError:
        """The error that ends the measurement, by whether it has figures."""
        return (InterruptedRunError if self.figures else NothingMeasuredError)(self.sentence)


@contextmanager
def keeping(keep: Callable[[str], Kept]) -> Iterator[None]:
    """Measure in a block that Ctrl-C or a broken lab may end, of which then is kept what there is.

    Args:
        keep: saves what there is, from the reason of the end.

    Raises:
        InterruptedRunError: it was stopped, or the lab broke down, with some figures.
        NothingMeasuredError: the same without any.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise keep(STOPPED).error from None
    except LabError as error:
        raise keep(str(error)).error from error
