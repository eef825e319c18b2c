from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from contests import RULES, Contender, Contest, contest, float32

from int8bench.report.page import rendered
from int8bench.report.ranking import lines, rows, sentence, view
from int8bench.report.words import exact_interval
from int8bench.study.ranking import ranked
from int8bench.study.recommendation import recommended
from int8bench.study.standings import Recommendation, Setting

FAST, SLOW = Contender(engine="fast", time_s=1e-3), Contender(engine="slow", time_s=2e-3, sqnr_db=None)
NARROW = Contender(engine="narrow", time_s=5e-4, batches=(1,), peak_bytes=44_000)
LOSSY = (replace(FAST, engine="lossy", sqnr_db=21.4), replace(FAST, engine="faint", sqnr_db=21.4))
HOSTILE = "<script>alert(1)</script>\x1b[31m"
NAMES = ("onnxruntime", "openvino", "inductor", "executorch", "litert")
ALL = (
    *(float32(name, 3e-3) for name in NAMES),
    *(Contender(engine=name, time_s=14e-3, top1=0.976) for name in (*NAMES, "fbgemm", "qnnpack", "x86", "onednn")),
    replace(NARROW, engine="tflm"),
)


def _stored(found: Contest, *, complete: bool = True) -> tuple[tuple[Setting, ...], Recommendation | None]:
    """The two entries of a record, as it keeps them."""
    settings = ranked(found.cases, found.cells, found.ledger, RULES)
    return settings, recommended(settings, RULES, complete=complete)


def _drawn(*contenders: Contender, width: int = 120, **more: Any) -> tuple[str, ...]:
    return lines(*_stored(contest(*contenders, **more)), width=width)


def _said(*contenders: Contender, **more: Any) -> str:
    _, recommendation = _stored(contest(*contenders, **more))
    assert recommendation is not None
    return sentence(recommendation)


def test_a_ranking_is_drawn() -> None:
    """A row a contender, a column a setting: time over the fastest's, half an interval, marks, then other figures."""
    drawn = _drawn(FAST, NARROW, replace(SLOW, top1=0.97), *LOSSY, batches=(1, 8))
    assert drawn[:7] == (
        "Ranking: time over the fastest's",
        "contender                  t1 b1      t1 b8  SQNR  top-1   memory     vs f32",
        "narrow int8           *1.00    p       -     35.0    0.0  44.0 kB  8.00x  3%",
        "fast int8              2.00 <1%  *1.00    p  35.0    0.0  1.00 MB  4.00x  3%",
        "slow int8              4.00 <1%p  2.00 <1%p exact   -1.0  1.00 MB  2.00x  3%",
        "float32 channels-last  8.01 <1%   4.00 <1%           0.0  1.00 MB",
        "float32 nchw           12.0 <1%   6.00 <1%           0.0  1.00 MB",
    )
    assert drawn[7].startswith("Recommended here: fast int8: fastest or tied in 1 of 2 settings")


def test_one_cause_in_several_engines_is_left_out_once() -> None:
    """By the cause, not by what each engine says around it."""
    reason = "{}: Net cannot be traced: TraceError: a branch on data; keep it out of forward"
    broken = [replace(FAST, engine=each, failed=reason.format(each)) for each in ("x86", "onednn")]
    told = [line for line in _drawn(FAST, replace(SLOW, sqnr_db=30.0), *broken) if line.startswith("Not ranked")]
    assert told == ["Not ranked: onednn int8, x86 int8: failed, TraceError: a branch on data"]


def test_what_proves_nothing_has_no_figure() -> None:
    """Of constant answers no decibels, in the table and in the recommendation; of random weights no points of top-1."""
    found = contest(FAST, replace(SLOW, sqnr_db=30.0))
    guessed = ranked(found.cases, found.cells, found.ledger, replace(RULES, trained=False))
    _, answer = _stored(found)
    plain = lines(guessed, answer, width=120)
    row = next(line for line in plain if line.startswith("fast int8"))
    assert " 35.0  chance " in row
    constant = lines(guessed, answer, width=120, constant=True)
    row = next(line for line in constant if line.startswith("fast int8"))
    assert " constant  chance " in row
    assert "35.0" in " ".join(plain)
    assert "35.0" not in " ".join(constant)
    assert "every picture has the same" in " ".join(constant)


def test_who_is_not_ranked_stands_below_once_a_reason() -> None:
    """Contenders of one reason share a line; a setting is named where it is not all of them."""
    drawn = _drawn(FAST, NARROW, *LOSSY, replace(SLOW, failed="it broke"), batches=(1, 8))
    assert [line for line in drawn if line.startswith("Not ranked")] == [
        "Not ranked: faint int8, lossy int8: 21.4 dB SQNR, 25 dB or more expected",
        "Not ranked: slow int8: failed, it broke",
        "Not ranked: narrow int8 at t1 b8: skipped, one picture",
    ]


def test_six_settings_of_seventeen_contenders_fit_a_screen() -> None:
    """120 columns and some 30 lines, with every column, though figures are as wide as they come."""
    drawn = _drawn(*ALL, batches=(1, 8, 32), threads=(1, 2), spread=0.05, launches=4)
    assert len(rows(_stored(contest(*ALL, batches=(1, 8, 32), threads=(1, 2)))[0])) == 17
    assert max(map(len, drawn)) <= 120
    assert len(drawn) <= 32
    assert drawn[1].split()[-4:] == ["top-1", "memory", "vs", "f32"]


