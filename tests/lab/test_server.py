"""A setup that serves from inside: forks see what is alive there, and a setup that never serves says so."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from int8bench.errors import EngineError, LabError
from int8bench.lab import server
from int8bench.lab.channel import Setup
from int8bench.lab.environment import ProcessSettings
from int8bench.lab.launches import Launch, launched

SETUPS = """
import os, sys

def inside(payload, serve):
    folder = [payload]
    try:
        serve(folder)
    finally:
        os._exit(9)  # a served setup must not be unwound

def never(payload, serve):
    return payload

def leaving(payload, serve):
    sys.exit("no display")

def state(state, payload, line):
    return state

def leave(state, payload, line):
    sys.exit(3)
"""


@pytest.fixture(autouse=True)
def _setups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "serving_setups.py").write_text(SETUPS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "serving_setups", raising=False)


def _setup(name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module("serving_setups"), name)


@pytest.fixture
def launch() -> Iterator[Launch]:
    """A launch that serves from inside its setup."""
    setup = Setup(function=_setup("inside"), payload=3, serves=True)
    with launched((0,), setup, settings=ProcessSettings()) as (one,):
        yield one


def test_forks_are_served_from_inside_the_setup(launch: Launch) -> None:
    """With the state that it hands over, again and again."""
    assert [launch.fork(_setup("state"), None).result(10) for _ in range(2)] == [[3], [3]]


def test_a_task_that_leaves_the_interpreter_does_not_unwind_the_setup(launch: Launch) -> None:
    """Its fork says what it did, and the launch goes on."""
    with pytest.raises(LabError, match="SystemExit: 3"):
        launch.fork(_setup("leave"), None).result(10)
    assert launch.fork(_setup("state"), None).result(10) == [3]


def test_a_failure_tells_what_an_error_comes_from() -> None:
    """Of ours its own sentence, of another one its cause."""
    wrapper = RuntimeError("cannot lower:\nsee below")
    wrapper.__cause__ = NotImplementedError("aten.foo")
    assert server._sentence(wrapper) == "NotImplementedError: aten.foo"
    ours = EngineError("x86: no kernel")
    ours.__cause__ = wrapper
    assert server._sentence(ours) == "x86: no kernel"


@pytest.mark.parametrize(
    ("setup", "sentence"),
    [("never", "serving_setups:never ended without having served"), ("leaving", "SystemExit: no display")],
)
def test_a_setup_that_does_not_serve_is_one_sentence(setup: str, sentence: str) -> None:
    """It returned, or wanted to end the interpreter."""
    wrong = Setup(function=_setup(setup), payload=3, serves=True)
    with pytest.raises(LabError, match=sentence), launched((0,), wrong, settings=ProcessSettings()):
        pass
