"""Int8 answers held against float32's: SQNR, agreement of the top class, top-1 of both. Needs no torch."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from int8bench.documents import OMITTED, Count, Share
from int8bench.errors import EngineError

if TYPE_CHECKING:  # a record holds fidelities, and is read without numpy
    import numpy as np
    import numpy.typing as npt

_Logits: TypeAlias = "npt.NDArray[np.float32]"

# Saturating int8 still reaches 21 dB (METHOD), a wrong scale or a shuffled layer stays below 3 dB; 8 dB is one part
# in 2.5 of the amplitude: nothing that deserves to be timed.
LOWEST_SQNR_DB = 8.0
CONSTANT = 1e-5  # of the largest logit: float32 has 7 digits, and sums of many terms lose one or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """How near a candidate's answers are to the float32 model's.

    `sqnr_db` is None where the answers are the same to the bit; the two top-1 shares are None without labels, or where
    too few pictures were answered to tell. Answers are constant where no picture changes them: those of both then agree
    whatever int8 does.
    """

    sqnr_db: float | None
    agreement: Share
    top1: Share | None
    top1_float32: Share | None
    constant: bool = False
    constant_float32: bool = False
    pictures: Count | None = field(default=None, metadata=OMITTED)
    """On how many pictures; None where a record does not tell."""


def compare(reference: _Logits, candidate: _Logits, labels: "npt.NDArray[np.int64] | None" = None) -> Fidelity:
    """Return how near `candidate` is to `reference`.

    SQNR = 10 log10(sum reference^2 / sum (reference - candidate)^2), over all logits.

    Args:
        reference: float32 logits (image, class).
        candidate: logits (image, class) of the contender for the same images.
        labels: true classes (image,), where known.

    Raises:
        EngineError: the shapes differ, there is nothing to compare, or one of the two is not finite.
    """
    import numpy as np

    if reference.shape != candidate.shape or reference.size == 0:
        raise EngineError(f"answers of shape {candidate.shape}, expected {reference.shape} as float32 gives")
    if not np.isfinite(reference).all():
        raise EngineError("float32's own answers are not finite numbers; check the weights")
    if not np.isfinite(candidate).all():
        raise EngineError("answers are not finite numbers")
    expected, answered = reference.argmax(axis=1), candidate.argmax(axis=1)
    return Fidelity(
        sqnr_db=_sqnr_db(reference.astype(np.float64), candidate.astype(np.float64)),
        agreement=float((expected == answered).mean()),
        top1=None if labels is None else float((answered == labels).mean()),
        top1_float32=None if labels is None else float((expected == labels).mean()),
        constant=_is_constant(candidate),
        constant_float32=_is_constant(reference),
        pictures=len(reference),
    )


def _is_constant(logits: _Logits) -> bool:
    """Tell whether two pictures or more have one answer, but for last digits that the order of additions changes."""
    import numpy as np

    values = logits.astype(np.float64)
    spread = float(np.ptp(values, axis=0).max())
    return len(logits) > 1 and spread <= CONSTANT * float(np.abs(values).max())


def objection(answers: Fidelity) -> str | None:
    """Return why answers are too wrong to be timed; None where they are not."""
    if answers.sqnr_db is None or answers.sqnr_db >= LOWEST_SQNR_DB:
        return None
    return (
        f"its answers are wrong: {answers.sqnr_db:.1f} dB SQNR against float32, {LOWEST_SQNR_DB:.0f} dB or more "
        f"expected ({answers.agreement:.0%} of the top classes agree)"
    )


def _sqnr_db(reference: "npt.NDArray[np.float64]", candidate: "npt.NDArray[np.float64]") -> float | None:
    import numpy as np

    noise = float(((reference - candidate) ** 2).sum())
    signal = float((reference**2).sum())
    if noise == 0.0:
        return None
    # A difference of logarithms: the quotient would round to nothing where the model answers zeros.
    return 10 * (math.log10(max(signal, float(np.finfo(np.float64).tiny))) - math.log10(noise))
