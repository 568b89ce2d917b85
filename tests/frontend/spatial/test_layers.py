"""Module 09 against its definitions in plain loops, and as part of models: state, training, compiling."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.tensor import Tensor

BACKENDS = ["eager", "interpreter", "llvm"]
Array = np.ndarray
Pair = tuple[int, int]


def on(backend: str, function: Callable[..., Any]) -> Callable[..., Any]:
    return function if backend == "eager" else tt.compile(function, backend=backend)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def close(found: Tensor, wanted: Array, units: float = 64) -> None:
    assert found.shape == wanted.shape
    scale = np.abs(wanted).max(initial=1)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=0, atol=units * 2**-23 * scale)


# Convolution by its definition.
def naive_convolution(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    batch, _, height, width = x.shape
    out, per_group, kh, kw = w.shape
    rows = (height + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (width + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    result = np.zeros((batch, out, rows, columns))
    for n, o, y, x_ in itertools.product(range(batch), range(out), range(rows), range(columns)):
        first = o // (out // groups) * per_group
        for c, i, j in itertools.product(range(per_group), range(kh), range(kw)):
            row, column = y * stride[0] - padding[0] + i * dilation[0], x_ * stride[1] - padding[1] + j * dilation[1]
            if 0 <= row < height and 0 <= column < width:
                result[n, o, y, x_] += float(x[n, first + c, row, column]) * float(w[o, c, i, j])
    return result


VARIANTS: list[tuple[tuple[int, ...], tuple[int, ...], Pair, Pair, Pair, int]] = [
    ((2, 3, 5, 6), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 4, 7, 5), (6, 2, 2, 3), (2, 1), (0, 2), (1, 2), 2),
    ((2, 3, 6, 6), (6, 1, 3, 2), (1, 3), (2, 0), (2, 1), 3),
    ((1, 5, 4, 4), (2, 5, 1, 1), (1, 1), (0, 0), (1, 1), 1),
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_convolution_is_what_its_definition_says(backend: str) -> None:
    def all_of(*tensors: Tensor) -> list[Tensor]:
        pairs = zip(tensors[::2], tensors[1::2], VARIANTS, strict=True)
        return [F.conv2d(x, w, None, s, p, d, g) for x, w, (_, _, s, p, d, g) in pairs]

    arrays = [normal(i, *shape) for i, shape in enumerate(s for v in VARIANTS for s in v[:2])]
    for found, x, w, (_, _, *rest) in zip(
        on(backend, all_of)(*map(Tensor, arrays)), arrays[::2], arrays[1::2], VARIANTS, strict=True
    ):
        close(found, naive_convolution(x, w, *rest).astype(np.float32))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_transposed_convolution_is_the_transpose(variant: Any, backend: str) -> None:
    """<conv(x), y> = <x, conv_transpose(y)>, whatever x and y are."""
    shape, window, stride, padding, dilation, groups = variant
    x, w = normal(1, *shape), normal(2, *window)
    forward = naive_convolution(x, w, stride, padding, dilation, groups)
    y = normal(3, *forward.shape)
    left = [
        (size + 2 * p - d * (k - 1) - 1) % s
        for size, p, d, k, s in zip(shape[2:], padding, dilation, window[2:], stride, strict=True)
    ]
    back = on(backend, lambda y, w: F.conv_transpose2d(y, w, None, stride, padding, left, groups, dilation))
    found = back(Tensor(y), Tensor(w))
    assert found.shape == shape
    np.testing.assert_allclose((found.numpy().astype(np.float64) * x).sum(), (forward * y).sum(), rtol=1e-4)


def test_one_axis_is_two_axes_of_which_one_is_1() -> None:
    x, w, v = Tensor(normal(1, 2, 4, 9)), Tensor(normal(2, 6, 2, 3)), Tensor(normal(3, 4, 3, 3))
    pairs = [
        (F.conv1d(x, w, None, 2, 1, 2, 2), F.conv2d(x[:, :, None], w[:, :, None], None, (1, 2), (0, 1), (1, 2), 2)),
        (
            F.conv_transpose1d(x, v, None, 2, 1, 1),
            F.conv_transpose2d(x[:, :, None], v[:, :, None], None, (1, 2), (0, 1), (0, 1)),
        ),
        (F.max_pool1d(x, 3, 2, 1), F.max_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1))),
        (F.avg_pool1d(x, 3, 2, 1), F.avg_pool2d(x[:, :, None], (1, 3), (1, 2), (0, 1))),
        (F.adaptive_avg_pool1d(x, 4), F.adaptive_avg_pool2d(x[:, :, None], (1, 4))),
    ]
    for one, two in pairs:
        np.testing.assert_array_equal(one.numpy(), two.numpy()[:, :, 0])


def test_a_single_image_needs_no_batch() -> None:
    x, w = Tensor(normal(1, 1, 4, 8, 6)), Tensor(normal(2, 4, 2, 3, 3))
    functions: list[Callable[[Tensor], Any]] = [
        lambda x: F.conv2d(x, w, groups=2),
        lambda x: F.conv_transpose2d(x, w, groups=2),
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[1],
        lambda x: F.avg_pool2d(x, 3, 1, 1),
        lambda x: F.adaptive_avg_pool2d(x, (3, 2)),
        tt.GlobalAvgPool2d(),
    ]
    for function in functions:
        np.testing.assert_array_equal(function(x[0]).numpy(), function(x).numpy()[0])


@pytest.mark.parametrize("dtype", ["f64", "f16", "bf16"])
def test_other_floats(dtype: str) -> None:
    """Every layer keeps the dtype, and halves are close to what f32 gives."""
    arrays = [normal(i, *s) for i, s in enumerate(((2, 4, 8, 8), (6, 4, 3, 3), (6,), (6,), (6, 2, 3, 3)))]

    def network(x: Tensor, w: Tensor, b: Tensor, scale: Tensor, v: Tensor) -> Tensor:
        h = F.batch_norm(F.conv2d(x, w, b, padding=1), None, None, scale, b, training=True)
        h = F.adaptive_avg_pool2d(F.avg_pool2d(F.max_pool2d(h, 2), 3, 1, 1), (3, 4))
        return F.conv_transpose2d(h, v, stride=2)

    operands = [Tensor(a).cast(dtype) for a in arrays]
    found = network(*operands)
    assert found.dtype.name == dtype
    wide = network(*(o.cast("f32") for o in operands)).numpy()
    units = {"f64": 2.0**-17, "f16": 2.0**-7, "bf16": 2.0**-4}[dtype]
    np.testing.assert_allclose(found.cast("f32").numpy(), wide, rtol=0, atol=units * np.abs(wide).max())


# Pools by their definitions.
@pytest.mark.parametrize("backend", BACKENDS)
def test_pools_are_what_their_definitions_say(backend: str) -> None:
    x = np.random.default_rng(4).permutation(2 * 3 * 6 * 8).reshape(2, 3, 6, 8).astype(np.float32)
    windows = x.reshape(2, 3, 3, 2, 4, 2)

    def pools(x: Tensor) -> list[Tensor]:
        return [
            F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, (3, 4)), F.adaptive_avg_pool2d(x, 1),
            tt.GlobalAvgPool2d()(x), F.max_pool2d(x, (6, 8)), F.adaptive_avg_pool2d(x, (None, 1)),
            F.avg_pool2d(x, (4, 3), stride=1), F.avg_pool2d(x, 2, divisor_override=1),
        ]  # fmt: skip

    sliding = np.lib.stride_tricks.sliding_window_view(x, (4, 3), axis=(2, 3))
    means, whole = windows.mean((3, 5)), x.mean((2, 3))
    wanted = [
        windows.max((3, 5)), means, means, whole[:, :, None, None], whole, x.max((2, 3), keepdims=True),
        x.mean(3, keepdims=True), sliding.mean((4, 5)), windows.sum((3, 5)),
    ]  # fmt: skip
    for found, expected in zip(on(backend, pools)(Tensor(x)), wanted, strict=True):
        close(found, expected)


def test_positions_name_the_largest() -> None:
    x = normal(5, 2, 3, 7, 6)
    largest, where = F.max_pool2d(Tensor(x), 3, stride=2, padding=1, return_indices=True)
    assert where.dtype.name == "i64"
    flat = x.reshape(2, 3, -1)
    np.testing.assert_array_equal(
        np.take_along_axis(flat, where.numpy().reshape(2, 3, -1), 2), largest.numpy().reshape(2, 3, -1)
    )


def test_padding_is_never_the_largest() -> None:
    x = -np.ones((1, 1, 2, 2), np.float32)
    np.testing.assert_array_equal(F.max_pool2d(Tensor(x), 2, padding=1).numpy(), -np.ones((1, 1, 2, 2)))
    ints = F.max_pool2d(Tensor(np.full((1, 1, 2, 2), -7)), 2, padding=1)
    assert ints.dtype.name == "i64" and ints.numpy().max() == -7


def test_means_in_the_corner_count_the_padding_or_not() -> None:
    x = Tensor(np.ones((1, 1, 4, 4), np.float32))
    assert F.avg_pool2d(x, 3, stride=1, padding=1)[0, 0, 0, 0].item() == pytest.approx(4 / 9)
    assert F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False).numpy().tolist() == [[[[1.0] * 4] * 4]]


# Batch normalisation.
def test_batch_norm_normalises_and_keeps_running_statistics() -> None:
    norm, x = tt.BatchNorm2d(3, momentum=0.25), normal(6, 8, 3, 5, 4) * 4 + 7
    out = norm(Tensor(x)).numpy()
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(out.var((0, 2, 3)), 1, atol=1e-4)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), ddof=1)
    assert norm.running_mean is not None and norm.running_var is not None
    close(norm.running_mean, 0.25 * mean)
    close(norm.running_var, 0.75 + 0.25 * var)
    before = norm.running_mean.numpy().copy()
    norm.eval()
    shifted = (x - 0.25 * mean[:, None, None]) / np.sqrt(0.75 + 0.25 * var + 1e-5)[:, None, None]
    close(norm(Tensor(x)), shifted)
    np.testing.assert_array_equal(norm.running_mean.numpy(), before)


def test_without_momentum_the_statistics_are_means() -> None:
    norm = tt.BatchNorm1d(4, momentum=None)
    batches = [normal(i, 6, 4) for i in range(5)]
    for batch in batches:
        norm(Tensor(batch))
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    assert norm.num_batches_tracked.item() == 5
    close(norm.running_mean, np.mean([b.mean(0) for b in batches], 0))
    close(norm.running_var, np.mean([b.var(0, ddof=1) for b in batches], 0))
    norm.reset_running_stats()
    assert norm.running_mean.tolist() == [0.0] * 4 and norm.num_batches_tracked.item() == 0


def test_batch_norm_does_not_cancel_far_from_zero() -> None:
    """The mean of squares less the square of the mean would have no digit left here."""
    x = normal(7, 64, 2, 4, 4) + 4096
    out = tt.BatchNorm2d(2)(Tensor(x)).numpy()
    wide = x.astype(np.float64)
    wanted = (wide - wide.mean((0, 2, 3), keepdims=True)) / np.sqrt(wide.var((0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, wanted, atol=5e-3)


def test_running_statistics_are_state_of_a_compiled_model() -> None:
    """They move from call to call, and with momentum and mode as they are then."""
    shape = (4, 3, 5, 5)
    eager, compiled = tt.BatchNorm2d(3, momentum=None), tt.BatchNorm2d(3, momentum=None)
    function = tt.compile(compiled, backend="interpreter")
    for i, training in enumerate((True, True, False, True, False)):
        eager.train(training)
        compiled.train(training)
        x = normal(i, *shape)
        close(function(Tensor(x)), eager(Tensor(x)).numpy())
        for name, wanted in eager.state_dict().items():
            close(compiled.state_dict()[name], wanted.numpy())


@pytest.mark.parametrize("dtype", ["f32", "bf16"])
def test_batch_norm_takes_three_sums_there_and_two_back(dtype: str) -> None:
    """The mean, how far it was rounded, and the squares; the latter two in one pass."""
    norm = tt.BatchNorm2d(3, dtype=dtype)

    def step(x: Tensor) -> Any:
        out = norm(x)
        out.backward(out.detach() * 2)
        return out

    compiled = tt.compile(step, backend="interpreter")
    x = Tensor(normal(8, 4, 3, 5, 5)).cast(dtype).requires_grad_()
    compiled(x)
    sums = [n for n in compiled.graph.nodes if n.op.name == "sum"]
    assert len(sums) == 5 and x.grad is not None


def test_statistics_travel_through_files(tmp_path: Any) -> None:
    model = tt.Sequential(tt.Conv2d(2, 3, 3), tt.BatchNorm2d(3))
    model(Tensor(normal(9, 4, 2, 5, 5)))
    model.save(tmp_path / "model.safetensors")
    twin = tt.Sequential(tt.Conv2d(2, 3, 3), tt.BatchNorm2d(3))
    twin.load(tmp_path / "model.safetensors")
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name].numpy(), tensor.numpy())


# Weights and regularisation.
@pytest.mark.parametrize("initialization", ["default", "xavier", "he"])
def test_weights_have_the_variance_that_was_asked_for(initialization: str) -> None:
    layer = tt.Conv2d(32, 64, 3, groups=2, initialization=initialization, generator=Generator(1))
    fan_in, fan_out = 16 * 9, 64 * 9
    variance = {"default": 1 / (3 * fan_in), "xavier": 2 / (fan_in + fan_out), "he": 2 / fan_in}[initialization]
    np.testing.assert_allclose(layer.weight.numpy().var(), variance, rtol=0.05)
    assert layer.bias is not None and layer.bias.numpy().any() == (initialization == "default")
    again = tt.Conv2d(32, 64, 3, groups=2, initialization=initialization, generator=Generator(1))
    np.testing.assert_array_equal(layer.weight.numpy(), again.weight.numpy())


def test_modules_print_their_arguments() -> None:
    assert repr(tt.Conv2d(3, 8, 3, padding=1)) == "Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))"
    same = tt.Conv1d(4, 4, 5, padding="same", groups=4, bias=False)
    assert repr(same) == "Conv1d(4, 4, kernel_size=(5,), stride=(1,), padding=same, groups=4, bias=False)"
    transposed = tt.ConvTranspose2d(3, 8, 2, 2, output_padding=1, dilation=(1, 2))
    assert "output_padding=(1, 1)" in repr(transposed) and "dilation=(1, 2)" in repr(transposed)
    assert repr(tt.MaxPool2d(2)) == "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)"
    assert repr(tt.AdaptiveAvgPool2d((1, None))) == "AdaptiveAvgPool2d(output_size=(1, None))"
    assert repr(tt.BatchNorm1d(4)).startswith("BatchNorm1d(4, eps=1e-05, momentum=0.1")
    assert repr(tt.Dropout2d(0.3)) == "Dropout2d(p=0.3)"


@pytest.mark.parametrize("backend", ["eager", "interpreter"])
def test_dropout_of_channels(backend: str) -> None:
    layer = tt.Dropout2d(0.25, Generator(3))
    function = on(backend, layer)
    x = Tensor(np.ones((40, 50, 3, 2), np.float32))
    first = function(x).numpy()
    per_channel = first.reshape(40, 50, 6)
    assert (per_channel == per_channel[:, :, :1]).all() and set(np.unique(first)) == {0.0, np.float32(1 / 0.75)}
    assert abs((per_channel[:, :, 0] == 0).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 2000)
    assert (function(x).numpy() != first).any()
    layer.eval()
    np.testing.assert_array_equal(function(x).numpy(), x.numpy())


# Whole models.
def model() -> tt.Sequential:
    tt.manual_seed(2)
    return tt.Sequential(
        tt.Conv2d(3, 8, 3, padding=1, bias=False), tt.BatchNorm2d(8), tt.ReLU(), tt.MaxPool2d(2),
        tt.Conv2d(8, 8, 3, padding="same", groups=8), tt.Conv2d(8, 12, 1), tt.ReLU(), tt.AvgPool2d(2),
        tt.ConvTranspose2d(12, 6, 2, 2), tt.AdaptiveAvgPool2d(2), tt.Flatten(), tt.Linear(24, 4),
    )  # fmt: skip


def train(backend: str, steps: int) -> tuple[list[float], list[Array]]:
    net = model()
    optimizer, loss = tt.AdamW(net.parameters(), lr=0.01), tt.CrossEntropyLoss()
    x, y = Tensor(normal(10, 16, 3, 8, 8)), Tensor(np.arange(16) % 4)

    def step(x: Tensor, y: Tensor) -> Tensor:
        optimizer.zero_grad()
        value = loss(net(x), y)
        value.backward()
        optimizer.step()
        return value

    run = on(backend, step)
    losses = [run(x, y).item() for _ in range(steps)]
    return losses, [t.numpy() for t in net.state_dict().values()]


def test_a_network_learns_and_compiles_to_the_same_numbers() -> None:
    losses, state = train("eager", 40)
    assert losses[-1] < 0.25 * losses[0]
    expected, state = train("eager", 4)
    for backend in BACKENDS[1:]:
        found, others = train(backend, 4)
        np.testing.assert_allclose(found, expected, rtol=1e-4)
        for a, b in zip(others, state, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inference_in_any_batch_size(backend: str) -> None:
    net = model()
    net(Tensor(normal(11, 6, 3, 8, 8)))
    net.eval()
    function = on(backend, net)
    whole = net(Tensor(normal(12, 5, 3, 8, 8))).numpy()
    for size in (5, 1, 3):
        with tt.no_grad():
            close(function(Tensor(normal(12, 5, 3, 8, 8)[:size])), whole[:size])


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_frozen_models_have_no_normalisation_left(backend: str) -> None:
    net = tt.Sequential(tt.Conv2d(3, 8, 3), tt.BatchNorm2d(8), tt.ReLU(), tt.GlobalAvgPool2d())
    for i in range(3):
        net(Tensor(normal(i, 6, 3, 8, 8) * 2 + 1))
    net.eval()
    x = Tensor(normal(13, 4, 3, 8, 8))
    with tt.no_grad():
        wanted = net(x).numpy()
        frozen = tt.compile(net, backend=backend, freeze=True)
        close(frozen(x), wanted)
    bodies = [n.attrs["body"].nodes if n.op.name == "kernel" else [n] for n in frozen.graph.nodes]
    assert "rsqrt" not in {n.op.name for body in bodies for n in body}


@pytest.mark.parametrize(
    ("settings", "width", "dilation", "mode"),
    [
        ({"kernel_size": 4, "padding": "same"}, (1, 2), 1, "constant"),  # of an odd number, the larger half after
        ({"kernel_size": 3, "padding": "same", "dilation": 2}, (2, 2), 2, "constant"),
        ({"kernel_size": 3, "padding": 2, "padding_mode": "reflect"}, (2, 2), 1, "reflect"),
        ({"kernel_size": 3, "padding": 1, "padding_mode": "circular"}, (1, 1), 1, "wrap"),
    ],
)
def test_layers_put_around_an_image_what_their_padding_says(settings, width, dilation, mode):
    layer = tt.Conv2d(2, 3, bias=False, **settings)
    x = normal(0, 1, 2, 6, 7)
    around = np.pad(x, [(0, 0), (0, 0), width, width], mode=mode)
    wanted = naive_convolution(around, layer.weight.numpy(), (1, 1), (0, 0), (dilation, dilation), 1)
    close(layer(Tensor(x)).detach(), wanted)
