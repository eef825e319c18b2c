"""`tests/cases/pytest_traps.sh` through the command line: two commits that differ in a README alone, measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import bare_python
import pytest
from lean_pytest import LEAN

CASE = Path(__file__).parents[1] / "cases" / "pytest_traps.sh"
TYPED = ("docs~1", "docs", "--suite", "pytest", "--quick", "--budget", "16s", "--base-python")
HABITS = "tests/test_habits.py::test_"
MEASURED = {
    "benchmarking/bench_core.py::test_elsewhere",
    "tests/json_perf.py::test_elsewhere",
    *(f"{HABITS}{name}" for name in ("decorated", "pedantic_setup", "while_a_thread_runs", "warns_once")),
}
BLOCKED = "RuntimeError: a test tried to open a socket"  # the project's own guard: asyncio's loop has a socket pair
STATISTICS = "asserts something of benchmark.stats, which has no meaning where calls are paired"


@pytest.mark.slow
@pytest.mark.parametrize("bare", [False, True], ids=["with pytest-benchmark", "with pytest alone"])
def test_every_benchmark_is_measured_or_left_out_with_its_true_reason(tmp_path: Path, *, bare: bool) -> None:
    """Whether pytest-benchmark is installed on the sides or not; the verdict is green."""
    subprocess.run(("sh", str(CASE), str(tmp_path / "case")), check=True, capture_output=True)
    python = bare_python.made(tmp_path / "environment", installs=True) if bare else sys.executable
    output = tmp_path / "duet.json"
    done = subprocess.run(
        (sys.executable, "-m", "int8bench", "duet", *TYPED, python, "--head-python", python, "-o", str(output)),
        cwd=tmp_path / "case",
        env={**os.environ, **LEAN, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(output.read_text(encoding="utf-8"))
    compared = {each["id"]: each for each in told["comparisons"]}
    assert {name for name, each in compared.items() if each["ratio"] is not None} == MEASURED
    failed = {name: each["reason"] for name, each in compared.items() if each["ratio"] is None}
    assert set(failed) == {f"{HABITS}loop"}
    assert failed[f"{HABITS}loop"].endswith(f"base: {BLOCKED}; head: {BLOCKED}")
    (left_out,) = [each["message"] for each in told["findings"] if each["code"] == "left-out"]
    assert left_out.endswith(f": {STATISTICS}")
    assert all(f"{HABITS}names[{parameter}]" in left_out for parameter in ("a[b]", "a, b"))
