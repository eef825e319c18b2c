"""Makes ExecuTorch programs of a model, float32 or int8, for XNNPACK, and reads what is in them.

Programs are made in a process of their own: the exporter starts threads, and takes seconds to import. They are read
with the compiler and the schemas of flatbuffers that the package brings along: its own readers import the exporter.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from int8bench import documents
from int8bench.documents import Json
from int8bench.engines.base import Conversion, Images, Material, Options
from int8bench.engines.fixed_batch import parts
from int8bench.engines.operators import linear, product
from int8bench.engines.plain import REFUSALS, plain
from int8bench.errors import EngineError, RecordError
from int8bench.units import reason
from int8bench.workload.cases import INT8

PROFILE = "devtools/etdump/etdump_schema_flatcc.fbs"
XNNPACK_GRAPH = "backends/xnnpack/serialization/schema.fbs"
_COMPILER = "data/bin/flatc"
_PATIENCE_S = 60.0  # the largest file, a profile of a few dozen forwards, takes a fraction of a second
_INFINITE = re.compile(r"(?<=: )[-+]?(?:inf|nan)\b")  # limits of a clamp that is none; JSON has no word for them


def decoded(schema: str, write: Callable[[Path], object], *, size_prefixed: bool = False) -> Any:  # noqa: ANN401  JSON
    """Return the content of a flatbuffer as a JSON value, defaults filled in, infinite numbers as None.

    Args:
        schema: `PROFILE` or `XNNPACK_GRAPH`.
        write: writes the flatbuffer to the path that it is given.
        size_prefixed: whether the content starts with its own size.

    Raises:
        EngineError: the package lacks a part, or the content does not fit the schema.
    """
    package = _package()
    with tempfile.TemporaryDirectory(prefix="int8bench-executorch-") as folder:
        content = Path(folder) / "content.bin"
        write(content)
        prefix = ("--size-prefixed",) if size_prefixed else ()
        options = ("--json", "--strict-json", "--defaults-json", "--raw-binary", *prefix, "-o", folder)
        _run(str(package / _COMPILER), *options, str(package / schema), "--", str(content))
        text = content.with_suffix(".json").read_text(encoding="utf-8")
    return json.loads(_INFINITE.sub("null", text))


def _package() -> Path:
    """Return the folder of the package, which is a namespace: finding it imports nothing."""
    spec = find_spec("executorch")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("executorch: the package is not installed; type pip install 'int8bench[executorch]'")
    return Path(next(iter(spec.submodule_search_locations)))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"executorch: its flatbuffer compiler cannot be run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EngineError(f"executorch: its flatbuffer compiler failed: {said[0] if said else done.returncode}")


if TYPE_CHECKING:
    import torch
    from torch import nn

PACKAGES = ("executorch", "torchao", "torch")
PROGRAM = "model.pte"
DELEGATION = "delegation.json"

_EPS = 2**-12  # least scale of an activation, as XNNPACKQuantizer's own configuration has it
_SERIALIZED_HEADER_BYTES = 30  # of a delegate's program; its fields say where the graph lies


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeNode:
    """A node of a delegate's graph, the types of its tensors, and how much it computes."""

    operator: str
    types: tuple[str, ...]
    multiply_adds: int | None
    """None where its sums do not stand in its shapes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What XNNPACK was given of a program and what was left, as a conversion writes it and evidence has it: as JSON."""

    delegates: int
    delegated: Mapping[str, int]
    """Calls inside the delegates by operator."""
    not_delegated: Mapping[str, int]
    """Calls that are left to ExecuTorch's own kernels by operator."""
    not_delegated_multiply_adds: Mapping[str, int | None]
    """Of those together; None where torch cannot count them."""
    delegated_share: float
    nodes: tuple[EdgeNode, ...]
    operators: tuple[str, ...]
    """Kernels of ExecuTorch's own that the program asks for."""
    weights_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorchFiles:
    """What a conversion has left: the program, and what it says of itself."""

    program: bytes
    delegation: Delegation


def conversion(precision: str) -> Conversion:
    """Return the conversion to a program for each batch size: XNNPACK plans its memory for one shape."""
    return Conversion(
        name=f"executorch {precision}",
        function=convert,
        packages=PACKAGES,
        options={"precision": precision},
        by_batch=True,
    )


