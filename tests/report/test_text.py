import json
import re
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contests import RULES, Contender, contest, float32

from int8bench.machine.finding import Severity, ShownFinding
from int8bench.report import text
from int8bench.report.page import page
from int8bench.study import records
from int8bench.study.ranking import ranked
from int8bench.study.recommendation import recommended
from int8bench.study.records import Run

RUNS = Path(__file__).parents[1] / "golden" / "runs"
DOCUMENT: dict[str, Any] = json.loads((RUNS / "quick.json").read_text(encoding="utf-8"))
FIGURES = ("latency_s", "cold_s", "throughput_items_per_s", "threads_used", "memory_bytes", "fidelity")
FBGEMM, QNNPACK = 2, 3
VERDICT = re.compile(r"\d+\.\d\dx \[\d+\.\d\d, \d+\.\d\d\] (faster|slower|same|unclear)")


def _run(change: Callable[[dict[str, Any]], None] = lambda _: None) -> Run:
    """The golden run after a change of its document, which must still be a record."""
    document = deepcopy(DOCUMENT)
    change(document)
    return records.from_dict(document)


def _drawn(change: Callable[[dict[str, Any]], None] = lambda _: None, *, width: int = 120) -> str:
    return text.render(_run(change), width=width, colour=False)


def _stop(cell: dict[str, Any], status: str, error: str) -> None:
    cell |= {**dict.fromkeys(FIGURES), "speedups": [], "status": status, "error": error}


def _default_grid(document: dict[str, Any]) -> None:
    """The cells of the default grid: two int8 engines, three batches, two thread counts."""
    first = document["cells"][:4]
    document["cells"] = []
    for threads in (1, 2):
        for batch in (1, 8, 32):
            for cell in deepcopy(first):
                cell |= {"batch": batch, "threads": threads}
                for speedup in cell["speedups"]:
                    speedup["reference"] = speedup["reference"].replace("b1/t1", f"b{batch}/t{threads}")
                cell["id"] = cell["id"].replace("b1/t1", f"b{batch}/t{threads}")
                document["cells"].append(cell)


@pytest.mark.parametrize("width", [120, 80])
def test_a_stored_run_is_drawn_as_it_was(width: int) -> None:
    """The screen of the golden run, to the last character; the file alone decides it."""
    assert _drawn(width=width) + "\n" == (RUNS / f"quick.{width}.txt").read_text(encoding="utf-8")


def test_what_a_selftest_said_stands_last() -> None:
    """One more line after all others, without what a terminal would take for a command."""
    quote = "selftest of today on this machine: verdicts can be trusted down to 1.3 %"
    quoted = text.render(_run(), width=120, colour=False, quote=f"{quote}\x1b")
    assert quoted == f"{_drawn()}\n{quote}"


def test_the_answer_stands_first() -> None:
    """The first line asks, the next ones answer, engine by engine, before any figure."""
    lines = _drawn().splitlines()
    assert lines[0] == "Is int8 faster than the best float32? simplecnn on Intel(R) Xeon(R) Processor"
    assert lines[1].startswith("fbgemm: cannot tell, unclear in 2 of 2 cells: 1.04x [")
    assert lines[2].startswith("qnnpack: cannot tell in some cells, slower in 1, unclear in 1 of 2 cells: 0.28x [")


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        (("faster", "faster"), "yes"),
        (("slower", "slower"), "no"),
        (("same", "slower"), "no"),
        (("faster", "slower"), "in some cells"),
        (("faster", "unclear"), "in some cells"),
        (("unclear", "unclear"), "cannot tell"),
        (("slower", "unclear"), "cannot tell in some cells"),
    ],
)
def test_yes_and_no_hold_for_every_cell(verdicts: tuple[str, str], word: str) -> None:
    """A plain word only where all verdicts say so; doubt is a word too."""

    def change(document: dict[str, Any]) -> None:
        for cell, verdict in zip((FBGEMM, FBGEMM + 4), verdicts, strict=True):
            document["cells"][cell]["speedups"][0]["verdict"] = verdict

    answer = text.answers(_run(change))[0]
    assert (answer.engine, answer.word) == ("fbgemm", word)
    assert f"fbgemm: {word}, " in _drawn(change)


