"""The program of a launch: pays the imports once, then forks a clean process for every task it is asked for.

Started as ``python -m int8bench.lab.server FD PARENT``. It has no thread and starts none, so that its forks are whole.
"""

import gc
import os
import socket
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from int8bench import units
from int8bench.errors import Int8BenchError, LabError
from int8bench.lab.agent.mortal import die_with
from int8bench.lab.channel import Channel, Done, Failure, Setup, Task


def main() -> None:
    """Serve forks until the coordinator closes the line or dies."""
    die_with(int(sys.argv[2]))
    control = Channel(socket.socket(fileno=int(sys.argv[1])))
    try:
        setup = control.hear(Setup)
    except EOFError:
        return
    outcome = _outcome(lambda: _set_up(setup, lambda state: _ready(control, state)))
    control.send(outcome)  # only a setup that failed comes back


def _set_up(setup: Setup, serve: Callable[[object], NoReturn]) -> NoReturn:
    if not setup.serves:
        serve(setup.function(setup.payload))
    setup.function(setup.payload, serve)
    raise LabError(f"{setup.function.__module__}:{setup.function.__qualname__} ended without having served")


def _ready(control: Channel, state: object) -> NoReturn:
    """Say that the launch is ready, and serve it to its end, wherever in the setup it is."""
    control.send(Done(value=os.getpid()))
    gc.collect()
    gc.freeze()  # forks share these pages; a collection in a fork would copy them
    try:
        _serve(control, state)
    except BaseException:  # noqa: BLE001  nothing may unwind a setup that has served
        traceback.print_exc()
    os._exit(0)


def _serve(control: Channel, state: object) -> None:
    while True:
        try:
            request = control.receive()
        except EOFError:
            return
        match request:
            case Task():
                control.send(_fork(control, state, request))
            case int():
                control.send(_status_of(request))
            case _:
                raise LabError(f"asked for {request!r:.80}, expected a task, or the number of a fork")


def _fork(control: Channel, state: object, task: Task) -> int:
    """Fork a process for the task, and return its pid.

    The line to it came along with the request, as a descriptor.
    """
    _, descriptors, _, _ = socket.recv_fds(control.socket, 1, 1)
    line = Channel(socket.socket(fileno=descriptors[0]))
    launch = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            control.close()
            _run(line, state, task, launch)
        finally:
            os._exit(1)  # whatever escapes: a fork never goes on as a second launch
    line.close()
    return pid


def _run(line: Channel, state: object, task: Task, launch: int) -> None:
    """Live a fork's whole life: do the task, send its outcome, and end."""
    die_with(launch)
    if task.cores is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, task.cores)
    outcome = _outcome(lambda: task.run(state, line))
    try:
        line.send(outcome)
    finally:
        os._exit(0)


def _outcome(step: Callable[[], object]) -> Done | Failure:
    try:
        return Done(value=step())
    except BaseException as error:  # noqa: BLE001  every fault becomes a failed row with its reason, never a result
        return Failure(sentence=_sentence(error))


def _sentence(error: BaseException) -> str:
    """Return the message of an error of ours, and the reason of any other."""
    return str(error) if isinstance(error, Int8BenchError) else units.reason(error)


def _status_of(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    main()
