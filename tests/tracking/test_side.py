"""Side files: what is written is read, and what is damaged is a sentence while the rest is still there."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.errors import RecordError
from int8bench.tracking import side
from int8bench.tracking.side import SideFile, SidePoint

POINT = SidePoint(
    benchmark="speedup.Speedup.track_speedup",
    params={"batch": "32", "threads": "1"},
    value=1.5,
    low=1.4,
    high=1.6,
    launches=2,
    forks=4,
    pairs=100,
    log_ratios=((0.40, 0.41), (0.40, 0.42)),
)
SIDE = SideFile(
    commit_hash="0123456789abcdef0123456789abcdef01234567",
    env_name="virtualenv-py3.11",
    fingerprint="f00d",
    got={"heeded": {"GOMP_SPINCOUNT": True}},
    points=(POINT,),
    run={"environment": {"fingerprint": "f00d"}},
)


def test_a_side_file_comes_back_as_it_was(tmp_path: Path) -> None:
    """Writing and reading changes nothing."""
    path = side.save(SIDE, tmp_path)
    assert path == tmp_path / "int8bench" / "01234567-virtualenv-py3.11-f00d.json.gz"
    assert side.load(path) == SIDE


def test_a_point_is_found_by_its_benchmark_and_parameters() -> None:
    """And by nothing less."""
    assert SIDE.find(POINT.benchmark, {"threads": "1", "batch": "32"}) == POINT
    assert SIDE.find(POINT.benchmark, {"batch": "32", "threads": "2"}) is None
    assert SIDE.find("speedup.Speedup.track_relative_time", POINT.params) is None


def test_the_same_commit_environment_and_machine_are_replaced(tmp_path: Path) -> None:
    """Another machine's file stays beside."""
    side.save(SIDE, tmp_path)
    again = replace(SIDE, points=())
    side.save(again, tmp_path)
    side.save(replace(SIDE, fingerprint="beef"), tmp_path)
    sides, problems = side.load_all(tmp_path)
    assert sorted((each.fingerprint, len(each.points)) for each in sides) == [("beef", 1), ("f00d", 0)]
    assert problems == ()


def _written(folder: Path, content: bytes) -> None:
    (folder / "int8bench").mkdir(exist_ok=True)
    (folder / "int8bench" / "a-b-c.json.gz").write_bytes(content)


def _packed(document: object) -> bytes:
    return gzip.compress(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cut short or no side file"),
        (b"plain text", "cut short or no side file"),
        (_packed({"schema": "int8bench.side"})[:-9], "cut short or no side file"),
        (_packed([1]), "expected schema int8bench.side"),
        (_packed({"schema": "int8bench.run"}), "expected schema int8bench.side"),
        (_packed({"schema": "int8bench.side", "schema_version": 2}), "upgrade int8bench"),
        (_packed({"schema": "int8bench.side", "schema_version": 1}), "not laid out as a side file"),
        (_packed({"schema": "int8bench.side", "schema_version": 1, "points": [{"x": 1}]}), "not laid out"),
    ],
)
def test_a_damaged_side_file_is_a_sentence_and_the_rest_is_read(tmp_path: Path, content: bytes, sentence: str) -> None:
    """It stays where it is, its name and fault are told, and whole ones beside it are read."""
    side.save(SIDE, tmp_path)
    _written(tmp_path, content)
    sides, problems = side.load_all(tmp_path)
    assert sides == (SIDE,)
    assert len(problems) == 1
    assert "a-b-c.json.gz" in problems[0]
    assert sentence in problems[0]
    with pytest.raises(RecordError, match=sentence):
        side.load(tmp_path / "int8bench" / "a-b-c.json.gz")


def test_no_side_files_are_no_problem(tmp_path: Path) -> None:
    """A results folder of another suite has none."""
    assert side.load_all(tmp_path) == ((), ())
