"""Attention of several heads in PyTorch's layout: one matrix for queries, keys and values, and weights as a result."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tinytorch.frontend import arguments
from tinytorch.frontend.activations import softmax
from tinytorch.frontend.attention.functions import scaled_dot_product_attention
from tinytorch.frontend.functions.basic import cat, where
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers import Linear
from tinytorch.frontend.layers.functions import dropout as drop
from tinytorch.frontend.layers.functions import linear
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.spatial.padding import pad
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array
from tinytorch.ir.types import bool_


class MultiheadAttention(Module):
    """Attention of `num_heads` heads (Vaswani et al. 2017), with PyTorch's arguments and names of parameters:
    `in_proj_weight` [3 embed_dim, embed_dim], `in_proj_bias`, `out_proj`. Where keys or values have another width
    (`kdim`, `vdim`), `q_proj_weight`, `k_proj_weight` and `v_proj_weight` stand in place of the first.

    Every query sees one key more with `add_bias_kv`, `bias_k` of the value `bias_v`, which are learned, [1, 1,
    embed_dim], and behind it one with `add_zero_attn`, of zeros, so that a query can attend to nothing. No mask hides
    them; weights have places for them.

    Operands are [length, batch, width], or [batch, length, width] with `batch_first`, or without the batch.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        name, kind = "MultiheadAttention", parameter_dtype(device, dtype)
        self.embed_dim = arguments.integer(name, "embed_dim", embed_dim, 1)
        self.num_heads = arguments.integer(name, "num_heads", num_heads, 1)
        if embed_dim % num_heads:
            raise arguments.wrong_value(name, "embed_dim", f"a multiple of num_heads {num_heads}", embed_dim)
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        self.batch_first = arguments.flag(name, "batch_first", batch_first)
        self.add_zero_attn = arguments.flag(name, "add_zero_attn", add_zero_attn)
        self.head_dim = embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else arguments.integer(name, "kdim", kdim, 1)
        self.vdim = embed_dim if vdim is None else arguments.integer(name, "vdim", vdim, 1)
        joined = self.kdim == self.vdim == embed_dim
        self.in_proj_weight = Parameter(zeros(3 * embed_dim, embed_dim, dtype=kind)) if joined else None
        widths = [None] * 3 if joined else [embed_dim, self.kdim, self.vdim]
        parts = [None if w is None else Parameter(zeros(embed_dim, w, dtype=kind)) for w in widths]
        self.q_proj_weight, self.k_proj_weight, self.v_proj_weight = parts
        self.in_proj_bias = Parameter(zeros(3 * embed_dim, dtype=kind)) if arguments.flag(name, "bias", bias) else None
        added = arguments.flag(name, "add_bias_kv", add_bias_kv)
        self.bias_k, self.bias_v = (Parameter(zeros(1, 1, embed_dim, dtype=kind)) if added else None for _ in range(2))
        self.projections: list[Module] = []
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=kind)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        for weight in (self.in_proj_weight, *parts):
            if weight is not None:
                init.xavier_uniform_(weight)
        for row in (self.bias_k, self.bias_v):
            if row is not None:
                init.xavier_normal_(row)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, and with `need_weights` the weights [batch, queries, keys], averaged over the heads, or
        [batch, heads, queries, keys].

        Bool masks are True where a key is *not* seen, as in PyTorch; floats are added. `key_padding_mask` is
        [batch, keys], `attn_mask` [queries, keys] or [batch * heads, queries, keys]. `is_causal` is a hint: it comes
        with the mask that it describes.
        """
        name = "MultiheadAttention"
        if is_causal and attn_mask is None:
            raise arguments.wrong_value(name, "is_causal", "True only together with its attn_mask", is_causal)
        batched = require_tensor(name, query).ndim == 3
        operands = [require_tensor(name, x) if batched else x.unsqueeze(0) for x in (query, key, value)]
        if any(x.ndim != 3 for x in operands):
            raise ShapeError(f"{name}: query, key and value have 3 axes, or 2 without a batch", user_loc())
        if batched and not self.batch_first:
            operands = [x.transpose(0, 1) for x in operands]
        q, k, v = self._projected(*operands)
        mask = self._mask(q, k, attn_mask, key_padding_mask if batched or key_padding_mask is None else
                          key_padding_mask.unsqueeze(0))  # fmt: skip
        k, v, mask = self._with_more_keys(k, v, mask)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q.matmul(k.mT) * (1 / math.sqrt(self.head_dim))
            weights = drop(softmax(scores if mask is None else scores + mask), p)
            out = weights.matmul(v)
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        else:
            out = scaled_dot_product_attention(q, k, v, mask, p)
        out = self.out_proj(out.transpose(1, 2).flatten(-2))
        out = out.squeeze(0) if not batched else out if self.batch_first else out.transpose(0, 1)
        return out, weights

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.num_heads = self.out_proj.weight.shape[1] // self.head_dim

    def separate(self) -> None:
        """Have three layers, `projections`, for queries, keys and values from now on, with the weights that there are:
        others can be put in their places."""
        if self.projections:
            return
        weights, biases = zip(*(self._weights(i) for i in range(3)), strict=True)
        self.projections = []
        for weight, bias in zip(weights, biases, strict=True):
            out, width = weight.shape
            layer = Linear(width, out, bias is not None, dtype=weight.dtype, generator=Generator(0))
            layer.weight = Parameter(weight.detach().clone())
            layer.bias = None if bias is None else Parameter(bias.detach().clone())
            self.projections = [*self.projections, layer]
        self.in_proj_weight = self.in_proj_bias = None
        self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None

    def _weights(self, i: int) -> tuple[Tensor, Tensor | None]:
        """The weight and the bias of queries (0), keys (1) or values (2)."""
        n = self.num_heads * self.head_dim  # embed_dim, unless heads have been pruned
        joined, bias = self.in_proj_weight, self.in_proj_bias
        separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)[i]
        weight = separate if joined is None else joined[i * n : (i + 1) * n]
        assert weight is not None, "either the joined weights or three of them"
        return weight, None if bias is None else bias[i * n : (i + 1) * n]

    def _projected(self, query: Tensor, key: Tensor, value: Tensor) -> list[Tensor]:
        """Queries, keys and values, [batch, heads, length, head_dim]."""
        found: list[Tensor] = []
        for i, x in enumerate((query, key, value)):
            y = self.projections[i](x) if self.projections else linear(x, *self._weights(i))
            found.append(y.reshape(*y.shape[:-1], self.num_heads, self.head_dim).transpose(1, 2))
        return found

    def _with_more_keys(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys, values and mask with what `add_bias_kv` and `add_zero_attn` add."""
        before = k.shape[2]
        if self.bias_k is not None and self.bias_v is not None:
            rows = (row.reshape(1, self.num_heads, 1, self.head_dim) for row in (self.bias_k, self.bias_v))
            both = zip((k, v), rows, strict=True)
            k, v = (cat([x, row.cast(x.dtype).expand(x.shape[0], -1, -1, -1)], 2) for x, row in both)
        if self.add_zero_attn:
            k, v = (cat([x, zeros(*x.shape[:2], 1, self.head_dim, dtype=x.dtype)], 2) for x in (k, v))
        return k, v, mask if mask is None else pad(mask, (0, k.shape[2] - before))

    def _mask(self, q: Tensor, k: Tensor, attn: Tensor | None, padding: Tensor | None) -> Tensor | None:
        """Both masks as floats to add, broadcast to [batch, heads, queries, keys]."""
        batch, queries, keys = q.shape[0], q.shape[2], k.shape[2]
        total: Tensor | None = None
        if attn is not None:
            if attn.shape not in ((queries, keys), (batch * self.num_heads, queries, keys)):
                raise ShapeError(
                    f"MultiheadAttention: attn_mask is [{queries}, {keys}], or that for each head of each entry, got "
                    f"{attn.type}",
                    user_loc(),
                )
            added = _added(attn, q)
            total = added if attn.ndim == 2 else added.reshape(batch, self.num_heads, queries, keys)
        if padding is not None:
            if padding.shape != (batch, keys):
                raise ShapeError(
                    f"MultiheadAttention: key_padding_mask is [{batch}, {keys}], got {padding.type}", user_loc()
                )
            hidden = _added(padding, q).reshape(batch, 1, 1, keys)
            total = hidden if total is None else total + hidden
        return total


def _added(mask: Tensor, q: Tensor) -> Tensor:
    """A mask as floats of q's dtype to add; bool ones are True where a key is not seen."""
    return where(mask, -math.inf, zeros((), dtype=q.dtype)) if mask.dtype == bool_ else mask.cast(q.dtype)
