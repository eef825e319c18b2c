"""Text that is timed in fresh interpreters: read as asv reads it, timed as timeit does, and proven to be the side's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from int8bench.lab.agent.fresh import Fresh

SRC = Path(__file__).parents[3] / "src"
NAP_S = 0.05


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where texts write what they did."""
    path = tmp_path / "log"
    path.touch()
    return path


def fresh(text: Callable[[], Any] | str | tuple[str, str], *, number: int = 1, **more: Any) -> Fresh:
    """A text that is to be timed."""
    given = text if callable(text) else lambda: text
    return Fresh(text=given, number=number, packages=more.pop("packages", ()), environment=more)


def test_each_sample_is_an_interpreter_of_its_own(log: Path) -> None:
    """And asks for the text anew, as asv does."""
    asked: list[int] = []

    def text() -> str:
        asked.append(len(asked))
        return f"import os; print(os.getpid(), {asked[-1]}, file=open({str(log)!r}, 'a'))"

    measured = fresh(text)
    assert all(measured.timed() > 0 for _ in range(3))
    pids, numbers = zip(*(line.split() for line in log.read_text().splitlines()), strict=True)
    assert numbers == ("0", "1", "2")
    assert len({*pids, str(os.getpid())}) == 4


def test_the_seconds_are_those_of_one_run_of_the_text(log: Path) -> None:
    """What comes before it is run once, and not timed; neither is the start of the interpreter."""
    note = f"open({str(log)!r}, 'a').write"
    measured = fresh(
        (f"{note}('run '); time.sleep({NAP_S})", f"import time; {note}('before '); time.sleep(1)"), number=20
    )
    assert NAP_S <= measured.timed() < 1
    assert log.read_text() == "before " + "run " * 20


def test_the_collector_rests_as_with_timeit(log: Path) -> None:
    """While the text runs."""
    fresh(f"import gc; print(gc.isenabled(), file=open({str(log)!r}, 'a'))").timed()
    assert log.read_text() == "False\n"


@pytest.mark.parametrize(
    "text",
    [
        "\n    if True:\n        wrote('indented')\n    wrote('and more')\n",
        r"wrote('a backslash that is written twice: \\n')",
        'wrote("""three quotes""")',
        "wrote('{braces} %s')",
        "wrote('\u00e9 \u4e2d')",
    ],
)
def test_a_text_means_what_it_means_to_asv(text: str, tmp_path: Path) -> None:
    """Asv puts it between three quotes, where a backslash that is to arrive is written twice."""
    from asv_runner.benchmarks.timeraw import _SeparateProcessTimer

    came = []
    for name, run in (
        ("ours", lambda it: fresh(it).timed()),
        ("asv", lambda it: _SeparateProcessTimer(lambda: it).timeit(1)),
    ):
        file = tmp_path / name
        run((text, f"def wrote(what): open({str(file)!r}, 'ab').write(repr(what).encode())"))
        came.append(file.read_bytes())
    assert came[0] == came[1] != b""


def test_what_a_text_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """By whatever way it prints."""
    assert fresh("import os; print('1e9'); os.write(1, b'7'); os.write(2, b'8'); os.close(1)").timed() < 1e6
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import nowhere_at_all", "^ModuleNotFoundError: No module named 'nowhere_at_all'$"),
        ("raise SystemExit(3)", "^its process ended with 3$"),
        ("raise SystemExit", "^its process ended before the text did$"),
        ("import os; os.kill(os.getpid(), 9)", "^its process ended with -9$"),
        ("this is no Python", "^SyntaxError: invalid syntax"),
    ],
)
def test_what_fails_is_a_sentence(text: str, sentence: str) -> None:
    """The last line that it said."""
    with pytest.raises(RuntimeError, match=sentence):
        fresh(text).timed()


def test_variables_of_the_benchmark_reach_its_text(log: Path) -> None:
    """On top of those that are there."""
    text = f"import os; print(os.environ['OWN'], 'PATH' in os.environ, file=open({str(log)!r}, 'a'))"
    fresh(text, OWN="1").timed()
    assert log.read_text() == "1 True\n"


def test_it_is_told_where_modules_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the interpreters, not here; a module in the folder that they run in hides none of the path."""
    for folder in ("own", "here"):
        (tmp_path / folder / "toy_of_a_side").mkdir(parents=True)
        (tmp_path / folder / "toy_of_a_side" / "__init__.py").write_text(f"where = {folder!r}\n", encoding="utf-8")
    (tmp_path / "here" / "made_by_setup.py").touch()
    monkeypatch.chdir(tmp_path / "here")
    measured = fresh(
        "import toy_of_a_side, made_by_setup; assert toy_of_a_side.where == 'own'",
        packages=("toy_of_a_side", "never_imported"),
        PYTHONPATH=str(tmp_path / "own"),
    )
    assert measured.seen() == {}
    measured.timed()
    assert measured.seen() == {"toy_of_a_side": [str(tmp_path / "own" / "toy_of_a_side")], "never_imported": []}


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends it")
def test_it_ends_with_the_process_that_wanted_it(tmp_path: Path) -> None:
    """However that ends."""
    begun = tmp_path / "begun"
    text = f"import os, time; open({str(begun)!r}, 'w').write(str(os.getpid()) + ' '); time.sleep(600)"
    program = (
        "from int8bench.lab.agent.fresh import Fresh; import sys; "
        "Fresh(text=lambda: sys.argv[1], number=1, packages=(), environment={}).timed()"
    )
    with subprocess.Popen([sys.executable, "-c", program, text], env={**os.environ, "PYTHONPATH": str(SRC)}) as process:
        assert _eventually(lambda: begun.exists() and begun.read_text().endswith(" "))
        process.send_signal(signal.SIGKILL)
    pid = int(begun.read_text())
    assert _eventually(lambda: not _running(pid))


def _running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def _eventually(condition: Callable[[], bool]) -> bool:
    for _ in range(600):
        if condition():
            return True
        time.sleep(0.05)
    return False
