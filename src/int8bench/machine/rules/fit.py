"""Rules about an engine on the machine: what would be wrong with choosing it there. Pure."""

from collections.abc import Iterator

from int8bench.machine import Hardware, Told
from int8bench.machine.finding import SEVERAL_TIMES, Finding, Severity, Situation, how_to_choose, without
from int8bench.machine.levels import ARM, X86
from int8bench.machine.rules.choice import INT8_ENGINES, dot_products, engines_of_torch, listed, x86_reaches_onednn
from int8bench.machine.rules.limits import exactness_of_onednn

_FBGEMM_KIND = ("fbgemm", "x86")


def qnnpack_on_x86(situation: Situation) -> Iterator[Finding]:
    """The mismatch that started all this."""
    if situation.engine == "qnnpack" and situation.hardware.isa_family == X86:
        yield Finding(
            code="qnnpack-on-x86",
            severity=Severity.ERROR,
            subject="qnnpack",
            message="qnnpack runs on x86, but several times slower than what is made for it, often below float32.",
            why="Its kernels are written for ARM's NEON; on x86 there is only a plain SSE2 version.",
            advice=situation.way_out,
        )


def fbgemm_without_avx2(situation: Situation) -> Iterator[Finding]:
    """fbgemm, and x86 which is built on it, refuse to run."""
    hardware = situation.hardware
    if hardware.arch == "x86_64" and hardware.tells("avx2") is Told.ABSENT:
        yield Finding(
            code="fbgemm-without-avx2",
            severity=situation.severity_for(*_FBGEMM_KIND),
            subject=situation.engine if situation.engine in _FBGEMM_KIND else "fbgemm",
            message=f"{without(hardware, 'AVX2')}, which fbgemm and x86 need at least.",
            why='They stop with "Your CPU does not support FBGEMM", or are missing from torch\'s supported engines.',
            advice=situation.way_out,
        )


def fbgemm_kind_on_arm(situation: Situation) -> Iterator[Finding]:
    """Engines for x86 on ARM."""
    if situation.engine in _FBGEMM_KIND and situation.hardware.isa_family == ARM:
        yield Finding(
            code=f"{situation.engine}-on-arm",
            severity=Severity.ERROR,
            subject=situation.engine,
            message=f"{situation.engine} is an engine for x86 and this is ARM ({situation.hardware.name}).",
            why="Its kernels are written for AVX2 and wider; builds for ARM lack it, or run plain code instead.",
            advice=situation.way_out,
        )


def qnnpack_without_neon(situation: Situation) -> Iterator[Finding]:
    """On 32-bit ARM alone; every 64-bit ARM has NEON."""
    hardware = situation.hardware
    if hardware.arch == "arm" and hardware.tells("neon") is Told.ABSENT:
        yield Finding(
            code="qnnpack-without-neon",
            severity=situation.severity_for("qnnpack"),
            subject="qnnpack",
            message=f"{without(hardware, 'NEON')}, which qnnpack needs at least.",
            why='It stops with "QNNPACK initialization failed: NEON is not supported".',
            advice=situation.way_out,
        )


def onednn_on_arm(situation: Situation) -> Iterator[Finding]:
    """OneDNN's int8 on ARM hangs on how torch was built: on Linux by chance, on Apple's systems not at all."""
    hardware = situation.hardware
    if situation.engine != "onednn" or hardware.isa_family != ARM:
        return
    absent = hardware.os == "Darwin" and "onednn" not in (engines_of_torch(hardware) or ())
    yield Finding(
        code="onednn-on-arm",
        severity=Severity.ERROR if absent else Severity.WARNING,
        subject="onednn",
        message="torch for macOS on Apple's processors has no onednn."
        if absent
        else "onednn is on ARM only in builds of torch with the Arm Compute Library.",
        why="It is built without oneDNN there, and has qnnpack alone."
        if absent
        else "Where that library has no kernel for a layer, oneDNN's reference code runs, many times slower.",
        advice=situation.way_out,
    )


