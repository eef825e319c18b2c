"""Where pytest's root folder is: where pytest itself finds it, but never outside of the revision's tree.

A tree lies in a cache, and above that may lie files that pytest would take for the project's.
"""

from collections.abc import Iterable
from pathlib import Path

from _pytest.config.findpaths import load_config_dict_from_file

CONFIGS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
SETUP = "setup.py"


def top_around(folder: Path) -> Path | None:
    """The top of the git tree around a folder; None where there is none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def arguments(folder: Path, top: Path | None, scratch: Path) -> list[str]:
    """What to tell pytest; nothing where it cannot leave the tree.

    Args:
        folder: that pytest is started in.
        top: of its tree.
        scratch: a folder for an empty file.
    """
    if top is None or not any((each / name).is_file() for each in top.parents for name in (*CONFIGS, SETUP)):
        return []
    inside = [each for each in (folder, *folder.parents) if each.is_relative_to(top)]
    config = next((path for path in _files(inside, CONFIGS) if load_config_dict_from_file(path) is not None), None)
    if config is not None:
        return ["-c", str(config)]
    marks = [*_files(inside, ("pyproject.toml",)), *_files(inside, (SETUP,))]
    root = str(marks[0].parent if marks else folder)
    empty = scratch / "empty.ini"
    empty.touch()
    return ["-c", str(empty), "--rootdir", root, "--confcutdir", root]


def _files(folders: Iterable[Path], names: Iterable[str]) -> Iterable[Path]:
    return (folder / name for folder in folders for name in names if (folder / name).is_file())
