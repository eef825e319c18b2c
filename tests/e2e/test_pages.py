"""Our pages in a real Chromium: the graphs are there, a click leads to a commit, nothing comes from outside."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from int8bench.report.history import page
from int8bench.report.page import page as run_page
from int8bench.study import records

HELPERS = str(Path(__file__).parents[1] / "helpers")
sys.path.insert(0, HELPERS)
import browser  # noqa: E402  tests are no package: their helpers are found by path
import histories  # noqa: E402

sys.path.remove(HELPERS)

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

GOLDEN_RUN = Path(__file__).parents[1] / "golden" / "runs" / "quick.json"
HOST = "/commit/"  # of the server itself, so that a click leads to a page that is there
STAND_IN = """<!doctype html><title>asv</title><link rel="icon" href="data:,">
<ul><li id="nav-li-graphdisplay"></li></ul>
<script>
"use strict";
const pages = {};
window.jQuery = (what) => ({
    ready: (act) => act(),
    before: (text) => document.querySelector(what).insertAdjacentHTML("beforebegin", text),
});
jQuery.asv = { register_page: (name, show) => { pages[name] = show; } };
</script>
<script src="int8bench.js"></script>
"""

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A browser and the folder that it can open pages of."""

    driver: "Chrome"
    folder: Path
    address: str

    def show(self, text: str, *, name: str = "page.html", width: int = 1200) -> None:
        """Opens a page and waits until its graphs are drawn; what was logged before is forgotten."""
        (self.folder / name).write_text(text, encoding="utf-8")
        browser.sized(self.driver, width)
        browser.requested(self.driver)
        browser.complaints(self.driver)
        self.driver.get(f"{self.address}/{name}")
        self.wait(lambda: all(self.all(".points path", graph) for graph in self.all(".plotly-graph-div")))

    def wait(self, done: Callable[[], object]) -> None:
        """Waits until something is so."""
        from selenium.webdriver.support.wait import WebDriverWait

        WebDriverWait(self.driver, browser.PATIENCE_S).until(lambda _: done())

    def all(self, selector: str, within: "WebElement | None" = None) -> list["WebElement"]:
        """The elements that a CSS selector finds."""
        return (within or self.driver).find_elements("css selector", selector)

    def click(self, element: "WebElement") -> None:
        """Moves the mouse there, as plotly needs it, and presses."""
        from selenium.webdriver import ActionChains

        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        ActionChains(self.driver).move_to_element(element).pause(0.3).click().perform()

    def trouble(self) -> list[str]:
        """What was fetched from elsewhere, and what the console said against the page."""
        outside = [each for each in browser.requested(self.driver) if not each.startswith(f"{self.address}/")]
        return outside + browser.complaints(self.driver)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One browser for all tests; where none is installed they are skipped, which continuous integration may not do."""
    reason = browser.missing()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("site")
    profile = tmp_path_factory.mktemp("profile")
    with browser.served(folder) as address, browser.chromium(profile) as driver:
        yield Site(driver=driver, folder=folder, address=address)


def _points(site: Site, graph: int = 0) -> list["WebElement"]:
    return site.all(".scatterlayer .points path", site.all(".plotly-graph-div")[graph])


def _commit(number: int) -> str:
    found: str = histories.commit(number)
    return found


def test_history_draws_every_point_with_its_interval(site: Site) -> None:
    """Each thread count has a graph with a marker and an error bar a commit and batch; changes are marked above."""
    site.show(page.page(histories.usual()))
    graphs = site.all(".plotly-graph-div")
    assert [len(_points(site, number)) for number in range(len(graphs))] == [120, 120, 15]
    assert [len(site.all(".errorbar", graph)) for graph in graphs[:2]] == [120, 120]
    assert [len(site.all(".annotation", graph)) for graph in graphs] == [1, 0, 2]
    assert "worse -4.9 % [-5.9, -3.9]" in graphs[0].text.replace("\u2212", "-")
    assert "qnnpack is the engine for ARM" in site.all(".machine")[0].text
    assert site.trouble() == []


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("commits", [1, 12, 500])
def test_history_fits_its_screen(site: Site, width: int, commits: int) -> None:
    """At either width nothing but a table is wider than the screen, and each graph fills it."""
    one = histories.document([histories.series([histories.point(0, 1.3)], batch="8", threads="1")])
    site.show(page.page(one if commits == 1 else histories.usual(commits)), width=width)
    assert site.driver.execute_script("return document.scrollingElement.scrollWidth") <= width
    for graph in site.all(".plotly-graph-div .main-svg"):
        assert 0.85 * width <= graph.size["width"] <= width
    assert site.trouble() == []


def test_a_click_leads_to_the_figures_of_a_commit(site: Site) -> None:
    """Without a host the commit opens on the page itself, with its figures."""
    site.show(page.page(histories.usual()))
    anchor = f"commit-{_commit(7)[:8]}"
    details = site.all(f"#{anchor}")[0]
    assert not details.get_property("open")
    site.click(_points(site)[7])
    site.wait(lambda: details.get_property("open"))
    assert site.driver.current_url.endswith(f"#{anchor}")
    assert "speedup.Speedup.track_speedup batch 1, threads 2 1.3" in details.text
    assert site.trouble() == []


def test_an_address_with_a_commit_opens_it(site: Site) -> None:
    """A link that somebody was sent shows the figures at once."""
    (site.folder / "sent.html").write_text(page.page(histories.usual(12)), encoding="utf-8")
    site.driver.get(f"{site.address}/sent.html#commit-{_commit(3)[:8]}")
    (opened,) = site.all("details[open]")
    assert _commit(3) in opened.text


def test_a_click_leads_to_the_commit_on_its_host(site: Site) -> None:
    """With a host the commit opens there, beside the page."""
    commit = _commit(7)
    (site.folder / "commit").mkdir()
    (site.folder / "commit" / commit).write_text(
        '<!doctype html><link rel="icon" href="data:,">a commit', encoding="utf-8"
    )
    site.show(page.page(histories.usual(), show_commit_url=f"{site.address}{HOST}"))
    before = site.driver.current_window_handle
    site.click(_points(site)[7])
    site.wait(lambda: len(site.driver.window_handles) == 2)
    (other,) = {*site.driver.window_handles} - {before}
    site.driver.switch_to.window(other)
    site.wait(lambda: site.driver.current_url == f"{site.address}{HOST}{commit}")
    site.driver.close()
    site.driver.switch_to.window(before)
    assert site.trouble() == []


def test_hostile_names_run_nothing(site: Site) -> None:
    """Markup in a name of a machine, parameter, commit or problem is shown and not obeyed."""
    word = "<img src=x onerror=\"document.title='obeyed'\"><script>document.title='obeyed'</script></script>"
    points: list[dict[str, Any]] = [{**histories.point(0, 1.3), "commit": word}, histories.point(1, 1.1)]
    changes = [{**histories.change(0, 1, -0.15, worse=True), "commit_before": word}]
    found = histories.series(points, changes, machine=word, batch=word, **{word: word})
    site.show(page.page(histories.document([found], problems=[word])))
    assert site.driver.title == "int8bench: speed-up over commits"
    assert site.all("img") == []
    assert word in site.all("h3")[0].text
    assert "<img" in site.all(".legendtext")[0].text
    assert site.trouble() == []


def test_asv_shows_the_way_to_our_page(site: Site) -> None:
    """Our script puts an entry into asv's bar and registers the page that #int8bench stands for."""
    script = resources.files("int8bench").joinpath("templates/dashboard.js").read_text(encoding="utf-8")
    (site.folder / "int8bench.js").write_text(script, encoding="utf-8")
    (site.folder / "int8bench.html").write_text(page.page(histories.document([])), encoding="utf-8")
    site.show(STAND_IN, name="index.html")
    (entry,) = site.all("#nav-li-int8bench a")
    assert (entry.text, entry.get_dom_attribute("href")) == ("int8 speed-up", "#/int8bench")
    site.driver.execute_script("pages.int8bench({})")
    site.wait(lambda: site.driver.current_url == f"{site.address}/int8bench.html")
    assert site.trouble() == []


def test_asv_without_its_libraries_is_left_alone(site: Site) -> None:
    """Where asv's own scripts could not be fetched, ours does not complain beside them."""
    script = resources.files("int8bench").joinpath("templates/dashboard.js").read_text(encoding="utf-8")
    site.show(f'<!doctype html><link rel="icon" href="data:,"><p>bare</p><script>{script}</script>')
    assert site.trouble() == []


def test_run_draws_every_cell_with_its_interval(site: Site) -> None:
    """The page of one run has a graph a thread count with a point and an error bar for each int8 cell."""
    run = records.load(GOLDEN_RUN)
    site.show(run_page(run))
    cells = [cell for cell in run.cells if cell.speedups]
    graphs = site.all(".plotly-graph-div")
    assert len(graphs) == len({cell.threads for cell in run.cells})
    assert sum(len(_points(site, number)) for number in range(len(graphs))) == len(cells) > 0
    assert sum(len(site.all(".errorbar", graph)) for graph in graphs) == len(cells)
    text = site.all("body")[0].text
    assert all(finding.message in text for finding in run.findings)
    assert site.trouble() == []
