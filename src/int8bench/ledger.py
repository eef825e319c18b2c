"""What a study has measured so far, cell by cell; filled as forks come home, read back from a record."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from int8bench import records
from int8bench.cases import Case, Variant
from int8bench.errors import RequestError
from int8bench.findings import SaturationProbe
from int8bench.lab.sampling import Race
from int8bench.worker import Alone, Checked, Stream

FAILED, SKIPPED = "failed", "skipped"
NOT_YET = "not measured yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RaceSample:
    """One fork of one cell; its rounds are aligned with those of the other cells of its group."""

    launch: int
    fork: int
    calls: int
    times_s: tuple[float, ...]
    kept: tuple[int, ...]
    single_s: tuple[float, ...]
    cpu_s: float
    wall_s: float
    noise: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoloSample:
    """One contender alone in a fork: seconds, resident bytes, and items answered under sustained load."""

    launch: int
    replicate: int
    build_s: float
    cold_s: float
    peak_bytes: int
    idle_peak_bytes: int
    streams: int
    items: int
    seconds: float


@dataclass(slots=True)
class Ledger:
    """The samples of every cell, what the checks said, and the cells that are given up, each with its reason."""

    created_at: str
    races: dict[str, list[RaceSample]] = field(default_factory=dict)
    solos: dict[str, list[SoloSample]] = field(default_factory=dict)
    stopped: dict[str, tuple[str, str]] = field(default_factory=dict)
    checks: dict[Variant, Checked] = field(default_factory=dict)
    probes: dict[str, SaturationProbe] = field(default_factory=dict)

    @classmethod
    def resumed(cls, path: Path, *, settings: Mapping[str, object], fingerprint: str) -> "Ledger":
        """What an unfinished record at `path` holds; an empty ledger where there is none.

        A finished record there is moved aside first, so that nothing written before is lost.

        Raises:
            RequestError: the unfinished record is of other settings or of another machine.
            RecordError: there is a file, but not a record of ours.
        """
        fresh = cls(created_at=datetime.now(UTC).isoformat(timespec="seconds"))
        if not path.exists():
            return fresh
        stored = records.to_dict(records.load(path))
        if stored["complete"]:
            records.set_aside(path)
            return fresh
        _same(path, stored, settings, fingerprint)
        ledger = cls(created_at=stored["created_at"])
        for cell in stored["cells"]:
            ledger._read(cell)
        return ledger

    def skip(self, case: str, reason: str) -> None:
        """Gives a cell up that cannot run here."""
        self.stopped[case] = (SKIPPED, reason)

    def fail(self, case: str, reason: str) -> None:
        """Gives a cell up that went wrong; its samples are dropped, its reason kept."""
        self.stopped[case] = (FAILED, reason)
        self.races.pop(case, None)
        self.solos.pop(case, None)

    def forks_done(self, cases: Sequence[Case], launch: int) -> int:
        """How many forks of a launch all of the cases have."""
        counts = [sum(sample.launch == launch for sample in self.races.get(case.id, ())) for case in cases]
        return min(counts, default=0)

    def forget(self, cases: Sequence[Case], launch: int) -> None:
        """Drops the forks of a launch that was interrupted: a launch is one process, and its forks go together."""
        for case in cases:
            kept = [sample for sample in self.races.get(case.id, ()) if sample.launch != launch]
            self.races[case.id] = kept

    def has_solo(self, case: str, replicate: int) -> bool:
        """Whether a cell was measured alone in that replicate."""
        return any(sample.replicate == replicate for sample in self.solos.get(case, ()))

    def add_race(self, cases: Sequence[Case], race: Race, *, launch: int, fork: int) -> None:
        """Enters one fork's race: a sample a case."""
        for case in cases:
            track = race.track(case.variant.label)
            self.races.setdefault(case.id, []).append(
                RaceSample(
                    launch=launch,
                    fork=fork,
                    calls=track.calls,
                    times_s=track.times_s,
                    kept=tuple(int(kept) for kept in race.kept),
                    single_s=track.single_s,
                    cpu_s=track.cpu_s,
                    wall_s=track.wall_s,
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
        """Enters what a contender did alone, and the items of all its streams over the time they shared."""
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

    def samples(self, case: str) -> dict[str, Any]:
        """The raw samples of a cell, as a record keeps them."""
        return {
            "races": [asdict(sample) for sample in self.races.get(case, ())],
            "solos": [asdict(sample) for sample in self.solos.get(case, ())],
        }

    def _read(self, cell: Mapping[str, Any]) -> None:
        if cell["status"] == FAILED:
            self.fail(cell["id"], cell["error"])
            return
        samples = cell["samples"] or {"races": [], "solos": []}
        self.races[cell["id"]] = [
            RaceSample(**{**each, **{key: tuple(each[key]) for key in ("times_s", "kept", "single_s")}})
            for each in samples["races"]
        ]
        self.solos[cell["id"]] = [SoloSample(**each) for each in samples["solos"]]


def _same(path: Path, stored: Mapping[str, Any], settings: Mapping[str, object], fingerprint: str) -> None:
    """Refuses to go on with a record of other settings or of another machine; says which differ."""
    there = stored["settings"]
    differing = [key for key in settings if there.get(key) != settings[key]]
    if stored["environment"]["fingerprint"] != fingerprint:
        differing.append("the machine")
    if differing:
        raise RequestError(
            f"{path} holds an unfinished run that differs in {', '.join(differing)}; "
            f"give the same options to finish it, another -o to keep it, or delete {path} to start anew"
        )
