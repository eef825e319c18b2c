"""The asv suite of a side: found and spelled as asv does, set up once, and told what cannot be measured."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).parents[3] / "helpers" / "peer_driver.py"
CONFIGURATION = """// as people write it
{"version": 1, "project": "toy", "repo": ".", "benchmark_dir": "speed", /* a folder */}
"""
# What a benchmark did, in order, and in which folder.
COMMON = """
import os

def log(*words):
    with open(os.environ["LOG"], "a") as file:
        print(*words, file=file)

class Benchmark:
    shared = "from common"
"""
COMBINED = list(itertools.product(("mem", "peakmem"), (8, 16), ("'a'", "'b c'")))
MIB = 1 << 20
Told = Mapping[str, Any]
Opens = Callable[[Mapping[str, str]], Told]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the benchmarks of a test write what they did."""
    path = tmp_path / "log"
    path.touch()
    return path


@pytest.fixture
def opens(tmp_path: Path, log: Path) -> Opens:
    """Writes a suite and enters all of it; what the driver told."""

    def open_project(files: Mapping[str, str]) -> Told:
        project = tmp_path / "project"
        for name, content in {"asv.conf.json": CONFIGURATION, "speed/__init__.py": "", **files}.items():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            (project / name).write_text(content, encoding="utf-8")
        (project / "speed" / "common.py").write_text(COMMON, encoding="utf-8")
        return told(project, tmp_path / "answer.json", log)

    return open_project


def driven(project: Path, answer: Path, log: Path) -> "subprocess.CompletedProcess[str]":
    """The driver's run, in an empty folder for what is temporary."""
    place = answer.parent / "temporary"
    place.mkdir(exist_ok=True)
    environment = {**os.environ, "LOG": str(log), "TMPDIR": str(place)}
    command = [sys.executable, "-P", str(DRIVER), "asv", str(project), str(answer)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place, timeout=120, check=False)


def told(project: Path, answer: Path, log: Path) -> Told:
    """What the driver told of a project."""
    done = driven(project, answer, log)
    assert done.returncode == 0, done.stderr
    return json.loads(answer.read_text(encoding="utf-8"))


def test_ids_are_spelled_as_asv_spells_them(opens: Opens) -> None:
    """Functions and methods, in packages and out, each combination of parameters; what is left out is told."""
    suite = opens(
        {
            "speed/__init__.py": "def time_root(): pass",
            "speed/deep/__init__.py": "",
            "speed/deep/inner.py": "def track_one(): return 1",
            "speed/bench.py": """
from .common import Benchmark

class Suite(Benchmark):
    params = [[8, 16], ["a", "b c"]]
    param_names = ["n", "kind"]
    def time_x(self, n, kind): return [n, kind, self.shared]
    def timeraw_y(self, n, kind): return "pass"
    def mem_z(self, n, kind): return []
    def peakmem_z(self, n, kind): pass
    def helper(self, n, kind): pass

def track_n(n): return 2 * n
track_n.params = [len, len, 3]
track_n.skip_params = [(3,)]
def TimeOld(): pass
def _time_hidden(): pass
""",
        }
    )
    assert suite["names"] == {
        "time_root": "time",
        "bench.Suite.time_x(8, 'a')": "time",
        "bench.Suite.time_x(8, 'b c')": "time",
        "bench.Suite.time_x(16, 'a')": "time",
        "bench.Suite.time_x(16, 'b c')": "time",
        "bench.Suite.timeraw_y(8, 'a')": "fresh",
        "bench.Suite.timeraw_y(8, 'b c')": "fresh",
        "bench.Suite.timeraw_y(16, 'a')": "fresh",
        "bench.Suite.timeraw_y(16, 'b c')": "fresh",
        **dict.fromkeys((f"bench.Suite.{kind}_z({n}, {it})" for kind, n, it in COMBINED), "track"),
        "bench.TimeOld": "time",
        "bench.track_n(<built-in function len> (0))": "track",
        "bench.track_n(<built-in function len> (1))": "track",
        "deep.inner.track_one": "track",
    }
    assert {name: reason.split()[0] for name, reason in suite["left_out"].items()} == {
        "bench.track_n(3)": "its",
    }
    assert suite["entered"]["bench.Suite.time_x(16, 'b c')"] == {"opened": [[[16, "b c", "from common"]] * 3]}
    assert suite["entered"]["deep.inner.track_one"] == {"opened": [{"value": 1.0}]}


