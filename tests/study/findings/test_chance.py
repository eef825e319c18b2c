"""What answers do not prove: top-1 of random weights is chance, and answers that no picture changes are no answers."""

from typing import Any

import pytest
from cells import cell

from int8bench.machine.finding import Finding, ShownFinding
from int8bench.study.cells import Cell
from int8bench.study.findings.chance import described, findings_of, top1_is_chance

SUBJECT = {"weights": "trained", "num_classes": 10, "validation_images": 360}
RANDOM = {**SUBJECT, "weights": "initial"}


def _cell(top1_float32: float | None = 0.98, engine: str = "x86", **fidelity: object) -> Cell:
    told = {"sqnr_db": 40.0, "agreement": 1.0, "top1": top1_float32, "top1_float32": top1_float32, **fidelity}
    return cell(engine=engine, fidelity=told)


def _only(found: list[Finding]) -> ShownFinding:
    (only,) = found
    return only.shown


@pytest.mark.parametrize(
    ("subject", "top1", "guesses"),
    [
        (RANDOM, 0.10, True),
        (RANDOM, 0.25, True),
        (RANDOM, None, True),
        (SUBJECT, 0.98, False),
        (SUBJECT, 0.20, False),
        (SUBJECT, 0.12, True),
        (SUBJECT, 0.05, True),
        ({**SUBJECT, "num_classes": 2}, 0.52, True),
        ({**SUBJECT, "num_classes": 1}, 1.0, False),
        (SUBJECT, None, False),
        ({**SUBJECT, "weights": "own"}, 0.98, False),
        ({**SUBJECT, "weights": "own"}, 0.11, True),
        ({}, 0.1, False),
    ],
)
def test_random_weights_guess_and_so_does_what_is_no_better(
    subject: dict[str, Any],
    top1: float | None,
    guesses: bool,  # noqa: FBT001
) -> None:
    """However well random weights do; of others, what an exact test cannot tell from guessing."""
    assert top1_is_chance(described({"subject": subject}), [_cell(top1)]) is guesses


def test_a_guess_is_told_as_one() -> None:
    """Whose weights are random is told so; of trained ones, that float32 itself does no better."""
    random = _only(list(findings_of(described({"subject": RANDOM}), [_cell(0.1)])))
    assert (random.code, random.severity) == ("top1-is-chance", "note")
    assert random.message == "The weights are random: top-1 is chance among 10 classes, and is left out."
    poor = _only(list(findings_of(described({"subject": SUBJECT}), [_cell(0.1)])))
    assert poor.message.startswith("Float32's own top-1 is no better than guessing among 10 classes")


@pytest.mark.parametrize(("subject", "cells"), [(SUBJECT, [_cell()]), (RANDOM, [_cell(None)]), (RANDOM, [])])
def test_nothing_is_told_where_nothing_would_mislead(subject: dict[str, Any], cells: list[Cell]) -> None:
    """A top-1 that is known and good, and one that is not there at all."""
    assert list(findings_of(described({"subject": subject}), cells)) == []


def test_float32_that_answers_every_picture_alike_proves_nothing() -> None:
    """Once for all engines, whatever int8 answers."""
    cells = [_cell(engine=each, constant=True, constant_float32=True) for each in ("x86", "fbgemm")]
    finding = _only(list(findings_of(described({"subject": SUBJECT}), cells)))
    assert (finding.code, finding.severity, finding.subject) == ("constant-answers", "warning", "float32")
    assert finding.message.startswith("Float32 answers every picture alike")


def test_int8_that_answers_every_picture_alike_is_told_by_its_engine() -> None:
    """Where float32 tells pictures apart, only the engine that does not is named."""
    finding = _only(list(findings_of(described({"subject": SUBJECT}), [_cell(engine="fbgemm"), _cell(constant=True)])))
    assert (finding.code, finding.subject) == ("constant-answers", "x86")
