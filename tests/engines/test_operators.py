"""What ran is told in one form: shares by kind, of time where every operator has one, else of operators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from int8bench.engines.operators import Kind, Operator, ran

OPERATORS = st.lists(
    st.builds(
        Operator,
        name=st.sampled_from(["conv", "linear"]),
        implementation=st.sampled_from(["brgconv", "ref"]),
        kind=st.sampled_from(Kind),
        seconds=st.floats(1e-6, 1.0) | st.none(),
    ),
    max_size=8,
)


def operator(kind: Kind, seconds: float | None, name: str = "conv") -> Operator:
    """An operator of that kind."""
    return Operator(name=name, implementation="k", kind=kind, seconds=seconds)


def test_shares_are_of_time_where_each_has_one() -> None:
    """Three quarters of the time were int8, in one of two operators."""
    found = ran("a profile", [operator(Kind.INT8, 0.3), operator(Kind.FLOAT, 0.1)])
    assert (found["witness"], found["share_of"]) == ("a profile", "time")
    assert (found["int8_share"], found["float_share"], found["edge_share"]) == (0.75, 0.25, 0.0)


def test_shares_are_of_operators_where_one_has_no_time() -> None:
    """A half of both is int8, whatever the one with a time took."""
    found = ran("a graph", [operator(Kind.INT8, 0.3), operator(Kind.FLOAT, None)])
    assert (found["share_of"], found["int8_share"], found["float_share"]) == ("operators", 0.5, 0.5)


def test_equal_operators_are_counted_together_the_longest_first() -> None:
    """Two convolutions by one kernel are one line."""
    found = ran(
        "a profile", [operator(Kind.INT8, 0.1), operator(Kind.FLOAT, 0.7, name="softmax"), operator(Kind.INT8, 0.2)]
    )
    assert found["operators"] == [
        {"operator": "softmax", "implementation": "k", "kind": "float", "calls": 1, "share": 0.7},
        {"operator": "conv", "implementation": "k", "kind": "int8", "calls": 2, "share": 0.3},
    ]


def test_where_nothing_ran_there_is_no_share() -> None:
    """None is not nothing of something."""
    assert ran("a profile", [])["int8_share"] is None


@given(OPERATORS)
def test_the_shares_of_all_kinds_make_one(operators: list[Operator]) -> None:
    """Up to rounding, whatever ran; and no call is lost."""
    found = ran("anybody", operators)
    if operators:
        assert sum(float(str(found[f"{kind.value}_share"])) for kind in Kind) == pytest.approx(1.0, abs=3e-4)
    rows = found["operators"]
    assert isinstance(rows, list)
    assert sum(row["calls"] for row in rows) == len(operators)


def test_multiply_adds_are_shared_out_by_kind_and_float_is_named_the_most_first() -> None:
    """Of a hundred, seventy in float by two operators; those of the same name count together."""
    made = [(Kind.INT8, 30, "conv"), (Kind.FLOAT, 10, "matmul"), (Kind.FLOAT, 50, "linear"), (Kind.FLOAT, 10, "matmul")]
    found = ran("x", [Operator(name=n, implementation="k", kind=kind, multiply_adds=count) for kind, count, n in made])
    assert found["multiply_adds"] == {
        "total": 100,
        "int8_share": 0.3,
        "float_share": 0.7,
        "float_operators": [{"operator": "linear", "share": 0.5}, {"operator": "matmul", "share": 0.2}],
    }


def test_multiply_adds_that_are_not_all_told_are_none() -> None:
    """A share of a part would be taken for one of the whole; and no share is made of nothing."""
    told, untold = (Operator(name="a", implementation="k", kind=Kind.INT8, multiply_adds=n) for n in (3, None))
    assert ran("x", [told, untold])["multiply_adds"] is None
    assert ran("x", [])["multiply_adds"] is None
    assert ran("x", [Operator(name="a", implementation="k", kind=Kind.INT8, multiply_adds=0)])["multiply_adds"] is None


def test_another_part_of_a_witness_may_tell_the_work() -> None:
    """Times come from what ran, multiply-adds from its plan."""
    timed = operator(Kind.INT8, 0.3), operator(Kind.FLOAT, 0.1)
    plan = [Operator(name="a", implementation="k", kind=Kind.FLOAT, multiply_adds=7)]
    found = ran("a profile", timed, arithmetic=plan)
    assert (found["share_of"], found["int8_share"]) == ("time", 0.75)
    assert isinstance(found["multiply_adds"], dict)
    assert found["multiply_adds"]["float_share"] == 1.0
