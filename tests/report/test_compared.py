"""What changed, drawn: rows that are never broken, bad news first, and texts of strangers that stay texts."""

import re
from dataclasses import replace

import pytest

from int8bench import documents
from int8bench.compare.comparisons import Comparison, Differences, Metric, SideRatio
from int8bench.report import compared

CELL = "simplecnn/fbgemm/int8/channels_last/b32/t1"


def _row(
    metric: Metric,
    verdict: str,
    value: float | None = 1.0,
    *,
    name: str = CELL,
    visible: float | None = 0.013,
    reason: str | None = None,
) -> Comparison:
    ratio = None if value is None else SideRatio(value=value, low=value - 0.004, high=value + 0.006)
    return Comparison(
        id=name,
        metric=metric,
        verdict=verdict,
        ratio=ratio,
        launches=8,
        forks=16,
        pairs=900,
        smallest_visible_effect=visible,
        reason=reason,
    )


def _document(*rows: Comparison, **more: object) -> Differences:
    document = {
        "base": "1111aaaa",
        "head": "2222bbbb",
        "complete": True,
        "error_rate": 0.001,
        "comparisons": [documents.written(row) for row in rows],
        "added": [],
        "removed": [],
        **more,
    }
    return documents.read(Differences, document, name="what changed in a test")


MIXED = (
    _row(Metric.TIME, "same"),
    _row(Metric.TIME, "unclear", 1.02, reason="the interval 0.98 to 1.06 holds 1"),
    _row(Metric.TIME, "faster", 0.8),
    _row(Metric.TIME, "slower", 1.031),
    _row(Metric.SPEEDUP, "less", 0.5),
    _row(Metric.WEIGHTS, "less", 0.9, visible=0.0),
    _row(Metric.TRACKED, "more", 7.0),
)
FINDING = {
    "code": "qnnpack-on-x86",
    "severity": "error",
    "subject": "qnnpack",
    "message": "It is slow.",
    "why": "It is for ARM.",
    "advice": "Type this.",
}


def _drawn(document: Differences, width: int = 120) -> list[str]:
    return compared.render(document, width=width, colour=False).splitlines()


def _rows(lines: list[str]) -> list[str]:
    return [line for line in lines if re.search(r"\d\.\d{3} +\[", line)]


def test_a_row_has_the_cell_the_size_and_the_interval() -> None:
    """One line, as a person and a log read it."""
    row = " ".join(_rows(_drawn(_document(_row(Metric.TIME, "slower", 1.031))))[0].split())
    assert row == f"{CELL} time 1.031 [1.027, 1.037] slower 1.3%"


def test_bad_news_come_first() -> None:
    """Worse by size, better by size, what is unclear, the same; a number without a worse side is no news."""
    words = [line.split()[-2:] for line in _rows(_drawn(_document(*MIXED)))]
    assert [pair[0] if pair[1].endswith("%") else pair[1] for pair in words] == [
        *("less", "slower", "faster", "less", "unclear", "same", "more")
    ]


def test_the_first_line_says_what_is_proven_and_what_is_not() -> None:
    """Bad news first, each with what it means; of what is unclear, the change that would have been seen."""
    assert " ".join(_drawn(_document(*MIXED))[:2]) == (
        "Proven: 1 less (worse), 1 slower (worse), 1 faster (better), 1 less (better), 1 same, 1 more; "
        "not proven: 1 unclear, where a change of 1.3% would have been seen"
    )
    assert _drawn(_document(_row(Metric.TIME, "same")))[0] == "Proven: 1 same"


def test_an_answer_that_is_unclear_does_not_read_like_a_pass() -> None:
    """Nothing is proven, whatever the exit code; a row without a figure is none that could have been seen."""
    unclear = _row(Metric.TIME, "unclear", 1.0)
    nothing = replace(unclear, ratio=None, smallest_visible_effect=None, reason="it hangs")
    assert _drawn(_document(unclear))[0] == (
        "Nothing is proven: 1 unclear, where a change of 1.3% would have been seen"
    )
    assert _drawn(_document(unclear, nothing))[0].endswith("would have been seen, 1 without a figure")
    assert _drawn(_document(nothing))[0] == "Nothing is proven: 1 without a figure"


