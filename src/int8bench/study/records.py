"""RUN.json: what is written down of a run, its schema, an atomic save and a validated load."""

import json
import math
import platform
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata, resources
from pathlib import Path
from typing import Annotated

from int8bench import documents, files
from int8bench.documents import Count, Json, JsonObject, Length, Level, Positive
from int8bench.errors import RecordError
from int8bench.machine.finding import SaturationProbe, Severity, ShownFinding
from int8bench.study.cells import OK, Cell, Interval, Peak, Speedup, Throughput
from int8bench.study.standings import Recommendation, Setting

SCHEMA = "int8bench.run"
SCHEMA_VERSION = 2
HEADER = ("schema", "schema_version")
DIGITS = 6  # of a raw time: a nanosecond of a millisecond, below any clock's noise
PACKAGES = ("int8bench", "torch", "torchvision", "numpy", "scipy", "scikit-learn", "psutil")
OPTIONAL_PACKAGES = (  # of which a version is written down where they are installed
    "py-cpuinfo",
    "py-cpuinfo2",  # its fork; both put a module cpuinfo there
    "ai-edge-litert",
    "ai-edge-quantizer",
    "executorch",
    "litert-torch",
    "onnx",
    "onnxruntime",
    "openvino",
    "tensorrt",
    "tflite-micro",
    "torchao",
)
WRITER = "int8bench run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where a run was made: the machine, versions, and the variables of measuring processes."""

    hardware: JsonObject
    """As `Hardware.to_dict` writes it."""
    fingerprint: str
    versions: Mapping[str, str]
    process: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Machine:
    """What every record tells of its machine."""

    arch: str
    brand: str | None
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLooks:
    """What a record tells of its plan, for whoever judges its samples again."""

    budget_s: Positive
    forks: Count
    looks: Annotated[tuple[Annotated[int, documents.AT_LEAST_2], ...], Length(at_least=1)]
    replicates: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How sure the words of a run are, and by what plan it raced."""

    confidence: Level
    precision: Level
    margin: Level
    error_rate: Level
    family_error_rate: Level
    plan: PlannedLooks


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProbe:
    """A probe of an engine's arithmetic, as a record of samples alone keeps it."""

    engine: str
    sqnr_db: float | None
    """None where the answers are the same to the bit."""
    saturates: bool
    against: str

    @classmethod
    def of(cls, probe: SaturationProbe) -> "KeptProbe":
        """Return a probe in the form that a record keeps."""
        sqnr_db = probe.sqnr_db if math.isfinite(probe.sqnr_db) else None
        return cls(engine=probe.engine, sqnr_db=sqnr_db, saturates=probe.saturates, against=probe.against)

    @property
    def probe(self) -> SaturationProbe:
        """The probe that it was kept of."""
        sqnr_db = math.inf if self.sqnr_db is None else self.sqnr_db
        return SaturationProbe(engine=self.engine, sqnr_db=sqnr_db, saturates=self.saturates, against=self.against)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not."""

    complete: bool
    created_at: str
    int8bench_version: str
    environment: Environment
    settings: JsonObject
    """What was asked for, and by what rules it was judged; `rates` has those that every record tells."""
    findings: tuple[ShownFinding, ...]
    cells: tuple[Cell, ...]
    ranking: tuple[Setting, ...]
    """Empty where fewer than two engines beside torch answered."""
    recommendation: Recommendation | None
    probes: tuple[KeptProbe, ...] | None = field(default=None, metadata=documents.OMITTED)
    """Of a run that goes on, or was killed, whose figures and findings are still to be computed: `figures.computed`."""

    @property
    def has_error(self) -> bool:
        """Whether a finding says that something that was asked for does not fit."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    @property
    def subject(self) -> JsonObject:
        """The model and its pictures, as the settings describe them; empty where they do not."""
        subject = self.settings.get("subject")
        return subject if isinstance(subject, Mapping) else {}

    @cached_property
    def rates(self) -> Rates:
        """How sure its words are.

        Raises:
            RecordError: the settings do not tell; a record that was loaded does.
        """
        return documents.read(Rates, self.settings, name="", at="settings", strict=False)


def to_dict(run: Run) -> dict[str, Json]:
    """Return the JSON form of a run; the inverse of `from_dict`."""
    return {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **documents.written(run)}


