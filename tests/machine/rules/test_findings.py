"""The rules: what is said of each recorded machine, and when each rule speaks and keeps silent."""

from dataclasses import replace
from pathlib import Path

import pytest

from int8bench import documents
from int8bench.errors import RequestError
from int8bench.machine import Hardware, TorchView, load, rules
from int8bench.machine.finding import SaturationProbe, Severity, ShownFinding
from int8bench.machine.rules.choice import INT8_ENGINES

GOLDEN = Path(__file__).parents[2] / "golden" / "hardware"

E, W, N = Severity.ERROR, Severity.WARNING, Severity.NOTE
MISFIT = ("qnnpack-on-x86", E)
FULL_RANGE = ("onednn-full-range", W)
OUTDONE = ("fbgemm-outdone", W)
NO_DOT = ("no-int8-dot-product", N)
BF16 = ("bf16-silently-used", N)
VM = ("virtual-machine", N)
MAC = ("intel-mac", W)
KINDS = ("kinds-of-cores", N)
ON_ARM = {
    "fbgemm": [("fbgemm-on-arm", E)],
    "x86": [("x86-on-arm", E)],
    "onednn": [("onednn-on-arm", W)],
    "qnnpack": [],
}
AVX2_ONLY = {"fbgemm": [], "x86": [], "onednn": [FULL_RANGE], "qnnpack": [MISFIT]}
WITH_VNNI = {"fbgemm": [OUTDONE], "x86": [], "onednn": [], "qnnpack": [MISFIT]}
ON_APPLE = {**ON_ARM, "onednn": [("onednn-on-arm", E)]}
WITHOUT_AVX2 = {
    "fbgemm": [("fbgemm-without-avx2", E)],
    "x86": [("fbgemm-without-avx2", E)],
    "onednn": [FULL_RANGE],
    "qnnpack": [MISFIT],
}
NOWHERE = {engine: [("no-quantized-engine", E)] for engine in INT8_ENGINES}

# name: recommended engine, findings about the machine alone, findings that choosing an engine adds or makes worse
RULED = {
    "bgq-rhel6-power7": (None, [("no-quantized-engine", W)], NOWHERE),
    "darwin-bigsur-m1": ("qnnpack", [], ON_APPLE),
    "darwin-mojave-haswell": ("fbgemm", [NO_DOT, MAC], AVX2_ONLY),
    "darwin-monterey-m1": ("qnnpack", [KINDS], ON_APPLE),
    "darwin-sequoia-m4": ("qnnpack", [BF16, KINDS], ON_APPLE),
    "linux-amazon-cortex_a72": ("qnnpack", [NO_DOT], ON_ARM),
    "linux-amazon-neoverse_v1": ("qnnpack", [BF16], ON_ARM),
    "linux-centos7-cascadelake": ("x86", [], WITH_VNNI),
    "linux-kvm-intel-amx": ("x86", [BF16, VM], WITH_VNNI),
    "linux-kvm-intel-amx.torch.json": ("x86", [BF16], WITH_VNNI),
    "linux-rhel7-haswell": ("fbgemm", [NO_DOT], AVX2_ONLY),
    "linux-rhel6-piledriver": (None, [("fbgemm-without-avx2", W)], WITHOUT_AVX2),
    "linux-rhel7-ivybridge": (None, [("fbgemm-without-avx2", W)], WITHOUT_AVX2),
    "linux-rhel7-skylake_avx512": ("fbgemm", [NO_DOT], AVX2_ONLY),
    "linux-rocky8-a64fx": ("qnnpack", [NO_DOT], ON_ARM),
    "linux-rocky9-zen5": ("x86", [BF16], WITH_VNNI),
    "linux-scientific7-k10": (
        None,
        [("fbgemm-without-avx2", W)],
        {**WITHOUT_AVX2, "onednn": [("onednn-without-sse4", E)]},
    ),
    "linux-rocky8.5-zen4": ("x86", [BF16], WITH_VNNI),
    "linux-sifive-u74mc": (None, [("no-quantized-engine", W)], NOWHERE),
    "linux-ubuntu20.04-zen3": ("fbgemm", [NO_DOT], AVX2_ONLY),
    "linux-ubuntu24.04-alderlake": ("onednn", [KINDS], {**WITH_VNNI, "x86": [("x86-is-fbgemm", W)]}),
    "linux-ubuntu26.04-olympus": ("qnnpack", [BF16], ON_ARM),
    "linux-unknown-power10": (None, [("no-quantized-engine", W)], NOWHERE),
    "linux-unknown-sapphirerapids": ("x86", [BF16], WITH_VNNI),
}

