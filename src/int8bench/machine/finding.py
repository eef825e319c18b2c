"""What the rules take and give: a situation in, findings out. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from int8bench.machine import Hardware

EXACT_INTEGERS = "exact integers"


class Severity(StrEnum):
    """How bad: an error does not fit, a warning costs something, a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth saying: a stable code, and a sentence each of what, why and what to type."""

    code: str
    severity: Severity
    subject: str
    message: str
    why: str
    advice: str


warning = partial(Finding, severity=Severity.WARNING)
note = partial(Finding, severity=Severity.NOTE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturationProbe:
    """What came of layers built to saturate: an engine's answers against arithmetic that does not."""

    engine: str
    sqnr_db: float
    saturates: bool
    against: str = EXACT_INTEGERS
    """What the answers were held against: where an engine's quantized numbers cannot be read, float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineChoice:
    """The int8 engine to choose, None for: stay with float32; and what that rests on, a rule or a measurement."""

    engine: str | None
    basis: str


def how_to_choose(engine: str) -> str:
    """The sentence that says what to type to have an engine, here and in one's own code."""
    return f'Type: int8bench run --engines {engine}; in your own code: torch.backends.quantized.engine = "{engine}"'


SEVERAL_TIMES = "several times"  # how far ahead something is: twice at least, or the measurement contradicts it


def recommending(engine: str) -> str:
    """The end of a sentence that recommends an engine; by it the measurement finds which one was."""
    return f"; {engine} is recommended"


def without(hardware: Hardware, instructions: str) -> str:
    """The beginning of a sentence on instructions that are not there; a guest's may be there underneath."""
    if hardware.cpu_type is not None:
        return f"The hypervisor's CPU type ({hardware.cpu_type}) shows no {instructions}"
    if hardware.hypervisor is not None:
        return f"This virtual machine shows no {instructions}"
    return f"{hardware.name} has no {instructions}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the rules look at."""

    hardware: Hardware
    engine: str | None
    threads: tuple[int, ...]
    probes: Mapping[str, SaturationProbe]
    recommended: EngineChoice

    def severity_for(self, *engines: str) -> Severity:
        """Error where one of the engines was asked for, else warning: not chosen, but there to be stumbled over."""
        return Severity.ERROR if self.engine in engines else Severity.WARNING

    @property
    def way_out(self) -> str:
        """The sentence that says what to type instead of a misfit."""
        engine = self.recommended.engine
        if engine is None or engine == self.engine:
            return "Stay with float32, and time it with: int8bench run"
        return how_to_choose(engine)
