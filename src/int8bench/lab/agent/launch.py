"""A launch of a side from inside: opens a suite, says what is in it, and forks a process a benchmark that is entered.

It has no thread and starts none, so that its forks are whole; it ends with the coordinator, and its forks with it.
"""

import _socket  # the type under `socket.socket`, which suites put guards in the place of
import gc
import os
import sys
import warnings
from array import array
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from . import mortal, origins, turns
from .luck import Luck
from .suites.suite import BrokenSuiteError, Opened, SkippedError, Suite, first_line
from .wire import Broken, Ended, Enter, Failed, Forked, Line, Message, Open, OpenedSuite, Origins, Reap, Reaped, Skipped

_NUMBERS = "i"  # the type of descriptors in an array
MOST_WORDS = 300  # characters of a fault that are worth telling


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An open suite, its description, and the seed of its benchmarks."""

    suite: Suite
    contents: OpenedSuite
    luck: Luck


def serve(descriptor: int, coordinator: int) -> None:
    """Open the suite that is asked for, and serve forks until the coordinator goes.

    Args:
        descriptor: of the line to the coordinator.
        coordinator: its process, with which this one and its forks end.
    """
    mortal.end_group_with(coordinator)
    line = Line(_socket.socket(fileno=descriptor))
    try:
        order = line.receive()
    except EOFError:
        return
    opening = _opening(order) if isinstance(order, Open) else Failed(error=f"asked for {order!r:.80} before a suite")
    if isinstance(opening, Opening):
        line.send(opening.contents)
        gc.collect()
        gc.freeze()  # forks share these pages; a collection in a fork would copy them
        _serve(line, opening)
    else:
        line.send(opening)
    mortal.end_group()


def _opening(order: Open) -> Opening | Broken | Failed:
    origins.begin_with(order.path, order.packages)
    luck = Luck(order.seed)
    luck.hold()
    try:
        suite = _suite(order, luck)
        names, left_out = dict(suite.names()), dict(suite.left_out())
    except BrokenSuiteError as reason:
        return Broken(reason=str(reason)[:MOST_WORDS])
    except Exception as error:  # noqa: BLE001  whatever else is in the way is that side's sentence
        return Failed(error=_words(error))
    loaded = origins.of_packages(order.packages)
    return Opening(suite=suite, contents=OpenedSuite(names=names, left_out=left_out, origins=loaded), luck=luck)


def _suite(order: Open, luck: Luck) -> Suite:
    """Return the suite asked for; its module needs packages that only a side with such benchmarks has."""
    match order.suite:
        case "asv":
            from .suites import asv_suite

            return asv_suite.open_suite(order, luck.draw)
        case "pytest":
            from .suites import pytest_suite

            return pytest_suite.open_suite(order, luck.draw)
        case _:
            from .suites import grid_suite

            return grid_suite.open_suite(order, luck.draw)


def _serve(line: Line, opening: Opening) -> None:
    while True:
        try:
            asked = line.receive()
        except EOFError:
            return
        match asked:
            case Enter():
                line.send(Forked(pid=_fork(line, opening, asked)))
            case Reap():
                _, status = os.waitpid(asked.pid, 0)
                line.send(Reaped(code=os.waitstatus_to_exitcode(status)))
            case _:
                raise ValueError(f"asked for {asked!r:.80}, which is nothing that a launch does")


def _fork(line: Line, opening: Opening, asked: Enter) -> int:
    """Fork a process for one benchmark; the line to it came along with the request, as a descriptor."""
    theirs = Line(_socket.socket(fileno=_descriptor(line.socket)))
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads: the suite's, which may make errors of warnings
        pid = os.fork()
    if pid == 0:
        line.close()
        _live(theirs, opening, asked, parent)
    theirs.close()
    return pid


def _descriptor(end: _socket.socket) -> int:
    """Return the descriptor that comes along with a byte; as `socket.recv_fds` gives it, which a suite may block."""
    numbers = array(_NUMBERS)
    _, ((_, _, body),), _, _ = end.recvmsg(1, _socket.CMSG_LEN(numbers.itemsize))
    numbers.frombytes(body)
    return numbers[0]


def _live(line: Line, opening: Opening, asked: Enter, parent: int) -> NoReturn:
    """Live a fork's whole life: enter the benchmark, tell its end, and end."""
    try:
        mortal.die_with(parent)
        if asked.cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, asked.cores)
        shift = bytearray(asked.shift)  # moves the heap, so that no layout is the answer
        before = frozenset(sys.modules)
        opening.luck.draw()  # Python seeds its generator anew in every fork
        measured: list[Opened] = []

        def within(entered: Opened) -> None:
            measured.append(entered)
            turns.take_turns(line, entered, _origins(measured, asked.packages))

        opening.suite.enter(asked.name, within)
        del shift
        _tell(line, _ended(measured, asked.packages, before))
    except SkippedError as reason:
        _tell(line, Skipped(reason=str(reason)))
    except BaseException as error:  # noqa: BLE001  pytest's outcomes and SystemExit included
        _tell(line, Failed(error=_words(error)))
    finally:
        os._exit(0)


def _ended(measured: Sequence[Opened], packages: Sequence[str], before: frozenset[str]) -> Ended:
    """Return the places of modules at the end, the calls' own imports among them.

    Where none are the side's own, the others that were imported are in it too.
    """
    own = _origins(measured, packages)
    return Ended(origins=own, others={} if any(own.values()) else origins.of_others(before, Path.cwd()))


def _origins(measured: Sequence[Opened], packages: Sequence[str]) -> Origins:
    """Return the places of modules in the measured process so far: in this one, or in those that it starts."""
    seen = next((opened.seen for opened in measured if opened.seen), None)
    return seen() if seen else origins.of_packages(packages)


def _tell(line: Line, message: Message) -> None:
    with suppress(OSError):  # nobody is there any more, and this process is at its end
        line.send(message)


def _words(error: BaseException) -> str:
    return first_line(error)[:MOST_WORDS]
