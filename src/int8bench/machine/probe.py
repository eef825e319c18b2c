"""Asks this machine what it is: the kernel, py-cpuinfo, psutil, the control groups, torch. Changes nothing.

`surroundings` collects what was said, `describe` makes a `Hardware` of it, so that other machines can be played.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from int8bench.documents import Json
from int8bench.errors import RecordError
from int8bench.machine.cores import ROOT, affinity, cgroup_quota, read_text, said, usable_cores
from int8bench.machine.hardware import Hardware, TorchView
from int8bench.machine.hypervisors import UNNAMED, by_firmware
from int8bench.machine.levels import DECIDING_FLAGS, canonical_arch, canonical_flags, isa_family
from int8bench.machine.listings.cpuinfo import as_program, parse_cpuinfo
from int8bench.machine.listings.reading import whole_number
from int8bench.machine.listings.sysctl import parse_sysctl

ISA_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "FBGEMM_ENABLE_INSTRUCTIONS",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
)
SYSCTL = ("sysctl", "hw", "machdep.cpu", "kern.hv_vmm_present", "sysctl.proc_translated")
_SIZE_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_STEAL = 7  # proc_stat(5): user nice system idle iowait irq softirq steal; guest time is part of user
# Clock sources of Linux that only a guest has: arch/x86/kernel/kvmclock.c, arch/x86/xen/time.c, hyperv_timer.c.
_LENT_CLOCKS = {
    "kvm-clock": "KVM",
    "xen": "Xen",
    "hyperv_clocksource_tsc_page": "Hyper-V",
    "hyperv_clocksource_msr": "Hyper-V",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the system says of itself, before anything is made of it."""

    root: Path
    system: str
    machine: str
    environment: Mapping[str, str]
    allowed: frozenset[int] | None
    logical_cores: int | None
    physical_cores: int | None
    memory_bytes: int | None
    sysctl: str
    second_witness: Mapping[str, Json]


def detect() -> Hardware:
    """Return this machine, without torch's view of it; about a second, once a process, while py-cpuinfo looks."""
    return describe(surroundings())


def detect_torch() -> TorchView:
    """Return what torch says of this machine and of itself; imports torch."""
    import torch

    # not in every version that we support
    capabilities: Mapping[str, bool | int | str] = getattr(torch.cpu, "get_capabilities", dict)()
    return TorchView(
        version=str(torch.__version__),
        capability=torch.backends.cpu.get_cpu_capability(),
        supported_engines=tuple(torch.backends.quantized.supported_engines),
        default_engine=torch.backends.quantized.engine,
        flags=canonical_flags(name for name, value in capabilities.items() if value is True),
    )


def surroundings() -> Surroundings:
    """Return what this system says of itself."""
    import psutil

    system = platform.system()
    return Surroundings(
        root=ROOT,
        system=system,
        machine=platform.machine(),
        environment=dict(os.environ),
        allowed=affinity(),
        logical_cores=psutil.cpu_count(logical=True),
        physical_cores=psutil.cpu_count(logical=False),
        memory_bytes=psutil.virtual_memory().total,
        sysctl=said(SYSCTL) if system == "Darwin" else "",  # without keys that this version does not have
        second_witness=second_witness(),
    )


@cache
def second_witness() -> Mapping[str, Json]:
    """Return what py-cpuinfo says, or its fork py-cpuinfo2; empty where neither is there or knows this processor.

    Both are a module `cpuinfo`: where both are installed, the later one's files are there; where one of them was
    uninstalled after that, none are. pytest-benchmark brings the one before 5.3, the other since.
    """
    try:
        import cpuinfo

        return dict(cpuinfo.get_cpu_info() or {})
    except Exception:  # noqa: BLE001  raised bare for an unknown architecture: at import by the one, at the call by the other
        return {}  # the kernel's list then stands alone


