"""What disturbed a measurement, and which rounds that costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.lab import noise

QUIET = noise.Reading(
    involuntary_switches=3, major_faults=2, minor_faults=9, steal_ticks=5, busy_ticks=100, own_cpu_s=0.5
)


def test_a_reading_counts_since_an_earlier_one() -> None:
    """Counters are subtracted one by one."""
    later = replace(QUIET, involuntary_switches=7, steal_ticks=6, own_cpu_s=0.75)
    found = later.since(QUIET)
    assert (found.involuntary_switches, found.steal_ticks, found.major_faults) == (4, 1, 0)
    assert found.own_cpu_s == pytest.approx(0.25)


@pytest.mark.parametrize("field", ["involuntary_switches", "major_faults", "steal_ticks"])
def test_whatever_takes_the_processor_away_disturbs(field: str) -> None:
    """A switch, a major fault or stolen time disturbs; a minor fault alone does not."""
    nothing = QUIET.since(QUIET)
    assert not nothing.disturbed
    assert not replace(nothing, minor_faults=4).disturbed
    assert replace(nothing, **{field: 1}).disturbed


def test_undisturbed_rounds_are_kept() -> None:
    """Up to half of the rounds may be dropped."""
    assert noise.kept_rounds([True, False, False, True]) == (False, True, True, False)


def test_all_rounds_are_kept_where_most_are_disturbed() -> None:
    """Beyond half, disturbance is the rule of this machine and dropping would leave the exceptions."""
    assert noise.kept_rounds([True, True, False]) == (True, True, True)


def test_competing_load_is_what_others_kept_busy() -> None:
    """Two seconds of busy machine, half a second of it ours, over one second: 1.5 cores of others."""
    busy = replace(QUIET.since(QUIET), busy_ticks=2 * noise.TICK_HZ, own_cpu_s=0.5)
    assert busy.competing_load(1.0) == pytest.approx(1.5)
    assert busy.competing_load(0.0) == 0.0


def test_the_kernels_line_is_read_by_its_columns(tmp_path: Path) -> None:
    """Busy is user, nice, system, irq and softirq; steal is the eighth figure."""
    stat = tmp_path / "stat"
    stat.write_text("cpu  1 2 4 8 16 32 64 128 256 512\ncpu0 0 0 0 0\n", encoding="ascii")
    reading = noise.read(stat)
    assert reading.busy_ticks == 1 + 2 + 4 + 32 + 64
    assert reading.steal_ticks == 128


def test_no_kernel_file_is_no_error(tmp_path: Path) -> None:
    """Where the kernel has no such file the machine's counters are zero."""
    assert noise.read(tmp_path / "absent").steal_ticks == 0
