"""How well `int8bench history` finds known steps in real noise: recall, precision, delay, false alarms, and its speed.

Noise is drawn with replacement from the A-against-A races of a cell, as tests/golden/trials has them; each point is
a race's ratio and interval, scaled to a level. Every repetition writes a folder as asv does, with 60 commits, and
reads it back. Steps stand 8 commits or more from either end; what is found sooner is tried apart, at the end of a
history. Prints JSON.
"""

import argparse
import gzip
import hashlib
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from int8bench.stats.changes import find_changes
from int8bench.stats.limits import HISTORY_ERROR_RATE
from int8bench.tracking import asv_results
from int8bench.tracking.history import History, history
from int8bench.tracking.side import FOLDER, SCHEMA, SCHEMA_VERSION, SHORT_HASH, SUFFIX

COMMITS = 60
NEAR = 2  # a change found this many commits from the true one is that one
STEPS = (0.03, 0.05)
DELAYS = (3, 4, 5, 8)  # points from the first slower commit on, that one counted
BENCHMARK = "speedup.Speedup.track_speedup"
ENV = "existing-python3.11"
LEVEL = 1.5
DAY_MS = 86_400_000
SEARCHED = (10_000, 100)
FEWEST_AFTER = 8  # commits on either side of an injected step, for the long histories


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The races of one batch and thread count: (race, [value, low, high])."""

    params: tuple[str, str]
    races: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A step put into a series: the first commit that has it, and its factor."""

    at: int
    factor: float


def load(path: Path) -> list[Cell]:
    """The races of each cell that were not slowed."""
    found: defaultdict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        if not row["slowed"]:
            found[str(row["batch"]), str(row["threads"])].append([row["value"], row["low"], row["high"]])
    return [Cell(params=params, races=np.array(races)) for params, races in sorted(found.items())]


def commit(number: int) -> str:
    """A hash for the commit of that number."""
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


def draw(
    cells: Sequence[Cell], planted: Mapping[int, Planted], commits: int, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """For each cell (commit, [value, low, high]), with its step, if it has one."""
    drawn = {}
    for number, cell in enumerate(cells):
        points = LEVEL * cell.races[rng.integers(len(cell.races), size=commits)]
        if number in planted:
            points[planted[number].at :] *= planted[number].factor
        drawn[number] = points
    return drawn


def write(folder: Path, cells: Sequence[Cell], drawn: Mapping[int, np.ndarray], commits: int) -> None:
    """The folder as asv and we write it."""
    machine = folder / "scratch"
    machine.mkdir(parents=True)
    (folder / FOLDER).mkdir()
    (machine / "machine.json").write_text(json.dumps({"machine": "scratch", "cpu": "scratch", "version": 1}))
    grid = [sorted({cell.params[axis] for cell in cells}) for axis in (0, 1)]
    described = {"unit": "x", "version": "1", "param_names": ["batch", "threads"], "params": grid, "name": BENCHMARK}
    (folder / "benchmarks.json").write_text(json.dumps({BENCHMARK: described, "version": 2}))
    places = {cell.params: number for number, cell in enumerate(cells)}
    for at in range(commits):
        name = f"{commit(at)[:SHORT_HASH]}-{ENV}"
        values = [
            float(drawn[places[batch, threads]][at, 0]) if (batch, threads) in places else None
            for batch in grid[0]
            for threads in grid[1]
        ]
        document = {
            "commit_hash": commit(at),
            "env_name": ENV,
            "date": at * DAY_MS,
            "params": {"machine": "scratch"},
            "result_columns": ["result", "params", "version"],
            "results": {BENCHMARK: [values, grid, "1"]},
            "version": 2,
        }
        (machine / f"{name}.json").write_text(json.dumps(document))
        (folder / FOLDER / f"{name}-f00d{SUFFIX}").write_bytes(
            gzip.compress(json.dumps(_side(cells, drawn, at)).encode())
        )


def _side(cells: Sequence[Cell], drawn: Mapping[int, np.ndarray], at: int) -> dict[str, object]:
    points = [
        {
            "benchmark": BENCHMARK,
            "params": dict(zip(("batch", "threads"), cell.params, strict=True)),
            **dict(zip(("value", "low", "high"), map(float, drawn[number][at]), strict=True)),
            "launches": 8,
            "forks": 16,
            "pairs": 100,
            "log_ratios": [],
        }
        for number, cell in enumerate(cells)
    ]
    fields = {"commit_hash": commit(at), "env_name": ENV, "fingerprint": "f00d", "got": {}, "run": {}}
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, "points": points, **fields}


def changes_by_cell(found: History, cells: Sequence[Cell]) -> dict[int, list[int]]:
    """Where each cell's series changed, by the number of the first commit after."""
    places = {cell.params: number for number, cell in enumerate(cells)}
    by_hash = {commit(number): number for number in range(COMMITS)}
    return {
        places[each.series.params["batch"], each.series.params["threads"]]: [
            by_hash[change.commit_after] for change in each.changes
        ]
        for each in found.tracked
    }


