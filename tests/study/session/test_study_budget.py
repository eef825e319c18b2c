"""A stated time is kept, from start to exit: whole sessions with a played lab, on a clock that the lab moves."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import converters
import numpy as np
import pytest
import typer
from played_lab import Cost, PlayedFork
from played_study import SUBJECT, Session, played, statuses

from int8bench import cli
from int8bench.engines.base import Conversion
from int8bench.errors import InterruptedRunError, NothingMeasuredError
from int8bench.machine.finding import SaturationProbe
from int8bench.study import study
from int8bench.study.plan import fitting
from int8bench.study.plan.budget import QUICK_S, Budget
from int8bench.study.records import Run
from int8bench.study.session.conversions import Due, Wanted
from int8bench.study.session.probing import Probes
from int8bench.study.session.worker import Check, Checked
from int8bench.workload.cases import Group, int8_variant
from int8bench.workload.order import Network


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    """A session on a played machine with a played lab; nothing is trained and nothing is launched."""
    return played(monkeypatch, tmp_path / "run.json")


def costs(seconds: Mapping[str, float], *, engine: str = "", times: float = 1.0) -> Cost:
    """What functions take, and how many times as long where an engine takes part."""

    def cost(function: str, payload: object) -> float:
        variants = getattr(payload, "variants", ()) or (getattr(payload, "variant", None),)
        takes_part = any(each is not None and each.engine == engine for each in variants)
        return seconds.get(function, 0.0) * (times if takes_part else 1.0)

    return cost


def slow_at_8(function: str, payload: object) -> float:
    """A batch of eight takes longer than anything before it has told."""
    group = getattr(payload, "group", None)
    at_8 = group is not None and group.batch == 8
    return {"race": 25.0, "alone": 7.0}.get(function, 0.1) if at_8 else 0.1


def left_out(run: Run) -> dict[tuple[str, int], str]:
    """The reasons of the cells that were left out for time."""
    return {(cell.engine, cell.batch): cell.error for cell in run.cells if fitting.is_reason(cell.error)}


def test_what_fits_is_measured_whole(session: Session) -> None:
    """Nothing is left out, nothing is said of it."""
    session.lab.cost = costs({"launch": 5.0, "check": 1.0, "race": 1.0, "alone": 0.5})
    run = session.run()
    assert set(statuses(run).values()) == {"ok"}
    assert session.lab.now < QUICK_S
    assert not {"left-out-for-time", "checked-on-fewer", "probe-left-out"} & {each.code for each in run.findings}


@pytest.mark.parametrize("seed", range(40))
def test_the_total_is_kept_whatever_things_take(session: Session, seed: int) -> None:
    """Launches, checks, races and contenders alone of a tenth of a second to a hundred, and one engine slower still.

    Each cell has its figures, or its reason with the command that measures it.
    """
    rng = np.random.default_rng(seed)
    seconds = {name: 10 ** rng.uniform(-1, 2) for name in ("launch", "expect", "check", "race", "alone")}
    session.lab.cost = costs(seconds, engine=str(rng.choice(["fbgemm", "qnnpack"])), times=10 ** rng.uniform(0, 2))
    total_s = float(rng.choice([60.0, 120.0, QUICK_S]))
    try:
        run = session.run(budget_s=total_s, timeout_s=120.0)
    except NothingMeasuredError:
        run = session.kept()
    budget = Budget(total_s=total_s, started_s=0.0)
    assert session.lab.now <= total_s - budget.ending_s + 1.0
    assert run.complete
    assert session.lab.open_forks == session.lab.running == 0
    for cell in run.cells:
        assert cell.status in {"ok", "skipped", "failed"}
        assert (cell.error is None) == (cell.status == "ok")
        assert cell.status == "ok" or "int8bench run" in (cell.error or "") or "gave no answer" in (cell.error or "")


def test_a_batch_that_is_too_large_is_left_out_with_a_command(session: Session) -> None:
    """The small one has its figures; one command, which the command line takes, asks for all that is missing."""
    session.lab.cost = slow_at_8
    run = session.run(timeout_s=120.0)
    assert {cell.status for cell in run.cells if cell.batch == 1} == {"ok"}
    reasons = left_out(run)
    assert {batch for _, batch in reasons} == {8}
    for reason in reasons.values():
        command = reason.partition("type: ")[2]
        _, name, *words = shlex.split(command)
        group = typer.main.get_command(cli.app)
        with group.make_context("int8bench", [name, *words]) as context:
            _, parsed, rest = group.resolve_command(context, [name, *words])
            assert parsed.make_context(name, rest, parent=context).params["batch"] == (8,)
    assert session.lab.now <= QUICK_S


def test_an_engine_that_is_too_slow_is_left_out_and_the_others_are_measured(session: Session) -> None:
    """It is known to be once its answers were checked, before anything of it was timed."""
    answer = session.lab.answer

    def timed(fork: PlayedFork[Any]) -> object:
        answered = answer(fork)
        if isinstance(answered, Checked):
            return replace(answered, picture_s=5.0 if fork.order.variant.engine == "qnnpack" else 0.001)
        return answered

    session.lab.answer = timed
    run = session.run(budget_s=60.0, timeout_s=120.0)
    assert {engine for engine, _ in left_out(run)} == {"qnnpack"}
    assert {cell.engine for cell in run.cells if cell.status == "ok"} == {"torch", "fbgemm"}
    timed_engines = [payload for _, name, payload in session.lab.asked if name in {"race", "alone"}]
    assert not [each for each in timed_engines if getattr(each, "variant", None) and each.variant.engine == "qnnpack"]


def test_a_large_network_is_left_out_before_anything_is_launched_for_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its float32 was timed when it was prepared: a batch that takes minutes is not begun."""
    slow = replace(SUBJECT, network=Network(layers=50, picture_s=0.1))
    monkeypatch.setattr(study, "prepare_subject", lambda *_, **__: slow)
    run = session.run(batches=(1, 32))
    assert {batch for _, batch in left_out(run)} == {32}
    assert all(payload.group.batch == 1 for _, name, payload in session.lab.asked if name == "race")


