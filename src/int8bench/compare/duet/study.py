"""Joins it all: two sides and a suite become comparisons, launch by launch; what was measured is kept when it stops."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from int8bench import cache, machine
from int8bench.compare.duet import failures, findings, judged, record
from int8bench.compare.duet.pairs import BASE, HEAD, SIDES
from int8bench.compare.duet.plan import FORK_S, FRESH_FORK_S, TRACK_S, Selection, plan_for
from int8bench.compare.duet.serving import attempts, serve
from int8bench.compare.duet.sides import Asked, Side, prepared, suite_folder
from int8bench.compare.duet.state import ASV, GRID, PYTEST, SUITES, BenchmarkRow, DuetRequest, State
from int8bench.compare.revisions import asv_configuration
from int8bench.compare.revisions.asv_configuration import AsvConfiguration, Variables
from int8bench.compare.revisions.packages import TOP
from int8bench.compare.revisions.revisions import Repository
from int8bench.errors import Int8BenchError, LabError, NothingMeasuredError, RequestError
from int8bench.lab.agent.suites.suite import FRESH, TIME
from int8bench.lab.agent.wire import GridOrder
from int8bench.lab.peers import PeerLaunch, PeerOrder, SharedLuck, is_part, launched
from int8bench.lab.progress import Advance, Progress
from int8bench.lab.session import STOPPED, ended, keeping
from int8bench.machine import emulation
from int8bench.machine.finding import Finding, Severity, note, warning
from int8bench.stats import limits
from int8bench.study import records

OWNERS = ("base", "head", "own")
LAUNCH_S = 4.0  # imports of a pair, for the progress bar
MOST_EXAMPLES = 4  # of ids, where none was meant
WHAT_HELPS = {
    GRID: "type another --engines, --batch or --threads",
    ASV: "time_, timeraw_, peakmem_, mem_ and track_ benchmarks are compared; asv itself measures others",
    PYTEST: "tests that ask for the fixture `benchmark` are compared",
}


def run(request: DuetRequest, output: Path | None, advance: Advance) -> record.Duet:
    """Measure base and head, and return their comparisons.

    They also lie at `output` where one is given.

    Args:
        request: what a person asked for.
        output: path of the record, which is written after every launch; None for no record.
        advance: is called with the progress.

    Raises:
        RequestError: the request cannot be met.
        NothingMeasuredError: nothing could be compared, or it was stopped before anything was.
        InterruptedRunError: it was stopped, with figures for some benchmarks, which lie at `output`.
    """
    emulation.refuse()
    _check(request)
    advance(Progress(phase="laying out base and head"))
    duet = _prepared(request, output, advance)
    with keeping(partial(_kept, duet)):
        _measure(duet)
    duet_record = _record(duet, complete=True)
    if not any(comparison.ratio is not None for comparison in duet_record.comparisons) and not duet_record.is_bad_news:
        raise NothingMeasuredError(_nothing_compared(duet, duet_record))
    return duet_record


def _check(request: DuetRequest) -> None:
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
    request.selection.of(())  # one that is none is refused now, before anything is built
    usable = machine.usable_core_count()
    for count in request.threads or ():
        if count > usable:
            raise RequestError(f"--threads {count}: this machine has {usable} usable cores; try --threads {usable}")


def _prepared(request: DuetRequest, output: Path | None, advance: Advance) -> State:
    notes: list[Finding] = []
    configured = asv_configuration.read(request.folder) if request.suite == ASV else None
    repository = _repository(request, configured)
    if repository is not None and repository.is_dirty():
        notes.append(note(findings.DIRTY_TREE, findings.WHOLE))
    builds = (cache.folder() or Path(tempfile.gettempdir()) / "int8bench") / "revisions"
    near, ignored = _place(request, configured, repository)
    asked = (
        Asked(label="base", revision=request.base, python=request.base_python, near=near, ignored=ignored),
        Asked(label="head", revision=request.head, python=request.head_python, near=near, ignored=ignored),
    )
    sides = (prepared(asked[BASE], repository, builds), prepared(asked[HEAD], repository, builds))
    cache.trim()
    unbuilt = [(side.label, reason) for side in sides for reason in side.failed]
    notes += [warning("not-built", findings.WHOLE, side=side, reason=reason) for side, reason in unbuilt]
    owners = {"base": (BASE, BASE), "head": (HEAD, HEAD), "own": SIDES}[request.benchmarks]
    folders = [suite_folder(sides[owner], repository, request.folder) for owner in owners]
    suite = asv_configuration.read(folders[HEAD]) if request.suite == ASV else None
    if request.suite == ASV and suite is None:
        raise RequestError(_no_suite(request, sides[owners[HEAD]]))
    return State(
        request=request,
        sides=sides,
        places=(sides[BASE].place(folders[BASE]), sides[HEAD].place(folders[HEAD])),
        machine=machine.detect(),
        usable=machine.usable_processors()[: machine.usable_core_count()],
        output=output,
        advance=advance,
        rng=np.random.default_rng([request.seed, time.time_ns()]),
        findings=notes,
        variables=suite.variables() if suite is not None else (Variables(),),
    )


def _repository(request: DuetRequest, configured: AsvConfiguration | None) -> Repository | None:
    """Return the repository that base and head are revisions of; None where neither is one.

    It is the repository that asv measures, or else the one around the person.

    Raises:
        RequestError: there is none, and a revision was given.
    """
    if request.base is None and request.head is None:
        return None
    named = configured.repository if configured is not None else None
    return Repository.around(named or request.folder)


def _place(
    request: DuetRequest, configured: AsvConfiguration | None, repository: Repository | None
) -> tuple[PurePosixPath, tuple[str, ...]]:
    """Return the folder of the tree with the measured package, and the modules that measure it."""
    if repository is None:
        return TOP, ()
    named = configured.near(repository.top) if configured is not None else None
    ignored = (configured.suite,) if configured is not None else ()
    return named or asv_configuration.inside(request.folder, repository.top), ignored


def _no_suite(request: DuetRequest, side: Side) -> str:
    """Return the message where a folder has no suite of asv, with the folders that have one."""
    top = side.tree or request.folder
    places = sorted(path.parent.relative_to(top) for path in top.glob("*/asv.conf.json*"))
    elsewhere = f"change into {' or '.join(map(str, places))}" if places else "change into the folder that has it"
    return f"--suite asv: {side.title} has no asv.conf.json in {request.folder}; {elsewhere}, or type int8bench init"


def _order(request: DuetRequest) -> PeerOrder:
    return PeerOrder(suite=request.suite, grid=_grid(request) if request.suite == GRID else None)


def _grid(request: DuetRequest) -> GridOrder:
    usable = machine.usable_core_count()
    return GridOrder(
        contenders=["float32", *request.engines],
        batches=list(request.batches),
        threads=list(request.threads or dict.fromkeys((1, usable))),
        model=request.model,
        input_shape=request.input_shape,
        data=_found_from_anywhere(request),
    )


def _found_from_anywhere(request: DuetRequest) -> str:
    """Return the request's data with a path that holds in the folders of all launches."""
    kind, _, path = request.data.partition(":")
    return f"{kind}:{request.folder / path}" if kind == "imagefolder" else request.data


