"""What a step costs in memory of its own: the peak of this process during it, over what the process held before.

Pages of files are not counted: they are the code of libraries, mapped by many processes and read at first use, and far
more than the rest. The first forward of SimpleCNN touches 16 to 30 MB of them, its activations at batch 1 need less
than 1 MB. And large blocks are mapped apart meanwhile, on small pages: in a heap, where they come to lie is luck, and
the peak of the same forward at batch 32 was 9.5 to 12.1 MB by the holes that it found.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

with suppress(ImportError):  # not there on Windows, which reads what others measured
    import resource

# mallopt(3), for a process that has read its variables; the numbers are malloc.h's, of glibc.
MALLOPT = {"MALLOC_TRIM_THRESHOLD_": -1, "MALLOC_TOP_PAD_": -2, "MALLOC_MMAP_THRESHOLD_": -3}
LARGEST_INT = (1 << 31) - 1  # mallopt takes an int; the variables take a size
_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_LARGE = 1 << 16  # bytes
_IS_MMAPPED = 2
_PR_SET_THP_DISABLE = 41  # prctl(2)
# What glibc is told while blocks are apart, and its own defaults (mallopt(3)).
_APART = {"MALLOC_MMAP_THRESHOLD_": (_LARGE, 1 << 17), "MALLOC_TOP_PAD_": (0, 1 << 17)}
# Of Python's small objects, in bytes (obmalloc.c): their sizes are multiples of 16, and an empty `bytes` has 33.
_BYTES_HEADER, _SMALLEST, _LARGEST_SMALL = 33, 48, 512
_BATCH = 1 << 20
_MOST_BATCHES = 256  # of a size: no more, should memory be taken away meanwhile
_RESET_PEAK = "5"  # proc_pid_clear_refs(5): reset the peak resident set size to the current one


def private_bytes() -> int:
    """Return the bytes of resident memory of this process now that no file backs.

    Where the kernel does not tell, they are all of its peak.
    """
    return _status_bytes("VmRSS") - _of_files() if _STATUS.exists() else _peak_bytes()


def peak_bytes_during(step: Callable[[], object]) -> int:
    """Return the peak in bytes of this process's private memory while `step` runs, once.

    The kernel keeps the peak of all resident pages. Those of files only grow meanwhile, so that taking away what they
    are at the end gives the peak of the others, or a little less.
    """
    if _CLEAR_REFS.exists():
        _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    step()
    return _peak_bytes()


@contextmanager
def counted_exactly(environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Run the block so that the memory in use is resident, and little else.

    Large blocks are on their own, and pages are small.

    Every large block is a mapping of its own, and gone when it is freed (glibc only). It is mapped where the heap has
    no room for it; so the heap is not to grow ahead, and its holes, which are other ones in each process, are taken
    first, without touching them. And no huge pages are used: one is 2 MB for the first byte that is written to it.

    Args:
        environment: what this process was started with; its settings are restored.
    """
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallopt"):
        yield
        return
    _huge_pages(libc, allowed=False)
    for name, (meanwhile, _) in _APART.items():
        libc.mallopt(MALLOPT[name], meanwhile)
    libc.malloc_trim(0)
    taken = _holes(libc)
    try:
        yield
    finally:
        _huge_pages(libc, allowed=True)
        for block in taken:
            libc.free(ctypes.c_void_p(block))
        for name, (_, default) in _APART.items():
            libc.mallopt(MALLOPT[name], min(int(environment.get(name, default)), LARGEST_INT))


@contextmanager
def over_nothing() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Hold a function that gives the peak of a step, over this process's bytes at the start, less that of no step."""
    nothing = _bytes_of_nothing()
    with counted_exactly():
        full = _full_pools()  # held until the step has run
        release_free()
        held = private_bytes()

        def peak_of(step: Callable[[], object]) -> int:
            release_free()
            return peak_bytes_during(step) - held - nothing

        yield peak_of
        del full


def _full_pools() -> list[list[bytes]]:
    """Return objects of every small size, so many that Python's free memory is used up and more had to come.

    Python keeps what was freed of its small objects, and a step that fills it seems to cost nothing. How much there is
    depends on what was imported: lists of 14 MB took 10 where a module had been compiled that they do not use.
    """
    batches: list[list[bytes]] = []
    if not _STATUS.exists():
        return batches
    for size in range(_SMALLEST, _LARGEST_SMALL + 1, 16):
        for _ in range(_MOST_BATCHES):
            before = private_bytes()
            batches.append([bytes(size - _BYTES_HEADER) for _ in range(_BATCH // size)])
            if private_bytes() - before > _BATCH * 3 // 4:
                break
    return batches


def _bytes_of_nothing() -> int:
    """Return the bytes that the peak of a process that does nothing adds to what it holds.

    The process is a fork of this one, measured as steps are.

    Raises:
        RuntimeError: the fork did not say.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with counted_exactly():
                release_free()
                held = private_bytes()
                os.write(writing, b"%d" % (peak_bytes_during(lambda: None) - held))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        written = pipe.read()
    os.waitpid(pid, 0)
    if not written:
        raise RuntimeError("a process that was to do nothing did not end well")
    return int(written)


def _huge_pages(libc: ctypes.CDLL, *, allowed: bool) -> None:
    """Allow this process huge pages, or forbid them; Linux only."""
    if sys.platform == "linux":
        libc.prctl(_PR_SET_THP_DISABLE, 0 if allowed else 1, 0, 0, 0)


def _holes(libc: ctypes.CDLL) -> list[int]:
    """Return blocks that fill every hole of the heap which a large block fits into."""
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    taken: list[int] = []
    while (block := libc.malloc(_LARGE)) and not _is_mapped(block):
        taken.append(block)
    libc.free(ctypes.c_void_p(block))
    return taken


def _is_mapped(block: int) -> bool:
    """Tell whether a block is a mapping of its own: the second bit of the size before it (glibc's malloc.c)."""
    return bool(ctypes.c_size_t.from_address(block - ctypes.sizeof(ctypes.c_size_t)).value & _IS_MMAPPED)


def release_free() -> None:
    """Hand freed heap back to the kernel, so that a step's peak holds no leftovers of an earlier one; glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peak_bytes() -> int:
    if _STATUS.exists():
        return _status_bytes("VmHWM") - _of_files()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): bytes on macOS, KiB elsewhere


def _of_files() -> int:
    """Return the bytes of resident pages of files: proc_pid_status(5)."""
    return _status_bytes("RssFile")


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"{_STATUS}: no {field} line")
