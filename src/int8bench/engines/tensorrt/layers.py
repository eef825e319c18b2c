"""What TensorRT's engine inspector says of the layers that it made, read as operators. Pure: text in, values out.

Not verified on hardware: written from the forms that NVIDIA documents for TensorRT 10 (``Format/Datatype``) and 11
(``Format`` and ``DataType`` apart).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict

from int8bench.engines.operators import Kind, Operator

_INT8 = ("int8",)
_FLOAT = ("fp32", "fp16", "float", "half", "bf16")
_EDGES = ("reformat", "quantize", "cast")  # dequantize as well
_COMPUTING = ("convolution", "deconvolution", "gemm", "matrix", "fully")


# By calls, since a key has a slash in it.
_Tensor = TypedDict("_Tensor", {"DataType": str, "Format/Datatype": str, "Format": str}, total=False)


class _Weights(TypedDict, total=False):
    """What the inspector says of the weights of a layer."""

    Type: str


class _Layer(TypedDict, total=False):
    """What the inspector says of a layer, where the engine was built with detailed verbosity."""

    Name: str
    LayerType: str
    ParameterType: str
    TacticName: str
    Inputs: Sequence[_Tensor]
    Outputs: Sequence[_Tensor]
    Weights: _Weights | None


def operators(inspected: str, seconds: Mapping[str, float]) -> tuple[Operator, ...]:
    """Return the layers of an engine as operators, each with its time where the profiler has one.

    Args:
        inspected: `EngineInspector.get_engine_information` as JSON, of an engine built with detailed verbosity.
        seconds: of each layer by its name, as the profiler told them.
    """
    layers: Sequence[_Layer | str] = json.loads(inspected).get("Layers", [])
    return tuple(_operator(layer, seconds) for layer in layers)


def _operator(layer: _Layer | str, seconds: Mapping[str, float]) -> Operator:
    if isinstance(layer, str):  # an engine without detailed verbosity lists names alone
        return Operator(name="layer", implementation=layer, kind=Kind.OTHER, seconds=seconds.get(layer))
    return Operator(
        name=str(layer.get("ParameterType") or layer.get("LayerType") or "layer"),
        implementation=str(layer.get("TacticName") or layer.get("LayerType") or "untold"),
        kind=_kind(layer),
        seconds=seconds.get(str(layer.get("Name"))),
    )


def _kind(layer: _Layer) -> Kind:
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


def _types(tensors: Sequence[_Tensor]) -> set[Kind]:
    texts = (
        f"{tensor.get('DataType', '')} {tensor.get('Format/Datatype', '')} {tensor.get('Format', '')}"
        for tensor in tensors
    )
    return {kind for kind in map(_type, texts) if kind is not Kind.OTHER}


def _weights(layer: _Layer) -> set[Kind]:
    weights = layer.get("Weights")
    return set() if weights is None else {_type(weights.get("Type", ""))}


def _type(text: str) -> Kind:
    return Kind.INT8 if _has(text, _INT8) else Kind.FLOAT if _has(text, _FLOAT) else Kind.OTHER


def _has(text: str, words: Iterable[str]) -> bool:
    return any(word in text.lower() for word in words)
