"""Asking this machine, and machines that are played by a tree of files."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from int8bench import documents
from int8bench.machine import Gap, Hardware, TorchView, cores, detect, detect_torch, probe, usable_processors
from int8bench.machine.probe import Surroundings

GOLDEN = Path(__file__).parents[1] / "golden" / "hardware"
ZEN3 = GOLDEN / "linux-ubuntu20.04-zen3"


def write(root: Path, path: str, text: str) -> None:
    """A file of a played machine."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., Hardware]:
    """Describes a machine with two cores whose files lie under tmp_path."""

    def describe(**changes: object) -> Hardware:
        seen = {
            "root": tmp_path,
            "system": "Linux",
            "machine": "x86_64",
            "environment": {},
            "allowed": frozenset(range(32)),
            "logical_cores": 32,
            "physical_cores": 16,
            "memory_bytes": 1 << 34,
            "sysctl": "",
            "second_witness": {},
        }
        return probe.describe(Surroundings(**{**seen, **changes}))

    return describe


def test_this_machine_is_described() -> None:
    """Whatever runs the tests has an architecture, cores and memory, and survives JSON."""
    here = detect()
    assert here.arch not in {"", "unknown"}
    assert here.usable_cores is not None
    assert 1 <= here.usable_cores <= (here.logical_cores or 0)
    assert here.memory_bytes
    assert Hardware.from_dict(here.to_dict()) == here


def test_the_second_witness_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """py-cpuinfo takes a second, so one answer serves the process."""
    import cpuinfo

    asked = []
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: asked.append(1) or {"flags": ["avx2"]})
    probe.second_witness.cache_clear()
    assert probe.second_witness() == probe.second_witness() == {"flags": ["avx2"]}
    assert asked == [1]
    probe.second_witness.cache_clear()


