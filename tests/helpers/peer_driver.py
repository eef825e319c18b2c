"""Opens a suite in a fresh interpreter and enters its benchmarks in forks, one by one, as a side's peer does.

Run as ``python peer_driver.py KIND FOLDER ANSWER [OPTIONS]``; what happened is written to ANSWER, nothing is printed.
"""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

CALLS = 3
PEER = Path(__file__).parents[2] / "src" / "int8bench" / "lab" / "agent"


def main(kind, folder, answer, options="{}"):
    """Opens, enters everything, and writes down what came of it."""
    _load_package()
    asked = {"suite": kind, "folder": folder, "packages": [], "path": [], "measured": [], "seed": 0}
    order = importlib.import_module("_int8bench_agent.wire").Open(**{**asked, **json.loads(options)})
    suite = importlib.import_module(f"_int8bench_agent.suites.{kind}_suite").open_suite(order, lambda: None)
    told = {"names": dict(suite.names()), "left_out": dict(suite.left_out())}
    told["entered"] = {name: _forked(suite, name) for name in told["names"]}
    Path(answer).write_text(json.dumps(told), encoding="utf-8")


def _load_package():
    """As a side's peer does, so that int8bench itself is not imported."""
    spec = importlib.util.spec_from_file_location("peer_program", PEER / "__main__.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    program._load_package()


def _forked(suite, name):
    """What one benchmark did in a process of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(_entered(suite, name), default=str).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.wait()
    return json.loads(said)


def _entered(suite, name):
    opened = []
    try:
        suite.enter(name, lambda given: opened.append(_used(given)))
    except importlib.import_module("_int8bench_agent.suites.suite").SkippedError as reason:
        return {"opened": opened, "skipped": str(reason)}
    except BaseException as error:  # noqa: BLE001  pytest's outcomes included
        return {"opened": opened, "error": f"{type(error).__name__}: {error}"}
    return {"opened": opened}


def _used(opened):
    """What the calls gave, the numbers, or the seconds of processes and where their modules came from."""
    if opened.values is not None:
        return dict(opened.values)
    if opened.timed is not None:
        return {"s": [opened.timed() for _ in range(CALLS)], "seen": dict(opened.seen())}
    results = []
    for _ in range(CALLS):
        if opened.before is not None:
            opened.before()
        results.append(opened.call())
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
