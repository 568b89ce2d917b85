"""Padding, other sizes, pooling, windows written out: by their definitions in numpy, and against PyTorch where it is
installed; results and gradients, eager and compiled."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
import tinytorch.nn.functional as F
from tinytorch.ir.errors import TinyTorchError

Array = np.ndarray
X = np.random.default_rng(0).normal(size=(2, 4, 5, 6)).astype(np.float32)
LINE, VOLUME = X[:, :, 0], np.random.default_rng(1).normal(size=(2, 2, 4, 5, 3)).astype(np.float32)
BLOCKS = VOLUME[:, :, :, :4, :2].reshape(2, 2, 2, 2, 2, 2, 1, 2)
STEPS = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)


def both(function: Callable[..., Any], *arrays: Array) -> list[Any]:
    """What it gives eagerly and compiled."""
    tensors = [tt.Tensor(a) for a in arrays]
    return [function(*tensors), tt.compile(function)(*tensors)]


def columns(x: Array, kernel: int, stride: int, padding: int, dilation: int) -> Array:
    """Windows written out, one by one."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    span = dilation * (kernel - 1) + 1
    places = [range(0, n - span + 1, stride) for n in x.shape[2:]]
    cut = [x[:, :, y : y + span : dilation, z : z + span : dilation] for y, z in itertools.product(*places)]
    return np.stack([window.reshape(len(x), -1) for window in cut], axis=-1)


