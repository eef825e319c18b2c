"""The adapter to TensorRT on a stand-in that has the real names alone; nothing here touches a GPU."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fake_tensorrt as fake
import numpy as np
import pytest

import engines
from int8bench.engines import packages
from int8bench.engines.base import Images, Material
from int8bench.engines.operators import Kind
from int8bench.engines.tensorrt import build, layers, session
from int8bench.engines.tensorrt import needs as tensorrt_needs
from int8bench.engines.tensorrt.engine import TensorRtEngine
from int8bench.errors import EngineError
from int8bench.machine import Hardware, nvidia
from int8bench.machine.hardware import TorchView
from int8bench.workload.cases import FLOAT16, FLOAT32, INT8, NCHW, Group, Variant

pytestmark = pytest.mark.torch

ENGINE = TensorRtEngine()
SERVER = Hardware(arch="x86_64", os="Linux")
H100 = "NVIDIA H100 80GB HBM3, GPU-aaaa-1, 9.0, 580.65.06\n"
P100 = "Tesla P100-PCIE-16GB, GPU-bbbb-2, 6.0, 580.65.06\n"
WELL = nvidia.GpuFacts(driver_library=True, smi=H100)


def pictures(count: int, seed: int = 0) -> Images:
    """Pictures of 3 x 32 x 32."""
    return np.random.default_rng(seed).random((count, 3, 32, 32), dtype=np.float32)


def material(**files: Any) -> Material:
    """A model that the stand-in never looks at."""
    return Material(model=SimpleNamespace(), calibration=pictures(4), example=pictures(1), files=files)  # type: ignore[arg-type]


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stand-in in the place of the package, with CUDA on the host's memory."""
    module = fake.FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.setattr(session, "_streams", [])
    monkeypatch.setattr(build, "network", lambda _, precision, batch: f"{precision} b{batch}".encode())
    module.cuda = fake.FakeCuda(module, monkeypatch)
    return module


def converted(folder: Path, precision: str = INT8, batch: int = 1) -> Path:
    """The folder of a conversion."""
    build.convert(material(), {"precision": precision}, batch, folder)
    return folder


def built(folder: Path, precision: str = INT8, batch: int = 1) -> Any:
    """A predictor of a conversion."""
    variant = Variant(engine="tensorrt", precision=precision, layout=NCHW)
    ready = replace(material(), files={batch: converted(folder, precision, batch)})
    return ENGINE.build(ENGINE.prepare(variant, ready), Group(batch=batch, threads=1))


# What is missing


def needs(
    monkeypatch: pytest.MonkeyPatch, facts: nvidia.GpuFacts, *, found: tuple[str, ...] = (), library: bool = True
) -> Callable[[Hardware], tuple[str, ...]]:
    """`obstacles` in an environment that is played."""
    monkeypatch.setattr(nvidia, "look", lambda: facts)
    monkeypatch.setattr(nvidia, "finds", lambda *_: library)
    monkeypatch.setattr(tensorrt_needs, "find_spec", lambda name: object() if name in found else None)
    return tensorrt_needs.obstacles


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (nvidia.GpuFacts(driver_library=False, smi=None), "no NVIDIA driver is there (libcuda.so.1 is not found)"),
        (nvidia.GpuFacts(driver_library=True, smi=None), "NVIDIA_DRIVER_CAPABILITIES=all"),
        (nvidia.GpuFacts(driver_library=True, smi="NVIDIA-SMI has failed", smi_failed=True), "NVIDIA-SMI has failed"),
        (nvidia.GpuFacts(driver_library=True, smi=""), "nvidia-smi lists none"),
        (nvidia.GpuFacts(driver_library=True, smi="No devices were found\n"), "nvidia-smi lists none"),
        (replace(WELL, visible=""), "CUDA_VISIBLE_DEVICES='' hides every GPU (1 there): type unset"),
        (replace(WELL, visible="-1"), "hides every GPU"),
        (replace(WELL, smi=P100), "Tesla P100-PCIE-16GB has compute capability 6.0, expected 7.5 or more"),
    ],
)
def test_each_thing_that_is_missing_has_its_own_sentence(
    monkeypatch: pytest.MonkeyPatch, facts: nvidia.GpuFacts, sentence: str
) -> None:
    """Driver, its tool, its answer, a GPU, one that may be seen, one that is new enough."""
    monkeypatch.setattr(packages, "missing", lambda *_: None)
    said = needs(monkeypatch, facts)(SERVER)
    assert len(said) == 1
    assert sentence in said[0]
    assert said[0].startswith("tensorrt: ")
    assert said[0].endswith(".")


