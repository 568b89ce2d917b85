"""Every op, on its samples: the record is complete, all backends agree with `eval`, derivatives are right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.op_samples import BACKENDS, SAMPLES, Sample, apply_sample, check, run_sample, run_samples, samples_of
from tinytorch.frontend.functions.basic import cat
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.gradients import gradients
from tinytorch.ir.graph import Builder
from tinytorch.ir.lanes.numpy_emitter import NumpyEmitter
from tinytorch.ir.op import OPS, Array, Nondiff, unpacked
from tinytorch.ir.ops import core, view
from tinytorch.ir.ops.random import least_kept
from tinytorch.ir.types import TensorType, dtype_of, f32, f64

SMOOTH = [s for s in SAMPLES if s.smooth]
# What users say is its derivative (see test_autograd), and what has one in its second operand alone.
NO_SMOOTH_POINT = {"custom_grad", "igamma", "igammac"}
HALVES = ("bf16", "f16")  # computed in f32 lanes by the code that loads and stores them
LANES = [s for s in SAMPLES if s.op.scalar is not None and not any(t.dtype.name in HALVES for t in s.types)]
LANES = [s for s in LANES if s.op.name != "constant" or s.attrs["value"].size == 1]


# The registry.
@pytest.mark.parametrize("name", OPS)
def test_record_is_complete(name):
    op = OPS[name]
    samples = samples_of(op)
    assert samples, f"{name} has no samples"
    assert op.name == name and op.doc
    differentiable = not isinstance(op.vjp, Nondiff)
    assert any(s.smooth for s in samples) == (differentiable and name not in NO_SMOOTH_POINT)
    assert (op.scalar is not None) == (op.kind in ("elementwise", "random"))
    assert (op.expand is not None) == (op.kind == "composite")
    for sample in samples:
        inferred = op.result_types(sample.types, sample.attrs)
        assert len(inferred) == op.results or op.kind == "kernel"
        found = [TensorType(dtype_of(a.dtype), a.shape) for a in sample.results]
        assert list(inferred) == found, sample
        flops = op.flops(sample.types, unpacked(inferred), sample.attrs)
        assert isinstance(flops, int) and flops >= 0, sample
        if isinstance(op.vjp, tuple):
            assert len(op.vjp) == len(sample.arrays), sample


def test_flops_of_known_cases():
    def flops(name: str, index: int = 0) -> int:
        s = samples_of(OPS[name])[index]
        return s.op.flops(s.types, s.op.result_types(s.types, s.attrs)[0], s.attrs)

    assert flops("matmul") == 2 * 3 * 4 * 5 and flops("matmul", 1) == 2 * 2 * 3 * 4 * 2
    assert flops("sum") == 105 and flops("reshape") == 0 and flops("gather") == 0
    assert flops("relu") == 12


# Backends.
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [n for n in OPS if n != "kernel"])
def test_backend_agrees_with_eval(name, backend):
    samples = samples_of(OPS[name])
    for sample, result in zip(samples, run_samples(samples, backend), strict=True):
        check(sample, result)


@pytest.mark.parametrize("permuted", [False, True])
def test_results_of_ops_are_viewed_as_row_major_and_written_to(permuted):
    """Whatever the layout of the operands, and the order in which `eval` goes through them."""

    def operand(a: Array) -> Tensor:
        return Tensor(np.array(a.T, order="C")).permute(*reversed(range(a.ndim))) if permuted else Tensor(a)

    for sample in SAMPLES:
        if sample.op.put is None and sample.arrays:
            for result in apply_sample(sample, [operand(a) for a in sample.arrays]):
                assert result.view(-1).zero_().numel() == result.numel(), sample


def test_run_sample_runs_one():
    sample = samples_of(OPS["matmul"])[0]
    check(sample, run_sample(sample, "interpreter"))


def test_kernel_evaluates_its_body():
    (sample,) = samples_of(OPS["kernel"])
    x, y = sample.arrays
    np.testing.assert_array_equal(sample.expected, (x + y) * x)


@pytest.mark.parametrize("sample", LANES, ids=repr)
def test_lanes_agree_with_eval(sample):
    """`scalar` on the numpy emitter; the exact ops are exact, the others within the sample's tolerance."""
    emitter = NumpyEmitter()
    lanes = [emitter.lane(a) for a in sample.arrays]
    if sample.op.name == "iota":
        shape, axis = sample.attrs["shape"], sample.attrs["axis"]
        lanes = [emitter.lane(np.indices(shape)[axis].astype(np.int64))]
    if sample.op.name == "random_bits":
        state, shape = sample.arrays[0], sample.attrs["shape"]
        lanes = [emitter.lane(x) for x in (np.arange(np.prod(shape)).reshape(shape), *state)]
    with np.errstate(all="ignore"):
        result: Any = sample.op.scalar(emitter, *lanes, **sample.attrs).ref
    check(sample, (np.asarray(result),))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "layernorm", "mean", "gelu", "cross_entropy"])
