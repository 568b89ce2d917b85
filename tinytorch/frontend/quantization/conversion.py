"""`quantize`: a model of floats as one whose products are of bytes."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.affine import MOST_PRODUCTS, require_numbers
from tinytorch.frontend.quantization.aware import QuantizationAware
from tinytorch.frontend.quantization.calibration import Forward, Seen, calibrate
from tinytorch.frontend.quantization.folding import fold_norms
from tinytorch.frontend.quantization.int4 import Int4Linear
from tinytorch.frontend.quantization.layers import (
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedLinear,
    QuantizedWeights,
)
from tinytorch.frontend.quantization.outputs import QuantizedOutput, attach, named_outputs
from tinytorch.frontend.quantization.places import (
    choices_of,
    is_other,
    quantizable_layers,
    replaced,
    separate_projections,
)
from tinytorch.frontend.quantization.sensitivity import (
    LayerSensitivity,
    Sensitivity,
    error_on,
    relative_error,
    seconds_of,
)
from tinytorch.frontend.quantization.settings import Settings, choices
from tinytorch.frontend.spatial import Conv2d
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc

_BOUND, _BOUND_INT4 = 0.1, 0.2  # of errors, where the user names none
_NEARLY = 1.05  # times the shortest time: among such forms the most precise is taken
RESULT = " (result)"  # behind the name of a module whose results are meant


def quantize(
    model: Module,
    calibration_data: Any = None,
    *,
    mode: str | None = None,
    weight_bits: int | str = 8,
    activation_bits: int | str = 8,
    scheme: str = "affine",
    method: str = "minmax",
    percentile: float = 99.99,
    weight_only: str | None = None,
    group_size: int = 32,
    layers: Mapping[str, Mapping[str, Any] | None] | None = None,
    outputs: Sequence[str] = (),
    max_error: float | None = None,
    measure: bool = False,
    forward: Forward | None = None,
) -> Any:
    """A copy of `model`, in evaluation mode, whose `Linear`, `Conv2d` and `Embedding` layers have weights i8 and
    products of bytes; also those inside of attention, blocks and models. `model` stays as it is.

    `mode`: "dynamic" finds the scale of activations in each call, for each row; "static" takes it from the range that
    the layer's input has on `calibration_data`. By default it is static where there are such data.

    - `calibration_data`: a tensor, or batches one after the other, as of a `DataLoader`. Of a batch that is a tuple or
      a list, the first item is given to the model; `forward(model, batch)` calls it in another way.
    - `weight_bits`, `activation_bits`: 8, or 7, which some machines multiply faster (see `affine`), or "auto": for each
      layer what is fastest within `max_error`, which needs `measure`.
    - `scheme` of activations: "affine", from their least to their largest, or "symmetric" around 0.
    - `method`, `percentile`: which range static activations have: "minmax", "percentile" or "mse" (see `ranges`). With
      "mse" the ranges of weights are those of least error, too.
    - `weight_only` "int4": weights of `Linear` layers have four bits, `group_size` of them a scale, which is for
      decoding (see `int4`); embeddings have i8, and convolutions stay in floats.
    - `layers`: these settings for layers by name, as in {"head": {"weight_bits": 7}}; None keeps a layer in floats.
    - `outputs`: names of modules, such as the blocks of a residual network, whose results are rounded to bytes, too (of
      the range that they have on `calibration_data`): sums beside layers then read bytes instead of floats.
    - `max_error`: a layer whose error, relative to its results, is larger stays in floats. By default 0.1, and 0.2 for
      weights of four bits; with math.inf none does.
    - `measure`: time each layer as machine code in each form; one that is slower in int8 stays in floats.

    Batch normalisation behind a layer in a `Sequential` is multiplied into its weights first. What became of each layer
    and why stands in `sensitivity` of the result, a table when printed. Layers of weights that have no integer form
    stay in floats and are in it, too.

    TinyTorchError for NaNs and infinities in weights or in what calibration meets, for empty data, data that do not fit
    the model, and names of no layer.
    """
    _check(model, mode, calibration_data, measure)
    if outputs and calibration_data is None:
        raise TinyTorchError("quantize: outputs need calibration_data, which show their ranges", user_loc())
    values = {
        "weight_bits": weight_bits, "activation_bits": activation_bits, "scheme": scheme, "method": method,
        "percentile": percentile, "weight_only": weight_only, "group_size": group_size,
    }  # fmt: skip
    if max_error is not None:
        arguments.positive("quantize", "max_error", max_error)
    made = copy.deepcopy(model).eval()
    separate_projections(made)
    fold_norms(made)
    found = quantizable_layers(made)
    chosen = choices_of("quantize", found, partial(choices, values), layers or {})
    if not measure and any(each is not None and len(each) > 1 for each in chosen.values()):
        raise TinyTorchError('quantize: "auto" needs measure=True, which finds the fastest numbers of bits', user_loc())
    blocks = named_outputs(made, outputs)
    seen, given = {}, {}
    if calibration_data is not None:
        seen, given = calibrate(made, found, blocks, calibration_data, forward)
    static = (calibration_data is not None) if mode is None else mode == "static"
    converter = _Converter(static, seen, max_error, measure)
    rows = [converter.convert(name, layer, chosen[name]) for name, layer in found.items()]
    rows += [_kept(name, module, "no integer form") for name, module in made.named_modules() if is_other(module, found)]
    first = choices(values, "", {})[0]
    rows += [converter.round_output(name, module, first, given.get(name)) for name, module in blocks.items()]
    places = {name: i for i, (name, _) in enumerate(made.named_modules())}
    result = replaced(made, converter.made)
    result.sensitivity = Sensitivity(tuple(sorted(rows, key=lambda row: places[row.name.removesuffix(RESULT)])))
    return result


def _check(model: Any, mode: str | None, data: Any, measure: bool) -> None:
    arguments.instance("quantize", "model", model, Module)
    if isinstance(getattr(model, "_module", None), Module):
        raise TinyTorchError("quantize: the model is compiled; quantize it first, then compile the result", user_loc())
    if mode is not None:
        arguments.choice("quantize", "mode", mode, "dynamic", "static")
    if data is None and mode == "static":
        raise TinyTorchError('quantize: mode "static" needs calibration_data, which show the ranges', user_loc())
    if arguments.flag("quantize", "measure", measure) and data is None:
        raise TinyTorchError("quantize: measure needs calibration_data, as inputs of the layers", user_loc())


# What becomes of them.
def _bytes(module: Module) -> int:
    own = [*module.parameters(recurse=False), *(t for _, t in module.named_buffers(recurse=False))]
    return sum(t.numel() * t.dtype.size for t in own)


def _kept(name: str, module: Module, reason: str, **known: Any) -> LayerSensitivity:
    size = _bytes(module)
    return LayerSensitivity(name, type(module).__name__, "fp32", reason, bytes_before=size, bytes_after=size, **known)


@dataclass
class _Converter:
    """Makes the quantized form of layers: `made`, by the identity of the layer."""

    static: bool
    seen: Mapping[str, Seen]
    max_error: float | None
    measure: bool

    def __post_init__(self) -> None:
        self.made: dict[int, Module] = {}
        self._known: dict[tuple[int, int], QuantizedWeights] = {}  # by weights that layers share

    def convert(self, name: str, layer: Any, choices: tuple[Settings, ...] | None) -> LayerSensitivity:
        """Enter the quantized form of a layer, of these the fastest, unless it stays as it is; what there is to say of
        it."""
        if choices is None:
            return _kept(name, layer, "as asked for")
        settings = choices[0]
        weight = as_array(layer.weight).astype(np.float32)
        require_numbers("quantize", f"weight of {name or 'the model'}", weight)
        if settings.weight_only and isinstance(layer, Conv2d):
            return _kept(name, layer, "only weights are quantized, of Linear layers")
        products = math.prod(weight.shape[1:])
        if products > MOST_PRODUCTS:
            return _kept(name, layer, f"sums of {products:,} products may not fit into i32")
        seen = self.seen.get(name)
        if isinstance(layer, QuantizationAware):
            choices = (layer.settings,)
        elif self.static and not settings.weight_only and not isinstance(layer, Embedding):
            if seen is None:
                return _kept(name, layer, "calibration did not reach it")
            if not seen.range.varies:
                return _kept(name, layer, "its input was 0 throughout calibration")
        first = None if seen is None else seen.first
        if first is None or settings.weight_only or isinstance(layer, Embedding):
            choices = choices[:1]  # nothing to time, or nothing that is faster
        forms = [self._quantized(layer, each, seen) for each in choices]
        errors = [
            relative_error(as_array(new.weight), weight) if first is None else error_on(layer, new, first)
            for new in forms
        ]
        bound = self.max_error or (_BOUND_INT4 if isinstance(forms[0], Int4Linear) else _BOUND)
        fit = [(new, error) for new, error in zip(forms, errors, strict=True) if error <= bound]
        if not fit:
            return _kept(name, layer, f"its error is above {bound:.2%}", error=errors[0])
        at, times = 0, {}
        if self.measure and first is not None:
            fp32, *int8 = seconds_of((layer, *(new for new, _ in fit)), first)
            at = next(i for i, seconds in enumerate(int8) if seconds <= _NEARLY * min(int8))
            times = {"seconds_fp32": fp32, "seconds_int8": int8[at]}
            if int8[at] > fp32:
                return _kept(name, layer, "int8 is slower", error=fit[at][1], **times)
        new, error = fit[at]
        new.take_hooks(layer)
        self.made[id(layer)] = new
        return LayerSensitivity(name, type(layer).__name__, new.form, "", error, _bytes(layer), _bytes(new), **times)

    def round_output(self, name: str, module: Module, settings: Settings, given: Seen | None) -> LayerSensitivity:
        """Have a module round its results to bytes, unless that hurts; what there is to say of it."""
        label, kind = f"{name}{RESULT}", type(module).__name__
        if given is None or given.first is None:
            return LayerSensitivity(label, kind, "fp32", "calibration did not reach it")
        limits = given.range.limits(settings.method, settings.percentile, settings.activation_bits)
        output = QuantizedOutput.of_range(*limits, settings.activation_bits)
        error = relative_error(as_array(output(given.first)), as_array(given.first))
        bound = self.max_error or _BOUND
        if not error <= bound:
            return LayerSensitivity(label, kind, "fp32", f"its error is above {bound:.2%}", error)
        attach(self.made.get(id(module), module), output)
        return LayerSensitivity(label, kind, output.form, "", error)

    def _quantized(self, layer: Any, settings: Settings, seen: Seen | None) -> Any:
        made = self._of_kind(layer, settings, seen)
        if isinstance(made, Int4Linear):
            return made
        key = (id(layer.weight), settings.weight_bits)
        known = self._known.setdefault(key, made)
        if known is not made:
            made.share_weights(known)
        return made

    def _of_kind(self, layer: Any, settings: Settings, seen: Seen | None) -> Any:
        if isinstance(layer, Embedding):
            return QuantizedEmbedding.from_float(layer, settings)
        if settings.weight_only and isinstance(layer, Linear):
            return Int4Linear.from_float(layer, settings.group_size)
        limits = layer.input_range if isinstance(layer, QuantizationAware) else None
        if limits is None and self.static and seen is not None:
            limits = seen.range.limits(settings.method, settings.percentile, settings.activation_bits)
        kind: Any = QuantizedLinear if isinstance(layer, Linear) else QuantizedConv2d
        return kind.from_float(layer, settings, limits)
