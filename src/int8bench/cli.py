"""The command line: parse, call, print, exit code. The one module that prints; reads as a table of contents."""

import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from int8bench import __version__, files, options
from int8bench.errors import Int8BenchError, NothingMeasuredError
from int8bench.lab import environment, platforms
from int8bench.lab.clock import SILENCE_S
from int8bench.options import Counts, Names
from int8bench.stats.limits import HISTORY_ERROR_RATE
from int8bench.study.plan.request import Request
from int8bench.workload.cases import BATCHES, DATA, ENGINES, MODEL

if TYPE_CHECKING:
    from int8bench.compare.duet.record import Duet
    from int8bench.compare.gate.judging import Gate
    from int8bench.compare.stored import Compared
    from int8bench.lab.progress import Progress
    from int8bench.study.records import Run

EXIT_FINE = 0
EXIT_BAD_NEWS = 1
EXIT_CANNOT_TELL = 3

DEFAULT = Request()

STOPPING_S = 3.0  # a second Ctrl-C within this is the same wish: saving and ending what runs takes less
MOST_SEED = 2**32 - 1  # what NumPy, scikit-learn and torch all take


class _Commands(TyperGroup):
    """The commands; Ctrl-C in any of them is a sentence and an exit code of ours, where Typer has one of its own."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  Typer's own types are private
        """Parse and call the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _stopped() from None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Turn a command that measures away where the system is not Linux; its --help is not.

        Args:
            ctx: of the command line.
            args: the words typed after int8bench.
        """
        name, command, rest = super().resolve_command(ctx, args)
        if name not in platforms.EVERYWHERE and not {*ctx.help_option_names} & {*rest}:
            platforms.require_linux(f"int8bench {name}")
        return name, command, rest


app = typer.Typer(
    cls=_Commands,
    name="int8bench",
    help="Is int8 really faster than float32 on this CPU, by how much, at what cost, and how sure are we?",
    epilog="Exit codes: 0 fine, 1 the answer is bad news, 2 the request was wrong, 3 could not tell.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich costs more than all the rest of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _read_by(reader: Callable[[str, str], object], option: str, text: str) -> Any:  # noqa: ANN401  Typer's
    """Return an option whose text becomes a value at the door; its default is a value, and said in `text`."""

    def parse(typed: object) -> object:
        return reader(option, typed) if isinstance(typed, str) else typed

    return typer.Option(option, parser=parse, metavar="<str>", show_default=False, help=text)


Model = Annotated[
    str, typer.Option("--model", help="simplecnn, resnet18, mobilenet_v2, or your own package.module:factory.")
]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="A checkpoint of 'int8bench train', or a state dict of your model.")
]
InputShape = Annotated[
    str | None, typer.Option("--input-shape", help="Channels, height and width of one picture, such as 3x32x32.")
]
Data = Annotated[str, typer.Option("--data", help="digits, cifar10, or imagefolder:PATH.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where cifar10 lies or is put.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Seed = Annotated[
    int, typer.Option("--seed", min=0, max=MOST_SEED, help="Seeds the split of the data and the training.")
]

Select = Annotated[
    str | None, typer.Option("--select", help="The benchmark of that id; without one, all whose id has this in it.")
]
SelectRegex = Annotated[
    str | None, typer.Option("--select-regex", help="The benchmarks in whose id this regular expression is found.")
]
CacheCap = Annotated[
    int | None,
    _read_by(
        options.size, "--cache-cap", "The most that is kept between runs; default: $INT8BENCH_CACHE_CAP, else 5GB."
    ),
]
Batch = Annotated[
    Counts,
    _read_by(options.counts, "--batch", f"Batch sizes with commas between; default: {options.listed(BATCHES)}."),
]
Threads = Annotated[
    Counts | None,
    _read_by(options.counts, "--threads", "Thread counts with commas between; default: 1 and all usable."),
]
Timeout = Annotated[
    float,
    _read_by(options.seconds, "--timeout", f"How long a measuring process may be silent; default: {SILENCE_S:.0f}s."),
]
Measuring = Annotated[float | None, _read_by(options.seconds, "--budget", "Measuring time, such as 90s or 10m.")]
Quick = Annotated[bool, typer.Option("--quick", help="Less time, wider intervals.")]
Markdown = Annotated[
    Path | None, typer.Option("--markdown", help="Write the answer there for a comment on a pull request.")
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,  # noqa: FBT002
) -> None:
    if version:
        _print(f"int8bench {__version__}")
        raise typer.Exit(EXIT_FINE)


@app.command()
def doctor(
    *,
    engine: Annotated[str | None, typer.Option("--engine", help="What would be wrong with this engine here?")] = None,
    hardware: Annotated[
        Path | None,
        typer.Option(
            "--hardware", help="Answer for the machine this file describes: /proc/cpuinfo, lscpu, sysctl, JSON."
        ),
    ] = None,
    threads: Annotated[Counts | None, _read_by(options.counts, "--threads", "Thread counts you mean to use.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show this CPU, the engines it has, what is wrong with them and what to do about it."""
    from int8bench.lab.progress import Progress
    from int8bench.report import doctor as sheet
    from int8bench.study.doctor import diagnose

    with _bar() as advance:
        advance(Progress(phase="looking at the machine"))
        diagnosis = diagnose(hardware, engine=engine, threads=threads or ())
    _print(_json(diagnosis.to_dict()) if as_json else sheet.render(diagnosis.to_dict(), **_screen()))
    raise typer.Exit(EXIT_BAD_NEWS if diagnosis.has_error else EXIT_FINE)


