# %% [markdown]
# # Module 11: Embeddings
#
# A tokenizer gives integers. A network wants vectors, and the integers themselves are a poor choice: token 17 is not
# "more" than token 16. So each token gets a vector of its own, a row of a table, and the rows are learned. Words that
# are used alike end up as vectors that point alike, because the gradient pushes them the same way.
#
# Looking a row up computes nothing and seems too small for a lesson. But the table of a small language model can hold
# most of its parameters, its gradient has a shape that surprises, and a second question hides behind it: attention,
# which comes next, does not see the order of its inputs at all. Position must be written into the vectors. You will
# write two ways to do so.
#
# At the end, `tt.PositionalEncoding` and `tt.RotaryEmbedding` of the package run on your code.
#
# *Time: about 75 minutes. You need modules 01 to 10.*

# %%
import math

import numpy as np

import tinytorch as tt
from tinytorch.frontend.layers.functions import embedding
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.errors import ShapeError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Array

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. A row of a table is a product
#
# Let $E$ be the table, `[V, d]`: V tokens, d numbers each. Write token $t$ as a *one-hot* row, 1 at place $t$ and 0
# elsewhere. Then
#
# $$\operatorname{onehot}(t)\, E = E_t$$
#
# so an embedding is a linear layer without bias. Nobody computes it that way: for n tokens the product costs $2nVd$
# operations, and the one-hot rows are $nV$ numbers, of which $n$ are not zero. The look-up moves $nd$ numbers.
#
# **Exercise 1.** Write both forms. `looked_up` returns the pair, so that you see that they agree.


