"""Which of pytest-benchmark's stored runs were made on hardware like this; others fail nobody."""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from int8bench import machine
from int8bench.errors import Int8BenchError

FINGERPRINT = "int8bench_fingerprint"  # in pytest-benchmark's machine_info
MARK = "int8bench_not_comparable"  # in the figures of a stored run that is of another machine


def fingerprint_here() -> str | None:
    """Return this machine's fingerprint; None where the machine does not say what it is."""
    try:
        return machine.fingerprint(machine.detect())
    except Int8BenchError:
        return None


def unlike(machine_info: Mapping[str, Any], stored: object, *, strict: bool) -> bool:
    """Tell whether a stored run is of another machine.

    Args:
        machine_info: this machine's.
        stored: that of the run.
        strict: whether a run that does not say counts as one of another machine.
    """
    ours, theirs = machine_info.get(FINGERPRINT), fingerprint_of(stored)
    if ours is None or theirs is None:
        return strict
    return bool(ours != theirs)


def fingerprint_of(machine_info: object) -> str | None:
    """Return the fingerprint that a stored run carries; None where it carries none."""
    found = machine_info.get(FINGERPRINT) if isinstance(machine_info, Mapping) else None
    return found if isinstance(found, str) else None


def mark(run: Mapping[str, Any]) -> None:
    """Mark all figures of a stored run as not comparable; `OnLikeMachines` reads the mark."""
    for bench in run["benchmarks"]:
        bench["stats"][MARK] = True


def hide(infos: tuple[object, ...]) -> list[tuple[MutableMapping[str, Any], str]]:
    """Take the fingerprints out of descriptions of machines, and return them for `show` to put back.

    So nobody's comparison of machines sees a field more.
    """
    carrying = [info for info in infos if isinstance(info, MutableMapping) and FINGERPRINT in info]
    return [(info, info.pop(FINGERPRINT)) for info in carrying]


def show(hidden: list[tuple[MutableMapping[str, Any], str]]) -> None:
    """Put back the fingerprints that `hide` took out."""
    for info, fingerprint in hidden:
        info[FINGERPRINT] = fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class OnLikeMachines:
    """A check of ``--benchmark-compare-fail`` that does not judge by a run of another machine, but says so."""

    check: Any
    withheld: list[str]

    def fails(self, current: Any, compared: Mapping[str, Any]) -> str | None:  # noqa: ANN401  a benchmark of theirs
        """Return the failure that the check finds; None where it finds none, or the stored run is marked.

        Args:
            current: this session's figures of a benchmark, as pytest-benchmark has them.
            compared: the stored run's figures of it, marked where they are of another machine.
        """
        said: str | None = self.check.fails(current, compared)
        if said is not None and compared.get(MARK):
            self.withheld.append(f"{compared['fullname']} ({compared['source']}): {said}")
            return None
        return said
