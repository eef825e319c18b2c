"""Machines as values: what their recorded descriptions say, and what is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.errors import RecordError
from int8bench.machine import Hardware, TorchView, fingerprint, load, parse
from int8bench.machine.listings import files

GOLDEN = Path(__file__).parents[1] / "golden" / "hardware"
RECORDED = sorted(path.name for path in GOLDEN.iterdir() if path.name != "README.md")

AVX2 = ("sse4", "avx", "avx2", "fma")
AMX = (*AVX2, "avx512", "avx_vnni", "avx512_vnni", "amx_int8", "amx_bf16")

# name: architecture, vendor, brand, levels, logical and physical cores
MACHINES = {
    "bgq-rhel6-power7": ("ppc64", "IBM", "POWER7 (architected)", (), None, None),
    "darwin-bigsur-m1": ("arm64", "Apple", "Apple processor", ("neon", "dotprod"), 8, 8),
    "darwin-mojave-haswell": (
        "x86_64",
        "GenuineIntel",
        "Intel(R) Core(TM) i7-4980HQ CPU @ 2.80GHz",
        AVX2,
        None,
        None,
    ),
    "darwin-monterey-m1": ("arm64", "Apple", "Apple M1 Pro", ("neon", "dotprod"), 8, 8),
    "darwin-sequoia-m4": ("arm64", "Apple", "Apple M4 Max", ("neon", "dotprod", "i8mm", "bf16"), 16, 16),
    "linux-amazon-cortex_a72": ("arm64", "ARM", "ARM Cortex-A72", ("neon",), None, None),
    "linux-amazon-neoverse_v1": (
        "arm64",
        "ARM",
        "ARM Neoverse V1",
        ("neon", "dotprod", "i8mm", "sve", "bf16"),
        None,
        None,
    ),
    "linux-centos7-cascadelake": (
        "x86_64",
        "GenuineIntel",
        "Intel(R) Xeon(R) Platinum 8260M CPU @ 2.40GHz",
        (*AVX2, "avx512", "avx512_vnni"),
        48,
        24,
    ),
    "linux-kvm-intel-amx": ("x86_64", "GenuineIntel", "Intel(R) Xeon(R) Processor", AMX, 2, 2),
    "linux-kvm-intel-amx.torch.json": ("x86_64", None, "Intel Xeon", AMX, 2, 2),
    "linux-rhel6-piledriver": (
        "x86_64",
        "AuthenticAMD",
        "AMD FX(tm)-8350 Eight-Core Processor",
        ("sse4", "avx", "fma"),
        8,
        4,
    ),
    "linux-rhel7-haswell": ("x86_64", "GenuineIntel", "Intel(R) Xeon(R) CPU E5-2680 v3 @ 2.50GHz", AVX2, 12, 12),
    "linux-rhel7-ivybridge": (
        "x86_64",
        "GenuineIntel",
        "Intel(R) Xeon(R) CPU E5-2650 v2 @ 2.60GHz",
        ("sse4", "avx"),
        8,
        8,
    ),
    "linux-rhel7-skylake_avx512": (
        "x86_64",
        "GenuineIntel",
        "Intel(R) Xeon(R) Gold 6132 CPU @ 2.60GHz",
        (*AVX2, "avx512"),
        14,
        14,
    ),
    "linux-rocky8-a64fx": ("arm64", "Fujitsu", "Fujitsu A64FX", ("neon", "sve"), None, None),
    "linux-rocky8.5-zen4": (
        "x86_64",
        "AuthenticAMD",
        "AMD EPYC 9654 96-Core Processor",
        (*AVX2, "avx512", "avx512_vnni"),
        96,
        96,
    ),
    "linux-rocky9-zen5": (
        "x86_64",
        "AuthenticAMD",
        "AMD Ryzen 9 9950X 16-Core Processor",
        (*AVX2, "avx512", "avx_vnni", "avx512_vnni"),
        32,
        16,
    ),
    "linux-scientific7-k10": ("x86_64", "AuthenticAMD", "AMD Opteron(tm) Processor 6136", (), 8, 8),
    "linux-sifive-u74mc": ("riscv64", "sifive", "sifive,u74-mc", (), None, None),
    "linux-ubuntu20.04-zen3": ("x86_64", "AuthenticAMD", "AMD Ryzen 9 5950X 16-Core Processor", AVX2, 32, 16),
    "linux-ubuntu24.04-alderlake": (
        "x86_64",
        "GenuineIntel",
        "Intel(R) Core(TM) Ultra 9 285",
        (*AVX2, "avx_vnni"),
        24,
        24,
    ),
    "linux-ubuntu26.04-olympus": (
        "arm64",
        "NVIDIA",
        "NVIDIA Olympus",
        ("neon", "dotprod", "i8mm", "sve", "sve2", "bf16"),
        None,
        None,
    ),
    "linux-unknown-power10": ("ppc64le", "IBM", "POWER10", (), None, None),
    "linux-unknown-sapphirerapids": ("x86_64", "GenuineIntel", "Intel(R) Xeon(R) Platinum 8480+", AMX, 112, 56),
}

# Excerpts in the form that kernels print, for what the recordings do not hold.
EXCERPTS = {
    "Raspberry Pi 5, four processors": (
        "".join(
            f"processor\t: {n}\nBogoMIPS\t: 108.00\n"
            "Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
            "dcpop asimddp\n"
            "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n\n"
            for n in range(4)
        )
        + "Revision\t: c04170\nSerial\t\t: 0\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n",
        ("arm64", "ARM Cortex-A76", ("neon", "dotprod"), 4),
    ),
    "Raspberry Pi 4 with a 32-bit system": (
        (
            "processor\t: 0\nmodel name\t: ARMv7 Processor rev 3 (v7l)\n"
            "Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm crc32\n"
            "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n"
        ),
        ("arm", "ARM Cortex-A72", ("neon",), None),
    ),
    "Raspberry Pi Zero": (
        (
            "processor\t: 0\nmodel name\t: ARMv6-compatible processor rev 7 (v6l)\n"
            "Features\t: half thumb fastmult vfp edsp java tls\n"
            "CPU implementer\t: 0x41\nCPU architecture: 7\nCPU variant\t: 0x0\nCPU part\t: 0xb76\n\n"
            "Hardware\t: BCM2835\nModel\t\t: Raspberry Pi Zero W Rev 1.1\n"
        ),
        ("arm", "ARM1176", (), None),
    ),
    "AmpereOne": (
        "processor : 0\nFeatures : fp asimd asimddp i8mm bf16\nCPU implementer : 0xc0\nCPU part : 0xac3\n",
        ("arm64", "Ampere-1", ("neon", "dotprod", "i8mm", "bf16"), None),
    ),
    "a phone with big and little cores": (
        (
            "processor: 0\nFeatures: fp asimd asimddp\nCPU implementer: 0x41\nCPU part: 0xd05\n\n"
            "processor: 1\nFeatures: fp asimd asimddp i8mm\nCPU implementer: 0x41\nCPU part: 0xd44\n"
        ),
        ("arm64", "ARM Cortex-X1 + ARM Cortex-A55", ("neon", "dotprod"), 2),
    ),
    "Asahi Linux on an M1": (
        (
            "processor: 0\nFeatures: fp asimd asimddp\nCPU implementer: 0x61\nCPU part: 0x022\n\n"
            "processor: 1\nFeatures: fp asimd asimddp\nCPU implementer: 0x61\nCPU part: 0x023\n"
        ),
        ("arm64", "Apple M1 Firestorm + Apple M1 Icestorm", ("neon", "dotprod"), 2),
    ),
    "what lscpu says": (
        "Architecture: x86_64\nCPU(s): 8\nVendor ID: AuthenticAMD\nModel name: AMD Ryzen 7\nFlags: fpu lm avx avx2\n",
        ("x86_64", "AMD Ryzen 7", ("avx", "avx2"), 8),
    ),
    "two cores of one x86 that differ": (
        "processor : 0\nflags : fpu lm avx2 fma avx512f\n\nprocessor : 1\nflags : fpu lm avx2\n",
        ("x86_64", None, ("avx2",), 2),
    ),
    "MIPS": (
        (
            "system type\t\t: MediaTek MT7621 ver:1 eco:3\nprocessor\t\t: 0\n"
            "cpu model\t\t: MIPS 1004Kc V2.15\nisa\t\t\t: mips1 mips2 mips32r1 mips32r2\n"
        ),
        ("mips", "MIPS 1004Kc V2.15", (), None),
    ),
    "a core that nobody knows": (
        "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x99\nCPU part : 0x123\n",
        ("arm64", None, ("neon",), None),
    ),
    "Core 2": (
        (
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM)2 Duo CPU\n"
            "flags\t\t: fpu tsc msr sse sse2 lm pni ssse3 sse4_1\n"
        ),
        ("x86_64", "Intel(R) Core(TM)2 Duo CPU", (), None),
    ),
    "Xeon Phi": (
        (
            "processor : 0\nvendor_id : GenuineIntel\nmodel name : Intel(R) Xeon Phi(TM) CPU 7210\n"
            "flags : fpu sse sse2 lm sse4_1 sse4_2 avx fma avx2 avx512f avx512pf avx512er avx512cd\n"
        ),
        ("x86_64", "Intel(R) Xeon Phi(TM) CPU 7210", AVX2, None),
    ),
    "a 32-bit Pentium": (
        "processor : 0\r\nmodel name : Pentium III\r\nflags : fpu tsc mmx sse\r\n",
        ("i686", "Pentium III", (), None),
    ),
    "s390x": (
        (
            "vendor_id       : IBM/S390\n# processors    : 4\nfeatures\t: esan3 zarch stfle vx vxd\n"
            "processor 0: version = FF,  identification = 1B67C8,  machine = 8561\n"
        ),
        ("s390x", "IBM z15", (), 4),
    ),
    "POWER9, two processors": (
        (
            "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t: 3800MHz\n\nprocessor\t: 1\n"
            "cpu\t\t: POWER9, altivec supported\n\ntimebase\t: 512000000\nplatform\t: PowerNV\n"
        ),
        ("ppc64le", "POWER9", (), 2),
    ),
    "Loongson": (
        (
            "system type\t\t: generic-loongson-machine\n\nprocessor\t\t: 0\nCPU Family\t\t: Loongson-64bit\n"
            "Model Name\t\t: Loongson-3A5000\nISA\t: loongarch32 loongarch64\nFeatures\t\t: cpucfg lam fpu lsx lasx\n"
        ),
        ("loongarch64", "Loongson-3A5000", (), None),
    ),
    "RISC-V with vectors": (
        "processor : 0\nmodel name : Spacemit(R) X60\nisa : rv64imafdcv_zicbom_zba\nuarch : spacemit,x60",
        ("riscv64", "Spacemit(R) X60", (), None),
    ),
    "an M3": (
        (
            "hw.ncpu: 12\nhw.optional.arm.FEAT_DotProd: 1\nhw.optional.arm.FEAT_I8MM: 1\nhw.optional.arm.FEAT_BF16: 1\n"
            "hw.optional.arm.AdvSIMD: 1\nhw.optional.arm64: 1\nmachdep.cpu.brand_string: Apple M3 Max\n"
        ),
        ("arm64", "Apple M3 Max", ("neon", "dotprod", "i8mm", "bf16"), 12),
    ),
    "an Intel Mac with AVX-512": (
        (
            "machdep.cpu.brand_string: Intel(R) Core(TM) i5-1038NG7 CPU\nhw.logicalcpu: 8\n"
            "machdep.cpu.features: FPU SSE SSE2 SSE3 FMA SSE4.1 SSE4.2 AVX1.0\n"
            "machdep.cpu.leaf7_features: AVX2 AVX512F AVX512DQ AVX512CD AVX512BW AVX512VL AVX512VNNI\n"
        ),
        ("x86_64", "Intel(R) Core(TM) i5-1038NG7 CPU", (*AVX2, "avx512", "avx512_vnni"), 8),
    ),
}


def parsed(text: str) -> Hardware:
    """The machine that a text describes."""
    return parse(text, source="machine.txt")


def test_every_recording_has_its_row() -> None:
    """A recording without an expectation is not tested."""
    assert sorted(MACHINES) == RECORDED


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_machine_is_read(name: str) -> None:
    """Architecture, names, levels and cores of each recording."""
    machine = load(GOLDEN / name)
    cores = (machine.logical_cores, machine.physical_cores)
    assert (machine.arch, machine.vendor, machine.brand, machine.levels, *cores) == MACHINES[name]


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_machine_survives_json(name: str, tmp_path: Path) -> None:
    """What is written is read back as the same value, alone or inside what doctor writes."""
    machine = load(GOLDEN / name)
    alone, inside = tmp_path / "alone.json", tmp_path / "inside.json"
    alone.write_text(json.dumps(machine.to_dict()))
    inside.write_text(json.dumps({"findings": [], "hardware": machine.to_dict()}))
    assert load(alone) == load(inside) == machine


@pytest.mark.parametrize(("text", "expected"), EXCERPTS.values(), ids=EXCERPTS)
def test_other_machines_are_read(text: str, expected: tuple[object, ...]) -> None:
    """Old, small, big, foreign and Apple machines in the words of their kernels."""
    machine = parsed(text)
    assert (machine.arch, machine.brand, machine.levels, machine.logical_cores) == expected


@pytest.mark.parametrize("missing", ["avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"])
def test_a_part_of_avx512_is_not_the_level(missing: str) -> None:
    """Kernels ask for all five."""
    machine = load(GOLDEN / "linux-rhel7-skylake_avx512")
    assert replace(machine, flags=machine.flags - {missing}).levels == AVX2


def test_several_processors_are_counted() -> None:
    """Two sockets of two cores with two threads each: eight logical and four physical cores."""
    blocks = [
        f"processor : {n}\nflags : fpu lm\nphysical id : {n // 4}\ncore id : {n // 2 % 2}\nsiblings : 4\n"
        for n in range(8)
    ]
    machine = parsed("\n".join(blocks))
    assert (machine.logical_cores, machine.physical_cores) == (8, 4)


def test_torch_beside_the_kernel_is_kept() -> None:
    """The list that torch wrote carries its own view: what it dispatches to and which engines it has."""
    view = load(GOLDEN / "linux-kvm-intel-amx.torch.json").torch
    assert view is not None
    assert view.capability == "AVX512"
    assert view.supported_engines == ("qnnpack", "onednn", "x86", "fbgemm")
    assert "avx512f" in view.flags


def test_a_run_is_read_as_well() -> None:
    """A record of a run holds the hardware one level deeper."""
    machine = Hardware(arch="arm64", flags=frozenset({"asimd"}))
    assert parsed(json.dumps({"environment": {"hardware": machine.to_dict()}})) == machine


@pytest.mark.parametrize(
    ("text", "emulator"),
    [
        ("processor : 0\nmodel name : QEMU Virtual CPU version 2.5+\nflags : fpu lm\n", "QEMU virtual CPU"),
        ("processor : 0\nmodel name : QEMU TCG CPU version 2.5+\nflags : fpu lm hypervisor\n", "QEMU TCG"),
        ("processor : 0\nvendor_id : VirtualApple\nmodel name : VirtualApple @ 2.50GHz\nflags : fpu lm\n", "Rosetta 2"),
        (
            (
                "hw.optional.arm64: 1\nhw.optional.neon: 1\nhw.cputype: 7\nmachdep.cpu.brand_string: Apple M1\n"
                "machdep.cpu.features: FPU SSE4.1 SSE4.2\n"
            ),
            "Rosetta 2",
        ),
        ("sysctl.proc_translated: 1\nmachdep.cpu.features: FPU SSE4.2\n", "Rosetta 2"),
    ],
)
def test_an_emulator_gives_itself_away(text: str, emulator: str) -> None:
    """By the names of the processor or by an Apple processor that lists Intel's features."""
    machine = parsed(text)
    assert (machine.arch, machine.emulated) == ("x86_64", emulator)
    assert "neon" not in machine.flags