ZEN3 = load(GOLDEN / "linux-ubuntu20.04-zen3")
SPR = load(GOLDEN / "linux-unknown-sapphirerapids")
IVY = load(GOLDEN / "linux-rhel7-ivybridge")
A72 = load(GOLDEN / "linux-amazon-cortex_a72")
RISCV = load(GOLDEN / "linux-sifive-u74mc")
X86_BUILD = TorchView(
    version="2.14.1",
    capability="AVX512",
    supported_engines=("qnnpack", "onednn", "x86", "fbgemm"),
    default_engine="x86",
)


def said(machine: Hardware, **asked: object) -> dict[str, ShownFinding]:
    """The findings by code; two of one code would be a fault of the test."""
    found = rules.inspect(machine, **asked)
    assert len({each.code for each in found}) == len(found)
    return {each.code: each.shown for each in found}


def spoken(machine: Hardware, **asked: object) -> set[tuple[str, Severity]]:
    """The codes and severities of the findings."""
    return {(each.code, each.severity) for each in rules.inspect(machine, **asked)}


def test_every_recording_is_ruled() -> None:
    """A recording without an expectation is not tested."""
    assert sorted(RULED) == sorted(path.name for path in GOLDEN.iterdir() if path.name != "README.md")


@pytest.mark.parametrize("name", RULED)
def test_a_recorded_machine_gets_its_recommendation(name: str) -> None:
    """By rule, with a reason."""
    recommended = rules.recommend(load(GOLDEN / name))
    assert recommended.engine == RULED[name][0]
    assert recommended.basis.startswith("rule: ")


@pytest.mark.parametrize("name", RULED)
def test_a_recorded_machine_gets_its_findings(name: str) -> None:
    """Without an engine, what is worth knowing of the machine."""
    assert spoken(load(GOLDEN / name)) == set(RULED[name][1])


@pytest.mark.parametrize("engine", INT8_ENGINES)
@pytest.mark.parametrize("name", RULED)
def test_choosing_an_engine_adds_what_is_wrong_with_it(name: str, engine: str) -> None:
    """An engine that does not fit is an error; the machine's own findings stay, or become the error."""
    added = RULED[name][2][engine]
    kept = [each for each in RULED[name][1] if each[0] not in {code for code, _ in added}]
    assert spoken(load(GOLDEN / name), engine=engine) == {*kept, *added}


def test_float32_has_nothing_wrong_with_it() -> None:
    """The engine torch runs float32, to which no rule about int8 applies."""
    for name, (_, alone, _) in RULED.items():
        assert spoken(load(GOLDEN / name), engine="torch") == set(alone)


def test_an_unknown_engine_is_refused_with_the_closest() -> None:
    """The sentence says what is known and what to type."""
    with pytest.raises(RequestError, match=r"'fbgem': not known; expected one of torch, fbgemm, .*--engine fbgemm"):
        rules.inspect(ZEN3, engine="fbgem")


def test_a_finding_is_written_whole() -> None:
    """Six texts."""
    finding = said(ZEN3, engine="qnnpack")["qnnpack-on-x86"]
    assert documents.written(finding) == {
        "code": "qnnpack-on-x86",
        "severity": "error",
        "subject": "qnnpack",
        "message": "qnnpack runs on x86, but several times slower than what is made for it, often below float32.",
        "why": "Its kernels are written for ARM's NEON; on x86 there is only a plain SSE2 version.",
        "advice": 'Type: int8bench run --engines fbgemm; in your own code: torch.backends.quantized.engine = "fbgemm"',
    }