def test_launches_become_fewer_before_an_engine_goes(session: Session) -> None:
    """Three of four, where the fourth would not be done in time; each cell has its figures."""
    session.lab.cost = costs({"launch": 20.0, "race": 11.0})
    run = session.run(budget_s=120.0, timeout_s=120.0)
    assert {len(cell.samples.races) for cell in run.cells} == {3}
    assert set(statuses(run).values()) == {"ok"}
    assert session.lab.now <= 120.0


def test_one_that_hangs_does_not_take_the_time_of_all(session: Session) -> None:
    """It is waited for as long as its share allows, and its row says what it was given and how to give it more."""
    session.lab.cost = lambda function, payload: (
        math.inf if function == "check" and payload.variant.engine == "qnnpack" else 0.1
    )
    run = session.run(timeout_s=120.0)
    assert {engine for engine, _ in left_out(run)} == {"qnnpack"}
    assert all("the check of its answers was stopped after 30 s" in reason for reason in left_out(run).values())
    assert {cell.engine for cell in run.cells if cell.status == "ok"} == {"torch", "fbgemm"}


def test_the_time_is_told_first_and_what_it_is_spent_on(session: Session) -> None:
    """One sentence with what is expected and what is never exceeded, before the first launch."""
    session.run()
    phases = [step.phase for step in session.steps]
    told = next(i for i, phase in enumerate(phases) if "never more than 5 min" in phase)
    assert phases[told].startswith("this takes about ")
    assert all(word in phases[told] for word in ("4 launches", "checks", "measuring"))
    assert told < next(i for i, phase in enumerate(phases) if phase.startswith("starting"))


def test_without_a_promise_nothing_is_left_out(session: Session) -> None:
    """A suite that gives each commit the same time for measuring gets all of its cells, whatever comes on top."""
    session.lab.cost = costs({"launch": 400.0, "check": 50.0, "race": 30.0, "alone": 9.0})
    run = session.run(measuring_s=30.0, timeout_s=600.0)
    assert set(statuses(run).values()) == {"ok"}
    assert session.lab.now > 1_000
    assert not any("never more than" in step.phase for step in session.steps)


