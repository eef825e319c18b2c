"""A plug-in for pytest's own runs: writes the ids of collected tests that ask for `benchmark` into a file."""

import json
import os
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session):
    """After everything that selects tests."""
    ids = [item.nodeid for item in session.items if "benchmark" in getattr(item, "fixturenames", ())]
    Path(os.environ["ASKING"]).write_text(json.dumps(ids), encoding="utf-8")
