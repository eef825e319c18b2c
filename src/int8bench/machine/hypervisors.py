"""Hypervisors by the names that they leave behind, and the CPU types that they make up. Pure: tables and look-ups."""

import re
from collections.abc import Iterable

UNNAMED = "unnamed"  # a hypervisor that is admitted and not named
WSL1 = "windows subsystem for linux"  # what lscpu calls the hypervisor where Windows plays the kernel
ROSETTA = "Rosetta 2"
TCG = "QEMU TCG"
QEMU_CPU = "QEMU virtual CPU"  # KVM may run it on the real one

# Words in the firmware's names of a machine that say: virtual.
_FIRMWARE = {
    "qemu": "KVM",
    "kvm": "KVM",
    "openstack": "KVM",
    "google compute engine": "KVM",
    "amazon ec2": "Amazon",
    "alibaba cloud": "KVM",
    "digitalocean": "KVM",
    "smdbmds": "KVM",  # Tencent's
    "red hat": "KVM",
    "vmware": "VMware",
    "virtualbox": "VirtualBox",
    "microsoft corporation virtual machine": "Hyper-V",
    "xen": "Xen",
    "parallels": "Parallels",
    "apple virtualization": "Apple",
}
_QEMU = ("qemu", "seabios", "i440fx", "q35", "virt-")
# What QEMU's types of CPUs are called (model_id in target/i386/cpu.c); no processor that is sold has such a name.
_CPU_TYPE = re.compile(
    r"virtual cpu [0-9a-f]+|common (?:32-bit )?kvm processor|qemu (?:virtual|tcg) cpu.*|(?:kvm|qemu)(?:32|64)"
    r"|.*\bclass (?:core|cpu|opteron)\b.*|intel (?:core|atom|xeon(?: phi)?) processor \(.*"
    r"|intel xeon e3-?12xx.*|westmere e56xx.*|amd epyc(?:-[a-z0-9]+)? processor(?: \(with ibpb\))?"
    r"|hygon dhyana processor",
    re.IGNORECASE,
)
# The types of ARM cores that QEMU plays unless told otherwise, older than the dot product.
_ARM_TYPES = re.compile(r"(?:arm )?cortex-a(?:7|8|9|15|35|53|57|72)", re.IGNORECASE)
_BOGOMIPS = "125.00"  # twice the 62.5 MHz of the timer in QEMU's boards for ARM; boards that are sold have others
_MAX = (0x00, 0x051)  # implementer and part of QEMU's type max


def by_firmware(names: Iterable[str | None]) -> str | None:
    """Return the hypervisor that a machine's firmware names; None where it names none, or bare metal."""
    text = " ".join(" ".join(name for name in names if name).lower().split())
    return None if ".metal" in text else next((name for words, name in _FIRMWARE.items() if words in text), None)


def cpu_type(brand: str | None, *, firmware: str = "", bogomips: str | None = None) -> str | None:
    """Return the name that a hypervisor makes up for its CPU; None where the name is a processor's.

    Args:
        brand: the name of the processor or core.
        firmware: the firmware's names, by which a guest of QEMU's with a core's name is told from the core.
        bogomips: the kernel's figure, which shows the clock of the timer that QEMU plays.
    """
    if brand is None:
        return None
    of_qemu = bogomips == _BOGOMIPS or any(word in firmware.lower() for word in _QEMU)
    made_up = _CPU_TYPE.fullmatch(brand) or (of_qemu and _ARM_TYPES.fullmatch(brand))
    return brand if made_up else None


def arm_cpu_type(cores: Iterable[tuple[int | None, int | None]]) -> str | None:
    """Return the CPU type that an implementer and a part number give away: QEMU's own has no implementer."""
    return "QEMU max" if _MAX in set(cores) else None


def arm_hypervisor(cores: Iterable[tuple[int | None, int | None]]) -> str | None:
    """Return the hypervisor that numbers of cores give away: Apple's shows part 0, which no core has."""
    numbers = set(cores)
    return "Apple" if (0x61, 0) in numbers else UNNAMED if numbers & {(0, 0), _MAX} else None


def emulation(names: Iterable[str | None]) -> str | None:
    """Return the emulator that a processor's names give away, else None."""
    text = " ".join(name for name in names if name).lower()
    if "virtualapple" in text:
        return ROSETTA
    if "tcgtcg" in text or "qemu tcg" in text or "qemu max" in text:
        return TCG
    return QEMU_CPU if "qemu" in text else None
