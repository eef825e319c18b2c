"""Whether a program plays the processor under this process, in which case its times are worth nothing. Never times.

`look` collects what the system says, `emulator` makes a name of it, so that emulators can be played. User-mode
emulators hide behind what they forge: qemu-user forges /proc/self/exe and maps, and newer ones /proc/cpuinfo as well,
but not the same files under /proc/thread-self, nor the process's name (qemu's linux-user/syscall.c, tried with 7.2).
"""

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from int8bench.errors import NothingMeasuredError, RecordError
from int8bench.machine.cores import ROOT, read_text, said
from int8bench.machine.hypervisors import ROSETTA, TCG
from int8bench.machine.levels import canonical_arch, isa_family
from int8bench.machine.listings.cpuinfo import parse_cpuinfo

# How the programs are called that run other programs' instructions.
INTERPRETERS = ("qemu-", "box64", "box86", "FEX", "rosetta")
# What a processor's own names give away; "QEMU virtual CPU" is not here, since KVM runs it on the real one.
TRANSLATED = (ROSETTA, TCG)
SYSCTL = ("sysctl", "-n", "sysctl.proc_translated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a system says of this process; empty where it says nothing."""

    machine: str
    """The architecture that the program was made for: ``aarch64``."""
    cpuinfo: str = ""
    """The kernel's list of processors."""
    programs: tuple[str, ...] = ()
    """Paths of the file that the kernel runs, by different ways of asking."""
    process: str = ""
    """The process's name, of which the kernel keeps 15 characters."""
    translated: bool = False
    """Whether macOS says that it translates this program."""


def look(root: Path = ROOT) -> Facts:
    """Return what this system says of this process."""
    return Facts(
        machine=platform.machine(),
        cpuinfo=read_text(root / "proc/cpuinfo"),
        programs=tuple(_programs(root)),
        process=read_text(root / "proc/self/comm").strip(),
        translated=platform.system() == "Darwin" and said(SYSCTL).strip() == "1",
    )


def emulator(facts: Facts) -> str | None:
    """Return what plays the processor, None where nothing does as far as is told."""
    if facts.translated:
        return ROSETTA
    names = (*(PurePosixPath(path).name for path in facts.programs), facts.process)
    interpreter = next((name for name in names if name.startswith(INTERPRETERS)), None)
    return interpreter or _of_processors(facts)


def objection(facts: Facts) -> str | None:
    """Return why times must not be taken in this process, in one sentence; None where they may."""
    played_by = emulator(facts)
    if played_by is None:
        return None
    return (
        f"the processor is played by a program here ({played_by}), so times would say how fast that program is, and "
        "nothing of a real processor: none are taken; type int8bench run on a real machine of this kind, or here "
        "int8bench doctor, which takes none"
    )


def refuse() -> None:
    """End what would take times, where they would be an emulator's.

    Raises:
        NothingMeasuredError: the processor is played by a program.
    """
    reason = objection(look())
    if reason is not None:
        raise NothingMeasuredError(reason)


def _of_processors(facts: Facts) -> str | None:
    """Return what the list of processors gives away: an emulator's name, or another architecture than the program's."""
    try:
        listed = parse_cpuinfo(facts.cpuinfo, source="/proc/cpuinfo")
    except RecordError:
        return None
    arch = canonical_arch(facts.machine)
    if listed.isa_family != isa_family(arch):
        return f"qemu-user ({arch} program on {listed.arch})"
    return listed.emulated if listed.emulated in TRANSLATED else None


def _programs(root: Path) -> Iterator[str]:
    for path in ("proc/thread-self/exe", "proc/self/exe"):
        try:
            yield str((root / path).readlink())
        except OSError:  # no /proc, or a kernel before 3.17, which has no thread-self
            continue
