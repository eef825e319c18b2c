"""Which folders of a tree are packages, which of them are measured, and what can be imported from a folder."""

from pathlib import Path, PurePosixPath

import pytest

from int8bench.compare.revisions.packages import chosen, describing, importable, normalized, packages_of

BUILT = '[build-system]\nrequires = []\n[project]\nname = "{}"\n'


def test_packages_are_known_by_three_files() -> None:
    """In whatever folder."""
    assert describing(["a/setup.py", "pyproject.toml", "b/c/setup.cfg", "setup.pyx", "README.md"]) == [
        *("a/setup.py", "pyproject.toml", "b/c/setup.cfg")
    ]


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ({"pyproject.toml": BUILT.format("mono")}, [(".", "mono", True)]),
        ({"a/pyproject.toml": '[project]\nname = "app"\n'}, [("a", "app", False)]),
        ({"pyproject.toml": "[tool.ruff]\nline-length = 100\n"}, []),
        ({"pyproject.toml": '[project]\nname = "x"\n[tool.uv]\npackage = false\n'}, []),
        ({"pyproject.toml": "[tool.poetry]\npackage-mode = false\n[build-system]\nrequires = []\n"}, []),
        ({"pyproject.toml": '[tool.poetry]\nname = "old"\n'}, [(".", "old", True)]),
        ({"pyproject.toml": "[build-system\n"}, [(".", None, True)]),
        ({"pyproject.toml": 'tool = 1\n[project]\nname = "x"\n'}, [(".", "x", False)]),
        (
            {"pyproject.toml": '[build-system]\nrequires = []\n[tool.flit.metadata]\nmodule = "flat"\n'},
            [(".", "flat", True)],
        ),
        ({"setup.py": "setup(\n    name = 'plain',\n)"}, [(".", "plain", True)]),
        ({"setup.py": "setup()", "setup.cfg": "[metadata]\nname = told\n"}, [(".", "told", True)]),
        ({"setup.py": "setup(name=NAME)"}, [(".", None, True)]),
        ({"setup.cfg": "[metadata]\nname = alone\n"}, []),
        ({"setup.py": "setup()", "setup.cfg": "no section"}, [(".", None, True)]),
        ({"b/setup.py": "", "a/setup.py": ""}, [("a", None, True), ("b", None, True)]),
    ],
)
def test_a_package_is_what_pip_installs(texts: dict[str, str], found: list[tuple[str, str | None, bool]]) -> None:
    """By its folder, with its name where a file tells it; settings of tools make none."""
    assert [(str(each.folder), each.name, each.builds) for each in packages_of(texts)] == found


def test_the_nearest_package_above_is_measured() -> None:
    """With whatever else of the repository the environment has, by any spelling of its name; not what tests keep."""
    names = {
        "pyproject.toml": "top",
        "a/pyproject.toml": "A_Part",
        "b/pyproject.toml": "b",
        "tests/x/pyproject.toml": "x",
    }
    packages = packages_of({path: BUILT.format(name) for path, name in names.items()})
    found = chosen(packages, near=PurePosixPath("a/benchmarks/deep"), installed={"top", "x"})
    assert found.nearest is not None
    assert found.nearest.name == "A_Part"
    assert [each.name for each in found.others] == ["top"]
    assert [each.name for each in found.unused] == ["b"]
    found = chosen(packages, near=PurePosixPath("c"), installed={normalized("a.part")})
    assert found.nearest is not None
    assert found.nearest.name == "top"
    assert [each.name for each in found.others] == ["A_Part"]


@pytest.mark.parametrize(
    "needing",
    [
        {"a/pyproject.toml": BUILT.format("a") + 'dependencies = [\n  "B_part>=1",\n]\n'},
        {"a/pyproject.toml": '[tool.poetry]\nname = "a"\n[tool.poetry.dependencies]\nb-part = {path = "../b"}\n'},
        {"a/setup.py": "setup(name='a', install_requires=[f'b.part=={VERSION}'])"},
        {
            "a/setup.py": "setup()",
            "a/setup.cfg": "[metadata]\nname = a\n[options]\ninstall_requires =\n    b-part~=1.0\n",
        },
    ],
)
def test_what_the_nearest_package_needs_of_the_repository_is_measured_too(needing: dict[str, str]) -> None:
    """Though the environment has none of it, and through another one; what is only spoken of is not."""
    others = {
        "b/pyproject.toml": BUILT.format("b-part") + 'dependencies = ["c"]\n',
        "c/pyproject.toml": BUILT.format("c") + 'description = "as d is"\n',
        "d/pyproject.toml": BUILT.format("d"),
    }
    found = chosen(packages_of({**needing, **others}), near=PurePosixPath("a/benchmarks"), installed=())
    assert [each.name for each in found.needed] == ["b-part", "c"]
    assert [each.name for each in found.unused] == ["d"]


def test_what_the_path_of_the_environment_leads_to_is_measured_too() -> None:
    """A PYTHONPATH leads to the working tree, which is neither base nor head."""
    packages = packages_of({f"{name}/pyproject.toml": BUILT.format(name) for name in "abc"})
    found = chosen(
        packages, near=PurePosixPath("a"), installed=(), on_path=[PurePosixPath("b/src"), PurePosixPath("x")]
    )
    assert [each.name for each in found.others] == ["b"]


@pytest.mark.parametrize(
    ("files", "packages"),
    [
        (("toy/__init__.py", "toy/a.py", "other.py", "fast.cpython-311.so"), ("fast", "other", "toy")),
        (("toy-1.0.dist-info/x.py", "__pycache__/x.py", ".hidden/x.py", "bin/x.py", "toy.egg-info/x.py"), ()),
        (("tests/test_x.py", "benchmarks/__init__.py", "conftest.py", "setup.py", "toy.py"), ("toy",)),
        (("test_toy.py", "toy_test.py", "toy.py", "testing.py"), ("testing", "toy")),
        (("data/x.txt", "README.md", "toy.pth", "81d243bd__mypyc.cpython-311.so"), ()),
        (("_private.py", "_pytest/__init__.py", "__main__.py"), ("_private", "_pytest")),
        (("compiled/core.cpython-311.so",), ("compiled",)),
        (("google/cloud/storage/__init__.py", "google/auth.py"), ("google",)),
        (("google/cloud/storage/__init__.py", "google/cloud/sql/x.py"), ("google.cloud.sql", "google.cloud.storage")),
        (("zope/tests/x.py", "a/b/c/d/e/x.py"), ("zope.tests",)),
    ],
)
def test_packages_are_what_can_be_imported(tmp_path: Path, files: tuple[str, ...], packages: tuple[str, ...]) -> None:
    """By the names on top, of namespaces by their portions; code that measures is no part of what is measured."""
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert importable(tmp_path) == packages


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    """As a tree's src that it has not."""
    assert importable(tmp_path / "src") == ()
