"""Scaled dot-product attention over heads, and its gradient (Vaswani et al. 2017; Dao et al. 2022).

q is [batch, heads, queries, d], k [batch, groups, keys, d], v [batch, groups, keys, dv]; heads is a multiple of
groups, and head h reads group h // (heads / groups) (Ainslie et al. 2023). The operands behind v are what `extras`
names, in this order:

- "mask", of [batch, heads, queries, keys]: bool, true where a query sees a key, or of v's dtype, added to the scores.
- "state", i64[2], of the random numbers of dropout; there if p > 0.
- "positions", i64[batch]: which key each batch entry's first query stands at. Without, it stands at key 0.

Scores are q kᵀ · scale + mask; those of keys that a query does not see become `fill`. With `causal`, query i sees no
key behind its own position. With positions, keys behind the last query's position do not exist, whatever they hold.
Weights are the softmax of the scores; weights that dropout does not keep are 0, the others are divided by 1 - p. A
row without a score above -inf has weights of 0 if `zeros`, and else of NaN; without any keys the result is 0. A weight
of 0 times an infinite value is NaN, as in a product of matrices.

The second result is what weights are made with, for the gradient: [batch, heads, queries, 2], the largest score of a
row and one over its sum of exponentials. Their logarithms together would lose the sum beside a score like -1e9.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expansions import differentiated, eval_of, fast_of
from tinytorch.ir.op import Attrs, JointRule, Op, apply, define
from tinytorch.ir.ops.composite import kept
from tinytorch.ir.ops.contract import matmul, transposed
from tinytorch.ir.ops.core import cast, filled, iota, where, zeros_like
from tinytorch.ir.ops.elementwise import and_, eq, exp, le, lt
from tinytorch.ir.ops.reduce import max_, sum_
from tinytorch.ir.ops.view import broadcast, concat, reshape, slice_
from tinytorch.ir.types import DType, Shape, TensorType, bool_, f32, i64

EXTRAS = ("mask", "state", "positions")


@dataclass(frozen=True)
class Attention:
    """The attributes of `attention` and its gradient."""

    scale: float
    causal: bool = False
    extras: tuple[str, ...] = ()
    p: float = 0.0
    fill: float = -math.inf
    zeros: bool = True

    @property
    def attrs(self) -> dict[str, Any]:
        return dict(vars(self))

    def named(self, operands: Sequence[Any]) -> Mapping[str, Any]:
        """The operands behind v by their names; those of the gradient follow them."""
        return dict(zip(self.extras, operands[3:], strict=False))


def _attention_types(*types: TensorType, **attrs: Any) -> tuple[TensorType, TensorType]:
    how = Attention(**attrs)
    _check_extras(how, len(types))
    q, k, v = types[:3]
    if not q.dtype.is_float or not q.dtype == k.dtype == v.dtype or not q.rank == k.rank == v.rank == 4:
        raise ShapeError(f"attention: needs q, k and v of one float dtype with 4 axes, got {q}, {k} and {v}")
    batch, heads, queries, d = q.shape
    groups, keys = k.shape[1:3]
    if k.shape != (batch, groups, keys, d) or v.shape[:3] != k.shape[:3] or (heads % groups if groups else heads):
        raise ShapeError(f"attention: q {q}, k {k} and v {v} do not fit each other")
    extras = how.named(types)
    mask, scores = extras.get("mask"), (batch, heads, queries, keys)
    if mask is not None and (mask.shape != scores or mask.dtype not in (bool_, v.dtype)):
        raise ShapeError(f"attention: a mask is bool or {v.dtype} of {list(scores)}, got {mask}")
    for name, wanted in (("state", TensorType(i64, (2,))), ("positions", TensorType(i64, (batch,)))):
        if extras.get(name, wanted) != wanted:
            raise ShapeError(f"attention: {name} is {wanted}, got {extras[name]}")
    return TensorType(v.dtype, (batch, heads, queries, v.shape[3])), TensorType(_wide(q), (batch, heads, queries, 2))


def _check_extras(how: Attention, operands: int) -> None:
    if how.extras != tuple(name for name in EXTRAS if name in how.extras) or operands != 3 + len(how.extras):
        raise ShapeError(f"attention: {operands} operands are not q, k, v and {', '.join(how.extras) or 'nothing'}")
    if not 0 <= how.p <= 1 or (how.p > 0) != ("state" in how.extras):
        raise ShapeError(f"attention: p is a probability, above 0 with a state and 0 without, got {how.p}")


def _wide(x: TensorType) -> DType:
    """What scores and sums are kept in."""
    return x.dtype if x.dtype.bits > 16 else f32


# What both definitions share. Rows are queries of all heads of a group: [batch, groups, heads / groups * queries, …].
class _Scores:
    """The scores of operands that have been cast, which are visible, and what to drop."""

    def __init__(self, how: Attention, operands: Sequence[Any]) -> None:
        dtype = _wide(operands[0].type)
        q, k, v = (_cast(x, dtype) for x in operands[:3])
        self.how, self.extras = how, how.named(operands)
        self.shape: Shape = (*q.type.shape[:3], k.type.shape[2])
        self.q = _grouped(q, k)
        self.k, self.v = self.existing(k), self.existing(v)
        scores = self.ungrouped(apply(matmul, self.q, transposed(self.k))) * how.scale
        mask = self.extras.get("mask")
        if mask is not None and mask.type.dtype.is_float:
            scores = scores + _cast(mask, dtype)
        self.visible = self._visible(mask)
        scores = scores if self.visible is None else self.where_visible(scores, how.fill)
        if "positions" in self.extras and how.fill != -math.inf:
            scores = apply(where, self._exist(self.shape, 3), scores, filled(scores, -math.inf, scores.type))
        self.scores = scores

    def _counted(self, x: Any, axis: int) -> Any:
        return x.apply_op(iota, (), {"shape": self.shape, "axis": axis})

    def _positions(self, shape: Shape) -> Any:
        return _along(apply(reshape, self.extras["positions"], shape=(self.shape[0], 1, 1, 1)), shape)

    def existing(self, x: Any) -> Any:
        """Rows of keys or values, 0 where those do not exist."""
        if "positions" not in self.extras:
            return x
        return apply(where, self._exist(x.type.shape, 2), x, zeros_like(x))

    def _exist(self, shape: Shape, axis: int) -> Any:
        """bool: which keys, along `axis`, exist."""
        key = self.q.apply_op(iota, (), {"shape": shape, "axis": axis})
        return apply(lt, key, self._positions(shape) + self.shape[2])

    def _visible(self, mask: Any) -> Any:
        """bool: which keys each query sees; None: all."""
        seen = mask if mask is not None and mask.type.dtype is bool_ else None
        if not self.how.causal and "positions" not in self.extras:
            return seen
        key = self._counted(self.q, 3)
        if self.how.causal:
            last = self._counted(self.q, 2)
            last = last + self._positions(self.shape) if "positions" in self.extras else last
        else:
            last = self._positions(self.shape) + (self.shape[2] - 1)
        known = apply(le, key, last)
        return known if seen is None else apply(and_, known, seen)

    def where_visible(self, x: Any, other: float) -> Any:
        return x if self.visible is None else apply(where, self.visible, x, filled(x, other, x.type))

    def dropped(self, weights: Any) -> Any:
        """Weights, or their cotangents, by what dropout keeps."""
        if not self.how.p:
            return weights
        if self.how.p == 1:
            return zeros_like(weights)
        keeps = kept(self.extras["state"], self.shape, self.how.p)
        return apply(where, keeps, weights * (1 / (1 - self.how.p)), zeros_like(weights))

    def grouped(self, x: Any) -> Any:
        """[batch, heads, queries, …] as rows."""
        return _grouped(x, self.k)

    def ungrouped(self, x: Any) -> Any:
        return apply(reshape, x, shape=(*self.shape[:3], x.type.shape[3]))


def _grouped(x: Any, k: Any) -> Any:
    batch, heads, queries, width = x.type.shape
    groups = k.type.shape[1]
    return apply(reshape, x, shape=(batch, groups, heads // groups * queries if groups else 0, width))


def _cast(x: Any, dtype: DType) -> Any:
    return x if x.type.dtype is dtype else apply(cast, x, dtype=dtype)


def _along(x: Any, shape: Shape) -> Any:
    return apply(broadcast, x, shape=shape)


def _sum(x: Any) -> Any:
    return apply(sum_, x, axes=(3,))


def _attention(*operands: Any, **attrs: Any) -> tuple[Any, Any]:
    how = Attention(**attrs)
    s = _Scores(how, operands)
    scores, shape = s.scores, s.shape
    zeros = how.zeros or not shape[3]
    if shape[3]:
        top = apply(max_, scores, axes=(3,))
    else:
        top = filled(scores, -math.inf, TensorType(scores.type.dtype, (*shape[:3], 1)))
    empty = apply(eq, top, filled(top, -math.inf, top.type))
    top = apply(where, empty, zeros_like(top), top) if zeros else top
    weights = apply(exp, scores - _along(top, shape))
    total = _sum(weights)
    if zeros:
        total = apply(where, empty, filled(total, math.inf, total.type), total)
    inverse = 1.0 / total
    weights = s.dropped(weights * _along(inverse, shape))
    out = s.ungrouped(apply(matmul, s.grouped(weights), s.v))
    return _cast(out, operands[2].type.dtype), apply(concat, top, inverse, axis=3)


def _grad_types(*types: TensorType, **attrs: Any) -> tuple[TensorType, TensorType, TensorType]:
    out, norms = _attention_types(*types[:-3], **attrs)
    wanted = (norms, TensorType(norms.dtype, (*norms.shape[:3], 1)), out)
    if types[-3:] != wanted:
        raise ShapeError(f"attention_grad: needs {' and '.join(map(str, wanted))}, got {list(map(str, types[-3:]))}")
    return types[0], types[1], types[2]


def _column(norms: Any, index: int) -> Any:
    shape = norms.type.shape
    return apply(slice_, norms, starts=(0, 0, 0, index), limits=(*shape[:3], index + 1), steps=(1, 1, 1, 1))


def _attention_grad(*operands: Any, **attrs: Any) -> tuple[Any, Any, Any]:
    """With weights p, dropped to d: dv = dᵀ g, and the scores' cotangent is c = p (drop(g vᵀ) - delta) where they are
    visible; dq = c k · scale, dk = cᵀ q · scale."""
    how = Attention(**attrs)
    s = _Scores(how, operands)
    norms, delta, g = operands[-3:]
    g = s.grouped(_cast(g, norms.type.dtype))
    weights = apply(exp, s.scores - _along(_column(norms, 0), s.shape)) * _along(_column(norms, 1), s.shape)
    dv = apply(matmul, transposed(s.grouped(s.dropped(weights))), g)
    by_value = s.dropped(s.ungrouped(apply(matmul, g, transposed(s.v))))
    c = s.where_visible(weights * (by_value - _along(delta, s.shape)), 0.0)
    c = s.grouped(c * how.scale)
    dq, dk = s.ungrouped(apply(matmul, c, s.k)), apply(matmul, transposed(c), s.q)
    dtype = operands[0].type.dtype
    return _cast(dq, dtype), _cast(s.existing(dk), dtype), _cast(s.existing(dv), dtype)


def _attention_rule(cts: Any, n: Any, indices: Sequence[int]) -> Sequence[Any]:
    """dq, dk and dv by a kernel of their own, where the gradient is that of the first result; the rest, which gradients
    of gradients and of masks need, by the definition. delta is what each row's weights lose to the others: the sum over
    them of weight times cotangent, which is g · out."""
    g, by_norms = cts
    if by_norms is not None:
        return _DEFINED.rule(cts, n, indices)
    out, norms = n.outputs
    wide = norms.type.dtype
    delta = _sum(_cast(g, wide) * _cast(out, wide))
    made = apply(attention_grad, *n.inputs, norms, delta, g, **n.attrs)
    masks = [index for index in indices if index > 2]
    found = dict(zip(masks, _DEFINED.rule(cts, n, masks), strict=True)) if masks else {}
    return [made[index] if index < 3 else found[index] for index in indices]


def _pairs(types: Sequence[TensorType], attrs: Attrs) -> int:
    """Queries times the keys that they may see, of all heads."""
    (batch, heads, queries, _), keys = types[0].shape, types[1].shape[2]
    if not attrs["causal"] or "positions" in attrs["extras"]:
        return batch * heads * queries * keys
    seen = min(queries, keys)
    return batch * heads * (seen * (seen + 1) // 2 + (queries - seen) * keys)


def _flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
    return _pairs(types, attrs) * (2 * (types[0].shape[3] + types[2].shape[3]) + 5)


def _grad_flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
    return _pairs(types, attrs) * (2 * (3 * types[0].shape[3] + 2 * types[2].shape[3]) + 5)


_DEFINED = differentiated(_attention)
attention = define(Op(
    name="attention", kind="composite", results=2,
    doc="softmax(q kᵀ · scale + mask) v of each head, and what the weights of each row are made with.",
    infer=_attention_types, eval=eval_of(_attention), fast=fast_of(_attention), expand=_attention,
    vjp=JointRule(_attention_rule), flops=_flops, autocast="low",
))  # fmt: skip
attention_grad = define(Op(
    name="attention_grad", kind="composite", results=3,
    doc="The cotangents of q, k and v, given what weights are made with, delta, and the cotangent g of the result.",
    infer=_grad_types, eval=eval_of(_attention_grad), fast=fast_of(_attention_grad), expand=_attention_grad,
    vjp=differentiated(_attention_grad), flops=_grad_flops,
))  # fmt: skip
