import hashlib
import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from int8bench.errors import ModelError

torch = pytest.importorskip("torch")
nn = torch.nn

from int8bench.workload import models  # noqa: E402  torch first: without it this module is skipped

pytestmark = pytest.mark.torch

SHAPE = (3, 8, 8)

# Models of a user's, each good or wrong in one way; NAME is a factory in the module `theirs`.
THEIRS = """
import torch
from torch import nn

def net(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))

def fixed():
    return net(7)

def keyword(*, width=3, num_classes=2):
    return net(num_classes)

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(192, 5))

class Bare(nn.Module):
    def forward(self, x):
        return self.answer(x)

class Pair(Bare):
    def answer(self, x):
        return x.flatten(1), x

class Picture(Bare):
    def answer(self, x):
        return x

class Argmax(Bare):
    def answer(self, x):
        return x.flatten(1).argmax(dim=1)

class Merged(Bare):
    def answer(self, x):
        return x.reshape(1, -1)

class Wide(Bare):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 2)

    def answer(self, x):
        return self.fc(x.flatten(1))

def raising(num_classes):
    raise ValueError("no weights\\nin this folder")

def leaving():
    raise SystemExit(5)

def number():
    return 3

def demanding(width):
    return net(2)

made = net(3)
constant = 3
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a person's own modules, which is the current one; forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "theirs.py").write_text(THEIRS, encoding="utf-8")
    yield tmp_path
    for name in ("theirs", "broken"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def refusal(name: str, shape: models.Shape | None = SHAPE) -> str:
    """The one sentence with which a model is refused."""
    with pytest.raises(ModelError) as caught:
        models.load_model(name, num_classes=10, input_shape=shape)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(("--model ", "--input-shape ", "SimpleCNN"))
    return sentence


class DocumentCNN(nn.Module):
    """The source document's network, letter by letter."""

    def __init__(self, num_classes):
        """As there."""
        super().__init__()

        self.conv = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )

        self.fc = nn.Linear(64 * 8 * 8, num_classes)

    def forward(self, x):
        """As there."""
        x = self.conv(x)
        x = torch.flatten(x, 1)
        return self.fc(x)


@pytest.mark.parametrize(("classes", "parameters"), [(10, 60_362), (2, 27_586), (100, 429_092)])
def test_simplecnn_has_the_documents_number_of_parameters(classes: int, parameters: int) -> None:
    """19,392 in the convolutions and 4,097 for each class."""
    assert sum(each.numel() for each in models.SimpleCNN(classes).parameters()) == parameters


def test_simplecnn_has_the_documents_parameter_names_and_shapes() -> None:
    """The state dict is the one that the document's class makes."""
    assert {name: tuple(each.shape) for name, each in models.SimpleCNN(10).state_dict().items()} == {
        "conv.0.weight": (32, 3, 3, 3),
        "conv.0.bias": (32,),
        "conv.3.weight": (64, 32, 3, 3),
        "conv.3.bias": (64,),
        "fc.weight": (10, 4096),
        "fc.bias": (10,),
    }


def test_simplecnn_is_the_documents_network_layer_by_layer() -> None:
    """The layers, their options, and with the same weights every layer's answer are the document's."""
    ours, documents = models.SimpleCNN(10).eval(), DocumentCNN(10).eval()
    assert str(ours).replace("SimpleCNN", "") == str(documents).replace("DocumentCNN", "")
    documents.load_state_dict(ours.state_dict())
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = found = pictures
    for document_layer, our_layer in zip(documents.conv, ours.conv, strict=True):
        expected, found = document_layer(expected), our_layer(found)
        assert torch.equal(found, expected)
    assert found.shape == (4, 64, 8, 8)
    assert torch.equal(ours(pictures), documents(pictures))
    assert ours(pictures).shape == (4, 10)


@pytest.mark.parametrize(
    "shape", [(1, 3, 28, 28), (1, 1, 32, 32), (3, 32, 32), (2, 1, 3, 32, 32), (2, 3072), (3,), ()], ids=str
)
def test_simplecnn_refuses_another_shape_in_a_sentence(shape: tuple[int, ...]) -> None:
    """Other sizes, channels or numbers of axes are named, with what is expected; nothing of a convolution is said."""
    model = models.SimpleCNN(10)
    with pytest.raises(ModelError, match=r"expected \(images, 3, 32, 32\)") as caught:
        model(torch.zeros(shape))
    assert str(shape) in str(caught.value)
    with pytest.raises(ModelError):
        model(x=torch.zeros(shape))


