# %% [markdown]
# # Module 04: Losses
#
# A network gives numbers; training needs one number that says how wrong they are, and a direction in which they would
# be less wrong. For classification that number is cross entropy: the surprise at seeing the right answer, given what
# the network believed.
#
# A careless line does much harm here. Written as the textbook has it, cross entropy is infinite or NaN for a confident
# network, and it may need ten times the memory of the network's output. Written well, it is right at every size, and
# its gradient is a subtraction.
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
# loss needs the logarithm of the probabilities, and for any $m$
#
# $$\log \operatorname{softmax}(x)_i = (x_i - m) - \log \sum_j e^{x_j - m}$$
#
# With $m = \max_j x_j$ every exponent is at most 0, so nothing overflows; one exponent is exactly 0, so the sum is at
# least 1 and its logarithm is never that of 0. (The last term together with $m$ is called *log-sum-exp*.) The formula
# as it stands fails in two ways: the exponential overflows, or the probability rounds to 0, of which the logarithm is
# -∞.

# %%
x = Tensor([[0.0, 200.0], [0.0, -200.0], [0.0, -1.0]])
naive, shifted = (x.exp() / x.exp().sum(-1, True)).log(), x.log_softmax(-1)
for logits, first, second in zip(x.tolist(), naive.tolist(), shifted.tolist(), strict=True):
    print(f"logits {logits}: naive {[round(v, 4) for v in first]}, shifted {[round(v, 4) for v in second]}")

# %% [markdown]
# **Exercise 1.** Write `stable_log_softmax`, along any axis. `x.amax(dim, True)` and `x.sum(dim, True)` reduce an axis,
# and keep it with size 1.


# %% exercise="stable_log_softmax"
# Hint: what is kept with size 1 broadcasts back. Shift first, and use the shifted logits from then on.
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
        right = np.allclose(found, exact_log_softmax(values, dim), rtol=1e-5, atol=1e-5)
        assert right, f"wrong along axis {dim}, at logits of size {scale}"
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
# classes equally likely, and without limit as it becomes certain of another. In information theory it is the length of
# the message that tells the answer, in a code made for what the network believes. With the natural logarithm, its unit
# is the *nat*; a bit is 0.69 nats.
#
# From a row of log probabilities one entry is to be picked, the one that the target names. Multiplying by a one-hot
# vector (1 at the target, 0 elsewhere) and adding up does it, with one trap: an impossible class has the log
# probability $-\infty$, and $0 \cdot (-\infty)$ is NaN. Choosing, by `where`, has no such trap.
#
# **Exercise 2.** Write `picked`: of `rows` `[…, C]` the entries that `indices` `[…]` name, with their signs changed.
# `one_hot(indices, size, bool_)` gives truth values `[…, size]`, and an error for an index that is out of range.

# %% exercise="picked"
# Hint: `where` keeps one number of each row and puts 0 for the others. What does the row then sum to?
#| solution


# %% test="picked"
rows = Tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]])
found = picked(rows, Tensor([2, 0])).tolist()
assert found == [3.0, 4.0], f"the third of the first row and the first of the second are 3 and 4, got {found}"
assert picked(Tensor([-1.0, -7.0]), Tensor(1)).tolist() == 7.0, "a single row and a single index give one number"
found = picked(Tensor([[-math.inf, -0.5]]), Tensor([1])).tolist()
assert found == [0.5], f"an impossible class that is not the target must not count: expected 0.5, got {found}"
found = picked(tt.zeros(2, 3, 4), tt.zeros(2, 3).long()).shape
assert found == (2, 3), f"rows [2, 3, 4] and indices [2, 3] give [2, 3], got {found}"
try:
    picked(rows, Tensor([3, 0]))
except IndexError:
    print("picked: right, and refuses a class that does not exist")
else:
    raise AssertionError("class 3 of 3 does not exist; it should be an IndexError, not a silent 0")

# %% [markdown]
# ## 3. One number for a batch
#
# The losses of a batch become one number by their mean, so that the size of the gradient does not depend on the size of
# the batch; or by their sum; or they stay apart. A mean need not divide by their number: if some of the targets do not
# count, or classes have weights, it divides by what counted.
#
# **Exercise 3.** Write `reduced`. `total` is what a mean divides by, where it is given. `what` is the name of the loss,
# for the error: `arguments.choice(what, "reduction", reduction, "mean", "sum", "none")` returns the choice, or raises
# an error that lists the three.

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
    print("reduced: right; an unknown reduction says:", str(error).splitlines()[0])
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
# What the network believed, minus what is true. Each entry lies between -1 and 1 whatever the logits are, and that of
# the right class comes near -1 where the network is certain of another. With a sigmoid and the *squared* error, a
# factor $p(1-p)$ stays: a network that is certain and wrong gets a gradient near 0, and learns nothing.
#
# **Exercise 4.** Write the gradient of the mean over a batch. `one_hot(targets, size, dtype)` gives zeros and ones.


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
    apart = float(abs(found - logits.grad).max())
    assert apart < 1e-6, f"it differs by {apart:.1e} from autograd's: is it the gradient of the mean?"
    assert np.allclose(found.sum(-1).numpy(), 0, atol=1e-6), "each row sums to 0"
print("cross_entropy_gradient: the same as autograd finds")