def test_a_hypervisor_is_seen() -> None:
    """A guest's kernel lists the hypervisor bit; a host's does not."""
    assert load(GOLDEN / "linux-kvm-intel-amx").hypervisor == "unnamed"
    assert load(GOLDEN / "linux-ubuntu20.04-zen3").hypervisor is None


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b" \n\t\n", "is empty"),
        (b"\x7fELF\0\0\0", "is not a text"),
        (b"\xff\xfe \0\n\0", "is empty"),
        (b"0, 0, 20, 1970169159, 1818588270, 1231384169\n", r"int8bench doctor --json writes \(Windows as well\)"),
        (b'{"lscpu": [{"field": "Architecture:", "data": "x86_64"}]}', "describes no machine"),
        (b'{"arch": "x64", "schema": "other", "flags": []}', "schema: expected int8bench.hardware, got 'other'"),
        (b"\x89PNG\r\n", "describes no processor"),
        (b"A shopping list: milk, eggs", "describes no processor"),
        (b"processor : 0\nvendor_id : GenuineIntel\n", "describes no processor"),
        (b"machdep.cpu.vendor: GenuineIntel\n", "without the processor's instructions"),
        (b"{", "not valid JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "describes no machine"),
        (b'{"hardware": 3}', "describes no machine"),
        (b'{"arch": ""}', "arch: expected text"),
        (b'{"arch": 64}', "arch: expected string, got 64"),
        (b'{"arch": "x86_64", "flags": "avx2"}', "flags: expected array, got 'avx2'"),
        (b'{"arch": "x86_64", "flags": ["avx2", 7]}', r"flags\[1\]: expected string, got 7"),
        (b'{"hardware": {"arch": "x86_64", "usable_cores": 0}}', "hardware: usable_cores: expected 1 or more, got 0"),
        (b'{"arch": "x86_64", "model": true}', "model: expected integer or null, got True"),
        (b'{"arch": "x86_64", "steal_fraction": NaN}', "steal_fraction: expected number or null, got nan"),
        (b'{"arch": "x86_64", "torch": []}', "torch: expected object or null"),
        (b'{"arch": "x86_64", "isa_environment": {"A": 1}}', "isa_environment.A: expected string, got 1"),
        (b'{"arch": "x86_64", "schema_version": 2}', "pip install --upgrade int8bench"),
    ],
)
def test_what_describes_no_machine_is_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    """One sentence that names the file and says what was expected."""
    path = tmp_path / "machine"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=sentence) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """The system's reason is told in our sentence."""
    with pytest.raises(RecordError, match="no such file"):
        load(tmp_path / "missing")
    with pytest.raises(RecordError, match=r"cannot be read \(Is a directory\)"):
        load(tmp_path)


