"""ONNX Runtime: right answers, int8 by its own profile, threads that sleep, and a sentence where it cannot."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from engines import TINY_MULTIPLY_ADDS, require, told
from int8bench.engines import packages
from int8bench.engines.base import Material
from int8bench.engines.onnx.onnxruntime import OnnxRuntimeEngine, operators
from int8bench.errors import EngineError
from int8bench.machine import detect

pytestmark = pytest.mark.torch

ANSWERED = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import onnx
import torch
from engines import made, some_pictures, tiny_cnn
from int8bench.workload.cases import Group
from int8bench.engines.base import Material
from int8bench.engines.onnx.onnxruntime import OnnxRuntimeEngine, _options
from int8bench.errors import EngineError
from int8bench.workload.fidelity import compare

engine, model, pictures = OnnxRuntimeEngine(), tiny_cnn(), some_pictures()
with torch.inference_mode():
    expected = model(torch.from_numpy(pictures)).numpy()
found = {}
for precision in ("float32", "int8"):
    folder = Path(sys.argv[2]) / precision
    folder.mkdir()
    built = made(engine, precision, model, pictures, folder, group=Group(batch=8, threads=2))
    before = pictures[:8].copy()
    call = built.bind(before)
    once = np.array(call())
    before[:] = 0  # the body has a copy of its own
    again = np.array(call())
    evidence = built.evidence
    found[precision] = {
        "sqnr_db": compare(expected, built(pictures)).sqnr_db,
        "bound": compare(expected[:8], once).sqnr_db,
        "same_again": bool(np.array_equal(once, again)),
        "odd": list(built(pictures[:5]).shape),
        "weights_bytes": built.weights_bytes,
        "serialized_bytes": built.serialized_bytes,
        "evidence": evidence,
    }

def sentence(work):
    try:
        return str(work()) + " is no error"
    except EngineError as error:
        return str(error)

def opened(content):
    (Path(sys.argv[2]) / "model.onnx").write_bytes(content)
    files = {None: Path(sys.argv[2])}
    material = Material(model=None, calibration=pictures, example=pictures[:1], files=files)
    return engine.build(engine.prepare(engine.variants[0], material), Group(batch=1, threads=1))

def answers_in_four_axes():
    node = onnx.helper.make_node("Relu", ["pictures"], ["logits"])
    ends = [onnx.helper.make_tensor_value_info(n, 1, ["batch", 3, 16, 16]) for n in ("pictures", "logits")]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()

options = _options(Group(batch=1, threads=2))
found["options"] = [
    options.intra_op_num_threads,
    options.inter_op_num_threads,
    options.get_session_config_entry("session.intra_op.allow_spinning"),
]
found["refused"] = {
    "empty": sentence(lambda: opened(b"")),
    "no onnx": sentence(lambda: opened(b"not an onnx file")),
    "cut short": sentence(lambda: opened(built._content[: len(built._content) // 2])),
    "four axes": sentence(lambda: opened(answers_in_four_axes())),
    "other pictures": sentence(lambda: built(np.zeros((2, 3, 20, 20), np.float32))),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """What both variants answer and tell of a small network."""
    require(OnnxRuntimeEngine())
    return told(ANSWERED, str(Path(__file__).parents[2] / "helpers"), str(tmp_path_factory.mktemp("answers")))


@pytest.mark.parametrize(("precision", "least_db"), [("float32", 80.0), ("int8", 25.0)])
def test_the_answers_are_the_models(answered, precision, least_db):
    """Of any number of pictures, and of the bound batch, whose pictures may change afterwards."""
    found = answered[precision]
    assert found["sqnr_db"] > least_db
    assert found["bound"] > least_db
    assert found["same_again"]
    assert found["odd"] == [5, 10]


@pytest.mark.parametrize(("precision", "kind"), [("float32", "float"), ("int8", "int8")])
def test_the_profile_proves_what_ran(answered, precision, kind):
    """Most of the time went into operators of that kind, and none into the other."""
    told_of = answered[precision]["evidence"]["ran"]
    assert told_of["share_of"] == "time"
    assert told_of[f"{kind}_share"] > 0.5
    assert told_of[f"{'float' if kind == 'int8' else 'int8'}_share"] == 0.0
    assert told_of["multiply_adds"]["total"] == 8 * TINY_MULTIPLY_ADDS
    assert told_of["multiply_adds"][f"{kind}_share"] == 1.0
    (convolutions,) = (row for row in told_of["operators"] if row["operator"] in {"Conv", "QLinearConv"})
    assert convolutions["calls"] == 2


def test_int8_weights_take_about_a_quarter(answered):
    """With scales and biases, which stay wide."""
    ratio = answered["int8"]["weights_bytes"] / answered["float32"]["weights_bytes"]
    assert 0.25 < ratio < 0.35
    assert answered["int8"]["serialized_bytes"] > answered["int8"]["weights_bytes"]


def test_a_session_has_the_threads_asked_for_which_sleep(answered):
    """Two within an operator, one across, none spinning."""
    assert answered["options"] == [2, 1, "0"]


@pytest.mark.parametrize(
    ("what", "says", "advice"),
    [
        ("empty", "onnxruntime float32: ONNX Runtime cannot take the converted model: ", "out of --engines"),
        ("no onnx", "onnxruntime float32: ONNX Runtime cannot take the converted model: ", "out of --engines"),
        ("cut short", "onnxruntime float32: ONNX Runtime cannot take the converted model: ", "out of --engines"),
        ("four axes", "onnxruntime float32: the model returns shape ('batch', 3, 16, 16)", "expected (image, class)"),
        ("other pictures", "onnxruntime int8: cannot answer a batch of shape (2, 3, 20, 20): ", ""),
    ],
)
def test_what_it_cannot_do_is_a_sentence(answered, what, says, advice):
    """A file that is empty, another's or cut short, answers that are no logits, pictures of another shape."""
    assert answered["refused"][what].startswith(says)
    assert answered["refused"][what].endswith(advice)


