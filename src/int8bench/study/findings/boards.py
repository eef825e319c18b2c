"""Which microcontroller boards a model would fit on, by the memory that it was measured to need. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from int8bench import documents, units
from int8bench.documents import JsonObject
from int8bench.machine.finding import Finding, Severity
from int8bench.study.cells import Cell

CHECKED = "2026-11"  # when the table below was last held against its sources
_KIB = 1024
_PAGES = "https://docs.platformio.org/en/latest/boards"


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board, and the memory that a program can have on it: less than the chip's where a loader or code takes some."""

    name: str
    ram_bytes: int
    """Memory for data."""
    flash_bytes: int
    """Memory for the program and the model."""
    source: str
    """Where the two figures stand."""


BOARDS = (
    Board(
        name="Arduino Uno R3",
        ram_bytes=2 * _KIB,
        flash_bytes=63 * _KIB // 2,
        source=f"{_PAGES}/atmelavr/uno.html",
    ),
    Board(
        name="Arduino Uno R4 Minima",
        ram_bytes=32 * _KIB,
        flash_bytes=256 * _KIB,
        source="https://docs.zephyrproject.org/latest/boards/arduino/uno_r4/doc/index.html",
    ),
    Board(
        name="STM32F4 Discovery",
        ram_bytes=128 * _KIB,
        flash_bytes=1024 * _KIB,
        source=f"{_PAGES}/ststm32/disco_f407vg.html",
    ),
    Board(
        name="Arduino Nano 33 BLE Sense",
        ram_bytes=256 * _KIB,
        flash_bytes=960 * _KIB,
        source=f"{_PAGES}/nordicnrf52/nano33ble.html",
    ),
    Board(
        name="Raspberry Pi Pico",
        ram_bytes=264 * _KIB,
        flash_bytes=2048 * _KIB,
        source=f"{_PAGES}/raspberrypi/pico.html",
    ),
    Board(
        name="STM32F746G Discovery",
        ram_bytes=320 * _KIB,
        flash_bytes=1024 * _KIB,
        source=f"{_PAGES}/ststm32/disco_f746ng.html",
    ),
    Board(
        name="ESP32 DevKit",
        ram_bytes=320 * _KIB,
        flash_bytes=4096 * _KIB,
        source=f"{_PAGES}/espressif32/esp32dev.html",
    ),
    Board(
        name="ESP32-S3 DevKitC",
        ram_bytes=320 * _KIB,
        flash_bytes=8192 * _KIB,
        source=f"{_PAGES}/espressif32/esp32-s3-devkitc-1.html",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A model on a board: what it needs of both memories. The program itself and its stack come on top."""

    board: Board
    arena_bytes: int
    model_bytes: int

    @property
    def ram_missing_bytes(self) -> int:
        """By how much the arena is larger than the memory for data; 0 where it is not."""
        return max(0, self.arena_bytes - self.board.ram_bytes)

    @property
    def flash_missing_bytes(self) -> int:
        """By how much the model is larger than the memory for programs; 0 where it is not."""
        return max(0, self.model_bytes - self.board.flash_bytes)

    @property
    def fits(self) -> bool:
        """Whether both are large enough."""
        return not self.ram_missing_bytes and not self.flash_missing_bytes

    @property
    def sentence(self) -> str:
        """What a person reads: ``Arduino Uno R3: does not fit, 41.8 kB of RAM and 36.3 kB of flash missing``."""
        if self.fits:
            ram, flash = self.board.ram_bytes - self.arena_bytes, self.board.flash_bytes - self.model_bytes
            return (
                f"{self.board.name}: fits, {units.size(ram)} of RAM and {units.size(flash)} of flash are left "
                "for the program"
            )
        missing = [
            f"{units.size(count)} of {what}"
            for count, what in ((self.ram_missing_bytes, "RAM"), (self.flash_missing_bytes, "flash"))
            if count
        ]
        return f"{self.board.name}: does not fit, {' and '.join(missing)} missing"


def verdicts(arena_bytes: int, model_bytes: int, boards: Sequence[Board] = BOARDS) -> tuple[Fit, ...]:
    """Whether a model fits on each board, in the order of the table.

    Args:
        arena_bytes: of RAM that the interpreter was measured to use.
        model_bytes: of the file, which stays in flash.
        boards: where else than on ours.
    """
    return tuple(Fit(board=board, arena_bytes=arena_bytes, model_bytes=model_bytes) for board in boards)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What an engine's evidence tells of a model's memory."""

    arena_bytes: int
    model_bytes: int


def _needs(evidence: JsonObject) -> _Needs | None:
    if "arena_bytes" not in evidence:  # most engines measure no arena
        return None
    return documents.read(_Needs, evidence, name="evidence", strict=False)


def findings_of(engine: str, cells: Sequence[Cell]) -> Iterator[Finding]:
    """Which boards a model fits on, once an engine whose evidence has measured an arena.

    Args:
        engine: the engine of the cells.
        cells: of a record, measured.
    """
    needs = next((needs for cell in cells if (needs := _needs(cell.evidence)) is not None), None)
    if needs is None:
        return
    arena, model = needs.arena_bytes, needs.model_bytes
    fits = verdicts(arena, model)
    there = [each.board.name for each in fits if each.fits]
    lacking = " ".join(f"{each.sentence}." for each in fits if not each.fits)
    yield Finding(
        code="boards",
        severity=Severity.NOTE,
        subject=engine,
        message=f"{units.size(arena)} of RAM for the arena and {units.size(model)} of flash for the file fit "
        f"{len(there)} of {len(fits)} boards: {', '.join(there) or 'none'}.{f' {lacking}' if lacking else ''}",
        why=f"Measured here, where pointers are twice as long as on a board; the boards' figures are of {CHECKED}.",
        advice="The program and its stack come on top: leave room for them, and try it on the board.",
    )
