"""What the gate is asked to hold: `[tool.int8bench.gate]` of pyproject.toml, read and checked once."""

import math
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeGuard

from int8bench import documents, options
from int8bench.compare.comparisons import WORSE, Metric, Worse
from int8bench.documents import Json
from int8bench.errors import RequestError
from int8bench.machine.finding import Severity
from int8bench.options import LARGEST_COUNT
from int8bench.stats.limits import ERROR_RATE, FAMILY_ERROR_RATE
from int8bench.workload.cases import BATCHES, DATA, MODEL

FILE = "pyproject.toml"
TABLE = "tool.int8bench.gate"
SUITES = ("grid", "asv", "pytest")
JUDGED = tuple(metric for metric in Metric if WORSE[metric] is not Worse.UNKNOWN)
# By which fraction a metric may get worse. A verdict of "same" ends at 1 % as well; what is not paired, or is a mean of
# few replicates, gets more room; weights and answers have no noise, and half a point of top-1 is what people notice.
DEFAULT_THRESHOLDS = {
    Metric.TIME: 0.01,
    Metric.SPEEDUP: 0.01,
    Metric.THROUGHPUT: 0.05,
    Metric.PEAK_MEMORY: 0.05,
    Metric.WEIGHTS: 0.0,
    Metric.SQNR: 0.01,
    Metric.TOP1: 0.005,
    Metric.SIZE: 0.01,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What is judged, how strictly, and what is measured for it. Thresholds and error rates are fractions."""

    metrics: tuple[Metric, ...] = JUDGED
    thresholds: Mapping[Metric, float] = field(default_factory=lambda: dict(DEFAULT_THRESHOLDS))
    severity: Severity = Severity.ERROR
    error_rate: float = ERROR_RATE
    family_error_rate: float = FAMILY_ERROR_RATE
    budget_s: float | None = None
    base: str | None = None
    suite: str = "grid"
    model: str = MODEL
    input_shape: str | None = None
    data: str = DATA
    engines: tuple[str, ...] | None = None
    batch: tuple[int, ...] = BATCHES
    threads: tuple[int, ...] | None = None

    def threshold(self, metric: Metric) -> float:
        """Return the fraction by which a metric may get worse: the policy's, else the default.

        A metric that nobody can call worse has neither; it is never worse than nothing.
        """
        return self.thresholds.get(metric, DEFAULT_THRESHOLDS.get(metric, 0.0))

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form, with the keys and units of the file: thresholds in percent."""
        document = {
            **documents.written(self),
            "thresholds": {metric.value: 100 * value for metric, value in self.thresholds.items()},
            "budget": None if self.budget_s is None else f"{self.budget_s:g}s",
        }
        return {key: document[key.replace("-", "_")] for key in READERS}


def load(folder: Path) -> Policy:
    """Return the policy of the pyproject.toml in a folder.

    It is that of the defaults where there is no such file, or the file says nothing of a gate.

    Raises:
        RequestError: the file cannot be read, or its table holds an unknown key or a wrong value.
    """
    path = folder / FILE
    try:
        return parse(path.read_text(encoding="utf-8"), name=str(path))
    except FileNotFoundError:
        return Policy()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise RequestError(f"{path}: cannot be read: {reason}; give a file that you can read") from error


def parse(text: str, *, name: str = FILE) -> Policy:
    """Return the policy in the text of a pyproject.toml.

    Args:
        text: the whole file.
        name: what the file is called in messages.

    Raises:
        RequestError: not TOML, an unknown key or a wrong value; the message has `name` and the key.
    """
    try:
        found: object = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{name}: not TOML: {error}; mend it there") from None
    for part in TABLE.split("."):
        found = found.get(part, {}) if isinstance(found, dict) else found
    table = _table(found, f"{name}: {TABLE}", READERS)
    policy = Policy()
    for key, value in table.items():
        policy = READERS[key](policy, value, f"{name}: {TABLE}.{key}")
    return policy


def _table(value: object, where: str, known: Iterable[str]) -> Mapping[str, Json]:
    """Return a value of TOML as a table, all of whose keys are known.

    Raises:
        RequestError: no table, or a key that is not known.
    """
    if not isinstance(value, dict):
        raise _wrong(where, "a table", value)
    for key in value:
        if key not in known:
            raise RequestError(f"{where}.{reprlib.repr(key)[1:-1]}: no such key; expected one of {', '.join(known)}")
    return value


def _metrics(value: object, where: str) -> tuple[Metric, ...]:
    names = _texts(value, where)
    for name in names:
        if name not in JUDGED:
            raise _wrong(where, f"names of {', '.join(JUDGED)}", name)
    return tuple(Metric(name) for name in names)


def _thresholds(value: object, where: str) -> dict[Metric, float]:
    given = _table(value, where, JUDGED)
    read = {Metric(key): _percent(each, f"{where}.{key}") for key, each in given.items()}
    return {**DEFAULT_THRESHOLDS, **read}


def _percent(value: object, where: str) -> float:
    if not _is_number(value) or value < 0:
        raise _wrong(where, "a number of percent from 0 up, such as 1.0", value)
    return value / 100


def _rate(value: object, where: str) -> float:
    if not _is_number(value) or not 0 < value < 1:
        raise _wrong(where, "a probability above 0 and below 1, such as 0.001", value)
    return float(value)


def _is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value of TOML is a number that can be reckoned with, which nan and infinity cannot."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _one_of(value: object, where: str, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        raise _wrong(where, f"one of {', '.join(choices)}", value)
    return value


def _budget(value: object, where: str) -> float:
    if not isinstance(value, str):
        raise _wrong(where, 'a duration as text, such as "10m"', value)
    return options.seconds(where, value)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _wrong(where, "text", value)
    return value


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong(where, "a list of texts with one or more", value)
    return tuple(dict.fromkeys(_text(each, f"{where}[{index}]") for index, each in enumerate(value)))


def _counts(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong(where, "a list of whole numbers from 1 up", value)
    for index, each in enumerate(value):
        if type(each) is not int or not 1 <= each <= LARGEST_COUNT:
            raise _wrong(f"{where}[{index}]", "a whole number from 1 up", each)
    return tuple(dict.fromkeys(value))


def _wrong(where: str, expected: str, value: object) -> RequestError:
    return RequestError(f"{where}: expected {expected}, got {reprlib.repr(value)}")


# The keys of the table: each changes its field of a policy.
READERS: dict[str, Callable[[Policy, object, str], Policy]] = {
    "metrics": lambda policy, value, where: replace(policy, metrics=_metrics(value, where)),
    "thresholds": lambda policy, value, where: replace(policy, thresholds=_thresholds(value, where)),
    "severity": lambda policy, value, where: replace(policy, severity=Severity(_one_of(value, where, [*Severity]))),
    "error-rate": lambda policy, value, where: replace(policy, error_rate=_rate(value, where)),
    "family-error-rate": lambda policy, value, where: replace(policy, family_error_rate=_rate(value, where)),
    "budget": lambda policy, value, where: replace(policy, budget_s=_budget(value, where)),
    "base": lambda policy, value, where: replace(policy, base=_text(value, where)),
    "suite": lambda policy, value, where: replace(policy, suite=_one_of(value, where, SUITES)),
    "model": lambda policy, value, where: replace(policy, model=_text(value, where)),
    "input-shape": lambda policy, value, where: replace(policy, input_shape=_text(value, where)),
    "data": lambda policy, value, where: replace(policy, data=_text(value, where)),
    "engines": lambda policy, value, where: replace(policy, engines=_texts(value, where)),
    "batch": lambda policy, value, where: replace(policy, batch=_counts(value, where)),
    "threads": lambda policy, value, where: replace(policy, threads=_counts(value, where)),
}
