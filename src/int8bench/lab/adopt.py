"""Gives a process that somebody else started the settings of a measuring process, as far as it still can have them.

For harnesses that start their own processes, such as asv. Variables reach libraries that are loaded later; the
allocator, which has read its variables already, is told by mallopt(3).
"""

import ctypes
import os
import sys
from collections.abc import Mapping, MutableMapping

from int8bench.lab.environment import ALLOCATOR, ProcessSettings
from int8bench.peer.memory import LARGEST_INT, MALLOPT

_LIBRARIES = {"OPENBLAS_NUM_THREADS": "numpy", "GOMP_SPINCOUNT": "torch", "KMP_BLOCKTIME": "torch"}


def adopt_settings(
    settings: ProcessSettings | None = None, environment: MutableMapping[str, str] = os.environ
) -> dict[str, bool]:
    """Applies the settings to this process; for each variable, whether it has come in time to be heeded.

    Args:
        settings: a measuring process's own where None.
        environment: where variables are set, for this process and those it starts.
    """
    variables = (settings or ProcessSettings()).to_dict()
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
