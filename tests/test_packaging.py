"""Set-up: the wheel works outside the repository, make installs once, and CI runs the README's test command."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from int8bench import __version__

REPOSITORY = Path(__file__).parents[1]
# Stands in for python, pip and all that they install: notes what it is called with, and makes what `-m venv` would.
FAKE_PYTHON = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in "-m pytest"*) env | grep -E '^(ONEDNN_MAX|NPY_DISABLE|INT8BENCH_LEFT)[A-Z_]*=' >> "$CALLS";; esac
case "$*" in "$FAILING"*) exit 1;; esac
if [ "$2" = venv ]; then
    mkdir -p "$3/bin"
    for name in python int8bench ruff mypy lint-imports; do cp "$0" "$3/bin/$name"; done
fi
"""


COUNTED = " --cov --cov-report= --cov-fail-under=0"
# What a make that runs these tests sets, and would hand on to the one that they run.
NOT_HANDED_ON = ("MAKE", "MFLAGS", "COUNTED", "TORCH_", "ONEDNN_", "NPY_", "INT8BENCH_LEFT_OUT")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as `make build` does, from a copy, so that the repository stays as it is."""
    copy, into = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    for name in ("src", "benchmarks"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(into), str(copy))
    (found,) = into.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the installed wheel and nothing else."""
    into = tmp_path_factory.mktemp("site")
    _pip("install", "--no-deps", "--no-compile", "--target", str(into), str(wheel))
    return into


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet", *arguments]
    environment = {**os.environ, "PIP_NO_INDEX": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def _outside(installed: Path, folder: Path, *command: str) -> str:
    """What a command prints where the installed wheel alone is int8bench."""
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_what_the_package_reads(wheel: Path) -> None:
    """Code, schema, templates, the marker of types and the license; neither tests nor caches."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = [path for path in (REPOSITORY / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.relative_to(REPOSITORY / "src").as_posix() for path in sources} <= names
    assert {
        "int8bench/py.typed",
        "int8bench/schemas/run.schema.json",
        "int8bench/report/templates/run.html.j2",
        *(f"int8bench/templates/benchmarks/{path.name}" for path in (REPOSITORY / "benchmarks").glob("*.py")),
    } <= names
    others = {name for name in names if not name.startswith("int8bench/")}
    assert {name.partition("/")[0] for name in others} == {f"int8bench-{__version__}.dist-info"}
    assert any(name.endswith("licenses/LICENSE") for name in others)


def test_the_installed_command_works_outside_the_repository(installed: Path, tmp_path: Path) -> None:
    """Help, version and an answer about a recorded machine, by the script that pip made."""
    script = str(installed / "bin" / "int8bench")
    assert "Usage: int8bench" in _outside(installed, tmp_path, script, "--help")
    assert _outside(installed, tmp_path, script, "--version") == f"int8bench {__version__}\n"
    shutil.copy(REPOSITORY / "tests" / "golden" / "hardware" / "linux-ubuntu20.04-zen3", tmp_path / "cpuinfo.txt")
    assert "recommended" in _outside(installed, tmp_path, script, "doctor", "--hardware", "cpuinfo.txt")


def test_the_installed_package_finds_its_schema_and_templates(installed: Path, tmp_path: Path) -> None:
    """Read as resources of the package, wherever that lies."""
    program = (
        "import int8bench; from importlib import resources; from int8bench.study import records\n"
        "print(int8bench.__file__, len(records.schema()['properties']) > 5,"
        " (resources.files('int8bench') / 'report/templates/run.html.j2').is_file())"
    )
    found = _outside(installed, tmp_path, sys.executable, "-c", program).split()
    assert Path(found[0]).is_relative_to(installed)
    assert found[1:] == ["True", "True"]


@dataclass
class Clone:
    """A copy of what make needs, with a python that only takes notes."""

    folder: Path
    failing: str = "nothing"

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs make there."""
        return self.run("make", *arguments, f"PYTHON={self.folder / 'python3'}")

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Runs a command there."""
        ours = {"CALLS": str(self.folder / "calls"), "FAILING": self.failing}
        theirs = {key: value for key, value in os.environ.items() if not key.startswith(NOT_HANDED_ON)}
        return subprocess.run(
            command, cwd=self.folder, env={**theirs, **ours}, capture_output=True, text=True, timeout=60, check=False
        )

    def calls(self) -> list[str]:
        """What was called since the last question."""
        path = self.folder / "calls"
        found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    """A fresh clone, as far as make looks."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "constraints-newest.txt"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / ".ci", tmp_path / ".ci")
    python = tmp_path / "python3"
    python.write_text(FAKE_PYTHON, encoding="utf-8")
    python.chmod(0o755)
    return Clone(tmp_path)


def test_a_fresh_clone_installs_the_pinned_set_and_benches(clone: Clone) -> None:
    """`make bench` makes the environment, installs under the constraints, and runs."""
    done = clone.make("bench")
    assert done.returncode == 0, done.stderr
    calls = clone.calls()
    assert "python3 -m venv .venv" in calls
    installs = [call for call in calls if " install " in call]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in call for call in installs)
    assert "--editable .[dev]" in installs[-1]
    assert calls[-1] == "int8bench run -o reports/run.json"


