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
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from int8bench import cache, units
from int8bench.cache import MANIFEST
from int8bench.documents import JsonObject
from int8bench.engines.base import Conversion, converts
from int8bench.engines.packages import versions
from int8bench.engines.registry import engine_named
from int8bench.errors import LabError, RequestError
from int8bench.files import scratch_folder, write_text
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import SETUP_TIMEOUT_S, Fork, Launch, first_to_answer, launched
from int8bench.lab.progress import Advance, Progress
from int8bench.machine import Hardware
from int8bench.study.plan.budget import SHORTEST_S, Clock
from int8bench.study.session import worker
from int8bench.study.session.worker import ConversionOrder, Made
from int8bench.workload.cases import Variant
from int8bench.workload.order import Order

FORMAT = 2  # of the manifest, and of how a key is made
TIMES = "times"  # folder of the cache: what conversions took, also those that came to nothing
SHARED = "int8bench.engines."  # converters share code there
ELSEWHERE = "int8bench-converted-"  # prefix of the folder of a run that has no cache; the next such run removes it
ASIDE = ".making-"  # prefix of the folder that a run converts in; what a killed run left there is removed
TIMEOUT_S = 600.0  # of one conversion: a compiler at work on a large model
TOGETHER = 2  # conversions at a time; each is mostly one thread's work
DIGITS = 40  # of a key: 160 bits
PATIENCE = 1.5  # how many times what it is expected to take a conversion may take, whatever waits for its turn
PRIOR_S = 10.0  # how many seconds of conversions must be seen before they outweigh what was foreseen
MOST_SLOWER = 2.0  # beyond, it is that converter which this model is hard for, and says nothing of the others
FLOAT32_USE = 0.25  # of a float32 of an engine's own, beside an int8
UNFINISHED = 2.0  # how many times the seconds after which it was stopped a conversion is expected to take
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
class Due:
    """A conversion that is not made yet, and about how many seconds it takes."""

    piece: Wanted
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Made files: their folder, the seconds that they took to make, and whether an earlier run made them."""

    folder: Path
    seconds: float
    reused: bool
    notes: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmade:
    """A conversion that there was no time for: about how long it takes, and how long it was tried, if it was."""

    label: str
    needed_s: float
    spent_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allotment:
    """How long conversions may take together: until when, and about how many seconds each takes."""

    until_s: float = math.inf
    clock: Clock = time.monotonic
    expected: Mapping[str, float] = field(default_factory=dict)
    """By label."""

    def left_s(self) -> float:
        """Return the seconds of the allotment that are left."""
        return self.until_s - self.clock()


UNLIMITED = Allotment()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionOutcome:
    """What came of all conversions of a run, by variant and batch size: files, no time for them, or why they failed."""

    came: Mapping[tuple[Variant, int | None], Converted | Unmade | str]

    def of(self, variant: Variant, batch: int) -> Converted | Unmade | str | None:
        """Return the files of a variant at a batch size, or why there are none; None where it needs none.

        Args:
            variant: of the grid.
            batch: size that it runs at.
        """
        return self.came.get((variant, batch), self.came.get((variant, None)))

    def files(self) -> dict[Variant, dict[int | None, Path]]:
        """Return the folders alone, as a launch gets them."""
        folders: dict[Variant, dict[int | None, Path]] = {}
        for (variant, batch), each in self.came.items():
            if isinstance(each, Converted):
                folders.setdefault(variant, {})[batch] = each.folder
        return folders


@dataclass(slots=True)
class _Work:
    """What is left to make, and what came of it so far."""

    store: Path
    aside: Path
    pieces: Sequence[Wanted]
    keys: Sequence[str]
    order: Order
    allotment: Allotment
    advance: Advance
    made: dict[int, Converted | str | Unmade] = field(default_factory=dict)
    known: dict[str, float] = field(default_factory=dict)
    """What conversions of a name took in this run."""
    took_s: float = 0.0
    foreseen_s: float = 0.0
    """What those took that were foreseen, and what was foreseen of them."""

    def foreseen(self, number: int) -> float:
        """Return the seconds that were foreseen for a piece of work, about."""
        return self.allotment.expected.get(self.pieces[number].label, 0.0)

    def expected_s(self, number: int) -> float:
        """Return the seconds that a piece of work takes, about: as one of its name did in this run, else as foreseen.

        The foreseen seconds are scaled by how much longer others took than foreseen, `MOST_SLOWER` at most.
        """
        slower = min((self.took_s + PRIOR_S) / (self.foreseen_s + PRIOR_S), MOST_SLOWER)
        return self.known.get(self.pieces[number].conversion.name, slower * self.foreseen(number))

    def learn(self, number: int, took_s: float, *, ended: bool) -> None:
        """Note the time of a piece of work, for the others and for later runs.

        Args:
            number: its place among the pieces.
            took_s: seconds until it ended or was stopped.
            ended: whether it came to an end; false where it was stopped.
        """
        name = self.pieces[number].conversion.name
        if name not in self.known and self.foreseen(number):
            self.took_s += took_s
            self.foreseen_s += self.foreseen(number)
        self.known[name] = took_s if ended else UNFINISHED * took_s
        path = _times_path(self.pieces[number], self.order)
        if path:
            with suppress(RequestError):  # the next run does without where it cannot be written
                write_text(path, json.dumps({"seconds": took_s, "ended": ended}))


def asked_by(variants: Iterable[Variant], look: Callable[[], Hardware]) -> dict[Variant, Conversion]:
    """Return the conversion that each variant needs on a machine; none for those that need none.

    Args:
        variants: of engines that are known.
        look: looks at the machine, which takes a second; not called where no engine converts at all.
    """
    converting = {each: engine for each in variants if converts(engine := engine_named(each.engine))}
    if not converting:
        return {}
    machine = look()
    asked = {each: engine.conversion(each, machine) for each, engine in converting.items()}
    return {variant: conversion for variant, conversion in asked.items() if conversion is not None}


def wanted(asked: Mapping[Variant, Conversion], cells: Iterable[tuple[Variant, int]]) -> tuple[Wanted, ...]:
    """Return every piece of work once, with all variants that wait for it, in the order asked.

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


