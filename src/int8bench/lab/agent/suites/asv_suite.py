"""An asv suite as a side's benchmarks: what asv would find, one id a combination of parameters, spelled as asv does.

asv sets a benchmark up before every sample. Here it is set up once in a process, because an expensive setup would cost
more than all that is measured; a benchmark that says ``number = 1`` uses its setup up, and gets a new one before every
call. `timeout`, `repeat`, `rounds`, `timer` and the like tell asv how to sample, and are not heeded.
"""

import fcntl
import importlib
import inspect
import itertools
import math
import os
import pickle
import pkgutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import memory
from ..fresh import Fresh
from ..mortal import die_with
from ..wire import Open
from .asv_file import DEFAULT_FOLDER, configuration
from .suite import FRESH, TIME, TRACK, BrokenSuiteError, Opened, SkippedError, Within, first_line

# What the one number of a benchmark is called: a metric's name, of which more is worse, or a name that is none.
TRACKED, PEAK, SIZE = "value", "peak_memory", "size"
LEAST_PEAK_BYTES = 1 << 20  # a difference below it, some pages either way, is the allocator's and not the benchmark's
# The classes of asv_runner.
TIMERAW, TRACKING, PEAKMEM, MEM = "TimerawBenchmark", "TrackBenchmark", "PeakMemBenchmark", "MemBenchmark"
KINDS = {"TimeBenchmark": TIME, TIMERAW: FRESH, TRACKING: TRACK, PEAKMEM: TRACK, MEM: TRACK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """A benchmark of asv's with one combination of its parameters."""

    benchmark: Any
    parameters: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a suite holds: combinations by id, and reasons by the id or module that is left out."""

    combinations: dict[str, Combination] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def open_suite(order: Open, again: Callable[[], None]) -> "AsvSuite":
    """Return the suite of the asv.conf.json in a folder: imported, and nothing of it called.

    Args:
        order: the folder and the packages.
        again: begins the luck of this launch anew.

    Raises:
        FileNotFoundError: there is no configuration, or its folder of benchmarks is no package.
        ModuleNotFoundError: this side has no asv_runner.
        ValueError: the configuration is not JSON.
        BrokenSuiteError: the package of the benchmarks fails to import, and with it all of them.
    """
    root = _benchmark_folder(Path(order.folder).absolute())
    importlib.import_module("asv_runner._aux").update_sys_path(str(root))
    contents = Found()
    for module in _modules(root.name, contents):
        for attribute, owner, function in _candidates(module):
            _add(module, attribute, owner, function, contents)
    if root.name not in sys.modules:
        raise BrokenSuiteError(f"cannot import {root.name}: {contents.left_out[root.name]}")
    return AsvSuite(contents, order.packages, again=again)


class AsvSuite:
    """An asv suite that is imported."""

    def __init__(self, found: Found, packages: Sequence[str], *, again: Callable[[], None]) -> None:
        """Make the folders that benchmarks run in; they go with this interpreter."""
        self._found, self._again = found, again
        self._packages = packages
        self._scratch = tempfile.TemporaryDirectory(prefix="int8bench-asv-")
        keys = (combination.benchmark.setup_cache_key for combination in found.combinations.values())
        self._caches = {key: Path(self._scratch.name) / f"cache-{n}" for n, key in enumerate(dict.fromkeys(keys))}

    def names(self) -> Mapping[str, str]:
        """Return the kind of every combination of parameters that times a call or tracks a number, by its id."""
        return {name: _kind(each.benchmark) for name, each in self._found.combinations.items()}

    def left_out(self) -> Mapping[str, str]:
        """Return the reasons for all that is left out, by id or module.

        Left out are modules that failed to import, other kinds of benchmark, and combinations that the suite itself
        skips.
        """
        return self._found.left_out

    def enter(self, name: str, within: Within) -> None:
        """Set a benchmark up as asv does, in its own folder or its setup_cache's, and tear it down in the end.

        Args:
            name: the id of the combination.
            within: is called while it is set up.

        Raises:
            SkippedError: setup raises NotImplementedError, the call SkipNotImplemented, or the number is NaN.
            RuntimeError: its setup_cache failed.
            Exception: whatever else the benchmark raises.
        """
        combination = self._found.combinations[name]
        with self._measured(combination.benchmark, within) as measured, self._folder(combination.benchmark) as cache:
            given = () if cache is None else (cache,)
            _entered(combination.benchmark, (*given, *combination.parameters), measured, self._again)

    @contextmanager
    def _measured(self, benchmark: Any, within: Within) -> Iterator[Within]:  # noqa: ANN401
        """Hold the function that takes a benchmark which is set up.

        It is `within` itself, unless text is to be timed or a peak to be weighed.
        """
        kind = type(benchmark).__name__
        if kind == TIMERAW:
            yield lambda opened: within(self._fresh(benchmark, opened))
        elif kind == PEAKMEM:
            with memory.over_nothing() as peak_of:
                yield lambda opened: within(_weighed(opened, peak_of))
        else:
            yield within

    def _fresh(self, benchmark: Any, opened: Opened) -> Opened:  # noqa: ANN401
        """Return the text of a call as one that fresh interpreters time.

        What they compile is kept apart, as they would keep it for a user.
        """
        compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(self._scratch.name) / "compiled")}
        own = getattr(benchmark, "_timeraw_env", None) or {}  # asv_runner: older ones have none
        assert opened.call is not None
        fresh = Fresh(
            text=opened.call, number=benchmark.number, packages=self._packages, environment={**compiled, **own}
        )
        return Opened(timed=fresh.timed, seen=fresh.seen)

    @contextmanager
    def _folder(self, benchmark: Any) -> Iterator[Any]:  # noqa: ANN401
        """Run the block in the folder that asv would take, with what setup_cache returned; None where there is none."""
        if benchmark.setup_cache_key is None:
            with tempfile.TemporaryDirectory(dir=self._scratch.name) as place, chdir(place):
                yield None
        else:
            kept = self._caches[benchmark.setup_cache_key]
            kept.mkdir(exist_ok=True)
            with chdir(kept):
                yield _cached(benchmark)


def _benchmark_folder(folder: Path) -> Path:
    named = configuration(folder).get("benchmark_dir", DEFAULT_FOLDER)
    root = Path(os.path.normpath(folder / named))  # links keep their name, by which the suite is imported
    if not (root / "__init__.py").is_file():
        raise FileNotFoundError(f"{root}: no __init__.py; asv's benchmark_dir is a package")
    return root


def _modules(name: str, found: Found) -> Iterator[ModuleType]:
    """Yield the module and all below it, in asv's order; one that fails is left out, with what is below it."""
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001  as asv does: SystemExit and pytest's skips are no reason to end
        found.left_out[name.partition(".")[2] or name] = first_line(error)
        return
    yield module
    for _, below, _ in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}."):
        yield from _modules(below, found)


