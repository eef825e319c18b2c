"""History: results and side files become series, ordered and searched together; what does not fit is a sentence."""

import gzip
import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from int8bench import documents
from int8bench.errors import RequestError
from int8bench.tracking import history as module
from int8bench.tracking.history import History, history
from int8bench.tracking.series import topology

ENV = "existing-python3.11"
SPEEDUP, MIRROR, BYTES = module.SPEEDUP, module.MIRROR, "cost.PeakMemory.track_bytes"
UNITS = {SPEEDUP: "x", MIRROR: "of float32", BYTES: "bytes"}
FINDING = {**dict.fromkeys(("code", "severity", "subject", "message", "why", "advice"), "x"), "severity": "note"}
RUN = {"environment": {"hardware": {"brand": "A CPU"}}, "findings": [FINDING]}


def _hash(number: int) -> str:
    return f"{number:08x}" + 32 * "0"


def _result(folder: Path, number: int, values: Mapping[str, float | None], **fields: Any) -> None:
    """One of asv's files; `values` by benchmark, of one cell (batch 8)."""
    given = {
        "machine": "rack-1",
        "commit": _hash(number),
        "date": number,
        "version": "1",
        "env": ENV,
        "started": 0,
    } | fields
    machine = folder / given["machine"]
    machine.mkdir(parents=True, exist_ok=True)
    (machine / "machine.json").write_text(json.dumps({"machine": given["machine"], "cpu": "asv's CPU", "version": 1}))
    described = {name: {"unit": UNITS.get(name), "param_names": ["batch"], "version": "1"} for name in values}
    (folder / "benchmarks.json").write_text(json.dumps({**described, "version": 2}))
    document = {
        "commit_hash": given["commit"],
        "env_name": given["env"],
        "date": given["date"],
        "result_columns": ["result", "params", "version", "started_at"],
        "results": {name: [[value], [["8"]], given["version"], given["started"]] for name, value in values.items()},
        "version": 2,
    }
    (machine / f"{given['commit'][:8]}-{given['env']}-{given['started']}.json").write_text(json.dumps(document))


def _side(folder: Path, number: int, value: float, fingerprint: str = "f00d", **fields: Any) -> None:
    """Our file beside it, with an interval of 1 % either way."""
    given = {"benchmark": SPEEDUP, "commit": _hash(number), "half": 0.01} | fields
    point = {
        "benchmark": given["benchmark"],
        "params": {"batch": "8"},
        "value": value,
        "low": value * (1 - given["half"]),
        "high": value * (1 + given["half"]),
        "launches": 8,
        "forks": 16,
        "pairs": 100,
        "log_ratios": [],
    }
    document = {"schema": "int8bench.side", "schema_version": 1, "commit_hash": given["commit"], "env_name": ENV}
    document |= {"fingerprint": fingerprint, "got": {}, "points": [point], "run": RUN}
    (folder / "int8bench").mkdir(exist_ok=True)
    path = folder / "int8bench" / f"{given['commit'][:8]}-{ENV}-{fingerprint}.json.gz"
    path.write_bytes(gzip.compress(json.dumps(document).encode()))


def _written(folder: Path, levels: Sequence[float], benchmark: str = SPEEDUP, *, sd: float = 0.002) -> History:
    noise = np.exp(sd * np.random.default_rng(1).standard_normal(len(levels)))
    for number, level in enumerate(levels):
        _result(folder, number, {benchmark: float(level * noise[number])})
    return history(folder)


