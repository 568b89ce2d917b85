"""Elementary functions on lanes: error in ulp against wider arithmetic, and the special values."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest

from tinytorch.ir import lanemath
from tinytorch.ir.lanes.numpy_emitter import evaluate
from tinytorch.ir.ops import mathematics

INF, NAN = np.inf, np.nan
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="the reference for f64 needs an 80-bit long double"
)


def erf_reference(x: np.ndarray) -> np.ndarray:
    """erf by the series 2/sqrt(pi) exp(-x**2) sum 2**n x**(2n+1) / (2n+1)!!, all of whose terms are positive."""
    a = np.minimum(np.abs(x.astype(np.longdouble)), 7)
    term = total = a
    for n in range(1, 200):
        term = term * (2 * a * a) / (2 * n + 1)
        total = total + term
    root = np.sqrt(4 / (np.longdouble(math.pi) + np.longdouble(1.2246467991473532e-16)))
    return np.copysign(np.minimum(root * np.exp(-a * a) * total, 1), x)


def sigmoid_reference(x: np.ndarray) -> np.ndarray:
    decay = np.exp(-np.abs(x))
    return np.where(x < 0, decay, 1) / (1 + decay)


# name: reference, ranges besides random bit patterns, worst ulp in f32 and f64, (fused, not fused)
FUNCTIONS = {
    "exp": (np.exp, [(-1, 1), (-105, 90), (-750, 710)], (0.9, 1.2), (0.9, 1.2)),
    "expm1": (np.expm1, [(-1, 1), (-40, 20), (-1e-3, 1e-3)], (1.4, 1.5), (2.0, 2.1)),
    "log": (np.log, [(0.5, 2), (0.99, 1.01), (0, 1e-37), (0, 1e5)], (0.9, 0.9), (0.9, 0.9)),
    "log1p": (np.log1p, [(-1, 1), (-1e-3, 1e-3), (0, 1e5)], (1.5, 1.5), (1.5, 1.5)),
    "tanh": (np.tanh, [(-1, 1), (-9, 9), (-0.01, 0.01)], (2.0, 2.1), (2.1, 2.2)),
    "sigmoid": (sigmoid_reference, [(-1, 1), (-20, 20), (-105, -85)], (2.3, 2.4), (2.4, 2.4)),
    "erf": (erf_reference, [(-1, 1), (-6, 6), (-0.01, 0.01)], (1.6, 2.1), (1.6, 2.0)),
    "sin": (np.sin, [(-1, 1), (-100, 100), (-1e5, 1e5), (-1e7, 1e7)], (1.6, 1.6), (2.4, 2.4)),
    "cos": (np.cos, [(-1, 1), (-100, 100), (-1e5, 1e5), (-1e7, 1e7)], (1.6, 1.6), (2.4, 2.4)),
    "tan": (np.tan, [(-1, 1), (-100, 100), (-1e5, 1e5)], (0.51, 0.51), (3.7, 3.7)),
    "sinh": (np.sinh, [(-1, 1), (-30, 30), (-710, 710)], (0.51, 0.51), (2.3, 2.3)),
    "cosh": (np.cosh, [(-1, 1), (-30, 30), (-710, 710)], (0.51, 0.51), (1.4, 1.5)),
    "exp2": (np.exp2, [(-1, 1), (-150, 128), (-1075, 1024)], (0.51, 0.51), (1.1, 1.3)),
    "log2": (np.log2, [(0.5, 2), (0.99, 1.01), (0, 1e5)], (0.51, 0.51), (1.7, 1.7)),
    "log10": (np.log10, [(0.5, 2), (0.99, 1.01), (0, 1e5)], (0.51, 0.51), (0.6, 1.9)),
    "asin": (np.arcsin, [(-1, 1), (-0.01, 0.01), (0.99, 1)], (0.51, 0.51), (2.1, 2.1)),
    "acos": (np.arccos, [(-1, 1), (-0.01, 0.01), (0.99, 1), (-1, -0.99)], (0.51, 0.51), (2.0, 2.0)),
    "atan": (np.arctan, [(-1, 1), (-10, 10)], (0.51, 0.51), (1.1, 1.1)),
    "asinh": (np.arcsinh, [(-1, 1), (-10, 10), (0, 1e13)], (0.51, 0.51), (1.7, 1.7)),
    "acosh": (np.arccosh, [(1, 2), (1, 1.01), (1, 1e13)], (0.51, 0.51), (2.6, 2.6)),
    "atanh": (np.arctanh, [(-1, 1), (-0.01, 0.01), (0.99, 1)], (0.51, 0.51), (1.9, 1.9)),
}
CASES = [(name, fused) for name in FUNCTIONS for fused in (True, False)]


def wide(dtype: np.dtype) -> np.dtype:
    return np.dtype(np.longdouble) if dtype == F64 else F64


def ulp_error(result: np.ndarray, exact: np.ndarray) -> float:
    """The largest error in ulp of the correctly rounded result; infinite where NaN or infinity differ."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(result.dtype)
        same = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
        error = np.abs(result.astype(exact.dtype) - exact) / np.spacing(np.abs(rounded)).astype(exact.dtype)
        proper = np.isfinite(result) & np.isfinite(rounded)
        return float(np.max(np.where(proper, error, np.where(same, 0, INF))))


