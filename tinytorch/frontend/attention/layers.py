"""Attention of several heads as a module, and what it asks of a cache."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.functions import attention_at, scaled_dot_product_attention
from tinytorch.frontend.embeddings import RotaryEmbedding
from tinytorch.frontend.functions.creation import arange, full
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.layers.functions import rms_norm
from tinytorch.frontend.layers.layers import side_by_side
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import f32


class Cache(Protocol):
    """Keys and values of earlier tokens, as attention and models ask for them. A model calls `begin`, then each layer
    `update`, then the model `advance`; layers without a model around them only `update`."""

    @property
    def max_seq_len(self) -> int:
        """How many tokens a row has room for."""
        ...

    @property
    def positions(self) -> Tensor:
        """i64[batch]: how many tokens each row has."""
        ...

    @property
    def pending(self) -> Tensor:
        """i64[layers]: how many more a layer has that `advance` has not counted yet."""
        ...

    def begin(self) -> Tensor:
        """Forget what `advance` has not counted; `positions`."""
        ...

    def update(self, layer_idx: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write the layer's key and value [batch, groups, length, d] of further tokens. All that the layer has room
        for, [batch, groups, max_seq_len, d] of each, and where the new ones begin, i64[batch]."""
        ...

    def advance(self, count: int | Tensor) -> None:
        """All layers have written `count` tokens."""
        ...

    def truncate(self, lengths: int | Tensor) -> None:
        """Keep at most so many tokens of each row: one number or i64[batch]."""
        ...

    def reset(self) -> None:
        """Forget all tokens."""
        ...


