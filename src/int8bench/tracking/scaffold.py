"""What `int8bench init` writes into somebody else's repository: an asv suite, performance tests and a CI workflow.

The suite is the project's own, with another subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from int8bench.compare.revisions.packages import PACKAGED
from int8bench.compare.revisions.revisions import Repository
from int8bench.errors import RequestError
from int8bench.files import write_text

SUITE = "benchmarks"
SUBJECT = f"{SUITE}/_subject.py"
# What is written, and the template that it is made from.
RENDERED = {
    "asv.conf.json": "asv.conf.json.j2",
    SUBJECT: "subject.py.j2",
    "tests/perf/test_int8.py": "test_int8.py.j2",
    ".github/workflows/int8bench.yml": "int8bench.yml.j2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaffoldSubject:
    """What the written suite measures."""

    model: str
    input_shape: str | None
    data: str
    engine: str


def write(subject: ScaffoldSubject, folder: Path) -> tuple[Path, ...]:
    """Write every file into a repository, or none, and return their paths.

    Args:
        subject: what the suite measures.
        folder: the top of the suite, in a git repository.

    Raises:
        RequestError: the folder is in no git repository, a file is there already, or cannot be written.
    """
    Repository.around(folder)
    files = contents(
        subject, project=folder.resolve().name, packaged=any((folder / name).exists() for name in PACKAGED)
    )
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise RequestError(
            f"{', '.join(there)}: already in {folder}, and nothing is overwritten; move it away, or take what you need "
            "from an init in an empty repository"
        )
    for name, text in files.items():
        write_text(folder / name, text)
    return tuple(folder / name for name in files)


def check(subject: ScaffoldSubject, folder: Path) -> None:
    """Refuse a subject that cannot be measured, by making its model once, with its data.

    So nothing is written down that does not work.

    Args:
        subject: what the suite is to measure.
        folder: from which the model's module is imported.

    Raises:
        RequestError: no such engine, model or data, or the model cannot be fed.
    """
    from int8bench.engines.registry import engine_named
    from int8bench.workload import models
    from int8bench.workload.data import load_data
    from int8bench.workload.importing import make_importable

    make_importable(subject.model, folder.resolve())
    engine_named(subject.engine)
    given = models.parse_input_shape(subject.input_shape) if subject.input_shape else None
    shape = models.input_shape_of(subject.model, given)
    splits = load_data(subject.data, input_shape=shape, data_dir=None, seed=0)
    models.load_model(subject.model, num_classes=splits.num_classes, input_shape=given)


def contents(subject: ScaffoldSubject, *, project: str, packaged: bool) -> Mapping[str, str]:
    """Return the text of each file that is written, by its path in the repository.

    Args:
        subject: what is measured.
        project: the name that asv shows.
        packaged: whether the repository can be installed with pip.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(  # noqa: S701  what is written is Python, JSON and YAML
        loader=PackageLoader("int8bench"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    names = {
        "model": subject.model,
        "input_shape": subject.input_shape,
        "data": subject.data,
        "engine": subject.engine,
        "project": project,
        "packaged": packaged,
    }
    rendered = {name: environment.get_template(template).render(names) for name, template in RENDERED.items()}
    return {**_suite(), **rendered}


def _suite() -> dict[str, str]:
    """Return the modules of the project's own suite but for its subject."""
    modules = {f"{SUITE}/{file.name}": file for file in _suite_folder().iterdir() if file.name.endswith(".py")}
    return {name: file.read_text(encoding="utf-8") for name, file in sorted(modules.items()) if name != SUBJECT}


def _suite_folder() -> Traversable:
    """Return the folder of the suite: in the installed package, or in a checkout installed for development."""
    packaged = resources.files("int8bench").joinpath("templates", SUITE)
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / SUITE
