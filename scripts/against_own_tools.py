"""Holds the ratio of two engines against the engines' own benchmark tools, on the very files that int8bench converted.

    python scripts/against_own_tools.py --batch 32 --threads 1 --seconds 120

Half of the time goes to a run of int8bench's over SimpleCNN (trained, digits); half to the tools, each of which takes
its turn in each of several repetitions, in random order, so that a busy moment is everybody's. The tools are those of
the wheels: OpenVINO's `benchmark_app`, LiteRT's `litert-benchmark`, and onnxruntime's `onnxruntime.tools.
onnxruntime_test`, since no wheel has its `onnxruntime_perf_test`. All are loops in Python over random pictures of their
own. Of each the median call is taken; onnxruntime's tells a mean alone, and so is asked for one call again and again on
one session, which is opened with the threads and the batch for which the tool has no options. benchmark_app would take
pictures for bytes (`-ip`), and keeps NCHW, while int8bench feeds OpenVINO with channels-last. int8bench leaves out
rounds that lost their core, unless most did, and the tools leave out none: where others are at work on the machine,
most calls longer than a time slice lose theirs, and `--percentile 5` asks the tools for their undisturbed calls.

Each tool runs with the allocator and on the cores that int8bench gives a contender. Prints JSON: for each pair of
engines in one precision the first's time over the second's, by int8bench and by the tools, with 95 % intervals
(int8bench's over launches, the tools' over repetitions), and whether these meet. Exit code 1 where one pair does not, 2
where all do but one interval of the tools is so wide that it says nothing.
"""

import argparse
import json
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.stats import t as student

from int8bench.engines.onnx import files as onnx_files
from int8bench.engines.registry import engine_named
from int8bench.engines.tflite import files as tflite_files
from int8bench.errors import Int8BenchError
from int8bench.lab.environment import ProcessSettings, cores_for
from int8bench.lab.progress import Progress
from int8bench.machine import Hardware, detect, usable_processors
from int8bench.stats.ratio import estimate
from int8bench.stats.verdict import Looks, nominal_error_at
from int8bench.study import records, study
from int8bench.study.cells import OK, Cell
from int8bench.study.plan.request import Request
from int8bench.study.racing import launch_table
from int8bench.study.session import conversions
from int8bench.study.session.ledger import Ledger
from int8bench.workload.cases import FLOAT32, INT8, Case, Group, Variant, parse_id
from int8bench.workload.subject import default_subject, order_for

CONFIDENCE = 0.95
SAYS_NOTHING = 0.25  # half an interval's width, as a fraction of the ratio: engines differ by as much
MEDIAN, LOW = 50, 5  # the percentiles that all three tools can tell
PICTURE = (3, 32, 32)  # of SimpleCNN: channel, height, width
FEWEST_CALLS = 50
WARM_UP_CALLS = 20
# OpenVINO's threads are counted as the lab counts them, in logical processors; its tool has no option for that.
BENCHMARK_APP_SETTINGS = json.dumps({"CPU": {"ENABLE_HYPER_THREADING": "YES"}})
PRECISION = 1e-4  # of int8bench's run, which is to use all of its budget
SECONDS = {"ms": 1e-3, "us": 1e-6}

Interval = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a tool is asked to measure."""

    model: Path
    group: Group
    calls: int
    percentile: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The call that a tool tells of, and what it may be wrong by as it is written, in seconds."""

    seconds: float
    rounding_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """An engine's own benchmark tool: the file it takes, its command line, and what its output says of a percentile."""

    file: str
    command: Callable[[Work], Sequence[str]]
    told: Callable[[str, int], Told]
    settings: str = ""
    """What its process reads."""


