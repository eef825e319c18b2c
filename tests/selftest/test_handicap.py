"""A race with a known slow-down: what one side does more, and that the wait is told as long as it really is."""

import io
from collections.abc import Callable, Sequence
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from int8bench.errors import EngineError
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import launched
from int8bench.lab.sampling import Contender, Durations
from int8bench.selftest import handicap
from int8bench.study.session import worker
from int8bench.workload.cases import Group, int8_variant
from int8bench.workload.order import Order

VARIANT = int8_variant("fbgemm")
SHORT = Durations(warmup_s=0.0, race_s=0.02, single_s=0.0)
CALL_S = 0.25


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that moves by what is called: `CALL_S`, a wait as asked for and 0.01 s, and 0.002 s for a reading.

    Right after a call a wait takes 0.05 s more, as one does whose instructions a forward has driven out of the caches.
    """
    played = SimpleNamespace(now=0.0, built=0, calls=[])

    def time_once(call: Callable[[], object]) -> float:
        before = played.now
        call()
        played.now += 0.002
        return played.now - before

    def spin(duration_s: float) -> None:
        cold_s = 0.05 if played.calls and played.calls[-1] != "wait" else 0.0
        played.now += duration_s + 0.01 + cold_s
        played.calls.append("wait")

    def build(_prepared: object, _threads: int) -> SimpleNamespace:
        played.built += 1
        mine = played.built

        def predict() -> None:
            played.now += CALL_S
            played.calls.append(mine)

        return SimpleNamespace(bind=lambda _batch: predict)

    monkeypatch.setattr(handicap.sampling, "time_once", time_once)
    monkeypatch.setattr(handicap, "spin", spin)
    monkeypatch.setattr(handicap, "Waiting", partial(handicap.Waiting, clock=lambda: played.now))
    monkeypatch.setattr(worker, "engine_named", lambda _name: SimpleNamespace(build=build))
    return played


def order(seed: int = 1) -> handicap.HandicapOrder:
    """A slow-down of a fifth."""
    return handicap.HandicapOrder(
        variant=VARIANT, group=Group(batch=2, threads=1), durations=SHORT, seed=seed, share=0.2
    )


def prepared(**refused: str) -> SimpleNamespace:
    """What a launch has prepared, or why it could not."""
    pictures = SimpleNamespace(validation=np.zeros((3, 1, 2, 2), dtype=np.float32))
    return SimpleNamespace(
        order=pictures, ready={VARIANT: "ready"}, refused=dict.fromkeys([VARIANT] * len(refused), "no")
    )


def test_the_slowed_side_waits_in_every_call_and_the_others_for_no_time(
    clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three predictors, each built on its own; a call is a prediction and then the wait, which is timed after it."""
    took: dict[str, list[float]] = {}
    did: dict[str, list[object]] = {}

    def race(contenders: Sequence[Contender], durations: Durations, *, rng: np.random.Generator) -> str:
        assert durations == SHORT
        assert isinstance(rng, np.random.Generator)
        for contender in [*contenders, *reversed(contenders)]:
            clock.calls.clear()
            before = clock.now
            contender.call()
            took.setdefault(contender.name, []).append(clock.now - before)
            did[contender.name] = list(clock.calls)
        return "raced"

    monkeypatch.setattr(handicap.sampling, "race", race)
    found = handicap.race(prepared(), order(), SimpleNamespace())
    assert found.race == "raced"
    assert found.wait_s == pytest.approx(0.2 * (CALL_S + 0.002))
    assert clock.built == 3
    assert list(did) == ["reference", "candidate", "slowed"]
    assert all(calls[1:] == ["wait"] for calls in did.values())
    assert {calls[0] for calls in did.values()} == {1, 2, 3}
    longer = [slowed - usual for slowed, usual in zip(took["slowed"], took["reference"], strict=True)]
    assert longer == pytest.approx([found.wait_s] * 2)


def test_the_order_of_building_is_drawn(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the luck of being built first falls on each side."""
    firsts = set()

    def race(contenders: Sequence[Contender], _durations: Durations, **_: object) -> None:
        clock.calls.clear()
        for contender in contenders:
            contender.call()
        firsts.add((clock.calls[0] - 1) % 3)

    monkeypatch.setattr(handicap.sampling, "race", race)
    for seed in range(20):
        handicap.race(prepared(), order(seed), SimpleNamespace())
    assert firsts == {0, 1, 2}


@pytest.mark.usefixtures("clock")
def test_what_could_not_be_prepared_says_why() -> None:
    """The sentence of the launch is the fork's."""
    with pytest.raises(EngineError, match="no"):
        handicap.race(prepared(fbgemm="no"), order(), SimpleNamespace())


@pytest.mark.torch
def test_a_real_fork_races_three_and_tells_its_wait() -> None:
    """In a launch, as a selftest has it."""
    torch = pytest.importorskip("torch")
    from int8bench.workload.models import load_model

    names = torch.backends.quantized.supported_engines
    variant = int8_variant(next(each for each in ("fbgemm", "qnnpack") if each in names))
    state = io.BytesIO()
    torch.save(load_model("simplecnn", num_classes=10).module.state_dict(), state)
    pictures = np.random.default_rng(5).random((8, 3, 32, 32), dtype=np.float32)
    payload = Order(
        model="simplecnn",
        input_shape=(3, 32, 32),
        num_classes=10,
        state=state.getvalue(),
        variants=(variant,),
        calibration=pictures,
        validation=pictures,
        labels=np.arange(8, dtype=np.int64),
    )
    asked = handicap.HandicapOrder(variant=variant, group=Group(batch=1, threads=1), durations=SHORT, seed=1, share=0.5)
    setup = Setup(function=worker.prepare, payload=payload)
    with launched((0,), setup, settings=ProcessSettings()) as (launch,):
        found = launch.fork(handicap.race, asked).result(120.0)
    assert [track.name for track in found.race.tracks] == ["reference", "candidate", "slowed"]
    assert {len(track.times_s) for track in found.race.tracks} == {len(found.race.kept)}
    assert found.wait_s > 0
