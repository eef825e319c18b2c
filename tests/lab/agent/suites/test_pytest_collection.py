"""What pytest collects in a project, a side's peer finds, by the same ids, with the side's own package measured."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import bare_python
import pytest

from int8bench.errors import LabError
from int8bench.lab.agent.wire import TurnSample
from int8bench.lab.peers import PeerLaunch, PeerOrder, Place, launched

HELPERS = Path(__file__).parents[3] / "helpers"
ORDER = PeerOrder(suite="pytest")
Files = Mapping[str, str]

TESTS = """
import pytest
from toy import core
from toy.core import MADE

def test_made(benchmark): benchmark(core.work)
@pytest.mark.parametrize("text", ["a b", "[x]", "\\u00fc", "a::b", "/", "w" * 300, ""])
def test_text(benchmark, text): pass
def test_through(timed): pass
def test_plain(): pass
class TestIn:
    @pytest.mark.parametrize("n", [1, 2])
    def test_method(self, n, benchmark): pass
"""
CONFTEST = """
import pytest
@pytest.fixture
def timed(benchmark): return benchmark
"""
TREE = {"toy/__init__.py": "", "toy/core.py": "MADE = 'tree'\ndef work(): return MADE"}
SIDE = {"toy/__init__.py": "", "toy/core.py": "MADE = 'side'\ndef work(): return MADE"}
HELPED = "WORD = 1"
OURS = "\nimport os\nassert MADE == os.environ.get('EXPECTED', MADE), MADE\n"  # in a peer, the side's is measured


def suite(folder: str, *, package: bool = True, imports: str = "") -> dict[str, str]:
    """A conftest, a helper, a test module and another in a subfolder."""
    init = {f"{folder}/__init__.py": "", f"{folder}/sub/__init__.py": ""} if package else {}
    return {
        **init,
        f"{folder}/conftest.py": CONFTEST,
        f"{folder}/helper.py": HELPED,
        f"{folder}/test_it.py": TESTS + OURS + imports,
        f"{folder}/sub/test_more.py": TESTS + OURS + imports.replace("from .", "from .."),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Files of a project, of its side's package, and of a folder behind it on the path."""

    tree: Files
    side: Files = field(default_factory=lambda: SIDE)
    site: Files = field(default_factory=dict)
    folder: str = "."
    plain: bool = True
    """Whether `pytest` collects it too, and not `python -m pytest` alone."""
    packages: tuple[str, ...] = ("toy",)


def ini(text: str) -> dict[str, str]:
    """A pytest.ini."""
    return {"pytest.ini": f"[pytest]\n{text}\n"}