def _measure(duet: State) -> None:
    """Measure launch after launch, block after block, each block without the benchmarks that have settled.

    Raises:
        LabError: a side's launch did not start, or its suite does not open.
    """
    with ExitStack() as first:
        duet.tell("opening the suites")
        opened = first.enter_context(launched(duet.places, _order(duet.request), duet.luck(duet.variables[0])))
        _match(duet, opened)
        _save(duet)  # a place that cannot be written is said now
        for look, indexes in duet.blocks(duet.planned.looks.launches, duet.planned.budget_s):
            unsettled = [name for name in duet.live(TIME) if look == 0 or not _is_settled(duet, name)]
            if look and not unsettled:  # tracked numbers have no looks
                break
            for index in indexes:
                for variables in duet.variables:
                    if index == 0 and variables is duet.variables[0]:
                        serve(duet, opened, index, variables, unsettled)
                        first.close()
                    else:
                        duet.tell(f"starting launch {index + 1} of {duet.planned.launches}")
                        with launched(duet.places, _order(duet.request), duet.luck(variables)) as others:
                            serve(duet, others, index, variables, unsettled)
                    duet.done += LAUNCH_S
                    _save(duet)
                duet.paced += 1
    _decide(duet)
    duet.end()


def _decide(duet: State) -> None:
    """Try the benchmarks that fail on head alone until the test can say whether that is chance.

    Nothing else is measured.

    Raises:
        LabError: a side's launch did not start, or its suite does not open.
    """
    needed = failures.launches_to_decide(duet.error)
    for index in range(duet.planned.launches, duet.planned.launches + needed):
        for variables in duet.variables:
            mine = [name for name in _undecided(duet) if duet.rows[name].variables is variables]
            if mine:
                duet.total = max(duet.total, duet.done + LAUNCH_S)
                duet.tell(f"starting launch {index + 1}, to see whether head is broken")
                attempts(duet, partial(_by_itself, duet, duet.luck(variables)), index, mine)
                duet.done += LAUNCH_S
                _save(duet)


