"""A study in a lab that is played: what launches and forks answer, what it takes on a clock that the lab moves."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from int8bench import machine
from int8bench.cases import Variant
from int8bench.errors import SilenceError
from int8bench.lab.noise import Reading
from int8bench.lab.progress import Progress
from int8bench.lab.sampling import Race, Track
from int8bench.machine import Hardware, TorchView
from int8bench.machine.finding import SaturationProbe
from int8bench.study import records, study
from int8bench.study.plan.budget import Budget
from int8bench.study.plan.request import Request
from int8bench.study.records import Run
from int8bench.study.session import measuring
from int8bench.study.session.worker import Alone, Checked, Expected, RaceOrder, Stream
from int8bench.workload.fidelity import Fidelity
from int8bench.workload.order import Network
from int8bench.workload.subject import Subject

MACHINE = Hardware(
    arch="x86_64",
    vendor="AuthenticAMD",
    brand="a played processor",
    family=25,
    model=1,
    os="Linux",
    flags=frozenset({"sse4_1", "avx", "avx2", "fma"}),
    logical_cores=2,
    usable_cores=2,
    memory_bytes=8_000_000_000,
)
TORCH = TorchView(
    version="2.6",
    capability="AVX2",
    supported_engines=("qnnpack", "none", "onednn", "x86", "fbgemm"),
    default_engine="x86",
    flags=frozenset({"avx2"}),
)
SUBJECT = Subject(
    model="simplecnn",
    input_shape=(3, 32, 32),
    num_classes=10,
    data="digits",
    weights="trained",
    state=b"weights",
    calibration=np.zeros((4, 3, 32, 32), np.float32),
    validation=np.zeros((4, 3, 32, 32), np.float32),
    labels=np.zeros(4, np.int64),
    network=Network(layers=8, picture_s=0.001),
)
REQUEST = Request(engines=("fbgemm", "qnnpack"), batches=(1, 8), threads=(1,), quick=True, timeout_s=5.0)
SECONDS = {"torch": 0.002, "fbgemm": 0.001, "qnnpack": 0.004}  # how long a forward takes in the played lab
QUIET = Reading(involuntary_switches=0, major_faults=0, minor_faults=0, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0)
FAST = Fidelity(sqnr_db=35.0, agreement=1.0, top1=0.98, top1_float32=0.98)

Fault = Callable[[str, object, int], None]
Cost = Callable[[str, object], float]


@dataclass
class FakeLab:
    """Answers as launches and forks would; keeps what it was asked, and goes wrong as `fault` says."""

    fault: Fault = lambda _function, _payload, _launch: None
    objections: dict[str, str] = field(default_factory=dict)
    spread: float = 0.0
    asked: list[tuple[int, str, object]] = field(default_factory=list)
    prepared: list[tuple[Variant, ...]] = field(default_factory=list)
    running: int = 0
    open_forks: int = 0
    cost: Cost = lambda _function, _payload: 0.0
    """Seconds that something takes on the clock of the run; nobody waits for longer than a real lab would."""
    now: float = 0.0

    def spend(self, function: str, payload: object, timeout_s: float) -> None:
        """Moves the clock by what something takes, but not past the time for which it is waited."""
        taken_s = self.cost(function, payload)
        self.now += min(taken_s, timeout_s)
        if taken_s > timeout_s:
            raise SilenceError(f"gave no answer in {timeout_s:.0f} s and was stopped")

    @contextmanager
    def launched(
        self, indexes: Sequence[int], setup: object, *, settings: object, timeout_s: float
    ) -> Iterator[tuple["FakeLaunch", ...]]:
        """Stands in for `lab.launches.launched`."""
        assert settings is not None
        assert timeout_s > 0
        self.prepared.append(setup.payload.variants)
        self.spend("launch", setup.payload, timeout_s)
        for index in indexes:
            self.fault("launch", None, index)
        self.running += len(indexes)
        try:
            yield tuple(FakeLaunch(self, index) for index in indexes)
        finally:
            self.running -= len(indexes)

    def count(self, function: str) -> int:
        """How often a function was asked for."""
        return sum(name == function for _, name, _ in self.asked)

    def answer(self, function: str, payload: object, launch: int) -> object:
        """What a fork returns."""
        if function == "expect":
            return Expected(answers=np.zeros((4, 10), np.float32), picture_s=0.001)
        if function == "check":
            return Checked(
                fidelity=FAST,
                objection=self.objections.get(payload.variant.engine),
                weights_bytes=100,
                serialized_bytes=120,
                evidence={},
            )
        if function == "probe":
            return SaturationProbe(engine=payload, sqnr_db=40.0, saturates=False)
        if function == "race":
            return self.race(payload, launch)
        return Stream(calls=10, started_s=1.0, ended_s=2.0) if function == "alone" else 1_000

    def race(self, order: RaceOrder, launch: int) -> Race:
        """Every contender at its engine's pace, give or take the luck of the launch."""
        rng = np.random.default_rng([order.seed, launch])
        tracks = []
        for variant in order.variants:
            pace = SECONDS[variant.engine] * (1.1 if variant.layout == "nchw" else 1.0)
            times = pace * np.exp(self.spread * rng.standard_normal()) * (1 + 1e-4 * rng.random(8))
            tracks.append(
                Track(
                    name=variant.label,
                    calls=1,
                    times_s=tuple(times.tolist()),
                    single_s=tuple(times.tolist()),
                    cpu_s=1.0,
                    wall_s=1.0,
                    involuntary_switches=0,
                    disturbed_rounds=0,
                    lingering_s=0.0,
                )
            )
        return Race(tracks=tuple(tracks), kept=(True,) * 8, disturbance=QUIET, wall_s=1.0)