# %% [markdown]
# ## 5. Targets that are probabilities
#
# Targets may be probabilities themselves: what a larger network believes, or *smoothed* classes, where a part
# $\varepsilon$ of the certainty is spread over all classes. Then
#
# $$H(t, p) = -\sum_i t_i \log p_i = \underbrace{-\sum_i t_i \log t_i}_{H(t)} + \underbrace{\sum_i t_i \log
# \frac{t_i}{p_i}}_{\mathrm{KL}(t \,\|\, p)}$$
#
# The first term is the *entropy* of the targets, on which the network has no influence. The second is the
# *Kullback-Leibler divergence*: 0 where the belief equals the targets, and above 0 elsewhere. So the least loss is
# $H(t)$: with smoothing, a loss that does not reach 0 is no sign of a bad network.
#
# **Exercise 5.** Write `soft_losses`. `rows` are logits `[…, C]`, `targets` probabilities of the same shape. First
# smooth the targets to $(1 - \varepsilon)\, t + \varepsilon / C$, then multiply them by `weight` `[C]` if there is one,
# then take $-\sum_i t_i \log p_i$ along the last axis.

# %% exercise="soft_losses"
# Hint: `rows.log_softmax(-1)` is the package's, which is what you wrote in exercise 1.
#| solution


# %% test="soft_losses"
logits = rng.normal(size=(4, 5))
t = rng.dirichlet(np.ones(5), 4)
log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
found = soft_losses(Tensor(logits), Tensor(t), None, 0.0).numpy()
assert found.shape == (4,), f"one loss for each row, got {found.shape}"
assert np.allclose(found, -(t * log_p).sum(-1)), f"without smoothing -Σ t log p is {-(t * log_p).sum(-1)}, got {found}"
smooth = 0.9 * t + 0.1 / 5
found = soft_losses(Tensor(logits), Tensor(t), None, 0.1).numpy()
assert np.allclose(found, -(smooth * log_p).sum(-1)), "with smoothing, the targets are (1 - ε) t + ε / C"
w = rng.uniform(1, 2, 5)
found = soft_losses(Tensor(logits), Tensor(t), Tensor(w), 0.1).numpy()
assert np.allclose(found, -(smooth * w * log_p).sum(-1)), "the weights of classes multiply the smoothed targets"
print("soft_losses: right")

# %% [markdown]
# ## 6. Your loss as a graph
#
# The loss of a batch, written with your functions, and its gradient. `tt.grad(loss)` is the function that computes the
# gradient with respect to the first argument; module 05 is about how.


# %%
def loss(logits: Tensor, targets: Tensor) -> Tensor:
    return reduced("loss", picked(stable_log_softmax(logits), targets), "mean")


def gradient(logits: Tensor, targets: Tensor) -> Tensor:
    return tt.grad(loss)(logits, targets)


logits, targets = tt.randn(64, 10), Tensor(rng.integers(0, 10, 64))
compiled = tt.compile(gradient)
apart = abs(compiled(logits, targets) - cross_entropy_gradient(logits, targets)).max()
print(f"compiled differs from your formula by at most {float(apart):.1e}")
compiled

# %% [markdown]
# The first kernel checks the targets. The second is all the rest, forward and backward: it reads the logits and writes
# their gradient, and neither log probabilities nor one-hot vectors are ever in memory.
#
# The package's `cross_entropy`, and the class `tt.CrossEntropyLoss`, is one operation, with a kernel of its own and
# your formula as its gradient. When the module is complete, all losses run on your `reduced`, cross entropy with
# weights of classes on your `picked`, and that of probabilities on your `soft_losses`.
#
# ## 7. Systems analysis
#
# At which logits the formula as it stands fails; what loss and gradient need of memory in three ways, called as they
# stand (`gather` picks by index, as your `picked` does); what the least loss is; and whether your gradient is right.

# %%
from analyses import losses

losses.analyze(log_softmax=stable_log_softmax, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.CrossEntropyLoss` takes logits, as here; `NLLLoss` takes log probabilities; `BCEWithLogitsLoss` is the
# same for two classes. Passing probabilities where logits are expected is a common mistake, and no shape tells: the
# loss still falls, slowly. PyTorch's `ignore_index` (targets that do not count), class weights and label smoothing
# mean what they mean here.

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
# **Question 1.** Take the naive log-softmax of two logits, 0 and $-x$, and of 0 and $+x$. Which function fails in each
# case as $x$ grows, from about which $x$ on, and with which results? (The least f32 above 0 is about $e^{-103}$, the
# largest $e^{88.7}$.)

# %% [markdown] question="q2" points=2
# **Question 2.** A language model gives a logit for each of 50,257 tokens, at each of 1,024 positions of 8 texts. How
# many bytes are the logits in f32? With the ratios of the last row in the table of memory, how many does the loss need
# with one-hot vectors, and with `cross_entropy`?

# %% [markdown] question="q3" points=1
# **Question 3.** Training with a smoothing of 0.1 over 10 classes stops at a loss of 0.55. How far is the network from
# the best that is possible, in nats, and which row of the analysis tells?

# %% [markdown]
# ## Summary
#
# - Shift by the maximum before `exp`. It costs one pass and makes every logit safe.
# - Choose, do not multiply by 0: an infinity that does not matter must not become a NaN.
# - The gradient of cross entropy is belief minus truth, between -1 and 1 at any logits.
# - The least loss is the entropy of the targets.
# - A loss over many classes is a matter of memory: count what is kept in units of the logits.
#
# With layers and a loss you can train: `tito milestone run 1` trains a perceptron on your code. What finds all the
# derivatives there is still the package's own; module 05 builds it.
