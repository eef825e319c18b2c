"""The front that benchmark suites call: what it answers from a finished race, and what it refuses."""

import inspect
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench import facade, records
from int8bench.errors import NothingMeasuredError, RequestError
from int8bench.tracking import side

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
    assert compared.speedup(batch=8, threads=1) == cell.speedup("best_float32")


def test_the_noise_of_int8_is_the_records_and_none_is_infinite(compared: facade.Comparison) -> None:
    """Answers that are the same to the bit have no noise."""
    cell = next(each for each in compared.run.cells if each.engine == "fbgemm")
    assert cell.fidelity is not None
    assert compared.sqnr_db == cell.fidelity["sqnr_db"]
    exact = replace(cell, fidelity={**cell.fidelity, "sqnr_db": None})
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
