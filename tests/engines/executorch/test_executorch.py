"""ExecuTorch: right answers in as many threads as asked, int8 by its own tracer, and a sentence where it cannot."""

import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from engines import TINY_MULTIPLY_ADDS, require, some_pictures, tiny_cnn, told  # noqa: E402  after the skip
from int8bench.engines import packages  # noqa: E402
from int8bench.engines.base import Material  # noqa: E402
from int8bench.engines.executorch import files, operators  # noqa: E402
from int8bench.engines.executorch.engine import ExecuTorchEngine  # noqa: E402
from int8bench.errors import EngineError  # noqa: E402
from int8bench.machine import detect  # noqa: E402
from int8bench.workload.cases import Group  # noqa: E402

pytestmark = pytest.mark.torch
ENGINE = ExecuTorchEngine()

ANSWERED = """
import json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from engines import made, some_pictures, tiny_cnn
from int8bench.workload.cases import Group
from int8bench.engines.executorch.engine import ExecuTorchEngine
from int8bench.errors import EngineError
from int8bench.workload.fidelity import compare

engine, model, pictures = ExecuTorchEngine(), tiny_cnn(), some_pictures()
with torch.inference_mode():
    expected = model(torch.from_numpy(pictures)).numpy()
found = {}
for precision, threads in (("float32", 1), ("int8", 2)):
    folder = Path(sys.argv[2]) / precision
    folder.mkdir()
    built = made(engine, precision, model, pictures, folder, group=Group(batch=8, threads=threads))
    batch = pictures[:8].copy()
    call = built.bind(batch)
    batch[:] = 0  # the body has a copy of its own
    once = call()[0].numpy().copy()
    again = call()[0].numpy().copy()
    try:
        built.bind(pictures[:3])
        refused = None
    except EngineError as error:
        refused = str(error)
    found[precision] = {
        "sqnr_db": compare(expected, built(pictures)).sqnr_db,
        "bound": compare(expected[:8], once).sqnr_db,
        "same_again": bool(np.array_equal(once, again)),
        "odd": list(built(pictures[:5]).shape),
        "refused": refused,
        "weights_bytes": built.weights_bytes,
        "serialized_bytes": built.serialized_bytes,
        "evidence": built.evidence,
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """What both variants answer and tell of a small network."""
    require(ENGINE)
    return told(ANSWERED, str(Path(__file__).parents[2] / "helpers"), str(tmp_path_factory.mktemp("answers")))


@pytest.mark.parametrize(("precision", "least_db"), [("float32", 80.0), ("int8", 25.0)])
def test_the_answers_are_the_models(answered, precision, least_db):
    """Of any number of pictures, in parts of the program's batch, and of the bound batch."""
    found = answered[precision]
    assert found["sqnr_db"] > least_db
    assert found["bound"] > least_db
    assert found["same_again"]
    assert found["odd"] == [5, 10]


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_batch_of_another_size_is_not_timed(answered, precision):
    """A program is made for one."""
    assert answered[precision]["refused"] == f"executorch {precision}: made for batch 8, asked to be bound to 3"


@pytest.mark.parametrize(("precision", "kind"), [("float32", "float"), ("int8", "int8")])
def test_the_tracer_proves_what_ran(answered, precision, kind):
    """Most of the time went into XNNPACK's operators of that kind, and none into the other."""
    ran = answered[precision]["evidence"]["ran"]
    assert (ran["witness"], ran["share_of"]) == (operators.TRACER, "time")
    assert ran[f"{kind}_share"] > 0.5
    assert ran[f"{'float' if kind == 'int8' else 'int8'}_share"] == 0.0
    assert ran["multiply_adds"]["total"] == 8 * TINY_MULTIPLY_ADDS
    assert ran["multiply_adds"][f"{kind}_share"] == 1.0
    assert all(row["implementation"] == "XNNPACK" for row in ran["operators"] if row["kind"] == kind)


@pytest.mark.parametrize(("precision", "threads"), [("float32", 1), ("int8", 2)])
def test_the_pool_has_the_threads_that_are_asked_for(answered, precision, threads):
    """Whatever the machine has; the runtime's own count."""
    assert answered[precision]["evidence"]["threads"] == threads