def test_the_worst_comes_first() -> None:
    """Errors, then warnings, then notes."""
    order = [each.severity for each in rules.inspect(SPR, engine="qnnpack", threads=(1000,))]
    assert order == [E, W, N]


def test_without_a_fit_the_way_out_is_float32() -> None:
    """Nothing is recommended that does not run."""
    assert "Stay with float32" in said(IVY, engine="qnnpack")["qnnpack-on-x86"].advice


@pytest.mark.parametrize(
    ("machine", "engines", "recommended", "basis"),
    [
        (SPR, ("x86", "onednn", "fbgemm"), "x86", "AMX int8"),
        (SPR, ("onednn", "fbgemm", "qnnpack"), "onednn", "next best, since this torch has no x86"),
        (SPR, ("fbgemm",), "fbgemm", "no x86 or onednn"),
        (SPR, ("qnnpack",), None, "this torch has no x86 or onednn or fbgemm"),
        (ZEN3, ("onednn", "x86"), "x86", "next best"),
        (A72, ("none",), None, "this torch has no qnnpack"),
        (A72, ("qnnpack", "none"), "qnnpack", "NEON"),
        (RISCV, ("none",), None, "without int8 kernels for riscv64"),
    ],
)
def test_the_build_of_torch_has_a_say(
    machine: Hardware, engines: tuple[str, ...], recommended: str | None, basis: str
) -> None:
    """The next best that is there, and the reason names what is missing."""
    found = rules.recommend(replace(machine, torch=TorchView(supported_engines=engines)))
    assert found.engine == recommended
    assert basis in found.basis


def test_an_arm_without_neon_stays_with_float32() -> None:
    """The first Raspberry Pi."""
    machine = Hardware(arch="arm", flags=frozenset({"half", "thumb", "vfp"}))
    assert rules.recommend(machine).engine is None
    assert spoken(machine) == {("32-bit-system", W), ("qnnpack-without-neon", W)}
    assert spoken(machine, engine="qnnpack") == {("32-bit-system", W), ("qnnpack-without-neon", E)}


def test_a_32_bit_x86_has_no_engine_whatever_its_instructions() -> None:
    """A 32-bit system on a new processor: torch's engines need 64 bits."""
    machine = replace(ZEN3, arch="i686")
    assert rules.recommend(machine).engine is None
    assert spoken(machine) == {("32-bit-system", W), ("no-quantized-engine", W)}
    assert spoken(machine, engine="fbgemm") == {("32-bit-system", W), ("no-quantized-engine", E)}


@pytest.mark.parametrize(
    ("arch", "engine", "also"),
    [("x86_64", None, set()), ("arm", None, {("32-bit-system", W)}), ("arm64", "qnnpack", set())],
)
def test_nothing_is_claimed_of_instructions_that_were_not_told(
    arch: str, engine: str | None, also: set[tuple[str, Severity]]
) -> None:
    """A description without flags, or an emulator that hides them; 64-bit ARM has NEON all the same."""
    machine = Hardware(arch=arch)
    assert rules.recommend(machine).engine == engine
    for asked in (None, "fbgemm") if arch == "x86_64" else (None, "qnnpack"):
        assert spoken(machine, engine=asked) == {("instructions-untold", W), *also}


def test_rosetta_is_no_intel_mac() -> None:
    """Torch is published for the processor underneath; where torch was asked, it is plainly there."""
    mac = replace(ZEN3, os="Darwin")
    assert MAC in spoken(mac)
    assert MAC not in spoken(replace(mac, emulated="Rosetta 2"))
    assert MAC not in spoken(replace(mac, torch=replace(X86_BUILD, default_engine="fbgemm", capability=None)))


def test_a_torch_with_onednn_on_a_mac_is_believed() -> None:
    """One's own build; the released ones have none."""
    mac = replace(A72, os="Darwin")
    assert ("onednn-on-arm", E) in spoken(mac, engine="onednn")
    built = TorchView(supported_engines=("qnnpack", "onednn"), default_engine="qnnpack")
    assert ("onednn-on-arm", W) in spoken(replace(mac, torch=built), engine="onednn")


