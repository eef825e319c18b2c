"""The engine ``tflm``: TensorFlow Lite Micro's interpreter for microcontrollers, int8, one picture and one thread.

What it says of speed is of this machine; what it says of memory holds for a board: the arena it used, and the file.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from int8bench import units
from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Conversion, Images, Logits, Material
from int8bench.engines.fixed_batch import damaged
from int8bench.engines.operators import Operator, ran
from int8bench.engines.tflite import files as tflite_files
from int8bench.engines.tflite import litert, tflm_compared
from int8bench.engines.tflite.files import multiply_adds
from int8bench.engines.tflite.predictor import FixedBatchPredictor
from int8bench.engines.tflite.tflm_compared import Scale
from int8bench.errors import EngineError
from int8bench.workload.cases import CHANNELS_LAST, INT8, Group, Variant

if TYPE_CHECKING:
    from int8bench.machine import Hardware

_PLATFORM = ("x86_64", "Linux")  # the only one that has a package
_SPARE_BYTES = 1 << 20  # for the interpreter's own structures; memory that it does not touch costs nothing
_LARGEST_ITEM_BYTES = 4
_TOTAL = re.compile(r"Arena allocation total (\d+) bytes")
_STANDARD_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """A file that the interpreter takes, with pictures to compare its answers with, and what it needs."""

    files: litert.LitertFiles
    arena_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TflmEngine(packages.PackagedEngine[_Prepared]):
    """TensorFlow Lite Micro, as its Python package has it: reference kernels, no vector instructions of ours."""

    name: str = "tflm"
    modules: ClassVar = ("tflite_micro", *litert.LiteRtEngine.modules)  # and those that make its file
    precisions: ClassVar = (INT8,)
    layout: ClassVar = CHANNELS_LAST

    def objection(self, group: Group) -> str | None:
        """Return why the group is refused: a microcontroller looks at one picture at a time, on one core."""
        if group.batch != 1:
            return f"{self.name}: takes one picture at a time, not {group.batch}; choose --batch 1"
        if group.threads != 1:
            return f"{self.name}: runs on one thread, not {group.threads}; choose --threads 1"
        return None

    def unfit(self, hardware: Hardware) -> str | None:
        """Return why a system and architecture have no package, or None for the one that has."""
        if (hardware.arch, hardware.os) == _PLATFORM:
            return None
        return (
            f"{self.name}: the package tflite-micro is for Linux on x86_64 alone, this machine is {hardware.os} on "
            f"{hardware.arch}; ask on another machine, its memory figures hold for every board"
        )

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion | None:  # noqa: ARG002  one file
        """Return the conversion to a file that is int8 at its edges too.

        Args:
            variant: the engine's int8.
            hardware: any machine; the file is the same for all.
        """
        return tflite_files.conversion(tflite_files.FULL_INT8)

    def prepare(self, variant: Variant, material: Material) -> _Prepared:
        """Return the file in memory, tried once, and the arena that it takes.

        Args:
            variant: the engine's int8.
            material: the folder of batch size 1, and pictures to compare answers with.

        Raises:
            EngineError: the runtime cannot be loaded, the file cannot be read, or has an operator that it lacks.
        """
        assert variant.precision == INT8
        packages.loaded(self.name, "tflite_micro")  # paid before the forks
        files = litert.read(variant, material)
        return _Prepared(files=files, arena_bytes=_arena_bytes(variant.label, files))

    def build(self, prepared: _Prepared, group: Group) -> FixedBatchPredictor:
        """Return a predictor whose interpreter has its arena in the calling process.

        Args:
            prepared: the file, and the bytes of the arena.
            group: one picture and one thread.

        Raises:
            EngineError: the group is none that it takes, or the file cannot be opened.
        """
        objection = self.objection(group)
        if objection is not None:
            raise EngineError(objection)
        files = prepared.files
        content = files.of(1, litert.NOT_MADE).content
        return FixedBatchPredictor(
            name=files.variant.label,
            batch=1,
            content=content,
            open_session=lambda: _Session(_opened(files)),
            weigh=lambda: _weights_bytes(_model(content)),
            describe=lambda: _evidence(content, prepared),
        )


class _Session:
    """An interpreter in its arena."""

    def __init__(self, interpreter: Any) -> None:  # noqa: ANN401  tflite_micro has no types
        self._interpreter = interpreter
        self._scales = [Scale.of(each(0)) for each in (interpreter.get_input_details, interpreter.get_output_details)]

    def bound(self, pictures: Images) -> Callable[[], Logits]:
        """Return a call over one picture, of which an 8-bit copy goes into the arena: there is no other way in."""
        entry, answer = self._scales
        quantize, dequantize = entry.quantizer(pictures.shape), answer.dequantizer()
        eight_bit = np.empty(pictures.shape, dtype=np.int8)
        put, invoke, get = self._interpreter.set_input, self._interpreter.invoke, self._interpreter.get_output

        def forward() -> Logits:
            quantize(pictures, eight_bit)
            put(eight_bit, 0)
            invoke()
            return dequantize(get(0))

        return forward


def _opened(files: litert.LitertFiles) -> Any:  # noqa: ANN401
    from tflite_micro import runtime

    label, file = files.variant.label, files.of(1, litert.NOT_MADE)
    words: Callable[[], str] = str
    try:
        size = _generous_arena_bytes(file.content)
        with _heard() as words:
            return runtime.Interpreter.from_bytes(file.content, arena_size=size)
    except RuntimeError as error:
        said = (words().strip().splitlines() or [units.reason(error)])[0]
        raise EngineError(f"{label}: the interpreter cannot take this model ({said}); leave tflm out") from error
    except Exception as error:  # a damaged file is read by generated code, which raises whatever it runs into
        raise damaged(label, file.folder, error) from error


def _arena_bytes(label: str, files: litert.LitertFiles) -> int:
    """Return the bytes of the arena that the interpreter uses, by its own recorder; no smaller one is accepted.

    Its own structures hold pointers of this machine, of 8 bytes: a 32-bit board needs a little less.
    """
    interpreter = _opened(files)
    with _heard() as words:
        interpreter.print_allocations()
    total = _TOTAL.search(words())
    if total is None:
        raise EngineError(f"{label}: the interpreter does not say how much memory it uses; {packages.command('tflm')}")
    return int(total[1])


def _model(content: bytes) -> Any:  # noqa: ANN401
    from tflite_micro import runtime

    return runtime.convert_bytearray_to_object(content)


def _generous_arena_bytes(content: bytes) -> int:
    """Return the size of an arena in which every tensor has a place of its own."""
    tensors = _model(content).subgraphs[0].tensors
    elements = sum(math.prod(tensor.shape) for tensor in tensors if tensor.shape is not None)
    return int(elements) * _LARGEST_ITEM_BYTES + len(content) + _SPARE_BYTES


def _weights_bytes(model: Any) -> int:  # noqa: ANN401
    tensors = model.subgraphs[0].tensors
    sized = [(tensor, model.buffers[tensor.buffer].data) for tensor in tensors]
    return sum(_weight_bytes(tensor, len(data)) for tensor, data in sized if data is not None)


def _weight_bytes(tensor: Any, stored_bytes: int) -> int:  # noqa: ANN401
    """Return the bytes of a constant with its scales; a shape or an axis has none, and is no weight."""
    quantization = tensor.quantization
    scales = 0 if quantization is None or quantization.scale is None else len(quantization.scale)
    is_float = _type_name(tensor.type) == "float32"
    return stored_bytes + scales * litert.PER_CHANNEL_BYTES if scales or is_float else 0


def _evidence(content: bytes, prepared: _Prepared) -> Mapping[str, Json]:
    return {
        "engine": "tflm",
        "versions": packages.versions(("tflite-micro", *litert.DISTRIBUTIONS)),
        "threads": 1,
        "arena_bytes": prepared.arena_bytes,
        "model_bytes": len(content),
        "ran": ran("the file, whose operators the interpreter runs one by one", list(_operators(_model(content)))),
        "litert": tflm_compared.compared(content, prepared.files.example, _generous_arena_bytes(content)),
    }


def _operators(model: Any) -> Iterator[Operator]:  # noqa: ANN401
    graph = model.subgraphs[0]
    for each in graph.operators:
        name = _operator_name(model.operatorCodes[each.opcodeIndex])
        types = [_type_name(graph.tensors[output].type) for output in each.outputs]
        given = [_shape(graph.tensors[number]) if number >= 0 else () for number in each.inputs]
        yield Operator(
            name=name,
            implementation="TensorFlow Lite Micro",
            kind=litert.kind(name, types),
            multiply_adds=multiply_adds(name, given, _shape(graph.tensors[each.outputs[0]])),
        )
    yield from tflm_compared.OPERATORS


def _shape(tensor: Any) -> tuple[int, ...]:  # noqa: ANN401
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def _operator_name(code: Any) -> str:  # noqa: ANN401
    from tflite_micro import runtime

    number = max(code.builtinCode, code.deprecatedBuiltinCode)  # numbers above 127 stand in the newer field alone
    return _name_of(runtime.schema_fb.BuiltinOperator, number)


def _type_name(number: int) -> str:
    from tflite_micro import runtime

    return _name_of(runtime.schema_fb.TensorType, number).lower()


def _name_of(numbers: type, wanted: int) -> str:
    return next((name for name, number in vars(numbers).items() if number == wanted), str(wanted))


@contextlib.contextmanager
def _heard() -> Iterator[Callable[[], str]]:
    """Hold a call that gives, after the block, all that C++ wrote to standard error within it.

    The interpreter tells its reasons and its memory there alone.
    """
    with tempfile.TemporaryFile() as log:
        before = os.dup(_STANDARD_ERROR)
        os.dup2(log.fileno(), _STANDARD_ERROR)
        words: list[str] = []
        try:
            yield lambda: "".join(words)
        finally:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
            log.seek(0)
            words.append(log.read().decode(errors="replace"))
