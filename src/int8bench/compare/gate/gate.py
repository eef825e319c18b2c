"""The verdict in CI: measures what the policy asks for and has it judged. Opens no file itself, and draws nothing.

Two ways to what changed. With a base revision a duet races both sides now, every metric paired. Without one the present
run is held against the baseline of this very hardware: speed-ups (paired inside each run), peak memory, bytes of
weights, SQNR and top-1 are judged; absolute time and throughput of two runs never are, as their interval does not hold
the drift from run to run (see `compare`). The paired speed-up stands for time there.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from int8bench import machine
from int8bench.compare.comparisons import Metric
from int8bench.compare.gate import baselines
from int8bench.compare.gate.judging import Gate, GateVerdict, judged, red_findings
from int8bench.compare.gate.policy import TABLE, Policy
from int8bench.compare.revisions.revisions import Repository
from int8bench.errors import InterruptedRunError, NothingMeasuredError, RequestError
from int8bench.lab.progress import Advance
from int8bench.study import records
from int8bench.study.cells import OK
from int8bench.study.records import Run

if TYPE_CHECKING:
    from int8bench.compare.duet.record import Duet
    from int8bench.study.plan.request import Request as Asked

PRECISION = 0.005  # half of what a speed-up may lose: a cell that precise leaves its time to the others
PAIRED_ONLY = (Metric.TIME, Metric.THROUGHPUT)  # what two stored runs cannot tell
RUN_FILE = Path("reports") / "gate-run.json"  # the record of the run that was judged last, for `int8bench report`
SHORT_HASH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What a person asked for beside the policy; `folder` is the project's top, where pyproject.toml lies."""

    folder: Path
    base: str | None = None
    suite: str | None = None
    select: str | None = None
    select_regex: str | None = None
    require_baseline: bool = False
    record: bool = False
    quick: bool = False
    budget_s: float | None = None


Made = TypeVar("Made")
Measure = Callable[["Asked", Path, Advance], Run]
Race = Callable[[str], "Duet"]


def run(
    request: GateRequest,
    policy: Policy,
    advance: Advance,
    *,
    race: Race | None = None,
    measure: Measure | None = None,
    fingerprint: str | None = None,
) -> Gate:
    """Measure what the policy asks for, and return the verdict.

    Args:
        request: what was typed.
        policy: what is held.
        advance: told of progress.
        race: races a base revision against HEAD; `duet.study.run` where none is given.
        measure: makes a run; `study.run` where none is given.
        fingerprint: of this hardware; taken where none is given.

    Raises:
        RequestError: the request contradicts itself or the policy, or the baseline is no baseline.
        NothingMeasuredError: nothing was measured that could be judged, or a baseline was required and there is none.
    """
    base = _base(request, policy)
    if base is not None:
        raced = _unless_stopped(partial(race or partial(_duet, request, policy, advance), base))
        return judged(raced, raced.findings, policy, metrics=policy.metrics)
    _check_stored(request, policy)
    here = fingerprint or machine.fingerprint(machine.detect())
    baseline = baselines.load(request.folder, here)
    if baseline is None and request.require_baseline:
        raise NothingMeasuredError(
            f"no baseline of this hardware ({baselines.path_of(request.folder, here)}), and one is required; "
            "record one with: int8bench gate --record"
        )
    measured = _measured(request, policy, advance, measure)
    if not any(cell.status == OK for cell in measured.cells):
        raise NothingMeasuredError("no cell was measured, so there is nothing to judge")
    return _against_baseline(request, policy, measured, baseline)


def _base(request: GateRequest, policy: Policy) -> str | None:
    """Return the revision to race against; None where a baseline is to judge.

    Options for baselines win over the policy's base, and contradict a base that is typed.

    Raises:
        RequestError: both were typed.
    """
    stored = request.require_baseline or request.record
    if request.base is not None and stored:
        option = "--record" if request.record else "--require-baseline"
        raise RequestError(f"{option} is about baselines, and --base {request.base} needs none; leave one of them out")
    return request.base or (None if stored else policy.base)


def _check_stored(request: GateRequest, policy: Policy) -> None:
    """Refuse a request that no baseline can answer.

    Raises:
        RequestError: it is about another suite than the grid, about paired metrics alone, or about some benchmarks.
    """
    for option, given in (("--select", request.select), ("--select-regex", request.select_regex)):
        if given is not None:
            raise RequestError(
                f"{option} {given}: selects what a duet races; type: int8bench gate --base main {option} ..., or "
                f"choose the cells of a baseline by engines, batch and threads in {TABLE}"
            )
    if policy.suite != "grid":
        raise RequestError(f"{TABLE}.suite {policy.suite}: judged by a duet alone; type: int8bench gate --base main")
    if set(policy.metrics) <= set(PAIRED_ONLY):
        raise RequestError(
            f"{TABLE}.metrics {', '.join(policy.metrics)}: judged by a duet alone, as times of two runs drift; "
            "type: int8bench gate --base main, or add speedup"
        )