def samples(name: str, dtype: np.dtype, count: int) -> np.ndarray:
    """Random bit patterns (within the promise of sin and cos) and the function's ranges."""
    rng = np.random.default_rng(list(name.encode()))
    bits = rng.integers(0, 2 ** (8 * dtype.itemsize), count, dtype=f"u{dtype.itemsize}").view(dtype)
    if name in ("sin", "cos", "tan"):
        bits = bits[~(np.abs(bits) > (2.0**31 if dtype == F32 else 1e7))]
    return np.concatenate([bits, *(rng.uniform(a, b, count).astype(dtype) for a, b in FUNCTIONS[name][1])])


def lane_function(name: str) -> Callable[..., np.ndarray]:
    return lambda *arrays, fused=True: evaluate(getattr(lanemath, name), *arrays, fused=fused)


@pytest.mark.parametrize(("name", "fused"), CASES)
def test_f32_ulp(name: str, fused: bool) -> None:
    reference, _, bounds, _ = FUNCTIONS[name]
    x = samples(name, F32, 30_000)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.float64))
    assert ulp_error(lane_function(name)(x, fused=fused), np.asarray(exact, np.float64)) <= bounds[0 if fused else 1]


@needs_long_double
@pytest.mark.parametrize(("name", "fused"), CASES)
def test_f64_ulp(name: str, fused: bool) -> None:
    reference, _, _, bounds = FUNCTIONS[name]
    x = samples(name, F64, 6_000)
    with np.errstate(all="ignore"):
        exact = reference(x.astype(np.longdouble))
    assert ulp_error(lane_function(name)(x, fused=fused), exact) <= bounds[0 if fused else 1]


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_large_arguments(name: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.uniform(-(2.0**31), 2.0**31, 50_000).astype(np.float32)
    exact = getattr(np, name)(x.astype(np.float64))
    for fused in (True, False):
        assert ulp_error(lane_function(name)(x, fused=fused), exact) <= 1.6
    beyond = np.array([1e12, 1e20, 3e38, -3e38], np.float32)
    assert np.all(np.abs(lane_function(name)(beyond)) <= 1)
    assert np.all(np.abs(lane_function(name)(np.array([1e18, 1e300, -1e308]))) <= 1)


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize(
    ("bases", "exponents"),
    [((0, 10), (-20, 20)), ((0.9, 1.1), (-800, 800)), ((0, 1e30), (-10, 10)), ((0, 1e-30), (-1.2, 1.2))],
)
@needs_long_double
def test_pow_ulp(dtype: np.dtype, bases: tuple[float, float], exponents: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    count = 20_000 if dtype == F32 else 5_000
    x, y = rng.uniform(*bases, count).astype(dtype), rng.uniform(*exponents, count).astype(dtype)
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(wide(dtype)), y.astype(wide(dtype)))
    assert ulp_error(lane_function("pow")(x, y), exact) <= (0.51 if dtype == F32 else 1.1)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_pow_of_negative_bases(dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-30, 0, 4000).astype(dtype), rng.integers(-30, 30, 4000).astype(dtype)
    exact = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    assert ulp_error(lane_function("pow")(x, y), exact.astype(wide(dtype))) <= 1.1


@pytest.mark.parametrize("dtype", [F32, F64])
def test_pow_special_values(dtype: np.dtype) -> None:
    values = np.array([0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, 1e30, -1e30, INF, -INF, NAN], dtype)
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    with np.errstate(all="ignore"):
        expected = np.power(x.astype(np.float64), y.astype(np.float64)).astype(dtype)
    result = lane_function("pow")(x, y)
    np.testing.assert_allclose(result, expected, rtol=np.finfo(dtype).eps, atol=0)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(expected[number]))


