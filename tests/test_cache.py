"""Where things are kept between runs."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from caches import let_go

from int8bench import cache
from int8bench.errors import RequestError
from int8bench.report import cache as sheet


@pytest.mark.parametrize("named", ["", "relative/place"])
def test_a_home_has_a_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, named: str) -> None:
    """Where the variable is empty, or names a relative place, which counts for nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache.folder() == tmp_path / ".cache" / "int8bench"


def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the XDG base directory specification has it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "int8bench"


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user may have none."""

    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of an empty cache, of which this process holds nothing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(cache.CAP_VARIABLE, raising=False)
    monkeypatch.setattr(cache, "_HELD", [])
    (tmp_path / "int8bench").mkdir()
    return tmp_path / "int8bench"


def entry(place: Path, name: str, *, used_at: float, kilobytes: int = 100) -> Path:
    """A conversion in the cache, used then."""
    folder = place / "converted" / name
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_bytes(bytes(kilobytes * 1000))
    (folder / cache.MANIFEST).write_text(json.dumps({"label": f"onnx int8 of {name}"}), encoding="utf-8")
    os.utime(folder, (used_at, used_at))
    return folder


def test_everything_kept_is_listed_what_was_used_longest_ago_first(place: Path) -> None:
    """Conversions by what they are, builds, weights, selftests and times; nothing that is half made."""
    entry(place, "b", used_at=200.0)
    entry(place, "a", used_at=100.0)
    (place / "revisions" / "abc-1").mkdir(parents=True)
    (place / "converted" / ".making-x").mkdir()
    (place / "times").mkdir()
    for name in ("simplecnn-1.pt", "selftest-ab.json", "strange"):
        (place / name).write_bytes(b"x")
    found = cache.contents()
    assert [(each.kind, each.name) for each in found.entries[:2]] == [
        ("conversion", "onnx int8 of a"),
        ("conversion", "onnx int8 of b"),
    ]
    assert sorted(each.kind for each in found.entries[2:]) == ["revision", "selftest", "times", "weights"]
    assert found.size_bytes == sum(each.size_bytes for each in found.entries) > 200_000
    assert found.cap_bytes == 5 * 10**9


@pytest.mark.parametrize("damage", ["", "{", "[]", "null"])
def test_a_conversion_that_cannot_say_what_it_is_goes_by_its_key(place: Path, damage: str) -> None:
    """It takes room all the same."""
    folder = entry(place, "0123", used_at=1.0)
    (folder / cache.MANIFEST).write_text(damage, encoding="utf-8")
    assert [each.name for each in cache.contents().entries] == ["0123"]


def test_the_cap_removes_what_was_used_longest_ago(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As much as it takes and no more; what is only some bytes of measurements stays."""
    folders = [entry(place, name, used_at=at) for name, at in (("b", 2.0), ("a", 1.0), ("c", 3.0))]
    (place / "selftest-ab.json").write_bytes(b"x")
    os.utime(place / "selftest-ab.json", (0.0, 0.0))
    monkeypatch.setenv(cache.CAP_VARIABLE, "250kB")
    found = cache.trim()
    assert [folder.exists() for folder in folders] == [True, False, True]
    assert (place / "selftest-ab.json").exists()
    assert found.freed_bytes is not None
    assert found.freed_bytes > 100_000
    assert found.size_bytes == cache.contents().size_bytes <= 250_000
    assert cache.trim().freed_bytes == 0


