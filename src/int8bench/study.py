"""Joins it all: a grid of cases becomes a record, case by case; an interrupted study goes on where it stopped.

The one place where engines meet the lab. Opens no file itself and draws nothing.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from int8bench import (
    conversions,
    diagnosis,
    findings,
    hardware,
    models,
    probing,
    records,
    summary,
    training,
    units,
    worker,
)
from int8bench.cases import ALL, INT8, Case, Group, Variant, float32_references, grid
from int8bench.engines.registry import engine_named, engine_names
from int8bench.errors import Int8BenchError, InterruptedRunError, LabError, NothingMeasuredError, RequestError
from int8bench.hardware import Hardware, emulation
from int8bench.lab import sampling
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import Fork, Launch, launched
from int8bench.lab.messages import Setup
from int8bench.ledger import Ledger
from int8bench.plan import Plan, plan_for
from int8bench.progress import Advance, Progress
from int8bench.subject import Subject, order_for, prepare_subject

SAVE_EVERY_S = 3.0  # what a kill -9 costs at most, beside the task at work
OVERRUN = 1.2  # of the budget: the default's 150 s may become 180 s, with imports and training under four minutes
EDGE = "inside"  # of the timed call: quantizing what comes in and dequantizing what goes out, for every engine
LAUNCH_S = 2.5  # imports and preparation of one launch, two at a time, for the progress bar
TASK_S = 0.3  # fork, build and check of one task, for the progress bar
CHECK_S = 1.0  # one variant's answers, and its evidence, for the progress bar
MOST_OF_MEMORY = 1 / 8  # what one batch may take: a network's activations are several times its pictures


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
    accuracy_loss: float
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
    files: Mapping[Variant, Mapping[int | None, Path]]
    rng: np.random.Generator
    saved_s: float
    measured_s: float = 0.0
    done: float = 0.0
    total: float = 1.0
    phase: str = ""

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

    def tell(self, phase: str) -> None:
        """Tells what is being done from now on."""
        self.phase = phase
        self.advance(Progress(done=self.done, total=self.total, phase=phase))

    def step(self, cost_s: float) -> None:
        """Tells that something is done, and saves now and then."""
        self.done = min(self.done + cost_s, self.total)
        self.tell(self.phase)
        if time.monotonic() - self.saved_s > SAVE_EVERY_S:
            self.save(complete=False)

    def end(self) -> None:
        """Tells that nothing is left; what settled early has made the total smaller."""
        self.total = self.done
        self.tell("done")

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
        NothingMeasuredError: every cell failed or was skipped, or it was stopped before one had its figures.
        InterruptedRunError: it was stopped, or the lab broke down, with figures for some cells.
    """
    emulation.refuse()
    machine = hardware.detect()
    cases = _cases(request, machine)
    plan = plan_for(_runnable(cases, machine), budget_s=request.budget_s, quick=request.quick)
    training.check_writable(output)
    if output.exists():
        records.load(output)  # what is not ours is left alone, and said before minutes are spent
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
        files={},
        rng=np.random.default_rng([request.seed, len(ledger.races), time.time_ns()]),
        saved_s=0.0,
    )
    _skip_unavailable(study)
    study.save(complete=False)
    try:
        _convert(study)
        _measure(study)
        record = study.save(complete=True)
    except KeyboardInterrupt:
        raise _interrupted(study.save(complete=False), output, "stopped") from None
    except LabError as error:
        raise _interrupted(study.save(complete=False), output, str(error)) from error
    if not any(cell.status == records.OK for cell in record.cells):
        reasons = "; ".join(dict.fromkeys(cell.error for cell in record.cells if cell.error))
        raise NothingMeasuredError(f"nothing could be measured: {reasons}")
    return record


def _interrupted(record: records.Run, output: Path, why: str) -> Int8BenchError:
    """What a run that could not go to its end says: why, what it has, and how to go on."""
    measured = sum(cell.status == records.OK for cell in record.cells)
    goes_on = f"the same command goes on from {output}"
    if not measured:
        return NothingMeasuredError(f"{why}, before any cell had its figures; {goes_on}")
    return InterruptedRunError(f"{why}, with figures for {measured} of {len(record.cells)} cells; {goes_on}")


def _cases(request: Request, machine: Hardware) -> tuple[Case, ...]:
    usable = machine.usable_cores or 1
    threads = request.threads or tuple(dict.fromkeys((1, usable)))
    for count in threads:
        if count > usable:
            choices = "1" if usable == 1 else f"numbers from 1 to {usable}"
            cores = "1 usable core" if usable == 1 else f"{usable} usable cores"
            raise RequestError(f"--threads {count}: this machine has {cores}; choose {choices}")
    _check_batches(request, machine)
    variants = _offered(request.engines or _default_engines(machine))
    return grid(model=request.model.replace("/", "."), variants=variants, batches=request.batches, threads=threads)


