"""What series do together and what each does alone: known answers, and the declared error by simulation."""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from machines import Made, made

from int8bench.stats.changes import Change, find_changes
from int8bench.stats.drift import Drift, correlation_of, fit_drift
from int8bench.stats.events import CommonStep, coincidences, events_of

ERROR = 0.01
NEAR = 2  # sessions: as far from the truth as a step of 5 % in noise of 1 % is placed


def _fit(values: np.ndarray, measured: np.ndarray | None = None) -> tuple[Drift, np.ndarray]:
    ranks = np.arange(values.shape[1]) if measured is None else measured
    return fit_drift(np.log(values), ranks, error=ERROR, least_noise=np.zeros(len(values))), ranks


def _searched(
    values: np.ndarray, measured: np.ndarray | None = None
) -> tuple[list[CommonStep], list[tuple[Change, ...]]]:
    """The events, and the changes of each series' own."""
    fit, ranks = _fit(values, measured)
    events, own = events_of(fit, ranks, error=ERROR)
    return events, find_changes(list(np.exp(own)), error=ERROR, correlation=fit.correlation.tolist())


def _apart(history: Made) -> tuple[int, int]:
    """How many changes of single series are false, and how many true ones are found."""
    _, changes = _searched(history.values)
    found = {(row, each.after) for row, mine in enumerate(changes) for each in mine}
    near = {step: any(row == step[0] and abs(at - step[1]) <= NEAR for row, at in found) for step in history.steps}
    false = [
        (row, at)
        for row, at in found
        if not any(row == step[0] and abs(at - step[1]) <= NEAR for step in history.steps)
    ]
    return len(false), sum(near.values())


@pytest.mark.parametrize("kind", ["quiet", "steps", "walk", "ar0.3", "ar0.6", "t3", "share0.2", "share0.4", "one walk"])
def test_no_series_is_blamed_for_what_it_did_not_do(kind: str) -> None:
    """Of 16 histories no more have a false change than 1 % gives with a chance of 0.001, and steps are found.

    scripts/simulated_histories.py tries a thousand of each.
    """
    histories = [made(kind, series=10, sessions=40, seed=seed) for seed in range(16)]
    found = [_apart(each) for each in histories]
    assert sum(bool(false) for false, _ in found) <= 0.01 * 16 + 3.1 * math.sqrt(0.01 * 16)
    assert sum(hits for _, hits in found) >= 0.95 * sum(len(each.steps) for each in histories)


def test_what_most_series_do_at_one_place_is_one_event() -> None:
    """Twelve of twenty, by 5 %: members and step are the truth's, and nobody has a change of their own."""
    held = 0
    for seed in range(20):
        history = made("share0.6", seed=seed)
        (event,), changes = _searched(history.values)
        rows, at = {row for row, _ in history.steps}, min(history.steps)[1]
        assert abs(event.after - at) <= 1
        assert set(event.members) == rows
        assert event.present == 20
        assert event.step == pytest.approx(0.05, abs=0.005)
        held += event.low < 0.05 < event.high
        assert not any(changes)
    assert held >= 17  # of 95 % intervals; fewer have a chance of 0.003


def test_steps_of_all_are_events_and_come_back() -> None:
    """Down by 28 % and up again, in noise of 1 %, with one series that also steps by itself."""
    values = made("quiet", seed=3).values
    values[:, 20:35] *= 0.72
    values[4, 45:] *= 1.10
    events, changes = _searched(values)
    assert [(each.after, len(each.members)) for each in events] == [(20, 20), (35, 20)]
    assert [each.step for each in events] == [pytest.approx(-0.28, abs=0.01), pytest.approx(1 / 0.72 - 1, abs=0.02)]
    assert [row for row, mine in enumerate(changes) if mine] == [4]
    assert changes[4][0].step == pytest.approx(0.10, abs=0.02)


def test_members_may_move_by_a_share_of_their_own() -> None:
    """A machine moves each a little differently: still one event; what goes the other way is that series' own."""
    rng = np.random.default_rng(5)
    values = made("quiet", seed=5).values
    values[:, 30:] *= np.exp(rng.normal(-0.3, 0.04, 20))[:, None]
    values[7, 30:] *= 2.0
    (event,), changes = _searched(values)
    assert event.after == 30
    assert set(event.members) == set(range(20)) - {7}
    assert [row for row, mine in enumerate(changes) if mine] == [7]


def test_a_drift_too_small_to_show_in_any_series_is_no_event() -> None:
    """Half a percent, which the mean of twenty shows: it is taken out and not told as a step of theirs."""
    values = made("quiet", seed=2).values
    values[:, 30:] *= 1.005
    fit, _ = _fit(values)
    assert fit.common[30:].mean() - fit.common[:30].mean() == pytest.approx(0.005, abs=0.002)
    assert _searched(values)[0] == []


def test_an_event_may_follow_the_time_of_measuring() -> None:
    """Commits measured in another order: the machine's step lies between two sessions by time, no commit is blamed."""
    rng = np.random.default_rng(6)
    values, measured = made("quiet", seed=6).values, rng.permutation(60)
    values[:, measured >= 40] *= 1.2
    values[3, 30:] *= 1.1
    (event,), changes = _searched(values, measured)
    assert not event.by_commit
    assert (measured[event.before], measured[event.after]) == (39, 40)
    assert event.step == pytest.approx(0.2, abs=0.01)
    assert [row for row, mine in enumerate(changes) if mine] == [3]


def test_a_commit_that_moves_all_is_told_from_the_time() -> None:
    """The same with the step by commit."""
    rng = np.random.default_rng(7)
    values, measured = made("quiet", seed=7).values, rng.permutation(60)
    values[:, 25:] *= 1.2
    (event,), _ = _searched(values, measured)
    assert event.by_commit
    assert event.after == 25


