"""Listings as people paste them: broken, in part, of guests, of cores of two kinds, of processors without a name."""

import textwrap
from pathlib import Path

import pytest

from int8bench.errors import RecordError
from int8bench.machine import Gap, Hardware, Told, load, parse

LISTINGS = Path(__file__).parents[2] / "golden" / "listings"
KEPT = sorted(path.stem for path in LISTINGS.iterdir() if path.suffix == ".txt")

VNNI = ("sse4", "avx", "avx2", "fma", "avx512", "avx512_vnni")

# name: architecture, brand, levels, logical and physical cores
READ = {
    "cpu-type-kvm64": ("x86_64", "Common KVM processor", (), 8, 8),
    "cpuinfo-loongson-3a5000": ("loongarch64", "Loongson-3A5000-HV", (), 4, None),
    "hybrid-i7-1370p": (
        "x86_64",
        "13th Gen Intel(R) Core(TM) i7-1370P",
        ("sse4", "avx", "avx2", "fma", "avx_vnni"),
        20,
        14,
    ),
    "lscpu-loongson-3a5000": ("loongarch64", "Loongson-3A5000-HV", (), 4, 4),
    "nameless-lscpu-riscv64": ("riscv64", None, (), 64, 64),
    "prompt-m1-pro": ("arm64", "Apple M1 Pro Firestorm + Apple M1 Pro Icestorm", ("neon", "dotprod"), 8, None),
    "sysctl-machdep-m1": ("arm64", "Apple M1", ("neon",), 8, 8),
    "sysctl-optional-m1": ("arm64", None, ("neon", "dotprod"), None, None),
    "two-dies-magny-cours": ("x86_64", "AMD Engineering Sample", (), 48, 48),
    "wrapped-cpuinfo-zen4": ("x86_64", "AMD Ryzen 9 7950X 16-Core Processor", VNNI, 32, 16),
    "wrapped-lscpu-neoverse-n1": ("arm64", "Neoverse-N1", ("neon", "dotprod"), 4, None),
    "wrapped-lscpu-xeon-8255c": ("x86_64", "Intel(R) Xeon(R) Platinum 8255C CPU @ 2.50GHz", VNNI, 2, 2),
}
UNTOLD = {"sysctl-machdep-m1": ("dotprod", "i8mm", "sve", "sve2", "bf16")}


def parsed(text: str) -> Hardware:
    """The machine that a text describes."""
    return parse(text, source="pasted.txt")


def test_every_listing_has_its_row() -> None:
    """A listing without an expectation is not tested."""
    assert sorted(READ) == KEPT


@pytest.mark.parametrize("name", READ)
def test_a_pasted_listing_is_read(name: str) -> None:
    """Architecture, brand, levels and cores; and nothing is untold that the text tells."""
    machine = load(LISTINGS / f"{name}.txt")
    cores = (machine.logical_cores, machine.physical_cores)
    assert (machine.arch, machine.brand, machine.levels, *cores) == READ[name]
    assert machine.untold_levels == UNTOLD.get(name, ())


def test_each_instruction_is_there_not_there_or_untold() -> None:
    """In the JSON of doctor too; none on an architecture where int8 kernels know no levels."""
    machine = load(LISTINGS / "sysctl-machdep-m1.txt")
    untold = dict.fromkeys(UNTOLD["sysctl-machdep-m1"], "untold")
    assert machine.to_dict()["instructions"] == {"neon": "there", **untold}
    old = load(LISTINGS / "sysctl-optional-m1.txt").to_dict()["instructions"]
    assert old == {**dict.fromkeys(untold, "not there"), "neon": "there", "dotprod": "there"}
    assert load(LISTINGS / "nameless-lscpu-riscv64.txt").to_dict()["instructions"] == {}


def test_a_guest_is_seen_by_its_firmware() -> None:
    """Lscpu names it where the hypervisor has no name of its own."""
    assert load(LISTINGS / "wrapped-lscpu-xeon-8255c.txt").hypervisor == "KVM"


