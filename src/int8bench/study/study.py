"""Joins it all: a grid of cases becomes a record, case by case; an interrupted study goes on where it stopped.

The one place where engines meet the lab. Opens no file itself and draws nothing.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from int8bench import cache, files, machine, units
from int8bench.documents import Json
from int8bench.engines.registry import engine_named, engine_names
from int8bench.errors import Int8BenchError, NothingMeasuredError, RequestError
from int8bench.lab.progress import Advance, Progress
from int8bench.lab.session import ended, keeping
from int8bench.machine import Hardware, emulation, rules
from int8bench.stats import limits
from int8bench.stats.limits import LAUNCHES_OF_A_PLAN
from int8bench.study import doctor, figures, records
from int8bench.study.cells import OK, FilesMade
from int8bench.study.plan import fitting
from int8bench.study.plan.budget import ENDING_S, START_S, Budget
from int8bench.study.plan.fitting import LEAST_LAUNCHES
from int8bench.study.plan.forecast import Pace, together_s
from int8bench.study.plan.plan import NONE, Overhead, Plan, plan_for
from int8bench.study.plan.request import Request
from int8bench.study.session import conversions, measuring, probing
from int8bench.study.session.ledger import PLAN, Ledger
from int8bench.study.session.session import Session
from int8bench.workload import models
from int8bench.workload.cases import ALL, INT8, Case, Variant, grid
from int8bench.workload.subject import Subject, SubjectRequest, order_for, prepare_subject

BESIDE = Overhead(start_s=START_S + ENDING_S, launch_s=2.5)  # what the least run pays beside measuring: torch alone
EDGE = "inside"  # of the timed call: quantizing what comes in and dequantizing what goes out, for every engine
MOST_OF_MEMORY = 1 / 8  # what one batch may take: a network's activations are several times its pictures
PROBE_LAYERS = 2  # of the model that is made to saturate
PROBE_S = 1.0  # of an engine's answers to it


def run(request: Request, output: Path, advance: Advance, *, budget: Budget | None = None) -> records.Run:
    """Measure the grid that was asked for, and return the finished record, which also lies at `output`.

    Args:
        request: the grid, and how long it may take.
        output: where the record goes; an unfinished one of the same settings is continued.
        advance: is told what is being done.
        budget: the clock of the total, where that began before this call.

    Raises:
        RequestError: the request cannot be met; nothing written before is lost.
        NothingMeasuredError: every cell failed or was skipped, or it was stopped before one had its figures.
        InterruptedRunError: it was stopped, or the lab broke down, with figures for some cells.
    """
    emulation.refuse()
    budget = budget or Budget(total_s=request.total_s, started_s=time.monotonic())
    hardware = machine.detect()
    cases = _cases(request, hardware)
    plan = plan_for(
        _runnable(cases, hardware),
        budget_s=request.measuring_s or request.budget_s,
        quick=request.quick,
        overhead=NONE if request.measuring_s else BESIDE,
    )
    files.check_writable(output)
    cache.cap_bytes()  # one that is no size is said before minutes are spent
    if output.exists():
        records.load(output)  # what is not ours is left alone, and said before minutes are spent
    advance(Progress(phase="preparing the model and its data"))
    wanted = SubjectRequest(
        model=request.model,
        input_shape=request.input_shape,
        data=request.data,
        data_dir=request.data_dir,
        seed=request.seed,
    )
    subject = prepare_subject(wanted, weights=request.weights, advance=advance)
    hardware = replace(hardware, torch=machine.detect_torch())
    settings = _settings(request, plan, subject)
    ledger = Ledger.resumed(output, settings=settings, fingerprint=machine.fingerprint(hardware))
    ledger.pictures = len(subject.validation)
    session = Session(
        request=request,
        cases=cases,
        plan=plan,
        subject=subject,
        machine=hardware,
        usable=machine.usable_processors()[: hardware.usable_cores or None],
        output=output,
        advance=advance,
        ledger=ledger,
        settings=settings,
        budget=budget,
        rng=np.random.default_rng([request.seed, len(ledger.races), time.time_ns()]),
        pace=Pace(network=subject.network),
    )
    session.replan(ledger.plan or plan)
    for case, hindrance in _hindrances(session.cases, session.machine).items():
        ledger.skip(case.id, hindrance)
    session.save()
    with keeping(partial(_kept, session)):
        _convert(session)
        measuring.measure(session)
        _close(session)
        _probe(session)
        record = session.record(complete=True)
    if not any(cell.status == OK for cell in record.cells):
        reasons = "; ".join(dict.fromkeys(cell.error for cell in record.cells if cell.error))
        raise NothingMeasuredError(f"nothing could be measured: {reasons}")
    return record


def _kept(session: Session, why: str) -> Int8BenchError:
    """Save a run that could not go to its end; return the error that says why, what it has, and how to go on."""
    cells = session.record(complete=False).cells
    measured = sum(cell.status == OK for cell in cells)
    has = f"with figures for {measured} of {len(cells)} cells" if measured else "before any cell had its figures"
    return ended(f"{why}, {has}; the same command goes on from {session.output}", figures=measured)


def _cases(request: Request, hardware: Hardware) -> tuple[Case, ...]:
    usable = hardware.usable_cores or 1
    threads = request.threads or tuple(dict.fromkeys((1, usable)))
    for count in threads:
        if count > usable:
            choices = "1" if usable == 1 else f"numbers from 1 to {usable}"
            cores = "1 usable core" if usable == 1 else f"{usable} usable cores"
            raise RequestError(f"--threads {count}: this machine has {cores}; choose {choices}")
    _check_batches(request, hardware)
    variants = _offered(request.engines or _default_engines(hardware))
    return grid(model=request.model.replace("/", "."), variants=variants, batches=request.batches, threads=threads)


def _offered(engines: Sequence[str]) -> tuple[Variant, ...]:
    """Return all variants of these engines; of `ALL`, of every engine with an int8.

    Torch's float32 is raced along in any case.
    """
    every = [name for name in engine_names() if doctor.has_int8(name)] if ALL in engines else []
    names = dict.fromkeys(name for engine in engines for name in (every if engine == ALL else (engine,)))
    for name in names:
        doctor.check_int8("--engines", name)
    return tuple(variant for name in names for variant in engine_named(name).variants)


def _check_batches(request: Request, hardware: Hardware) -> None:
    """Refuse a batch so large that the kernel would kill a process for its memory."""
    given = models.parse_input_shape(request.input_shape) if request.input_shape else None
    picture_bytes = 4 * math.prod(models.input_shape_of(request.model, given))
    most = int((hardware.memory_bytes or sys.maxsize) * MOST_OF_MEMORY) // picture_bytes
    for batch in request.batches:
        if batch > most:
            raise RequestError(
                f"--batch {batch}: {units.size(batch * picture_bytes)} of pictures, and this machine has "
                f"{units.size(hardware.memory_bytes or 0)} of memory; choose {max(1, most)} or less"
            )


def _default_engines(hardware: Hardware) -> tuple[str, ...]:
    """Return fbgemm where it runs, and the recommended engine.

    Where neither is there it is fbgemm alone, whose row says why not.
    """
    recommended = rules.recommend(hardware).engine
    fbgemm = "fbgemm" if engine_named("fbgemm").availability(hardware).available else None
    return tuple(dict.fromkeys(engine for engine in (fbgemm, recommended) if engine)) or ("fbgemm",)


def _settings(request: Request, plan: Plan, subject: Subject) -> dict[str, Json]:
    return {
        "confidence": limits.CONFIDENCE,
        "precision": request.precision,
        "margin": limits.MARGIN,
        "accuracy_loss": request.accuracy_loss,
        "edge": EDGE,
        "error_rate": limits.ERROR_RATE,
        "family_error_rate": limits.FAMILY_ERROR_RATE,
        "seed": request.seed,
        "quick": request.quick,
        "batches": list(request.batches),
        "threads": list(request.threads) if request.threads else None,
        "engines": list(request.engines) if request.engines else None,
        "subject": subject.to_dict(),
        "budget_s": request.budget_s,
        "measuring_s": request.measuring_s,
        PLAN: plan.to_dict(),
    }


def _runnable(cases: Sequence[Case], hardware: Hardware) -> tuple[Case, ...]:
    """Return the cases that take time; all of them where none can run, each of which then says why."""
    hindrances = _hindrances(cases, hardware)
    return tuple(case for case in cases if case not in hindrances) or tuple(cases)


def _hindrances(cases: Sequence[Case], hardware: Hardware) -> dict[Case, str]:
    """Return the reasons of those cases that cannot run on a machine; each engine's packages are looked at once."""
    engines = {name: engine_named(name) for name in dict.fromkeys(case.variant.engine for case in cases)}
    answers = {name: engine.availability(hardware) for name, engine in engines.items()}
    reasons: dict[Case, str] = {}
    for case in cases:
        answer = answers[case.variant.engine]
        absent = None if answer.available else answer.reason or "not available here"
        reason = absent or engines[case.variant.engine].objection(case.group)
        if reason is not None:
            reasons[case] = reason
    return reasons


