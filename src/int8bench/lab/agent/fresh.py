"""Source text timed in a fresh interpreter of this side each time, by timeit, as asv does with what ``timeraw_`` gives.

What is found there is this side's own, by the path that this interpreter was started with; what the text prints is not
looked at.
"""

import ast
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from .mortal import die_with

READS = "import sys; exec(sys.stdin.read())"  # as asv's; a command line would be too short for some texts
# Imports before the text what asv's program imports, and no more: a module that is there already costs nothing. The
# folder that it runs in comes last on the path, so that it hides nothing.
PROGRAM = """
import sys
sys.path.append("")
from timeit import Timer
seconds = Timer({stmt!r}, {setup!r}).timeit({number!r})
import json, runpy
with open({answer!r}, "w", encoding="utf-8") as answer:
    json.dump([seconds, runpy.run_path({origins!r})["of_packages"]({packages!r})], answer)
"""
ORIGINS = str(Path(__file__).with_name("origins.py"))


@dataclass(slots=True, eq=False, kw_only=True)
class Fresh:
    """A text that is timed, and where the modules of this side's packages came from in its interpreters so far."""

    text: Callable[[], Any]
    """Gives what is timed, and perhaps what comes before it; called before each sample."""
    number: int
    """Runs of the text in one interpreter."""
    packages: Iterable[str]
    environment: Mapping[str, str]
    """Variables on top of this process's."""
    _folders: dict[str, set[str]] = field(default_factory=dict)

    def timed(self) -> float:
        """Return the seconds of one run of the text, in an interpreter that ends with this process.

        Raises:
            RuntimeError: it failed; with its last line of standard error.
            Exception: whatever the benchmark raises when it is asked for the text.
        """
        given = self.text()
        stmt, setup = given if isinstance(given, tuple) else (given, "")
        with tempfile.NamedTemporaryFile() as answer:
            program = PROGRAM.format(
                stmt=_as_asv_reads(stmt),
                setup=_as_asv_reads(setup),
                number=self.number,
                answer=answer.name,
                origins=ORIGINS,
                packages=list(self.packages),
            )
            _run(program, {**os.environ, **self.environment})
            written = answer.read()
        if not written:
            raise RuntimeError("its process ended before the text did")
        seconds, origins = json.loads(written)
        for package, folders in origins.items():
            self._folders.setdefault(package, set()).update(folders)
        return float(seconds) / self.number

    def seen(self) -> dict[str, list[str]]:
        """Return the folders that modules of each package came from, in all interpreters so far."""
        return {package: sorted(folders) for package, folders in self._folders.items()}


def _as_asv_reads(text: str) -> str:
    """Return the text after asv has put it between three quotes: a backslash that is to arrive is written twice."""
    quoted = textwrap.dedent(text).replace('"""', r"\"\"\"")
    return str(ast.literal_eval(f'"""{quoted}"""'))


def _run(program: str, environment: Mapping[str, str]) -> None:
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [sys.executable, "-P", "-c", READS],
            input=program.encode(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=environment,
            preexec_fn=partial(die_with, os.getpid()),
            check=False,
        )
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
    if done.returncode:
        raise RuntimeError(said[-1] if said else f"its process ended with {done.returncode}")
