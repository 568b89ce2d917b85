# %% [markdown]
# # Module 16: Acceleration
#
# Two programs do the same 268 million operations. One takes many seconds, the other a few milliseconds. The mathematics
# is the same. What differs is how often a number that was loaded is used again, how many operations one instruction
# does, and how many bytes a number takes.
#
# In this lesson you build two ways to make a program faster:
#
# 1. **Reuse.** You write a product of matrices in blocks, count what it loads, and then hand the product to the
#    compiler.
# 2. **Fewer bits.** Products can be computed in 16-bit floats, if small gradients are kept from becoming 0. You
#    write the two functions that do this, and train with them.
#
# *Time: about 90 minutes. You need modules 01 to 15.*

# %%
import time
from collections.abc import Sequence

import numpy as np

import tinytorch as tt
from tinytorch import Tensor, f32, stack, where
from tinytorch.frontend.acceleration.products import compiled_product
from tinytorch.frontend.tensor.gradients import require_tensor

rng = np.random.default_rng(0)

# %% [markdown]
# ## The mathematics: operations for a byte
#
# A product of matrices [m, k] @ [k, n] needs, for each of its mn results, k multiplications and k additions: 2mkn
# operations. Its operands and its result are mk + kn + mn numbers. Divide the operations by the bytes that are
# moved, and you have the **intensity**. For square matrices of f32, each moved once,
#
# $$\frac{2n^3}{4 \cdot 3n^2} = \frac{n}{6} \text{ operations for a byte.}$$
#
# A machine can do P operations and move B bytes in a second. Work of intensity I then takes at least
#
# $$\text{time} \ge \max\left(\frac{\text{operations}}{P}, \frac{\text{bytes}}{B}\right),$$
#
# so it does at most min(P, I B) operations a second. This is the **roofline**. Left of the corner I = P/B, memory
# is the limit; right of it, arithmetic is. A product of large matrices lies far to the right, *if* every number is
# moved once. Three plain loops are not so kind: they move a number each time they use it.

# %% [markdown]
# ## Part 1: reuse
#
# Let the caches hold three blocks of b by b numbers, one of each matrix. Cut all three matrices into such blocks. A
# block of the result is a sum of products of blocks:
#
# $$C_{IJ} = \sum_K A_{IK} B_{KJ}$$
#
# Each product of two blocks loads 2b² numbers and does 2b³ operations. There are (n/b)³ of them, so all together
# load 2n³/b numbers: b times fewer than the plain loops, which load 2n³.
#
# ### Exercise 1: a product in blocks
#
# 1. Make the result, zeros of shape [m, n], f32.
# 2. Go through the blocks of rows i, of columns j, and of the inner axis k, in steps of `block`.
# 3. Add the product of the block of `a` at (i, k) and the block of `b` at (k, j) to the block of the result at (i,
#    j).
# 4. The last block of an axis may be smaller. Slices of numpy end at the end of the array by themselves.


# %% exercise="blocked_matmul"
# Hint: three loops of the form `for i in range(0, m, block):`; a block of a is `a[i : i + block, k : k + block]`.
# The product of two small blocks, `@`, stands for what a kernel does in registers.
def blocked_matmul(a, b, block=32):
    """a [m, k] @ b [k, n] as f32[m, n], in blocks of at most block by block."""
    ### BEGIN SOLUTION
    m, inner = a.shape
    n = b.shape[1]
    out = np.zeros((m, n), np.float32)
    for i in range(0, m, block):
        for j in range(0, n, block):
            for k in range(0, inner, block):
                rows, columns, terms = slice(i, i + block), slice(j, j + block), slice(k, k + block)
                out[rows, columns] += a[rows, terms] @ b[terms, columns]
    return out
    ### END SOLUTION


# %% test="blocked_matmul"
for m, k, n, block in ((64, 64, 64, 32), (10, 7, 5, 4), (33, 65, 17, 16), (1, 9, 1, 2), (5, 5, 5, 100)):
    a, b = rng.standard_normal((m, k)).astype(np.float32), rng.standard_normal((k, n)).astype(np.float32)
    found = blocked_matmul(a, b, block)
    assert found is not None and found.shape == (m, n), f"the result of {m}, {k}, {n} has the shape [{m}, {n}]"
    assert found.dtype == np.float32, "the result is f32"
    np.testing.assert_allclose(found, a @ b, rtol=1e-4, atol=1e-4, err_msg=f"sizes {m}, {k}, {n}, blocks of {block}")
