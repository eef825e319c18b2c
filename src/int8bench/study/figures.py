"""Samples -> the figures of a record: every number of a run can be computed again from its samples. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from int8bench import __version__
from int8bench.documents import JsonObject
from int8bench.lab.environment import ProcessSettings
from int8bench.machine import Hardware, fingerprint
from int8bench.stats.limits import CONFIDENCE, ERROR_RATE, FAMILY_ERROR_RATE, LAUNCHES_FOR_A_SPREAD, MARGIN, Verdict
from int8bench.stats.ratio import Estimate, LaunchTable, comparison_error, estimate, mean_interval, smallest_of
from int8bench.stats.verdict import Judgement, judge_against_best, nominal_error_at
from int8bench.study.cells import (
    BEST,
    NAIVE,
    OK,
    OWN,
    SKIPPED,
    Answered,
    Cell,
    Interval,
    Latency,
    Memory,
    Peak,
    RaceSample,
    SoloSample,
    Speedup,
    Throughput,
    known,
    measured,
    speed_word,
)
from int8bench.study.findings import chance, outcomes
from int8bench.study.plan.plan import Plan
from int8bench.study.racing import by_launch, launch_table
from int8bench.study.ranking import Rules, ranked
from int8bench.study.recommendation import recommended
from int8bench.study.records import Environment, KeptProbe, Run, versions
from int8bench.study.session.ledger import NOT_YET, PLAN, Ledger
from int8bench.workload.cases import ALL, NCHW, TORCH, Case, Group

FEWEST_SOLOS = 2  # an interval needs two replicates


def comparisons(cases: Sequence[Case]) -> int:
    """Return how many verdicts a grid makes: for each reduced cell, one against each role's float32."""
    roles = len((BEST, NAIVE, OWN) if _other_families(cases) else (BEST, NAIVE))
    return roles * sum(case.variant.is_reduced for case in cases)


def _other_families(cases: Sequence[Case]) -> bool:
    """Tell whether an engine other than torch has a float32 of its own here."""
    return any(not case.variant.is_reduced and case.variant.engine != TORCH for case in cases)


def settled(group: Group, cases: Sequence[Case], ledger: Ledger, plan: Plan, *, precision: float) -> bool:
    """Tell whether every headline of a group is as precise as asked and its verdict made.

    Args:
        group: of the cells that race together.
        cases: the grid.
        ledger: their samples.
        plan: whose looks give the error of each interval.
        precision: the largest half-width of an interval, as a fraction of its ratio.
    """
    mine = [case for case in cases if case.group == group and case.variant.is_reduced and case.id not in ledger.stopped]
    tables = [_tables(case, cases, ledger).get(BEST) for case in mine]
    made = [_against(table, cases, plan) for table in tables if table is not None]
    return len(made) == len(mine) and all(
        each.shown.half_width <= precision and each.judgement.verdict is not Verdict.UNCLEAR for each in made
    )


def samples_alone(*, cases: Sequence[Case], ledger: Ledger, machine: Hardware, settings: JsonObject) -> Run:
    """Return the record of a run that goes on: its samples, without the figures that `computed` adds.

    Args:
        cases: the grid.
        ledger: what was measured.
        machine: where.
        settings: what was asked for, and by what rules it is judged.
    """
    return Run(
        complete=False,
        created_at=ledger.created_at,
        int8bench_version=__version__,
        environment=Environment(
            hardware=machine.to_dict(),
            fingerprint=fingerprint(machine),
            versions=versions(),
            process=ProcessSettings().to_dict(),
        ),
        settings=dict(settings),
        findings=(),
        cells=tuple(_with_check(_unmeasured(case, ledger), case, ledger) for case in cases),
        ranking=(),
        recommendation=None,
        probes=tuple(KeptProbe.of(probe) for probe in ledger.probes.values()),
    )


def computed(run: Run) -> Run:
    """Return a record with its figures, computed from its samples where a save has kept these alone."""
    if run.probes is None:
        return run
    ledger = Ledger.of(run)
    ledger.probes = {probe.engine: probe.probe for probe in run.probes}
    ledger.pictures = chance.described(run.settings).validation_images
    for cell in run.cells:
        if cell.status == SKIPPED and cell.error != NOT_YET:
            ledger.skip(cell.id, known(cell.error))
    whole = record(
        cases=[cell.case for cell in run.cells],
        ledger=ledger,
        plan=Plan.from_dict(run.settings[PLAN]),
        machine=Hardware.from_dict(run.environment.hardware, path="environment.hardware"),
        settings=run.settings,
        complete=False,
    )
    return replace(whole, environment=run.environment, int8bench_version=run.int8bench_version)


