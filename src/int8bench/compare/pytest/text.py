"""What pytest's terminal summary says of races and of the gate. Draws, never measures."""

from collections.abc import Sequence

from int8bench.compare.comparisons import Comparison
from int8bench.compare.pytest.gate import Verdicts
from int8bench.compare.pytest.result import RaceResult, figure, interval
from int8bench.stats import limits


def race_lines(results: Sequence[RaceResult]) -> list[str]:
    """Return the lines on all races, with their intervals and the questions that they could not answer."""
    width = max((len(result.name) for result in results), default=0)
    lines = ["candidate/reference with its 95 % interval: above 1 the candidate takes longer"]
    for each in results:
        lines.append(f"{each.name:<{width}}  {each.figures}")
        lines += [f"{'':<{width}}  {each.reason}"] if each.reason else []
    questions = [(result, question) for result in results for question in result.unanswered]
    lines += [f"UNCLEAR, taken as not slower: {each.name}: {question}" for each, question in questions]
    return lines


def gate_lines(verdicts: Verdicts) -> list[str]:
    """Return the gate's table as lines, with its basis and everything that could not be compared."""
    compared, width = verdicts.comparisons, max((len(comparison.id) for comparison in verdicts.comparisons), default=0)
    lines = [_heading(verdicts)] if compared else ["no benchmark was measured, so nothing was judged"]
    for each in compared:
        regressed = "REGRESSION  " if each.id in verdicts.regressions else ""
        lines.append(f"{each.id:<{width}}  {regressed}{_row(each)}")
    lines += [f"not measured, it raised: {name}" for name in verdicts.not_measured]
    lines += [f"not compared: {other}" for other in verdicts.not_comparable]
    return lines


def _heading(verdicts: Verdicts) -> str:
    return (
        f"this run's median over that of stored runs of this machine ({verdicts.fingerprint}), with its 95 % interval; "
        f"a regression is surely slower by more than {verdicts.threshold * 100:g} %, at error "
        f"{verdicts.error_rate:.2g} a benchmark and {limits.FAMILY_ERROR_RATE * 100:g} % a session"
    )


def _row(each: Comparison) -> str:
    if each.ratio is None:
        return f"{each.verdict}: {each.reason}"
    shown = f"{each.verdict}: {figure(each.ratio.value)} [{interval(each.ratio)}], {each.launches - 1} stored runs"
    visible = f"; {each.smallest_visible_effect:.1%} would be seen" if each.smallest_visible_effect is not None else ""
    return f"{shown}{visible}{f'; {each.reason}' if each.reason else ''}"
