"""A lab that is played: launches and forks that answer as a test says, by a clock that they move; peers of a side."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from int8bench.errors import SilenceError
from int8bench.lab.channel import Channel, Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import SETUP_TIMEOUT_S

Order = TypeVar("Order")
Answer = TypeVar("Answer")
Message = TypeVar("Message")
Fault = Callable[[str, Any, int], None]
"""Raises what goes wrong with a function, its order, and the index of the launch."""
Cost = Callable[[str, Any], float]
"""Seconds of a function with its order; of `launch`, with the payload of its setup."""


class Asked(NamedTuple):
    """A fork that was asked for."""

    launch: int
    function: str
    order: Any


@dataclass(eq=False)
class PlayedLab:
    """Stands in for `lab.launches`: keeps what was asked, and goes wrong as `fault` says.

    A test gives `answer` what forks answer, in a class that inherits or by an assignment.
    """

    fault: Fault = lambda _function, _order, _launch: None
    cost: Cost = lambda _function, _order: 0.0
    """On the clock of the lab; nobody waits for longer than a real lab would."""
    now: float = 0.0
    asked: list[Asked] = field(default_factory=list)
    setups: list[Setup] = field(default_factory=list)
    starts: list[tuple[int, ...]] = field(default_factory=list)
    """The launches that were started together."""
    running: int = 0
    open_forks: int = 0

    def answer(self, fork: "PlayedFork[Any]") -> object:
        """Returns what a fork answers."""
        raise AssertionError(f"nobody said what {fork.name} answers")

    def word(self, fork: "PlayedFork[Any]") -> object:
        """Returns what a fork says before its answer."""
        raise AssertionError(f"nobody said what {fork.name} says on its way")

    def clock(self) -> float:
        """Reads the clock."""
        return self.now

    def count(self, function: str) -> int:
        """Counts how often a function was asked for."""
        return sum(asked.function == function for asked in self.asked)

    def launch(self, index: int = 0) -> "PlayedLaunch":
        """Returns a launch that is ready."""
        return PlayedLaunch(self, index)

    @contextmanager
    def launched(
        self,
        indexes: Sequence[int],
        setup: Setup,
        *,
        settings: ProcessSettings,
        timeout_s: float = SETUP_TIMEOUT_S,
    ) -> Iterator[tuple["PlayedLaunch", ...]]:
        """Stands in for `lab.launches.launched`."""
        assert isinstance(settings, ProcessSettings)
        assert timeout_s > 0
        self.setups.append(setup)
        self.starts.append(tuple(indexes))
        self.spend("launch", setup.payload, timeout_s)
        for index in indexes:
            self.fault("launch", None, index)
        self.running += len(indexes)
        try:
            yield tuple(self.launch(index) for index in indexes)
        finally:
            self.running -= len(indexes)

    def spend(self, function: str, order: object, timeout_s: float) -> None:
        """Moves the clock by what something takes, but not past the time for which it is waited."""
        taken_s = self.cost(function, order)
        self.now += min(taken_s, timeout_s)
        if taken_s > timeout_s:
            raise SilenceError(f"gave no answer in {timeout_s:.0f} s and was stopped")


@dataclass(eq=False)
class PlayedLaunch:
    """Stands in for a `Launch`."""

    lab: PlayedLab
    index: int

    def fork(
        self, function: Callable[[Any, Order, Channel], Answer], order: Order, *, cores: tuple[int, ...] | None = None
    ) -> "PlayedFork[Answer]":
        """Notes what was asked, and gives the fork that will answer."""
        fork: PlayedFork[Answer] = PlayedFork(self, function, order, cores)
        assert cores is None or len(cores) >= 1
        self.lab.asked.append(Asked(self.index, fork.name, order))
        self.lab.open_forks += 1
        return fork


@dataclass(eq=False)
class PlayedFork(Generic[Answer]):
    """Stands in for a `Fork`, and for the line to it."""

    launch: PlayedLaunch
    function: Callable[..., Answer]
    order: Any
    cores: tuple[int, ...] | None
    ended: bool = False

    @property
    def name(self) -> str:
        """Names the function."""
        return self.function.__name__

    @property
    def line(self) -> "PlayedFork[Answer]":
        """Returns the line to the fork: this very object."""
        return self

    def send(self, message: object) -> None:
        """Takes a time to stop at, which is all that a fork is ever told."""
        assert isinstance(message, float)

    def heard(self, kind: type[Message], timeout_s: float) -> Message:
        """Returns what it says on its way, or raises what goes wrong."""
        self._work(timeout_s)
        message = self.launch.lab.word(self)
        assert isinstance(message, kind)
        return message

    def result(self, timeout_s: float) -> Answer:
        """Returns the answer, or raises what goes wrong."""
        try:
            self._work(timeout_s)
            answer: Any = self.launch.lab.answer(self)
        finally:
            self.end()
        if isinstance(answer, Exception):
            raise answer
        typed: Answer = answer
        return typed

    def end(self) -> int:
        """Ends it, once."""
        self.launch.lab.open_forks -= not self.ended
        self.ended = True
        return 0

    def _work(self, timeout_s: float) -> None:
        assert timeout_s > 0
        self.launch.lab.spend(self.name, self.order, timeout_s)
        self.launch.lab.fault(self.name, self.order, self.launch.index)


@dataclass(eq=False)
class PlayedPeer:
    """Stands in for the `PeerLaunch` of a side, and for the benchmark that is open in it: it measures nothing."""

    label: str
    fault: Exception | None = None
    """What entering a benchmark raises."""
    late: Exception | None = None
    """What the end of a benchmark raises."""
    values: None = None
    entered: int = 0
    ended: int = 0
    waited_s: float = 0.0

    def enter(self, _name: str, *, timeout_s: float, **_: object) -> "PlayedPeer":
        """Opens a benchmark."""
        self.waited_s = timeout_s
        if self.fault is not None:
            raise self.fault
        self.entered += 1
        return self

    def finish(self, _timeout_s: float) -> None:
        """Lets the benchmark go on to its end."""
        if self.late is not None:
            raise self.late

    def end(self) -> None:
        """Ends its process."""
        self.ended += 1
