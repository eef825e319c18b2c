"""The page of a history: what is drawn, marked, listed and linked, and what it does with odd histories."""

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from int8bench.report.history import page as history_page
from int8bench.report.history import plots, view

_SPEC = importlib.util.spec_from_file_location("histories", Path(__file__).parents[2] / "helpers" / "histories.py")
assert _SPEC is not None
assert _SPEC.loader is not None
histories = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(histories)

HOST = "https://host.invalid/project/commit/"
HOSTILE = "<script>alert(1)</script><b>&amp;</b>\"'{{ 7 * 7 }}"


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text without scripts and styles."""

    def __init__(self, page: str) -> None:
        """Reads the page."""
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps a text."""
        if self.cdata_elem is None:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words, one space between them."""
        return " ".join(" ".join(self.words).split())

    def values(self, name: str) -> list[str]:
        """Every value of that attribute."""
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def _figures(page: str) -> list[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The traces and the layout of each graph, as plotly gets them."""
    found = []
    decoder = json.JSONDecoder()
    for start in re.finditer(r'Plotly\.newPlot\(\s*"[0-9a-f-]{36}",\s*', page):
        traces, end = decoder.raw_decode(page, start.end())
        layout, _ = decoder.raw_decode(page, page.index("{", end))
        found.append((traces, layout))
    return found


def _marked(layout: Mapping[str, Any]) -> list[str]:
    return [each["text"] for each in layout.get("annotations", [])]


@pytest.fixture(scope="module")
def usual() -> str:
    """The page of a usual history with a host for its commits."""
    return history_page.page(histories.usual(), show_commit_url=HOST, home="index.html")


@pytest.fixture
def steps() -> dict[str, Any]:
    """A history of one series with seven steps, some close together."""
    where = ((3, -0.04), (6, 0.05), (9, -0.3), (18, 0.04), (22, -0.2), (30, 0.1), (37, -0.12))
    changes = [histories.change(at - 1, at, size, worse=size < 0, recovered=at > 30) for at, size in where]
    points = [histories.point(number, 1.3) for number in range(40)]
    return histories.document([histories.series(points, changes, batch="8", threads="1")])


def test_a_graph_a_thread_count_with_a_trace_a_batch(usual: str) -> None:
    """Speed-ups of a thread count share a graph, batches in the order of numbers, the graph with a regression first."""
    names = [[trace["name"] for trace in traces] for traces, _ in _figures(usual)]
    assert names == [["batch 1", "batch 8", "batch 32", "batch 128"]] * 2 + [["track_bytes"]]
    titles = re.findall(r"<h3>(.*?)</h3>", usual)
    assert titles[0] == "int8 speed-up over the best float32, threads 2, rack-1 (f-rack-1, existing-python3.11)"
    assert "threads 1" in titles[1]
    assert titles[2].startswith("cost.PeakMemory.track_bytes, contender fbgemm, batch 8, threads 2")


@pytest.mark.parametrize("field", ["machine", "fingerprint", "env"])
def test_unlike_machines_never_share_a_graph(field: str) -> None:
    """Series that differ in machine, hardware or environment are drawn apart."""
    one = histories.series([histories.point(0, 1.3)], batch="8", threads="1")
    page = history_page.page(histories.document([one, {**one, field: "another"}]))
    assert [len(traces) for traces, _ in _figures(page)] == [1, 1]


def test_points_carry_their_intervals() -> None:
    """The error bars reach from the value to the ends of the interval; without an interval there is none."""
    measured = {**histories.point(0, 1.3), "low": 1.2, "high": 1.45}
    counted = {**histories.point(1, 1.4), "low": None, "high": None}
    page = history_page.page(histories.document([histories.series([measured, counted], batch="8", threads="1")]))
    ((trace,), _) = _figures(page)[0]
    assert trace["y"] == [1.3, 1.4]
    assert trace["error_y"]["array"] == [pytest.approx(0.15), None]
    assert trace["error_y"]["arrayminus"] == [pytest.approx(0.1), None]
    assert trace["text"][0] == f"batch 8: 1.300x [1.200x, 1.450x]<br>{histories.commit(0)[:8]}, 2026-01-01"
    assert trace["text"][1].startswith("batch 8: 1.400x<br>")


