"""Our page in the site that `asv publish` writes: an output publisher of asv, named in asv.conf.json as
`"plugins": [".int8bench.tracking.dashboard"]`. The dot is asv's way to say that it is not one of its own.

Adds three things to the published folder, and touches nothing of asv's installation: the page, a script that
registers it with asv's site, and the line of index.html that loads the script.
"""  # noqa: D205  the summary needs both lines

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from asv.console import log
from asv.publishing import OutputPublisher

from int8bench import files
from int8bench.errors import Int8BenchError
from int8bench.report.history import page
from int8bench.report.history.document import HistoryDocument

NAME = "int8bench"
PAGE = f"{NAME}.html"
SCRIPT = f"{NAME}.js"
INDEX = "index.html"
TAG = f'<script src="{SCRIPT}"></script>\n'
PLACE = "</head>"  # after asv.js, which the script needs

Build = Callable[[Path, Path | None], HistoryDocument]
"""A results folder and the repository -> the history document."""


class SpeedupPage(OutputPublisher):  # type: ignore[misc]  # asv has no types
    """The page of speed-ups, changes and findings."""

    name = NAME
    button_label = "int8 speed-up"
    description = "Paired speed-up of int8 over commits, with intervals, changes and findings"
    order = 4  # after asv's own pages

    @classmethod
    def publish(cls, conf: Any, repo: Any, benchmarks: Any, graphs: Any, revisions: Any) -> None:  # noqa: ANN401, ARG003  asv's signature
        """Write the page into asv's site; a failure is a sentence in asv's log, and the rest of the site is published.

        Args:
            conf: asv's configuration, with the repository, the folders of results and site, and the address of commits.
            repo: asv's; not needed here.
            benchmarks: asv's; not needed here.
            graphs: asv's; not needed here.
            revisions: asv's; not needed here.
        """
        repository = Path(conf.repo)
        try:
            problems = write(
                Path(conf.results_dir),
                Path(conf.html_dir),
                show_commit_url=conf.show_commit_url,
                repository=repository if repository.is_dir() else None,
            )
        except Int8BenchError as error:
            problems = [f"no page of int8bench: {error}"]
        for problem in problems:
            log.warning(problem)


def write(
    results: Path, site: Path, *, show_commit_url: str, repository: Path | None, build: Build | None = None
) -> list[str]:
    """Write the page of a results folder into a published site, and return a sentence for each problem.

    Args:
        results: asv's results folder.
        site: the folder that asv publishes into, with its index.html.
        show_commit_url: what goes before a commit's hash in a link.
        repository: a git repository whose topology orders the commits; None for an order by date.
        build: makes the history document; `tracking.history` does where none is given.

    Raises:
        RequestError: the site cannot be written.
    """
    document = (build or _history)(results, repository)
    text = page.page(document, show_commit_url=show_commit_url, home=INDEX)
    files.write_text(site / PAGE, text)
    script = resources.files("int8bench").joinpath("templates/dashboard.js").read_text(encoding="utf-8")
    files.write_text(site / SCRIPT, script)
    return [*document.problems, *_register(site / INDEX)]


def _history(results: Path, repository: Path | None) -> HistoryDocument:
    from int8bench.tracking.history import history

    return history(results, repository=repository).document()


def _register(index: Path) -> list[str]:
    """Make the site's index load our script, once, and return a problem where the index is not laid out as asv's."""
    text = index.read_text(encoding="utf-8")
    if TAG in text:
        return []
    if PLACE not in text:
        return [f"{index}: not laid out as asv's index.html; open {PAGE} by its own address"]
    files.write_text(index, text.replace(PLACE, TAG + PLACE, 1))
    return []
