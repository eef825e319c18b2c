"""The front that benchmark suites call: what it answers from a finished race, and what it refuses."""

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench import documents, facade
from int8bench.errors import LabError, NothingMeasuredError, RequestError
from int8bench.lab.agent.wire import First, GridOrder, TurnSample, Warm
from int8bench.lab.peers import PeerLaunch, PeerOrder, Place, SideSkippedError, Turns, launched
from int8bench.study import records
from int8bench.tracking import side
from int8bench.workload.fidelity import Fidelity

GOLDEN = Path(__file__).parent / "golden/runs/quick.json"
ARGUMENTS = {"engine": "fbgemm", "batches": (1,), "budget_s": 30.0, "model": "simplecnn"}


@pytest.fixture(scope="module")
def compared() -> facade.Comparison:
    """A real run of fbgemm on batch 1 and 8, one thread."""
    run = records.load(GOLDEN)
    cells = tuple(cell for cell in run.cells if cell.engine in {"torch", "fbgemm"})
    return facade.Comparison(run=replace(run, cells=cells), engine="fbgemm")


def test_the_front_is_what_suites_of_other_commits_call() -> None:
    """A name that goes, or an argument, breaks every suite that is run against this commit."""
    assert set(facade.__all__) == {
        "FLOAT32",
        "Comparison",
        "adopt_settings",
        "compare",
        "forward",
        "grid",
        "make_importable",
        "publish",
        "usable_threads",
    }
    assert set(inspect.signature(facade.compare).parameters) == {*ARGUMENTS, "threads", "input_shape", "data"}
    assert set(inspect.signature(facade.forward).parameters) == {
        "contender",
        "batch",
        "threads",
        "model",
        "input_shape",
        "data",
    }


def test_the_front_costs_no_torch() -> None:
    """Settings must be adopted before a library is loaded that reads them."""
    program = "import sys, int8bench.facade; print([n for n in ('torch', 'numpy', 'scipy') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_speed_up_is_the_records(compared: facade.Comparison) -> None:
    """The headline of the cell asked for."""
    cell = next(each for each in compared.run.cells if (each.engine, each.batch) == ("fbgemm", 8))
    assert compared.speedup(batch=8, threads=1) == documents.written(cell.speedup("best_float32"))


def test_the_noise_of_int8_is_the_records_and_none_is_infinite(compared: facade.Comparison) -> None:
    """Answers that are the same to the bit have no noise."""
    cell = next(each for each in compared.run.cells if each.engine == "fbgemm")
    assert cell.fidelity is not None
    assert compared.sqnr_db == cell.fidelity.sqnr_db
    exact = replace(cell, fidelity=replace(cell.fidelity, sqnr_db=None))
    assert facade.Comparison(run=replace(compared.run, cells=(exact,)), engine="fbgemm").sqnr_db == float("inf")


def test_a_cell_that_was_not_raced_or_failed_says_why(compared: facade.Comparison) -> None:
    """Not a missing key somewhere, and never a number."""
    with pytest.raises(NothingMeasuredError, match="fbgemm, batch 32, 1 threads: not raced"):
        compared.speedup(batch=32, threads=1)
    cells = tuple(
        replace(each, status="failed", error="it crashed", speedups=(), fidelity=None) for each in compared.run.cells
    )
    failed = facade.Comparison(run=replace(compared.run, cells=cells), engine="fbgemm")
    with pytest.raises(NothingMeasuredError, match="it crashed"):
        failed.speedup(batch=8, threads=1)
    with pytest.raises(NothingMeasuredError, match="it crashed"):
        _ = failed.sqnr_db


def test_more_threads_than_there_are_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are left out beside others; alone they are refused, not replaced by a default."""
    monkeypatch.setattr(facade, "usable_threads", lambda: 2)
    with pytest.raises(RequestError, match="this machine has 2 usable cores"):
        facade.compare(threads=(4, 8), **ARGUMENTS)


def test_what_is_published_is_kept_beside_asvs_results(
    compared: facade.Comparison, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The numbers that the suite looks up are those of the side file."""
    monkeypatch.setattr(facade, "_health", lambda: {("fbgemm", "error"): 0})
    for name, value in (("ASV_CONF_DIR", str(tmp_path)), ("ASV_ENV_NAME", "env"), ("ASV_COMMIT", "c" * 40)):
        monkeypatch.setenv(name, value)
    values = facade.publish(compared, heeded={"GOMP_SPINCOUNT": True})
    (kept,), problems = side.load_all(tmp_path / "results")
    assert problems == ()
    assert {point.benchmark for point in kept.points} == set(values)
    assert values["speedup.Speedup.track_speedup"]["8", "1"] == compared.speedup(batch=8, threads=1)["value"]
    assert kept.got["heeded"] == {"GOMP_SPINCOUNT": True}


@pytest.mark.parametrize("place", ["", "src"])
def test_a_model_in_the_checkout_becomes_importable_if_nothing_else_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """From the top of the checkout or its src; a package that is installed is left alone."""
    (tmp_path / place / "shop_of_a_checkout").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    facade.make_importable("simplecnn", tmp_path)
    facade.make_importable("os:getcwd", tmp_path)
    assert sys.path == before
    facade.make_importable("shop_of_a_checkout.models:make", tmp_path)
    assert str(tmp_path / place).rstrip(os.sep) in sys.path