def test_two_kinds_of_cores_are_told_apart() -> None:
    """By threads on x86, by number on ARM, by level of performance on Apple's; one kind is none to speak of."""
    assert load(LISTINGS / "hybrid-i7-1370p.txt").core_kinds == ("6 with 2 threads", "8 with 1 thread")
    by_lscpu = "Architecture: x86_64\nCPU(s): 20\nThread(s) per core: 2\nCore(s) per socket: 14\nSocket(s): 1\n"
    assert parsed(f"{by_lscpu}Flags: fpu lm avx2\n").core_kinds == ("6 with 2 threads", "8 with 1 thread")
    m1 = load(LISTINGS / "prompt-m1-pro.txt")
    assert m1.core_kinds == ("6 Apple M1 Pro Firestorm", "2 Apple M1 Pro Icestorm")
    m4 = load(LISTINGS.parent / "hardware" / "darwin-sequoia-m4")
    assert m4.core_kinds == ("12 Performance", "4 Efficiency")
    ultra = load(LISTINGS.parent / "hardware" / "linux-ubuntu24.04-alderlake")
    assert ultra.core_kinds == ("performance", "efficiency")
    for name in ("two-dies-magny-cours", "wrapped-cpuinfo-zen4", "cpu-type-kvm64"):
        assert load(LISTINGS / f"{name}.txt").core_kinds == ()


@pytest.mark.parametrize(
    ("threads", "cores", "hypervisor"), [(15, 8, ""), (16, 8, ""), (8, 8, ""), (20, 14, " hypervisor")]
)
def test_a_thread_that_is_off_and_a_guest_are_no_second_kind(threads: int, cores: int, hypervisor: str) -> None:
    """Small cores come in clusters, and what a hypervisor counts is its choice."""
    machine = parsed(f"processor : 0\nsiblings : {threads}\ncpu cores : {cores}\nflags : fpu lm{hypervisor}\n")
    assert machine.core_kinds == ()


def test_lscpu_counts_the_cores_of_each_kind() -> None:
    """Each kind has a name, sockets and cores of its own; the list is the kernel's for all of them."""
    kinds = "".join(
        f"  Model name: {name}\n    Core(s) per socket: {count}\n    Socket(s): 1\n    Flags: fp asimd asimddp\n"
        for name, count in (("Cortex-A55", 4), ("Cortex-A76", 2))
    )
    machine = parsed(f"Architecture: aarch64\nCPU(s): 6\nVendor ID: ARM\n{kinds}")
    assert (machine.physical_cores, machine.core_kinds) == (6, ("4 Cortex-A55", "2 Cortex-A76"))


def test_dies_that_repeat_their_numbers_are_counted_where_a_socket_is_whole() -> None:
    """Half a socket, as a container shows it, has the cores that are listed."""
    block = "processor : {0}\nphysical id : 0\ncore id : {1}\nsiblings : 4\ncpu cores : 4\nflags : fpu lm\n"
    whole = "\n".join(block.format(number, number % 2) for number in range(4))
    half = "\n".join(block.format(number, number) for number in range(2))
    assert parsed(whole).physical_cores == 4
    assert parsed(half).physical_cores == 2


