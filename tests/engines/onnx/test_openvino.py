"""OpenVINO: right answers, types proven by the graph it executes, threads as the mask allows, and no telemetry."""

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from engines import TINY_MULTIPLY_ADDS, require, told
from int8bench.engines import packages
from int8bench.engines.base import Material
from int8bench.engines.onnx.openvino import OpenVinoEngine
from int8bench.engines.onnx.openvino_graph import (
    NO_WORK,
    GraphNode,
    GraphProfile,
    not_float32,
    operators,
    precisions,
    references,
)
from int8bench.errors import EngineError
from int8bench.machine import detect

pytestmark = pytest.mark.torch

HELPERS = str(Path(__file__).parents[2] / "helpers")

ANSWERED = """
import json, sys
from dataclasses import replace
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from engines import made, some_pictures, tiny_cnn
from int8bench.workload.cases import Group
from int8bench.engines.onnx.openvino import OpenVinoEngine, OpenVinoPredictor
from int8bench.errors import EngineError
from int8bench.workload.fidelity import compare

def refusal(work):
    try:
        work()
    except EngineError as error:
        return str(error)

engine, model, pictures = OpenVinoEngine(), tiny_cnn(), some_pictures()
with torch.inference_mode():
    expected = model(torch.from_numpy(pictures)).numpy()
found = {}
for precision in ("float32", "int8"):
    folder = Path(sys.argv[2]) / precision
    folder.mkdir()
    built = made(engine, precision, model, pictures, folder, group=Group(batch=8, threads=1))
    given = pictures[:8].copy()
    call = built.bind(given)
    given[:] = 0  # the body has a copy of its own
    once = np.array(call()[0])
    other = built.bind(pictures[8:16])
    other()
    again = np.array(call()[0])
    found[precision] = {
        "sqnr_db": compare(expected, built(pictures)).sqnr_db,
        "bound": compare(expected[:8], once).sqnr_db,
        "same_again": bool(np.array_equal(once, again)),
        "odd": list(built(pictures[:5]).shape),
        "weights_bytes": built.weights_bytes,
        "serialized_bytes": built.serialized_bytes,
        "evidence": built.evidence,
        "wrong_shape": refusal(lambda: built.bind(np.zeros((8, 3, 9, 9), dtype=np.float32))),
        "wrong_size": refusal(lambda: built.bind(pictures[:5])),
    }
    profile = built._profile()
    bf16 = tuple(replace(node, primitive=node.primitive.replace("_f32", "_bf16")) for node in profile.warm)
    narrow = replace(profile, warm=bf16)
    OpenVinoPredictor._profile, before = (lambda self: narrow), OpenVinoPredictor._profile
    del built.evidence
    found[precision]["narrow"] = refusal(lambda: built.evidence)
    OpenVinoPredictor._profile = before
    del built, other
    found[precision]["outlives"] = bool(np.array_equal(once, call()[0]))
print(json.dumps(found))
"""

HELD = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from engines import some_pictures
from int8bench.workload.cases import Group
from int8bench.engines.base import Material
from int8bench.engines.onnx.openvino import OpenVinoEngine

engine, pictures = OpenVinoEngine(), some_pictures()
material = Material(model=None, calibration=pictures, example=pictures[:1], files={None: Path(sys.argv[2])})
prepared = engine.prepare(engine.variants[0], material)
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # after the import, as in a fork of a launch
built = engine.build(prepared, Group(batch=8, threads=2))
call = built.bind(pictures[:8])
call()
mine, all_of_us = time.thread_time(), time.process_time()
for _ in range(300):
    call()
mine, all_of_us = time.thread_time() - mine, time.process_time() - all_of_us
print(json.dumps({"threads": built.evidence["threads"], "share": mine / all_of_us}))
"""

QUIET = """
import json, os, sys
from pathlib import Path
import numpy as np
from int8bench.engines.base import Material
from int8bench.engines.onnx.openvino import OpenVinoEngine

