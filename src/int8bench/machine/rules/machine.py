"""Rules about the machine itself, and about what its description says of it, whichever engine is chosen. Pure."""

from collections.abc import Iterator

from int8bench.machine import Gap, Hardware, Told
from int8bench.machine.finding import Finding, Severity, Situation, finding_of, note, warning
from int8bench.machine.hypervisors import QEMU_CPU
from int8bench.machine.levels import ARM, DECIDING_FLAGS, X86
from int8bench.machine.rules.choice import INT8_ENGINES, NO_ENGINE, engines_of_torch, listed, preference

_WHY_UNTOLD = {
    Gap.LEFT_OUT: "The description has no flags, or only a part of them.",
    Gap.BROKEN: "A line of the list is broken where nobody can say whether the word goes on.",
    Gap.WSL1: "WSL 1 plays a kernel that lists only some of a processor's instructions.",
}


def instructions_untold(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the instructions are untold, of which rules would speak."""
    hardware = situation.hardware
    if hardware.isa_family not in {X86, ARM} or not hardware.untold_levels:
        return
    if hardware.gap is Gap.CUT:
        return  # said by its own rule
    yield warning(
        "instructions-untold/partly" if hardware.levels else "instructions-untold",
        "cpu",
        levels=_or(hardware.untold_levels),
        gap=_WHY_UNTOLD[hardware.gap or Gap.LEFT_OUT],
        how=_how_to_list(hardware),
    )


def listing_cut(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where a list of instructions ends before its end."""
    hardware = situation.hardware
    if hardware.gap is not Gap.CUT:
        return
    how = _how_to_list(hardware)
    if hardware.untold_levels:
        yield warning("listing-cut", "cpu", levels=_or(hardware.untold_levels), how=how)
    else:
        yield note("listing-cut/elsewhere", "cpu", how=how)


def _or(levels: tuple[str, ...]) -> str:
    return listed(levels).replace(" and ", " or ")


def _how_to_list(hardware: Hardware) -> str:
    """Return what to type on a machine for a text that tells its instructions."""
    if hardware.os == "Darwin":
        return "On the machine itself type: sysctl hw machdep.cpu > machine.txt"
    if hardware.gap is Gap.WSL1:
        return "In Windows itself, or in WSL 2, type: int8bench doctor --json > machine.json"
    if hardware.gap in {Gap.CUT, Gap.BROKEN}:
        return "On the machine itself type: cat /proc/cpuinfo > machine.txt; then give the whole file"
    return "On the machine itself type: int8bench doctor --json > machine.json"


def instructions_masked(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the CPU is a type that a hypervisor makes up."""
    hardware = situation.hardware
    if hardware.cpu_type is None or hardware.int8_dot_product is Told.THERE:
        return
    yield warning("instructions-masked", "cpu", cpu_type=hardware.cpu_type)


STEAL_NOTED = 0.01  # a hundredth of the time lost is as much as the intervals that we aim at
_ALIKE = {"x86", "fbgemm"}  # without VNNI the first hands its work to the second
_COUNTS = {2: "two", 3: "three", 4: "four"}
_BELOW_AVX2 = {"DEFAULT", "NO AVX"}


def emulated_cpu(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the processor is played by a program."""
    hardware = situation.hardware
    if hardware.emulated is not None and not (hardware.emulated == QEMU_CPU and hardware.cpu_type):
        yield warning("emulated-cpu", "cpu", emulator=hardware.emulated, real_one=_real_one(hardware.emulated))


def _real_one(emulated: str) -> str:
    """Return what to use instead of an emulator."""
    if emulated.startswith("Rosetta"):
        return "a Python built for arm64: type arch -arm64 python3 -m venv .venv"
    if emulated.startswith("qemu-"):
        return "the real machine; no time is taken under user-mode emulation"
    return "the real machine, or pass the host CPU through (QEMU: -cpu host)"


def virtual_machine(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where a hypervisor stands between a program and the processor."""
    hypervisor = situation.hardware.hypervisor
    if hypervisor is not None:
        yield note("virtual-machine", "cpu", name="" if hypervisor == "unnamed" else f" ({hypervisor})")


def cpu_time_stolen(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the hypervisor gave a noticeable share of the time to others."""
    share = situation.hardware.steal_fraction
    if share is not None and share >= STEAL_NOTED:
        yield note("cpu-time-stolen", "cpu", share=share)


def cpu_witnesses_disagree(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the kernel and another witness list different instructions."""
    hardware = situation.hardware
    disputed = set(hardware.disagreements)
    deciding = DECIDING_FLAGS - hardware.untold
    witnesses = ["py-cpuinfo"] if disputed else []
    seen = hardware.torch.flags if hardware.torch and hardware.isa_family == X86 else frozenset[str]()
    if seen and (by_torch := (seen ^ hardware.flags) & deciding):
        disputed |= by_torch
        witnesses.append("torch")
    if disputed:
        yield warning(
            "cpu-witnesses-disagree", "cpu", witnesses=" and ".join(witnesses), disputed=", ".join(sorted(disputed))
        )


def torch_dispatches_below_cpu(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where torch, unasked, picks kernels below what the processor has."""
    hardware = situation.hardware
    if hardware.torch is None or hardware.torch.capability is None or hardware.isa_family != X86:
        return
    capability = hardware.torch.capability.upper()
    below_avx512 = capability == "AVX2" and "avx512" in hardware.levels
    below_avx2 = capability in _BELOW_AVX2 and "avx2" in hardware.levels
    limited = "ATEN_CPU_CAPABILITY" in hardware.isa_environment
    if (below_avx512 or below_avx2) and not limited:
        has = "AVX-512" if "avx512" in hardware.levels else "AVX2"
        yield warning("torch-dispatches-below-cpu", "torch", capability=hardware.torch.capability, has=has)


def no_int8_dot_product(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the processor's arithmetic leaves int8 little to win."""
    hardware = situation.hardware
    if hardware.int8_dot_product is not Told.ABSENT or not preference(hardware)[0]:
        return  # where no engine fits, that is told in stronger words
    if hardware.cpu_type is not None:
        return  # what is masked is no fault of the processor
    dot, matrix = ("VNNI", "AMX") if hardware.isa_family == X86 else ("dot product", "int8 matrix multiply")
    guest = hardware.hypervisor is not None  # which may hide them
    lacking = f"virtual machine shows neither {dot} nor {matrix}" if guest else f"CPU lacks {dot} and {matrix}"
    yield note("no-int8-dot-product", "cpu", lacking=lacking)


def bf16_silently_used(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the processor has bf16, into which some runtimes turn float32 unasked."""
    hardware = situation.hardware
    if {"amx_bf16", "bf16"} & set(hardware.levels) or "avx512_bf16" in hardware.flags:
        yield note("bf16-silently-used", "float32")


def thirty_two_bit_system(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the system is 32-bit, for which torch has no builds."""
    if situation.hardware.arch in {"i686", "arm"}:
        yield warning("32-bit-system", "cpu", arch=situation.hardware.arch)


def kinds_of_cores(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where cores of one processor differ in speed."""
    kinds = situation.hardware.core_kinds
    if kinds:
        yield note(
            "kinds-of-cores",
            "cores",
            count=_COUNTS.get(len(kinds), str(len(kinds))),
            kinds=", ".join(kinds),
            command=_fast_alone(situation.hardware),
        )


def _fast_alone(hardware: Hardware) -> str:
    """Return what to type to time one kind of cores; Linux numbers the threads of Intel's big cores first."""
    fast = hardware.core_kinds[0].partition(" ")[0]
    if hardware.isa_family == X86 and fast.isdecimal():
        return f"taskset -c 0-{2 * int(fast) - 1} int8bench run"
    return "lscpu --extended, which numbers them; then taskset -c NUMBERS int8bench run"


def intel_mac(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the machine is an Intel Mac, for which torch has no builds any more."""
    hardware = situation.hardware
    if hardware.os == "Darwin" and hardware.isa_family == X86 and hardware.torch is None and hardware.emulated is None:
        yield warning("intel-mac", "torch")


def no_quantized_engine(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where torch cannot run int8 here at all."""
    hardware = situation.hardware
    built = engines_of_torch(hardware)
    if built or (built is None and hardware.arch in {"x86_64", "arm64", "arm"}):
        return
    here = hardware.arch if built is None else f"this build ({hardware.torch.version})" if hardware.torch else ""
    yield finding_of(
        situation.severity_for(*INT8_ENGINES),
        "no-quantized-engine",
        situation.engine if situation.engine in INT8_ENGINES else "torch",
        here=here,
    )


def default_engine_differs(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where torch, unasked, takes another engine than the one that fits."""
    torch, best = situation.hardware.torch, situation.recommended.engine
    if torch is None or torch.default_engine is None or best is None or torch.default_engine == best:
        return
    alike = {torch.default_engine, best} == _ALIKE and situation.hardware.int8_dot_product is Told.ABSENT
    default = "no engine" if torch.default_engine == NO_ENGINE else torch.default_engine
    yield finding_of(
        Severity.NOTE if alike else Severity.WARNING,
        "default-engine-differs",
        torch.default_engine,
        default=default,
        best=best,
        basis=situation.recommended.basis.partition(": ")[2],
    )


def recommended_engine_missing(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the engine that fits best is not in the installed torch."""
    built = engines_of_torch(situation.hardware)
    engines, reason = preference(situation.hardware)
    if built and engines and engines[0] not in built and engines[0] != situation.engine:
        yield warning("engine-missing/best", engines[0], reason=reason)


def quota_below_cores(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the control group allows less than the cores that programs see."""
    hardware = situation.hardware
    quota, logical, usable = hardware.cgroup_quota, hardware.logical_cores, hardware.usable_cores
    if quota is not None and logical is not None and usable is not None and quota < logical:
        yield warning("cpu-quota-below-cores", "cores", quota=quota, logical=logical, usable=usable)


def threads_above_cores(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where more threads are asked for than there are cores."""
    cores = situation.hardware.cores
    for threads in situation.threads:
        if cores is not None and threads > cores:
            yield warning("threads-above-cores", f"{threads} threads", cores=cores, s="s" if cores > 1 else "")


def saturating_activations(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the measured probe found sums that do not fit."""
    for probe in situation.probes.values():
        if probe.saturates:
            yield finding_of(
                situation.severity_for(probe.engine),
                "saturating-activations",
                probe.engine,
                sqnr_db=probe.sqnr_db,
                against=probe.against,
                way_out=situation.way_out,
            )
