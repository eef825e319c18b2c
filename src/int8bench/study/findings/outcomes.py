"""Findings from measurements: those of the rules for each engine of a run, and those of its figures. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from int8bench import documents, units
from int8bench.machine import Hardware
from int8bench.machine.finding import Finding, SaturationProbe, Severity, ShownFinding, error, note, warning
from int8bench.machine.rules.choice import KNOWN_ENGINES
from int8bench.machine.rules.table import inspect
from int8bench.stats.limits import Verdict
from int8bench.study.cells import BEST, FAILED, OK, SLOWER, Cell, Speedup, known, measured
from int8bench.study.findings import boards, chance, execution
from int8bench.study.findings.causes import cause_of, listed, together, told
from int8bench.study.findings.chance import NOTHING_DESCRIBED, Described
from int8bench.study.findings.contradictions import OUTDONE, contradicted, outdone
from int8bench.study.plan import fitting
from int8bench.study.plan.plan import LAUNCH_BUDGET_S, MOST_LAUNCHES
from int8bench.study.session.ledger import NOT_YET, Ledger
from int8bench.workload.cases import INT8, Case

LOSSY_SQNR_DB = 25.0  # METHOD: engines that compute exactly gave 30 dB and more, saturating ones 21 to 22
LOSSY_TOP1 = 0.01  # a point of top-1 is what people notice
LINGERS_S = 0.001  # processor time of idle threads after a call, median over forks
NOISY_LOAD = 0.1  # cores kept busy by others, median over forks
THREADS_OFF = 1.25  # processor time over wall time, against the threads asked for
THREADS_IDLE = 0.6  # of several threads: of two, the second has little more than woken up

Cells = Sequence[Cell]


def findings_of(
    cases: Sequence[Case],
    cells: Cells,
    ledger: Ledger,
    machine: Hardware,
    *,
    named: frozenset[str] | None = None,
    subject: Described = NOTHING_DESCRIBED,
) -> tuple[ShownFinding, ...]:
    """Return every finding of a run, each once, the worst first.

    Args:
        cases: the grid.
        cells: of its record.
        ledger: what was measured.
        machine: where.
        named: the engines that a person named, whose absence is an error; None for all of them.
        subject: what the settings say of the model and its pictures.
    """
    ruled = _ruled(cases, ledger.probes, machine)
    misfits = frozenset(each.subject for each in ruled if each.severity is Severity.ERROR)
    answered = measured(cells)
    int8 = [cell for cell in answered if cell.precision == INT8]
    findings = [_softened(each, named) for each in ruled if not contradicted(each, int8)]
    findings += _of_failures(cells, misfits, named)
    lossy = [cell for cell in int8 if _loses_accuracy(cell, trained=not chance.top1_is_chance(subject, answered))]
    for engine in dict.fromkeys(case.variant.engine for case in cases):
        findings += execution.findings_of(engine, [cell for cell in answered if cell.engine == engine])
        findings += boards.findings_of(engine, [cell for cell in int8 if cell.engine == engine])
        findings += _of_engine(engine, [cell for cell in int8 if cell.engine == engine])
        findings += _of_accuracy([cell for cell in lossy if cell.engine == engine], ledger.probes.get(engine))
    findings += chance.findings_of(subject, answered)
    findings += _of_left_out(int8)
    accurate = [cell for cell in int8 if cell not in lossy and not execution.in_name_only(cell)]
    findings += outdone(int8, misfits, [cell for cell in accurate if not _saturates(cell, ledger.probes)])
    findings += _of_threads(answered)
    findings += _of_lingering(cases, ledger)
    findings += _of_noise(ledger)
    findings += fitting.findings_of(cells, _checked_on_fewer(ledger), ledger.unprobed)
    return _once([each.shown for each in findings])


def _ruled(cases: Sequence[Case], probes: Mapping[str, SaturationProbe], machine: Hardware) -> list[Finding]:
    """Return the findings of the rules on every int8 engine of a run."""
    engines = dict.fromkeys(case.variant.engine for case in cases if case.variant.precision == INT8)
    threads = tuple(dict.fromkeys(case.group.threads for case in cases))
    findings: list[Finding] = []
    for engine in engines:
        known = engine if engine in {*KNOWN_ENGINES, *probes} else None  # rules know torch's engines alone
        findings += inspect(machine, engine=known, threads=threads, probes=probes)
    return findings


def _softened(finding: Finding, named: frozenset[str] | None) -> Finding:
    """Return a finding, an error as a warning where nobody named its engine: it was not chosen, only run along."""
    chosen = named is None or finding.subject in named or finding.severity is not Severity.ERROR
    return finding if chosen else replace(finding, severity=Severity.WARNING)


def _once(findings: Iterable[ShownFinding]) -> tuple[ShownFinding, ...]:
    """Return each finding once, as bad as it was found, the worst first.

    Of what a rule expects and a run measured, the measured finding stays.
    """
    rank = list(Severity)
    worst = sorted(findings, key=lambda each: rank.index(each.severity))
    beaten = {each.subject for each in worst if each.code == OUTDONE}
    once: dict[tuple[str, str, str], ShownFinding] = {}
    for each in worst:
        if each.code != "fbgemm-outdone" or each.subject not in beaten:
            once.setdefault((each.code, each.subject, each.message), each)
    return tuple(once.values())


def _of_failures(cells: Cells, explained: frozenset[str], named: frozenset[str] | None) -> Iterator[Finding]:
    """Yield a finding for cells that went wrong or could not run, once an engine and reason.

    Args:
        cells: all cells; one that is merely not measured yet has not failed.
        explained: the engines of which a rule has said already why they cannot run.
        named: the engines that a person named; None for all of them.
    """
    failed: list[tuple[str, Cell]] = []
    absent: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        waits = cell.error == NOT_YET or fitting.is_reason(cell.error)
        unavailable = cell.status not in {OK, FAILED} and not waits
        if unavailable and named is not None and cell.engine not in named:
            if cell.engine not in explained:
                absent.setdefault((cell.engine, known(cell.error)), []).append(cell)
        elif cell.status == FAILED or (unavailable and cell.engine not in explained):
            failed.append((f"{cell.status} {cause_of(known(cell.error), cell.engine)}", cell))
    for mine in together(failed):
        yield _failed(cells, mine)
    for (engine, reason), mine in absent.items():
        yield _not_here(engine, mine, sum(cell.engine == engine for cell in cells), reason)


def _checked_on_fewer(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """Return the number of checked pictures and that of all, by engine, of engines where these differ."""
    on = {variant.engine: checked.fidelity.pictures for variant, checked in ledger.checks.items()}
    total = ledger.pictures
    return {engine: (n, total) for engine, n in on.items() if n is not None and total is not None and n < total}


def _failed(cells: Cells, mine: Cells) -> Finding:
    """Return the finding of cells that failed for one cause, of any engines: the reason of one stands for all."""
    engines = list(dict.fromkeys(cell.engine for cell in mine))
    total = sum(cell.engine in engines for cell in cells)
    status, reason = mine[0].status, told(known(mine[0].error), engines[0])
    return error(
        "cell-failed",
        ", ".join(engines),
        engines=listed(engines),
        status=status,
        count=len(mine),
        total=total,
        where=_settings(mine),
        reason=reason,
        way_out=_way_out(engines, cells),
    )


def _not_here(engine: str, mine: Cells, total: int, reason: str) -> Finding:
    """Return the finding of an engine that was only run along, and could not be.

    It is not installed, or does not take such a setting.
    """
    where = (
        "takes no part" if len(mine) == total else f"takes no part in {len(mine)} of {total} cells ({_settings(mine)})"
    )
    return note("engine-not-here", engine, where=where, reason=told(reason, engine))


def _way_out(engines: Sequence[str], cells: Cells) -> str:
    sound = dict.fromkeys(cell.engine for cell in cells if cell.precision == INT8 and cell.status == OK)
    others = [each for each in sound if each not in engines]
    without = f", or leave it out with --engines {','.join(others)}" if others else ""
    return f"Type int8bench doctor --engine {engines[0]}{without}; the same command tries again."


def _settings(cells: Cells) -> str:
    """Return the settings of cells, the first of them by name: ``batch 8 on 1 thread, ...``."""
    return f"{cells[0].group.label}{', ...' if len(cells) > 1 else ''}"


def _of_engine(engine: str, cells: Cells) -> Iterator[Finding]:
    leads = [(cell, best) for cell in cells if (best := cell.speedup(BEST)) is not None]
    slower = [(cell, best) for cell, best in leads if best.verdict == SLOWER]
    if slower:
        worst, least = min(slower, key=lambda lead: lead[1].value)
        yield warning(
            "slower-than-float32",
            engine,
            count=len(slower),
            total=len(cells),
            worst=least.value,
            place=worst.group.label,
        )
    unclear = [best for _, best in leads if best.verdict == Verdict.UNCLEAR.value]
    if unclear:
        yield _of_unclear(engine, unclear, len(cells))


@dataclass(frozen=True, slots=True, kw_only=True)
class _LeftInFloat:
    """An operator that a converter could not quantize."""

    operator: str
    node: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Notes:
    """What a conversion says of its files, as far as findings are made of it."""

    left_in_float: tuple[_LeftInFloat, ...] = ()


def _of_left_out(cells: Cells) -> Iterator[Finding]:
    """Yield a finding for each operator that a converter left in float, once for all engines that read its files."""
    engines_of: dict[_LeftInFloat, list[str]] = {}
    for cell in cells:
        if cell.conversion is not None:
            notes = documents.read(_Notes, cell.conversion.notes, name="conversion", at="notes", strict=False)
            for left in notes.left_in_float:
                engines_of.setdefault(left, []).append(cell.engine)
    for left, of in engines_of.items():
        engines = list(dict.fromkeys(of))
        yield warning(
            "left-in-float",
            ", ".join(engines),
            engines=listed(engines),
            leave="leaves" if len(engines) == 1 else "leave",
            operator=left.operator,
            node=left.node,
            reason=left.reason,
        )


def _of_accuracy(lossy: Cells, probe: SaturationProbe | None) -> Iterator[Finding]:
    """Yield a finding for the accuracy that an engine loses, where it loses some.

    Args:
        lossy: its cells that do.
        probe: of its arithmetic, where there was one.
    """
    if lossy:
        engine, fidelity = lossy[0].engine, known(lossy[0].fidelity)
        yield warning(
            "accuracy-loss", engine, sqnr_db=known(fidelity.sqnr_db), agreement=fidelity.agreement, cause=_cause(probe)
        )


def _cause(probe: SaturationProbe | None) -> str:
    """Return the cause of the loss, as far as it is known: saturation is none where the probe has found none."""
    if probe is None:
        return "saturating arithmetic is the usual cause"
    return "this engine saturates here" if probe.saturates else "nothing saturates here, as was measured"


def _of_unclear(engine: str, unclear: Sequence[Speedup], total: int) -> Finding:
    """Return the finding of unclear verdicts: the difference that each would have seen, and the time to settle it."""
    effects = (best.smallest_visible_effect for best in unclear)
    visible = [effect for effect in effects if effect is not None]
    seen = f"; {1 + max(visible):.2f}x would be seen in each" if visible else ""
    wanted = [best.launches + best.more_launches for best in unclear if best.more_launches is not None]
    launches = min(max(wanted, default=MOST_LAUNCHES), MOST_LAUNCHES)
    enough = len(wanted) == len(unclear) and max(wanted) <= MOST_LAUNCHES
    return note(
        "unclear",
        engine,
        count=len(unclear),
        total=total,
        seen=seen,
        minutes=math.ceil(launches * LAUNCH_BUDGET_S / 60),
        enough=" to settle it." if enough else ", the most that helps.",
    )


def _of_threads(cells: Cells) -> Iterator[Finding]:
    for engine in dict.fromkeys(cell.engine for cell in cells):
        mine = [cell for cell in cells if cell.engine == engine]
        beyond = [cell for cell in mine if known(cell.threads_used) > THREADS_OFF * cell.threads]
        below = [cell for cell in mine if cell.threads > 1 and known(cell.threads_used) < THREADS_IDLE * cell.threads]
        if beyond:
            yield _beyond(engine, beyond[0])
        if below:
            yield _below(engine, below, len(mine))


def _beyond(engine: str, cell: Cell) -> Finding:
    return warning("threads-beyond-asked", engine, used=known(cell.threads_used), asked=cell.threads)


def _below(engine: str, cells: Cells, total: int) -> Finding:
    least = min(cells, key=lambda cell: known(cell.threads_used) / cell.threads)
    return note(
        "threads-below-asked",
        engine,
        count=len(cells),
        total=total,
        used=known(least.threads_used),
        asked=least.threads,
        batch=least.batch,
    )


def _of_lingering(cases: Sequence[Case], ledger: Ledger) -> Iterator[Finding]:
    """Yield a finding for each engine whose idle threads go on taking processor time for longer than `LINGERS_S`.

    A lead-in call covers less than that.
    """
    for engine in dict.fromkeys(case.variant.engine for case in cases):
        mine = [case for case in cases if case.variant.engine == engine and case.group.threads > 1]
        lingering = [race.lingering_s for case in mine for race in ledger.races.get(case.id, ())]
        if lingering and median(lingering) > LINGERS_S:
            yield note("threads-linger", engine, time=units.seconds(median(lingering)))


def _of_noise(ledger: Ledger) -> Iterator[Finding]:
    loads = [sample.noise["competing_load"] for samples in ledger.races.values() for sample in samples]
    if loads and median(loads) > NOISY_LOAD:
        yield note("competing-load", "machine", cores=median(loads))


def _loses_accuracy(cell: Cell, *, trained: bool) -> bool:
    fidelity = known(cell.fidelity)
    sqnr_db, top1, reference = fidelity.sqnr_db, fidelity.top1, fidelity.top1_float32
    lost = trained and top1 is not None and reference is not None and reference - top1 > LOSSY_TOP1
    return lost or (sqnr_db is not None and sqnr_db < LOSSY_SQNR_DB)


def _saturates(cell: Cell, probes: Mapping[str, SaturationProbe]) -> bool:
    return cell.engine in probes and probes[cell.engine].saturates
