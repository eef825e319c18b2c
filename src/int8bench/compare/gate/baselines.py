"""Baselines: one record a kind of hardware, under that hardware's fingerprint, so that none judges another's.

A baseline is a RUN.json with all its samples, as `int8bench run` writes it, so that `report` and `compare` read it too.
What it was measured of stands in its settings as `commit`.
"""

from dataclasses import replace
from pathlib import Path

from int8bench import machine
from int8bench.errors import RecordError, RequestError
from int8bench.machine import Hardware
from int8bench.study import records
from int8bench.study.records import Run

FOLDER = Path("reports") / "baselines"
COMMIT = "commit"  # the key in a record's settings


def path_of(folder: Path, fingerprint: str) -> Path:
    """Return the path of a hardware's baseline in a project.

    Args:
        folder: the project's top.
        fingerprint: of the hardware.
    """
    return folder / FOLDER / f"{fingerprint}.json"


def others(folder: Path, fingerprint: str) -> tuple[str, ...]:
    """Return the fingerprints of all other hardware with a baseline.

    Args:
        folder: the project's top.
        fingerprint: of the hardware that is left out.
    """
    fingerprints = sorted(path.stem for path in (folder / FOLDER).glob("*.json"))
    return tuple(name for name in fingerprints if name != fingerprint)


def load(folder: Path, fingerprint: str) -> Run | None:
    """Return the baseline of a hardware; None where there is none.

    Args:
        folder: the project's top.
        fingerprint: of the hardware.

    Raises:
        RecordError: there is a file, but no finished run of that very hardware; it is left alone.
    """
    path = path_of(folder, fingerprint)
    if not path.exists():
        return None
    try:
        run = records.load(path)
        _check(run, path, fingerprint)
    except RecordError as error:
        raise RecordError(f"{error}; it is left alone: delete it to record a new baseline") from error
    return run


def record(run: Run, folder: Path, *, commit: str | None) -> Path:
    """Make a run the baseline of its hardware, and return the path of the file.

    The file is written whole or not at all.

    Args:
        run: a finished run.
        folder: the project's top.
        commit: the hash of the measured commit; None where it is not known.

    Raises:
        RequestError: the run is not finished, or the file cannot be written.
    """
    if not run.complete:
        raise RequestError("an unfinished run is no baseline; finish it first")
    path = path_of(folder, run.environment.fingerprint)
    records.save(replace(run, settings={**run.settings, COMMIT: commit}), path)
    return path


def commit_of(run: Run) -> str | None:
    """Return the commit that a baseline was measured of; None where it is not known."""
    commit = run.settings.get(COMMIT)
    return commit if isinstance(commit, str) else None


def _check(run: Run, path: Path, fingerprint: str) -> None:
    """Refuse a run of other hardware under this name: a copied file, or one that was changed.

    Raises:
        RecordError: it is one, or the run was not finished.
    """
    described = machine.fingerprint(Hardware.from_dict(run.environment.hardware, path=f"{path}: hardware"))
    for found in (run.environment.fingerprint, described):
        if found != fingerprint:
            raise RecordError(f"{path}: a run on other hardware ({found}), which does not judge {fingerprint}")
    if not run.complete:
        raise RecordError(f"{path}: an unfinished run, which is no baseline")