# Texts of each kind: architecture, brand, levels that are there, levels that are untold.
KINDS = {
    "LoongArch by its flags alone": (
        "CPU(s): 8\nFlags: cpucfg lam ual fpu lsx lasx crc32\n",
        ("loongarch64", None, (), ()),
    ),
    "LoongArch named by lscpu": (
        "Architecture: loongarch64\nModel name: Loongson-3C6000\nFlags: cpucfg lam fpu lsx\n",
        ("loongarch64", "Loongson-3C6000", (), ()),
    ),
    "a Loongson of MIPS": (
        "cpu model : ICT Loongson-3 V0.3\nisa : mips1 mips64r2\nprocessor : 0\n",
        ("mips64", "ICT Loongson-3 V0.3", (), ()),
    ),
    "WSL 1 before leaf 7": (
        "model name : Intel(R) Xeon(R) CPU E3-1280 v3\nflags : fpu lm sse4_1 sse4_2 fma aes xsave osxsave avx rdrand\n",
        (
            "x86_64",
            "Intel(R) Xeon(R) CPU E3-1280 v3",
            ("sse4", "avx", "fma"),
            ("avx2", "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"),
        ),
    ),
    "WSL 1 on ARM, which calls every core a Cortex-A57": (
        (
            "Architecture: aarch64\nModel name: Cortex-A57\nHypervisor vendor: Windows Subsystem for Linux\n"
            "Flags: fp asimd evtstrm aes pmull sha1 sha2 crc32\n"
        ),
        ("arm64", None, ("neon",), ("dotprod", "i8mm", "sve", "sve2", "bf16")),
    ),
    "Docker on an M4, where SVE2 is there in streaming mode alone": (
        "Features : fp asimd asimddp sve2 svei8mm bf16 sme\nCPU implementer : 0x61\nCPU part : 0x000\n",
        ("arm64", None, ("neon", "dotprod", "bf16"), ()),
    ),
    "POWER by lscpu": (
        "Architecture: ppc64le\nModel name: POWER9 (architected)\n",
        ("ppc64le", "POWER9 (architected)", (), ()),
    ),
    "lscpu of a 32-bit system on a 64-bit processor": (
        "Architecture: i686\nModel name: X\nFlags: fpu lm avx2\n",
        ("i686", "X", ("avx2",), ()),
    ),
    "lscpu cut before its flags": (
        "Architecture: x86_64\nModel name: Xeon\n",
        (
            "x86_64",
            "Xeon",
            (),
            ("sse4", "avx", "avx2", "fma", "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"),
        ),
    ),
    "a translated lscpu": (
        "Architektur\uff1a x86_64\nMarkierungen: fpu vme de pse tsc lm avx avx2\n",
        ("x86_64", None, ("avx", "avx2"), ()),
    ),
    "abridged by hand": (
        "model name : X\nflags : fpu lm ... avx2\nbugs :\n",
        ("x86_64", "X", ("avx2",), ("sse4", "avx", "fma", "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16")),
    ),
    "quoted, in a code block": (
        "> ```\n> Architecture: x86_64\n> Model name: X\n> Flags: fpu lm avx2\n> ```\n",
        ("x86_64", "X", ("avx2",), ()),
    ),
    "an Intel Mac in part": (
        "machdep.cpu.brand_string: Intel(R) Core(TM) i7\nmachdep.cpu.features: FPU SSE4.1 SSE4.2 AVX1.0\n",
        (
            "x86_64",
            "Intel(R) Core(TM) i7",
            ("sse4", "avx"),
            ("avx2", "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"),
        ),
    ),
    "an Intel Mac by its brand": (
        "machdep.cpu.brand_string: Intel(R) Core(TM) i7\nmachdep.cpu.core_count: 4\n",
        (
            "x86_64",
            "Intel(R) Core(TM) i7",
            (),
            ("sse4", "avx", "avx2", "fma", "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16"),
        ),
    ),
    "an Intel Mac by its switches": (
        (
            "hw.optional.x86_64: 1\nhw.optional.avx1_0: 1\nhw.optional.avx2_0: 0\nhw.optional.fma: 0\n"
            "hw.optional.sse4_1: 1\nhw.optional.sse4_2: 1\nhw.optional.avx512f: 0\n"
        ),
        ("x86_64", None, ("sse4", "avx"), ("avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16")),
    ),
    "an Apple machine without a word on its instructions": (
        "hw.ncpu: 8\nhw.machine: arm64\n",
        ("arm64", None, ("neon",), ("dotprod", "i8mm", "sve", "sve2", "bf16")),
    ),
}


@pytest.mark.parametrize(("text", "expected"), KINDS.values(), ids=KINDS)
def test_a_kind_of_listing_is_read(text: str, expected: tuple[object, ...]) -> None:
    """What is there, and what is neither there nor not there."""
    machine = parsed(text)
    assert (machine.arch, machine.brand, machine.levels, machine.untold_levels) == expected


@pytest.mark.parametrize("brand", ["-", "unknown", "N/A", "0x5b7", "To Be Filled By O.E.M.", "Unknown CPU Type", ""])
def test_a_name_that_is_none_is_no_name(brand: str) -> None:
    """Lscpu writes - where it knows none, and firmware what its maker left."""
    assert parsed(f"Architecture: riscv64\nModel name: {brand}\n").brand is None


