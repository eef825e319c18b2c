"""Processors that are played by a program, and those that are not."""

import importlib
import os
from pathlib import Path

import pytest

from int8bench.errors import NothingMeasuredError
from int8bench.machine import emulation
from int8bench.machine.emulation import Facts

GOLDEN = Path(__file__).parents[1] / "golden" / "hardware"
INTEL = (GOLDEN / "linux-kvm-intel-amx").read_text()
ARM_LISTING = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"
ROSETTA_LISTING = (
    "processor\t: 0\nvendor_id\t: VirtualApple\nmodel name\t: VirtualApple @ 2.50GHz\nflags\t: fpu lm sse2\n"
)
TCG_LISTING = "processor\t: 0\nmodel name\t: QEMU TCG CPU version 2.5+\nflags\t: fpu lm sse2\n"
KVM_LISTING = "processor\t: 0\nmodel name\t: QEMU Virtual CPU version 2.5+\nflags\t: fpu lm sse2\n"
PYTHON = "/usr/bin/python3.11"


@pytest.mark.parametrize(
    ("facts", "played_by"),
    [
        # Debian's qemu-user-static 7.2, as it was seen: the forged program, the real one, the host's processors.
        (
            Facts(
                machine="aarch64",
                cpuinfo=INTEL,
                programs=("/usr/bin/qemu-aarch64-static", PYTHON),
                process="qemu-aarch64-st",
            ),
            "qemu-aarch64-static",
        ),
        # A newer one, which forges the list of processors.
        (
            Facts(machine="aarch64", cpuinfo=ARM_LISTING, programs=("/usr/bin/qemu-aarch64", PYTHON)),
            "qemu-aarch64",
        ),
        # A program of the host's own architecture: only the real program tells, or the process's name.
        (
            Facts(machine="x86_64", cpuinfo=INTEL, programs=("/usr/bin/qemu-x86_64-static", PYTHON)),
            "qemu-x86_64-static",
        ),
        (Facts(machine="x86_64", cpuinfo=INTEL, programs=(PYTHON,), process="qemu-x86_64-sta"), "qemu-x86_64-sta"),
        (Facts(machine="x86_64", cpuinfo=ARM_LISTING, programs=("/usr/bin/FEXInterpreter",)), "FEXInterpreter"),
        (Facts(machine="x86_64", cpuinfo=ARM_LISTING, programs=("/usr/local/bin/box64",)), "box64"),
        # Nothing but the list of processors.
        (Facts(machine="aarch64", cpuinfo=INTEL), "qemu-user (arm64 program on x86_64)"),
        (Facts(machine="x86_64", cpuinfo=ARM_LISTING), "qemu-user (x86_64 program on arm64)"),
        (Facts(machine="x86_64", cpuinfo=ROSETTA_LISTING, programs=(PYTHON,)), "Rosetta 2"),
        (Facts(machine="x86_64", cpuinfo=TCG_LISTING, programs=(PYTHON,)), "QEMU TCG"),
        (Facts(machine="x86_64", translated=True), "Rosetta 2"),
    ],
)
def test_an_emulator_is_seen_by_any_of_its_marks(facts: Facts, played_by: str) -> None:
    """The real program, the process's name, a list of other processors, or the system's own word."""
    assert emulation.emulator(facts) == played_by


@pytest.mark.parametrize(
    "facts",
    [
        Facts(machine="x86_64", cpuinfo=INTEL, programs=(PYTHON, PYTHON), process="python"),
        Facts(machine="i686", cpuinfo=INTEL, programs=(PYTHON, PYTHON), process="python"),
        Facts(machine="aarch64", cpuinfo=ARM_LISTING, programs=(PYTHON, PYTHON), process="python"),
        Facts(machine="armv7l", cpuinfo=ARM_LISTING, programs=(PYTHON, PYTHON), process="python"),
        Facts(machine="x86_64", cpuinfo=KVM_LISTING, programs=(PYTHON,), process="python"),
        Facts(machine="x86_64", cpuinfo=INTEL, programs=("/home/qemu-user/bin/python3", PYTHON)),
        Facts(machine="arm64"),
        Facts(machine="", cpuinfo="no processors"),
    ],
)
def test_a_real_processor_is_not_accused(facts: Facts) -> None:
    """A 32-bit program on its own kind, a guest of KVM, a folder with qemu in its name, a silent system."""
    assert emulation.emulator(facts) is None
    assert emulation.objection(facts) is None


