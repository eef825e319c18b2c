"""The models that are measured: SimpleCNN, torchvision's quantizable ones, and yours by name."""

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from int8bench import units
from int8bench.errors import ModelError

Shape = tuple[int, int, int]

SIMPLECNN_SHAPE: Shape = (3, 32, 32)
IMAGENET_SHAPE: Shape = (3, 224, 224)
SEED = 0  # random weights are the same in every process


class SimpleCNN(nn.Module):
    """Two convolutions and a linear layer, without observers: the float32 original.

    Takes (image, 3, 32, 32), gives logits (image, class).
    """

    def __init__(self, num_classes: int) -> None:
        """Return a network for `num_classes` classes, with torch's initial weights."""
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
        self.register_forward_pre_hook(_check_shape, with_kwargs=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (image, class) of pictures (image, 3, 32, 32).

        Raises:
            ModelError: pictures of another shape.
        """
        return self.fc(torch.flatten(self.conv(x), 1))  # type: ignore[no-any-return]


def _check_shape(_module: nn.Module, inputs: tuple[object, ...], named: dict[str, object]) -> None:
    # A hook and not a test inside forward: a tracer follows forward with values that have no shape yet.
    for pictures in (*inputs, *named.values()):
        if isinstance(pictures, torch.Tensor) and tuple(pictures.shape[1:]) != SIMPLECNN_SHAPE:
            raise ModelError(f"SimpleCNN: pictures of shape {tuple(pictures.shape)}, expected (images, 3, 32, 32)")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A float32 model in evaluation mode, and the shape (channels, height, width) of one picture."""

    name: str
    module: nn.Module
    input_shape: Shape
    num_classes: int


Factory = Callable[[int], nn.Module]


def _of_torchvision(name: str, num_classes: int) -> nn.Module:
    from torchvision.models import quantization

    make = getattr(quantization, name)
    return make(weights=None, quantize=False, num_classes=num_classes)  # type: ignore[no-any-return]


KNOWN: dict[str, tuple[Factory, Shape]] = {
    "simplecnn": (SimpleCNN, SIMPLECNN_SHAPE),
    "resnet18": (partial(_of_torchvision, "resnet18"), IMAGENET_SHAPE),
    "mobilenet_v2": (partial(_of_torchvision, "mobilenet_v2"), IMAGENET_SHAPE),
}


def load_model(name: str, *, num_classes: int, input_shape: Shape | None = None, seed: int = SEED) -> LoadedModel:
    """Return the model of that name in evaluation mode, with the same random weights in every process.

    Args:
        name: a known name, or ``package.module:factory`` of yours.
        num_classes: classes; given to your factory where it takes ``num_classes``.
        input_shape: (channels, height, width) of one picture; needed for a model of yours.
        seed: which its weights are drawn with.

    Raises:
        ModelError: no such model, or it cannot be made or fed.
    """
    factory, shape = _factory(name, input_shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = factory(num_classes)
    if not isinstance(module, nn.Module):
        raise ModelError(f"--model {name}: made a {type(module).__name__}, expected a torch.nn.Module; return one")
    module.eval()
    return LoadedModel(name=name, module=module, input_shape=shape, num_classes=_classes(name, module, shape))


def is_drawn(model: LoadedModel, *, num_classes: int) -> bool:
    """Tell whether another seed gives other weights: they are random then, in part at least, and no factory read them.

    Args:
        model: as `load_model` made it, with nothing loaded since.
        num_classes: that it was made with.
    """
    if model.name in KNOWN:
        return True
    other = load_model(model.name, num_classes=num_classes, input_shape=model.input_shape, seed=SEED + 1).module
    theirs = other.state_dict()
    return any(
        isinstance(mine, torch.Tensor) and not torch.equal(mine, theirs[name])
        for name, mine in model.module.state_dict().items()
    )


def settle_weights(module: nn.Module) -> None:
    """Make weights that are computed anew at each call what they are: those of weight and spectral norm, or pruned.

    Compilers for int8 take a layer's weights for constants, and leave a layer without them to their slowest kernels.
    The answers are the same, of a model in evaluation mode.
    """
    from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm
    from torch.nn.utils.spectral_norm import SpectralNorm
    from torch.nn.utils.weight_norm import WeightNorm

    for each in list(module.modules()):
        if parametrize.is_parametrized(each):
            computed: Any = each.parametrizations
            for name in list(computed):
                parametrize.remove_parametrizations(each, name, leave_parametrized=True)
        for hook in list(each._forward_pre_hooks.values()):  # noqa: SLF001  how torch's own removers find them
            if isinstance(hook, WeightNorm):
                remove_weight_norm(each, hook.name)
            elif isinstance(hook, SpectralNorm):
                remove_spectral_norm(each, hook.name)
            elif isinstance(hook, prune.BasePruningMethod):
                prune.remove(each, hook._tensor_name)  # type: ignore[no-untyped-call]  # noqa: SLF001  no other name


def input_shape_of(name: str, given: Shape | None) -> Shape:
    """Return the (channels, height, width) that a model is fed with.

    Args:
        name: of the model.
        given: what was typed; None for nothing.

    Raises:
        ModelError: no such model, or one of yours without a shape, or another shape than SimpleCNN takes.
    """
    return _factory(name, given)[1]


def parse_input_shape(text: str) -> Shape:
    """Return ``3x32x32`` or ``3,32,32`` as (channels, height, width).

    Raises:
        ModelError: anything else.
    """
    parts = text.lower().replace(",", "x").split("x")
    if len(parts) != len(SIMPLECNN_SHAPE) or not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ModelError(f"--input-shape {text}: expected channels x height x width; try --input-shape 3x32x32")
    channels, height, width = (int(part) for part in parts)
    return channels, height, width


def _factory(name: str, given: Shape | None) -> tuple[Factory, Shape]:
    if name in KNOWN:
        factory, shape = KNOWN[name]
        if name == "simplecnn" and given is not None and given != shape:
            raise ModelError(f"--input-shape {units.shape(given)}: SimpleCNN takes 3x32x32; leave --input-shape out")
        return factory, given or shape
    if ":" not in name:
        close = difflib.get_close_matches(name.lower(), KNOWN, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ModelError(f"--model {name}: unknown; {hint}choose {', '.join(KNOWN)} or your own package.module:factory")
    if given is None:
        raise ModelError(f"--model {name}: how large is a picture? add --input-shape 3x32x32 or what it takes")
    # Imported here, before anything is seeded: what a module draws when it is imported must not shift the weights.
    factory = _imported(name)
    return lambda num_classes: _yours(name, factory, num_classes), given


def _yours(name: str, factory: Callable[..., Any], num_classes: int) -> nn.Module:
    try:
        arguments = {"num_classes": num_classes} if "num_classes" in inspect.signature(factory).parameters else {}
        return factory(**arguments)  # type: ignore[no-any-return]
    except (Exception, SystemExit) as error:
        raise ModelError(f"--model {name}: cannot be made: {units.reason(error)}") from error


def _imported(name: str) -> Callable[..., Any]:
    """Return what ``package.module:factory`` stands for; looked for in the current folder too."""
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module of yours may raise anything, or parse arguments and leave
        raise ModelError(
            f"--model {name}: {module_name or 'an empty name'} does not import ({units.reason(error)}); "
            "expected package.module:factory, installed or in this folder"
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        raise ModelError(f"--model {name}: {module_name} has no {attribute!r}; name a function or class in it")
    if not callable(factory) or isinstance(factory, nn.Module):
        kind = type(factory).__name__
        raise ModelError(f"--model {name}: {attribute} is a {kind}, expected a function or class that makes a model")
    return factory  # type: ignore[no-any-return]


def _classes(name: str, module: nn.Module, shape: Shape) -> int:
    """Return how many classes a model answers with, found by asking it once."""
    asked = torch.zeros(2, *shape)
    try:
        with torch.inference_mode():
            answer = module(asked)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"--model {name}: cannot answer pictures of {units.shape(shape)} ({units.reason(error)}); "
            "give the --input-shape it takes"
        ) from error
    if not isinstance(answer, torch.Tensor) or answer.ndim != 2 or len(answer) != len(asked):  # noqa: PLR2004
        raise ModelError(
            f"--model {name}: answers {len(asked)} pictures with {_described(answer)}, "
            f"expected logits of shape ({len(asked)}, classes)"
        )
    return int(answer.shape[1])


def _described(answer: object) -> str:
    return (
        f"a tensor of shape {tuple(answer.shape)}" if isinstance(answer, torch.Tensor) else f"a {type(answer).__name__}"
    )
