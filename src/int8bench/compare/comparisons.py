"""What is said of one number on two sides: base and head, old and new, each with its interval and its word. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from int8bench.machine.finding import Finding
from int8bench.stats.words import Verdict


class Metric(StrEnum):
    """What is compared."""

    TIME = "time"
    """Seconds of one warm call, paired."""
    SPEEDUP = "speedup"
    """Int8 over the best float32."""
    THROUGHPUT = "throughput"
    """Items a second under sustained load."""
    PEAK_MEMORY = "peak_memory"
    """Bytes over a process that does nothing."""
    WEIGHTS = "weights"
    """Bytes of weights in memory."""
    SQNR = "sqnr"
    """Decibels of signal over quantization noise."""
    TOP1 = "top1"
    """Share of validation pictures answered right."""
    SIZE = "size"
    """Bytes of an object that a suite sizes."""
    TRACKED = "tracked"
    """A number that a suite tracks, of which nobody has said which way is worse."""


class Worse(StrEnum):
    """Which way a metric gets worse."""

    MORE = "more"
    LESS = "less"
    UNKNOWN = "unknown"


WORSE = {
    Metric.TIME: Worse.MORE,
    Metric.SPEEDUP: Worse.LESS,
    Metric.THROUGHPUT: Worse.LESS,
    Metric.PEAK_MEMORY: Worse.MORE,
    Metric.WEIGHTS: Worse.MORE,
    Metric.SQNR: Worse.LESS,
    Metric.TOP1: Worse.LESS,
    Metric.SIZE: Worse.MORE,
    Metric.TRACKED: Worse.UNKNOWN,
}
# A sure difference by its direction; of times it is said as people say it.
WORDS = {Metric.TIME: ("faster", "slower")}
OTHER_WORDS = ("less", "more")
SAME, UNCLEAR = "same", "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class SideRatio:
    """The new side over the old one, with its 95 % interval: above 1 the new side takes longer, or has more."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One number on two sides.

    `verdict` is one of `words(metric)`, `SAME` or `UNCLEAR`; `ratio` is None where a side has no number, and `reason`
    then says why. `smallest_visible_effect` is the difference, as a fraction, that would have been called with 95 %
    probability.
    """

    id: str
    metric: Metric
    verdict: str
    ratio: SideRatio | None
    launches: int
    forks: int
    pairs: int
    smallest_visible_effect: float | None
    reason: str | None

    @classmethod
    def judged(
        cls,
        name: str,
        metric: Metric,
        verdict: Verdict,
        ratio: SideRatio | None,
        *,
        launches: int,
        forks: int,
        pairs: int,
        smallest_visible_effect: float | None,
        reason: str | None = None,
    ) -> "Comparison":
        """Word a verdict on the ratio of the new side to the old one.

        Args:
            name: the id of what is compared.
            metric: what of it is compared; it says how the verdict is worded.
            verdict: what the ratio shows.
            ratio: the new side over the old one; None where there is none.
            launches: behind the ratio.
            forks: behind the ratio.
            pairs: behind the ratio.
            smallest_visible_effect: the fraction that would have been called; None where nothing would have been.
            reason: why there is no word, or no ratio.
        """
        return cls(
            id=name,
            metric=metric,
            verdict=worded(verdict, metric),
            ratio=ratio,
            launches=launches,
            forks=forks,
            pairs=pairs,
            smallest_visible_effect=smallest_visible_effect,
            reason=reason,
        )

    @classmethod
    def unclear(
        cls,
        name: str,
        metric: Metric,
        reason: str,
        *,
        ratio: SideRatio | None = None,
        launches: int = 0,
        forks: int = 0,
        pairs: int = 0,
        smallest_visible_effect: float | None = None,
    ) -> "Comparison":
        """Say why there is no word, with the ratio where there is one.

        Args:
            name: the id of what is compared.
            metric: what of it is compared.
            reason: why nothing can be told.
            ratio: the new side over the old one; None where a side has no number.
            launches: behind the ratio, or measured in vain.
            forks: behind the ratio.
            pairs: behind the ratio.
            smallest_visible_effect: the fraction that would have been called; None where nothing would have been.
        """
        return cls.judged(
            name,
            metric,
            Verdict.UNCLEAR,
            ratio,
            launches=launches,
            forks=forks,
            pairs=pairs,
            smallest_visible_effect=smallest_visible_effect,
            reason=reason,
        )

    @property
    def worse_by(self) -> float:
        """By which fraction the new side is worse, negative where it is better; 0 where nothing is sure or known.

        A speed-up of 2 that becomes 1 is worse by 1 (100 %): as much as a time that doubles.
        """
        less, more = words(self.metric)
        if self.ratio is None or self.verdict not in {less, more} or WORSE[self.metric] is Worse.UNKNOWN:
            return 0.0
        if WORSE[self.metric] is Worse.MORE:
            return self.ratio.value - 1
        return 1 / self.ratio.value - 1 if self.ratio.value > 0 else float("inf")


def worded(verdict: Verdict, metric: Metric) -> str:
    """What a verdict on the ratio of the new side to the old one is called of that metric."""
    less, more = words(metric)
    return {Verdict.ABOVE: more, Verdict.BELOW: less}.get(verdict, verdict.value)


def words(metric: Metric) -> tuple[str, str]:
    """What a sure difference of that metric is called where the new side has less, and where it has more."""
    return WORDS.get(metric, OTHER_WORDS)


class Changed(Protocol):
    """What changed from a base to a head: a duet, or two stored runs."""

    @property
    def base(self) -> str:
        """What the base is called."""

    @property
    def head(self) -> str:
        """What the head is called."""

    @property
    def complete(self) -> bool:
        """Whether everything that was asked for was measured."""

    @property
    def error_rate(self) -> float:
        """Of one verdict."""

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """What came of it."""

    @property
    def added(self) -> tuple[str, ...]:
        """What head alone has."""

    @property
    def removed(self) -> tuple[str, ...]:
        """What base alone has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What changed between two sides, as a report draws it; a ratio above 1 means that head has more."""

    base: str
    head: str
    complete: bool
    error_rate: float
    comparisons: tuple[Comparison, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str | None = None
    """The word of a gate."""
    reasons: tuple[str, ...] = ()
    selftest: str | None = None
    """What a selftest said of this hardware, where there was one."""

    @classmethod
    def of(cls, changed: Changed) -> "Differences":
        """Return what all that changed have in common; who has more to show puts it in."""
        return cls(
            base=changed.base,
            head=changed.head,
            complete=changed.complete,
            error_rate=changed.error_rate,
            comparisons=changed.comparisons,
            added=changed.added,
            removed=changed.removed,
        )
