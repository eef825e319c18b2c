"""A model for exporters computes the same, without what torch's own quantization puts into it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from int8bench.engines.plain import plain  # noqa: E402  after the skip
from int8bench.models import load_model  # noqa: E402

pytestmark = pytest.mark.torch
LEFT = ("QuantStub", "DeQuantStub", "FloatFunctional")


def kinds(model):
    """The names of the types of all modules."""
    return {type(module).__name__ for module in model.modules()}


@pytest.mark.parametrize(("name", "side"), [("simplecnn", 32), ("resnet18", 64), ("mobilenet_v2", 64)])
def test_the_answers_are_the_same_and_nothing_is_left_of_quantization(name, side):
    """And the model itself is as it was, in training mode too."""
    model = load_model(name, num_classes=10, input_shape=(3, side, side)).module.eval()
    pictures = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32))
    before = kinds(model)
    expected = model(pictures)
    model.train()
    copied = plain(model)
    assert torch.equal(copied(pictures), expected)
    assert not kinds(copied) & set(LEFT)
    assert kinds(model) == before
    assert model.training
    assert not any(parameter.requires_grad for parameter in copied.parameters())


@pytest.mark.parametrize("name", ["add", "mul", "matmul", "add_relu"])
def test_arithmetic_modules_become_arithmetic(name):
    """Under the names that a model calls them by."""
    functional = torch.ao.nn.quantized.FloatFunctional()
    x, y = torch.randn(3, 3), torch.randn(3, 3)
    assert torch.equal(getattr(plain(functional), name)(x, y), getattr(functional, name)(x, y))


def test_a_stub_under_two_names_is_replaced_under_both():
    """A model may use one stub in two places."""
    stub = torch.ao.quantization.QuantStub()
    copied = plain(torch.nn.Sequential(stub, torch.nn.ReLU(), stub))
    assert [type(module).__name__ for module in copied] == ["Identity", "ReLU", "Identity"]
