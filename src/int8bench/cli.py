"""The command line: parse, call, print, exit code. The one module that prints; reads as a table of contents."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from int8bench import __version__, options
from int8bench.errors import Int8BenchError, NothingMeasuredError

if TYPE_CHECKING:
    from int8bench.progress import Progress
    from int8bench.records import Run

EXIT_FINE = 0
EXIT_BAD_NEWS = 1
EXIT_WRONG_REQUEST = 2
EXIT_CANNOT_TELL = 3

app = typer.Typer(
    name="int8bench",
    help="Is int8 really faster than float32 on this CPU, by how much, at what cost, and how sure are we?",
    epilog="Exit codes: 0 fine, 1 the answer is bad news, 2 the request was wrong, 3 could not tell.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich costs more than all the rest of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)

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
Seed = Annotated[int, typer.Option("--seed", help="Seeds the split, the training and the order of measuring.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.", is_eager=True)] = False,  # noqa: FBT002
) -> None:
    if version:
        print(f"int8bench {__version__}")
        raise typer.Exit(EXIT_FINE)


@app.command()
def doctor(
    *,
    engine: Annotated[str | None, typer.Option("--engine", help="What would be wrong with this engine here?")] = None,
    hardware: Annotated[
        Path | None,
        typer.Option("--hardware", help="Answer for the machine this file describes: /proc/cpuinfo, sysctl, or JSON."),
    ] = None,
    threads: Annotated[str | None, typer.Option("--threads", help="Thread counts you mean to use.")] = None,
    as_json: AsJson = False,
) -> None:
    """This CPU, the engines it has, what is wrong with them and what to do about it."""
    from int8bench import diagnosis
    from int8bench.report import doctor as sheet

    counts = options.counts("--threads", threads) if threads else ()
    with _stoppable("doctor"), _status("looking at this machine"):
        found = diagnosis.diagnose(hardware, engine=engine, threads=counts)
    print(json.dumps(found.to_dict(), indent=2) if as_json else sheet.render(found.to_dict(), **_screen()))
    raise typer.Exit(EXIT_BAD_NEWS if found.has_error else EXIT_FINE)


@app.command()
def run(
    *,
    model: Model = "simplecnn",
    weights: Weights = None,
    input_shape: InputShape = None,
    engines: Annotated[
        str | None,
        typer.Option("--engines", help="int8 engines with commas between; default: fbgemm and the recommended one."),
    ] = None,
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes with commas between.")] = "1,8,32",
    threads: Annotated[
        str | None, typer.Option("--threads", help="Thread counts with commas between; default: 1 and all usable.")
    ] = None,
    data: Data = "digits",
    data_dir: DataDir = None,
    precision: Annotated[str, typer.Option("--precision", help="Half-width of an interval to stop at.")] = "1%",
    budget: Annotated[str | None, typer.Option("--budget", help="Measuring time, such as 90s or 10m.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="An answer in 40 seconds, with wider intervals.")] = False,
    timeout: Annotated[str, typer.Option("--timeout", help="How long a measuring process may be silent.")] = "120s",
    seed: Seed = 0,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The record; an unfinished one of the same settings is gone on with.")
    ] = Path("int8bench-run.json"),
    as_json: AsJson = False,
) -> None:
    """Race int8 against float32 on this CPU: time, throughput, memory, accuracy, each with its interval."""
    from int8bench import study

    request = study.Request(
        model=model,
        weights=weights,
        input_shape=input_shape,
        engines=options.names("--engines", engines) if engines else None,
        batches=options.counts("--batch", batch),
        threads=options.counts("--threads", threads) if threads else None,
        data=data,
        data_dir=data_dir,
        precision=options.fraction("--precision", precision),
        budget_s=options.seconds("--budget", budget) if budget else None,
        quick=quick,
        seed=seed,
        timeout_s=options.seconds("--timeout", timeout),
    )
    with _stoppable("run"), _bar() as advance:
        record = study.run(request, output, advance)
    _answer(record, as_json=as_json)
    _note(f"int8bench: the record with all samples is in {output}; see it again with: int8bench report {output}")
    raise typer.Exit(_exit_code(record))


@app.command()
def report(
    record: Annotated[Path, typer.Argument(metavar="RUN.json", help="A record that 'int8bench run' wrote.")],
    *,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write an offline HTML page there.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show a stored run again, from its file alone."""
    from int8bench import records

    loaded = records.load(record)
    if output is not None:
        from int8bench.report import page

        records.write_text(output, page.page(loaded))
        _note(f"int8bench: the page is in {output}")
    else:
        _answer(loaded, as_json=as_json)


