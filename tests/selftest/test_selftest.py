"""A selftest in a lab that is played: its time, what it keeps, how it goes on, and what it says when stopped."""

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from played_lab import PlayedFork, PlayedLab

from int8bench import __version__, machine
from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError
from int8bench.lab.progress import Progress
from int8bench.machine import Hardware
from int8bench.selftest import handicap, selftest, trust
from int8bench.selftest.handicap import Handicapped
from int8bench.study import records
from int8bench.study.plan import plan
from int8bench.workload.cases import Group

MACHINE = Hardware(arch="x86_64", brand="A processor", flags=frozenset({"avx2"}), usable_cores=2)
CALL_S = 0.001
GOLDEN = Path(__file__).parents[1] / "golden" / "selftest"


def handicapped(itself: float, slowed: float, wait_s: float) -> Handicapped:
    """A fork's race with these log-ratios, as far as a sample needs it."""
    times = {"reference": CALL_S, "candidate": CALL_S * math.exp(-itself), "slowed": CALL_S * math.exp(-slowed)}
    track = {name: SimpleNamespace(times_s=(time_s,) * 3) for name, time_s in times.items()}
    return Handicapped(race=SimpleNamespace(kept=(True,) * 3, track=track.__getitem__), wait_s=wait_s)


@dataclass(eq=False)
class Lab(PlayedLab):
    """Launches that take twenty seconds each, on a clock of its own; `at` raises when that launch is reached."""

    now: float = 1000.0
    bias: float = 0.0
    shares: list[tuple[int, Group, float]] = field(default_factory=list)
    cores: set[tuple[int, ...]] = field(default_factory=set)
    at: dict[int, BaseException] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Gives each fork its time, and says what goes wrong."""
        self.cost = lambda function, _order: 0.0 if function == "launch" else 2.5
        self.fault = self.stop

    def stop(self, function: str, _order: object, launch: int) -> None:
        """Raises what is due at that launch, once."""
        if function != "launch" and launch in self.at:
            raise self.at.pop(launch)

    def answer(self, fork: PlayedFork[Handicapped]) -> Handicapped:
        """Returns a race of the luck that its seed draws."""
        order = fork.order
        assert fork.function is handicap.race
        assert fork.cores is not None
        assert len(fork.cores) == order.group.threads
        self.cores.add(fork.cores)
        self.shares.append((fork.launch.index, order.group, order.share))
        rng = np.random.default_rng(order.seed)
        noise, wait_s = rng.normal(0.0, 0.003, size=2), order.share * CALL_S
        return handicapped(noise[0] + self.bias, noise[1] - math.log1p(order.share), wait_s)


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    """A played lab on a played machine, with a cache of its own."""
    played = Lab()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(selftest, "launched", played.launched)
    monkeypatch.setattr(selftest, "default_subject", lambda _advance: None)
    monkeypatch.setattr(selftest, "order_for", lambda _subject, _variants: None)
    monkeypatch.setattr(selftest, "_engine", lambda _machine: "fbgemm")
    monkeypatch.setattr(machine, "detect", lambda: MACHINE)
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1))
    return played


def run(lab: Lab, **changes: object) -> dict:
    """The JSON of a selftest of 400 seconds, which are twenty launches or less, unless told otherwise."""
    asked = {"thorough": False, "budget_s": 400.0, "advance": lambda _step: None, **changes}
    return json.loads(json.dumps(selftest.run(now=lab.clock, **asked).to_dict(), allow_nan=False))


def shape(document: object) -> object:
    """The keys of a document in their order, and of its arrays the shape of their first entry."""
    if isinstance(document, dict):
        return [(key, "" if key == "versions" else shape(value)) for key, value in document.items()]
    return [shape(document[0])] if isinstance(document, list) and document else type(document).__name__


def unfinished(budget_s: float = 400.0) -> Path:
    """Where a selftest of that length keeps what it has."""
    path = trust.unfinished_path_for(machine.fingerprint(MACHINE), budget_s)
    assert path is not None
    return path


def test_the_design_is_a_default_runs() -> None:
    """As many launches as its budget buys, and its forks."""
    assert selftest.DESIGN.launches == int(plan.DEFAULT_BUDGET_S / plan.LAUNCH_BUDGET_S)
    assert selftest.DESIGN.forks == plan.THOROUGH.forks


def test_it_answers_in_the_stated_time(lab: Lab) -> None:
    """It stops where two more launches would not fit, with two whole races of each cell, and says so to the end."""
    told: list[Progress] = []
    before_s = lab.now
    answer = run(lab, advance=told.append)
    assert 400.0 - 2 * 20 * selftest.SLACK - selftest.STARTING_S < lab.now - before_s <= 400.0
    assert answer["spent_s"] == lab.now - before_s + selftest.STARTING_S <= 400.0
    assert [answer[key] for key in ("launches", "races", "trusted", "engine")] == [18, 8, True, "fbgemm"]
    assert lab.starts == [(first, first + 1) for first in range(0, 18, 2)]
    assert {(cell["batch"], cell["threads"]) for cell in answer["cells"]} == {(1, 1), (32, 1), (1, 2), (32, 2)}
    assert told[-1] == Progress(phase="done", done=400.0, total=400.0)
    assert all(before.done <= after.done for before, after in pairwise(told))
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(("thorough", "seconds"), [(False, 300.0), (True, 3600.0)])
def test_the_time_is_five_minutes_or_an_hour(lab: Lab, *, thorough: bool, seconds: float) -> None:
    """Unless it is told otherwise."""
    answer = run(lab, thorough=thorough, budget_s=None)
    assert (answer["budget_s"], answer["thorough"]) == (seconds, thorough)
    assert seconds - 50 < answer["spent_s"] <= seconds


def test_what_is_tried_next_is_what_was_claimed(lab: Lab) -> None:
    """Two percent in the first race of a cell, then the smallest slow-down that it claims, all race long."""
    run(lab)
    first = {share for launch, _, share in lab.shares if launch < 8}
    second = {(group, share) for launch, group, share in lab.shares if 8 <= launch < 16}
    assert first == {0.02}
    assert len(second) == 4
    assert all(0.01 < share < 0.05 for _, share in second)


def test_every_launch_serves_every_cell_alike(lab: Lab) -> None:
    """Two forks a cell, in an order that differs from launch to launch."""
    run(lab)
    orders = [[group for launch, group, _ in lab.shares if launch == index] for index in range(18)]
    assert {tuple(sorted(order)) for order in orders} == {tuple(sorted(selftest._groups(2) * 2))}
    assert len({tuple(order) for order in orders}) > 10


def test_a_result_is_kept_with_its_samples_and_quoted(lab: Lab) -> None:
    """Later verdicts on the same hardware say it; what was kept half-way is gone."""
    answer = run(lab)
    assert answer["kept"] is not None
    stored = json.loads(Path(answer["kept"]).read_text(encoding="utf-8"))
    assert len(stored["samples"]) == 18 * 4 * 2
    assert {key: stored[key] for key in answer if key != "kept"} == {k: answer[k] for k in answer if k != "kept"}
    quoted = trust.quote(machine.fingerprint(MACHINE))
    assert quoted is not None
    assert answer["judgement"].removeprefix("verdicts here ") in quoted
    assert "0 false alarms in 8 races" in quoted
    assert not unfinished().exists()


def test_a_machine_that_raises_false_alarms_is_not_trusted(lab: Lab) -> None:
    """One whose second contender is always 5 % faster."""
    lab.bias = 0.05
    answer = run(lab)
    assert answer["trusted"] is False
    assert "8 false alarms in 8 races" in answer["judgement"]
    assert "cannot be trusted" in str(trust.quote(machine.fingerprint(MACHINE)))


@pytest.mark.parametrize(
    ("raised", "word"), [(KeyboardInterrupt(), "stopped"), (LabError("was ended by SIGKILL"), "was ended by SIGKILL")]
)
@pytest.mark.parametrize(
    ("at", "error", "code", "sentence"),
    [
        (3, NothingMeasuredError, 3, "after 3 launches, before the first race was over"),
        (9, InterruptedRunError, 2, "after 4 races"),
    ],
)
def test_what_was_measured_before_it_stopped_is_gone_on_with(
    lab: Lab, raised: BaseException, word: str, at: int, error: type[NothingMeasuredError], code: int, sentence: str
) -> None:
    """Ctrl-C and a process that dies: a sentence; the same command takes the time that is left, and no launch twice."""
    lab.at = {at: raised}
    with pytest.raises(error, match=f"{word} {sentence}; the same command goes on from there") as told:
        run(lab)
    assert told.value.exit_code == code
    phases: list[str] = []
    answer = run(lab, advance=lambda step: phases.append(step.phase))
    assert f"going on with a selftest that was stopped after {at} launches" in phases
    measured = [launch for launch, _, _ in lab.shares]
    assert sorted(measured) == sorted(list(range(answer["launches"])) * 8)
    assert answer["spent_s"] <= 400.0
    assert answer["races"] == 8


def test_what_goes_on_from_a_file_keeps_to_the_stated_time(lab: Lab) -> None:
    """What is left is too short for two launches as long as those that were measured before."""
    lab.at = {17: KeyboardInterrupt()}
    with pytest.raises(InterruptedRunError):
        run(lab, budget_s=380.0)
    answer = run(lab, budget_s=380.0)
    assert answer["launches"] == 17
    assert answer["spent_s"] <= 380.0


def test_processors_are_no_more_than_a_quota_pays_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a run: a container may see sixty-four, and be given the time of two."""
    monkeypatch.setattr(machine, "usable_processors", lambda: tuple(range(64)))
    run(lab)
    assert lab.cores == {(0,), (1,), (0, 1)}