class MultiHeadAttention(Module):
    """Attention of `num_heads` heads, each of projections of x (Vaswani et al. 2017): x [..., length, embed_dim] to the
    same shape.

    - `causal`: a position sees itself and those before it.
    - `num_kv_heads`: so many heads of keys and values, each shared by num_heads / num_kv_heads of queries (Ainslie et
      al. 2023).
    - `head_dim`: the width of a head, by default embed_dim / num_heads.
    - `qk_norm`: each query and key divided by its root mean square, queries times a learned scale, the same for all
      heads: scores are `qk_scale` times the cosine, which begins as sqrt(head_dim) (Henry et al. 2020).
    - `rotary`: turns queries and keys by their positions; layers may share it.
    - `value_residual`: values are a v + b v1, with v1 the values of the first layer and a and b learned from 0.5 (Zhou
      et al. 2024).
    - `dropout`: of attention weights, in training.

    Parameters are 4 embed_dim² without biases and groups. Activations kept for training are q, k, v and the result,
    4 length · embed_dim; weights of length² each are not kept by the kernel.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        qk_norm: bool = False,
        rotary: RotaryEmbedding | None = None,
        value_residual: bool = False,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.embed_dim = arguments.integer(name, "embed_dim", embed_dim, 1)
        self.num_heads = arguments.integer(name, "num_heads", num_heads, 1)
        groups = num_heads if num_kv_heads is None else num_kv_heads
        self.num_kv_heads = arguments.integer(name, "num_kv_heads", groups, 1)
        if num_heads % groups:
            raise arguments.wrong_value(name, "num_kv_heads", f"a divisor of num_heads {num_heads}", groups)
        if head_dim is None and embed_dim % num_heads:
            raise arguments.wrong_value(name, "embed_dim", f"a multiple of num_heads {num_heads}", embed_dim)
        size = embed_dim // num_heads if head_dim is None else head_dim
        self.head_dim = size = arguments.integer(name, "head_dim", size, 1)
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        self.causal = arguments.flag(name, "causal", causal)
        arguments.instance(name, "rotary", rotary, RotaryEmbedding, optional=True)
        arguments.instance(name, "generator", generator, Generator, optional=True)
        if rotary is not None and rotary.head_dim != size:
            raise arguments.wrong_value(name, "rotary", f"of head_dim {size}", rotary)
        self.query = Linear(embed_dim, num_heads * size, bias, dtype=dtype, generator=generator)
        self.key = Linear(embed_dim, groups * size, bias, dtype=dtype, generator=generator)
        self.value = Linear(embed_dim, groups * size, bias, dtype=dtype, generator=generator)
        self.output = Linear(num_heads * size, embed_dim, bias, dtype=dtype, generator=generator)
        self.rotary, self.generator = rotary, generator
        scaled = arguments.flag(name, "qk_norm", qk_norm)
        self.qk_scale = Parameter(full((), math.sqrt(size), dtype=dtype)) if scaled else None
        mixed = arguments.flag(name, "value_residual", value_residual)
        self.value_mix = Parameter(full((2,), 0.5, dtype=dtype)) if mixed else None

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        key: Tensor | None = None,
        value: Tensor | None = None,
        cache: Cache | None = None,
        layer_idx: int = 0,
        first_value: Tensor | None = None,
        return_value: bool = False,
    ) -> Any:
        """Self-attention of x; with `key` [..., keys, embed_dim] cross-attention, whose values come from `value`, by
        default `key`.

        `mask` is as in `scaled_dot_product_attention`: [length, keys]; [batch, length, keys] for all heads; or
        [batch, heads, length, keys]. `cache` takes the keys and values of x [batch, length, embed_dim], and attention
        sees all that it holds, as layer `layer_idx`. With `return_value` the result is a pair, whose second part is the
        values [..., heads, keys, head_dim], for `first_value` of the layers behind.
        """
        self._check(x, key, value, cache, mask)
        q, k, v = (in_heads(part, self.head_dim) for part in self.projected(x, key, value))
        v = self._mixed(v, first_value)
        q, k = self._placed(q, k, cache, layer_idx)
        out = self._attended(q, k, v, mask, cache, layer_idx)
        out = self.output(of_heads(out))
        return (out, v) if return_value else out

    def projected(self, x: Tensor, key: Tensor | None = None, value: Tensor | None = None) -> list[Tensor]:
        """Queries of x; keys of `key`, by default x; values of `value`, by default what the keys are of: three tensors
        [..., length, heads * head_dim]."""
        if key is None:
            return side_by_side(x, self.query, self.key, self.value)
        if value is None:
            return [self.query(x), *side_by_side(key, self.key, self.value)]
        return [self.query(x), self.key(key), self.value(value)]

    def _placed(self, q: Tensor, k: Tensor, cache: Cache | None, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Queries and keys, normalised and turned."""
        if self.qk_scale is not None:
            q = rms_norm(q, self.head_dim) * (self.qk_scale * self.head_dim**-0.5)
            k = rms_norm(k, self.head_dim)
        if self.rotary is None:
            return q, k
        positions = None
        if cache is not None:
            positions = (cache.positions + cache.pending[layer_idx]).unsqueeze(1) + arange(q.shape[-2])
        return self.rotary(q, positions), self.rotary(k, positions)

    def _mixed(self, v: Tensor, first: Tensor | None) -> Tensor:
        if self.value_mix is None:
            return v
        if first is None or first.shape != v.shape:
            raise ShapeError(
                f"MultiHeadAttention: with value_residual, first_value is {v.type}, got "
                f"{None if first is None else first.type}",
                user_loc(),
            )
        return v * self.value_mix[0] + first * self.value_mix[1]

    def _attended(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, cache: Cache | None, layer_idx: int
    ) -> Tensor:
        if cache is not None:
            return attention_at(q, *cache.update(layer_idx, k, v))
        if mask is not None and mask.ndim == q.ndim - 1 > 2:
            mask = mask.unsqueeze(-3)
        p = self.dropout if self.training else 0.0
        return scaled_dot_product_attention(q, k, v, mask, p, self.causal, enable_gqa=True, generator=self.generator)

    def _check(
        self, x: Tensor, key: Tensor | None, value: Tensor | None, cache: Cache | None, mask: Tensor | None
    ) -> None:
        name = type(self).__name__
        for what, given in (("x", x), ("key", key), ("value", value)):
            if given is not None and (given.ndim < 2 or given.shape[-1] != self.embed_dim):
                raise ShapeError(f"{name}: {what} is [..., length, {self.embed_dim}], got {given.type}", user_loc())
        if value is not None and key is None:
            raise TinyTorchError(f"{name}: value comes with key", user_loc())
        if cache is not None and (not self.causal or key is not None or mask is not None or x.ndim != 3):
            raise TinyTorchError(
                f"{name}: a cache is for causal self-attention of [batch, length, {self.embed_dim}] without a mask",
                user_loc(),
            )
        if cache is not None:
            check_rows(name, "x", x, cache)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        rows, self.embed_dim = self.query.weight.shape
        self.num_heads, self.num_kv_heads = rows // self.head_dim, self.key.weight.shape[0] // self.head_dim

    def extra_repr(self) -> str:
        groups = "" if self.num_kv_heads == self.num_heads else f", num_kv_heads={self.num_kv_heads}"
        return f"{self.embed_dim}, num_heads={self.num_heads}{groups}, causal={self.causal}, dropout={self.dropout}"


def check_rows(what: str, name: str, x: Tensor, cache: Cache) -> None:
    """ShapeError unless the cache has as many rows as x: its positions would broadcast."""
    rows = cache.positions.shape[0]
    if x.shape[0] != rows:
        raise ShapeError(
            f"{what}: {name} {x.type} has {x.shape[0]} rows, the cache {rows}; make one for a batch of {x.shape[0]}",
            user_loc(),
        )


def in_heads(x: Tensor, size: int) -> Tensor:
    """[..., length, heads * size] as [..., heads, length, size]."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // size, size).transpose(-3, -2)


def of_heads(x: Tensor) -> Tensor:
    """The reverse: [..., heads, length, size] as [..., length, heads * size]."""
    return x.transpose(-3, -2).flatten(-2)