def main() -> int:
    """Compares, prints, and returns the exit code."""
    asked = _arguments()
    group, engines = Group(batch=asked.batch, threads=asked.threads), tuple(asked.engines.split(","))
    if asked.inside:
        _test_onnxruntime(asked.inside, group, asked.calls)
        return 0
    if len(set(engines) & set(TOOLS)) < max(2, len(engines)):
        sys.exit(f"--engines {asked.engines}: expected two or more of {','.join(TOOLS)}")
    try:
        found = _compared(group, engines, asked)
    except Int8BenchError as error:
        sys.exit(str(error))
    print(json.dumps(found, indent=2))
    if not found["agree"]:
        return 1
    return 2 if found["says_nothing"] else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engines", default=",".join(TOOLS))
    parser.add_argument("--seconds", type=float, default=120.0, help="of measuring in all; imports come on top")
    parser.add_argument("--repetitions", type=int, default=8, help="of each tool on each file")
    parser.add_argument("--percentile", type=int, default=MEDIAN, choices=(LOW, MEDIAN), help="of the tools' calls")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=FEWEST_CALLS, help=argparse.SUPPRESS)
    return parser.parse_args()


def _compared(group: Group, engines: Sequence[str], asked: argparse.Namespace) -> dict[str, Any]:
    """The figures of both ways to measure, pair by pair."""
    machine = detect()
    loads = [os.getloadavg()[0]]
    files = _files(group, engines, machine)
    run = _run(group, engines, asked.seconds / 2)
    raced = [cell for cell in run.cells if cell.engine in engines]
    cases = {parse_id(cell.id): _median_s(cell) for cell in raced if cell.status == OK}
    loads.append(os.getloadavg()[0])
    each_s = asked.seconds / 2 / asked.repetitions / max(1, len(cases))
    works = {
        case: Work(
            model=files[case.variant],
            group=group,
            calls=max(FEWEST_CALLS, round(each_s / median_s)),
            percentile=asked.percentile,
        )
        for case, median_s in cases.items()
    }
    times = _by_the_tools(works, machine, asked.repetitions)
    loads.append(os.getloadavg()[0])
    pairs = [_pair(run, times, one, other) for one, other in _pairs(tuple(cases))]
    return {
        "processor": machine.brand,
        "batch": group.batch,
        "threads": group.threads,
        "percentile": asked.percentile,
        "load_averages": loads,
        "left_out": {cell.id: cell.error for cell in raced if cell.status != OK},
        "milliseconds": {
            case.variant.label: {
                "int8bench": 1e3 * cases[case],
                "tool": 1e3 * statistics.median(each.seconds for each in times[case]),
            }
            for case in cases
        },
        "pairs": pairs,
        "says_nothing": [f"{each['time_of']} over {each['over']}" for each in pairs if wide(each["tools"])],
        "agree": bool(pairs) and all(each["agree"] for each in pairs),
    }


def _files(group: Group, engines: Sequence[str], machine: Hardware) -> dict[Variant, Path]:
    """The converted file of each variant, made now or kept from an earlier run."""
    asked = {
        variant: conversion
        for each in map(engine_named, engines)
        for variant in each.variants
        if (conversion := each.conversion(variant, machine)) is not None
    }
    pieces = conversions.wanted(asked, [(variant, group.batch) for variant in asked])
    made = conversions.make(pieces, order_for(default_subject(_tell), ()), _tell).files()
    return {
        variant: folder / TOOLS[variant.engine].file for variant, found in made.items() for folder in found.values()
    }


def _tell(progress: Progress) -> None:
    print(progress.phase, file=sys.stderr)


