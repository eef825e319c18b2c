"""A pasted listing becomes keys with values: quotes, indents and prompts go, broken lines are joined. Pure.

Terminals and lscpu break long lists of words, some of them inside a word, and people cut what they paste. What the
break or the cut leaves open is said of each list, so that nobody takes half a list for a whole one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise, takewhile

from int8bench.machine.levels import DECIDING_FLAGS, canonical_flags
from int8bench.machine.listings.vocabulary import is_piece, is_word

_QUOTE = re.compile(r"\s*(?:[>|│]\s?)+")
_MARKS = "\"'`\u201c\u201d"  # around what was copied
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # of grep in a terminal's log
_JSON = re.compile(r"\s*(?:\{|\[\s*(?:[\[{\"\]]|$))")  # and no prompt, which has its user's name in the bracket
_SIGN = re.compile(r"[:\uff1a=]")  # a translated lscpu may have the wide colon
_WORD = re.compile(r"[A-Za-z0-9_.]+")
_GAP = re.compile(r"\.\.|…")
_LISTS = {
    "flags",
    "features",
    "ases implemented",
    "machdep.cpu.features",
    "machdep.cpu.leaf7_features",
    "machdep.cpu.extfeatures",
}
_NAMES = {"model name", "machdep.cpu.brand_string"}
_LIST_BEGINS = {"fpu", "fp", "half", "swp", "cpucfg"}  # the first word of each kernel's list
_LIST_WORDS = 6  # under a key that nobody knows: a translated lscpu, or a key whose beginning is cut off
_LINES_ABOVE = 10  # a prompt or two on top of JSON
# The keys of listings, to find them where a text was flowed into one paragraph; the longer of two first.
_KEY = re.compile(
    r"(?:^|(?<=\s))(?:processor|vendor_id|vendor id|cpu family|model name|model|stepping|microcode|cpu mhz|cache size"
    r"|physical id|siblings|core id|cpu cores|initial apicid|apicid|fpu_exception|fpu|cpuid level|wp|vmx flags|flags"
    r"|bugs|bogomips|tlb size|clflush size|cache_alignment|address sizes|power management|features|cpu implementer"
    r"|cpu architecture|cpu variant|cpu part|cpu revision|hardware|architecture|cpu op-mode\(s\)|byte order"
    r"|on-line cpu\(s\) list|cpu\(s\)|thread\(s\) per core|core\(s\) per socket|socket\(s\)|isa|mmu|uarch"
    r"|virtualization|hypervisor vendor|virtualization type|l1d cache|l1i cache|l2 cache|l3 cache|numa node\(s\)"
    r"|caches \(sum of all\)|vulnerability [a-z0-9 ]+|(?:hw|machdep|kern|sysctl)\.[\w.]+)\s*[:=](?=\s)",
    re.IGNORECASE,
)
_FLOWED_KEYS = 3  # within lines: a line of a listing has its key in front
_FLOWED_LINES = 50  # enough to see it by
_LONG = 40  # lines wrapped at 60 columns or more keep this much: the longest word has 20 letters
_NUMBER = re.compile(r"0x[0-9a-f]{1,16}|\d{1,18}", re.IGNORECASE)
# What stands where a name would: lscpu's "-" and bare vendor numbers, and what firmware leaves unset.
_NO_NAME = re.compile(
    r"[-?.\s]*|0x[0-9a-f]+|0+|none|n/?a|null|not (?:available|specified|provided|applicable)"
    r"|to be filled.*|default string|undefined|unknown\b.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """One list of words, as far as it can be read."""

    words: frozenset[str]
    """The words that are surely there, in the kernel's spelling."""
    unsure: frozenset[str] = frozenset()
    """The words of which a broken line leaves open whether they are there."""
    cut: str | None = None
    """The last thing that was read, where the list goes on and nobody knows with what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """What several lists say together: what every core has."""

    flags: frozenset[str]
    untold: frozenset[str]
    """The deciding flags that may be there or not."""
    cut: str | None
    """The last thing that was read of a list that is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Lines of ``key : value``; keys in lower case, each with its values in order."""

    values: dict[str, tuple[str, ...]]
    lists: dict[str, tuple[WordList, ...]]
    open_key: str | None = None
    """The key of the last line, where no line end says that its value is whole."""

    def column(self, key: str) -> tuple[str, ...]:
        """Return the values of a key in order, none where it is not there."""
        return self.values.get(key, ())

    def first(self, *keys: str) -> str | None:
        """Return the first whole value that is not empty, of the first key that has one."""
        return next((value for key in keys for value in self._whole(key) if value), None)

    def name(self, *keys: str) -> str | None:
        """Return the first value that is a name, of the first key that has one; ``-`` and bare numbers are none.

        A name may be cut: half of one is better than none.
        """
        values = (value for key in keys for value in self.column(key))
        return next((value for value in values if not _NO_NAME.fullmatch(value)), None)

    def names(self, key: str) -> tuple[str, ...]:
        """Return the whole values of a key that name something, in order."""
        return tuple(value for value in self._whole(key) if not _NO_NAME.fullmatch(value))

    def switch(self, key: str) -> bool | None:
        """Tell whether a key is on (1) or off (0); None where nothing says so."""
        return {"1": True, "0": False}.get(next(iter(self.column(key)), ""))

    def number(self, key: str) -> int | None:
        """Return the first value of a key as a whole number, decimal or 0x; None where it is none."""
        return whole_number(self.first(key))

    def numbers(self, key: str) -> tuple[int, ...]:
        """Return the different whole numbers among a key's values, in order."""
        numbers = (whole_number(value) for value in self.column(key))
        return tuple(dict.fromkeys(value for value in numbers if value is not None))

    def _whole(self, key: str) -> tuple[str, ...]:
        values = self.column(key)
        return values[:-1] if key == self.open_key else values

    def words(self, key: str) -> frozenset[str]:
        """Return the words that all values of a key have in common."""
        lists = [each.words for each in self.lists.get(key, ())]
        return frozenset.intersection(*lists) if lists else frozenset()

    def instructions(self, *keys: str, marks: frozenset[str]) -> Instructions | None:
        """Return what the lists of the first key that has some with one of the marks say; None where there are none.

        Args:
            keys: in the order in which they are looked at.
            marks: words of which a list of instructions has one.
        """
        for key in keys:
            lists = [each for each in self.lists.get(key, ()) if each.words & marks]
            if lists:
                return together(lists)
        return None


