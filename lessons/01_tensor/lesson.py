# %% [markdown]
# # Module 01: Tensors
#
# Everything in deep learning is arithmetic on arrays of numbers with several axes. An image batch is
# `[batch, channels, height, width]`, the weights of a layer are `[out, in]`, the text that a GPT reads is
# `[batch, position, feature]`. Such an array is called a tensor. This module is about what it is inside: one row of
# memory and a rule to find an element in it.
#
# From that one idea follow three that you will meet for the rest of the course: transposing moves no number,
# broadcasting copies none, and sums of products of tensors, however many axes they have, are one matrix product.
#
# You will compute strides, work out which shapes broadcast, multiply matrices in two ways, and write `contracted`,
# the function on which the package's `tensordot` and `inner` run. That last one will be yours in the framework.
#
# *Time: about 90 minutes. You need Python, numpy and a little linear algebra.*

# %%
import math
from collections.abc import Sequence

import numpy as np

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A row of memory and strides
#
# Memory has one axis. A matrix `[3, 4]` lies in it row after row: element `(i, j)` is number `4 i + j`. In general,
# the element at indices $(i_0, \dots, i_{k-1})$ lies at the offset
#
# $$i_0 s_0 + i_1 s_1 + \dots + i_{k-1} s_{k-1},$$
#
# and the numbers $s$ are the **strides**: how many elements to step over to go one further along each axis. In
# row-major order the last axis has stride 1, and each other axis steps over everything behind it:
#
# $$s_j = n_{j+1} \, n_{j+2} \cdots n_{k-1}$$

# %%
x = Tensor(np.arange(12.0, dtype=np.float32).reshape(3, 4))
print(x, x.shape, x.stride())
print(x.T.shape, x.T.stride(), "contiguous:", x.T.is_contiguous())

# %% [markdown]
# The transpose is the same twelve numbers in the same memory. Only its sizes and its strides are in another order. A
# tensor that shares the memory of another one is a *view*; writing into one changes both. A matrix with the strides
# (1, rows), as the transpose here, is *column-major*: it lies in memory column after column. *Contiguous* means
# row-major without gaps.
#
# **Exercise 1.** Write `strides`, for shapes of any number of axes. A single number has the shape `()`, and no strides.


# %% exercise="strides"
# Hint: walk the shape from its end, and keep the product of the sizes that you have passed.
def strides(shape: Sequence[int]) -> tuple[int, ...]:
    """The strides of a row-major tensor of that shape, in elements."""
    ### BEGIN SOLUTION
    found: list[int] = []
    step = 1
    for size in reversed(shape):
        found.append(step)
        step *= size
    return tuple(reversed(found))
    ### END SOLUTION


# %% test="strides"
for shape in ((3, 4), (2, 3, 4), (5,), (1, 1, 7), (2, 5, 1, 3), ()):
    found = strides(shape)
    expected = tt.zeros(*shape).stride() if shape else ()
    assert found == expected, f"strides of {shape} are {expected}, got {found}"
y = np.arange(24).reshape(2, 3, 4)
s = strides(y.shape)
assert y[1, 2, 3] == y.ravel()[1 * s[0] + 2 * s[1] + 3 * s[2]], "the offset leads to another element"
print("strides: every element is where they say")

# %% [markdown]
# ## 2. Broadcasting
#
# Adding a vector `b[4]` to each row of `x[3, 4]` needs no loop and no copy: give `b` a new first axis of size 3 and
# stride 0. Going one row down then moves by nothing, and all rows read the same four numbers. That is broadcasting.
#
# Which shapes fit? Line them up at their ends. Two sizes fit if they are equal, or if one of them is 1, which then
# repeats; a missing axis counts as 1.
#
# ```
# x      8 × 1 × 6 × 1
# y          7 × 1 × 5
# x + y  8 × 7 × 6 × 5
# ```
#
# A stride of 0 is free. The result is not: that of the sum above has 1,680 elements, made of 48 and 35.
#
# The same with numbers: the squared distances between all pairs of $n$ points $a_i$ and $n$ points $b_j$, of $d$
# numbers each. `a.unsqueeze(1)` is `[n, 1, d]`, `b.unsqueeze(0)` is `[1, n, d]`, their difference `[n, n, d]`. It has
# $n^2 d$ numbers, of which only $n^2$ sums are wanted. The way around it is a matrix product:
#
# $$\lVert a_i - b_j \rVert^2 = \lVert a_i \rVert^2 + \lVert b_j \rVert^2 - 2\, a_i \cdot b_j$$
#
# The analysis below measures both.
#
# **Exercise 2.** Write `broadcast_shape`. Raise a `ShapeError` with a message for shapes that do not fit.