def bins(x: Array, axis: int, outputs: int, reduce: Callable[..., Array]) -> Array:
    size = x.shape[axis]
    windows = [range(i * size // outputs, -(-(i + 1) * size // outputs)) for i in range(outputs)]
    return np.stack([reduce(np.take(x, window, axis), axis=axis) for window in windows], axis)


def adaptive(x: Array, outputs: tuple[int, ...], reduce: Callable[..., Array]) -> Array:
    for i, n in enumerate(reversed(outputs)):
        x = bins(x, -1 - i, n, reduce)
    return x


def moved(array: Array, *pairs: tuple[int, int], mode: Any) -> Array:
    return np.pad(array, [(0, 0)] * (array.ndim - len(pairs)) + list(pairs), mode=mode)


VALUES: dict[str, tuple[Callable[[Any], Any], Array, Array]] = {
    "reflect": (lambda x: F.pad(x, (1, 2, 3, 0), "reflect"), X, moved(X, (3, 0), (1, 2), mode="reflect")),
    "replicate": (lambda x: F.pad(x, (9, 2), mode="replicate"), LINE, moved(LINE, (9, 2), mode="edge")),
    "circular": (
        lambda x: F.pad(x, (3, 0, 1, 5, 4, 2), "circular"), VOLUME, moved(VOLUME, (4, 2), (1, 5), (3, 0), mode="wrap")
    ),
    "crop": (
        lambda x: F.pad(x, (-1, 2, 1, -2), value=7), X,
        np.pad(X[:, :, :3, 1:], [(0, 0)] * 2 + [(1, 0), (0, 2)], constant_values=7),
    ),
    "crop and reflect": (lambda x: F.pad(x, (-2, 1), "reflect"), LINE, moved(LINE, (0, 1), mode="reflect")[..., 2:]),
    "mask": (lambda x: F.pad(x, (1, 0), value=True), np.array([[False, True]]), np.array([[True, False, True]])),
    "pad module": (tt.nn.ReflectionPad2d(2), X, moved(X, (2, 2), (2, 2), mode="reflect")),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), X, X.repeat(2, 2).repeat(2, 3)),
    "nearest of bytes": (
        lambda x: F.interpolate(x, (2, 9)), np.arange(12, dtype=np.uint8).reshape(1, 1, 4, 3),
        np.arange(12, dtype=np.uint8).reshape(1, 1, 4, 3)[:, :, ::2].repeat(3, 3),
    ),
    "bilinear": (
        lambda x: F.interpolate(x, 7, mode="bilinear", align_corners=True), STEPS,
        np.add.outer(np.arange(7) * 2, np.arange(7) / 2)[None, None].astype("f4"),
    ),
    "linear": (
        lambda x: F.interpolate(x, scale_factor=2, mode="linear"), np.float32([[[0, 4, np.inf]]]),
        np.float32([[[0, 1, 3, np.inf, np.inf, np.inf]]]),
    ),
    "area": (lambda x: F.interpolate(x, (2, 4), mode="area"), X, adaptive(X, (2, 4), np.mean)),
    "adaptive means": (lambda x: F.adaptive_avg_pool3d(x, (3, 2, 3)), VOLUME, adaptive(VOLUME, (3, 2, 3), np.mean)),
    "adaptive largest": (lambda x: F.adaptive_max_pool2d(x, (3, 7)), X, adaptive(X, (3, 7), np.max)),
    "where these are": (
        lambda x: F.adaptive_max_pool2d(x, 3, True)[1], STEPS,
        np.array([[5, 6, 7], [9, 10, 11], [13, 14, 15]])[None, None],
    ),
    "where NaN is": (
        lambda x: F.adaptive_max_pool1d(x, 2, True)[1], np.float32([[np.nan, 1, np.nan]]), np.array([[0, 2]])
    ),
    "volumes": (lambda x: F.max_pool3d(x, 2), VOLUME, BLOCKS.max((3, 5, 7))),
    "where in volumes": (
        lambda x: F.max_pool3d(x, (2, 2, 1), return_indices=True)[1], np.zeros((1, 2, 4, 3), np.float32),
        np.array([[[0, 1, 2], [6, 7, 8]]])[None],
    ),
    "mean of volumes": (lambda x: F.avg_pool3d(x, 2), VOLUME, BLOCKS.mean((3, 5, 7))),
    "unfold": (lambda x: F.unfold(x, 3, 2, 1, 2), X, columns(X, 3, 2, 1, 2)),
    "unfold patches": (lambda x: F.unfold(x, 2, stride=2), STEPS, columns(STEPS, 2, 2, 0, 1)),
    "fold": (
        lambda x: F.fold(F.unfold(x, 2), 4, 2), np.ones_like(STEPS),
        np.outer([1, 2, 2, 1], [1, 2, 2, 1])[None, None].astype("f4"),
    ),
    "fold patches": (lambda x: F.fold(F.unfold(x, 2, stride=2), 4, 2, stride=2), STEPS, STEPS),
    "pixels": (
        lambda x: F.pixel_shuffle(x, 2), np.arange(8, dtype=np.float32).reshape(4, 1, 2),
        np.float32([[[0, 2, 1, 3], [4, 6, 5, 7]]]),
    ),
    "pixels and back": (lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), X, X),
    "channels": (lambda x: F.channel_shuffle(x, 2), X, X[:, [0, 2, 1, 3]]),
}  # fmt: skip


@pytest.mark.parametrize("case", VALUES)
def test_values(case: str) -> None:
    function, array, wanted = VALUES[case]
    for found in both(function, array):
        assert found.shape == wanted.shape and found.numpy().dtype == wanted.dtype
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)


