"""`int8bench duet` tried on projects that nobody here wrote: source distributions from PyPI that carry a suite.

Each becomes a repository of three commits: the distribution (`base`), one more line in its README (`docs`), and upon
that a change made by hand in one function (`changed`), of which it is known what it moves, and which way. Nothing may
be called of the README, run after run; of the change, what it moves has to be called, and nothing else. What is
expected is what is right, whatever a duet of today makes of the project.

    python scripts/strangers.py FOLDER                                     # all projects, the README three times: hours
    python scripts/strangers.py FOLDER --project control --runs 1 --quick  # minutes
    python scripts/strangers.py --list                                     # the projects and their changes

FOLDER keeps the distributions, repositories, environments and builds from run to run, and the record of every duet.
Needs git, a C compiler, and at the first run an index of packages. Prints a table; exit code 1 if anything is not as it
should be.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

from duets import Answer, changed, cleaned, commit, duet, git, spelled, table

FASTER, SLOWER = "faster", "slower"
LEFT_OUT = "left-out"  # the code of a finding
PYTHON = Path("bin") / "python"
HEAD = (
    "project",
    "run",
    "measured",
    "without ratio",
    "left out",
    "called",
    "seen",
    "others",
    "code",
    "seconds",
    "right",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An edit of one function, `quick` to `slow` for a slow-down and back for a speed-up, and what is true of it."""

    what: str
    file: str
    quick: str
    slow: str
    verdict: str
    moves: str
    """A regular expression: the ids of all benchmarks that it moves, by a fifth or more."""
    about: str
    """By how much it did, on one machine, for a person who reads a row."""

    @property
    def before(self) -> str:
        """The text of the first commits."""
        return self.quick if self.verdict == SLOWER else self.slow

    @property
    def after(self) -> str:
        """The text of the last one."""
        return self.slow if self.verdict == SLOWER else self.quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A source distribution, how its suite is run, what that needs, and the change."""

    name: str
    version: str
    suite: str
    change: Change
    folder: str = "."
    select: str | None = None
    """For a run of minutes: the benchmarks of the change, and others that have nothing to do with it."""
    needs: Sequence[str] = ()
    """What its run, its suite and its build need, but for what int8bench has installed."""

    @property
    def title(self) -> str:
        """As an index spells it."""
        return f"{self.name}=={self.version}"


PROJECTS = (
    Project(
        name="attrs",
        version="26.1.0",
        suite="pytest",  # with pytest-codspeed's mark upon the whole module: the tests themselves are timed
        folder="bench",  # pytest's testpaths in the folder above name the tests alone
        select="(simple_class$|eq_|hash|defaults|asdict|astuple)",
        needs=("pytest-codspeed", "hatchling", "hatch-vcs", "hatch-fancy-pypi-readme"),
        change=Change(
            what="asdict takes plain values as they are, before it looks for classes (a speed-up of its own)",
            file="src/attr/_funcs.py",
            quick="""value_type = type(v)
            if value_type in _ATOMIC_TYPES:
                rv[a.name] = v
            elif has(value_type):
""",
            slow="""value_type = type(v)
            if has(value_type):
