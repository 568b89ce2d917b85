# %% [markdown]
# # Module 04: Losses
#
# A network gives numbers; training needs one number that says how wrong they are, and a direction in which they would
# be less wrong. For classification that number is cross entropy: the surprise at seeing the right answer, given what
# the network believed.
#
# It is the module in which a careless line does the most harm. Written as the textbook has it, cross entropy is
# infinite or NaN for a confident network, and it may need ten times the memory of the network's output. Written well,
# it is exact at every size and its gradient is a subtraction.
#
# Three of your functions go into the framework: the one that picks the right class, the one that reduces a batch to a
# number, and the loss for targets that are probabilities.
#
# *Time: about 80 minutes. You need modules 01 to 03.*

# %%
import math

import numpy as np

import tinytorch as tt
from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.layers.functions import one_hot
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.types import bool_

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. From numbers to probabilities
#
# A classifier ends in one number for each class, the *logits* $x$. They become probabilities by
#
# $$\operatorname{softmax}(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}$$
#
# Adding a constant to all logits changes nothing, since it cancels. That freedom is what saves the computation. The
# loss needs the logarithm, and for any $m$
#
# $$\log \operatorname{softmax}(x)_i = (x_i - m) - \log \sum_j e^{x_j - m}$$
#
# With $m = \max_j x_j$ every exponent is at most 0, so nothing overflows; one exponent is exactly 0, so the sum is at
# least 1 and its logarithm is never that of 0. The two failures of the formula as it stands:

# %%
x = Tensor([[0.0, 200.0], [0.0, -1.0]])
print("naive   ", (x.exp() / x.exp().sum(-1, True)).log().tolist())
print("shifted ", x.log_softmax(-1).tolist())

# %% [markdown]
# **Exercise 1.** Write `stable_log_softmax`, along any axis. `x.max(dim, True)` gives the largest values and their
# places; `x.amax(dim, True)` gives the values alone.


# %% exercise="stable_log_softmax"
# Hint: keep the reduced axis with size 1, so that it broadcasts back.
def stable_log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """log(softmax(x)) along `dim`, of logits of any size. The shape of x."""
    ### BEGIN SOLUTION
    shifted = x - x.amax(dim, True)
    return shifted - shifted.exp().sum(dim, True).log()
    ### END SOLUTION


# %% test="stable_log_softmax"


def exact_log_softmax(x: np.ndarray, dim: int) -> np.ndarray:
    x = x.astype(np.float64)
    x = x - x.max(dim, keepdims=True)
    return x - np.log(np.exp(x).sum(dim, keepdims=True))


for scale in (1, 10, 1000, 1e30):
    values = (rng.normal(size=(4, 5, 3)) * scale).astype(np.float32)
    for dim in (-1, 0, 1):
        found = stable_log_softmax(Tensor(values), dim).numpy()
        assert np.isfinite(found).all(), f"not finite at logits of size {scale}: shift by the maximum first"
        assert np.allclose(found, exact_log_softmax(values, dim), rtol=1e-5, atol=1e-5), f"wrong along axis {dim}"
leaf = Tensor(rng.normal(size=(3, 4)), requires_grad=True)
other = Tensor(leaf.numpy().copy(), requires_grad=True)
g = Tensor(rng.normal(size=(3, 4)))
stable_log_softmax(leaf).backward(g)
other.log_softmax(-1).backward(g)
assert np.allclose(leaf.grad.numpy(), other.grad.numpy()), "its gradient differs from that of the package's log_softmax"
print("stable_log_softmax: finite and exact at every size, with the package's gradients")

# %% [markdown]
# ## 2. The surprise at the right class
#
# If the right class is $t$, the loss is $-\log p_t$: 0 if the network was certain of it, $\log C$ if it holds all $C$
# classes equally likely, and without limit as it becomes certain of another. In information theory it is the number
# of nats that the answer costs under the code that the network's belief defines.
#
# From a row of log probabilities one entry is to be picked, the one that the target names. Multiplying by a one-hot
# vector and adding up does it, with one trap: an impossible class has log probability $-\infty$, and $0 \cdot
# (-\infty)$ is NaN. Choosing, `where`, has no such trap.
#
# **Exercise 2.** Write `picked`. `one_hot(indices, size, bool_)` gives truth values `[…, size]`, and an error for an
# index that is out of range.

# %% exercise="picked"
# Hint: `where(chosen, rows, 0.0)` keeps one number in each row. Then add up and change the sign.
#| solution


