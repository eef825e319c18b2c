"""What holds of every machine and every text."""

import json
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from int8bench.errors import RecordError
from int8bench.machine import Gap, Hardware, TorchView, fingerprint, parse, rules
from int8bench.machine.finding import Severity
from int8bench.machine.levels import DECIDING_FLAGS, canonical_flag

GOLDEN = Path(__file__).parents[1] / "golden" / "hardware"
RECORDED = [path.read_bytes() for path in sorted(GOLDEN.iterdir()) if path.name != "README.md"]

spots = st.integers(0, 1 << 16)
words = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.none() | words
counts = st.none() | st.integers(1, 1 << 40)
shares = st.none() | st.floats(0, 1e6)
flags = st.frozensets(st.sampled_from(sorted(DECIDING_FLAGS | {"lm", "hypervisor", "crc32", "avx512_bf16"})))
views = st.builds(
    TorchView,
    version=names,
    capability=st.none() | st.sampled_from(["DEFAULT", "AVX2", "AVX512", "SVE256"]),
    supported_engines=st.lists(st.sampled_from(["qnnpack", "onednn", "x86", "fbgemm", "none"]), unique=True).map(tuple),
    default_engine=st.none() | st.sampled_from(["none", "x86", "qnnpack"]),
    flags=flags,
)
machines = st.builds(
    Hardware,
    arch=st.sampled_from(["x86_64", "i686", "arm64", "arm", "riscv64", "ppc64le", "s390x", "unknown"]),
    vendor=names,
    brand=names,
    family=counts,
    model=counts,
    stepping=counts,
    os=st.sampled_from(["Linux", "Darwin", "Windows", "unknown"]),
    flags=flags,
    untold=flags,
    gap=st.none() | st.sampled_from(Gap),
    logical_cores=counts,
    physical_cores=counts,
    usable_cores=counts,
    core_kinds=st.lists(words, max_size=3).map(tuple),
    cgroup_quota=shares,
    hypervisor=names,
    cpu_type=names,
    emulated=names,
    l1d_bytes=counts,
    l2_bytes=counts,
    l3_bytes=counts,
    memory_bytes=counts,
    steal_fraction=shares,
    torch=st.none() | views,
    isa_environment=st.dictionaries(
        st.sampled_from(["ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "FBGEMM_ENABLE_INSTRUCTIONS"]), words
    ),
    disagreements=st.lists(words, max_size=3).map(tuple),
)
LINUX_KEYS = ("processor", "flags", "Features", "isa", "cpu", "machine", "platform", "model name", "siblings", "uarch")
ARM_KEYS = ("CPU implementer", "CPU part", "CPU architecture")
OTHER_KEYS = ("vendor_id", "processor 0", "cpu cores", "# processors", "physical id", "core id")
MACOS_KEYS = ("hw.ncpu", "hw.cputype", "hw.optional.neon", "machdep.cpu.features")
keys = st.sampled_from((*LINUX_KEYS, *ARM_KEYS, *OTHER_KEYS, *MACOS_KEYS))
values = words | st.sampled_from(
    [
        "fpu lm avx2",
        "fp asimd",
        "IBM/S390",
        "rv64gc",
        "rv64",
        "POWER9",
        "POWER" + "9" * 5000,
        "9" * 5000,
        "0x41",
        "0xd08",
        "²",
        "-1",
    ]
)
listings = st.lists(st.tuples(keys, values), max_size=12).map(
    lambda pairs: "\n".join(f"{key}\t: {value}" for key, value in pairs)
)
json_texts = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | words,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["arch", "flags", "hardware", "torch", "get_capabilities", "model"]), inner)
    ),
    max_leaves=8,
).map(json.dumps)


@given(st.text() | listings | json_texts)
def test_any_text_is_a_machine_or_a_sentence(text: str) -> None:
    """Whatever is in a file, the answer is a machine that survives JSON or one sentence about the file."""
    try:
        machine = parse(text, source="machine.txt")
    except RecordError:
        return
    assert Hardware.from_dict(json.loads(json.dumps(machine.to_dict()))) == machine


@given(st.sampled_from(RECORDED), st.lists(st.tuples(spots, spots, st.binary(max_size=4)), min_size=1, max_size=4))
def test_a_damaged_recording_is_a_machine_or_a_sentence(content: bytes, damages: list[tuple[int, int, bytes]]) -> None:
    """Bytes cut out, put in and changed anywhere: still a machine, or a RecordError."""
    for first, second, new in damages:
        start, end = sorted((first % (len(content) + 1), second % (len(content) + 1)))
        content = content[:start] + new + content[end:]
    text = content.decode(errors="replace")
    try:
        machine = parse(text, source="machine.txt")
    except RecordError:
        return
    rules.inspect(machine, engine="onednn")
    assert Hardware.from_dict(json.loads(json.dumps(machine.to_dict()))) == machine


@given(machines)
def test_a_machine_survives_json(machine: Hardware) -> None:
    """Writing and reading gives the same value."""
    assert Hardware.from_dict(json.loads(json.dumps(machine.to_dict()))) == machine


@given(machines, counts, shares, st.randoms(use_true_random=False))
def test_the_fingerprint_ignores_steal_memory_and_order(
    machine: Hardware, memory: int | None, steal: float | None, rng: random.Random
) -> None:
    """Flags are a set and the rest changes from day to day."""
    document = machine.to_dict()
    shuffled = sorted(machine.flags)
    rng.shuffle(shuffled)
    other = Hardware.from_dict({**document, "flags": shuffled, "memory_bytes": memory, "steal_fraction": steal})
    assert fingerprint(other) == fingerprint(machine)


@given(st.text())
def test_spelling_settles_at_once(name: str) -> None:
    """The kernel's spelling of a kernel's spelling is itself."""
    assert canonical_flag(canonical_flag(name)) == canonical_flag(name)


@given(machines, st.none() | st.sampled_from(rules.KNOWN_ENGINES), st.lists(st.integers(1, 64)).map(tuple))
def test_every_finding_is_whole_and_said_once(machine: Hardware, engine: str | None, threads: tuple[int, ...]) -> None:
    """Each has its sentences, no two say the same, and the worst come first."""
    found = rules.inspect(machine, engine=engine, threads=tuple(dict.fromkeys(threads)))
    for each in found:
        shown = each.shown
        assert all((shown.code, shown.subject, shown.message, shown.why, shown.advice))
    assert len({(each.code, each.subject) for each in found}) == len(found)
    order = list(Severity)
    assert [each.severity for each in found] == sorted((each.severity for each in found), key=order.index)


@given(machines)
def test_what_is_recommended_can_be_chosen(machine: Hardware) -> None:
    """No finding of severity error speaks against the recommended engine, and torch has it."""
    chosen = rules.recommend(machine)
    assert chosen.basis.startswith("rule: ")
    if chosen.engine is not None:
        found = rules.inspect(machine, engine=chosen.engine)
        assert not [each.code for each in found if each.severity is Severity.ERROR]
        assert machine.torch is None or chosen.engine in machine.torch.supported_engines
