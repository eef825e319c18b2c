"""The text of macOS's sysctl, Apple or Intel, becomes a `Hardware`. Pure: text in, value out."""

from int8bench.errors import RecordError
from int8bench.hardware.levels import canonical_arch, canonical_flags
from int8bench.hardware.listings import UNNAMED, Listing, emulation, read_lines
from int8bench.hardware.machine import Hardware

ROSETTA = "Rosetta 2"

_PREFIXES = ("hw.", "machdep.")
_INTEL_LISTS = ("machdep.cpu.features", "machdep.cpu.leaf7_features", "machdep.cpu.extfeatures")
_OPTIONAL = "hw.optional."
_ARM_OPTIONAL = "hw.optional.arm."
_DOT_PRODUCT = "hw.optional.arm.feat_dotprod"
# macOS 11 lists no FEAT_*; Apple's first core with these, as LLVM's AArch64 processors have it, is an ARMv8.4 one, and
# that version of the architecture includes the dot product.
_OF_ARMV8_4 = frozenset({"armv8_2_sha3", "armv8_2_sha512"})
_NOT_INTEL = ("arm", "neon", "asimd")
# mach/machine.h: CPU_TYPE_X86 with and without CPU_ARCH_ABI64, CPU_TYPE_ARM64
_CPU_TYPES = {7: "x86_64", 0x01000007: "x86_64", 0x0100000C: "arm64"}


def is_sysctl(text: str) -> bool:
    """Whether a text looks like a listing of macOS's sysctl."""
    return any(key.startswith(_PREFIXES) for key in read_lines(text).values)


def parse_sysctl(text: str, *, source: str) -> Hardware:
    """The machine that a sysctl listing describes.

    Raises:
        RecordError: the listing does not tell the processor's instructions.
    """
    listing = read_lines(text)
    arch = _arch(listing)
    flags = _intel_flags(listing) if arch == "x86_64" else _arm_flags(listing)
    if arch is None or not flags:
        raise RecordError(
            f"{source}: a sysctl listing without the processor's instructions; expected machdep.cpu.features (Intel) "
            "or hw.optional (Apple); on the machine itself type: sysctl hw machdep.cpu"
        )
    return _hardware(listing, arch=arch, flags=flags)


def _hardware(listing: Listing, *, arch: str, flags: frozenset[str]) -> Hardware:
    brand = listing.first("machdep.cpu.brand_string")
    guest = "hypervisor" in flags or listing.number("kern.hv_vmm_present") == 1
    vendor = "Apple" if (brand or "").startswith("Apple") else listing.first("machdep.cpu.vendor")
    cores = listing.number("hw.logicalcpu") or listing.number("hw.ncpu") or listing.number("machdep.cpu.thread_count")
    return Hardware(
        arch=arch,
        vendor=vendor,
        brand=brand,
        family=listing.number("machdep.cpu.family"),
        model=listing.number("machdep.cpu.model"),
        stepping=listing.number("machdep.cpu.stepping"),
        os="Darwin",
        flags=flags,
        logical_cores=cores or None,
        physical_cores=listing.number("hw.physicalcpu") or listing.number("machdep.cpu.core_count") or None,
        hypervisor=UNNAMED if guest else None,
        emulated=_translation(listing, arch, brand),
        l1d_bytes=listing.number("hw.l1dcachesize"),
        l2_bytes=listing.number("hw.l2cachesize"),
        l3_bytes=listing.number("hw.l3cachesize"),
        memory_bytes=listing.number("hw.memsize"),
    )


def _translation(listing: Listing, arch: str, brand: str | None) -> str | None:
    """Rosetta 2 where an Apple processor shows itself as an Intel one."""
    apple = (brand or "").startswith("Apple") or listing.number("hw.optional.arm64") == 1
    if listing.number("sysctl.proc_translated") == 1 or (apple and arch == "x86_64"):
        return ROSETTA
    return emulation((brand,))


def _arch(listing: Listing) -> str | None:
    """What a program on the machine sees: x86_64 under Rosetta as well."""
    if any(listing.first(key) for key in _INTEL_LISTS) or listing.number("hw.optional.x86_64") == 1:
        return "x86_64"
    told = _CPU_TYPES.get(listing.number("hw.cputype") or 0)
    if told is None and (machine := listing.first("hw.machine")):
        told = canonical_arch(machine)
    apple = (listing.first("machdep.cpu.brand_string") or "").startswith("Apple")
    return told or ("arm64" if apple or listing.number("hw.optional.arm64") == 1 else None)


def _intel_flags(listing: Listing) -> frozenset[str]:
    listed = frozenset[str]().union(*(listing.words(key) for key in _INTEL_LISTS))
    switched = _switched_on(listing, _OPTIONAL)
    return listed | {flag for flag in switched if not flag.startswith(_NOT_INTEL)}  # Rosetta lists both kinds


def _arm_flags(listing: Listing) -> frozenset[str]:
    """The features switched on; AdvSIMD always, since the 64-bit ARM calling convention is built on it."""
    listed = _switched_on(listing, _ARM_OPTIONAL) | _switched_on(listing, _OPTIONAL) | {"asimd"}
    implied = listed & _OF_ARMV8_4 and listing.first(_DOT_PRODUCT) is None
    return listed | {"asimddp"} if implied else listed


def _switched_on(listing: Listing, prefix: str) -> frozenset[str]:
    """The names right under a prefix whose value is 1, in the kernel's spelling."""
    names = (key.removeprefix(prefix) for key in listing.values if key.startswith(prefix) and listing.number(key) == 1)
    return canonical_flags(name for name in names if "." not in name)