def record(
    *,
    cases: Sequence[Case],
    ledger: Ledger,
    plan: Plan,
    machine: Hardware,
    settings: JsonObject,
    complete: bool,
) -> Run:
    """Return the record of all that is known so far, with its figures.

    Args:
        cases: the grid.
        ledger: what was measured.
        plan: by which it was.
        machine: where.
        settings: what was asked for, and by what rules it is judged.
        complete: whether all of it was measured.
    """
    cells = tuple(_cell(case, cases, ledger, plan) for case in cases)
    subject = chance.described(settings)
    rules = _rules(settings, plan, trained=not chance.top1_is_chance(subject, measured(cells)))
    ranking = ranked(cases, cells, ledger, rules)
    return replace(
        samples_alone(cases=cases, ledger=ledger, machine=machine, settings=settings),
        complete=complete,
        probes=None,
        findings=outcomes.findings_of(cases, cells, ledger, machine, named=_named(settings), subject=subject),
        cells=cells,
        ranking=ranking,
        recommendation=recommended(ranking, rules, complete=complete),
    )


def _rules(settings: JsonObject, plan: Plan, *, trained: bool) -> Rules:
    """Return the rules of the ranking; weights that were never trained have no top-1 to lose."""
    loss = settings.get("accuracy_loss")
    return Rules(
        accuracy_loss=float(loss) if isinstance(loss, int | float) else outcomes.LOSSY_TOP1,
        trained=trained,
        confidence=CONFIDENCE,
        family_error=FAMILY_ERROR_RATE,
        margin=MARGIN,
        looks=plan.looks,
    )


def _named(settings: JsonObject) -> frozenset[str] | None:
    """Return the engines that a person named beside all; None where none was named, or each that ran was."""
    typed = settings.get("engines")
    return frozenset(map(str, typed)) - {ALL} if isinstance(typed, list) and ALL in typed else None