def test_a_second_call_installs_nothing(clone: Clone) -> None:
    """None of `make install`, `make engines`, `make bench` and `make test` calls pip or venv again."""
    clone.make("install")
    clone.calls()
    clone.make("engines")
    assert [call for call in clone.calls() if " install " in call][-1].endswith("--editable .[dev,all]")
    for target in ("install", "engines", "bench", "test"):
        assert clone.make(target).returncode == 0
        assert not [call for call in clone.calls() if "pip" in call or "venv" in call], target


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_are_installed(clone: Clone, name: str) -> None:
    """Whoever pulls new pins gets them with the next call."""
    clone.make("install")
    clone.calls()
    newer = (clone.folder / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(clone.folder / name, (newer, newer))
    clone.make("install")
    calls = clone.calls()
    assert [call for call in calls if " install " in call]
    assert "python3 -m venv .venv" not in calls


@pytest.mark.parametrize("failing", ["-m venv", "-m pip --disable-pip-version-check --no-input install"])
def test_an_installation_that_failed_is_tried_again(clone: Clone, failing: str) -> None:
    """No half-made environment passes for a whole one."""
    clone.failing = failing
    assert clone.make("bench").returncode != 0
    assert not [call for call in clone.calls() if call.startswith("int8bench")]
    clone.failing = "nothing"
    assert clone.make("bench").returncode == 0
    assert clone.calls()[-1].startswith("int8bench run")


def test_an_environment_without_pip_is_made_anew(clone: Clone) -> None:
    """As Ctrl-C in the middle of its making leaves one."""
    clone.make("install")
    clone.calls()
    (clone.folder / ".venv" / ".installed").unlink()
    clone.failing = "-m pip --version"
    clone.make("install")
    assert "python3 -m venv .venv" in clone.calls()


def test_torch_alone_comes_from_the_index_that_is_given(clone: Clone) -> None:
    """The small torch first, under the same constraints; everything else from where pip always looks."""
    clone.make("install", "TORCH_INDEX_URL=https://example.invalid/cpu")
    installs = [call for call in clone.calls() if " install " in call]
    assert ["https://example.invalid/cpu" in call for call in installs] == [True, False, False]
    assert installs[0].endswith("torch torchvision -c constraints.txt")


def test_make_test_lints_types_and_tests(clone: Clone) -> None:
    """Lint first, and types beside the tests, for the Python that runs them; it fails where one of them does."""
    assert clone.make("test").returncode == 0
    ours = [call for call in clone.calls() if not call.startswith(("python3", "python -m pip"))]
    assert ours[:3] == ["ruff check .", "ruff format --check .", "lint-imports --no-cache"]
    types = [call for call in ours if call.startswith("mypy")]
    assert types == ["mypy --python-version 3.11"]
    assert {call.partition(" tests/")[0].partition(" --ignore=")[0] for call in ours[3:] if call not in types} == {
        "python -m pytest"
    }
    for failing in ("check", "format", "--no-cache", "--python-version 3.11", "-m pytest"):
        clone.failing = failing
        assert clone.make("test").returncode != 0, failing


def test_coverage_counts_the_lines_of_every_part(clone: Clone) -> None:
    """The same tests, each part counted, then added up and shown."""
    assert clone.make("tests").returncode == 0
    plain = sorted(call for call in clone.calls() if call.startswith("python -m pytest "))
    assert clone.make("coverage").returncode == 0
    ours = [call for call in clone.calls() if call.startswith(("python -m pytest ", "python -m coverage"))]
    assert sorted(call.replace(COUNTED, "") for call in ours[:-2]) == plain
    assert all(f"{COUNTED} " in call for call in ours[:-2])
    assert ours[-2:] == ["python -m coverage combine --quiet", "python -m coverage report"]


def test_coverage_has_a_floor() -> None:
    """`make coverage` is red where all parts together are below it; a part alone is below it, and green."""
    assert COUNTED.endswith("--cov-fail-under=0")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["coverage"]["report"]["fail_under"] == 90


def test_every_test_is_in_one_part(clone: Clone) -> None:
    """Each file of tests is named by exactly one part, or left to the last one, which is told of all the others."""
    everything = {path.relative_to(REPOSITORY) for path in (REPOSITORY / "tests").rglob("test_*.py")}
    for path in everything:
        (clone.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (clone.folder / path).touch()
    clone.make("tests")
    clone.make("perf")
    clone.make("test-readme")
    parts = [call.split("-m pytest ")[1].split() for call in clone.calls() if call.startswith("python -m pytest ")]
    (rest,) = [part for part in parts if part[0].startswith("--ignore=")]
    others = [each for part in parts if part is not rest for each in part]
    assert len(others) == len(set(others))
    assert {each.removeprefix("--ignore=") for each in rest} == set(others)
    assert all((REPOSITORY / each).exists() for each in others)
    left = {path for path in everything if not {str(path), *map(str, path.parents)} & set(others)}
    assert Path("tests/stats/test_ratio.py") in left
    assert Path("tests/engines/torch/test_torch.py") not in left


@pytest.mark.parametrize(
    ("target", "variables"),
    [
        ("test-avx2", {"ONEDNN_MAX_CPU_ISA=AVX2", "NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512_ICL AVX512_SPR"}),
        ("test-newest", {"INT8BENCH_LEFT_OUT=litert,tflm"}),
        (
            "test-newest-avx2",
            {
                "INT8BENCH_LEFT_OUT=litert,tflm",
                "ONEDNN_MAX_CPU_ISA=AVX2",
                "NPY_DISABLE_CPU_FEATURES=X86_V4 AVX512_ICL AVX512_SPR",
            },
        ),
        ("test", set()),
    ],
)
def test_the_tests_run_on_a_lesser_processor_and_with_the_newest_set(
    clone: Clone, target: str, variables: set[str]
) -> None:
    """The same tests; the newest set in an environment and under constraints of its own, which leave .venv alone."""
    assert clone.make(target).returncode == 0
    calls = clone.calls()
    assert {call for call in calls if re.match(r"[A-Z0-9_]+=", call)} == variables
    newest = "newest" in target
    assert (clone.folder / ".venv-newest" / ".engines").exists() is newest
    assert (clone.folder / ".venv").exists() is not newest
    installs = [call for call in calls if " install " in call]
    constraints = "constraints-newest.txt" if newest else "constraints.txt"
    assert all(f"--constraint {constraints}" in call for call in installs)
    extras = "dev,onnxruntime,openvino,inductor,executorch" if newest else "dev,all"
    assert installs[-1].endswith(f"--editable .[{extras}]")


def test_the_newest_set_says_which_engines_it_leaves_out() -> None:
    """Every extra that the Makefile does not install there is named in the comment of the pins, with its cause."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    installed = re.search(r"constraints-newest.txt EXTRAS=dev,(\S+)", makefile)
    left_out = re.search(r"INT8BENCH_LEFT_OUT=(\S+)", makefile)
    assert installed
    assert left_out
    engines = re.search(r"\[(.*)\]", project["project"]["optional-dependencies"]["all"][0])
    assert engines
    assert {*installed[1].split(","), *left_out[1].split(",")} == {*engines[1].split(",")}
    pins = (REPOSITORY / "constraints-newest.txt").read_text(encoding="utf-8")
    cause = " ".join(line for line in pins.splitlines() if line.startswith("#"))
    assert all(name in cause for name in left_out[1].split(","))
    assert "asks for torch<2.15.0" in cause
    assert {"torch==2.15.0", "pytest==9.2.0", "pytest-benchmark==5.3.1"} <= {*pins.splitlines()}


def test_ci_runs_the_test_command_of_the_readme(clone: Clone) -> None:
    """Then our own performance alone and all types, from anywhere, with its exit code; a browser is left as it is."""
    assert "make test" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    make = clone.folder / "bin" / "make"
    make.parent.mkdir()
    for name in ("chromium", "chromedriver", "apt-get"):
        shutil.copy(clone.folder / "python3", make.parent / name)
    for code, made in ((0, ["test", "perf", "types"]), (3, ["test"])):
        make.write_text(f'#!/bin/sh\necho "make $* in $(pwd)" >> "$CALLS"\nexit {code}\n', encoding="utf-8")
        make.chmod(0o755)
        path = f"{make.parent}{os.pathsep}{os.environ['PATH']}"
        done = clone.run("env", "-C", "/", f"PATH={path}", str(clone.folder / ".ci" / "run"))
        assert done.returncode == code
        assert clone.calls() == [f"make {each} in {clone.folder}" for each in made]
