"""Exercises int8bench for ARM on an x86 machine, under user-mode emulation. Prints JSON; takes no times.

    python scripts/arm_under_emulation.py FOLDER > arm.json

FOLDER is filled once: an arm64 Debian root with Python (apt-get and dpkg-deb, into the folder alone), int8bench, and
the aarch64 wheels of torch and of the other engines' packages. Needs qemu-aarch64-static (Debian: qemu-user-static).
Then int8bench's doctor, its probes, its torch engines and its refusal to take times run there as an ARM process; the
answers of qnnpack are held against those of qnnpack on this machine. Whatever did not work is told with its reason.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from int8bench import documents
from int8bench.engines.base import Logits, Material
from int8bench.engines.registry import engine_named
from int8bench.errors import Int8BenchError
from int8bench.machine import detect, emulation
from int8bench.workload import fidelity
from int8bench.workload.cases import Group
from int8bench.workload.data import load_data
from int8bench.workload.models import SimpleCNN, load_model
from int8bench.workload.training import fit, load_weights, save_checkpoint

SHAPE = (3, 32, 32)  # SimpleCNN's pictures
EPOCHS = 3  # enough for answers that mean something
PICTURES = 64  # answered; a forward of one takes a tenth of a second under emulation
CALIBRATION = 64
ENGINES = ("torch", "qnnpack", "onednn")  # what torch's aarch64 wheels have
REPOSITORY = "deb [arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian"
RELEASE = "bookworm"  # its python3 is 3.11
PYTHON = "3.11"
DEBIAN = ("python3.11", "python3.11-minimal", "libstdc++6", "libgcc-s1")
# The last torch whose aarch64 wheel needs no CUDA libraries: those of 2.11 and later ask for 3 GB of them.
TORCH = ("torch==2.10.0", "torchvision==0.25.0")
# What doctor and the torch engines import; without resolution, since pip would take the markers of this machine.
OTHERS = """
annotated-doc annotated-types asv-runner attrs click filelock fsspec jinja2 joblib jsonschema jsonschema-specifications
markdown-it-py markupsafe mdurl mpmath<1.4 narwhals networkx numpy packaging pillow plotly psutil py-cpuinfo==9.0.0
pydantic pydantic-core pygments referencing rich rpds-py scikit-learn scipy setuptools shellingham sympy threadpoolctl
typer typing-extensions typing-inspection
"""
# The packages of the other engines, each with its import name: whether the wheel exists and loads.
RUNTIMES = {
    "onnxruntime": ("onnxruntime", "flatbuffers", "protobuf"),
    "openvino": ("openvino", "openvino-telemetry"),
    "ai_edge_litert.interpreter": ("ai-edge-litert", "flatbuffers", "backports.strenum", "tqdm"),
    "tflite_micro": ("tflite-micro>=0.dev20250101", "flatbuffers"),
    "executorch.runtime": ("executorch",),
}
PLATFORMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
REFUSED = 3  # exit code of NothingMeasuredError
SECONDS = 400  # doctor takes 90 s under emulation; what takes longer than this has refused nothing
NEVER = {
    "times": "refused: under emulation they would say how fast the emulator is",
    "silicon": "no ARM processor was touched: caches, cores of two kinds and frequency are as they are on this machine",
    "dispatch": "which NEON, dotprod, i8mm, SVE or SME kernels a given ARM processor would get",
    "macOS and 32-bit ARM": "rules alone, from recorded descriptions (tests/machine/rules/test_findings.py)",
}


def main() -> int:
    """Prepares the folder, exercises, prints."""
    asked = _arguments()
    if asked.inside:
        print(json.dumps(_answered(asked.folder)))
        return 0
    _check_tools()
    asked.folder.mkdir(parents=True, exist_ok=True)
    folder = asked.folder.resolve()
    shutil.rmtree(folder / "own", ignore_errors=True)  # int8bench as it is now; the rest is kept
    for name, make in (("root", _root), ("lib", _libraries), ("own", _own), ("runtimes", _runtimes)):
        _once(folder / name, make)
    _wrapper(folder)
    _once(folder / "questions", _questions)
    print(json.dumps(_report(folder), indent=2))
    return 0


def _report(folder: Path) -> dict[str, object]:
    exercised: dict[str, object] = {}
    not_exercised: dict[str, object] = dict(NEVER)
    for name, exercise in (("doctor", _doctor), ("answers", _answers), ("refusal", _refusal)):
        try:
            exercised[name] = exercise(folder)
        except (OSError, ValueError, LookupError, subprocess.SubprocessError) as error:
            not_exercised[name] = str(error)
    for module in RUNTIMES:
        refused = _import(folder, module)
        (not_exercised if refused else exercised)[f"import {module}"] = refused or "loads"
    return {"emulator": _output(["qemu-aarch64-static", "--version"]), "exercised": exercised, "not": not_exercised}


def _doctor(folder: Path) -> Mapping[str, object]:
    """What doctor says there: the machine, every engine's state with its saturation probe, the findings."""
    done = _arm(folder, "-m", "int8bench", "doctor", "--json")
    told = json.loads(done.stdout)
    return {
        "exit_code": done.returncode,
        "arch": told["hardware"]["arch"],
        "emulated": told["hardware"]["emulated"],
        "engines": told["engines"],
        "probes": told["probes"],
        "recommended": told["recommended"],
        "findings": [finding["code"] for finding in told["findings"]],
    }