def test_bindings_without_their_library_are_told_apart_from_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bindings come from one place and libnvinfer from another."""
    monkeypatch.setattr(packages, "missing", lambda *_: "tensorrt: package tensorrt is not installed; type pip ...")
    none = needs(monkeypatch, WELL, found=(), library=False)(SERVER)
    half = needs(monkeypatch, WELL, found=("tensorrt_bindings",), library=False)(SERVER)
    whole = needs(monkeypatch, WELL, found=("tensorrt_bindings",), library=True)(SERVER)
    assert [len(said) for said in (none, half, whole)] == [1, 2, 1]
    assert "libnvinfer.so" in half[1]
    assert "https://pypi.nvidia.com" in half[1]


def test_everything_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One look at doctor is enough."""
    monkeypatch.setattr(packages, "missing", lambda *_: "tensorrt: package tensorrt is not installed")
    facts = nvidia.GpuFacts(driver_library=False, smi=None)
    cpu = replace(SERVER, torch=TorchView(version="2.14.1+cpu"))
    needs(monkeypatch, facts, found=("tensorrt_bindings",), library=False)
    reason = ENGINE.availability(cpu).reason
    assert reason is not None
    for part in ("package tensorrt is not installed", "libnvinfer.so", "built without CUDA", "no NVIDIA driver"):
        assert part in reason


@pytest.mark.parametrize("machine", [Hardware(arch="arm64", os="Darwin"), Hardware(arch="riscv64", os="Linux")])
def test_a_machine_for_which_there_is_none_needs_no_other_reason(machine: Hardware) -> None:
    """Neither package nor driver would help."""
    assert ENGINE.availability(machine).reason == (
        f"tensorrt: needs Linux on x86-64 or arm64, this machine is {machine.os} on {machine.arch}."
    )


def test_where_nothing_is_missing_it_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package, library, driver and GPU are there."""
    monkeypatch.setattr(packages, "missing", lambda *_: None)
    needs(monkeypatch, WELL, found=("tensorrt",))
    assert ENGINE.availability(replace(SERVER, torch=TorchView(version="2.14.1+cu130"))).available


def test_here_it_says_what_it_needs_without_importing_anything() -> None:
    """On whatever machine the tests run: a reason or none, and no package loaded for it."""
    before = "tensorrt" in sys.modules
    availability = ENGINE.availability(SERVER)
    assert availability.available == (availability.reason is None)
    assert ("tensorrt" in sys.modules) == before


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        (None, ["H100", "P100"]),
        ("1", ["P100"]),
        ("1,0", ["P100", "H100"]),
        ("0,7,1", ["H100"]),
        ("0,0", ["H100"]),
        ("GPU-b", ["P100"]),
        ("GPU-", []),
        ("", []),
        ("NoDevFiles", []),
    ],
)
def test_the_variable_hides_gpus_as_cuda_reads_it(variable: str | None, names: list[str]) -> None:
    """Numbers or beginnings of identifiers, up to the first that is unknown or said twice."""
    facts = nvidia.GpuFacts(driver_library=True, smi=H100 + P100, visible=variable)
    assert [gpu.name.replace("-", " ").split()[1] for gpu in nvidia.visible(facts)] == names


def test_libraries_are_found_as_the_dynamic_linker_finds_them(tmp_path: Path) -> None:
    """In its cache, or in the folders of LD_LIBRARY_PATH; a system without either has none."""
    assert not nvidia.seen(tmp_path, {}, None).driver_library
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ld.so.cache").write_bytes(b"\0libcuda.so.1\0/usr/lib/libcuda.so.1\0")
    assert nvidia.seen(tmp_path, {}, None).driver_library
    assert not nvidia.finds("libnvinfer.so", tmp_path, {})
    (tmp_path / "libnvinfer.so.11").touch()
    assert nvidia.finds("libnvinfer.so", tmp_path, {"LD_LIBRARY_PATH": f":{tmp_path}"})


# Converting


def test_a_serialized_engine_is_kept_by_what_it_depends_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The precision, the GPU, the driver, the packages, the batch size."""
    monkeypatch.setattr(nvidia, "look", lambda: WELL)
    conversion = ENGINE.conversion(ENGINE.variants[0], SERVER)
    assert conversion.options == {
        "precision": "float32",
        "gpu": "NVIDIA H100 80GB HBM3",
        "compute_capability": "9.0",
        "driver": "580.65.06",
    }
    assert "tensorrt" in conversion.packages
    assert conversion.batches((1, 32)) == (1, 32)
    assert conversion.function is build.convert


