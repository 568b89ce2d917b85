"""Kernels of attention against its definition: any sizes, layouts, masks, dropout and values, forward and backward."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.op import OPS, apply
from tinytorch.ir.ops.attention import Attention
from tinytorch.runtime.llvm.backend import LlvmBackend
from tinytorch.runtime.llvm.text.target import Target
from tinytorch.runtime.schedule import schedule

TARGETS = ("avx512", "avx2", "sse2")
BACKENDS = {name: LlvmBackend(Target.named(name)) for name in TARGETS}
SIZES = (0, 1, 2, 5, 24, 25, 49, 64, 65, 100, 128, 130, 257)
TOLERANCE = {"f32": 2e-4, "f64": 1e-10, "bf16": 0.03, "f16": 0.004}


def runs(target: str) -> bool:
    features = Target.host()
    return target == "sse2" or features.name == target or (target == "avx2" and features.name == "avx512")


@st.composite
def cases(draw: st.DrawFn) -> dict[str, Any]:
    groups, shared = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    queries = draw(st.sampled_from(SIZES))
    return {
        "dtype": draw(st.sampled_from(["f32", "f32", "f64", "bf16", "f16"])),
        "batch": draw(st.integers(1, 2)),
        "heads": groups * shared,
        "groups": groups,
        "queries": queries,
        "keys": draw(st.sampled_from([queries, *SIZES])),
        "width": draw(st.sampled_from([1, 3, 16, 17, 32, 64])),
        "depth": draw(st.sampled_from([1, 5, 16, 20, 33, 64])),
        "mask": draw(st.sampled_from([None, None, "bool", "float", "row"])),
        "dropout": draw(st.sampled_from([0.0, 0.0, 0.3, 0.004, 1.0])),
        "positions": draw(st.booleans()),
        "causal": draw(st.booleans()),
        "fill": draw(st.sampled_from([-math.inf, -math.inf, -5.0])),
        "zeros": draw(st.booleans()),
        "odd": draw(st.lists(st.sampled_from(["q", "k", "v", "g"]), max_size=2)),
        "odd_value": draw(st.sampled_from([math.inf, -math.inf, math.nan])),
        "seed": draw(st.integers(0, 1000)),
    }


def operands_of(case: dict[str, Any]) -> tuple[Attention, list[Tensor]]:
    """q, k and v lie as a product leaves them, [batch, length, heads, width]; g in order; then the extras."""
    rng = np.random.default_rng(case["seed"])
    batch, heads, queries, keys = (case[name] for name in ("batch", "heads", "queries", "keys"))
    arrays = {
        "q": rng.normal(size=(batch, queries, heads, case["width"])),
        "k": rng.normal(size=(batch, keys, case["groups"], case["width"])),
        "v": rng.normal(size=(batch, keys, case["groups"], case["depth"])),
        "g": rng.normal(size=(batch, heads, queries, case["depth"])),
    }
    for name in case["odd"]:
        if arrays[name].size:
            arrays[name].reshape(-1)[rng.integers(arrays[name].size)] = case["odd_value"]
    extras: dict[str, Tensor] = {}
    shape = (batch, heads, queries, keys)
    if case["mask"] == "float":
        mask = np.where(rng.random(shape) < 0.8, rng.normal(size=shape), -np.inf)
        extras["mask"] = Tensor(mask).cast(case["dtype"])
    elif case["mask"] is not None:
        mask = rng.random(shape if case["mask"] == "bool" else shape[3:]) < 0.7
        extras["mask"] = Tensor(mask)
    if case["dropout"]:
        extras["state"] = Tensor(np.array([3, 77]))
    if case["positions"] and keys >= queries:
        extras["positions"] = Tensor(rng.integers(0, keys - queries + 1, batch))
    how = Attention(0.3, case["causal"], tuple(extras), case["dropout"], case["fill"], case["zeros"])
    return how, [*(Tensor(a).cast(case["dtype"]) for a in arrays.values()), *extras.values()]


def everything(how: Attention, q: Any, k: Any, v: Any, g: Any, *extras: Any) -> tuple[Any, ...]:
    """The results of attention and of its gradient."""
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    shape = (*q.shape[:3], k.shape[2])
    extras = tuple(x.broadcast_to(shape) if name == "mask" else x for name, x in zip(how.extras, extras, strict=True))
    out, norms = apply(OPS["attention"], q, k, v, *extras, **how.attrs)
    delta = (out.cast(norms.dtype) * g.cast(norms.dtype)).sum(-1, keepdim=True)
    return out, norms, *apply(OPS["attention_grad"], q, k, v, *extras, norms, delta, g, **how.attrs)


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=25, deadline=None)
@given(case=cases())
def test_kernels_agree_with_the_definition(target: str, case: dict[str, Any]) -> None:
    if not runs(target):
        pytest.skip(f"no {target} here")
    how, operands = operands_of(case)
    with np.errstate(all="ignore"):
        wanted = everything(how, *operands)
    found = tt.compile(lambda *x: everything(how, *x), backend=BACKENDS[target])(*operands)
    for name, a, b in zip(("out", "norms", "dq", "dk", "dv"), found, wanted, strict=True):
        x, y = a.numpy().astype(float), b.numpy().astype(float)
        if name == "norms":  # the largest score of a row that has a NaN may be another one
            spoilt = np.isnan(y[..., 1:])
            assert np.isnan(x[..., 1:])[spoilt].all()
            x, y = np.where(spoilt, 0, x), np.where(spoilt, 0, y)
        limit = TOLERANCE[case["dtype"]]
        largest = max(1.0, np.abs(y[np.isfinite(y)]).max(initial=0))
        np.testing.assert_allclose(x, y, rtol=limit, atol=limit * largest, err_msg=name)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_head_sees_the_first_of_many_keys(target: str, dtype: str) -> None:
    """The tile of keys that the last seen one lies in has others, of which nothing may be left from elsewhere."""
    if not runs(target):
        pytest.skip(f"no {target} here")
    how = Attention(0.3, extras=("mask",))
    for number in (1, 2, 3, 5, 9):
        seen = np.ones((1, 2, 4, 70), bool)
        seen[:, 1, :, number:] = False  # the second head, behind one that sees all
        operands = [
            tt.randn(*shape).cast(dtype) for shape in ((1, 4, 2, 8), (1, 70, 1, 8), (1, 70, 1, 3), (1, 2, 4, 3))
        ]
        found = tt.compile(lambda *x: everything(how, *x), backend=BACKENDS[target])(*operands, Tensor(seen))
        for a, b in zip(found, everything(how, *operands, Tensor(seen)), strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_a_head_that_sees_nothing(causal: bool, zeros: bool) -> None:
    """NaN reaches the gradient of keys that nothing sees, and 0 where that is asked for."""
    seen = np.ones((2, 2, 40, 70), bool)
    seen[0] = False
    how = Attention(0.3, causal, ("mask",), zeros=zeros)
    operands = [*(tt.randn(2, n, 2, 16) for n in (40, 70, 70)), tt.randn(2, 2, 40, 16), Tensor(seen)]
    wanted, found = everything(how, *operands), tt.compile(lambda *x: everything(how, *x))(*operands)
    for a, b in zip((found[0], *found[2:]), (wanted[0], *wanted[2:]), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-4, atol=1e-5)


def test_neon_is_assembled() -> None:
    from tinytorch.runtime.llvm.lower import lower
    from tinytorch.runtime.llvm.text import jit

    how = Attention(0.3, True, ("state",), 0.2)
    step = tt.compile(lambda *x: everything(how, *x))
    step(*(tt.randn(1, 40, 2, 16) for _ in range(3)), tt.randn(1, 2, 40, 16), Tensor(np.array([1, 2])))
    target = Target.named("neon")
    assert "fmla" in jit.emit_assembly(lower(schedule(step.graph), target, slots=1).text, target)


def step_of(length: int) -> Any:
    """A compiled attention of this length, forward and backward."""
    how = Attention(0.125, True)
    step = tt.compile(lambda *x: everything(how, *x)[2:])
    step(*(tt.randn(1, length, 2, 64) for _ in range(3)), tt.randn(1, 2, length, 64))
    return step


def test_memory_is_linear_in_the_length() -> None:
    sizes = [schedule(step_of(length).graph).arena_bytes for length in (512, 1024, 2048)]
    assert sizes[2] < 4.2 * sizes[0] and sizes[2] < 2048 * 2048 * 4


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_bit(threads: int) -> None:
    how, x = Attention(0.2, True), [tt.randn(2, 300, 3, 32) for _ in range(3)]
    g = tt.randn(2, 3, 300, 32)
    step = tt.compile(lambda *y: everything(how, *y))
    before = tt.get_num_threads()
    try:
        tt.set_num_threads(1)
        wanted = [t.numpy().tobytes() for t in step(*x, g)]
        tt.set_num_threads(threads)
        assert [t.numpy().tobytes() for t in step(*x, g)] == wanted
    finally:
        tt.set_num_threads(before)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", [None, "bool", "float"])
def test_torch_agrees(causal: bool, kind: str | None) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    q, k, v, g = (rng.normal(size=(2, 4, 70, 24)).astype(np.float32) for _ in range(4))
    seen = rng.random((2, 4, 70, 70)) < 0.8
    seen[0, 1, 3] = False
    seen &= np.tri(70, dtype=bool) if causal else True
    mask = None if kind is None and not causal else torch.tensor(seen if kind is not None else np.tri(70, dtype=bool))
    mine = {"bool": seen, "float": np.where(seen, 0, -np.inf).astype(np.float32), None: None}[kind]
    theirs = [torch.tensor(a, requires_grad=True) for a in (q, k, v)]
    out = torch.nn.functional.scaled_dot_product_attention(*theirs, mask)
    out.backward(torch.tensor(g))
    extras = [] if mine is None else [Tensor(mine)]
    how = Attention(24**-0.5, causal, ("mask",) if extras else ())
    last = [Tensor(a.transpose(0, 2, 1, 3).copy()) for a in (q, k, v)]
    found = tt.compile(lambda *x: everything(how, *x))(*last, Tensor(g), *extras)
    for a, b in zip((found[0], *found[2:]), (out, *(x.grad for x in theirs)), strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=2e-4, atol=2e-5)