def _answers(folder: Path) -> Mapping[str, object]:
    """The answers of ARM's engines, held against float32's and qnnpack's on this machine."""
    told = json.loads(_checked(_arm(folder, str(Path(__file__).resolve()), "--inside", str(folder))).stdout)
    here = {name: _answers_of(name, folder) for name in ("torch", "qnnpack")}
    labels = np.load(folder / "questions" / "pictures.npz")["labels"]
    for name in told["engines"]:
        answered = np.load(folder / f"answers-{name}.npy")
        against_float32 = documents.written(fidelity.compare(here["torch"], answered, labels))
        told["engines"][name]["against float32 on x86"] = against_float32
    against = here["qnnpack"], np.load(folder / "answers-qnnpack.npy")
    told["qnnpack against qnnpack on x86"] = {
        **documents.written(fidelity.compare(*against)),
        "equal": float((against[0] == against[1]).mean()),
        "largest_difference": float(np.abs(against[0] - against[1]).max()),
    }
    return dict(told)


def _refusal(folder: Path) -> Mapping[str, object]:
    """What run says there; it must take no time."""
    done = _arm(folder, "-m", "int8bench", "run", "--quick", "--output", str(folder / "run.json"))
    return {
        "refused": done.returncode == REFUSED and not (folder / "run.json").exists(),
        "exit_code": done.returncode,
        "said": _last_line(done.stderr),
    }


def _import(folder: Path, module: str) -> str | None:
    """Why a runtime does not load there; None where it does."""
    wheel = folder / "runtimes" / f"{module}.txt"
    if wheel.exists():
        return wheel.read_text(encoding="utf-8")
    done = _arm(folder, "-c", f"import {module}", runtime=module)
    return None if done.returncode == 0 else _last_line(done.stderr)


def _answered(folder: Path) -> Mapping[str, object]:
    """Inside: what this process is, and the answers of each engine, left in files."""
    import torch

    facts = emulation.look()
    return {
        "machine": facts.machine,
        "torch": torch.__version__,
        "emulator": emulation.emulator(facts),
        "objection": emulation.objection(facts),
        "engines": {name: _kept(name, folder) for name in ENGINES},
    }


def _kept(name: str, folder: Path) -> dict[str, object]:
    """Answers an engine, and says whether it is available by the rules."""
    availability = engine_named(name).availability(detect())
    np.save(folder / f"answers-{name}.npy", _answers_of(name, folder))
    return {"available": availability.available, "reason": availability.reason}


def _answers_of(name: str, folder: Path) -> Logits:
    model = load_model("simplecnn", num_classes=10).module
    load_weights(folder / "questions" / "weights.pt", model, name="simplecnn", num_classes=10)
    pictures = np.load(folder / "questions" / "pictures.npz")
    engine = engine_named(name)
    material = Material(model=model.eval(), calibration=pictures["calibration"], example=pictures["asked"][:1])
    predictor = engine.build(engine.prepare(engine.variants[0], material), Group(batch=PICTURES, threads=1))
    return predictor(pictures["asked"])


