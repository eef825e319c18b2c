"""What races with known answers come to: counts with exact intervals, what is claimed, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest

from int8bench import units
from int8bench.selftest import reliability
from int8bench.selftest.reliability import Sample
from int8bench.stats.limits import POWER
from int8bench.stats.verdict import Looks
from int8bench.study.racing import Design
from int8bench.workload.cases import Group

DESIGN = Design(
    looks=Looks(launches=(8,)),
    forks=2,
    race_s=0.3,
    warmup_s=0.0,
    precision=0.01,
    margin=0.01,
    confidence=0.95,
    error_rate=0.001,
)
GROUPS = (Group(batch=32, threads=2), Group(batch=1, threads=1))
ADDED = math.log1p(0.03)


def samples(
    races: int,
    *,
    sd: float = 0.003,
    off: float = 0.0,
    added: float = ADDED,
    told: float | None = None,
    groups: tuple[Group, ...] = GROUPS,
    seed: int = 1,
) -> list[Sample]:
    """Forks of whole races with normal launch effects; `off` shifts each race by itself, `told` lies about `added`."""
    rng = np.random.default_rng(seed)
    found = []
    for race in range(races):
        for group in groups:
            shift = off * rng.choice([-1, 1])
            for launch in range(race * 8, race * 8 + 8):
                effects = rng.normal(0.0, sd, size=(2, 2)) + rng.normal(0.0, sd)
                found += [
                    Sample(
                        launch=launch,
                        batch=group.batch,
                        threads=group.threads,
                        itself=shift + itself,
                        slowed=shift + slowed - added,
                        added=added if told is None else told,
                        pairs=50,
                    )
                    for itself, slowed in effects
                ]
    return found


def test_a_quiet_machine_is_trusted_down_to_its_noisiest_cell() -> None:
    """The claim is the upper end of the worst cell, and the answer has every count with its interval."""
    mixed = [*samples(4, groups=GROUPS[:1], sd=0.006), *samples(4, groups=GROUPS[1:])]
    found = reliability.reliability(mixed, DESIGN)
    answer = found.figures
    assert [(cell.group.threads, cell.group.batch) for cell in found.cells] == [(1, 1), (2, 32)]
    assert found.cells[0].smallest.high < found.cells[1].smallest.high == answer.trusted_down_to
    assert answer.judgement == (f"verdicts here can be trusted down to {units.down_to(answer.trusted_down_to)}")
    assert (answer.races, answer.false_alarms.count, answer.false_alarms.trials) == (8, 0, 8)
    assert answer.false_alarms.high == pytest.approx(1 - 0.025 ** (1 / 8))
    assert answer.coverage.itself.trials == answer.coverage.slowed.trials == 8
    assert [each.true for each in answer.cells[0].slow_downs] == pytest.approx([0.03] * 4)
    assert [each.found for each in answer.cells[0].slow_downs] == pytest.approx([0.03] * 4, abs=0.008)


def test_the_spread_is_split_between_launches_and_forks() -> None:
    """Both effects were played alike; a launch mean has the one and half the variance of the other."""
    cell = reliability.reliability(samples(60, groups=GROUPS[:1]), DESIGN).cells[0]
    assert cell.launch_sd == pytest.approx(0.003, rel=0.15)
    assert cell.fork_sd == pytest.approx(0.003, rel=0.15)
    assert cell.mean_sd.value == pytest.approx(0.003 * math.sqrt(1.5), rel=0.1)
    assert cell.smallest.low < cell.smallest.value < cell.smallest.high


def test_a_slow_down_of_the_size_that_is_claimed_is_seen() -> None:
    """In 19 races of 20 or more, on a machine whose spread is just what was found."""
    claimed = reliability.reliability(samples(40), DESIGN).trusted_down_to
    found = reliability.reliability(samples(100, added=math.log1p(claimed), seed=2), DESIGN)
    assert found.seen.trials == 200
    assert found.seen.value > 0.93
    assert sum(found.chances) == pytest.approx(200 * 0.95, rel=0.05)
    assert found.objections == ()


def test_the_promise_is_reckoned_from_the_upper_end_of_the_spread() -> None:
    """A slow-down of just the size that a cell claims is seen with just the power that is declared."""
    claimed = reliability.reliability(samples(3, groups=GROUPS[:1]), DESIGN).cells[0].smallest.high
    found = reliability.reliability(samples(3, groups=GROUPS[:1], added=math.log1p(claimed)), DESIGN)
    assert found.chances == pytest.approx([POWER] * 3)


def test_nothing_below_the_margin_is_claimed() -> None:
    """However quiet a machine is: a smaller difference is called the same."""
    assert reliability.reliability(samples(4, sd=0.00005), DESIGN).trusted_down_to == DESIGN.margin


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"off": 0.02}, "false alarms in 8 races of the same code with itself, where 0.1 % is declared"),
        ({"off": 0.004, "sd": 0.001}, "of 8 intervals of the same code with itself hold the truth"),
        ({"told": math.log1p(0.05)}, "0 of 8 intervals of a known slow-down hold the truth, where 95 % is declared"),
        ({"added": 0.0, "told": ADDED}, "0 of 8 slow-downs seen, where the spread of launches promises 8.0"),
    ],
)
def test_a_machine_that_breaks_a_promise_is_not_trusted(changes: dict[str, float], sentence: str) -> None:
    """False alarms, intervals without the truth, slow-downs that are not seen: each is said, and nothing is claimed."""
    found = reliability.reliability(samples(4, **{"sd": 0.0005, **changes}), DESIGN)
    assert any(sentence in each for each in found.objections)
    assert found.judgement.startswith("verdicts here cannot be trusted: ")
    assert found.figures.trusted is False
    assert found.figures.trusted_down_to is None


def test_one_false_alarm_in_many_races_is_no_proof() -> None:
    """It is counted, and the machine is trusted: of 40 races one in a thousand may well be wrong; two may not."""
    spoiled = samples(20, sd=0.001)
    for race, trusted in ((0, True), (1, False)):
        spoiled = [
            replace(each, itself=each.itself + 0.05) if each.launch // 8 == race and each.group == GROUPS[0] else each
            for each in spoiled
        ]
        # The spread of a cell with a race that is off is wide: its slow-downs are seen all the same.
        found = reliability.reliability(spoiled, DESIGN)
        assert found.false_alarms.count == race + 1
        assert (found.objections == ()) is trusted


def test_honest_machines_are_hardly_ever_refused() -> None:
    """One selftest in a hundred at most, over simulated ones with launch and fork effects."""
    refused = [reliability.reliability(samples(4, seed=seed), DESIGN).objections for seed in range(100, 300)]
    assert sum(map(bool, refused)) <= 4


def test_launches_of_half_a_race_count_for_the_spread_alone() -> None:
    """They make no race, and are not lost."""
    whole = samples(2)
    more = [*whole, *(each for each in samples(3, seed=5) if 16 <= each.launch < 20)]
    assert reliability.whole_races(whole, DESIGN) == reliability.whole_races(more, DESIGN) == 2
    cells = [reliability.reliability(each, DESIGN).cells[0] for each in (whole, more)]
    assert [len(cell.outcomes) for cell in cells] == [2, 2]
    assert cells[0].mean_sd != cells[1].mean_sd


@pytest.mark.parametrize("launches", [0, 7])
def test_without_a_whole_race_there_is_no_answer(launches: int) -> None:
    """Too few launches are refused."""
    few = [each for each in samples(1) if each.launch < launches]
    assert reliability.whole_races(few, DESIGN) == 0
    with pytest.raises(ValueError, match="no whole race of 8 launches"):
        reliability.reliability(few, DESIGN)


def test_the_next_slow_down_to_try_is_the_smallest_that_is_claimed() -> None:
    """Two percent before anything is known; then what the cell claims, between the margin and a fifth."""
    assert reliability.share_for(GROUPS[0], [], DESIGN) == 0.02
    tried = samples(2, groups=GROUPS[:1])
    claimed = reliability.reliability(tried, DESIGN).cells[0].smallest.high
    assert reliability.share_for(GROUPS[0], tried, DESIGN) == claimed
    for sd, share in ((0.00001, DESIGN.margin), (0.5, 0.2)):
        assert reliability.share_for(GROUPS[0], samples(2, sd=sd), DESIGN) == share


@pytest.mark.parametrize(
    ("share", "text"), [(0.013, "1.3 %"), (0.01301, "1.4 %"), (0.01, "1.0 %"), (0.1, "10.0 %"), (0.605, "60.5 %")]
)
def test_a_claim_is_rounded_up(share: float, text: str) -> None:
    """No more is promised than was measured."""
    assert units.down_to(share) == text