# (name, shape, arguments): with PyTorch's result and gradient.
CASES: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
    ("pad", (2, 3, 4), {"pad": (2, 3), "mode": "reflect"}),
    ("pad", (2, 3, 4, 5), {"pad": (2, -1, -2, 1), "mode": "circular"}),
    ("pad", (1, 2, 3, 4, 5), {"pad": (2, 0, 1, 3, -1, 1), "mode": "replicate"}),
    ("interpolate", (2, 3, 5), {"size": 8, "mode": "nearest-exact"}),
    ("interpolate", (2, 3, 5), {"scale_factor": 1.7, "mode": "linear", "recompute_scale_factor": True}),
    ("interpolate", (1, 2, 4, 6), {"scale_factor": (0.6, 2.3), "mode": "bilinear"}),
    ("interpolate", (1, 2, 4, 6), {"size": (7, 3), "mode": "bicubic"}),
    ("interpolate", (1, 2, 4, 6), {"size": (1, 9), "mode": "bicubic", "align_corners": True}),
    ("interpolate", (1, 2, 3, 4, 5), {"scale_factor": 1.5, "mode": "trilinear"}),
    ("interpolate", (1, 2, 3, 4, 5), {"size": (2, 4, 7), "mode": "area"}),
    ("upsample_bilinear", (1, 2, 3, 4), {"scale_factor": 2}),
    ("adaptive_max_pool2d", (2, 3, 7, 5), {"output_size": (3, None)}),
    ("adaptive_max_pool3d", (3, 4, 6, 5), {"output_size": (2, 3, 4)}),
    ("adaptive_avg_pool3d", (2, 3, 4, 6, 5), {"output_size": (None, 4, 2)}),
    ("max_pool3d", (1, 2, 5, 6, 7), {"kernel_size": (3, 2, 3), "stride": 2, "padding": 1, "ceil_mode": True}),
    ("max_pool3d", (2, 5, 6, 7), {"kernel_size": 2, "stride": 1, "dilation": (2, 1, 3)}),
    ("avg_pool3d", (2, 3, 5, 6, 7), {"kernel_size": 3, "stride": (2, 1, 3), "padding": 1, "count_include_pad": False}),
    ("avg_pool3d", (3, 5, 6, 7), {"kernel_size": 2, "ceil_mode": True, "divisor_override": -3}),
    ("avg_pool2d", (3, 5, 6), {"kernel_size": (2,), "stride": (), "padding": (1,)}),
    ("unfold", (2, 3, 6, 7), {"kernel_size": (2, 3), "dilation": (2, 1), "padding": 1, "stride": (1, 2)}),
    ("fold", (2, 12, 16), {"output_size": (5, 6), "kernel_size": (2, 3), "dilation": (1, 2), "padding": (0, 1)}),
    ("fold", (8, 6), {"output_size": (4, 6), "kernel_size": 2, "stride": 2}),
    ("pixel_shuffle", (2, 18, 2, 3), {"upscale_factor": 3}),
    ("channel_shuffle", (2, 6, 2, 3), {"groups": 3}),
]


POINTS = np.random.default_rng(6).uniform(-1.5, 1.5, size=(2, 3, 4, 2)).astype(np.float32)
SAMPLES: list[tuple[Array, Array, dict[str, Any]]] = [
    (X, POINTS, {"align_corners": False}),
    (X, POINTS, {"padding_mode": "border", "align_corners": True}),
    (X, POINTS, {"padding_mode": "reflection", "align_corners": False}),
    (X, POINTS, {"mode": "bicubic", "padding_mode": "reflection", "align_corners": True}),
    (X, POINTS, {"mode": "nearest", "padding_mode": "border", "align_corners": False}),
    (VOLUME, POINTS.reshape(2, 2, 2, 2, 3), {"padding_mode": "zeros", "align_corners": False}),
    (VOLUME, POINTS.reshape(2, 1, 8, 1, 3), {"mode": "nearest", "padding_mode": "reflection", "align_corners": True}),
]