def test_times_are_refused_in_one_sentence() -> None:
    """It names the emulator and says what to type instead."""
    said = emulation.objection(Facts(machine="aarch64", cpuinfo=INTEL, programs=("/usr/bin/qemu-aarch64-static",)))
    assert said is not None
    assert "(qemu-aarch64-static)" in said
    assert "type int8bench run on a real machine" in said
    assert "int8bench doctor" in said
    assert "\n" not in said


def test_the_thread_is_asked_before_the_process(tmp_path: Path) -> None:
    """What an emulator forges under /proc/self does not hide what stands under /proc/thread-self."""
    for place, program in (("thread-self", "/usr/bin/qemu-aarch64-static"), ("self", PYTHON)):
        (tmp_path / "proc" / place).mkdir(parents=True)
        (tmp_path / "proc" / place / "exe").symlink_to(program)
    (tmp_path / "proc" / "self" / "comm").write_text("qemu-aarch64-st\n")
    facts = emulation.look(tmp_path)
    assert facts.programs == ("/usr/bin/qemu-aarch64-static", PYTHON)
    assert facts.process == "qemu-aarch64-st"
    assert emulation.emulator(facts) == "qemu-aarch64-static"


def test_a_system_without_proc_says_nothing(tmp_path: Path) -> None:
    """No file, no mark."""
    facts = emulation.look(tmp_path)
    assert (facts.cpuinfo, facts.programs, facts.process) == ("", (), "")


@pytest.mark.skipif(not os.path.exists("/proc/self/exe"), reason="no /proc here")  # noqa: PTH110  a link that may dangle
def test_this_process_is_looked_at() -> None:
    """Its program is found by both ways of asking, and is the same one."""
    facts = emulation.look()
    assert len(facts.programs) == 2
    assert len(set(facts.programs)) == 1 or emulation.emulator(facts) is not None


TIMING = {
    "run": lambda: importlib.import_module("int8bench.study.study").run(None, None, None),
    "duet": lambda: importlib.import_module("int8bench.compare.duet.study").run(None, None, None),
    "selftest": lambda: importlib.import_module("int8bench.selftest.selftest").run(thorough=False, advance=None),
    "race": lambda: importlib.import_module("int8bench.compare.pytest.race").measure(None, None),
}


@pytest.mark.torch
@pytest.mark.parametrize("command", TIMING)
def test_no_time_is_taken_under_emulation(monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Whatever would take times ends with exit code 3, before anything else."""
    pytest.importorskip("torch")
    facts = Facts(machine="aarch64", programs=("/usr/bin/qemu-aarch64", PYTHON))
    monkeypatch.setattr(emulation, "look", lambda: facts)
    with pytest.raises(NothingMeasuredError, match=r"played by a program here \(qemu-aarch64\)") as raised:
        TIMING[command]()
    assert raised.value.exit_code == 3


@pytest.mark.torch
def test_suites_are_skipped_under_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid says that it is not there, which asv and pytest take for a skip."""
    pytest.importorskip("torch")
    facade = importlib.import_module("int8bench.facade")
    monkeypatch.setattr(emulation, "look", lambda: Facts(machine="aarch64", programs=("/usr/bin/qemu-aarch64", PYTHON)))
    with pytest.raises(NotImplementedError, match="none are taken"):
        facade.grid(contenders=("fbgemm",), model="simplecnn")
