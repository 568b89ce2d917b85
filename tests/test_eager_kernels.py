"""Kernels that eager mode runs for large ops: they give what `eval` and the rules give, wherever operands lie."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tests.op_samples import Sample, check, samples_of
from tinytorch import eager
from tinytorch.frontend.tensor import Tensor, kernels
from tinytorch.frontend.tensor.mode import reference_mode
from tinytorch.ir import ops
from tinytorch.ir.arrays.reference import evaluate
from tinytorch.ir.graph import Builder
from tinytorch.ir.op import OPS, Array, Nondiff
from tinytorch.ir.types import type_of

POOL = {"window": (2, 2), "stride": (2, 2), "low": (0, 0), "high": (0, 0), "dilation": (1, 1)}


class Counted(eager.EagerKernels):
    """Notes what ran as a kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[Any] = []

    def _run(self, what: Any, source: Any, arrays: Any) -> Any:
        made = super()._run(what, source, arrays)
        if made is not None:
            self.ran.append(what[0].name + " vjp" if isinstance(what, tuple) else what.name)
        return made


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """New kernels in this process's place for them."""
    monkeypatch.delenv("TT_BACKEND", raising=False)
    found = Counted()
    monkeypatch.setattr(kernels.slot, "handed", found)
    return found


@pytest.fixture
def everything(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> Counted:
    """No op is too small."""
    monkeypatch.setattr(kernels, "LARGE", 1)
    monkeypatch.setattr(eager, "FLOPS", 0)
    monkeypatch.setattr(eager, "REUSE", 1 << 40)
    return counted


def moved(array: Array, rng: np.random.Generator) -> Array:
    """The same values, lying in memory in another way."""
    axes = rng.permutation(array.ndim)
    out = np.ascontiguousarray(array.transpose(axes)).transpose(np.argsort(axes))
    if array.ndim and rng.random() < 0.3:
        wide = np.repeat(out, 2, axis=0)
        return wide[::2]
    return out


def of_op(name: str) -> list[Sample]:
    """Some samples of an op: two that can be differentiated, and one more."""
    samples = [s for s in samples_of(OPS[name]) if s.arrays]
    return [*[s for s in samples if s.smooth][:2], *samples[:1]]


KERNELS = [name for name, op in OPS.items() if op.put is None and op.kind != "kernel" and of_op(name)]


def first_of(results: Any) -> Any:
    """The first of several results, or the only one."""
    return results if isinstance(results, Tensor) else results[0]


@pytest.mark.parametrize("name", KERNELS)
def test_ops_agree_with_eval_in_any_layout(name: str, everything: Counted) -> None:
    rng = np.random.default_rng(len(name))
    for sample in of_op(name):
        tensors = [Tensor.wrap(moved(a, rng)) for a in sample.arrays]
        results = tensors[0].apply_op(sample.op, tensors, sample.attrs)
        results = [results] if isinstance(results, Tensor) else results
        check(sample, [result.numpy() for result in results])


@pytest.mark.parametrize("name", [n for n in KERNELS if not isinstance(OPS[n].vjp, Nondiff)])
def test_gradients_agree_with_the_rules(name: str, everything: Counted) -> None:
    rng = np.random.default_rng(len(name))
    for sample in (s for s in of_op(name) if s.smooth):
        arrays = [moved(a, rng) for a in sample.arrays]

        def gradients(arrays: list[Array] = arrays, sample: Sample = sample) -> tuple[list[Array | None], Array]:
            tensors = [Tensor.wrap(a) for a in arrays]
            for x in tensors:
                x.requires_grad = x.dtype.is_float
            out = first_of(tensors[0].apply_op(sample.op, tensors, sample.attrs))
            weight = np.random.default_rng(0).standard_normal(out.shape).astype(out.dtype.numpy)
            out.backward(Tensor.wrap(weight))
            return [None if x.grad is None else x.grad.numpy() for x in tensors], weight

        found, _ = gradients()
        with reference_mode():
            expected, _ = gradients()
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            if a is not None and b is not None:
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(b).max(initial=0)))


