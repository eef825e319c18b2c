"""A machine as a value: what decides how fast int8 runs on it, its JSON and its fingerprint. Pure: opens nothing."""

import hashlib
import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from int8bench import documents
from int8bench.documents import Count, Json, Natural, NotNegative
from int8bench.errors import RecordError
from int8bench.machine.levels import (
    DECIDING_FLAGS,
    INT8_DOT_PRODUCTS,
    UNKNOWN,
    Told,
    canonical_arch,
    canonical_flags,
    family_levels,
    isa_family,
    levels_of,
    told_flag,
    told_level,
    told_of_any,
)

SCHEMA = "int8bench.hardware"
SCHEMA_VERSION = 1
FINGERPRINT_DIGITS = 12  # 48 bits: two of a million machines clash with a chance of 0.2 %


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchView:
    """What torch says of the machine and of itself."""

    version: str | None = None
    capability: str | None = None
    supported_engines: tuple[str, ...] = ()
    default_engine: str | None = None
    flags: frozenset[str] = frozenset()


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
    family: Natural | None = None
    model: Natural | None = None
    stepping: Natural | None = None
    os: str = UNKNOWN
    flags: frozenset[str] = frozenset()
    untold: frozenset[str] = frozenset()
    """The deciding flags that may be there or not; without any flags, that is all of them."""
    gap: Gap | None = None
    logical_cores: Count | None = None
    physical_cores: Count | None = None
    usable_cores: Count | None = None
    core_kinds: tuple[str, ...] = ()
    """The kinds of cores where there are several, each with how many: ``6 with 2 threads``."""
    cgroup_quota: NotNegative | None = None
    hypervisor: str | None = None
    cpu_type: str | None = None
    """The name that a hypervisor makes up for the CPU that it shows, whose instructions are its choice as well."""
    emulated: str | None = None
    l1d_bytes: Natural | None = None
    l2_bytes: Natural | None = None
    l3_bytes: Natural | None = None
    memory_bytes: Natural | None = None
    steal_fraction: NotNegative | None = None
    torch: TorchView | None = None
    isa_environment: Mapping[str, str] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()

    @property
    def levels(self) -> tuple[str, ...]:
        """The ISA levels that the flags add up to, weakest first."""
        return levels_of(self.arch, self.flags)

    @property
    def untold_levels(self) -> tuple[str, ...]:
        """The ISA levels that may be there or not, weakest first."""
        return tuple(level for level, word in self.instructions.items() if word is Told.UNTOLD)

    @property
    def instructions(self) -> dict[str, Told]:
        """Whether each ISA level of the architecture is there, not there or untold."""
        return {level: self.tells(level) for level in family_levels(self.isa_family)}

    def tells(self, level: str) -> Told:
        """Tell whether an ISA level is there, not there or untold."""
        return told_level(self.arch, level, self.flags, self._untold)

    def tells_flag(self, flag: str) -> Told:
        """Tell whether a flag that decides a level is there, not there or untold."""
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
        exact = INT8_DOT_PRODUCTS.get(self.isa_family, ())
        return told_of_any({self.tells(level) for level in exact})

    @property
    def cores(self) -> int | None:
        """The cores that a program may use: the usable ones, or all where only those are told."""
        return self.logical_cores if self.usable_cores is None else self.usable_cores

    @property
    def name(self) -> str:
        """What a sentence calls this machine: its brand, or its architecture."""
        return self.brand or self.arch

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form; the inverse of `from_dict`, which does not read levels and instructions back."""
        form: dict[str, Json] = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION}
        for key, value in documents.written(self).items():
            if key == "flags":
                form |= {"levels": list(self.levels), "instructions": self.instructions}
            form[key] = value
        return form

    @classmethod
    def from_dict(cls, document: object, *, path: str = "hardware") -> "Hardware":
        """Return the hardware that `to_dict` wrote; a field left out means: not told, an unknown field is ignored.

        What would change the meaning of a field that is known raises the schema's version, and is refused.

        Args:
            document: as `to_dict` wrote it.
            path: of the document, with which a sentence on a wrong one begins.

        Raises:
            RecordError: not such a document, a field of another type, another schema or a newer one.
        """
        _check_version(documents.read(_Version, document, name=path, strict=False), path)
        described = documents.read(cls, document, name=path, strict=False)
        if not described.arch:
            raise RecordError(f"{path}: arch: expected text such as x86_64 or arm64, got nothing")
        return replace(
            described,
            arch=canonical_arch(described.arch),
            flags=canonical_flags(described.flags),
            untold=canonical_flags(described.untold),
            torch=described.torch and replace(described.torch, flags=canonical_flags(described.torch.flags)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """What a document says of its own form; nothing, where a person wrote it."""

    schema: str | None = None
    schema_version: Natural | None = None


def fingerprint(hardware: Hardware) -> str:
    """Return a short hash over what changes the speed of int8; steal, memory, frequency and spelling do not count."""
    numbered = hardware.family is not None and hardware.model is not None
    parts = (
        hardware.arch,
        hardware.vendor,
        (hardware.family, hardware.model) if numbered else hardware.brand,
        hardware.levels,
        hardware.usable_cores,
        hardware.hypervisor is not None,
        hardware.emulated is not None,
        sorted(hardware.isa_environment.items()),
    )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:FINGERPRINT_DIGITS]


def _check_version(version: _Version, path: str) -> None:
    if version.schema not in {None, SCHEMA}:
        raise RecordError(
            f"{path}: schema: expected {SCHEMA}, got {reprlib.repr(version.schema)}; "
            "on the machine itself type: int8bench doctor --json > machine.json"
        )
    if version.schema_version is not None and version.schema_version > SCHEMA_VERSION:
        raise RecordError(
            f"{path}: schema_version: this int8bench reads up to {SCHEMA_VERSION}, got {version.schema_version}; "
            "type: pip install --upgrade int8bench"
        )
