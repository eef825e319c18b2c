"""Histories made up for tests, as `int8bench history --json` would print them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from int8bench import documents
from int8bench.report.history.document import HistoryDocument

DAY_MS = 86_400_000
START_MS = 1_767_225_600_000  # 2026-01-01
SPEEDUP = "speedup.Speedup.track_speedup"
MEMORY = "cost.PeakMemory.track_bytes"
FINDING = {
    "code": "qnnpack-on-x86",
    "severity": "error",
    "subject": "qnnpack",
    "message": "qnnpack is the engine for ARM and this is x86.",
    "why": "It has no SIMD kernels here.",
    "advice": "use fbgemm",
}


def commit(number: int) -> str:
    """The full hash of the commit of that number."""
    return hashlib.sha1(str(number).encode(), usedforsecurity=False).hexdigest()


def point(number: int, value: float, spread: float = 0.01) -> dict[str, Any]:
    """A point of that commit; its interval is `spread` of the value to both sides."""
    return {
        "commit": commit(number),
        "date": START_MS + number * DAY_MS,
        "value": value,
        "low": value * (1 - spread),
        "high": value * (1 + spread),
    }


def change(before: int, after: int, step: float, *, worse: bool, recovered: bool = False) -> dict[str, Any]:
    """A step between two commits with an interval of one percent to both sides."""
    return {
        "commit_before": commit(before),
        "commit_after": commit(after),
        "step": step,
        "low": step - 0.01,
        "high": step + 0.01,
        "worse": worse,
        "recovered": recovered,
        "date": START_MS + after * DAY_MS,
    }


def series(
    points: Sequence[Mapping[str, Any]],
    changes: Sequence[Mapping[str, Any]] = (),
    *,
    benchmark: str = SPEEDUP,
    unit: str | None = "x",
    machine: str = "rack-1",
    **params: str,
) -> dict[str, Any]:
    """A series with its points and changes."""
    return {
        "benchmark": benchmark,
        "params": params,
        "machine": machine,
        "fingerprint": f"f-{machine}",
        "env": "existing-python3.11",
        "unit": unit,
        "better": "higher" if benchmark == SPEEDUP else "lower",
        "kind": "ratio" if benchmark == SPEEDUP else "memory",
        "absolute": benchmark != SPEEDUP,
        "points": list(points),
        "changes": list(changes),
    }


def event(before: int, after: int, step: float, *, machine: str = "rack-1", **fields: Any) -> dict[str, Any]:
    """Twelve of twenty times that moved together between two commits."""
    return {
        "machine": machine,
        "environment": "existing-python3.11",
        "fingerprint": f"f-{machine}",
        "kind": "time",
        "commit_before": commit(before),
        "commit_after": commit(after),
        "date": START_MS + after * DAY_MS,
        "step": step,
        "low": step - 0.03,
        "high": step + 0.03,
        "series": 12,
        "of": 20,
        "share": 0.6,
        "control": False,
        "evidence": ["os Linux 5.4 became Linux 6.1: speaks for the machine or its software"],
        "members": [{"benchmark": MEMORY, "params": {"contender": "'fbgemm'", "batch": "8", "threads": "2"}}],
        **fields,
    }


def document(found: Sequence[Mapping[str, Any]], **fields: Any) -> HistoryDocument:
    """A whole history of those series."""
    regressions = sum(each["worse"] and not each["recovered"] for one in found for each in one["changes"])
    written = {
        "results": "results",
        "error_rate": 0.01,
        "series": list(found),
        "regressions": regressions,
        "events": [],
        "noise": [],
        "machines": [],
        "problems": [],
        **fields,
    }
    return documents.read(HistoryDocument, written, name="the history of a test")


def usual(commits: int = 30) -> HistoryDocument:
    """Two thread counts of four batches with a drop of 5 %, and a bump in memory made good; twelve commits or more."""
    drop = 2 * commits // 3
    found = []
    for threads in (1, 2):
        for batch in (1, 8, 32, 128):
            level = 1.1 + 0.1 * threads + 0.04 * batch.bit_length()
            values = [
                level
                * (0.95 if number >= drop and threads == 2 else 1.0)
                * (1 + 0.004 * ((number * 7 + batch) % 5 - 2))
                for number in range(commits)
            ]
            changes = [change(drop - 1, drop, -0.05 + 0.001 * batch.bit_length(), worse=True)] if threads == 2 else []
            points = [point(number, value) for number, value in enumerate(values)]
            found.append(series(points, changes, batch=str(batch), threads=str(threads)))
    memory = [point(number, 6.4e7 if 5 <= number < 9 else 5.6e7, 0) for number in range(0, commits, 2)]
    bump = [change(4, 6, 0.143, worse=True, recovered=True), change(8, 10, -0.125, worse=False)]
    found.append(series(memory, bump, benchmark=MEMORY, unit="bytes", contender="'fbgemm'", batch="8", threads="2"))
    machines = [{"machine": "rack-1", "fingerprint": "f-rack-1", "cpu": "A CPU @ 2.4 GHz", "findings": [FINDING]}]
    return document(found, machines=machines, problems=["results/rack-1/1234abcd-env.json: cut short"])
