"""Engines brought to an answer in a test's own process: converted into a folder, prepared, built."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from int8bench.engines.base import AnyEngine, Images, Material, Predictor
from int8bench.machine import Hardware, detect
from int8bench.workload.cases import Group, Variant

CI = os.environ.get("CI") == "true"
# What may be missing in CI too: a GPU's engine, and those whose packages forbid the newest torch (make test-newest).
MAY_BE_MISSING = {"tensorrt", *os.environ.get("INT8BENCH_LEFT_OUT", "").split(",")}
ONE = Group(batch=1, threads=1)


def require(engine: AnyEngine) -> None:
    """Skips a test where the engine cannot run, with its reason; in CI few may be missing."""
    availability = engine.availability(detect())
    if not availability.available:
        assert not CI or engine.name in MAY_BE_MISSING, f"{availability.reason}: the tests' environment must have it"
        pytest.skip(availability.reason or "not available")


def variant_of(engine: AnyEngine, precision: str) -> Variant:
    """The engine's variant of that precision."""
    return next(variant for variant in engine.variants if variant.precision == precision)


def made(
    engine: AnyEngine,
    precision: str,
    model: Any,
    pictures: Images,
    folder: Path,
    *,
    group: Group = ONE,
    machine: Hardware | None = None,
) -> Predictor:
    """A predictor, made in this process: its runtime's threads stay, so call it where nobody else minds."""
    variant = variant_of(engine, precision)
    material = Material(model=model, calibration=pictures, example=pictures[:1])
    conversion = engine.conversion(variant, machine or detect())
    files: dict[int | None, Path] = {}
    for batch in conversion.batches((group.batch,)) if conversion else ():
        assert conversion is not None
        files[batch] = folder / f"{engine.name}-{precision}-{batch}"
        files[batch].mkdir()
        conversion.function(material, conversion.options, batch, files[batch])
    ready = Material(model=model, calibration=pictures, example=pictures[:1], files=files)
    return engine.build(engine.prepare(variant, ready), group)


def tiny_cnn() -> Any:
    """SimpleCNN's shape on pictures of 3 x 16 x 16, with fixed random weights."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (
            nn.Conv2d(3, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
        )
        return nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 4 * 4, 10)).eval()


# Of tiny_cnn on one picture: two convolutions of 3 x 3 and a linear layer.
TINY_MULTIPLY_ADDS = 32 * 16 * 16 * 3 * 9 + 64 * 8 * 8 * 32 * 9 + 10 * 64 * 4 * 4


def some_pictures(count: int = 64) -> Images:
    """Pictures for it, the same in every test: (image, channel, height, width)."""
    return np.random.default_rng(0).normal(size=(count, 3, 16, 16)).astype(np.float32)


def told(program: str, *arguments: str, timeout_s: float = 300) -> Any:
    """What a program prints last, as JSON; run in an interpreter of its own, where an engine may start threads."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
