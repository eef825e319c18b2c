"""Trials of our own verdicts: what they add up to, how they resume, and what they leave alone."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from int8bench import machine
from int8bench.cases import Group
from int8bench.errors import InterruptedRunError, LabError, NothingMeasuredError, RequestError
from int8bench.lab.progress import Progress
from int8bench.selftest import trials

HERE = "0123456789ab"
GROUPS = (Group(batch=1, threads=1), Group(batch=32, threads=1))


def row(**changes: object) -> dict[str, object]:
    """One stored outcome."""
    return {
        "engine": "fbgemm",
        "batch": 1,
        "threads": 1,
        "race": 0,
        "slowed": False,
        "value": 1.0,
        "low": 0.99,
        "high": 1.01,
        "launches": 4,
        "forks": 8,
        "pairs": 80,
        "verdict": "same",
        "measured_s": 10.0,
        **changes,
    }


def outcome(group: Group, race: int, *, slowed: bool) -> SimpleNamespace:
    """What a race of a trial comes to, as far as the file wants to know."""
    stored = row(batch=group.batch, threads=group.threads, race=race, slowed=slowed)
    return SimpleNamespace(to_dict=lambda: {key: stored[key] for key in stored if key != "engine"})


@pytest.fixture
def raced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[Group, ...], bool]]:
    """The races that were asked for, in a lab that is played."""
    asked: list[tuple[int, tuple[Group, ...], bool]] = []

    def race(_order: object, _variant: object, groups: list[Group], design: object, race: int, calls: object) -> list:
        assert design is (trials.SLOWED_DESIGN if calls else trials.DESIGN)
        asked.append((race, tuple(groups), calls is not None))
        return [outcome(group, race, slowed=calls is not None) for group in groups]

    monkeypatch.setattr(trials, "_one_race_everywhere", race)
    monkeypatch.setattr(trials, "default_subject", lambda _advance: None)
    monkeypatch.setattr(trials, "order_for", lambda _subject, _variants: None)
    on_machine(monkeypatch, HERE)
    return asked


def on_machine(monkeypatch: pytest.MonkeyPatch, fingerprint: str) -> None:
    """Plays the machine of that fingerprint."""
    monkeypatch.setattr(machine, "detect", lambda: fingerprint)
    monkeypatch.setattr(machine, "fingerprint", str)


def run(output: Path, *, races: int = 2, slowed: bool = False, engine: str = "fbgemm", **kw: object) -> list:
    """Runs trials in both groups unless told otherwise."""
    told = kw.pop("told", [])
    groups = kw.pop("groups", GROUPS)
    return trials.run_trials(engine, groups, races=races, slowed=slowed, output=output, advance=told.append)


def test_a_tally_counts_verdicts_and_intervals() -> None:
    """Known answers: two intervals without 1, one verdict each, and medians of width and time."""
    rows = [
        row(),
        row(low=1.001, value=1.01, high=1.02, verdict="faster", measured_s=20.0),
        row(low=0.96, value=0.98, high=0.999, verdict="slower", measured_s=30.0),
    ]
    assert trials.tally(rows) == {
        "races": 3,
        "intervals_excluding_1": 2,
        "faster": 1,
        "slower": 1,
        "same": 1,
        "unclear": 0,
        "median_ratio": 1.0,
        "median_half_width": pytest.approx(0.01),
        "median_measured_s": 20.0,
        "longest_measured_s": 30.0,
    }


def test_an_interval_that_ends_at_1_holds_1() -> None:
    """Ends belong to an interval."""
    assert trials.tally([row(low=1.0, high=1.02), row(low=0.98, high=1.0)])["intervals_excluding_1"] == 0


def test_tallies_keep_engines_kinds_and_cells_apart() -> None:
    """Each cell has its own line, several cells one more together; engines and slowed races are never mixed."""
    rows = [row(), row(batch=32), row(batch=32), row(slowed=True), row(engine="x86")]
    found = trials.tallies(rows)
    assert [(each["engine"], each["slowed"], each["batch"], each["races"]) for each in found] == [
        ("fbgemm", False, 1, 1),
        ("fbgemm", False, 32, 2),
        ("fbgemm", False, None, 3),
        ("fbgemm", True, 1, 1),
        ("x86", False, 1, 1),
    ]
    assert trials.tallies([]) == []


def test_outcomes_are_written_after_every_race(raced: list, tmp_path: Path) -> None:
    """The file holds a row a race and group; progress ends at its total."""
    output, told = tmp_path / "trials.json", []
    rows = run(output, told=told)
    assert json.loads(output.read_text(encoding="utf-8")) == {
        "schema": trials.SCHEMA,
        "fingerprint": HERE,
        "designs": {"plain": trials.DESIGN.to_dict()},
        "rows": rows,
    }
    assert [(each["race"], each["batch"]) for each in rows] == [(0, 1), (0, 32), (1, 1), (1, 32)]
    assert raced == [(0, GROUPS, False), (1, GROUPS, False)]
    assert told[-1] == Progress(phase="done", done=2, total=2)


def test_only_what_is_missing_is_raced(raced: list, tmp_path: Path) -> None:
    """More races, another group, the slowed kind and another engine each add to the file without doing any again."""
    output = tmp_path / "trials.json"
    run(output, groups=GROUPS[:1])
    raced.clear()
    rows = run(output, races=3)
    assert raced == [(0, GROUPS[1:], False), (1, GROUPS[1:], False), (2, GROUPS, False)]
    assert len(rows) == 6
    assert len(run(output, races=1, slowed=True)) == 8
    assert len(run(output, races=1, engine="qnnpack")) == 10
    raced.clear()
    assert len(run(output, races=3)) == 10
    assert not raced


@pytest.mark.parametrize(
    ("raised", "word"), [(KeyboardInterrupt(), "stopped"), (LabError("was ended by SIGKILL"), "was ended by SIGKILL")]
)
@pytest.mark.parametrize(("at", "error", "code"), [(0, NothingMeasuredError, 3), (1, InterruptedRunError, 2)])
def test_what_was_raced_before_it_stopped_is_kept(
    raced: list,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
    word: str,
    at: int,
    error: type[NothingMeasuredError],
    code: int,
) -> None:
    """Ctrl-C and a measuring process that dies: a sentence, the rows so far, and the same command goes on."""
    played: Callable[..., list] = trials._one_race_everywhere

    def stop(*arguments: object) -> list:
        if len(raced) == at:
            raise raised
        return played(*arguments)

    monkeypatch.setattr(trials, "_one_race_everywhere", stop)
    output = tmp_path / "trials.json"
    with pytest.raises(error, match=f"{word}.*the same command goes on from") as told:
        run(output)
    assert told.value.exit_code == code
    assert output.exists() == bool(at)
    monkeypatch.setattr(trials, "_one_race_everywhere", played)
    assert len(run(output)) == 4


def test_races_of_two_machines_are_never_joined(raced: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file says on which machine its races were made; another one's are refused, and the file stays as it is."""
    output = tmp_path / "trials.json"
    run(output)
    before = output.read_bytes()
    on_machine(monkeypatch, "ba9876543210")
    with pytest.raises(RequestError, match=r"-o .*: holds races of 0123456789ab, and this machine is ba9876543210"):
        run(output, races=3)
    assert output.read_bytes() == before
    assert len(raced) == 2


