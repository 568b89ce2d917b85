# %% [markdown]
# # Module 03: Layers
#
# A layer is a function with numbers of its own: the parameters, which training changes. The linear layer is the one
# that matters most. In a GPT, nearly all operations and most parameters are those of linear layers; what stands
# between them is small.
#
# The formula is short. Two things around it decide whether a network of many layers learns at all: the gradients of
# its parameters, which you will write by hand once, and the size of the first random weights. Too large, and the
# signal explodes from layer to layer; too small, and it dies out. You will compute the size that does neither, and
# see both failures on a plot.
#
# When the module is complete, `tt.Linear`, `tt.Sequential` and the package's two rules for first weights, Xavier's and
# He's, run on your code.
#
# *Time: about 90 minutes. You need modules 01 and 02.*

# %%
import math
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.frontend import arguments
from tinytorch.frontend.module.init import calculate_gain, uniform_
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The affine map
#
# $$y = x W^{\top} + b$$
#
# `x` is `[batch, in]`, one row for each example. `W` is `[out, in]`: row $o$ holds the weights of output $o$. The
# bias `b` is `[out]`, and broadcasting adds it to every row. The convention of `[out, in]`, with a transpose in the
# formula, is PyTorch's; the transpose is a view and costs nothing.
#
# `x` may have more axes, `[batch, position, in]`; the last one is multiplied.
#
# **Exercise 1.** Write `affine`. The bias may be `None`.

# %% exercise="affine"
# Hint: `weight.T` is a view. `@` leaves the leading axes of x alone.
#| solution


# %% test="affine"
x, w, b = rng.normal(size=(5, 3)), rng.normal(size=(4, 3)), rng.normal(size=4)
found = affine(Tensor(x), Tensor(w), Tensor(b))
assert found.shape == (5, 4), f"[5, 3] by weights [4, 3] is [5, 4], got {found.shape}"
assert np.allclose(found.numpy(), x @ w.T + b), "the numbers are not x @ W.T + b"
assert np.allclose(affine(Tensor(x), Tensor(w), None).numpy(), x @ w.T), "without a bias nothing is added"
batch = affine(tt.ones(2, 7, 3), tt.ones(4, 3), tt.zeros(4))
assert batch.shape == (2, 7, 4) and float(batch.min()) == 3.0, "leading axes stay as they are"
print("affine: right")

# %% [markdown]
# ## 2. Its gradients
#
# Let $G = \partial L / \partial y$, `[batch, out]`: how much the loss changes with each output. From
# $y_{no} = \sum_i x_{ni} W_{oi} + b_o$ it follows, one letter at a time:
#
# $$\frac{\partial L}{\partial x_{ni}} = \sum_o G_{no} W_{oi} \qquad
# \frac{\partial L}{\partial W_{oi}} = \sum_n G_{no} x_{ni} \qquad
# \frac{\partial L}{\partial b_o} = \sum_n G_{no}$$
#
# Read them as matrices: $\partial L / \partial x = G W$, $\partial L / \partial W = G^{\top} x$, and for the bias the
# sum over the batch. Broadcasting repeated the bias on the way forward, so its gradients add up on the way back. That
# is a rule for every broadcast: *the gradient of a repetition is a sum.*
#
# These are two more products of the same size, so going forward and backward through a layer takes three times the
# operations of going forward. (The first layer needs no $\partial L / \partial x$, and takes twice.) And $x$ is needed
# for $\partial L / \partial W$, so it must be kept until then. You will measure both.
#
# **Exercise 2.** Write the three gradients.


