"""The file that says where an asv suite lies: asv.conf.json, with comments as asv allows them."""

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIGURATIONS = ("asv.conf.json", "asv.conf.jsonc")
DEFAULT_FOLDER = "benchmarks"  # asv's own


def configuration(folder: Path) -> Mapping[str, Any]:
    """Return the content of the asv.conf.json in a folder.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no JSON object.
    """
    path = next((folder / name for name in CONFIGURATIONS if (folder / name).is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{folder}: no {CONFIGURATIONS[0]}; --suite asv needs the folder that has it")
    return _read(path)


def _read(configuration: Path) -> Mapping[str, Any]:
    """Return the configuration; json5 is slow, and only needed where there are comments."""
    text = configuration.read_text(encoding="utf-8")
    try:
        content = json.loads(text)
    except ValueError:
        content = importlib.import_module("json5").loads(text)
    if not isinstance(content, dict):
        raise ValueError(f"{configuration}: {type(content).__name__}, expected a JSON object")  # noqa: TRY004
    return content
