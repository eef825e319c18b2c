"""A machine as a value: what decides how fast int8 runs on it, its JSON and its fingerprint. Pure: opens nothing."""

import hashlib
import json
import reprlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from int8bench.documents import Json
from int8bench.errors import RecordError
from int8bench.machine.levels import (
    DECIDING_FLAGS,
    UNKNOWN,
    X86,
    Told,
    canonical_arch,
    canonical_flags,
    family_levels,
    isa_family,
    levels_of,
    told_flag,
    told_level,
)

SCHEMA = "int8bench.hardware"
SCHEMA_VERSION = 1
MOST = sys.float_info.max  # JSON numbers above are no float
FINGERPRINT_DIGITS = 12  # 48 bits: two of a million machines clash with a chance of 0.2 %


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchView:
    """What torch says of the machine and of itself."""

    version: str | None = None
    capability: str | None = None
    supported_engines: tuple[str, ...] = ()
    default_engine: str | None = None
    flags: frozenset[str] = frozenset()

    def to_dict(self) -> dict[str, Json]:
        """The JSON form; the inverse of `from_dict`."""
        return {
            "version": self.version,
            "capability": self.capability,
            "supported_engines": list(self.supported_engines),
            "default_engine": self.default_engine,
            "flags": sorted(self.flags),
        }

    @classmethod
    def from_dict(cls, document: object, *, path: str = "torch") -> "TorchView":
        """The value that `to_dict` wrote.

        Raises:
            RecordError: a field has another type.
        """
        fields = _Fields(_mapping(document, path), path)
        return cls(
            version=fields.text("version"),
            capability=fields.text("capability"),
            supported_engines=fields.texts("supported_engines"),
            default_engine=fields.text("default_engine"),
            flags=canonical_flags(fields.texts("flags")),
        )


