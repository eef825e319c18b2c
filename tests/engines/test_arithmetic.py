"""Multiply-adds by shapes are those that a plain loop over a layer's sums counts, or torch's own counter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int8bench.engines import operators

SIDE = st.integers(1, 5)


@given(images=SIDE, into=SIDE, out=SIDE, kernel=SIDE, side=SIDE)
def test_a_convolution_sums_its_kernel_for_each_element_of_its_answer(
    images: int, into: int, out: int, kernel: int, side: int
) -> None:
    """Counted sum by sum."""
    slow = sum(1 for _ in range(images * out * side * side) for _ in range(into * kernel * kernel))
    assert operators.convolution((images, out, side, side), (out, into, kernel, kernel)) == slow
    assert operators.convolution((images, side, side, out), (out, kernel, kernel, into)) == slow


@given(rows=SIDE, inner=SIDE, columns=SIDE, batch=st.lists(SIDE, max_size=2))
def test_a_product_sums_its_inner_axis_for_each_element_of_its_answer(
    rows: int, inner: int, columns: int, batch: list[int]
) -> None:
    """Whichever side is transposed, and however many products there are."""
    slow = rows * columns * inner
    for each in batch:
        slow *= each
    answer = (*batch, rows, columns)
    for left in ((*batch, rows, inner), (*batch, inner, rows)):
        for right in ((*batch, inner, columns), (*batch, columns, inner), (inner, columns)):
            assert operators.product(left, right, answer) == slow


@pytest.mark.parametrize(
    ("answer", "expected"), [((2, 10), 2 * 10 * 7), ((2, 5, 10), 2 * 5 * 10 * 7), ((2, 0), 0), ((), 0)]
)
def test_a_linear_layer_sums_its_features(answer: tuple[int, ...], expected: int) -> None:
    """For each element of its answer, with the weights in either order."""
    assert operators.linear(answer, (10, 7)) == operators.linear(answer, (7, 10)) == expected


def test_other_layers_have_their_own_sums() -> None:
    """A transposed convolution spreads its input; a recurrent layer meets all its weights at each step."""
    assert operators.transposed_convolution((1, 16, 8, 8), (16, 8, 2, 2)) == 16 * 8 * 8 * 8 * 4
    assert operators.recurrent(6, (1, 16, 3), (1, 16, 4)) == 6 * 16 * 7
    assert operators.product((0, 3), (3, 2), (0, 2)) == 0