def test_races_of_a_file_without_a_machine_are_not_gone_on_with(raced: list, tmp_path: Path) -> None:
    """Files of earlier versions can be read, and are left as they are."""
    output = tmp_path / "trials.json"
    output.write_text(json.dumps({"schema": trials.SCHEMA, "rows": [row()]}), encoding="utf-8")
    with pytest.raises(RequestError, match="holds races of a machine that it does not name"):
        run(output)
    assert not raced


def test_races_of_two_designs_are_never_joined(raced: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a kind of race has changed, its races are refused, and those of the other kind are not."""
    output = tmp_path / "trials.json"
    run(output)
    run(output, races=1, slowed=True)
    monkeypatch.setattr(trials, "DESIGN", replace(trials.DESIGN, race_s=0.1))
    with pytest.raises(RequestError, match=r"-o .*: holds plain races of another design than this int8bench's"):
        run(output, races=3)
    assert len(run(output, races=2, slowed=True)) == 8
    assert len(raced) == 4


@pytest.mark.parametrize(
    "content",
    [
        '{"schema": "int8bench.run", "cells": []}',
        '{"rows": []}',
        '{"schema": "int8bench.trials", "rows": [{"race": 1}]}',
        '{"schema": "int8bench.trials", "rows": [1]}',
        '{"schema": "int8bench.trials", "rows": 1}',
        '{"schema": "int8bench.trials", "designs": [], "rows": []}',
        "[1]",
        "[" * 100_000,
        "no JSON",
        "",
        "\xff\xfe",
    ],
    ids=range(11),
)
def test_another_file_is_left_alone(raced: list, tmp_path: Path, content: str) -> None:
    """It is neither gone on with nor written over."""
    output = tmp_path / "mine.json"
    output.write_bytes(content.encode("latin-1"))
    with pytest.raises(RequestError, match=r"-o .*mine\.json: not a file of int8bench trials"):
        run(output)
    assert output.read_bytes() == content.encode("latin-1")
    assert not raced


@pytest.mark.parametrize(
    ("engine", "name", "sentence"),
    [
        ("fbgm", "new.json", "did you mean fbgemm"),
        ("torch", "new.json", "--engine torch: a float32 engine"),
        ("fbgemm", ".", "-o .*cannot be written"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, name: str, sentence: str
) -> None:
    """An engine that cannot race, and a path that cannot be written."""
    monkeypatch.setattr(trials, "default_subject", lambda _advance: pytest.fail("was trained"))
    with pytest.raises(RequestError, match=sentence):
        run(tmp_path / name, engine=engine)


def test_groups_are_those_that_the_machine_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """One and two threads without being told, as far as there are cores; more than that is refused."""
    monkeypatch.setattr(machine, "usable_processors", lambda: (0,))
    assert trials.groups_of((1, 32), None) == GROUPS
    with pytest.raises(RequestError, match="--threads 2: this machine can use 1 at most; try --threads 1"):
        trials.groups_of((1,), (1, 2))
    monkeypatch.setattr(machine, "usable_processors", lambda: (0, 1, 2))
    assert [each.threads for each in trials.groups_of((1,), None)] == [1, 2]
