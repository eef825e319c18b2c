"""The small, stable front of the package for benchmark suites: what they call, and nothing else of it.

A suite is taken from the newest commit and run against old ones, so names and meanings here stay as they are; new
ones may be added, and a suite skips what a commit does not have yet.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from int8bench import documents
from int8bench.documents import JsonObject
from int8bench.errors import NothingMeasuredError, RequestError
from int8bench.lab.environment import adopt_settings
from int8bench.lab.progress import Progress
from int8bench.study.cells import BEST
from int8bench.workload.cases import BATCHES, DATA
from int8bench.workload.importing import make_importable

if TYPE_CHECKING:
    from int8bench.study.cells import Cell
    from int8bench.study.records import Run
    from int8bench.study.session.conversions import ConversionOutcome
    from int8bench.study.session.worker import Prepared
    from int8bench.tracking.published import Values
    from int8bench.workload.cases import Group, Variant

__all__ = [
    "FLOAT32",
    "Comparison",
    "adopt_settings",
    "compare",
    "forward",
    "grid",
    "make_importable",
    "publish",
    "usable_threads",
]

FLOAT32 = "float32"  # the name of the float32 contender; every other contender is an int8 engine by its name
ENGINES_OF_HEALTH = ("fbgemm", "x86", "onednn", "qnnpack")
PRECISION = 0.001  # finer than a budget reaches, so that every commit gets the same effort


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A finished race of int8 against float32."""

    run: "Run"
    engine: str

    def speedup(self, *, batch: int, threads: int) -> JsonObject:
        """Return how many times as fast int8 is as the best float32: value, low, high, verdict, as RUN.json has it.

        Args:
            batch: pictures of a call.
            threads: of the setting.

        Raises:
            NothingMeasuredError: that cell failed or was not raced; the message says why.
        """
        cell = self._cell(batch, threads)
        best = cell.speedup(BEST) if cell is not None else None
        if best is None:
            reason = cell.error if cell is not None and cell.error else "not raced"
            raise NothingMeasuredError(f"{self.engine}, batch {batch}, {threads} threads: {reason}")
        return documents.written(best)

    @property
    def sqnr_db(self) -> float:
        """Signal over quantization noise of int8's answers against float32's; infinite where they are the same.

        Raises:
            NothingMeasuredError: int8 was not measured at all; the message says why.
        """
        fidelities = [cell.fidelity for cell in self._cells() if cell.fidelity is not None]
        if not fidelities:
            reasons = "; ".join(dict.fromkeys(cell.error for cell in self._cells() if cell.error))
            raise NothingMeasuredError(f"{self.engine}: {reasons or 'not raced'}")
        sqnr_db = fidelities[0].sqnr_db
        return float("inf") if sqnr_db is None else sqnr_db

    def _cells(self) -> list["Cell"]:
        return [cell for cell in self.run.cells if cell.engine == self.engine]

    def _cell(self, batch: int, threads: int) -> "Cell | None":
        return next((cell for cell in self._cells() if (cell.batch, cell.threads) == (batch, threads)), None)


def usable_threads() -> int:
    """Return how many cores this process may use: affinity and container quota respected."""
    from int8bench.machine import usable_core_count

    return usable_core_count()


