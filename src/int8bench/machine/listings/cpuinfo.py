"""The text of Linux's /proc/cpuinfo or lscpu, of any architecture, becomes a `Hardware`. Pure: text in, value out.

Every architecture has its own keys, kernels differ, and people cut and paste; so a line that says nothing here is
passed over, and only a text that names no processor at all, or none of its instructions, is refused.
"""

import re
from collections import Counter
from dataclasses import replace

from int8bench.errors import RecordError
from int8bench.machine import hypervisors
from int8bench.machine.hardware import Gap, Hardware
from int8bench.machine.levels import ARM, X86, canonical_arch, canonical_flags, family_flags, isa_family
from int8bench.machine.listings import arm, topology
from int8bench.machine.listings.reading import Instructions, Listing, read_lines, whole_number

_X86_MARKS = frozenset({"fpu", "tsc", "mmx", "sse", "sse2", "lm"})
_ARM_MARKS = frozenset({"asimd", "neon", "vfp", "vfpv3", "vfpv4", "half", "thumb", "fastmult"})
_APPLE = 0x61  # the implementer; lscpu knows the names of all its cores that Linux runs on
_ARM_64_BIT = 8  # "CPU architecture: 8"; a 32-bit kernel on such a core lists half, thumb and the like as well
_POWER_LITTLE_ENDIAN = 8  # POWER8 is the first that the distributions run as ppc64le
_ISA = re.compile(r"rv(?P<bits>32|64|128)(?P<letters>[a-z]*)(?P<rest>(?:_[a-z0-9]+)*)", re.IGNORECASE)
_POWER = re.compile(r"POWER(?P<generation>\d+)", re.IGNORECASE)
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
    ("isa", "loongarch32", "loongarch32"),
    ("isa", "mips64", "mips64"),
    ("isa", "mips", "mips"),
    ("cpu model", "mips", "mips"),
    ("cpu model", "loongson", "mips64"),
    ("cpu family", "loongson-64bit", "loongarch64"),
    ("flags", "cpucfg", "loongarch64"),
    ("features", "cpucfg", "loongarch64"),
    ("cpu", "sparc", "sparc64"),
    ("arch", "ia-64", "ia64"),
    ("cpu family", "pa-risc", "parisc"),
    ("cpu", "alpha", "alpha"),
)
_OF_THE_HOST = ["flags", "untold", "gap", "vendor", "brand", "family", "model", "stepping", "core_kinds", "cpu_type"]
_FIRMWARE_KEYS = ("bios vendor id", "bios model name", "dmi", "machine type")
_NAMED_FAMILIES = {X86, ARM, "ppc", "riscv", "loongarch", "mips", "s390", "sparc"}


def parse_cpuinfo(text: str, *, source: str) -> Hardware:
    """Return the machine that a text of /proc/cpuinfo or lscpu describes.

    Args:
        text: of /proc/cpuinfo or of lscpu.
        source: with which errors begin.

    Raises:
        RecordError: the text names no processor, or a processor without its instructions.
    """
    listing = read_lines(text)
    named = canonical_arch(listing.first("architecture") or "")
    arch = named if isa_family(named) in _NAMED_FAMILIES else None
    parsers = (_other, _x86, _s390, _arm, _riscv, _power)
    parsed = next((machine for parser in parsers if (machine := parser(listing, arch))), None)
    if parsed is not None:
        return parsed if arch is None else as_program(parsed, arch)
    if arch is not None:
        return _without_instructions(listing, arch)
    cut = next((each.cut for lists in listing.lists.values() for each in lists if each.cut), None)
    if cut is not None:
        raise RecordError(
            f"{source}: is cut within its list of instructions, at {cut!r}, and before what tells the architecture; "
            "copy the whole text: on the machine itself type: cat /proc/cpuinfo > machine.txt"
        )
    raise RecordError(
        f"{source}: describes no processor; expected the text of /proc/cpuinfo (Linux: with its flags, Features, isa "
        "or cpu line), of lscpu, of sysctl (macOS), or what int8bench doctor --json writes (Windows as well); "
        "on the machine itself type: cat /proc/cpuinfo > machine.txt"
    )


def as_program(machine: Hardware, arch: str) -> Hardware:
    """Return the machine as a program of an architecture sees it: itself, or an emulator without a list.

    Args:
        machine: as it was listed.
        arch: of the program, by its canonical name.
    """
    if isa_family(arch) == machine.isa_family:
        return replace(machine, arch=arch)
    nothing = Hardware(arch=arch)  # the list and the names are the host's; what the emulator offers nobody says
    return replace(
        machine,
        arch=arch,
        **{field: getattr(nothing, field) for field in _OF_THE_HOST},
        emulated=machine.emulated or f"qemu-user ({arch} program on {machine.arch})",
    )