# %% exercise="looked_up"
# Hint: `tt.eye(V)` has all one-hot rows; indexing by a tensor of integers takes rows, of the table as well.
def looked_up(indices: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of `table` [V, d] at `indices` [n], both [n, d]: by a product with one-hot rows, and by indexing."""
    ### BEGIN SOLUTION
    one_hot = tt.eye(table.shape[0])[indices]
    return one_hot @ table, table[indices]
    ### END SOLUTION


# %% test="looked_up"
table = Tensor(rng.standard_normal((6, 3)).astype(np.float32))
product, rows = looked_up(Tensor([4, 0, 4, 5]), table)
assert product.shape == rows.shape == (4, 3), f"four rows of 3 numbers each, got {product.shape} and {rows.shape}"
assert np.allclose(product.numpy(), table.numpy()[[4, 0, 4, 5]]), "the product does not give the rows"
assert np.array_equal(rows.numpy(), table.numpy()[[4, 0, 4, 5]]), "indexing does not give the rows"
print("looked_up: the same rows twice")

# %% [markdown]
# ## 2. The gradient of a table
#
# Let $G_i$ be the gradient that arrives at token $i$ of the batch. Row $v$ was read by every token with index $v$,
# and each of them changes the loss, so
#
# $$\frac{\partial L}{\partial E_v} = \sum_{i:\, t_i = v} G_i$$
#
# It is the rule of module 03 again: *the gradient of a repetition is a sum.* Rows that nobody read get zeros. The
# gradient has the shape of the table, `[V, d]`, even if the batch named three of fifty thousand rows.
#
# One trap: numpy's `out[indices] += G` writes each row once, so a token that occurs twice counts once.
#
# **Exercise 2.** Write `table_gradient` in numpy.


# %% exercise="table_gradient"
# Hint: begin with zeros of [rows, d]. A loop over the tokens is right; `np.add.at` does the same in one call.
def table_gradient(indices: Array, grad: Array, rows: int) -> Array:
    """The gradient [rows, d] of a table that `indices` [n] read, for the gradient `grad` [n, d] of what was read."""
    ### BEGIN SOLUTION
    out = np.zeros((rows, grad.shape[1]), grad.dtype)
    np.add.at(out, indices, grad)
    return out
    ### END SOLUTION


# %% test="table_gradient"
weight = Tensor(rng.standard_normal((6, 3)), requires_grad=True)
named, arriving = np.array([4, 0, 4, 5, 4]), rng.standard_normal((5, 3))
tt.nn.functional.embedding(Tensor(named), weight).backward(Tensor(arriving))
found = table_gradient(named, arriving, 6)
assert found.shape == (6, 3), f"the gradient has the shape of the table, [6, 3]; got {list(found.shape)}"
assert np.allclose(found[1:4], 0), "rows that no token read have a gradient of 0"
assert np.allclose(found[4], arriving[[0, 2, 4]].sum(0)), "token 4 was read three times: its three gradients add up"
assert np.allclose(found, weight.grad.numpy()), "the gradient differs from autograd's"
print("table_gradient: the same as autograd finds")

# %% test="table_gradient" hidden=true
### BEGIN HIDDEN TESTS
named, arriving = rng.integers(0, 50, 400), rng.standard_normal((400, 7))
expected = np.eye(50)[named].T @ arriving
assert np.allclose(table_gradient(named, arriving, 50), expected)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Positions by a formula
#
# A sum of vectors is the same in every order. To tell "dog bites man" from "man bites dog", each vector must say where
# it stands. The simplest way is to add a vector of the position:
#
# - **learned**: a second table with a row for each of T positions. It has T d parameters, and no row for a position
#   behind these.
# - **sinusoidal** (Vaswani and others 2017): a formula. Pair $i$ of the elements turns with the position, like the
#   hand of a clock, at a speed of its own:
#
# $$p_t[2i] = \sin(t\,\omega_i) \qquad p_t[2i+1] = \cos(t\,\omega_i) \qquad \omega_i = 10000^{-2i/d}$$
#
# The first pair makes a turn in 6 positions; the last, if d is large, in about 60,000. Two facts follow, for an even d,
# from the formulas for the sine and the cosine of a sum:
#
# $$p_{t+k} = R(k)\, p_t \qquad p_t \cdot p_{t+k} = \sum_i \cos(k\,\omega_i)$$
#
# with one matrix $R(k)$ for *all* $t$: it turns pair $i$ by the angle $k\,\omega_i$. A layer can learn "three places
# back" once. And the product of two positions depends on their distance alone.
#
# **Exercises 3 and 4.** Write the angles $t\,\omega_i$, with `base` in place of 10000, then the table. The dimension
# may be odd: then there is a last sine without its cosine.

# %% exercise="angles_of"
# Hint: `np.arange(0, dim, 2)` are the numbers 2i. Positions [length, 1] times speeds [dim / 2] broadcast to a matrix.
#| solution


# %% test="angles_of"
found = angles_of(5, 4, 10000.0)
assert found.shape == (5, 2), f"five positions and two pairs make [5, 2], got {list(found.shape)}"
assert np.allclose(found[:, 0], [0, 1, 2, 3, 4]), "the first pair turns by one radian for each position"
assert np.allclose(found[:, 1], np.arange(5) / 100), "of 4 elements the second pair has the speed 10000^(-2/4) = 1/100"
assert np.allclose(angles_of(5, 4, 100.0)[:, 1], np.arange(5) / 10), "with the base 100 its speed is 100^(-2/4) = 1/10"
assert angles_of(3, 5, 10000.0).shape == (3, 3), "five elements are two pairs and a half: three angles"
print("angles_of: right")

# %% exercise="sinusoids"
# Hint: `np.stack([sines, cosines], -1)` is [length, pairs, 2]; reshaped to [length, …], sines and cosines alternate.
#| solution


# %% test="sinusoids"
found = sinusoids(8, 6)
assert found.shape == (8, 6), f"eight positions of 6 elements, got {list(found.shape)}"
assert np.allclose(found[0], [0, 1, 0, 1, 0, 1]), "position 0 is sin 0, cos 0, sin 0, cos 0, …: they alternate"
assert np.allclose(found[3, :2], [math.sin(3), math.cos(3)]), "the first pair of position 3 is sin 3, cos 3"
assert np.allclose(found[3, 2], math.sin(3 * 10000 ** (-2 / 6))), "the second pair turns at the speed 10000^(-2/6)"
assert sinusoids(4, 5).shape == (4, 5), "an odd dimension ends with a sine"
products = sinusoids(200, 32) @ sinusoids(200, 32).T
assert np.allclose(np.diagonal(products, 7), products[0, 7]), "products depend on the distance alone"
print("sinusoids: right")

# %% [markdown]
# Look at the table: fast turns on the left, slow ones on the right. Every row is different, and rows that are near
# each other are alike.

# %%
from analyses.drawing import chart

figure, axes = chart("element", "position", height=3.0)
image = axes.imshow(sinusoids(60, 64), aspect="auto", cmap="RdBu")
axes.grid(False)
figure.colorbar(image, label="value")
figure

# %% [markdown]
# ## 4. The rows of a sequence
#
# A sequence of `length` tokens reads the first rows of such a table. Sometimes it does not begin at 0: text that is
# continued stands behind what there is already. Then the positions are given, one for each token, and the table is
# looked up like any other.
#
# **Exercise 5.** Write `table_rows`:
#
# 1. Raise a `ShapeError` if `length` is more than the rows of the table. Its message begins with `what` and a colon:
#    `raise ShapeError(f"{what}: …", user_loc())`. `user_loc()` adds the user's line.
# 2. Without `positions`, return the first `length` rows; if those are all, the table itself.
# 3. Raise a `ShapeError` if `positions` is a scalar, or if its last axis has not `length` elements.
# 4. Else look the positions up, by `embedding(positions, table)`.

# %% exercise="table_rows"
# Hint: a scalar has `positions.ndim` 0. A message that says what was given saves its reader an hour.
#| solution


# %% test="table_rows"
table = tt.arange(20).reshape(10, 2).cast(tt.float32)
assert table_rows("here", table, 3, None).tolist() == [[0, 1], [2, 3], [4, 5]], "the first three rows"
assert table_rows("here", table, 10, None).shape == (10, 2), "all rows"
found = table_rows("here", table, 2, Tensor([[7, 8], [0, 1]]))
assert found.tolist() == [[[14, 15], [16, 17]], [[0, 1], [2, 3]]], "positions name the rows"
for length, positions, wrong in (
    (11, None, "11 positions of a table of 10 rows"),
    (3, Tensor([1, 2]), "a length of 3 with two positions"),
    (1, Tensor(1), "positions without an axis"),
):
    try:
        table_rows("here", table, length, positions)
    except ShapeError as error:
        assert str(error).startswith("here"), f"the message begins with `what`, here with 'here'; it is {str(error)!r}"
    else:
        raise AssertionError(f"{wrong} should be a ShapeError")
print("table_rows: right")

# %% [markdown]
# ## 5. Positions by turning
#
# Adding mixes what a token is with where it stands. *Rotary* positions (Su and others 2021) leave the vector's length
# alone and turn its pairs instead, pair $i$ of token $t$ by the angle $t\,\omega_i$. Attention (module 12) compares
# two vectors, a *query* and a *key*, by their product. Both are turned first, and since turns add up,
#
# $$(R(s)\, q) \cdot (R(t)\, k) = q \cdot (R(t - s)\, k)$$
#
# so the product knows the distance of two tokens and nothing else about their places.
#
# A pair $(a, b)$ turned by the angle $\varphi$ is $(a\cos\varphi - b\sin\varphi,\; a\sin\varphi + b\cos\varphi)$. Here
# element $i$ is paired with element $i + d/2$: the first half with the second, so that both are plain slices.
#
# **Exercise 6.** Write `turned`.


# %% exercise="turned"
# Hint: name the halves of the last axis a and b; `tt.cat([first, second], -1)` joins the two results.
def turned(x: Tensor, angles: Tensor) -> Tensor:
    """The pairs (x[..., i], x[..., i + d/2]) of x [..., d], turned by `angles` [..., d/2]."""
    ### BEGIN SOLUTION
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    cos, sin = angles.cos(), angles.sin()
    return tt.cat([a * cos - b * sin, a * sin + b * cos], -1)
    ### END SOLUTION


# %% test="turned"
angles = Tensor(angles_of(9, 8, 10000.0))
x = Tensor(rng.standard_normal((2, 9, 8)), requires_grad=True)
found = turned(x, angles)
assert found.shape == x.shape, "turning keeps the shape"
assert np.allclose(turned(Tensor([1.0, 0.0]), Tensor([math.pi / 2])).numpy(), [0, 1], atol=1e-6), (
    "(1, 0) turned left is (0, 1)"
)
assert np.allclose((found**2).sum(-1).numpy(), (x**2).sum(-1).numpy()), "turning keeps the length of a vector"
expected = tt.apply_rotary(x, angles.cos(), angles.sin())
assert np.allclose(found.numpy(), expected.numpy()), "differs from tt.apply_rotary: first half with second half?"
g = Tensor(rng.standard_normal(x.shape))
own, real = (
    tt.grad(lambda x, f=f: (f(x) * g).sum())(x.detach())
    for f in (lambda x: turned(x, angles), lambda x: tt.apply_rotary(x, angles.cos(), angles.sin()))
)
assert np.allclose(own.numpy(), real.numpy()), "the gradient differs; it should be g, turned back by the same angles"
q, k = (Tensor(np.tile(rng.standard_normal(8), (9, 1))) for _ in range(2))
scores = (turned(q, angles) @ turned(k, angles).T).numpy()
assert np.allclose(np.diagonal(scores, 2), scores[0, 2]), "scores depend on the distance alone"
print("turned: the same as tt.apply_rotary, with its gradient")

# %% [markdown]
# The framework keeps this as one op, `rotary`, with a gradient that is one too: a turn back. So the compiler makes one
# pass over x of it, and none of the copies that slices and `cat` make when they run one by one.
#
# ## 6. Your embedding as a graph
#
# Tokens in, vectors with positions out, in one traced function. A *buffer* is a tensor that belongs to a module and is
# not trained, such as the table of your sinusoids. Three kernels are left: `checked_index` makes sure that no index
# leaves the table, `gather` moves rows, and `add` is a loop over them.


# %%
class Embedded(tt.Module):
    """Vectors of tokens and of their positions, by your code."""

    def __init__(self, vocab_size: int, length: int, dim: int) -> None:
        super().__init__()
        self.tokens = tt.Embedding(vocab_size, dim)
        self.register_buffer("places", Tensor(sinusoids(length, dim).astype(np.float32)))

    def forward(self, indices: Tensor) -> Tensor:
        return self.tokens(indices) + table_rows("Embedded", self.places, indices.shape[-1], None)


tt.manual_seed(0)
model = Embedded(65, 128, 64)
compiled = tt.compile(model)
indices = Tensor(rng.integers(0, 65, (4, 32)))
assert np.allclose(compiled(indices).numpy(), model(indices).numpy(), atol=1e-6), "compiled and eager agree"
print(compiled.graph)

# %%
compiled

# %% [markdown]
# ## 7. Systems analysis
#
# How much of a table a step reads, what the look-up saves, what your positions can tell, and what a dimension buys.

# %%
from analyses import embeddings

embeddings.analyze(sinusoids=sinusoids, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.Embedding` is the same table, which also begins with normal numbers of variance 1. It offers `sparse=True`,
# a gradient of only the rows that were read; few optimizers take it. PyTorch has no class for positions: each project
# writes its own, and whether sines and cosines alternate or stand in two halves differs between them. Weights trained
# with one do not work with the other.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    named, arriving = rng.integers(0, 20, 64), rng.standard_normal((64, 5))
    theirs = torch.nn.Embedding(20, 5, dtype=torch.float64)
    theirs(torch.tensor(named)).backward(torch.tensor(arriving))
    off = abs(table_gradient(named, arriving, 20) - theirs.weight.grad.numpy()).max()
    print(f"gradients of the table differ by at most {off:.1e}")

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** A model has a table of 50,257 rows of 768 in f32. How many bytes are its weights, its gradient and
# AdamW's two moments together? From the first plot: which share of the rows does a step of 4,096 tokens read? Which of
# these bytes does a step need, and which does it read and write only because gradient and moments have the shape of
# the table?

# %% [markdown] question="q2" points=2
# **Question 2.** The third table shows that one turn of each pair moves all sinusoidal positions, and that learned ones
# have no such turn at first. Give one advantage of each kind, and say what each does with a text that is longer than
# any seen in training.

# %% [markdown] question="q3" points=1
# **Question 3.** The largest cosine between a thousand random vectors falls as d grows. Why does that matter for a
# model that adds the vectors of a token and of a position, and later wants to tell them apart?

# %% [markdown]
# ## Summary
#
# - An embedding is a linear layer whose input is one-hot, computed by moving rows. Its gradient adds up what arrives
#   for each row, and is as large as the table.
# - Positions are added (learned or sinusoidal) or turned (rotary). Turns make scores depend on distance alone.
# - Your `angles_of`, `sinusoids` and `table_rows` now serve every positional encoding of the framework.
#
# In module 12, vectors begin to look at each other.