def test_a_kill_costs_the_launch_at_work(lab: Lab) -> None:
    """Whatever ends the process without a word: what was kept launch by launch is gone on with."""
    lab.at = {3: SystemExit()}
    with pytest.raises(SystemExit):
        run(lab)
    lab.starts.clear()
    run(lab)
    assert lab.starts[0] == (3, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"design": {}},
        {"fingerprint": "x"},
        {"int8bench_version": "0"},
        {"groups": []},
        {"samples": [1]},
        {"spent_s": "x"},
    ],
)
def test_unlike_or_damaged_forks_are_not_gone_on_with(lab: Lab, change: dict[str, object]) -> None:
    """Another design, machine, version or grid starts anew; so does a file that is not ours."""
    lab.at = {3: KeyboardInterrupt()}
    with pytest.raises(NothingMeasuredError):
        run(lab)
    stored = json.loads(unfinished().read_text(encoding="utf-8"))
    unfinished().write_text(json.dumps({**stored, **change}), encoding="utf-8")
    lab.starts.clear()
    run(lab)
    assert lab.starts[0] == (0, 1)


def test_forks_that_an_earlier_version_kept_are_gone_on_with(lab: Lab) -> None:
    """The file that the commit before typed selftests left after nine launches, with the versions that are here."""
    stored = json.loads((GOLDEN / "unfinished.json").read_text(encoding="utf-8"))
    here = {"int8bench_version": __version__, "versions": records.versions()}
    unfinished().parent.mkdir()
    unfinished().write_text(json.dumps({**stored, **here}), encoding="utf-8")
    phases: list[str] = []
    run(lab, advance=lambda step: phases.append(step.phase))
    assert "going on with a selftest that was stopped after 9 launches" in phases
    assert lab.starts[0][0] == 9


