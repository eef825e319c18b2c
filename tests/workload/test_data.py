import hashlib
import io
import math
import pickle
import socket
import tarfile
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from int8bench.errors import DataError
from int8bench.workload import data
from int8bench.workload.data import Splits, load_data

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")
from torchvision.datasets import CIFAR10  # noqa: E402  after the skip

pytestmark = pytest.mark.torch

SHAPE = (3, 32, 32)
ARRAYS = (
    "train_images",
    "train_labels",
    "validation_images",
    "validation_labels",
    "calibration_images",
)


@pytest.fixture(scope="module")
def digits() -> Splits:
    """The default data at SimpleCNN's shape."""
    return load_data("digits", input_shape=SHAPE)


def refusal(name: str, *, shape: data.Shape = SHAPE, data_dir: Path | None = None) -> str:
    """The one sentence with which data is refused."""
    with pytest.raises(DataError) as caught:
        load_data(name, input_shape=shape, data_dir=data_dir)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith("--data ")
    return sentence


def as_set(images: np.ndarray) -> Counter[bytes]:
    """Pictures as values that can be looked for."""
    return Counter(image.tobytes() for image in images)


def numbered(counts: list[int], *, most: int = 10**6, seed: int = 0) -> Splits:
    """A split of pictures that hold nothing but their own number, `counts` of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    source = data._Source(
        classes=tuple(f"c{label}" for label in range(len(counts))),
        labels=labels,
        read=lambda chosen: np.asarray(chosen, dtype=np.float32).reshape(-1, 1, 1, 1),
    )
    return data._split("numbered", source, most, seed)


def test_digits_are_the_real_ones_at_the_models_shape(digits: Splits) -> None:
    """1,797 pictures of ten classes, brought to 3x32x32, values from -1 to 1, as the labels' and images' types say."""
    assert len(digits.train_images) + len(digits.validation_images) == 1797
    assert digits.train_images.shape[1:] == digits.validation_images.shape[1:] == SHAPE
    assert digits.train_images.dtype == np.float32
    assert digits.train_labels.dtype == np.int64
    assert digits.train_images.min() == -1.0
    assert digits.train_images.max() == 1.0
    assert digits.num_classes == 10
    assert digits.left_out == 0
    assert all(np.array_equal(digits.train_images[:, 0], digits.train_images[:, c]) for c in (1, 2))


def test_digits_keep_picture_and_label_together(digits: Splits) -> None:
    """Each picture, scaled down again, is scikit-learn's own of the same class."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {image.tobytes(): label for image, label in zip(bunch.images, bunch.target, strict=True)}
    inner = digits.validation_images[:, 0].reshape(-1, 8, 4, 8, 4)[:, :, 1:3, :, 1:3].mean(axis=(2, 4))
    # Bilinear by four: the four middle pixels of a block are a blur, so the nearest original is looked for.
    originals = np.stack([np.frombuffer(key).reshape(8, 8) for key in known])
    labels = np.array(list(known.values()))
    distance = ((inner[:40, None] * 8 + 8 - originals[None]) ** 2).sum(axis=(2, 3))
    assert np.array_equal(labels[distance.argmin(axis=1)], digits.validation_labels[:40])


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 224, 16), (5, 4, 4)])
def test_digits_are_brought_to_any_shape(shape: data.Shape) -> None:
    """Channels are repeated, height and width scaled each on its own."""
    small = load_data("digits", input_shape=shape)
    assert small.validation_images.shape[1:] == shape
    assert small.validation_images.flags.c_contiguous


def test_digits_at_their_own_size_are_untouched() -> None:
    """At 1x8x8 nothing is interpolated: sixteen grey values and no others."""
    small = load_data("digits", input_shape=(1, 8, 8))
    assert set(np.unique(small.train_images * 8 + 8).tolist()) == set(range(17))


def test_a_seed_gives_the_same_split_and_another_seed_another(digits: Splits) -> None:
    """Every array repeats for a seed."""
    again, other = load_data("digits", input_shape=SHAPE), load_data("digits", input_shape=SHAPE, seed=1)
    for name in ARRAYS:
        assert np.array_equal(getattr(again, name), getattr(digits, name))
        assert not np.array_equal(getattr(other, name), getattr(digits, name))


