"""What a person has to know of a duet beside its comparisons: what failed, strayed, was skipped or left out. Pure.

Findings are worded here and nowhere else; what several benchmarks share is told once, with their names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from int8bench.compare.duet.failures import Outcomes, by_sentence, fails_always, is_broken
from int8bench.compare.duet.samples import DuetSamples
from int8bench.machine import finding
from int8bench.machine.finding import Finding, Severity

MOST_NAMES = 20  # of a finding
MOST_REASONS = 3  # of a sentence that says why there is nothing at all
NOT_HERE = "NotImplementedError"


def of_samples(samples: DuetSamples, error: float) -> list[Finding]:
    """The findings of what was measured.

    Args:
        samples: what became of every benchmark.
        error: of one verdict.
    """
    found = [_skipped(reason, names) for reason, names in _by_reason(samples.skipped).items()]
    found += [_strayed(reason, names) for reason, names in _by_reason(samples.strayed).items()]
    found += [_stopped(reason, names) for reason, names in _by_reason(samples.stopped).items()]
    failing = {name: each for name, each in samples.failing.items() if name not in samples.gone}
    for told, names in by_sentence(failing).items():
        found.append(_failing(told, names, failing[names[0]], error))
    return found


def of_left_out(base: Mapping[str, str], head: Mapping[str, str], known: Iterable[str]) -> list[Finding]:
    """What the suites of base and head leave out, by reason; what one of them fails to import is told with failures.

    Args:
        base: why something is not in base's suite, by its id or file.
        head: the same of head's.
        known: the benchmarks that are compared, or tried.
    """
    tried = set(known)
    reasons = {name: reason for name, reason in {**base, **head}.items() if name not in tried}
    found = []
    for reason, names in _by_reason(reasons).items():
        sides = [side for side, of_it in (("base", base), ("head", head)) if any(name in of_it for name in names)]
        where = "" if len(sides) > 1 else f"{sides[0]}: "
        found.append(note("left-out", f"{where}{listed(names)}: {reason}"))
    return found


def is_not_here(outcomes: Outcomes) -> bool:
    """Whether a benchmark says in every call of both sides that it cannot run here; in asv, a setup says so."""
    return fails_always(outcomes) and all(_says_not_here(each.base) and _says_not_here(each.head) for each in outcomes)


def note(code: str, message: str) -> Finding:
    """A finding that only tells."""
    return finding.note(code=code, subject="duet", message=message, why="", advice="")


def warning(code: str, message: str, *, advice: str) -> Finding:
    """A finding that does no harm by itself, but may."""
    return finding.warning(code=code, subject="duet", message=message, why="", advice=advice)


def why_nothing(findings: Sequence[Finding]) -> str:
    """Why there is nothing to compare, in a sentence: the commonest reasons, and how many others there are."""
    told = list(dict.fromkeys(each.message for each in findings if each.code != "dirty-tree"))
    more = f" (and {len(told) - MOST_REASONS} more reasons)" if len(told) > MOST_REASONS else ""
    return "; ".join(told[:MOST_REASONS]) + more


def listed(names: Sequence[str], *, most: int = MOST_NAMES) -> str:
    """Names for a sentence, no more of them than a person reads."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """Names by the reason that they share, the commonest reason first."""
    found: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        found.setdefault(reason, []).append(name)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _failing(told: str, names: Sequence[str], outcomes: Outcomes, error: float) -> Finding:
    """An error where head surely fails more often; a note where both sides say that they cannot do it."""
    if is_not_here(outcomes):
        return note("skipped", f"{listed(names)}: raises NotImplementedError when it is called")
    if is_broken(outcomes, error):
        found = _about(
            names,
            told,
            code="benchmark-failed",
            why="By chance alone head would fail so much more often than base less often than the declared error.",
            advice="Mend it in head, or leave it out with --select.",
        )
        return replace(found, severity=Severity.ERROR)
    return _about(
        names,
        told,
        code="benchmark-failed",
        why="Where a side fails there is nothing to compare; launches in which both sides answer are compared.",
        advice="Mend it, or leave it out with --select; chance alone may fail as often, so this is not red.",
    )


def _says_not_here(reason: str | None) -> bool:
    return reason is not None and NOT_HERE in reason


def _skipped(reason: str, names: Sequence[str]) -> Finding:
    """A note where both sides skip; what only one side skips is lost there, which a person should know."""
    sides = [each.partition(": ") for each in reason.split("; ")]
    if {label for label, _, _ in sides} >= {"base", "head"} and len({why for _, _, why in sides}) == 1:
        return note("skipped", f"{listed(names)}: {sides[0][2]}")
    if len(sides) > 1:
        return note("skipped", f"{listed(names)}: {reason}")
    return _about(
        names,
        reason,
        code="skipped",
        why="One side says that it cannot run there, so there is nothing to hold the other one against.",
        advice="Was that meant?",
    )


def _strayed(reason: str, names: Sequence[str]) -> Finding:
    return _about(
        names,
        reason,
        code="not-this-revision",
        why="A figure of what is not this revision's own would say nothing of what changed.",
        advice=(
            "Type the command in the folder of the package that is measured (asv: repo_subdir). Where another project "
            "is timed, hold two environments against each other: --base-python OLD --head-python NEW."
        ),
    )


def _stopped(reason: str, names: Sequence[str]) -> Finding:
    return _about(
        names,
        reason,
        code="not-measured",
        why="It has no figure, and is not compared.",
        advice="Leave it out with --select, or let it do more.",
    )


def _about(names: Sequence[str], told: str, *, code: str, why: str, advice: str) -> Finding:
    """A warning about benchmarks, with their names."""
    return finding.warning(code=code, subject=listed(names), message=f"{listed(names)}: {told}", why=why, advice=advice)
