"""What is studied: a model with weights, and the pictures to calibrate, check and feed it with.

Runs in the coordinator; trains SimpleCNN where no weights are given, once, and keeps the checkpoint in the cache.
"""

import hashlib
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
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
from int8bench.workload.order import INITIAL, ModelAndPictures, Network, Order

TIMED, TIMES = 2, 3  # pictures of a call that is timed, and calls: the first one allocates
TRAINED_BY_DEFAULT = "simplecnn"
NO_FILES: Mapping[Variant, Mapping[int | None, Path]] = MappingProxyType({})
MOST_VALIDATION_VALUES = 40_000_000  # what travels to each measuring process: 160 MB of float32


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRequest:
    """Which model is wanted, of which pictures; by default what is measured where nothing else is asked for."""

    model: str = TRAINED_BY_DEFAULT
    input_shape: str | None = None
    data: str = "digits"
    data_dir: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject(ModelAndPictures):
    """A model with its weights and pictures, where they come from, and how large the model is."""

    data: str
    weights: str
    network: Network
    """What says how long things will take, timed here and now."""

    def to_dict(self) -> dict[str, Json]:
        """Return what tells this subject from another; the weights by their hash."""
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


def prepare_subject(wanted: SubjectRequest, *, weights: Path | None = None, advance: Advance) -> Subject:
    """Return the model with its weights, and its pictures.

    Weights come from the file given; else SimpleCNN is trained on the data, once, and read from the cache ever
    after; any other model keeps the weights that its factory gives it, which are random unless it reads some.

    Args:
        wanted: the model and its data.
        weights: of the model, in a file.
        advance: told what is being done.

    Raises:
        ModelError: no such model, or the weights are not its own.
        DataError: no such data, or too little of it.
    """
    loaded, splits = _prepared(wanted, advance)
    source = "own"  # of its factory
    if weights is not None:
        training.load_weights(weights, loaded.module, name=wanted.model, num_classes=splits.num_classes)
        source = "given"
    elif wanted.model == TRAINED_BY_DEFAULT:
        _trained(loaded, splits, wanted.seed, advance)
        source = "trained"
    elif models.is_drawn(loaded, num_classes=splits.num_classes):
        source = INITIAL
    state = io.BytesIO()
    torch.save(loaded.module.state_dict(), state)
    most = max(1, MOST_VALIDATION_VALUES // int(np.prod(loaded.input_shape)))
    return Subject(
        model=wanted.model,
        input_shape=loaded.input_shape,
        num_classes=splits.num_classes,
        data=wanted.data,
        weights=source,
        state=state.getvalue(),
        calibration=splits.calibration_images,
        validation=splits.validation_images[:most],
        labels=splits.validation_labels[:most],
        network=_timed(loaded.module, splits.validation_images),
    )


def _timed(module: torch.nn.Module, images: npt.NDArray[np.float32]) -> Network:
    """Return a model's size, and the seconds of its float32 for one picture on one thread, at its quickest."""
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
    return prepare_subject(SubjectRequest(), advance=advance)


def order_for(
    subject: Subject, variants: tuple[Variant, ...], files: Mapping[Variant, Mapping[int | None, Path]] = NO_FILES
) -> Order:
    """Return what a launch needs to prepare these variants of the subject.

    Args:
        subject: the model and its pictures.
        variants: what to prepare.
        files: the folders that the conversions of a variant left, by batch size.
    """
    carried = {each.name: getattr(subject, each.name) for each in fields(ModelAndPictures)}
    made = {variant: files[variant] for variant in variants if variant in files}
    return Order(**carried, variants=variants, files=made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training came to."""

    model: str
    data: str
    epochs: int
    accuracy: float
    checkpoint: str

    def to_dict(self) -> dict[str, Json]:
        """Return the document of ``train --json``."""
        return asdict(self)


def train(wanted: SubjectRequest, *, epochs: int | None, output: Path, advance: Advance) -> Trained:
    """Fit a model from its initial weights and write a checkpoint.

    Args:
        wanted: the model and its data.
        epochs: passes over the training pictures; as many as usual where None.
        output: where the checkpoint goes.
        advance: told what is being done.

    Raises:
        ModelError: no such model.
        DataError: no such data, or too little of it.
        RequestError: the checkpoint cannot be written.
    """
    files.check_writable(output)
    advance(Progress(phase="preparing the model and its data"))
    loaded, splits = _prepared(wanted, advance)
    rounds, model, data = epochs or training.EPOCHS, wanted.model, wanted.data
    accuracy = training.fit(loaded.module, splits, epochs=rounds, seed=wanted.seed, report=_reporter(model, advance))
    training.save_checkpoint(output, loaded.module, name=model, num_classes=splits.num_classes, accuracy=accuracy)
    return Trained(model=model, data=data, epochs=rounds, accuracy=accuracy, checkpoint=str(output))


def _prepared(wanted: SubjectRequest, advance: Advance) -> tuple[models.LoadedModel, data_sets.Splits]:
    """Return a model that knows enough classes, and the data it is fed with."""
    model, data = wanted.model, wanted.data
    given = models.parse_input_shape(wanted.input_shape) if wanted.input_shape else None
    shape = models.input_shape_of(model, given)
    splits = data_sets.load_data(data, input_shape=shape, data_dir=wanted.data_dir, seed=wanted.seed)
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
    """Put trained weights into the model: from the cache, or by training, which fills it."""
    folder = cache.folder()
    path = folder / f"{loaded.name}-{_digest(splits, seed)}.pt" if folder else None
    if path and _recalled(path, loaded, splits, advance):
        return
    accuracy = training.fit(loaded.module, splits, seed=seed, report=_reporter(loaded.name, advance))
    if path:
        _kept(path, loaded, splits, accuracy, advance)


def _recalled(path: Path, loaded: models.LoadedModel, splits: data_sets.Splits, advance: Advance) -> bool:
    """Tell whether the model got its weights from the cache; what is damaged there is trained anew and replaced."""
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
    """Fill the cache where it can be written; a run goes on without it."""
    try:
        training.save_checkpoint(
            path,
            loaded.module,
            name=loaded.name,
            num_classes=splits.num_classes,
            accuracy=accuracy,
            write=files.put,
        )
    except OSError as error:
        kept = f"the trained weights cannot be kept in {path.parent} ({units.reason(error)})"
        advance(Progress(phase=f"{kept}; set XDG_CACHE_HOME to a folder that you can write to"))


def _digest(splits: data_sets.Splits, seed: int) -> str:
    """Return a name for what the training depends on."""
    digest = hashlib.sha256(
        f"{seed} {training.EPOCHS} {training.BATCH} {training.LEARNING_RATE} {torch.__version__}".encode()
    )
    digest.update(splits.train_images.tobytes())
    digest.update(splits.train_labels.tobytes())
    return digest.hexdigest()[:16]
