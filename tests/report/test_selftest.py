"""A selftest on the screen, against what a person should read."""

from dataclasses import replace
from typing import Any

import pytest

from int8bench.report import selftest
from int8bench.selftest.answer import (
    Bounded,
    CellFigures,
    ClockSteps,
    Counted,
    Coverage,
    FalseAlarms,
    Figures,
    RacedDesign,
    RacedSettings,
    Selftest,
    SlowDowns,
)

CELL = CellFigures(
    batch=1,
    threads=1,
    races=7,
    false_alarms=0,
    median_half_width=0.0041,
    launch_sd=0.0032,
    fork_sd=0.0051,
    smallest_slow_down=Bounded(value=0.0105, low=0.0089, high=0.0129),
    slow_downs=(),
)
ALL = {"count": 14, "trials": 14, "value": 1.0, "low": 0.768, "high": 1.0, "confidence": 0.95}
ALL_BUT_ONE = {"count": 13, "trials": 14, "value": 13 / 14, "low": 0.661, "high": 0.998, "confidence": 0.95}
NONE = {"count": 0, "trials": 14, "value": 0.0, "low": 0.0, "high": 0.2316, "confidence": 0.95}
FIGURES = Figures(
    trusted=True,
    trusted_down_to=0.0129,
    judgement="verdicts here can be trusted down to 1.3 %",
    races=14,
    false_alarms=FalseAlarms(**NONE, declared=0.001),
    coverage=Coverage(declared=0.95, itself=Counted(**ALL), slowed=Counted(**ALL_BUT_ONE)),
    slow_downs=SlowDowns(**ALL_BUT_ONE, expected=13.3, power=0.95),
    median_half_width=0.0052,
    cells=(CELL, replace(CELL, batch=32, threads=16, median_half_width=0.12, fork_sd=0.0)),
)
ANSWER = Selftest(
    created_at="2026-11-24T10:00:00+00:00",
    machine="A processor",
    settings=RacedSettings(
        fingerprint="0123456789ab",
        int8bench_version="0",
        versions={},
        engine="fbgemm",
        groups=((1, 1), (32, 16)),
        design=RacedDesign(
            looks=(5, 7, 8),
            forks=2,
            race_s=0.3,
            warmup_s=0.1,
            precision=0.01,
            margin=0.01,
            confidence=0.95,
            error_rate=0.001,
        ),
    ),
    thorough=False,
    budget_s=300.0,
    spent_s=288.0,
    launches=56,
    figures=FIGURES,
    clock=ClockSteps(step_s=4.1e-8, reading_s=5.2e-8),
)


def drawn(*, width: int = 100, colour: bool = False, **changes: Any) -> str:
    """The answer on a screen."""
    return selftest.render(replace(ANSWER, figures=replace(FIGURES, **changes)), width=width, colour=colour)


def test_a_selftest_is_one_screen() -> None:
    """The judgement, what it rests on with exact intervals, a row a cell, and what the words mean."""
    assert drawn().splitlines()[:-4] == [
        "verdicts here can be trusted down to 1.3 %",
        "14 races of fbgemm with itself, and as many with a known slow-down, over 56 launches in 4.8 minutes:",
        "A processor",
        "",
        "false alarms  0 of 14 [0.0, 23.2 %]; 0.10 % declared",
        "coverage      14 of 14 [76.8, 100.0 %] intervals of the code with itself hold 1; 95 % declared",
        "              13 of 14 [66.1, 99.8 %] intervals of a known slow-down hold it",
        "slow-downs    13 of 14 [66.1, 99.8 %] seen; by the spread of launches 13.3 or more are expected",
        "resolution    intervals of +-0.52 % (median); the clock steps by 41.0 ns and is read in 52.0 ns",
        "",
        "cell     races  false alarms  interval  launches   forks  smallest slow-down seen",
        "t1 b1        7             0  +-0.41 %    0.32 %  0.51 %  1.05 % [0.89, 1.29]",
        "t16 b32      7             0    +-12 %    0.32 %     0 %  1.05 % [0.89, 1.29]",
        "",
    ]


def test_the_judgement_is_red_where_verdicts_cannot_be_trusted() -> None:
    """And green where they can; no colours in a file."""
    refused = {"trusted": False, "judgement": "verdicts here cannot be trusted: 3 false alarms in 14 races"}
    assert drawn(**refused).splitlines()[0] == refused["judgement"]
    assert drawn(colour=True).startswith("\x1b[1;32mverdicts here can")
    assert drawn(colour=True, **refused).startswith("\x1b[1;31mverdicts here cannot")


@pytest.mark.parametrize("width", [80, 60])
def test_a_narrow_screen_breaks_no_row(width: int) -> None:
    """Sentences are wrapped; a cell stays on its line."""
    assert sum("t1 b1 " in line and "1.05 % [0.89, 1.29]" in line for line in drawn(width=width).splitlines()) == 1
