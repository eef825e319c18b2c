import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from int8bench.engines.tflite import tflm
from int8bench.engines.tflite.tflm import TflmEngine
from int8bench.engines.tflite.tflm_compared import (
    MICRO,
    OPTIMIZED,
    REFERENCE,
    XNNPACK,
    OutputComparison,
    Step,
    compared,
)
from int8bench.machine import Hardware
from int8bench.workload.cases import INT8, Group

HELPERS = Path(__file__).parents[2] / "helpers"
_SPEC = importlib.util.spec_from_file_location("engines", HELPERS / "engines.py")
assert _SPEC is not None
assert _SPEC.loader is not None
helpers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(helpers)

ENGINE = TflmEngine()

PROGRAM = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
sys.path.insert(0, sys.argv[2])
from engines import made, some_pictures, tiny_cnn, variant_of
from int8bench.workload.cases import Group
from int8bench.engines.base import Material
from int8bench.engines.tflite.tflm import TflmEngine
from int8bench.errors import EngineError
from tflite_micro import runtime

torch.set_num_threads(1)
engine, pictures, root = TflmEngine(), some_pictures(), Path(sys.argv[1])

def sqnr(model, answers):
    with torch.inference_mode():
        expected = model(torch.from_numpy(pictures[: len(answers)])).numpy()
    return float(10 * np.log10((expected**2).sum() / ((expected - answers) ** 2).sum()))

def folder(name):
    (root / name).mkdir()
    return root / name

def refused(call):
    try:
        call()
    except EngineError as error:
        return str(error)

def runs_in(content, arena_bytes):
    try:
        runtime.Interpreter.from_bytes(content, arena_size=arena_bytes).invoke()
    except RuntimeError:
        return False
    return True

model = tiny_cnn()
predictor = made(engine, "int8", model, pictures, folder("tiny"))
whole = predictor(pictures)
body = predictor.bind(pictures[:1])
out = {"sqnr": sqnr(model, whole), "bound_as_asked": all(np.array_equal(body(), whole[:1]) for _ in range(3))}
out["weights_bytes"], out["evidence"] = predictor.weights_bytes, dict(predictor.evidence)
content = (root / "tiny" / "tflm-int8-1" / "model.tflite").read_bytes()
arena_bytes = out["evidence"]["arena_bytes"]
out["file_bytes"], out["enough"] = len(content), runs_in(content, arena_bytes)
out["too_small"] = runs_in(content, arena_bytes - 64)
wide = nn.Sequential(nn.Conv2d(3, 64, 3), nn.ReLU(), nn.Conv2d(64, 600, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                     nn.Linear(600, 10)).eval()
out["wide_sqnr"] = sqnr(wide, made(engine, "int8", wide, pictures, folder("wide"))(pictures[:4]))
unknown = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 10)).eval()
out["unknown"] = refused(lambda: made(engine, "int8", unknown, pictures, folder("unknown")))
material = Material(model=model, calibration=pictures, example=pictures[:1], files={1: root})
for name, damaged in (("truncated", content[:9000]), ("rubbish", b"rubbish" * 900), ("empty", b"")):
    (root / "model.tflite").write_bytes(damaged)
    out[name] = refused(lambda: engine.prepare(variant_of(engine, "int8"), material))
(root / "model.tflite").write_bytes(content)
ready = engine.prepare(variant_of(engine, "int8"), material)
out["batch"] = refused(lambda: engine.build(ready, Group(batch=2, threads=1)))
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the engine did with a few models."""
    helpers.require(ENGINE)
    return helpers.told(PROGRAM, str(tmp_path_factory.mktemp("tflm")), str(HELPERS))


@pytest.mark.torch
def test_answers_are_the_models(found: Any) -> None:
    """Asked for many pictures it answers each; a bound call repeats the same answer."""
    assert found["sqnr"] > 20
    assert found["bound_as_asked"]


@pytest.mark.torch
def test_answers_are_bit_exact_with_the_reference(found: Any) -> None:
    """LiteRT's reference kernels give the same to the bit; where XNNPACK does not, the operators are named."""
    held = found["evidence"]["litert"]
    assert held["pictures"] == 32
    assert held["against"][REFERENCE] == {"largest_step": 0, "differing_share": 0}
    assert held["rounds_differently"][MICRO] == {}
    assert held["sentence"].startswith("bit-exact with LiteRT's reference kernels")
    step = held["against"][XNNPACK]["largest_step"]
    assert step <= 2
    assert bool(step) <= bool(held["rounds_differently"][XNNPACK])


