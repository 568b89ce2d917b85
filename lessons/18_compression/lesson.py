# %% [markdown]
# # Module 18: Compression
#
# Train a large network, set most of its weights to 0, and train it a little more (**fine-tuning**): often it answers
# nearly as well as before. So these weights were not needed, at least not at the end. Which ones can go? How few are
# enough? And does a weight that is 0 save anything? The last answer is less pleasant than most people expect.
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
# After training the first derivative is near 0. What is left grows with w². If the second derivatives are not too
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
# 1. Count the elements that are not zero: `np.count_nonzero` of an array of f64, since numpy does not know all dtypes
#    of the framework. It takes -0.0 for a zero, and NaN for none, as it should.
# 2. The other elements are the zeros.

# %% exercise="zeros_of"
# Hint: `tensor.numel()` is the number of elements, `tensor.numpy().astype(np.float64)` the array.
#| solution

# %% test="zeros_of"
assert zeros_of(tt.Tensor([0.0, 1.0, -0.0, 2.0])) == Zeros(2, 4), "0.0 and -0.0 are two zeros of four elements"
assert zeros_of(tt.zeros(3, 5)) == Zeros(15, 15), "all 15 elements are zeros"
assert zeros_of(tt.ones(3, 5)) == Zeros(0, 15), "none of 15 elements is a zero"
assert zeros_of(tt.Tensor([float("nan"), 0.0])) == Zeros(1, 2), "NaN is no zero"
assert zeros_of(tt.ones(0)) == Zeros(0, 0), "a tensor without elements has no zeros"
assert zeros_of(tt.Tensor([0.0, 1e-30]).cast(tt.bf16)) == Zeros(1, 2), "a tiny number is none, in bf16 too"
print("zeros_of: right")

# %% [markdown]
# ### Exercise 2: sparsity of a model
#
# Pruning is for the weights of products. Biases and norms stay, so they must not count: `prunable(model)` gives the
# weights that do, by name. Layers quantized to 8 bits keep their weights in buffers, which count as well.
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
    assert "measure_sparsity" in str(error), "the error names the function that was called"
else:
    raise AssertionError("a list is no model")
print("measure_sparsity: right, also for quantized layers")

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
# 3. So many weights may go: `share` times the sum of all sizes, those of spared blocks included, by Python's `round`.
# 4. Add up the sizes in your order: `np.cumsum`. A block goes if the sum up to it, its own size included, is at most
#    the number of step 3.
# 5. Return a bool array, in the order of the *blocks*: True where one stays.

# %% exercise="kept_blocks"
# Hint: begin with `kept = np.ones(len(scores), np.bool_)`, and set `kept[order[goes]] = False`.
#| solution

# %% test="kept_blocks"
scores, ones = np.array([0.5, 0.1, 0.9, 0.3, 0.2]), np.ones(5, np.int64)
assert kept_blocks(scores, ones, [], 0.4).tolist() == [True, False, True, True, False], "the two smallest of five go"
assert kept_blocks(scores, ones, [], 0.0).all(), "a share of 0 takes nothing"
assert kept_blocks(scores, ones, [], 0.5).sum() == 3, "half of 5 weights are 2.5, rounded to 2"
assert kept_blocks(scores, ones, [], 0.55).sum() == 2, "0.55 of 5 weights are 2.75, rounded to 3"
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
print("kept_blocks: the smallest go, the spared stay")

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
# together, they go first. The ranking means something *after* training, or where layers begin alike.

# %% [markdown]
# ## Part 3: a pattern for hardware
#
# Zeros in any place are hard to use: with each weight that is left, its place must be stored. A pattern helps. **2:4**
# keeps the two largest of each four neighbouring weights of a row: half of all, always, with two bits for the place of
# each. Some graphics processors multiply such matrices at twice the rate.
#
# ### Exercise 4: the n largest of each m
#
# `values` are magnitudes. Along `axis`, in groups of m, the n largest get True.
#
# 1. Move the axis to the end: `np.moveaxis(values, axis, -1)`.
# 2. If m does not divide its length, pad the last group with -1.0. That is below all magnitudes, so a real element
#    always ranks above the padding.
# 3. Reshape to [..., groups, m], and find the rank of each element in its group, 0 for the smallest: `argsort` of
#    `argsort`, both with `kind="stable"`. Of equal elements the last then ranks highest.
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
assert n_of_m_mask(np.zeros((2, 6)), 2, 4, 1).tolist() == [[False, False, True, True, True, True]] * 2, (
    "zeros are above the padding"
)
found = n_of_m_mask(rng.random((4, 8, 3, 3)), 2, 4, 1)
assert found.shape == (4, 8, 3, 3) and found.dtype == np.bool_, "a bool array of the shape of the values"
assert found.mean() == 0.5, "half of the weights of a convolution stay"
print("n_of_m_mask: right along every axis")

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
# A network that loses nearly all weights at once also loses what it has learned. If it loses a few before each epoch,
# training can make up for it. Take many at the beginning, when there are many to spare, and few at the end. From the
# sparsity `start`, $s_0$, to the last one, `sparsity`, $s_1$ (Zhu and Gupta 2017):
#
# $$s(t) = s_1 + (s_0 - s_1) (1 - t)^3, \qquad
# t = \frac{\text{epoch} - \text{begin}}{\text{end} - \text{begin}} \in [0, 1]$$
#
# ### Exercise 5: the schedule
#
# 1. Before `begin`, nothing is pruned: 0.
# 2. From `end` on, it is `sparsity`. Ask for this before you divide: `end` may equal `begin`.
# 3. In between, the formula.