def due(pieces: Sequence[Wanted], order: Order, guess: Callable[[Conversion], float]) -> tuple[Due, ...]:
    """Return the pieces of work that are not kept.

    Args:
        pieces: what `wanted` says.
        order: the model, its weights and the calibration pictures.
        guess: the seconds of a conversion that this machine does not remember.
    """
    if not pieces:
        return ()
    store, digest = cache.folder(), _digest(order)
    left = [each for each in pieces if not store or recalled(store / cache.CONVERTED / key_of(each, digest)) is None]
    took = [remembered_s(piece, order) for piece in left]
    return tuple(
        Due(piece=piece, seconds=guess(piece.conversion) if known is None else known)
        for piece, known in zip(left, took, strict=True)
    )


def make(
    pieces: Sequence[Wanted], order: Order, advance: Advance, *, allotment: Allotment = UNLIMITED
) -> ConversionOutcome:
    """Return the files of every piece of work: those that are kept, and those that are made now.

    Args:
        pieces: what `wanted` says.
        order: the model, its weights and the calibration pictures.
        advance: is told which conversion is at work.
        allotment: how long all may take; what would not be done is not begun, and what takes too long is stopped.
    """
    if not pieces:
        return ConversionOutcome(came={})
    digest, store = _digest(order), _store()
    with _aside(store) as aside:
        work = _Work(
            store=store,
            aside=aside,
            pieces=pieces,
            keys=[key_of(piece, digest) for piece in pieces],
            order=order,
            allotment=allotment,
            advance=advance,
        )
        for number, key in enumerate(work.keys):
            if cache.hold(store / key) and (kept := recalled(store / key)) is not None:
                work.made[number] = kept
        if len(work.made) < len(pieces):
            _convert(work)
            cache.trim()
    return ConversionOutcome(
        came={(variant, piece.batch): work.made[i] for i, piece in enumerate(pieces) for variant in piece.variants}
    )


def remembered_s(piece: Wanted, order: Order) -> float | None:
    """Return the seconds of a conversion the last time on this machine, for this model; None where nobody remembers.

    Args:
        piece: of work.
        order: of which the model and its input count.
    """
    path = _times_path(piece, order)
    try:
        stored = json.loads(path.read_bytes()) if path else {}
        return float(stored["seconds"]) * (1.0 if stored["ended"] else UNFINISHED)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _times_path(piece: Wanted, order: Order) -> Path | None:
    """Return where the time of a conversion is kept; None where there is no cache.

    The time belongs to the conversion and the model, whatever its weights and the batch.
    """
    depends = {**_described(piece.conversion), "model": order.model, "input_shape": list(order.input_shape)}
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:DIGITS]
    folder = cache.folder()
    return folder / TIMES / f"{digest}.json" if folder else None


