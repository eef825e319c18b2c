"""What several test modules share."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples every time, here as in CI: an unlucky one would blame a commit that has nothing to do with it.
settings.register_profile("int8bench", settings.get_profile("default"), derandomize=True, database=None)
settings.load_profile("int8bench")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this test session, so that SimpleCNN is trained once and nobody's own cache is touched.

    Sessions that run side by side may share one: whoever is first trains for all.
    """
    shared = os.environ.get("INT8BENCH_TEST_CACHE")
    return Path(shared) if shared else tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(cache: Path, tmp_path: Path) -> Cli:
    """Runs int8bench as a person does, in an empty folder."""

    def run(*arguments: str, timeout_s: float = 900) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "int8bench.cli", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(cache), "COLUMNS": "120"},
            timeout=timeout_s,
            check=False,
        )

    return run
