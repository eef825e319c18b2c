"""Whether the packages of an extra are installed as int8bench asks for them; reads metadata alone."""

from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import Requirement

from int8bench.errors import EngineError
from int8bench.units import first_line

DISTRIBUTION = "int8bench"


def missing(extra: str, modules: Sequence[str]) -> str | None:
    """What is wrong with the packages of an extra, and what to type; None where all are there.

    Args:
        extra: ``onnxruntime`` for what ``int8bench[onnxruntime]`` installs.
        modules: import names that must be found, since a package can be half installed.
    """
    wrong = [*_wrong_versions(extra), *_not_found(modules)]
    return f"{extra}: {', '.join(wrong)}; type {command(extra)}" if wrong else None


def command(extra: str) -> str:
    """What to type for the packages of an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def broken(extra: str, error: BaseException) -> EngineError:
    """What to raise where a package that is there cannot be imported or loaded.

    Args:
        extra: that brings the packages.
        error: of the import.
    """
    what = first_line(error)
    return EngineError(
        f"{extra}: its packages are installed but cannot be loaded ({what}); type {command(extra)} --force-reinstall"
    )


def versions(distributions: Sequence[str]) -> dict[str, str | None]:
    """The installed version of each distribution, None where it is not there."""
    return {each: _version(each) for each in distributions}


def _wrong_versions(extra: str) -> Iterator[str]:
    for requirement in _requirements(extra):
        version = _version(requirement.name)
        if version is None:
            yield f"package {requirement.name} is not installed"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name} {version} is installed, expected {requirement.specifier}"


def _requirements(extra: str) -> Iterator[Requirement]:
    """What the extra asks for on this platform, beyond what int8bench needs anyway."""
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
