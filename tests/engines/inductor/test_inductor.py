"""Torch's compiler as an engine: what it needs, what it compiles for, what it answers, and what is said of it."""

import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.helpers import engines as help_with

from int8bench.engines import packages
from int8bench.engines.base import Material
from int8bench.engines.inductor import files
from int8bench.engines.inductor.engine import InductorEngine
from int8bench.engines.inductor.evidence import kernel_kind, operators, primitive_kind, written
from int8bench.engines.operators import Kind, ran
from int8bench.engines.torch.onednn_log import Primitive
from int8bench.errors import EngineError
from int8bench.machine import Hardware
from int8bench.workload.cases import FLOAT32, INT8, Group

ENGINE = InductorEngine()
VNNI = Hardware(arch="x86_64", os="Linux", flags=frozenset({"avx2", "fma", "avx_vnni"}), logical_cores=4)
AVX2 = Hardware(arch="x86_64", os="Linux", flags=frozenset({"avx2", "fma"}), logical_cores=4)
LIMITED = Hardware(
    arch="x86_64",
    os="Linux",
    flags=VNNI.flags,
    logical_cores=4,
    isa_environment={"ONEDNN_MAX_CPU_ISA": "AVX2"},
)
BATCH = 2

# What inductor 2.14 writes for SimpleCNN in int8, shortened.
SOURCE = """
void AOTInductorModel::run_impl(AtenTensorHandle* input_handles) {
    cpp_fused_quantize_per_tensor_0((const float*)(arg15_1.data_ptr()), (uint8_t*)(buf0.data_ptr()));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(4, int_array_0, int_array_1, &buf0_handle));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_cpu__qconv_pointwise_tensor(buf0, x_scale, x_zp, &buf1_handle));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_proxy_executor_call_function(proxy_executor, 1, 8, ints, 2, handles));
    cpp_fused_mean_quantize_per_tensor_1((const uint8_t*)(buf2.data_ptr()), (uint8_t*)(buf5.data_ptr()));
    AOTI_TORCH_ERROR_CODE_CHECK(aoti_torch_cpu_addmm_out(buf6, fc_bias, buf5, weight, 1L, 1L));
} // AOTInductorModel::run_impl
    cpp_fused_elsewhere_2((const float*)(arg15_1.data_ptr()));
"""
TARGETS = ("aten::sort", "quantized::max_pool2d")
FLOAT_CONVOLUTION = Primitive(
    primitive="convolution",
    implementation="jit",
    isa=None,
    src="f32",
    weights="f32",
    int8=False,
    calls=2,
    multiply_adds=500,
    time_share=None,
)

COMPILED = """
import json, sys
from pathlib import Path
import numpy as np, torch
from tests.helpers.engines import made, some_pictures, tiny_cnn
from int8bench.workload.cases import Group
from int8bench.engines.inductor.engine import InductorEngine
from int8bench.errors import EngineError

precision, batch, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
torch.set_num_threads(1)
model, pictures = tiny_cnn(), some_pictures()
before = {name: value.clone() for name, value in model.state_dict().items()}
predictor = made(InductorEngine(), precision, model, pictures, folder, group=Group(batch=batch, threads=2))
threads = torch.get_num_threads()
asked = pictures[: 2 * batch + 1]
with torch.no_grad():
    expected = model(torch.from_numpy(asked)).numpy()
answers = predictor(asked)
bound = predictor.bind(asked[:batch])()[0]

def refusal(call, *arguments):
    try:
        call(*arguments)
    except EngineError as error:
        return str(error)

print(json.dumps({
    "sqnr_db": float(10 * np.log10((expected**2).sum() / ((answers - expected) ** 2).sum())),
    "agree": float((answers.argmax(1) == expected.argmax(1)).mean()),
    "shape": answers.shape,
    "bound_type": str(bound.dtype),
    "bound_is_same": bool(np.array_equal(bound.numpy(), answers[:batch])),
    "threads": threads,
    "unchanged": all(torch.equal(before[name], value) for name, value in model.state_dict().items()),
    "files": sorted(path.name for path in folder.rglob("*") if path.is_file()),
    "weights_bytes": predictor.weights_bytes,
    "serialized_bytes": predictor.serialized_bytes,
    "parameters": sum(each.numel() for each in model.parameters()),
    "evidence": predictor.evidence,
    "wrong_shape": refusal(predictor, np.zeros((1, 3, 8, 8), np.float32)),
    "wrong_count": refusal(predictor.bind, asked[: batch + 1]),
}))
"""