# %% exercise="broadcast_shape"
# Hint: pad the shorter shape with ones in front, then decide axis by axis. Mind the size 0: [0] and [1] give [0].
def broadcast_shape(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """The shape of x + y, for x of shape `a` and y of shape `b`. ShapeError where they do not broadcast."""
    ### BEGIN SOLUTION
    rank = max(len(a), len(b))
    x, y = (1,) * (rank - len(a)) + tuple(a), (1,) * (rank - len(b)) + tuple(b)
    for m, n in zip(x, y, strict=True):
        if m != n and 1 not in (m, n):
            raise ShapeError(f"{list(a)} and {list(b)} do not broadcast: {m} meets {n}")
    return tuple(n if m == 1 else m for m, n in zip(x, y, strict=True))
    ### END SOLUTION


# %% test="broadcast_shape"
cases = [((3, 4), (4,)), ((8, 1, 6, 1), (7, 1, 5)), ((), (2, 3)), ((2, 1), (1, 2)), ((5, 4), (1,)), ((0,), (1,))]
for a, b in [*cases, ((3,), (3,))]:
    expected = np.broadcast_shapes(a, b)
    found = broadcast_shape(a, b)
    assert found == expected, f"{a} and {b} give {expected}, got {found}"
    found = broadcast_shape(b, a)
    assert found == expected, f"{b} and {a} give {expected}, as the other way around; got {found}"
for a, b in (((3, 4), (3,)), ((2, 3), (3, 2)), ((0,), (2,))):
    try:
        found = broadcast_shape(a, b)
    except ShapeError:
        continue
    raise AssertionError(f"{a} and {b} do not broadcast, but you gave {found}")
print("broadcast_shape: agrees with numpy, also on what does not fit")

# %% [markdown]
# ## 3. The matrix product
#
# $$C_{ij} = \sum_{k} A_{ik} B_{kj}$$
#
# For $[m, k]$ by $[k, n]$ that is $m n k$ multiplications and as many additions: $2mnk$ operations, $2n^3$ for square
# matrices. Twice the size takes eight times the work. Training and running networks is, for the most part, this
# formula.
#
# **Exercise 3.** Write it as it stands: three loops over Python numbers. `x.tolist()` gives nested lists, and
# `Tensor(lists)` makes a tensor of them.


# %% exercise="naive_matmul"
# Hint: make the lists once, before the loops; an index into a tensor makes a new tensor every time.
def naive_matmul(a: Tensor, b: Tensor) -> Tensor:
    """The product [m, n] of a [m, k] and b [k, n], number by number."""
    ### BEGIN SOLUTION
    x, y = a.tolist(), b.tolist()
    rows, inner, columns = a.shape[0], a.shape[1], b.shape[1]
    out = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            for k in range(inner):
                out[i][j] += x[i][k] * y[k][j]
    return Tensor(out)
    ### END SOLUTION


# %% test="naive_matmul"
a, b = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=(6, 5)).astype(np.float32)
found = naive_matmul(Tensor(a), Tensor(b))
assert found.shape == (4, 5), f"[4, 6] @ [6, 5] is [4, 5], got {found.shape}"
assert np.allclose(found.numpy(), a @ b, atol=1e-5), "the numbers are not those of a @ b"
print("naive_matmul: right, and slow")

