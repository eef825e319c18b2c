"""Where modules came from: the proof that a side measures its own revision."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from int8bench.lab.agent import origins

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes modules into a folder that is on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def written(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("", encoding="utf-8")
        importlib.invalidate_caches()
        return tmp_path.resolve()

    yield written
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_package_is_one_folder(write: Write) -> None:
    """Whatever of it was imported, below or not."""
    folder = write("orig_toy/__init__.py", "orig_toy/part/__init__.py", "orig_toy/part/leaf.py")
    for name in ("orig_toy", "orig_toy.part.leaf"):
        importlib.import_module(name)
    assert origins.of_packages(["orig_toy"]) == {"orig_toy": [str(folder / "orig_toy")]}


def test_a_single_module_is_the_folder_that_it_lies_in(write: Write) -> None:
    """As a package of one file is installed."""
    folder = write("orig_single.py")
    importlib.import_module("orig_single")
    assert origins.of_packages(["orig_single"]) == {"orig_single": [str(folder)]}


def test_what_was_not_imported_has_no_origin(write: Write) -> None:
    """It measures nothing, so it proves nothing; a name that begins alike is another package."""
    write("orig_toy/__init__.py", "orig_toy2/__init__.py")
    importlib.import_module("orig_toy2")
    assert origins.of_packages(["orig_toy"]) == {"orig_toy": []}


def test_a_module_from_elsewhere_is_found(write: Write, tmp_path: Path) -> None:
    """A package may be put together from two places; both are told."""
    folder = write("orig_toy/__init__.py")
    importlib.import_module("orig_toy")
    stray = ModuleType("orig_toy.stray")
    stray.__file__ = str(tmp_path / "elsewhere" / "stray.py")
    sys.modules["orig_toy.stray"] = stray
    assert origins.of_packages(["orig_toy"])["orig_toy"] == sorted(
        [str(folder / "elsewhere"), str(folder / "orig_toy")]
    )


def test_tests_in_a_package_are_no_part_of_what_is_measured(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the suite, on both sides; a module whose name begins alike is measured."""
    folder = write("orig_toy/__init__.py", "orig_toy/tests/__init__.py", "orig_toy/tests/a.py", "orig_toy/tests2.py")
    monkeypatch.setattr(origins, "OF_SUITE", {"orig_toy.tests"})
    for name in ("orig_toy.tests.a", "orig_toy.tests2"):
        importlib.import_module(name).__file__ = f"{folder}/elsewhere/{name}/it.py"
    assert origins.of_packages(["orig_toy"])["orig_toy"] == sorted(
        [str(folder / "elsewhere" / "orig_toy.tests2"), str(folder / "orig_toy")]
    )


def test_links_are_followed(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What counts is where the files are."""
    folder = write("real/orig_linked/__init__.py")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.syspath_prepend(tmp_path / "link")
    importlib.import_module("orig_linked")
    assert origins.of_packages(["orig_linked"]) == {"orig_linked": [str(folder / "real" / "orig_linked")]}


def test_modules_without_a_file_are_no_proof(write: Write) -> None:
    """Namespaces, and what is built in."""
    write("orig_space/inside.py")
    importlib.import_module("orig_space.inside")
    assert origins.of_packages(["sys", "orig_space"])["sys"] == []
    assert len(origins.of_packages(["orig_space"])["orig_space"]) == 1


def test_what_a_suite_uses_instead_is_named(write: Write, tmp_path: Path) -> None:
    """By what its modules hold, and by what was loaded since: not Python's own, the suite's, or what measures."""
    folder = write("orig_lib/__init__.py", "orig_late.py", "suite/orig_bench.py", "suite/orig_inner.py")
    (tmp_path / "suite").mkdir(exist_ok=True)
    sys.path.insert(0, str(tmp_path / "suite"))
    try:
        bench = importlib.import_module("orig_bench")
        importlib.import_module("orig_inner")
        vars(bench).update(lib=importlib.import_module("orig_lib"), pytest=pytest, sys=sys)
        before = frozenset(sys.modules)
        importlib.import_module("orig_late")
    finally:
        sys.path.remove(str(tmp_path / "suite"))
    found = origins.of_others(before, folder / "suite")
    assert found == {"orig_lib": str(folder / "orig_lib"), "orig_late": str(folder)}


def test_a_sides_portion_of_a_namespace_that_is_loaded_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a .pth file of setuptools makes it when Python starts; a package of another name is left alone."""
    for name in ("side/zoo/ape", "site/zoo/ape", "site/zoo/bee"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text(f"FROM = {name!r}", encoding="utf-8")
    made = ModuleType("zoo")
    made.__path__ = [str(tmp_path / "site/zoo")]
    monkeypatch.setitem(sys.modules, "zoo", made)
    origins.begin_with([str(tmp_path / "side")], ["zoo.ape", "json", "none.such"])
    try:
        assert importlib.import_module("zoo.ape").FROM == "side/zoo/ape"
        assert importlib.import_module("zoo.bee").FROM == "site/zoo/bee"
    finally:
        for name in ("zoo.ape", "zoo.bee"):
            sys.modules.pop(name, None)
