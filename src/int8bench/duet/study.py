"""Joins it all: two sides and a suite become comparisons, launch by launch; what was measured is kept when it stops."""

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from int8bench import cache, hardware, records
from int8bench.duet import judged, pairs, record
from int8bench.duet.pairs import BASE, HEAD, SIDES
from int8bench.duet.peers import (
    ENTER_TIMEOUT_S,
    FINISH_TIMEOUT_S,
    Order,
    PeerLaunch,
    Place,
    SkippedError,
    Turns,
    launched,
)
from int8bench.duet.plan import FORK_S, FRESH_FORK_S, TRACK_S, Plan, plan_for
from int8bench.duet.samples import Fork, Load, Numbers, Samples
from int8bench.duet.sides import Asked, Side, prepared, suite_folder
from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError, RequestError
from int8bench.hardware import emulation
from int8bench.lab.environment import cores_for
from int8bench.peer.suite import FRESH, TIME
from int8bench.progress import Advance, Progress
from int8bench.tracking.revisions import Repository

GRID, ASV, PYTEST = SUITES = ("grid", "asv", "pytest")
OWNERS = ("base", "head", "own")
HEAP_SHIFT_BYTES = 2_000_000  # upper end of the random shift of the heap before a benchmark is set up
LAUNCH_S = 4.0  # imports of a pair, for the progress bar
OVERRUN = 1.2  # of the budget
_THREADS = re.compile(r"/t(\d+)(?:#|$)")  # of a grid's ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person asked for; None means that the duet chooses."""

    base: str | None
    head: str | None
    base_python: str | None = None
    head_python: str | None = None
    suite: str = GRID
    select: str | None = None
    benchmarks: str = "head"
    quick: bool = False
    budget_s: float | None = None
    timeout_s: float = 120.0
    seed: int = 0
    error_rate: float = judged.ERROR_RATE
    family_error_rate: float = judged.FAMILY_ERROR_RATE
    model: str = "simplecnn"
    input_shape: str | None = None
    data: str = "digits"
    engines: tuple[str, ...] = ("fbgemm",)
    batches: tuple[int, ...] = (1, 8, 32)
    threads: tuple[int, ...] | None = None
    folder: Path = field(default_factory=Path.cwd)


