"""tt.compile against eager: containers, state, gradients, randomness, threads, processes."""

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
from tinytorch.frontend.functions.random import default_generator
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


# Gradients that a compiled function leaves.
def test_grad_is_kept_where_no_step_uses_it(compiled: Any) -> None:
    p = param(1.0, 2.0)

    def step(x: Any) -> None:
        p.grad = None
        (p * x).sum().backward()

    step = compiled(step)
    for k in (1, 2):
        step(tt.ones(2) * k)
        assert p.grad is not None and p.grad.tolist() == [k, k]


def test_grad_accumulates(compiled: Any) -> None:
    p = param(1.0, 2.0)
    step = compiled(lambda x: (p * x).sum().backward())
    for k in (1, 2, 3):
        step(tt.ones(2))
        assert p.grad is not None and p.grad.tolist() == [k, k]
    p.grad = tt.tensor([10.0, 10.0])
    step(tt.ones(2))
    assert p.grad.tolist() == [11, 11]
    p.grad = None
    step(tt.ones(2))
    assert p.grad.tolist() == [1, 1]  # pyright: ignore[reportOptionalMemberAccess]


def test_gradient_accumulation_over_compiled_pieces(compiled: Any) -> None:
    p = param(0.0, 0.0)
    optimizer = tt.SGD([p], lr=0.1, momentum=0)
    micro = compiled(lambda x: (p * x).sum().backward())

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    update = compiled(update)
    for k in (1, 2, 3):
        micro(tt.ones(2))
        micro(tt.ones(2) * 2)
        update()
        np.testing.assert_allclose(p.numpy(), -0.3 * k, rtol=1e-6)
        assert p.grad is None


def test_a_grad_that_the_step_used_up(compiled: Any) -> None:
    p = param(1.0, 2.0)
    optimizer = tt.SGD([p], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (p * x).sum().backward()
        optimizer.step()
        return p.grad

    assert compiled(step)(tt.ones(2)).tolist() == [1, 1]
    with pytest.raises(TinyTorchError, match="zero_grad"):
        print(p.grad)
    optimizer.zero_grad()
    assert p.grad is None


def test_a_step_without_zero_grad_is_refused_rather_than_wrong(compiled: Any) -> None:
    p = param(1.0)
    optimizer = tt.SGD([p], lr=0.1, momentum=0)

    def step(x: Any) -> None:
        (p * x).sum().backward()
        optimizer.step()

    step = compiled(step)
    step(tt.ones(1))
    with pytest.raises(TinyTorchError, match="zero_grad"):
        step(tt.ones(1))
    np.testing.assert_allclose(p.numpy(), 0.9)


def test_compiled_models_in_an_eager_loop(compiled: Any) -> None:
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(3, 4), tt.Tanh(), tt.Linear(4, 2))
    fast, x = compiled(model), batch(0, 5, 3)
    x.requires_grad_()
    for _ in range(3):
        (fast(x) ** 2).sum().backward()
        got = [p.grad.numpy() for p in (*model.parameters(), x)]
        model.zero_grad()
        x.grad = None
        (model(x) ** 2).sum().backward()
        for a, p in zip(got, (*model.parameters(), x), strict=True):
            np.testing.assert_allclose(a, p.grad.numpy(), rtol=1e-5, atol=1e-6)
        model.zero_grad()
        x.grad = None


def test_several_results_with_gradients(compiled: Any) -> None:
    p, x = param(1.0, 2.0), param(3.0, 4.0)
    result = compiled(lambda x: {"a": p * x, "b": [(p * p).sum(), x]})(x)
    assert result["b"][1] is x
    (result["a"].sum() * result["b"][0]).backward()
    np.testing.assert_allclose(p.grad.numpy(), x.numpy() * 5 + 11 * 2 * p.numpy())  # pyright: ignore
    np.testing.assert_allclose(x.grad.numpy(), p.numpy() * 5)  # pyright: ignore


