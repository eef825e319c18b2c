"""Tasks that tests run inside measuring processes: good ones, and every way to go wrong."""

import os
import time


def remember(payload):
    """A setup that keeps its payload."""
    return payload


def refuse(payload):
    """A setup that raises."""
    raise ValueError(f"no such thing as {payload}")


def add(state, payload, _line):
    """A task that answers."""
    return state + payload


def spoil(state, payload, _line):
    """A task that changes the state of its own fork."""
    state.append(payload)
    return list(state)


def talk(state, _payload, line):
    """A task that talks half-way."""
    line.send(state)
    return line.receive(10.0)


def raise_error(_state, _payload, _line):
    """A task that raises."""
    raise ValueError("a layer is missing\nand more lines")


def abort(_state, _payload, _line):
    """A task that crashes as native code does."""
    os.write(2, b"terminate called: bad kernel\n")
    os.abort()


def leave(_state, _payload, _line):
    """A task that ends the process."""
    os._exit(7)


def hang(_state, _payload, _line):
    """A task that never answers."""
    time.sleep(600)


def cores(_state, _payload, _line):
    """The processors that this fork may use."""
    return sorted(os.sched_getaffinity(0))


def environment(_state, name, _line):
    """A variable of this process."""
    return os.environ.get(name)


def pid(_state, _payload, _line):
    """This fork's process id."""
    return os.getpid()
