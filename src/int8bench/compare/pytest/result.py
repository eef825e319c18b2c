"""What a race in a test answers with: the ratio, its interval, a word, and whether it is slower than allowed. Pure."""

import math
from dataclasses import dataclass, field

from int8bench import options
from int8bench.compare.comparisons import SideRatio

SMALL = 0.1  # ratios below are shown with three digits, so that none is 0.000
MOST_LAUNCHES_TOLD = 1000  # beyond, the ratio is at the threshold, and nobody waits


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceResult:
    """A candidate against a reference, raced in launches of the test that asked.

    Attributes:
        name: the test, and which of its races.
        ratio: seconds of the candidate over seconds of the reference, with its 95 % interval; above 1 the candidate
            takes longer.
        sure: the same with the interval at the error rate, by which everything is judged.
        verdict: ``faster``, ``slower``, ``same`` (within 1 %) or ``unclear``.
        error_rate: probability of a wrong verdict.
        launches: fresh interpreters that ran the test.
        forks: measuring processes in all launches.
        pairs: samples taken back to back.
        smallest_visible_effect: the difference, as a fraction, that would have been called with 95 % probability.
        reason: why it is unclear and what it would take; None where it is clear.
    """

    name: str
    ratio: SideRatio
    sure: SideRatio
    verdict: str
    error_rate: float
    launches: int
    forks: int
    pairs: int
    smallest_visible_effect: float | None
    reason: str | None
    unanswered: list[str] = field(default_factory=list, compare=False)
    """Questions that this race could not tell, each in a sentence; the terminal summary lists them."""

    def not_slower_by(self, threshold: str | float) -> bool:
        """Return False only where the candidate is surely slower by more than the threshold.

        Where the race cannot tell, the answer is True, and the terminal summary lists the question as unclear; use
        `surely_not_slower_by` where that is not enough.

        Args:
            threshold: ``"3%"`` or 0.03.

        Raises:
            RequestError: not a percentage.
        """
        allowed = options.fraction("not_slower_by", str(threshold))
        if self.sure.low <= 1 + allowed < self.sure.high:
            self.unanswered.append(self._cannot_tell(allowed))
        return self.sure.low <= 1 + allowed

    def surely_not_slower_by(self, threshold: str | float) -> bool:
        """Return True only where the candidate is surely not slower by more than the threshold.

        Args:
            threshold: ``"3%"`` or 0.03.

        Raises:
            RequestError: not a percentage.
        """
        return self.sure.high <= 1 + options.fraction("surely_not_slower_by", str(threshold))

    def __repr__(self) -> str:
        """Return all figures on one line, for the message of a failed assertion."""
        return f"<{self.figures}{f'; {self.reason}' if self.reason else ''}>"

    @property
    def figures(self) -> str:
        """The word, the ratio with both intervals, and what they rest on."""
        return (
            f"{self.verdict}: candidate/reference {figure(self.ratio.value)} [{interval(self.ratio)}], "
            f"at error {self.error_rate:g} [{interval(self.sure)}], {self.launches} launches, {self.pairs} pairs"
        )

    def _cannot_tell(self, allowed: float) -> str:
        return (
            f"slower by more than {allowed * 100:g} %? [{interval(self.sure)}] at error {self.error_rate:g} "
            f"holds {1 + allowed:.3g}; {self._what_it_takes(allowed)}"
        )

    def _what_it_takes(self, allowed: float) -> str:
        """Return a clause on the launches at which the interval would leave the threshold outside.

        The interval narrows with the root of their number.
        """
        distance = abs(math.log(self.sure.value / (1 + allowed)))
        half = math.log(self.sure.high / self.sure.low) / 2
        if distance * math.sqrt(MOST_LAUNCHES_TOLD) < half * math.sqrt(self.launches):
            return "so close to the threshold that no number of launches tells"
        return f"some {math.ceil(self.launches * (half / distance) ** 2)} launches would tell: race(..., launches=)"


def interval(ratio: SideRatio) -> str:
    """Return the ends of a ratio's interval as text: ``1.041, 1.063``."""
    return f"{figure(ratio.low)}, {figure(ratio.high)}"


def figure(value: float) -> str:
    """Return a ratio as text, with three decimals or, where it is small, three digits."""
    return f"{value:.3f}" if value >= SMALL else f"{value:.3g}"