def one_history(
    cells: Sequence[Cell], planted: Mapping[int, Planted], rng: np.random.Generator, error_rate: float
) -> dict[int, list[int]]:
    """Draws, writes, reads and searches one history."""
    with tempfile.TemporaryDirectory(prefix="int8bench-scratch-") as scratch:
        folder = Path(scratch) / "results"
        write(folder, cells, draw(cells, planted, COMMITS, rng), COMMITS)
        return changes_by_cell(history(folder, error_rate=error_rate), cells)


def plant(cells: Sequence[Cell], step: float, rng: np.random.Generator) -> dict[int, Planted]:
    """A step in every other cell, up or down, at a random commit; the rest stay as they are."""
    chosen = rng.permutation(len(cells))[: (len(cells) + 1) // 2]
    return {
        int(number): Planted(
            at=int(rng.integers(FEWEST_AFTER, COMMITS - FEWEST_AFTER)),
            factor=float((1 + step) ** rng.choice([-1, 1])),
        )
        for number in chosen
    }


def judged(
    cells: Sequence[Cell], step: float, repetitions: int, rng: np.random.Generator, error_rate: float
) -> dict[str, object]:
    """Recall and precision over whole histories, and the share found when only a few commits followed."""
    hits = reported = planted_count = false = clean = 0
    early = dict.fromkeys(DELAYS, 0)
    for _ in range(repetitions):
        planted = plant(cells, step, rng)
        found = one_history(cells, planted, rng, error_rate)
        for number, places in found.items():
            true = planted.get(number)
            near = [place for place in places if true and abs(place - true.at) <= NEAR]
            planted_count += true is not None
            hits += bool(near)
            reported += len(places)
            false += len(places) - min(1, len(near))
            clean += true is None and bool(places)
        for delay in DELAYS:
            late = {number: Planted(at=COMMITS - delay, factor=each.factor) for number, each in planted.items()}
            ends = one_history(cells, late, rng, error_rate)
            early[delay] += sum(any(abs(p - COMMITS + delay) <= NEAR for p in ends[number]) for number in late)
    return {
        "step": step,
        "steps_injected": planted_count,
        "recall": hits / planted_count,
        "changes_reported": reported,
        "precision": 1 - false / reported if reported else None,
        "clean_series_with_a_change": clean,
        "found_with_points_after": {str(delay): count / planted_count for delay, count in early.items()},
    }


def false_alarms(
    cells: Sequence[Cell], repetitions: int, rng: np.random.Generator, error_rate: float
) -> dict[str, object]:
    """Histories and series with a change where none was put in."""
    found = [one_history(cells, {}, rng, error_rate) for _ in range(repetitions)]
    return {
        "histories": repetitions,
        "histories_with_a_change": sum(any(each.values()) for each in found),
        "series": repetitions * len(cells),
        "series_with_a_change": sum(bool(places) for each in found for places in each.values()),
        "declared_error_of_a_history": error_rate,
    }


def seconds(call: Callable[[], object]) -> dict[str, float]:
    """How long a call takes by the clock, and of the processor: the first knows of other programs."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return {"wall_s": time.perf_counter() - wall, "processor_s": time.process_time() - processor}


def timings(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Seconds to search 1,000,000 points, half of the series stepped, and to read as many from files."""
    count, commits = SEARCHED
    values = np.exp(0.01 * rng.standard_normal(SEARCHED))
    values[::2, commits // 2 :] *= 1 + STEPS[-1]
    searched = seconds(lambda: find_changes(list(values), error=HISTORY_ERROR_RATE))
    with tempfile.TemporaryDirectory(prefix="int8bench-scratch-") as scratch:
        machine = Path(scratch) / "scratch"
        machine.mkdir()
        (machine / "machine.json").write_text(json.dumps({"machine": "scratch", "version": 1}))
        grid = [[str(number) for number in range(100)]]
        for at in range(commits):
            rows = {
                f"suite.time_{n}": [values[100 * n : 100 * n + 100, at].tolist(), grid, "1"]
                for n in range(count // 100)
            }
            head = {"commit_hash": commit(at), "env_name": ENV, "date": at, "version": 2}
            document = {**head, "result_columns": ["result", "params", "version"], "results": rows}
            (machine / f"{commit(at)[:SHORT_HASH]}-{ENV}.json").write_text(json.dumps(document))
        read = seconds(lambda: asv_results.read(Path(scratch)))
        whole = seconds(lambda: history(Path(scratch)))
    return {"search": searched, "read": read, "read_join_and_search": whole}


def main() -> None:
    """Reads the arguments, prints JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trials", type=Path, help="races of the same code, such as tests/golden/trials/itself.json")
    parser.add_argument("--repetitions", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--series", type=int, help="judge as strictly as in a suite of this many series")
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    cells = load(given.trials)
    error_rate = HISTORY_ERROR_RATE * len(cells) / (given.series or len(cells))
    figures = {
        "as_strict_as_of_series": given.series or len(cells),
        "races": sum(len(cell.races) for cell in cells),
        "noise_sd": {
            f"b{cell.params[0]} t{cell.params[1]}": float(np.log(cell.races[:, 0]).std(ddof=1)) for cell in cells
        },
        "repetitions": given.repetitions,
        "steps": [judged(cells, step, given.repetitions, rng, error_rate) for step in STEPS],
        "nothing_injected": false_alarms(cells, given.repetitions, rng, error_rate),
        "1e6_points": timings(rng),
    }
    json.dump(figures, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
