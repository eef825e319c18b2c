"""Answers that prove nothing: the top-1 of untrained weights, and logits that no picture changes. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from int8bench import documents
from int8bench.documents import JsonObject
from int8bench.machine.finding import Finding, note, warning
from int8bench.study.cells import Cell, known
from int8bench.workload.cases import INT8
from int8bench.workload.order import INITIAL

TOP1_CHANCE, CONSTANT = "top1-is-chance", "constant-answers"  # the codes of the findings
SURELY = 0.001  # the chance that guessing does as well as what is called better than guessing


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What a record's settings say of the model and its pictures; None or 0 where they do not."""

    weights: str | None = None
    num_classes: int = 0
    validation_images: int = 0


NOTHING_DESCRIBED = Described()


def described(settings: JsonObject) -> Described:
    """Return the model and its pictures, as settings describe them.

    Raises:
        RecordError: they say it in another way.
    """
    return documents.read(Described, settings.get("subject", {}), name="settings", at="subject", strict=False)


def top1_is_chance(subject: Described, cells: Sequence[Cell]) -> bool:
    """Tell whether top-1 proves nothing: the weights are random, or float32 itself does no better than guessing.

    Args:
        subject: the model and its pictures.
        cells: of the record, measured.
    """
    return subject.weights == INITIAL or _guesses(subject, cells)


def _guesses(subject: Described, cells: Sequence[Cell]) -> bool:
    from int8bench.stats.proportion import chance_of_at_least  # scipy, which a report does without

    top1 = _top1(cells)
    classes, pictures = subject.num_classes, subject.validation_images
    if top1 is None or classes < 2 or not pictures:  # noqa: PLR2004  of one class every guess is right
        return False
    return chance_of_at_least(round(top1 * pictures), pictures, 1 / classes) > SURELY


def _top1(cells: Sequence[Cell]) -> float | None:
    """Return float32's top-1, where the pictures have labels."""
    shares = (known(cell.fidelity).top1_float32 for cell in cells)
    return next((share for share in shares if share is not None), None)


def findings_of(subject: Described, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Yield a finding for each thing that the answers of a record do not prove.

    Args:
        subject: the model and its pictures.
        cells: of the record, measured.
    """
    if _top1(cells) is not None and top1_is_chance(subject, cells):
        yield _chance(subject)
    yield from _constant(cells)


def _chance(subject: Described) -> Finding:
    kind = TOP1_CHANCE if subject.weights == INITIAL else "top1-is-chance/guesses"
    return note(kind, "top-1", among=f" among {subject.num_classes} classes" if subject.num_classes else "")


def _constant(cells: Sequence[Cell]) -> Iterator[Finding]:
    if any(known(cell.fidelity).constant_float32 for cell in cells):
        yield warning(CONSTANT, "float32")
        return
    for engine in dict.fromkeys(cell.engine for cell in cells if cell.precision == INT8):
        if any(cell.engine == engine and known(cell.fidelity).constant for cell in cells):
            yield warning("constant-answers/int8", engine)