def _without_instructions(listing: Listing, arch: str) -> Hardware:
    """Return the machine of a text that tells the architecture and no list of instructions."""
    machine = Hardware(
        arch=arch,
        vendor=listing.name("vendor id", "vendor_id"),
        brand=listing.name("model name"),
        gap=Gap.LEFT_OUT if isa_family(arch) in {X86, ARM} else None,
        hypervisor=_hypervisor(listing),
    )
    return _with_cores(listing, machine)


def _with_cores(listing: Listing, machine: Hardware) -> Hardware:
    """Return the machine, on Linux, with the cores that are listed."""
    logical, physical = topology.logical_cores(listing), topology.physical_cores(listing)
    return replace(machine, os="Linux", logical_cores=logical, physical_cores=physical)


def _x86(listing: Listing, arch: str | None) -> Hardware | None:
    listed = listing.instructions("flags", marks=_X86_MARKS)
    if listed is None:
        return None
    named = arch if isa_family(arch or "") == X86 else None
    width = named or ("x86_64" if "lm" in listed.flags else None if listed.untold else "i686")
    if width is None:
        return None  # cut before the flag that tells
    brand = listing.name("model name")
    vendor = listing.name("vendor_id", "vendor id")
    told = _hypervisor(listing)
    hypervisor = told or (hypervisors.UNNAMED if "hypervisor" in listed.flags else None)
    made_up = hypervisors.cpu_type(brand)
    return _with_instructions(
        listing,
        listed,
        Hardware(
            arch=width,
            vendor=vendor,
            brand=brand,
            family=listing.number("cpu family"),
            model=listing.number("model"),
            stepping=listing.number("stepping"),
            core_kinds=() if hypervisor else topology.kinds_of_cores(listing),
            hypervisor=hypervisor or (hypervisors.UNNAMED if made_up else None),
            cpu_type=made_up,
            emulated=hypervisors.emulation((vendor, brand)),
        ),
    )


def _arm(listing: Listing, arch: str | None) -> Hardware | None:
    listed = listing.instructions("features", "flags", marks=_ARM_MARKS)
    cores = _arm_cores(listing)
    if listed is None and not cores:
        return None
    named = _arm_names(listing, cores)
    brand = " + ".join(named) or listing.name("model name") or _arm_processor(listing)
    implementers = [implementer for implementer, _ in cores if implementer]
    firmware = " ".join(value for key in _FIRMWARE_KEYS for value in listing.names(key))
    named_type = hypervisors.cpu_type(brand, firmware=firmware, bogomips=listing.first("bogomips"))
    made_up = hypervisors.arm_cpu_type(cores) or named_type
    nameless_apple = listing.name("vendor id") == "Apple" and listing.first("model name") == "-"
    by_lscpu = (_APPLE if nameless_apple else listing.number("vendor id"), listing.number("model"))
    by_cores = hypervisors.arm_hypervisor((*cores, by_lscpu))
    machine = Hardware(
        arch=arch if arch and isa_family(arch) == ARM else _arm_width(listing, listed),
        vendor=arm.vendor_name(implementers[0]) if implementers else listing.name("vendor id"),
        brand=brand,
        core_kinds=topology.kinds_by_name(named),
        hypervisor=_hypervisor(listing) or by_cores or (hypervisors.UNNAMED if made_up else None),
        cpu_type=made_up,
        emulated=hypervisors.emulation((brand, made_up, listing.first("hardware"), listing.first("model"))),
    )
    if listed is None:
        return _with_cores(listing, replace(machine, gap=Gap.LEFT_OUT))
    return _with_instructions(listing, listed, machine)


def _with_instructions(listing: Listing, listed: Instructions, machine: Hardware) -> Hardware:
    """Return the machine with the instructions listed, and why some of them are untold."""
    machine, in_family = _with_cores(listing, machine), family_flags(machine.isa_family)
    if _is_wsl1(listing, listed):
        named = machine.brand if machine.isa_family == X86 else None  # on ARM the name is made up as well
        return replace(machine, brand=named, flags=listed.flags, untold=in_family - listed.flags, gap=Gap.WSL1)
    gap = Gap.CUT if listed.cut is not None else Gap.BROKEN if listed.untold & in_family else None
    return replace(machine, flags=listed.flags, untold=listed.untold & in_family, gap=gap)


