"""What a process started by asv keeps beside asv's results, and when it cannot."""

from pathlib import Path

import pytest

from int8bench.study import records
from int8bench.tracking import asv_process, side
from int8bench.tracking.side import SidePoint

HEEDED = {"GOMP_SPINCOUNT": True, "MALLOC_TOP_PAD_": False}
POINT = SidePoint(
    benchmark="fidelity.Fidelity.track_sqnr_db",
    params={"engine": "'fbgemm'"},
    value=30.0,
    low=30.0,
    high=30.0,
    launches=1,
    forks=1,
    pairs=0,
    log_ratios=(),
)
RUN = records.Run(
    complete=True,
    created_at="2026-01-01T00:00:00+00:00",
    int8bench_version="0",
    environment=records.Environment(hardware={}, fingerprint="f00d", versions={}, process={}),
    settings={},
    findings=(),
    cells=(),
    ranking=(),
    recommendation=None,
)


def _environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "ASV_CONF_DIR": str(folder),
        "ASV_ENV_NAME": "existing-py",
        "ASV_COMMIT": "a" * 40,
        "ASV_ENV_TYPE": "existing",
        "GOMP_SPINCOUNT": "10000",
        **more,
    }


def _kept(environment: dict[str, str]) -> tuple[Path | None, list[str]]:
    notes: list[str] = []
    path = asv_process.keep(RUN, [POINT], environment=environment, heeded=HEEDED, note=notes.append)
    return path, notes


def test_a_side_file_is_kept_where_the_suite_keeps_its_results(tmp_path: Path) -> None:
    """Under the configured folder, with what the process really got."""
    (tmp_path / "asv.conf.json").write_text('{"version": 1, "results_dir": ".asv/r", // here\n"repo": "."}', "utf-8")
    path, notes = _kept(_environment(tmp_path))
    assert path == tmp_path / ".asv/r/int8bench/aaaaaaaa-existing-py-f00d.json.gz"
    assert notes == []
    kept = side.load(path)
    assert list(kept.points) == [POINT]
    assert kept.got["heeded"] == HEEDED
    assert kept.got["variables"] == {"GOMP_SPINCOUNT": "10000"}
    assert kept.got["environment_type"] == "existing"
    assert Path(kept.got["package"]).name == "int8bench"


def test_without_a_configuration_results_lie_where_asv_puts_them(tmp_path: Path) -> None:
    """Which is the folder `results`."""
    path, _ = _kept(_environment(tmp_path))
    assert path is not None
    assert path.parent == tmp_path / "results/int8bench"


@pytest.mark.parametrize("name", ["ASV_COMMIT", "ASV_ENV_NAME", "ASV_CONF_DIR"])
def test_what_asv_does_not_say_is_told(tmp_path: Path, name: str) -> None:
    """No side file then: nobody could join it."""
    environment = _environment(tmp_path)
    del environment[name]
    path, notes = _kept(environment)
    assert path is None
    assert name in notes[0]
    assert "make asv-here" in notes[0]


def test_a_folder_that_cannot_be_written_is_told_and_the_numbers_still_count(tmp_path: Path) -> None:
    """The measurement is not lost for want of its side file."""
    (tmp_path / "results").write_text("a file in the way", encoding="utf-8")
    path, notes = _kept(_environment(tmp_path))
    assert path is None
    assert "cannot be written" in notes[0]


def test_what_asv_asks_of_a_machine_ends_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its questions end in the middle of one, and ours is said behind them; where it asks nothing, nothing is there."""
    program = tmp_path / "asv"
    monkeypatch.setattr(asv_process.sys, "executable", str(program))
    for asked in ("1. machine: [here]: ", ""):
        program.write_text(f"#!/bin/sh\nprintf '{asked}' >&2\n", encoding="utf-8")
        program.chmod(0o755)
        assert asv_process._asv(tmp_path)(("machine", "--yes"), {}) == 0
        captured = capfd.readouterr()
        assert captured.out == ""
        assert captured.err == (f"{asked.rstrip()}\n" if asked else "")