def _candidates(module: ModuleType) -> Iterator[tuple[str, type | None, Callable[..., Any]]]:
    """Yield all that asv looks at in a module: functions, and methods with their classes, imported ones too."""
    for name, value in list(vars(module).items()):
        if name.startswith("_"):
            continue
        if inspect.isclass(value) and not inspect.isabstract(value):
            for attribute, method in inspect.getmembers(value):
                if inspect.isfunction(method) or inspect.ismethod(method):
                    yield attribute, value, method
        elif inspect.isfunction(value):
            yield name, None, value


def _add(module: ModuleType, attribute: str, owner: type | None, function: Callable[..., Any], found: Found) -> None:
    make = importlib.import_module("asv_runner.discovery")._get_benchmark  # noqa: SLF001  asv's own eye for a name
    name = ".".join((*module.__name__.split(".")[1:], *([owner.__name__] if owner else []), attribute))
    try:
        benchmark = make(attribute, module, owner, function)
        if benchmark is not None:
            _add_combinations(benchmark, found)
        elif attribute.startswith("mem_") and not getattr(function, "skip_benchmark", False):
            found.left_out[name] = "mem_ needs pympler, which is not installed there"  # asv does not even name it
    except Exception as error:  # noqa: BLE001  a class that cannot be made, parameters that are no list
        found.left_out[name] = first_line(error)


def _add_combinations(benchmark: Any, found: Found) -> None:  # noqa: ANN401
    if _kind(benchmark) is None:
        found.left_out[benchmark.name] = f"a {type(benchmark).__name__} neither times a call nor tracks a number"
        return
    spellings, values = itertools.product(*benchmark.params), itertools.product(*benchmark._params)  # noqa: SLF001
    for spelled, parameters in zip(spellings, values, strict=True):
        name = f"{benchmark.name}({', '.join(spelled)})" if benchmark.params else benchmark.name
        if parameters in benchmark._skip_tuples:  # noqa: SLF001
            found.left_out[name] = "its skip_params name this combination"
        else:
            found.combinations[name] = Combination(benchmark=benchmark, parameters=parameters)


