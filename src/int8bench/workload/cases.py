"""What is measured: one case is a model on an engine in a precision, layout, batch and thread count. Pure."""

import re
from dataclasses import dataclass, replace
from itertools import product

from int8bench.errors import RequestError
from int8bench.options import Counts, Names

FLOAT32 = "float32"
INT8 = "int8"
FLOAT16 = "float16"
CHANNELS_LAST = "channels_last"
NCHW = "nchw"
# The grid, where nobody asks for another one.
MODEL, DATA = "simplecnn", "digits"
BATCHES = Counts((1, 8, 32))
ENGINES = Names(("fbgemm",))
ALL = "all"  # what a person types for every engine
TORCH = "torch"  # the engine, and the family, of the float32 that every answer is held against

_ID = re.compile(
    r"(?P<model>.+)/(?P<engine>[^/]+)/(?P<precision>float32|float16|int8)/(?P<layout>channels_last|nchw)"
    r"/b(?P<batch>[1-9]\d*)/t(?P<threads>[1-9]\d*)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """How a model is run: the engine, the precision of its arithmetic and the layout of its input."""

    engine: str
    precision: str
    layout: str

    @property
    def is_reduced(self) -> bool:
        """Whether its arithmetic is narrower than float32, which it is then held against."""
        return self.precision != FLOAT32

    @property
    def label(self) -> str:
        """The name a person reads: ``fbgemm int8``, or ``torch float32 nchw`` of the two that torch has."""
        layout = f" {self.layout}" if (self.engine, self.precision) == (TORCH, FLOAT32) else ""
        return f"{self.engine} {self.precision}{layout}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Group:
    """Cases that race together: the same batch on the same number of threads."""

    batch: int
    threads: int

    @property
    def label(self) -> str:
        """What a sentence calls it: ``batch 8 on 1 thread``."""
        return f"batch {self.batch} on {self.threads} thread{'s' if self.threads > 1 else ''}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One cell of the grid."""

    model: str
    variant: Variant
    group: Group

    @property
    def id(self) -> str:
        """The stable name ``model/engine/precision/layout/bN/tN``; the inverse of `parse_id`."""
        v, g = self.variant, self.group
        return f"{self.model}/{v.engine}/{v.precision}/{v.layout}/b{g.batch}/t{g.threads}"


def parse_id(text: str) -> Case:
    """Return the case that an id names.

    Raises:
        RequestError: the text is not an id.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise RequestError(
            f"case id {text!r}: expected model/engine/precision/layout/bN/tN, "
            "for example simplecnn/fbgemm/int8/channels_last/b32/t1"
        )
    variant = Variant(engine=match["engine"], precision=match["precision"], layout=match["layout"])
    return Case(
        model=match["model"],
        variant=variant,
        group=Group(batch=int(match["batch"]), threads=int(match["threads"])),
    )


def float32_references(engine: str = TORCH) -> tuple[Variant, Variant]:
    """Return the two float32 variants that every int8 variant is held against: channels-last, then plain NCHW."""
    channels_last = Variant(engine=engine, precision=FLOAT32, layout=CHANNELS_LAST)
    return channels_last, replace(channels_last, layout=NCHW)


def int8_variant(engine: str) -> Variant:
    """Return the int8 variant of one of torch's engines; channels-last is the layout that its int8 kernels like."""
    return Variant(engine=engine, precision=INT8, layout=CHANNELS_LAST)


def grid(
    *, model: str, variants: tuple[Variant, ...], batches: tuple[int, ...], threads: tuple[int, ...]
) -> tuple[Case, ...]:
    """Return every case of a run, group by group: torch's float32 first, then the variants asked for.

    Args:
        model: its name.
        variants: int8 ones, and float32 of other engines than torch.
        batches: pictures of a call.
        threads: of each setting.

    Raises:
        RequestError: a batch or a thread count below 1, or nothing to measure.
    """
    _check_positive("batch", batches)
    _check_positive("threads", threads)
    raced = dict.fromkeys((*float32_references(), *variants))
    groups = [Group(batch=b, threads=t) for t, b in product(dict.fromkeys(threads), dict.fromkeys(batches))]
    return tuple(Case(model=model, variant=v, group=g) for g in groups for v in raced)


def _check_positive(name: str, values: tuple[int, ...]) -> None:
    if not values:
        raise RequestError(f"--{name}: nothing given, expected whole numbers from 1 up; try --{name} 1")
    for value in values:
        if value < 1:
            raise RequestError(f"--{name} {value}: expected a whole number from 1 up; try --{name} 1")
