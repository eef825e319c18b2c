"""Joins it all: a grid of cases becomes a record, case by case; an interrupted study goes on where it stopped.

The one place where engines meet the lab. Opens no file itself and draws nothing.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from int8bench import diagnosis, findings, hardware, records, summary, worker
from int8bench.cases import INT8, Case, Group, Variant, grid
from int8bench.engines.registry import engine_named
from int8bench.errors import (
    Int8BenchError,
    InterruptedRunError,
    LabError,
    NothingMeasuredError,
    RequestError,
)
from int8bench.hardware import Hardware
from int8bench.lab import sampling
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import Fork, Launch, launched
from int8bench.lab.messages import Setup
from int8bench.ledger import Ledger
from int8bench.plan import Plan, plan_for
from int8bench.progress import Advance, Progress
from int8bench.subject import Subject, order_for, prepare_subject

SAVE_EVERY_S = 3.0  # what a kill -9 costs at most, beside the task at work


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for; None means that the study chooses."""

    model: str
    weights: Path | None
    input_shape: str | None
    engines: tuple[str, ...] | None
    batches: tuple[int, ...]
    threads: tuple[int, ...] | None
    data: str
    data_dir: Path | None
    precision: float
    budget_s: float | None
    quick: bool
    seed: int
    timeout_s: float


@dataclass(slots=True)
class _Study:
    """The state of one run of a study."""

    request: Request
    cases: tuple[Case, ...]
    plan: Plan
    subject: Subject
    machine: Hardware
    output: Path
    advance: Advance
    ledger: Ledger
    settings: dict[str, object]
    rng: np.random.Generator
    started_s: float
    saved_s: float
    done: float = 0.0
    total: float = 1.0

    def live(self, group: Group) -> tuple[Case, ...]:
        """The cases of a group that have neither failed nor been skipped."""
        return tuple(case for case in self.cases if case.group == group and case.id not in self.ledger.stopped)

    def groups(self) -> tuple[Group, ...]:
        """The groups of the grid that have something left to race."""
        found = dict.fromkeys(case.group for case in self.cases)
        return tuple(group for group in found if self.live(group))

    def seed(self) -> int:
        """A seed for a fork."""
        return int(self.rng.integers(1 << 62))

    def step(self, cost: float, phase: str) -> None:
        """Tells that a step is done, and saves now and then."""
        self.done += cost
        self.advance(Progress(done=self.done, total=max(self.total, self.done), phase=phase))
        if time.monotonic() - self.saved_s > SAVE_EVERY_S:
            self.save(complete=False)

    def save(self, *, complete: bool) -> records.Run:
        """Writes what is known so far."""
        record = self.record(complete=complete)
        records.save(record, self.output)
        self.saved_s = time.monotonic()
        return record

    def record(self, *, complete: bool) -> records.Run:
        """What is known so far, as a record."""
        return summary.record(
            cases=self.cases,
            ledger=self.ledger,
            plan=self.plan,
            machine=self.machine,
            settings=self.settings,
            complete=complete,
        )


def run(request: Request, output: Path, advance: Advance) -> records.Run:
    """Measures the grid that was asked for; the finished record, which also lies at `output`.

    Raises:
        RequestError: the request cannot be met; nothing written before is lost.
        NothingMeasuredError: every cell failed or was skipped.
    """
    machine = hardware.detect()
    cases = _cases(request, machine)
    plan = plan_for(cases, budget_s=request.budget_s, quick=request.quick)
    advance(Progress(phase="preparing the model and its data"))
    subject = prepare_subject(
        model=request.model,
        weights=request.weights,
        input_shape=request.input_shape,
        data=request.data,
        data_dir=request.data_dir,
        seed=request.seed,
        advance=advance,
    )
    machine = replace(machine, torch=hardware.detect_torch())
    settings = _settings(request, plan, subject)
    ledger = Ledger.resumed(output, settings=settings, fingerprint=hardware.fingerprint(machine))
    study = _Study(
        request=request,
        cases=cases,
        plan=plan,
        subject=subject,
        machine=machine,
        output=output,
        advance=advance,
        ledger=ledger,
        settings=settings,
        rng=np.random.default_rng([request.seed, len(ledger.races), time.time_ns()]),
        started_s=time.monotonic(),
        saved_s=0.0,
    )
    _skip_unavailable(study)
    study.save(complete=False)
    try:
        _measure(study)
    except KeyboardInterrupt:
        raise _interrupted(study.save(complete=False), output) from None
    record = study.save(complete=True)
    if not any(cell.status == records.OK for cell in record.cells):
        reasons = "; ".join(dict.fromkeys(cell.error for cell in record.cells if cell.error))
        raise NothingMeasuredError(f"nothing could be measured: {reasons}")
    return record