@pytest.mark.parametrize(
    ("name", "levels", "worse", "better"),
    [
        (SPEEDUP, (1.5, 1.4), True, "higher"),
        (SPEEDUP, (1.5, 1.6), False, "higher"),
        (BYTES, (1e6, 1.1e6), True, "lower"),
        (BYTES, (1e6, 0.9e6), False, "lower"),
        ("suite.Any.time_score", (1.0, 1.1), True, "lower"),
        ("fidelity.Fidelity.track_agreement", (0.99, 0.90), True, "higher"),
        (MIRROR, (0.6, 0.66), True, "lower"),
    ],
)
def test_a_step_is_worse_in_the_direction_that_its_unit_says(
    tmp_path: Path, name: str, levels: tuple[float, float], *, worse: bool, better: str
) -> None:
    """With its commits, its size and its interval; only what is worse counts as a regression."""
    found = _written(tmp_path, [levels[0]] * 15 + [levels[1]] * 15, name)
    (tracked,) = found.tracked
    (change,) = tracked.changes
    assert (change.commit_before, change.commit_after) == (_hash(14), _hash(15))
    assert change.step == pytest.approx(levels[1] / levels[0] - 1, abs=0.005)
    assert change.low < change.step < change.high
    assert (change.worse, tracked.better, found.regressions) == (worse, better, int(worse))


@pytest.mark.parametrize(
    ("levels", "recovered", "regressions"),
    [
        ((1.0, 1.1, 1.0), [True, False], 0),
        ((1.0, 1.1, 0.9), [True, False], 0),
        ((1.0, 1.1, 1.05), [False, False], 1),
        ((1.0, 1.1, 1.2), [False, False], 2),
        ((1.0, 1.1, 1.0, 1.1), [True, True, False], 1),
    ],
)
def test_a_change_recovers_when_a_later_one_brings_the_level_back(
    tmp_path: Path, levels: Sequence[float], recovered: list[bool], regressions: int
) -> None:
    """Back or beyond; half of the way is not back, and a regression that returns stands."""
    found = _written(tmp_path, np.repeat(levels, 12).tolist(), BYTES)
    assert [each.recovered for each in found.tracked[0].changes] == recovered
    assert found.regressions == regressions


def test_the_inverse_of_a_speedup_is_no_second_regression(tmp_path: Path) -> None:
    """Both series change, and one regression is counted."""
    for number in range(20):
        value = 1.5 if number < 10 else 1.4
        _result(tmp_path, number, {SPEEDUP: value, MIRROR: 1 / value})
    found = history(tmp_path)
    assert [len(each.changes) for each in found.tracked] == [1, 1]
    assert found.regressions == 1


def test_intervals_come_from_the_side_file_and_asvs_numbers_alone_have_none(tmp_path: Path) -> None:
    """A benchmark that the side file has not keeps its number."""
    _result(tmp_path, 1, {SPEEDUP: 1.5, BYTES: 5.0})
    _side(tmp_path, 1, 1.5 * (1 + 5e-5))
    by_name = {each.series.benchmark: each.series for each in history(tmp_path).tracked}
    assert by_name[SPEEDUP].points[0][3:5] == pytest.approx((1.485, 1.515), rel=1e-3)
    assert by_name[BYTES].points[0][3:5] == (None, None)
    assert by_name[BYTES].fingerprint == by_name[SPEEDUP].fingerprint == "f00d"


def test_an_interval_is_not_put_around_another_number(tmp_path: Path) -> None:
    """A number measured again since keeps no interval of the old one, though the side file is its machine's."""
    _result(tmp_path, 1, {SPEEDUP: 1.5, MIRROR: 0.7, BYTES: 5.0})
    _side(tmp_path, 1, 1.5)
    (path,) = (tmp_path / "int8bench").iterdir()
    document = json.loads(gzip.decompress(path.read_bytes()))
    (point,) = document["points"]
    document["points"] += [
        point | {"benchmark": MIRROR, "value": 0.6, "low": 0.59, "high": 0.61},
        point | {"benchmark": BYTES, "value": 5.0, "low": 4.0, "high": 6.0},
    ]
    path.write_bytes(gzip.compress(json.dumps(document).encode()))
    by_name = {each.series.benchmark: each.series.points[0] for each in history(tmp_path).tracked}
    assert by_name[MIRROR][2:5] == (0.7, None, None)
    assert by_name[BYTES][2:5] == (5.0, 4.0, 6.0)


