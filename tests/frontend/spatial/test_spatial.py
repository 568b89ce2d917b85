"""Module 09 against PyTorch on random shapes: results and all gradients, eager and compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.tensor import Tensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:Using padding:UserWarning", "ignore:TF32:UserWarning")
TF = torch.nn.functional

BACKENDS = ["eager", "interpreter", "llvm"]
Rng = np.random.Generator
Arrays = list[np.ndarray]


@pytest.fixture(scope="module", autouse=True)
def plain_torch() -> Iterator[None]:
    """Small shapes are fastest in one thread, without kernels generated for each."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.backends.mkldnn.flags(enabled=False):
        yield
    torch.set_num_threads(threads)


@dataclass(frozen=True)
class Case:
    """A function of this name, here and in torch, on these arrays; the gradients are those of sum(result * seed)."""

    name: str
    arrays: Arrays
    options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.name}({[a.shape for a in self.arrays]}, {self.options})"


def ours(case: Case, tensors: Sequence[Tensor], seed: Tensor) -> list[Tensor]:
    """The result, then the gradient of each operand."""

    def loss(*operands: Tensor) -> tuple[Tensor, Tensor]:
        out = getattr(F, case.name)(*operands, **case.options)
        return (out * seed).sum(), out

    (_, out), grads = tt.value_and_grad(loss, tuple(range(len(tensors))), has_aux=True)(*tensors)
    return [out, *grads]


def theirs(case: Case, seed_of: Callable[[Any], np.ndarray]) -> tuple[Arrays, np.ndarray]:
    operands = [torch.tensor(a, requires_grad=True) for a in case.arrays]
    out = getattr(TF, case.name)(*operands, **case.options)
    seed = seed_of(tuple(out.shape))
    out.backward(torch.tensor(seed))
    return [x.detach().numpy() for x in (out, *(o.grad for o in operands))], seed


def run(cases: Sequence[Case], seeds: Sequence[np.ndarray], backend: str) -> list[Arrays]:
    """All cases; compiled, as one graph."""
    counts = [len(case.arrays) for case in cases]

    def together(*tensors: Tensor) -> list[list[Tensor]]:
        rest = iter(tensors)
        return [ours(c, list(itertools.islice(rest, n)), next(rest)) for c, n in zip(cases, counts, strict=True)]

    arguments = [Tensor(a) for case, seed in zip(cases, seeds, strict=True) for a in (*case.arrays, seed)]
    function = together if backend == "eager" else tt.compile(together, backend=backend)
    return [[t.numpy() for t in result] for result in function(*arguments)]


def close(found: np.ndarray, wanted: np.ndarray, what: object, units: float = 64) -> None:
    """Equal up to so many units of f32's precision at the size of the largest element."""
    assert found.shape == wanted.shape and found.dtype == wanted.dtype, what
    scale = np.abs(wanted).max(initial=1)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=units * 2**-23 * scale, err_msg=str(what))


def agree(cases: Sequence[Case], backend: str, rng: Rng) -> None:
    expected, seeds = zip(*(theirs(case, lambda shape: normal(rng, *shape)) for case in cases), strict=True)
    for case, found, wanted in zip(cases, run(cases, seeds, backend), expected, strict=True):
        for what, a, b in zip(("result", *range(len(found) - 1)), found, wanted, strict=True):
            close(a, b, (case, what))