def _run(group: Group, engines: Sequence[str], budget_s: float) -> records.Run:
    """int8bench's own record, as `int8bench run` would make it."""
    request = Request(
        model="simplecnn",
        weights=None,
        input_shape=None,
        engines=tuple(engines),
        batches=(group.batch,),
        threads=(group.threads,),
        data="digits",
        data_dir=None,
        precision=PRECISION,
        accuracy_loss=0.01,
        budget_s=None,
        measuring_s=budget_s,
        quick=False,
        seed=0,
        timeout_s=120.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        return study.run(request, Path(folder) / "run.json", lambda _progress: None)


def _median_s(cell: Cell) -> float:
    return cell.median.value


def _pairs(cases: Sequence[Case]) -> Iterator[tuple[Case, Case]]:
    for precision in (FLOAT32, INT8):
        yield from combinations([each for each in cases if each.variant.precision == precision], 2)


def _pair(run: records.Run, told: Mapping[Case, Sequence[Told]], one: Case, other: Case) -> dict[str, Any]:
    ours, theirs = _by_int8bench(run, one, other), ratio(told[one], told[other])
    return {
        "time_of": one.variant.label,
        "over": other.variant.label,
        "int8bench": ours,
        "tools": theirs,
        "tools_over_int8bench": theirs["value"] / ours["value"],
        "agree": meet(ours, theirs),
    }


def _by_int8bench(run: records.Run, one: Case, other: Case) -> Interval:
    """The ratio of a record: of paired samples, over launches, at the error of the look that it stopped at."""
    races = Ledger.of(run).races
    table = launch_table(races[one.id], races[other.id])
    assert table is not None, "a run has four launches or more"
    looks = Looks(launches=run.rates.plan.looks)
    nominal = nominal_error_at(looks, table.launches, 1 - CONFIDENCE)
    found = estimate(table, confidence=CONFIDENCE, nominal_error=nominal)
    return {"value": found.value, "low": found.low, "high": found.high}


def ratio(ones: Sequence[Told], others: Sequence[Told]) -> Interval:
    """The mean log-ratio over repetitions with Student's interval, widened by what rounding may hide."""
    logs = [math.log(one.seconds / other.seconds) for one, other in zip(ones, others, strict=True)]
    rounding = max(each.rounding_s / each.seconds for each in ones) + max(
        each.rounding_s / each.seconds for each in others
    )
    quantile = float(student.ppf(0.5 + CONFIDENCE / 2, len(logs) - 1))
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs)) + rounding
    centre = statistics.fmean(logs)
    return {"value": math.exp(centre), "low": math.exp(centre - half), "high": math.exp(centre + half)}


def meet(one: Interval, other: Interval) -> bool:
    """Whether two intervals have a value in common."""
    return one["low"] <= other["high"] and other["low"] <= one["high"]


def wide(found: Interval) -> bool:
    """Whether an interval is too wide to hold anything against."""
    return (found["high"] - found["low"]) / 2 / found["value"] > SAYS_NOTHING


def _by_the_tools(works: Mapping[Case, Work], machine: Hardware, repetitions: int) -> dict[Case, list[Told]]:
    """What each engine's own tool says of it: one call a repetition."""
    usable = usable_processors()[: machine.usable_cores or None]
    times: dict[Case, list[Told]] = {case: [] for case in works}
    for repetition in range(repetitions):
        for case in random.sample(list(works), len(works)):
            with _held_to(cores_for(threads=case.group.threads, launch=repetition, usable=usable)):
                times[case].append(_measured(TOOLS[case.variant.engine], works[case]))
            print(f"{case.variant.label}: {1e3 * times[case][-1].seconds:.3f} ms", file=sys.stderr)
    return times


@contextmanager
def _held_to(cores: Sequence[int]) -> Iterator[None]:
    """This thread on these cores, and so what it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _measured(tool: Tool, work: Work) -> Told:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *tool.command(work)],
        env=ProcessSettings().applied_to(os.environ),
        input=tool.settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(tool.command(work))}: exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return tool.told(done.stdout, work.percentile)


def _benchmark_app(work: Work) -> Sequence[str]:
    """OpenVINO's, without its telemetry, which would call a server."""
    start = (
        "import sys; sys.modules['openvino_telemetry'] = None; "
        "from openvino.tools.benchmark.main import main; sys.exit(main())"
    )
    shape = ",".join(map(str, (work.group.batch, *PICTURE)))
    return (
        *("-c", start, "-m", str(work.model), "-shape", f"[{shape}]", "-ip", "f32", "-d", "CPU", "-api", "sync"),
        *("-hint", "none", "-nstreams", "1", "-nthreads", str(work.group.threads), "-pin", "NO"),
        *(
            "-infer_precision",
            "f32",
            "-niter",
            str(work.calls),
            "-latency_percentile",
            str(work.percentile),
            "-load_config",
            "/dev/stdin",
        ),
    )


