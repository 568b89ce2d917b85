"""A step of the GPT that makes a token behind others, with frozen weights: what the capstone times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tinytorch as tt

POSITION = 256  # of the token: the middle of a text of 512 characters


def decode_step(model: Any, position: int = POSITION) -> tuple[Callable[..., tt.Tensor], tuple[tt.Tensor, ...]]:
    """A function of tensors, to be compiled with `freeze=True`, and its arguments: the logits of the token behind
    `position` others. The cache's tensors are arguments, so that the weights alone are frozen; each call writes the
    same row of keys and values, so that all calls are alike."""
    attention = model.blocks[0].attention
    sizes = (model.num_layers, model.embed_dim, attention.num_heads, attention.num_kv_heads, attention.head_dim)
    cache = tt.KVCache(1, model.context_length, *sizes)
    cache.positions.fill_(min(position, model.context_length - 1))
    layers = model.num_layers

    def step(token: tt.Tensor, positions: tt.Tensor, pending: tt.Tensor, *rows: tt.Tensor) -> tt.Tensor:
        held = tt.KVCache(1, model.context_length, *sizes)
        held.keys, held.values = list(rows[:layers]), list(rows[layers:])
        held.positions, held.pending = positions.clone(), pending.clone()
        return model(token, cache=held)[:, -1]

    arguments = (tt.zeros(1, 1, dtype=tt.i64), cache.positions, cache.pending, *cache.keys, *cache.values)
    return step, arguments
