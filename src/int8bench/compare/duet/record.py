"""DUET.json: what is written down of a duet."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from int8bench import files
from int8bench.compare.comparisons import Comparison, changed_document, comparison_from
from int8bench.errors import RecordError
from int8bench.machine.finding import Finding, Severity

SCHEMA = "int8bench.duet"
SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Duet:
    """Base and head, compared; `samples` is None where a duet is shown, which has no need of them."""

    base: str
    head: str
    complete: bool
    error_rate: float
    comparisons: tuple[Comparison, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    findings: tuple[Finding, ...]
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    samples: Mapping[str, Any] | None

    @property
    def shown(self) -> "Duet":
        """The same without its samples."""
        return replace(self, samples=None)

    @property
    def worse(self) -> tuple[Comparison, ...]:
        """What got surely worse."""
        return tuple(each for each in self.comparisons if each.worse_by > 0)

    @property
    def is_bad_news(self) -> bool:
        """Whether something got surely worse, or does not work any more in head."""
        return bool(self.worse) or any(each.severity is Severity.ERROR for each in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the inverse of `from_dict`."""
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            **changed_document(self),
            "findings": [each.to_dict() for each in self.findings],
            "environment": dict(self.environment),
            "settings": dict(self.settings),
            **({"samples": self.samples} if self.samples is not None else {}),
        }


def save(duet: Duet, path: Path) -> None:
    """Writes the duet, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    files.write_text(path, json.dumps(duet.to_dict(), allow_nan=False, separators=(",", ":")) + "\n")


def is_duet(document: object) -> bool:
    """Whether a JSON document says that it is a duet."""
    return isinstance(document, Mapping) and document.get("schema") == SCHEMA


def from_dict(document: object, *, name: str = "record") -> Duet:
    """The duet that a JSON document holds.

    Raises:
        RecordError: it holds none, or one of a newer schema.
    """
    if not isinstance(document, Mapping) or not is_duet(document):
        raise RecordError(f"{name}: not a record of int8bench duet; expected an object with schema {SCHEMA!r}")
    version = document.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise RecordError(
            f"{name}: schema version {version}, this int8bench reads up to {SCHEMA_VERSION}; "
            "type: pip install --upgrade int8bench"
        )
    try:
        return Duet(
            base=document["base"],
            head=document["head"],
            complete=document["complete"],
            error_rate=document["error_rate"],
            comparisons=tuple(comparison_from(each) for each in document["comparisons"]),
            added=tuple(_list(document["added"])),
            removed=tuple(_list(document["removed"])),
            findings=tuple(Finding.from_dict(each) for each in _list(document["findings"])),
            environment={**document["environment"], "fingerprint": str(document["environment"]["fingerprint"])},
            settings=document["settings"],
            samples=document.get("samples"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RecordError(f"{name}: cut short or damaged: {error}; expected what int8bench duet wrote") from error


def _list(value: object) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"expected a list, got {value!r}")
    return value