def _litert_benchmark(work: Work) -> Sequence[str]:
    return (
        *("-m", "ai_edge_litert.tools.benchmark_litert_model", "--model", str(work.model)),
        *("--num_threads", str(work.group.threads), "--num_runs", str(work.calls)),
        *("--warmup_runs", str(WARM_UP_CALLS)),
    )


def _onnxruntime_test(work: Work) -> Sequence[str]:
    return (
        *(__file__, "--inside", str(work.model), "--calls", str(work.calls)),
        *("--batch", str(work.group.batch), "--threads", str(work.group.threads)),
    )


def _test_onnxruntime(model: Path, group: Group, calls: int) -> None:
    """Runs onnxruntime's tool in this process, a call at a time, over one session opened as int8bench opens it."""
    import onnxruntime
    from onnxruntime.tools import onnxruntime_test

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = group.threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_free_dimension_override_by_name(onnx_files.BATCH, group.batch)
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    onnxruntime_test.onnxrt = SimpleNamespace(InferenceSession=lambda *_, **__: session, get_available_providers=list)
    feeds = None
    for _ in range(WARM_UP_CALLS + calls):
        _, feeds, _ = onnxruntime_test.run_model(str(model), num_iters=1, feeds=feeds)


def told_by_benchmark_app(output: str, percentile: int) -> Told:
    """Its percentile, which is in microseconds where calls are short."""
    name = "Median" if percentile == MEDIAN else f"{percentile} percentile"
    return _one(rf" {name}: +(?P<value>[\d.]+) (?P<unit>ms|us)$", output)


def told_by_litert_benchmark(output: str, percentile: int) -> Told:
    """Its percentile."""
    name = "median" if percentile == MEDIAN else f"p{percentile}"
    return _one(rf"^Inference \({name}\): +(?P<value>[\d.]+) (?P<unit>ms)$", output)


def told_by_onnxruntime_test(output: str, percentile: int) -> Told:
    """A percentile of its calls, each told on its own, without those that warm up."""
    calls = _all(r"^avg latency: (?P<value>[\d.e+-]+) (?P<unit>ms)$", output)[WARM_UP_CALLS:]
    if not calls:
        raise ValueError(f"expected the latencies of more than {WARM_UP_CALLS} calls in:\n{output}")
    return Told(seconds=float(np.percentile([each.seconds for each in calls], percentile)), rounding_s=0.0)


def _one(pattern: str, output: str) -> Told:
    found = _all(pattern, output)
    if len(found) != 1:
        raise ValueError(f"expected one line like {pattern!r} in:\n{output}")
    return found[0]


def _all(pattern: str, output: str) -> list[Told]:
    return [_told(each["value"], each["unit"]) for each in re.finditer(pattern, output, re.MULTILINE)]


def _told(value: str, unit: str) -> Told:
    decimals = len(value.partition(".")[2])
    return Told(seconds=float(value) * SECONDS[unit], rounding_s=0.5 * 10**-decimals * SECONDS[unit])


TOOLS: Mapping[str, Tool] = {
    "onnxruntime": Tool(file=onnx_files.FILE, command=_onnxruntime_test, told=told_by_onnxruntime_test),
    "openvino": Tool(
        file=onnx_files.FILE, command=_benchmark_app, told=told_by_benchmark_app, settings=BENCHMARK_APP_SETTINGS
    ),
    "litert": Tool(file=tflite_files.FILE, command=_litert_benchmark, told=told_by_litert_benchmark),
}


if __name__ == "__main__":
    sys.exit(main())
