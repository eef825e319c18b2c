import importlib.util
from pathlib import Path
from typing import Any

import pytest

from int8bench.engines.base import Material
from int8bench.engines.operators import Kind
from int8bench.engines.tflite import litert
from int8bench.engines.tflite.litert import LiteRtEngine, LitertNode, kind, taken
from int8bench.errors import EngineError
from int8bench.machine import Hardware
from int8bench.workload.cases import CHANNELS_LAST, FLOAT32, INT8, Group

HELPERS = Path(__file__).parents[2] / "helpers"
_SPEC = importlib.util.spec_from_file_location("engines", HELPERS / "engines.py")
assert _SPEC is not None
assert _SPEC.loader is not None
helpers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(helpers)

ENGINE = LiteRtEngine()

# Runs in an interpreter of its own, since two threads are started in forks of it.
PROGRAM = """
import json, os, resource, sys, time
from pathlib import Path
import numpy as np
import torch
sys.path.insert(0, sys.argv[2])
from engines import made, some_pictures, tiny_cnn, variant_of
from int8bench.workload.cases import Group
from int8bench.engines.base import Material
from int8bench.engines.tflite.litert import LiteRtEngine
from int8bench.errors import EngineError

torch.set_num_threads(1)
engine, model, pictures, root = LiteRtEngine(), tiny_cnn(), some_pictures(), Path(sys.argv[1])
with torch.inference_mode():
    expected = model(torch.from_numpy(pictures)).numpy()

def sqnr(answers):
    return float(10 * np.log10((expected**2).sum() / ((expected - answers) ** 2).sum()))

def in_fork(work):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(write)
    answered = os.fdopen(read).read()
    os.waitpid(pid, 0)
    return json.loads(answered)

def prepared(precision, batch):
    files = {batch: root / f"litert-{precision}-{batch}"}
    material = Material(model=model, calibration=pictures, example=pictures[:1], files=files)
    return engine.prepare(variant_of(engine, precision), material)

def refused(call):
    try:
        call()
    except EngineError as error:
        return str(error)

def in_two_threads(precision):
    state = prepared(precision, 32)
    predictor = engine.build(state, Group(batch=32, threads=2))
    threads = len(os.listdir("/proc/self/task"))
    body = predictor.bind(pictures[:32])
    [body() for _ in range(20)]
    before = time.process_time()
    time.sleep(0.2)
    return {"sqnr": sqnr(predictor(pictures)), "threads": threads, "idle_share": (time.process_time() - before) / 0.2}

out = {}
for precision in ("float32", "int8"):
    predictor = made(engine, precision, model, pictures, root)
    whole = predictor(pictures)
    body = predictor.bind(pictures[:1])
    answers = [np.array(body()) for _ in range(3)]
    made(engine, precision, model, pictures, root, group=Group(batch=32, threads=1))
    threads = len(os.listdir("/proc/self/task"))
    out[precision] = {
        "sqnr": sqnr(whole),
        "bound_as_asked": all(np.array_equal(each, whole[:1]) for each in answers),
        "type": answers[0].dtype.name,
        "weights_bytes": predictor.weights_bytes,
        "serialized_bytes": predictor.serialized_bytes,
        "evidence": dict(predictor.evidence),
        "forked": in_fork(lambda: in_two_threads(precision)),
        "threads_in_parent": threads,
    }
out["no_such_batch"] = refused(lambda: engine.build(prepared("int8", 32), Group(batch=8, threads=1)))
file = root / "litert-int8-1" / "model.tflite"
for name, content in (("truncated", file.read_bytes()[:9000]), ("rubbish", b"rubbish" * 900), ("empty", b"")):
    file.write_bytes(content)
    out[name] = refused(lambda: engine.build(prepared("int8", 1), Group(batch=1, threads=1)))
print(json.dumps(out))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the engine did with a small model."""
    helpers.require(ENGINE)
    return helpers.told(PROGRAM, str(tmp_path_factory.mktemp("litert")), str(HELPERS))


@pytest.mark.torch
@pytest.mark.parametrize(("precision", "lowest_db"), [(FLOAT32, 80), (INT8, 20)])
def test_answers_are_the_models(found: Any, precision: str, lowest_db: float) -> None:
    """Asked for more pictures than the batch it answers each; a bound call repeats the same answers as float32."""
    assert found[precision]["sqnr"] > lowest_db
    assert found[precision]["bound_as_asked"]
    assert found[precision]["type"] == "float32"


@pytest.mark.torch
@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_a_fork_after_the_import_runs_at_two_threads(found: Any, precision: str) -> None:
    """A session built in a fork has its own second thread, and answers a whole batch as the model does."""
    assert found[precision]["forked"]["threads"] >= 2
    assert found[precision]["forked"]["sqnr"] > 20


@pytest.mark.torch
@pytest.mark.parametrize("precision", [FLOAT32, INT8])
def test_an_idle_session_does_not_spin(found: Any, precision: str) -> None:
    """While nobody calls, its workers leave the processors to the other contender."""
    assert found[precision]["forked"]["idle_share"] < 0.5


@pytest.mark.torch
@pytest.mark.parametrize(("precision", "kinds"), [(FLOAT32, "float"), (INT8, "int8")])
def test_evidence_tells_what_xnnpack_took(found: Any, precision: str, kinds: str) -> None:
    """Every operator is XNNPACK's, and convolutions compute in the precision of the variant."""
    evidence = found[precision]["evidence"]
    assert evidence["delegated_operators"] == evidence["graph_operators"] > 5
    operators = {each["operator"]: each for each in evidence["ran"]["operators"]}
    assert operators["CONV_2D"] == operators["CONV_2D"] | {"implementation": "XNNPACK", "kind": kinds, "calls": 2}
    other = {"float": "int8", "int8": "float"}[kinds]
    assert evidence["ran"][f"{other}_share"] == 0
    work = evidence["ran"]["multiply_adds"]
    assert work["total"] % helpers.TINY_MULTIPLY_ADDS == 0
    assert work[f"{kinds}_share"] == 1.0


