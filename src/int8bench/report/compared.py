"""What changed between two sides, as text and as Markdown.

Draws, never measures, and judges nothing: the words and the reasons are those of the comparisons.
"""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from int8bench.compare.comparisons import SAME, UNCLEAR, WORSE, Comparison, Differences, Worse, words
from int8bench.report.text import SEVERITIES, draw
from int8bench.report.words import printable

BAD, GOOD, NEUTRAL, DOUBT = "bad", "good", "neutral", "doubt"
STYLES = {BAD: "red", GOOD: "green", NEUTRAL: "default", DOUBT: "yellow"}
ORDER = (BAD, GOOD, DOUBT, NEUTRAL)  # what a person looks for first
VERDICTS = {"pass": "bold green", "fail": "bold red", "recorded": "bold yellow", "unclear": "bold yellow"}
NARROWEST = 80  # below, rows would be broken in the middle of a figure
MOST_ROWS = 60  # one screen or two; --json has all
MOST_NAMES = 8
LARGEST_SHOWN = 9.0  # of changes that would have been seen; beyond ten times, figures say no more
BROKEN = "benchmark-failed"

Rows = Sequence[Comparison]


def render(changed: Differences, *, width: int, colour: bool) -> str:
    """Return the differences of two sides as text.

    Args:
        changed: the `differences` of a duet, of two stored runs or of a gate.
        width: columns of the screen; long names are folded, figures never.
        colour: whether to use colours, for a terminal.
    """
    rows = _sorted(changed.comparisons)
    parts: list[RenderableType] = [*_headline(changed), *_table(rows)]
    parts += [Text(sentence, style="yellow") for sentence in _reasons(rows)]
    parts += [*_findings(changed), *_changed_names(changed)]
    parts += [Text(sentence, style="dim") for sentence in _footer(changed)]
    return draw(Group(*parts), width=max(width, NARROWEST), colour=colour)


def markdown(changed: Differences) -> str:
    """Return the differences of two sides as Markdown, for a comment on a pull request.

    What matters comes first, and the rest is folded away.
    """
    rows = _sorted(changed.comparisons)
    sure = [row for row in rows if _kind(row) in {BAD, GOOD}]
    rest = [row for row in rows if _kind(row) in {DOUBT, NEUTRAL}]
    lines = [
        f"### int8bench: {_escaped(_title(changed))}",
        "",
        f"`{_code(changed.base)}` to `{_code(changed.head)}`",
        "",
    ]
    if changed.reasons:
        lines += [*(f"- {_escaped(reason)}" for reason in changed.reasons), ""]
    lines += [*_rows_of(sure)] if sure else ["No difference is sure."]
    if rest:
        said = [f"- {_escaped(sentence)}" for sentence in _reasons(rest)]
        lines += ["", f"<details><summary>{_counts(rest)}</summary>", "", *_rows_of(rest)]
        lines += [*(["", *said] if said else []), "", "</details>"]
    beside = [f"- {_escaped(text.plain)}" for text in (*_findings(changed), *_changed_names(changed))]
    lines += ["", *beside] if beside else []
    lines += ["", *(f"<sub>{_escaped(sentence)}</sub>  " for sentence in _footer(changed))]
    return "\n".join(lines).strip() + "\n"


def _title(changed: Differences) -> str:
    """Return the answer in a line: the gate's word where there is one, the proven changes, and the doubts."""
    rows = changed.comparisons
    broken = sum(finding.code == BROKEN and finding.severity == "error" for finding in changed.findings)
    sure = [row for row in rows if row.verdict != UNCLEAR]
    parts = ["a benchmark or more is broken in head"] if broken else []
    parts += [_verdicts(sure)] if sure else []
    proven = f"proven: {', '.join(parts)}" if parts else ""
    doubts = _doubts([row for row in rows if row.verdict == UNCLEAR])
    doubted = f"{'not proven' if proven else 'nothing is proven'}: {doubts}" if doubts else ""
    verdict = f"{changed.verdict}: " if changed.verdict else ""
    unfinished = "" if changed.complete else ", unfinished"
    summary = "; ".join(each for each in (proven, doubted) if each) or "nothing compared"
    return f"{verdict}{summary if verdict else summary[0].upper() + summary[1:]}{unfinished}"


def _verdicts(rows: Rows) -> str:
    """Return the number of verdicts of each word, with the news in brackets: ``2 slower (worse), 10 same``."""
    verdicts = dict.fromkeys((row.verdict, _kind(row)) for row in _sorted(rows))
    said = {BAD: " (worse)", GOOD: " (better)"}
    counted = {each: sum((row.verdict, _kind(row)) == each for row in rows) for each in verdicts}
    return ", ".join(f"{count} {word}{said.get(kind, '')}" for (word, kind), count in counted.items())


def _doubts(rows: Rows) -> str:
    """Return the number of rows without an answer, and the change that would have been seen in each of them."""
    seen = [row.smallest_visible_effect for row in rows if row.smallest_visible_effect is not None]
    without = sum(row.ratio is None for row in rows)
    parts = []
    if seen:
        parts.append(f"{len(seen)} unclear, where a change of {_change(max(seen))} would have been seen")
    if len(rows) > len(seen):
        more = len(rows) - len(seen)
        parts.append(f"{more} without {'a figure' if without == more else 'an answer'}")
    return ", ".join(parts)


def _change(visible: float) -> str:
    """Return a change as a person reads it; no figure beyond ten times."""
    return f"{visible:.1%}" if visible <= LARGEST_SHOWN else "more than 10x"


def _headline(changed: Differences) -> Iterator[Text]:
    verdict = changed.verdict
    yield Text(_title(changed), style=VERDICTS.get(str(verdict), "bold"))
    yield Text(f"head {printable(changed.head)} over base {printable(changed.base)}")
    for reason in changed.reasons:
        yield Text(printable(reason), style=VERDICTS["fail"] if verdict == "fail" else "default")
    yield Text("")


