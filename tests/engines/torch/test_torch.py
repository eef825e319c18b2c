import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest

from int8bench.engines.base import Material
from int8bench.engines.registry import engine_named
from int8bench.engines.torch import int8
from int8bench.engines.torch.onednn_log import parse
from int8bench.errors import EngineError
from int8bench.machine import detect, load
from int8bench.machine.rules.choice import x86_reaches_onednn
from int8bench.workload.cases import Group, float32_references, int8_variant
from int8bench.workload.fidelity import compare

torch = pytest.importorskip("torch")
nn = torch.nn

pytestmark = pytest.mark.torch

GOLDEN = Path(__file__).parents[2] / "golden"
INT8_ENGINES = ("fbgemm", "x86", "onednn", "qnnpack")
CHANNELS_LAST, NCHW = float32_references()
ONE = Group(batch=1, threads=1)


class TinyCNN(nn.Module):
    """SimpleCNN's shape on pictures of 3 x 16 x 16, with wide enough layers for weights to outweigh scales."""

    def __init__(self):
        """Ten classes."""
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.fc = nn.Linear(64 * 4 * 4, 10)

    def forward(self, x):
        """Logits (image, class)."""
        return self.fc(torch.flatten(self.conv(x), 1))


class WithSoftmax(TinyCNN):
    """Ends in an operation that no engine quantizes."""

    def forward(self, x):
        """Log-probabilities (image, class)."""
        return torch.log_softmax(super().forward(x), dim=1)


class Branching(TinyCNN):
    """Cannot be traced: its path depends on its input."""

    def forward(self, x):
        """Logits (image, class)."""
        return super().forward(x if x.sum() > 0 else -x)


class TwoHeaded(TinyCNN):
    """Returns what is no tensor."""

    def forward(self, x):
        """Two of the same."""
        return super().forward(x), super().forward(x)


class Unflattened(nn.Conv2d):
    """Returns a picture instead of logits."""

    def __init__(self):
        """Three channels to ten."""
        super().__init__(3, 10, 1)


@pytest.fixture(autouse=True)
def _one_thread_and_inference_mode():
    """Keeps what binding and building set in a process from outliving a test."""
    threads, engine = torch.get_num_threads(), torch.backends.quantized.engine
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
    torch.backends.quantized.engine = engine


@pytest.fixture
def pictures():
    """A calibration set of 64 pictures."""
    return np.random.default_rng(0).normal(size=(64, 3, 16, 16)).astype(np.float32)


def made(variant, model, pictures):
    """A predictor of the variant, or a skipped test where this build of torch lacks the engine."""
    skip_unless_supported(variant.engine)
    engine = engine_named(variant.engine)
    return engine.build(engine.prepare(variant, material(model, pictures)), ONE)


def material(model, pictures):
    """What an engine is made ready with: calibrated on all pictures."""
    return Material(model=model, calibration=pictures, example=pictures[:1])


def skip_unless_supported(name):
    """Skips the test where this build of torch lacks the engine."""
    if name != "torch" and name not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this build of torch has no {name} on this CPU")


def sqnr_db(reference, answer):
    """Signal to noise of an answer."""
    return 20 * np.log10(np.linalg.norm(reference) / np.linalg.norm(answer - reference))


@pytest.mark.parametrize("name", INT8_ENGINES)
def test_int8_answers_nearly_as_float32(name, pictures):
    """Every engine's logits are the float32 ones with quantization noise: more than 15 dB."""
    model = TinyCNN().eval()
    expected = made(CHANNELS_LAST, model, pictures)(pictures)
    answered = made(int8_variant(name), model, pictures)(pictures)
    assert answered.dtype == np.float32
    assert answered.shape == (64, 10)
    assert 15 < sqnr_db(expected, answered) < 80


