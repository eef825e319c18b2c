import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from runs import int8_variants

from int8bench.errors import RecordError, RequestError
from int8bench.lab.noise import Reading
from int8bench.lab.sampling import Race, Track
from int8bench.study import records
from int8bench.study.cells import Samples
from int8bench.study.plan import fitting
from int8bench.study.session.ledger import NOT_YET, Ledger
from int8bench.study.session.worker import Alone, Stream
from int8bench.workload.cases import Case, grid

FIGURES = ("latency_s", "cold_s", "throughput_items_per_s", "threads_used", "memory_bytes", "fidelity", "conversion")
GOLDEN = Path(__file__).parents[2] / "golden" / "runs" / "quick.json"
CASES = grid(model="m", variants=int8_variants("fbgemm"), batches=(4,), threads=(1,))
QUIET = Reading(involuntary_switches=0, major_faults=0, minor_faults=7, steal_ticks=0, busy_ticks=0, own_cpu_s=0.0)


def _track(case: Case, time_s: float) -> Track:
    return Track(
        name=case.variant.label,
        calls=3,
        times_s=(time_s, 1.23456789e-3),
        single_s=(time_s,),
        cpu_s=0.5,
        wall_s=1.0,
        involuntary_switches=2,
        lingering_s=0.0,
        disturbed_rounds=1,
    )


def _race() -> Race:
    tracks = tuple(_track(case, 1e-3 * (index + 1)) for index, case in enumerate(CASES))
    return Race(tracks=tracks, kept=(True, False), disturbance=QUIET, wall_s=2.0)


@pytest.fixture
def ledger() -> Ledger:
    """An empty ledger."""
    return Ledger(created_at="2026-01-01T00:00:00+00:00")


def test_a_race_enters_a_sample_a_case(ledger: Ledger) -> None:
    """Each case has its own track of the fork, and the rounds that count are the same for all."""
    ledger.add_race(CASES, _race(), launch=3, fork=1)
    samples = [ledger.races[case.id][0] for case in CASES]
    assert [sample.times_s[0] for sample in samples] == [1e-3, 2e-3, 3e-3]
    assert {(sample.launch, sample.fork, sample.calls, sample.kept) for sample in samples} == {(3, 1, 3, (1, 0))}
    assert samples[0].noise["minor_faults"] == 7
    assert samples[0].noise["disturbed_rounds"] == 1


def test_times_are_kept_as_they_are_written_down(ledger: Ledger) -> None:
    """Six digits: what a figure is computed from is what the record holds."""
    ledger.add_race(CASES, _race(), launch=0, fork=0)
    assert ledger.races[CASES[0].id][0].times_s[1] == 1.23457e-3


def test_streams_count_over_the_time_they_share(ledger: Ledger) -> None:
    """The items of all streams, from the first start to the last end."""
    shares = [Stream(calls=10, started_s=1.0, ended_s=2.0), Stream(calls=6, started_s=1.5, ended_s=3.0)]
    ledger.add_solo(CASES[2], Alone(build_s=0.1, cold_s=0.2, peak_bytes=30), shares, idle_bytes=-5, launch=1)
    solo = ledger.solos[CASES[2].id][0]
    assert (solo.streams, solo.items, solo.seconds) == (2, 64, 2.0)
    assert (solo.cold_s, solo.peak_bytes, solo.idle_peak_bytes) == (0.2, 30, -5)
    assert ledger.has_solo(CASES[2].id, 1)
    assert not ledger.has_solo(CASES[2].id, 0)
    assert not ledger.has_solo(CASES[0].id, 1)


def test_forks_done_counts_those_that_all_cases_have(ledger: Ledger) -> None:
    """A launch is done when its slowest case is; nothing to race has nothing done."""
    ledger.add_race(CASES, _race(), launch=0, fork=0)
    ledger.add_race(CASES[:2], _race(), launch=0, fork=1)
    assert ledger.forks_done(CASES[:2], 0) == 2
    assert ledger.forks_done(CASES, 0) == 1
    assert ledger.forks_done(CASES, 1) == 0
    assert ledger.forks_done((), 0) == 0


def test_an_interrupted_launch_is_forgotten_whole(ledger: Ledger) -> None:
    """The forks of that launch go, those of the others stay."""
    for launch in (0, 1):
        ledger.add_race(CASES, _race(), launch=launch, fork=0)
    ledger.forget(CASES, 1)
    assert [[race.launch for race in ledger.races[case.id]] for case in CASES] == [[0], [0], [0]]


def test_a_failed_cell_loses_its_samples(ledger: Ledger) -> None:
    """Half a measurement is not a figure; the reason stays, and the other cells too."""
    ledger.add_race(CASES, _race(), launch=0, fork=0)
    ledger.fail(CASES[2].id, "crashed")
    assert ledger.samples(CASES[2].id) == Samples(races=(), solos=())
    assert ledger.stopped == {CASES[2].id: ("failed", "crashed")}
    assert len(ledger.samples(CASES[0].id).races) == 1