def test_digits_are_split_by_class(digits: Splits) -> None:
    """A quarter of each class is held out, and calibration has each class's share to within one picture."""
    held, kept = Counter(digits.validation_labels.tolist()), Counter(digits.train_labels.tolist())
    for label in range(10):
        assert held[label] == round((held[label] + kept[label]) * data.VALIDATION_SHARE)
    label_of = {image.tobytes(): label for image, label in zip(digits.train_images, digits.train_labels, strict=True)}
    calibrating = Counter(int(label_of[image.tobytes()]) for image in digits.calibration_images)
    assert len(digits.calibration_images) == data.CALIBRATION_IMAGES
    for label in range(10):
        assert abs(calibrating[label] - data.CALIBRATION_IMAGES * kept[label] / len(digits.train_labels)) <= 1


def test_digits_used_to_calibrate_are_trained_on_and_never_validate(digits: Splits) -> None:
    """Calibration lies in training, and no picture of either is a validation picture."""
    train, held = as_set(digits.train_images), as_set(digits.validation_images)
    assert as_set(digits.calibration_images) <= train
    assert not train & held


@settings(deadline=None, derandomize=True)
@given(counts=st.lists(st.integers(4, 60), min_size=2, max_size=9), seed=st.integers(0, 2**32 - 1))
def test_any_split_is_disjoint_complete_and_stratified(counts: list[int], seed: int) -> None:
    """Each picture is in training or validation, each class in both; calibration is in proportion, from training."""
    splits = numbered(counts, seed=seed)
    train, held = splits.train_images.ravel(), splits.validation_images.ravel()
    assert sorted([*train, *held]) == list(range(sum(counts)))
    kept = Counter(splits.train_labels.tolist())
    for label, count in enumerate(counts):
        assert 1 <= count - kept[label] == max(1, round(count * data.VALIDATION_SHARE))
    label_of = dict(zip(train.tolist(), splits.train_labels.tolist(), strict=True))
    wanted = min(len(train), data.CALIBRATION_IMAGES)
    calibrating = splits.calibration_images.ravel().tolist()
    assert len(set(calibrating)) == len(calibrating) == wanted
    shares = Counter(label_of[number] for number in calibrating)
    for label in kept:
        assert abs(shares[label] - wanted * kept[label] / len(train)) <= 1


def test_a_class_with_too_few_pictures_is_named() -> None:
    """Three pictures are too few for training and validation; four are enough."""
    with pytest.raises(DataError, match=r"class c1 has 3 pictures, expected 4 or more; add some"):
        numbered([4, 3])
    assert len(numbered([4, 4]).validation_images) == 2


def test_what_does_not_fit_in_memory_is_left_out_and_counted() -> None:
    """Each class gives as many as fit, and a class that has fewer gives all."""
    splits = numbered([50, 10, 8], most=10)
    assert splits.left_out == 40
    every = Counter(splits.train_labels.tolist()) + Counter(splits.validation_labels.tolist())
    assert every == {0: 10, 1: 10, 2: 8}


