import errno
import json
import math
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from int8bench import files
from int8bench.errors import RecordError, RequestError
from int8bench.report import text
from int8bench.study import records

GOLDEN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"
DOCUMENT: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
# With three cells and few samples: what is wrong in it is found soon.
SMALL = deepcopy(DOCUMENT)
del SMALL["cells"][3:], SMALL["findings"][1:]
for _cell in SMALL["cells"]:
    _cell["samples"] = {name: samples[:1] for name, samples in _cell["samples"].items()}
# For which a whole number has no point, as for our reader.
VALIDATOR = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    ),
)(records.schema())
NESTED = 100_000  # deeper than any interpreter's stack


def _at(document: Any, path: str) -> tuple[Any, Any]:
    """The container that a dotted path ends in, and its last key."""
    *way, last = [int(key) if key.isdecimal() else key for key in path.split(".")]
    for key in way:
        document = document[key]
    return document, last


def _with(path: str, value: object) -> dict[str, Any]:
    """The golden document with another value at a dotted path."""
    document = deepcopy(DOCUMENT)
    container, key = _at(document, path)
    container[key] = value
    return document


def _without(path: str) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    container, key = _at(document, path)
    del container[key]
    return document


def _objection(document: object) -> str:
    """What loading says of a document, which it must refuse."""
    with pytest.raises(RecordError) as refused:
        records.loads(json.dumps(document), name="run.json")
    return str(refused.value)


def test_what_the_schema_refuses_is_refused() -> None:
    """Each key of the golden record taken away, and each value replaced by one of another type."""
    assert _is_read(SMALL)
    accepted = [
        (place, value)
        for place in _places(SMALL, ())
        for value in (GONE, None, "x", -1, [])
        if (changed := _replaced(place, value)) != SMALL and _is_read(changed) and not VALIDATOR.is_valid(changed)
    ]
    assert not accepted


GONE = object()


