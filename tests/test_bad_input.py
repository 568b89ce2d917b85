"""Input that is unusual or wrong: the right answer, or a clear error with the user's line."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.ir.errors import ShapeError, TinyTorchError

HERE = "test_bad_input.py:"
X = np.arange(12, dtype=np.float32).reshape(3, 4)


# Arrays of every layout.
class Subclass(np.ndarray):
    pass


def read_only() -> np.ndarray:
    array = X.copy()
    array.flags.writeable = False
    return array


def unaligned() -> np.ndarray:
    return np.frombuffer(b"\0" + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(3, 4)


ARRAYS: dict[str, Callable[[], np.ndarray]] = {
    "plain": lambda: X.copy(),
    "read-only": read_only,
    "Fortran order": lambda: np.asfortranarray(X),
    "negative rows": lambda: X[::-1],
    "negative columns": lambda: X[:, ::-1],
    "steps": lambda: np.repeat(np.repeat(X, 2, 0), 3, 1)[::2, ::3],
    "unaligned": unaligned,
    "subclass": lambda: X.view(Subclass),
    "masked": lambda: np.ma.array(X),
    "big-endian": lambda: X.astype(">f4"),
    "broadcast": lambda: np.broadcast_to(X[:1], (3, 4)),
}
MAKERS: dict[str, Callable[[Any], Any]] = {"Tensor": tt.Tensor, "from_numpy": tt.from_numpy, "as_tensor": tt.as_tensor}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("layout", ARRAYS)
def test_tensors_of_every_layout(world: Any, layout: str, maker: str) -> None:
    array = ARRAYS[layout]()
    before = np.array(array)
    function = world(lambda x: ((x * 2 + 1).sum(0), x.T @ x, x.reshape(-1).max()))
    if layout == "big-endian" and maker == "from_numpy":
        with pytest.raises(ShapeError, match="byte order"):
            tt.from_numpy(array)
        return
    wanted = before.astype(np.float32)
    for _ in range(3):
        sums, product, largest = function(MAKERS[maker](array))
        np.testing.assert_allclose(sums.numpy(), (wanted * 2 + 1).sum(0))
        np.testing.assert_allclose(product.numpy(), wanted.T @ wanted)
        assert largest.item() == wanted.max()
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("backend", ["llvm", "interpreter"])
@pytest.mark.parametrize("layout", ARRAYS)
def test_arrays_of_every_layout_as_arguments(backend: Any, layout: str) -> None:
    array = ARRAYS[layout]()
    function = tt.compile(lambda x: (x * 2 + 1).sum(0), backend=backend)
    for _ in range(2):
        np.testing.assert_allclose(function(array).numpy(), (np.array(array, np.float32) * 2 + 1).sum(0))


def test_a_read_only_array_is_not_updated(world: Any) -> None:
    array = read_only()
    state = tt.from_numpy(array)

    def update() -> None:
        state.copy_(state + 1)

    with pytest.raises(TinyTorchError, match="read-only"):
        world(update)()
    np.testing.assert_array_equal(array, X)


def test_an_array_that_becomes_read_only_is_not_updated() -> None:
    array = X.copy()
    state = tt.from_numpy(array)

    @tt.compile
    def update() -> None:
        state.copy_(state + 1)

    update()
    array.flags.writeable = False
    with pytest.raises(TinyTorchError, match="read-only"):
        update()
    np.testing.assert_array_equal(array, X + 1)


# Wrong shapes and dtypes.
WRONG: dict[str, tuple[Callable[..., Any], tuple[Any, ...], str]] = {
    "matmul": (lambda a, b: a @ b, (tt.ones(2, 3), tt.ones(4, 5)), "matmul"),
    "add": (lambda a, b: a + b, (tt.ones(3), tt.ones(4)), "do not broadcast"),
    "linear": (lambda x: tt.Linear(3, 2)(x), (tt.ones(4, 5),), "linear"),
    "reshape": (lambda x: x.reshape(5), (tt.ones(4),), "reshape"),
    "permute": (lambda x: x.permute((0, 0)), (tt.ones(2, 2),), "permute"),
    "axis": (lambda x: x.sum(3), (tt.ones(2, 2),), "axis 3"),
    "cat": (lambda a, b: tt.cat([a, b]), (tt.ones(2, 2), tt.ones(2, 3)), "concat|cat"),
    "backward": (lambda x: (x.requires_grad_() * 2).backward(), (tt.ones(2),), "more than one element"),
    "too large": (lambda x: tt.zeros(1 << 40, 1 << 30) + x, (tt.ones(1),), "larger than any memory"),
    "overflow": (lambda x: x.broadcast_to((1 << 40, 1 << 40)) * 2, (tt.ones(1),), "large"),
    "no elements": (lambda x: x.max(), (tt.ones(0),), "max"),
    "integer gradient": (lambda x: x.requires_grad_(), (tt.tensor([1, 2]),), "float"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_shapes_name_the_users_line(world: Any, what: str) -> None:
    function, arguments, message = WRONG[what]
    with pytest.raises(ShapeError, match=message) as caught:
        world(function)(*arguments)
    assert HERE in str(caught.value)


@pytest.mark.parametrize("array", [np.ones(2, "c8"), np.array(["a"]), np.array([None]), np.ones(2, "u2")], ids=str)
def test_dtypes_that_are_not_supported(world: Any, array: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="dtype"):
        world(lambda x: tt.as_tensor(x) + 1)(array)


def test_ragged_lists() -> None:
    with pytest.raises(ShapeError) as caught:
        tt.Tensor([[1, 2], [3]])
    assert HERE in str(caught.value)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "gpu"])
def test_other_devices(world: Any, device: str) -> None:
    with pytest.raises(TinyTorchError, match="CPU only") as caught:
        world(lambda x: x.to(device))(tt.ones(1))
    assert HERE in str(caught.value)
    with pytest.raises(TinyTorchError, match="CPU only"):
        tt.zeros(2, device=device)


def test_the_only_device(world: Any) -> None:
    assert world(lambda x: x.to("cpu").cpu())(tt.ones(1)).tolist() == [1]


# Empty batches.
def test_empty_batches(world: Any) -> None:
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(3, 4), tt.ReLU(), tt.LayerNorm(4), tt.Linear(4, 2), tt.Softmax())
    assert world(model)(tt.ones(0, 3)).shape == (0, 2)
    assert world(lambda x: x.sum())(tt.ones(0, 3)).item() == 0
    assert world(lambda x: x.sum(0))(tt.ones(0, 3)).tolist() == [0, 0, 0]
    assert world(lambda x: x.T @ x)(tt.ones(0, 3)).tolist() == [[0] * 3] * 3
    assert world(lambda x: x @ x.T)(tt.ones(3, 0)).tolist() == [[0] * 3] * 3
    assert np.isnan(world(lambda x: x.mean())(tt.ones(0)).item())


def test_an_empty_batch_leaves_the_weights(world: Any) -> None:
    tt.manual_seed(0)
    model = tt.Linear(3, 2)
    optimizer = tt.SGD(model.parameters(), lr=0.1)
    before = model.weight.numpy().copy()

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (model(x) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    assert world(step)(tt.ones(0, 3)).item() == 0
    np.testing.assert_array_equal(model.weight.numpy(), before)


# NaN and infinity.
NAN_KEEPERS: dict[str, Callable[[Any], Any]] = {
    "relu": lambda x: tt.relu(x),
    "maximum": lambda x: x.maximum(0.0),
    "minimum": lambda x: x.minimum(0.0),
    "max": lambda x: x.max(),
    "min": lambda x: x.min(),
    "sum": lambda x: x.sum(),
    "mean": lambda x: x.mean(),
    "softmax": lambda x: tt.softmax(x, -1),
    "log_softmax": lambda x: tt.log_softmax(x, -1),
    "sigmoid": lambda x: tt.sigmoid(x),
    "tanh": lambda x: tt.tanh(x),
    "gelu": lambda x: tt.gelu(x),
    "clip": lambda x: x.clip(0, 1),
    "sign": lambda x: x.sign(),
    "floor": lambda x: x.floor(),
    "times zero": lambda x: x * 0,
    "minus itself": lambda x: x - x,
    "matmul": lambda x: x.unsqueeze(0) @ x.unsqueeze(1),
    "compare": lambda x: (x > 0, x == x, x != x),
    "argmax": lambda x: x.argmax(),
    "where": lambda x: tt.where(x > 0, x, 0.0),
    "to integer": lambda x: x.int(),
}


@pytest.mark.parametrize("what", NAN_KEEPERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_as_in_numpy(what: str, value: float) -> None:
    function = NAN_KEEPERS[what]
    for size in (3, 40):
        array = np.linspace(-2, 2, size).astype(np.float32)
        array[size // 2] = value
        wanted, got = function(tt.Tensor(array)), tt.compile(function)(tt.Tensor(array))
        pairs = zip(*((r if isinstance(r, tuple) else (r,)) for r in (wanted, got)), strict=True)
        for a, b in pairs:
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-5, atol=1e-6)
    if np.isnan(value) and what in ("relu", "maximum", "minimum", "max", "min", "sum", "softmax", "clip", "times zero"):
        assert np.isnan(function(tt.Tensor(array)).numpy()).any()


# Integers.
def test_integer_arithmetic_wraps_as_in_numpy(world: Any) -> None:
    function = world(lambda a, b: (a + b, a * b, a - b, -a, abs(a)))
    for dtype in (np.int8, np.uint8, np.int32, np.int64):
        info = np.iinfo(dtype)
        a, b = np.array([info.max, info.min, 3], dtype), np.array([info.max, 1, 100], dtype)
        with np.errstate(over="ignore"):
            wanted = (a + b, a * b, a - b, -a, abs(a))
        for got, array in zip(function(tt.Tensor(a), tt.Tensor(b)), wanted, strict=True):
            np.testing.assert_array_equal(got.numpy(), array)
            assert got.numpy().dtype == dtype


def test_integer_division_by_zero_does_not_crash(world: Any) -> None:
    function = world(lambda a, b: (a // b, a % b))
    for values in ([0, 0, 0], [2, 0, -1]):
        quotient, rest = function(tt.tensor([5, -5, 2**62]), tt.tensor(values))
        assert quotient.shape == rest.shape == (3,)


def test_indices_out_of_range(world: Any) -> None:
    table = tt.Tensor(np.arange(5, dtype=np.float32))
    function = world(lambda i: table[i])
    assert function(tt.tensor([4, -5])).tolist() == [4, 0]
    for bad in (5, -6, 2**40, -(2**62)):
        with pytest.raises(IndexError, match="out of range for size 5"):
            function(tt.tensor([0, bad]))


def test_static_indices_out_of_range(world: Any) -> None:
    with pytest.raises(IndexError, match="index 3 is out of range for axis 0"):
        world(lambda x: x[3])(tt.ones(3))


# What beginners write.
COUNTER = 0


class Counts(tt.Module):
    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: tt.Tensor) -> tt.Tensor:
        self.calls += 1  # here
        return x * self.calls


class Doubles(tt.Module):
    def forward(self, x: tt.Tensor) -> tt.Tensor:
        return x.relu() * 2


def test_changed_state_is_named_with_its_line() -> None:
    seen: list[Any] = []

    def appends(x: tt.Tensor) -> tt.Tensor:
        y = x * 2
        seen.append(1)  # here
        return y + len(seen)

    def counts(x: tt.Tensor) -> tt.Tensor:
        global COUNTER
        y = x * 2
        COUNTER += 1  # here
        return y * COUNTER

    for function in (appends, counts, Counts()):
        with pytest.raises(tt.TraceError, match="Return the new value from the function") as error:
            tt.compile(function)(tt.ones(2))
        assert str(error.value).rstrip().endswith("# here")


def test_printing_in_a_compiled_function_warns() -> None:
    def prints(x: tt.Tensor) -> tt.Tensor:
        y = x * 2
        print(y)
        return y

    with pytest.warns(RuntimeWarning, match="printed while the function is traced"):
        compiled = tt.compile(prints)
        compiled(tt.ones(2))
    assert compiled(tt.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tt.Tensor([2], 3), r"requires_grad, True or False; for a tensor of a shape use tt.zeros"),
        (lambda: Doubles()(X), r"Doubles: got a numpy array where it needs a tensor; pass tt.tensor\(x\)"),
        (lambda: tt.Sequential(Doubles())([[1.0, 2]]), "got a list where it needs a tensor"),
        (
            lambda: tt.cross_entropy(tt.ones(2, 3), tt.tensor([0, 3])),
            "cross_entropy: index 3 is out of range for size 3",
        ),
        (lambda: tt.ones(3)[tt.tensor([4])], "index 4 is out of range for size 3"),
    ],
)
def test_beginners_learn_what_to_do(call: Callable[[], Any], message: str) -> None:
    with pytest.raises((TinyTorchError, IndexError), match=message) as error:
        call()
    assert HERE in str(error.value)


def test_a_forgotten_zero_grad_warns_once_gradients_were_used() -> None:
    model = tt.Linear(2, 1)
    optimizer = tt.SGD(model.parameters(), lr=0.1)

    def steps(count: int, **zero: bool) -> None:
        for _ in range(count):
            if zero:
                optimizer.zero_grad(**zero)
            model(tt.ones(1, 2)).sum().backward()
            optimizer.step()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        steps(3, set_to_none=True)
        steps(3, set_to_none=False)
        optimizer.zero_grad()
        model(tt.ones(1, 2)).sum().backward()  # gradients of two batches
        steps(1)
        optimizer.zero_grad()
        steps(1)
    with pytest.warns(RuntimeWarning, match="call zero_grad\\(\\) before each backward"):
        steps(1)
