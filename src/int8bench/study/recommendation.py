"""One engine and precision for this machine, from the rankings of its settings; or that none can be told yet. Pure."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean

from int8bench.study.cells import BEST, FASTER
from int8bench.study.ranking import Rules
from int8bench.study.standings import (
    STAY,
    SWITCH,
    UNCLEAR,
    Ratio,
    Recommendation,
    RunnerUp,
    Setting,
    Standing,
    Win,
)
from int8bench.workload.cases import Variant, parse_id


def recommended(settings: Sequence[Setting], rules: Rules, *, complete: bool) -> Recommendation | None:
    """Return the choice: the variant in the best set of most settings, then the least behind in the mean of them.

    Of reduced precision, only what was called faster than the best float32 somewhere is a choice.

    Args:
        settings: what `ranking.ranked` gives.
        rules: those it was given.
        complete: whether all of the run was measured; there is no recommendation before.
    """
    contested = [setting for setting in settings if setting.entries]
    if not complete or not contested:
        return None
    variants = dict.fromkeys(entry.variant for each in contested for entry in each.entries)
    standings = sorted((_standing(variant, contested) for variant in variants), key=_precedence)
    reduced = [standing for standing in standings if standing.variant.is_reduced]
    exact = [standing for standing in standings if not standing.variant.is_reduced]
    candidates = [standing for standing in standings if not standing.variant.is_reduced or FASTER in standing.verdicts]
    choice = (candidates or standings)[0]
    verdicts = [verdict for each in reduced for verdict in each.verdicts]
    launches = [entry.behind.launches for each in contested for entry in each.entries]
    return Recommendation(
        answer=_answer(choice, verdicts),
        choice=choice,
        nearest=next(iter(reduced), None) if choice in exact else None,
        runner_up=_runner_up(choice, [standing.variant for standing in standings], contested),
        settings=len(contested),
        launches=(min(launches), max(launches)),
        error=rules.family_error,
    )


def _answer(choice: Standing, verdicts: Sequence[str]) -> str:
    if choice.variant.is_reduced:
        return SWITCH
    return UNCLEAR if verdicts and set(verdicts) == {UNCLEAR} else STAY


def _standing(variant: Variant, settings: Sequence[Setting]) -> Standing:
    mine = [entry for setting in settings if (entry := setting.entry_of(variant)) is not None]
    wins = [setting.best for setting in settings]
    leads = [entry.speedups[BEST] for entry in mine if BEST in entry.speedups]
    changes = [entry.top1_change for entry in mine if entry.top1_change is not None]
    return Standing(
        **asdict(variant),
        best_in=sum(variant in winners for winners in wins),
        alone_in=wins.count([variant]),
        ranked_in=len(mine),
        mean_log_behind=fmean(math.log(entry.behind.value) for entry in mine),
        speedup=Ratio.mean_of(leads) if leads else None,
        references=tuple(sorted({parse_id(lead.reference).variant.engine for lead in leads})),
        sqnr_db=min((entry.sqnr_db for entry in mine if entry.sqnr_db is not None), default=None),
        top1_change=min(changes, default=None),
        verdicts=tuple(lead.verdict for lead in leads),
    )


def _precedence(standing: Standing) -> tuple[int, int, float, str]:
    """Return the key that sorts variants by precedence, the choice first."""
    name = f"{standing.variant.label} {standing.variant.layout}"
    return -standing.best_in, -standing.ranked_in, standing.mean_log_behind, name


def _runner_up(choice: Standing, precedence: Sequence[Variant], settings: Sequence[Setting]) -> RunnerUp | None:
    lost = [each for each in settings if choice.variant not in each.best]
    wins = {other: [each for each in lost if other in each.best] for other in precedence}
    if not lost:
        return None
    other = min(precedence, key=lambda each: (-len(wins[each]), precedence.index(each)))
    return RunnerUp(
        **asdict(other),
        wins=tuple(
            Win(batch=setting.batch, threads=setting.threads, behind=_behind(choice, setting))
            for setting in wins[other]
        ),
    )


def _behind(choice: Standing, setting: Setting) -> Ratio | None:
    entry = setting.entry_of(choice.variant)
    return entry.behind if entry is not None else None
