"""Two stored runs held against each other: what may be compared, what came of it, where they differ. Pure.

- Speed-ups, always: each was taken inside its own run, so the clock of that day is in both its sides.
- Bytes of weights, always: they are the same on every machine.
- Peak memory, SQNR and top-1, on the same hardware only; SQNR and top-1 of the same weights and pictures only.
- Time and throughput, on the same hardware only, and shown without a verdict: their interval holds the launches of
  either run, not what changes from run to run (METHOD: tens of percent on shared machines). A duet judges them, paired.

Only int8 cells are compared; the float32 of a run is in it as what the speed-up is over.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from int8bench import documents
from int8bench.compare.comparisons import Changed, Comparison, Differences, Metric, SideRatio, shared, worded
from int8bench.documents import Json, JsonObject
from int8bench.errors import NothingMeasuredError, RecordError, RequestError
from int8bench.machine import Hardware
from int8bench.stats import limits, two_runs
from int8bench.stats.limits import LAUNCHES_FOR_A_VERDICT, Verdict, why_too_few, why_unclear, word
from int8bench.stats.ratio import LaunchTable, comparison_error
from int8bench.stats.two_runs import RunChange
from int8bench.stats.verdict import Looks, nominal_error_at
from int8bench.study.cells import OK, Cell, SoloSample, known
from int8bench.study.findings.chance import TOP1_CHANCE
from int8bench.study.racing import launch_table
from int8bench.study.records import Run
from int8bench.workload.cases import INT8

NOT_JUDGED = (
    "the interval holds the launches of both runs, not the drift from run to run; judge it paired with: int8bench duet"
)
SPEEDUPS_NOTE = (
    "Speed-ups: intervals over the launches of both runs (Welch's error, the smaller run's degrees of freedom). "
    "They do not hold what stays the same within a run and changes from run to run."
)
MEMORY_NOTE = "Peak memory: few replicates a cell, each with the spread of all cells or its own, the larger one."


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared(Changed):
    """What came of it; `notes` says in whole sentences what was left out, and what the intervals hold."""

    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Json]:
        """Return the answer as a JSON document."""
        return documents.written(self)

    @property
    def differences(self) -> Differences:
        """The differences that a report draws."""
        return Differences(**shared(self), notes=self.notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errors:
    """The two-sided errors of a look of both runs: of the interval that is shown, and of the verdict."""

    shown: float
    judged: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Two:
    """The two runs, and the errors of one comparison before any look is counted."""

    old: Run
    new: Run
    looks: tuple[Looks, Looks]
    errors: _Errors
    cells: tuple[tuple[Cell, Cell], ...]
    """(old, new) of each int8 cell that both runs have measured."""

    def at_looks(self, old: int, new: int) -> _Errors:
        """Return the errors of the looks at which the runs stopped: the smaller of both looks' nominal errors.

        Args:
            old: launches of the old run.
            new: launches of the new run.
        """
        reached = tuple(zip(self.looks, (old, new), strict=True))
        shown, judged = (
            min(nominal_error_at(looks, launches, error) for looks, launches in reached)
            for error in (self.errors.shown, self.errors.judged)
        )
        return _Errors(shown=shown, judged=judged)


def compare(
    old: Run,
    new: Run,
    *,
    base: str,
    head: str,
    error_rate: float = limits.ERROR_RATE,
    family_error_rate: float = limits.FAMILY_ERROR_RATE,
) -> Compared:
    """Return the comparison of two stored runs.

    Args:
        old: what is held against.
        new: what is judged.
        base: what the old run is called in sentences.
        head: what the new run is called.
        error_rate: of one verdict.
        family_error_rate: of one wrong verdict or more among all.

    Raises:
        RequestError: the runs are of different models or inputs.
        NothingMeasuredError: they have no measured int8 cell in common.
    """
    check_subjects(old, new, base, head)
    known, seen = ({cell.id: cell for cell in run.cells} for run in (old, new))
    both = [(known[name], cell) for name, cell in seen.items() if name in known and cell.precision == INT8]
    cells = tuple(pair for pair in both if all(cell.status == OK for cell in pair))
    if not cells:
        raise NothingMeasuredError(
            f"{base} and {head} have no int8 cell in common that both measured, so there is nothing to compare; "
            "run both with the same --model, --engines, --batch and --threads"
        )
    machine = differing_hardware(old, new)
    process = _differing(old.environment.process, new.environment.process)
    judged = len(cells) * (1 if machine or process else 2)  # speed-ups, and peak memory where it is comparable
    error = comparison_error(judged, each=error_rate, family=family_error_rate)
    two = _Two(
        old=old,
        new=new,
        looks=(_looks(old, base), _looks(new, head)),
        errors=_Errors(shown=1 - limits.CONFIDENCE, judged=error),
        cells=cells,
    )
    return Compared(
        base=base,
        head=head,
        complete=old.complete and new.complete,
        error_rate=error,
        comparisons=tuple(_comparisons(two, both, same_machine=not machine, same_process=not process)),
        added=tuple(name for name in seen if name not in known),
        removed=tuple(name for name in known if name not in seen),
        notes=tuple(_notes(two, machine, process, base, head)),
    )


def _looks(run: Run, name: str) -> Looks:
    """Return the looks of a run, as its record has them.

    Raises:
        RecordError: they are out of order.
    """
    try:
        return Looks(launches=run.rates.plan.looks)
    except ValueError as error:
        raise RecordError(f"{name}: settings.plan.looks: {error}") from None


def _comparisons(
    two: _Two, both: Sequence[tuple[Cell, Cell]], *, same_machine: bool, same_process: bool
) -> Iterator[Comparison]:
    for pair in both:
        yield _speedup(two, *pair) if pair in two.cells else _missing(*pair)
    if same_machine and same_process:
        yield from (_time(two, *pair) for pair in two.cells)
        yield from _of_replicates(two, Metric.THROUGHPUT, lambda solo: solo.items / solo.seconds)
        yield from _of_replicates(two, Metric.PEAK_MEMORY, lambda solo: solo.peak_bytes - solo.idle_peak_bytes)
    yield from _exact(two, same_answers=same_machine and not differing_answers(two.old, two.new))


def _missing(old: Cell, new: Cell) -> Comparison:
    """Return the comparison of a cell without figures on a side, with the reasons of that side."""
    reasons = [f"{side} {cell.status}: {cell.error}" for side, cell in (("base", old), ("head", new)) if cell.error]
    return Comparison.unclear(old.id, Metric.SPEEDUP, "; ".join(reasons))


def _speedup(two: _Two, old: Cell, new: Cell) -> Comparison:
    """Return the comparison of a cell's speed-up over the best float32 that both runs have."""
    before, after = _tables(two.old, old), _tables(two.new, new)
    shared = [name for name in before if name in after]
    if not shared:
        return Comparison.unclear(old.id, Metric.SPEEDUP, "no float32 cell that both runs measured with it")
    rests_on = [min((tables[name] for name in shared), key=lambda table: table.launches) for tables in (before, after)]
    errors = two.at_looks(*(table.launches for table in rests_on))
    change = two_runs.change_of_smallest(before, after, shown_error=errors.shown, judged_error=errors.judged)
    return _compared(
        old.id,
        Metric.SPEEDUP,
        change,
        error=errors.judged,
        launches=min(table.launches for table in rests_on),
        forks=min(table.forks for table in rests_on),
        pairs=min(table.pairs for table in rests_on),
    )


