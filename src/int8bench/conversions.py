"""Files that engines need of a model: each made once, in a process of its own, and kept by its content.

A converter may start threads, throw, or take its process down: that is a reason why one engine has no cells, no more.
What is kept is whole: it is made aside, described by a manifest, and then takes its place in one step; what does not
fit its manifest, such as a file that a full disk cut short, is made again.
"""

from __future__ import annotations

import ast
import errno
import hashlib
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from int8bench import cache, records, scratch
from int8bench.cases import Variant
from int8bench.engines.base import Conversion, converts
from int8bench.engines.packages import versions
from int8bench.engines.registry import engine_named
from int8bench.errors import LabError
from int8bench.hardware import Hardware
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Fork, Launch, launched
from int8bench.lab.messages import Setup
from int8bench.progress import Advance, Progress
from int8bench.worker import ConversionOrder, Made, Order

MANIFEST = "manifest.json"
FORMAT = 1  # of the manifest, and of how a key is made
SHARED = "int8bench.engines."  # converters share code there
ELSEWHERE = "int8bench-converted-"  # prefix of the folder of a run that has no cache; the next such run removes it
ASIDE = ".making-"  # prefix of the folder that a run converts in; what a killed run left there is removed
TIMEOUT_S = 600.0  # of one conversion: a compiler at work on a large model
TOGETHER = 2  # conversions at a time; each is mostly one thread's work
DIGITS = 40  # of a key: 160 bits
LEAST_ROOM_BYTES = 16 << 20  # a disk with less is full: no converted model of ours is smaller than its temporary files


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One conversion at one batch size (None: one for all), and the variants that wait for it."""

    conversion: Conversion
    batch: int | None
    variants: tuple[Variant, ...]

    @property
    def label(self) -> str:
        """How a person reads it."""
        return self.conversion.name if self.batch is None else f"{self.conversion.name} at batch {self.batch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Files that are there: the folder, the seconds that making them took, and whether that was before this run."""

    folder: Path
    seconds: float
    reused: bool
    notes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of all conversions of a run: the files by variant, and why a variant has none."""

    converted: Mapping[Variant, Mapping[int | None, Converted]]
    refused: Mapping[tuple[Variant, int | None], str]

    def refusal(self, variant: Variant, batch: int) -> str | None:
        """Why a variant has no files for a batch size; None where it has, or needs none."""
        return self.refused.get((variant, batch), self.refused.get((variant, None)))

    def files(self) -> dict[Variant, Mapping[int | None, Path]]:
        """The folders alone, as a launch is told them."""
        return {
            variant: {batch: each.folder for batch, each in found.items()} for variant, found in self.converted.items()
        }


@dataclass(slots=True)
class _Work:
    """What is left to make, and what came of it so far."""

    store: Path
    aside: Path
    made: dict[int, Converted | str]

    def enter(self, number: int, came: Converted | str) -> None:
        """Notes what came of a piece of work: its files, or a sentence why there are none."""
        self.made[number] = came


def asked_by(variants: Iterable[Variant], look: Callable[[], Hardware]) -> dict[Variant, Conversion]:
    """What each variant needs converted on a machine; nothing of those that need nothing.

    Args:
        variants: of engines that are known.
        look: looks at the machine, which takes a second; not called where no engine converts at all.
    """
    converting = {each: engine for each in variants if converts(engine := engine_named(each.engine))}
    if not converting:
        return {}
    machine = look()
    found = {each: engine.conversion(each, machine) for each, engine in converting.items()}
    return {variant: conversion for variant, conversion in found.items() if conversion is not None}


def wanted(asked: Mapping[Variant, Conversion], cells: Iterable[tuple[Variant, int]]) -> tuple[Wanted, ...]:
    """Every piece of work, once, however many variants wait for it; in the order asked.

    Args:
        asked: what each variant needs.
        cells: the variants and batch sizes to be run.
    """
    pieces: dict[tuple[str, int | None], Wanted] = {}
    at = list(cells)
    for variant, conversion in asked.items():
        for batch in conversion.batches(tuple(size for each, size in at if each == variant)):
            name = (json.dumps(_described(conversion), sort_keys=True), batch)
            there = pieces.get(name)
            waiting = (*there.variants, variant) if there else (variant,)
            pieces[name] = Wanted(conversion=conversion, batch=batch, variants=waiting)
    return tuple(pieces.values())


def make(pieces: Sequence[Wanted], order: Order, advance: Advance) -> Outcome:
    """The files of every piece of work: those that are kept, and those that are made now.

    Args:
        pieces: what `wanted` says.
        order: the model, its weights and the calibration pictures.
        advance: is told which conversion is at work.
    """
    if not pieces:
        return Outcome(converted={}, refused={})
    keys = [key_of(piece, _digest(order)) for piece in pieces]
    store = _store()
    with _aside(store) as aside:
        work = _Work(store=store, aside=aside, made={})
        for number, key in enumerate(keys):
            kept = recalled(store / key)
            if kept is not None:
                work.enter(number, kept)
        left = [number for number in range(len(pieces)) if number not in work.made]
        _convert(work, pieces, keys, left, order, advance)
    return _outcome(pieces, work.made)


def key_of(piece: Wanted, material: str) -> str:
    """The name under which files are kept: a digest of all that they depend on."""
    function = piece.conversion.function.partition(":")[0]
    depends = {
        "format": FORMAT,
        "material": material,
        "batch": piece.batch,
        "source": [_source_digest(name) for name in _modules(function)],
        "versions": versions(piece.conversion.packages),
        **_described(piece.conversion),
    }
    return hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:DIGITS]


def recalled(folder: Path) -> Converted | None:
    """What is kept in a folder; None where it is not there, cut short, changed, or of another format."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        sound = manifest["format"] == FORMAT and manifest["files"] == _listed(folder)
        return _of(folder, manifest) if sound else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(made: Made, aside: Path, folder: Path) -> Converted:
    """Puts what was made aside into its place, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    manifest = {"format": FORMAT, "seconds": made.seconds, "notes": dict(made.notes), "files": _listed(aside)}
    records.write_text(aside / MANIFEST, json.dumps(manifest))
    if folder.exists():  # cut short or changed, or else it would have been used
        shutil.rmtree(folder)
    with suppress(OSError):  # another run was quicker; what it made is read back below
        aside.rename(folder)
    there = recalled(folder)
    if there is None:
        raise OSError(errno.EIO, "what was written is not what was read back", str(folder))
    return replace(there, reused=False)


def _described(conversion: Conversion) -> dict[str, Any]:
    return {"function": conversion.function, "options": dict(conversion.options), "name": conversion.name}


def _of(folder: Path, manifest: Mapping[str, Any]) -> Converted:
    return Converted(folder=folder, seconds=float(manifest["seconds"]), reused=True, notes=dict(manifest["notes"]))


def _listed(folder: Path) -> dict[str, list[Any]]:
    """The size and digest of each file but the manifest, by its path in the folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in found
    }


