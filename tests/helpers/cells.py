"""Cells of records as tests write them: the keys of JSON that matter, over those of a measured cell without trouble."""

from collections.abc import Mapping
from typing import Any

from int8bench import documents
from int8bench.study.cells import Cell

_SPEEDUP = {
    "reference": "m/torch/float32/channels_last/b1/t1",
    "role": "best_float32",
    "value": 2.0,
    "confidence": 0.95,
    "verdict": "faster",
    "launches": 8,
    "forks": 8,
    "pairs": 32,
    "smallest_visible_effect": 0.05,
    "reason": None,
    "more_launches": None,
}
_FIDELITY = {"sqnr_db": 35.0, "agreement": 0.99, "top1": 0.98, "top1_float32": 0.98}
_CELL: Mapping[str, Any] = {
    "model": "m",
    "engine": "fbgemm",
    "precision": "int8",
    "layout": "channels_last",
    "batch": 1,
    "threads": 1,
    "status": "ok",
    "error": None,
    "cold_s": 0.01,
    "threads_used": 1.0,
    "conversion": None,
    "speedups": (),
    "evidence": {},
    "samples": {"races": (), "solos": ()},
}
_UNMEASURED = ("latency_s", "cold_s", "throughput_items_per_s", "threads_used", "memory_bytes", "fidelity")


def cell(**keys: Any) -> Cell:
    """The cell that has these keys of JSON; what is left out of a figure is that of a cell without trouble."""
    given = {**_CELL, **keys}
    latency_s = given.get("latency_s") or {}
    figures = {
        "latency_s": {"p50": 1e-3, "p90": 1e-3, "p99": 1e-3, "calls": 32, **latency_s, "median": _median(latency_s)},
        "throughput_items_per_s": {"value": 1e3, "low": 1e3, "high": 1e3, "streams": 1},
        "memory_bytes": {"weights": 60_000, "serialized": 60_000, **given.get("memory_bytes", {})},
        "fidelity": {**_FIDELITY, **(given.get("fidelity") or {})},
    }
    peak = figures["memory_bytes"].get("peak_delta", {"value": 1e6})
    figures["memory_bytes"]["peak_delta"] = {"forks": 3, **_bounded(peak)}
    if given["status"] != "ok":
        figures = {**dict.fromkeys(_UNMEASURED), "speedups": ()}
    document = {
        **given,
        **figures,
        "speedups": figures.get("speedups", tuple(_bounded({**_SPEEDUP, **each}) for each in given["speedups"])),
    }
    document.setdefault("id", "{model}/{engine}/{precision}/{layout}/b{batch}/t{threads}".format(**document))
    return documents.read(Cell, document, name="a cell of a test")


def _median(latency_s: Mapping[str, Any]) -> dict[str, float]:
    return _bounded(latency_s.get("median", {"value": 1e-3}))


def _bounded(figure: Mapping[str, Any]) -> dict[str, Any]:
    """A figure whose interval is a point where none is given."""
    return {"low": figure["value"], "high": figure["value"], **figure}
