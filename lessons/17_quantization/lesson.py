# %% [markdown]
# # Module 17: Quantization
#
# A trained network is a list of numbers, each of 32 bits. Most of these bits say nothing that the network needs.
# Keep 8 of them, and the model takes a fourth of the memory. Multiply integers instead of floats, and many processors
# do up to four times as many multiplications with one instruction.
#
# The difficulty is to lose bits where they do not matter. In this lesson you write
#
# 1. the **map** between floats and 8-bit integers: a scale and a zero point,
# 2. `quantize_int8`, which makes integers of a tensor,
# 3. a **layer whose product is one of integers**, `QuantizedLinear`. It does not turn its weights back into floats.
#
# *Time: about 100 minutes. You need modules 01 to 16.*

# %%
import math
from typing import Self

import numpy as np

import tinytorch as tt
from tinytorch import Linear, ShapeError, Tensor, f32, i32
from tinytorch.frontend import arguments
from tinytorch.frontend.quantization.affine import (
    LEAST_RANGE,
    Activations,
    QuantizedRows,
    floats_of,
    largest_activation,
    quantize_on_the_fly,
)
from tinytorch.frontend.quantization.layers import QuantizedProducts, Range
from tinytorch.frontend.quantization.settings import Settings
from tinytorch.ir.loc import user_loc

rng = np.random.default_rng(0)

# %% [markdown]
# ## The mathematics: numbers as integers
#
# We write a number x as an integer q:
#
# $$x \approx s \, (q - z)$$
#
# s is the **scale**, the width of one step. z is the **zero point**, the integer that stands for 0. With 8 bits, q
# is one of 0 … 255. To cover a range [low, high],
#
# $$s = \frac{\text{high} - \text{low}}{255}, \qquad z = \text{round}\left(\frac{-\text{low}}{s}\right), \qquad
# q = \text{clip}\left(\text{round}\left(\frac{x}{s}\right) + z,\ 0,\ 255\right).$$
#
# Rounding is off by at most half a step, s/2. Two things need care:
#
# - **0 must be exact.** A padded image, a ReLU, a mask: networks are full of zeros, and if each became 0.003, these
#   errors would add up. So z is an *integer*, and the range is widened until it holds 0.
# - **A range of width 0 must not lead to a division by 0.** A tensor of zeros has the scale 1.
#
# ### Exercise 1: scale and zero point
#
# 1. Widen the range so that it holds 0.
# 2. If it is narrower than `LEAST_RANGE` (1e-30), return a scale of 1.0 and a zero point of 0.
# 3. The scale is the width over the largest integer, rounded to f32: `float(np.float32(...))`. Rounded once here,
#    it is the same number in all later calculations.
# 4. The zero point is `-low / scale`, rounded, and clipped to 0 … the largest integer.

# %% exercise="affine_parameters"
# Hint: `largest_activation(bits)` is 2**bits - 1. Python's `round` gives an int, and rounds halves to even, as we want.
#| solution

# %% test="affine_parameters"
scale, zero_point = affine_parameters(-1.0, 3.0, 8)
assert scale == float(np.float32(4 / 255)) and isinstance(scale, float), "the scale is the width over 255, in f32"
assert zero_point == 64 and isinstance(zero_point, int), "0 is a quarter of the way from -1 to 3: 63.75 rounds to 64"
assert affine_parameters(0.0, 2.55, 8)[1] == 0, "0 is the least of [0, 2.55]"
assert affine_parameters(-2.55, 0.0, 8)[1] == 255, "0 is the largest of [-2.55, 0]"
assert affine_parameters(1.0, 2.55, 8) == affine_parameters(0.0, 2.55, 8), "the range is widened until it holds 0"
assert affine_parameters(-2.0, -1.0, 8) == affine_parameters(-2.0, 0.0, 8), "also where all numbers are negative"
assert affine_parameters(0.0, 0.0, 8) == (1.0, 0), "a range of width 0 has the scale 1"
assert affine_parameters(-1.0, 1.0, 7)[0] == np.float32(2 / 127), "7 bits have the integers 0 to 127"
print("affine_parameters: 0 is exact, and nothing is divided by 0")