def key_of(piece: Wanted, material: str) -> str:
    """Return the name under which files are kept: a digest of all that they depend on.

    Args:
        piece: of work.
        material: digest of the model, its weights and the calibration pictures.
    """
    function = piece.conversion.function.__module__
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
    """Return the files kept in a folder; None where they are not there, cut short, changed, or of another format."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT or manifest["files"] != _listed(folder):
            return None
        seconds, notes = float(manifest["seconds"]), dict(manifest["notes"])
        return Converted(folder=folder, seconds=seconds, reused=True, notes=notes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(made: Made, aside: Path, folder: Path, *, label: str) -> Converted:
    """Put files that were made aside into their place, whole or not at all; they are in use from then on.

    Args:
        made: the seconds and the notes of their maker.
        aside: the folder that they were made in.
        folder: their place.
        label: for a person who reads the manifest.

    Raises:
        OSError: it cannot be written.
    """
    manifest = {"format": FORMAT, "label": label, "seconds": made.seconds, "notes": dict(made.notes)}
    write_text(aside / MANIFEST, json.dumps({**manifest, "files": _listed(aside)}))
    cache.hold(aside)  # the lock moves along
    if folder.exists():  # cut short or changed, or else it would have been used
        shutil.rmtree(folder)
    with suppress(OSError):  # another run was quicker; what it made is read back below
        aside.rename(folder)
    cache.hold(folder)
    there = recalled(folder)
    if there is None:
        raise OSError(errno.EIO, "what was written is not what was read back", str(folder))
    return replace(there, reused=False)


def _described(conversion: Conversion) -> dict[str, Any]:
    function = f"{conversion.function.__module__}:{conversion.function.__qualname__}"
    return {"function": function, "options": dict(conversion.options), "name": conversion.name}


def _listed(folder: Path) -> dict[str, list[Any]]:
    """Return the size and digest of each file but the manifest, by its path in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {
        path.relative_to(folder).as_posix(): [path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()]
        for path in paths
    }


def _digest(order: Order) -> str:
    """Return a digest of the model and of its calibration pictures."""
    digest = hashlib.sha256(repr((order.model, order.input_shape, order.num_classes)).encode())
    digest.update(order.state)
    digest.update(order.calibration.tobytes())
    return digest.hexdigest()


def _modules(function_module: str) -> tuple[str, ...]:
    """Return the module of a converter and those of engines that it imports, however far down; by name."""
    modules, left = set[str](), [function_module]
    while left:
        name = left.pop()
        if name not in modules:
            modules.add(name)
            left += [each for each in _imported(name) if each.startswith(SHARED)]
    return tuple(sorted(modules))


