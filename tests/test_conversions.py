"""Conversions are made once, each in a process of its own, and what is kept is whole or is made again."""

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from int8bench import conversions  # noqa: E402  after the skip
from int8bench.cases import Variant, float32_references, int8_variant  # noqa: E402
from int8bench.conversions import MANIFEST, Converted, Outcome, Wanted, key_of, recalled, wanted  # noqa: E402
from int8bench.engines.base import Conversion  # noqa: E402
from int8bench.hardware import Hardware  # noqa: E402
from int8bench.models import load_model  # noqa: E402
from int8bench.progress import Progress  # noqa: E402
from int8bench.worker import Order  # noqa: E402

pytestmark = pytest.mark.torch

ONNX = Variant(engine="onnxruntime", precision="int8", layout="nchw")
ONE, TWO = (Variant(engine=name, precision="int8", layout="nchw") for name in ("one", "two"))


def conversion(function: str, **fields: object) -> Conversion:
    """A conversion by one of the helpers."""
    known = {"name": function, "function": f"converters:{function}", "packages": ("numpy",), **fields}
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


Make = Callable[..., Outcome]


@pytest.fixture
def make(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes conversions, one a variant, with a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def made(asked: dict[Variant, Conversion], batches: tuple[int, ...] = (1,)) -> Outcome:
        cells = [(variant, batch) for variant in asked for batch in batches]
        return conversions.make(wanted(asked, cells), order, lambda _: None)

    return made


def kept(tmp_path: Path) -> list[Path]:
    """Everything that lies in the cache of conversions."""
    store = tmp_path / "int8bench" / "converted"
    return sorted(store.iterdir()) if store.exists() else []


def test_a_conversion_is_made_once_and_found_again(make: Make, tmp_path: Path) -> None:
    """The second run gets the very files, and is told what making them took."""
    first = make({ONE: conversion("sums")}).converted[ONE][None]
    second = make({ONE: conversion("sums")}).converted[ONE][None]
    assert (first.reused, second.reused) == (False, True)
    assert second == replace(first, reused=True)
    assert (second.folder / "deep" / "sum.txt").read_text(encoding="utf-8").endswith("None None")
    assert second.seconds > 0
    assert kept(tmp_path) == [second.folder]


def test_a_conversion_runs_in_a_process_of_its_own(make: Make) -> None:
    """Neither this one nor that of another batch."""
    found = make({ONE: conversion("sums", by_batch=True)}, batches=(1, 8)).converted[ONE]
    processes = {each.notes["process"] for each in found.values()}
    assert set(found) == {1, 8}
    assert len(processes | {os.getpid()}) == 3


def test_variants_that_ask_for_the_same_share_its_files(make: Make, tmp_path: Path) -> None:
    """Two engines that read one format do not wait for it twice."""
    found = make({ONE: conversion("sums"), TWO: conversion("sums")})
    assert found.converted[ONE] == found.converted[TWO]
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
    refusal = found.refusal(ONE, 1)
    assert refusal is not None
    assert refusal.startswith(reason)
    assert found.refusal(TWO, 1) is None
    assert set(found.converted) == {TWO}
    assert kept(tmp_path) == [found.converted[TWO][None].folder]


def test_a_batch_that_cannot_be_converted_leaves_the_others(make: Make) -> None:
    """Its own cells carry the reason."""
    found = make({ONE: conversion("large_batches_fail", by_batch=True)}, batches=(1, 32))
    assert set(found.converted[ONE]) == {1}
    assert found.refusal(ONE, 1) is None
    assert "batch 32 is too large" in (found.refusal(ONE, 32) or "")


@pytest.mark.parametrize("damage", ["truncated", "changed", "missing", "added", "manifest", "format"])
def test_what_does_not_fit_its_manifest_is_made_again(make: Make, damage: str) -> None:
    """A file cut short, changed, gone or added, a broken manifest, and one of another format."""
    folder = make({ONE: conversion("sums")}).converted[ONE][None].folder
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
    again = make({ONE: conversion("sums")}).converted[ONE][None]
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
    folder = made.converted[ONE][None].folder
    assert tmp_path not in folder.parents
    assert folder.exists()
    shutil.rmtree(folder.parent)


def test_progress_names_what_is_converted(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says nothing where all is kept."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[Progress] = []
    pieces = wanted({ONE: conversion("sums", by_batch=True)}, [(ONE, 1), (ONE, 8)])
    conversions.make(pieces, order, told.append)
    assert "sums at batch 1 and sums at batch 8" in told[-1].phase
    told.clear()
    again = conversions.make(pieces, order, told.append)
    assert all(isinstance(each, Converted) and each.reused for each in again.converted[ONE].values())
    assert told == []


def test_what_a_killed_run_was_making_is_removed_by_the_next(make: Make, tmp_path: Path) -> None:
    """Half a conversion takes no room for ever."""
    left = tmp_path / "int8bench" / "converted" / f"{conversions.ASIDE}left"
    left.mkdir(parents=True)
    make({ONE: conversion("sums")})
    assert not left.exists()


def test_a_key_follows_what_a_converter_imports() -> None:
    """The modules of engines that its own is made of, however far down; not a class's name, nor another room."""
    found = conversions._modules("int8bench.engines.onnxruntime")
    assert {"int8bench.engines.onnxruntime", "int8bench.engines.onnx_files", "int8bench.engines.plain"} <= set(found)
    assert all(name.startswith("int8bench.engines.") for name in found)
    assert conversions._source_digest("int8bench.engines.plain") != conversions._source_digest("int8bench.engines.base")


def test_the_machine_is_looked_at_only_for_engines_that_convert() -> None:
    """A suite of torch's engines starts a second sooner."""
    assert conversions.asked_by([int8_variant("fbgemm"), *float32_references()], lambda: pytest.fail("looked")) == {}
    asked = conversions.asked_by([int8_variant("fbgemm"), ONNX], lambda: Hardware(arch="x86_64"))
    assert list(asked) == [ONNX]