def test_digits_at_a_large_shape_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is one of values: 20 pictures of each class at this one."""
    monkeypatch.setattr(data, "MOST_VALUES", 10 * 20 * math.prod(SHAPE))
    splits = load_data("digits", input_shape=SHAPE)
    assert len(splits.train_images) + len(splits.validation_images) == 200
    assert splits.left_out == 1597


def test_a_shape_that_cannot_fit_is_refused_before_it_is_tried() -> None:
    """A hundred thousand pixels a side is a sentence, not a killed process."""
    assert "give a smaller --input-shape" in refusal("digits", shape=(3, 100_000, 100_000))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("digitz", "did you mean digits?"),
        ("", "choose digits, cifar10 or imagefolder:PATH"),
        ("digits:8", "unknown"),
        ("mnist", "unknown; "),
        ("imagefolder", "no such folder; expected PATH/<class>/<picture>"),
        ("imagefolder:", "no such folder"),
        ("imagefolder:nowhere", "nowhere: no such folder"),
        ("cifar10", "needs --data-dir"),
    ],
)
def test_unknown_data_says_what_to_type(name: str, sentence: str) -> None:
    """A data set is named, and a folder is shown how it should look."""
    assert sentence in refusal(name)


# --- your own pictures


def paint(path: Path, colour: object = (255, 0, 0), *, size: tuple[int, int] = (20, 10), mode: str = "RGB") -> None:
    """A picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes, red and blue, of five pictures each."""
    for number in range(5):
        paint(tmp_path / "red" / f"{number}.png", (255, 0, 0), size=(8 + number, 40))
        paint(tmp_path / "blue" / f"{number}.png", (0, 0, 255), size=(64, 9))
    return tmp_path


def test_your_pictures_are_read_and_their_folders_are_the_classes(folder: Path) -> None:
    """Pictures of any size fit, classes are numbered by name, and colours and labels belong together."""
    splits = load_data(f"imagefolder:{folder}", input_shape=SHAPE)
    assert splits.num_classes == 2
    assert splits.train_images.shape == (8, *SHAPE)
    assert splits.validation_images.shape == (2, *SHAPE)
    for image, label in zip(splits.train_images, splits.train_labels, strict=True):
        blue_then_red = [-1.0, -1.0, 1.0] if label == 0 else [1.0, -1.0, -1.0]
        assert image.mean(axis=(1, 2)).tolist() == pytest.approx(blue_then_red)


def test_a_folder_of_your_home_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tilde behind the colon, which no shell expands, is your home."""
    monkeypatch.setenv("HOME", str(folder.parent))
    assert load_data(f"imagefolder:~/{folder.name}", input_shape=SHAPE).num_classes == 2


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 255, [1.0, 1.0, 1.0]),
        ("RGBA", (255, 0, 0, 10), [1.0, -1.0, -1.0]),
        ("CMYK", (0, 255, 255, 0), [1.0, -1.0, -1.0]),
        ("1", 1, [1.0, 1.0, 1.0]),
        ("I;16", 0x8000, [0.0, 0.0, 0.0]),
        ("I;16", 0xFFFF, [1.0, 1.0, 1.0]),
    ],
)
def test_a_picture_of_another_kind_is_brought_to_three_channels(
    tmp_path: Path, mode: str, colour: object, expected: list[float]
) -> None:
    """Grey, transparent, printed, black-and-white and 16-bit pictures have the brightness they should."""
    suffix = "tif" if mode == "CMYK" else "png"
    paint(tmp_path / f"one.{suffix}", colour, mode=mode)
    found = data._picture(str(tmp_path / f"one.{suffix}"), SHAPE)
    assert found.shape == SHAPE
    assert found.mean(axis=(1, 2)).tolist() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("channels", "expected"), [(1, [-0.4]), (4, [1.0, -1.0, -1.0, 1.0])])
def test_a_picture_has_as_many_channels_as_the_model_takes(
    tmp_path: Path, channels: int, expected: list[float]
) -> None:
    """One channel is the picture's luma; beyond three they are repeated."""
    paint(tmp_path / "red.png")
    found = data._picture(str(tmp_path / "red.png"), (channels, 6, 4))
    assert found.shape == (channels, 6, 4)
    assert found.mean(axis=(1, 2)).tolist() == pytest.approx(expected, abs=0.01)


def test_a_picture_is_not_squeezed(tmp_path: Path) -> None:
    """Of a wide picture the middle is taken: a white square in it stays square and fills the model's."""
    wide = Image.new("L", (300, 100), 0)
    wide.paste(255, (100, 0, 200, 100))
    wide.save(tmp_path / "wide.png")
    assert data._picture(str(tmp_path / "wide.png"), (1, 32, 32)).min() > 0.8