def test_a_result_with_gradient_of_a_function_with_state(compiled: Any) -> None:
    p, calls = param(1.0, 2.0), tt.zeros(1)

    def function(x: Any) -> Any:
        calls.copy_(calls + 1)
        return (p * x * calls.detach()).sum()

    function = compiled(function)
    for _ in range(3):
        function(tt.ones(2)).backward()
    assert calls.item() == 3 and p.grad.tolist() == [6, 6]  # pyright: ignore


def test_no_grad_inside_and_outside(compiled: Any) -> None:
    p = param(1.0, 2.0)

    def detached(x: Any) -> Any:
        with tt.no_grad():
            y = p * 2
        return y * x

    assert not compiled(detached)(tt.ones(2)).requires_grad
    function = compiled(lambda x: p * x)
    flags = [function(tt.ones(2)).requires_grad]
    with tt.no_grad():
        flags.append(function(tt.ones(2)).requires_grad)
    flags.append(function(tt.ones(2)).requires_grad)
    assert flags == [True, False, True]


def test_gradient_functions_inside(compiled: Any) -> None:
    x = tt.tensor([1.0, 2.0])
    cube = tt.grad(lambda z: (z**3).sum())
    np.testing.assert_allclose(compiled(cube)(x).numpy(), [3, 12], rtol=1e-6)
    np.testing.assert_allclose(compiled(tt.grad(lambda y: cube(y).sum()))(x).numpy(), [6, 12], rtol=1e-6)
    value, gradient = compiled(tt.value_and_grad(lambda y: (y * y).sum()))(x)
    assert value.item() == 5 and gradient.tolist() == [2, 4]


def test_functions_with_a_derivative_of_their_own(compiled: Any) -> None:
    class Square(tt.Function):
        def forward(self, x: Any) -> Any:
            self.save_for_backward(x)
            return x * x

        def backward(self, g: Any) -> Any:
            (x,) = self.saved_tensors
            return g * x * 20  # not the derivative, so that one sees which rule ran

    p = param(1.0, 2.0)

    def function() -> Any:
        p.grad = None
        Square()(p).sum().backward()
        return p.grad

    function = compiled(function)
    assert [function().tolist() for _ in range(2)] == [[20, 40], [20, 40]]


# An error on the way leaves everything as it was.
def test_an_index_out_of_range_changes_nothing(compiled: Any) -> None:
    table = tt.Tensor(np.ones((5, 3), np.float32), requires_grad=True)
    optimizer = tt.SGD([table], lr=1.0)

    def step(i: Any) -> Any:
        optimizer.zero_grad()
        loss = tt.dropout(table[i], 0.5).sum()
        loss.backward()
        optimizer.step()
        return loss

    step = compiled(step)
    step(tt.tensor([0, 1]))
    for bad in ([0, 9], [-6, 0]):
        weights, momentum = table.numpy().copy(), optimizer.state[0]["momentum_buffer"].numpy().copy()
        stream = default_generator.get_state().tolist()
        with pytest.raises(IndexError, match="out of range for size 5") as caught:
            step(tt.tensor(bad))
        assert "test_compile.py:" in str(caught.value)
        np.testing.assert_array_equal(table.numpy(), weights)
        np.testing.assert_array_equal(optimizer.state[0]["momentum_buffer"].numpy(), momentum)
        assert default_generator.get_state().tolist() == stream
    step(tt.tensor([0, -1]))
    assert not np.array_equal(table.numpy(), weights)


def test_a_target_out_of_range(compiled: Any) -> None:
    loss = compiled(tt.cross_entropy)
    assert loss(tt.ones(2, 3), tt.tensor([0, 2])).item() == pytest.approx(np.log(3))
    with pytest.raises(IndexError, match="index 3 is out of range for size 3"):
        loss(tt.ones(2, 3), tt.tensor([0, 3]))


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
