"""What a person asked for, and the command that asks for a part of it."""

import math
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from int8bench import cli, options
from int8bench.study.plan.budget import DEFAULT_S, QUICK_S
from int8bench.study.plan.request import SPARE_S, Request

REQUEST = Request(engines=("all",), batches=(1, 8))


@pytest.mark.parametrize(
    ("changes", "total_s"),
    [
        ({}, DEFAULT_S),
        ({"quick": True}, QUICK_S),
        ({"quick": True, "budget_s": 90.0}, 90.0),
        ({"measuring_s": 60.0}, math.inf),
    ],
)
def test_every_way_to_ask_has_its_total(changes: dict[str, object], total_s: float) -> None:
    """A budget is the total; --quick and the default have one each; measuring alone has none."""
    assert replace(REQUEST, **changes).total_s == total_s


def typed(command: str) -> dict[str, object]:
    """The values that the real command line reads from a command."""
    _, name, *words = shlex.split(command)
    group = typer.main.get_command(cli.app)
    with group.make_context("int8bench", [name, *words]) as context:
        _, parsed, rest = group.resolve_command(context, [name, *words])
        return dict(parsed.make_context(name, rest, parent=context).params)


def test_the_command_is_one_that_measures_the_part() -> None:
    """All that was given and is not the default stands in it, with names that a shell would take apart quoted."""
    request = replace(
        REQUEST,
        model="my models:make",
        input_shape="3x8x8",
        weights=Path("w.pt"),
        data="imagefolder:a b",
        data_dir=Path("d"),
        threads=(1, 2),
        seed=7,
        quick=True,
    )
    values = typed(request.command(engines=["inductor"], batches=[8], needed_s=100.0))
    assert (values["model"], values["input_shape"], values["data"]) == ("my models:make", "3x8x8", "imagefolder:a b")
    assert (values["weights"], values["data_dir"], values["seed"]) == (Path("w.pt"), Path("d"), 7)
    assert (values["engines"], values["batch"], values["threads"], values["quick"]) == (
        ("inductor",),
        (8,),
        (1, 2),
        True,
    )


def test_a_plain_command_stays_short() -> None:
    """Defaults are not repeated."""
    assert REQUEST.command(engines=["tflm"], batches=[1], needed_s=1.0) == (
        "int8bench run --engines tflm --batch 1 --budget 2m"
    )


@pytest.mark.parametrize("needed_s", [0.0, 30.0, 100.0, 1_000.0])
def test_the_budget_that_is_proposed_has_room_for_what_was_left_out(needed_s: float) -> None:
    """And for what every run takes."""
    proposed = typed(REQUEST.command(engines=["x"], batches=[1], needed_s=needed_s))["budget"]
    assert options.seconds("--budget", str(proposed)) >= needed_s + SPARE_S


def test_the_command_and_the_request_have_the_same_defaults() -> None:
    """So that who builds a request, here or in a program of their own, gets what the command line gives."""
    values, asked = typed("int8bench run"), Request()
    assert (values["batch"], values["timeout"], values["engines"]) == (asked.batches, asked.timeout_s, asked.engines)
    same = ("model", "data", "precision", "accuracy_loss", "seed", "quick", "threads", "weights")
    assert {name: values[name] for name in same} == {name: getattr(asked, name) for name in same}
