"""A side's processes with a real suite: what is heard of benchmarks that go wrong, and that nothing outlives it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.errors import LabError
from int8bench.lab import interpreter, peers
from int8bench.lab.agent.wire import First, FirstCall, Sustain, TurnSample
from int8bench.lab.peers import (
    PeerLaunch,
    PeerOrder,
    Place,
    SharedLuck,
    SideSkippedError,
    StrayedError,
    Turns,
    launched,
)

GONE_S = 20.0  # by then a killed process is gone; it takes milliseconds
SUITE = """
import os, random, signal, subprocess, sys, tempfile, time
import toy

DRAWN = random.random()

def time_it(): toy.work()
def track_it(): return toy.WHICH
def track_drawn():
    import random
    assert os.environ["TOY"] == "x"
    return DRAWN + random.random() + hash("toy") % 1000
def track_folder(): return float(tempfile.gettempdir() == os.environ["TMPDIR"])
def time_raises(): raise ValueError("it broke\\nand more")
def time_dies(): os._exit(3)
def time_shouts_and_dies(): os.write(2, b"first\\nlast words\\n"); os.kill(os.getpid(), signal.SIGSEGV)
def time_hangs(): time.sleep(600)
def time_exits(): sys.exit("leaving")
def time_prints(): print("to standard output", flush=True); os.write(1, b"and past it\\n")
def time_spawns(): subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def timeraw_it(): return "import toy, os; os.write(1, b'9.0')"
def timeraw_nothing(): return "pass"
def timeraw_elsewhere(): return "import sys, os; sys.path.insert(0, os.environ['ELSEWHERE']); import late"
def timeraw_hangs(): return "import os, time; open(os.environ['BEGUN'], 'w').write(str(os.getpid())); time.sleep(600)"
def time_lazily():
    sys.path.insert(0, os.environ["ELSEWHERE"])
    import late

class Skips:
    def setup(self): raise NotImplementedError("needs AVX-512")
    def time_it(self): pass

class SetupRaises:
    def setup(self): raise OSError("no disk")
    def time_it(self): pass

class TeardownDies:
    def teardown(self): os._exit(3)
    def time_it(self): pass

class TeardownRaises:
    def teardown(self): raise OSError("cannot tidy up")
    def time_it(self): pass
