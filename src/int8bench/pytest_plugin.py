"""The pytest plug-in: fixture `race` and option ``--int8bench-gate``. Without either, pytest runs as it did.

Registered as `int8bench` in the entry-point group ``pytest11``. Everything that weighs anything is imported when it is
used: a pytest that starts pays for this file alone.
"""

import json
import tempfile
from collections.abc import Callable, Generator, MutableMapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from int8bench import files, options
from int8bench.errors import Int8BenchError, RequestError
from int8bench.lab import platforms

if TYPE_CHECKING:
    from int8bench.compare.pytest.gate import Verdicts
    from int8bench.compare.pytest.result import RaceResult

GATE, GATE_JSON, BUDGET = "--int8bench-gate", "--int8bench-gate-json", "--int8bench-race-budget"
DEFAULT_GATE = "1%"
DEFAULT_BUDGET = "15s"
NAMES = ("int8bench", __name__)  # under which a person or the entry point loads this module

RESULTS = pytest.StashKey["list[RaceResult]"]()
VERDICTS = pytest.StashKey["Verdicts"]()
WITHHELD = pytest.StashKey["list[str]"]()
UNWRITTEN = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the options; loaded a second time under its other name, this plug-in stays loaded once.

    Args:
        parser: pytest's.
        pluginmanager: to see whether it is loaded already.
    """
    for name in NAMES:
        if not pluginmanager.has_plugin(name):
            pluginmanager.set_blocked(name)
    group = parser.getgroup("int8bench", "int8bench: verdicts with an error rate")
    group.addoption(
        GATE,
        nargs="?",
        const=DEFAULT_GATE,
        metavar="THRESHOLD",
        help="Judge pytest-benchmark's run against all stored runs of a machine like this one; fail where a benchmark "
        f"is surely slower by more than the threshold (default {DEFAULT_GATE}).".replace("%", "%%"),
    )
    group.addoption(GATE_JSON, metavar="FILE", help=f"Write what the gate says as JSON; needs {GATE}.")
    budget = f"Seconds that one race may take, such as 15s or 1m (default {DEFAULT_BUDGET})."
    group.addoption(BUDGET, metavar="TIME", help=budget)
    parser.addini("int8bench_race_budget", budget, default=DEFAULT_BUDGET)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a wrong budget, and a gate that could judge nothing, before any test runs."""
    config.stash[RESULTS], config.stash[WITHHELD] = [], []
    try:
        _budget_s(config, None)
        _check_gate(config)
    except RequestError as error:
        raise pytest.UsageError(str(error)) from error


@pytest.fixture
def race(request: pytest.FixtureRequest) -> Callable[..., "RaceResult"]:
    """Race two callables, paired, in launches of this very test: `race(reference, candidate)`.

    Each launch is a fresh interpreter in which pytest runs this test again up to the race, so what comes before the
    race happens once a launch, and what the callables do is done in forks of it, never here. Both sides run on one core
    with one thread unless `threads` says more. See `pytest_front.result.RaceResult` for what it answers.
    """
    earlier: list[RaceResult] = []

    def run(
        reference: Callable[[], object],
        candidate: Callable[[], object],
        *,
        budget: str | float | None = None,
        launches: int | None = None,
        threads: int = 1,
    ) -> "RaceResult":
        sides, wrong = (reference, candidate), ""
        try:
            result = _race(request, earlier, sides, budget=budget, launches=launches, threads=threads)
        except Int8BenchError as error:
            wrong = str(error)
        if wrong:  # outside of the except, or pytest would show the error a second time
            pytest.fail(f"race: {wrong}", pytrace=False)
        earlier.append(result)
        request.config.stash[RESULTS].append(result)
        return result

    return run


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(machine_info: MutableMapping[str, Any]) -> None:
    """Let stored runs say on which hardware they were made."""
    from int8bench.compare.pytest import machines

    fingerprint = machines.fingerprint_here()
    if fingerprint is not None:
        machine_info[machines.FINGERPRINT] = fingerprint


@pytest.hookimpl(optionalhook=True, wrapper=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: MutableMapping[str, Any], compared_benchmark: MutableMapping[str, Any]
) -> Generator[None, object, object]:
    """Mark a compared run of another machine; pytest-benchmark's own look at the machines does not see our field.

    Args:
        config: pytest's.
        machine_info: of this run.
        compared_benchmark: a stored run.
    """
    from int8bench.compare.pytest import machines

    stored = compared_benchmark.get("machine_info")
    if machines.unlike(machine_info, stored, strict=config.getoption(GATE) is not None):
        machines.mark(compared_benchmark)
    hidden = machines.hide((machine_info, stored))
    try:
        return (yield)
    finally:
        machines.show(hidden)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Judge before pytest-benchmark compares this run and stores it among the earlier ones."""
    benchmarks = getattr(session.config, "_benchmarksession", None)
    if benchmarks is not None and benchmarks.compare_fail:
        _hold_back(session.config, benchmarks)
    if benchmarks is not None and session.config.getoption(GATE) is not None:
        _judge(session, benchmarks)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List all races, what the gate says, and what was not judged; nothing where there is none of them.

    Args:
        terminalreporter: writes the summary.
        config: pytest's.
    """
    results, verdicts, withheld = config.stash[RESULTS], config.stash.get(VERDICTS, None), config.stash[WITHHELD]
    if not results and verdicts is None and not withheld:
        return
    from int8bench.compare.pytest import text

    unwritten = [config.stash[UNWRITTEN]] if UNWRITTEN in config.stash else []
    sections = {
        "int8bench: races": text.race_lines(results) if results else [],
        "int8bench: gate": [*text.gate_lines(verdicts), *unwritten] if verdicts is not None else [],
        "int8bench: not comparable, the stored run is of another machine": withheld,
        "int8bench: selftest of this machine": _quoted() if results or verdicts is not None else [],
    }
    for title, lines in sections.items():
        _write(terminalreporter, title, lines)


