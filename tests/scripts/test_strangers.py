"""What the tries on other projects say of a duet, from documents made here; nothing is fetched or raced."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
Script = dict[str, Any]


@pytest.fixture(scope="module")
def script() -> Script:
    """The names of the script, which does nothing when it is read."""
    return read("strangers")


@pytest.fixture(scope="module")
def chance() -> Script:
    """The names of the one that counts what comes of chance."""
    return read("chance")


def read(name: str) -> Script:
    """A script's names; what it imports lies beside it."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(SCRIPTS))
        patched.delitem(sys.modules, "duets", raising=False)
        found = runpy.run_path(str(SCRIPTS / f"{name}.py"))
        patched.delitem(sys.modules, "duets", raising=False)
    return found


def compared(name: str, verdict: str = "same", value: float | None = 1.0) -> dict[str, Any]:
    """A comparison of a time."""
    ratio = None if value is None else {"value": value, "low": 0.99 * value, "high": 1.01 * value}
    return {"id": name, "metric": "time", "verdict": verdict, "ratio": ratio, "reason": None if ratio else "no figure"}


def error(name: str) -> dict[str, Any]:
    """What a duet finds where head breaks a benchmark."""
    return {"code": "benchmark-failed", "severity": "error", "subject": name, "message": f"{name}: head: no"}


def answered(script: Script, *comparisons: dict[str, Any], code: int = 0, findings: tuple[Any, ...] = ()) -> Any:
    """A duet that ended with these."""
    document = {"comparisons": list(comparisons), "findings": list(findings)}
    return script["Answer"](code=code, document=document, said="", wall_s=1.0)


def unanswered(script: Script, said: str) -> Any:
    """A duet that printed no JSON."""
    return script["Answer"](code=3, document=None, said=said, wall_s=1.0)


def project(script: Script, verdict: str = "slower") -> Any:
    """A project whose change moves every `hot` benchmark."""
    change = script["Change"](what="-", file="-", quick="a", slow="b", verdict=verdict, moves=r"\bhot", about="-")
    return script["Project"](name="toy", version="1.0", suite="asv", change=change)


def test_every_project_of_the_table_has_a_change_that_its_selection_holds(script: Script) -> None:
    """Names are told once, patterns are patterns, and the two texts of an edit differ."""
    projects = script["PROJECTS"]
    assert len({each.name for each in projects}) == len(projects)
    for each in projects:
        re.compile(each.change.moves)
        re.compile(each.select or "")
        assert each.change.quick != each.change.slow
        assert each.change.verdict in {"slower", "faster"}
        assert re.fullmatch(r"\d+(\.\d+)+", each.version)
    assert {each.suite for each in projects} == {"asv", "pytest"}
    assert {each.change.verdict for each in projects} == {"slower", "faster"}
    assert all(each.title in script["listed"](projects) for each in projects)


def test_a_speed_up_is_the_slow_text_first(script: Script) -> None:
    """And a slow-down the quick one, as it is distributed."""
    faster, slower = (project(script, verdict).change for verdict in ("faster", "slower"))
    assert (faster.before, faster.after) == ("b", "a")
    assert (slower.before, slower.after) == ("a", "b")


@pytest.mark.parametrize(
    ("comparisons", "code", "wrong"),
    [
        ([compared("hot"), compared("cold", "unclear"), compared("none", "unclear", None)], 0, ""),
        ([compared("hot", "slower", 1.1)], 1, "called: hot [time]: slower, x1.100 (1.089 to 1.111)"),
        ([compared("hot")], 1, "exit code 1, expected 0"),
    ],
    ids=["nothing", "a difference", "the exit code alone"],
)
def test_nothing_may_be_called_of_a_readme(
    script: Script, comparisons: list[dict[str, Any]], code: int, wrong: str
) -> None:
    """What cannot be told is no call."""
    row = script["judged"](project(script), "docs 1", answered(script, *comparisons, code=code))
    assert "; ".join(row.wrong) == wrong
    assert (row.seen, row.expected) == (0, 0)


@pytest.mark.parametrize(
    ("verdict", "comparisons", "code", "wrong"),
    [
        ("slower", [compared("hot", "slower", 1.5), compared("cold")], 1, ""),
        ("faster", [compared("hot", "faster", 0.5), compared("cold")], 0, ""),
        ("slower", [compared("hot", "slower", 1.5), compared("hot2", "unclear", 1.4)], 1, "missed: hot2"),
        ("slower", [compared("hot", "faster", 0.5)], 0, "called: hot"),
        ("slower", [compared("hot", "slower", 1.5), compared("cold", "slower", 1.1)], 1, "called: cold"),
        ("slower", [compared("cold")], 0, "missed: no benchmark that matches"),
        ("slower", [compared("hot", "slower", 1.5)], 0, "exit code 0, expected 1"),
    ],
)
def test_a_change_has_to_be_called_and_nothing_else(
    script: Script, verdict: str, comparisons: list[dict[str, Any]], code: int, wrong: str
) -> None:
    """All that it moves, in its direction, with the exit code of it."""
    row = script["judged"](project(script, verdict), "changed", answered(script, *comparisons, code=code))
    assert "; ".join(row.wrong).startswith(wrong)
    assert bool(row.wrong) is bool(wrong)