def _kind(benchmark: Any) -> Any:  # noqa: ANN401
    """Return the way a benchmark is measured; None for one that is not.

    Its class alone decides: `type` is the suite's to set.
    """
    return KINDS.get(type(benchmark).__name__)


def _entered(benchmark: Any, arguments: tuple[Any, ...], within: Within, again: Callable[[], None]) -> None:  # noqa: ANN401
    again()  # a setup_cache may have drawn
    try:
        _each(benchmark._setups, arguments)  # noqa: SLF001
    except NotImplementedError as error:
        with suppress(Exception):  # asv tears down what skipped itself halfway; its fault is not the reason
            _each(benchmark._teardowns, arguments)  # noqa: SLF001
        raise SkippedError(str(error) or "its setup raised NotImplementedError") from error
    try:
        within(_opened(benchmark, arguments, again))
    except importlib.import_module("asv_runner.benchmarks.mark").SkipNotImplemented as error:
        raise SkippedError(str(error) or "it raised SkipNotImplemented") from error
    finally:
        _each(benchmark._teardowns, arguments)  # noqa: SLF001


def _opened(benchmark: Any, arguments: tuple[Any, ...], again: Callable[[], None]) -> Opened:  # noqa: ANN401
    kind = type(benchmark).__name__
    if kind == TRACKING:
        return Opened(values={TRACKED: _number(benchmark.func(*arguments))})
    if kind == MEM:
        return Opened(values={SIZE: _number(benchmark.run(*arguments))})
    call = partial(benchmark.func, *arguments) if arguments else benchmark.func
    if kind == PEAKMEM:
        return Opened(call=call)
    benchmark._load_vars()  # noqa: SLF001  setup may have set `number`
    uses_up = benchmark.number == 1 and (benchmark._setups or benchmark._teardowns)  # noqa: SLF001
    return Opened(call=call, before=Renewal(benchmark, arguments, again) if uses_up else None)


def _weighed(opened: Opened, peak_of: Callable[[Callable[[], object]], int]) -> Opened:
    """Return the memory that a call needs, with the memory that its setup holds."""
    assert opened.call is not None
    return Opened(values={PEAK: float(max(peak_of(opened.call), LEAST_PEAK_BYTES))})


def _number(value: Any) -> float:  # noqa: ANN401
    """Return the number that a benchmark tracked; skip None and NaN, asv's ways to say that there is nothing."""
    if value is None or math.isnan(value):
        raise SkippedError(f"it gave {value}, which is asv's word for nothing measured")
    if math.isinf(value):
        raise ValueError(f"it gave {value}, expected a finite number")
    return float(value)


@dataclass(slots=True)
class Renewal:
    """Tears a benchmark down and sets it up anew; the first time it is set up already."""

    benchmark: Any
    arguments: tuple[Any, ...]
    again: Callable[[], None]
    used: bool = False

    def __call__(self) -> None:
        """Renew the benchmark before a call, unless it is the first."""
        if self.used:
            _each(self.benchmark._teardowns, self.arguments)  # noqa: SLF001
            self.again()  # a setup draws what the one before it drew, however often each side has been called
            _each(self.benchmark._setups, self.arguments)  # noqa: SLF001
        self.used = True


def _each(functions: Sequence[Callable[..., object]], arguments: tuple[Any, ...]) -> None:
    for function in functions:
        function(*arguments)


def _cached(benchmark: Any) -> Any:  # noqa: ANN401
    """Return the result of setup_cache, run once an interpreter.

    It runs in a process of its own, in this folder, as asv does it.
    """
    with Path("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not Path("cache.pickle").exists():
            _in_own_process(partial(_fill_cache, benchmark))
    kind, content = pickle.loads(Path("cache.pickle").read_bytes())  # noqa: S301  we wrote it
    if kind == "error":
        raise RuntimeError(f"setup_cache failed: {content}")
    return content


def _fill_cache(benchmark: Any) -> None:  # noqa: ANN401
    try:
        written = pickle.dumps(("cache", benchmark.do_setup_cache()))
    except BaseException as error:  # noqa: BLE001  told to all that need it, and not tried again
        written = pickle.dumps(("error", first_line(error)))
    Path("cache.new").write_bytes(written)
    Path("cache.new").rename("cache.pickle")


def _in_own_process(work: Callable[[], None]) -> None:
    """Do work whose traces in memory must not stay here; it ends with this process.

    Raises:
        RuntimeError: it did not end by itself.
    """
    here = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            die_with(here)
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise RuntimeError(f"setup_cache failed: its process ended with {code}")
