"""`prepare_qat`: a model whose training gets used to integers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.embeddings import Embedding
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.quantization.aware import (
    QuantizationAware,
    QuantizationAwareConv2d,
    QuantizationAwareLinear,
)
from tinytorch.frontend.quantization.places import choices_of, quantizable_layers, replaced, separate_projections
from tinytorch.frontend.quantization.settings import Settings
from tinytorch.ir.errors import TinyTorchError
from tinytorch.ir.loc import user_loc


def prepare_qat(
    model: Module,
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    scheme: str = "affine",
    layers: Mapping[str, Mapping[str, Any] | None] | None = None,
) -> Any:
    """A copy of `model` in training mode whose `Linear` and `Conv2d` layers compute with the numbers that integers will
    stand for, so that training gets used to them; `quantize` then makes integers of it, with the ranges of activations
    that training has seen. Arguments are those of `quantize`.

        model = tt.prepare_qat(model)
        trainer.fit(…)                      # any training of model, compiled or not
        quantized = tt.quantize(model)

    Ranges are running ones, moved by each batch in training mode and fixed in evaluation.
    """
    arguments.instance("prepare_qat", "model", model, Module)
    settings = Settings(weight_bits, activation_bits, scheme)
    made = copy.deepcopy(model).train()
    separate_projections(made)
    known = (Embedding, QuantizationAware)
    found = {name: layer for name, layer in quantizable_layers(made).items() if not isinstance(layer, known)}
    aware: dict[int, Module] = {}
    for name, chosen in choices_of("prepare_qat", found, settings.changed, layers or {}).items():
        layer = found[name]
        if chosen is not None:
            kind = QuantizationAwareLinear if isinstance(layer, Linear) else QuantizationAwareConv2d
            aware[id(layer)] = kind.from_float(layer, chosen)
    if not aware:
        raise TinyTorchError("prepare_qat: the model has no Linear or Conv2d layer to prepare", user_loc())
    return replaced(made, aware)
