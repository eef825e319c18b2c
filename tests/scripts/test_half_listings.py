"""Recorded listings broken, quoted, cut and damaged, some of each; scripts/half_listings.py tries them all."""

from pathlib import Path
from types import ModuleType

import pytest
import script


@pytest.fixture(scope="module")
def half() -> ModuleType:
    """The script."""
    return script.loaded("half_listings")


@pytest.fixture(scope="module")
def texts(half: ModuleType) -> dict[str, str]:
    """All recorded listings."""
    found: dict[str, str] = half.listings(*half.FOLDERS)
    assert len(found) >= 36
    return found


def test_a_broken_listing_is_read_as_the_whole_one(half: ModuleType, texts: dict[str, str]) -> None:
    """Whatever breaks it at whatever width, whatever stands in front: the same levels in 99 of 100, else untold."""
    counts = sum(
        (half.tally(name, text, half.wrapped(text, sample=12)) for name, text in texts.items()), half.Counter()
    )
    assert counts[half.FALSE] == 0
    assert counts[half.SAME] >= half.LEAST_SAME * counts.total()


def test_a_cut_listing_claims_nothing_that_is_not_so(half: ModuleType, texts: dict[str, str]) -> None:
    """Above and below any place, but for a list that is cut between two words and looks whole."""
    counts = sum((half.tally(name, text, half.cut(text, sample=15)) for name, text in texts.items()), half.Counter())
    assert counts[half.FALSE] == 0
    assert counts[half.UNTOLD] > 0


def test_a_whole_listing_leaves_nothing_untold(half: ModuleType, texts: dict[str, str]) -> None:
    """But the part of a sysctl listing that has no features."""
    untold = {name for name, text in texts.items() if half.Told.UNTOLD in half.told(text)[1].values()}
    assert untold == {"listings/sysctl-machdep-m1.txt"}


def test_a_whole_listing_is_whole_without_its_last_line_end(half: ModuleType, texts: dict[str, str]) -> None:
    """As where it was pasted into something that leaves it out."""
    assert {name for name, text in texts.items() if half.told(text.rstrip()) != half.told(text)} == set()


def test_a_damaged_listing_is_a_machine_or_a_sentence(half: ModuleType, texts: dict[str, str]) -> None:
    """No exception but ours."""
    assert half.mutate(list(texts.values()), 300) == 0


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (None, "untold"),
        (("x86_64", {"avx2": "there", "fma": "not there"}), "same"),
        (("x86_64", {"avx2": "untold", "fma": "not there"}), "untold"),
        (("x86_64", {"avx2": "there", "fma": "there"}), "false"),
        (("x86_64", {"avx2": "untold", "fma": "there"}), "false"),
        (("i686", {"avx2": "there", "fma": "not there"}), "false"),
    ],
)
def test_the_judge_is_judged(half: ModuleType, found: tuple[str, dict[str, str]] | None, verdict: str) -> None:
    """A refusal is no claim; another level or another architecture is a false one."""
    whole = ("x86_64", {"avx2": half.Told.THERE, "fma": half.Told.ABSENT})
    half_read = found and (found[0], {level: half.Told(told) for level, told in found[1].items()})
    assert half.judged(whole, half_read) == verdict


def test_a_listing_is_broken_in_every_way(half: ModuleType) -> None:
    """At every width, between words and inside them, in front of and behind what quotes it."""
    broken = list(half.wrapped("flags : " + "fpu vme " * 30))
    assert len({each.how for each in broken}) == len(broken) == len(half.WIDTHS) * len(half.BREAKS) * 3 * 2 * 2
    assert all(max(map(len, each.text.splitlines())) <= 120 + len("> ") * 2 for each in broken)


def test_a_false_claim_is_red(half: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The script ends in 1 where a reader takes half a list for a whole one, and in 0 where it does not."""
    (tmp_path / "one").write_text("model name : X\nflags : fpu lm avx avx2 avx512f\nbogomips : 1\n")
    monkeypatch.setattr(half.sys, "argv", ["half_listings.py", str(tmp_path), "--sample", "40", "--mutations", "20"])
    assert half.main() == 0
    monkeypatch.setattr("int8bench.machine.listings.reading._cut", lambda *_, **__: None)
    assert half.main() == 1
