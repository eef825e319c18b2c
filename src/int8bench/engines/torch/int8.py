"""The engines fbgemm, x86, onednn and qnnpack: static post-training quantization by FX graph tracing.

The only file that quantizes by torch.ao.quantization, which announces its removal on every use.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from int8bench.documents import Json
from int8bench.engines.base import Availability, Engine, Images, Material
from int8bench.engines.plain import check_python, frozen, with_numbered_padding
from int8bench.engines.torch.predictor import TorchModel, TorchPredictor, layout_format
from int8bench.errors import EngineError
from int8bench.machine import Told
from int8bench.units import reason
from int8bench.workload.cases import CHANNELS_LAST, INT8, Group, Variant, int8_variant

if TYPE_CHECKING:
    import torch
    from torch import fx, nn
    from torch.ao.quantization.observer import ObserverBase

    from int8bench.machine import Hardware

CALIBRATION_BATCH = 32  # pictures a forward; other engines get the same pictures, and ranges depend on the batch

SEEN = "torch.ao observers"  # the key of what engines of torch leave for each other

_X86, _ARM, _ARM32 = "x86_64", "arm64", "arm"
# Where PyTorch's builds have each engine, and what an x86 processor must have for it.
_ARCHITECTURES = {"fbgemm": (_X86,), "x86": (_X86,), "onednn": (_X86, _ARM), "qnnpack": (_X86, _ARM, _ARM32)}
_X86_NEEDS = {"fbgemm": ("avx2", "AVX2"), "x86": ("avx2", "AVX2"), "onednn": ("sse4_1", "SSE4.1")}
_SUCCESSOR = {_X86: "x86 or fbgemm", _ARM: "qnnpack"}

_KNOWN_WARNINGS = (
    "torch.ao.quantization is deprecated",
    "Please use quant_min and quant_max",  # said of every observer of torch's own default configuration
    "torch.quantize_per_tensor, torch.quantize_per_channel and other quantized tensor creation",
    "Default qconfig of oneDNN backend with reduce_range of false",  # the saturation probe measures it
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the observers of a model saw: of which kind each is, and its state."""

    kinds: Mapping[str, tuple[object, ...]]
    states: Mapping[str, Mapping[str, torch.Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedEngine(Engine[TorchModel]):
    """One of torch's quantized engines, by its name."""

    name: str

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Int8 with a channels-last input."""
        return (int8_variant(self.name),)

    def availability(self, hardware: Hardware) -> Availability:
        """Return the availability by torch's word on its build where that is known, else by its released builds."""
        return Availability.unless(_objection(self.name, hardware))

    def fit(self, hardware: Hardware) -> Availability:
        """Return the availability on a machine, None where the instructions that the engine needs are unknown.

        The build of torch counts as in `availability`.
        """
        reason = _objection(self.name, hardware)
        flag, level = _X86_NEEDS.get(self.name, (None, ""))
        if reason is None and hardware.arch == _X86 and flag and hardware.tells_flag(flag) is Told.UNTOLD:
            return Availability(available=None, reason=f"{self.name} needs {level}, which is not told")
        return Availability.unless(reason)

    def prepare(self, variant: Variant, material: Material) -> TorchModel:
        """Return the model traced, observed with the engine's default configuration, and calibrated.

        Args:
            variant: the engine's int8.
            material: the model and the calibration pictures; ranges are shared with torch's other engines.

        Raises:
            EngineError: the engine is not in this build, or the model cannot be traced or fed.
        """
        assert variant.precision == INT8
        self._select()
        with _known_warnings_ignored(), _without_stack_traces():
            observed = _trace(self.name, material.model, _images(material.example[:1]))
            _observe(self.name, observed, material)
        return TorchModel(module=observed, variant=variant, example=material.example)

    def build(self, prepared: TorchModel, group: Group) -> TorchPredictor:
        """Return a predictor of the observed model, converted, with weights packed in the calling process.

        Args:
            prepared: the observed model; it stays as it is.
            group: the threads that torch is set to; any batch size fits.

        Raises:
            EngineError: the engine is not in this build, or has no kernel for a layer.
        """
        import torch

        torch.set_num_threads(group.threads)
        self._select()
        with _known_warnings_ignored():
            observed = copy.deepcopy(prepared.module)
            assert isinstance(observed, torch.fx.GraphModule)
            module = _convert(self.name, observed)
        describe = partial(_evidence, self.name, module, prepared.example)
        return TorchPredictor(module=module, prepared=prepared, describe=describe, select=_selector(self.name))

    def _select(self) -> None:
        """Make this the engine for which configurations are taken and weights are packed.

        Raises:
            EngineError: this build of torch does not have it on this CPU.
        """
        import torch

        built_in = torch.backends.quantized.supported_engines
        if self.name not in built_in:
            raise EngineError(_not_built_in(self.name, built_in))
        torch.backends.quantized.engine = self.name


def _objection(name: str, hardware: Hardware) -> str | None:
    built_in = hardware.torch.supported_engines if hardware.torch else ()
    if name in built_in:
        return None
    misfit = _misfit(name, hardware)
    return misfit or (_not_built_in(name, built_in) if built_in else None)


def _not_built_in(name: str, built_in: Sequence[str]) -> str:
    others = [each for each in built_in if each != "none"]
    choices = f"choose --engines {others[-1]}" if others else "install a build with quantized engines"
    return (
        f"{name}: this build of torch does not have it on this CPU "
        f"(it has {', '.join(others) or 'none'}); {choices}, or install the torch wheel for this platform"
    )


def _misfit(name: str, hardware: Hardware) -> str | None:
    architectures = _ARCHITECTURES[name]
    if hardware.arch not in architectures:
        instead = _SUCCESSOR.get(hardware.arch)
        advice = f"choose --engines {instead}" if instead else "stay with float32, or build torch with another engine"
        return f"{name} is for {' and '.join(architectures)} only, this CPU is {hardware.arch}; {advice}"
    flag, level = _X86_NEEDS.get(name, (None, ""))
    if hardware.arch == _X86 and flag and hardware.tells_flag(flag) is Told.ABSENT:
        if hardware.cpu_type is not None:
            return f"{name} needs {level}, which the CPU type {hardware.cpu_type} masks; set the CPU type to host"
        return f"{name} needs {level}, which this CPU does not report; stay with float32, or choose another machine"
    if name == "onednn" and (hardware.arch, hardware.os) == (_ARM, "Darwin"):
        return "onednn is not in torch's builds for macOS on ARM; choose --engines qnnpack"
    return None


@contextmanager
def _known_warnings_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        for start in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=start)
        yield


@contextmanager
def _without_stack_traces() -> Iterator[None]:
    """Run the block so that torch traces no source lines, for which it would import its compiler: 2 s a process."""
    from torch.fx import config

    before = getattr(config, "do_not_emit_stack_traces", None)
    if before is None:  # an older torch, which has no such switch
        yield
        return
    config.do_not_emit_stack_traces = True
    try:
        yield
    finally:
        config.do_not_emit_stack_traces = before


def _images(batch: Images) -> torch.Tensor:
    import torch

    return torch.tensor(batch, dtype=torch.float32).contiguous(memory_format=layout_format(CHANNELS_LAST))


def _trace(name: str, model: nn.Module, example: torch.Tensor) -> fx.GraphModule:
    from torch.ao.quantization.quantize_fx import prepare_fx

    check_python(model)
    original = with_numbered_padding(frozen(model))
    try:
        observed: fx.GraphModule = prepare_fx(original, _configurations(name), (example,))
    # The user's forward runs on symbols here, and may object to them in any of these ways.
    except (ValueError, TypeError, RuntimeError, AttributeError, LookupError) as error:
        raise EngineError(
            f"{name}: {type(model).__name__} cannot be traced by torch.fx: {reason(error)}; "
            "keep control flow that depends on the data out of forward"
        ) from error
    return observed


def _configurations(name: str) -> Any:  # noqa: ANN401  torch.ao has no types
    """Return torch's default configurations of an engine, with one more that it lacks for onednn.

    Weights by channel are none that its observers have for transposed convolutions: for fbgemm and x86 the default
    takes them by tensor, for onednn it fails.
    """
    from torch import nn
    from torch.ao.quantization import default_weight_observer, get_default_qconfig_mapping

    mapping = get_default_qconfig_mapping(name)
    usual: Any = mapping.global_qconfig
    by_tensor: Any = usual._replace(weight=default_weight_observer)
    for each in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d):
        mapping = mapping.set_object_type(each, by_tensor) if name == "onednn" else mapping
    return mapping