@pytest.mark.parametrize(
    "brand",
    [
        "Common KVM processor",
        "Common 32-bit KVM processor",
        "QEMU Virtual CPU version 2.5+",
        "QEMU TCG CPU version 2.5+",
        "kvm64",
        "qemu64",
        "Intel Xeon E312xx (Sandy Bridge, IBRS update)",
        "Intel Xeon Processor (Skylake, IBRS)",
        "Intel Core Processor (Haswell, no TSX)",
        "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
        "AMD Opteron 63xx class CPU",
        "AMD EPYC-Rome Processor",
        "AMD EPYC Processor (with IBPB)",
        "Virtual CPU 714389bda930",
        "Intel Xeon E3-12xx v2 (Ivy Bridge, IBRS)",
    ],
)
def test_a_cpu_type_is_no_processor(brand: str) -> None:
    """The name is the hypervisor's, whether or not it admits itself."""
    machine = parsed(f"model name : {brand}\nflags : fpu lm\n")
    assert (machine.cpu_type, machine.hypervisor) == (brand, "unnamed")


@pytest.mark.parametrize(
    "brand",
    [
        "Intel(R) Xeon(R) Processor",
        "Intel(R) Xeon(R) Platinum 8259CL CPU @ 2.50GHz",
        "AMD EPYC 7B12",
        "AMD EPYC 9654 96-Core Processor",
        "Intel Xeon Processor E5",
    ],
)
def test_a_processor_is_no_cpu_type(brand: str) -> None:
    """A guest that is shown the real one has its name."""
    assert parsed(f"model name : {brand}\nflags : fpu lm hypervisor\n").cpu_type is None


def test_a_core_is_a_cpu_type_under_the_firmware_of_qemu_alone() -> None:
    """A Cortex-A57 can be one; a newer core is shown by -cpu host."""
    lscpu = "Architecture: aarch64\nBIOS Vendor ID: {0}\nModel name: {1}\nFlags: fp asimd\n"
    assert parsed(lscpu.format("QEMU", "Cortex-A57")).cpu_type == "Cortex-A57"
    assert parsed(lscpu.format("Marvell", "Cortex-A57")).cpu_type is None
    assert parsed(lscpu.format("QEMU", "Neoverse-N1")).cpu_type is None
    cpuinfo = "BogoMIPS : {0}\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd07\n"
    assert parsed(cpuinfo.format("125.00")).cpu_type == "ARM Cortex-A57"
    assert parsed(cpuinfo.format("38.40")).cpu_type is None
    played = parsed("Features : fp asimd\nCPU implementer : 0x00\nCPU part : 0x051\n")
    assert (played.cpu_type, played.emulated) == ("QEMU max", "QEMU TCG")


@pytest.mark.parametrize(
    ("listing", "hypervisor"),
    [
        ("Features : fp asimd\nCPU implementer : 0x61\nCPU part : 0x000\n", "Apple"),
        ("Features : fp asimd\nCPU implementer : 0x00\nCPU part : 0x000\n", "unnamed"),
        ("Architecture: aarch64\nVendor ID: 0x00\nModel: 0\nFlags: fp asimd\n", "unnamed"),
        ("Architecture: aarch64\nVendor ID: Apple\nModel name: -\nModel: 0\nFlags: fp asimd\n", "Apple"),
        ("Architecture: aarch64\nVendor ID: Apple\nModel name: Firestorm-M1\nModel: 0\nFlags: fp asimd\n", None),
        ("Architecture: aarch64\nVendor ID: ARM\nModel: 1\nModel name: Neoverse-N1\nFlags: fp asimd\n", None),
        ("Architecture: x86_64\nHypervisor vendor: Xen\nFlags: fpu lm\n", "Xen"),
        ("Architecture: x86_64\nBIOS Vendor ID: Intel(R) Corporation\nFlags: fpu lm\n", None),
    ],
)
def test_a_hypervisor_is_seen_by_what_it_leaves(listing: str, hypervisor: str | None) -> None:
    """Cores without a number, its own name, or its firmware's."""
    assert parsed(listing).hypervisor == hypervisor


def test_the_instructions_of_another_architecture_are_the_hosts() -> None:
    """A program for x86 under an emulator sees the list of the ARM beneath."""
    machine = parsed("Architecture: x86_64\nVendor ID: ARM\nFlags: fp asimd asimddp\n")
    assert (machine.arch, machine.emulated) == ("x86_64", "qemu-user (x86_64 program on arm64)")
    assert machine.tells("avx2") is Told.UNTOLD


