"""What a step costs in resident memory: the peak of this process during it, over what the process held before."""

import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): reset the peak resident set size to the current one


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Resident memory before a step and its peak during the step, in bytes."""

    before_bytes: int
    peak_bytes: int

    @property
    def delta_bytes(self) -> int:
        """What the step added at its peak."""
        return self.peak_bytes - self.before_bytes


def footprint_of(step: Callable[[], object]) -> Footprint:
    """The resident memory that `step` adds at its peak; the step is run once."""
    before = _start()
    step()
    return Footprint(before_bytes=before, peak_bytes=max(before, _peak_bytes()))


def _start() -> int:
    if not _STATUS.exists():
        return _peak_bytes()
    _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    return _status_bytes("VmRSS")


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