def test_an_answer_that_costs_accuracy_says_so() -> None:
    """A fast wrong answer is no plain yes."""

    def change(document: dict[str, Any]) -> None:
        document["findings"].append({**document["findings"][0], "code": "accuracy-loss", "subject": "fbgemm"})

    fbgemm, qnnpack = text.answers(_run(change))
    assert "; its answers differ, see accuracy-loss: " in fbgemm.detail
    assert "accuracy-loss" not in qnnpack.detail


@pytest.mark.parametrize("width", [120, 100, 80, 60, 20])
def test_no_row_is_broken_and_no_figure_cut(width: int) -> None:
    """Every cell is one line with its whole verdict, on any screen; columns go before figures do."""
    lines = _drawn(_default_grid, width=width).splitlines()
    rows = [line for line in lines if re.search(r"(channels-last|nchw|int8) +\d+(\.\d+)? [mu]?s", line)]
    assert len(rows) == 24
    assert sum(VERDICT.search(row) is not None for row in rows) == 12
    assert not any("…" in line or "..." in line for line in rows)
    assert max(len(line) for line in lines) <= max(width, 80)


def test_the_default_grid_is_one_screen() -> None:
    """Twenty-four cells, their answers and what is wrong fit one screen, and the narrow one has what matters."""
    wide, narrow = (_drawn(_default_grid, width=width) for width in (120, 80))
    assert len(wide.splitlines()) <= 48  # the recommendation is among them; a window of 50 has room for two prompts
    header = next(line for line in wide.splitlines() if line.startswith("cell "))
    assert " ".join(header.split()) == "cell contender median p99 items/s memory vs best float32 vs nchw SQNR top-1"
    header = next(line for line in narrow.splitlines() if line.startswith("cell "))
    assert " ".join(header.split()) == "cell contender median vs best float32 SQNR"


def test_a_group_is_named_once() -> None:
    """The rows of a group stand together under its name, threads first."""
    labels = re.findall(r"^t\d b\d+ ", _drawn(_default_grid), flags=re.MULTILINE)
    assert labels[:6] == ["t1 b1 ", "t1 b8 ", "t1 b32 ", "t2 b1 ", "t2 b8 ", "t2 b32 "]
    assert len([label for label in labels if label.startswith("t1 b1 ")]) == 1


def test_a_long_engine_name_widens_the_screen() -> None:
    """A plug-in's name is never cut."""
    name = "a_plugin_with_quite_a_long_name_that_nobody_foresaw"

    def change(document: dict[str, Any]) -> None:
        cell = document["cells"][FBGEMM]
        cell["id"] = cell["id"].replace("fbgemm", name)
        cell["engine"] = name

    row = next(line for line in _drawn(change, width=80).splitlines() if f"{name} int8" in line and "us" in line)
    assert VERDICT.search(row)


def test_markup_in_a_name_is_shown_in_the_table() -> None:
    """What looks like markup or an emoji's name is part of the name."""
    name = "[bold]e[bold]:smile:"

    def change(document: dict[str, Any]) -> None:
        cell = document["cells"][FBGEMM]
        cell["id"] = cell["id"].replace("fbgemm", name)
        cell["engine"] = name

    assert any(f"{name} int8" in line and VERDICT.search(line) for line in _drawn(change).splitlines()[4:])


