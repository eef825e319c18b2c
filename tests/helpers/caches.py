"""What a process holds of a cache ends with it; a test is one of many in a process."""

import os

from int8bench import cache


def let_go() -> None:
    """Lets go of everything that this process holds, as its end would."""
    while cache._HELD:
        os.close(cache._HELD.pop())
