"""What is said of one number on two sides: base and head, old and new, each with its interval and its word. Pure."""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from int8bench.machine.finding import ShownFinding
from int8bench.stats.limits import Verdict


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
    def unclear(
        cls,
        name: str,
        metric: Metric,
        reason: str,
        *,
        ratio: SideRatio | None = None,
        launches: int = 0,
        forks: int = 0,
    ) -> "Comparison":
        """Return a comparison without a verdict, which says why, with the ratio where there is one.

        Args:
            name: the id of what is compared.
            metric: what of it is compared.
            reason: why nothing can be told.
            ratio: the new side over the old one; None where a side has no number.
            launches: behind the ratio, or measured in vain.
            forks: behind the ratio.
        """
        return cls(
            id=name,
            metric=metric,
            verdict=UNCLEAR,
            ratio=ratio,
            launches=launches,
            forks=forks,
            pairs=0,
            smallest_visible_effect=None,
            reason=reason,
        )

    @property
    def worse_by(self) -> float:
        """The fraction by which the new side is worse, negative where it is better; 0 where nothing is sure or known.

        A speed-up of 2 that becomes 1 is worse by 1 (100 %): as much as a time that doubles.
        """
        less, more = words(self.metric)
        if self.ratio is None or self.verdict not in {less, more} or WORSE[self.metric] is Worse.UNKNOWN:
            return 0.0
        if WORSE[self.metric] is Worse.MORE:
            return self.ratio.value - 1
        return 1 / self.ratio.value - 1 if self.ratio.value > 0 else float("inf")


def worded(verdict: Verdict, metric: Metric) -> str:
    """Return the word for a verdict on the ratio of the new side to the old one.

    Args:
        verdict: whether that ratio is surely above 1, surely below, the same or unclear.
        metric: of the two numbers; times are faster or slower, all others are less or more.
    """
    less, more = words(metric)
    return {Verdict.ABOVE: more, Verdict.BELOW: less}.get(verdict, verdict.value)


def words(metric: Metric) -> tuple[str, str]:
    """Return the two words for a sure difference of a metric: the new side has less, the new side has more."""
    return WORDS.get(metric, OTHER_WORDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What changed from a base to a head: what a duet, two stored runs, and a gate on either have in common."""

    base: str
    head: str
    complete: bool
    """Whether everything that was asked for was measured."""
    error_rate: float
    """Of one verdict."""
    comparisons: tuple[Comparison, ...]
    added: tuple[str, ...]
    """What head alone has."""
    removed: tuple[str, ...]
    """What base alone has."""


def shared(changed: Changed) -> dict[str, Any]:
    """Return the fields of `Changed` by name, for the constructors of its subclasses."""
    return {each.name: getattr(changed, each.name) for each in fields(Changed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences(Changed):
    """What changed between two sides, as a report draws it; a ratio above 1 means that head has more."""

    findings: tuple[ShownFinding, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: str | None = None
    """The word of a gate."""
    reasons: tuple[str, ...] = ()
    selftest: str | None = None
    """What a selftest said of this hardware, where there was one."""
