"""Elementwise ops, constants, casts, random bits, and a kernel."""

from __future__ import annotations

import itertools

import numpy as np

from tests.op_samples.operands import combined_corners, rng_of
from tests.op_samples.sample import Sample
from tinytorch.ir.expr import Expr
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import OPS, Op
from tinytorch.ir.types import DTYPES, DType, TensorType, f32


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
_ANY, _POSITIVE, _AWAY_FROM_0, _IN_A_STEP = (-2.0, 2.0), (0.3, 3.0), (0.4, 2.0), (0.1, 0.4)
ELEMENTWISE: dict[str, tuple[int, float, tuple[float, float] | None]] = {
    "copy": (1, 0, _ANY), "detach": (1, 0, None), "neg": (1, 0, _ANY), "abs": (1, 0, _AWAY_FROM_0),
    "sign": (1, 0, _AWAY_FROM_0), "not": (1, 0, None), "floor": (1, 0, _IN_A_STEP), "ceil": (1, 0, _IN_A_STEP),
    "trunc": (1, 0, _IN_A_STEP), "round": (1, 0, _IN_A_STEP), "exp": (1, 2, _ANY), "expm1": (1, 3, _ANY),
    "log": (1, 2, _POSITIVE),
    "log1p": (1, 3, _POSITIVE), "sqrt": (1, 0, _POSITIVE), "rsqrt": (1, 2, _POSITIVE), "tanh": (1, 4, _ANY),
    "erf": (1, 4, _ANY), "sin": (1, 4, _ANY), "cos": (1, 4, _ANY),
    "add": (2, 0, _ANY), "sub": (2, 0, _ANY), "mul": (2, 0, _ANY), "div": (2, 0, _AWAY_FROM_0),
    "floordiv": (2, 0, _AWAY_FROM_0), "mod": (2, 2, _AWAY_FROM_0), "maximum": (2, 0, _ANY), "minimum": (2, 0, _ANY),
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
        op, rng = OPS[name], rng_of(name)
        for dtype in _kinds(op, count):
            arrays = combined_corners(dtype, count, rng)
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
    rng, op = rng_of("polygamma"), OPS["polygamma"]
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
    rng, op = rng_of("cast"), OPS["cast"]
    pairs = itertools.product(DTYPES.values(), DTYPES.values())
    samples = [Sample(op, combined_corners(a, 1, rng), {"dtype": b}) for a, b in pairs]
    return [*samples, Sample(op, (rng.normal(size=5),), {"dtype": DTYPES["f64"]}, smooth=True)]


def _other_elementwise() -> list[Sample]:
    rng = rng_of("elementwise")
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
    x, y = rng_of("kernel").normal(size=(2, 4)).astype(np.float32)
    builder = Builder("body")
    a, b = (Expr(builder, builder.input(TensorType(f32, (4,)))) for _ in range(2))
    return [Sample(OPS["kernel"], (x, y), {"body": builder.build([((a + b) * a).value])})]


def samples() -> list[Sample]:
    return [*_elementwise(), *_polygammas(), *_incomplete_gammas(), *_casts(), *_other_elementwise(), *_kernel()]
