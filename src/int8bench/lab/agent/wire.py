"""Messages between the coordinator and the processes of a side: JSON, each with its length before it.

Not strict JSON: a benchmark may give NaN, and both ends are Python's.
"""

import json
import socket
import struct
from collections.abc import Mapping
from typing import Any

_LENGTH = struct.Struct("<I")
MOST_BYTES = 64 << 20  # of one message: a suite of a hundred thousand names is a tenth of it

Message = Mapping[str, Any]


class Line:
    """One end of a two-way line that ends with either side."""

    def __init__(self, end: socket.socket) -> None:
        """Takes over one end of a socket pair."""
        self.socket = end

    def send(self, message: Message) -> None:
        """Sends one message.

        Raises:
            OSError: the other side is gone.
        """
        body = json.dumps(message, separators=(",", ":")).encode()
        self.socket.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The next message.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: nothing came within `timeout_s` seconds.
            ValueError: what came is no message.
        """
        self.socket.settimeout(timeout_s)
        (length,) = _LENGTH.unpack(exactly(self.socket, _LENGTH.size))
        if length > MOST_BYTES:
            raise ValueError(f"a message of {length} bytes, expected {MOST_BYTES} at most")
        found: dict[str, Any] = json.loads(exactly(self.socket, length))
        return found

    def close(self) -> None:
        """Ends the line; safe to call again."""
        self.socket.close()


def exactly(end: socket.socket, size: int) -> bytes:
    """That many bytes.

    Raises:
        EOFError: the other side is gone before.
        TimeoutError: the socket's own time is up.
    """
    body = bytearray()
    while len(body) < size:
        try:
            part = end.recv(min(size - len(body), 1 << 20))
        except ConnectionError as error:
            raise EOFError from error
        if not part:
            raise EOFError
        body += part
    return bytes(body)
