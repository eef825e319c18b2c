"""asv results: what asv itself wrote is read, and what is damaged is a sentence while the rest is still there."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from int8bench.errors import RequestError
from int8bench.tracking import asv_results
from int8bench.tracking.asv_results import Folder, Number

GOLDEN = Path(__file__).parents[1] / "golden" / "asv"  # written by asv 0.6.6's Results.save
FIRST = "01234567-existing-python3.11.json"
FORWARD, WEIGHTS = "latency.Forward.time_forward", "cost.Size.track_weight_bytes"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of asv's folder to damage."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "results"))


def _edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def _content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_asv_wrote_is_read() -> None:
    """Numbers with asv's spelling of parameters, in order; skipped (NaN) and failed (null) ones are left out."""
    found = asv_results.read(GOLDEN)
    assert found.problems == []
    assert [(each.commit_hash[:8], each.date_ms) for each in found.results] == [
        ("01234567", 1767225600000),
        ("89abcdef", 1767312000000),
    ]
    assert found.results[1].numbers == [
        Number(FORWARD, ("'float32'", "1"), "1", pytest.approx(0.004435), 1767312000000),
        Number(FORWARD, ("'fbgemm'", "1"), "1", pytest.approx(0.003335), 1767312000000),
        Number(WEIGHTS, (), "2", 65849.0, 1767312000000),
    ]
    assert found.results[0].benchmarks == {FORWARD, WEIGHTS, "health.Findings.track_broken"}
    assert (found.results[0].machine, found.results[0].env_name) == ("rack-1", "existing-python3.11")
    assert found.results[0].measured_ms == 1767312000000
    assert found.machines["rack-1"] == "A CPU @ 2.4 GHz"
    assert found.benchmarks[FORWARD].unit == "seconds"
    assert found.benchmarks[FORWARD].param_names == ("contender", "batch")


def test_columns_may_stand_in_any_order(folder: Path) -> None:
    """A row is read by the names that the file gives."""

    def reverse(document: dict[str, Any]) -> None:
        count = len(document["result_columns"])
        document["result_columns"].reverse()
        document["results"] = {
            name: [*row, *[None] * (count - len(row))][::-1] for name, row in document["results"].items()
        }

    _edit(folder / "rack-1" / FIRST, reverse)
    assert asv_results.read(folder).results == asv_results.read(GOLDEN).results


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def _version(given: int | None) -> Callable[[Path], None]:
    return lambda path: _edit(path, lambda document: document.update(version=given))


DAMAGE = {
    "cut short": (_cut, "cut short or no JSON"),
    "empty": (lambda path: path.write_bytes(b""), "cut short or no JSON"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe{"), "cut short or no JSON"),
    "a list": (lambda path: path.write_text("[]"), "expected a JSON object, got list"),
    "version 1": (_version(1), "version 1 of asv's format, expected 2; type asv update"),
    "version 3": (_version(3), "version 3 of asv's format, expected 2; int8bench cannot read it"),
    "no version": (_version(None), "version None of asv's format, expected 2"),
    "no commit": (lambda path: _edit(path, lambda one: one.pop("commit_hash")), "not laid out as asv's results"),
    "no results": (lambda path: _edit(path, lambda one: one.update(results=3)), "not laid out as asv's results"),
    "no column": (lambda path: _edit(path, lambda one: one["result_columns"].remove("params")), "lacks params"),
}


@pytest.mark.parametrize(("damage", "sentence"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_a_sentence_and_the_rest_is_read(
    folder: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    """One sentence that names the file; nothing on disk is changed."""
    damage(folder / "rack-1" / FIRST)
    before = _content(folder)
    found = asv_results.read(folder)
    (problem,) = found.problems
    assert problem.startswith(str(folder / "rack-1" / FIRST))
    assert sentence in problem
    assert [each.commit_hash[:8] for each in found.results] == ["89abcdef"]
    assert _content(folder) == before


def test_an_unknown_column_is_left_out(folder: Path) -> None:
    """All numbers are read beside it, which asv itself refuses."""

    def add(document: dict[str, Any]) -> None:
        document["result_columns"].insert(0, "ours")
        document["results"] = {name: [1, *row] for name, row in document["results"].items()}

    _edit(folder / "rack-1" / FIRST, add)
    found = asv_results.read(folder)
    assert found.results == asv_results.read(GOLDEN).results
    (problem,) = found.problems
    assert "unknown columns, left out: ours" in problem


@pytest.mark.parametrize(
    ("row", "sentence"),
    [([[1.0, 2.0], []], "2 numbers for 1 combinations"), (3, "not laid out"), ([["fast"], []], "not laid out")],
)
def test_a_damaged_row_is_a_sentence_and_the_others_are_read(folder: Path, row: object, sentence: str) -> None:
    """It names the benchmark."""
    _edit(folder / "rack-1" / FIRST, lambda document: document["results"].update({WEIGHTS: row}))
    found = asv_results.read(folder)
    (problem,) = found.problems
    assert f"{FIRST}: {WEIGHTS}: " in problem
    assert sentence in problem
    assert [each.benchmark for each in found.results[0].numbers] == [FORWARD, FORWARD]


def _machine_gone(folder: Path) -> None:
    (folder / "rack-1" / "machine.json").unlink()


def _machine_cut(folder: Path) -> None:
    (folder / "rack-1" / "machine.json").write_text("{")


def _benchmarks_gone(folder: Path) -> None:
    (folder / "benchmarks.json").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (_machine_gone, "machine.json: missing; asv itself will leave its results out, type asv machine"),
        (_machine_cut, "machine.json: cut short or no JSON"),
        (_benchmarks_gone, "benchmarks.json: missing; units and names of parameters are unknown"),
    ],
)
def test_results_are_read_without_what_describes_them(
    folder: Path, damage: Callable[[Path], None], sentence: str
) -> None:
    """A sentence for what is missing, and every number."""
    damage(folder)
    found = asv_results.read(folder)
    (problem,) = found.problems
    assert sentence in problem
    assert found.results == asv_results.read(GOLDEN).results


def test_an_empty_folder_has_no_results_yet(tmp_path: Path) -> None:
    """The sentence says what to type."""
    found: Folder = asv_results.read(tmp_path)
    assert found.results == []
    assert found.problems[-1] == f"{tmp_path}: no results yet; type asv run"


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is a wrong request, not an empty history."""
    with pytest.raises(RequestError, match="no such folder; give asv's results folder"):
        asv_results.read(tmp_path / "nowhere")


def test_our_side_files_are_no_machine(folder: Path) -> None:
    """The folder beside the machines' is not read as one."""
    (folder / "int8bench").mkdir()
    found = asv_results.read(folder)
    assert list(found.machines) == ["rack-1"]
    assert found.problems == []
