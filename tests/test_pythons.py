"""Every Python that the classifiers name: `make types` checks its types, this its syntax where it is installed."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DECLARED = ("3.11", "3.12", "3.13", "3.14")
FOLDERS = ("src", "tests", "benchmarks", "scripts")
# A warning of a newer compiler (an escape that is none, a return in a finally) is an error of a later one.
COMPILED = """
import sys, warnings
from pathlib import Path
warnings.simplefilter("error")
names = [path for folder in sys.argv[1:] for path in Path(folder).rglob("*.py")]
for path in names:
    compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
print(len(names), "%d.%d" % sys.version_info[:2])
"""


def interpreter(version: str) -> str:
    """A python of that version on this machine; skips the test where there is none."""
    found = sys.executable if sys.version_info[:2] == tuple(map(int, version.split("."))) else None
    found = found or shutil.which(f"python{version}")
    told = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"] if found else ["false"]
    if subprocess.run(told, capture_output=True, text=True, check=False).stdout.strip() != version:
        pytest.skip(f"no python{version} is installed")
    assert found
    return found


def test_what_is_declared_is_what_is_checked() -> None:
    """The classifiers, the oldest Python that may install, ruff's target and the Makefile's list agree."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    named = [each.rpartition(" ")[2] for each in project["project"]["classifiers"] if ":: Python :: 3." in each]
    listed = re.search(r"^PYTHONS := (.*)$", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed
    assert named == listed[1].split() == list(DECLARED)
    assert project["project"]["requires-python"] == f">={DECLARED[0]}"
    assert project["tool"]["ruff"]["target-version"] == f"py{DECLARED[0].replace('.', '')}"


@pytest.mark.parametrize("version", DECLARED)
def test_every_file_compiles_without_a_warning(version: str) -> None:
    """With the interpreter of each version."""
    folders = [str(REPOSITORY / each) for each in FOLDERS]
    done = subprocess.run(
        [interpreter(version), "-c", COMPILED, *folders], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    count, by = done.stdout.split()
    assert int(count) > 200
    assert by == version