def _counts(rows: Rows) -> str:
    """Return the number of verdicts of each word: ``2 slower, 10 same``."""
    verdicts = [row.verdict for row in rows]
    return ", ".join(f"{verdicts.count(word)} {word}" for word in dict.fromkeys(verdicts))


def _kind(row: Comparison) -> str:
    """Return the kind of news that a verdict is to a reader: bad, good, neutral or a doubt."""
    metric = row.metric
    if row.verdict in {SAME, UNCLEAR}:
        return DOUBT if row.verdict == UNCLEAR else NEUTRAL
    if WORSE[metric] is Worse.UNKNOWN:
        return NEUTRAL
    has_more = row.verdict == words(metric)[1]
    return BAD if has_more == (WORSE[metric] is Worse.MORE) else GOOD


def _sorted(rows: Rows) -> list[Comparison]:
    """Return the rows, bad news first, with the largest on top; what is alike stays in its order."""
    return sorted(rows, key=lambda row: (ORDER.index(_kind(row)), -_distance(row) if _kind(row) in {BAD, GOOD} else 0))


def _distance(row: Comparison) -> float:
    return abs(row.ratio.value - 1) if row.ratio else 0.0


def _table(rows: Rows) -> Iterator[RenderableType]:
    if not rows:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("cell", overflow="fold")
    for title in ("metric", "head/base", "95% interval", "verdict"):
        table.add_column(title, no_wrap=True, justify="right" if title == "head/base" else "left")
    table.add_column("would see", no_wrap=True, justify="right")
    for row in rows[:MOST_ROWS]:
        figures = _figures(row)
        table.add_row(printable(row.id), row.metric, *figures, Text(row.verdict, STYLES[_kind(row)]), _visible(row))
    yield table
    if len(rows) > MOST_ROWS:
        yield Text(f"and {len(rows) - MOST_ROWS} more, see --json", style="dim")
    yield Text("")


def _figures(row: Comparison) -> tuple[str, str]:
    ratio = row.ratio
    return (f"{ratio.value:.3f}", f"[{ratio.low:.3f}, {ratio.high:.3f}]") if ratio else ("", "")


def _visible(row: Comparison) -> str:
    """Return the change that would have been seen in a row; nothing where there is no noise."""
    visible = row.smallest_visible_effect
    return _change(visible) if visible else ""


def _reasons(rows: Rows) -> Iterator[str]:
    """Yield the reasons of rows without a verdict, once for all of a metric that differ in their figures alone."""
    grouped: dict[tuple[str, str], list[Comparison]] = {}
    for row in rows:
        if row.reason:
            shape = "".join("#" if each.isdigit() else each for each in row.reason)
            grouped.setdefault((row.metric, shape), []).append(row)
    for (metric, _), mine in grouped.items():
        first = printable(mine[0].reason)
        where = printable(mine[0].id) + (f" and {len(mine) - 1} more" if len(mine) > 1 else "")
        yield f"{metric} of {where}: {first}"


def _findings(changed: Differences) -> Iterator[Text]:
    """Yield a line for each finding, without advice where there is none."""
    for finding in changed.findings:
        line = Text(f"{finding.severity.value} ", style=SEVERITIES[finding.severity])
        message, advice = printable(finding.message), printable(finding.advice)
        stop = "." if advice and not message.endswith((".", "!", "?")) else ""
        line.append(f"{message}{stop} {advice}".rstrip(), style="default")
        line.append(f" [{printable(finding.code)}]", style="dim")
        yield line


def _changed_names(changed: Differences) -> Iterator[Text]:
    for names_there, what in ((changed.added, "only in head"), (changed.removed, "only in base")):
        names = [printable(name) for name in names_there]
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            yield Text(f"{what}, not compared: {', '.join(names[:MOST_NAMES])}{more}")


def _footer(changed: Differences) -> Iterator[str]:
    """Yield sentences on the worth of the words and intervals.

    By Bonferroni, the error of all verdicts together is at most the sum.
    """
    noisy = sum(bool(row.smallest_visible_effect) for row in changed.comparisons)
    error = changed.error_rate
    together = f", any of these {noisy} with {min(1.0, noisy * error):.2g} at most (Bonferroni)" if noisy > 1 else ""
    yield f"A verdict from figures with noise is wrong with a probability of {error:.2g} at most{together}."
    yield (
        "head/base above 1: head has more, or takes longer. would see: the change that would have been called with 95% "
        "probability."
    )
    yield from (printable(note) for note in changed.notes)
    if changed.selftest:
        yield printable(changed.selftest)


def _rows_of(rows: Rows) -> Iterator[str]:
    yield "| cell | metric | head/base | 95 % interval | verdict | would see |"
    yield "|---|---|--:|---|---|--:|"
    for row in rows[:MOST_ROWS]:
        value, interval = _figures(row)
        word = f"**{row.verdict}**" if _kind(row) == BAD else row.verdict
        yield f"| `{_code(row.id)}` | {row.metric} | {value} | {interval} | {word} | {_visible(row)} |"
    if len(rows) > MOST_ROWS:
        yield f"| and {len(rows) - MOST_ROWS} more, see the JSON | | | | | |"


def _code(text: object) -> str:
    """Return a text for a code span in a table: no backtick ends it, no bar splits the row."""
    return printable(text).replace("`", "'").replace("|", "\\|")


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is: no HTML, no mention of people, no formatting."""
    kept = printable(text).replace("&", "&amp;").replace("<", "&lt;").replace("@", "@\u200b")
    return "".join(f"\\{each}" if each in "*_`|[]" else each for each in kept)