# %% [markdown]
# ### Exercise 2: a tensor as integers
#
# `quantize_int8` returns q as i8, the scale as an f32 tensor, and the zero point as an i32 tensor. i8 goes from
# -128 to 127, so both q and z are moved by 128: their difference stays the same.
#
# 1. `floats_of("quantize_int8", tensor)` gives the elements as an array of f32. It raises an error for tensors of
#    integers, and for NaN and infinities.
# 2. Find scale and zero point for the least and the largest element, with 8 bits.
# 3. Divide by the scale (as `np.float32`), round, add the zero point, and clip to 0 … 255.
# 4. Subtract 128 from the integers and from the zero point.
# 5. Return the three tensors.

# %% exercise="quantize_int8"
# Hint: `x.min(initial=0.0)` is also defined for an empty array. `np.rint` rounds halves to even. `Tensor(np.int32(7))`
# is a tensor i32[].
#| solution

# %% test="quantize_int8"
x = tt.Tensor(rng.standard_normal((30, 40)).astype(np.float32) * 3 + 1)
q, scale, zero_point = quantize_int8(x)
assert q.dtype is tt.i8 and q.shape == x.shape, "integers i8 of the shape of x"
assert scale.dtype is tt.f32 and scale.shape == (), "the scale is f32[]"
assert zero_point.dtype is tt.i32 and zero_point.shape == (), "the zero point is i32[]"
back = float(scale) * (q.numpy().astype(np.float64) - int(zero_point))
assert np.abs(back - x.numpy()).max() <= 0.501 * float(scale), "no element is off by more than half a step"
assert q.numpy().min() == -128 and q.numpy().max() == 127, "the least and the largest element take the ends"
zeros = quantize_int8(tt.Tensor([0.0, 5.0, -1.0]))
assert int(zeros[0].numpy()[0]) == int(zeros[2]), "0 becomes the zero point itself"
edge = quantize_int8(tt.Tensor([-101.5, 153.5]))[0].tolist()
assert edge == [-128, 127], "153.5 and the zero point both round up, to 256: clip before you make bytes"
nothing = quantize_int8(tt.zeros(3))
assert nothing[0].tolist() == [-128] * 3 and float(nothing[1]) == 1.0, "zeros have the scale 1 and the zero point -128"
print("quantize_int8: off by half a step at most")

# %% test="quantize_int8" hidden=true
### BEGIN HIDDEN TESTS
for low, high in ((0.5, 9.0), (-4.0, -0.25), (-1e-3, 1e4), (0.0, 1e-20)):
    x = rng.uniform(low, high, 500).astype(np.float32)
    theirs, ours = tt.quantize_int8(tt.Tensor(x)), quantize_int8(tt.Tensor(x))
    assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(theirs, ours, strict=True)), (
        f"a range of [{low}, {high}]"
    )
for bad in (tt.Tensor([1.0, np.nan]), tt.Tensor([np.inf]), tt.Tensor([1, 2])):
    try:
        quantize_int8(bad)
    except tt.TinyTorchError:
        continue
    raise AssertionError(f"{bad} has no integers, and must be refused")
assert quantize_int8(tt.ones(0, 3))[0].shape == (0, 3)
### END HIDDEN TESTS

# %% [markdown]
# How good is it? 8 bits keep about two digits. One outlier spoils this for all others: the steps must reach it, and so
# become wide.

# %%
x = rng.standard_normal(10_000).astype(np.float32)
print("largest number   relative error of the others   integers that they use")
for outlier in (3, 10, 100, 1000):
    q, scale, zero_point = quantize_int8(tt.Tensor(np.append(x, np.float32(outlier))))
    q = q.numpy()[:-1].astype(np.float32)
    error = float(scale) * (q - int(zero_point)) - x
    print(f"{max(outlier, x.max()):14.4g} {np.sqrt((error**2).mean() / (x**2).mean()):30.2%} {len(np.unique(q)):24}")

