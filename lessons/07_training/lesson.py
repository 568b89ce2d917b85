# %% [markdown]
# # Module 07: Training
#
# You have layers, losses, gradients and optimizers. Training is the loop that ties them together, and the dozen small
# decisions in it: how large a batch, which rate at which epoch, what to do with a gradient that is far too long, when
# to stop.
#
# You will write that loop, first by hand and then as the step that `tt.Trainer` compiles: forward, backward, clipping
# and update as one native call.
#
# **You need** modules 01 to 06. **It takes** about 100 minutes.
#
# ## Why it matters
#
# - Mistakes in these lines raise no error: gradients that were not forgotten, a mean of means, a schedule that is off
#   by one. The model is just worse.
# - The size of the batch decides how much memory a step takes. Knowing what each sample costs tells you what fits
#   before you try.
# - Warm-up, cosine and clipping are in the recipe of nearly every large model. Here you write and measure each of them.

# %%
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import Tensor, TinyTorchError
from tinytorch.frontend import arguments
from tinytorch.frontend.module import Module
from tinytorch.frontend.module.tracked import TrackedList
from tinytorch.frontend.optimizers import Optimizer
from tinytorch.frontend.training.position import Counts
from tinytorch.frontend.training.schedule import Metrics
from tinytorch.frontend.training.steps import Hits, LossFunction, Precision, Step, Totals, class_hits, zero_grad
from tinytorch.insight.tables import kernels_table
from tinytorch.insight.text import as_text
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f32

stack = tt.stack

# %% [markdown]
# ## The data and the model
#
# Three spiral arms in the plane: 960 points, and the question on which arm each lies. No line can tell them apart; a
# network of two hidden layers can.

# %%
from analyses.training import network, points

inputs, labels = points(960)


