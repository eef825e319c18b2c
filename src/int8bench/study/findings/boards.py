"""Which microcontroller boards a model would fit on, by the memory that it was measured to need. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin

from int8bench import documents, units
from int8bench.documents import JsonObject
from int8bench.machine.finding import Finding, note
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


def _board(name: str, *, ram: float, flash: float, page: str) -> Board:
    """Return a board by its KiB of memory and the page of those figures: one on boards, or another address."""
    return Board(
        name=name, ram_bytes=int(ram * _KIB), flash_bytes=int(flash * _KIB), source=urljoin(f"{_PAGES}/", page)
    )


BOARDS = (
    _board("Arduino Uno R3", ram=2, flash=31.5, page="atmelavr/uno.html"),
    _board(
        "Arduino Uno R4 Minima",
        ram=32,
        flash=256,
        page="https://docs.zephyrproject.org/latest/boards/arduino/uno_r4/doc/index.html",
    ),
    _board("STM32F4 Discovery", ram=128, flash=1024, page="ststm32/disco_f407vg.html"),
    _board("Arduino Nano 33 BLE Sense", ram=256, flash=960, page="nordicnrf52/nano33ble.html"),
    _board("Raspberry Pi Pico", ram=264, flash=2048, page="raspberrypi/pico.html"),
    _board("STM32F746G Discovery", ram=320, flash=1024, page="ststm32/disco_f746ng.html"),
    _board("ESP32 DevKit", ram=320, flash=4096, page="espressif32/esp32dev.html"),
    _board("ESP32-S3 DevKitC", ram=320, flash=8192, page="espressif32/esp32-s3-devkitc-1.html"),
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
    """Return the fit of a model on each board, in the order of the table.

    Args:
        arena_bytes: of RAM that the interpreter was measured to use.
        model_bytes: of the file, which stays in flash.
        boards: to try, those of the table above where not given.
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
    """Yield the boards that a model fits on, once an engine whose evidence has measured an arena.

    Args:
        engine: the engine of the cells.
        cells: of a record, measured.
    """
    needs = next((needs for cell in cells if (needs := _needs(cell.evidence)) is not None), None)
    if needs is None:
        return
    arena, model = needs.arena_bytes, needs.model_bytes
    fits = verdicts(arena, model)
    there = [fit.board.name for fit in fits if fit.fits]
    lacking = " ".join(f"{fit.sentence}." for fit in fits if not fit.fits)
    yield note(
        "boards",
        engine,
        arena=units.size(arena),
        model=units.size(model),
        count=len(there),
        total=len(fits),
        there=", ".join(there) or "none",
        lacking=f" {lacking}" if lacking else "",
        day=CHECKED,
    )