REFUSED = """
import json, os, sys
from pathlib import Path
import torch
from tests.helpers.engines import made, some_pictures, tiny_cnn
from int8bench.engines.inductor.engine import InductorEngine
from int8bench.errors import EngineError

class Branching(torch.nn.Module):
    def forward(self, pictures):
        return pictures.flatten(1) if pictures.sum() > 0 else -pictures.flatten(1)

folder = Path(sys.argv[1])
compiler = folder / "g++"
compiler.write_text('#!/bin/sh\\n[ "$1" = --version ] && exec echo g++ 14; echo "x.cpp:1: error: no space"; exit 1')
compiler.chmod(0o755)
os.environ["CXX"] = str(compiler)
said = {}
for name, model in (("branching", Branching()), ("compiler", tiny_cnn())):
    try:
        aside = folder / name
        aside.mkdir()
        made(InductorEngine(), "float32", model, some_pictures(2), aside)
    except EngineError as error:
        said[name] = str(error)
print(json.dumps(said))
"""


def test_a_processor_that_is_no_x86_is_refused_in_a_sentence() -> None:
    """On ARM the engine is not available, and the reason says what to choose."""
    reason = ENGINE.availability(Hardware(arch="arm64", os="Linux")).reason
    assert reason is not None
    assert "x86_64" in reason
    assert "choose --engines" in reason


