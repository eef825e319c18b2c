"""An environment that has pytest and no plug-in for it."""

import importlib.metadata
import importlib.util
import venv
from pathlib import Path

MODULES = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
DISTRIBUTIONS = ("pytest", "pluggy")  # whose versions are asked for


INSTALLING = ("pip", "setuptools", "_distutils_hack")


def made(folder, *, installs=False):
    """The interpreter of a new environment in `folder`, with what pytest needs, and maybe pip, linked into it."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(Path(folder).glob("lib/python*/site-packages"))
    found = [Path(importlib.util.find_spec(name).origin) for name in (*MODULES, *INSTALLING[: 3 * installs])]
    names = (*DISTRIBUTIONS, *INSTALLING[: 2 * installs])
    found = [place.parent if place.name == "__init__.py" else place for place in found]
    for place in [*found, *(Path(importlib.metadata.distribution(name)._path) for name in names)]:
        (site / place.name).symlink_to(place)
    return str(Path(folder) / "bin" / "python")