# %% [markdown]
# Your loops do some millions of operations per second; the processor can do thousands of times as many. Python is one
# reason. The other is worth more thought: for each multiplication the loops read two numbers, and memory is slower
# than arithmetic. An arithmetic unit that waits for memory does nothing.
#
# The way out is to use more than once what has been read. The processor has a *cache*, a small memory that is as fast
# as it is. Cut the matrices into blocks of $s \times s$ that fit into it. A block product reads $2s^2$ numbers and
# does $2s^3$ operations with them: every number that came from memory is used $s$ times while it is in the cache.
# Blocks are multiplied as if they were numbers:
#
# $$C_{IJ} = \sum_K A_{IK} B_{KJ}$$
#
# **Exercise 4.** Write `blocked_matmul` with `@` for the block products. The sizes need not be multiples of the
# block.


# %% exercise="blocked_matmul"
# Hint: `a[i : i + block, k : k + block]` is a view of a block, shorter at the edge by itself. Begin with zeros, and
# add to a view of the result in place: `out[…] += …`.
def blocked_matmul(a: Tensor, b: Tensor, block: int = 64) -> Tensor:
    """The product [m, n] of a [m, k] and b [k, n], by products of blocks."""
    ### BEGIN SOLUTION
    out = tt.zeros(a.shape[0], b.shape[1])
    for i in range(0, a.shape[0], block):
        for j in range(0, b.shape[1], block):
            for k in range(0, a.shape[1], block):
                out[i : i + block, j : j + block] += a[i : i + block, k : k + block] @ b[k : k + block, j : j + block]
    return out
    ### END SOLUTION


# %% test="blocked_matmul"
a, b = rng.normal(size=(50, 70)).astype(np.float32), rng.normal(size=(70, 33)).astype(np.float32)
for block in (7, 16, 32, 64, 100):
    found = blocked_matmul(Tensor(a), Tensor(b), block)
    assert found.shape == (50, 33), f"with a block of {block} the shape is {found.shape}, not [50, 33]"
    assert np.allclose(found.numpy(), a @ b, atol=1e-4), f"wrong numbers with a block of {block}: are the edges right?"
print("blocked_matmul: right for every block")

# %% [markdown]
# ## 4. Every contraction is a matrix product
#
# A *contraction* multiplies two tensors and sums over axes that they share. `x[b, i, j]` and `w[j, i, o]`, summed
# over `i` and `j`, give `[b, o]`:
#
# $$y_{bo} = \sum_{ij} x_{bij} \, w_{jio}$$
#
# Instead of a loop for every such formula there is one recipe:
#
# 1. Move the axes that are summed to the end of the first tensor, and to the front of the second, in the same order:
#    `permute`, a view.
# 2. Make one axis of them, and one of the others: `reshape` to `[left, depth]` and `[depth, right]`. `depth` is the
#    product of the sizes that are summed, `left` and `right` are those of the sizes that are kept.
# 3. Multiply the two matrices.
# 4. Give the result the axes that were kept: first those of the first tensor, then those of the second.
#
# The sums in linear layers, convolutions and attention are all this recipe with different axes.
#
# **Exercise 5.** Write `contracted`. `rows` are the axes of `a` that are summed, and `columns` those of `b`, in
# pairs: in the example above `[1, 2]` and `[1, 0]`. There may be none.

# %% exercise="contracted"
# Hint: which axes of a are not in rows? a.permute([*those, *rows]) has them first. `math.prod(())` is 1.
#| solution


# %% test="contracted"
a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5, 3))
found = contracted(Tensor(a), Tensor(b), [1, 2], [2, 0])
assert found.shape == (2, 5), f"the axes that are kept are [2, 5], got {found.shape}"
right = np.allclose(found.numpy(), np.einsum("bij,joi->bo", a, b))
assert right, "wrong numbers: are the summed axes the last ones of a and the first ones of b, in the same order?"
for x, y, rows, columns in (
    ((3, 4), (4, 5), [1], [0]),
    ((4, 3), (5, 4), [0], [1]),
    ((2, 3), (3, 2), [0, 1], [1, 0]),
    ((2, 3), (4,), [], []),
    ((6,), (6,), [0], [0]),
    ((2, 3, 4, 5), (5, 7, 3), [3, 1], [0, 2]),
):
    a, b = rng.normal(size=x), rng.normal(size=y)
    found, expected = contracted(Tensor(a), Tensor(b), rows, columns), np.tensordot(a, b, (rows, columns))
    case = f"{x} summed over {rows} with {y} over {columns}"
    assert found.shape == expected.shape, f"{case} has the shape {expected.shape}, got {found.shape}"
    assert np.allclose(found.numpy(), expected), f"{case}: wrong numbers"