def _with_finding(code: str, subject: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        document["findings"].append({**document["findings"][0], "code": code, "subject": subject})

    return change


def test_top1_of_random_weights_is_called_chance() -> None:
    """No row has a percentage then, in the table or on the page."""
    assert "98.0%" in _drawn()
    drawn = _drawn(_with_finding("top1-is-chance", "top-1"))
    assert "98.0%" not in drawn
    assert drawn.count("chance\n") == 8
    assert "98.0%" not in page(_run(_with_finding("top1-is-chance", "top-1")))


def test_answers_that_no_picture_changes_have_no_decibels() -> None:
    """Neither the row of an engine that answers so, nor any row where float32 does; the answer says why."""

    def mine(document: dict[str, Any]) -> None:
        document["cells"][FBGEMM]["fidelity"]["constant"] = True
        _with_finding("constant-answers", "fbgemm")(document)

    drawn = _drawn(mine)
    assert drawn.count("constant ") == 1
    assert "it answers every picture alike, see constant-answers" in " ".join(drawn.split())

    def all_of_them(document: dict[str, Any]) -> None:
        for cell in document["cells"]:
            cell["fidelity"]["constant_float32"] = True
        _with_finding("constant-answers", "float32")(document)

    for drawn in (_drawn(all_of_them), page(_run(all_of_them))):
        assert not re.search(r"\d dB", drawn)
        assert "float32 answers every picture alike, see constant-answers" in " ".join(drawn.split())


def test_a_failed_cell_has_a_row_and_its_reason() -> None:
    """Its row says failed, the line below the table says why, and its engine's answer counts it."""

    def change(document: dict[str, Any]) -> None:
        _stop(document["cells"][FBGEMM], "failed", "the measuring process was ended by SIGSEGV")

    drawn = _drawn(change)
    assert re.search(r"^ +fbgemm int8 +failed$", drawn, flags=re.MULTILINE)
    assert "failed, 1 cell (fbgemm t1 b1): the measuring process was ended by SIGSEGV" in drawn
    assert "fbgemm: cannot tell, unclear in 1 of 1 cell, 1 without a result: " in drawn


def test_one_cause_in_several_engines_is_drawn_once() -> None:
    """In the answers and below the table, engines named; the page says so too."""
    reason = "{}: Net cannot be traced by torch.fx: TraceError: a branch on data; keep it out of forward"

    def change(document: dict[str, Any]) -> None:
        document["findings"] = []
        for cell in document["cells"]:
            if cell["precision"] == "int8":
                _stop(cell, "failed", reason.format(cell["engine"]))

    drawn = _drawn(change)
    assert "fbgemm and qnnpack: no result, TraceError: a branch on data\n" in drawn
    assert "failed, 4 cells (fbgemm and qnnpack t1 b1, ...): TraceError: a branch on data" in " ".join(drawn.split())
    assert drawn.count("a branch on data") == 2
    assert "<b>fbgemm and qnnpack: " in page(_run(change))


def test_a_reason_that_a_finding_says_is_not_said_twice() -> None:
    """Where a finding has the reason, the line below the table goes."""

    def change(document: dict[str, Any]) -> None:
        _stop(document["cells"][FBGEMM], "failed", "it crashed.")
        finding = {**document["findings"][0], "code": "cell-failed", "message": "fbgemm failed in 1 cell: it crashed."}
        document["findings"].insert(0, finding)

    assert _drawn(change).count("it crashed") == 1


def test_an_unfinished_run_says_so_and_how_to_go_on() -> None:
    """Cells that are not reached yet stand there without figures, and the second line says what to type."""

    def change(document: dict[str, Any]) -> None:
        document["complete"] = False
        for cell in document["cells"][4:]:
            _stop(cell, "skipped", "not measured yet")

    drawn = _drawn(change)
    assert drawn.splitlines()[1] == "unfinished: the same command goes on from here"
    assert "skipped, 4 cells (torch, fbgemm and qnnpack t1 b8, ...): not measured yet" in drawn


def test_a_run_in_which_nothing_was_measured_can_be_drawn() -> None:
    """No result is an answer with its reason; no launch, no stream and no sample stop the footer."""

    def change(document: dict[str, Any]) -> None:
        document["findings"] = []
        for cell in document["cells"]:
            _stop(cell, "skipped", "needs AVX2")
            cell["samples"] = {"races": [], "solos": []}

    drawn = _drawn(change)
    assert "fbgemm and qnnpack: no result, needs AVX2" in drawn
    assert "over no launches" in drawn


def test_a_record_without_cells_can_be_drawn() -> None:
    """An empty grid is an odd record, and no crash."""
    assert "nothing on Intel(R)" in _drawn(lambda document: document.update(cells=[]))


def test_every_finding_is_there_with_its_code() -> None:
    """Errors and warnings, and notes on an engine that ran, say what to type; a note on the machine is one sentence."""
    drawn = " ".join(_drawn().split())
    for finding in DOCUMENT["findings"]:
        assert f"{finding['severity']} {finding['message']} " in drawn
        assert f"[{finding['code']}]" in drawn
        said = finding["severity"] != "note" or finding["subject"] in {"fbgemm", "qnnpack"}
        assert (finding["advice"] in drawn) == said


def test_colours_are_for_terminals() -> None:
    """A file gets no escape sequence; a terminal gets the same words in colour."""
    plain, coloured = (text.render(_run(), width=120, colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split() == plain.split()


def test_a_terminal_is_not_commanded_by_a_record() -> None:
    """Escape sequences and markup in a record are shown, not obeyed."""

    def change(document: dict[str, Any]) -> None:
        document["environment"]["hardware"]["brand"] = "\x1b[2Jchip [bold]x[/bold] :smile:"
        _stop(document["cells"][FBGEMM], "failed", "\x1b]0;title\x07\nsecond line")
        document["findings"][0] |= {"message": "a\x1b[31m", "advice": "b\r", "code": "c\x9b"}

    drawn = _drawn(change)
    assert "chip [bold]x[/bold] :smile:" in drawn
    assert all(each.isprintable() for each in drawn.replace("\n", ""))
    assert "]0;title  second line" in drawn


def _ranked(severities: dict[str, str], *engines: str) -> str:
    """A run whose engines are ranked, with a finding a code of that severity."""
    known = engines or ("theirs", "ours", "others")
    found = contest(*(Contender(engine=each, time_s=1e-3) for each in known), float32("torch", 4e-3))
    settings = ranked(found.cases, found.cells, found.ledger, RULES)
    choice = recommended(settings, RULES, complete=True)
    assert choice is not None
    findings = [
        ShownFinding(
            code=code,
            severity=Severity(severity),
            subject="ours",
            message=f"Of {code}.",
            why="w",
            advice="Do it.",
        )
        for code, severity in severities.items()
    ]
    return text.render(
        replace(_run(), ranking=settings, recommendation=choice, findings=tuple(findings)), width=120, colour=False
    )


def test_a_run_of_several_engines_shows_its_ranking_instead_of_every_cell() -> None:
    """The question is another one, and no cell's p99 takes a line."""
    drawn = _ranked({})
    assert drawn.startswith("Which engine is the fastest?")
    assert "theirs int8" in drawn
    assert "p99" not in drawn


def test_two_engines_are_shown_cell_by_cell_with_what_is_recommended() -> None:
    """The question whether int8 is faster keeps its table; the ranking's choice is one more line."""
    drawn = _ranked({}, "theirs", "ours")
    assert drawn.startswith("Is int8 faster than the best float32?")
    assert "Recommended here: " in drawn
    assert "p99" in drawn


def test_of_several_engines_errors_stand_in_full_and_the_rest_by_their_codes() -> None:
    """One line a severity, so that the answer fits a screen; with where to read on."""
    lines = _ranked(
        {"bad": "error", "worse": "error", "odd": "warning", "even": "warning", "aside": "note"}
    ).splitlines()
    assert "error Of bad. Do it. [bad]" in lines
    assert "error Of worse. Do it. [worse]" in lines
    assert "warnings odd: ours; even: ours. In full: int8bench report RUN.json -o page.html" in lines
    assert "notes aside: ours. In full: int8bench report RUN.json -o page.html" in lines


def test_of_several_engines_what_is_about_all_of_them_stands_in_full() -> None:
    """That top-1 is chance, and what was left in float; no list of codes."""
    lines = _ranked({"left-in-float": "warning", "top1-is-chance": "note", "aside": "note"}).splitlines()
    assert "warning Of left-in-float. Do it. [left-in-float]" in lines
    assert "note Of top1-is-chance. Do it. [top1-is-chance]" in lines
    assert "notes aside: ours. In full: int8bench report RUN.json -o page.html" in lines
