"""ONNX files: one for every batch size, quantized over all calibration pictures, and a sentence where that fails."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from engines import require, told
from int8bench.engines.base import Material
from int8bench.engines.onnx import files
from int8bench.engines.onnx.onnxruntime import OnnxRuntimeEngine
from int8bench.errors import EngineError
from int8bench.machine import load
from int8bench.workload.cases import Variant

pytestmark = pytest.mark.torch
RECORDED = Path(__file__).parents[2] / "golden" / "hardware"
INT8 = Variant(engine="any", precision="int8", layout="nchw")

CONVERTED = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
import onnx
import torch
from engines import some_pictures, tiny_cnn
from int8bench.engines.onnx import files as onnx_files
from int8bench.engines.base import Material
from int8bench.errors import EngineError

class Branching(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10] if float(x.sum()) > 0 else x.flatten(1)[:, :5]

class Decomposing(torch.nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x.flatten(2))[1].flatten(1)

def refusal(model, calibration, convert):
    folder = Path(sys.argv[2]) / type(model).__name__
    folder.mkdir()
    try:
        material = Material(model=model, calibration=calibration, example=pictures[:1])
        convert(material, {"reduce_range": False}, None, folder)
    except EngineError as error:
        return [str(error), [path.name for path in folder.iterdir()]]

pictures = some_pictures()
material = Material(model=tiny_cnn(), calibration=pictures, example=pictures[:1])
found = {}
for name, convert, options in (
    ("float32", onnx_files.export, {}),
    ("int8", onnx_files.quantize, {"reduce_range": False}),
    ("reduced", onnx_files.quantize, {"reduce_range": True}),
):
    folder = Path(sys.argv[2]) / name
    folder.mkdir()
    notes = convert(material, options, None, folder)
    model = onnx.load(folder / onnx_files.FILE)
    weights = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer]
    found[name] = {
        "notes": notes,
        "files": [path.name for path in folder.iterdir()],
        "operators": [node.op_type for node in model.graph.node],
        "batch": model.graph.input[0].type.tensor_type.shape.dim[0].dim_param,
        "largest": max((int(abs(w.astype(int)).max()) for w in weights if w.dtype == "int8" and w.ndim > 1), default=0),
    }
found["refused"] = {
    "branches": refusal(Branching(), pictures, onnx_files.export),
    "has no form": refusal(Decomposing(), pictures, onnx_files.quantize),
    "other pictures": refusal(tiny_cnn(), np.zeros((4, 3, 20, 20), np.float32), onnx_files.quantize),
}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory):
    """What the conversions of a small network leave."""
    require(OnnxRuntimeEngine())
    return told(CONVERTED, str(Path(__file__).parents[2] / "helpers"), str(tmp_path_factory.mktemp("onnx")))


@pytest.mark.parametrize("name", ["float32", "int8", "reduced"])
def test_a_file_takes_every_batch_size_and_stands_alone(converted, name):
    """Nothing else is left in the folder."""
    assert converted[name]["files"] == [files.FILE]
    assert converted[name]["batch"] == files.BATCH


def test_int8_quantizes_every_layer(converted):
    """Pairs around both convolutions and the linear layer, and none in float32."""
    assert converted["int8"]["operators"].count("DequantizeLinear") >= 3 * 2
    assert not {"QuantizeLinear", "DequantizeLinear"} & set(converted["float32"]["operators"])


def test_weights_keep_to_seven_bits_where_the_range_is_reduced(converted):
    """And use all of eight elsewhere; the notes say which."""
    assert converted["int8"]["largest"] == 127
    assert converted["reduced"]["largest"] <= 64
    assert (converted["int8"]["notes"]["reduce_range"], converted["reduced"]["notes"]["reduce_range"]) == (False, True)


@pytest.mark.parametrize(
    ("machine", "reduced"),
    [("linux-ubuntu20.04-zen3", True), ("linux-kvm-intel-amx", False)],
)
def test_the_range_is_reduced_by_what_the_processor_has(machine, reduced):
    """An x86 without VNNI would saturate; the choice is part of what the files are kept by."""
    asked = OnnxRuntimeEngine().conversion(INT8, load(RECORDED / machine))
    assert asked.options == {"reduce_range": reduced}


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("branches", "onnx: Branching cannot be exported: "),
        ("has no form", "onnx: Decomposing cannot be exported: "),
        ("other pictures", "onnx: Sequential cannot be quantized by onnxruntime's tool: "),
    ],
)
def test_what_cannot_be_converted_is_a_sentence_and_leaves_no_file(converted, what, says):
    """Control flow on the data, an operator that ONNX lacks, calibration pictures of another shape."""
    sentence, left = converted["refused"][what]
    assert sentence.startswith(says)
    assert "Next steps" not in sentence, "the exporter's advice to its own callers"
    assert sentence.endswith(files.ADVICE)
    assert left == []


@pytest.mark.parametrize("convert", [files.export, files.quantize])
def test_a_half_installed_package_is_not_blamed_on_the_model(monkeypatch, tmp_path, convert):
    """Its import fails, and says what to type."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineError, match=r"installed but cannot be loaded .*pip install 'int8bench\[onnxruntime\]'"):
        convert(Material(model=None, calibration=None, example=None), {}, None, tmp_path)


def test_files_that_are_gone_are_a_sentence(tmp_path):
    """Somebody emptied the cache meanwhile."""
    with pytest.raises(EngineError, match="cannot be read: No such file or directory; run again"):
        files.content(Material(model=None, calibration=None, example=None, files={None: tmp_path}))
