"""Scaled dot-product attention as functions."""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.gradients import require_tensor
from tinytorch.frontend.random import Generator, default_generator
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.ops.attention import Attention
from tinytorch.ir.promotion import broadcast_shapes
from tinytorch.ir.types import Shape, bool_

__all__ = ["scaled_dot_product_attention"]

_NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    Q: Tensor,
    K: Tensor,
    V: Tensor,
    mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    generator: Generator | None = None,
) -> Tensor:
    """softmax(Q Kᵀ · scale + mask) V (Vaswani et al. 2017), of Q [..., queries, d], K [..., keys, d] and
    V [..., keys, dv]: [..., queries, dv]. Leading axes broadcast.

    `mask` broadcasts to [..., queries, keys]: bool, True where a query sees a key, or floats that are added to the
    scores. With `is_causal`, query i sees keys 0 to i. A query that sees nothing gives zeros. Weights are dropped with
    probability `dropout_p`, whoever calls. `scale` is by default 1 / sqrt(d). With `enable_gqa`, the third axis from
    the end is heads, of which K and V may have fewer: head h reads h // (heads of Q / heads of K).
    """
    for x in (Q, K, V):
        require_tensor(_NAME, x)
    lead, groups = _leading(Q, K, V, arguments.flag(_NAME, "enable_gqa", enable_gqa))
    arguments.flag(_NAME, "is_causal", is_causal)
    p = float(arguments.probability(_NAME, "dropout_p", dropout_p))
    if scale is None:
        scale = 1 / math.sqrt(Q.shape[-1]) if Q.shape[-1] else 1.0
    queries, keys = Q.shape[-2], K.shape[-2]
    batch, heads = math.prod(lead[:-1]), lead[-1] if lead else 1
    extras: dict[str, Tensor] = {}
    if mask is not None:
        extras["mask"] = _mask(mask, V, (*lead, queries, keys)).reshape(batch, heads, queries, keys)
    if p:
        extras["state"] = (generator or default_generator).take(batch * heads * queries * keys)
    q = _four(Q, (*lead[:-1], heads) if lead else (), heads)
    k, v = (_four(x, (*lead[:-1], groups) if lead else (), groups) for x in (K, V))
    how = Attention(scale=float(scale), causal=is_causal, extras=tuple(extras), p=p)
    out = apply(ops.attention.attention, q, k, v, *extras.values(), **how.attrs)[0]
    return out.reshape(*lead, queries, V.shape[-1])


def _four(x: Tensor, lead: Shape, heads: int) -> Tensor:
    """x as [batch, heads, length, d]."""
    shape = (*lead, *x.shape[-2:])
    x = x if x.shape == shape else x.broadcast_to(shape)
    return x if x.ndim == 4 else x.reshape(math.prod(lead[:-1]), heads, *x.shape[-2:])


def _leading(q: Tensor, k: Tensor, v: Tensor, gqa: bool) -> tuple[Shape, int]:
    """The axes before the last two, of the result; and the heads of K and V."""
    if not q.dtype.is_float or not q.dtype == k.dtype == v.dtype:
        raise ShapeError(f"{_NAME}: Q, K and V are of one float dtype, got {q.type}, {k.type} and {v.type}", user_loc())
    fits = min(q.ndim, k.ndim, v.ndim) >= 2 and q.shape[-1] == k.shape[-1] and k.shape[-2] == v.shape[-2]
    if not fits:
        raise ShapeError(
            f"{_NAME}: Q is [..., queries, d], K [..., keys, d], V [..., keys, dv]; got {q.type}, {k.type} and "
            f"{v.type}",
            user_loc(),
        )
    if gqa:
        heads, groups = q.shape[-3], k.shape[-3]
        if v.shape[-3] != groups or not groups or heads % groups:
            raise ShapeError(f"{_NAME}: {heads} heads of Q do not share {groups} of K and V evenly", user_loc())
        lead = _broadcast(q.shape[:-3], k.shape[:-3], v.shape[:-3])
        return (*lead, heads), groups
    lead = _broadcast(q.shape[:-2], k.shape[:-2], v.shape[:-2])
    return lead, lead[-1] if lead else 1


def _broadcast(*shapes: Shape) -> Shape:
    out: Shape = ()
    for shape in shapes:
        out = broadcast_shapes(_NAME, out, shape)
    return out


def _mask(mask: Tensor, v: Tensor, shape: Shape) -> Tensor:
    if mask.dtype not in (bool_, v.dtype):
        raise ShapeError(f"{_NAME}: a mask is bool or {v.dtype}, got {mask.type}", user_loc())
    try:
        return mask.broadcast_to(shape)
    except ShapeError:
        raise ShapeError(f"{_NAME}: mask {mask.type} does not broadcast to {list(shape)}", user_loc()) from None


def attention_at(Q: Tensor, K: Tensor, V: Tensor, positions: Tensor, scale: float | None = None) -> Tensor:
    """Causal attention of queries [batch, heads, queries, d] whose first one stands at key `positions` i64[batch], over
    keys and values [batch, groups, keys, d] of which what lies behind the queries does not count."""
    if scale is None:
        scale = 1 / math.sqrt(Q.shape[-1])
    how = Attention(scale=float(scale), causal=True, extras=("positions",))
    if positions.ndim != 1:
        raise TinyTorchError(f"attention_at: positions are i64[batch], got {positions.type}", user_loc())
    return apply(ops.attention.attention, Q, K, V, positions, **how.attrs)[0]