"""
TOY = "WHICH = {which}\ndef work(): return sum(range(1000))\n"
Make = Callable[..., Place]


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes a side with a package `toy` of its own, and `late`, for a suite that lies somewhere else."""
    folder = tmp_path_factory.mktemp("peers")
    _write(folder, {"suite/asv.conf.json": "{}", "suite/benchmarks/__init__.py": "", "suite/benchmarks/b.py": SUITE})
    _write(folder, {"elsewhere/late.py": "", "outside/toy/__init__.py": TOY.format(which=0)})

    def made(label: str = "base", which: int = 1, *, path: str | None = None, packages: tuple[str, ...] = ()) -> Place:
        _write(folder, {f"{label}/toy/__init__.py": TOY.format(which=which)})
        return Place(
            label=label,
            python=sys.executable,
            path=(str(folder / (path or label)),),
            folder=str(folder / "suite"),
            packages=packages or ("toy", "late"),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELSEWHERE", str(folder / "elsewhere"))
        yield made


ORDER = PeerOrder(suite="asv")


@pytest.fixture(scope="module")
def launch(place: Make) -> Iterator[PeerLaunch]:
    """One launch, which has to survive all that its benchmarks do."""
    with launched([place()], ORDER, timeout_s=60) as (only,):
        yield only


@contextmanager
def _entered(launch: PeerLaunch, name: str) -> Iterator[Turns]:
    turns = launch.enter(name, cores=(), shift=1000, timeout_s=60)
    try:
        yield turns
    finally:
        turns.end()


def _running(pid: int) -> bool:
    """Whether a process is there, and no zombie that waits for its parent."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _group(leader: int) -> set[int]:
    """The processes of a group that run."""
    found = set()
    for each in Path("/proc").iterdir():
        if each.name.isdigit() and _running(int(each.name)):
            try:
                if os.getpgid(int(each.name)) == leader:
                    found.add(int(each.name))
            except ProcessLookupError:
                continue
    return found


def _eventually(condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + GONE_S
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_each_side_measures_its_own_package(place: Make) -> None:
    """The same suite, and the number that each side's package has; both launches serve at the same time."""
    with launched([place("base", 1), place("head", 2)], ORDER, timeout_s=60) as launches:
        assert launches[0].names == launches[1].names
        assert {"b.time_it": "time", "b.track_it": "track"}.items() <= launches[0].names.items()
        for each, expected in zip(launches, (1.0, 2.0), strict=True):
            with _entered(each, "b.track_it") as turns:
                assert turns.values == {"value": expected}


def test_a_benchmark_takes_its_turns(launch: PeerLaunch) -> None:
    """Warm-up, samples, a load; then it goes on to its end without a complaint."""
    with _entered(launch, "b.time_it") as turns:
        assert turns.ask(First(cores=[]), 60).first_s > 0
        assert turns.ask(TurnSample(calls=5, untimed=2), 60).mean_s > 0
        assert turns.ask(Sustain(until_s=0.0), 60).calls == 1
        turns.finish(60)
        assert _eventually(lambda: not _running(turns.pid))
        turns.end()
        turns.end()


def test_what_suites_leave_behind_lies_in_the_launchs_own_folder(launch: PeerLaunch) -> None:
    """And goes with it, as the launch does not end by itself."""
    with _entered(launch, "b.track_folder") as turns:
        assert turns.values == {"value": 1.0}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("b.time_raises", "base: ValueError: it broke"),
        ("b.time_exits", "base: SystemExit: leaving"),
        ("b.time_shouts_and_dies", "base: the measuring process died: last words"),
        ("b.time_dies", "base: the measuring process died"),
    ],
)
def test_a_call_that_goes_wrong_is_one_line(launch: PeerLaunch, name: str, sentence: str) -> None:
    """Of the side that it went wrong on; what was said before by others is not its reason."""
    with _entered(launch, name) as turns:
        with pytest.raises(LabError) as told:
            turns.ask(First(cores=[]), 60)
        assert str(told.value) == sentence
        with pytest.raises(LabError, match=r"is gone|died"):
            turns.ask(First(cores=[]), 60)


def test_a_call_that_hangs_is_stopped(launch: PeerLaunch) -> None:
    """After the time that it may be silent; its process is ended."""
    with _entered(launch, "b.time_hangs") as turns:
        with pytest.raises(LabError, match=r"^base: gave no answer in 0 s and was stopped$"):
            turns.ask(First(cores=[]), 0.2)
        turns.end()
        assert not _running(turns.pid)


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("b.Skips.time_it", SideSkippedError, "base: needs AVX-512"),
        ("b.SetupRaises.time_it", LabError, "base: OSError: no disk"),
    ],
)
def test_a_setup_that_refuses_is_told(launch: PeerLaunch, name: str, kind: type[Exception], sentence: str) -> None:
    """Skipped by itself, or broken; nothing of it is left."""
    with pytest.raises(kind) as told:
        launch.enter(name, cores=(), shift=1, timeout_s=60)
    assert str(told.value) == sentence


def test_a_teardown_that_raises_is_heard(launch: PeerLaunch) -> None:
    """A benchmark that does not end well has not measured what it says."""
    with _entered(launch, "b.TeardownRaises.time_it") as turns:
        turns.ask(First(cores=[]), 60)
        with pytest.raises(LabError, match="base: OSError: cannot tidy up"):
            turns.finish(60)


