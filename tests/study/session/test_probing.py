"""Which engines are probed, and how; with a played lab, and once with a real engine on arithmetic that is held back."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import converters
import numpy as np
import pytest
from played_lab import PlayedFork, PlayedLab

from engines import require
from int8bench import machine
from int8bench.engines import saturation_model
from int8bench.engines.base import Availability, Conversion, Engine
from int8bench.engines.onnx.onnxruntime import OnnxRuntimeEngine
from int8bench.engines.onnx.openvino import OpenVinoEngine
from int8bench.errors import EngineError, LabError
from int8bench.machine.finding import SaturationProbe
from int8bench.study.session import conversions, probing, worker
from int8bench.study.session.conversions import ConversionOutcome, Due, Unmade
from int8bench.workload.cases import INT8, NCHW, Group, Variant

GOLDEN = Path(__file__).parents[2] / "golden" / "hardware"
AMX, ZEN3 = GOLDEN / "linux-kvm-intel-amx", GOLDEN / "linux-ubuntu20.04-zen3"
MACHINE = machine.load(AMX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(Engine):
    """An engine of which nothing but its answers is known."""

    name: str
    one_picture: bool = False

    @property
    def variants(self) -> tuple[Variant, ...]:
        """One."""
        return (Variant(engine=self.name, precision=INT8, layout=NCHW),)

    def availability(self, hardware: Any) -> Availability:
        """Everywhere."""
        return Availability(available=hardware is not None)

    def objection(self, group: Group) -> str | None:
        """To batches, where it takes one picture."""
        return "one picture at a time" if self.one_picture and group.batch > 1 else None

    def conversion(self, variant: Variant, hardware: Any) -> Conversion:
        """For each batch size."""
        assert hardware is MACHINE
        return Conversion(name=variant.label, function=converters.sums, packages=(), by_batch=True)


class Played(PlayedLab):
    """A lab that answers by engine, and says what was converted in it."""

    def __init__(self, **answers: Any) -> None:
        """Keeps the answers by engine; what is an exception is raised, of `launch` when one starts."""
        super().__init__()
        self.answers = answers
        self.converted: list[tuple[str, int | None]] = []

    def answer(self, fork: PlayedFork[Any]) -> object:
        """Returns the answer of the engine that is asked."""
        name = engine_of(fork.order)
        return self.answers.get(name, SaturationProbe(engine=name, sqnr_db=50.0, saturates=False))

    def launched(self, indexes: tuple[int, ...], setup: Any, **more: Any) -> Any:
        """Starts the one launch of a probe, or does not."""
        assert indexes == (0,)
        self.fault = self.refuse
        return super().launched(indexes, setup, **more)

    def refuse(self, function: str, _order: object, _launch: int) -> None:
        """Raises what keeps a launch from starting."""
        if function == "launch" and "launch" in self.answers:
            raise self.answers["launch"]


def engine_of(order: Any) -> str:
    """Names the engine that a fork is asked for."""
    return order.variant.engine if isinstance(order, worker.Check) else order


def _due(pieces: Any, guess: Any) -> tuple[Due, ...]:
    """All of them, as with an empty cache."""
    return tuple(Due(piece=piece, seconds=guess(piece.conversion)) for piece in pieces)


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts engines and a lab in place; what conversions were asked for is in its `converted`."""

    def put(*engines: Other, refused: dict[Any, str] | None = None, **answers: Any) -> Played:
        lab = Played(**answers)

        def make(pieces: Any, order: Any, _: Any, *, allotment: Any) -> ConversionOutcome:
            assert allotment is not None
            lab.converted += [(piece.conversion.name, piece.batch) for piece in pieces]
            assert (order.model, order.variants) == (saturation_model.MODEL, ())
            return ConversionOutcome(came=refused or {})

        there = {each.name: each for each in engines}
        monkeypatch.setattr(probing, "engine_named", there.__getitem__)
        monkeypatch.setattr(probing, "launched", lab.launched)
        monkeypatch.setattr(conversions, "make", make)
        monkeypatch.setattr(conversions, "due", lambda pieces, _order, guess: _due(pieces, guess))
        return lab

    return put


def measured(lab: Played, *engines: str) -> dict[str, SaturationProbe]:
    """The probes, told to nobody."""
    return probing.measured(lab.launch(), engines, MACHINE, lambda _: None)


def test_engines_that_show_their_integers_need_no_launch_of_their_own(play) -> None:
    """Torch's are asked in the launch that is there already; nothing is converted."""
    lab = play()
    assert list(measured(lab, "fbgemm", "onednn")) == ["fbgemm", "onednn"]
    assert [(function, engine) for _, function, engine in lab.asked] == [("probe", "fbgemm"), ("probe", "onednn")]
    assert not lab.setups
    assert not lab.converted


@pytest.mark.torch
def test_every_other_engine_answers_the_model_that_is_made_to_saturate(play) -> None:
    """It is converted like any other, prepared in one launch for all, and asked for all pictures at once if it can."""
    lab = play(Other(name="theirs"), Other(name="single", one_picture=True))
    assert list(measured(lab, "theirs", "fbgemm", "single")) == ["theirs", "fbgemm", "single"]
    assert lab.converted == [("theirs int8", saturation_model.PICTURES), ("single int8", 1)]
    (setup,) = lab.setups
    assert setup.function is worker.prepare
    assert [each.engine for each in setup.payload.variants] == ["theirs", "single"]
    groups = {engine_of(order): order.group for _, function, order in lab.asked if function == "probe_answers"}
    assert groups == {
        "theirs": Group(batch=saturation_model.PICTURES, threads=1),
        "single": Group(batch=1, threads=1),
    }


