import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from int8bench.engines.base import AnyEngine
from int8bench.engines.fixed_batch import parts
from int8bench.engines.tflite import files
from int8bench.engines.tflite.litert import LiteRtEngine
from int8bench.engines.tflite.tflm import TflmEngine
from int8bench.machine import Hardware
from int8bench.workload.cases import FLOAT32, INT8

HELPERS = Path(__file__).parents[2] / "helpers"
_SPEC = importlib.util.spec_from_file_location("engines", HELPERS / "engines.py")
assert _SPEC is not None
assert _SPEC.loader is not None
helpers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(helpers)

# Runs in an interpreter of its own: the converter brings jax, and half a gigabyte of other modules.
PROGRAM = """
import contextlib, copy, io, json, sys, tempfile, warnings
from pathlib import Path
import numpy as np
import torch
from torch import nn
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
sys.path.insert(0, sys.argv[2])
from engines import some_pictures, tiny_cnn
from int8bench.engines.tflite import files as tflite_files
from int8bench.engines.base import Material
from int8bench.errors import EngineError

torch.set_num_threads(1)
torch.manual_seed(0)

class Undecided(nn.Module):
    def forward(self, x):
        return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

def make(model, pictures, batch, function):
    folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
    material = Material(model=model, calibration=pictures, example=pictures[:1])
    said = getattr(tflite_files, function)(material, {}, batch, folder)
    return tflite_files.content(folder), said

def opened(content):
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    return interpreter, entry, answer

def answers(content, pictures):
    interpreter, entry, answer = opened(content)
    fed = tflite_files.channels_last(pictures)
    if entry["dtype"] is np.int8:
        step, zero = entry["quantization"]
        fed = np.clip(np.rint(fed / step) + zero, -128, 127).astype(np.int8)
    interpreter.set_tensor(entry["index"], fed)
    interpreter.invoke()
    got = interpreter.get_tensor(answer["index"]).astype(np.float32)
    return got if answer["dtype"] is np.float32 else (got - answer["quantization"][1]) * answer["quantization"][0]

def sqnr(model, content, pictures):
    with torch.inference_mode():
        expected = model(torch.from_numpy(pictures)).numpy()
    return float(10 * np.log10((expected**2).sum() / ((expected - answers(content, pictures)) ** 2).sum()))

out = {}
printed = io.StringIO()
with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
    tiny, pictures = tiny_cnn(), some_pictures(33)
    before = copy.deepcopy(tiny.state_dict())
    tiny.train()
    content, out["float32_said"] = make(tiny, pictures, 2, "float32")
    out["left_in_training"], _ = tiny.training, tiny.eval()
    out["float32_shape"] = opened(content)[1]["shape"].tolist()
    out["float32_type"] = np.dtype(opened(content)[1]["dtype"]).name
    out["float32_sqnr"] = sqnr(tiny, content, pictures[:2])
    pictures[32, 0, 0, 0] = 30.0
    files = {}
    for function in ("int8", "full_int8"):
        files[function], out[f"{function}_said"] = make(tiny, pictures, 32, function)
        _, entry, answer = opened(files[function])
        out[f"{function}_types"] = [np.dtype(each["dtype"]).name for each in (entry, answer)]
    steps = [answers(each, pictures[:32]) / answer["quantization"][0] for each in files.values()]
    out["apart"] = float(abs(steps[0] - steps[1]).max())
    step, zero = entry["quantization"]
    out["int8_range"] = [(-128 - zero) * step, (127 - zero) * step]
    out["pictures_range"] = [float(pictures.min()), float(pictures.max())]
    for function, content in files.items():
        tensors = opened(content)[0].get_tensor_details()
        out[f"{function}_per_channel"] = max(len(each["quantization_parameters"]["scales"]) for each in tensors)
    out["unchanged"] = all(torch.equal(before[name], tensor) for name, tensor in tiny.state_dict().items())
    # Negative values into a padded max pooling, and more weights than stay in the graph by themselves.
    wide = nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.MaxPool2d(3, 2, padding=1), nn.Conv2d(64, 600, 3),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(600, 10)).eval()
    nn.init.constant_(wide[0].bias, -9.0)
    pictures = some_pictures(32)
    content, _ = make(wide, pictures, 4, "full_int8")
    out["wide_sqnr"] = sqnr(wide, content, pictures[:4])
    buffers = flatbuffer_utils.convert_bytearray_to_object(bytearray(content)).buffers
    out["outside"] = sum(bool(each.offset) for each in buffers)
    out["inside"] = max(0 if each.data is None else len(each.data) for each in buffers)
    dead = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(8, 10)).eval()
    nn.init.constant_(dead[0].bias, -90.0)
    out["dead_sqnr"] = sqnr(dead, make(dead, pictures, 4, "int8")[0], pictures[:4])
    try:
        make(Undecided().eval(), pictures, 1, "float32")
    except EngineError as error:
        out["refused"] = str(error)
    for module, function in (("litert_torch", "float32"), ("ai_edge_quantizer", "int8")):
        kept, sys.modules[module] = sys.modules[module], None
        try:
            make(tiny, pictures, 1, function)
        except EngineError as error:
            out[module] = str(error)
        sys.modules[module] = kept
out["printed"] = printed.getvalue()
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the converter made of a few models."""
    helpers.require(LiteRtEngine())
    return helpers.told(PROGRAM, str(tmp_path_factory.mktemp("tflite")), str(HELPERS))