def batches(size: int, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """The points in random order, in batches; the last may be smaller."""
    order = np.random.default_rng(seed).permutation(len(labels))
    parts = [order[at : at + size] for at in range(0, len(order), size)]
    return [(Tensor(inputs[part]), Tensor(labels[part])) for part in parts]


print(network())
print(batches(64)[0][0].type, batches(64)[0][1].type, len(batches(64)), "batches")

# %% [markdown]
# ## The mathematics
#
# The loss of a model is a mean over all $N$ samples, $\mathcal L = \frac1N \sum_i \ell_i$. A random batch $B$ of $b$
# samples gives an estimate of its gradient, $\frac1b \sum_{i \in B} \nabla \ell_i$: right on average, with a variance
# that falls as $1/b$.
#
# Two consequences, which you will need below:
#
# - The mean loss of an epoch is *not* the mean of the means of its batches, unless all have the same size. Weigh each
#   by its samples.
# - Gradients add up. Split a batch of $N$ into parts of $n_k$ samples, and
#   $\nabla \mathcal L = \sum_k \frac{n_k}{N} \nabla \mathcal L_k$. So the gradient of a large batch can be had in the
#   memory of a small one.

# %% [markdown]
# ## Step 1: an epoch by hand
#
# An *epoch* is one pass over all batches, each of which is a pair of inputs and targets.
#
# 1. For each batch: forget old gradients, compute the loss, go backward, step. In this order.
# 2. Add up the loss times the number of samples, and the samples.
# 3. Return the mean over samples, as a float.
#
# **Hint.** `float(loss)` reads the number out of a tensor, and `x.shape[0]` is the number of samples. If you forget to
# forget, gradients pile up from batch to batch, and every step follows the sum of all earlier ones.


# %% exercise="epoch"
def train_epoch(model: Any, optimizer: Any, loss_fn: Any, batches: Any) -> float:
    """One pass over (inputs, targets) with an update after each; the mean loss over all samples."""
    ### BEGIN SOLUTION
    total, samples = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        total += float(loss) * x.shape[0]
        samples += x.shape[0]
    return total / samples
    ### END SOLUTION


# %% test="epoch"
class Probe:
    """A model of one number, w, with the loss w * x: its gradient is the mean of x."""

    def __init__(self) -> None:
        self.w = tt.Parameter(Tensor(np.array(1.0)))

    def __call__(self, x: Tensor) -> Tensor:
        return self.w * x


probe = Probe()
uneven = [(Tensor(np.array([1.0, 1.0, 1.0])), None), (Tensor(np.array([5.0])), None)]
mean = train_epoch(probe, tt.SGD([probe.w], lr=0.1, momentum=0.0), lambda out, _: out.mean(), uneven)
assert np.isclose(float(probe.w.detach()), 1 - 0.1 * 1 - 0.1 * 5), (
    "each step follows the gradient of its own batch alone"
)
assert np.isclose(mean, (3 * 1.0 + 1 * 0.9 * 5) / 4), (
    f"the mean is over samples, so that the batch of three counts three times: 1.875, got {mean}"
)
model = network()
optimizer = tt.SGD(model.parameters(), lr=0.1)
history = [train_epoch(model, optimizer, tt.CrossEntropyLoss(), batches(64, epoch)) for epoch in range(5)]
assert history[-1] < 0.75 * history[0], f"the loss should fall, got {history}"
print("losses:", " ".join(f"{loss:.3f}" for loss in history))

# %% [markdown]
# ## Step 2: one norm for all gradients
#
# Now and then a batch gives a gradient many times as long as usual, and one step undoes many. *Clipping* scales all
# gradients together so that their joint length is at most $c$: the direction stays, the length does not
# (Pascanu et al. 2013). Clipping each tensor by itself would turn the direction.
#
# First the length:
#
# $$\lVert g \rVert = \sqrt{\textstyle\sum_{\text{tensors}} \sum_i g_i^2},$$
#
# or with another order $p$ the $p$-th root of the sum of $|g_i|^p$, or for $p = \infty$ the largest $|g_i|$.
#
# 1. Of no tensors, the norm is an f32 zero without axes.
# 2. Tensors of fewer than 32 bits are added up in f32: cast them (`t.dtype.bits`, `t.cast(f32)`).
# 3. One number for each tensor: `(t * t).sum()`, or `t.abs().pow(order).sum()`, or `t.abs().amax()`.
# 4. `stack(list)` makes a vector of these; sum it (or take its largest), and take the root.
#
# **Hint.** `t.detach()` first: a norm is not part of the model. Everything stays in tensors; a `float()` here could not
# be compiled.

# %% exercise="norm"
#| solution


# %% test="norm"
some = [Tensor(np.array([[3.0, 0.0]])), Tensor(np.array([4.0])), Tensor(np.array([-12.0]))]
found = float(joint_norm(some, 2.0))
assert np.isclose(found, 13.0), f"the root of the sum of all squares, 9 + 16 + 144, is 13: got {found}"
assert np.isclose(float(joint_norm(some, 1.0)), 19.0), "order 1: the sum of absolute values"
assert np.isclose(float(joint_norm(some, 3.0)), (27 + 64 + 1728) ** (1 / 3)), "order 3: the third root of sums of cubes"
assert float(joint_norm(some, math.inf)) == 12.0, "order infinity: the largest absolute value, whatever its sign"
assert float(joint_norm([], 2.0)) == 0.0 and joint_norm([], 2.0).shape == (), "no tensors: 0, without axes"
many = [Tensor(np.ones(4096, np.float32)).to(tt.bfloat16)]
assert float(joint_norm(many, 2.0)) == 64.0 and joint_norm(many, 2.0).dtype == f32, "bf16 is added up in f32"

# %% [markdown]
# ## Step 3: clipping
#
# Multiply every gradient, in place, by $\min(1,\ c / (\lVert g \rVert + 10^{-6}))$.
#
# 1. The factor is a tensor, computed once. There is no `if`: a factor of 1 changes nothing, and a trace cannot branch
#    on a value.
# 2. `gradient.mul_(…)` changes in place. Cast the factor to the gradient's dtype.
#
# **Hint.** `some_tensor.minimum(1.0)` is the smaller of the two, element by element.

# %% exercise="clip"
#| solution


# %% test="clip"
some = [Tensor(np.array([3.0])), Tensor(np.array([4.0]))]
kept = some[0]
scale_to_norm(some, 2.5, Tensor(np.array(5.0)))
assert np.allclose([float(g[0]) for g in some], [1.5, 2.0], rtol=1e-5), (
    f"a norm of 5 becomes 2.5: all are halved, in place; got {[float(g[0]) for g in some]}"
)
assert some[0] is kept, "in place: the tensors that the optimizer holds must change"
scale_to_norm(some, 10.0, Tensor(np.array(2.5)))
assert np.allclose([float(g[0]) for g in some], [1.5, 2.0], rtol=1e-5), "a short gradient is never made longer"
mixed = [Tensor(np.array([3.0, 4.0], np.float32)).to(tt.bfloat16)]
scale_to_norm(mixed, 1.0, Tensor(np.array(5.0, np.float32)))
assert mixed[0].dtype == tt.bfloat16, "a bf16 gradient stays bf16"


# %%
def clip_grad_norm(parameters: Any, max_norm: float) -> Tensor:
    """Your two functions, together: the norm before, and gradients that are no longer than `max_norm`."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    with tt.no_grad():
        norm = joint_norm(gradients, 2.0)
        scale_to_norm(gradients, max_norm, norm)
    return norm


# %% [markdown]
# ## Step 4: a learning rate over time
#
# Early on, a large rate is dangerous: the moments of the optimizer are young and the activations not yet settled. Late,
# a large rate is noise: the model circles around the minimum. So the rate rises in a straight line for `warmup_epochs`,
# then falls along half a cosine:
#
# $$\eta(e) = \begin{cases}
#   \eta_{\max}\,\dfrac{e + 1}{w + 1} & e < w\\
#   \eta_{\min} + (\eta_{\max} - \eta_{\min})\,\dfrac{1 + \cos(\pi d)}{2} & e \ge w,
#   \quad d = \min\!\left(\dfrac{e - w}{T - w},\ 1\right)
# \end{cases}$$
#
# Here $w$ is `warmup_epochs` and $T$ is `total_epochs`. Write `get_lr`. Epochs count from 0 and may be fractions: 2.5
# is halfway through the third.
#
# **Hint.** Check the ends by hand: the first epoch has a rate above 0 (a rate of 0 would waste it), the warm-up meets
# $\eta_{\max}$ exactly at $e = w$, and after $T$ the rate stays at $\eta_{\min}$.

# %% exercise="cosine"
#| solution


# %% test="cosine"
flat = CosineSchedule(max_lr=1.0, min_lr=0.2, total_epochs=10)
assert np.allclose([flat.get_lr(e) for e in (0, 5, 10)], [1.0, 0.6, 0.2]), (
    "without warm-up: max_lr at the beginning, the mean of both halfway, min_lr at total_epochs"
)
assert np.isclose(flat.get_lr(25), 0.2), "after total_epochs the rate stays at min_lr; a cosine would rise again"
warm = CosineSchedule(max_lr=1.0, min_lr=0.0, total_epochs=12, warmup_epochs=4)
assert np.allclose([warm.get_lr(e) for e in range(5)], [0.2, 0.4, 0.6, 0.8, 1.0]), "warm-up meets max_lr at its end"
assert np.isclose(warm.get_lr(8), 0.5), "the cosine runs over what is left: 8 is the middle of 4 to 12"
assert np.isclose(warm.get_lr(1.5), 0.5), "fractions of epochs are allowed"

# %% test="cosine" hidden=true
for low, high, length, first in ((0.001, 0.3, 7, 2), (0.0, 5.0, 31, 0)):
    schedule = CosineSchedule(high, low, length, first)
    rates = [schedule.get_lr(first + (length - first) * part) for part in (0, 1 / 3, 2 / 3, 1)]
    assert np.allclose(rates, [high, low + 0.75 * (high - low), low + 0.25 * (high - low), low]), (
        f"{schedule}: after a third of the cosine, a quarter of the way from max_lr to min_lr is done"
    )

# %%
from analyses.drawing import chart

figure, axes = chart("epoch", "learning rate")
epochs = np.linspace(0, 14, 200)
for name, schedule in (("no warm-up, 0.2 at epoch 10", flat), ("warm-up to epoch 4, 0 at epoch 12", warm)):
    axes.plot(epochs, [schedule.get_lr(e) for e in epochs], label=name)
axes.legend(fontsize=8)
figure

# %% [markdown]
# ## Step 5: the step that compiles
#
# `tt.Trainer` runs an object of the class `TrainStep` for each batch. Its parts:
#
# - `self.forward(inputs, targets)` computes the loss and adds it to totals that live in a tensor, together with the
#   *hits*, the number of right answers. So an epoch's mean needs no `float()` in the loop: nothing leaves the compiled
#   code until the epoch is over.
# - `zero_grad(self.optimizers)` forgets the gradients of all optimizers.
# - `self.precision.scaled(loss)` is what `backward()` begins with: here the loss itself. Mixed precision (module 16)
#   will scale it.
# - `self.precision.update(self.optimizers, self.max_norm)` clips where there is a `max_norm`, steps, and returns how
#   many updates that was.
# - `self.counts.add(batches=1, updates=…)` counts the batch, **last of all**: whatever interrupts the step, the count
#   says whether it is done.
#
# Write `__call__`. It returns nothing.
#
# **Hint.** It is the loop's body of step 1, in the names of this list.

# %% exercise="step"
#| solution


# %% test="step"
def step_for(model: Any, optimizer: Any, max_norm: float | None = None) -> Any:
    return TrainStep(model, tt.CrossEntropyLoss(), class_hits, Totals(), Precision(), [optimizer], max_norm, Counts())


def weights_after(run: Any, max_norm: float | None = None) -> tuple[Any, Any]:
    model = network()
    step = step_for(model, tt.SGD(model.parameters(), lr=0.1), max_norm)
    for p in model.parameters():
        p.grad = p.detach() * 0 + 100.0  # what an earlier program may have left behind
    compiled = run(step)
    for x, y in batches(256):
        compiled(x, y)
    return [p.numpy().copy() for p in model.parameters()], step


model = network()
train_epoch(model, tt.SGD(model.parameters(), lr=0.1), tt.CrossEntropyLoss(), batches(256))
eager, step = weights_after(lambda step: step)
assert all(np.allclose(a, p.numpy(), atol=1e-5) for a, p in zip(eager, model.parameters(), strict=True)), (
    "the step should do what your loop does, and start from no gradients"
)
assert step.counts.values == [4, 0, 4], "four batches, none waiting, four updates"
assert step.totals.samples == 960 and 0 < step.totals.loss < 2, "forward() adds the loss of each sample to the totals"
compiled, _ = weights_after(tt.compile)
assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(eager, compiled, strict=True)), "compiled equals eager"
clipped, _ = weights_after(lambda step: step, max_norm=1e-3)
start = [p.numpy() for p in network().parameters()]
moved = math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(clipped, start, strict=True)))
longest = 0.1 * 1e-3 * (1 + 1.9 + 2.71 + 3.44)  # momentum 0.9 adds up gradients of norm 1e-3, over four steps
assert 0 < moved < 1.01 * longest, f"with max_norm every step has a short gradient: the weights moved by {moved:.1e}"

# %% [markdown]
# ### Your graph
#
# The whole step is one graph: the loss, its backward pass, one norm over all gradients, the updates, and two counters.
# Look at the table of kernels below. The norm must be known before the first weight moves, so clipping cuts the step in
# two: gradients are written to memory, and read again when the norm is known.

# %%
model = network()
whole = tt.compile(step_for(model, tt.SGD(model.parameters(), lr=0.1), 1.0))
whole(*batches(64)[0])
print(as_text(kernels_table(whole.explain().kernels)))
whole

# %% [markdown]
# ## Step 6: the gradient of a large batch, in the memory of a small one
#
# Compute the gradients of the mean loss over **all** samples of several micro-batches.
#
# 1. Count all samples, $N$.
# 2. Forget what is in `p.grad` of each parameter: set it to None.
# 3. For each micro-batch: its loss times $n_k / N$, and backward. Gradients add up in `p.grad` where nobody forgets
#    them; leave the sums there.
#
# **Hint.** A mean of the gradients with equal weights is right only if all parts have the same size. The test has a
# small last part, as every real epoch does.


# %% exercise="accumulate"
def accumulate(model: Any, loss_fn: Any, batches: Any) -> None:
    """Leave the gradients of the mean loss over all samples of (inputs, targets) in the parameters."""
    ### BEGIN SOLUTION
    samples = sum(x.shape[0] for x, _ in batches)
    for p in model.parameters():
        p.grad = None
    for x, y in batches:
        (loss_fn(model(x), y) * (x.shape[0] / samples)).backward()
    ### END SOLUTION


# %% test="accumulate"
def gradients_of(parts: Sequence[tuple[Tensor, Tensor]]) -> list[Any]:
    model = network()
    for p in model.parameters():
        p.grad = p.detach() * 0 + 7.0
    accumulate(model, tt.CrossEntropyLoss(), parts)
    return [p.grad.numpy() for p in model.parameters()]


direct = network()
tt.CrossEntropyLoss()(direct(Tensor(inputs)), Tensor(labels)).backward()
whole_batch = [p.grad.numpy() for p in direct.parameters()]
for size in (960, 480, 100, 37):
    parts = gradients_of(batches(size))
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(parts, whole_batch, strict=True)), (
        f"micro-batches of {size} (the last has {960 % size or size}) should make the gradient of the whole"
    )

# %% [markdown]
# `tt.Trainer(…, accumulate=4)` does the same over every four batches with two compiled functions, one that adds up and
# one that updates.
#
# ## Step 7: when to stop
#
# A model that still gets better on what it trains on may already get worse on what it does not. Early stopping watches
# the loss or the accuracy on a *validation set*, samples that are kept out of training, and gives up after `patience`
# epochs without progress.
#
# Write `update(metrics, epoch)`:
#
# 1. The value is `metrics.loss` or `metrics.accuracy`, by `self.monitor`; without an accuracy to monitor, raise a
#    TinyTorchError.
# 2. The gain is how much better it is than `self.best`. Less loss is better, more accuracy is better; the first value
#    is always a gain.
# 3. More than `self.min_delta` of gain: note `best`, `best_epoch`, and wait from 0 again; return True.
# 4. Else count one more epoch in `self.waited`; return False.
#
# **Hint.** `self.best` is None until the first value. A gain of `math.inf` is more than any `min_delta`.

# %% exercise="stopping"
#| solution


# %% test="stopping"
watch = EarlyStopping(patience=2, min_delta=0.1)
found = [watch.update(Metrics(loss, None), epoch) for epoch, loss in enumerate([1.0, 0.95, 0.8, 0.85, 0.75])]
assert found == [True, False, True, False, False], "0.95 is better than 1.0 by less than min_delta: no progress"
assert (watch.best, watch.best_epoch, watch.waited, watch.stopped) == (0.8, 2, 2, True), (
    f"the best is 0.8, of epoch 2, and two epochs were waited since: got {watch}"
)
watch = EarlyStopping(patience=1, monitor="accuracy")
assert [watch.update(Metrics(0.0, a), 0) for a in (0.5, 0.6, 0.6)] == [True, True, False], (
    "accuracy is better when larger"
)
try:
    watch.update(Metrics(0.5, None), 4)
except TinyTorchError:
    pass
else:
    raise AssertionError("no accuracy to monitor is an error")

# %% [markdown]
# ## All of it
#
# Your step, schedule and clipping, 30 epochs. The rate changes with every batch, and nothing is compiled again.

# %%
model = network()
optimizer = tt.AdamW(model.parameters())
step = step_for(model, optimizer, 1.0)
compiled = tt.compile(step)
schedule = CosineSchedule(max_lr=0.02, min_lr=0.0002, total_epochs=30, warmup_epochs=3)
for epoch in range(30):
    step.totals.set([0, 0, 0, 0])
    shuffled = batches(64, epoch)
    for number, (x, y) in enumerate(shuffled):
        optimizer.lr = schedule.get_lr(epoch + number / len(shuffled))
        compiled(x, y)
    if epoch % 6 == 5:
        print(
            f"epoch {epoch + 1}: rate {optimizer.lr:.5f}, loss {step.totals.loss:.4f}, "
            f"accuracy {step.totals.accuracy:.1%}"
        )

# %% [markdown]
# Each point of the plane has the colour of the arm that the model takes it for; the dots are the points of the data.

# %%
from analyses.drawing import COLOURS

grid = np.stack(np.meshgrid(np.linspace(-2.2, 2.2, 160), np.linspace(-2.2, 2.2, 160)), -1).astype(np.float32)
answer = model(Tensor(grid.reshape(-1, 2))).numpy().argmax(1).reshape(160, 160)
figure, axes = chart("x₁", "x₂", width=4.6, height=4.4)
axes.contourf(grid[..., 0], grid[..., 1], answer, levels=[-0.5, 0.5, 1.5, 2.5], alpha=0.25, colors=COLOURS[:3])
for arm in range(3):
    axes.plot(*inputs[labels == arm].T, ".", markersize=3, color=COLOURS[arm])
figure

# %% [markdown]
# `tt.Trainer` is this loop, with a line of progress, a history, checkpoints and more. Once you have completed the
# module, the steps that it compiles are yours.

# %%
model = network()
optimizer = tt.AdamW(model.parameters())
trainer = tt.Trainer(model, optimizer, tt.CrossEntropyLoss(), max_norm=1.0, schedule=schedule, progress=False)
trainer.fit(batches(64), epochs=30)
print(trainer.evaluate(batches(64)))

# %% [markdown]
# ## Systems analysis
#
# What a larger batch costs in memory and in convergence, what accumulation gives back, and what warm-up does, with your
# clipping and your schedule.

# %%
from analyses import training

training.analyze(clip_grad_norm=clip_grad_norm, Schedule=CosineSchedule, quick=True).show()

# %% [markdown]
# ## Beside PyTorch
#
# PyTorch has the parts, `torch.nn.utils.clip_grad_norm_` and `torch.optim.lr_scheduler.CosineAnnealingLR`, and leaves
# the loop to you. Its schedules are objects that step along with the epochs; `get_lr(epoch)` here is a function of the
# epoch alone, so a run that is taken up again has the right rate without a state.

# %%
from analyses.measuring import torch_if_installed

torch = torch_if_installed()
if torch:
    values = np.random.default_rng(0).standard_normal(1000)
    ours, theirs = Tensor(values.copy()), torch.nn.Parameter(torch.zeros(1000, dtype=torch.float64))
    theirs.grad = torch.tensor(values)
    scale_to_norm([ours], 3.0, joint_norm([ours], 2.0))
    torch.nn.utils.clip_grad_norm_([theirs], 3.0)
    print("largest difference from torch's clipping:", abs(ours.numpy() - theirs.grad.numpy()).max())
    rate = torch.optim.SGD([theirs], lr=1.0)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(rate, T_max=10, eta_min=0.2)
    cosine, pairs = CosineSchedule(max_lr=1.0, min_lr=0.2, total_epochs=10), []
    for epoch in range(10):
        pairs.append((cosine.get_lr(epoch), rate.param_groups[0]["lr"]))
        rate.step()
        annealing.step()
    print("largest difference from torch's cosine:", max(abs(a - b) for a, b in pairs))
else:
    print("PyTorch is not installed; the tests above stand for themselves.")

# %% [markdown] question="q1" points=1
# **Question 1.** From your table of memory: how many bytes does one more sample in the batch cost, and how many does
# the model cost without any? At which batch are both equal?

# %% [markdown] question="q2" points=1
# **Question 2.** At the same rate, batches of 16 reached a lower loss than batches of 256 in the same number of epochs.
# Say why, and what you would change so that the large batch catches up.

# %% [markdown] question="q3" points=1
# **Question 3.** Accumulation over eight micro-batches gives the gradient of the large batch. What does it cost in time
# per sample on your machine, and where does that time go?

# %% [markdown] question="q4" points=1
# **Question 4.** Clipping needs the norm of all gradients before it may change one weight. What can the compiler then
# no longer fuse (compare with the graph of module 06), and how many bytes more does the step move for each parameter?

# %% [markdown] question="q5" points=1
# **Question 5.** A colleague reports the mean of the losses of 16 batches, of which 15 have 64 samples and the last has
# 7. Which weight does the last batch get, and which should it get? By how much is the mean wrong if its loss is 1 above
# that of the others?

# %% [markdown]
# ## Summary
#
# - A step is: forget, forward, backward, clip, update, count. The order is the algorithm.
# - Means are over samples. Gradients of parts, weighted by their samples, are those of the whole.
# - Clipping keeps the direction of all gradients together. It needs one number from all of them, before any update.
# - Warm-up and cosine are a function of the epoch, and nothing else.
# - Memory is a constant and a number of bytes for each sample: you can predict what fits.
# - Your `TrainStep`, `CosineSchedule`, `EarlyStopping` and clipping now drive `tt.Trainer`, and milestone 2 trains
#   MNIST with them.