def _interrupted(record: records.Run, output: Path) -> Int8BenchError:
    measured = sum(cell.status == records.OK for cell in record.cells)
    goes_on = f"the same command goes on from {output}"
    if not measured:
        return NothingMeasuredError(f"stopped before a cell was measured; {goes_on}")
    return InterruptedRunError(f"stopped with figures for {measured} of {len(record.cells)} cells; {goes_on}")


def _cases(request: Request, machine: Hardware) -> tuple[Case, ...]:
    usable = machine.usable_cores or 1
    threads = request.threads or tuple(dict.fromkeys((1, usable)))
    for count in threads:
        if count > usable:
            choices = "1" if usable == 1 else f"numbers from 1 to {usable}"
            raise RequestError(f"--threads {count}: this machine has {usable} usable cores; choose {choices}")
    engines = request.engines or _default_engines(machine)
    for engine in engines:
        offered = engine_named(engine).variants
        if not any(variant.precision == INT8 for variant in offered):
            raise RequestError(
                f"--engines {engine}: a float32 engine, which is always raced along; name int8 engines such as fbgemm"
            )
    return grid(model=request.model.replace("/", "."), engines=engines, batches=request.batches, threads=threads)


def _default_engines(machine: Hardware) -> tuple[str, ...]:
    recommended = findings.recommend(machine).engine
    return tuple(dict.fromkeys(("fbgemm", recommended) if recommended else ("fbgemm",)))


def _settings(request: Request, plan: Plan, subject: Subject) -> dict[str, object]:
    return {
        "confidence": summary.CONFIDENCE,
        "precision": request.precision,
        "margin": summary.MARGIN,
        "error_rate": summary.ERROR_RATE,
        "family_error_rate": summary.FAMILY_ERROR_RATE,
        "seed": request.seed,
        "quick": request.quick,
        "batches": list(request.batches),
        "threads": list(request.threads) if request.threads else None,
        "engines": list(request.engines) if request.engines else None,
        "subject": subject.to_dict(),
        "plan": plan.to_dict(),
    }


def _skip_unavailable(study: _Study) -> None:
    for case in study.cases:
        availability = engine_named(case.variant.engine).availability(study.machine)
        if not availability.available:
            study.ledger.skip(case.id, availability.reason or "not available here")


def _measure(study: _Study) -> None:
    """Block after block of launches; a group that has settled is left out of the next block."""
    setup = Setup(function="int8bench.worker:prepare", payload=order_for(study.subject, _variants(study)))
    first = 0
    for look, last in enumerate(study.plan.looks.launches):
        groups = [group for group in study.groups() if not _settled(study, group, look)]
        if not groups or (look > 0 and _out_of_time(study, last - first)):
            return
        study.total = study.done + _cost(study, groups, range(first, last))
        indexes = [i for i in range(first, last) if _tasks(study, groups, i) or i == 0]
        study.step(0.0, f"starting measuring processes {first + 1} to {last}")
        with launched(indexes, setup, settings=ProcessSettings()) as launches:
            for launch in launches:
                if launch.index == 0:
                    _check(study, launch)
                for task in _shuffled(_tasks(study, groups, launch.index), study.rng):
                    task(launch)
        study.save(complete=False)
        first = last


Task = Callable[[Launch], None]


def _tasks(study: _Study, groups: Sequence[Group], index: int) -> list[Task]:
    """What launch `index` has still to do: a task a fork."""
    return [*_solo_tasks(study, index), *_race_tasks(study, groups, index)]


def _race_tasks(study: _Study, groups: Sequence[Group], index: int) -> Iterator[Task]:
    for group in groups:
        missing = study.plan.forks - study.ledger.forks_done(study.live(group), index)
        if missing > 0:
            study.ledger.forget(study.live(group), index)
            for fork in range(study.plan.forks):
                yield lambda launch, group=group, fork=fork: _race(study, launch, group, fork)  # type: ignore[misc]


def _solo_tasks(study: _Study, index: int) -> Iterator[Task]:
    if index < study.plan.replicates:
        for case in study.cases:
            if case.id not in study.ledger.stopped and not study.ledger.has_solo(case.id, index):
                yield lambda launch, case=case: _solo(study, launch, case)  # type: ignore[misc]


def _shuffled(tasks: list[Task], rng: np.random.Generator) -> list[Task]:
    return [tasks[i] for i in rng.permutation(len(tasks)).tolist()]


def _check(study: _Study, launch: Launch) -> None:
    """Checks every variant's answers, and probes each engine, before anything is timed."""
    for variant in dict.fromkeys(case.variant for case in study.cases):
        cases = [case for case in study.cases if case.variant == variant and case.id not in study.ledger.stopped]
        if not cases:
            continue
        study.step(1.0, f"checking the answers of {variant.label}")
        try:
            checked = launch.fork("int8bench.worker:check", variant).result(study.request.timeout_s)
            assert isinstance(checked, worker.Checked)
            study.ledger.checks[variant] = checked
            objection = checked.objection
        except LabError as error:
            objection = str(error)
        for case in cases if objection else ():
            study.ledger.fail(case.id, str(objection))
    engines = tuple(dict.fromkeys(v.engine for v in study.ledger.checks if v.precision == INT8))
    study.ledger.probes.update(diagnosis.probed(launch, engines))


