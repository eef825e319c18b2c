"""Findings that come from what was measured: what the rules said of each engine run, and what the figures add. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from int8bench.cases import INT8, Case
from int8bench.findings import KNOWN_ENGINES, Finding, Severity, inspect
from int8bench.hardware import Hardware
from int8bench.ledger import NOT_YET, Ledger
from int8bench.plan import LAUNCH_BUDGET_S, MOST_LAUNCHES
from int8bench.records import BEST, FAILED, OK

LOSSY_SQNR_DB = 25.0  # METHOD: engines that compute exactly gave 30 dB and more, saturating ones 21 to 22
LOSSY_TOP1 = 0.01  # a point of top-1 is what people notice
NOISY_LOAD = 0.1  # cores kept busy by others, median over forks
THREADS_OFF = 1.25  # processor time over wall time, against the threads asked for

Cells = Sequence[Mapping[str, Any]]


def findings_of(cases: Sequence[Case], cells: Cells, ledger: Ledger, machine: Hardware) -> tuple[Finding, ...]:
    """Every finding of a run, each once, the worst first."""
    engines = tuple(dict.fromkeys(case.variant.engine for case in cases if case.variant.precision == INT8))
    threads = tuple(dict.fromkeys(case.group.threads for case in cases))
    found: list[Finding] = []
    for engine in engines:
        ruled = engine if engine in KNOWN_ENGINES else None  # rules know nothing of another package's engine
        found += inspect(machine, engine=ruled, threads=threads, probes=ledger.probes)
    explained = {each.subject for each in found if each.severity is Severity.ERROR}
    found += _of_failures(cells, explained)
    measured = [cell for cell in cells if cell["status"] == OK]
    for engine in engines:
        found += _of_engine(engine, [cell for cell in measured if cell["engine"] == engine])
    found += _fastest([cell for cell in measured if cell["precision"] == INT8])
    found += _of_threads(cells)
    found += _of_noise(ledger)
    once = {(each.code, each.subject, each.message): each for each in found}
    rank = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    return tuple(sorted(once.values(), key=lambda each: rank.index(each.severity)))


def _of_failures(cells: Cells, explained: set[str]) -> Iterator[Finding]:
    """Cells that went wrong or could not run, once an engine and reason.

    Args:
        cells: all cells; one that is merely not measured yet has not failed.
        explained: the engines of which a rule has said already why they cannot run.
    """
    stopped: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for cell in cells:
        unavailable = cell["status"] not in {OK, FAILED} and cell["error"] != NOT_YET
        if cell["status"] == FAILED or (unavailable and cell["engine"] not in explained):
            stopped.setdefault((cell["engine"], cell["status"], cell["error"]), []).append(cell)
    for (engine, status, reason), mine in stopped.items():
        total = sum(cell["engine"] == engine for cell in cells)
        yield Finding(
            code="cell-failed",
            severity=Severity.ERROR,
            subject=engine,
            message=f"{engine} {status} in {len(mine)} of {total} cells ({_settings(mine)}): {reason.rstrip('.')}.",
            why="A cell that went wrong or could not run has no figures; the other cells are not touched by it.",
            advice=_way_out(engine, cells),
        )


def _way_out(engine: str, cells: Cells) -> str:
    others = dict.fromkeys(cell["engine"] for cell in cells if cell["precision"] == INT8 and cell["status"] == OK)
    others.pop(engine, None)
    without = f", or leave it out with --engines {','.join(others)}" if others else ""
    return f"Type int8bench doctor --engine {engine}{without}; the same command tries again."


def _settings(cells: Cells) -> str:
    """Where cells stand, the first of them by name: ``batch 8 on 1 thread, ...``."""
    return f"{_setting(cells[0])}{', ...' if len(cells) > 1 else ''}"


def _setting(cell: Mapping[str, Any]) -> str:
    return f"batch {cell['batch']} on {cell['threads']} thread{'s' if cell['threads'] > 1 else ''}"


def _of_engine(engine: str, cells: Cells) -> Iterator[Finding]:
    slower = [cell for cell in cells if _best(cell) and _best(cell)["verdict"] == "slower"]
    if slower:
        worst = min(slower, key=lambda cell: float(_best(cell)["value"]))
        yield Finding(
            code="slower-than-float32",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} int8 is slower than float32 in {len(slower)} of {len(cells)} cells, "
            f"at worst {_best(worst)['value']:.2f}x at {_setting(worst)}.",
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


def _fastest(cells: Cells) -> Iterator[Finding]:
    """The engine that wins most settings, of several that hold their accuracy and are not slower than float32."""
    if len({cell["engine"] for cell in cells}) == 1:
        return
    sound = [cell for cell in cells if not _loses_accuracy(cell) and _best(cell).get("verdict") != "slower"]
    wins: dict[str, int] = {}
    groups = dict.fromkeys((cell["batch"], cell["threads"]) for cell in sound)
    for group in groups:
        mine = [cell for cell in sound if (cell["batch"], cell["threads"]) == group]
        winner = min(mine, key=lambda cell: float(cell["latency_s"]["median"]["value"]))
        wins[winner["engine"]] = wins.get(winner["engine"], 0) + 1
    if wins:
        engine = max(wins, key=lambda name: wins[name])
        yield Finding(
            code="recommended-engine",
            severity=Severity.NOTE,
            subject=engine,
            message=f"Measured here: {engine} has the lowest latency in {wins[engine]} of {len(groups)} settings.",
            why="Of the int8 engines that were run, where answers hold against float32 and are not slower than it.",
            advice=f"Choose --engines {engine}.",
        )


def _of_threads(cells: Cells) -> Iterator[Finding]:
    off = [cell for cell in cells if cell["status"] == OK and cell["threads_used"] > THREADS_OFF * cell["threads"]]
    for engine in dict.fromkeys(cell["engine"] for cell in off):
        cell = next(each for each in off if each["engine"] == engine)
        yield Finding(
            code="threads-beyond-asked",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} used {cell['threads_used']:.1f} threads, not the {cell['threads']} asked for.",
            why="Its thread pool does not follow the setting, so its figures are of another thread count.",
            advice="Hold the process to as many cores as threads: taskset -c 0 ...",
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
