"""A grid becomes a record: whole sessions with a lab that is played, without a launch and without a clock."""

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import lab_tasks
import numpy as np
import psutil
import pytest
from played_lab import Fault, PlayedLaunch
from played_study import MACHINE, SECONDS, TORCH, Session, played, statuses

from int8bench import files, machine
from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError, RecordError, RequestError
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import launched
from int8bench.machine import Hardware
from int8bench.study import figures, records, study
from int8bench.study.cells import Cell, Samples
from int8bench.study.records import Run
from int8bench.study.session import measuring
from int8bench.study.session.session import SAVE_EVERY_S
from int8bench.workload.cases import int8_variant


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Session:
    """A session on a played machine with a played lab; nothing is trained and nothing is launched."""
    return played(monkeypatch, tmp_path / "run.json")


def dies(engine: str, function: str, *, batch: int | None = None, reason: str = "was ended by SIGSEGV") -> Fault:
    """A fault of whatever asks that engine for that function, at that batch."""

    def fault(asked: str, payload: object, _launch: int) -> None:
        variants = getattr(payload, "variants", ())
        variants = variants or ([payload.variant] if hasattr(payload, "variant") else [])
        group = getattr(payload, "group", None)
        if (
            asked == function
            and engine in {each.engine for each in variants}
            and batch in {None, group and group.batch}
        ):
            raise LabError(reason)

    return fault


def errors(run: Run) -> dict[tuple[str, int], str]:
    """The reason of each cell that has one."""
    return {(cell.engine, cell.batch): cell.error for cell in run.cells if cell.error}


def test_a_whole_session_measures_every_cell(session: Session) -> None:
    """Each of the cells is raced in every launch and measured alone in its replicates, and the record is whole."""
    run = session.run()
    assert run.complete
    assert set(statuses(run).values()) == {"ok"}
    assert len(run.cells) == 8
    assert records.dumps(session.kept()) == records.dumps(run)
    assert session.lab.count("race") == 4 * 2
    assert session.lab.count("check") == 4
    assert session.lab.count("idle") == 8 * 2
    assert [cell.speedup("best_float32").verdict for cell in run.cells[2:4]] == ["faster", "slower"]
    assert session.lab.open_forks == session.lab.running == 0


def test_answers_are_checked_before_anything_is_timed(session: Session) -> None:
    """All checks and probes come before the first race and the first contender alone."""
    session.run()
    functions = [name for _, name, _ in session.lab.asked]
    timed = min(functions.index("race"), functions.index("alone"))
    assert functions[:timed] == ["expect"] + ["check"] * 4 + ["probe"] * 2
    assert not {"check", "probe"} & set(functions[timed:])


def test_each_task_has_a_fork_of_its_own_and_a_launch_of_its_own_luck(session: Session) -> None:
    """Every launch races every group once a fork, under a seed of its own."""
    session.run()
    races = [(launch, payload) for launch, name, payload in session.lab.asked if name == "race"]
    assert sorted((launch, payload.group.batch) for launch, payload in races) == [
        (launch, batch) for launch in range(4) for batch in (1, 8)
    ]
    assert len({payload.seed for _, payload in races}) == len(races)


def test_streams_fill_the_cores(session: Session) -> None:
    """Two usable cores carry two streams of one thread, or one of two."""
    run = session.run(threads=(1, 2), batches=(1,))
    assert {(cell.threads, cell.throughput_items_per_s.streams) for cell in run.cells} == {(1, 2), (2, 1)}
    assert session.lab.count("alone") == 2 * 4 * (2 + 1)
    one = next(cell for cell in run.cells if cell.threads == 1)
    assert one.throughput_items_per_s.value == pytest.approx(2 * 10 / 1.0)


def test_a_variant_whose_answers_are_wrong_is_a_row_with_its_reason(session: Session) -> None:
    """It is neither raced nor measured alone; the others are."""
    session.lab.objections["qnnpack"] = "its answers are wrong: 3.0 dB"
    run = session.run()
    assert errors(run) == {("qnnpack", batch): "its answers are wrong: 3.0 dB" for batch in (1, 8)}
    assert [cell.status for cell in run.cells if cell.engine != "qnnpack"] == ["ok"] * 6
    timed = [payload for _, name, payload in session.lab.asked if name in {"race", "alone"}]
    assert all(int8_variant("qnnpack") not in getattr(payload, "variants", [payload]) for payload in timed)