PROJECTS = {
    "package": Project(tree={**TREE, **suite("tests", imports="from .helper import WORD")}),
    "package by name": Project(tree={**TREE, **suite("tests", imports="from tests.helper import WORD")}),
    "flat": Project(
        tree={
            **{name: text for name, text in suite("tests", package=False).items() if "sub" not in name},
            "tests/sub/test_more.py": "def test_more(benchmark): pass",
            **TREE,
        }
    ),
    "folder by name": Project(
        tree={**TREE, **suite("tests", package=False, imports="from tests.helper import WORD")}, plain=False
    ),
    "src": Project(
        tree={
            **{f"src/{name}": text for name, text in TREE.items()},
            **suite("tests"),
            "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\ntestpaths = ['tests']",
        }
    ),
    "src, tests with the package": Project(
        tree={
            **{f"src/{name}": text for name, text in TREE.items()},
            **suite("src/toy/tests", imports="from .helper import WORD\nfrom ..core import work\n"),
        }
    ),
    **{
        f"{mode}": Project(
            tree={
                **TREE,
                **suite("tests", imports="from tests.helper import WORD"),
                **ini(f"addopts = --import-mode={mode}"),
            },
            plain=mode != "importlib",
        )
        for mode in ("prepend", "append", "importlib")
    },
    **{
        f"a package tests in site-packages, {mode}": Project(
            tree={
                **TREE,
                **suite("tests", imports="from tests.helper import WORD"),
                **ini(f"addopts = --import-mode={mode}"),
            },
            site={"tests/__init__.py": "", "tests/other.py": "", "test_it.py": "1 / 0", "conftest.py": "1 / 0"},
            plain=mode == "prepend",
        )
        for mode in ("prepend", "append", "importlib")
    },
    "a folder tests in site-packages": Project(
        tree={**TREE, **suite("tests", package=False, imports="from tests.helper import WORD")},
        site={"tests/other.py": "", "tests/test_it.py": "1 / 0", "tests/sub/other.py": ""},
        plain=False,
    ),
    "tests shipped with the package": Project(
        tree={**TREE, **suite("tests", imports="from tests.helper import WORD")},
        side={**SIDE, "tests/__init__.py": "1 / 0", "tests/helper.py": "1 / 0", "conftest.py": "1 / 0"},
    ),
    **{
        f"tests in the package, {mode}{', shipped' if shipped else ''}": Project(
            tree={
                **TREE,
                **suite(
                    "toy/tests", imports="from .helper import WORD\nfrom ..core import work\nassert work() == MADE"
                ),
                "toy/conftest.py": "from toy.core import MADE" + OURS,
                "toy/test_beside.py": "from .core import MADE\ndef test_beside(benchmark): pass" + OURS,
                **ini(f"addopts = --import-mode={mode}"),
            },
            side={**SIDE, **(dict.fromkeys(suite("toy/tests"), "1 / 0") if shipped else {})},
            plain=mode == "prepend",  # else `pytest` takes the package that is installed, with its tests
        )
        for mode in ("prepend", "append", "importlib")
        for shipped in (False, True)
    },
    "tests in the package, a folder, importlib": Project(
        tree={**TREE, **suite("toy/tests", package=False), **ini("addopts = --import-mode=importlib")}
    ),
    "tests in the package, which loads them itself": Project(
        tree={**TREE, **suite("toy/tests", imports="from .helper import WORD")},
        side={**SIDE, "toy/__init__.py": "import toy.tests", **dict.fromkeys(suite("toy/tests"), "WORD = 1")},
    ),
    "a namespace": Project(
        tree={
            f"acme/{name}": text.replace("toy", "acme.toy")
            for name, text in {**TREE, **suite("tests", package=False)}.items()
        }
        | {"conftest.py": ""},
        side={f"acme/{name}": text for name, text in SIDE.items()},
        site={"acme/other/__init__.py": ""},
        packages=(),
    ),
    "a folder of a monorepo": Project(
        tree={f"pkg-one/{name}": text for name, text in {**TREE, **suite("tests")}.items()}
        | {"conftest.py": "import pytest", **ini("python_files = test_*.py")},
        folder="pkg-one",
    ),
    "a folder of a monorepo with options of its own": Project(
        tree={
            f"pkg-one/{name}": text
            for name, text in {**TREE, **suite("tests"), "tox.ini": "[pytest]\ntestpaths = tests"}.items()
        }
        | ini("addopts = --no-such-option"),
        folder="pkg-one",
    ),
    "plug-ins of the package": Project(
        tree={
            **TREE,
            **suite("tests", imports="\ndef test_plugged(benchmark, given): pass"),
            "toy/plug.py": "",
            "conftest.py": "import pytest; pytest.register_assert_rewrite('toy'); pytest_plugins = ['toy.plug']",
        },
        side={**SIDE, "toy/plug.py": "import pytest\n@pytest.fixture\ndef given(benchmark): pass"},
        plain=True,
    ),
    "plug-ins of the suite": Project(
        tree={
            **TREE,
            **suite("tests", imports="\ndef test_plugged(given): pass"),
            "tests/plug.py": "import pytest\n@pytest.fixture\ndef given(benchmark): pass",
            **ini("addopts = -p tests.plug"),
        },
        plain=False,
    ),
    "names of its own": Project(
        tree={
            **TREE,
            "checks/bench_it.py": TESTS + CONFTEST + "class BenchIn:\n    def bench_x(self, benchmark): pass\n" + OURS,
            "checks/it_perf.py": "def bench_it(benchmark): pass",
            "checks/sub/conftest.py": "collect_ignore = ['bench_no.py']",
            "checks/sub/bench_no.py": "def bench_no(benchmark): pass",
            "checks/left/bench_left.py": "def bench_left(benchmark): pass",
            "setup.cfg": "[tool:pytest]\npython_files = bench_*.py *_perf.py\npython_functions = bench_* test_*\n"
            "python_classes = Bench\nnorecursedirs = left\naddopts = --doctest-modules --strict-config "
            "--strict-markers --ignore=nothing\nxfail_strict = true\nfilterwarnings = error",
        },
        plain=False,
    ),
    "measured files that have tests in them": Project(
        tree={**TREE, "toy/inner.py": "def test_old(benchmark): pass", **ini("python_files = *.py")},
        side={**SIDE, "toy/inner.py": "def test_old(benchmark): pass"},
    ),
    "no package at all, tests beside the code": Project(
        tree={
            "toy/__init__.py": "",
            "toy/core.py": TREE["toy/core.py"],
            "test_it.py": TESTS + CONFTEST + OURS,
            "sub/test_more.py": TESTS + CONFTEST + OURS,
            "bench/__init__.py": "",
            "bench/test_bench.py": "from toy.core import MADE\ndef test_it(benchmark): pass" + OURS,
        },
        side={**SIDE, **dict.fromkeys(("test_it.py", "sub/test_more.py", "bench/test_bench.py"), "1 / 0")}
        | {"bench/__init__.py": ""},
        packages=("toy", "test_it", "sub", "bench"),
    ),
    "no package at all, code in a folder": Project(
        tree={
            ".git": "",
            **{f"src/{name}": text for name, text in TREE.items()},
            "speed/bench_it.py": TESTS + CONFTEST + OURS + "from common import WORD\n",
            "speed/common.py": HELPED,
            **suite("tests", package=False),
            **ini("pythonpath = src\npython_files = bench_*.py test_it.py"),
        },
        side={".git": "", "speed/common.py": "1 / 0", **{f"src/{name}": text for name, text in SIDE.items()}},
        packages=(),
        plain=True,
    ),
    "unittest": Project(
        tree={
            **TREE,
            "test_unit.py": "import pytest, unittest\nclass TestUnit(unittest.TestCase):\n"
            "    @pytest.fixture(autouse=True)\n    def ask(self, benchmark): self.benchmark = benchmark\n"
            "    def test_unit(self): self.benchmark(int)\n",
        }
    ),
    "ids as they are written": Project(
        tree={
            **TREE,
            **suite("tests"),
            **ini("disable_test_id_escaping_and_forfeit_all_rights_to_community_support = true"),
        }
    ),
}


