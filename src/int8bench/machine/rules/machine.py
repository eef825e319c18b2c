"""Rules about the machine itself, and about what its description says of it, whichever engine is chosen. Pure."""

from collections.abc import Iterator

from int8bench.machine import Gap, Hardware, Told
from int8bench.machine.finding import Finding, Severity, Situation, recommending
from int8bench.machine.hypervisors import QEMU_CPU
from int8bench.machine.levels import ARM, DECIDING_FLAGS, X86
from int8bench.machine.rules.choice import INT8_ENGINES, NO_ENGINE, engines_of_torch, listed, preference

_WHY_UNTOLD = {
    Gap.LEFT_OUT: "The description has no flags, or only a part of them.",
    Gap.BROKEN: "A line of the list is broken where nobody can say whether the word goes on.",
    Gap.WSL1: "WSL 1 plays a kernel that lists only some of a processor's instructions.",
}


def instructions_untold(situation: Situation) -> Iterator[Finding]:
    """Rules on instructions cannot speak."""
    hardware = situation.hardware
    if hardware.isa_family not in {X86, ARM} or not hardware.untold_levels:
        return
    if hardware.gap is Gap.CUT:
        return  # said by its own rule
    yield Finding(
        code="instructions-untold",
        severity=Severity.WARNING,
        subject="cpu",
        message=f"Whether this CPU has {_or(hardware.untold_levels)} is not told."
        if hardware.levels
        else "The instructions of this CPU are not told.",
        why=f"{_WHY_UNTOLD[hardware.gap or Gap.LEFT_OUT]} No rule can speak on what is untold.",
        advice=_how_to_list(hardware),
    )


def listing_cut(situation: Situation) -> Iterator[Finding]:
    """A list of instructions ends before its end."""
    hardware = situation.hardware
    if hardware.gap is not Gap.CUT:
        return
    untold = hardware.untold_levels
    yield Finding(
        code="listing-cut",
        severity=Severity.WARNING if untold else Severity.NOTE,
        subject="cpu",
        message="The listing is cut within a list of instructions."
        + (f" Whether this CPU has {_or(untold)} is not told." if untold else ""),
        why="What stands behind the cut was not copied, so no rule can speak on it, and processors may be missing."
        if untold
        else "Another processor of the listing tells the instructions, but processors may be missing.",
        advice=_how_to_list(hardware),
    )


def _or(levels: tuple[str, ...]) -> str:
    return listed(levels).replace(" and ", " or ")


def _how_to_list(hardware: Hardware) -> str:
    """What to type on a machine for a text that tells its instructions."""
    if hardware.os == "Darwin":
        return "On the machine itself type: sysctl hw machdep.cpu > machine.txt"
    if hardware.gap is Gap.WSL1:
        return "In Windows itself, or in WSL 2, type: int8bench doctor --json > machine.json"
    if hardware.gap in {Gap.CUT, Gap.BROKEN}:
        return "On the machine itself type: cat /proc/cpuinfo > machine.txt; then give the whole file"
    return "On the machine itself type: int8bench doctor --json > machine.json"


def instructions_masked(situation: Situation) -> Iterator[Finding]:
    """The CPU is a type that a hypervisor makes up."""
    hardware = situation.hardware
    if hardware.cpu_type is None or hardware.int8_dot_product is Told.THERE:
        return
    yield Finding(
        code="instructions-masked",
        severity=Severity.WARNING,
        subject="cpu",
        message=f"The instructions are masked: {hardware.cpu_type} is a CPU type of the hypervisor, not a processor.",
        why="A guest sees the instructions of the type alone, whatever the processor underneath has.",
        advice="Set the CPU type to host (QEMU: -cpu host; libvirt: mode host-passthrough; Proxmox: type host).",
    )


STEAL_NOTED = 0.01  # a hundredth of the time lost is as much as the intervals that we aim at
_ALIKE = {"x86", "fbgemm"}  # without VNNI the first hands its work to the second
_COUNTS = {2: "two", 3: "three", 4: "four"}
_BELOW_AVX2 = {"DEFAULT", "NO AVX"}