def test_a_byte_order_mark_does_not_matter(tmp_path: Path) -> None:
    """Editors of other systems put one in front."""
    path = tmp_path / "machine"
    path.write_bytes(b"\xef\xbb\xbfflags : fpu lm avx2\n")
    assert load(path).levels == ("avx2",)


def test_windows_line_ends_and_utf_16_do_not_matter(tmp_path: Path) -> None:
    """Windows PowerShell writes both where a text is sent to a file; the machine is the same."""
    text = (GOLDEN / "linux-ubuntu20.04-zen3").read_text()
    for encoding in ("utf-8", "utf-16"):
        path = tmp_path / encoding
        path.write_bytes(text.replace("\n", "\r\n").encode(encoding))
        assert load(path) == parsed(text)


def test_a_file_too_big_for_a_machine_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not read to its end; one byte less is read."""
    path = tmp_path / "machine"
    path.write_bytes(b"flags : fpu lm avx2\n")
    monkeypatch.setattr(files, "MOST_BYTES", path.stat().st_size)
    assert load(path).levels == ("avx2",)
    monkeypatch.setattr(files, "MOST_BYTES", path.stat().st_size - 1)
    with pytest.raises(RecordError, match="expected the description of one machine"):
        load(path)


def test_half_a_character_is_replaced() -> None:
    """JSON can hold one, and no terminal can show it; a whole one in two halves stays."""
    machine = parsed(r'{"arch": "x86_64", "flags": ["avx2"], "brand": "A \ud800 \ud83d\ude00", "vendor": "B"}')
    assert machine.brand == "A ? \N{GRINNING FACE}"


def test_fields_that_are_unknown_or_left_out_are_passed_over() -> None:
    """A newer int8bench may add fields under the same version; only a newer version is refused."""
    known = {"arch": "AMD64", "flags": ["avx2"]}
    machine = Hardware(arch="x86_64", flags=frozenset({"avx2"}))
    assert parsed(json.dumps(known)) == machine
    assert parsed(json.dumps({**known, "schema_version": 1, "npu": {"tops": 40}, "levels": ["amx_int8"]})) == machine


@pytest.mark.parametrize(
    ("told", "levels"),
    [
        ("", ("neon",)),
        ("hw.optional.armv8_2_sha512: 1\n", ("neon", "dotprod")),
        ("hw.optional.armv8_2_sha512: 0\n", ("neon",)),
        ("hw.optional.armv8_2_sha3: 1\nhw.optional.arm.FEAT_DotProd: 0\n", ("neon",)),
    ],
)
def test_the_dot_product_of_an_old_macos_is_concluded(told: str, levels: tuple[str, ...]) -> None:
    """From instructions that came with it, unless the listing says otherwise."""
    assert parsed(f"hw.optional.arm64: 1\nhw.optional.neon: 1\n{told}").levels == levels


def test_the_fingerprint_ignores_what_changes_from_day_to_day() -> None:
    """Steal, memory, stepping and torch are not the machine's speed."""
    machine = load(GOLDEN / "linux-ubuntu20.04-zen3")
    other = replace(machine, steal_fraction=0.3, memory_bytes=1, stepping=9, torch=TorchView(version="2"))
    assert fingerprint(other) == fingerprint(machine)


