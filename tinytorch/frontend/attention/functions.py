"""Scaled dot-product attention as functions.

Of T queries and keys of d elements, the products are 4 T² d operations a head, half of that where causal tiles are
skipped. Written as three ops, they keep T² scores and T² weights; the op `attention` is a kernel of its own that keeps
two numbers for each row, and computes weights again on the way back (Dao et al. 2022).
"""

from __future__ import annotations

import math

from tinytorch.frontend import arguments
from tinytorch.frontend.binding import clear
from tinytorch.frontend.functions.random import Generator, stream
from tinytorch.frontend.spelling import spelled
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.autocasting import low
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import apply
from tinytorch.ir.operators.promotion import broadcast_shapes
from tinytorch.ir.ops.attention import Attention
from tinytorch.ir.types import Shape, TensorType, bool_, i64

__all__ = ["scaled_dot_product_attention"]

_NAME = "scaled_dot_product_attention"


@clear
@low
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
    V [..., keys, dv], all of one float dtype: [..., queries, dv]. Leading axes broadcast.

    - `mask` broadcasts to [..., queries, keys]: bool, True where a query sees a key, or floats of V's dtype, which are
      added to the scores. A query that sees no key, or whose scores are all -inf, gives zeros (in PyTorch NaN or zeros,
      by the kernel it takes). A NaN in the operands stays one.
    - `is_causal`: query i sees keys 0 to i, also where there are more keys than queries. With a mask, both hold.
    - `dropout_p`: the probability with which a weight is 0, the others being divided by 1 - dropout_p; whether in
      training or not, as in PyTorch.
    - `scale` is by default 1 / sqrt(d).
    - `enable_gqa`: the third axis from the end is heads, of which K and V may have fewer: head h reads
      h // (heads of Q / heads of K).
    """
    lead, groups = _leading(Q, K, V, arguments.flag(_NAME, "enable_gqa", enable_gqa))
    arguments.flag(_NAME, "is_causal", is_causal)
    arguments.instance(_NAME, "generator", generator, Generator, optional=True)
    p = float(arguments.probability(_NAME, "dropout_p", dropout_p))
    shape = (*lead, Q.shape[-2], K.shape[-2])
    extras: dict[str, Tensor] = {}
    if mask is not None:
        extras["mask"] = _in_four(_mask(_NAME, mask, V, shape), lead, lead[-1:])
    if p:
        extras["state"] = stream("scaled_dot_product_attention", generator).take(math.prod(shape))
    q = _in_four(Q, lead, lead[-1:])
    k, v = (_in_four(x, (*lead[:-1], *groups), groups) for x in (K, V))
    how = Attention(scale=_scale(_NAME, Q, scale), causal=is_causal, extras=tuple(extras), p=p)
    out = apply(ops.attention.attention, q, k, v, *extras.values(), **how.attrs)[0]
    return out.reshape(*shape[:-1], V.shape[-1])


@spelled(space="nn.functional", name="scaled_dot_product_attention")
def _of_pytorch(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query keyᵀ · scale + attn_mask) value: `tt.scaled_dot_product_attention` with PyTorch's arguments."""
    return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


@low
def attention_at(Q: Tensor, K: Tensor, V: Tensor, positions: Tensor, scale: float | None = None) -> Tensor:
    """Causal attention of queries [batch, heads, queries, d], of which the first of each batch entry stands at key
    `positions` i64[batch], over keys and values [batch, groups, keys, d] of a cache: what lies behind the last query
    does not exist, whatever it holds."""
    name = "attention_at"
    lead = _leading(Q, K, V, True, name)[0]
    if len(lead) != 2 or K.shape[:1] != lead[:1] or V.shape[:1] != lead[:1] or Q.shape[:1] != lead[:1]:
        raise ShapeError(
            f"{name}: Q is [batch, heads, queries, d], K and V [batch, groups, keys, d] of the same batch; got "
            f"{Q.type}, {K.type} and {V.type}",
            user_loc(),
        )
    if require_tensor(name, positions).type != TensorType(i64, lead[:1]):
        raise ShapeError(f"{name}: positions are {TensorType(i64, lead[:1])}, got {positions.type}", user_loc())
    how = Attention(scale=_scale(name, Q, scale), causal=True, extras=("positions",))
    return apply(ops.attention.attention, Q, K, V, positions, **how.attrs)[0]


def _scale(what: str, q: Tensor, scale: float | None) -> float:
    if scale is None:
        return 1 / math.sqrt(q.shape[-1]) if q.shape[-1] else 1.0
    return float(arguments.finite(what, "scale", scale))


def _in_four(x: Tensor, lead: Shape, heads: Shape) -> Tensor:
    """x with those leading axes, as [batch, heads, …, …]."""
    x = x.broadcast_to(*lead, *x.shape[-2:])
    return x if x.ndim == 4 else x.reshape(math.prod(lead[:-1]), *(heads or (1,)), *x.shape[-2:])


def _leading(q: Tensor, k: Tensor, v: Tensor, gqa: bool, name: str = _NAME) -> tuple[Shape, Shape]:
    """The axes of the result before the last two, and the last of them as K and V have it."""
    types = [require_tensor(name, x).type for x in (q, k, v)]
    got = f"got {types[0]}, {types[1]} and {types[2]}"
    if not q.dtype.is_float or not q.dtype == k.dtype == v.dtype:
        raise ShapeError(f"{name}: Q, K and V are of one float dtype, {got}", user_loc())
    least = 3 if gqa else 2
    if min(q.ndim, k.ndim, v.ndim) < least or q.shape[-1] != k.shape[-1] or k.shape[-2] != v.shape[-2]:
        axes = "..., heads" if gqa else "..."
        raise ShapeError(
            f"{name}: Q is [{axes}, queries, d], K [{axes}, keys, d] and V [{axes}, keys, dv]; {got}", user_loc()
        )
    if not gqa:
        lead = _broadcast(name, *(x.shape[:-2] for x in (q, k, v)))
        return lead, lead[-1:]
    heads, groups = q.shape[-3], k.shape[-3]
    if v.shape[-3] != groups or (heads % groups if groups else heads):
        raise ShapeError(f"{name}: heads of Q are a multiple of those of K and V; {got}", user_loc())
    return (*_broadcast(name, *(x.shape[:-3] for x in (q, k, v))), heads), (groups,)


def _broadcast(name: str, *shapes: Shape) -> Shape:
    out: Shape = ()
    for shape in shapes:
        out = broadcast_shapes(name, out, shape)
    return out


def _mask(name: str, mask: Tensor, v: Tensor, shape: Shape) -> Tensor:
    """The mask of all scores, which have that shape."""
    if require_tensor(name, mask).dtype not in (bool_, v.dtype):
        raise ShapeError(f"{name}: a mask is bool (True: take part) or {v.dtype} (added), got {mask.type}", user_loc())
    own = (1,) * (len(shape) - mask.ndim) + mask.shape
    if mask.ndim > len(shape) or any(a not in (1, b) for a, b in zip(own, shape, strict=True)):
        raise ShapeError(f"{name}: mask {mask.type} does not broadcast to {list(shape)}", user_loc())
    return mask.broadcast_to(shape)