def test_a_commit_without_a_figure_is_a_gap() -> None:
    """A commit that only another batch has, or that has no value, keeps its place and interrupts the line."""
    some = [histories.point(0, 1.2), {**histories.point(2, 1.2), "value": None, "low": None, "high": None}]
    all_three = [histories.point(number, 1.3) for number in range(3)]
    found = [histories.series(some, batch="1", threads="1"), histories.series(all_three, batch="8", threads="1")]
    (first, second), layout = _figures(history_page.page(histories.document(found)))[0]
    assert first["y"] == [1.2, None, None]
    assert second["y"] == [1.3] * 3
    assert layout["xaxis"]["ticktext"][0] == f"{histories.commit(0)[:8]}<br>2026-01-01"


def test_commits_stand_in_the_order_of_their_dates() -> None:
    """Series that were measured at different commits share one order."""
    late = histories.series([histories.point(5, 1.2)], batch="1", threads="1")
    early = histories.series([histories.point(1, 1.3), histories.point(9, 1.3)], batch="8", threads="1")
    (first, _), _ = _figures(history_page.page(histories.document([late, early])))[0]
    assert first["customdata"] == [f"#commit-{histories.commit(number)[:8]}" for number in (1, 5, 9)]


@pytest.mark.parametrize(("orders", "expected"), [(((0, 2, 1), (2, 3)), (0, 2, 1, 3)), (((2, 1), (1, 2)), (1, 2))])
def test_the_order_of_a_series_goes_before_dates(
    orders: tuple[tuple[int, ...], ...], expected: tuple[int, ...]
) -> None:
    """Commits stand as the history has them, whatever their dates say; dates settle what series contradict."""
    found = [
        histories.series([histories.point(number, 1.3) for number in order], batch=str(batch), threads="1")
        for batch, order in enumerate(orders)
    ]
    (first, _), _ = _figures(history_page.page(histories.document(found)))[0]
    assert first["customdata"] == [f"#commit-{histories.commit(number)[:8]}" for number in expected]


def test_a_point_leads_to_its_commit_on_the_host(usual: str) -> None:
    """Behind each point is the address that asv would build, with the full hash."""
    for traces, _ in _figures(usual)[:2]:
        for trace in traces:
            assert trace["customdata"] == [f"{HOST}{histories.commit(number)}" for number in range(30)]


@pytest.mark.parametrize("address", ["#", "", "javascript:alert(1)//", "data:text/html,", "/commit/"])
def test_without_a_web_address_a_point_leads_to_its_figures(address: str) -> None:
    """Each point leads to a place on the page, which is there and has the figures of that commit."""
    page = history_page.page(histories.usual(12), show_commit_url=address)
    reader = Reader(page)
    leads = {lead for traces, _ in _figures(page) for trace in traces for lead in trace["customdata"]}
    assert leads == {f"#commit-{histories.commit(number)[:8]}" for number in range(12)}
    assert {lead[1:] for lead in leads} <= set(reader.values("id"))
    assert all(link.startswith("#") or link == "data:," for link in reader.values("href"))


def test_every_link_within_the_page_has_its_end() -> None:
    """No link of the page leads nowhere."""
    reader = Reader(history_page.page(histories.usual()))
    within = {link[1:] for link in reader.values("href") if link.startswith("#")}
    assert len(within) >= 4
    assert within <= set(reader.values("id"))


def test_the_page_needs_nothing_from_outside(usual: str) -> None:
    """No script, style or picture has an address; the only ones out are those of commits."""
    reader = Reader(usual)
    assert reader.values("src") == []
    assert [attributes["href"] for tag, attributes in reader.tags if tag == "link"] == ["data:,"]
    out = {link for link in reader.values("href") if not link.startswith(("#", "data:"))}
    assert "index.html" in out
    assert all(link.startswith(HOST) for link in out - {"index.html"})


