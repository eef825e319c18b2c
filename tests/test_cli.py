"""The command line: what it prints and where, exit codes, wrong requests, and Ctrl-C in any phase."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from int8bench import __version__, cache, cli, machine
from int8bench.compare import stored as compare
from int8bench.compare.comparisons import Comparison, Differences, Metric, SideRatio
from int8bench.compare.duet import record as duet_record
from int8bench.compare.duet import study as duet_study
from int8bench.compare.duet.record import Duet
from int8bench.compare.gate import gate
from int8bench.errors import InterruptedRunError, NothingMeasuredError
from int8bench.lab import clock
from int8bench.lab.progress import Progress
from int8bench.machine.finding import Severity, ShownFinding
from int8bench.selftest import trust
from int8bench.study import doctor, records, study
from int8bench.study.cells import Cell, Samples
from int8bench.study.plan import budget
from int8bench.workload import subject

CPUINFO = Path(__file__).parent / "golden" / "hardware" / "linux-ubuntu20.04-zen3"


class Left(NamedTuple):
    """How a call ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Left]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Calls the entry point in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> Left:
        monkeypatch.setattr(sys, "argv", ["int8bench", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return Left(int(left.value.code or 0), *capsys.readouterr())

    return called


@pytest.fixture
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    places = ((study, "run"), (subject, "train"), (doctor, "measured_here"))
    for module, name in (*places, (duet_study, "_prepared")):
        monkeypatch.setattr(module, name, lambda *_, name=name, **__: pytest.fail(f"{name} was called"))


SETTINGS = {
    "confidence": 0.95,
    "precision": 0.01,
    "margin": 0.01,
    "error_rate": 0.001,
    "family_error_rate": 0.05,
    "plan": {"budget_s": 60.0, "forks": 1, "looks": [4], "replicates": 2},
}


def made(*, status: str = "ok", severity: str | None = None) -> records.Run:
    """A record of one cell, as small as can be."""
    cell = Cell(
        id="simplecnn/fbgemm/int8/channels_last/b1/t1",
        model="simplecnn",
        engine="fbgemm",
        precision="int8",
        layout="channels_last",
        batch=1,
        threads=1,
        status=status,
        error=None if status == "ok" else "broken",
        latency_s=None,
        cold_s=None,
        throughput_items_per_s=None,
        threads_used=None,
        memory_bytes=None,
        fidelity=None,
        conversion=None,
        speedups=(),
        evidence={},
        samples=Samples(races=(), solos=()),
    )
    finding = dict.fromkeys(("code", "subject", "message", "why", "advice"), "x")
    return records.Run(
        complete=True,
        created_at="2026-01-01T00:00:00+00:00",
        int8bench_version="0",
        environment=records.Environment(hardware={}, fingerprint="f", versions={}, process={}),
        settings={},
        findings=(ShownFinding(**finding, severity=Severity(severity)),) if severity else (),
        cells=(cell,),
        ranking=(),
        recommendation=None,
    )


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (made(), 0),
        (made(severity="warning"), 0),
        (made(severity="note"), 0),
        (made(severity="error"), 1),
        (made(status="failed", severity="error"), 3),
    ],
)
def test_the_exit_code_of_a_run(call: Call, monkeypatch: pytest.MonkeyPatch, record: records.Run, code: int) -> None:
    """0 where nothing is wrong, 1 with a finding of severity error, 3 where nothing was measured."""
    monkeypatch.setattr(study, "run", lambda *_, **__: record)
    assert call("run", "--json").code == code


QUOTE = "selftest of today on this machine: verdicts can be trusted down to 1.3 %"


