"""Folders that go with the process that made them: what a killed one left is removed when the next one is made.

A folder is in use while its maker holds a lock on it, which the kernel lets go of however the maker ends. That holds
across containers which share a file system; the number of a process would say nothing there.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

with suppress(ImportError):  # not there on Windows, where doctor alone comes by, and makes no folder
    import fcntl


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A folder in use; `lock` is None where the file system has no locks, and nobody else then removes it."""

    path: Path
    lock: int | None

    def remove(self) -> None:
        """Removes what lies there, as far as that goes: a process of somebody else's may still be writing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)


def made(parent: Path, prefix: str) -> Scratch:
    """A new folder of that prefix in `parent`, after what killed processes left there of that prefix is gone."""
    sweep(parent, prefix)
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = _locked(path, fcntl.LOCK_EX)
        if path.exists():  # or another process found it before it was locked, and took it for a left one
            return Scratch(path=path, lock=lock)
        if lock is not None:
            os.close(lock)


def sweep(parent: Path, prefix: str) -> None:
    """Removes the folders of that prefix that nobody holds."""
    for left in parent.glob(f"{prefix}*"):
        lock = _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            Scratch(path=left, lock=lock).remove()


def _locked(folder: Path, how: int) -> int | None:
    """A descriptor that holds the folder's lock; None where it cannot be had."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone, another user's, or no folder
        return None
    try:
        fcntl.flock(descriptor, how)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
