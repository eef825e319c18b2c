"""What evidence says of cells: int8 in name only, float left in it, float32 that was none."""

from collections.abc import Mapping
from typing import Any

import pytest
from cells import cell

from int8bench.engines.operators import Kind, Operator, ran
from int8bench.machine.finding import ShownFinding
from int8bench.study.findings.execution import findings_of, in_name_only

INT8 = Operator(name="Conv", implementation="brgconv_avx512_I8", kind=Kind.INT8, seconds=0.8)
EDGE = Operator(name="Quantize", implementation="jit", kind=Kind.EDGE, seconds=0.2)
FLOAT = Operator(name="Softplus", implementation="ref_f32", kind=Kind.FLOAT, seconds=0.2)


def evidence(*operators: Operator) -> dict[str, Any]:
    """What an engine says where these ran."""
    return {"ran": ran("the engine's profile", operators)}


def working(kind: Kind, multiply_adds: int | None, name: str = "conv", seconds: float | None = None) -> Operator:
    """An operator that makes so many multiply-adds."""
    return Operator(name=name, implementation="k", kind=kind, seconds=seconds, multiply_adds=multiply_adds)


def torch_evidence(quantized: int, *left_in_float: str) -> dict[str, Any]:
    """What torch's engines say, here of layers that are all of one size."""
    layers = [working(Kind.INT8, 100)] * quantized + [working(Kind.FLOAT, 100, name) for name in left_in_float]
    return {"ran": ran("its converted graph", layers), "onednn": {"used": False}}


def found(said: Mapping[str, Any], precision: str = "int8") -> list[ShownFinding]:
    """The findings of an engine whose two cells have this evidence."""
    cells = [cell(engine="theirs", precision=precision, evidence=said) for _ in range(2)]
    return [each.shown for each in findings_of("theirs", cells)]


@pytest.mark.parametrize(
    "said",
    [
        evidence(INT8, EDGE),
        evidence(INT8, *(EDGE,) * 500),
        evidence(INT8, EDGE, Operator(name="Softmax", implementation="f32", kind=Kind.FLOAT, seconds=0.01)),
        torch_evidence(3),
    ],
    ids=["int8", "edges are no float", "a trace of float", "torch"],
)
def test_int8_that_is_int8_has_no_finding(said: Mapping[str, Any]) -> None:
    """What quantizes at the edges is part of it, and 1 % in float is not worth a word."""
    assert found(said) == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (evidence(FLOAT, EDGE), "0% of its time is int8 and 50% float (Softplus)"),
        (
            evidence(*(FLOAT,) * 5, Operator(name="Conv", implementation="I8", kind=Kind.INT8, seconds=0.01)),
            "1% of its time is int8 and 99% float (Softplus)",
        ),
        (
            torch_evidence(0, "conv", "relu", "fc", "out"),
            "0% of its multiply-adds is int8 and 100% float (conv, relu, fc, ...",
        ),
    ],
    ids=["none", "nearly none", "torch"],
)
def test_int8_in_name_only_is_an_error(said: Mapping[str, Any], words: str) -> None:
    """All or nearly all arithmetic in float is told with the shares, what ran, and who says so."""
    (finding,) = found(said)
    assert (finding.code, finding.severity, finding.subject) == ("ran-as-float", "error", "theirs")
    assert words in finding.message
    assert said["ran"]["witness"] in finding.why


def test_float_that_is_left_is_a_warning_with_its_share() -> None:
    """A fifth of the time in float is said once for the engine, with the operators."""
    (finding,) = found(evidence(INT8, FLOAT))
    assert (finding.code, finding.severity, finding.subject) == ("partly-float", "warning", "theirs")
    assert finding.message == "theirs int8 leaves 20% of its time in float (Softplus)."


def test_what_is_left_in_float_is_weighed_by_its_work() -> None:
    """One operator of two may be nearly all of the work, or nearly none of it; the most work is named first."""
    encoder, head = working(Kind.FLOAT, 9_700, "encoder"), working(Kind.INT8, 100, "head")
    (finding,) = found({"ran": ran("its converted graph", [head, working(Kind.FLOAT, 200, "pos"), encoder])})
    assert finding.code == "ran-as-float"
    assert "1% of its multiply-adds is int8 and 99% float (encoder, pos)" in finding.message
    assert found({"ran": ran("its converted graph", [encoder, working(Kind.INT8, 400_000), head])}) == []
    assert found({"ran": ran("its converted graph", [working(Kind.FLOAT, 0, "relu"), head])}) == []
    (finding,) = found({"ran": ran("its converted graph", [encoder, working(Kind.INT8, 10_000)])})
    assert finding.message == "theirs int8 leaves 49% of its multiply-adds in float (encoder)."


