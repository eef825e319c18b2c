import copy
import errno
import io
import os
import pickle
import resource
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from int8bench import files
from int8bench.errors import ModelError, RequestError
from int8bench.workload.data import Splits, load_data

torch = pytest.importorskip("torch")
nn = torch.nn

from int8bench.workload import training  # noqa: E402  torch first: without it this module is skipped
from int8bench.workload.models import SimpleCNN, load_model  # noqa: E402
from int8bench.workload.subject import default_subject  # noqa: E402
from int8bench.workload.training import Epoch, evaluate, fit, load_weights, save_checkpoint  # noqa: E402

pytestmark = pytest.mark.torch

SHAPE = (3, 8, 8)


def small(classes: int = 3, *, seed: int = 0) -> nn.Module:
    """A model with a dropout, so that what it draws shows, of pictures of 3x8x8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, classes))


def pictures(count: int = 66, classes: int = 3) -> Splits:
    """Pictures whose class is the brightest of their channels."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % classes
    images = rng.normal(size=(count, *SHAPE)).astype(np.float32)
    images[np.arange(count), labels] += 2
    return Splits(
        name="made",
        num_classes=classes,
        train_images=images,
        train_labels=labels,
        validation_images=images[:9],
        validation_labels=labels[:9],
        calibration_images=images,
        left_out=0,
    )


def weights(model: nn.Module) -> bytes:
    """All weights of a model, as one value."""
    return b"".join(value.numpy().tobytes() for value in model.state_dict().values())


def save(path: Path, model: nn.Module | None = None, *, name: str = "small", classes: int = 3) -> nn.Module:
    """A checkpoint of a small model."""
    model = small(seed=5) if model is None else model
    save_checkpoint(path, model, name=name, num_classes=classes, accuracy=0.5)
    return model


def refusal(path: Path, model: nn.Module | None = None, *, name: str = "small", classes: int = 3) -> str:
    """The one sentence with which weights are refused; the model is then as it was."""
    model = small() if model is None else model
    before = weights(model)
    with pytest.raises(ModelError) as caught:
        load_weights(path, model, name=name, num_classes=classes)
    assert weights(model) == before
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"--weights {path}: ")
    return str(caught.value)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Training's arithmetic in one order, and no threads that wait for a busy core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> Splits:
    """The default data."""
    return load_data("digits", input_shape=(3, 32, 32))


@pytest.fixture(scope="module")
def trained(cache: Path) -> tuple[nn.Module, float]:
    """SimpleCNN as `int8bench run` trains it on digits, once for all tests, and the accuracy that is kept with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        subject = default_subject(lambda _progress: None)
    model = load_model("simplecnn", num_classes=10).module
    model.load_state_dict(torch.load(io.BytesIO(subject.state)))
    (kept,) = (cache / "int8bench").glob("simplecnn-*.pt")
    return model.eval(), torch.load(kept, weights_only=True)["accuracy"]


# --- fit and evaluate


def test_simplecnn_reads_digits(trained: tuple[nn.Module, float], digits: Splits) -> None:
    """97 % or more of the validation pictures are read, and the figure is that of the weights that stay."""
    model, accuracy = trained
    assert accuracy >= 0.97
    assert accuracy == evaluate(model, digits.validation_images, digits.validation_labels)


@pytest.mark.usefixtures("one_thread")
def test_each_epoch_is_told() -> None:
    """The reports count the epochs, the loss falls, the last accuracy is the answer, and the model stays ready."""
    model, splits, told = small(), pictures(), list[Epoch]()
    accuracy = fit(model, splits, report=told.append)
    assert [each.epoch for each in told] == list(range(1, training.EPOCHS + 1))
    assert {each.epochs for each in told} == {training.EPOCHS}
    assert told[-1].loss < 0.5 * told[0].loss
    assert told[-1].accuracy == accuracy == evaluate(model, splits.validation_images, splits.validation_labels)
    assert not model.training


def test_a_trained_model_goes_through_a_checkpoint_to_the_bit(trained: tuple[nn.Module, float], tmp_path: Path) -> None:
    """What was saved answers as what was trained."""
    model, accuracy = trained
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, model, name="simplecnn", num_classes=10, accuracy=accuracy)
    fresh = SimpleCNN(10)
    load_weights(path, fresh, name="simplecnn", num_classes=10)
    assert weights(fresh) == weights(model)


@pytest.mark.usefixtures("one_thread")
def test_a_seed_gives_the_same_weights_whatever_was_drawn_before() -> None:
    """The order of the pictures and the model's dropout follow the seed; another seed gives other weights."""
    found = []
    for seed, drawn in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(drawn)
        np.random.seed(drawn)  # noqa: NPY002  the global generator is what must not matter
        model = small()
        fit(model, pictures(), epochs=2, seed=seed)
        found.append(weights(model))
    assert found[0] == found[1] != found[2]


