"""JSON documents as typed values: the one reader, and the one writer, of all that we store.

A frozen dataclass says what a document holds: its fields are the keys, in the order in which they are written. What a
type cannot say stands beside it, as in ``Annotated[float, ABOVE_0]``. Of a document that is otherwise, a person reads
one sentence: where in it, what was expected there, and what was there.
"""

import json
import reprlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import GenericAlias, NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar, Union, get_args, get_origin

from int8bench.errors import RecordError

if TYPE_CHECKING:
    from cattrs import Converter

T = TypeVar("T")
# What JSON holds. Where a document is free (the evidence of an engine), this is all that can be said of it.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class _Free:
    """Marks what is kept as it stands: JSON that is somebody else's to describe."""


JsonObject = Annotated[Mapping[str, Json], _Free()]


class _UnexpectedError(ValueError):
    """A value that is not as expected; `place` is the way to it from where it was read."""

    def __init__(self, expected: str, value: object, *, place: str = "", kind: str | None = None) -> None:
        super().__init__(f"{expected}, got {reprlib.repr(value)}")
        self.place = place
        self.kind = kind
        """The name of the JSON type, where the value is of another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a value must be beside its type: a sentence, and the test of it."""

    expected: str
    holds: Callable[[float], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """The texts that a value may be."""

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Each:
    """What each entry of a long array of numbers must be; tested without a step of the reader for each."""

    expected: str
    holds: Callable[[object], bool]


ABOVE_0 = Rule(expected="expected a number above 0", holds=lambda value: value > 0)
AT_LEAST_0 = Rule(expected="expected 0 or more", holds=lambda value: value >= 0)
AT_LEAST_1 = Rule(expected="expected 1 or more", holds=lambda value: value >= 1)
AT_LEAST_2 = Rule(expected="expected 2 or more", holds=lambda value: value >= 2)  # noqa: PLR2004  as it says
AT_MOST_1 = Rule(expected="expected 1 or less", holds=lambda value: value <= 1)
AT_LEAST_MINUS_1 = Rule(expected="expected -1 or more", holds=lambda value: value >= -1)
BELOW_1 = Rule(expected="expected a number below 1", holds=lambda value: value < 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How many entries an array has at least."""

    at_least: int


OMITTED = {"omitted": True}  # the metadata of a field that is no key where it has its default

Positive = Annotated[float, ABOVE_0]
NotNegative = Annotated[float, AT_LEAST_0]
Count = Annotated[int, AT_LEAST_1]
Natural = Annotated[int, AT_LEAST_0]
Share = Annotated[float, AT_LEAST_0, AT_MOST_1]
Level = Annotated[float, ABOVE_0, BELOW_1]


def is_number(value: object) -> bool:
    """Tell whether a value is a number that can be reckoned with: finite, and no boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def read(kind: type[T], document: object, *, name: str, at: str = "", strict: bool = True) -> T:
    """Return the value of a dataclass that a JSON document holds.

    Args:
        kind: the dataclass.
        document: what `json.loads` gave.
        name: of the document, with which the sentence begins; may be empty.
        at: the place of the document in a larger one.
        strict: whether keys that the dataclass has not are refused.

    Raises:
        RecordError: the document holds something else; the message has `name`, the place inside it, what was expected
            there and what was there.
    """
    from cattrs.errors import BaseValidationError

    try:
        return _converter(strict).structure(document, kind)
    except _UnexpectedError as error:
        place, sentence = error.place, str(error)
    except BaseValidationError as error:
        # The one nearest to the top says most: what lies below a wrong value is wrong because of it.
        place, sentence = min(
            _objections(error), key=lambda objection: objection[0].count(".") + objection[0].count("[")
        )
    raise RecordError(": ".join(part for part in (name, (at + place).lstrip("."), sentence) if part))


def written(value: object) -> dict[str, Json]:
    """Return the JSON form of a dataclass; the inverse of `read`."""
    form: dict[str, Json] = _converter(strict=True).unstructure(value)
    return form


def parse(text: str, *, name: str, by: str) -> Json:
    """Return what a text of JSON holds.

    Args:
        text: of a file.
        name: of the file, with which the sentence begins.
        by: who writes such files, for the sentence: ``int8bench run``.

    Raises:
        RecordError: it is no JSON, or none that can be shown.
    """
    try:
        document: Json = json.loads(text)
        if "\\ud" in text.lower():  # perhaps half a character, which no terminal and no file takes
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        what = f"{error.msg} at line {error.lineno}" if text.strip() else "the file is empty"
        raise RecordError(f"{name}: not JSON, or cut short: {what}; expected what {by} wrote") from None
    except RecursionError:
        raise RecordError(f"{name}: nested too deep to be a record of {by}") from None
    except UnicodeEncodeError:
        raise RecordError(f"{name}: holds half a character; expected what {by} wrote") from None
    except ValueError as error:  # a number of thousands of digits
        raise RecordError(f"{name}: {str(error)[:80]}; expected what {by} wrote") from None
    return document


def load(path: Path, *, by: str) -> Json:
    """Return what a file of JSON holds.

    Args:
        path: of the file.
        by: who writes such files, for the sentence: ``int8bench run``.

    Raises:
        RecordError: there is no such file, or it holds none.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), name=str(path), by=by)
    except FileNotFoundError:
        raise RecordError(f"{path}: no such file; make one with: {by} -o {path}") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path}: not a text file; expected a record that {by} wrote") from None
    except OSError as error:
        raise RecordError(
            f"{path}: cannot be read: {error.strerror or error}; give a file that you can read"
        ) from error


def _objections(error: BaseException, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the places of what is wrong in a document, and a sentence for each."""
    from cattrs.errors import BaseValidationError, ForbiddenExtraKeysError

    if isinstance(error, BaseValidationError):
        for cause in error.exceptions:
            yield from _objections(cause, place + _step(cause))
    elif isinstance(error, ForbiddenExtraKeysError):
        unknown = ", ".join(repr(key) for key in sorted(error.extra_fields, key=str))
        were = "was" if len(error.extra_fields) == 1 else "were"
        yield place, f"Additional properties are not allowed ({unknown} {were} unexpected)"[:120]
    elif isinstance(error, _UnexpectedError):
        yield place + error.place, str(error)
    else:
        yield place.rpartition(".")[0], f"{place.rpartition('.')[2]!r} is a required property"


def _step(cause: BaseException) -> str:
    """Return the last step of the way to a value, as cattrs notes it: ``.name`` or ``[2]``."""
    from cattrs.errors import AttributeValidationNote, IterableValidationNote

    for note in getattr(cause, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return f".{note.name}"
        if isinstance(note, IterableValidationNote):
            return f"[{note.index}]" if isinstance(note.index, int) else f".{note.index}"
    return ""


@cache
def _converter(strict: bool) -> "Converter":  # noqa: FBT001  a cache wants it by place
    """Return the reader; it turns nothing into something else, so that "5" is no number and 1.0 no whole one."""
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=strict)
    for kind in _SCALARS:
        converter.register_structure_hook(kind, _scalar(kind))
    for is_ours, hook in (
        (is_dataclass, _object),
        (_is_array, _array),
        (_is_set, _set),
        (_is_pair, _pair),
        (_is_mapping, _mapping),
        (_is_optional, _optional),
        (_is_annotated, _annotated),
    ):
        converter.register_structure_hook_factory(is_ours, hook)
    converter.register_unstructure_hook_factory(is_dataclass, _keys)
    converter.register_unstructure_hook_factory(_is_set, lambda _: sorted)
    return converter


_Hook: TypeAlias = Callable[..., object]
_SCALARS: Mapping[type, tuple[str, Callable[[object], bool]]] = {
    bool: ("boolean", lambda value: isinstance(value, bool)),
    int: ("integer", lambda value: is_number(value) and isinstance(value, int)),
    float: ("number", is_number),
    str: ("string", lambda value: isinstance(value, str)),
}


def _scalar(kind: type) -> _Hook:
    name, holds = _SCALARS[kind]

    def structure(value: object, asked: object) -> object:
        if isinstance(asked, type) and issubclass(asked, Enum):  # whose members are texts: it comes by here too
            return _member(asked, value)
        if not holds(value):
            raise _UnexpectedError(f"expected {name}", value, kind=name)
        return value

    return structure


def _member(kind: type[Enum], value: object) -> Enum:
    members = {str(member.value): member for member in kind}
    if not isinstance(value, str) or value not in members:
        raise _UnexpectedError(f"expected one of {', '.join(members)}", value)
    return members[value]


def _checked(structure: _Hook, name: str, kinds: tuple[type, ...]) -> _Hook:
    """Return a hook behind the test that the value is of the JSON type of that name."""

    def checked(value: object, kind: object) -> object:
        if not isinstance(value, kinds):
            raise _UnexpectedError(f"expected {name}", value, kind=name)
        return structure(value, kind)

    return checked


def _object(kind: type, converter: "Converter") -> _Hook:
    from cattrs.gen import make_dict_structure_fn

    return _checked(make_dict_structure_fn(kind, converter), "object", (Mapping,))


def _keys(kind: type, converter: "Converter") -> Callable[[object], dict[str, Json]]:
    """Return the hook that writes a dataclass."""
    from cattrs.gen import make_dict_unstructure_fn

    by_fields: Callable[[object], dict[str, Json]] = make_dict_unstructure_fn(kind, converter)
    omitted = {each.name: each.default for each in fields(kind) if each.metadata == OMITTED}

    def unstructure(value: object) -> dict[str, Json]:
        form = by_fields(value)
        return {key: form[key] for key in form if key not in omitted or form[key] != omitted[key]}

    return unstructure if omitted else by_fields


def _is_array(kind: object) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis


def _array(kind: type, converter: "Converter") -> _Hook:
    from cattrs.cols import homogenous_tuple_structure_factory

    return _checked(homogenous_tuple_structure_factory(kind, converter), "array", (list, tuple))


def _is_set(kind: object) -> bool:
    return get_origin(kind) is frozenset


def _set(kind: type, converter: "Converter") -> _Hook:
    """Return the hook of an array whose order says nothing; it is written sorted."""
    entries = GenericAlias(tuple, (*get_args(kind), ...))
    structure = converter.get_structure_hook(entries)
    return lambda value, _: frozenset(structure(value, entries))


def _is_pair(kind: object) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[-1] is not Ellipsis


def _pair(kind: type, converter: "Converter") -> _Hook:
    """Return the hook of an array with as many entries as its type has."""
    entries = get_args(kind)

    def structure(value: object, _: object) -> object:
        if not isinstance(value, list | tuple) or len(value) != len(entries):
            raise _UnexpectedError(f"expected array of {len(entries)}", value, kind="array")
        return tuple(converter.structure(one, entry) for one, entry in zip(value, entries, strict=True))

    return structure


def _is_mapping(kind: object) -> bool:
    return get_origin(kind) is Mapping


def _mapping(kind: type, converter: "Converter") -> _Hook:
    from cattrs.cols import mapping_structure_factory

    return _checked(mapping_structure_factory(kind, converter), "object", (Mapping,))


def _is_optional(kind: object) -> bool:
    return get_origin(kind) in {Union, UnionType} and NoneType in get_args(kind)


def _optional(kind: object, converter: "Converter") -> _Hook:
    (inner,) = (choice for choice in get_args(kind) if choice is not NoneType)

    def structure(value: object, _: object) -> object:
        try:
            return None if value is None else converter.structure(value, inner)
        except _UnexpectedError as error:
            if error.kind is None or error.place:
                raise
            raise _UnexpectedError(f"expected {error.kind} or null", value, kind=error.kind) from None

    return structure


def _is_annotated(kind: object) -> bool:
    return get_origin(kind) is Annotated


def _annotated(kind: object, converter: "Converter") -> _Hook:
    """Return the hook of a type, and of what stands beside it."""
    base, *beside = get_args(kind)
    if any(isinstance(note, _Free) for note in beside):
        return _checked(lambda value, _: value, "object", (Mapping,))
    entries = next((note for note in beside if isinstance(note, Each)), None)
    structure = converter.get_structure_hook(base) if entries is None else _numbers(entries)

    def checked(value: object, _: object) -> object:
        structured = structure(value, base)
        for note in beside:
            _check(note, structured)
        return structured

    return checked


def _numbers(entries: Each) -> _Hook:
    """Return the hook of a long array; it looks at every entry in one pass."""

    def structure(value: object, _: object) -> object:
        if not isinstance(value, list | tuple):
            raise _UnexpectedError("expected array", value, kind="array")
        for index, entry in enumerate(value):
            if not entries.holds(entry):
                raise _UnexpectedError(entries.expected, entry, place=f"[{index}]")
        return tuple(value)

    return structure


def _check(note: object, value: object) -> None:
    """Hold a value to what stands beside its type."""
    match note:
        case Rule() if isinstance(value, int | float) and not note.holds(value):
            raise _UnexpectedError(note.expected, value)
        case OneOf() if value not in note.choices:
            raise _UnexpectedError(f"expected one of {', '.join(note.choices)}", value)
        case Length() if isinstance(value, Sequence) and len(value) < note.at_least:
            raise _UnexpectedError(f"expected {note.at_least} or more entries", value)