@pytest.mark.parametrize(
    "change",
    [{"usable_cores": 1}, {"hypervisor": "KVM"}, {"model": 80}, {"vendor": "X"}, {"flags": frozenset({"avx"})}],
    ids=lambda change: next(iter(change)),
)
def test_the_fingerprint_tells_machines_apart(change: dict[str, object]) -> None:
    """Cores, hypervisor, processor and levels are."""
    machine = load(GOLDEN / "linux-ubuntu20.04-zen3")
    assert fingerprint(replace(machine, **change)) != fingerprint(machine)


def test_the_recorded_machines_all_differ() -> None:
    """No two of them share a fingerprint."""
    prints = {fingerprint(load(GOLDEN / name)) for name in RECORDED}
    assert len(prints) == len(RECORDED)


def test_importing_is_light() -> None:
    """Neither torch nor numpy nor py-cpuinfo comes with the import."""
    program = (
        "import sys, int8bench.machine, int8bench.machine.rules; print(*[n for n in sys.argv[1:] if n in sys.modules])"
    )
    heavy = ("torch", "numpy", "scipy", "sklearn", "cpuinfo", "psutil")
    done = subprocess.run([sys.executable, "-c", program, *heavy], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_variables_that_hold_instructions_back_are_part_of_the_fingerprint() -> None:
    """What was measured without AVX-512 is another machine's, as far as speed goes."""
    free = Hardware(arch="x86_64", flags=frozenset({"avx2"}))
    held = replace(free, isa_environment={"ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert fingerprint(free) != fingerprint(held)
