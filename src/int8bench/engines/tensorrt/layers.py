"""What TensorRT's engine inspector says of the layers that it made, read as operators. Pure: text in, values out.

Not verified on hardware: written from the forms that NVIDIA documents for TensorRT 10 (``Format/Datatype``) and 11
(``Format`` and ``DataType`` apart).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from int8bench.engines.operators import Kind, Operator

_INT8 = ("int8",)
_FLOAT = ("fp32", "fp16", "float", "half", "bf16")
_EDGES = ("reformat", "quantize", "cast")  # dequantize as well
_COMPUTING = ("convolution", "deconvolution", "gemm", "matrix", "fully")


def operators(inspected: str, seconds: Mapping[str, float]) -> tuple[Operator, ...]:
    """The layers of an engine as operators, each with its time where the profiler has one.

    Args:
        inspected: `EngineInspector.get_engine_information` as JSON, of an engine built with detailed verbosity.
        seconds: of each layer by its name, as the profiler told them.
    """
    layers = json.loads(inspected).get("Layers", [])
    return tuple(_operator(layer, seconds) for layer in layers)


def _operator(layer: Any, seconds: Mapping[str, float]) -> Operator:  # noqa: ANN401  what a JSON document holds
    if not isinstance(layer, Mapping):  # an engine without detailed verbosity lists names alone
        return Operator(name="layer", implementation=str(layer), kind=Kind.OTHER, seconds=seconds.get(str(layer)))
    return Operator(
        name=str(layer.get("ParameterType") or layer.get("LayerType") or "layer"),
        implementation=str(layer.get("TacticName") or layer.get("LayerType") or "untold"),
        kind=_kind(layer),
        seconds=seconds.get(str(layer.get("Name"))),
    )


def _kind(layer: Mapping[str, Any]) -> Kind:
    title = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
    given, left = _types(layer.get("Inputs", ())), _types(layer.get("Outputs", ()))
    if any(word in title for word in _EDGES):
        return Kind.EDGE
    if "Weights" in layer or any(word in title for word in _COMPUTING):
        used = given | (_weights(layer) - {Kind.OTHER})
        return Kind.OTHER if not used else Kind.INT8 if used == {Kind.INT8} else Kind.FLOAT
    if len(given | left) > 1:
        return Kind.EDGE
    return next(iter(given | left), Kind.OTHER)


def _types(tensors: Sequence[Mapping[str, Any]]) -> set[Kind]:
    texts = (
        f"{each.get('DataType', '')} {each.get('Format/Datatype', '')} {each.get('Format', '')}" for each in tensors
    )
    return {kind for kind in map(_type, texts) if kind is not Kind.OTHER}


def _weights(layer: Mapping[str, Any]) -> set[Kind]:
    weights = layer.get("Weights")
    return {_type(str(weights.get("Type", "")))} if isinstance(weights, Mapping) else set()


def _type(text: str) -> Kind:
    return Kind.INT8 if _has(text, _INT8) else Kind.FLOAT if _has(text, _FLOAT) else Kind.OTHER


def _has(text: str, words: Iterable[str]) -> bool:
    return any(word in text.lower() for word in words)
