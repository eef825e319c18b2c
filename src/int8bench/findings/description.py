"""Rules about what a description says of the instructions: cut, untold, masked. Pure."""

from collections.abc import Iterator

from int8bench.findings.choice import listed
from int8bench.findings.values import Finding, Severity, Situation
from int8bench.hardware import Gap, Hardware, Told
from int8bench.hardware.levels import ARM, X86

_WHY_UNTOLD = {
    Gap.LEFT_OUT: "The description has no flags, or only a part of them.",
    Gap.BROKEN: "A line of the list is broken where nobody can say whether the word goes on.",
    Gap.WSL1: "WSL 1 plays a kernel that lists only some of a processor's instructions.",
}


def instructions_untold(situation: Situation) -> Iterator[Finding]:
    """Rules on instructions cannot speak."""
    hardware = situation.hardware
    if hardware.isa_family not in {X86, ARM} or not hardware.untold_levels:
        return
    if hardware.gap is Gap.CUT:
        return  # said by its own rule
    yield Finding(
        code="instructions-untold",
        severity=Severity.WARNING,
        subject="cpu",
        message=f"Whether this CPU has {_or(hardware.untold_levels)} is not told."
        if hardware.levels
        else "The instructions of this CPU are not told.",
        why=f"{_WHY_UNTOLD[hardware.gap or Gap.LEFT_OUT]} No rule can speak on what is untold.",
        advice=_how_to_list(hardware),
    )


def listing_cut(situation: Situation) -> Iterator[Finding]:
    """A list of instructions ends before its end."""
    hardware = situation.hardware
    if hardware.gap is not Gap.CUT:
        return
    untold = hardware.untold_levels
    yield Finding(
        code="listing-cut",
        severity=Severity.WARNING if untold else Severity.NOTE,
        subject="cpu",
        message="The listing is cut within a list of instructions."
        + (f" Whether this CPU has {_or(untold)} is not told." if untold else ""),
        why="What stands behind the cut was not copied, so no rule can speak on it, and processors may be missing."
        if untold
        else "Another processor of the listing tells the instructions, but processors may be missing.",
        advice=_how_to_list(hardware),
    )


def _or(levels: tuple[str, ...]) -> str:
    return listed(levels).replace(" and ", " or ")


def _how_to_list(hardware: Hardware) -> str:
    """What to type on a machine for a text that tells its instructions."""
    if hardware.os == "Darwin":
        return "On the machine itself type: sysctl hw machdep.cpu > machine.txt"
    if hardware.gap is Gap.WSL1:
        return "In Windows itself, or in WSL 2, type: int8bench doctor --json > machine.json"
    if hardware.gap in {Gap.CUT, Gap.BROKEN}:
        return "On the machine itself type: cat /proc/cpuinfo > machine.txt; then give the whole file"
    return "On the machine itself type: int8bench doctor --json > machine.json"


def instructions_masked(situation: Situation) -> Iterator[Finding]:
    """The CPU is a type that a hypervisor makes up."""
    hardware = situation.hardware
    if hardware.cpu_type is None or hardware.int8_dot_product is Told.THERE:
        return
    yield Finding(
        code="instructions-masked",
        severity=Severity.WARNING,
        subject="cpu",
        message=f"The instructions are masked: {hardware.cpu_type} is a CPU type of the hypervisor, not a processor.",
        why="A guest sees the instructions of the type alone, whatever the processor underneath has.",
        advice="Set the CPU type to host (QEMU: -cpu host; libvirt: mode host-passthrough; Proxmox: type host).",
    )
