"""What the engine tensorrt needs of an environment and a machine, each thing with its own sentence. Imports no package.

Package, library, driver, GPU and torch's build each go missing in their own way.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from int8bench.engines import packages
from int8bench.machine import nvidia
from int8bench.machine.cores import ROOT

if TYPE_CHECKING:
    from int8bench.machine import Hardware

NAME = "tensorrt"
MODULES = ("tensorrt", "onnx", "onnxruntime", "onnxscript")
BINDINGS = ("tensorrt", "tensorrt_bindings")
LIBRARY = "libnvinfer.so"
OLDEST_GPU = (7, 5)  # Turing: what TensorRT 10.5 and later support
PLATFORMS = ("x86_64", "arm64")


def obstacles(hardware: Hardware) -> tuple[str, ...]:
    """Return a sentence for each thing missing here, with a command that mends it; empty where nothing is."""
    elsewhere = off_platform(hardware)
    if elsewhere is not None:
        return (elsewhere,)
    facts = nvidia.look()
    sentences = (_packages(), _library(), _torch(hardware), _driver(facts), _old(facts))
    return tuple(sentence for sentence in sentences if sentence)


def off_platform(hardware: Hardware) -> str | None:
    """Return why TensorRT can be had for no machine of this system and architecture, or None where it can."""
    if hardware.os == "Linux" and hardware.arch in PLATFORMS:
        return None
    return f"{NAME}: needs Linux on x86-64 or arm64, this machine is {hardware.os} on {hardware.arch}."


def _packages() -> str | None:
    missing = packages.missing(NAME, MODULES)
    return f"{missing}." if missing else None


def _library() -> str | None:
    """Return a sentence on bindings without the library that they call; None where it is there, or no bindings are."""
    if not any(find_spec(binding) for binding in BINDINGS):
        return None
    brought = find_spec("tensorrt_libs")
    folders = [Path(each) for each in (brought.submodule_search_locations or ())] if brought else []
    if any(next(folder.glob(f"{LIBRARY}*"), None) for folder in folders) or nvidia.finds(LIBRARY, ROOT, os.environ):
        return None
    return (
        f"{NAME}: its Python bindings are installed without the library that they call ({LIBRARY}); "
        "type pip install --extra-index-url https://pypi.nvidia.com tensorrt."
    )


def _torch(hardware: Hardware) -> str | None:
    version = hardware.torch.version if hardware.torch else None
    if version is None or "+cpu" not in version:
        return None
    return f"{NAME}: torch {version} is built without CUDA, and its tensors are the buffers; type pip install torch."


def _driver(facts: nvidia.GpuFacts) -> str | None:
    missing = nvidia.driver_objection(facts)
    return f"{NAME}: {missing}." if missing else None


def _old(facts: nvidia.GpuFacts) -> str | None:
    gpu = next(iter(nvidia.visible(facts)), None)
    if gpu is None or gpu.compute_capability >= OLDEST_GPU:
        return None
    needed, has = (".".join(map(str, each)) for each in (OLDEST_GPU, gpu.compute_capability))
    return f"{NAME}: {gpu.name} has compute capability {has}, expected {needed} or more; use a newer GPU."
