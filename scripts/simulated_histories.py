"""How often `int8bench history` blames a series for what it did not do, and how often it sees what one did.

Writes histories of a machine with a known answer as asv does, searches each, and prints one line a kind: how many had a
false change of a single series, how many steps of a single series were found, and how many events were told. Kinds:
quiet, steps that all share, a random walk that all share, noise correlated by 0.3 and 0.6, noise of Student's t with 3
degrees, and one commit that steps 20, 40 or 60 % of the series by 5 %; then one series alone, in noise of 1, 2 and 3 %.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from int8bench.stats.limits import HISTORY_ERROR_RATE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from machines import Made, made

from int8bench.tracking.history import History, history

KINDS = (
    *("quiet", "steps", "walk", "ar0.3", "ar0.6", "t3"),
    *("share0.2", "share0.4", "share0.6", "one walk", "one ar0.6", "one"),
)
NOISES = (0.01, 0.02, 0.03)
NEAR = 2  # a change found this many commits from the true one is that one
DAY_MS = 86_400_000
ENV = "virtualenv-py3.11"


def write(folder: Path, found: Made) -> None:
    """The history as asv's results folder: a commit a day, measured in that order."""
    machine = folder / "rack-1"
    machine.mkdir(parents=True)
    (machine / "machine.json").write_text(json.dumps({"machine": "rack-1", "version": 1}))
    names = [f"suite.time_{row:03}" for row in range(len(found.values))]
    described = {name: {"unit": "seconds", "param_names": [], "version": "1"} for name in names}
    (folder / "benchmarks.json").write_text(json.dumps({**described, "version": 2}))
    for session, values in enumerate(found.values.T):
        date = session * DAY_MS
        document = {
            "commit_hash": _commit(session),
            "env_name": ENV,
            "date": date,
            "params": {"os": "Linux", "python": "3.11"},
            "python": "3.11",
            "requirements": {},
            "result_columns": ["result", "params", "version", "started_at"],
            "results": {name: [[float(value)], [], "1", date + 1] for name, value in zip(names, values, strict=True)},
            "version": 2,
        }
        (machine / f"{_commit(session)[:8]}-{ENV}.json").write_text(json.dumps(document))


def _commit(session: int) -> str:
    return f"{session:08x}" + 32 * "0"


def places(found: History) -> set[tuple[int, int]]:
    """(series, session) of each change of a single series."""
    return {
        (int(each.series.benchmark.rpartition("_")[2]), int(change.commit_after[:8], 16))
        for each in found.tracked
        for change in each.changes
    }


def tried(kind: str, *, runs: int, series: int, sessions: int, noise: float) -> dict[str, object]:
    """What came of so many histories of a kind."""
    false = seen = far = there = events = 0
    for run in range(runs):
        truth = made(kind, series=series, sessions=sessions, noise=noise, seed=run)
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), truth)
            found = history(Path(folder))
        got = places(found)
        near = {step: {each for each in got if _near(each, step)} for step in truth.steps}
        missed = {row for (row, _), mine in near.items() if not mine}
        late = {row: [each for each in got if each[0] == row][:1] for row in missed}
        events += len(found.events)
        far += sum(map(bool, late.values()))
        false += bool(got - set().union(*near.values(), *late.values()))
        if "share0.6" not in kind:
            there += len(truth.steps)
            seen += sum(map(bool, near.values()))
    return {
        "kind": kind,
        "series": series,
        "commits": sessions,
        "noise": noise,
        "histories": runs,
        "with a false change of one series": false,
        "of": runs,
        "steps of single series": there,
        "found": seen,
        f"found more than {NEAR} commits off": far,
        "events": events,
    }


def _near(found: tuple[int, int], step: tuple[int, int]) -> bool:
    return found[0] == step[0] and abs(found[1] - step[1]) <= NEAR


def all_of(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Each kind in noise of 1 %, then a step of one series in each noise."""
    size = {"runs": arguments.runs, "series": arguments.series, "sessions": arguments.commits}
    for kind in arguments.kinds:
        for noise in NOISES if kind == "one" else NOISES[:1]:
            yield tried(kind, noise=noise, **size)


def main() -> None:
    """Prints a line of JSON for each kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000, help="histories of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, metavar="KIND", help="all unless told")
    parser.add_argument("--series", type=int, default=20)
    parser.add_argument("--commits", type=int, default=60)
    arguments = parser.parse_args()
    begun = time.monotonic()
    print(f"error rate {HISTORY_ERROR_RATE}, numpy {np.__version__}", file=sys.stderr)
    for line in all_of(arguments):
        print(json.dumps(line), flush=True)
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
