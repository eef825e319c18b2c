"""One test, run by pytest in a fresh interpreter up to its race, from where the launch serves forks. Keeps nothing."""

import os
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import psutil
import pytest

from int8bench import units
from int8bench.compare.pytest.result import RaceResult
from int8bench.errors import LabError, RequestError
from int8bench.lab import sampling
from int8bench.lab.channel import Channel
from int8bench.lab.session import heap_shift

NAME = "int8bench-launch"  # of the plug-in that only launches have
REFERENCE, CANDIDATE = "reference", "candidate"
MOST_OPTION_DEPTH = 4  # of lists in lists that an option's value may be

# What a launch is not given of its parent's command line: what selects tests, since it runs one; what stops, shows or
# clears something; and what writes, since the parent does. Everything else, conftest.py's own options too, it has.
DROPPED = {
    *("file_or_dir", "plugins", "keyword", "markexpr", "deselect", "ignore", "ignore_glob", "maxfail", "collectonly"),
    *("lf", "failedfirst", "newfirst", "stepwise", "stepwise_skip", "stepwise_reset", "last_failed_no_failures"),
    *("usepdb", "usepdb_cls", "trace", "setuponly", "setupplan", "setupshow", "showfixtures", "show_fixtures_per_test"),
    *("cacheclear", "cacheshow", "basetemp", "help", "version", "markers", "pastebin", "log_file", "debug"),
    *("xmlpath", "report_log", "htmlpath", "json_report_file", "capture", "numprocesses", "maxprocesses", "dist", "tx"),
}
DROPPED_PREFIXES = ("benchmark_", "cov", "no_cov", "junit", "html", "json_report", "allure", "int8bench_", "looponfail")
# A launch has this package imported before pytest wants to rewrite the asserts of all plug-ins, and says so.
KNOWN_WARNING = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
ARGUMENTS = ("-p", "no:terminal", "-p", "no:faulthandler", "-p", "no:xdist")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeOrder:
    """All that a launch needs to run one test as its parent does."""

    name: str
    arguments: tuple[str, ...]
    options: Mapping[str, object]
    directory: str
    temporary: str
    """Where the launch's own temporary folders go; ended with the race."""
    earlier: tuple[RaceResult, ...]
    """What the races of the test that come before this one gave, so that the test takes the same way again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contenders:
    """The state of a launch: the two callables, with all that the test has alive around them."""

    reference: Callable[[], object]
    candidate: Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOrder:
    """One fork's race."""

    durations: sampling.Durations
    seed: int


def contenders_of(reference: object, candidate: object) -> Contenders:
    """Return the two callables of a race.

    Args:
        reference: a function without parameters that the candidate is held against.
        candidate: a function without parameters that is judged.

    Raises:
        RequestError: one of them cannot be called.
    """
    return Contenders(reference=_callable(REFERENCE, reference), candidate=_callable(CANDIDATE, candidate))


def _callable(name: str, side: object) -> Callable[[], object]:
    if not callable(side):
        raise RequestError(f"the {name} is {reprlib.repr(side)}: expected a function; try lambda: ... around it")
    return side


def order_of(item: pytest.Item, earlier: tuple[RaceResult, ...], temporary: Path) -> NodeOrder:
    """Return the order that the launches of a test carry out.

    Args:
        item: the test that calls race.
        earlier: its races that are over.
        temporary: a folder that ends with the race.
    """
    config = item.config
    _, separator, inside = item.nodeid.partition("::")
    plugins = [plugin for plugin in config.option.plugins if plugin not in ARGUMENTS]
    named = [part for plugin in plugins for part in ("-p", plugin)]
    return NodeOrder(
        name=item.nodeid,
        arguments=(*named, *ARGUMENTS, f"{item.path}{separator}{inside}"),
        options={
            **carried(vars(config.option)),
            "pythonwarnings": [*(config.option.pythonwarnings or ()), KNOWN_WARNING],
            "capture": "no",
            "log_file": os.devnull,
        },
        directory=str(config.invocation_params.dir),
        temporary=str(temporary),
        earlier=earlier,
    )


def carried(given: Mapping[str, object]) -> dict[str, object]:
    """Return the options of a parent for its launch: plain values that neither select nor write."""
    return {
        name: value
        for name, value in given.items()
        if name not in DROPPED and not name.startswith(DROPPED_PREFIXES) and _is_plain(value)
    }


