"""Every command of README and CI.md exists, and those of blocks keep their promise: quick ones here.

Long ones are run by `make test-readme`; a command that no list knows fails here.
"""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from documented import CI, ELSEWHERE, LONG, QUICK, README, REPOSITORY, commands, fenced
from places import Places

from int8bench import cli

PAGES = {page.name: page.read_text(encoding="utf-8") for page in (README, CI)}


def parsed(words: list[str]) -> None:
    """Parses with the real command line, and runs nothing; a bare name may be prose, and lack what is required."""
    group = typer.main.get_command(cli.app)
    with group.make_context("int8bench", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        if rest:
            command.make_context(name, rest, parent=context)


def target(words: list[str]) -> None:
    """A target of the Makefile; variables behind it are ones that the Makefile knows."""
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in words:
        variable, is_set, _ = word.partition("=")
        pattern = rf"^{variable} \?=" if is_set else rf"^{word}:"
        assert re.search(pattern, text, re.MULTILINE), f"the Makefile has no {word}"


def wheel(words: list[str]) -> None:
    """Installs this package from its folder, as tests/test_packaging.py does, or with an extra that it has."""
    found = re.fullmatch(r"(\.|int8bench)(\[(?P<extra>\w+)\])?", words[1])
    assert words[0] == "install"
    assert found is not None
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    assert found["extra"] is None or f"\n{found['extra']} = [" in project


def asv(words: list[str]) -> None:
    """Parses with asv's own command line, and runs nothing."""
    from asv.commands import make_argparser

    parser, _ = make_argparser()
    parser.parse_args(words)


def in_pytest(words: list[str]) -> None:
    """Options of pytest-benchmark and of our plug-in."""
    from argparse import ArgumentParser

    known = ArgumentParser()
    known.add_argument("paths", nargs="*")
    known.add_argument("--benchmark-autosave", action="store_true")
    known.add_argument("--int8bench-gate")
    known.add_argument("--int8bench-race-budget")
    known.parse_args(words)
    plugin = (REPOSITORY / "src" / "int8bench" / "pytest_plugin.py").read_text(encoding="utf-8")
    assert all(word.partition("=")[0] in plugin for word in words if word.startswith("--int8bench"))


def activation(words: list[str]) -> None:
    """Goes into the environment that the Makefile makes."""
    assert words == [".venv/bin/activate"]


RULES: dict[str, Callable[[list[str]], None]] = {
    "int8bench": parsed,
    "make": target,
    "pip": wheel,
    "asv": asv,
    "pytest": in_pytest,
    ".": activation,
}


@pytest.mark.parametrize("command", dict.fromkeys(line for page in PAGES.values() for line in commands(page)))
def test_a_command_of_the_readme_is_one_that_exists(command: str) -> None:
    """Options, values and targets are those of today."""
    program, *words = shlex.split(re.sub(r"=<[^>]*>", "=there", command))
    assert program in RULES, f"no rule covers {command!r}"
    RULES[program](words)


def test_every_command_of_a_block_is_in_one_list() -> None:
    """A new one needs a promise, and a promise whose command is gone goes too."""
    listed = [*QUICK, *LONG, *ELSEWHERE]
    assert len(set(listed)) == len(listed)
    assert {line for page in PAGES.values() for line in fenced(page)} == set(listed)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Places:
    """Folders to type in."""
    return Places(tmp_path_factory.mktemp("places"), cache)


@pytest.mark.parametrize("command", QUICK)
def test_a_quick_command_keeps_its_promise(places: Places, command: str) -> None:
    """It is typed as it stands; exit code, a line of the answer and files are as the document says."""
    places.typed(command, QUICK[command])


def test_the_readme_has_its_two_commands_and_more() -> None:
    """There is something to hold the rules against."""
    found = commands(PAGES[README.name])
    assert {"make bench", "make test", "pip install ."} <= set(found)
    assert len([each for each in found if each.startswith("int8bench run")]) >= 3


def test_all_documents_say_the_same_of_the_headline() -> None:
    """It is held against the best float32 of any engine that ran, in README, METHOD and on the page."""
    page = REPOSITORY / "src" / "int8bench" / "report" / "templates" / "run.html.j2"
    for document, words in {
        README: "the *best* float32 that ran, of whichever engine",
        REPOSITORY / "METHOD.md": '**"Best float32" means the best that int8bench ran**, of whichever engine',
        page: "The headline is against the best float32 of any engine that ran",
    }.items():
        text = document.read_text(encoding="utf-8")
        assert words in text, document.name
        assert "engine family" not in text, document.name
        assert "over the float32 layouts" not in text, document.name


def test_output_is_no_command_and_comments_are_no_arguments() -> None:
    """A block of output is left out, a comment is cut off, and inline commands count."""
    output = "<!-- output:begin -->\n```\n1.2x\n```\n<!-- output:end -->"
    text = f"```\nmake test   # all\n```\n{output}\nthen `int8bench run`, `--json`\n"
    assert commands(text) == ["make test", "int8bench run"]


@pytest.mark.parametrize(
    "command",
    [
        "int8bench run --no-such",
        "int8bench frobnicate",
        "int8bench selftest --thorough now",
        "make sandwich",
        "pip install x",
        "asv runn",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    """The rules can fail."""
    program, *words = command.split()
    with pytest.raises((AssertionError, typer.TyperException, SystemExit)):
        RULES[program](words)
