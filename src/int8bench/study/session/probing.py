"""Which engines' arithmetic is probed on this machine, and how: the one place where probes meet processes.

Torch's engines show the integers that they hold, which any launch can compare. Every other engine gets a model that is
made to saturate through its own conversion, in a launch of its own, and is judged by its answers.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from int8bench.engines import saturation, saturation_model
from int8bench.engines.base import Conversion
from int8bench.engines.registry import engine_named
from int8bench.errors import LabError
from int8bench.lab.channel import Setup
from int8bench.lab.clock import SILENCE_S
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Fork, Launch, launched
from int8bench.lab.progress import Advance, Progress
from int8bench.machine import Hardware
from int8bench.machine.finding import SaturationProbe
from int8bench.study.session import conversions, worker
from int8bench.study.session.conversions import UNLIMITED, Allotment, Due, Wanted
from int8bench.study.session.worker import Check
from int8bench.workload.cases import INT8, Group, Variant
from int8bench.workload.order import Order


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What probes by answers need before they can run: a check an engine, and the conversions that are not kept."""

    checks: tuple[Check, ...]
    order: Order | None
    """Of the model that is made to saturate; None without checks."""
    pieces: tuple[Wanted, ...]
    due: tuple[Due, ...]

    def of(self, engines: Sequence[str]) -> Probes:
        """Return the probes of some of the engines."""
        checks = tuple(check for check in self.checks if check.variant.engine in engines)
        variants = {check.variant for check in checks}
        return replace(
            self,
            checks=checks,
            pieces=tuple(piece for piece in self.pieces if variants & {*piece.variants}),
            due=tuple(each for each in self.due if variants & {*each.piece.variants}),
        )


def measured(launch: Launch, engines: Sequence[str], machine: Hardware, advance: Advance) -> dict[str, SaturationProbe]:
    """Return the probe of each engine with int8; one whose probe failed is missing, and its own cells say why.

    Args:
        launch: any that has torch.
        engines: by name, each available here.
        machine: what conversions are made for.
        advance: is told what is at work.
    """
    probes = {**by_integers(launch, engines), **by_answers(wanted(engines, machine, lambda _: 0.0), advance)}
    return {name: probes[name] for name in engines if name in probes}


def by_integers(launch: Launch, engines: Sequence[str]) -> dict[str, SaturationProbe]:
    """Return the probes of torch's engines among those given, which show the integers that they hold: a moment each.

    Args:
        launch: any that has torch.
        engines: by name, each available here.
    """
    mine = [name for name in engines if _shows_integers(name)]
    return _told({name: _answered(launch.fork(worker.probe, name)) for name in mine})


def wanted(engines: Sequence[str], machine: Hardware, guess: Callable[[Conversion], float]) -> Probes:
    """Return the needs of the probes of all engines that show no integers.

    Args:
        engines: by name, each available here.
        machine: what conversions are made for.
        guess: the seconds of a conversion that this machine does not remember.
    """
    checks = tuple(_check(engine) for engine in engines if not _shows_integers(engine))
    if not checks:
        return Probes(checks=(), order=None, pieces=(), due=())
    order = probe_order(tuple(check.variant for check in checks))
    asked: dict[Variant, Conversion] = {}
    for check in checks:
        conversion = engine_named(check.variant.engine).conversion(check.variant, machine)
        if conversion is not None:
            asked[check.variant] = conversion
    pieces = conversions.wanted(asked, [(check.variant, check.group.batch) for check in checks])
    bare = replace(order, variants=())
    return Probes(checks=checks, order=bare, pieces=pieces, due=conversions.due(pieces, bare, guess))


def by_answers(
    probes: Probes, advance: Advance, *, allotment: Allotment = UNLIMITED, timeout_s: float = SILENCE_S
) -> dict[str, SaturationProbe]:
    """Return the probes of engines that are judged by their answers, in a launch of their own.

    Args:
        probes: what `wanted` said.
        advance: is told what is at work.
        allotment: how long their conversions may take.
        timeout_s: how long the launch, and each probe, may take.
    """
    if probes.order is None or not probes.checks:
        return {}
    try:
        return _told(_in_a_launch(probes, probes.order, advance, allotment, timeout_s))
    except LabError:
        return {}  # the launch went down with an engine, and so do those of the study, which say why


def probe_order(variants: tuple[Variant, ...]) -> Order:
    """Return the order of the model that is made to saturate, for a launch or a conversion."""
    import torch

    state = io.BytesIO()
    torch.save(saturation_model.probe_model().state_dict(), state)
    pictures = saturation_model.pictures()
    return Order(
        model=saturation_model.MODEL,
        input_shape=saturation_model.SHAPE,
        num_classes=saturation_model.CLASSES,
        state=state.getvalue(),
        variants=variants,
        calibration=pictures,
        validation=pictures,
        labels=np.zeros(len(pictures), np.int64),
    )


def _shows_integers(engine: str) -> bool:
    return engine in saturation.PROBED


def _check(engine: str) -> Check:
    """Return the check of an engine's int8, on all pictures at once where it takes that."""
    named = engine_named(engine)
    variant = next(each for each in named.variants if each.precision == INT8)
    together = Group(batch=saturation_model.PICTURES, threads=1)
    return Check(variant=variant, group=replace(together, batch=1) if named.objection(together) else together)


def _in_a_launch(
    probes: Probes, bare: Order, advance: Advance, allotment: Allotment, timeout_s: float
) -> dict[str, SaturationProbe | None]:
    outcome = conversions.make(probes.pieces, bare, advance, allotment=allotment)
    ready = [
        check
        for check in probes.checks
        if not isinstance(outcome.of(check.variant, check.group.batch), conversions.Unmade | str)
    ]
    variants = tuple(check.variant for check in ready)
    order = replace(bare, variants=variants, files=outcome.files())
    answers: dict[str, SaturationProbe | None] = {}
    setup = Setup(function=worker.prepare, payload=order)
    with launched((0,), setup, settings=ProcessSettings(), timeout_s=timeout_s) as (launch,):
        for check in ready:
            engine = check.variant.engine
            advance(Progress(phase=f"probing the arithmetic of {engine}"))
            answers[engine] = _answered(launch.fork(worker.probe_answers, check), timeout_s)
    return answers


def _told(answers: Mapping[str, SaturationProbe | None]) -> dict[str, SaturationProbe]:
    return {name: probe for name, probe in answers.items() if probe is not None}


def _answered(fork: Fork[SaturationProbe], timeout_s: float = SILENCE_S) -> SaturationProbe | None:
    try:
        return fork.result(timeout_s)
    except LabError:
        return None