def test_powers_of_the_base_have_exact_logarithms() -> None:
    twos, tens = np.arange(-1074, 1024.0), np.arange(-300, 309.0)
    for fused in (True, False):
        np.testing.assert_array_equal(lane_function("exp2")(twos, fused=fused), np.exp2(twos))
        np.testing.assert_array_equal(lane_function("log2")(np.exp2(twos), fused=fused), twos)
        few = np.arange(-37, 39.0)
        found = lane_function("log10")(np.array([float(f"1e{n:.0f}") for n in few], np.float32), fused=fused)
        np.testing.assert_array_equal(found, few.astype(np.float32))
    np.testing.assert_array_equal(lane_function("log10")(np.array([float(f"1e{n:.0f}") for n in tens])), tens)


# Exact values (40 digits, rounded to f64) of functions without a reference in numpy, and the most ulp of f64.
VALUES = {
    "erfc": (
        [-2.5, -0.5, 0.125, 0.75, 2.0, 5.5, 9.0],
        [1.999593047982555, 1.5204998778130465, 0.8596837951986662, 0.28884436634648486, 0.004677734981047266,
         7.357847917974398e-15, 4.13703174651381e-37], 3,
    ),
    "erfcx": (
        [-4.0, -0.5, 0.125, 1.0, 6.0, 40.0],
        [17772220.904016286, 1.952360489182557, 0.8732218450821508, 0.427583576155807, 0.09277656780053835,
         0.014100335983377814], 3,
    ),
    "erfinv": (
        [-0.9375, -0.25, 0.0625, 0.5, 0.99609375, 1 - 2**-20],
        [-1.3171503349861307, -0.2253120550121781, 0.05544594877278202, 0.4769362762044699, 2.0404520146056093,
         3.465505025803331], 3,
    ),
    "ndtri": (
        [2.0**-80, 2.0**-20, 0.125, 0.375, 0.75, 1 - 2**-20],
        [-10.21756993531259, -4.7630010342678135, -1.150349380376008, -0.31863936396437514, 0.6744897501960817,
         4.7630010342678135], 3,
    ),
    "log_ndtr": (
        [-30.0, -8.0, -1.5, -0.25, 0.5, 3.0, 6.0],
        [-454.3212439563432, -35.01343715991455, -2.7059444008238898, -0.9130617648111351, -0.3689464152886564,
         -0.0013508099647481938, -9.865876455243758e-10], 4,
    ),
    "lgamma": (
        [-3.75, -0.5, 0.0625, 0.75, 1.25, 1.75, 2.25, 5.0, 9.5, 1024.0],
        [-1.3172679424463636, 1.2655121234846454, 2.7396316219462036, 0.20328095143129538, -0.09827183642181316,
         -0.08440112102048555, 0.1248717148923966, 3.1780538303479458, 11.689333420797269, 6071.28041294445], 8,
    ),
    "digamma": (
        [-3.75, 0.0625, 0.75, 2.25, 5.0, 9.5, 1024.0],
        [-1.6923885983113303, -16.478853490060104, -1.0858608797864722, 0.5725464666237345, 1.5061176684318005,
         2.1977378764029494, 6.930983444876601], 8,
    ),
    1: ([-2.75, 0.0625, 1.5, 7, 40],
        [19.433868949488463, 257.5064200429154, 0.9348022005446793, 0.15354517795933756, 0.02531510384129103], 6),
    2: ([-2.75, 0.0625, 1.5, 7, 40],
        [-124.11765305971518, -8194.042305550363, -0.82879664423432, -0.023530472985855238, -0.0006408202718352986], 6),
    5: ([-2.75, 0.0625, 1.5, 7, 40],
        [492231.2077521004, 2013266005.1504893, 11.113548602435497, 0.0020094931750490293, 2.4938943509996704e-07], 6),
}  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", VALUES)
def test_known_values(name: str | int, fused: bool) -> None:
    points, exact, bound = VALUES[name]
    x, expected = np.array(points), np.array(exact)
    run = functools.partial(lanemath.polygamma, n=name) if isinstance(name, int) else getattr(lanemath, name)
    assert ulp_error(evaluate(run, x, fused=fused), expected) <= bound
    narrow = x.astype(np.float32)
    same = narrow == x  # f32 holds the point
    assert ulp_error(evaluate(run, narrow, fused=fused)[same], expected[same]) <= 0.51


