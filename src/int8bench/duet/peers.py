"""A side's processes as the coordinator sees them: launches that have opened a suite, and forks that take turns.

Each is an interpreter of its own, with its side's package first on the path, that runs `int8bench.peer` by its place.
"""

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from int8bench import scratch
from int8bench.errors import LabError
from int8bench.lab.environment import ProcessSettings
from int8bench.peer.wire import Line
from int8bench.scratch import Scratch

OPEN_TIMEOUT_S = 900.0  # imports of a suite, and the training of a model
ENTER_TIMEOUT_S = 600.0  # the set-up of a benchmark, and of a cache that several share
FINISH_TIMEOUT_S = 10.0  # its end
REAP_TIMEOUT_S = 60.0
LAST_WORDS = 300  # characters of a dead process's standard error that are worth telling
READ_BACK = 10_000  # bytes in which its last line is looked for
SCRATCH = "int8bench-launch-"
PROGRAM = Path(__file__).parents[1] / "peer" / "__main__.py"


class SkippedError(Exception):
    """A benchmark says of itself that it cannot run on a side; the message is its reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a launch of a side is started with: interpreter, folders first on the path, working folder."""

    label: str
    python: str
    path: tuple[str, ...]
    folder: str
    packages: tuple[str, ...]
    """The packages that must come from `path`, where anything of them is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The suite that is to be opened."""

    suite: str
    options: Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Turns:
    """A benchmark that is open in a forked process of one side, and asleep until it is asked for something."""

    pid: int
    values: Mapping[str, float] | None
    _line: Line
    _launch: "PeerLaunch"
    _ended: bool = False

    def ask(self, message: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
        """Its answer.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        self.say(message)
        return self.hear(timeout_s)

    def say(self, message: Mapping[str, Any]) -> None:
        """Asks it for something without waiting for the answer.

        Raises:
            LabError: it is gone.
        """
        try:
            self._line.send(message)
        except OSError:
            raise LabError(f"{self._launch.label}: the measuring process is gone{self._launch.last_words()}") from None

    def hear(self, timeout_s: float) -> dict[str, Any]:
        """Its next answer.

        Raises:
            LabError: it raised, died, or said nothing for `timeout_s` seconds.
        """
        return _heard(self._line, self._launch, timeout_s)

    def finish(self, timeout_s: float) -> None:
        """Lets the benchmark go on to its end: it is torn down, and what it asserts of its result is heard.

        Raises:
            LabError: it raised, or had measured what is not the side's own.
            SkippedError: it says that it cannot be measured.
        """
        self.say({"stop": True})
        try:
            told = self._line.receive(timeout_s)
        except (EOFError, TimeoutError, ValueError):
            return  # it has ended; or does not, and is ended
        self._launch.check_origins(_checked(told, self._launch))

    def end(self) -> None:
        """Ends the process and waits for it; safe to call again."""
        if not self._ended:
            self._ended = True
            self._launch.reap(self.pid, self._line)


@dataclass(slots=True, eq=False)
class PeerLaunch:
    """One fresh interpreter of a side, which has opened the suite; its address layout is shared by its forks."""

    label: str
    names: Mapping[str, str]
    left_out: Mapping[str, str]
    _process: "subprocess.Popen[bytes]"
    _line: Line
    _errors: IO[bytes]
    _place: Place
    _scratch: Scratch
    _said: int = 0
    """How much of standard error was there before the benchmark that is open."""
    _open: set[Line] = field(default_factory=set)
    """The lines to its forks."""

    def order(self, order: Order, measured: Sequence[str] = ()) -> None:
        """Has it open a suite; what became of that is said when it is asked whether it is open."""
        place = self._place
        with suppress(OSError):
            self._line.send(
                {
                    "suite": order.suite,
                    "folder": place.folder,
                    "options": dict(order.options),
                    "packages": list(place.packages),
                    "path": list(place.path),
                    "measured": list(measured),
                }
            )

    def opened(self, timeout_s: float) -> None:
        """Waits until the suite is open, and sees that what is measured is the side's own.

        Raises:
            LabError: it did not start, the suite does not open, or a package came from somewhere else.
        """
        try:
            told = self._line.receive(timeout_s)
        except (EOFError, TimeoutError, ValueError) as error:
            raise LabError(f"{self.label}: the suite did not open{self.last_words()}") from error
        if "error" in told:
            raise LabError(f"{self.label}: the suite does not open: {told['error']}")
        self.names, self.left_out = told["names"], told["left_out"]
        self.check_origins(told)

    def check_origins(self, told: Mapping[str, Any]) -> None:
        """Sees that every package which is the side's own came from its folders.

        Raises:
            LabError: one came from somewhere else.
        """
        _check_origins(self._place, told["origins"])

    def enter(self, name: str, *, cores: Sequence[int], shift: int, timeout_s: float) -> Turns:
        """Opens a benchmark in a forked process.

        Args:
            name: of the benchmark.
            cores: that the process is held to; all where empty.
            shift: bytes that its heap is moved by.
            timeout_s: for its setup.

        Raises:
            SkippedError: the benchmark says that it cannot run there.
            LabError: it raised, died, or took too long, or measures what is not the side's own.
        """
        ours, theirs = socket.socketpair()
        line = Line(ours)
        self._open.add(line)
        self._said = os.fstat(self._errors.fileno()).st_size
        try:
            self._line.send({"enter": name, "cores": list(cores), "shift": shift, "packages": self._place.packages})
            socket.send_fds(self._line.socket, [b"f"], [theirs.fileno()])
            pid = int(self._line.receive(timeout_s)["pid"])
        except (EOFError, OSError, ValueError) as error:
            raise LabError(f"{self.label}: a launch is gone{self.last_words()}") from error
        finally:
            theirs.close()
        try:
            told = _heard(line, self, timeout_s)
            self.check_origins(told)
        except BaseException:
            self.reap(pid, line)
            raise
        return Turns(pid, told["values"], line, self)

    def reap(self, pid: int, line: Line) -> None:
        """Ends a fork and waits for it."""
        line.close()
        self._open.discard(line)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # not reaped yet, so the number is still this process's
        with suppress(OSError, EOFError, TimeoutError):
            self._line.send({"reap": pid})
            self._line.receive(REAP_TIMEOUT_S)

    def last_words(self) -> str:
        """The last line that was written since the benchmark was opened, ready to follow a sentence."""
        end = os.fstat(self._errors.fileno()).st_size
        start = max(self._said, end - READ_BACK)  # read in place: where the launch writes next is not moved
        lines = os.pread(self._errors.fileno(), end - start, start).decode(errors="replace").strip().splitlines()
        return f": {lines[-1][:LAST_WORDS]}" if lines else ""

    def close(self) -> None:
        """Ends the interpreter and all its forks."""
        for line in (self._line, *self._open):
            line.close()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._errors.close()
        self._scratch.remove()


@contextmanager
def launched(places: Sequence[Place], order: Order, *, timeout_s: float = OPEN_TIMEOUT_S) -> Iterator[list[PeerLaunch]]:
    """A launch of each side, opening at the same time; all of them end with the block.

    Raises:
        LabError: one of them did not start, or its suite does not open.
    """
    with ExitStack() as ending:  # what has started ends, whatever stops the next one or the end of another
        launches = [ending.enter_context(closing(_started(place))) for place in places]
        measured = sorted({name for place in places for name in place.packages})
        for launch in launches:
            launch.order(order, measured)
        for launch in launches:
            launch.opened(timeout_s)
        yield launches


def _started(place: Place) -> PeerLaunch:
    with ExitStack() as undone:  # by whatever comes before the launch is whole
        ours, theirs = socket.socketpair()
        undone.callback(ours.close)
        errors = undone.enter_context(tempfile.TemporaryFile())
        folder = scratch.made(Path(tempfile.gettempdir()), SCRATCH)
        undone.callback(folder.remove)
        with theirs:
            process = _process(place, theirs.fileno(), errors, folder.path)
        launch = PeerLaunch(place.label, {}, {}, process, Line(ours), errors, place, folder)
        undone.pop_all()
    return launch


def _process(place: Place, line: int, errors: IO[bytes], temporary: Path) -> "subprocess.Popen[bytes]":
    environment = {
        **ProcessSettings().applied_to(os.environ),
        "PYTHONPATH": os.pathsep.join((*place.path, *_asked_for())),
        "PYTHONDONTWRITEBYTECODE": "1",  # the suite lies in a tree that is kept
        "TMPDIR": str(temporary),  # what suites leave there goes with the launch, which is killed
    }
    try:
        return subprocess.Popen(
            [place.python, "-P", "-W", "ignore", str(PROGRAM), str(line), str(os.getpid())],
            env=environment,
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=(line,),
            start_new_session=True,
        )
    except OSError as error:
        raise LabError(f"{place.label}: {place.python} does not start: {error.strerror or error}") from error


def _asked_for() -> list[str]:
    """The folders that the person puts first on the path, behind the side's own."""
    return [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]


def _heard(line: Line, launch: PeerLaunch, timeout_s: float) -> dict[str, Any]:
    try:
        told = line.receive(timeout_s)
    except TimeoutError:
        raise LabError(f"{launch.label}: gave no answer in {timeout_s:.0f} s and was stopped") from None
    except (EOFError, ValueError):
        raise LabError(f"{launch.label}: the measuring process died{launch.last_words()}") from None
    return _checked(told, launch)


def _checked(told: dict[str, Any], launch: PeerLaunch) -> dict[str, Any]:
    if "skipped" in told:
        raise SkippedError(f"{launch.label}: {told['skipped']}")
    if "error" in told:
        raise LabError(f"{launch.label}: {told['error']}")
    return told


def _check_origins(place: Place, origins: Mapping[str, Sequence[str]]) -> None:
    """Refuses to measure a package that came from elsewhere than the side's own folders."""
    for package, folders in origins.items():
        for folder in folders:
            if not any(Path(folder).is_relative_to(Path(own).resolve()) for own in place.path):
                raise LabError(
                    f"{place.label}: {package} was imported from {folder}, not from this side's own files; "
                    "is it put first on the path by the suite, or by a PYTHONPATH?"
                )
