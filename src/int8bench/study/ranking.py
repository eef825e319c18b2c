"""Which contender is the fastest of each setting, of those whose answers hold; ties are ties. Pure.

The best set of a setting holds every contender that is not shown to be slower than the fastest one seen. With m
comparisons in the whole grid, each made by a two-sided interval at error `family_error` / m, the contender that is
truly the fastest of any setting is missing from its best set with probability `family_error` at most: it is left out
only where some other one, whichever, is shown to be faster than it, and these are its own comparisons (Bonferroni; the
subset selection of Gupta 1965, which Hsu 1984 extends to multiple comparisons with the best). So no harm comes of
choosing the fastest by looking. A contender behind by no more than the margin of "same", with its whole interval,
belongs to the best set too. The order within a best set, and behind it, is that of the estimates and no claim.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from int8bench.stats.ratio import LaunchTable, centre_and_error, estimate
from int8bench.stats.verdict import Looks, nominal_error_at
from int8bench.study.cells import OK, Cell, RaceSample, Speedup, known, measured
from int8bench.study.findings.execution import in_name_only
from int8bench.study.findings.outcomes import LOSSY_SQNR_DB
from int8bench.study.racing import launch_table
from int8bench.study.session.ledger import Ledger
from int8bench.study.standings import IN_NAME_ONLY, INACCURATE, UNPAIRED, Entry, Lead, Ratio, Setting, Unranked
from int8bench.workload.cases import INT8, TORCH, Case
from int8bench.workload.fidelity import Fidelity

EXACT_DB = math.inf  # float32 is what answers are held against
FEWEST_ENGINES = 2  # beside torch's float32, which always runs: of one alone, the headline says it all
ROUNDING = 1e-9  # 0.98 - 0.97 is a little more than 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a contender is held to, and how sure a place is.

    Args:
        accuracy_loss: the most of top-1, as a share, that a contender may lose against float32.
        trained: whether the weights were learned: initial ones have a top-1 that means nothing.
        confidence: of the intervals shown.
        family_error: of one setting or more without its truly fastest contender in its best set.
        margin: differences up to this fraction are "same".
        looks: when the race was looked at.
    """

    accuracy_loss: float
    trained: bool
    confidence: float
    family_error: float
    margin: float
    looks: Looks


