"""All rules in one table, and what asks them. Pure."""

from collections.abc import Callable, Iterator, Mapping

from int8bench.machine import Hardware
from int8bench.machine.finding import Finding, SaturationProbe, Severity, Situation
from int8bench.machine.rules import fit, limits, machine
from int8bench.machine.rules.choice import check_engine, recommend

Rule = Callable[[Situation], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    machine.no_quantized_engine,
    fit.qnnpack_on_x86,
    fit.fbgemm_without_avx2,
    fit.fbgemm_kind_on_arm,
    fit.qnnpack_without_neon,
    fit.onednn_without_sse4,
    fit.engine_missing,
    machine.saturating_activations,
    fit.onednn_full_range,
    fit.fbgemm_outdone,
    fit.onednn_on_arm,
    machine.recommended_engine_missing,
    machine.default_engine_differs,
    limits.isa_limited_by_environment,
    machine.torch_dispatches_below_cpu,
    machine.threads_above_cores,
    machine.quota_below_cores,
    machine.cpu_witnesses_disagree,
    machine.emulated_cpu,
    machine.listing_cut,
    machine.instructions_untold,
    machine.instructions_masked,
    machine.intel_mac,
    machine.thirty_two_bit_system,
    fit.x86_is_fbgemm,
    machine.no_int8_dot_product,
    machine.bf16_silently_used,
    machine.kinds_of_cores,
    machine.virtual_machine,
    machine.cpu_time_stolen,
)
_ORDER = tuple(Severity)


def inspect(
    hardware: Hardware,
    *,
    engine: str | None = None,
    threads: tuple[int, ...] = (),
    probes: Mapping[str, SaturationProbe] | None = None,
) -> tuple[Finding, ...]:
    """Return what is worth saying of a machine, and of choosing an engine and threads there; the worst first.

    Args:
        hardware: of any machine.
        engine: that is asked for; None for none.
        threads: that are asked for.
        probes: what was measured of engines, by their names.

    Raises:
        RequestError: no rule knows the engine, and no probe has measured it.
    """
    if engine is not None and engine not in (probes or {}):
        check_engine(engine)
    situation = Situation(
        hardware=hardware, engine=engine, threads=threads, probes=probes or {}, recommended=recommend(hardware, probes)
    )
    findings = [finding for rule in RULES for finding in rule(situation)]
    return tuple(sorted(findings, key=lambda finding: _ORDER.index(finding.severity)))
