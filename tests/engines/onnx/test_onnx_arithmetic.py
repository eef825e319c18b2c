"""ONNX Runtime's operators are weighed by the shapes in its profile, whatever scales stand between them."""

import pytest

from int8bench.engines.onnx.files import multiply_adds

CONV = 2 * 8 * 16 * 16 * 3 * 9


@pytest.mark.parametrize(
    ("name", "given", "answer", "expected"),
    [
        ("Conv", [(2, 3, 16, 16), (8, 3, 3, 3), (8,)], (2, 8, 16, 16), CONV),
        ("QLinearConv", [(2, 3, 16, 16), (), (), (8, 3, 3, 3), (8,), (8,), (), ()], (2, 8, 16, 16), CONV),
        ("QLinearConv", [(2, 16, 16, 3), (), (), (8, 3, 3, 3), (8,), (8,), (), ()], (2, 16, 16, 8), CONV),
        ("Conv", [(1, 8, 16, 16), (8, 1, 3, 3)], (1, 8, 16, 16), 8 * 256 * 9),
        ("ConvTranspose", [(1, 8, 4, 4), (8, 4, 2, 2)], (1, 4, 8, 8), 8 * 16 * 4 * 4),
        ("Gemm", [(2, 64), (10, 64), (10,)], (2, 10), 1280),
        ("QGemm", [(2, 64), (), (), (64, 10), (10,), (10,), (10,), (), ()], (2, 10), 1280),
        ("MatMul", [(4, 5, 6), (4, 6, 7)], (4, 5, 7), 840),
        ("MatMulIntegerToFloat", [(1, 5, 6), (6, 7), (), (7,)], (1, 5, 7), 210),
        ("LSTM", [(9, 2, 4), (1, 32, 4), (1, 32, 8)], (9, 1, 2, 8), 9 * 2 * (128 + 256)),
        ("Attention", [(1, 5, 8), (8, 24), (24,)], (1, 5, 8), 5 * 8 * 24 + 2 * 5 * 5 * 8),
        ("MultiHeadAttention", [(1, 5, 8), (1, 7, 8), (1, 7, 8)], (1, 5, 8), 2 * 5 * 7 * 8),
        ("Softmax", [(1, 10)], (1, 10), 0),
        ("Relu", [(1, 10)], (1, 10), 0),
        ("Einsum", [(4, 5), (5, 6)], (4, 6), None),
        ("Conv", [(1, 8)], (1, 8), None),
    ],
)
def test_an_operator_is_weighed_by_its_shapes(
    name: str, given: list[tuple[int, ...]], answer: tuple[int, ...], expected: int | None
) -> None:
    """As its sums are counted by hand; scales and zero points between weigh nothing; what does not tell is None."""
    assert multiply_adds(name, given, [answer]) == expected
