"""`tt.compile`: arguments, results, state, threads and processes."""

from __future__ import annotations

import os
import threading
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend.tensor.storage import version_of
from tinytorch.ir.errors import TinyTorchError
from tinytorch.runtime.thread_count import get_num_threads, set_num_threads

BACKENDS = ["llvm", "interpreter"]
Pair = namedtuple("Pair", "first second")


@pytest.fixture(params=BACKENDS)
def compiled(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """`tt.compile` with each backend."""
    return lambda function: tt.compile(function, backend=request.param)


def param(*values: float) -> tt.Tensor:
    return tt.tensor(list(values), requires_grad=True)


def batch(seed: int, *shape: int) -> tt.Tensor:
    return tt.Tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


# Arguments and results.
def test_nested_containers(compiled: Any) -> None:
    function = compiled(lambda tree, scale: {"a": (tree["x"][0] * scale, 1, "s", None), "b": [tree["y"].first + 1]})
    for scale in (2.0, tt.tensor(3.0)):
        result = function({"x": [tt.ones(2)], "y": Pair(tt.zeros(1), 5)}, scale)
        assert list(result) == ["a", "b"] and isinstance(result["a"], tuple)
        assert result["a"][0].tolist() == [float(scale)] * 2 and result["a"][1:] == (1, "s", None)
        assert result["b"][0].tolist() == [1]
    pair = compiled(lambda x: Pair(x + 1, x))(tt.ones(1))
    assert isinstance(pair, Pair) and pair.first.tolist() == [2]


def test_results_that_are_no_tensors(compiled: Any) -> None:
    assert compiled(lambda x: None)(tt.ones(1)) is None
    assert compiled(lambda: 3)() == 3
    assert compiled(lambda: tt.ones(2))().tolist() == [1, 1]


def test_arguments_come_back_as_themselves(compiled: Any) -> None:
    x, captured = tt.ones(2), tt.zeros(3)
    result = compiled(lambda x: (x, x * 2, captured))(x)
    assert result[0] is x and result[2] is captured


def test_results_share_memory_as_in_eager_mode(compiled: Any) -> None:
    def function(x: Any) -> Any:
        y = x * 2
        return y, y, x[1:], x.reshape(2, 2), tt.full((2,), 7.0), y.reshape(2, 2), x.T + 0, x.detach()

    called = compiled(function)
    for _ in range(2):
        x, twin = tt.ones(4), tt.ones(4)
        results, expected = called(x), function(twin)
        assert results[0] is results[1]
        for i, (a, b) in enumerate(zip(results, expected, strict=True)):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
            others = zip((x, *results[:i]), (twin, *expected[:i]), strict=True)
            assert all(
                np.shares_memory(a.numpy(), c.numpy()) == np.shares_memory(b.numpy(), d.numpy()) for c, d in others
            )
        for a, b in zip(results, expected, strict=True):
            a.add_(1), b.add_(1)
        assert x.tolist() == twin.tolist()


def test_arrays_are_arguments(compiled: Any) -> None:
    function = compiled(lambda x: x + 1)
    for dtype in ("f4", "f8", "i1", "u1", "i4", "i8", "?"):
        got, wanted = function(np.ones(2, dtype)), tt.Tensor(np.ones(2, dtype)) + 1
        assert got.dtype == wanted.dtype and got.tolist() == wanted.tolist()


def test_updates_of_argument_tensors_and_arrays(compiled: Any) -> None:
    def swap(a: Any, b: Any) -> None:
        old = a.clone()
        a.copy_(b)
        b.copy_(old)

    swap = compiled(swap)
    a, b, c = tt.tensor([1.0]), tt.tensor([2.0]), np.array([3.0], np.float32)
    for _ in range(3):
        swap(a, b)
    assert (a.item(), b.item()) == (2, 1)
    swap(a, c)
    assert (a.item(), c[0]) == (3, 2)


# State.
def test_swapped_states_and_identity(compiled: Any) -> None:
    a, b = tt.tensor([1.0, 2.0]), tt.tensor([3.0, 4.0])

    def swap() -> Any:
        x, y = b * 1, a * 1
        a.copy_(x)
        b.copy_(y)
        return a, b, a + b

    swap = compiled(swap)
    for wanted in ([3, 4], [1, 2], [3, 4]):
        first, second, total = swap()
        assert first is a and second is b and total.tolist() == [4, 6]
        assert a.tolist() == wanted


def test_state_that_a_later_product_reads_transposed(compiled: Any) -> None:
    def run(wrap: Any) -> Any:
        w = batch(0, 5, 5)

        def step(x: Any) -> Any:
            before = w.T @ x
            w.copy_(w + x)
            return before, w.T @ x

        step = wrap(step)
        return [r.numpy() for _ in range(3) for r in step(batch(1, 5, 5))], w.numpy()

    (results, w), (wanted, eager_w) = run(compiled), run(lambda f: f)
    for got, expected in zip(results, wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(w, eager_w, rtol=1e-6)


def test_layouts_of_state(compiled: Any) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (np.asfortranarray(whole), whole[::-1], whole[:, ::2]):
        array = view.copy(order="K") if view.flags.f_contiguous else view
        before = array.copy()
        state = tt.from_numpy(array)

        def step(state: Any = state) -> Any:
            state.copy_(state * 2)
            return state.sum()

        assert compiled(step)().item() == before.sum() * 2
        np.testing.assert_array_equal(array, before * 2)


def test_two_training_steps_in_one_trace(compiled: Any) -> None:
    def run(wrap: Any) -> Any:
        p = param(0.1, 0.2, 0.3)
        optimizer = tt.SGD([p], lr=0.1)

        def two(x: Any) -> Any:
            for _ in range(2):
                optimizer.zero_grad()
                loss = (p * p * x).sum()
                loss.backward()
                optimizer.step()
            return loss

        two = wrap(two)
        return [two(tt.ones(3)).item() for _ in range(3)], p.tolist()

    np.testing.assert_allclose(np.hstack(run(compiled)), np.hstack(run(lambda f: f)), rtol=1e-5)


def train(wrap: Any, make: Callable[[Any], Any]) -> tuple[list[float], list[np.ndarray]]:
    """Losses and weights of a training run in which all that may change without a recompile, or with, changes."""
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(4, 8), tt.GELU(), tt.Dropout(0.3), tt.LayerNorm(8), tt.Linear(8, 3))
    optimizer = make(model.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = tt.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step = wrap(step)
    losses: list[float] = []
    for i in range(12):
        optimizer.lr = 0.05 / (i + 1)
        if i in (6, 9):
            model.train(i == 9)
        losses.append(step(batch(i, 5, 4), tt.tensor([0, 1, 2, 0, 1])).item())
    return losses, [p.numpy() for p in model.parameters()]


@pytest.mark.parametrize(
    "make",
    [
        lambda p: tt.SGD(p, lr=0.05, momentum=0),
        lambda p: tt.SGD(p, lr=0.05, nesterov=True, weight_decay=0.01),
        lambda p: tt.AdamW(p, lr=0.05),
    ],
    ids=["sgd", "nesterov", "adamw"],
)
def test_training_is_as_eager(compiled: Any, make: Any) -> None:
    losses, weights = train(compiled, make)
    wanted, eager_weights = train(lambda f: f, make)
    np.testing.assert_allclose(losses, wanted, rtol=1e-5, atol=1e-6)
    for a, b in zip(weights, eager_weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_settings_change_without_a_recompile(capfd: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("TT_LOGS", "recompiles")
    p = param(1.0, 2.0)
    optimizer = tt.SGD([p], lr=0.1, momentum=0)

    @tt.compile
    def step(x: Any) -> None:
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()

    for lr in (0.1, 0.2, 0.5):
        optimizer.lr = lr
        before = p.numpy().copy()
        step(tt.ones(2))
        np.testing.assert_allclose(before - p.numpy(), lr, rtol=1e-5)
    assert capfd.readouterr().out.count("compiling") == 1


def test_the_random_stream_is_that_of_eager(compiled: Any) -> None:
    def draw() -> Any:
        return tt.rand(3, 5), tt.randint(0, 10, (4,)), tt.randn(7), tt.dropout(tt.ones(8, 8), 0.5)

    tt.manual_seed(1)
    wanted = [a.numpy() for _ in range(3) for a in draw()]
    function = compiled(draw)
    tt.manual_seed(1)
    got = [a.numpy() for _ in range(3) for a in function()]
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-7)
    for exact in (0, 1, 3):
        np.testing.assert_array_equal(got[exact], wanted[exact])
    assert not np.array_equal(got[0], got[4])


def test_evaluation_turns_dropout_off(compiled: Any) -> None:
    model = tt.Sequential(tt.Dropout(0.5))
    function = compiled(model)
    x = tt.ones(16, 16)
    assert function(x).sum().item() != 256
    model.eval()
    assert function(x).sum().item() == 256
    model.train()
    assert 0 < (function(x) == 0).sum().item() < 256


# Threads and processes.
def test_python_threads_share_a_compiled_function() -> None:
    function = tt.compile(lambda x: (x @ x).exp().sum(1))
    xs = [batch(i, 64, 64) * 0.01 for i in range(6)]
    wanted = [function(x).numpy().copy() for x in xs]
    wrong: list[int] = []

    def run(i: int) -> None:
        wrong.extend(i for _ in range(60) if not np.array_equal(function(xs[i]).numpy(), wanted[i]))

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_python_threads_compile_at_once(compiled: Any) -> None:
    function = compiled(lambda x: (x * 2).sum())
    results: dict[int, float] = {}

    def run(n: int) -> None:
        results[n] = function(tt.ones(n)).item()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: 2.0 * n for n in range(8)}


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    x, w = batch(0, 333, 257), batch(1, 257, 129)
    before = get_num_threads()
    results: list[np.ndarray] = []
    try:
        for threads in (1, 2):
            set_num_threads(threads)
            function = tt.compile(lambda x, w: (x @ w).softmax(-1).sum(0))
            results.append(function(x, w).numpy())
    finally:
        set_num_threads(before)
    assert results[0].tobytes() == results[1].tobytes()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_compiled_functions_survive_a_fork() -> None:
    function = tt.compile(lambda x: (x @ x).sum())
    x = tt.ones(300, 300)
    wanted = function(x).item()
    child = os.fork()
    if child == 0:
        os._exit(0 if function(x).item() == wanted else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert function(x).item() == wanted


def test_a_cache_folder_that_cannot_be_written(monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path / "file" / "cache"))
    with pytest.warns(RuntimeWarning, match="TT_CACHE_DIR"):
        assert tt.compile(lambda x: x * 2 + 17)(tt.ones(1)).item() == 19


def test_a_damaged_cache(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("TT_CACHE_DIR", str(tmp_path))
    for damage in (lambda b: b[: len(b) // 2], lambda b: b[:-9] + bytes([b[-9] ^ 1]) + b[-8:], lambda b: b""):
        assert tt.compile(lambda x: x * 2 + 18)(tt.ones(1)).item() == 20
        entries = list(tmp_path.rglob("*.ttc"))
        assert entries
        for entry in entries:
            entry.write_bytes(damage(entry.read_bytes()))
    assert tt.compile(lambda x: x * 2 + 18)(tt.ones(1)).item() == 20


def test_backward_after_an_input_was_overwritten_is_refused(compiled: Any) -> None:
    p, x, captured = param(1.0, 2.0), tt.ones(2), tt.ones(2)
    function = compiled(lambda x: (p * x * captured).sum())
    for changed in (x, captured, p):
        result = function(x)
        with tt.no_grad():
            changed.copy_(changed * 2)
        with pytest.raises(TinyTorchError, match="changed in place"):
            result.backward()
    function(x).backward()
    assert p.grad is not None and p.grad.tolist() == [4, 4]


def test_a_failed_guard_moves_no_version() -> None:
    table, count = tt.ones(5), tt.zeros(1)

    @tt.compile
    def lookup(i: tt.Tensor) -> tt.Tensor:
        count.copy_(count + 1)
        return table[i]

    lookup(tt.tensor([0]))
    before = version_of(count)
    with pytest.raises(IndexError):
        lookup(tt.tensor([9]))
    assert (version_of(count), count.item()) == (before, 1.0)
