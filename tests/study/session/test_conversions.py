"""Conversions are made once, each in a process of its own, and what is kept is whole or is made again."""

import io
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import converters
import numpy as np
import psutil
import pytest
from caches import let_go

torch = pytest.importorskip("torch")

from int8bench.engines.base import Conversion  # noqa: E402
from int8bench.lab.progress import Advance, Progress  # noqa: E402
from int8bench.machine import Hardware  # noqa: E402
from int8bench.study.session import conversions  # noqa: E402  after the skip
from int8bench.study.session.conversions import (  # noqa: E402
    MANIFEST,
    UNLIMITED,
    Allotment,
    ConversionOutcome,
    Converted,
    Wanted,
    due,
    key_of,
    recalled,
    remembered_s,
    wanted,
)
from int8bench.workload.cases import Variant, float32_references, int8_variant  # noqa: E402
from int8bench.workload.models import load_model  # noqa: E402
from int8bench.workload.order import Order  # noqa: E402

pytestmark = pytest.mark.torch

ENOUGH_S = 600.0  # for a conversion that does next to nothing, on any machine
ONNX = Variant(engine="onnxruntime", precision="int8", layout="nchw")
ONE, TWO = (Variant(engine=name, precision="int8", layout="nchw") for name in ("one", "two"))


def conversion(function: str, **fields: object) -> Conversion:
    """A conversion by one of the helpers."""
    known = {"name": function, "function": getattr(converters, function), "packages": ("numpy",), **fields}
    return Conversion(**known)


@pytest.fixture(scope="module")
def order() -> Order:
    """SimpleCNN with its initial weights, and eight pictures."""
    loaded = load_model("simplecnn", num_classes=10, input_shape=None)
    state = io.BytesIO()
    torch.save(loaded.module.state_dict(), state)
    pictures = np.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype(np.float32)
    return Order(
        model="simplecnn",
        input_shape=(3, 32, 32),
        num_classes=10,
        state=state.getvalue(),
        variants=(ONE,),
        calibration=pictures,
        validation=pictures,
        labels=np.zeros(8, np.int64),
    )


Make = Callable[..., ConversionOutcome]


@pytest.fixture
def make(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes conversions, one a variant, with a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def made(
        asked: dict[Variant, Conversion],
        batches: tuple[int, ...] = (1,),
        allotment: Allotment = UNLIMITED,
        advance: Advance = lambda _: None,
    ) -> ConversionOutcome:
        cells = [(variant, batch) for variant in asked for batch in batches]
        return conversions.make(wanted(asked, cells), order, advance, allotment=allotment)

    return made


def kept(tmp_path: Path) -> list[Path]:
    """Everything that lies in the cache of conversions."""
    store = tmp_path / "int8bench" / "converted"
    return sorted(store.iterdir()) if store.exists() else []


def test_a_conversion_is_made_once_and_found_again(make: Make, tmp_path: Path) -> None:
    """The second run gets the very files, and is told what making them took."""
    first = make({ONE: conversion("sums")}).came[ONE, None]
    second = make({ONE: conversion("sums")}).came[ONE, None]
    assert (first.reused, second.reused) == (False, True)
    assert second == replace(first, reused=True)
    assert (second.folder / "deep" / "sum.txt").read_text(encoding="utf-8").endswith("None None")
    assert second.seconds > 0
    assert kept(tmp_path) == [second.folder]


def test_a_conversion_runs_in_a_process_of_its_own(make: Make) -> None:
    """Neither this one nor that of another batch."""
    found = make({ONE: conversion("sums", by_batch=True)}, batches=(1, 8)).came
    processes = {each.notes["process"] for each in found.values()}
    assert set(found) == {(ONE, 1), (ONE, 8)}
    assert len(processes | {os.getpid()}) == 3


def test_variants_that_ask_for_the_same_share_its_files(make: Make, tmp_path: Path) -> None:
    """Two engines that read one format do not wait for it twice."""
    found = make({ONE: conversion("sums"), TWO: conversion("sums")})
    assert found.came[ONE, None] == found.came[TWO, None]
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("throws", "throws: the conversion failed: theirs: has no kernel for Softplus; replace it"),
        ("aborts", "aborts: the conversion failed: the measuring process was ended by SIGABRT"),
        ("fills_the_disk", "fills_the_disk: the conversion failed: OSError: [Errno 28] No space left on device"),
    ],
)
def test_a_converter_that_fails_fails_alone(make: Make, tmp_path: Path, function: str, reason: str) -> None:
    """It says why, leaves nothing behind, and the others are converted."""
    found = make({ONE: conversion(function), TWO: conversion("sums")})
    refusal = found.of(ONE, 1)
    assert isinstance(refusal, str)
    assert refusal.startswith(reason)
    assert set(found.files()) == {TWO}
    assert kept(tmp_path) == [found.came[TWO, None].folder]