""",
            verdict=FASTER,
            moves="::test_asdict_",
            about="x0.15 to x0.5",
        ),
    ),
    Project(
        name="cattrs",
        version="26.2.1",
        suite="pytest",
        select="bench/test_(tuples|primitives)",
        needs=("pytest-codspeed", "hatchling", "hatch-vcs", "msgspec", "orjson"),
        change=Change(
            what="the hook of a tuple's elements is looked up for each of them",
            file="src/cattrs/converters.py",
            quick="return tuple(conv(e, tup_type) for e in obj)",
            slow="return tuple(self._structure_func.dispatch(tup_type)(e, tup_type) for e in obj)",
            verdict=SLOWER,
            moves="::test_structure_homo_tuple.*False",  # True validates, and has a function of its own
            about="x1.3",
        ),
    ),
    Project(
        name="multidict",
        version="7.2.1",
        suite="pytest",  # of a C extension and of the same in Python, each with its ids
        select=r"::test_multidict_(getall_str_hit|getall_str_miss|fetch|popitem_str)\[",
        needs=("pytest-codspeed", "pytest-cov", "psutil", "objgraph"),
        change=Change(
            what="getall in Python asks first whether the key is there",
            file="multidict/_multidict_py.py",
            quick="        res = []\n        # Equal keys are first reached in insertion order; see\n",
            slow="""        res = []
        if not any(e.identity == identity for _, _, e in self._keys.iter_hash(hash_)) and default is sentinel:
            raise KeyError(f"Key not found: {key!r}")
        # Equal keys are first reached in insertion order; see
""",
            verdict=SLOWER,
            moves=r"getall.*py\]",
            about="x1.3 to x2.5",
        ),
    ),
    Project(
        name="control",
        version="0.10.2",
        suite="asv",
        select=r"flatsys_bench\.time_point_to_point\(",
        needs=("scipy", "matplotlib", "setuptools-scm"),
        change=Change(
            what="a Bezier curve is expanded where no derivative is asked for",
            file="control/flatsys/bezier.py",
            quick="        if k == 0:\n",
            slow="        if k < 0:\n",
            verdict=SLOWER,
            moves="'bezier'",
            about="x1.5",
        ),
    ),
    Project(
        name="xarray",
        version="2026.9.0",
        suite="asv",
        folder="asv_bench",
        select=r"^(repr\.Repr(Pandas|Xarray)RangeIndex|datatree\.|renaming\.SwapDims.*\(1000\)|accessors\.)",
        needs=("pandas", "setuptools-scm>=10", "vcs-versioning", "cftime"),
        change=Change(
            what="each new index of swapped dimensions is made twice",
            file="xarray/core/dataset.py",
            quick="""
                    index, index_vars = create_default_index_implicit(var)
                    indexes.update(dict.fromkeys(index_vars, index))
""",
            slow="""
                    create_default_index_implicit(var)
                    index, index_vars = create_default_index_implicit(var)
                    indexes.update(dict.fromkeys(index_vars, index))
""",
            verdict=SLOWER,
            moves=r"^renaming\..*_newindex",
            about="x1.4",
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A duet of a project, and what is to be said of it; `wrong` is empty where it is as it should be."""

    project: str
    run: str
    answer: Answer
    seen: int
    expected: int
    wrong: tuple[str, ...]

    @property
    def cells(self) -> tuple[object, ...]:
        """What stands in the table."""
        answer, known = self.answer, len({each["id"] for each in self.answer.comparisons})
        return (
            self.project,
            self.run,
            known,
            sum(each["ratio"] is None for each in answer.comparisons),
            sum(each["code"] == LEFT_OUT for each in answer.findings),
            len(answer.called),
            f"{self.seen} of {self.expected}" if self.expected else "-",
            len(answer.called) - self.seen,
            answer.code,
            f"{answer.wall_s:.0f}",
            "no" if self.wrong else "yes",
        )