def test_three_precisions_of_a_plain_input() -> None:
    """Float32, float16 beside it, int8."""
    assert [(each.precision, each.layout) for each in ENGINE.variants] == [
        (FLOAT32, NCHW),
        (FLOAT16, NCHW),
        (INT8, NCHW),
    ]
    assert ENGINE.objection(Group(batch=8, threads=1)) is None
    assert "--threads 1" in (ENGINE.objection(Group(batch=8, threads=2)) or "")


def test_a_network_is_parsed_and_built_strongly_typed_without_tf32(trt: Any, tmp_path: Path) -> None:
    """The order of the calls, their flags, and what is written."""
    notes = build.convert(material(), {"precision": FLOAT32}, 8, tmp_path)
    assert trt.calls == [
        ("Builder",),
        ("create_network", 1 << trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED),
        ("OnnxParser",),
        ("parse",),
        ("create_builder_config",),
        ("clear_flag", "TF32"),
        ("build_serialized_network", trt.ProfilingVerbosity.DETAILED),
    ]
    assert (tmp_path / build.PLAN).read_bytes() == b"plan of float32 b8"
    assert notes == {"tensorrt": "11.4.0.106", "plan_bytes": 18, "messages": []}


def test_warnings_of_the_builder_are_kept_and_chatter_is_not(trt: Any, tmp_path: Path) -> None:
    """What TensorRT says goes into the notes, and nowhere else."""
    trt.says = "a warning"
    notes = build.convert(material(), {"precision": INT8}, 1, tmp_path)
    assert notes["messages"] == ["a warning", "a warning"]


def test_errors_of_the_parser_are_listed(trt: Any, tmp_path: Path) -> None:
    """Each with its node."""
    trt.parser_errors = [("no such operator", "node_7", "Frobnicate"), ("bad type", "node_9", "Cast")]
    with pytest.raises(EngineError, match=r"no such operator \(node 'node_7', Frobnicate\); bad type \(node 'node_9'"):
        converted(tmp_path)
    assert "build_serialized_network" not in trt.names()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [("builds", "its builder makes no engine of the model: out of memory"), ("starts", "CUDA cannot be started")],
)
def test_a_builder_that_gives_nothing_says_why(trt: Any, tmp_path: Path, failing: str, sentence: str) -> None:
    """The reason is in what it told its logger."""
    setattr(trt, failing, False)
    trt.says = "out of\n  memory"
    with pytest.raises(EngineError, match=sentence):
        converted(tmp_path)


def test_a_package_that_cannot_be_loaded_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Here as with bindings whose library is not there."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"cannot be loaded .*int8bench\[tensorrt\]"):
        converted(tmp_path)