# %% exercise="sparsity_at"
# Hint: the same formula gives step 2 with t = 1.
#| solution

# %% test="sparsity_at"
assert sparsity_at(0, 2, 10, 0.0, 0.9) == 0.0 and sparsity_at(1.9, 2, 10, 0.3, 0.9) == 0.0, "nothing goes before begin"
assert abs(sparsity_at(2, 2, 10, 0.3, 0.9) - 0.3) < 1e-12, "it begins with start"
assert abs(sparsity_at(6, 2, 10, 0.0, 0.8) - 0.7) < 1e-12, "half way, 7/8 are reached"
assert sparsity_at(10, 2, 10, 0.0, 0.9) == 0.9 and sparsity_at(50, 2, 10, 0.0, 0.9) == 0.9, "it ends with sparsity"
assert sparsity_at(3, 3, 3, 0.0, 0.9) == 0.9, "begin and end may be the same epoch"
print("sparsity_at: right before, between and after")

# %% [markdown]
# ## Pruning a network that has learned something
#
# Points around 60 centres, ten classes. The same network is pruned to 95 % at once, at the end or halfway, or step by
# step over 12 epochs. In each case it trains for 16 epochs in all; what differs is how many are left after pruning.

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
    ("at once, halfway", lambda epoch: 0.95 if epoch >= 8 else 0.0),
    ("little by little", lambda epoch: sparsity_at(epoch, 2, 14, 0.0, 0.95)),
):
    accuracy, zeros = run(shares)
    print(f"{name:20} accuracy {accuracy:.1%} with {zeros:.1%} of zeros")

# %% [markdown]
# ## Do zeros save anything?
#
# In a dense product, no: it multiplies by them. But a compiler that *sees* the weights can leave them out.
# `freeze=True` makes constants of them, and where it pays, the product becomes a sparse one. Compare the kinds of
# kernels (`contract` is a dense product), and look at the graph of the frozen layer.

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
# ## Whole neurons, and lottery tickets
#
# Zeros in any place are **unstructured** pruning. **Structured** pruning takes whole neurons: a row of one weight
# matrix, the column of the next that reads it, and a bias. What is left is a smaller dense network, which is faster
# everywhere. `tt.prune_channels` does this. With a share s of the neurons gone on both sides of a matrix, (1 - s)² of
# its weights are left.
#
# And why not train the small network from the start? Frankle and Carbin (2019) trained a network, pruned it, set the
# weights that were left back to *their own* initial values, and trained again: it learned well. With the same zeros
# and *other* initial values it learned less well. They called the first a **winning ticket**. The last measurement
# below repeats this experiment, and prunes half of what is left in each round.
#
# ## Systems analysis
#
# Measured with *your* functions: time and bytes by the share of zeros, accuracy with and without fine-tuning,
# structure, and lottery tickets. The full measurements are written by `tinytorch analyze 18`.

# %%
from analyses import compression

compression.analyze(magnitude_prune=prune, measure_sparsity=measure_sparsity, quick=True).show()

# %% [markdown] question="q1" points=2
# **Question 1.** From the first table: with 90 % pruned, how many times as fast as the dense network are zeros in a
# dense product, zeros that the compiler saw, and fewer neurons? How many times as fast would operations alone make each
# of the three? Say what the difference comes from.

# %% [markdown] question="q2" points=2
# **Question 2.** The table of lottery tickets (the last one) has a row for each round. Say what is the same in both
# columns and what differs. Which conclusion does the last row allow? Which would need more measurements, and which
# ones?

# %% [markdown] question="q3" points=1
# **Question 3.** You may remove half of the neurons, or as many single weights. When would you choose each? Use the
# measured times, bytes and accuracies.

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
    print(f"{same:.1%} of the weights are the same after pruning to 70 %")

# %% [markdown]
# ## Questions to think about
#
# 1. Magnitude ignores the second derivative. Think of a layer whose inputs are all small: what happens to its
#    weights?
# 2. From which sparsity on is a list of (value, index) smaller than the dense matrix, for indices of 4 bytes and of
#    1 byte?
# 3. Why does a 2:4 pattern cost more accuracy than the same number of zeros in any place?
# 4. Removing a neuron removes a row here and a column there. What else must go with it in a network with residuals?
# 5. You know the winning ticket only after training the large network. What is it good for, then?
#
# ## What you have now
#
# - You can measure the sparsity of a model, and prune it by magnitude in the whole, by pattern, and little by
#   little.
# - The framework's `magnitude_prune`, `prune_n_of_m` and `GradualPruning` run on your functions.
# - You know which zeros save time: those that a compiler may leave out, and those that make the matrix smaller.
# - Next, in module 19: how to say "faster" so that it is true.
