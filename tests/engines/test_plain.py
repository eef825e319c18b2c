"""A model for exporters computes the same, without what torch's own quantization puts into it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from int8bench.engines.base import Material  # noqa: E402  after the skip
from int8bench.engines.plain import frozen, plain  # noqa: E402
from int8bench.engines.torch.int8 import QuantizedEngine  # noqa: E402
from int8bench.errors import EngineError  # noqa: E402
from int8bench.workload.models import load_model  # noqa: E402

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


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(
    ("padding", "side", "dilation", "numbers"),
    [
        ("same", 3, 1, (1, 1)),
        ("same", (3, 5), 2, (2, 4)),
        ("valid", 4, 1, (0, 0)),
        ("same", (3, 4), 1, (1, 2, 1, 1)),
        (2, 3, 1, (2, 2)),
    ],
)
def test_padding_is_told_in_numbers(padding, side, dilation, numbers):
    """Quantizers read no words; where one side is padded more than the other, a layer before it does that."""
    layer = torch.nn.Conv2d(3, 4, side, dilation=dilation, padding=padding)
    pictures = torch.randn(2, 3, 16, 20)
    (copied,) = plain(torch.nn.Sequential(layer))
    told = copied[0].padding if isinstance(copied, torch.nn.Sequential) else copied.padding
    assert told == numbers
    assert layer.padding == (padding if isinstance(padding, str) else numbers)
    assert torch.equal(copied(pictures), layer(pictures))


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("kind", [torch.nn.Conv1d, torch.nn.Conv3d])
def test_so_it_is_in_one_dimension_and_in_three(kind):
    """Each axis by its own side."""
    layer = kind(2, 3, 4, padding="same")
    values = torch.randn(1, 2, *(6, 7, 8)[: 1 if kind is torch.nn.Conv1d else 3])
    (copied,) = plain(torch.nn.Sequential(layer))
    assert not isinstance(copied[1].padding, str)
    assert torch.allclose(copied(values), layer(values), atol=1e-6)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")
def test_a_model_out_of_torch_jit_runs_in_float_and_is_refused_in_one_sentence():
    """It has no Python to trace, whichever converter asks; torch itself runs it."""
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 2, 1), torch.nn.ReLU())
    scripted, pictures = torch.jit.script(model), torch.randn(1, 2, 3, 3)
    copied = frozen(scripted)
    assert torch.equal(copied(pictures), model(pictures))
    assert not any(parameter.requires_grad for parameter in copied.parameters())
    assert all(parameter.requires_grad for parameter in scripted.parameters())
    engine = QuantizedEngine(name=torch.backends.quantized.supported_engines[-1])
    image = pictures.numpy()
    material = Material(model=scripted, calibration=image, example=image)
    for convert in (lambda: plain(scripted), lambda: engine.prepare(engine.variants[0], material)):
        with pytest.raises(EngineError, match=r"^Sequential comes out of torch\.jit, .*; give the module"):
            convert()
