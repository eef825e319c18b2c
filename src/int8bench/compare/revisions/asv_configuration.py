"""What an asv.conf.json says of where a project lies and with which environment variables it is measured."""

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from int8bench.compare.revisions.packages import TOP
from int8bench.documents import Json
from int8bench.errors import RequestError
from int8bench.lab.agent.suites.asv_file import DEFAULT_FOLDER, configuration

ENVIRONMENTS = ("env", "env_nobuild")  # of asv's matrix: for the build too, and for the measurement alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """One combination of the matrix's environment variables; None unsets one."""

    values: Mapping[str, str | None] = field(default_factory=dict)
    label: str = ""
    """What tells it from the others, behind a benchmark's id; empty where it is the only one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsvConfiguration:
    """An asv.conf.json, as far as it matters here."""

    folder: Path
    benchmark_dir: str
    repo: str
    subdir: str
    matrix: Mapping[str, Json]
    exclude: Sequence[Mapping[str, Json]]

    @property
    def repository(self) -> Path | None:
        """The folder of the measured repository; None where it is somewhere else than on this machine."""
        place = self.folder / self.repo
        return place if place.is_dir() else None

    def near(self, top: Path) -> PurePosixPath | None:
        """Return the folder of the tree with the measured package; None where the configuration names none."""
        if not self.subdir:
            return None
        own = self.repository
        inside = own is not None and own.resolve().is_relative_to(top.resolve())
        start = own.resolve().relative_to(top.resolve()) if inside and own is not None else Path()
        return PurePosixPath(os.path.normpath(start / self.subdir))

    @property
    def suite(self) -> str:
        """The name by which the suite is imported."""
        return PurePosixPath(os.path.normpath(self.benchmark_dir)).name

    def variables(self) -> tuple[Variables, ...]:
        """Return every combination of the matrix's environment variables that is not excluded, at least one.

        Raises:
            RequestError: the matrix is none.
        """
        values = {name: each for key in ENVIRONMENTS for name, each in self._table(key).items()}
        combined = [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]
        kept = [each for each in combined if not any(_excludes(rule, each) for rule in self.exclude)] or combined[:1]
        differing = [name for name in values if len({each[name] for each in kept}) > 1]
        return tuple(Variables(values=each, label=_label(each, differing)) for each in kept)

    def _table(self, key: str) -> dict[str, tuple[str | None, ...]]:
        values = self.matrix.get(key, {})
        if not isinstance(values, Mapping):
            raise RequestError(f"{self.folder}: asv's matrix.{key} is {values!r}, expected variables with their values")
        return {str(name): _values(each) for name, each in values.items()}


def read(folder: Path) -> AsvConfiguration | None:
    """Return the configuration of asv in a folder; None where there is none.

    Raises:
        RequestError: it is damaged.
    """
    try:
        configured = configuration(folder)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RequestError(f"{error}; mend the configuration of asv") from error
    matrix, exclude = configured.get("matrix", {}), configured.get("exclude", [])
    return AsvConfiguration(
        folder=folder,
        benchmark_dir=str(configured.get("benchmark_dir", DEFAULT_FOLDER)),
        repo=str(configured.get("repo", ".")),
        subdir=str(configured.get("repo_subdir") or ""),
        matrix=matrix if isinstance(matrix, Mapping) else {},
        exclude=[each for each in exclude if isinstance(each, Mapping)] if isinstance(exclude, list) else [],
    )


def near_of(folder: Path, top: Path) -> PurePosixPath:
    """Return the folder of a repository's tree with the package that a suite measures.

    It is the folder that the configuration of asv names, or else the one in which the suite lies.

    Args:
        folder: of the suite, with its asv.conf.json.
        top: of the repository's tree.

    Raises:
        RequestError: the configuration of asv is damaged.
    """
    configured = read(folder)
    named = configured.near(top) if configured else None
    return named or inside(folder, top)


def inside(folder: Path, top: Path) -> PurePosixPath:
    """Return a folder by its place in a repository's tree; the top for one outside of it.

    Args:
        folder: on this machine.
        top: of the repository's tree.
    """
    here, above = folder.resolve(), top.resolve()
    return PurePosixPath(here.relative_to(above)) if here.is_relative_to(above) else TOP


def _values(given: object) -> tuple[str | None, ...]:
    """Return the values of one variable, as asv takes them: one alone, or several; null unsets it."""
    several = list(given) if isinstance(given, list | tuple) else [given]
    return tuple(None if each is None else str(each) for each in several) or (None,)


def _excludes(rule: Mapping[str, Json], values: Mapping[str, str | None]) -> bool:
    """Tell whether a rule of asv's is about these variables alone, and leaves this combination out."""
    if not rule or set(rule) - set(ENVIRONMENTS):
        return False
    return all(_matches(wanted, values.get(name)) for name, wanted in _conditions(rule))


def _conditions(rule: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    for table in rule.values():
        yield from table.items() if isinstance(table, Mapping) else ()


def _matches(wanted: object, value: str | None) -> bool:
    """Tell whether a value is meant by a rule: null by null, a text by a regular expression of asv's."""
    if wanted is None or value is None:
        return wanted is None and value is None
    return re.match(f"(?:{wanted})$", value) is not None


def _label(values: Mapping[str, str | None], differing: Sequence[str]) -> str:
    parts = (f"{name}={values[name]}" if values[name] is not None else f"no {name}" for name in differing)
    return f" [{', '.join(parts)}]" if differing else ""
