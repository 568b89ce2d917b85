"""A share of PyTorch's database of ops: `python -m benchmarks.op_db` runs all of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")

import tinytorch as tt
from benchmarks.op_db import names, samples, values
from benchmarks.op_db.errors import run_errors

SECONDS = 0.5  # for each op
# One op of each kind, with all that is particular about it.
CHOSEN = [
    "add", "clamp", "div.floor_rounding", "where", "sum", "mean", "var", "max.reduction_with_dim", "logsumexp",
    "cumsum",
    "cat", "gather", "sort", "topk", "expand", "permute", "transpose", "split", "mm", "addmm", "baddbmm",
    "tensordot", "einsum", "linalg.cross", "linalg.vector_norm", "linalg.norm", "cdist", "linalg.solve", "linalg.qr",
    "linalg.svd", "linalg.eigh", "linalg.lu", "fft.irfftn", "nn.functional.linear", "nn.functional.gelu",
    "nn.functional.softplus", "nn.functional.cross_entropy",
]  # fmt: skip


def entries(name: str) -> list[Any]:
    from torch.testing._internal.common_methods_invocations import op_db

    return names.chosen(op_db, [name])


@pytest.mark.parametrize("name", CHOSEN)
def test_samples_are_equal_eagerly_and_compiled(name: str) -> None:
    """As many samples as there is time for, in an order that begins with different ones."""
    (op, *_) = entries(name)
    function = names.ours(op)
    assert function is not None
    every = list(samples.samples_of(op))
    stride = max(1, len(every) // 5)
    order = [s for start in range(stride) for s in every[start::stride]]
    end = time.process_time() + SECONDS
    for number, sample in enumerate(order):
        outcome = samples.run_sample(op, function, sample)
        assert outcome is None, (values.described(sample), outcome)
        if number >= 2 and time.process_time() > end:
            break


@pytest.mark.parametrize(
    "name", ["mm", "addmm", "tensordot", "linalg.cross", "linalg.solve", "cat", "narrow", "gather"]
)
def test_what_pytorch_refuses_is_refused_in_words(name: str) -> None:
    for op in entries(name):
        function = names.ours(op)
        assert function is not None
        assert run_errors(op, function).reasons == []


def test_what_is_compared() -> None:
    """The comparison sees a wrong value, shape, dtype, memory and gradient."""
    (op,) = entries("exp")
    wrong = {
        "shape": lambda x: x.exp().unsqueeze(0),
        "dtype": lambda x: x.exp().cast(tt.float64),
        "gradient": lambda x: x.exp().detach() + 0 * x,
        "PyTorch's": lambda x: x.exp() * 1.0001,
    }
    for what, function in wrong.items():
        outcome = samples.run_op(op, function, compiled=False)
        assert outcome.samples > outcome.equal and what in outcome.reasons[0]["reason"], what
    assert samples.run_op(op, lambda x: x.exp(), compiled=False).reasons == []
    (op,) = entries("clone")
    for what, function in {
        "in the memory of an argument": lambda x, **options: x,
        "viewed as a vector": lambda x, **options: x.transpose(0, -1).clone().transpose(0, -1) if x.ndim else x * 1,
    }.items():
        assert what in samples.run_op(op, function, compiled=False).reasons[0]["reason"]
    assert samples.run_op(op, lambda x, **options: x.clone(), compiled=False).reasons == []


def test_names() -> None:
    assert names.ours(entries("__rdiv__")[0]) is not None
    (missing,) = entries("linalg.eig")
    assert names.ours(missing) is None
