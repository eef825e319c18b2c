"""asv over commits in the present environment, which asv itself refuses to do for a range.

And what a process that asv started knows of its run (commit, environment, results folder), with its side file.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import int8bench
from int8bench.compare.revisions import asv_configuration
from int8bench.compare.revisions.revisions import Repository, choice_of, install_beside
from int8bench.errors import Int8BenchError, RequestError
from int8bench.lab.environment import ProcessSettings
from int8bench.study import records
from int8bench.study.records import Run
from int8bench.tracking import side
from int8bench.tracking.side import SideFile, SidePoint

CONFIG = "asv.conf.json"


def keep(
    run: Run,
    points: Sequence[SidePoint],
    *,
    environment: Mapping[str, str],
    heeded: Mapping[str, bool],
    note: Callable[[str], None],
) -> Path | None:
    """Write the side file of a run, and return its path; None, with a note, where there is none.

    There is none where asv does not say what is measured, or where the file cannot be written.

    Args:
        run: the finished record.
        points: what is published of it.
        environment: of this process; asv puts ASV_COMMIT, ASV_ENV_NAME and ASV_CONF_DIR there.
        heeded: which settings of a measuring process have reached asv's own, see `lab.environment`.
        note: told in a sentence why nothing was kept.
    """
    missing = [name for name in ("ASV_CONF_DIR", "ASV_ENV_NAME", "ASV_COMMIT") if not environment.get(name)]
    if missing:
        note(
            f"no side file, since {', '.join(missing)} is not set; asv sets it in environments that it builds, "
            "and make asv-here in existing ones"
        )
        return None
    try:
        results = results_folder(Path(environment["ASV_CONF_DIR"]))
        return side.save(_side(run, points, environment, heeded), results)
    except Int8BenchError as error:
        note(f"no side file: {error}")
        return None


def results_folder(folder: Path) -> Path:
    """Return the results folder of the suite that is configured in a folder; asv's default without a configuration."""
    from asv.config import Config

    path = folder / CONFIG
    configured = Config.load(str(path)).results_dir if path.exists() else "results"
    return folder / str(configured)


def _side(
    run: Run, points: Sequence[SidePoint], environment: Mapping[str, str], heeded: Mapping[str, bool]
) -> SideFile:
    return SideFile(
        commit_hash=environment["ASV_COMMIT"],
        env_name=environment["ASV_ENV_NAME"],
        fingerprint=run.environment.fingerprint,
        got={
            "heeded": dict(heeded),
            "variables": {name: environment[name] for name in heeded if name in environment},
            "environment_type": environment.get("ASV_ENV_TYPE"),
            "package": str(Path(int8bench.__file__).parent),
        },
        points=tuple(points),
        run=records.to_dict(run),
    )


Asv = Callable[[Sequence[str], Mapping[str, str]], int]


def measure(
    name: str, *, folder: Path, arguments: Sequence[str], note: Callable[[str], None], asv: Asv | None = None
) -> int:
    """Measure the commits that `name` names, oldest first, and return asv's worst exit code.

    Args:
        name: a commit, or a range such as ``HEAD~3..HEAD``.
        folder: has the suite's asv.conf.json, in a git repository.
        arguments: handed to ``asv run``, such as ``--quick``.
        note: told what is being done.
        asv: runs asv with arguments and an environment; gives its exit code.

    Raises:
        RequestError: no suite here, no such commits, or a commit's package does not install.
    """
    if not (folder / CONFIG).exists():
        raise RequestError(f"{folder}: no {CONFIG} here; change into the folder that has it, or type int8bench init")
    configured = asv_configuration.read(folder)
    repository = Repository.around((configured.repository if configured else None) or folder)
    commits = repository.commits(name)
    if repository.is_dirty():
        note("the working tree has changes: the suite is taken from it as it is, the package from the commits")
    run = asv or _asv(folder)
    codes = [run(("machine", "--yes"), os.environ)]
    for number, commit in enumerate(commits, 1):
        note(f"commit {commit[:8]}, {number} of {len(commits)}")
        codes.append(_measure_one(repository, commit, folder, arguments, run))
    return max(codes)


def _measure_one(repository: Repository, commit: str, folder: Path, arguments: Sequence[str], run: Asv) -> int:
    with tempfile.TemporaryDirectory(prefix="int8bench-") as scratch:
        tree = repository.lay_out(commit, Path(scratch) / "tree")
        near = asv_configuration.near_of(folder, repository.top)
        choice = choice_of(repository, commit, near=near, python=sys.executable)
        overlay = install_beside(tree, Path(scratch) / "packages", choice, near=near)
        path = os.pathsep.join(overlay.path)
        environment = {**ProcessSettings().applied_to(os.environ), **_told(folder, commit), "ASV_PYTHONPATH": path}
        command = ("run", "-E", f"existing:{sys.executable}", "--set-commit-hash", commit, *arguments)
        return run(command, environment)


def _told(folder: Path, commit: str) -> dict[str, str]:
    """Return the variables that asv sets in environments that it builds, but not in an existing one."""
    from asv.environment import get_env_name

    return {
        "ASV_COMMIT": commit,
        "ASV_CONF_DIR": str(folder.resolve()),
        "ASV_ENV_NAME": get_env_name("existing", sys.executable, {}, {}),
        "ASV_ENV_TYPE": "existing",
    }


def _asv(folder: Path) -> Asv:
    def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        # what is said of progress goes where progress belongs, and standard output keeps the answer
        command = (sys.executable, "-m", "asv", *arguments)
        asks = arguments[0] == "machine"  # in words that end in the middle of a line, in which the next would begin
        out, error = (subprocess.PIPE, subprocess.STDOUT) if asks else (sys.stderr, None)
        done = subprocess.run(
            command, cwd=folder, env=dict(environment), stdout=out, stderr=error, text=True, check=False
        )
        if asks and done.stdout.strip():
            sys.stderr.write(f"{done.stdout.rstrip()}\n")
        return done.returncode

    return run