def test_what_is_broken_in_head_is_proven() -> None:
    """Though it has no figure that could be compared."""
    broken = {**FINDING, "code": "benchmark-failed", "severity": "error"}
    nothing = replace(_row(Metric.TIME, "unclear"), ratio=None, smallest_visible_effect=None)
    assert _drawn(_document(nothing, findings=[broken]))[0].startswith("Proven: a benchmark or more is broken in head;")
    assert _drawn(_document(nothing, findings=[{**broken, "severity": "warning"}]))[0].startswith("Nothing is proven")


@pytest.mark.parametrize(("visible", "told"), [(9.0, "900.0%"), (9.1, "more than 10x"), (1e9, "more than 10x")])
def test_what_would_be_seen_beyond_ten_times_has_no_figure(visible: float, told: str) -> None:
    """In the table, in the first line and in a comment."""
    document = _document(replace(_row(Metric.TIME, "unclear", 1.0), smallest_visible_effect=visible))
    lines = _drawn(document)
    assert told in lines[0]
    assert _rows(lines)[0].rstrip().endswith(told)
    assert f"| unclear | {told} |" in compared.markdown(document)


@pytest.mark.parametrize("width", [120, 100, 80, 20])
def test_every_line_fits_the_screen(width: int) -> None:
    """Figures are never cut: a long name is folded, the verdict stands whole."""
    long = _row(Metric.PEAK_MEMORY, "unclear", 1.0, name="bench.TimeSuite.time_it(" + "x" * 90 + ")", reason="r " * 90)
    lines = _drawn(_document(*MIXED, long, verdict="fail", reasons=["why " * 60], findings=[FINDING]), width)
    assert len(_rows(lines)) == len(MIXED) + 1
    assert max(map(len, lines)) <= max(width, compared.NARROWEST)
    assert not any("…" in line for line in lines)


def test_a_gate_says_its_word_and_its_reasons_first() -> None:
    """The verdict, between what, and why stand above the table."""
    document = _document(*MIXED, verdict="fail", reasons=["cell: time is slower"], findings=[FINDING])
    lines = _drawn(document, 200)
    assert lines[0].startswith("fail: proven: 1 less (worse), ")
    assert lines[1:3] == ["head 2222bbbb over base 1111aaaa", "cell: time is slower"]
    assert "error It is slow. Type this. [qnnpack-on-x86]" in lines
    unended = _document(findings=[{**FINDING, "message": "It is slow"}])
    assert "error It is slow. Type this. [qnnpack-on-x86]" in _drawn(unended)


def test_the_error_that_is_kept_is_stated() -> None:
    """Of one verdict, and of all that have noise; what has none is not counted."""
    text = " ".join(_drawn(_document(*MIXED)))
    assert "wrong with a probability of 0.001 at most, any of these 6 with 0.006 at most (Bonferroni)." in text
    assert "any of these" not in " ".join(_drawn(_document(_row(Metric.TIME, "same"))))


def test_reasons_that_differ_in_figures_alone_are_said_once() -> None:
    """Twelve cells that are unclear for the same reason are one sentence."""
    rows = [_row(Metric.TIME, "unclear", name=f"cell-{i}", reason=f"the interval 0.9{i} holds 1") for i in range(9)]
    rows.append(_row(Metric.TIME, "unclear", None, name="other", reason="head failed: it broke", visible=None))
    lines = _drawn(_document(*rows))
    assert "time of cell-0 and 8 more: the interval 0.90 holds 1" in lines
    assert "time of other: head failed: it broke" in lines


def test_nothing_compared_is_said() -> None:
    """A gate that only recorded has no table, and no ratio is no row of figures."""
    lines = _drawn(_document(verdict="recorded", reasons=["no baseline"], complete=False))
    assert lines[0] == "recorded: nothing compared, unfinished"
    assert not any(line.startswith("cell ") for line in lines)
    assert "### int8bench: recorded: nothing compared" in compared.markdown(_document(verdict="recorded"))