def _convert(session: Session) -> None:
    """Make the files that engines need, as far as there is time, or find them where an earlier run left them."""
    asked = conversions.asked_by(session.variants(), lambda: session.machine)
    order = order_for(session.subject, ())
    pieces = conversions.wanted(asked, [(case.variant, case.group.batch) for case in session.all_live()])
    session.converting = conversions.due(pieces, order, session.pace.conversion_s)
    session.unchecked = frozenset(session.variants())
    session.fit(fewest=LAUNCHES_OF_A_PLAN)
    _announce(session, _probes(session))
    live = session.all_live()
    kept = conversions.wanted(
        {variant: asked[variant] for variant in session.variants() if variant in asked},
        [(case.variant, case.group.batch) for case in live],
    )
    outcome = conversions.make(kept, order, lambda step: session.tell(step.phase), allotment=_allotment(session, live))
    waiting: dict[tuple[str, str], tuple[conversions.Unmade, list[Case]]] = {}
    for case in live:
        came = outcome.of(case.variant, case.group.batch)
        if isinstance(came, str):
            session.ledger.fail(case.id, came)
        elif isinstance(came, conversions.Unmade):
            waiting.setdefault((case.variant.engine, came.label), (came, []))[1].append(case)
        elif came is not None:
            made = FilesMade(seconds=came.seconds, reused=came.reused, notes=dict(came.notes))
            session.ledger.conversions[case.id] = made
    for unmade, cases in waiting.values():
        session.leave_out(cases, _unmade(unmade, session.budget.promise()), unmade.needed_s)
    session.step(session.agenda().parts(live, session.plan.launches)["conversions"])
    session.converting = ()
    session.files = outcome.files()