def test_a_batch_that_cannot_be_converted_leaves_the_others(make: Make) -> None:
    """Its own cells carry the reason."""
    found = make({ONE: conversion("large_batches_fail", by_batch=True)}, batches=(1, 32))
    assert set(found.files()[ONE]) == {1}
    assert "batch 32 is too large" in str(found.of(ONE, 32))


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "added", "manifest", "format"])
def test_what_does_not_fit_its_manifest_is_made_again(make: Make, damage: str) -> None:
    """A file cut short, changed, gone or added, a broken manifest, and one of another format."""
    folder = make({ONE: conversion("sums")}).came[ONE, None].folder
    file, manifest = folder / "deep" / "sum.txt", folder / MANIFEST
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    elif damage == "added":
        (folder / "stranger").write_bytes(b"")
    elif damage == "manifest":
        manifest.write_bytes(manifest.read_bytes()[:-9])
    elif damage == "format":
        manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99}), encoding="utf-8")
    else:
        file.write_bytes(whole[:-1] if damage == "truncated" else b"x" + whole[1:])
    assert recalled(folder) is None
    again = make({ONE: conversion("sums")}).came[ONE, None]
    assert (again.reused, again.folder) == (False, folder)
    assert file.read_bytes() == whole
    assert not (folder / "stranger").exists()


