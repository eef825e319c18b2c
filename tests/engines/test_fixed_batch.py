"""fixed_batch.py: pictures in parts of one size, and what a program that takes that many answers to any number."""

import numpy as np
import pytest

from int8bench.engines.fixed_batch import filled, in_parts, parts


def test_pictures_are_cut_into_equal_parts():
    """The last one is filled with the first pictures again; nothing is lost."""
    found = parts(np.arange(5)[:, None], 2)
    assert [part[:, 0].tolist() for part in found] == [[0, 1], [2, 3], [4, 0]]


@pytest.mark.parametrize(("count", "expected"), [(5, [0, 1]), (2, [0, 1]), (1, [0, 0])])
def test_a_program_is_filled_with_the_first_pictures(count, expected):
    """Fewer than it takes come again."""
    assert filled(np.arange(count)[:, None], 2)[:, 0].tolist() == expected


def test_answers_come_for_each_picture_once():
    """In order, and none for a picture that fills up."""
    answered = in_parts(np.arange(5)[:, None], 2, lambda part: part * 10)
    assert answered[:, 0].tolist() == [0, 10, 20, 30, 40]