def test_without_torchao_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing is named, with the command that brings it."""
    monkeypatch.setattr(packages, "_is_found", lambda _module: False)
    reason = ENGINE.availability(VNNI).reason
    assert reason is not None
    assert "torchao" in reason
    assert "pip install 'int8bench[inductor]'" in reason


def test_without_a_compiler_it_is_not_available_and_converts_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sentence names the compiler that was looked for, before any model is touched."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr(packages, "missing", lambda _extra, _modules: None)
    material = Material(model=None, calibration=help_with.some_pictures(1), example=help_with.some_pictures(1))  # type: ignore[arg-type]
    with pytest.raises(EngineError, match="no-such-compiler is not found; type apt install"):
        files.int8(material, {"reduce_range": False}, 1, tmp_path)
    assert "no-such-compiler is not found" in (ENGINE.availability(VNNI).reason or "")


def test_to_say_whether_it_is_available_no_framework_is_imported() -> None:
    """Neither torch nor torchao is loaded by the question."""
    program = (
        "import sys; from int8bench.engines.inductor.engine import InductorEngine; "
        "from int8bench.machine import Hardware; "
        "InductorEngine().availability(Hardware(arch='x86_64')); "
        "print('torch' in sys.modules, 'torchao' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(("machine", "reduced"), [(VNNI, False), (AVX2, True), (LIMITED, True)])
def test_the_range_is_reduced_where_full_products_would_saturate(machine: Hardware, *, reduced: bool) -> None:
    """Without an instruction that adds up in 32 bits, or where it may not be used, activations get 7 bits."""
    conversion = ENGINE.conversion(help_with.variant_of(ENGINE, INT8), machine)
    assert conversion is not None
    assert conversion.options["reduce_range"] is reduced


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "CppCompileError: g++ x.cpp\nx.cpp:12:3: error: 'foo' was not declared\n",
            "x.cpp:12:3: error: 'foo' was not declared",
        ),
        (
            "g++ -O3\ng++: fatal error: Killed signal terminated program cc1plus",
            "g++: fatal error: Killed signal terminated program cc1plus",
        ),
        (
            'Could not guard\nThe following call raised this error:\n  File "x.py", line 3',
            "RuntimeError: Could not guard",
        ),
    ],
    ids=["a place", "a program", "no compiler"],
)
def test_a_compilers_error_is_told_and_nothing_that_looks_like_one(text: str, shown: str) -> None:
    """What only announces an error is none."""
    assert files._complaint(RuntimeError(text)) == shown


@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_what_is_compiled_for_one_processor_is_not_used_on_another(precision: str) -> None:
    """The options, of which the key in the cache is made, tell processors and their limits apart."""
    variant = help_with.variant_of(ENGINE, precision)
    kinds = [ENGINE.conversion(variant, machine) for machine in (VNNI, AVX2, LIMITED, VNNI)]
    options = [json.dumps(dict(each.options), sort_keys=True) for each in kinds if each]
    assert len(set(options)) == 3
    assert options[0] == options[3]
    assert all(each and each.by_batch and "torch" in each.packages for each in kinds)


def test_the_calls_that_onednn_does_not_tell_of_are_read_from_the_code() -> None:
    """Generated kernels, what is left to torch's dispatcher and its libraries; not oneDNN's, and nothing outside."""
    assert [(each.name, each.implementation, each.kind) for each in written(SOURCE, TARGETS)] == [
        ("cpp_fused_quantize_per_tensor", "inductor", Kind.EDGE),
        ("quantized::max_pool2d", "ATen", Kind.INT8),
        ("cpp_fused_mean_quantize_per_tensor", "inductor", Kind.FLOAT),
        ("aten::addmm_out", "ATen", Kind.FLOAT),
    ]


def test_code_of_an_unknown_form_is_no_empty_evidence() -> None:
    """Where no forward is found there is an error, not an int8 share of everything."""
    with pytest.raises(ValueError, match="no run_impl"):
        written("int main() {}", TARGETS)


@pytest.mark.parametrize(
    ("name", "types", "kind"),
    [
        ("cpp_fused_quantize_per_tensor", ("float", "uint8_t"), Kind.EDGE),
        ("cpp_fused__unsafe_view_clone_dequantize_per_tensor_quantize_per_tensor", ("uint8_t", "uint8_t"), Kind.EDGE),
        ("cpp_fused_clone", ("float", "float"), Kind.OTHER),
        ("cpp_fused_max_pool2d_with_indices_relu", ("float", "float"), Kind.FLOAT),
        ("cpp_fused_max_pool2d_with_indices", ("uint8_t", "uint8_t"), Kind.INT8),
        ("cpp_fused_add_dequantize_per_tensor_quantize_per_tensor_relu", ("uint8_t", "uint8_t"), Kind.FLOAT),
    ],
)
def test_a_generated_kernel_is_known_by_its_name_and_its_pointers(
    name: str, types: tuple[str, str], kind: Kind
) -> None:
    """Arithmetic between a dequantization and a quantization is float, whatever lies in memory."""
    taken, given = types
    assert kernel_kind(name, f"(const {taken}*)(buf0.data_ptr()), ({given}*)(buf1.data_ptr())") is kind


@pytest.mark.parametrize(
    ("primitive", "kind"),
    [
        ({"src": "u8", "weights": "s8", "int8": True}, Kind.INT8),
        ({"src": "f32", "weights": "f32", "int8": False}, Kind.FLOAT),
        ({"primitive": "reorder", "src": "f32", "weights": None, "int8": False}, Kind.EDGE),
        ({"src": "u8", "weights": "s8", "int8": False}, Kind.OTHER),
    ],
)
def test_a_primitive_counts_as_int8_only_where_it_is_proven(primitive: Mapping[str, Any], kind: Kind) -> None:
    """A reference implementation is neither int8 nor float."""
    assert primitive_kind(replace(FLOAT_CONVOLUTION, **primitive)) is kind


@pytest.mark.parametrize(
    ("primitive", "whole", "source", "expected"),
    [
        ({}, 600, SOURCE, [250, 250, 0, 0, 0, 100]),
        ({}, 501, SOURCE, [250, 250, 0, 0, 0, 0]),
        ({}, 400, SOURCE, [250, 250, 0, 0, 0, 0]),
        ({"multiply_adds": None}, 600, SOURCE, [None] * 6),
        ({}, 600, SOURCE.replace("cpu_addmm_out", "cpu_sort_out"), [250, 250, None, None, None, None]),
    ],
    ids=["the rest", "rounding", "padded", "untold", "no product"],
)
def test_what_onednn_leaves_of_the_work_is_torchs_products(
    primitive: Mapping[str, Any], whole: int, source: str, expected: list[int | None]
) -> None:
    """The whole is the model's own; where nobody can have made the rest, no share of it is told."""
    found = operators([replace(FLOAT_CONVOLUTION, **primitive)], written(source, TARGETS), whole)
    assert [each.multiply_adds for each in found] == expected