def test_ids_are_those_that_asv_itself_lists(opens: Opens, tmp_path: Path) -> None:
    """The discovery of asv names the same benchmarks with the same parameters."""
    suite = opens(
        {
            "speed/bench.py": """
class Suite:
    params = ([1, 1.5], [None, "x"])
    def time_x(self, a, b): pass
    def track_y(self, a, b): return 0
    def timeraw_z(self, a, b): return "pass"
    def peakmem_z(self, a, b): pass
    def mem_z(self, a, b): return []
def time_f(): pass
time_f.benchmark_name = "other.time_renamed"
""",
            "speed/again.py": "from .bench import Suite, time_f",
        }
    )
    listed = tmp_path / "listed.json"
    program = "import sys; from asv_runner.discovery import _discover; _discover(sys.argv[1:])"
    root = tmp_path / "project" / "speed"
    subprocess.run([sys.executable, "-P", "-c", program, root, listed], check=True, capture_output=True, timeout=60)
    spelled = {
        f"{each['name']}({a}, {b})" if each["params"] else each["name"]
        for each in json.loads(listed.read_text(encoding="utf-8"))
        for a in (each["params"] or [[None]])[0]
        for b in (each["params"] or [[None], [None]])[1]
    }
    assert set(suite["names"]) == spelled
    assert len(spelled) == 41


def test_a_benchmark_is_set_up_once_and_torn_down(opens: Opens, log: Path) -> None:
    """The module's setup comes before the class's, the teardown after; in between nothing but calls."""
    suite = opens(
        {
            "speed/bench.py": """
from .common import log
def setup(*args): log("module", *args)
class Suite:
    params = [7]
    def setup(self, n): self.n = n; log("setup", n)
    def time_x(self, n): log("call"); return self.n
    def teardown(self, n): log("teardown", n)
"""
        }
    )
    assert suite["entered"] == {"bench.Suite.time_x(7)": {"opened": [[7, 7, 7]]}}
    assert log.read_text().splitlines() == ["module 7", "setup 7", "call", "call", "call", "teardown 7"]


@pytest.mark.parametrize("said", ["number = 1", "def setup(self): self.number = 1; log('setup')"])
def test_a_benchmark_that_uses_its_setup_up_gets_a_new_one_before_every_call(
    opens: Opens, log: Path, said: str
) -> None:
    """`number = 1`, of the class or set by its setup, means a setup a call, and no idle one."""
    opens(
        {
            "speed/bench.py": f"""
from .common import log
class Suite:
    def setup(self): log("setup")
    {said}
    def time_x(self): log("call")
    def teardown(self): log("teardown")
"""
        }
    )
    assert log.read_text().splitlines() == ["setup", "call", "teardown"] * 3


def test_a_text_is_timed_in_fresh_interpreters(opens: Opens, log: Path) -> None:
    """Set up once, as asv does, though a fresh process is a call of its own; with its `number` and its variables."""
    suite = opens(
        {
            "speed/bench.py": """
import os
from .common import log
class Suite:
    params = ["a"]
    number = 2
    env = {"OWN": 1}
    def setup(self, it): log("setup", os.getpid() != os.getppid())
    def timeraw_x(self, it):
        log("asked")
        wrote = f"print('run {it}', os.environ['OWN'], file=open({os.environ['LOG']!r}, 'a'))"
        return wrote, "import os, json"
    def teardown(self, it): log("teardown")
""",
        }
    )
    came = suite["entered"]["bench.Suite.timeraw_x('a')"]["opened"]
    assert [set(each) for each in came] == [{"s", "seen"}]
    assert all(each > 0 for each in came[0]["s"])
    sample = ["asked", "run a 1", "run a 1"]
    assert log.read_text().splitlines() == ["setup True", *sample * 3, "teardown"]