@pytest.mark.parametrize(
    "text",
    [
        "processor : 0\nmodel name : Xeon\nflags : fpu vme de ps",
        "processor : 0\nFeatures : fp asim",
        "Architecture:   x86",
        "CPU Family : Loongson-64b",
        "ISA : loongarch32 loonga",
    ],
)
def test_a_text_cut_before_its_architecture_is_refused(text: str) -> None:
    """Nobody knows what it would be."""
    with pytest.raises(RecordError, match=r"pasted\.txt: (is cut within its list|describes no processor)"):
        parsed(text)


@pytest.mark.parametrize(
    ("listing", "gap"),
    [
        ("flags : fpu lm avx51", Gap.CUT),
        ("flags : fpu lm avx", Gap.CUT),
        ("flags : fpu lm avx51\nbugs :\n", Gap.CUT),
        ("flags : fpu lm avx2", None),
        ("flags : fpu lm avx\n", None),
        ("flags : fpu lm newer_than_this\n", None),
        ("flags : fpu lm\nflags : fpu l", Gap.CUT),
        ("flags : fpu lm foo\navx2 fma\n", Gap.BROKEN),
        ("flags : fpu lm foo \navx2 fma\n", None),
        ("flags : fpu lm movbe \n        p", Gap.CUT),
    ],
)
def test_a_list_that_is_not_whole_is_told(listing: str, gap: Gap | None) -> None:
    """At the end of a text a word may be the beginning of another; a line end or a space says that it is whole."""
    assert parsed(listing).gap is gap


def test_a_word_at_a_cut_is_neither_there_nor_not() -> None:
    """It may be avx, avx2 or avx512f."""
    machine = parsed("flags : fpu lm sse4_1 sse4_2 avx")
    assert machine.levels == ("sse4",)
    assert {machine.tells(level) for level in ("avx", "avx2", "avx512", "avx512_vnni")} == {Told.UNTOLD}


def test_a_cut_processor_takes_nothing_from_whole_ones() -> None:
    """Unless it already differs, when what comes behind the cut could be anything."""
    whole = "processor : {0}\nflags : fpu lm avx avx2\n"
    assert parsed(whole.format(0) + "processor : 1\nflags : fpu lm a").levels == ("avx", "avx2")
    other = parsed(whole.format(0) + "processor : 1\nflags : fpu lm f16c a")
    assert (other.tells("avx2"), other.tells("avx512")) == (Told.UNTOLD, Told.ABSENT)


@pytest.mark.parametrize(
    ("first", "second", "level", "told"),
    [
        ("flags : fpu lm avx", "2 fma", "avx2", Told.THERE),
        ("flags : fpu lm avx2", "fma", "avx2", Told.THERE),
        ("flags : fpu lm avx ", "fma", "fma", Told.THERE),
        ("Features : fp asimd sve", "bf16 sha3", "bf16", Told.ABSENT),
        ("flags : fpu lm newer", "fma", "fma", Told.UNTOLD),
        ("flags : fpu lm newer", " fma", "fma", Told.THERE),
        ("> flags : fpu lm avx", "> 2 fma", "avx2", Told.THERE),
        ("    Flags : fpu lm avx", "            2 fma", "avx2", Told.THERE),
    ],
)
def test_a_broken_line_is_joined_by_what_kernels_print(first: str, second: str, level: str, told: Told) -> None:
    """A word where the pieces make one, two where each is one, and untold where nobody can say."""
    assert parsed(f"{first}\n{second}\nbogomips : 1\n").tells(level) is told


@pytest.mark.parametrize("name", ["linux-rocky8.5-zen4", "linux-amazon-neoverse_v1", "darwin-mojave-haswell"])
@pytest.mark.parametrize("front", ["", "> "])
def test_a_listing_flowed_into_one_paragraph_is_read(name: str, front: str) -> None:
    """As where it was pasted as prose: keys stand within lines, and lists end in front of the next key."""
    text = (LISTINGS.parent / "hardware" / name).read_text()
    flowed = "\n".join(front + line for line in textwrap.wrap(" ".join(text.split()), 80))
    whole, machine = parsed(text), parsed(flowed)
    assert (machine.arch, machine.levels, machine.gap) == (whole.arch, whole.levels, None)
    assert (machine.brand, machine.logical_cores) == (whole.brand, whole.logical_cores)