def convert(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Write a program and its delegation, and return the delegation, as `Convert` asks.

    Args:
        material: the model, and pictures to calibrate with.
        options: ``precision``.
        batch: the size that the program is for.
        folder: where its files go.

    Raises:
        EngineError: torch.export, the quantizer, or ExecuTorch cannot take the model.
    """
    assert batch is not None
    images = tuple(parts(material.calibration, batch))
    model, name = plain(material.model), type(material.model).__name__
    exported = _quantized(model, images, name) if options["precision"] == INT8 else _exported(model, images[0], name)
    edge, program = _lowered(exported, name)
    delegation = _described(edge, program)
    _check_kernels(delegation.operators)
    (folder / PROGRAM).write_bytes(program.buffer)
    notes = documents.written(delegation)
    (folder / DELEGATION).write_text(json.dumps(notes), encoding="utf-8")
    return notes


def read(folder: Path, name: str) -> ExecutorchFiles:
    """Return the program and the delegation that a conversion has left in a folder.

    Args:
        folder: where it was told to write.
        name: how an error calls the variant.

    Raises:
        EngineError: a file is missing or damaged.
    """
    try:
        program = (folder / PROGRAM).read_bytes()
        document = json.loads((folder / DELEGATION).read_bytes())
        delegation = documents.read(Delegation, document, name=DELEGATION)
    except (OSError, ValueError, RecordError) as error:
        raise EngineError(
            f"{name}: {folder} holds no whole program: {error}; remove the folder and run again"
        ) from error
    return ExecutorchFiles(program=program, delegation=delegation)


def _exported(model: nn.Module, images: Images, name: str) -> Any:  # noqa: ANN401
    import torch

    try:
        with torch.no_grad():
            return torch.export.export(model, (torch.tensor(images, dtype=torch.float32),))
    except REFUSALS as error:
        raise EngineError(
            f"executorch: {name} cannot be exported by torch.export: {reason(error)}; "
            "keep control flow that depends on the data out of forward"
        ) from error


def _quantized(model: nn.Module, images: tuple[Images, ...], name: str) -> Any:  # noqa: ANN401
    """Return the int8 program; ranges are minima and maxima, which a repeated picture does not change."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import XNNPACKQuantizer
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    graph = _exported(model, images[0], name).module()
    try:
        observed = prepare_pt2e(graph, XNNPACKQuantizer().set_global(_configuration()))
        with torch.no_grad():
            for each in images:
                observed(torch.tensor(each, dtype=torch.float32))
        converted: nn.Module = convert_pt2e(observed)
    except REFUSALS as error:
        raise EngineError(f"executorch: {name} cannot be quantized by XNNPACKQuantizer: {reason(error)}") from error
    return _exported(converted, images[0], name)


def _configuration() -> Any:  # noqa: ANN401
    """Return static int8 with weights per channel, and ranges by minimum and maximum instead of the usual histogram."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import get_symmetric_quantization_config
    from torchao.quantization.pt2e import MinMaxObserver

    usual = get_symmetric_quantization_config(is_per_channel=True)
    observer = MinMaxObserver.with_args(eps=_EPS)
    ranges = dataclasses.replace(usual.input_activation, observer_or_fake_quant_ctr=observer)
    return dataclasses.replace(usual, input_activation=ranges, output_activation=ranges)


def _lowered(exported: Any, name: str) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the program's graph with XNNPACK's parts cut out, and the program itself."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import ExecutorchBackendConfig, to_edge_transform_and_lower
    from executorch.exir.passes import MemoryPlanningPass

    # Else the runtime copies every input and output into and out of memory of its own.
    in_place = MemoryPlanningPass(alloc_graph_input=False, alloc_graph_output=False)
    try:
        edge = to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
        return edge, edge.to_executorch(ExecutorchBackendConfig(memory_planning_pass=in_place))
    except REFUSALS as error:
        raise EngineError(f"executorch: {name} cannot be made a program: {reason(error)}") from error


def _described(edge: Any, program: Any) -> Delegation:  # noqa: ANN401
    exported = edge.exported_program()
    delegates = list(_delegates(exported.graph_module))
    inside = Counter(_called(node) for delegate in delegates for node in _calls(delegate.original_module.graph))
    calls = _calls(exported.graph_module.graph)
    outside = Counter(_called(node) for node in calls if "delegate" not in str(node.target))
    plan = program.executorch_program.execution_plan[0]
    return Delegation(
        delegates=len(delegates),
        delegated=dict(inside),
        not_delegated=dict(outside),
        not_delegated_multiply_adds=_left_over(exported.graph_module.graph),
        delegated_share=round(inside.total() / (inside.total() + outside.total()), 4),
        nodes=tuple(node for delegate in delegates for node in _nodes(delegate.processed_bytes)),
        operators=tuple(f"{each.name}.{each.overload}" for each in plan.operators),
        weights_bytes=sum(map(_constants_bytes, delegates)) + sum(map(_tensor_bytes, exported.state_dict.values())),
    )


def _delegates(graph_module: Any) -> Iterator[Any]:  # noqa: ANN401
    for node in graph_module.graph.nodes:
        if node.op == "get_attr" and hasattr(getattr(graph_module, node.name, None), "processed_bytes"):
            yield getattr(graph_module, node.name)


def _calls(graph: Any) -> Iterator[Any]:  # noqa: ANN401
    """Return the nodes that compute; taking one of several results does not."""
    return (node for node in graph.nodes if node.op == "call_function" and node.target is not operator.getitem)


def _left_over(graph: Any) -> dict[str, int | None]:  # noqa: ANN401
    """Return the multiply-adds left to ExecuTorch's own kernels, by operator; None where torch cannot count them."""
    counts: dict[str, int | None] = {}
    for node in _calls(graph):
        if "delegate" not in str(node.target):
            name, made = _called(node), _flops(node)
            before = counts.get(name, 0)
            counts[name] = None if before is None or made is None else before + made // 2
    return counts


def _flops(node: Any) -> int | None:  # noqa: ANN401
    """Return the operations that torch's own counter finds in a call, by the shapes of its tensors.

    It is 0 for a call that the counter does not know, None where it cannot count it.
    """
    from torch.utils._pytree import tree_map
    from torch.utils.flop_counter import flop_registry

    counter = flop_registry.get(getattr(node.target, "overloadpacket", None))
    if counter is None:
        return 0
    given = tree_map(lambda each: each.meta["val"] if hasattr(each, "meta") else each, node.args)
    try:
        return int(counter(*given, out_val=node.meta["val"]))
    except (TypeError, KeyError, AttributeError):
        return None


def _called(node: Any) -> str:  # noqa: ANN401
    return str(node.target.name()) if hasattr(node.target, "name") else str(node.target)


def _nodes(payload: bytes) -> Iterator[EdgeNode]:
    """Yield the nodes of a delegate's graph as XNNPACK will read them, each with the types of its tensors."""
    from executorch.backends.xnnpack.serialization.xnnpack_graph_serialize import XNNHeader

    header = XNNHeader.from_bytes(payload[:_SERIALIZED_HEADER_BYTES])
    content = payload[header.flatbuffer_offset : header.flatbuffer_offset + header.flatbuffer_size]
    graph = decoded(XNNPACK_GRAPH, lambda path: path.write_bytes(content))
    tensors = {tensor["id_out"]: tensor for tensor in map(_tensor, graph["xvalues"])}
    shapes: Mapping[int, Sequence[int]] = {number: tensor["dims"] for number, tensor in tensors.items()}
    for node in graph["xnodes"]:
        kind, fields = node["xnode_union_type"], node["xnode_union"]
        numbers = [value for key, value in fields.items() if key.endswith("_id")]
        types = dict.fromkeys(tensors[number]["datatype"] for number in numbers if number in tensors)
        yield EdgeNode(
            operator=kind,
            types=tuple(name.removeprefix("xnn_datatype_") for name in types),
            multiply_adds=multiply_adds(kind, fields, shapes),
        )


def multiply_adds(kind: str, fields: Mapping[str, int], shapes: Mapping[int, Sequence[int]]) -> int | None:
    """Return the multiply-adds of a node of a delegate's graph; None where its sums do not stand in its shapes.

    Args:
        kind: of the node, as XNNPACK's serializer names it.
        fields: of that kind: the numbers of its tensors, and its sizes.
        shapes: of the graph's tensors, by their number.
    """
    if kind == "XNNScaledDotProductAttention":
        return None
    answer = shapes.get(fields.get("output_id", -1), ())
    kernel = int(fields.get("kernel_height", 0)) * int(fields.get("kernel_width", 0))
    if kind in {"XNNConv2d", "XNNDepthwiseConv2d"}:
        return math.prod(answer) * kernel * (int(fields["group_input_channels"]) if kind == "XNNConv2d" else 1)
    if kind == "XNNConvTranspose2d":
        return math.prod(shapes[fields["input1_id"]]) * int(kernel * fields["group_output_channels"])
    if kind == "XNNFullyConnected":
        return linear(answer, shapes[fields["filter_id"]])
    if kind == "XNNBatchMatrixMultiply":
        return product(shapes[fields["input1_id"]], shapes[fields["input2_id"]], answer)
    return 0


class _Tensor(TypedDict):
    """A tensor of a delegate's graph, of which these are used."""

    id_out: int
    datatype: str
    dims: Sequence[int]


def _tensor(value: Any) -> _Tensor:  # noqa: ANN401  JSON
    """Return the tensor of a value; one kind of value holds it, the other is it."""
    union = value["xvalue_union"]
    tensor: _Tensor = union.get("tensor_value", union)
    return tensor


def _constants_bytes(delegate: Any) -> int:  # noqa: ANN401
    """Return the bytes of a delegate's weights, biases and scales, which are kept beside its graph."""
    kept = delegate.named_data_store_output
    return sum(len(buffer) for buffer in kept.buffers) if kept else 0


def _tensor_bytes(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _check_kernels(operators: Sequence[str]) -> None:
    """Refuse a program with kernels that the runtime lacks, which it would refuse with a number for a reason."""
    from executorch.extension.pybindings import _C

    missing = sorted(set(operators) - set(_C._get_operator_names()))  # noqa: SLF001  they have no other name
    if missing:
        raise EngineError(
            f"executorch: neither XNNPACK nor the runtime has a kernel for {', '.join(missing)}; replace it"
        )