@app.command()
def run(
    *,
    model: Model = MODEL,
    weights: Weights = None,
    input_shape: InputShape = None,
    engines: Annotated[
        Names | None,
        _read_by(
            options.names,
            "--engines",
            "Engines with commas between, or all; default: fbgemm and the recommended one.",
        ),
    ] = None,
    batch: Batch = BATCHES,
    threads: Threads = None,
    data: Data = DATA,
    data_dir: DataDir = None,
    precision: Annotated[
        float,
        _read_by(
            options.fraction, "--precision", f"Half-width of an interval to stop at; default: {DEFAULT.precision:.0%}."
        ),
    ] = DEFAULT.precision,
    accuracy_loss: Annotated[
        float,
        _read_by(
            options.fraction,
            "--accuracy-loss",
            f"Of top-1, in points: an engine that loses more is not ranked; default: {DEFAULT.accuracy_loss:.0%}.",
        ),
    ] = DEFAULT.accuracy_loss,
    budget: Annotated[
        float | None,
        _read_by(
            options.seconds, "--budget", "The most that all may take, from start to exit, such as 90s; default: 10m."
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick", help="Wider intervals, in 5 minutes at most from start to exit; what does not fit is left out."
        ),
    ] = False,
    timeout: Timeout = SILENCE_S,
    seed: Seed = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The record; an unfinished one of the same settings is continued.")
    ] = Path("int8bench-run.json"),
    cache_cap: CacheCap = None,
    as_json: AsJson = False,
) -> None:
    """Race int8 against float32 on this CPU: time, throughput, memory, accuracy, each with its interval."""
    from int8bench import cache as kept
    from int8bench.lab.clock import began_s
    from int8bench.study import study
    from int8bench.study.plan.budget import Budget

    request = Request(
        model=model,
        weights=weights,
        input_shape=input_shape,
        engines=engines,
        batches=batch,
        threads=threads,
        data=data,
        data_dir=data_dir,
        precision=precision,
        accuracy_loss=accuracy_loss,
        budget_s=budget,
        quick=quick,
        seed=seed,
        timeout_s=timeout,
    )
    if cache_cap is not None:
        kept.cap_at(cache_cap)
    spent = Budget(total_s=request.total_s, started_s=began_s())
    with _bar() as advance:
        record = study.run(request, output, advance, budget=spent)
    _answer(record, as_json=as_json)
    _note(f"int8bench: the record with all samples is in {output}; see it again with: int8bench report {output}")
    _note(f"int8bench: {spent.taken()}")
    raise typer.Exit(_exit_code(record))