def _unfinished(path: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """Writes an unfinished record there; the settings that would go on with it."""
    document = json.loads(GOLDEN.read_text(encoding="utf-8"))
    document["complete"] = False
    document["environment"]["versions"] = records.versions()
    settings = {**deepcopy(document["settings"]), "budget_s": None}
    change(document)
    path.write_text(json.dumps(document), encoding="utf-8")
    return settings


def _resumed(path: Path, settings: dict[str, Any]) -> Ledger:
    fingerprint = records.load(GOLDEN).environment.fingerprint
    return Ledger.resumed(path, settings=settings, fingerprint=fingerprint)


def test_a_new_study_starts_empty(tmp_path: Path) -> None:
    """No file, no samples."""
    assert not Ledger.resumed(tmp_path / "run.json", settings={}, fingerprint="x").races


def test_an_unfinished_record_is_gone_on_with(tmp_path: Path) -> None:
    """Its samples, its checks and its date are there again, and the file is not touched."""
    path = tmp_path / "run.json"
    settings = _unfinished(path)
    before = path.read_bytes()
    ledger = _resumed(path, settings)
    stored = records.load(GOLDEN)
    assert ledger.created_at == stored.created_at
    assert [len(ledger.races[cell.id]) for cell in stored.cells] == [4] * 8
    assert {variant.engine for variant in ledger.checks} == {"torch", "fbgemm", "qnnpack"}
    assert not ledger.stopped
    assert path.read_bytes() == before


def test_failures_are_kept_and_skipped_cells_tried_again(tmp_path: Path) -> None:
    """What crashed would crash again; what was skipped or not reached may be measured now."""

    def change(document: dict[str, Any]) -> None:
        for index, status, error in ((2, "failed", "crashed"), (3, "skipped", NOT_YET)):
            document["cells"][index] |= {**dict.fromkeys(FIGURES), "speedups": [], "status": status, "error": error}

    path = tmp_path / "run.json"
    ledger = _resumed(path, _unfinished(path, change))
    failed, skipped = (records.load(GOLDEN).cells[index].id for index in (2, 3))
    assert ledger.stopped == {failed: ("failed", "crashed")}
    assert failed not in ledger.races
    assert len(ledger.races[skipped]) == 4


def test_a_finished_record_is_moved_aside(tmp_path: Path) -> None:
    """The next run starts anew, and what was measured before lies beside it."""
    path = tmp_path / "run.json"
    path.write_bytes(GOLDEN.read_bytes())
    assert not Ledger.resumed(path, settings={}, fingerprint="x").races
    assert not path.exists()
    assert (tmp_path / "run.previous.json").read_bytes() == GOLDEN.read_bytes()


def _other_machine(document: dict[str, Any]) -> None:
    document["environment"]["fingerprint"] = "0123456789ab"


def _other_torch(document: dict[str, Any]) -> None:
    document["environment"]["versions"]["torch"] = "1.0"


def _other_seed(document: dict[str, Any]) -> None:
    document["settings"]["seed"] = 7


def _other_budget(document: dict[str, Any]) -> None:
    document["settings"]["budget_s"] = 99.0
    document["settings"]["quick"] = False


def _other_pace(document: dict[str, Any]) -> None:
    document["settings"]["plan"]["load_s"] = 9.0


def test_races_go_on_by_the_plan_that_they_began_by(tmp_path: Path) -> None:
    """How long things take decides a plan, and is another the next time; looks that share an error stay together."""
    settings = _unfinished(tmp_path / "run.json", _other_pace)
    found = _resumed(tmp_path / "run.json", settings)
    assert found.plan is not None
    assert found.plan.load_s == 9.0
    assert found.plan.to_dict() == {**settings["plan"], "load_s": 9.0}


def test_without_races_a_record_has_no_plan_to_go_on_by(tmp_path: Path) -> None:
    """It was interrupted before: the next run makes its own."""

    def not_begun(document: dict[str, Any]) -> None:
        for cell in document["cells"]:
            cell["samples"]["races"] = []

    assert _resumed(tmp_path / "run.json", _unfinished(tmp_path / "run.json", not_begun)).plan is None


def test_what_was_left_out_for_time_stays_out(tmp_path: Path) -> None:
    """With it back in a group, the forks that the others have would have to be measured again."""
    reason = fitting.reason("it would take about 50 s", "int8bench run")

    def one_left_out(document: dict[str, Any]) -> None:
        absent = {**dict.fromkeys(FIGURES), "speedups": [], "evidence": {}, "status": "skipped"}
        document["cells"][0] |= {**absent, "error": reason}
        document["cells"][1] |= {**absent, "error": "package not installed"}

    found = _resumed(tmp_path / "run.json", _unfinished(tmp_path / "run.json", one_left_out))
    first, second = json.loads((tmp_path / "run.json").read_text())["cells"][:2]
    assert found.stopped == {first["id"]: ("skipped", reason)}
    assert second["id"] not in found.stopped


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_machine, "differs in the machine;"),
        (_other_torch, "differs in the version of torch;"),
        (_other_seed, "differs in --seed;"),
        (_other_budget, "differs in --quick, --budget;"),
    ],
)
def test_unlike_runs_are_not_merged(tmp_path: Path, change: Callable[[dict[str, Any]], None], words: str) -> None:
    """The sentence says which option, machine or package differs and what to type; the file is left alone."""
    path = tmp_path / "run.json"
    settings = _unfinished(path, change)
    before = path.read_bytes()
    with pytest.raises(RequestError) as refused:
        _resumed(path, settings)
    assert words in str(refused.value)
    assert f"another -o to keep it, or delete {path} to start anew" in str(refused.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"my notes", b"{}", GOLDEN.read_bytes()[:-400]])
def test_a_file_that_is_no_record_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Somebody's file at the path of -o is not written over, and the sentence says what to do."""
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"it is left alone: give another -o, or delete .* to start anew"):
        Ledger.resumed(path, settings={}, fingerprint="x")
    assert path.read_bytes() == content


def test_a_path_that_cannot_be_looked_at_is_left_to_the_save() -> None:
    """A name too long holds no record; that it cannot be written is said when it is saved."""
    assert not Ledger.resumed(Path("x" * 300), settings={}, fingerprint="x").races
