"""What a pair of launches is for: benchmarks opened on both sides, raced, tracked or tried, and what became of each."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from int8bench.compare.duet import pairs
from int8bench.compare.duet.failures import Outcome, Stage, is_breaking
from int8bench.compare.duet.pairs import BASE, HEAD, SIDES
from int8bench.compare.duet.plan import FORK_S, TRACK_S
from int8bench.compare.duet.samples import Load, PairedFork, TrackedNumbers
from int8bench.compare.duet.state import GRID, State
from int8bench.compare.revisions.asv_configuration import Variables
from int8bench.errors import LabError
from int8bench.lab.agent.suites.suite import TIME
from int8bench.lab.agent.wire import First, Sustain, Sustained
from int8bench.lab.environment import cores_for
from int8bench.lab.peers import (
    ENTER_TIMEOUT_S,
    FINISH_TIMEOUT_S,
    SILENT,
    LaunchLostError,
    PeerLaunch,
    SideSkippedError,
    StrayedError,
    Turns,
)
from int8bench.lab.session import heap_shift, shuffled
from int8bench.study import records

PATIENCE, SHORTEST_PATIENCE_S = 20.0, 10.0  # times what the other side took; and with a short call
_THREADS = re.compile(r"/t(\d+)(?:#|$)")  # of a grid's ids

Launches = Sequence[PeerLaunch]
Faults = Mapping[int, str]
"""Why a benchmark failed, by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """What came of a benchmark that was open on both sides: who failed, and how the rest is kept."""

    faults: Faults
    keep: Callable[[], None]
    stage: Stage = Stage.CALL
    """How far it came where somebody failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """A benchmark that was open on one side alone: how far it came, why it failed there, and what each stage took."""

    stage: Stage
    fault: str | None
    took_s: Mapping[Stage, float]


Work = Callable[[Sequence[Turns]], Worked]
Tried = Life | SideSkippedError | StrayedError | LabError
"""What became of a benchmark on one side alone, or why it has no figure there."""


def serve(duet: State, launches: Launches, index: int, variables: Variables, unsettled: Sequence[str]) -> None:
    """Do the work of a pair of launches, in random order.

    Args:
        duet: where the duet stands; what is measured is kept there.
        launches: base's and head's.
        index: of the pair of launches.
        variables: the environment variables of these launches; benchmarks of other ones are left out.
        unsettled: the rows of timed benchmarks that have no verdict yet.
    """
    mine = [name for name in unsettled if duet.rows[name].variables is variables]
    share = len(duet.live(TIME)) / max(1, len(unsettled))  # the time of what has settled goes where it is unclear
    race_s = duet.planned.durations.race_s * share
    tasks = [
        (duet.fresh.get(name, FORK_S + race_s), partial(_timed, duet, launches, index, name, race_s)) for name in mine
    ]
    if index < duet.planned.track_launches:
        tracked = [name for name in duet.live("track") if duet.rows[name].variables is variables]
        tasks += [(TRACK_S, partial(track, duet, launches, index, name)) for name in tracked]
        loaded = [name for name in _loaded(duet) if duet.rows[name].variables is variables]
        tasks += [(2 * TRACK_S, partial(_load, duet, launches, index, name)) for name in loaded]
    for cost_s, work in shuffled(tasks, duet.rng):
        started = time.monotonic()
        work()
        duet.measured_s += time.monotonic() - started
        duet.done += cost_s


def attempt(duet: State, launches: Launches, index: int, name: str) -> None:
    """Open a benchmark and call it once on one side, and then on the other, to see which fails though it is alone.

    What two processes cannot have at a time, such as a port or a file that a teardown removes, fails on one side of
    every race, whatever is in head.

    Args:
        duet: where the duet stands; the outcome is noted there.
        launches: base's and head's.
        index: of the pair of launches.
        name: the benchmark's row.
    """
    if name not in duet.samples.gone:
        duet.tell(f"trying {name}, launch {index + 1}")
        lives = {side: _tried(duet, launches[side], index, name) for side in duet.rng.permutation(SIDES).tolist()}
        _note_lives(duet, index, name, lives)


def attempts(
    duet: State, launch_of: Callable[[int], AbstractContextManager[PeerLaunch]], index: int, names: Sequence[str]
) -> None:
    """Open benchmarks and call each once in a launch of one side, and then in one of the other.

    So a side is alone with what its suite takes while it is imported, too.

    Args:
        duet: is told.
        launch_of: opens a launch of a side.
        index: of the launch.
        names: the benchmarks' rows.
    """
    tried: dict[str, dict[int, Tried]] = {name: {} for name in names}
    for side in duet.rng.permutation(SIDES).tolist():
        with launch_of(side) as launch:
            for name in names:
                duet.tell(f"trying {name}, launch {index + 1}")
                tried[name][side] = _tried(duet, launch, index, name)
    for name, lives in tried.items():
        _note_lives(duet, index, name, lives)


def _tried(duet: State, launch: PeerLaunch, index: int, name: str) -> Tried:
    """Return the life of a benchmark on one side, or the reason why it has no figure there."""
    try:
        return _alone(duet, launch, index, name)
    except (SideSkippedError, StrayedError, LabError) as reason:
        return reason


def _note_lives(duet: State, index: int, name: str, tried: Mapping[int, Tried]) -> None:
    """Note the outcome of a benchmark that was tried on both sides, at the first stage at which one failed."""
    lives = {side: each for side, each in tried.items() if isinstance(each, Life)}
    try:
        for each in tried.values():
            if isinstance(each, StrayedError | LabError):
                raise each
        _refuse_skipped({side: str(each) for side, each in tried.items() if isinstance(each, SideSkippedError)})
        stage = min((life.stage for life in lives.values()), key=list(Stage).index)
        faults = {side: each.fault for side, each in lives.items() if each.stage is stage and each.fault is not None}
        took_s = {side: each.took_s[stage] for side, each in lives.items() if stage in each.took_s}
        _wait_less(duet, name, stage, faults, took_s)
        duet.samples.note(name, Outcome(launch=index, stage=stage, base=faults.get(BASE), head=faults.get(HEAD)))
    except (SideSkippedError, StrayedError, LabError) as error:
        _leave_out(duet, name, error, counts=True)


def _alone(duet: State, launch: PeerLaunch, index: int, name: str) -> Life:
    """Return the life of a benchmark on one side: opened, called once where there is something to call, and ended."""
    cores = _cores(duet, name, index)
    took_s: dict[Stage, float] = {}
    stage = Stage.OPEN
    turns: Turns | None = None
    started = time.monotonic()
    try:
        turns = _entered(duet, launch, name, cores)
        took_s[stage] = time.monotonic() - started
        if duet.rows[name].kind == TIME:
            stage = Stage.FIRST
            took_s[stage] = turns.ask(First(cores=cores), _patience_s(duet, name, stage)).first_s
        stage = Stage.CALL
        turns.finish(FINISH_TIMEOUT_S)
    except LaunchLostError:
        raise
    except LabError as error:
        return Life(stage=stage, fault=str(error), took_s=took_s)
    finally:
        if turns is not None:
            turns.end()
    return Life(stage=stage, fault=None, took_s=took_s)


def track(duet: State, launches: Launches, index: int, name: str) -> None:
    """Keep the numbers that both sides give in a launch.

    What has failed on head alone in every launch is tried on one side at a time instead.

    Args:
        duet: where the duet stands; the numbers are kept there.
        launches: base's and head's.
        index: of the pair of launches.
        name: the benchmark's row.
    """
    if is_breaking(duet.samples.outcomes.get(name, [])):
        attempt(duet, launches, index, name)
        return

    def work(turns: Sequence[Turns]) -> Worked:
        base, head = (dict(turn.values or {}) for turn in turns)
        numbers = TrackedNumbers(launch=index, base=base, head=head)
        return Worked(faults={}, keep=lambda: duet.samples.numbers.setdefault(name, []).append(numbers))

    duet.tell(f"tracking {name}")
    guarded(duet, launches, index, name, work)


def guarded(duet: State, launches: Launches, index: int, name: str, work: Work, *, streams: int | None = None) -> None:
    """Open a benchmark on both sides, do the work, end the processes, and note the outcome.

    A fault is never compared: where a side fails, nothing of this launch is kept but that.

    Args:
        duet: is told.
        launches: base's and head's.
        index: of the launch.
        name: the benchmark's row.
        work: is done with base's and head's turns, stream after stream.
        streams: how many of each side are opened; None for one, whose outcome counts.
    """
    if name in duet.samples.gone:
        return
    turns: list[Turns] = []
    try:
        stage, faults, keep = _worked(duet, launches, index, name, work, turns, streams or 1)
        if not faults:
            keep()
        if streams is None:
            outcome = Outcome(launch=index, stage=stage, base=faults.get(BASE), head=faults.get(HEAD))
            duet.samples.note(name, outcome)
    except (SideSkippedError, StrayedError, LabError) as error:
        _leave_out(duet, name, error, counts=streams is None)
    finally:
        for each in turns:
            each.end()


def _leave_out(duet: State, name: str, error: Exception, *, counts: bool) -> None:
    """Note the reason why a benchmark has no figure; of streams that fail under load the times are still there."""
    samples, reason = duet.samples, str(error)
    if isinstance(error, SideSkippedError):
        samples.drop(name, reason, among=samples.skipped)
    elif isinstance(error, StrayedError):
        samples.drop(name, reason, among=samples.strayed)
    elif isinstance(error, LaunchLostError) or not counts:
        samples.lost[name] = reason
    else:
        samples.drop(name, reason, among=samples.stopped)


def _worked(
    duet: State, launches: Launches, index: int, name: str, work: Work, turns: list[Turns], streams: int
) -> tuple[Stage, Faults, Callable[[], None]]:
    """Return the stage that a benchmark reached, the faults there by side, and what keeps the rest."""
    for stream in range(streams):
        faults = _open(duet, launches, name, _cores(duet, name, index + stream), turns)
        if faults:
            return Stage.OPEN, faults, _nothing
    done = work(turns)
    if done.faults and done.stage is not Stage.CALL:
        return done.stage, done.faults, _nothing
    return Stage.CALL, {**done.faults, **_finished(duet, turns, done.faults)}, done.keep


def _open(duet: State, launches: Launches, name: str, cores: tuple[int, ...], turns: list[Turns]) -> Faults:
    """Open a benchmark on both sides, in random order, and return the faults by side.

    The turns of base, and then those of head, are added to `turns`.

    Raises:
        SideSkippedError: a side says that it cannot be measured there, whatever the other says.
        StrayedError: a side measures what is not its own.
        LaunchLostError: a launch is gone.
        LabError: both sides hang.
    """
    opened: dict[int, Turns] = {}
    took_s: dict[int, float] = {}
    faults: dict[int, str] = {}
    skipped: dict[int, str] = {}
    try:
        for side in duet.rng.permutation(SIDES).tolist():
            started = time.monotonic()
            try:
                opened[side] = _entered(duet, launches[side], name, cores)
                took_s[side] = time.monotonic() - started
            except SideSkippedError as reason:
                skipped[side] = str(reason)
            except LaunchLostError:
                raise
            except LabError as error:
                faults[side] = str(error)
    finally:
        turns += [opened[side] for side in SIDES if side in opened]
    _refuse_skipped(skipped)
    _wait_less(duet, name, Stage.OPEN, faults, took_s)
    return faults


def _entered(duet: State, launch: PeerLaunch, name: str, cores: tuple[int, ...]) -> Turns:
    timeout_s = _patience_s(duet, name, Stage.OPEN)
    return launch.enter(duet.rows[name].name, cores=cores, shift=heap_shift(duet.rng), timeout_s=timeout_s)


def _refuse_skipped(skipped: Mapping[int, str]) -> None:
    """Refuse a benchmark that a side skips, with the reasons in the order of the sides.

    Raises:
        SideSkippedError: a side does.
    """
    if skipped:
        raise SideSkippedError("; ".join(skipped[side] for side in SIDES if side in skipped))


def _patience_s(duet: State, name: str, stage: Stage) -> float:
    """Return the seconds that a benchmark may be silent at a stage."""
    most = max(duet.request.timeout_s, ENTER_TIMEOUT_S) if stage is Stage.OPEN else duet.request.timeout_s
    return min(most, duet.patience_s.get((name, stage), most))


def _wait_less(duet: State, name: str, stage: Stage, faults: Faults, took_s: Mapping[int, float]) -> None:
    """Give a benchmark that hung on one side less time from now on: many times what the other side needed.

    Seven launches have to be waited for until it is called broken.

    Raises:
        LabError: both sides hang, so that there is nothing to hold against each other.
    """
    silent = [side for side, reason in faults.items() if SILENT in reason]
    if len(silent) == len(SIDES):
        raise LabError("; ".join(faults[side] for side in SIDES))
    if silent and took_s:
        duet.patience_s[name, stage] = max(SHORTEST_PATIENCE_S, PATIENCE * max(took_s.values()))


def _finished(duet: State, turns: Sequence[Turns], faults: Faults) -> Faults:
    """Let benchmarks that did not fail go on to their end, and return the faults there by side.

    The order of the sides is random.

    Raises:
        SideSkippedError: a side says now that it cannot be measured, whatever the other says.
        StrayedError: a side measured what is not its own; base's, where both did.
    """
    faulty: dict[int, str] = {}
    skipped: dict[int, str] = {}
    strayed: dict[int, StrayedError] = {}
    for side in duet.rng.permutation(SIDES).tolist():
        for each in turns[side :: len(SIDES)]:
            if side not in faults and side not in faulty:
                try:
                    each.finish(FINISH_TIMEOUT_S)
                except SideSkippedError as reason:
                    skipped[side] = str(reason)
                except StrayedError as error:
                    strayed[side] = error
                except LabError as error:
                    faulty[side] = str(error)
    _refuse_skipped(skipped)
    if strayed:
        raise strayed[min(strayed)]
    return faulty


def _nothing() -> None:
    """Keep nothing."""


def _first(duet: State, index: int, name: str, turns: Sequence[Turns]) -> Worked | None:
    """Return the outcome of the first calls where one failed; None where both answered, or there is nothing to call."""
    if duet.rows[name].kind != TIME:
        return None
    timeout_s = _patience_s(duet, name, Stage.FIRST)
    called = pairs.first(turns, rng=duet.rng, timeout_s=timeout_s, cores=_cores(duet, name, index))
    _wait_less(duet, name, Stage.FIRST, called.faults, called.seconds)
    return Worked(faults=called.faults, keep=_nothing, stage=Stage.FIRST) if called.faults else None


def _timed(duet: State, launches: Launches, index: int, name: str, race_s: float) -> None:
    """Race a benchmark, or try it where it has failed on head alone in every launch, which takes less time."""
    if is_breaking(duet.samples.outcomes.get(name, [])):
        attempt(duet, launches, index, name)
    else:
        _race(duet, launches, index, name, race_s)


def _race(duet: State, launches: Launches, index: int, name: str, race_s: float) -> None:
    durations = pairs.PairDurations(
        warmup_s=duet.planned.durations.warmup_s, race_s=race_s, timeout_s=duet.request.timeout_s
    )

    def work(turns: Sequence[Turns]) -> Worked:
        if (failed := _first(duet, index, name, turns)) is not None:
            return failed
        raced = pairs.race(turns, durations, rng=duet.rng, fresh=name in duet.fresh)
        return Worked(faults=raced.faults, keep=partial(_keep_fork, duet, name, index, raced))

    duet.tell(f"racing {name}, launch {index + 1} of {duet.planned.launches}")
    started = time.monotonic()
    guarded(duet, launches, index, name, work)
    if name in duet.fresh:
        _foresee(duet, name, index, time.monotonic() - started)


def _foresee(duet: State, name: str, index: int, took_s: float) -> None:
    """Expect the launches to come of a benchmark of fresh processes to be as long as this one was.

    The time of such processes cannot be chosen.
    """
    duet.total += (took_s - duet.fresh[name]) * (duet.planned.launches - index - 1)
    duet.fresh[name] = took_s


def _keep_fork(duet: State, name: str, index: int, raced: pairs.PairRace) -> None:
    log_ratio = raced.log_ratio
    if log_ratio is None:
        return
    fork = PairedFork(
        launch=index,
        fork=0,
        calls=raced.calls,
        base_s=records.rounded(raced.base_s),
        head_s=records.rounded(raced.head_s),
        kept=tuple(int(each) for each in raced.kept),
        log_ratio=log_ratio,
    )
    duet.samples.forks.setdefault(name, []).append(fork)


def _loaded(duet: State) -> list[str]:
    """Return the grid's cells of which several streams fit on this machine.

    With one stream, throughput is the time again.
    """
    if duet.request.suite != GRID or duet.planned.load_s is None:
        return []
    return [name for name in duet.live(TIME) if len(duet.usable) // _threads(duet, name) > 1]


def _load(duet: State, launches: Launches, index: int, name: str) -> None:
    streams = len(duet.usable) // _threads(duet, name)
    assert duet.planned.load_s is not None
    load_s = duet.planned.load_s

    def work(turns: Sequence[Turns]) -> Worked:
        by_side = [turns[::2], turns[1::2]]
        log_ratio = pairs.sustained(by_side, load_s=load_s, timeout_s=duet.request.timeout_s, together=_together)
        load = Load(launch=index, log_ratio=log_ratio)
        return Worked(faults={}, keep=lambda: duet.samples.loads.setdefault(name, []).append(load))

    duet.tell(f"loading {name}")
    guarded(duet, launches, index, name, work, streams=streams)


def _together(streams: Sequence[Turns], request: Sustain, timeout_s: float) -> list[Sustained]:
    """Ask all streams before waiting for one, and return their answers."""
    for stream in streams:
        stream.say(request)
    return [stream.hear(request.answer, timeout_s) for stream in streams]


def _threads(duet: State, name: str) -> int:
    match = _THREADS.search(name)
    return int(match[1]) if match and duet.request.suite == GRID else 1


def _cores(duet: State, name: str, index: int) -> tuple[int, ...]:
    """Return the cores that both sides share, in an order that moves on from launch to launch.

    A suite other than the grid may use all of them.
    """
    if duet.request.suite != GRID:
        first = index % len(duet.usable)
        return duet.usable[first:] + duet.usable[:first]
    return cores_for(threads=_threads(duet, name), launch=index, usable=duet.usable)
