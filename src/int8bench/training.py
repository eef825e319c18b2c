"""Fits the float32 model, evaluates it, and keeps checkpoints that hold weights and nothing else."""

import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from int8bench.data import Splits
from int8bench.errors import ModelError, RequestError

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
    """Trains a model in place with Adam and a one-cycle learning rate; its validation accuracy.

    The same seed and thread count give the same weights on one machine.

    Args:
        model: takes (image, channel, height, width), gives logits (image, class).
        splits: pictures and classes.
        epochs: passes over the training pictures.
        seed: of the order of the pictures.
        report: told after each epoch.
    """
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    steps = -(-len(splits.train_images) // BATCH)
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
    """The share of pictures (image, channel, height, width) whose class (image,) is answered."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for start in range(0, len(images), EVALUATION_BATCH):
            answers = model(torch.from_numpy(images[start : start + EVALUATION_BATCH])).argmax(dim=1)
            right += int((answers == torch.from_numpy(labels[start : start + EVALUATION_BATCH])).sum())
    return right / len(images)


def save_checkpoint(path: Path, model: nn.Module, *, name: str, num_classes: int, accuracy: float | None) -> None:
    """Writes the weights to `path`, whole or not at all.

    Raises:
        RequestError: the file cannot be written.
    """
    content = {
        "format": CHECKPOINT_FORMAT,
        "model": name,
        "num_classes": num_classes,
        "accuracy": accuracy,
        "state": model.state_dict(),
    }
    try:
        with _replacing(path) as temporary:
            torch.save(content, temporary)
    except (OSError, RuntimeError) as error:
        raise RequestError(f"-o {path}: cannot be written: {error}; give a path that you can write to") from error


def load_weights(path: Path, model: nn.Module, *, name: str) -> None:
    """Puts the weights of a checkpoint, or of a plain state dict, into a model.

    Only tensors and plain values are read; a file with code in it is refused unread.

    Raises:
        ModelError: there is no such file, it is no checkpoint, or it is of another model.
    """
    content = _read(path)
    if content.get("format") == CHECKPOINT_FORMAT and content["model"] != name:
        raise ModelError(f"--weights {path}: a checkpoint of {content['model']}, expected one of {name}")
    state = content.get("state", content)
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"--weights {path}: not weights of {name}: {reason}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
    except FileNotFoundError:
        raise ModelError(f"--weights {path}: no such file; make one with: int8bench train -o {path}") from None
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"--weights {path}: refused, as it holds more than weights or is no checkpoint; "
            "save your model's state_dict() with torch.save and give that"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(f"--weights {path}: cannot be read as a checkpoint: {str(error).splitlines()[0]}") from error
    if not isinstance(content, dict):
        raise ModelError(f"--weights {path}: holds a {type(content).__name__}, expected a state dict")
    return content


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """A temporary file beside `path` that takes its place when all went well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(descriptor)
    try:
        yield temporary
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _batches(splits: Splits, rng: np.random.Generator) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    order = rng.permutation(len(splits.train_images))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        yield torch.from_numpy(splits.train_images[chosen]), torch.from_numpy(splits.train_labels[chosen])


def _step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    images: torch.Tensor,
    labels: torch.Tensor,
) -> float:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    schedule.step()
    return float(loss.detach())
