"""What a suite draws by chance: the same for one seed, at import, before a setup and in a fork."""

import subprocess
import sys
from pathlib import Path

import pytest

from int8bench.lab.peers import SharedLuck

PEER = Path(__file__).parents[3] / "src" / "int8bench" / "lab" / "agent"
PROGRAM = """
import importlib.util, random, sys
spec = importlib.util.spec_from_file_location("luck", sys.argv[1])
luck = importlib.util.module_from_spec(spec)
spec.loader.exec_module(luck)
held = luck.Luck(int(sys.argv[2]))
held.hold()
{body}
"""


def _drawn(seed: int, body: str) -> str:
    program = PROGRAM.format(body=body)
    done = subprocess.run(
        [sys.executable, "-c", program, str(PEER / "luck.py"), str(seed)], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize(
    "body",
    [
        "print(random.random())",
        "import numpy as np; print(np.random.rand())",
        "import numpy.random; print(numpy.random.rand())",
        "from numpy.random import rand; print(rand())",
        pytest.param("import torch; print(torch.rand(1).item())", marks=pytest.mark.torch),
    ],
)
def test_what_is_drawn_at_import_is_the_same_for_a_seed(body: str) -> None:
    """And another number for another seed, whichever generator it is and however it is imported."""
    first, again, other = (_drawn(seed, body) for seed in (7, 7, 8))
    assert first == again != other


def test_luck_begins_anew_whenever_it_is_asked() -> None:
    """However much was drawn before; in a fork too, where Python seeds its own generator anew."""
    body = """
import numpy as np
a = (random.random(), np.random.rand())
held.draw()
b = (random.random(), np.random.rand())
import os
if os.fork() == 0:
    held.draw()
    print(a == b == (random.random(), np.random.rand()), flush=True)
    os._exit(0)
os.wait()
"""
    assert _drawn(3, body) == "True\n"


def test_a_module_is_what_it_would_have_been() -> None:
    """Its loader is its own, its parts are there, and other modules are left alone."""
    body = """
import numpy, numpy.random, json
print(type(numpy.random.__loader__).__name__, numpy.random.__spec__.loader is numpy.random.__loader__, json.__name__)
print(numpy.random.default_rng(1).integers(10) >= 0)
"""
    assert _drawn(3, body) == "SourceFileLoader True json\nTrue\n"


def test_a_module_that_is_not_there_stays_away() -> None:
    """With the error that it always had."""
    body = """
sys.path = []
sys.modules.pop("torch", None)
try:
    import torch
except ModuleNotFoundError as error:
    print(error)
"""
    assert _drawn(3, body) == "No module named 'torch'\n"


def test_hashes_go_by_the_seed_unless_the_suite_says_otherwise() -> None:
    """A seed of nothing would be no seed; null of a matrix unsets a variable."""
    assert SharedLuck(seed=0).applied_to({"A": "1"}) == {"A": "1", "PYTHONHASHSEED": "1"}
    assert SharedLuck(seed=2**32 - 1).applied_to({}) == {"PYTHONHASHSEED": "1"}
    assert SharedLuck(seed=5, variables={"PYTHONHASHSEED": "0", "A": None}).applied_to({"A": "1", "B": "2"}) == {
        "PYTHONHASHSEED": "0",
        "B": "2",
    }