# %% [markdown]
# This is why weights get a scale for each *row* (each output), and activations one for each row of the batch: an
# outlier then spoils its own row alone.
#
# ## A product of integers
#
# Take a row of activations, $x \approx s_x (q_x - z)$, and a row of weights, $w \approx s_w q_w$ (symmetric: their zero
# point is 0). Then
#
# $$\sum_k x_k w_k \approx s_x s_w \sum_k (q_{x,k} - z) \, q_{w,k}
# = s_x s_w \left(\sum_k q_{x,k} \, q_{w,k} - z \sum_k q_{w,k}\right).$$
#
# The first sum is a product of matrices of *bytes*, added up in i32: this is the work, and it is exact. The second
# depends on the weights alone, so it is computed once, when the layer is made (`weight_sums`). The rest is a few
# operations for each result, however long the sums are.
#
# Notice what does *not* happen: nobody makes floats of the weights and multiplies those. That would save memory, and
# time to read it, but not a single multiplication of floats.
#
# ### Exercise 3: from sums back to floats
#
# `sums` is i32[rows, outputs]. `x` holds the activations: `x.scale` and `x.zero_point` broadcast to it (a zero
# point of None stands for 0). `weight_sums` and `weight_scale` have one number for each output.
#
# 1. Subtract `x.zero_point * weight_sums` from the sums, in integers, if there is a zero point.
# 2. Cast to f32, and multiply by both scales. `weight_scale` may have another dtype, such as bf16: cast it, too.
# 3. Add the bias, cast to f32, if there is one.

# %% exercise="dequantize"
# Hint: `x.cast(f32)`. The order of the factors changes the last bit at most. If x.scale is a single number, it is
# cheaper to multiply it by the scales of the weights first.
#| solution

# %% test="dequantize"
x = tt.Tensor(rng.standard_normal((5, 8)).astype(np.float32) + 0.5)
given = quantize_on_the_fly(x, (-1,), 8, symmetric=False)
weights = rng.integers(-127, 128, (3, 8)).astype(np.int8)
weight_scale, bias = tt.Tensor([0.01, 0.02, 0.03]), tt.Tensor([1.0, -2.0, 3.0])
sums = tt.Tensor(given.integers.numpy().astype(np.int32) @ weights.T.astype(np.int32))
weight_sums = tt.Tensor(weights.sum(1, dtype=np.int32))
back = given.scale.numpy() * (given.integers.numpy().astype(np.float32) - given.zero_point.numpy())
right = back @ (weights * weight_scale.numpy()[:, None]).T
found = dequantize(sums, given, weight_sums, weight_scale, None)
assert found is not None and found.dtype is tt.f32, "the results are f32"
np.testing.assert_allclose(found.numpy(), right, rtol=1e-4, atol=1e-4, err_msg="without a bias")
found = dequantize(sums, given, weight_sums, weight_scale, bias)
np.testing.assert_allclose(found.numpy(), right + bias.numpy(), rtol=1e-4, atol=1e-4, err_msg="with a bias")
plain = Activations(given.integers, tt.Tensor(np.float32(0.5)), None)
np.testing.assert_allclose(
    dequantize(sums, plain, weight_sums, weight_scale, None).numpy(),
    0.5 * sums.numpy() * weight_scale.numpy(),
    rtol=1e-5,
    err_msg="one scale, and no zero point",
)
narrow = dequantize(sums, given, weight_sums, weight_scale.cast(tt.bf16), bias.cast(tt.bf16))
assert narrow.dtype is tt.f32, "f32 also where the scale of the weights and the bias are bf16"
print("dequantize: right, with and without zero points and biases")