def test_the_whole_network_is_delegated_and_int8_weights_take_about_a_quarter(answered):
    """Biases and scales stay wide."""
    assert all(each["evidence"]["delegation"]["delegated_share"] == 1.0 for each in answered.values())
    ratio = answered["int8"]["weights_bytes"] / answered["float32"]["weights_bytes"]
    assert 0.25 < ratio < 0.35
    assert all(each["serialized_bytes"] > each["weights_bytes"] for each in answered.values())


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Convolution (NHWC, QC8) IGEMM", "int8"),
        ("Fully Connected (NC, QS8, QC8W) GEMM", "int8"),
        ("Max Pooling (NHWC, S8)", "int8"),
        ("Convolution (NHWC, F32) IGEMM", "float"),
        ("aten::_softmax.out", "float"),
        ("Convert (NC, F32, QS8)", "edge"),
        ("Transpose (ND, X8)", "edge"),
        ("quantized_decomposed::dequantize_per_tensor.out", "edge"),
        ("Static Reshape", "other"),
        ("aten::view_copy.out", "other"),
    ],
)
def test_an_operator_is_told_by_its_name(name, kind):
    """XNNPACK's names hold the type of their kernels; what holds none computes in float."""
    assert operators.kind(name) == kind


@pytest.mark.parametrize(
    ("name", "nodes", "kind"),
    [
        ("Add (ND)", {"XNNAdd": "qint8", "XNNExp": "fp32"}, "int8"),  # beside a float island
        ("Add (ND)", {"XNNAdd": "fp32", "XNNConv2d": "qint8"}, "float"),
        ("Clamp (NC)", {"XNNAdd": "qint8", "XNNConvert": "fp32"}, "int8"),  # the graph has it as a limit of the sum
        ("Clamp (NC)", {"XNNAdd": "qint8", "XNNExp": "fp32"}, "float"),
        ("Clamp (NC)", {}, "float"),
        ("Convolution (NHWC, F32) IGEMM", {"XNNConv2d": "qint8"}, "float"),  # the kernel that ran has the last word
        ("Convert (NC)", {"XNNConvert": "fp32"}, "edge"),
    ],
)
def test_a_name_without_a_type_has_that_of_the_graph(name, nodes, kind):
    """XNNPACK calls an elementwise operator the same on every type; in doubt it is float."""
    given = [files.EdgeNode(operator=node, types=(types,), multiply_adds=0) for node, types in nodes.items()]
    ran = operators.Operator(name=name, implementation="XNNPACK", kind=operators.kind(name))
    (found,) = operators.completed([ran], given)
    assert found.kind == kind


def test_what_xnnpack_did_not_run_keeps_its_kind():
    """Its graph says nothing of the runtime's own kernels."""
    given = [files.EdgeNode(operator="XNNConv2d", types=("qint8",), multiply_adds=9)]
    left = operators.Operator(name="log1p.out", implementation="own", kind=operators.Kind.FLOAT)
    assert operators.completed([left], given) == (left,)


def test_a_runtime_without_a_tracer_is_answered_by_the_graph():
    """What XNNPACK was given, by the types of its tensors, and what it was not."""
    delegation = files.Delegation(
        delegates=1,
        delegated={},
        not_delegated={"aten::_softmax": 2, "aten::convolution.out": 2},
        not_delegated_multiply_adds={"aten::_softmax": 0, "aten::convolution.out": 700},
        delegated_share=3 / 7,
        nodes=(
            files.EdgeNode(operator="XNNConv2d", types=("qint8", "qcint8"), multiply_adds=90),
            files.EdgeNode(operator="XNNFullyConnected", types=("fp32",), multiply_adds=10),
            files.EdgeNode(operator="XNNConvert", types=("fp32", "qint8"), multiply_adds=0),
        ),
        operators=(),
        weights_bytes=0,
    )
    planned = operators.planned(delegation)
    assert [each.kind.value for each in planned] == ["int8", "float", "edge"] + ["float"] * 4
    assert [each.multiply_adds for each in planned] == [90, 10, 0, 0, 0, 700, 0]


SHAPES = {1: (2, 8, 8, 16), 2: (32, 3, 3, 8), 3: (2, 8, 8, 32), 4: (2, 16), 5: (10, 16), 6: (2, 10), 7: (2, 16, 4)}


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        ("XNNConv2d", {"output_id": 3, "group_input_channels": 8}, 2 * 64 * 32 * 9 * 8),
        ("XNNDepthwiseConv2d", {"output_id": 1, "group_input_channels": 1}, 2 * 64 * 16 * 9),
        ("XNNConvTranspose2d", {"input1_id": 1, "output_id": 3, "group_output_channels": 4}, 2 * 64 * 16 * 9 * 4),
        ("XNNFullyConnected", {"input1_id": 4, "filter_id": 5, "output_id": 6}, 320),
        ("XNNBatchMatrixMultiply", {"input1_id": 7, "input2_id": 7, "output_id": 7}, 2 * 16 * 4 * 8),
        ("XNNAdd", {"output_id": 6}, 0),
        ("XNNScaledDotProductAttention", {"output_id": 6}, None),
    ],
)
def test_a_node_of_the_graph_is_weighed_by_its_shapes(kind, fields, expected):
    """By the fields that XNNPACK reads."""
    assert files.multiply_adds(kind, {"kernel_height": 3, "kernel_width": 3, **fields}, SHAPES) == expected


