"""Where modules came from in this interpreter: the proof that a side measures its own revision."""

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from types import ModuleType

MOST_OTHERS = 5  # that are worth telling
# What measures; it is loaded whatever is measured.
MEASURING = {
    "_int8bench_agent",
    "asv_runner",
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "conftest",
    "pytest_benchmark",
}

OF_SUITE: set[str] = set()  # modules of a measured package that measure, and come from the suite


def begin_with(path: Iterable[str], packages: Iterable[str]) -> None:
    """Put a side's own portions first in namespaces that are loaded already, before the folders that each has.

    setuptools' older namespaces are made when Python starts, by a .pth file for each portion that is installed, and
    look for other portions beside that one alone.

    Args:
        path: the folders of the side's own files.
        packages: that must come from there.
    """
    folders = [Path(each) for each in path]
    for package in packages:
        parts = package.split(".")
        for count in range(1, len(parts)):
            module = sys.modules.get(".".join(parts[:count]))
            if module is not None and getattr(module, "__file__", None) is None:
                places = (folder.joinpath(*parts[:count]) for folder in folders)
                own = [str(place) for place in places if place.is_dir()]
                module.__path__ = list(dict.fromkeys([*own, *module.__path__]))


def of_packages(packages: Iterable[str]) -> dict[str, list[str]]:
    """Return the folders of each package's loaded modules; an empty list where nothing of it was imported.

    A folder stands for all modules under it: the package's own where they lie there, else the module's parent.
    """
    return {package: sorted(set(_folders(package))) for package in packages}


def of_others(before: Collection[str], suite: Path) -> dict[str, str]:
    """Return the folders of top-level modules that a suite uses, of those neither Python's nor its own.

    Args:
        before: the modules that were loaded before its benchmark was.
        suite: the folder of the suite.
    """
    later = [name for name in list(sys.modules) if name not in before]
    names = dict.fromkeys(name.partition(".")[0] for name in (*_used_by(suite), *later))
    homes = {name: home for name in names if (home := _folder(name)) is not None and _is_other(name, home, suite)}
    return {name: str(home) for name, home in list(homes.items())[:MOST_OTHERS]}


def _used_by(suite: Path) -> Iterable[str]:
    """Yield the names of modules that the suite's own hold, or hold something of."""
    for name in list(sys.modules):
        folder = _folder(name)
        if folder is not None and folder.is_relative_to(suite):
            for value in list(vars(sys.modules[name]).values()):
                module = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
                if isinstance(module, str):
                    yield module


def _is_other(name: str, folder: Path, suite: Path) -> bool:
    return name not in sys.stdlib_module_names | MEASURING and not folder.is_relative_to(suite)


def _folders(package: str) -> Iterable[str]:
    home = _folder(package)
    for name in list(sys.modules):
        if (name == package or name.startswith(f"{package}.")) and not _is_of_suite(name):
            folder = _folder(name)
            if folder is not None:
                yield str(home) if home and folder.is_relative_to(home) else str(folder)


def _is_of_suite(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in OF_SUITE)


def _folder(name: str) -> Path | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    return Path(file).resolve().parent if file else None
