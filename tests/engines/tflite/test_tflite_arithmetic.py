"""Operators of .tflite files are weighed by the shapes of their tensors."""

import pytest

from int8bench.engines.tflite.files import multiply_adds


@pytest.mark.parametrize(
    ("name", "given", "answer", "expected"),
    [
        ("CONV_2D", [(2, 16, 16, 3), (8, 3, 3, 3), (8,)], (2, 16, 16, 8), 2 * 256 * 8 * 27),
        ("CONV_2D", [(1, 4, 4, 8), (8, 1, 1, 2), (8,)], (1, 4, 4, 8), 16 * 8 * 2),
        ("DEPTHWISE_CONV_2D", [(1, 8, 8, 64), (1, 3, 3, 64), (64,)], (1, 4, 4, 64), 16 * 64 * 9),
        ("CONV_3D", [(1, 2, 4, 4, 3), (1, 3, 3, 3, 8)], (1, 2, 4, 4, 8), 32 * 8 * 27),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 16), (1, 4, 4, 16)], (1, 8, 8, 8), 16 * 16 * 8 * 4),
        ("FULLY_CONNECTED", [(2, 8, 8, 64), (10, 4096), (10,)], (2, 10), 81920),
        ("BATCH_MATMUL", [(4, 5, 6), (4, 7, 6)], (4, 5, 7), 840),
        ("UNIDIRECTIONAL_SEQUENCE_LSTM", [(2, 5, 3), *[(8, 3)] * 4, *[(8, 8)] * 4, ()], (2, 5, 8), 10 * 4 * (24 + 64)),
        ("SOFTMAX", [(2, 10)], (2, 10), 0),
        ("STABLEHLO_COMPOSITE", [(2, 10)], (2, 10), None),
    ],
)
def test_an_operator_is_weighed_by_its_shapes(
    name: str, given: list[tuple[int, ...]], answer: tuple[int, ...], expected: int | None
) -> None:
    """As its sums are counted by hand; what has work inside that no shape tells is None."""
    assert multiply_adds(name, given, answer) == expected
