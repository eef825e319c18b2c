"""What a study has measured so far, cell by cell; filled as forks come home, read back from a record."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from int8bench import files
from int8bench.documents import JsonObject
from int8bench.errors import RecordError, RequestError
from int8bench.lab.sampling import Race
from int8bench.machine.finding import SaturationProbe
from int8bench.study import records
from int8bench.study.cells import FAILED, SKIPPED, Answered, Cell, FilesMade, RaceSample, Samples, SoloSample
from int8bench.study.plan.fitting import is_reason
from int8bench.study.plan.plan import Plan
from int8bench.study.session.worker import Alone, Checked, Stream
from int8bench.workload.cases import Case, Variant

NOT_YET = "not measured yet"
PLAN = "plan"  # of the settings: follows from the others, and from how fast things were
# The options behind a setting, for a person whose record has another value of it.
OPTIONS = {
    "budget_s": "--budget",
    "measuring_s": "the seconds of measuring",
    "subject": "--model, --weights, --input-shape or --data",
    "batches": "--batch",
    "threads": "--threads",
    "engines": "--engines",
    "precision": "--precision",
    "accuracy_loss": "--accuracy-loss",
    "quick": "--quick",
    "seed": "--seed",
}


@dataclass(slots=True)
class Ledger:
    """The samples of every cell, what the checks said, and the cells that are given up, each with its reason."""

    created_at: str
    races: dict[str, list[RaceSample]] = field(default_factory=dict)
    solos: dict[str, list[SoloSample]] = field(default_factory=dict)
    stopped: dict[str, tuple[str, str]] = field(default_factory=dict)
    checks: dict[Variant, Checked] = field(default_factory=dict)
    probes: dict[str, SaturationProbe] = field(default_factory=dict)
    conversions: dict[str, FilesMade] = field(default_factory=dict)
    unprobed: dict[str, float] = field(default_factory=dict)
    """The engines for whose probe there was no time, and about how many seconds it takes."""
    pictures: int | None = None
    """On how many pictures answers are checked where there is time; None where nobody told."""
    plan: Plan | None = None
    """That of an unfinished record whose races go on; None where none has begun."""

    @classmethod
    def resumed(cls, path: Path, *, settings: JsonObject, fingerprint: str) -> "Ledger":
        """Return the ledger of an unfinished record at `path`; an empty one where there is none.

        A finished record there is moved aside first, so that nothing written before is lost.

        Args:
            path: of the record.
            settings: that the record must share, the plan apart.
            fingerprint: of this machine.

        Raises:
            RequestError: the unfinished record is of other settings or of another machine.
            RecordError: there is a file, but not a record of ours.
        """
        fresh = cls(created_at=datetime.now(UTC).isoformat(timespec="seconds"))
        if not _exists(path):
            return fresh
        stored = _stored(path)
        if stored.complete:
            files.set_aside(path)
            return fresh
        _same(path, stored, settings, fingerprint)
        return cls.of(stored)

    @classmethod
    def of(cls, run: records.Run) -> "Ledger":
        """Return the ledger of a record: its samples, checks and failures.

        A cell that was skipped may be tried again; one that was left out for time stays so, or the forks of a launch
        which the others have would have to come anew with it.
        """
        ledger = cls(created_at=run.created_at)
        for cell in run.cells:
            ledger._read(cell)
        if any(ledger.races.values()):  # a plan shares out a probability of error over looks that belong together
            ledger.plan = Plan.from_dict(run.settings[PLAN])
        return ledger

    def skip(self, case: str, reason: str) -> None:
        """Give a cell up that cannot run here.

        Args:
            case: its id.
            reason: for the row of the cell.
        """
        self.stopped[case] = (SKIPPED, reason)

    def fail(self, case: str, reason: str) -> None:
        """Give a cell up that went wrong; its samples are dropped, its reason kept.

        Args:
            case: its id.
            reason: for the row of the cell.
        """
        self.stopped[case] = (FAILED, reason)
        self.races.pop(case, None)
        self.solos.pop(case, None)

    def forks_done(self, cases: Sequence[Case], launch: int) -> int:
        """Return how many forks of a launch all of the cases have.

        Args:
            cases: that race together.
            launch: its index, from 0.
        """
        counts = [sum(sample.launch == launch for sample in self.races.get(case.id, ())) for case in cases]
        return min(counts, default=0)

    def forget(self, cases: Sequence[Case], launch: int) -> None:
        """Drop the forks of a launch that was interrupted: a launch is one process, and its forks go together.

        Args:
            cases: that race together.
            launch: its index, from 0.
        """
        for case in cases:
            kept = [sample for sample in self.races.get(case.id, ()) if sample.launch != launch]
            self.races[case.id] = kept

    def has_solo(self, case: str, replicate: int) -> bool:
        """Tell whether a cell was measured alone in that replicate.

        Args:
            case: its id.
            replicate: its number, which is that of the launch.
        """
        return any(sample.replicate == replicate for sample in self.solos.get(case, ()))

    def add_race(self, cases: Sequence[Case], race: Race, *, launch: int, fork: int) -> None:
        """Enter one fork's race: a sample a case.

        Args:
            cases: that raced.
            race: their rounds, by the label of the variant.
            launch: its index, from 0.
            fork: its number in the launch, from 0.
        """
        for case in cases:
            track = race.track(case.variant.label)
            self.races.setdefault(case.id, []).append(
                RaceSample(
                    launch=launch,
                    fork=fork,
                    every=track.every,
                    calls=track.calls,
                    times_s=records.rounded(track.times_s),
                    kept=tuple(int(kept) for kept in race.kept),
                    single_s=records.rounded(track.single_s),
                    cpu_s=track.cpu_s,
                    wall_s=track.wall_s,
                    lingering_s=track.lingering_s,
                    noise={
                        "disturbed_rounds": track.disturbed_rounds,
                        "involuntary_switches": track.involuntary_switches,
                        "major_faults": race.disturbance.major_faults,
                        "minor_faults": race.disturbance.minor_faults,
                        "steal_ticks": race.disturbance.steal_ticks,
                        "competing_load": race.disturbance.competing_load(race.wall_s),
                    },
                )
            )

    def add_solo(self, case: Case, alone: Alone, shares: Sequence[Stream], *, idle_bytes: int, launch: int) -> None:
        """Enter a contender's figures alone, and the items of all its streams over the time they shared.

        Args:
            case: the contender in its setting.
            alone: what it cost to build, to call first, and at its peak.
            shares: of the load, a stream each.
            idle_bytes: that a fork which does nothing adds at its peak.
            launch: its index, which is the replicate's.
        """
        started, ended = min(share.started_s for share in shares), max(share.ended_s for share in shares)
        self.solos.setdefault(case.id, []).append(
            SoloSample(
                launch=launch,
                replicate=launch,
                build_s=alone.build_s,
                cold_s=alone.cold_s,
                peak_bytes=alone.peak_bytes,
                idle_peak_bytes=idle_bytes,
                streams=len(shares),
                items=sum(share.calls for share in shares) * case.group.batch,
                seconds=ended - started,
            )
        )

    def samples(self, case: str) -> Samples:
        """Return the raw samples of a cell, as a record keeps them."""
        return Samples(races=tuple(self.races.get(case, ())), solos=tuple(self.solos.get(case, ())))

    def _read(self, cell: Cell) -> None:
        if cell.status == FAILED:
            self.fail(cell.id, cell.error or "failed before")
            return
        if cell.error is not None and is_reason(cell.error):
            self.skip(cell.id, cell.error)
        self.races[cell.id] = list(cell.samples.races)
        self.solos[cell.id] = list(cell.samples.solos)
        if cell.conversion is not None:
            self.conversions[cell.id] = cell.conversion
        answered = cell.answered
        if cell.fidelity is not None and cell.memory_bytes is not None:
            memory = cell.memory_bytes
            answered = Answered(
                fidelity=cell.fidelity, weights_bytes=memory.weights, serialized_bytes=memory.serialized
            )
        if answered is not None:
            self.checks[cell.variant] = Checked(
                fidelity=answered.fidelity,
                objection=None,
                weights_bytes=answered.weights_bytes,
                serialized_bytes=answered.serialized_bytes,
                evidence=cell.evidence,
            )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, a folder that is closed to us: saving says so, and what to type
        return False


def _stored(path: Path) -> records.Run:
    """Return the record at `path`.

    Raises:
        RecordError: there is something else, which is not written over.
    """
    try:
        return records.load(path)
    except RecordError as error:
        raise RecordError(f"{error}; it is left alone: give another -o, or delete {path} to start anew") from error


def _same(path: Path, stored: records.Run, settings: JsonObject, fingerprint: str) -> None:
    """Refuse to go on with a record of other settings, another machine or other packages, and say which differ."""
    asked = [key for key in settings if key != PLAN]
    differing = [OPTIONS.get(key, key) for key in asked if stored.settings.get(key) != settings[key]]
    if stored.environment.fingerprint != fingerprint:
        differing.append("the machine")
    installed = records.versions()
    differing += [
        f"the version of {name}"
        for name in sorted({*installed, *stored.environment.versions})
        if stored.environment.versions.get(name) != installed.get(name)
    ]
    if differing:
        raise RequestError(
            f"{path} holds an unfinished run that differs in {', '.join(dict.fromkeys(differing))}; "
            f"give the same options to finish it, another -o to keep it, or delete {path} to start anew"
        )
