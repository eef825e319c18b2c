"""How the half-widths of two revisions are compared."""

import json
import math
from pathlib import Path

import pytest
import script

ROOT = Path(__file__).parents[2]
sharpness = script.loaded("sharpness")


def test_the_half_width_is_that_of_the_headline() -> None:
    """As a log, of each int8 cell of a record."""
    document = json.loads((ROOT / "tests/golden/runs/quick.json").read_text(encoding="utf-8"))
    widths = sharpness.half_widths(document)
    int8 = [cell for cell in document["cells"] if cell["speedups"]]
    assert set(widths) == {cell["id"] for cell in int8}
    best = next(each for each in int8[0]["speedups"] if each["role"] == "best_float32")
    assert widths[int8[0]["id"]] == pytest.approx(math.log(best["high"] / best["low"]) / 2)


def test_ratios_are_of_the_cells_that_all_runs_have() -> None:
    """One entry an alternation, new over old."""
    runs = [
        {"old": {"a": 0.04, "b": 0.02}, "new": {"a": 0.02, "b": 0.02, "c": 1.0}},
        {"old": {"a": 0.03, "b": 0.02}, "new": {"a": 0.015}},
    ]
    assert sharpness.ratios(runs) == {"a": [pytest.approx(math.log(0.5))] * 2}


def test_the_interval_is_over_alternations() -> None:
    """Student's t: of logs -0.7, -0.6 and -0.5 it is -0.6 and 4.303 times 0.1 over the root of 3 either way."""
    value, low, high = sharpness.interval([-0.7, -0.6, -0.5])
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (value, low, high) == pytest.approx((math.exp(-0.6), math.exp(-0.6 - half), math.exp(-0.6 + half)))
    assert sharpness.interval([-0.7])[1] == 0.0


def test_a_run_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    """So that what was stopped goes on; a run that failed says so."""
    (tmp_path / "0-old.seconds").write_text("1\n", encoding="utf-8")
    asked = sharpness.argparse.Namespace(budget="1s", options="--batch x")
    sharpness._run(tmp_path / "nowhere", tmp_path / "0-old.json", asked)
    with pytest.raises(SystemExit, match=r"1-old\.json: int8bench run ended with"):
        sharpness._run(tmp_path / "nowhere", tmp_path / "1-old.json", asked)
