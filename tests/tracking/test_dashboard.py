"""Our page in the site that the real `asv publish` writes from a results folder made by hand."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from int8bench.errors import RequestError
from int8bench.report.history.document import HistoryDocument
from int8bench.tracking import dashboard, side
from int8bench.tracking.side import SideFile, SidePoint

ENV = "existing-python"
MACHINE = "rack-1"
SPEEDUP = "speedup.Speedup.track_speedup"
SIZE = "cost.Size.track_weight_bytes"
FINGERPRINT = "0123456789ab"
FINDING = {
    "code": "qnnpack-on-x86",
    "severity": "error",
    "subject": "qnnpack",
    "message": "qnnpack is the engine for ARM",
    "why": "no kernels here",
    "advice": "use fbgemm",
}
CONFIG = {
    "version": 1,
    "project": "scratch",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "existing",
    "results_dir": "results",
    "html_dir": "html",
    "show_commit_url": "https://host.invalid/commit/",
    "plugins": [".int8bench.tracking.dashboard"],
}
EMPTY = HistoryDocument(
    results="results", error_rate=0.01, series=(), regressions=0, events=(), noise=(), machines=(), problems=()
)


def _git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.invalid", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *who, "-C", str(folder), *arguments), capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


def _benchmark(name: str, unit: str, names: list[str], values: list[list[str]]) -> dict[str, Any]:
    fields = {"name": name, "unit": unit, "param_names": names, "params": values}
    return {**fields, "code": "", "type": "track", "version": "1"}


def _value(number: int, batch: int) -> float:
    return 1.3 + batch / 100 + number / 1000


def _result(commit: str, number: int) -> dict[str, Any]:
    speedups = [_value(number, batch) for batch in (1, 8)]
    return {
        "commit_hash": commit,
        "env_name": ENV,
        "date": 1_767_225_600_000 + number * 86_400_000,
        "params": {"machine": MACHINE, "python": "3.11"},
        "python": "3.11",
        "requirements": {},
        "env_vars": {},
        "result_columns": ["result", "params", "version"],
        "results": {SPEEDUP: [speedups, [["1", "8"], ["2"]], "1"], SIZE: [[1000 + number], [], "1"]},
        "durations": {},
        "version": 2,
    }


def _side(commit: str, number: int) -> SideFile:
    points = tuple(
        SidePoint(
            benchmark=SPEEDUP,
            params={"batch": str(batch), "threads": "2"},
            value=_value(number, batch),
            low=_value(number, batch) - 0.05,
            high=_value(number, batch) + 0.05,
            launches=4,
            forks=8,
            pairs=80,
            log_ratios=(),
        )
        for batch in (1, 8)
    )
    run = {"environment": {"hardware": {"brand": "A CPU"}, "fingerprint": FINGERPRINT}, "findings": [FINDING]}
    return SideFile(commit_hash=commit, env_name=ENV, fingerprint=FINGERPRINT, got={}, points=points, run=run)


def _suite(top: Path) -> list[str]:
    """A repository of three commits with asv results of two benchmarks; the commits, oldest first."""
    top.mkdir()
    _git(top, "init", "--quiet", "--initial-branch", "main")
    for number in range(3):
        (top / "module.py").write_text(f"NUMBER = {number}\n", encoding="utf-8")
        _git(top, "add", ".")
        _git(top, "commit", "--quiet", "-m", str(number))
    commits = _git(top, "rev-list", "--reverse", "HEAD").split()
    described = [
        _benchmark(SPEEDUP, "x", ["batch", "threads"], [["1", "8"], ["2"]]),
        _benchmark(SIZE, "bytes", [], []),
    ]
    _write(top / "asv.conf.json", CONFIG)
    _write(top / "results" / "benchmarks.json", {"version": 2, **{each["name"]: each for each in described}})
    _write(top / "results" / MACHINE / "machine.json", {"machine": MACHINE, "cpu": "A CPU", "version": 1})
    for number, commit in enumerate(commits):
        _write(top / "results" / MACHINE / f"{commit[:8]}-{ENV}.json", _result(commit, number))
    return commits


def _publish(top: Path) -> str:
    """Runs asv publish there; what it said."""
    command = (sys.executable, "-m", "asv", "publish", "--no-pull")
    done = subprocess.run(command, cwd=top, capture_output=True, text=True, timeout=240, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One suite, published again and again: each of asv's runs takes seconds."""

    top: Path
    commits: list[str]
    without_results: str
    """Our page where nothing was measured."""
    without_sides: str
    """Our page where nothing of ours was measured."""
    said_without_sides: str
    said: str
    """What asv said at last, with side files of which the last one is cut short."""


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A suite before it was measured, without side files, and with them."""
    top = tmp_path_factory.mktemp("suite") / "repository"
    commits = _suite(top)
    page = top / "html" / "int8bench.html"
    results = {path: path.read_bytes() for path in (top / "results" / MACHINE).glob(f"*{ENV}.json")}
    for path in results:
        path.unlink()
    _publish(top)
    without_results = page.read_text(encoding="utf-8")
    for path, content in results.items():
        path.write_bytes(content)
    said_without_sides = _publish(top)
    without_sides = page.read_text(encoding="utf-8")
    for number, commit in enumerate(commits):
        path = side.save(_side(commit, number), top / "results")
    path.write_bytes(path.read_bytes()[:-40])
    return Published(
        top=top,
        commits=commits,
        without_results=without_results,
        without_sides=without_sides,
        said_without_sides=said_without_sides,
        said=_publish(top),
    )


def test_asv_publishes_its_own_site(published) -> None:
    """The index, the graphs and the pages of asv are there as without us."""
    html = published.top / "html"
    index = json.loads((html / "index.json").read_text(encoding="utf-8"))
    assert set(index["benchmarks"]) == {SPEEDUP, SIZE}
    assert ["int8bench", "int8 speed-up"] in [page[:2] for page in index["pages"]]
    assert {"summarylist", "regressions"} <= {page[0] for page in index["pages"]}
    (graph,) = (each for each in html.glob("graphs/**/*.json") if each.stem == SIZE and "summary" not in each.parts)
    assert [value for _, value in json.loads(graph.read_text(encoding="utf-8"))] == [1000, 1001, 1002]


def test_our_page_stands_in_the_site(published) -> None:
    """It has the speed-ups of every commit, the intervals of the side files, the findings, and leads to commits."""
    top, commits = published.top, published.commits
    page = (top / "html" / "int8bench.html").read_text(encoding="utf-8")
    assert page.count('class="plotly-graph-div"') == page.count('class="graph"') >= 1
    assert "1.310x [1.260x, 1.360x]" in page
    assert "qnnpack is the engine for ARM" in page
    assert all(f'href="https://host.invalid/commit/{commit}"' in page for commit in commits)
    assert '<a href="index.html">' in page


def test_the_index_loads_our_script_once(published) -> None:
    """Published again, the site still has one line of ours, after asv's script, and the script itself."""
    html = published.top / "html"
    index = (html / "index.html").read_text(encoding="utf-8")
    assert index.count('src="int8bench.js"') == 1
    assert index.index('src="asv.js"') < index.index('src="int8bench.js"') < index.index("<body>")
    assert "register_page('int8bench'" in (html / "int8bench.js").read_text(encoding="utf-8")


