"""Cases, their ids and the grid."""

import pytest
from runs import int8_variants

from int8bench.errors import RequestError
from int8bench.workload.cases import Group, float32_references, grid, int8_variant, parse_id


def _default_grid():
    return grid(model="simplecnn", variants=int8_variants("fbgemm", "x86"), batches=(1, 32), threads=(1, 2))


def test_a_grid_races_the_references_along_in_every_group() -> None:
    """Each group has both float32 layouts first, then each engine."""
    cases = _default_grid()
    expected = [*float32_references(), int8_variant("fbgemm"), int8_variant("x86")]
    for group in dict.fromkeys(case.group for case in cases):
        assert [case.variant for case in cases if case.group == group] == expected
    assert len(cases) == 16


def test_an_id_names_its_case() -> None:
    """Every id parses back to the case that it came from, and no two are the same."""
    cases = _default_grid()
    assert [parse_id(case.id) for case in cases] == list(cases)
    assert len({case.id for case in cases}) == len(cases)


def test_an_id_reads_as_documented() -> None:
    """The id is what RUN.json shows."""
    assert _default_grid()[2].id == "simplecnn/fbgemm/int8/channels_last/b1/t1"


@pytest.mark.parametrize("text", ["", "simplecnn", "simplecnn/fbgemm/int4/channels_last/b1/t1", "m/e/int8/nchw/b0/t1"])
def test_a_wrong_id_is_refused(text: str) -> None:
    """Anything else gets an example of an id."""
    with pytest.raises(RequestError, match="for example"):
        parse_id(text)


@pytest.mark.parametrize("batches", [(), (0,), (-1,)])
def test_a_senseless_batch_is_refused(batches: tuple[int, ...]) -> None:
    """None, zero and negative batches say what to type."""
    with pytest.raises(RequestError, match="--batch"):
        grid(model="m", variants=int8_variants("fbgemm"), batches=batches, threads=(1,))


def test_repeats_are_measured_once() -> None:
    """An engine, batch or thread count named twice is one cell."""
    cases = grid(model="m", variants=int8_variants("fbgemm", "fbgemm"), batches=(1, 1), threads=(1, 1))
    assert len(cases) == 3
    assert {case.group for case in cases} == {Group(batch=1, threads=1)}


def test_labels_say_layout_for_float32_only() -> None:
    """An int8 engine has one layout, so its label leaves it out."""
    assert [case.variant.label for case in _default_grid()[:3]] == [
        "torch float32 channels_last",
        "torch float32 nchw",
        "fbgemm int8",
    ]
