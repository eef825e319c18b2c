"""Makes .tflite files of a model for one batch size: float32, int8, and int8 at its edges too.

All take channels-last pictures: the converter would keep NCHW and begin every call with a transposition, which gained
nothing in float32 and cost an int8 call of SimpleCNN up to 5 %, hardly more than the noise. Runs in a conversion's own
process; never runs a model to be measured. Multiply-adds of operators are told by the shapes of their tensors.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import numpy.typing as npt

from int8bench import units
from int8bench.documents import Json
from int8bench.engines import operators, packages
from int8bench.engines.base import Conversion, Images, Material, Options
from int8bench.engines.fixed_batch import parts
from int8bench.engines.operators import Shape
from int8bench.engines.plain import REFUSALS, plain
from int8bench.errors import EngineError
from int8bench.workload.cases import FLOAT32, INT8

_UNTOLD = {"STABLEHLO_COMPOSITE", "CUSTOM", "WHILE", "IF", "CALL_ONCE"}  # with work of their own inside
_LSTM_WEIGHTS = slice(1, 9)  # of the four gates, for the input and for the state


def multiply_adds(name: str, given: Sequence[Shape], answer: Shape) -> int | None:
    """Return the multiply-adds of an operator: 0 where it makes none, None where its shapes do not tell.

    Args:
        name: of the operator in the file format.
        given: shapes of its inputs in their order, () of one that is left out.
        answer: shape of its first output.
    """
    if name in _UNTOLD:
        return None
    return _COUNTED[name](given, answer) if name in _COUNTED else 0


def _lstm(given: Sequence[Shape], _answer: Shape) -> int:
    return operators.recurrent(math.prod(given[0][:-1]), *(each for each in given[_LSTM_WEIGHTS] if each))


_COUNTED: Mapping[str, Callable[[Sequence[Shape], Shape], int]] = {
    "CONV_2D": lambda given, answer: math.prod(answer) * math.prod(given[1][1:]),
    "DEPTHWISE_CONV_2D": lambda given, answer: math.prod(answer) * math.prod(given[1][:-1]),
    "CONV_3D": lambda given, answer: math.prod(answer) * math.prod(given[1][:-1]),
    "TRANSPOSE_CONV": lambda given, _answer: math.prod(given[2]) * math.prod(given[1][:-1]),
    "FULLY_CONNECTED": lambda given, answer: operators.linear(answer, given[1]),
    "BATCH_MATMUL": lambda given, answer: operators.product(given[0], given[1], answer),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}


if TYPE_CHECKING:
    from torch import nn


class Quantization(TypedDict):
    """How a tensor stands for real numbers, as interpreters tell it: one number a channel or one for all."""

    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int32]


class TensorDetails(TypedDict):
    """What an interpreter says of a tensor, of which these are used."""

    index: int
    dtype: type[np.generic]
    shape: npt.NDArray[np.int32]
    quantization_parameters: Quantization


class OperatorDetails(TypedDict):
    """What an interpreter says of an operator of its graph, of which these are used."""

    op_name: str
    inputs: npt.NDArray[np.int32]
    outputs: npt.NDArray[np.int32]
    result_types: Sequence[type[np.generic]]


class Range(TypedDict):
    """The smallest and the largest value of a tensor, as the calibrator keeps them: (1, ...)."""

    min: npt.NDArray[np.float32]
    max: npt.NDArray[np.float32]


FILE = "model.tflite"
FULL_INT8 = "full_int8"
EXTRA = "litert"
_CONVERTER = ("ai-edge-litert", "litert-converter", "litert-torch", "torch")
_QUANTIZER = ("ai-edge-quantizer",)


def conversion(file: str) -> Conversion:
    """Return the conversion to the file `float32`, `int8` or `full_int8`."""
    made = {FLOAT32: float32, INT8: int8, FULL_INT8: full_int8}
    return Conversion(
        name=f"tflite {file.replace('_', ' ')}",
        function=made[file],
        packages=_CONVERTER if file == FLOAT32 else (*_CONVERTER, *_QUANTIZER),
        by_batch=True,  # shapes are fixed: a resized input fails at the first reshape
    )


def float32(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the model in float32, for pictures (batch, height, width, channel).

    Args:
        material: the model, and a picture for its shape.
        options: none.
        batch: the size that the file is for.
        folder: where it goes.

    Raises:
        EngineError: the converter cannot take the model, or its packages cannot be loaded.
    """
    assert not options
    with _quietly():
        content = _converted(material, _batch(batch))
    return _kept(folder, content, {})