@app.command()
def report(
    record: Annotated[
        Path, typer.Argument(metavar="RUN.json", help="What 'int8bench run -o' or 'int8bench duet -o' wrote.")
    ],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write an offline HTML page there; of a duet, Markdown.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a stored run or duet again, from its file alone."""
    from int8bench.compare.duet import record as duets
    from int8bench.study import records

    document = records.load_document(record)
    if duets.is_duet(document):
        found = duets.from_dict(document, name=str(record))
        _compared(found.shown, found.fingerprint, markdown=output, as_json=as_json)
        return
    loaded = _looked_at(records.from_dict(document, name=str(record)))
    if output is not None:
        from int8bench.report import page

        files.write_text(output, page.page(loaded))
        _note(f"int8bench: the page is in {output}")
    else:
        _answer(loaded, as_json=as_json)


@app.command()
def train(
    *,
    model: Model = MODEL,
    data: Data = DATA,
    data_dir: DataDir = None,
    input_shape: InputShape = None,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Passes over the training pictures.")] = None,
    seed: Seed = 0,
    output: Annotated[Path, typer.Option("-o", "--output", help="Where the checkpoint goes.")] = Path(
        "int8bench-checkpoint.pt"
    ),
    as_json: AsJson = False,
) -> None:
    """Fit the float32 model, report its validation accuracy and save a checkpoint."""
    from int8bench.workload import subject

    wanted = subject.SubjectRequest(model=model, data=data, data_dir=data_dir, input_shape=input_shape, seed=seed)
    with _bar() as advance:
        trained = subject.train(wanted, epochs=epochs, output=output, advance=advance)
    _print(
        _json(trained.to_dict())
        if as_json
        else f"{model} on {data}: validation accuracy {trained.accuracy:.2%} after {trained.epochs} epochs; "
        f"checkpoint in {output}"
    )


@app.command()
def duet(
    base: Annotated[str | None, typer.Argument(metavar="BASE", help="A git revision.")] = None,
    head: Annotated[str | None, typer.Argument(metavar="HEAD", help="Another one, held against the first.")] = None,
    *,
    base_python: Annotated[
        str | None,
        typer.Option("--base-python", help="The python of an environment for base."),
    ] = None,
    head_python: Annotated[str | None, typer.Option("--head-python", help="The same for head.")] = None,
    suite: Annotated[
        str, typer.Option("--suite", help="grid (float32 and int8), asv or pytest: the benchmarks found here.")
    ] = "grid",
    select: Select = None,
    select_regex: SelectRegex = None,
    benchmarks: Annotated[
        str, typer.Option("--benchmarks", help="Whose benchmark code both sides run: head, base, or own.")
    ] = "head",
    quick: Quick = False,
    budget: Measuring = None,
    model: Model = MODEL,
    input_shape: InputShape = None,
    data: Data = DATA,
    engines: Annotated[
        Names, _read_by(options.names, "--engines", f"int8 engines of the grid; default: {options.listed(ENGINES)}.")
    ] = ENGINES,
    batch: Batch = BATCHES,
    threads: Threads = None,
    timeout: Timeout = SILENCE_S,
    markdown: Markdown = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The record, with all samples, saved as it grows.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Race two revisions (or two environments) now, paired: did head change anything, by how much, how sure?"""
    from int8bench.compare.duet import study
    from int8bench.compare.duet.state import DuetRequest

    request = DuetRequest(
        base=base,
        head=head,
        base_python=base_python,
        head_python=head_python,
        suite=suite,
        select=select,
        select_regex=select_regex,
        benchmarks=benchmarks,
        quick=quick,
        budget_s=budget,
        timeout_s=timeout,
        model=model,
        input_shape=input_shape,
        data=data,
        engines=engines,
        batches=batch,
        threads=threads,
    )
    with _bar() as advance:
        raced = study.run(request, output, advance)
    _compared(raced.shown, raced.fingerprint, markdown=markdown, as_json=as_json)
    if output is not None:
        _note(f"int8bench: the record with all samples is in {output}")
    raise typer.Exit(EXIT_BAD_NEWS if raced.is_bad_news else EXIT_FINE)


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD.json", help="A record that 'int8bench run' wrote.")],
    new: Annotated[Path, typer.Argument(metavar="NEW.json", help="Another one, held against the first.")],
    *,
    markdown: Markdown = None,
    as_json: AsJson = False,
) -> None:
    """Compare two stored runs: speed-ups always, absolute figures on like hardware; times are never judged."""
    from int8bench.compare import stored as two_runs
    from int8bench.study import records

    before, after = _looked_at(records.load(old)), _looked_at(records.load(new))
    found = two_runs.compare(before, after, base=str(old), head=str(new))
    _compared(found, after.environment.fingerprint, markdown=markdown, as_json=as_json)
    raise typer.Exit(EXIT_BAD_NEWS if any(comparison.worse_by > 0 for comparison in found.comparisons) else EXIT_FINE)


