"""The program of a side: ``python -P .../lab/agent FD PARENT``; opens a suite, then forks a process a benchmark.

It has no thread and starts none, so that its forks are whole; it ends with the coordinator, and its forks with it.
"""

import _socket  # the type under `socket.socket`, which suites put guards in the place of
import gc
import importlib
import importlib.util
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

receive_descriptors = socket.recv_fds  # before a suite blocks it
NAME = "_int8bench_agent"  # so that `int8bench` stays free for the side's own
MODULES = ("origins", "turns", "mortal", "suites.suite", "luck")  # what forks use, imported before them
SUITES = {"grid": "suites.grid_suite", "asv": "suites.asv_suite", "pytest": "suites.pytest_suite"}
MOST_WORDS = 300  # characters of a fault that are worth telling


def main() -> None:
    """Opens the suite it is sent, says what is in it, and serves forks until the coordinator goes."""
    _load_package()
    mortal = importlib.import_module(f"{NAME}.mortal")
    mortal.end_group_with(int(sys.argv[2]))
    wire = importlib.import_module(f"{NAME}.wire")
    line = wire.Line(_socket.socket(fileno=int(sys.argv[1])))
    try:
        order = line.receive()
    except EOFError:
        return
    opened = _open(order)
    line.send(opened["told"])
    if opened["suite"] is not None:
        gc.collect()
        gc.freeze()  # forks share these pages; a collection in a fork would copy them
        _serve(line, opened)
    mortal.end_group()


def _load_package() -> None:
    """Makes this folder importable as `NAME`, whatever else is called int8bench here."""
    folder = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


def _open(order: dict[str, Any]) -> dict[str, Any]:
    """The suite that is asked for, and what is told of it: its names, what is left out, and where modules came from."""
    origins, *_ = (importlib.import_module(f"{NAME}.{each}") for each in MODULES)
    origins.begin_with(order.get("path", ()), order["packages"])
    luck = importlib.import_module(f"{NAME}.luck").Luck(order["seed"])
    luck.hold()
    broken = importlib.import_module(f"{NAME}.suites.suite").BrokenSuiteError
    try:
        suite = importlib.import_module(f"{NAME}.{SUITES[order['suite']]}").open_suite(
            order["folder"],
            {
                **order["options"],
                **{each: order.get(each, []) for each in ("packages", "path", "measured")},
                "again": luck.draw,
                "seed": order["seed"],
            },
        )
        told = {"names": dict(suite.names()), "left_out": dict(suite.left_out())}
    except broken as reason:
        return {"suite": None, "told": {"broken": str(reason)[:MOST_WORDS]}}
    except Exception as error:  # noqa: BLE001  whatever else is in the way is that side's sentence
        return {"suite": None, "told": {"error": _words(error)}}
    told |= {"origins": origins.of_packages(order["packages"])}
    return {"suite": suite, "told": told, "luck": luck}


def _serve(line: Any, opened: dict[str, Any]) -> None:  # noqa: ANN401  of the package that has another name here
    while True:
        try:
            asked = line.receive()
        except EOFError:
            return
        if "enter" in asked:
            line.send({"pid": _fork(line, opened, asked)})
        else:
            _, status = os.waitpid(asked["reap"], 0)
            line.send({"code": os.waitstatus_to_exitcode(status)})


def _fork(line: Any, opened: dict[str, Any], asked: dict[str, Any]) -> int:  # noqa: ANN401
    """Forks a process for one benchmark; the line to it came along with the request, as a descriptor."""
    wire = importlib.import_module(f"{NAME}.wire")
    _, descriptors, _, _ = receive_descriptors(line.socket, 1, 1)
    theirs = wire.Line(_socket.socket(fileno=descriptors[0]))
    parent = os.getpid()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads: the suite's, which may make errors of warnings
        pid = os.fork()
    if pid == 0:
        line.close()
        _live(theirs, opened, asked, parent)
    theirs.close()
    return pid


def _live(line: Any, opened: dict[str, Any], asked: dict[str, Any], parent: int) -> None:  # noqa: ANN401
    """A fork's whole life."""
    turns, mortal = (importlib.import_module(f"{NAME}.{each}") for each in ("turns", "mortal"))
    skipped = importlib.import_module(f"{NAME}.suites.suite").SkippedError
    try:
        mortal.die_with(parent)
        if asked["cores"] and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, asked["cores"])
        shift = bytearray(asked["shift"])  # moves the heap, so that no layout is the answer
        before = frozenset(sys.modules)
        opened["luck"].draw()  # Python seeds its generator anew in every fork
        measured: list[Any] = []

        def within(entered: Any) -> None:  # noqa: ANN401
            measured.append(entered)
            turns.take_turns(line, entered, _origins(measured, asked["packages"]))

        opened["suite"].enter(asked["enter"], within)
        del shift
        _tell(line, _loaded(measured, asked["packages"], before))
    except skipped as reason:
        _tell(line, {"skipped": str(reason)})
    except BaseException as error:  # noqa: BLE001  pytest's outcomes and SystemExit included
        _tell(line, {"error": _words(error)})
    finally:
        os._exit(0)


def _loaded(measured: list[Any], packages: list[str], before: frozenset[str]) -> dict[str, Any]:
    """Where modules came from, the calls' own imports among them; and what others were imported, where none are own."""
    found = _origins(measured, packages)
    origins = importlib.import_module(f"{NAME}.origins")
    others = {} if any(found.values()) else origins.of_others(before, Path.cwd())
    return {"origins": found, "others": others}


def _origins(measured: list[Any], packages: list[str]) -> dict[str, list[str]]:
    """Where modules came from in what is measured: this process, or those that it starts, so far."""
    seen = next((each.seen for each in measured if each.seen), None)
    found: dict[str, list[str]] = seen() if seen else importlib.import_module(f"{NAME}.origins").of_packages(packages)
    return found


def _tell(line: Any, message: dict[str, Any]) -> None:  # noqa: ANN401
    try:
        line.send(message)
    except OSError:
        os._exit(1)


def _words(error: BaseException) -> str:
    said: str = importlib.import_module(f"{NAME}.suites.suite").first_line(error)
    return said[:MOST_WORDS]


if __name__ == "__main__":
    main()