print("blocked_matmul: right for every size and block")

# %% test="blocked_matmul" hidden=true
### BEGIN HIDDEN TESTS
seen = []


class Counted(np.ndarray):
    """Remembers the sizes of the blocks that are multiplied."""

    def __matmul__(self, other):
        seen.append((*self.shape, other.shape[1]))
        return np.asarray(self) @ np.asarray(other)


a, b = (rng.standard_normal((20, 20)).astype(np.float32) for _ in range(2))
np.testing.assert_allclose(blocked_matmul(a.view(Counted), b, 8), a @ b, rtol=1e-4, atol=1e-4)
assert len(seen) == 27 and max(map(max, seen)) == 8, "multiply blocks by `@`, none larger than block by block"
### END HIDDEN TESTS

# %% [markdown]
# The same operations in blocks of four sizes: the numbers that are loaded, and the times (the best of three).


# %%
def loaded(n, block):
    """Numbers that a product of [n, n] matrices loads, in blocks."""
    return 2 * n**3 // block


n = 256
a, b = (rng.standard_normal((n, n)).astype(np.float32) for _ in range(2))
print("block   numbers loaded   time, ms")
for block in (8, 16, 64, 256):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        blocked_matmul(a, b, block)
        times.append(time.perf_counter() - start)
    print(f"{block:5} {loaded(n, block):16,} {min(times) * 1e3:10.2f}")

# %% [markdown]
# With small blocks nearly all of the time is Python's, which runs (n/b)³ steps. The last row is a single `@` of numpy,
# whose library makes blocks of its own. A compiled kernel pays nothing for a step and still needs blocks, in three
# sizes at once: a block of sums that fits into the registers, one of operands that fits into the first cache, one for
# the second. It also uses vectors (16 f32 in one AVX-512 instruction), fused multiply-adds (two operations in one), and
# a thread for each core.
#
# ### Exercise 2: the product, compiled
#
# `compiled_product(type_a, type_b)` gives a compiled function for operands of these very types, and keeps it. With
# it, `vectorized_matmul` is short:
#
# 1. Check both operands with `require_tensor(what, operand)`. It raises an error that begins with `what`, the name of
#    your function.
# 2. Ask for the product of the types of `a` and `b`, and call it.

# %% exercise="vectorized_matmul"
# Hint: a tensor knows its type: `a.type` prints as f32[64,128].
#| solution

# %% test="vectorized_matmul"
for left, right in (((3, 4), (4, 5)), ((4,), (4, 2)), ((2, 1, 3, 4), (5, 4, 3))):
    a, b = (tt.Tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True) for shape in (left, right))
    product = vectorized_matmul(a, b)
    assert isinstance(product, tt.Tensor), "the result is a tensor"
    np.testing.assert_allclose(product.numpy(), np.matmul(a.numpy(), b.numpy()), rtol=1e-4, atol=1e-4)
    product.sum().backward()
    assert a.grad is not None and b.grad is not None, "gradients flow through it"
try:
    vectorized_matmul(np.ones((2, 2)), tt.ones(2, 2))
except tt.TinyTorchError as error:
    assert "vectorized_matmul" in str(error), "the error names the function that was called"
else:
    raise AssertionError("an array is no tensor: check the operands")
misses = compiled_product.cache_info().misses
for _ in range(2):
    vectorized_matmul(tt.ones(3, 17), tt.ones(17, 2))
assert compiled_product.cache_info().misses == misses + 1, "`compiled_product` compiles new types, and once"
print("vectorized_matmul: right, with gradients, and compiled once for each pair of types")

# %% [markdown]
# This is the graph that was compiled: one node, a kernel. All of the blocks are inside of it. The drawing shows the
# time that the roofline predicts.

# %%
a, b = (tt.Tensor(rng.standard_normal((256, 256)).astype(np.float32)) for _ in range(2))
compiled = tt.compile(vectorized_matmul)
compiled(a, b)
print(compiled.graph)
compiled