def together(lists: Sequence[WordList]) -> Instructions:
    """Return what every core has: there where each list has it, not there where a whole list lacks it, else untold.

    A cut list that so far has nothing but a whole one's words adds nothing: Linux on ARM prints one list for all
    cores, and on x86 it takes from all what one lacks.
    """
    whole = [each for each in lists if each.cut is None]
    cut = [each for each in lists if each.cut is not None and not any(each.words <= other.words for other in whole)]
    asked = [*whole, *cut]
    flags = frozenset.intersection(*(each.words for each in asked))
    possible = frozenset.intersection(DECIDING_FLAGS, *(each.words | each.unsure for each in asked))
    return Instructions(
        flags=flags, untold=possible - flags, cut=next((each.cut for each in lists if each.cut is not None), None)
    )


def read_lines(text: str) -> Listing:
    """Return the lines ``key : value`` or ``key = value`` of a text, with the lines that belong to them below."""
    lines = tuple(_Line.of(line) for line in _one_key_a_line(_COLOURS.sub("", text).splitlines()))
    entries = _entries(lines)
    layout = _Layout.of(lines, entries)
    ends_openly = not text.endswith(("\n", "\r"))
    word_list = cache(partial(_word_list, layout=layout, ends_openly=ends_openly))  # processors have one in common
    values: dict[str, list[str]] = {}
    lists: dict[str, list[WordList]] = {}
    for entry in entries:
        key = _list_key(entry)
        if key is not None:
            lists.setdefault(key, []).append(word_list(entry))
        values.setdefault(key or entry.line.key, []).append(_value(entry, layout))
    return Listing(
        values={key: tuple(each) for key, each in values.items()},
        lists={key: tuple(each) for key, each in lists.items()},
        open_key=entries[-1].line.key if ends_openly and entries and entries[-1].is_last else None,
    )