def _observe(name: str, observed: fx.GraphModule, material: Material) -> None:
    """Let a traced model see the calibration pictures, or give it the ranges that another engine of torch saw.

    All of them observe float32's activations, and differ in what they make of the ranges: a histogram of mobilenet_v2's
    160 pictures takes 17 s, in each launch, for each engine.
    """
    observers = _observers(observed)
    kinds = {place: (type(each), each.dtype, each.qscheme) for place, each in observers.items()}
    seen = material.shared.get(SEEN)
    if isinstance(seen, _Seen) and seen.kinds == kinds:
        for place, each in observers.items():
            each.load_state_dict(seen.states[place])
        return
    _calibrate(name, observed, material.calibration)
    states = {place: each.state_dict() for place, each in observers.items()}
    material.shared[SEEN] = _Seen(kinds=kinds, states=copy.deepcopy(states))


def _observers(observed: fx.GraphModule) -> dict[str, ObserverBase]:
    """Return the observers of ranges in a traced model, by their places."""
    from torch.ao.quantization.observer import ObserverBase

    return {place: each for place, each in observed.named_modules() if isinstance(each, ObserverBase)}


def _calibrate(name: str, observed: fx.GraphModule, calibration: Images) -> None:
    import torch

    try:
        with torch.inference_mode():
            for first in range(0, len(calibration), CALIBRATION_BATCH):
                observed(_images(calibration[first : first + CALIBRATION_BATCH]))
    except (RuntimeError, ValueError, TypeError) as error:
        raise EngineError(
            f"{name}: the model cannot answer calibration pictures of shape {calibration.shape[1:]}: {reason(error)}"
        ) from error


