"""What verdicts quote of the last selftest: by hardware, and nothing where nothing sound is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from int8bench.selftest import trust
from int8bench.selftest.answer import SCHEMA, SCHEMA_VERSION

HERE = "0123456789ab"
KNOWN: dict[str, Any] = {
    "created_at": "2026-11-24T10:00:00+00:00",
    "trusted": True,
    "trusted_down_to": 0.0123,
    "false_alarms": {"count": 0, "trials": 48, "high": 0.0740},
}


@pytest.fixture(autouse=True)
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the result of this machine is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = trust.path_for(HERE)
    assert path is not None
    return path


def test_a_result_is_quoted_for_its_hardware_alone(kept: Path) -> None:
    """When, down to what, and how many races that rests on."""
    assert trust.quote(HERE) is None
    assert trust.keep(kept, KNOWN)
    assert trust.quote(HERE) == (
        "selftest of 2026-11-24 on this machine: verdicts can be trusted down to 1.3 % "
        "(0 false alarms in 48 races, at most 7.4 % by its 95 % interval)"
    )
    assert trust.quote("ba9876543210") is None


def test_a_machine_that_failed_is_quoted_too(kept: Path) -> None:
    """A warning is what it is for."""
    alarms = {"count": 1, "trials": 1, "high": 1.0}
    assert trust.keep(kept, {**KNOWN, "trusted": False, "trusted_down_to": None, "false_alarms": alarms})
    assert trust.quote(HERE) == (
        "selftest of 2026-11-24 on this machine: verdicts cannot be trusted "
        "(1 false alarm in 1 race, at most 100.0 % by its 95 % interval)"
    )


def test_the_result_of_an_earlier_version_is_quoted(kept: Path) -> None:
    """The file that the commit before typed selftests wrote, to the letter."""
    kept.parent.mkdir()
    kept.write_bytes((Path(__file__).parents[1] / "golden" / "selftest" / "kept.json").read_bytes())
    assert trust.quote(HERE) == (
        "selftest of 2026-11-28 on this machine: verdicts can be trusted down to 1.4 % "
        "(0 false alarms in 8 races, at most 36.9 % by its 95 % interval)"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no JSON",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        json.dumps({**KNOWN, "schema": SCHEMA, "schema_version": SCHEMA_VERSION + 1}).encode(),
        json.dumps({**KNOWN, "schema": SCHEMA}).encode(),
        json.dumps({**KNOWN, "schema": "int8bench.run", "schema_version": SCHEMA_VERSION}).encode(),
    ],
    ids=range(8),
)
def test_another_file_is_no_result(kept: Path, content: bytes) -> None:
    """Empty, cut short, of another schema or version: verdicts go without the sentence."""
    kept.parent.mkdir()
    kept.write_bytes(content)
    assert trust.load(kept) is None
    assert trust.quote(HERE) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"false_alarms": None},
        {"false_alarms": {"count": "many", "trials": 1, "high": 1.0}},
        {"trusted_down_to": None},
        {"trusted_down_to": float("inf")},
        {"trusted_down_to": "all"},
    ],
)
def test_a_damaged_result_is_not_quoted(kept: Path, changes: dict[str, Any]) -> None:
    """A field of another type is no figure."""
    trust.keep(kept, {**KNOWN, **changes})
    assert trust.quote(HERE) is None


@pytest.mark.parametrize("fingerprint", ["../../etc/passwd", "", "0123/4567", "g" * 12, "0" * 65])
def test_a_strangers_fingerprint_leads_nowhere(fingerprint: str) -> None:
    """It comes from a record, and becomes part of a file's name."""
    assert trust.path_for(fingerprint) is None
    assert trust.quote(fingerprint) is None


def test_where_nothing_can_be_kept_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No home, or a file in the folder's place: the answer goes on without being kept."""
    (tmp_path / "int8bench").write_text("in the way", encoding="utf-8")
    path = trust.path_for(HERE)
    assert not trust.keep(path, KNOWN)
    assert trust.quote(HERE) is None
    trust.forget(path)
    monkeypatch.setattr(trust.cache, "folder", lambda: None)
    assert trust.path_for(HERE) is None
    assert trust.unfinished_path_for(HERE, 300.0) is None
    assert not trust.keep(None, KNOWN)
    trust.forget(None)


def test_selftests_of_two_lengths_are_kept_apart_until_they_are_done(kept: Path) -> None:
    """A short one does not go on with, or forget, the forks of a long one; neither is quoted."""
    short, long = (trust.unfinished_path_for(HERE, seconds) for seconds in (300.0, 3600.0))
    assert len({kept, short, long}) == 3
    trust.keep(short, KNOWN)
    trust.keep(long, KNOWN)
    trust.forget(short)
    trust.forget(short)
    assert (short.exists(), long.exists()) == (False, True)
    assert trust.quote(HERE) is None