@pytest.mark.parametrize("asked", range(8, 44, 5))
def test_a_run_that_left_something_out_and_was_interrupted_goes_on(session: Session, asked: int) -> None:
    """What was left out stays out, and of the rest no fork is lost or measured twice."""

    def fault(*_: object) -> None:
        if len(session.lab.asked) >= asked:
            raise KeyboardInterrupt

    session.lab.cost, session.lab.fault = slow_at_8, fault
    with pytest.raises((InterruptedRunError, NothingMeasuredError)):
        session.run(timeout_s=120.0)
    kept = session.kept()
    before = {(race.launch, cell.id) for cell in kept.cells for race in cell.samples.races}
    raced_before = {(race.launch, cell.batch) for cell in kept.cells for race in cell.samples.races}
    session.lab.fault = lambda *_: None
    session.lab.asked.clear()
    session.lab.now = 10_000.0
    run = session.run(timeout_s=120.0)
    assert run.complete
    assert run.created_at == kept.created_at
    assert left_out(kept).items() <= left_out(run).items()
    after = [(race.launch, cell.id) for cell in run.cells for race in cell.samples.races]
    assert len(after) == len(set(after))
    assert before <= set(after)
    raced = {(race.launch, cell.batch) for cell in run.cells for race in cell.samples.races}
    assert 0 <= session.lab.count("race") - len(raced - raced_before) <= 1  # the one that the end of the time cut short


@dataclass
class Probing:
    """Plays the probes of engines that show no integers: what each has still to convert, and who was probed."""

    converting_s: Mapping[str, float]
    probed: list[str] = field(default_factory=list)

    def wanted(self, engines: Sequence[str], *_: object) -> Probes:
        """A check and a conversion an engine."""
        variants = [int8_variant(name) for name in engines]
        pieces = [
            Wanted(
                conversion=Conversion(name=each.label, function=converters.sums, packages=()),
                batch=None,
                variants=(each,),
            )
            for each in variants
        ]
        return Probes(
            checks=tuple(Check(variant=each, group=Group(batch=1, threads=1)) for each in variants),
            order=None,
            pieces=tuple(pieces),
            due=tuple(
                Due(piece=piece, seconds=self.converting_s[name]) for piece, name in zip(pieces, engines, strict=True)
            ),
        )

    def by_answers(self, probes: Probes, *_: object, **__: object) -> dict[str, SaturationProbe]:
        """All of them answer."""
        self.probed += [check.variant.engine for check in probes.checks]
        return {name: SaturationProbe(engine=name, sqnr_db=9.0, saturates=True) for name in self.probed}


@pytest.mark.parametrize(
    ("converting_s", "probed"),
    [
        ({"fbgemm": 10.0, "qnnpack": 20.0}, ["fbgemm", "qnnpack"]),
        ({"fbgemm": 10.0, "qnnpack": 9_000.0}, ["fbgemm"]),
        ({"fbgemm": 9_000.0, "qnnpack": 9_000.0}, []),
    ],
)
def test_probes_come_last_and_those_that_do_not_fit_are_named(
    session: Session, monkeypatch: pytest.MonkeyPatch, converting_s: dict[str, float], probed: list[str]
) -> None:
    """Measuring comes first; the doctor has what is left out, and says so with its command."""
    played_probes = Probing(converting_s)
    monkeypatch.setattr(study.probing, "wanted", played_probes.wanted)
    monkeypatch.setattr(study.probing, "by_answers", played_probes.by_answers)
    run = session.run()
    assert set(statuses(run).values()) == {"ok"}
    assert played_probes.probed == probed
    left = {each.subject: each.advice for each in run.findings if each.code == "probe-left-out"}
    assert left == {
        name: f"Type int8bench doctor --engine {name}, which probes it." for name in converting_s if name not in probed
    }
    phases = [step.phase for step in session.steps]
    assert any("probes" in phase for phase in phases if phase.startswith("this takes"))


def test_no_launch_is_started_for_nothing(session: Session) -> None:
    """Where all has failed in the checks of the first launch, there is none after it."""
    session.lab.objections = dict.fromkeys(("torch", "fbgemm", "qnnpack"), "its answers are wrong")
    with pytest.raises(NothingMeasuredError, match="its answers are wrong"):
        session.run()
    assert len(session.lab.prepared) == 1
