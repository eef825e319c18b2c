"""One cause is told once, whichever engines met it and whatever they say around it."""

import pytest

from int8bench.study.findings.causes import cause_of, listed, said, together, told

TRACED = "fbgemm: Net cannot be traced by torch.fx: TraceError: a branch on data; keep control flow out of forward"
EXPORTED = (
    "onnx int8: the conversion failed: onnx: Net cannot be exported: TraceError: a branch on data; change the model"
)


@pytest.mark.parametrize(
    ("engine", "reason", "cause"),
    [
        ("fbgemm", TRACED, "TraceError: a branch on data"),
        ("openvino", EXPORTED, "TraceError: a branch on data"),
        (
            "inductor",
            "inductor int8: the model cannot be compiled: torch._dynamo.exc.Unsupported: x",
            "torch._dynamo.exc.Unsupported: x",
        ),
        ("x86", "x86: the model returns tuple, expected one tensor", "the model returns tuple, expected one tensor"),
        ("x86", "x86 int8: the model returns tuple", "the model returns tuple"),
        ("litert", "tflite int8 at batch 8: the conversion failed: no answer in 600 s.", "no answer in 600 s"),
        ("qnnpack", "no answer in 120 s", "no answer in 120 s"),
        ("qnnpack", "EOFError", "EOFError"),
    ],
)
def test_a_cause_is_without_who_says_it_and_what_to_do(engine: str, reason: str, cause: str) -> None:
    """The same for engines that call it by other names."""
    assert cause_of(reason, engine) == cause


def test_what_has_one_cause_stands_together() -> None:
    """In the order in which it was found; engines are listed once."""
    assert together([("a", 1), ("b", 2), ("a", 3)]) == [[1, 3], [2]]
    assert listed(["x86", "fbgemm", "x86", "onednn"]) == "x86, fbgemm and onednn"
    assert listed(["x86", "x86"]) == "x86"


BRANCHES = (
    "TraceError: symbolically traced variables cannot be used as inputs to control flow",
    "GuardOnDataDependentSymNode: Could not guard on data-dependent expression Eq(u0, 1)",
    "Unsupported: Data-dependent branching",
)


@pytest.mark.parametrize("words", BRANCHES)
def test_what_tracers_say_of_a_branch_is_one_cause_in_plain_words(words: str) -> None:
    """Each has words of its own for it, which are kept beside."""
    reason = f"x86: Net cannot be traced: {words}; keep it out of forward"
    assert cause_of(reason, "x86").startswith("forward takes a branch on the values or the shape of its input")
    assert told(reason, "x86") == f"{cause_of(reason, 'x86')} (Net cannot be traced: {words}; keep it out of forward)"


def test_a_reason_that_has_its_cause_is_told_as_it_is() -> None:
    """Without the name that it begins with."""
    assert told(TRACED, "fbgemm") == said(TRACED, "fbgemm") == TRACED.removeprefix("fbgemm: ")
