"""What this user's machine keeps between runs: where, how large, when it was used last; what is used longest ago goes.

An entry in use is held by a lock on it, which the kernel lets go of however its process ends; nobody removes it before.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from int8bench import options
from int8bench.files import scratch_folder

with suppress(ImportError):  # not there on Windows, where nothing is kept that is removed
    import fcntl

CAP_BYTES = 5 * 10**9
CAP_VARIABLE = "INT8BENCH_CACHE_CAP"
CONVERTED, REVISIONS = "converted", "revisions"
MANIFEST = "manifest.json"  # what a conversion says of itself
LARGE = ("conversion", "revision", "weights")  # the others are measurements, of some bytes
GOING = ".removing-"  # prefix of what has left its place and is being deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """One thing that is kept, and goes as a whole."""

    kind: str
    """``conversion``, ``revision``, ``weights``, ``selftest``, or ``times`` that conversions took."""
    name: str
    path: Path
    size_bytes: int
    used_at: float
    """Seconds since the epoch."""
    in_use: bool

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "kind": self.kind,
            "name": self.name,
            "path": str(self.path),
            "bytes": self.size_bytes,
            "last_used": datetime.fromtimestamp(self.used_at, UTC).isoformat(timespec="seconds"),
            "in_use": self.in_use,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The entries of the cache, the one used longest ago first, and the most bytes that they may take."""

    folder: Path | None
    cap_bytes: int
    entries: tuple[CacheEntry, ...]
    freed_bytes: int | None = None
    """What was removed just now; None where nothing was to be."""

    @property
    def size_bytes(self) -> int:
        """Of all entries together."""
        return sum(entry.size_bytes for entry in self.entries)

    def to_dict(self) -> dict[str, object]:
        """Return the document of ``cache --json``."""
        return {
            "folder": None if self.folder is None else str(self.folder),
            "cap_bytes": self.cap_bytes,
            "bytes": self.size_bytes,
            "freed_bytes": self.freed_bytes,
            "entries": [entry.to_dict() for entry in self.entries],
        }


def folder() -> Path | None:
    """Return $XDG_CACHE_HOME/int8bench or ~/.cache/int8bench; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():  # a relative one is to be ignored, by the XDG base directory specification
        return Path(base) / "int8bench"
    with suppress(RuntimeError):  # a container's user may have no home
        return Path.home() / ".cache" / "int8bench"
    return None


def cap_bytes() -> int:
    """Return the most bytes to keep: what the variable says, else 5 GB.

    Raises:
        RequestError: the variable is no size.
    """
    said = os.environ.get(CAP_VARIABLE)
    return CAP_BYTES if said is None else options.size(CAP_VARIABLE, said)


def cap_at(most_bytes: int) -> None:
    """Keep so many bytes at most, in this process and in those that it starts."""
    os.environ[CAP_VARIABLE] = str(most_bytes)


def contents() -> Contents:
    """Return the contents of the cache.

    Raises:
        RequestError: the environment's cap is no size.
    """
    place = folder()
    entries = () if place is None else tuple(sorted(_entries(place), key=lambda each: (each.used_at, each.name)))
    return Contents(folder=place, cap_bytes=cap_bytes(), entries=entries)


def trim() -> Contents:
    """Remove entries, the one used longest ago first, until the rest fits; those in use, or without bytes, stay.

    Raises:
        RequestError: the environment's cap is no size.
    """
    kept = contents()
    excess = kept.size_bytes - kept.cap_bytes
    gone: list[CacheEntry] = []
    for entry in kept.entries:
        if excess <= sum(each.size_bytes for each in gone):
            break
        if entry.kind in LARGE and remove(entry.path):
            gone.append(entry)
    return _less(kept, gone)


def prune() -> Contents:
    """Remove all that nobody uses.

    Raises:
        RequestError: the environment's cap is no size.
    """
    listing = contents()
    return _less(listing, [entry for entry in listing.entries if remove(entry.path)])


def hold(entry: Path) -> bool:
    """Keep an entry, or what is about to become one, from being removed until this process ends; whether it is there.

    It counts as used now.
    """
    descriptor = _locked(entry, shared=True)
    if descriptor is None:
        return False
    with suppress(OSError):  # a cache that may only be read
        os.utime(entry)
    _HELD.append(descriptor)
    return True


def remove(entry: Path) -> bool:
    """Remove an entry that nobody holds; whether it did."""
    descriptor = _locked(entry, shared=False)
    if descriptor is None:
        return False
    try:
        # It leaves its place in one step: whoever looks for it next finds nothing, never a half of it.
        aside = scratch_folder(entry.parent, GOING)
        entry.rename(aside.path / entry.name)
    except OSError:  # the folder is not ours
        return False
    finally:
        os.close(descriptor)
    aside.remove()
    return True


_HELD: list[int] = []  # the locks of this process, which end with it


def _locked(entry: Path, *, shared: bool) -> int | None:
    """Return a descriptor with the entry's lock; None where it is not there any more, or another process has it."""
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        # Who holds waits for who looks or removes, which is a moment; who removes does not wait for who holds.
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), entry.stat()):  # or it left its place before it was locked
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _less(listing: Contents, gone: Iterable[CacheEntry]) -> Contents:
    removed = {each.path for each in gone}
    return Contents(
        folder=listing.folder,
        cap_bytes=listing.cap_bytes,
        entries=tuple(entry for entry in listing.entries if entry.path not in removed),
        freed_bytes=sum(entry.size_bytes for entry in listing.entries if entry.path in removed),
    )


def _entries(place: Path) -> Iterator[CacheEntry]:
    for path in _within(place / CONVERTED):
        yield _entry("conversion", _said(path).get("label", path.name), path)
    for path in _within(place / REVISIONS):
        yield _entry("revision", path.name, path)
    for path in _within(place):
        if path.suffix == ".pt":
            yield _entry("weights", path.stem, path)
        elif path.name.startswith("selftest-"):
            yield _entry("selftest", path.stem, path)
        elif path.name == "times":
            yield _entry("times", "of conversions", path)


def _within(place: Path) -> list[Path]:
    """Return the paths in a folder, without those that are being made or removed."""
    try:
        return sorted(each for each in place.iterdir() if not each.name.startswith("."))
    except OSError:  # not there
        return []


def _entry(kind: str, name: str, path: Path) -> CacheEntry:
    lock = _locked(path, shared=False)
    if lock is not None:
        os.close(lock)
    return CacheEntry(kind=kind, name=name, path=path, size_bytes=_size(path), used_at=_used(path), in_use=lock is None)


def _size(path: Path) -> int:
    """Return the bytes of an entry; a file that goes while it is counted has none."""
    files = [path]
    for folder_path, folders, names in os.walk(path):  # unlike rglob, it goes on where a folder has gone
        files += [Path(folder_path, name) for name in (*folders, *names)]
    total = 0
    for each in files:
        with suppress(OSError):
            total += each.lstat().st_size
    return total


def _used(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


def _said(path: Path) -> Mapping[str, Any]:
    try:
        said = json.loads((path / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}
