"""What the last selftest on this machine said, kept in the user's cache by hardware fingerprint, and quoted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from int8bench import cache, documents, files, units
from int8bench.documents import Json
from int8bench.errors import RecordError, RequestError
from int8bench.selftest.answer import SCHEMA, SCHEMA_VERSION, headed

_FINGERPRINT = re.compile(r"[0-9a-f]{4,64}")  # it becomes part of a file's name, and may come from somebody's record


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotedAlarms:
    """False alarms, as far as a quote needs them."""

    count: int
    trials: int
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """What a quote needs of a kept selftest, of which files of any version of ours have at least this."""

    created_at: str
    trusted: bool
    trusted_down_to: float | None
    false_alarms: QuotedAlarms


def path_for(fingerprint: str) -> Path | None:
    """Return where the result for that hardware lies; None where nothing can be kept, or it is no fingerprint."""
    folder = cache.folder()
    return folder / f"selftest-{fingerprint}.json" if folder and _FINGERPRINT.fullmatch(fingerprint) else None


def unfinished_path_for(fingerprint: str, budget_s: float) -> Path | None:
    """Return where a selftest keeps its forks until it is done; None where nothing can be kept.

    Args:
        fingerprint: of the hardware.
        budget_s: seconds of the whole selftest: one of another length is another file.
    """
    path = path_for(fingerprint)
    return path.with_suffix(f".unfinished-{budget_s:.0f}s.json") if path else None


def quote(fingerprint: str) -> str | None:
    """Return the sentence that a verdict on that hardware is shown with; None where no selftest on it is known here."""
    path = path_for(fingerprint)
    document = load(path) if path else None
    try:
        return None if document is None else sentence(documents.read(Quoted, document, name=str(path), strict=False))
    except RecordError:
        return None  # not what a selftest writes


def sentence(quoted: Quoted) -> str | None:
    """Return a selftest's result in one sentence; None of one that is trusted without a smallest slow-down."""
    alarms = quoted.false_alarms
    if not quoted.trusted:
        word = "cannot be trusted"
    elif quoted.trusted_down_to is None:
        return None
    else:
        word = f"can be trusted down to {units.down_to(quoted.trusted_down_to)}"
    return (
        f"selftest of {quoted.created_at[:10]} on this machine: verdicts {word} "
        f"({alarms.count} false {'alarm' if alarms.count == 1 else 'alarms'} in {alarms.trials} "
        f"{'race' if alarms.trials == 1 else 'races'}, at most {100 * alarms.high:.1f} % by its 95 % interval)"
    )


def load(path: Path) -> Mapping[str, Json] | None:
    """Return the document at a path; None where there is none, or not one that this int8bench wrote."""
    try:
        document = documents.load(path, by="int8bench selftest")
    except RecordError:
        return None
    if not isinstance(document, Mapping):
        return None
    known = (document.get("schema"), document.get("schema_version")) == (SCHEMA, SCHEMA_VERSION)
    return document if known else None


def keep(path: Path | None, document: Mapping[str, Json]) -> bool:
    """Write a document to its place, whole or not at all, and tell whether there is a place that can be written.

    Args:
        path: where to; None where nothing can be kept.
        document: without its schema, which is put before it.
    """
    try:
        if path:
            files.write_text(path, json.dumps(headed(document)))
    except RequestError:  # a selftest answers without it
        return False
    return path is not None


def forget(path: Path | None) -> None:
    """Remove a file that is no longer needed, where it is there and can be removed."""
    try:
        if path:
            path.unlink(missing_ok=True)
    except OSError:
        return