def test_a_text_that_fails_is_told(opens: Opens) -> None:
    """With the last line that its interpreter said."""
    suite = opens({"speed/bench.py": "def timeraw_x(): return 'import nowhere_at_all'"})
    assert list(suite["entered"].values()) == [
        {"opened": [], "error": "RuntimeError: ModuleNotFoundError: No module named 'nowhere_at_all'"}
    ]


def test_what_a_text_imports_is_compiled_once_and_kept_apart(
    opens: Opens, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user compiles a package once; without that, most of an import would be the compiler. The tree stays clean."""
    package = tmp_path / "path" / "toy_of_texts.py"
    package.parent.mkdir()
    package.write_text(
        f"import os\nprint(os.path.exists(__cached__), __file__, file=open({str(log)!r}, 'a'))", encoding="utf-8"
    )
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # as a side has it
    opens({"speed/bench.py": "def timeraw_x(): return 'import toy_of_texts'"})
    assert log.read_text().splitlines() == [f"True {package}"] * 3
    assert list(package.parent.iterdir()) == [package]


@pytest.mark.skipif(sys.platform != "linux", reason="the peak can be reset on Linux only")
def test_the_peak_is_that_of_the_call_with_what_its_setup_holds(opens: Opens) -> None:
    """As asv counts it; what setup let go of, and what the module holds, is not the benchmark's."""
    suite = opens(
        {
            "speed/bench.py": f"""
held = bytearray(b"x") * (64 * {MIB})
def block(size): return bytearray(b"x") * (size * {MIB})
class Suite:
    params = [0, 8]
    def setup(self, size):
        block(48)
        self.kept = block(size)
    def peakmem_x(self, size): block(16)
    def peakmem_y(self, size): pass
""",
        }
    )
    peaks = {name: came["opened"][0]["peak_memory"] / MIB for name, came in suite["entered"].items()}
    assert peaks == {
        "bench.Suite.peakmem_x(0)": pytest.approx(16, abs=1),
        "bench.Suite.peakmem_x(8)": pytest.approx(24, abs=1),
        "bench.Suite.peakmem_y(0)": 1.0,
        "bench.Suite.peakmem_y(8)": pytest.approx(8, abs=1),
    }


def test_the_size_of_an_object_is_what_asv_says(opens: Opens) -> None:
    """By its own class: what a copy adds."""
    suite = opens({"speed/bench.py": "def mem_x(): return list(range(1000))\ndef mem_y(): return [[0] * 10]"})
    from asv_runner.benchmarks.mem import MemBenchmark

    for name, value in (("mem_x", list(range(1000))), ("mem_y", [[0] * 10])):
        expected = MemBenchmark(name, lambda value=value: value, []).run()
        assert suite["entered"][f"bench.{name}"] == {"opened": [{"size": expected}]}


def test_without_pympler_the_size_of_an_object_is_left_out(
    opens: Opens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And said, where asv does not even name the benchmark."""
    (tmp_path / "pympler.py").write_text("raise ImportError('not here')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    suite = opens(
        {"speed/bench.py": "def mem_x(): pass\ndef mem_y(): pass\nmem_y.skip_benchmark = True\ndef time_x(): pass"}
    )
    assert set(suite["names"]) == {"bench.time_x"}
    assert suite["left_out"] == {"bench.mem_x": "mem_ needs pympler, which is not installed there"}


def test_no_benchmark_runs_while_a_suite_is_opened(opens: Opens, log: Path) -> None:
    """Neither setup nor setup_cache nor the benchmark is called before it is entered."""
    opens(
        {
            "speed/bench.py": """
import atexit, os
from .common import log
class Suite:
    def setup_cache(self): log("cache")
    def setup(self): log("setup")
    def time_x(self): log("call")
atexit.register(lambda: log("end"))
""",
            "speed/zebra.py": "from .common import log\nlog('all imported')",
        }
    )
    assert log.read_text().splitlines() == ["all imported", "cache", "setup", *["call"] * 3, "end"]


def test_a_setup_cache_runs_once_and_its_result_and_files_reach_every_fork(opens: Opens, log: Path) -> None:
    """It runs in a process of its own, so that the first fork is like the others; a shared one is shared."""
    suite = opens(
        {
            "speed/bench.py": """
import os
from .common import log
class Suite:
    params = [1, 2]
    state = "untouched"
    def setup_cache(self):
        self.state = "touched"
        with open("made", "w") as file: file.write("file")
        log("cache")
        return {"big": 5}
    def setup(self, cache, n): self.n = n
    def time_x(self, cache, n): return [cache["big"], n, self.state, open("made").read()]
    def track_y(self, cache, n): return cache["big"] * n
class Silent(Suite):
    params = []
    def setup_cache(self): log("silent")
    def setup(self): pass
    def time_x(self): return sorted(os.listdir())
    track_y = None
"""
        }
    )
    assert {name: each["opened"] for name, each in suite["entered"].items()} == {
        "bench.Silent.time_x": [[["cache.pickle", "lock"]] * 3],
        "bench.Suite.time_x(1)": [[[5, 1, "untouched", "file"]] * 3],
        "bench.Suite.time_x(2)": [[[5, 2, "untouched", "file"]] * 3],
        "bench.Suite.track_y(1)": [{"value": 5.0}],
        "bench.Suite.track_y(2)": [{"value": 10.0}],
    }
    assert sorted(log.read_text().splitlines()) == ["cache", "silent"]


def test_a_setup_cache_that_fails_fails_its_benchmarks_alone_and_is_not_tried_again(opens: Opens, log: Path) -> None:
    """The sentence of the error reaches each of them."""
    suite = opens(
        {
            "speed/bench.py": """
from .common import log
class Broken:
    params = [1, 2]
    def setup_cache(self): log("tried"); raise OSError("no disk\\nleft")
    def time_x(self, cache, n): pass
class Killed:
    def setup_cache(self):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    def time_x(self): pass
def time_fine(): return 1
"""
        }
    )
    failed = "RuntimeError: setup_cache failed: OSError: no disk"
    assert suite["entered"] == {
        "bench.Broken.time_x(1)": {"opened": [], "error": failed},
        "bench.Broken.time_x(2)": {"opened": [], "error": failed},
        "bench.Killed.time_x": {
            "opened": [],
            "error": "RuntimeError: setup_cache failed: its process ended with -9",
        },
        "bench.time_fine": {"opened": [[1, 1, 1]]},
    }
    assert log.read_text().splitlines() == ["tried"]


def test_a_module_that_fails_to_import_is_told_and_the_rest_goes_on(opens: Opens) -> None:
    """With the first line of its error; so is a class that cannot be made."""
    suite = opens(
        {
            "speed/bench.py": "def time_x(): return 1",
            "speed/broken.py": "import no_such_library",
            "speed/ended.py": "raise SystemExit('not here\\nat all')",
            "speed/pack/__init__.py": "1 / 0",
            "speed/pack/below.py": "def time_y(): pass",
            "speed/wrong.py": "class Suite:\n def __init__(self): raise OSError('no device')\n def time_z(self): pass",
        }
    )
    assert suite["entered"] == {"bench.time_x": {"opened": [[1, 1, 1]]}}
    assert suite["left_out"] == {
        "broken": "ModuleNotFoundError: No module named 'no_such_library'",
        "ended": "SystemExit: not here",
        "pack": "ZeroDivisionError: division by zero",
        "wrong.Suite.time_z": "OSError: no device",
    }


SAYING = """
class Suite:
    {setup}
    def {method}
    def teardown(self): pass
"""


@pytest.mark.parametrize(
    ("setup", "method", "came"),
    [
        (
            "def setup(self): raise NotImplementedError('no AVX2')",
            "time_x(self): pass",
            {"opened": [], "skipped": "no AVX2"},
        ),
        (
            "def setup(self): raise NotImplementedError",
            "time_x(self): pass",
            {"opened": [], "skipped": "its setup raised NotImplementedError"},
        ),
        (
            "",
            "time_x(self): from asv_runner.benchmarks.mark import SkipNotImplemented as S; raise S('late')",
            {"opened": [], "skipped": "late"},
        ),
        (
            "",
            "time_x(self): raise NotImplementedError('a fault')",
            {"opened": [], "error": "NotImplementedError: a fault"},
        ),
        ("def setup(self): self.x = {}['gone']", "time_x(self): pass", {"opened": [], "error": "KeyError: 'gone'"}),
        (
            "",
            "track_x(self): return float('nan')",
            {"opened": [], "skipped": "it gave nan, which is asv's word for nothing measured"},
        ),
        (
            "",
            "track_x(self): return None",
            {"opened": [], "skipped": "it gave None, which is asv's word for nothing measured"},
        ),
        (
            "",
            "track_x(self): return float('inf')",
            {"opened": [], "error": "ValueError: it gave inf, expected a finite number"},
        ),
        ("", "track_x(self): return 'fast'", {"opened": [], "error": "TypeError: must be real number, not str"}),
        ("def teardown(self): pass", "track_x(self): return True", {"opened": [{"value": 1.0}]}),
    ],
)
def test_what_a_benchmark_says_of_itself_is_told(opens: Opens, setup: str, method: str, came: Told) -> None:
    """A skip with its reason, a fault with its sentence."""
    suite = opens({"speed/bench.py": SAYING.format(setup=setup, method=method)})
    assert list(suite["entered"].values()) == [came]


def test_what_skips_itself_halfway_is_torn_down_and_a_fault_there_is_not_the_reason(opens: Opens, log: Path) -> None:
    """As asv does; the reason stays the skip."""
    suite = opens(
        {
            "speed/bench.py": """
from .common import log
class Suite:
    def setup(self): raise NotImplementedError("half")
    def time_x(self): pass
    def teardown(self): log("teardown"); self.gone.close()
"""
        }
    )
    assert suite["entered"] == {"bench.Suite.time_x": {"opened": [], "skipped": "half"}}
    assert log.read_text().splitlines() == ["teardown"]


def test_a_benchmark_runs_in_an_empty_folder_and_nothing_of_it_stays(opens: Opens, tmp_path: Path) -> None:
    """Files that it makes are in nobody's way."""
    suite = opens(
        {
            "speed/bench.py": """
import os
def time_x():
    open("made", "a").close()
    return os.listdir()
def time_y(): return os.listdir()
"""
        }
    )
    assert [each["opened"] for each in suite["entered"].values()] == [[[["made"]] * 3], [[[]] * 3]]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_the_project_beside_the_suite_does_not_hide_the_measured_one(opens: Opens) -> None:
    """The folder of asv.conf.json is not on the path."""
    suite = opens({"speed/bench.py": "import sys\ndef time_x(): pass\nimport toy", "toy.py": "x = 1"})
    assert suite["left_out"] == {"bench": "ModuleNotFoundError: No module named 'toy'"}


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "no asv.conf.json; --suite asv needs the folder that has it"),
        ({"asv.conf.json": CONFIGURATION}, "no __init__.py; asv's benchmark_dir is a package"),
        ({"asv.conf.json": "[1]"}, "list, expected a JSON object"),
    ],
)
def test_a_folder_that_is_no_suite_is_a_sentence(
    tmp_path: Path, log: Path, files: Mapping[str, str], sentence: str
) -> None:
    """What is missing, and where."""
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    done = driven(tmp_path, tmp_path / "answer.json", log)
    assert sentence in done.stderr.splitlines()[-1]


def test_both_names_of_the_configuration_and_asvs_own_default_are_known(tmp_path: Path, log: Path) -> None:
    """asv.conf.jsonc, and `benchmarks` where no folder is named."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").write_text("def time_x(): return 4", encoding="utf-8")
    (tmp_path / "asv.conf.jsonc").write_text("{} // nothing", encoding="utf-8")
    assert told(tmp_path, tmp_path / "answer.json", log)["entered"] == {"time_x": {"opened": [[4, 4, 4]]}}