@pytest.mark.parametrize("function", ["check", "race", "alone"])
@pytest.mark.parametrize("reason", ["was ended by SIGSEGV", "gave no answer in 5 s and was stopped"])
def test_whoever_dies_or_hangs_fails_alone(session: Session, function: str, reason: str) -> None:
    """In a check, a race or alone: the guilty engine's cells carry the reason, and everybody else's are measured."""
    session.lab.fault = dies("qnnpack", function, reason=reason)
    run = session.run()
    assert errors(run) == {("qnnpack", 1): reason, ("qnnpack", 8): reason}
    assert [cell.status for cell in run.cells if cell.engine != "qnnpack"] == ["ok"] * 6
    assert all(cell.samples == Samples(races=(), solos=()) for cell in run.cells if cell.engine == "qnnpack")
    assert session.lab.open_forks == 0


def test_the_others_are_raced_in_the_launch_in_which_one_died(session: Session) -> None:
    """They have as many launches as if it had not been there."""
    session.lab.fault = dies("qnnpack", "race")
    launches = [{race.launch for race in cell.samples.races} for cell in session.run().cells if cell.engine == "fbgemm"]
    assert launches == [{0, 1, 2, 3}] * 2


def test_a_cell_that_dies_takes_its_own_batch_alone(session: Session) -> None:
    """An engine that dies at batch 8 is measured at batch 1."""
    session.lab.fault = dies("fbgemm", "race", batch=8)
    assert errors(session.run()) == {("fbgemm", 8): "was ended by SIGSEGV"}


def test_a_float32_that_dies_does_not_take_int8_along(session: Session) -> None:
    """With both float32 gone there is no speed-up to tell, but int8 has its own figures."""
    session.lab.fault = dies("torch", "race")
    session.lab.fault = lambda name, payload, launch, fault=session.lab.fault: (
        fault(name, payload, launch) if launch == 1 else None
    )
    run = session.run(batches=(1,))
    assert [cell.status for cell in run.cells] == ["failed", "failed", "ok", "ok"]
    assert not any(cell.speedups for cell in run.cells)


def test_blame_holds_int8_against_a_float32_that_works(session: Session) -> None:
    """After a race that died each float32 runs alone, and each int8 beside one that could."""
    session.lab.fault = dies("qnnpack", "race")
    session.run(batches=(1,))
    first = [payload.variants for _, name, payload in session.lab.asked if name == "race"][1:5]
    assert [[each.label for each in variants] for variants in first] == [
        ["torch float32 channels_last"],
        ["torch float32 nchw"],
        ["torch float32 nchw", "fbgemm int8"],
        ["torch float32 nchw", "qnnpack int8"],
    ]


def test_a_race_that_dies_with_nobody_guilty_fails_all_of_its_group(session: Session) -> None:
    """Contenders that die together only are no figures either, and the other group goes on."""

    def fault(name: str, payload: object, _launch: int) -> None:
        if name == "race" and len(payload.variants) > 2 and payload.group.batch == 8:
            raise LabError("was ended by SIGBUS")

    session.lab.fault = fault
    run = session.run()
    assert {cell.status for cell in run.cells if cell.batch == 8} == {"failed"}
    assert {cell.status for cell in run.cells if cell.batch == 1} == {"ok"}


@pytest.mark.parametrize("phase", ["launch", "check", "race", "alone"])
def test_nobody_is_blamed_for_a_launch_that_is_gone(session: Session, phase: str) -> None:
    """Whatever was being done: the run stops with its reason, keeps its samples, and goes on when called again."""
    gone: list[str] = []

    def fault(name: str, _payload: object, launch: int) -> None:
        if gone or (name == phase and launch == (0 if phase == "check" else 1)):
            gone.append(name)
            raise LabError(f"launch {launch} is gone")

    session.lab.fault = fault
    with pytest.raises(NothingMeasuredError, match=r"launch \d is gone, before.*the same command goes on from"):
        session.run()
    assert session.lab.open_forks == session.lab.running == 0
    assert {cell.status for cell in session.kept().cells} == {"skipped"}
    session.lab.fault = lambda *_: None
    assert set(statuses(session.run()).values()) == {"ok"}