def test_composites_of_halves_are_rounded_once(name, dtype):
    sample = next(s for s in samples_of(OPS[name]) if s.smooth)
    half = Tensor(sample.arrays[0]).cast(dtype).numpy()
    rest = sample.arrays[1:]
    narrow, wide = (
        [t.numpy() for t in apply_sample(sample, [Tensor(first), *map(Tensor, rest)])]
        for first in (half, half.astype(np.float32))
    )
    assert [a.tobytes() for a in narrow] == [a.astype(half.dtype).tobytes() for a in wide]


def test_guards_are_true_where_eval_is_defined():
    op, emitter = OPS["checked_index"], NumpyEmitter()
    for wrap, good in ((True, [False, True, True, True, False]), (False, [False, False, True, True, False])):
        x = np.array([-4, -3, 0, 2, 3])
        result: Any = op.guard(emitter, emitter.lane(x), size=3, wrap=wrap).ref
        assert result.tolist() == good
        for value, fine in zip(x, good, strict=True):
            if not fine:
                with pytest.raises(IndexError, match="out of range"):
                    op.eval(np.array([value]), size=3, wrap=wrap)
    x = np.array([1.0, np.nan, -np.inf], np.float32)
    number: Any = OPS["checked_number"].guard
    assert number(emitter, emitter.lane(x)).ref.tolist() == [True, False, True]
    with pytest.raises(FloatingPointError, match="layer: the input has NaN"):
        OPS["checked_number"].eval(x, what="layer")


# Derivatives.
def _is_float(array: Array) -> bool:
    return array.dtype == np.float64


def _seeds(sample: Sample, rng: np.random.Generator) -> list[Array]:
    """Cotangents of the float results."""
    return [rng.normal(size=a.shape) for a in sample.results if _is_float(a)]


def _side_by_side(results: Sequence[Tensor]) -> Tensor:
    """The float results: the only one, or all in one vector, whose cotangent has those of each."""
    floats = [t for t in results if t.dtype == f64]
    return floats[0] if len(floats) == 1 else cat([t.reshape((t.numel(),)) for t in floats])


def _pulled(sample: Sample, arrays: list[Array], cts: list[Array]) -> list[Array]:
    """The cotangents of the float operands, zeros where there is none."""
    operands = [Tensor(a, requires_grad=_is_float(a)) for a in arrays]
    out = _side_by_side(apply_sample(sample, operands))
    wrt = [x for x in operands if x.requires_grad]
    found = gradients(out, wrt, _side_by_side([Tensor(ct) for ct in cts]), create_graph=False)
    return [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, wrt, strict=True)]


