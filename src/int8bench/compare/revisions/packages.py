"""The packages of a revision: folders of its tree that pip installs, the measured ones among them, their modules."""

import configparser
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

PROJECT, SETUP, CONFIGURED = "pyproject.toml", "setup.py", "setup.cfg"
DESCRIBING = (PROJECT, SETUP, CONFIGURED)
PACKAGED = (PROJECT, SETUP)  # what pip installs by
TOP = PurePosixPath()
# Folders in which a repository keeps packages that nobody measures: data of its tests, templates, documentation.
ASIDE = {"test", "tests", "testing", "doc", "docs", "example", "examples", "fixtures", "templates", "vendor", "_vendor"}
SUITES = {"benchmarks", "benchmark", "tests", "test", "conftest", "setup"}  # code that measures, not measured code
NOT_PACKAGES = (".dist-info", ".data", ".libs", ".pth", ".egg-info")
NO_MODULES = {"bin", "__pycache__"}
DEEPEST_NAMESPACE = 4  # google.cloud.storage.control
_AT_BEGINNINGS = re.compile(r"""(?:^[ \t]*|["'])([A-Za-z0-9][A-Za-z0-9._-]*)""", re.MULTILINE)  # of lines and of texts
_NAMED_IN_SETUP = re.compile(r"""\bname\s*=\s*["']([A-Za-z0-9._-]+)["']""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A folder that pip installs, relative to the tree's top, and the name of the distribution where it is told."""

    folder: PurePosixPath
    name: str | None
    builds: bool
    """Whether it says how it is built; what does not may be an application that is run where it lies."""
    uses: tuple[str, ...] = ()
    """Other distributions of the repository that its description names, which are most often its dependencies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A pyproject.toml, as far as it matters here."""

    name: str | None
    is_project: bool
    builds: bool
    is_no_package: bool
    """Whether uv or poetry are told that there is nothing to install."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The packages of a revision that are measured."""

    nearest: Package | None
    """The package that the person stands in; None where no folder above has one."""
    others: tuple[Package, ...]
    """What else of the repository is on the path of the side's environment, installed or not."""
    needed: tuple[Package, ...]
    """What else the nearest one needs, though the environment does not have it."""
    unused: tuple[Package, ...]
    """What else the repository has; measured only where nothing of the above can be imported."""


def describing(files: Iterable[str]) -> list[str]:
    """Return those of a tree's files by which a package is known."""
    return [name for name in files if PurePosixPath(name).name in DESCRIBING]


def packages_of(texts: Mapping[str, str]) -> tuple[Package, ...]:
    """Return every package of a tree, by folder.

    Args:
        texts: the files of `describing`, by their path from the tree's top.
    """
    folders = dict.fromkeys(PurePosixPath(name).parent for name in texts)
    descriptions = {folder: {name: texts.get(str(folder / name)) for name in DESCRIBING} for folder in folders}
    packages = [each for folder in folders if (each := _package(folder, descriptions[folder])) is not None]
    names = {normalized(each.name) for each in packages if each.name is not None}
    whole = [replace(each, uses=_uses(each, descriptions[each.folder], names)) for each in packages]
    return tuple(sorted(whole, key=lambda each: each.folder.parts))


def chosen(
    packages: Sequence[Package],
    *,
    near: PurePosixPath,
    installed: Collection[str],
    on_path: Collection[PurePosixPath] = (),
) -> Choice:
    """Return the packages that are measured from the folder `near`.

    The nearest package above it is; and so is whatever else of the repository the environment has, as the measured
    code may use it, and base's would not be base's; and what the nearest package needs.

    Args:
        packages: all of the tree.
        near: the folder that the person is in, or asv's repo_subdir.
        installed: the distributions that the environment has, by their normalized names.
        on_path: folders of the working tree that are on the environment's path.
    """
    nearest = _nearest(packages, near)
    rest = [package for package in packages if package != nearest and not ASIDE & set(package.folder.parts)]
    provided = [_nearest(packages, folder) for folder in on_path]
    used = tuple(each for each in rest if each in provided or (each.name and normalized(each.name) in installed))
    needed = tuple(each for each in _needed(nearest, rest) if each not in used)
    unused = tuple(each for each in rest if each not in (*used, *needed))
    return Choice(nearest=nearest, others=used, needed=needed, unused=unused)


def _nearest(packages: Sequence[Package], place: PurePosixPath) -> Package | None:
    """Return the package that a folder is part of; None where it is part of none."""
    return next(
        (package for folder in (place, *place.parents) for package in packages if package.folder == folder), None
    )


def _needed(package: Package | None, others: Sequence[Package]) -> list[Package]:
    """Return the other packages that a package uses, directly or through another one."""
    needed: list[Package] = []
    asking = [package] if package is not None else []
    while asking:
        uses = asking.pop().uses
        new = [other for other in others if other not in needed and other.name and normalized(other.name) in uses]
        needed += new
        asking += new
    return needed


def normalized(name: str) -> str:
    """Return the normal form of a distribution's name, in which its spellings are alike (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bare_folders(near: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """Return the folders for modules of a tree without a package: the folder, those above it, and a src in each."""
    return tuple(place for folder in (near, *near.parents) for place in (folder, folder / "src"))


def importable(folder: Path, *, ignored: Collection[str] = SUITES, is_built: bool = True) -> tuple[str, ...]:
    """Return the top-level names that can be imported from a folder; of a namespace, the names of its portions.

    Args:
        folder: is looked into.
        ignored: top-level names that do not count.
        is_built: whether packages were installed there; in a tree, folders in folders are seldom namespaces.
    """
    return tuple(sorted(_importable(folder, ignored, 1 if is_built else DEEPEST_NAMESPACE)))


def _importable(folder: Path, ignored: Collection[str], depth: int) -> set[str]:
    modules = set()
    for each in folder.iterdir() if folder.is_dir() else ():
        name = each.name.partition(".")[0]
        if each.name.endswith(NOT_PACKAGES) or name in ignored or name in NO_MODULES or not name.isidentifier():
            continue
        if name.startswith(("__", "test_")) or name.endswith("_test"):
            continue
        if each.is_dir() and each.name == name:
            if any(each.glob("*.py")) or any(each.glob("*.so")):
                modules.add(name)
            elif depth < DEEPEST_NAMESPACE:
                modules |= {f"{name}.{inner}" for inner in _importable(each, (), depth + 1)}
        elif each.suffix in {".py", ".so"}:
            modules.add(name)
    return modules


def _package(folder: PurePosixPath, texts: Mapping[str, str | None]) -> Package | None:
    described = _described(texts[PROJECT])
    if described is None:  # pip says better than we what is wrong with it
        return Package(folder=folder, name=None, builds=True)
    if described.is_no_package:
        return None
    builds = texts[SETUP] is not None or described.builds
    if not builds and not described.is_project:
        return None
    name = described.name if described.name is not None else _name_elsewhere(texts)
    return Package(folder=folder, name=name, builds=builds)


def _uses(package: Package, texts: Mapping[str, str | None], names: Collection[str]) -> tuple[str, ...]:
    """Return the repository's other distributions with whose names lines or texts of a description begin."""
    found = {normalized(each) for text in texts.values() for each in _AT_BEGINNINGS.findall(text or "")}
    return tuple(sorted(found & set(names) - {normalized(package.name or "")}))


def _described(text: str | None) -> _Described | None:
    """Return the description of a package in a pyproject.toml; None where the text is no TOML."""
    try:
        whole: object = tomllib.loads(text or "")
    except tomllib.TOMLDecodeError:
        return None
    tables = (_at(whole, "project"), _at(whole, "tool", "poetry"), _at(whole, "tool", "flit", "metadata"))
    names = (_at(table, key) for table in tables for key in ("name", "dist-name", "module"))
    return _Described(
        name=next((name for name in names if isinstance(name, str)), None),
        is_project=_at(whole, "project") is not None,
        builds=_at(whole, "build-system") is not None or _at(whole, "tool", "poetry") is not None,
        is_no_package=_at(whole, "tool", "uv", "package") is False
        or _at(whole, "tool", "poetry", "package-mode") is False,
    )


def _at(value: object, *keys: str) -> object:
    """Return a value in tables within tables; None where a key is missing, or something on the way is no table."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _name_elsewhere(texts: Mapping[str, str | None]) -> str | None:
    """Return the name that setup.cfg or setup.py gives; None where neither gives one."""
    configured = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error):
        configured.read_string(texts[CONFIGURED] or "")
    if (name := configured.get("metadata", "name", fallback=None)) is not None:
        return name
    match = _NAMED_IN_SETUP.search(texts[SETUP] or "")
    return match[1] if match else None
