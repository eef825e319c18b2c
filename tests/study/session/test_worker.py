"""What measuring processes do, in one shared launch with SimpleCNN as it is born, and in parts without one."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from int8bench.engines import registry
from int8bench.errors import EngineError, LabError
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Launch, launched
from int8bench.lab.sampling import Durations
from int8bench.study.session import worker
from int8bench.study.session.worker import Alone, Check, Expect, Order, RaceOrder, SoloOrder, Stream
from int8bench.workload.cases import Group, Variant, float32_references, int8_variant

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch

CHANNELS_LAST, NCHW = float32_references()
GROUP = Group(batch=64, threads=1)
INT8 = int8_variant(
    next((each for each in ("fbgemm", "qnnpack") if each in torch.backends.quantized.supported_engines), "fbgemm")
)
NOWHERE = int8_variant("nowhere")  # an engine that no package brings
SHORT = Durations(warmup_s=0.0, race_s=0.02, single_s=0.02)
PICTURES = 12
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def order() -> Order:
    """SimpleCNN with its initial weights, and a few random pictures."""
    from int8bench.workload.models import load_model

    rng = np.random.default_rng(5)
    state = io.BytesIO()
    torch.save(load_model("simplecnn", num_classes=10).module.state_dict(), state)
    pictures = rng.random((PICTURES, 3, 32, 32), dtype=np.float32)
    return Order(
        model="simplecnn",
        input_shape=(3, 32, 32),
        num_classes=10,
        state=state.getvalue(),
        variants=(CHANNELS_LAST, NCHW, INT8, NOWHERE),
        calibration=pictures,
        validation=pictures,
        labels=np.arange(PICTURES, dtype=np.int64) % 10,
    )


@pytest.fixture(scope="module")
def launch(order: Order) -> Iterator[Launch]:
    """One launch that has prepared all variants."""
    setup = Setup(function=worker.prepare, payload=order)
    with launched((0,), setup, settings=ProcessSettings()) as (one,):
        yield one


def done(launch: Launch, function: str, payload: object) -> object:
    """What a fork of the launch answers."""
    return launch.fork(getattr(worker, function), payload).result(PATIENCE_S)


def test_a_race_has_a_track_a_contender_in_the_order_that_was_asked(launch: Launch) -> None:
    """Rounds are aligned, whatever order the contenders were built and called in."""
    variants = (INT8, NCHW, CHANNELS_LAST)
    for seed in (1, 2):
        raced = done(
            launch, "race", RaceOrder(variants=variants, group=Group(batch=2, threads=1), durations=SHORT, seed=seed)
        )
        assert [track.name for track in raced.tracks] == [each.label for each in variants]
        assert {len(track.times_s) for track in raced.tracks} == {len(raced.kept)}
        assert all(min(track.times_s) > 0 for track in raced.tracks)


def test_a_contender_may_race_alone(launch: Launch) -> None:
    """As blame asks for, with no float32 beside it."""
    raced = done(launch, "race", RaceOrder(variants=(INT8,), group=Group(batch=1, threads=1), durations=SHORT, seed=1))
    assert [track.name for track in raced.tracks] == [INT8.label]


def test_what_could_not_be_prepared_says_why_wherever_it_is_asked_for(launch: Launch) -> None:
    """One engine's refusal is its own row; the launch serves the others."""
    group = Group(batch=1, threads=1)
    asked = {
        "check": worker.Check(variant=NOWHERE, group=GROUP),
        "race": RaceOrder(variants=(CHANNELS_LAST, NOWHERE), group=group, durations=SHORT, seed=1),
        "alone": SoloOrder(variant=NOWHERE, group=group, seed=1),
    }
    for function, payload in asked.items():
        with pytest.raises(LabError, match=r"nowhere.*unknown"):
            done(launch, function, payload)


def test_a_check_compares_with_float32_and_weighs(launch: Launch) -> None:
    """Float32 agrees with itself and meets no objection; int8 is close and lighter, and both say what ran."""
    reference, int8 = (
        done(launch, "check", worker.Check(variant=variant, group=GROUP)) for variant in (CHANNELS_LAST, INT8)
    )
    assert reference.objection is None
    assert reference.fidelity.agreement == 1.0
    assert reference.fidelity.top1 == reference.fidelity.top1_float32
    assert reference.weights_bytes == 60_362 * 4
    assert int8.weights_bytes < reference.weights_bytes / 3
    assert 10.0 < int8.fidelity.sqnr_db < 60.0
    assert reference.evidence
    assert int8.evidence


