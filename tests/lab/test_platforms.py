"""macOS and Windows are played by helpers/elsewhere.py, which says so and hides what they lack."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from lean_pytest import LEAN

from int8bench.errors import PlatformError, RequestError
from int8bench.lab import platforms

HERE = Path(__file__).parents[1]
ELSEWHERE = HERE / "helpers" / "elsewhere.py"
RUN = str(HERE / "golden" / "runs" / "quick.json")
RESULTS = str(HERE / "golden" / "asv")
NAMES = {"darwin": "macOS", "win32": "Windows"}
MEASURING = (
    ("run",),
    ("train",),
    ("duet", "HEAD~1", "HEAD"),
    ("gate",),
    ("selftest",),
    ("init", "resnet18"),
    ("asv", "HEAD"),
    ("cache", "--prune"),
)
READING = {
    ("doctor",): "recommended",
    ("doctor", "--hardware", str(HERE / "golden" / "hardware" / "darwin-monterey-m1")): "recommended",
    ("report", RUN): "fbgemm",
    ("compare", RUN, RUN): "fbgemm",
    ("history", RESULTS): "series",
}
COMMANDS = sorted({*platforms.EVERYWHERE, *(arguments[0] for arguments in MEASURING)})
systems = pytest.mark.parametrize("system", NAMES)


def elsewhere(
    system: str, *program: str, folder: Path, without: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """What a program does on that system; `without` names packages that it never imports, to save seconds."""
    ours = {"XDG_CACHE_HOME": str(folder / "cache"), "COLUMNS": "120", "ELSEWHERE_WITHOUT": ",".join(without)}
    return subprocess.run(
        [sys.executable, str(ELSEWHERE), system, *program],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **LEAN, **ours},
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(("platform", "name"), [*NAMES.items(), ("freebsd14", "freebsd14")])
def test_what_measures_is_refused_anywhere_but_on_linux(
    platform: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one sentence, which names the system and what works there; it is a wrong request."""
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(PlatformError) as caught:
        platforms.require_linux("int8bench run")
    assert str(caught.value) == (
        f"int8bench run: int8bench measures on Linux, and this is {name}; here doctor, report, compare and history work"
    )
    assert isinstance(caught.value, RequestError)
    assert caught.value.exit_code == 2


def test_linux_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is said there."""
    monkeypatch.setattr(sys, "platform", "linux")
    platforms.require_linux("int8bench run")
    assert platforms.measures_here()


TYPED = """
import contextlib, importlib, io, json, pkgutil, sys
import int8bench
from int8bench import cli
for each in pkgutil.walk_packages(int8bench.__path__, "int8bench."):
    if not each.name.startswith(("int8bench.lab.agent", "int8bench.templates", "int8bench.__main__")):
        importlib.import_module(each.name)  # all but what runs in a side's interpreter
told = {}
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    said, code = io.StringIO(), 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
    told[" ".join(arguments)] = [code, said.getvalue()]
print(json.dumps(told))
"""


@systems
def test_what_measures_is_turned_away_and_what_reads_works(system: str, tmp_path: Path) -> None:
    """Exit code 2 and one sentence at the door; doctor answers by rule, reports are as everywhere, --help helps.

    And every module can be imported, so that no command breaks before it is turned away.
    """
    helping = [("--help",), ("--version",), *((name, "--help") for name in COMMANDS)]
    done = elsewhere(system, TYPED, json.dumps([*MEASURING, *helping, *READING]), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for arguments in MEASURING:
        code, said = told[" ".join(arguments)]
        assert code == 2
        asked = f"int8bench: int8bench {arguments[0]}: int8bench measures on Linux, and this is {NAMES[system]}; here "
        assert said.startswith(asked)
        assert said.count("\n") == 1
    assert {told[" ".join(arguments)][0] for arguments in helping} == {0}
    for arguments, expected in READING.items():
        code, said = told[" ".join(arguments)]
        assert code in {0, 1}, said
        assert expected in said
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_on_no_list_is_turned_away() -> None:
    """Every command is either listed as one that reads, or tried above as one that measures."""
    from int8bench import cli

    assert {each.callback.__name__ for each in cli.app.registered_commands if each.callback} == set(COMMANDS)


TESTS = """
def test_plain():
    assert 1 + 1 == 2

def test_benchmark(benchmark):
    benchmark(sum, [1, 2])

def test_race(race):
    race(lambda: 1, lambda: 2)
"""
PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


@systems
def test_the_installed_plug_in_breaks_nobodys_pytest(system: str, tmp_path: Path) -> None:
    """A test that knows nothing of us passes there, pytest-benchmark's too; a race alone is refused, in a sentence."""
    (tmp_path / "test_theirs.py").write_text(TESTS, encoding="utf-8")
    asked = ("-p", "no:cacheprovider", "--capture=sys", "-p", "no:faulthandler", "--benchmark-json=told.json")
    done = elsewhere(system, PYTEST, *asked, folder=tmp_path, without=("torch", "scipy.stats", "hypothesis"))
    assert "1 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    assert f"race: the fixture race: int8bench measures on Linux, and this is {NAMES[system]}" in done.stdout
    assert "int8bench_fingerprint" in json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))["machine_info"]
