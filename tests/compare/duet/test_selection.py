"""Which benchmarks a person means: an id as it is printed selects itself."""

import pytest

from int8bench.compare.duet.plan import Selection
from int8bench.errors import RequestError

NAMES = (
    "b.time_it('a', 1)",
    "b.time_it('a', 12)",
    "b.time_it2",
    "b.time_it",
    "t.py::test_a[x\ny]",
    "float32/b1/t1",
    "float32/b1/t1#cost",
    "float32#answers",
    "float32/b1/t10",
)


@pytest.mark.parametrize("name", NAMES)
def test_an_id_as_it_is_printed_selects_itself(name: str) -> None:
    """And nothing that merely has it in it, or is found by it as an expression."""
    found = Selection(text=name).of(NAMES)
    assert name in found
    assert {each.partition("#")[0] for each in found} == {name.partition("#")[0]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("time_it(", {NAMES[0], NAMES[1]}),
        ("test_a[x y]", {"t.py::test_a[x\ny]"}),
        ("float32/b1/t1", {"float32/b1/t1", "float32/b1/t1#cost"}),
        ("it2", {"b.time_it2"}),
        (".*", set()),
        ("", set(NAMES)),
    ],
)
def test_a_text_selects_what_has_it(text: str, found: set[str]) -> None:
    """As it is: no sign in it means anything else; costs and answers go by the id that is printed."""
    assert Selection(text=text).of(NAMES) == found


def test_an_expression_is_asked_for_by_its_own_name() -> None:
    """Anywhere in the id."""
    assert Selection(pattern=r"time_it\d$|answers").of(NAMES) == {"b.time_it2", "float32#answers"}
    with pytest.raises(RequestError, match=r"--select-regex \(: not a regular expression"):
        Selection(pattern="(")


def test_nothing_typed_selects_all() -> None:
    """And both typed is a contradiction."""
    assert Selection().of(NAMES) == set(NAMES)
    assert str(Selection()) == ""
    assert str(Selection(text="a")) == " that match --select a"
    assert str(Selection(pattern="a")) == " that match --select-regex a"
    with pytest.raises(RequestError, match="leave one out"):
        Selection(text="a", pattern="b")
