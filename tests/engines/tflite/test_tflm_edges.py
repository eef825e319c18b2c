import numpy as np
import pytest

from int8bench.engines.tflite.tflm_compared import Scale


@pytest.mark.parametrize("zero_point", [-128, -3, -1, 0, 7, 127])
def test_quantizing_is_rounding_and_clipping(zero_point: int) -> None:
    """The fast rounding agrees to the bit with the plain formula, at ties and outside the range too."""
    step = 0.25
    values = np.concatenate([np.arange(-700, 700) / 2 * step, np.random.default_rng(0).normal(scale=40, size=600)])
    asked = values.astype(np.float32).reshape(1, 4, 125, 4)
    into = np.empty(asked.shape, dtype=np.int8)
    Scale(step=step, zero_point=zero_point).quantizer(asked.shape)(asked, into)
    expected = np.clip(np.rint(asked.astype(np.float64) / step) + zero_point, -128, 127)
    np.testing.assert_array_equal(into, expected)


def test_a_value_and_back_is_at_most_half_a_step_away() -> None:
    """Dequantizing is the inverse of quantizing but for the rounding."""
    scale = Scale(step=0.01, zero_point=20)
    asked = np.linspace(-1.4, 1.0, 64, dtype=np.float32).reshape(1, 4, 4, 4)
    into = np.empty(asked.shape, dtype=np.int8)
    scale.quantizer(asked.shape)(asked, into)
    back = scale.dequantizer()(into)
    assert back.dtype == np.float32
    assert np.abs(back - asked).max() <= 0.005 + 1e-6


def test_the_scale_of_a_tensor_is_what_its_runtime_says() -> None:
    """One scale and one zero point, as both runtimes report them."""
    full = {"scales": np.array([0.5]), "zero_points": np.array([3])}
    found = Scale.of({"dtype": np.int8, "quantization_parameters": full})
    assert found == Scale(step=0.5, zero_point=3)