@dataclass(slots=True)
class _Duet:
    """The state of one duet."""

    request: Request
    sides: tuple[Side, Side]
    places: tuple[Place, Place]
    machine: hardware.Hardware
    usable: tuple[int, ...]
    """The processors that may be used, no more than a container's quota pays for."""
    output: Path | None
    advance: Advance
    rng: np.random.Generator
    findings: list[dict[str, Any]]
    samples: Samples = field(default_factory=Samples)
    names: dict[str, str] = field(default_factory=dict)
    fresh: dict[str, float] = field(default_factory=dict)
    """The timed benchmarks whose samples are fresh processes, with the seconds that a launch of each may take."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    plan: Plan | None = None
    measured_s: float = 0.0
    done: float = 0.0
    total: float = 1.0

    @property
    def planned(self) -> Plan:
        """The plan, once the suites are open."""
        assert self.plan is not None
        return self.plan

    @property
    def error(self) -> float:
        """The error of one verdict."""
        return judged.error_of_each(self.names, each=self.request.error_rate, family=self.request.family_error_rate)

    def tell(self, phase: str) -> None:
        """Tells what is being done from now on."""
        self.advance(Progress(done=min(self.done, self.total), total=self.total, phase=phase))

    def live(self, kind: str) -> list[str]:
        """The benchmarks of a kind that have not gone wrong."""
        gone = self.samples.gone
        return [name for name, its in self.names.items() if (its == TIME) == (kind == TIME) and name not in gone]


def run(request: Request, output: Path | None, advance: Advance) -> record.Duet:
    """Measures base and head; the comparisons, which also lie at `output` where one is given.

    Raises:
        RequestError: the request cannot be met.
        NothingMeasuredError: nothing could be compared, or it was stopped before anything was.
        InterruptedRunError: it was stopped, with figures for some benchmarks, which lie at `output`.
    """
    emulation.refuse()
    _check(request)
    advance(Progress(phase="laying out base and head"))
    duet = _prepared(request, output, advance)
    try:
        _measure(duet)
    except KeyboardInterrupt:
        again = "; type the same command to start again"
        raise _interrupted(duet, "stopped", f"stopped before anything could be compared{again}") from None
    except LabError as error:
        raise _interrupted(duet, str(error), f"nothing could be compared: {error}") from error
    found = _record(duet, complete=True)
    if not any(each.ratio is not None for each in found.comparisons):
        told = (*(each.reason for each in found.comparisons), *duet.samples.skipped.values())
        reasons = "; ".join(dict.fromkeys(each for each in told if each))
        raise NothingMeasuredError(f"nothing could be compared: {reasons or _nothing_in_common(duet)}")
    return found


def _check(request: Request) -> None:
    if request.suite not in SUITES:
        raise RequestError(f"--suite {request.suite}: expected one of {', '.join(SUITES)}")
    if request.benchmarks not in OWNERS:
        raise RequestError(f"--benchmarks {request.benchmarks}: expected one of {', '.join(OWNERS)}")
    for label, revision, python in (
        ("BASE", request.base, request.base_python),
        ("HEAD", request.head, request.head_python),
    ):
        if revision is None and python is None:
            raise RequestError(f"{label}: not given; type int8bench duet BASE HEAD, or --{label.lower()}-python PYTHON")
    if request.select is not None:
        try:
            re.compile(request.select)
        except re.error as error:
            raise RequestError(f"--select {request.select}: not a regular expression: {error}") from error
    usable = hardware.usable_core_count()
    for count in request.threads or ():
        if count > usable:
            raise RequestError(f"--threads {count}: this machine has {usable} usable cores; try --threads {usable}")


def _prepared(request: Request, output: Path | None, advance: Advance) -> _Duet:
    findings: list[dict[str, Any]] = []
    of_git = request.base is not None or request.head is not None
    repository = Repository.around(request.folder) if of_git else None
    if repository is not None and repository.is_dirty():
        findings.append(_note("dirty-tree", "the working tree has changes, which neither base nor head contains"))
    builds = (cache.folder() or Path(tempfile.gettempdir()) / "int8bench") / "revisions"
    asked = (
        Asked(label="base", revision=request.base, python=request.base_python),
        Asked(label="head", revision=request.head, python=request.head_python),
    )
    sides = (prepared(asked[BASE], repository, builds), prepared(asked[HEAD], repository, builds))
    owners = {"base": (BASE, BASE), "head": (HEAD, HEAD), "own": SIDES}[request.benchmarks]
    folders = [suite_folder(sides[owner], repository, request.folder) for owner in owners]
    return _Duet(
        request=request,
        sides=sides,
        places=(sides[BASE].place(folders[BASE]), sides[HEAD].place(folders[HEAD])),
        machine=hardware.detect(),
        usable=hardware.usable_processors()[: hardware.usable_core_count()],
        output=output,
        advance=advance,
        rng=np.random.default_rng([request.seed, time.time_ns()]),
        findings=findings,
    )


def _order(request: Request) -> Order:
    usable = hardware.usable_core_count()
    options: Mapping[str, Any] = {
        "contenders": ["float32", *request.engines],
        "batches": list(request.batches),
        "threads": list(request.threads or dict.fromkeys((1, usable))),
        "model": request.model,
        "input_shape": request.input_shape,
        "data": _found_from_anywhere(request),
    }
    return Order(suite=request.suite, options=options if request.suite == GRID else {})


def _found_from_anywhere(request: Request) -> str:
    """The data by a path that holds in the folders that launches run in."""
    kind, _, path = request.data.partition(":")
    return f"{kind}:{request.folder / path}" if kind == "imagefolder" else request.data


def _measure(duet: _Duet) -> None:
    """Launch after launch, block after block; what has settled is left out of the next block.

    Raises:
        LabError: a side's launch did not start, or its suite does not open.
    """
    with ExitStack() as first:
        duet.tell("opening the suites")
        launches = first.enter_context(launched(duet.places, _order(duet.request)))
        _match(duet, launches)
        _save(duet, complete=False)  # a place that cannot be written is said now
        for look, (begin, end) in enumerate(pairwise((0, *duet.planned.looks.launches))):
            unsettled = [name for name in duet.live(TIME) if look == 0 or not _is_settled(duet, name)]
            if look and (not unsettled or duet.measured_s * end / begin > OVERRUN * duet.planned.budget_s):
                break
            for index in range(begin, end):
                if index == 0:
                    _serve(duet, launches, index, unsettled)
                    first.close()
                else:
                    duet.tell(f"starting launch {index + 1} of {duet.planned.launches}")
                    with launched(duet.places, _order(duet.request)) as others:
                        _serve(duet, others, index, unsettled)
                duet.done += LAUNCH_S
                _save(duet, complete=False)
    duet.total = duet.done
    duet.tell("done")


def _match(duet: _Duet, launches: Sequence[PeerLaunch]) -> None:
    """What both sides have, what only one has, and the plan for it."""
    base, head = launches[BASE].names, launches[HEAD].names
    wanted = re.compile(duet.request.select or "")
    duet.names = {name: kind for name, kind in head.items() if base.get(name) == kind and wanted.search(name)}
    duet.added = tuple(name for name in head if name not in duet.names and wanted.search(name))
    duet.removed = tuple(name for name in base if name not in duet.names and wanted.search(name))
    for label, launch in zip(("base", "head"), launches, strict=True):
        for name, reason in launch.left_out.items():
            duet.findings.append(_note("left-out", f"{label}: {name}: {reason}"))
    if not duet.names:
        raise NothingMeasuredError(_nothing_in_common(duet))
    fresh = [name for name, kind in duet.names.items() if kind == FRESH]
    duet.names |= dict.fromkeys(fresh, TIME)
    timed = sum(kind == TIME for kind in duet.names.values())
    duet.plan = plan_for(
        timed=timed,
        fresh=len(fresh),
        tracked=len(duet.names) - timed,
        budget_s=duet.request.budget_s,
        quick=duet.request.quick,
        timeout_s=duet.request.timeout_s,
    )
    race_s = duet.planned.durations.race_s
    duet.fresh = dict.fromkeys(fresh, FRESH_FORK_S + race_s)
    each_s = (timed - len(fresh)) * (FORK_S + race_s) + sum(duet.fresh.values()) + LAUNCH_S
    duet.total = duet.planned.launches * each_s + (len(duet.names) - timed) * TRACK_S * duet.planned.track_launches


def _nothing_in_common(duet: _Duet) -> str:
    chosen = f" that match --select {duet.request.select}" if duet.request.select else ""
    left_out = "; ".join(str(each["message"]) for each in duet.findings if each["code"] == "left-out")
    return (
        f"base and head have no {duet.request.suite} benchmarks in common{chosen} "
        f"(only in head: {len(duet.added)}, only in base: {len(duet.removed)}){': ' if left_out else ''}{left_out}"
    )


def _is_settled(duet: _Duet, name: str) -> bool:
    return judged.is_settled(name, duet.samples, duet.planned.looks, duet.error)


def _serve(duet: _Duet, launches: Sequence[PeerLaunch], index: int, unsettled: Sequence[str]) -> None:
    """All that a pair of launches is for, in random order."""
    share = len(duet.live(TIME)) / max(1, len(unsettled))  # the time of what has settled goes where it is unclear
    race_s = duet.planned.durations.race_s * share
    tasks: list[tuple[float, Callable[[], None]]] = [
        (duet.fresh.get(name, FORK_S + race_s), partial(_race, duet, launches, index, name, race_s))
        for name in unsettled
    ]
    if index < duet.planned.track_launches:
        tasks += [(TRACK_S, partial(_track, duet, launches, index, name)) for name in duet.live("track")]
        tasks += [(2 * TRACK_S, partial(_load, duet, launches, index, name)) for name in _loaded(duet)]
    for i in duet.rng.permutation(len(tasks)).tolist():
        cost_s, work = tasks[i]
        started = time.monotonic()
        work()
        duet.measured_s += time.monotonic() - started
        duet.done += cost_s


def _loaded(duet: _Duet) -> list[str]:
    """The grid's cells of which several streams fit on this machine: with one, throughput is the time again."""
    if duet.request.suite != GRID or duet.planned.load_s is None:
        return []
    return [name for name in duet.live(TIME) if len(duet.usable) // _threads(duet, name) > 1]


def _race(duet: _Duet, launches: Sequence[PeerLaunch], index: int, name: str, race_s: float) -> None:
    durations = pairs.Durations(
        warmup_s=duet.planned.durations.warmup_s, race_s=race_s, timeout_s=duet.request.timeout_s
    )

    def work(turns: Sequence[Turns]) -> None:
        raced = pairs.race(turns, durations, rng=duet.rng, cores=_cores(duet, name, index), fresh=name in duet.fresh)
        fork = Fork(
            launch=index,
            fork=0,
            calls=raced.calls,
            base_s=records.rounded(raced.base_s),
            head_s=records.rounded(raced.head_s),
            kept=tuple(int(each) for each in raced.kept),
            log_ratio=raced.log_ratio,
        )
        duet.samples.forks.setdefault(name, []).append(fork)

    duet.tell(f"racing {name}, launch {index + 1} of {duet.planned.launches}")
    started = time.monotonic()
    _guarded(duet, launches, index, name, work)
    if name in duet.fresh:
        _foresee(duet, name, index, time.monotonic() - started)


def _foresee(duet: _Duet, name: str, index: int, took_s: float) -> None:
    """Takes the launches to come of fresh processes, which need what they need, to be as long as this one was."""
    duet.total += (took_s - duet.fresh[name]) * (duet.planned.launches - index - 1)
    duet.fresh[name] = took_s


def _track(duet: _Duet, launches: Sequence[PeerLaunch], index: int, name: str) -> None:
    def work(turns: Sequence[Turns]) -> None:
        base, head = (dict(each.values or {}) for each in turns)
        duet.samples.numbers.setdefault(name, []).append(Numbers(launch=index, base=base, head=head))

    duet.tell(f"tracking {name}")
    _guarded(duet, launches, index, name, work)


def _load(duet: _Duet, launches: Sequence[PeerLaunch], index: int, name: str) -> None:
    streams = len(duet.usable) // _threads(duet, name)
    assert duet.planned.load_s is not None
    load_s = duet.planned.load_s

    def work(turns: Sequence[Turns]) -> None:
        by_side = [turns[::2], turns[1::2]]
        log_ratio = pairs.sustained(by_side, load_s=load_s, timeout_s=duet.request.timeout_s, together=_together)
        duet.samples.loads.setdefault(name, []).append(Load(launch=index, log_ratio=log_ratio))

    duet.tell(f"loading {name}")
    _guarded(duet, launches, index, name, work, streams=streams)


def _together(streams: Sequence[Any], message: dict[str, object], timeout_s: float) -> list[dict[str, float]]:
    """Asks all streams before it waits for one."""
    for each in streams:
        each.say(message)
    return [each.hear(timeout_s) for each in streams]


def _guarded(
    duet: _Duet,
    launches: Sequence[PeerLaunch],
    index: int,
    name: str,
    work: Callable[[Sequence[Turns]], None],
    *,
    streams: int = 1,
) -> None:
    """Opens a benchmark on both sides, base and head in turn, does the work, and ends the processes.

    What goes wrong is the benchmark's, whose other figures are dropped: a fault is never compared.
    """
    if name in duet.samples.gone:
        return
    turns: list[Turns] = []
    try:
        for stream in range(streams):
            _open(duet, launches, name, _cores(duet, name, index + stream), turns)
        work(turns)
        for each in turns:
            each.finish(FINISH_TIMEOUT_S)
    except SkippedError as reason:
        duet.samples.skip(name, str(reason))
    except LabError as error:
        duet.samples.give_up(name, str(error))
    finally:
        for each in turns:
            each.end()


def _open(duet: _Duet, launches: Sequence[PeerLaunch], name: str, cores: tuple[int, ...], turns: list[Turns]) -> None:
    """Opens a benchmark on both sides, in random order, and adds base's turns and then head's.

    Raises:
        SkippedError: a side says that it cannot be measured there.
        LabError: it does not open. Where it fails on both sides this is said, as it is not head's doing then.
    """
    opened: dict[int, Turns] = {}
    faults: dict[int, LabError] = {}
    timeout_s = max(duet.request.timeout_s, ENTER_TIMEOUT_S)
    try:
        for side in duet.rng.permutation(SIDES).tolist():
            shift = int(duet.rng.integers(1, HEAP_SHIFT_BYTES))
            try:
                opened[side] = launches[side].enter(name, cores=cores, shift=shift, timeout_s=timeout_s)
            except LabError as error:
                faults[side] = error
    finally:
        turns += [opened[side] for side in SIDES if side in opened]
    if faults:
        raise LabError("; ".join(str(faults[side]) for side in SIDES if side in faults))


def _threads(duet: _Duet, name: str) -> int:
    found = _THREADS.search(name)
    return int(found[1]) if found and duet.request.suite == GRID else 1


def _cores(duet: _Duet, name: str, index: int) -> tuple[int, ...]:
    """Both sides share the same cores, which move on from launch to launch; a suite of others may use them all."""
    if duet.request.suite != GRID:
        first = index % len(duet.usable)
        return duet.usable[first:] + duet.usable[:first]
    return cores_for(threads=_threads(duet, name), launch=index, usable=duet.usable)


def _interrupted(duet: _Duet, why: str, nothing: str) -> Exception:
    found = _record(duet, complete=False) if duet.plan is not None else None
    known = sum(each.ratio is not None for each in found.comparisons) if found else 0
    if not known:
        return NothingMeasuredError(nothing)
    where = f"; they are in {duet.output}" if duet.output else "; give -o DUET.json to keep them"
    return InterruptedRunError(f"{why}, with {known} comparisons made{where}")


def _save(duet: _Duet, *, complete: bool) -> None:
    if duet.output is not None:
        record.save(_of(duet, complete=complete), duet.output)


def _record(duet: _Duet, *, complete: bool) -> record.Duet:
    found = _of(duet, complete=complete)
    if duet.output is not None:
        record.save(found, duet.output)
    return found


def _of(duet: _Duet, *, complete: bool) -> record.Duet:
    compared = {name: kind for name, kind in duet.names.items() if name not in duet.samples.skipped}
    notes = [_note("skipped", f"{name}: {reason}") for name, reason in duet.samples.skipped.items()]
    notes += [_failed(name, reason) for name, reason in duet.samples.stopped.items()]
    return record.Duet(
        base=duet.sides[BASE].title,
        head=duet.sides[HEAD].title,
        complete=complete,
        error_rate=duet.error,
        comparisons=judged.comparisons(
            compared, duet.samples, duet.planned.looks, duet.planned.track_looks, duet.error
        ),
        added=duet.added,
        removed=duet.removed,
        findings=(*duet.findings, *notes),
        environment={
            "hardware": duet.machine.to_dict(),
            "fingerprint": hardware.fingerprint(duet.machine),
            "versions": records.versions(),
        },
        settings={
            "suite": duet.request.suite,
            "select": duet.request.select,
            "benchmarks": duet.request.benchmarks,
            "quick": duet.request.quick,
            "confidence": judged.CONFIDENCE,
            "margin": judged.MARGIN,
            "family_error_rate": duet.request.family_error_rate,
            "measured_s": round(duet.measured_s, 1),
            "plan": duet.planned.to_dict(),
            "sides": {"base": duet.sides[BASE].to_dict(), "head": duet.sides[HEAD].to_dict()},
            **({"grid": dict(_order(duet.request).options)} if duet.request.suite == GRID else {}),
        },
        samples=duet.samples.to_dict(),
    )


def _failed(name: str, reason: str) -> dict[str, Any]:
    """A benchmark that went wrong: an error where head breaks it, a warning where only base did."""
    severity = "error" if reason.startswith("head") else "warning"
    return {
        "code": "benchmark-failed",
        "severity": severity,
        "subject": name,
        "message": f"{name}: {reason}",
        "why": "What raises on one side has no figure there, and nothing to be compared with.",
        "advice": f"Leave it out with --select, or mend it in {'head' if severity == 'error' else 'base'}.",
    }


def _note(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "severity": "note", "subject": "duet", "message": message, "why": "", "advice": ""}
