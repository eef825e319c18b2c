"""The grid of float32 and int8 cells as a suite: what the side's own int8bench builds, through its facade.

Ids are ``contender/bN/tN`` for times, the same with ``#cost`` for peak memory, and ``contender#answers`` for accuracy
and the size of weights.
"""

import importlib
import inspect
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ..wire import GridOrder, Open
from .suite import TIME, TRACK, Opened, SkippedError, Within

COST, ANSWERS = "#cost", "#answers"


def open_suite(order: Open, _again: Callable[[], None]) -> "GridSuite":
    """Return the grid that an order names, prepared by the side's int8bench.

    Raises:
        SkippedError: the side's int8bench has no grid to open.
    """
    facade = importlib.import_module("int8bench.facade")  # the side's own, of whatever revision, not this tool's
    facade.adopt_settings()
    grid = getattr(facade, "grid", None)
    if grid is None:
        raise SkippedError("this revision's int8bench.facade has no grid; compare with a later one")
    asked = order.grid
    assert asked is not None
    contenders = tuple(asked.contenders)
    known = (
        {"batches": tuple(asked.batches)} if "batches" in inspect.signature(grid).parameters else {}
    )  # not in older revisions
    opened = grid(contenders=contenders, model=asked.model, input_shape=asked.input_shape, data=asked.data, **known)
    return GridSuite(opened, asked)


class GridSuite:
    """The cells of a grid, by their ids."""

    def __init__(self, grid: Any, asked: GridOrder) -> None:  # noqa: ANN401  of the side's own int8bench
        """Hold a facade's grid and the cells that are asked for."""
        self._grid = grid
        self._contenders = asked.contenders
        cells = itertools.product(asked.threads, asked.batches, asked.contenders)
        self._cells = {f"{c}/b{b}/t{t}": (c, b, t) for t, b, c in cells}

    def names(self) -> Mapping[str, str]:
        """Return the kind of every cell by its id: times first, then costs, then answers."""
        costs = {f"{name}{COST}": TRACK for name in self._cells}
        return {**dict.fromkeys(self._cells, TIME), **costs, **{f"{c}{ANSWERS}": TRACK for c in self._contenders}}

    def left_out(self) -> Mapping[str, str]:
        """Return nothing: a contender that cannot run here says so when it is entered."""
        return {}

    def enter(self, name: str, within: Within) -> None:
        """Build the cell's contender anew in this process.

        Args:
            name: the id of the cell.
            within: is called while it is built.

        Raises:
            SkippedError: it cannot run here.
        """
        try:
            within(self._opened(name))
        except NotImplementedError as error:
            raise SkippedError(str(error)) from error

    def _opened(self, name: str) -> Opened:
        if name.endswith(ANSWERS):
            return Opened(values=dict(self._grid.answers(name.removesuffix(ANSWERS))))
        contender, batch, threads = self._cells[name.removesuffix(COST)]
        if name.endswith(COST):
            return Opened(values=dict(self._grid.cost(contender, batch=batch, threads=threads)))
        return Opened(call=self._grid.forward(contender, batch=batch, threads=threads))