def test_when_every_cell_fails_there_is_no_answer(session: Session) -> None:
    """The reasons are told, each once, the exit code is 3, and the file is kept."""
    session.lab.fault = dies("torch", "check", reason="float32 is broken")
    session.lab.objections = dict.fromkeys(("fbgemm", "qnnpack"), "its answers are wrong")
    with pytest.raises(
        NothingMeasuredError, match=r"nothing could be measured: float32 is broken; its answers are wrong$"
    ) as told:
        session.run()
    assert told.value.exit_code == 3
    assert session.kept().complete
    assert set(statuses(session.kept()).values()) == {"failed"}


def test_an_engine_that_is_not_here_is_skipped_with_the_way_to_get_it(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row says why; the rest are measured, and the engine is never prepared."""
    monkeypatch.setattr(machine, "detect_torch", lambda: replace(TORCH, supported_engines=("fbgemm",)))
    run = session.run()
    assert {cell.status for cell in run.cells if cell.engine == "qnnpack"} == {"skipped"}
    assert all(cell.error for cell in run.cells if cell.engine == "qnnpack")
    assert all(int8_variant("qnnpack") not in variants for variants in session.lab.prepared)


@pytest.mark.parametrize("asked", range(1, 60, 6))
def test_ctrl_c_at_any_time_keeps_what_was_measured_and_goes_on(session: Session, asked: int) -> None:
    """Whatever was being done: one sentence, a whole file, and the same command measures only what is missing."""

    def fault(*_: object) -> None:
        if len(session.lab.asked) >= asked:
            raise KeyboardInterrupt

    session.lab.fault = fault
    with pytest.raises(
        (NothingMeasuredError, InterruptedRunError), match=r"stopped.*the same command goes on from"
    ) as told:
        session.run()
    assert session.lab.open_forks == session.lab.running == 0
    kept = session.kept()
    assert not kept.complete
    assert told.value.exit_code == (2 if "ok" in statuses(kept).values() else 3)
    races = {(race.launch, race.fork, cell.id) for cell in kept.cells for race in cell.samples.races}
    solos = sum(len(cell.samples.solos) for cell in kept.cells)
    session.lab.fault = lambda *_: None
    session.lab.asked.clear()
    run = session.run()
    assert run.complete
    assert run.created_at == kept.created_at
    assert session.lab.count("race") == 8 - len(races) // 4
    assert session.lab.count("idle") == 16 - solos
    assert races <= {(race.launch, race.fork, cell.id) for cell in run.cells for race in cell.samples.races}


def test_ctrl_c_while_the_last_record_is_saved_loses_nothing(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is whole and unfinished, and the exit code says that there are figures."""
    save = records.save

    def interrupted(run: Run, path: Path) -> None:
        if run.complete:
            raise KeyboardInterrupt
        save(run, path)

    monkeypatch.setattr(records, "save", interrupted)
    with pytest.raises(InterruptedRunError, match="stopped, with figures for 8 of 8 cells"):
        session.run()
    assert not session.kept().complete


def _halved(cell: Cell) -> Cell:
    """A cell that has lost the first fork of its second launch."""
    kept = tuple(race for race in cell.samples.races if (race.launch, race.fork) != (1, 0))
    return replace(cell, samples=replace(cell.samples, races=kept))


def test_an_interrupted_launch_is_measured_anew_as_a_whole(session: Session) -> None:
    """Forks belong to one process: half a launch is dropped, never filled up from another."""
    session.run(quick=False, budget_s=120.0, batches=(1,))
    whole = session.kept()
    forks = max(race.fork for race in whole.cells[0].samples.races) + 1
    assert forks == 2
    records.save(replace(whole, complete=False, cells=tuple(map(_halved, whole.cells))), session.output)
    session.lab.asked.clear()
    again = session.run(quick=False, budget_s=120.0, batches=(1,))
    assert session.lab.count("race") == forks
    found = [(race.launch, race.fork) for race in again.cells[0].samples.races]
    assert sorted(found) == sorted((race.launch, race.fork) for race in again.cells[3].samples.races)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batches": (1, 16)}, "--batch"),
        ({"engines": ("fbgemm",)}, "--engines"),
        ({"precision": 0.02}, "--precision"),
        ({"seed": 1}, "--seed"),
    ],
)
def test_an_unfinished_run_of_other_settings_is_left_alone(
    session: Session, changes: dict[str, object], named: str
) -> None:
    """The refusal names what differs, and the file stays as it was."""
    _interrupt(session)
    before = session.output.read_bytes()
    session.lab.asked.clear()
    with pytest.raises(RequestError, match=f"differs in .*{named}"):
        session.run(**changes)
    assert session.output.read_bytes() == before
    assert not session.lab.asked


