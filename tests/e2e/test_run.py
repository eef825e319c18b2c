"""The whole of int8bench run, as a person uses it: a small grid, its record, and what goes wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from int8bench import cli as command_line
from int8bench.study import records
from int8bench.study.records import Run
from int8bench.workload import training

SMALL = ("run", "--engines", "qnnpack", "--batch", "2", "--threads", "1", "--quick", "--budget", "10m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """A run that kill -9 ended while it measured, and what was in its file."""

    folder: Path
    document: dict[str, object]
    children: list[psutil.Process]
    refused: "subprocess.CompletedProcess[str]"
    """The same command with another budget, before it was continued."""
    shown: "subprocess.CompletedProcess[str]"
    """What `report` made of the file then."""


def _typed(folder: Path, cache: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Types a command, and waits for its end."""
    return subprocess.run(
        [sys.executable, "-m", "int8bench.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        timeout=900,
        check=False,
    )


@pytest.fixture(scope="module")
def killed(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """A small run that was killed; one and the same is killed, continued and looked at, as each takes half a minute."""
    folder = tmp_path_factory.mktemp("run")
    command = [sys.executable, "-m", "int8bench.cli", *SMALL, "-o", "run.json"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "alone" in line or "racing" in line:
                break
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    document = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    refused = _typed(folder, cache, *SMALL[:-2], "--budget", "11m", "-o", "run.json")
    shown = _typed(folder, cache, "report", "run.json")
    return Killed(folder=folder, document=document, children=children, refused=refused, shown=shown)


@pytest.fixture(scope="module")
def finished(killed: Killed, cache: Path) -> tuple[Run, "subprocess.CompletedProcess[str]"]:
    """The run, finished by the same command, and what that printed."""
    done = _typed(killed.folder, cache, *SMALL, "-o", "run.json")
    assert records.load(killed.folder / "run.json").complete, done.stderr
    return records.load(killed.folder / "run.json"), done


def test_every_cell_has_its_figures(finished) -> None:
    """Both float32 layouts and the engine are measured, with an interval around every figure that varies."""
    run, _ = finished
    assert run.complete
    assert [(cell.engine, cell.layout, cell.status) for cell in run.cells] == [
        ("torch", "channels_last", "ok"),
        ("torch", "nchw", "ok"),
        ("qnnpack", "channels_last", "ok"),
    ]
    for cell in run.cells:
        latency, load = cell.latency_s, cell.throughput_items_per_s
        assert latency is not None
        assert load is not None
        assert latency.median.low <= latency.median.value <= latency.median.high
        assert latency.p50 <= latency.p90 <= latency.p99
        assert load.low <= load.value <= load.high
        assert cell.cold_s is not None
        assert cell.cold_s > 0


def test_an_int8_cell_is_held_against_both_references(finished) -> None:
    """The headline is against the best float32, the naive one against NCHW, each with interval and verdict."""
    run, _ = finished
    best, naive = (run.cells[2].speedup(role) for role in ("best_float32", "naive_float32"))
    assert best is not None
    assert naive is not None
    assert naive.reference == run.cells[1].id
    assert best.value <= naive.value * 1.0001
    assert best.launches == 4
    assert best.verdict in {"faster", "slower", "same", "unclear"}
    assert not run.cells[0].speedups


def test_int8_weighs_a_quarter_and_answers_alike(finished) -> None:
    """Weights shrink about fourfold and the answers hold."""
    run, _ = finished
    float32, int8 = run.cells[0], run.cells[2]
    assert float32.memory_bytes is not None
    assert int8.memory_bytes is not None
    assert int8.fidelity is not None
    assert float32.memory_bytes.weights == 60_362 * 4
    assert 3.5 < float32.memory_bytes.weights / int8.memory_bytes.weights < 4.2
    assert int8.fidelity.sqnr_db > 20
    assert int8.fidelity.top1_float32 > 0.97


@pytest.mark.skipif(os.uname().machine not in {"x86_64", "AMD64"}, reason="qnnpack is the mismatch on x86 only")
def test_a_mismatched_backend_is_flagged_and_is_bad_news(finished) -> None:
    """Qnnpack on x86 is a finding of severity error, on the screen and in the exit code."""
    run, done = finished
    assert ("qnnpack-on-x86", "error") in {(each.code, each.severity) for each in run.findings}
    assert "qnnpack-on-x86" in done.stdout
    assert done.returncode == 1


def test_raw_samples_are_kept_and_aligned(finished) -> None:
    """The rounds of a group's cells match one by one, so ratios can be computed again."""
    run, _ = finished
    shapes = [[(r.launch, r.fork, len(r.kept)) for r in cell.samples.races] for cell in run.cells]
    assert all(len(r.times_s) == -(-len(r.kept) // r.every) for cell in run.cells for r in cell.samples.races)
    assert {r.every for r in run.cells[2].samples.races} == {1}  # it is what is asked about
    assert shapes[0] == shapes[1] == shapes[2]
    assert len({launch for launch, _, _ in shapes[0]}) == 4


def test_report_prints_the_same_table_from_the_file_alone(finished, cli, tmp_path: Path) -> None:
    """What run printed is what report prints."""
    run, done = finished
    records.save(run, tmp_path / "copy.json")
    again = cli("report", "copy.json")
    assert again.returncode == 0
    assert again.stdout == done.stdout


def test_report_writes_a_page_that_needs_nothing_from_outside(finished, cli, tmp_path: Path) -> None:
    """The page holds its plots and fetches nothing."""
    run, _ = finished
    records.save(run, tmp_path / "run.json")
    assert cli("report", "run.json", "-o", "page.html").returncode == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "qnnpack" in page
    assert 'src="http' not in page
    assert '<link rel="stylesheet"' not in page


def test_a_killed_run_goes_on_where_it_stopped(killed: Killed, finished) -> None:
    """After kill -9 the record is whole JSON, no process is left, and the same command alone finishes it."""
    run, done = finished
    assert killed.children
    assert killed.document["complete"] is False
    assert killed.shown.returncode == 0, killed.shown.stderr
    assert "unfinished" in killed.shown.stdout
    assert killed.refused.returncode == 2
    assert "unfinished run that differs in" in killed.refused.stderr
    assert done.returncode in {0, 1}
    assert run.complete
    assert run.created_at == killed.document["created_at"]


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, "checking"), (signal.SIGTERM, "racing")])
def test_ctrl_c_and_sigterm_are_a_sentence(cache: Path, tmp_path: Path, number: int, phase: str) -> None:
    """Either keeps what was measured, says how to go on, and leaves no process and no trace of Python."""
    with subprocess.Popen(
        [sys.executable, "-m", "int8bench.cli", *SMALL, "-o", "run.json"],
        cwd=tmp_path,
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
        # A background job of CI may be told to ignore Ctrl-C, and would hand that down.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  no thread starts one here
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if phase in line:
                break
        children = psutil.Process(run.pid).children(recursive=True)
        assert children
        run.send_signal(number)
        rest = run.stderr.read()
    assert run.returncode in {2, 3}
    assert rest.splitlines()[-1].startswith("int8bench: stopped, ")
    assert rest.endswith("the same command goes on from run.json\n")
    assert "Traceback" not in rest
    assert not psutil.wait_procs(children, timeout=30)[1]
    assert not records.load(tmp_path / "run.json").complete


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "--model", "no.such:thing", "--input-shape", "3x32x32"), "does not import"),
        (("run", "--model", "os:getcwd", "--input-shape", "3x32x32"), "expected a torch.nn.Module"),
        (("run", "--data", "digitz"), "did you mean digits"),
        (("run", "--data", "imagefolder:nowhere"), "no such folder"),
        (("run", "--weights", "nowhere.pt"), "no such file"),
        (("run", "--threads", "4096"), "usable cores"),
        (("run", "--batch", "900000000"), "of memory; choose"),
        (("run", "--budget", "1s"), "try --budget"),
        (("run", "--quick", "-o", "/proc/run.json"), "cannot be written"),
        (("run", "--quick", "-o", "/dev/null"), "cannot be written"),
        (("run", "--quick", "-o", "n" * 300), "cannot be written"),
        (("run", "--quick", "-o", "mine.json"), "mine.json"),
        (("train", "-o", "/proc/weights.pt"), "cannot be written"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_a_wrong_request_costs_no_training(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What only the program's inside can judge is one sentence and exit code 2 too, before anything is trained."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a model of yours is looked for in the current folder
    monkeypatch.setattr(sys, "argv", ["int8bench", *arguments])
    monkeypatch.setattr(training, "fit", lambda *_, **__: pytest.fail("a model was trained"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        command_line.main()
    assert left.value.code == 2
    told = capsys.readouterr()
    assert sentence in told.err
    assert told.out == ""
    assert (tmp_path / "mine.json").read_text(encoding="utf-8") == "[]"
