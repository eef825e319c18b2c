"""Every recorded listing broken, quoted and cut in every way that people do: is anything said of it that is not so?

Broken at 60 to 120 columns, between words and inside them, indented, quoted, with a prompt on top, it has to be read as
the same architecture and the same ISA levels in 99 of 100, and untold in the rest. Cut anywhere, no level may be there
that is not, or not there that is, but where the cut lies between two words and leaves a list that looks whole. And
whatever is changed in it, it has to be a machine or one sentence. Prints a table; exit code 1 where one does not hold.

    python scripts/half_listings.py                       # the recordings of the tests; some minutes
    python scripts/half_listings.py FOLDER ... --sample 100
"""

import argparse
import random
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from int8bench.errors import RecordError
from int8bench.machine import Hardware, Told, parse, rules

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
FOLDERS = (GOLDEN / "hardware", GOLDEN / "listings")
WIDTHS = range(60, 121)
SAME, UNTOLD, FALSE, EXEMPT = "same", "untold", "false", "cut between words"
LEAST_SAME = 0.99
MUTATIONS = 10_000
MOST_CUTS = 4_000  # of one listing: a sweep of all of those with many processors would take hours
FRONTS = {"plain": "", "indented": "    ", "quoted": "> "}
PROMPTS = ("user@host:~$ lscpu\n", "[root@host ~]# cat /proc/cpuinfo\n", "% sysctl hw machdep.cpu\n")
ALL = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A text that was broken, and how."""

    how: str
    text: str


def main() -> int:
    """Tries all listings of the folders."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, default=FOLDERS, metavar="FOLDER")
    parser.add_argument("--sample", type=int, default=ALL, help="texts of each kind and listing; default: all")
    parser.add_argument("--mutations", type=int, default=MUTATIONS)
    asked = parser.parse_args()
    texts = listings(*asked.folders)
    wraps, cuts = Counter[str](), Counter[str]()
    for name, text in texts.items():
        mine = wrapped(text, sample=asked.sample)
        wraps += tally(name, text, mine)
        cuts += tally(name, text, cut(text, sample=asked.sample))
    tracebacks = mutate(list(texts.values()), asked.mutations)
    share = wraps[SAME] / wraps.total()
    print(f"{len(texts)} listings")
    print(f"broken: {wraps.total()} texts, {share:.2%} read the same, {wraps[UNTOLD]} untold, {wraps[FALSE]} false")
    print(f"cut: {cuts.total()} texts, {cuts[FALSE]} false, {cuts[EXEMPT]} between words in a list that looks whole")
    print(f"mutations: {asked.mutations}, {tracebacks} that are neither a machine nor a sentence")
    return int(share < LEAST_SAME or bool(wraps[FALSE] or cuts[FALSE] or tracebacks))


def listings(*folders: Path) -> dict[str, str]:
    """The texts of folders by name."""
    paths = [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix != ".md"]
    return {f"{path.parent.name}/{path.name}": path.read_text(encoding="utf-8") for path in paths}


def told(text: str) -> tuple[str, dict[str, Told]] | None:
    """What is read of a text: architecture and levels; None where it is refused in a sentence."""
    try:
        machine = parse(text, source="pasted.txt")
    except RecordError:
        return None
    return machine.arch, machine.instructions


def judged(whole: tuple[str, dict[str, Told]], half: tuple[str, dict[str, Told]] | None) -> str:
    """Whether what is read of a half is the same as of the whole, untold, or false."""
    if half is None:
        return UNTOLD
    if half[0] != whole[0]:
        return FALSE
    if half == whole:
        return SAME
    differing = {half[1][level] for level in whole[1] if half[1][level] is not whole[1][level]}
    return UNTOLD if differing == {Told.UNTOLD} else FALSE


def tally(name: str, text: str, halves: Iterator[Broken]) -> Counter[str]:
    """How often which; what is false is printed."""
    whole = told(text)
    assert whole is not None, name
    counts = Counter[str]()
    for half in halves:
        verdict = judged(whole, told(half.text))
        if verdict == FALSE and half.how.startswith(EXEMPT):
            verdict = EXEMPT
        if verdict == FALSE:
            print(f"{name}, {half.how}: {told(half.text)} instead of {whole}")
        counts[verdict] += 1
    return counts