def int8(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the model in int8 between float32 input and output.

    Weights are per channel, ranges the minimum and maximum over all pictures.

    Args:
        material: the model, and pictures to calibrate with.
        options: none.
        batch: the size that the file is for.
        folder: where it goes.

    Raises:
        EngineError: the converter or the quantizer cannot take the model, or their packages cannot be loaded.
    """
    assert not options
    return _int8(material, _batch(batch), folder, left_float=("INPUT", "OUTPUT"))


def full_int8(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write the model in int8 from its input to its output, as boards have it.

    Weights and ranges are those of `int8`.

    Args:
        material: the model, and pictures to calibrate with.
        options: none.
        batch: the size that the file is for.
        folder: where it goes.

    Raises:
        EngineError: the converter or the quantizer cannot take the model, or their packages cannot be loaded.
    """
    assert not options
    return _int8(material, _batch(batch), folder, left_float=())


def content(folder: Path) -> bytes:
    """Return the content of the file that a conversion left in a folder.

    Raises:
        OSError: it cannot be read.
    """
    return (folder / FILE).read_bytes()


def channels_last(pictures: Images) -> Images:
    """Return an own copy (image, height, width, channel) of pictures (image, channel, height, width)."""
    return np.array(np.moveaxis(pictures, 1, -1), dtype=np.float32, order="C")


def _batch(batch: int | None) -> int:
    assert batch is not None, "the shapes of a .tflite file are fixed"
    return batch


def _converted(material: Material, batch: int) -> bytes:
    import torch

    litert_torch = packages.loaded(EXTRA, "litert_torch")
    channels, height, width = material.example.shape[1:]
    example = torch.zeros(batch, height, width, channels)
    wrapped: nn.Module = litert_torch.to_channel_last_io(plain(material.model), args=[0]).eval()
    try:
        content: bytes = litert_torch.convert(wrapped, (example,)).model_content()
    except REFUSALS as error:
        raise EngineError(_refusal("litert_torch", material, error)) from error
    return content


def _int8(material: Material, batch: int, folder: Path, left_float: tuple[str, ...]) -> Mapping[str, Json]:
    with _quietly():
        content = _quantized(_converted(material, batch), material, batch, left_float)
    return _kept(folder, content, {"calibration_pictures": len(material.calibration), "ranges": "min-max"})


def _quantized(content: bytes, material: Material, batch: int, left_float: tuple[str, ...]) -> bytes:
    tool = packages.loaded(EXTRA, "ai_edge_quantizer")
    left = [{"regex": ".*", "operation": each, "algorithm_key": "no_quantize"} for each in left_float]
    steps = [*tool.recipe.static_wi8_ai8(), *left]
    try:
        ranges = _ranges(content, steps, material.calibration, batch)
        padded = _with_finite_padding(content, ranges)
        if padded != content:
            ranges = _ranges(padded, steps, material.calibration, batch)
        made = tool.quantizer.Quantizer(padded, steps).quantize(ranges, enable_progress_report=False)
    except REFUSALS as error:
        raise EngineError(_refusal("ai_edge_quantizer", material, error)) from error
    return _whole(bytes(made.quantized_model))


def _whole(content: bytes) -> bytes:
    """Return the file with its weights inside its graph.

    The quantizer puts 256 KiB of weights and more behind the graph, where TensorFlow Lite Micro does not look for them:
    it answers without any weights, and says nothing.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _ranges(content: bytes, steps: Any, pictures: Images, batch: int) -> Mapping[str, Range]:  # noqa: ANN401
    """Return the smallest and largest value of every tensor, by its name, over all pictures.

    `Quantizer.calibrate` would take a moving average that starts at the first batch and forgets 5 % a batch: 16 dB SQNR
    from 160 single pictures, where this gives 44 dB. Only the calibrator underneath takes another update.

    Any scale is as good for a tensor that is zero on every picture, and the smallest one makes the step from the layer
    before too large for XNNPACK, which then refuses the file: it gets the range of the widest tensor.
    """
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    ((signature, names),) = Interpreter(model_content=content, num_threads=1).get_signature_list().items()
    (name,) = names["inputs"]
    manager = recipe_manager.RecipeManager()
    manager.load_quantization_recipe(steps)
    observer = calibrator.Calibrator(
        content,
        num_threads=1,
        # Keeps the ranges and not the tensors: the same ranges in a tenth of the time and a fraction of the memory.
        mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
        qsv_update_func=qsv_utils.min_max_update,
    )
    # A picture that comes twice, to fill the last one up, leaves the smallest and the largest value as they are.
    batches = [{name: channels_last(part)} for part in parts(pictures, batch)]
    observer.calibrate({signature: batches}, manager)
    ranges: Mapping[str, Range] = observer.get_model_qsvs()
    widest = max((float(np.abs(each["max"]).max()) for each in ranges.values()), default=0.0)
    for each in ranges.values():
        if not np.any(each["min"]) and not np.any(each["max"]):
            each["max"] = np.full_like(each["max"], widest)
    return ranges


def _with_finite_padding(content: bytes, ranges: Mapping[str, Range]) -> bytes:
    """Return the file, every infinite padding in it replaced by the smallest value that is padded.

    A file without any is the same.

    A max pooling with padding is padded with minus infinity, of which the quantizer makes an infinite scale that no
    runtime accepts. The smallest value is as good: the largest of a window never is less.
    """
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(content)
    is_changed = False
    for graph in model.subgraphs:
        for padded, padding in _paddings(model, graph):
            value = model.buffers[padding.buffer].data
            if value is not None and np.isneginf(np.frombuffer(bytes(value), dtype=np.float32)).all():
                lowest = np.float32(ranges[padded.name.decode()]["min"].min())
                model.buffers[padding.buffer].data = np.frombuffer(lowest.tobytes(), dtype=np.uint8)
                is_changed = True
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model)) if is_changed else content


def _paddings(model: Any, graph: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401  generated classes have no types
    """Yield the padded tensor and the one with the value of the padding, of each operator that has such a value."""
    from ai_edge_litert import schema_py_generated

    for operator in graph.operators:
        if model.operatorCodes[operator.opcodeIndex].builtinCode == schema_py_generated.BuiltinOperator.PADV2:
            padded, _, padding = operator.inputs
            yield graph.tensors[padded], graph.tensors[padding]


def _kept(folder: Path, content: bytes, known: Mapping[str, Json]) -> Mapping[str, Json]:
    (folder / FILE).write_bytes(content)
    return {"bytes": len(content), **known}


def _refusal(who: str, material: Material, error: BaseException) -> str:
    return (
        f"{type(material.model).__name__} cannot be made into a .tflite file: {who} says {units.reason(error)}; "
        "leave litert and tflm out of --engines"
    )


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Run the block without the progress that the converter and the calibrator print."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # Said of every calibration; debugging is what it does.
        warnings.filterwarnings("ignore", message=".*Enabling `experimental_preserve_all_tensors`")
        yield
