"""A run's recommendation in a sentence, with its basis and how sure it is. Draws, never measures."""

from int8bench.report.words import counted, interval, label, name, points
from int8bench.study.standings import STAY, SWITCH, UNCLEAR, Ratio, Recommendation, Standing


def sentence(recommendation: Recommendation, *, constant: bool = False) -> str:
    """Return the recommendation, with its basis and how sure it is.

    Args:
        recommendation: as a record keeps it.
        constant: whether float32 answers every picture alike, so that its SQNR proves nothing.
    """
    few, most = recommendation.launches
    basis = (
        f"; basis: measured here, {few if few == most else f'{few} to {most}'} launches, "
        f"at most {recommendation.error:.0%} chance that any setting's true fastest is not among its fastest or tied"
    )
    return _OPENING[recommendation.answer](recommendation, constant) + basis + _runner_up(recommendation)


def _switch(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    choice = recommendation.choice
    parts = [_places(recommendation), _speedup(choice), _quality(choice, constant=constant)]
    return f"Recommended here: {name(choice)}: {', '.join(part for part in parts if part)}"


def _stay(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    places, nearest = _places(recommendation), _nearest(recommendation, constant=constant)
    return f"Recommended here: stay with {name(recommendation.choice)}: {places}{nearest}"


def _unclear(recommendation: Recommendation, constant: bool) -> str:  # noqa: FBT001  as its siblings
    return (
        "Recommended here: unclear, nothing of reduced precision can be told from the best float32 yet"
        f"{_nearest(recommendation, constant=constant)}; a longer --budget tells more, until then stay with "
        f"{name(recommendation.choice)}: {_places(recommendation)}"
    )


_OPENING = {SWITCH: _switch, STAY: _stay, UNCLEAR: _unclear}


def _nearest(recommendation: Recommendation, *, constant: bool) -> str:
    nearest = recommendation.nearest
    if nearest is None:
        return ", nothing of reduced precision holds its accuracy"
    parts = (f"; nearest: {name(nearest)}", _speedup(nearest), _quality(nearest, constant=constant))
    return ", ".join(part for part in parts if part)


def _places(recommendation: Recommendation) -> str:
    choice = recommendation.choice
    alone = f" (alone in {choice.alone_in})" if choice.alone_in else ""
    return f"fastest or tied in {choice.best_in} of {counted(recommendation.settings, 'setting')}{alone}"


def _speedup(standing: Standing) -> str:
    if standing.speedup is None:
        return ""
    of = f"the best float32 ({', '.join(standing.references)})"
    where = f" in the mean of {counted(standing.ranked_in, 'setting')}" if standing.ranked_in > 1 else ""
    return f"{interval(standing.speedup)} {of}{where}"


def _quality(standing: Standing, *, constant: bool) -> str:
    if constant:
        return "answers that prove nothing, since every picture has the same"
    sqnr = "answers the same to the bit" if standing.sqnr_db is None else f"{standing.sqnr_db:.1f} dB SQNR"
    return sqnr if standing.top1_change is None else f"{sqnr}, top-1 {points(standing.top1_change)} points"


def _runner_up(recommendation: Recommendation) -> str:
    runner_up = recommendation.runner_up
    if runner_up is None:
        return ""
    wins = ", ".join(f"{label(win)}{_lost_by(win.behind)}" for win in runner_up.wins)
    return f". Runner-up: {name(runner_up)}, fastest or tied where that is not: {wins}"


def _lost_by(behind: Ratio | None) -> str:
    return "" if behind is None else f" (by {interval(behind)})"
