import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from int8bench import units

POSITIVE = st.floats(min_value=1e-9, max_value=999.0)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.84e-3, "840 us"),
        (12.3e-3, "12.3 ms"),
        (999.4e-6, "999 us"),
        (999.6e-6, "1.00 ms"),
        (999.6e-9, "1.00 us"),
        (0.9996, "1.00 s"),
        (9.996e-3, "10.0 ms"),
        (99.96e-3, "100 ms"),
        (1.0, "1.00 s"),
        (86_400.0, "86400 s"),
        (0.5e-9, "0.500 ns"),
        (-0.84e-3, "-840 us"),
        (0.0, "0 ns"),
        (math.inf, "inf s"),
    ],
)
def test_seconds_have_three_digits_and_the_unit_of_what_is_shown(value: float, shown: str) -> None:
    """The unit is that of the rounded value: 999.6 us is 1.00 ms, never 1000 us."""
    assert units.seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 B"),
        (0.4, "0 B"),
        (999, "999 B"),
        (999.6, "1.00 kB"),
        (65_849, "65.8 kB"),
        (241_448, "241 kB"),
        (999_600, "1.00 MB"),
        (33.6e9, "33.6 GB"),
        (2.5e12, "2500 GB"),
        (-65_849, "-65.8 kB"),
    ],
)
def test_bytes_have_decimal_units(value: float, shown: str) -> None:
    """A byte is whole, everything above has three digits."""
    assert units.size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.25, "0.250/s"), (7, "7.00/s"), (999.6, "1.00k/s"), (12_345, "12.3k/s"), (999_600, "1.00M/s"), (0, "0/s")],
)
def test_rates_have_three_digits(value: float, shown: str) -> None:
    """Items a second, thousands and millions by letter."""
    assert units.rate(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(1.274, "1.27x"), (0.6, "0.60x"), (12.0, "12.00x")])
def test_ratios_have_two_decimals(value: float, shown: str) -> None:
    """A ratio is followed by an x."""
    assert units.ratio(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.9804, "98.0%"), (1.0, "100.0%"), (0.0, "0.0%")])
def test_shares_are_percentages(value: float, shown: str) -> None:
    """A share has one decimal."""
    assert units.share(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(9.996, "10.0"), (99.96, "100"), (0.09996, "0.100"), (1234.5, "1234"), (0.0012345, "0.00123"), (0.0, "0")],
)
def test_three_digits_are_never_four(value: float, shown: str) -> None:
    """Rounding up to the next power of ten costs a decimal; whole digits are all kept."""
    assert units.three_digits(value) == shown


def test_what_is_no_number_says_so() -> None:
    """Not-a-number and infinity have no digits."""
    assert units.three_digits(math.nan) == "nan"
    assert units.three_digits(-math.inf) == "-inf"


def test_a_shape_is_shown_as_it_is_typed() -> None:
    """Axes are joined by an x."""
    assert units.shape((3, 32, 32)) == "3x32x32"


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no such\n\tlayer"), "ValueError: no such layer"),
        (EOFError(), "EOFError"),
        (KeyError("fc"), "KeyError: 'fc'"),
        (RuntimeError("x" * 300), f"RuntimeError: {'x' * 240} ..."),
    ],
    ids=["lines", "empty", "key", "long"],
)
def test_a_reason_is_one_short_line(error: Exception, shown: str) -> None:
    """Another library's error keeps its type and its first words."""
    assert units.reason(error) == shown


def _raised_from(*errors: Exception) -> Exception:
    """The last of several errors, each raised from the one before."""
    for cause, error in pairwise(errors):
        error.__cause__ = cause
    return errors[-1]


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (_raised_from(KeyError("aten.foo"), ValueError("no lowering"), RuntimeError("failed")), "KeyError: 'aten.foo'"),
        (
            RuntimeError(
                'Could not guard on Eq(u0, 1)\n\nThe following call raised this error:\n  File "m.py", line 3, in f'
            ),
            "RuntimeError: Could not guard on Eq(u0, 1)",
        ),
        (
            RuntimeError(
                'the worker failed:\nTraceback (most recent call last):\n  File "w.py", line 1\nTypeError: no 8 bits\n'
            ),
            "TypeError: no 8 bits",
        ),
        (
            RuntimeError('mismatch\n\nWhile executing %conv\nOriginal traceback:\nFile "m.py", line 3'),
            "RuntimeError: mismatch",
        ),
        (RuntimeError("the failure is in:"), "RuntimeError: the failure is in:"),
        (_raised_from(EOFError(), RuntimeError("failed")), "EOFError"),
    ],
    ids=["chain", "announcement", "quoted traceback", "where", "announcement alone", "a cause without words"],
)
def test_a_reason_tells_the_cause(error: Exception, shown: str) -> None:
    """Not the wrapper around it, nor what only announces it, nor where it was met."""
    assert units.reason(error) == shown


@settings(deadline=None, derandomize=True)
@given(value=POSITIVE)
def test_seconds_read_back_to_three_digits(value: float) -> None:
    """What is shown is the value to half a unit of its third digit, with exactly three digits."""
    number, unit = units.seconds(value).split()
    scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
    assert math.isclose(float(number) * scale, value, rel_tol=0.0051)
    assert 1 <= float(number) < 1000
    assert len(number.replace(".", "")) == 3


@settings(deadline=None, derandomize=True)
@given(value=POSITIVE, sign=st.sampled_from([units.seconds, units.rate, units.three_digits]))
def test_a_sign_changes_nothing_else(value: float, sign) -> None:
    """A negative figure is the positive one behind a minus."""
    assert sign(-value) == f"-{sign(value)}"


@settings(deadline=None, derandomize=True)
@given(value=st.integers(min_value=1, max_value=10**12 - 10**9))
def test_bytes_read_back(value: int) -> None:
    """What is shown is the size to half a unit of its third digit."""
    number, unit = units.size(value).split()
    assert math.isclose(float(number) * {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}[unit], value, rel_tol=0.0051)
    assert float(number) < 1000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1 s"),
        (0.4, "1 s"),
        (38.4, "38 s"),
        (59.6, "1 min"),
        (252.0, "4 min 12 s"),
        (300.0, "5 min"),
        (3_600.0, "1 h"),
        (3_900.0, "1 h 5 min"),
    ],
)
def test_a_time_that_a_person_waits_is_said_in_minutes(seconds: float, text: str) -> None:
    """Rounded to the second; nothing takes no time."""
    assert units.duration(seconds) == text