before = len(os.listdir("/proc/self/task"))
folder = Path(sys.argv[1])
(folder / "model.onnx").write_bytes(b"")
engine = OpenVinoEngine()
nothing = np.zeros(1)
engine.prepare(engine.variants[0], Material(model=None, calibration=nothing, example=nothing, files={None: folder}))
print(json.dumps({
    "imported": "openvino" in sys.modules,
    "telemetry": [name for name in sys.modules if name.startswith("openvino_telemetry")],
    "threads_started": len(os.listdir("/proc/self/task")) - before,
}))
"""

BROKEN = """
import json, sys
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper
from int8bench.workload.cases import Group
from int8bench.engines.base import Material
from int8bench.engines.onnx.openvino import OpenVinoEngine
from int8bench.errors import EngineError

def model(node):
    shape = ["batch", 3, 4, 4]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("pictures", "logits")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("nobody", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()

lacking = model(helper.make_node("Frobnicate", ["pictures"], ["logits"], domain="nobody"))
relu = model(helper.make_node("Relu", ["pictures"], ["logits"]))
broken = {"empty": b"", "other": b"not an onnx file", "cut": relu[: len(relu) // 2]}
contents = {**broken, "lacking": lacking, "no logits": relu}
folder, engine, told = Path(sys.argv[1]), OpenVinoEngine(), {}
picture = np.zeros((1, 3, 4, 4), dtype=np.float32)
for name, content in contents.items():
    (folder / "model.onnx").write_bytes(content)
    material = Material(model=None, calibration=picture, example=picture, files={None: folder})
    try:
        engine.build(engine.prepare(engine.variants[0], material), Group(batch=1, threads=1))(picture)
    except EngineError as error:
        told[name] = str(error)
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where the files of both variants are, once they have answered."""
    return tmp_path_factory.mktemp("answers")


@pytest.fixture(scope="module")
def answered(place):
    """What both variants answer and tell of a small network."""
    require(OpenVinoEngine())
    return told(ANSWERED, HELPERS, str(place))


@pytest.fixture(scope="module")
def refusals(tmp_path_factory):
    """What is said of files that cannot be run."""
    require(OpenVinoEngine())
    return told(BROKEN, str(tmp_path_factory.mktemp("broken")))


@pytest.mark.parametrize(("precision", "least_db"), [("float32", 80.0), ("int8", 25.0)])
def test_the_answers_are_the_models(answered, precision, least_db):
    """Of any number of pictures, and of a bound batch, whose pictures may change afterwards."""
    found = answered[precision]
    assert found["sqnr_db"] > least_db
    assert found["bound"] > least_db
    assert found["odd"] == [5, 10]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_bound_body_stands_alone(answered, precision):
    """Another batch bound to the same predictor does not change its answers, nor does the predictor's end."""
    assert answered[precision]["same_again"]
    assert answered[precision]["outlives"]


def test_float32_ran_in_float32_alone(answered):
    """Also on processors with units for bf16, which OpenVINO would use unasked."""
    evidence = answered["float32"]["evidence"]
    assert evidence["precision"] == ["f32"]
    assert evidence["ran"]["int8_share"] == 0.0
    assert evidence["ran"]["float_share"] > 0.5


def test_int8_ran_in_int8(answered):
    """The share of the time says so, and the kernels by their names."""
    evidence = answered["int8"]["evidence"]
    assert "i8" in evidence["precision"]
    assert evidence["ran"]["share_of"] == "time"
    assert evidence["ran"]["int8_share"] > 0.5
    assert evidence["ran"]["multiply_adds"]["total"] == 8 * TINY_MULTIPLY_ADDS
    assert evidence["ran"]["multiply_adds"]["int8_share"] == 1.0


def test_float32_in_another_type_is_no_float32(answered):
    """A float32 cell whose kernels turn out to be bf16 is refused with their names; int8 had no such claim."""
    assert "openvino float32: " in answered["float32"]["narrow"]
    assert "_bf16" in answered["float32"]["narrow"]
    assert answered["int8"]["narrow"] is None


@pytest.mark.parametrize(("what", "given"), [("wrong_shape", "(8, 3, 9, 9)"), ("wrong_size", "(5, 3, 16, 16)")])
def test_pictures_of_another_shape_are_refused(answered, what, given):
    """With what was given and what was expected."""
    sentence = answered["float32"][what]
    assert sentence == f"openvino float32: cannot answer a batch of shape {given}, expected (8, 3, 16, 16)"


def test_int8_weights_take_about_a_quarter(answered):
    """With scales and biases, which stay wide."""
    ratio = answered["int8"]["weights_bytes"] / answered["float32"]["weights_bytes"]
    assert 0.25 < ratio < 0.35
    assert answered["int8"]["serialized_bytes"] > answered["int8"]["weights_bytes"]


@pytest.mark.usefixtures("answered")
def test_a_process_held_to_one_core_runs_on_one_thread(place):
    """Whatever was asked for: the mask counts, also one that was set after the import."""
    (file,) = place.glob("float32/*/model.onnx")
    found = told(HELD, HELPERS, str(file.parent))
    assert found["threads"] == 1
    assert found["share"] > 0.9  # of all processor time, the calling thread's


def test_nothing_is_sent_and_nothing_started_by_the_import(tmp_path, monkeypatch):
    """Its telemetry would write into the home folder, start threads and call a server."""
    require(OpenVinoEngine())
    home, files = tmp_path / "home", tmp_path / "files"
    home.mkdir()
    files.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("CI", "TF_BUILD", "JENKINS_URL"):  # where these are set, it is silent anyway
        monkeypatch.delenv(name, raising=False)
    found = told(QUIET, str(files))
    assert found == {"imported": True, "telemetry": [], "threads_started": 0}
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("name", ["empty", "other", "cut"])
def test_a_broken_file_is_a_sentence(refusals, name):
    """Truncated or another one's: what OpenVINO says of it, without where in its source."""
    start = "openvino float32: OpenVINO cannot take the converted model: "
    assert refusals[name].startswith(start)
    assert "\n" not in refusals[name]
    assert not refusals[name].removeprefix(start).startswith(("Exception from", "Check '"))


def test_an_operator_that_openvino_lacks_is_named(refusals):
    """So that a person knows which part of the model to change."""
    assert "Frobnicate" in refusals["lacking"]


def test_an_answer_that_is_no_list_of_classes_is_refused(refusals):
    """By its shape."""
    assert refusals["no logits"] == (
        "openvino float32: the model returns shape (1, 3, 4, 4) for 1 images, expected (image, class)"
    )


def test_a_missing_package_is_told_with_what_to_type(monkeypatch):
    """Before anything is imported."""
    monkeypatch.setattr(packages, "missing", lambda extra, _: f"{extra}: not there; type {packages.command(extra)}")
    availability = OpenVinoEngine().availability(detect())
    assert not availability.available
    assert availability.reason == "openvino: not there; type pip install 'int8bench[openvino]'"


def test_a_half_installed_package_is_a_sentence(monkeypatch):
    """Its import fails, and says what to type."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"openvino: its packages are installed but cannot be loaded .*--force"):
        OpenVinoEngine().prepare(
            OpenVinoEngine().variants[0], Material(model=None, calibration=np.zeros(1), example=np.zeros(1))
        )


def node(layer, primitive, takes="f32", gives=None, time="10", name="a"):
    """A node as OpenVINO tells of it."""
    info = {
        "layerType": layer,
        "primitiveType": primitive,
        "runtimePrecision": takes,
        "outputPrecisions": gives or takes,
        "execTimeMcs": time,
    }
    return GraphNode.of(name, info)


@pytest.mark.parametrize(
    ("seen", "kind"),
    [
        (node("Convolution", "brgconv_avx512_amx_I8", "u8"), "int8"),
        (node("Convolution", "jit_avx2_I8", "u8", "f32"), "int8"),
        (node("FullyConnected", "brgemm_avx512_I8", "i8"), "int8"),
        (node("Subgraph", "jit_avx512_I8", "u8"), "int8"),
        (node("Convolution", "brgconv_avx512_f32"), "float"),
        (node("Convolution", "jit_avx2_FP32", "FP32"), "float"),
        (node("Convolution", "brgconv_avx512_amx_bf16", "bf16"), "float"),
        (node("Subgraph", "jit_avx512_f32"), "float"),
        (node("Subgraph", "jit_avx512_f32", "f32", "u8"), "edge"),
        (node("Subgraph", "jit_avx512_I8", "u8", "f32"), "edge"),
        (node("Reorder", "jit_uni_I8", "u8"), "edge"),
        (node("FakeQuantize", "jit_avx2_FP32", "FP32", "U8"), "edge"),
        (node("Reshape", "unknown_I8", "u8"), "other"),
        (node("Eltwise", "jit_avx512_i32", "i32"), "other"),
    ],
)
def test_a_node_is_what_its_kernel_computes_in(seen, kind):
    """Unless it only quantizes, reorders or moves; a convolution left in float is float."""
    assert seen.kind(NO_WORK) == kind


@pytest.mark.parametrize(
    ("layer", "given", "answer", "expected"),
    [
        ("Convolution", [(8, 3, 32, 32), (16, 3, 3, 3), (16,)], (8, 16, 32, 32), 8 * 16 * 1024 * 27),
        ("Convolution", [(1, 64, 8, 8), (64, 1, 1, 3, 3)], (1, 64, 4, 4), 64 * 16 * 9),
        ("Convolution", [(1, 8, 8, 8), (2, 4, 4, 1, 1)], (1, 8, 8, 8), 8 * 64 * 4),
        ("Deconvolution", [(1, 16, 4, 4), (16, 8, 2, 2)], (1, 8, 8, 8), 16 * 16 * 8 * 4),
        ("Deconvolution", [(1, 16, 4, 4), (2, 8, 4, 2, 2)], (1, 8, 8, 8), 16 * 16 * 4 * 4),
        ("FullyConnected", [(8, 16), (10, 16), (10,)], (8, 10), 1280),
        ("MatMul", [(8, 16, 256), (8, 16, 256)], (8, 256, 256), 8 * 256 * 256 * 16),
        ("ScaledDotProductAttention", [(1, 2, 5, 8), (1, 2, 7, 8), (1, 2, 7, 8)], (1, 2, 5, 8), 2 * 2 * 5 * 7 * 8),
        ("RNNSeq", [(2, 9, 4), (2, 1, 8), (2, 1, 8), (2,), (1, 32, 4), (1, 32, 8)], (2, 1, 9, 8), 18 * 32 * 12),
        ("Softmax", [(8, 10)], (8, 10), 0),
        ("MatMul", [(8,)], (8, 10), None),
    ],
)
def test_a_node_is_weighed_by_its_shapes(layer, given, answer, expected):
    """As its sums are counted by hand, groups as an axis of their own or not."""
    seen = GraphNode.of("a", {"layerType": layer, "primitiveType": "jit_f32"}, given=tuple(given), answers=(answer,))
    assert seen.multiply_adds(NO_WORK) == expected


@pytest.mark.parametrize(("primitive", "kind"), [("jit_avx512_f32", "float"), ("jit_avx512_I8", "int8")])
def test_products_that_were_fused_into_one_kernel_are_no_edge(primitive, kind):
    """Attention in one piece takes float and gives 8 bits, as an edge does, and is most of the work."""
    info = {
        "layerType": "Subgraph",
        "primitiveType": primitive,
        "runtimePrecision": "f32",
        "outputPrecisions": "u8",
        "execTimeMcs": "10",
        "originalLayersNames": "node_matmul,node_softmax,node_matmul_1,",
    }
    fused = GraphNode.of("a", info)
    work = {"node_matmul": 700, "node_softmax": 0, "node_matmul_1": 300, "elsewhere": 9}
    (found,) = operators([GraphProfile(cold=(fused,), warm=(fused,), calls=2)], work)
    assert (found.kind, found.multiply_adds, found.name) == (kind, 1000, "Subgraph of node_matmul and node_matmul_1")
    assert fused.kind(NO_WORK) == "edge"


def profile(*cold_and_warm, calls=9):
    """A profile of convolutions, by their means after the first call and after all of them."""
    cold, warm = (
        tuple(node("Convolution", "jit_avx2_I8", "u8", time=time, name=str(i)) for i, time in enumerate(times))
        for times in zip(*cold_and_warm, strict=True)
    )
    return GraphProfile(cold=cold, warm=warm, calls=calls)


def test_nodes_that_were_not_executed_are_no_operators():
    """Constants, inputs, and what was done by sharing memory."""
    nodes = (node("Const", "unknown_i8", "i8", time="not_executed"), node("Convolution", "jit_avx2_I8", "u8"))
    assert [each.name for each in operators([GraphProfile(cold=nodes, warm=nodes, calls=2)])] == ["Convolution"]
    assert precisions(nodes) == ("i8",)


@pytest.mark.parametrize(("cold", "warm", "seconds"), [("100", "20", 1e-5), ("30", "2", 0.0)])
def test_the_first_call_is_taken_out_of_the_mean(cold, warm, seconds):
    """It packs weights; what cutting to whole microseconds leaves below zero is zero."""
    assert [each.seconds for each in operators([profile((cold, warm))])] == [pytest.approx(seconds)]


def test_an_operator_has_its_time_where_it_was_quickest():
    """A session in which it lost its processor does not count; each operator has one of its own."""
    sessions = [profile(("9", "10"), ("9", "5000")), profile(("9", "900"), ("9", "20"))]
    times = [each.seconds for each in operators(sessions)]
    assert times == [pytest.approx((10 * 9 - 9) / 8 * 1e-6), pytest.approx((20 * 9 - 9) / 8 * 1e-6)]


def test_an_operator_without_a_time_in_a_session_has_that_of_another():
    """What is quicker than the profile's clock is not executed by its word, in this session or in that."""
    untimed = ("9", "not_executed")
    sessions = [profile(("9", "10"), untimed), profile(("9", "20"), ("9", "30"))]
    times = [each.seconds for each in operators(sessions)]
    assert times == [pytest.approx((10 * 9 - 9) / 8 * 1e-6), pytest.approx((30 * 9 - 9) / 8 * 1e-6)]


def test_a_node_that_openvino_names_itself_is_one_in_all_sessions():
    """Such as a layer that it makes of several: its number is another in each session."""
    nodes = [node("RNNSeq", "ref_any_f32", name=f"LSTMSequence_{number}") for number in (62172, 68550, 71003)]
    found = operators([GraphProfile(cold=(each,), warm=(each,), calls=2) for each in nodes])
    assert [each.name for each in found] == ["RNNSeq"]


def test_a_session_with_another_graph_is_left_out():
    """Its nodes are not those of the others."""
    first, other = node("Convolution", "jit_f32", time="9"), node("Softmax", "jit_f32", time="1")
    profiles = [GraphProfile(cold=(each,), warm=(each,), calls=2) for each in (first, other)]
    assert [(each.name, each.seconds) for each in operators(profiles)] == [("Convolution", pytest.approx(9e-6))]


def test_what_is_no_float32_is_named():
    """Reorders into another type are edges, and count by the kernels that follow."""
    nodes = [
        node("Reorder", "jit_uni_f32", "f32", "bf16"),
        node("Convolution", "brgconv_avx512_bf16", "bf16"),
        node("FullyConnected", "gemm_mlas_f32"),
    ]
    assert not_float32(nodes) == ("brgconv_avx512_bf16",)
    assert precisions(nodes) == ("bf16", "f32")


def test_reference_kernels_are_named():
    """They are int8 in name, and slow."""
    nodes = [node("Convolution", "ref_any_I8", "u8"), node("Convolution", "jit_avx2_I8", "u8")]
    assert references(nodes) == ("ref_any_I8",)