def test_lines_that_end_at_one_edge_are_cut_there() -> None:
    """A viewer leaves out what does not fit; a single long line may be whole."""
    flags = "flags\t\t: fpu vme de pse tsc msr pae mce lm sse4_1 sse4_2 avx"
    bugs = "bugs\t\t: cpu_meltdown spectre_v1 spectre_v2 spec_store_bypass l1tf mds"
    assert parsed(f"{flags}\n{bugs[: len(flags)]}\n").gap is Gap.CUT
    assert parsed(f"{flags}\n{bugs}\n").gap is None


def test_a_list_cut_where_a_line_is_broken_inside_a_word_is_cut() -> None:
    """The last line is as long as those above, so the word may go on below: avx may be avx512f."""
    words = "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht lm"
    whole = f"flags  : {words} fma avx512f avx512_vnni"
    lines = [whole[start : start + 40] for start in range(0, len(whole), 40)]
    assert lines[2].endswith(" fma avx")
    cut = parsed("\n".join(lines[:3]) + "\n")
    assert (cut.gap, cut.tells("fma"), cut.tells("avx")) == (Gap.CUT, Told.THERE, Told.UNTOLD)
    assert parsed("\n".join(lines) + "\n").tells("avx") is Told.ABSENT


def test_what_stands_below_a_list_and_is_no_word_of_it_is_passed_over() -> None:
    """A prompt, a fence, a line of prose."""
    for below in ("[me@host ~]$", "```", "Thanks in advance", "---", "Why is there no fma on it?"):
        assert parsed(f"flags : fpu lm avx2\n{below}\n") == parsed("flags : fpu lm avx2\n")


def test_marks_of_code_are_no_part_of_a_word() -> None:
    """Where a whole listing or a value stands between two of them."""
    for mark in ("`", '"', "'"):
        pair = parsed(f"{mark}processor : 0\nflags : fpu lm avx2\n\nprocessor : 1\nflags : fpu lm avx2{mark}\n")
        assert (pair.levels, pair.logical_cores) == (("avx2",), 2)
        assert parsed(f"flags = {mark}fpu lm avx avx2{mark}\n").levels == ("avx", "avx2")


def test_the_colours_of_a_terminal_are_no_part_of_a_key() -> None:
    """As grep marks what it found."""
    assert parsed("\x1b[01;31m\x1b[Kflags\x1b[m\x1b[K\t\t: fpu lm avx avx2\n").levels == ("avx", "avx2")


@pytest.mark.parametrize("width", [48, 50, 55])
def test_a_name_that_is_broken_in_two_is_joined(width: int) -> None:
    """Lscpu's column leaves little room for it."""
    lscpu = f"  Model name:{' ' * 13}Intel(R) Xeon(R) Platinum 8255C CPU\n"
    broken = "\n".join(textwrap.wrap(lscpu, width))
    assert parsed(f"Architecture: x86_64\n{broken}\n").brand == "Intel(R) Xeon(R) Platinum 8255C CPU"


@pytest.mark.parametrize("prompt", ["[me@host ~]$ int8bench doctor --json", "me@host:~$ cat machine.json", "% cat it"])
def test_json_is_found_below_a_prompt(prompt: str) -> None:
    """Quoted, broken inside a word, and with the next prompt behind it."""
    machine = parsed('{"arch": "x86_64", "flags": ["avx2"]}')
    assert parsed(f'{prompt}\n{{"arch": "x86_64", "flags": ["avx2"]}}\n{prompt[:8]}') == machine
    assert parsed(f'> {prompt}\n> {{"arch": "x86_64", "fla\n> gs": ["avx2"]}}\n') == machine


def test_a_switch_that_is_cut_off_is_untold() -> None:
    """The key alone says nothing."""
    features = "".join(f"hw.optional.arm.FEAT_{name}: {value}\n" for name, value in (("DotProd", 1), ("BF16", 0)))
    machine = parsed(f"hw.optional.arm64: 1\n{features}hw.optional.arm.FEAT_I8MM:")
    told = {level: machine.tells(level) for level in ("dotprod", "bf16", "i8mm", "sve")}
    assert told == {"dotprod": Told.THERE, "bf16": Told.ABSENT, "i8mm": Told.UNTOLD, "sve": Told.ABSENT}


def test_a_gap_that_nobody_knows_is_refused() -> None:
    """In our own JSON."""
    with pytest.raises(RecordError, match="gap: expected one of cut, broken, wsl1, left out, got 'hole'"):
        parsed('{"arch": "x86_64", "gap": "hole"}')