# %% [markdown]
# ### Exercise 4: the layer
#
# Most of it is there. The base class has two methods: `self._require_floats(input)` gives the input as a tensor of
# floats, or raises an error; `self._activations(rows, axes)` makes `Activations` with `integers`, `scale` and
# `zero_point`. `self.weight_int8` holds the weights, i8[out_features, in_features]; `weight_sums`, `weight_scale` and
# `bias` are beside it. Write `forward`:
#
# 1. Check the input, and that its last axis is `in_features`: else raise a `ShapeError` that names this number.
# 2. Bring it into the shape [rows, in_features], in f32.
# 3. Make bytes of it, along the last axis: the axes are `(-1,)`.
# 4. The sums are the product of the bytes with the transposed weights, *with `dtype=i32`*: `a.matmul(b, dtype=i32)`.
# 5. `dequantize` them, cast to the input's dtype, and give them the shape [..., out_features].

# %% exercise="quantized_linear"
# Hint: the number of rows is `math.prod(x.shape[:-1])`, which is 1 for a vector. `ShapeError(message, user_loc())` also
# shows the line of the caller.
#| solution

# %% test="quantized_linear"
tt.manual_seed(0)
layer = tt.Linear(64, 32)
quantized = QuantizedLinear.from_float(layer)
for shape in ((10, 64), (64,), (2, 3, 64), (0, 64)):
    x = tt.Tensor(rng.standard_normal(shape).astype(np.float32))
    found, right = quantized(x), layer(x)
    assert found is not None and found.shape == right.shape, f"an input of {shape} gives the shape {right.shape}"
    assert found.dtype is tt.f32, "an input of f32 gives f32"
    if x.numel():
        error = float(((found - right) ** 2).mean().sqrt() / (right**2).mean().sqrt())
        assert error < 0.02, f"the error of the layer is {error:.1%}, and should be below 2 %"
    theirs = tt.QuantizedLinear.from_float(layer)(x)
    np.testing.assert_allclose(found.numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6, err_msg="as the framework's own")
try:
    quantized(tt.ones(2, 63))
except tt.ShapeError as error:
    assert "64" in str(error), "the error says which width the layer takes"
else:
    raise AssertionError("an input of another width must be refused")
print("quantized_linear: right for inputs of every shape")

# %% test="quantized_linear" hidden=true
### BEGIN HIDDEN TESTS
traced = tt.compile(lambda x: quantized(x))
traced(tt.ones(4, 64))
(product,) = [node for node in traced.traced_graph.nodes if node.op.name == "matmul"]
assert [str(v.type.dtype) for v in product.inputs] == ["u8", "i8"], "the product is one of bytes"
assert product.output.type.dtype is tt.i32, "and its sums are i32"
half = quantized(tt.ones(4, 64, dtype=tt.bf16))
assert half.dtype is tt.bf16, "the result has the dtype of the input"
static = QuantizedLinear.from_float(layer, input_range=(-3.0, 3.0))
x = tt.Tensor(rng.standard_normal((6, 64)).astype(np.float32))
theirs = tt.QuantizedLinear.from_float(layer, input_range=(-3.0, 3.0))(x)
np.testing.assert_allclose(static(x).numpy(), theirs.numpy(), rtol=1e-5, atol=1e-6, err_msg="one scale for all rows")
### END HIDDEN TESTS

# %% [markdown]
# Your layer as a graph, of which only the nodes with integers are printed. Follow the types: f32 comes in, becomes u8,
# the product is i32, and f32 goes out. In the drawing, after the passes, rounding is one kernel, and the product with
# all that follows it is another.

# %%
tt.manual_seed(0)
layer = tt.Linear(64, 32)
quantized = QuantizedLinear.from_float(layer)
compiled = tt.compile(quantized)
compiled(tt.ones(10, 64))
first, *nodes = str(compiled.traced_graph).splitlines()
print(first, *(node for node in nodes if any(dtype in node for dtype in ("u8[", "i8[", "i32["))), sep="\n")
compiled

# %% [markdown]
# ## A whole model
#
# `tt.quantize` replaces the layers of a trained model, here dynamically: each call finds the scales of its
# activations. We train a small network on points in a plane, and compare answers. The table has a row for each layer:
# how far its results are off, and its bytes before and after. Beside its weights, a layer in int8 keeps 12 bytes for
# each output. So the first layer, with two weights for an output, has become larger.

