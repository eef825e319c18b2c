"""Samples -> the figures of a record: every number of a run can be computed again from its samples. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from int8bench import __version__
from int8bench.cases import ALL, NCHW, TORCH, Case, Group
from int8bench.lab.environment import ProcessSettings
from int8bench.machine import Hardware, fingerprint
from int8bench.stats.limits import CONFIDENCE, ERROR_RATE, FAMILY_ERROR_RATE, LAUNCHES_FOR_A_SPREAD, MARGIN
from int8bench.stats.ratio import Estimate, LaunchTable, comparison_error, estimate, mean_interval, smallest_of
from int8bench.stats.stopping import nominal_error_at
from int8bench.stats.verdict import Judgement, judge, judge_against_best
from int8bench.stats.words import Verdict
from int8bench.study import records
from int8bench.study.findings import chance, outcomes
from int8bench.study.plan.plan import Plan
from int8bench.study.racing import by_launch, launch_table
from int8bench.study.ranking import Rules, ranked
from int8bench.study.recommendation import recommended
from int8bench.study.records import BEST, NAIVE, OWN, speed_word
from int8bench.study.session.ledger import NOT_YET, Ledger, RaceSample, SoloSample

FEWEST_SOLOS = 2  # an interval needs two replicates


def comparisons(cases: Sequence[Case]) -> int:
    """How many verdicts a grid makes: one against each role's float32, for each cell that is held against float32."""
    roles = len((BEST, NAIVE, OWN) if _other_families(cases) else (BEST, NAIVE))
    return roles * sum(case.variant.is_reduced for case in cases)


def _other_families(cases: Sequence[Case]) -> bool:
    """Whether an engine other than torch has a float32 of its own here."""
    return any(not case.variant.is_reduced and case.variant.engine != TORCH for case in cases)


def settled(group: Group, cases: Sequence[Case], ledger: Ledger, plan: Plan, *, precision: float) -> bool:
    """Whether every headline of a group is as precise as asked and its verdict made."""
    mine = [case for case in cases if case.group == group and case.variant.is_reduced and case.id not in ledger.stopped]
    found = [_against_best(case, cases, ledger, plan) for case in mine]
    return all(
        each is not None and each.shown.half_width <= precision and each.judgement.verdict is not Verdict.UNCLEAR
        for each in found
    )


def record(
    *,
    cases: Sequence[Case],
    ledger: Ledger,
    plan: Plan,
    machine: Hardware,
    settings: Mapping[str, Any],
    complete: bool,
) -> records.Run:
    """The record of all that is known so far."""
    cells = [_cell(case, cases, ledger, plan) for case in cases]
    subject = settings.get("subject", {})
    measured = [cell for cell in cells if cell["status"] == records.OK]
    rules = _rules(settings, plan, trained=not chance.top1_is_chance(subject, measured))
    ranking = ranked(cases, cells, ledger, rules)
    recommendation = recommended(ranking, rules, complete=complete)
    findings = outcomes.findings_of(cases, cells, ledger, machine, named=_named(settings), subject=subject)
    return records.assembled(
        {
            "schema": records.SCHEMA,
            "schema_version": records.SCHEMA_VERSION,
            "complete": complete,
            "created_at": ledger.created_at,
            "int8bench_version": __version__,
            "environment": {
                "hardware": machine.to_dict(),
                "fingerprint": fingerprint(machine),
                "versions": records.versions(),
                "process": ProcessSettings().to_dict(),
            },
            "settings": dict(settings),
            "findings": [finding.to_dict() for finding in findings],
            "ranking": [setting.to_dict() for setting in ranking],
            "recommendation": None if recommendation is None else recommendation.to_dict(),
            "cells": cells,
        }
    )


def _rules(settings: Mapping[str, Any], plan: Plan, *, trained: bool) -> Rules:
    """What the ranking holds contenders to; weights that were never trained have no top-1 to lose."""
    return Rules(
        accuracy_loss=settings.get("accuracy_loss", outcomes.LOSSY_TOP1),
        trained=trained,
        confidence=CONFIDENCE,
        family_error=FAMILY_ERROR_RATE,
        margin=MARGIN,
        looks=plan.looks,
    )