def ranked(cases: Sequence[Case], cells: Sequence[Cell], ledger: Ledger, rules: Rules) -> tuple[Setting, ...]:
    """Return the ranking of every setting, by threads and batch.

    It is empty where fewer than two engines beside torch answered.

    Args:
        cases: all that were asked for.
        cells: their figures, as `figures.record` makes them, in any order.
        ledger: their samples.
        rules: what a contender is held to.
    """
    answered = {cell.engine for cell in measured(cells)}
    if len(answered - {TORCH}) < FEWEST_ENGINES:
        return ()
    figures = {cell.id: cell for cell in cells}
    contenders = [_Contender(case=each, cell=figures[each.id], races=ledger.races.get(each.id, ())) for each in cases]
    objections = {contender.case.id: _objection(contender, rules) for contender in contenders}
    sound = [contender for contender in contenders if objections[contender.case.id] is None]
    groups = sorted({case.group for case in cases}, key=lambda each: (each.threads, each.batch))
    settings = {each: [mine for mine in sound if mine.case.group == each] for each in groups}
    error = rules.family_error / max(1, sum(max(0, len(mine) - 1) for mine in settings.values()))
    settings_ranked: list[Setting] = []
    for group, mine in settings.items():
        places, unpaired = _places(mine, rules, error)
        objected = [objections[case.id] for case in cases if case.group == group]
        entries = tuple(_entry(each, index, places, rules) for index, each in enumerate(places))
        unranked = sorted((each for each in (*objected, *unpaired) if each is not None), key=lambda each: each.id)
        settings_ranked.append(
            Setting(batch=group.batch, threads=group.threads, entries=entries, unranked=tuple(unranked))
        )
    return tuple(settings_ranked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contender:
    case: Case
    cell: Cell
    races: Sequence[RaceSample]

    @property
    def fidelity(self) -> Fidelity:
        return known(self.cell.fidelity)

    @property
    def latency_s(self) -> float:
        return self.cell.median.value

    @property
    def peak_bytes(self) -> float:
        return known(self.cell.memory_bytes).peak_delta.value

    @property
    def quality_db(self) -> float:
        sqnr_db = self.fidelity.sqnr_db
        return EXACT_DB if sqnr_db is None or not self.case.variant.is_reduced else sqnr_db

    @property
    def top1_change(self) -> float | None:
        top1, reference = self.fidelity.top1, self.fidelity.top1_float32
        return None if top1 is None or reference is None else top1 - reference


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A contender with its time over the fastest's: the interval shown, whether it is tied, and where it may lie."""

    contender: _Contender
    behind: Ratio
    best: bool
    span: tuple[float, float]


def _objection(contender: _Contender, rules: Rules) -> Unranked | None:
    """Return the reason why a contender is not ranked; None where it is."""
    cell = contender.cell
    if cell.status != OK:
        return _unranked(contender, cell.status, known(cell.error))
    if not contender.case.variant.is_reduced:
        return None
    if contender.case.variant.precision == INT8 and in_name_only(cell):
        return _unranked(contender, IN_NAME_ONLY, "computes in float, whatever it is called")
    lost = _lost(contender, rules)
    return None if lost is None else _unranked(contender, INACCURATE, lost)


def _lost(contender: _Contender, rules: Rules) -> str | None:
    """Return what a contender's answers lack, in words; None where they hold."""
    if contender.quality_db < LOSSY_SQNR_DB:
        return f"{contender.quality_db:.1f} dB SQNR, {LOSSY_SQNR_DB:.0f} dB or more expected"
    if contender.fidelity.constant and not contender.fidelity.constant_float32:
        return "answers every picture alike, which float32 does not"
    change = contender.top1_change if rules.trained else None
    if change is not None and -change > rules.accuracy_loss + ROUNDING:
        return (
            f"top-1 is {-100 * change:.1f} points lower than float32's, {100 * rules.accuracy_loss:g} at most expected"
        )
    return None


def _unranked(contender: _Contender, status: str, reason: str) -> Unranked:
    return Unranked(**asdict(contender.case.variant), id=contender.case.id, status=status, reason=reason)


def _places(sound: Sequence[_Contender], rules: Rules, error: float) -> tuple[list[_Place], list[Unranked]]:
    """Return the places of a setting, fastest first, and the contenders that could not be held against the fastest."""
    tables = _behind_the_fastest(sound)
    places = [_placed(each, tables[each.case.id], rules, error) for each in sound if each.case.id in tables]
    places.sort(key=lambda each: (each.behind.value, each.contender.case.id))
    alone = [each for each in sound if each.case.id not in tables]
    return places, [_unranked(each, UNPAIRED, "too few launches in common with the fastest") for each in alone]


def _behind_the_fastest(contenders: Sequence[_Contender]) -> dict[str, LaunchTable | None]:
    """Return log-ratios of the time over the fastest's, by case; None for the fastest itself.

    A case without common launches has no entry.

    The fastest is found in pairs: of the one with the lowest median latency and those that beat it in their rounds, the
    one that does so by most. Medians of calls that were timed one by one may be in another order on a restless machine.
    """
    if not contenders:
        return {}
    first = min(contenders, key=lambda each: (each.latency_s, each.case.id))
    tables = _against(first, contenders)
    lead = {name: centre_and_error(table)[0] for name, table in tables.items() if table is not None}
    name = min(lead, key=lambda each: (lead[each], each), default=None)
    if name is None or lead[name] >= 0:
        return tables
    return _against(next(contender for contender in contenders if contender.case.id == name), contenders)


def _against(fastest: _Contender, contenders: Iterable[_Contender]) -> dict[str, LaunchTable | None]:
    others = (contender for contender in contenders if contender is not fastest)
    tables = {other.case.id: launch_table(other.races, fastest.races) for other in others}
    return {fastest.case.id: None, **{name: table for name, table in tables.items() if table is not None}}


def _placed(contender: _Contender, table: LaunchTable | None, rules: Rules, error: float) -> _Place:
    if table is None:
        launches = len({race.launch for race in contender.races})
        itself = Ratio(value=1.0, low=1.0, high=1.0, launches=launches)
        return _Place(contender=contender, behind=itself, best=True, span=(1.0, 1.0))
    nominal = [nominal_error_at(rules.looks, table.launches, each) for each in (1 - rules.confidence, error)]
    shown = estimate(table, confidence=rules.confidence, nominal_error=nominal[0])
    judged = estimate(table, confidence=1 - error, nominal_error=nominal[1])
    best = judged.low <= 1 or judged.high <= 1 + rules.margin
    return _Place(
        contender=contender,
        behind=Ratio(value=shown.value, low=shown.low, high=shown.high, launches=shown.launches),
        best=best,
        span=(min(1.0, judged.low), max(1.0, judged.high)) if best else (judged.low, judged.high),
    )


def _dominates(one: _Place, other: _Place) -> bool:
    """Tell whether one place is no worse than another in time, memory and SQNR, and better in one of them.

    Times are equal where the intervals behind the fastest overlap. "Wholly before" is a partial order of intervals, so
    dominance has no circle, and some contender is always undominated.
    """
    if other.span[1] < one.span[0]:
        return False
    memory = other.contender.peak_bytes - one.contender.peak_bytes
    mine, theirs = one.contender.quality_db, other.contender.quality_db
    if memory < 0 or mine < theirs:
        return False
    return one.span[1] < other.span[0] or memory > 0 or mine > theirs


def _entry(place: _Place, index: int, places: Sequence[_Place], rules: Rules) -> Entry:
    contender = place.contender
    cell, fidelity = contender.cell, contender.fidelity
    return Entry(
        **asdict(contender.case.variant),
        id=contender.case.id,
        rank=1 if place.best else index + 1,
        best=place.best,
        behind=place.behind,
        pareto=not any(_dominates(other, place) for other in places),
        latency_s=contender.latency_s,
        threads_used=known(cell.threads_used),
        peak_bytes=contender.peak_bytes,
        weights_bytes=known(cell.memory_bytes).weights,
        sqnr_db=fidelity.sqnr_db,
        top1=fidelity.top1,
        top1_change=contender.top1_change if rules.trained else None,
        conversion_s=None if cell.conversion is None else cell.conversion.seconds,
        speedups={speedup.role: _lead(speedup) for speedup in cell.speedups},
    )


def _lead(speedup: Speedup) -> Lead:
    return Lead(
        reference=speedup.reference,
        value=speedup.value,
        low=speedup.low,
        high=speedup.high,
        verdict=speedup.verdict,
        launches=speedup.launches,
    )