def test_simplecnn_takes_no_pictures_and_pictures_by_name() -> None:
    """A batch of none is a batch; the argument has the document's name."""
    model = models.SimpleCNN(10)
    assert model(torch.zeros(0, 3, 32, 32)).shape == (0, 10)
    assert model(x=torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_simplecnn_can_be_traced_and_exported() -> None:
    """The check of the shape is in no tracer's way: a tracer sees the layers and nothing else."""
    model, pictures = models.SimpleCNN(10).eval(), torch.zeros(2, 3, 32, 32)
    with torch.inference_mode():
        traced = torch.fx.symbolic_trace(model)
        assert torch.equal(traced(pictures), model(pictures))
    assert [node.op for node in traced.graph.nodes].count("call_module") == 7


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, str]:
    """A digest of each known model's random weights, from another process with another history."""
    program = (
        "import hashlib, torch; from int8bench.workload import models\n"
        "torch.manual_seed(99); torch.rand(5)\n"
        "for name in models.KNOWN:\n"
        "    state = models.load_model(name, num_classes=10).module.state_dict()\n"
        "    content = b''.join(value.numpy().tobytes() for value in state.values())\n"
        "    print(name, hashlib.sha256(content).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def known() -> dict[str, models.LoadedModel]:
    """Every model that is known by name, for ten classes."""
    return {name: models.load_model(name, num_classes=10) for name in models.KNOWN}


@pytest.mark.parametrize("name", models.KNOWN)
def test_random_weights_are_the_same_in_every_process(
    name: str, known: dict[str, models.LoadedModel], elsewhere: dict[str, str]
) -> None:
    """What was drawn before, here or there, does not matter; to the bit, which a sum over threads would not be."""
    content = b"".join(value.numpy().tobytes() for value in known[name].module.state_dict().values())
    assert hashlib.sha256(content).hexdigest() == elsewhere[name]


@pytest.mark.parametrize("name", models.KNOWN)
def test_known_models_are_loaded_ready_to_answer(name: str, known: dict[str, models.LoadedModel]) -> None:
    """They are in evaluation mode and say their classes and what they are fed with."""
    loaded = known[name]
    assert not any(module.training for module in loaded.module.modules())
    assert (loaded.name, loaded.num_classes) == (name, 10)
    assert loaded.input_shape == ((3, 32, 32) if name == "simplecnn" else (3, 224, 224))


def test_loading_leaves_torchs_generator_alone() -> None:
    """Whoever loads a model goes on with the random numbers they would have had."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    models.load_model("simplecnn", num_classes=10)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvisions_models_are_the_quantizable_ones(name: str, known: dict[str, models.LoadedModel]) -> None:
    """Their additions go through FloatFunctional, which an engine can quantize, and they can be fused."""
    module = known[name].module
    assert hasattr(module, "fuse_model")
    assert any(isinstance(each, torch.ao.nn.quantized.FloatFunctional) for each in module.modules())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvisions_ordinary_weights_fit(name: str, known: dict[str, models.LoadedModel]) -> None:
    """A state dict of the model that is not quantizable is one of ours: the user's own file loads."""
    import torchvision

    theirs = getattr(torchvision.models, name)(weights=None, num_classes=10).eval()
    ours = models.load_model(name, num_classes=10, input_shape=(3, 32, 32)).module
    ours.load_state_dict(theirs.state_dict())
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        np.testing.assert_allclose(ours(pictures).numpy(), theirs(pictures).numpy(), rtol=1e-4, atol=1e-4)
        assert not torch.equal(ours(pictures), known[name].module(pictures))


@pytest.mark.parametrize(
    ("name", "classes"),
    [("theirs:net", 10), ("theirs:fixed", 7), ("theirs:keyword", 10), ("theirs:Net", 5)],
)
@pytest.mark.usefixtures("theirs")
def test_a_model_of_yours_is_made_by_its_factory(name: str, classes: int) -> None:
    """A function or class in a module of the current folder; num_classes is given where it is taken."""
    loaded = models.load_model(name, num_classes=10, input_shape=SHAPE)
    assert loaded.num_classes == classes
    assert loaded.input_shape == SHAPE
    assert not loaded.module.training
    again = models.load_model(name, num_classes=10, input_shape=SHAPE)
    assert all(
        torch.equal(one, other)
        for one, other in zip(loaded.module.parameters(), again.module.parameters(), strict=True)
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere:net", "nowhere does not import (ModuleNotFoundError"),
        ("my/theirs.py:net", "expected package.module:factory"),
        (":net", "an empty name does not import"),
        (".theirs:net", ".theirs does not import"),
        ("theirs:", "theirs has no ''"),
        ("theirs:nett", "theirs has no 'nett'"),
        ("theirs:constant", "constant is a int, expected a function or class"),
        ("theirs:made", "made is a Sequential, expected a function or class"),
        ("theirs:number", "made a int, expected a torch.nn.Module"),
        ("theirs:raising", "cannot be made: ValueError: no weights in this folder"),
        ("theirs:leaving", "cannot be made: SystemExit: 5"),
        ("theirs:demanding", "cannot be made: TypeError"),
        ("theirs:Pair", "with a tuple, expected logits of shape (2, classes)"),
        ("theirs:Picture", "with a tensor of shape (2, 3, 8, 8)"),
        ("theirs:Argmax", "with a tensor of shape (2,)"),
        ("theirs:Merged", "with a tensor of shape (1, 384)"),
        ("theirs:Wide", "cannot answer pictures of 3x8x8 (RuntimeError"),
    ],
)
@pytest.mark.usefixtures("theirs")
def test_a_model_of_yours_that_is_none_is_refused_in_a_sentence(name: str, sentence: str) -> None:
    """What does not import, is no factory, makes no module, raises, or answers no logits is named as such."""
    assert sentence in refusal(name)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("def net(:", "SyntaxError"),
        ("raise ValueError('weights are missing')", "ValueError: weights are missing"),
        ("import torch\ntorch.no_such_thing", "AttributeError"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("import sys\nsys.exit(2)", "SystemExit: 2"),
        ("import argparse\nargparse.ArgumentParser(exit_on_error=False).error('bad')", "SystemExit: 2"),
    ],
)
def test_a_module_that_does_not_import_is_refused_in_a_sentence(theirs: Path, content: str, sentence: str) -> None:
    """Whatever a module does when it is imported, the program does not stop with it."""
    (theirs / "broken.py").write_text(content, encoding="utf-8")
    said = refusal("broken:net")
    assert "broken does not import" in said
    assert sentence in said