def _race(study: _Study, launch: Launch, group: Group, fork: int) -> None:
    cases = study.live(group)
    if not cases:
        return
    order = worker.RaceOrder(
        variants=tuple(case.variant for case in cases),
        group=group,
        durations=study.plan.durations,
        seed=study.seed(),
    )
    try:
        raced = _fork(study, launch, "int8bench.worker:race", order, group.threads)
    except LabError as error:
        _blame(study, launch, cases, str(error))
    else:
        assert isinstance(raced, sampling.Race)
        study.ledger.add_race(cases, raced, launch=launch.index, fork=fork)
    study.step(_race_cost(study, len(cases)), f"racing batch {group.batch} on {_threads(group.threads)}")


def _blame(study: _Study, launch: Launch, cases: Sequence[Case], reason: str) -> None:
    """After a race that died: whoever cannot run alone fails, and the others go on; else all of the group fail."""
    guilty = []
    for case in cases:
        order = worker.RaceOrder(
            variants=(case.variant,), group=case.group, durations=study.plan.durations, seed=study.seed()
        )
        try:
            _fork(study, launch, "int8bench.worker:race", order, case.group.threads)
        except LabError as error:
            guilty.append(case)
            study.ledger.fail(case.id, str(error))
    if not guilty:
        for case in cases:
            study.ledger.fail(case.id, reason)


def _solo(study: _Study, launch: Launch, case: Case) -> None:
    """One contender alone: cold, memory, and its throughput with as many streams as the cores carry."""
    if case.id in study.ledger.stopped:
        return
    usable = _usable(study.machine)
    streams = max(1, len(usable) // case.group.threads)
    order = worker.SoloOrder(variant=case.variant, group=case.group, seed=study.seed())
    timeout_s = study.request.timeout_s
    forks: list[Fork] = []
    measured: worker.Alone | None = None
    try:
        for i in range(streams):
            cores = cores_for(threads=case.group.threads, launch=launch.index + i, usable=usable)
            forks.append(launch.fork("int8bench.worker:alone", order, cores=cores))
            alone = forks[-1].told(timeout_s)
            assert isinstance(alone, worker.Alone)
            measured = measured or alone
        until = sampling.shared_now() + study.plan.load_s
        for fork in forks:
            fork.line.send(until)
        shares = [fork.result(timeout_s) for fork in forks]
        idle = launch.fork("int8bench.worker:idle", None).result(timeout_s)
    except LabError as error:
        study.ledger.fail(case.id, str(error))
    else:
        assert measured is not None
        assert isinstance(idle, int)
        streams_done = [share for share in shares if isinstance(share, worker.Stream)]
        study.ledger.add_solo(case, measured, streams_done, idle_bytes=idle, launch=launch.index)
    finally:
        for fork in forks:
            fork.end()
    study.step(_solo_cost(study), f"measuring alone: {case.variant.label}, batch {case.group.batch}")


def _fork(study: _Study, launch: Launch, function: str, order: object, threads: int) -> object:
    cores = cores_for(threads=threads, launch=launch.index, usable=_usable(study.machine))
    return launch.fork(function, order, cores=cores).result(study.request.timeout_s)


def _usable(machine: Hardware) -> tuple[int, ...]:
    """The processors that the scheduler gives us, no more than a container's quota pays for."""
    return hardware.usable_processors()[: machine.usable_cores or None]


def _settled(study: _Study, group: Group, look: int) -> bool:
    return look > 0 and summary.settled(group, study.cases, study.ledger, study.plan, precision=study.request.precision)


def _out_of_time(study: _Study, launches: int) -> bool:
    """Whether another block of launches would take the study past its budget."""
    spent_s = time.monotonic() - study.started_s
    return spent_s * (1 + launches / max(1, study.plan.looks.launches[0])) > 1.5 * study.plan.budget_s


def _cost(study: _Study, groups: Sequence[Group], indexes: range) -> float:
    races = len(indexes) * study.plan.forks * sum(_race_cost(study, len(study.live(group))) for group in groups)
    solos = sum(i < study.plan.replicates for i in indexes) * len(study.cases) * _solo_cost(study)
    return races + solos


def _race_cost(study: _Study, contenders: int) -> float:
    each = study.plan.durations
    return 0.3 + contenders * each.warmup_s + each.race_s + each.single_s


def _solo_cost(study: _Study) -> float:
    return 0.3 + study.plan.load_s


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _variants(study: _Study) -> tuple[Variant, ...]:
    """The variants that still have a cell to measure."""
    return tuple(dict.fromkeys(case.variant for case in study.cases if case.id not in study.ledger.stopped))
