"""DUET.json: what is written down of a duet."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from int8bench import documents, files
from int8bench.compare.comparisons import Changed, Comparison, Differences, shared
from int8bench.documents import Json, JsonObject
from int8bench.errors import RecordError
from int8bench.machine.finding import Severity, ShownFinding

SCHEMA = "int8bench.duet"
SCHEMA_VERSION = 1
HEADER = ("schema", "schema_version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Duet(Changed):
    """Base and head, compared; `samples` is None where a duet is shown, which has no need of them."""

    findings: tuple[ShownFinding, ...]
    environment: JsonObject
    settings: JsonObject
    samples: JsonObject | None = field(default=None, metadata=documents.OMITTED)

    @property
    def shown(self) -> "Duet":
        """The same duet without its samples."""
        return replace(self, samples=None)

    @property
    def worse(self) -> tuple[Comparison, ...]:
        """The comparisons that got surely worse."""
        return tuple(comparison for comparison in self.comparisons if comparison.worse_by > 0)

    @property
    def is_bad_news(self) -> bool:
        """Whether something got surely worse, or does not work any more in head."""
        return bool(self.worse) or any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the hardware that it was raced on."""
        return str(self.environment["fingerprint"])

    @property
    def differences(self) -> Differences:
        """The differences that a report draws."""
        return Differences(**shared(self), findings=self.findings)

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form; the inverse of `from_dict`."""
        return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **documents.written(self)}


def save(duet: Duet, path: Path) -> None:
    """Write a duet, whole or not at all.

    Args:
        duet: with its samples, for a record from which everything can be computed again.
        path: of the file, which is replaced where it exists.

    Raises:
        RequestError: the file cannot be written.
    """
    files.write_text(path, json.dumps(duet.to_dict(), allow_nan=False, separators=(",", ":")) + "\n")


def is_duet(document: object) -> bool:
    """Tell whether a JSON document says that it is a duet."""
    return isinstance(document, Mapping) and document.get("schema") == SCHEMA


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What every duet tells of its machine."""

    fingerprint: str


def from_dict(document: Json, *, name: str = "record") -> Duet:
    """Return the duet that a JSON document holds.

    Args:
        document: as `Duet.to_dict` gives it.
        name: what the document is called in messages.

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
        duet = documents.read(Duet, {key: document[key] for key in document if key not in HEADER}, name="")
        documents.read(_Machine, duet.environment, name="", at="environment", strict=False)
    except RecordError as error:
        raise RecordError(f"{name}: cut short or damaged: {error}; expected what int8bench duet wrote") from error
    return duet