@app.command()
def gate(
    *,
    base: Annotated[
        str | None, typer.Option("--base", help="Race HEAD against this revision now; no baseline is needed.")
    ] = None,
    require_baseline: Annotated[
        bool, typer.Option("--require-baseline", help="Exit 3 where this hardware has no baseline.")
    ] = False,
    record: Annotated[
        bool, typer.Option("--record", help="Make this run the baseline of this hardware, green or red.")
    ] = False,
    suite: Annotated[
        str | None, typer.Option("--suite", help="With --base: grid, asv or pytest; default: the policy's.")
    ] = None,
    select: Select = None,
    select_regex: SelectRegex = None,
    quick: Quick = False,
    budget: Measuring = None,
    markdown: Markdown = None,
    as_json: AsJson = False,
) -> None:
    """Judge a commit for CI, by [tool.int8bench.gate] of pyproject.toml: red only where something is surely worse."""
    from int8bench import machine
    from int8bench.compare.gate import gate as verdicts
    from int8bench.compare.gate import policy

    held = policy.load(Path())
    request = verdicts.GateRequest(
        folder=Path(),
        base=base,
        suite=suite,
        select=select,
        select_regex=select_regex,
        require_baseline=require_baseline,
        record=record,
        quick=quick,
        budget_s=budget,
    )
    with _bar() as advance:
        verdict = verdicts.run(request, held, advance)
    here = machine.fingerprint(machine.detect())
    _compared(verdict, here, markdown=markdown, as_json=as_json)
    raise typer.Exit(verdict.exit_code)