@pytest.mark.parametrize("width", [20, 60, 80, 100])
def test_a_narrow_screen_drops_columns_and_breaks_no_row(width: int) -> None:
    """Contenders and settings stay, whatever the width; a row is a line."""
    drawn = _drawn(FAST, SLOW, NARROW, batches=(1, 8, 32), width=width)
    assert drawn[1].startswith("contender")
    assert [drawn[1].count(label) for label in ("t1 b1 ", "t1 b8", "t1 b32")] == [1, 1, 1]
    assert [line.split()[0] for line in drawn[2:7]] == ["narrow", "fast", "slow", "float32", "float32"]
    assert max(map(len, drawn)) <= max(width, 55)


@pytest.mark.parametrize(
    ("contenders", "said"),
    [
        (
            (FAST, SLOW, float32("other", 3e-3)),
            (
                "fast int8: fastest or tied in 2 of 2 settings (alone in 2), 3.00x [2.91, 3.09] the best float32 "
                "(other) in the mean of 2 settings, 35.0 dB SQNR, top-1 0.0 points; basis: measured here, 8 launches, "
                "at most 5% chance that any setting's true fastest is not among its fastest or tied"
            ),
        ),
        ((replace(FAST, time_s=9e-3), replace(SLOW, time_s=9e-3)), "stay with float32 channels-last: fastest or tied"),
        (LOSSY, "(alone in 2), nothing of reduced precision holds its accuracy; basis"),
        ((replace(FAST, time_s=4e-3), replace(SLOW, time_s=4e-3)), "unclear, nothing of reduced precision can be told"),
        (
            (FAST, NARROW, replace(FAST, engine="third", time_s=1.5e-3)),
            ". Runner-up: narrow int8, fastest or tied where that is not: t1 b1 (by 2.00x [2.00, 2.01])",
        ),
        ((replace(FAST, batches=(1,)), SLOW), "answers the same to the bit, top-1 0.0 points"),
        ((replace(FAST, top1=0.976), replace(SLOW, top1=None)), "35.0 dB SQNR, top-1 -0.4 points"),
    ],
    ids=["switch", "stay", "only lossy", "unclear", "runner-up", "exact", "loses some"],
)
def test_a_recommendation_is_a_sentence(contenders: Sequence[Contender], said: str) -> None:
    """What to choose, how it stands, how it answers, what that rests on, and who is better somewhere."""
    assert said in _said(*contenders, batches=(1, 8))


def test_an_unfinished_run_has_its_ranking_and_no_recommendation() -> None:
    """What is known so far is shown, as what it is; where nothing is ranked, nothing is."""
    ranking, recommendation = _stored(contest(FAST, SLOW), complete=False)
    assert not any("Recommended" in line for line in lines(ranking, recommendation, width=120))
    assert lines((), None, width=120) == ()


def test_what_a_terminal_would_obey_is_not_drawn() -> None:
    """A reason with an escape in it is text."""
    drawn = _drawn(FAST, SLOW, replace(NARROW, failed=HOSTILE))
    assert all(line.isprintable() for line in drawn)
    assert any("alert(1)" in line for line in drawn)


class _Part(HTMLParser):
    """The ranking's part of a page: its rows, and what else is said."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.said: list[str] = []
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags |= {tag, *(value or "" for _, value in attrs)}
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        elif data.strip():
            self.said.append(data.strip())


def _part(*contenders: Contender, **more: Any) -> _Part:
    return _Part(
        rendered("ranking.html.j2", {"interval": exact_interval}, ranking=view(*_stored(contest(*contenders, **more))))
    )


def test_a_page_has_every_figure_with_its_interval() -> None:
    """A row a contender as in the text, and beside it what the screen has no room for."""
    part = _part(FAST, NARROW, SLOW, *LOSSY, batches=(1, 8))
    head = part.rows[0]
    assert {len(row) for row in part.rows} == {len(head)}
    narrow, fast, *_ = (dict(zip(head, row, strict=True)) for row in part.rows[1:])
    assert (narrow["contender"], narrow["t1 b1"], narrow["t1 b8"]) == ("narrow int8", "* 1.00x p", "not ranked")
    assert fast["t1 b1"].startswith("2.00")
    assert "[" in fast["t1 b1"]
    assert fast["vs best float32"] == "4.000x [3.880, 4.120]"
    assert (fast["weights"], fast["threads used"], fast["conversion"]) == ("60.0 kB", "1.0 to 1.0", "3.00 s")
    assert any(each.startswith("Recommended here: fast int8") for each in part.said)
    assert "Not ranked: narrow int8 at t1 b8: skipped, one picture" in part.said


def test_what_a_record_says_is_text_on_a_page() -> None:
    """Markup in a reason is shown; where nothing is ranked there is no such part."""
    part = _part(FAST, SLOW, replace(NARROW, failed=HOSTILE))
    assert "script" not in part.tags
    assert not rendered("ranking.html.j2", {"interval": exact_interval}, ranking=view((), None)).strip()
