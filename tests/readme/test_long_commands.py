"""The long commands of README and CI.md are typed as they stand, with nothing beside: `make test-readme`.

Where a promise says so an option is added that makes it shorter. Some three quarters of an hour in all.
"""

from pathlib import Path

import pytest
from documented import LONG
from places import Places


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Places:
    """Folders to type in."""
    return Places(tmp_path_factory.mktemp("places"), cache)


@pytest.mark.slow
@pytest.mark.parametrize("command", LONG)
def test_a_long_command_keeps_its_promise(places: Places, command: str) -> None:
    """Its exit code, a line of the answer and files are as the document says."""
    places.typed(command, LONG[command])
