"""Baselines: one a kind of hardware, never another's, never written over where it is broken."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.compare.gate import baselines
from int8bench.errors import RecordError, RequestError
from int8bench.study import records

_SPEC = importlib.util.spec_from_file_location("runs", Path(__file__).parents[2] / "helpers" / "runs.py")
assert _SPEC is not None
assert _SPEC.loader is not None
runs = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(runs)

RUN = runs.run(runs.Played(batches=(1,)))
HERE = RUN.environment.fingerprint


def test_a_baseline_is_the_run_and_its_commit(tmp_path: Path) -> None:
    """It lies under its fingerprint, is read back with every sample, and is a record that other commands read."""
    path = baselines.record(RUN, tmp_path, commit="abc")
    assert path == tmp_path / "reports" / "baselines" / f"{HERE}.json"
    found = baselines.load(tmp_path, HERE)
    assert found == records.load(path)
    assert baselines.commit_of(found) == "abc"
    expected = {**records.to_dict(RUN), "settings": {**RUN.settings, "commit": "abc"}}
    assert records.dumps(found) == records.dumps(records.from_dict(expected))


def test_no_baseline_is_none(tmp_path: Path) -> None:
    """Nothing recorded, or recorded outside a repository: no run, and no commit."""
    assert baselines.load(tmp_path, HERE) is None
    baselines.record(RUN, tmp_path, commit=None)
    assert baselines.commit_of(baselines.load(tmp_path, HERE)) is None


@pytest.mark.parametrize(("there", "here"), [(runs.AVX2, runs.AMX), (runs.AMX, runs.AVX2)])
def test_a_baseline_of_other_hardware_is_never_taken(there: object, here: object, tmp_path: Path) -> None:
    """AVX2 and AMX, both ways: it is not found, and a copy of it under this machine's name is refused."""
    theirs = runs.run(runs.Played(batches=(1,), machine=there))
    mine = runs.run(runs.Played(batches=(1,), machine=here)).environment.fingerprint
    path = baselines.record(theirs, tmp_path, commit=None)
    assert baselines.load(tmp_path, mine) is None
    assert baselines.others(tmp_path, mine) == (theirs.environment.fingerprint,)
    path.rename(baselines.path_of(tmp_path, mine))
    with pytest.raises(
        RecordError, match=rf"other hardware \({theirs.environment.fingerprint}\), which does not judge"
    ):
        baselines.load(tmp_path, mine)


def _broken(path: Path, how: str) -> None:
    document = json.loads(path.read_text())
    if how == "newer":
        document["schema_version"] = 99
    elif how == "unfinished":
        document["complete"] = False
    elif how == "other flags":
        document["environment"]["hardware"]["flags"] = []
    path.write_text("{" if how == "cut" else "" if how == "empty" else json.dumps(document))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("cut", "not JSON, or cut short"),
        ("empty", "the file is empty"),
        ("newer", "schema version 99, this int8bench reads up to 2"),
        ("unfinished", "an unfinished run, which is no baseline"),
        ("other flags", "a run on other hardware"),
    ],
)
def test_a_broken_baseline_is_one_sentence_and_left_alone(how: str, sentence: str, tmp_path: Path) -> None:
    """Corrupt, of a newer schema, unfinished or changed by hand: exit 2, with the file and what to do."""
    path = baselines.record(RUN, tmp_path, commit=None)
    _broken(path, how)
    before = path.read_bytes()
    with pytest.raises(RecordError) as raised:
        baselines.load(tmp_path, HERE)
    assert raised.value.exit_code == 2
    assert str(raised.value).startswith(str(path))
    assert sentence in str(raised.value)
    assert str(raised.value).endswith("it is left alone: delete it to record a new baseline")
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before


def test_an_unfinished_run_is_not_recorded(tmp_path: Path) -> None:
    """A baseline is a whole run, or none."""
    with pytest.raises(RequestError, match="unfinished run is no baseline"):
        baselines.record(replace(RUN, complete=False), tmp_path, commit=None)
    assert not (tmp_path / "reports").exists()