def test_avx_vnni_alone_promises_less() -> None:
    """How much better than fbgemm depends on the width."""
    alder = load(GOLDEN / "linux-ubuntu24.04-alderlake")
    message = said(alder, engine="fbgemm")["fbgemm-outdone"].message
    assert message == "This CPU has AVX-VNNI: onednn can be noticeably faster than fbgemm."
    assert (
        "x86 or onednn can be several times as fast as fbgemm" in said(SPR, engine="fbgemm")["fbgemm-outdone"].message
    )


def test_vnni_under_another_system_is_reached_by_onednn() -> None:
    """Outside Linux x86 is fbgemm, whatever the processor has."""
    machine = replace(SPR, os="Windows")
    assert rules.recommend(machine).engine == "onednn"
    assert ("x86-is-fbgemm", W) in spoken(machine, engine="x86")
    assert said(machine, engine="fbgemm")["fbgemm-outdone"].message.count("x86") == 0


def test_nothing_outdoes_fbgemm_where_torch_has_nothing_better() -> None:
    """A build with fbgemm alone; that it lacks the best is told instead."""
    machine = replace(SPR, torch=TorchView(supported_engines=("fbgemm",), default_engine="fbgemm"))
    assert spoken(machine, engine="fbgemm") == {("engine-missing", W), BF16}


def test_an_engine_that_the_build_lacks_is_an_error() -> None:
    """Its own fault, told once; the sentence names what is there."""
    machine = replace(SPR, torch=replace(X86_BUILD, supported_engines=("fbgemm", "x86")))
    finding = said(machine, engine="onednn")["engine-missing"]
    assert (finding.severity, finding.subject) == (E, "onednn")
    assert "fbgemm, x86" in finding.message


def test_an_engine_that_the_processor_refuses_is_not_called_missing() -> None:
    """Torch leaves fbgemm out on such a processor, which no other build would mend."""
    machine = replace(IVY, torch=TorchView(supported_engines=("qnnpack", "onednn")))
    assert "engine-missing" not in said(machine, engine="fbgemm")


def test_a_build_without_engines_is_told() -> None:
    """NoQEngine."""
    machine = replace(A72, torch=TorchView(version="2.6", supported_engines=("none",), default_engine="none"))
    assert "this build (2.6)" in said(machine)["no-quantized-engine"].message
    assert said(machine, engine="qnnpack")["no-quantized-engine"].severity is E


@pytest.mark.parametrize(
    ("machine", "default", "severity"),
    [
        (SPR, "fbgemm", W),
        (SPR, "x86", None),
        (ZEN3, "x86", N),
        (ZEN3, "qnnpack", W),
        (A72, "none", W),
        (IVY, "onednn", None),
    ],
)
def test_a_default_engine_that_does_not_fit_is_told(machine: Hardware, default: str, severity: Severity | None) -> None:
    """A note where both come to the same, nothing where nothing is recommended."""
    view = replace(X86_BUILD, default_engine=default, capability=None)
    finding = said(replace(machine, torch=view)).get("default-engine-differs")
    assert (finding.severity if finding else None) == severity


