"""Findings that come from what was measured: what the rules said of each engine run, and what the figures add. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from int8bench import boards, execution, omissions, units
from int8bench.cases import INT8, Case
from int8bench.findings import KNOWN_ENGINES, Finding, SaturationProbe, Severity, inspect
from int8bench.hardware import Hardware
from int8bench.ledger import NOT_YET, Ledger
from int8bench.plan import LAUNCH_BUDGET_S, MOST_LAUNCHES
from int8bench.records import BEST, FAILED, OK, SKIPPED
from int8bench.rivals import OUTDONE, fastest, outdone, setting

LOSSY_SQNR_DB = 25.0  # METHOD: engines that compute exactly gave 30 dB and more, saturating ones 21 to 22
LOSSY_TOP1 = 0.01  # a point of top-1 is what people notice
LINGERS_S = 0.001  # processor time of idle threads after a call, median over forks
NOISY_LOAD = 0.1  # cores kept busy by others, median over forks
THREADS_OFF = 1.25  # processor time over wall time, against the threads asked for
THREADS_IDLE = 0.6  # of several threads: of two, the second has little more than woken up

Cells = Sequence[Mapping[str, Any]]


def findings_of(
    cases: Sequence[Case],
    cells: Cells,
    ledger: Ledger,
    machine: Hardware,
    *,
    named: frozenset[str] | None = None,
    ranked: bool = False,
) -> tuple[Finding, ...]:
    """Every finding of a run, each once, the worst first.

    Args:
        cases: the grid.
        cells: of its record.
        ledger: what was measured.
        machine: where.
        named: the engines that a person named, whose absence is an error; None for all of them.
        ranked: whether the record has a ranking, which says by pairs who is the fastest.
    """
    ruled = _ruled(cases, ledger.probes, machine)
    misfits = frozenset(each.subject for each in ruled if each.severity is Severity.ERROR)
    found = [*(_softened(each, named) for each in ruled), *_of_failures(cells, misfits, named)]
    measured = [cell for cell in cells if cell["status"] == OK]
    int8 = [cell for cell in measured if cell["precision"] == INT8]
    for engine in dict.fromkeys(case.variant.engine for case in cases):
        found += execution.findings_of(engine, [cell for cell in measured if cell["engine"] == engine])
        found += boards.findings_of(engine, [cell for cell in int8 if cell["engine"] == engine])
        found += _of_engine(engine, [cell for cell in int8 if cell["engine"] == engine])
    accurate = [cell for cell in int8 if not _loses_accuracy(cell) and not execution.in_name_only(cell)]
    found += outdone(int8, misfits, [cell for cell in accurate if not _saturates(cell, ledger.probes)])
    found += [] if ranked else fastest(int8, [cell for cell in accurate if _best(cell).get("verdict") != "slower"])
    found += _of_threads(measured)
    found += _of_lingering(cases, ledger)
    found += _of_noise(ledger)
    found += omissions.findings_of(cells, _checked_on_fewer(ledger), ledger.unprobed)
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
    stopped: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        waits = cell["error"] == NOT_YET or omissions.is_reason(cell["error"])
        unavailable = cell["status"] not in {OK, FAILED} and not waits
        if cell["status"] == FAILED or (unavailable and cell["engine"] not in explained):
            stopped.setdefault((cell["engine"], cell["status"], cell["error"]), []).append(cell)
    for (engine, status, reason), mine in stopped.items():
        total = sum(cell["engine"] == engine for cell in cells)
        if status == SKIPPED and named is not None and engine not in named:
            yield _not_here(engine, mine, total, reason)
        else:
            yield _failed(engine, cells, mine, total)


def _checked_on_fewer(ledger: Ledger) -> dict[str, tuple[int, int]]:
    """On how many of how many pictures answers were checked, of engines where that was not all."""
    on = {variant.engine: checked.fidelity.pictures for variant, checked in ledger.checks.items()}
    total = ledger.pictures
    return {engine: (n, total) for engine, n in on.items() if n is not None and total is not None and n < total}


def _failed(engine: str, cells: Cells, mine: Cells, total: int) -> Finding:
    status, reason = mine[0]["status"], mine[0]["error"]
    return Finding(
        code="cell-failed",
        severity=Severity.ERROR,
        subject=engine,
        message=f"{engine} {status} in {len(mine)} of {total} cells ({_settings(mine)}): {reason.rstrip('.')}.",
        why="A cell that went wrong or could not run has no figures; the other cells are not touched by it.",
        advice=_way_out(engine, cells),
    )


def _not_here(engine: str, mine: Cells, total: int, reason: str) -> Finding:
    """An engine that was only run along, and could not be."""
    where = "is not here" if len(mine) == total else f"is not in {len(mine)} of {total} cells ({_settings(mine)})"
    return Finding(
        code="engine-not-here",
        severity=Severity.NOTE,
        subject=engine,
        message=f"{engine} {where}: {reason.rstrip('.')}.",
        why="All engines were asked for, whichever there are; of one that is named, this would be an error.",
        advice=f"Type int8bench doctor --engine {engine}, or int8bench run --engines {engine} once it is there.",
    )


def _way_out(engine: str, cells: Cells) -> str:
    others = dict.fromkeys(cell["engine"] for cell in cells if cell["precision"] == INT8 and cell["status"] == OK)
    others.pop(engine, None)
    without = f", or leave it out with --engines {','.join(others)}" if others else ""
    return f"Type int8bench doctor --engine {engine}{without}; the same command tries again."


def _settings(cells: Cells) -> str:
    """Where cells stand, the first of them by name: ``batch 8 on 1 thread, ...``."""
    return f"{setting(cells[0])}{', ...' if len(cells) > 1 else ''}"


def _of_engine(engine: str, cells: Cells) -> Iterator[Finding]:
    slower = [cell for cell in cells if _best(cell) and _best(cell)["verdict"] == "slower"]
    if slower:
        worst = min(slower, key=lambda cell: float(_best(cell)["value"]))
        yield Finding(
            code="slower-than-float32",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} int8 is slower than float32 in {len(slower)} of {len(cells)} cells, "
            f"at worst {_best(worst)['value']:.2f}x at {setting(worst)}.",
            why="Packing, requantization and kernels that do not fit the processor can cost more than 8 bits save.",
            advice="Use another engine or stay with float32 in those cells.",
        )
    lossy = [cell for cell in cells if _loses_accuracy(cell)]
    if lossy:
        fidelity = lossy[0]["fidelity"]
        yield Finding(
            code="accuracy-loss",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} int8 answers differ from float32's: {fidelity['sqnr_db']:.1f} dB SQNR, "
            f"{fidelity['agreement']:.1%} of the top classes agree.",
            why="Quantization noise at this level changes answers; saturating arithmetic is the usual cause.",
            advice=f"Type int8bench doctor --engine {engine}",
        )
    unclear = [cell for cell in cells if _best(cell).get("verdict") == "unclear"]
    if unclear:
        yield _of_unclear(engine, unclear, len(cells))


def _of_unclear(engine: str, unclear: Cells, total: int) -> Finding:
    """What a run could not tell: what it would have seen, and the time that would settle it."""
    best = [_best(cell) for cell in unclear]
    visible = [float(each["smallest_visible_effect"]) for each in best if each["smallest_visible_effect"] is not None]
    seen = f"; {1 + max(visible):.2f}x would be seen in each" if visible else ""
    wanted = [each["launches"] + each["more_launches"] for each in best if each["more_launches"] is not None]
    launches = min(max(wanted, default=MOST_LAUNCHES), MOST_LAUNCHES)
    enough = len(wanted) == len(best) and max(wanted) <= MOST_LAUNCHES
    return Finding(
        code="unclear",
        severity=Severity.NOTE,
        subject=engine,
        message=f"{engine} is unclear in {len(unclear)} of {total} cells{seen}.",
        why="A verdict is made at a much smaller error than an interval is shown at, so that whole grids stay right.",
        advice=f"Type --budget {math.ceil(launches * LAUNCH_BUDGET_S / 60)}m"
        + (" to settle it." if enough else ", the most that helps."),
    )


def _of_threads(cells: Cells) -> Iterator[Finding]:
    for engine in dict.fromkeys(cell["engine"] for cell in cells):
        mine = [cell for cell in cells if cell["engine"] == engine]
        beyond = [cell for cell in mine if cell["threads_used"] > THREADS_OFF * cell["threads"]]
        below = [cell for cell in mine if cell["threads"] > 1 and cell["threads_used"] < THREADS_IDLE * cell["threads"]]
        if beyond:
            yield _beyond(engine, beyond[0])
        if below:
            yield _below(engine, below, len(mine))


def _beyond(engine: str, cell: Mapping[str, Any]) -> Finding:
    return Finding(
        code="threads-beyond-asked",
        severity=Severity.WARNING,
        subject=engine,
        message=f"{engine} used {cell['threads_used']:.1f} threads, not the {cell['threads']} asked for.",
        why="Its thread pool does not follow the setting, so its figures are of another thread count.",
        advice="Hold the process to as many cores as threads: taskset -c 0 ...",
    )


def _below(engine: str, cells: Cells, total: int) -> Finding:
    least = min(cells, key=lambda cell: float(cell["threads_used"] / cell["threads"]))
    return Finding(
        code="threads-below-asked",
        severity=Severity.NOTE,
        subject=engine,
        message=f"{engine} used far fewer threads than asked for in {len(cells)} of {total} cells, down to "
        f"{least['threads_used']:.1f} of {least['threads']} at batch {least['batch']}.",
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
            yield Finding(
                code="threads-linger",
                severity=Severity.NOTE,
                subject=engine,
                message=f"{engine}'s idle threads take {time} of processor time after a call.",
                why="They spin to start sooner on the next call, and others on those cores wait; the race waited.",
                advice="Where other work shares the machine, count this time as the engine's.",
            )


def _of_noise(ledger: Ledger) -> Iterator[Finding]:
    loads = [sample.noise["competing_load"] for samples in ledger.races.values() for sample in samples]
    if loads and median(loads) > NOISY_LOAD:
        yield Finding(
            code="competing-load",
            severity=Severity.NOTE,
            subject="machine",
            message=f"Other processes kept {median(loads):.1f} cores busy during the measurement.",
            why="Pairing keeps this out of the ratios, not out of the absolute times.",
            advice="Stop other work and run again for better absolute times.",
        )


def _best(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Iterable[Mapping[str, Any]] = (each for each in cell["speedups"] if each["role"] == BEST)
    return next(iter(found), {})


def _loses_accuracy(cell: Mapping[str, Any]) -> bool:
    fidelity = cell["fidelity"]
    sqnr_db, top1, reference = fidelity["sqnr_db"], fidelity["top1"], fidelity["top1_float32"]
    lost = top1 is not None and reference is not None and reference - top1 > LOSSY_TOP1
    return lost or (sqnr_db is not None and sqnr_db < LOSSY_SQNR_DB)


def _saturates(cell: Mapping[str, Any], probes: Mapping[str, SaturationProbe]) -> bool:
    return cell["engine"] in probes and probes[cell["engine"]].saturates
