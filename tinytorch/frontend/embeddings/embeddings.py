"""Module 11: embeddings of tokens, and of their positions.

A table of V vectors of d elements is V d parameters, of which a batch of n tokens reads and changes at most n rows; its
gradient is still V d elements. Learned positions are T d parameters more, and there are none behind T; sinusoidal ones
and rotations are formulas, kept as tables that each step reads.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.functions.random import Generator, normal_
from tinytorch.frontend.layers.functions import dropout, embedding, linear, padding_row
from tinytorch.frontend.module import Module, Parameter
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array, apply
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.types import dtype_of, f32

__all__ = ["Embedding", "PositionalEncoding", "RotaryEmbedding", "apply_rotary"]


class Embedding(Module):
    """A table of vectors, `weight` [vocab_size, embed_dim]: integers [...] to floats [..., embed_dim].

    Weights begin as normal numbers of mean 0 and variance 1, as in PyTorch. The row `padding_idx` (a negative one
    counts from the end) begins as zeros and gets no gradient. An index below 0 or not below `vocab_size` is an
    IndexError.
    """

    def __init__(
        self,
        vocab_size: int,
        embed_dim: int,
        padding_idx: int | None = None,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.vocab_size = arguments.integer("Embedding", "vocab_size", vocab_size, 1)
        self.embed_dim = arguments.integer("Embedding", "embed_dim", embed_dim, 1)
        self.padding_idx = None if padding_idx is None else padding_row("Embedding", padding_idx, vocab_size)
        arguments.instance("Embedding", "generator", generator, Generator, optional=True)
        self.generator = generator
        self.weight = Parameter(zeros(vocab_size, embed_dim, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the table anew: normal numbers of mean 0 and variance 1, and zeros for the padding."""
        draw_table(self.weight, self.padding_idx, self.generator)

    def forward(self, indices: Tensor) -> Tensor:
        return embedding(indices, self.weight, self.padding_idx)

    def project(self, x: Tensor) -> Tensor:
        """x [..., embed_dim] by each row of the table, as the scores of a model whose head shares it: [...,
        vocab_size]."""
        return linear(x, self.weight)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.embed_dim = self.weight.shape[1]

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.vocab_size}, {self.embed_dim}{padding}"


def draw_table(weight: Tensor, padding_idx: int | None, generator: Generator | None = None) -> None:
    """Fill a table with normal numbers, its row for padding with zeros."""
    normal_(weight, generator=generator)
    if padding_idx is not None:
        with grad_mode(False):
            weight[padding_idx] = 0.0