@lru_cache(maxsize=1)
def forward(
    contender: str, *, batch: int, threads: int, model: str, input_shape: str | None = None, data: str = DATA
) -> Callable[[], object]:
    """Return a warmed call that answers one batch; the last one is kept, since asv sets up again before each sample.

    Args:
        contender: `FLOAT32` (channels-last), or an int8 engine.
        batch: pictures a call.
        threads: of this process, which keeps them.
        model: a known model or ``package.module:factory``.
        input_shape: such as ``3x32x32``; needed for a model of yours.
        data: what int8 is calibrated with and the batch is taken from.

    Raises:
        NotImplementedError: the contender cannot run here; asv and pytest then skip.
        RequestError: no such model or data.
    """
    return grid(contenders=(contender,), model=model, input_shape=input_shape, data=data).forward(
        contender, batch=batch, threads=threads
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Contenders that are prepared once, for a harness that forks a process for each cell."""

    prepared: "Prepared"
    converted: "ConversionOutcome"
    guesses: bool = False
    """Whether the weights are random, so that top-1 is chance."""

    def forward(self, contender: str, *, batch: int, threads: int) -> Callable[[], object]:
        """Return a warmed call that answers one batch, built anew in this process.

        Args:
            contender: an int8 engine by its name, or `FLOAT32`.
            batch: pictures of a call.
            threads: that it may use.

        Raises:
            NotImplementedError: the contender cannot run here.
        """
        from int8bench.study.session import worker

        variant, group = self._placed(contender, batch, threads)
        built = worker.predictor(self.prepared, variant, group)
        call = built.bind(worker.pictures(self.prepared.order.validation, batch))
        call()
        return call

    def cost(self, contender: str, *, batch: int, threads: int) -> Mapping[str, float]:
        """Return what the contender costs in this process, which must be a fresh one: ``peak_memory`` in bytes.

        Args:
            contender: an int8 engine by its name, or `FLOAT32`.
            batch: pictures of a call.
            threads: that it may use.

        Raises:
            NotImplementedError: the contender cannot run here.
        """
        from int8bench.study.session import worker

        return {"peak_memory": float(worker.peak_bytes(self.prepared, *self._placed(contender, batch, threads)))}

    def answers(self, contender: str) -> Mapping[str, float]:
        """Return the bytes of its ``weights``, the ``sqnr`` of an int8 in dB, and ``top1``.

        Without what proves nothing: the top-1 of random weights, and the SQNR of answers that no picture changes.

        Raises:
            NotImplementedError: the contender cannot run here.
        """
        from int8bench.study.session import worker

        batches = [batch for batch in self.converted.files().get(_variant(contender), {}) if batch is not None]
        checked = worker.checked(self.prepared, *self._placed(contender, max(batches, default=worker.CHECK_BATCH), 1))
        figures = {
            "weights": float(checked.weights_bytes),
            "sqnr": None if contender == FLOAT32 or checked.fidelity.constant_float32 else checked.fidelity.sqnr_db,
            "top1": None if self.guesses else checked.fidelity.top1,
        }
        return {name: value for name, value in figures.items() if value is not None}

    def _placed(self, contender: str, batch: int, threads: int) -> "tuple[Variant, Group]":
        """Return what a contender is called, and where it runs.

        Raises:
            NotImplementedError: it cannot.
        """
        from int8bench.engines.registry import engine_named
        from int8bench.workload.cases import Group

        variant, group = _variant(contender), Group(batch=batch, threads=threads)
        came = self.converted.of(variant, batch)
        refused = came if isinstance(came, str) else self.prepared.refused.get(variant)
        reason = refused or engine_named(variant.engine).objection(group)
        if reason is not None:
            raise NotImplementedError(reason)
        return variant, group


def grid(
    *,
    contenders: Sequence[str],
    model: str,
    input_shape: str | None = None,
    data: str = DATA,
    batches: Sequence[int] = BATCHES,
) -> Grid:
    """Prepare contenders; starts no thread, so that forks of this process are whole.

    Args:
        contenders: `FLOAT32` (channels-last), and int8 engines.
        model: a known model or ``package.module:factory``.
        input_shape: such as ``3x32x32``; needed for a model of yours.
        data: what int8 is calibrated with and batches are taken from.
        batches: the sizes that will be asked for, which some engines must know to convert the model.

    Raises:
        RequestError: no such engine, model or data.
        NotImplementedError: the processor is played by a program; asv and pytest then skip.
    """
    import torch

    from int8bench.engines.registry import engine_names
    from int8bench.machine import detect, emulation
    from int8bench.study.session import conversions, worker
    from int8bench.workload.order import INITIAL
    from int8bench.workload.subject import SubjectRequest, order_for, prepare_subject

    objection = emulation.objection(emulation.look())
    if objection is not None:
        raise NotImplementedError(objection)
    torch.set_num_threads(1)  # a pool that is there before a fork is not there after it, and would be waited for
    subject = prepare_subject(SubjectRequest(model=model, input_shape=input_shape, data=data), advance=_say)
    variants = tuple(dict.fromkeys(_variant(each) for each in (FLOAT32, *contenders)))  # answers are held to float32
    known = engine_names()  # preparing the others says that they are not
    asked = conversions.asked_by((each for each in variants if each.engine in known), detect)
    cells = [(variant, batch) for variant in asked for batch in batches]
    converted = conversions.make(conversions.wanted(asked, cells), order_for(subject, ()), _say)
    prepared = worker.prepare(order_for(subject, variants, converted.files()))
    return Grid(prepared=prepared, converted=converted, guesses=subject.weights == INITIAL)


def _variant(contender: str) -> "Variant":
    from int8bench.engines.registry import engine_named, engine_names
    from int8bench.workload.cases import INT8, float32_references, int8_variant

    if contender == FLOAT32:
        return float32_references()[0]
    offered = engine_named(contender).variants if contender in engine_names() else ()
    return next((each for each in offered if each.precision == INT8), int8_variant(contender))


def compare(
    *,
    engine: str,
    batches: Sequence[int],
    threads: Sequence[int],
    budget_s: float,
    model: str,
    input_shape: str | None = None,
    data: str = DATA,
) -> Comparison:
    """Race an int8 engine against float32 over a grid, as ``int8bench run`` does.

    Args:
        engine: of int8.
        batches: pictures a call.
        threads: thread counts; those above the usable cores are left out.
        budget_s: seconds of measuring.
        model: a known model or ``package.module:factory``.
        input_shape: such as ``3x32x32``; needed for a model of yours.
        data: digits, or ``imagefolder:PATH``.

    Raises:
        RequestError: no such engine, model or data, or more threads than this machine has.
        NothingMeasuredError: nothing could be measured.
    """
    from int8bench.study import study
    from int8bench.study.plan.request import Request

    usable = usable_threads()
    if min(threads) > usable:
        raise RequestError(f"threads {tuple(threads)}: this machine has {usable} usable cores; give 1 among them")
    request = Request(
        model=model,
        input_shape=input_shape,
        engines=(engine,),
        batches=tuple(batches),
        threads=tuple(count for count in threads if count <= usable),
        data=data,
        precision=PRECISION,
        measuring_s=budget_s,
    )
    with tempfile.TemporaryDirectory() as folder:
        return Comparison(run=study.run(request, Path(folder) / "run.json", _say), engine=engine)


def publish(compared: Comparison, *, heeded: Mapping[str, bool]) -> "Values":
    """Return what the asv suite publishes of a race; its samples are kept in a side file by asv's results.

    Args:
        compared: the race.
        heeded: what `adopt_settings` said.
    """
    from int8bench.tracking import asv_process, published

    points = published.points(compared.run, _health())
    asv_process.keep(compared.run, points, environment=os.environ, heeded=heeded, note=_note)
    return published.values(points)


def _health() -> dict[tuple[str, str], int]:
    """Return how many findings each engine has on this machine, by severity."""
    from int8bench.machine import rules
    from int8bench.machine.finding import Severity
    from int8bench.study import doctor

    machine, probes = doctor.measured_here()
    counts: dict[tuple[str, str], int] = {}
    for engine in ENGINES_OF_HEALTH:
        severities = [each.severity for each in rules.inspect(machine, engine=engine, threads=(), probes=probes)]
        counts |= {(engine, severity.value): severities.count(severity) for severity in Severity}
    return counts


def _say(step: Progress) -> None:
    """Show no progress: asv and pytest show their own."""


def _note(sentence: str) -> None:
    sys.stderr.write(f"int8bench: {sentence}\n")
