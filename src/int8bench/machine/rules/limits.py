"""Environment variables that hold instruction sets back: what each value still allows, and the rule on them. Pure.

Values: oneDNN's and MKL's manuals (CPU dispatcher control), ATen's cpu/DispatchStub, fbgemm's Utils.
"""

from collections.abc import Iterator

from int8bench.machine import Hardware, Told
from int8bench.machine.finding import Finding, Situation, warning
from int8bench.machine.levels import INT8_DOT_PRODUCTS, X86, told_of_any
from int8bench.machine.rules.choice import listed

_AVX2 = frozenset({"avx2"})
_AVX512 = _AVX2 | {"avx512"}
_VNNI = _AVX512 | {"avx512_vnni", "avx_vnni"}
_ALL = _VNNI | {"amx_int8"}
_NONE = frozenset[str]()

_ONEDNN = {
    "SSE41": _NONE,
    "AVX": _NONE,
    "AVX2": _AVX2,
    "AVX2_VNNI": _AVX2 | {"avx_vnni"},
    "AVX2_VNNI_2": _AVX2 | {"avx_vnni"},
    "AVX512_CORE": _AVX512,
    "AVX512_CORE_VNNI": _VNNI,
    "AVX512_CORE_BF16": _VNNI,
    "AVX512_CORE_FP16": _VNNI,
    "AVX10_1_512": _VNNI,
    "AVX512_CORE_AMX": _ALL,
    "AVX512_CORE_AMX_FP16": _ALL,
    "AVX10_1_512_AMX": _ALL,
    "AVX10_1_512_AMX_FP16": _ALL,
    "AVX10_2_512": _VNNI,
    "AVX10_2_512_AMX_2": _ALL,
    "DEFAULT": _ALL,
    "ALL": _ALL,
}
_ATEN = {"DEFAULT": _NONE, "AVX2": _AVX2, "AVX512": _AVX512}
_FBGEMM = {"AVX2": _AVX2, "AVX512": _AVX512, "AVX512_E1": _VNNI, "AVX512_256": _AVX512, "AVX512_E1_256": _VNNI}
_MKL = {"SSE4_2": _NONE, "AVX": _NONE, "AVX2": _AVX2} | dict.fromkeys(
    ("AVX512", "AVX512_E1", "AVX512_E2", "AVX512_E3", "AVX512_E4", "AVX512_E5"), _AVX512
)

# Variable -> the levels that it has a say in, and what each of its values still allows.
_VARIABLES = {
    "ATEN_CPU_CAPABILITY": (_AVX512, _ATEN),
    "DNNL_MAX_CPU_ISA": (_ALL, _ONEDNN),
    "FBGEMM_ENABLE_INSTRUCTIONS": (_AVX512 | {"avx512_vnni"}, _FBGEMM),
    "MKL_ENABLE_INSTRUCTIONS": (_AVX512, _MKL),
    "ONEDNN_MAX_CPU_ISA": (_ALL, _ONEDNN),
}
_OF_ONEDNN = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def withheld(hardware: Hardware, name: str, setting: str) -> tuple[str, ...]:
    """Return the levels that the processor has and a variable's value holds back; none where the value is not known.

    Args:
        hardware: of the machine.
        name: of the variable.
        setting: its value.
    """
    governed, values = _VARIABLES.get(name, (_NONE, {}))
    allowed = values.get(setting.strip().upper(), governed)
    return tuple(level for level in hardware.levels if level in governed and level not in allowed)


def exactness_of_onednn(hardware: Hardware) -> Told:
    """Return what is told of instructions that add int8 products up in 32 bits, by which nothing of oneDNN saturates.

    There and free to use, not there or held back, or untold.
    """
    held = {
        level
        for name, value in hardware.isa_environment.items()
        if name in _OF_ONEDNN
        for level in withheld(hardware, name, value)
    }
    return told_of_any({hardware.tells(level) for level in INT8_DOT_PRODUCTS[X86] if level not in held})


def isa_limited_by_environment(situation: Situation) -> Iterator[Finding]:
    """Yield a finding where a variable holds back instruction sets that the processor has."""
    if situation.hardware.isa_family != X86:
        return
    for name, value in situation.hardware.isa_environment.items():
        held = withheld(situation.hardware, name, value)
        if held:
            yield warning("isa-limited-by-environment", name, value=value, levels=listed(held))