def test_a_model_that_stayed_in_float_shows_as_float() -> None:
    """Without freezing inductor dequantizes the weights and multiplies in float: no operator is int8 then."""
    source = SOURCE.replace("proxy_executor, 1", "proxy_executor, 0")
    found = ran("oneDNN", operators([FLOAT_CONVOLUTION], written(source, TARGETS), 600))
    assert found["int8_share"] == 0
    assert found["float_share"] == pytest.approx(5 / 6, abs=1e-3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a conversion leaves, with a library that is none."""
    (tmp_path / "model.so").write_bytes(b"\x7fELF cut short")
    (tmp_path / "model.json").write_text('{"nodes": []}')
    (tmp_path / "facts.json").write_text('{"instructions": null, "options": {}}')
    return tmp_path


def _material(folder: Path) -> Material:
    pictures = help_with.some_pictures(1)
    return Material(model=None, calibration=pictures, example=pictures, files={BATCH: folder})  # type: ignore[arg-type]


@pytest.mark.torch
def test_a_library_that_cannot_be_opened_is_an_error_that_names_its_folder(folder: Path) -> None:
    """What is to be removed is said."""
    prepared = ENGINE.prepare(help_with.variant_of(ENGINE, INT8), _material(folder))
    with pytest.raises(EngineError, match=f"inductor int8: its compiled library cannot be opened .*remove {folder}"):
        ENGINE.build(prepared, Group(batch=BATCH, threads=1))


@pytest.mark.torch
@pytest.mark.parametrize("name", ["model.so", "model.json", "facts.json"])
def test_a_file_that_is_gone_is_an_error_before_any_fork(folder: Path, name: str) -> None:
    """Each of the files is missed when the engine is prepared."""
    (folder / name).unlink()
    with pytest.raises(EngineError, match=f"remove {folder}"):
        ENGINE.prepare(help_with.variant_of(ENGINE, FLOAT32), _material(folder))


@pytest.mark.torch
def test_a_batch_for_which_nothing_was_compiled_is_refused(folder: Path) -> None:
    """The sentence says for which there is something."""
    prepared = ENGINE.prepare(help_with.variant_of(ENGINE, INT8), _material(folder))
    with pytest.raises(EngineError, match="nothing was compiled for batch 3, only for 2"):
        ENGINE.build(prepared, Group(batch=3, threads=1))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What three interpreters tell, at work at the same time: float32 compiled, int8 compiled, and two refusals."""
    help_with.require(ENGINE)
    folders = {name: str(tmp_path_factory.mktemp(name)) for name in (FLOAT32, INT8, "refused")}
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(help_with.told, REFUSED, folders["refused"])
        compiled = {
            precision: pool.submit(help_with.told, COMPILED, precision, str(BATCH), folders[precision])
            for precision in (FLOAT32, INT8)
        }
        return {"refused": refused.result(), **{name: each.result() for name, each in compiled.items()}}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(("precision", "least_db"), [(FLOAT32, 80), (INT8, 20)])
def test_its_answers_are_the_models(found: Mapping[str, Any], precision: str, least_db: float) -> None:
    """More pictures than a batch, and a last part that does not fill one, are answered as torch answers them."""
    answered = found[precision]
    assert answered["shape"] == [2 * BATCH + 1, 10]
    assert answered["sqnr_db"] > least_db
    assert answered["agree"] == 1


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_the_timed_body_gives_float32_logits_on_the_threads_asked(found: Mapping[str, Any], precision: str) -> None:
    """The same answers as outside, and the model is left as it was."""
    answered = found[precision]
    assert answered["bound_type"] == "torch.float32"
    assert answered["bound_is_same"]
    assert answered["threads"] == 2
    assert answered["unchanged"]


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_nothing_but_the_library_and_its_description_is_kept(found: Mapping[str, Any], precision: str) -> None:
    """What the compiler needed on the way is thrown away."""
    assert found[precision]["files"] == ["facts.json", "model.cpp", "model.json", "model.so"]


@pytest.mark.torch
@pytest.mark.slow
def test_int8_is_frozen_and_runs_in_int8(found: Mapping[str, Any]) -> None:
    """OneDNN tells of two convolutions and a product in int8, and nothing is left in float."""
    evidence = found[INT8]["evidence"]
    assert evidence["onednn"]["int8_calls"] == 3
    assert evidence["ran"]["float_share"] == 0
    assert evidence["ran"]["int8_share"] > 0.5
    assert evidence["ran"]["multiply_adds"]["int8_share"] == 1.0
    assert "reduce_range" in evidence["options"]


@pytest.mark.torch
@pytest.mark.slow
def test_float32_runs_in_float(found: Mapping[str, Any]) -> None:
    """Its primitives multiply f32 by f32, and none of the operators is counted twice."""
    evidence = found[FLOAT32]["evidence"]
    assert {each["src"] for each in evidence["onednn"]["primitives"]} == {"f32"}
    assert evidence["ran"]["int8_share"] == 0
    assert evidence["ran"]["float_share"] > 0.5
    assert not [each for each in evidence["ran"]["operators"] if "pointwise" in each["operator"]]


@pytest.mark.torch
@pytest.mark.slow
def test_the_bytes_of_weights_are_those_of_the_precision(found: Mapping[str, Any]) -> None:
    """Four bytes a parameter in float32; little more than one in int8, for scales and biases."""
    float32, int8 = found[FLOAT32], found[INT8]
    assert float32["weights_bytes"] == 4 * float32["parameters"]
    assert int8["parameters"] < int8["weights_bytes"] < 1.5 * int8["parameters"]
    assert int8["serialized_bytes"] > int8["weights_bytes"]


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_pictures_that_it_was_not_compiled_for_are_refused(found: Mapping[str, Any], precision: str) -> None:
    """Of another shape, or more of them than the timed body takes: the library itself would not look."""
    assert "expected (1, 3, 16, 16), for which it was compiled" in found[precision]["wrong_shape"]
    assert "pictures of shape (3, 3, 16, 16), expected (2, 3, 16, 16)" in found[precision]["wrong_count"]


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(
    ("cause", "sentence"),
    [("branching", "inductor float32: the model cannot be compiled: "), ("compiler", "x.cpp:1: error: no space")],
)
def test_what_cannot_be_compiled_is_said_in_one_sentence(found: Mapping[str, Any], cause: str, sentence: str) -> None:
    """A model that the exporter refuses, and a compiler that fails, by its own first error."""
    assert sentence in found["refused"][cause]
    assert "\n" not in found["refused"][cause]