@pytest.fixture
def quoted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The fingerprints for which it was asked what a selftest said."""
    asked: list[str] = []
    monkeypatch.setattr(trust, "quote", lambda fingerprint: (asked.append(fingerprint), QUOTE)[1])
    return asked


def changed(verdict: str = "same", *, severity: str | None = None) -> Duet:
    """A duet of one comparison."""
    comparison = Comparison(
        id="b.time_it",
        metric=Metric.TIME,
        verdict=verdict,
        ratio=SideRatio(value=0.5, low=0.4, high=0.6)
        if verdict == "faster"
        else SideRatio(value=1.5, low=1.4, high=1.6),
        launches=4,
        forks=4,
        pairs=400,
        smallest_visible_effect=0.01,
        reason=None,
    )
    finding = dict.fromkeys(("code", "subject", "message", "why", "advice"), "x")
    return Duet(
        base="1111",
        head="2222",
        complete=True,
        error_rate=0.001,
        comparisons=(comparison,),
        added=(),
        removed=(),
        findings=(ShownFinding(**finding, severity=Severity(severity)),) if severity else (),
        environment={"fingerprint": "of the duet"},
        settings={},
        samples={"forks": {}},
    )


@pytest.mark.parametrize(
    ("duet", "code"),
    [
        (changed(), 0),
        (changed("unclear"), 0),
        (changed("faster"), 0),
        (changed(severity="warning"), 0),
        (changed("slower"), 1),
        (changed(severity="error"), 1),
    ],
)
def test_the_exit_code_of_a_duet(call: Call, monkeypatch: pytest.MonkeyPatch, duet: Duet, code: int) -> None:
    """1 where something is surely worse or broken; what is unclear is no red."""
    monkeypatch.setattr(duet_study, "run", lambda *_: duet)
    assert call("duet", "a", "b").code == code


def test_a_duet_is_asked_for_as_typed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option reaches the request; what is left out has the request's own default."""
    requests: list[duet_study.DuetRequest] = []
    outputs: list[Path | None] = []

    def run(request: duet_study.DuetRequest, output: Path | None, _: object) -> Duet:
        requests.append(request)
        outputs.append(output)
        return changed()

    monkeypatch.setattr(duet_study, "run", run)
    call("duet", "a", "b")
    call(
        *("duet", "a", "--head-python", "p", "--suite", "asv", "--select", "x|y", "--benchmarks", "own", "--quick"),
        *("--budget", "2m", "--model", "m:f", "--input-shape", "3x8x8", "--data", "imagefolder:d"),
        *("--engines", "x86,onednn", "--batch", "2", "--threads", "1", "--timeout", "5s", "-o", "here.json"),
    )
    default, typed = requests
    assert default == duet_study.DuetRequest(base="a", head="b", folder=default.folder)
    assert typed == duet_study.DuetRequest(
        base="a",
        head=None,
        head_python="p",
        suite="asv",
        select="x|y",
        benchmarks="own",
        quick=True,
        budget_s=120.0,
        model="m:f",
        input_shape="3x8x8",
        data="imagefolder:d",
        engines=("x86", "onednn"),
        batches=(2,),
        threads=(1,),
        timeout_s=5.0,
        folder=default.folder,
    )
    assert outputs == [None, Path("here.json")]


def test_a_stored_duet_is_shown_again(call: Call, tmp_path: Path) -> None:
    """Report reads what duet wrote, as it reads a run; what is damaged is a sentence."""
    stored = tmp_path / "duet.json"
    duet_record.save(changed("slower"), stored)
    shown = call("report", str(stored), "-o", str(tmp_path / "comment.md"))
    assert (shown.code, "slower" in shown.out) == (0, True)
    assert (tmp_path / "comment.md").read_text().startswith("### int8bench")
    stored.write_text(json.dumps({"schema": duet_record.SCHEMA, "schema_version": 1}))
    assert call("report", str(stored)).code == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_a_duet_answers_with_what_the_selftest_said(
    call: Call, monkeypatch: pytest.MonkeyPatch, quoted: list[str], *, as_json: bool
) -> None:
    """On the screen, in JSON and in the comment; samples are in the record alone."""
    monkeypatch.setattr(duet_study, "run", lambda *_: changed("slower"))
    left = call("duet", "a", "b", "--markdown", "comment.md", *(["--json"] if as_json else []))
    assert left.code == 1
    assert quoted == ["of the duet"]
    assert QUOTE in left.out
    assert "trusted down to 1.3 %" in Path("comment.md").read_text(encoding="utf-8")
    assert "the comment is in comment.md" in left.err
    if as_json:
        assert json.loads(left.out) == {**changed("slower").shown.to_dict(), "selftest": QUOTE}


