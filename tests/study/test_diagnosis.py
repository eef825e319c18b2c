"""What doctor answers: of this machine, measured; of another, by rule alone and without a launch."""

import json
import platform
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from played_lab import PlayedFork, PlayedLab

from int8bench import machine
from int8bench.engines import packages, registry
from int8bench.engines.saturation import PROBED
from int8bench.errors import LabError, NothingMeasuredError, RequestError
from int8bench.machine import Hardware, TorchView
from int8bench.machine.finding import SaturationProbe, Severity
from int8bench.report import doctor as sheet
from int8bench.study import doctor
from int8bench.study.doctor import Diagnosis
from int8bench.study.session import worker

RECORDED = sorted(
    path for path in (Path(__file__).parents[1] / "golden" / "hardware").iterdir() if path.suffix != ".md"
)
ZEN3, SAPPHIRE, M1 = (next(path for path in RECORDED if name in path.name) for name in ("zen3", "sapphirerapids", "m1"))
VIEW = TorchView(
    version="2.6", capability="AVX2", supported_engines=("fbgemm", "onednn", "x86", "qnnpack"), default_engine="x86"
)
KEYS = {"hardware", "fingerprint", "engines", "recommended", "findings"}


def rejects(document: str) -> str:
    """What Python reads as a number and JSON does not know."""
    raise AssertionError(document)


def strict(found: Diagnosis) -> dict[str, object]:
    """The document of --json, read as strictly as another program would."""
    return json.loads(json.dumps(found.to_dict(), allow_nan=False), parse_constant=rejects)


@pytest.fixture
def _no_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "launched", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr(machine, "detect", lambda: pytest.fail("this machine was looked at"))


def played(
    monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, SaturationProbe | Exception], view: object = VIEW
) -> None:
    """Puts a machine and a lab in place whose probes answer like this; an engine without an answer is exact."""
    described = replace(machine.load(ZEN3), usable_cores=2)

    lab = PlayedLab()

    def answer(fork: PlayedFork[object]) -> object:
        if fork.function is worker.torch_view:
            return view
        exact = SaturationProbe(engine=fork.order, sqnr_db=50.0, saturates=False)
        return answers.get(fork.order, exact)

    lab.answer = answer
    monkeypatch.setattr(doctor, "launched", lab.launched)
    monkeypatch.setattr(machine, "detect", lambda: described)


@pytest.mark.usefixtures("_no_launch")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name)
def test_another_machine_is_answered_by_rule_alone(path: Path) -> None:
    """Nothing is started, nothing here is looked at, no measurement is claimed, and the layout is the promised one."""
    document = strict(doctor.diagnose(path, engine=None, threads=()))
    assert set(document) >= KEYS
    assert [set(each) for each in document["engines"]] == [{"name", "available", "reason"}] * len(
        registry.engine_names()
    )
    assert set(document["recommended"]) == {"engine", "basis"}
    assert document["recommended"]["basis"].startswith("rule: ")
    assert document["probes"] == []
    assert all(
        set(each) == {"code", "severity", "subject", "message", "why", "advice"} for each in document["findings"]
    )
    assert document["fingerprint"] == machine.fingerprint(machine.load(path))
    assert "measured" not in json.dumps([document["findings"], document["recommended"]]).casefold()
    assert document["recommended"]["basis"] in " ".join(sheet.render(document, width=500, colour=False).split())


@pytest.mark.usefixtures("_no_launch")
@pytest.mark.parametrize("path", [ZEN3, SAPPHIRE, M1], ids=lambda path: path.name)
def test_hardware_reads_what_json_wrote(path: Path, tmp_path: Path) -> None:
    """Under hardware alone, and in the whole document: the same machine and the same answer."""
    document = strict(doctor.diagnose(path, engine=None, threads=()))
    for name, content in (("hardware.json", document["hardware"]), ("doctor.json", document)):
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
        assert strict(doctor.diagnose(tmp_path / name, engine=None, threads=())) == document


@pytest.mark.usefixtures("_no_launch")
def test_choosing_an_engine_there_adds_what_would_be_wrong() -> None:
    """Qnnpack on x86 is an error when it is chosen, and a warning at most when it is not."""
    chosen, not_chosen = (doctor.diagnose(ZEN3, engine=engine, threads=()) for engine in ("qnnpack", None))
    assert chosen.has_error
    assert ("qnnpack-on-x86", Severity.ERROR) in {(each.code, each.severity) for each in chosen.findings}
    assert not not_chosen.has_error


