"""What a process that asv started knows of its run (commit, environment, results folder), and its side file."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import int8bench
from int8bench.errors import Int8BenchError
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
    """Writes the side file of this run; None, with a note, where asv does not say what is measured.

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
    """Where the suite configured in a folder keeps its results; asv's default where there is no configuration."""
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
