"""Recurrent layers over whole sequences: what a step computes (a `Cell`), and the ops that go through all steps.

Sequences are [steps, batch, features]. The products of the inputs are made outside, all steps at once: `x` holds
x_t @ W_ihᵀ + b_ih, the gates side by side as in PyTorch. What depends on the step before is inside: a product of the
hidden state with W_hh, and the cell behind it. The gradient op goes back through the steps and gives the cotangents of
those products; the gradients of weights are then one product over all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinytorch.ir.errors import ShapeError
from tinytorch.ir.expansions import differentiated, eval_of, fast_of, flops_of
from tinytorch.ir.op import Attrs, JointRule, Op, apply, as_tuple, define, unpacked
from tinytorch.ir.ops.composite import relu
from tinytorch.ir.ops.contract import matmul, transposed
from tinytorch.ir.ops.core import where, zeros_like
from tinytorch.ir.ops.elementwise import sigmoid, tanh
from tinytorch.ir.ops.reduce import sum_
from tinytorch.ir.ops.view import broadcast, concat, reshape, slice_
from tinytorch.ir.types import TensorType

Parts = Sequence[Any]  # operands of one shape, such as [batch, hidden]


@dataclass(frozen=True)
class Cell:
    """One step, lane by lane. `gates` blocks of hidden features come from the input (`x`) and from the hidden state
    (`z`); the first of the `states` is the hidden one.

    `forward(x, z, before)` gives the states, and `kept` parts for the gradient. `backward(g, before, after, kept)`
    gives the cotangents of x, of z (the same ones unless `splits`), and of the states before beside the part that comes
    through z: None for nothing. Where it is `projected`, another product makes the hidden state of the first part that
    `forward` gives (Sak, Senior & Beaufays 2014), so that it may be smaller.
    """

    name: str
    doc: str
    gates: int
    states: int
    kept: int
    splits: bool
    forward: Callable[[Parts, Parts, Parts], tuple[Parts, Parts]]
    backward: Callable[[Parts, Parts, Parts, Parts], tuple[Parts, Parts, Parts]]
    projected: bool = False

    @property
    def weights(self) -> int:
        """How many operands are weights: of the products, their bias, and the projection."""
        return 3 if self.projected else 2

    def sizes(self, hidden: int, projected: int) -> list[int]:
        """Of the states."""
        return [projected, *[hidden] * (self.states - 1)]


# Steps. The gates' derivatives: σ' = σ (1 - σ), tanh' = 1 - tanh².
def _lstm(x: Parts, z: Parts, before: Parts) -> tuple[Parts, Parts]:
    i, f, g, o = (a + b for a, b in zip(x, z, strict=True))
    i, f, g, o = apply(sigmoid, i), apply(sigmoid, f), apply(tanh, g), apply(sigmoid, o)
    c = f * before[1] + i * g
    return (o * apply(tanh, c), c), (i, f, g, o)


def _lstm_back(ct: Parts, before: Parts, after: Parts, kept: Parts) -> tuple[Parts, Parts, Parts]:
    i, f, g, o = kept
    t = apply(tanh, after[1])
    c = ct[1] + ct[0] * o * (1.0 - t * t)
    d = (c * g * i * (1.0 - i), c * before[1] * f * (1.0 - f), c * i * (1.0 - g * g), ct[0] * t * o * (1.0 - o))
    return d, d, (None, c * f)


def _gru(x: Parts, z: Parts, before: Parts) -> tuple[Parts, Parts]:
    r, u = apply(sigmoid, x[0] + z[0]), apply(sigmoid, x[1] + z[1])
    n = apply(tanh, x[2] + r * z[2])
    return ((1.0 - u) * n + u * before[0],), (r, u, n, z[2])


def _gru_back(ct: Parts, before: Parts, after: Parts, kept: Parts) -> tuple[Parts, Parts, Parts]:
    r, u, n, hidden = kept
    d = ct[0] * (1.0 - u) * (1.0 - n * n)
    of_r, of_u = d * hidden * r * (1.0 - r), ct[0] * (before[0] - n) * u * (1.0 - u)
    return (of_r, of_u, d), (of_r, of_u, d * r), (ct[0] * u,)


def _tanh(x: Parts, z: Parts, before: Parts) -> tuple[Parts, Parts]:
    return (apply(tanh, x[0] + z[0]),), ()


def _tanh_back(ct: Parts, before: Parts, after: Parts, kept: Parts) -> tuple[Parts, Parts, Parts]:
    d = (ct[0] * (1.0 - after[0] * after[0]),)
    return d, d, (None,)


def _relu(x: Parts, z: Parts, before: Parts) -> tuple[Parts, Parts]:
    assert relu.expand is not None
    return (relu.expand(x[0] + z[0]),), ()


def _relu_back(ct: Parts, before: Parts, after: Parts, kept: Parts) -> tuple[Parts, Parts, Parts]:
    d = (apply(where, after[0] <= 0.0, zeros_like(ct[0]), ct[0]),)
    return d, d, (None,)


_LSTM = Cell("lstm", "a long short-term memory (Hochreiter & Schmidhuber 1997)", 4, 2, 4, False, _lstm, _lstm_back)
_LSTM_PROJECTED = replace(_LSTM, name="lstm_projected", doc=f"{_LSTM.doc} with a projection", projected=True)
_GRU = Cell("gru", "gated recurrent units (Cho et al. 2014)", 3, 1, 4, True, _gru, _gru_back)
_TANH = Cell("rnn_tanh", "a recurrent layer (Elman 1990) with tanh", 1, 1, 0, False, _tanh, _tanh_back)
_RELU = Cell("rnn_relu", "a recurrent layer (Elman 1990) with ReLU", 1, 1, 0, False, _relu, _relu_back)


# Pieces of sequences.
def _at(x: Any, step: int) -> Any:
    """[batch, features] of a step."""
    return apply(reshape, _steps(x, step, step + 1), shape=x.type.shape[1:])


def _steps(x: Any, start: int, stop: int) -> Any:
    starts, limits = (start, 0, 0), (stop, *x.type.shape[1:])
    return apply(slice_, x, starts=starts, limits=limits, steps=(1, 1, 1))


def _parts(x: Any, count: int) -> list[Any]:
    """The last axis of [batch, features] in `count` pieces."""
    rows, wide = x.type.shape[0], x.type.shape[1] // max(1, count)
    cuts = [((0, i * wide), (rows, (i + 1) * wide)) for i in range(count)]
    return [apply(slice_, x, starts=start, limits=limit, steps=(1, 1)) for start, limit in cuts]


def _joined(parts: Parts) -> Any:
    return parts[0] if len(parts) == 1 else apply(concat, *parts, axis=1)


def _stacked(steps: Parts) -> Any:
    long = [apply(reshape, x, shape=(1, *x.type.shape)) for x in steps]
    return long[0] if len(long) == 1 else apply(concat, *long, axis=0)


def _rows(x: Any) -> Any:
    """[steps, batch, features] as [steps * batch, features]."""
    steps, batch, features = x.type.shape
    return apply(reshape, x, shape=(steps * batch, features))


# Forward.
def _type(cell: Cell) -> Callable[..., Any]:
    def infer(x: TensorType, w: TensorType, *others: TensorType, reverse: bool) -> Any:
        fits = x.rank == 3 and x.dtype.is_float and x.dtype.bits >= 32 and x.shape[0] and w.rank == 2
        if not fits or len(others) != cell.weights - 1 + cell.states:
            raise ShapeError(f"{cell.name}: needs [steps, batch, features] of f32 or f64 and weights, got {x} and {w}")
        steps, batch, features = x.shape
        hidden, size = features // cell.gates, w.shape[1]
        projection = [(size, hidden)] if cell.projected else []
        states = cell.sizes(hidden, size if cell.projected else hidden)
        shapes = [(steps, batch, cell.gates * hidden), (cell.gates * hidden, states[0]), (cell.gates * hidden,)]
        shapes += [*projection, *((batch, n) for n in states)]
        _check(cell.name, x, shapes, (x, w, *others))
        kept = [cell.kept * hidden] if cell.kept else []
        return unpacked([TensorType(x.dtype, (steps, batch, n)) for n in (*states, *kept)])

    return infer


def _check(name: str, like: TensorType, shapes: Sequence[tuple[int, ...]], types: Sequence[TensorType]) -> None:
    for number, (shape, got) in enumerate(zip(shapes, types, strict=True)):
        if got != TensorType(like.dtype, shape):
            raise ShapeError(f"{name}: operand {number} is {TensorType(like.dtype, shape)}, got {got}")


def _forward(cell: Cell) -> Callable[..., Any]:
    def expand(x: Any, w: Any, b: Any, *others: Any, reverse: bool) -> Any:
        steps, batch, features = x.type.shape
        right, bias = transposed(w), apply(broadcast, b, shape=(batch, features))
        before: Parts = others[cell.projected :]
        found: list[list[Any]] = []
        for step in _order(steps, reverse):
            z = apply(matmul, before[0], right) + bias
            before, kept = cell.forward(_parts(_at(x, step), cell.gates), _parts(z, cell.gates), before)
            if cell.projected:
                before = (apply(matmul, before[0], transposed(others[0])), *before[1:])
            found.append([*before, *([_joined(kept)] if kept else [])])
        if reverse:
            found.reverse()
        return unpacked([_stacked(one) for one in zip(*found, strict=True)])

    return expand


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


# Backward.
def _grad_type(cell: Cell) -> Callable[..., Any]:
    def infer(*operands: TensorType, reverse: bool) -> Any:
        count = 3 * cell.states + cell.weights - 1 + (cell.kept > 0)
        if len(operands) != count or operands[0].rank != 3 or operands[0].dtype.bits < 32:
            raise ShapeError(f"{cell.name}_grad: got {', '.join(map(str, operands))}")
        like = operands[0]
        steps, batch, size = like.shape
        hidden = operands[cell.states].shape[0] // cell.gates if operands[cell.states].rank else size
        sizes = cell.sizes(hidden, size)
        states = [(steps, batch, n) for n in sizes]
        shapes = [*states, (cell.gates * hidden, size), *([(size, hidden)] if cell.projected else [])]
        shapes += [*((batch, n) for n in sizes), *states, *([(steps, batch, cell.kept * hidden)] if cell.kept else [])]
        _check(f"{cell.name}_grad", like, shapes, operands)
        gates = [(steps, batch, cell.gates * hidden)] * (1 + cell.splits)
        found = [*gates, *(states[:1] if cell.projected else []), *((batch, n) for n in sizes)]
        return tuple(TensorType(like.dtype, shape) for shape in found)

    return infer


def _backward(cell: Cell) -> Callable[..., Any]:
    def expand(*operands: Any, reverse: bool) -> Any:
        rest = iter(operands)
        cts, weights, initial, states = (
            [next(rest) for _ in range(n)] for n in (cell.states, cell.weights - 1, cell.states, cell.states)
        )
        packed = next(rest, None)
        order = _order(cts[0].type.shape[0], reverse)
        carried: list[Any] = [zeros_like(x) for x in initial]
        found: list[list[Any]] = []
        for number in reversed(range(len(order))):
            step = order[number]
            g = [_at(x, step) + more for x, more in zip(cts, carried, strict=True)]
            of_hidden = g[: cell.projected]
            if cell.projected:
                g = [apply(matmul, g[0], weights[1]), *g[1:]]
            before = [_at(x, order[number - 1]) for x in states] if number else initial
            kept = () if packed is None else _parts(_at(packed, step), cell.kept)
            of_x, of_z, direct = cell.backward(g, before, [_at(x, step) for x in states], kept)
            z = _joined(of_z)
            back = apply(matmul, z, weights[0])
            carried = [back if direct[0] is None else back + direct[0], *direct[1:]]
            found.append([*([_joined(of_x)] if cell.splits else []), z, *of_hidden])
        if not reverse:
            found.reverse()
        return (*(_stacked(one) for one in zip(*found, strict=True)), *carried)

    return expand


def _rule(cell: Cell, grad: Op, general: JointRule) -> JointRule:
    """By the gradient op; where a gradient's own gradient reaches what was kept for it, by the definition."""

    def rule(ct: Any, n: Any, indices: Sequence[int]) -> Sequence[Any]:
        cts = as_tuple(ct)
        if any(x is not None for x in cts[cell.states :]):
            return general.rule(ct, n, indices)
        results = [n.outputs[i] for i in range(len(cts))]
        given = [zeros_like(r) if g is None else g for g, r in zip(cts[: cell.states], results, strict=False)]
        found = apply(grad, *given, n.inputs[1], *n.inputs[3:], *results, **n.attrs)
        of_z, first = found[cell.splits], cell.weights + 1  # which operand is the first state

        def one(index: int) -> Any:
            if index == 0:
                return found[0]
            if index == 1:
                return _weight_grad(of_z, results[0], n.inputs[first], n.attrs["reverse"])
            if index == 2:
                return apply(reshape, apply(sum_, of_z, axes=(0, 1)), shape=n.inputs[2].type.shape)
            if index < first:
                return _projection_grad(found[1 + cell.splits], results, cell)
            return found[1 + cell.splits + cell.projected + index - first]

        return [one(index) for index in indices]

    return JointRule(rule)