@pytest.mark.torch
def test_float32_files_are_for_channels_last_pictures_of_one_batch_size(found: Any) -> None:
    """The input is (batch, height, width, channel) float32, and the answers are the model's."""
    assert (found["float32_shape"], found["float32_type"]) == ([2, 16, 16, 3], "float32")
    assert found["float32_sqnr"] > 80
    assert found["float32_said"]["bytes"] > 100_000


@pytest.mark.torch
@pytest.mark.parametrize(("file", "edge"), [("int8", "float32"), ("full_int8", "int8")])
def test_int8_files_have_the_edges_of_their_engine(found: Any, file: str, edge: str) -> None:
    """Input and output are float32, or int8 for boards; weights have a scale for each of their channels."""
    assert found[f"{file}_types"] == [edge, edge]
    assert found[f"{file}_per_channel"] == 64
    assert found[f"{file}_said"]["calibration_pictures"] == 33


@pytest.mark.torch
def test_both_int8_files_answer_alike(found: Any) -> None:
    """What lies between the edges is the same network, with the same ranges: at most a step apart, by rounding."""
    assert found["apart"] <= 1.01


@pytest.mark.torch
def test_layers_that_are_never_on_are_no_reason_to_fail(found: Any) -> None:
    """The smallest of scales, which the quantizer gives them, is one that XNNPACK refuses."""
    assert found["dead_sqnr"] > 30


@pytest.mark.torch
def test_ranges_are_the_extremes_of_all_pictures(found: Any) -> None:
    """A value of the last picture alone, in an incomplete batch, is inside the range: no average, nothing left out."""
    (low, high), (lowest, highest) = found["int8_range"], found["pictures_range"]
    assert low == pytest.approx(lowest, abs=0.2)
    assert high == pytest.approx(highest, abs=0.2)


@pytest.mark.torch
def test_the_model_is_left_as_it_was(found: Any) -> None:
    """Converting changes neither weights nor mode of the model that it is given."""
    assert found["unchanged"]
    assert found["left_in_training"]


@pytest.mark.torch
def test_a_padded_max_pooling_is_no_infinite_scale(found: Any) -> None:
    """The pooling's padding of minus infinity becomes the least value that occurs, below zero too."""
    assert found["wide_sqnr"] > 20


@pytest.mark.torch
def test_large_weights_stay_in_the_graph(found: Any) -> None:
    """No weights stand behind the graph, where a microcontroller's interpreter would not find them."""
    assert found["outside"] == 0
    assert found["inside"] > 256 * 1024


@pytest.mark.torch
def test_a_model_that_cannot_be_exported_is_told_so(found: Any) -> None:
    """The error names the model, whose words they are, and what to type."""
    assert found["refused"].startswith("Undecided cannot be made into a .tflite file: litert_torch says")
    assert found["refused"].endswith("leave litert and tflm out of --engines")


@pytest.mark.torch
@pytest.mark.parametrize("module", ["litert_torch", "ai_edge_quantizer"])
def test_half_an_installation_is_told_so(found: Any, module: str) -> None:
    """A converter or quantizer that cannot be imported says what to install."""
    assert found[module].startswith("litert: its packages are installed but cannot be loaded")
    assert "pip install 'int8bench[litert]'" in found[module]


@pytest.mark.torch
def test_nothing_is_printed(found: Any) -> None:
    """Progress lines of the converter and of the calibrator reach neither stream of Python."""
    assert found["printed"] == ""


@pytest.mark.parametrize(("count", "batch"), [(5, 2), (4, 2), (3, 8), (7, 1), (33, 32)])
def test_calibration_takes_every_picture_in_whole_batches(count: int, batch: int) -> None:
    """Each picture comes at least once, in order, every batch is full, and none is wholly a repetition."""
    pictures = helpers.some_pictures(count)
    batches = [files.channels_last(part) for part in parts(pictures, batch)]
    assert {each.shape for each in batches} == {(batch, 16, 16, 3)}
    assert len(batches) == -(-count // batch)
    np.testing.assert_array_equal(np.concatenate(batches)[:count], np.moveaxis(pictures, 1, -1))


def test_the_channels_last_copy_is_the_callers_own() -> None:
    """Also where both layouts are the same bytes, as with one channel."""
    pictures = helpers.some_pictures(2)[:, :1].copy()
    copied = files.channels_last(pictures)
    assert not np.shares_memory(copied, pictures)
    assert copied.flags.c_contiguous


@pytest.mark.parametrize(
    ("engine", "precision", "file"),
    [(LiteRtEngine(), FLOAT32, "float32"), (LiteRtEngine(), INT8, "int8"), (TflmEngine(), INT8, "full_int8")],
)
def test_each_variant_asks_for_its_file(engine: AnyEngine, precision: str, file: str) -> None:
    """One for each batch size; those of int8 are made anew with another quantizer too."""
    asked = engine.conversion(helpers.variant_of(engine, precision), Hardware(arch="x86_64", os="Linux"))
    assert asked is not None
    assert asked.function is getattr(files, file)
    assert asked.by_batch
    assert ("ai-edge-quantizer" in asked.packages) is (precision == INT8)
