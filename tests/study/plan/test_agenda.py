"""What is still to do and how long it takes, from a ledger and a pace that a test sets."""

import converters
import pytest
from runs import int8_variants

from int8bench.engines.base import Conversion
from int8bench.study.cells import RaceSample, SoloSample
from int8bench.study.plan.agenda import Agenda
from int8bench.study.plan.forecast import Pace
from int8bench.study.plan.plan import plan_for
from int8bench.study.session.conversions import Due, Wanted
from int8bench.study.session.ledger import Ledger
from int8bench.workload.cases import Case, grid
from int8bench.workload.order import Network

CASES = grid(model="m", variants=int8_variants("fbgemm", "x86"), batches=(1, 8), threads=(1,))
PLAN = plan_for(CASES, budget_s=None, quick=True)
SMALL = [case for case in CASES if case.group.batch == 1]
FBGEMM = next(case.variant for case in CASES if case.variant.engine == "fbgemm")


def due(label: str, seconds: float, *, batch: int | None, engine: str) -> Due:
    """A conversion that an engine waits for."""
    variants = tuple(dict.fromkeys(case.variant for case in CASES if case.variant.engine == engine))
    conversion = Conversion(name=label, function=converters.sums, packages=(), by_batch=batch is not None)
    return Due(piece=Wanted(conversion=conversion, batch=batch, variants=variants), seconds=seconds)


def agenda(ledger: Ledger | None = None, *, launch: int = 0, started: int = 0, **changes: object) -> Agenda:
    """What is to do after what a ledger holds."""
    known = {
        "plan": PLAN,
        "pace": Pace(network=Network(layers=8, picture_s=0.01)),
        "cores": 2,
        "ledger": ledger or Ledger(created_at=""),
        "pictures": 100,
        "check_share_s": 30.0,
        "converting": (),
        "unchecked": frozenset(case.variant for case in CASES),
        "launch": launch,
        "started": started,
    }
    return Agenda(**{**known, **changes})


def race(launch: int) -> RaceSample:
    """A fork that has come home."""
    return RaceSample(
        launch=launch,
        fork=0,
        calls=1,
        times_s=(1.0,),
        kept=(1,),
        single_s=(1.0,),
        cpu_s=1.0,
        wall_s=1.0,
        lingering_s=0.0,
        noise={},
    )


def solo(replicate: int) -> SoloSample:
    """A contender that was measured alone."""
    return SoloSample(
        launch=replicate,
        replicate=replicate,
        build_s=0.1,
        cold_s=0.1,
        peak_bytes=2,
        idle_peak_bytes=1,
        streams=1,
        items=1,
        seconds=1.0,
    )


def done(cases: list[Case], launch: int) -> Ledger:
    """A ledger in which a launch has measured some cases."""
    ledger = Ledger(created_at="")
    for case in cases:
        ledger.races[case.id], ledger.solos[case.id] = [race(launch)], [solo(launch)]
    return ledger


def test_each_part_is_counted_once() -> None:
    """All parts together are the whole, and each has something of an untouched grid."""
    untouched = agenda(converting=(due("files", 40.0, batch=None, engine="x86"),))
    parts = untouched.parts(CASES, 4)
    assert set(parts) == {"conversions", "launches", "checks", "measuring"}
    assert all(seconds > 0 for seconds in parts.values())
    assert untouched.seconds(CASES, 4) == pytest.approx(sum(parts.values()))
    assert parts["conversions"] == 40.0


def test_what_is_done_costs_nothing_any_more() -> None:
    """Races and contenders alone of a launch, its start, the checks."""
    untouched = agenda()
    first_done = agenda(done(list(CASES), 0), launch=1, started=2, unchecked=frozenset())
    parts = first_done.parts(CASES, 4)
    assert parts["checks"] == 0.0
    assert parts["launches"] == pytest.approx(untouched.parts(CASES, 4)["launches"] / 2)
    assert parts["measuring"] == pytest.approx(
        untouched.parts(CASES, 4)["measuring"] - untouched.launch_s(CASES, 0), rel=1e-6
    )


def test_in_the_middle_of_a_launch_what_is_left_of_it_counts() -> None:
    """Of two batch sizes one is done."""
    halfway = agenda(done(SMALL, 0), started=2)
    assert halfway.launch_s(SMALL, 0) == 0.0
    assert 0.0 < halfway.launch_s(CASES, 0) < agenda().launch_s(CASES, 0)


def test_replicates_alone_are_made_in_the_first_launches_only() -> None:
    """Later ones race."""
    assert agenda().launch_s(CASES, PLAN.replicates) < agenda().launch_s(CASES, 0)


def test_fewer_cells_take_less_and_only_the_conversions_that_they_wait_for() -> None:
    """A conversion by batch size goes with its batch size, one for all with the engine."""
    waiting = agenda(
        converting=(
            due("library", 50.0, batch=1, engine="x86"),
            due("library", 50.0, batch=8, engine="x86"),
            due("file", 30.0, batch=None, engine="fbgemm"),
        )
    )
    assert waiting.parts(SMALL, 4)["conversions"] == 50.0
    assert waiting.parts(CASES, 4)["conversions"] == pytest.approx(65.0)  # two at a time
    without_x86 = [case for case in CASES if case.variant.engine != "x86"]
    assert waiting.parts(without_x86, 4)["conversions"] == 30.0
    assert waiting.seconds(SMALL, 4) < waiting.seconds(CASES, 4)


def test_a_check_takes_its_share_at_most() -> None:
    """An interpreter that takes a second each answers fewer pictures."""
    slow = Pace(network=Network(layers=8, picture_s=1.0), pictures_s={FBGEMM: 9.0})
    found = agenda(pace=slow, check_share_s=5.0).parts(CASES, 4)["checks"]
    assert found == 5.0 * 4


def test_what_is_told_has_counts_and_seconds() -> None:
    """As a person reads it, without what there is none of."""
    told = agenda().told(CASES, 4)
    assert told.startswith("4 launches ")
    assert ", measuring " in told
    assert "conversions" not in told
    waiting = agenda(converting=(due("files", 40.0, batch=None, engine="x86"),))
    assert waiting.told(CASES, 4).startswith("1 conversions 40 s, ")
    everything = agenda(done(list(CASES), 0), launch=1, started=1, unchecked=frozenset())
    assert everything.told(CASES, 1) == "nothing is left to measure"