def _named(settings: Mapping[str, object]) -> frozenset[str] | None:
    """The engines that a person named; None where all that ran were, or the study chose."""
    typed = settings.get("engines")
    return frozenset(typed) - {ALL} if isinstance(typed, list) and ALL in typed else None


def _cell(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> dict[str, Any]:
    measured = is_measured(case, ledger)
    status, error = ledger.stopped.get(case.id, (records.OK, None) if measured else (records.SKIPPED, NOT_YET))
    return {
        "id": case.id,
        "model": case.model,
        "engine": case.variant.engine,
        "precision": case.variant.precision,
        "layout": case.variant.layout,
        "batch": case.group.batch,
        "threads": case.group.threads,
        "status": status,
        "error": error,
        **(_figures(case, cases, ledger, plan) if measured else _no_figures()),
        "samples": ledger.samples(case.id),
    }


def is_measured(case: Case, ledger: Ledger) -> bool:
    """Whether a case has its figures."""
    races, solos = ledger.races.get(case.id, []), ledger.solos.get(case.id, [])
    return case.id not in ledger.stopped and case.variant in ledger.checks and _enough(races, solos)


def _enough(races: Sequence[RaceSample], solos: Sequence[SoloSample]) -> bool:
    """Whether every figure of a cell can have an interval."""
    return len({race.launch for race in races}) >= LAUNCHES_FOR_A_SPREAD and len(solos) >= FEWEST_SOLOS


def _no_figures() -> dict[str, Any]:
    absent = ("latency_s", "cold_s", "throughput_items_per_s", "threads_used", "memory_bytes", "fidelity", "conversion")
    return {**dict.fromkeys(absent), "speedups": [], "evidence": {}}


def _figures(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> dict[str, Any]:
    races, solos, checked = ledger.races[case.id], ledger.solos[case.id], ledger.checks[case.variant]
    return {
        "latency_s": _latency(races, plan),
        "cold_s": median(solo.cold_s for solo in solos),
        "throughput_items_per_s": {
            **_log_interval([solo.items / solo.seconds for solo in solos]),
            "streams": solos[0].streams,
        },
        "threads_used": sum(race.cpu_s for race in races) / sum(race.wall_s for race in races),
        "memory_bytes": {
            "peak_delta": _memory([solo.peak_bytes - solo.idle_peak_bytes for solo in solos]),
            "weights": checked.weights_bytes,
            "serialized": checked.serialized_bytes,
        },
        "fidelity": checked.fidelity.to_dict(),
        "conversion": _conversion(case, ledger),
        "speedups": list(_speedups(case, cases, ledger, plan)),
        "evidence": dict(checked.evidence),
    }


def _conversion(case: Case, ledger: Ledger) -> dict[str, Any] | None:
    """What making the files of a cell took, whenever that was; None where nothing had to be made."""
    made = ledger.conversions.get(case.variant, {})
    found = made.get(case.group.batch, made.get(None))
    return None if found is None else {"seconds": found.seconds, "reused": found.reused, "notes": dict(found.notes)}


def _latency(races: Sequence[RaceSample], plan: Plan) -> dict[str, Any]:
    singles = np.concatenate([race.single_s for race in races])
    p50, p90, p99 = np.percentile(singles, [50, 90, 99]).tolist()
    medians = by_launch((race.launch, float(np.log(np.median(race.single_s)))) for race in races)
    table = LaunchTable(log_ratios=medians, pairs=len(singles))
    found = estimate(
        table, confidence=CONFIDENCE, nominal_error=nominal_error_at(plan.looks, len(medians), 1 - CONFIDENCE)
    )
    middle = {"value": found.value, "low": found.low, "high": found.high}
    return {"median": middle, "p50": p50, "p90": p90, "p99": p99, "calls": len(singles)}


def _log_interval(values: Sequence[float]) -> dict[str, float]:
    found = mean_interval(np.log(values).tolist(), confidence=CONFIDENCE)
    return {"value": float(np.exp(found.value)), "low": float(np.exp(found.low)), "high": float(np.exp(found.high))}


def _memory(deltas: Sequence[int]) -> dict[str, Any]:
    found = mean_interval([float(delta) for delta in deltas], confidence=CONFIDENCE)
    return {"value": found.value, "low": found.low, "high": found.high, "forks": found.replicates}


def _speedups(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> Iterable[dict[str, Any]]:
    if not case.variant.is_reduced:
        return
    for role, found in (
        (BEST, _against_best(case, cases, ledger, plan)),
        (NAIVE, _against_naive(case, cases, ledger, plan)),
        (OWN, _against_own(case, cases, ledger, plan)),
    ):
        if found is not None:
            yield {
                "reference": found.reference,
                "role": role,
                "value": found.shown.value,
                "low": found.shown.low,
                "high": found.shown.high,
                "confidence": CONFIDENCE,
                "verdict": speed_word(found.judgement.verdict),
                "launches": found.shown.launches,
                "forks": found.shown.forks,
                "pairs": found.shown.pairs,
                "smallest_visible_effect": found.judgement.smallest_visible_effect,
                "reason": found.judgement.reason,
                "more_launches": found.judgement.more_launches,
            }


def _tables(case: Case, cases: Sequence[Case], ledger: Ledger) -> dict[Case, LaunchTable]:
    """Against each float32 case of the same group that has launches in common with the case."""
    references = [each for each in cases if each.group == case.group and not each.variant.is_reduced]
    tables = {each: launch_table(ledger.races.get(each.id, []), ledger.races.get(case.id, [])) for each in references}
    return {each: table for each, table in tables.items() if table is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A speed-up: against which cell, the interval that is shown, and the verdict."""

    reference: str
    shown: Estimate
    judgement: Judgement


def _against_best(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> _Found | None:
    tables = {each.id: table for each, table in _tables(case, cases, ledger).items()}
    return _against(tables, cases, plan) if tables else None


def _against_own(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> _Found | None:
    """Against the best float32 of its own engine, or of torch where that has none; None where there are no others."""
    if not _other_families(cases):
        return None
    found = _tables(case, cases, ledger)
    own = {each.id: table for each, table in found.items() if each.variant.engine == case.variant.engine}
    tables = own or {each.id: table for each, table in found.items() if each.variant.engine == TORCH}
    return _against(tables, cases, plan) if tables else None


def _against(tables: Mapping[str, LaunchTable], cases: Sequence[Case], plan: Plan) -> _Found:
    launches = min(table.launches for table in tables.values())
    shown, judged = _errors(cases, plan, launches)
    name, found = smallest_of(tables, confidence=CONFIDENCE, nominal_error=shown)
    judgement = judge_against_best(tables, nominal_error=judged, margin=MARGIN)
    return _Found(reference=name, shown=found, judgement=judgement)


def _against_naive(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> _Found | None:
    for each, table in _tables(case, cases, ledger).items():
        if (each.variant.engine, each.variant.layout) == (TORCH, NCHW):
            shown, judged = _errors(cases, plan, table.launches)
            return _Found(
                reference=each.id,
                shown=estimate(table, confidence=CONFIDENCE, nominal_error=shown),
                judgement=judge(table, nominal_error=judged, margin=MARGIN),
            )
    return None


def _errors(cases: Sequence[Case], plan: Plan, launches: int) -> tuple[float, float]:
    """The nominal errors, at the look that so many launches have reached, of the interval and of the verdict."""
    verdict = comparison_error(max(1, comparisons(cases)), each=ERROR_RATE, family=FAMILY_ERROR_RATE)
    return nominal_error_at(plan.looks, launches, 1 - CONFIDENCE), nominal_error_at(plan.looks, launches, verdict)
