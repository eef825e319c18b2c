"""A process that ends with the one that started it."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)


def die_with(parent: int) -> None:
    """Ask the kernel to end this process with its parent; Linux only, elsewhere the end of the line does it."""
    _tell_of_the_end(parent, signal.SIGKILL)


def end_group_with(parent: int) -> None:
    """Ask the kernel to end this process's group with the parent, with all that benchmarks have started in it.

    This process leads the group.

    The signal is one that no suite handles for itself.
    """
    if sys.platform == "linux":
        signal.signal(signal.SIGRTMAX, lambda *_: end_group())
        _tell_of_the_end(parent, signal.SIGRTMAX)


def end_group() -> None:
    """End this process and its group, where it leads one."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


def _tell_of_the_end(parent: int, number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
