# %% [markdown]
# # Module 18: Compression
#
# Train a network, set nine tenths of its weights to 0, train it a little more: often it answers as well as before.
# So most weights were not needed, at least not at the end. Which ones? How few are enough? And does a weight that
# is 0 save anything? The last question has a less pleasant answer than most people expect.
#
# In this lesson you write
#
# 1. the **measure**: how many weights of a model are zero,
# 2. the **choice**: which weights go when the smallest go, in the whole model together,
# 3. a pattern that hardware likes: the **n largest of each m**,
# 4. a **schedule**, by which a model loses its weights little by little while it learns.
#
# *Time: about 90 minutes. You need modules 01 to 17.*

# %%
from collections.abc import Sequence

import numpy as np

import tinytorch as tt
from tinytorch import Module, Tensor, i8
from tinytorch.frontend import arguments
from tinytorch.frontend.compression.sparsity import Sparsity, Zeros
from tinytorch.frontend.compression.targets import prunable
from tinytorch.frontend.module.masks import set_mask
from tinytorch.ir.op import Array

rng = np.random.default_rng(0)

# %% [markdown]
# ## The mathematics: what a weight is worth
#
# Let w be one weight of a trained network with the loss L. Setting it to 0 changes the loss, to second order, by
#
# $$\Delta L \approx -w \frac{\partial L}{\partial w} + \frac{1}{2} w^2 \frac{\partial^2 L}{\partial w^2}.$$
#
# Behind training the first derivative is near 0. What is left grows with w². If the second derivatives are not too
# different, the weights of smallest **magnitude** |w| are the cheapest to lose. This is magnitude pruning. It needs
# no data, and it is hard to beat.
#
# The **sparsity** of a model is the share of its weights that are 0. A sparsity of 0.9 leaves one weight in ten.

# %% [markdown]
# ## Part 1: the measure
#
# ### Exercise 1: zeros of a tensor
#
# `Zeros(zeros, elements)` holds two counts. `zeros_of` makes one of a tensor.
#
# 1. Count the elements that are not zero, `np.count_nonzero`. Convert to f64 before, as numpy cannot count all
#    dtypes.
# 2. The others are zeros. -0.0 is one, too; NaN is none.

# %% exercise="zeros_of"
# Hint: `tensor.numel()` is the number of elements.
#| solution

# %% test="zeros_of"
assert zeros_of(tt.Tensor([0.0, 1.0, -0.0, 2.0])) == Zeros(2, 4)
assert zeros_of(tt.zeros(3, 5)) == Zeros(15, 15) and zeros_of(tt.ones(3, 5)) == Zeros(0, 15)
assert zeros_of(tt.Tensor([float("nan"), 0.0])) == Zeros(1, 2), "NaN is no zero"
assert zeros_of(tt.ones(0)) == Zeros(0, 0)
assert zeros_of(tt.Tensor([0.0, 1e-30]).cast(tt.bf16)) == Zeros(1, 2), "a tiny number is none, in bf16 too"

# %% [markdown]
# ### Exercise 2: sparsity of a model
#
# Pruning is for the weights of products. Biases and norms stay, so they must not count: `prunable(model)` gives the
# names of the weights that do. Layers quantized to 8 bits keep their weights in buffers, which count as well.
#
# 1. Check that `model` is a `Module`: `arguments.instance("measure_sparsity", "model", model, Module)`.
# 2. Collect the buffers of dtype `i8` with two axes or more, by name: `model.named_buffers()`.
# 3. Put all parameters and these buffers into one dictionary of tensors.
# 4. Return `Sparsity(zeros of each tensor by name, names of the weights)`. It is a float, and prints as a table.

# %% exercise="measure_sparsity"
# Hint: the names of the weights are those of `prunable(model)`, then those of the buffers, in one tuple.
#| solution

