"""A policy held against what changed: pass or fail, and the reasons in whole sentences. Pure.

Red is what is sure at the declared error and worse by more than its threshold, and every finding of the policy's
severity or worse. What is unclear is not red, but said, with what would have been seen. What could not be measured on
one side is not green; nothing measured is no verdict.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from int8bench import documents, units
from int8bench.compare.comparisons import UNCLEAR, Changed, Comparison, Differences, Metric, shared
from int8bench.compare.gate.policy import Policy
from int8bench.documents import Json
from int8bench.errors import NothingMeasuredError
from int8bench.machine.finding import Severity, ShownFinding

RANKS = (Severity.ERROR, Severity.WARNING, Severity.NOTE)  # worst first


class GateVerdict(StrEnum):
    """What a gate says; its exit code is in `EXIT_CODES`."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    RECORDED = "recorded"
    """There was no baseline of this hardware: now there is, and nothing was judged."""
    UNCLEAR = "unclear"
    """Something that was to be judged has no figure on one side, and nothing of what has figures is red."""


EXIT_CODES = {GateVerdict.PASS: 0, GateVerdict.RECORDED: 0, GateVerdict.FAIL: 1, GateVerdict.UNCLEAR: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Changed):
    """The verdict, why, and what it rests on."""

    verdict: GateVerdict
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    findings: tuple[ShownFinding, ...]
    policy: Policy

    @property
    def exit_code(self) -> int:
        """The exit code: 0 for fine, 1 for red, 3 for a gate that cannot tell."""
        return EXIT_CODES[self.verdict]

    def to_dict(self) -> dict[str, Json]:
        """Return the verdict as a JSON document."""
        answer = {"verdict": self.verdict.value, "reasons": list(self.reasons)}
        return {**answer, **documents.written(self), "policy": self.policy.to_dict()}

    @property
    def differences(self) -> Differences:
        """The differences that a report draws."""
        return Differences(
            **shared(self),
            findings=self.findings,
            notes=self.notes,
            verdict=self.verdict.value,
            reasons=self.reasons,
        )


def judged(
    changed: Changed,
    findings: Sequence[ShownFinding],
    policy: Policy,
    *,
    metrics: Sequence[Metric],
    notes: Sequence[str] = (),
) -> Gate:
    """Return the verdict on what changed.

    Args:
        changed: what is judged.
        findings: what is wrong on the head side, whatever changed.
        policy: what is held.
        metrics: those of the policy's that this kind of comparison can judge.
        notes: sentences that the answer has to carry.

    Raises:
        NothingMeasuredError: none of the metrics has a figure on both sides.
    """
    mine = [comparison for comparison in changed.comparisons if comparison.metric in metrics]
    broken = red_findings(findings, policy)
    if not broken and not any(each.ratio is not None for each in mine):
        missing = next((f": {each.reason}" for each in mine if each.reason), "")
        raise NothingMeasuredError(f"nothing that the policy judges was measured on both sides{missing}")
    worse = [each for each in mine if each.worse_by > policy.threshold(each.metric)]
    red = [_regression(each, policy.threshold(each.metric), changed) for each in worse]
    red += broken
    partly = [] if changed.complete else ["not everything that was asked for was measured"]
    whole = changed.complete and not any(each.verdict == UNCLEAR and each.ratio is None for each in mine)
    return Gate(
        **shared(changed),
        verdict=GateVerdict.FAIL if red else GateVerdict.PASS if whole else GateVerdict.UNCLEAR,
        reasons=(*red, *partly, *_doubts(mine)),
        notes=tuple(notes),
        findings=tuple(findings),
        policy=policy,
    )


def red_findings(findings: Sequence[ShownFinding], policy: Policy) -> list[str]:
    """Return a sentence for each finding of the policy's severity or worse.

    Args:
        findings: all of the head side.
        policy: says from which severity on a finding is red.
    """
    worst = RANKS[: RANKS.index(policy.severity) + 1]
    return [
        f"finding of severity {finding.severity.value}, {finding.code}: {finding.message}"
        for finding in findings
        if finding.severity in worst
    ]


def _regression(comparison: Comparison, threshold: float, changed: Changed) -> str:
    """Return a sentence on a regression: by how much, how sure, and between which sides."""
    ratio = comparison.ratio
    assert ratio is not None, "what is surely worse has a ratio"
    by = units.share(comparison.worse_by) if math.isfinite(comparison.worse_by) else "all there was"
    return (
        f"{comparison.id}: {comparison.metric} is {comparison.verdict}, worse by {by} where "
        f"{100 * threshold:g}% is allowed; "
        f"head over base {ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]; from {changed.base} to {changed.head}"
    )


def _least(visible: float) -> str:
    """Return a clause on the change that would have been seen in every cell."""
    if visible > 1:
        return "not even twice as much would have been seen in each"
    return f"a change of {units.share(visible)} would have been seen in each"


def _doubts(mine: Sequence[Comparison]) -> Iterator[str]:
    """Yield a sentence for each metric without an answer in some cells, with the change that would have been seen."""
    for metric in dict.fromkeys(each.metric for each in mine):
        all_of_it = [each for each in mine if each.metric is metric]
        unclear = [each for each in all_of_it if each.verdict == UNCLEAR]
        seen = [each.smallest_visible_effect for each in unclear if each.smallest_visible_effect is not None]
        if seen:
            yield (
                f"{metric} is unclear in {len(unclear)} of {len(all_of_it)}: {_least(max(seen))}; "
                "a longer --budget sees smaller ones"
            )
        elif unclear:
            yield f"{metric} has no answer in {len(unclear)} of {len(all_of_it)}: {unclear[0].reason}"
