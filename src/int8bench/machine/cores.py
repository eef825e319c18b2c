"""The processors that this process may really use: affinity and control-group quota. Reads, never sets."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

ROOT = Path("/")
PATIENCE_S = 10.0  # sysctl answers in milliseconds, or something is badly wrong


def usable_processors() -> tuple[int, ...]:
    """Return the numbers of the processors that this process may run on, in order."""
    allowed = affinity()
    return tuple(sorted(allowed)) if allowed else tuple(range(os.cpu_count() or 1))


def affinity() -> frozenset[int] | None:
    """Return the processors in this process's affinity mask; None where the system has no such mask."""
    ask = getattr(os, "sched_getaffinity", None)  # Linux alone
    return frozenset(ask(0)) if ask else None


def usable_core_count() -> int:
    """Return how many cores this process can keep busy, without a look at the rest of the machine."""
    return usable_cores(logical=os.cpu_count(), allowed=affinity(), quota=cgroup_quota()) or 1


def usable_cores(*, logical: int | None, allowed: frozenset[int] | None, quota: float | None) -> int | None:
    """Return how many cores can be kept busy all the time; a quota of 1.5 cores keeps one busy and throttles two.

    Args:
        logical: of the machine; None where nobody tells.
        allowed: the cores that the process may run on.
        quota: of the control groups, in cores; None for no limit.
    """
    counts = [count for count in (len(allowed) if allowed else None, logical) if count]
    if quota is not None:
        counts.append(max(1, int(quota)))
    return min(counts) if counts else None


def cgroup_quota(root: Path = ROOT) -> float | None:
    """Return the cores that this process's control groups allow on average, at the tightest level; None for no limit.

    Both versions: cpu.max of cgroup v2, cpu.cfs_quota_us over cpu.cfs_period_us of v1
    (Linux's Documentation/admin-guide/cgroup-v2.rst and Documentation/scheduler/sched-bwc.rst).
    """
    quotas = [quota for directory in _directories(root) if (quota := _quota(directory)) is not None]
    return min(quotas, default=None)


def said(command: Sequence[str]) -> str:
    """Return what a command of the system prints; empty where there is none, or where it does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def read_text(path: Path) -> str:
    """Return the text of a small system file; empty where there is none or it may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _directories(root: Path) -> Iterator[Path]:
    """Yield the control-group directories of this process that may hold a processor quota, each with its ancestors."""
    base = root / "sys/fs/cgroup"
    for line in read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = (*line.split(":", 2), "", "")[:3]
        if not controllers:
            yield from _upwards(base, path)
        elif "cpu" in controllers.split(","):
            for mount in dict.fromkeys((controllers, "cpu", "cpu,cpuacct")):
                yield from _upwards(base / mount, path)


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield the directory of a group and those above it up to the mount, which in a container is all that is there."""
    names = PurePosixPath(path.strip().lstrip("/")).parts
    for depth in range(len(names), -1, -1):
        yield mount.joinpath(*names[:depth])


def _quota(directory: Path) -> float | None:
    words = read_text(directory / "cpu.max").split()
    if not words:
        words = [read_text(directory / name).strip() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")]
    if len(words) == 1:
        words.append("100000")  # the kernel's default period, which cpu.max may leave out
    try:
        quota_us, period_us = int(words[0]), int(words[1])
    except ValueError:
        return None  # "max", or no such file
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None
