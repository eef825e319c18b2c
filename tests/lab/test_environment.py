"""What measuring processes are started with."""

import pytest

from int8bench.lab.environment import ProcessSettings, cores_for, spare_cores


def test_settings_come_on_top_of_the_callers_environment() -> None:
    """Ours win over the caller's, and the rest stays."""
    applied = ProcessSettings().applied_to({"PATH": "/bin", "GOMP_SPINCOUNT": "infinite"})
    assert applied["PATH"] == "/bin"
    assert applied["GOMP_SPINCOUNT"] == "10000"
    assert set(ProcessSettings().to_dict()) <= set(applied)


def test_large_blocks_stay_in_the_heap() -> None:
    """The allocator neither maps large blocks afresh nor gives the heap back."""
    settings = ProcessSettings().to_dict()
    assert int(settings["MALLOC_MMAP_THRESHOLD_"]) >= 1 << 30
    assert int(settings["MALLOC_TRIM_THRESHOLD_"]) >= 1 << 30


def test_one_thread_moves_from_core_to_core() -> None:
    """Launches take the cores in turn."""
    assert [cores_for(threads=1, launch=i, usable=(2, 5)) for i in range(3)] == [(2,), (5,), (2,)]


def test_all_threads_take_all_cores() -> None:
    """As many threads as cores leaves no choice."""
    assert cores_for(threads=2, launch=1, usable=(0, 3)) == (0, 3)


def test_some_threads_turn_round() -> None:
    """Two threads of three cores wrap around the end."""
    assert cores_for(threads=2, launch=1, usable=(0, 1, 2)) == (0, 2)


def test_more_threads_than_cores_is_refused() -> None:
    """Nothing can be held to cores that are not there."""
    with pytest.raises(ValueError, match="3 threads asked for, 2 cores usable"):
        cores_for(threads=3, launch=0, usable=(0, 1))


def test_idle_threads_of_the_coordinator_sleep_soon() -> None:
    """As in a measuring process, unless a person has said how long they spin."""
    environment = {"GOMP_SPINCOUNT": "infinite"}
    spare_cores(environment)
    assert environment == {"GOMP_SPINCOUNT": "infinite", "KMP_BLOCKTIME": "1"}