@pytest.mark.usefixtures("one_thread")
def test_fitting_leaves_torchs_generator_alone() -> None:
    """Whoever fits a model goes on with the random numbers they would have had."""
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    fit(small(), pictures(), epochs=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("count", [2, 31, 32, 33, 64, 65, 97])
def test_each_picture_is_seen_once_an_epoch_and_never_alone(count: int) -> None:
    """Batches have nearly one size: a batch norm cannot be fitted on a last batch of one picture."""
    splits = pictures(count, classes=2)
    batches = list(training._batches(splits, np.random.default_rng(0)))
    seen = torch.cat([images for images, _ in batches]).numpy()
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in splits.train_images)
    sizes = [len(labels) for _, labels in batches]
    assert max(sizes) <= training.BATCH
    assert min(sizes) >= 2
    assert len(batches) == training._steps(splits)


@pytest.mark.parametrize("count", [2, 33])
def test_a_model_with_a_batch_norm_is_fitted_on_any_number_of_pictures(count: int) -> None:
    """One step or two, and no last batch of one."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.BatchNorm1d(2))
    before = weights(model)
    fit(model, pictures(count, classes=2), epochs=1)
    assert weights(model) != before


class Aside(nn.Module):
    """Answers with two things while it is trained, as models with a second head do."""

    def __init__(self) -> None:
        """Three classes."""
        super().__init__()
        self.fc = nn.Linear(192, 3)

    def forward(self, x):
        """Logits, or logits and logits."""
        answer = self.fc(x.flatten(1))
        return (answer, answer) if self.training else answer


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (Aside(), "Aside cannot be trained: TypeError"),
        (nn.Flatten(), "Flatten has no weights to train"),
        (small().requires_grad_(requires_grad=False), "Sequential has no weights to train"),
        (small(2), "Sequential cannot be trained: IndexError"),
    ],
    ids=["two answers", "no parameters", "frozen", "too few classes"],
)
def test_a_model_that_cannot_be_trained_is_named(model: nn.Module, sentence: str) -> None:
    """It is a sentence, not a stack from inside the optimizer."""
    with pytest.raises(ModelError) as caught:
        fit(model, pictures(), epochs=1)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("count", [1, 255, 256, 257, 600])
def test_accuracy_is_counted_over_all_pictures(count: int) -> None:
    """A batch more or less does not matter: the answer is that of a loop over single pictures."""
    model = small().train()
    rng = np.random.default_rng(1)
    images, labels = rng.normal(size=(count, *SHAPE)).astype(np.float32), rng.integers(0, 3, size=count)
    found = evaluate(model, images, labels)
    assert not model.training
    right = sum(int(model(torch.from_numpy(image[None])).argmax()) == label for image, label in zip(images, labels))  # noqa: B905
    assert found == right / count


# --- checkpoints: reading


def test_a_checkpoint_says_what_it_is_of(tmp_path: Path) -> None:
    """Model, classes and accuracy stand beside the weights; it is read without any code."""
    model = save(tmp_path / "c.pt")
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    assert {key: content[key] for key in ("model", "num_classes", "accuracy")} == {
        "model": "small",
        "num_classes": 3,
        "accuracy": 0.5,
    }
    assert content["state"].keys() == model.state_dict().keys()


def test_a_plain_state_dict_is_read(tmp_path: Path) -> None:
    """What torch.save makes of a model's state_dict() is a weights file, in the old format too."""
    theirs = small(seed=7)
    for number, zipped in enumerate((True, False)):
        torch.save(theirs.state_dict(), tmp_path / f"{number}.pt", _use_new_zipfile_serialization=zipped)
        ours = small()
        load_weights(tmp_path / f"{number}.pt", ours, name="small", num_classes=3)
        assert weights(ours) == weights(theirs)