@pytest.mark.parametrize("variant", [CHANNELS_LAST, NCHW], ids=["channels_last", "nchw"])
def test_float32_is_the_model_itself(variant, pictures):
    """Both float32 layouts answer what the model answers, and leave the model as it was."""
    model = TinyCNN().train()
    predictor = made(variant, model, pictures)
    assert model.training
    assert model.fc.weight.requires_grad
    np.testing.assert_allclose(predictor(pictures), model.eval()(torch.from_numpy(pictures)).numpy(), atol=1e-5)


@pytest.mark.parametrize("layout", ["channels_last", "nchw"])
def test_the_bound_input_is_an_own_copy_in_the_layout(layout, pictures):
    """The timed body's input has the variant's strides, and does not change with the caller's array."""
    predictor = made(CHANNELS_LAST if layout == "channels_last" else NCHW, TinyCNN().eval(), pictures)
    seen = []
    predictor.module.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    body = predictor.bind(pictures)
    before = body().clone()
    is_channels_last = seen[0].is_contiguous(memory_format=torch.channels_last)
    assert (is_channels_last, seen[0].is_contiguous()) == (layout == "channels_last", layout == "nchw")
    pictures[:] = 0
    assert torch.equal(body(), before)


@pytest.mark.parametrize("name", ["torch", *INT8_ENGINES])
def test_the_timed_body_is_exactly_one_forward(name, pictures):
    """Binding runs no forward, and each call of the body runs one."""
    variant = CHANNELS_LAST if name == "torch" else int8_variant(name)
    predictor = made(variant, TinyCNN().eval(), pictures)
    calls = []
    predictor.module.register_forward_pre_hook(lambda _module, inputs: calls.append(len(inputs[0])))
    body = predictor.bind(pictures[:5])
    assert calls == []
    for _ in range(7):
        body()
    assert calls == [5] * 7


@pytest.mark.parametrize("name", INT8_ENGINES)
def test_the_bound_body_answers_as_the_predictor(name, pictures):
    """What is timed is what was checked."""
    predictor = made(int8_variant(name), TinyCNN().eval(), pictures)
    np.testing.assert_array_equal(predictor.bind(pictures)().numpy(), predictor(pictures))


@pytest.mark.parametrize("name", ["torch", *INT8_ENGINES])
def test_prepared_once_built_twice(name, pictures):
    """A second build from the same preparation answers as the first, from memory of its own."""
    skip_unless_supported(name)
    engine = engine_named(name)
    prepared = engine.prepare(engine.variants[0], material(TinyCNN().eval(), pictures))
    first, second = engine.build(prepared, ONE), engine.build(prepared, ONE)
    assert first.module is not second.module
    np.testing.assert_array_equal(first(pictures), second(pictures))


def test_engines_in_one_process_answer_as_alone(pictures):
    """Bodies of different engines called in turn each run under their own engine, and answer as they do alone."""
    model = TinyCNN().eval()
    names = [name for name in INT8_ENGINES if name in torch.backends.quantized.supported_engines]
    engines = {name: engine_named(name) for name in names}
    prepared = {name: engines[name].prepare(int8_variant(name), material(model, pictures)) for name in names}
    alone = {name: engines[name].build(prepared[name], ONE)(pictures) for name in names}
    bodies = {name: engines[name].build(prepared[name], ONE).bind(pictures) for name in names}
    for name in [*names, *reversed(names), *names]:
        np.testing.assert_array_equal(bodies[name]().numpy(), alone[name])
        assert torch.backends.quantized.engine == name


@pytest.mark.parametrize("name", INT8_ENGINES)
def test_int8_weights_take_a_quarter(name, pictures):
    """Int8 weights with their scales and biases take 25 to 33 % of the float32 bytes, in memory and saved."""
    model = TinyCNN().eval()
    reference = made(CHANNELS_LAST, model, pictures)
    predictor = made(int8_variant(name), model, pictures)
    assert reference.weights_bytes == 4 * sum(parameter.numel() for parameter in model.parameters())
    assert 0.25 < predictor.weights_bytes / reference.weights_bytes < 0.33
    assert predictor.serialized_bytes > predictor.weights_bytes * 0.9
    assert 0.25 < predictor.serialized_bytes / reference.serialized_bytes < 0.5