def _offered(engines: Sequence[str]) -> tuple[Variant, ...]:
    """All that these engines offer; of `ALL`, every engine, with torch's float32 raced along in any case."""
    names = dict.fromkeys(name for each in engines for name in (_every_int8() if each == ALL else (each,)))
    for name in names:
        diagnosis.check_int8("--engines", name)
    return tuple(variant for name in names for variant in engine_named(name).variants)


def _every_int8() -> tuple[str, ...]:
    return tuple(name for name in engine_names() if diagnosis.has_int8(name))


def _check_batches(request: Request, machine: Hardware) -> None:
    """Refuses a batch that would end in the kernel's killing whoever needs memory next."""
    given = models.parse_input_shape(request.input_shape) if request.input_shape else None
    picture_bytes = 4 * math.prod(models.input_shape_of(request.model, given))
    most = int((machine.memory_bytes or sys.maxsize) * MOST_OF_MEMORY) // picture_bytes
    for batch in request.batches:
        if batch > most:
            raise RequestError(
                f"--batch {batch}: {units.size(batch * picture_bytes)} of pictures, and this machine has "
                f"{units.size(machine.memory_bytes or 0)} of memory; choose {max(1, most)} or less"
            )


def _default_engines(machine: Hardware) -> tuple[str, ...]:
    """Fbgemm where it runs, and the recommended engine; fbgemm alone, whose row says why not, where none is there."""
    recommended = findings.recommend(machine).engine
    fbgemm = "fbgemm" if engine_named("fbgemm").availability(machine).available else None
    return tuple(dict.fromkeys(engine for engine in (fbgemm, recommended) if engine)) or ("fbgemm",)


