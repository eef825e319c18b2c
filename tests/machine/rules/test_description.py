"""What is said of instructions that a description cuts off, leaves out or masks."""

from dataclasses import replace
from pathlib import Path

import pytest

from int8bench.machine import Hardware, TorchView, load, parse, rules
from int8bench.machine.finding import Severity, ShownFinding

GOLDEN = Path(__file__).parents[2] / "golden"
ZEN4 = (GOLDEN / "hardware" / "linux-rocky8.5-zen4").read_text()
LACKING = ("lacks", "has no")


def said(machine: Hardware, **asked: object) -> dict[str, ShownFinding]:
    """The findings by code."""
    return {each.code: each.shown for each in rules.inspect(machine, **asked)}


def listing(name: str) -> Hardware:
    """A pasted listing."""
    return load(GOLDEN / "listings" / f"{name}.txt")


def cut_at(word: str) -> Hardware:
    """A Zen 4 whose listing ends within a word."""
    return parse(ZEN4[: ZEN4.index(f" {word}") + len(word)], source="pasted.txt")


def test_a_cut_list_is_said_to_be_cut() -> None:
    """With what is untold for it, and what to type; and nothing is called lacking that stands behind the cut."""
    machine = cut_at("avx512_vnni")
    finding = said(machine)["listing-cut"]
    assert finding.severity is Severity.WARNING
    assert finding.message == (
        "The listing is cut within a list of instructions. "
        "Whether this CPU has AVX-VNNI, AVX-512 VNNI, AMX int8 or AMX bf16 is not told."
    )
    assert "cat /proc/cpuinfo > machine.txt" in finding.advice
    assert "no-int8-dot-product" not in said(machine)
    assert "instructions-untold" not in said(machine)


def test_a_cut_behind_a_whole_processor_is_a_note() -> None:
    """The instructions are known, the number of processors may not be."""
    machine = parse(ZEN4 + "\nprocessor\t: 1\nflags\t\t: fpu vm", source="pasted.txt")
    finding = said(machine)["listing-cut"]
    assert (finding.severity, "not told" in finding.message) == (Severity.NOTE, False)
    assert "processors may be missing" in finding.why


def test_behind_a_cut_no_engine_is_ruled_out() -> None:
    """Where AVX2 and SSE4.1 may stand behind it, none is recommended, and none is said to be too much."""
    early = cut_at("monitor")
    assert rules.recommend(early).engine is None
    assert "not told" in rules.recommend(early).basis
    for engine in ("fbgemm", "onednn", "x86"):
        codes = set(said(early, engine=engine))
        assert not codes & {"fbgemm-without-avx2", "onednn-without-sse4", "onednn-full-range", "engine-missing"}


def test_where_vnni_is_untold_what_runs_without_is_recommended() -> None:
    """And whether onednn saturates is not claimed."""
    machine = cut_at("avx512_vnni")
    recommended = rules.recommend(machine)
    assert recommended.engine == "fbgemm"
    assert "whether VNNI is there as well is not told" in recommended.basis
    assert "onednn-full-range" not in said(machine, engine="onednn")


@pytest.mark.parametrize(
    ("machine", "told", "advice"),
    [
        (
            listing("sysctl-machdep-m1"),
            "Whether this CPU has dot product, int8 matrix multiply, SVE, SVE2 or bf16 is not told.",
            "sysctl hw machdep.cpu",
        ),
        (
            parse("flags : fpu lm sse4_1 sse4_2 avx fma osxsave rdrand\n", source="wsl.txt"),
            "Whether this CPU has AVX2, AVX-512, AVX-VNNI, AVX-512 VNNI, AMX int8 or AMX bf16 is not told.",
            "in WSL 2",
        ),
        (
            parse("flags : fpu lm newer\navx2\nbogomips : 1\n", source="broken.txt"),
            "The instructions of this CPU are not told.",
            "cat /proc/cpuinfo",
        ),
        (Hardware(arch="arm64"), "The instructions of this CPU are not told.", "int8bench doctor --json"),
    ],
    ids=["in part", "WSL 1", "broken", "none"],
)
def test_what_is_untold_is_said_with_what_to_type(machine: Hardware, told: str, advice: str) -> None:
    """On the machine itself, and what that is depends on the system."""
    finding = said(machine)["instructions-untold"]
    assert finding.message == told
    assert advice in finding.advice
    assert not any(word in each.message for each in said(machine).values() for word in LACKING)