def _imported(module: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(_source(module))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _source_digest(module: str) -> str:
    """Return a digest of a converter's own file: another version of it may write other files."""
    return hashlib.sha256(_source(module)).hexdigest()


def _source(module: str) -> bytes:
    """Return a module's file; nothing where the name is no module's, such as that of a class."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return b""
    origin = spec.origin if spec else None
    return Path(origin).read_bytes() if origin and Path(origin).is_file() else b""


def _store() -> Path:
    """Return where conversions are kept: in the cache, or in a folder that goes with this process.

    The latter is where the cache cannot be written.
    """
    folder = cache.folder()
    try:
        if folder is None:
            raise OSError(errno.ENOENT, "no home")  # noqa: TRY301  handled like a cache that is closed
        store = folder / cache.CONVERTED
        store.mkdir(parents=True, exist_ok=True)
        scratch_folder(store, ASIDE).remove()  # as a full or read-only disk would refuse
    except OSError:
        return scratch_folder(Path(tempfile.gettempdir()), ELSEWHERE).path
    return store


@contextmanager
def _aside(store: Path) -> Iterator[Path]:
    held = scratch_folder(store, ASIDE)
    try:
        yield held.path
    finally:
        held.remove()


def _convert(work: _Work) -> None:
    """Make the files that are not kept, a few at a time, each in a process forked from one that has the model."""
    queue = [number for number in range(len(work.pieces)) if number not in work.made]
    setup = Setup(function=worker.load, payload=replace(work.order, variants=()))
    running: dict[int, _Running] = {}
    starting_s = max(SHORTEST_S, min(work.allotment.left_s(), SETUP_TIMEOUT_S))
    with launched((0,), setup, settings=ProcessSettings(), timeout_s=starting_s) as (launch,):
        while queue or running:
            while queue and len(running) < TOGETHER:
                queue = _sorted(work, queue)
                number, *queue = queue
                if work.expected_s(number) > work.allotment.left_s():
                    work.made[number] = _unmade(work, number, None)
                else:
                    running[number] = _started(work, launch, number, queue)
            _take_next(work, running)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A conversion at work, on the clock of its allotment."""

    fork: Fork[Made]
    since_s: float
    until_s: float


def _sorted(work: _Work, queue: Sequence[int]) -> list[int]:
    """Return the queue with one conversion of each name first, and of these the shortest for its use.

    So each engine has a batch size.
    """
    names = [work.pieces[number].conversion.name for number in queue]
    begun = {piece.conversion.name for number, piece in enumerate(work.pieces) if number not in queue}
    turn = {number: names[:i].count(names[i]) + (names[i] in begun) for i, number in enumerate(queue)}
    return sorted(queue, key=lambda number: (turn[number], work.expected_s(number) / _use(work.pieces[number])))


def _use(piece: Wanted) -> float:
    """Return the use of a piece of work: a variant that is reduced counts 1, a float32 `FLOAT32_USE`.

    Int8 is asked for; another float32 is one more to hold it against.
    """
    return sum(1.0 if variant.is_reduced else FLOAT32_USE for variant in piece.variants)


def _started(work: _Work, launch: Launch, number: int, waiting: Sequence[int]) -> _Running:
    piece, expected_s, now_s = work.pieces[number], work.expected_s(number), work.allotment.clock()
    about = f" (about {units.duration(expected_s)})" if expected_s else ""
    work.advance(Progress(phase=f"converting: {piece.label}{about}; kept for later runs"))
    folder = work.aside / str(number)
    folder.mkdir()
    order = ConversionOrder(conversion=piece.conversion, batch=piece.batch, folder=folder)
    # Its share: all that the others, which wait, are not expected to need, and in any case some patience.
    spare_s = work.allotment.left_s() - sum(work.expected_s(each) for each in waiting) / TOGETHER
    share_s = min(max(spare_s, PATIENCE * expected_s), work.allotment.left_s(), TIMEOUT_S)
    return _Running(fork=launch.fork(worker.convert, order), since_s=now_s, until_s=now_s + share_s)


def _take_next(work: _Work, running: dict[int, _Running]) -> None:
    """Wait until a conversion is done or has used up its share, and take its files or its failure."""
    if not running:
        return
    clock = work.allotment.clock
    first_s = max(0.0, min(each.until_s for each in running.values()) - clock())
    answering = first_to_answer([each.fork for each in running.values()], first_s)
    now_s = clock()
    for number, each in list(running.items()):
        if each.fork is not answering and now_s < each.until_s:
            continue
        del running[number]
        took_s = now_s - each.since_s
        if each.fork is answering:
            work.made[number] = _finished(work, number, each.fork)
        else:
            each.fork.end()
            work.made[number] = _overdue(work, number, took_s)
        work.learn(number, took_s, ended=each.fork is answering)
        shutil.rmtree(work.aside / str(number), ignore_errors=True)


def _overdue(work: _Work, number: int, took_s: float) -> str | Unmade:
    """Return the outcome of a conversion that was stopped: a failure where nothing but patience ended it."""
    if took_s < TIMEOUT_S:
        return _unmade(work, number, took_s)
    return f"{work.pieces[number].label}: the conversion failed: gave no answer in {TIMEOUT_S:.0f} s and was stopped"


def _unmade(work: _Work, number: int, spent_s: float | None) -> Unmade:
    needed_s = work.expected_s(number) if spent_s is None else UNFINISHED * spent_s
    return Unmade(label=work.pieces[number].label, needed_s=needed_s, spent_s=spent_s)


def _finished(work: _Work, number: int, fork: Fork[Made]) -> Converted | str:
    label = work.pieces[number].label
    try:
        made, folder = fork.result(TIMEOUT_S), work.store / work.keys[number]
        return keep(made, work.aside / str(number), folder, label=f"{label} of {work.order.model}")
    except LabError as error:
        why = f"the conversion failed: {error}"
    except OSError as error:
        why = f"the converted files cannot be kept in {work.store}: {error.strerror or error}"
    return f"{label}: {why}{_room(work.store)}"


def _room(store: Path) -> str:
    """Return the end of a failure where the disk is full, which converters report in words of their own."""
    with suppress(OSError):
        if shutil.disk_usage(store).free < LEAST_ROOM_BYTES:
            return f"; the disk of {store} is full: make room there, or set XDG_CACHE_HOME to another"
    return ""
