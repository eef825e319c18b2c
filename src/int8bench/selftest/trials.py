"""Trials of our own verdicts: the same code raced with itself, and with a copy slowed by a known amount.

What comes out says how far the intervals and verdicts of this machine can be trusted; nothing is assumed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from int8bench import files, machine
from int8bench.cases import Group, Variant, float32_references, int8_variant
from int8bench.errors import Int8BenchError, InterruptedRunError, LabError, NothingMeasuredError, RequestError
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import Launch, launched
from int8bench.lab.progress import Advance, Progress
from int8bench.lab.sampling import Race
from int8bench.machine import emulation
from int8bench.stats.limits import CONFIDENCE, ERROR_RATE, MARGIN
from int8bench.stats.stopping import default_looks
from int8bench.stats.words import Verdict
from int8bench.study import doctor
from int8bench.study.cells import speed_word
from int8bench.study.racing import Design, Judged, judged_at, race_table
from int8bench.study.session import worker
from int8bench.workload.order import Order
from int8bench.workload.subject import default_subject, order_for

SCHEMA = "int8bench.trials"
FORK_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One race of a trial."""

    group: Group
    race: int
    slowed: bool
    judged: Judged
    measured_s: float

    def to_dict(self) -> dict[str, object]:
        """One line of the trial's file."""
        return {
            "batch": self.group.batch,
            "threads": self.group.threads,
            "race": self.race,
            "slowed": self.slowed,
            "value": self.judged.estimate.value,
            "low": self.judged.estimate.low,
            "high": self.judged.estimate.high,
            "launches": self.judged.estimate.launches,
            "forks": self.judged.estimate.forks,
            "pairs": self.judged.estimate.pairs,
            "verdict": speed_word(self.judged.judgement.verdict),
            "measured_s": self.measured_s,
        }


Row = Mapping[str, Any]
ROW_KEYS = {"engine", "batch", "threads", "race", "slowed", "value", "low", "high", "verdict", "measured_s"}

DEFAULT_THREADS = (1, 2)
SLOWED_CALLS = (50, 51)  # a known slow-down of 2 %
DESIGN = Design(
    looks=default_looks(8),
    forks=2,
    race_s=1.2,
    warmup_s=0.05,
    precision=0.005,
    margin=MARGIN,
    confidence=CONFIDENCE,
    error_rate=ERROR_RATE,
)
# Rounds of 101 calls are few in the time of a race: longer forks, and more launches of them.
SLOWED_DESIGN = replace(DESIGN, looks=default_looks(12), forks=1, race_s=1.5)


def groups_of(batches: tuple[int, ...], threads: tuple[int, ...] | None) -> tuple[Group, ...]:
    """The cells of a trial; without thread counts, those of `DEFAULT_THREADS` that this machine has.

    Raises:
        RequestError: more threads than usable cores.
    """
    usable = len(machine.usable_processors())
    counts = threads or tuple(count for count in DEFAULT_THREADS if count <= usable)
    if max(counts) > usable:
        raise RequestError(f"--threads {max(counts)}: this machine can use {usable} at most; try --threads {usable}")
    return tuple(Group(batch=batch, threads=count) for count in counts for batch in batches)


def tally(rows: Sequence[Row]) -> dict[str, Any]:
    """What a set of outcomes adds up to: counts, and medians of widths and times."""
    verdicts = [row["verdict"] for row in rows]
    return {
        "races": len(rows),
        "intervals_excluding_1": sum(not row["low"] <= 1.0 <= row["high"] for row in rows),
        **{each: verdicts.count(each) for each in map(speed_word, Verdict)},
        "median_ratio": median(row["value"] for row in rows),
        "median_half_width": median((row["high"] - row["low"]) / 2 / row["value"] for row in rows),
        "median_measured_s": median(row["measured_s"] for row in rows),
        "longest_measured_s": max(row["measured_s"] for row in rows),
    }


