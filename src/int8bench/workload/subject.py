"""What is studied: a model with weights, and the pictures to calibrate, check and feed it with.

Runs in the coordinator; trains SimpleCNN where no weights are given, once, and keeps the checkpoint in the cache.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from int8bench import cache, files, units
from int8bench.documents import Json
from int8bench.errors import ModelError
from int8bench.lab import clock, sampling
from int8bench.lab.progress import Advance, Progress
from int8bench.workload import data as data_sets
from int8bench.workload import models, training
from int8bench.workload.cases import Variant
from int8bench.workload.order import INITIAL, Network, Order

TIMED, TIMES = 2, 3  # pictures of a call that is timed, and calls: the first one allocates
TRAINED_BY_DEFAULT = "simplecnn"
NO_FILES: Mapping[Variant, Mapping[int | None, Path]] = MappingProxyType({})
MOST_VALIDATION_VALUES = 40_000_000  # what travels to each measuring process: 160 MB of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A model, its weights as a saved state dict, and its pictures; all of it can be sent to another process."""

    model: str
    input_shape: tuple[int, int, int]
    num_classes: int
    data: str
    weights: str
    state: bytes
    calibration: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    validation: npt.NDArray[np.float32]
    """(image, channel, height, width)"""
    labels: npt.NDArray[np.int64]
    """(image,)"""
    network: Network
    """What says how long things will take, timed here and now."""

    def to_dict(self) -> dict[str, Json]:
        """What tells this subject from another; the weights by their hash."""
        return {
            "model": self.model,
            "input_shape": list(self.input_shape),
            "num_classes": self.num_classes,
            "data": self.data,
            "weights": self.weights,
            "weights_sha256": hashlib.sha256(self.state).hexdigest(),
            "calibration_images": len(self.calibration),
            "validation_images": len(self.validation),
        }


