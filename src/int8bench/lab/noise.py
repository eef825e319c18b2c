"""What disturbed a measurement: switches, page faults, steal and competing load; read, counted, never hidden.

The rule that keeps or drops a round looks at these counters alone, never at a time.
"""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from int8bench.stats.limits import ROUNDS_OF_A_FORK

with suppress(ImportError):  # not there on Windows, which reads what others measured
    import resource

TICK_HZ = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
MOST_DROPPED = 0.5  # beyond half, "undisturbed" would be the exception: all rounds are kept and the share is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Counters of this process and of the machine since their start."""

    involuntary_switches: int
    major_faults: int
    minor_faults: int
    steal_ticks: int
    busy_ticks: int
    own_cpu_s: float

    def since(self, earlier: "Reading") -> "Reading":
        """Return the counts between an earlier reading and this one."""
        return Reading(
            involuntary_switches=self.involuntary_switches - earlier.involuntary_switches,
            major_faults=self.major_faults - earlier.major_faults,
            minor_faults=self.minor_faults - earlier.minor_faults,
            steal_ticks=self.steal_ticks - earlier.steal_ticks,
            busy_ticks=self.busy_ticks - earlier.busy_ticks,
            own_cpu_s=self.own_cpu_s - earlier.own_cpu_s,
        )

    @property
    def disturbed(self) -> bool:
        """Whether something took the processor away while this was counted."""
        return self.involuntary_switches > 0 or self.major_faults > 0 or self.steal_ticks > 0

    def competing_load(self, wall_s: float) -> float:
        """Return the cores that other processes kept busy, on average over `wall_s` seconds.

        It is 0 where the kernel does not tell.
        """
        others_s = self.busy_ticks / TICK_HZ - self.own_cpu_s
        return max(0.0, others_s / wall_s) if wall_s > 0 else 0.0


Reader = Callable[[], Reading]


def read(stat: Path = Path("/proc/stat")) -> Reading:
    """Return the counters now; the machine's are 0 where there is no /proc/stat."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    busy, steal = _machine_ticks(stat)
    return Reading(
        involuntary_switches=usage.ru_nivcsw,
        major_faults=usage.ru_majflt,
        minor_faults=usage.ru_minflt,
        steal_ticks=steal,
        busy_ticks=busy,
        own_cpu_s=usage.ru_utime + usage.ru_stime,
    )


def kept_rounds(disturbed: Sequence[bool]) -> tuple[bool, ...]:
    """Return for each round whether it is used: the undisturbed ones are.

    All are used where more than half were disturbed, or one is left.
    """
    if sum(disturbed) > MOST_DROPPED * len(disturbed) or len(disturbed) - sum(disturbed) < ROUNDS_OF_A_FORK:
        return (True,) * len(disturbed)
    return tuple(not each for each in disturbed)


def _machine_ticks(stat: Path) -> tuple[int, int]:
    """Return the busy and stolen ticks of all processors (proc_stat(5)).

    Busy are user, nice, system, irq and softirq.
    """
    try:
        with stat.open(encoding="ascii") as lines:
            fields = [int(field) for field in lines.readline().split()[1:]]
    except OSError:
        return 0, 0
    user, nice, system, _idle, _iowait, irq, softirq, steal = (*fields, *[0] * 8)[:8]
    return user + nice + system + irq + softirq, steal