def _places(document: Any, place: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The way to each value of a document, of arrays to their first entries, of free JSON to its outside alone."""
    yield place
    if place and place[-1] in {"evidence", "noise", "hardware", "notes", "subject", "times_s", "kept", "single_s"}:
        return
    if isinstance(document, dict):
        for key, value in document.items():
            yield from _places(value, (*place, key))
    elif isinstance(document, list):
        for index, value in enumerate(document[:3]):
            yield from _places(value, (*place, index))


def _replaced(place: tuple[Any, ...], value: object) -> Any:
    return _changed(deepcopy(SMALL), place, removes=value is GONE, value=value)


def _is_read(document: Any) -> bool:
    try:
        records.from_dict(document)
    except RecordError:
        return False
    return True


def test_a_record_survives_its_json_form() -> None:
    """A run, its document and its text are the same run three times."""
    run = records.load(GOLDEN)
    assert records.from_dict(records.to_dict(run)) == run
    assert records.loads(records.dumps(run)) == run
    assert records.dumps(run) == GOLDEN.read_text(encoding="utf-8")


def test_the_schema_is_a_schema_and_takes_what_we_write() -> None:
    """Somebody else's validator accepts the golden record too."""
    Draft202012Validator.check_schema(records.schema())
    Draft202012Validator(records.schema()).validate(DOCUMENT)


def test_the_record_has_the_fields_that_were_promised() -> None:
    """The layout of RUN.json is a promise to other programs; nothing may go, and what is added is known."""
    assert set(DOCUMENT) == {
        "schema",
        "schema_version",
        "complete",
        "created_at",
        "int8bench_version",
        "environment",
        "settings",
        "findings",
        "cells",
        "ranking",
        "recommendation",
    }
    assert set(DOCUMENT["environment"]) == {"hardware", "fingerprint", "versions", "process"}
    cell = DOCUMENT["cells"][2]
    assert " ".join(cell) == (
        "id model engine precision layout batch threads status error latency_s cold_s throughput_items_per_s "
        "threads_used memory_bytes fidelity conversion speedups evidence samples"
    )
    assert set(cell["latency_s"]) == {"median", "p50", "p90", "p99", "calls"}
    assert set(cell["throughput_items_per_s"]) == {"value", "low", "high", "streams"}
    assert set(cell["memory_bytes"]) == {"peak_delta", "weights", "serialized"}
    assert set(cell["memory_bytes"]["peak_delta"]) == {"value", "low", "high", "forks"}
    assert set(cell["fidelity"]) == {"sqnr_db", "agreement", "top1", "top1_float32", "constant", "constant_float32"}
    promised = "reference role value low high confidence verdict launches forks pairs smallest_visible_effect"
    added = "reason more_launches"
    assert " ".join(cell["speedups"][0]) == f"{promised} {added}"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "newer": (_with("schema_version", 3), "schema version 3, this int8bench reads up to 2; type: pip install"),
    "older": (_with("schema_version", 0), "schema_version: expected 2, got 0"),
    "other schema": (_with("schema", "pyperf"), "not a record of int8bench run; expected an object with schema"),
    "no schema": (_without("schema"), "not a record of int8bench run"),
    "no cells": (_without("cells"), "'cells' is a required property"),
    "no figure": (_without("cells.3.cold_s"), "cells[3]: 'cold_s' is a required property"),
    "no rate": (_without("settings.error_rate"), "settings: 'error_rate' is a required property"),
    "unknown key": (_with("cells.0.speed", 1), "cells[0]: Additional properties are not allowed ('speed'"),
    "text for number": (_with("cells.0.latency_s.p50", "1"), "cells[0].latency_s.p50: expected number, got '1'"),
    "point for whole": (_with("cells.0.batch", 1.0), "cells[0].batch: expected integer, got 1.0"),
    "yes for number": (_with("cells.0.cold_s", True), "cells[0].cold_s: expected number or null, got True"),  # noqa: FBT003
    "zero": (_with("cells.1.latency_s.p99", 0), "cells[1].latency_s.p99: expected a number above 0, got 0"),
    "share above 1": (_with("cells.2.fidelity.agreement", 1.5), "fidelity.agreement: expected 1 or less, got 1.5"),
    "word": (_with("cells.2.status", "fine"), "cells[2].status: expected one of ok, failed, skipped, got 'fine'"),
    "verdict": (_with("cells.2.speedups.0.verdict", "won"), "expected one of faster, slower, same, unclear, got 'won'"),
    "ok without figures": (_with("cells.0.latency_s", None), "cells[0].latency_s: expected object, got None"),
    "ok with an error": (_with("cells.0.error", "x"), "cells[0].error: expected null, got 'x'"),
    "failed with figures": (_with("cells.2.status", "failed"), "cells[2]."),
    "hardware": (_with("environment.hardware", []), "environment.hardware: expected object, got []"),
    "huge": (_with("findings", {"a": "x" * 9000}), "findings: expected array, got {'a': 'xx"),
    "negative time": (
        _with("cells.3.samples.races.0.times_s.0", -1e-3),
        "cells[3].samples.races[0].times_s[0]: expected a positive number, got -0.001",
    ),
    "time of zero": (
        _with("cells.3.samples.races.0.times_s.0", 0),
        "cells[3].samples.races[0].times_s[0]: expected a positive number, got 0",
    ),
    "time that is text": (
        _with("cells.0.samples.races.1.single_s.0", "1"),
        "races[1].single_s[0]: expected a positive",
    ),
    "not a number": (_with("cells.0.samples.races.0.times_s.2", math.nan), "times_s[2]: expected a positive number"),
    "not a number in a figure": (
        _with("cells.0.cold_s", math.nan),
        "cells[0].cold_s: expected number or null, got nan",
    ),
    "infinite": (_with("cells.0.threads_used", math.inf), "cells[0].threads_used: expected number or null, got inf"),
    "beyond a float": (_with("cells.0.samples.races.0.times_s.0", 10**400), "times_s[0]: expected a positive number"),
    "kept": (_with("cells.0.samples.races.0.kept.1", 2), "kept[1]: expected 1 for a round that counts or 0, got 2"),
    "rounds": (_with("cells.0.samples.races.0.kept", [1]), "races[0].kept: 1 entries for 17 rounds"),
    "twice": (
        _with("cells.1", DOCUMENT["cells"][0]),
        "cells[1].id: simplecnn/torch/float32/channels_last/b1/t1 stands",
    ),
    "no such reference": (_with("cells.2.speedups.0.reference", "x"), "cells[2].speedups[0].reference: no cell x"),
    "id of another": (_with("cells.2.batch", 9), "cells[2].id: expected simplecnn/fbgemm/int8/channels_last/b9/t1"),
    "low above value": (_with("cells.2.speedups.1.low", 9.0), "cells[2].speedups[1]: expected low <= value <= high"),
    "median above high": (_with("cells.0.latency_s.median.high", 1e-9), "cells[0].latency_s.median: expected low <="),
    "memory below low": (
        _with("cells.0.memory_bytes.peak_delta.value", -1e15),
        "memory_bytes.peak_delta: expected low",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_wrong_record_is_refused_with_its_place(what: str) -> None:
    """The sentence has the file, the path inside it, what was expected and what was there, and stays short."""
    document, sentence = REFUSED[what]
    objection = _objection(document)
    assert objection.startswith("run.json: ")
    assert sentence in objection
    assert len(objection) < 250


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"\x89PNG\r\n\xff\x00", "not a text file"),
        (b"[]", "expected an object with schema 'int8bench.run'"),
        (b"null", "expected an object with schema 'int8bench.run'"),
        (GOLDEN.read_bytes()[:9000], "not JSON, or cut short"),
        (b'{"schema": "int8bench.run"}', "is a required property"),
        (b"[" * NESTED, "nested too deep"),
        (b"1" * 5000, "Exceeds the limit"),
        (GOLDEN.read_bytes().replace(b'"simplecnn"', rb'"\ud800"', 1), "holds half a character"),
    ],
    ids=["empty", "blank", "binary", "list", "null", "cut", "keys", "nested", "long number", "half a character"],
)
def test_a_file_that_is_no_record_gets_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Whatever a file holds, loading raises a RecordError that names the file."""
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RecordError) as refused:
        records.load(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_path_that_cannot_be_read_gets_one_sentence(tmp_path: Path) -> None:
    """A missing file says how to make one; a folder is no file."""
    with pytest.raises(RecordError, match=r"no such file; make one with: int8bench run -o .*missing\.json"):
        records.load(tmp_path / "missing.json")
    with pytest.raises(RecordError, match="cannot be read: Is a directory"):
        records.load(tmp_path)


PLACES = [
    tuple(path)
    for path in [
        (),
        *((key,) for key in DOCUMENT),
        *(("environment", key) for key in DOCUMENT["environment"]),
        *(("environment", "hardware", key) for key in ("arch", "brand", "levels", "torch")),
        *(("settings", key) for key in DOCUMENT["settings"]),
        *(("findings", 0, key) for key in DOCUMENT["findings"][0]),
        *(("cells", 2, key) for key in DOCUMENT["cells"][2]),
        *(
            ("cells", 2, group, key)
            for group in ("latency_s", "fidelity", "memory_bytes")
            for key in (DOCUMENT["cells"][2][group])
        ),
        *(("cells", 2, "speedups", 0, key) for key in DOCUMENT["cells"][2]["speedups"][0]),
        *(("cells", 2, "samples", "races", 0, key) for key in DOCUMENT["cells"][2]["samples"]["races"][0]),
        *(("cells", 2, "samples", "solos", 0, key) for key in DOCUMENT["cells"][2]["samples"]["solos"][0]),
    ]
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [10**400, -(10**400), 2**63, 1e308, 5e-324, "ok", "failed", "int8", "\x1b[31m", "<script>", "é\n"]
    )
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), st.booleans(), VALUES), min_size=1, max_size=3))
def test_a_mutated_record_is_refused_or_drawn(changes: list[tuple[tuple[Any, ...], bool, Any]]) -> None:
    """Whatever values a record has, loading raises RecordError, or the table can be drawn and the record saved.

    And what is loaded keeps the schema, which is the promise to other programs.
    """
    document: Any = deepcopy(DOCUMENT)
    for place, removes, value in changes:
        document = _changed(document, place, removes=removes, value=value)
    written = json.dumps(document)
    try:
        run = records.loads(written)
    except RecordError:
        return
    assert VALIDATOR.is_valid(json.loads(written))
    assert text.render(run, width=100, colour=False).encode()
    assert records.loads(records.dumps(run)) == run


def _changed(document: Any, place: tuple[Any, ...], *, removes: bool, value: Any) -> Any:
    if not place:
        return value
    container = document
    for key in place[:-1]:
        try:
            container = container[key]
        except (KeyError, IndexError, TypeError):
            return document  # an earlier change took the way there
    if isinstance(container, dict):
        if removes:
            container.pop(place[-1], None)
        else:
            container[place[-1]] = value
    return document


def test_a_save_is_whole_and_readable_by_others(tmp_path: Path) -> None:
    """A record comes back as it was saved, into folders made on the way, and nothing else is left there."""
    run = records.load(GOLDEN)
    path = tmp_path / "a" / "b" / "run.json"
    records.save(run, path)
    assert records.load(path) == run
    assert os.listdir(path.parent) == ["run.json"]  # noqa: PTH208  names are enough
    assert path.stat().st_mode & 0o777 == 0o644


def _full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


class _FullFile:
    """A file on a disk that fills up half-way through a write."""

    def __init__(self, descriptor: int) -> None:
        self._file = open(descriptor, "wb")  # noqa: SIM115  a descriptor, closed on the way out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: len(content) // 2])
        _full()


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "write": lambda patch: patch.setattr(Path, "open", lambda path, _mode: _FullFile(os.open(path, os.O_WRONLY))),
    "fsync": lambda patch: patch.setattr(files.os, "fsync", _full),
    "chmod": lambda patch: patch.setattr(Path, "chmod", _full),
    "replace": lambda patch: patch.setattr(Path, "replace", _full),
}


@pytest.mark.parametrize("where", FAULTS)
def test_a_full_disk_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Wherever a save fails: the old record is there, no temporary file is, and the sentence says what to type."""
    path = tmp_path / "run.json"
    path.write_text("old", encoding="utf-8")
    run = records.load(GOLDEN)
    with monkeypatch.context() as patch:
        FAULTS[where](patch)
        with pytest.raises(RequestError, match="cannot be written: No space left on device; give a path in a folder"):
            records.save(run, path)
    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_ctrl_c_during_a_save_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interrupt passes through, and leaves the old record and nothing beside it."""
    path = tmp_path / "run.json"
    path.write_text("old", encoding="utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", _stopped)
        with pytest.raises(KeyboardInterrupt):
            files.write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_a_path_under_a_file_is_refused(tmp_path: Path) -> None:
    """A folder that is a file gets a sentence."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RequestError, match=r"-o .*file/run\.json: cannot be written: "):
        files.write_text(tmp_path / "file" / "run.json", "new")


