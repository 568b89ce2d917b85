"""The layers of the first transformer (Vaswani et al. 2017), with PyTorch's arguments and names of parameters.

Operands are [length, batch, width], or [batch, length, width] with `batch_first`, or without the batch. Bool masks are
True where a key is *not* seen, floats are added to the scores; `…_is_causal` is a hint that the mask beside it hides
what comes later, so it changes no result.
"""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable
from typing import Any, TypeVar, cast

from tinytorch.frontend import arguments
from tinytorch.frontend.activations import gelu, relu
from tinytorch.frontend.attention import MultiheadAttention
from tinytorch.frontend.functions.basic import triu
from tinytorch.frontend.functions.creation import full
from tinytorch.frontend.layers import Dropout, LayerNorm, Linear
from tinytorch.frontend.module import Module, init
from tinytorch.frontend.module.containers import ModuleList
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]

Activation = str | Callable[[Tensor], Tensor]
Layer = TypeVar("Layer", bound=Module)
_BUILT_IN = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType)


def _activation(what: str, given: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(given, str):
        return {"relu": relu, "gelu": gelu}[arguments.choice(what, "activation", given, "relu", "gelu")]
    arguments.function(what, "activation", given)
    return given


class _Layer(Module):
    """What layers of encoders and decoders share: attention to itself, and two linear layers for each position."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        name, kind = type(self).__name__, parameter_dtype(device, dtype)
        arguments.integer(name, "d_model", d_model, 1)
        arguments.integer(name, "dim_feedforward", dim_feedforward, 1)
        self.norm_first = arguments.flag(name, "norm_first", norm_first)
        self.activation = _activation(name, activation)
        crossed = isinstance(self, TransformerDecoderLayer)
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=kind)
        if crossed:
            self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, dtype=kind)
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=kind)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kind)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kind)
        if crossed:
            self.norm3 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kind)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        if crossed:
            self.dropout3 = Dropout(dropout)

    def _beside(self, x: Tensor, norm: Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """x plus a branch of it, with the norm before the branch or behind the sum."""
        return x + branch(norm(x)) if self.norm_first else norm(x + branch(x))

    def _attended(
        self, attention: Module, x: Tensor, memory: Tensor, mask: Tensor | None, padding: Tensor | None, causal: bool
    ) -> Tensor:
        return attention(x, memory, memory, padding, need_weights=False, attn_mask=mask, is_causal=causal)[0]

    def _positions(self, x: Tensor) -> Tensor:
        """The two linear layers."""
        return self.linear2(self.dropout(self._activated(self.linear1(x))))

    def _activated(self, x: Tensor) -> Tensor:
        name = type(self).__name__
        try:
            found = cast(object, self.activation(x))
        except TypeError as error:
            if not isinstance(self.activation, _BUILT_IN):
                raise
            # It has no frame that would tell it from code of the package.
            wanted = f"a function of tensors ({error})"
            raise arguments.wrong_value(name, "activation", wanted, self.activation) from None
        if not isinstance(found, Tensor):
            raise arguments.wrong_type(name, f"what {self.activation} returns as activation", "a tensor", found)
        return found


class TransformerEncoderLayer(_Layer):
    """Attention of each position to all, then two linear layers for each position, with a norm behind both (before
    them with `norm_first`: Xiong et al. 2020). `activation` is "relu", "gelu" or a function. `dropout` is that of
    attention weights, of the hidden elements, and of both branches."""

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """`src_mask` is [length, length] or [batch * heads, length, length], `src_key_padding_mask` [batch, length]."""

        def to_itself(x: Tensor) -> Tensor:
            return self.dropout1(self._attended(self.self_attn, x, x, src_mask, src_key_padding_mask, is_causal))

        x = self._beside(src, self.norm1, to_itself)
        return self._beside(x, self.norm2, lambda x: self.dropout2(self._positions(x)))


class TransformerDecoderLayer(_Layer):
    """Attention of each position to all of its sequence, then to those of the encoder's result (`memory`), then two
    linear layers for each position; otherwise as `TransformerEncoderLayer`."""

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """`tgt_mask` is [length, length], `memory_mask` [length, length of memory], both also for each head of each
        entry, [batch * heads, …]; padding masks are [batch, length]."""

        def to_itself(x: Tensor) -> Tensor:
            return self.dropout1(self._attended(self.self_attn, x, x, tgt_mask, tgt_key_padding_mask, tgt_is_causal))

        def to_memory(x: Tensor) -> Tensor:
            masks = memory_mask, memory_key_padding_mask
            return self.dropout2(self._attended(self.multihead_attn, x, memory, *masks, memory_is_causal))

        x = self._beside(tgt, self.norm1, to_itself)
        x = self._beside(x, self.norm2, to_memory)
        return self._beside(x, self.norm3, lambda x: self.dropout3(self._positions(x)))


def _copies(what: str, layer: Module, count: int) -> ModuleList:
    arguments.instance(what, "the layer", layer, Module)
    return ModuleList([copy.deepcopy(layer) for _ in range(arguments.integer(what, "num_layers", count, 0))])


class TransformerEncoder(Module):
    """`num_layers` copies of a layer one after the other, which begin with its weights, then `norm` if given.

    `enable_nested_tensor` and `mask_check` choose among PyTorch's kernels; here they change nothing.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        arguments.instance("TransformerEncoder", "norm", norm, Module, optional=True)
        self.norm = norm
        self.enable_nested_tensor = arguments.flag("TransformerEncoder", "enable_nested_tensor", enable_nested_tensor)
        self.mask_check = arguments.flag("TransformerEncoder", "mask_check", mask_check)

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, bool(is_causal))
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """`num_layers` copies of a layer one after the other, which begin with its weights, then `norm` if given."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        arguments.instance("TransformerDecoder", "norm", norm, Module, optional=True)
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            tgt = layer(tgt, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of `src` and a decoder of `tgt` that sees its result, each ending with a norm. Matrices begin as
    Glorot & Bengio (2010) have them. `custom_encoder` and `custom_decoder` take the places of the two."""

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = relu,
        custom_encoder: Module | None = None,
        custom_decoder: Module | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        kind = parameter_dtype(device, dtype)
        own: dict[str, Any] = {
            "dropout": dropout, "activation": activation, "layer_norm_eps": layer_norm_eps,
            "batch_first": batch_first, "norm_first": norm_first, "bias": bias, "dtype": kind,
        }  # fmt: skip

        def norm() -> LayerNorm:
            return LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=kind)

        if custom_encoder is None:
            encoder_layer = TransformerEncoderLayer(d_model, nhead, dim_feedforward, **own)
            custom_encoder = TransformerEncoder(encoder_layer, num_encoder_layers, norm())
        if custom_decoder is None:
            decoder_layer = TransformerDecoderLayer(d_model, nhead, dim_feedforward, **own)
            custom_decoder = TransformerDecoder(decoder_layer, num_decoder_layers, norm())
        self.encoder, self.decoder = custom_encoder, custom_decoder
        for parameter in self.parameters():
            if parameter.ndim > 1:
                init.xavier_uniform_(parameter)
        self.d_model, self.nhead, self.batch_first = d_model, nhead, batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """Of `src` and `tgt`, whose lengths may differ: of the shape of `tgt`."""
        batch = 0 if self.batch_first else 1
        require_tensor("Transformer", src)
        require_tensor("Transformer", tgt)
        if src.ndim != tgt.ndim or (src.ndim == 3 and src.shape[batch] != tgt.shape[batch]):
            raise ShapeError(f"Transformer: src and tgt are of one batch, got {src.type} and {tgt.type}", user_loc())
        if not src.ndim or src.shape[-1] != self.d_model or tgt.shape[-1] != self.d_model:
            raise ShapeError(
                f"Transformer: the last axes of src and tgt are {self.d_model}, got {src.type} and {tgt.type}",
                user_loc(),
            )
        memory = self.encoder(src, src_mask, src_key_padding_mask, src_is_causal)
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        return self.decoder(tgt, memory, *masks, tgt_is_causal, memory_is_causal)

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: object = None, dtype: object = None) -> Tensor:
        """[sz, sz] to add to scores: -inf where the key stands behind the query, else 0."""
        size = arguments.integer("generate_square_subsequent_mask", "sz", sz, 0)
        return triu(full((size, size), -math.inf, dtype=parameter_dtype(device, dtype)), 1)
