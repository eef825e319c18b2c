"""Where the modules of a package came from in this interpreter: the proof that a side measures its own revision."""

import sys
from collections.abc import Iterable
from pathlib import Path

OF_SUITE: set[str] = set()  # modules of a measured package that measure, and come from the suite


def of_packages(packages: Iterable[str]) -> dict[str, list[str]]:
    """The folders that loaded modules of each package lie in; an empty list where nothing of it was imported.

    A folder stands for all modules under it: the package's own where they lie there, else the module's parent.
    """
    return {package: sorted(set(_folders(package))) for package in packages}


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
