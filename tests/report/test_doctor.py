import re
from typing import Any

import pytest

from int8bench.report import doctor

HARDWARE: dict[str, Any] = {
    "brand": "A processor",
    "arch": "x86_64",
    "os": "Linux",
    "levels": ["avx2", "fma"],
    "usable_cores": 2,
    "logical_cores": 4,
    "hypervisor": "KVM",
    "steal_fraction": 0.012,
    "memory_bytes": 8_000_000_000,
    "torch": {"version": "2.9", "capability": "AVX2"},
}
FINDING = {
    "code": "qnnpack-on-x86",
    "severity": "error",
    "subject": "qnnpack",
    "message": "It does not fit.",
    "why": "It was written for ARM.",
    "advice": "Type --engines fbgemm",
}
DOCUMENT: dict[str, Any] = {
    "hardware": HARDWARE,
    "fingerprint": "0123456789ab",
    "engines": [
        {"name": "fbgemm", "available": True, "reason": None},
        {"name": "x86", "available": True, "reason": None},
        {"name": "onednn", "available": True, "reason": None},
        {"name": "qnnpack", "available": False, "reason": "not built in"},
    ],
    "probes": [
        {"engine": "fbgemm", "sqnr_db": 45.8, "saturates": False},
        {"engine": "x86", "sqnr_db": None, "saturates": False},
        {"engine": "onednn", "sqnr_db": 21.0, "saturates": True},
    ],
    "recommended": {"engine": "fbgemm", "basis": "rule: AVX2"},
    "findings": [FINDING],
}


def _drawn(*, width: int = 100, colour: bool = False, **changes: Any) -> str:
    return doctor.render({**DOCUMENT, **changes}, width=width, colour=colour)


def test_a_machine_is_one_screen() -> None:
    """The machine, its engines with their probes, the choice and what is wrong, in this order."""
    assert _drawn().splitlines() == [
        "A processor (x86_64, Linux)",
        "  instruction sets  avx2 fma",
        "  cores             2 usable of 4, virtual machine (KVM), 1.2% stolen so far",
        "  memory            8.00 GB",
        "  torch             2.9, dispatches to AVX2",
        "  fingerprint       0123456789ab",
        "",
        "engines",
        "  fbgemm     available; does not saturate (45.8 dB against exact integers)",
        "  x86        available; does not saturate (exact)",
        "  onednn     available; saturates (21.0 dB against exact integers)",
        "  qnnpack    no: not built in",
        "",
        "recommended: fbgemm  (rule: AVX2)",
        "",
        "error qnnpack-on-x86: qnnpack",
        "  It does not fit.",
        "  It was written for ARM.",
        "  -> Type --engines fbgemm",
    ]


UNTOLD = dict.fromkeys(
    ("brand", "usable_cores", "logical_cores", "hypervisor", "steal_fraction", "memory_bytes", "torch")
)


def test_what_is_not_told_is_not_made_up() -> None:
    """A described machine of which little is known has no zero, no None and no probe."""
    drawn = _drawn(hardware={**HARDWARE, **UNTOLD, "levels": []}, probes=[])
    assert "None" not in drawn
    assert drawn.startswith("unnamed processor (x86_64, Linux)\n  instruction sets  none that int8 kernels use\n")
    assert "unknown usable of unknown" in drawn
    assert "saturate" not in drawn
    assert "torch  " not in drawn


def test_the_engines_of_another_machine_fit_or_not_or_nobody_knows() -> None:
    """There is no word of what is available here."""
    engines = [
        {"name": "onnxruntime", "available": True, "reason": None},
        {"name": "fbgemm", "available": None, "reason": "fbgemm needs AVX2, which is not told"},
        {"name": "litert", "available": False, "reason": "no package"},
    ]
    lines = _drawn(engines=engines, engines_judged_by="architecture", probes=[]).splitlines()
    assert lines[lines.index("engines, by its architecture") :][1:4] == [
        "  onnxruntime fits",
        "  fbgemm     untold: fbgemm needs AVX2, which is not told",
        "  litert     no: no package",
    ]


@pytest.mark.parametrize(
    ("levels", "untold", "line"),
    [
        (["neon"], ["dotprod", "sve"], "neon; untold: dotprod sve"),
        ([], ["avx2"], "untold: avx2"),
        ([], [], "none that int8 kernels use"),
    ],
)
def test_instructions_that_are_untold_are_drawn(levels: list[str], untold: list[str], line: str) -> None:
    """Beside those that are there; none are said to be none only where all is told."""
    told = {**dict.fromkeys(levels, "there"), **dict.fromkeys(untold, "untold"), "sve2": "not there"}
    drawn = _drawn(hardware={**HARDWARE, "levels": levels, "instructions": told})
    assert f"  instruction sets  {line}" in drawn.splitlines()


def test_instructions_that_are_masked_are_not_called_none() -> None:
    """The hypervisor's CPU type shows none; the processor may have them all."""
    drawn = _drawn(hardware={**HARDWARE, "levels": [], "cpu_type": "Common KVM processor"})
    assert "  instruction sets  none shown by this CPU type" in drawn.splitlines()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"findings": []}, "nothing wrong found"),
        (
            {"recommended": {"engine": None, "basis": "rule: no AVX2"}},
            "recommended: stay with float32  (rule: no AVX2)",
        ),
    ],
)
def test_good_news_and_no_engine_have_words(changes: dict[str, Any], words: str) -> None:
    """Nothing wrong is said, and so is that no int8 engine fits."""
    assert words in _drawn(**changes)


def test_a_narrow_screen_loses_no_word() -> None:
    """Lines are broken at spaces, and nothing is cut."""
    wide, narrow = (_drawn(width=width) for width in (100, 50))
    assert narrow.split() == wide.split()
    assert max(len(line) for line in narrow.splitlines()) <= 50


def test_colours_are_for_terminals() -> None:
    """A file gets no escape sequence; a terminal gets the same words in colour."""
    plain, coloured = (_drawn(colour=colour) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).split() == plain.split()


def test_brackets_in_a_description_are_no_markup() -> None:
    """What a description file says is shown as it is."""
    assert _drawn(hardware={**HARDWARE, "brand": "chip [bold]x[/bold] :smile:"}).startswith(
        "chip [bold]x[/bold] :smile: ("
    )