def _measured(request: GateRequest, policy: Policy, advance: Advance, measure: Measure | None) -> Run:
    """Return a run that is made now.

    It is never continued from another run, whose code may have been another.

    Raises:
        NothingMeasuredError: it was stopped.
    """
    from int8bench.study import study  # torch, which `gate --help` and a duet's coordinator need not
    from int8bench.study.plan.budget import unlimited
    from int8bench.study.plan.request import Request as Asked

    order = Asked(
        model=policy.model,
        input_shape=policy.input_shape,
        engines=policy.engines,
        batches=policy.batch,
        threads=policy.threads,
        data=policy.data,
        precision=PRECISION,
        measuring_s=_budget_s(request, policy),
        quick=request.quick,
    )
    with tempfile.TemporaryDirectory(prefix="int8bench-gate-") as folder:
        # No total: a cell that is left out to keep one would be a cell that is not judged.
        made = measure or partial(study.run, budget=unlimited())
        raced = _unless_stopped(partial(made, order, Path(folder) / "run.json", advance))
    records.save(raced, request.folder / RUN_FILE)
    return raced


def _duet(request: GateRequest, policy: Policy, advance: Advance, base: str) -> "Duet":
    """Return the duet of a base revision and HEAD, raced now."""
    from int8bench.compare.duet import state as asked
    from int8bench.compare.duet import study as duet_study

    order = asked.DuetRequest(
        base=base,
        head="HEAD",
        suite=request.suite or policy.suite,
        select=request.select,
        select_regex=request.select_regex,
        quick=request.quick,
        budget_s=_budget_s(request, policy),
        model=policy.model,
        input_shape=policy.input_shape,
        data=policy.data,
        batches=policy.batch,
        threads=policy.threads,
        error_rate=policy.error_rate,
        family_error_rate=policy.family_error_rate,
        folder=request.folder.absolute(),
    )
    if policy.engines is not None:
        order = replace(order, engines=policy.engines)
    return duet_study.run(order, None, advance)


def _budget_s(request: GateRequest, policy: Policy) -> float | None:
    """Return the seconds of measuring that were typed, else the policy's; None where there is neither.

    With --quick the policy's do not count, as --quick alone has a budget of its own.
    """
    return request.budget_s if request.quick or request.budget_s is not None else policy.budget_s


def _unless_stopped(work: Callable[[], Made]) -> Made:
    """Return the result of some work.

    Raises:
        NothingMeasuredError: it was stopped: half a measurement is not judged, and not continued, as by then the
            code may be another.
    """
    try:
        return work()
    except InterruptedRunError as error:
        raise NothingMeasuredError(
            f"not judged: {str(error).rpartition('; ')[0]}; type the same command to start again"
        ) from error


def _against_baseline(request: GateRequest, policy: Policy, head: Run, baseline: Run | None) -> Gate:
    commit = _commit(request.folder)
    gate = _first(request, policy, head, commit) if baseline is None else _held(request, policy, head, baseline, commit)
    path = baselines.path_of(request.folder, head.environment.fingerprint)
    if request.record or gate.verdict is GateVerdict.RECORDED:
        baselines.record(head, request.folder, commit=commit)
        return replace(gate, reasons=(*gate.reasons, f"recorded as the baseline of this hardware: {path}"))
    return gate


def _first(request: GateRequest, policy: Policy, head: Run, commit: str | None) -> Gate:
    """Return the answer for a run on hardware without a baseline.

    The run is recorded where no finding is red, and not judged.
    """
    here = head.environment.fingerprint
    foreign = baselines.others(request.folder, here)
    red = red_findings(head.findings, policy)
    reasons = [f"no baseline of this hardware ({here}): nothing to judge by", *red]
    if foreign:
        reasons.append(f"baselines of other hardware do not judge this one: {', '.join(foreign)}")
    if red and not request.record:
        reasons.append("not recorded, as a finding is red; with --record it is all the same")
    return Gate(
        verdict=GateVerdict.FAIL if red else GateVerdict.RECORDED,
        reasons=tuple(reasons),
        base="none",
        head=_named("this run", commit),
        complete=head.complete,
        error_rate=policy.error_rate,
        comparisons=(),
        added=(),
        removed=(),
        notes=(),
        findings=tuple(head.findings),
        policy=policy,
    )


def _held(request: GateRequest, policy: Policy, head: Run, baseline: Run, commit: str | None) -> Gate:
    """Return the verdict on a run that is held against its baseline."""
    from int8bench.compare.stored import compare

    name = baselines.path_of(request.folder, baseline.environment.fingerprint).name
    compared = compare(
        baseline,
        head,
        base=_named(f"baseline {name}", baselines.commit_of(baseline)),
        head=_named("this run", commit),
        error_rate=policy.error_rate,
        family_error_rate=policy.family_error_rate,
    )
    metrics = [metric for metric in policy.metrics if metric not in PAIRED_ONLY]
    return judged(compared, head.findings, policy, metrics=metrics, notes=compared.notes)


def _commit(folder: Path) -> str | None:
    """Return the commit that is checked out, marked where the tree has changes; None outside a repository."""
    try:
        repository = Repository.around(folder)
        commit = repository.commit("HEAD")
    except RequestError:
        return None
    return f"{commit}-dirty" if repository.is_dirty() else commit


def _named(what: str, commit: str | None) -> str:
    if commit is None:
        return what
    marked = "-dirty" if commit.endswith("-dirty") else ""
    return f"{what} ({commit[:SHORT_HASH]}{marked})"
