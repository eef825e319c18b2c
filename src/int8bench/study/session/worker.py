"""What the measuring processes do for a study: prepare engines once, then check, race, and measure alone in forks.

Runs inside the processes that `lab.launches` starts; reached by name, never called by the coordinator.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from int8bench import units
from int8bench.documents import JsonObject
from int8bench.engines.base import Conversion, Material, Predictor
from int8bench.engines.registry import engine_named
from int8bench.errors import EngineError, Int8BenchError
from int8bench.lab import sampling
from int8bench.lab.agent import memory
from int8bench.lab.channel import Channel
from int8bench.lab.sampling import Contender, Durations, Race
from int8bench.lab.session import heap_shift, shuffled
from int8bench.machine.finding import SaturationProbe
from int8bench.study.plan.budget import Clock
from int8bench.workload import fidelity
from int8bench.workload.cases import FLOAT32, Group, Variant, float32_references
from int8bench.workload.order import Order

if TYPE_CHECKING:
    from torch import nn

    from int8bench.machine import TorchView

Images = npt.NDArray[np.float32]

CHECK_BATCH = 64  # pictures a forward when outputs are checked
FEWEST_FOR_TOP1 = 100  # of fewer pictures than there are, one that is answered otherwise is more than a point
SETTLING_CALLS = 3  # calls before the peak of memory is read: the first packs, the next ones reuse
REFERENCE, CANDIDATE = "reference", "candidate"  # the two sides of a race of an engine with itself
GO_TIMEOUT_S = 60.0  # how long a stream waits for the others


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionOrder:
    """One conversion to be made, into an empty folder."""

    conversion: Conversion
    batch: int | None
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a conversion took, and what it has to say of its files."""

    seconds: float
    notes: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A launch's state: what each engine prepared, or the sentence why it could not."""

    order: Order
    ready: Mapping[Variant, object]
    refused: Mapping[Variant, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What float32 is to answer first: the batch size that it is built for, and for how long it may go on."""

    group: Group
    limit_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Float32's answers to the first pictures of the validation: what all others are held against."""

    answers: npt.NDArray[np.float32]
    """(image, class)"""
    picture_s: float
    """Seconds that one took, when it went quickest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A variant whose answers are checked, built for a batch size and on one thread; for how long it may answer."""

    variant: Variant
    group: Group
    expected: npt.NDArray[np.float32] | None = None
    """Float32's answers (image, class); None where they are still to be asked for."""
    limit_s: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceOrder:
    """One fork's race: which variants, on which group, for how long."""

    variants: tuple[Variant, ...]
    group: Group
    durations: Durations
    seed: int
    every: Mapping[Variant, int] = field(default_factory=dict)
    """In one of how many rounds those take part that do not in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloOrder:
    """One contender alone in a fork: cold call, memory, then a share of sustained load."""

    variant: Variant
    group: Group
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What a contender cost alone: seconds to build and for the first call, and its own bytes at their peak."""

    build_s: float
    cold_s: float
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """One stream's share of sustained load, on the clock that all processes share."""

    calls: int
    started_s: float
    ended_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a variant answered, before anything is timed."""

    fidelity: fidelity.Fidelity
    objection: str | None
    weights_bytes: int
    serialized_bytes: int
    evidence: JsonObject
    picture_s: float | None = None
    """Seconds that one picture took on one thread, when it went quickest; None where a record told the rest."""


def prepare(order: Order) -> Prepared:
    """Pay the imports and prepare every engine, single-threaded, so that forks start whole."""
    module = _model(order)
    ready: dict[Variant, object] = {}
    refused: dict[Variant, str] = {}
    shared: dict[str, object] = {}
    for variant in order.variants:
        try:
            engine = engine_named(variant.engine)
            material = replace(_material(order, module, order.files.get(variant, {})), shared=shared)
            ready[variant] = engine.prepare(variant, material)
        except Int8BenchError as error:
            refused[variant] = str(error)
        except Exception as error:  # noqa: BLE001  a fault of one engine, perhaps not ours, is its own row's reason
            refused[variant] = units.reason(error)
    return Prepared(order=order, ready=ready, refused=refused)


def load(order: Order) -> tuple[Order, "nn.Module"]:
    """Return the order and its model, from which conversions start; prepare no engine."""
    return order, _model(order)


def convert(state: tuple[Order, "nn.Module"], wanted: ConversionOrder, _line: Channel) -> Made:
    """Convert the model into files, in this process, which may start threads and may die of it.

    Args:
        state: the order and its model, as `load` returns them.
        wanted: the conversion, its batch size and its folder.
    """
    order, module = state
    notes: list[JsonObject] = []
    work = wanted.conversion.function
    material, options = _material(order, module, {}), wanted.conversion.options
    seconds = sampling.time_once(lambda: notes.append(work(material, options, wanted.batch, wanted.folder)))
    return Made(seconds=seconds, notes=notes[0])


def _model(order: Order) -> "nn.Module":
    import torch

    from int8bench.workload.models import load_model, settle_weights

    torch.set_num_threads(1)
    loaded = load_model(order.model, num_classes=order.num_classes, input_shape=order.input_shape)
    loaded.module.load_state_dict(torch.load(io.BytesIO(order.state), weights_only=True))
    settle_weights(loaded.module)
    return loaded.module


def _material(order: Order, module: "nn.Module", files: Mapping[int | None, Path]) -> Material:
    return Material(model=module, calibration=order.calibration, example=order.validation[:1], files=files)


def expect(state: Prepared, wanted: Expect, _line: Channel) -> Expected:
    """Answer the validation pictures with float32, as many as there is time for.

    Args:
        state: of the launch, prepared.
        wanted: the batch size to build for, and the time limit.
    """
    return _expected(state, wanted.group, wanted.limit_s)


def check(state: Prepared, wanted: Check, _line: Channel) -> Checked:
    """Answer the validation pictures with a variant and hold the answers against float32.

    Args:
        state: of the launch, prepared.
        wanted: the variant, the answers of float32, and the time limit.
    """
    return _checked(state, wanted)


def checked(state: Prepared, variant: Variant, group: Group) -> Checked:
    """Return the check of a variant's answers, in a process that the lab did not start.

    The float32 that is held against must have been prepared with it.

    Args:
        state: prepared, with the variant and float32.
        variant: whose answers are checked.
        group: that both are built for.
    """
    return _checked(state, Check(variant=variant, group=group))


def _expected(state: Prepared, group: Group, limit_s: float) -> Expected:
    reference = predictor(state, float32_references()[0], group)
    answers, picture_s = _answers(reference, state.order.validation, least=group.batch, limit_s=limit_s)
    return Expected(answers=answers, picture_s=picture_s)


def _checked(state: Prepared, wanted: Check) -> Checked:
    expected = wanted.expected
    if expected is None:
        expected = _expected(state, wanted.group, wanted.limit_s).answers
    candidate = predictor(state, wanted.variant, wanted.group)
    pictures = state.order.validation[: len(expected)]
    answers, picture_s = _answers(candidate, pictures, least=wanted.group.batch, limit_s=wanted.limit_s)
    answered, total = len(answers), len(state.order.validation)
    tells_top1 = answered == total or answered >= FEWEST_FOR_TOP1
    found = fidelity.compare(expected[:answered], answers, state.order.labels[:answered] if tells_top1 else None)
    return Checked(
        fidelity=found,
        objection=None if wanted.variant.precision == FLOAT32 else fidelity.objection(found),
        weights_bytes=candidate.weights_bytes,
        serialized_bytes=candidate.serialized_bytes,
        evidence=dict(candidate.evidence),
        picture_s=picture_s,
    )


def probe(_state: Prepared, engine: str, _line: Channel) -> SaturationProbe:
    """Return the probe of an engine's arithmetic against exact integers on this processor."""
    from int8bench.engines.saturation import probe as measured

    return measured(engine)


def probe_answers(state: Prepared, wanted: Check, _line: Channel) -> SaturationProbe:
    """Return the probe of an engine by its answers from the model that is made to saturate, on this processor.

    Args:
        state: of a launch that has prepared that model.
        wanted: the variant, and the group to build for.
    """
    from int8bench.engines.saturation_model import judged

    answers = predictor(state, wanted.variant, wanted.group)(state.order.validation)
    return judged(wanted.variant.engine, answers)


def race(state: Prepared, order: RaceOrder, _line: Channel) -> Race:
    """Build the contenders in random order on a shifted heap, and race them.

    Args:
        state: of the launch, prepared.
        order: of one fork's race.
    """
    rng = np.random.default_rng(order.seed)
    batch = pictures(state.order.validation, order.group.batch)
    shift = bytearray(heap_shift(rng))
    built = {variant: predictor(state, variant, order.group) for variant in shuffled(order.variants, rng)}
    _same_answers(built, batch)
    contenders = [
        Contender(name=each.label, call=built[each].bind(batch), every=order.every.get(each, 1))
        for each in order.variants
    ]
    result = sampling.race(contenders, order.durations, rng=rng)
    del shift
    return result


def alone(state: Prepared, order: SoloOrder, line: Channel) -> Stream:
    """Measure a contender alone, send `Alone`, wait for a time to stop at, and call until then.

    Args:
        state: of the launch, prepared.
        order: the contender and its setting.
        line: on which `Alone` is sent and the time to stop at is heard.
    """
    batch = pictures(state.order.validation, order.group.batch)
    shift = bytearray(heap_shift(np.random.default_rng(order.seed)))
    memory.release_free()
    before = memory.private_bytes()
    built: list[Predictor] = []
    build_s = sampling.time_once(lambda: built.append(predictor(state, order.variant, order.group)))
    call = built[0].bind(batch)
    cold_s = sampling.time_once(call)
    line.send(Alone(build_s=build_s, cold_s=cold_s, peak_bytes=_peak_of(call) - before))
    until = line.hear(float, GO_TIMEOUT_S)
    calls, started, ended = sampling.sustained(call, until=until)
    del shift
    return Stream(calls=calls, started_s=started, ended_s=ended)


def idle(_state: Prepared, _payload: None, _line: Channel) -> int:
    """Return the bytes that a fork which does nothing adds at its peak, measured as a contender's are."""
    memory.release_free()
    before = memory.private_bytes()
    return _peak_of(lambda: None) - before


def peak_bytes(state: Prepared, variant: Variant, group: Group) -> int:
    """Return the peak of this process's own bytes over a warm call, with all that the contender holds.

    Args:
        state: prepared, with the variant.
        variant: that answers.
        group: the pictures of the call, and its threads.
    """
    images = pictures(state.order.validation, group.batch)
    memory.release_free()
    before = memory.private_bytes()
    call = predictor(state, variant, group).bind(images)
    return _peak_of(call) - before


def pictures(images: Images, batch: int) -> Images:
    """Return a batch of pictures, some repeated where there are too few, (image, channel, height, width).

    Args:
        images: (image, channel, height, width).
        batch: size.
    """
    return np.ascontiguousarray(images[np.arange(batch) % len(images)])


def _peak_of(call: sampling.Call) -> int:
    """Return the peak of this process's own bytes while a warm call runs."""
    with memory.counted_exactly():
        for _ in range(SETTLING_CALLS):
            call()
        memory.release_free()
        return memory.peak_bytes_during(call)


def predictor(state: Prepared, variant: Variant, group: Group) -> Predictor:
    """Return a predictor, built in this process.

    Args:
        state: prepared, with the variant.
        variant: that answers.
        group: that it is built for.

    Raises:
        EngineError: the variant was refused when it was prepared.
    """
    if variant in state.refused:
        raise EngineError(state.refused[variant])
    return engine_named(variant.engine).build(state.ready[variant], group)


def _answers(
    predictor: Predictor, images: Images, *, least: int, limit_s: float, clock: Clock = sampling.shared_now
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the answers to the first pictures, as many as there is time for, and the seconds of one at its quickest.

    Args:
        predictor: whose answers.
        images: (image, channel, height, width).
        least: pictures that are asked for at first, and answered in any case; then twice as many each time.
        limit_s: when to stop.
        clock: seconds.
    """
    started_s = clock()
    answers: list[npt.NDArray[np.float32]] = []
    done, chunk, picture_s = 0, min(least, CHECK_BATCH), math.inf
    while done < len(images):
        before_s = clock()
        answers.append(predictor(images[done : done + chunk]))
        asked, took_s = len(answers[-1]), clock() - before_s
        done += asked
        picture_s = min(picture_s, took_s / asked)
        if clock() - started_s + min(2 * chunk, CHECK_BATCH) * picture_s > limit_s:
            break
        chunk = min(2 * chunk, CHECK_BATCH)
    return np.concatenate(answers), picture_s


def _same_answers(built: Mapping[Variant, Predictor], batch: Images) -> None:
    """Refuse to time a contender whose answers, in this very process, are not the model's.

    Without a float32 contender there is nothing to hold them against here; they were checked before anything was timed.
    """
    reference = next((variant for variant in built if variant.precision == FLOAT32), None)
    if reference is None:
        return
    expected = built[reference](batch)
    for variant, each in built.items():
        objection = fidelity.objection(fidelity.compare(expected, each(batch)))
        if objection is not None:
            raise EngineError(f"{variant.label}: {objection}")


def import_torch(_payload: None) -> None:
    """Pay for torch, so that forks have it; start no parallel region."""
    import torch

    torch.set_num_threads(1)


def torch_view(_state: None, _payload: None, _line: Channel) -> "TorchView":
    """Return torch's view of this machine."""
    from int8bench.machine import detect_torch

    return detect_torch()
