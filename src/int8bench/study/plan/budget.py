"""The time of a run from start to exit: its stated total, and a clock for the rest."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from int8bench import units

Clock = Callable[[], float]

QUICK_S = 300.0  # what --quick never takes longer than
DEFAULT_S = 600.0  # nor a run without a budget
START_S = 6.0  # of the least that a run takes: imports, the model and its data, leaving
ENDING_S = 4.0  # kept for the last record, the table and leaving
ENDING_SHARE = 1 / 60  # ... and of the total: larger grids have larger records, and a forecast is off by more
SHORTEST_S = 0.05  # a socket that is to wait for no time at all does not wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A total of seconds, counted from a moment of a clock; infinite where nothing was promised."""

    total_s: float
    started_s: float
    clock: Clock = time.monotonic

    @property
    def ending_s(self) -> float:
        """What is kept for the last record, the table and leaving."""
        return ENDING_S + ENDING_SHARE * self.total_s

    def spent_s(self) -> float:
        """Return the seconds since the start."""
        return self.clock() - self.started_s

    def left_s(self) -> float:
        """Return the seconds until everything but the ending must be done; 0 where that is past."""
        return max(0.0, self.total_s * (1 - ENDING_SHARE) - ENDING_S - self.spent_s())

    def is_over(self) -> bool:
        """Tell whether nothing but the ending fits."""
        return self.left_s() <= 0.0

    def limit_s(self, most_s: float) -> float:
        """Return the seconds to wait for a task that may take `most_s` seconds, but not past the end."""
        return max(SHORTEST_S, min(most_s, self.left_s()))

    def promise(self) -> str:
        """Return the total, as a person reads it."""
        return "as long as it takes" if math.isinf(self.total_s) else units.duration(self.total_s)

    def taken(self) -> str:
        """Return the sentence at the end: ``took 4 min 12 s of 5 min``."""
        took = f"took {units.duration(self.spent_s())}"
        return took if math.isinf(self.total_s) else f"{took} of {units.duration(self.total_s)}"


def unlimited() -> Budget:
    """Return a budget that promises nothing, from now on."""
    return Budget(total_s=math.inf, started_s=time.monotonic())


class TimeIsUp(Exception):  # noqa: N818  not a fault: what is measured is the answer
    """Raised within a study where its total is used up; never leaves it."""