# Running


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_any_number_of_pictures_is_answered(trt: Any, tmp_path: Path, batch: int, count: int) -> None:
    """In parts of the engine's size, the last one filled up and cut again."""
    trt.batch = batch
    asked = pictures(count, seed=1)
    answered = built(tmp_path, batch=batch)(asked)
    assert answered.dtype == np.float32
    np.testing.assert_allclose(answered, fake.answers(asked), rtol=1e-6)
    assert trt.names().count("execute_async_v3") == -(-count // batch)


def test_the_timed_body_queues_copies_back_and_waits(trt: Any, tmp_path: Path) -> None:
    """One stream for all, not the default one; the copy to the GPU is before, the copy back is within."""
    trt.batch = 2
    predictor = built(tmp_path, batch=2)
    asked = pictures(2, seed=2)
    trt.calls.clear()
    body = predictor.bind(asked)
    assert trt.calls == [
        ("create_execution_context",),
        ("empty", "cuda", (2, 3, 32, 32)),
        ("empty", "cuda", (2, 10)),
        ("empty", "pinned", (2, 10)),
        ("set_tensor_address", "pictures"),
        ("set_tensor_address", "logits"),
        ("copy", (2, 3, 32, 32), False, None),
        ("synchronize",),
    ]
    trt.calls.clear()
    answered = np.asarray(body())
    assert trt.calls == [("execute_async_v3", 77), ("copy", (2, 10), True, 77), ("stream.synchronize",)]
    np.testing.assert_allclose(answered, fake.answers(asked), rtol=1e-6)


@pytest.mark.usefixtures("trt")
def test_two_bound_bodies_keep_their_own_pictures(tmp_path: Path) -> None:
    """Each has its own context and memory."""
    predictor = built(tmp_path)
    first, second = pictures(1, seed=3), pictures(1, seed=4)
    bodies = [predictor.bind(first), predictor.bind(second)]
    for body, asked in zip(bodies, (first, second), strict=True):
        np.testing.assert_allclose(np.asarray(body()), fake.answers(asked), rtol=1e-6)


def test_an_answer_leaves_the_thread_on_its_stream(trt: Any, tmp_path: Path) -> None:
    """Only bind may change the calling thread."""
    predictor = built(tmp_path)
    predictor(pictures(1))
    assert trt.cuda.current is None
    predictor.bind(pictures(1))
    assert trt.cuda.current == 77


def test_evidence_tells_layers_times_and_the_gpu(trt: Any, tmp_path: Path) -> None:
    """The inspector's types, the profiler's times, CUDA's own events, collected once."""
    predictor = built(tmp_path)
    evidence = predictor.evidence
    assert evidence["ran"]["share_of"] == "time"
    assert (evidence["ran"]["int8_share"], evidence["ran"]["edge_share"]) == (0.75, 0.25)
    assert evidence["gpu_seconds"] == {"median": 0.0005, "calls": 20}
    assert (evidence["gpu"], evidence["compute_capability"]) == ("NVIDIA Pretend", "9.0")
    assert (evidence["tensorrt"], evidence["tf32"], evidence["device_memory_bytes"]) == ("11.4.0.106", False, 4096)
    assert predictor.weights_bytes == 1234
    assert predictor.serialized_bytes == len(b"plan of int8 b1")
    before = len(trt.calls)
    assert predictor.evidence is evidence
    assert len(trt.calls) == before


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("loads", False, r"does not load \(magic tag\).*another GPU, driver or TensorRT: run again"),
        ("starts", False, r"CUDA cannot be started \(magic tag\)"),
        ("has_room", False, r"no room for the engine on the GPU \(magic tag\)"),
        ("takes_memory", False, r"takes no memory for 'pictures'"),
        ("input_type", "INT8", "expected one float32 input and one float32 output"),
    ],
)
def test_an_engine_that_cannot_be_used_is_one_sentence(
    trt: Any, tmp_path: Path, setting: str, value: object, sentence: str
) -> None:
    """A serialized engine of elsewhere, a GPU that is full, a network of other types."""
    converted(tmp_path)
    setattr(trt, setting, value)
    trt.says = "magic tag"
    ready = ENGINE.prepare(ENGINE.variants[2], replace(material(), files={1: tmp_path}))
    with pytest.raises(EngineError, match=sentence):
        ENGINE.build(ready, Group(batch=1, threads=1))


