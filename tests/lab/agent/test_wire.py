"""Messages between processes: what is sent arrives whole, and an end, a silence or nonsense is told apart."""

import math
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from int8bench.lab.agent import wire
from int8bench.lab.agent.wire import (
    Began,
    FirstCall,
    GridOrder,
    Line,
    Message,
    Open,
    OpenedSuite,
    Reap,
    Stop,
    TurnSample,
)

Ends = tuple[Line, Line]
ORDER: Mapping[str, Any] = {"suite": "s", "folder": "f", "packages": ["p"], "path": [], "measured": [], "seed": 7}


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Both ends of a line."""
    ours, theirs = (Line(end) for end in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize(
    "message",
    [
        Stop(),
        TurnSample(calls=3, untimed=0),
        OpenedSuite(names={'a "b" \n µ': "time"}, left_out={}, origins={"toy": ["/a", "/b"], "none": []}),
        Open(
            **ORDER, grid=GridOrder(contenders=["x"], batches=[1], threads=[2], model="m", input_shape=None, data="d")
        ),
        Open(**ORDER),
        FirstCall(first_s=1e-300),
    ],
    ids=["empty", "numbers", "text", "nested", "nothing nested", "small"],
)
def test_what_is_sent_arrives(ends: Ends, message: Message) -> None:
    """In both directions, the same to the last digit."""
    for sender, receiver in (ends, ends[::-1]):
        sender.send(message)
        assert receiver.receive(5) == message


def test_messages_keep_their_order_and_their_ends(ends: Ends) -> None:
    """Several that lie in the line together are told apart."""
    sent = [Reap(pid=i) for i in range(5)]
    for message in sent:
        ends[0].send(message)
    assert [ends[1].receive(5) for _ in sent] == sent


def test_what_is_no_finite_number_arrives(ends: Ends) -> None:
    """A tracked number may be anything; judging it is not the line's."""
    ends[0].send(Began(values={"nan": math.nan, "inf": math.inf}, origins={}))
    began = ends[1].receive(5)
    assert isinstance(began, Began)
    assert began.values is not None
    assert math.isnan(began.values["nan"])
    assert began.values["inf"] == math.inf


def test_the_end_of_the_line_is_an_end(ends: Ends) -> None:
    """Also in the middle of a message; sending is an OSError."""
    ends[0].socket.sendall(struct.pack("<I", 100) + b'{"cut')
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive(5)
    with pytest.raises(EOFError):
        ends[1].receive(5)
    with pytest.raises(OSError, match="pipe"):
        ends[1].send(Stop())


def test_silence_is_a_timeout(ends: Ends) -> None:
    """The line can be used again."""
    with pytest.raises(TimeoutError):
        ends[1].receive(0.01)
    ends[0].send(Stop())
    assert ends[1].receive(5) == Stop()


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        (struct.pack("<I", wire.MOST_BYTES + 1), f"a message of {wire.MOST_BYTES + 1} bytes, expected"),
        (struct.pack("<I", 5) + b"print", "Expecting value"),
        (struct.pack("<I", 3) + b"{\xff}", "codec"),
        (struct.pack("<I", 2) + b"{}", "no message: b'{}'"),
        (struct.pack("<I", 14) + b'{"kind":"Odd"}', "no message"),
        (struct.pack("<I", 15) + b'{"kind":"Reap"}', "no message"),
        (struct.pack("<I", 4) + b"null", "no message"),
    ],
    ids=["oversize", "text", "bytes", "no kind", "of no kind", "without a field", "no object"],
)
def test_what_is_no_message_is_refused(ends: Ends, sent: bytes, sentence: str) -> None:
    """Without taking memory for what its length claims."""
    ends[0].socket.sendall(sent)
    with pytest.raises(ValueError, match=sentence):
        ends[1].receive(5)


def test_closing_again_is_safe(ends: Ends) -> None:
    """What ends a process may come after its line has ended."""
    ends[0].close()
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive(5)
