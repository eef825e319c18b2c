"""What is said of that which a run left out."""

import cells
import pytest

from int8bench.machine.finding import Severity
from int8bench.study.cells import Cell
from int8bench.study.plan import fitting


def cell(engine: str, status: str = "ok", error: str | None = None, batch: int = 1) -> Cell:
    """As much of a record's cell as matters."""
    return cells.cell(engine=engine, status=status, error=error, batch=batch)


REASON = fitting.reason(fitting.too_long(98.0, "5 min"), "int8bench run --engines inductor --batch 8 --budget 4m")


def test_a_reason_says_why_and_what_to_type() -> None:
    """In one sentence, which can be told from every other reason."""
    assert REASON == (
        "left out for time: it would take about 1 min 38 s, for which the 5 min have no room; "
        "to include it, type: int8bench run --engines inductor --batch 8 --budget 4m"
    )
    assert fitting.is_reason(REASON)
    assert not fitting.is_reason("package inductor is not installed")
    assert not fitting.is_reason(None)


def test_what_was_stopped_says_after_how_long() -> None:
    """And that it was its share, not a fault of it."""
    assert fitting.stopped("the conversion onnx int8", 62.0, "5 min") == (
        "the conversion onnx int8 was stopped after 1 min 2 s, its share of the 5 min"
    )


def test_cells_that_were_left_out_are_one_note_an_engine_and_reason() -> None:
    """A note, with the command as advice: nothing is wrong with them."""
    listed = [
        cell("inductor"),
        *(cell("inductor", "skipped", REASON, batch) for batch in (8, 32)),
        cell("tflm", "skipped", "tflm: takes one picture at a time"),
    ]
    (found,) = (each.shown for each in fitting.findings_of(listed, {}, {}))
    assert (found.code, found.severity, found.subject) == ("left-out-for-time", Severity.NOTE, "inductor")
    assert found.message == (
        "inductor is left out: it would take about 1 min 38 s, for which the 5 min have no room "
        "(2 of 3 cells, batch 8, 32)."
    )
    assert found.advice.endswith("type: int8bench run --engines inductor --batch 8 --budget 4m")


def test_checks_and_probes_that_were_cut_short_are_notes() -> None:
    """Of engines that have figures; of others their cells say enough."""
    listed = [cell("tflm"), cell("openvino"), cell("litert", "skipped", REASON)]
    found = list(
        fitting.findings_of(listed, {"tflm": (24, 265), "litert": (1, 265)}, {"openvino": 40.0, "litert": 9.0})
    )
    assert [(each.code, each.subject) for each in found if each.code != "left-out-for-time"] == [
        ("checked-on-fewer", "tflm"),
        ("probe-left-out", "openvino"),
    ]
    pictures, probe = found[1].shown, found[2].shown
    assert "24 of 265 pictures" in pictures.message
    assert "about 40 s" in probe.message
    assert "int8bench doctor --engine openvino" in probe.advice


@pytest.mark.parametrize("status", ["ok", "failed"])
def test_only_what_was_skipped_was_left_out(status: str) -> None:
    """A failure may quote anything."""
    assert list(fitting.findings_of([cell("x", status, REASON)], {}, {})) == []
