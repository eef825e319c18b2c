"""Pictures, split into training, validation and calibration: seeded, stratified and disjoint."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from int8bench.errors import DataError

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Shape = tuple[int, int, int]

VALIDATION_SHARE = 0.25
CALIBRATION_IMAGES = 160  # five batches of 32: LiteRT's calibration was 26 dB worse with five single pictures
FEWEST_A_CLASS = 4  # one or more for validation, the rest to train on


@dataclass(frozen=True, slots=True, kw_only=True)
class Splits:
    """Pictures (image, channel, height, width) and classes (image,); calibration is part of training."""

    name: str
    num_classes: int
    train_images: Images
    train_labels: Labels
    validation_images: Images
    validation_labels: Labels
    calibration_images: Images


def load_data(name: str, *, input_shape: Shape, data_dir: Path | None = None, seed: int = 0) -> Splits:
    """The data set of that name, brought to `input_shape` and split.

    Args:
        name: ``digits``, ``cifar10``, or ``imagefolder:PATH`` with a folder a class.
        input_shape: (channels, height, width).
        data_dir: where cifar10 lies or is put.
        seed: of the split.

    Raises:
        DataError: no such data set, or it is missing, broken or too small.
    """
    kind, _, path = name.partition(":")
    loaders: dict[str, Callable[[], tuple[Images, Labels, int]]] = {
        "digits": lambda: _digits(input_shape),
        "cifar10": lambda: _cifar10(input_shape, data_dir),
        "imagefolder": lambda: _folder(path, input_shape),
    }
    if kind not in loaders or (path and kind != "imagefolder"):
        close = difflib.get_close_matches(kind, loaders, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise DataError(f"--data {name}: unknown; {hint}choose digits, cifar10 or imagefolder:PATH")
    images, labels, classes = loaders[kind]()
    return _split(name, images, labels, classes, seed)


def _split(name: str, images: Images, labels: Labels, classes: int, seed: int) -> Splits:
    rng = np.random.default_rng(seed)
    train: list[int] = []
    validation: list[int] = []
    for label in range(classes):
        mine = rng.permutation(np.flatnonzero(labels == label)).tolist()
        if len(mine) < FEWEST_A_CLASS:
            raise DataError(f"--data {name}: class {label} has {len(mine)} pictures, expected {FEWEST_A_CLASS} or more")
        held = max(1, round(len(mine) * VALIDATION_SHARE))
        validation += mine[:held]
        train += mine[held:]
    order, held_order = rng.permutation(train), rng.permutation(validation)
    return Splits(
        name=name,
        num_classes=classes,
        train_images=images[order],
        train_labels=labels[order],
        validation_images=images[held_order],
        validation_labels=labels[held_order],
        calibration_images=images[order[:CALIBRATION_IMAGES]],
    )


def _digits(shape: Shape) -> tuple[Images, Labels, int]:
    """Scikit-learn's 1,797 real handwritten digits of 8x8, scaled up and repeated over the channels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    grey = (bunch.images.astype(np.float32) / 16.0 - 0.5) / 0.5
    return _resized(grey[:, None], shape), bunch.target.astype(np.int64), 10


def _cifar10(shape: Shape, data_dir: Path | None) -> tuple[Images, Labels, int]:
    from torchvision.datasets import CIFAR10

    if data_dir is None:
        raise DataError("--data cifar10: needs --data-dir, the folder that holds or gets cifar-10-batches-py")
    try:
        found = CIFAR10(str(data_dir), train=True, download=not (data_dir / "cifar-10-batches-py").is_dir())
    except Exception as error:
        raise DataError(
            f"--data cifar10: not complete in {data_dir} and cannot be downloaded ({type(error).__name__}); "
            f"put the unpacked folder cifar-10-batches-py of cifar-10-python.tar.gz there"
        ) from error
    pictures = np.transpose(found.data, (0, 3, 1, 2)).astype(np.float32) / 127.5 - 1.0
    return _resized(pictures, shape), np.asarray(found.targets, dtype=np.int64), 10


def _folder(path: str, shape: Shape) -> tuple[Images, Labels, int]:
    root = Path(path)
    if not path or not root.is_dir():
        raise DataError(f"--data imagefolder:{path}: no such folder; expected PATH/<class>/<picture> for each class")
    from torchvision.datasets import ImageFolder

    try:
        found = ImageFolder(str(root))
    except FileNotFoundError as error:
        raise DataError(f"--data imagefolder:{path}: {str(error).splitlines()[0]}") from error
    if len(found.classes) < 2:  # noqa: PLR2004  one class is nothing to tell apart
        raise DataError(f"--data imagefolder:{path}: one class ({found.classes[0]}), expected two folders or more")
    pictures = np.stack([_picture(file, shape) for file, _ in found.samples])
    return pictures, np.asarray(found.targets, dtype=np.int64), len(found.classes)


def _picture(file: str, shape: Shape) -> Images:
    """One picture (channel, height, width): its middle square, scaled."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    channels, height, width = shape
    try:
        with Image.open(file) as opened:
            fitted = ImageOps.fit(opened.convert("L" if channels == 1 else "RGB"), (width, height))
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"--data imagefolder: {file} is not a readable picture: {error}") from error
    values = np.asarray(fitted, dtype=np.float32) / 127.5 - 1.0
    planes = values[None] if values.ndim == 2 else np.transpose(values, (2, 0, 1))  # noqa: PLR2004  grey has two axes
    return planes[np.arange(channels) % len(planes)]


def _resized(pictures: Images, shape: Shape) -> Images:
    """Pictures (image, channel, height, width) brought to `shape` bilinearly, channels repeated where too few."""
    import torch

    channels, height, width = shape
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(pictures), size=(height, width), mode="bilinear", align_corners=False
    ).numpy()
    return np.ascontiguousarray(scaled[:, np.arange(channels) % scaled.shape[1]])
