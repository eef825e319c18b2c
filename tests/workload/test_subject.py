import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from int8bench import files
from int8bench.errors import DataError, ModelError, RequestError
from int8bench.lab.progress import Progress

torch = pytest.importorskip("torch")

from int8bench.workload import data, models, training  # noqa: E402  torch first: without it this module is skipped
from int8bench.workload import subject as subjects  # noqa: E402
from int8bench.workload.cases import float32_references  # noqa: E402
from int8bench.workload.subject import Subject, SubjectRequest, prepare_subject, train  # noqa: E402

pytestmark = pytest.mark.torch

YOURS = """
from torch import nn

def net(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 7))

def twelve():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12))
"""

Fits = list[bytes]


def weights(model: torch.nn.Module) -> bytes:
    """All weights of a model, as one value."""
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


@pytest.fixture(autouse=True)
def fits(monkeypatch: pytest.MonkeyPatch) -> Fits:
    """Training that only adds one to each weight and is over at once; keeps the weights that each began with."""
    begun: Fits = []

    def fit(model: torch.nn.Module, _splits: data.Splits, *, report: Callable[..., None], **_: object) -> float:
        begun.append(weights(model))
        with torch.inference_mode():
            for parameter in model.parameters():
                parameter.add_(1)
        report(training.Epoch(epoch=1, epochs=1, loss=0.1, accuracy=0.5))
        return 0.5

    monkeypatch.setattr(training, "fit", fit)
    return begun


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone, which is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "int8bench"


@pytest.fixture
def yours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of yours with models of digits of 1x8x8; its name is this test's own."""
    name = f"yours_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    (tmp_path / f"{name}.py").write_text(YOURS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def prepared(told: list[str] | None = None, **changed: object) -> Subject:
    """A subject, SimpleCNN on digits unless changed; what is told of its making goes into `told`."""
    told, weights = [] if told is None else told, changed.pop("weights", None)
    return prepare_subject(SubjectRequest(**changed), weights=weights, advance=lambda step: told.append(step.phase))


def trained(output: Path, told: list[Progress] | None = None, **changed: object) -> subjects.Trained:
    """A training, of SimpleCNN on digits unless changed."""
    epochs = changed.pop("epochs", None)
    return train(SubjectRequest(**changed), epochs=epochs, output=output, advance=([] if told is None else told).append)


def only_file(folder: Path) -> Path:
    """The one file in a folder."""
    (found,) = folder.iterdir()
    return found


# --- what a subject is


def test_a_subject_has_the_model_and_its_pictures(cache: Path) -> None:
    """SimpleCNN is trained; its pictures are those of the data set's split, and its weights load into the model."""
    found = prepared()
    splits = data.load_data("digits", input_shape=(3, 32, 32))
    assert (found.model, found.input_shape, found.num_classes, found.data) == ("simplecnn", (3, 32, 32), 10, "digits")
    assert found.weights == "trained"
    assert np.array_equal(found.calibration, splits.calibration_images)
    assert np.array_equal(found.validation, splits.validation_images)
    assert np.array_equal(found.labels, splits.validation_labels)
    model = models.SimpleCNN(10)
    model.load_state_dict(torch.load(io.BytesIO(found.state), weights_only=True))
    assert only_file(cache).suffix == ".pt"


@pytest.mark.usefixtures("cache")
def test_a_subject_is_known_by_its_weights() -> None:
    """The dictionary tells one subject from another: other weights, other hash; nothing in it is a picture."""
    first, again, other = (prepared(seed=seed).to_dict() for seed in (0, 0, 1))
    assert first == again
    assert first["weights_sha256"] == other["weights_sha256"]  # the stand-in for training knows no seed
    assert prepared(model="resnet18", input_shape="3x32x32").to_dict()["weights_sha256"] != first["weights_sha256"]
    assert first["calibration_images"] == data.CALIBRATION_IMAGES
    assert first["validation_images"] == 450
    assert first["input_shape"] == [3, 32, 32]


@pytest.mark.usefixtures("cache")
def test_a_launch_gets_the_whole_subject() -> None:
    """The order has the subject's parts, and the variants that were asked for."""
    found, variants = prepared(), float32_references()
    order = subjects.order_for(found, variants)
    assert order.variants == variants
    assert order.state == found.state
    assert (order.model, order.input_shape, order.num_classes) == ("simplecnn", (3, 32, 32), 10)
    assert order.calibration is found.calibration
    assert order.validation is found.validation
    assert order.labels is found.labels


@pytest.mark.usefixtures("cache")
def test_the_default_subject_is_simplecnn_on_digits() -> None:
    """What is measured where nothing else is asked for."""
    assert subjects.default_subject(lambda _: None).to_dict() == prepared().to_dict()


