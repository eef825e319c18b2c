"""Pictures, split into training, validation and calibration: seeded, stratified and disjoint."""

import difflib
import math
import shutil
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from int8bench import units
from int8bench.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

Images = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]
Shape = tuple[int, int, int]

VALIDATION_SHARE = 0.25
CALIBRATION_IMAGES = 160  # five batches of 32: LiteRT's calibration was 26 dB worse with five single pictures
FEWEST_A_CLASS = 4  # one or more for validation, the rest to train on
MOST_VALUES = 640_000_000  # 2.6 GB of float32: a thousand classes of four pictures of 3x224x224, but not all of cifar10
PATIENCE_S = 10.0  # for a server that does not answer
DIGITS_FILE = Path("datasets", "data", "digits.csv.gz")  # in scikit-learn's package
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


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
    left_out: int
    """Pictures of the data set that would not fit in memory at this shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A data set that is not read yet: the class (image,) of each picture, and how those that are wanted are read."""

    classes: tuple[str, ...]
    labels: Labels
    read: Callable[[Indices], Images]


def load_data(name: str, *, input_shape: Shape, data_dir: Path | None = None, seed: int = 0) -> Splits:
    """Return the data set of that name, brought to `input_shape` and split.

    Args:
        name: ``digits``, ``cifar10``, or ``imagefolder:PATH`` with a folder a class.
        input_shape: (channels, height, width).
        data_dir: where cifar10 lies or is put.
        seed: of the split.

    Raises:
        DataError: no such data set, or it is missing, broken, too small, or its pictures are too large.
    """
    kind, _, path = name.partition(":")
    sources: dict[str, Callable[[], _Source]] = {
        "digits": lambda: _digits(input_shape),
        "cifar10": lambda: _cifar10(input_shape, data_dir),
        "imagefolder": lambda: _folder(path, input_shape),
    }
    if kind not in sources or (path and kind != "imagefolder"):
        close = difflib.get_close_matches(kind, sources, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise DataError(f"--data {name}: unknown; {hint}choose digits, cifar10 or imagefolder:PATH")
    source = sources[kind]()
    return _split(name, source, _most_a_class(name, source, input_shape), seed)


def _most_a_class(name: str, source: _Source, shape: Shape) -> int:
    """Return how many pictures of each class fit in memory."""
    most = MOST_VALUES // (math.prod(shape) * len(source.classes))
    if most < FEWEST_A_CLASS:
        raise DataError(
            f"--data {name}: {FEWEST_A_CLASS} pictures of {units.shape(shape)} a class, {len(source.classes)} classes, "
            "do not fit in memory; give a smaller --input-shape or fewer classes"
        )
    return most


def _split(name: str, source: _Source, most: int, seed: int) -> Splits:
    rng = np.random.default_rng(seed)
    train: list[int] = []
    validation: list[int] = []
    for label, title in enumerate(source.classes):
        mine = rng.permutation(np.flatnonzero(source.labels == label))[:most].tolist()
        if len(mine) < FEWEST_A_CLASS:
            raise DataError(
                f"--data {name}: class {title} has {len(mine)} pictures, expected {FEWEST_A_CLASS} or more; add some"
            )
        held = max(1, round(len(mine) * VALIDATION_SHARE))
        validation += mine[:held]
        train += mine[held:]
    order, held_order = rng.permutation(train), rng.permutation(validation)
    train_images, train_labels = source.read(order), source.labels[order]
    return Splits(
        name=name,
        num_classes=len(source.classes),
        train_images=train_images,
        train_labels=train_labels,
        validation_images=source.read(held_order),
        validation_labels=source.labels[held_order],
        calibration_images=train_images[rng.permutation(_proportional(train_labels, CALIBRATION_IMAGES))],
        left_out=len(source.labels) - len(train) - len(validation),
    )


def _proportional(labels: Labels, count: int) -> Indices:
    """Return the indices of `count` pictures, of each class its share to within one picture."""
    turns = np.empty(len(labels))
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        turns[mine] = (np.arange(len(mine)) + 0.5) / len(mine)
    return np.argsort(turns, kind="stable")[:count]


def _digits(shape: Shape) -> _Source:
    """Scikit-learn's 1,797 real handwritten digits of 8x8, scaled up and repeated over the channels.

    Read from its file: importing its loader costs more than a second in every process that measures.
    """
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    # (image, 64 pixels and the label)
    rows = np.loadtxt(Path(package.origin).parent / DIGITS_FILE, delimiter=",", dtype=np.float32)
    grey = (rows[:, :-1].reshape(-1, 1, 8, 8) / 16.0 - 0.5) / 0.5
    labels = rows[:, -1].astype(np.int64)
    return _Source(
        classes=tuple(str(label) for label in np.unique(labels)),
        labels=labels,
        read=lambda chosen: _resized(grey[chosen], shape),
    )


def _cifar10(shape: Shape, data_dir: Path | None) -> _Source:
    """Return the 50,000 training pictures of CIFAR-10; of them comes the validation part too."""
    from torchvision.datasets import CIFAR10

    if data_dir is None:
        raise DataError("--data cifar10: needs --data-dir, the folder that holds or gets cifar-10-batches-py")
    if not (data_dir / CIFAR10.base_folder).is_dir():
        _fetch_cifar10(data_dir)
    try:
        pictures = CIFAR10(str(data_dir), train=True)
    except Exception as error:
        raise DataError(
            f"--data cifar10: {data_dir / CIFAR10.base_folder} is not complete or not as published; "
            f"remove it, and unpack {CIFAR10.filename} in {data_dir}"
        ) from error
    return _Source(
        classes=tuple(pictures.classes),
        labels=np.asarray(pictures.targets, dtype=np.int64),
        read=lambda chosen: _resized(_unit(np.transpose(pictures.data[chosen], (0, 3, 1, 2))), shape),
    )


def _fetch_cifar10(data_dir: Path) -> None:
    """Unpack the archive that lies in `data_dir`, or else is downloaded: whole or not at all."""
    from torchvision.datasets import CIFAR10

    archive = data_dir / CIFAR10.filename
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=data_dir, prefix=".cifar10.") as temporary, ExitStack() as undone:
            undone.callback(socket.setdefaulttimeout, socket.getdefaulttimeout())
            socket.setdefaulttimeout(PATIENCE_S)  # torchvision itself would wait for ever
            if archive.is_file():
                shutil.copy(archive, temporary)
            with redirect_stdout(sys.stderr):
                CIFAR10(temporary, download=True)
            (Path(temporary) / CIFAR10.base_folder).replace(data_dir / CIFAR10.base_folder)
    except Exception as error:
        raise DataError(
            f"--data cifar10: not in {data_dir}, and cannot be downloaded ({units.reason(error)}); "
            f"get {CIFAR10.url} elsewhere and put it, or its folder {CIFAR10.base_folder}, there"
        ) from error


