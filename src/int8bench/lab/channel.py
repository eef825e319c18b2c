"""What a coordinator, its launches and their forks say to each other, over socket pairs that end with either side."""

import pickle
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from int8bench.errors import LabError
from int8bench.lab.agent.wire import exactly

T = TypeVar("T")
P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a launch does once: ``function(payload)``, a function of a module; its result is handed to every task.

    With `serves` it is called as ``function(payload, serve)`` and calls ``serve(state)`` where the launch is ready:
    forks are then served from there, with all that is alive at that point, and the call does not return.
    """

    function: Callable[..., object]
    payload: object
    serves: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a fork does: ``function(state, payload, channel)``, still pickled, so that it is imported in the fork."""

    work: bytes
    cores: tuple[int, ...] | None

    @classmethod
    def of(cls, function: Callable[[Any, P, "Channel"], object], payload: P, cores: tuple[int, ...] | None) -> "Task":
        """Return a task that calls a function of a module.

        Args:
            function: called in the fork with the state of the launch, the payload and the line.
            payload: handed to the function; pickled.
            cores: the processors that the fork is held to; all where None.
        """
        return cls(work=pickle.dumps((function, payload), protocol=pickle.HIGHEST_PROTOCOL), cores=cores)

    def run(self, state: object, channel: "Channel") -> object:
        """Do the task, in the fork, and return the result of its function.

        Args:
            state: that the setup of the launch left.
            channel: the fork's end of the line.
        """
        function, payload = pickle.loads(self.work)  # noqa: S301  from our own process, see Channel
        return function(state, payload, channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A fault of ours or of a contender inside a measuring process, in one sentence."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a task returned."""

    value: object


_LENGTH = struct.Struct("<Q")


@dataclass(slots=True, eq=False)
class Channel:
    """One end of a two-way line for Python objects between two processes of ours.

    Objects are pickled: both ends are our own processes on this machine, joined by a socket pair without a name.
    """

    socket: socket.socket
    _closed: bool = field(default=False, init=False)

    def send(self, message: object) -> None:
        """Send one object.

        Raises:
            LabError: the other side is gone.
        """
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            self.socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise LabError(f"the measuring process is gone ({error.strerror})") from error

    def receive(self, timeout_s: float | None = None) -> object:
        """Return the next object.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: nothing came within `timeout_s` seconds.
        """
        self.socket.settimeout(timeout_s)
        (length,) = _LENGTH.unpack(exactly(self.socket, _LENGTH.size))
        return pickle.loads(exactly(self.socket, length))  # noqa: S301  from our own process, see the class

    def hear(self, kind: type[T], timeout_s: float | None = None) -> T:
        """Return the next object, of the kind that is expected.

        Args:
            kind: its class.
            timeout_s: how long the other side may be silent; for ever where None.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: nothing came within `timeout_s` seconds.
            LabError: it is of another kind.
        """
        return of_kind(self.receive(timeout_s), kind)

    def close(self) -> None:
        """End the line; the other side sees its end."""
        if not self._closed:
            self._closed = True
            self.socket.close()


def of_kind(message: object, kind: type[T]) -> T:
    """Return a message that was waited for.

    Args:
        message: that came.
        kind: its class.

    Raises:
        LabError: it is of another kind.
    """
    if not isinstance(message, kind):
        raise LabError(f"the measuring process sent {message!r:.80}, expected {kind.__name__}")
    return message


def pair() -> tuple[Channel, Channel]:
    """Return the two ends of a new line."""
    ours, theirs = socket.socketpair()
    return Channel(ours), Channel(theirs)