@app.command()
def train(
    *,
    model: Model = "simplecnn",
    data: Data = "digits",
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
    from int8bench import subject

    with _stoppable("train"), _bar() as advance:
        trained = subject.train(
            model=model,
            data=data,
            data_dir=data_dir,
            input_shape=input_shape,
            epochs=epochs,
            seed=seed,
            output=output,
            advance=advance,
        )
    print(
        json.dumps(trained.to_dict(), indent=2)
        if as_json
        else f"{model} on {data}: validation accuracy {trained.accuracy:.2%} after {trained.epochs} epochs; "
        f"checkpoint in {output}"
    )


@app.command()
def trials(
    *,
    engine: Annotated[str, typer.Option("--engine", help="The int8 engine that is raced with itself.")] = "fbgemm",
    batch: Annotated[str, typer.Option("--batch", help="Batch sizes with commas between.")] = "1,32",
    threads: Annotated[str, typer.Option("--threads", help="Thread counts with commas between.")] = "1,2",
    races: Annotated[int, typer.Option("--races", min=1, help="Races in each cell.")] = 40,
    slowed: Annotated[bool, typer.Option("--slowed", help="Slow one side by 2 %: 51 calls against 50.")] = False,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Every outcome; an unfinished trial there is gone on with.")
    ] = Path("int8bench-trials.json"),
) -> None:
    """Try our own verdicts on this machine: the same code against itself, or against a known slow-down."""
    from int8bench import subject
    from int8bench import trials as lab_trials

    groups = lab_trials.groups_of(options.counts("--batch", batch), options.counts("--threads", threads))
    with _stoppable("trials"), _bar() as advance:
        order = subject.default_subject(advance)
        rows = lab_trials.run_trials(order, engine, groups, races=races, slowed=slowed, output=output, advance=advance)
    print(json.dumps(lab_trials.tallies(rows), indent=2))


def main() -> None:
    """The entry point: every error of ours is one sentence and an exit code."""
    try:
        app()
    except Int8BenchError as error:
        _note(f"int8bench: {error}")
        sys.exit(error.exit_code)


@contextmanager
def _stoppable(what: str) -> Iterator[None]:
    """Turns Ctrl-C into a sentence; what was written before stays."""
    try:
        yield
    except KeyboardInterrupt:
        raise NothingMeasuredError(f"{what} stopped before it was done; type the same command to start again") from None


def _answer(record: "Run", *, as_json: bool) -> None:
    from int8bench import records
    from int8bench.report import text

    print(records.dumps(record) if as_json else text.render(record, **_screen()))


def _exit_code(record: "Run") -> int:
    if not any(cell.status == "ok" for cell in record.cells):
        return EXIT_CANNOT_TELL
    return EXIT_BAD_NEWS if any(finding["severity"] == "error" for finding in record.findings) else EXIT_FINE


def _screen() -> dict[str, Any]:
    """How wide and how colourful the answer may be: for a person at a terminal, or for a file."""
    import shutil

    on_terminal = sys.stdout.isatty()
    return {"width": shutil.get_terminal_size((120, 40)).columns if on_terminal else 120, "colour": on_terminal}


def _note(sentence: str) -> None:
    print(sentence, file=sys.stderr)


@contextmanager
def _status(what: str) -> Iterator[None]:
    from rich.console import Console

    with Console(stderr=True).status(what) if sys.stderr.isatty() else _nothing():
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _bar() -> Iterator[Callable[["Progress"], None]]:
    """A progress bar with the time left, on standard error, where that is a terminal; a line a phase elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    if not sys.stderr.isatty():
        yield _phase_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
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
