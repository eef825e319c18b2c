"""Rules about an engine on the machine: what would be wrong with choosing it there. Pure."""

from collections.abc import Iterator

from int8bench.machine import Hardware, Told
from int8bench.machine.finding import Finding, Situation, error, finding_of, how_to_choose, warning, without
from int8bench.machine.levels import ARM, X86
from int8bench.machine.rules.choice import INT8_ENGINES, dot_products, engines_of_torch, listed, x86_reaches_onednn
from int8bench.machine.rules.limits import exactness_of_onednn

_FBGEMM_KIND = ("fbgemm", "x86")
_ON_ARM = {"fbgemm": "fbgemm-on-arm", "x86": "x86-on-arm"}
OUTDONE_NOTICEABLY = "fbgemm-outdone/noticeably"  # where AVX-VNNI is all that there is


def qnnpack_on_x86(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where qnnpack runs on x86: the mismatch that started all this."""
    if situation.engine == "qnnpack" and situation.hardware.isa_family == X86:
        yield error("qnnpack-on-x86", "qnnpack", way_out=situation.way_out)


def fbgemm_without_avx2(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where fbgemm, and x86 which is built on it, refuse to run."""
    hardware = situation.hardware
    if hardware.arch == "x86_64" and hardware.tells("avx2") is Told.ABSENT:
        yield finding_of(
            situation.severity_for(*_FBGEMM_KIND),
            "fbgemm-without-avx2",
            situation.engine if situation.engine in _FBGEMM_KIND else "fbgemm",
            without=without(hardware, "AVX2"),
            way_out=situation.way_out,
        )


def fbgemm_kind_on_arm(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where an engine for x86 is asked for on ARM."""
    if situation.engine in _FBGEMM_KIND and situation.hardware.isa_family == ARM:
        yield error(
            _ON_ARM[situation.engine], situation.engine, name=situation.hardware.name, way_out=situation.way_out
        )


def qnnpack_without_neon(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where a 32-bit ARM has no NEON; every 64-bit ARM has it."""
    hardware = situation.hardware
    if hardware.arch == "arm" and hardware.tells("neon") is Told.ABSENT:
        yield finding_of(
            situation.severity_for("qnnpack"),
            "qnnpack-without-neon",
            "qnnpack",
            without=without(hardware, "NEON"),
            way_out=situation.way_out,
        )


def onednn_on_arm(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where onednn is asked for on ARM: by chance there on Linux, never on Apple's systems."""
    hardware = situation.hardware
    if situation.engine != "onednn" or hardware.isa_family != ARM:
        return
    absent = hardware.os == "Darwin" and "onednn" not in (engines_of_torch(hardware) or ())
    if absent:
        yield error("onednn-on-arm/apple", "onednn", way_out=situation.way_out)
    else:
        yield warning("onednn-on-arm", "onednn", way_out=situation.way_out)


def fbgemm_outdone(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where VNNI or AMX would do more under another engine."""
    hardware = situation.hardware
    exact = dot_products(hardware)
    better = _faster_than_fbgemm(hardware)
    if situation.engine == "fbgemm" and "avx2" in hardware.levels and exact and better:
        yield warning(
            OUTDONE_NOTICEABLY if exact == ("avx_vnni",) else "fbgemm-outdone",
            "fbgemm",
            levels=listed(exact),
            better=" or ".join(better),
            how_to_choose=how_to_choose(better[0]),
        )


def x86_is_fbgemm(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the processor has VNNI, and the x86 engine does not use it."""
    hardware = situation.hardware
    idle = dot_products(hardware) and not x86_reaches_onednn(hardware)
    if situation.engine == "x86" and hardware.isa_family == X86 and idle:
        yield warning("x86-is-fbgemm", "x86", levels=listed(dot_products(hardware)), way_out=situation.way_out)


def _faster_than_fbgemm(hardware: Hardware) -> tuple[str, ...]:
    """Return the engines that reach the processor's VNNI or AMX, of those that the installed torch has."""
    engines = ("x86", "onednn") if x86_reaches_onednn(hardware) else ("onednn",)
    built = engines_of_torch(hardware)
    return engines if built is None else tuple(engine for engine in engines if engine in built)


def onednn_full_range(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where onednn has full-range activations without VNNI, as long as no probe has measured them."""
    hardware = situation.hardware
    unmeasured = situation.engine == "onednn" and "onednn" not in situation.probes
    has_kernels = hardware.arch == "x86_64" and _kernels_of_onednn(hardware) is Told.THERE
    if unmeasured and has_kernels and exactness_of_onednn(hardware) is Told.ABSENT:
        yield warning("onednn-full-range", "onednn", way_out=situation.way_out)


def onednn_without_sse4(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where oneDNN has no kernels: below SSE4.1 it has only code that shows their arithmetic."""
    hardware = situation.hardware
    without_kernels = hardware.arch == "x86_64" and _kernels_of_onednn(hardware) is Told.ABSENT
    if situation.engine == "onednn" and without_kernels:
        yield error("onednn-without-sse4", "onednn", without=without(hardware, "SSE4.1"), way_out=situation.way_out)


def _kernels_of_onednn(hardware: Hardware) -> Told:
    """Tell whether oneDNN has int8 kernels for an x86 processor: from SSE4.1 on, which every level includes."""
    return Told.THERE if hardware.levels else hardware.tells_flag("sse4_1")


def engine_missing(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where the installed torch lacks the engine asked for, although the processor would allow it."""
    hardware, engine = situation.hardware, situation.engine
    built = engines_of_torch(hardware)
    if not built or engine not in INT8_ENGINES or engine in built:
        return
    if engine in _FBGEMM_KIND and hardware.tells("avx2") is Told.ABSENT:
        return  # the processor's fault, not the build's
    yield error("engine-missing", engine, built=", ".join(built), instead=situation.recommended.engine or built[0])