class Gap(StrEnum):
    """Why a description leaves instructions untold."""

    CUT = "cut"
    """A list ends before its end."""
    BROKEN = "broken"
    """A line of a list ends where nobody can say whether the word goes on."""
    WSL1 = "wsl1"
    """The first Windows Subsystem for Linux plays a kernel, and lists what it knows."""
    LEFT_OUT = "left out"
    """The part that lists them is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """One machine. None means: not told, never zero."""

    arch: str
    vendor: str | None = None
    brand: str | None = None
    family: int | None = None
    model: int | None = None
    stepping: int | None = None
    os: str = UNKNOWN
    flags: frozenset[str] = frozenset()
    untold: frozenset[str] = frozenset()
    """The deciding flags that may be there or not; without any flags, that is all of them."""
    gap: Gap | None = None
    logical_cores: int | None = None
    physical_cores: int | None = None
    usable_cores: int | None = None
    core_kinds: tuple[str, ...] = ()
    """The kinds of cores where there are several, each with how many: ``6 with 2 threads``."""
    cgroup_quota: float | None = None
    hypervisor: str | None = None
    cpu_type: str | None = None
    """The name that a hypervisor makes up for the CPU that it shows, whose instructions are its choice as well."""
    emulated: str | None = None
    l1d_bytes: int | None = None
    l2_bytes: int | None = None
    l3_bytes: int | None = None
    memory_bytes: int | None = None
    steal_fraction: float | None = None
    torch: TorchView | None = None
    isa_environment: tuple[tuple[str, str], ...] = ()
    disagreements: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """The ISA levels that the flags add up to, weakest first."""
        return levels_of(self.arch, self.flags)

    @property
    def untold_levels(self) -> tuple[str, ...]:
        """The ISA levels that may be there or not, weakest first."""
        return tuple(level for level, told in self.instructions.items() if told is Told.UNTOLD)

    @property
    def instructions(self) -> dict[str, Told]:
        """Whether each ISA level of the architecture is there, not there or untold."""
        return {level: self.tells(level) for level in family_levels(self.isa_family)}

    def tells(self, level: str) -> Told:
        """Whether an ISA level is there, not there or untold."""
        return told_level(self.arch, level, self.flags, self._untold)

    def tells_flag(self, flag: str) -> Told:
        """Whether a flag that decides a level is there, not there or untold."""
        return told_flag(flag, self.flags, self._untold)

    @property
    def _untold(self) -> frozenset[str]:
        return self.untold if self.flags else DECIDING_FLAGS

    @property
    def isa_family(self) -> str:
        """x86, arm, riscv, ppc, s390 and so on, whatever the word size."""
        return isa_family(self.arch)

    @property
    def int8_dot_product(self) -> Told:
        """Whether one instruction multiplies int8 and adds up in 32 bits: VNNI or AMX, dotprod or i8mm."""
        exact = ("avx_vnni", "avx512_vnni", "amx_int8") if self.isa_family == X86 else ("dotprod", "i8mm")
        told = {self.tells(level) for level in exact}
        return next((each for each in (Told.THERE, Told.UNTOLD) if each in told), Told.ABSENT)

    @property
    def cores(self) -> int | None:
        """The cores that a program may use: the usable ones, or all where only those are told."""
        return self.logical_cores if self.usable_cores is None else self.usable_cores

    @property
    def name(self) -> str:
        """What a sentence calls this machine: its brand, or its architecture."""
        return self.brand or self.arch

    def to_dict(self) -> dict[str, Json]:
        """The JSON form; the inverse of `from_dict`. Levels and instructions are for readers, and not read back."""
        return {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "arch": self.arch,
            "vendor": self.vendor,
            "brand": self.brand,
            "family": self.family,
            "model": self.model,
            "stepping": self.stepping,
            "os": self.os,
            "levels": list(self.levels),
            "instructions": self.instructions,
            "flags": sorted(self.flags),
            "untold": sorted(self.untold),
            "gap": self.gap,
            "logical_cores": self.logical_cores,
            "physical_cores": self.physical_cores,
            "usable_cores": self.usable_cores,
            "core_kinds": list(self.core_kinds),
            "cgroup_quota": self.cgroup_quota,
            "hypervisor": self.hypervisor,
            "cpu_type": self.cpu_type,
            "emulated": self.emulated,
            "l1d_bytes": self.l1d_bytes,
            "l2_bytes": self.l2_bytes,
            "l3_bytes": self.l3_bytes,
            "memory_bytes": self.memory_bytes,
            "steal_fraction": self.steal_fraction,
            "torch": self.torch.to_dict() if self.torch else None,
            "isa_environment": dict(self.isa_environment),
            "disagreements": list(self.disagreements),
        }

    @classmethod
    def from_dict(cls, document: object, *, path: str = "hardware") -> "Hardware":
        """The value that `to_dict` wrote; a field that is left out means: not told, one that is not known is ignored.

        What would change the meaning of a field that is known raises the schema's version, and is refused.

        Raises:
            RecordError: not such a document, a field of another type, another schema or a newer one.
        """
        fields = _Fields(_mapping(document, path), path)
        fields.check_version()
        torch = fields.values.get("torch")
        return cls(
            arch=canonical_arch(fields.required_text("arch")),
            vendor=fields.text("vendor"),
            brand=fields.text("brand"),
            family=fields.count("family"),
            model=fields.count("model"),
            stepping=fields.count("stepping"),
            os=fields.text("os") or UNKNOWN,
            flags=canonical_flags(fields.texts("flags")),
            untold=canonical_flags(fields.texts("untold")),
            gap=fields.gap(),
            logical_cores=fields.count("logical_cores", least=1),
            physical_cores=fields.count("physical_cores", least=1),
            usable_cores=fields.count("usable_cores", least=1),
            core_kinds=fields.texts("core_kinds"),
            cgroup_quota=fields.number("cgroup_quota"),
            hypervisor=fields.text("hypervisor"),
            cpu_type=fields.text("cpu_type"),
            emulated=fields.text("emulated"),
            l1d_bytes=fields.count("l1d_bytes"),
            l2_bytes=fields.count("l2_bytes"),
            l3_bytes=fields.count("l3_bytes"),
            memory_bytes=fields.count("memory_bytes"),
            steal_fraction=fields.number("steal_fraction"),
            torch=None if torch is None else TorchView.from_dict(torch, path=f"{path}.torch"),
            isa_environment=fields.pairs("isa_environment"),
            disagreements=fields.texts("disagreements"),
        )


def fingerprint(hardware: Hardware) -> str:
    """A short hash over what changes the speed of int8; steal, memory, frequency and spelling do not count."""
    numbered = hardware.family is not None and hardware.model is not None
    parts = (
        hardware.arch,
        hardware.vendor,
        (hardware.family, hardware.model) if numbered else hardware.brand,
        hardware.levels,
        hardware.usable_cores,
        hardware.hypervisor is not None,
        hardware.emulated is not None,
        hardware.isa_environment,
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def _mapping(document: object, path: str) -> Mapping[str, Json]:
    if not isinstance(document, Mapping):
        raise RecordError(f"{path}: expected an object with fields, got {reprlib.repr(document)}")
    return document


def _writable(text: str) -> str:
    """The text without the half characters that JSON can hold and no terminal can show."""
    return text.encode(errors="replace").decode()


@dataclass(frozen=True, slots=True)
class _Fields:
    """The fields of one object of a document, checked one by one; errors name the path."""

    values: Mapping[str, Json]
    path: str

    def check_version(self) -> None:
        if self.text("schema") not in {None, SCHEMA}:
            raise RecordError(
                f"{self.path}.schema: expected {SCHEMA}, got {reprlib.repr(self.values['schema'])}; "
                "on the machine itself type: int8bench doctor --json > machine.json"
            )
        version = self.count("schema_version")
        if version is not None and version > SCHEMA_VERSION:
            raise RecordError(
                f"{self.path}.schema_version: this int8bench reads up to {SCHEMA_VERSION}, got {version}; "
                "type: pip install --upgrade int8bench"
            )

    def required_text(self, name: str) -> str:
        text = self.text(name)
        if not text:
            raise RecordError(f"{self.path}.{name}: expected text such as x86_64 or arm64, got nothing")
        return text

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return None if value is None else _writable(value)
        raise RecordError(f"{self.path}.{name}: expected text, got {reprlib.repr(value)}")

    def gap(self) -> Gap | None:
        name = self.text("gap")
        if name is None or name in set(Gap):
            return None if name is None else Gap(name)
        raise RecordError(f"{self.path}.gap: expected one of {', '.join(Gap)}, got {reprlib.repr(name)}")

    def texts(self, name: str) -> tuple[str, ...]:
        values = self.values.get(name, [])
        if not isinstance(values, list | tuple):
            raise RecordError(f"{self.path}.{name}: expected a list of texts, got {reprlib.repr(values)}")
        for index, value in enumerate(values):
            if not isinstance(value, str):
                raise RecordError(f"{self.path}.{name}[{index}]: expected text, got {reprlib.repr(value)}")
        return tuple(map(_writable, values))

    def count(self, name: str, *, least: int = 0) -> int | None:
        value = self.values.get(name)
        if value is None or (type(value) is int and value >= least):
            return value
        raise RecordError(f"{self.path}.{name}: expected a whole number from {least} up, got {reprlib.repr(value)}")

    def number(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MOST:
            return float(value)
        raise RecordError(f"{self.path}.{name}: expected a number from 0 up, got {reprlib.repr(value)}")

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        values = _mapping(self.values.get(name, {}), f"{self.path}.{name}")
        texts = _Fields(values, f"{self.path}.{name}")
        return tuple(sorted((key, texts.text(key) or "") for key in values))
