"""Findings that come from what was measured: what the rules said of each engine run, and what the figures add. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from int8bench.cases import INT8, Case
from int8bench.findings import Finding, Severity, inspect
from int8bench.hardware import Hardware
from int8bench.ledger import Ledger

BEST = "best_float32"
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
        found += inspect(machine, engine=engine, threads=threads, probes=ledger.probes)
    for engine in engines:
        found += _of_engine(engine, [cell for cell in cells if cell["engine"] == engine and cell["status"] == "ok"])
    found += _fastest([cell for cell in cells if cell["precision"] == INT8 and cell["status"] == "ok"])
    found += _of_threads(cells)
    found += _of_noise(ledger)
    once = {(each.code, each.subject, each.message): each for each in found}
    rank = [Severity.ERROR, Severity.WARNING, Severity.NOTE]
    return tuple(sorted(once.values(), key=lambda each: rank.index(each.severity)))


def _of_engine(engine: str, cells: Cells) -> Iterator[Finding]:
    slower = [cell for cell in cells if _best(cell) and _best(cell)["verdict"] == "slower"]
    if slower:
        worst = min(slower, key=lambda cell: float(_best(cell)["value"]))
        yield Finding(
            code="slower-than-float32",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} int8 is slower than float32 in {len(slower)} of {len(cells)} cells, "
            f"at worst {_best(worst)['value']:.2f}x at batch {worst['batch']} on {worst['threads']} threads.",
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


def _fastest(cells: Cells) -> Iterator[Finding]:
    """The engine that wins most settings, of those that hold their accuracy and are not slower than float32."""
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
            message=f"Measured here: {engine} has the lowest median latency of the int8 engines that were run, "
            f"in {wins[engine]} of {len(groups)} settings.",
            why="Only cells count whose answers hold against float32 and that are not slower than it.",
            advice=f"Choose --engines {engine}.",
        )


def _of_threads(cells: Cells) -> Iterator[Finding]:
    off = [cell for cell in cells if cell["status"] == "ok" and cell["threads_used"] > THREADS_OFF * cell["threads"]]
    for engine in dict.fromkeys(cell["engine"] for cell in off):
        cell = next(each for each in off if each["engine"] == engine)
        yield Finding(
            code="threads-beyond-asked",
            severity=Severity.WARNING,
            subject=engine,
            message=f"{engine} used {cell['threads_used']:.1f} threads where {cell['threads']} were asked for.",
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