def _is_wsl1(listing: Listing, listed: Instructions) -> bool:
    """Tell whether Windows plays the kernel: by its own word, or by osxsave, which Linux never lists."""
    return (listing.name("hypervisor vendor") or "").lower() == hypervisors.WSL1 or "osxsave" in listed.flags


def _hypervisor(listing: Listing) -> str | None:
    """Return the hypervisor that lscpu names, or the firmware that it names."""
    vendor = listing.name("hypervisor vendor")
    if vendor is not None:
        return None if vendor.lower() == hypervisors.WSL1 else vendor
    return hypervisors.by_firmware(value for key in _FIRMWARE_KEYS for value in listing.names(key))


def _arm_width(listing: Listing, listed: Instructions | None) -> str:
    if listed is not None:
        return "arm64" if "asimd" in listed.flags else "arm"
    return "arm64" if (listing.number("cpu architecture") or 0) >= _ARM_64_BIT else "arm"


def _arm_cores(listing: Listing) -> tuple[tuple[int | None, int | None], ...]:
    """Return the implementer and the part number of each core that is listed with both."""
    pairs = zip(listing.column("cpu implementer"), listing.column("cpu part"), strict=False)
    return tuple((whole_number(maker), whole_number(part)) for maker, part in pairs)


def _arm_names(listing: Listing, cores: tuple[tuple[int | None, int | None], ...]) -> Counter[str]:
    """Return the names of the cores with how many there are, biggest part number, and so the big ones, first."""
    numbered = [(part, maker) for maker, part in cores if maker is not None and part is not None]
    in_order = (arm.core_name(maker, part) for part, maker in sorted(numbered, reverse=True))
    names = Counter(name for name in in_order if name is not None)
    counted = zip(listing.names("model name"), listing.column("core(s) per socket"), strict=False)
    by_lscpu = Counter[str]()
    for name, count in counted:
        by_lscpu[name] += whole_number(count) or 0
    return names or by_lscpu


def _arm_processor(listing: Listing) -> str | None:
    """Return what kernels before 3.8 wrote where the number of the processor stands now."""
    words = [value for value in listing.column("processor") if not value.isdecimal()]
    return words[0] if words and words[0] else None


def _riscv(listing: Listing, _: str | None) -> Hardware | None:
    isa = _ISA.match(listing.first("isa", "hart isa") or "")
    if isa is None:
        return None
    letters = re.split(r"[zsx]", isa["letters"].lower(), maxsplit=1)[0]
    machine = Hardware(
        arch=f"riscv{isa['bits']}",
        vendor=_maker(listing.first("uarch")),
        brand=listing.name("model name", "uarch"),
        flags=canonical_flags([*letters, *isa["rest"].split("_")]),
        emulated=hypervisors.emulation((listing.first("model name"), listing.first("uarch"))),
    )
    return _with_cores(listing, machine)


def _maker(uarch: str | None) -> str | None:
    """Return the device tree's ``maker,core``; None where it has no such form."""
    maker, comma, _ = (uarch or "").partition(",")
    return maker if comma else None


def _power(listing: Listing, _: str | None) -> Hardware | None:
    cpu = listing.first("cpu") or ""
    power = _POWER.match(cpu)
    if power is None and not re.match(r"(ppc|cell|\d{3,4}[a-z]*,\s*altivec|e\d{3,4})", cpu.lower()):
        return None
    brand, _, extra = cpu.partition(",")
    wide = power is not None or brand.lower().startswith(("ppc9", "cell"))
    little = power is not None and int(power["generation"][:4]) >= _POWER_LITTLE_ENDIAN
    machine = listing.first("machine")
    emulator = hypervisors.emulation((machine,))
    return Hardware(
        arch="ppc64le" if little else "ppc64" if wide else "ppc",
        vendor="IBM" if power else None,
        brand=brand.strip(),
        os="Linux",
        flags=frozenset({"altivec"} if "altivec supported" in extra else ()),
        logical_cores=topology.logical_cores(listing),
        hypervisor=hypervisors.UNNAMED if emulator or (listing.first("platform") or "").lower() == "pseries" else None,
    )


def _s390(listing: Listing, _: str | None) -> Hardware | None:
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


def _other(listing: Listing, _: str | None) -> Hardware | None:
    for key, word, arch in _OTHER_ARCHS:
        if word in " ".join(listing.names(key)).lower():
            brand = listing.name("model name", "cpu model", "cpu", "family")
            flags = listing.words("features") | listing.words("ases implemented")
            emulated = hypervisors.emulation((brand, listing.first("system type")))
            return _with_cores(listing, Hardware(arch=arch, brand=brand, flags=flags, emulated=emulated))
    return None
