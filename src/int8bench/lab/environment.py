"""The settings that a measuring process has, and how a process that somebody else started is given them.

What another harness starts, such as asv, gets them as far as it still can have them: variables reach libraries that
are loaded later; the allocator, which has read its variables already, is told by mallopt(3).
"""

import ctypes
import os
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from int8bench.lab.agent.memory import LARGEST_INT, MALLOPT

# METHOD.md: with glibc's defaults every large activation is mapped afresh and pays its page faults in each call, by
# luck of the process. The values keep all memory of a process in its heap, whatever a model needs.
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 34),
    "MALLOC_TOP_PAD_": str(1 << 26),
}
# Idle threads must sleep soon, or a spinning pool of one contender takes the core of the other; but not at once: they
# would have to be woken between the layers of one forward. On a virtual machine that made a forward at batch 1 on two
# threads take 1.1 ms for 0.22, and turned the order of two engines round. libgomp spins for about 0.2 ms with this
# count, less than the call that is not timed before each sample; libomp counts milliseconds.
OPENMP = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
# NumPy's BLAS would start threads at import, and a process with threads does not fork cleanly.
BLAS = {"OPENBLAS_NUM_THREADS": "1"}


def spare_cores(environment: MutableMapping[str, str]) -> None:
    """Let idle threads of this process sleep soon, unless a person has said how long they spin.

    For the coordinator, which trains: where others want the two cores too, spinning threads held a training of 10 s up
    for 170 s, and sleeping ones for 109.
    """
    for name, value in OPENMP.items():
        environment.setdefault(name, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """The variables that every measuring process is started with, on top of the caller's."""

    variables: tuple[tuple[str, str], ...] = tuple({**ALLOCATOR, **OPENMP, **BLAS}.items())

    def applied_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a measuring process started from `environment`."""
        return {**environment, **dict(self.variables)}

    def to_dict(self) -> dict[str, str]:
        """Return the variables as a record keeps them: one entry a variable."""
        return dict(self.variables)


def cores_for(*, threads: int, launch: int, usable: tuple[int, ...]) -> tuple[int, ...]:
    """Return the cores that a contender of `threads` threads is held to in the given launch.

    Contenders of one race share the same cores, and the cores move on from launch to launch, so that no core's
    luck is the answer (METHOD.md 2b: halves the spread of launch means against no pinning).

    Args:
        threads: of the contender; as many cores are returned.
        launch: its number, by which the cores move on.
        usable: the cores that this process may run on.

    Raises:
        ValueError: more threads than usable cores.
    """
    if threads > len(usable):
        raise ValueError(f"{threads} threads asked for, {len(usable)} cores usable")
    first = launch * threads % len(usable)
    turned = usable[first:] + usable[:first]
    return tuple(sorted(turned[:threads]))


_LIBRARIES = {"OPENBLAS_NUM_THREADS": "numpy", "GOMP_SPINCOUNT": "torch", "KMP_BLOCKTIME": "torch"}


def adopt_settings(environment: MutableMapping[str, str] = os.environ) -> dict[str, bool]:
    """Apply a measuring process's settings to this one; return for each variable whether it has come in time.

    A variable is in time where it still can be heeded.

    The variables are set in `environment`, for this process and those it starts.
    """
    variables = ProcessSettings().to_dict()
    heeded = {name: _in_time(name, value, environment) for name, value in variables.items()}
    environment.update(variables)
    return heeded


def _in_time(name: str, value: str, environment: Mapping[str, str]) -> bool:
    if name in ALLOCATOR:
        return environment.get(name) == value or _told_allocator(MALLOPT[name], min(int(value), LARGEST_INT))
    return environment.get(name) == value or _LIBRARIES.get(name) not in sys.modules


def _told_allocator(parameter: int, value: int) -> bool:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(parameter, value))
