"""Module 14: keys and values of the tokens so far, kept so that a further token costs one token's work.

A model that takes a cache begins each forward with `begin`, has each layer of attention `update` its own keys and
values, and ends with `advance`, which counts the tokens. What has been written and not been counted is forgotten by
the next `begin`, so a forward that fails half-way leaves the cache as it was. Layers that are called without a model
around them append: each of a layer's updates goes on where its last one ended.

    cache = KVCache(batch, 256, model.num_layers, 384)
    logits = model(prompt, cache=cache)            # compiled: one executable for the prompt
    logits = model(next_token, cache=cache)        # and one for each token after it, over the same state

Prompts of different lengths are padded on the right. A row sees only what stands before its own tokens, so padding
changes nothing there; `truncate(lengths)` drops it, and each row goes on at its own position.
"""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.attention.functions import attention_at
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange, zeros
from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import grad_mode, require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError, TraceError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.types import dtype_of, f32, i64

__all__ = ["KVCache", "attention_with_cache"]


class KVCache(Module):
    """Room for the keys and values of `max_seq_len` tokens in each of `max_batch_size` rows, in every layer.

    Keys and values are [batch, length, embed_dim], or of heads: [batch, heads, length, head_dim]. Without `num_heads`
    any number of heads may share embed_dim; with it, `num_kv_heads` (by default num_heads) are kept, of `head_dim`
    (by default embed_dim / num_heads). Memory: 2 · num_layers · max_batch_size · max_seq_len · width elements of
    `dtype`, where width is num_kv_heads · head_dim, or embed_dim.

    `positions`, i64[batch], is how many tokens each row has, so where its next one stands. Gradients stop here: what is
    kept has none. Buffers, which a state_dict holds, are `positions`, and of each layer `keys` and `values`.
    """

    keys: list[Tensor]
    values: list[Tensor]
    positions: Tensor
    pending: Tensor  # i64[num_layers]: how many tokens each layer has written that have not been counted

    def __init__(
        self,
        max_batch_size: int,
        max_seq_len: int,
        num_layers: int,
        embed_dim: int,
        num_heads: int | None = None,
        num_kv_heads: int | None = None,
        head_dim: int | None = None,
        dtype: object = f32,
    ) -> None:
        super().__init__()
        self.max_batch_size = arguments.integer("KVCache", "max_batch_size", max_batch_size, 1)
        self.max_seq_len = arguments.integer("KVCache", "max_seq_len", max_seq_len, 1)
        self.num_layers = arguments.integer("KVCache", "num_layers", num_layers, 1)
        self.embed_dim = arguments.integer("KVCache", "embed_dim", embed_dim, 1)
        self.dtype = dtype_of(dtype)
        if not self.dtype.is_float:
            raise arguments.wrong_value("KVCache", "dtype", "a float dtype", dtype)
        self.num_kv_heads, self.width = self._heads(num_heads, num_kv_heads, head_dim)
        # A row is a token's keys (or values) of all heads, so that one write keeps a token, however they are split.
        shape = (self.max_batch_size, self.max_seq_len, self.width)
        self.register_buffer("keys", None)
        self.register_buffer("values", None)
        self.keys, self.values = ([zeros(*shape, dtype=self.dtype) for _ in range(self.num_layers)] for _ in range(2))
        self.register_buffer("positions", zeros(self.max_batch_size, dtype=i64))
        self.register_buffer("pending", zeros(self.num_layers, dtype=i64), persistent=False)
        self._last = self.num_kv_heads  # heads of the last update; None: without that axis

    def _heads(self, heads: int | None, kept: int | None, head_dim: int | None) -> tuple[int | None, int]:
        """How many heads are kept, if that is known, and how wide they are together."""
        if heads is None:
            for name, value in (("num_kv_heads", kept), ("head_dim", head_dim)):
                if value is not None:
                    raise TinyTorchError(f"KVCache: {name} needs num_heads beside it", user_loc())
            return None, self.embed_dim
        heads = arguments.integer("KVCache", "num_heads", heads, 1)
        kept = heads if kept is None else arguments.integer("KVCache", "num_kv_heads", kept, 1)
        if heads % kept:
            raise TinyTorchError(f"KVCache: {heads} heads do not share {kept} of keys and values evenly", user_loc())
        if head_dim is None and self.embed_dim % heads:
            raise TinyTorchError(f"KVCache: embed_dim {self.embed_dim} is no multiple of num_heads {heads}", user_loc())
        size = self.embed_dim // heads if head_dim is None else arguments.integer("KVCache", "head_dim", head_dim, 1)
        return kept, kept * size

    # Where rows are.
    def begin(self) -> Tensor:
        """Forget what no `advance` has counted. `positions`, of the tokens that come now; i64[batch]."""
        with grad_mode(False):
            self.pending.zero_()
        return self.positions.detach().clone()

    def advance(self, count: int | Tensor) -> None:
        """All layers have written `count` tokens, or i64[batch] of them, at most as many as were written.

        IndexError if a row has no room for them.
        """
        if not isinstance(count, Tensor):
            count = arguments.integer("KVCache.advance", "count", count, 0)
        else:
            count = self._checked(self._per_row("advance", count), self.max_seq_len + 1, "tokens to count:")
        end = self._checked(
            self.positions + count, self.max_seq_len + 1, f"KVCache of {self.max_seq_len} tokens is full: a length"
        )
        self._now(end)

    def truncate(self, lengths: int | Tensor) -> None:
        """Keep the first `lengths` (one number, or i64[batch]) of the tokens of each row that `advance` counted."""
        if not isinstance(lengths, Tensor):
            lengths = zeros(self.max_batch_size, dtype=i64) + arguments.integer(
                "KVCache.truncate", "lengths", lengths, 0
            )
        lengths = self._per_row("truncate", lengths)
        self._now(self.positions.minimum(self._checked(lengths, self.max_seq_len + 1, "KVCache.truncate: a length")))

    def reset(self) -> None:
        """Forget all tokens."""
        with grad_mode(False):
            self.positions.zero_()
            self.pending.zero_()

    def _now(self, positions: Tensor) -> None:
        with grad_mode(False):
            self.positions.copy_(positions)
            self.pending.zero_()

    def _per_row(self, what: str, count: Tensor) -> Tensor:
        if count.dtype != i64 or count.shape not in ((), (self.max_batch_size,)):
            raise ShapeError(f"KVCache.{what}: needs i64[{self.max_batch_size}], got {count.type}", user_loc())
        return count.broadcast_to((self.max_batch_size,))

    def _checked(self, x: Tensor, size: int, what: str) -> Tensor:
        """x, whose elements must be in [0, size)."""
        return apply(ops.elementwise.checked_index, x, size=size, wrap=False, what=what)

    # What they hold.
    def update(self, layer_idx: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Write the layer's keys and values of further tokens; (keys, values, positions) for attention to read.

        Keys and values are all that the layer has room for, in the form of `key`: [batch, heads, max_seq_len, head_dim]
        or [batch, max_seq_len, width]; positions, i64[batch], are where the tokens written now begin, and what lies
        behind them is not valid. IndexError, before anything is written, if a row has no room; errors for a layer, a
        batch size, shapes or dtypes that are not the cache's; under `tt.autocast`, keys and values take its dtype.
        """
        layer = self._layer("update", layer_idx)
        if mode.autocast is not None:
            key, value = (require_tensor("KVCache.update", x).cast(self.dtype) for x in (key, value))
        heads, length = self._check(key, value)
        most = self.max_seq_len
        if length > most:
            raise arguments.ArgumentIndexError(
                f"KVCache of {most} tokens is full: {length} tokens are more than it can have", user_loc()
            )
        object.__setattr__(self, "_last", heads)
        with grad_mode(False):
            first = self._first(layer, length)
            places = places_of(first, length, most)
            write(self.keys[layer], joined(key.detach()), places)
            write(self.values[layer], joined(value.detach()), places)
            self.pending[layer] += length
            keys, values = (split_heads(kept.detach(), heads) for kept in (self.keys[layer], self.values[layer]))
        return keys, values, first

    def _first(self, layer: int, length: int) -> Tensor:
        """Where the layer's next tokens begin, in [0, max_seq_len - length]."""
        most = self.max_seq_len
        what = f"KVCache of {most} tokens is full: {length} more from position"
        return self._checked(self.positions + self.pending[layer], most - length + 1, what)

    def get(self, layer_idx: int) -> tuple[Tensor, Tensor]:
        """Copies of the layer's keys and values as far as the longest row goes, in the form of the last update; 0
        behind the ends of shorter rows. How far is known only when it runs: a TraceError in a trace."""
        layer = self._layer("get", layer_idx)
        if mode.trace is not None:
            raise TraceError(
                "KVCache.get: how many tokens there are is not known in a trace; `update` returns keys and values with "
                "the positions up to which they are valid",
                user_loc(),
            )
        with grad_mode(False):
            lengths = self.positions + self.pending[layer]
            longest = int(lengths.max().item())
            valid = (arange(longest) < lengths.unsqueeze(1)).unsqueeze(2)
            found = [where(valid, x[layer][:, :longest], 0.0) for x in (self.keys, self.values)]
            return split_heads(found[0], self._last), split_heads(found[1], self._last)

    def _layer(self, what: str, layer_idx: int) -> int:
        layer = arguments.integer(f"KVCache.{what}", "layer_idx", layer_idx, 0)
        if layer >= self.num_layers:
            raise arguments.ArgumentIndexError(
                f"KVCache.{what}: layer_idx {layer} is out of range for {self.num_layers} layers", user_loc()
            )
        return layer

    def _check(self, key: Tensor, value: Tensor) -> tuple[int | None, int]:
        """The heads (None: no such axis) and the length of keys and values that fit."""
        for x in (key, value):
            require_tensor("KVCache.update", x)
        fits = key.ndim in (3, 4) and key.shape[0] == self.max_batch_size and key.type == value.type
        heads = key.shape[1] if key.ndim == 4 else None
        width = math.prod((heads or 1, key.shape[-1])) if fits else 0
        if width != self.width or key.dtype != self.dtype or (heads and self.num_kv_heads not in (None, heads)):
            hint = "" if key.dtype == self.dtype else f"; make the cache with dtype=tt.{key.dtype}"
            raise ShapeError(f"KVCache.update: {self._wanted()}, got {key.type} and {value.type}{hint}", user_loc())
        return heads, key.shape[-2]

    def _wanted(self) -> str:
        batch, heads = self.max_batch_size, self.num_kv_heads
        split = f"[{batch}, heads, length, head_dim] with heads · head_dim = {self.width}"
        split = split if heads is None else f"[{batch}, {heads}, length, {self.width // heads}]"
        return f"key and value are {self.dtype}{split}, or {self.dtype}[{batch}, length, {self.width}]"

    def extra_repr(self) -> str:
        heads = "" if self.num_kv_heads is None else f", num_kv_heads={self.num_kv_heads}"
        return f"{self.max_batch_size}, {self.max_seq_len}, {self.num_layers}, {self.embed_dim}{heads}"


def places_of(first: Tensor, length: int, most: int) -> Tensor:
    """Where `length` tokens of each row go, which begin at `first` i64[batch], if the rows, each with room for `most`,
    stand one behind another: i64[batch, length]."""
    rows = arange(0, first.shape[0] * most, most).unsqueeze(1)
    return rows + first.unsqueeze(1) + arange(length)


def write(kept: Tensor, new: Tensor, places: Tensor) -> None:
    """Put the tokens of `new` [batch, length, width] at `places` i64[batch, length] of `kept` [batch, most, width],
    whose rows count as one behind another, in place."""
    flat = kept.view(-1, kept.shape[-1])
    flat.index_copy_(0, places.flatten(), new.reshape(-1, new.shape[-1]))


def joined(x: Tensor) -> Tensor:
    """[batch, heads, length, head_dim] as [batch, length, heads · head_dim]; what has three axes is that already."""
    return x if x.ndim == 3 else x.transpose(1, 2).reshape(x.shape[0], x.shape[2], x.shape[1] * x.shape[3])


def split_heads(x: Tensor, heads: int | None) -> Tensor:
    """The reverse, of so many heads; None: without that axis, so x itself."""
    batch, length, width = x.shape
    return x if heads is None else x.view(batch, length, heads, width // heads).transpose(1, 2)


def attention_with_cache(
    Q: Tensor, K: Tensor, V: Tensor, cache: KVCache, layer_idx: int, scale: float | None = None
) -> Tensor:
    """Causal attention of further tokens to themselves and to those in the cache, which takes their keys and values.

    Q is [batch, heads, length, head_dim], K and V [batch, groups, length, head_dim], heads a multiple of groups (head h
    reads h // (heads / groups)); or all three [batch, length, dim], one head. The result has the shape of Q, and
    `cache.update` says what else must fit. `scale` is by default 1 / sqrt(head_dim).
    """
    require_tensor("attention_with_cache", Q)
    arguments.instance("attention_with_cache", "cache", cache, KVCache)
    for x in (K, V):
        require_tensor("attention_with_cache", x)
    heads = K.ndim - 3  # the axis of heads, if there is one
    fits = Q.ndim == K.ndim and heads in (0, 1) and (Q.shape[0], *Q.shape[-2:]) == (K.shape[0], *K.shape[-2:])
    if not fits or Q.dtype != K.dtype or (heads and (not K.shape[1] or Q.shape[1] % K.shape[1])):
        raise ShapeError(
            f"attention_with_cache: Q {Q.type}, K {K.type} and V {V.type} do not fit each other", user_loc()
        )
    return attend_to_cache(Q, K, V, cache, layer_idx, scale)


def attend_to_cache(
    Q: Tensor, K: Tensor, V: Tensor, cache: KVCache, layer_idx: int, scale: float | None = None
) -> Tensor:
    """`attention_with_cache` of operands that fit each other."""
    keys, values, positions = cache.update(layer_idx, K, V)
    if Q.ndim == 4:
        return attention_at(Q, keys, values, positions, scale)
    q, k, v = (x.unsqueeze(1) for x in (Q, keys, values))
    return attention_at(q, k, v, positions, scale).squeeze(1)