def _cell(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> Cell:
    cell = _unmeasured(case, ledger)
    return _with_figures(cell, case, cases, ledger, plan) if is_measured(case, ledger) else cell


def _unmeasured(case: Case, ledger: Ledger) -> Cell:
    """Return a cell with its samples alone."""
    status, error = ledger.stopped.get(case.id, (SKIPPED, NOT_YET))
    return Cell(
        id=case.id,
        model=case.model,
        engine=case.variant.engine,
        precision=case.variant.precision,
        layout=case.variant.layout,
        batch=case.group.batch,
        threads=case.group.threads,
        status=status,
        error=error,
        latency_s=None,
        cold_s=None,
        throughput_items_per_s=None,
        threads_used=None,
        memory_bytes=None,
        fidelity=None,
        conversion=None,
        speedups=(),
        evidence={},
        samples=ledger.samples(case.id),
    )


def _with_check(cell: Cell, case: Case, ledger: Ledger) -> Cell:
    """Return the cell with the answers and evidence of its check, where there was one."""
    checked = ledger.checks.get(case.variant)
    if checked is None or case.id in ledger.stopped:
        return cell
    return replace(
        cell,
        conversion=ledger.conversions.get(case.id),
        evidence=dict(checked.evidence),
        answered=Answered(
            fidelity=checked.fidelity,
            weights_bytes=checked.weights_bytes,
            serialized_bytes=checked.serialized_bytes,
        ),
    )


def is_measured(case: Case, ledger: Ledger) -> bool:
    """Tell whether a case has its figures.

    Args:
        case: of the grid.
        ledger: with its samples, checks and failures.
    """
    races, solos = ledger.races.get(case.id, []), ledger.solos.get(case.id, [])
    enough = len({race.launch for race in races}) >= LAUNCHES_FOR_A_SPREAD and len(solos) >= FEWEST_SOLOS
    return case.id not in ledger.stopped and case.variant in ledger.checks and enough


def _with_figures(cell: Cell, case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> Cell:
    races, solos, checked = cell.samples.races, cell.samples.solos, ledger.checks[case.variant]
    return replace(
        cell,
        status=OK,
        error=None,
        latency_s=_latency(races, plan),
        cold_s=median(solo.cold_s for solo in solos),
        throughput_items_per_s=_throughput(solos),
        threads_used=sum(race.cpu_s for race in races) / sum(race.wall_s for race in races),
        memory_bytes=Memory(
            peak_delta=_peak([solo.peak_bytes - solo.idle_peak_bytes for solo in solos]),
            weights=checked.weights_bytes,
            serialized=checked.serialized_bytes,
        ),
        fidelity=checked.fidelity,
        conversion=ledger.conversions.get(case.id),
        speedups=tuple(_speedups(case, cases, ledger, plan)),
        evidence=dict(checked.evidence),
    )


def _latency(races: Sequence[RaceSample], plan: Plan) -> Latency:
    singles = np.concatenate([race.calls_s for race in races])
    p50, p90, p99 = np.percentile(singles, [50, 90, 99]).tolist()
    medians = by_launch((race.launch, float(np.log(np.median(race.calls_s)))) for race in races)
    shown = estimate(
        LaunchTable(log_ratios=medians, pairs=len(singles)),
        confidence=CONFIDENCE,
        nominal_error=nominal_error_at(plan.looks, len(medians), 1 - CONFIDENCE),
    )
    middle = Interval(value=shown.value, low=shown.low, high=shown.high)
    return Latency(median=middle, p50=p50, p90=p90, p99=p99, calls=len(singles))


def _throughput(solos: Sequence[SoloSample]) -> Throughput:
    logs = np.log([solo.items / solo.seconds for solo in solos]).tolist()
    mean = mean_interval(logs, confidence=CONFIDENCE)
    value, low, high = (float(np.exp(log)) for log in (mean.value, mean.low, mean.high))
    return Throughput(value=value, low=low, high=high, streams=solos[0].streams)


def _peak(deltas: Sequence[int]) -> Peak:
    mean = mean_interval([float(delta) for delta in deltas], confidence=CONFIDENCE)
    return Peak(value=mean.value, low=mean.low, high=mean.high, forks=mean.replicates)


def _speedups(case: Case, cases: Sequence[Case], ledger: Ledger, plan: Plan) -> Iterable[Speedup]:
    for role, tables in _tables(case, cases, ledger).items() if case.variant.is_reduced else ():
        against = _against(tables, cases, plan)
        yield Speedup(
            reference=against.reference,
            role=role,
            value=against.shown.value,
            low=against.shown.low,
            high=against.shown.high,
            confidence=CONFIDENCE,
            verdict=speed_word(against.judgement.verdict),
            launches=against.shown.launches,
            forks=against.shown.forks,
            pairs=against.shown.pairs,
            smallest_visible_effect=against.judgement.smallest_visible_effect,
            reason=against.judgement.reason,
            more_launches=against.judgement.more_launches,
        )


def _tables(case: Case, cases: Sequence[Case], ledger: Ledger) -> dict[str, dict[str, LaunchTable]]:
    """Return the log-ratios of a case by role and by float32 case of its group that has launches in common with it.

    A case is held against the best float32 of its own engine too, or of torch where that has none; where there are no
    others than torch's, that role has nobody.
    """
    by_case: dict[Case, LaunchTable] = {}
    for each in cases:
        if each.group == case.group and not each.variant.is_reduced:
            table = launch_table(ledger.races.get(each.id, []), ledger.races.get(case.id, []))
            if table is not None:
                by_case[each] = table
    torchs = [each for each in by_case if each.variant.engine == TORCH]
    own = [each for each in by_case if each.variant.engine == case.variant.engine] or torchs
    roles = {
        BEST: list(by_case),
        NAIVE: [reference for reference in torchs if reference.variant.layout == NCHW],
        OWN: own if _other_families(cases) else [],
    }
    return {role: {each.id: by_case[each] for each in mine} for role, mine in roles.items() if mine}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Against:
    """A speed-up: against which cell, the interval that is shown, and the verdict."""

    reference: str
    shown: Estimate
    judgement: Judgement


def _against(tables: Mapping[str, LaunchTable], cases: Sequence[Case], plan: Plan) -> _Against:
    """Return the speed-up over the best of some float32 cells."""
    launches = min(table.launches for table in tables.values())
    shown, judged = _errors(cases, plan, launches)
    name, smallest = smallest_of(tables, confidence=CONFIDENCE, nominal_error=shown)
    judgement = judge_against_best(tables, nominal_error=judged, margin=MARGIN)
    return _Against(reference=name, shown=smallest, judgement=judgement)


def _errors(cases: Sequence[Case], plan: Plan, launches: int) -> tuple[float, float]:
    """Return the nominal errors of the interval and of the verdict, at the look that some launches have reached."""
    verdict = comparison_error(max(1, comparisons(cases)), each=ERROR_RATE, family=FAMILY_ERROR_RATE)
    return nominal_error_at(plan.looks, launches, 1 - CONFIDENCE), nominal_error_at(plan.looks, launches, verdict)