def test_an_answer_is_printed_though_its_comment_cannot_be_written(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes of measuring are not lost to a wrong path."""
    monkeypatch.setattr(duet_study, "run", lambda *_: changed("slower"))
    left = call("duet", "a", "b", "--markdown", ".")
    assert left.code == 2
    assert "b.time_it" in left.out
    assert "cannot be written" in left.err


class Answer(NamedTuple):
    """What comparing or judging gives, as little of it as is printed."""

    comparisons: tuple[Comparison, ...] = ()
    exit_code: int = 0

    def to_dict(self) -> dict[str, object]:
        """As small as can be."""
        return {**changed().shown.to_dict(), "comparisons": []}

    @property
    def differences(self) -> Differences:
        """As small as can be."""
        return replace(changed().differences, comparisons=())


def test_every_verdict_is_shown_with_the_selftest_of_its_hardware(
    call: Call, monkeypatch: pytest.MonkeyPatch, quoted: list[str]
) -> None:
    """Of a run its own, of two runs that of the new one, of a gate this machine's; run's JSON is the record alone."""
    runs = {
        f"{name}.json": replace(
            made(),
            environment=replace(made().environment, fingerprint=f"of {name}", hardware={"brand": "x"}),
            settings=SETTINGS,
            cells=(),
        )
        for name in ("old", "new")
    }
    monkeypatch.setattr(records, "load", lambda path: runs[str(path)])
    monkeypatch.setattr(records, "load_document", lambda path: records.to_dict(runs[str(path)]))
    monkeypatch.setattr(records, "from_dict", lambda _, *, name: runs[name])
    monkeypatch.setattr(compare, "compare", lambda *_, **__: Answer())
    monkeypatch.setattr(gate, "run", lambda *_: Answer())
    monkeypatch.setattr(machine, "fingerprint", lambda _: "of this machine")
    monkeypatch.setattr(study, "run", lambda *_, **__: made(status="failed"))
    for command in (("compare", "old.json", "new.json"), ("gate",), ("report", "new.json")):
        left = call(*command)
        assert QUOTE in left.out, command
    assert QUOTE not in call("run", "--json").out
    assert quoted[:3] == ["of new", "of this machine", "of new"]


def test_nothing_but_the_answer_is_on_standard_output(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model prints, the phases and where the record lies go to standard error; --json is one document."""

    def chatty(_request: object, _output: Path, advance: Callable[[Progress], None], **_: object) -> records.Run:
        print("loading my weights ...")  # noqa: T201  as a model of somebody's does
        for _ in range(2):
            advance(Progress(phase="racing"))
        return made()

    monkeypatch.setattr(study, "run", chatty)
    left = call("run", "--json", "-o", "here.json")
    assert json.loads(left.out) == json.loads(records.dumps(made()))
    assert "loading my weights" in left.err
    assert left.err.count("int8bench: racing") == 1
    assert "int8bench report here.json" in left.err


def test_a_request_is_handed_on_as_typed(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists, percentages and durations become values; what is left out is the study's choice."""
    requests = []
    monkeypatch.setattr(study, "run", lambda request, *_, **__: (requests.append(request), made())[1])
    call("run", "--json")
    call(
        *("run", "--json", "--engines", "x86,fbgemm,x86", "--batch", "32,1", "--threads", "2,2", "--timeout", "1m"),
        *("--precision", "0.5%", "--budget", "2m", "--quick", "--seed", "7", "--data", "imagefolder:p"),
    )
    default, typed = requests
    assert (default.engines, default.threads, default.budget_s) == (None, None, None)
    assert (default.batches, default.precision, default.timeout_s, default.quick) == ((1, 8, 32), 0.01, 120.0, False)
    assert (typed.engines, typed.batches, typed.threads) == (("x86", "fbgemm"), (32, 1), (2,))
    assert (typed.precision, typed.budget_s, typed.timeout_s, typed.seed) == (0.005, 120.0, 60.0, 7)
    assert (typed.quick, typed.data) == (True, "imagefolder:p")


@pytest.mark.usefixtures("_nothing_runs")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", "--engines", ""), "try --engines fbgemm,x86"),
        (("run", "--engines", ","), "try --engines fbgemm,x86"),
        (("run", "--batch", ""), "try --batch 1 or --batch 1,8,32"),
        (("run", "--batch", "0"), "try --batch 1"),
        (("run", "--batch", "-1"), "try --batch 1"),
        (("run", "--batch", "1,x"), "--batch x: expected whole numbers"),
        (("run", "--batch", "9" * 5000), "try --batch 1"),
        (("run", "--threads", ""), "try --threads 1"),
        (("run", "--threads", "0"), "try --threads 1"),
        (("run", "--precision", "0"), "try --precision 1%"),
        (("run", "--precision", "150%"), "try --precision 1%"),
        (("run", "--precision", "nan"), "try --precision 1%"),
        (("run", "--precision", ""), "try --precision 1%"),
        (("run", "--cache-cap", "plenty"), "try --cache-cap 5GB"),
        (("run", "--budget", ""), "try --budget 90s"),
        (("run", "--budget", "0"), "try --budget 90s"),
        (("run", "--budget", "-5s"), "try --budget 90s"),
        (("run", "--budget", "9" * 400), "try --budget 90s"),
        (("run", "--timeout", "0"), "try --timeout 90s"),
        (("run", "--timeout", "soon"), "try --timeout 90s"),
        (("run", "--seed", "-1"), "--seed"),
        (("run", "--seed", "99999999999"), "--seed"),
        (("train", "--epochs", "0"), "--epochs"),
        (("doctor", "--threads", "x"), "try --threads 1"),
        (("doctor", "--engine", "fbgm"), "did you mean fbgemm"),
        (("doctor", "--hardware", "nowhere"), "no such file"),
        (("report", "nowhere.json"), "no such file"),
        (("report",), "RUN.json"),
        (("run", "--no-such-flag"), "No such option"),
        (("duet",), "BASE: not given; type int8bench duet BASE HEAD"),
        (("duet", "HEAD~1"), "HEAD: not given; type int8bench duet BASE HEAD"),
        (("duet", "HEAD~1", "HEAD", "--suite", "unittest"), "expected one of grid, asv, pytest"),
        (("duet", "HEAD~1", "HEAD", "--benchmarks", "mine"), "expected one of base, head, own"),
        (("duet", "HEAD~1", "HEAD", "--select-regex", "("), "not a regular expression"),
        (("duet", "HEAD~1", "HEAD", "--select", "a", "--select-regex", "b"), "leave one out"),
        (("duet", "HEAD~1", "HEAD", "--threads", "100000"), "usable cores; try --threads"),
        (("duet", "HEAD~1", "HEAD", "--budget", "0"), "try --budget 90s"),
        (("duet", "HEAD~1", "HEAD", "--timeout", "x"), "try --timeout 90s"),
        (("duet", "HEAD~1", "HEAD", "--engines", ""), "try --engines fbgemm,x86"),
        (("duet", "HEAD~1", "HEAD", "--batch", "0"), "try --batch 1"),
        (("compare", "nowhere.json", "nowhere.json"), "no such file"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("--frobnicate",), "No such option"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_a_wrong_request_is_told_and_exits_with_2(call: Call, arguments: tuple[str, ...], sentence: str) -> None:
    """It says what was given and what to type, at once; what a person typed never fills the screen."""
    left = call(*arguments)
    assert left.code == 2
    assert sentence in left.err
    assert left.out == ""
    assert len(left.err) < 600


def test_without_arguments_there_is_help(call: Call) -> None:
    """Every command is listed, and the exit codes are."""
    left = call()
    assert left.code == 2
    for word in ("doctor", "run", "report", "train", "selftest", "Exit codes"):
        assert word in left.out + left.err


def test_the_version_is_one_line(call: Call) -> None:
    """As other programs print it."""
    assert call("--version") == Left(0, f"int8bench {__version__}\n", "")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (KeyboardInterrupt(), 3, "stopped before it was done; type the same command"),
        (InterruptedRunError("stopped, with figures for 3 of 9 cells"), 2, "3 of 9 cells"),
        (NothingMeasuredError("nothing could be measured: broken"), 3, "broken"),
    ],
)
@pytest.mark.parametrize(
    ("command", "module", "name"),
    [
        ("run", study, "run"),
        ("train", subject, "train"),
        ("doctor", doctor, "diagnose"),
        ("duet", duet_study, "run"),
    ],
)
def test_whatever_is_stopped_is_one_sentence(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    module: object,
    name: str,
    *,
    error: BaseException,
    code: int,
    sentence: str,
) -> None:
    """In every command: what happened, on one line, and the exit code that says whether there are figures."""

    def stop(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(module, name, stop)
    left = call(command)
    assert left.code == code
    assert left.err.splitlines()[-1].startswith("int8bench: ")
    assert sentence in left.err
    assert "Traceback" not in left.err
    assert left.out == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_obeyed_once_and_its_echo_is_not(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A second Ctrl-C while the first is obeyed does not tear the saving apart; a later one counts again."""
    now = [100.0]
    monkeypatch.setattr(cli.time, "monotonic", lambda: now[0])
    before = signal.signal(number, signal.default_int_handler)
    try:
        with cli._stoppable():
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            now[0] += cli.STOPPING_S / 2
            signal.raise_signal(number)
            now[0] += cli.STOPPING_S
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_is_ignored_stays_ignored() -> None:
    """Started with nohup or in the background of a script, a run is not stopped by what it was told to ignore."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with cli._stoppable():
            signal.raise_signal(signal.SIGINT)
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def interrupting(folder: Path, module: str, number: int) -> None:
    """A module that takes the place of another, and during whose import a signal comes."""
    (folder / f"{module}.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "number"), [("typer", signal.SIGINT), ("torch", signal.SIGINT), ("torch", signal.SIGTERM)]
)
def test_stopped_during_imports(tmp_path: Path, module: str, number: int) -> None:
    """While the command line or torch is imported: one sentence, exit code 3, no trace."""
    interrupting(tmp_path, module, number)
    done = subprocess.run(
        [sys.executable, "-m", "int8bench", "run"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        timeout=120,
        check=False,
    )
    assert done.returncode == 3
    assert done.stderr == "int8bench: stopped before it was done; type the same command to start again\n"
    assert done.stdout == ""


def test_whoever_reads_may_leave_early() -> None:
    """`| head` costs neither the exit code nor a complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "int8bench", "doctor", "--hardware", str(CPUINFO)],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The bar stands on standard error with its phase, and what others print does not reach standard output."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with cli._bar() as advance:
        advance(Progress(phase="racing batch 8", done=1.0, total=4.0))
        print("noise")  # noqa: T201  as a model of somebody's does
        advance(Progress(phase="racing batch 8", done=4.0, total=4.0))
    left = capsys.readouterr()
    assert left.out == ""
    assert "racing batch 8" in left.err
    assert "noise" in left.err


@pytest.mark.parametrize(
    ("options", "total"), [((), "10 min"), (("--quick",), "5 min"), (("--quick", "--budget", "90s"), "1 min 30 s")]
)
def test_the_last_line_says_what_a_run_took_of_what_it_stated(
    call: Call, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], total: str
) -> None:
    """From the start of the process, which had begun long before it was asked; the study is given that very clock."""
    budgets = []
    monkeypatch.setattr(clock, "began_s", lambda: time.monotonic() - 83.2)
    monkeypatch.setattr(study, "run", lambda *_, budget: (budgets.append(budget), made())[1])
    left = call("run", "--json", *options)
    last = left.err.splitlines()[-1]
    assert re.fullmatch(rf"int8bench: took 1 min 2[34] s of {total}", last), last
    (given,) = budgets
    assert given.spent_s() > 83
    assert given.promise() == total


def test_help_says_what_quick_and_budget_promise(call: Call) -> None:
    """The numbers are those that are kept."""
    said = " ".join(call("run", "--help").out.split())
    assert f"in {budget.QUICK_S / 60:.0f} minutes at most from start to exit" in said
    assert f"default: {budget.DEFAULT_S / 60:.0f}m" in said


def test_the_cache_is_shown_and_emptied(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """For a person and as JSON; emptying it says what that freed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept = tmp_path / "int8bench" / "converted" / "a"
    kept.mkdir(parents=True)
    (kept / "file").write_bytes(bytes(2_000_000))
    shown = call("cache", "--json")
    document = json.loads(shown.out)
    assert shown.code == 0
    assert [entry["kind"] for entry in document["entries"]] == ["conversion"]
    assert document["bytes"] == document["entries"][0]["bytes"] > 2_000_000
    assert document["freed_bytes"] is None
    assert "conversion" in call("cache").out
    assert "Freed 2.0" in call("cache", "--prune").out
    assert not kept.exists()
    assert json.loads(call("cache", "--json").out)["entries"] == []


def test_the_cap_of_a_run_is_that_of_all_that_it_starts(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the variable."""
    monkeypatch.setenv(cache.CAP_VARIABLE, "1GB")
    caps = []
    monkeypatch.setattr(study, "run", lambda *_, **__: (caps.append(cache.cap_bytes()), made())[1])
    call("run", "--json")
    call("run", "--json", "--cache-cap", "200MB")
    assert caps == [10**9, 2 * 10**8]