def _one_key_a_line(lines: list[str]) -> list[str]:
    """Return the lines of a text, anew where it was flowed into one paragraph."""
    texts = [_Line.of(line).text.strip() for line in lines[:_FLOWED_LINES]]
    in_front = sum(_KEY.match(text) is not None for text in texts)
    if sum(len(_KEY.findall(text)) for text in texts) - in_front < max(_FLOWED_KEYS, in_front):
        return lines
    flowed = " ".join(_Line.of(line).text.strip() for line in lines)
    starts = [0, *(key.start() for key in _KEY.finditer(flowed)), len(flowed)]
    return [flowed[start:end] for start, end in pairwise(starts)]


def json_part(text: str) -> str | None:
    """Return the text from where it is JSON, without marks of quotation and prompts on top; None where it is none."""
    lines = [line[quote.end() :] if (quote := _QUOTE.match(line)) else line for line in text.splitlines()]
    above = len(list(takewhile(lambda line: not _JSON.match(line), lines[:_LINES_ABOVE])))
    return "\n".join(lines[above:]) if above < min(len(lines), _LINES_ABOVE) else None


def whole_number(text: str | None) -> int | None:
    """Return the number that a text starts with and is nothing but, decimal or 0x; else None."""
    if text is None or _NUMBER.fullmatch(text) is None:
        return None
    return int(text, 16 if text[:2].lower() == "0x" else 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """One line without its marks of quotation, and how long it was with them."""

    text: str
    length: int
    key: str
    """In lower case; empty where the line has none."""
    value: str

    @classmethod
    def of(cls, pasted: str) -> "_Line":
        quote = _QUOTE.match(pasted)
        text = (pasted[quote.end() :] if quote else pasted).strip(_MARKS).expandtabs()
        sign = _SIGN.search(text)
        key = text[: sign.start()].strip(" *").lower() if sign else ""
        return cls(text=text, length=len(pasted), key=key, value=text[sign.end() :] if sign else "")

    @property
    def is_empty(self) -> bool:
        return not self.text.strip()

    @property
    def indent(self) -> int:
        return len(self.text) - len(self.text.lstrip())

    @property
    def column(self) -> int:
        """Where the value begins."""
        return len(self.text) - len(self.value.lstrip())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """A line with a key, and the lines without one right below, which may belong to it."""

    line: _Line
    below: tuple[_Line, ...]
    is_last: bool
    """Whether nothing but empty lines comes after."""


def _entries(lines: Sequence[_Line]) -> tuple[_Entry, ...]:
    """Return the keys of a text in order, each with its lines."""
    with_key = [number for number, line in enumerate(lines) if line.key]
    last = max((number for number, line in enumerate(lines) if not line.is_empty), default=-1)
    entries = []
    for number, following in zip(with_key, [*with_key[1:], len(lines)], strict=False):
        below = tuple(takewhile(lambda line: not line.is_empty, lines[number + 1 : following]))
        entries.append(_Entry(line=lines[number], below=below, is_last=number + len(below) >= last))
    return tuple(entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """How a text breaks its lines, as far as it shows."""

    indent: int
    """The columns that all lines leave free."""
    breaks_words: bool | None
    """Whether lines end at one column, inside words too; False where they end between words, None where few do."""
    edge: int | None
    """The length at which lines are broken inside words, or at which lines of several keys end: what does not fit there
    is below, or was left out."""

    @classmethod
    def of(cls, lines: Sequence[_Line], entries: Sequence[_Entry]) -> "_Layout":
        broken = [line.length for entry in entries for line in (entry.line, *entry.below)[:-1] if line.length >= _LONG]
        between = max(broken, default=0) - min(broken, default=0)
        one_column = len(broken) > 1 and between == 0
        longest = max((entry.line.length for entry in entries), default=0)
        at_edge = {entry.line.key for entry in entries if entry.line.length == longest and not entry.below}
        return cls(
            edge=broken[0] if one_column else longest if len(at_edge) > 1 and longest >= _LONG else None,
            indent=min((line.indent for line in lines if not line.is_empty), default=0),
            breaks_words=True if one_column else False if between > 1 else None,
        )

    def spaces_first(self, entry: _Entry) -> list[bool]:
        """Tell of each line below a key whether it begins with a space more than it is indented."""
        least = min((line.indent for line in entry.below), default=0)
        columns = (entry.line.column, entry.line.indent, self.indent)
        margin = next((column for column in columns if column <= least <= column + 1), least)
        return [line.indent > margin for line in entry.below]


def _list_key(entry: _Entry) -> str | None:
    """Return the key under which a list of instructions is kept: its own, or flags where it can be nothing else."""
    if entry.line.key in _LISTS:
        return entry.line.key
    words = entry.line.value.split()
    begins = len(words) >= _LIST_WORDS and words[0] in _LIST_BEGINS
    return "flags" if begins and sum(map(is_word, words)) > len(words) // 2 else None


def _value(entry: _Entry, layout: _Layout) -> str:
    """Return what stands behind the key; a name that is broken in two is joined."""
    value = entry.line.value.strip()
    if entry.line.key in _NAMES and entry.below and entry.line.length >= _LONG:
        return value + ("" if layout.breaks_words else " ") + entry.below[0].text.strip()
    return value


def _word_list(entry: _Entry, *, layout: _Layout, ends_openly: bool) -> WordList:
    """Return the words of a list and of the lines below that go on with it."""
    words = entry.line.value.strip(f" {_MARKS}").split()
    unsure: set[str] = set()
    apart = entry.line.value.endswith(" ")
    below = _going_on(entry)
    for line, is_apart in zip(below, layout.spaces_first(entry), strict=False):
        head, *rest = line.text.split()
        bond = _is_one_word(words[-1], head, apart=apart or is_apart, layout=layout) if words else False
        if bond is None:
            unsure |= {words[-1], head, words[-1] + head}
        words = [*words[:-1], words[-1] + head, *rest] if bond else [*words, head, *rest]
        apart = line.text.endswith(" ")
    left_over = entry.below[len(below) :]
    may_be_cut = entry.is_last and ends_openly
    may_be_cut &= all(_WORD.fullmatch(piece) for line in left_over[-1:] for piece in line.text.split())
    if may_be_cut and left_over:
        words.append(left_over[-1].text.strip())  # the beginning of a word, or of the next key
    may_be_cut |= (entry.line, *below)[-1].length == layout.edge
    gaps = [word for word in words if _GAP.search(word)]
    cut = gaps[0] if gaps else _cut(words, may_be_cut=may_be_cut)
    left = canonical_flags(unsure | set(gaps) | ({cut} if cut else set()))
    return WordList(
        words=canonical_flags(words) - left,
        unsure=canonical_flags(unsure) if cut is None else DECIDING_FLAGS,
        cut=cut,
    )


def _going_on(entry: _Entry) -> tuple[_Line, ...]:
    """Return the lines below a list that go on with it: up to the last with a word that kernels print."""
    words = entry.line.value.split()
    number = 0
    for index, line in enumerate(entry.below):
        pieces = line.text.split()
        if not all(map(_WORD.fullmatch, pieces)):
            break
        if any(map(is_word, pieces)) or (words and is_word(words[-1] + pieces[0])):
            number = index + 1
        words = pieces
    return entry.below[:number]


def _is_one_word(tail: str, head: str, *, apart: bool, layout: _Layout) -> bool | None:
    """Tell whether the end of one line and the beginning of the next are one word; None where nobody can say.

    Where both pieces are words and the whole is one, it is one: of such pairs (sve and bf16, svebf16), kernels print
    other words in between.
    """
    if is_word(tail + head):
        return True
    if apart or (is_word(tail) and is_word(head)):
        return False
    return layout.breaks_words


def _cut(words: Sequence[str], *, may_be_cut: bool) -> str | None:
    """Return the last word of a list that is cut there; None where the list looks whole.

    A cut inside a word leaves what a longer word begins with. At the very end of a text that word may be one itself
    (avx of avx2), so there it is believed only where no longer word begins so.
    """
    if not words:
        return ""
    last = words[-1]
    if may_be_cut:
        return last if is_piece(last) or not is_word(last) else None
    return last if is_piece(last) and not is_word(last) else None
