"""A process's own memory, seen by the kernel."""

import mmap
import sys
from pathlib import Path

import pytest

from int8bench.lab.agent import memory

MIB = 1 << 20
# Since Linux 6.2 a processor tells of its pages 32 at a time, so that two may keep 64 of 4 kB to themselves: beside
# other work 0.77 MiB were read of 1, and 1.79 of 2.
UNCOUNTED = 64 * 4096

linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak can be reset on Linux only")


@pytest.fixture(autouse=True)
def _released() -> None:
    """Free heap that earlier tests left resident would be used again, and cost nothing."""
    memory.release_free()


@linux
def test_the_peak_of_a_step_holds_what_the_step_touched() -> None:
    """A step that fills 64 MiB and lets it go has a peak that much higher."""
    before = memory.private_bytes()
    peak = memory.peak_bytes_during(lambda: bytearray(b"x") * (64 * MIB))
    assert 60 * MIB < peak - before < 80 * MIB


@linux
def test_the_peak_of_an_earlier_step_is_forgotten() -> None:
    """After a large step a small one has a small peak."""
    memory.peak_bytes_during(lambda: bytearray(b"x") * (64 * MIB))
    before = memory.private_bytes()
    assert memory.peak_bytes_during(lambda: None) - before < 8 * MIB


@linux
def test_pages_of_files_cost_nothing(tmp_path: Path) -> None:
    """A file that is mapped and read is in memory, and nobody's own."""
    path = tmp_path / "library"
    path.write_bytes(b"x" * (64 * MIB))
    before = memory.private_bytes()

    def read() -> None:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            assert sum(mapped[::4096]) == 64 * MIB // 4096 * ord("x")
            kept.append(memory.private_bytes())

    kept: list[int] = []
    memory.peak_bytes_during(read)
    assert kept[0] - before < 8 * MIB


@linux
def test_blocks_that_are_freed_are_not_counted_on() -> None:
    """Of blocks that come one after another, with small ones kept between, one is in use at a time."""

    def step() -> None:
        for _ in range(20):
            block = bytearray(b"x") * MIB
            kept.append(bytearray(100))
            del block

    kept: list[bytearray] = []
    with memory.counted_exactly():
        before = memory.private_bytes()
        peak = memory.peak_bytes_during(step)
    assert 0.8 * MIB - UNCOUNTED < peak - before < 1.5 * MIB


@linux
def test_holes_of_the_heap_are_not_filled_again() -> None:
    """A heap with holes, handed back, has the same peak as one without: what is in use."""
    blocks = [bytearray(b"x") * (MIB // 4) for _ in range(64)]
    del blocks[::2]
    with memory.counted_exactly():
        before = memory.private_bytes()
        peak = memory.peak_bytes_during(lambda: [bytearray(b"x") * (MIB // 4) for _ in range(8)])
    assert 1.8 * MIB - UNCOUNTED < peak - before < 2.5 * MIB


@linux
def test_nothing_is_next_to_nothing() -> None:
    """A process that does nothing adds some pages, which are taken off."""
    with memory.over_nothing() as peak_of:
        assert abs(peak_of(lambda: None)) < MIB // 2


@linux
def test_what_python_has_freed_of_small_objects_is_not_used_again() -> None:
    """A process that has let go of many, though not of all of any page, sees the same peak as one that has not."""
    kept = [bytes(each % 400) for each in range(200_000)]
    del kept[::2], kept[::2]
    with memory.over_nothing() as peak_of:
        peak = peak_of(lambda: [bytes(400 - 33) for _ in range(8 * MIB // 400)])
    assert 7.5 * MIB < peak < 9 * MIB
    assert kept


def test_the_step_is_run_once() -> None:
    """A step is run exactly once."""
    runs = []
    memory.peak_bytes_during(lambda: runs.append(1))
    assert runs == [1]


def test_handing_memory_back_is_safe_anywhere() -> None:
    """Releasing leaves the process with no more than it had, give or take a page."""
    before = memory.private_bytes()
    memory.release_free()
    assert memory.private_bytes() <= before + MIB
