"""Fits the float32 model, evaluates it, and keeps checkpoints that hold weights and nothing else."""

import copy
import io
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from int8bench import files, units
from int8bench.errors import ModelError
from int8bench.workload.data import Splits

EPOCHS = 12
BATCH = 32
LEARNING_RATE = 2e-3
EVALUATION_BATCH = 256
CHECKPOINT_FORMAT = "int8bench.checkpoint.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """How far a fit is."""

    epoch: int
    epochs: int
    loss: float
    accuracy: float


def fit(
    model: nn.Module,
    splits: Splits,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    report: Callable[[Epoch], None] = lambda _: None,
) -> float:
    """Train a model in place with Adam and a one-cycle learning rate; its validation accuracy.

    The same seed and thread count give the same weights on one machine; torch's own generator is left as it was.

    Args:
        model: takes (image, channel, height, width), gives logits (image, class).
        splits: pictures and classes.
        epochs: passes over the training pictures.
        seed: of the order of the pictures, and of what the model draws, such as its dropout.
        report: told after each epoch.

    Raises:
        ModelError: the model has nothing to train, or cannot answer while it is trained.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ModelError(f"{type(model).__name__} has no weights to train; give a model with parameters")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _fitted(model, splits, epochs=epochs, rng=np.random.default_rng(seed), report=report)


def _fitted(
    model: nn.Module, splits: Splits, *, epochs: int, rng: np.random.Generator, report: Callable[[Epoch], None]
) -> float:
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    steps = _steps(splits)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=LEARNING_RATE, epochs=epochs, steps_per_epoch=steps
    )
    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        loss = sum(_step(model, optimizer, schedule, *batch) for batch in _batches(splits, rng)) / steps
        accuracy = evaluate(model, splits.validation_images, splits.validation_labels)
        report(Epoch(epoch=epoch, epochs=epochs, loss=loss, accuracy=accuracy))
    model.eval()
    return accuracy


def evaluate(model: nn.Module, images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Return the share of pictures (image, channel, height, width) whose class (image,) is answered.

    Args:
        model: in eval mode.
        images: (image, channel, height, width).
        labels: (image,).
    """
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), EVALUATION_BATCH):
            answers = model(torch.from_numpy(images[start : start + EVALUATION_BATCH])).argmax(dim=1)
            right += int((answers == torch.from_numpy(labels[start : start + EVALUATION_BATCH])).sum())
    return right / len(images)


def save_checkpoint(
    path: Path,
    model: nn.Module,
    *,
    name: str,
    num_classes: int,
    accuracy: float | None,
    write: Callable[[Path, bytes], object] = files.write_bytes,
) -> None:
    """Write the weights to `path`, whole or not at all.

    Args:
        path: where they go.
        model: that has them.
        name: of the model.
        num_classes: of the data.
        accuracy: that was reached.
        write: `files.put` for a file that nobody asked for, where an OSError stays one.

    Raises:
        RequestError: the file cannot be written; what was there before is untouched.
    """
    content = {
        "format": CHECKPOINT_FORMAT,
        "model": name,
        "num_classes": num_classes,
        "accuracy": accuracy,
        "state": model.state_dict(),
    }
    whole = io.BytesIO()  # torch's own writer says nothing of a full disk but an enforce failure of its own
    torch.save(content, whole)
    write(path, whole.getvalue())


def load_weights(path: Path, model: nn.Module, *, name: str, num_classes: int) -> None:
    """Put the weights of a checkpoint, or of a plain state dict, into a model; all of them or none.

    Only tensors and plain values are read; a file with code in it is refused unread.

    Args:
        path: of the checkpoint.
        model: that gets the weights.
        name: of the model.
        num_classes: of the data.

    Raises:
        ModelError: there is no such file, it is no checkpoint, or it is of another model or other classes.
    """
    state = _state(path, name, num_classes)
    before = copy.deepcopy(model.state_dict())
    try:
        model.load_state_dict(state)
    except Exception as error:  # a state dict of anything raises anything
        model.load_state_dict(before)
        raise ModelError(f"--weights {path}: not weights of {name}: {units.reason(error)}") from error


def _state(path: Path, name: str, num_classes: int) -> Mapping[str, Any]:
    """Return the state dict in a checkpoint of ours; any other content is one."""
    content = _read(path)
    if content.get("format") != CHECKPOINT_FORMAT:
        return content
    model, classes, state = (content.get(key) for key in ("model", "num_classes", "state"))
    if not isinstance(state, dict):
        raise ModelError(f"--weights {path}: a checkpoint without weights; make one with: int8bench train -o {path}")
    if model != name:
        raise ModelError(f"--weights {path}: a checkpoint of {model}, expected one of {name}; type --model {model}")
    if classes != num_classes:
        raise ModelError(
            f"--weights {path}: a checkpoint with {classes} classes, and the data has {num_classes}; "
            "give the --data it was trained on"
        )
    return state


def _read(path: Path) -> Mapping[str, Any]:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch warns of what it then refuses
            content = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelError(f"--weights {path}: no such file; make one with: int8bench train -o {path}") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"--weights {path}: refused, as it holds more than weights or is no checkpoint; "
            "save your model's state_dict() with torch.save and give that"
        ) from error
    except Exception as error:  # what damaged bytes raise depends on which of them are damaged
        raise ModelError(
            f"--weights {path}: cannot be read as a checkpoint ({units.reason(error)}); "
            "save your model's state_dict() with torch.save and give that"
        ) from error
    if not isinstance(content, dict):
        raise ModelError(
            f"--weights {path}: holds a {type(content).__name__}, expected a state dict; "
            "save your model's state_dict() with torch.save and give that"
        )
    return content


def _batches(splits: Splits, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield the pictures in random order, in batches of nearly one size: a last batch of one stops a batch norm."""
    order = rng.permutation(len(splits.train_images))
    for chosen in np.array_split(order, _steps(splits)):
        yield torch.from_numpy(splits.train_images[chosen]), torch.from_numpy(splits.train_labels[chosen])


def _steps(splits: Splits) -> int:
    return -(-len(splits.train_images) // BATCH)


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    optimizer.zero_grad()
    try:
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # a model of yours may answer, but not while it is trained
        raise ModelError(f"{type(model).__name__} cannot be trained: {units.reason(error)}") from error
    optimizer.step()
    schedule.step()
    return float(loss.detach())
