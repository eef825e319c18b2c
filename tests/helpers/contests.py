"""Played contests: the cells and samples of several engines with known times, memory and answers, for rankings."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from cells import cell
from runs import race

from int8bench.stats.verdict import Looks
from int8bench.study.cells import BEST, FAILED, OK, SKIPPED, Cell
from int8bench.study.ranking import Rules
from int8bench.study.session.ledger import Ledger
from int8bench.workload.cases import FLOAT32, INT8, Case, Variant, grid

RULES = Rules(
    accuracy_loss=0.01, trained=True, confidence=0.95, family_error=0.05, margin=0.01, looks=Looks(launches=(8,))
)


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A variant with its true time, and what else its cells say."""

    engine: str
    time_s: float
    precision: str = INT8
    peak_bytes: float = 1e6
    sqnr_db: float | None = 35.0
    top1: float | None = 0.98
    batches: tuple[int, ...] = ()
    """The only batches that it takes; all where there are none."""
    failed: str = ""
    """Why it failed."""
    layout: str = "nchw"
    int8_share: float = 0.9
    """Of the time of a forward, by its own evidence; the rest was float."""

    @property
    def variant(self) -> Variant:
        """Its name in a grid."""
        return Variant(engine=self.engine, precision=self.precision, layout=self.layout)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What `ranking.ranked` is given."""

    cases: tuple[Case, ...]
    cells: tuple[Cell, ...]
    ledger: Ledger


def float32(engine: str, time_s: float, **more: Any) -> Contender:
    """An engine's float32."""
    return replace(Contender(engine=engine, time_s=time_s, precision=FLOAT32, sqnr_db=None), **more)


TORCH = (float32("torch", 4e-3, layout="channels_last"), float32("torch", 6e-3))


def contest(
    *contenders: Contender,
    batches: tuple[int, ...] = (1,),
    threads: tuple[int, ...] = (1,),
    seed: int = 0,
    spread: float = 0.002,
    launches: int = 8,
) -> Contest:
    """A played contest of torch's float32 and these, each with its own luck of each launch, of that spread."""
    entered = {each.variant: each for each in (*TORCH, *contenders)}
    cases = grid(model="m", variants=tuple(entered), batches=batches, threads=threads)
    ledger = Ledger(created_at="2026-01-01T00:00:00+00:00")
    rng = np.random.default_rng(seed)
    for case in cases:
        luck = rng.normal(0, spread, launches)
        time_s = entered[case.variant].time_s * case.group.batch
        ledger.races[case.id] = [race(time_s * float(np.exp(luck[each])), each) for each in range(launches)]
    cells = tuple(_cell(case, entered[case.variant], ledger, list(entered.values())) for case in cases)
    return Contest(cases=cases, cells=cells, ledger=ledger)


def _cell(case: Case, contender: Contender, ledger: Ledger, entered: list[Contender]) -> Cell:
    fits = not contender.batches or case.group.batch in contender.batches
    status, error = (FAILED, contender.failed) if contender.failed else (OK, None) if fits else (SKIPPED, "one picture")
    place = {
        **asdict(case.variant),
        **asdict(case.group),
        "id": case.id,
        "model": case.model,
        "status": status,
        "error": error,
    }
    if status != OK:
        ledger.races[case.id] = []
        return cell(**place)
    latency_s = float(np.median([race.times_s[0] for race in ledger.races[case.id]]))
    return cell(
        **place,
        latency_s={"median": {"value": latency_s}},
        threads_used=float(case.group.threads),
        memory_bytes={"peak_delta": {"value": contender.peak_bytes}, "weights": 60_000},
        fidelity={"sqnr_db": contender.sqnr_db, "top1": contender.top1, "top1_float32": 0.98},
        evidence={"ran": _ran(contender)},
        conversion={"seconds": 3.0, "reused": False, "notes": {}},
        speedups=[_speedup(case, contender, entered)] if contender.precision != FLOAT32 else [],
    )


def _ran(contender: Contender) -> dict[str, Any]:
    shares = {"int8_share": contender.int8_share, "float_share": 1 - contender.int8_share}
    return {"witness": "a play", "share_of": "time", "edge_share": 0.0, "other_share": 0.0, "operators": [], **shares}


def _speedup(case: Case, contender: Contender, entered: list[Contender]) -> dict[str, Any]:
    """As a run finds it: a speed-up of 3 % either way is clear."""
    best = min((each for each in entered if each.precision == FLOAT32), key=lambda each: each.time_s)
    value = best.time_s / contender.time_s
    low, high = 0.97 * value, 1.03 * value
    return {
        "reference": replace(case, variant=best.variant).id,
        "role": BEST,
        "value": value,
        "low": low,
        "high": high,
        "verdict": "faster" if low > 1 else "slower" if high < 1 else "unclear",
        "launches": 8,
        "reason": None,
    }