def test_work_and_time_are_both_told() -> None:
    """What makes no multiply-adds may take most of the time; what makes most of them decides the name of int8."""
    conv, softmax = working(Kind.INT8, 1000, "Conv", 0.6), working(Kind.FLOAT, 0, "Softmax", 0.4)
    (finding,) = found({"ran": ran("a profile", [conv, softmax])})
    assert finding.message == "theirs int8 leaves 40% of its time in float (Softmax), though 0% of its multiply-adds."
    matmul = working(Kind.FLOAT, 600, "MatMul", 0.2)
    (finding,) = found({"ran": ran("a profile", [conv, softmax, matmul])})
    assert finding.code == "partly-float"
    assert finding.message == (
        "theirs int8 leaves 38% of its multiply-adds in float (MatMul); 50% of its time is float."
    )
    quick = working(Kind.FLOAT, 99_000, "MatMul", 0.01)
    (finding,) = found({"ran": ran("a profile", [conv, quick])})
    assert finding.code == "ran-as-float"
    assert "99% float (MatMul); 2% of its time is float" in finding.message


def test_int8_in_name_only_follows_from_the_work() -> None:
    """Whatever share of the time or of the operators it has."""
    slow = working(Kind.FLOAT, 10, "slow", 0.99), working(Kind.INT8, 1000, "Conv", 0.01)
    assert not in_name_only(cell(evidence={"ran": ran("a profile", slow)}))
    quick = working(Kind.FLOAT, 1000, "MatMul", 0.01), working(Kind.INT8, 10, "Conv", 0.99)
    assert in_name_only(cell(evidence={"ran": ran("a profile", quick)}))
    many = [working(Kind.INT8, 1)] * 20 + [working(Kind.FLOAT, 2000, "encoder")]
    assert in_name_only(cell(evidence={"ran": ran("its converted graph", many)}))


def test_without_multiply_adds_time_decides_and_then_the_number() -> None:
    """One operator of which nothing is told leaves the shares of the others worthless."""
    untold = working(Kind.INT8, None, "Conv", 0.5), working(Kind.FLOAT, 9000, "MatMul", 0.5)
    (finding,) = found({"ran": ran("a profile", untold)})
    assert finding.message == "theirs int8 leaves 50% of its time in float (MatMul)."
    none = working(Kind.INT8, 0, "Add"), working(Kind.FLOAT, 0, "Exp")
    (finding,) = found({"ran": ran("a graph", none)})
    assert finding.message == "theirs int8 leaves 50% of its operators in float (Exp)."


@pytest.mark.parametrize("said", [{}, evidence(), evidence(EDGE), {"version": "1"}, torch_evidence(0)])
def test_no_evidence_is_a_note(said: Mapping[str, Any]) -> None:
    """Nothing, or nothing that computes, proves nothing."""
    (finding,) = found(said)
    assert (finding.code, finding.severity, finding.subject) == ("evidence-missing", "note", "theirs")


@pytest.mark.parametrize("said", [{}, evidence(FLOAT), torch_evidence(0, "conv")])
def test_float32_needs_no_int8(said: Mapping[str, Any]) -> None:
    """Of float32 only a narrower type is news."""
    assert found(said, "float32") == []


@pytest.mark.parametrize("implementation", ["brgconv_avx512_amx_BF16", "jit_avx512_FP16", "gemm_f16"])
def test_float32_that_ran_narrower_is_an_error(implementation: str) -> None:
    """A kernel that ends in another type is named; int8 looks slower beside it."""
    (finding,) = found(evidence(Operator(name="Conv", implementation=implementation, kind=Kind.FLOAT)), "float32")
    assert (finding.code, finding.severity, finding.subject) == ("not-float32", "error", "theirs")
    assert finding.message == f"theirs float32 ran in a narrower type: {implementation}."


def test_onednn_tells_of_bf16_by_its_types() -> None:
    """An instruction set that is called after bf16 is no bf16: its float32 kernels carry the name as well."""
    call = {"implementation": "brgconv:avx512_core_bf16", "src": "f32", "weights": "f32"}
    narrow = {**call, "weights": "bf16"}
    assert found({"onednn": {"used": True, "primitives": [call]}}, "float32") == []
    ran_so = Operator(name="convolution", implementation=f"oneDNN {call['implementation']}", kind=Kind.FLOAT)
    assert found(evidence(ran_so), "float32") == []
    (finding,) = found({"onednn": {"used": True, "primitives": [call, narrow]}}, "float32")
    assert finding.code == "not-float32"


def test_bf16_is_nobodys_business_beyond_float32() -> None:
    """Int8 may compute its last layer so, which is told as float if it is much."""
    bf16 = Operator(name="Softmax", implementation="jit_BF16", kind=Kind.FLOAT, seconds=0.001)
    assert found(evidence(INT8, bf16)) == []
