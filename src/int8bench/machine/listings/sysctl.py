"""The text of macOS's sysctl, Apple or Intel, whole or in part, becomes a `Hardware`. Pure: text in, value out."""

from collections import Counter
from dataclasses import replace

from int8bench.errors import RecordError
from int8bench.machine import hypervisors
from int8bench.machine.hardware import Gap, Hardware
from int8bench.machine.levels import ARM, X86, canonical_arch, canonical_flags, family_flags
from int8bench.machine.listings import topology
from int8bench.machine.listings.reading import Instructions, Listing, read_lines, together

_PREFIXES = ("hw.", "machdep.")
_LEAF_1 = "machdep.cpu.features"
_LEAF_7 = "machdep.cpu.leaf7_features"
_EXTENDED = "machdep.cpu.extfeatures"
_INTEL_LISTS = (_LEAF_1, _LEAF_7, _EXTENDED)
_OF_LEAF_1 = frozenset({"sse4_1", "sse4_2", "avx", "fma"})
_OPTIONAL = "hw.optional."
_ARM_OPTIONAL = "hw.optional.arm."
# The keys that tell what decides a level; the flag stands under its name in the kernel's spelling.
_TOLD_BY = {
    "asimddp": "hw.optional.arm.feat_dotprod",
    "i8mm": "hw.optional.arm.feat_i8mm",
    "bf16": "hw.optional.arm.feat_bf16",
}
# macOS 11 lists no FEAT_*; Apple's first core with these, as LLVM's AArch64 processors have it, is an ARMv8.4 one, and
# that version of the architecture includes the dot product.
_OF_ARMV8_4 = frozenset({"armv8_2_sha3", "armv8_2_sha512"})
_MACOS_11 = "hw.optional.amx_version"  # no other lists it, and of Apple's processors it runs on the M1 alone
_OF_NO_APPLE = frozenset({"sve", "sve2"})  # up to the M5: SME without SVE
_NOT_INTEL = ("arm", "neon", "asimd")
# mach/machine.h: CPU_TYPE_X86 with and without CPU_ARCH_ABI64, CPU_TYPE_ARM64
_CPU_TYPES = {7: "x86_64", 0x01000007: "x86_64", 0x0100000C: "arm64"}


def is_sysctl(text: str) -> bool:
    """Tell whether a text looks like a listing of macOS's sysctl."""
    return any(key.startswith(_PREFIXES) for key in read_lines(text).values)


def parse_sysctl(text: str, *, source: str) -> Hardware:
    """Return the machine that a sysctl listing describes; a part of one leaves untold what it does not list.

    Args:
        text: of sysctl.
        source: with which errors begin.

    Raises:
        RecordError: the listing does not tell the architecture.
    """
    listing = read_lines(text)
    arch = _arch(listing)
    if arch == "x86_64":
        return _with_instructions(_machine(listing, arch), _intel(listing))
    if arch == "arm64":
        return _with_instructions(_machine(listing, arch), _apple(listing))
    raise RecordError(
        f"{source}: a sysctl listing without the processor's instructions; expected machdep.cpu.features (Intel) "
        "or hw.optional (Apple); on the machine itself type: sysctl hw machdep.cpu"
    )


def _with_instructions(machine: Hardware, listed: Instructions) -> Hardware:
    untold = listed.untold & family_flags(machine.isa_family)
    guest = machine.hypervisor or (hypervisors.UNNAMED if "hypervisor" in listed.flags else None)
    gap = Gap.CUT if listed.cut is not None else Gap.LEFT_OUT if untold or not listed.flags else None
    return replace(machine, flags=listed.flags, untold=untold, gap=gap, hypervisor=guest)


def _machine(listing: Listing, arch: str) -> Hardware:
    brand = listing.name("machdep.cpu.brand_string")
    vendor = "Apple" if (brand or "").startswith("Apple") else listing.name("machdep.cpu.vendor")
    cores = listing.number("hw.logicalcpu") or listing.number("hw.ncpu") or listing.number("machdep.cpu.thread_count")
    return Hardware(
        arch=arch,
        vendor=vendor,
        brand=brand,
        family=listing.number("machdep.cpu.family"),
        model=listing.number("machdep.cpu.model"),
        stepping=listing.number("machdep.cpu.stepping"),
        os="Darwin",
        logical_cores=cores or None,
        physical_cores=listing.number("hw.physicalcpu") or listing.number("machdep.cpu.core_count") or None,
        core_kinds=topology.kinds_by_name(_levels_of_performance(listing)),
        hypervisor=hypervisors.UNNAMED if listing.switch("kern.hv_vmm_present") else None,
        emulated=_translation(listing, arch, brand),
        l1d_bytes=listing.number("hw.l1dcachesize"),
        l2_bytes=listing.number("hw.l2cachesize"),
        l3_bytes=listing.number("hw.l3cachesize"),
        memory_bytes=listing.number("hw.memsize"),
    )


