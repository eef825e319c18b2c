"""What pytest-benchmark and pytest-codspeed add to pytest, so that a project that has them goes without."""

import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from _pytest.config.findpaths import load_config_dict_from_file

from . import pytest_hooks

CONFIGS = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
SETUP = "setup.py"


def top_around(folder: Path) -> Path | None:
    """Return the top of the git tree around a folder; None where there is none."""
    return next((each for each in (folder, *folder.parents) if (each / ".git").exists()), None)


def arguments(folder: Path, top: Path | None, scratch: Path) -> list[str]:
    """Return the arguments that keep pytest in the tree; none where it cannot leave the tree.

    Args:
        folder: that pytest is started in.
        top: of its tree.
        scratch: a folder for an empty file.
    """
    if top is None or not any((parent / name).is_file() for parent in top.parents for name in (*CONFIGS, SETUP)):
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


STOOD_IN_FOR = {"pytest-benchmark": "pytest_benchmark", "pytest-codspeed": "pytest_codspeed"}
_BENCHMARK, _CODSPEED = STOOD_IN_FOR.values()
# Options by the module that adds them where it is installed, and how many words follow one.
OPTIONS: Mapping[str, Mapping[int | str, tuple[str, ...]]] = {
    _BENCHMARK: {
        0: (
            *("--benchmark-disable-gc", "--benchmark-skip", "--benchmark-disable", "--benchmark-enable"),
            *("--benchmark-only", "--benchmark-autosave", "--benchmark-save-data", "--benchmark-verbose"),
            "--benchmark-quiet",
        ),
        1: (
            *("--benchmark-min-time", "--benchmark-max-time", "--benchmark-min-rounds", "--benchmark-timer"),
            *("--benchmark-calibration-precision", "--benchmark-warmup-iterations", "--benchmark-save"),
            *("--benchmark-json", "--benchmark-cprofile", "--benchmark-cprofile-loops", "--benchmark-cprofile-top"),
            *("--benchmark-storage", "--benchmark-sort", "--benchmark-group-by", "--benchmark-columns"),
            *("--benchmark-name", "--benchmark-time-unit"),
        ),
        "?": (
            *("--benchmark-warmup", "--benchmark-compare", "--benchmark-cprofile-dump", "--benchmark-netrc"),
            *("--benchmark-histogram", "--benchmark-csv"),
        ),
        "+": ("--benchmark-compare-fail",),
    },
    _CODSPEED: {
        0: ("--codspeed",),
        1: ("--codspeed-mode", "--codspeed-warmup-time", "--codspeed-max-time", "--codspeed-max-rounds"),
    },
}


def add_absent(pluginmanager: pytest.PytestPluginManager, parser: pytest.Parser) -> None:
    """Add the options and hooks of plug-ins that are not installed; an installed one adds its own.

    Args:
        pluginmanager: gets the hooks.
        parser: gets the options.
    """
    for module, options in OPTIONS.items():
        if _is_installed(module):
            continue
        group = parser.getgroup(module)
        for words, names in options.items():
            for name in names:
                if words == 0:
                    group.addoption(name, action="store_true", default=False)
                else:
                    group.addoption(name, action="append", nargs=None if words == 1 else words)
    if not _is_installed(_BENCHMARK):
        pluginmanager.add_hookspecs(pytest_hooks)


def require_less(pluginmanager: pytest.PytestPluginManager) -> None:
    """Take out of the project's required plug-ins those replaced by us and not installed."""
    config = pluginmanager.get_plugin("pytestconfig")
    assert config is not None
    validate = config._validate_plugins  # noqa: SLF001  what pytest does with them, with no hook around

    def validate_others() -> None:
        required = config.getini("required_plugins")
        required[:] = [each for each in required if not _is_stood_in_for(each)]  # the list that pytest keeps
        validate()

    config._validate_plugins = validate_others  # noqa: SLF001


def _is_stood_in_for(requirement: str) -> bool:
    name = re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0]
    module = STOOD_IN_FOR.get(re.sub(r"[-_.]+", "-", name).lower())
    return module is not None and not _is_installed(module)


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