def test_alone_tells_its_cost_and_then_calls_until_told_to_stop(launch: Launch) -> None:
    """Cold call and memory come first; the load begins when a time to stop at arrives, and ends at it."""
    order = SoloOrder(variant=INT8, group=Group(batch=2, threads=1), seed=3)
    fork = launch.fork(worker.alone, order)
    alone = fork.heard(worker.Alone, PATIENCE_S)
    assert isinstance(alone, Alone)
    assert min(alone.build_s, alone.cold_s) > 0
    until = worker.sampling.shared_now() + 0.05
    fork.line.send(until)
    stream = fork.result(PATIENCE_S)
    assert isinstance(stream, Stream)
    assert stream.ended_s >= until > stream.started_s
    assert stream.calls >= 1


def test_memory_is_what_the_activations_need(launch: Launch) -> None:
    """From batch 1 to 32 the peak grows by what float32 has alive at once, by hand, to within 20 %.

    While the first ReLU runs, its input and its output are there, 32 channels of 32x32 each in float32, and so is the
    batch, which was copied once into the model's layout.
    """

    def peak_bytes(batch: int) -> int:
        fork = launch.fork(
            worker.alone,
            SoloOrder(variant=CHANNELS_LAST, group=Group(batch=batch, threads=1), seed=1),
        )
        try:
            return fork.heard(worker.Alone, PATIENCE_S).peak_bytes
        finally:
            fork.end()

    by_hand = 31 * 4 * (2 * 32 + 2 * 3) * 32 * 32
    assert peak_bytes(32) - peak_bytes(1) == pytest.approx(by_hand, rel=0.2)
    assert abs(done(launch, "idle", None)) < by_hand / 10


def test_pictures_repeat_where_there_are_too_few() -> None:
    """A batch is as large as asked, picture by picture, in one block of memory."""
    images = np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1)
    batch = worker.pictures(images, 8)
    assert batch.flatten().tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert batch.flags.c_contiguous
    assert worker.pictures(images, 2).flatten().tolist() == [0, 1]


class Answering:
    """A predictor that gives fixed answers."""

    def __init__(self, answers: list[list[float]]):
        """Answers (image, class)."""
        self.answers = np.array(answers, np.float32)

    def __call__(self, _batch: object) -> np.ndarray:
        """The answers, whatever is asked."""
        return self.answers


RIGHT, WRONG, ENDLESS = [[1.0, 9.0], [8.0, 2.0]], [[9.0, 1.0], [2.0, 8.0]], [[1.0, float("nan")], [8.0, 2.0]]


@pytest.mark.parametrize("answers", [WRONG, ENDLESS, [[1.0, 9.0]]])
def test_a_contender_that_answers_otherwise_in_this_process_is_not_timed(answers: list[list[float]]) -> None:
    """Wrong classes, no numbers and too few answers, whatever the order of building."""
    batch = np.zeros((2, 3, 32, 32), np.float32)
    right = Answering(RIGHT)
    worker._same_answers({CHANNELS_LAST: right, NCHW: right, INT8: right}, batch)
    for built in ({CHANNELS_LAST: right, INT8: Answering(answers)}, {INT8: Answering(answers), NCHW: right}):
        with pytest.raises(EngineError):
            worker._same_answers(built, batch)


def test_without_a_float32_there_is_nothing_to_hold_answers_against() -> None:
    """A race of int8 contenders alone is not refused: their answers were checked before."""
    worker._same_answers({INT8: Answering(WRONG)}, np.zeros((2, 3, 32, 32), np.float32))


class Faulty:
    """An engine from elsewhere, with a fault."""

    def prepare(self, *_: object) -> object:
        """Raises what is no error of ours."""
        raise ZeroDivisionError("no scale")