SPECIAL = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (1e4, INF), (-1e4, 0)],
    "expm1": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -1), (1e4, INF), (-1e4, -1)],
    "log": [(0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN), (-INF, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (INF, INF), (-2, NAN), (-INF, NAN)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (1e4, 1)],
    "sigmoid": [(0, 0.5), (-0.0, 0.5), (INF, 1), (-INF, 0), (1e4, 1), (-1e4, 0)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (10, 1), (-10, -1)],
    "sin": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "cos": [(0, 1), (-0.0, 1), (INF, NAN), (-INF, NAN)],
    "tan": [(0, 0), (-0.0, -0.0), (INF, NAN), (-INF, NAN)],
    "sinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (1e4, INF)],
    "cosh": [(0, 1), (-0.0, 1), (INF, INF), (-INF, INF), (-1e4, INF)],
    "asin": [(0, 0), (-0.0, -0.0), (2, NAN), (-INF, NAN)],
    "acos": [(1, 0), (2, NAN), (INF, NAN), (-2, NAN)],
    "atan": [(0, 0), (-0.0, -0.0)],
    "asinh": [(0, 0), (-0.0, -0.0), (INF, INF), (-INF, -INF)],
    "acosh": [(1, 0), (0.5, NAN), (-2, NAN), (-1e30, NAN), (INF, INF), (-INF, NAN)],
    "atanh": [(0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (2, NAN), (INF, NAN)],
    "exp2": [(0, 1), (-0.0, 1), (3, 8), (-1, 0.5), (INF, INF), (-INF, 0), (1e4, INF), (-1e4, 0)],
    "log2": [(0, -INF), (-0.0, -INF), (1, 0), (8, 3), (INF, INF), (-1, NAN)],
    "log10": [(0, -INF), (-0.0, -INF), (1, 0), (INF, INF), (-1, NAN)],
    "erfc": [(0, 1), (-0.0, 1), (INF, 0), (-INF, 2), (30, 0), (-30, 2)],
    "erfcx": [(0, 1), (-0.0, 1), (INF, 0), (-INF, INF), (-30, INF)],
    "erfinv": [(0, 0), (-0.0, -0.0), (1, INF), (-1, -INF), (2, NAN), (INF, NAN)],
    "ndtri": [(0, -INF), (1, INF), (0.5, 0), (2, NAN), (-INF, NAN)],
    "log_ndtr": [(INF, -0.0), (-INF, -INF)],
    "lgamma": [(0, INF), (-0.0, INF), (1, 0), (2, 0), (-3, INF), (INF, INF), (-INF, INF)],
    "digamma": [(0, -INF), (-0.0, INF), (-2, NAN), (INF, INF), (-INF, NAN)],
    "rsqrt": [(0, INF), (-0.0, -INF), (INF, 0), (-1, NAN), (4, 0.5)],
}


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, fused: bool, dtype: np.dtype) -> None:
    x, expected = (np.array(column, dtype) for column in zip(*SPECIAL[name], (NAN, NAN), strict=True))
    result = lane_function(name)(x, fused=fused)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)
    number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(expected[number]))