def from_dict(document: Json, *, name: str = "record") -> Run:
    """Return the run that a JSON document holds.

    Args:
        document: parsed, of any schema.
        name: of the document, for messages.

    Raises:
        RecordError: not such a document; the message has `name` and the path inside it.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise RecordError(f"{name}: not a record of int8bench run; expected an object with schema {SCHEMA!r}")
    version = document.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise RecordError(
            f"{name}: schema version {version}, this int8bench reads up to {SCHEMA_VERSION}; "
            "type: pip install --upgrade int8bench"
        )
    if "schema_version" not in document:
        raise RecordError(f"{name}: 'schema_version' is a required property")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise RecordError(f"{name}: schema_version: expected {SCHEMA_VERSION}, got {reprlib.repr(version)}")
    run = documents.read(Run, {key: document[key] for key in document if key not in HEADER}, name=name)
    documents.read(_Machine, run.environment.hardware, name=name, at="environment.hardware", strict=False)
    try:
        _ = run.rates
    except RecordError as error:
        raise RecordError(f"{name}: {error}") from None
    for where, objection in _objections(run):
        raise RecordError(f"{name}: {where}: {objection}")
    return run


def rounded(times_s: Sequence[float]) -> tuple[float, ...]:
    """Return times to the digits of a record, so that every figure follows from the record to the last digit."""
    return tuple(float(f"{time_s:.{DIGITS}g}") for time_s in times_s)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages whose code is measured or measures."""
    optional = {name: version for name in OPTIONAL_PACKAGES if (version := _version(name)) is not None}
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}, **optional}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def dumps(run: Run) -> str:
    """Return the run as strict JSON, a cell a line."""
    text = json.dumps(to_dict(run), allow_nan=False, separators=(",", ":"))
    return text.replace('{"id":', '\n{"id":') + "\n"


def save(run: Run, path: Path) -> None:
    """Write the run to `path`, whole or not at all.

    Args:
        run: finished or not.
        path: of the file, which is replaced.

    Raises:
        RequestError: the file cannot be written.
    """
    files.write_text(path, dumps(run))


def load(path: Path) -> Run:
    """Return the run that a file holds.

    Raises:
        RecordError: there is no such file, or it holds no run; the message has the file and the path inside it.
    """
    return from_dict(load_document(path), name=str(path))


def load_document(path: Path) -> Json:
    """Return the JSON document that a file holds, of whatever schema.

    Raises:
        RecordError: there is no such file, or it holds none.
    """
    return documents.load(path, by=WRITER)


def loads(text: str, *, name: str = "record") -> Run:
    """Return the run that a text holds; the inverse of `dumps`.

    Args:
        text: as `dumps` writes it.
        name: of the text, for messages.

    Raises:
        RecordError: it holds no run; the message has `name` and the path inside it.
    """
    return from_dict(documents.parse(text, name=name, by=WRITER), name=name)


def schema() -> JsonObject:
    """Return the JSON Schema of RUN.json: the promise to other programs, which our own reader keeps by its types."""
    text = resources.files("int8bench").joinpath("schemas/run.schema.json").read_text(encoding="utf-8")
    promise: JsonObject = json.loads(text)
    return promise


def _objections(run: Run) -> Iterator[tuple[str, str]]:
    """Yield the places in a run that no type can refuse, and what is wrong there."""
    known = {cell.id for cell in run.cells}
    seen: set[str] = set()
    for index, cell in enumerate(run.cells):
        where = f"cells[{index}]"
        yield from ((f"{where}.{key}", sentence) for key, sentence in _of_status(cell))
        if cell.id in seen:
            yield f"{where}.id", f"{cell.id} stands twice"
        seen.add(cell.id)
        if cell.id != cell.case.id:
            yield f"{where}.id", f"expected {cell.case.id} as its other fields say, got {cell.id}"
        for path, figure in _intervals(cell):
            if not figure.low <= figure.value <= figure.high:
                yield f"{where}.{path}", "expected low <= value <= high"
        for number, speedup in enumerate(cell.speedups):
            if speedup.reference not in known:
                yield f"{where}.speedups[{number}].reference", f"no cell {speedup.reference}"
        for number, race in enumerate(cell.samples.races):
            if race.rounds != len(race.times_s):
                yield (
                    f"{where}.samples.races[{number}].kept",
                    f"{len(race.kept)} entries for {len(race.times_s)} rounds"
                    + (f", one in {race.every} of all" if race.every > 1 else ""),
                )


def _of_status(cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield the keys that do not go with a cell's status, and what was expected there.

    A cell that is ok has figures and no error; others have the reverse.
    """
    figures = {
        "cold_s": ("number", cell.cold_s),
        "fidelity": ("object", cell.fidelity),
        "latency_s": ("object", cell.latency_s),
        "memory_bytes": ("object", cell.memory_bytes),
        "threads_used": ("number", cell.threads_used),
        "throughput_items_per_s": ("object", cell.throughput_items_per_s),
    }
    measured = cell.status == OK
    if (cell.error is None) is not measured:
        yield "error", f"expected {'null' if measured else 'string'}, got {reprlib.repr(cell.error)}"
    for key, (kind, figure) in figures.items():
        if (figure is not None) is not measured:
            got = reprlib.repr(None if figure is None else documents.written(figure))
            yield key, f"expected {kind if measured else 'null'}, got {got}"
    if cell.speedups and not measured:
        yield "speedups", f"expected 0 entries at most, got {len(cell.speedups)}"


def _intervals(cell: Cell) -> Iterator[tuple[str, Interval | Throughput | Peak | Speedup]]:
    """Yield the place and the figure of every interval of a cell."""
    if cell.latency_s is not None:
        yield "latency_s.median", cell.latency_s.median
    if cell.throughput_items_per_s is not None:
        yield "throughput_items_per_s", cell.throughput_items_per_s
    if cell.memory_bytes is not None:
        yield "memory_bytes.peak_delta", cell.memory_bytes.peak_delta
    for number, speedup in enumerate(cell.speedups):
        yield f"speedups[{number}]", speedup
