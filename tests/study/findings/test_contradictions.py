"""What rules expect is not said where figures of the same record say the opposite."""

import pytest
from cells import cell

from int8bench.machine import Hardware, TorchView
from int8bench.machine.finding import Finding, note
from int8bench.machine.rules.table import inspect
from int8bench.study.cells import Cell
from int8bench.study.findings.contradictions import contradicted

OLD = Hardware(arch="x86_64", vendor="AuthenticAMD", flags=frozenset({"avx2"}), os="Linux", usable_cores=2)
VNNI = Hardware(
    arch="x86_64",
    vendor="GenuineIntel",
    flags=frozenset({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd", "avx512_vnni"}),
    os="Linux",
    usable_cores=2,
)
AVX_VNNI = Hardware(
    arch="x86_64", vendor="GenuineIntel", flags=frozenset({"avx2", "avx_vnni"}), os="Linux", usable_cores=2
)
DEFAULT_X86 = TorchView(
    version="2.14.1",
    capability="AVX512",
    default_engine="x86",
    supported_engines=("qnnpack", "onednn", "x86", "fbgemm"),
    flags=frozenset(),
)


def _said(code: str, machine: Hardware, engine: str) -> Finding:
    """The finding that the rules really make of that engine there."""
    (found,) = [each for each in inspect(machine, engine=engine, threads=(1,), probes={}) if each.code == code]
    return found


def _cell(engine: str, ms: float, speedup: float = 1.0, **changes: object) -> Cell:
    verdict = "faster" if speedup > 1 else "slower"
    usual = {
        "engine": engine,
        "batch": 8,
        "latency_s": {"median": {"value": ms / 1e3}},
        "speedups": [{"value": speedup, "verdict": verdict}],
    }
    return cell(**{**usual, **changes})


@pytest.mark.parametrize(("speedups", "untrue"), [((2.22, 1.1), True), ((1.9, 1.1), False), ((), False)])
def test_a_limit_that_was_passed_is_none(speedups: tuple[float, ...], untrue: bool) -> None:  # noqa: FBT001
    """int8 less than twice as fast is not said beside 2.22x, of whichever cell and engine."""
    finding = _said("no-int8-dot-product", OLD, "fbgemm")
    assert "less than twice as fast" in finding.shown.message
    assert contradicted(finding, [_cell("openvino", 1.0, each) for each in speedups]) is untrue


@pytest.mark.parametrize(
    ("cells", "untrue"),
    [
        ([_cell("qnnpack", 5.0), _cell("x86", 1.0)], False),
        ([_cell("qnnpack", 1.5), _cell("x86", 1.0)], True),
        (
            [_cell("qnnpack", 1.5), _cell("qnnpack", 5.0, batch=32), _cell("x86", 1.0), _cell("x86", 1.0, batch=32)],
            False,
        ),
        ([_cell("qnnpack", 1.5), _cell("x86", 0.1, batch=32)], False),
        ([_cell("qnnpack", 1.0, 1.6)], True),
        ([_cell("qnnpack", 1.0, 0.3)], False),
        ([_cell("openvino", 1.0)], False),
    ],
    ids=["far behind", "not far", "far in one setting", "no setting shared", "beats float32", "does not", "not run"],
)
def test_qnnpack_that_keeps_up_is_not_called_slow(cells: list[Cell], untrue: bool) -> None:  # noqa: FBT001
    """Several times slower than what is made for x86, and often below float32, are both figures of the record."""
    assert contradicted(_said("qnnpack-on-x86", OLD, "qnnpack"), cells) is untrue


@pytest.mark.parametrize(
    ("machine", "fbgemm_ms", "untrue"),
    [(VNNI, 3.9, False), (VNNI, 1.9, True), (AVX_VNNI, 1.3, False), (AVX_VNNI, 1.0, True)],
)
def test_an_engine_that_is_not_ahead_is_not_called_so(machine: Hardware, fbgemm_ms: float, untrue: bool) -> None:  # noqa: FBT001
    """Several times as fast needs twice at least, noticeably faster a tenth."""
    cells = [_cell("fbgemm", fbgemm_ms), _cell("onednn", 1.0)]
    assert contradicted(_said("fbgemm-outdone", machine, "fbgemm"), cells) is untrue
    assert not contradicted(_said("fbgemm-outdone", machine, "fbgemm"), cells[:1])


@pytest.mark.parametrize(("int8_calls", "untrue"), [(3, True), (0, False)])
def test_x86_that_ran_onednn_is_not_called_fbgemm(int8_calls: int, untrue: bool) -> None:  # noqa: FBT001
    """What oneDNN tells of itself is proof."""
    cells = [_cell("x86", 1.0, evidence={"onednn": {"used": bool(int8_calls), "int8_calls": int8_calls}})]
    assert contradicted(_said("x86-is-fbgemm", AVX_VNNI, "x86"), cells) is untrue


@pytest.mark.parametrize(("x86_ms", "untrue"), [(0.8, True), (1.3, False)])
def test_a_default_that_was_faster_is_not_advised_against(x86_ms: float, untrue: bool) -> None:  # noqa: FBT001
    """What a rule recommends instead must not be slower in the same record."""
    machine = Hardware(
        arch="x86_64",
        vendor="GenuineIntel",
        flags=AVX_VNNI.flags,
        os="Linux",
        usable_cores=2,
        torch=DEFAULT_X86,
    )
    finding = _said("default-engine-differs", machine, "onednn")
    assert finding.subject == "x86"
    assert "; onednn is recommended" in finding.shown.message
    assert contradicted(finding, [_cell("x86", x86_ms), _cell("onednn", 1.0)]) is untrue


def test_what_no_figure_can_speak_of_stays() -> None:
    """A rule on something that is not measured is not touched."""
    finding = note("virtual-machine", "cpu", name="")
    assert not contradicted(finding, [_cell("x86", 1.0, 9.0)])
