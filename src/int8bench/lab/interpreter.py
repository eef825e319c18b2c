"""A fresh interpreter at the end of a line: started, listened to, and ended with everything that it forked.

Its session is its own, so that one signal ends the whole group; its standard error is a file without a name; what its
programs leave in the temporary folder goes with it.
"""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from int8bench import files
from int8bench.errors import LabError
from int8bench.files import Scratch

LAST_WORDS = 300  # characters of a dead process's standard error that are worth telling
READ_BACK = 10_000  # bytes in which its last line is looked for
SCRATCH = "int8bench-launch-"


@dataclass(frozen=True, slots=True, eq=False)
class Interpreter:
    """A process that serves forks, and our end of the line to it."""

    line: socket.socket
    _process: "subprocess.Popen[bytes]"
    _errors: IO[bytes]
    _scratch: Scratch

    def written(self) -> int:
        """Return the bytes that the process and its forks have written to standard error so far."""
        return os.fstat(self._errors.fileno()).st_size

    def last_words(self, since: int = 0) -> str:
        """Return the last line that was written to standard error, ready to follow a sentence; empty where none is.

        Args:
            since: the bytes that were there before what is asked about began.
        """
        end = self.written()
        start = max(since, end - READ_BACK)  # read in place: where the process writes next is not moved
        lines = os.pread(self._errors.fileno(), end - start, start).decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:LAST_WORDS]}" if lines else ""

    def close(self) -> None:
        """End the process and its whole group, and wait for it."""
        self.line.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()
        self._scratch.remove()


def started(
    command: Sequence[str], *, environment: Mapping[str, str], folder: str | None = None, name: str = ""
) -> Interpreter:
    """Return an interpreter that runs a program, given the number of its end of the line and that of this process.

    Args:
        command: the interpreter and its arguments; both numbers follow them.
        environment: its variables; TMPDIR is set to a folder that goes with it.
        folder: it works in; this process's own where None.
        name: what a message begins with.

    Raises:
        LabError: the system does not start it; nothing is left of the attempt.
    """
    with ExitStack() as undone:  # by whatever comes before it is whole
        ours, theirs = socket.socketpair()
        undone.callback(ours.close)
        errors = undone.enter_context(tempfile.TemporaryFile())
        scratch = files.scratch_folder(Path(tempfile.gettempdir()), SCRATCH)
        undone.callback(scratch.remove)
        with theirs:
            try:
                process = subprocess.Popen(
                    [*command, str(theirs.fileno()), str(os.getpid())],
                    env={**environment, "TMPDIR": str(scratch.path)},
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError as error:
                beginning = f"{name}: " if name else ""
                raise LabError(f"{beginning}{command[0]} does not start: {error.strerror or error}") from error
        undone.pop_all()
    return Interpreter(ours, process, errors, scratch)
