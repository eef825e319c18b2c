"""The engine ``inductor``: torch's compiler, float32 and int8 by PT2E, compiled ahead of time for one batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from int8bench import units
from int8bench.documents import Json
from int8bench.engines import packages
from int8bench.engines.base import Availability, Conversion, Images, Logits, Material
from int8bench.engines.fixed_batch import ByBatch, damaged, in_parts
from int8bench.engines.inductor import files
from int8bench.engines.inductor.evidence import operators, written
from int8bench.engines.inductor.files import LIBRARY, Compiled, images
from int8bench.engines.operators import ran
from int8bench.engines.packages import PACKAGED
from int8bench.engines.torch import onednn_log
from int8bench.errors import EngineError
from int8bench.workload.cases import CHANNELS_LAST, Group, Variant

if TYPE_CHECKING:
    import torch

    from int8bench.machine import Hardware

_WHAT = "compiled library"
_WITNESS = "oneDNN's verbose lines, and the code that inductor wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class InductorEngine(packages.PackagedEngine[ByBatch[Compiled]]):
    """Torch's own compiler for x86 processors."""

    name: str = "inductor"
    modules: ClassVar = ("torchao",)  # no deeper: to find a module, its package would be imported, and torch with it
    layout: ClassVar = CHANNELS_LAST

    def availability(self, hardware: Hardware) -> Availability:
        """Tell whether the processor is an x86, torchao is there, and a C++ compiler too."""
        missing = self.unfit(hardware) or packages.missing(self.name, self.modules) or files.no_compiler()
        return Availability.unless(missing)

    def unfit(self, hardware: Hardware) -> str | None:
        """Return why the architecture has no int8 quantizer here, or None on x86_64."""
        if hardware.arch == "x86_64":
            return None
        instead = "choose --engines executorch or onnxruntime" if hardware.arch in PACKAGED else "stay with float32"
        return f"{self.name}: its int8 quantizer here is for x86_64, this CPU is {hardware.arch}; {instead}"

    def conversion(self, variant: Variant, hardware: Hardware) -> Conversion | None:
        """Return the conversion to a library for each batch size, compiled for this processor.

        Args:
            variant: whose precision the libraries have.
            hardware: the processor that they are compiled for.
        """
        return files.conversion(variant.precision, hardware)

    def prepare(self, variant: Variant, material: Material) -> ByBatch[Compiled]:
        """Return the libraries that the conversions left, by batch size, with torch imported.

        Args:
            variant: one of `variants`.
            material: the folder of each batch size, and pictures for the evidence.

        Raises:
            EngineError: torch cannot be loaded, or a file is not there.
        """
        packages.loaded(self.name, "torch")  # paid before the forks
        made = {batch: _read(variant, folder) for batch, folder in material.by_batch.items()}
        return ByBatch(variant=variant, made=made, example=material.example)

    def build(self, prepared: ByBatch[Compiled], group: Group) -> CompiledPredictor:
        """Return a predictor of the batch size's library, opened in the calling process with its thread count.

        Args:
            prepared: the libraries by batch size.
            group: the batch size that chooses the library, and the threads that torch is set to.

        Raises:
            EngineError: there is no library for the batch size, or it cannot be opened.
        """
        import torch

        torch.set_num_threads(group.threads)
        return CompiledPredictor(prepared, group)


def _read(variant: Variant, folder: Path) -> Compiled:
    try:
        return files.compiled(folder)
    except (OSError, ValueError) as error:
        raise damaged(variant.label, folder, error, what=_WHAT) from error


class CompiledPredictor:
    """A library opened, which takes pictures of one batch size and shape and checks neither."""

    def __init__(self, libraries: ByBatch[Compiled], group: Group) -> None:
        """Open the library of a batch size.

        Raises:
            EngineError: there is none, or it cannot be opened.
        """
        self._name = libraries.variant.label
        self._group = group
        self._example = libraries.example
        self._compiled = libraries.of(group.batch, "nothing was compiled")
        self._runner = _opened(self._name, self._compiled.folder)
        self.serialized_bytes = self._compiled.serialized_bytes

    @cached_property
    def weights_bytes(self) -> int:
        """Bytes of the constants of the library, as it packs them."""
        constants: Mapping[str, torch.Tensor] = self._runner.extract_constants_map(False)  # noqa: FBT003  no keyword
        return sum(constant.numel() * constant.element_size() for constant in constants.values())

    @cached_property
    def evidence(self) -> Mapping[str, Json]:
        """What ran; oneDNN is listened to in a forked process."""
        return _evidence(self._compiled, self._group, lambda: self(self._example))

    def __call__(self, batch: Images) -> Logits:
        """Return the logits of a batch, (image, class).

        Raises:
            EngineError: the pictures are of another shape, the library failed, or it gives no (image, class) tensor.
        """
        self._check(batch, len(batch))
        return in_parts(batch, self._group.batch, self._answered)

    def bind(self, batch: Images) -> Callable[[], object]:
        """Return the timed body: one run of the library over an own channels-last copy of `batch`.

        Raises:
            EngineError: the pictures are not those that it was compiled for.
        """
        self._check(batch, self._group.batch)
        return partial(self._runner.run, [images(batch)])

    def _answered(self, pictures: Images) -> Logits:
        try:
            answers = self._runner.run([images(pictures)])
        except (RuntimeError, ValueError) as error:
            raise EngineError(
                f"{self._name}: cannot answer pictures of shape {pictures.shape}: {units.reason(error)}"
            ) from error
        return self._logits(answers)

    def _check(self, pictures: Images, count: int) -> None:
        expected = (count, *self._example.shape[1:])
        if pictures.shape != expected:  # the library would read beyond their end
            raise EngineError(
                f"{self._name}: pictures of shape {pictures.shape}, expected {expected}, for which it was compiled"
            )

    def _logits(self, answers: list[torch.Tensor]) -> Logits:
        if len(answers) != 1 or answers[0].ndim != 2 or len(answers[0]) != self._group.batch:  # noqa: PLR2004  two axes
            shapes = [tuple(answer.shape) for answer in answers]
            raise EngineError(
                f"{self._name}: the model returns shapes {shapes} for {self._group.batch} images, "
                "expected one (image, class)"
            )
        return np.ascontiguousarray(answers[0].numpy(), dtype=np.float32)


def _opened(name: str, folder: Path) -> Any:  # noqa: ANN401  torch gives it no type
    from torch._C import _aoti

    try:
        # Straight from the library: the public loader unpacks an archive into a temporary folder, and a fork that is
        # ended leaves that behind.
        return _aoti.AOTIModelContainerRunnerCpu(str(folder / LIBRARY), 1)
    except (RuntimeError, ValueError) as error:
        raise damaged(name, folder, error, what=_WHAT) from error


def _evidence(compiled: Compiled, group: Group, forward: Callable[[], object]) -> Mapping[str, Json]:
    import torch

    heard = onednn_log.collect(forward)
    evidence: dict[str, Json] = {
        "engine": "inductor",
        "versions": packages.versions(("torch", "torchao")),
        "threads": group.threads,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "compiled_for": compiled.facts["instructions"],
        "options": compiled.facts["options"],
        "onednn": heard.to_dict(),
    }
    if isinstance(heard, onednn_log.Silence):
        return evidence
    others = written(compiled.source(), compiled.targets())
    return {**evidence, "ran": ran(_WITNESS, operators(heard.primitives, others, compiled.facts["multiply_adds"]))}
