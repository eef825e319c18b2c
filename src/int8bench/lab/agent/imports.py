"""Where modules come from while tests are collected: measured code from the side, code that measures from the suite.

pytest puts the folders of a suite first on the path, and with them the package that lies there: on both sides the one
of the suite's own revision. So what a side has goes before the path, whatever the import mode; and tests that lie in
the measured package itself come from the suite, on both sides.
"""

import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from . import origins

SUITES = frozenset({"benchmarks", "benchmark", "tests", "test", "conftest", "setup"})  # never measured
_TEST = re.compile(r"^(conf)?test|tests?$|bench|perf", re.IGNORECASE)  # in the name of a file that pytest collects


class Imports:
    """Finds the modules of a side before those of the path, and a suite's modules where the suite has them."""

    def __init__(
        self, names: Iterable[str], folders: Iterable[str], suite: Path, *, measured: Iterable[str] = ()
    ) -> None:
        """Pin the names that are there to their present places, and no others.

        Args:
            names: modules that come from where they are found now.
            folders: those of the side's own files; whatever lies in them is the side's, but for code that measures.
            suite: the top of the tree that the tests lie in.
            measured: names that either side has; one that this side lacks is not taken from the suite's tree.
        """
        self._specs = {name: spec for name in names if (spec := importlib.util.find_spec(name)) is not None}
        self._folders, self._suite = list(folders), suite
        self._trees = [Path(folder) for folder in self._folders if (Path(folder) / ".git").exists()]
        self._measured = {name for name in measured if not _TEST.search(name)}
        self._tests: dict[str, ModuleSpec] = {}
        self._beside_tests: set[Path] = set()

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return the place of a module that is the side's or the suite's; None leaves it to the path."""
        if fullname in self._tests:
            return self._tests[fullname]
        if "." in fullname:
            return None
        return self._specs.get(fullname) or self._of_side(fullname) or self._of_other(fullname)

    def find_or_search(self, name: str, path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        """Return the place by `find_spec`, and else by the path: for a finder that stands before this one.

        Args:
            name: of the module, with those of its packages.
            path: folders to search; Python's own path where None.
        """
        return self.find_spec(name) or PathFinder.find_spec(name, path)

    @contextmanager
    def importing(self, path: Path, root: Path, *, mode: str) -> Iterator[None]:
        """Run pytest's import of a file that it collects, with the file placed by the name that its module will have.

        Args:
            path: of the file.
            root: the folder that pytest takes for the root of the project.
            mode: of importing, by pytest's word: ``prepend``, ``append`` or ``importlib``.

        Raises:
            Exception: the measured package that the file lies in, whatever it raises when it is imported.
        """
        top, names = _named(path)
        if mode == "importlib" and len(names) == 1 and path.is_relative_to(root):
            top, names = root, list(path.relative_to(root).with_suffix("").parts)
        if len(names) == 1:
            self._beside_tests.add(path.parent)
        if not names or self.find_spec(names[0]) is None or self._place(top, names, first=mode == "importlib"):
            yield
        else:  # measured code with tests in it: each side's own
            with _two_files():
                yield

    def _place(self, top: Path, names: Sequence[str], *, first: bool) -> bool:
        """Tell whether a module is the suite's: from its first part that is, the suite's files are meant.

        Args:
            top: the folder that the names begin in.
            names: of the packages and the module.
            first: whether the measured packages around it must be imported now, as pytest would take them by their
                files.
        """
        is_test = False
        for count in range(1, len(names) + 1):
            name, last = ".".join(names[:count]), names[count - 1]
            is_test = is_test or last in SUITES or (count == len(names) and _TEST.search(last) is not None)
            if is_test and name not in self._tests:
                self._tests[name] = _spec(name, top.joinpath(*names[:count]))
                origins.OF_SUITE.add(name)
            elif first and not is_test:
                importlib.import_module(name)
        return is_test

    def _of_side(self, name: str) -> ModuleSpec | None:
        if name in SUITES or not self._folders:
            return None
        spec = PathFinder.find_spec(name, [*self._likewise(), *self._folders])
        if spec is None or spec.origin is not None:
            return spec
        elsewhere = [each for each in sys.path if not Path(each).is_relative_to(self._suite)]
        other = PathFinder.find_spec(name, elsewhere)
        if other is not None and other.origin is not None:
            return None  # a whole package goes before a mere folder of its name
        anywhere = PathFinder.find_spec(name)
        parts = [spec, *(each for each in (other, anywhere) if each is not None and each.origin is None)]
        whole = ModuleSpec(name, None, is_package=True)
        whole.submodule_search_locations = list(
            dict.fromkeys(place for part in parts for place in part.submodule_search_locations or ())
        )
        return whole

    def _of_other(self, name: str) -> ModuleSpec | None:
        """Return a module that cannot be imported, where the suite's tree has it from the other side alone."""
        spec = PathFinder.find_spec(name) if name in self._measured else None
        if spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(self._suite):
            return None
        return ModuleSpec(name, Lacking(), origin=spec.origin)

    def _likewise(self) -> Iterator[str]:
        """Yield a side's own of the folders that the suite has put on the path.

        Only a side that is a tree, which nothing installs, has any.
        """
        for each in map(Path, sys.path if self._trees else ()):
            if each.is_relative_to(self._suite) and each not in self._beside_tests:
                inner = each.relative_to(self._suite)
                if inner.parts and not SUITES & set(inner.parts):
                    yield from (str(tree / inner) for tree in self._trees)