@pytest.mark.parametrize(
    "fault", [ValueError("no such CPU"), OSError("no subprocess"), KeyError("flags"), Exception("only works on X86")]
)
def test_a_second_witness_that_breaks_says_nothing(fault: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """On processors that it does not know py-cpuinfo breaks in its own ways."""
    import cpuinfo

    def broken() -> None:
        raise fault

    monkeypatch.setattr(cpuinfo, "get_cpu_info", broken)
    probe.second_witness.cache_clear()
    assert probe.second_witness() == {}
    probe.second_witness.cache_clear()


@pytest.mark.parametrize(
    "files",
    [{}, {"cpuinfo/left.txt": ""}, {"cpuinfo.py": "raise Exception('py-cpuinfo currently only works on X86')"}],
    ids=["none", "a folder that an uninstallation left", "none for this architecture"],
)
def test_without_a_second_witness_the_kernel_stands_alone(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where py-cpuinfo and its fork were both installed and one of them was removed, and the module with it."""
    for path, text in files.items():
        write(tmp_path, path, text)
    elsewhere = [each for each in sys.path if not (Path(each) / "cpuinfo").exists()]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *elsewhere])
    for name in [name for name in sys.modules if name.partition(".")[0] == "cpuinfo"]:
        monkeypatch.delitem(sys.modules, name)
    probe.second_witness.cache_clear()
    assert probe.second_witness() == {}
    probe.second_witness.cache_clear()
    sys.modules.pop("cpuinfo", None)


@pytest.mark.parametrize("distribution", ["py-cpuinfo-9.0.0", "py-cpuinfo2-10.1.1"])
def test_either_fork_is_a_witness(distribution: str, played: Callable[..., Hardware], tmp_path: Path) -> None:
    """What each said of one AMD EPYC gives the same machine, and contradicts nothing that the kernel said of it."""
    witness = json.loads((GOLDEN.parent / "cpuinfo" / f"{distribution}.json").read_text(encoding="utf-8"))
    machine = played(second_witness=witness)
    expected = ("AMD EPYC", "AuthenticAMD", 25, 17, 1)
    assert (machine.brand, machine.vendor, machine.family, machine.model, machine.stepping) == expected
    assert machine.levels == ("sse4", "avx", "avx2", "fma", "avx512", "avx512_vnni")
    kernel = (GOLDEN.parent / "cpuinfo" / "kernel.txt").read_text(encoding="utf-8")
    write(tmp_path, "proc/cpuinfo", kernel)
    assert played(second_witness=witness).disagreements == ()
    assert played(second_witness=witness).levels == machine.levels


def test_witnesses_do_not_disagree_on_what_the_kernel_leaves_untold(
    played: Callable[..., Hardware], tmp_path: Path
) -> None:
    """WSL 1 lists only some; of what it lists, the other has to know."""
    write(tmp_path, "proc/cpuinfo", "flags : fpu lm avx fma osxsave rdrand\n")
    machine = played(second_witness={"flags": ["avx", "fma", "avx2"]})
    assert (machine.gap, machine.disagreements) == (Gap.WSL1, ())
    assert played(second_witness={"flags": ["avx", "avx2"]}).disagreements == ("fma",)


@pytest.mark.torch
def test_torch_is_asked() -> None:
    """Its version, its engines and what it dispatches to."""
    view = detect_torch()
    assert view.version
    assert view.capability
    assert view.default_engine in {*view.supported_engines, "none"}
    assert documents.read(TorchView, documents.written(view), name="torch") == view


def test_usable_processors_are_those_allowed() -> None:
    """In order, at least one."""
    usable = usable_processors()
    assert usable == tuple(sorted(usable))
    assert usable


def test_the_kernel_is_the_first_witness(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """Its flags and names are taken, its list of cores is overruled by the operating system."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    machine = played(second_witness={"flags": ["avx2"], "brand_raw": "another name"}, logical_cores=32)
    assert machine.brand == "AMD Ryzen 9 5950X 16-Core Processor"
    assert "avx2" in machine.levels
    assert (machine.logical_cores, machine.physical_cores, machine.usable_cores) == (32, 16, 32)


def test_witnesses_that_disagree_are_reported(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """Only flags that decide a level count, under whatever spelling."""
    write(tmp_path, "proc/cpuinfo", "processor : 0\nflags : fpu lm sse4_1 sse4_2 avx avx2 fma avx512_vnni\n")
    flags = ["fpu", "lm", "sse4_1", "sse4_2", "avx", "fma", "avx512vnni", "avx512f", "osxsave"]
    assert played(second_witness={"flags": flags}).disagreements == ("avx2", "avx512f")


@pytest.mark.parametrize("witness", [{}, {"flags": []}, {"flags": None}, {"flags": "avx"}])
def test_a_witness_without_flags_disagrees_with_nobody(
    witness: dict[str, object], played: Callable[..., Hardware], tmp_path: Path
) -> None:
    """py-cpuinfo knows no flags of Apple's processors."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    assert played(second_witness=witness).disagreements == ()


def test_the_second_witness_stands_in_where_there_is_no_kernel_list(played: Callable[..., Hardware]) -> None:
    """Windows: everything that py-cpuinfo tells is taken."""
    witness = {
        "flags": ["avx", "avx2", "fma"],
        "brand_raw": "A CPU",
        "vendor_id_raw": "AuthenticAMD",
        "family": 25,
        "model": 33,
        "stepping": 0,
    }
    machine = played(system="Windows", machine="AMD64", allowed=None, second_witness=witness)
    assert (machine.os, machine.arch, machine.levels) == ("Windows", "x86_64", ("avx", "avx2", "fma"))
    assert (machine.brand, machine.vendor, machine.family, machine.model) == ("A CPU", "AuthenticAMD", 25, 33)
    assert machine.usable_cores == 32
    assert (machine.cgroup_quota, machine.steal_fraction, machine.hypervisor) == (None, None, None)


def test_a_mac_is_described_by_sysctl(played: Callable[..., Hardware]) -> None:
    """No /proc there."""
    listing = (GOLDEN / "darwin-monterey-m1").read_text()
    machine = played(system="Darwin", machine="arm64", sysctl=listing, allowed=None, logical_cores=8)
    assert (machine.os, machine.brand, machine.levels) == ("Darwin", "Apple M1 Pro", ("neon", "dotprod"))
    assert machine.l1d_bytes == 65536


def test_a_program_of_another_architecture_is_emulated(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """qemu-user shows the host's processors to a program of another architecture; the list is then worth nothing."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    machine = played(machine="aarch64")
    assert (machine.arch, machine.levels) == ("arm64", ())
    assert machine.emulated == "qemu-user (arm64 program on x86_64)"


def test_a_32_bit_program_on_its_own_processor_is_not_emulated(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """The same family of instructions."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    machine = played(machine="i686")
    assert (machine.arch, machine.emulated) == ("i686", None)


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "200000\n"}, 2.0),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "nonsense\n"}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "1000 0\n"}, None),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "max 100000",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "200000 100000",
            },
            2.0,
        ),
        ({"proc/self/cgroup": "0::/../../other\n", "sys/fs/cgroup/cpu.max": "400000 100000"}, 4.0),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/abc\n1:name=systemd:/x\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        (
            {
                "proc/self/cgroup": "3:cpuset:/\n",
                "sys/fs/cgroup/cpuset/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpuset/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
    ids=["none", "v2", "v2 max", "v2 default period", "nonsense", "no period", "v2 parent", "v2 both", "v2 outside",
         "v1 container", "v1 no limit", "v1 another controller"],
)  # fmt: skip
def test_the_quota_of_control_groups_is_found(files: dict[str, str], quota: float | None, tmp_path: Path) -> None:
    """Both versions, the tightest level, no limit where none is set."""
    for path, text in files.items():
        write(tmp_path, path, text)
    assert cores.cgroup_quota(tmp_path) == quota


@pytest.mark.parametrize(
    ("allowed", "logical", "quota", "usable"),
    [
        (frozenset({0, 3}), 8, None, 2),
        (None, 8, None, 8),
        (None, 8, 2.5, 2),
        (None, 8, 0.5, 1),
        (frozenset({0}), 8, 4.0, 1),
        (None, None, None, None),
    ],
)
def test_usable_cores_are_the_least_of_all_limits(
    allowed: frozenset[int] | None, logical: int | None, quota: float | None, usable: int | None
) -> None:
    """Affinity, cores and quota; half a core is one that is throttled."""
    assert cores.usable_cores(logical=logical, allowed=allowed, quota=quota) == usable


@pytest.mark.parametrize(
    ("stat", "share"),
    [
        ("cpu  60 0 20 10 0 0 0 10 5 0\ncpu0 1 1\n", 0.1),
        ("cpu  0 0 0 0 0 0 0 0 0 0\n", None),
        ("cpu  1 2 3\n", None),
        ("", None),
        ("cpu a b c d e f g h\n", None),
    ],
)
def test_steal_is_a_share_of_all_time(stat: str, share: float | None, tmp_path: Path) -> None:
    """Since start-up; None where the kernel counts nothing."""
    write(tmp_path, "proc/stat", stat)
    assert probe.steal_fraction(tmp_path) == share


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"sys/class/dmi/id/sys_vendor": "QEMU\n", "sys/class/dmi/id/product_name": "Standard PC\n"}, "KVM"),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.xlarge\n"}, "Amazon"),
        ({"sys/class/dmi/id/sys_vendor": "Amazon EC2\n", "sys/class/dmi/id/product_name": "m7g.metal\n"}, None),
        (
            {
                "sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
                "sys/class/dmi/id/product_name": "Virtual Machine\n",
            },
            "Hyper-V",
        ),
        ({"sys/class/dmi/id/sys_vendor": "LENOVO\n"}, None),
        ({"sys/hypervisor/type": "xen\n"}, "Xen"),
        ({"proc/device-tree/hypervisor/compatible": "linux,kvm\0"}, "KVM"),
        ({"proc/device-tree/hypervisor/compatible": "acme\0"}, "unnamed"),
    ],
)
def test_a_hypervisor_is_named_by_the_firmware(
    files: dict[str, str], name: str | None, played: Callable[..., Hardware], tmp_path: Path
) -> None:
    """ARM guests have no bit for it in their processor list."""
    for path, text in {"proc/cpuinfo": (GOLDEN / "linux-amazon-neoverse_v1").read_text(), **files}.items():
        write(tmp_path, path, text)
    assert played(machine="aarch64").hypervisor == name


@pytest.mark.parametrize(
    ("flags", "clocks", "name"),
    [
        ("fpu lm hypervisor", "tsc kvm-clock \n", "KVM"),
        ("fpu lm hypervisor", "tsc hyperv_clocksource_tsc_page acpi_pm\n", "Hyper-V"),
        ("fpu lm hypervisor", "tsc hpet acpi_pm\n", "unnamed"),
        ("fpu lm", "tsc kvm-clock\n", None),
    ],
)
def test_a_hypervisor_without_firmware_is_named_by_its_clock(
    flags: str, clocks: str, name: str | None, played: Callable[..., Hardware], tmp_path: Path
) -> None:
    """Micro virtual machines have no firmware tables; a processor that admits no hypervisor has none to name."""
    write(tmp_path, "proc/cpuinfo", f"processor : 0\nflags : {flags}\n")
    write(tmp_path, "sys/devices/system/clocksource/clocksource0/available_clocksource", clocks)
    assert played().hypervisor == name


def test_caches_are_counted_by_the_kernel(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """Data and unified caches of the first processor; nonsense is passed over."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    sizes = (("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "512K"), ("3", "Unified", "32M"))
    for index, (level, kind, size) in enumerate((*sizes, ("4", "Unified", ""))):
        for name, text in (("level", level), ("type", kind), ("size", size)):
            write(tmp_path, f"sys/devices/system/cpu/cpu0/cache/index{index}/{name}", f"{text}\n")
    machine = played()
    assert (machine.l1d_bytes, machine.l2_bytes, machine.l3_bytes) == (32 << 10, 512 << 10, 32 << 20)


def test_variables_that_limit_the_isa_are_kept(played: Callable[..., Hardware], tmp_path: Path) -> None:
    """Ours in order, nobody else's, none that is empty."""
    write(tmp_path, "proc/cpuinfo", ZEN3.read_text())
    environment = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "default", "HOME": "/", "DNNL_MAX_CPU_ISA": ""}
    limits = played(environment=environment).isa_environment
    assert list(limits.items()) == [("ATEN_CPU_CAPABILITY", "default"), ("ONEDNN_MAX_CPU_ISA", "AVX2")]
