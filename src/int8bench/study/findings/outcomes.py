"""Findings that come from what was measured: what the rules said of each engine run, and what the figures add. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from int8bench import documents, units
from int8bench.machine import Hardware
from int8bench.machine.finding import Finding, SaturationProbe, Severity, note, warning
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
) -> tuple[Finding, ...]:
    """Every finding of a run, each once, the worst first.

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
    found = [_softened(each, named) for each in ruled if not contradicted(each, int8)]
    found += _of_failures(cells, misfits, named)
    lossy = [cell for cell in int8 if _loses_accuracy(cell, trained=not chance.top1_is_chance(subject, answered))]
    for engine in dict.fromkeys(case.variant.engine for case in cases):
        found += execution.findings_of(engine, [cell for cell in answered if cell.engine == engine])
        found += boards.findings_of(engine, [cell for cell in int8 if cell.engine == engine])
        found += _of_engine(engine, [cell for cell in int8 if cell.engine == engine])
        found += _of_accuracy([cell for cell in lossy if cell.engine == engine], ledger.probes.get(engine))
    found += chance.findings_of(subject, answered)
    found += _of_left_out(int8)
    accurate = [cell for cell in int8 if cell not in lossy and not execution.in_name_only(cell)]
    found += outdone(int8, misfits, [cell for cell in accurate if not _saturates(cell, ledger.probes)])
    found += _of_threads(answered)
    found += _of_lingering(cases, ledger)
    found += _of_noise(ledger)
    found += fitting.findings_of(cells, _checked_on_fewer(ledger), ledger.unprobed)
    return _once(found)


def _ruled(cases: Sequence[Case], probes: Mapping[str, SaturationProbe], machine: Hardware) -> list[Finding]:
    """What the rules say of every int8 engine of a run."""
    engines = dict.fromkeys(case.variant.engine for case in cases if case.variant.precision == INT8)
    threads = tuple(dict.fromkeys(case.group.threads for case in cases))
    found: list[Finding] = []
    for engine in engines:
        known = engine if engine in {*KNOWN_ENGINES, *probes} else None  # rules know torch's engines alone
        found += inspect(machine, engine=known, threads=threads, probes=probes)
    return found


def _softened(finding: Finding, named: frozenset[str] | None) -> Finding:
    """An error of an engine that nobody named is a warning: it was not chosen, only run along."""
    chosen = named is None or finding.subject in named or finding.severity is not Severity.ERROR
    return finding if chosen else replace(finding, severity=Severity.WARNING)


