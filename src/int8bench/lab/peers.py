"""A side's processes as the coordinator sees them: launches that have opened a suite, and forks that take turns.

Each is an interpreter of its own, with its side's package first on the path, that runs `lab/agent` by its place.
"""

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from int8bench.errors import LabError
from int8bench.lab.agent.wire import (
    Began,
    Broken,
    Ended,
    Enter,
    Failed,
    Forked,
    GridOrder,
    Line,
    Message,
    Open,
    OpenedSuite,
    Origins,
    Reap,
    SideRequest,
    Skipped,
    Stop,
)
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.interpreter import Interpreter, started

T = TypeVar("T")
OPEN_TIMEOUT_S = 900.0  # imports of a suite, and the training of a model
ENTER_TIMEOUT_S = 600.0  # the set-up of a benchmark, and of a cache that several share
FINISH_TIMEOUT_S = 10.0  # its end
REAP_TIMEOUT_S = 60.0
SILENT = "gave no answer in"  # of a benchmark that hangs
BORDERS = ".:/["  # what follows the name of a module or file in the ids of its benchmarks
MOST_HASH_SEEDS = 2**32 - 1  # Python takes them from 0, which is no seed, to this
PROGRAM = Path(__file__).parent / "agent" / "__main__.py"


class SideSkippedError(Exception):
    """A benchmark says of itself that it cannot run on a side; the message is its reason."""


class StrayedError(Exception):
    """What a benchmark measures on a side is not that side's own; the message says what it was."""


class LaunchLostError(LabError):
    """A launch is gone, or does not have the benchmark: nobody knows what became of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a launch of a side is started with: interpreter, folders first on the path, working folder."""

    label: str
    python: str
    path: tuple[str, ...]
    folder: str
    packages: tuple[str, ...]
    """The packages that must come from `path`, where anything of them is loaded."""
    is_revision: bool = False
    """Whether something of `packages` must be loaded where a benchmark is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerOrder:
    """The suite that is to be opened."""

    suite: str
    grid: GridOrder | None = None
    """Of our own suite: its cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLuck:
    """What the launches of a pair draw alike, and the variables that the suite asks for; None unsets one."""

    seed: int = 0
    variables: Mapping[str, str | None] = field(default_factory=dict)

    def applied_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a launch: Python's hashes by the seed, unless the suite has a word on them."""
        drawn = {**environment, "PYTHONHASHSEED": str(1 + self.seed % MOST_HASH_SEEDS), **self.variables}
        return {name: value for name, value in drawn.items() if value is not None}


@dataclass(slots=True, eq=False)
class Turns:
    """A benchmark that is open in a forked process of one side, and asleep until it is asked for something."""

    pid: int
    values: Mapping[str, float] | None
    _line: Line
    _launch: "PeerLaunch"
    _is_own: bool
    """Whether a module of the side was loaded when it was opened."""
    _ended: bool = False

    def ask(self, request: SideRequest[T], timeout_s: float) -> T:
        """Return the benchmark's answer to a request.

        Args:
            request: `First`, `Warm`, `Sample` or `Sustain`.
            timeout_s: how long it may be silent.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        self.say(request)
        return self.hear(request.answer, timeout_s)

    def say(self, message: SideRequest[object] | Stop) -> None:
        """Ask the benchmark for something without waiting for the answer.

        Raises:
            LabError: it is gone.
        """
        try:
            self._line.send(message)
        except OSError:
            raise LabError(f"{self._launch.label}: the measuring process is gone{self._launch.last_words()}") from None

    def hear(self, kind: type[T], timeout_s: float) -> T:
        """Return the benchmark's next answer.

        Args:
            kind: of the answer.
            timeout_s: how long it may be silent.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        return _heard(self._line, self._launch, kind, timeout_s)

    def finish(self, timeout_s: float) -> None:
        """Let the benchmark go on to its end: it is torn down, and the asserts on its result are heard.

        Raises:
            LabError: it raised, or died.
            SkippedError: it says that it cannot be measured.
            StrayedError: it had measured what is not the side's own.
        """
        self.say(Stop())
        try:
            end = _checked(self._line.receive(timeout_s), self._launch, Ended)
        except TimeoutError:
            end = Ended(origins={}, others={})  # it does not end, and is ended
        except (EOFError, ValueError):
            raise LabError(
                f"{self._launch.label}: the measuring process died in its end{self._launch.last_words()}"
            ) from None
        is_own = self._launch.check_origins(end.origins)
        if self._launch.is_revision and not (is_own or self._is_own):
            raise StrayedError(self._launch.strayed(end.others))

    def end(self) -> None:
        """End the process and wait for it; safe to call again."""
        if not self._ended:
            self._ended = True
            self._launch.reap(self.pid, self._line)