@app.command()
def selftest(
    *,
    thorough: Annotated[bool, typer.Option("--thorough", help="Take an hour instead of five minutes.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure how far verdicts on this machine can be trusted: false alarms, coverage, the smallest slow-down seen."""
    from int8bench.report import selftest as sheet
    from int8bench.selftest import selftest as lab_selftest

    with _bar() as advance:
        tested = lab_selftest.run(thorough=thorough, advance=advance)
    _print(_json(tested.to_dict()) if as_json else sheet.render(tested, **_screen()))
    if tested.kept is None:
        _note("int8bench: kept nowhere, so no verdict quotes it; set XDG_CACHE_HOME to a folder that can be written")
    raise typer.Exit(EXIT_FINE if tested.figures.trusted else EXIT_BAD_NEWS)


@app.command()
def cache(
    *,
    prune: Annotated[bool, typer.Option("--prune", help="Remove all that no running process uses.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is kept between runs, its size and when it was used last; what is used longest ago goes first."""
    from int8bench import cache as kept
    from int8bench.report import cache as sheet

    listing = kept.prune() if prune else kept.contents()
    _print(_json(listing.to_dict()) if as_json else sheet.render(listing.to_dict()))


@app.command()
def init(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="package.module:factory, or a known model.")],
    *,
    input_shape: InputShape = None,
    data: Data = DATA,
    engine: Annotated[str, typer.Option("--engine", help="The int8 engine.")] = ENGINES[0],
    folder: Annotated[Path, typer.Option("--folder", help="The top of your repository.")] = Path(),
) -> None:
    """Write an asv suite, performance tests and a CI workflow for your model into your repository."""
    from int8bench.lab.progress import Progress
    from int8bench.tracking import scaffold

    subject = scaffold.ScaffoldSubject(model=model, input_shape=input_shape, data=data, engine=engine)
    with _bar() as advance:
        advance(Progress(phase=f"making {model}, to see that it can be measured"))
        scaffold.check(subject, folder)
    written = scaffold.write(subject, folder)
    _print("\n".join(f"wrote {path}" for path in written))
    _note("int8bench: now type: asv machine --yes && asv run --quick, or, over commits: int8bench asv HEAD~3..HEAD")


@app.command()
def history(
    results: Annotated[
        Path | None, typer.Argument(metavar="RESULTS_DIR", help="asv's results; default: as asv.conf.json here says.")
    ] = None,
    *,
    error_rate: Annotated[
        float,
        _read_by(
            options.fraction,
            "--error-rate",
            f"Of one wrong change or more in all series together; default: {HISTORY_ERROR_RATE:.0%}.",
        ),
    ] = HISTORY_ERROR_RATE,
    control: Annotated[
        str | None,
        typer.Option("--control", metavar="REGEX", help="Rows that no commit changes: their steps are the machine's."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed across the commits that asv has measured: when, by how much, and how sure that is."""
    from int8bench import documents
    from int8bench.lab.progress import Progress
    from int8bench.report.history import terminal as sheet
    from int8bench.tracking import asv_process
    from int8bench.tracking import history as tracked

    folder = results if results is not None else asv_process.results_folder(Path.cwd())
    with _bar() as advance:
        advance(Progress(phase=f"searching {folder}"))
        searched = tracked.history(folder, repository=folder, error_rate=error_rate, control=control)
    document = searched.document()
    _print(_json(documents.written(document)) if as_json else sheet.render(document, **_screen()))
    raise typer.Exit(EXIT_BAD_NEWS if searched.regressions else EXIT_FINE)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def asv(
    context: typer.Context,
    commits: Annotated[str, typer.Argument(metavar="COMMITS", help="A commit, or a range such as HEAD~3..HEAD.")],
) -> None:
    """Run the asv suite here over commits, in the present environment; further options go to 'asv run'."""
    from int8bench.tracking import asv_process as revisions

    code = revisions.measure(commits, folder=Path.cwd(), arguments=context.args, note=_said)
    raise typer.Exit(EXIT_CANNOT_TELL if code else EXIT_FINE)


def main() -> None:
    """Run the command line; every error of ours, Ctrl-C and SIGTERM are one sentence and an exit code."""
    try:
        environment.spare_cores(os.environ)
        with _stoppable():
            app()
    except (Int8BenchError, KeyboardInterrupt) as error:
        known = error if isinstance(error, Int8BenchError) else _stopped()
        _note(f"int8bench: {known}")
        sys.exit(known.exit_code)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Turn SIGTERM, which `timeout` and CI systems send, into a Ctrl-C, unless this process ignores either."""
    stopping_since = -math.inf

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping_since
        if time.monotonic() - stopping_since > STOPPING_S:
            stopping_since = time.monotonic()
            raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    obeyed = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for number in obeyed:
            signal.signal(number, stop)
        yield
    finally:
        for number in obeyed:
            signal.signal(number, before[number])


def _stopped() -> NothingMeasuredError:
    """Return the error of a command that was stopped before it had anything to show."""
    return NothingMeasuredError("stopped before it was done; type the same command to start again")


def _looked_at(record: "Run") -> "Run":
    """Return the record with its figures: a run that goes on, or was killed, has kept its samples alone."""
    if record.probes is None:
        return record
    from int8bench.study import figures

    return figures.computed(record)


def _answer(record: "Run", *, as_json: bool) -> None:
    from int8bench.report import text
    from int8bench.selftest import trust
    from int8bench.study import records

    quote = trust.quote(record.environment.fingerprint)
    _print(records.dumps(record).rstrip() if as_json else text.render(record, **_screen(), quote=quote))


def _compared(comparison: "Compared | Duet | Gate", fingerprint: str, *, markdown: Path | None, as_json: bool) -> None:
    """Print what changed (of duet, compare or gate), and write it for a pull request where that is asked for.

    With it stands what the selftest said of that hardware.
    """
    from int8bench.report import compared
    from int8bench.selftest import trust

    quote = trust.quote(fingerprint)
    changed = replace(comparison.differences, selftest=quote)
    _print(_json({**comparison.to_dict(), "selftest": quote}) if as_json else compared.render(changed, **_screen()))
    if markdown is not None:  # after the answer, which is there even where this cannot be written
        files.write_text(markdown, compared.markdown(changed))
        _note(f"int8bench: the comment is in {markdown}")


def _exit_code(record: "Run") -> int:
    if not any(cell.status == "ok" for cell in record.cells):
        return EXIT_CANNOT_TELL
    return EXIT_BAD_NEWS if record.has_error else EXIT_FINE


def _screen() -> dict[str, Any]:
    """Return the width and the colours of an answer: for a person at a terminal, or for a file."""
    import shutil

    on_terminal = sys.stdout.isatty()
    return {"width": shutil.get_terminal_size((120, 40)).columns if on_terminal else 120, "colour": on_terminal}


def _json(document: object) -> str:
    """Return strict JSON, as other programs read it."""
    return json.dumps(document, indent=2, allow_nan=False)


def _print(answer: str) -> None:
    """Print the answer; `| head` may have read enough of it."""
    try:
        print(answer, flush=True)
    except BrokenPipeError:
        with suppress(BrokenPipeError):
            sys.stdout.close()  # or Python complains of the rest when it ends


def _said(sentence: str) -> None:
    _note(f"int8bench: {sentence}")


def _note(sentence: str) -> None:
    print(sentence, file=sys.stderr)


@contextmanager
def _bar() -> Iterator[Callable[["Progress"], None]]:
    """Show a progress bar with the time left, on standard error, where that is a terminal; a line a phase elsewhere.

    While it stands, what others print (a model of yours, a data set) goes to standard error too: nothing but the answer
    is on standard output.
    """
    if not sys.stderr.isatty():
        with redirect_stdout(sys.stderr):
            yield _phase_lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    console = Console(stderr=True)
    with redirect_stdout(sys.stderr), Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda step: bar.update(task, completed=step.done, total=step.total, description=step.phase)


def _phase_lines() -> Callable[["Progress"], None]:
    seen: set[str] = set()

    def advance(step: "Progress") -> None:
        if step.phase not in seen:
            seen.add(step.phase)
            _note(f"int8bench: {step.phase}")

    return advance


if __name__ == "__main__":
    main()
