"""Rules held against the figures of the same record: what was measured otherwise is not said. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from int8bench.machine.finding import Finding
from int8bench.study.records import BEST

# What the sentences of the rules mean in figures.
LESS_THAN = 2.0  # no-int8-dot-product: "less than twice as fast"
SEVERAL_TIMES = 2.0  # qnnpack-on-x86 and fbgemm-outdone: no figure below is several times
NOTICEABLY = 1.1  # fbgemm-outdone, where AVX-VNNI is all that there is
_MADE_FOR_X86 = ("fbgemm", "x86", "onednn")
_REACH_VNNI = ("x86", "onednn")

Cells = Sequence[Mapping[str, Any]]


def contradicted(finding: Finding, cells: Cells) -> bool:
    """Whether the measured int8 cells of a record say the opposite of what a rule expected.

    Args:
        finding: of a rule.
        cells: int8, measured.
    """
    told_otherwise = _RULES.get(finding.code)
    return told_otherwise is not None and told_otherwise(finding, cells)


def _gains_more(_finding: Finding, cells: Cells) -> bool:
    """Somewhere int8 is twice as fast as float32, or more."""
    return any(each["value"] >= LESS_THAN for cell in cells for each in cell["speedups"] if each["role"] == BEST)


def _qnnpack_keeps_up(_finding: Finding, cells: Cells) -> bool:
    """Nowhere is it several times behind what is made for x86; alone, it is faster than float32 everywhere."""
    behind = list(_behind("qnnpack", _MADE_FOR_X86, cells))
    verdicts = [each["verdict"] for cell in _of("qnnpack", cells) for each in cell["speedups"] if each["role"] == BEST]
    return max(behind) < SEVERAL_TIMES if behind else bool(verdicts) and set(verdicts) == {"faster"}


def _fbgemm_keeps_up(finding: Finding, cells: Cells) -> bool:
    """No engine that reaches VNNI or AMX is as far ahead of it as the rule says."""
    behind = list(_behind("fbgemm", _REACH_VNNI, cells))
    expected = SEVERAL_TIMES if "several times" in finding.message else NOTICEABLY
    return bool(behind) and max(behind) < expected


def _x86_ran_onednn(_finding: Finding, cells: Cells) -> bool:
    """Int8 ran in oneDNN for x86, as oneDNN itself tells."""
    return any((cell["evidence"].get("onednn") or {}).get("int8_calls") for cell in _of("x86", cells))


def _default_is_better(finding: Finding, cells: Cells) -> bool:
    """What torch takes unasked is nowhere behind what the rule recommends."""
    recommended = [engine for engine in _MADE_FOR_X86 if f"; {engine} is recommended" in finding.message]
    behind = list(_behind(finding.subject, recommended, cells))
    return bool(behind) and max(behind) <= 1


_RULES: Mapping[str, Callable[[Finding, Cells], bool]] = {
    "no-int8-dot-product": _gains_more,
    "qnnpack-on-x86": _qnnpack_keeps_up,
    "fbgemm-outdone": _fbgemm_keeps_up,
    "x86-is-fbgemm": _x86_ran_onednn,
    "default-engine-differs": _default_is_better,
}


def _behind(engine: str, rivals: Sequence[str], cells: Cells) -> Iterator[float]:
    """How many times as long as the quickest of its rivals an engine takes, in each setting that they share."""
    for cell in _of(engine, cells):
        here = [each for each in cells if each["engine"] in rivals and _setting(each) == _setting(cell)]
        if here:
            yield _median_s(cell) / min(map(_median_s, here))


def _of(engine: str, cells: Cells) -> list[Mapping[str, Any]]:
    return [cell for cell in cells if cell["engine"] == engine]


def _setting(cell: Mapping[str, Any]) -> tuple[int, int]:
    return cell["batch"], cell["threads"]


def _median_s(cell: Mapping[str, Any]) -> float:
    return float(cell["latency_s"]["median"]["value"])
