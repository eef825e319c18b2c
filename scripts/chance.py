"""A suite full of chance, raced again and again over a commit that changes a README alone: nothing may come of it.

The repository is that of `tests/cases/asv_traps.sh`: a benchmark that fails once in ten thousand calls, workloads drawn
anew in every process, parameters without a stable name, a tracked number that is noise. Prints a table; exit code 1 if
a run ends in a failure, if more than two of all comparisons are called, or if a workload that each process draws is not
the same on both sides. With --broken, head breaks for good what is called by the benchmark that fails now and then, and
by one that never fails: every run has to end in exit code 1.

    python scripts/chance.py FOLDER --runs 40          # a new folder
    python scripts/chance.py FOLDER --runs 10 --broken
"""

import argparse
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from duets import Answer, changed, commit, duet, git, spelled, table

CASE = Path(__file__).parents[1] / "tests" / "cases" / "asv_traps.sh"
SPREAD = "    return sorted(set(items))\n"
BROKEN = f"""    if len(items) == 200:
        raise ValueError("broken for good")
{SPREAD}"""
FAILS = "time_sometimes_fails"
DRAWN = "Drawn.time_spread"
MOST_CALLED = 2  # of all comparisons of all runs: the error of a run's family is 5 %, most of it never spent
FURTHEST = 1.15  # of a ratio of workloads that are the same; drawn apart they differ by up to ten times
RED = 1  # the exit code where something got worse or fails
RUNS, BROKEN_RUNS = 40, 10


def main() -> int:
    """Makes the repository where it is not there yet, and races it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for the repository; kept from run to run")
    parser.add_argument("--runs", type=int, help=f"default: {RUNS}, with --broken {BROKEN_RUNS}")
    parser.add_argument("--broken", action="store_true", help="head breaks a benchmark")
    asked = parser.parse_args()
    repository = laid_out(asked.folder / "traps")
    sides = ("docs", "broken") if asked.broken else ("docs~1", "docs")
    answers = []
    for number in range(asked.runs or (BROKEN_RUNS if asked.broken else RUNS)):
        answers.append(duet(repository, *sides, "--suite", "asv", "--quick"))
        print(f"run {number + 1}: {told(answers[-1])}", file=sys.stderr)
    print(table([("", ""), *counted(answers)]).strip())
    wrong = unbroken(answers) if asked.broken else objections(answers)
    print("\n".join(("", *wrong)) if wrong else "\nas it should be")
    return bool(wrong)


def laid_out(folder: Path) -> Path:
    """The repository, made where it is not there yet, with the commit `broken` on a branch beside."""
    if not folder.exists():
        subprocess.run(("sh", CASE, folder), stdout=subprocess.DEVNULL, check=True)
        git(folder, "checkout", "--quiet", "-b", "breaks")
        changed(folder / "src" / "trapped" / "__init__.py", SPREAD, BROKEN)
        commit(folder, "Fails for every list of 200", tag="broken")
        git(folder, "checkout", "--quiet", "main")
    return folder


def told(answer: Answer) -> str:
    """A run in a line: its exit code and why."""
    reasons = [*(each["message"] for each in answer.errors), *(spelled(each) for each in answer.called)]
    if answer.document is None:
        reasons.append(answer.said.splitlines()[-1] if answer.said else "said nothing")
    return f"exit code {answer.code}, {answer.wall_s:.0f} s{': ' if reasons else ''}{'; '.join(reasons)}"


def counted(answers: Sequence[Answer]) -> list[tuple[str, object]]:
    """The rows of the table: what, and how often or how far."""
    codes = Counter(each.code for each in answers)
    all_of_them = [each for answer in answers for each in answer.comparisons]
    rows: list[tuple[str, object]] = [
        ("runs", len(answers)),
        ("... by exit code", ", ".join(f"{code}: {codes[code]}" for code in sorted(codes))),
        ("findings of severity error", sum(len(each.errors) for each in answers)),
        (f"... runs where one names {FAILS}", sum(names_it(each) for each in answers)),
        ("comparisons", len(all_of_them)),
        ("... without a ratio", sum(each["ratio"] is None for each in all_of_them)),
        ("... called", sum(len(each.called) for each in answers)),
    ]
    for name, ratios in drawn(answers).items():
        rows.append((f"ratios of {name}", f"{min(ratios):.3f} to {max(ratios):.3f}, of {len(ratios)}"))
    return rows


def drawn(answers: Sequence[Answer]) -> dict[str, list[float]]:
    """The ratios of each workload that is drawn, over all runs."""
    found: dict[str, list[float]] = {}
    for answer in answers:
        for each in answer.comparisons:
            if DRAWN in each["id"] and each["ratio"] is not None:
                found.setdefault(each["id"], []).append(each["ratio"]["value"])
    return found


def failed(answer: Answer) -> bool:
    """Whether a run is red by a failure: not by a number that is called worse."""
    return answer.document is None or bool(answer.errors) or answer.code > RED


def objections(answers: Sequence[Answer]) -> list[str]:
    """What is wrong with runs over a README; none where nothing came of chance."""
    wrong = [f"run {number}: failed, {told(each)}" for number, each in enumerate(answers, 1) if failed(each)]
    called = [spelled(each) for answer in answers for each in answer.called]
    if len(called) > MOST_CALLED:
        wrong.append(f"{len(called)} comparisons called, at most {MOST_CALLED} may be: {'; '.join(called)}")
    ratios = drawn(answers)
    if not ratios:
        wrong.append(f"no ratio of {DRAWN}")
    for name, of_it in ratios.items():
        furthest = max(of_it, key=lambda ratio: max(ratio, 1 / ratio))
        if not 1 / FURTHEST <= furthest <= FURTHEST:
            wrong.append(f"{name}: x{furthest:.3f}, another workload on either side")
    return wrong


def names_it(answer: Answer) -> bool:
    """Whether an error is said of the benchmark that fails now and then."""
    return any(FAILS in str(error["subject"]) for error in answer.errors)


def unbroken(answers: Sequence[Answer]) -> list[str]:
    """The runs that did not end red by a failure; the table says how many name that benchmark, which base fails too."""
    return [
        f"run {number}: does not end red by a failure: {told(each)}"
        for number, each in enumerate(answers, 1)
        if each.code != RED or not each.errors
    ]


if __name__ == "__main__":
    sys.exit(main())
