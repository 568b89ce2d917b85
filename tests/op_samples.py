"""Samples of every op: operands and attributes that reach its corners, and points where it is differentiable.

`run_samples` runs them on a backend; to test another way of running graphs, add it to BACKENDS.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.numpy_backend import NumpyBackend
from tinytorch.compile import compile
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import OPS, Array, Op
from tinytorch.ir.ops.packed_convolution import packed_weights
from tinytorch.ir.ops.sparse import pack, pack_semi_structured
from tinytorch.ir.types import DTYPES, DType, TensorType, bool_, dtype_of, f32, i64


@dataclass(frozen=True, eq=False)
class Sample:
    """One application of an op.

    tolerance: how far a result may be from `eval`, in units of its dtype's epsilon times its largest finite value
    (`relative`: times each value); 0 means equal. smooth: the op is twice differentiable there, in f64.
    """

    op: Op
    arrays: tuple[Array, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 0
    relative: bool = True
    smooth: bool = False

    @property
    def types(self) -> list[TensorType]:
        return [TensorType(dtype_of(a.dtype), a.shape) for a in self.arrays]

    @property
    def results(self) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return self.op.evaluate(self.arrays, self.attrs)

    @property
    def expected(self) -> Array:
        """The only result."""
        (result,) = self.results
        return result

    def __repr__(self) -> str:
        attrs = ", ".join(f"{k}={v!r}" for k, v in self.attrs.items() if not callable(v))
        return f"{self.op.name}({', '.join(map(str, self.types))}{', ' if attrs else ''}{attrs})"


# Running.
def apply_sample(sample: Sample, operands: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The results of the op on tensors: eager, or traced."""
    made = _applied(sample, operands)
    return tuple(made) if sample.op.results > 1 else (made,)


def _applied(sample: Sample, operands: Sequence[Tensor]) -> Any:
    if not operands and mode.trace is not None:
        return mode.trace.apply(sample.op, (), sample.attrs)
    if not operands:
        return Tensor.wrap(sample.expected)
    return operands[0].apply_op(sample.op, operands, sample.attrs)


Results = tuple[Array, ...]


def _eager(samples: Sequence[Sample]) -> list[Results]:
    return [tuple(t.numpy() for t in apply_sample(s, [Tensor(a) for a in s.arrays])) for s in samples]


def _compiled(backend: Any) -> Callable[[Sequence[Sample]], list[Results]]:
    def run(samples: Sequence[Sample]) -> list[Results]:
        counts = [len(s.arrays) for s in samples]

        def together(*operands: Tensor) -> list[tuple[Tensor, ...]]:
            rest = iter(operands)
            made = [apply_sample(s, list(itertools.islice(rest, n))) for s, n in zip(samples, counts, strict=True)]
            # A view that depends on what is known when the graph runs is no result of a compiled function.
            by_run = OPS["dynamic_slice"], OPS["after"]
            return [(t[0].clone(),) if s.op in by_run else t for t, s in zip(made, samples, strict=True)]

        arguments = [Tensor(a) for s in samples for a in s.arrays]
        return [tuple(t.numpy() for t in results) for results in compile(together, backend=backend)(*arguments)]

    return run


BACKENDS: dict[str, Callable[[Sequence[Sample]], list[Results]]] = {
    "eager": _eager,
    "interpreter": _compiled("interpreter"),
    "llvm": _compiled("llvm"),
    "numpy": _compiled(NumpyBackend()),
}


def run_samples(samples: Sequence[Sample], backend: str) -> list[Results]:
    """The results of all samples, which a compiling backend runs as one graph."""
    return BACKENDS[backend](samples)


def run_sample(sample: Sample, backend: str) -> Results:
    return run_samples([sample], backend)[0]


def check(sample: Sample, results: Results, tolerance: float | None = None) -> None:
    """Fail unless `results` are what `eval` gives, up to the sample's tolerance."""
    for result, expected in zip(results, sample.results, strict=True):
        _check_one(sample, result, expected, tolerance)


def _check_one(sample: Sample, result: Array, expected: Array, tolerance: float | None) -> None:
    assert result.dtype == expected.dtype and result.shape == expected.shape, sample
    allowed = sample.tolerance if tolerance is None else tolerance
    if dtype_of(expected.dtype).name == "bf16":  # numpy's comparisons do not know its NaN
        eps = 2.0**-7
        result, expected = result.astype(np.float32), expected.astype(np.float32)
    else:
        eps = float(np.spacing(np.ones((), expected.dtype))) if expected.dtype.kind == "f" else 0.0
    if not allowed:
        np.testing.assert_array_equal(result, expected, err_msg=repr(sample))
        return
    a, b = result.astype(np.float64), expected.astype(np.float64)
    largest = np.abs(b[np.isfinite(b)]).max(initial=0)
    tiny = float(np.finfo(np.float32).tiny) if eps > 1e-10 else 1e-307
    scale = {"rtol": allowed * eps, "atol": tiny if sample.relative else allowed * eps * largest}
    np.testing.assert_allclose(a, b, err_msg=repr(sample), **scale)


# Operands.
def _rng(name: str) -> np.random.Generator:
    return np.random.default_rng(list(name.encode()))


_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, np.inf, -np.inf, np.nan]


def _corners(dtype: DType) -> Array:
    """Values at the edges of a dtype."""
    if dtype.is_float:
        info = {"f64": (1e308, 5e-324), "f32": (3e38, 1e-45), "f16": (6e4, 6e-8), "bf16": (3e38, 1e-40)}[dtype.name]
        return np.array([*_FLOATS, *info, -info[0]]).astype(dtype.numpy)
    if dtype == bool_:
        return np.array([True, False])
    limits = np.iinfo(dtype.numpy)
    return np.array(
        [0, 1, 2, 7, limits.max, limits.min, limits.max - 1, *([-1, -3] if limits.min else [])], dtype.numpy
    )


def _random(dtype: DType, shape: tuple[int, ...], rng: np.random.Generator, scale: float = 3.0) -> Array:
    if dtype.is_float:
        return (rng.normal(size=shape) * scale).astype(dtype.numpy)
    if dtype == bool_:
        return rng.integers(0, 2, shape).astype(bool)
    limits = np.iinfo(dtype.numpy)
    return rng.integers(limits.min, limits.max, shape, dtype.numpy, endpoint=True)


