"""Int8 by onnxruntime's own tool: min-max ranges over all pictures, unsigned activations, signed weights by channel.

An operator that the tool cannot quantize is found by trying, left in float, and told; where the tool fails on every
kind of operator the fault is none of theirs, and is the model's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from int8bench import units
from int8bench.engines.base import Images
from int8bench.engines.torch.int8 import CALIBRATION_BATCH

PICTURES = "pictures"  # the name of the input
MOST_TRIED = 16  # nodes of a kind that are tried one by one; of more, the whole kind is left in float


class Calibration:
    """Pictures by batches, as onnxruntime's calibration reads them (its CalibrationDataReader, by its one method)."""

    def __init__(self, pictures: Images) -> None:
        """Keep pictures (image, channel, height, width)."""
        self._batches: Iterator[Images] = (
            pictures[first : first + CALIBRATION_BATCH] for first in range(0, len(pictures), CALIBRATION_BATCH)
        )

    def get_next(self) -> dict[str, Images] | None:
        """Return the next batch by the name of the input; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {PICTURES: batch}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A node that stays in float, and why."""

    operator: str
    node: str
    reason: str


def quantized(ready: Path, target: Path, pictures: Images, *, reduce_range: bool) -> tuple[LeftOut, ...]:
    """Write the int8 file and return the nodes that the tool cannot quantize, which it leaves in float.

    Args:
        ready: a float32 file that the tool's own preparation has gone over.
        target: where the int8 file is written.
        pictures: to calibrate with, (image, channel, height, width).
        reduce_range: whether weights keep to 7 bits.

    Raises:
        OSError: the disk is full.
        Exception: whatever the tool's passes raise, where no operator is to blame.
    """
    quantize = partial(by_tool, ready, activations="QUInt8", reduce_range=reduce_range)
    try:
        quantize(target, pictures)
    except OSError:
        raise
    except Exception:
        left = _culprits(_kinds(ready), partial(_fault, quantize, target.with_suffix(".tried"), pictures[:1]))
        if not left:
            raise
        quantize(target, pictures, nodes_to_exclude=[each.node for each in left])
        return left
    return ()


def by_tool(ready: Path, target: Path, pictures: Images, *, activations: str, **options: object) -> None:
    """Write the int8 file of a prepared float32 file, with weights by channel and min-max ranges.

    Args:
        ready: a float32 file that the tool's own preparation has gone over.
        target: where the int8 file is written.
        pictures: to calibrate with, (image, channel, height, width).
        activations: their type, by the tool's name: ``QUInt8`` or ``QInt8``.
        **options: more of the tool's own.

    Raises:
        Exception: whatever the tool's passes raise.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    quantize_static(
        str(ready),
        str(target),
        Calibration(pictures),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType[activations],
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        **options,
    )


def _culprits(kinds: Mapping[str, Sequence[str]], fault_of: Callable[..., str | None]) -> tuple[LeftOut, ...]:
    """Return the nodes on which the tool fails though nothing else is quantized; none where it fails on every kind."""
    tried = {kind: fault_of(op_types_to_quantize=[kind]) for kind in kinds}
    faults = {kind: fault for kind, fault in tried.items() if fault is not None}
    if len(faults) == len(kinds):
        return ()
    culprits: list[LeftOut] = []
    for kind, fault in faults.items():
        names = kinds[kind]
        alone = dict.fromkeys(names, fault)
        if 1 < len(names) <= MOST_TRIED:
            each = {name: fault_of(nodes_to_quantize=[name]) for name in names}
            alone = {name: own for name, own in each.items() if own is not None} or alone
        culprits += [LeftOut(operator=kind, node=name, reason=own) for name, own in alone.items()]
    return tuple(culprits)


def _kinds(ready: Path) -> dict[str, list[str]]:
    """Return the names of the nodes that the tool would quantize, by their type."""
    import onnx
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    known = {*QDQRegistry, *QLinearOpsRegistry}
    names: dict[str, list[str]] = {}
    node: Any
    for node in onnx.load(ready).graph.node:
        if node.op_type in known:
            names.setdefault(node.op_type, []).append(node.name)
    return names


def _fault(quantize: Callable[..., None], tried: Path, picture: Images, **limits: Sequence[str]) -> str | None:
    """Return why the tool cannot quantize the few nodes of `limits`; None where it can."""
    try:
        quantize(tried, picture, **limits)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  whatever its passes raise
        return units.reason(error)
    finally:
        tried.unlink(missing_ok=True)
    return None