@pytest.mark.torch
def test_the_arena_is_measured_to_the_last_bytes(found: Any) -> None:
    """An arena of the measured size is enough, and one of 64 bytes less is not."""
    assert found["enough"]
    assert not found["too_small"]


@pytest.mark.torch
def test_evidence_has_both_memories(found: Any) -> None:
    """The bytes of the arena and of the file stand beside what ran."""
    evidence = found["evidence"]
    assert evidence["model_bytes"] == found["file_bytes"]
    assert 10_000 < evidence["arena_bytes"] < 60_000
    assert evidence["ran"]["float_share"] == 0
    assert evidence["ran"]["multiply_adds"]["total"] == helpers.TINY_MULTIPLY_ADDS
    assert evidence["ran"]["multiply_adds"]["int8_share"] == 1.0
    operators = {each["operator"]: each["kind"] for each in evidence["ran"]["operators"]}
    assert operators["CONV_2D"] == operators["FULLY_CONNECTED"] == "int8"


@pytest.mark.torch
def test_weights_are_counted_as_litert_counts_them(found: Any) -> None:
    """One byte a weight, four a bias, a scale and a zero point for each channel of both."""
    weights, channels = 3 * 9 * 32 + 32 * 9 * 64 + 64 * 16 * 10, 32 + 64 + 10
    assert found["weights_bytes"] == weights + 4 * channels + 2 * 12 * channels


@pytest.mark.torch
def test_a_model_of_many_weights_is_answered_with_its_weights(found: Any) -> None:
    """More than 256 KiB of them are found too; left behind the graph they would be noise."""
    assert found["wide_sqnr"] > 20


@pytest.mark.torch
def test_an_operator_that_it_lacks_is_named(found: Any) -> None:
    """The interpreter's own words come with what to do."""
    assert re.fullmatch(
        r"tflm int8: the interpreter cannot take this model \(.*GELU.*\); leave tflm out", found["unknown"]
    )


@pytest.mark.torch
@pytest.mark.parametrize("damage", ["truncated", "rubbish", "empty"])
def test_a_damaged_file_is_an_error(found: Any, damage: str) -> None:
    """A file of another content is refused with its folder, and how to have it made again."""
    assert found[damage].startswith("tflm int8: its converted file cannot be opened (")
    assert found[damage].endswith("to have it made again")


@pytest.mark.torch
def test_a_batch_is_refused_when_built_too(found: Any) -> None:
    """Whoever does not ask for the objection gets it as an error."""
    assert found["batch"] == "tflm: takes one picture at a time, not 2; choose --batch 1"


@pytest.mark.parametrize(
    ("batch", "threads", "expected"),
    [
        (1, 1, None),
        (2, 1, "tflm: takes one picture at a time, not 2; choose --batch 1"),
        (1, 2, "tflm: runs on one thread, not 2; choose --threads 1"),
    ],
)
def test_it_takes_one_picture_on_one_thread(batch: int, threads: int, expected: str | None) -> None:
    """Other groups are refused in one sentence each."""
    assert ENGINE.objection(Group(batch=batch, threads=threads)) == expected


def test_it_offers_int8_alone() -> None:
    """There is no float32 of its own to hold it against."""
    assert [each.precision for each in ENGINE.variants] == [INT8]


@pytest.mark.parametrize(("arch", "system"), [("arm64", "Linux"), ("arm64", "Darwin"), ("x86_64", "Windows")])
def test_a_platform_without_the_package_is_told_so(arch: str, system: str) -> None:
    """The sentence says which platform has it."""
    availability = ENGINE.availability(Hardware(arch=arch, os=system))
    assert not availability.available
    assert f"for Linux on x86_64 alone, this machine is {system} on {arch}" in str(availability.reason)


