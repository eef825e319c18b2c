"""Conversions for tests: each behaves, or misbehaves, in one way; named by ``converters:function``."""

import errno
import os
import time
from collections.abc import Mapping
from pathlib import Path

from int8bench.engines.base import Material
from int8bench.errors import EngineError

Options = Mapping[str, bool | int | float | str]


def sums(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, object]:
    """Writes what only its inputs say, and notes the process that did it."""
    pictures = float(material.calibration.sum())
    (folder / "deep").mkdir()
    (folder / "deep" / "sum.txt").write_text(f"{pictures:.6f} {options.get('scale')} {batch}", encoding="utf-8")
    return {"process": os.getpid()}


def throws(_material: Material, _options: Options, _batch: int | None, folder: Path) -> Mapping[str, object]:
    """Leaves half a file, and cannot take the model."""
    (folder / "half").write_bytes(b"half")
    raise EngineError("theirs: has no kernel for Softplus; replace it")


def aborts(_material: Material, _options: Options, _batch: int | None, folder: Path) -> Mapping[str, object]:
    """Takes its process down, as a failed check in C++ does."""
    (folder / "half").write_bytes(b"half")
    os.abort()


def fills_the_disk(_material: Material, _options: Options, _batch: int | None, _folder: Path) -> Mapping[str, object]:
    """Finds no room to write to."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def large_batches_fail(material: Material, options: Options, batch: int | None, folder: Path) -> Mapping[str, object]:
    """Takes batches up to 8."""
    if (batch or 0) > 8:
        raise EngineError(f"theirs: batch {batch} is too large")
    return sums(material, options, batch, folder)


def sleeps(_material: Material, _options: Options, _batch: int | None, _folder: Path) -> Mapping[str, object]:
    """Never ends by itself."""
    time.sleep(600)
    return {}
