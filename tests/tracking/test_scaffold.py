"""What init writes into somebody else's repository, and when it refuses."""

import ast
import json
import subprocess
from pathlib import Path

import pytest
import yaml
from asv.config import Config

from int8bench.errors import RequestError
from int8bench.tracking import scaffold

SUBJECT = scaffold.ScaffoldSubject(model="pkg.models:make", input_shape="3x32x32", data="digits", engine="fbgemm")
OWN_SUITE = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty repository."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def test_everything_is_written_once(repository: Path) -> None:
    """A configuration, the suite, performance tests and a workflow."""
    names = {path.relative_to(repository).as_posix() for path in scaffold.write(SUBJECT, repository)}
    assert {"asv.conf.json", "tests/perf/test_int8.py", ".github/workflows/int8bench.yml"} < names
    assert {f"benchmarks/{each.name}" for each in OWN_SUITE.glob("*.py")} < names
    assert all((repository / name).exists() for name in names)


def test_the_suite_is_the_projects_own_with_another_subject(repository: Path) -> None:
    """Module by module, but for `_subject.py`."""
    scaffold.write(SUBJECT, repository)
    for own in OWN_SUITE.glob("*.py"):
        written = (repository / "benchmarks" / own.name).read_text(encoding="utf-8")
        assert (written == own.read_text(encoding="utf-8")) is (own.name != "_subject.py"), own.name


def test_the_projects_own_subject_is_the_template_rendered() -> None:
    """So that template and suite cannot part."""
    own = scaffold.ScaffoldSubject(model="simplecnn", input_shape=None, data="digits", engine="fbgemm")
    written = scaffold.contents(own, project="int8bench", packaged=True)
    assert written["benchmarks/_subject.py"] == (OWN_SUITE / "_subject.py").read_text(encoding="utf-8")


def test_what_is_written_parses(repository: Path) -> None:
    """Python, asv's JSON and YAML."""
    for path in scaffold.write(SUBJECT, repository):
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            ast.parse(text)
        elif path.suffix == ".yml":
            assert yaml.safe_load(text)["jobs"]["int8bench"]["steps"]
    assert Config.load(str(repository / "asv.conf.json")).benchmark_dir == "benchmarks"
    assert 'MODEL = "pkg.models:make"' in (repository / "benchmarks/_subject.py").read_text(encoding="utf-8")


def test_a_known_model_needs_no_shape() -> None:
    """None is written, not the string of it."""
    subject = scaffold.ScaffoldSubject(model="resnet18", input_shape=None, data="digits", engine="x86")
    text = scaffold.contents(subject, project="p", packaged=False)["benchmarks/_subject.py"]
    assert "INPUT_SHAPE = None" in text
    assert 'ENGINE = "x86"' in text


def test_only_a_package_is_installed_in_the_workflow() -> None:
    """A repository without a build file cannot be installed by pip."""
    workflow = ".github/workflows/int8bench.yml"
    steps = {
        packaged: scaffold.contents(SUBJECT, project="p", packaged=packaged)[workflow] for packaged in (True, False)
    }
    assert "pip install . int8bench" in steps[True]
    assert "pip install int8bench" in steps[False]


@pytest.mark.parametrize("name", ["asv.conf.json", "benchmarks/latency.py", "tests/perf/test_int8.py"])
def test_nothing_is_overwritten(repository: Path, name: str) -> None:
    """One file in the way stops it all, and nothing is written."""
    (repository / name).parent.mkdir(parents=True, exist_ok=True)
    (repository / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RequestError, match=name):
        scaffold.write(SUBJECT, repository)
    assert [path.read_text(encoding="utf-8") for path in repository.rglob("*") if _mine(path, repository)] == ["mine"]


def _mine(path: Path, repository: Path) -> bool:
    return path.is_file() and ".git" not in path.relative_to(repository).parts


def test_outside_of_a_repository_is_a_sentence(tmp_path: Path) -> None:
    """The suite needs commits to be run across."""
    with pytest.raises(RequestError, match="git init"):
        scaffold.write(SUBJECT, tmp_path)


def test_the_plug_in_is_named_as_asv_looks_for_it(repository: Path) -> None:
    """With a leading dot; without one asv looks in its own folder alone, and says nothing."""
    scaffold.write(SUBJECT, repository)
    for folder in (repository, OWN_SUITE.parent):
        assert Config.load(str(folder / "asv.conf.json")).plugins == [".int8bench.tracking.dashboard"]


def test_the_alarm_is_on_the_paired_figure_alone(repository: Path) -> None:
    """In what is written as in the project's own configuration, plain times raise none."""
    scaffold.write(SUBJECT, repository)
    written = Config.load(str(repository / "asv.conf.json")).regressions_thresholds
    own = Config.load(str(OWN_SUITE.parent / "asv.conf.json")).regressions_thresholds
    assert json.dumps(written) == json.dumps(own)
    assert sorted(own.values()) == [0.02, 1000000.0]
