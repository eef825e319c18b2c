"""What engines' own benchmark tools print is read right, from output recorded of them; no tool runs here."""

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "against_own_tools.py"

BENCHMARK_APP = """\
[ INFO ] First inference took 16.95 ms
[Step 11/11] Dumping statistics report
[ INFO ] Execution Devices:['CPU']
[ INFO ] Count:            500 iterations
[ INFO ] Duration:         4091.58 ms
[ INFO ] Latency:
[ INFO ]    Median:        5.28 ms
[ INFO ]    Average:       7.96 ms
[ INFO ]    Min:           1.17 ms
[ INFO ]    Max:           22.40 ms
[ INFO ] Throughput:   3910.47 FPS
"""
SHORT_CALLS = BENCHMARK_APP.replace("5.28 ms", "83.47 us")
LOW_CALLS = BENCHMARK_APP.replace("   Median:        5.28", "   5 percentile:     1.21")
LITERT = """\
========================================
 BENCHMARK RESULTS
========================================
Model initialization:  9.51 ms
Warmup (first):        9.93 ms
Warmup (avg):          4.83 ms (20 runs)
Inference (avg):       5.17 ms (500 runs)
Inference (min):       1.36 ms
Inference (max):       17.73 ms
Inference (median):    1.59 ms
Inference (std):       4.85 ms
Inference (p5):        1.38 ms
Inference (p95):       13.64 ms
Throughput:            72.49 MB/s
Fully accelerated:     True
========================================
"""


def onnxruntime_calls(*milliseconds: float) -> str:
    """What onnxruntime's tool prints over calls of these lengths."""
    called = (f"model: main_graph\nversion: 0\niterations: 1\navg latency: {each} ms\n" for each in milliseconds)
    return "".join(called)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    """The names of the script, which does nothing when it is read."""
    return runpy.run_path(str(SCRIPT))


def told(script: dict[str, Any], engine: str, output: str, percentile: int) -> tuple[float, float]:
    """What is read from the output of an engine's tool: a call's time and its rounding, in microseconds."""
    found = script["TOOLS"][engine].told(output, percentile)
    return found.seconds * 1e6, found.rounding_s * 1e6


@pytest.mark.parametrize(
    ("engine", "output", "percentile", "expected_us", "rounding_us"),
    [
        ("openvino", BENCHMARK_APP, 50, 5280, 5),
        ("openvino", SHORT_CALLS, 50, 83.47, 0.005),
        ("openvino", LOW_CALLS, 5, 1210, 5),
        ("litert", LITERT, 50, 1590, 5),
        ("litert", LITERT, 5, 1380, 5),
    ],
)
def test_the_asked_percentile_is_read_with_its_unit_and_its_rounding(
    script: dict[str, Any], engine: str, output: str, percentile: int, expected_us: float, rounding_us: float
) -> None:
    """Neither the mean nor the best call is taken for it, and half of its last digit is its rounding."""
    assert told(script, engine, output, percentile) == pytest.approx((expected_us, rounding_us))


@pytest.mark.parametrize(("percentile", "expected_us"), [(50, 3), (5, 1.2)])
def test_the_calls_of_onnxruntimes_tool_are_ranked_without_its_warm_up(
    script: dict[str, Any], percentile: int, expected_us: float
) -> None:
    """It tells one mean a call; the first of them, which allocate, do not count, and small ones come as 4e-03."""
    output = onnxruntime_calls(*[9.0] * script["WARM_UP_CALLS"], 0.001, 4e-03, 2e-03, 0.003, 0.005)
    assert told(script, "onnxruntime", output, percentile) == pytest.approx((expected_us, 0))


@pytest.mark.parametrize(
    ("engine", "output"),
    [
        ("openvino", "[ ERROR ] Check 'false' failed"),
        ("openvino", LOW_CALLS),
        ("litert", LITERT + LITERT),
        ("onnxruntime", onnxruntime_calls(1.0, 2.0)),
    ],
    ids=["no figure", "another percentile", "two runs", "warm-up alone"],
)
def test_an_output_without_one_clear_figure_is_refused(script: dict[str, Any], engine: str, output: str) -> None:
    """The error shows the output, so that a new version of a tool is not read as a time of zero."""
    with pytest.raises(ValueError, match="expected") as caught:
        told(script, engine, output, 50)
    assert output in str(caught.value)


def test_the_ratio_of_the_tools_is_paired_by_repetition(script: dict[str, Any]) -> None:
    """A machine that slows both down in a repetition alike changes nothing."""
    ones, others = (
        [script["Told"](seconds=each, rounding_s=0) for each in times] for times in ((2, 6, 3), (1, 3, 1.5))
    )
    assert script["ratio"](ones, others) == pytest.approx({"value": 2, "low": 2, "high": 2})


def test_what_rounding_hides_widens_the_interval(script: dict[str, Any]) -> None:
    """Two tools that tell the same rounded figure each time are not sure of it."""
    ones, others = ([script["Told"](seconds=each, rounding_s=0.1)] * 3 for each in (10, 5))
    found = script["ratio"](ones, others)
    assert (found["low"], found["high"]) == pytest.approx((2 * 2.718281828**-0.03, 2 * 2.718281828**0.03))


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [((1.0, 1.2), (1.1, 1.3), True), ((1.0, 1.2), (1.21, 1.3), False), ((1.21, 1.3), (1.0, 1.2), False)],
)
def test_intervals_agree_where_they_have_a_value_in_common(
    script: dict[str, Any], one: tuple[float, float], other: tuple[float, float], *, agree: bool
) -> None:
    """Whichever of them is the higher one."""
    low_high = [dict(zip(("low", "high"), each, strict=True)) for each in (one, other)]
    assert script["meet"](*low_high) is agree


@pytest.mark.parametrize(("half", "wide"), [(0.2, False), (0.6, True)])
def test_an_interval_that_any_ratio_fits_into_says_nothing(script: dict[str, Any], half: float, *, wide: bool) -> None:
    """An agreement with such a one is told apart from one that could have failed."""
    assert script["wide"]({"value": 2.0, "low": 2 - half, "high": 2 + half}) is wide
