"""The asv suite: thin classes over `int8bench.facade`; what is measured, and under which name."""

from ._front import HEEDED  # asv imports this before any library that reads its settings when it is loaded

__all__ = ["HEEDED"]