# %% test="measure_sparsity"
tt.manual_seed(0)
model = tt.Sequential(tt.Linear(4, 8), tt.LayerNorm(8), tt.Linear(8, 2))
assert measure_sparsity(model) == 0, "a fresh model has no zero weights; zeros of biases do not count"
model[0].weight.data[:] = 0
assert abs(measure_sparsity(model) - 32 / 48) < 1e-12, "32 of the 48 weights of products are 0"
found = measure_sparsity(model)
assert found.parameters["0.weight"] == Zeros(32, 32) and "1.weight" in found.parameters, (
    "all parameters are in the table"
)
assert abs(measure_sparsity(tt.quantize(model)) - 32 / 48) < 0.05, "weights in buffers of 8 bits count, too"
assert measure_sparsity(tt.LayerNorm(8)) == 0, "without weights of products it is 0"
try:
    measure_sparsity([1, 2])
except tt.TinyTorchError as error:
    assert "measure_sparsity" in str(error)
else:
    raise AssertionError("a list is no model")

# %% [markdown]
# ## Part 2: the choice
#
# We rank *all* weights of a model together, not those of each layer: a layer with many small weights then loses
# more of them. One thing must not happen. If all weights of a layer went, nothing would come through any more; so
# the largest weight of each parameter is **spared**.
#
# To prune single weights or whole blocks of them by the same function, it works on blocks: each has a score and a
# size. For single weights the score is |w|, and each size is 1.
#
# ### Exercise 3: which blocks stay
#
# 1. Sort the blocks by their score, the smallest first: `np.argsort(scores, kind="stable")`, so that of equal
#    scores the first come first.
# 2. Take the spared ones out of this order. `np.isin` finds them.
# 3. Add up the sizes in that order: `np.cumsum`. A block goes if this sum, it included, is at most `share` of all
#    weights (the spared ones counted), rounded to a whole number.
# 4. Return a bool array, in the order of the *blocks*: True where one stays.

# %% exercise="kept_blocks"
# Hint: begin with `kept = np.ones(len(scores), np.bool_)`, and set `kept[order[goes]] = False`.
#| solution

# %% test="kept_blocks"
scores, ones = np.array([0.5, 0.1, 0.9, 0.3, 0.2]), np.ones(5, np.int64)
assert kept_blocks(scores, ones, [], 0.4).tolist() == [True, False, True, True, False], "the two smallest of five go"
assert kept_blocks(scores, ones, [], 0.0).all(), "a share of 0 takes nothing"
assert kept_blocks(scores, ones, [], 0.5).sum() == 3, "2.5 weights are rounded to 2"
assert kept_blocks(scores, ones, [1], 0.4).tolist() == [True, True, True, False, False], "block 1 is spared"
assert kept_blocks(scores, ones, [2], 0.99).tolist() == [False, False, True, False, False], "the spared one is left"
assert kept_blocks(np.zeros(4), np.ones(4, np.int64), [], 0.5).tolist() == [False, False, True, True], (
    "the first go first"
)
sizes = np.array([4, 4, 2, 4, 2])
assert kept_blocks(scores, sizes, [], 0.4).tolist() == [True, False, True, True, False], (
    "6 of 16 weights go, 0.4 are 6.4"
)
assert kept_blocks(scores, sizes, [], 0.3).tolist() == [True, False, True, True, True], (
    "0.3 are 4.8: one block of 4 goes"
)

# %% test="kept_blocks" hidden=true
### BEGIN HIDDEN TESTS
for share in (0.1, 0.5, 0.9):
    tt.manual_seed(0)
    theirs = tt.magnitude_prune(tt.Sequential(tt.Linear(20, 30), tt.ReLU(), tt.Linear(30, 10)), share)
    tt.manual_seed(0)
    fresh = tt.Sequential(tt.Linear(20, 30), tt.ReLU(), tt.Linear(30, 10))
    flat = [np.abs(p.numpy().astype(np.float64)).ravel() for p in fresh.parameters() if p.ndim > 1]
    spared = [int(flat[0].argmax()), len(flat[0]) + int(flat[1].argmax())]
    ours = kept_blocks(np.concatenate(flat), np.ones(900, np.int64), spared, share)
    assert np.array_equal(ours, np.concatenate([p.numpy().ravel() != 0 for p in theirs.parameters() if p.ndim > 1]))