def test_buffers_are_weights_too(pictures):
    """What a float32 model keeps beside its parameters counts: batch normalisation's statistics."""
    model = nn.Sequential(nn.BatchNorm2d(3), TinyCNN()).eval()
    plain = made(CHANNELS_LAST, model[1], pictures).weights_bytes
    assert made(CHANNELS_LAST, model, pictures).weights_bytes == plain + 4 * 3 * 4 + 8


@pytest.mark.parametrize("name", INT8_ENGINES)
def test_evidence_of_int8(name, pictures):
    """The evidence names the engine, what was packed, what stayed in float, and whether oneDNN was used."""
    evidence = made(int8_variant(name), WithSoftmax().eval(), pictures).evidence
    assert evidence["engine"] == name
    assert evidence["capability"] == torch.backends.cpu.get_cpu_capability()
    assert evidence["packed_types"] == ["nn.intrinsic.quantized.ConvReLU2d", "nn.quantized.Linear"]
    assert [each["operator"] for each in evidence["ran"]["operators"] if each["kind"] == "float"] == ["log_softmax"]
    assert evidence["ran"]["multiply_adds"]["int8_share"] == 1.0
    assert evidence["onednn"]["used"] is (name == "onednn" or (name == "x86" and x86_reaches_onednn(detect())))


@pytest.mark.parametrize(
    ("machine", "recorded", "used"),
    [("linux-ubuntu20.04-zen3", "x86_avx2.txt", False), ("linux-centos7-cascadelake", "x86_avx512_vnni.txt", True)],
    ids=["AVX2", "AVX-512 VNNI"],
)
def test_evidence_of_both_kinds_of_processor(machine, recorded, used):
    """What engine x86 said on each kind is what the machine's flags foretell, whichever of them runs the tests."""
    said = parse((GOLDEN / "onednn" / recorded).read_text(encoding="utf-8"))
    assert said.to_dict()["used"] is used is x86_reaches_onednn(load(GOLDEN / "hardware" / machine))


def test_evidence_of_float32(pictures):
    """A float32 predictor proves no int8, and names its float layers."""
    evidence = made(CHANNELS_LAST, TinyCNN().eval(), pictures).evidence
    assert evidence["float_modules"] == ["conv.0", "conv.3", "fc"]
    assert evidence["quantized_modules"] == 0


def test_batch_normalisation_and_addition_are_quantized(pictures):
    """A residual block leaves nothing in float: its normalisation is folded and its addition packed in int8."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Linear(3, 10)

        def forward(self, x):
            x = nn.functional.relu(self.norm(self.conv(x)) + x)
            return self.fc(torch.flatten(nn.functional.adaptive_avg_pool2d(x, 1), 1))

    predictor = made(int8_variant("fbgemm"), Residual().eval(), pictures)
    assert predictor.evidence["ran"]["float_share"] == 0
    assert predictor.evidence["ran"]["multiply_adds"]["int8_share"] == 1.0


def test_no_warning_reaches_the_caller(pictures):
    """Torch's announcements about quantization are not the user's concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in INT8_ENGINES:
            if name in torch.backends.quantized.supported_engines:
                made(int8_variant(name), TinyCNN().eval(), pictures).bind(pictures)()


@pytest.mark.parametrize("name", torch.backends.quantized.supported_engines[-1:])
def test_an_untraceable_model_is_a_sentence(name, pictures):
    """A model whose control flow depends on data is refused with the reason and the remedy."""
    with pytest.raises(EngineError, match=rf"{name}: Branching cannot be traced by torch.fx: .*; keep control flow"):
        made(int8_variant(name), Branching().eval(), pictures)


