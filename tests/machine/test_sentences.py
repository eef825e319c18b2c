"""The sentences of findings: each has its values, and each is said somewhere."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import int8bench
from int8bench.machine.finding import Severity, finding_of, note

SOURCES = sorted(Path(int8bench.__file__).parent.rglob("*.py"))
SENTENCES = tomllib.loads((Path(int8bench.__file__).parent / "sentences" / "findings.toml").read_text(encoding="utf-8"))
MAKERS = {"error": 0, "warning": 0, "note": 0, "finding_of": 1}  # where the kind stands among the arguments


def _module_values() -> dict[str, ast.expr]:
    """What names at the top of our modules stand for: texts, and mappings to texts."""
    found: dict[str, ast.expr] = {}
    for path in SOURCES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str()) | ast.Dict() as value):
                    found[name] = value
                case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                    pairs = zip(names, values, strict=True)
                    found |= {name.id: value for name, value in pairs if isinstance(name, ast.Name)}
    return found


TOP = _module_values()


def _kinds(node: ast.expr, function: ast.AST) -> list[str]:
    """Every text that an expression may be: itself, either branch, what a name has in the function or above it."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.IfExp():
            return [*_kinds(node.body, function), *_kinds(node.orelse, function)]
        case ast.Subscript(value=ast.Name(id=name)) if isinstance(TOP.get(name), ast.Dict):
            return [text for value in TOP[name].values for text in _kinds(value, function)]
        case ast.Name(id=name) | ast.Attribute(attr=name):
            values = list(_assigned(name, function)) or [TOP[name]]
            return [text for value in values for text in _kinds(value, function)]
    raise AssertionError(f"line {node.lineno}: what kind is {ast.unparse(node)}?")


def _assigned(name: str, function: ast.AST) -> Iterator[ast.expr]:
    """The values that a name has in a function: by an assignment, or in a loop over tuples."""
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.For(target=ast.Tuple(elts=targets), iter=ast.Tuple(elts=rows)):
                places = [i for i, each in enumerate(targets) if isinstance(each, ast.Name) and each.id == name]
                yield from (row.elts[i] for i in places for row in rows if isinstance(row, ast.Tuple))


def _made() -> list[tuple[str, list[str], set[str]]]:
    """Where a finding is made: the place, its kinds, and the names of its values."""
    found = []
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "int8bench.machine.finding"
            for alias in node.names
        }
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            for node in ast.walk(function):
                match node:
                    case ast.Call(func=ast.Name(id=maker)) if maker in imported & set(MAKERS):
                        kinds = _kinds(node.args[MAKERS[maker]], function)
                        found.append((f"{path.name}:{node.lineno}", kinds, {str(each.arg) for each in node.keywords}))
    return found


def _in_braces(kind: str) -> set[str]:
    """The values that the sentences of a kind need."""
    words = {**SENTENCES[kind.partition("/")[0]], **SENTENCES[kind]}
    return {name for text in words.values() for _, name, _, _ in Formatter().parse(text) if name}


MADE = _made()
BARE = {"dirty-tree", "left-out", "skipped", "not-built"}  # of a duet: what is left out needs no reason and no advice


@pytest.mark.parametrize(("place", "kinds", "values"), MADE, ids=[place for place, _, _ in MADE])
def test_a_finding_has_the_values_of_its_sentences(place: str, kinds: list[str], values: set[str]) -> None:
    """No sentence lacks one, and none is given in vain."""
    assert set(kinds) <= set(SENTENCES), place
    for kind in kinds:
        assert _in_braces(kind) <= {*values, "subject"}, f"{place}: {kind}"
    assert values <= set().union(*map(_in_braces, kinds)), place


def test_every_sentence_is_said_somewhere() -> None:
    """A kind that nothing makes would stay when its finding goes."""
    assert len(MADE) > 50
    assert {kind for _, kinds, _ in MADE for kind in kinds} == set(SENTENCES)


def test_every_kind_says_what_why_and_what_to_type() -> None:
    """A wording has what differs from its kind's; a word that is spelt otherwise would be left out in silence."""
    for kind, words in SENTENCES.items():
        whole = {**SENTENCES[kind.partition("/")[0]], **words}
        assert set(words) <= {"message", "why", "advice"}, kind
        assert "message" in whole, kind
        assert kind in BARE or set(whole) == {"message", "why", "advice"}, kind
        assert all(text.strip() for text in words.values()), kind


def test_a_sentence_is_made_when_it_is_shown() -> None:
    """Of the kind's sentences and, where a wording has its own, of these; the subject is always a value."""
    whole = finding_of(Severity.NOTE, "listing-cut/elsewhere", "cpu", how="Look.").shown
    assert whole.code == "listing-cut"
    assert whole.message == "The listing is cut within a list of instructions."
    assert whole.advice == "Look."
    told = note("dirty-tree", "duet")
    assert (told.shown.why, told.shown.advice) == ("", "")
    with pytest.raises(KeyError, match="arch"):
        _ = note("32-bit-system", "cpu").shown