# %%
tt.manual_seed(0)
points = rng.uniform(-1, 1, (2000, 2)).astype(np.float32)
inside = (np.hypot(points[:, 0], points[:, 1]) < 0.7).astype(np.int64)
x, y = tt.Tensor(points), tt.Tensor(inside)
model = tt.Sequential(tt.Linear(2, 64), tt.ReLU(), tt.Linear(64, 64), tt.ReLU(), tt.Linear(64, 2))
trainer = tt.Trainer(model, tt.AdamW(model.parameters(), lr=0.01), tt.CrossEntropyLoss(), progress=False)
for _ in range(100):
    trainer.train_epoch([(x, y)])
small = tt.quantize(model)


def accuracy(model):
    with tt.no_grad():
        return float((model(x).numpy().argmax(1) == inside).mean())


print(f"f32  {accuracy(model):.2%}, int8 {accuracy(small):.2%}")
print(small.sensitivity)

# %% [markdown]
# ## Systems analysis
#
# Measured on *your* `quantize_int8` and `QuantizedLinear`: errors of one rounding, how errors add up through
# layers, whose they are, and what is saved. The full measurements are written by `tinytorch analyze 17`.

# %%
from analyses import quantization

quantization.analyze(quantize_int8=quantize_int8, QuantizedLinear=QuantizedLinear, quick=True).show()

# %% [markdown] question="q1" points=2
# **Question 1.** The table of depth shows the errors by weights, by activations, and by both. Is "both" nearer to the
# sum of the two, or to the root of the sum of their squares? Check it with the numbers of one row, and say which
# property of rounding errors explains it.

# %% [markdown] question="q2" points=2
# **Question 2.** For the layer in the last table, write down the bytes in f32 and in int8, and what they are kept for
# (the first line of the printed graph names the tensors of an int8 layer). Why is the quotient not 4? For which sizes
# does it come close?

# %% [markdown] question="q3" points=1
# **Question 3.** int8 or bf16: for each, name a case from the measurements where you would choose it, with the
# numbers.

# %% [markdown]
# ## What PyTorch does
#
# PyTorch's classic dynamic layers (`torch.ao.quantization.quantize_dynamic`) find one scale for the whole batch,
# and keep quantized tensors as types of their own. Here a quantized layer is ordinary arithmetic in the graph, so
# that all passes work on it, and each row has its own scale. The map itself is the same: given your scale and zero
# point, PyTorch must round to the numbers that your integers stand for.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing is compared")
else:
    x = rng.standard_normal(10_000).astype(np.float32)
    q, scale, zero_point = quantize_int8(tt.Tensor(x))
    theirs = torch.fake_quantize_per_tensor_affine(
        torch.from_numpy(x), float(scale), int(zero_point), -128, 127
    ).numpy()
    steps = np.rint((theirs - float(scale) * (q.numpy().astype(np.float32) - int(zero_point))) / float(scale))
    print(f"{(steps != 0).sum()} of {len(x):,} numbers go to another step, at most {np.abs(steps).max():.0f} away")

# %% [markdown]
# If there are any, they are 1 step away: PyTorch multiplies by the reciprocal of the scale where you divided, and a
# number halfway between two integers may then fall to the other side.
#
# ## Questions to think about
#
# 1. Why must 0 be exact, and what would happen at the borders of a convolution if it were not?
# 2. Static scales come from calibration data. What happens to an input that is larger than all that calibration
#    saw?
# 3. Sums of 65,793 products of bytes fit into i32. Where does this number come from?
# 4. Weights of four bits have 16 values. Why do they need a scale for every 32 weights, where 8 bits need one for a
#    row?
# 5. Rounding has the derivative 0 almost everywhere. How can a network be trained with it? (Look at
#    `tt.prepare_qat`.)
#
# ## What you have now
#
# - You wrote the map between floats and bytes, with an exact 0 and no division by 0.
# - Your `QuantizedLinear` multiplies integers, and its only errors are those of rounding; the framework's `tt.quantize`
#   runs on it.
# - You measured where the error comes from, how it grows with depth, and what it buys.
# - Next, in module 18, weights do not shrink: they go.