def fbgemm_outdone(situation: Situation) -> Iterator[Finding]:
    """VNNI or AMX would do more under another engine."""
    hardware = situation.hardware
    exact = dot_products(hardware)
    better = _faster_than_fbgemm(hardware)
    if situation.engine == "fbgemm" and "avx2" in hardware.levels and exact and better:
        factor = "noticeably faster than" if exact == ("avx_vnni",) else f"{SEVERAL_TIMES} as fast as"
        yield Finding(
            code="fbgemm-outdone",
            severity=Severity.WARNING,
            subject="fbgemm",
            message=f"This CPU has {listed(exact)}: {' or '.join(better)} can be {factor} fbgemm.",
            why="oneDNN's kernels use these instructions to the full, and fbgemm leaves most of them idle.",
            advice=how_to_choose(better[0]),
        )


def x86_is_fbgemm(situation: Situation) -> Iterator[Finding]:
    """The processor has VNNI, and the x86 engine does not use it."""
    hardware = situation.hardware
    idle = dot_products(hardware) and not x86_reaches_onednn(hardware)
    if situation.engine == "x86" and hardware.isa_family == X86 and idle:
        yield Finding(
            code="x86-is-fbgemm",
            severity=Severity.WARNING,
            subject="x86",
            message=f"Here x86 is fbgemm under another name, and leaves {listed(dot_products(hardware))} idle.",
            why="torch hands its work to oneDNN on Linux with AVX-512 VNNI alone.",
            advice=situation.way_out,
        )


def _faster_than_fbgemm(hardware: Hardware) -> tuple[str, ...]:
    """The engines that reach the processor's VNNI or AMX, of those that the installed torch has."""
    engines = ("x86", "onednn") if x86_reaches_onednn(hardware) else ("onednn",)
    built = engines_of_torch(hardware)
    return engines if built is None else tuple(engine for engine in engines if engine in built)


def onednn_full_range(situation: Situation) -> Iterator[Finding]:
    """Full-range activations without VNNI, by rule, as long as no probe has measured them."""
    hardware = situation.hardware
    unmeasured = situation.engine == "onednn" and "onednn" not in situation.probes
    has_kernels = hardware.arch == "x86_64" and _kernels_of_onednn(hardware) is Told.THERE
    if unmeasured and has_kernels and exactness_of_onednn(hardware) is Told.ABSENT:
        yield Finding(
            code="onednn-full-range",
            severity=Severity.WARNING,
            subject="onednn",
            message="onednn keeps the full activation range, which saturates without VNNI: answers lose accuracy.",
            why="Pairs of products are added in 16 bits and overflow; fbgemm keeps activations to 7 bits against that.",
            advice=situation.way_out,
        )


def onednn_without_sse4(situation: Situation) -> Iterator[Finding]:
    """Below SSE4.1 oneDNN has no kernels, only code that shows what a kernel should compute."""
    hardware = situation.hardware
    without_kernels = hardware.arch == "x86_64" and _kernels_of_onednn(hardware) is Told.ABSENT
    if situation.engine == "onednn" and without_kernels:
        yield Finding(
            code="onednn-without-sse4",
            severity=Severity.ERROR,
            subject="onednn",
            message=f"{without(hardware, 'SSE4.1')}, which onednn needs at least.",
            why="Without it oneDNN has only reference code, which is many times slower.",
            advice=situation.way_out,
        )


def _kernels_of_onednn(hardware: Hardware) -> Told:
    """Whether oneDNN has int8 kernels for an x86 processor: its lowest step is SSE41, which every level includes."""
    return Told.THERE if hardware.levels else hardware.tells_flag("sse4_1")


def engine_missing(situation: Situation) -> Iterator[Finding]:
    """The engine asked for is not in the installed torch, although the processor would allow it."""
    hardware, engine = situation.hardware, situation.engine
    built = engines_of_torch(hardware)
    if not built or engine not in INT8_ENGINES or engine in built:
        return
    if engine in _FBGEMM_KIND and hardware.tells("avx2") is Told.ABSENT:
        return  # the processor's fault, not the build's
    yield Finding(
        code="engine-missing",
        severity=Severity.ERROR,
        subject=engine,
        message=f"The installed torch has no {engine}; it has {', '.join(built)}.",
        why='torch was built without it, and conversion would end with "Didn\'t find engine for operation".',
        advice=f"Type --engines {situation.recommended.engine or built[0]}, or install another build of torch.",
    )
