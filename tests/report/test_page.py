import json
from collections.abc import Callable
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from int8bench.report.page import page
from int8bench.study import records

GOLDEN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"
DOCUMENT: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
FIGURES = ("latency_s", "cold_s", "throughput_items_per_s", "threads_used", "memory_bytes", "fidelity")
HOSTILE = "<script>alert('x')</script><img src=http://evil.example/a.png>&\""
VOID = {"meta", "link", "br", "img", "input", "hr"}
FETCHING = {"src", "href", "srcset", "data", "poster", "action"}


class _Page(HTMLParser):
    """What a page holds: whether its tags close, its rows, list entries, words, and what it points at."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.unclosed: list[str] = []
        self.targets: list[str] = []
        self.rows: list[list[str]] = []
        self.entries: list[str] = []
        self.scripts: list[str] = []
        self.styles = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.targets += [value or "" for name, value in attrs if name in FETCHING]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")
        if tag == "li":
            self.entries.append("")
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        within = self.open[-1] if self.open else ""
        if within == "script":
            self.scripts[-1] += data
        elif within == "style":
            self.styles += data
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        elif "li" in self.open:
            self.entries[-1] += data

    @property
    def cells(self) -> list[list[str]]:
        """The rows of the table of cells: thread count, batch, contender, and figures or a reason."""
        return [row for row in self.rows if len(row) in {15, 4} and row[0].isdecimal()]


def _page(change: Callable[[dict[str, Any]], None] = lambda _: None) -> _Page:
    """The parsed page of the golden run after a change of its document, which must still be a record."""
    document = deepcopy(DOCUMENT)
    change(document)
    return _Page(page(records.from_dict(document)))


@pytest.fixture(scope="module")
def drawn() -> _Page:
    """The page of the golden run."""
    return _page()


def test_every_tag_is_closed(drawn: _Page) -> None:
    """The page is well-formed, so that no browser has to guess."""
    assert not drawn.unclosed
    assert not drawn.open
    assert drawn.tags[:2] == ["html", "head"]


def test_nothing_is_fetched_from_outside(drawn: _Page) -> None:
    """Scripts and style are inside; the only target is an empty icon, which keeps a browser from asking for one."""
    assert drawn.targets == ["data:,"]
    assert "url(" not in drawn.styles
    assert "@import" not in drawn.styles
    assert "plotly.js v" in "".join(drawn.scripts)


def test_there_is_a_plot_a_thread_count_with_every_engine_and_one_copy_of_the_script(drawn: _Page) -> None:
    """Speed-ups are drawn from the record; the plotting script, some megabytes, is there once."""
    plots = [script for script in drawn.scripts if "Plotly.newPlot(" in script]
    assert len(plots) == 1
    assert "fbgemm" in plots[0]
    assert "qnnpack" in plots[0]
    assert sum("plotly.js v" in script for script in drawn.scripts) == 1


def test_the_answer_stands_first(drawn: _Page) -> None:
    """The first list answers engine by engine, in the words of the text."""
    assert drawn.entries[0].startswith("fbgemm: cannot tell, unclear in 2 of 2 cells: 1.04x [0.88, 1.27]")
    assert drawn.entries[1].startswith("qnnpack: cannot tell in some cells")


def test_every_cell_is_a_row_with_its_figures(drawn: _Page) -> None:
    """A row a cell, sorted by threads and batch, and each row as wide as the head."""
    assert [(row[0], row[1], row[2]) for row in drawn.cells] == [
        ("1", batch, contender)
        for batch in ("1", "8")
        for contender in ("torch float32 channels_last", "torch float32 nchw", "fbgemm int8", "qnnpack int8")
    ]
    head = next(row for row in drawn.rows if row[:2] == ["threads", "batch"])
    assert {len(row) for row in drawn.cells} == {len(head)}
    assert dict(zip(head[3:], drawn.cells[2][3:], strict=True)) == {
        "median [interval]": "337 us [290 us, 391 us]",
        "p90": "456 us",
        "p99": "3.01 ms",
        "cold": "1.75 ms",
        "items/s (streams)": "3.73k/s (2)",
        "peak memory": "32.2 MB [26.3 MB, 38.1 MB]",
        "weights": "62.4 kB",
        "vs best float32": "1.072x [0.985, 1.198] unclear1.75x would be seen",
        "vs plain NCHW": "1.62x",
        "SQNR": "38.7 dB",
        "agreement": "99.6%",
        "top-1": "97.6%",
    }


def test_every_finding_is_there_whole(drawn: _Page) -> None:
    """Severity, message, reason, advice and code of each."""
    for finding in DOCUMENT["findings"]:
        (entry,) = (entry for entry in drawn.entries if finding["message"] in entry)
        assert all(finding[key] in entry for key in ("severity", "message", "why", "advice", "code"))


def test_where_it_was_measured_is_there(drawn: _Page) -> None:
    """Fingerprint, versions and the variables of the measuring processes."""
    environment = DOCUMENT["environment"]
    rows = {row[0]: row[1] for row in drawn.rows if len(row) == 2}
    assert rows["fingerprint"] == environment["fingerprint"]
    assert {*environment["versions"], *environment["process"]} <= set(rows)


def test_what_a_record_says_is_text_and_nothing_else() -> None:
    """Markup in any string of a record is shown, neither run nor fetched."""

    def change(document: dict[str, Any]) -> None:
        document["environment"]["hardware"]["brand"] = HOSTILE
        document["environment"]["hardware"]["levels"] = [HOSTILE]
        document["environment"]["versions"][HOSTILE] = HOSTILE
        document["created_at"] = HOSTILE
        document["findings"][0] |= {"message": HOSTILE, "why": HOSTILE, "advice": HOSTILE, "code": HOSTILE}
        for cell in document["cells"]:
            cell["model"] = HOSTILE
            if cell["engine"] == "fbgemm":
                cell["engine"] = HOSTILE
            cell["id"] = f"{HOSTILE}/{cell['engine']}/{cell['precision']}/{cell['layout']}/b{cell['batch']}/t1"
            for speedup in cell["speedups"]:
                speedup["reference"] = speedup["reference"].replace("simplecnn", HOSTILE)
        cell = document["cells"][3]
        cell |= {**dict.fromkeys(FIGURES), "speedups": [], "status": "failed", "error": HOSTILE}

    hostile = _page(change)
    assert hostile.targets == ["data:,"]
    assert "img" not in hostile.tags
    assert not hostile.unclosed
    assert len(hostile.scripts) == len(_page().scripts)
    assert f"failed: {HOSTILE}" in [row[3] for row in hostile.cells]
    assert HOSTILE in hostile.entries[-len(DOCUMENT["findings"])]


def test_an_unfinished_run_with_failures_has_a_page() -> None:
    """A cell without figures is a row with its reason."""

    def change(document: dict[str, Any]) -> None:
        document["complete"] = False
        document["findings"] = []
        for index, cell in enumerate(document["cells"]):
            status, error = ("failed", "crashed") if index == 2 else ("skipped", "not measured yet")
            cell |= {**dict.fromkeys(FIGURES), "speedups": [], "status": status, "error": error}

    drawn = _page(change)
    assert [row[3] for row in drawn.cells[1:4]] == [
        "skipped: not measured yet",
        "failed: crashed",
        "skipped: not measured yet",
    ]
    assert drawn.entries == ["fbgemm: no result, crashed", "qnnpack: no result, not measured yet", "none"]
    assert not drawn.unclosed


def test_a_record_without_cells_has_a_page() -> None:
    """An odd record is no crash."""
    drawn = _page(lambda document: document.update(cells=[]))
    assert drawn.entries[0] == "nothing was measured"
    assert not drawn.cells
