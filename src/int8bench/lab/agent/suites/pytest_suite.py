"""A project's benchmarks for pytest as a side's; what pytest collects once, forks run test by test.

A folder has the tests, by the ids, that `python -m pytest` has in it. The project's own options, plug-ins and conftest
files hold, except for what would run, stop or trace the tests otherwise: processes of pytest-xdist, coverage, time
limits, reruns, `-x` and `--lf`. pytest-benchmark and pytest-codspeed are set aside, and need not be installed.

A test that only has a marker is measured whole where pytest-codspeed would: marked `codspeed_benchmark` in any project,
and marked `benchmark` where pytest-codspeed is installed. For pytest-benchmark that marker has options of the fixture,
and such a test is no benchmark.
"""

import ast
import inspect
import io
import os
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import _prepareconfig  # as pytest-xdist does: a session that goes on after it has collected
from _pytest.pathlib import ImportPathMismatchError

from ..imports import Imports, install
from ..wire import Open
from . import pytest_options
from .pytest_fixture import BenchmarkFixture, Measurement
from .suite import TIME, BrokenSuiteError, SkippedError, Within, first_line

FIXTURES, WEAVE = ("benchmark", "codspeed_benchmark"), "benchmark_weave"
CODSPEED_MARKER, MARKER = "codspeed_benchmark", "benchmark"
# Plug-ins by their packages and the names of their entry points: those that our fixture stands in for, and those that
# end or repeat tests.
BENCHMARK, CODSPEED = ("pytest_benchmark", "benchmark"), ("pytest_codspeed", "codspeed")
REPLACED = (*BENCHMARK, *CODSPEED, "int8bench")
MEDDLING = ("pytest_timeout", "timeout", "pytest_rerunfailures", "rerunfailures", "flaky")
# Options of the project's that are for a run of all its tests; each where its plug-in is there.
OVERRULED: Mapping[str, bool | int | str | Sequence[str] | None] = {
    "maxfail": 0,
    "basetemp": None,  # emptied by every process that asks for it
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "stepwise": False,
    "numprocesses": None,
    "dist": "no",
    "tx": [],
    "forked": False,
    "usepdb": False,
    "trace": False,
    "setuponly": False,
    "setupplan": False,
    "doctestmodules": False,  # no doctest is a benchmark, and it would import the tree's package for them
}
ASSERTS_STATISTICS = "asserts something of benchmark.stats, which has no meaning where calls are paired"
MARKERS = (
    f"{MARKER}: mark a test with custom benchmark settings.",
    f"{CODSPEED_MARKER}: mark an entire test for codspeed benchmarking",
)


def open_suite(order: Open, _again: Callable[[], None]) -> "PytestSuite":
    """Return the benchmarks among the tests of a folder; this process stays in that folder.

    Args:
        order: where pytest would be typed, whose modules come from where, and what both sides draw from.

    Raises:
        UsageError: pytest refuses the project's options.
        BrokenSuiteError: a conftest file or a plug-in raises, or ends Python.
    """
    os.chdir(order.folder)
    top = pytest_options.top_around(Path.cwd())
    install(Imports(order.packages, order.path, top or Path.cwd(), measured=order.measured))
    sys.path.insert(0, str(Path.cwd()))  # as `python -m pytest` does
    sys.argv[:] = ["pytest"]
    scratch = tempfile.TemporaryDirectory(prefix="int8bench-pytest-")
    os.environ.update(PYTEST_DEBUG_TEMPROOT=scratch.name, PYTEST_VERSION=pytest.__version__)
    front = Front()
    try:
        with redirect_stdout(io.StringIO()):  # pytest's terminal keeps it
            config = _configured(front, pytest_options.arguments(Path.cwd(), top, Path(scratch.name)), order.seed)
            return PytestSuite(_collected(config), front, scratch)
    except pytest.UsageError as error:
        raise pytest.UsageError(_reason(str(error))) from error
    except SystemExit as error:
        raise BrokenSuiteError(f"the project ends Python while its tests are collected: {first_line(error)}") from error
    except Exception as error:
        raise BrokenSuiteError(first_line(error)) from error


