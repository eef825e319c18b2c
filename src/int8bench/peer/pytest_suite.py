"""A project's pytest-benchmark tests as a side's benchmarks; what pytest collects once, forks run test by test.

The project's own options, plug-ins and conftest files hold, except for what would run, stop or trace the tests
otherwise: processes of pytest-xdist, coverage, time limits, reruns, `-x` and `--lf`. pytest-benchmark itself is set
aside, and need not be installed.
"""

import ast
import importlib.util
import inspect
import io
import os
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import _prepareconfig  # as pytest-xdist does: a session that goes on after it has collected

from .faults import first_line
from .pytest_fixture import Benchmark, Measurement
from .suite import TIME, SkippedError, Within

FIXTURE, WEAVE = "benchmark", "benchmark_weave"
# Plug-ins by the names of their entry points: those that our fixture stands in for, and those that end or repeat tests.
REPLACED = ("benchmark", "int8bench")
MEDDLING = ("timeout", "rerunfailures", "flaky")
# Options of the project's that are for a run of all its tests; each where its plug-in is there.
OVERRULED: Mapping[str, object] = {
    "maxfail": 0,
    "basetemp": None,  # emptied by every process that asks for it
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "stepwise": False,
    "numprocesses": None,
    "dist": "no",
    "tx": [],
}
ASSERTS_STATISTICS = "asserts something of benchmark.stats, which has no meaning where calls are paired"
MARKER = "benchmark: mark a test with custom benchmark settings."


def open_suite(folder: str, options: Mapping[str, object]) -> "PytestSuite":
    """The tests of `folder` that ask for the fixture `benchmark`; this process stays in that folder.

    Args:
        folder: pytest's root folder.
        options: ``packages`` names what must come from where it is found now, wherever the tests' folders lead.

    Raises:
        UsageError: pytest refuses the project's options.
        RuntimeError: the project ends Python while its tests are collected.
        Exception: whatever a conftest file raises.
    """
    os.chdir(folder)
    names = options.get("packages", ())
    assert isinstance(names, Iterable)
    sys.meta_path.insert(0, Pinned(map(str, names)))
    scratch = tempfile.TemporaryDirectory(prefix="int8bench-pytest-")
    os.environ.update(PYTEST_DEBUG_TEMPROOT=scratch.name, PYTEST_VERSION=pytest.__version__)
    front = Front()
    try:
        with redirect_stdout(io.StringIO()):  # pytest's terminal keeps it
            config = _configured(front)
            return PytestSuite(_collected(config), front, scratch)
    except pytest.UsageError as error:
        raise pytest.UsageError(_reason(str(error))) from error
    except SystemExit as error:
        raise RuntimeError(f"the project ends Python while its tests are collected: {first_line(error)}") from error


class PytestSuite:
    """Tests that pytest has collected."""

    def __init__(self, session: pytest.Session, front: "Front", scratch: "tempfile.TemporaryDirectory[str]") -> None:
        """Holds a session that goes on, and the folder for what tests leave, which goes with this interpreter."""
        self._front, self._scratch = front, scratch
        asking = [item for item in session.items if _asks(item)]
        self._left_out = {**front.left_out, **{item.nodeid: why for item in asking if (why := _unfit(item))}}
        self._items = {item.nodeid: item for item in asking if item.nodeid not in self._left_out}

    def names(self) -> Mapping[str, str]:
        """The node ids of the tests that ask for the fixture, themselves or through another one."""
        return dict.fromkeys(self._items, TIME)

    def left_out(self) -> Mapping[str, str]:
        """What cannot be collected, what the project's options deselect, and tests that cannot take turns."""
        return self._left_out

    def enter(self, name: str, within: Within) -> None:
        """Runs one test with its fixtures; `within` is called where the test uses `benchmark`.

        Raises:
            SkippedError: the test is skipped, never uses the fixture, or fails for want of statistics.
            Exception: what the test raised.
        """
        item = self._items[name]
        self._front.measurement = measurement = Measurement(within)
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        _settle(measurement)


class Pinned:
    """Finds named modules where they were found when this was made, whatever is put on the path later."""

    def __init__(self, names: Iterable[str]) -> None:
        """Of modules that are not there nothing is pinned."""
        self._specs = {name: spec for name in names if (spec := importlib.util.find_spec(name)) is not None}

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """The place of a module that is pinned."""
        return self._specs.get(fullname)


