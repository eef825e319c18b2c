"""Compiles a model with inductor into a shared library for one batch size and this processor: float32, and int8.

Ahead of time, so that a process which measures opens a library in milliseconds and needs no compiler. Frozen: without
that the graph of the int8 model stays in float arithmetic, with the same answers. Runs in a conversion's own process.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import tempfile
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from int8bench import units
from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Conversion, Images, Material, Options
from int8bench.engines.plain import REFUSALS, plain
from int8bench.engines.torch.int8 import CALIBRATION_BATCH
from int8bench.engines.torch.operators import float_multiply_adds
from int8bench.errors import EngineError
from int8bench.machine import Told
from int8bench.machine.rules.limits import exactness_of_onednn
from int8bench.workload.cases import FLOAT32, INT8

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch.export import ExportedProgram

    from int8bench.machine import Hardware

EXTRA = "inductor"
LIBRARY, NODES = "model.so", "model.json"  # torch looks for the nodes beside the library, under its name
_SOURCE, _FACTS = "model.cpp", "facts.json"
_BY_A_COMPILER = re.compile(r"\S+: (fatal )?error: ")  # a file and a line, or a program, before it
_FLAGS_DIGITS = 12  # of a digest that tells processors apart: 48 bits
_SUBJECTS = {FLOAT32: "inductor float32", INT8: "inductor int8"}


def conversion(precision: str, hardware: Hardware) -> Conversion:
    """Return the conversion to a library for each batch size, good for processors with the same instructions alone.

    Args:
        precision: `FLOAT32` or `INT8`.
        hardware: the processor that the library is for.
    """
    options: dict[str, bool | int | float | str] = {
        "compiler": os.path.realpath(found_compiler() or compiler()),  # its name holds its version, as g++-14
        "cores": hardware.logical_cores or 1,
        "instructions": hashlib.sha256(" ".join(sorted(hardware.flags)).encode()).hexdigest()[:_FLAGS_DIGITS],
        "levels": " ".join(hardware.levels),
        "limits": " ".join(f"{name}={value}" for name, value in hardware.isa_environment.items()),
    }
    if precision == INT8:
        # Unsigned by signed products of the full range saturate in 16 bits where no instruction adds them up in 32.
        options["reduce_range"] = exactness_of_onednn(hardware) is not Told.THERE
    return Conversion(
        name=_SUBJECTS[precision],
        function=int8 if precision == INT8 else float32,
        packages=("torch", "torchao") if precision == INT8 else ("torch",),
        options=options,
        by_batch=True,
    )


def compiler() -> str:
    """Return the C++ compiler that inductor calls: ``$CXX``, or g++."""
    return os.environ.get("CXX", "g++")


def found_compiler() -> str | None:
    """Return the path of the C++ compiler that inductor calls, or None where it is not found."""
    return shutil.which(compiler())


def no_compiler() -> str | None:
    """Return a sentence on the C++ compiler that is missing; None where there is one."""
    if found_compiler():
        return None
    return (
        f"inductor: the C++ compiler {compiler()} is not found; type apt install g++ (or dnf install gcc-c++), "
        "or set CXX to one that is there"
    )


def float32(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Compile the model in float32, its weights packed, for channels-last pictures (batch, channel, height, width).

    Args:
        material: the model, and a picture for its shape.
        options: those of `conversion`.
        batch: the size that the library is for.
        folder: where its files go.

    Raises:
        EngineError: there is no compiler, or the model cannot be exported or compiled.
    """
    assert batch is not None
    with _reported(FLOAT32):
        program = _exported(plain(material.model), batch, material.example)
        return _compiled(program, options, folder, _work(material, batch))


def int8(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, Json]:
    """Compile the model in int8 by PT2E with torchao's default configuration for x86, calibrated with all pictures.

    Args:
        material: the model, and pictures to calibrate with.
        options: those of `conversion`.
        batch: the size that the library is for.
        folder: where its files go.

    Raises:
        EngineError: there is no compiler, or the model cannot be exported, quantized or compiled.
    """
    assert batch is not None
    with _reported(INT8):
        quantized = _quantized(material, reduce_range=bool(options["reduce_range"]))
        return _compiled(_exported(quantized, batch, material.example), options, folder, _work(material, batch))


@contextmanager
def _reported(precision: str) -> Iterator[None]:
    """Run the block without gradients, and report its faults in one sentence.

    Inductor freezes nothing where there could be gradients.
    """
    import torch

    missing = no_compiler()
    if missing:
        raise EngineError(missing)
    try:
        with warnings.catch_warnings(), ExitStack() as undone, torch.no_grad():
            warnings.simplefilter("ignore")  # of packages that announce their own successors
            undone.callback(logging.disable, logging.root.manager.disable)
            logging.disable(logging.WARNING)
            yield
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # a full disk, which is no broken package
            raise
        raise packages.broken(EXTRA, error) from error
    except (*REFUSALS, subprocess.SubprocessError) as error:  # inductor calls its compiler
        raise EngineError(f"{_SUBJECTS[precision]}: the model cannot be compiled: {_complaint(error)}") from error


def _complaint(error: BaseException) -> str:
    """Return a C++ compiler's first error where there is one, else the error's own reason.

    It comes after the command, which fills a page.
    """
    faults = [line.strip() for line in str(error).splitlines() if _BY_A_COMPILER.match(line.strip())]
    return faults[0] if faults else units.reason(error)