# %% test="picked"
rows = Tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]])
assert picked(rows, Tensor([2, 0])).tolist() == [3.0, 4.0], (
    "minus the third of the first row, minus the first of the second"
)
assert picked(Tensor([-1.0, -7.0]), Tensor(1)).tolist() == 7.0, "a single row and a single index"
assert picked(Tensor([[-math.inf, -0.5]]), Tensor([1])).tolist() == [0.5], "an impossible class that is not the target"
assert picked(tt.zeros(2, 3, 4), tt.zeros(2, 3).long()).shape == (2, 3), "any number of leading axes"
try:
    picked(rows, Tensor([3, 0]))
except IndexError:
    print("picked: right, and refuses a class that does not exist")
else:
    raise AssertionError("class 3 of 3 does not exist; it should be an IndexError, not a silent 0")

# %% [markdown]
# ## 3. One number for a batch
#
# The losses of a batch become one number by their mean, so that the learning rate means the same for any batch; or by
# their sum; or they stay apart. A mean need not divide by their number: if some of the targets are padding, or
# classes are weighted, it divides by what counted.
#
# **Exercise 3.** Write `reduced`. `arguments.choice(what, "reduction", reduction, "mean", "sum", "none")` returns the
# choice, or raises an error that lists the three.

# %% exercise="reduced"
# Hint: three cases, and in that of the mean two, with and without `total`.
#| solution


# %% test="reduced"
losses = Tensor([1.0, 2.0, 6.0])
assert float(reduced("loss", losses, "mean")) == 3.0, "the mean of 1, 2 and 6 is 3"
assert float(reduced("loss", losses, "sum")) == 9.0, "their sum is 9"
assert reduced("loss", losses, "none").tolist() == [1.0, 2.0, 6.0], "none leaves them as they are"
assert float(reduced("loss", losses, "mean", Tensor(2.0))) == 4.5, "a mean divides by `total` where that is given"
assert float(reduced("loss", losses, "sum", Tensor(2.0))) == 9.0, "a sum divides by nothing"
try:
    reduced("loss", losses, "average")
except tt.TinyTorchError as error:
    print("reduced: right; an unknown reduction says:", error)
else:
    raise AssertionError('"average" is no reduction: an error should say so')

# %% [markdown]
# ## 4. The gradient is a subtraction
#
# For one row with target $t$, $L = -x_t + \log \sum_j e^{x_j}$. The derivative of the first term is $-1$ at the
# target, that of the second is the softmax:
#
# $$\frac{\partial L}{\partial x} = \operatorname{softmax}(x) - \operatorname{onehot}(t)$$
#
# What the network believed, minus what is true. Exponential and logarithm have cancelled: the gradient lies between
# -1 and 1 whatever the logits are, which is why this loss trains where others saturate. With a sigmoid or softmax and
# the
# *squared* error, a factor $p(1-p)$ stays, and a network that is certain and wrong learns nothing.
#
# **Exercise 4.** Write the gradient of the mean over a batch.


