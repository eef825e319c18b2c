"""Where things are kept between runs."""

from pathlib import Path

import pytest

from int8bench import cache


@pytest.mark.parametrize("named", ["", "relative/place"])
def test_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str) -> None:
    """Where the variable is empty, or names a relative place, which counts for nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.folder() == tmp_path / ".cache" / "int8bench"


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the XDG base directory specification has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "int8bench"


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have none."""

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
