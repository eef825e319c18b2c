"""What public docstrings say beside their first line, which ruff holds to the imperative: arguments, and no others."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import int8bench

PACKAGE = Path(int8bench.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
ENTRY = re.compile(r"^ {4}\*{0,2}(\w+): ", re.MULTILINE)
TYPER = ("app.command", "app.callback")  # a command's options have their help, and its docstring is shown as it is


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        decorators = [ast.unparse(each) for each in getattr(node, "decorator_list", ())]
        if isinstance(node, ast.FunctionDef) and not any(each.startswith(TYPER) for each in decorators):
            yield node


def _parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    named = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    return [each.arg for each in (*named, given.vararg, given.kwarg) if each is not None]


def _entries(docstring: str) -> list[str]:
    _, _, after = docstring.partition("Args:\n")
    return ENTRY.findall(re.split(r"^\w+:$", after, maxsplit=1, flags=re.MULTILINE)[0])


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(PACKAGE)) for path in FILES])
def test_a_public_function_says_what_its_arguments_are(path: Path) -> None:
    """From two on, each of them; and no entry is left of an argument that is gone."""
    for function in _functions(path):
        docstring = ast.get_docstring(function) or ""
        entries, parameters = _entries(docstring), _parameters(function)
        assert set(entries) <= set(parameters), f"{function.name}: {entries}"
        asked = [each for each in parameters if each not in {"self", "cls"} and not each.startswith("_")]
        if docstring and not function.name.startswith("_") and len(asked) > 1:
            assert set(asked) <= set(entries), f"{function.name}: {sorted(set(asked) - set(entries))}"


def test_entries_are_those_of_arguments_alone() -> None:
    """An error that is raised is no argument, nor is a paragraph."""
    arguments = "Args:\n    one: of two.\n    **more: options."
    docstring = f"Return it.\n\nNote: all of it.\n\n{arguments}\n\nRaises:\n    ValueError: no."
    assert _entries(docstring) == ["one", "more"]
