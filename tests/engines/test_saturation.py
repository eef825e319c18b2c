import os
import subprocess
import sys

import numpy as np
import pytest

from int8bench.engines.saturation import (
    QuantizedLayer,
    SaturationComparison,
    compare,
    exact,
    saturating_pictures,
    saturating_weights,
    worst,
)
from int8bench.errors import EngineError

ENGINES = ("fbgemm", "x86", "onednn", "qnnpack")
PROBE = """
import torch
from int8bench.engines.saturation import probe
torch.set_num_threads(1)
capability = torch.backends.cpu.get_cpu_capability().removeprefix("NO AVX")
if "onednn" not in torch.backends.quantized.supported_engines or "AVX" not in capability:
    print("absent")
else:
    for engine in ("onednn", "x86"):
        if engine in torch.backends.quantized.supported_engines:
            found = probe(engine)
            print(found.engine, found.sqnr_db, found.saturates)
"""


def layer(weights, **changes):
    """A layer with simple scales, whose output says every multiple of 0.5 from -50 to 77.5."""
    outputs = len(weights)
    return QuantizedLayer(
        weights=np.asarray(weights, np.int64),
        weight_scales=changes.get("weight_scales", np.full(outputs, 0.5)),
        bias=changes.get("bias", np.zeros(outputs)),
        input_scale=0.1,
        input_zero_point=changes.get("input_zero_point", 0),
        output_scale=0.5,
        output_zero_point=100,
    )


def test_exact_linear_layer():
    """Zero points are subtracted, sums scaled by input and weight, and the bias added."""
    found = exact(
        layer([[1, 2], [3, -4]], weight_scales=np.array([0.5, 1.0]), bias=np.array([0.0, 7.0]), input_zero_point=10),
        np.array([[20, 30]]),
    )
    np.testing.assert_allclose(found, [[(10 + 40) * 0.05, (30 - 80) * 0.1 + 7.0]])


def test_exact_convolution_against_plain_loops():
    """Convolution of integers is the sum over channels and windows, as slow loops have it."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-9, 9, (3, 2, 2, 2))
    images = rng.integers(0, 9, (2, 2, 4, 5))
    found = exact(layer(weights), images)
    assert found.shape == (2, 3, 3, 4)
    for image, output, row, column in np.ndindex(found.shape):
        window = images[image, :, row : row + 2, column : column + 2]
        assert found[image, output, row, column] == pytest.approx((window * weights[output]).sum() * 0.05)


def test_exact_respects_the_range_of_the_output():
    """What 8 bits cannot say is clipped to their range, as an exact engine would."""
    found = exact(layer([[127], [-127]]), np.array([[255]]))
    np.testing.assert_allclose(found, [[77.5, -50.0]])


def test_sixteen_bit_sums_would_saturate():
    """Every adjacent pair of products in the probe's layers is beyond 16 bits at full range, within them at 7 bits."""
    rng = np.random.default_rng(0)
    activations = np.floor(saturating_pictures(rng, 64) * 255)
    weights = np.abs(np.trunc(saturating_weights(rng, 1, 64)[0] * 127))
    products = activations * weights
    assert (products[::2] + products[1::2] > 2**15 - 1).all()
    halved = np.floor(activations / 2) * weights
    assert (halved[::2] + halved[1::2] < 2**15).all()


def test_rounding_is_no_saturation():
    """An output rounded to its grid, half a step off at most, passes; so does one where each tenth is one step off."""
    exact_values = np.random.default_rng(0).uniform(-60, 60, 4000)
    rounded = np.round(exact_values / 0.5) * 0.5
    assert not compare(exact_values, rounded, output_scale=0.5).saturates
    rounded[::10] += 0.5
    assert not compare(exact_values, rounded, output_scale=0.5).saturates


def test_clipped_sums_are_saturation():
    """Values held to two thirds of their size are far beyond rounding."""
    exact_values = np.random.default_rng(0).uniform(-60, 60, 4000)
    assert compare(exact_values, np.clip(exact_values, -40, 40), output_scale=0.5).saturates


def test_sqnr_is_twenty_logs_of_the_ratio():
    """An error of a tenth everywhere is 20 dB, and no error is infinitely far away."""
    values = np.array([10.0, -10.0])
    assert compare(values, values * 1.1, output_scale=0.5).sqnr_db == pytest.approx(20.0)
    assert compare(values, values, output_scale=0.5).sqnr_db == float("inf")


def test_the_worse_layer_speaks_for_the_engine():
    """The probe of an engine is the worst of its layers."""
    clipped, sound = (
        SaturationComparison(sqnr_db=8.0, one_step_db=40.0, size=0.6),
        SaturationComparison(sqnr_db=55.0, one_step_db=42.0, size=1.0),
    )
    found = worst("onednn", [sound, clipped])
    assert (found.engine, found.sqnr_db, found.saturates) == ("onednn", 8.0, True)


def test_what_grows_does_not_saturate():
    """Answers of a wrong scale that are too large are wrong in another way; those too small may have lost sums."""
    values = np.array([10.0, -10.0])
    assert not compare(values, values * 1.5, output_scale=0.5).saturates
    assert compare(values, values * 0.6, output_scale=0.5).saturates


@pytest.mark.torch
@pytest.mark.parametrize("name", ENGINES)
def test_probe_of_each_engine(name):
    """Reduced range and qnnpack's wide sums never saturate; whichever does is told by its SQNR."""
    import torch

    from int8bench.engines.saturation import probe

    if name not in torch.backends.quantized.supported_engines:
        pytest.skip(f"this build of torch has no {name} on this CPU")
    engine = torch.backends.quantized.engine
    found = probe(name)
    torch.backends.quantized.engine = engine
    assert found.engine == name
    assert found.saturates == (found.sqnr_db < 30)
    assert name == "onednn" or not found.saturates


@pytest.mark.torch
def test_an_engine_without_a_probe_is_a_sentence():
    """Float32 has nothing to saturate."""
    from int8bench.engines.saturation import probe

    with pytest.raises(EngineError, match="torch: no saturation probe, expected one of fbgemm"):
        probe("torch")


@pytest.mark.torch
@pytest.mark.parametrize("isa", ["AVX2", "AVX512_CORE"])
def test_without_vnni_onednn_saturates_and_reduced_range_does_not(isa):
    """Held below VNNI, full range loses its answers on any x86, and the x86 engine keeps them."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": isa},
    )
    if done.stdout.strip() == "absent":
        pytest.skip("no onednn engine with AVX2 here, so no vpmaddubsw to saturate")
    found = {name: (float(db), told) for name, db, told in (line.split() for line in done.stdout.splitlines())}
    assert found["onednn"][0] < 15
    assert found["onednn"][1] == "True"
    assert found.get("x86", (40.0, "False"))[0] > 30
    assert found.get("x86", (40.0, "False"))[1] == "False"