def test_a_side_file_whose_values_differ_is_another_machines(tmp_path: Path) -> None:
    """Two machines in one folder each get their own."""
    _result(tmp_path, 1, {SPEEDUP: 1.5})
    _result(tmp_path, 1, {SPEEDUP: 2.5}, machine="rack-2")
    _result(tmp_path, 1, {SPEEDUP: 3.5}, machine="rack-3")
    _side(tmp_path, 1, 2.5, "beef")
    _side(tmp_path, 1, 1.5, "f00d")
    found = {each.series.machine: each.series.fingerprint for each in history(tmp_path).tracked}
    assert found == {"rack-1": "f00d", "rack-2": "beef", "rack-3": None}


@pytest.mark.parametrize("what", ["fingerprint", "version", "machine", "env"])
def test_unlike_points_are_never_one_series(tmp_path: Path, what: str) -> None:
    """Other hardware under the same name, another version, machine or environment: two series, and no change."""
    for number in range(20):
        later = number >= 10
        value = (1.4 if later else 1.5) * (1 + 1e-3 * (number % 3))
        other = {what: "2"} if later and what != "fingerprint" else {}
        _result(tmp_path, number, {SPEEDUP: value}, **other)
        if what == "fingerprint":
            _side(tmp_path, number, value, "beef" if later else "f00d")
    found = history(tmp_path)
    assert [len(each.series.points) for each in found.tracked] == [10, 10]
    assert found.regressions == 0


