"""What torch left in float is weighed by its multiply-adds, also where it is a layer of many; int8 by its shapes."""

import warnings

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402  after the skip

from int8bench.engines.operators import Kind, ran  # noqa: E402
from int8bench.engines.torch.operators import operators  # noqa: E402

pytestmark = pytest.mark.torch
WIDTH, ROWS = 16, 12


def converted(model, example):
    """The operators of a model that torch quantized for its last engine."""
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    engine = torch.backends.quantized.supported_engines[-1]
    torch.backends.quantized.engine = engine
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model.eval().requires_grad_(requires_grad=False)
        observed = prepare_fx(model, get_default_qconfig_mapping(engine), (example,))
        observed(example)
        return operators(convert_fx(observed), example)


def made(found, kind):
    """The multiply-adds of a kind, by operator, without those that make none."""
    return {each.name: each.multiply_adds for each in found if each.kind is kind and each.multiply_adds}


def test_an_encoder_left_in_float_is_nearly_all_of_the_work():
    """It is one operator of two, and its attention, its layers and its head are counted one by one."""

    class Transformer(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(WIDTH, 4, 4 * WIDTH, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(WIDTH, 10)

        def forward(self, x):
            return self.head(self.encoder(x)[:, 0])

    found = converted(Transformer(), torch.randn(1, ROWS, WIDTH))
    projections, attention, wide = 4 * ROWS * WIDTH**2, 2 * ROWS**2 * WIDTH, 2 * ROWS * 4 * WIDTH**2
    assert made(found, Kind.FLOAT) == {"encoder": 2 * (projections + attention + wide)}
    assert made(found, Kind.INT8) == {"head": 10 * WIDTH}
    assert ran("its converted graph", found)["multiply_adds"]["float_share"] > 0.99


def test_a_recurrent_layer_left_in_float_is_counted():
    """Which torch runs in one piece by oneDNN, of which its counter knows nothing."""

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(WIDTH, 8, batch_first=True)
            self.head = nn.Linear(8, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    found = converted(Recurrent(), torch.randn(1, ROWS, WIDTH))
    assert made(found, Kind.FLOAT) == {"lstm": ROWS * 4 * 8 * (WIDTH + 8)}
    assert made(found, Kind.INT8) == {"head": 80}


def test_quantized_layers_and_functions_are_counted():
    """Modules and functions, with groups and transposed, and products of two activations."""

    class Several(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2, padding=1), nn.ReLU())
            self.up = nn.ConvTranspose2d(8, 4, 2, stride=2)
            self.weight = nn.Parameter(torch.randn(6, 4, 1, 1))
            self.features, self.bias = nn.Parameter(torch.randn(10, 36)), nn.Parameter(torch.zeros(6))

        def forward(self, x):
            rows = nn.functional.conv2d(
                self.up(self.conv(x)), self.weight, self.bias, (1, 1), (0, 0), (1, 1), 1
            ).flatten(2)
            square = torch.matmul(rows, rows.transpose(1, 2)).flatten(1)
            return nn.functional.linear(square, self.features)

    found = converted(Several(), torch.randn(1, 4, 8, 8))
    counts = sorted(each.multiply_adds for each in found if each.multiply_adds)
    assert counts == sorted([8 * 64 * 2 * 9, 8 * 64 * 4 * 4, 6 * 256 * 4, 6 * 6 * 256, 360])
    assert set(made(found, Kind.FLOAT)) <= {"matmul_1"}


def test_a_quantized_product_that_torch_multiplies_in_float_is_float():
    """It takes and gives 8 bits, and dequantizes in between: what its profiler tells is believed, not its name."""

    class Square(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 1)

        def forward(self, x):
            rows = self.conv(x).flatten(2)
            return torch.matmul(rows, rows.transpose(1, 2))

    quantized = [torch.quantize_per_tensor(torch.ones(2, 2), 1, 0, torch.quint8)] * 2
    with torch.autograd.profiler.profile(use_kineto=False) as told:
        torch.ops.quantized.matmul(*quantized, 1.0, 0)
    in_float = any(each.name == "aten::mm" for each in told.function_events)
    found = converted(Square(), torch.randn(1, 4, 8, 8))
    assert made(found, Kind.FLOAT if in_float else Kind.INT8)["matmul_1"] == 6 * 6 * 64


def test_what_makes_none_has_none():
    """An activation, a move, a step at the edge."""
    found = converted(
        nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Softmax(1)), torch.randn(1, 1, 2, 2)
    )
    assert {each.multiply_adds for each in found if each.kind is not Kind.INT8} == {0}
    assert [each.kind for each in found if each.multiply_adds] == [Kind.INT8]
    assert Kind.FLOAT in {each.kind for each in found}


def test_torchs_settings_are_left_as_they_were():
    """Fast paths are off while it counts, and on again."""
    before = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    converted(nn.Sequential(nn.Conv2d(1, 2, 1)), torch.randn(1, 1, 2, 2))
    assert (torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled) == before