def _pulled_twice(sample: Sample, arrays: list[Array], cts: list[Array], weights: list[Array]) -> list[Array]:
    """Derivatives of the sum of the cotangents times `weights`, with respect to the operands and to `cts`."""
    operands = [Tensor(a, requires_grad=_is_float(a)) for a in arrays]
    seeds = [Tensor(ct, requires_grad=True) for ct in cts]
    wrt = [x for x in operands if x.requires_grad]
    out = _side_by_side(apply_sample(sample, operands))
    found = gradients(out, wrt, _side_by_side(seeds), create_graph=True)
    total = Tensor(0.0, dtype="f64")
    for g, w in zip(found, weights, strict=True):
        total = total if g is None else total + (g * Tensor(w)).sum()
    if not total.requires_grad:
        return [np.zeros(x.shape) for x in (*wrt, *seeds)]
    second = gradients(total, [*wrt, *seeds], Tensor(1.0, dtype="f64"), create_graph=False)
    return [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(second, (*wrt, *seeds), strict=True)]


def _differences(function: Callable[[list[Array]], float], arrays: list[Array], step: float) -> list[Array]:
    """Central differences with respect to every element of the float arrays."""
    found: list[Array] = []
    for k, array in enumerate(arrays):
        if not _is_float(array):
            continue
        slope = np.zeros(array.shape)
        for i in np.ndindex(array.shape):
            ends: list[float] = []
            for sign in (1, -1):
                moved = [a.copy() for a in arrays]
                moved[k][i] += sign * step
                ends.append(function(moved))
            slope[i] = (ends[0] - ends[1]) / (2 * step)
        found.append(slope)
    return found


@pytest.mark.parametrize("sample", SMOOTH, ids=repr)
def test_vjp_matches_finite_differences(sample):
    arrays = list(sample.arrays)
    cts = _seeds(sample, np.random.default_rng(1))

    def weighted(moved: list[Array]) -> float:
        floats = [a for a in sample.op.evaluate(moved, sample.attrs) if _is_float(a)]
        return float(sum((a * ct).sum() for a, ct in zip(floats, cts, strict=True)))

    slopes = _differences(weighted, arrays, 1e-5)
    for analytic, numeric in zip(_pulled(sample, arrays, cts), slopes, strict=True):
        np.testing.assert_allclose(analytic, numeric, rtol=2e-7, atol=2e-8)


@pytest.mark.parametrize("sample", SMOOTH, ids=repr)
def test_second_derivatives_match_finite_differences(sample):
    """By central differences along the weights w, of all elements at once: of the cotangents pulled back, which change
    by H w, where H, the second derivatives, is symmetric, and of the results, which change by J w."""
    rng = np.random.default_rng(2)
    arrays, cts = list(sample.arrays), _seeds(sample, rng)
    weights = [rng.normal(size=a.shape) for a in arrays if _is_float(a)]
    step, ends = 1e-5, []
    for sign in (1, -1):
        rest = iter(weights)
        moved = [a + sign * step * next(rest) if _is_float(a) else a for a in arrays]
        floats = [a for a in sample.op.evaluate(moved, sample.attrs) if _is_float(a)]
        ends.append([*_pulled(sample, moved, cts), *floats])
    slopes = [(after - before) / (2 * step) for after, before in zip(*ends, strict=True)]
    for analytic, numeric in zip(_pulled_twice(sample, arrays, cts, weights), slopes, strict=True):
        np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "arrays", "expected"),
    [
        ("abs", [[0.0, -0.0]], [[0.0, 0.0]]),
        ("relu", [[0.0, -0.0]], [[0.0, 0.0]]),
        ("maximum", [[1.0], [1.0]], [[0.5], [0.5]]),
        ("minimum", [[1.0], [1.0]], [[0.5], [0.5]]),
        ("pow", [[0.0, 0.0, 0.0], [2.0, 0.0, 1.0]], [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]),
        ("pow", [[-2.0], [3.0]], [[12.0], [np.nan]]),
    ],
)
def test_gradients_where_there_are_several_choices(name, arrays, expected):
    sample = Sample(OPS[name], tuple(np.array(a) for a in arrays))
    found = _pulled(sample, list(sample.arrays), [np.ones(sample.arrays[0].shape)])
    np.testing.assert_array_equal([*found], expected)


def test_ties_of_max_share_the_gradient():
    sample = Sample(OPS["max"], (np.array([[1.0, 3.0, 3.0, 2.0]]),), {"axes": (1,)})
    assert _pulled(sample, list(sample.arrays), [np.ones((1, 1))])[0].tolist() == [[0, 0.5, 0.5, 0]]


