"""Module 09: input that does not fit is refused with the axis, the numbers and the user's line, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinytorch as tt
from tinytorch.frontend import functional as F
from tinytorch.frontend.arguments import ArgumentTypeError
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError, TinyTorchError

HERE = "test_errors.py:"


def t(*shape: int, dtype: str = "f32") -> Tensor:
    return tt.zeros(*shape, dtype=dtype)


IMAGES, SEQUENCES = (2, 6, 5, 7), (2, 6, 9)

CASES: dict[str, tuple[Callable[[], Any], str]] = {
    # Sizes.
    "kernel": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 6, 3)),
        r"conv2d: a window spans 6 \(kernel 6, dilation 1\), but axis 2 \(height\) of input f32\[2,6,5,7\] has 5, "
        r"padded by 0 and 0",
    ),
    "kernel in the padding": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 6), padding=(0, 1), dilation=2),
        r"spans 11 \(kernel 6, dilation 2\), but axis 3 \(width\) .* has 7, padded by 1 and 1",
    ),
    "kernel of a single image": (lambda: F.conv2d(t(6, 5, 7), t(4, 6, 6, 3)), r"axis 1 \(height\) of input f32\[6,5"),
    "kernel along a length": (lambda: F.conv1d(t(*SEQUENCES), t(4, 6, 10)), r"conv1d: .*axis 2 \(length\).* has 9"),
    "kernel of a pool": (lambda: F.max_pool2d(t(*IMAGES), 6), r"max_pool2d: a window spans 6 .*axis 2 \(height\).* 5"),
    "kernel of a mean": (lambda: F.avg_pool1d(t(*SEQUENCES), 10), r"avg_pool1d: .*axis 2 \(length\)"),
    "nothing left": (
        lambda: F.conv_transpose2d(t(*IMAGES), t(6, 4, 3, 3), padding=(4, 0)),
        r"conv_transpose2d: padding 4 leaves -1 elements of axis 2 \(height\) of input f32\[2,6,5,7\], whose 5 windows "
        r"span 7",
    ),
    # Channels.
    "channels": (
        lambda: F.conv2d(t(*IMAGES), t(4, 3, 3, 3)),
        r"axis 1 \(channels\) of input f32\[2,6,5,7\] is 6, but weight f32\[4,3,3,3\] takes 3 channels \(groups=1\)",
    ),
    "channels in groups": (
        lambda: F.conv2d(t(*IMAGES), t(4, 2, 3, 3), groups=4),
        r"axis 1 \(channels\) of input f32\[2,6,5,7\] is 6, which 4 groups do not divide",
    ),
    "out channels in groups": (
        lambda: F.conv2d(t(*IMAGES), t(4, 2, 3, 3), groups=3),
        r"axis 0 \(out channels\) of weight f32\[4,2,3,3\] is 4, which 3 groups do not divide",
    ),
    "channels of a transpose": (
        lambda: F.conv_transpose1d(t(*SEQUENCES), t(5, 4, 3)),
        r"axis 1 \(channels\) of input f32\[2,6,9\] is 6, but weight f32\[5,4,3\] takes 5 channels",
    ),
    "no groups": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), groups=0), "groups is a positive integer, got 0"),
    # Empty axes and ranks.
    "no channels": (lambda: F.conv2d(t(2, 0, 5, 7), t(4, 6, 3, 3)), r"axis 1 \(channels\) of input .* is empty"),
    "no channels of one image": (lambda: F.max_pool2d(t(0, 5, 7), 2), r"axis 0 \(channels\) of input .* is empty"),
    "no channels to normalise": (
        lambda: F.batch_norm(t(3, 0), None, None, training=True), r"batch_norm: axis 1 \(channels\) of input .* empty"
    ),
    "height of an empty batch": (lambda: F.avg_pool2d(t(0, 6, 0, 7), 1), r"axis 2 \(height\) .* is empty"),
    "kernel of an empty batch": (lambda: F.conv2d(t(0, 6, 5, 7), t(4, 6, 6, 3)), r"axis 2 \(height\) .* has 5"),
    "width": (lambda: F.avg_pool2d(t(2, 6, 5, 0), 1), r"axis 3 \(width\) of input f32\[2,6,5,0\] is empty"),
    "rank": (lambda: F.conv2d(t(5, 7), t(4, 6, 3, 3)), r"input is \[batch, channels, height, width\].*got f32\[5,7\]"),
    "rank of a sequence": (lambda: F.conv1d(t(*IMAGES), t(4, 6, 3)), r"conv1d: input is \[batch, channels, length\]"),
    "rank of a pool": (lambda: F.max_pool2d(t(5, 7), 2), r"max_pool2d: input is \[batch, channels, height, width\]"),
    "rank to normalise": (lambda: F.batch_norm(t(6), None, None, training=True), r"input is \[batch, channels, \.\.\."),
    "rank of weights": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 3)),
        r"weight is \[out_channels, in_channels / groups, height, width\].*got f32\[4,6,3\]",
    ),
    "empty weights": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 0, 3)), r"no axis empty, got f32\[4,6,0,3\]"),
    "bias": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), t(3)), r"bias is f32\[4\], one for each channel, got f32\[3\]"
    ),
    "bias of a transpose": (lambda: F.conv_transpose2d(t(*IMAGES), t(6, 2, 3, 3), t(2), groups=2), r"bias is f32\[4\]"),
    # Numbers.
    "padding": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), padding=(1, -1)), r"least 0, got \(1, -1\) \(width\)"),
    "index of a window in the padding": (
        lambda: F.max_pool2d(t(1, 1, 6, 1), (3, 2), padding=1, dilation=(1, 2), return_indices=True),
        r"a window has no element of axis 3 \(width\)",
    ),
    "padding of a pool": (lambda: F.max_pool2d(t(*IMAGES), 2, padding=-1), "max_pool2d: padding is at least 0, got -1"),
    "wide padding": (
        lambda: F.max_pool2d(t(*IMAGES), (4, 3), padding=2),
        r"padding is at most half of the window, got 2 for a window of 3 \(width\)",
    ),
    "wide padding of a mean": (lambda: F.avg_pool2d(t(*IMAGES), 3, padding=2), "padding is at most half"),
    "padding by name": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), padding="full"), "got 'full'"),
    "same with a stride": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), padding="same", stride=2), r'padding "same" needs stride 1'
    ),
    "stride": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), stride=0), "stride is at least 1, got 0"),
    "stride of a pool": (lambda: F.avg_pool2d(t(*IMAGES), 2, stride=(1, 0)), r"stride is at least 1, got \(1, 0\)"),
    "dilation": (lambda: F.conv1d(t(*SEQUENCES), t(4, 6, 3), dilation=0), "dilation is at least 1, got 0"),
    "window of nothing": (lambda: F.max_pool2d(t(*IMAGES), 0), "kernel_size is at least 1, got 0"),
    "three strides": (
        lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), stride=(1, 1, 1)),
        r"stride is one integer or one for each of height, width, got \(1, 1, 1\)",
    ),
    "half a stride": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), stride=0.5), "stride is made of integers, got 0.5"),
    "a stride of True": (lambda: F.max_pool2d(t(*IMAGES), 2, stride=True), "stride is made of integers, got True"),
    "output padding": (
        lambda: F.conv_transpose2d(t(*IMAGES), t(6, 4, 3, 3), stride=2, output_padding=(0, 2)),
        r"output_padding is less than the stride or the dilation, got 2 with stride 2 and dilation 1 for "
        r"axis 3 \(width\)",
    ),
    "divisor": (lambda: F.avg_pool2d(t(*IMAGES), 2, divisor_override=0), "divisor_override is an integer other than 0"),
    "output size": (lambda: F.adaptive_avg_pool2d(t(*IMAGES), (2, 0)), "output_size is a positive integer, got 0"),
    "three sizes": (lambda: F.adaptive_avg_pool2d(t(*IMAGES), (2, 2, 2)), "one for each of height, width"),
    # Dtypes.
    "dtypes": (
        lambda: F.conv2d(t(*IMAGES, dtype="f64"), t(4, 6, 3, 3)),
        r"one numeric dtype, got input f64\[2,6,5,7\] and weight f32\[4,6,3,3\]; convert one of them, as in "
        r"input\.to\(tt\.f32\)",
    ),
    "bytes": (lambda: F.conv2d(t(*IMAGES, dtype="u8"), t(4, 6, 3, 3)), r"got input u8\[2,6,5,7\]"),
    "bools": (lambda: F.max_pool2d(t(*IMAGES, dtype="bool"), 2), r"needs numbers, got input bool\[2,6,5,7\]"),
    "means of integers": (lambda: F.avg_pool2d(t(*IMAGES, dtype="i32"), 2), "needs a float dtype, got input i32"),
    "bias dtype": (lambda: F.conv2d(t(*IMAGES), t(4, 6, 3, 3), t(4, dtype="f64")), r"bias is f32\[4\].*got f64\[4\]"),
    "normalised integers": (
        lambda: F.batch_norm(t(*IMAGES, dtype="i64"), None, None, training=True), r"of a float dtype, got i64"
    ),
    # Modes.
    "ceil_mode": (lambda: F.avg_pool2d(t(*IMAGES), 2, ceil_mode="up"), "ceil_mode is True or False, got 'up'"),  # pyright: ignore[reportArgumentType]
    "return_indices": (lambda: F.max_pool2d(t(*IMAGES), 2, return_indices=1), "return_indices is True or False"),  # pyright: ignore[reportArgumentType, reportCallIssue]
    "training": (lambda: F.batch_norm(t(3, 6), t(6), t(6), training="no"), "training is True or False, got 'no'"),  # pyright: ignore[reportArgumentType]
    "momentum": (lambda: F.batch_norm(t(3, 6), t(6), t(6), momentum=True), "momentum is a finite number, got True"),
    # Normalisation.
    "weights to normalise with": (
        lambda: F.batch_norm(t(*IMAGES), None, None, t(5), t(6), training=True),
        r"axis 1 \(channels\) of input f32\[2,6,5,7\] is 6, so weight is f32\[6\], got f32\[5\]",
    ),
    "statistics": (
        lambda: F.batch_norm(t(*IMAGES), t(6), t(6, dtype="f64")), r"so running_var is f32\[6\], got f64\[6\]"
    ),
    "half of the statistics": (
        lambda: F.batch_norm(t(*IMAGES), t(6), None, training=True), "needs running_mean and running_var together"
    ),
    "no statistics": (lambda: F.batch_norm(t(*IMAGES), None, None), "needs running_mean and running_var"),
    "one value": (
        lambda: F.batch_norm(t(1, 6, 1, 1), None, None, training=True), "training needs more than one value per channel"
    ),
    "features": (
        lambda: tt.BatchNorm2d(5)(t(*IMAGES)),
        r"BatchNorm2d: input is \[batch, channels, height, width\] with 5 channels along axis 1, got f32\[2,6,5,7\]",
    ),
    "images for BatchNorm1d": (lambda: tt.BatchNorm1d(6)(t(*IMAGES)), r"BatchNorm1d: input is \[batch, channels\] or"),
    "rows for BatchNorm2d": (lambda: tt.BatchNorm2d(6)(t(3, 6)), r"BatchNorm2d: input is .*got f32\[3,6\]"),
    "rows for GlobalAvgPool2d": (lambda: tt.GlobalAvgPool2d()(t(3, 6)), "GlobalAvgPool2d: input is"),
    "rows for Dropout2d": (lambda: tt.Dropout2d()(t(3, 6)), "Dropout2d: input is"),
}  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused(case: str, compiled: bool) -> None:
    function, message = CASES[case]
    with pytest.raises((ShapeError, ArgumentTypeError), match=message) as error:
        (tt.compile(function, backend="interpreter") if compiled else function)()
    assert HERE in str(error.value)


MODULES: dict[str, tuple[Callable[[], Any], str]] = {
    "in_channels": (lambda: tt.Conv2d(0, 4, 3), "Conv2d: in_channels is a positive integer, got 0"),
    "out_channels": (lambda: tt.Conv1d(3, 4.0, 3), r"Conv1d: out_channels is a positive integer, got 4\.0"),  # pyright: ignore[reportArgumentType]
    "groups": (lambda: tt.Conv2d(3, 4, 3, groups=2), "Conv2d: in_channels is 3, which 2 groups do not divide"),
    "out groups": (lambda: tt.ConvTranspose2d(4, 3, 3, groups=2), "out_channels is 3, which 2 groups do not divide"),
    "kernel_size": (lambda: tt.Conv2d(3, 4, (3, 0)), r"kernel_size is at least 1, got \(3, 0\)"),
    "kernel_size of two axes": (
        lambda: tt.Conv1d(3, 4, (3, 3)),
        "kernel_size is one integer or one for each of length",
    ),
    "stride": (lambda: tt.Conv2d(3, 4, 3, stride=0), "stride is at least 1"),
    "padding": (lambda: tt.Conv2d(3, 4, 3, padding=-1), "padding is at least 0, got -1"),
    "padding by name": (lambda: tt.Conv2d(3, 4, 3, padding="reflect"), 'padding is "same", "valid" or'),
    "same": (lambda: tt.Conv2d(3, 4, 3, stride=2, padding="same"), 'padding "same" needs stride 1'),
    "initialization": (lambda: tt.Conv2d(3, 4, 3, initialization="zeros"), "initialization is .* got 'zeros'"),
    "output_padding": (lambda: tt.ConvTranspose1d(3, 4, 3, 2, 0, 2), "output_padding is less than the stride"),
    "pool": (lambda: tt.MaxPool2d(2, 0), "MaxPool2d: stride is at least 1"),
    "pool padding": (lambda: tt.MaxPool2d(2, padding=2), r"got 2 for a window of 2 \(height\)"),
    "mean padding": (lambda: tt.AvgPool1d(3, padding=2), r"AvgPool1d: padding is at most half .* \(length\)"),
    "divisor": (lambda: tt.AvgPool2d(2, divisor_override=0), "divisor_override is an integer other than 0, got 0"),
    "output_size": (lambda: tt.AdaptiveAvgPool2d((0, None)), "output_size is at least 1"),
    "num_features": (lambda: tt.BatchNorm2d(-3), "BatchNorm2d: num_features is a positive integer, got -3"),
    "momentum": (lambda: tt.BatchNorm1d(3, momentum=1.5), r"momentum is a number between 0 and 1, got 1\.5"),
    "eps": (lambda: tt.BatchNorm1d(3, eps=-1.0), r"eps is a number that is not negative, got -1\.0"),
    "dtype": (lambda: tt.BatchNorm2d(3, dtype="i32"), "BatchNorm2d: needs a float dtype, got i32"),
    "p": (lambda: tt.Dropout2d(1.5), r"Dropout2d: p is a probability, got 1\.5"),
    "bias": (lambda: tt.Conv2d(3, 4, 3, bias="zeros"), "Conv2d: bias is True or False, got 'zeros'"),  # pyright: ignore[reportArgumentType]
    "ceil_mode": (lambda: tt.MaxPool2d(2, ceil_mode=1), "MaxPool2d: ceil_mode is True or False, got 1"),  # pyright: ignore[reportArgumentType]
    "return_indices": (lambda: tt.MaxPool1d(2, return_indices="yes"), "return_indices is True or False, got 'yes'"),  # pyright: ignore[reportArgumentType]
    "count_include_pad": (lambda: tt.AvgPool1d(2, count_include_pad=0), "AvgPool1d: count_include_pad is True or"),  # pyright: ignore[reportArgumentType]
    "affine": (lambda: tt.BatchNorm2d(3, affine="no"), "BatchNorm2d: affine is True or False, got 'no'"),  # pyright: ignore[reportArgumentType]
    "momentum of True": (lambda: tt.BatchNorm1d(3, momentum=True), "momentum is a number between 0 and 1.*True"),
    "eps by name": (lambda: tt.BatchNorm1d(3, eps="small"), "eps is a number that is not negative, got 'small'"),  # pyright: ignore[reportArgumentType]
    "p of True": (lambda: tt.Dropout2d(True), "Dropout2d: p is a probability, got True"),
    "generator": (lambda: tt.Dropout2d(0.5, 7), "Dropout2d: generator is a Generator or None, got 7"),  # pyright: ignore[reportArgumentType]
}


@pytest.mark.parametrize("case", MODULES)
def test_arguments_of_modules_are_checked(case: str) -> None:
    function, message = MODULES[case]
    with pytest.raises(TinyTorchError, match=message) as error:
        function()
    assert HERE in str(error.value)


@pytest.mark.parametrize("function", [F.conv2d, F.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d])
def test_arrays_are_no_images(function: Any) -> None:
    with pytest.raises(TinyTorchError, match="expected a Tensor, got ndarray"):
        function(np.zeros(IMAGES, np.float32), 2)


def test_a_refused_batch_leaves_the_statistics_alone() -> None:
    norm = tt.BatchNorm2d(6)
    for shape in ((2, 5, 5, 7), (1, 6, 1, 1)):
        with pytest.raises(ShapeError):
            norm(t(*shape))
    assert norm.num_batches_tracked is not None and norm.running_var is not None
    assert norm.num_batches_tracked.item() == 0 and norm.running_var.tolist() == [1.0] * 6


@pytest.mark.parametrize("function", [tt.conv2d, tt.compile(tt.conv2d)], ids=["eager", "compiled"])
@pytest.mark.parametrize("stride", [4, 1000, 2**62])
def test_a_step_out_of_the_image_is_not_taken(stride: int, function: Callable[..., tt.Tensor]) -> None:
    """The one window at the beginning remains, also in the gradients, however far the next would be."""
    rng = np.random.default_rng(0)
    x, w = (tt.Tensor(rng.standard_normal(s), requires_grad=True) for s in ((2, 3, 5, 6), (4, 3, 3, 3)))
    wanted = np.einsum("bcyx,ocyx->bo", x.numpy()[:, :, :3, :3], w.numpy())[:, :, None, None]
    found = function(x, w, stride=stride)
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5, atol=1e-6)
    dx, dw = tt.grad(lambda x, w: function(x, w, stride=stride).sum(), argnums=(0, 1))(x, w)
    assert not dx.numpy()[:, :, 3:].any() and not dx.numpy()[:, :, :, 3:].any()
    np.testing.assert_allclose(dw.numpy()[1], x.numpy()[:, :, :3, :3].sum(0), rtol=1e-5, atol=1e-6)
