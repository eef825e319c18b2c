"""What a process holds of a cache ends with it; a test is one of many in a process."""

import os

import pytest

from int8bench import cache


def let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets go of everything that this process holds, as its end would."""
    for descriptor in cache._HELD:
        os.close(descriptor)
    monkeypatch.setattr(cache, "_HELD", [])
