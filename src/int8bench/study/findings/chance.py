"""Answers that prove nothing: the top-1 of untrained weights, and logits that no picture changes. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from int8bench.cases import INT8
from int8bench.machine.finding import Finding, Severity
from int8bench.workload.order import INITIAL

TOP1_CHANCE, CONSTANT = "top1-is-chance", "constant-answers"  # the codes of the findings
SURELY = 0.001  # the chance that guessing does as well as what is called better than guessing

Cells = Sequence[Mapping[str, Any]]


def top1_is_chance(subject: Mapping[str, Any], cells: Cells) -> bool:
    """Whether top-1 says nothing: the weights are random, or float32 itself does no better than guessing.

    Args:
        subject: what a record's settings say of the model and its pictures; may be empty.
        cells: of the record, measured.
    """
    return subject.get("weights") == INITIAL or _guesses(subject, cells)


def _guesses(subject: Mapping[str, Any], cells: Cells) -> bool:
    from int8bench.stats.proportion import chance_of_at_least  # scipy, which a report does without

    top1 = _top1(cells)
    classes, pictures = subject.get("num_classes", 0), subject.get("validation_images", 0)
    if top1 is None or classes < 2 or not pictures:  # noqa: PLR2004  of one class every guess is right
        return False
    return chance_of_at_least(round(top1 * pictures), pictures, 1 / classes) > SURELY


def _top1(cells: Cells) -> float | None:
    """Float32's, where the pictures have labels."""
    found = [cell["fidelity"]["top1_float32"] for cell in cells]
    return next((float(each) for each in found if each is not None), None)


def findings_of(subject: Mapping[str, Any], cells: Cells) -> Iterator[Finding]:
    """What the answers of a record do not prove.

    Args:
        subject: what a record's settings say of the model and its pictures.
        cells: of the record, measured.
    """
    if _top1(cells) is not None and top1_is_chance(subject, cells):
        yield _chance(subject)
    yield from _constant(cells)


def _chance(subject: Mapping[str, Any]) -> Finding:
    random = subject.get("weights") == INITIAL
    classes = subject.get("num_classes")
    guess = f" among {classes} classes" if classes else ""
    return Finding(
        code=TOP1_CHANCE,
        severity=Severity.NOTE,
        subject="top-1",
        message=f"The weights are random: top-1 is chance{guess}, and is left out."
        if random
        else f"Float32's own top-1 is no better than guessing{guess}, so int8's says nothing and is left out.",
        why="What int8 loses is told by SQNR and by how many of the top classes agree with float32's.",
        advice="Give trained weights: --weights FILE, such as int8bench train makes.",
    )


def _constant(cells: Cells) -> Iterator[Finding]:
    if any(cell["fidelity"].get("constant_float32") for cell in cells):
        yield Finding(
            code=CONSTANT,
            severity=Severity.WARNING,
            subject="float32",
            message="Float32 answers every picture alike: that int8 answers as it does proves nothing.",
            why="A layer that is never on, such as a rectifier of negative sums, hides all that lies before it; "
            "ranges behind it were calibrated on one value.",
            advice="Give weights that tell pictures apart, or pictures like those that the model is made for (--data).",
        )
        return
    for engine in dict.fromkeys(cell["engine"] for cell in cells if cell["precision"] == INT8):
        if any(cell["engine"] == engine and cell["fidelity"].get("constant") for cell in cells):
            yield Finding(
                code=CONSTANT,
                severity=Severity.WARNING,
                subject=engine,
                message=f"{engine} int8 answers every picture alike, which float32 does not: its SQNR proves nothing.",
                why="The step of its last layer is larger than what tells the pictures apart.",
                advice="Do not use it for this model, or give it weights that tell pictures apart.",
            )