def test_use_is_what_counts_and_not_age(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old entry that a run has found again outlives a newer one that nobody asked for."""
    old, newer = entry(place, "old", used_at=1.0), entry(place, "newer", used_at=2.0)
    assert cache.hold(old)
    let_go()
    monkeypatch.setenv(cache.CAP_VARIABLE, "150kB")
    cache.trim()
    assert (old.exists(), newer.exists()) == (True, False)


HOLD = """
import sys
from contextlib import ExitStack
from pathlib import Path
from int8bench import cache
print(cache.hold(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def test_what_another_process_uses_stays_until_that_ends(place: Path) -> None:
    """However it ends; neither cap nor --prune takes a file away under a run."""
    used, idle = entry(place, "used", used_at=1.0), entry(place, "idle", used_at=2.0)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(used)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert [(each.path, each.in_use) for each in cache.contents().entries] == [(idle, False), (used, True)]
        left = cache.prune()
        assert [each.path for each in left.entries] == [used]
        assert (used.exists(), idle.exists()) == (True, False)
        other.kill()
    freed = cache.prune()
    assert not used.exists()
    assert freed.entries == ()
    assert freed.freed_bytes is not None
    assert freed.freed_bytes > 100_000


def test_an_entry_that_has_gone_cannot_be_held(place: Path) -> None:
    """Whoever wants it makes it again; nothing is left of what left its place."""
    folder = entry(place, "a", used_at=1.0)
    assert cache.remove(folder)
    assert not cache.remove(folder)
    assert not cache.hold(folder)
    assert list((place / "converted").iterdir()) == []


def test_what_is_held_before_it_takes_its_place_is_held_there(place: Path) -> None:
    """No moment is left between the two in which another process could remove it."""
    aside = entry(place, ".making-x", used_at=1.0)
    assert cache.hold(aside)
    aside.rename(place / "converted" / "a")
    assert not cache.remove(place / "converted" / "a")


RACE = """
import sys
from int8bench import cache
sys.stdin.readline()
print(sum(cache.remove(each.path) for each in cache.contents().entries))
"""


def test_two_that_remove_at_once_remove_each_entry_once(place: Path) -> None:
    """Neither fails, and both together free what was there."""
    for number in range(40):
        entry(place, f"e{number}", used_at=float(number), kilobytes=1)
    command = [sys.executable, "-c", RACE]
    with ExitStack() as running:
        both = [
            running.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(2)
        ]
        for each in both:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        removed = [int(each.communicate(timeout=120)[0]) for each in both]
    assert sum(removed) == 40
    assert list((place / "converted").iterdir()) == []


def test_an_entry_that_goes_while_it_is_listed_takes_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is of what is there, and does not fail."""
    entry(place, "gone", used_at=1.0, kilobytes=1)
    real = os.scandir

    def late(folder: Path) -> object:
        monkeypatch.setattr(os, "scandir", real)
        shutil.rmtree(place / "converted")
        return real(folder)

    monkeypatch.setattr(os, "scandir", late)
    (found,) = cache.contents().entries
    assert found.size_bytes == 0


@pytest.mark.parametrize(("said", "size"), [("2GB", 2 * 10**9), ("500 MB", 5 * 10**8), ("0", 0)])
def test_the_variable_says_how_much_is_kept(monkeypatch: pytest.MonkeyPatch, said: str, size: int) -> None:
    """In units that people use."""
    monkeypatch.setenv(cache.CAP_VARIABLE, said)
    assert cache.cap_bytes() == size


def test_a_cap_that_is_no_size_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what was given, what was expected, and what to type."""
    monkeypatch.setenv(cache.CAP_VARIABLE, "plenty")
    with pytest.raises(RequestError, match=r"INT8BENCH_CACHE_CAP plenty: expected a size such as .*try .* 5GB"):
        cache.cap_bytes()


def test_without_a_home_nothing_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing goes wrong."""
    monkeypatch.setattr(cache, "folder", lambda: None)
    assert cache.contents().entries == cache.prune().entries == ()
    assert "There is no cache" in sheet.render(cache.contents().to_dict())


def test_a_person_reads_what_it_is_how_large_and_when_it_was_used(place: Path) -> None:
    """With the cap, how to set it and how to empty it; what was freed is said where something was to be."""
    entry(place, "mobilenet_v2", used_at=0.0)
    text = sheet.render(cache.contents().to_dict())
    assert re.search(r"10\d kB  1970-01-01 00:00  conversion  onnx int8 of mobilenet_v2$", text, re.MULTILINE)
    assert "in 1 entry, 5.00 GB at most" in text
    assert "int8bench cache --prune" in text
    assert "Freed" not in text
    assert re.search(r"Freed 10\d kB\.$", sheet.render(cache.prune().to_dict()))
    assert "Freed 0 B." in sheet.render(cache.prune().to_dict())
