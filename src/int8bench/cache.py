"""Where this user's machine keeps what is worth keeping between runs. Opens nothing."""

import os
from contextlib import suppress
from pathlib import Path


def folder() -> Path | None:
    """$XDG_CACHE_HOME/int8bench or ~/.cache/int8bench; None without a home."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():  # a relative one is to be ignored, by the XDG base directory specification
        return Path(base) / "int8bench"
    with suppress(RuntimeError):  # a container's user may have no home
        return Path.home() / ".cache" / "int8bench"
    return None