@pytest.mark.parametrize("case", SAMPLES, ids=lambda case: f"{case[0].ndim} axes {case[2]}")
def test_values_at_points_are_those_of_pytorch(case: Any) -> None:
    torch = pytest.importorskip("torch")
    x, grid, options = case
    others = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
    wanted = torch.nn.functional.grid_sample(*others, **options)
    seed = np.random.default_rng(3).normal(size=tuple(wanted.shape)).astype(np.float32)
    wanted.backward(torch.tensor(seed))

    def run(x: Any, grid: Any, seed: Any) -> Any:
        def loss(x: Any, grid: Any) -> Any:
            out = F.grid_sample(x, grid, **options)
            return (out * seed).sum(), out

        return tt.value_and_grad(loss, (0, 1), has_aux=True)(x, grid)

    points = tt.Tensor(grid, requires_grad=True)
    F.grid_sample(tt.Tensor(x), points, **options).sum().backward()
    assert points.grad is not None  # zeros of the nearest pixel
    for (_, out), grads in both(run, x, grid, seed):
        np.testing.assert_allclose(out.numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-5)
        for mine, other in zip(grads, others, strict=True):
            np.testing.assert_allclose(mine.numpy(), other.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_values_at_points() -> None:
    """The map that changes nothing, one that mirrors, and what lies outside."""
    same = tt.Tensor([[[1.0, 0, 0], [0, 1, 0]]])
    mirrored = tt.Tensor([[[-1.0, 0, 0], [0, 1, 0]]])
    for corners in (False, True):
        for map_, wanted in ((same, STEPS), (mirrored, STEPS[..., ::-1])):
            grid = F.affine_grid(map_, STEPS.shape, corners)
            found = F.grid_sample(tt.Tensor(STEPS), grid, align_corners=corners)
            np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    far = tt.Tensor([[[[-9.0, -9.0], [9.0, float("nan")]]]])
    assert F.grid_sample(tt.Tensor(STEPS), far).tolist() == [[[[0.0, 0.0]]]]
    assert F.grid_sample(tt.Tensor(STEPS), far, "nearest", "border").tolist() == [[[[0.0, 3.0]]]]


def test_what_was_pooled_goes_back() -> None:
    for pool, unpool, array in (
        (F.max_pool1d, F.max_unpool1d, LINE), (F.max_pool2d, F.max_unpool2d, X), (F.max_pool3d, F.max_unpool3d, VOLUME)
    ):  # fmt: skip

        def there_and_back(x: Any, pool: Any = pool, unpool: Any = unpool, size: Any = array.shape) -> Any:
            return unpool(*pool(x, 2, return_indices=True), 2, output_size=size)

        largest = pool(tt.Tensor(array), 2).numpy()
        for found in both(there_and_back, array):
            back = found.numpy()
            assert back.shape == array.shape and ((back == 0) | (back == array)).all()
            np.testing.assert_array_equal(np.sort(back[back != 0]), np.sort(largest.reshape(-1)))
        grad = tt.grad(lambda x, f=there_and_back: f(x).sum())(tt.Tensor(array)).numpy()
        np.testing.assert_array_equal(grad, back != 0)
    with pytest.raises(TinyTorchError, match="indices is i64"):
        F.max_unpool2d(tt.Tensor(X), tt.Tensor(X), 2)
    with pytest.raises(IndexError, match="out of range"):
        F.max_unpool2d(tt.Tensor(X), tt.zeros(*X.shape, dtype="i64") + 10**6, 2)
    with pytest.raises(TinyTorchError, match="output_size is between 8 and 12 along the height, got 4"):
        F.max_unpool2d(tt.Tensor(X), tt.zeros(*X.shape, dtype="i64"), 2, output_size=(4, 12))


def test_norms_of_windows() -> None:
    sizes = np.sqrt((X[:, :, :4].reshape(2, 4, 2, 2, 3, 2) ** 2).sum((3, 5)))
    for found in both(tt.nn.LPPool2d(2, 2), X):
        np.testing.assert_allclose(found.numpy(), sizes, rtol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.filterwarnings("ignore:.*deprecated:UserWarning")
def test_results_and_gradients_are_those_of_pytorch(case: Any) -> None:
    torch = pytest.importorskip("torch")
    name, shape, options = case
    x = np.random.default_rng(2).normal(size=shape).astype(np.float32)
    other = torch.tensor(x, requires_grad=True)
    wanted = getattr(torch.nn.functional, name)(other, **options)
    seed = np.random.default_rng(3).normal(size=tuple(wanted.shape)).astype(np.float32)
    wanted.backward(torch.tensor(seed))

    def run(x: Any, seed: Any) -> Any:
        def loss(x: Any) -> Any:
            out = getattr(F, name)(x, **options)
            return (out * seed).sum(), out

        return tt.value_and_grad(loss, has_aux=True)(x)

    for (_, out), grad in both(run, x, seed):
        np.testing.assert_allclose(out.numpy(), wanted.detach().numpy(), rtol=1e-5, atol=2e-6)
        np.testing.assert_allclose(grad.numpy(), other.grad.numpy(), rtol=1e-5, atol=1e-5)


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "mode of pad": (lambda x: F.pad(x, (1, 1), "mirror"), 'mode is "constant", "reflect"'),
    "value of a mode": (lambda x: F.pad(x, (1, 1, 1, 1), "reflect", 3.0), 'value belongs to the mode "constant"'),
    "no amounts": (lambda x: F.pad(x, 1), r"pad is \(before, after\)"),
    "far mirror": (lambda x: F.pad(x, (6, 0, 0, 0), "reflect"), r"at most 5 to axis 3 of f32\[2,4,5,6\], got 6"),
    "twice around": (lambda x: F.pad(x, (0, 7, 0, 0), "circular"), "at most 6 to axis 3"),
    "axes of a mode": (lambda x: F.pad(x, (1, 1), "replicate"), "got 2 amounts for"),
    "all cut off": (lambda x: F.pad(x, (-4, -4)), "cut more off than axis 3"),
    "nothing left": (lambda x: F.pad(x, (-4, -2, 0, 0), "reflect"), "leave nothing of axis 3"),
    "mode of a size": (lambda x: F.interpolate(x, 3, mode="linear"), "bilinear, bicubic, area for 2 spatial axes"),
    "no size": (lambda x: F.interpolate(x), "either size or scale_factor"),
    "size twice": (lambda x: F.interpolate(x, 3, 2.0), "either size or scale_factor"),
    "sizes": (lambda x: F.interpolate(x, (3, 3, 3)), "size is one number or one for each of height, width"),
    "size of 0": (lambda x: F.interpolate(x, (3, 0)), "size is a positive integer, got 0"),
    "factor of 0": (lambda x: F.interpolate(x, scale_factor=0.0), "scale_factor is a positive number"),
    "too small": (lambda x: F.interpolate(x, scale_factor=0.1), "leaves nothing"),
    "corners": (lambda x: F.interpolate(x, 3, align_corners=False), "align_corners belongs to"),
    "antialias": (lambda x: F.interpolate(x, 3, mode="bilinear", antialias=True), "antialias=True is not supported"),
    "integers": (lambda x: F.interpolate(x.cast("i32"), 3, mode="bilinear"), "needs a float dtype"),
    "a matrix": (lambda x: F.interpolate(x[0, 0], 3), "one to three spatial axes"),
    "outputs": (lambda x: F.adaptive_max_pool2d(x, (3, 3, 3)), "output_size is one integer or one for each"),
    "no outputs": (lambda x: F.adaptive_max_pool2d(x, 0), "output_size is a positive integer"),
    "divisor": (lambda x: F.avg_pool2d(x, 2, divisor_override=0), "integer other than 0"),
    "wide window": (lambda x: F.unfold(x, 6), "a window spans 6"),
    "columns": (lambda x: F.fold(x[0], 5, 2), "no multiple of 4 per window"),
    "number of columns": (lambda x: F.fold(x[0, :, :4], 4, 2), r"is 6, but output_size \(4, 4\) has 3 \* 3 windows"),
    "channels": (lambda x: F.pixel_shuffle(x, 3), "no multiple of 3"),
    "pixels": (lambda x: F.pixel_unshuffle(x, 2), "no multiples of 2"),
    "groups": (lambda x: F.channel_shuffle(x, 3), "3 groups do not divide"),
    "padding of a module": (lambda x: tt.nn.ZeroPad2d((1, 2, 3)), "padding is one integer or 4 of them"),
}


def test_convolutions_of_volumes() -> None:
    """A convolution by its definition; its transpose goes back: <conv(x), y> = <x, conv_transpose(y)>."""
    weight = np.random.default_rng(4).normal(size=(4, 1, 2, 3, 2)).astype(np.float32)
    options: dict[str, Any] = {"stride": (2, 1, 1), "padding": (1, 0, 2), "dilation": (1, 2, 1), "groups": 2}
    x = np.pad(VOLUME, ((0, 0), (0, 0), (1, 1), (0, 0), (2, 2)))
    wanted = np.zeros((2, 4, 3, 1, 6), np.float32)
    for o, place in itertools.product(range(4), np.ndindex(3, 1, 6)):
        a, b, c = place[0] * 2, place[1], place[2]
        wanted[:, o, *place] = (x[:, o // 2, a : a + 2, b : b + 5 : 2, c : c + 2] * weight[o, 0]).sum((1, 2, 3))
    for found in both(lambda x, w: F.conv3d(x, w, **options), VOLUME, weight):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-5)
    seed = np.random.default_rng(5).normal(size=wanted.shape).astype(np.float32)
    for back in both(lambda y, w: F.conv_transpose3d(y, w, **options), seed, weight):
        assert back.shape == (2, 2, 4, 5, 3)
        np.testing.assert_allclose((back.numpy() * VOLUME).sum(), (wanted * seed).sum(), rtol=1e-4)
    grad = tt.grad(lambda x: (F.conv3d(x, tt.Tensor(weight), **options) * tt.Tensor(seed)).sum())(tt.Tensor(VOLUME))
    np.testing.assert_allclose(grad.numpy(), back.numpy(), rtol=1e-4, atol=1e-5)


def test_padding_modes_of_convolutions() -> None:
    x = tt.Tensor(X)
    for mode in ("reflect", "replicate", "circular"):
        layer = tt.nn.Conv2d(4, 3, (2, 3), padding="same", padding_mode=mode)
        wanted = F.conv2d(F.pad(x, (1, 1, 0, 1), mode), layer.weight, layer.bias)
        np.testing.assert_array_equal(layer(x).detach().numpy(), wanted.detach().numpy())
        assert repr(layer).endswith(f"padding=same, padding_mode={mode})")
    back = tt.nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1)
    assert back(x, output_size=(10, 11)).shape == (2, 2, 10, 11)
    with pytest.raises(TinyTorchError, match="at least 9 and less than 11 along the height, got 12"):
        back(x, output_size=(12, 11))
    with pytest.raises(TinyTorchError, match='padding_mode is "zeros"'):
        tt.nn.Conv1d(2, 2, 3, padding_mode="mirror")


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(case: str) -> None:
    function, message = REFUSED[case]
    with pytest.raises(TinyTorchError, match=message) as error:
        function(tt.Tensor(X))
    assert "test_images.py:" in str(error.value)


def test_modules_are_their_functions() -> None:
    pairs = {
        tt.nn.Upsample(scale_factor=2, mode="bilinear"): lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        tt.nn.UpsamplingNearest2d(7): lambda x: F.interpolate(x, 7),
        tt.nn.UpsamplingBilinear2d((3, 4)): lambda x: F.upsample_bilinear(x, (3, 4)),
        tt.nn.Unfold(2, padding=1): lambda x: F.unfold(x, 2, padding=1),
        tt.nn.PixelShuffle(2): lambda x: F.pixel_shuffle(x, 2),
        tt.nn.ChannelShuffle(2): lambda x: F.channel_shuffle(x, 2),
        tt.nn.AdaptiveMaxPool2d((2, 3)): lambda x: F.adaptive_max_pool2d(x, (2, 3)),
        tt.nn.ConstantPad2d((1, 0, 2, -1), 3.5): lambda x: F.pad(x, (1, 0, 2, -1), value=3.5),
        tt.nn.ReplicationPad2d(1): lambda x: F.pad(x, (1, 1, 1, 1), "replicate"),
        tt.nn.CircularPad2d((1, 2, 0, 1)): lambda x: F.pad(x, (1, 2, 0, 1), "circular"),
    }
    for module, function in pairs.items():
        np.testing.assert_array_equal(module(tt.Tensor(X)).numpy(), function(tt.Tensor(X)).numpy())
    assert repr(tt.nn.Upsample(scale_factor=2)) == "Upsample(scale_factor=2, mode='nearest')"
    assert repr(tt.nn.ReflectionPad2d(1)) == "ReflectionPad2d((1, 1, 1, 1))"