def _tables(run: Run, cell: Cell) -> dict[str, LaunchTable]:
    """Return log speed-ups (launch, fork) of a cell over each float32 cell of its group, by that cell's id."""
    tables = {
        each.id: launch_table(each.samples.races, cell.samples.races)
        for each in run.cells
        if each.precision != INT8 and (each.batch, each.threads) == (cell.batch, cell.threads) and each.status == OK
    }
    return {name: table for name, table in tables.items() if table is not None}


def _time(two: _Two, old: Cell, new: Cell) -> Comparison:
    """Return the comparison of a cell's median time of one call, launch by launch; it is shown, never judged."""
    means = [_launch_times(cell) for cell in (old, new)]
    launches = min(map(len, means))
    if launches < 2:  # noqa: PLR2004  a spread needs two
        return Comparison.unclear(old.id, Metric.TIME, f"{launches} launches, two or more are needed")
    errors = two.at_looks(*map(len, means))
    change = two_runs.change(two_runs.difference(*means), shown_error=errors.shown, judged_error=errors.judged)
    forks = min(len(cell.samples.races) for cell in (old, new))
    return Comparison.unclear(old.id, Metric.TIME, NOT_JUDGED, ratio=_ratio(change), launches=launches, forks=forks)


def _launch_times(cell: Cell) -> list[float]:
    """Return the log of a cell's median single call (launch,).

    The median is that of each fork, and its log is averaged over the forks of a launch.
    """
    launches: dict[int, list[float]] = {}
    for race in cell.samples.races:
        singles = sorted(race.calls_s)
        if singles:
            launches.setdefault(race.launch, []).append(math.log(singles[len(singles) // 2]))
    return [math.fsum(forks) / len(forks) for forks in launches.values()]


def _of_replicates(two: _Two, metric: Metric, value: Callable[[SoloSample], float]) -> Iterator[Comparison]:
    """Yield the comparisons of a figure with two or three replicates a cell, with one spread for all cells."""
    sides = {pair[0].id: [[value(solo) for solo in cell.samples.solos] for cell in pair] for pair in two.cells}
    usable = {name: both for name, both in sides.items() if all(len(side) > 1 and min(side) > 0 for side in both)}
    pooled = two_runs.pooled(
        {name: (list(map(math.log, old)), list(map(math.log, new))) for name, (old, new) in usable.items()}
    )
    for name, (old, new) in sides.items():
        if name not in pooled:  # a peak that is no higher than an idle process has no ratio, and nothing went wrong
            continue
        change = two_runs.change(pooled[name], shown_error=two.errors.shown, judged_error=two.errors.judged)
        replicates = min(len(old), len(new))
        if metric is Metric.THROUGHPUT:
            yield Comparison.unclear(
                name, metric, NOT_JUDGED, ratio=_ratio(change), launches=replicates, forks=replicates
            )
        else:
            yield _compared(
                name, metric, change, error=two.errors.judged, launches=replicates, forks=replicates, pairs=0
            )


def _exact(two: _Two, *, same_answers: bool) -> Iterator[Comparison]:
    """Yield the comparisons of figures without noise, once an engine: bytes of weights, SQNR and top-1."""
    variants = {cell.id.rpartition("/b")[0]: (old, cell) for old, cell in reversed(two.cells)}
    for name, (old, new) in sorted(variants.items()):
        yield _point(name, Metric.WEIGHTS, *(float(known(cell.memory_bytes).weights) for cell in (old, new)))
        if not same_answers:
            continue
        fidelities = [known(cell.fidelity) for cell in (old, new)]
        for metric, values in (
            (Metric.SQNR, [fidelity.sqnr_db for fidelity in fidelities]),
            (Metric.TOP1, [fidelity.top1 for fidelity in fidelities]),
        ):
            if _proves_nothing(two, metric, (old, new)):
                continue
            if metric is Metric.SQNR or None not in values:  # no top-1 where pictures have no labels
                yield _point(name, metric, *(math.inf if value is None else float(value) for value in values))


def _proves_nothing(two: _Two, metric: Metric, cells: Sequence[Cell]) -> bool:
    """Tell whether a figure of answers is chance, or of answers that no picture changes, on either side."""
    if metric is Metric.TOP1:
        return any(finding.code == TOP1_CHANCE for run in (two.old, two.new) for finding in run.findings)
    return any(known(cell.fidelity).constant_float32 for cell in cells)


def _point(name: str, metric: Metric, old: float, new: float) -> Comparison:
    """Return the comparison of two figures without noise: any difference is sure, and the interval is a point.

    No SQNR at all means that the answers are exact: infinitely many decibels, of which any number is a share of 0.
    """
    verdict = Verdict.SAME if old == new else Verdict.ABOVE if new > old else Verdict.BELOW
    if old == new:
        value = 1.0
    elif old > 0:
        value = 0.0 if math.isinf(old) else max(0.0, new / old)
    else:
        value = math.inf
    known = math.isfinite(value)
    return Comparison(
        id=name,
        metric=metric,
        verdict=worded(verdict, metric),
        ratio=SideRatio(value=value, low=value, high=value) if known else None,
        launches=1,
        forks=1,
        pairs=0,
        smallest_visible_effect=0.0,
        reason=None if known else f"no ratio of {new:g} to {old:g}",
    )


def _ratio(change: RunChange) -> SideRatio:
    """Return the change between two runs as the ratio of a comparison."""
    return SideRatio(value=change.value, low=change.low, high=change.high)


def _compared(
    name: str, metric: Metric, change: RunChange, *, error: float, launches: int, forks: int, pairs: int
) -> Comparison:
    """Return the comparison with the verdict that the judged interval allows.

    An interval outside 1 is a difference, one inside the margin is the same.
    """
    verdict, reason = word(change.surely_low, change.surely_high, limits.MARGIN), None
    if launches < (LAUNCHES_FOR_A_VERDICT if metric is Metric.SPEEDUP else 1):
        verdict, reason = Verdict.UNCLEAR, why_too_few(launches)
    elif verdict is Verdict.UNCLEAR:
        reason = why_unclear(change.surely_low, change.surely_high, limits.MARGIN, error)
    return Comparison(
        id=name,
        metric=metric,
        verdict=worded(verdict, metric),
        ratio=_ratio(change),
        launches=launches,
        forks=forks,
        pairs=pairs,
        smallest_visible_effect=change.smallest_visible_effect,
        reason=reason,
    )


def _notes(two: _Two, machine: Sequence[str], process: Sequence[str], base: str, head: str) -> Iterator[str]:
    if machine:
        yield (
            f"The hardware differs in {', '.join(machine)}: time, throughput, peak memory, SQNR and top-1 are not "
            "compared, only speed-ups and bytes of weights."
        )
    elif process:
        yield (
            f"The measuring processes differ in {', '.join(process)}: time, throughput and peak memory are not "
            "compared."
        )
    answers = differing_answers(two.old, two.new)
    if answers and not machine:
        yield f"SQNR and top-1 are not compared: the runs differ in {', '.join(answers)}."
    versions = _differing(two.old.environment.versions, two.new.environment.versions)
    if versions:
        yield f"Versions differ in {', '.join(versions)}: what changed may be theirs."
    for name, run in ((base, two.old), (head, two.new)):
        if not run.complete:
            yield f"{name} is unfinished."
    yield SPEEDUPS_NOTE
    if not machine and not process:
        yield MEMORY_NOTE
        yield f"Time and throughput are shown, not judged: {NOT_JUDGED}."


MUST_AGREE = ("model", "input_shape", "num_classes")  # or nothing of two runs can be compared
SAME_ANSWERS = ("weights_sha256", "data", "validation_images")  # or SQNR and top-1 cannot


def differing_hardware(old: Run, new: Run) -> tuple[str, ...]:
    """Return the fields of the fingerprint in which the hardware of two runs differs, with both values.

    Args:
        old: the run that is held against.
        new: the run that is judged.
    """
    if old.environment.fingerprint == new.environment.fingerprint:
        return ()
    before, after = (_fingerprinted(Hardware.from_dict(run.environment.hardware)) for run in (old, new))
    return _differing(before, after) or ("the fingerprint, which another version of int8bench took",)


def differing_answers(old: Run, new: Run) -> tuple[str, ...]:
    """Return the differences of two runs in weights or pictures, with both values.

    They make the answers of the runs answers of different things.

    Args:
        old: the run that is held against.
        new: the run that is judged.
    """
    before, after = ({key: run.subject.get(key) for key in SAME_ANSWERS} for run in (old, new))
    return _differing(before, after)


def _fingerprinted(machine: Hardware) -> dict[str, str]:
    """Return the fields of a machine's fingerprint as a person reads them; see `machine.fingerprint`."""
    return {
        "architecture": machine.arch,
        "vendor": machine.vendor or "unknown",
        "processor": f"{machine.name} (family {machine.family}, model {machine.model})",
        "instruction sets": " ".join(machine.levels) or "none",
        "usable cores": str(machine.usable_cores),
        "virtual machine": "no" if machine.hypervisor is None else "yes",
        "emulation": "no" if machine.emulated is None else "yes",
        "limits of instruction sets": str(dict(machine.isa_environment)),
    }


def _differing(old: JsonObject, new: JsonObject) -> tuple[str, ...]:
    return tuple(
        f"{name} ({old.get(name, 'none')} and {new.get(name, 'none')})"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def check_subjects(old: Run, new: Run, base: str, head: str) -> None:
    """Refuse runs of different models or inputs.

    Args:
        old: the run that is held against.
        new: the run that is judged.
        base: what the old run is called in the message.
        head: what the new run is called there.

    Raises:
        RequestError: they are.
    """
    before, after = (run.subject for run in (old, new))
    for key in MUST_AGREE:
        if key in before and key in after and before[key] != after[key]:
            raise RequestError(
                f"{base} and {head} differ in {key.replace('_', ' ')} ({before[key]} and {after[key]}); "
                "compare two runs of the same model and input"
            )
