import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from int8bench.engines import packages, registry
from int8bench.engines.base import Availability
from int8bench.engines.registry import engine_named, engine_names
from int8bench.errors import RequestError
from int8bench.machine import Hardware, TorchView

TORCHS = ("torch", "fbgemm", "x86", "onednn", "qnnpack")
OTHERS = ("onnxruntime", "openvino", "inductor", "executorch", "litert", "tflm", "tensorrt")
OURS = (*TORCHS, *OTHERS)


def machine_with(arch="x86_64", flags=frozenset({"sse4_1", "avx2"}), built=None, **told):
    """A machine whose torch has these engines, or was not asked."""
    torch = None if built is None else TorchView(supported_engines=built)
    return Hardware(arch=arch, flags=flags, torch=torch, os=told.pop("os", "Linux"), **told)


def test_every_engine_is_found_by_its_name():
    """The names listed are the names that find an engine."""
    assert engine_names() == OURS
    assert tuple(engine_named(name).name for name in OURS) == OURS


def test_variants_name_their_engine():
    """Torch offers float32 in two layouts, each of its quantized engines one int8 variant."""
    labels = [variant.label for name in TORCHS for variant in engine_named(name).variants]
    assert labels == [
        "torch float32 channels_last",
        "torch float32 nchw",
        "fbgemm int8",
        "x86 int8",
        "onednn int8",
        "qnnpack int8",
    ]


@pytest.mark.parametrize("name", OTHERS)
def test_engines_of_their_own_offer_int8_and_float32_where_they_have_it(name):
    """Each under its own name, once a precision."""
    variants = engine_named(name).variants
    assert {variant.engine for variant in variants} == {name}
    precisions = [variant.precision for variant in variants]
    assert len(set(precisions)) == len(precisions)
    assert "int8" in precisions
    assert ("float32" in precisions) is (name != "tflm")


