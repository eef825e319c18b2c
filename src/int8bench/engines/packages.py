"""Whether the packages of an extra are installed as int8bench asks for them, and the engines that need some.

Reads metadata alone, until a module is asked for.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from packaging.requirements import Requirement

from int8bench.engines.base import Availability, Engine, Prepared
from int8bench.errors import EngineError
from int8bench.units import first_line
from int8bench.workload.cases import FLOAT32, INT8, Variant

if TYPE_CHECKING:
    from int8bench.machine import Hardware

DISTRIBUTION = "int8bench"
PACKAGED = ("x86_64", "arm64")


class PackagedEngine(Engine[Prepared]):
    """An engine that is here where its packages are; they are for some architectures, whatever their instructions."""

    modules: ClassVar[tuple[str, ...]]
    """Import names that must be found, since a package can be half installed."""
    precisions: ClassVar[tuple[str, ...]] = (FLOAT32, INT8)
    layout: ClassVar[str]
    """Of the pictures that it is fed with."""

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Its precisions, in its one layout."""
        return tuple(
            Variant(engine=self.name, precision=precision, layout=self.layout) for precision in self.precisions
        )

    def availability(self, hardware: Hardware) -> Availability:
        """Tell whether the engine's packages are there, for a platform that has them."""
        return Availability.unless(self.unfit(hardware) or missing(self.name, self.modules))

    def fit(self, hardware: Hardware) -> Availability:
        """Tell whether a machine's platform has packages of the engine."""
        return Availability.unless(self.unfit(hardware))

    def unfit(self, hardware: Hardware) -> str | None:
        """Return why no package can be had for a machine; None for 64-bit x86 and ARM, as with torch."""
        if hardware.arch in PACKAGED:
            return None
        platforms = " and ".join(PACKAGED)
        return f"{self.name} has packages for {platforms} only, this CPU is {hardware.arch}; stay with float32"


def missing(extra: str, modules: Sequence[str]) -> str | None:
    """Return the faults of an extra's packages and the command that mends them; None where all are there.

    Args:
        extra: ``onnxruntime`` for what ``int8bench[onnxruntime]`` installs.
        modules: import names that must be found, since a package can be half installed.
    """
    wrong = [*_wrong_versions(extra), *_not_found(modules)]
    return f"{extra}: {', '.join(wrong)}; type {command(extra)}" if wrong else None


def command(extra: str) -> str:
    """Return the command that installs the packages of an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def broken(extra: str, error: BaseException) -> EngineError:
    """Return the error to raise where an installed package cannot be imported or loaded.

    Args:
        extra: that brings the packages.
        error: of the import.
    """
    what = first_line(error)
    return EngineError(
        f"{extra}: its packages are installed but cannot be loaded ({what}); type {command(extra)} --force-reinstall"
    )


def loaded(extra: str, module: str) -> Any:  # noqa: ANN401  runtimes have no types
    """Return a module of a package, imported.

    Args:
        extra: that brings the package.
        module: its whole name.

    Raises:
        EngineError: the package is there, and cannot be imported or loaded.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:
        raise broken(extra, error) from error


def versions(distributions: Sequence[str]) -> dict[str, str | None]:
    """Return the installed version of each distribution, None where it is not there."""
    return {distribution: _version(distribution) for distribution in distributions}


def _wrong_versions(extra: str) -> Iterator[str]:
    for requirement in _requirements(extra):
        version = _version(requirement.name)
        if version is None:
            yield f"package {requirement.name} is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} is installed, expected {requirement.specifier}"


def _requirements(extra: str) -> Iterator[Requirement]:
    """Yield the requirements of an extra on this platform, beyond those that int8bench has anyway."""
    for line in metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""}):
            yield requirement


def _not_found(modules: Sequence[str]) -> Iterator[str]:
    for module in modules:
        if not _is_found(module):
            yield f"module {module} is missing from its package"


def _is_found(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a parent package that is not there, or is only half there
        return False


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
