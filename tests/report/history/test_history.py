"""A history as text: what stands first, by how much, between which commits, and how hard was looked."""

import importlib.util
from pathlib import Path

import pytest

from int8bench.report.history.terminal import MOST_PROBLEMS, MOST_ROWS, render

# loaded by its path: tests are no package
_SPEC = importlib.util.spec_from_file_location("histories", Path(__file__).parents[2] / "helpers" / "histories.py")
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


def test_what_moved_together_stands_first_with_what_speaks_for_which() -> None:
    """Who, by how much, where, the causes it may have, and what to type; no regression is counted for it."""
    events = [histories.event(5, 6, 0.18), histories.event(9, 10, -0.28, control=True)]
    found = histories.document([histories.series([histories.point(0, 1.0)])], events=events)
    lines = _lines(found, width=400)
    assert lines[0] == "No regression stands. 2 steps of many series together."
    first, second = (line for line in lines if " moved together by " in line)
    assert first.startswith("12 of 20 times moved together by x0.72 [0.69, 0.75] between ")
    assert "the machine or its software, since a row moved that no commit changes" in first
    assert "12 of 20 times moved together by x1.18 [1.15, 1.21] between " in second
    assert "the machine, its software, or something that every benchmark uses (os Linux 5.4 became Linux 6.1" in second
    assert f"int8bench duet {histories.commit(5)[:8]} {histories.commit(6)[:8]} settles it." in second


def test_series_that_would_share_a_name_are_told_apart() -> None:
    """Environments, hardware and modules are in the row where there are several."""
    changes = [histories.change(0, 1, -0.05, worse=True)]
    found = [histories.series([histories.point(0, 1.0)], changes, batch="8") for _ in range(4)]
    found[1]["env"] = "conda-py3.12"
    found[2]["benchmark"] = "other.Speedup.track_speedup"
    found[3]["fingerprint"] = "f00d"
    rows = [line for line in _lines(histories.document(found), width=200) if "track_speedup" in line]
    assert len(set(rows)) == 4
    assert sum("conda-py3.12" in row for row in rows) == 1
    assert sum("other.Speedup.track_speedup (batch 8)" in row for row in rows) == 1
    assert sum("f00d" in row for row in rows) == 1


@pytest.mark.parametrize(
    ("apart", "sentence"),
    [
        (True, "was taken out of each first (half of all sessions lie within 3.0 %), and noise that neighbouring"),
        (False, "Too few plain times to tell a machine from a commit (3 on rack-1, env): a step of theirs is there"),
    ],
)
def test_the_claim_is_that_of_the_series_at_hand(apart: bool, sentence: str) -> None:  # noqa: FBT001  a parameter
    """Of plain times it says what was done about their noise, or that nobody can tell; of others neither."""
    noise = {"machine": "rack-1", "environment": "env", "fingerprint": None, "kind": "time", "series": 3}
    noise |= {"apart": apart, "correlation": 0.2, "drift": 0.03 if apart else None}
    found = [histories.series([histories.point(0, 1.0)], benchmark="suite.time_it", unit="s")]
    assert sentence in " ".join(_lines(histories.document(found, noise=[noise])))
    assert "plain times" not in " ".join(_lines(histories.document(found)))


def test_an_interval_has_as_many_digits_as_tell_its_ends_apart() -> None:
    """Three, unless those are the same."""
    narrow = histories.event(5, 6, 0.18) | {"low": 0.179, "high": 0.181}
    text = "\n".join(_lines(histories.document([], events=[narrow]), width=400))
    assert "by x1.18 [1.179, 1.181] between" in text
    assert "by x1.18 [1.15, 1.21] between" in "\n".join(
        _lines(histories.document([], events=[histories.event(5, 6, 0.18)]), width=400)
    )
