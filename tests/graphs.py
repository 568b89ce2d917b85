"""Random graphs, and inputs for them, for Hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder, Graph
from tinytorch.ir.ops import composite, core, elementwise, index, pooling, reduce, view
from tinytorch.ir.types import DType, TensorType, bf16, bool_, f32, f64, i8, i32, i64

SHAPES = [(), (1,), (3,), (2, 3), (1, 3), (2, 1), (2, 1, 3), (4, 2, 3), (0, 3)]
DTYPES = [f32, f32, f32, f64, bf16, i32, i8, bool_]
NUMBERS = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, -4.0, 3.0]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.0, 7.0, 1e30, -1e-30, np.inf, -np.inf, np.nan]

Draw = Callable[[st.SearchStrategy[Any]], Any]
_ARITHMETIC = [elementwise.add, elementwise.sub, elementwise.mul, elementwise.maximum, elementwise.minimum]
_COMPARISONS = [elementwise.eq, elementwise.ne, elementwise.lt, elementwise.ge]
_FLOAT_UNARY = [elementwise.neg, elementwise.abs_, elementwise.sqrt, elementwise.floor, core.copy, core.detach]
_TRANSCENDENTAL = [elementwise.exp, elementwise.tanh, elementwise.sin, elementwise.log1p]
_COMPOSITES = [composite.relu, elementwise.sigmoid, composite.silu]


@st.composite
def graphs(draw: Draw, *, exact: bool = False, nodes: int = 14) -> Graph:
    """A graph of up to `nodes` random steps, with up to two state pairs.

    With `exact`, only ops whose numpy result does not depend on the order or the memory layout in which it is
    computed: no float sums, products of float matrices, or functions that numpy approximates.
    """
    builder = Builder("random")
    count = draw(st.integers(1, 4))
    values = [
        Expr(builder, builder.input(TensorType(draw(st.sampled_from(DTYPES)), draw(st.sampled_from(SHAPES))), "x"))
        for _ in range(count)
    ]
    for _ in range(draw(st.integers(1, nodes))):
        x = draw(st.sampled_from(values))
        step = draw(st.sampled_from(_STEPS if exact else _STEPS + _INEXACT_STEPS))
        made = step(draw, x, values)
        values += made if isinstance(made, tuple) else (made,)
    outputs = draw(st.lists(st.sampled_from(values[count:]), min_size=1, max_size=3))
    state: list[tuple[int, int]] = []
    for i, value in enumerate(values[:count]):
        found = next((o for o, out in enumerate(outputs) if out.type == value.type), None)
        if found is not None and all(o != found for _, o in state) and draw(st.booleans()):
            state.append((i, found))
    return builder.build([out.value for out in outputs], state)


def arrays(graph: Graph, seed: int) -> list[np.ndarray]:
    """Inputs for `graph`: special numbers among others."""
    rng = np.random.default_rng(seed)
    return [random_array(v.type, rng) for v in graph.inputs]


def random_array(type: TensorType, rng: np.random.Generator) -> np.ndarray:
    if type.dtype.is_float:
        special = rng.choice(SPECIAL, type.shape)
        return np.where(rng.random(type.shape) < 0.5, special, rng.normal(size=type.shape)).astype(type.dtype.numpy)
    if type.dtype is bool_:
        return rng.random(type.shape) < 0.5
    return rng.integers(-100, 100, type.shape).astype(type.dtype.numpy)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal in dtype, shape and bits, but that any NaN equals any other."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    if a.dtype.kind in "fV":
        nans = np.isnan(a.astype(np.float64)), np.isnan(b.astype(np.float64))
        if not np.array_equal(*nans):
            return False
        a, b = np.where(nans[0], a.dtype.type(0), a), np.where(nans[1], b.dtype.type(0), b)
    return a.tobytes() == b.tobytes()


# Steps: (draw, a value, all values) -> a new value, or several.
Step = Callable[[Draw, Expr, list[Expr]], Expr | tuple[Expr, ...]]


def _partner(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    """A value of the type of x: another one, a number, or a broadcast column or row."""
    fitting = [v for v in values if v.type == x.type]
    small = [v for v in values if v.dtype == x.dtype and _broadcasts(v.shape, x.shape)]
    kind = draw(st.integers(0, 2))
    if kind == 0:
        return draw(st.sampled_from(fitting))
    if kind == 1 and small:
        return draw(st.sampled_from(small)).broadcast_to(x.shape)
    return core.filled(x, _number(draw, x.dtype), x.type)


def _number(draw: Draw, dtype: DType) -> Any:
    number = draw(st.sampled_from(NUMBERS))
    return number if dtype.is_float else bool(number) if dtype is bool_ else int(number)


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(small[::-1], large[::-1], strict=False))


def _binary(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    a, b = x, _partner(draw, x, values)
    if draw(st.booleans()):
        a, b = b, a
    if x.dtype is bool_:
        op = draw(st.sampled_from([elementwise.and_, elementwise.or_, elementwise.xor, *_COMPARISONS]))
    else:
        floats = [elementwise.div] if x.dtype.is_float else [elementwise.and_, elementwise.or_]
        op = draw(st.sampled_from([*_ARITHMETIC, *floats, *_COMPARISONS]))
    out = a.apply_op(op, [a, b], {})
    return _with_one_zero(out) if op in (elementwise.maximum, elementwise.minimum) else out


def _with_one_zero(x: Expr) -> Expr:
    """-0.0 made 0.0: which of them is larger, numpy decides by where in memory they lie, and kernels in another way."""
    return x + 0.0 if x.dtype.is_float else x


def _unary(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if x.dtype is bool_:
        return ~x
    ops = _FLOAT_UNARY if x.dtype.is_float else [elementwise.neg, elementwise.abs_, core.copy]
    return x.apply_op(draw(st.sampled_from(ops)), [x], {})


def _where(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    y = _partner(draw, x, values)
    condition = _partner(draw, x, values) > y if x.dtype is not bool_ else ~_partner(draw, x, values)
    return x.apply_op(core.where, [condition, x, y], {})


def _cast(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x.apply_op(core.cast, [x], {"dtype": draw(st.sampled_from([*DTYPES, i64]))})


def _reshape(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    shapes = [(x.numel(),), x.shape[::-1], (1, *x.shape), (*x.shape, 1), x.shape]
    if x.numel() % 2 == 0:
        shapes.append((2, x.numel() // 2))
    return x.apply_op(view.reshape, [x], {"shape": draw(st.sampled_from(shapes))})


def _permute(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x.permute(tuple(draw(st.permutations(range(x.ndim)))))


def _broadcast(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    shapes = [s for s in [*SHAPES, (2, *x.shape)] if _broadcasts(x.shape, s)]
    return x.apply_op(view.broadcast, [x], {"shape": draw(st.sampled_from(shapes))})


def _slice(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    windows = [(0, d, 1) if draw(st.booleans()) else (min(1, d), d, 2) for d in x.shape]
    starts, limits, steps = zip(*windows, strict=True) if windows else ((), (), ())
    return x.apply_op(view.slice_, [x], {"starts": starts, "limits": limits, "steps": steps})


def _pad(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    low, high, interior = (tuple(draw(st.integers(0, 1)) for _ in x.shape) for _ in range(3))
    return x.apply_op(view.pad, [x], {"low": low, "high": high, "interior": interior, "value": 1.0})


def _flip(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    return x.flip(tuple(a for a in range(x.ndim) if draw(st.booleans())))


def _concat(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if x.ndim == 0:
        return x.reshape((1,))
    parts = [x, *(_partner(draw, x, values) for _ in range(draw(st.integers(0, 2))))]
    return x.apply_op(view.concat, parts, {"axis": draw(st.integers(0, x.ndim - 1))})


def _axes(draw: Draw, x: Expr) -> tuple[int, ...]:
    return tuple(a for a in range(x.ndim) if draw(st.booleans()))


def _extremum(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    axes = tuple(a for a in _axes(draw, x) if x.shape[a])
    return _with_one_zero(x.apply_op(draw(st.sampled_from([reduce.max_, reduce.min_])), [x], {"axes": axes}))


def _pool(draw: Draw, x: Expr, values: list[Expr]) -> Expr | tuple[Expr, ...]:
    if x.dtype is bool_ or x.numel() < 2:
        return x
    image = x.reshape((1, x.numel(), 1, 1) if draw(st.booleans()) else (1, 1, x.numel(), 1))
    window = (1, 2) if image.shape[1] == 1 else (2, 1)
    attrs = {"window": window, "stride": draw(st.sampled_from([(1, 1), window])), "dilation": (1, 1)}
    best, places = x.apply_op(pooling.max_pool2d, [image], {**attrs, "low": (0, 0), "high": (0, 0)})
    return best, places.cast(i32)


def _integer_sum(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    counts = x.cast(i32)
    return counts.apply_op(reduce.sum_, [counts], {"axes": _axes(draw, x)})


def _gather(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if x.ndim == 0 or x.shape[0] == 0:
        return x
    indices = x.constant(np.array(draw(st.lists(st.integers(0, x.shape[0] - 1), min_size=1, max_size=3))))
    return x.apply_op(index.gather, [x, indices], {"axis": 0})


def _update_slice(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    part = _slice(draw, _partner(draw, x, values), values)
    starts = tuple(draw(st.sampled_from([0, d - n])) for d, n in zip(x.shape, part.shape, strict=True))
    return x.apply_op(index.update_slice, [x, part], {"starts": starts, "steps": (1,) * x.ndim})


def _scatter(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if x.ndim == 0 or x.shape[0] == 0:
        return x
    rows = draw(st.lists(st.integers(0, x.shape[0] - 1), min_size=x.shape[0], max_size=x.shape[0]))
    return x.apply_op(index.scatter, [x, x.constant(np.array(rows)), _partner(draw, x, values)], {"axis": 0})


def _iota(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    if x.ndim == 0:
        return x
    return x.apply_op(core.iota, [], {"shape": x.shape, "axis": draw(st.integers(0, x.ndim - 1)), "dtype": i32})


def _constant(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    size = draw(st.sampled_from([x.numel(), 1]))
    numbers = [_number(draw, x.dtype) for _ in range(min(size, 3))]
    return x.constant(np.resize(np.array(numbers or [0], x.dtype.numpy), x.shape))


def _float_sum(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    y = x.cast(f32)
    return y.apply_op(reduce.sum_, [y], {"axes": _axes(draw, y)})


def _transcendental(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    y = x.cast(f32)
    return y.apply_op(draw(st.sampled_from([*_TRANSCENDENTAL, *_COMPOSITES])), [y], {})


def _softmax(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    y = x.cast(f32)
    return y.softmax(-1) if y.ndim and y.shape[-1] else y


def _matmul(draw: Draw, x: Expr, values: list[Expr]) -> Expr:
    y = x.cast(f32)
    return y @ y.mT if y.ndim >= 2 else y


_STEPS: list[Step] = [
    _binary, _binary, _binary, _unary, _unary, _where, _cast, _reshape, _permute, _broadcast, _slice, _pad, _flip,
    _concat, _extremum, _pool, _integer_sum, _gather, _update_slice, _scatter, _iota, _constant,
]  # fmt: skip
_INEXACT_STEPS: list[Step] = [_float_sum, _transcendental, _softmax, _matmul]