class Lacking(Loader):
    """Of modules that a side does not have."""

    def create_module(self, spec: ModuleSpec) -> None:
        """Refuse the module in Python's own words.

        Raises:
            ModuleNotFoundError: always.
        """
        raise ModuleNotFoundError(f"No module named {spec.name!r}", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing, as it is never reached."""


def install(imports: Imports) -> None:
    """Put the imports before all finders, those of pytest too, for the rest of this process."""
    import _pytest.config
    import _pytest.python
    from _pytest.assertion.rewrite import AssertionRewritingHook
    from _pytest.pathlib import import_path

    def import_placed(path: Any, *args: Any, root: Path, mode: Any = "prepend", **options: Any) -> ModuleType:  # noqa: ANN401
        with imports.importing(Path(path), root, mode=getattr(mode, "value", mode)):
            return import_path(path, *args, root=root, mode=mode, **options)

    sys.meta_path.insert(0, imports)
    for name, place, stand_in in (
        ("_find_spec", AssertionRewritingHook, staticmethod(imports.find_or_search)),
        ("import_path", _pytest.config, import_placed),
        ("import_path", _pytest.python, import_placed),
    ):
        setattr(place, name, stand_in)


def _named(path: Path) -> tuple[Path, list[str]]:
    """Return the folder above all packages around a file, and the parts of the name that it has there."""
    names = [] if path.name == "__init__.py" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, names


def _spec(name: str, place: Path) -> ModuleSpec:
    if not place.is_dir():
        spec = importlib.util.spec_from_file_location(name, place.with_name(f"{place.name}.py"))
    elif (place / "__init__.py").is_file():
        spec = importlib.util.spec_from_file_location(
            name, place / "__init__.py", submodule_search_locations=[str(place)]
        )
    else:
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
    assert spec is not None
    return spec


@contextmanager
def _two_files() -> Iterator[None]:
    """Let pytest, within the block, take a module from another file than the one that it collects."""
    before = os.environ.get("PY_IGNORE_IMPORTMISMATCH")
    os.environ["PY_IGNORE_IMPORTMISMATCH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PY_IGNORE_IMPORTMISMATCH"]
        else:
            os.environ["PY_IGNORE_IMPORTMISMATCH"] = before
