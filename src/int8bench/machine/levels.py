"""Instruction flags under one spelling, and the ISA levels that they add up to. Pure: no files, no machine.

The spelling is the Linux kernel's (arch/x86/include/asm/cpufeatures.h, arch/arm64/kernel/cpuinfo.c); what macOS,
py-cpuinfo and torch call the same things is translated at the door.
"""

from collections.abc import Collection, Iterable
from enum import StrEnum

UNKNOWN = "unknown"
X86 = "x86"
ARM = "arm"

_ARCH_NAMES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "x86-64": "x86_64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "x86": "i686",
    "aarch64": "arm64",
    "arm64e": "arm64",
    "aarch64_be": "arm64",
    "ppc64el": "ppc64le",
    "powerpc64le": "ppc64le",
    "powerpc64": "ppc64",
    "power macintosh": "ppc",
}
_FAMILIES = ("arm", "ppc", "riscv", "loongarch", "mips", "s390", "sparc")

_SPELLINGS = {
    # macOS on Intel: machdep.cpu.*features and hw.optional.*
    "avx1_0": "avx",
    "avx2_0": "avx2",
    "sse3": "pni",
    "supplementalsse3": "ssse3",
    "em64t": "lm",
    "xd": "nx",
    "htt": "ht",
    "clfsh": "clflush",
    "lahf": "lahf_lm",
    "vmm": "hypervisor",
    # py-cpuinfo, from CPUID
    "avx512vnni": "avx512_vnni",
    "avx512vbmi2": "avx512_vbmi2",
    "avx512bitalg": "avx512_bitalg",
    "avx512vpopcntdq": "avx512_vpopcntdq",
    "avx512bf16": "avx512_bf16",
    "avx512fp16": "avx512_fp16",
    "avxvnni": "avx_vnni",
    "amxtile": "amx_tile",
    "amxint8": "amx_int8",
    "amxbf16": "amx_bf16",
    "sha": "sha_ni",
    "rdrnd": "rdrand",
    "tscdeadline": "tsc_deadline_timer",
    # torch.cpu.get_capabilities
    "avx512_f": "avx512f",
    "avx512_bw": "avx512bw",
    "avx512_cd": "avx512cd",
    "avx512_dq": "avx512dq",
    "avx512_vl": "avx512vl",
    "avx512_ifma": "avx512ifma",
    "avx512_vbmi": "avx512vbmi",
    "fma3": "fma",
    "bmi": "bmi1",
    "lzcnt": "abm",
    "dot": "asimddp",
    # macOS on ARM: hw.optional.arm.*
    "advsimd": "asimd",
    "feat_dotprod": "asimddp",
    "feat_i8mm": "i8mm",
    "feat_bf16": "bf16",
    "feat_fp16": "asimdhp",
    "feat_fhm": "asimdfhm",
    "feat_rdm": "asimdrdm",
    "feat_lse": "atomics",
    "feat_sve": "sve",
    "feat_sve2": "sve2",
    "feat_sme": "sme",
    "feat_sme2": "sme2",
}