@contextmanager
def _by_itself(duet: State, luck: SharedLuck, side: int) -> Iterator[PeerLaunch]:
    """Open a launch of one side while the other side has none.

    Raises:
        LabError: it did not start.
    """
    with launched([duet.places[side]], _order(duet.request), luck, beside=duet.places) as (only,):
        yield only


def _undecided(duet: State) -> list[str]:
    outcomes, gone = duet.samples.outcomes, duet.samples.gone
    return [
        name
        for name in duet.rows
        if name not in gone
        and (known := outcomes.get(name))
        and failures.is_breaking(known)
        and not failures.is_broken(known, duet.error)
    ]


def _match(duet: State, launches: Sequence[PeerLaunch]) -> None:
    """Note the benchmarks in common, those of one side alone, and the plan of the duet.

    A benchmark of which one side says why it is missing there is tried as well: it may be there in the next launch.

    Raises:
        LabError: neither side's code lets its suite be opened.
        NothingMeasuredError: there is nothing to measure.
    """
    base, head = launches
    if base.broken is not None and head.broken is not None:
        raise LabError(f"base: {base.broken}; head: {head.broken}")
    kinds = {**base.names, **head.names}
    both = [name for name in kinds if base.names.get(name, kinds[name]) == head.names.get(name, kinds[name])]
    tried = [
        name
        for name in both
        if all(name in launch.names or launch.why_left_out(name) is not None for launch in launches)
    ]
    rows = {
        f"{name}{variables.label}": _row(name, kinds[name], variables) for variables in duet.variables for name in tried
    }
    left_out = [
        place for launch in launches for place in launch.left_out if not any(is_part(name, of=place) for name in kinds)
    ]
    others = [name for name in kinds if name not in tried]
    chosen = duet.request.selection.of((*rows, *others, *left_out))
    duet.rows = {name: row for name, row in rows.items() if name in chosen}
    duet.added = tuple(name for name in head.names if name not in tried and name in chosen)
    duet.removed = tuple(name for name in base.names if name not in tried and name in chosen)
    if tried and not chosen:
        raise NothingMeasuredError(_nothing_chosen(duet, list(kinds)))
    explained = [_explained(launch, tried, duet.request.selection) for launch in launches]
    duet.findings += findings.of_left_out(explained[BASE], explained[HEAD], tried)
    if not duet.rows:
        raise NothingMeasuredError(_nothing_in_common(duet))
    timed = sum(row.kind == TIME for row in duet.rows.values())
    fresh = [name for name, row in duet.rows.items() if row.is_fresh]
    duet.plan = plan_for(
        timed=timed,
        fresh=len(fresh),
        tracked=len(duet.rows) - timed,
        budget_s=duet.request.budget_s,
        quick=duet.request.quick,
        timeout_s=duet.request.timeout_s,
    )
    race_s = duet.planned.durations.race_s
    duet.fresh = dict.fromkeys(fresh, FRESH_FORK_S + race_s)
    each_s = (timed - len(fresh)) * (FORK_S + race_s) + sum(duet.fresh.values()) + LAUNCH_S * len(duet.variables)
    duet.total = duet.planned.launches * each_s + (len(duet.rows) - timed) * TRACK_S * duet.planned.track_launches


def _row(name: str, kind: str, variables: Variables) -> BenchmarkRow:
    """Return a benchmark's row; one of fresh processes is a time as any other, but takes its own time."""
    return BenchmarkRow(name=name, kind=TIME if kind == FRESH else kind, variables=variables, is_fresh=kind == FRESH)


def _explained(launch: PeerLaunch, tried: Sequence[str], selection: Selection) -> dict[str, str]:
    """Return the selected benchmarks that a suite leaves out, with the reasons.

    Those of the other side are tried instead, and fail.
    """
    where = {place for name in tried if name not in launch.names for place in launch.left_out if name.startswith(place)}
    meant = selection.of(launch.left_out)
    return {place: reason for place, reason in launch.left_out.items() if place in meant and place not in where}


