"""What the scripts that try `int8bench duet` on whole repositories share: how one is run, and what it called."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UNCALLED = {"same", "unclear"}  # every other verdict says that there is a difference
WHO = ("-c", "user.name=scratch", "-c", "user.email=scratch@example.invalid", "-c", "commit.gpgsign=false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a duet ended: its exit code, its JSON (None where it printed none), what it said, and its wall time."""

    code: int
    document: Mapping[str, Any] | None
    said: str
    wall_s: float

    @property
    def comparisons(self) -> Sequence[Mapping[str, Any]]:
        """All of them, called or not."""
        return self.document["comparisons"] if self.document else []

    @property
    def called(self) -> Sequence[Mapping[str, Any]]:
        """The comparisons that are said to differ."""
        return [each for each in self.comparisons if each["verdict"] not in UNCALLED]

    @property
    def findings(self) -> Sequence[Mapping[str, Any]]:
        """Notes, warnings and errors."""
        return self.document["findings"] if self.document else []

    @property
    def errors(self) -> Sequence[Mapping[str, Any]]:
        """What is wrong with head, by the duet."""
        return [each for each in self.findings if each["severity"] == "error"]


def duet(
    folder: Path,
    *arguments: str,
    python: str | Path = sys.executable,
    environment: Mapping[str, str] | None = None,
) -> Answer:
    """What `int8bench duet ... --json` answers in a folder."""
    started = time.monotonic()
    done = subprocess.run(
        (python, "-m", "int8bench", "duet", *arguments, "--json"),
        cwd=folder,
        env=environment or resolved(),
        capture_output=True,
        text=True,
        check=False,
    )
    return Answer(
        code=done.returncode,
        document=_document(done.stdout),
        said=done.stderr.strip(),
        wall_s=time.monotonic() - started,
    )


def _document(told: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(told)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "comparisons" in found else None


def spelled(comparison: Mapping[str, Any]) -> str:
    """A comparison in a line: its id, what is compared, its verdict and its ratio with the interval."""
    ratio = comparison["ratio"]
    value = f"x{ratio['value']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})" if ratio else "no ratio"
    return f"{comparison['id']} [{comparison['metric']}]: {comparison['verdict']}, {value}"


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows below each other, the first of them the head, each column as wide as it has to be."""
    cells = [[str(each) for each in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(line.rstrip() for line in lines)


def git(folder: Path, *arguments: str) -> str:
    """What git prints, run there as a person of no name.

    Raises:
        CalledProcessError: it fails.
    """
    command = ("git", *WHO, "-C", str(folder), *arguments)
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def commit(folder: Path, message: str, *, tag: str) -> None:
    """Commits all that a folder holds, ignored files too, under a tag."""
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--quiet", "--message", message)
    git(folder, "tag", tag)


def changed(path: Path, old: str, new: str) -> None:
    """Puts a text in the place of another, once, in a file.

    Raises:
        SystemExit: the file does not have the old text once.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise SystemExit(f"{path}: has {old!r} {text.count(old)} times, expected once; bring the script up to date")
    path.write_text(text.replace(old, new), encoding="utf-8")


def resolved() -> dict[str, str]:
    """The environment, its PYTHONPATH spelled so that it leads to the int8bench of here from other folders too."""
    paths = [str(Path(each).absolute()) for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return {**os.environ, **({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})}


def cleaned() -> dict[str, str]:
    """The environment without what leads an interpreter to packages of another one."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
