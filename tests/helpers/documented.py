"""The commands of README.md and CI.md: what a person is told to type, where it makes sense, and what it must print."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
README, CI = REPOSITORY / "README.md", REPOSITORY / "CI.md"
PROGRAMS = ("int8bench", "make", "pip", "asv", "pytest", ".")
OUTPUT = re.compile(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", re.DOTALL)  # what a run printed, not what is typed
CODE = re.compile(r"^```\w+\n.*?^```", re.DOTALL | re.MULTILINE)  # of a language: nothing to type
BLOCK = re.compile(r"^```\n(.*?)^```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`([^`\n]+)`")


def fenced(text: str) -> list[str]:
    """Returns every line of a block, without its comment."""
    blocks = BLOCK.findall(CODE.sub("", OUTPUT.sub("", text)))
    return _unique(line for block in blocks for line in block.splitlines())


def commands(text: str) -> list[str]:
    """Returns every line of a block, and every inline code that begins like a command."""
    prose = BLOCK.sub("", CODE.sub("", OUTPUT.sub("", text)))
    inline = [code for code in INLINE.findall(prose) if code.split()[0] in PROGRAMS and " " in code]
    return _unique([*fenced(text), *inline])


def _unique(lines: Iterable[str]) -> list[str]:
    """Returns lines without comments, each once, in their order."""
    return list(dict.fromkeys(typed for line in lines if (typed := line.partition(" #")[0].strip())))


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """Where a command is typed, and what its document promises."""

    place: str
    """A folder of `places.py`."""
    says: str
    """An expression that is there in the output."""
    codes: tuple[int, ...] = (0,)
    """More than one where the answer depends on the machine."""
    makes: tuple[str, ...] = ()
    """Files that are there afterwards."""
    shortened: str = ""
    """Options that are added, since a test need not be sure of a few percent."""


ANSWER = r"^(Is int8 faster than the best float32|Which engine is the fastest)\? "
KEPT = r"^int8bench: took .* of "  # the time
BAD_NEWS = (0, 1)  # an engine may not suit this processor
SLOWER = r"^{} +time +\d.* slower"
PARSING, TESTED = SLOWER.format(r"parse\.time_it"), SLOWER.format(r"tests/test_speed\.py::test_speed")
SCAFFOLD = ("asv.conf.json", "benchmarks/speedup.py", "tests/perf/test_int8.py", ".github/workflows/int8bench.yml")
GATE = 'int8bench gate --base "$(git merge-base origin/main HEAD)"'

QUICK: Mapping[str, Promise] = {
    "int8bench doctor": Promise(place="records", says=r"^recommended: ", codes=BAD_NEWS),
    "int8bench doctor --hardware cpuinfo.txt": Promise(place="records", says=r"^AMD Ryzen 9 5950X .*\(x86_64, Linux\)"),
    "int8bench report int8bench-run.json -o page.html": Promise(
        place="records", says=r"the page is in page\.html", makes=("page.html",)
    ),
    "int8bench cache": Promise(place="records", says=r"empty it with int8bench cache --prune"),
    "int8bench compare old.json new.json": Promise(place="records", says=r"^head new\.json over base old\.json"),
    "int8bench history": Promise(place="history", says=r"^Got worse, and stands\n.*\n\+.* time_it ", codes=(1,)),
    "int8bench history --control time_noop": Promise(
        place="history", says=r"^Got worse, and stands\n.*\n\+.* time_it ", codes=(1,)
    ),
    GATE: Promise(place="project", says=r"^fail: proven: 1 slower \(worse\)", codes=(1,)),
    "int8bench gate --require-baseline": Promise(place="records", says=r"no baseline of this hardware", codes=(3,)),
}

LONG: Mapping[str, Promise] = {
    "int8bench doctor --engine qnnpack": Promise(place="empty", says=r"^  qnnpack +(available|no)", codes=BAD_NEWS),
    "make bench": Promise(place="clone", says=ANSWER, codes=BAD_NEWS, makes=("reports/run.json",)),
    "make engines": Promise(place="clone", says=r"pip .*--editable '\.\[dev,all\]'", makes=(".venv/.engines",)),
    "make gate BASE=origin/main": Promise(place="clone", says=r"^pass: ", makes=("reports/gate.md",)),
    "make asv-here COMMITS=HEAD~3..HEAD": Promise(
        place="clone", says=r"^int8bench: commit \w{8}, 1 of 1", shortened="COMMITS=HEAD~1..HEAD"
    ),
    "int8bench run --quick": Promise(place="empty", says=KEPT, codes=BAD_NEWS, makes=("int8bench-run.json",)),
    "int8bench run --engines fbgemm,x86 --batch 1,32 --threads 1 --precision 0.5% --budget 10m": Promise(
        place="empty", says=ANSWER, codes=BAD_NEWS, shortened="--budget 90s -o both.json"
    ),
    "int8bench run --model package.module:factory --input-shape 3x224x224 --data imagefolder:PATH": Promise(
        place="pictures", says=ANSWER, codes=BAD_NEWS, shortened="--budget 90s"
    ),
    "int8bench run --engines all": Promise(
        place="empty", says=ANSWER, codes=BAD_NEWS, shortened="--budget 3m -o all.json"
    ),
    "int8bench run --engines onnxruntime,openvino --accuracy-loss 0.5%": Promise(
        place="empty", says=ANSWER, codes=BAD_NEWS, shortened="--budget 90s -o two.json"
    ),
    "int8bench train -o weights.pt": Promise(place="empty", says=r"validation accuracy 9", makes=("weights.pt",)),
    "int8bench duet HEAD~1 HEAD": Promise(place="clone", says=r"^Proven: |^not proven: ", shortened="--quick"),
    "int8bench duet main HEAD --suite asv": Promise(
        place="project", says=PARSING, codes=(1,), shortened="--budget 10s"
    ),
    "int8bench duet main HEAD --suite pytest": Promise(
        place="project", says=TESTED, codes=(1,), shortened="--budget 10s"
    ),
    "int8bench duet --base-python old/bin/python --head-python new/bin/python --suite asv": Promise(
        place="project", says=PARSING, codes=(1,), shortened="--budget 10s"
    ),
    "int8bench duet main HEAD --suite asv --select parse.time_it": Promise(
        place="project", says=PARSING, codes=(1,), shortened="--budget 3s"
    ),
    "int8bench init package.module:factory --input-shape 3x224x224": Promise(
        place="own", says=r"^wrote asv\.conf\.json", makes=SCAFFOLD
    ),
    "int8bench selftest": Promise(place="empty", says=r"^verdicts here ", codes=BAD_NEWS),
    "int8bench gate --record": Promise(
        place="policy", says=r"^recorded as the baseline of this hardware: ", codes=BAD_NEWS
    ),
    "int8bench asv HEAD~3..HEAD --quick": Promise(place="scaffold", says=r"^int8bench: commit \w{8}, 3 of 3"),
    "asv machine --yes": Promise(place="history", says=r"^cpu \[", makes=("../.asv-machine.json",)),  # at home
    "asv publish": Promise(place="history", says=r"Publishing|Loading", makes=(".asv/html/int8bench.html",)),
}

ELSEWHERE: Mapping[str, str] = {
    "make test": "it runs the quick ones, and continuous integration runs it",
    "asv run HEAD~3..HEAD": "asv builds an environment from a package index; make asv-here does the same in ours",
    "asv preview": "asv's own, and serves until it is stopped",
}