def _digest(order: Order) -> str:
    """A digest of the model and of what it is calibrated with."""
    digest = hashlib.sha256(repr((order.model, order.input_shape, order.num_classes)).encode())
    digest.update(order.state)
    digest.update(order.calibration.tobytes())
    return digest.hexdigest()


def _modules(function_module: str) -> tuple[str, ...]:
    """The module of a converter and the other ones of engines that it imports, however far down; by name."""
    found, left = set[str](), [function_module]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [each for each in _imported(name) if each.startswith(SHARED)]
    return tuple(sorted(found))


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _source_digest(module: str) -> str:
    """A digest of a converter's own file: another version of it may write other files."""
    return hashlib.sha256(_source(module)).hexdigest()


def _source(module: str) -> bytes:
    """A module's file; nothing where the name is no module's, such as that of a class."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return b""
    origin = spec.origin if spec else None
    return Path(origin).read_bytes() if origin and Path(origin).is_file() else b""


def _store() -> Path:
    """Where conversions are kept; where the cache cannot be written, a folder that goes with this process."""
    folder = cache.folder()
    try:
        if folder is None:
            raise OSError(errno.ENOENT, "no home")  # noqa: TRY301  handled like a cache that is closed
        store = folder / "converted"
        store.mkdir(parents=True, exist_ok=True)
        scratch.made(store, ASIDE).remove()  # as a full or read-only disk would refuse
    except OSError:
        return scratch.made(Path(tempfile.gettempdir()), ELSEWHERE).path
    return store


@contextmanager
def _aside(store: Path) -> Iterator[Path]:
    held = scratch.made(store, ASIDE)
    try:
        yield held.path
    finally:
        held.remove()


def _convert(
    work: _Work, pieces: Sequence[Wanted], keys: Sequence[str], left: Sequence[int], order: Order, advance: Advance
) -> None:
    """Makes what is not kept, a few at a time; each in a process forked from one that has the model."""
    if not left:
        return
    advance(Progress(phase="converting models", done=0, total=len(left)))
    setup = Setup(function="int8bench.worker:load", payload=replace(order, variants=()))
    with launched((0,), setup, settings=ProcessSettings()) as (launch,):
        for start in range(0, len(left), TOGETHER):
            batch = left[start : start + TOGETHER]
            advance(_progress(pieces, batch, start, len(left)))
            forks = {number: _started(work, pieces[number], launch, number) for number in batch}
            for number, fork in forks.items():
                work.enter(number, _finished(work, keys[number], number, fork))


def _progress(pieces: Sequence[Wanted], batch: Sequence[int], done: int, total: int) -> Progress:
    names = " and ".join(pieces[number].label for number in batch)
    return Progress(phase=f"converting: {names}; kept for later runs", done=done, total=total)


def _started(work: _Work, piece: Wanted, launch: Launch, number: int) -> Fork:
    folder = work.aside / str(number)
    folder.mkdir()
    order = ConversionOrder(conversion=piece.conversion, batch=piece.batch, folder=folder)
    return launch.fork("int8bench.worker:convert", order)


def _finished(work: _Work, key: str, number: int, fork: Fork) -> Converted | str:
    folder = work.aside / str(number)
    try:
        made = fork.result(TIMEOUT_S)
        assert isinstance(made, Made)
        return keep(made, folder, work.store / key)
    except LabError as error:
        return f"the conversion failed: {error}{_room(work.store)}"
    except OSError as error:
        return f"the converted files cannot be kept in {work.store}: {error.strerror or error}{_room(work.store)}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _room(store: Path) -> str:
    """What to add to a failure where the disk is full, which converters report in words of their own."""
    with suppress(OSError):
        if shutil.disk_usage(store).free < LEAST_ROOM_BYTES:
            return f"; the disk of {store} is full: make room there, or set XDG_CACHE_HOME to another"
    return ""


def _outcome(pieces: Sequence[Wanted], made: Mapping[int, Converted | str]) -> Outcome:
    converted: dict[Variant, dict[int | None, Converted]] = {}
    refused: dict[tuple[Variant, int | None], str] = {}
    for number, piece in enumerate(pieces):
        came = made[number]
        for variant in piece.variants:
            if isinstance(came, Converted):
                converted.setdefault(variant, {})[piece.batch] = came
            else:
                refused[variant, piece.batch] = f"{piece.label}: {came}"
    return Outcome(converted=converted, refused=refused)