def test_a_folder_or_a_device_is_not_written_over(tmp_path: Path) -> None:
    """Replacing /dev/null by a record would break the machine; a folder keeps what is in it."""
    with pytest.raises(RequestError, match="it is a folder; give the path of a file"):
        files.write_text(tmp_path, "new")
    with pytest.raises(RequestError, match="it is a device"):
        files.write_text(Path(os.devnull), "new")
    assert not Path(os.devnull).is_file()


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What a link points at is replaced, not the link."""
    (tmp_path / "real.json").write_text("old", encoding="utf-8")
    (tmp_path / "run.json").symlink_to("real.json")
    files.write_text(tmp_path / "run.json", "new")
    assert (tmp_path / "run.json").is_symlink()
    assert (tmp_path / "real.json").read_text(encoding="utf-8") == "new"


def test_a_name_too_long_is_refused(tmp_path: Path) -> None:
    """A file name that no file system takes gets a sentence."""
    with pytest.raises(RequestError, match="cannot be written: File name too long"):
        files.write_text(tmp_path / ("x" * 300), "new")


def test_set_aside_keeps_the_finished_record(tmp_path: Path) -> None:
    """The record moves to NAME.previous.json with all that is in it."""
    path = tmp_path / "run.json"
    path.write_text("finished", encoding="utf-8")
    previous = files.set_aside(path)
    assert previous == tmp_path / "run.previous.json"
    assert previous.read_text(encoding="utf-8") == "finished"
    assert not path.exists()


def test_set_aside_that_fails_leaves_the_record(tmp_path: Path) -> None:
    """Where the record cannot be moved it stays, and the sentence asks for another path."""
    path = tmp_path / "run.json"
    path.write_text("finished", encoding="utf-8")
    (tmp_path / "run.previous.json" / "full").mkdir(parents=True)
    with pytest.raises(RequestError, match=r"holds a finished run that cannot be moved to .*; give another -o"):
        files.set_aside(path)
    assert path.read_text(encoding="utf-8") == "finished"


@pytest.mark.parametrize("installed", [("py-cpuinfo",), ("py-cpuinfo2",), ("py-cpuinfo", "py-cpuinfo2"), ()])
def test_a_record_says_which_witness_was_installed(installed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Either, both or none."""
    known = metadata.version

    def version(name: str) -> str:
        if not name.startswith("py-cpuinfo"):
            return known(name)
        if name in installed:
            return "9.0.0"
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    assert {name for name in records.versions() if name.startswith("py-cpuinfo")} == set(installed)
