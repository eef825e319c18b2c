"""The grid as a suite: its ids, what each of them asks of the side's own facade, and a contender that cannot run."""

from collections.abc import Callable, Mapping, Sequence

import pytest

from int8bench import facade
from int8bench.lab.agent.suites import grid_suite
from int8bench.lab.agent.suites.suite import TIME, TRACK, Opened, SkippedError
from int8bench.lab.agent.wire import GridOrder, Open

ORDER = Open(
    suite="grid",
    folder="/anywhere",
    packages=["int8bench"],
    path=[],
    measured=[],
    seed=0,
    grid=GridOrder(
        contenders=["float32", "fbgemm"],
        batches=[1, 8],
        threads=[1, 2],
        model="a.b:c",
        input_shape="3x8x8",
        data="digits",
    ),
)


class _Grid:
    """Answers like a facade's grid, and logs what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def forward(self, contender: str, *, batch: int, threads: int) -> Callable[[], object]:
        self.asked.append(("forward", contender, batch, threads))
        if batch == 8:
            raise NotImplementedError("fbgemm needs AVX2")
        return lambda: "called"

    def cost(self, contender: str, *, batch: int, threads: int) -> Mapping[str, float]:
        self.asked.append(("cost", contender, batch, threads))
        return {"peak_memory": 1e6}

    def answers(self, contender: str) -> Mapping[str, float]:
        self.asked.append(("answers", contender))
        return {"weights": 10.0, "top1": 0.9}


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch) -> _Grid:
    """Stands where the side's own grid stands."""
    grid = _Grid()

    def opened(*, contenders: Sequence[str], model: str, input_shape: str | None, data: str) -> _Grid:
        grid.asked.append(("grid", tuple(contenders), model, input_shape, data))
        return grid

    monkeypatch.setattr(facade, "grid", opened)
    monkeypatch.setattr(facade, "adopt_settings", lambda: grid.asked.append(("settings",)))
    return grid


def entered(suite: grid_suite.GridSuite, name: str) -> Opened:
    """What is opened for a name."""
    found: list[Opened] = []
    suite.enter(name, found.append)
    return found[0]


def test_settings_are_adopted_before_the_grid_is_prepared(grid: _Grid) -> None:
    """They must be there before a library reads them; the grid is asked for with the order alone."""
    grid_suite.open_suite(ORDER, list)
    assert grid.asked == [("settings",), ("grid", ("float32", "fbgemm"), "a.b:c", "3x8x8", "digits")]


@pytest.mark.usefixtures("grid")
def test_every_cell_has_a_time_and_a_cost_and_every_contender_answers() -> None:
    """In the order of threads, batches, contenders; nothing is left out silently."""
    suite = grid_suite.open_suite(ORDER, list)
    names = suite.names()
    cells = [f"{c}/b{b}/t{t}" for t in (1, 2) for b in (1, 8) for c in ("float32", "fbgemm")]
    assert [name for name, kind in names.items() if kind == TIME] == cells
    assert [name for name, kind in names.items() if kind == TRACK] == [
        *(f"{cell}#cost" for cell in cells),
        *("float32#answers", "fbgemm#answers"),
    ]
    assert suite.left_out() == {}


def test_each_name_opens_what_it_says(grid: _Grid) -> None:
    """A call to time, the memory of a cell, the answers of a contender."""
    suite = grid_suite.open_suite(ORDER, list)
    call = entered(suite, "fbgemm/b1/t2").call
    assert call is not None
    assert call() == "called"
    assert entered(suite, "float32/b8/t1#cost").values == {"peak_memory": 1e6}
    assert entered(suite, "fbgemm#answers").values == {"weights": 10.0, "top1": 0.9}
    assert grid.asked[2:] == [("forward", "fbgemm", 1, 2), ("cost", "float32", 8, 1), ("answers", "fbgemm")]


@pytest.mark.usefixtures("grid")
def test_a_contender_that_cannot_run_skips() -> None:
    """With the facade's reason, and nothing is measured."""
    suite = grid_suite.open_suite(ORDER, list)
    with pytest.raises(SkippedError, match="fbgemm needs AVX2"):
        suite.enter("fbgemm/b8/t1", lambda _: pytest.fail("nothing to measure"))


def test_a_revision_without_a_grid_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """An older int8bench cannot be raced on the grid."""
    monkeypatch.setattr(facade, "adopt_settings", lambda: None)
    monkeypatch.delattr(facade, "grid")
    with pytest.raises(SkippedError, match="has no grid; compare with a later one"):
        grid_suite.open_suite(ORDER, list)