@pytest.mark.usefixtures("cache")
def test_no_more_validation_pictures_travel_than_a_process_should_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above the limit the first ones are taken, pictures and labels alike; one is always left."""
    whole = prepared()
    monkeypatch.setattr(subjects, "MOST_VALIDATION_VALUES", 3 * 32 * 32 * 20)
    some = prepared()
    assert len(some.validation) == len(some.labels) == 20
    assert np.array_equal(some.labels, whole.labels[:20])
    monkeypatch.setattr(subjects, "MOST_VALIDATION_VALUES", 1)
    assert len(prepared().validation) == 1


def test_a_model_of_yours_keeps_its_initial_weights(yours: str, fits: Fits, cache: Path) -> None:
    """Only SimpleCNN is trained unasked; nothing is kept of yours."""
    found = prepared(model=f"{yours}:net", input_shape="1x8x8")
    assert (found.weights, found.input_shape, found.num_classes) == ("initial", (1, 8, 8), 10)
    assert fits == []
    assert not cache.exists()


@pytest.mark.usefixtures("fits", "cache")
def test_weights_that_a_factory_reads_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another seed leaves as it is was not drawn; a head that is drawn makes the answers random."""
    (tmp_path / "reading.py").write_text(
        "from torch import nn\n"
        "def whole():\n"
        "    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "    nn.init.ones_(model[1].weight)\n"
        "    nn.init.zeros_(model[1].bias)\n"
        "    return model\n"
        "def head():\n"
        "    return nn.Sequential(whole(), nn.Linear(10, 10))\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = {name: prepared(model=f"reading:{name}", input_shape="1x8x8").weights for name in ("whole", "head")}
    assert found == {"whole": "own", "head": "initial"}


def test_weights_that_are_given_are_taken(tmp_path: Path, fits: Fits, cache: Path) -> None:
    """A checkpoint of `train` needs no training and no cache."""
    trained(tmp_path / "c.pt")
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    found = prepared(weights=tmp_path / "c.pt")
    assert found.weights == "given"
    state = torch.load(io.BytesIO(found.state), weights_only=True)
    assert all(torch.equal(state[name], value) for name, value in content["state"].items())
    assert len(fits) == 1
    assert not cache.exists()


def test_a_model_may_know_more_classes_than_the_data_has(yours: str) -> None:
    """Twelve answers for ten digits are enough; the subject has the data's classes."""
    assert prepared(model=f"{yours}:twelve", input_shape="1x8x8").num_classes == 10


@pytest.mark.parametrize("make", [prepared, lambda **asked: trained(Path("never.pt"), **asked)])
def test_a_model_with_too_few_classes_is_refused(
    yours: str, make: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fits: Fits
) -> None:
    """Seven answers for ten digits are refused before anything is trained or written."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"answers 7 classes, and digits has 10"):
        make(model=f"{yours}:seven", input_shape="1x8x8")
    assert fits == []
    assert not Path("never.pt").exists()


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({"model": "resnet19"}, ModelError, "did you mean resnet18"),
        ({"data": "digitz"}, DataError, "did you mean digits"),
        ({"input_shape": "3x32"}, ModelError, "try --input-shape 3x32x32"),
        ({"input_shape": "3x64x64"}, ModelError, "leave --input-shape out"),
        ({"weights": Path("nowhere.pt")}, ModelError, "no such file"),
    ],
)
def test_a_wrong_request_is_refused_before_it_is_trained(
    asked: dict[str, object], error: type[RequestError], sentence: str, fits: Fits
) -> None:
    """Each part of a request is checked before the training that it would make useless."""
    with pytest.raises(error, match=sentence):
        prepared(**asked)
    assert fits == []


@pytest.mark.usefixtures("cache")
def test_data_larger_than_memory_is_said_to_be_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """How many pictures are used and how many are not is told; where all fit there is nothing to tell."""
    told: list[str] = []
    prepared(told)
    assert not any("memory" in phase for phase in told)
    monkeypatch.setattr(data, "MOST_VALUES", 10 * 20 * 3 * 32 * 32)
    prepared(told)
    assert "using 200 pictures of digits; 1597 more would not fit in memory" in told


# --- the cache of trained weights


def test_simplecnn_is_trained_once(cache: Path, fits: Fits) -> None:
    """The second time its weights come from the cache, to the bit."""
    told: list[str] = []
    first, again = prepared(told), prepared(told)
    assert len(fits) == 1
    assert again.state == first.state
    assert again.weights == first.weights == "trained"
    assert told == ["training simplecnn, epoch 1 of 1: validation accuracy 50.0%"]
    assert only_file(cache).name.startswith("simplecnn-")


def test_other_data_or_another_seed_is_trained_on_its_own(cache: Path, fits: Fits) -> None:
    """What the training depends on is in the name of what is kept."""
    for seed in (0, 1, 0, 1):
        prepared(seed=seed)
    assert len(fits) == 2
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(("constant", "value"), [("EPOCHS", 3), ("LEARNING_RATE", 0.1), ("BATCH", 7)])
@pytest.mark.usefixtures("cache")
def test_another_recipe_is_another_training(
    constant: str, value: float, fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of an older recipe are not taken for those of today's."""
    prepared()
    monkeypatch.setattr(training, constant, value)
    prepared()
    assert len(fits) == 2


def truncate(path: Path) -> None:
    """Half of the file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Nothing in the file."""
    path.write_bytes(b"")


def swap(path: Path) -> None:
    """A checkpoint of another model."""
    training.save_checkpoint(path, models.SimpleCNN(5), name="other", num_classes=5, accuracy=None)


def half_fit(path: Path) -> None:
    """Weights of which some fit: a model that took those would begin its training elsewhere."""
    torch.save({**models.SimpleCNN(10).state_dict(), "fc.bias": torch.zeros(3)}, path)


@pytest.mark.parametrize("damage", [truncate, empty, swap, half_fit])
def test_a_damaged_cache_is_trained_anew_and_replaced(damage: Callable[[Path], None], cache: Path, fits: Fits) -> None:
    """It is said, costs one training that begins with the same weights, and is mended for the next time."""
    first = prepared()
    path = only_file(cache)
    damage(path)
    told: list[str] = []
    again = prepared(told)
    assert f"the trained weights in {path} are damaged; training again" in told
    assert again.state == first.state
    assert fits[0] == fits[1]
    assert prepared().state == first.state
    assert len(fits) == 2
    assert only_file(cache) == path


def test_a_cache_that_cannot_be_written_costs_a_training_and_no_run(
    tmp_path: Path, fits: Fits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be: the run goes on, says why it will train again, and does so."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    told: list[str] = []
    first, again = prepared(told), prepared(told)
    assert first.weights == "trained"
    assert first.state == again.state
    assert len(fits) == 2
    assert any("cannot be kept in" in phase and "set XDG_CACHE_HOME" in phase for phase in told)
    assert not any("damaged" in phase for phase in told)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_costs_a_training_and_no_run(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache stays without half a file."""

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    told: list[str] = []
    assert prepared(told).weights == "trained"
    assert any("No space left on device" in phase for phase in told)
    assert list(cache.iterdir()) == []


def test_a_folder_in_the_place_of_the_weights_costs_a_training_and_no_run(cache: Path, fits: Fits) -> None:
    """What is there and is no file is neither read nor replaced."""
    prepared()
    path = only_file(cache)
    path.unlink()
    path.mkdir()
    assert prepared().weights == "trained"
    assert len(fits) == 2
    assert path.is_dir()


def test_a_user_without_a_home_trains_each_time(fits: Fits, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nowhere to keep anything, and nothing to complain of."""

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert prepared().state == prepared().state
    assert len(fits) == 2


# --- train


def test_training_says_how_far_it_is_and_what_came_of_it(tmp_path: Path) -> None:
    """The progress has the epochs and the accuracy; the answer has the figures and the checkpoint's path."""
    told: list[Progress] = []
    found = trained(tmp_path / "c.pt", told, epochs=1)
    assert told[0].total is None
    assert (told[-1].done, told[-1].total) == (1, 1)
    assert "epoch 1 of 1: validation accuracy 50.0%" in told[-1].phase
    assert found.to_dict() == {
        "model": "simplecnn",
        "data": "digits",
        "epochs": 1,
        "accuracy": 0.5,
        "checkpoint": str(tmp_path / "c.pt"),
    }
    assert trained(tmp_path / "c.pt").epochs == training.EPOCHS


def test_a_model_of_yours_is_trained(yours: str, tmp_path: Path, fits: Fits) -> None:
    """Its checkpoint is of its name, and is taken by a run of it."""
    trained(tmp_path / "c.pt", model=f"{yours}:net", input_shape="1x8x8")
    found = prepared(model=f"{yours}:net", input_shape="1x8x8", weights=tmp_path / "c.pt")
    assert found.weights == "given"
    assert len(fits) == 1


def test_a_checkpoint_that_cannot_be_written_is_said_before_the_training(tmp_path: Path, fits: Fits) -> None:
    """Nobody waits for a training whose result has no place."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(RequestError, match=r"cannot be written"):
        trained(tmp_path / "file" / "c.pt")
    assert fits == []


def test_a_failed_training_leaves_the_checkpoint_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was there is there, and nothing beside it."""

    def stopped(*_: object, **__: object) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "fit", stopped)
    (tmp_path / "c.pt").write_text("mine", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_text(encoding="utf-8") == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["c.pt"]
