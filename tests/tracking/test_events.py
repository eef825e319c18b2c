"""What a results folder says a machine did, what speaks for which cause, and how a control row changes the answer."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machines import made

from int8bench.errors import RequestError
from int8bench.tracking.history import History, history
from int8bench.tracking.series import SeriesKind, kind_of

DAY_MS = 86_400_000
MINUTE_MS = 60_000
ENV = "virtualenv-py3.11"
BEFORE, AFTER = "Linux 5.4", "Linux 6.1"


def _hash(number: int) -> str:
    return f"{number:08x}" + 32 * "0"


def _write(folder: Path, values: np.ndarray, **fields: Any) -> History:
    """(series, commit) as asv's folder, and what is found in it.

    `names` of the series, `starts` of each commit's measurement in milliseconds, `told` of each commit's machine.
    """
    given: dict[str, Any] = {"env": ENV, "machine": "rack-1", "control": None, "told": {}} | fields
    names: Sequence[str] = given.get("names") or [f"suite.time_{row:02}" for row in range(len(values))]
    starts: Sequence[int] = given.get("starts") or [number * DAY_MS + 1 for number in range(values.shape[1])]
    place = folder / given["machine"]
    place.mkdir(parents=True, exist_ok=True)
    (place / "machine.json").write_text(json.dumps({"machine": given["machine"], "version": 1}))
    described = {name: {"unit": given.get("unit", "seconds"), "param_names": [], "version": "1"} for name in names}
    (folder / "benchmarks.json").write_text(json.dumps({**described, "version": 2}))
    told: Mapping[int, Mapping[str, str]] = given["told"]
    for number, column in enumerate(values.T):
        here = {key: value for first, each in sorted(told.items()) if number >= first for key, value in each.items()}
        rows = {
            name: [[float(value)], [], "1", starts[number]]
            for name, value in zip(names, column, strict=True)
            if np.isfinite(value)
        }
        document = {
            "commit_hash": _hash(number),
            "env_name": given["env"],
            "date": number * DAY_MS,
            "params": {"machine": given["machine"], "os": BEFORE, "cpu": "A CPU"} | here,
            "requirements": {},
            "result_columns": ["result", "params", "version", "started_at"],
            "results": rows,
            "version": 2,
        }
        (place / f"{_hash(number)[:8]}-{given['env']}.json").write_text(json.dumps(document))
    return history(folder, control=given["control"])


def _stepped(at: int = 30, factor: float = 1.2, rows: int = 20, seed: int = 1) -> np.ndarray:
    values = made("quiet", seed=seed).values
    values[:rows, at:] *= factor
    return values


def _changed(found: History) -> list[str]:
    return [each.series.benchmark.rpartition(".")[2] for each in found.tracked if each.changes]


def test_what_moves_together_is_one_event_and_no_regression(tmp_path: Path) -> None:
    """Twelve of twenty: the document says so in the words of the contract, and nobody is blamed."""
    found = _write(tmp_path, _stepped(rows=12))
    assert (found.regressions, _changed(found)) == (0, [])
    document = found.document()
    (event,) = document.events
    assert {key: getattr(event, key) for key in ("machine", "environment", "commit_before", "commit_after")} == {
        "machine": "rack-1",
        "environment": ENV,
        "commit_before": _hash(29),
        "commit_after": _hash(30),
    }
    assert (event.series, event.of, event.share) == (12, 20, 0.6)
    assert event.low < event.step < event.high
    assert event.step == pytest.approx(0.2, abs=0.01)
    (noise,) = document.noise
    assert noise.apart
    assert (noise.series, noise.kind) == (20, "time")


def test_what_one_does_beside_an_event_is_its_own(tmp_path: Path) -> None:
    """It alone is a regression, by its own step, though all have moved before it."""
    values = _stepped(at=20, factor=0.72)
    values[4, 40:] *= 1.1
    found = _write(tmp_path, values)
    assert _changed(found) == ["time_04"]
    assert found.regressions == 1
    (change,) = found.tracked[4].changes
    assert change.step == pytest.approx(0.1, abs=0.02)
    assert change.commit_after == _hash(40)


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        ({"told": {30: {"os": AFTER}}}, f"os {BEFORE} became {AFTER}: speaks for the machine or its software"),
        ({}, "measured 24 h apart: time for the machine to change"),
        ({"starts": [MINUTE_MS * number + 1 for number in range(60)]}, "measured within 1 min of each other: speaks"),
        ({"starts": [number * DAY_MS for number in range(60)]}, None),
    ],
    ids=["os", "days", "minutes", "untold"],
)
def test_what_speaks_for_which_cause_is_said(tmp_path: Path, fields: dict[str, Any], evidence: str | None) -> None:
    """The differences that asv tells, and the time between; nothing where no time of measuring is told."""
    (event,) = _write(tmp_path, _stepped(), **fields).events
    assert event.evidence[:1] == () if evidence is None else event.evidence[0].startswith(evidence)


def test_a_step_by_time_is_the_machines(tmp_path: Path) -> None:
    """Commits that were measured in another order: what follows the time speaks for the machine."""
    order = np.random.default_rng(3).permutation(60)
    values = made("quiet", seed=3).values
    values[:, order >= 40] *= 1.3
    found = _write(tmp_path, values, starts=[1_000 * DAY_MS + int(place) * DAY_MS for place in order])
    (event,) = found.events
    assert "it follows the time of measuring, not the order of commits: speaks for the machine" in event.evidence
    assert (found.regressions, _changed(found)) == (0, [])


def test_benchmarks_of_one_commit_that_began_days_apart_are_two_sessions(tmp_path: Path) -> None:
    """What was measured later than the rest was measured on another machine: it shares no drift with it."""
    values = made("quiet", seed=4).values
    _write(tmp_path, values)
    path = tmp_path / "rack-1" / f"{_hash(59)[:8]}-{ENV}.json"
    document = json.loads(path.read_text())
    for number, row in enumerate(document["results"].values()):
        if number < 10:
            row[0], row[3] = [row[0][0] * 1.5], row[3] + 5 * DAY_MS
    path.write_text(json.dumps(document))
    found = history(tmp_path)
    assert (_changed(found), found.regressions) == ([], 0)


def test_a_step_of_a_control_row_is_the_machines(tmp_path: Path) -> None:
    """Whatever the others do: what moved with it is no regression, and what moved elsewhere is."""
    values = _stepped(rows=3)
    values[7, 45:] *= 1.2
    assert _changed(_write(tmp_path, values)) == ["time_00", "time_01", "time_02", "time_07"]
    found = _write(tmp_path, values, control="time_00")
    assert _changed(found) == ["time_07"]
    assert found.regressions == 1
    (event,) = found.events
    assert event.control
    assert sorted(each.benchmark for each in event.members) == ["suite.time_00", "suite.time_01", "suite.time_02"]
    assert event.evidence[0] == "1 of 1 control rows moved: speaks for the machine"


def test_a_control_row_that_stays_speaks_for_the_code(tmp_path: Path) -> None:
    """Twelve moved, and none of two rows that no commit changes."""
    (event,) = _write(tmp_path, _stepped(rows=12), control="time_1[89]").events
    assert not event.control
    assert event.evidence[0] == "none of 2 control rows moved: speaks for the code"


def test_a_control_row_of_any_kind_leads(tmp_path: Path) -> None:
    """A tracked number too: a step of it is nobody's regression."""
    values = np.ones((2, 20))
    values[:, 10:] = 2.0
    names = ["suite.track_control", "suite.track_other"]
    assert _write(tmp_path, values, names=names, unit="things").regressions == 2
    found = _write(tmp_path, values, names=names, unit="things", control="control")
    assert found.regressions == 0
    assert [len(each.members) for each in found.events] == [2]


