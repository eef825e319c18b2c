"""Engines of another package, each broken in one way, through the whole of int8bench run: each fault has its place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from int8bench.study import records
from int8bench.study.cells import Cell
from int8bench.study.records import Run

HELPERS = Path(__file__).parents[1] / "helpers"
sys.path.insert(0, str(HELPERS))
import toy_engine  # noqa: E402  tests are no package: their helpers are found by path

sys.path.remove(str(HELPERS))

pytestmark = pytest.mark.slow
MODEL = ("--model", "toy_engine:model", "--input-shape", "3x8x8", "--batch", "1", "--threads", "1")
CRASHING = "toy-crashing"  # in a run of its own: it takes the race of a launch with it, and four are few
OTHERS = tuple(name for name in toy_engine.ENTRY_POINTS if name != CRASHING)
# The faults that findings can name; that a process has died, and that memory is kept, cells tell.
FAULTS = {"cell-failed", "ran-as-float", "partly-float", "evidence-missing", "slower-than-float32", "accuracy-loss"}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as pip would leave it: the engine's one file, and the metadata that names it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "toy_engine.py").write_text((HELPERS / "toy_engine.py").read_text(encoding="utf-8"), encoding="utf-8")
    metadata = folder / "toy_engine-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-engine\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"{name} = {factory}" for name, factory in toy_engine.ENTRY_POINTS.items()]
    entries = "\n".join(["[int8bench.engines]", *lines, ""])
    (metadata / "entry_points.txt").write_text(entries, encoding="utf-8")
    return folder


def run_of(engines: tuple[str, ...], package: Path, cache: Path, folder: Path) -> Run:
    """The record of a run of engines beside torch's float32, which is bad news."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "int8bench.cli", "run", "--engines", ",".join(engines), *MODEL),
            *("--quick", "--budget", "10m", "-o", "run.json"),
        ],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(package)},
        timeout=600,
        check=False,
    )
    assert (folder / "run.json").exists(), done.stderr
    assert done.returncode == 1, done.stderr
    return records.load(folder / "run.json")


@pytest.fixture(scope="module")
def finished(package: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of all but the one that crashes."""
    return run_of(OTHERS, package, cache, tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def crashed(package: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the one that crashes, beside the sound one."""
    return run_of(("toy", CRASHING), package, cache, tmp_path_factory.mktemp("run"))


def cell(run: Run, engine: str) -> Cell:
    """The only int8 cell of an engine."""
    (only,) = (each for each in run.cells if each.engine == engine)
    return only


def codes(run: Run, engine: str) -> dict[str, str]:
    """What findings say of an engine, with their severities."""
    return {each.code: each.severity for each in run.findings if each.subject == engine}


def test_the_sound_engine_is_raced_and_nothing_is_wrong_with_it(finished: Run) -> None:
    """One file and an entry point: it has its figures, is faster than float32, exact, and int8 by its evidence."""
    sound = cell(finished, "toy")
    assert sound.status == "ok"
    assert not FAULTS & set(codes(finished, "toy"))
    assert sound.fidelity is not None
    assert sound.fidelity.sqnr_db > 30
    best = sound.speedup("best_float32")
    assert best is not None
    assert best.value > 1
    assert sound.evidence["ran"]["int8_share"] == 1


def test_a_wrong_scale_is_caught_by_fidelity(finished: Run) -> None:
    """It is not timed, and the row says how wrong its answers are."""
    broken = cell(finished, "toy-wrong-scale")
    assert broken.status == "failed"
    assert broken.error is not None
    assert "its answers are wrong" in broken.error
    assert "dB SQNR against float32" in broken.error
    assert codes(finished, "toy-wrong-scale")["cell-failed"] == "error"


def test_a_fall_back_to_float_is_caught_by_evidence(finished: Run) -> None:
    """Its answers are perfect, and its figures those of float: an error, by what it multiplied."""
    fallen = cell(finished, "toy-float")
    assert fallen.status == "ok"
    assert fallen.evidence["ran"]["float_share"] == 1
    assert codes(finished, "toy-float")["ran-as-float"] == "error"


def test_sleeping_is_caught_by_the_verdict(finished: Run) -> None:
    """It is slower than float32 by what it slept, with a verdict and a warning."""
    sleeping = cell(finished, "toy-sleeping")
    best = sleeping.speedup("best_float32")
    assert best is not None
    assert best.verdict == "slower"
    assert sleeping.latency_s is not None
    assert sleeping.latency_s.median.value > toy_engine.SLEEP_S
    assert codes(finished, "toy-sleeping")["slower-than-float32"] == "warning"


def test_a_crash_is_a_row_and_costs_the_others_nothing(crashed: Run) -> None:
    """The signal is the row's reason; whoever raced beside it has all figures, and no fault."""
    row = cell(crashed, CRASHING)
    assert row.status == "failed"
    assert row.error is not None
    assert "SIGABRT" in row.error
    assert codes(crashed, CRASHING)["cell-failed"] == "error"
    assert {each.engine for each in crashed.cells if each.status == "ok"} == {"torch", "toy"}
    assert not FAULTS & set(codes(crashed, "toy"))


def test_a_leak_is_caught_by_memory(finished: Run) -> None:
    """What it keeps of a few calls stands in its row, far beyond the same engine without the leak."""
    leaking, sound = (cell(finished, name).memory_bytes for name in ("toy-leaking", "toy"))
    assert leaking is not None
    assert sound is not None
    assert leaking.peak_delta.low > sound.peak_delta.high + 2 * toy_engine.LEAK_BYTES
    assert leaking.weights == sound.weights


def test_no_engine_has_another_ones_fault(finished: Run) -> None:
    """Each is caught for what it did, and for nothing else; none of them is held to outdo the sound one."""
    assert {name: FAULTS & set(codes(finished, name)) for name in OTHERS} == {
        "toy": set(),
        "toy-wrong-scale": {"cell-failed"},
        "toy-float": {"ran-as-float"},
        "toy-sleeping": {"slower-than-float32"},
        "toy-leaking": set(),
    }
    assert "outdone" not in codes(finished, "toy")