@dataclass(slots=True, eq=False)
class PeerLaunch:
    """One fresh interpreter of a side, which has opened the suite; its address layout is shared by its forks."""

    label: str
    names: Mapping[str, str]
    left_out: Mapping[str, str]
    broken: str | None
    """Why nothing of the suite is there, where its own code does not let it be opened."""
    _interpreter: Interpreter
    _line: Line
    _place: Place
    _said: int = 0
    """How much of standard error was there before the benchmark that is open."""
    _open: set[Line] = field(default_factory=set)
    """The lines to its forks."""

    @property
    def is_revision(self) -> bool:
        """Whether something of the side's own must be loaded where a benchmark is measured."""
        return self._place.is_revision

    def strayed(self, others: Mapping[str, str]) -> str:
        """Return a sentence on the imports of a benchmark that loaded nothing of the side's revision."""
        own = ", ".join(self._place.packages) or "no package"
        seen = ", ".join(f"{name} from {folder}" for name, folder in others.items()) or "nothing beside Python's own"
        return f"nothing of {self.label}'s revision was loaded, which holds {own}; imported was {seen}"

    def order(self, order: PeerOrder, luck: SharedLuck, measured: Sequence[str] = ()) -> None:
        """Have the launch open a suite; `opened` hears what became of that.

        Args:
            order: the suite.
            luck: what it draws from.
            measured: the packages of either side.
        """
        place = self._place
        with suppress(OSError):
            self._line.send(
                Open(
                    suite=order.suite,
                    folder=place.folder,
                    packages=place.packages,
                    path=place.path,
                    measured=measured,
                    seed=luck.seed,
                    grid=order.grid,
                )
            )

    def opened(self, timeout_s: float) -> None:
        """Wait until the suite is open, and see that the measured packages are the side's own.

        A suite whose own code raises, or ends its process, is a failure of all that is in it, and no reason to stop.

        Raises:
            LabError: it says nothing, there is no suite to open, or a package came from somewhere else.
        """
        try:
            opening = self._line.receive(timeout_s)
        except EOFError:
            self.broken = f"its process ended while the suite was opened{self.last_words()}"
            return
        except (TimeoutError, ValueError) as error:
            raise LabError(f"{self.label}: the suite did not open{self.last_words()}") from error
        match opening:
            case Broken():
                self.broken = f"the suite does not open: {opening.reason}"
            case OpenedSuite():
                self.names, self.left_out = opening.names, opening.left_out
                try:
                    self.check_origins(opening.origins)
                except StrayedError as error:
                    raise LabError(str(error)) from error
            case _:
                why = opening.error if isinstance(opening, Failed) else f"it sent {opening!r:.80}"
                raise LabError(f"{self.label}: the suite does not open: {why}")

    def check_origins(self, origins: Origins) -> bool:
        """See that every package of the side's own came from its folders, and tell whether any of them is loaded.

        Raises:
            StrayedError: one came from somewhere else.
        """
        for package, folders in origins.items():
            for folder in folders:
                if not any(Path(folder).is_relative_to(Path(own).resolve()) for own in self._place.path):
                    raise StrayedError(
                        f"{self.label}: {package} was imported from {folder}, not from this side's own files; "
                        "is it put first on the path by the suite, or by a PYTHONPATH?"
                    )
        return any(origins.values())

    def enter(self, name: str, *, cores: Sequence[int], shift: int, timeout_s: float) -> Turns:
        """Open a benchmark in a forked process.

        Args:
            name: of the benchmark.
            cores: that the process is held to; all where empty.
            shift: bytes that its heap is moved by.
            timeout_s: for its setup.

        Raises:
            SkippedError: the benchmark says that it cannot run there.
            StrayedError: it measures what is not the side's own.
            LaunchLostError: the launch is gone, or does not have it.
            LabError: it raised, died, or took too long, or could not be imported.
        """
        if name not in self.names:
            why = self.why_left_out(name)
            raise LabError(f"{self.label}: {why}") if why else LaunchLostError(f"{self.label}: has no {name} this time")
        ours, theirs = socket.socketpair()
        line = Line(ours)
        self._open.add(line)
        self._said = self._interpreter.written()
        try:
            self._line.send(Enter(name=name, cores=cores, shift=shift, packages=self._place.packages))
            socket.send_fds(self._interpreter.line, [b"f"], [theirs.fileno()])
            pid = _of_kind(self._line.receive(timeout_s), Forked).pid
        except (EOFError, OSError, ValueError) as error:
            raise LaunchLostError(f"{self.label}: a launch is gone{self.last_words()}") from error
        finally:
            theirs.close()
        try:
            began = _heard(line, self, Began, timeout_s)
            is_own = self.check_origins(began.origins)
        except BaseException:
            self.reap(pid, line)
            raise
        return Turns(pid, began.values, line, self, is_own)

    def why_left_out(self, name: str) -> str | None:
        """Return why a benchmark that the other side has is not in this suite; None where nobody knows."""
        if self.broken is not None:
            return self.broken
        for place, reason in self.left_out.items():
            if name == place:
                return reason
            if is_part(name, of=place):
                return f"cannot import {place}: {reason}"
        return None

    def reap(self, pid: int, line: Line) -> None:
        """End a fork and wait for it.

        Args:
            pid: of the fork.
            line: to it.
        """
        line.close()
        self._open.discard(line)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still this process's
        with suppress(OSError, EOFError, TimeoutError):
            self._line.send(Reap(pid=pid))
            self._line.receive(REAP_TIMEOUT_S)

    def last_words(self) -> str:
        """Return the last line that was written since the benchmark was opened, ready to follow a sentence."""
        return self._interpreter.last_words(self._said)

    def close(self) -> None:
        """End the interpreter and all its forks."""
        for line in self._open:
            line.close()
        self._interpreter.close()


