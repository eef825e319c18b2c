from itertools import pairwise
from urllib.parse import urlsplit

import pytest
from cells import cell

from int8bench.study.findings.boards import BOARDS, CHECKED, Board, Fit, findings_of, verdicts

SMALL = Board(name="small", ram_bytes=1000, flash_bytes=2000, source="https://example.org/small")


@pytest.mark.parametrize(
    ("arena_bytes", "model_bytes", "ram_missing", "flash_missing"),
    [(1000, 2000, 0, 0), (1001, 2000, 1, 0), (1000, 2001, 0, 1), (5000, 9000, 4000, 7000), (0, 0, 0, 0)],
)
def test_what_is_missing_is_what_is_needed_beyond_what_is_there(
    arena_bytes: int, model_bytes: int, ram_missing: int, flash_missing: int
) -> None:
    """A model fits up to the last byte of both memories, and misses by what is beyond it."""
    (fit,) = verdicts(arena_bytes, model_bytes, [SMALL])
    assert (fit.ram_missing_bytes, fit.flash_missing_bytes) == (ram_missing, flash_missing)
    assert fit.fits is (ram_missing == flash_missing == 0)


@pytest.mark.parametrize(
    ("arena_bytes", "model_bytes", "expected"),
    [
        (400, 500, "small: fits, 600 B of RAM and 1.50 kB of flash are left for the program"),
        (3000, 500, "small: does not fit, 2.00 kB of RAM missing"),
        (400, 2100, "small: does not fit, 100 B of flash missing"),
        (1500, 2100, "small: does not fit, 500 B of RAM and 100 B of flash missing"),
    ],
)
def test_the_sentence_says_by_how_much(arena_bytes: int, model_bytes: int, expected: str) -> None:
    """A person reads what is left or what is missing, and of which memory."""
    assert Fit(board=SMALL, arena_bytes=arena_bytes, model_bytes=model_bytes).sentence == expected


def test_simplecnn_fits_where_it_should() -> None:
    """With its measured 43,888 bytes of arena and 68,512 bytes of file SimpleCNN fits on every board but the Unos."""
    fits = {fit.board.name: fit.fits for fit in verdicts(43_888, 68_512)}
    assert [name for name, fit in fits.items() if not fit] == ["Arduino Uno R3", "Arduino Uno R4 Minima"]
    assert len(fits) == len(BOARDS)


def test_every_board_has_its_source() -> None:
    """Each figure of the table can be looked up, and the table says when it was."""
    assert all(urlsplit(board.source).scheme == "https" for board in BOARDS)
    assert len({board.name for board in BOARDS}) == len({board.source for board in BOARDS}) == len(BOARDS)
    year, month = CHECKED.split("-")
    assert int(year) >= 2026
    assert 1 <= int(month) <= 12


def test_the_table_goes_from_small_to_large() -> None:
    """Boards are ordered by RAM, so that the first that fits is the smallest."""
    assert all(one.ram_bytes <= other.ram_bytes for one, other in pairwise(BOARDS))


def test_a_measured_arena_is_a_finding_with_the_boards_that_fit_and_what_the_others_lack() -> None:
    """Once an engine; both figures in it, and no finding where nobody measured an arena."""
    cells = [cell(engine="tflm", evidence={"arena_bytes": 40_000, "model_bytes": 70_000})] * 2
    (found,) = (each.shown for each in findings_of("tflm", cells))
    assert (found.code, found.subject, found.severity.value) == ("boards", "tflm", "note")
    fits = verdicts(40_000, 70_000)
    assert f"fit {sum(each.fits for each in fits)} of {len(fits)} boards" in found.message
    assert all((each.board.name in found.message) for each in fits)
    assert all((each.sentence in found.message) is not each.fits for each in fits)
    assert list(findings_of("litert", [cell(engine="litert", evidence={})])) == []