def emulated_cpu(situation: Situation) -> Iterator[Finding]:
    """The processor is played by a program."""
    hardware = situation.hardware
    if hardware.emulated is not None and not (hardware.emulated == QEMU_CPU and hardware.cpu_type):
        yield Finding(
            code="emulated-cpu",
            severity=Severity.WARNING,
            subject="cpu",
            message=f"This processor is emulated or made up ({hardware.emulated}).",
            why="Its instruction list and its times say little about the silicon underneath.",
            advice=f"Use {_real_one(hardware.emulated)}.",
        )


def _real_one(emulated: str) -> str:
    """What to use instead of an emulator."""
    if emulated.startswith("Rosetta"):
        return "a Python built for arm64: type arch -arm64 python3 -m venv .venv"
    if emulated.startswith("qemu-"):
        return "the real machine; no time is taken under user-mode emulation"
    return "the real machine, or pass the host CPU through (QEMU: -cpu host)"


def virtual_machine(situation: Situation) -> Iterator[Finding]:
    """A hypervisor stands between."""
    hypervisor = situation.hardware.hypervisor
    if hypervisor is not None:
        yield Finding(
            code="virtual-machine",
            severity=Severity.NOTE,
            subject="cpu",
            message=f"This is a virtual machine{'' if hypervisor == 'unnamed' else f' ({hypervisor})'}.",
            why="A hypervisor can hide instructions and lend the cores to others, so hosts may differ.",
            advice="Measure on the kind of machine that you ship to: int8bench run",
        )


def cpu_time_stolen(situation: Situation) -> Iterator[Finding]:
    """The hypervisor gave a noticeable share of the time to others."""
    share = situation.hardware.steal_fraction
    if share is not None and share >= STEAL_NOTED:
        yield Finding(
            code="cpu-time-stolen",
            severity=Severity.NOTE,
            subject="cpu",
            message=f"{share:.1%} of this machine's processor time since start-up went to its neighbours.",
            why="Absolute times will wander; ratios taken in one run suffer less.",
            advice="Give the run more time, for example: int8bench run --precision 1% --budget 10m",
        )


def cpu_witnesses_disagree(situation: Situation) -> Iterator[Finding]:
    """The kernel and another witness list different instructions."""
    hardware = situation.hardware
    disputed = set(hardware.disagreements)
    deciding = DECIDING_FLAGS - hardware.untold
    witnesses = ["py-cpuinfo"] if disputed else []
    seen = hardware.torch.flags if hardware.torch and hardware.isa_family == X86 else frozenset[str]()
    if seen and (by_torch := (seen ^ hardware.flags) & deciding):
        disputed |= by_torch
        witnesses.append("torch")
    if disputed:
        yield Finding(
            code="cpu-witnesses-disagree",
            severity=Severity.WARNING,
            subject="cpu",
            message=f"The kernel and {' and '.join(witnesses)} disagree on {', '.join(sorted(disputed))}.",
            why="An old kernel, a container or an emulator hides or invents instructions, and the rules may be misled.",
            advice="Trust what ran rather than what is listed: int8bench run shows the kernels as evidence.",
        )


def torch_dispatches_below_cpu(situation: Situation) -> Iterator[Finding]:
    """Without being told to, torch picks kernels below what the processor has."""
    hardware = situation.hardware
    if hardware.torch is None or hardware.torch.capability is None or hardware.isa_family != X86:
        return
    capability = hardware.torch.capability.upper()
    below_avx512 = capability == "AVX2" and "avx512" in hardware.levels
    below_avx2 = capability in _BELOW_AVX2 and "avx2" in hardware.levels
    limited = "ATEN_CPU_CAPABILITY" in hardware.isa_environment
    if (below_avx512 or below_avx2) and not limited:
        has = "AVX-512" if "avx512" in hardware.levels else "AVX2"
        yield Finding(
            code="torch-dispatches-below-cpu",
            severity=Severity.WARNING,
            subject="torch",
            message=f"torch dispatches to {hardware.torch.capability} although the CPU has {has}.",
            why="This build was made without the wider kernels, or does not see what the processor has.",
            advice="Install the official build: pip install --force-reinstall torch",
        )