def test_names_and_notes_are_shown() -> None:
    """What one side alone has, cut where it is many, and the document's own sentences."""
    names = [f"cell-{i}" for i in range(10)]
    lines = _drawn(_document(added=["new"], removed=names, notes=["Versions differ in torch."]), width=200)
    assert "only in head, not compared: new" in lines
    assert f"only in base, not compared: {', '.join(names[:8])} and 2 more" in lines
    assert lines[-1] == "Versions differ in torch."


def test_a_hundred_rows_are_cut_with_a_word() -> None:
    """The screen ends, and says that there is more."""
    rows = [_row(Metric.TIME, "same", name=f"cell-{i}") for i in range(100)]
    assert "and 40 more, see --json" in _drawn(_document(*rows))
    assert "| and 40 more, see the JSON |" in compared.markdown(_document(*rows))


def test_the_comment_has_what_matters_on_top() -> None:
    """Sure differences stand in the open, the rest is folded away; bad ones are bold."""
    text = compared.markdown(_document(*MIXED, verdict="fail", reasons=["cell: slower"], findings=[FINDING]))
    top, folded = text.split("<details>")
    assert top.splitlines()[0].startswith("### int8bench: fail: ")
    assert "- cell: slower\n" in top
    assert f"| `{CELL}` | time | 1.031 | [1.027, 1.037] | **slower** | 1.3% |" in top
    assert "| faster |" in top
    assert "| unclear |" in folded
    assert "- error It is slow. Type this. \\[qnnpack-on-x86\\]" in folded
    assert "\n\n\n" not in text
    plain = compared.markdown(_document(_row(Metric.TIME, "same")))
    assert "No difference is sure." in plain
    assert "\n\n\n" not in plain


def test_texts_of_a_document_stay_texts() -> None:
    """A name or a reason holds no terminal command, no HTML, no bar of a table, and mentions nobody."""
    evil = "a`b|c\x1b[31m\n<img src=x> @someone *x*"
    row = _row(Metric.TIME, "slower", 1.1, name=evil, reason=evil)
    finding = {**FINDING, "code": evil, "message": evil, "advice": evil}
    document = _document(
        row, base=evil, head=evil, reasons=[evil], verdict="fail", added=[evil], notes=[evil], findings=[finding]
    )
    drawn = compared.render(document, width=120, colour=False)
    assert "\x1b" not in drawn
    text = compared.markdown(document)
    table = next(line for line in text.splitlines() if "| time |" in line)
    assert "\x1b" not in text
    assert len(re.findall(r"(?<!\\)\|", table)) == 7
    for line in text.splitlines():
        outside = re.sub(r"`[^`]*`", "", line)
        assert "<img" not in outside
        assert "@someone" not in outside


def test_what_a_selftest_said_stands_last() -> None:
    """On the screen and in the comment, as a text; where there was none, nothing is said of it."""
    quote = "selftest of today on this machine: verdicts can be trusted down to 1.3 % <b>\x1b[31m"
    row = _row(Metric.TIME, "same")
    drawn, text = _drawn(_document(row, selftest=quote)), compared.markdown(_document(row, selftest=quote))
    assert drawn[-1] == quote.replace("\x1b", " ")
    assert text.splitlines()[-1].startswith("<sub>selftest of today on this machine: verdicts can be trusted down")
    assert "<b>" not in text
    assert _drawn(_document(row, selftest=None)) == _drawn(_document(row))
    assert compared.markdown(_document(row, selftest=None)) == compared.markdown(_document(row))


def test_colour_is_for_terminals() -> None:
    """With colour the same words in escape sequences, without none."""
    document = _document(*MIXED)
    plain, coloured = (compared.render(document, width=120, colour=colour) for colour in (False, True))
    assert "\x1b[" not in plain
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).split() == plain.split()