def between_words(line: str, width: int) -> list[str]:
    """A line broken at spaces alone, as far as its words are short enough."""
    return textwrap.wrap(line.expandtabs(), width, break_on_hyphens=False) or [""]


def under_the_value(line: str, width: int) -> list[str]:
    """A line broken at spaces, and indented up to where its value began, as lscpu does it."""
    line = line.expandtabs()
    value = line.partition(":")[2]
    column = len(line) - len(value.lstrip()) if value.strip() else 0
    indent = " " * min(column, width // 2)
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) or [""]


def inside_words(line: str, width: int) -> list[str]:
    """A line broken at a column, whatever stands there."""
    return [line[start : start + width] for start in range(0, len(line), width)] or [""]


def inside_words_stripped(line: str, width: int) -> list[str]:
    """The same, copied by what leaves spaces at the ends of lines out."""
    return [piece.rstrip() for piece in inside_words(line, width)]


BREAKS: tuple[Callable[[str, int], list[str]], ...] = (
    between_words,
    under_the_value,
    inside_words,
    inside_words_stripped,
)


def wrapped(text: str, *, sample: int = ALL) -> Iterator[Broken]:
    """A text in all the ways that people break it, or some of them drawn by chance."""
    ways = [
        (width, breaks, front, quoted_first, prompt)
        for width in WIDTHS
        for breaks in BREAKS
        for front in FRONTS
        for quoted_first in (False, True)
        for prompt in ("", PROMPTS[width % len(PROMPTS)])
    ]
    rng = random.Random(len(text))  # noqa: S311  chance is to be the same again
    for width, breaks, front, quoted_first, prompt in rng.sample(ways, min(sample, len(ways))):
        lines = (prompt + text).splitlines()
        mark = FRONTS[front]
        if quoted_first:
            lines = [piece for line in lines for piece in breaks(mark + line, width)]
        else:
            lines = [mark + piece for line in lines for piece in breaks(line, width)]
        order = f"{front} first" if quoted_first else front
        how = f"{breaks.__name__} at {width}, {order}{', prompted' if prompt else ''}"
        yield Broken(how=how, text="\n".join(lines) + "\n")


def cut(text: str, *, sample: int = ALL) -> Iterator[Broken]:
    """What is left of a text above and below each place, or some of them drawn by chance; from long ones, some."""
    places = range(1, len(text))
    some = min(sample, len(places), MOST_CUTS)
    rng = random.Random(len(text))  # noqa: S311  chance is to be the same again
    for place in rng.sample(places, some):
        apart = text[place - 1].isspace() or text[place].isspace()
        yield Broken(how=f"{EXEMPT if apart else 'cut'} behind {place}", text=text[:place])
        yield Broken(how=f"cut before {place}", text=text[place:])


def mutate(texts: list[str], count: int, *, seed: int = 13) -> int:
    """How many of so many damaged texts were neither a machine nor a sentence; what was raised is printed."""
    rng = random.Random(seed)  # noqa: S311  chance is to be the same again
    tracebacks = 0
    for _ in range(count):
        damaged = mutation(rng.choice(texts), rng)
        try:
            machine = parse(damaged, source="pasted.txt")
            rules.inspect(machine, engine="onednn")
            assert Hardware.from_dict(machine.to_dict()) == machine
        except RecordError:
            continue
        except Exception as error:  # noqa: BLE001  that is what is looked for
            print(f"{type(error).__name__}: {error} for {damaged[:200]!r}")
            tracebacks += 1
    return tracebacks


def mutation(text: str, rng: random.Random) -> str:
    """A text with some of its characters changed, lost, doubled or swapped, and lines mixed up."""
    text = text[: rng.choice((500, 3_000, 10_000))]
    for _ in range(rng.randint(1, 8)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice((0, 1, 3, 40, 400)))
        new = rng.choice(
            ("", text[start:end] * 2, chr(rng.randrange(1, 0x2FF)), "9" * 30, ":", "=", "\n", "{", "- ", "\0", "²", "…")
        )
        text = text[:start] + new + text[end:]
    if rng.random() < 1 / 8:
        lines = text.splitlines(keepends=True)
        rng.shuffle(lines)
        text = "".join(lines)
    return text


if __name__ == "__main__":
    sys.exit(main())