def describe(seen: Surroundings) -> Hardware:
    """Return the machine that was seen: the kernel's list first, py-cpuinfo as the second opinion."""
    kernel = _kernel(seen)
    caches = _caches(seen.root)
    witness = canonical_flags(_texts(seen.second_witness.get("flags")))
    machine = _identified(kernel or Hardware(arch=canonical_arch(seen.machine), flags=witness), seen)
    quota = cgroup_quota(seen.root)
    logical = seen.logical_cores or machine.logical_cores
    return replace(
        machine,
        os=seen.system or machine.os,
        logical_cores=logical,
        physical_cores=seen.physical_cores or machine.physical_cores,
        usable_cores=usable_cores(logical=logical, allowed=seen.allowed, quota=quota),
        cgroup_quota=quota,
        hypervisor=_hypervisor(seen.root, machine),
        l1d_bytes=caches.get(("1", "Data"), machine.l1d_bytes),
        l2_bytes=caches.get(("2", "Unified"), machine.l2_bytes),
        l3_bytes=caches.get(("3", "Unified"), machine.l3_bytes),
        memory_bytes=seen.memory_bytes or machine.memory_bytes,
        steal_fraction=steal_fraction(seen.root),
        isa_environment={name: seen.environment[name] for name in ISA_VARIABLES if seen.environment.get(name)},
        disagreements=_disagreements(kernel, witness),
    )


def steal_fraction(root: Path = ROOT) -> float | None:
    """Return the share of processor time since start-up that went to other guests; None where nobody counts it."""
    fields = read_text(root / "proc/stat").partition("\n")[0].split()[1 : _STEAL + 2]
    ticks = [whole_number(field) or 0 for field in fields]
    if len(ticks) <= _STEAL or sum(ticks) == 0:
        return None
    return ticks[_STEAL] / sum(ticks)


def _kernel(seen: Surroundings) -> Hardware | None:
    """Return the machine by the kernel's own list; None where there is none or it tells nothing."""
    listing = read_text(seen.root / "proc/cpuinfo")
    try:
        if seen.sysctl:
            return parse_sysctl(seen.sysctl, source="sysctl")
        return parse_cpuinfo(listing, source="/proc/cpuinfo") if listing else None
    except RecordError:
        return None


def _identified(machine: Hardware, seen: Surroundings) -> Hardware:
    """Return the machine with the names and the architecture that only the second witness or the interpreter know."""
    witness = seen.second_witness
    arch = canonical_arch(seen.machine)
    if isa_family(arch) != machine.isa_family:
        return as_program(machine, arch)
    return replace(
        machine,
        arch=arch,
        vendor=machine.vendor or _text(witness.get("vendor_id_raw")),
        brand=machine.brand or _text(witness.get("brand_raw")),
        family=_first(machine.family, witness.get("family")),
        model=_first(machine.model, witness.get("model")),
        stepping=_first(machine.stepping, witness.get("stepping")),
    )


def _disagreements(kernel: Hardware | None, witness: frozenset[str]) -> tuple[str, ...]:
    """Return the deciding flags that only one of the two lists; none where one lists nothing."""
    if kernel is None or not kernel.flags or not witness:
        return ()
    return tuple(sorted((kernel.flags ^ witness) & DECIDING_FLAGS - kernel.untold))


def _hypervisor(root: Path, machine: Hardware) -> str | None:
    """Return the hypervisor by name; `unnamed` where the processor alone admits one, None where none is seen."""
    admissions = [read_text(root / "sys/hypervisor/type"), read_text(root / "proc/device-tree/hypervisor/compatible")]
    firmware = [read_text(root / "sys/class/dmi/id" / name) for name in ("sys_vendor", "product_name")]
    named = by_firmware(part.strip(" \n\0") for part in (*admissions, *firmware))
    if named is not None:
        return named
    admitted = machine.hypervisor or (UNNAMED if admissions[1] else None)
    return _by_clock(root) or UNNAMED if admitted == UNNAMED else admitted


def _by_clock(root: Path) -> str | None:
    """Return the hypervisor that lends its clock to a guest without firmware tables: a micro virtual machine."""
    clocks = read_text(root / "sys/devices/system/clocksource/clocksource0/available_clocksource").split()
    return next((name for clock, name in _LENT_CLOCKS.items() if clock in clocks), None)


def _caches(root: Path) -> dict[tuple[str, str], int]:
    """Return bytes of the first processor's caches by level and type, as Linux counts them."""
    sizes = {}
    for index in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (read_text(index / name).strip() for name in ("level", "type", "size"))
        count = whole_number(size[:-1])
        if count and size[-1] in _SIZE_UNITS:
            sizes[level, kind] = count * _SIZE_UNITS[size[-1]]
    return sizes


def _first(known: int | None, other: object) -> int | None:
    return known if known is not None or type(other) is not int else other


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list | tuple) else ()
