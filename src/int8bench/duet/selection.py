"""Which benchmarks a person means: an id as it is printed, a part of ids, or a regular expression. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from int8bench.errors import RequestError
from int8bench.peer.grid_suite import ANSWERS, COST


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was typed; nothing selects everything.

    Raises:
        RequestError: both were given, or the expression is none.
    """

    text: str | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        """Checks what was typed."""
        if self.text is not None and self.pattern is not None:
            raise RequestError(
                f"--select {self.text} and --select-regex {self.pattern}: one selection is expected; leave one out"
            )
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise RequestError(
                    f"--select-regex {self.pattern}: not a regular expression: {error}; --select takes a text as it is"
                ) from error

    def __str__(self) -> str:
        """As it was typed, ready to follow a sentence; empty where everything is meant."""
        if self.text is not None:
            return f" that match --select {self.text}"
        return f" that match --select-regex {self.pattern}" if self.pattern is not None else ""

    def of(self, names: Iterable[str]) -> set[str]:
        """The benchmarks that are meant: those of that very id where there are any, else all that hold the text."""
        known = list(names)
        if self.pattern is not None:
            return {name for name in known if re.search(self.pattern, name)}
        if self.text is None:
            return set(known)
        exact = {name for name in known if self.text in {name, printed(name)}}
        return exact or {name for name in known if self.text in name or self.text in printed(name)}


def printed(name: str) -> str:
    """A benchmark's id as reports show it: without what tells the grid's costs and answers from its times."""
    shown = name.removesuffix(COST).removesuffix(ANSWERS)
    return "".join(each if each.isprintable() else " " for each in shown)