def test_changes_between_the_same_commits_are_marked_together(usual: str) -> None:
    """One band, one line and one label stand for the change of four batches; the worst is named, all are told."""
    _, layout = _figures(usual)[0]
    band, line = layout["shapes"]
    assert (band["x0"], band["x1"], line["x0"]) == (19, 20, 19.5)
    (label,) = layout["annotations"]
    assert label["text"] == "worse -4.9 % [-5.9, -3.9]<br>batch 1 and 3 more"
    assert label["hovertext"].count("<br>") == 3
    assert "batch 128: worse -4.2 % [-5.2, -3.2]" in label["hovertext"]
    assert _marked(_figures(usual)[1][1]) == []


def test_changes_of_other_figures_are_drawn_too(usual: str) -> None:
    """A series that changed has a graph of its own; what was made good is told apart from what was gained."""
    _, layout = _figures(usual)[2]
    assert sorted(text.partition("<br>")[0] for text in _marked(layout)) == [
        "better -12.5 % [-13.5, -11.5]",
        "recovered +14.3 % [+13.3, +15.3]",
    ]


def test_a_steady_series_of_another_figure_is_not_drawn() -> None:
    """Only speed-ups are drawn without a change."""
    steady = histories.series([histories.point(0, 5.0)], benchmark=histories.MEMORY, unit="bytes", batch="1")
    page = history_page.page(histories.document([steady]))
    assert _figures(page) == []
    assert "5 B" in Reader(page).text