@dataclass
class FakeLaunch:
    """Stands in for a launch."""

    lab: FakeLab
    index: int

    def fork(
        self, function: Callable[..., object], payload: object, *, cores: tuple[int, ...] | None = None
    ) -> "FakeFork":
        """Notes what was asked."""
        name = function.__name__
        self.lab.asked.append((self.index, name, payload))
        assert cores is None or len(cores) >= 1
        self.lab.open_forks += 1
        return FakeFork(self, name, payload)


@dataclass
class FakeFork:
    """Stands in for a fork, and for the line to it."""

    launch: FakeLaunch
    function: str
    payload: object
    ended: bool = False

    @property
    def line(self) -> "FakeFork":
        """The line to the fork: this very object."""
        return self

    def send(self, message: object) -> None:
        """A time to stop at is all that a fork is ever told."""
        assert isinstance(message, float)

    def heard(self, kind: type[object], timeout_s: float) -> object:
        """What it cost alone."""
        assert kind is Alone
        assert timeout_s > 0
        self.launch.lab.spend(self.function, self.payload, timeout_s)
        self.launch.lab.fault(self.function, self.payload, self.launch.index)
        return Alone(build_s=0.1, cold_s=0.05, peak_bytes=5_000)

    def result(self, timeout_s: float) -> object:
        """The answer, or what the lab's fault raises."""
        assert timeout_s > 0
        try:
            self.launch.lab.spend(self.function, self.payload, timeout_s)
            self.launch.lab.fault(self.function, self.payload, self.launch.index)
            return self.launch.lab.answer(self.function, self.payload, self.launch.index)
        finally:
            self.end()

    def end(self) -> int:
        """Ends it, once."""
        self.launch.lab.open_forks -= not self.ended
        self.ended = True
        return 0


@dataclass
class Session:
    """A played lab, and a run of a study in it."""

    lab: FakeLab
    output: Path
    steps: list[Progress] = field(default_factory=list)

    def run(self, **changes: object) -> Run:
        """Runs the request with changes."""
        request = replace(REQUEST, **changes)
        budget = Budget(total_s=request.total_s, started_s=self.lab.now, clock=lambda: self.lab.now)
        return study.run(request, self.output, self.steps.append, budget=budget)

    def kept(self) -> Run:
        """What lies in the file."""
        return records.load(self.output)


def played(monkeypatch: pytest.MonkeyPatch, output: Path) -> Session:
    """A session on a played machine with a played lab; nothing is trained and nothing is launched."""
    lab = FakeLab()
    monkeypatch.setattr(machine, "detect", lambda: MACHINE)
    monkeypatch.setattr(machine, "detect_torch", lambda: TORCH)
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1))
    monkeypatch.setattr(study, "prepare_subject", lambda **_: SUBJECT)
    monkeypatch.setattr(measuring, "launched", lab.launched)
    return Session(lab, output)


def statuses(run: Run) -> dict[str, str]:
    """What became of each cell."""
    return {cell.id.removeprefix("simplecnn/"): cell.status for cell in run.cells}
