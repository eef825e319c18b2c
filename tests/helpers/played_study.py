"""A study in a lab that is played: what launches and forks answer, what it takes on a clock that the lab moves."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from played_lab import PlayedFork, PlayedLab

from int8bench import machine
from int8bench.lab.noise import Reading
from int8bench.lab.progress import Progress
from int8bench.lab.sampling import Race, Track
from int8bench.machine import Hardware, TorchView
from int8bench.machine.finding import SaturationProbe
from int8bench.study import records, study
from int8bench.study.plan.budget import Budget
from int8bench.study.plan.request import Request
from int8bench.study.records import Run
from int8bench.study.session import measuring, worker
from int8bench.study.session.worker import Alone, Checked, Expected, RaceOrder, Stream
from int8bench.workload.cases import Variant
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


@dataclass(eq=False)
class StudyLab(PlayedLab):
    """Answers as the launches and forks of a study would."""

    objections: dict[str, str] = field(default_factory=dict)
    """Of the check of answers, by engine."""
    spread: float = 0.0
    """How far times differ from launch to launch."""

    @property
    def prepared(self) -> list[tuple[Variant, ...]]:
        """The variants that were prepared, a start of launches each."""
        return [setup.payload.variants for setup in self.setups]

    def answer(self, fork: PlayedFork[Any]) -> object:
        """Returns what a fork answers."""
        if fork.function is worker.expect:
            return Expected(answers=np.zeros((4, 10), np.float32), picture_s=0.001)
        if fork.function is worker.check:
            return Checked(
                fidelity=FAST,
                objection=self.objections.get(fork.order.variant.engine),
                weights_bytes=100,
                serialized_bytes=120,
                evidence={},
            )
        if fork.function is worker.probe:
            return SaturationProbe(engine=fork.order, sqnr_db=40.0, saturates=False)
        if fork.function is worker.race:
            return self.race(fork.order, fork.launch.index)
        return Stream(calls=10, started_s=1.0, ended_s=2.0) if fork.function is worker.alone else 1_000

    def word(self, fork: PlayedFork[Any]) -> Alone:
        """Returns what a contender cost alone."""
        assert fork.function is worker.alone
        return Alone(build_s=0.1, cold_s=0.05, peak_bytes=5_000)

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
class Session:
    """A played lab, and a run of a study in it."""

    lab: StudyLab
    output: Path
    steps: list[Progress] = field(default_factory=list)

    def run(self, **changes: object) -> Run:
        """Runs the request with changes."""
        request = replace(REQUEST, **changes)
        budget = Budget(total_s=request.total_s, started_s=self.lab.now, clock=self.lab.clock)
        return study.run(request, self.output, self.steps.append, budget=budget)

    def kept(self) -> Run:
        """What lies in the file."""
        return records.load(self.output)


def played(monkeypatch: pytest.MonkeyPatch, output: Path) -> Session:
    """A session on a played machine with a played lab; nothing is trained and nothing is launched."""
    lab = StudyLab()
    monkeypatch.setattr(machine, "detect", lambda: MACHINE)
    monkeypatch.setattr(machine, "detect_torch", lambda: TORCH)
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1))
    monkeypatch.setattr(study, "prepare_subject", lambda *_, **__: SUBJECT)
    monkeypatch.setattr(measuring, "launched", lab.launched)
    return Session(lab, output)


def statuses(run: Run) -> dict[str, str]:
    """What became of each cell."""
    return {cell.id.removeprefix("simplecnn/"): cell.status for cell in run.cells}
