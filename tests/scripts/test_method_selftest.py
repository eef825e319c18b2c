"""The table of METHOD.md that selftests fill."""

import json
from pathlib import Path

import pytest
import script

ROOT = Path(__file__).parents[2]
method_selftest = script.loaded("method_selftest")

KEPT = json.loads((ROOT / "tests/golden/selftest/kept.json").read_text(encoding="utf-8"))
CELL = {
    **KEPT["cells"][0],
    "batch": 32,
    "threads": 2,
    "races": 7,
    "false_alarms": 1,
    "median_half_width": 0.0123,
    "smallest_slow_down": {"value": 0.03, "low": 0.02, "high": 0.06},
    "slow_downs": [{"true": 0.05, "found": 0.04, "verdict": "slower"}, {"true": 0.05, "found": 0, "verdict": "same"}],
}
HELD = {name: {**KEPT["coverage"][name], "trials": 14} for name in ("itself", "slowed")}
TEST = {
    **KEPT,
    "created_at": "2026-11-28T09:00:00+00:00",
    "machine": "A processor",
    "races": 14,
    "median_half_width": 0.0456,
    "coverage": {
        "declared": 0.95,
        "itself": {**HELD["itself"], "count": 14},
        "slowed": {**HELD["slowed"], "count": 13},
    },
    "cells": [CELL, {**CELL, "batch": 1}],
}


def _filled(text: str) -> str:
    filled: str = method_selftest.filled(text, [method_selftest.tested(TEST, name="selftest.json")])
    return filled


def test_a_selftest_is_a_row_a_cell_between_the_markers() -> None:
    """And a row of all cells, which alone counts intervals.

    What stood between them goes, what stands around them stays, and a second time changes nothing.
    """
    text = f"before\n{method_selftest.BEGIN}\nold\n{method_selftest.END}\nafter\n"
    filled = _filled(text)
    assert filled == _filled(filled)
    lines = filled.splitlines()
    assert (lines[0], lines[-1], "old" in filled) == ("before", "after", False)
    rows = [
        line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines if line.startswith("| A processor")
    ]
    assert rows[0] == ["A processor", "2026-11-28", "32", "2", "7", "1", "", "", "1 of 2", "1.23%", "3.0% [2.0%, 6.0%]"]
    assert [row[2] for row in rows] == ["32", "1", "all"]
    assert rows[2][4:] == ["14", "2", "0 of 14", "1 of 14", "2 of 4", "4.56%", ""]
    assert {line.count("|") for line in lines if line.startswith("|")} == {12}


def test_a_text_without_markers_is_left_alone() -> None:
    """With the sentence that says what is missing."""
    with pytest.raises(SystemExit, match="has no <!-- selftest:begin -->"):
        _filled("nothing")


def test_the_method_has_the_markers() -> None:
    """Or the command that it names could not fill it."""
    assert _filled((ROOT / "METHOD.md").read_text(encoding="utf-8")).count("| A processor |") == 3