### END HIDDEN TESTS

# %% [markdown]
# With it, a model is pruned in ten lines. A pruned weight would come back with the next step of an optimizer, by
# its momentum if not by its gradient. So each weight gets a **mask**, which belongs to the tensor: gradients are
# masked as they arrive, and a step ends by writing zeros again.


# %%
def prune(model, share, per_layer=False):
    """Prune single weights of a model in place, by `kept_blocks`."""
    weights = [p for p in model.parameters() if p.ndim > 1]
    for group in [[w] for w in weights] if per_layer else [weights]:
        scores = [np.abs(w.numpy().astype(np.float64)).ravel() for w in group]
        starts = np.cumsum([0, *(len(s) for s in scores)])
        spared = [int(start + s.argmax()) for start, s in zip(starts, scores, strict=False)]
        flat = np.concatenate(scores)
        kept = kept_blocks(flat, np.ones(len(flat), np.int64), spared, share)
        for w, part in zip(group, np.split(kept, starts[1:-1]), strict=True):
            set_mask(w, part.reshape(w.shape))
    return model


tt.manual_seed(0)
model = prune(tt.Sequential(tt.Linear(20, 100), tt.ReLU(), tt.Linear(100, 10)), 0.9)
print(measure_sparsity(model))

# %% [markdown]
# Look at the second layer: 999 of its 1000 weights are gone, and the last one is there because it is spared. This
# model has learned nothing yet. Its second layer has more inputs, and so began with smaller weights; ranked
# together, they go first. The ranking means something *behind* training, or where layers begin alike.

# %% [markdown]
# ## Part 3: a pattern for hardware
#
# Zeros in any place are hard to use: each weight that is left must bring its place along. A pattern helps. **2:4**
# keeps the two largest of each four weights in a row along the inputs: half of all, always, with two bits for the
# place of each. Some processors multiply such matrices at twice the rate.
#
# ### Exercise 4: the n largest of each m
#
# `values` are magnitudes. Along `axis`, in groups of m, the n largest get True.
#
# 1. Move the axis to the end: `np.moveaxis(values, axis, -1)`.
# 2. If m does not divide its length, pad the last group with -1.0: below all magnitudes, so padding is never among
#    the largest (unless the group has fewer than n elements, which then all stay).
# 3. Reshape to [..., groups, m], and find the rank of each element in its group: `argsort` of `argsort`, both
#    stable. Of equal elements the last is then the largest.
# 4. The ranks m - n and above stay. Undo the reshape, cut the padding off, and move the axis back.

# %% exercise="n_of_m_mask"
# Hint: `-length % m` elements are missing. np.ascontiguousarray brings the result into row-major order.
#| solution

# %% test="n_of_m_mask"
row = np.array([[0.1, 0.9, 0.5, 0.2, 0.3, 0.3, 0.3, 0.3]])
assert n_of_m_mask(row, 2, 4, 1).tolist() == [[False, True, True, False, False, False, True, True]], (
    "of equal ones the last"
)
values = rng.random((6, 10))
assert (n_of_m_mask(values, 1, 5, 1).reshape(6, 2, 5).sum(2) == 1).all(), "one of each five in a row"
assert (n_of_m_mask(values, 2, 3, 0).reshape(2, 3, 10).sum(1) == 2).all(), "along axis 0"
short = n_of_m_mask(np.array([[1.0, 2.0, 3.0, 4.0, 0.0]]), 2, 4, 1)
assert short.tolist() == [[False, False, True, True, True]], "a last group of one element keeps it, be it 0"
assert n_of_m_mask(np.zeros((2, 6)), 2, 4, 1).tolist() == [[False, False, True, True, True, True]] * 2
found = n_of_m_mask(rng.random((4, 8, 3, 3)), 2, 4, 1)
assert found.shape == (4, 8, 3, 3) and found.dtype == np.bool_ and found.mean() == 0.5, "weights of convolutions"