def _announce(session: Session, probes: probing.Probes) -> None:
    """Tell the seconds that the run will take, on what they are spent, and the most that it takes."""
    session.expect(session.groups())
    agenda, live, left_s = session.agenda(), session.all_live(), session.budget.left_s()
    fitting = (n for n in range(session.plan.launches, LEAST_LAUNCHES, -1) if agenda.seconds(live, n) <= left_s)
    launches = next(fitting, min(LEAST_LAUNCHES, session.plan.launches))
    probing_s = _probing_s(probes, session.pace)
    about_s = session.budget.spent_s() + min(agenda.seconds(live, launches) + probing_s, left_s) + ENDING_S
    limit = "" if math.isinf(session.budget.total_s) else f", never more than {session.budget.promise()}"
    beside = f", probes {units.duration(probing_s)} if time is left" if probing_s else ""
    session.tell(f"this takes about {units.duration(about_s)}{limit}: {agenda.told(live, launches)}{beside}")


def _allotment(session: Session, live: Sequence[Case]) -> conversions.Allotment:
    """Return the time of conversions: all that the rest does not need, and half of what is left in any case."""
    if math.isinf(session.budget.total_s):
        return conversions.UNLIMITED
    parts, left_s = session.agenda().parts(live, LAUNCHES_OF_A_PLAN), session.budget.left_s()
    share_s = max(left_s - (sum(parts.values()) - parts["conversions"]), left_s / 2)
    return conversions.Allotment(
        until_s=session.budget.clock() + share_s,
        clock=session.budget.clock,
        expected={each.piece.label: each.seconds for each in session.converting},
    )


def _unmade(unmade: conversions.Unmade, promise: str) -> str:
    """Return the reason why a variant has no files: there was no time to begin, or to end."""
    if unmade.spent_s is None:
        return f"the conversion {unmade.label}: {fitting.too_long(unmade.needed_s, promise)}"
    return fitting.stopped(f"the conversion {unmade.label}", unmade.spent_s, promise)


def _close(session: Session) -> None:
    """Enter the reason of every cell for whose figures the time was not enough."""
    unfinished = [case for case in session.all_live() if not figures.is_measured(case, session.ledger)]
    needed_s = session.agenda().seconds(unfinished, LAUNCHES_OF_A_PLAN)
    if unfinished:
        session.leave_out(unfinished, f"the {session.budget.promise()} were over before it had its figures", needed_s)


def _probes(session: Session) -> probing.Probes:
    """Return the needs of the probes of engines that show no integers, of those that still have a cell."""
    engines = dict.fromkeys(case.variant.engine for case in session.all_live() if case.variant.precision == INT8)
    small = replace(session.pace, network=replace(session.pace.network, layers=PROBE_LAYERS, picture_s=0.0))
    return probing.wanted(tuple(engines), session.machine, small.conversion_s)


def _probe(session: Session) -> None:
    """Probe the engines that show no integers, as far as there is time; the doctor has it for the others."""
    probes = _probes(session)
    while probes.checks and _probing_s(probes, session.pace) > session.budget.left_s():
        engines = [check.variant.engine for check in probes.checks]
        costs = {engine: _probing_s(probes.of([engine]), session.pace) for engine in engines}
        dearest = max(costs, key=costs.__getitem__)
        session.ledger.unprobed[dearest] = costs[dearest]
        probes = probes.of([engine for engine in engines if engine != dearest])
    if not probes.checks:
        return
    session.tell(f"probing arithmetic (about {units.duration(_probing_s(probes, session.pace))})")
    left_s = session.budget.left_s()
    allotment = conversions.Allotment(
        until_s=session.budget.clock() + left_s - _starting_s(probes, session.pace),
        clock=session.budget.clock,
        expected={each.piece.label: each.seconds for each in probes.due},
    )
    answers = probing.by_answers(
        probes,
        lambda step: session.tell(step.phase),
        allotment=conversions.UNLIMITED if math.isinf(left_s) else allotment,
        timeout_s=session.timeout_s(),
    )
    session.ledger.probes.update(answers)


def _probing_s(probes: probing.Probes, pace: Pace) -> float:
    """Return the seconds that probes take, about: their conversions, a launch, and an answer each."""
    return together_s([each.seconds for each in probes.due]) + _starting_s(probes, pace)


def _starting_s(probes: probing.Probes, pace: Pace) -> float:
    variants = [check.variant for check in probes.checks]
    return pace.launch_s(variants, 1) + PROBE_S * len(variants) if variants else 0.0