def tallies(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A tally of each engine and kind of race, cell by cell, and of all its cells together where there are several."""
    found = []
    for engine, slowed in dict.fromkeys((row["engine"], row["slowed"]) for row in rows):
        kind = [row for row in rows if (row["engine"], row["slowed"]) == (engine, slowed)]
        cells = list(dict.fromkeys((row["batch"], row["threads"]) for row in kind))
        for batch, threads in cells:
            mine = [row for row in kind if (row["batch"], row["threads"]) == (batch, threads)]
            found.append({"engine": engine, "slowed": slowed, "batch": batch, "threads": threads, **tally(mine)})
        if len(cells) > 1:
            found.append({"engine": engine, "slowed": slowed, "batch": None, "threads": None, **tally(kind)})
    return found


def run_trials(
    engine: str, groups: Sequence[Group], *, races: int, slowed: bool, output: Path, advance: Advance
) -> list[dict[str, Any]]:
    """Races an engine's int8 with itself, or with a copy slowed by 2 %, and keeps every outcome in `output`.

    An interrupted trial goes on where it stopped. Returns all rows of the file.

    Raises:
        RequestError: no such int8 engine, or `output` holds something else or cannot be written.
        InterruptedRunError: it was stopped, or a measuring process failed; the races before are kept.
        NothingMeasuredError: the same before the first race was over.
    """
    doctor.check_int8("--engine", engine)
    emulation.refuse()
    files.check_writable(output)
    store = _Store.at(output, slowed=slowed)
    try:
        _race_missing(engine, groups, store, races=races, slowed=slowed, advance=advance)
    except KeyboardInterrupt:
        raise _interrupted(store, "stopped") from None
    except LabError as error:
        raise _interrupted(store, str(error)) from error
    return store.rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Store:
    """The file of a trial: the machine, the design of each kind of race in it, and the outcomes."""

    output: Path
    fingerprint: str
    designs: Mapping[str, object]
    rows: list[dict[str, Any]]

    @classmethod
    def at(cls, output: Path, *, slowed: bool) -> "_Store":
        """What an earlier trial left there, to go on with; nothing where there is no file.

        Raises:
            RequestError: there is something else, or races of another machine or design; it is not written over.
        """
        here = machine.fingerprint(machine.detect())
        kind, design = _design_of(slowed=slowed)
        stored: dict[str, Any] = (
            _stored(output) if output.exists() else {"fingerprint": here, "designs": {}, "rows": []}
        )
        if stored.get("fingerprint") != here:
            made_on = stored.get("fingerprint", "a machine that it does not name")
            raise _mixture(output, f"holds races of {made_on}, and this machine is {here}")
        designs = {kind: design.to_dict(), **stored["designs"]}
        if designs[kind] != design.to_dict():
            raise _mixture(output, f"holds {kind} races of another design than this int8bench's")
        return cls(output=output, fingerprint=here, designs=designs, rows=stored["rows"])

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Keeps more outcomes, in the file too."""
        self.rows.extend(rows)
        document = {
            "schema": SCHEMA,
            "fingerprint": self.fingerprint,
            "designs": dict(self.designs),
            "rows": self.rows,
        }
        files.write_text(self.output, json.dumps(document, indent=0))

    def has(self, engine: str, group: Group, race: int, *, slowed: bool) -> bool:
        """Whether that race is there already."""
        mine = {"engine": engine, "batch": group.batch, "threads": group.threads, "race": race, "slowed": slowed}
        return any(mine.items() <= row.items() for row in self.rows)


def _design_of(*, slowed: bool) -> tuple[str, Design]:
    return ("slowed", SLOWED_DESIGN) if slowed else ("plain", DESIGN)


def _mixture(output: Path, what: str) -> RequestError:
    return RequestError(f"-o {output}: {what}, which never go together; give another -o")


def _race_missing(
    engine: str, groups: Sequence[Group], store: _Store, *, races: int, slowed: bool, advance: Advance
) -> None:
    """Runs the races that the store lacks, and keeps each in it."""
    variant = int8_variant(engine)
    order = order_for(default_subject(advance), (float32_references()[0], variant))
    _, design = _design_of(slowed=slowed)
    for race in range(races):
        advance(Progress(phase=f"race {race + 1} of {races}", done=race, total=races))
        missing = [group for group in groups if not store.has(engine, group, race, slowed=slowed)]
        if missing:
            calls = SLOWED_CALLS if slowed else None
            outcomes = _one_race_everywhere(order, variant, missing, design, race, calls)
            store.add([{"engine": engine, **outcome.to_dict()} for outcome in outcomes])
    advance(Progress(phase="done", done=races, total=races))


def _interrupted(store: _Store, why: str) -> Int8BenchError:
    goes_on = f"the same command goes on from {store.output}"
    if not store.rows:
        return NothingMeasuredError(f"{why}, before the first race was over; {goes_on}")
    return InterruptedRunError(f"{why}, with {len(store.rows)} outcomes kept; {goes_on}")


def _stored(output: Path) -> dict[str, Any]:
    """What an earlier trial left in the file.

    Raises:
        RequestError: it is no file of trials.
    """
    try:
        document: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        ours = document["schema"] == SCHEMA and all(row.keys() >= ROW_KEYS for row in document["rows"])
        ours = ours and isinstance(document.setdefault("designs", {}), dict)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        ours = False
    if not ours:
        raise RequestError(f"-o {output}: not a file of int8bench trials, so it is left alone; give another -o")
    return document


def _one_race_everywhere(
    order: Order,
    variant: Variant,
    groups: Sequence[Group],
    design: Design,
    race: int,
    calls: tuple[int, int] | None,
) -> list[Outcome]:
    setup = Setup(function=worker.prepare, payload=order)
    rng = np.random.default_rng([race, calls is not None])
    measured: dict[Group, list[list[Race]]] = {group: [] for group in groups}
    settled: dict[Group, Outcome] = {}
    first = 0
    for look, last in enumerate(design.looks.launches):
        with launched(range(first, last), setup, settings=ProcessSettings()) as launches:
            for launch in launches:
                for group in (g for g in groups if g not in settled):
                    measured[group].append(_forks(launch, variant, group, design, calls, rng))
        for group in (g for g in groups if g not in settled):
            outcome = _outcome(measured[group], group, design, look, race=race, slowed=calls is not None)
            if outcome.judged.settles(design) or last == design.launches:
                settled[group] = outcome
        first = last
        if len(settled) == len(groups):
            break
    return [settled[group] for group in groups]


def _forks(
    launch: Launch,
    variant: Variant,
    group: Group,
    design: Design,
    calls: tuple[int, int] | None,
    rng: np.random.Generator,
) -> list[Race]:
    cores = cores_for(threads=group.threads, launch=launch.index, usable=machine.usable_processors())
    raced = []
    for _ in range(design.forks):
        order = worker.TrialOrder(
            variant=variant, group=group, durations=design.durations, seed=int(rng.integers(1 << 62)), calls=calls
        )
        raced.append(launch.fork(worker.trial, order, cores=cores).result(FORK_TIMEOUT_S))
    return raced


def _outcome(
    launches: Sequence[Sequence[Race]], group: Group, design: Design, look: int, *, race: int, slowed: bool
) -> Outcome:
    table = race_table(launches, reference=worker.REFERENCE, candidate=worker.CANDIDATE)
    return Outcome(
        group=group,
        race=race,
        slowed=slowed,
        judged=judged_at(table, design, look),
        measured_s=sum(fork.wall_s for forks in launches for fork in forks),
    )