# %% [markdown]
# ## Part 2: sixteen bits
#
# In half the bytes, twice as many numbers move in a second, and many processors multiply 16-bit floats at twice the
# rate or more. There are two kinds:
#
# | | exponent | fraction | smallest positive | largest | step at 1 |
# | --- | --- | --- | --- | --- | --- |
# | f32 | 8 bits | 23 bits | 1.4e-45 | 3.4e38 | 1.2e-7 |
# | bf16 | 8 bits | 7 bits | 9.2e-41 | 3.4e38 | 7.8e-3 |
# | f16 | 5 bits | 10 bits | 6.0e-8 | 65504 | 9.8e-4 |
#
# bf16 has the range of f32, but only two to three digits. f16 has three to four, but gradients are often tiny, and
# what is below 3e-8, half of its smallest number, becomes 0.

# %%
tiny = tt.Tensor([1e-2, 1e-5, 1e-7, 1e-9])
print("f16: ", tiny.cast(tt.f16).cast(tt.f32))
print("bf16:", tiny.cast(tt.bf16).cast(tt.f32))

# %% [markdown]
# The remedy is **loss scaling**. Backward is linear in the gradient that it begins with, so
#
# $$\nabla (s L) = s \, \nabla L.$$
#
# Multiply the loss by s, and all gradients are s times as large, now inside the range of f16. Parameters are kept
# in f32 (**master weights**), and there the gradients are divided by s again.
#
# Which s? As large as possible, but not so large that a gradient overflows. That is not known beforehand, and it
# changes while the model learns. So the rule finds it by trying:
#
# - If a gradient is infinite or NaN, the step is left out, and the scale is halved.
# - After a number of good steps in a row (2000, say), the scale is doubled.
#
# ### Exercise 3: is everything finite?
#
# A single infinity in a single gradient spoils the step, and must be found wherever it is. Return a *tensor* of one
# bool, so that the answer is a node of a compiled step. (A Python `if` on a traced tensor is an error.)
#
# 1. Leave out gradients without elements (`g.numel()`); if none is left, the answer is `Tensor(True)`.
# 2. Find the largest and the smallest element of each, cast to f32. Both are NaN where an element is NaN.
# 3. `stack` them, and take the largest of the largest and the smallest of the smallest.
# 4. All are finite if the one is below infinity and the other above minus infinity. A comparison with NaN is false,
#    so NaN needs no case of its own.

# %% exercise="all_finite"
# Hint: `g.amax()`, `g.amin()`, `stack([...]).amax()`; combine two bool tensors with `&`.
#| solution

# %% test="all_finite"
good = [tt.ones(3), tt.Tensor([[-1e30, 1e30]]), tt.zeros(2, 2)]
assert isinstance(all_finite(good), tt.Tensor), "the answer is a tensor, not a bool"
assert bool(all_finite(good)), "large numbers are finite"
for bad in (np.inf, -np.inf, np.nan):
    for place in range(3):
        gradients = [tt.ones(2, 3) for _ in range(3)]
        gradients[place] = tt.Tensor([[1.0, bad, 0.0]])
        assert not bool(all_finite(gradients)), f"{bad} in gradient {place} was not seen"
assert bool(all_finite([])) and bool(all_finite([tt.ones(0), tt.ones(1)])), "nothing is nothing infinite"
assert not bool(all_finite([tt.Tensor([np.inf]).cast(tt.f16), tt.ones(2)])), "f16 and f32 together"
print("all_finite: sees every infinity and every NaN")

# %% test="all_finite" hidden=true
### BEGIN HIDDEN TESTS
compiled_all_finite = tt.compile(lambda a, b: all_finite([a, b]))
assert bool(compiled_all_finite(tt.ones(3), tt.ones(2, 2)))
assert not bool(compiled_all_finite(tt.ones(3), tt.Tensor([[1.0, np.nan], [1.0, 1.0]])))
assert not bool(compiled_all_finite(tt.Tensor([1.0, -np.inf, 1.0]), tt.ones(2, 2)))
### END HIDDEN TESTS