def test_an_engine_that_torch_lacks_is_a_sentence(monkeypatch, pictures):
    """An engine missing from the build is refused before anything is traced."""
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["none", "qnnpack"])
    engine = engine_named("fbgemm")
    with pytest.raises(EngineError, match=r"fbgemm: this build of torch does not have it .* choose --engines qnnpack"):
        engine.prepare(engine.variants[0], material(TinyCNN().eval(), pictures))


def test_float32_is_not_raced_under_the_name_of_int8(pictures):
    """The float32 engine refuses a variant that it does not offer."""
    with pytest.raises(EngineError, match="torch int8 is not offered"):
        engine_named("torch").prepare(int8_variant("torch"), material(TinyCNN(), pictures))


def test_pictures_of_another_shape_are_a_sentence(pictures):
    """A calibration set that the model cannot answer is refused with its shape."""
    name = torch.backends.quantized.supported_engines[-1]
    wrong = np.zeros((4, 3, 20, 20), np.float32)
    engine = engine_named(name)
    with pytest.raises(EngineError, match=r"cannot answer calibration pictures of shape \(3, 20, 20\)"):
        engine.prepare(engine.variants[0], Material(model=TinyCNN().eval(), calibration=wrong, example=pictures[:1]))
    with pytest.raises(
        EngineError, match=r"torch float32 channels_last: cannot answer a batch of shape \(4, 3, 20, 20\)"
    ):
        made(CHANNELS_LAST, TinyCNN().eval(), pictures)(wrong)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (TwoHeaded, "returns tuple, expected one tensor"),
        (Unflattened, r"returns shape \(64, 10, 16, 16\) for 64 images"),
    ],
    ids=["tuple", "picture"],
)
def test_a_result_that_is_no_logits_is_a_sentence(model, complaint, pictures):
    """A model that does not return (image, class) is refused when it answers."""
    with pytest.raises(EngineError, match=complaint):
        made(CHANNELS_LAST, model().eval(), pictures)(pictures)


@pytest.mark.parametrize(
    ("model", "least_db"),
    [("resnet18", 15), ("mobilenet_v2", 2)],  # noise adds up over mobilenet's 52 layers of random weights
)
def test_torchvision_models_pass_through(model, least_db, pictures):
    """Torchvision's quantizable models are traced, packed in int8 throughout, and answer much as in float32."""
    quantizable = pytest.importorskip("torchvision").models.quantization
    name = torch.backends.quantized.supported_engines[-1]
    with torch.inference_mode(mode=False):
        module = getattr(quantizable, model)(weights=None, quantize=False, num_classes=10)
    large = np.kron(pictures[:8], np.ones((1, 1, 4, 4), np.float32))
    settle(module, large)
    expected = made(CHANNELS_LAST, module, large)(large)
    predictor = made(int8_variant(name), module, large)
    assert sqnr_db(expected, predictor(large)) > least_db
    assert 0.24 < predictor.weights_bytes / made(CHANNELS_LAST, module, large).weights_bytes < 0.3
    assert predictor.evidence["ran"]["float_share"] == 0
    assert predictor.evidence["ran"]["multiply_adds"]["int8_share"] == 1.0


def settle(module, pictures):
    """Gives batch normalisation the statistics of the pictures, without which random weights let signals vanish."""
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.momentum = None
    module.train()(torch.from_numpy(pictures))
    module.eval()


