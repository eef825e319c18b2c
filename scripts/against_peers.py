"""One function of two commits with the same code, compared again and again by each tool in the same wall time.

What a tool says of identical code differs from 1 by its error. For duet the interval of each run is told as well as the
spread of its ratios from run to run; the others have no interval for a ratio, so theirs is the spread alone: 1.96
standard deviations of the log-ratio over the runs. Builds `scripts/numpy_suite.py`'s project in a scratch folder; needs
pyperf, and what asv needs to make its environments. Prints JSON.

    python scripts/against_peers.py --seconds 20 --runs 6
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

HERE = Path(__file__).parent
FUNCTION = "softened"  # is the same in both commits
SIDES = ("base", "head")
NORMAL_95 = 1.96
PYPERF_PROCESS_S = 0.75  # a process of pyperf's: calibrated loops of 0.1 s, one to warm up and three that count
ASV_ROUNDS = 2
ASV_SAMPLE_S = 0.1
SETUP = "import numpy as np, nptoy; x = np.random.default_rng(2026).normal(size=2048)"

Ratio = Callable[[Path, float], Mapping[str, float]]


def main() -> None:
    """Compares, tool after tool, run after run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="of wall time a comparison")
    parser.add_argument("--runs", type=int, default=6)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / "nptoy"
        run(sys.executable, str(HERE / "numpy_suite.py"), str(project))
        for side in SIDES:
            run("git", "-C", str(project), "worktree", "add", "--quiet", f"{project}-{side}", side)
        asv_continuous(project, 1.0)  # makes its environments
        tools: Mapping[str, Ratio] = {
            "int8bench duet": duet,
            "pyperf": pyperf,
            "asv continuous": asv_continuous,
            "pytest-benchmark": pytest_benchmark,
        }
        found: dict[str, list[Mapping[str, float]]] = {name: [] for name in tools}
        for _ in range(asked.runs):  # in turns, so that a busy minute is everybody's
            for name, tool in tools.items():
                started = time.monotonic()
                ratio = tool(project, asked.seconds)
                found[name].append({**ratio, "wall_s": time.monotonic() - started})
                print(name, found[name][-1], file=sys.stderr)
    print(json.dumps({name: summary(rows) for name, rows in found.items()}, indent=2))


def summary(rows: list[Mapping[str, float]]) -> Mapping[str, float]:
    """Spread of the ratios from run to run, the median half-width of the intervals, and of the wall times."""
    logs = [math.log(row["ratio"]) for row in rows]
    widths = [row["half_width"] for row in rows if "half_width" in row]
    return {
        "runs": len(rows),
        "median_wall_s": statistics.median(row["wall_s"] for row in rows),
        "spread_95": NORMAL_95 * statistics.stdev(logs),
        "largest_error": max(abs(each) for each in logs),
        **({"median_half_width": statistics.median(widths)} if widths else {}),
    }


def duet(project: Path, seconds: float) -> Mapping[str, float]:
    """Our own, through its command."""
    options = ("--suite", "asv", "--select", FUNCTION, "--budget", f"{seconds * 0.7:.0f}s", "--json")
    done = run(sys.executable, "-m", "int8bench", "duet", *SIDES, *options, folder=project)
    ratio = json.loads(done)["comparisons"][0]["ratio"]
    return {"ratio": ratio["value"], "half_width": (ratio["high"] - ratio["low"]) / 2 / ratio["value"]}


def pyperf(project: Path, seconds: float) -> Mapping[str, float]:
    """As in its manual: many processes for one commit, then for the other."""
    processes = max(3, round(seconds / 2 / PYPERF_PROCESS_S))
    means = []
    for side in SIDES:
        output = project.parent / f"{side}.json"
        output.unlink(missing_ok=True)
        options = ("--quiet", "--processes", str(processes), "--copy-env", "--output", str(output))
        source = Path(f"{project}-{side}") / "src"
        command = (sys.executable, "-m", "pyperf", "timeit", *options, "--setup", SETUP, f"nptoy.{FUNCTION}(x)")
        run(*command, folder=project, environment={"PYTHONPATH": str(source)})
        runs = json.loads(output.read_text(encoding="utf-8"))["benchmarks"][0]["runs"]
        means.append(statistics.mean(value for each in runs for value in each.get("values", ())))
    return {"ratio": means[1] / means[0]}


def asv_continuous(project: Path, seconds: float) -> Mapping[str, float]:
    """Its comparison of two commits, with samples for as long as the others measure."""
    repeat = max(2, round(seconds / 2 / ASV_ROUNDS / ASV_SAMPLE_S))
    attributes = [f"rounds={ASV_ROUNDS}", f"sample_time={ASV_SAMPLE_S}", f"repeat={repeat}"]
    options = [part for each in attributes for part in ("--attribute", each)]
    run("asv", "machine", "--yes", folder=project)
    results = project / "results"
    for each in results.glob("*/*-*.json"):
        each.unlink()
    command = ("asv", "continuous", *SIDES, "--bench", FUNCTION, "--no-only-changed", *options)
    run(*command, folder=project, may_fail=True)  # 1: something looks slower
    medians = {}
    for side in SIDES:
        commit = run("git", "-C", str(project), "rev-parse", side).strip()
        (path,) = results.glob(f"*/{commit[:8]}-*.json")
        medians[side] = json.loads(path.read_text(encoding="utf-8"))["results"][f"speed.Functions.time_{FUNCTION}"][0][
            0
        ]
    return {"ratio": medians["head"] / medians["base"]}


def pytest_benchmark(project: Path, seconds: float) -> Mapping[str, float]:
    """A run of its test in each commit, by the median."""
    medians = []
    for side in SIDES:
        tree = Path(f"{project}-{side}")
        output = project.parent / f"{side}-pytest.json"
        options = (f"--benchmark-max-time={seconds / 2}", f"--benchmark-json={output}", "-p", "no:cacheprovider")
        command = (sys.executable, "-m", "pytest", "-q", f"tests/test_speed.py::test_{FUNCTION}", *options)
        run(*command, folder=tree, environment={"PYTHONPATH": str(tree / "src")})
        medians.append(json.loads(output.read_text(encoding="utf-8"))["benchmarks"][0]["stats"]["median"])
    return {"ratio": medians[1] / medians[0]}


def run(
    *command: str, folder: Path | None = None, environment: Mapping[str, str] | None = None, may_fail: bool = False
) -> str:
    """What a command prints."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=not may_fail,
    )
    return done.stdout


if __name__ == "__main__":
    main()
