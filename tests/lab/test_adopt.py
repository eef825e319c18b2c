"""Settings taken over by a process that somebody else started."""

import ctypes
import json
import subprocess
import sys
import textwrap

import pytest

from int8bench.lab.environment import ProcessSettings

GLIBC = hasattr(ctypes.CDLL(None), "mallopt")


def _in_a_process(program: str, **variables: str) -> str:
    """What a program prints; never in this process, whose allocator would be told for good."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PATH": "/usr/bin:/bin", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_variables_are_there_for_libraries_loaded_later() -> None:
    """Every setting of a measuring process stands in the environment afterwards, over what stood there."""
    program = "import json; from int8bench.lab.environment import adopt_settings; e = {}; adopt_settings(environment=e)"
    there = json.loads(_in_a_process(f"{program}; print(json.dumps(e))", GOMP_SPINCOUNT="infinite"))
    assert there == ProcessSettings().to_dict()


def test_a_setting_that_comes_too_late_is_told() -> None:
    """NumPy reads its threads when it is loaded: set afterwards they are not heeded, set before they are."""
    program = (
        "import sys\n{first}\nfrom int8bench.lab.environment import adopt_settings\nprint(adopt_settings()['{name}'])"
    )
    late = _in_a_process(program.format(first="import numpy", name="OPENBLAS_NUM_THREADS"))
    in_time = _in_a_process(program.format(first="", name="OPENBLAS_NUM_THREADS"))
    already = _in_a_process(program.format(first="import numpy", name="OPENBLAS_NUM_THREADS"), OPENBLAS_NUM_THREADS="1")
    assert (late, in_time, already) == ("False", "True", "True")


@pytest.mark.skipif(not GLIBC, reason="only glibc's allocator can be told after its start")
def test_the_allocator_keeps_freed_memory() -> None:
    """A large block that is freed and taken again costs no page faults."""
    faults = _in_a_process(
        """
        import ctypes, resource
        from int8bench.lab.environment import adopt_settings
        heeded = adopt_settings()
        assert heeded["MALLOC_MMAP_THRESHOLD_"], heeded
        libc = ctypes.CDLL(None)
        libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
        libc.free.argtypes = [ctypes.c_void_p]
        def touch():
            block = libc.malloc(40 << 20)
            ctypes.memset(block, 1, 40 << 20)
            libc.free(block)
        touch()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        touch()
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
        """
    )
    assert int(faults) < 100  # 10,240 pages otherwise