@pytest.mark.parametrize(
    ("control", "sentence"),
    [("(", "no regular expression"), ("nowhere", r"finds none of 20 rows, such as suite\.time_00\(\)")],
)
def test_a_control_that_finds_nothing_is_refused(tmp_path: Path, control: str, sentence: str) -> None:
    """With what was given, and what there is."""
    with pytest.raises(RequestError, match=sentence):
        _write(tmp_path, _stepped(), control=control)


@pytest.mark.parametrize(("rows", "events"), [(4, 1), (1, 0)])
def test_few_series_are_not_told_from_their_machine(tmp_path: Path, rows: int, events: int) -> None:
    """Four that move together are an event; of one nobody can tell, and it is said."""
    found = _write(tmp_path, _stepped()[:rows])
    assert len(found.events) == events
    assert found.regressions == 1 - events
    (noise,) = found.noises
    assert not noise.apart


def test_memory_that_all_benchmarks_use_is_an_event(tmp_path: Path) -> None:
    """Peaks that grow by like bytes, each by a share of its own."""
    values = np.array([[size] * 20 + [size + 5e6] * 20 for size in (2e7, 5e7, 9e7, 3e8)])
    names = [f"suite.peakmem_{row}" for row in range(4)]
    found = _write(tmp_path, values, names=names, unit="bytes")
    (event,) = found.events
    assert (event.kind, len(event.members), found.regressions) == (SeriesKind.MEMORY, 4, 0)
    assert event.low < event.step < event.high


