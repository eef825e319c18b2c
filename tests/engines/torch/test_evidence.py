import os
from pathlib import Path

import pytest

from int8bench.engines.torch.onednn_log import collect, parse

GOLDEN = Path(__file__).parents[2] / "golden" / "onednn"
# oneDNN 3.3 spoke so; shortened.
OLD_WORDS = """\
onednn_verbose,info,oneDNN v3.3.6 (commit 86e6af5974177e513fd3fee58425e1063e7f1361)
onednn_verbose,info,cpu,isa:Intel AVX2
onednn_verbose,info,prim_template:operation,engine,primitive,implementation,memory_descriptors,exec_time
onednn_verbose,exec,cpu,convolution,jit_int8:avx2,src_u8::blocked:acdb::f0 wei_s8::blocked:ABcd::f0,1.5
onednn_verbose,exec,cpu,matmul,ref_int8:any,src_u8::blocked:ab::f0 wei_s8::blocked:ab::f0,0.5
"""


def words(name):
    """The parsed words of a recorded log."""
    return parse((GOLDEN / name).read_text(encoding="utf-8"))


def test_int8_is_proven_by_types_and_implementation():
    """Under engine onednn both convolutions and the linear layer are int8 with VNNI."""
    said = words("onednn_avx512_vnni.txt")
    assert [call.primitive for call in said.calls] == ["convolution", "convolution", "matmul"]
    assert {(call.src, call.weights, call.isa) for call in said.calls} == {("u8", "s8", "avx512_core_vnni")}
    assert said.int8_calls == 3
    assert said.version is not None
    assert said.version.startswith("3.12.0")


def test_x86_leaves_the_linear_layer_to_fbgemm():
    """Under engine x86 oneDNN speaks of the convolutions alone."""
    assert [call.primitive for call in words("x86_avx512_vnni.txt").calls] == ["convolution", "convolution"]


def test_a_narrower_isa_is_seen():
    """Held to AVX2, the implementations say so."""
    said = words("onednn_avx2.txt")
    assert said.int8_calls > 0
    assert all("avx512" not in call.implementation for call in said.calls)


def test_float32_is_not_int8():
    """A float32 forward is used, and proves no int8."""
    said = words("torch_avx512.txt").to_dict()
    assert said["used"] is True
    assert said["int8_calls"] == 0


def test_shares_of_time_add_up_to_one():
    """Equal calls are counted together, and their shares make the whole of oneDNN's time."""
    primitives = words("torch_avx512.txt").to_dict()["primitives"]
    assert sum(each["time_share"] for each in primitives) == pytest.approx(1.0, abs=1e-3)
    assert sum(each["calls"] for each in primitives) == len(words("torch_avx512.txt").calls)


def test_silence_is_not_used():
    """An engine without oneDNN prints nothing, which is an answer."""
    silent = {"used": False, "version": None, "isa": None, "int8_calls": 0, "primitives": []}
    assert words("fbgemm.txt").to_dict() == silent


def test_columns_move_with_the_template():
    """The log of an older oneDNN, with another prefix and other descriptors, is read; ref is no proof of int8."""
    said = parse(OLD_WORDS)
    assert [(call.primitive, call.src, call.weights, call.is_int8) for call in said.calls] == [
        ("convolution", "u8", "s8", True),
        ("matmul", "u8", "s8", False),
    ]
    assert said.isa == "Intel AVX2"
    moved = OLD_WORDS.replace("operation,engine,primitive", "operation,primitive,engine")
    moved = moved.replace("exec,cpu,convolution", "exec,convolution,cpu").replace("exec,cpu,matmul", "exec,matmul,cpu")
    assert parse(moved).calls == said.calls


def test_a_spent_header_is_no_obstacle():
    """Lines without a header, as a process that has already printed it gives, are read all the same."""
    text = (GOLDEN / "onednn_avx512_vnni.txt").read_text(encoding="utf-8")
    bare = "\n".join(line for line in text.splitlines() if ",exec," in line)
    assert parse(bare).calls == parse(text).calls


def test_the_template_of_graphs_is_not_ours():
    """The header's other template, which describes graph partitions, does not name our columns, even if it leads."""
    lines = (GOLDEN / "onednn_avx512_vnni.txt").read_text(encoding="utf-8").splitlines()
    graphs_first = sorted(lines, key=lambda line: ",graph,info,template:" not in line)
    assert parse("\n".join(graphs_first)).calls == parse("\n".join(lines)).calls


def test_a_cut_line_is_passed_over():
    """A line that the end of the process cut short does not spoil the rest."""
    text = (GOLDEN / "onednn_avx512_vnni.txt").read_text(encoding="utf-8").rstrip()
    cut = text[: text.rindex(",attr-")]
    assert len(parse(cut).calls) == 2


@pytest.mark.torch
def test_collect_hears_one_forward(capfd):
    """The words of a forward run in another process come back, and none of them reaches our output."""
    import torch

    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN")
    convolution = torch.nn.Conv2d(16, 16, 3).eval().requires_grad_(requires_grad=False)
    images = torch.ones(4, 16, 16, 16).contiguous(memory_format=torch.channels_last)
    said = collect(lambda: convolution(images)).to_dict()
    assert said["used"] is True
    assert "convolution" in {each["primitive"] for each in said["primitives"]}
    assert capfd.readouterr().out == ""


@pytest.mark.torch
def test_collect_after_a_parallel_region():
    """A process whose threads are up can still be listened to."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    convolution = torch.nn.Conv2d(16, 16, 3).eval().requires_grad_(requires_grad=False)
    images = torch.ones(8, 16, 32, 32)
    convolution(images)
    said = collect(lambda: convolution(images)).to_dict()
    torch.set_num_threads(before)
    assert "error" not in said


@pytest.mark.torch
@pytest.mark.parametrize(
    ("call", "error"),
    [(lambda: 1 / 0, "the forward failed"), (lambda: os.kill(os.getpid(), 9), "the forward ended with SIGKILL")],
    ids=["raises", "dies"],
)
def test_a_forward_that_comes_to_grief_is_told(call, error):
    """The evidence of a forward that fails or dies says so; the listener's fate is not ours."""
    assert collect(call).to_dict() == {"used": None, "error": error}
