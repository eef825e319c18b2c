"""What a test gets in place of pytest-benchmark's fixture: one use of it hands a call over to be timed in turns."""

import gc
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from .suite import Opened, Within

STATISTICS = (
    *("min", "max", "mean", "stddev", "median", "iqr", "q1", "q3", "ld15iqr", "hd15iqr", "ops", "total", "rounds"),
    *("outliers", "iqr_outliers", "stddev_outliers"),
)  # those of pytest-benchmark's


Arguments: TypeAlias = tuple[Sequence[Any], Mapping[str, Any]]
"""Those of a call of somebody's function, by position and by name."""


class AlreadyUsedError(Exception):
    """A test used its fixture twice."""


class FixtureNumbers(SimpleNamespace):
    """Statistics by attribute and by key, as pytest-benchmark gives them."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401
        """Return the statistic of that name."""
        return getattr(self, name)


NOTHING = dict.fromkeys(STATISTICS, math.nan)  # calls that are paired have no statistics of their own
NO_STATISTICS = FixtureNumbers(stats=FixtureNumbers(**NOTHING, data=[]), **NOTHING)


@dataclass(slots=True, eq=False)
class Measurement:
    """What came of entering one test."""

    within: Within
    used: str = ""
    """How the fixture was used; empty where it was not."""
    reads_statistics: bool = False
    fault: BaseException | None = None
    """What was raised while it was measured; the test may have caught it."""
    reports: list[tuple[pytest.TestReport, BaseException | None]] = field(default_factory=list)

    def measure(self, opened: Opened, *, used: str) -> None:
        """Have a call timed.

        Args:
            opened: the call.
            used: how the fixture came by it, for the error of a second use.

        Raises:
            AlreadyUsedError: it is the second of this test.
        """
        if self.used:
            raise AlreadyUsedError(f"Fixture can only be used once. Previously it was used in {self.used} mode.")
        self.used = used
        try:
            self.within(opened)
        except BaseException as error:
            self.fault = error
            raise

    def measure_whole(self, test: Callable[[], object]) -> None:
        """Have a whole test timed, between its setup and its teardown, and run it once more."""
        self.measure(Opened(call=test), used="a marker")
        test()


class BenchmarkFixture:
    """The fixture: called as pytest-benchmark's is, with the attributes that tests know of it."""

    disabled, enabled, skipped, cprofile = False, True, False, False

    def __init__(self, node: pytest.Item, measurement: Measurement, *, gives_setup_arguments: bool = False) -> None:
        """Keep the names and options of the test `node`.

        Args:
            node: that asks for the fixture.
            measurement: takes its call.
            gives_setup_arguments: whether a setup gets the arguments of its target, as with pytest-codspeed.
        """
        callspec = getattr(node, "callspec", None)
        options = next((mark.kwargs for mark in node.iter_markers("benchmark")), {})
        self.name, self.fullname = node.name, node.nodeid
        self.param: str | None = callspec.id if callspec else None
        self.params: Mapping[str, Any] | None = callspec.params if callspec else None
        self.group: str | None = options.get("group")
        self.extra_info: dict[str, Any] = {}
        self.has_error = False
        self._without_collector = options.get("disable_gc") or getattr(
            node.config.option, "benchmark_disable_gc", False
        )
        self._measurement = measurement
        self._gives_setup_arguments = gives_setup_arguments

    @property
    def stats(self) -> FixtureNumbers | None:
        """None before use; afterwards statistics that are not numbers, and a note that the test asked for them."""
        if not self._measurement.used:
            return None
        self._measurement.reads_statistics = True
        return NO_STATISTICS

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Have the call timed, and return its result."""
        call = partial(function_to_benchmark, *args, **kwargs) if args or kwargs else function_to_benchmark
        self._measure(Opened(call=call), used="benchmark(...)")
        return call()

    def pedantic(
        self,
        target: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[..., object] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:  # noqa: ANN401
        """Have the target timed, each call with its own setup and teardown, and return the result of one more call.

        Rounds and iterations tell pytest-benchmark how to sample; they are not heeded.

        Args:
            target: the function that is timed.
            args: of the target, by position.
            kwargs: of the target, by name; none where None.
            setup: is called before each call, and may return its arguments; None for no setup.
            teardown: gets the arguments of each call after it; None for no teardown.
            rounds: not heeded.
            warmup_rounds: not heeded.
            iterations: not heeded, but more than one is refused beside a setup.

        Raises:
            ValueError: what pytest-benchmark refuses too.
        """
        del rounds, warmup_rounds
        if iterations > 1 and setup:
            raise ValueError("Can't use more than 1 `iterations` with a `setup` function.")
        used = "benchmark.pedantic(...)"
        if setup is None and teardown is None:
            call = partial(target, *args, **(kwargs or {}))
            self._measure(Opened(call=call), used=used)
            return call()
        given: Arguments = (tuple(args), dict(kwargs or {}))
        if setup is not None and self._gives_setup_arguments:
            setup = partial(setup, *given[0], **given[1])
        rounds_of = Rounds(target, given, setup, teardown)
        self._measure(Opened(call=rounds_of.call, before=rounds_of.begin), used=used)
        rounds_of.begin()
        result = rounds_of.call()
        rounds_of.end()
        return result

    def weave(self, *_args: object, **_kwargs: object) -> None:
        """Skip the test: what is called, and how often, is not the test's to say."""
        pytest.skip("weaves its benchmark into other code, which cannot take turns")

    patch = weave

    def _measure(self, opened: Opened, *, used: str) -> None:
        try:
            with _collector(off=bool(self._without_collector)):
                self._measurement.measure(opened, used=used)
        except Exception:
            self.has_error = True
            raise


@dataclass(slots=True, eq=False)
class Rounds:
    """Calls of a target, each between a setup that may give its arguments and a teardown that gets them."""

    target: Callable[..., Any]
    given: Arguments
    setup: Callable[[], Any] | None
    teardown: Callable[..., object] | None
    arguments: Arguments | None = None
    """None where no round has begun."""

    def begin(self) -> None:
        """End the round before this, and set the next one up.

        Raises:
            TypeError: the test gives arguments, and so does its setup.
        """
        self.end()
        made = self.setup() if self.setup else None
        if made and any(self.given):
            raise TypeError("Can't use `args` or `kwargs` if `setup` returns the arguments.")
        self.arguments = made or self.given

    def call(self) -> Any:  # noqa: ANN401
        """Call the target once, which is timed, and return its result."""
        assert self.arguments is not None
        args, kwargs = self.arguments
        return self.target(*args, **kwargs)

    def end(self) -> None:
        """Tear down what has begun."""
        if self.arguments is not None and self.teardown is not None:
            args, kwargs = self.arguments
            self.teardown(*args, **kwargs)
        self.arguments = None


@contextmanager
def _collector(*, off: bool) -> Iterator[None]:
    """Run the block without Python's garbage collector, where the test asks for that."""
    on = gc.isenabled()
    if off:
        gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()