def test_a_session_of_few_series_is_measured_with_its_neighbours_drift() -> None:
    """A commit in which one benchmark alone was measured keeps that one's step: it is no drift of all."""
    values = made("quiet", seed=8).values
    values[:, 30:] *= 1.3
    values[1:, 40:50] = np.nan
    values[0, 40:] *= 1.1
    (event,), changes = _searched(values)
    assert event.after == 30
    (own,) = changes[0]
    assert own.after == pytest.approx(40, abs=1)
    assert own.step == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.6, 0.8])
def test_correlation_is_that_of_the_noise(correlation: float) -> None:
    """Whatever steps the series make; found from all of them together, one error of its own above at most."""
    history = made(f"ar{correlation}", sessions=100, seed=9)
    values = history.values.copy()
    values[:, 50:] *= 1.2
    values[2, 70:] *= 1.3
    fit, _ = _fit(values)
    assert np.median(fit.correlation) == pytest.approx(correlation, abs=0.1)
    assert correlation_of(np.log(values), [None] * 20).tolist() == [0.0] * 20


def _changes(*places: tuple[int, float]) -> list[Change]:
    return [
        Change(
            before=at - 1,
            after=at,
            step=step,
            low=step - 0.01,
            high=step + 0.01,
            level_before=1.0,
            level_after=1 + step,
        )
        for at, step in places
    ]


def test_changes_of_half_the_series_at_one_place_coincide() -> None:
    """In one direction, a session apart at the most; the rest stay changes."""
    changes = [_changes((10, 0.2)), _changes((11, 0.3), (30, 0.5)), _changes((10, -0.2)), _changes()]
    ((event, keys),) = list(coincidences(changes, np.ones((4, 40), dtype=bool)))
    assert keys == {(0, 0), (1, 0)}
    assert (event.after, event.members, event.present) == (10, (0, 1), 4)
    assert 0.2 < event.step < 0.3


@pytest.mark.parametrize(("there", "found"), [(5, 0), (4, 1)])
def test_half_is_of_the_series_that_were_measured_on_both_sides(there: int, found: int) -> None:
    """Two of four are half, two of five are not; one that began later is none of them."""
    mask = np.ones((5, 40), dtype=bool)
    mask[there:, :20] = False
    changes = [_changes((10, 0.2)), _changes((10, 0.3)), [], [], []]
    assert len(list(coincidences(changes, mask))) == found


def test_one_series_alone_coincides_with_nobody() -> None:
    """Nor do steps at other places."""
    assert not list(coincidences([_changes((10, 0.2))], np.ones((1, 40), dtype=bool)))
    assert not list(coincidences([_changes((10, 0.2)), _changes((20, 0.2))], np.ones((2, 40), dtype=bool)))


def test_a_row_that_no_commit_changes_leads_all_at_its_place() -> None:
    """Alone too, and whatever their direction; elsewhere nothing is its doing."""
    changes = [_changes((10, 0.2)), _changes((11, -0.3), (30, 0.5)), [], [], []]
    ((event, keys),) = list(coincidences(changes, np.ones((5, 40), dtype=bool), [0], followed=False))
    assert keys == {(0, 0), (1, 0)}
    assert event.members == (0, 1)
    ((event, _),) = list(coincidences([_changes((10, 0.2)), [], []], np.ones((3, 40), dtype=bool), [0]))
    assert (event.members, event.low, event.high) == (
        (0,),
        pytest.approx(0.19, abs=1e-3),
        pytest.approx(0.21, abs=1e-3),
    )


LAPTOP = json.loads((Path(__file__).parents[1] / "golden" / "histories" / "laptop.json").read_text(encoding="utf-8"))
OLDER, NEWER = "virtualenv-py3.10", "virtualenv-py3.10-setuptools59.2.0"


@cache
def _laptop(environment: str) -> tuple[list[CommonStep], list[tuple[Change, ...]]]:
    given = LAPTOP[environment]
    values = np.array(list(given["benchmarks"].values()), dtype=np.float64)
    return _searched(values, np.array(given["measured"]))


@pytest.mark.parametrize(
    ("environment", "timed", "factor", "commits"),
    [
        (OLDER, "PrettySuite.time_pretty", 0.5, {"06922006", "9abc0292", "1ffbd443"}),
        (OLDER, "TableSuite.time_table_no_wrapping", 0.6, {"64755d41"}),
        (OLDER, "TableSuite.time_table_heavy_wrapping", 0.66, {"64755d41"}),
        (OLDER, "TextSuite.time_align_center", 0.57, {"20024635"}),
        (NEWER, "TextSuite.time_align_center", 0.57, {"2ea7e586"}),
        (NEWER, "TextSuite.time_align_center_unicode_heavy", 2.64, {"26fe4667"}),
        (NEWER, "TextSuite.time_indent_guides", 1.32, {"26fe4667"}),
    ],
)
def test_a_real_history_keeps_its_steps(environment: str, timed: str, factor: float, commits: set[str]) -> None:
    """Of a laptop on which all was measured on one day: what its authors changed is found, and no event is made up."""
    given = LAPTOP[environment]
    events, changes = _laptop(environment)
    assert events == []
    names = [name.partition(".")[2] for name in given["benchmarks"]]
    found = [each for name, mine in zip(names, changes, strict=True) if name == timed for each in mine]
    near = [each for each in found if given["commits"][each.after] in commits]
    assert [1 + each.step for each in near] == [pytest.approx(factor, rel=0.05)]