def test_an_engine_with_a_fault_is_refused_alone(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises is its own reason; the others are ready."""
    named = registry.engine_named
    monkeypatch.setattr(worker, "engine_named", lambda name: Faulty() if name == "faulty" else named(name))
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    faulty = Variant(engine="faulty", precision="int8", layout="channels_last")
    prepared = worker.prepare(replace(order, variants=(CHANNELS_LAST, faulty)))
    assert dict(prepared.refused) == {faulty: "ZeroDivisionError: no scale"}
    assert set(prepared.ready) == {CHANNELS_LAST}


def test_engines_get_constant_weights_however_a_model_computes_them(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a checkpoint, whose names are the model's own; float32 and converters get the same."""
    (tmp_path / "normed.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))\n"
        "    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    from int8bench.workload.models import load_model

    trained = load_model("normed:net", num_classes=10, input_shape=(3, 32, 32), seed=7).module
    state = io.BytesIO()
    torch.save(trained.state_dict(), state)
    given = replace(order, model="normed:net", state=state.getvalue(), variants=())
    _, module = worker.load(given)
    assert type(module[0]) is torch.nn.Conv2d
    assert "0.weight" in module.state_dict()
    pictures = torch.from_numpy(order.validation)
    with torch.no_grad():
        assert torch.allclose(module(pictures), trained(pictures), atol=1e-6)


class Counting:
    """Answers pictures with their numbers, and takes so many seconds for each on a clock that it moves."""

    def __init__(self, picture_s: float, first_s: float = 0.0) -> None:
        """Keeps the seconds of a picture, and of what the first call does beside."""
        self.picture_s, self.first_s, self.now, self.asked = picture_s, first_s, 0.0, []

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Their numbers."""
        self.now += self.picture_s * len(pictures) + (0.0 if self.asked else self.first_s)
        self.asked.append(len(pictures))
        return pictures

    def answers(self, pictures: int, *, least: int, limit_s: float) -> tuple[np.ndarray, float]:
        """What the worker makes of it."""
        numbers = np.arange(pictures, dtype=np.float32)[:, None]
        return worker._answers(self, numbers, least=least, limit_s=limit_s, clock=lambda: self.now)


def test_all_pictures_are_answered_where_there_is_time() -> None:
    """In order, in growing parts of no more than a batch of checks."""
    quick = Counting(0.001)
    answers, picture_s = quick.answers(265, least=8, limit_s=60.0)
    assert answers[:, 0].tolist() == list(range(265))
    assert quick.asked == [8, 16, 32, 64, 64, 64, 17]
    assert picture_s == pytest.approx(0.001)


@pytest.mark.parametrize(("picture_s", "limit_s"), [(1.0, 20.0), (0.1, 5.0), (3.0, 10.0)])
def test_an_interpreter_that_takes_a_second_each_answers_fewer(picture_s: float, limit_s: float) -> None:
    """As many as its share has room for; the clock is not overrun, and what a picture takes is known."""
    slow = Counting(picture_s)
    answers, found_s = slow.answers(265, least=1, limit_s=limit_s)
    assert slow.now <= limit_s
    assert 1 <= len(answers) < 265
    assert found_s == pytest.approx(picture_s)
    assert len(answers) * picture_s > limit_s / 5


def test_the_least_is_answered_whatever_it_takes() -> None:
    """A batch that is run as a whole is answered as a whole: of nothing nothing can be said."""
    slow = Counting(10.0)
    assert len(slow.answers(64, least=8, limit_s=1.0)[0]) == 8
    assert len(slow.answers(4, least=8, limit_s=1.0)[0]) == 4


def test_a_slow_first_call_does_not_count_as_the_pace() -> None:
    """What is set up once is not what a picture takes."""
    warming = Counting(0.01, first_s=2.0)
    answers, picture_s = warming.answers(100, least=8, limit_s=10.0)
    assert len(answers) == 100
    assert picture_s == pytest.approx(0.01)


def test_float32_answers_first_and_the_others_are_held_against_it(launch: Launch) -> None:
    """The same answers to the bit that a check would have asked for itself, and so the same fidelity."""
    expected = launch.fork(worker.expect, Expect(group=GROUP)).result(PATIENCE_S)
    assert expected.answers.shape == (PICTURES, 10)
    assert expected.picture_s > 0
    told = Check(variant=INT8, group=GROUP, expected=expected.answers)
    alone, beside = (
        launch.fork(worker.check, each).result(PATIENCE_S) for each in (Check(variant=INT8, group=GROUP), told)
    )
    assert alone.fidelity == beside.fidelity
    assert beside.fidelity.pictures == PICTURES
    assert beside.picture_s > 0


def test_of_few_pictures_top1_is_not_told(launch: Launch) -> None:
    """One picture of eight that is answered otherwise would be twelve points; SQNR is that of the eight."""
    small = Group(batch=2, threads=1)
    expected = launch.fork(worker.expect, Expect(group=small)).result(PATIENCE_S)
    few = Check(variant=INT8, group=small, expected=expected.answers, limit_s=0.0)
    checked = launch.fork(worker.check, few).result(PATIENCE_S)
    assert checked.fidelity.pictures == 2
    assert checked.fidelity.top1 is None
    assert checked.fidelity.sqnr_db is not None
