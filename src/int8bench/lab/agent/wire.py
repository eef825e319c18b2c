"""What the coordinator and the processes of a side say to each other: a dataclass a message, and the line for them.

On the line a message is JSON with its length before it: its fields, and the name of its class. Not strict JSON: a
benchmark may give NaN, and both ends are Python's.
"""

import _socket  # of which `socket.socket` is one
import json
import struct
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Generic, TypeAlias, TypeVar, dataclass_transform

_LENGTH = struct.Struct("<I")
MOST_BYTES = 64 << 20  # of one message: a suite of a hundred thousand names is a tenth of it
_KIND = "kind"  # the key of a message's class

Origins: TypeAlias = Mapping[str, Sequence[str]]
"""The folders that loaded modules of each package lie in; none where nothing of it was imported."""
A_co = TypeVar("A_co", covariant=True)


_KINDS: dict[str, type["Message"]] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
@dataclass(frozen=True)
class Message:
    """What is said on a line: a class that inherits from it is a dataclass, and known to both ends by its name."""

    def __init_subclass__(cls) -> None:
        """Make the class a frozen dataclass, and known by its name."""
        super().__init_subclass__()
        _KINDS[cls.__name__] = dataclass(frozen=True, kw_only=True)(cls)


class SideRequest(Message, ABC, Generic[A_co]):
    """What a benchmark that is open is asked for, and the kind of its answer."""

    @property
    @abstractmethod
    def answer(self) -> type[A_co]:
        """The class of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridOrder:
    """The cells of our own grid, as its suite is asked for them."""

    contenders: Sequence[str]
    batches: Sequence[int]
    threads: Sequence[int]
    model: str
    input_shape: str | None
    data: str


class Open(Message):
    """To a launch, first: open a suite."""

    suite: str
    folder: str
    packages: Sequence[str]
    """Whose modules must come from `path`."""
    path: Sequence[str]
    """The folders of the side's own files."""
    measured: Sequence[str]
    """The packages of either side."""
    seed: int
    """What both sides draw from."""
    grid: GridOrder | None = None
    """Of our own suite alone."""


class OpenedSuite(Message):
    """From a launch: what is in the suite that it has opened."""

    names: Mapping[str, str]
    """How each benchmark is measured, by its id."""
    left_out: Mapping[str, str]
    """Reasons by id or file."""
    origins: Origins


class Broken(Message):
    """From a launch: why the suite's own code does not let it be opened."""

    reason: str


class Enter(Message):
    """To a launch: open a benchmark in a fork; a descriptor of the line to it comes along."""

    name: str
    cores: Sequence[int]
    shift: int
    """Bytes that the heap is moved by."""
    packages: Sequence[str]


class Forked(Message):
    """From a launch: the number of the fork."""

    pid: int


class Reap(Message):
    """To a launch: wait for the end of a fork."""

    pid: int


class Reaped(Message):
    """From a launch: how the fork ended."""

    code: int


class Began(Message):
    """From a fork, first: the numbers that the benchmark tracks, if it does, and where its modules came from."""

    values: Mapping[str, float] | None
    origins: Origins


class FirstCall(Message):
    """The seconds of a first call."""

    first_s: float


class First(SideRequest[FirstCall]):
    """To a fork: make one call, and give its threads a core of `cores` each, where there are as many."""

    cores: Sequence[int]
    answer = FirstCall


class Warmed(Message):
    """The seconds of the fastest call of a warm-up."""

    fastest_s: float


class Warm(SideRequest[Warmed]):
    """To a fork: call for so many seconds, once at least."""

    duration_s: float
    answer = Warmed


class Sampled(Message):
    """The mean seconds of the timed calls, their processor time together, and how often the processor was lost."""

    mean_s: float
    cpu_s: float
    lost: int


class TurnSample(SideRequest[Sampled]):
    """To a fork: make so many calls that are not timed, and then so many that are."""

    calls: int
    untimed: int
    answer = Sampled


class Sustained(Message):
    """How many calls were made under load, and from when to when by the clock that all processes share."""

    calls: int
    started_s: float
    ended_s: float


class Sustain(SideRequest[Sustained]):
    """To a fork: call until that moment of the clock that all processes share, once at least."""

    until_s: float
    answer = Sustained


class Stop(Message):
    """To a fork: end the benchmark."""


class Ended(Message):
    """From a fork, last: where modules came from, and others that were imported where none are the side's own."""

    origins: Origins
    others: Mapping[str, str]


class Skipped(Message):
    """From a fork: the benchmark says that it cannot run there, and why."""

    reason: str


class Failed(Message):
    """From a launch or a fork: what was raised, in a line."""

    error: str


class Line:
    """One end of a two-way line that ends with either side."""

    def __init__(self, end: _socket.socket) -> None:
        """Take over one end of a socket pair."""
        self.socket = end

    def send(self, message: Message) -> None:
        """Send one message.

        Raises:
            OSError: the other side is gone.
        """
        body = json.dumps({_KIND: type(message).__name__, **asdict(message)}, separators=(",", ":")).encode()
        self.socket.sendall(_LENGTH.pack(len(body)) + body)

    def receive(self, timeout_s: float | None = None) -> Message:
        """Return the next message.

        Raises:
            EOFError: the other side is gone.
            TimeoutError: nothing came within `timeout_s` seconds.
            ValueError: what came is no message.
        """
        self.socket.settimeout(timeout_s)
        (length,) = _LENGTH.unpack(exactly(self.socket, _LENGTH.size))
        if length > MOST_BYTES:
            raise ValueError(f"a message of {length} bytes, expected {MOST_BYTES} at most")
        return _message(exactly(self.socket, length))

    def close(self) -> None:
        """End the line; safe to call again."""
        self.socket.close()


def _message(body: bytes) -> Message:
    """Return the message that a body holds.

    Raises:
        ValueError: it holds none.
    """
    fields = json.loads(body)
    try:
        kind = _KINDS[fields.pop(_KIND)]
        if kind is Open and fields["grid"] is not None:
            fields["grid"] = GridOrder(**fields["grid"])
        return kind(**fields)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"no message: {body[:80]!r}") from error


def exactly(end: _socket.socket, size: int) -> bytes:
    """Return as many bytes as asked for, read from a line.

    Args:
        end: of the line.
        size: how many bytes.

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