print("contracted: one matrix product for all of them")

# %% [markdown]
# ## 5. Your recipe as a graph
#
# `tt.compile` calls your function once with tensors that have shapes but no numbers, and notes each operation: a
# *graph*. Each line is a node with its operation, what it is made of, and the type of its result; `f32[32,8,16]` is a
# tensor of 32-bit floats of that shape.


# %%
def example(x: Tensor, w: Tensor) -> Tensor:
    return contracted(x, w, [1, 2], [1, 0])


compiled = tt.compile(example)
compiled(tt.randn(32, 8, 16), tt.randn(16, 8, 10))
print(compiled.traced_graph)
compiled

# %% [markdown]
# The picture is what became of it. A box with a time is a *kernel*, a loop in machine code; kernels of one *wave* do
# not need each other's results. The times are predicted, from the operations, the bytes and the speed of this
# machine; module 15 is about how.
#
# Your recipe is one product and, of `w`, one copy. `permute` is a view, and so is a `reshape` of `x`, in which both
# axes lie one after the other. In `w` they are swapped, and no single stride steps through both: to make one axis of
# them, its elements have to be copied into their new order.

# %% [markdown]
# ## 6. Systems analysis
#
# Layout, broadcasting and your two products, measured; a time is the median of a few turns, and yours will differ.
# Two things to know: memory comes in *lines*, pieces of 64 bytes on most machines, and is read by whole lines. And
# FLOP/s are operations on floats per second; *eager* means called as it stands, not compiled. The repository's page
# `docs/analysis/01_tensor.md` has the same tables for larger sizes.

# %%
from analyses import tensor

tensor.analyze(naive_matmul=naive_matmul, blocked_matmul=blocked_matmul, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# A PyTorch tensor is the same thing: a storage, an offset, a shape, strides. `x.stride()`, `x.T`, `x.expand`,
# `x.is_contiguous()` and `torch.tensordot` mean what they mean here. Where `reshape` has to copy, `view` gives an
# error. One difference: in a graph of TinyTorch nothing broadcasts by itself; `x + b` notes a node `broadcast`, so
# that you see it.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    a, b = rng.normal(size=(8, 6, 5)), rng.normal(size=(5, 7, 6))
    ours = contracted(Tensor(a), Tensor(b), [1, 2], [2, 0]).numpy()
    theirs = torch.tensordot(torch.tensor(a), torch.tensor(b), dims=([1, 2], [2, 0])).numpy()
    print(f"tensordot differs by at most {abs(ours - theirs).max():.1e}")
    print("strides of [4, 3, 5]: yours", strides((4, 3, 5)), " PyTorch's", torch.zeros(4, 3, 5).stride())

# %% [markdown]
# ## 7. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** In the first table of the analysis, from which stride on does every element need a line of memory of
# its own, and how many bytes of each line are used there? Compare the times of stride 1 and of that stride: why are
# neighbours cheaper?

# %% [markdown] question="q2" points=2
# **Question 2.** Your blocked product with blocks of 32 is far slower than `a @ b`. Divide its time by the number of
# its block products, and compare with the time that one product of [32, 32] needs at the speed of `a @ b`. What does
# the rest of the time consist of?

# %% [markdown] question="q3" points=1
# **Question 3.** You want the squared distances between 10,000 points and 10,000 others, with 64 numbers each, in f32.
# How many bytes does the broadcast difference of section 2 have, and how many the matrix product?

# %% [markdown]
# ## Summary
#
# - A tensor is memory with a shape and strides. Transposing and broadcasting change those two and touch no element.
# - What broadcasting makes has the full size: count its bytes before you write it.
# - A product of matrices is $2n^3$ operations. Fast ones are fast because each number that is read is used many
#   times.
# - Every contraction is permute, reshape, product, reshape. After `tito module complete 01`, the package's
#   `tensordot` and `inner` run on your function.
#
# Two products in a row are still only one product. In module 02 you put something between them that changes that.