class Keyed(nn.Module):
    """A model whose parameters have the names of a checkpoint's entries."""

    def __init__(self, value: float) -> None:
        """Filled with one value."""
        super().__init__()
        self.state = nn.Parameter(torch.full((2,), value))
        self.format = nn.Parameter(torch.full((2,), value))


def test_a_parameter_may_be_called_state(tmp_path: Path) -> None:
    """Only the format's own mark makes a checkpoint of a dictionary."""
    torch.save(Keyed(2.0).state_dict(), tmp_path / "w.pt")
    ours = Keyed(0.0)
    load_weights(tmp_path / "w.pt", ours, name="keyed", num_classes=2)
    assert ours.state.tolist() == [2.0, 2.0]


class Bomb:
    """A pickle that writes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        """The file to write."""
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """What unpickling calls."""
        return os.mkdir, (str(self.marker),)


def as_torch(content: object, path: Path) -> None:
    """In torch's format of today."""
    torch.save(content, path)


def as_old_torch(content: object, path: Path) -> None:
    """In torch's format before 1.6."""
    torch.save(content, path, _use_new_zipfile_serialization=False)


def as_pickle(content: object, path: Path) -> None:
    """As Python itself writes it."""
    path.write_bytes(pickle.dumps(content))


def read_with_trust(path: Path) -> None:
    """Reads a file as no one should, to show that what is in it is live."""
    with suppressed_warnings():
        try:
            torch.load(path, weights_only=False)
        except (RuntimeError, EOFError, TypeError, AttributeError):  # a bare pickle is run, and then missed by torch
            return


@pytest.mark.parametrize("write", [as_torch, as_old_torch, as_pickle])
@pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"fc.weight": torch.zeros(2), "state": bomb}])
def test_code_in_a_weights_file_is_not_run(
    tmp_path: Path, write: Callable[[object, Path], None], wrap: Callable[[Bomb], object]
) -> None:
    """The file is refused unread, wherever in it the code stands; a reader that trusts it would have run it."""
    marker = tmp_path / "it ran"
    write(wrap(Bomb(marker)), tmp_path / "bomb.pt")
    assert "refused, as it holds more than weights" in refusal(tmp_path / "bomb.pt")
    assert not marker.exists()
    read_with_trust(tmp_path / "bomb.pt")
    assert marker.exists()


def suppressed_warnings() -> warnings.catch_warnings:
    """No warning stops what follows."""
    return warnings.catch_warnings(action="ignore")


def test_a_whole_model_in_a_file_is_refused(tmp_path: Path) -> None:
    """A pickled module is code; the sentence says to save its state_dict() instead."""
    torch.save(small(), tmp_path / "m.pt")
    assert "save your model's state_dict() with torch.save" in refusal(tmp_path / "m.pt")