# Level -> the flags that must all be there. Several rows may give one level. The 512-bit level is the subset that
# oneDNN, fbgemm and ATen all ask for before they use it, so a Xeon Phi (f and cd alone) does not have it.
_X86_LEVELS = (
    ("sse4", {"sse4_1", "sse4_2"}),
    ("avx", {"avx"}),
    ("avx2", {"avx2"}),
    ("fma", {"fma"}),
    ("avx512", {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"}),
    ("avx_vnni", {"avx_vnni"}),
    ("avx512_vnni", {"avx512_vnni"}),
    ("amx_int8", {"amx_tile", "amx_int8"}),
    ("amx_bf16", {"amx_tile", "amx_bf16"}),
)
_ARM_LEVELS = (
    ("neon", {"asimd"}),
    ("neon", {"neon"}),
    ("dotprod", {"asimddp"}),
    ("i8mm", {"i8mm"}),
    ("sve", {"sve"}),
    ("sve2", {"sve", "sve2"}),  # Linux on Apple's M4 lists sve2 without sve: it is there in streaming mode alone
    ("bf16", {"bf16"}),
)
_TABLES = {X86: _X86_LEVELS, ARM: _ARM_LEVELS}

DECIDING_FLAGS = frozenset(flag for table in _TABLES.values() for _, flags in table for flag in flags)


def family_flags(family: str) -> frozenset[str]:
    """Return the flags that decide a level of an architecture's family; none where int8 kernels know no levels."""
    return frozenset(flag for _, flags in _TABLES.get(family, ()) for flag in flags)


def canonical_arch(name: str) -> str:
    """Return the one name of an architecture: ``AMD64`` is x86_64, ``aarch64`` is arm64, ``armv7l`` is arm."""
    lowered = name.strip().lower()
    if lowered in _ARCH_NAMES:
        return _ARCH_NAMES[lowered]
    if lowered.startswith("armv"):
        return "arm"  # armv8l is a 32-bit program on a 64-bit core
    return lowered or UNKNOWN


def isa_family(arch: str) -> str:
    """Return the family that shares instructions: x86 for x86_64 and i686, arm for arm64 and arm."""
    if arch in {"x86_64", "i686"}:
        return X86
    return next((family for family in _FAMILIES if arch.startswith(family)), arch)


def canonical_flag(name: str) -> str:
    """Return the kernel's spelling of a flag: ``AVX1.0`` is avx, ``FEAT_DotProd`` is asimddp."""
    plain = name.strip().lower().replace(".", "_").replace("-", "_")
    return _SPELLINGS.get(plain, plain)


def canonical_flags(names: Iterable[str]) -> frozenset[str]:
    """Return the flags under the kernel's spelling, without empty ones."""
    return frozenset(flag for flag in map(canonical_flag, names) if flag)


def levels_of(arch: str, flags: frozenset[str]) -> tuple[str, ...]:
    """Return the ISA levels that the flags add up to, weakest first; none where int8 kernels know no levels.

    Args:
        arch: by its canonical name.
        flags: under the kernel's spelling.
    """
    table = _TABLES.get(isa_family(arch), ())
    return tuple(dict.fromkeys(level for level, needed in table if needed <= flags))


def family_levels(family: str) -> tuple[str, ...]:
    """Return the ISA levels of an architecture's family, weakest first."""
    return tuple(dict.fromkeys(level for level, _ in _TABLES.get(family, ())))


class Told(StrEnum):
    """What a description says of an instruction."""

    THERE = "there"
    ABSENT = "not there"
    UNTOLD = "untold"


INT8_DOT_PRODUCTS = {X86: ("avx_vnni", "avx512_vnni", "amx_int8"), ARM: ("dotprod", "i8mm")}
"""The levels of a family that multiply int8 and add up in 32 bits, any of which is enough."""


def told_of_any(tellings: Collection[Told]) -> Told:
    """Return what is said of several instructions, any of which is enough."""
    return next((each for each in (Told.THERE, Told.UNTOLD) if each in tellings), Told.ABSENT)


def told_flag(flag: str, flags: frozenset[str], untold: frozenset[str]) -> Told:
    """Return what is said of one flag, by the flags that are there and those that are untold.

    Args:
        flag: under the kernel's spelling.
        flags: of the processor.
        untold: flags of which nothing is known.
    """
    return Told.THERE if flag in flags else Told.UNTOLD if flag in untold else Told.ABSENT


def told_level(arch: str, level: str, flags: frozenset[str], untold: frozenset[str]) -> Told:
    """Return what is said of an ISA level: untold where flags that are untold could make it up.

    Args:
        arch: by its canonical name.
        level: of its family.
        flags: of the processor.
        untold: flags of which nothing is known.
    """
    if level in levels_of(arch, flags):
        return Told.THERE
    return Told.UNTOLD if level in levels_of(arch, flags | untold) else Told.ABSENT