@pytest.mark.torch
def test_a_probe_that_fails_leaves_the_others(play) -> None:
    """An engine that dies of it, or whose conversion failed, has no probe, and the rest has."""
    other = Other(name="refuses")
    refused = {(other.variants[0], saturation_model.PICTURES): "the conversion failed"}
    lab = play(Other(name="theirs"), Other(name="dies"), other, refused=refused, dies=LabError("SIGILL"))
    assert list(measured(lab, "dies", "refuses", "theirs")) == ["theirs"]
    assert [each.engine for each in lab.setups[0].payload.variants] == ["dies", "theirs"]


@pytest.mark.torch
def test_a_launch_that_goes_down_costs_the_run_nothing(play) -> None:
    """Torch's own engines keep their probes."""
    lab = play(Other(name="theirs"), launch=LabError("a measuring process did not start"))
    assert list(measured(lab, "theirs", "fbgemm")) == ["fbgemm"]


@pytest.mark.torch
def test_probes_can_be_cut_down_to_some_engines(play) -> None:
    """What another one needs converted is then neither waited for nor made."""
    lab = play(Other(name="theirs"), Other(name="dear"))
    probes = probing.wanted(["theirs", "dear"], MACHINE, lambda conversion: 90.0 if "dear" in conversion.name else 1.0)
    assert [each.seconds for each in probes.due] == [1.0, 90.0]
    cheap = probes.of(["theirs"])
    assert [each.seconds for each in cheap.due] == [1.0]
    assert list(probing.by_answers(cheap, lambda _: None)) == ["theirs"]
    assert [name for name, _ in lab.converted] == ["theirs int8"]
    assert probing.wanted(["fbgemm"], MACHINE, lambda _: 1.0).checks == ()


@pytest.mark.torch
def test_a_probe_whose_conversion_there_was_no_time_for_is_not_asked(play, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no files; the others answer."""
    late, theirs = Other(name="late"), Other(name="theirs")
    lab = play(theirs, late)
    at = late.variants[0], saturation_model.PICTURES
    outcome = ConversionOutcome(came={at: Unmade(label="late int8", needed_s=9.0, spent_s=None)})
    monkeypatch.setattr(conversions, "make", lambda *_, **__: outcome)
    assert list(measured(lab, "theirs", "late")) == ["theirs"]


@pytest.mark.torch
def test_the_order_is_the_same_every_time() -> None:
    """Or its conversions, which are kept by content, would be made anew in each run."""
    first, second = (probing.probe_order(()) for _ in range(2))
    assert first.state == second.state
    assert first.calibration.tobytes() == second.calibration.tobytes()
    assert np.array_equal(first.validation, saturation_model.pictures())


@pytest.mark.torch
def test_a_fork_answers_and_is_judged() -> None:
    """Float32 itself answers as it should; a variant that was refused says why."""
    float32, refused = (Variant(engine=name, precision="float32", layout=NCHW) for name in ("torch", "none"))
    order = probing.probe_order((float32, refused))
    prepared = worker.prepare(order)
    group = Group(batch=saturation_model.PICTURES, threads=1)
    found = worker.probe_answers(prepared, worker.Check(variant=float32, group=group), None)
    assert found.sqnr_db > 100
    with pytest.raises(EngineError, match="engine 'none': unknown"):
        worker.probe_answers(prepared, worker.Check(variant=refused, group=group), None)


# A real engine: converted for a processor with VNNI, whatever this one has, and run on arithmetic without it.
REAL = """
import json, pathlib, sys
from int8bench import machine
from int8bench.study.session import probing, worker
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import launched
from int8bench.lab.channel import Setup
setup = Setup(function=worker.import_torch, payload=None)
with launched((0,), setup, settings=ProcessSettings()) as (launch,):
    found = probing.measured(launch, sys.argv[2:], machine.load(pathlib.Path(sys.argv[1])), lambda _: None)
print(json.dumps({name: [probe.sqnr_db, probe.saturates, probe.against] for name, probe in found.items()}))
"""


def really_measured(description: Path, *engines: str, **variables: str) -> dict[str, tuple[float, bool, str]]:
    """What engines answer in processes with these variables, converted for a machine."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", REAL, str(description), *engines],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.torch
def test_engines_are_probed_through_their_own_conversions(tmp_path: Path) -> None:
    """Made for a processor without VNNI they reduce their weights, so that they saturate on no processor."""
    require(OnnxRuntimeEngine())
    require(OpenVinoEngine())
    found = really_measured(ZEN3, "onnxruntime", "openvino", XDG_CACHE_HOME=str(tmp_path), ONEDNN_MAX_CPU_ISA="AVX2")
    assert set(found) == {"onnxruntime", "openvino"}
    for sqnr_db, saturates, against in found.values():
        assert sqnr_db > 35
        assert not saturates
        assert against == "float32"


@pytest.mark.torch
@pytest.mark.skipif("avx2" not in machine.detect().flags, reason="vpmaddubsw, which saturates, is x86's")
def test_an_engine_that_keeps_the_full_range_without_vnni_is_flagged(tmp_path: Path) -> None:
    """OpenVINO, converted for a processor with VNNI and held below it, loses what emulated 16-bit sums lose: 8.5 dB."""
    require(OpenVinoEngine())
    found = really_measured(AMX, "openvino", XDG_CACHE_HOME=str(tmp_path), ONEDNN_MAX_CPU_ISA="AVX2")
    sqnr_db, saturates, _ = found["openvino"]
    assert sqnr_db == pytest.approx(8.5, abs=0.5)
    assert saturates
