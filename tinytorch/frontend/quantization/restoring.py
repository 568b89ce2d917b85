"""`load_quantized`: a quantized model from its state, without the data that it was calibrated on."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.layers import Identity, Linear
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.module.parameter import join
from tinytorch.frontend.quantization.folding import foldable_norms
from tinytorch.frontend.quantization.int4 import Int4Linear
from tinytorch.frontend.quantization.layers import QuantizedConv2d, QuantizedEmbedding, QuantizedLinear
from tinytorch.frontend.quantization.outputs import NAME, QuantizedOutput, attach
from tinytorch.frontend.quantization.places import quantizable_layers, replaced, separate_projections
from tinytorch.frontend.quantization.settings import Settings
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.ops.int4 import RUN

State = Mapping[str, Any]


def load_quantized(model: Module, state_dict: State) -> Any:
    """A copy of `model`, which is one of floats, quantized as the model was whose `state_dict()` this is, with its
    values. Which layers are quantized, how, and which norms are in their weights, is what the state has.

    `model` stays as it is. TinyTorchError if it is not the model that was quantized.

        tt.save(tt.quantize(model, data).state_dict(), "model.st")
        quantized = tt.load_quantized(model, tt.load("model.st"))
    """
    arguments.instance("load_quantized", "model", model, Module)
    arguments.instance("load_quantized", "state_dict", state_dict, Mapping)
    made = copy.deepcopy(model).eval()
    separate_projections(made)
    for container, path, layer_name, name in foldable_norms(made):
        if join(join(path, name), "running_mean") not in state_dict:
            _give_bias(container.get_submodule(layer_name))
            setattr(container, name, Identity())
    new: dict[int, Module] = {}
    for name, layer in quantizable_layers(made).items():
        form = _form(layer, name, state_dict)
        if form is not None:
            new[id(layer)] = form.eval()
    if not new:
        raise TinyTorchError("load_quantized: the state has no quantized layer of the model", user_loc())
    for name, module in list(made.named_modules()):
        output = join(name, NAME)
        if join(output, "scale") in state_dict:
            bits = _number(state_dict, join(output, "bits"))
            attach(module, QuantizedOutput(bits, join(output, "zero_point") in state_dict).eval())
    result = replaced(made, new)
    result.load_state_dict(state_dict)
    return result


def _give_bias(layer: Any) -> None:
    """What a norm adds is a bias of the layer in front."""
    if layer.bias is None:
        layer.bias = Parameter(Tensor(np.zeros(layer.weight.shape[0], as_array(layer.weight).dtype)))


def _form(layer: Any, name: str, state: State) -> Any:
    """A layer of the kind that the state has under this name, its values still to come; None for one of floats."""
    packed = state.get(join(name, "weight_int4"))
    if packed is not None and isinstance(layer, Linear):
        return Int4Linear(
            layer.in_features, layer.out_features, join(name, "bias") in state,
            group_size=_group_size(name, packed, state),
        )  # fmt: skip
    integers = state.get(join(name, "weight_int8"))
    if integers is None:
        return None
    bits = 7 if np.abs(as_array(integers).astype(np.int16)).max(initial=0) < 64 else 8
    if isinstance(layer, Embedding):
        return QuantizedEmbedding.like(layer, Settings(bits))
    scheme = "symmetric" if _number(state, join(name, "input_symmetric")) else "affine"
    settings = Settings(bits, _number(state, join(name, "input_bits")), scheme)
    kind: Any = QuantizedLinear if isinstance(layer, Linear) else QuantizedConv2d
    made = kind.like(layer, settings, join(name, "bias") in state)
    if join(name, "input_scale") in state:
        made.input_scale = Tensor(np.float32(1))
    if join(name, "input_zero_point") in state:
        made.input_zero_point = Tensor(np.int32(0))
    return made


def _number(state: State, name: str) -> int:
    """The only element of what the state has under this name."""
    value = None if name not in state else as_array(state[name])
    if value is None or value.size != 1:
        raise TinyTorchError(f"load_quantized: the state has no number {name}", user_loc())
    return int(value.item())


def _group_size(name: str, packed: Any, state: State) -> int:
    scales = state.get(join(name, "weight_scale"))
    shapes = tuple(packed.shape), () if scales is None else tuple(scales.shape)
    if len(shapes[0]) != 4 or len(shapes[1]) != 3 or not shapes[1][1] or shapes[0][1] * RUN % shapes[1][1]:
        raise TinyTorchError(
            f"load_quantized: {name} has weights of four bits {list(shapes[0])} and scales {list(shapes[1])}, which do "
            "not fit each other",
            user_loc(),
        )
    return shapes[0][1] * RUN // shapes[1][1]
