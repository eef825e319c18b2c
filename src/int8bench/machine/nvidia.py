"""What of NVIDIA's a machine has: the driver, its GPUs, and which of them this process may see. Loads no driver.

`look` collects what the system says, `visible` and `driver_objection` are functions of it, so that other machines can
be played. CUDA itself is not asked: a process that has started it can no longer be forked.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from int8bench.machine.cores import ROOT

DRIVER = "libcuda.so.1"
VISIBLE = "CUDA_VISIBLE_DEVICES"
_FIELDS = ("name", "uuid", "compute_cap", "driver_version")
SMI = ("nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader")
SMI_TIMEOUT_S = 30.0  # it wakes the GPUs up, which takes seconds where no persistence daemon runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, as nvidia-smi describes it."""

    name: str
    uuid: str
    compute_capability: tuple[int, int]
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuFacts:
    """What a system says of NVIDIA's parts."""

    driver_library: bool
    """Whether the dynamic linker would find the driver."""
    smi: str | None
    """What nvidia-smi printed; None where it is not there."""
    smi_failed: bool = False
    visible: str | None = None
    """The variable that hides GPUs from a process; None where it is not set."""


@cache
def look() -> GpuFacts:
    """Return what this system says, asked once a process."""
    return seen(ROOT, os.environ, _smi())


def seen(root: Path, environment: Mapping[str, str], smi: tuple[str, bool] | None) -> GpuFacts:
    """Return the facts of a system whose files lie under `root`.

    Args:
        root: of the file system.
        environment: the process's variables.
        smi: what nvidia-smi printed and whether it failed; None where it is not there.
    """
    return GpuFacts(
        driver_library=finds(DRIVER, root, environment),
        smi=None if smi is None else smi[0],
        smi_failed=smi is not None and smi[1],
        visible=environment.get(VISIBLE),
    )


def finds(library: str, root: Path, environment: Mapping[str, str]) -> bool:
    """Tell whether the dynamic linker would find a library of that name or of that beginning; loads nothing.

    Args:
        library: a name, or its beginning.
        root: the folder under which files of the system lie.
        environment: variables, of which LD_LIBRARY_PATH counts.
    """
    folders = [Path(each) for each in environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if each]
    if any(next(folder.glob(f"{library}*"), None) is not None for folder in folders):
        return True
    try:
        return library.encode() in (root / "etc/ld.so.cache").read_bytes()
    except OSError:
        return False


def gpus(facts: GpuFacts) -> tuple[Gpu, ...]:
    """Return the GPUs of the machine, in nvidia-smi's order."""
    if facts.smi is None or facts.smi_failed:
        return ()
    rows = [[part.strip() for part in line.split(",")] for line in facts.smi.splitlines()]
    return tuple(_gpu(row) for row in rows if len(row) == len(_FIELDS) and _is_capability(row[2]))


def visible(facts: GpuFacts) -> tuple[Gpu, ...]:
    """Return the GPUs that this process may see: CUDA stops at the first name in the variable that it does not know."""
    there = gpus(facts)
    if facts.visible is None:
        return there
    shown: list[Gpu] = []
    for token in facts.visible.split(","):
        gpu = _named(token.strip(), there)
        if gpu is None or gpu in shown:
            break
        shown.append(gpu)
    return tuple(shown)


def driver_objection(facts: GpuFacts) -> str | None:
    """Return a sentence on the missing driver or GPUs, with what to do; None where nothing is missing."""
    if not facts.driver_library:
        return f"no NVIDIA driver is there ({DRIVER} is not found): install it, or start the container with --gpus all"
    if facts.smi is None:
        return (
            "the NVIDIA driver is there but not nvidia-smi, which tells the GPUs: start the container with "
            "NVIDIA_DRIVER_CAPABILITIES=all"
        )
    if facts.smi_failed:
        said = (facts.smi.strip().splitlines() or ["nothing"])[0]
        return f"the NVIDIA driver does not answer (nvidia-smi says: {said}): load its kernel module, or restart"
    if not gpus(facts):
        return "no GPU is there: nvidia-smi lists none"
    if not visible(facts):
        return f"{VISIBLE}={facts.visible!r} hides every GPU ({len(gpus(facts))} there): type unset {VISIBLE}"
    return None


def _smi() -> tuple[str, bool] | None:
    try:
        done = subprocess.run(SMI, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False)
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error), True
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr, done.returncode != 0


def _gpu(row: list[str]) -> Gpu:
    major, _, minor = row[2].partition(".")
    return Gpu(name=row[0], uuid=row[1], compute_capability=(int(major), int(minor)), driver=row[3])


def _is_capability(text: str) -> bool:
    major, dot, minor = text.partition(".")
    return bool(dot) and major.isdecimal() and minor.isdecimal()


def _named(token: str, there: tuple[Gpu, ...]) -> Gpu | None:
    """Return the GPU of a number, or of the beginning of an identifier that fits one alone."""
    if token.isdecimal():
        return there[int(token)] if int(token) < len(there) else None
    alike = [gpu for gpu in there if token and gpu.uuid.startswith(token)]
    return alike[0] if len(alike) == 1 else None