def _levels_of_performance(listing: Listing) -> Counter[str]:
    """Return the cores of each of Apple's performance levels, under its name where macOS tells it (since 13)."""
    counts = Counter[str]()
    for number, usual in enumerate(("Performance", "Efficiency")):
        name = listing.name(f"hw.perflevel{number}.name") or usual
        count = listing.number(f"hw.perflevel{number}.physicalcpu")
        if count:
            counts[name] += count
    return counts


def _translation(listing: Listing, arch: str, brand: str | None) -> str | None:
    """Rosetta 2 where an Apple processor shows itself as an Intel one."""
    apple = (brand or "").startswith("Apple") or listing.switch("hw.optional.arm64")
    if listing.switch("sysctl.proc_translated") or (apple and arch == "x86_64"):
        return hypervisors.ROSETTA
    return hypervisors.emulation((brand,))


def _arch(listing: Listing) -> str | None:
    """Return what a program on the machine sees: x86_64 under Rosetta as well."""
    if any(listing.words(key) for key in _INTEL_LISTS) or listing.switch("hw.optional.x86_64"):
        return "x86_64"
    arch = _CPU_TYPES.get(listing.number("hw.cputype") or 0)
    if arch is None and (machine := listing.first("hw.machine")):
        arch = canonical_arch(machine)
    brand = listing.name("machdep.cpu.brand_string") or ""
    if arch is None and brand.startswith("Intel"):
        return "x86_64"
    return arch or ("arm64" if brand.startswith("Apple") or listing.switch("hw.optional.arm64") else None)


def _intel(listing: Listing) -> Instructions:
    """Return the flags of the lists and switches; untold where neither is there, or a list is cut.

    A processor without leaf 7 has no list of it between the other two.
    """
    lists = [together(listing.lists[key]) for key in _INTEL_LISTS if key in listing.lists]
    switched = frozenset(flag for flag in _switched(listing, _OPTIONAL, on=True) if not flag.startswith(_NOT_INTEL))
    flags = switched.union(*(each.flags for each in lists))  # Rosetta lists both kinds
    untold = frozenset[str]().union(*(each.untold for each in lists))
    if _LEAF_1 not in listing.lists:
        untold |= _OF_LEAF_1
    if _LEAF_7 not in listing.lists and not {_LEAF_1, _EXTENDED} <= set(listing.lists):
        untold |= family_flags(X86) - _OF_LEAF_1
    return Instructions(
        flags=flags,
        untold=untold - flags - _switched(listing, _OPTIONAL, on=False),
        cut=next((each.cut for each in lists if each.cut is not None), None),
    )


def _apple(listing: Listing) -> Instructions:
    """Return the features switched on, and AdvSIMD, since the 64-bit ARM calling convention is built on it."""
    optional = any(key.startswith(_OPTIONAL) for key in listing.values)
    listed = _switched(listing, _ARM_OPTIONAL, on=True) | _switched(listing, _OPTIONAL, on=True) | {"asimd"}
    off = {flag for flag, key in _TOLD_BY.items() if listing.switch(key) is False}
    if listed & _OF_ARMV8_4 and "asimddp" not in off:
        listed |= {"asimddp"}
    if _MACOS_11 in listing.values:
        off |= {"i8mm", "bf16"}
    absent = {"neon"} | off | (_OF_NO_APPLE if optional else set())
    return Instructions(flags=listed, untold=family_flags(ARM) - listed - absent, cut=None)


def _switched(listing: Listing, prefix: str, *, on: bool) -> frozenset[str]:
    """Return the names right under a prefix that are on or off, in the kernel's spelling."""
    names = (key.removeprefix(prefix) for key in listing.values if key.startswith(prefix) and listing.switch(key) is on)
    return canonical_flags(name for name in names if "." not in name)