def test_a_teardown_that_ends_its_process_is_heard(launch: PeerLaunch) -> None:
    """As by a fault in compiled code that is let go of there."""
    with _entered(launch, "b.TeardownDies.time_it") as turns:
        turns.ask(First(cores=[]), 60)
        with pytest.raises(LabError, match="base: the measuring process died in its end"):
            turns.finish(60)


def test_what_is_printed_disturbs_nothing(launch: PeerLaunch) -> None:
    """Neither on standard output nor past Python."""
    with _entered(launch, "b.time_prints") as turns:
        assert turns.ask(TurnSample(calls=2, untimed=0), 60).mean_s > 0
        turns.finish(60)


def test_what_a_call_imports_late_is_proven_too(launch: PeerLaunch) -> None:
    """A module that the side should have, and that came from elsewhere, is found in the end."""
    with _entered(launch, "b.time_lazily") as turns:
        turns.ask(First(cores=[]), 60)
        with pytest.raises(StrayedError, match=r"base: late was imported from .*elsewhere, not from this side's"):
            turns.finish(60)


def test_a_benchmark_of_fresh_processes_takes_its_turns(launch: PeerLaunch) -> None:
    """Each of which is the side's own."""
    with _entered(launch, "b.timeraw_it") as turns:
        assert turns.ask(First(cores=[]), 60).first_s > 0
        assert 0 < turns.ask(TurnSample(calls=1, untimed=0), 60).mean_s < 5
        turns.finish(60)


def test_of_fresh_processes_it_is_their_modules_that_are_told(
    launch: PeerLaunch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of the suite that starts them, which has imported the package."""
    told: list[Mapping[str, object]] = []
    monkeypatch.setattr(PeerLaunch, "check_origins", lambda _, origins: told.append(origins))
    for name in ("b.timeraw_nothing", "b.timeraw_it"):
        with _entered(launch, name) as turns:
            turns.ask(First(cores=[]), 60)
            turns.finish(60)
    toy = [str(Path(launch._place.path[0], "toy"))]
    assert told == [{}, {"toy": [], "late": []}, {}, {"toy": toy, "late": []}]


def test_what_a_fresh_process_imports_from_elsewhere_is_refused(launch: PeerLaunch) -> None:
    """Where this side's process has nothing of it."""
    with _entered(launch, "b.timeraw_elsewhere") as turns:
        turns.ask(First(cores=[]), 60)
        with pytest.raises(StrayedError, match=r"base: late was imported from .*elsewhere, not from this side"):
            turns.finish(60)


def test_a_fresh_process_that_hangs_is_stopped(place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the time that an answer may take, with the process that waits for it."""
    begun = tmp_path / "begun"
    monkeypatch.setenv("BEGUN", str(begun))
    with launched([place()], ORDER, timeout_s=60) as (only,), _entered(only, "b.timeraw_hangs") as turns:
        with pytest.raises(LabError, match=r"gave no answer in 5 s and was stopped"):
            turns.ask(First(cores=[]), 5)
        turns.end()
        assert _eventually(lambda: begun.exists() and not _running(int(begun.read_text())))


def test_a_package_from_elsewhere_is_refused(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is measured: the suite would measure what is not the side's."""
    stray = place(path="nothing-here")
    monkeypatch.setenv("PYTHONPATH", str(Path(stray.folder).parent / "outside"))
    refused = pytest.raises(
        LabError, match=r"^base: toy was imported from .*outside/toy, not from this side's own files; "
    )
    with refused, launched([stray], ORDER, timeout_s=60):
        pytest.fail("it serves")


def test_a_package_called_as_this_tool_is_the_sides_own(tmp_path: Path) -> None:
    """The peer goes by another name, so that int8bench itself can be measured."""
    suite = "import int8bench\ndef track_it(): return int8bench.MINE\n"
    _write(tmp_path, {"suite/asv.conf.json": "{}", "suite/benchmarks/__init__.py": "", "suite/benchmarks/b.py": suite})
    _write(tmp_path, {"mine/int8bench/__init__.py": "MINE = 42"})
    mine = Place(
        label="head",
        python=sys.executable,
        path=(str(tmp_path / "mine"),),
        folder=str(tmp_path / "suite"),
        packages=("int8bench",),
    )
    with launched([mine], ORDER, timeout_s=60) as (only,), _entered(only, "b.track_it") as turns:
        assert turns.values == {"value": 42.0}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, r"the suite does not open: FileNotFoundError: .*no asv\.conf\.json"),
        ({"asv.conf.json": "{}"}, r"the suite does not open: FileNotFoundError: .*no __init__\.py"),
    ],
)
def test_a_suite_that_does_not_open_is_told(tmp_path: Path, files: Mapping[str, str], sentence: str) -> None:
    """With the side and the reason."""
    _write(tmp_path, files)
    bare = Place(label="head", python=sys.executable, path=(), folder=str(tmp_path), packages=())
    with pytest.raises(LabError, match=f"^head: {sentence}"), launched([bare], ORDER, timeout_s=60):
        pytest.fail("it serves")