def test_what_is_kept_has_the_keys_of_an_earlier_version(lab: Lab) -> None:
    """Key by key in their order, all the way down: other programs read it."""
    answer = run(lab)
    stored = json.loads(Path(answer["kept"]).read_text(encoding="utf-8"))
    before = json.loads((GOLDEN / "kept.json").read_text(encoding="utf-8"))
    assert shape(stored) == shape(before)
    del before["samples"]
    assert shape(answer) == shape({**before, "kept": ""})


def test_too_short_a_time_is_said(lab: Lab) -> None:
    """Without a whole race there is no answer, and the next try has all its time again."""
    for _ in range(2):
        lab.starts.clear()
        with pytest.raises(NothingMeasuredError, match=r"100 s were not enough for one race of 8 launches.*--thorough"):
            run(lab, budget_s=100.0)
        assert lab.starts[0] == (0, 1)


def test_without_a_place_to_keep_it_the_answer_is_given_all_the_same(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have no home; what is stopped there starts again."""
    monkeypatch.setattr(trust.cache, "folder", lambda: None)
    assert run(lab)["kept"] is None
    lab.at = {1: KeyboardInterrupt()}
    with pytest.raises(NothingMeasuredError, match="type the same command to start again"):
        run(lab)


@pytest.mark.parametrize(("usable", "groups"), [(1, 2), (2, 4), (64, 4)])
def test_cells_are_one_thread_and_all(usable: int, groups: int) -> None:
    """Both batches on each, once where one thread is all."""
    found = selftest._groups(usable)
    assert len(set(found)) == len(found) == groups
    assert {group.threads for group in found} == {1, usable}


def test_fbgemm_is_raced_where_it_runs_and_else_what_is_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where no engine runs, that is the answer."""
    there = SimpleNamespace(available=True)
    monkeypatch.setattr(selftest, "engine_named", lambda _name: SimpleNamespace(availability=lambda _machine: there))
    assert selftest._engine(MACHINE) == "fbgemm"
    there.available = False
    monkeypatch.setattr(selftest.rules, "recommend", lambda _machine: SimpleNamespace(engine="qnnpack"))
    assert selftest._engine(MACHINE) == "qnnpack"
    nothing = SimpleNamespace(engine=None, basis="rule: no int8 engine")
    monkeypatch.setattr(selftest.rules, "recommend", lambda _machine: nothing)
    with pytest.raises(NothingMeasuredError, match="no int8 engine runs here"):
        selftest._engine(MACHINE)


def test_a_sample_knows_what_it_should_have_found() -> None:
    """The wait over the time of a call, in log units, with the ratios of the fork."""
    found = selftest.sample_of(handicapped(0.01, -0.04, 0.00005), Group(batch=8, threads=2), 5)
    assert (found.launch, found.batch, found.threads, found.pairs) == (5, 8, 2, 3)
    assert (found.itself, found.slowed) == (pytest.approx(0.01), pytest.approx(-0.04))
    assert found.added == pytest.approx(math.log(1.05))