def prepare_subject(
    *,
    model: str,
    weights: Path | None,
    input_shape: str | None,
    data: str,
    data_dir: Path | None,
    seed: int,
    advance: Advance,
) -> Subject:
    """The model with its weights, and its pictures.

    Weights come from the file given; else SimpleCNN is trained on the data, once, and read from the cache ever
    after; any other model keeps the weights that its factory gives it, which are random unless it reads some.

    Raises:
        ModelError: no such model, or the weights are not its own.
        DataError: no such data, or too little of it.
    """
    loaded, splits = _prepared(
        model=model, input_shape=input_shape, data=data, data_dir=data_dir, seed=seed, advance=advance
    )
    source = "own"  # of its factory
    if weights is not None:
        training.load_weights(weights, loaded.module, name=model, num_classes=splits.num_classes)
        source = "given"
    elif model == TRAINED_BY_DEFAULT:
        _trained(loaded, splits, seed, advance)
        source = "trained"
    elif models.is_drawn(loaded, num_classes=splits.num_classes):
        source = INITIAL
    state = io.BytesIO()
    torch.save(loaded.module.state_dict(), state)
    most = max(1, MOST_VALIDATION_VALUES // int(np.prod(loaded.input_shape)))
    return Subject(
        model=model,
        input_shape=loaded.input_shape,
        num_classes=splits.num_classes,
        data=data,
        weights=source,
        state=state.getvalue(),
        calibration=splits.calibration_images,
        validation=splits.validation_images[:most],
        labels=splits.validation_labels[:most],
        network=_timed(loaded.module, splits.validation_images),
    )


def _timed(module: torch.nn.Module, images: npt.NDArray[np.float32]) -> Network:
    """How large a model is, and how long its float32 takes for one picture on one thread, when it goes quickest."""
    pictures = torch.from_numpy(images[:TIMED]).contiguous(memory_format=torch.channels_last)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            call_s = min(sampling.time_once(lambda: module(pictures)) for _ in range(TIMES))
    finally:
        torch.set_num_threads(threads)
    layers = sum(not any(each.children()) for each in module.modules())
    return Network(layers=layers, picture_s=call_s / len(pictures), python_s=clock.python_s())


def default_subject(advance: Advance) -> Subject:
    """SimpleCNN, trained on digits: what is measured where nothing else is asked for."""
    return prepare_subject(
        model=TRAINED_BY_DEFAULT,
        weights=None,
        input_shape=None,
        data="digits",
        data_dir=None,
        seed=0,
        advance=advance,
    )


def order_for(
    subject: Subject, variants: tuple[Variant, ...], files: Mapping[Variant, Mapping[int | None, Path]] = NO_FILES
) -> Order:
    """What a launch needs to prepare these variants of the subject.

    Args:
        subject: the model and its pictures.
        variants: what to prepare.
        files: the folders that the conversions of a variant left, by batch size.
    """
    return Order(
        model=subject.model,
        input_shape=subject.input_shape,
        num_classes=subject.num_classes,
        state=subject.state,
        variants=variants,
        calibration=subject.calibration,
        validation=subject.validation,
        labels=subject.labels,
        files={variant: files[variant] for variant in variants if variant in files},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training came to."""

    model: str
    data: str
    epochs: int
    accuracy: float
    checkpoint: str

    def to_dict(self) -> dict[str, Json]:
        """The document of ``train --json``."""
        return asdict(self)


def train(
    *,
    model: str,
    input_shape: str | None,
    data: str,
    data_dir: Path | None,
    epochs: int | None,
    seed: int,
    output: Path,
    advance: Advance,
) -> Trained:
    """Fits a model from its initial weights and writes a checkpoint to `output`.

    Raises:
        ModelError: no such model.
        DataError: no such data, or too little of it.
        RequestError: the checkpoint cannot be written.
    """
    files.check_writable(output)
    advance(Progress(phase="preparing the model and its data"))
    loaded, splits = _prepared(
        model=model, input_shape=input_shape, data=data, data_dir=data_dir, seed=seed, advance=advance
    )
    rounds = epochs or training.EPOCHS
    accuracy = training.fit(loaded.module, splits, epochs=rounds, seed=seed, report=_reporter(model, advance))
    training.save_checkpoint(output, loaded.module, name=model, num_classes=splits.num_classes, accuracy=accuracy)
    return Trained(model=model, data=data, epochs=rounds, accuracy=accuracy, checkpoint=str(output))


def _prepared(
    *, model: str, input_shape: str | None, data: str, data_dir: Path | None, seed: int, advance: Advance
) -> tuple[models.LoadedModel, data_sets.Splits]:
    """A model that knows enough classes, and the data it is fed with."""
    given = models.parse_input_shape(input_shape) if input_shape else None
    shape = models.input_shape_of(model, given)
    splits = data_sets.load_data(data, input_shape=shape, data_dir=data_dir, seed=seed)
    if splits.left_out:
        used = len(splits.train_images) + len(splits.validation_images)
        advance(Progress(phase=f"using {used} pictures of {data}; {splits.left_out} more would not fit in memory"))
    loaded = models.load_model(model, num_classes=splits.num_classes, input_shape=given)
    if loaded.num_classes < splits.num_classes:
        raise ModelError(
            f"--model {model}: answers {loaded.num_classes} classes, and {data} has {splits.num_classes}; "
            "choose other data or a model with enough classes"
        )
    return loaded, splits


def _reporter(model: str, advance: Advance) -> Callable[[training.Epoch], None]:
    def report(each: training.Epoch) -> None:
        phase = f"training {model}, epoch {each.epoch} of {each.epochs}: validation accuracy {each.accuracy:.1%}"
        advance(Progress(phase=phase, done=each.epoch, total=each.epochs))

    return report


def _trained(loaded: models.LoadedModel, splits: data_sets.Splits, seed: int, advance: Advance) -> None:
    """Puts trained weights into the model: from the cache, or by training, which fills it."""
    folder = cache.folder()
    path = folder / f"{loaded.name}-{_digest(splits, seed)}.pt" if folder else None
    if path and _recalled(path, loaded, splits, advance):
        return
    accuracy = training.fit(loaded.module, splits, seed=seed, report=_reporter(loaded.name, advance))
    if path:
        _kept(path, loaded, splits, accuracy, advance)


def _recalled(path: Path, loaded: models.LoadedModel, splits: data_sets.Splits, advance: Advance) -> bool:
    """Whether the model got its weights from the cache; what is damaged there is trained anew and replaced."""
    cache.hold(path)
    try:
        training.load_weights(path, loaded.module, name=loaded.name, num_classes=splits.num_classes)
    except ModelError:
        with suppress(OSError):  # a folder that cannot be searched
            if path.exists():
                advance(Progress(phase=f"the trained weights in {path} are damaged; training again"))
        return False
    return True


def _kept(path: Path, loaded: models.LoadedModel, splits: data_sets.Splits, accuracy: float, advance: Advance) -> None:
    """Fills the cache where it can be written; a run goes on without it."""
    try:
        training.write_checkpoint(
            path, loaded.module, name=loaded.name, num_classes=splits.num_classes, accuracy=accuracy
        )
    except OSError as error:
        kept = f"the trained weights cannot be kept in {path.parent} ({units.reason(error)})"
        advance(Progress(phase=f"{kept}; set XDG_CACHE_HOME to a folder that you can write to"))


def _digest(splits: data_sets.Splits, seed: int) -> str:
    """A name for what the training depends on."""
    digest = hashlib.sha256(
        f"{seed} {training.EPOCHS} {training.BATCH} {training.LEARNING_RATE} {torch.__version__}".encode()
    )
    digest.update(splits.train_images.tobytes())
    digest.update(splits.train_labels.tobytes())
    return digest.hexdigest()[:16]