def no_int8_dot_product(situation: Situation) -> Iterator[Finding]:
    """The arithmetic leaves little to win."""
    hardware = situation.hardware
    if hardware.int8_dot_product is not Told.ABSENT or not preference(hardware)[0]:
        return  # where no engine fits, that is told in stronger words
    if hardware.cpu_type is not None:
        return  # what is masked is no fault of the processor
    dot, matrix = ("VNNI", "AMX") if hardware.isa_family == X86 else ("dot product", "int8 matrix multiply")
    guest = hardware.hypervisor is not None  # which may hide them
    lacking = f"virtual machine shows neither {dot} nor {matrix}" if guest else f"CPU lacks {dot} and {matrix}"
    yield Finding(
        code="no-int8-dot-product",
        severity=Severity.NOTE,
        subject="cpu",
        message=f"This {lacking}: expect int8 to be less than twice as fast as good float32.",
        why="Each int8 product takes several instructions to widen and add up; what is gained is fewer bytes to move.",
        advice="Measure before you ship int8, at your batch size: int8bench run --batch 1,32",
    )


def bf16_silently_used(situation: Situation) -> Iterator[Finding]:
    """Some runtimes turn float32 into bf16 unasked."""
    hardware = situation.hardware
    if {"amx_bf16", "bf16"} & set(hardware.levels) or "avx512_bf16" in hardware.flags:
        yield Finding(
            code="bf16-silently-used",
            severity=Severity.NOTE,
            subject="float32",
            message="This CPU has bf16 units, and some runtimes (OpenVINO) use them for what they call float32.",
            why="Such a float32 is up to twice as fast and less exact, and int8 looks slower beside it.",
            advice='Ask for real float32: INFERENCE_PRECISION_HINT="f32" in OpenVINO; torch keeps to it by itself.',
        )


def thirty_two_bit_system(situation: Situation) -> Iterator[Finding]:
    """Torch has no builds for 32-bit systems."""
    if situation.hardware.arch in {"i686", "arm"}:
        yield Finding(
            code="32-bit-system",
            severity=Severity.WARNING,
            subject="cpu",
            message=f"This system is 32-bit ({situation.hardware.arch}).",
            why="torch is published for 64-bit systems alone, even where the processor has 64 bits.",
            advice="If the processor allows, install a 64-bit system (Raspberry Pi 3 and later: the arm64 image).",
        )


def kinds_of_cores(situation: Situation) -> Iterator[Finding]:
    """Cores of one processor differ in speed."""
    kinds = situation.hardware.core_kinds
    if kinds:
        yield Finding(
            code="kinds-of-cores",
            severity=Severity.NOTE,
            subject="cores",
            message=f"This CPU has {_COUNTS.get(len(kinds), str(len(kinds)))} kinds of cores: {', '.join(kinds)}.",
            why="A layer is split evenly among the threads, and all of them wait for the slowest core.",
            advice=f"To time the fast ones alone, type: {_fast_alone(situation.hardware)}",
        )


def _fast_alone(hardware: Hardware) -> str:
    """What to type to time one kind of cores; Linux numbers the threads of Intel's big cores first."""
    fast = hardware.core_kinds[0].partition(" ")[0]
    if hardware.isa_family == X86 and fast.isdecimal():
        return f"taskset -c 0-{2 * int(fast) - 1} int8bench run"
    return "lscpu --extended, which numbers them; then taskset -c NUMBERS int8bench run"


def intel_mac(situation: Situation) -> Iterator[Finding]:
    """Torch has no builds for them any more."""
    hardware = situation.hardware
    if hardware.os == "Darwin" and hardware.isa_family == X86 and hardware.torch is None and hardware.emulated is None:
        yield Finding(
            code="intel-mac",
            severity=Severity.WARNING,
            subject="torch",
            message="torch is no longer published for Intel Macs.",
            why="2.2 is the last version with a build for them, and int8bench needs a newer one.",
            advice="Use Linux on this machine, or build torch from its sources.",
        )