def test_a_masked_processor_is_not_called_lacking() -> None:
    """The hypervisor's CPU type is, and host is what to set."""
    machine = listing("cpu-type-kvm64")
    found = said(machine, engine="fbgemm")
    assert found["instructions-masked"].message == (
        "The instructions are masked: Common KVM processor is a CPU type of the hypervisor, not a processor."
    )
    assert "Set the CPU type to host" in found["instructions-masked"].advice
    assert found["fbgemm-without-avx2"].message == (
        "The hypervisor's CPU type (Common KVM processor) shows no AVX2, which fbgemm and x86 need at least."
    )
    assert not any(word in each.message for each in found.values() for word in LACKING)
    assert "masks what the processor has" in rules.recommend(machine).basis


def test_a_type_that_shows_all_is_not_called_masked() -> None:
    """As far as int8 goes, nothing is hidden."""
    machine = replace(load(GOLDEN / "hardware" / "linux-unknown-sapphirerapids"), cpu_type="SapphireRapids")
    assert "instructions-masked" not in said(machine)


def test_a_type_without_vnni_says_masked_and_not_lacking() -> None:
    """AVX2 is there, so an engine fits; whether the processor has more nobody sees."""
    brand = "Intel Xeon Processor (Skylake, IBRS)"
    machine = parse(f"model name : {brand}\nflags : fpu lm avx2 fma hypervisor\n", source="guest.txt")
    assert {"instructions-masked"} == set(said(machine)) & {"instructions-masked", "no-int8-dot-product"}


def test_a_guest_shows_what_a_machine_has() -> None:
    """What a hypervisor hides is not the processor's fault, whatever its name."""
    zen3 = load(GOLDEN / "hardware" / "linux-ubuntu20.04-zen3")
    assert said(zen3)["no-int8-dot-product"].message.startswith("This CPU lacks VNNI and AMX: ")
    guest = said(replace(zen3, hypervisor="KVM"))["no-int8-dot-product"].message
    assert guest.startswith("This virtual machine shows neither VNNI nor AMX: ")
    ivy = replace(load(GOLDEN / "hardware" / "linux-rhel7-ivybridge"), hypervisor="KVM")
    assert said(ivy)["fbgemm-without-avx2"].message.startswith("This virtual machine shows no AVX2, ")


def test_qemus_own_cpu_is_masked_and_tcgs_is_played() -> None:
    """KVM runs the one on the real processor; the other is a program."""
    masked = said(parse("model name : QEMU Virtual CPU version 2.5+\nflags : fpu lm\n", source="guest.txt"))
    played = said(parse("model name : QEMU TCG CPU version 2.5+\nflags : fpu lm\n", source="guest.txt"))
    both = {"instructions-masked", "emulated-cpu"}
    assert set(masked) & both == {"instructions-masked"}
    assert set(played) & both == both


def test_two_kinds_of_cores_are_said() -> None:
    """With their numbers, and how to time the fast ones alone."""
    finding = said(listing("hybrid-i7-1370p"))["kinds-of-cores"]
    assert finding.severity is Severity.NOTE
    assert finding.message == "This CPU has two kinds of cores: 6 with 2 threads, 8 with 1 thread."
    assert finding.advice == "To time the fast ones alone, type: taskset -c 0-11 int8bench run"
    phone = replace(listing("prompt-m1-pro"), core_kinds=("1 Cortex-X4", "3 Cortex-A720", "4 Cortex-A520"))
    assert said(phone)["kinds-of-cores"].message.startswith("This CPU has three kinds of cores: 1 Cortex-X4, ")
    assert said(phone)["kinds-of-cores"].advice.startswith("To time the fast ones alone, type: lscpu --extended")


def test_witnesses_do_not_disagree_on_what_is_untold() -> None:
    """What the kernel's list leaves open, torch may know."""
    machine = cut_at("avx512_vnni")
    view = TorchView(flags=machine.flags | {"avx512_vnni"})
    assert "cpu-witnesses-disagree" not in said(replace(machine, torch=view))
    assert "cpu-witnesses-disagree" in said(replace(machine, untold=frozenset(), torch=view))