def _questions(folder: Path) -> None:
    """Weights, calibration pictures and questions, the same for both machines."""
    splits = load_data("digits", input_shape=SHAPE)
    model = SimpleCNN(num_classes=10)
    accuracy = fit(model, splits, epochs=EPOCHS)
    save_checkpoint(folder / "weights.pt", model, name="simplecnn", num_classes=10, accuracy=accuracy)
    np.savez(
        folder / "pictures.npz",
        calibration=splits.calibration_images[:CALIBRATION],
        asked=splits.validation_images[:PICTURES],
        labels=splits.validation_labels[:PICTURES],
    )


def _root(folder: Path) -> None:
    """Debian's Python for arm64 with what it needs, unpacked and not installed; this system's apt is left alone."""
    apt = folder / "apt"
    for each in ("state/lists/partial", "cache/archives/partial"):
        (apt / each).mkdir(parents=True)
    (apt / "sources.list").write_text(f"{REPOSITORY} {RELEASE} main\n", encoding="utf-8")
    (apt / "status").touch()
    options = {
        "APT::Architecture": "arm64",
        "APT::Architectures": "arm64",
        "Dir::State": apt / "state",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Debug::NoLocking": "1",
    }
    command = ["apt-get", *(part for name, value in options.items() for part in ("-o", f"{name}={value}"))]
    _output([*command, "update"])
    _output([*command, "-y", "--no-install-recommends", "--download-only", "install", *DEBIAN])
    for package in sorted((apt / "cache" / "archives").glob("*.deb")):
        _output(["dpkg-deb", "-x", str(package), str(folder)])


def _libraries(folder: Path) -> None:
    _output([*_pip(folder), *TORCH, *OTHERS.split()])


def _runtimes(folder: Path) -> None:
    """Each runtime in a folder of its own, so that one that is not to be had for ARM stops nothing."""
    for module, packages in RUNTIMES.items():
        done = subprocess.run([*_pip(folder / module), *packages], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            (folder / f"{module}.txt").write_text(_last_line(done.stderr), encoding="utf-8")


def _own(folder: Path) -> None:
    checkout = Path(__file__).resolve().parents[1]
    _output([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(checkout)])


def _pip(folder: Path) -> list[str]:
    platforms = [part for each in PLATFORMS for part in ("--platform", f"{each}_aarch64")]
    fixed = ["--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--python-version", PYTHON]
    return [sys.executable, "-m", "pip", "install", *fixed, *platforms, "--target", str(folder)]


def _wrapper(folder: Path) -> None:
    """A Python that starts under the emulator, and starts others like itself."""
    path, root = folder / "python", folder / "root"
    command = f'exec qemu-aarch64-static -0 "{path}" -L "{root}" "{root}/usr/bin/python{PYTHON}" "$@"'
    path.write_text(f"#!/bin/sh\n{command}\n", encoding="utf-8")
    path.chmod(0o755)


def _arm(folder: Path, *arguments: str, runtime: str = "") -> subprocess.CompletedProcess[str]:
    paths = [folder / "own", folder / "lib", *([folder / "runtimes" / runtime] if runtime else [])]
    environment = os.environ | {
        "PYTHONHOME": str(folder / "root" / "usr"),
        "PYTHONPATH": os.pathsep.join(map(str, paths)),
        "PYTHONWARNINGS": "ignore",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [str(folder / "python"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)


def _checked(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    if done.returncode != 0:
        raise ValueError(f"exit code {done.returncode}: {_last_line(done.stderr)}")
    return done


def _once(folder: Path, make: Callable[[Path], None]) -> None:
    """Makes a folder, unless a run before this one has; a half-made one does not stay."""
    if folder.exists():
        return
    folder.mkdir()
    try:
        make(folder)
    except (OSError, subprocess.SubprocessError, Int8BenchError):
        shutil.rmtree(folder)
        raise


def _check_tools() -> None:
    missing = [each for each in ("qemu-aarch64-static", "apt-get", "dpkg-deb") if shutil.which(each) is None]
    if missing:
        sys.exit(f"{', '.join(missing)}: not found; on Debian or Ubuntu type: apt-get install qemu-user-static")


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.partition("\n")[0]


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="kept between runs, 1.5 GB")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
