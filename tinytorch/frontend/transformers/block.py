"""A block of a transformer."""

from __future__ import annotations

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.layers import Cache, MultiHeadAttention
from tinytorch.frontend.layer_functions import dropout
from tinytorch.frontend.layers import LayerNorm, Linear
from tinytorch.frontend.module import Module
from tinytorch.frontend.random import Generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f32


class FeedForward(Module):
    """Two layers with an activation between them, at each position."""

    def __init__(
        self, embed_dim: int, hidden: int, activation: str, bias: bool, dtype: object, generator: Generator | None
    ) -> None:
        super().__init__()
        self.activation = activation
        self.up = Linear(embed_dim, hidden, bias, dtype, generator=generator)
        self.down = Linear(hidden, embed_dim, bias, dtype, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x)
        if self.activation == "relu2":
            h = h.relu().square()
        else:
            h = h.gelu("tanh" if self.activation == "gelu_tanh" else "none")
        return self.down(h)


class TransformerBlock(Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)): x [batch, length, embed_dim] to the same shape."""

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float = 4,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        activation: str = "gelu",
        num_kv_heads: int | None = None,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = "TransformerBlock"
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        self.generator = generator
        hidden = int(arguments.positive(name, "mlp_ratio", mlp_ratio) * embed_dim)
        arguments.choice(name, "activation", activation, "gelu", "gelu_tanh", "relu2")
        self.norm1 = LayerNorm(embed_dim, bias=bias, dtype=dtype)
        self.attention = MultiHeadAttention(
            embed_dim, num_heads, bias, dropout, causal, num_kv_heads, dtype=dtype, generator=generator
        )
        self.norm2 = LayerNorm(embed_dim, bias=bias, dtype=dtype)
        self.feed_forward = FeedForward(embed_dim, hidden, activation, bias, dtype, generator)

    def forward(self, x: Tensor, mask: Tensor | None = None, cache: Cache | None = None, layer_idx: int = 0) -> Tensor:
        x = x + self._dropped(self.attention(self.norm1(x), mask, cache=cache, layer_idx=layer_idx))
        return x + self._dropped(self.feed_forward(self.norm2(x)))

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training, self.generator)
