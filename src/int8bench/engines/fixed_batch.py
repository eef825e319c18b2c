"""Programs that take a fixed number of pictures: answers split, filled up and checked in one way. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from int8bench.engines.base import Images, Logits
from int8bench.errors import EngineError
from int8bench.units import reason
from int8bench.workload.cases import Variant

T = TypeVar("T")
_AXES = 2  # image, class


def in_parts(pictures: Images, size: int, answer: Callable[[Images], Logits]) -> Logits:
    """Return the logits (image, class) of any number of pictures, of which the program takes `size` at a time.

    The last part is filled up as in `parts`; the answers to what fills it are left out.

    Args:
        pictures: (image, channel, height, width), one or more.
        size: how many the program takes.
        answer: the logits of exactly that many.

    Raises:
        EngineError: `answer` does.
    """
    return np.concatenate([answer(part) for part in parts(pictures, size)])[: len(pictures)]


def check_logits(name: str, shape: Sequence[int], images: int) -> None:
    """Check that an answer has one row of logits for each picture.

    Args:
        name: how errors call the contender.
        shape: of the answer.
        images: how many pictures were asked.

    Raises:
        EngineError: it has not.
    """
    if len(shape) != _AXES or shape[0] != images:
        raise EngineError(
            f"{name}: the model returns shape {tuple(shape)} for {images} images, expected (image, class)"
        )


def parts(pictures: Images, size: int) -> Iterator[Images]:
    """Yield copies of pictures in parts of one size, the last one filled up with the first pictures again.

    Args:
        pictures: (image, channel, height, width), one or more.
        size: of each part.
    """
    for first in range(0, len(pictures), size):
        yield pictures[np.arange(first, first + size) % len(pictures)]


def filled(pictures: Images, size: int) -> Images:
    """Return the first of the `parts`: as many pictures as a program takes, some repeated where there are fewer.

    Args:
        pictures: (image, channel, height, width), one or more.
        size: how many the program takes.
    """
    return next(parts(pictures, size))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByBatch(Generic[T]):
    """What a launch has read of a variant's conversions, by batch size."""

    variant: Variant
    made: Mapping[int, T]
    example: Images
    """Pictures that the evidence answers."""

    def of(self, batch: int, otherwise: str) -> T:
        """Return the result of the conversion for a batch size.

        Args:
            batch: the size that is asked for.
            otherwise: what was not done: "no file was made".

        Raises:
            EngineError: there is none.
        """
        if batch not in self.made:
            there = ", ".join(map(str, sorted(self.made))) or "none"
            raise EngineError(f"{self.variant.label}: {otherwise} for batch {batch}, only for {there}")
        return self.made[batch]


def damaged(name: str, folder: Path | None, error: BaseException, *, what: str = "converted file") -> EngineError:
    """Return the error to raise where a runtime cannot open a file that was made for it.

    Args:
        name: how errors call the contender.
        folder: that holds it.
        error: of the runtime.
        what: was made.
    """
    return EngineError(f"{name}: its {what} cannot be opened ({reason(error)}); remove {folder} to have it made again")