def test_a_forward_that_lacks_an_event_does_not_count():
    """A profile may drop one: what is left is the mean of forwards that are whole."""

    def run(*microseconds):
        events = [
            {"profile_event": {"name": f"native_call_{i}", "start_time": 0, "end_time": 1000 * each}}
            for i, each in enumerate(microseconds)
        ]
        return {"name": "Execute", "events": events}

    found = operators.profiled({"run_data": [run(10, 20), run(99), run(30, 40)]})
    assert [each.seconds for each in found] == [pytest.approx(20e-6), pytest.approx(30e-6)]
    assert operators.profiled({"run_data": []}) == ()


def test_a_profile_is_the_mean_of_its_last_forwards():
    """Warm-up runs and the loading of the method do not count."""

    def run(name, microseconds):
        event = {"delegate_debug_id_str": "Convolution (NHWC, F32) IGEMM #1", "start_time": 0}
        return {"name": name, "events": [{"profile_event": {**event, "end_time": 1000 * microseconds}}]}

    runs = [run("Init", 900), *(run("Execute", 500) for _ in range(operators.WARM_UP))]
    runs += [run("Execute", 10 + 2 * (i % 2)) for i in range(operators.FORWARDS)]
    (found,) = operators.profiled({"run_data": runs})
    assert (found.name, found.seconds) == ("Convolution (NHWC, F32) IGEMM", pytest.approx(11e-6))


def test_a_model_that_cannot_be_exported_is_a_sentence(tmp_path):
    """Control flow on the data, before anything is written."""
    require(ENGINE)

    class Branching(torch.nn.Module):
        """Its path depends on its input."""

        def forward(self, x):
            """Logits (image, class)."""
            return x.flatten(1)[:, :10] if float(x.sum()) > 0 else x.flatten(1)[:, 10:20]

    pictures = some_pictures(2)
    material = Material(model=Branching(), calibration=pictures, example=pictures[:1])
    with pytest.raises(EngineError, match=r"executorch: Branching cannot be exported by torch.export: .* control flow"):
        files.convert(material, {"precision": "float32"}, 2, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_the_runtime_lacks_is_named():
    """Before a program is written; those that it has are not."""
    require(ENGINE)
    with pytest.raises(EngineError, match=r"nor the runtime has a kernel for ours::sorted\.out; replace"):
        files._check_kernels(["aten::log1p.out", "ours::sorted.out"])


@pytest.mark.parametrize("damage", ["missing", "cut short", "another"])
def test_a_damaged_program_is_a_sentence(tmp_path, damage):
    """Whether its description is gone, half there, or the program is none."""
    require(ENGINE)
    description = json.dumps({"weights_bytes": 1})
    if damage != "missing":
        text = description[:-1] if damage == "cut short" else description
        (tmp_path / files.DELEGATION).write_text(text, encoding="utf-8")
    (tmp_path / files.PROGRAM).write_bytes(b"not a program")
    material = Material(model=None, calibration=None, example=some_pictures(1), files={1: tmp_path})
    with pytest.raises(EngineError, match=r"executorch float32: (.* holds no whole program|the runtime refuses)"):
        ENGINE.build(ENGINE.prepare(ENGINE.variants[0], material), Group(batch=1, threads=1))


def test_a_batch_that_was_not_converted_is_a_sentence():
    """With the sizes that were."""
    require(ENGINE)
    prepared = ENGINE.prepare(ENGINE.variants[0], Material(model=None, calibration=None, example=some_pictures(1)))
    with pytest.raises(EngineError, match="no program was made for batch 8, only for none"):
        ENGINE.build(prepared, Group(batch=8, threads=1))


def test_a_missing_package_is_told_with_what_to_type(monkeypatch):
    """Before anything is imported."""
    monkeypatch.setattr(packages, "missing", lambda extra, _: f"{extra}: not there; type {packages.command(extra)}")
    availability = ENGINE.availability(detect())
    assert availability.reason == "executorch: not there; type pip install 'int8bench[executorch]'"


def test_a_half_installed_package_is_a_sentence(monkeypatch):
    """Its extension cannot be imported."""
    monkeypatch.setitem(sys.modules, "executorch.extension.pybindings._C", None)
    with pytest.raises(EngineError, match=r"executorch: its packages are installed but cannot be loaded"):
        ENGINE.prepare(ENGINE.variants[0], Material(model=tiny_cnn(), calibration=None, example=some_pictures(1)))
