"""Played runs: records with samples of known speed-ups, memory and answers, as a study would have left them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from int8bench.lab.sampling import Durations
from int8bench.machine import Hardware, load
from int8bench.stats.verdict import default_looks
from int8bench.study import figures, records
from int8bench.study.cells import RaceSample, SoloSample
from int8bench.study.plan.plan import Plan
from int8bench.study.session.ledger import Ledger
from int8bench.study.session.worker import Checked
from int8bench.workload.cases import INT8, NCHW, Variant, grid, int8_variant
from int8bench.workload.fidelity import Fidelity

RECORDED = Path(__file__).parents[1] / "golden" / "hardware"
AVX2 = load(RECORDED / "linux-ubuntu20.04-zen3")
AMX = load(RECORDED / "linux-kvm-intel-amx")
ROUNDS = 4


def int8_variants(*engines: str) -> tuple[Variant, ...]:
    """The int8 variant of each of torch's engines."""
    return tuple(int8_variant(engine) for engine in engines)


@dataclass(frozen=True, kw_only=True)
class Played:
    """What a played run is like."""

    seed: int = 0
    machine: Hardware = AVX2
    batches: tuple[int, ...] = (1, 8)
    engines: tuple[str, ...] = ("fbgemm",)
    speedup: float = 2.0
    slowed: int | None = None
    """The batch whose int8 takes 10 % longer."""
    clock: float = 1.0
    """How slow the machine is that day: every time is that much longer."""
    spread: float = 0.002
    launches: int = 8
    memory_bytes: int = 30_000_000
    weights_bytes: int = 60_000
    sqnr_db: float | None = 35.0
    top1: float | None = 0.98
    weights_sha256: str = "a"
    complete: bool = True
    failed: bool = False
    """Whether int8 failed at the first batch."""
    finding: str | None = None
    """The severity of a finding that is added."""


def run(played: Played) -> records.Run:
    """The record of a played run."""
    cases = grid(model="m", variants=int8_variants(*played.engines), batches=played.batches, threads=(1,))
    ledger = Ledger(created_at="2026-01-01T00:00:00+00:00")
    rng = np.random.default_rng(played.seed)
    luck = {(batch, launch): rng.normal(0, 0.1) for batch in played.batches for launch in range(played.launches)}
    for case in cases:
        time_s = 2e-3 * played.clock * case.group.batch
        if case.variant.precision == INT8:
            time_s *= (1.1 if case.group.batch == played.slowed else 1.0) / played.speedup
        elif case.variant.layout == NCHW:
            time_s *= 1.5
        # The luck of a launch is shared by its contenders, and so not in their ratio; the rest is each contender's own.
        ledger.races[case.id] = [
            race(time_s * np.exp(luck[case.group.batch, launch] + rng.normal(0, played.spread)), launch)
            for launch in range(played.launches)
        ]
        ledger.solos[case.id] = [_solo(played, rng, time_s, replicate) for replicate in range(3)]
        ledger.checks[case.variant] = Checked(
            fidelity=Fidelity(
                sqnr_db=played.sqnr_db if case.variant.precision == INT8 else None,
                agreement=1.0,
                top1=played.top1,
                top1_float32=played.top1,
            ),
            objection=None,
            weights_bytes=played.weights_bytes,
            serialized_bytes=played.weights_bytes,
            evidence={},
        )
    if played.failed:
        ledger.fail(cases[2].id, "it broke")
    return _record(played, cases, ledger)


def _record(played, cases, ledger):
    plan = Plan(
        looks=default_looks(max(2, played.launches)),
        forks=1,
        durations=Durations(warmup_s=0.0, race_s=0.1, single_s=0.1),
        replicates=3,
        load_s=0.1,
        budget_s=60.0,
    )
    subject = {"model": "m", "input_shape": [3, 32, 32], "data": "digits", "weights_sha256": played.weights_sha256}
    settings = {
        "confidence": 0.95,
        "precision": 0.01,
        "margin": 0.01,
        "error_rate": 0.001,
        "family_error_rate": 0.05,
        "plan": plan.to_dict(),
        "subject": subject,
    }
    found = figures.record(
        cases=cases, ledger=ledger, plan=plan, machine=played.machine, settings=settings, complete=played.complete
    )
    document = records.to_dict(found)
    extra = {**dict.fromkeys(("code", "subject", "message", "why", "advice"), "x"), "severity": played.finding}
    document["findings"] = [extra] if played.finding else []
    return records.from_dict(document)


def race(time_s: float, launch: int) -> RaceSample:
    """A fork whose rounds all took the same time."""
    times = (float(time_s),) * ROUNDS
    return RaceSample(
        launch=launch,
        fork=0,
        calls=1,
        times_s=times,
        kept=(1,) * ROUNDS,
        single_s=times,
        cpu_s=1.0,
        wall_s=1.0,
        lingering_s=0.0,
        noise={"competing_load": 0.0},
    )


def _solo(played: Played, rng: np.random.Generator, time_s: float, replicate: int) -> SoloSample:
    return SoloSample(
        launch=replicate,
        replicate=replicate,
        build_s=0.1,
        cold_s=0.01,
        peak_bytes=int(played.memory_bytes + rng.normal(0, 200_000)),
        idle_peak_bytes=0,
        streams=1,
        items=100,
        seconds=100 * time_s,
    )
