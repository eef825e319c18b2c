"""What a person has to know of a duet beside its comparisons: what failed, strayed, was skipped or left out. Pure.

What several benchmarks share is said once, with their names.
"""

from collections.abc import Iterable, Mapping, Sequence

from int8bench.compare.duet.failures import Outcomes, by_sentence, fails_always, is_broken
from int8bench.compare.duet.samples import DuetSamples
from int8bench.machine.finding import Finding, ShownFinding, error, note, warning

MOST_NAMES = 20  # of a finding
MOST_REASONS = 3  # of a sentence that says why there is nothing at all
NOT_HERE = "NotImplementedError"
DIRTY_TREE = "dirty-tree"
WHOLE = "duet"  # the subject of what is no benchmark's own


def of_samples(samples: DuetSamples, error_rate: float) -> list[Finding]:
    """Return the findings on the samples of a duet.

    Args:
        samples: what became of every benchmark.
        error_rate: of one verdict.
    """
    findings = [_skipped(reason, names) for reason, names in _by_reason(samples.skipped).items()]
    for kind, reasons in (("not-this-revision", samples.strayed), ("not-measured", samples.stopped)):
        findings += [warning(kind, listed(names), reason=reason) for reason, names in _by_reason(reasons).items()]
    failing = {name: each for name, each in samples.failing.items() if name not in samples.gone}
    for sentence, names in by_sentence(failing).items():
        findings.append(_failing(sentence, names, failing[names[0]], error_rate))
    return findings


def of_left_out(base: Mapping[str, str], head: Mapping[str, str], known: Iterable[str]) -> list[Finding]:
    """Return the findings on the benchmarks that the suites of base and head leave out, by reason.

    What one of the suites fails to import is reported with the failures.

    Args:
        base: why something is not in base's suite, by its id or file.
        head: the same of head's.
        known: the benchmarks that are compared, or tried.
    """
    tried = set(known)
    reasons = {name: reason for name, reason in {**base, **head}.items() if name not in tried}
    findings = []
    for reason, names in _by_reason(reasons).items():
        sides = [side for side, of_it in (("base", base), ("head", head)) if any(name in of_it for name in names)]
        where = "" if len(sides) > 1 else f"{sides[0]}: "
        findings.append(note("left-out", WHOLE, where=where, names=listed(names), reason=reason))
    return findings


def is_not_here(outcomes: Outcomes) -> bool:
    """Tell whether a benchmark says in every call of both sides that it cannot run here; in asv, a setup says so."""
    return fails_always(outcomes) and all(
        _says_not_here(outcome.base) and _says_not_here(outcome.head) for outcome in outcomes
    )


def why_nothing(findings: Sequence[ShownFinding]) -> str:
    """Return a sentence on why there is nothing to compare: the commonest reasons, and the number of the others."""
    messages = list(dict.fromkeys(finding.message for finding in findings if finding.code != DIRTY_TREE))
    more = f" (and {len(messages) - MOST_REASONS} more reasons)" if len(messages) > MOST_REASONS else ""
    return "; ".join(messages[:MOST_REASONS]) + more


def listed(names: Sequence[str], *, most: int = MOST_NAMES) -> str:
    """Return names for a sentence, no more of them than a person reads.

    Args:
        names: all of them.
        most: the number of names from which on the others are only counted.
    """
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Return names by the reason that they share, the commonest reason first."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    return dict(sorted(by_reason.items(), key=lambda each: -len(each[1])))


def _failing(sentence: str, names: Sequence[str], outcomes: Outcomes, error_rate: float) -> Finding:
    """Return the finding on benchmarks that fail alike.

    It is an error where head surely fails more often, a note where both sides say that they cannot do it, and a warning
    else.
    """
    if is_not_here(outcomes):
        return note("skipped", WHOLE, names=listed(names), reason=f"raises {NOT_HERE} when it is called")
    if is_broken(outcomes, error_rate):
        return error("benchmark-failed/surely", listed(names), reason=sentence)
    return warning("benchmark-failed", listed(names), reason=sentence)


def _says_not_here(reason: str | None) -> bool:
    return reason is not None and NOT_HERE in reason


def _skipped(reason: str, names: Sequence[str]) -> Finding:
    """Return the finding on benchmarks that are skipped for the same reason.

    It is a note where both sides skip them, and a warning where one side does: what is lost there a person should know.
    """
    sides = [each.partition(": ") for each in reason.split("; ")]
    if len(sides) == 1:
        return warning("skipped/one side", listed(names), reason=reason)
    alike = {label for label, _, _ in sides} >= {"base", "head"} and len({why for _, _, why in sides}) == 1
    return note("skipped", WHOLE, names=listed(names), reason=sides[0][2] if alike else reason)
