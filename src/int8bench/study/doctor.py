"""Joins the hardware, the rules, the engines and the measured probes into one answer about this machine."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from int8bench import documents, machine
from int8bench.engines.registry import engine_named, engine_names
from int8bench.engines.saturation import PROBED
from int8bench.errors import LabError, NothingMeasuredError, RequestError
from int8bench.lab import platforms
from int8bench.lab.channel import Setup
from int8bench.lab.clock import SILENCE_S
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import launched
from int8bench.lab.progress import Progress
from int8bench.machine import Hardware, rules
from int8bench.machine.finding import EngineChoice, SaturationProbe, Severity, ShownFinding
from int8bench.study.session import probing, worker
from int8bench.workload.cases import INT8

HERE = "this environment"
ELSEWHERE = "architecture"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineState:
    """Whether an engine can run, and if not, why and how to get it."""

    name: str
    available: bool | None
    """None where it hangs on what is not told."""
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What `doctor` answers."""

    hardware: Hardware
    fingerprint: str
    judged_by: str
    """What the engines are judged by: this environment, or a foreign machine's architecture."""
    engines: tuple[EngineState, ...]
    recommended: EngineChoice
    findings: tuple[ShownFinding, ...]
    probes: tuple[SaturationProbe, ...]

    @property
    def has_error(self) -> bool:
        """Whether a finding says that something asked for does not fit."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, object]:
        """Return the document of ``doctor --json``."""
        return {
            "hardware": self.hardware.to_dict(),
            "fingerprint": self.fingerprint,
            "engines_judged_by": self.judged_by,
            "engines": [documents.written(engine) for engine in self.engines],
            "recommended": documents.written(self.recommended),
            "findings": [documents.written(finding) for finding in self.findings],
            "probes": [{**documents.written(probe), "sqnr_db": _finite(probe.sqnr_db)} for probe in self.probes],
        }


def check_int8(option: str, engine: str) -> None:
    """Refuse an engine that cannot be raced against float32.

    Args:
        option: of the command line that names it, for the message.
        engine: by name.

    Raises:
        RequestError: it is unknown, or is a float32 engine.
    """
    if not has_int8(engine):
        raise RequestError(
            f"{option} {engine}: a float32 engine, which is always raced along; name an int8 engine such as fbgemm"
        )


def diagnose(description: Path | None, *, engine: str | None, threads: tuple[int, ...]) -> Diagnosis:
    """Return the answer for this machine, measured, or for the machine that a file describes, by rule.

    By rule too for this machine where it is not Linux: nothing is launched there.

    Args:
        description: a file that describes another machine; None for this one.
        engine: that is asked for, and probed on this machine beside torch's; None for none.
        threads: numbers of threads that are asked for.

    Raises:
        RecordError: the file describes no machine.
        RequestError: the engine is unknown.
        NothingMeasuredError: this machine cannot be asked.
    """
    if engine is not None:
        engine_named(engine)
    if description is not None:
        foreign = machine.load(description)
        return _answer(
            foreign, {}, engine=engine, threads=threads, states=fitting_engines(foreign), judged_by=ELSEWHERE
        )
    if not platforms.measures_here():
        here = replace(machine.detect(), torch=machine.detect_torch())
        return _answer(here, {}, engine=engine, threads=threads, states=engine_states(here))
    try:
        here, probes = measured_here(engine)
    except LabError as error:
        raise NothingMeasuredError(f"this machine could not be measured: {error}") from error
    return _answer(here, probes, engine=engine, threads=threads, states=engine_states(here))


def measured_here(engine: str | None = None) -> tuple[Hardware, Mapping[str, SaturationProbe]]:
    """Return this machine with torch's view of it, and the saturation probes of engines that can run here.

    Args:
        engine: is probed beside torch's, which cost no conversion; None for torch's alone.
    """
    here = machine.detect()
    setup = Setup(function=worker.import_torch, payload=None)
    with launched((0,), setup, settings=ProcessSettings()) as (launch,):
        view = launch.fork(worker.torch_view, None).result(SILENCE_S)
        here = replace(here, torch=view)
        asked = {*PROBED, engine}
        there = [state.name for state in engine_states(here) if state.available and state.name in asked]
        return here, probing.measured(launch, [name for name in there if has_int8(name)], here, _quietly)


def _quietly(_: Progress) -> None:
    """Show no progress: a diagnosis has none."""


def engine_states(described: Hardware) -> tuple[EngineState, ...]:
    """Return the state of every known engine: whether it can run in this environment."""
    states = []
    for name in engine_names():
        availability = engine_named(name).availability(described)
        states.append(EngineState(name=name, available=availability.available, reason=availability.reason))
    return tuple(states)


def fitting_engines(described: Hardware) -> tuple[EngineState, ...]:
    """Return the state of every known engine on a machine elsewhere, for which packages installed here do not count."""
    fits = {name: engine_named(name).fit(described) for name in engine_names()}
    return tuple(EngineState(name=name, available=fit.available, reason=fit.reason) for name, fit in fits.items())


def has_int8(engine: str) -> bool:
    """Tell whether an engine has an int8 to hold against float32."""
    return any(variant.precision == INT8 for variant in engine_named(engine).variants)


def _finite(value: float) -> float | None:
    """Return an SQNR for JSON, which has no infinity: None for that of an error of nothing at all."""
    return value if math.isfinite(value) else None


def _answer(
    described: Hardware,
    probes: Mapping[str, SaturationProbe],
    *,
    engine: str | None,
    threads: tuple[int, ...],
    states: tuple[EngineState, ...],
    judged_by: str = HERE,
) -> Diagnosis:
    ruled = engine if engine in {*rules.KNOWN_ENGINES, *probes} else None  # rules know torch's engines alone
    return Diagnosis(
        hardware=described,
        fingerprint=machine.fingerprint(described),
        judged_by=judged_by,
        engines=states,
        recommended=rules.recommend(described, probes),
        findings=tuple(each.shown for each in rules.inspect(described, engine=ruled, threads=threads, probes=probes)),
        probes=tuple(probes.values()),
    )