# %% [markdown]
# ### Exercise 4: the next scale
#
# The rule in tensors, again without `if`, so that it is a part of the compiled step. `scale` is what was used, `good`
# the number of good steps in a row before this one, and `overflow` says whether this one was bad.
# `where(condition, a, b)` is `a` where the condition is true, and `b` where it is not.
#
# 1. Count the step: `good + 1`.
# 2. The scale grows if there are now `growth_interval` good steps in a row or more.
# 3. The larger scale is `scale * growth_factor`, or the old one if that would be infinite.
# 4. After an overflow the new scale is `scale * backoff_factor`, whatever the count says.
# 5. The count starts again from 0 after an overflow and after a growth.

# %% exercise="next_scale"
# Hint: write the result for a good step first, then choose: `where(overflow, …, …)`. `x.isfinite()` is a bool tensor,
# and `|` is "or" of two.
#| solution


# %% test="next_scale"
def step_of(scale, good, overflow, interval=3):
    found = next_scale(tt.Tensor(np.float32(scale)), tt.Tensor(np.int64(good)), tt.Tensor(overflow), 2.0, 0.5, interval)
    assert found is not None and len(found) == 2, "give the scale and the count"
    return float(found[0]), int(found[1])


assert step_of(1024, 0, False) == (1024, 1), "a good step is counted, and changes no scale"
assert step_of(1024, 1, False) == (1024, 2), "two good steps are not three"
assert step_of(1024, 2, False) == (2048, 0), (
    "the third good step in a row doubles the scale, and the count begins again"
)
assert step_of(1024, 0, True) == (512, 0), "an overflow halves the scale"
assert step_of(1024, 2, True) == (512, 0), "an overflow halves the scale also where it would have grown"
assert step_of(2.0**127, 2, False) == (2.0**127, 0), "a scale that would be infinite stays"
print("next_scale: halves, waits and doubles as it should")

# %% test="next_scale" hidden=true
### BEGIN HIDDEN TESTS
scale, good = tt.Tensor(np.float32(65536.0)), tt.Tensor(np.int64(0))
rule = tt.compile(lambda scale, good, overflow: next_scale(scale, good, overflow, 4.0, 0.25, 2))
history = []
for overflow in (True, False, False, False, True, False, False):
    scale, good = rule(scale, good, tt.Tensor(overflow))
    history.append((float(scale), int(good)))
assert history == [(16384, 0), (16384, 1), (65536, 0), (65536, 1), (16384, 0), (16384, 1), (65536, 0)]
### END HIDDEN TESTS

# %% [markdown]
# Your rule as a graph: selections (`where`), no branch. (`isfinite` is x - x = 0, which is false for infinity and NaN.)
# The compiler makes one kernel of it.

# %%
rule = tt.compile(next_scale)
rule(tt.Tensor(np.float32(1024)), tt.Tensor(np.int64(0)), tt.Tensor(False), 2.0, 0.5, 2000)
print(rule.traced_graph)
rule

# %% [markdown]
# ## A step of training in mixed precision
#
# Everything together, by hand: the loss is scaled, products run in f16 (`tt.autocast`), gradients are looked at,
# divided by the scale, and used only if they are finite. The last column says whether the step was left out.

# %%
tt.manual_seed(0)
inputs = tt.Tensor(rng.standard_normal((256, 20)).astype(np.float32))
targets = tt.Tensor((inputs.numpy()[:, :3].sum(1) > 0).astype(np.int64))
model = tt.Sequential(tt.Linear(20, 64), tt.ReLU(), tt.Linear(64, 2))
optimizer = tt.SGD(model.parameters(), lr=0.1)
loss_fn = tt.CrossEntropyLoss()
scale, good = tt.Tensor(np.float32(2.0**22)), tt.Tensor(np.int64(0))

print("step       scale     loss   left out")
for step in range(24):
    optimizer.zero_grad()
    with tt.autocast("cpu", dtype=tt.float16):
        loss = loss_fn(model(inputs), targets)
    (loss * scale).backward()
    gradients = [p.grad for p in model.parameters()]
    finite = bool(all_finite(gradients))
    used = float(scale)
    if finite:
        for gradient in gradients:
            gradient.mul_(1 / used)
        optimizer.step()
    scale, good = next_scale(scale, good, tt.Tensor(not finite), 2.0, 0.5, 5)
    if step < 8 or step % 4 == 3:
        print(f"{step:4} {used:11,.0f} {float(loss):8.4f}   {'' if finite else 'yes'}")