def _nothing_chosen(duet: State, names: Sequence[str]) -> str:
    some = findings.listed(names, most=MOST_EXAMPLES)
    return (
        f"base and head have {len(names)} {duet.request.suite} benchmarks, and none{duet.request.selection}; "
        f"there are {some}"
    )


def _nothing_in_common(duet: State) -> str:
    why = findings.why_nothing([finding.shown for finding in duet.findings])
    return (
        f"base and head have no {duet.request.suite} benchmarks in common{duet.request.selection} "
        f"(only in head: {len(duet.added)}, only in base: {len(duet.removed)}){': ' if why else ''}{why}; "
        f"{WHAT_HELPS[duet.request.suite]}"
    )


def _nothing_compared(duet: State, compared: record.Duet) -> str:
    """Return the message of a duet without figures: what the findings say, or else what each comparison lacks."""
    reason = findings.why_nothing([finding for finding in compared.findings if finding.code != "left-out"])
    reasons = dict.fromkeys(comparison.reason for comparison in compared.comparisons if comparison.reason)
    advice = next((finding.advice for finding in compared.findings if finding.severity is Severity.WARNING), "")
    why = reason or "; ".join(reasons) or _nothing_in_common(duet)
    return f"nothing could be compared: {why}{'. ' if advice else ''}{advice}"


def _is_settled(duet: State, name: str) -> bool:
    outcomes = duet.samples.outcomes.get(name, [])
    broken = failures.is_broken(outcomes, duet.error)
    return broken or judged.is_settled(name, duet.samples, duet.planned.looks, duet.error)


def _kept(duet: State, why: str) -> Int8BenchError:
    """Save a duet that could not go to its end, and return the error that says why, what it has, and where.

    It cannot go on from there.
    """
    comparisons = _record(duet, complete=False).comparisons if duet.plan is not None else ()
    known = sum(comparison.ratio is not None for comparison in comparisons)
    if known:
        where = f"they are in {duet.output}" if duet.output else "give -o DUET.json to keep them"
        return ended(f"{why}, with {known} comparisons made; {where}", figures=known)
    again = f"{why} before anything could be compared; type the same command to start again"
    return ended(again if why == STOPPED else f"nothing could be compared: {why}", figures=0)


def _save(duet: State) -> None:
    if duet.output is not None:
        _record(duet, complete=False)


def _record(duet: State, *, complete: bool) -> record.Duet:
    """Return the record of the duet so far, which is saved where a path for it was given."""
    silent = {name for name, outcomes in duet.samples.failing.items() if findings.is_not_here(outcomes)}
    compared = {name: kind for name, kind in duet.names.items() if name not in {*silent, *duet.samples.skipped}}
    known = record.Duet(
        base=duet.sides[BASE].title,
        head=duet.sides[HEAD].title,
        complete=complete,
        error_rate=duet.error,
        comparisons=judged.comparisons(
            compared, duet.samples, duet.planned.looks, duet.planned.track_looks, duet.error
        ),
        added=duet.added,
        removed=duet.removed,
        findings=tuple(each.shown for each in (*duet.findings, *findings.of_samples(duet.samples, duet.error))),
        environment={
            "hardware": duet.machine.to_dict(),
            "fingerprint": machine.fingerprint(duet.machine),
            "versions": records.versions(),
        },
        settings={
            "suite": duet.request.suite,
            "select": duet.request.select,
            "select_regex": duet.request.select_regex,
            "benchmarks": duet.request.benchmarks,
            "quick": duet.request.quick,
            "confidence": limits.CONFIDENCE,
            "margin": limits.MARGIN,
            "family_error_rate": duet.request.family_error_rate,
            "measured_s": round(duet.measured_s, 1),
            "plan": duet.planned.to_dict(),
            "variables": [dict(variable.values) for variable in duet.variables],
            "sides": {"base": duet.sides[BASE].to_dict(), "head": duet.sides[HEAD].to_dict()},
            **({"grid": asdict(_grid(duet.request))} if duet.request.suite == GRID else {}),
        },
        samples=duet.samples.to_dict(),
    )
    if duet.output is not None:
        record.save(known, duet.output)
    return known
