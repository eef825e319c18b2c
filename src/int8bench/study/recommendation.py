"""One engine and precision for this machine, from the rankings of its settings; or that none can be told yet. Pure."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from int8bench.cases import Group, Variant, parse_id
from int8bench.stats.words import Verdict
from int8bench.study.ranking import Entry, Ratio, Rules, Setting
from int8bench.study.records import BEST, FASTER

SWITCH, STAY, UNCLEAR = "switch", "stay", "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the rankings add up to for one variant.

    `speedup` over the best float32 is the geometric mean over its settings. Its ends are the means of the settings'
    ends: a mean of errors spreads no more than the mean of their spreads, whatever joins them, so it is wide enough.
    """

    variant: Variant
    best_in: int
    alone_in: int
    ranked_in: int
    mean_log_behind: float
    speedup: Ratio | None
    references: tuple[str, ...]
    """The engines of the float32 that it was held against."""
    sqnr_db: float | None
    """The lowest of its settings; None where answers are the same to the bit."""
    top1_change: float | None
    """The worst of its settings."""
    verdicts: tuple[str, ...] = field(repr=False)
    """Against the best float32, a setting each."""

    def to_dict(self) -> dict[str, Any]:
        """What a record keeps."""
        found = asdict(self)
        return {**found.pop("variant"), **found, "references": list(self.references), "verdicts": list(self.verdicts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Win:
    """A setting that the runner-up is best in and the choice is not; how far the choice is behind, if it ran there."""

    group: Group
    behind: Ratio | None

    def to_dict(self) -> dict[str, Any]:
        """What a record keeps."""
        return {**asdict(self.group), "behind": None if self.behind is None else asdict(self.behind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerUp:
    """The variant that is best in most of the settings that the choice loses."""

    variant: Variant
    wins: tuple[Win, ...]

    def to_dict(self) -> dict[str, Any]:
        """What a record keeps."""
        return {**asdict(self.variant), "wins": [each.to_dict() for each in self.wins]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """What to choose: to switch to int8, to stay with a float32, or that float32 is not beaten as far as can be told.

    `error` is the chance, at most, that a setting's truly fastest contender is missing from its best set.
    """

    answer: str
    choice: Standing
    nearest: Standing | None
    """The best of reduced precision, where the choice is float32."""
    runner_up: RunnerUp | None
    settings: int
    launches: tuple[int, int]
    error: float

    def to_dict(self) -> dict[str, Any]:
        """What a record keeps."""
        return {
            "answer": self.answer,
            "choice": self.choice.to_dict(),
            "nearest": None if self.nearest is None else self.nearest.to_dict(),
            "runner_up": None if self.runner_up is None else self.runner_up.to_dict(),
            "settings": self.settings,
            "launches": list(self.launches),
            "error": self.error,
        }


def recommended(settings: Sequence[Setting], rules: Rules, *, complete: bool) -> Recommendation | None:
    """The choice: the variant that is in the best set of most settings, then the least behind in the mean of them.

    Of reduced precision, only what was called faster than the best float32 somewhere is a choice.

    Args:
        settings: what `ranking.ranked` gives.
        rules: those it was given.
        complete: whether all of the run was measured; there is no recommendation before.
    """
    contested = [each for each in settings if each.entries]
    if not complete or not contested:
        return None
    standings = sorted((_standing(each, contested) for each in _variants(contested)), key=_precedence)
    reduced = [each for each in standings if each.variant.is_reduced]
    exact = [each for each in standings if not each.variant.is_reduced]
    candidates = [each for each in standings if not each.variant.is_reduced or FASTER in each.verdicts]
    choice = (candidates or standings)[0]
    verdicts = [verdict for each in reduced for verdict in each.verdicts]
    launches = [entry.behind.launches for each in contested for entry in each.entries]
    return Recommendation(
        answer=_answer(choice, verdicts),
        choice=choice,
        nearest=next(iter(reduced), None) if choice in exact else None,
        runner_up=_runner_up(choice, [each.variant for each in standings], contested),
        settings=len(contested),
        launches=(min(launches), max(launches)),
        error=rules.family_error,
    )


def _answer(choice: Standing, verdicts: Sequence[str]) -> str:
    if choice.variant.is_reduced:
        return SWITCH
    return UNCLEAR if verdicts and set(verdicts) == {Verdict.UNCLEAR.value} else STAY


def _variants(settings: Sequence[Setting]) -> tuple[Variant, ...]:
    return tuple(dict.fromkeys(entry.variant for each in settings for entry in each.entries))


def _standing(variant: Variant, settings: Sequence[Setting]) -> Standing:
    mine = [entry for each in settings for entry in each.entries if entry.variant == variant]
    wins = [[entry.variant for entry in each.entries if entry.best] for each in settings]
    speedups = [entry.speedups[BEST] for entry in mine if BEST in entry.speedups]
    changes = [entry.top1_change for entry in mine if entry.top1_change is not None]
    return Standing(
        variant=variant,
        best_in=sum(variant in each for each in wins),
        alone_in=wins.count([variant]),
        ranked_in=len(mine),
        mean_log_behind=_mean([math.log(entry.behind.value) for entry in mine]),
        speedup=Ratio(
            **{key: math.exp(_mean([math.log(each[key]) for each in speedups])) for key in ("value", "low", "high")},
            launches=min(each["launches"] for each in speedups),
        )
        if speedups
        else None,
        references=tuple(sorted({parse_id(each["reference"]).variant.engine for each in speedups})),
        sqnr_db=min((entry.sqnr_db for entry in mine if entry.sqnr_db is not None), default=None),
        top1_change=min(changes, default=None),
        verdicts=tuple(each["verdict"] for each in speedups),
    )


def _precedence(standing: Standing) -> tuple[int, int, float, str]:
    """What decides between variants, the first first."""
    name = f"{standing.variant.label} {standing.variant.layout}"
    return -standing.best_in, -standing.ranked_in, standing.mean_log_behind, name


def _runner_up(choice: Standing, precedence: Sequence[Variant], settings: Sequence[Setting]) -> RunnerUp | None:
    lost = [
        each for each in settings if not any(entry.best and entry.variant == choice.variant for entry in each.entries)
    ]
    wins = {
        other: [each for each in lost if any(e.best and e.variant == other for e in each.entries)]
        for other in precedence
    }
    if not lost:
        return None
    other = min(precedence, key=lambda each: (-len(wins[each]), precedence.index(each)))
    return RunnerUp(
        variant=other, wins=tuple(Win(group=each.group, behind=_behind(choice, each)) for each in wins[other])
    )


def _behind(choice: Standing, setting: Setting) -> Ratio | None:
    found: list[Entry] = [entry for entry in setting.entries if entry.variant == choice.variant]
    return found[0].behind if found else None


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
