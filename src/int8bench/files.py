"""Files, written whole or not at all, and folders that go with their process.

What a killed process left is removed when the next folder is made. A folder is in use while its maker holds a lock on
it, which the kernel lets go of however the maker ends. That holds across containers which share a file system; the
number of a process would say nothing there.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from int8bench.errors import RequestError

with suppress(ImportError):  # not there on Windows, where doctor alone comes by, and makes no folder
    import fcntl


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A folder in use; `lock` is None where the file system has no locks, and nobody else then removes it."""

    path: Path
    lock: int | None

    def remove(self) -> None:
        """Remove what lies there, as far as that goes: a process of somebody else's may still be writing."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self.lock is not None:
            os.close(self.lock)


def scratch_folder(parent: Path, prefix: str) -> Scratch:
    """Return a new folder of that prefix in `parent`; those that killed processes left there are removed.

    Args:
        parent: the folder that it is made in.
        prefix: of its name; only folders of it are swept.
    """
    sweep(parent, prefix)
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = _locked(path, fcntl.LOCK_EX)
        if path.exists():  # or another process found it before it was locked, and took it for a left one
            return Scratch(path=path, lock=lock)
        if lock is not None:
            os.close(lock)


def sweep(parent: Path, prefix: str) -> None:
    """Remove the folders of that prefix that nobody holds.

    Args:
        parent: the folder to look in.
        prefix: of the names of scratch folders.
    """
    for left in parent.glob(f"{prefix}*"):
        lock = _locked(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if lock is not None:
            Scratch(path=left, lock=lock).remove()


def _locked(folder: Path, how: int) -> int | None:
    """Return a descriptor that holds the folder's lock; None where it cannot be had."""
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


def write_text(path: Path, text: str) -> None:
    """Write a file of text whole or not at all, see `write_bytes`.

    Args:
        path: the file.
        text: its new content, written as UTF-8.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that a person asked for, whole or not at all.

    Args:
        path: the file.
        content: its new content.

    Raises:
        RequestError: the file cannot be written; what was there before is untouched.
    """
    with _asked_for(path):
        put(path, content)


def check_writable(path: Path) -> None:
    """Find out before long work whether its result could be written.

    Raises:
        RequestError: it could not.
    """
    with _asked_for(path), _beside(path):
        pass


def put(path: Path, content: bytes | memoryview) -> None:
    """Put content in the place of a file, whole or not at all: into a temporary one beside it, which then replaces it.

    Args:
        path: the file.
        content: its new content.

    Raises:
        OSError: the file cannot be written; what was there before is untouched.
    """
    with _beside(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(os.path.realpath(path))  # a link stays a link


@contextmanager
def _asked_for(path: Path) -> Iterator[None]:
    try:
        yield
    except IsADirectoryError as error:
        raise RequestError(f"-o {path}: cannot be written: {error.strerror}; give the path of a file") from error
    except OSError as error:
        raise RequestError(
            f"-o {path}: cannot be written: {error.strerror or error}; "
            "give a path in a folder with room that you can write to"
        ) from error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Hold a temporary file beside `path`, gone at the end unless it has taken its place, after Ctrl-C too."""
    if path.exists() and not path.is_file():  # or root could replace a device such as /dev/null
        raise IsADirectoryError(errno.EISDIR, "it is a folder" if path.is_dir() else "it is a device")
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Move a finished record out of the way of the next one; the last two are kept, this one as NAME.previous.json.

    Raises:
        RequestError: it cannot be moved; it stays where it is.
    """
    previous = path.with_suffix(f".previous{path.suffix}")
    try:
        path.replace(previous)
    except OSError as error:
        raise RequestError(
            f"-o {path}: holds a finished run that cannot be moved to {previous}: {error.strerror or error}; "
            "give another -o"
        ) from error
    return previous