class PytestSuite:
    """Tests that pytest has collected."""

    def __init__(self, session: pytest.Session, front: "Front", scratch: "tempfile.TemporaryDirectory[str]") -> None:
        """Hold an open session, and a folder for files of tests, which goes with this interpreter."""
        self._front, self._scratch = front, scratch
        asking = [item for item in session.items if front.is_benchmark(item)]
        self._left_out = {**front.left_out, **{item.nodeid: why for item in asking if (why := _unfit(item))}}
        self._items = {item.nodeid: item for item in asking if item.nodeid not in self._left_out}

    def names(self) -> Mapping[str, str]:
        """Return the kind of every test that is a benchmark, by its node id.

        It asks for the fixture, itself or through another one, or is one whole.
        """
        return dict.fromkeys(self._items, TIME)

    def left_out(self) -> Mapping[str, str]:
        """Return the reasons for all that is left out, by node id.

        Left out are files that cannot be collected, tests that the project's options deselect, and tests that cannot
        take turns.
        """
        return self._left_out

    def enter(self, name: str, within: Within) -> None:
        """Run one test with its fixtures.

        Args:
            name: the node id of the test.
            within: is called where the test uses `benchmark`.

        Raises:
            SkippedError: the test is skipped, never uses the fixture, or fails for want of statistics.
            Exception: what the test raised.
        """
        item = self._items[name]
        self._front.measurement = measurement = Measurement(within)
        if not _asks(item):
            item.runtest = partial(measurement.measure_whole, item.runtest)  # type: ignore[method-assign]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        _settle(measurement)


class Early:
    """Settles what is settled before any option can be set: coverage, where output goes, and what is not installed."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_addhooks(self, pluginmanager: pytest.PytestPluginManager) -> None:
        """Require none of the plug-ins that we stand in for."""
        pytest_options.require_less(pluginmanager)

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_load_initial_conftests(self, early_config: pytest.Config, parser: pytest.Parser) -> Iterator[None]:
        """Set the options so that nothing is covered or printed, whatever the project's say; all of them are known.

        Args:
            early_config: pytest's configuration, before any conftest file is loaded.
            parser: gets the options of plug-ins that are not installed.
        """
        options = early_config.known_args_namespace
        if getattr(options, "cov_source", None):
            options.cov_source = []
        if options.capture == "no":
            options.capture = "fd"
        pytest_options.add_absent(early_config.pluginmanager, parser)
        yield


class Front:
    """Our plug-in: the fixture, what is left out while pytest collects, and the reports of the test that is entered."""

    def __init__(self) -> None:
        """Begin with nothing entered."""
        self.left_out: dict[str, str] = {}
        self.measurement: Measurement | None = None
        self.has_codspeed = self.is_codspeeds = False

    def see(self, config: pytest.Config) -> None:
        """Note the project's plug-ins for benchmarks, and so whose the fixture and the marker are."""
        self.has_codspeed = bool(_plug_ins(config, CODSPEED))
        self.is_codspeeds = self.has_codspeed and not _plug_ins(config, BENCHMARK)

    def is_benchmark(self, item: pytest.Item) -> bool:
        """Tell whether a test asks for the fixture, or is measured whole for its marker."""
        marked = item.get_closest_marker(CODSPEED_MARKER) or (self.has_codspeed and item.get_closest_marker(MARKER))
        return _asks(item) or bool(marked)

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> BenchmarkFixture:
        """Return the fixture that stands where pytest-benchmark's stands."""
        assert self.measurement is not None
        return BenchmarkFixture(request.node, self.measurement, gives_setup_arguments=self.is_codspeeds)

    @pytest.fixture
    def codspeed_benchmark(self, request: pytest.FixtureRequest) -> BenchmarkFixture:
        """Return the fixture that stands where pytest-codspeed's stands."""
        assert self.measurement is not None
        return BenchmarkFixture(request.node, self.measurement, gives_setup_arguments=True)

    @pytest.fixture
    def benchmark_weave(self, benchmark: BenchmarkFixture) -> Any:  # noqa: ANN401
        """Return a fixture so that tests which ask for it are collected; they are left out."""
        return benchmark.weave

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Leave out what skips itself while it is imported, with its reason."""
        if report.skipped:
            self.left_out[report.nodeid] = _skip_reason(report)

    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector, call: pytest.CallInfo[Any]) -> None:
        """Leave out what cannot be collected, with the first line of its error.

        Args:
            node: a test, or a file or class that is collected.
            call: what was raised there.
        """
        if isinstance(node, pytest.Collector) and call.excinfo is not None:
            self.left_out[node.nodeid] = _cause(call.excinfo.value)

    def pytest_deselected(self, items: Iterable[pytest.Item]) -> None:
        """Leave out the benchmarks that the project's own options leave out of its runs."""
        reason = "deselected by the project's own options of pytest"
        self.left_out |= {item.nodeid: reason for item in items if self.is_benchmark(item)}

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Iterator[None]:
        """Keep the error of a test with the report that pytest makes of it."""
        outcome: Any = yield
        if self.measurement is not None:
            error = call.excinfo.value if call.excinfo else None
            self.measurement.reports.append((outcome.get_result(), error))


