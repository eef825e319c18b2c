"""The loop that measures: launch after launch, its tasks in forks, until all is settled or the time is up.

Opens no file itself and draws nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from int8bench import units
from int8bench.errors import LabError
from int8bench.lab import sampling
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.launches import SETUP_TIMEOUT_S, Fork, Launch, launched
from int8bench.lab.session import seed_of_fork, shuffled
from int8bench.stats.limits import LAUNCHES_OF_A_PLAN
from int8bench.study import figures
from int8bench.study.plan import fitting
from int8bench.study.plan.budget import SHORTEST_S, TimeIsUp
from int8bench.study.plan.forecast import TOGETHER, Spent
from int8bench.study.racing import SHARE, far_behind
from int8bench.study.session import checking, worker
from int8bench.study.session.session import Session
from int8bench.workload.cases import INT8, Case, Group
from int8bench.workload.subject import order_for


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What one fork is for, and how long it was foreseen to take."""

    group: Group
    foreseen_s: float
    work: Callable[[Launch], None]


def measure(session: Session) -> None:
    """Run launch after launch, a few at a time; a group that has settled at a look is left out from then on.

    Raises:
        LabError: a launch did not start, or died.
    """
    try:
        for look, launches in session.blocks(session.plan.looks.launches, session.plan.budget_s):
            groups = [group for group in session.groups() if not _settled(session, group, look)]
            if not groups:
                break
            session.expect(groups)
            _measure_until(session, groups, launches)
            session.save()
    except TimeIsUp:
        pass  # what is measured until here is the answer
    session.end()


def _measure_until(session: Session, groups: Sequence[Group], launches: range) -> None:
    """Run the launches up to the next look.

    Raises:
        LabError: a launch did not start, or died.
        TimeIsUp: there is no time for one more.
    """
    indexes = [i for i in launches if i == 0 or _tasks(session, groups, i)]
    while indexes:
        session.launch = indexes[0]
        session.fit(groups, fewest=LAUNCHES_OF_A_PLAN if indexes[0] == 0 else fitting.LEAST_LAUNCHES)
        together = _that_fit(session, groups, indexes[:TOGETHER])
        if not together:
            raise TimeIsUp
        _measure_together(session, groups, together)
        indexes = [i for i in indexes[len(together) :] if _tasks(session, groups, i)]


def _that_fit(session: Session, groups: Sequence[Group], indexes: Sequence[int]) -> Sequence[int]:
    """Return as many of some launches as there is time for; those that a verdict needs are begun in any case."""
    agenda = session.agenda()
    cases = [case for case in session.all_live() if case.group in groups]
    for count in range(len(indexes), 0, -1):
        starting_s = session.pace.launch_s(session.prepared(), count)
        tasks_s = sum(agenda.launch_s(cases, index) for index in indexes[:count])
        if starting_s + tasks_s <= session.budget.left_s():
            return indexes[:count]
    return [index for index in indexes if index < fitting.LEAST_LAUNCHES]


def _measure_together(session: Session, groups: Sequence[Group], indexes: Sequence[int]) -> None:
    variants = session.prepared()
    order = order_for(session.subject, variants, session.files)
    setup = Setup(function=worker.prepare, payload=order)
    foreseen_s = session.pace.launch_s(variants, len(indexes))
    session.tell(_starting(indexes, foreseen_s))
    before_s = session.budget.clock()
    try:
        with launched(
            indexes, setup, settings=ProcessSettings(), timeout_s=session.budget.limit_s(SETUP_TIMEOUT_S)
        ) as launches:
            started_s = session.budget.clock()
            slower = (started_s - before_s) / max(foreseen_s, SHORTEST_S)
            session.pace = replace(session.pace, slowness=session.pace.slowness * slower)
            session.started = indexes[-1] + 1
            session.step(foreseen_s)
            for launch in launches:
                _measure_launch(session, groups, launch)
            session.measured_s += session.budget.clock() - started_s
    except LabError:
        if session.budget.is_over():
            raise TimeIsUp from None
        raise


def _starting(indexes: Sequence[int], foreseen_s: float) -> str:
    which = f"process {indexes[0] + 1}" if len(indexes) == 1 else f"processes {indexes[0] + 1} to {indexes[-1] + 1}"
    return f"starting measuring {which} (about {units.duration(foreseen_s)})"


def _measure_launch(session: Session, groups: Sequence[Group], launch: Launch) -> None:
    """Run all tasks of a launch, in random order.

    Raises:
        LabError: the launch died.
        TimeIsUp: no time is left.
    """
    session.launch = launch.index
    if launch.index == 0:
        checking.check(session, launch)
        session.fit(groups, fewest=LAUNCHES_OF_A_PLAN)
        session.expect(groups)
    tasks = _tasks(session, groups, launch.index)
    for group in groups:
        _forget_partial(session, group, launch.index)
    for task in shuffled(tasks, session.rng):
        if session.budget.is_over():
            raise TimeIsUp
        before_s = session.budget.clock()
        task.work(launch)
        spent = Spent(took_s=session.budget.clock() - before_s, foreseen_s=task.foreseen_s)
        session.pace = session.pace.learned(task.group, spent)
        session.step(task.foreseen_s * session.pace.drift(task.group))
        session.fit(groups)
    session.launch = launch.index + 1
    session.paced += bool(tasks)  # in a run that goes on, the first launch may have checks alone


def _tasks(session: Session, groups: Sequence[Group], index: int) -> list[_Task]:
    """Return the tasks that launch `index` has still to do: one a fork."""
    return [*_solo_tasks(session, index), *_race_tasks(session, groups, index)]