# %% exercise="cross_entropy_gradient"
# Hint: the mean divides by the number of rows, and so does its gradient.
def cross_entropy_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the mean cross entropy with respect to logits [n, C], for targets [n]."""
    ### BEGIN SOLUTION
    belief = logits.softmax(-1)
    truth = one_hot(targets, logits.shape[-1], logits.dtype)
    return (belief - truth) / logits.shape[0]
    ### END SOLUTION


# %% test="cross_entropy_gradient"
for scale in (1, 100):
    logits = Tensor((rng.normal(size=(6, 5)) * scale).astype(np.float32), requires_grad=True)
    targets = Tensor(rng.integers(0, 5, 6))
    tt.cross_entropy(logits, targets).backward()
    found = cross_entropy_gradient(logits.detach(), targets)
    assert found.shape == (6, 5), f"the gradient has the shape of the logits, got {found.shape}"
    assert np.allclose(found.numpy(), logits.grad.numpy(), atol=1e-6), (
        "it differs from autograd's: is it that of the mean?"
    )
    assert np.allclose(found.sum(-1).numpy(), 0, atol=1e-6), "each row sums to 0"
print("cross_entropy_gradient: the same as autograd finds")

# %% [markdown]
# ## 5. Targets that are probabilities
#
# Targets may be distributions themselves: soft labels of a teacher, or *smoothed* classes, where a part $\varepsilon$
# of the certainty is spread over all classes. Then
#
# $$H(t, p) = -\sum_i t_i \log p_i = \underbrace{-\sum_i t_i \log t_i}_{H(t)} + \underbrace{\sum_i t_i \log
# \frac{t_i}{p_i}}_{\mathrm{KL}(t \,\|\, p)}$$
#
# The first term is the entropy of the targets, on which the network has no influence. The second is the divergence, 0
# where the belief equals the targets. So the least loss is $H(t)$: with smoothing, a loss that does not reach 0 is no
# sign of a bad network.
#
# **Exercise 5.** Write `soft_losses`: first smooth the targets to $(1 - \varepsilon)\, t + \varepsilon / C$, then
# weight them by class if there are weights, then $-\sum t \log p$ along the last axis. `rows` are logits.

# %% exercise="soft_losses"
# Hint: `rows.log_softmax(-1)` is the package's, which is what you wrote in exercise 1.
#| solution


# %% test="soft_losses"
logits = rng.normal(size=(4, 5))
t = rng.dirichlet(np.ones(5), 4)
log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
found = soft_losses(Tensor(logits), Tensor(t), None, 0.0).numpy()
assert found.shape == (4,), f"one loss for each row, got {found.shape}"
assert np.allclose(found, -(t * log_p).sum(-1)), "-Σ t log p"
smooth = 0.9 * t + 0.1 / 5
found = soft_losses(Tensor(logits), Tensor(t), None, 0.1).numpy()
assert np.allclose(found, -(smooth * log_p).sum(-1)), "smoothing: (1 - ε) t + ε / C"
w = rng.uniform(1, 2, 5)
found = soft_losses(Tensor(logits), Tensor(t), Tensor(w), 0.1).numpy()
assert np.allclose(found, -(smooth * w * log_p).sum(-1)), "weights by class, of targets that were smoothed first"
print("soft_losses: right")

# %% [markdown]
# ## 6. Your loss as a graph
#
# The loss of a batch, written with your functions, and its gradient. `tt.grad` gives the function that computes the
# gradient; module 05 is about how.


# %%
def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return reduced("loss", picked(stable_log_softmax(logits), targets), "mean")


logits, targets = tt.randn(64, 10), Tensor(rng.integers(0, 10, 64))
compiled = tt.compile(tt.grad(loss))
apart = abs(compiled(logits, targets) - cross_entropy_gradient(logits, targets)).max()
print(f"compiled differs from your formula by at most {float(apart):.1e}")
print(compiled.graph)
compiled

# %% [markdown]
# The package's `cross_entropy` is one operation, for which a kernel keeps a row in cache: it finds the maximum, the
# sum and the result in one visit. Its gradient is your formula.
#
# ## 7. Systems analysis

# %%
from analyses import losses

losses.analyze(log_softmax=stable_log_softmax, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.CrossEntropyLoss` takes logits, as here; `NLLLoss` takes log probabilities; `BCEWithLogitsLoss` is the
# same for two classes. Passing probabilities where logits are expected is the most common mistake in the field, and
# no shape tells: the loss still falls, slowly. PyTorch's `ignore_index`, class weights and label smoothing mean what
# they mean here.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    values, classes = rng.normal(size=(8, 5)) * 20, rng.integers(0, 5, 8)
    ours = float(loss(Tensor(values), Tensor(classes)))
    theirs = float(torch.nn.functional.cross_entropy(torch.tensor(values), torch.tensor(classes)))
    print(f"class targets: {ours:.12f}, PyTorch {theirs:.12f}")
    soft = rng.dirichlet(np.ones(5), 8)
    ours = float(reduced("loss", soft_losses(Tensor(values), Tensor(soft), None, 0.1), "mean"))
    theirs = float(torch.nn.functional.cross_entropy(torch.tensor(values), torch.tensor(soft), label_smoothing=0.1))
    print(f"soft targets:  {ours:.12f}, PyTorch {theirs:.12f}")

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# Of the naive log-softmax, first the smallest and then the largest logits give wrong results as the size grows. Which
# function fails first, and with which result?

# %% [markdown] question="q2" points=2
# A language model has 50,257 tokens, a batch of 8 and 1,024 positions. How many bytes are the logits in f32? With the
# ratios in the table of memory, how many does the loss need with one-hot vectors, and with `cross_entropy`?

# %% [markdown] question="q3" points=1
# Training with a smoothing of 0.1 over 10 classes stops at a loss of 0.55. How far is the network from the best that
# is possible, in nats, and which row of the analysis tells?

# %% [markdown]
# ## Summary
#
# - Shift by the maximum before `exp`. It costs one pass and makes every logit safe.
# - Choose, do not multiply by 0: an infinity that does not matter must not become a NaN.
# - The gradient of cross entropy is belief minus truth, bounded and free of exponentials.
# - The least loss is the entropy of the targets.
# - A loss over many classes is a matter of memory: count what is kept in units of the logits.
#
# With layers and a loss you have all of milestone 1 but the derivative of everything at once. Module 05 builds it.