def test_a_compiled_archive_is_refused(tmp_path: Path) -> None:
    """TorchScript is code too."""
    with suppressed_warnings():
        torch.jit.save(torch.jit.trace(small().eval(), torch.zeros(1, *SHAPE)), tmp_path / "m.pt")
    assert "state_dict()" in refusal(tmp_path / "m.pt")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot be read as a checkpoint"),
        (b"this is a text\n" * 50, "cannot be read as a checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "is no checkpoint"),
        (b"PK\x03\x04" + bytes(200), "cannot be read as a checkpoint"),
    ],
    ids=["empty", "text", "picture", "zip"],
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    """Any other file is said to be none, with what to do."""
    (tmp_path / "c.pt").write_bytes(content)
    assert sentence in refusal(tmp_path / "c.pt")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, share: float) -> None:
    """A file that was cut short anywhere gives nothing."""
    save(tmp_path / "c.pt")
    whole = (tmp_path / "c.pt").read_bytes()
    (tmp_path / "c.pt").write_bytes(whole[: int(len(whole) * share)])
    assert "cannot be read as a checkpoint" in refusal(tmp_path / "c.pt")


@pytest.mark.parametrize("zipped", [True, False])
def test_damaged_bytes_are_refused_or_read_whatever_they_raise(tmp_path: Path, zipped: bool) -> None:  # noqa: FBT001
    """Bytes changed at random give a ModelError or, where they were only figures, weights; never another error."""
    rng = np.random.default_rng(0)
    whole = io.BytesIO()
    torch.save(small(seed=3).state_dict(), whole, _use_new_zipfile_serialization=zipped)
    refused = 0
    for _ in range(150):
        spoilt = bytearray(whole.getvalue())
        for _ in range(8):
            spoilt[rng.integers(len(spoilt) if zipped else 400)] = rng.integers(256)
        (tmp_path / "c.pt").write_bytes(spoilt)
        try:
            load_weights(tmp_path / "c.pt", small(), name="small", num_classes=3)
        except ModelError:
            refused += 1
    assert refused > 50


def test_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    """A folder, and a path below a file, are refused."""
    assert "IsADirectoryError" in refusal(tmp_path)
    save(tmp_path / "c.pt")
    assert "NotADirectoryError" in refusal(tmp_path / "c.pt" / "more")


def test_a_file_that_is_not_there_says_how_to_make_one(tmp_path: Path) -> None:
    """The sentence has the command."""
    path = tmp_path / "nowhere.pt"
    assert f"no such file; make one with: int8bench train -o {path}" in refusal(path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    """It says of which, and what to type."""
    save(tmp_path / "c.pt", name="resnet18")
    sentence = refusal(tmp_path / "c.pt")
    assert "a checkpoint of resnet18, expected one of small; type --model resnet18" in sentence


def test_a_checkpoint_of_other_classes_is_refused(tmp_path: Path) -> None:
    """It says how many it has, and how many there are."""
    save(tmp_path / "c.pt", small(5), classes=5)
    assert "a checkpoint with 5 classes, and the data has 3" in refusal(tmp_path / "c.pt")


@pytest.mark.parametrize("missing", ["model", "num_classes", "state"])
def test_a_checkpoint_that_lacks_an_entry_is_refused(tmp_path: Path, missing: str) -> None:
    """Half a checkpoint is none."""
    save(tmp_path / "c.pt")
    content = torch.load(tmp_path / "c.pt", weights_only=True)
    del content[missing]
    torch.save(content, tmp_path / "c.pt")
    refusal(tmp_path / "c.pt")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([torch.zeros(3)], "holds a list, expected a state dict"),
        (torch.zeros(3), "holds a Tensor, expected a state dict"),
        ({}, "not weights of small"),
        ({"2.weight": 3, "2.bias": "x"}, "not weights of small"),
        ({1: torch.zeros(3)}, "not weights of small"),
        ({"2.weight": torch.ones(3, 192), "2.bias": torch.ones(4)}, "size mismatch for 2.bias"),
        ({"2.weight": torch.ones(3, 192), "2.bias": torch.ones(3), "3.bias": torch.ones(3)}, "3.bias"),
        ({"state_dict": small().state_dict(), "epoch": 3}, "not weights of small"),
    ],
    ids=["list", "tensor", "nothing", "no tensors", "numbers", "shape", "more", "wrapped"],
)
def test_weights_of_another_model_leave_the_model_as_it_was(tmp_path: Path, content: object, sentence: str) -> None:
    """What does not fit is named, and what did fit is not kept."""
    torch.save(content, tmp_path / "w.pt")
    assert sentence in refusal(tmp_path / "w.pt")


