"""The asv suite: what asv finds in it, under which names, with which parameters; and when to raise a version."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from asv.config import Config

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests/golden/suite.json"
OF_A_CELL = ["'float32'", "'fbgemm'"], ["1", "8", "32", "128"], ["1", "2", "4", "8"]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """What asv discovers, in a process of its own as asv does it."""
    folder = tmp_path_factory.mktemp("discovery")
    program = "from asv_runner.discovery import _discover; import sys; _discover(sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(ROOT / "benchmarks"), str(folder / "found.json")],
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    return {each["name"]: each for each in json.loads((folder / "found.json").read_text(encoding="utf-8"))}


def test_names_say_what_is_measured(found: dict[str, dict]) -> None:
    """These names stand in other people's dashboards."""
    assert sorted(found) == [
        "cost.ColdCall.track_seconds",
        "cost.PeakMemory.track_bytes",
        "cost.Size.track_serialized_bytes",
        "cost.Size.track_weight_bytes",
        "cost.Throughput.track_items_per_second",
        "fidelity.Fidelity.track_agreement",
        "fidelity.Fidelity.track_sqnr_db",
        "health.Findings.track_count",
        "latency.Forward.time_forward",
        "speedup.Speedup.track_relative_time",
        "speedup.Speedup.track_speedup",
    ]


def test_parameters_are_the_same_on_every_machine(found: dict[str, dict]) -> None:
    """Plain strings and numbers, whatever this machine has."""
    assert found["latency.Forward.time_forward"]["params"] == list(OF_A_CELL)
    assert found["cost.PeakMemory.track_bytes"]["params"] == list(OF_A_CELL)
    assert found["speedup.Speedup.track_speedup"]["params"] == list(OF_A_CELL[1:])
    assert found["health.Findings.track_count"]["params"][0] == ["'fbgemm'", "'x86'", "'onednn'", "'qnnpack'"]


def test_all_that_is_tracked_comes_from_one_measurement(found: dict[str, dict]) -> None:
    """One setup_cache serves all of it, with time enough; plain times have none."""
    tracked = {name: each for name, each in found.items() if each["type"] == "track"}
    assert len({each["setup_cache_key"] for each in tracked.values()}) == 1
    assert {each["setup_cache_timeout"] for each in tracked.values()} == {900.0}
    assert found["latency.Forward.time_forward"].get("setup_cache_key") is None


def test_every_number_has_a_unit_and_a_name(found: dict[str, dict]) -> None:
    """As a person reads them in the dashboard."""
    for name, each in found.items():
        assert each["unit"] not in {None, "", "unit"}, name
        assert each["pretty_name"], name


def test_a_version_is_raised_when_the_workload_changes(found: dict[str, dict]) -> None:
    """Versions are set by hand: asv's own miss a change of the package, and drop results when a comment changes.

    Red after an edit of `benchmarks/`? If the same figure is still measured, run
    `python tests/test_benchmarks.py` to accept the new text; if not, raise `version` of the class first.
    """
    accepted = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert {name: each["version"] for name, each in found.items()} == accepted["versions"]
    assert _digests() == accepted["modules"]


def test_the_pins_of_the_configuration_are_those_of_the_project() -> None:
    """The build backend is the one pin that asv needs before a wheel can say what it needs."""
    requirements = Config.load(str(ROOT / "asv.conf.json")).matrix["req"]
    pinned = dict(
        re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert requirements == {name: [pinned[name]] for name in requirements}


def _digests() -> dict[str, str]:
    modules = sorted((ROOT / "benchmarks").glob("*.py"))
    return {module.name: hashlib.sha256(module.read_bytes()).hexdigest()[:16] for module in modules}


def _accept() -> None:
    accepted = json.loads(GOLDEN.read_text(encoding="utf-8"))
    GOLDEN.write_text(json.dumps({**accepted, "modules": _digests()}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _accept()