def test_the_gradient_of_a_cast_has_the_dtype_of_the_operand():
    x = Tensor([1.5, 2.5], requires_grad=True)
    x.cast(f64).sum().backward()
    assert x.grad is not None and x.grad.dtype == f32
    y = Tensor([1.5], requires_grad=True)
    assert not y.cast("i32").requires_grad


# PyTorch as an oracle, where it is installed.
def _axis(attrs: Any) -> int:
    return attrs["axis"]


TORCH: dict[str, Callable[..., Any]] = {
    "neg": lambda t, a, x: -x, "abs": lambda t, a, x: x.abs(), "add": lambda t, a, x, y: x + y,
    "sub": lambda t, a, x, y: x - y, "mul": lambda t, a, x, y: x * y, "div": lambda t, a, x, y: x / y,
    "mod": lambda t, a, x, y: t.remainder(x, y), "maximum": lambda t, a, x, y: t.maximum(x, y),
    "minimum": lambda t, a, x, y: t.minimum(x, y), "pow": lambda t, a, x, y: x**y,
    "where": lambda t, a, c, x, y: t.where(c, x, y), "matmul": lambda t, a, x, y: x @ y,
    **{n: (lambda t, a, x, n=n: getattr(t, n)(x)) for n in (
        "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "erf", "sin", "cos", "relu", "sigmoid", "tan", "sinh",
        "cosh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "exp2", "log2", "log10", "sinc", "erfc", "erfinv",
        "lgamma",
    )},
    **{n: (lambda t, a, x, n=n: getattr(t.special, n)(x)) for n in ("erfcx", "ndtri", "log_ndtr", "entr")},
    **{n: (lambda t, a, x, y, n=n: getattr(t, n)(x, y)) for n in (
        "atan2", "logaddexp", "logaddexp2", "xlogy", "hypot", "copysign", "fmod", "nextafter",
    )},
    "xlog1py": lambda t, a, x, y: t.special.xlog1py(x, y),
    "silu": lambda t, a, x: t.nn.functional.silu(x),
    "gelu": lambda t, a, x: t.nn.functional.gelu(x, approximate="tanh" if a["approximate"] else "none"),
    "softmax": lambda t, a, x: x.softmax(_axis(a)), "log_softmax": lambda t, a, x: x.log_softmax(_axis(a)),
    "logsumexp": lambda t, a, x: x.logsumexp(_axis(a), keepdim=True),
    "sum": lambda t, a, x: x.sum(a["axes"], keepdim=True) if a["axes"] else x,
    "mean": lambda t, a, x: x.mean(a["axes"], keepdim=True),
    "max": lambda t, a, x: x.amax(a["axes"], keepdim=True) if a["axes"] else x,
    "min": lambda t, a, x: x.amin(a["axes"], keepdim=True) if a["axes"] else x,
    "reshape": lambda t, a, x: x.reshape(a["shape"]), "permute": lambda t, a, x: x.permute(a["axes"]),
    "broadcast": lambda t, a, x: x.broadcast_to(a["shape"]), "flip": lambda t, a, x: x.flip(a["axes"]),
    "concat": lambda t, a, *xs: t.cat(xs, _axis(a)),
    "cross_entropy": lambda t, a, x, y: t.nn.functional.cross_entropy(
        x, y, reduction="none", label_smoothing=a["smoothing"]
    ),
}  # fmt: skip
WITH_ORACLE = [s for s in SMOOTH if s.op.name in TORCH]


@pytest.mark.parametrize("sample", WITH_ORACLE, ids=repr)
def test_value_and_gradient_match_torch(sample):
    torch = pytest.importorskip("torch")
    theirs = [torch.tensor(np.ascontiguousarray(a), requires_grad=_is_float(a)) for a in sample.arrays]
    out = TORCH[sample.op.name](torch, sample.attrs, *theirs)
    np.testing.assert_allclose(sample.expected, out.detach().numpy(), rtol=1e-13, atol=1e-14)
    ct = np.random.default_rng(3).normal(size=sample.expected.shape)
    out.backward(torch.tensor(ct))
    for ours, other in zip(
        _pulled(sample, list(sample.arrays), [ct]), [x for x in theirs if x.requires_grad], strict=True
    ):
        np.testing.assert_allclose(ours, other.grad.numpy(), rtol=1e-11, atol=1e-13)