def test_an_unfinished_run_of_another_machine_is_left_alone(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of two machines are never mixed."""
    _interrupt(session)
    monkeypatch.setattr(machine, "detect", lambda: replace(MACHINE, model=2))
    with pytest.raises(RequestError, match="differs in the machine"):
        session.run()


def test_a_finished_run_is_moved_aside(session: Session) -> None:
    """Nothing written before is lost: the last two are kept."""
    first = session.run()
    session.run()
    assert records.dumps(records.load(session.output.with_name("run.previous.json"))) == records.dumps(first)


def test_a_group_that_has_settled_is_left_out_of_the_next_block(session: Session) -> None:
    """Exact figures settle at the first look; spread ones are measured to the last."""
    session.run(quick=False, budget_s=150.0, batches=(1,))
    settled = session.lab.count("race")
    looks = session.kept().settings["plan"]["looks"]
    assert len(looks) > 1
    assert settled == looks[0] * session.kept().settings["plan"]["forks"]
    session.lab.spread = 0.5
    session.lab.asked.clear()
    session.run(quick=False, budget_s=150.0, batches=(1,), seed=1)
    assert session.lab.count("race") == looks[-1] * session.kept().settings["plan"]["forks"]


def test_measuring_keeps_to_its_time(session: Session) -> None:
    """A lab that is slower than planned is not asked for the next block, though nothing was promised in all."""

    def fault(*_: object) -> None:
        session.lab.now += 4.0

    session.lab.spread, session.lab.fault = 0.5, fault
    run = session.run(quick=False, measuring_s=150.0, batches=(1,))
    looks, forks = run.settings["plan"]["looks"], run.settings["plan"]["forks"]
    assert session.lab.count("race") == looks[0] * forks
    assert run.complete


def test_measuring_that_goes_on_from_a_file_keeps_to_its_time(session: Session) -> None:
    """Launches that are in the file already do not make it seem faster than it is."""

    def fault(name: str, _payload: object, launch: int) -> None:
        if name == "race":
            session.lab.now += 15.0
            if launch == stop_at:
                raise KeyboardInterrupt

    session.lab.spread, session.lab.fault = 0.5, fault
    stop_at = 3
    with pytest.raises(InterruptedRunError):
        session.run(quick=False, measuring_s=150.0, batches=(1,))
    stop_at = -1
    run = session.run(quick=False, measuring_s=150.0, batches=(1,))
    raced = {launch for launch, name, _ in session.lab.asked if name == "race"}
    assert raced == set(range(run.settings["plan"]["looks"][0]))


@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_progress_never_exceeds_its_total_and_ends_at_it(session: Session, spread: float) -> None:
    """A bar that only ever grows, whose total shrinks where groups settle early, and that ends full."""
    session.lab.spread = spread
    session.lab.objections["qnnpack"] = "its answers are wrong"
    session.run(quick=False, budget_s=150.0)
    counted = [step for step in session.steps if step.total is not None]
    done = [step.done for step in counted]
    assert done == sorted(done)
    assert all(0 <= step.done <= step.total for step in counted)
    assert counted[-1].done == counted[-1].total > 0
    first = next(step for step in counted if "starting" in step.phase)
    assert first.total == max(step.total for step in counted)


def test_phases_are_told_when_they_begin(session: Session) -> None:
    """Whoever waits reads what is being done, not what was done."""
    heard = []
    session.lab.fault = lambda name, *_: heard.append((name, session.steps[-1].phase))
    session.run(batches=(1,))
    for name, word in (
        ("launch", "starting measuring processes"),
        ("check", "checking"),
        ("race", "racing"),
        ("alone", "measuring alone"),
    ):
        assert {phase.startswith(word) for asked, phase in heard if asked == name} == {True}, name


def test_a_killed_run_has_saved_now_and_then(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured is written down every few seconds, not only at the end of a block."""
    saved = []
    save = records.save
    monkeypatch.setattr(records, "save", lambda run, path: (saved.append(session.lab.now), save(run, path)))

    def fault(*_: object) -> None:
        session.lab.now += 1.0

    session.lab.fault = fault
    session.run(batches=(1,))
    assert max(np.diff(saved)) <= SAVE_EVERY_S + 5.0


def test_figures_are_computed_once_at_the_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved on the way are samples: a killed run has them all, and pays for no figure while it measures."""
    made, saved = [], []
    compute, save = figures.record, records.save
    monkeypatch.setattr(figures, "record", lambda **of: (made.append(of["complete"]), compute(**of))[1])
    monkeypatch.setattr(records, "save", lambda run, path: (saved.append(run), save(run, path)))
    run = session.run(batches=(1,))
    assert made == [True]
    assert len(saved) > 2
    assert {cell.status for each in saved[:-1] for cell in each.cells} == {"skipped"}
    assert figures.computed(saved[-2]).cells == run.cells


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"engines": ("fbgem",)}, "did you mean fbgemm"),
        ({"engines": ("torch",)}, "--engines torch: a float32 engine"),
        ({"threads": (3,)}, "--threads 3: this machine has 2 usable cores; choose numbers from 1 to 2"),
        ({"batches": (10**6,)}, r"--batch 1000000: 12\.3 GB of pictures.*8\.00 GB of memory; choose \d+ or less"),
        ({"budget_s": 0.5}, "--budget"),
        ({"model": "resnet19"}, "resnet18"),
        ({"model": "some:thing"}, "--input-shape"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_prepared(
    session: Session, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], sentence: str
) -> None:
    """Nobody waits for a training to learn of a typing error."""
    monkeypatch.setattr(study, "prepare_subject", lambda *_, **__: pytest.fail("was prepared"))
    with pytest.raises(RequestError, match=sentence):
        session.run(**changes)
    assert not session.output.exists()


def test_one_usable_core_is_said_so(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way out fits the machine, and so does the default."""
    monkeypatch.setattr(machine, "detect", lambda: replace(MACHINE, usable_cores=1))
    with pytest.raises(RequestError, match=r"--threads 2: this machine has 1 usable core; choose 1$"):
        session.run(threads=(1, 2))
    assert {cell.threads for cell in session.run(threads=None).cells} == {1}


def test_the_default_grid_races_fbgemm_and_the_recommended_engine(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On AVX2 both are fbgemm; with VNNI x86 comes along; threads are 1 and all usable."""
    run = session.run(engines=None, threads=None, batches=(1,))
    assert [cell.engine for cell in run.cells] == ["torch", "torch", "fbgemm"] * 2
    assert [cell.threads for cell in run.cells] == [1] * 3 + [2] * 3
    vnni = replace(MACHINE, flags=MACHINE.flags | {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"})
    monkeypatch.setattr(machine, "detect", lambda: vnni)
    monkeypatch.setitem(SECONDS, "x86", 0.0005)
    session.output = session.output.with_name("vnni.json")
    assert {cell.engine for cell in session.run(engines=None, batches=(1,)).cells} == {"torch", "fbgemm", "x86"}


@pytest.mark.parametrize("content", ['{"some": "thing"}', "not JSON", ""])
def test_a_file_that_is_not_ours_is_left_alone_before_anything_is_prepared(
    session: Session, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    """It is neither read as a record nor written over."""
    monkeypatch.setattr(study, "prepare_subject", lambda *_, **__: pytest.fail("was prepared"))
    session.output.write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=r"run\.json"):
        session.run()
    assert session.output.read_text(encoding="utf-8") == content


def test_an_output_that_cannot_be_written_is_found_out_first(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before minutes of training, and what lies there stays as it is."""
    monkeypatch.setattr(study, "prepare_subject", lambda *_, **__: pytest.fail("was prepared"))
    session.output = session.output.parent
    with pytest.raises(RequestError, match=r"-o .*cannot be written"):
        session.run()


def test_looking_whether_it_can_be_written_changes_nothing(session: Session) -> None:
    """A file that is there stays, and none is left where there was none."""
    files.check_writable(session.output)
    assert not list(session.output.parent.iterdir())
    session.output.write_text("mine", encoding="utf-8")
    files.check_writable(session.output)
    assert [each.read_text(encoding="utf-8") for each in session.output.parent.iterdir()] == ["mine"]


def test_a_disk_that_fills_up_ends_the_run_with_a_sentence(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before stays whole, and no process is left."""
    monkeypatch.setattr("int8bench.study.session.session.SAVE_EVERY_S", 0.0)
    save = records.save

    def full(run: Run, path: Path) -> None:
        if session.lab.count("race") > 3:
            raise RequestError(f"-o {path}: cannot be written: No space left on device")
        save(run, path)

    monkeypatch.setattr(records, "save", full)
    with pytest.raises(RequestError, match="No space left"):
        session.run()
    assert not session.kept().complete
    assert session.lab.open_forks == session.lab.running == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("phase", ["launch", "check", "alone", "race"])
def test_kill_9_in_any_phase_leaves_a_whole_file_and_no_process(
    session: Session, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    """Real launches with a task that hangs in that phase; afterwards the same command goes on."""
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "helpers")
    coordinator = os.fork()
    if coordinator == 0:
        try:
            _hang_in(session, phase)
        finally:
            os._exit(1)
    expected = 1 if phase == "launch" else 2  # the launch, and its fork that hangs
    while len(left := psutil.Process(coordinator).children(recursive=True)) < expected:
        assert os.waitpid(coordinator, os.WNOHANG) == (0, 0), "ended on its own"
        time.sleep(0.02)
    os.kill(coordinator, signal.SIGKILL)
    os.waitpid(coordinator, 0)
    _, alive = psutil.wait_procs(left, timeout=30)
    assert not [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]
    kept = session.kept()
    assert not kept.complete
    run = session.run()
    assert run.complete
    assert run.created_at == kept.created_at


def _hang_in(session: Session, phase: str) -> None:
    """Runs a study with one real launch, whose first task of a phase never ends."""
    lab, played = session.lab, session.lab.launched

    @contextmanager
    def half_real(
        indexes: Sequence[int], setup: object, *, settings: ProcessSettings, timeout_s: float
    ) -> Iterator[tuple[PlayedLaunch, ...]]:
        hanging = Setup(function=time.sleep if phase == "launch" else lab_tasks.remember, payload=600)
        with (
            launched((0,), hanging, settings=settings) as (real,),
            played(indexes, setup, settings=settings, timeout_s=timeout_s) as launches,
        ):
            lab.fault = lambda name, *_: real.fork(lab_tasks.hang, None).result(600) if name == phase else None
            yield launches

    measuring.launched = half_real
    session.run()


def _interrupt(session: Session) -> None:
    """Leaves an unfinished run."""

    def fault(name: str, *_: object) -> None:
        if name == "race":
            raise KeyboardInterrupt

    session.lab.fault = fault
    with pytest.raises((NothingMeasuredError, InterruptedRunError)):
        session.run()
    session.lab.fault = lambda *_: None


@pytest.mark.parametrize(
    ("described", "engines"),
    [
        (Hardware(arch="x86_64", os="Linux", flags=frozenset({"sse4_1", "avx2"})), ("fbgemm",)),
        (Hardware(arch="x86_64", os="Linux", flags=frozenset({"avx2", "avx512f", "avx512_vnni"})), ("fbgemm", "x86")),
        (Hardware(arch="arm64", os="Linux", flags=frozenset({"asimd"})), ("qnnpack",)),
        (Hardware(arch="riscv64", os="Linux"), ("fbgemm",)),
    ],
    ids=["avx2", "vnni", "arm", "none fits"],
)
def test_the_default_engines_are_those_that_run_here(described: Hardware, engines: tuple[str, ...]) -> None:
    """Fbgemm where it runs and the recommended one; where none fits, fbgemm's row says why."""
    assert study._default_engines(described) == engines