def _projection_grad(g: Any, results: Parts, cell: Cell) -> Any:
    """Σ gₜᵀ mₜ of what is projected, m = o tanh(c)."""
    output = _parts(_rows(results[2]), cell.kept)[3]
    return apply(matmul, transposed(_rows(g)), output * apply(tanh, _rows(results[1])))


def _weight_grad(g: Any, hidden: Any, initial: Any, reverse: bool) -> Any:
    """Σ gₜᵀ hₜ₋₁ as one product of all steps whose hₜ₋₁ is a result, and one of the first step."""
    steps = g.type.shape[0]
    first = apply(matmul, transposed(_at(g, steps - 1 if reverse else 0)), initial)
    if steps == 1:
        return first
    later, earlier = (_steps(x, int(cut), steps - 1 + int(cut)) for x, cut in ((g, not reverse), (hidden, reverse)))
    return apply(matmul, transposed(_rows(later)), _rows(earlier)) + first


def _flops(expand: Callable[..., Any]) -> Callable[[Sequence[TensorType], Any, Attrs], int]:
    """Those of one step, for each; the first operand is a sequence."""
    count = flops_of(expand)

    def flops(types: Sequence[TensorType], out: Any, attrs: Attrs) -> int:
        one = [TensorType(t.dtype, (1, *t.shape[1:])) if t.rank == 3 else t for t in types]
        return types[0].shape[0] * count(one, None, attrs)

    return flops