def _folder(path: str, shape: Shape) -> _Source:
    """Your own pictures: a folder a class."""
    root = Path(path).expanduser()
    expected = "expected PATH/<class>/<picture> with two classes or more"
    if not path or not root.is_dir():
        raise DataError(f"--data imagefolder:{path}: no such folder; {expected}")
    from torchvision.datasets import ImageFolder

    try:
        pictures = ImageFolder(str(root))
    except OSError as error:
        raise DataError(f"--data imagefolder:{path}: {' '.join(str(error).split())}; {expected}") from error
    if len(pictures.classes) < 2:  # noqa: PLR2004  one class is nothing to tell apart
        raise DataError(f"--data imagefolder:{path}: one class ({pictures.classes[0]}); {expected}")
    files = [file for file, _ in pictures.samples]
    return _Source(
        classes=tuple(pictures.classes),
        labels=np.asarray(pictures.targets, dtype=np.int64),
        read=lambda chosen: np.stack([_picture(files[index], shape) for index in chosen.tolist()]),
    )


def _picture(file: str, shape: Shape) -> Images:
    """Return one picture (channel, height, width): its middle square, scaled."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    try:
        with Image.open(file) as opened:
            fitted = ImageOps.fit(_eight_bit(opened).convert("L" if channels == 1 else "RGB"), (width, height))
    except Exception as error:  # a broken picture raises what its decoder happens to raise
        raise DataError(
            f"--data imagefolder: {file} is not a readable picture ({units.reason(error)}); mend or remove it"
        ) from error
    values = _unit(np.asarray(fitted))
    planes = values[None] if values.ndim == 2 else np.transpose(values, (2, 0, 1))  # noqa: PLR2004  grey has two axes
    return planes[np.arange(channels) % len(planes)]


def _eight_bit(opened: "Image") -> "Image":
    """Return a picture of 16 bits a value brought to 8; Pillow's own conversion would turn nearly all of it white."""
    from PIL import Image

    if not opened.mode.startswith("I"):
        return opened
    return Image.fromarray((np.asarray(opened, dtype=np.float32) / 257.0).astype(np.uint8))


def _unit(values: npt.NDArray[np.uint8]) -> Images:
    """Return values of 0 to 255 as values of -1 to 1."""
    return values.astype(np.float32) / 127.5 - 1.0


def _resized(pictures: Images, shape: Shape) -> Images:
    """Pictures (image, channel, height, width) brought to `shape` bilinearly.

    One channel is the luma of three; where there are too few they are repeated.
    """
    import torch

    channels, height, width = shape
    if channels == 1 and pictures.shape[1] == len(LUMA):
        pictures = np.einsum("nchw,c->nhw", pictures, np.asarray(LUMA, dtype=np.float32))[:, None]
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(np.ascontiguousarray(pictures)), size=(height, width), mode="bilinear", align_corners=False
    ).numpy()
    return np.ascontiguousarray(scaled[:, np.arange(channels) % scaled.shape[1]])
