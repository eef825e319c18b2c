"""The text of Linux's /proc/cpuinfo, of any architecture, becomes a `Hardware`. Pure: text in, value out.

Every architecture has its own keys, kernels differ, and people cut and paste; so a line that says nothing here is
passed over, and only a text that names no processor at all, or none of its instructions, is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from int8bench.errors import RecordError
from int8bench.hardware import arm
from int8bench.hardware.levels import canonical_flags
from int8bench.hardware.machine import Hardware

UNNAMED = "unnamed"  # a hypervisor that the listing admits and does not name

_X86_MARKS = frozenset({"fpu", "tsc", "mmx", "sse", "sse2", "lm"})
_ARM_MARKS = frozenset({"asimd", "neon", "vfp", "vfpv3", "vfpv4", "half", "thumb", "fastmult"})
_ARM_64_BIT = 8  # "CPU architecture: 8"; a 32-bit kernel on such a core lists half, thumb and the like as well
_POWER_LITTLE_ENDIAN = 8  # POWER8 is the first that the distributions run as ppc64le
_ISA = re.compile(r"rv(?P<bits>32|64|128)(?P<letters>[a-z]*)(?P<rest>(?:_[a-z0-9]+)*)", re.IGNORECASE)
_POWER = re.compile(r"POWER(?P<generation>\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|\d{1,18}", re.IGNORECASE)
_Z_MACHINES = {  # Linux's Documentation of s390: machine types
    "2827": "zEC12",
    "2828": "zBC12",
    "2964": "z13",
    "2965": "z13s",
    "3906": "z14",
    "3907": "z14 ZR1",
    "8561": "z15",
    "8562": "z15 T02",
    "3931": "z16",
    "3932": "z16 A02",
    "9175": "z17",
}
# Architectures without int8 engines in torch: told by a word in the values of these keys.
_OTHER_ARCHS = (
    ("isa", "loongarch64", "loongarch64"),
    ("cpu family", "loongson-64bit", "loongarch64"),
    ("model name", "loongson-3a5", "loongarch64"),
    ("isa", "mips64", "mips64"),
    ("isa", "mips", "mips"),
    ("cpu model", "mips", "mips"),
    ("cpu model", "loongson", "mips64"),
    ("cpu", "sparc", "sparc64"),
    ("arch", "ia-64", "ia64"),
    ("cpu family", "pa-risc", "parisc"),
    ("cpu", "alpha", "alpha"),
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Lines of ``key : value``; keys in lower case, each with its values in order."""

    values: dict[str, tuple[str, ...]]

    def first(self, *keys: str) -> str | None:
        """The first value that is not empty, of the first key that has one."""
        return next((value for key in keys for value in self.values.get(key, ()) if value), None)

    def number(self, key: str) -> int | None:
        """The first value of a key as a whole number, decimal or 0x; None where it is none."""
        return whole_number(self.first(key))

    def numbers(self, key: str) -> tuple[int, ...]:
        """The different whole numbers among a key's values, in order."""
        found = (whole_number(value) for value in self.values.get(key, ()))
        return tuple(dict.fromkeys(value for value in found if value is not None))

    def words(self, key: str) -> frozenset[str]:
        """The words that all values of a key have in common: what every core has."""
        lists = [canonical_flags(value.split()) for value in self.values.get(key, ()) if value]
        return frozenset.intersection(*lists) if lists else frozenset()


def read_lines(text: str) -> Listing:
    """The lines of a text that have the form ``key : value`` or ``key = value``."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, sign, value = line.partition(":")
        if not sign:
            key, sign, value = line.partition("=")
        if sign and key.strip():
            found.setdefault(key.strip().lower(), []).append(value.strip())
    return Listing({key: tuple(values) for key, values in found.items()})


def whole_number(text: str | None) -> int | None:
    """The number that a text starts with and is nothing but, decimal or 0x; else None."""
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    return int(text, 16 if text[:2].lower() == "0x" else 10)


def parse_cpuinfo(text: str, *, source: str) -> Hardware:
    """The machine that a /proc/cpuinfo text describes.

    Raises:
        RecordError: the text names no processor, or a processor without its instructions.
    """
    listing = read_lines(text)
    for parser in (_x86, _s390, _arm, _riscv, _power, _other):
        found = parser(listing)
        if found is not None:
            return found
    raise RecordError(
        f"{source}: describes no processor; expected the text of /proc/cpuinfo (Linux: with its flags, Features, isa "
        "or cpu line), of sysctl (macOS), or what int8bench doctor --json writes (Windows as well); "
        "on the machine itself type: cat /proc/cpuinfo > machine.txt"
    )


def _x86(listing: Listing) -> Hardware | None:
    flags = listing.words("flags")
    if flags.isdisjoint(_X86_MARKS):
        return None
    brand = listing.first("model name")
    vendor = listing.first("vendor_id", "vendor id")
    told = listing.first("hypervisor vendor")
    return Hardware(
        arch="x86_64" if "lm" in flags else "i686",
        vendor=vendor,
        brand=brand,
        family=listing.number("cpu family"),
        model=listing.number("model"),
        stepping=listing.number("stepping"),
        os="Linux",
        flags=flags,
        logical_cores=_logical_cores(listing),
        physical_cores=_physical_cores(listing),
        hypervisor=told or (UNNAMED if "hypervisor" in flags else None),
        emulated=emulation((vendor, brand)),
    )


def _arm(listing: Listing) -> Hardware | None:
    flags = listing.words("features") or listing.words("flags")
    implementers = listing.numbers("cpu implementer")
    if flags.isdisjoint(_ARM_MARKS) and not implementers:
        return None
    is_64_bit = "asimd" in flags or (not flags and (listing.number("cpu architecture") or 0) >= _ARM_64_BIT)
    brand = _arm_brand(listing)
    return Hardware(
        arch="arm64" if is_64_bit else "arm",
        vendor=arm.vendor_name(implementers[0]) if implementers else listing.first("vendor id"),
        brand=brand,
        os="Linux",
        flags=flags,
        logical_cores=_logical_cores(listing),
        emulated=emulation((brand, listing.first("hardware"), listing.first("model"))),
    )


def _arm_brand(listing: Listing) -> str | None:
    """The names of the different cores, biggest part number first: that is where a phone's big cores are."""
    pairs = zip(listing.values.get("cpu implementer", ()), listing.values.get("cpu part", ()), strict=False)
    numbers = {(whole_number(maker), whole_number(part)) for maker, part in pairs}
    known = [(part, arm.core_name(maker, part)) for maker, part in numbers if maker is not None and part is not None]
    names = [name for _, name in sorted(known, reverse=True, key=lambda each: each[0]) if name is not None]
    if names:
        return " + ".join(dict.fromkeys(names))
    words = [value for value in listing.values.get("processor", ()) if not value.isdecimal()]
    return listing.first("model name") or (words[0] if words and words[0] else None)