def test_names_cost_no_torch():
    """The registry answers without torch being imported."""
    program = (
        "import sys; from int8bench.engines.registry import engine_names; engine_names(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("given", "close"), [("fbgem", "fbgemm"), ("QNNPACK", "qnnpack"), ("onedn", "onednn")])
def test_a_misspelt_engine_gets_the_close_one(given, close):
    """An unknown engine is refused with the known ones and the likely one."""
    with pytest.raises(RequestError) as refused:
        engine_named(given)
    assert str(refused.value) == (
        f"engine {given!r}: unknown, expected one of {', '.join(OURS)}; did you mean {close}?"
    )


def test_an_engine_like_no_other_gets_a_suggestion():
    """A name close to none still gets something to type."""
    with pytest.raises(RequestError, match="try fbgemm"):
        engine_named("zzz")


def test_another_package_adds_an_engine(monkeypatch):
    """An entry point of the group is listed, and loaded when it is asked for."""
    entry = EntryPoint(name="made-up", value="types:SimpleNamespace", group=registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (entry,) if group == entry.group else ())
    assert engine_names() == (*OURS, "made-up")
    assert type(engine_named("made-up")).__name__ == "SimpleNamespace"


@pytest.mark.parametrize("value", ["no_such_module:Engine", "types:no_such_thing", "math:pi"])
def test_an_engine_that_cannot_be_loaded_is_a_sentence(monkeypatch, value):
    """A broken entry point is a refused request that says what to do."""
    entry = EntryPoint(name="broken", value=value, group=registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (entry,) if group == entry.group else ())
    with pytest.raises(RequestError, match=r"engine 'broken': .* cannot be loaded: .*; reinstall the package"):
        engine_named("broken")


def test_our_names_cannot_be_taken(monkeypatch):
    """Another package's engine of the same name does not replace ours."""
    entry = EntryPoint(name="fbgemm", value="types:SimpleNamespace", group=registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (entry,) if group == entry.group else ())
    assert engine_names() == OURS
    assert engine_named("fbgemm").variants


@pytest.mark.parametrize(
    ("machine", "available"),
    [
        (machine_with(), set(TORCHS)),
        (machine_with(flags=frozenset()), set(TORCHS)),
        (machine_with(flags=frozenset({"sse4_1", "sse4_2"})), {"torch", "onednn", "qnnpack"}),
        (machine_with(arch="arm64", flags=frozenset({"asimd"})), {"torch", "onednn", "qnnpack"}),
        (machine_with(arch="riscv64", flags=frozenset()), {"torch"}),
        (machine_with(built=("qnnpack", "none")), {"torch", "qnnpack"}),
        (machine_with(arch="arm64", built=("none", "qnnpack", "fbgemm")), {"torch", "qnnpack", "fbgemm"}),
        (machine_with(arch="arm64", built=()), {"torch", "onednn", "qnnpack"}),
        (machine_with(arch="arm"), {"torch", "qnnpack"}),
        (machine_with(arch="arm64", os="Darwin"), {"torch", "qnnpack"}),
        (machine_with(flags=frozenset({"sse3"})), {"torch", "qnnpack"}),
    ],
    ids=[
        "avx2",
        "flags unknown",
        "no avx2",
        "arm",
        "riscv",
        "torch says",
        "torch beats the rule",
        "torch says nothing",
        "32-bit arm",
        "arm under macOS",
        "no sse4",
    ],
)
def test_availability(machine, available):
    """By rule where torch was not asked, by torch's own word where it was; every refusal has a reason."""
    answers = {name: engine_named(name).availability(machine) for name in TORCHS}
    assert {name for name, answer in answers.items() if answer.available} == available
    assert all((answer.reason is None) == answer.available for answer in answers.values())


def test_refusals_say_what_to_do():
    """A reason names the misfit and what to type or install."""
    fbgemm = engine_named("fbgemm")
    arm = fbgemm.availability(machine_with(arch="arm64"))
    assert arm.reason == "fbgemm is for x86_64 only, this CPU is arm64; choose --engines qnnpack"
    old = fbgemm.availability(machine_with(flags=frozenset({"sse4_1", "sse4_2"})))
    assert (
        old.reason == "fbgemm needs AVX2, which this CPU does not report; stay with float32, or choose another machine"
    )
    lean = fbgemm.availability(machine_with(built=("none", "qnnpack")))
    assert lean.reason == (
        "fbgemm: this build of torch does not have it on this CPU (it has qnnpack); choose --engines qnnpack, "
        "or install the torch wheel for this platform"
    )


@pytest.mark.parametrize("name", OURS)
def test_what_is_installed_here_decides_nothing_of_another_machine(name, monkeypatch):
    """Without any package the fit is the same as with all of them, and speaks of no installation."""
    here = {arch: engine_named(name).fit(machine_with(arch)) for arch in ("x86_64", "arm64", "loongarch64")}
    monkeypatch.setattr(packages, "missing", lambda *_: "package of another world is not installed")
    assert {arch: engine_named(name).fit(machine_with(arch)) for arch in here} == here
    assert not any("install" in (fit.reason or "") for fit in here.values())


def test_engines_fit_by_architecture():
    """Those with packages for 64-bit x86 and ARM, and none but float32 on an architecture without any."""
    fitting = {
        arch: {name for name in OURS if engine_named(name).fit(machine_with(arch)).available}
        for arch in ("x86_64", "arm64", "loongarch64")
    }
    assert fitting["x86_64"] == {*OURS} - {"tensorrt"}
    assert fitting["arm64"] == {"torch", "onednn", "qnnpack", "onnxruntime", "openvino", "executorch"}
    assert fitting["loongarch64"] == {"torch"}
    refused = [engine_named(name).fit(machine_with("loongarch64")).reason or "" for name in OURS]
    assert not any(f"--engines {name}" in reason for reason in refused for name in OURS)
    assert engine_named("tensorrt").fit(machine_with()).available is None


def test_an_engine_whose_instructions_are_untold_is_neither_there_nor_not():
    """A cut list may go on with AVX2; a whole one without it may not; a masked one says what to set."""
    fbgemm = engine_named("fbgemm")
    cut = machine_with(flags=frozenset({"lm"}), untold=frozenset({"avx2"}))
    assert fbgemm.fit(cut) == Availability(available=None, reason="fbgemm needs AVX2, which is not told")
    assert fbgemm.fit(machine_with(flags=frozenset({"lm"}))).available is False
    masked = machine_with(flags=frozenset({"lm"}), cpu_type="Common KVM processor")
    assert "set the CPU type to host" in (fbgemm.fit(masked).reason or "")