def test_a_key_depends_on_all_that_the_files_depend_on(order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    """Material, batch, function, options, versions; a person's name for the model's place does not matter."""
    piece = Wanted(conversion=conversion("sums"), batch=1, variants=(ONE,))
    digest = conversions._digest(order)
    keys = {
        key_of(piece, digest),
        key_of(piece, conversions._digest(replace(order, state=order.state + b"x"))),
        key_of(piece, conversions._digest(replace(order, calibration=order.calibration + 1))),
        key_of(replace(piece, batch=8), digest),
        key_of(replace(piece, conversion=conversion("throws")), digest),
        key_of(replace(piece, conversion=conversion("sums", options={"scale": 2})), digest),
    }
    monkeypatch.setattr(conversions, "versions", lambda _: {"numpy": "0"})
    keys.add(key_of(piece, digest))
    monkeypatch.setattr(conversions, "_source_digest", lambda _: "another file")
    keys.add(key_of(piece, digest))
    assert len(keys) == 8
    assert key_of(replace(piece, variants=(TWO,)), digest) in keys


def test_a_cache_that_cannot_be_written_costs_only_the_next_run(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are made for this run, elsewhere."""
    (tmp_path / "int8bench").write_bytes(b"in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = conversions.make(wanted({ONE: conversion("sums")}, [(ONE, 1)]), order, lambda _: None)
    folder = made.came[ONE, None].folder
    assert tmp_path not in folder.parents
    assert folder.exists()
    shutil.rmtree(folder.parent)


def test_progress_names_what_is_converted(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing where all is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[Progress] = []
    pieces = wanted({ONE: conversion("sums", by_batch=True)}, [(ONE, 1), (ONE, 8)])
    conversions.make(pieces, order, told.append)
    assert [each.phase.partition(";")[0] for each in told] == [
        "converting: sums at batch 1",
        "converting: sums at batch 8",
    ]
    told.clear()
    again = conversions.make(pieces, order, told.append)
    assert all(isinstance(each, Converted) and each.reused for each in again.came.values())
    assert told == []


def test_what_a_killed_run_was_making_is_removed_by_the_next(make: Make, tmp_path: Path) -> None:
    """Half a conversion takes no room for ever."""
    left = tmp_path / "int8bench" / "converted" / f"{conversions.ASIDE}left"
    left.mkdir(parents=True)
    make({ONE: conversion("sums")})
    assert not left.exists()


def test_a_key_follows_what_a_converter_imports() -> None:
    """The modules of engines that its own is made of, however far down; not a class's name, nor another room."""
    found = conversions._modules("int8bench.engines.onnx.onnxruntime")
    assert {"int8bench.engines.onnx.onnxruntime", "int8bench.engines.onnx.files", "int8bench.engines.plain"} <= set(
        found
    )
    assert all(name.startswith("int8bench.engines.") for name in found)
    assert conversions._source_digest("int8bench.engines.plain") != conversions._source_digest("int8bench.engines.base")


def test_the_machine_is_looked_at_only_for_engines_that_convert() -> None:
    """A suite of torch's engines starts a second sooner."""
    assert conversions.asked_by([int8_variant("fbgemm"), *float32_references()], lambda: pytest.fail("looked")) == {}
    asked = conversions.asked_by([int8_variant("fbgemm"), ONNX], lambda: Hardware(arch="x86_64"))
    assert list(asked) == [ONNX]


def piece(function: str, *variants: Variant, batch: int | None = None) -> Wanted:
    """A piece of work by one of the helpers."""
    return Wanted(conversion=conversion(function, by_batch=batch is not None), batch=batch, variants=variants or (ONE,))


def test_one_that_overruns_its_share_is_stopped(make: Make, order: Order) -> None:
    """It says how long it was tried, is told apart from one that failed, and leaves no process."""
    make({TWO: conversion("sums")})
    told: list[Progress] = []

    def clock() -> float:  # stands until the conversion is at work, which is then late
        return 400.0 if told else 0.0

    allotment = Allotment(until_s=300.0, clock=clock, expected={"sleeps": 1.0})
    found = make({ONE: conversion("sleeps"), TWO: conversion("sums")}, allotment=allotment, advance=told.append)
    unmade = found.of(ONE, 1)
    assert isinstance(unmade, conversions.Unmade)
    assert unmade.label == "sleeps"
    assert unmade.spent_s == 400.0
    assert unmade.needed_s == conversions.UNFINISHED * unmade.spent_s
    assert set(found.files()) == {TWO}
    assert not [each for each in psutil.Process().children(recursive=True) if each.status() != psutil.STATUS_ZOMBIE]
    assert remembered_s(piece("sleeps"), order) == unmade.needed_s


def test_one_that_would_not_be_done_in_time_is_not_begun(make: Make, tmp_path: Path) -> None:
    """The others are; nothing of it is remembered, as nothing was seen."""
    allotment = Allotment(until_s=time.monotonic() + ENOUGH_S, expected={"sleeps": 2 * ENOUGH_S, "sums": 1.0})
    told: list[Progress] = []
    found = make({ONE: conversion("sleeps"), TWO: conversion("sums")}, allotment=allotment, advance=told.append)
    unmade = found.of(ONE, 1)
    assert unmade == conversions.Unmade(label="sleeps", needed_s=2 * ENOUGH_S, spent_s=None)
    assert [each.phase for each in told] == ["converting: sums (about 1 s); kept for later runs"]
    assert len(list((tmp_path / "int8bench" / "times").iterdir())) == 1


def test_each_kind_has_its_first_batch_before_one_has_its_second(make: Make) -> None:
    """The shortest first among them: where time runs out, each engine has something."""
    allotment = Allotment(
        until_s=time.monotonic() + ENOUGH_S,
        expected={f"{name} at batch {n}": s for name, s in (("sums", 2.0), ("throws", 1.0)) for n in (1, 8)},
    )
    told: list[Progress] = []
    asked = {ONE: conversion("sums", by_batch=True), TWO: conversion("throws", by_batch=True)}
    make(asked, batches=(1, 8), allotment=allotment, advance=told.append)
    names = [each.phase.removeprefix("converting: ").partition(" at")[0] for each in told]
    assert names[:2] == ["throws", "sums"]
    assert sorted(names[2:]) == ["sums", "throws"]


def test_what_conversions_took_is_remembered_by_model(make: Make, order: Order) -> None:
    """Also of one that failed: the next run foresees it, for any batch size and any weights of the model."""
    make({ONE: conversion("sums", by_batch=True), TWO: conversion("throws")}, batches=(1,))
    took = remembered_s(piece("sums", batch=8), replace(order, state=b"other weights"))
    assert took is not None
    assert 0 < took < ENOUGH_S
    assert remembered_s(piece("throws"), order) is not None
    assert remembered_s(piece("sums", batch=1), replace(order, model="another")) is None
    assert remembered_s(piece("aborts"), order) is None


def test_what_is_due_is_what_is_not_kept(make: Make, order: Order) -> None:
    """With the time that is remembered, or else the guess; a new batch of a known kind is no guess."""
    make({ONE: conversion("sums", by_batch=True)}, batches=(1,))
    pieces = (piece("sums", batch=1), piece("sums", batch=8), piece("throws"))
    found = due(pieces, order, lambda _: 77.0)
    assert [each.piece.label for each in found] == ["sums at batch 8", "throws"]
    assert found[0].seconds == remembered_s(pieces[1], order) != 77.0
    assert found[1].seconds == 77.0


def test_the_cap_removes_what_was_used_longest_ago_but_nothing_in_use(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this very run has made or found stays, however small the cap; what nobody uses goes."""
    old = make({ONE: conversion("sums", options={"scale": 1})}).came[ONE, None].folder
    let_go()
    monkeypatch.setenv("INT8BENCH_CACHE_CAP", "1")
    new = make({ONE: conversion("sums", options={"scale": 2})}).came[ONE, None].folder
    assert kept(tmp_path) == [new]
    assert old != new


def test_when_conversions_take_longer_than_foreseen_so_will_the_rest(order: Order) -> None:
    """A guess that was too low by half for one is taken to be so for the others; a name that was seen is known."""
    pieces = [piece("sums"), piece("throws"), piece("aborts")]
    work = conversions._Work(
        store=Path(),
        aside=Path(),
        pieces=pieces,
        keys=["", "", ""],
        order=order,
        allotment=Allotment(expected={"sums": 100.0, "throws": 50.0, "aborts": 50.0}),
        advance=lambda _: None,
    )
    assert work.expected_s(1) == 50.0
    work.learn(0, 200.0, ended=True)
    assert work.expected_s(0) == 200.0
    assert work.expected_s(1) == pytest.approx(100.0, rel=0.1)
    work.learn(0, 9_000.0, ended=True)
    assert work.expected_s(2) <= conversions.MOST_SLOWER * 50.0
    work.learn(1, 20.0, ended=False)
    assert work.expected_s(1) == 20.0 * conversions.UNFINISHED


def test_what_more_engines_wait_for_comes_first(make: Make) -> None:
    """And int8 before a float32 that is no longer: were the time to run out, that is what is asked for."""
    single = Variant(engine="single", precision="int8", layout="nchw")
    plain = Variant(engine="plain", precision="float32", layout="nchw")
    asked = {
        plain: conversion("throws", name="float32"),
        single: conversion("throws", name="one"),
        ONE: conversion("sums", name="two"),
        TWO: conversion("sums", name="two"),
    }
    told: list[Progress] = []
    expected = {"float32": 20.0, "one": 30.0, "two": 50.0}
    make(asked, allotment=Allotment(until_s=time.monotonic() + ENOUGH_S, expected=expected), advance=told.append)
    assert [each.phase.split()[1] for each in told] == ["two", "one", "float32"]
