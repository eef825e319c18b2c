"""A run's recommendation in a sentence, with its basis and how sure it is. Draws, never measures."""

from collections.abc import Mapping
from typing import Any

from int8bench import units
from int8bench.cases import FLOAT32, TORCH


def sentence(recommendation: Mapping[str, Any], *, constant: bool = False) -> str:
    """The recommendation, with its basis and how sure it is.

    Args:
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that its SQNR proves nothing.
    """
    if constant:
        recommendation = {**recommendation, **{key: _unproven(recommendation[key]) for key in ("choice", "nearest")}}
    choice = recommendation["choice"]
    few, most = recommendation["launches"]
    basis = (
        f"; basis: measured here, {few if few == most else f'{few} to {most}'} launches, "
        f"at most {recommendation['error']:.0%} chance that any setting's true fastest is not among its fastest or tied"
    )
    return _OPENING[recommendation["answer"]](choice, recommendation) + basis + _runner_up(recommendation)


def _unproven(standing: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if standing is None else {**standing, "constant": True}


def _switch(choice: Mapping[str, Any], recommendation: Mapping[str, Any]) -> str:
    parts = [_places(choice, recommendation), _speedup(choice), _quality(choice)]
    return f"Recommended here: {name(choice)}: {', '.join(part for part in parts if part)}"


def _stay(choice: Mapping[str, Any], recommendation: Mapping[str, Any]) -> str:
    return f"Recommended here: stay with {name(choice)}: {_places(choice, recommendation)}{_nearest(recommendation)}"


def _unclear(choice: Mapping[str, Any], recommendation: Mapping[str, Any]) -> str:
    return (
        "Recommended here: unclear, nothing of reduced precision can be told from the best float32 yet"
        f"{_nearest(recommendation)}; a longer --budget tells more, until then stay with {name(choice)}: "
        f"{_places(choice, recommendation)}"
    )


_OPENING = {"switch": _switch, "stay": _stay, "unclear": _unclear}


def _nearest(recommendation: Mapping[str, Any]) -> str:
    nearest = recommendation["nearest"]
    if nearest is None:
        return ", nothing of reduced precision holds its accuracy"
    return ", ".join(part for part in (f"; nearest: {name(nearest)}", _speedup(nearest), _quality(nearest)) if part)


def _places(choice: Mapping[str, Any], recommendation: Mapping[str, Any]) -> str:
    alone = f" (alone in {choice['alone_in']})" if choice["alone_in"] else ""
    return f"fastest or tied in {choice['best_in']} of {_settings(recommendation['settings'])}{alone}"


def _speedup(standing: Mapping[str, Any]) -> str:
    found = standing["speedup"]
    if found is None:
        return ""
    of = f"the best float32 ({', '.join(standing['references'])})"
    where = f" in the mean of {_settings(standing['ranked_in'])}" if standing["ranked_in"] > 1 else ""
    return f"{_interval(found)} {of}{where}"


def _quality(standing: Mapping[str, Any]) -> str:
    sqnr_db, change = standing["sqnr_db"], standing["top1_change"]
    sqnr = "answers the same to the bit" if sqnr_db is None else f"{sqnr_db:.1f} dB SQNR"
    if standing.get("constant"):
        return "answers that prove nothing, since every picture has the same"
    return sqnr if change is None else f"{sqnr}, top-1 {points(change)} points"


def _runner_up(recommendation: Mapping[str, Any]) -> str:
    runner_up = recommendation["runner_up"]
    if runner_up is None:
        return ""
    wins = ", ".join(f"{label(win)}{_lost_by(win['behind'])}" for win in runner_up["wins"])
    return f". Runner-up: {name(runner_up)}, fastest or tied where that is not: {wins}"


def _lost_by(behind: Mapping[str, Any] | None) -> str:
    return "" if behind is None else f" (by {_interval(behind)})"


def name(variant: Mapping[str, Any]) -> str:
    """A contender as a person reads it: ``openvino int8``, or ``float32 channels-last`` of the two that torch has."""
    if (variant["engine"], variant["precision"]) == (TORCH, FLOAT32):
        return f"float32 {variant['layout'].replace('_', '-')}"
    return f"{variant['engine']} {variant['precision']}"


def label(setting: Mapping[str, Any]) -> str:
    """A setting as a person reads it: ``t2 b8``."""
    return f"t{setting['threads']} b{setting['batch']}"


def _settings(count: int) -> str:
    return "1 setting" if count == 1 else f"{count} settings"


def _interval(found: Mapping[str, Any]) -> str:
    return f"{units.ratio(found['value'])} [{found['low']:.2f}, {found['high']:.2f}]"


def points(change: float) -> str:
    """A change of top-1 in points; what rounds to nothing has no sign."""
    return f"{100 * change:+.1f}" if abs(100 * change) >= 0.05 else "0.0"  # noqa: PLR2004  half of the last digit