def test_the_latest_of_several_measurements_of_a_commit_stays(tmp_path: Path) -> None:
    """Whichever file is read first."""
    _result(tmp_path, 1, {SPEEDUP: 1.7}, started=9_000)
    _result(tmp_path, 1, {SPEEDUP: 1.5}, started=10_000)
    (tracked,) = history(tmp_path).tracked
    assert [point.value for point in tracked.series.points] == [1.5]


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
    command = ("git", "-C", str(folder), *identity, *arguments)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, list[str]]:
    """A repository of three commits, and their hashes, oldest first."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for number in range(3):
        _git(folder, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", str(number))
    return folder, _git(folder, "rev-list", "--reverse", "HEAD").split()


def test_commits_stand_in_the_order_of_the_repository(tmp_path: Path, repository: tuple[Path, list[str]]) -> None:
    """Whatever their dates say; commits that it does not know stay, by date, and are counted."""
    folder, hashes = repository
    results = tmp_path / "results"
    for date, commit_hash in zip((30, 20, 40), hashes, strict=True):
        _result(results, 0, {SPEEDUP: 1.5}, commit=commit_hash, date=date)
    _result(results, 7, {SPEEDUP: 1.5}, date=35)
    _result(results, 8, {SPEEDUP: 1.5}, date=50)
    found = history(results, repository=folder)
    assert [point.commit for point in found.tracked[0].series.points] == [*hashes[:2], _hash(7), hashes[2], _hash(8)]
    assert found.problems == ("2 commits not in the repository, placed by date: 00000007, 00000008",)
    by_date = [point.commit for point in history(results).tracked[0].series.points]
    assert by_date == [hashes[1], hashes[0], _hash(7), hashes[2], _hash(8)]


def test_without_a_repository_that_answers_commits_stand_by_date(tmp_path: Path) -> None:
    """A sentence says so."""
    _result(tmp_path / "results", 1, {SPEEDUP: 1.5})
    order, (problem,) = topology(tmp_path)
    assert order == {}
    assert "git cannot list its commits" in problem
    assert history(tmp_path / "results", repository=tmp_path).problems == (problem,)


def test_what_asv_does_not_know_is_a_sentence_and_the_rest_is_shown(tmp_path: Path) -> None:
    """A side file of an unmeasured commit, a name that asv has not, and a damaged side file."""
    _result(tmp_path, 1, {SPEEDUP: 1.5})
    _side(tmp_path, 1, 1.5)
    _side(tmp_path, 2, 1.5)
    _side(tmp_path, 1, 9.0, "beef", benchmark="gone.Gone.track_it")
    (tmp_path / "int8bench" / "00000003-x-y.json.gz").write_bytes(b"\x1f\x8b")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    found = history(tmp_path)
    damaged, lonely, strange = found.problems
    assert "00000003-x-y.json.gz: cut short" in damaged
    assert lonely == "side files of 1 commit of which asv has no result, left out: 00000002"
    assert strange == "1 name in side files that asv does not know, left out: gone.Gone.track_it"
    assert [len(each.series.points) for each in found.tracked] == [1]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_empty_folder_is_a_history_without_series(tmp_path: Path) -> None:
    """With the sentence that says what to type."""
    document = history(tmp_path).document()
    assert (document.series, document.machines, document.regressions) == ((), (), 0)
    assert document.problems[-1].endswith("no results yet; type asv run")


@pytest.mark.parametrize("error_rate", [0.0, 1.0, 2.0])
def test_an_error_rate_outside_zero_to_one_is_refused(tmp_path: Path, error_rate: float) -> None:
    """The message says what to try."""
    with pytest.raises(RequestError, match=r"expected a number between 0 and 1; try 0\.01"):
        history(tmp_path, error_rate=error_rate)


def test_intervals_are_the_least_noise(tmp_path: Path) -> None:
    """Points that agree by luck are judged by what each of them knows of itself."""
    for number in range(12):
        _result(tmp_path, number, {SPEEDUP: 1.5 if number < 6 else 1.4})
    assert history(tmp_path).regressions == 1
    for number in range(12):
        _side(tmp_path, number, 1.5 if number < 6 else 1.4, half=0.5)
    assert history(tmp_path).regressions == 0


def test_the_document_has_what_the_contract_says(tmp_path: Path) -> None:
    """Names, shapes and values, as JSON that any reader takes."""
    for number in range(12):
        _result(tmp_path, number, {SPEEDUP: 1.5 if number < 6 else 1.4})
        _side(tmp_path, number, 1.5 if number < 6 else 1.4, half=0.001)
    document = json.loads(json.dumps(documents.written(history(tmp_path, error_rate=0.02).document()), allow_nan=False))
    (series,) = document.pop("series")
    assert document == {
        "schema": "int8bench.history",
        "schema_version": 1,
        "results": str(tmp_path),
        "error_rate": 0.02,
        "regressions": 1,
        "events": [],
        "noise": [],
        "machines": [{"machine": "rack-1", "fingerprint": "f00d", "cpu": "A CPU", "findings": [FINDING]}],
        "problems": [],
    }
    points, (change,) = series.pop("points"), series.pop("changes")
    assert points[0] == {
        "commit": _hash(0),
        "date": 0,
        "value": 1.5,
        "low": pytest.approx(1.4985),
        "high": pytest.approx(1.5015),
    }
    assert series == {
        "benchmark": SPEEDUP,
        "params": {"batch": "8"},
        "machine": "rack-1",
        "fingerprint": "f00d",
        "env": ENV,
        "unit": "x",
        "better": "higher",
        "kind": "paired",
        "absolute": False,
    }
    step, low, high = (change.pop(key) for key in ("step", "low", "high"))
    assert step == pytest.approx(1.4 / 1.5 - 1)
    assert low < step < high
    assert change == {
        "commit_before": _hash(5),
        "commit_after": _hash(6),
        "worse": True,
        "recovered": False,
        "date": 6,
    }


def test_a_machine_without_side_files_is_known_by_asv(tmp_path: Path) -> None:
    """Its hardware has no fingerprint, and nothing was found."""
    _result(tmp_path, 1, {SPEEDUP: 1.5})
    (machine,) = history(tmp_path).machines
    assert (machine.machine, machine.fingerprint, machine.cpu, machine.findings) == ("rack-1", None, "asv's CPU", ())