def _settings(request: Request, plan: Plan, subject: Subject) -> dict[str, object]:
    return {
        "confidence": summary.CONFIDENCE,
        "precision": request.precision,
        "margin": summary.MARGIN,
        "accuracy_loss": request.accuracy_loss,
        "edge": EDGE,
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


def _runnable(cases: Sequence[Case], machine: Hardware) -> tuple[Case, ...]:
    """The cases that take time; all of them where none can run, each of which then says why."""
    hindrances = _hindrances(cases, machine)
    return tuple(case for case in cases if case not in hindrances) or tuple(cases)


def _skip_unavailable(study: _Study) -> None:
    for case, hindrance in _hindrances(study.cases, study.machine).items():
        study.ledger.skip(case.id, hindrance)


def _hindrances(cases: Sequence[Case], machine: Hardware) -> dict[Case, str]:
    """Why cases cannot run on a machine, of those that cannot; each engine's packages are looked at once."""
    engines = {name: engine_named(name) for name in dict.fromkeys(case.variant.engine for case in cases)}
    answers = {name: engine.availability(machine) for name, engine in engines.items()}
    found: dict[Case, str] = {}
    for case in cases:
        answer = answers[case.variant.engine]
        absent = None if answer.available else answer.reason or "not available here"
        reason = absent or engines[case.variant.engine].objection(case.group)
        if reason is not None:
            found[case] = reason
    return found


def _convert(study: _Study) -> None:
    """Makes the files that engines need, or finds them where an earlier run left them."""
    asked = conversions.asked_by(_live_variants(study), lambda: study.machine)
    live = [case for case in study.cases if case.id not in study.ledger.stopped]
    pieces = conversions.wanted(asked, [(case.variant, case.group.batch) for case in live])
    outcome = conversions.make(pieces, order_for(study.subject, ()), study.advance)
    for case in live:
        reason = outcome.refusal(case.variant, case.group.batch)
        if reason is not None:
            study.ledger.fail(case.id, reason)
    study.ledger.conversions.update(outcome.converted)
    study.files = outcome.files()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What one fork is for, and about how long it takes."""

    cost_s: float
    work: Callable[[Launch], None]


def _measure(study: _Study) -> None:
    """Block after block of launches; a group that has settled is left out of the next block.

    Raises:
        LabError: a launch did not start, or died.
    """
    for look, (first, last) in enumerate(pairwise((0, *study.plan.looks.launches))):
        groups = [group for group in study.groups() if not _settled(study, group, look)]
        if not groups or (look > 0 and _out_of_time(study, first, last)):
            break
        study.total = study.done + _left_s(study, groups, first)
        indexes = [i for i in range(first, last) if i == 0 or _tasks(study, groups, i)]
        if indexes:
            _measure_block(study, groups, indexes)
            study.save(complete=False)
    study.end()


def _measure_block(study: _Study, groups: Sequence[Group], indexes: Sequence[int]) -> None:
    setup = Setup(function="int8bench.worker:prepare", payload=order_for(study.subject, _variants(study), study.files))
    study.tell(f"starting measuring processes {indexes[0] + 1} to {indexes[-1] + 1}")
    with launched(indexes, setup, settings=ProcessSettings()) as launches:
        study.step(LAUNCH_S * len(indexes))
        started_s = time.monotonic()
        for launch in launches:
            if launch.index == 0:
                _check(study, launch)
            tasks = _tasks(study, groups, launch.index)
            for group in groups:
                _forget_partial(study, group, launch.index)
            for task in _shuffled(tasks, study.rng):
                task.work(launch)
                study.step(task.cost_s)
        study.measured_s += time.monotonic() - started_s


def _left_s(study: _Study, groups: Sequence[Group], first: int) -> float:
    """About how many seconds are left, from launch `first` on, if no group settles early."""
    each = [_tasks(study, groups, index) for index in range(first, study.plan.launches)]
    launches_s = LAUNCH_S * sum(bool(tasks) or first + i == 0 for i, tasks in enumerate(each))
    checks_s = 0.0 if first else CHECK_S * len(_live_variants(study))
    return launches_s + checks_s + sum(task.cost_s for tasks in each for task in tasks)


def _tasks(study: _Study, groups: Sequence[Group], index: int) -> list[_Task]:
    """What launch `index` has still to do: a task a fork."""
    return [*_solo_tasks(study, index), *_race_tasks(study, groups, index)]


def _race_tasks(study: _Study, groups: Iterable[Group], index: int) -> Iterator[_Task]:
    for group in groups:
        if study.ledger.forks_done(study.live(group), index) < study.plan.forks:
            cost_s = _race_s(study, len(study.live(group)))
            for fork in range(study.plan.forks):
                yield _Task(cost_s=cost_s, work=partial(_race, study, group, fork))


def _solo_tasks(study: _Study, index: int) -> Iterator[_Task]:
    if index < study.plan.replicates:
        for case in study.cases:
            if case.id not in study.ledger.stopped and not study.ledger.has_solo(case.id, index):
                yield _Task(cost_s=TASK_S + study.plan.load_s, work=partial(_solo, study, case))


def _forget_partial(study: _Study, group: Group, index: int) -> None:
    """Drops what an interrupted launch left of a group: its forks belong to one process, and come all anew."""
    if study.ledger.forks_done(study.live(group), index) < study.plan.forks:
        study.ledger.forget(study.live(group), index)


def _shuffled(tasks: list[_Task], rng: np.random.Generator) -> list[_Task]:
    return [tasks[i] for i in rng.permutation(len(tasks)).tolist()]


def _check(study: _Study, launch: Launch) -> None:
    """Checks every variant's answers, and probes each engine, before anything is timed."""
    for variant in _live_variants(study):
        study.tell(f"checking the answers of {variant.label}")
        try:
            checked = launch.fork("int8bench.worker:check", _check_of(study, variant)).result(study.request.timeout_s)
        except LabError as error:
            _check_alive(study, launch)
            _give_up(study, variant, str(error))
        else:
            assert isinstance(checked, worker.Checked)
            study.ledger.checks[variant] = checked
            if checked.objection is not None:
                _give_up(study, variant, checked.objection)
        study.step(CHECK_S)
    engines = tuple(dict.fromkeys(v.engine for v in study.ledger.checks if v.precision == INT8))
    probes = probing.measured(launch, engines, study.machine, lambda step: study.tell(step.phase))
    study.ledger.probes.update(probes)


def _check_of(study: _Study, variant: Variant) -> worker.Check:
    """The check of a variant, built for the largest batch that it is raced at."""
    live = [case for case in study.cases if case.variant == variant and case.id not in study.ledger.stopped]
    return worker.Check(variant=variant, group=Group(batch=max(case.group.batch for case in live), threads=1))


def _give_up(study: _Study, variant: Variant, reason: str) -> None:
    """Fails every cell of a variant that is still in the grid."""
    for case in study.cases:
        if case.variant == variant and case.id not in study.ledger.stopped:
            study.ledger.fail(case.id, reason)


def _check_alive(study: _Study, launch: Launch) -> None:
    """Raises where the launch itself is gone, so that no cell is blamed for it.

    Raises:
        LabError: it is.
    """
    launch.fork("int8bench.worker:idle", None).result(study.request.timeout_s)


def _race(study: _Study, group: Group, fork: int, launch: Launch) -> None:
    cases = study.live(group)
    if not cases:
        return
    study.tell(f"racing batch {group.batch} on {_threads(group.threads)}")
    try:
        raced = _raced(study, launch, group, [case.variant for case in cases])
    except LabError as error:
        _blame(study, launch, cases, str(error))
        _race(study, group, fork, launch)  # of who is left: one fewer at least, so this ends
    else:
        study.ledger.add_race(cases, raced, launch=launch.index, fork=fork)


def _raced(study: _Study, launch: Launch, group: Group, variants: Sequence[Variant]) -> sampling.Race:
    """One fork's race.

    Raises:
        LabError: it died, hung, or a contender answered wrongly.
    """
    order = worker.RaceOrder(variants=tuple(variants), group=group, durations=study.plan.durations, seed=study.seed())
    cores = cores_for(threads=group.threads, launch=launch.index, usable=_usable(study.machine))
    fork = launch.fork("int8bench.worker:race", order, cores=cores)
    raced = fork.result(study.request.timeout_s + _race_s(study, len(variants)))
    assert isinstance(raced, sampling.Race)
    return raced


def _blame(study: _Study, launch: Launch, cases: Sequence[Case], reason: str) -> None:
    """After a race that died: whoever cannot run on its own fails, and the others go on; else all of the group fail.

    Each int8 contender runs beside a float32 that can, as its answers are held against that one's.
    """
    guilty: dict[Case, str] = {}
    company: tuple[Variant, ...] = ()
    for case in sorted(cases, key=lambda each: each.variant.precision == INT8):
        is_int8 = case.variant.precision == INT8
        try:
            _raced(study, launch, case.group, [*(company if is_int8 else ()), case.variant])
        except LabError as error:
            guilty[case] = str(error)
        else:
            company = company if is_int8 else (case.variant,)
    _check_alive(study, launch)
    for case, why in (guilty or dict.fromkeys(cases, reason)).items():
        study.ledger.fail(case.id, why)


def _solo(study: _Study, case: Case, launch: Launch) -> None:
    """One contender alone: cold, memory, and its throughput with as many streams as the cores carry."""
    if case.id in study.ledger.stopped:
        return
    study.tell(f"measuring alone: {case.variant.label}, batch {case.group.batch} on {_threads(case.group.threads)}")
    timeout_s = study.request.timeout_s
    forks: list[Fork] = []
    try:
        alone = _streams(study, launch, case, forks)
        until = sampling.shared_now() + study.plan.load_s
        for fork in forks:
            fork.line.send(until)
        shares = [fork.result(timeout_s + study.plan.load_s) for fork in forks]
        idle = launch.fork("int8bench.worker:idle", None).result(timeout_s)
    except LabError as error:
        _check_alive(study, launch)
        study.ledger.fail(case.id, str(error))
    else:
        assert isinstance(idle, int)
        streams = [share for share in shares if isinstance(share, worker.Stream)]
        study.ledger.add_solo(case, alone, streams, idle_bytes=idle, launch=launch.index)
    finally:
        for fork in forks:
            fork.end()


def _streams(study: _Study, launch: Launch, case: Case, forks: list[Fork]) -> worker.Alone:
    """Starts as many streams as the cores carry, into `forks`; what the first cost while it was alone.

    The others start together, or a machine of many cores would spend its time on starting them.

    Raises:
        LabError: one of them died or hung.
    """
    usable = _usable(study.machine)
    order = worker.SoloOrder(variant=case.variant, group=case.group, seed=study.seed())

    def start(stream: int) -> None:
        cores = cores_for(threads=case.group.threads, launch=launch.index + stream, usable=usable)
        forks.append(launch.fork("int8bench.worker:alone", order, cores=cores))

    start(0)
    alone = forks[0].told(study.request.timeout_s)
    for stream in range(1, len(usable) // case.group.threads):
        start(stream)
    for fork in forks[1:]:
        fork.told(study.request.timeout_s)
    assert isinstance(alone, worker.Alone)
    return alone


def _usable(machine: Hardware) -> tuple[int, ...]:
    """The processors that the scheduler gives us, no more than a container's quota pays for."""
    return hardware.usable_processors()[: machine.usable_cores or None]


def _settled(study: _Study, group: Group, look: int) -> bool:
    return look > 0 and summary.settled(group, study.cases, study.ledger, study.plan, precision=study.request.precision)


def _out_of_time(study: _Study, first: int, last: int) -> bool:
    """Whether the launches from `first` to `last` would take the study past its budget, at the pace so far."""
    return study.measured_s * last / first > OVERRUN * study.plan.budget_s


def _race_s(study: _Study, contenders: int) -> float:
    """About how long a race takes."""
    each = study.plan.durations
    return float(TASK_S + contenders * each.warmup_s + each.race_s + each.single_s)


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _live_variants(study: _Study) -> tuple[Variant, ...]:
    """The variants that still have a cell to measure."""
    return tuple(dict.fromkeys(case.variant for case in study.cases if case.id not in study.ledger.stopped))


def _variants(study: _Study) -> tuple[Variant, ...]:
    """What a launch prepares: the live variants, and the float32 that all answers are held against."""
    return tuple(dict.fromkeys((float32_references()[0], *_live_variants(study))))
