"""What timing itself costs, as a share of a sample: the timed body around a call that does nothing."""

import json
import time
from statistics import median

from int8bench.lab.sampling import SAMPLE_S, time_calls

SAMPLES = 20_000
CALLS = (1, 10, 100)  # a call of 100, 10 and 1 us fills a sample with so many


def nothing() -> None:
    """A call without a body: what is left is the call itself, the loop and the clock."""


def share(calls: int) -> float:
    """The overhead of a sample of so many calls, as a share of the shortest sample."""
    return median(time_calls(nothing, calls, time.perf_counter) for _ in range(SAMPLES)) / SAMPLE_S


if __name__ == "__main__":
    print(json.dumps({f"{calls} calls a sample": f"{share(calls):.3%}" for calls in CALLS}, indent=2))
