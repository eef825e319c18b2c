"""Finds a model of the user's in a checkout that nobody installed. Loads no torch."""

import sys
from importlib.util import find_spec
from pathlib import Path


def make_importable(model: str, root: Path) -> None:
    """Let this process, and its launches, import ``package.module:factory`` from a checkout if nothing else has it.

    Args:
        model: as everywhere; a known model needs nothing.
        root: of the checkout; its ``src`` is looked into as well.
    """
    package = model.partition(":")[0].partition(".")[0]
    if ":" not in model or find_spec(package) is not None:
        return
    sys.path += [str(root / "src"), str(root)]