# --- checkpoints: writing


def test_a_checkpoint_replaces_the_one_before_and_others_may_read_it(tmp_path: Path) -> None:
    """Its folder is made, nothing else stays in it, and its rights are those of an ordinary file."""
    path = tmp_path / "new" / "folder" / "c.pt"
    save(path, small(seed=1))
    latest = save(path, small(seed=2))
    assert [each.name for each in path.parent.iterdir()] == ["c.pt"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    fresh = small()
    load_weights(path, fresh, name="small", num_classes=3)
    assert weights(fresh) == weights(latest)


def unwritable(path: Path) -> str:
    """The one sentence with which a path is refused, by the early check and by the writing itself."""
    with pytest.raises(RequestError) as early:
        files.check_writable(path)
    with pytest.raises(RequestError) as late:
        save(path)
    assert str(early.value) == str(late.value)
    assert str(early.value).startswith(f"-o {path}: cannot be written: ")
    assert "; give " in str(early.value)
    return str(early.value)


def test_a_path_that_cannot_be_written_is_refused_early(tmp_path: Path) -> None:
    """A folder, a path below a file, and a name that is too long."""
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert "it is a folder; give the path of a file" in unwritable(tmp_path)
    assert "Not a directory" in unwritable(tmp_path / "file" / "more" / "c.pt")
    assert "File exists" in unwritable(tmp_path / "file" / "c.pt")
    assert "File name too long" in unwritable(tmp_path / ("n" * 300))
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """What is there and is no plain file stays what it is, even for a user who may replace it."""
    os.mkfifo(tmp_path / "pipe")
    assert "it is a device" in unwritable(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()


def test_a_writable_path_is_left_as_it_is(tmp_path: Path) -> None:
    """The early check writes nothing that stays, and touches nothing that is there."""
    files.check_writable(tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "c.pt").write_text("mine", encoding="utf-8")
    files.check_writable(tmp_path / "c.pt")
    assert (tmp_path / "c.pt").read_text(encoding="utf-8") == "mine"


@contextmanager
def small_disk() -> Iterator[None]:
    """A disk on which no file may grow beyond 1 kB: the write itself fails, half-way.

    Around one call alone: pytest's own output may be such a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    """The system's own words are in the sentence; no temporary file stays."""
    with pytest.raises(RequestError, match=r"cannot be written: File too large"), small_disk():
        save(tmp_path / "c.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint of before is whole, and nothing lies beside it."""
    kept = save(tmp_path / "c.pt")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(RequestError, match=r"cannot be written: No space left on device"):
        save(tmp_path / "c.pt", small(seed=9))
    assert [each.name for each in tmp_path.iterdir()] == ["c.pt"]
    fresh = small()
    load_weights(tmp_path / "c.pt", fresh, name="small", num_classes=3)
    assert weights(fresh) == weights(kept)


def test_a_reader_never_sees_half_a_checkpoint(tmp_path: Path) -> None:
    """While two writers replace a checkpoint again and again, every read gives one of theirs, whole."""
    path = tmp_path / "c.pt"
    theirs = [small(seed=1), small(seed=2)]
    expected = {weights(model) for model in theirs}
    save(path, theirs[0])
    done = threading.Event()

    def write(model: nn.Module) -> None:
        while not done.is_set():
            save(path, model)

    writers = [threading.Thread(target=write, args=(copy.deepcopy(model),)) for model in theirs]
    for writer in writers:
        writer.start()
    try:
        read = set()
        for _ in range(60):
            fresh = small()
            load_weights(path, fresh, name="small", num_classes=3)
            read.add(weights(fresh))
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert read <= expected
    assert [each.name for each in tmp_path.iterdir()] == ["c.pt"]
