"""A scratch repository of real commits of this project plus commits with one known regression each, to try verdicts on.

    python scripts/regressions.py FOLDER             # the tag `base`, and a tag a regression, each a commit upon base
    python scripts/regressions.py FOLDER --history   # one line of commits: real ones, a slow-down, a memory regression

Every regression is honest work: a call that is N % slower waits for N % of the time that its own forward took. Prints
JSON: the tags, and what is true of each.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PREDICTOR = "src/int8bench/engines/torch/predictor.py"
INT8 = "src/int8bench/engines/torch/int8.py"
FLOAT32 = "src/int8bench/engines/torch/float32.py"
FORWARD = """            select()
            return module(images)
"""
SLOWER = """            select()
            started = perf_counter()
            answer = module(images)
            until = perf_counter() + {share} * (perf_counter() - started)
            while perf_counter() < until:
                pass
            return answer
"""
CONVERTED = "            module = _convert(self.name, copy.deepcopy(prepared.module))\n"
CLOCK = ("import io\n", "import io\nfrom time import perf_counter\n")
KEPT_BYTES = 8 << 20
FOLLOWERS = 4  # commits behind each regression of a history, which say that it stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """A fault put into the package: edits (file, old, new), and what is true of it."""

    name: str
    truth: str
    edits: Sequence[tuple[str, str, str]]


def slower(percent: int) -> Regression:
    """Each int8 call takes that much longer."""
    body = SLOWER.format(share=percent / 100)
    return Regression(
        name=f"slower-{percent}",
        truth=f"int8 time x{1 + percent / 100}",
        edits=((PREDICTOR, *CLOCK), (PREDICTOR, FORWARD, body)),
    )


REGRESSIONS = (
    *(slower(percent) for percent in (2, 3, 5, 10)),
    Regression(
        name="no-channels-last",
        truth="float32 time above 1, speed-up above 1",
        edits=(
            (PREDICTOR, ".contiguous(memory_format=layout_format(layout))", ".contiguous()"),
            (FLOAT32, "module = module.to(memory_format=layout_format(CHANNELS_LAST))", "pass"),
        ),
    ),
    Regression(
        name="qnnpack",
        truth="int8 time above 1, speed-up below 1",
        edits=(
            (INT8, "torch.backends.quantized.engine = self.name", 'torch.backends.quantized.engine = "qnnpack"'),
            (INT8, "select=_selector(self.name)", 'select=_selector("qnnpack")'),
        ),
    ),
    Regression(
        name="memory-8mb",
        truth=f"int8 peak memory {KEPT_BYTES} bytes up",
        edits=(
            (
                INT8,
                CONVERTED,
                f"{CONVERTED}            module.kept = torch.ones({KEPT_BYTES // 4})\n",
            ),
        ),
    ),
    Regression(
        name="calibration",
        truth="SQNR below 1",
        edits=((INT8, "observed(_images(calibration[first", "observed(0.1 * _images(calibration[first"),),
    ),
)


def main() -> None:
    """Builds the repository and says what is true of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--history", action="store_true")
    asked = parser.parse_args()
    git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(asked.folder))
    made = history(asked.folder) if asked.history else alone(asked.folder)
    print(json.dumps(made, indent=2))


def alone(folder: Path) -> dict[str, str]:
    """A tag a regression, each upon the same base; its truth by tag."""
    git(folder, "tag", "base")
    for each in REGRESSIONS:
        git(folder, "checkout", "--quiet", "--detach", "base")
        commit(folder, each)
        git(folder, "tag", each.name)
    git(folder, "checkout", "--quiet", "--detach", "base")
    return {each.name: each.truth for each in REGRESSIONS}


def history(folder: Path) -> dict[str, str]:
    """One line of commits upon the real ones; its truth by tag."""
    chosen = [each for each in REGRESSIONS if each.name in {"slower-5", "memory-8mb"}]
    follow(folder)
    for each in chosen:
        commit(folder, each)
        git(folder, "tag", each.name)
        follow(folder)
    return {each.name: each.truth for each in chosen}


def follow(folder: Path) -> None:
    """Commits that change a document alone."""
    for number in range(FOLLOWERS):
        readme = folder / "README.md"
        readme.write_text(readme.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        record(folder, f"A line in the README, {number + 1}")


def commit(folder: Path, regression: Regression) -> None:
    """Puts a regression in.

    Raises:
        SystemExit: the package no longer has the lines that are edited.
    """
    for file, old, new in regression.edits:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise SystemExit(f"{regression.name}: {file} has no {old!r}; bring scripts/regressions.py up to date")
        path.write_text(text.replace(old, new), encoding="utf-8")
    record(folder, f"Regression: {regression.name}")


def record(folder: Path, message: str) -> None:
    """Commits all changes."""
    who = ("-c", "user.name=scratch", "-c", "user.email=scratch@example.invalid")
    git(folder, *who, "commit", "--quiet", "--all", "--message", message)


def git(folder: Path, *arguments: str) -> None:
    """Runs git there."""
    subprocess.run(("git", "-C", str(folder), *arguments), check=True)


if __name__ == "__main__":
    main()