class PositionalEncoding(Module):
    """x + encoding of each position, then dropout: x [..., length, embed_dim], of at most `max_seq_len` positions.

    `kind`: "learned", a parameter `weight` [max_seq_len, embed_dim] that begins as normal numbers of deviation 0.02
    (Radford et al. 2018); "sinusoidal", the same table by a formula, a buffer (Vaswani et al. 2017, section 3.5):

        weight[t, 2 i] = sin(t / 10000**(2 i / embed_dim))      weight[t, 2 i + 1] = cos(t / 10000**(2 i / embed_dim))
    """

    def __init__(
        self,
        max_seq_len: int,
        embed_dim: int,
        kind: str = "learned",
        dropout: float = 0.0,
        dtype: object = f32,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        name = "PositionalEncoding"
        self.max_seq_len = arguments.integer(name, "max_seq_len", max_seq_len, 1)
        self.embed_dim = arguments.integer(name, "embed_dim", embed_dim, 1)
        self.kind = arguments.choice(name, "kind", kind, "learned", "sinusoidal")
        self.dropout = float(arguments.probability(name, "dropout", dropout))
        arguments.instance(name, "generator", generator, Generator, optional=True)
        self.generator = generator
        if kind == "learned":
            self.weight = Parameter(zeros(max_seq_len, embed_dim, dtype=dtype))
            normal_(self.weight, 0.0, 0.02, generator)
        else:
            table = sinusoids(max_seq_len, embed_dim).astype(dtype_of(dtype).numpy)
            self.register_buffer("weight", Tensor(table), persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """`positions` [..., length] of integers say where the elements of x stand; by default at 0, 1, … They broadcast
        to the axes of x."""
        if x.ndim < 2 or x.shape[-1] != self.embed_dim:
            raise ShapeError(f"PositionalEncoding: x is [..., length, {self.embed_dim}], got {x.type}", user_loc())
        rows = table_rows("PositionalEncoding", self.weight, x.shape[-2], positions)
        if broadcast_shapes("PositionalEncoding", x.shape, rows.shape) != x.shape:
            raise ShapeError(
                f"PositionalEncoding: positions of {list(rows.shape[:-1])} do not broadcast to x {x.type}", user_loc()
            )
        x = x + rows
        return dropout(x, self.dropout, self.training, generator=self.generator)

    def extra_repr(self) -> str:
        return f"{self.max_seq_len}, {self.embed_dim}, kind={self.kind!r}, dropout={self.dropout}"


def table_rows(what: str, table: Tensor, length: int, positions: Tensor | None) -> Tensor:
    """The rows of a table [most, d] for `length` positions: the first ones, [length, d], or those at `positions`
    [..., length], which gives [..., length, d]. ShapeError, which `what` begins, for more positions than the table has
    and for `positions` of another length."""
    if length > table.shape[0]:
        raise ShapeError(f"{what}: {length} positions are more than the {table.shape[0]} that there are", user_loc())
    if positions is None:
        return table if length == table.shape[0] else table[:length]
    if not positions.ndim or positions.shape[-1] != length:
        raise ShapeError(f"{what}: positions are [..., {length}], got {positions.type}", user_loc())
    return embedding(positions, table)


def angles_of(length: int, dim: int, base: float) -> Array:
    """t · base**(-2 i / dim) for t < length and i < dim / 2, f64[length, ceil(dim / 2)]."""
    return np.arange(length)[:, None] * base ** (-np.arange(0, dim, 2) / dim)


def sinusoids(length: int, dim: int) -> Array:
    """The sinusoidal table of `PositionalEncoding`, f64[length, dim]: sines in the even columns, cosines in the odd."""
    angles = angles_of(length, dim, 10000.0)
    pairs = np.stack([np.sin(angles), np.cos(angles)], -1)
    return pairs.reshape(length, -1)[:, :dim]


# Rotary positions.
def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x [..., d] with the pairs (x[i], x[i + d / 2]) turned by angles whose cosines and sines [..., d / 2] broadcast:

        (a, b) -> (a cos - b sin, a sin + b cos)                                            (Su et al. 2021)

    Pairs are of the two halves of x, as in GPT-NeoX and Llama as published by Hugging Face. The paper's own code pairs
    neighbours, x[2 i] and x[2 i + 1]: the same up to the order of the elements, so weights trained the one way need
    their rows reordered for the other. cos and sin may be f32 where x has 16 bits.
    """
    for name, table in (("x", x), ("cos", cos), ("sin", sin)):
        if not require_tensor("apply_rotary", table).dtype.is_float or not table.ndim:
            raise ShapeError(f"apply_rotary: {name} is floats with at least one axis, got {table.type}", user_loc())
    if cos.type != sin.type or x.shape[-1] != 2 * cos.shape[-1]:
        raise ShapeError(
            f"apply_rotary: cos and sin of x {x.type} are [..., {x.shape[-1] / 2:g}], got {cos.type} and {sin.type}",
            user_loc(),
        )
    return _turned("apply_rotary", x, cat([cos, cos], -1), cat([-sin, sin], -1))


def _turned(what: str, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x cos + swapped(x) sin, of tables that have both halves: [cos, cos] and [-sin, sin]."""
    if broadcast_shapes(what, x.shape, cos.shape) != x.shape:
        raise ShapeError(f"{what}: tables {cos.type} do not broadcast to x {x.type}", user_loc())
    dtype = f32 if x.dtype.bits == 16 and cos.dtype == f32 else x.dtype
    tables = (table.cast(dtype).broadcast_to(x.shape) for table in (cos, sin))
    return apply(ops.rotary.rotary, x, *tables)


class RotaryEmbedding(Module):
    """Queries or keys [..., length, head_dim] turned by angles that grow with their positions, so that their products
    depend on the distance between positions alone (Su et al. 2021): at position t, pair i by t base**(-2 i / head_dim).

    Pairs are as `apply_rotary` describes them. Cosines and sines are buffers, computed once.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, max_seq_len: int, base: float = 10000.0, dtype: object = f32) -> None:
        super().__init__()
        self.head_dim = arguments.integer("RotaryEmbedding", "head_dim", head_dim, 2)
        if head_dim % 2:
            raise arguments.wrong_value("RotaryEmbedding", "head_dim", "an even number", head_dim)
        self.max_seq_len = arguments.integer("RotaryEmbedding", "max_seq_len", max_seq_len, 1)
        self.base = float(arguments.positive("RotaryEmbedding", "base", base))
        angles = angles_of(max_seq_len, head_dim, self.base)
        cos = np.concatenate([np.cos(angles), np.cos(angles)], -1)
        sin = np.concatenate([-np.sin(angles), np.sin(angles)], -1)
        self.register_buffer("cos", Tensor(cos.astype(dtype_of(dtype).numpy)), persistent=False)
        self.register_buffer("sin", Tensor(sin.astype(dtype_of(dtype).numpy)), persistent=False)

    def forward(self, x: Tensor, positions: Tensor | None = None) -> Tensor:
        """x is [..., length, head_dim]. `positions` of integers say where its elements stand, by default at 0, 1, …:
        [length], or [batch, length] for x [batch, heads, length, head_dim]. ShapeError beyond `max_seq_len`, IndexError
        where positions are."""
        if x.ndim < 2 or x.shape[-1] != self.head_dim or not x.dtype.is_float:
            raise ShapeError(f"RotaryEmbedding: x is floats [..., length, {self.head_dim}], got {x.type}", user_loc())
        cos, sin = (table_rows("RotaryEmbedding", table, x.shape[-2], positions) for table in (self.cos, self.sin))
        if cos.ndim == 3:  # of [batch, length] positions, the same for all heads
            cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
        return _turned("RotaryEmbedding", x, cos, sin)

    def extra_repr(self) -> str:
        return f"{self.head_dim}, {self.max_seq_len}, base={self.base:g}"