@pytest.mark.torch
def test_int8_is_quantized_and_dequantized_in_the_graph(found: Any) -> None:
    """XNNPACK does it once at each edge, which counts as neither arithmetic; the float32 graph has none of it."""
    int8, float32 = (
        {each["operator"]: each for each in found[precision]["evidence"]["ran"]["operators"]}
        for precision in (INT8, FLOAT32)
    )
    for name in ("QUANTIZE", "DEQUANTIZE"):
        assert int8[name] == int8[name] | {"implementation": "XNNPACK", "kind": "edge", "calls": 1}
        assert name not in float32


@pytest.mark.torch
def test_weights_are_counted_as_the_file_keeps_them(found: Any) -> None:
    """Float32 has four bytes a weight; int8 one, four a bias, and a scale and zero point for each channel of both."""
    weights, channels = 3 * 9 * 32 + 32 * 9 * 64 + 64 * 16 * 10, 32 + 64 + 10
    assert found[FLOAT32]["weights_bytes"] == 4 * (weights + channels)
    assert found[INT8]["weights_bytes"] == weights + 4 * channels + 2 * 12 * channels
    assert found[INT8]["serialized_bytes"] > found[INT8]["weights_bytes"]


@pytest.mark.torch
@pytest.mark.parametrize("damage", ["truncated", "rubbish", "empty"])
def test_a_damaged_file_is_an_error(found: Any, damage: str) -> None:
    """A file of another content is refused with its folder, and how to have it made again."""
    assert found[damage].startswith("litert int8: its converted file cannot be opened (ValueError:")
    assert found[damage].endswith("litert-int8-1 to have it made again")


@pytest.mark.torch
def test_a_batch_without_a_file_is_an_error(found: Any) -> None:
    """Building for a batch size that was not converted says which were."""
    assert found["no_such_batch"] == "litert int8: no file was made for batch 8, only for 32"


@pytest.mark.torch
def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    """A folder of the cache that lost its file is named."""
    helpers.require(ENGINE)
    pictures = helpers.some_pictures(1)
    material = Material(model=helpers.tiny_cnn(), calibration=pictures, example=pictures, files={1: tmp_path})
    with pytest.raises(EngineError, match=f"cannot be opened .* remove {tmp_path}"):
        ENGINE.prepare(helpers.variant_of(ENGINE, INT8), material)


def test_both_precisions_are_fed_channels_last() -> None:
    """The layout of the input is named in the variants."""
    assert [(each.precision, each.layout) for each in ENGINE.variants] == [
        (FLOAT32, CHANNELS_LAST),
        (INT8, CHANNELS_LAST),
    ]
    assert ENGINE.objection(Group(batch=32, threads=8)) is None


def test_a_platform_without_the_converter_is_told_so() -> None:
    """On ARM Linux the runtime can be installed and the converter cannot."""
    availability = ENGINE.availability(Hardware(arch="arm64", os="Linux"))
    assert not availability.available
    assert "litert-converter, has no package for Linux on arm64" in str(availability.reason)


def test_a_missing_package_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """What to type comes with what is missing."""
    monkeypatch.setattr(litert.LiteRtEngine, "modules", ("ai_edge_litert_of_tomorrow",))
    reason = str(ENGINE.availability(Hardware(arch="x86_64", os="Linux")).reason)
    assert "ai_edge_litert_of_tomorrow" in reason
    assert "pip install 'int8bench[litert]'" in reason


def node(name: str, inputs: tuple[int, ...], *outputs: int) -> LitertNode:
    """An entry of a graph, of int8."""
    return LitertNode(name=name, inputs=inputs, outputs=outputs, result_types=("int8",))


def test_what_a_delegate_took_is_followed_back_to_its_inputs() -> None:
    """A branch and a chain belong to it; what comes before its inputs, or after its outputs, does not."""
    nodes = (
        node("A", (0,), 1),
        node("B", (1, 90), 2),
        node("C", (1,), 3),
        node("D", (2, 3), 4),
        node("E", (4,), 5),
        node("DELEGATE", (1, 90), 4),
    )
    assert taken(nodes) == {1, 2, 3}


def test_several_delegates_take_their_own() -> None:
    """An operator between two delegates is not theirs."""
    nodes = (
        node("A", (0,), 1),
        node("B", (1,), 2),
        node("C", (2,), 3),
        node("DELEGATE", (0,), 1),
        node("DELEGATE", (2,), 3),
    )
    assert taken(nodes) == {0, 2}
    assert taken(nodes[:3]) == frozenset()


@pytest.mark.parametrize(
    ("name", "types", "expected"),
    [
        ("CONV_2D", ("int8",), Kind.INT8),
        ("CONV_2D", ("float32",), Kind.FLOAT),
        ("SPLIT_V", ("int8", "float32"), Kind.FLOAT),
        ("QUANTIZE", ("int8",), Kind.EDGE),
        ("TRANSPOSE", ("float32",), Kind.EDGE),
        ("RESHAPE", ("int8",), Kind.OTHER),
        ("SHAPE", ("int32",), Kind.OTHER),
        ("NOTHING", (), Kind.OTHER),
    ],
)
def test_the_kind_of_an_operator_is_what_it_makes(name: str, types: tuple[str, ...], expected: Kind) -> None:
    """Arithmetic counts by the type of its result; what only moves data counts apart."""
    assert kind(name, types) is expected
