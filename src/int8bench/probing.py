"""Which engines' arithmetic is probed on this machine, and how: the one place where probes meet processes.

Torch's engines show the integers that they hold, which any launch can compare. Every other engine gets a model that is
made to saturate through its own conversion, in a launch of its own, and is judged by its answers.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from int8bench import conversions
from int8bench.cases import INT8, Group, Variant
from int8bench.engines import saturation, saturation_model
from int8bench.engines.base import Conversion
from int8bench.engines.registry import engine_named
from int8bench.errors import LabError
from int8bench.findings import SaturationProbe
from int8bench.hardware import Hardware
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Fork, Launch, launched
from int8bench.lab.messages import Setup
from int8bench.progress import Advance, Progress
from int8bench.worker import Check, Order

TIMEOUT_S = 120.0  # of one engine's probe; a compiler may be at work


def measured(launch: Launch, engines: Sequence[str], machine: Hardware, advance: Advance) -> dict[str, SaturationProbe]:
    """The probe of each engine that has int8; without those whose probe failed, whose own cells say why.

    Args:
        launch: any that has torch.
        engines: by name, each available here.
        machine: what conversions are made for.
        advance: is told what is at work.
    """
    mine = {name: _answered(launch.fork("int8bench.worker:probe", name)) for name in engines if _shows_integers(name)}
    others = _by_answers([name for name in engines if not _shows_integers(name)], machine, advance)
    found = {**mine, **others}
    return {name: probe for name in engines if (probe := found.get(name)) is not None}


def probe_order(variants: tuple[Variant, ...]) -> Order:
    """What a launch, or a conversion, needs of the model that is made to saturate."""
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


def _by_answers(engines: Sequence[str], machine: Hardware, advance: Advance) -> dict[str, SaturationProbe | None]:
    if not engines:
        return {}
    try:
        return _in_a_launch([_check(engine) for engine in engines], machine, advance)
    except LabError:
        return {}  # the launch went down with an engine, and so do those of the study, which say why


def _check(engine: str) -> Check:
    """The int8 of an engine, on all pictures at once where it takes that."""
    named = engine_named(engine)
    variant = next(each for each in named.variants if each.precision == INT8)
    together = Group(batch=saturation_model.PICTURES, threads=1)
    return Check(variant=variant, group=replace(together, batch=1) if named.objection(together) else together)


def _in_a_launch(checks: Sequence[Check], machine: Hardware, advance: Advance) -> dict[str, SaturationProbe | None]:
    order = probe_order(tuple(check.variant for check in checks))
    outcome = _converted(checks, order, machine, advance)
    ready = [check for check in checks if outcome.refusal(check.variant, check.group.batch) is None]
    setup = Setup(
        function="int8bench.worker:prepare",
        payload=replace(order, variants=tuple(check.variant for check in ready), files=outcome.files()),
    )
    found: dict[str, SaturationProbe | None] = {}
    with launched((0,), setup, settings=ProcessSettings()) as (launch,):
        for done, check in enumerate(ready):
            engine = check.variant.engine
            advance(Progress(phase=f"probing the arithmetic of {engine}", done=done, total=len(ready)))
            found[engine] = _answered(launch.fork("int8bench.worker:probe_answers", check))
    return found


def _converted(checks: Sequence[Check], order: Order, machine: Hardware, advance: Advance) -> conversions.Outcome:
    asked: dict[Variant, Conversion] = {}
    for check in checks:
        conversion = engine_named(check.variant.engine).conversion(check.variant, machine)
        if conversion is not None:
            asked[check.variant] = conversion
    pieces = conversions.wanted(asked, [(check.variant, check.group.batch) for check in checks])
    return conversions.make(pieces, replace(order, variants=()), advance)


def _answered(fork: Fork) -> SaturationProbe | None:
    try:
        probe = fork.result(TIMEOUT_S)
    except LabError:
        return None
    assert isinstance(probe, SaturationProbe)
    return probe
