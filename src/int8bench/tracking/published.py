"""What a record publishes to asv: one number a benchmark and its parameters, with its interval. Pure.

The names are those of the classes in the project's `benchmarks/`; `tests/tracking/test_published.py` holds the two
together.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from int8bench.study.cells import BEST, Cell, Peak, Throughput, known, measured
from int8bench.study.racing import launch_table
from int8bench.study.records import Run
from int8bench.tracking.side import SidePoint
from int8bench.workload.cases import CHANNELS_LAST, FLOAT32, INT8

Values = Mapping[str, Mapping[tuple[str, ...], float]]
"""Benchmark -> parameters in asv's order and spelling -> number."""


def points(run: Run, health: Mapping[tuple[str, str], int]) -> tuple[SidePoint, ...]:
    """Return every number of a record that the suite publishes.

    Args:
        run: a finished record.
        health: how many findings each (engine, severity) has on this machine.
    """
    cells = [cell for cell in measured(run.cells) if _published(cell)]
    rows: list[SidePoint] = []
    for cell in cells:
        rows += [*_speedups(cell, run), *_costs(cell)]
    for cell in {_contender(cell): cell for cell in cells}.values():
        rows += [*_sizes(cell), *_fidelity(cell)]
    rows += [
        _exactly("health.Findings.track_count", {"engine": engine, "severity": severity}, float(count))
        for (engine, severity), count in health.items()
    ]
    return tuple(rows)


def values(found: Sequence[SidePoint]) -> Values:
    """Return the numbers of points alone, as a benchmark looks them up."""
    table: dict[str, dict[tuple[str, ...], float]] = {}
    for point in found:
        table.setdefault(point.benchmark, {})[tuple(point.params.values())] = point.value
    return table


def _published(cell: Cell) -> bool:
    """Tell whether a cell is published: int8, and float32 in the layout that int8 likes.

    Plain NCHW is only raced along.
    """
    return cell.precision == INT8 or cell.layout == CHANNELS_LAST


def _contender(cell: Cell) -> str:
    return FLOAT32 if cell.precision == FLOAT32 else cell.engine


def _speedups(cell: Cell, run: Run) -> Iterator[SidePoint]:
    best = cell.speedup(BEST)
    if best is None:
        return
    reference = next(each for each in run.cells if each.id == best.reference)
    table = launch_table(reference.samples.races, cell.samples.races)
    assert table is not None, "a cell that has a speed-up has launches enough"
    for name, value, low, high in (
        ("track_speedup", best.value, best.low, best.high),
        ("track_relative_time", 1 / best.value, 1 / best.high, 1 / best.low),
    ):
        params = {"batch": cell.batch, "threads": cell.threads}
        point = _point(f"speedup.Speedup.{name}", params, value, low, high, launches=best.launches, forks=best.forks)
        yield replace(point, pairs=best.pairs, log_ratios=table.log_ratios)


def _costs(cell: Cell) -> Iterator[SidePoint]:
    params = {"contender": _contender(cell), "batch": cell.batch, "threads": cell.threads}
    yield _within("cost.Throughput.track_items_per_second", params, known(cell.throughput_items_per_s), cell)
    yield _within("cost.PeakMemory.track_bytes", params, known(cell.memory_bytes).peak_delta, cell)
    yield _exactly("cost.ColdCall.track_seconds", params, known(cell.cold_s))


def _sizes(cell: Cell) -> Iterator[SidePoint]:
    memory, params = known(cell.memory_bytes), {"contender": _contender(cell)}
    yield _exactly("cost.Size.track_weight_bytes", params, memory.weights)
    yield _exactly("cost.Size.track_serialized_bytes", params, memory.serialized)


def _fidelity(cell: Cell) -> Iterator[SidePoint]:
    if cell.precision != INT8:
        return
    fidelity, params = known(cell.fidelity), {"engine": cell.engine}
    if fidelity.sqnr_db is not None:
        yield _exactly("fidelity.Fidelity.track_sqnr_db", params, fidelity.sqnr_db)
    yield _exactly("fidelity.Fidelity.track_agreement", params, fidelity.agreement)


def _within(benchmark: str, params: Mapping[str, object], interval: Throughput | Peak, cell: Cell) -> SidePoint:
    forks = len(cell.samples.solos)  # one fork of each launch measures a contender alone
    return _point(benchmark, params, interval.value, interval.low, interval.high, launches=forks, forks=forks)


def _exactly(benchmark: str, params: Mapping[str, object], value: float) -> SidePoint:
    """Return the point of a number without an interval: counted, not estimated."""
    return _point(benchmark, params, value, value, value, launches=1, forks=1)


def _point(
    benchmark: str, params: Mapping[str, object], value: float, low: float, high: float, *, launches: int, forks: int
) -> SidePoint:
    """Return the point of a number that is no ratio of paired samples.

    Parameters are spelled as asv does, by their repr.
    """
    return SidePoint(
        benchmark=benchmark,
        params={name: repr(each) for name, each in params.items()},
        value=value,
        low=low,
        high=high,
        launches=launches,
        forks=forks,
        pairs=0,
        log_ratios=(),
    )