def test_a_benchmark_that_head_breaks_is_wrong(script: Script) -> None:
    """No commit here breaks one."""
    row = script["judged"](project(script), "docs 1", answered(script, compared("hot"), code=1, findings=(error("x"),)))
    assert row.wrong == ("error: x: head: no",)


def test_a_duet_without_an_answer_is_a_row_with_what_it_said(script: Script) -> None:
    """Not a crash."""
    row = script["judged"](project(script), "docs 1", unanswered(script, "int8bench: nothing could be compared"))
    assert row.wrong == ("exit code 3, no answer: int8bench: nothing could be compared",)
    assert row.cells[:5] == ("toy==1.0", "docs 1", 0, 0, 0)
    assert row.cells[-1] == "no"


def test_notes_say_a_thing_once(script: Script) -> None:
    """Under the project, whatever number of runs said so."""
    dirty = {"code": "dirty-tree", "severity": "note", "message": "the tree has changes"}
    left_out = (
        {"code": "left-out", "severity": "note", "message": f"{side}: {name}: imports a lot: numpy"}
        for side in ("base", "head")
        for name in ("slow", "slower")
    )
    answer = answered(script, compared("none", "unclear", None), findings=(dirty, *left_out))
    rows = [script["judged"](project(script), run, answer) for run in ("docs 1", "docs 2")]
    assert script["notes"](rows) == [
        "toy==1.0",
        "  dirty-tree: the tree has changes",
        "  left out: slow and 1 more: imports a lot: numpy",
        "  none: no figure",
    ]


def test_columns_are_as_wide_as_they_have_to_be(script: Script) -> None:
    """Nothing stands behind the last of them."""
    assert script["table"]([("a", "b"), ("long", 1)]) == "a     b\nlong  1"


def test_an_edit_of_a_text_that_is_not_there_once_is_refused(script: Script, tmp_path: Path) -> None:
    """A distribution of another version is not measured with half of a change."""
    file = tmp_path / "hot.py"
    file.write_text("one one", encoding="utf-8")
    with pytest.raises(SystemExit, match="2 times"):
        script["changed"](file, "one", "two")
    assert file.read_text(encoding="utf-8") == "one one"


def test_a_relative_path_of_modules_holds_in_other_folders(
    chance: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Else another int8bench would be tried than the one of here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "src")
    assert chance["duet"].__globals__["resolved"]()["PYTHONPATH"] == str(tmp_path / "src")


def drawn(value: float) -> dict[str, Any]:
    """The ratio of a workload that each process draws."""
    return compared("chance.Drawn.time_spread('x')", value=value)


def test_runs_of_which_nothing_came_have_no_objection(chance: Script) -> None:
    """Up to two calls of all are what chance allows."""
    called = answered(chance, compared("cold", "slower", 1.1), drawn(1.1), code=1)
    assert chance["objections"]([answered(chance, drawn(0.9)), called, called]) == []
    assert len(chance["objections"]([called] * 3)) == 1


@pytest.mark.parametrize("value", [0.8, 1.2])
def test_another_workload_on_either_side_is_an_objection(chance: Script, value: float) -> None:
    """Smaller or larger."""
    (wrong,) = chance["objections"]([answered(chance, drawn(1.0)), answered(chance, drawn(value))])
    assert f"x{value:.3f}, another workload" in wrong


def test_a_run_that_a_failure_ends_is_an_objection(chance: Script) -> None:
    """So is one without an answer, and one without the workloads that are drawn."""
    red = answered(chance, drawn(1.0), code=1, findings=(error("time_sometimes_fails(None)"),))
    assert len(chance["objections"]([red])) == 1
    assert len(chance["objections"]([answered(chance, drawn(1.0)), unanswered(chance, "no")])) == 1
    assert chance["objections"]([answered(chance)]) == ["no ratio of Drawn.time_spread"]


def test_what_head_breaks_for_good_has_to_end_every_run_red(chance: Script) -> None:
    """By a failure, and not by a number that got worse."""
    red = answered(chance, code=1, findings=(error("time_sometimes_fails(None)"),))
    worse = answered(chance, compared("cold", "slower", 1.1), code=1)
    assert chance["unbroken"]([red, red]) == []
    assert [each[:6] for each in chance["unbroken"]([red, worse, answered(chance)])] == ["run 2:", "run 3:"]
    assert dict(chance["counted"]([red, worse]))["... runs where one names time_sometimes_fails"] == 1


def test_the_counts_are_of_all_runs(chance: Script) -> None:
    """Codes, errors, calls, and how far the drawn ratios go."""
    red = answered(chance, drawn(1.2), compared("cold", "faster", 0.9), code=1, findings=(error("x"),))
    rows = dict(chance["counted"]([red, answered(chance, drawn(0.9))]))
    assert rows["... by exit code"] == "0: 1, 1: 1"
    assert (rows["comparisons"], rows["... called"], rows["findings of severity error"]) == (3, 1, 1)
    assert rows["ratios of chance.Drawn.time_spread('x')"] == "0.900 to 1.200, of 2"
