"""Messages between the coordinator, a launch and its forks, over socket pairs that end with either side."""

import pickle
import socket
import struct
from dataclasses import dataclass, field

from int8bench.errors import LabError
from int8bench.peer.wire import exactly

_LENGTH = struct.Struct("<Q")


@dataclass(slots=True, eq=False)
class Channel:
    """One end of a two-way line for Python objects between two processes of ours.

    Objects are pickled: both ends are our own processes on this machine, joined by a socket pair without a name.
    """

    socket: socket.socket
    _closed: bool = field(default=False, init=False)

    def send(self, message: object) -> None:
        """Sends one object.

        Raises:
            LabError: the other side is gone.
        """
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        try:
            self.socket.sendall(_LENGTH.pack(len(body)) + body)
        except OSError as error:
            raise LabError(f"the measuring process is gone ({error.strerror})") from error

    def receive(self, timeout_s: float | None = None) -> object:
        """The next object.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: nothing came within `timeout_s` seconds.
        """
        self.socket.settimeout(timeout_s)
        (length,) = _LENGTH.unpack(exactly(self.socket, _LENGTH.size))
        return pickle.loads(exactly(self.socket, length))  # noqa: S301  from our own process, see the class

    def close(self) -> None:
        """Ends the line; the other side sees its end."""
        if not self._closed:
            self._closed = True
            self.socket.close()


def pair() -> tuple[Channel, Channel]:
    """Two ends of a new line."""
    ours, theirs = socket.socketpair()
    return Channel(ours), Channel(theirs)