def _define(name: str, doc: str, infer: Any, expand: Any, vjp: Any, results: int) -> Op:
    how, fast = eval_of(expand), fast_of(expand)
    return define(
        Op(
            name,
            "composite",
            doc,
            infer,
            how,
            vjp,
            _flops(expand),
            expand=expand,
            fast=fast,
            results=results,
            autocast="high",
        )
    )


def _define_pair(cell: Cell) -> tuple[Op, Op]:
    """The op of a cell, (x, weights, bias, projection, initial states) -> (states of all steps, what is kept), and its
    gradient: (cotangents, weights, projection, initial states, results of the op) -> (cotangents of the products, of
    the hidden states if they are projected, of the initial states)."""
    back, forward = _backward(cell), _forward(cell)
    doc = f"The cotangents of the products and of the initial states of {cell.doc}."
    count = 1 + cell.splits + cell.projected + cell.states
    grad = _define(f"{cell.name}_grad", doc, _grad_type(cell), back, differentiated(back), count)
    rule = _rule(cell, grad, differentiated(forward))
    doc = f"The states of {cell.doc} after each step of [steps, batch, gates]; backwards in time if `reverse`."
    return _define(cell.name, doc, _type(cell), forward, rule, cell.states + (cell.kept > 0)), grad


lstm, lstm_grad = _define_pair(_LSTM)
lstm_projected, lstm_projected_grad = _define_pair(_LSTM_PROJECTED)
gru, gru_grad = _define_pair(_GRU)
rnn_tanh, rnn_tanh_grad = _define_pair(_TANH)
rnn_relu, rnn_relu_grad = _define_pair(_RELU)

FORWARD = {lstm: _LSTM, lstm_projected: _LSTM_PROJECTED, gru: _GRU, rnn_tanh: _TANH, rnn_relu: _RELU}
BACKWARD = {
    lstm_grad: _LSTM,
    lstm_projected_grad: _LSTM_PROJECTED,
    gru_grad: _GRU,
    rnn_tanh_grad: _TANH,
    rnn_relu_grad: _RELU,
}
