"""A block of a transformer: attention, then a network of two layers, each behind a norm and beside a residual."""

from __future__ import annotations

from typing import Any

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.layers import Cache, MultiHeadAttention
from tinytorch.frontend.embeddings import RotaryEmbedding
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers import LayerNorm, Linear, RMSNorm
from tinytorch.frontend.layers.functions import dropout
from tinytorch.frontend.layers.layers import side_by_side
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import f32

ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "relu2", "swiglu")


def norm_of(what: str, kind: str, embed_dim: int, bias: bool, dtype: object) -> Module:
    """The norm of that name: "layer" or "rms"."""
    if arguments.choice(what, "norm", kind, "layer", "rms") == "rms":
        return RMSNorm(embed_dim, dtype=dtype)
    return LayerNorm(embed_dim, bias=bias, dtype=dtype)


class FeedForward(Module):
    """down(activation(up(x))) at each position, `hidden` wide: x [..., embed_dim] to the same shape.

    `activation`: "gelu" and "gelu_tanh" (Hendrycks & Gimpel 2016), "relu", "relu2" (its square, So et al. 2021), or
    "swiglu": silu(gate(x)) up(x), with a third matrix (Shazeer 2020).
    """

    def __init__(
        self,
        embed_dim: int,
        hidden: int,
        activation: str = "gelu",
        bias: bool = True,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.activation = arguments.choice("FeedForward", "activation", activation, *ACTIVATIONS)
        gated = activation == "swiglu"
        self.gate = Linear(embed_dim, hidden, bias, dtype=dtype, generator=generator) if gated else None
        self.up = Linear(embed_dim, hidden, bias, dtype=dtype, generator=generator)
        self.down = Linear(hidden, embed_dim, bias, dtype=dtype, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.widened(x))

    def widened(self, x: Tensor) -> Tensor:
        """What `down` reads, [..., hidden]: activation(up(x)), or silu(gate(x)) up(x)."""
        if self.gate is not None:
            gate, up = side_by_side(x, self.gate, self.up)
            return gate.silu() * up
        up = self.up(x)
        if self.activation.startswith("gelu"):
            return up.gelu("tanh" if self.activation == "gelu_tanh" else "none")
        return up.relu().square() if self.activation == "relu2" else up.relu()

    def extra_repr(self) -> str:
        return f"activation={self.activation!r}"


class TransformerBlock(Module):
    """x + attention(norm1(x)), then x + feed_forward(norm2(x)): x [..., length, embed_dim] to the same shape.

    The norms stand before their branches, so that the residuals reach every layer as they are (Xiong et al. 2020).
    `mlp_ratio` is the width of the feed-forward network in units of embed_dim; `norm` is "layer" or "rms";
    `activation` is as in `FeedForward`; `dropout` is of attention weights and of what both branches add. What is not
    named here is as in `MultiHeadAttention`.

    Parameters without biases and groups: (4 + 2 mlp_ratio) embed_dim², and 6 operations for each and each token of a
    training step. Activations that a step keeps are about (8 + 2 mlp_ratio) length · embed_dim.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        mlp_ratio: float = 4,
        dropout: float = 0.0,
        bias: bool = True,
        causal: bool = False,
        activation: str = "gelu",
        norm: str = "layer",
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
        hidden = round(arguments.positive(name, "mlp_ratio", mlp_ratio) * embed_dim)
        self.norm1 = norm_of(name, norm, embed_dim, bias, dtype)
        self.attention = MultiHeadAttention(
            embed_dim, num_heads, bias, dropout, causal, num_kv_heads, head_dim, qk_norm, rotary, value_residual, dtype,
            generator,
        )  # fmt: skip
        self.norm2 = norm_of(name, norm, embed_dim, bias, dtype)
        self.feed_forward = FeedForward(embed_dim, hidden, activation, bias, dtype, generator)
        self.dropout, self.generator = self.attention.dropout, generator

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        cache: Cache | None = None,
        layer_idx: int = 0,
        first_value: Tensor | None = None,
        return_value: bool = False,
    ) -> Any:
        """`mask`, `cache`, `layer_idx`, `first_value` and `return_value` are as in `MultiHeadAttention`."""
        out, value = self.attention(
            self.norm1(x), mask, cache=cache, layer_idx=layer_idx, first_value=first_value, return_value=True
        )
        x = x + self._dropped(out)
        x = x + self._dropped(self.feed_forward(self.norm2(x)))
        return (x, value) if return_value else x

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training, generator=self.generator)
