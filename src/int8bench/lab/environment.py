"""What a measuring process is started with: allocator, OpenMP and cores. Pure: computes settings, applies none."""

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSettings:
    """The variables that every measuring process is started with, on top of the caller's."""

    variables: tuple[tuple[str, str], ...] = tuple({**ALLOCATOR, **OPENMP, **BLAS}.items())

    def applied_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The environment of a measuring process started from `environment`."""
        return {**environment, **dict(self.variables)}

    def to_dict(self) -> dict[str, str]:
        """What a record keeps: one entry a variable."""
        return dict(self.variables)


def cores_for(*, threads: int, launch: int, usable: tuple[int, ...]) -> tuple[int, ...]:
    """The cores that a contender of `threads` threads is held to in the given launch.

    Contenders of one race share the same cores, and the cores move on from launch to launch, so that no core's
    luck is the answer (METHOD.md 2b: halves the spread of launch means against no pinning).

    Raises:
        ValueError: more threads than usable cores.
    """
    if threads > len(usable):
        raise ValueError(f"{threads} threads asked for, {len(usable)} cores usable")
    first = launch * threads % len(usable)
    turned = usable[first:] + usable[:first]
    return tuple(sorted(turned[:threads]))