def test_labels_that_would_overlap_are_stacked(steps: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each label keeps free of the others on the narrowest screen, and grows towards the middle."""
    monkeypatch.setattr(plots, "LANES", 7)
    _, layout = _figures(history_page.page(steps))[0]
    boxes: dict[float, list[tuple[float, float]]] = {}
    for label in layout["annotations"]:
        width = plots.LABEL_SHARE * 40
        start = label["x"] - (0 if label["xanchor"] == "left" else width)
        boxes.setdefault(label["ay"], []).append((start, start + width))
        assert (label["xanchor"] == "left") == (label["x"] < 19.5)
    assert len(boxes) > 1
    for mine in boxes.values():
        assert all(end <= start for (_, end), (start, _) in zip(sorted(mine), sorted(mine)[1:], strict=False))


def test_labels_are_stacked_up_to_a_height(steps: dict[str, Any]) -> None:
    """However many labels overlap, a graph stays a graph: the highest lane takes the rest."""
    _, layout = _figures(history_page.page(steps))[0]
    assert len(layout["annotations"]) == 7
    assert len({label["ay"] for label in layout["annotations"]}) == plots.LANES


def test_the_table_has_the_worst_first(steps: dict[str, Any]) -> None:
    """Standing regressions by size, then recovered ones, then gains."""
    page = history_page.page(steps, show_commit_url=HOST)
    found = re.findall(r'<tr class="change"><td class="(\w+)">\1</td><td class="figure \1">([-+.\d]+) %', page)
    assert found == [
        ("worse", "-30.0"),
        ("worse", "-20.0"),
        ("worse", "-4.0"),
        ("recovered", "-12.0"),
        ("better", "+10.0"),
        ("better", "+5.0"),
        ("better", "+4.0"),
    ]
    assert f'href="{HOST}{histories.commit(8)}"' in page
    assert "3 regressions stand." in Reader(page).text


def test_a_step_from_nothing_is_the_worst() -> None:
    """A rise from zero has no percentage and stands before all others."""
    rise = {**histories.change(0, 1, 0.1, worse=True), "step": None, "low": None, "high": None}
    points = [histories.point(number, value, 0) for number, value in enumerate((0.0, 3.0, 4.0))]
    changes = [histories.change(1, 2, 0.33, worse=True), rise]
    found = histories.series(points, changes, benchmark="health.Findings.track_count", unit=None, severity="'error'")
    assert re.findall(r'<td class="figure worse">(.*?)</td>', history_page.page(histories.document([found]))) == [
        "from zero",
        "+33.0 % [+32.0, +34.0]",
    ]


def test_the_reciprocal_is_not_told_twice() -> None:
    """The relative time of a speed-up that is there is left out; alone, it is shown."""
    points = [histories.point(0, 1.0), histories.point(1, 0.9)]
    speedup = histories.series(points, [histories.change(0, 1, -0.1, worse=True)], batch="8", threads="1")
    mirror = {**speedup, "benchmark": view.MIRROR}
    both, alone = (history_page.page(histories.document(found)) for found in ([mirror, speedup], [mirror]))
    assert "1 regression stands." in Reader(both).text
    assert len(_figures(both)) == 1
    assert view.MIRROR not in both
    assert len(_figures(alone)) == 1


@pytest.mark.parametrize(("level", "lines"), [(1.02, 1), (3.0, 0)])
def test_the_line_at_one_is_drawn_where_it_presses_nothing_flat(level: float, lines: int) -> None:
    """The level of float32 is shown beside speed-ups near it, and does not squeeze those far from it."""
    page = history_page.page(histories.document([histories.series([histories.point(0, level)], batch="8")]))
    assert len(_figures(page)[0][1].get("shapes", [])) == lines


def test_findings_and_problems_are_told(usual: str) -> None:
    """Each machine has its processor and its findings, with what to do; each problem is a sentence."""
    text = Reader(usual).text
    assert "rack-1 A CPU @ 2.4 GHz, f-rack-1" in text
    assert "error qnnpack is the engine for ARM and this is x86. It has no SIMD kernels here. use fbgemm" in text
    assert "results/rack-1/1234abcd-env.json: cut short" in text


def test_a_machine_without_findings_says_so() -> None:
    """Nothing found is said, not left blank; an unknown processor too."""
    machine = {"machine": "rack-2", "fingerprint": None, "cpu": None, "findings": []}
    text = Reader(history_page.page(histories.document([], machines=[machine]))).text
    assert "rack-2 unknown processor, unknown hardware none" in text


def test_a_history_without_series_says_what_to_type() -> None:
    """Before anything is measured the page says how to measure, and draws nothing."""
    page = history_page.page(histories.document([]))
    assert "Nothing measured yet. Measure with asv run" in Reader(page).text
    assert "Plotly" not in page


def test_one_commit_is_a_page() -> None:
    """One point is drawn and listed; nothing has changed."""
    one = histories.series([histories.point(0, 1.3)], batch="8", threads="1")
    page = history_page.page(histories.document([one]))
    assert [trace["y"] for traces, _ in _figures(page) for trace in traces] == [[1.3]]
    assert "No regression stands." in Reader(page).text
    assert "1 commit, 1 series" in Reader(page).text


def test_hostile_words_stay_words() -> None:
    """Names with markup are shown letter by letter in text, graphs and links, and make no tag of their own."""
    points = [histories.point(0, 1.3), histories.point(1, 1.1)]
    named = [{**points[0], "commit": HOSTILE}, points[1]]
    changes = [{**histories.change(0, 1, -0.15, worse=True), "commit_before": HOSTILE}]
    pages = []
    for word in (HOSTILE, "plain"):
        found = histories.series(named, changes, machine=word, batch=word, **{word: word})
        machine = {
            "machine": word,
            "fingerprint": word,
            "cpu": word,
            "findings": [{**dict.fromkeys(histories.FINDING, word), "severity": "note"}],
        }
        whole = histories.document([found], machines=[machine], problems=[word])
        pages.append(history_page.page(whole, show_commit_url=HOST))
    hostile, plain = (Reader(page) for page in pages)
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert hostile.text.count("{{ 7 * 7 }}") > 10
    assert "49" not in hostile.text.replace("1949", "")
    ((trace,), layout) = _figures(pages[0])[0]
    shown = [trace["name"], *trace["text"], *layout["xaxis"]["ticktext"], *_marked(layout)]
    assert not [text for text in shown if re.search("<(?!br>)", text)]


def test_many_commits_stay_readable() -> None:
    """Five hundred commits have few tick labels, small markers, and every figure."""
    page = history_page.page(histories.usual(500))
    traces, layout = _figures(page)[0]
    assert [len(trace["y"]) for trace in traces] == [500] * 4
    assert len(layout["xaxis"]["tickvals"]) == plots.MOST_TICKS
    assert traces[0]["marker"]["size"] < 7
    assert page.count("<details ") == 500


def test_too_many_graphs_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not drawn is counted."""
    monkeypatch.setattr(history_page, "MOST_GRAPHS", 2)
    page = history_page.page(histories.usual(12))
    assert len(_figures(page)) == 2
    assert "1 more with smaller changes are not drawn" in Reader(page).text


def test_too_many_figures_are_listed_for_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of too many figures lists those of the graphs, and says where the rest is."""
    steady = histories.series([histories.point(0, 7.0)], benchmark=histories.MEMORY, unit="bytes", batch="1")
    steady_alone = histories.document([steady])
    document = histories.usual(12)
    document = replace(document, series=(*document.series, *steady_alone.series))
    assert "7 B" in Reader(history_page.page(document)).text
    monkeypatch.setattr(view, "MOST_FIGURES", 12)
    text = Reader(history_page.page(document)).text
    assert "7 B" not in text
    assert "1 more are in int8bench history --json" in text


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (1.2345, "x", "1.234x"),
        (0.00012, "seconds", "120 us"),
        (6.4e7, "bytes", "64.0 MB"),
        (41.26, "dB", "41.3 dB"),
        (3.0, None, "3.00"),
        (None, "x", "not measured"),
    ],
)
def test_figures_read_as_people_write_them(value: float | None, unit: str | None, words: str) -> None:
    """Each unit of the suite has its own way to be written."""
    assert view.quantity(value, unit) == words


def test_an_event_is_listed_and_marked_in_the_graphs_of_its_machine() -> None:
    """Grey, in each graph of its machine and environment and in no other; one of its series is drawn for it."""
    names = ("suite.time_it", "suite.time_other")
    points = [histories.point(number, 1.0) for number in range(12)]
    found = [histories.series(points, benchmark=name, unit="s") for name in names]
    found += [histories.series(points, machine="rack-2", batch="8")]
    events = [histories.event(5, 6, 0.18, members=[{"benchmark": name, "params": {}} for name in names])]
    events += [events[0] | histories.event(8, 9, 0.0) | {"step": None, "members": events[0]["members"]}]
    page = history_page.page(histories.document(found, events=events))
    read = Reader(page)
    assert "12 of 20 times moved together by x1.18 [1.15, 1.21] between" in read.text
    assert "12 of 20 times moved together from zero between" in read.text
    assert f"int8bench duet {histories.commit(5)[:8]} {histories.commit(6)[:8]} settles it." in read.text
    assert "No regression stands." in read.text
    (other, mine) = sorted(_figures(page), key=lambda figure: len(figure[1].get("annotations", ())))
    assert not other[1].get("annotations")
    assert [each["text"] for each in mine[1]["annotations"]] == ["together x1.18", "together"]
    bands = [(each["x0"], each["x1"]) for each in mine[1]["shapes"] if each["type"] == "rect"]
    assert bands == [(5, 6), (8, 9)]


def test_hostile_evidence_stays_words() -> None:
    """What asv tells of a machine may be anything."""
    points = [histories.point(number, 1.0) for number in range(8)]
    series = histories.series(
        points, benchmark=histories.MEMORY, unit="s", contender="'fbgemm'", batch="8", threads="2"
    )
    page = history_page.page(histories.document([series], events=[histories.event(2, 3, 0.5, evidence=[HOSTILE])]))
    assert "<script>alert(1)</script>" not in page
    assert HOSTILE in Reader(page).text