MODEL = """
from torch import nn

def make():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
"""


def _grid(folder: Path, **options: object) -> tuple[list[Place], PeerOrder]:
    """A side that has this int8bench, and an order for a grid of a small model of somebody's."""
    (folder / "grid_toy.py").write_text(MODEL, encoding="utf-8")
    source = Path(facade.__file__).parents[1]
    place = Place(
        label="head",
        python=sys.executable,
        path=(str(source), str(folder)),
        folder=str(folder),
        packages=("int8bench", "grid_toy"),
    )
    wanted: Mapping[str, object] = {
        "contenders": ["float32", "qnnpack", "nowhere"],
        "batches": [2],
        "threads": [1],
        "model": "grid_toy:make",
        "input_shape": "3x8x8",
        "data": "digits",
    }
    return [place], PeerOrder(suite="grid", grid=GridOrder(**{**wanted, **options}))


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PeerLaunch]:
    """A process of a side that has prepared a grid, and forks a process for each of its cells."""
    pytest.importorskip("torch")
    with launched(*_grid(tmp_path_factory.mktemp("grid")), timeout_s=300) as (only,):
        yield only


@contextmanager
def _open(grid: PeerLaunch, name: str) -> Iterator[Turns]:
    """A name of the grid, in a fork; it must end well."""
    turns = grid.enter(name, cores=(), shift=1, timeout_s=120)
    try:
        yield turns
        turns.finish(120)
    finally:
        turns.end()


def _numbers(grid: PeerLaunch, name: str) -> Mapping[str, float]:
    """What a name of the grid tracks."""
    with _open(grid, name) as turns:
        return turns.values or {}


@pytest.mark.torch
def test_a_cell_of_a_grid_is_a_call_in_each_fork(grid: PeerLaunch) -> None:
    """One preparation serves them all, on one thread, so that no fork waits for threads that it has not."""
    for name in ("float32/b2/t1", "qnnpack/b2/t1"):
        for _ in range(2):
            with _open(grid, name) as turns:
                turns.ask(First(cores=[]), 120)
                assert turns.ask(Warm(duration_s=0.01), 120).fastest_s > 0
                assert turns.ask(TurnSample(calls=3, untimed=1), 120).mean_s > 0


@pytest.mark.torch
def test_a_cell_of_a_grid_has_a_cost(grid: PeerLaunch) -> None:
    """The peak of its memory in a process that did nothing else."""
    cost = _numbers(grid, "float32/b2/t1#cost")
    assert cost.keys() == {"peak_memory"}
    assert cost["peak_memory"] >= 0


@pytest.mark.torch
def test_a_contender_of_a_grid_answers(grid: PeerLaunch) -> None:
    """Bytes of weights, and for int8 the noise that quantization adds."""
    float32, int8 = (_numbers(grid, f"{name}#answers") for name in ("float32", "qnnpack"))
    assert float32.keys() == {"weights"}  # its weights are random, so it has no top-1
    assert int8.keys() == {"weights", "sqnr"}
    assert int8["weights"] < float32["weights"]
    assert 0 < int8["sqnr"] < 100
    assert _numbers(grid, "qnnpack#answers") == int8


@pytest.mark.torch
@pytest.mark.parametrize(
    ("guesses", "constant", "told"),
    [
        (False, False, {"weights", "top1", "sqnr"}),
        (True, False, {"weights", "sqnr"}),
        (False, True, {"weights", "top1"}),
    ],
)
def test_what_proves_nothing_is_no_answer(
    guesses: bool,  # noqa: FBT001
    constant: bool,  # noqa: FBT001
    told: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Top-1 of random weights is left out, and so is the SQNR of answers that no picture changes."""
    pytest.importorskip("torch")
    from int8bench.study.session import worker
    from int8bench.study.session.conversions import ConversionOutcome

    answered = worker.Checked(
        fidelity=Fidelity(sqnr_db=40.0, agreement=1.0, top1=0.1, top1_float32=0.1, constant_float32=constant),
        objection=None,
        weights_bytes=1,
        serialized_bytes=1,
        evidence={},
    )
    monkeypatch.setattr(worker, "checked", lambda *_: answered)
    monkeypatch.setattr(facade.Grid, "_placed", lambda *_: (None, None))
    grid = facade.Grid(prepared=None, converted=ConversionOutcome(came={}), guesses=guesses)
    assert set(grid.answers("qnnpack")) == told


@pytest.mark.torch
@pytest.mark.parametrize("name", ["nowhere/b2/t1", "nowhere/b2/t1#cost", "nowhere#answers"])
def test_an_engine_that_cannot_run_skips(grid: PeerLaunch, name: str) -> None:
    """With the reason that was found while the grid was prepared; the others are measured."""
    with pytest.raises(SideSkippedError, match=r"head: .*nowhere"):
        grid.enter(name, cores=(), shift=1, timeout_s=120)


@pytest.mark.torch
def test_a_grid_that_cannot_be_prepared_says_why(tmp_path: Path) -> None:
    """In the words of the error, before anything is measured."""
    pytest.importorskip("torch")
    refused = pytest.raises(
        LabError, match=r"^head: the suite does not open: DataError: --data didgits: unknown; did you"
    )
    with refused, launched(*_grid(tmp_path, data="didgits"), timeout_s=300):
        pytest.fail("it serves")
