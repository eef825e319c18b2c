"""What onnxruntime's tool cannot quantize is left in float and told; a fault that is no operator's is not hidden."""

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from int8bench.engines.onnx import quantizer  # noqa: E402  after the skips
from int8bench.engines.onnx.quantizer import PICTURES, quantized  # noqa: E402

pytestmark = pytest.mark.torch
PICTURE = np.random.default_rng(0).normal(size=(3, 4, 8, 8)).astype(np.float32)


def network(path: Path, *groups: int) -> Path:
    """Transposed convolutions of so many groups each, with biases, and a plain convolution behind them."""
    rng = np.random.default_rng(1)
    nodes, weights, last = [], [], PICTURES
    for i, count in enumerate(groups):
        shapes = {f"w{i}": (4, 4 // count, 1, 1), f"b{i}": (4,)}
        weights += [onnx.numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
        nodes.append(
            onnx.helper.make_node("ConvTranspose", [last, f"w{i}", f"b{i}"], [f"y{i}"], name=f"up{i}", group=count)
        )
        last = f"y{i}"
    weights.append(onnx.numpy_helper.from_array(rng.normal(size=(2, 4, 1, 1)).astype(np.float32), "w"))
    nodes.append(onnx.helper.make_node("Conv", [last, "w"], ["logits"], name="conv"))
    graph = onnx.helper.make_graph(
        nodes,
        "g",
        [onnx.helper.make_tensor_value_info(PICTURES, 1, ["batch", 4, 8, 8])],
        [onnx.helper.make_tensor_value_info("logits", 1, ["batch", 2, 8, 8])],
        weights,
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def int8_inputs(path: Path) -> dict[str, bool]:
    """Of each convolution of a file, whether its input comes out of a dequantization."""
    graph = onnx.load(path).graph
    makers = {name: node.op_type for node in graph.node for name in node.output}
    return {
        node.name: all(makers.get(name) == "DequantizeLinear" for name in node.input[:2])
        for node in graph.node
        if "Conv" in node.op_type
    }


@pytest.mark.parametrize(
    ("groups", "left"),
    [((1,), []), ((2,), ["up0"]), ((1, 2, 1, 2), ["up1", "up3"])],
    ids=["none", "one", "two of four"],
)
def test_what_the_tool_cannot_take_is_left_in_float_and_nothing_else(
    tmp_path: Path, groups: tuple[int, ...], left: list[str]
) -> None:
    """A transposed convolution by groups has more biases than scales, which the tool trips over."""
    ready, target = network(tmp_path / "ready.onnx", *groups), tmp_path / "int8.onnx"
    found = quantized(ready, target, PICTURE, reduce_range=False)
    assert [(each.operator, each.node) for each in found] == [("ConvTranspose", name) for name in left]
    assert all(each.reason.startswith("ValueError: ") for each in found)
    assert int8_inputs(target) == {name: name not in left for name in int8_inputs(ready)}
    assert sorted(each.name for each in tmp_path.iterdir()) == ["int8.onnx", "ready.onnx"]


def test_of_many_of_a_kind_the_kind_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trying each would take longer than it is worth."""
    monkeypatch.setattr(quantizer, "MOST_TRIED", 1)
    ready = network(tmp_path / "ready.onnx", 1, 2)
    found = quantized(ready, tmp_path / "int8.onnx", PICTURE, reduce_range=False)
    assert [each.node for each in found] == ["up0", "up1"]


def test_a_fault_of_the_pictures_is_not_laid_on_the_operators(tmp_path: Path) -> None:
    """Where every kind fails the first error is raised, and no float file passes for int8."""
    with pytest.raises(Exception, match="Got: 9 Expected: 8"):
        quantized(
            network(tmp_path / "r.onnx", 1), tmp_path / "i.onnx", np.zeros((1, 4, 9, 9), np.float32), reduce_range=False
        )
