"""The policy of the gate: its defaults, its file, and a sentence for everything that is wrong with it."""

from pathlib import Path

import pytest

from int8bench.compare.comparisons import Metric
from int8bench.compare.gate.policy import DEFAULT_THRESHOLDS, JUDGED, Policy, load, parse
from int8bench.errors import RequestError
from int8bench.machine.finding import Severity

FULL = """
[tool.int8bench.gate]
metrics = ["speedup", "weights", "speedup"]
severity = "warning"
error-rate = 0.01
family-error-rate = 0.1
budget = "2m"
base = "origin/main"
suite = "asv"
model = "my.package:factory"
input-shape = "1x8x8"
data = "cifar10"
engines = ["x86", "fbgemm"]
batch = [1, 32]
threads = [1]

[tool.int8bench.gate.thresholds]
speedup = 2.5
weights = 0
"""


def test_every_key_of_the_file_is_read() -> None:
    """Percent become fractions, durations seconds, and a threshold that is not given keeps its default."""
    assert parse(FULL) == Policy(
        metrics=(Metric.SPEEDUP, Metric.WEIGHTS),
        thresholds={**DEFAULT_THRESHOLDS, Metric.SPEEDUP: 0.025, Metric.WEIGHTS: 0.0},
        severity=Severity.WARNING,
        error_rate=0.01,
        family_error_rate=0.1,
        budget_s=120.0,
        base="origin/main",
        suite="asv",
        model="my.package:factory",
        input_shape="1x8x8",
        data="cifar10",
        engines=("x86", "fbgemm"),
        batch=(1, 32),
        threads=(1,),
    )


def test_a_project_without_a_policy_has_the_defaults(tmp_path: Path) -> None:
    """No file, and a file that says nothing of a gate, are the same; every metric with a worse side is judged."""
    assert load(tmp_path) == Policy()
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n[tool.int8bench]\nother = 1\n')
    assert load(tmp_path) == Policy()
    assert Policy().metrics == JUDGED
    assert tuple(metric for metric in Metric if metric is not Metric.TRACKED) == JUDGED
    assert Policy().thresholds.keys() == set(JUDGED)


def test_the_json_has_the_words_of_the_file() -> None:
    """What is printed can be typed: the same keys, and percent."""
    document = parse(FULL).to_dict()
    assert document["thresholds"]["speedup"] == 2.5
    assert (document["budget"], document["input-shape"], document["engines"]) == ("120s", "1x8x8", ["x86", "fbgemm"])
    assert Policy().to_dict()["threads"] is None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("thresholds.time = 'abc'", "thresholds.time: expected a number of percent from 0 up, such as 1.0, got 'abc'"),
        ("thresholds.time = -1", "thresholds.time: expected a number of percent"),
        ("thresholds.time = nan", "thresholds.time: expected a number of percent"),
        ("thresholds.sqnr = inf", "thresholds.sqnr: expected a number of percent"),
        ("thresholds.time = true", "thresholds.time: expected a number of percent"),
        ("thresholds.tracked = 1", "thresholds.tracked: no such key; expected one of time, speedup"),
        ("thresholds = 5", "thresholds: expected a table, got 5"),
        ("metrics = ['latency']", "metrics: expected names of time, speedup"),
        ("metrics = []", "metrics: expected a list of texts with one or more, got []"),
        ("metrics = 'time'", "metrics: expected a list of texts"),
        ("severity = 'fatal'", "severity: expected one of error, warning, note, got 'fatal'"),
        ("error-rate = 0", "error-rate: expected a probability above 0 and below 1"),
        ("family-error-rate = 1.0", "family-error-rate: expected a probability"),
        ("budget = 90", "budget: expected a duration as text"),
        ("budget = 'soon'", "budget soon: expected a duration such as 90s"),
        ("base = ''", "base: expected text, got ''"),
        ("suite = 'nose'", "suite: expected one of grid, asv, pytest"),
        ("engines = [1]", "engines[0]: expected text, got 1"),
        ("batch = [0]", "batch[0]: expected a whole number from 1 up, got 0"),
        ("batch = [true]", "batch[0]: expected a whole number from 1 up, got True"),
        ("threads = 2", "threads: expected a list of whole numbers from 1 up, got 2"),
        ("treshold = 1", "treshold: no such key; expected one of metrics, thresholds"),
    ],
)
def test_a_wrong_value_is_one_sentence(line: str, sentence: str) -> None:
    """It names the file, the key, what was expected and what was there."""
    with pytest.raises(RequestError) as raised:
        parse(f"[tool.int8bench.gate]\n{line}\n", name="here/pyproject.toml")
    assert str(raised.value).startswith("here/pyproject.toml: tool.int8bench.gate.")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"[tool.int8bench.gate\n", "not TOML: "),
        (b"[tool.int8bench]\ngate = 3\n", "tool.int8bench.gate: expected a table, got 3"),
        (b"\xff\xfe", "cannot be read: not a text file"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    """Not TOML, not text, or a gate that is no table."""
    (tmp_path / "pyproject.toml").write_bytes(content)
    with pytest.raises(RequestError, match=r"pyproject\.toml: ") as raised:
        load(tmp_path)
    assert sentence in str(raised.value)


def test_a_folder_in_its_place_cannot_be_read(tmp_path: Path) -> None:
    """What the system says of the file is told."""
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(RequestError, match="cannot be read: Is a directory"):
        load(tmp_path)