@pytest.mark.parametrize(
    ("machine", "name", "value", "held"),
    [
        (SPR, "ATEN_CPU_CAPABILITY", "avx2", "AVX-512"),
        (SPR, "ATEN_CPU_CAPABILITY", "default", "AVX2 and AVX-512"),
        (SPR, "ATEN_CPU_CAPABILITY", "avx512", None),
        (ZEN3, "ATEN_CPU_CAPABILITY", "avx2", None),
        (SPR, "ONEDNN_MAX_CPU_ISA", "AVX512_CORE", "AVX-VNNI, AVX-512 VNNI and AMX int8"),
        (SPR, "ONEDNN_MAX_CPU_ISA", "avx512_core_vnni", "AMX int8"),
        (SPR, "DNNL_MAX_CPU_ISA", "AVX2", "AVX-512, AVX-VNNI, AVX-512 VNNI and AMX int8"),
        (SPR, "ONEDNN_MAX_CPU_ISA", "ALL", None),
        (SPR, "ONEDNN_MAX_CPU_ISA", "nonsense", None),
        (SPR, "FBGEMM_ENABLE_INSTRUCTIONS", "AVX512", "AVX-512 VNNI"),
        (SPR, "FBGEMM_ENABLE_INSTRUCTIONS", "AVX512_E1", None),
        (SPR, "MKL_ENABLE_INSTRUCTIONS", "AVX2", "AVX-512"),
        (ZEN3, "MKL_ENABLE_INSTRUCTIONS", "AVX2", None),
        (A72, "ATEN_CPU_CAPABILITY", "default", None),
    ],
)
def test_a_variable_that_holds_the_isa_back_is_told(machine: Hardware, name: str, value: str, held: str | None) -> None:
    """Only where the processor has what is held back."""
    finding = said(replace(machine, isa_environment={name: value})).get("isa-limited-by-environment")
    assert (finding is None) == (held is None)
    if finding and held:
        assert finding.message == f"{name}={value} holds back {held}, which this CPU has."
        assert finding.advice == f"Type: unset {name}"


def test_a_variable_that_takes_vnni_away_lets_onednn_saturate() -> None:
    """The processor could do better, the variable decides."""
    limited = replace(SPR, isa_environment={"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"})
    assert "onednn-full-range" in said(limited, engine="onednn")
    assert "onednn-full-range" not in said(SPR, engine="onednn")


def test_torch_that_dispatches_lower_than_it_could_is_told() -> None:
    """Once: a variable that asks for it is another finding."""
    below = replace(SPR, torch=replace(X86_BUILD, capability="AVX2"))
    assert "torch-dispatches-below-cpu" in said(below)
    asked = replace(below, isa_environment={"ATEN_CPU_CAPABILITY": "avx2"})
    assert "torch-dispatches-below-cpu" not in said(asked)
    assert "torch-dispatches-below-cpu" not in said(replace(SPR, torch=X86_BUILD))
    assert "torch-dispatches-below-cpu" not in said(replace(ZEN3, torch=replace(X86_BUILD, capability="AVX2")))


def test_measured_saturation_overrules_the_rule() -> None:
    """A probe that found none silences the rule; one that found some speaks with its figure."""
    clean = {"onednn": SaturationProbe(engine="onednn", sqnr_db=55.9, saturates=False)}
    assert spoken(ZEN3, engine="onednn", probes=clean) == {NO_DOT}
    wrong = {"onednn": SaturationProbe(engine="onednn", sqnr_db=7.7, saturates=True)}
    finding = said(ZEN3, engine="onednn", probes=wrong)["saturating-activations"]
    assert (finding.severity, finding.subject) == (E, "onednn")
    assert "7.7 dB" in finding.message
    assert spoken(ZEN3, probes=wrong) == {("saturating-activations", W), NO_DOT}


def test_a_measured_saturation_changes_the_recommendation_and_what_to_type() -> None:
    """The next of those that fit and were seen exact; without one, float32."""
    saturated = SaturationProbe(engine="x86", sqnr_db=7.7, saturates=True)
    exact = {
        name: SaturationProbe(engine=name, sqnr_db=50.0, saturates=False) for name in ("fbgemm", "qnnpack", "onednn")
    }
    probes = {**exact, "x86": saturated}
    assert rules.recommend(SPR, exact) == rules.recommend(SPR)
    found = rules.recommend(SPR, probes)
    assert (found.engine, found.basis.partition(": ")[0]) == ("onednn", "measured here")
    assert "7.7 dB" in found.basis
    assert "--engines onednn;" in said(SPR, engine="x86", probes=probes)["saturating-activations"].advice
    assert rules.recommend(SPR, {"x86": saturated, "qnnpack": exact["qnnpack"]}).engine is None