FORKED = """
    import os, struct, sys
    import numpy as np, torch
    from torch import nn
    from int8bench.workload.cases import Group, float32_references, int8_variant
    from int8bench.engines.base import Material
    from int8bench.engines.registry import engine_named

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 49, 10)).eval()
    pictures = np.random.default_rng(0).normal(size=(64, 3, 16, 16)).astype("float32")
    names = [name for name in torch.backends.quantized.supported_engines if name != "none"]
    variants = [*float32_references(), *map(int8_variant, names)]
    material = Material(model=model, calibration=pictures, example=pictures[:1])
    prepared = [engine_named(v.engine).prepare(v, material) for v in variants]
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/task")) == 1, "preparing started a thread"

    def answers():
        built = [engine_named(v.engine).build(each, Group(batch=64, threads=2)) for v, each in zip(variants, prepared)]
        assert torch.get_num_threads() == 2
        assert not torch.is_inference_mode_enabled()
        checked = [predictor(pictures) for predictor in built]
        assert not torch.is_inference_mode_enabled()
        timed = [predictor.bind(pictures)() for predictor in built]
        assert torch.is_inference_mode_enabled()
        assert all(np.array_equal(a, b.numpy()) for a, b in zip(checked, timed))
        return np.stack(checked)

    def forked():
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.write(write, answers().tobytes())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            result = pipe.read()
        os.waitpid(pid, 0)
        return np.frombuffer(result, np.float32).reshape(len(variants), 64, 10)

    first, second = forked(), forked()
    assert np.array_equal(first[2:], second[2:])
    assert np.allclose(first, second, atol=1e-5)
    error = np.linalg.norm(first - first[0], axis=(1, 2)) / np.linalg.norm(first[0])
    assert (error < 0.1).all(), error
    print(len(variants))
"""


def test_built_in_forks_of_a_prepared_process():
    """Preparing starts no thread; forks build on two threads and answer alike; binding alone enters inference mode."""
    program = textwrap.dedent(FORKED)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 3


@pytest.mark.parametrize("name", INT8_ENGINES)
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolutions_are_quantized_by_every_engine(name, groups, pictures):
    """Torch's default for onednn asks for weights by channel, which it has not for them."""
    layers = nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(4, 4, 2, groups=groups), nn.ReLU()
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10)).eval()
    work = made(int8_variant(name), model, pictures).evidence["ran"]["multiply_adds"]
    assert work["int8_share"] == 1.0


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("name", INT8_ENGINES)
def test_padding_in_words_is_quantized_too(name, pictures):
    """Torch's quantized convolution takes numbers alone, and said so in a page of C++."""
    layers = nn.Conv2d(3, 8, 3, padding="same"), nn.ReLU(), nn.Conv2d(8, 8, 4, padding="same"), nn.ReLU()
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10)).eval()
    answered = made(int8_variant(name), model, pictures)
    assert answered.evidence["ran"]["multiply_adds"]["int8_share"] == 1.0
    with torch.inference_mode():
        assert compare(model(torch.from_numpy(pictures)).numpy(), answered(pictures)).sqnr_db > 20


def test_engines_of_a_launch_observe_the_pictures_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the second makes of the ranges that the first saw is to the bit what it makes of its own."""
    built_in = torch.backends.quantized.supported_engines
    names = [name for name in INT8_ENGINES if name in built_in]
    if len(names) < 2:
        pytest.skip("one engine alone")
    model = TinyCNN().eval()
    pictures = np.random.default_rng(3).normal(size=(40, 3, 16, 16)).astype(np.float32)

    def answers(name: str, shared: dict[str, object]) -> np.ndarray:
        engine = int8.QuantizedEngine(name=name)
        material = Material(model=model, calibration=pictures, example=pictures[:1], shared=shared)
        prepared = engine.prepare(engine.variants[0], material)
        return engine.build(prepared, Group(batch=8, threads=1))(pictures[:8])

    alone = [answers(name, {}) for name in names]
    calibrated, real = [], int8._calibrate
    monkeypatch.setattr(int8, "_calibrate", lambda name, *rest: (calibrated.append(name), real(name, *rest)))
    shared: dict[str, object] = {}
    together = [answers(name, shared) for name in names]
    assert calibrated == names[:1]
    for one, other in zip(alone, together, strict=True):
        assert one.tobytes() == other.tobytes()
