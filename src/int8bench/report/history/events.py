"""What a history says of events, of the noise of its plain times, and of where a row is from, in words. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence

from int8bench.report.history.document import EventRow, HistoryDocument, SeriesRow, StepRow
from int8bench.report.history.view import SHORT_HASH, params

DIGITS = (3, 4, 5)  # of a factor: as few as tell the ends of its interval apart
CAUSES = "the machine, its software, or something that every benchmark uses"


def moved(event: EventRow) -> str:
    """Return the number of moved series and their step: ``12 of 20 times moved together by x1.18 [1.15, 1.21]``."""
    what = {"time": "times", "memory": "figures of memory"}.get(event.kind, "rows")
    if event.step is None:
        return f"{event.series} of {event.of} {what} moved together from zero"
    factors = [1 + (end or 0.0) for end in (event.step, event.low, event.high)]
    digits = next((digit for digit in DIGITS if f"{factors[1]:.{digit}g}" != f"{factors[2]:.{digit}g}"), DIGITS[-1])
    shown = [f"{factor:.{digits}g}" for factor in factors]
    return f"{event.series} of {event.of} {what} moved together by x{shown[0]} [{shown[1]}, {shown[2]}]"


def between(step: EventRow | StepRow) -> str:
    """Return the two commits of a step, by their short hashes."""
    return f"{step.commit_before[:SHORT_HASH]}..{step.commit_after[:SHORT_HASH]}"


def cause(event: EventRow) -> str:
    """Return the possible causes of an event, with the evidence."""
    if event.control:
        return f"the machine or its software, since a row moved that no commit changes ({_all(event.evidence)})"
    evidence = _all(event.evidence)
    return f"{CAUSES}{f' ({evidence})' if evidence else ''}"


def settle(event: EventRow) -> str:
    """Return the command that settles the cause of an event."""
    return f"int8bench duet {event.commit_before[:SHORT_HASH]} {event.commit_after[:SHORT_HASH]}"


def _all(evidence: Sequence[str]) -> str:
    return "; ".join(evidence)


def claim(document: HistoryDocument) -> Iterator[str]:
    """Yield sentences on the claims of the search, for the kinds of series that there are."""
    rate = f"{document.error_rate:.2g}"
    yield f"one false change or more in all of them together has a probability of {rate} at most."
    apart = [each for each in document.noise if each.apart]
    if apart:
        drift = max(each.drift or 0.0 for each in apart)
        correlation = max(each.correlation for each in apart)
        yield (
            "What the plain times of a machine do together was taken out of each first (half of all sessions lie "
            f"within {100 * drift:.1f} %), and noise that neighbouring commits share (a correlation of "
            f"{correlation:.2f}) was allowed for."
        )
    few = [each for each in document.noise if not each.apart]
    if few:
        where = ", ".join(f"{each.series} on {each.machine}, {each.environment}" for each in few)
        yield (
            f"Too few plain times to tell a machine from a commit ({where}): a step of theirs is there, and may be of "
            "either; int8bench duet BEFORE AFTER settles it."
        )


def names(series: Sequence[SeriesRow]) -> dict[int, str]:
    """Return a name for each series, by its place (series,).

    It is the function, with as much of its module as tells it apart, and the parameters.
    """
    full = sorted({str(each.benchmark) for each in series})
    short = Counter(name.rpartition(".")[2] for name in full)
    by_number = {}
    for number, each in enumerate(series):
        name = str(each.benchmark)
        shown = name.rpartition(".")[2] if short[name.rpartition(".")[2]] == 1 else name
        by_number[number] = f"{shown} ({params(each.params)})" if each.params else shown
    return by_number


def places(series: Sequence[SeriesRow]) -> dict[int, str]:
    """Return the machine of each series, by its place (series,).

    The environment and the hardware are with it where a machine has several.
    """
    environments: dict[str, set[str]] = {}
    hardware: dict[str, set[str | None]] = {}
    for each in series:
        environments.setdefault(each.machine, set()).add(each.env)
        hardware.setdefault(each.machine, set()).add(each.fingerprint)
    by_number = {}
    for number, each in enumerate(series):
        more = [each.env] if len(environments[each.machine]) > 1 else []
        more += [each.fingerprint or "unknown hardware"] if len(hardware[each.machine]) > 1 else []
        by_number[number] = f"{each.machine} ({', '.join(more)})" if more else str(each.machine)
    return by_number
