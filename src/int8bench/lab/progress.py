"""How far something is, for whoever draws a bar. Pure data."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Steps done of a total, which shrinks when cells settle early, and what is being done; no total: not known."""

    phase: str
    done: float = 0.0
    total: float | None = None


Advance = Callable[[Progress], None]
