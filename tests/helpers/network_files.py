"""Looks into the ONNX files that TensorRT would be given, and runs them in onnxruntime; prints JSON."""

import json
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, numpy_helper

import engines
from int8bench.engines.base import Images, Material
from int8bench.engines.tensorrt import build
from int8bench.workload import fidelity
from int8bench.workload.cases import FLOAT16, FLOAT32, INT8

BATCH = 4


def tell() -> None:
    """Prints what each precision's file holds, and how near its answers are."""
    model, pictures = engines.tiny_cnn(), engines.some_pictures()
    with torch.inference_mode():
        reference = model(torch.from_numpy(pictures[:BATCH])).numpy()
    material = Material(model=model, calibration=pictures, example=pictures[:1])
    told = {}
    for precision in (FLOAT32, FLOAT16, INT8):
        content = build.network(material, precision, BATCH)
        answered = _answers(content, pictures[:BATCH])
        told[precision] = {
            "sqnr_db": fidelity.compare(reference, answered).sqnr_db,
            **_looked(onnx.load_from_string(content)),
        }
    print(json.dumps(told))  # noqa: T201  the answer of a process


def _answers(content: bytes, pictures: Images) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pictures})[0]


def _looked(model: Any) -> dict[str, Any]:
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    values = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    types = {each.name: TensorProto.DataType.Name(each.data_type) for each in graph.initializer}
    makers = {output: node.op_type for node in graph.node for output in node.output}
    pairs = [node for node in graph.node if node.op_type == "QuantizeLinear"]
    restored = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    ends = [each.type.tensor_type for each in (*graph.input, *graph.output)]
    return {
        "operators": [node.op_type for node in graph.node],
        "shapes": [[dim.dim_value for dim in each.shape.dim] for each in ends],
        "ends": [TensorProto.DataType.Name(each.elem_type) for each in ends],
        "weights": sorted({types[name] for name, value in values.items() if value.ndim > 1}),
        "zero_points": sorted({(types[node.input[2]], int(np.abs(values[node.input[2]]).max())) for node in pairs}),
        "scales": sorted({values[node.input[1]].size for node in pairs}),
        "quantized_from": sorted(
            {makers.get(node.input[0], "file" if node.input[0] in values else "input") for node in pairs}
        ),
        "quantized_into": sorted({node.op_type for node in graph.node for name in node.input if name in restored}),
        "integers_stored": sorted(name for name, value in values.items() if value.ndim > 0 and types[name] == "INT32"),
    }
