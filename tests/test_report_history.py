"""A history as text: what stands first, by how much, between which commits, and how hard was looked."""

import importlib.util
from pathlib import Path

import pytest

from int8bench.report.history import MOST_PROBLEMS, MOST_ROWS, render

# loaded by its path: tests are no package
_SPEC = importlib.util.spec_from_file_location("histories", Path(__file__).parent / "helpers" / "histories.py")
assert _SPEC is not None
assert _SPEC.loader is not None
histories = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(histories)


def _lines(document: dict[str, object], width: int = 120) -> list[str]:
    return render(document, width=width, colour=False).splitlines()


def test_what_got_worse_stands_first_with_its_interval_commits_and_machine() -> None:
    """Then what was made good, then what got better, then problems, and the search at the end."""
    lines = _lines(histories.usual(30))
    assert lines[0] == "4 regressions standing."
    row = next(line for line in lines if "batch 1, threads 2" in line)
    for part in ("-4.9 % [-5.9, -3.9]", histories.commit(19)[:8] + ".." + histories.commit(20)[:8], "rack-1"):
        assert part in row
    order = [lines.index(title) for title in ("Got worse, and stands", "Got worse, and was made good", "Got better")]
    assert order == sorted(order)
    text = "\n".join(lines)
    assert "problem: results/rack-1/1234abcd-env.json: cut short" in text
    assert "error rack-1: qnnpack is the engine for ARM and this is x86. use fbgemm [qnnpack-on-x86]" in text
    assert "9 series with 255 points searched" in text
    assert "probability of 0.01 at most" in text


def test_the_largest_step_of_a_kind_stands_first() -> None:
    """Whatever the order of the series."""
    found = [
        histories.series([histories.point(0, 1.0)], [histories.change(0, 1, step, worse=True)], batch=str(number))
        for number, step in enumerate((-0.03, -0.2, -0.1))
    ]
    rows = [line for line in _lines(histories.document(found)) if "track_speedup" in line]
    assert [row.split(" %")[0] for row in rows] == ["-20.0", "-10.0", "-3.0"]


def test_the_inverse_of_a_speedup_is_not_told_again() -> None:
    """One row for one fact."""
    points, changes = [histories.point(0, 1.0)], [histories.change(0, 1, -0.05, worse=True)]
    both = [histories.series(points, changes, batch="8"), histories.series(points, changes, batch="8")]
    both[1]["benchmark"] = "speedup.Speedup.track_relative_time"
    text = "\n".join(_lines(histories.document(both)))
    assert "track_speedup" in text
    assert "track_relative_time" not in text


def test_a_step_from_zero_has_no_percentage() -> None:
    """It says where from."""
    change = histories.change(0, 1, 1.0, worse=True) | {"step": None, "low": None, "high": None}
    found = histories.series([histories.point(0, 0.0)], [change], benchmark="health.Findings.track_count")
    assert any("from zero" in line and "track_count" in line for line in _lines(histories.document([found])))


@pytest.mark.parametrize(
    ("found", "sentence"),
    [([], "Nothing measured yet."), ([histories.series([histories.point(0, 1.0)])], "No regression stands.")],
)
def test_no_regression_and_no_figures_are_two_answers(found: list[dict[str, object]], sentence: str) -> None:
    """Silence is not good news."""
    assert _lines(histories.document(found))[0] == sentence


def test_one_screen_is_kept_and_says_what_it_leaves_out() -> None:
    """Rows and problems above a number are counted."""
    found = [
        histories.series([histories.point(0, 1.0)], [histories.change(0, 1, -0.05, worse=True)], batch=str(number))
        for number in range(MOST_ROWS + 3)
    ]
    problems = [f"file {number}: cut short" for number in range(MOST_PROBLEMS + 2)]
    lines = _lines(histories.document(found, problems=problems))
    assert sum("track_speedup" in line for line in lines) == MOST_ROWS
    assert sum("cut short" in line for line in lines) == MOST_PROBLEMS
    assert "and 3 more, see --json" in lines
    assert "and 2 problems more, see --json" in lines
    assert len(lines) < 40


@pytest.mark.parametrize("width", [80, 120])
def test_it_fits_the_screen_and_has_no_colour_unless_asked(width: int) -> None:
    """No line is wider; escape codes are for terminals."""
    document = histories.usual(30)
    assert max(map(len, _lines(document, width))) <= width
    assert "\x1b" not in render(document, width=width, colour=False)
    assert "\x1b[1;31m" in render(document, width=width, colour=True)
