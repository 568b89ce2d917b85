# %% [markdown]
# # Module 09: Convolutions
#
# An image of 3 × 224 × 224 has 150,000 numbers. A `Linear` from one such image to another would have 22 billion
# weights, and would have to learn that a cat is a cat once for every place where a cat can be. A convolution takes two
# facts about images for granted: what matters is close together, and it means the same everywhere. It learns one small
# window of weights, and moves it over the image.
#
# You will write a convolution three times: by its definition, as one matrix product, and as a layer of the package.
# Then max pooling, and the running statistics of batch normalisation.
#
# **You need** modules 01 to 08. **It takes** about 100 minutes.
#
# ## Why it matters
#
# - Convolutions and matrix products are where the time goes. The same sums can be had at very different prices: written
#   out, read in place, or with fewer products than the definition has.
# - Sizes are where errors are made: `(n + 2p - k) / s + 1` rounded down, and the number of features that follows from
#   it.
# - Milestone 3 trains a network of three convolutions on CIFAR-10 to more than 75 %, and sets it beside a network of
#   `Linear` layers with more weights.

# %%
import math
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import Tensor
from tinytorch.frontend.spatial.arguments import Ints, Size, error, sizes
from tinytorch.frontend.spatial.conv_layers import _Direct
from tinytorch.frontend.tensor.gradients import grad_mode
from tinytorch.insight.tables import kernels_table
from tinytorch.insight.text import as_text
from tinytorch.ir import ops
from tinytorch.ir.types import f32

conv2d = tt.nn.functional.conv2d
rng = np.random.default_rng(0)


def random(*shape: int, grad: bool = False) -> Tensor:
    return Tensor(rng.standard_normal(shape), requires_grad=grad)


# %% [markdown]
# ## The mathematics
#
# Images are [batch, channels, height, width], weights [out, in, k, k]. With stride $s$ and $p$ zeros around the image,
#
# $$y_{b,o,i,j} = \text{bias}_o + \sum_{c} \sum_{u=0}^{k-1} \sum_{v=0}^{k-1}
#   w_{o,c,u,v}\; x_{b,\,c,\;s i + u - p,\;s j + v - p},$$
#
# where pixels outside of the image are 0. A window must fit into the padded image, so each axis of $n$ pixels has
#
# $$\left\lfloor \frac{n + 2p - k}{s} \right\rfloor + 1$$
#
# places. Each output sums $k^2 c$ products: $2 k^2 c_\text{in} c_\text{out} h w$ operations for an image, where $h w$
# are the places of the output.
#
# ## Step 1: by definition
#
# Write it as it stands, in numpy. Slow is fine; this is the judge of everything that follows.
#
# 1. Pad the last two axes with zeros: `np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))`.
# 2. Compute the number of rows and columns of the result.
# 3. For each place (i, j), cut the window out: `padded[:, :, s*i : s*i + k, s*j : s*j + k]`, of shape [b, c, k, k].
# 4. Sum its products with the weights over c, u and v. `np.tensordot(window, w, ([1, 2, 3], [1, 2, 3]))` is [b, out].
#
# **Hint.** Two loops are enough. Do not turn the window around: what networks call convolution is a correlation.