def event(name, op_name, dtype, dur=10):
    """An event of a profile."""
    arguments = {"op_name": op_name, "provider": "CPUExecutionProvider", "input_type_shape": [{dtype: [1]}]}
    return {"name": f"{name}_kernel_time", "dur": dur, "args": arguments}


@pytest.mark.parametrize(
    ("op_name", "dtype", "kind"),
    [
        ("QLinearConv", "uint8", "int8"),
        ("QGemm", "int8", "int8"),
        ("NhwcMaxPool", "uint8", "int8"),
        ("Conv", "float", "float"),
        ("Softplus", "float", "float"),
        ("QuantizeLinear", "float", "edge"),
        ("Transpose", "uint8", "edge"),
        ("Reshape", "uint8", "other"),
        ("Mul", "int64", "other"),
    ],
)
def test_an_operator_is_what_it_takes_in(op_name, dtype, kind):
    """A convolution that was left in float between two quantizations is float, whatever the file was meant to be."""
    events = [event("a", op_name, dtype, dur=1000), event("a", op_name, dtype)]
    (found,) = operators(events, {})
    assert (found.kind, found.seconds) == (kind, pytest.approx(1e-5))


def test_an_operator_is_weighed_by_the_shapes_of_its_profile():
    """Its multiply-adds come along with its time."""
    shapes = {
        "input_type_shape": [{"uint8": [1, 3, 8, 8]}, {"float": []}, {"uint8": []}, {"int8": [4, 3, 3, 3]}],
        "output_type_shape": [{"uint8": [1, 4, 8, 8]}],
    }
    told = event("a", "QLinearConv", "uint8")
    told["args"] |= shapes
    (found,) = operators([told] * 2, {})
    assert found.multiply_adds == 4 * 64 * 27
    told["args"]["input_type_shape"] = told["args"]["input_type_shape"][:3]  # the kernel has packed its weights
    (found,) = operators([told] * 2, {})
    assert found.multiply_adds is None
    (found,) = operators([told] * 2, {"a": [(4, 3, 3, 3), (4,)]})
    assert found.multiply_adds == 4 * 64 * 27
    state = [{"float": [2, 8, 64]}] * 2  # which comes before the weights, and is none
    told["args"] |= {"op_name": "LSTM", "input_type_shape": [{"float": [32, 8, 96]}, *state]}
    (found,) = operators([told] * 2, {"a": [(2, 256, 96), (2, 256, 64), (2, 512)]})
    assert found.multiply_adds == 32 * 8 * 2 * 256 * (96 + 64)


def test_a_call_that_was_interrupted_does_not_count_for_its_operator():
    """Each node has its median time, and two of one name are two."""
    calls = [event("a", "Conv", "float", dur=dur) for dur in (500, 10, 11, 9000)]
    other = [{**each, "args": {**each["args"], "node_index": "7"}} for each in calls]
    found = operators([*calls, *other], {})
    assert [each.seconds for each in found] == [pytest.approx(1.1e-5)] * 2


def test_the_first_call_of_a_profile_is_left_out_and_other_events_too():
    """It also allocates; the session's own events are no operators."""
    assert operators([event("a", "Conv", "float"), {"name": "model_run", "dur": 5}], {}) == []


def test_a_missing_package_is_told_with_what_to_type(monkeypatch):
    """Before anything is imported."""
    monkeypatch.setattr(packages, "missing", lambda extra, _: f"{extra}: not there; type {packages.command(extra)}")
    availability = OnnxRuntimeEngine().availability(detect())
    assert not availability.available
    assert availability.reason == "onnxruntime: not there; type pip install 'int8bench[onnxruntime]'"


def test_a_half_installed_package_is_a_sentence(monkeypatch):
    """Its import fails, and says what to type."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EngineError, match=r"onnxruntime: its packages are installed but cannot be loaded .*--force"):
        OnnxRuntimeEngine().prepare(
            OnnxRuntimeEngine().variants[0], Material(model=None, calibration=None, example=None)
        )