def normal(rng: Rng, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


# Convolution.
def integers(rng: Rng, low: int, high: int, count: int) -> tuple[int, ...]:
    return tuple(int(v) for v in rng.integers(low, high + 1, count))


def convolution(rng: Rng) -> Case:
    """Any convolution: one or two axes, depthwise, groups, "same", a single image."""
    rank = int(rng.integers(1, 3))
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, out = groups * int(rng.integers(1, 4)), groups * int(rng.integers(1, 4))
    if rng.random() < 0.2:  # depthwise
        groups = channels
        out = channels * int(rng.integers(1, 3))
    kernel, stride, dilation, padding = (integers(rng, a, b, rank) for a, b in ((1, 4), (1, 3), (1, 2), (0, 3)))
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
    if rng.random() < 0.15:
        options.update(padding="same", stride=1)
    elif rng.random() < 0.1:
        options.update(padding="valid")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [span + int(rng.integers(0, 6)) for span in spans]
    batch = [] if rng.random() < 0.1 else [int(rng.integers(1, 4))]
    arrays = [normal(rng, *batch, channels, *size), normal(rng, out, channels // groups, *kernel)]
    if rng.random() < 0.6:
        arrays.append(normal(rng, out))
    return Case(f"conv{rank}d", arrays, options)


def transposed(rng: Rng) -> Case:
    rank = int(rng.integers(1, 3))
    groups = int(rng.choice([1, 1, 2, 3]))
    channels, out = groups * int(rng.integers(1, 4)), int(rng.integers(1, 4))
    kernel, stride, dilation = (integers(rng, 1, b, rank) for b in (4, 3, 2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(int(rng.integers(0, (span + 1) // 2)) for span in spans)
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    batch = [] if rng.random() < 0.1 else [int(rng.integers(1, 4))]
    arrays = [normal(rng, *batch, channels, *integers(rng, 1, 5, rank)), normal(rng, channels, out, *kernel)]
    if rng.random() < 0.6:
        arrays.append(normal(rng, out * groups))
    options = {
        "stride": stride, "padding": padding, "output_padding": extra, "groups": groups, "dilation": dilation,
    }  # fmt: skip
    return Case(f"conv_transpose{rank}d", arrays, options)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", range(12))
def test_convolutions_agree_with_torch(batch: int, backend: str) -> None:
    rng = np.random.default_rng([9, batch])
    agree([convolution(rng) for _ in range(20)], backend, rng)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", range(6))
def test_transposed_convolutions_agree_with_torch(batch: int, backend: str) -> None:
    rng = np.random.default_rng([10, batch])
    agree([transposed(rng) for _ in range(20)], backend, rng)


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolutions_of_networks_agree_with_torch(backend: str) -> None:
    """The shapes that networks have: wider channels, and many of them at once."""
    rng = np.random.default_rng(11)
    shapes: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
        ((4, 3, 17, 16), (32, 3, 3, 3), {"padding": 1}),
        ((2, 32, 8, 8), (64, 32, 3, 3), {"padding": 1}),
        ((2, 64, 5, 4), (130, 64, 1, 1), {}),
        ((1, 3, 29, 30), (48, 3, 7, 7), {"stride": 2, "padding": 3}),
        ((2, 40, 9, 9), (40, 1, 3, 3), {"groups": 40, "padding": 1}),
        ((2, 40, 9, 9), (40, 1, 3, 3), {"groups": 40, "padding": 1, "stride": 2}),
        ((2, 24, 9, 9), (36, 8, 3, 3), {"groups": 3}),
    ]
    agree([Case("conv2d", [normal(rng, *x), normal(rng, *w)], o) for x, w, o in shapes], backend, rng)


# Pools.
def pool(rng: Rng) -> Case:
    rank = int(rng.integers(1, 3))
    kind = str(rng.choice(["max", "avg", "adaptive_avg"]))
    kernel, stride, dilation = (integers(rng, 1, b, rank) for b in (4, 3, 2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [span + int(rng.integers(0, 7)) for span in spans]
    shape = [*([] if rng.random() < 0.1 else [int(rng.integers(1, 4))]), int(rng.integers(1, 6)), *size]
    x = (rng.permutation(int(np.prod(shape))).reshape(shape) / 16).astype(np.float32)
    if kind == "adaptive_avg":
        output = integers(rng, 1, 9, rank)
        wanted = output if rank == 1 or rng.random() < 0.8 else (None, output[1])
        return Case(f"adaptive_avg_pool{rank}d", [x], {"output_size": wanted})
    options: dict[str, Any] = {"kernel_size": kernel, "ceil_mode": bool(rng.random() < 0.4)}
    if rng.random() < 0.6:
        options["stride"] = stride
    options["padding"] = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    if kind == "max":
        return Case(f"max_pool{rank}d", [x], {**options, "dilation": dilation})
    options["count_include_pad"] = bool(rng.random() < 0.5)
    if rank == 2 and rng.random() < 0.2:
        options["divisor_override"] = int(rng.integers(1, 9))
    return Case(f"avg_pool{rank}d", [x], options)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch", range(5))
def test_pools_agree_with_torch(batch: int, backend: str) -> None:
    rng = np.random.default_rng([12, batch])
    agree([pool(rng) for _ in range(30)], backend, rng)


@pytest.mark.parametrize("backend", BACKENDS)
def test_positions_of_the_largest_agree_with_torch(backend: str) -> None:
    rng = np.random.default_rng(13)
    options: list[dict[str, Any]] = [
        {"kernel_size": 2}, {"kernel_size": (3, 2), "stride": (1, 2), "padding": 1},
        {"kernel_size": 3, "dilation": 2, "ceil_mode": True, "stride": 2, "padding": 1},
    ]  # fmt: skip
    x = rng.integers(-3, 4, (2, 3, 9, 8)).astype(np.float32)

    def all_of(x: Tensor) -> list[Any]:
        found: list[Any] = [F.max_pool2d(x, **o, return_indices=True) for o in options]
        return [*found, F.max_pool1d(x[0], 3, return_indices=True)]

    function = all_of if backend == "eager" else tt.compile(all_of, backend=backend)
    wanted = [TF.max_pool2d(torch.tensor(x), **o, return_indices=True) for o in options]
    wanted.append(TF.max_pool1d(torch.tensor(x[0]), 3, return_indices=True))
    for (a, index), (b, places) in zip(function(Tensor(x)), wanted, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        np.testing.assert_array_equal(index.numpy(), places.numpy())


# Normalisation.
NORMS: dict[str, tuple[Any, Any, tuple[int, ...]]] = {
    "2d": (tt.BatchNorm2d, torch.nn.BatchNorm2d, (4, 5, 3, 6)),
    "1d": (tt.BatchNorm1d, torch.nn.BatchNorm1d, (7, 5)),
    "1d, sequences": (tt.BatchNorm1d, torch.nn.BatchNorm1d, (3, 5, 4)),
}
NORM_OPTIONS: list[dict[str, Any]] = [
    {}, {"momentum": None}, {"momentum": 0.4, "eps": 0.1}, {"affine": False}, {"track_running_stats": False},
    {"momentum": 1.0},
]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("options", NORM_OPTIONS, ids=str)
@pytest.mark.parametrize("kind", NORMS)
def test_batch_norm_agrees_with_torch(kind: str, options: dict[str, Any], backend: str) -> None:
    make, make_theirs, shape = NORMS[kind]
    rng = np.random.default_rng(14)
    mine, other = make(5, **options), make_theirs(5, **options)
    if mine.affine:
        values = {"weight": normal(rng, 5), "bias": normal(rng, 5)}
        mine.load_state_dict(values, strict=False)
        other.load_state_dict({k: torch.tensor(v) for k, v in values.items()}, strict=False)

    def step(x: Tensor, seed: Tensor) -> Tensor:
        mine.zero_grad()
        out = mine(x)
        (out * seed).sum().backward()
        return out

    function = step if backend == "eager" else tt.compile(step, backend=backend)
    for training in (True, True, False, True, False):
        mine.train(training)
        other.train(training)
        x, seed = normal(rng, *shape) * 3 + 5, normal(rng, *shape)
        mine_x, other_x = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        other.zero_grad()
        wanted = other(other_x)
        wanted.backward(torch.tensor(seed))
        close(function(mine_x, Tensor(seed)).numpy(), wanted.detach().numpy(), "result", 256)
        close(mine_x.grad.numpy(), other_x.grad.numpy(), "x", 256)
        for name, parameter in other.named_parameters():
            close(getattr(mine, name).grad.numpy(), parameter.grad.numpy(), name, 256)
        assert list(mine.state_dict()) == list(other.state_dict())
        for name, buffer in other.named_buffers():
            close(mine.state_dict()[name].numpy(), buffer.numpy(), name, 64)


# Second derivatives.
@pytest.mark.parametrize("backend", BACKENDS)
def test_second_derivatives_agree_with_torch(backend: str) -> None:
    """The gradient of the squared norm of the gradient, through a network of every layer."""
    rng = np.random.default_rng(15)
    arrays = [normal(rng, *s) for s in ((2, 3, 8, 8), (6, 3, 3, 3), (6,), (6,), (6, 2, 3, 3), (4,))]

    def network(f: Any, x: Any, w: Any, scale: Any, shift: Any, v: Any, bias: Any) -> Any:
        h = f.conv2d(x, w, padding=1, stride=(1, 2))
        h = f.batch_norm(h, None, None, scale, shift, training=True)
        h = f.avg_pool2d(f.max_pool2d(f.silu(h), 2), 2, stride=1, padding=1)
        return f.conv_transpose2d(h, v, bias, stride=2, groups=2).tanh().sum()

    def penalty(*operands: Tensor) -> Tensor:
        grads = tt.grad(lambda *xs: network(F, *xs), tuple(range(6)))(*operands)
        return sum((g.square().sum() for g in grads), tt.tensor(0.0))

    operands = [torch.tensor(a, requires_grad=True) for a in arrays]
    first = torch.autograd.grad(network(TF, *operands), operands, create_graph=True)
    wanted = torch.autograd.grad(sum((g.square().sum() for g in first), torch.tensor(0.0)), operands)
    second = tt.grad(penalty, tuple(range(6)))
    function = second if backend == "eager" else tt.compile(second, backend=backend)
    for found, expected in zip(function(*map(Tensor, arrays)), wanted, strict=True):
        close(found.numpy(), expected.numpy(), backend, 2048)


# Modules.
MODULES: list[tuple[str, tuple[Any, ...], dict[str, Any], tuple[int, ...]]] = [
    ("Conv1d", (4, 6, 3), {"padding": 1, "groups": 2}, (2, 4, 9)),
    ("Conv2d", (4, 6, 3), {}, (2, 4, 7, 9)),
    ("Conv2d", (4, 4, (3, 2), (2, 1), (1, 0), (1, 2), 4, False), {}, (2, 4, 7, 9)),
    ("Conv2d", (4, 6, 3), {"padding": "same", "dilation": 2}, (2, 4, 7, 9)),
    ("ConvTranspose1d", (4, 6, 3, 2, 1, 1), {}, (2, 4, 5)),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1, 2, False, 2), {}, (2, 4, 5, 4)),
    ("MaxPool1d", (3, 2, 1), {}, (2, 4, 9)),
    ("MaxPool2d", (2,), {}, (2, 4, 7, 9)),
    ("MaxPool2d", (3, 2, 1, 1, False, True), {}, (2, 4, 8, 8)),
    ("AvgPool1d", (3,), {}, (2, 4, 9)),
    ("AvgPool2d", (3, 2, 1, True, False), {}, (2, 4, 8, 8)),
    ("AdaptiveAvgPool1d", (4,), {}, (2, 4, 9)),
    ("AdaptiveAvgPool2d", ((2, None),), {}, (2, 4, 8, 9)),
]


@pytest.mark.parametrize("name, args, options, shape", MODULES, ids=lambda v: v if isinstance(v, str) else "")
def test_modules_take_the_arguments_and_weights_of_torch(
    name: str, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    mine, other = getattr(tt, name)(*args, **options), getattr(torch.nn, name)(*args, **options)
    state = {key: value.numpy() for key, value in other.state_dict().items()}
    mine.load_state_dict(state)
    assert {k: v.shape for k, v in mine.state_dict().items()} == {k: v.shape for k, v in state.items()}
    x = normal(np.random.default_rng(16), *shape)
    close(mine(Tensor(x)).numpy(), other(torch.tensor(x)).detach().numpy(), name)


@pytest.mark.parametrize("name", ["Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"])
def test_weights_start_out_as_in_torch(name: str) -> None:
    """Uniform with the bound of PyTorch, in distribution: the largest come close to it, the variance is a third."""
    mine, other = (getattr(world, name)(8, 32, 9, groups=2) for world in (tt, torch.nn))
    for key, values in other.state_dict().items():
        found, wanted = mine.state_dict()[key].numpy(), values.numpy()
        bound = np.sqrt(1 / np.prod(other.weight.shape[1:]))
        assert np.abs(wanted).max() <= bound and 0.85 * bound < np.abs(found).max() <= bound * (1 + 1e-6)
        if found.size > 100:
            np.testing.assert_allclose(found.var(), bound**2 / 3, rtol=0.15)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["conv2d", "max_pool2d", "batch_norm", "grid_sample"])
def test_images_that_were_made_are_viewed_as_rows(name, compiled):
    """The line of every PyTorch network between pooling and its first linear layer: `x.view(x.size(0), -1)`."""
    functional = tt.nn.functional
    make = {
        "conv2d": lambda x: functional.conv2d(x, weight),
        "max_pool2d": lambda x: functional.max_pool2d(x, 2),
        "batch_norm": lambda x: functional.batch_norm(x, None, None, training=True),
        "grid_sample": lambda x: functional.grid_sample(x, grid, align_corners=False),
    }[name]
    rng = np.random.default_rng(0)
    weight, grid = (tt.Tensor(rng.uniform(-1, 1, shape).astype("f4")) for shape in ((5, 3, 3, 3), (2, 4, 4, 2)))
    given = rng.standard_normal((2, 3, 6, 6)).astype("f4")
    scale = tt.arange(make(tt.Tensor(given)).numel() // 2, dtype=tt.f32)
    results = []
    for flat in (lambda y: y.view(y.size(0), -1), lambda y: y.reshape(2, -1)):
        x = tt.Tensor(given, requires_grad=True)

        def run(x, flat=flat):
            return flat(make(x)) * scale

        (tt.compile(run) if compiled else run)(x).sum().backward()
        results.append(x.grad.numpy())
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)
    with pytest.raises(tt.ShapeError, match="reshape"):
        tt.Tensor(given).permute(0, 2, 3, 1).view(2, -1)
