"""The house rules that a machine can hold: which module may open, read a clock or print.

Who may import whom is a contract in pyproject.toml, which `make lint` holds.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "int8bench"
MODULES = sorted(PACKAGE.rglob("*.py"))
HEAVY = ("torch", "torchvision", "scipy", "sklearn", "plotly")

PRINTING = {"cli.py"}
# Everything is timed in sampling.py; clock.py looks at the clock itself, and keeps a thread busy by it.
CLOCKS = {"lab/sampling.py", "lab/clock.py", "lab/agent/turns.py"}  # a side's process has nothing else of ours
# Who may touch files: records, checkpoints and the last selftest, machines and their counters, pictures, and a launch's
# standard error.
FILES = {
    "documents.py",
    "study/records.py",
    "workload/training.py",
    "workload/data.py",
    "workload/subject.py",
    "lab/noise.py",
    "selftest/trust.py",
}
FILES |= {
    "lab/interpreter.py",  # a nameless file for standard error
    "compare/duet/sides.py",  # what a build holds
    "cache.py",  # what conversions say of themselves
    "lab/clock.py",  # since when this process runs
    "study/session/conversions.py",  # what engines need of a model, kept by content
    "files.py",  # folders of processes, held by a lock on them
    "engines/torch/onednn_log.py",
    "engines/inductor/files.py",  # the library that a conversion compiles
    "engines/executorch/files.py",  # programs, what XNNPACK was given, and a serializer that goes by files
    "engines/onnx/files.py",  # reads what it converted
    "engines/onnx/onnxruntime.py",  # its profile
    "engines/tflite/files.py",  # writes what it converted, and reads it
    "engines/torch/operators.py",  # a nameless file for what the profiler says on standard error
    "engines/tflite/tflm.py",  # a nameless file for what C++ says on standard error
    "engines/tensorrt/engine.py",  # serialized engines
    "engines/tensorrt/build.py",
    "tracking/side.py",
    "tracking/asv_results.py",
    "tracking/dashboard.py",
    "tracking/scaffold.py",
    "compare/gate/policy.py",
    "lab/agent/memory.py",  # what the kernel tells of this process
    "lab/agent/fresh.py",  # nameless files for what a fresh interpreter answers and says
    "lab/agent/suites/asv_file.py",  # the configuration of a suite
    "lab/agent/suites/asv_suite.py",  # what its setup_cache made
} | {_.relative_to(PACKAGE).as_posix() for _ in PACKAGE.glob("machine/**/*.py")}
OPENING = {
    "open",
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "mkstemp",
    "TemporaryFile",
    "NamedTemporaryFile",
}


def _relative(module: Path) -> str:
    return module.relative_to(PACKAGE).as_posix()


def _calls(module: Path) -> set[str]:
    tree = ast.parse(module.read_text(encoding="utf-8"))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


def test_there_is_something_to_check() -> None:
    """The rules are held against the real package."""
    assert PACKAGE / "cli.py" in MODULES


@pytest.mark.parametrize("module", MODULES, ids=_relative)
def test_only_the_command_line_prints(module: Path) -> None:
    """Print and sys.exit stand in cli.py alone."""
    if _relative(module) not in PRINTING:
        assert not _calls(module) & {"print", "sys.exit", "exit"}


@pytest.mark.parametrize("module", MODULES, ids=_relative)
def test_durations_are_read_in_sampling_alone(module: Path) -> None:
    """The clocks that time anything are read in lab/sampling.py, where they are injected."""
    if _relative(module) not in CLOCKS:
        assert not _calls(module) & {"time.perf_counter", "time.perf_counter_ns", "time.process_time", "time.time"}


@pytest.mark.parametrize("module", MODULES, ids=_relative)
def test_files_are_opened_in_a_few_rooms_alone(module: Path) -> None:
    """Everything else gets data and returns data."""
    if _relative(module) not in FILES:
        assert not {
            call for call in _calls(module) if call.rpartition(".")[2] in OPENING and not call.startswith("files.")
        }


def test_every_room_named_in_a_rule_exists() -> None:
    """A rule about a module that has moved would hold nothing."""
    for place in {*PRINTING, *CLOCKS, *FILES}:
        assert (PACKAGE / place).exists(), place


LISTED = re.compile(r"^(\w+\.py)\b|; (\w+\.py)\b", re.MULTILINE)
ROOMS = [each for each in MODULES if each.name == "__init__.py" and LISTED.search(each.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("room", ROOMS, ids=_relative)
def test_a_room_lists_each_of_its_modules_once(room: Path) -> None:
    """And none that is not there."""
    named = [first or later for first, later in LISTED.findall(room.read_text(encoding="utf-8"))]
    assert sorted(named) == sorted(set(named))
    assert set(named) <= {each.name for each in room.parent.iterdir()}


def test_a_guide_names_what_is_there() -> None:
    """A file or a folder of the package that CONTRIBUTING sends a person to exists there."""
    repository = PACKAGE.parents[1]
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", text)
    assert "machine/rules/" in named
    assert [each for each in named if not (PACKAGE / each).exists() and not (repository / each).exists()] == []


def test_each_word_has_its_class() -> None:
    """The glossary names classes that are where it says."""
    text = (PACKAGE.parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)` in `([\w/]+\.py)`", text)
    assert len(named) > 20
    for name, place in named:
        tree = ast.parse((PACKAGE / place).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}, f"{name} in {place}"


def test_help_needs_nothing_heavy() -> None:
    """int8bench --help imports no torch, scipy, scikit-learn or plotting."""
    program = "import sys, int8bench.cli; print(*[name for name in sys.argv[1:] if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_report_needs_neither_scipy_nor_an_engine() -> None:
    """Int8bench report, of a stored run, loads what reads and draws it, and nothing that measures."""
    program = (
        "import contextlib, io, sys\n"
        "from int8bench import cli\n"
        "sys.argv[1:], names = ['report', sys.argv[1]], sys.argv[2:]\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    cli.main()\n"
        "print(*[name for name in names if name in sys.modules])"
    )
    run = PACKAGE.parents[1] / "tests" / "golden" / "runs" / "quick.json"
    measuring = ("numpy", "int8bench.engines.registry", "int8bench.lab.sampling", "int8bench.study.session.worker")
    command = [sys.executable, "-c", program, str(run), *HEAVY, *measuring]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_class_name_is_of_one_thing() -> None:
    """So that a search for a name ends at its class; `facade` has the names that a stranger's suite knows."""
    places: dict[str, list[str]] = {}
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and _relative(module) != "facade.py":
                places.setdefault(node.name, []).append(_relative(module))
    assert not {name: where for name, where in places.items() if len(where) > 1}