# %% exercise="affine_gradients"
# Hint: check each shape. The gradient of a tensor has the shape of the tensor.
def affine_gradients(x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of x [n, in], of the weight [out, in] and of the bias [out], for `grad` [n, out] of the result."""
    ### BEGIN SOLUTION
    return grad @ weight, grad.T @ x, grad.sum(0)
    ### END SOLUTION


# %% test="affine_gradients"
x, w, b = (Tensor(rng.normal(size=shape), requires_grad=True) for shape in ((6, 3), (4, 3), (4,)))
g = Tensor(rng.normal(size=(6, 4)))
(x @ w.T + b).backward(g)
found = affine_gradients(x.detach(), w.detach(), g)
for name, own, leaf in zip(("x", "the weight", "the bias"), found, (x, w, b), strict=True):
    assert own.shape == leaf.shape, f"the gradient of {name} is {leaf.shape}, got {own.shape}"
    assert np.allclose(own.numpy(), leaf.grad.numpy()), f"the gradient of {name} differs from autograd's"
print("affine_gradients: the same as autograd finds")

# %% [markdown]
# ## 3. The first weights
#
# Suppose inputs with mean 0 and variance 1, and independent weights with mean 0. Each output is a sum of `in`
# products:
#
# $$\operatorname{Var}(y) = n_{\text{in}} \cdot \operatorname{Var}(w) \cdot \operatorname{E}[x^2]$$
#
# A factor of 1.1 for each layer is $1.1^{50} = 117$ after fifty, and a factor of 0.9 is 0.005. So it has to be 1. The
# same holds for the gradient on its way back, where the sum runs over the outputs: $n_{\text{out}}$ takes the place of
# $n_{\text{in}}$.
#
# The numbers $n_{\text{in}}$ and $n_{\text{out}}$ are called *fans*. Of a weight `[out, in]` they are its sizes. A
# convolution (module 09) has weights `[out, in, height, width]`, and each output sums over a whole window of
# height × width: both fans are multiplied by the size of the window.
#
# **Exercise 3.** Write `fans`. For weights of fewer than two axes, raise `ShapeError(message, user_loc())` with "at
# least two axes" in the message; `user_loc()` is the line of the user's program, which the error will show.

# %% exercise="fans"
# Hint: the window is what stands behind the first two sizes. `math.prod(())` is 1, so a matrix is no case of its own.
#| solution


# %% test="fans"
for shape, expected in (((4, 3), (3, 4)), ((8, 3, 5, 5), (75, 200))):
    found = fans(tt.zeros(*shape))
    assert found == expected, f"of a weight {shape} the fans (in, out) are {expected}, got {found}"
try:
    fans(tt.zeros(3))
except ShapeError as error:
    assert "two axes" in str(error), f"the message should say what is wrong, not {str(error)!r}"
    print("fans: right")
else:
    raise AssertionError("a vector has no fans: raise a ShapeError")

# %% [markdown]
# A linear signal would keep its size with $\operatorname{Var}(w) = 1 / n_{\text{in}}$, its gradient with
# $1 / n_{\text{out}}$. **Xavier** Glorot (with Bengio, 2010) divides by the mean of both:
#
# $$\sigma = g \sqrt{\frac{2}{n_{\text{in}} + n_{\text{out}}}}$$
#
# The factor $g$ is the *gain*: how much an activation that follows shrinks the signal, so much larger the weights are.
# It is 1 where nothing follows.
#
# **Exercise 4.** Write `xavier_std`, which gives $\sigma$. Fans of 0 must not make it divide by 0.

# %% exercise="xavier_std"
# Hint: the sum of your `fans`, or 1 if that is more.
#| solution


# %% test="xavier_std"
for gain in (1.0, 5 / 3):
    found, expected = xavier_std(tt.zeros(100, 300), gain), gain * math.sqrt(2 / 400)
    assert math.isclose(found, expected), f"for [100, 300] and a gain of {gain:.2f} it is {expected:.4f}, got {found}"
assert math.isfinite(xavier_std(tt.zeros(0, 0), 1.0)), "fans of 0 must not divide by 0"
print("xavier_std: right")

# %% [markdown]
# **He** (and others, 2015) look at ReLU. It zeroes half of a symmetric signal, so that $\operatorname{E}[x^2]$ of what
# comes out is half the variance of what went in, and $\operatorname{Var}(w) = 2 / n_{\text{in}}$ makes up for it:
#
# $$\sigma = \frac{g}{\sqrt n}, \qquad g = \sqrt 2 \text{ for ReLU}$$
#
# where $n$ is one of the fans, that of the input by default. `calculate_gain(nonlinearity, param)` gives the gain of
# an activation by its name; `param` is the slope of `"leaky_relu"`, which is $x$ above 0 and slope · $x$ below.
#
# **Exercise 5.** Write `he_std`. A mode that does not exist is an error:
# `arguments.choice("kaiming", "mode", mode, "fan_in", "fan_out")` raises it. Guard against a fan of 0 here, too.

# %% exercise="he_std"
# Hint: fans(weight) is a pair (in, out), and `mode` chooses one of them.
#| solution


# %% test="he_std"
w = tt.zeros(100, 300)
for mode, name, param, expected, why in (
    ("fan_in", "relu", 0.0, 2 / 300, "for ReLU it is sqrt(2 / in)"),
    ("fan_out", "relu", 0.0, 2 / 100, "with fan_out it is sqrt(2 / out)"),
    ("fan_in", "linear", 0.0, 1 / 300, "the gain of a linear layer is 1"),
    ("fan_in", "leaky_relu", 1.0, 1 / 300, "with a slope of 1, leaky_relu is linear"),
):
    found = he_std(w, mode, name, param)
    assert math.isclose(found, math.sqrt(expected)), f"{why}: {math.sqrt(expected):.4f} for [100, 300], got {found}"
assert math.isfinite(he_std(tt.zeros(0, 0), "fan_in", "relu", 0.0)), "a fan of 0 must not divide by 0"
try:
    he_std(w, "fan", "relu", 0.0)
except tt.TinyTorchError:
    print("he_std: right")
else:
    raise AssertionError('the mode "fan" does not exist: an error should say so')

# %% [markdown]
# Weights are drawn uniformly from $[-a, a]$, which has the standard deviation $a / \sqrt 3$. So
# $a = \sqrt 3\, \sigma$. Here is a layer made of your parts, for the experiments below. A `tt.Parameter` is a tensor
# that training changes; a `tt.Module` knows the parameters that are assigned to it, and runs its `forward` when it is
# called.


# %%
class MyLinear(tt.Module):
    """A linear layer with He's weights, on `affine` and `he_std` from above."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = tt.Parameter(tt.zeros(out_features, in_features))
        self.bias = tt.Parameter(tt.zeros(out_features)) if bias else None
        he_uniform(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return affine(x, self.weight, self.bias)


def he_uniform(weight: Tensor) -> Tensor:
    bound = math.sqrt(3) * he_std(weight, "fan_in", "relu", 0.0)
    return uniform_(weight, -bound, bound)


def xavier_uniform(weight: Tensor) -> Tensor:
    bound = math.sqrt(3) * xavier_std(weight, 1.0)
    return uniform_(weight, -bound, bound)


# %% [markdown]
# ## 4. Layers in a row
#
# `Sequential` holds layers and applies each to the result of the one before: `tt.Sequential(a, b)(x)` is `b(a(x))`.
# Iterating over it gives its layers.
#
# **Exercise 6.** Write its method `forward`. `self` is the `Sequential`. Without layers, the result is the input.

# %% exercise="forward"
# Hint: a loop. Call each layer, not its `forward`: the call also runs the functions that users attach to a layer.
#| solution


# %% test="forward"
class Times(tt.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor + 1


found = forward(tt.Sequential(Times(2), Times(10)), tt.ones(1)).tolist()
assert found == [31.0], f"of 1, first 2x + 1 and then 10x + 1 make 31, got {found}"
assert forward(tt.Sequential(), tt.ones(1)).tolist() == [1.0], "without layers the result is the input"
print("forward: in order")

# %% [markdown]
# ## 5. Dropout
#
# A large network can learn its examples by heart instead of what they have in common. Dropout works against that
# (which is called regularization): in training, each number is set to 0 with probability $p$, drawn anew in every
# step, so that no unit can rely on a single other one. Srivastava and others (2014) read it as training an *ensemble*,
# many networks that share their weights, of which each lacks different units.
#
# The expectation must stay what it was, or the next layer would see smaller inputs in training than in use. So those
# that are kept are divided by $1 - p$:
#
# $$\operatorname{E}[y] = p \cdot 0 + (1 - p) \cdot \frac{x}{1 - p} = x$$
#
# At inference, that is in use after training, nothing is dropped, and nothing needs to be scaled.
#
# **Exercise 7.** Write `dropped`. `drawn` are random numbers, uniform in [0, 1), one for each of `x`.


# %% exercise="dropped"
# Hint: choose by `tt.where`. With p = 1 everything is 0: a case of its own, since 1 - p must not be divided by.
def dropped(x: Tensor, p: float, drawn: Tensor) -> Tensor:
    """0 where `drawn`, of the shape of x, is below p, else x / (1 - p)."""
    ### BEGIN SOLUTION
    if p == 1:
        return x * 0.0
    return tt.where(drawn < p, 0.0, x * (1 / (1 - p)))
    ### END SOLUTION


# %% test="dropped"
tt.manual_seed(0)
x = tt.ones(100_000)
y = dropped(x, 0.25, tt.rand(100_000)).numpy()
assert abs((y == 0).mean() - 0.25) < 0.01, f"a quarter is dropped, got {(y == 0).mean():.3f}"
assert abs(y.mean() - 1) < 0.01, f"the mean stays 1, got {y.mean():.3f}: are those that are kept scaled?"
assert np.allclose(y[y > 0], 4 / 3), "those that are kept are divided by 1 - p"
assert dropped(tt.ones(3), 0.0, tt.rand(3)).tolist() == [1, 1, 1], "with p = 0 nothing changes"
assert dropped(tt.ones(3), 1.0, tt.rand(3)).tolist() == [0, 0, 0], "with p = 1 all is 0"
print("dropped: a quarter gone, the mean kept")

# %% [markdown]
# The package's `tt.Dropout` is one operation that draws inside of its kernel: the mask is never in memory, and the
# backward pass draws the same numbers again. What it computes is what you wrote.

# %% [markdown]
# ## 6. Your network as a graph
#
# Two of your layers with a ReLU between them, for images of handwritten digits: 28 × 28 = 784 numbers in, one for each
# of ten digits out.

# %%
tt.manual_seed(0)
model = tt.Sequential(MyLinear(784, 128), tt.ReLU(), MyLinear(128, 10))
compiled = tt.compile(model)
compiled(tt.randn(64, 784))
compiled

# %% [markdown]
# There are two kernels, one for each layer. Bias and ReLU became the end of the first product: they are applied while
# its sums are still in registers.
#
# ## 7. Systems analysis
#
# How large the signal is after each of your layers, with four sorts of first weights: N(0, 1) and N(0, 0.01²) are drawn
# from the normal distribution, with standard deviations of 1 and 0.01. What a training step keeps in memory, what a
# layer costs, and whether the network at inference is the average of those that dropout made (RMS is the root of the
# mean square).

# %%
from analyses import layers

layers.analyze(Linear=MyLinear, kaiming_uniform_=he_uniform, xavier_uniform_=xavier_uniform, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.Linear` has the same parameters in the same order, and `torch.nn.init` the same names. PyTorch's default
# is neither Xavier's nor He's: for historical reasons it is uniform with bound $1 / \sqrt{n_{\text{in}}}$, a variance
# of $1 / (3 n_{\text{in}})$. `tt.Linear` does the same, so that models behave alike; `initialization="he"` asks for
# yours.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    theirs = torch.nn.Linear(20, 10)
    x = rng.normal(size=(4, 20)).astype(np.float32)
    ours = affine(Tensor(x), *(Tensor(p.detach().numpy()) for p in (theirs.weight, theirs.bias)))
    print(f"results differ by at most {abs(ours.numpy() - theirs(torch.tensor(x)).detach().numpy()).max():.1e}")
    torch.nn.init.kaiming_uniform_(theirs.weight, nonlinearity="relu")
    bound = math.sqrt(3) * he_std(tt.zeros(10, 20), "fan_in", "relu", 0.0)
    largest = float(abs(theirs.weight.detach()).max())
    print(f"the largest of PyTorch's weights by He is {largest:.4f}, just below your bound of {bound:.4f}")

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** In the first table, tanh with N(0, 1) weights keeps a standard deviation near 1, yet the gradient at
# the input is thousands of times as large as the one that goes in. Where on the curve of tanh do most of these numbers
# lie, and how much of the gradient passes there? What makes up for that, and more, on the way back through the
# weights?

# %% [markdown] question="q2" points=2
# **Question 2.** A network with layers 784 → 512 → 256 → 10 has 535,818 parameters, in f32. The optimizer AdamW
# (module 06) keeps two more numbers for each. How many bytes are weights, gradients and these? From which batch on are
# the results of the three layers more than the weights alone?

# %% [markdown] question="q3" points=1
# **Question 3.** With more masks the average of one layer behind dropout comes as near as you like to the layer at
# inference; that of three layers with ReLU stays away (in the last plot it falls more slowly). The expectation of what
# goes into a ReLU is right. Why is the expectation of what comes out of it not?

# %% [markdown]
# ## Summary
#
# - A linear layer is one product. Its gradients are two more, and the sum over the batch for the bias.
# - The size of the first weights decides whether depth works: $2 / n_{\text{in}}$ as variance keeps a signal through
#   ReLU, and you saw what anything else does in ten layers.
# - Training keeps weights, gradients and the results of layers; from some batch on the results are the most.
# - Dropout keeps the expectation of each layer, not that of a network with bends.
#
# In module 04 you tell a network how wrong it is.
