"""What the suite's classes share: the grid, the package's facade, and one measurement for all that is tracked."""

import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ._subject import DATA, ENGINE, INPUT_SHAPE, MODEL

# The same on every machine: a cell that a machine cannot run is skipped there.
CONTENDERS = ("float32", ENGINE)
BATCHES = (1, 8, 32, 128)
THREADS = (1, 2, 4, 8)
BUDGET_S = float(os.environ.get("INT8BENCH_BUDGET_S", "60"))
SETUP_TIMEOUT_S = 900.0

Tracked = Mapping[str, Mapping[tuple[str, ...], float]]
"""Benchmark -> parameters as asv spells them -> number."""
Method = TypeVar("Method", bound=Callable[..., float])


def facade(part: str) -> Any:  # noqa: ANN401  another commit's function
    """A part of the package's facade.

    Raises:
        NotImplementedError: the measured commit does not have it yet; asv then skips the benchmark.
    """
    try:
        from int8bench import facade as front
    except ImportError:
        raise _skipped("the measured commit has no int8bench.facade") from None
    if not hasattr(front, part):
        raise _skipped(f"the measured commit's int8bench.facade has no {part}")
    return getattr(front, part)


def _skipped(reason: str) -> NotImplementedError:
    sys.stderr.write(f"skipped: {reason}\n")
    return NotImplementedError(reason)


def _adopted() -> Mapping[str, bool]:
    """Settings first, before a library is loaded that reads them; then the way to a model in this checkout."""
    try:
        adopted: Mapping[str, bool] = facade("adopt_settings")()
        facade("make_importable")(MODEL, Path(__file__).parents[1])
    except NotImplementedError:
        return {}
    return adopted


HEEDED = _adopted()


class _Tracked:
    """Numbers of one measurement, which every class that inherits this shares: asv knows it by its place here."""

    timeout = 60.0

    def setup_cache(self) -> Tracked:
        """Races the whole grid once; nothing where the measured commit cannot."""
        try:
            compare, publish = facade("compare"), facade("publish")
        except NotImplementedError:
            return {}
        compared = compare(
            engine=ENGINE,
            batches=BATCHES,
            threads=THREADS,
            budget_s=BUDGET_S,
            model=MODEL,
            input_shape=INPUT_SHAPE,
            data=DATA,
        )
        tracked: Tracked = publish(compared, heeded=HEEDED)
        return tracked

    setup_cache.timeout = SETUP_TIMEOUT_S

    def number(self, tracked: Tracked, name: str, *params: object) -> float:
        """The tracked number of that name and parameters; NaN, which asv shows as n/a, where there is none here."""
        return tracked.get(name, {}).get(tuple(repr(each) for each in params), math.nan)


def shown(pretty_name: str, unit: str) -> Callable[[Method], Method]:
    """Names a benchmark, and the unit of its number, for asv."""

    def mark(method: Method) -> Method:
        vars(method).update(pretty_name=pretty_name, unit=unit)
        return method

    return mark
