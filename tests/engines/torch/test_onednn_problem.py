"""oneDNN's primitives are weighed by the problem that each line tells."""

from pathlib import Path

import pytest

from int8bench.engines.torch.onednn_log import multiply_adds, parse

GOLDEN = Path(__file__).parents[2] / "golden" / "onednn"


@pytest.mark.parametrize(
    ("primitive", "problem", "auxiliary", "expected"),
    [
        ("convolution", "mb8_ic3oc32_ih32oh32kh3sh1dh0ph1_iw32ow32kw3sw1dw0pw1", "", 8 * 32 * 32 * 32 * 3 * 9),
        ("convolution", "g64mb1_ic64oc64_ih8oh4kh3sh2dh0ph1_iw8ow4kw3sw2dw0pw1", "", 64 * 16 * 9),
        ("convolution", "mb1_g64ic64oc64_ih8oh4kh3sh2dh0ph1_iw8ow4kw3sw2dw0pw1", "", 64 * 16 * 9),
        ("convolution", "mb2_ic4oc8_iw16ow16kw3sw1dw0pw1", "", 2 * 8 * 16 * 4 * 3),
        ("deconvolution", "mb1_ic16oc8_ih4oh8kh2sh2dh0ph0_iw4ow8kw2sw2dw0pw0", "", 16 * 16 * 8 * 4),
        ("inner_product", "mb8ic4096oc10", "", 8 * 4096 * 10),
        ("inner_product", "mb8_ic64ih8iw8_oc10", "", 8 * 4096 * 10),
        ("matmul", "8x4096:4096x10", "", 8 * 4096 * 10),
        ("matmul", "4x2x5x8:1x2x8x5", "", 4 * 2 * 5 * 8 * 5),
        ("rnn", "l1t5mb2sic16slc8dhc8dic8", "alg:vanilla_lstm direction:bidirectional_concat", 2 * 5 * 2 * 4 * 8 * 24),
        ("reorder", "8x3x32x32", "", 0),
        ("eltwise", "8x3", "", 0),
        ("convolution", "", "", None),
        ("matmul", "", "", None),
        ("rnn", "l1t5mb2sic16slc8dhc8dic8", "alg:unheard_of", None),
    ],
)
def test_a_problem_tells_the_work(primitive: str, problem: str, auxiliary: str, expected: int | None) -> None:
    """As its sums are counted by hand; what multiplies nothing is 0, and a form that is not known tells nothing."""
    assert multiply_adds(primitive, problem, auxiliary) == expected


def test_a_recorded_forward_adds_up_to_the_model() -> None:
    """SimpleCNN at batch 8, layer by layer, whichever engine of torch spoke."""
    layers = [8 * 32 * 32 * 32 * 3 * 9, 8 * 64 * 16 * 16 * 32 * 9, 8 * 4096 * 10]
    said = parse((GOLDEN / "onednn_avx512_vnni.txt").read_text(encoding="utf-8"))
    assert [call.multiply_adds for call in said.calls if call.multiply_adds] == layers
    primitives = said.to_dict()["primitives"]
    assert isinstance(primitives, list)
    assert sum(each["multiply_adds"] for each in primitives) == sum(layers)