@pytest.mark.parametrize(
    ("name", "shape", "sentence"),
    [
        ("resnet19", None, "did you mean resnet18?"),
        ("SimpleCNN", None, "did you mean simplecnn?"),
        ("bert", None, "unknown; choose simplecnn, resnet18, mobilenet_v2 or your own package.module:factory"),
        ("", None, "unknown; choose simplecnn"),
        ("theirs:net", None, "add --input-shape"),
        ("simplecnn", (3, 64, 64), "--input-shape 3x64x64: SimpleCNN takes 3x32x32"),
        ("resnet18", (1, 32, 32), "cannot answer pictures of 1x32x32"),
    ],
)
def test_a_request_for_no_model_says_what_to_type(name: str, shape: models.Shape | None, sentence: str) -> None:
    """An unknown name, a missing shape, or a shape that the model does not take."""
    assert sentence in refusal(name, shape)


def test_known_models_take_another_size() -> None:
    """A shape that is given stands before the usual one; SimpleCNN's own may be said."""
    assert models.load_model("resnet18", num_classes=3, input_shape=(3, 64, 32)).input_shape == (3, 64, 32)
    assert models.input_shape_of("simplecnn", (3, 32, 32)) == (3, 32, 32)
    assert models.input_shape_of("mobilenet_v2", None) == (3, 224, 224)


@pytest.mark.parametrize("text", ["3x32x16", "3X32X16", "3,32,16", " 3 x 32 x 16 "])
def test_an_input_shape_is_read_as_it_is_typed(text: str) -> None:
    """Axes with x or commas between, in the order channels, height, width."""
    assert models.parse_input_shape(text) == (3, 32, 16)


@pytest.mark.parametrize("text", ["", "3x32", "3x32x32x1", "3x0x32", "3x-1x32", "axbxc", "3x32x", "3x3.2x32"])
def test_what_is_no_input_shape_is_refused(text: str) -> None:
    """The sentence has what was typed and what to type."""
    with pytest.raises(ModelError, match=r"try --input-shape 3x32x32") as caught:
        models.parse_input_shape(text)
    assert f"--input-shape {text}:" in str(caught.value)


def _weight_norm(layer: torch.nn.Module) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is deprecated, and there in older models
        return torch.nn.utils.weight_norm(layer)


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        torch.nn.utils.parametrizations.orthogonal,
        _weight_norm,
        torch.nn.utils.spectral_norm,
        lambda layer: torch.nn.utils.prune.l1_unstructured(layer, "weight", amount=0.5),
    ],
    ids=["weight norm", "spectral norm", "orthogonal", "older weight norm", "older spectral norm", "pruned"],
)
def test_weights_that_are_computed_at_each_call_are_settled(wrap: Callable[[torch.nn.Module], torch.nn.Module]) -> None:
    """The layers are those that a quantizer knows, with constant weights, and answer the same."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(wrap(torch.nn.Conv2d(3, 4, 3)), torch.nn.ReLU(), wrap(torch.nn.Conv2d(4, 2, 1))).eval()
    pictures = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        expected = model(pictures)
        models.settle_weights(model)
        assert torch.allclose(model(pictures), expected, atol=1e-6)
    assert [type(each) for each in model] == [torch.nn.Conv2d, torch.nn.ReLU, torch.nn.Conv2d]
    assert set(model.state_dict()) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert not any(each._forward_pre_hooks for each in model.modules())