def test_those_tests_ran_kernels(everything: Counted) -> None:
    for name in ("softmax", "conv2d", "erf", "batchnorm"):
        sample = next(s for s in samples_of(OPS[name]) if s.smooth)
        tensors = [Tensor(a, requires_grad=True) for a in sample.arrays]
        out = tensors[0].apply_op(sample.op, tensors, sample.attrs)
        out.backward(Tensor.wrap(np.ones(out.shape, out.dtype.numpy)))
        assert everything.ran == [name, f"{name} vjp"]
        everything.ran.clear()


def test_the_gradient_of_pooling_is_a_kernel_that_searches_again(everything: Counted) -> None:
    x = big(2, 6, 6, 3).requires_grad_()
    best = first_of(x.apply_op(OPS["max_pool2d"], (x,), POOL))
    best.backward(Tensor.wrap(np.ones(best.shape, np.float32)))
    assert everything.ran == ["max_pool2d vjp"] and x.grad.numpy().sum() == best.numel()


@settings(max_examples=200, deadline=None)
@given(shape=st.lists(st.integers(0, 4), max_size=4), data=st.data())
def test_layouts(shape: list[int], data: st.DataObject) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape)
    for axis in range(len(shape)):
        step = data.draw(st.sampled_from([1, 1, 2, -1]))
        array = np.flip(array, axis) if step == -1 else array[(slice(None),) * axis + (slice(None, None, step),)]
        if array.shape[axis] > 0 and data.draw(st.booleans()):
            first = array[(slice(None),) * axis + (slice(0, 1),)]
            array = np.broadcast_to(first, (*array.shape[:axis], 3, *array.shape[axis + 1 :]))
    array = array.transpose(data.draw(st.permutations(range(len(shape)))))
    base, layout = eager.laid(array)
    assert base.flags.c_contiguous and base.size <= array.size
    builder = Builder()
    value = eager.operand_of(builder, type_of(array.dtype, array.shape), layout)
    assert builder.inputs[0].type.shape == base.shape
    np.testing.assert_array_equal(evaluate(builder.build([value]), [base])[0], array)


def big(*shape: int, seed: int = 0) -> Tensor:
    return Tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def test_large_ops_run_as_kernels_and_small_ones_do_not(counted: Counted) -> None:
    big(8, 8).softmax(-1)
    assert counted.ran == []
    x = big(1024, 512).requires_grad_()
    x.softmax(-1).backward(big(1024, 512, seed=1))
    assert counted.ran == ["softmax", "softmax vjp"]


def test_blas_multiplies_where_elements_are_used_often(counted: Counted) -> None:
    dense, depthwise = tt.Conv2d(64, 64, 3), tt.Conv2d(64, 64, 3, groups=64)
    x = big(8, 64, 28, 28)
    counted.ran.clear()  # weights were drawn
    dense(x).backward(tt.ones(8, 64, 26, 26))
    (big(256, 256).requires_grad_() @ big(256, 256)).sum().backward()
    assert counted.ran == []
    depthwise(x).backward(tt.ones(8, 64, 26, 26))
    assert counted.ran == ["conv2d", "conv2d vjp"]


def test_every_call_gives_the_same_bits(counted: Counted) -> None:
    x = big(512, 700)
    first = [x.gelu().numpy().tobytes() for _ in range(3)]
    assert len(set(first)) == 1 and counted.ran == ["gelu"] * 3


def test_results_have_memory_of_their_own(counted: Counted) -> None:
    x = big(512, 1024)
    before = x.numpy().copy()
    a, b = x.relu(), x.relu()
    kept = b.numpy().copy()
    a.zero_()
    np.testing.assert_array_equal(b.numpy(), kept)
    np.testing.assert_array_equal(x.numpy(), before)
    assert counted.ran == ["relu", "relu"]