# %% exercise="definition"
def convolve(x: Any, w: Any, stride: int = 1, padding: int = 0) -> Any:
    """The convolution of arrays x [b, c, h, w] and w [out, c, k, k], by its definition."""
    ### BEGIN SOLUTION
    k = w.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((n - k) // stride + 1 for n in padded.shape[2:])
    y = np.empty((x.shape[0], w.shape[0], rows, columns), x.dtype)
    for i in range(rows):
        for j in range(columns):
            window = padded[:, :, stride * i : stride * i + k, stride * j : stride * j + k]
            y[:, :, i, j] = np.tensordot(window, w, ([1, 2, 3], [1, 2, 3]))
    return y
    ### END SOLUTION


# %% test="definition"
ramp = np.arange(16.0).reshape(1, 1, 4, 4)
edge = np.array([[[[1.0, 0.0], [0.0, -1.0]]]])
assert convolve(ramp, edge).shape == (1, 1, 3, 3) and np.all(convolve(ramp, edge) == -5), "x[i, j] - x[i + 1, j + 1]"
assert convolve(ramp, edge, stride=2).shape == (1, 1, 2, 2), "(4 - 2) // 2 + 1 = 2 places"
padded = convolve(ramp, edge, padding=1)
assert padded.shape == (1, 1, 5, 5), f"4 + 2 - 2 + 1 = 5 places on each axis, got {padded.shape}"
assert padded[0, 0, 0, 0] == 0 and padded[0, 0, 1, 0] == 0 - 4, "pixels outside of the image are 0"
wide = rng.standard_normal((2, 3, 7, 9)), rng.standard_normal((4, 3, 3, 3))
right = conv2d(Tensor(wide[0]), Tensor(wide[1]), stride=2, padding=1).numpy()
assert convolve(*wide, stride=2, padding=1).shape == right.shape, f"the shape should be {right.shape}"
assert np.allclose(convolve(*wide, stride=2, padding=1), right), "several channels and images, height and width differ"

# %% [markdown]
# ## Step 2: every window a column
#
# Loops in Python are slow, and in a matrix product a machine does the most operations per second. So write the windows
# out: a matrix with one column for each place, and in it the $k^2 c$ pixels of its window. This is *im2col*; PyTorch
# calls it `unfold`.
#
# The result is [batch, c k², places]. Its rows are in the order of channel, row and column in the window; its columns
# in the order of row and column of the output.
#
# 1. Pad: `x.pad([(0, 0), (0, 0), (p, p), (p, p)])`.
# 2. Which row of the padded image does element $u$ of the window read at place $i$? $s i + u$. Make an array of these,
#    [k, rows], and one for the columns, [k, columns].
# 3. Spread both over [k, k, rows, columns], and make them [k², places].
# 4. Index once: `padded[:, :, row_indices, column_indices]` is [b, c, k², places].
# 5. Reshape.
#
# **Hint.** For item 3: `np.broadcast_to(r[:, None, :, None], (k, k, rows, columns)).reshape(k * k, -1)`, and for the
# columns `c[None, :, None, :]`. Indices are plain numpy: they depend on shapes alone, so a compiled function has them
# as constants.


# %% exercise="unfold"
def unfold(x: Tensor, kernel_size: int, padding: int = 0, stride: int = 1) -> Tensor:
    """The windows of images [b, c, h, w] as columns: [b, c * kernel_size**2, places]."""
    ### BEGIN SOLUTION
    k = kernel_size
    padded = x.pad([(0, 0), (0, 0), (padding, padding), (padding, padding)])
    rows, columns = ((n - k) // stride + 1 for n in padded.shape[2:])
    r = np.arange(k)[:, None] + stride * np.arange(rows)
    c = np.arange(k)[:, None] + stride * np.arange(columns)
    full = (k, k, rows, columns)
    r = np.broadcast_to(r[:, None, :, None], full).reshape(k * k, -1)
    c = np.broadcast_to(c[None, :, None, :], full).reshape(k * k, -1)
    return padded[:, :, r, c].reshape(x.shape[0], x.shape[1] * k * k, rows * columns)
    ### END SOLUTION


# %% test="unfold"
columns = unfold(Tensor(ramp), 2)
assert columns.shape == (1, 4, 9), "nine windows of four pixels"
assert np.array_equal(columns.numpy()[0, :, 0], [0, 1, 4, 5]), "the first column is the first window, row by row"
assert np.array_equal(columns.numpy()[0, 0], [0, 1, 2, 4, 5, 6, 8, 9, 10]), "row 0: the first pixel of every window"
x = random(2, 3, 6, 7)
for k, p, s in ((3, 1, 1), (2, 0, 2), (3, 2, 2), (1, 0, 3)):
    expected = tt.nn.functional.unfold(x, k, padding=p, stride=s)
    assert unfold(x, k, p, s).shape == expected.shape and np.array_equal(
        unfold(x, k, p, s).numpy(), expected.numpy()
    ), f"kernel {k}, padding {p}, stride {s} should be those of nn.functional.unfold"

# %% test="unfold" hidden=true
x = random(1, 2, 5, 11)
for k, p, s in ((4, 1, 3), (5, 0, 1), (2, 2, 1)):
    expected = tt.nn.functional.unfold(x, k, padding=p, stride=s).numpy()
    assert np.array_equal(unfold(x, k, p, s).numpy(), expected), f"kernel {k}, padding {p}, stride {s}"

# %% [markdown]
# ## Step 3: one product
#
# With the windows as columns, a convolution is `weights [out, c k²] @ columns [b, c k², places]`.
#
# 1. Unfold.
# 2. Reshape the weights to [out, c k²], and multiply.
# 3. Add the bias, [out], to each place.
# 4. Reshape to [b, out, rows, columns].
#
# **Hint.** `@` broadcasts over the batch. The bias needs an axis at its end: `bias.reshape(-1, 1)`. And you need no
# gradient: autograd knows those of products and of indexing. The gradient of a gather adds up, and so each pixel gets
# the sum over all the windows that it is in.


# %% exercise="product"
def conv_by_product(x: Tensor, weight: Tensor, bias: Tensor, padding: int = 0, stride: int = 1) -> Tensor:
    """conv2d for square windows, as the product of the weights with the unfolded images."""
    ### BEGIN SOLUTION
    out, _, k, _ = weight.shape
    rows, columns = ((n + 2 * padding - k) // stride + 1 for n in x.shape[2:])
    y = weight.reshape(out, -1) @ unfold(x, k, padding, stride) + bias.reshape(-1, 1)
    return y.reshape(x.shape[0], out, rows, columns)
    ### END SOLUTION


# %% test="product"
def with_gradients(function: Any, *operands: Tensor, **settings: Any) -> list[Any]:
    """The result and the gradients of its weighted sum."""
    leaves = [Tensor(t.numpy().copy(), requires_grad=True) for t in operands]
    y = function(*leaves, **settings)
    (y * Tensor(np.cos(np.arange(y.numel())).reshape(y.shape))).sum().backward()
    return [y.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]


x, w, bias = random(2, 3, 6, 7), random(4, 3, 3, 3), random(4)
for settings in ({"padding": 1, "stride": 1}, {"padding": 0, "stride": 2}):
    ours, theirs = (
        with_gradients(conv_by_product, x, w, bias, **settings),
        with_gradients(conv2d, x, w, bias, **settings),
    )
    for name, a, b in zip(("result", "gradient of x", "of the weights", "of the bias"), ours, theirs, strict=True):
        assert a.shape == b.shape and np.allclose(a, b), (
            f"{settings}: the {name} should be that of nn.functional.conv2d"
        )

# %% [markdown]
# ### Two graphs
#
# Yours and the package's, compiled. Look at the bytes of each kernel, and at those that are kept between kernels. Yours
# gathers the windows, $k^2$ times the image, before the product reads them. The package has an op `conv2d`, whose
# kernel computes the addresses of a window inside of the product, and writes no windows out. Its two copies change the
# order of the weights and of the result: it computes with the channels last.

# %%
images = Tensor(rng.standard_normal((8, 16, 32, 32)).astype(np.float32))
weights, biases = Tensor(rng.standard_normal((16, 16, 3, 3)).astype(np.float32)), Tensor(np.zeros(16, np.float32))


@tt.compile
def by_product(x: Tensor) -> Tensor:
    return conv_by_product(x, weights, biases, padding=1)


@tt.compile
def in_place(x: Tensor) -> Tensor:
    return conv2d(x, weights, biases, padding=1)


for compiled in (by_product, in_place):
    compiled(images)
    report = compiled.explain()
    print(f"{compiled.__name__}: {report.arena_bytes:,} bytes between kernels")
    print(as_text(kernels_table(report.kernels)))
by_product

# %% [markdown]
# That is why the real one is not your form; the test above found both equal. What you export below are the parts around
# it.
#
# ## Step 4: how much to pad
#
# Padding is given as a number, one for each axis, `"valid"` for none, or `"same"` for as much as keeps the size. Write
# `paddings`: the zeros before and after each spatial axis, as two tuples.
#
# 1. Not a string: `sizes(name, "padding", padding, len(kernel), 0)` checks it and gives one number for each axis;
#    before and after are equal.
# 2. `"valid"`: zeros.
# 3. Any other string than `"same"` is an error that quotes it, and so is `"same"` with a stride above 1: raise
#    `error(f"{name}: …")`.
# 4. `"same"`: a window whose elements are $d$ apart (*dilation*) spans $d (k - 1) + 1$ pixels, so $d (k - 1)$ zeros
#    keep the size. Half of them go before; of an odd number the larger half goes after.
#
# **Hint.** `t // 2` and `t - t // 2`.

# %% exercise="paddings"
#| solution


# %% test="paddings"
assert paddings("conv2d", 2, (3, 3), (1, 1), (1, 1)) == ((2, 2), (2, 2)), "a number holds for both axes and both sides"
assert paddings("conv2d", (1, 0), (3, 3), (1, 1), (1, 1)) == ((1, 0), (1, 0)), "one number for each axis"
assert paddings("conv2d", "valid", (5, 3), (2, 2), (1, 1)) == ((0, 0), (0, 0)), '"valid" is no padding'
assert paddings("conv2d", "same", (3, 5), (1, 1), (1, 1)) == ((1, 2), (1, 2)), "k - 1 zeros in all"
assert paddings("conv2d", "same", (4, 2), (1, 1), (1, 1)) == ((1, 0), (2, 1)), "of an odd number, the larger half after"
assert paddings("conv2d", "same", (3, 3), (1, 1), (2, 3)) == ((2, 3), (2, 3)), "dilation spreads the window"
for bad in (("smae", (1, 1)), ("same", (1, 2))):
    try:
        paddings("conv2d", bad[0], (3, 3), bad[1], (1, 1))
    except tt.TinyTorchError as wrong:
        assert str(wrong).startswith("conv2d: "), "errors begin with the name of the function"
        assert bad[0] in str(wrong), f"the error should quote {bad[0]!r}: {wrong}"
    else:
        raise AssertionError(f"padding {bad[0]!r} with stride {bad[1]} is an error")

# %% [markdown]
# ## Step 5: the layer
#
# The base class makes the weights, checks the sizes and knows the padding. `self._padded(input)` returns a pair: the
# input, with what `padding_mode` puts around it (its own edge, its mirror image), and the padding by zeros that is left
# for `conv2d`.
#
# Write `forward`: pad, and call `conv2d(x, weight, bias, stride, padding, dilation, groups)`. All but the first and the
# padding are attributes of the layer. (With *groups*, the channels are split, and each part of the outputs sees its own
# part of the inputs.)
#
# **Hint.** Two lines. Leave one of the arguments out, and a network without dilation or groups will never tell you.

# %% exercise="layer"
#| solution


# %% test="layer"
for settings in (
    {"padding": 1},
    {"stride": 2, "bias": False},
    {"dilation": 2},
    {"groups": 2},
    {"padding": 2, "padding_mode": "reflect"},
    {"padding": "same"},
):
    ours, theirs = Conv2d(4, 6, 3, **settings), tt.Conv2d(4, 6, 3, **settings)
    theirs.load_state_dict(ours.state_dict())
    some = Tensor(rng.standard_normal((2, 4, 8, 9)).astype(np.float32))
    found, expected = ours(some).numpy(), theirs(some).numpy()
    assert found.shape == expected.shape, f"{settings}: the shape should be {expected.shape}, got {found.shape}"
    assert np.allclose(found, expected, atol=1e-5), f"{settings}: the result should be that of the package's layer"

# %% [markdown]
# ## Step 6: max pooling
#
# A pooling window keeps the largest of its elements: the network answers nearly alike when its input moves by a pixel,
# and has fewer places to compute. Write it for square windows on top of your `unfold`; the stride is the size of the
# window unless given.
#
# 1. Unfold without padding. That mixes the channels into the rows: [b, c k², places].
# 2. Reshape so that the $k^2$ elements have an axis of their own, and take the largest along it: `.amax(2)`.
# 3. Reshape to [b, c, rows, columns].
#
# **Hint.** Rows are ordered by channel first. What would padding with zeros do to negative inputs?


# %% exercise="pool"
def max_pool(x: Tensor, kernel_size: int, stride: int | None = None) -> Tensor:
    """The largest element of each window of images [b, c, h, w]."""
    ### BEGIN SOLUTION
    k, step = kernel_size, stride or kernel_size
    rows, columns = ((n - k) // step + 1 for n in x.shape[2:])
    windows = unfold(x, k, 0, step).reshape(x.shape[0], x.shape[1], k * k, rows * columns)
    return windows.amax(2).reshape(x.shape[0], x.shape[1], rows, columns)
    ### END SOLUTION


# %% test="pool"
x = random(2, 3, 6, 7)
for k, s in ((2, None), (3, 1), (3, 2)):
    ours, theirs = (
        with_gradients(max_pool, x, kernel_size=k, stride=s),
        with_gradients(tt.nn.functional.max_pool2d, x, kernel_size=k, stride=s),
    )
    assert all(a.shape == b.shape and np.allclose(a, b) for a, b in zip(ours, theirs, strict=True)), (
        f"window {k}, stride {s}: result and gradient should be those of nn.functional.max_pool2d"
    )
assert float(max_pool(Tensor(np.full((1, 1, 2, 2), -3.0)), 2)[0, 0, 0, 0]) == -3.0, "no zeros slip into a window"

# %% [markdown]
# ## Step 7: what batch normalisation remembers
#
# Between convolutions often stands *batch normalisation* (Ioffe & Szegedy 2015): in training each channel is brought to
# mean 0 and variance 1 over the batch. In evaluation there may be no batch, so it uses *running* statistics, moved a
# little in every training step:
#
# $$\mu \leftarrow (1 - \alpha)\,\mu + \alpha\, \text{mean}, \qquad
#   \sigma^2 \leftarrow (1 - \alpha)\,\sigma^2 + \alpha\, \frac{n}{n - 1}\, \text{variance}.$$
#
# Here $\alpha$ is the argument `momentum`. The variance of $n$ numbers around their own mean is too small on average,
# by the factor $(n - 1) / n$; the running one is corrected for it. `x` has its channels **last**, as kernels do, and
# $n$ is the number of elements of a channel.
#
# 1. $n$ is the product of all axes but the last.
# 2. Without gradients (`with grad_mode(False):`), and 16-bit floats as f32.
# 3. `ops.composite.moments(x, axes)` gives mean and variance over axes, which keep size 1: reshape to [channels].
# 4. Move both, in place (`copy_`).
#
# **Hint.** `moments` divides by n.

# %% exercise="statistics"
#| solution


# %% test="statistics"
values = rng.standard_normal((5, 2, 3, 4)) * 3 + 1
mean, variance = Tensor(np.zeros(4)), Tensor(np.ones(4))
kept = mean
update_statistics(Tensor(values), mean, variance, 0.1)
flat = values.reshape(-1, 4)
assert kept is mean and np.allclose(mean.numpy(), 0.1 * flat.mean(0)), "the mean over all axes but the last, in place"
assert np.allclose(variance.numpy(), 0.9 + 0.1 * flat.var(0, ddof=1)), "the variance is divided by n - 1"
update_statistics(Tensor(values), mean, variance, 1.0)
assert np.allclose(mean.numpy(), flat.mean(0)), "a momentum of 1 forgets what was"
assert not mean.requires_grad, "running statistics have no gradient"
rough = Tensor(values.astype(np.float32)).to(tt.bfloat16)
mean, variance = Tensor(np.zeros(4, np.float32)), Tensor(np.ones(4, np.float32))
update_statistics(rough, mean, variance, 1.0)
expected = rough.to(f32).numpy().reshape(-1, 4).mean(0)
assert np.allclose(mean.numpy(), expected, rtol=1e-5, atol=1e-6), "the mean of 16-bit floats is computed in f32"

# %% [markdown]
# ## A network
#
# Your layer between the package's, on a question whose answer does not depend on the place: is the bar in the noise
# vertical or horizontal?


# %%
def bars(count: int) -> tuple[Tensor, Tensor]:
    kinds = rng.integers(0, 2, count)
    pictures = rng.standard_normal((count, 1, 16, 16)).astype(np.float32) * 0.5
    for picture, kind in zip(pictures, kinds, strict=True):
        at, start = rng.integers(0, 16), rng.integers(0, 10)
        picture[0][(slice(start, start + 6), at) if kind else (at, slice(start, start + 6))] += 1.5
    return Tensor(pictures), Tensor(kinds)


tt.manual_seed(0)
model = tt.Sequential(
    Conv2d(1, 8, 5, padding=2), tt.BatchNorm2d(8), tt.ReLU(), tt.MaxPool2d(4), tt.Flatten(), tt.Linear(128, 2)
)
trainer = tt.Trainer(model, tt.AdamW(model.parameters(), lr=0.01), tt.CrossEntropyLoss(), progress=False)
train, test = bars(256), bars(512)
for _ in range(40):
    trainer.train_epoch([train])
print("seen:", trainer.evaluate([train]), "\nnew: ", trainer.evaluate([test]))

# %%
from analyses.drawing import charts

figure, pair = charts(8, width=8.0, height=1.6)
for axes, window in zip(pair, model[0].weight.numpy()[:, 0], strict=True):
    drawn = axes.imshow(window, cmap="RdBu", vmin=-0.6, vmax=0.6)
    axes.set_axis_off()
figure.colorbar(drawn, ax=list(pair), orientation="horizontal", aspect=60, label="weights of the eight windows")
figure

# %% [markdown]
# ## Systems analysis
#
# What your im2col writes out, and two ways to do with fewer products than the definition:
#
# - **Winograd's F(m × m, 3 × 3)** computes a tile of m × m outputs with (m + 2)² products instead of 9 m². It
#   transforms tiles and weights by small fixed matrices, multiplies, and transforms back. The constants of these
#   matrices grow with m, and rounding errors with them (Lavin & Gray 2016). The result is the same but for rounding, so
#   the compiler may take it by itself; `precision="exact"` forbids it.
# - **Depthwise separable** convolutions are another layer: one k × k window for each channel, then 1 × 1 windows across
#   channels. With $o$ channels out, that is a share $1 / o + 1 / k^2$ of the weights and operations (Howard et al.
#   2017).

# %%
from analyses import spatial

spatial.analyze(Conv2d=Conv2d, unfold=unfold, quick=True).show()

# %% [markdown]
# ## Beside PyTorch
#
# Layers, functions, arguments and shapes are those of `torch.nn`. Inside, channels come last here: a pixel's channels
# lie side by side, and fill the lanes of a vector instruction. PyTorch keeps channels first unless you ask for
# `channels_last`.

# %%
from analyses.measuring import torch_if_installed

torch = torch_if_installed()
if torch:
    some, layer = rng.standard_normal((2, 4, 9, 9)).astype(np.float32), Conv2d(4, 6, 3, stride=2, padding=1)
    with torch.no_grad():
        theirs = torch.nn.functional.conv2d(
            torch.tensor(some), torch.tensor(layer.weight.numpy()), torch.tensor(layer.bias.numpy()), 2, 1
        ).numpy()
    print("largest difference from torch's conv2d:", abs(layer(Tensor(some)).detach().numpy() - theirs).max())
else:
    print("PyTorch is not installed; the tests above stand for themselves.")

# %% [markdown] question="q1" points=1
# **Question 1.** A batch of 64 images of 64 × 56 × 56, windows of 3 × 3, padding 1, f32: how many bytes do the images
# have, how many the matrix of im2col? And at stride 2?

# %% [markdown] question="q2" points=1
# **Question 2.** From your table: for which window is the matrix no larger than the image? Which product is the
# convolution then, and why need nothing be written out for it?

# %% [markdown] question="q3" points=1
# **Question 3.** F(6 × 6, 3 × 3) has five times fewer products than the definition. Give two reasons from your
# measurements not to use it always.

# %% [markdown] question="q4" points=1
# **Question 4.** Compare the share of operations of the separable form with the share of time that you measured. How
# many operations for each element that it reads has its first part, and how many has the full convolution?

# %% [markdown] question="q5" points=1
# **Question 5.** By which factor is the variance of a batch of two numbers too small on average? Why is that factor
# nearly 1 after a convolution, even for batches of two images?

# %% [markdown]
# ## Summary
#
# - A convolution is a product of weights with windows. Whether the windows are ever written down is a choice.
# - Sizes: (n + 2p - k) / s + 1, rounded down. Dilation replaces k by d (k - 1) + 1.
# - The gradient of a gather adds up. So im2col needed no backward of its own.
# - Fewer products (Winograd) cost transforms and rounding. Fewer weights (separable) leave fewer operations for each
#   byte that moves, so time falls less than operations do.
# - Batch normalisation remembers what it will need when there is no batch.
# - Your layer, paddings and statistics are the package's now: milestone 3 trains on CIFAR-10 with them.