@pytest.mark.parametrize("name", ["expm1", "log1p", "tanh", "sin", "tan", "sinh", "asin", "atan", "asinh", "atanh"])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_tiny_arguments_are_kept(name: str, dtype: np.dtype) -> None:
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal, 7 * info.smallest_subnormal, info.tiny, -info.tiny, 1e-30], dtype)
    np.testing.assert_array_equal(lane_function(name)(x), x)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_exp_and_log_reach_the_subnormals(dtype: np.dtype) -> None:
    info = np.finfo(dtype)
    smallest = np.array([info.smallest_subnormal, info.tiny / 4, info.tiny], dtype)
    exact = np.log(smallest.astype(np.longdouble))
    assert ulp_error(lane_function("log")(smallest), exact.astype(wide(dtype))) <= 0.9
    low = exact.astype(dtype)
    assert ulp_error(lane_function("exp")(low), np.exp(low.astype(wide(dtype)))) <= 1.0
    assert lane_function("exp")(low)[0] == info.smallest_subnormal


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("name", ["atan2", "hypot"])
def test_pairs_of_special_values(name: str, dtype: np.dtype) -> None:
    values = np.array([0.0, -0.0, 1, -1, 2.5, -1e-3, 1e30, -1e-30, INF, -INF, NAN, np.finfo(dtype).tiny / 8], dtype)
    y, x = (a.ravel() for a in np.meshgrid([*values, np.finfo(dtype).max], [*values, np.finfo(dtype).max]))
    y, x = y.astype(dtype), x.astype(dtype)
    run = lanemath.atan2 if name == "atan2" else mathematics.hypot.scalar
    assert run is not None
    for fused in (True, False):
        with np.errstate(over="ignore"):
            exact = np.hypot(y, x) if name == "hypot" else np.arctan2(y, x)
        result = evaluate(run, y, x, fused=fused)
        np.testing.assert_allclose(result, exact, rtol=2 * np.finfo(dtype).eps, atol=0)
        number = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(exact[number]))


def integer_samples(dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    info = np.iinfo(dtype)
    edges = np.array([v for v in (info.min, info.min + 1, -7, -3, -1, 0, 1, 2, 3, 7, info.max) if v >= info.min], dtype)
    rng = np.random.default_rng(4)
    random = rng.integers(info.min, info.max, 3000, dtype=dtype, endpoint=True)
    small = rng.integers(max(-9, info.min), 9, 3000, dtype=dtype)
    a, b = (v.ravel() for v in np.meshgrid(edges, edges))
    return np.concatenate([a, random, random]), np.concatenate([b, small, random[::-1]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
def test_integer_division_is_numpys(dtype: str) -> None:
    a, b = integer_samples(np.dtype(dtype))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(lane_function("floordiv")(a, b), np.floor_divide(a, b))
        np.testing.assert_array_equal(lane_function("mod")(a, b), np.remainder(a, b))


@pytest.mark.parametrize("dtype", [F32, F64])
def test_float_division_is_numpys_but_for_the_sign_of_a_zero_rest(dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    edges = np.array([0.0, -0.0, 1, -1, 0.3, -0.3, 2, -2, 7.5, -7.5, 1e30, -1e-30, INF, -INF, NAN], dtype)
    a, b = (v.ravel() for v in np.meshgrid(edges, edges))
    a = np.concatenate([a, rng.uniform(-1e4, 1e4, 3000).astype(dtype)])
    b = np.concatenate([b, rng.uniform(-3, 3, 3000).astype(dtype)])
    with np.errstate(all="ignore"):
        rest = np.remainder(a, b)
        expected = np.floor_divide(a, b), np.where(rest == 0, np.copysign(rest, a), rest)  # PyTorch's, as of C's fmod
    for name, exact in zip(("floordiv", "mod"), expected, strict=True):
        result = lane_function(name)(a, b)
        np.testing.assert_array_equal(result, exact)
        number = ~np.isnan(exact)
        np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(exact[number]))


@pytest.mark.parametrize("dtype", [F32, F64])
def test_rsqrt_ulp(dtype: np.dtype) -> None:
    x = np.random.default_rng(6).uniform(0, 100, 10_000).astype(dtype)
    assert ulp_error(lane_function("rsqrt")(x), 1 / np.sqrt(x.astype(wide(dtype)))) <= 1.5