class Early:
    """Overrules what is settled before any option can be set: coverage, and where output goes."""

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config) -> Iterator[None]:
        """Nothing is covered and nothing is printed, whatever the project's options say."""
        options = early_config.known_args_namespace
        if getattr(options, "cov_source", None):
            options.cov_source = []
        if options.capture == "no":
            options.capture = "fd"
        yield


class Front:
    """Our plug-in: the fixture, what is left out while pytest collects, and the reports of the test that is entered."""

    def __init__(self) -> None:
        """With nothing entered yet."""
        self.left_out: dict[str, str] = {}
        self.measurement: Measurement | None = None

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> Benchmark:
        """Stands where pytest-benchmark's stands."""
        assert self.measurement is not None
        return Benchmark(request.node, self.measurement)

    @pytest.fixture
    def benchmark_weave(self, benchmark: Benchmark) -> Any:  # noqa: ANN401
        """There so that tests which ask for it are collected; they are left out."""
        return benchmark.weave

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """What skips itself while it is imported, with its reason."""
        if report.skipped:
            self.left_out[report.nodeid] = _skip_reason(report)

    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
        """What cannot be collected, with the first line of its error."""
        if isinstance(node, pytest.Collector) and call.excinfo is not None:
            error = call.excinfo.value
            self.left_out[node.nodeid] = first_line(error.__cause__ or error)

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """What the project's own options leave out of its runs."""
        reason = "deselected by the project's own options of pytest"
        self.left_out |= {item.nodeid: reason for item in items if _asks(item)}

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Keeps what was raised with the report that pytest makes of it."""
        outcome: Any = yield
        if self.measurement is not None:
            error = call.excinfo.value if call.excinfo else None
            self.measurement.reports.append((outcome.get_result(), error))


def _configured(front: Front) -> pytest.Config:
    config = _prepareconfig(["--rootdir", str(Path.cwd())], [Early()])
    for name, value in OVERRULED.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)
    _set_aside(config, REPLACED)
    config.pluginmanager.register(front, "int8bench-peer")  # last, so that its fixture goes before a plug-in's
    config.addinivalue_line("markers", MARKER)
    config._do_configure()  # noqa: SLF001  what pytest does between its options and its session
    _set_aside(config, MEDDLING)  # after their markers are known
    return config


def _reason(told: str) -> str:
    """The line that says why; before it, pytest may say how it is used, and after it where it looked."""
    lines = told.strip().splitlines()
    return next((line for line in lines if "error: " in line), lines[0])


def _set_aside(config: pytest.Config, names: Iterable[str]) -> None:
    for name in names:
        if config.pluginmanager.has_plugin(name):
            config.pluginmanager.unregister(name=name)


def _collected(config: pytest.Config) -> pytest.Session:
    session = pytest.Session.from_config(config)
    config.hook.pytest_sessionstart(session=session)
    config.hook.pytest_collection(session=session)
    return session


def _asks(item: pytest.Item) -> bool:
    """Whether a test asks for our fixture; a parameter of that name is the test's own."""
    callspec = getattr(item, "callspec", None)
    return FIXTURE in getattr(item, "fixturenames", ()) and FIXTURE not in (callspec.params if callspec else ())


def _unfit(item: pytest.Item) -> str | None:
    """Why a test that asks for the fixture cannot be measured."""
    if WEAVE in getattr(item, "fixturenames", ()):
        return "asks for benchmark_weave, which times calls inside other code"
    return ASSERTS_STATISTICS if _asserts_statistics(getattr(item, "function", None)) else None


def _asserts_statistics(function: Any) -> bool:  # noqa: ANN401
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # no function, or one whose source is not to be had
        return False
    asserted = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    return any(_is_statistics(node) for each in asserted for node in ast.walk(each.test))


def _is_statistics(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node) == f"{FIXTURE}.stats"


def _settle(measurement: Measurement) -> None:
    """Raises what a test that has run has to say."""
    if measurement.fault is not None:
        raise measurement.fault
    for report, error in measurement.reports:
        if report.skipped:
            raise SkippedError(_skip_reason(report))
        if report.failed and measurement.reads_statistics:
            raise SkippedError(f"fails with benchmark.stats, which has no meaning where calls are paired: {error}")
        if report.failed:
            raise error or AssertionError(report.longreprtext)
    if not measurement.used:
        raise SkippedError("asks for `benchmark` and never uses it")


def _skip_reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if hasattr(report, "wasxfail"):
        return f"fails as the project expects: {report.wasxfail.removeprefix('reason: ')}".rstrip(": ")
    told = report.longrepr
    return (told[2] if isinstance(told, tuple) else str(told)).removeprefix("Skipped: ")
