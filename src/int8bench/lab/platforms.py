"""What works on which system: measuring needs Linux, reading does not. Reads `sys.platform`, and nothing else.

Measuring forks a prepared process, pins it to cores and reads the kernel's counters of it, which macOS and Windows do
not offer as Linux does; the figures would be other ones, under the same names.
"""

import sys

from int8bench.errors import PlatformError

EVERYWHERE = ("doctor", "report", "compare", "history")  # the commands that measure nothing, or nothing elsewhere
_LINUX = "linux"
_NAMES = {"darwin": "macOS", "win32": "Windows", "cygwin": "Windows"}


def measures_here() -> bool:
    """Tell whether this system is one that int8bench measures on."""
    return sys.platform == _LINUX


def require_linux(asked: str) -> None:
    """Refuse to measure anywhere but on Linux.

    Args:
        asked: what a person typed or called, as the message begins.

    Raises:
        PlatformError: this is no Linux.
    """
    if not measures_here():
        system = _NAMES.get(sys.platform, sys.platform)
        raise PlatformError(
            f"{asked}: int8bench measures on Linux, and this is {system}; here {', '.join(EVERYWHERE[:-1])} and "
            f"{EVERYWHERE[-1]} work"
        )