def written(folder: Path, files: Files) -> Path:
    """A folder with files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    folder.mkdir(exist_ok=True)
    return folder


Collects = Callable[..., list[str]]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with pytest alone; neither it nor a peer needs more to collect."""
    return bare_python.made(tmp_path_factory.mktemp("environment"))


@pytest.fixture
def collects(tmp_path: Path, python: str) -> Collects:
    """The ids that pytest itself collects in a folder, by `python -m pytest` or by `pytest`."""

    def collect(folder: Path, *options: str) -> list[str]:
        answer = tmp_path / "asking.json"
        path = os.pathsep.join((str(tmp_path / "side"), str(tmp_path / "site"), str(HELPERS)))
        ours = {name: text for name, text in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
        command = (python, *options, "-m", "pytest", "--collect-only", "-q", "-p", "asking")
        done = subprocess.run(
            (*command, "-p", "no:cacheprovider", "--continue-on-collection-errors"),
            cwd=folder,
            env={**ours, "PYTHONPATH": path, "ASKING": str(answer), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(answer.read_text(encoding="utf-8"))

    return collect


def opened(tmp_path: Path, project: Project, python: str) -> PeerLaunch:
    """What a side's peer tells of a project that is written; it has ended."""
    place = Place(
        label="head",
        python=python,
        path=(str(tmp_path / "side"),),
        folder=str(tmp_path / "tree" / project.folder),
        packages=project.packages,
    )
    with launched([place], ORDER) as (launch,):
        return launch


@pytest.fixture
def in_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What peers inherit."""
    for name in [each for each in os.environ if each.startswith(("PYTEST_", "COV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("EXPECTED", "side")


@pytest.mark.usefixtures("in_peers")
@pytest.mark.parametrize("name", PROJECTS)
def test_a_peer_finds_what_pytest_collects(tmp_path: Path, collects: Collects, python: str, name: str) -> None:
    """By the same ids in the same order, and nothing is left out; the side's own package is what is measured."""
    project = PROJECTS[name]
    written(tmp_path / "side", project.side)
    written(tmp_path / "site", project.site)
    tree = written(tmp_path / "tree", project.tree)
    told = opened(tmp_path, project, python)
    os.environ.pop("EXPECTED")
    expected = collects(tree / project.folder)
    assert expected
    assert (list(told.names), told.left_out) == (expected, {})
    if project.plain:
        assert collects(tree / project.folder, "-P") == expected


@pytest.mark.usefixtures("in_peers")
def test_the_root_folder_is_in_the_tree(tmp_path: Path, python: str) -> None:
    """Options that lie above a revision's tree are not the project's, and ids begin in the tree."""
    written(tmp_path, {"pytest.ini": "[pytest]\naddopts = --no-such-option", "conftest.py": "1 / 0"})
    written(tmp_path / "side", SIDE)
    for name, files, folder, root in (
        ("bare", {}, ".", ""),
        ("folder", {}, "sub", ""),
        ("toml", {"pyproject.toml": "[project]\nname = 'toy'"}, "sub", "sub/"),
        ("ini", ini("python_files = test_*.py"), "sub", "sub/"),
    ):
        tree = {f"{folder}/{name}": text for name, text in {**TREE, **suite("tests")}.items()}
        written(tmp_path / name / "tree", {".git": "", **tree, **files})
        place = Place(
            label="head",
            python=python,
            path=(str(tmp_path / "side"),),
            folder=str(tmp_path / name / "tree" / folder),
            packages=(),
        )
        with launched([place], ORDER) as (launch,):
            assert f"{root}tests/test_it.py::test_made" in launch.names


OPTIONS = """
addopts = --benchmark-skip --benchmark-only --benchmark-min-rounds=3 --benchmark-sort name --benchmark-warmup
    --benchmark-warmup=on --benchmark-compare-fail mean:5% min:3% --benchmark-disable --benchmark-histogram=h
    --codspeed --codspeed-mode=walltime --strict-config --strict-markers
required_plugins = pytest-benchmark>=4 pytest_codspeed
filterwarnings = error
"""
HOOKS = "".join(
    f"def pytest_benchmark_{name}: raise AssertionError\n"
    for name in (
        "scale_unit(config, unit, benchmarks, best, worst, sort)",
        "generate_machine_info(config)",
        "update_machine_info(config, machine_info)",
        "generate_commit_info(config)",
        "update_commit_info(config, commit_info)",
        "group_stats(config, benchmarks, group_by)",
        "generate_json(config, benchmarks, include_data, machine_info, commit_info)",
        "update_json(output_json)",
        "compare_machine_info(config, benchmarksession, machine_info, compared_benchmark)",
    )
)


@pytest.mark.usefixtures("in_peers")
def test_a_project_goes_without_the_plug_ins_that_are_stood_in_for(tmp_path: Path, python: str) -> None:
    """Its options, hooks, markers and requirements are those of plug-ins that are not installed."""
    written(tmp_path / "side", SIDE)
    files = {**suite("tests"), **ini(OPTIONS), "conftest.py": HOOKS, "tests/sub/conftest.py": HOOKS}
    files["tests/test_marked.py"] = (
        "import pytest\n@pytest.mark.benchmark(group='g')\ndef test_group(benchmark): pass\n"
        "def test_option(pytestconfig, benchmark): pass"
    )
    written(tmp_path / "tree", files)
    told = opened(tmp_path, Project(tree=files), python)
    assert {"tests/test_marked.py::test_group", "tests/sub/test_more.py::test_made"} <= set(told.names)
    assert told.left_out == {}


@pytest.mark.usefixtures("in_peers")
def test_another_requirement_of_a_project_holds(tmp_path: Path, python: str) -> None:
    """A plug-in that nothing stands in for must be there."""
    written(tmp_path / "side", SIDE)
    files = {**suite("tests"), **ini("required_plugins = pytest-benchmark pytest-nothing")}
    written(tmp_path / "tree", files)
    with pytest.raises(LabError, match=r"Missing required plugins: pytest-nothing$"):
        opened(tmp_path, Project(tree=files), python)


@pytest.mark.usefixtures("in_peers")
def test_files_that_cannot_be_collected_are_named_with_one_sentence_for_one_cause(tmp_path: Path, python: str) -> None:
    """The same words wherever the cause is the same: a library, a conftest, two modules of one name."""
    files = {
        **{f"tests/test_{n}.py": "from toy.new import fast\ndef test_it(benchmark): pass" for n in range(3)},
        "tests/test_fine.py": "def test_it(benchmark): pass",
        "tests/one/test_fine.py": "def test_it(benchmark): pass",
        "tests/bad/conftest.py": "import no_such_library",
        "tests/bad/test_bad.py": "def test_it(benchmark): pass",
        "tests/new/__init__.py": "",
        "tests/new/test_new.py": "from toy.core import NEW\ndef test_it(benchmark): pass",
        "toy/__init__.py": "",
        "toy/new.py": "fast = 1",
    }
    written(tmp_path / "side", SIDE)
    written(tmp_path / "tree", files)
    told = opened(tmp_path, Project(tree=files), python)
    new = "ModuleNotFoundError: No module named 'toy.new'"
    other = str(tmp_path / "tree" / "tests" / "one" / "test_fine.py")
    core = tmp_path / "side" / "toy" / "core.py"
    assert told.left_out == {
        "tests/bad": "ModuleNotFoundError: No module named 'no_such_library'",
        "tests/new/test_new.py": f"ImportError: cannot import name 'NEW' from 'toy.core' ({core})",
        **{f"tests/test_{n}.py": new for n in range(3)},
        "tests/test_fine.py": f"ImportPathMismatchError: a module of that name, test_fine, was imported from {other}",
    }
    assert list(told.names) == ["tests/one/test_fine.py::test_it"]


BLOCKED = """
import os, socket, threading, warnings
class Guarded(socket.socket):
    def __new__(cls, *args, **kwargs): raise RuntimeError("a test tried to open a socket")
socket.socket = Guarded
socket.recv_fds = socket.send_fds = None
fork = os.fork
def forked():
    warnings.warn("there are threads", DeprecationWarning)
    return fork()
def pytest_configure():
    os.fork = forked
    warnings.simplefilter("error")
"""


@pytest.mark.usefixtures("in_peers")
def test_a_project_that_blocks_sockets_and_makes_errors_of_warnings_is_measured(tmp_path: Path, python: str) -> None:
    """When it is imported and when its tests run: a fork is opened, takes its turns and ends."""
    files = {**suite("tests"), "conftest.py": BLOCKED}
    written(tmp_path / "side", SIDE)
    written(tmp_path / "tree", files)
    place = Place(
        label="head",
        python=python,
        path=(str(tmp_path / "side"),),
        folder=str(tmp_path / "tree"),
        packages=("toy",),
    )
    with launched([place], ORDER) as (launch,):
        turns = launch.enter("tests/test_it.py::test_made", cores=(), shift=1, timeout_s=60)
        assert turns.ask(TurnSample(calls=2, untimed=1), 60).mean_s > 0
        turns.finish(60)
        turns.end()


@pytest.mark.usefixtures("in_peers")
def test_a_package_that_a_side_lacks_is_not_taken_from_the_suite(tmp_path: Path, python: str) -> None:
    """Base would measure head's code; what base has is measured, in a test that is new too."""
    files = {
        "toy/__init__.py": "",
        "toy/core.py": "MADE = 'tree'",
        "new/__init__.py": "",
        "new/tests/__init__.py": "",
        "new/tests/test_inner.py": "def test_it(benchmark): pass",
        "test_new.py": "import new\ndef test_it(benchmark): pass",
        "test_old.py": "from toy.core import MADE\ndef test_it(benchmark): pass" + OURS,
        "test_either.py": "try:\n    import new\nexcept ImportError:\n    def test_it(benchmark): pass",
    }
    tree, side = written(tmp_path / "tree", files), written(tmp_path / "side", SIDE)
    base = Place(label="base", python=python, path=(str(side),), folder=str(tree), packages=("toy",))
    head = replace(base, label="head", path=(str(tree),), packages=("toy", "new", "test_old", "test_new"))
    os.environ.pop("EXPECTED")
    with launched([base, head], ORDER) as launches:
        assert launches[0].left_out == dict.fromkeys(
            ("test_new.py", "new/tests/test_inner.py"), "ModuleNotFoundError: No module named 'new'"
        )
        assert list(launches[0].names) == ["test_either.py::test_it", "test_old.py::test_it"]
        assert list(launches[1].names) == [
            "new/tests/test_inner.py::test_it",
            "test_new.py::test_it",
            "test_old.py::test_it",
        ]
