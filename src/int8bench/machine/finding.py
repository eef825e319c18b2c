"""What the rules take and give: a situation in, findings out; a finding's sentences are made when it is shown. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, partial
from typing import TypeAlias

from int8bench.machine import Hardware

EXACT_INTEGERS = "exact integers"


class Severity(StrEnum):
    """How bad: an error does not fit, a warning costs something, a note is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


Value: TypeAlias = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing worth saying: of which kind, how bad, on what, and its values.

    Its kind is a stable code, where it has several wordings with the wording behind a stroke; the sentences of each are
    in sentences/findings.toml.
    """

    kind: str
    severity: Severity
    subject: str
    values: Mapping[str, Value]

    @property
    def code(self) -> str:
        """What a kind is called in documents, whichever its wording."""
        return self.kind.partition("/")[0]

    @property
    def shown(self) -> "ShownFinding":
        """Its sentences."""
        known = _sentences()
        words = {"why": "", "advice": "", **known[self.code], **known[self.kind]}
        values = {"subject": self.subject, **self.values}
        message, why, advice = (words[part].format_map(values) for part in ("message", "why", "advice"))
        return ShownFinding(
            code=self.code, severity=self.severity, subject=self.subject, message=message, why=why, advice=advice
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding as documents hold it and people read it: a sentence each of what, why and what to type."""

    code: str
    severity: Severity
    subject: str
    message: str
    why: str
    advice: str


def finding_of(severity: Severity, kind: str, subject: str, **values: Value) -> Finding:
    """Return a finding.

    Args:
        severity: how bad it is.
        kind: of which it is, as sentences/findings.toml has it.
        subject: an engine, a benchmark or a part of the machine.
        values: that its sentences have in braces, beside the subject.
    """
    return Finding(kind=kind, severity=severity, subject=subject, values=values)


error, warning, note = (partial(finding_of, severity) for severity in Severity)


@cache
def _sentences() -> Mapping[str, Mapping[str, str]]:
    """Return the sentences of each kind; of a wording those that differ from the kind's."""
    import tomllib  # a report of a stored record does without: its findings are sentences
    from importlib import resources

    text = resources.files("int8bench").joinpath("sentences/findings.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


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
    """Return the sentence that says what to type to have an engine, here and in one's own code."""
    return f'Type: int8bench run --engines {engine}; in your own code: torch.backends.quantized.engine = "{engine}"'


def without(hardware: Hardware, instructions: str) -> str:
    """Return the beginning of a sentence on instructions that are not there; a guest's may be there underneath.

    Args:
        hardware: a guest says so, and what its hypervisor masks.
        instructions: by the name that a person reads: ``AVX2``.
    """
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