def no_quantized_engine(situation: Situation) -> Iterator[Finding]:
    """Torch cannot run int8 here at all."""
    hardware = situation.hardware
    built = engines_of_torch(hardware)
    if built or (built is None and hardware.arch in {"x86_64", "arm64", "arm"}):
        return
    here = hardware.arch if built is None else f"this build ({hardware.torch.version})" if hardware.torch else ""
    yield Finding(
        code="no-quantized-engine",
        severity=situation.severity_for(*INT8_ENGINES),
        subject=situation.engine if situation.engine in INT8_ENGINES else "torch",
        message=f"torch has no quantized engine on {here}.",
        why='Converting a model ends with "Didn\'t find engine for operation quantized::conv2d_prepack NoQEngine".',
        advice="Stay with float32, and time it with: int8bench run; or try a runtime made for this processor.",
    )


def default_engine_differs(situation: Situation) -> Iterator[Finding]:
    """What torch takes unasked is not what fits."""
    torch, best = situation.hardware.torch, situation.recommended.engine
    if torch is None or torch.default_engine is None or best is None or torch.default_engine == best:
        return
    alike = {torch.default_engine, best} == _ALIKE and situation.hardware.int8_dot_product is Told.ABSENT
    default = "no engine" if torch.default_engine == NO_ENGINE else torch.default_engine
    yield Finding(
        code="default-engine-differs",
        severity=Severity.NOTE if alike else Severity.WARNING,
        subject=torch.default_engine,
        message=f"Unasked, torch takes {default} here{recommending(best)}.",
        why=f"{best} fits better: {situation.recommended.basis.partition(': ')[2]}.",
        advice=f'Before you convert and before you run, type: torch.backends.quantized.engine = "{best}"',
    )


def recommended_engine_missing(situation: Situation) -> Iterator[Finding]:
    """The engine that fits best is not in the installed torch."""
    built = engines_of_torch(situation.hardware)
    engines, reason = preference(situation.hardware)
    if built and engines and engines[0] not in built and engines[0] != situation.engine:
        yield Finding(
            code="engine-missing",
            severity=Severity.WARNING,
            subject=engines[0],
            message=f"The installed torch has no {engines[0]}, which fits this CPU best.",
            why=f"It was built without it; {engines[0]} fits because of {reason}.",
            advice="Install the official build: pip install --force-reinstall torch",
        )


def quota_below_cores(situation: Situation) -> Iterator[Finding]:
    """The control group allows less than the cores that programs see."""
    hardware = situation.hardware
    quota, logical, usable = hardware.cgroup_quota, hardware.logical_cores, hardware.usable_cores
    if quota is not None and logical is not None and usable is not None and quota < logical:
        yield Finding(
            code="cpu-quota-below-cores",
            severity=Severity.WARNING,
            subject="cores",
            message=f"A control group allows {quota:g} cores of the {logical} that torch sees.",
            why="torch starts a thread for each core it sees; the kernel stops them all for the rest of each period.",
            advice=f"Type: export OMP_NUM_THREADS={usable}",
        )


def threads_above_cores(situation: Situation) -> Iterator[Finding]:
    """More threads than cores."""
    cores = situation.hardware.cores
    for threads in situation.threads:
        if cores is not None and threads > cores:
            yield Finding(
                code="threads-above-cores",
                severity=Severity.WARNING,
                subject=f"{threads} threads",
                message=f"{threads} threads on {cores} usable core{'s' if cores > 1 else ''}.",
                why="Threads without a core of their own wait for each other at the end of every layer.",
                advice=f"Type --threads {cores}",
            )


def saturating_activations(situation: Situation) -> Iterator[Finding]:
    """The measured probe found sums that do not fit."""
    for probe in situation.probes.values():
        if probe.saturates:
            yield Finding(
                code="saturating-activations",
                severity=situation.severity_for(probe.engine),
                subject=probe.engine,
                message=f"{probe.engine} saturates here: {probe.sqnr_db:.1f} dB against {probe.against}, measured.",
                why="It uses full-range activations on 16-bit sums, which overflow without VNNI.",
                advice=situation.way_out,
            )