def broken(path: Path, kind: str) -> None:
    """Spoils a picture in one of the ways that files are spoilt."""
    whole = path.read_bytes()
    spoilt = {
        "empty": b"",
        "text": b"this is no picture\n" * 20,
        "truncated": whole[: len(whole) // 2],
        "header": whole[:20],
    }
    path.write_bytes(spoilt[kind])


@pytest.mark.parametrize("kind", ["empty", "text", "truncated", "header"])
@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_a_broken_picture_is_named(folder: Path, suffix: str, kind: str) -> None:
    """One broken file is said to be it, with what to do, whatever its decoder raises."""
    bad = folder / "red" / f"bad.{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, size=(40, 40, 3), dtype=np.uint8)).save(bad)
    broken(bad, kind)
    sentence = refusal(f"imagefolder:{folder}")
    assert f"{bad} is not a readable picture" in sentence
    assert "mend or remove it" in sentence


def test_one_class_is_refused(tmp_path: Path) -> None:
    """There is nothing to tell apart in one folder."""
    paint(tmp_path / "only" / "1.png")
    assert "one class (only); expected PATH/<class>/<picture> with two classes" in refusal(f"imagefolder:{tmp_path}")


def test_an_empty_class_is_named(folder: Path) -> None:
    """A folder without a picture is no class."""
    (folder / "green").mkdir()
    (folder / "green" / "readme.txt").write_text("later", encoding="utf-8")
    assert "green" in refusal(f"imagefolder:{folder}")


def test_a_class_of_three_pictures_is_named(folder: Path) -> None:
    """The class is said by the name of its folder."""
    for number in range(3):
        paint(folder / "green" / f"{number}.png")
    assert "class green has 3 pictures" in refusal(f"imagefolder:{folder}")


def test_a_folder_without_classes_is_shown_how_to_look(tmp_path: Path) -> None:
    """Pictures that lie in no folder of their own are not found."""
    paint(tmp_path / "1.png")
    assert "expected PATH/<class>/<picture>" in refusal(f"imagefolder:{tmp_path}")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """A path that is there but is a file is refused as one that is not there."""
    paint(tmp_path / "1.png")
    assert "no such folder" in refusal(f"imagefolder:{tmp_path / '1.png'}")


# --- cifar10


def batch(count: int, seed: int) -> bytes:
    """A file as CIFAR-10 has them: rows of 3072 bytes, channel by channel."""
    rows = np.random.default_rng(seed).integers(0, 256, size=(count, 3072), dtype=np.uint8)
    return pickle.dumps({"data": rows, "labels": [number % 10 for number in range(count)]})


@pytest.fixture
def cifar_files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """A small CIFAR-10, file by file, whose checksums torchvision is told to expect."""
    files = {f"data_batch_{number}": batch(50, number) for number in (1, 2)}
    files["test_batch"] = batch(10, 9)
    files["batches.meta"] = pickle.dumps({"label_names": [f"class{label}" for label in range(10)]})
    sums = {name: hashlib.md5(content, usedforsecurity=False).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in ("data_batch_1", "data_batch_2")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums["batches.meta"]})
    return files


