"""What a step costs in memory of its own: the peak of this process during it, over what the process held before.

Pages of files are not counted: they are the code of libraries, mapped by many processes and read at first use, and far
more than the rest. The first forward of SimpleCNN touches 16 to 30 MB of them, its activations at batch 1 need less
than 1 MB. And large blocks are mapped apart meanwhile: in a heap, where they come to lie is luck, and the peak of the
same forward at batch 32 was 9.5 to 12.1 MB by the holes that it found, where 8.3 MB are alive at once.
"""

import ctypes
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from int8bench.lab.environment import MALLOPT

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_THRESHOLD = "MALLOC_MMAP_THRESHOLD_"
_APART_FROM = 1 << 16  # bytes
_DEFAULT_THRESHOLD = 1 << 17  # mallopt(3)
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): reset the peak resident set size to the current one


def private_bytes() -> int:
    """The resident memory of this process now that no file backs; all of its peak where the kernel does not tell."""
    return _status_bytes("VmRSS") - _of_files() if _STATUS.exists() else _peak_bytes()


def peak_bytes_during(step: Callable[[], object]) -> int:
    """The peak of this process's private memory while `step` runs, once.

    The kernel keeps the peak of all resident pages. Those of files only grow meanwhile, so that taking away what they
    are at the end gives the peak of the others, or a little less.
    """
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    step()
    return _peak_bytes()


@contextmanager
def large_blocks_apart(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Every large block that is allocated meanwhile is a mapping of its own, and gone when it is freed; glibc only.

    Args:
        environment: what this process was started with; its setting is restored.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", lambda _option, _value: 0)
    set_option(MALLOPT[_THRESHOLD], _APART_FROM)
    try:
        yield
    finally:
        set_option(MALLOPT[_THRESHOLD], int(environment.get(_THRESHOLD, _DEFAULT_THRESHOLD)))


def release_free() -> None:
    """Hands freed heap back to the kernel, so that a step's peak holds no leftovers of an earlier one; glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peak_bytes() -> int:
    if _STATUS.exists():
        return _status_bytes("VmHWM") - _of_files()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes on macOS, KiB elsewhere


def _of_files() -> int:
    """Resident pages of files: proc_pid_status(5)."""
    return _status_bytes("RssFile")


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS}: no {field} line")
