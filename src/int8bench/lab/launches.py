"""Fresh interpreters that have paid the imports once and fork a clean process for each task."""

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic

from int8bench.errors import LabError, SilenceError
from int8bench.lab.channel import Channel, Done, Failure, P, Setup, T, Task, of_kind, pair
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.interpreter import Interpreter, started

TOGETHER = 2  # interpreters that pay their imports at the same time, while nothing is timed
SETUP_TIMEOUT_S = 600.0  # imports, and what an engine converts; slow disks and large models included


@dataclass(slots=True, eq=False)
class Fork(Generic[T]):
    """A task at work in a forked process: talk to it over `line`, then take its `result`."""

    pid: int
    line: Channel
    _launch: "Launch"
    _since: int
    """How much of standard error was there before it."""
    _code: int | None = None

    def result(self, timeout_s: float) -> T:
        """Return the result of the task, and end the fork.

        Raises:
            LabError: it raised, died, or took longer than `timeout_s` seconds.
        """
        try:
            done: Any = self.heard(Done, timeout_s)
        finally:
            self.end()
        answer: T = done.value
        return answer

    def heard(self, kind: type[P], timeout_s: float) -> P:
        """Return the next message of the task, of the kind that is expected.

        Args:
            kind: its class.
            timeout_s: how long the task may be silent.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        try:
            message = self.line.receive(timeout_s)
        except TimeoutError:
            self.end()
            raise SilenceError(f"gave no answer in {timeout_s:.0f} s and was stopped") from None
        except EOFError:
            raise LabError(
                f"the measuring process {_how_it_ended(self.end())}{self._launch.last_words(self._since)}"
            ) from None
        if isinstance(message, Failure):
            raise LabError(message.sentence)
        return of_kind(message, kind)

    def end(self) -> int:
        """End the process if it has not ended, and return its exit code, negative for a signal; safe to call again."""
        if self._code is None:
            self.line.close()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # not reaped yet, so the number is still this process's
            self._code = self._launch.exit_code(self)
        return self._code


def first_to_answer(forks: Sequence[Fork[T]], timeout_s: float) -> Fork[T] | None:
    """Return the first of some forks that has something to say or has ended; None where none does in time.

    Args:
        forks: at work, each told nothing that it waits for.
        timeout_s: how long to wait.
    """
    ready, _, _ = select.select([fork.line.socket for fork in forks], [], [], timeout_s)
    return next((fork for fork in forks if fork.line.socket in ready), None)


@dataclass(slots=True, eq=False)
class Launch:
    """One fresh interpreter; its address layout is one draw of luck, shared by all its forks."""

    index: int
    _interpreter: Interpreter
    _control: Channel
    _forks: "list[Fork[Any]]" = field(default_factory=list)

    def fork(
        self, function: Callable[[Any, P, Channel], T], payload: P, *, cores: tuple[int, ...] | None = None
    ) -> Fork[T]:
        """Start a task in a forked process.

        Args:
            function: of a module; called there with the state that the setup left, the payload, and the line.
            payload: handed to the function.
            cores: the processors that the process is held to; all where None.

        Raises:
            LabError: the launch is gone.
        """
        ours, theirs = pair()
        since = self._interpreter.written()
        try:
            self._control.send(Task.of(function, payload, cores))
            socket.send_fds(self._control.socket, [b"f"], [theirs.socket.fileno()])
            pid = self._control.hear(int, SETUP_TIMEOUT_S)
        except (EOFError, OSError) as error:
            raise LabError(f"launch {self.index} is gone{self.last_words()}") from error
        finally:
            theirs.close()
        fork: Fork[T] = Fork(pid, ours, self, since)
        self._forks.append(fork)
        return fork

    def exit_code(self, fork: Fork[Any]) -> int:
        """Wait for the end of a fork of this launch, return its exit code, and forget it."""
        self._forks.remove(fork)
        try:
            self._control.send(fork.pid)
            return self._control.hear(int, SETUP_TIMEOUT_S)
        except (EOFError, LabError):
            return -signal.SIGKILL

    def order(self, setup: Setup) -> None:
        """Have the launch do a setup.

        Raises:
            LabError: it is gone.
        """
        self._control.send(setup)

    def ready(self, timeout_s: float) -> None:
        """Wait until the launch has done its setup.

        Raises:
            LabError: the setup raised or took longer, or the interpreter died.
        """
        try:
            message = self._control.receive(timeout_s)
        except (EOFError, TimeoutError) as error:
            raise LabError(f"a measuring process did not start{self.last_words()}") from error
        if isinstance(message, Failure):
            raise LabError(message.sentence)

    def last_words(self, since: int = 0) -> str:
        """Return the last line that the launch and its forks wrote to standard error, ready to follow a sentence."""
        return self._interpreter.last_words(since)

    def close(self) -> None:
        """End the interpreter and all its forks."""
        for fork in self._forks:
            fork.line.close()
        self._interpreter.close()


@contextmanager
def launched(
    indexes: Sequence[int],
    setup: Setup,
    *,
    settings: ProcessSettings,
    timeout_s: float = SETUP_TIMEOUT_S,
) -> Iterator[tuple[Launch, ...]]:
    """Hold fresh interpreters that are ready to fork; all of them end with the block.

    Args:
        indexes: one launch each.
        setup: what each does once.
        settings: the variables that each is started with.
        timeout_s: how long one may take until it is ready.

    Raises:
        LabError: one of them did not start, or its setup raised.
    """
    launches: list[Launch] = []
    with ExitStack() as ending:  # what has started ends, whatever stops the next one or the end of another
        for start in range(0, len(indexes), TOGETHER):
            batch = [ending.enter_context(closing(_launch(i, settings))) for i in indexes[start : start + TOGETHER]]
            for launch in batch:
                launch.order(setup)
            for launch in batch:
                launch.ready(timeout_s)
            launches += batch
        yield tuple(launches)


def _launch(index: int, settings: ProcessSettings) -> Launch:
    command = (sys.executable, "-P", "-W", "ignore", "-m", "int8bench.lab.server")
    interpreter = started(command, environment={**settings.applied_to(os.environ), "PYTHONPATH": _path()})
    return Launch(index, interpreter, Channel(interpreter.line))


def _path() -> str:
    """Return this process's path of modules, so that a launch measures the very package that asked for it."""
    return os.pathsep.join(place or str(Path.cwd()) for place in sys.path)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
