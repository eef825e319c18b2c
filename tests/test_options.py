"""What a person types."""

import pytest

from int8bench import options
from int8bench.errors import RequestError


def test_names_are_split_and_kept_once() -> None:
    """Spaces and repeats do not matter, the order does."""
    assert options.names("--engines", "x86, fbgemm,x86,") == ("x86", "fbgemm")


def test_counts_are_whole_numbers() -> None:
    """A list of batch sizes."""
    assert options.counts("--batch", "1,8,32,8") == (1, 8, 32)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "one", "1,0", "", ",", "2000000000", "9" * 5000, "1 2", "+1"])
def test_counts_below_one_are_refused_with_what_to_type(text: str) -> None:
    """Zero, minus one and words get a sentence that names the option and a way out."""
    with pytest.raises(RequestError, match=r"--batch .*expected.*try --batch 1 or") as told:
        options.counts("--batch", text)
    assert len(str(told.value)) < 150


@pytest.mark.parametrize(("text", "value"), [("1%", 0.01), ("0.5 %", 0.005), ("0.02", 0.02)])
def test_a_percentage_is_a_fraction(text: str, value: float) -> None:
    """With or without the sign."""
    assert options.fraction("--precision", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["0%", "100%", "-1%", "5", "much", "", "nan", "1e-3", "9" * 400])
def test_a_senseless_percentage_is_refused(text: str) -> None:
    """Nothing, everything and words."""
    with pytest.raises(RequestError, match="--precision"):
        options.fraction("--precision", text)


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("90", 90), ("1.5m", 90), ("2 min", 120), ("1h", 3600)])
def test_a_duration_is_seconds(text: str, value: float) -> None:
    """Seconds, minutes and hours."""
    assert options.seconds("--budget", text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["soon", "", "0", "0s", "-1s", "1d", "1e3", "nan", "8000000", "9" * 400])
def test_a_senseless_duration_is_refused(text: str) -> None:
    """Words, no time at all, and more than a week are no duration."""
    with pytest.raises(RequestError, match=r"--budget .*expected a duration.*try --budget 90s"):
        options.seconds("--budget", text)


def test_an_empty_list_of_names_is_refused() -> None:
    """Nothing but commas and spaces names nothing."""
    with pytest.raises(RequestError, match="--engines ' ,': expected names"):
        options.names("--engines", " ,")


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 MB", 1_500_000), ("300kB", 300_000), ("12", 12), ("0", 0)]
)
def test_a_size_is_read_in_decimal_units(text: str, size: int) -> None:
    """As disks are sold and as our own answers show them."""
    assert options.size("--cache-cap", text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "5GiB", "5 gb", "nan", "9" * 400, "2000TB"])
def test_what_is_no_size_is_a_sentence(text: str) -> None:
    """It says what to type."""
    with pytest.raises(RequestError, match=r"--cache-cap .*: expected a size such as .*try --cache-cap 5GB"):
        options.size("--cache-cap", text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.0, "15s"), (90.0, "90s"), (91.0, "2m"), (240.0, "4m"), (241.0, "5m")]
)
def test_a_duration_is_typed_as_it_is_read(seconds: float, text: str) -> None:
    """Rounded up, so that it is enough."""
    assert options.typed_seconds(seconds) == text
    assert options.seconds("--budget", text) >= seconds