@pytest.mark.parametrize(
    ("usable", "logical", "threads", "told"),
    [
        (2, 8, (1, 2), []),
        (2, 8, (1, 3, 4), ["3 threads", "4 threads"]),
        (None, 8, (9,), ["9 threads"]),
        (None, None, (9,), []),
    ],
)
def test_more_threads_than_cores_are_told(
    usable: int | None, logical: int | None, threads: tuple[int, ...], told: list[str]
) -> None:
    """Against the usable cores, or all of them where only those are known."""
    machine = replace(SPR, usable_cores=usable, logical_cores=logical)
    found = [each for each in rules.inspect(machine, threads=threads) if each.code == "threads-above-cores"]
    assert [each.subject for each in found] == told


def test_a_quota_below_the_cores_is_told() -> None:
    """A container with 2.5 of 64 cores, and one with all of them."""
    machine = replace(SPR, logical_cores=64, usable_cores=2, cgroup_quota=2.5)
    finding = said(machine)["cpu-quota-below-cores"]
    assert "2.5 cores of the 64" in finding.message
    assert finding.advice == "Type: export OMP_NUM_THREADS=2"
    assert "cpu-quota-below-cores" not in said(replace(machine, usable_cores=64, cgroup_quota=64.0))


def test_witnesses_that_disagree_are_named() -> None:
    """py-cpuinfo, torch, or both; flags that decide no level do not count."""
    by_torch = replace(X86_BUILD, flags=SPR.flags - {"amx_int8", "fpu"})
    message = said(replace(SPR, torch=by_torch))["cpu-witnesses-disagree"].message
    assert message == "The kernel and torch disagree on amx_int8."
    both = said(replace(SPR, torch=by_torch, disagreements=("avx2",)))["cpu-witnesses-disagree"].message
    assert both == "The kernel and py-cpuinfo and torch disagree on amx_int8, avx2."
    assert "cpu-witnesses-disagree" not in said(replace(SPR, torch=replace(X86_BUILD, flags=SPR.flags)))


def test_torch_beside_the_kernel_of_the_recorded_machine_agrees() -> None:
    """Two recordings of one machine, each in its own spelling."""
    kernel = load(GOLDEN / "linux-kvm-intel-amx")
    torch = load(GOLDEN / "linux-kvm-intel-amx.torch.json").torch
    assert "cpu-witnesses-disagree" not in said(replace(kernel, torch=torch))


def test_an_emulated_processor_is_told_with_the_cure() -> None:
    """Rosetta has another way out than QEMU."""
    assert "arch -arm64" in said(replace(ZEN3, emulated="Rosetta 2"))["emulated-cpu"].advice
    assert "-cpu host" in said(replace(ZEN3, emulated="QEMU TCG"))["emulated-cpu"].advice


@pytest.mark.parametrize(("share", "told"), [(None, False), (0.0, False), (0.009, False), (0.01, True), (0.4, True)])
def test_stolen_time_is_told_from_a_hundredth_up(share: float | None, told: bool) -> None:  # noqa: FBT001 - a table
    """Less is lost in the intervals."""
    assert ("cpu-time-stolen" in said(replace(SPR, steal_fraction=share))) == told


def test_a_hypervisor_is_named_where_its_name_is_known() -> None:
    """A note, since it may hide instructions."""
    assert said(replace(SPR, hypervisor="KVM"))["virtual-machine"].message == "This is a virtual machine (KVM)."
    assert said(replace(SPR, hypervisor="unnamed"))["virtual-machine"].message == "This is a virtual machine."


@pytest.mark.parametrize(("flags", "said"), [({"sse2"}, True), ({"sse4_1"}, False), ({"avx2", "avx_vnni"}, False)])
def test_onednn_lacks_kernels_only_where_no_level_includes_them(flags: set[str], *, said: bool) -> None:
    """A listing that has AVX2 has what AVX2 is built on, though it does not list it."""
    found = rules.inspect(replace(ZEN3, flags=frozenset(flags)), engine="onednn")
    assert ("onednn-without-sse4" in {each.code for each in found}) is said