def _operands(dtype: DType, count: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Every combination of corners, then random values."""
    corners = np.stack(np.meshgrid(*[_corners(dtype)] * count, indexing="ij")).reshape(count, -1)
    return tuple(np.concatenate([c, _random(dtype, (50,), rng)]) for c in corners)


def _kinds(op: Op, count: int) -> list[DType]:
    """The dtypes that an op on operands of one type takes."""
    found: list[DType] = []
    for dtype in DTYPES.values():
        try:
            op.infer(*[TensorType(dtype, (2,))] * count)
            found.append(dtype)
        except ValueError:
            pass
    return found


# Elementwise ops on operands of one type: number of operands, tolerance of floats, points for derivatives.
_ANY, _POSITIVE, _AWAY_FROM_0 = (-2.0, 2.0), (0.3, 3.0), (0.4, 2.0)
ELEMENTWISE: dict[str, tuple[int, float, tuple[float, float] | None]] = {
    "copy": (1, 0, _ANY), "detach": (1, 0, None), "neg": (1, 0, _ANY), "abs": (1, 0, _AWAY_FROM_0),
    "sign": (1, 0, None), "not": (1, 0, None), "floor": (1, 0, None), "ceil": (1, 0, None), "trunc": (1, 0, None),
    "round": (1, 0, None), "exp": (1, 2, _ANY), "expm1": (1, 3, _ANY), "log": (1, 2, _POSITIVE),
    "log1p": (1, 3, _POSITIVE), "sqrt": (1, 0, _POSITIVE), "rsqrt": (1, 2, _POSITIVE), "tanh": (1, 4, _ANY),
    "erf": (1, 4, _ANY), "sin": (1, 4, _ANY), "cos": (1, 4, _ANY),
    "add": (2, 0, _ANY), "sub": (2, 0, _ANY), "mul": (2, 0, _ANY), "div": (2, 0, _AWAY_FROM_0),
    "floordiv": (2, 0, None), "mod": (2, 2, _AWAY_FROM_0), "maximum": (2, 0, _ANY), "minimum": (2, 0, _ANY),
    "pow": (2, 4, _POSITIVE), "eq": (2, 0, None), "ne": (2, 0, None), "lt": (2, 0, None), "le": (2, 0, None),
    "gt": (2, 0, None), "ge": (2, 0, None), "and": (2, 0, None), "or": (2, 0, None), "xor": (2, 0, None),
    "tan": (1, 8, (-1.2, 1.2)), "sinh": (1, 5, _ANY), "cosh": (1, 4, _ANY), "asin": (1, 5, (-0.9, 0.9)),
    "acos": (1, 5, (-0.9, 0.9)), "atan": (1, 4, _ANY), "asinh": (1, 5, _ANY), "acosh": (1, 5, (1.2, 3.0)),
    "atanh": (1, 5, (-0.9, 0.9)), "exp2": (1, 3, _ANY), "log2": (1, 4, _POSITIVE), "log10": (1, 4, _POSITIVE),
    "atan2": (2, 4, _AWAY_FROM_0), "logaddexp": (2, 4, _ANY), "logaddexp2": (2, 6, _ANY), "xlogy": (2, 3, _POSITIVE),
    "xlog1py": (2, 4, _POSITIVE), "hypot": (2, 4, _AWAY_FROM_0), "copysign": (2, 0, _AWAY_FROM_0),
    "fmod": (2, 0, _AWAY_FROM_0), "nextafter": (2, 0, _ANY), "exponent": (1, 0, None), "sinc": (1, 8, (0.2, 0.8)),
    "erfc": (1, 6, _ANY), "erfcx": (1, 8, _ANY), "erfinv": (1, 8, (-0.9, 0.9)), "ndtri": (1, 8, (0.1, 0.9)),
    "log_ndtr": (1, 8, _ANY), "logit": (1, 4, (0.1, 0.9)), "entr": (1, 4, _POSITIVE),
    "lgamma": (1, 60, (2.5, 6.0)), "digamma": (1, 60, (2.0, 6.0)),
    "i0": (1, 12, _ANY), "i0e": (1, 12, _POSITIVE), "i1": (1, 20, _POSITIVE), "i1e": (1, 20, _POSITIVE),
    "bessel_k0": (1, 20, _POSITIVE), "bessel_k1": (1, 20, _POSITIVE), "scaled_bessel_k0": (1, 20, _POSITIVE),
    "scaled_bessel_k1": (1, 20, _POSITIVE), "bessel_j0": (1, 200, _AWAY_FROM_0), "bessel_j1": (1, 200, _AWAY_FROM_0),
    "bessel_y0": (1, 200, (0.9, 3.0)), "bessel_y1": (1, 200, (0.9, 3.0)), "airy_ai": (1, 200, None),
    "gcd": (2, 0, None), "shift_left": (2, 0, None), "shift_right": (2, 0, None), "shift_right_logical": (2, 0, None),
}  # fmt: skip


CROSSING = {"airy_ai"}  # close to a zero at one of the random points


def _elementwise() -> list[Sample]:
    samples: list[Sample] = []
    for name, (count, tolerance, interval) in ELEMENTWISE.items():
        op, rng = OPS[name], _rng(name)
        for dtype in _kinds(op, count):
            arrays = _operands(dtype, count, rng)
            if name in ("sin", "cos", "tan") or name.startswith(
                ("bessel_j", "bessel_y", "airy")
            ):  # far from 0 their accuracy fades, see lanemath
                arrays = tuple(a[~(np.abs(a.astype(np.float64)) > 1e6)] for a in arrays)
            allowed = tolerance if dtype.is_float else 0
            samples.append(Sample(op, arrays, tolerance=allowed, relative=name not in CROSSING))
        if interval is not None:
            points = tuple(rng.uniform(*interval, (3, 4)) for _ in range(count))
            samples.append(Sample(op, points, tolerance=tolerance, smooth=True))
    return samples


def _polygammas() -> list[Sample]:
    rng, op = _rng("polygamma"), OPS["polygamma"]
    x = np.array([0.0, -1.0, -2.5, 0.3, 1.0, 2.5, 40.0, np.inf, np.nan])
    dtypes = [DTYPES[name].numpy for name in ("f64", "f32", "f16", "bf16")]
    samples = [Sample(op, (x.astype(dtype),), {"n": n}, 40) for n in (1, 2, 5) for dtype in dtypes]
    return [*samples, *(Sample(op, (rng.uniform(0.8, 4, 7),), {"n": n}, 40, smooth=True) for n in (1, 2, 3))]


def _incomplete_gammas() -> list[Sample]:
    a = np.array([0.0, 0.3, 1.0, 4.5, 19.0, 20.0, 55.0, 1e4, np.inf, np.nan, -1.0])
    x = np.array([0.0, 1e-3, 0.9, 3.0, 5.0, 21.0, 30.0, 70.0, 1.01e4, np.inf, np.nan, -1.0])
    s = np.array([1.0, 1.5, 2.0, 3.0, 7.0, 30.0, 0.5, np.nan])
    q = np.array([1e-2, 0.5, 1.0, 7.0, 1e3, -0.5, -7.25, -2.0, 0.0, np.inf, np.nan])
    samples: list[Sample] = []
    for names, pair in ((("igamma", "igammac"), (a, x)), (("zeta",), (s, q))):
        grid = [np.ascontiguousarray(g.reshape(-1)) for g in np.meshgrid(*pair)]
        for name, dtype in itertools.product(names, ("f64", "f32", "f16", "bf16")):
            arrays = tuple(g.astype(DTYPES[dtype].numpy) for g in grid)
            samples.append(Sample(OPS[name], arrays, tolerance=400 if dtype == "f64" else 2))
    return samples


def _casts() -> list[Sample]:
    rng, op = _rng("cast"), OPS["cast"]
    pairs = itertools.product(DTYPES.values(), DTYPES.values())
    samples = [Sample(op, _operands(a, 1, rng), {"dtype": b}) for a, b in pairs]
    return [*samples, Sample(op, (rng.normal(size=5),), {"dtype": DTYPES["f64"]}, smooth=True)]


def _other_elementwise() -> list[Sample]:
    rng = _rng("elementwise")
    x, y = rng.normal(size=(2, 3, 5))
    halves = x.astype(DTYPES["bf16"].numpy)
    index = np.array([[0, 6, -7], [3, -1, 2]])
    constants = [np.array(2.5, np.float32), rng.normal(size=(2, 3)), np.array([], np.int32), np.array([True, False])]
    return [
        *(Sample(OPS["constant"], (), {"value": c}) for c in constants),
        Sample(OPS["iota"], (), {"shape": (4, 3), "axis": 0}),
        Sample(OPS["iota"], (), {"shape": (4, 3), "axis": 1, "dtype": f32}),
        Sample(OPS["iota"], (), {"shape": (0,), "axis": 0}),
        Sample(OPS["where"], (x > 0, x, y), smooth=True),
        Sample(OPS["where"], (x > 0, halves, -halves)),
        Sample(OPS["where"], (x > 0, index.repeat(3, 1)[:1].repeat(3, 0)[:, :5], np.ones((3, 5), np.int64))),
        Sample(OPS["custom_grad"], (x, y), {"backward": lambda ct: [ct]}),
        Sample(OPS["checked_index"], (index,), {"size": 7}),
        Sample(OPS["checked_index"], (np.abs(index) % 7,), {"size": 7, "wrap": False}),
        Sample(OPS["checked_index"], (np.zeros((0,), np.int64),), {"size": 0}),
        Sample(OPS["checked_number"], (x,), {"what": "x"}, smooth=True),
        Sample(OPS["checked_number"], (np.array([-np.inf, np.inf, -0.0], np.float32),)),
        Sample(OPS["random_bits"], (np.array([7, 0]),), {"shape": (3, 5), "word": 0}),
        Sample(OPS["random_bits"], (np.array([-3, 2**40]),), {"shape": (17,), "word": 3}),
        Sample(OPS["random_bits"], (np.array([5, 2**32 - 8]),), {"shape": (3, 67)}),
    ]


def _kernel() -> list[Sample]:
    x, y = _rng("kernel").normal(size=(2, 4)).astype(np.float32)
    builder = Builder("body")
    a, b = (Expr(builder, builder.input(TensorType(f32, (4,)))) for _ in range(2))
    return [Sample(OPS["kernel"], (x, y), {"body": builder.build([((a + b) * a).value])})]


def _views() -> list[Sample]:
    rng = _rng("view")
    x = rng.normal(size=(3, 4, 5))
    row, ints = x[:1, :, :1], rng.integers(0, 99, (3, 4), np.int32)
    empty = np.zeros((0, 4), np.float32)
    cut = {"starts": (1, 0, 4), "limits": (3, 4, 5), "steps": (1, 3, 1)}
    around = {"low": (1, 0, 2), "high": (0, 3, 0), "interior": (0, 1, 2), "value": 0.0}
    plain = {"low": (0, 1), "high": (2, 0), "interior": (0, 0), "value": 7.0}
    return [
        Sample(OPS["reshape"], (x,), {"shape": (5, 12)}, smooth=True),
        Sample(OPS["reshape"], (x.transpose(2, 0, 1),), {"shape": (60,)}, smooth=True),
        Sample(OPS["reshape"], (empty,), {"shape": (2, 0, 3)}),
        *(Sample(OPS["permute"], (x,), {"axes": axes}, smooth=True) for axes in itertools.permutations(range(3))),
        Sample(OPS["permute"], (ints,), {"axes": (1, 0)}),
        Sample(OPS["broadcast"], (row,), {"shape": (2, 3, 4, 5)}, smooth=True),
        Sample(OPS["broadcast"], (np.array(2, np.int8),), {"shape": (3, 2)}),
        Sample(OPS["broadcast"], (empty,), {"shape": (2, 0, 4)}),
        Sample(OPS["slice"], (x,), cut, smooth=True),
        Sample(OPS["slice"], (ints,), {"starts": (2, 1), "limits": (2, 4), "steps": (1, 2)}),
        Sample(OPS["pad"], (x,), around, smooth=True),
        Sample(OPS["pad"], (ints,), plain),
        Sample(OPS["pad"], (empty,), plain),
        Sample(OPS["concat"], (x, x[:1] * 2, x[:0]), {"axis": 0}, smooth=True),
        Sample(OPS["concat"], (x, x[:, :, :2]), {"axis": 2}, smooth=True),
        Sample(OPS["concat"], (ints,), {"axis": 1}),
        Sample(OPS["flip"], (x,), {"axes": (0, 2)}, smooth=True),
        Sample(OPS["flip"], (ints,), {"axes": (1,)}),
        Sample(OPS["after"], (x, row), smooth=True),
        Sample(OPS["after"], (ints, empty)),
        *(Sample(OPS["affine_view"], (x,), attrs, smooth=True) for attrs in _AFFINE),
        *(Sample(OPS["affine_view"], (x.astype(d.numpy),), _AFFINE[1]) for d in DTYPES.values()),
        Sample(OPS["affine_view"], (x.transpose(2, 0, 1)[::2],), {**_AFFINE[0], "shape": (3, 2), "starts": (0, 0, 1)}),
        Sample(OPS["affine_view"], (np.array(2.0),), {"shape": (), "starts": (), "strides": ()}, smooth=True),
        Sample(OPS["affine_view"], (empty,), {"shape": (0,), "starts": (0, 1), "strides": ((1, 1),)}),
    ]


_AFFINE: list[dict[str, Any]] = [  # a diagonal, windows, both at once, the same element everywhere
    {"shape": (4, 3), "starts": (0, 0, 1), "strides": ((0, 1, 0), (1, 0, 1))},
    {"shape": (3, 2, 5, 2), "starts": (0, 0, 0), "strides": ((1, 0, 0), (0, 2, 0), (0, 0, 1), (0, 1, 0))},
    {"shape": (2, 3), "starts": (0, 1, 0), "strides": ((1, 1, 2), (0, 0, 1))},
    {"shape": (2, 1, 3), "starts": (2, 3, 4), "strides": ((0, 0, 0), (5, 0, 0), (0, 0, 0))},
]


def _reductions() -> list[Sample]:
    rng = _rng("reduce")
    samples: list[Sample] = []
    many = rng.permutation(105).reshape(3, 5, 7) / 10 - 4
    axes_of_many = [(0,), (1,), (2,), (0, 2), (0, 1, 2), ()]
    for name in ("sum", "max", "min"):
        op, exact = OPS[name], name != "sum"
        for axes in axes_of_many:
            samples.append(Sample(op, (many,), {"axes": axes}, 0 if exact else 8, False, smooth=True))
        long = rng.normal(size=(2, 1037))
        for dtype in ("f32", "bf16", "f16"):
            array = long.astype(DTYPES[dtype].numpy)
            samples.append(Sample(op, (array,), {"axes": (1,)}, 0 if exact else 40 if dtype == "f32" else 1, False))
        for dtype in ("i64", "i32", "i8", "u8"):
            samples.append(Sample(op, (_random(DTYPES[dtype], (5, 33), rng),), {"axes": (1,)}))
        samples.append(Sample(op, (np.array([[1, np.nan], [np.inf, 2]], np.float32),), {"axes": (1,)}))
    samples += [Sample(OPS[name], (np.zeros((3, 0), np.float32),), {"axes": (1,)}) for name in ("sum", "prod")]
    samples += [Sample(OPS[n], (rng.integers(0, 2, (4, 9)).astype(bool),), {"axes": (0,)}) for n in ("max", "min")]
    ties = np.array([[1, 3, 3, -2, -2], [np.nan, 1, np.inf, 0, np.nan], [0, -0.0, 0, 0, 0]], np.float32)
    for name in ("argmax", "argmin"):
        samples += [Sample(OPS[name], (ties,), {"axes": (a,)}) for a in (0, 1)]
        samples.append(Sample(OPS[name], (_random(DTYPES["i32"], (6, 41), rng),), {"axes": (1,)}))
    return samples


def _products() -> list[Sample]:
    rng, op = _rng("matmul"), OPS["matmul"]
    shapes = [((3, 4), (4, 5)), ((2, 3, 4), (2, 4, 2)), ((1, 7), (7, 1))]
    samples = [Sample(op, (rng.normal(size=a), rng.normal(size=b)), {}, 8, False, smooth=True) for a, b in shapes]
    odd = [((33, 17), (17, 65)), ((5, 3, 9, 20), (5, 3, 20, 6)), ((0, 4), (4, 3)), ((3, 0), (0, 2))]
    for a, b in odd:
        samples.append(Sample(op, tuple(rng.normal(size=s).astype(np.float32) for s in (a, b)), {}, 16, False))
    for dtype in ("bf16", "f16", "i8", "u8", "i32", "i64"):
        arrays = tuple(_random(DTYPES[dtype], s, rng) for s in ((7, 19), (19, 11)))
        samples.append(Sample(op, arrays, {}, 2 if DTYPES[dtype].is_float else 0, False))
    for left, right, wide in (("i8", "i8", "i32"), ("u8", "i8", "i32"), ("i8", "i32", "i32"), ("bf16", "bf16", "f32")):
        for a, b in (((7, 19), (19, 11)), ((3, 0), (0, 2)), ((2, 5, 33), (2, 33, 40))):
            arrays = (_random(DTYPES[left], a, rng), _random(DTYPES[right], b, rng))
            samples.append(Sample(op, arrays, {"dtype": DTYPES[wide]}, 16 if wide == "f32" else 0, False))
    return samples


def _indexing() -> list[Sample]:
    rng = _rng("index")
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    for axis, places in ((0, [3, 0, 0]), (1, [[1, 4], [4, 4]]), (2, 2), (0, [])):
        index = np.array(places, np.int64)
        updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
        samples.append(Sample(OPS["gather"], (x, index), {"axis": axis}, smooth=True))
        samples.append(Sample(OPS["scatter_add"], (x, index, updates), {"axis": axis}, 8, False, smooth=True))
    rows, index = _random(DTYPES["i32"], (6, 4), rng), np.array([5, 5, 1, 0])
    samples.append(Sample(OPS["gather"], (rows, index), {"axis": 0}))
    samples.append(Sample(OPS["scatter_add"], (rows, index, rows[:4]), {"axis": 0}))
    half = rng.normal(size=(6, 4)).astype(DTYPES["bf16"].numpy)
    samples.append(Sample(OPS["gather"], (half, index), {"axis": 0}))
    return [*samples, *_joins(), *_updates()]


def _joins() -> list[Sample]:
    rng, op = _rng("scatter_reduce"), OPS["scatter_reduce"]
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    for reduce in ("mul", "max", "min"):
        for axis, places in ((0, [3, 0, 0]), (1, [[1, 4], [4, 4]]), (2, 2), (0, [])):
            index = np.array(places, np.int64)
            updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
            samples.append(Sample(op, (x, index, updates), {"axis": axis, "reduce": reduce}, 8, smooth=True))
        for name in ("f32", "bf16", "f16", "i32", "i8", "u8", "i64"):
            rows, index = _random(DTYPES[name], (6, 33), rng, 1.0), np.array([5, 5, 1, 0, 5])
            updates = _random(DTYPES[name], (5, 33), rng, 1.0)
            if name == "f32":
                rows[5, 3], updates[1, 4], updates[4, 5:7] = np.nan, np.nan, np.inf
            samples.append(Sample(op, (rows, index, updates), {"axis": 0, "reduce": reduce}, 4))
    return samples


def _updates() -> list[Sample]:
    rng = _rng("update")
    x = rng.normal(size=(4, 5, 3))
    samples: list[Sample] = []
    # Of repeated indices the one that does not count has a gradient all the same: smooth are distinct ones.
    for axis, places in ((0, [3, 0]), (1, [[1, 4], [0, 2]]), (2, 2), (0, [])):
        index = np.array(places, np.int64)
        updates = rng.normal(size=(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))
        samples.append(Sample(OPS["scatter"], (x, index, updates), {"axis": axis}, smooth=True))
    regions = [((2, 2, 3), (1, 0, 0), (2, 4, 1)), ((4, 1, 1), (0, 3, 2), (1, 7, 1)), ((2, 0, 3), (0, 5, 0), (1, 1, 1))]
    for shape, starts, steps in regions:
        attrs = {"starts": starts, "steps": steps}
        samples.append(
            Sample(
                OPS["update_slice"],
                (
                    x,
                    rng.normal(size=shape),
                ),
                attrs,
                smooth=True,
            )
        )
    samples.append(
        Sample(OPS["update_slice"], (np.array(1.0), np.array(2.0)), {"starts": (), "steps": ()}, smooth=True)
    )
    for dtype in DTYPES.values():
        rows, repeated = _random(dtype, (6, 33), rng), np.array([[5, 5], [1, 0], [1, 5]])
        samples.append(Sample(OPS["scatter"], (rows, repeated, _random(dtype, (3, 2, 33), rng)), {"axis": 0}))
        samples.append(Sample(OPS["scatter"], (rows[:, 0], repeated, _random(dtype, (3, 2), rng)), {"axis": 0}))
        attrs = {"starts": (1, 2), "steps": (2, 3)}
        samples.append(Sample(OPS["update_slice"], (rows, _random(dtype, (3, 10), rng)), attrs))
        moved = (np.array(1), np.array(3))
        attrs = {"starts": (0, 2), "steps": (2, 3), "axes": (0, 1)}
        samples.append(Sample(OPS["update_slice"], (rows, _random(dtype, (3, 9), rng), *moved), attrs))
        attrs = {"starts": (0, 2), "limits": (5, 28), "steps": (2, 3), "axes": (1, 0)}
        samples.append(Sample(OPS["dynamic_slice"], (rows, *moved[::-1]), attrs))
    return [*samples, *_moved()]


def _moved() -> list[Sample]:
    """Regions that positions move along some axes, to both ends of them."""
    rng = _rng("moved")
    x = rng.normal(size=(4, 5, 3))
    cases = [((2, 5, 1), (0, 0, 2), (1, 1, 1), (0,), (2,)), ((2, 2, 3), (1, 0, 0), (2, 3, 1), (1,), (1,))]
    cases += [((1, 3, 2), (0, 1, 0), (1, 1, 2), (2, 0), (0, 3)), ((0, 5, 3), (1, 0, 0), (1, 1, 1), (0,), (3,))]
    samples: list[Sample] = []
    for shape, starts, steps, axes, places in cases:
        positions = tuple(np.array(place) for place in places)
        attrs = {"starts": starts, "steps": steps, "axes": axes}
        samples.append(Sample(OPS["update_slice"], (x, rng.normal(size=shape), *positions), attrs, smooth=True))
        limits = tuple(a + (d - 1) * s + 1 if d else a for a, d, s in zip(starts, shape, steps, strict=True))
        samples.append(Sample(OPS["dynamic_slice"], (x, *positions), {**attrs, "limits": limits}, smooth=True))
    return samples


def _scans() -> list[Sample]:
    rng, op = _rng("cumsum"), OPS["cumsum"]
    samples: list[Sample] = []
    for axis, reverse in itertools.product((0, 1, 2), (False, True)):
        attrs = {"axis": axis, "reverse": reverse}
        samples.append(Sample(op, (rng.normal(size=(3, 4, 5)),), attrs, smooth=True))
        samples += [Sample(op, (_random(t, (3, 17, 21), rng),), attrs) for t in DTYPES.values() if t != bool_]
    corners = np.array([[-0.0, 0, -0.0], [1, np.inf, 2], [np.inf, 1, -np.inf], [3, np.nan, 1]], np.float32)
    samples += [Sample(op, (corners,), {"axis": axis, "reverse": False}) for axis in (0, 1)]
    samples.append(Sample(op, (np.full((1 << 17,), 0.1, np.float32),), {"axis": 0, "reverse": False}))
    samples += [Sample(op, (np.zeros(s, np.float32),), {"axis": 1, "reverse": True}) for s in ((3, 0), (0, 3), (2, 1))]
    return samples


def _further_scans() -> list[Sample]:
    rng = _rng("scan")
    samples: list[Sample] = []
    corners = np.array([[-0.0, 0, -0.0], [1, np.inf, 2], [-np.inf, -np.inf, 1], [3, np.nan, 1]], np.float32)
    counts = {"linear_scan": 2, "cumprod": 1, "logcumsumexp": 1, "cummax": 1, "cummin": 1}
    for name, count in counts.items():
        op, extreme, log = OPS[name], name in ("cummax", "cummin"), name == "logcumsumexp"
        tolerance = (16, False) if log else (0, True)  # logarithms near 0 are what is left of larger ones
        kinds = [t for t in DTYPES.values() if t.is_float or extreme or not (log or t == bool_)]
        for axis, reverse in itertools.product((0, 1, 2), (False, True)):
            attrs = {"axis": axis} if extreme else {"axis": axis, "reverse": reverse}
            smooth = tuple(rng.normal(size=(2, 4, 3)) for _ in range(count))
            samples.append(Sample(op, smooth, attrs, *tolerance, smooth=True))
            t = kinds[(2 * axis + reverse) % len(kinds)]
            samples.append(Sample(op, tuple(_random(t, (3, 9, 21), rng) for _ in range(count)), attrs, *tolerance))
        first = {"axis": 0} if extreme else {"axis": 0, "reverse": False}
        samples += [Sample(op, tuple(_random(t, (9, 21), rng) for _ in range(count)), first, *tolerance) for t in kinds]
        samples += [Sample(op, (corners,) * count, {**first, "axis": axis}, *tolerance) for axis in (0, 1)]
        empty = [tuple(np.zeros(s, np.float32) for _ in range(count)) for s in ((0, 3), (3, 0), (1, 2))]
        samples += [Sample(op, arrays, first) for arrays in empty]
    with_zeros = np.array([[1.5, 0, 2, -1], [0, 2, 0, 3], [2, -3, 0.5, 1]])
    samples += [Sample(OPS["cumprod"], (with_zeros,), {"axis": 1, "reverse": r}, smooth=True) for r in (False, True)]
    prod, x = OPS["prod"], rng.uniform(-1.5, 1.5, (3, 4, 2))
    samples += [Sample(prod, (x,), {"axes": axes}, 8, smooth=True) for axes in ((0,), (1,), (0, 2), (0, 1, 2), ())]
    samples += [Sample(prod, (with_zeros,), {"axes": (1,)}, smooth=True), Sample(prod, (corners,), {"axes": (0,)}, 2)]
    for t in DTYPES.values():
        y = _random(t, (5, 33), rng, 1.0)
        samples += [] if t == bool_ else [Sample(prod, (y,), {"axes": (1,)}, 40 if t.is_float else 0)]
    return samples


def _sorts() -> list[Sample]:
    rng, op = _rng("sort"), OPS["sort"]
    samples: list[Sample] = []
    ties = np.array([[1, 3, 3, -2, -2, 0], [np.nan, 1, np.inf, 0, np.nan, -0.0], [0, -0.0, 0, 0, 0, 0]], np.float32)
    for descending in (False, True):
        for axis, count in ((0, 3), (1, 4), (2, 5), (1, 2), (2, 0)):
            x = rng.permutation(60).reshape(3, 4, 5) / 10
            attrs = {"axis": axis, "descending": descending, "count": count}
            samples.append(Sample(op, (x,), attrs, smooth=count > 0))
        samples += [Sample(op, (ties,), {"axis": 1, "descending": descending, "count": n}) for n in (6, 2)]
        whole = {"axis": 0, "descending": descending, "count": 70}
        samples += [Sample(op, (_random(t, (70, 3), rng),), whole) for t in DTYPES.values()]
        samples.append(Sample(op, (_random(f32, (2, 900), rng),), {**whole, "axis": 1}))
        samples.append(Sample(op, (np.zeros((0, 2), np.float32),), {**whole, "count": 0}))
    for skip_nan in (False, True):
        attrs = {"skip_nan": skip_nan}
        samples += [Sample(OPS["median"], (x,), attrs, smooth=True) for x in (rng.normal(size=9), rng.normal(size=4))]
        samples += [Sample(OPS["median"], (row,), attrs) for row in (*ties, np.full(3, np.nan), np.array([3, 1, 2, 2]))]
        samples.append(Sample(OPS["median"], (_random(DTYPES["bf16"], (40,), rng),), attrs))
    for right in (False, True):
        rows, x = np.sort(_random(f32, (3, 13), rng)), _random(f32, (3, 5), rng)
        x[0, :4] = rows[0, 3], np.inf, -np.inf, np.nan
        samples.append(Sample(OPS["searchsorted"], (rows, x), {"right": right}))
        for t in (DTYPES["bf16"], i64, DTYPES["u8"]):
            arrays = np.sort(_random(t, (40,), rng)), _random(t, (50,), rng)
            samples.append(Sample(OPS["searchsorted"], arrays, {"right": right}))
        samples.append(Sample(OPS["searchsorted"], (np.zeros(0, np.float32), x[0]), {"right": right}))
    return samples


def _composites() -> list[Sample]:
    rng = _rng("composite")
    x = rng.uniform(0.2, 2.0, (3, 4)) * rng.choice([-1, 1], (3, 4))
    wide = np.concatenate([_corners(f32), _random(f32, (50,), rng)])
    rows = _random(f32, (5, 37), rng)
    spikes = np.array([[1e4, -1e4, 0], [-np.inf, 0, 1], [np.nan, 0, 1], [np.inf, 0, 1]], np.float32)
    targets, state = np.array([2, 0, 3]), np.array([5, 123])
    samples: list[Sample] = []
    halves = rows.astype(DTYPES["bf16"].numpy)
    activations: list[tuple[str, dict[str, Any]]] = [("relu", {}), ("sigmoid", {}), ("silu", {})]
    activations += [("gelu", {"approximate": approximate}) for approximate in (False, True)]
    for name, attrs in activations:
        exact = name == "relu"
        samples.append(Sample(OPS[name], (x,), attrs, 0 if exact else 8, smooth=True))
        samples.append(Sample(OPS[name], (wide,), attrs, 0 if exact else 8, name != "gelu"))
        samples.append(Sample(OPS[name], (halves,), attrs, 0 if exact else 4, False))
    for name in ("softmax", "log_softmax", "logsumexp"):
        samples += [Sample(OPS[name], (x,), {"axis": axis}, 16, False, smooth=True) for axis in (0, 1)]
        samples += [Sample(OPS[name], (a,), {"axis": 1}, 16, False) for a in (rows, spikes)]
    for axes in ((0,), (1,), (0, 1)):
        samples.append(Sample(OPS["mean"], (x,), {"axes": axes}, 8, False, smooth=True))
        samples.append(Sample(OPS["layernorm"], (x,), {"axes": axes, "eps": 1e-5}, 64, False, smooth=True))
        samples.append(Sample(OPS["variance"], (x,), {"axes": axes, "correction": 1.0}, 16, False, smooth=True))
    for dtype in ("f16", "bf16"):
        half = (rows + 3).astype(DTYPES[dtype].numpy)
        samples.append(Sample(OPS["mean"], (np.full((2, 70_000), 1.5, half.dtype),), {"axes": (1,)}))
        samples.append(Sample(OPS["softmax"], (half,), {"axis": 1}, 1, False))
        samples.append(Sample(OPS["layernorm"], (half,), {"axes": (1,), "eps": 1e-5}, 1, False))
    samples.append(Sample(OPS["mean"], (np.zeros((2, 0), np.float32),), {"axes": (1,)}))
    samples += [
        Sample(OPS["variance"], (a,), {"axes": (1,), "correction": c}) for a in (spikes,) for c in (0.0, 3.0, 5.0)
    ]
    samples.append(Sample(OPS["variance"], (np.zeros((2, 0), np.float32),), {"axes": (1,), "correction": 1.0}))
    samples += [Sample(OPS["root"], (np.abs(x),), smooth=True), Sample(OPS["root"], (wide,))]
    for name in ("clamp_min", "clamp_max"):
        limit = rng.permutation(x.reshape(-1)).reshape(x.shape) + 0.05
        samples += [Sample(OPS[name], (x, limit), smooth=True)]
        samples += [Sample(OPS[name], _operands(d, 2, rng)) for d in DTYPES.values()]
    for name in ("softmax", "log_softmax", "logsumexp"):
        samples += [Sample(OPS[name], (np.zeros(s, np.float32),), {"axis": 1}) for s in ((2, 0), (0, 2))]
    samples.append(Sample(OPS["layernorm"], (rows,), {"axes": (1,), "eps": 1e-5}, 32, False))
    for smoothing in (0.0, 0.1):
        samples.append(Sample(OPS["cross_entropy"], (x, targets), {"smoothing": smoothing}, 16, False, smooth=True))
        samples.append(Sample(OPS["cross_entropy"], (rows, np.arange(5) * 9), {"smoothing": smoothing}, 16, False))
    p, shares = rng.uniform(0.05, 0.95, (2, 3, 4))
    edges = np.array([[0, 1, 0.5, 0, 1, 2, np.nan], [0, 1, 0.3, 1, 0, 1, 1]], np.float32)
    logits = np.array([0, 30, -30, np.inf, -np.inf, np.inf, np.nan], np.float32)
    samples.append(Sample(OPS["binary_cross_entropy"], (p, shares), {}, 16, False, smooth=True))
    samples.append(Sample(OPS["binary_cross_entropy"], tuple(edges), {}, 16))
    samples.append(Sample(OPS["logistic_loss"], (x, p, shares), {}, 16, False, smooth=True))
    samples.append(Sample(OPS["logistic_loss"], (logits, 1 - edges[1], edges[1]), {}, 16))
    samples += [Sample(OPS["one_hot"], (targets,), {"size": 4, "dtype": d}) for d in (f32, i64, bool_)]
    for dtype in ("f32", "f64", "bf16"):
        attrs = {"shape": (7, 5), "dtype": DTYPES[dtype]}
        samples.append(Sample(OPS["uniform"], (state,), attrs))
        samples.append(Sample(OPS["normal"], (state,), attrs, 2 if dtype == "bf16" else 16 if dtype == "f32" else 1e10))
    samples += [Sample(OPS["dropout"], (x, state), {"p": p}, 1, smooth=True) for p in (0.0, 0.4, 1.0)]
    return samples


# Attention.
_SEEN = np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)


def _attentions() -> list[Sample]:
    """Every way to hide keys, with as many heads as groups and more, and sizes that nothing divides."""
    rng, attention, inf = _rng("attention"), OPS["attention"], np.inf
    plain: dict[str, Any] = {"scale": 0.5, "causal": False, "extras": (), "p": 0.0, "fill": -inf, "zeros": True}
    q, k, v = (rng.normal(size=s) for s in ((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 3)))
    seen, state = np.broadcast_to(_SEEN, (2, 4, 3, 5)), np.array([5, 123])
    added = np.where(seen, rng.normal(size=seen.shape), -inf)
    cases: list[tuple[tuple[Array, ...], dict[str, Any]]] = [
        ((), {}),
        ((), {"causal": True}),
        ((), {"causal": True, "fill": -2.0}),
        ((seen,), {"extras": ("mask",)}),
        ((seen[:, :, ::2].repeat(2, 2)[:, :, 1:],), {"extras": ("mask",)}),
        ((seen,), {"extras": ("mask",), "causal": True, "fill": -3.0, "zeros": False}),
        ((added,), {"extras": ("mask",)}),
        ((added[:, :, 2:].repeat(3, 2),), {"extras": ("mask",)}),
        ((state,), {"extras": ("state",), "p": 0.4}),
        ((seen, state, np.array([0, 2])), {"extras": ("mask", "state", "positions"), "p": 0.5, "causal": True}),
        ((np.array([2, 1]),), {"extras": ("positions",)}),
    ]
    samples: list[Sample] = []
    for extras, attrs in cases:
        for dtype in (np.float64, np.float32):
            operands = [a.astype(dtype) if a.dtype.kind == "f" else a for a in (q, k, v, *extras)]
            sample = Sample(attention, tuple(operands), {**plain, **attrs}, 16, False)
            smooth = dtype is np.float64 and bool(sample.results[1].all())
            samples.append(replace(sample, smooth=smooth))
    unseen = {**plain, "extras": ("mask",), "zeros": False}
    rows = tuple(a.astype(np.float32) for a in (q, k, v))
    samples.append(Sample(attention, (*rows, seen), unseen, 16, False))
    for name in ("f16", "bf16"):
        halves = tuple(a.astype(DTYPES[name].numpy) for a in (q, k, v))
        samples.append(Sample(attention, halves, {**plain, "causal": True}, 2, False))
    for shape in ((0, 2, 3, 4), (2, 0, 3, 4), (2, 2, 0, 4), (2, 2, 3, 0)):
        samples.append(Sample(attention, (np.zeros(shape, np.float32),) * 3, plain))
    nothing = np.zeros((2, 2, 0, 4), np.float32)
    samples.append(Sample(attention, (rows[0], nothing, nothing), plain))
    return samples + [_gradient_of(s) for s in samples]


def _gradient_of(sample: Sample) -> Sample:
    """What attention's rule applies, for a cotangent of the result alone."""
    out, norms = sample.results
    g = _rng("cotangent").normal(size=out.shape).astype(out.dtype)
    delta = (g.astype(norms.dtype) * out.astype(norms.dtype)).sum(3, keepdims=True)
    arrays = (*sample.arrays, norms, delta, g)
    return Sample(OPS["attention_grad"], arrays, sample.attrs, sample.tolerance * 2, False, smooth=sample.smooth)


# Images.
_PLAIN = {"stride": (1, 1), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}
_WINDOWS: list[dict[str, Any]] = [
    {**_PLAIN, "low": (1, 1), "high": (1, 1)},
    {"stride": (2, 1), "low": (1, 0), "high": (0, 2), "dilation": (1, 2)},
    {"stride": (3, 2), "low": (0, 1), "high": (2, 1), "dilation": (2, 1)},
]


def _without(attrs: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in attrs.items() if key not in names}


def _convolution_samples(
    x: Array, w: Array, attrs: Mapping[str, Any], tolerance: float, rng: np.random.Generator, smooth: bool = False
) -> list[Sample]:
    """A convolution and its two transposes, on gradients of its shape."""
    forward = Sample(OPS["conv2d"], (x, w), attrs, tolerance, False, smooth)
    (out,) = forward.op.result_types(forward.types, attrs)
    g = _random(out.dtype, out.shape, rng)
    shared, image, window = _without(attrs, "high"), (x.shape[1], x.shape[2]), (w.shape[0], w.shape[1])
    return [
        forward,
        Sample(OPS["conv2d_weight_grad"], (x, g), {**shared, "window": window}, tolerance, False, smooth),
        Sample(OPS["conv2d_input_grad"], (g, w), {**shared, "size": image}, tolerance, False, smooth),
    ]


def _convolutions() -> list[Sample]:
    rng = _rng("conv2d")
    samples: list[Sample] = []
    for attrs, groups in zip(_WINDOWS, (1, 2, 4), strict=True):
        x, w = rng.normal(size=(2, 6, 5, 4)), rng.normal(size=(2, 3, 4 // groups, 4))
        samples += _convolution_samples(x, w, {**attrs, "groups": groups}, 32, rng, smooth=True)
    shapes = [
        ((2, 9, 7, 3), (3, 3, 3, 5), 1), ((1, 8, 8, 16), (3, 3, 16, 33), 1), ((3, 4, 4, 8), (1, 1, 8, 17), 1),
        ((2, 7, 9, 12), (3, 3, 1, 12), 12), ((2, 6, 6, 6), (3, 2, 2, 9), 3), ((1, 1, 30, 4), (1, 5, 4, 6), 1),
    ]  # fmt: skip
    for (shape, window, groups), attrs in itertools.product(shapes, _WINDOWS[:2]):
        x, w = (rng.normal(size=s).astype(np.float32) for s in (shape, window))
        samples += _convolution_samples(x, w, {**attrs, "groups": groups}, 64, rng)
    for dtype in ("bf16", "f16", "i8", "i32"):
        x, w = (_random(DTYPES[dtype], s, rng) for s in ((2, 5, 6, 4), (3, 3, 2, 6)))
        tolerance = 2 if DTYPES[dtype].is_float else 0
        samples += _convolution_samples(x, w, {**_WINDOWS[0], "groups": 2}, tolerance, rng)
    pairs = [("u8", "i8", "i32"), ("i8", "i8", "i32"), ("u8", "u8", "i32"), ("i8", "u8", "i32"), ("bf16", "f16", "f32")]
    for (image, weight, wide), attrs in zip(pairs, _WINDOWS + _WINDOWS, strict=False):
        x, w = _random(DTYPES[image], (2, 5, 6, 6), rng), _random(DTYPES[weight], (3, 2, 3, 8), rng)
        sums = {**attrs, "groups": 2, "dtype": DTYPES[wide]}
        samples.append(Sample(OPS["conv2d"], (x, w), sums, 64 if wide == "f32" else 0, False))
    return samples


def _panels() -> list[Sample]:
    """Products whose right operand lies in panels, the last of which overhangs."""
    samples: list[Sample] = []
    for dtype, rows, depth, (count, width), columns in (("f32", 5, 30, (3, 16), 41), ("f64", 2, 7, (2, 4), 8)):
        rng = _rng("panel_matmul")
        operands = _random(DTYPES[dtype], (rows, depth), rng), _random(DTYPES[dtype], (count, depth, width), rng)
        samples.append(Sample(OPS["panel_matmul"], operands, {"columns": columns}, tolerance=16, relative=False))
    narrow = (
        ("bf16", "bf16", (3, 15, 16, 2), {}), ("f32", "bf16", (3, 15, 16, 2), {"dtype": f32}),
        ("bf16", "bf16", (3, 30, 16), {"dtype": f32}), ("f16", "f16", (3, 30, 16), {}),
        ("f32", "f16", (3, 30, 16), {"dtype": f32}),
    )  # fmt: skip
    for left, right, shape, attrs in narrow:
        rng = _rng("panel_matmul")
        operands = _random(DTYPES[left], (5, 30), rng), _random(DTYPES[right], shape, rng)
        tolerance = 16 if attrs or left == "f32" else 2
        samples.append(Sample(OPS["panel_matmul"], operands, {"columns": 41, **attrs}, tolerance, relative=False))
    return samples


def _byte_panels() -> list[Sample]:
    """Bytes in panels of single elements, which every target takes."""
    rng, op, samples = _rng("byte_panel_matmul"), OPS["byte_panel_matmul"], list[Sample]()
    for left, right, (rows, depth, columns) in (("u8", "i8", (5, 30, 41)), ("i8", "i8", (1, 7, 3))):
        operands = (_random(DTYPES[d], s, rng) for d, s in ((left, (rows, depth)), (right, (3, depth, 16, 1))))
        samples.append(Sample(op, tuple(operands), {"columns": columns if columns > 32 else 33}))
    return samples


def _int4() -> list[Sample]:
    """Weights of four bits: a last group and a last panel that overhang."""
    rng, samples = _rng("int4_matmul"), list[Sample]()
    for dtype, (rows, depth, columns), groups in (
        ("f32", (5, 37, 41), 5),
        ("i8", (5, 37, 41), 5),
        ("i8", (1, 61, 7), 2),
    ):
        runs, panels = -(-depth // 8), -(-columns // 16)
        packed = _random(DTYPES["u8"], (panels, runs, 16, 4), rng)
        operands = _random(DTYPES[dtype], (rows, depth), rng), packed, _random(DTYPES["f16"], (panels, groups, 16), rng)
        tolerance = 16 if dtype == "f32" else 0
        samples.append(Sample(OPS["int4_matmul"], operands, {"columns": columns}, tolerance, relative=False))
    return samples


def _packed_convolutions() -> list[Sample]:
    """Convolutions of bytes by weights in groups, that share the places of a window's row or do not."""
    rng = _rng("conv2d_packed")
    samples: list[Sample] = []
    cases = [("u8", "i8", 3, 2, 4, 16), ("i8", "i8", 4, 1, 4, 8), ("u8", "u8", 5, 1, 2, 5), ("i8", "u8", 8, 2, 2, 16)]
    for (image, weight, channels, groups, size, width), attrs in zip(cases, _WINDOWS + _WINDOWS, strict=False):
        x = _random(DTYPES[image], (2, 6, 7, channels * groups), rng)
        w = Tensor(_random(DTYPES[weight], (3, 3, channels, 9 * groups), rng))
        packed = packed_weights(w, groups=groups, dilation=attrs["dilation"][1], size=size, width=width).numpy()
        packing = {"window": (3, 3), "columns": 9 * groups, "size": size, "weights": w.dtype, "most": (255, 255)}
        own = {**attrs, **packing, "groups": groups, "around": channels}
        samples.append(Sample(OPS["conv2d_packed"], (x, packed), own, 0, False))
    return samples


def _sparse() -> list[Sample]:
    """Products by weights with entries in all patterns; a row of zeros, columns without entries, few and many rows."""
    samples: list[Sample] = []
    cases = ("f32", 3, 16, 4, 32), ("f64", 2, 4, 1, 8), ("f32", 21, 2, 2, 16)
    for dtype, rows, lanes, side_by_side, width in cases:
        rng = _rng("sparse_matmul")
        x, w = (_random(DTYPES[dtype], shape, rng) for shape in ((rows, 270), (270, 41)))
        w[np.repeat(rng.random((270, 11)) < 0.8, 4, axis=1)[:, :41]] = 0
        arrays = (x, *pack(w, lanes, side_by_side, width))
        samples.append(Sample(OPS["sparse_matmul"], arrays, {"columns": 41}, tolerance=16, relative=False))
    rng = _rng("semi_structured_matmul")
    x, w = (_random(DTYPES["f32"], shape, rng) for shape in ((3, 30), (30, 19)))
    w[np.arange(30) % 4 > 1] = 0
    arrays = (x, *pack_semi_structured(w, 8))
    return [*samples, Sample(OPS["semi_structured_matmul"], arrays, {"columns": 19}, tolerance=16, relative=False)]


def _winograd() -> list[Sample]:
    rng = _rng("conv2d_winograd")
    attrs = {"stride": (1, 1), "low": (1, 1), "high": (1, 0), "dilation": (1, 1), "groups": 1}
    samples: list[Sample] = []
    cases = [
        ((2, 7, 9, 20), 33, "f32", 2, 48), ((1, 4, 6, 3), 5, "f64", 2, 8), ((1, 6, 5, 16), 16, "bf16", 2, 16),
        ((2, 7, 9, 20), 33, "f32", 4, 16), ((1, 5, 6, 3), 5, "f64", 4, 8),
    ]  # fmt: skip
    for shape, columns, dtype, side, panel in cases:
        x, w = (_random(DTYPES[dtype], s, rng) for s in (shape, (3, 3, shape[3], columns)))
        cut = {"side": side, "panel": panel}
        weights = Sample(OPS["winograd_weights"], (w,), cut, tolerance=4, relative=False)
        operands, smooth = (x, w, weights.expected), dtype == "f64"
        whole = Sample(OPS["conv2d_winograd"], operands, attrs, tolerance=64, relative=False, smooth=smooth)
        gradients = whole.expected
        of_weights = {**attrs, "window": (3, 3), "side": side}
        del of_weights["high"]
        back = Sample(OPS["winograd_weight_grad"], (x, gradients), of_weights, tolerance=64, relative=False)
        samples += [weights, whole, back]
    return samples


def _pool_samples(x: Array, attrs: Mapping[str, Any], smooth: bool = False) -> list[Sample]:
    """A pool, and elements taken from and put to its places."""
    pool = Sample(OPS["max_pool2d"], (x,), attrs, smooth=smooth)
    _, index = pool.results
    g = _random(dtype_of(x.dtype), index.shape, _rng("max_pool2d"))
    shared, image = _without(attrs, "high"), (x.shape[1], x.shape[2])
    return [
        pool,
        Sample(OPS["max_unpool2d"], (g, index), {**shared, "size": image}, 4, False, smooth),
        Sample(OPS["max_pool2d_take"], (x, index), shared, smooth=smooth),
    ]


def _pools() -> list[Sample]:
    rng = _rng("pool")
    samples: list[Sample] = []
    windows: list[tuple[int, int]] = [(2, 2), (3, 2), (2, 3)]
    for window, attrs in zip(windows, ({**_PLAIN, "stride": (2, 2)}, *_WINDOWS[1:]), strict=True):
        x = rng.permutation(2 * 6 * 7 * 3).reshape(2, 6, 7, 3) / 10
        samples += _pool_samples(x, {"window": window, **attrs}, smooth=True)
    ties = rng.integers(-2, 3, (2, 8, 9, 5)).astype(np.float32)
    ties[rng.random(ties.shape) < 0.1] = np.nan
    wide = _random(f32, (3, 8, 8, 33), rng)
    for x, (window, attrs) in itertools.product((ties, wide), zip(windows, _WINDOWS, strict=True)):
        samples += _pool_samples(x, {"window": window, **attrs})
    samples += _pool_samples(rng.normal(size=(1, 20, 20, 2)), {"window": (17, 17), **_PLAIN})
    for dtype in ("bf16", "f16", "i64", "i8", "u8"):
        x = _random(DTYPES[dtype], (2, 6, 6, 4), rng)
        samples += _pool_samples(x, {"window": (2, 2), **_PLAIN, "stride": (2, 2)})
    return samples


def _normalizations() -> list[Sample]:
    rng, op, eps = _rng("batchnorm"), OPS["batchnorm"], {"eps": 1e-5}
    samples: list[Sample] = []
    for shape in ((5, 3), (3, 2, 2, 4)):
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-1]), rng.normal(size=shape[-1]))
        samples.append(Sample(op, arrays, eps, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(_random(DTYPES[dtype], s, rng) for s in ((4, 6, 5, 19), (19,), (19,)))
        samples.append(Sample(op, arrays, eps, tolerance, False))
    op = OPS["layernorm_affine"]
    for shape, count in (((5, 3), 1), ((4,), 1), ((2, 3, 4), 2)):
        axes = tuple(range(len(shape) - count, len(shape)))
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-count:]), rng.normal(size=shape[-count:]))
        samples.append(Sample(op, arrays, {"axes": axes, **eps}, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(_random(DTYPES[dtype], s, rng) for s in ((4, 6, 70), (70,), (70,)))
        samples.append(Sample(op, arrays, {"axes": (2,), **eps}, tolerance, False))
    plain, affine = OPS["rmsnorm"], OPS["rmsnorm_affine"]
    for shape, count in (((5, 3), 1), ((4,), 1), ((2, 3, 4), 2)):
        attrs = {"axes": tuple(range(len(shape) - count, len(shape))), **eps}
        arrays = (rng.normal(size=shape), rng.normal(size=shape[-count:]))
        samples.append(Sample(plain, arrays[:1], attrs, 128, False, smooth=True))
        samples.append(Sample(affine, arrays, attrs, 128, False, smooth=True))
    samples.append(Sample(plain, (rng.normal(size=(3, 4)),), {"axes": (0,), **eps}, 128, False, smooth=True))
    for dtype, tolerance in (("f32", 128), ("bf16", 1), ("f16", 1)):
        arrays = tuple(_random(DTYPES[dtype], s, rng) for s in ((4, 6, 70), (70,)))
        samples.append(Sample(affine, arrays, {"axes": (2,), **eps}, tolerance, False))
    return samples


def _recurrent() -> list[Sample]:
    rng = _rng("recurrent")
    samples: list[Sample] = []
    for name, gates in {"lstm": 4, "lstm_projected": 4, "gru": 3, "rnn_tanh": 1, "rnn_relu": 1}.items():
        sizes = [(3, 2, 3), (1, 3, 2), (4, 33, 17), (2, 1, 40), (2, 0, 3)]
        for (steps, batch, hidden), reverse in itertools.product(sizes, (False, True)):
            smooth = 0 < batch < 4 and hidden < 40
            size = hidden - 1 if name == "lstm_projected" else hidden
            states = [(batch, size), *([(batch, hidden)] if gates == 4 else [])]
            shapes = [(steps, batch, gates * hidden), (gates * hidden, size), (gates * hidden,)]
            shapes += [*([(size, hidden)] if name == "lstm_projected" else []), *states]
            dtype = DTYPES["f64" if smooth else "f32"]
            arrays = tuple(_random(dtype, shape, rng, 0.5) for shape in shapes)
            forward = Sample(OPS[name], arrays, {"reverse": reverse}, 64, False, smooth)
            cotangents = [_random(dtype, (steps, *state), rng) for state in states]
            results = [np.where(x == 0, -1, x).astype(x.dtype) for x in forward.results]  # where ReLU has a derivative
            back = (*cotangents, arrays[1], *arrays[3:], *results)
            samples += [forward, Sample(OPS[f"{name}_grad"], back, {"reverse": reverse}, 64, False, smooth)]
    return samples


def _rotaries() -> list[Sample]:
    rng, op = _rng("rotary"), OPS["rotary"]
    samples = [Sample(op, tuple(rng.normal(size=(2, 3, 4)) for _ in range(3)), {}, 8, False, smooth=True)]
    for dtype, table in (("f32", "f32"), ("f64", "f64"), ("bf16", "f32"), ("f16", "f32"), ("f16", "f16")):
        arrays = tuple(_random(DTYPES[name], (3, 5, 22), rng) for name in (dtype, table, table))
        samples.append(Sample(op, arrays, {}, 8, False))
    return [*samples, Sample(op, tuple(np.zeros((2, 0), np.float32) for _ in range(3)))]


SAMPLES: list[Sample] = [
    *_elementwise(), *_polygammas(), *_incomplete_gammas(), *_casts(), *_other_elementwise(), *_kernel(), *_views(),
    *_reductions(), *_products(), *_scans(), *_further_scans(), *_sorts(),
    *_indexing(), *_composites(), *_attentions(), *_convolutions(), *_panels(), *_byte_panels(), *_int4(),
    *_sparse(), *_packed_convolutions(), *_winograd(), *_pools(),
    *_normalizations(), *_recurrent(),
    *_rotaries(),
]  # fmt: skip


def samples_of(op: Op) -> list[Sample]:
    return [s for s in SAMPLES if s.op is op]
