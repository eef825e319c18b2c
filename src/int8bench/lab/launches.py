"""Fresh interpreters that have paid the imports once and fork a clean process for each task."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from int8bench.errors import LabError, SilenceError
from int8bench.lab.channel import Channel, pair
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.messages import Done, Failure, Setup, Task

SETUP_TIMEOUT_S = 600.0  # imports, and what an engine converts; slow disks and large models included
LAST_WORDS = 300  # characters of a dead process's standard error that are worth telling


@dataclass(slots=True, eq=False)
class Fork:
    """A task at work in a forked process: talk to it over `line`, then take its `result`."""

    pid: int
    line: Channel
    _launch: "Launch"
    _code: int | None = None

    def result(self, timeout_s: float) -> object:
        """What the task returned.

        Raises:
            LabError: it raised, died, or took longer than `timeout_s` seconds.
        """
        try:
            message = self.told(timeout_s)
        finally:
            self.end()
        assert isinstance(message, Done)
        return message.value

    def told(self, timeout_s: float) -> object:
        """The next message of the task.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        try:
            message = self.line.receive(timeout_s)
        except TimeoutError:
            self.end()
            raise SilenceError(f"gave no answer in {timeout_s:.0f} s and was stopped") from None
        except EOFError:
            raise LabError(f"the measuring process {_how_it_ended(self.end())}{self._launch.last_words()}") from None
        if isinstance(message, Failure):
            raise LabError(message.sentence)
        return message

    def end(self) -> int:
        """Ends the process if it has not ended; its exit code, negative for a signal. Safe to call again."""
        if self._code is None:
            self.line.close()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)  # not reaped yet, so the number is still this process's
            self._code = self._launch.exit_code(self)
        return self._code


def first_to_answer(forks: Sequence[Fork], timeout_s: float) -> Fork | None:
    """The first of some forks that has something to say, or has ended; None where none does in time.

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
    _process: "subprocess.Popen[bytes]"
    _control: Channel
    _errors: IO[bytes]
    _forks: "list[Fork]" = field(default_factory=list)

    def fork(self, function: str, payload: object, *, cores: tuple[int, ...] | None = None) -> Fork:
        """Starts a task in a forked process.

        Args:
            function: ``module:function``, called there as ``function(state, payload, channel)``.
            payload: handed to the function.
            cores: the processors that the process is held to; all where None.

        Raises:
            LabError: the launch is gone.
        """
        ours, theirs = pair()
        try:
            self._control.send(Task(function=function, payload=payload, cores=cores))
            socket.send_fds(self._control.socket, [b"f"], [theirs.socket.fileno()])
            pid = self._control.receive(SETUP_TIMEOUT_S)
        except (EOFError, OSError) as error:
            raise LabError(f"launch {self.index} is gone{self.last_words()}") from error
        finally:
            theirs.close()
        assert isinstance(pid, int)
        self._forks.append(Fork(pid, ours, self))
        return self._forks[-1]

    def exit_code(self, fork: Fork) -> int:
        """How a fork of this launch ended; waits for its end and forgets it."""
        self._forks.remove(fork)
        try:
            self._control.send(fork.pid)
            code = self._control.receive(SETUP_TIMEOUT_S)
        except (EOFError, LabError):
            return -signal.SIGKILL
        assert isinstance(code, int)
        return code

    def ready(self, timeout_s: float) -> None:
        """Waits until the launch has done its setup.

        Raises:
            LabError: the setup raised or took longer, or the interpreter died.
        """
        try:
            message = self._control.receive(timeout_s)
        except (EOFError, TimeoutError) as error:
            raise LabError(f"a measuring process did not start{self.last_words()}") from error
        if isinstance(message, Failure):
            raise LabError(message.sentence)

    def last_words(self) -> str:
        """The end of what the launch and its forks wrote to standard error, ready to follow a sentence."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:LAST_WORDS]}" if lines else ""

    def close(self) -> None:
        """Ends the interpreter and all its forks."""
        for fork in self._forks:
            fork.line.close()
        self._control.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()


@contextmanager
def launched(
    indexes: Sequence[int],
    setup: Setup,
    *,
    settings: ProcessSettings,
    together: int = 2,
    timeout_s: float = SETUP_TIMEOUT_S,
) -> Iterator[tuple[Launch, ...]]:
    """Fresh interpreters that are ready to fork; all of them end with the block.

    Args:
        indexes: one launch each.
        setup: what each does once.
        settings: the variables that each is started with.
        together: how many pay their imports at the same time.
        timeout_s: how long one may take until it is ready.

    Raises:
        LabError: one of them did not start, or its setup raised.
    """
    launches: list[Launch] = []
    try:
        for start in range(0, len(indexes), together):
            batch = [_start(index, setup, settings) for index in indexes[start : start + together]]
            launches += batch
            for launch in batch:
                launch.ready(timeout_s)
        yield tuple(launches)
    finally:
        for launch in launches:
            launch.close()


def _start(index: int, setup: Setup, settings: ProcessSettings) -> Launch:
    ours, theirs = pair()
    errors = tempfile.TemporaryFile()  # noqa: SIM115  closed with the launch
    descriptor = theirs.socket.fileno()
    process = subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", "-m", "int8bench.lab.server", str(descriptor), str(os.getpid())],
        env={**settings.applied_to(os.environ), "PYTHONPATH": _path()},
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
        pass_fds=(descriptor,),
        start_new_session=True,
    )
    theirs.close()
    launch = Launch(index, process, ours, errors)
    try:
        ours.send(setup)
    except LabError:
        launch.close()
        raise
    return launch


def _path() -> str:
    """Where this process finds modules, so that a launch measures the very package that asked for it."""
    return os.pathsep.join(place or str(Path.cwd()) for place in sys.path)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
