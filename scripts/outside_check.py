"""Holds a speed-up of a record against torch.utils.benchmark's Timer, which knows nothing of int8bench's lab.

    python scripts/outside_check.py RUN.json [--cell ID] [--processes 10] [--seconds 2]

Each process is fresh, builds the int8 model and its float32 reference with torch alone, and times one after the other
with `Timer.blocked_autorange`; a ratio a process, and Student's interval on their logarithms. Prints JSON: both
estimates, and whether their intervals meet. Exit code 1 where they do not.
"""

import argparse
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t as student

from int8bench.lab.environment import ProcessSettings
from int8bench.study import records
from int8bench.workload.cases import CHANNELS_LAST, Case, parse_id

CONFIDENCE = 0.95


def main() -> int:
    """Compares, prints, and returns the exit code."""
    asked = _arguments()
    if asked.inside:
        print(json.dumps(_timed(parse_id(asked.cell), asked.reference_layout, asked.seconds)))
        return 0
    run = records.load(asked.record)
    cell = next((each for each in run.cells if asked.cell in {None, each.id} and each.speedups), None)
    if cell is None:
        sys.exit(f"{asked.record}: no int8 cell {asked.cell or ''} with a speed-up")
    ours = cell.speedup("best_float32")
    assert ours is not None
    layout = parse_id(ours.reference).variant.layout
    ratios = [_in_a_fresh_process(cell.id, layout, asked.seconds) for _ in range(asked.processes)]
    theirs = _interval(ratios)
    meet = ours.low <= theirs["high"] and theirs["low"] <= ours.high
    found = {"value": ours.value, "low": ours.low, "high": ours.high}
    print(json.dumps({"cell": cell.id, "reference": ours.reference, "int8bench": found, "timer": theirs, "meet": meet}))
    return 0 if meet else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("record", type=Path, metavar="RUN.json")
    parser.add_argument("--cell", help="the id of an int8 cell; the first with a speed-up where left out")
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing, a contender and process")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--reference-layout", default=CHANNELS_LAST, help=argparse.SUPPRESS)
    return parser.parse_args()


def _in_a_fresh_process(cell: str, layout: str, seconds: float) -> float:
    """The ratio of one fresh process, started with the same allocator and OpenMP settings as the lab's."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", __file__, "-", "--inside", "--cell", cell),
            *("--reference-layout", layout, "--seconds", str(seconds)),
        ],
        env=ProcessSettings().applied_to(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    ratio: float = json.loads(done.stdout)["ratio"]
    return ratio


def _timed(case: Case, layout: str, seconds: float) -> dict[str, float]:
    """Both medians by torch's own Timer, in this process."""
    import torch
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
    from torch.utils.benchmark import Timer

    from int8bench.workload.data import load_data
    from int8bench.workload.models import SimpleCNN

    torch.manual_seed(0)
    torch.set_num_threads(case.group.threads)
    model = SimpleCNN(10).eval()
    data = load_data("digits", input_shape=(3, 32, 32))
    torch.backends.quantized.engine = case.variant.engine
    calibration = torch.from_numpy(data.calibration_images).contiguous(memory_format=torch.channels_last)
    observed = prepare_fx(model, get_default_qconfig_mapping(case.variant.engine), (calibration[:1],))
    observed(calibration)
    int8 = convert_fx(observed)
    pictures = torch.from_numpy(data.validation_images[: case.group.batch])
    kinds = {CHANNELS_LAST: torch.channels_last}
    formats = {"float32": kinds.get(layout, torch.contiguous_format), "int8": torch.channels_last}
    float32 = SimpleCNN(10).eval().to(memory_format=formats["float32"])
    medians = {}
    for name, module in (("float32", float32), ("int8", int8)):
        batch = pictures.contiguous(memory_format=formats[name])
        timer = Timer("module(batch)", globals={"module": module, "batch": batch}, num_threads=case.group.threads)
        with torch.inference_mode():
            medians[name] = timer.blocked_autorange(min_run_time=seconds).median
    return {**medians, "ratio": medians["float32"] / medians["int8"]}


def _interval(ratios: list[float]) -> dict[str, float]:
    logs = [math.log(ratio) for ratio in ratios]
    half = float(student.ppf(0.5 + CONFIDENCE / 2, len(logs) - 1)) * stdev(logs) / math.sqrt(len(logs))
    centre = mean(logs)
    return {"value": math.exp(centre), "low": math.exp(centre - half), "high": math.exp(centre + half)}


if __name__ == "__main__":
    sys.exit(main())