def _is_plain(value: object, depth: int = MOST_OPTION_DEPTH) -> bool:
    """Tell whether a value can be unpickled before any module of the project is imported."""
    if isinstance(value, list | tuple) and depth:
        return all(_is_plain(each, depth - 1) for each in value)
    return value is None or type(value) in {str, int, float, bool} or isinstance(value, Path)


@dataclass(slots=True, eq=False)
class NodeLaunch:
    """The plug-in of a launch: answers the races that are over, serves the next one, and explains a test without it."""

    order: NodeOrder
    serve: Callable[[object], NoReturn]
    answered: int = 0
    why: str = "pytest found no such test to run"

    def race(self, contenders: Contenders) -> RaceResult:
        """Return the result of an earlier race, or serve forks at the race that the launch is for.

        Serving forks does not come back.

        Raises:
            LabError: there are threads, which a fork would not have.
        """
        if self.answered < len(self.order.earlier):
            self.answered += 1
            return self.order.earlier[self.answered - 1]
        threads = psutil.Process().num_threads()
        if threads > 1:
            raise LabError(
                f"{threads} threads run before the race, and a fork would have one; start them inside the callables"
            )
        return self.serve(contenders)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep the reason for which a module could not be imported."""
        if report.failed:
            self.why = _last_line(report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the reason for the end of the test, and its phase."""
        if report.outcome != "passed":
            self.why = f"{report.outcome} in its {report.when}: {_crash(report)}"
        elif report.when == "call":
            self.why = f"it passed after {self.answered} races"

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> NoReturn:
        """End the launch before any other plug-in writes down a session that was none.

        Raises:
            LabError: always; the test has ended without the race.
        """
        raise LabError(f"run alone in a fresh interpreter, the test did not come to this race: {self.why}")


def run(order: NodeOrder, serve: Callable[[object], NoReturn]) -> NoReturn:
    """Run the test up to its race, as the setup of a launch.

    `Config.fromdictargs` is what pytest-xdist makes its workers with: options as values, no addopts a second time.

    Args:
        order: the test, and how its parent runs it.
        serve: serves forks of the state that it is given, and does not come back.

    Raises:
        LabError: the test did not come to the race.
    """
    os.chdir(order.directory)
    options = {**order.options, "basetemp": str(Path(order.temporary, str(os.getpid())))}
    launch = NodeLaunch(order, serve)
    config = pytest.Config.fromdictargs(options, list(order.arguments))
    config.pluginmanager.register(launch, NAME)
    config.hook.pytest_cmdline_main(config=config)
    raise LabError(f"run alone in a fresh interpreter, pytest did not start: {launch.why}")


def launch_of(config: pytest.Config) -> NodeLaunch | None:
    """Return the launch that this pytest runs in; None where a person started it."""
    plugin: NodeLaunch | None = config.pluginmanager.get_plugin(NAME)
    return plugin


def race(state: Contenders, order: ForkOrder, _line: Channel) -> sampling.Race:
    """Return the race of the two callables in a fork, on a shifted heap.

    Args:
        state: the callables, as the launch holds them.
        order: how long to race, and the fork's seed.
        _line: to the process that asked; not needed here.

    Raises:
        LabError: one of them raises.
    """
    rng = np.random.default_rng(order.seed)
    shift = bytearray(heap_shift(rng))
    sides = {REFERENCE: state.reference, CANDIDATE: state.candidate}
    for name, call in sides.items():
        _call_once(name, call)
    contenders = [sampling.Contender(name=name, call=call) for name, call in sides.items()]
    result = sampling.race(contenders, order.durations, rng=rng)
    del shift
    return result


def _call_once(name: str, call: Callable[[], object]) -> None:
    try:
        call()
    except BaseException as error:  # pytest's fail and skip are no Exceptions
        raise LabError(f"the {name} raises {units.reason(error)}") from error


def _crash(report: pytest.TestReport) -> str:
    where: Any = report.longrepr
    if isinstance(where, tuple):  # a skip: path, line, reason
        return str(where[2])
    crash = getattr(where, "reprcrash", None)
    return " ".join(str(crash.message).split()) if crash else _last_line(report.longreprtext)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason told"])[-1].strip()