def is_part(name: str, *, of: str) -> bool:
    """Tell whether a benchmark is one of a module or file, by their ids.

    Args:
        name: of the benchmark.
        of: the id of the module or file.
    """
    return name.startswith(of) and name[len(of) :][:1] in {*BORDERS}


@contextmanager
def launched(
    places: Sequence[Place],
    order: PeerOrder,
    luck: SharedLuck | None = None,
    *,
    beside: Sequence[Place] = (),
    timeout_s: float = OPEN_TIMEOUT_S,
) -> Iterator[list[PeerLaunch]]:
    """Hold a launch of each side, opening at the same time and drawing the same; all of them end with the block.

    Args:
        places: of the sides.
        order: the suite.
        luck: what they draw.
        beside: sides that are not opened now, but whose packages are measured too.
        timeout_s: for the suites.

    Raises:
        LabError: one of them did not start, or has no suite to open.
    """
    with ExitStack() as ending:  # what has started ends, whatever stops the next one or the end of another
        shared = luck or SharedLuck()
        by_luck = slice(None, None, -1 if shared.seed % 2 else 1)  # who is imported first has what only one can have
        in_order = [ending.enter_context(closing(_launch(place, shared))) for place in places[by_luck]]
        launches = in_order[by_luck]
        measured = sorted({name for place in (*places, *beside) for name in place.packages})
        for launch in in_order:
            launch.order(order, shared, measured)
        for launch in launches:
            launch.opened(timeout_s)
        yield launches


def _launch(place: Place, luck: SharedLuck) -> PeerLaunch:
    environment = {
        **luck.applied_to(ProcessSettings().applied_to(os.environ)),
        "PYTHONPATH": os.pathsep.join((*place.path, *_asked_for())),
        "PYTHONDONTWRITEBYTECODE": "1",  # the suite lies in a tree that is kept
    }
    command = (place.python, "-P", "-W", "ignore", str(PROGRAM))
    interpreter = started(command, environment=environment, folder=place.folder, name=place.label)
    return PeerLaunch(place.label, {}, {}, None, interpreter, Line(interpreter.line), place)


def _asked_for() -> list[str]:
    """Return the folders that the person puts first on the path, behind the side's own."""
    return [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]


def _heard(line: Line, launch: PeerLaunch, kind: type[T], timeout_s: float) -> T:
    try:
        return _checked(line.receive(timeout_s), launch, kind)
    except TimeoutError:
        raise LabError(f"{launch.label}: {SILENT} {timeout_s:.0f} s and was stopped") from None
    except (EOFError, ValueError):
        raise LabError(f"{launch.label}: the measuring process died{launch.last_words()}") from None


def _checked(message: Message, launch: PeerLaunch, kind: type[T]) -> T:
    """Return the message that was waited for, of the kind that is expected.

    Raises:
        SkippedError: it says that its benchmark cannot run there.
        LabError: it says what was raised.
        ValueError: it is of another kind.
    """
    match message:
        case Skipped():
            raise SideSkippedError(f"{launch.label}: {message.reason}")
        case Failed():
            raise LabError(f"{launch.label}: {message.error}")
    return _of_kind(message, kind)


def _of_kind(message: Message, kind: type[T]) -> T:
    if not isinstance(message, kind):
        raise ValueError(f"sent {message!r:.80}, expected {kind.__name__}")  # noqa: TRY004  a fault of the line
    return message