def test_a_missing_package_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to type comes with what is missing."""
    monkeypatch.setattr(tflm.TflmEngine, "modules", ("tflite_micro_of_tomorrow",))
    reason = str(ENGINE.availability(Hardware(arch="x86_64", os="Linux")).reason)
    assert "tflite_micro_of_tomorrow" in reason
    assert "pip install 'int8bench[tflm]'" in reason


def test_standard_error_is_heard_and_given_back() -> None:
    """What is written to its descriptor meanwhile is text here; afterwards it is what it was, after an error too."""
    before = os.fstat(2)
    with contextlib.suppress(ValueError), tflm._heard() as words:
        os.write(2, b"Didn't find op")
        raise ValueError
    assert words() == "Didn't find op"
    assert os.path.samestat(os.fstat(2), before)


STEPS = (Step(name="CONV_2D", inputs=(0,), output=1), Step(name="ADD", inputs=(0, 1), output=2))


def tensors(content: Mapping[int, list[int]]) -> Any:
    """What answers with the tensor of a number."""
    return lambda index: np.array(content[index], dtype=np.int8)


def picture(**changed: Mapping[int, list[int]]) -> dict[str, Any]:
    """The tensors of each kernels after one picture; all the same but for what is given."""
    usual = {0: [1, 2], 1: [3, 4], 2: [5, 6]}
    names = {"micro": MICRO, "reference": REFERENCE, "optimized": OPTIMIZED, "xnnpack": XNNPACK}
    return {name: tensors({**usual, **changed.get(short, {})}) for short, name in names.items()}


def compared_with(**changed: Mapping[int, list[int]]) -> OutputComparison:
    """A comparison over two pictures, of which the second has the changes."""
    comparison = OutputComparison(steps=STEPS)
    comparison.add(picture())
    comparison.add(picture(**changed))
    return comparison


def test_the_operator_with_equal_inputs_is_to_blame() -> None:
    """What differs because its input already did is not counted as rounding of its own."""
    comparison = compared_with(xnnpack={1: [3, 6], 2: [5, 9]})
    assert comparison.rounding == {MICRO: {}, OPTIMIZED: {}, XNNPACK: {"CONV_2D": 2}}
    assert comparison.against[XNNPACK].to_dict() == {"largest_step": 3, "differing_share": 0.25}
    assert comparison.against[REFERENCE].to_dict() == {"largest_step": 0, "differing_share": 0}


def test_steps_are_counted_without_wrapping() -> None:
    """The ends of the range are 255 steps apart, not one."""
    comparison = compared_with(micro={2: [127, -128]}, reference={2: [-128, 127]})
    assert comparison.against[REFERENCE].largest_step == 255
    assert comparison.rounding[MICRO] == {"ADD": 255}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, "bit-exact with LiteRT's reference kernels and with XNNPACK"),
        (
            {"xnnpack": {1: [3, 5], 2: [5, 7]}},
            "bit-exact with LiteRT's reference kernels; up to 1 step from XNNPACK, by the rounding of CONV_2D",
        ),
        (
            {"micro": {2: [5, 8]}},
            (
                "up to 2 steps from LiteRT's reference kernels, by the rounding of ADD; "
                "up to 2 steps from XNNPACK, by operators not told apart"
            ),
        ),
    ],
)
def test_the_sentence_names_what_rounds_differently(
    changed: Mapping[str, Mapping[int, list[int]]], expected: str
) -> None:
    """A person reads whether answers are the same to the bit, else by how much and through what."""
    assert compared_with(**changed).sentence == expected


def test_without_litert_the_comparison_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence is there also where the comparison is not."""
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    held = compared(b"", helpers.some_pictures(1), 1)
    assert held["pictures"] == 0
    assert str(held["sentence"]).startswith("not compared with LiteRT: ModuleNotFoundError")
