"""What a person asked `int8bench run` for, and how it is typed."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from int8bench import options
from int8bench.lab.clock import SILENCE_S
from int8bench.study.plan import budget
from int8bench.workload.cases import BATCHES, DATA, MODEL

SPARE_S = 60.0  # of a proposed budget: launches, checks and float32, beside what is to be included
SPARE = 1.5  # ... and how much longer that may take than foreseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for; None means that the study chooses. Defaults are those of the command line."""

    model: str = MODEL
    weights: Path | None = None
    input_shape: str | None = None
    engines: tuple[str, ...] | None = None
    batches: tuple[int, ...] = BATCHES
    threads: tuple[int, ...] | None = None
    data: str = DATA
    data_dir: Path | None = None
    precision: float = 0.01
    """Half-width of an interval to stop at, as a fraction."""
    accuracy_loss: float = 0.01
    """Of top-1, as a fraction: an engine that loses more is not ranked."""
    budget_s: float | None = None
    """The total, from start to exit."""
    quick: bool = False
    seed: int = 0
    timeout_s: float = SILENCE_S
    """How long a measuring process may be silent."""
    measuring_s: float | None = None
    """Of measuring alone, whatever comes on top: what a suite gives each commit; nothing is then promised."""

    @property
    def total_s(self) -> float:
        """How long the run may take from start to exit."""
        if self.budget_s is not None:
            return self.budget_s
        if self.measuring_s is not None:
            return math.inf
        return budget.QUICK_S if self.quick else budget.DEFAULT_S

    def command(self, *, engines: Sequence[str] | None, batches: Sequence[int], needed_s: float) -> str:
        """Return the command that measures a part of the request.

        Args:
            engines: of the part; None where the study chooses them.
            batches: of the part.
            needed_s: seconds that the part takes, of which the budget is made.
        """
        words = ["int8bench", "run"]
        given = {
            "--model": None if self.model == MODEL else self.model,
            "--weights": self.weights,
            "--input-shape": self.input_shape,
            "--data": None if self.data == DATA else self.data,
            "--data-dir": self.data_dir,
            "--engines": options.listed(engines) if engines else None,
            "--batch": options.listed(batches),
            "--threads": options.listed(self.threads) if self.threads else None,
            "--seed": self.seed or None,
            "--budget": options.typed_seconds(max(2 * SPARE_S, SPARE * needed_s + SPARE_S)),
        }
        for option, value in given.items():
            words += [] if value is None else [option, shlex.quote(str(value))]
        return " ".join([*words, *(["--quick"] if self.quick else [])])
