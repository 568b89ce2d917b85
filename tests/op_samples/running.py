"""Runs samples on every backend, and compares what comes out with `eval`; another way of running graphs is one more of
BACKENDS."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.numpy_backend import NumpyBackend
from tests.op_samples.sample import Sample
from tinytorch.compile import compile
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir.op import OPS, Array
from tinytorch.ir.types import dtype_of


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
