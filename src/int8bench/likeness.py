"""In which fields two runs differ, each said with both values: what decides how much of them may be compared. Pure."""

from collections.abc import Mapping
from typing import Any

from int8bench.errors import RequestError
from int8bench.hardware import Hardware
from int8bench.records import Run

MUST_AGREE = ("model", "input_shape", "num_classes")  # or nothing of two runs can be compared
SAME_ANSWERS = ("weights_sha256", "data", "validation_images")  # or SQNR and top-1 cannot


def differing_hardware(old: Run, new: Run) -> tuple[str, ...]:
    """The fields of the fingerprint in which the hardware of two runs differs, with both values."""
    if old.environment.fingerprint == new.environment.fingerprint:
        return ()
    before, after = (_fingerprinted(Hardware.from_dict(run.environment.hardware)) for run in (old, new))
    return _differing(before, after) or ("the fingerprint, which another version of int8bench took",)


def differing_answers(old: Run, new: Run) -> tuple[str, ...]:
    """What makes the answers of two runs answers of different things: other weights or other pictures."""
    before, after = ({key: run.settings.get("subject", {}).get(key) for key in SAME_ANSWERS} for run in (old, new))
    return _differing(before, after)


def differing_process(old: Run, new: Run) -> tuple[str, ...]:
    """The variables of the measuring processes in which two runs differ."""
    return _differing(old.environment.process, new.environment.process)


def differing_versions(old: Run, new: Run) -> tuple[str, ...]:
    """The packages of which two runs used different versions."""
    return _differing(old.environment.versions, new.environment.versions)


def _fingerprinted(machine: Hardware) -> dict[str, str]:
    """What the fingerprint is made of, as a person reads it; see `hardware.fingerprint`."""
    return {
        "architecture": machine.arch,
        "vendor": machine.vendor or "unknown",
        "processor": f"{machine.name} (family {machine.family}, model {machine.model})",
        "instruction sets": " ".join(machine.levels) or "none",
        "usable cores": str(machine.usable_cores),
        "virtual machine": "no" if machine.hypervisor is None else "yes",
        "emulation": "no" if machine.emulated is None else "yes",
        "limits of instruction sets": str(dict(machine.isa_environment)),
    }


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{name} ({old.get(name, 'none')} and {new.get(name, 'none')})"
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    )


def check_subjects(old: Run, new: Run, base: str, head: str) -> None:
    """Refuses runs of different models or inputs.

    Raises:
        RequestError: they are.
    """
    before, after = (run.settings.get("subject", {}) for run in (old, new))
    for key in MUST_AGREE:
        if key in before and key in after and before[key] != after[key]:
            raise RequestError(
                f"{base} and {head} differ in {key.replace('_', ' ')} ({before[key]} and {after[key]}); "
                "compare two runs of the same model and input"
            )