def _configured(front: Front, arguments: list[str], seed: int) -> pytest.Config:
    config = _prepareconfig(arguments, [Early()])
    front.see(config)
    for name, value in {**OVERRULED, "randomly_seed": seed}.items():  # pytest-randomly draws one for each process
        if hasattr(config.option, name):
            setattr(config.option, name, value)
    _set_aside(config, REPLACED)
    config.pluginmanager.register(front, "int8bench-peer")  # last, so that its fixture goes before a plug-in's
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    config._do_configure()  # noqa: SLF001  what pytest does between its options and its session
    _set_aside(config, MEDDLING)  # after their markers are known
    return config


def _reason(text: str) -> str:
    """Return the line of a refusal that has the reason.

    Before it, pytest may say how it is used, and after it where it looked.
    """
    lines = text.strip().splitlines()
    return next((line for line in lines if "error: " in line), lines[0])


def _cause(error: BaseException) -> str:
    """Return why something cannot be collected, the same sentence wherever the cause is the same."""
    cause = getattr(error, "cause", None) or error.__cause__ or error
    if isinstance(cause, ImportPathMismatchError):
        name, place, _ = cause.args
        return f"ImportPathMismatchError: a module of that name, {name}, was imported from {place}"
    return first_line(cause)


def _plug_ins(config: pytest.Config, names: Iterable[str]) -> list[object]:
    """Return the plug-ins that are registered by one of the names, or come from a package of that name."""
    return [
        plugin
        for name, plugin in config.pluginmanager.list_name_plugin()
        if plugin is not None and {name, getattr(plugin, "__name__", "").partition(".")[0]} & set(names)
    ]


def _set_aside(config: pytest.Config, names: Iterable[str]) -> None:
    for plugin in _plug_ins(config, names):
        config.pluginmanager.unregister(plugin)


def _collected(config: pytest.Config) -> pytest.Session:
    session = pytest.Session.from_config(config)
    config.hook.pytest_sessionstart(session=session)
    config.hook.pytest_collection(session=session)
    return session


def _asks(item: pytest.Item) -> bool:
    """Tell whether a test asks for one of our fixtures; a parameter of that name is the test's own."""
    callspec = getattr(item, "callspec", None)
    own = callspec.params if callspec else ()
    return any(fixture in getattr(item, "fixturenames", ()) and fixture not in own for fixture in FIXTURES)


def _unfit(item: pytest.Item) -> str | None:
    """Return why a test that asks for the fixture cannot be measured."""
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
    return isinstance(node, ast.Attribute) and ast.unparse(node) == f"{FIXTURES[0]}.stats"


def _settle(measurement: Measurement) -> None:
    """Raise the fault, the skip or the failure of a test that has run."""
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
    reason = report.longrepr
    return (reason[2] if isinstance(reason, tuple) else str(reason)).removeprefix("Skipped: ")