# %% [markdown]
# The framework's `MixedPrecisionTrainer` does this for you, in one compiled step, with the very functions that you
# wrote. The final losses in f32, bf16 and f16 should agree to about three digits, and not in all.


# %%
def trained(dtype):
    tt.manual_seed(0)
    model = tt.Sequential(tt.Linear(20, 64), tt.ReLU(), tt.Linear(64, 2))
    optimizer = tt.SGD(model.parameters(), lr=0.1)
    if dtype is None:
        trainer = tt.Trainer(model, optimizer, tt.CrossEntropyLoss(), progress=False)
    else:
        trainer = tt.MixedPrecisionTrainer(model, optimizer, dtype=dtype, progress=False)
    for _ in range(20):
        found = trainer.train_epoch([(inputs, targets)])
    return found.loss


for name, dtype in (("f32", None), ("bf16", tt.bfloat16), ("f16", tt.float16)):
    print(f"{name:5} loss after 20 steps {trained(dtype):.6f}")

# %% [markdown]
# ## Systems analysis
#
# The measurements below run on *your* functions. The full ones are written by `tinytorch analyze 16`.

# %%
from analyses import acceleration

acceleration.analyze(vectorized_matmul=vectorized_matmul, next_scale=next_scale, quick=True).show()

# %% [markdown] question="q1" points=2
# **Question 1.** Take the corner P/B from the sentence below the roofline. Which batch does the layer of the third
# table, with 256 inputs and 256 outputs, need so that arithmetic is the limit? Show the calculation. Compare it with
# the batch from which on the measured time of a row hardly falls, and say what the difference may come from.

# %% [markdown] question="q2" points=2
# **Question 2.** From the table of loss scales: which range of scales loses fewer than one gradient in a thousand
# and makes none infinite? Why does the rule try a larger scale from time to time, although each try that fails
# costs a step?

# %% [markdown] question="q3" points=1
# **Question 3.** Your step by hand asked `bool(all_finite(gradients))` in Python. Why can a compiled step not do
# this, and what does the trainer do instead, so that a step with infinite gradients changes nothing?

# %% [markdown]
# ## What PyTorch does
#
# PyTorch has the same two parts: `torch.autocast` chooses the dtype of each op, `torch.amp.GradScaler` scales. Its
# scaler reads the flag back to Python in each step; the step here stays one graph, and leaves its update out by
# `where`. The rule is the same, and the numbers should be the same.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing is compared")
else:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=65536.0, growth_interval=3)
    ours, count = tt.Tensor(np.float32(65536.0)), tt.Tensor(np.int64(0))
    print("overflow   torch    yours")
    for overflow in (True, False, False, False, True, False, False, False, False):
        scaler.scale(weight.sum()).backward()
        weight.grad.fill_(torch.inf if overflow else 1.0)
        scaler.step(optimizer)
        scaler.update()
        ours, count = next_scale(ours, count, tt.Tensor(overflow), 2.0, 0.5, 3)
        print(f"{overflow!s:8} {scaler.get_scale():8,.0f} {float(ours):8,.0f}")

# %% [markdown]
# ## Questions to think about
#
# 1. Blocks of b by b load 2n³/b numbers. What limits b, and why do kernels use blocks in several sizes?
# 2. Adding two arrays has an intensity of 1/12. Can it be made faster by more threads? By vectors? By fusing it?
# 3. Why are sums inside of a product of 16-bit floats kept in f32? How large is the error of 4096 terms otherwise?
# 4. Scales are powers of two. What would a scale of 1000 do to the digits of a gradient?
# 5. Which of the ops of a network would you never compute in f16, and why? Compare with what `tt.autocast` says.
#
# ## What you have now
#
# - You can say of an operation whether memory or arithmetic limits it, and from which size on.
# - You wrote a product in blocks, counted its loads, and saw what a kernel adds to that.
# - Your `all_finite` and `next_scale` make training in f16 safe; the framework's trainer runs on them.
# - Next, in module 17, numbers shrink to 8 bits, and products become integers.
