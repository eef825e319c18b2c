"""Runs an asv suite over commits in the present environment, which asv itself refuses to do for a range.

The suite is taken from the working tree, as asv takes it; the package of each commit is installed beside the
environment and found first.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from int8bench.compare.revisions import asv_configuration
from int8bench.compare.revisions.revisions import Repository, choice_of, install_beside
from int8bench.errors import RequestError
from int8bench.lab.environment import ProcessSettings
from int8bench.tracking.asv_process import CONFIG

Asv = Callable[[Sequence[str], Mapping[str, str]], int]


def measure(
    name: str, *, folder: Path, arguments: Sequence[str], note: Callable[[str], None], asv: Asv | None = None
) -> int:
    """Measures every commit that `name` names, oldest first; asv's worst exit code.

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
    """What asv tells the processes of an environment that it builds, and keeps to itself in an existing one."""
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
        return subprocess.run(command, cwd=folder, env=dict(environment), stdout=sys.stderr, check=False).returncode

    return run