def _race_tasks(session: Session, groups: Iterable[Group], index: int) -> Iterator[_Task]:
    for group in groups:
        live = session.live(group)
        if live and session.ledger.forks_done(live, index) < session.plan.forks:
            foreseen_s = session.pace.race_s(live, session.plan)
            for fork in range(session.plan.forks):
                yield _Task(group=group, foreseen_s=foreseen_s, work=partial(_race, session, group, fork))


def _solo_tasks(session: Session, index: int) -> Iterator[_Task]:
    if index < session.plan.replicates:
        for case in session.all_live():
            if not session.ledger.has_solo(case.id, index):
                foreseen_s = session.pace.solo_s(case, session.plan, len(session.usable))
                yield _Task(group=case.group, foreseen_s=foreseen_s, work=partial(_solo, session, case))


def _forget_partial(session: Session, group: Group, index: int) -> None:
    """Drop a group's forks of an interrupted launch: they belong to one process, and come all anew."""
    if session.ledger.forks_done(session.live(group), index) < session.plan.forks:
        session.ledger.forget(session.live(group), index)


def _race(session: Session, group: Group, fork: int, launch: Launch) -> None:
    cases = session.live(group)
    if not cases:
        return
    session.tell(f"racing {group.label}")
    try:
        raced = _raced(session, launch, cases)
    except LabError as error:
        _blame(session, launch, cases, error)
        _race(session, group, fork, launch)  # of who is left: one fewer at least, so this ends
    else:
        session.ledger.add_race(cases, raced, launch=launch.index, fork=fork)


def _raced(session: Session, launch: Launch, cases: Sequence[Case]) -> sampling.Race:
    """Return one fork's race of cases of one group.

    Raises:
        LabError: it died, hung, or a contender answered wrongly.
    """
    group, variants = cases[0].group, tuple(case.variant for case in cases)
    seed = seed_of_fork(session.rng)
    behind = far_behind(cases, session.ledger.races, before=launch.index)
    every = {case.variant: SHARE for case in behind}
    order = worker.RaceOrder(variants=variants, group=group, durations=session.plan.durations, seed=seed, every=every)
    cores = cores_for(threads=group.threads, launch=launch.index, usable=session.usable)
    fork = launch.fork(worker.race, order, cores=cores)
    return fork.result(session.timeout_s(session.pace.race_s(cases, session.plan) * session.pace.drift(group)))


def _blame(session: Session, launch: Launch, cases: Sequence[Case], reason: LabError) -> None:
    """Fail the contenders that cannot run on their own, after a race that died; where all can, fail the whole group.

    Each int8 contender runs beside a float32 that can, as its answers are held against that one's.

    Raises:
        LabError: the launch itself is gone, and nobody is to blame.
        TimeIsUp: the run's time is over, and nobody is to blame.
    """
    guilty: dict[Case, LabError] = {}
    company: tuple[Case, ...] = ()
    for case in sorted(cases, key=lambda each: each.variant.precision == INT8):
        is_int8 = case.variant.precision == INT8
        if session.budget.is_over():
            raise TimeIsUp
        try:
            _raced(session, launch, [*(company if is_int8 else ()), case])
        except LabError as error:
            guilty[case] = error
        else:
            company = company if is_int8 else (case,)
    checking.alive(session, launch)
    for case, why in (guilty or dict.fromkeys(cases, reason)).items():
        session.give_up([case], why, "its race")


def _solo(session: Session, case: Case, launch: Launch) -> None:
    """Measure one contender alone: cold, memory, and its throughput with as many streams as the cores carry."""
    if case.id in session.ledger.stopped:
        return
    session.tell(f"measuring alone: {case.variant.label}, {case.group.label}")
    forks: list[Fork[worker.Stream]] = []
    try:
        alone = _streams(session, launch, case, forks)
        until = sampling.shared_now() + session.plan.load_s
        for fork in forks:
            fork.line.send(until)
        shares = [fork.result(session.timeout_s(session.plan.load_s)) for fork in forks]
        idle = launch.fork(worker.idle, None).result(session.timeout_s())
    except LabError as error:
        checking.alive(session, launch)
        session.give_up([case], error, "its measurement alone")
    else:
        session.ledger.add_solo(case, alone, shares, idle_bytes=idle, launch=launch.index)
    finally:
        for fork in forks:
            fork.end()


def _streams(session: Session, launch: Launch, case: Case, forks: list[Fork[worker.Stream]]) -> worker.Alone:
    """Start as many streams as the cores carry, into `forks`; return the figures of the first while it was alone.

    The others start together, or a machine of many cores would spend its time on starting them.

    Raises:
        LabError: one of them died or hung.
    """
    order = worker.SoloOrder(variant=case.variant, group=case.group, seed=seed_of_fork(session.rng))

    def start(stream: int) -> None:
        cores = cores_for(threads=case.group.threads, launch=launch.index + stream, usable=session.usable)
        forks.append(launch.fork(worker.alone, order, cores=cores))

    start(0)
    alone = forks[0].heard(worker.Alone, session.timeout_s())
    for stream in range(1, len(session.usable) // case.group.threads):
        start(stream)
    for fork in forks[1:]:
        fork.heard(worker.Alone, session.timeout_s())
    return alone


def _settled(session: Session, group: Group, look: int) -> bool:
    asked = session.request.precision
    return look > 0 and figures.settled(group, session.cases, session.ledger, session.plan, precision=asked)