def _convert(name: str, observed: fx.GraphModule) -> fx.GraphModule:
    from torch.ao.quantization.quantize_fx import convert_fx

    try:
        converted: fx.GraphModule = convert_fx(observed)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        raise EngineError(f"{name}: the model cannot be converted to int8: {reason(error)}") from error
    return converted


def _selector(name: str) -> Callable[[], object]:
    """Return a call that makes an engine the process's current one, without the 0.5 us of the public property."""
    import torch

    identity = torch.backends.quantized._get_qengine_id(name)  # noqa: SLF001  the ids have no public name
    return partial(torch._C._set_qengine, identity)  # noqa: SLF001  what the property calls, run in each timed call


def _evidence(name: str, module: fx.GraphModule, example: Images, forward: Callable[[], object]) -> Mapping[str, Json]:
    import torch

    from int8bench.engines.operators import ran
    from int8bench.engines.torch import onednn_log, operators

    packed = [child for child in module.modules() if is_packed(child)]
    ran_so = operators.operators(module, _images(example[:1]))
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "engine": name,
        "packed_types": sorted({_kind(child) for child in packed}),
        "ran": ran("its converted graph", ran_so),
        "onednn": onednn_log.collect(forward).to_dict(),
    }


def is_packed(module: nn.Module) -> bool:
    """Tell whether a module is a quantized layer, which keeps its weights packed for the engine."""
    return hasattr(module, "_packed_params") and "quantized" in type(module).__module__ and hasattr(module, "scale")


def _kind(module: nn.Module) -> str:
    """Return the short name of a module's class.

    It is ``nn.intrinsic.quantized.ConvReLU2d`` for torch.ao.nn.intrinsic.quantized.modules.conv_relu.ConvReLU2d.
    """
    package = type(module).__module__.removeprefix("torch.ao.").partition(".modules")[0]
    return f"{package}.{type(module).__name__}"