def main() -> int:
    """Project after project, run after run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", nargs="?")
    parser.add_argument("--project", action="append", choices=[each.name for each in PROJECTS], help="repeatable")
    parser.add_argument("--runs", type=int, default=3, help="of the README; the change is raced once")
    parser.add_argument("--quick", action="store_true", help="duet's own --quick: it may miss a change")
    parser.add_argument("--list", action="store_true", help="show the projects, and run nothing")
    asked = parser.parse_args()
    chosen = [each for each in PROJECTS if not asked.project or each.name in asked.project]
    if asked.list:
        print(listed(chosen))
        return 0
    if asked.folder is None:
        parser.error("FOLDER is missing: where distributions, repositories, environments and records are kept")
    rows: list[Row] = []
    for project in chosen:
        for row in tried(project, asked.folder.absolute(), runs=asked.runs, quick=asked.quick):
            print(f"{project.title} {row.run}: {'; '.join(row.wrong) or 'right'}", file=sys.stderr)
            rows.append(row)
    print(table([HEAD, *(row.cells for row in rows)]))
    print("\n".join(("", *notes(rows))))
    return any(row.wrong for row in rows)


def listed(projects: Sequence[Project]) -> str:
    """The projects and their changes, for a person."""
    changes = [(each.title, each.suite, each.change) for each in projects]
    rows = [(title, suite, each.verdict, each.about, each.moves, each.what) for title, suite, each in changes]
    return table([("project", "suite", "is", "about", "benchmarks", "change"), *rows])


def tried(project: Project, folder: Path, *, runs: int, quick: bool) -> Iterator[Row]:
    """The rows of a project, as they come: the README so often, then the change."""
    repository, python = repository_of(project, folder), environment_of(project, folder)
    records = folder / "records"
    records.mkdir(exist_ok=True)
    environment = {**cleaned(), "XDG_CACHE_HOME": str(folder / "cache")}
    options = ("--suite", project.suite, *(("--select-regex", project.select) if project.select else ()))
    for run in (*(f"docs {number}" for number in range(1, runs + 1)), "changed"):
        sides = ("docs", "changed") if run == "changed" else ("docs~1", "docs")
        record = records / f"{project.name}-{run.replace(' ', '-')}.json"
        quickly = ("--quick",) if quick else ()
        command = (*sides, *options, *quickly, "-o", str(record))
        answer = duet(repository / project.folder, *command, python=python, environment=environment)
        yield judged(project, run, answer)


def judged(project: Project, run: str, answer: Answer) -> Row:
    """The row of a duet: of the README nothing may be called; of the change, all that it moves and nothing else."""
    change = project.change if run == "changed" else None
    if answer.document is None:
        said = f"exit code {answer.code}, no answer: {answer.said[-400:] or 'nothing said'}"
        return Row(project=project.title, run=run, answer=answer, seen=0, expected=0, wrong=(said,))
    moved = [each for each in answer.comparisons if change and re.search(change.moves, each["id"])]
    seen = [each for each in moved if change and each["verdict"] == change.verdict]
    wrong = [f"called: {spelled(each)}" for each in answer.called if each not in seen]
    wrong += [f"missed: {spelled(each)}" for each in moved if each not in seen]
    wrong += [f"error: {each['message']}" for each in answer.errors]
    if change and not moved:
        wrong.append(f"missed: no benchmark that matches {change.moves} was measured")
    expected_code = int(change is not None and change.verdict == SLOWER)
    if not wrong and answer.code != expected_code:
        wrong.append(f"exit code {answer.code}, expected {expected_code}")
    return Row(project=project.title, run=run, answer=answer, seen=len(seen), expected=len(moved), wrong=tuple(wrong))


def notes(rows: Sequence[Row]) -> list[str]:
    """What is wrong, what was seen, and what was left out and why, by project."""
    lines = []
    for project, group in groupby(rows, key=lambda row: row.project):
        of_it = list(group)
        lines.append(project)
        lines += [f"  {row.run}: {each}" for row in of_it for each in row.wrong]
        lines += [f"  {row.run}: {spelled(each)}" for row in of_it if row.seen for each in row.answer.called]
        findings = [each for row in of_it for each in row.answer.findings if each["code"] != LEFT_OUT]
        lines += [f"  {each}" for each in dict.fromkeys(f"{each['code']}: {each['message']}" for each in findings)]
        lines += [f"  left out: {names}: {reason}" for reason, names in left_out(of_it).items()]
        reasons = (f"{each['id']}: {each['reason']}" for row in of_it for each in unknown(row.answer))
        lines += [f"  {each}" for each in dict.fromkeys(reasons)]
    return lines


def left_out(rows: Sequence[Row]) -> Mapping[str, str]:
    """By reason, how many were left out, on whichever side and in whichever run, and the first of them."""
    found: dict[str, dict[str, None]] = {}
    for each in (each for row in rows for each in row.answer.findings if each["code"] == LEFT_OUT):
        _side, name, reason = each["message"].split(": ", 2)
        found.setdefault(reason, {})[name] = None
    more = {reason: f" and {len(names) - 1} more" if len(names) > 1 else "" for reason, names in found.items()}
    return {reason: f"{next(iter(names))}{more[reason]}" for reason, names in found.items()}


def unknown(answer: Answer) -> Sequence[Mapping[str, object]]:
    """The comparisons that have no ratio."""
    return [each for each in answer.comparisons if each["ratio"] is None]


def repository_of(project: Project, folder: Path) -> Path:
    """The repository of a project, made where it is not there yet."""
    edit = hashlib.sha256(repr(project.change).encode()).hexdigest()[:8]
    repository = folder / "repositories" / f"{project.name}-{project.version}-{edit}"
    if not repository.exists():
        unpacked = folder / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)  # of a run that was stopped
        with tarfile.open(downloaded(project, folder / "distributions")) as archive:
            archive.extractall(unpacked, filter="data")
        (source,) = unpacked.iterdir()
        git(source, "init", "--quiet", "--initial-branch=main")
        file = source / project.change.file
        if project.change.verdict == FASTER:
            changed(file, project.change.quick, project.change.slow)
        commit(source, f"{project.title} as it is distributed", tag="base")
        readme = min(source.glob("README*"))
        readme.write_text(f"{readme.read_text(encoding='utf-8')}\nWords.\n", encoding="utf-8")
        commit(source, "A line in the README", tag="docs")
        changed(file, project.change.before, project.change.after)
        commit(source, f"By hand: {project.change.what}", tag="changed")
        repository.parent.mkdir(exist_ok=True)
        source.rename(repository)
    return repository


def downloaded(project: Project, folder: Path) -> Path:
    """The source distribution, from the index where it is not there yet."""
    pattern = f"{project.name}-{project.version}.tar.gz"
    if not (folder / pattern).exists():
        fetch = ("download", "--quiet", "--no-deps", "--no-binary", ":all:", "--dest", str(folder))
        pip(sys.executable, *fetch, project.title)
    return folder / pattern


def environment_of(project: Project, folder: Path) -> Path:
    """The interpreter of a project's environment, made where it is not there yet.

    It sees what the running interpreter has installed, int8bench among it, behind what is its own.
    """
    home = folder / "environments" / f"{project.name}-{project.version}"
    ready = home / "ready"
    if not ready.exists():
        subprocess.run((sys.executable, "-m", "venv", "--clear", home), check=True)
        own = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
        (own / "borrowed.pth").write_text("".join(f"{each}\n" for each in borrowed()), encoding="utf-8")
        if project.needs:
            pip(home / PYTHON, "install", "--quiet", *project.needs)
        ready.touch()
    return home / PYTHON


def borrowed() -> Sequence[str]:
    """The folders that an environment borrows: int8bench's source, and the packages of the running interpreter.

    Raises:
        SystemExit: int8bench is not installed here.
    """
    found = find_spec("int8bench")
    if found is None or found.origin is None:
        raise SystemExit("int8bench is not installed in this interpreter; run the script with the one that has it")
    paths = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
    return list(dict.fromkeys((str(Path(found.origin).parents[1]), *paths)))


def pip(python: str | Path, *arguments: str) -> None:
    """Runs pip of an interpreter."""
    command = (python, "-m", "pip", "--disable-pip-version-check", *arguments)
    subprocess.run(command, env=cleaned(), stdout=sys.stderr, check=True)


if __name__ == "__main__":
    sys.exit(main())
