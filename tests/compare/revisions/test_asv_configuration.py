"""What an asv.conf.json says of where a project lies and with which variables it is measured."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from int8bench.compare.revisions import asv_configuration
from int8bench.compare.revisions.asv_configuration import near_of
from int8bench.errors import RequestError


def _read(folder: Path, **content: Any) -> asv_configuration.AsvConfiguration:
    (folder / "asv.conf.json").write_text(json.dumps(content), encoding="utf-8")
    found = asv_configuration.read(folder)
    assert found is not None
    return found


def _labels(folder: Path, **content: Any) -> list[str]:
    return [each.label for each in _read(folder, **content).variables()]


def test_without_a_configuration_there_is_nothing(tmp_path: Path) -> None:
    """And the package is that of the folder."""
    (tmp_path / "part").mkdir()
    assert asv_configuration.read(tmp_path) is None
    assert near_of(tmp_path / "part", tmp_path) == PurePosixPath("part")
    assert near_of(Path("/"), tmp_path) == PurePosixPath()


def test_comments_are_read_and_damage_is_told(tmp_path: Path) -> None:
    """As asv reads it."""
    (tmp_path / "asv.conf.json").write_text('{"repo_subdir": "x"} // as asv allows', encoding="utf-8")
    found = asv_configuration.read(tmp_path)
    assert found is not None
    assert found.subdir == "x"
    (tmp_path / "asv.conf.json").write_text("[]", encoding="utf-8")
    with pytest.raises(RequestError, match="mend the configuration of asv"):
        asv_configuration.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "near"),
    [
        ({}, "pkg"),
        ({"repo": "..", "repo_subdir": "pkg"}, "pkg"),
        ({"repo": "..", "repo_subdir": "other/deep"}, "other/deep"),
        ({"repo": "https://example.org/repo.git", "repo_subdir": "other"}, "other"),
        ({"repo": "..", "repo_subdir": ""}, "pkg"),
    ],
)
def test_the_package_is_where_asv_is_told(tmp_path: Path, content: dict[str, str], near: str) -> None:
    """By repo and repo_subdir, else where the configuration lies."""
    (tmp_path / "pkg").mkdir()
    _read(tmp_path / "pkg", **content)
    assert near_of(tmp_path / "pkg", tmp_path) == PurePosixPath(near)


def test_the_repository_is_the_one_that_asv_measures(tmp_path: Path) -> None:
    """Which may lie beside the suite; one that is not on this machine is not known."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "project").mkdir()
    assert _read(tmp_path / "suite", repo="../project").repository == tmp_path / "suite/../project"
    assert _read(tmp_path / "suite", repo="https://example.org/x.git").repository is None
    assert _read(tmp_path / "suite", benchmark_dir="./perf/suite/").suite == "suite"


@pytest.mark.parametrize(
    ("content", "labels"),
    [
        ({}, [""]),
        ({"matrix": {"env_nobuild": {"PYTHONHASHSEED": ["0"]}}}, [""]),
        ({"matrix": {"env": {"A": "1"}, "req": {"numpy": ["1", "2"]}}}, [""]),
        ({"matrix": {"env": {"A": ["1", None]}, "env_nobuild": {"B": ["x"]}}}, [" [A=1]", " [no A]"]),
        (
            {"matrix": {"env": {"A": ["1", "2"]}, "env_nobuild": {"B": ["x", "y"]}}},
            [f" [A={a}, B={b}]" for a in "12" for b in "xy"],
        ),
        ({"matrix": {"env": {"A": ["1", "2"]}}, "exclude": [{"env": {"A": "1"}}]}, [""]),
        (
            {"matrix": {"env": {"A": ["1", "2"]}}, "exclude": [{"env": {"A": "1"}, "python": "2.7"}]},
            [" [A=1]", " [A=2]"],
        ),
        ({"matrix": {"env": {"A": ["1", None]}}, "exclude": [{"env": {"A": None}}]}, [""]),
        ({"matrix": {"env": {"A": [1, 2]}}, "exclude": [{"env": {"A": "[12]"}}]}, [""]),
        ({"matrix": []}, [""]),
    ],
)
def test_every_value_of_a_variable_is_a_row_of_its_own(
    tmp_path: Path, content: dict[str, Any], labels: list[str]
) -> None:
    """By what tells it from the others; what is excluded is left out, and requirements are not ours."""
    assert _labels(tmp_path, **content) == labels


def test_values_are_those_of_the_matrix(tmp_path: Path) -> None:
    """A number is the text that a variable holds; null unsets."""
    found = _read(tmp_path, matrix={"env": {"A": [1]}, "env_nobuild": {"B": None}}).variables()
    assert [dict(each.values) for each in found] == [{"A": "1", "B": None}]


def test_a_matrix_that_is_none_is_told(tmp_path: Path) -> None:
    """With what was found there."""
    with pytest.raises(RequestError, match=r"asv's matrix.env is \['A'\], expected variables with their values"):
        _labels(tmp_path, matrix={"env": ["A"]})