def _riscv(listing: Listing) -> Hardware | None:
    found = _ISA.match(listing.first("isa", "hart isa") or "")
    if found is None:
        return None
    letters = re.split(r"[zsx]", found["letters"].lower(), maxsplit=1)[0]
    return Hardware(
        arch=f"riscv{found['bits']}",
        vendor=_maker(listing.first("uarch")),
        brand=listing.first("model name", "uarch"),
        os="Linux",
        flags=canonical_flags([*letters, *found["rest"].split("_")]),
        logical_cores=_logical_cores(listing),
        emulated=emulation((listing.first("model name"), listing.first("uarch"))),
    )


def _maker(uarch: str | None) -> str | None:
    """The device tree's ``maker,core``; None where it has no such form."""
    maker, comma, _ = (uarch or "").partition(",")
    return maker if comma else None


def _power(listing: Listing) -> Hardware | None:
    cpu = listing.first("cpu") or ""
    power = _POWER.match(cpu)
    if power is None and not re.match(r"(ppc|cell|\d{3,4}[a-z]*,\s*altivec|e\d{3,4})", cpu.lower()):
        return None
    brand, _, extra = cpu.partition(",")
    wide = power is not None or brand.lower().startswith(("ppc9", "cell"))
    little = power is not None and int(power["generation"][:4]) >= _POWER_LITTLE_ENDIAN
    machine = listing.first("machine")
    emulator = emulation((machine,))
    return Hardware(
        arch="ppc64le" if little else "ppc64" if wide else "ppc",
        vendor="IBM" if power else None,
        brand=brand.strip(),
        os="Linux",
        flags=frozenset({"altivec"} if "altivec supported" in extra else ()),
        logical_cores=_logical_cores(listing),
        hypervisor=UNNAMED if emulator or (listing.first("platform") or "").lower() == "pseries" else None,
    )


def _s390(listing: Listing) -> Hardware | None:
    if listing.first("vendor_id") != "IBM/S390":
        return None
    summaries = " ".join(value for key, values in listing.values.items() if key.startswith("proc") for value in values)
    machine = re.search(r"machine\s*=\s*(?P<type>\w+)", summaries)
    kind = machine["type"] if machine else listing.first("machine") or ""
    name = _Z_MACHINES.get(kind) or (f"machine {kind}" if kind else None)
    return Hardware(
        arch="s390x",
        vendor="IBM",
        brand=f"IBM {name}" if name else None,
        os="Linux",
        flags=listing.words("features"),
        logical_cores=listing.number("# processors"),
    )


def _other(listing: Listing) -> Hardware | None:
    for key, word, arch in _OTHER_ARCHS:
        if word in " ".join(listing.values.get(key, ())).lower():
            brand = listing.first("model name", "cpu model", "cpu", "family")
            return Hardware(
                arch=arch,
                brand=brand,
                os="Linux",
                flags=listing.words("features") | listing.words("ases implemented"),
                logical_cores=_logical_cores(listing),
                emulated=emulation((brand, listing.first("system type"))),
            )
    return None


def emulation(names: Iterable[str | None]) -> str | None:
    """The emulator that a processor's names give away, else None."""
    text = " ".join(name for name in names if name).lower()
    if "virtualapple" in text:
        return "Rosetta 2"
    if "tcgtcg" in text or "qemu tcg" in text:
        return "QEMU TCG"
    return "QEMU virtual CPU" if "qemu" in text else None


def _logical_cores(listing: Listing) -> int | None:
    """The processors listed; of an excerpt with one block, the siblings of its socket; what lscpu counts, or None."""
    listed = sum(value.isdecimal() for value in listing.values.get("processor", ()))
    if listed > 1:
        return listed
    return listing.number("siblings") or listing.number("cpu(s)") or None


def _physical_cores(listing: Listing) -> int | None:
    """Different cores of different sockets; of an excerpt with one block, the cores of its socket, or None."""
    cores = zip(listing.values.get("physical id", ()), listing.values.get("core id", ()), strict=False)
    several = len(listing.values.get("processor", ())) > 1
    return (len(set(cores)) if several else listing.number("cpu cores")) or None