def test_an_interpreter_that_does_not_start_is_told(tmp_path: Path) -> None:
    """And the other side, which has started, ends."""
    broken = Place(label="head", python="/no/such/python", path=(), folder=str(tmp_path), packages=())
    sentence = "does not start: No such file or directory"
    with pytest.raises(LabError, match=sentence), launched([broken], ORDER, timeout_s=60):
        pytest.fail("it serves")


def test_a_process_that_ends_while_its_suite_is_opened_is_broken(tmp_path: Path) -> None:
    """By what the suite imports; that fails all of its benchmarks in this launch, and ends no duet."""
    files = {"asv.conf.json": "{}", "benchmarks/__init__.py": "import os; os.write(2, b'no memory'); os._exit(3)"}
    _write(tmp_path, files)
    place = Place(label="head", python=sys.executable, path=(), folder=str(tmp_path), packages=())
    with launched([place], ORDER, timeout_s=60) as (launch,):
        assert launch.why_left_out("b.time_it") == "its process ended while the suite was opened: no memory"
        with pytest.raises(LabError, match=r"^head: its process ended while the suite was opened: no memory$"):
            launch.enter("b.time_it", cores=(), shift=1, timeout_s=60)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(5, "broken")])
def test_a_start_that_is_stopped_leaves_nothing(
    place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Ctrl-C may come while a process starts."""

    def stop(*_: object, **__: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise error

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(interpreter.subprocess, "Popen", stop)
    with pytest.raises((KeyboardInterrupt, LabError)), launched([place()], ORDER, timeout_s=60):
        pytest.fail("it serves")
    assert list(tmp_path.iterdir()) == []


def _leaders(launches: list[PeerLaunch]) -> list[int]:
    return [each._interpreter._process.pid for each in launches]


class _StopError(Exception):
    """Raised while launches are open."""


@pytest.mark.parametrize("error", [None, _StopError, KeyboardInterrupt])
def test_nothing_outlives_the_block(
    place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException] | None
) -> None:
    """However it is left: forks, processes of the benchmarks' own, and temporary folders are gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    leaders = []
    try:
        with launched([place("base"), place("head")], ORDER, timeout_s=60) as launches:
            leaders = _leaders(launches)
            for each in launches:
                each.enter("b.time_hangs", cores=(), shift=1, timeout_s=60).say(First(cores=[]))
            spawning = launches[0].enter("b.time_spawns", cores=(), shift=1, timeout_s=60)
            spawning.ask(TurnSample(calls=1, untimed=0), 60)
            assert len(_group(leaders[0])) == 4
            assert len(list(tmp_path.iterdir())) == 2
            if error is not None:
                raise error
    except (_StopError, KeyboardInterrupt):
        pass
    assert _eventually(lambda: not any(_group(leader) for leader in leaders))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no kernel tells of a parent's end")
def test_forks_end_with_their_launch(place: Make) -> None:
    """A launch may be killed alone, for want of memory; who waits for its forks hears of it."""
    with launched([place()], ORDER, timeout_s=60) as (only,):
        turns = only.enter("b.time_hangs", cores=(), shift=1, timeout_s=60)
        turns.say(First(cores=[]))
        os.kill(only._interpreter._process.pid, signal.SIGKILL)
        with pytest.raises(LabError, match=r"^base: the measuring process died$"):
            turns.hear(FirstCall, 60)
        assert _eventually(lambda: not _running(turns.pid))
        with pytest.raises(LabError, match=r"^base: a launch is gone$"):
            only.enter("b.time_it", cores=(), shift=1, timeout_s=60)


COORDINATOR = """
import json, os, sys, time
from int8bench.lab.agent.wire import Sampled, TurnSample
from int8bench.lab.peers import PeerOrder, Place, launched
places = [Place(**each) for each in json.loads(sys.argv[1])]
with launched(places, PeerOrder(suite="asv"), timeout_s=60) as launches:
    for name in ("b.time_hangs", "b.time_spawns"):
        turns = launches[0].enter(name, cores=(), shift=1, timeout_s=60)
        turns.say(TurnSample(calls=1, untimed=0))
    turns.hear(Sampled, 60)
    print(json.dumps([each._interpreter._process.pid for each in launches]), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no kernel tells of a parent's end")
def test_nothing_outlives_a_killed_coordinator(place: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After kill -9: launches, forks and what benchmarks started end by themselves, and the next start tidies up."""
    places = [
        {name: getattr(place(label), name) for name in ("label", "python", "path", "folder", "packages")}
        for label in ("base", "head")
    ]
    with subprocess.Popen(
        [sys.executable, "-c", COORDINATOR, json.dumps(places)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as coordinator:
        assert coordinator.stdout is not None
        leaders = json.loads(coordinator.stdout.readline())
        assert [len(_group(leader)) for leader in leaders] == [4, 1]
        coordinator.send_signal(signal.SIGKILL)
    assert _eventually(lambda: not any(_group(leader) for leader in leaders))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2
    with launched([place()], ORDER, timeout_s=60):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    assert interpreter.SCRATCH.startswith("int8bench-")


def test_nothing_of_a_revision_loaded_is_no_proof(place: Make) -> None:
    """What measures none of its side's packages has no figure; an environment has nothing to prove."""
    for is_revision in (True, False):
        side = replace(place(packages=("late",)), is_revision=is_revision)
        with launched([side], ORDER, timeout_s=60) as (launch,), _entered(launch, "b.time_it") as turns:
            if is_revision:
                with pytest.raises(StrayedError) as told:
                    turns.finish(60)
                assert str(told.value).startswith(
                    "nothing of base's revision was loaded, which holds late; imported was toy from "
                )
            else:
                turns.finish(60)


def test_a_pair_of_launches_draws_the_same(place: Make) -> None:
    """Hashes and generators; other ones in the next pair, and whatever variables the suite asks for."""
    found = []
    for seed in (1, 1, 2):
        luck = SharedLuck(seed=seed, variables={"TOY": "x"})
        with launched([place()], ORDER, luck, timeout_s=60) as (one,), _entered(one, "b.track_drawn") as turns:
            found.append(turns.values)
    assert found[0] == found[1] != found[2]


def test_which_side_starts_first_is_luck(place: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that import what only one can have, the one that starts later fails; they are given as they are asked."""
    began: list[str] = []
    launch = peers._launch
    monkeypatch.setattr(peers, "_launch", lambda side, luck: began.append(side.label) or launch(side, luck))
    sides = [place(), replace(place(), label="head")]
    for seed in (1, 2):
        with launched(sides, ORDER, SharedLuck(seed=seed, variables={"TOY": "x"}), timeout_s=60) as launches:
            assert [each.label for each in launches] == ["base", "head"]
    assert began == ["head", "base", "base", "head"]
