"""Which int8 engine fits a machine, by rule, and why. Pure; what was measured on the machine overrules it elsewhere."""

from collections.abc import Mapping
from difflib import get_close_matches

from int8bench.errors import RequestError
from int8bench.machine import Hardware, Told
from int8bench.machine.finding import EngineChoice, SaturationProbe
from int8bench.machine.levels import ARM, INT8_DOT_PRODUCTS, UNKNOWN, X86

INT8_ENGINES = ("fbgemm", "x86", "onednn", "qnnpack")
KNOWN_ENGINES = ("torch", *INT8_ENGINES)  # torch is float32, raced along with all of them
NO_ENGINE = "none"  # torch's own name for having no quantized engine

LEVEL_NAMES = {
    "sse4": "SSE4",
    "avx": "AVX",
    "avx2": "AVX2",
    "fma": "FMA",
    "avx512": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX-512 VNNI",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "neon": "NEON",
    "dotprod": "dot product",
    "i8mm": "int8 matrix multiply",
    "sve": "SVE",
    "sve2": "SVE2",
    "bf16": "bf16",
}
_LINUX = {"Linux", UNKNOWN}
_UNTOLD = "the instructions of this CPU are not told"


def check_engine(name: str) -> None:
    """Refuse an engine that no rule knows.

    Raises:
        RequestError: names the engines that are known, and the closest.
    """
    if name in KNOWN_ENGINES:
        return
    close = get_close_matches(name.lower(), KNOWN_ENGINES, n=1)
    raise RequestError(
        f"engine {name!r}: not known; expected one of {', '.join(KNOWN_ENGINES)}; "
        f"type --engine {close[0] if close else 'fbgemm'}"
    )


def listed(levels: tuple[str, ...]) -> str:
    """Return levels as a person reads them: ``AVX-512 VNNI and AMX int8``."""
    names = [LEVEL_NAMES.get(level, level) for level in levels]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def dot_products(hardware: Hardware) -> tuple[str, ...]:
    """Return the levels of an x86 processor that multiply int8 and add up in 32 bits."""
    return tuple(level for level in hardware.levels if level in INT8_DOT_PRODUCTS[X86])


def engines_of_torch(hardware: Hardware) -> tuple[str, ...] | None:
    """Return the quantized engines that the installed torch has; None where torch was not asked."""
    if hardware.torch is None:
        return None
    return tuple(engine for engine in hardware.torch.supported_engines if engine != NO_ENGINE)


def preference(hardware: Hardware) -> tuple[tuple[str, ...], str]:
    """Return the engines that fit a processor, best first, and the reason."""
    if hardware.isa_family == X86:
        return _x86_preference(hardware)
    if hardware.isa_family != ARM:
        return (), f"torch is built without int8 kernels for {hardware.arch}"
    if hardware.arch == "arm64" or "neon" in hardware.levels:
        return ("qnnpack",), "ARM with NEON, which qnnpack's kernels are written for"
    if hardware.tells("neon") is Told.UNTOLD:
        return (), _UNTOLD
    return (), "ARM without NEON, which qnnpack's kernels need"


def recommend(hardware: Hardware, probes: Mapping[str, SaturationProbe] | None = None) -> EngineChoice:
    """Return the engine to choose: by rule, unless what was measured on the machine speaks against the rule's choice.

    Args:
        hardware: of any machine.
        probes: what was measured of engines, by their names.
    """
    by_rule = _by_rule(hardware)
    measured = probes or {}
    probe = measured.get(by_rule.engine or "")
    if probe is None or not probe.saturates:
        return by_rule
    exact = [name for name in preference(hardware)[0] if name in measured and not measured[name].saturates]
    return EngineChoice(
        engine=exact[0] if exact else None,
        basis=f"measured here: {by_rule.engine}, the rule's choice, saturates on this CPU "
        f"({probe.sqnr_db:.1f} dB against exact integers)",
    )


def _by_rule(hardware: Hardware) -> EngineChoice:
    """Return the best that fits the processor and that the installed torch has."""
    engines, reason = preference(hardware)
    built = engines_of_torch(hardware)
    there = engines if built is None else tuple(engine for engine in engines if engine in built)
    if there == engines[: len(there)]:
        missing = "" if there or not engines else f", but this torch has no {' or '.join(engines)}"
        return EngineChoice(engine=there[0] if there else None, basis=f"rule: {reason}{missing}")
    lacking = " or ".join(engines[: engines.index(there[0])])
    return EngineChoice(
        engine=there[0], basis=f"rule: {reason}; {there[0]} is next best, since this torch has no {lacking}"
    )


def x86_reaches_onednn(hardware: Hardware) -> bool:
    """Tell whether the x86 engine hands work to oneDNN: on Linux, with AVX-512 VNNI; else it is fbgemm.

    From should_use_onednn_quant in torch's ATen/native/quantized/cpu/OnednnUtils.h; AVX-VNNI alone does not count.
    """
    return hardware.os in _LINUX and "avx512_vnni" in hardware.levels


def _x86_preference(hardware: Hardware) -> tuple[tuple[str, ...], str]:
    exact = dot_products(hardware)
    if hardware.arch != "x86_64":
        return (), "32-bit x86, for which torch's int8 engines are not built"
    avx2 = hardware.tells("avx2")
    if avx2 is not Told.THERE:
        return (), _UNTOLD if avx2 is Told.UNTOLD else _without_avx2(hardware)
    if exact and x86_reaches_onednn(hardware):
        return ("x86", "onednn", "fbgemm"), f"{listed(exact)}, which x86 uses through oneDNN"
    if exact:
        return ("onednn", "fbgemm", "x86"), f"{listed(exact)}, which onednn uses, and x86 does not on this system"
    if hardware.int8_dot_product is Told.UNTOLD:
        return ("fbgemm", "x86"), "AVX2, which fbgemm runs on; whether VNNI is there as well is not told"
    width = "AVX-512" if "avx512" in hardware.levels else "AVX2"
    reason = f"{width} without VNNI, where fbgemm keeps activations to 7 bits so that nothing saturates"
    return ("fbgemm", "x86"), reason


def _without_avx2(hardware: Hardware) -> str:
    needed = "no AVX2, without which fbgemm and x86 refuse to run, and qnnpack has only SSE2 kernels here"
    return needed if hardware.cpu_type is None else f"{needed}; {hardware.cpu_type} masks what the processor has"