def unpacked(data_dir: Path, files: dict[str, bytes]) -> Path:
    """The files where torchvision looks for them."""
    folder = data_dir / "cifar-10-batches-py"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(files: dict[str, bytes]) -> bytes:
    """The archive in which they are published."""
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return whole.getvalue()


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Refuses every connection, and keeps what was asked for."""
    asked: list[str] = []

    def refuse(request: urllib.request.Request, **_: object) -> None:
        asked.append(request.full_url)
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return asked


def test_cifar10_is_read_from_its_folder(tmp_path: Path, cifar_files: dict[str, bytes], no_network: list[str]) -> None:
    """The unpacked folder is enough: its training pictures, channels and rows in place, values from -1 to 1."""
    unpacked(tmp_path, cifar_files)
    splits = load_data("cifar10", input_shape=SHAPE, data_dir=tmp_path)
    every = np.concatenate([splits.train_images, splits.validation_images])
    labels = np.concatenate([splits.train_labels, splits.validation_labels])
    rows = np.concatenate([pickle.loads(cifar_files[name])["data"] for name in ("data_batch_1", "data_batch_2")])  # noqa: S301  made above
    wanted = rows.reshape(-1, 3, 32, 32).astype(np.float32) / 127.5 - 1.0
    assert as_set(every) == as_set(wanted)
    label_of = {image.tobytes(): number % 10 for number, image in enumerate(wanted)}
    assert [label_of[image.tobytes()] for image in every] == labels.tolist()
    assert no_network == []


def test_cifar10_in_one_channel_is_its_luma(tmp_path: Path, cifar_files: dict[str, bytes]) -> None:
    """As a grey picture of yours would be, and not its red alone."""
    unpacked(tmp_path, cifar_files)
    colour = load_data("cifar10", input_shape=SHAPE, data_dir=tmp_path).train_images
    grey = load_data("cifar10", input_shape=(1, 32, 32), data_dir=tmp_path).train_images
    np.testing.assert_allclose(grey[:, 0], np.tensordot(colour, data.LUMA, axes=(1, 0)), atol=1e-5)


def test_cifar10_is_unpacked_from_the_archive_that_lies_there(
    tmp_path: Path, cifar_files: dict[str, bytes], no_network: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that was brought there by hand needs no network, and stays."""
    archive = packed(cifar_files)
    monkeypatch.setattr(CIFAR10, "tgz_md5", hashlib.md5(archive, usedforsecurity=False).hexdigest())
    (tmp_path / CIFAR10.filename).write_bytes(archive)
    assert load_data("cifar10", input_shape=SHAPE, data_dir=tmp_path).num_classes == 10
    assert {each.name for each in tmp_path.iterdir()} == {CIFAR10.filename, CIFAR10.base_folder}
    assert no_network == []


@pytest.mark.parametrize("there", [None, "truncated"])
def test_cifar10_that_cannot_be_had_says_where_to_put_it(
    tmp_path: Path, no_network: list[str], there: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a network it is one sentence with the archive, the folder and the place; what lay there is untouched."""
    place = tmp_path / "new" / "folder"
    before = {}
    if there:
        place.mkdir(parents=True)
        before = {CIFAR10.filename: b"half of an archive"}
        (place / CIFAR10.filename).write_bytes(before[CIFAR10.filename])
    sentence = refusal("cifar10", data_dir=place)
    assert f"not in {place}" in sentence
    assert CIFAR10.url in sentence
    assert "cifar-10-batches-py" in sentence
    assert "Name or service not known" in sentence
    assert {each.name: each.read_bytes() for each in place.iterdir()} == before
    assert no_network == [CIFAR10.url]
    assert capfd.readouterr().out == ""


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an archive is not kept, and is not taken for the data set next time."""
    from torchvision.datasets import utils

    def half(_url: str, filename: str, **_: object) -> None:
        Path(filename).write_bytes(b"half of an archive")
        raise ConnectionResetError("Connection reset by peer")

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr(utils, "_urlretrieve", half)
    assert "Connection reset by peer" in refusal("cifar10", data_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is taken and never answered ends in the sentence, and the process's default is as before."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar-10-python.tar.gz"
        monkeypatch.setattr(CIFAR10, "url", address)
        monkeypatch.setattr(data, "PATIENCE_S", 0.1)
        for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(proxy, raising=False)
        assert "timed out" in refusal("cifar10", data_dir=tmp_path)
    assert socket.getdefaulttimeout() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spoil", ["missing", "changed", "meta"])
def test_cifar10_that_is_not_as_published_is_refused_unread(
    tmp_path: Path, cifar_files: dict[str, bytes], no_network: list[str], spoil: str
) -> None:
    """A missing or changed file is said, with what to do; no pickle of unknown content is opened."""
    name = "batches.meta" if spoil == "meta" else "data_batch_2"
    folder = unpacked(tmp_path, cifar_files)
    if spoil == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(cifar_files[name] + b" ")
    sentence = refusal("cifar10", data_dir=tmp_path)
    assert f"{folder} is not complete or not as published; remove it" in sentence
    assert folder.is_dir()
    assert no_network == []


def test_a_data_dir_that_is_a_file_is_refused(tmp_path: Path, no_network: list[str]) -> None:
    """It is a sentence, and nothing is asked for."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "FileExistsError" in refusal("cifar10", data_dir=tmp_path / "file")
    assert no_network == []
