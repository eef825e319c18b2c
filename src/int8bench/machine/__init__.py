"""A machine as seen by whoever wants int8 on it: this one, or one that a file describes; and the rules of what fits.

In: nothing, or a description. Out: `Hardware`, and findings (rules/). Imported by all above; imports no torch itself.
"""

from int8bench.machine.cores import usable_core_count, usable_processors
from int8bench.machine.hardware import Gap, Hardware, TorchView, fingerprint
from int8bench.machine.levels import Told
from int8bench.machine.listings.files import load, parse
from int8bench.machine.probe import detect, detect_torch

__all__ = [
    "Gap",
    "Hardware",
    "Told",
    "TorchView",
    "detect",
    "detect_torch",
    "fingerprint",
    "load",
    "parse",
    "usable_core_count",
    "usable_processors",
]