def test_what_cannot_be_read_is_a_sentence(published) -> None:
    """A side file that is cut short is told in asv's log and on the page, and the rest is shown."""
    top, commits, said = published.top, published.commits, published.said
    name = f"{commits[-1][:8]}-{ENV}-{FINGERPRINT}.json.gz"
    assert f"{name}: cut short" in said
    assert name in (top / "html" / "int8bench.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("published")
def test_our_plugin_leaves_asv_as_it_was_installed() -> None:
    """Only the published copy of asv's index is changed."""
    import asv

    (index,) = Path(asv.__file__).parent.glob("www/index.html")
    assert "int8bench" not in index.read_text(encoding="utf-8")


def test_asv_publishes_without_side_files(published) -> None:
    """Where nothing of ours was measured asv's site is whole, and ours shows what asv knows."""
    assert "Generating output for SpeedupPage" in published.said_without_sides
    assert "1.310x" in published.without_sides
    assert "1.310x [" not in published.without_sides


def test_asv_publishes_without_any_result(published) -> None:
    """A folder without one result is a site that says how to measure."""
    assert "Nothing measured yet" in published.without_results


def _site(folder: Path, index: str) -> Path:
    folder.mkdir()
    (folder / "index.html").write_text(index, encoding="utf-8")
    return folder


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    """The same history gives the same site, and the line in the index stands once."""
    site = _site(tmp_path / "html", "<html><head></head><body></head></body></html>")
    for _ in range(2):
        problems = dashboard.write(tmp_path, site, show_commit_url="#", repository=None, build=lambda *_: EMPTY)
        assert problems == []
    text = (site / "index.html").read_text(encoding="utf-8")
    assert text == f"<html><head>{dashboard.TAG}</head><body></head></body></html>"
    assert sorted(each.name for each in site.iterdir()) == ["index.html", "int8bench.html", "int8bench.js"]


def test_an_index_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    """Where asv's index has no head any more, our page is written and the way to it is told."""
    site = _site(tmp_path / "html", "<p>another asv</p>")
    (problem,) = dashboard.write(tmp_path, site, show_commit_url="#", repository=None, build=lambda *_: EMPTY)
    assert problem.endswith("not laid out as asv's index.html; open int8bench.html by its own address")
    assert (site / "index.html").read_text(encoding="utf-8") == "<p>another asv</p>"
    assert (site / "int8bench.html").exists()


def test_a_refusal_is_one_sentence_in_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whatever we refuse on purpose never stops asv from publishing the rest."""

    def refuse(*_: object, **__: object) -> list[str]:
        raise RequestError("no room")

    class Configuration:
        """What asv hands over."""

        repo, results_dir, html_dir, show_commit_url = str(tmp_path), str(tmp_path), str(tmp_path), "#"

    said: list[str] = []
    monkeypatch.setattr(dashboard, "write", refuse)
    monkeypatch.setattr(dashboard.log, "warning", said.append)
    dashboard.SpeedupPage.publish(Configuration, None, None, None, None)
    assert said == ["no page of int8bench: no room"]
