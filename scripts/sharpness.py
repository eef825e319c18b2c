"""How sharp two revisions of int8bench are in the same time, from start to exit: they run alternately, cells alike.

Each alternation is a run of OLD and a run of NEW in random order, with the same budget, engines, batches and threads.
What is compared is the half-width of the headline's interval, as log(high / low) / 2: the ratio NEW / OLD of each cell,
and the geometric mean over the cells, with a 95 % interval over alternations (Student's t on the logs). Below 1 is
sharper. Runs are kept in FOLDER, so that it goes on where it was stopped.

    .venv/bin/python scripts/sharpness.py HEAD~1 HEAD --folder build/sharpness --runs 6 --budget 3m
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from int8bench.stats.limits import CONFIDENCE
from int8bench.stats.ratio import bounded_exp, mean_interval
from int8bench.study.cells import BEST

REPOSITORY = Path(__file__).parents[1]
SIDES = ("old", "new")
FEWEST = 2  # alternations of which there is a spread


def main() -> None:
    """Runs what is missing, and prints the table."""
    asked = _arguments()
    folder = Path(asked.folder).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    trees = dict(zip(SIDES, (_tree(folder, each) for each in (asked.old, asked.new)), strict=True))
    for number in range(asked.runs):
        order = list(SIDES)
        random.Random(number).shuffle(order)  # noqa: S311  no secret
        for side in order:
            _run(trees[side], folder / f"{number}-{side}.json", asked)
        print(_table(_widths(folder, number + 1)), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", help="a git revision")
    parser.add_argument("new", help="another one")
    parser.add_argument("--folder", default="build/sharpness", help="where runs are kept")
    parser.add_argument("--runs", type=int, default=6, help="alternations")
    parser.add_argument("--budget", default="3m", help="from start to exit, of each run")
    parser.add_argument("--options", default="", help="more options of int8bench run, in one text")
    return parser.parse_args()


def _tree(folder: Path, revision: str) -> Path:
    """The files of a revision, checked out once."""
    commit = subprocess.run(
        ("git", "-C", REPOSITORY, "rev-parse", f"{revision}^{{commit}}"), capture_output=True, text=True, check=True
    ).stdout.strip()
    tree = folder / commit[:12]
    if not tree.exists():
        archive = subprocess.run(
            ("git", "-C", REPOSITORY, "archive", commit, "src"), capture_output=True, check=True
        ).stdout
        tree.mkdir()
        subprocess.run(("tar", "-x", "-C", tree), input=archive, check=True)
    return tree


def _run(tree: Path, output: Path, asked: argparse.Namespace) -> None:
    """One run, unless it is there; its wall seconds stand beside it."""
    if output.with_suffix(".seconds").exists():
        return
    command = (sys.executable, "-m", "int8bench", "run", "--budget", asked.budget, "-o", str(output))
    began = time.monotonic()
    done = subprocess.run(
        (*command, *asked.options.split()),
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise SystemExit(f"{output.name}: int8bench run ended with {done.returncode}; see above")
    output.with_suffix(".seconds").write_text(f"{time.monotonic() - began:.1f}\n", encoding="utf-8")


def half_widths(document: Mapping[str, object]) -> dict[str, float]:
    """The half-width of the headline of each cell of a record, as a log, by the cell's id."""
    cells = document["cells"]
    assert isinstance(cells, list)
    return {
        cell["id"]: math.log(each["high"] / each["low"]) / 2
        for cell in cells
        for each in cell["speedups"]
        if each["role"] == BEST and each["low"] > 0 and each["high"] > each["low"]
    }


def _widths(folder: Path, runs: int) -> list[dict[str, dict[str, float]]]:
    return [
        {side: half_widths(json.loads((folder / f"{number}-{side}.json").read_text("utf-8"))) for side in SIDES}
        for number in range(runs)
    ]


def ratios(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, list[float]]:
    """log(new / old) of the half-widths by cell, one entry an alternation; of the cells that all runs have."""
    cells = set.intersection(*(set(run[side]) for run in runs for side in SIDES))
    return {cell: [math.log(run["new"][cell] / run["old"][cell]) for run in runs] for cell in sorted(cells)}


def interval(logs: Sequence[float]) -> tuple[float, float, float]:
    """The ratio, and its 95 % interval over alternations."""
    mean = mean_interval(logs, confidence=CONFIDENCE)
    low, high = (mean.low, mean.high) if mean.replicates >= FEWEST else (-math.inf, math.inf)
    return math.exp(mean.value), math.exp(low), bounded_exp(high)


def _table(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> str:
    by_cell = ratios(runs)
    together = [fmean(logs[number] for logs in by_cell.values()) for number in range(len(runs))]
    lines = [f"{len(runs)} alternations; half-width of the headline, new / old"]
    for name, logs in [*by_cell.items(), ("geometric mean", together)]:
        value, low, high = interval(logs)
        old, new = (fmean(run[side][name] for run in runs) if name in by_cell else 0 for side in SIDES)
        widths = f"  old {100 * old:.2f} %  new {100 * new:.2f} %" if name in by_cell else ""
        lines.append(f"{value:.2f} [{low:.2f}, {high:.2f}]  {name}{widths}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
