"""Attention of several heads as a module, and what it asks of a cache."""

from __future__ import annotations

from typing import Protocol

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.functions import attention_at, scaled_dot_product_attention
from tinytorch.frontend.layer_functions import linear
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.random import Generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor_functions import cat
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32


class Cache(Protocol):
    """Keys and values of earlier tokens, as attention asks for them."""

    @property
    def positions(self) -> Tensor:
        """i64[batch]: how many tokens each row has; the next one stands there."""
        ...

    def update(self, layer_idx: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write key and value [batch, groups, count, d] from `positions` on; all keys and values of that layer,
        [batch, groups, most, d]. `positions` stay until `advance`."""
        ...

    def advance(self, count: int) -> None:
        """All layers have written `count` tokens."""
        ...


class MultiHeadAttention(Module):
    """Attention of `num_heads` heads: x [batch, length, embed_dim] to the same shape (Vaswani et al. 2017)."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        bias: bool = True,
        dropout: float = 0.0,
        causal: bool = False,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = "MultiHeadAttention"
        self.embed_dim = arguments.integer(name, "embed_dim", embed_dim, 1)
        self.num_heads = arguments.integer(name, "num_heads", num_heads, 1)
        self.num_kv_heads = (
            num_heads if num_kv_heads is None else arguments.integer(name, "num_kv_heads", num_kv_heads, 1)
        )
        if num_heads % self.num_kv_heads:
            raise TinyTorchError(f"{name}: {num_heads} heads do not share {num_kv_heads} evenly", user_loc())
        if head_dim is None and embed_dim % num_heads:
            raise TinyTorchError(f"{name}: embed_dim {embed_dim} is no multiple of num_heads {num_heads}", user_loc())
        self.head_dim = embed_dim // num_heads if head_dim is None else arguments.integer(name, "head_dim", head_dim, 1)
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        self.causal = arguments.flag(name, "causal", causal)
        self.generator = generator
        wide, narrow = self.num_heads * self.head_dim, self.num_kv_heads * self.head_dim
        self.query = Linear(embed_dim, wide, bias, dtype, generator=generator)
        self.key = Linear(embed_dim, narrow, bias, dtype, generator=generator)
        self.value = Linear(embed_dim, narrow, bias, dtype, generator=generator)
        self.output = Linear(wide, embed_dim, bias, dtype, generator=generator)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        context: Tensor | None = None,
        cache: Cache | None = None,
        layer_idx: int = 0,
    ) -> Tensor:
        if x.ndim != 3 or x.shape[2] != self.embed_dim:
            raise ShapeError(f"MultiHeadAttention: x is [batch, length, {self.embed_dim}], got {x.type}", user_loc())
        if context is None:
            q, k, v = self._projected(x, self.query, self.key, self.value)
        else:
            (q,), (k, v) = self._projected(x, self.query), self._projected(context, self.key, self.value)
        if cache is not None:
            keys, values = cache.update(layer_idx, k, v)
            out = attention_at(q, keys, values, cache.positions)
        else:
            p = self.dropout if self.training else 0.0
            out = scaled_dot_product_attention(q, k, v, mask, p, self.causal, enable_gqa=True, generator=self.generator)
        batch, heads, length, size = out.shape
        return self.output(out.transpose(1, 2).reshape(batch, length, heads * size))

    def _projected(self, x: Tensor, *layers: Linear) -> list[Tensor]:
        """x by each layer, [batch, heads, length, head_dim]: one product with the weights joined, which cost less to
        join than x to read again, but where x has few rows."""
        batch, length, _ = x.shape
        sizes = [layer.out_features for layer in layers]
        if len(layers) == 1 or batch * length < _FEW_ROWS:
            parts = [layer(x) for layer in layers]
        else:
            biases = [layer.bias for layer in layers if layer.bias is not None]
            joined = linear(x, cat([layer.weight for layer in layers]), cat(biases) if biases else None)
            ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
            parts = [joined[..., end - size : end] for size, end in zip(sizes, ends, strict=True)]
        return [part.reshape(batch, length, -1, self.head_dim).transpose(1, 2) for part in parts]

    def extra_repr(self) -> str:
        return f"{self.embed_dim}, num_heads={self.num_heads}, causal={self.causal}"


_FEW_ROWS = 64