def _once(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each once, as bad as it was found, the worst first; of what a rule expects and a run measured, the latter."""
    rank = list(Severity)
    worst = sorted(found, key=lambda each: rank.index(each.severity))
    beaten = {each.subject for each in worst if each.code == OUTDONE}
    once: dict[tuple[str, str, str], Finding] = {}
    for each in worst:
        if each.code != "fbgemm-outdone" or each.subject not in beaten:
            once.setdefault((each.code, each.subject, each.message), each)
    return tuple(once.values())


def _of_failures(cells: Cells, explained: frozenset[str], named: frozenset[str] | None) -> Iterator[Finding]:
    """Cells that went wrong or could not run, once an engine and reason.

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
    """On how many of how many pictures answers were checked, of engines where that was not all."""
    on = {variant.engine: checked.fidelity.pictures for variant, checked in ledger.checks.items()}
    total = ledger.pictures
    return {engine: (n, total) for engine, n in on.items() if n is not None and total is not None and n < total}


def _failed(cells: Cells, mine: Cells) -> Finding:
    """Cells that failed for one cause, of whichever engines: the reason that one of them gives stands for all."""
    engines = list(dict.fromkeys(cell.engine for cell in mine))
    total = sum(cell.engine in engines for cell in cells)
    status, reason = mine[0].status, told(known(mine[0].error), engines[0])
    return Finding(
        code="cell-failed",
        severity=Severity.ERROR,
        subject=", ".join(engines),
        message=f"{listed(engines)} {status} in {len(mine)} of {total} cells ({_settings(mine)}): {reason}.",
        why="A cell that went wrong or could not run has no figures; the other cells are not touched by it.",
        advice=_way_out(engines, cells),
    )


def _not_here(engine: str, mine: Cells, total: int, reason: str) -> Finding:
    """An engine that was only run along, and could not be: it is not installed, or does not take such a setting."""
    where = (
        "takes no part" if len(mine) == total else f"takes no part in {len(mine)} of {total} cells ({_settings(mine)})"
    )
    return note(
        code="engine-not-here",
        subject=engine,
        message=f"{engine} {where}: {told(reason, engine)}.",
        why="All engines were asked for, whichever there are; of one that is named, this would be an error.",
        advice=f"Type int8bench doctor --engine {engine} for what it needs.",
    )


def _way_out(engines: Sequence[str], cells: Cells) -> str:
    sound = dict.fromkeys(cell.engine for cell in cells if cell.precision == INT8 and cell.status == OK)
    others = [each for each in sound if each not in engines]
    without = f", or leave it out with --engines {','.join(others)}" if others else ""
    return f"Type int8bench doctor --engine {engines[0]}{without}; the same command tries again."


def _settings(cells: Cells) -> str:
    """Where cells stand, the first of them by name: ``batch 8 on 1 thread, ...``."""
    return f"{cells[0].group.label}{', ...' if len(cells) > 1 else ''}"


def _of_engine(engine: str, cells: Cells) -> Iterator[Finding]:
    leads = [(cell, best) for cell in cells if (best := cell.speedup(BEST)) is not None]
    slower = [(cell, best) for cell, best in leads if best.verdict == SLOWER]
    if slower:
        worst, least = min(slower, key=lambda lead: lead[1].value)
        yield warning(
            code="slower-than-float32",
            subject=engine,
            message=f"{engine} int8 is slower than float32 in {len(slower)} of {len(cells)} cells, "
            f"at worst {least.value:.2f}x at {worst.group.label}.",
            why="Packing, requantization and kernels that do not fit the processor can cost more than 8 bits save.",
            advice="Use another engine or stay with float32 in those cells.",
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
    """What a converter could not quantize and left in float, once for all engines that read its files."""
    engines_of: dict[_LeftInFloat, list[str]] = {}
    for cell in cells:
        if cell.conversion is not None:
            notes = documents.read(_Notes, cell.conversion.notes, name="conversion", at="notes", strict=False)
            for left in notes.left_in_float:
                engines_of.setdefault(left, []).append(cell.engine)
    for left, of in engines_of.items():
        engines = list(dict.fromkeys(of))
        yield warning(
            code="left-in-float",
            subject=", ".join(engines),
            message=f"{listed(engines)} int8 leave{'s' if len(engines) == 1 else ''} {left.operator} "
            f"{left.node} in float: the tool that quantizes cannot take it ({left.reason}).",
            why="Quantized without it, the rest of the model is int8; with it, there would be no int8 at all.",
            advice="Replace the operator, or use an engine that has it in int8.",
        )


def _of_accuracy(lossy: Cells, probe: SaturationProbe | None) -> Iterator[Finding]:
    """The accuracy that an engine loses, where it loses some.

    Args:
        lossy: its cells that do.
        probe: of its arithmetic, where there was one.
    """
    if lossy:
        engine, fidelity = lossy[0].engine, known(lossy[0].fidelity)
        yield warning(
            code="accuracy-loss",
            subject=engine,
            message=f"{engine} int8 answers differ from float32's: {known(fidelity.sqnr_db):.1f} dB SQNR, "
            f"{fidelity.agreement:.1%} of the top classes agree.",
            why=_why_lossy(probe),
            advice=f"Type int8bench doctor --engine {engine}",
        )


def _why_lossy(probe: SaturationProbe | None) -> str:
    """What loses accuracy, as far as it is known: saturation is no cause where the probe has found none."""
    told = "Quantization noise at this level changes answers"
    if probe is None:
        return f"{told}; saturating arithmetic is the usual cause."
    return f"{told}; {'this engine saturates here' if probe.saturates else 'nothing saturates here, as was measured'}."


def _of_unclear(engine: str, unclear: Sequence[Speedup], total: int) -> Finding:
    """What a run could not tell: what it would have seen, and the time that would settle it."""
    effects = (best.smallest_visible_effect for best in unclear)
    visible = [effect for effect in effects if effect is not None]
    seen = f"; {1 + max(visible):.2f}x would be seen in each" if visible else ""
    wanted = [best.launches + best.more_launches for best in unclear if best.more_launches is not None]
    launches = min(max(wanted, default=MOST_LAUNCHES), MOST_LAUNCHES)
    enough = len(wanted) == len(unclear) and max(wanted) <= MOST_LAUNCHES
    return note(
        code="unclear",
        subject=engine,
        message=f"{engine} is unclear in {len(unclear)} of {total} cells{seen}.",
        why="A verdict is made at a much smaller error than an interval is shown at, so that whole grids stay right.",
        advice=f"Type --budget {math.ceil(launches * LAUNCH_BUDGET_S / 60)}m"
        + (" to settle it." if enough else ", the most that helps."),
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
    return warning(
        code="threads-beyond-asked",
        subject=engine,
        message=f"{engine} used {known(cell.threads_used):.1f} threads, not the {cell.threads} asked for.",
        why="Its thread pool does not follow the setting, so its figures are of another thread count.",
        advice="Hold the process to as many cores as threads: taskset -c 0 ...",
    )


def _below(engine: str, cells: Cells, total: int) -> Finding:
    least = min(cells, key=lambda cell: known(cell.threads_used) / cell.threads)
    return note(
        code="threads-below-asked",
        subject=engine,
        message=f"{engine} used far fewer threads than asked for in {len(cells)} of {total} cells, down to "
        f"{known(least.threads_used):.1f} of {least.threads} at batch {least.batch}.",
        why="So little work is not worth sharing, or the engine has no threads for it; the other cores were idle.",
        advice="Give each stream one thread and run several, which the throughput column shows.",
    )


def _of_lingering(cases: Sequence[Case], ledger: Ledger) -> Iterator[Finding]:
    """Engines whose idle threads go on taking processor time, where that is longer than a lead-in call covers."""
    for engine in dict.fromkeys(case.variant.engine for case in cases):
        mine = [case for case in cases if case.variant.engine == engine and case.group.threads > 1]
        lingering = [race.lingering_s for case in mine for race in ledger.races.get(case.id, ())]
        if lingering and median(lingering) > LINGERS_S:
            time = units.seconds(median(lingering))
            yield note(
                code="threads-linger",
                subject=engine,
                message=f"{engine}'s idle threads take {time} of processor time after a call.",
                why="They spin to start sooner on the next call, and others on those cores wait; the race waited.",
                advice="Where other work shares the machine, count this time as the engine's.",
            )


def _of_noise(ledger: Ledger) -> Iterator[Finding]:
    loads = [sample.noise["competing_load"] for samples in ledger.races.values() for sample in samples]
    if loads and median(loads) > NOISY_LOAD:
        yield note(
            code="competing-load",
            subject="machine",
            message=f"Other processes kept {median(loads):.1f} cores busy during the measurement.",
            why="Pairing keeps this out of the ratios, not out of the absolute times.",
            advice="Stop other work and run again for better absolute times.",
        )


def _loses_accuracy(cell: Cell, *, trained: bool) -> bool:
    fidelity = known(cell.fidelity)
    sqnr_db, top1, reference = fidelity.sqnr_db, fidelity.top1, fidelity.top1_float32
    lost = trained and top1 is not None and reference is not None and reference - top1 > LOSSY_TOP1
    return lost or (sqnr_db is not None and sqnr_db < LOSSY_SQNR_DB)


def _saturates(cell: Cell, probes: Mapping[str, SaturationProbe]) -> bool:
    return cell.engine in probes and probes[cell.engine].saturates