# %% test="n_of_m_mask" hidden=true
### BEGIN HIDDEN TESTS
for n, m in ((1, 4), (3, 4), (2, 8), (4, 4)):
    layer = tt.Linear(19, 12)
    mask = n_of_m_mask(np.abs(layer.weight.numpy().astype(np.float64)), n, m, 1)
    tt.prune_n_of_m(layer, n, m)
    assert np.array_equal(mask, layer.weight.numpy() != 0), f"{n} of {m}"
### END HIDDEN TESTS

# %% [markdown]
# ## Part 4: little by little
#
# A network that loses nine tenths at once loses its memory, too. If it loses a few weights before each epoch,
# training can make up for it. Take much at the beginning, when there is much to spare, and little at the end:
#
# $$s(t) = s_1 + (s_0 - s_1) (1 - t)^3, \qquad
# t = \frac{\text{epoch} - \text{begin}}{\text{end} - \text{begin}} \in [0, 1]$$
#
# ### Exercise 5: the schedule
#
# 1. Before `begin`, nothing is pruned: 0.
# 2. From `end` on, the sparsity is reached. Look at this first: `end` may equal `begin`.
# 3. In between, the formula.

# %% exercise="sparsity_at"
# Hint: t is 1 from `end` on.
#| solution

# %% test="sparsity_at"
assert sparsity_at(0, 2, 10, 0.0, 0.9) == 0.0 and sparsity_at(1.9, 2, 10, 0.3, 0.9) == 0.0, "nothing before begin"
assert abs(sparsity_at(2, 2, 10, 0.3, 0.9) - 0.3) < 1e-12, "it begins with start"
assert abs(sparsity_at(6, 2, 10, 0.0, 0.8) - 0.7) < 1e-12, "half way, 7/8 are reached"
assert sparsity_at(10, 2, 10, 0.0, 0.9) == 0.9 and sparsity_at(50, 2, 10, 0.0, 0.9) == 0.9, "it ends with sparsity"
assert sparsity_at(3, 3, 3, 0.0, 0.9) == 0.9, "begin and end may be the same epoch"

# %% [markdown]
# ## Pruning a network that has learned something
#
# Points around 60 centres, ten classes. The same network is pruned to 95 % at once, or step by step over 12 epochs;
# in both cases it trains for as long in all.

# %%
centres = rng.standard_normal((60, 32))


def points(count):
    which = rng.integers(0, 60, count)
    x = centres[which] + 0.75 * rng.standard_normal((count, 32))
    return tt.Tensor(x.astype(np.float32)), tt.Tensor(which % 10)


train, test = points(8192), points(4096)
batches = [(train[0][i : i + 256], train[1][i : i + 256]) for i in range(0, 8192, 256)]


def run(share_of_epoch, epochs=16):
    """Train; before each epoch the model is pruned to a share."""
    tt.manual_seed(0)
    model = prune(tt.Sequential(tt.Linear(32, 128), tt.ReLU(), tt.Linear(128, 128), tt.ReLU(), tt.Linear(128, 10)), 0.0)
    trainer = tt.Trainer(model, tt.AdamW(model.parameters(), lr=3e-3), tt.CrossEntropyLoss(), progress=False)
    for epoch in range(epochs):
        prune(model, share_of_epoch(epoch))
        trainer.train_epoch(batches)
    with tt.no_grad():
        return float((model(test[0]).numpy().argmax(1) == test[1].numpy()).mean()), float(measure_sparsity(model))


