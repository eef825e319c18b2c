"""How many cores a listing tells of, and of which kinds. Pure."""

from collections import Counter

from int8bench.machine.listings.reading import Listing, whole_number

_MOST_THREADS = 2  # of one core, where there are cores with fewer
_FEWEST_SMALL = 2  # small cores come in clusters; one thread fewer is one that is switched off


def logical_cores(listing: Listing) -> int | None:
    """Return the processors listed: of an excerpt with one block its socket's siblings; else lscpu's count, or None."""
    listed = sum(value.isdecimal() for value in listing.column("processor"))
    if listed > 1:
        return listed
    return listing.number("siblings") or listing.number("cpu(s)") or None


def physical_cores(listing: Listing) -> int | None:
    """Return the cores of all sockets; of an excerpt with one block, the cores of its socket, or None.

    Two dies of a package can repeat their cores' numbers, so of a socket that is listed whole its own count is taken.
    """
    counted = zip(listing.column("core(s) per socket"), listing.column("socket(s)"), strict=False)
    by_lscpu = sum((whole_number(cores) or 0) * (whole_number(sockets) or 0) for cores, sockets in counted)
    if by_lscpu:
        return by_lscpu  # of each kind of core, where there are several
    if len(listing.column("processor")) <= 1:
        return listing.number("cpu cores") or None
    processors = listing.column("physical id")
    numbered = set(zip(processors, listing.column("core id"), strict=False))
    counted = zip(listing.column("siblings"), listing.column("cpu cores"), strict=False)
    own = dict(zip(processors, counted, strict=False))
    count = 0
    for socket, listed in Counter(processors).items():
        siblings, cores = own.get(socket, ("", ""))
        whole = whole_number(cores) if siblings == str(listed) else None
        count += whole or sum(each == socket for each, _ in numbered)
    return count or None


def kinds_of_cores(listing: Listing) -> tuple[str, ...]:
    """Return the kinds of x86 cores where a socket has more threads than cores and fewer than two each."""
    cores = listing.number("cpu cores") or listing.number("core(s) per socket")
    threads = listing.number("siblings") or _threads_per_socket(listing)
    if not cores or not threads or not cores < threads <= _MOST_THREADS * cores - _FEWEST_SMALL:
        # All of these are of two kinds; some of one thread a core.
        ultra = "Core(TM) Ultra" in (listing.name("model name") or "")
        return ("performance", "efficiency") if ultra else ()
    return f"{threads - cores} with 2 threads", f"{_MOST_THREADS * cores - threads} with 1 thread"


def kinds_by_name(names: Counter[str]) -> tuple[str, ...]:
    """Return the kinds of cores by name, the first first; none where all are of one kind."""
    return tuple(f"{count} {name}" for name, count in names.items()) if len(names) > 1 else ()


def _threads_per_socket(listing: Listing) -> int | None:
    threads, sockets = listing.number("cpu(s)"), listing.number("socket(s)")
    return threads // sockets if threads and sockets else None