def _exported(model: nn.Module, batch: int, example: Images, *, any_batch: bool = False) -> ExportedProgram:
    import torch
    from torch.export import Dim, export

    pictures = images(torch.zeros(batch, *example.shape[1:]))
    return export(model, (pictures,), dynamic_shapes=({0: Dim.AUTO},) if any_batch else None)


def images(batch: Images | torch.Tensor) -> torch.Tensor:
    """Return a float32 copy of a batch in the layout that the library takes."""
    import torch

    tensor = torch.from_numpy(batch) if not isinstance(batch, torch.Tensor) else batch
    return tensor.clone().float().contiguous(memory_format=torch.channels_last)


def _quantized(material: Material, *, reduce_range: bool) -> nn.Module:
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

    program = _exported(plain(material.model), CALIBRATION_BATCH, material.example, any_batch=True)
    configuration = x86.get_default_x86_inductor_quantization_config(reduce_range=reduce_range)
    quantizer = x86.X86InductorQuantizer().set_global(configuration)
    # Exported with one batch size and fed with others, of which the guards know nothing.
    observed: Any = prepare_pt2e(program.module(check_guards=False), quantizer)
    for first in range(0, len(material.calibration), CALIBRATION_BATCH):
        observed(images(material.calibration[first : first + CALIBRATION_BATCH]))
    converted: nn.Module = convert_pt2e(observed)
    return converted


def _work(material: Material, batch: int) -> int:
    """Return the multiply-adds of a forward of the batch, of which oneDNN will tell a part."""
    return batch * float_multiply_adds(plain(material.model), images(material.example[:1]))


def _compiled(program: ExportedProgram, options: Options, folder: Path, multiply_adds: int) -> Mapping[str, Json]:
    from torch._inductor import aoti_compile_and_package, config
    from torch._inductor.utils import fresh_cache

    # A cache of its own, thrown away: the seconds that compiling takes are those of the first time on a machine.
    with tempfile.TemporaryDirectory(dir=folder) as aside, fresh_cache(dir=aside):
        with config.patch({"cpp.vec_isa_ok": True}):  # else it compiles six programs to see what the processor has
            package = aoti_compile_and_package(
                program, package_path=str(Path(aside) / "model.pt2"), inductor_configs=_settings(options)
            )
        facts: dict[str, Json] = {
            "instructions": _unpacked(Path(package), folder),
            "options": dict(options),
            "multiply_adds": multiply_adds,
        }
    (folder / _FACTS).write_text(json.dumps(facts))
    return facts


def _settings(options: Options) -> dict[str, bool | int | float | str]:
    return {
        "freezing": True,
        "compile_threads": 1,  # else a pool of processes is started, for kernels that this does not compile
        # Loops are cut for as many threads as there are cores, and run on as many as the process is told.
        "cpp.dynamic_threads": True,
        "cpp.threads": options["cores"],
        "cpp.vec_isa_ok": True,
        # Precompiled headers are 440 MB in the user's temporary folder, and pay from the third library on.
        "aot_inductor.precompile_headers": False,
        "cpp_cache_precompile_headers": False,
    }


def _unpacked(package: Path, folder: Path) -> str | None:
    """Take the library out of its archive, and return inductor's word on the instructions that its code uses.

    Torch would unpack the archive into a new temporary folder at each start.
    """
    with zipfile.ZipFile(package) as archive:
        members = {name.partition(".wrapper")[2]: name for name in archive.namelist() if ".wrapper" in name}
        (folder / LIBRARY).write_bytes(archive.read(members[".so"]))
        (folder / _SOURCE).write_bytes(archive.read(members[".cpp"]))
        (folder / NODES).write_bytes(archive.read(members[".json"]) if ".json" in members else b'{"nodes": []}')
        metadata = json.loads(archive.read(members["_metadata.json"])) if "_metadata.json" in members else {}
    return metadata.get("AOTI_CPU_ISA")


class CompiledFacts(TypedDict):
    """What a conversion wrote down of its library, as JSON."""

    instructions: str | None
    """As inductor names them; None where it does not."""
    options: Options
    multiply_adds: int
    """Of a forward of the batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A library that a conversion left, and what the conversion wrote down of it."""

    folder: Path
    facts: CompiledFacts
    serialized_bytes: int

    def source(self) -> str:
        """Return the C++ code that inductor wrote.

        Raises:
            OSError: it cannot be read.
        """
        return (self.folder / _SOURCE).read_text()

    def targets(self) -> tuple[str, ...]:
        """Return the operators that inductor leaves to torch's dispatcher, by number.

        Raises:
            OSError: it cannot be read.
        """
        nodes = json.loads((self.folder / NODES).read_text())["nodes"]
        return tuple(str(entry["node"]["target"]) for entry in nodes)


def compiled(folder: Path) -> Compiled:
    """Return the library that a conversion left in a folder.

    Raises:
        OSError: a file cannot be read.
        ValueError: one holds something else.
    """
    size = sum((folder / name).stat().st_size for name in (LIBRARY, NODES))
    return Compiled(folder=folder, facts=json.loads((folder / _FACTS).read_text()), serialized_bytes=size)
