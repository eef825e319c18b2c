"""Times of one thing measured several times, checked once at the door. Pure."""

import math
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Times in seconds, two or more, each finite and above zero; nothing downstream checks again.

    Raises:
        ValueError: fewer than two values, or one that is no time.
    """

    times_s: tuple[float, ...]

    def __post_init__(self) -> None:
        """Checks every value."""
        if len(self.times_s) < 2:  # noqa: PLR2004  a spread needs two
            raise ValueError(f"Sample: {len(self.times_s)} values given, expected two or more")
        for index, time_s in enumerate(self.times_s):
            if not (math.isfinite(time_s) and time_s > 0):
                raise ValueError(f"Sample: times_s[{index}]: expected a positive number, got {time_s}")

    @property
    def median_s(self) -> float:
        """The median, in seconds."""
        return median(self.times_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Two samples of the same rounds, and which rounds are kept.

    Raises:
        ValueError: the lengths differ, or fewer than two rounds are kept.
    """

    reference: Sample
    candidate: Sample
    kept: tuple[bool, ...]

    def __post_init__(self) -> None:
        """Checks that round matches round."""
        lengths = {len(self.reference.times_s), len(self.candidate.times_s), len(self.kept)}
        if len(lengths) != 1:
            raise ValueError(f"Pairs: rounds must match, got lengths {sorted(lengths)}")
        if sum(self.kept) < 2:  # noqa: PLR2004  a median of one round is that round's luck
            raise ValueError(f"Pairs: {sum(self.kept)} rounds kept, expected two or more")

    @property
    def log_ratio(self) -> float:
        """Median over the kept rounds of log(reference / candidate): positive where the candidate is faster."""
        rounds = zip(self.reference.times_s, self.candidate.times_s, self.kept, strict=True)
        return median(math.log(reference / candidate) for reference, candidate, kept in rounds if kept)