def test_environments_are_not_moved_together(tmp_path: Path) -> None:
    """Half of each would be a quarter of both: each environment has its own event."""
    _write(tmp_path, _stepped(rows=12))
    found = _write(tmp_path, _stepped(at=40, rows=12, seed=2), env="conda-py3.12")
    assert [(each.environment, each.commit_after) for each in found.events] == [
        ("conda-py3.12", _hash(40)),
        (ENV, _hash(30)),
    ]


def test_values_that_are_zero_or_missing_stop_nothing(tmp_path: Path) -> None:
    """A series with a zero has no logarithm, and is searched beside the others."""
    values = _stepped()
    values[3, 5] = 0.0
    values[5, :] = np.nan
    values[6, 2:] = np.nan
    found = _write(tmp_path, values)
    assert {each.series.benchmark for each in found.tracked} == {
        f"suite.time_{row:02}" for row in range(20) if row != 5
    }
    assert len(found.events) == 1
    assert found.noises[0].apart


@pytest.mark.parametrize(("name", "unit"), [("track_wobble", "things"), ("peakmem_wobble", "bytes")])
def test_noise_that_neighbours_share_is_no_change_of_other_numbers_either(tmp_path: Path, name: str, unit: str) -> None:
    """Of forty numbers in noise that is correlated by 0.6 none has changed, and none together."""
    values = np.concatenate([made("ar0.6", seed=seed).values for seed in range(2)])
    found = _write(tmp_path, values, names=[f"suite.{name}_{row:02}" for row in range(40)], unit=unit)
    assert (_changed(found), found.events) == ([], [])


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("a.time_it", "seconds", SeriesKind.TIME),
        ("a.A.timeraw_it", None, SeriesKind.TIME),
        ("a.track_wall", "ms", SeriesKind.TIME),
        ("a.peakmem_it", "bytes", SeriesKind.MEMORY),
        ("a.mem_it", "bytes", SeriesKind.MEMORY),
        ("a.track_size", "MiB", SeriesKind.MEMORY),
        ("a.track_speedup", "x", SeriesKind.PAIRED),
        ("a.track_relative", "of float32", SeriesKind.PAIRED),
        ("a.track_count", None, SeriesKind.TRACKED),
    ],
)
def test_the_kind_of_a_number_is_asvs_or_its_units(name: str, unit: str | None, kind: SeriesKind) -> None:
    """The prefix of the function first."""
    assert kind_of(name, unit) is kind