def test_a_network_that_does_not_run_is_an_error_in_the_timed_body_too(trt: Any, tmp_path: Path) -> None:
    """Nobody times a call that did nothing."""
    predictor = built(tmp_path)
    body = predictor.bind(pictures(1))
    trt.runs = False
    with pytest.raises(EngineError, match="TensorRT does not run"):
        body()
    with pytest.raises(EngineError, match="TensorRT does not run"):
        predictor(pictures(1))


@pytest.mark.usefixtures("trt")
def test_cuda_that_refuses_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a forked process whose parent has started CUDA already."""
    import torch

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("Cannot re-initialize CUDA in forked subprocess.\nTo use CUDA ...")

    monkeypatch.setattr(torch.cuda, "Stream", refuse)
    with pytest.raises(EngineError, match="CUDA refuses: Cannot re-initialize CUDA"):
        built(tmp_path)


@pytest.mark.usefixtures("trt")
def test_pictures_of_another_shape_and_batches_not_converted_are_refused(tmp_path: Path) -> None:
    """Before anything reaches the GPU."""
    predictor = built(tmp_path)
    with pytest.raises(EngineError, match=r"pictures of shape \(3, 8, 8\), expected \(3, 32, 32\)"):
        predictor(np.zeros((1, 3, 8, 8), dtype=np.float32))
    ready = ENGINE.prepare(ENGINE.variants[2], replace(material(), files={1: tmp_path}))
    with pytest.raises(EngineError, match="no engine was converted for batch 32"):
        ENGINE.build(ready, Group(batch=32, threads=1))


@pytest.mark.usefixtures("trt")
def test_a_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    """A cache that somebody emptied meanwhile."""
    with pytest.raises(EngineError, match="cannot be read"):
        ENGINE.prepare(ENGINE.variants[2], replace(material(), files={1: tmp_path / "gone"}))


# The files that TensorRT is given


@pytest.fixture(scope="module")
def networks() -> Any:
    """What the files of a small model hold, and answer in onnxruntime: in a process of its own, as threads start."""
    pytest.importorskip("onnx", reason="int8bench[tensorrt] is not installed")
    pytest.importorskip("onnxscript", reason="int8bench[tensorrt] is not installed")
    return engines.told("import network_files; network_files.tell()")


@pytest.mark.parametrize(("precision", "least_db"), [(FLOAT32, 100.0), (FLOAT16, 50.0), (INT8, 20.0)])
def test_each_file_answers_as_the_model_does(networks: Any, precision: str, least_db: float) -> None:
    """Run by onnxruntime, for the batch size that it was made for alone, float32 going in and coming out."""
    told = networks[precision]
    assert told["sqnr_db"] >= least_db
    assert told["shapes"] == [[4, 3, 16, 16], [4, 10]]
    assert told["ends"] == ["FLOAT", "FLOAT"]


def test_the_int8_file_is_what_tensorrt_reads(networks: Any) -> None:
    """Signed and symmetric, pairs before what multiplies alone, float weights and biases, a scale for each channel."""
    told = networks[INT8]
    assert told["zero_points"] == [["INT8", 0]]
    assert set(told["quantized_into"]) == {"Conv", "Gemm"}
    assert told["quantized_from"] == ["MaxPool", "Reshape", "file", "input"]
    assert told["integers_stored"] == []
    assert told["scales"] == [1, 10, 32, 64]


def test_the_float16_file_computes_in_float16(networks: Any) -> None:
    """Strongly typed networks have no other way to be told."""
    assert networks[FLOAT16]["weights"] == ["FLOAT16"]
    assert networks[FLOAT32]["weights"] == ["FLOAT"]
    assert networks[FLOAT16]["operators"].count("Cast") == 2


def test_a_model_that_cannot_be_exported_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """As well as one that the tools behind the export refuse."""
    monkeypatch.setattr(build.files, "export", lambda *_: None)
    monkeypatch.setattr(build, "_typed", lambda *_: {}["a pass of the tool"])
    with pytest.raises(
        EngineError, match="tensorrt: no int8 onnx can be made of the model: KeyError: 'a pass of the tool'"
    ):
        build.network(material(), INT8, 1)


# The stand-in, and the layers


def test_the_stand_in_refuses_what_the_bindings_do_not_have(trt: Any) -> None:
    """Else a call that TensorRT has dropped, such as its INT8 flag, would pass."""
    config = trt.Builder(build.listener(trt, [])).create_builder_config()
    with pytest.raises(AssertionError, match="IBuilderConfig has no int8_calibrator"):
        config.int8_calibrator = None
    with pytest.raises(AttributeError):
        trt.BuilderFlag.INT8  # noqa: B018  the reading is what fails
    with pytest.raises(AssertionError, match="has no max_workspace_size"):
        config.max_workspace_size  # noqa: B018


def test_the_stand_in_takes_the_arguments_that_the_bindings_take(trt: Any) -> None:
    """Every method of it that the bindings describe: as many arguments, by the same names."""
    compared = 0
    for kind, told in fake.API["classes"].items():
        for method, signatures in told["signatures"].items():
            if kind not in {"ILogger", "IProfiler"}:  # of these it is we who are called
                mine = list(inspect.signature(getattr(getattr(trt, kind), method)).parameters)
                theirs = [part.partition(":")[0].strip() for part in signatures[0].split("(", 1)[1].split(",")]
                assert mine == theirs[: len(mine)], f"{kind}.{method}"
                compared += 1
    assert compared >= 15


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        ({"LayerType": "CaskConvolution", "Inputs": [{"Format/Datatype": "Thirty-two wide channel Int8"}]}, Kind.INT8),
        ({"LayerType": "CaskConvolution", "Inputs": [{"DataType": "Float"}], "Weights": {"Type": "Float"}}, Kind.FLOAT),
        ({"LayerType": "CaskConvolution", "Inputs": [{"DataType": "Int8"}], "Weights": {"Type": "Half"}}, Kind.FLOAT),
        ({"LayerType": "gemm", "Inputs": [{"Format/Datatype": "Row major FP16 format"}]}, Kind.FLOAT),
        ({"LayerType": "CaskConvolution"}, Kind.OTHER),
        ({"LayerType": "Reformat", "Inputs": [{"DataType": "Float"}], "Outputs": [{"DataType": "Int8"}]}, Kind.EDGE),
        ({"LayerType": "kgen", "Inputs": [{"DataType": "Float"}], "Outputs": [{"DataType": "Int8"}]}, Kind.EDGE),
        ({"LayerType": "CaskPooling", "Inputs": [{"DataType": "Int8"}], "Outputs": [{"DataType": "Int8"}]}, Kind.INT8),
        ({"LayerType": "PointWiseV2", "Inputs": [{"DataType": "Float"}]}, Kind.FLOAT),
        ({"LayerType": "NoOp"}, Kind.OTHER),
        ("only a name", Kind.OTHER),
    ],
)
def test_layers_are_judged_by_the_types_that_they_work_on(layer: Any, kind: Kind) -> None:
    """In the words of TensorRT 10 and of 11; weights that stayed in float are not int8."""
    import json

    (read,) = layers.operators(json.dumps({"Layers": [layer]}), {"only a name": 0.5})
    assert read.kind is kind
    assert read.seconds == (0.5 if layer == "only a name" else None)