@pytest.mark.usefixtures("_no_launch")
def test_engines_of_another_machine_are_judged_by_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not installed here may be installed there; what has no package for it is not."""
    monkeypatch.setattr(packages, "missing", lambda *_: pytest.fail("this environment was looked at"))
    loongarch = Path(__file__).parents[1] / "golden" / "listings" / "lscpu-loongson-3a5000.txt"
    for path, fitting in ((ZEN3, {"onnxruntime", "openvino", "fbgemm"}), (loongarch, {"torch"})):
        document = strict(doctor.diagnose(path, engine=None, threads=()))
        assert document["engines_judged_by"] == "architecture"
        assert {each["name"] for each in document["engines"] if each["available"]} >= fitting
        assert "install" not in json.dumps(document["engines"])
    assert {each["name"] for each in document["engines"] if each["available"]} == {"torch"}


def test_engines_of_this_machine_are_judged_by_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package is missing it is said."""
    monkeypatch.setattr(packages, "missing", lambda *_: "its package is not installed")
    played(monkeypatch, {})
    document = strict(doctor.diagnose(None, engine=None, threads=()))
    assert document["engines_judged_by"] == "this environment"
    reasons = {each["name"]: each["reason"] for each in document["engines"]}
    assert reasons["onnxruntime"] == "its package is not installed"


@pytest.mark.usefixtures("_no_launch")
def test_threads_are_held_against_the_machine() -> None:
    """More of them than cores are usable is a finding."""
    codes = {each.code for each in doctor.diagnose(ZEN3, engine=None, threads=(4096,)).findings}
    assert codes - {each.code for each in doctor.diagnose(ZEN3, engine=None, threads=(1,)).findings}


@pytest.mark.usefixtures("_no_launch")
def test_an_unknown_engine_is_refused_before_anything_is_asked() -> None:
    """It says which is meant."""
    with pytest.raises(RequestError, match="did you mean fbgemm"):
        doctor.diagnose(None, engine="fbgm", threads=())


def test_measured_saturation_overrules_the_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """The basis says what was measured, and the choice falls on an engine that is exact here."""
    played(monkeypatch, {"fbgemm": SaturationProbe(engine="fbgemm", sqnr_db=12.34, saturates=True)})
    found = doctor.diagnose(None, engine=None, threads=())
    assert found.recommended.engine == "x86"
    assert found.recommended.basis.startswith("measured here: fbgemm")
    assert "12.3 dB" in found.recommended.basis
    assert found.hardware.torch == VIEW


def test_a_probe_that_fails_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are still there, and the rule's choice stands."""
    played(monkeypatch, {"onednn": LabError("was ended by SIGILL")})
    found = doctor.diagnose(None, engine=None, threads=())
    assert [probe.engine for probe in found.probes] == ["fbgemm", "x86", "qnnpack"]
    assert found.recommended.basis.startswith("rule: ")


def test_an_engine_without_any_error_is_strict_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """An infinite SQNR has no number in JSON; on the screen it reads exact."""
    played(monkeypatch, {"fbgemm": SaturationProbe(engine="fbgemm", sqnr_db=float("inf"), saturates=False)})
    document = strict(doctor.diagnose(None, engine=None, threads=()))
    assert document["probes"][0] == {
        "engine": "fbgemm",
        "sqnr_db": None,
        "saturates": False,
        "against": "exact integers",
    }
    assert "does not saturate (exact)" in sheet.render(document, width=200, colour=False)


def test_a_machine_that_cannot_be_asked_is_no_wrong_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch's view there is no answer, and the exit code says so."""
    played(monkeypatch, {}, view=LabError("a measuring process did not start: no module named torch"))
    with pytest.raises(NothingMeasuredError, match=r"could not be measured: .*no module named torch") as told:
        doctor.diagnose(None, engine=None, threads=())
    assert told.value.exit_code == 3


def test_the_engine_of_another_package_is_listed_and_not_ruled_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rule knows it, so doctor says whether it is there and what is true of the machine."""
    other = replace(registry.engine_named("torch"), name="other")
    monkeypatch.setattr(registry, "_BUILT_IN", (*registry._BUILT_IN, other))
    found = doctor.diagnose(ZEN3, engine="other", threads=())
    assert [each.name for each in found.engines][-1] == "other"
    assert found.findings == doctor.diagnose(ZEN3, engine=None, threads=()).findings


@pytest.mark.parametrize(
    ("engine", "sentence"), [("fbgm", "did you mean fbgemm"), ("torch", "--engine torch: a float32")]
)
def test_only_int8_engines_can_be_raced(engine: str, sentence: str) -> None:
    """Unknown ones and float32's own are refused with what to type."""
    doctor.check_int8("--engine", "qnnpack")
    with pytest.raises(RequestError, match=sentence):
        doctor.check_int8("--engine", engine)


@pytest.mark.torch
def test_this_machine_is_measured() -> None:
    """Each of torch's engines that is available has a probe, and torch was asked; the document is as promised."""
    found = doctor.diagnose(None, engine=None, threads=())
    document = strict(found)
    assert set(document) >= KEYS
    assert found.hardware.torch is not None
    int8 = [each.name for each in found.engines if each.available and each.name in PROBED]
    assert [probe.engine for probe in found.probes] == int8
    assert found.recommended.basis.startswith(("rule: ", "measured here: "))
    assert platform.machine() in {found.hardware.arch, *{"arm64": ("aarch64",)}.get(found.hardware.arch, ())}
    assert isinstance(found.hardware, Hardware)
