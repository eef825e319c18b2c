"""A machine as seen by whoever wants int8 on it: this one, or one that a file describes. Never imports torch at import.

levels.py      instruction flags under one spelling, the ISA levels that they add up to, and what is untold
machine.py     the `Hardware` value, its JSON and its fingerprint
arm.py         names of ARM cores
hypervisors.py names of hypervisors, and the CPU types that they make up
vocabulary.py  the words in kernels' lists of instructions
reading.py     a pasted text -> keys with values, broken lines joined, cut lists told
topology.py    how many cores a listing tells of, and of which kinds
listings.py    the text of /proc/cpuinfo or lscpu -> Hardware
sysctl.py      the text of macOS's sysctl -> Hardware
files.py       opens what `--hardware` names
cores.py       the processors that this process may really use
probe.py       asks this machine
"""

from int8bench.hardware.cores import usable_core_count, usable_processors
from int8bench.hardware.files import load, parse
from int8bench.hardware.levels import Told
from int8bench.hardware.machine import Gap, Hardware, TorchView, fingerprint
from int8bench.hardware.probe import detect, detect_torch

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
