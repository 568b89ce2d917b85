"""A share of PyTorch's database of ops: `python -m benchmarks.op_db` runs all of it."""

from __future__ import annotations

import functools
import time
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("expecttest")

import tinytorch as tt
from benchmarks.op_db import modules, names, samples, values
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


MODULES = ["BatchNorm1d", "ConvTranspose1d", "NLLLoss", "GroupNorm", "LSTMCell", "Transformer", "Bilinear"]


def module_entry(name: str) -> tuple[Any, type]:
    from torch.testing._internal.common_modules import module_db

    (info,) = names.chosen_modules(module_db, [name])
    made = names.module_here(info)
    assert made is not None
    return info, made


@pytest.mark.parametrize("name", MODULES)
def test_modules_are_equal_eagerly_and_compiled(name: str) -> None:
    """The first and the last sample, which differ most."""
    info, made = module_entry(name)
    every = list(modules.samples_of(info))
    for sample in (every[0], every[-1]):
        assert modules.run_sample(info, made, sample) is None, str(sample)


@pytest.mark.parametrize("name", ["BatchNorm2d", "GroupNorm", "LSTMCell", "NLLLoss", "MultiMarginLoss"])
def test_what_modules_of_pytorch_refuse_is_refused_in_words(name: str) -> None:
    outcome = modules.run_module_errors(*module_entry(name))
    assert outcome.cases > 0 and outcome.reasons == []


def test_what_is_compared_of_modules() -> None:
    """The comparison sees a wrong result, buffer and gradient."""
    info, made = module_entry("BatchNorm1d")

    class Wrong(tt.nn.BatchNorm1d):
        def forward(self, input: tt.Tensor) -> tt.Tensor:
            return super().forward(input) * 1.01

    class WrongGradient(tt.nn.BatchNorm1d):
        def forward(self, input: tt.Tensor) -> tt.Tensor:
            y = super().forward(input)
            return 2 * y - y.detach()

    sample = next(iter(modules.samples_of(info)))
    for what, module in {"results": Wrong, "gradients": WrongGradient}.items():
        reason = modules.run_sample(info, module, sample, compiled=False)
        assert reason is not None and reason.startswith(what)
    reason = modules.run_sample(info, functools.partial(made, momentum=0.5), sample, compiled=False)
    assert reason is not None and reason.startswith("buffers")


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