def test_gradients_of_gradients_go_by_the_rules(counted: Counted) -> None:
    x = Tensor(np.random.default_rng(0).standard_normal((256, 256)), requires_grad=True)
    (slope,) = [tt.grad(lambda x: x.gelu().sum())(x)]
    curve = tt.grad(lambda x: tt.grad(lambda y: y.gelu().sum())(x).sum())(x)
    step = 1e-5
    with tt.no_grad():
        after = tt.grad(lambda x: x.gelu().sum())(x + step)
    np.testing.assert_allclose(curve.numpy(), (after.numpy() - slope.numpy()) / step, atol=1e-4)


def test_an_operand_that_was_changed_is_an_error_still(counted: Counted) -> None:
    x = big(512, 1024).requires_grad_()
    y = x * 1.0
    z = y.gelu()
    y.add_(1.0)
    with pytest.raises(tt.TinyTorchError, match="changed in place"):
        z.sum().backward()


def test_an_index_out_of_range_names_the_line(counted: Counted) -> None:
    table = big(1000, 1024)
    indices = np.zeros(1024, np.int64)
    assert table[Tensor(indices)].shape == (1024, 1024)
    indices[700] = 1000
    with pytest.raises(IndexError, match=r"test_eager_kernels\.py:\d+"):
        table[Tensor(indices)]
    assert "gather" in counted.ran


def test_attributes_that_are_equal_only_to_python_differ(everything: Counted) -> None:
    x = Tensor(np.zeros((2, 2), np.float32))
    for value in (0.0, -0.0):
        out = x.apply_op(ops.view.pad, (x,), {"low": (0, 1), "high": (0, 0), "value": value, "interior": (0, 0)})
        assert np.signbit(out.numpy()[0, 0]) == np.signbit(value)


def test_beyond_its_number_of_layouts_an_op_runs_in_numpy(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eager, "LAYOUTS", 2)
    for rows in (600, 601, 602, 600):
        x = big(rows, 1024)
        expected = ops.composite.softmax.eval(x.numpy(), axis=1)
        np.testing.assert_allclose(x.softmax(1).numpy(), expected, rtol=1e-5)
    assert counted.ran == ["softmax"] * 3


@pytest.mark.parametrize(("name", "value"), [("TT_BACKEND", "interpreter"), ("TT_NANS", "1")])
def test_who_asks_for_numpy_gets_it(name: str, value: str, counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    x = big(1024, 512).requires_grad_()
    x.softmax(-1).sum().backward()
    assert counted.ran == []


def test_verify_has_numpy_for_a_judge(counted: Counted, tmp_path: Path) -> None:
    tt.verify(lambda x: x.softmax(-1).sum(), big(1024, 512), folder=str(tmp_path))
    assert counted.ran == []


def test_without_machine_code_numpy_computes(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> Any:
        raise tt.CompileError("no memory may be executed here")

    monkeypatch.setattr(eager, "make_calls", fails)
    x = big(1024, 512)
    np.testing.assert_array_equal(x.softmax(1).numpy(), ops.composite.softmax.fast(x.numpy(), axis=1))  # pyright: ignore[reportOptionalCall]
    assert counted.ran == []


def in_threads(count: int, function: Callable[[], Any]) -> list[Any]:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(function())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_threads_share_kernels(counted: Counted) -> None:
    x = big(1024, 512)

    def bits() -> bytes:
        return x.log_softmax(-1).numpy().tobytes()

    found = in_threads(4, bits)
    assert len(found) == 4 and set(found) == {bits()}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_runs_kernels(counted: Counted) -> None:
    x = big(1024, 512)
    expected = x.softmax(-1).numpy().tobytes()
    child = os.fork()
    if not child:
        same = x.softmax(-1).numpy().tobytes() == expected and bool(x.exp().numpy().all())
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


_SMALL_PROGRAM = """
import sys, tinytorch as tt
model = tt.Sequential(tt.Linear(8, 16), tt.ReLU(), tt.Linear(16, 2))
optimizer = tt.SGD(model.parameters(), lr=0.1)
model(tt.randn(4, 8)).sum().backward()
optimizer.step()
print("llvmlite" in sys.modules)
"""


def test_small_programs_load_no_compiler() -> None:
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", _SMALL_PROGRAM], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "False"