for name, shares in (
    ("dense", lambda epoch: 0.0),
    ("at once, at the end", lambda epoch: 0.95 if epoch >= 15 else 0.0),
    ("little by little", lambda epoch: sparsity_at(epoch, 2, 14, 0.0, 0.95)),
):
    accuracy, zeros = run(shares)
    print(f"{name:20} accuracy {accuracy:.1%} with {zeros:.1%} of zeros")

# %% [markdown]
# ## Do zeros save anything?
#
# In a dense product, no: it multiplies by them. But a compiler that *sees* the weights can leave them out.
# `freeze=True` makes constants of them, and where it pays, the product becomes a sparse one. Compare the two
# graphs.

# %%
tt.manual_seed(0)
layer = prune(tt.Linear(512, 512), 0.9)
x = tt.Tensor(rng.standard_normal((16, 512)).astype(np.float32))
dense, frozen = tt.compile(layer), tt.compile(layer, freeze=True)
dense(x), frozen(x)
for name, compiled in (("not frozen", dense), ("frozen", frozen)):
    kernels = [node for node in compiled.graph.nodes if node.op.kind == "kernel"]
    print(f"{name}: {', '.join(node.attrs['family'] for node in kernels)}")
frozen

# %% [markdown]
# ## Systems analysis
#
# Measured with *your* functions: time and bytes by the share of zeros, accuracy with and without more training,
# structure, and the lottery ticket experiment. The full measurements are written by `tinytorch analyze 18`.

# %%
from analyses import compression

compression.analyze(magnitude_prune=prune, measure_sparsity=measure_sparsity, quick=True).show()

# %% [markdown] question="q1" points=2
# **Question 1.** From the first table: with 90 % pruned, how many times as fast as the dense network are zeros in a
# dense product, zeros that the compiler saw, and fewer neurons? Explain the order of the three from operations and
# bytes, and say why none of the quotients is 10.

# %% [markdown] question="q2" points=2
# **Question 2.** The lottery ticket table has a row for each round. Describe what is the same in both columns and
# what is different. Which conclusion does the last row allow, and which would need more measurements (which ones)?

# %% [markdown] question="q3" points=1
# **Question 3.** You may remove half of the neurons, or as many single weights. For which machine and which batch
# would you choose each? Use the measured numbers.

# %% [markdown]
# ## What PyTorch does
#
# `torch.nn.utils.prune` replaces a parameter by two, `weight_orig` and `weight_mask`, and multiplies them before
# each forward. Here the mask belongs to the tensor, a forward costs nothing more, and optimizers keep the zeros.
# The choice itself is the same.

# %%
try:
    import torch
    import torch.nn.utils.prune as torch_prune
except ImportError:
    print("PyTorch is not installed; nothing is compared")
else:
    layer = tt.Linear(64, 32)
    theirs = torch.nn.Linear(64, 32)
    theirs.weight.data = torch.from_numpy(layer.weight.numpy().copy())
    torch_prune.l1_unstructured(theirs, "weight", 0.7)
    prune(layer, 0.7)
    same = (theirs.weight.detach().numpy() == layer.weight.numpy()).mean()
    print(f"{same:.1%} of the weights are the same behind pruning to 70 %")

# %% [markdown]
# ## Questions to think about
#
# 1. Magnitude ignores the second derivative. Think of a layer whose inputs are all small: what happens to its
#    weights?
# 2. From which sparsity on is a list of (value, index) smaller than the dense matrix, for indices of 4 bytes and of
#    1 byte?
# 3. Why does a 2:4 pattern cost more accuracy than the same number of zeros in any place?
# 4. Removing a neuron removes a row here and a column there. What else must go along in a network with residuals?
# 5. If most weights are not needed, why not train the small network from the start?
#
# ## What you have now
#
# - You can measure the sparsity of a model, and prune it by magnitude in the whole, by pattern, and little by
#   little.
# - The framework's `magnitude_prune`, `prune_n_of_m` and `GradualPruning` run on your functions.
# - You know which zeros save time: those that a compiler may leave out, and those that make the matrix smaller.
# - Next, in module 19: how to say "faster" so that it is true.
