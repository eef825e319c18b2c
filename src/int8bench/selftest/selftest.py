"""How far verdicts on this machine can be trusted, found out in a stated time by races whose answer is known.

Joins the lab, the races and the figures. Each launch serves every cell: forks that race an engine's int8 with itself
and, in the same rounds, with a copy that a known wait makes slower. Eight launches make a race, as in a default run.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count, product
from pathlib import Path

import numpy as np

from int8bench import __version__, documents, machine
from int8bench.engines.registry import engine_named
from int8bench.errors import Int8BenchError, NothingMeasuredError, RecordError
from int8bench.lab import clock, sampling
from int8bench.lab.channel import Setup
from int8bench.lab.clock import SILENCE_S
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import TOGETHER, Launch, launched
from int8bench.lab.progress import Advance, Progress
from int8bench.lab.session import blocks, ended, keeping, seed_of_fork, shuffled
from int8bench.machine import Hardware, emulation, rules
from int8bench.selftest import handicap, reliability, trust
from int8bench.selftest.answer import SCHEMA, ClockSteps, RacedDesign, RacedSettings, Selftest
from int8bench.selftest.reliability import Sample
from int8bench.stats import limits
from int8bench.stats.verdict import default_looks
from int8bench.study import records
from int8bench.study.plan import plan
from int8bench.study.racing import Design, log_ratio
from int8bench.study.session import worker
from int8bench.workload.cases import Group, Variant, float32_references, int8_variant
from int8bench.workload.subject import default_subject, order_for

BUDGET_S = 300.0
THOROUGH_BUDGET_S = 3600.0
BATCHES = (1, 32)
DEFAULT_ENGINE = "fbgemm"
STARTING_S = 5.0  # what Python and torch have taken before the first line here
# The time is a promise here, of which every launch takes as much as the next one: launches are started only if so many
# times the longest so far is left. A run plans its launches for the time instead, and leaves out what does not fit.
SLACK = 1.1
# As a default run has them: the launches that its budget buys, its forks and warm-up, and its own precision; three
# contenders share the race, so that each gets the tenth of a second that it has there.
DESIGN = Design(
    looks=default_looks(int(plan.DEFAULT_BUDGET_S / plan.LAUNCH_BUDGET_S)),
    forks=plan.THOROUGH.forks,
    race_s=0.3,
    warmup_s=plan.THOROUGH.warmup_s,
    precision=0.01,
    margin=limits.MARGIN,
    confidence=limits.CONFIDENCE,
    error_rate=limits.ERROR_RATE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Done:
    """The part of a selftest that is done: what an unfinished one keeps beside its settings."""

    spent_s: float
    samples: tuple[Sample, ...]


@dataclass(slots=True, kw_only=True)
class _Session:
    """One selftest under way."""

    variant: Variant
    groups: tuple[Group, ...]
    machine: Hardware
    settings: RacedSettings
    budget_s: float
    started_s: float
    advance: Advance
    now: Callable[[], float]
    unfinished: Path | None
    spent_before_s: float = 0.0
    longest_s: float = 0.0
    """Of the launches so far, for the next ones."""
    samples: list[Sample]

    @property
    def spent_s(self) -> float:
        """Seconds of the budget that are gone."""
        return self.spent_before_s + self.now() - self.started_s

    @property
    def launches(self) -> int:
        """How many launches are done, which numbers the next one."""
        return max((sample.launch + 1 for sample in self.samples), default=0)

    @property
    def races(self) -> int:
        """How many races of each cell are whole."""
        return reliability.whole_races(self.samples, DESIGN)

    def has_time(self, _end: int) -> bool:
        """Tell whether more launches end in the stated time."""
        return self.spent_s + SLACK * self.longest_s < self.budget_s

    def tell(self) -> None:
        """Tell how far the selftest is."""
        race, spent_s = self.races + 1, min(self.spent_s, self.budget_s)
        phase = f"racing {self.variant.engine} with itself and with a known slow-down, race {race} of each cell"
        self.advance(Progress(phase=phase, done=spent_s, total=self.budget_s))

    def save(self) -> None:
        """Keep the samples so far, where there is a place for them."""
        done = _Done(spent_s=self.spent_s, samples=tuple(self.samples))
        trust.keep(self.unfinished, {**documents.written(self.settings), **documents.written(done)})

    def resume(self) -> None:
        """Take up the samples of an interrupted selftest of the same settings."""
        stored = trust.load(self.unfinished) if self.unfinished else None
        try:
            settings = documents.read(RacedSettings, stored, name=SCHEMA, strict=False)
            done = documents.read(_Done, stored, name=SCHEMA, strict=False)
        except RecordError:
            return  # nothing, or not what `save` writes
        if done.samples and settings == self.settings:
            self.samples, self.spent_before_s = list(done.samples), done.spent_s
            self.longest_s = TOGETHER * done.spent_s / self.launches
            self.advance(Progress(phase=f"going on with a selftest that was stopped after {self.launches} launches"))


def run(
    *,
    thorough: bool,
    advance: Advance,
    budget_s: float | None = None,
    now: Callable[[], float] = sampling.shared_now,
) -> Selftest:
    """Race for the stated time, keep the result for later verdicts, and return the answer of ``selftest --json``.

    Args:
        thorough: an hour instead of five minutes.
        advance: is told how far it is.
        budget_s: seconds in all, imports counted, where another time than these two is wanted.
        now: the clock that the time is kept by.

    Raises:
        NothingMeasuredError: no engine runs here, or no race was whole when time was up or it was stopped.
        InterruptedRunError: it was stopped, or a measuring process failed; the races before are kept.
    """
    emulation.refuse()
    session = _session(budget_s or (THOROUGH_BUDGET_S if thorough else BUDGET_S), advance, now)
    with keeping(partial(_kept_unfinished, session)):
        _race(session)
    if not session.races:
        trust.forget(session.unfinished)  # its time is spent: the next one must not begin with none left
        raise NothingMeasuredError(
            f"{session.budget_s:.0f} s were not enough for one race of {DESIGN.launches} launches; "
            "type: int8bench selftest --thorough"
        )
    return _kept(session, thorough=thorough)


def _session(budget_s: float, advance: Advance, now: Callable[[], float]) -> _Session:
    started_s = now() - STARTING_S
    advance(Progress(phase="looking at the machine"))
    hardware = machine.detect()
    engine, groups = _engine(hardware), _groups(hardware.usable_cores or 1)
    session = _Session(
        variant=int8_variant(engine),
        groups=groups,
        machine=hardware,
        settings=_settings(hardware, engine, groups),
        budget_s=budget_s,
        started_s=started_s,
        advance=advance,
        now=now,
        unfinished=trust.unfinished_path_for(machine.fingerprint(hardware), budget_s),
        samples=[],
    )
    session.resume()
    return session


def _settings(hardware: Hardware, engine: str, groups: tuple[Group, ...]) -> RacedSettings:
    return RacedSettings(
        fingerprint=machine.fingerprint(hardware),
        int8bench_version=__version__,
        versions=records.versions(),
        engine=engine,
        groups=tuple((group.batch, group.threads) for group in groups),
        design=documents.read(RacedDesign, DESIGN.to_dict(), name="design"),
    )


def _engine(hardware: Hardware) -> str:
    """Return the engine that is raced: fbgemm, or the one that is recommended here where fbgemm does not run."""
    if engine_named(DEFAULT_ENGINE).availability(hardware).available:
        return DEFAULT_ENGINE
    recommended = rules.recommend(hardware)
    if recommended.engine is None:
        raise NothingMeasuredError(f"no int8 engine runs here ({recommended.basis}); type: int8bench doctor")
    return recommended.engine


def _groups(usable: int) -> tuple[Group, ...]:
    return tuple(Group(batch=b, threads=t) for t, b in product(dict.fromkeys((1, usable)), BATCHES))


def _race(session: _Session) -> None:
    """Run launch after launch, as long as there is time for more."""
    session.advance(Progress(phase="preparing the model and its data"))
    order = order_for(default_subject(session.advance), (float32_references()[0], session.variant))
    setup = Setup(function=worker.prepare, payload=order)
    first = session.launches
    for _, indexes in blocks(count(first + TOGETHER, TOGETHER), first=first, has_time=session.has_time):
        session.tell()
        before_s = session.spent_s
        with launched(indexes, setup, settings=ProcessSettings()) as launches:
            for launch in launches:
                session.samples += _forks(session, launch)
                session.save()
                session.tell()
        session.longest_s = max(session.longest_s, session.spent_s - before_s)
    session.advance(Progress(phase="done", done=session.budget_s, total=session.budget_s))


def _forks(session: _Session, launch: Launch) -> list[Sample]:
    """Return all forks of one launch, in random order."""
    rng = np.random.default_rng([launch.index])
    race_began = launch.index - launch.index % DESIGN.launches
    before = [sample for sample in session.samples if sample.launch < race_began]
    shares = {group: reliability.share_for(group, before, DESIGN) for group in session.groups}
    forks = [
        _fork(session, launch, group, share=shares[group], seed=seed_of_fork(rng))
        for group in shuffled(session.groups * DESIGN.forks, rng)
    ]
    return [fork for fork in forks if fork is not None]


def _fork(session: _Session, launch: Launch, group: Group, *, share: float, seed: int) -> Sample | None:
    order = handicap.HandicapOrder(
        variant=session.variant, group=group, durations=DESIGN.durations, seed=seed, share=share
    )
    usable = machine.usable_processors()[: session.machine.usable_cores or None]
    cores = cores_for(threads=group.threads, launch=launch.index, usable=usable)
    raced = launch.fork(handicap.race, order, cores=cores).result(SILENCE_S)
    return sample_of(raced, group, launch.index)


def sample_of(raced: handicap.Handicapped, group: Group, launch: int) -> Sample | None:
    """Return the sample of a fork: its two log-ratios, and the truth of the slowed one; None of too few rounds.

    Args:
        raced: in the fork.
        group: the cell that it belongs to.
        launch: its number, from 0.
    """
    itself, slowed = (
        log_ratio(raced.race, reference=worker.REFERENCE, candidate=name)
        for name in (worker.CANDIDATE, handicap.SLOWED)
    )
    if itself is None or slowed is None:
        return None
    call_s = float(np.median(raced.race.track(worker.REFERENCE).times_s))
    return Sample(
        launch=launch,
        batch=group.batch,
        threads=group.threads,
        itself=itself,
        slowed=slowed,
        added=math.log1p(raced.wait_s / call_s),
        pairs=sum(raced.race.kept),
    )


def _kept_unfinished(session: _Session, why: str) -> Int8BenchError:
    """Save a selftest that could not go to its end; return the error that says why, what it has, and how to go on."""
    session.save()
    races = session.races * len(session.groups)
    has = f"{races} races" if races else f"{session.launches} launches, before the first race was over"
    goes_on = "the same command goes on from there" if session.unfinished else "type the same command to start again"
    return ended(f"{why} after {has}; {goes_on}", figures=races)


def _kept(session: _Session, *, thorough: bool) -> Selftest:
    """Return the answer, after it was kept for later verdicts with its samples.

    The latest selftest is the one that counts.
    """
    resolution = clock.resolution()
    answer = Selftest(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=session.machine.name,
        settings=session.settings,
        thorough=thorough,
        budget_s=session.budget_s,
        spent_s=session.spent_s,
        launches=session.launches,
        figures=reliability.reliability(session.samples, DESIGN).figures,
        clock=ClockSteps(step_s=resolution.step_s, reading_s=resolution.reading_s),
    )
    path = trust.path_for(machine.fingerprint(session.machine))
    samples = [documents.written(sample) for sample in session.samples]
    kept = trust.keep(path, {**answer.measured(), "samples": samples})
    trust.forget(session.unfinished)
    return replace(answer, kept=str(path) if kept else None)