def test_samples_print_as_ops():
    builder = Builder()
    assert repr(samples_of(OPS["matmul"])[0]) == "matmul(f64[3,4], f64[4,5])" and not builder.nodes


@pytest.mark.parametrize("dtype", [f32, f64])
@pytest.mark.parametrize(
    "number",
    [0, -0.0, 1, 0.1, -7.25, 1e-50, 2**24 - 1, 2**24 + 1, 2**60 + 1, 1e30, 1e38, 3.4028236e38, 1e300, math.inf],
)
def test_numbers_are_rounded_once(number, dtype):
    found = core.rounded(number, dtype)
    with np.errstate(over="ignore"):
        expected = dtype.numpy.type(number)
    assert found.shape == () and found.dtype == dtype.numpy
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", ["f32", "bf16", "i64", "bool"])
@pytest.mark.parametrize(("shape", "target"), [((), ()), ((), (2, 3)), ((), (0, 2)), ((3,), (2, 3)), ((2, 1), (2, 3))])
def test_repeated_elements_share_memory(shape, target, dtype):
    x = np.ones(shape, dtype_of(dtype).numpy)
    found, expected = view.repeated(x, target), np.broadcast_to(x, target)
    assert found.dtype == x.dtype and found.shape == target and found.strides == expected.strides
    assert np.array_equal(found, expected) and not found.flags.writeable
    assert found.size == 0 or np.shares_memory(found, x)


def test_random_numbers_of_16_bits_are_the_halves_of_blocks_and_those_with_their_bytes_swapped():
    """Those of Philox4x32-7 whose words the generator's authors publish, for a counter and a key of 0."""
    words = [0x5F6FB709, 0x0D893F64, 0x4F121F81, 0x4F730A48]
    state = np.array([0, 0])
    assert [int(OPS["random_bits"].eval(state, shape=(1,), word=w)[0]) % 2**32 for w in range(4)] == words
    found = OPS["random_bits"].eval(state, shape=(3, 16))
    assert found.min() >= -(2**15) and found.max() < 2**15
    halves = [half for w in words for half in (w & 0xFFFF, w >> 16)]
    assert [int(x) % 2**16 for x in found[0]] == halves + [half >> 8 | half % 2**8 << 8 for half in halves]
    next_block = OPS["random_bits"].eval(np.array([0, 1]), shape=(16,))
    np.testing.assert_array_equal(found[1], next_block)


def test_numbers_of_the_same_bytes_decide_all_but_independently():
    """Over all pairs of bytes and every p that numbers of 16 bits decide."""
    numbers = np.arange(2**16)
    larger = np.maximum(numbers, numbers << 8 & 0xFF00 | numbers >> 8)
    p = np.array([n / 2**16 for n in range(1, 2**16) if least_kept(n / 2**16) is not None])
    both = np.cumsum(np.bincount(larger))[(p * 2**16).astype(int) - 1] / 2**16
    assert p.min() < 0.0101 and p.max() > 0.9899
    assert np.abs((both - p**2) / (p * (1 - p))).max() < 0.01


@pytest.mark.parametrize("p", [0.5, 0.1, 0.02, 0.003, 1e-5, 2**-16, 0.97, 0.9999])
def test_dropout_drops_with_its_probability(p):
    """Within five deviations of the binomial distribution, and a thousandth of the rarer outcome."""
    count = 200_000
    kept = OPS["dropout"].eval(np.ones(count, np.float32), np.array([11, 3]), p=p) != 0
    expected, slack = count * (1 - p), 1e-3 * count * min(p, 1 - p)
    assert abs(kept.sum() - expected) <= 5 * np.sqrt(count * p * (1 - p)) + slack