def _check_gate(config: pytest.Config) -> None:
    """Refuse a gate that could judge nothing.

    Raises:
        RequestError: what is wrong, and what to type.
    """
    threshold, file = config.getoption(GATE), config.getoption(GATE_JSON)
    if threshold is None:
        if file is not None:
            raise RequestError(f"{GATE_JSON} {file}: there is no gate to write of; add {GATE}")
        return
    options.fraction(GATE, threshold)
    if config.getoption("benchmark_storage", None) is None:
        raise RequestError(
            f"{GATE} judges what pytest-benchmark measures, which is not loaded; leave out -p no:benchmark"
        )
    if config.getoption("benchmark_disable") and not config.getoption("benchmark_enable"):
        raise RequestError(f"{GATE} judges what pytest-benchmark measures; leave out --benchmark-disable")
    if config.getoption("dist", "no") != "no":
        raise RequestError(f"{GATE}: pytest-benchmark measures nothing under pytest-xdist; run with -n 0")


def _hold_back(config: pytest.Config, benchmarks: Any) -> None:  # noqa: ANN401  pytest-benchmark has no types
    from int8bench.compare.pytest.machines import OnLikeMachines

    withheld = config.stash[WITHHELD]
    benchmarks.compare_fail = [OnLikeMachines(check=each, withheld=withheld) for each in benchmarks.compare_fail]


def _judge(session: pytest.Session, benchmarks: Any) -> None:  # noqa: ANN401  pytest-benchmark has no types
    from int8bench.compare.pytest import gate

    threshold, file = (session.config.getoption(each) for each in (GATE, GATE_JSON))
    verdicts = gate.judge_session(benchmarks, threshold=options.fraction(GATE, threshold))
    session.config.stash[VERDICTS] = verdicts
    if session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = _exit_status(verdicts)
    try:
        if file is not None:
            files.write_text(Path(file), json.dumps(verdicts.to_dict(), indent=2))
    except RequestError as error:
        session.config.stash[UNWRITTEN] = f"{GATE_JSON}: {error}"
        session.exitstatus = pytest.ExitCode.USAGE_ERROR


def _exit_status(verdicts: "Verdicts") -> pytest.ExitCode:
    if verdicts.regressions:
        return pytest.ExitCode.TESTS_FAILED
    return pytest.ExitCode.OK if verdicts.comparisons else pytest.ExitCode.NO_TESTS_COLLECTED


def _quoted() -> list[str]:
    """Return what the last selftest on this hardware said of verdicts here."""
    from int8bench.compare.pytest import machines
    from int8bench.selftest import trust

    fingerprint = machines.fingerprint_here()
    quote = None if fingerprint is None else trust.quote(fingerprint)
    return [] if quote is None else [quote]


def _write(terminal: pytest.TerminalReporter, title: str, lines: Sequence[str]) -> None:
    if lines:
        terminal.write_sep("=", title)
    for line in lines:
        terminal.write_line(line)


def _race(
    request: pytest.FixtureRequest,
    earlier: Sequence["RaceResult"],
    sides: tuple[Callable[[], object], Callable[[], object]],
    *,
    budget: str | float | None,
    launches: int | None,
    threads: int,
) -> "RaceResult":
    """Serve the race where this is a launch, and measure it in launches where it is not.

    Raises:
        Int8BenchError: the request is wrong, this is no Linux, or the test does not run alone, in a sentence.
    """
    platforms.require_linux("the fixture race")
    from int8bench.compare.pytest import node

    contenders = node.contenders_of(*sides)
    launch = node.launch_of(request.config)
    if launch is not None:
        return launch.race(contenders)
    if hasattr(request.config, "workerinput"):
        raise RequestError("the workers of pytest-xdist disturb each other's races; run this test with -n 0")
    from int8bench.compare.pytest import race

    asked = race.RaceRequest(
        name=request.node.nodeid + (f" #{len(earlier) + 1}" if earlier else ""),
        budget_s=_budget_s(request.config, budget),
        launches=race.DEFAULT_LAUNCHES if launches is None else launches,
        threads=threads,
    )
    with tempfile.TemporaryDirectory(prefix="int8bench-race-") as temporary:
        return race.measure(node.order_of(request.node, tuple(earlier), Path(temporary)), asked)


def _budget_s(config: pytest.Config, budget: str | float | None) -> float:
    """Return the seconds of a race: as the call says, or the command line, or the configuration."""
    if budget is not None:
        return options.seconds("budget", str(budget))
    typed = config.getoption(BUDGET)
    if typed is not None:
        return options.seconds(BUDGET, typed)
    return options.seconds("int8bench_race_budget", config.getini("int8bench_race_budget"))
