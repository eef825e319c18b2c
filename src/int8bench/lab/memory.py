"""What a step costs in resident memory: the peak of this process during it, over what the process held before."""

import ctypes
import resource
import sys
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): reset the peak resident set size to the current one


def resident_bytes() -> int:
    """The resident memory of this process now; its peak so far where the kernel does not tell."""
    return _status_bytes("VmRSS") if _STATUS.exists() else _peak_bytes()


def peak_bytes_during(step: Callable[[], object]) -> int:
    """The peak of this process's resident memory while `step` runs, once."""
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    step()
    return _peak_bytes()


def release_free() -> None:
    """Hands freed heap back to the kernel, so that a step's peak holds no leftovers of an earlier one; glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peak_bytes() -> int:
    if _STATUS.exists():
        return _status_bytes("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes on macOS, KiB elsewhere


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS}: no {field} line")
