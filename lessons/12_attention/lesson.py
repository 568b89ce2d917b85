# %% [markdown]
# # Module 12: Attention
#
# "The trophy does not fit into the suitcase because it is too large." To know what "it" is, a model has to look at
# "trophy", eight words back; in another sentence at another word, elsewhere. A convolution looks at fixed distances.
# Attention lets each vector choose, by its content, whom it looks at, and it does so with two matrix products.
#
# The price is one score for every pair of tokens: T tokens make T² scores. For years that limited the length of
# texts. Then it was noticed that the scores need not be in memory at all. You will write attention both ways, the
# plain one in four lines and the one that works block by block, and see that they give the same numbers.
#
# At the end, `tt.MultiHeadAttention` of the package runs on your code.
#
# *Time: about 110 minutes. You need modules 01 to 11.*

# %%
import math

import numpy as np

import tinytorch as tt
from tinytorch.frontend.attention.layers import MultiHeadAttention
from tinytorch.frontend.layers.layers import side_by_side
from tinytorch.frontend.tensor import Tensor

rng = np.random.default_rng(0)


def normal(*shape: int) -> Tensor:
    return Tensor(rng.standard_normal(shape))


# %% [markdown]
# ## 1. A soft look-up
#
# A dictionary compares a query with keys and gives the value of the key that is equal. Attention is a dictionary that
# can be differentiated. Query $q_i$ is compared with every key $k_j$ by a product; softmax makes weights of these
# *scores*; the result is the mean of the values under the weights:
#
# $$s_{ij} = \frac{q_i \cdot k_j}{\sqrt d} \qquad w_{ij} = \frac{e^{s_{ij}}}{\sum_{j'} e^{s_{ij'}}} \qquad
# o_i = \sum_j w_{ij} v_j$$
#
# As matrices, with a row for each token: $W = \operatorname{softmax}(Q K^{\top} / \sqrt d)$ along the *last* axis,
# which is that of the keys, and $O = W V$.
#
# Why $\sqrt d$? A product of two vectors with d independent elements of mean 0 and variance 1 has the variance d.
# Without the division, scores of wide vectors are large, softmax gives nearly all weight to one key, and its gradient
# vanishes. The systems analysis shows it.
#
# A *mask* says which keys a query may see: its scores become $-\infty$, their weights 0.
#
# **Exercise 1.** Write the weights, for Q and K with any leading axes:
#
# 1. Scores of all pairs, divided by the root of d.
# 2. If there is a mask (bool, True where a query sees a key), put `-math.inf` where it is False.
# 3. Softmax over the keys.


# %% exercise="attention_weights"
# Hint: `K.transpose(-2, -1)` swaps the last two axes, whatever stands before; `tt.where(mask, scores, -math.inf)`.
def attention_weights(Q: Tensor, K: Tensor, mask: Tensor | None = None) -> Tensor:
    """Weights [..., queries, keys] of Q [..., queries, d] and K [..., keys, d]; rows add up to 1."""
    ### BEGIN SOLUTION
    scores = Q @ K.transpose(-2, -1) * (1 / math.sqrt(Q.shape[-1]))
    if mask is not None:
        scores = tt.where(mask, scores, -math.inf)
    return scores.softmax(-1)
    ### END SOLUTION


# %% test="attention_weights"
Q, K, V = normal(2, 3, 5, 16), normal(2, 3, 7, 16), normal(2, 3, 7, 4)
weights = attention_weights(Q, K)
assert weights.shape == (2, 3, 5, 7), f"a weight for each query and key, [2, 3, 5, 7]; got {list(weights.shape)}"
assert np.allclose(weights.sum(-1).numpy(), 1), "the weights of a query, over all keys, add up to 1"
assert np.allclose((weights @ V).numpy(), tt.scaled_dot_product_attention(Q, K, V).numpy()), (
    "differs from the kernel of the framework: is the scale 1 / sqrt(d), with d the last axis of Q?"
)
seen = Tensor(rng.random((5, 7)) < 0.6) | Tensor(np.eye(5, 7, dtype=bool))
hidden = attention_weights(Q, K, seen)
assert np.all(hidden.numpy()[..., ~seen.numpy()] == 0), "a key that is not seen has the weight 0"
assert np.allclose(hidden.sum(-1).numpy(), 1), "the others still add up to 1: mask before softmax, not behind it"
assert np.allclose((hidden @ V).numpy(), tt.scaled_dot_product_attention(Q, K, V, seen).numpy()), (
    "with a mask it differs from the kernel of the framework"
)
large = attention_weights(Q * 1000, K * 1000)
assert np.isfinite(large.numpy()).all(), "large scores must not overflow"
print("attention_weights: the same as the kernel of the framework")

# %% test="attention_weights" hidden=true
### BEGIN HIDDEN TESTS
g = normal(2, 3, 5, 4)
for own, real in zip(
    tt.grad(lambda q, k: (attention_weights(q, k, seen) @ V * g).sum(), argnums=(0, 1))(Q, K),
    tt.grad(lambda q, k: (tt.scaled_dot_product_attention(q, k, V, seen) * g).sum(), argnums=(0, 1))(Q, K),
    strict=True,
):
    assert np.allclose(own.numpy(), real.numpy())
### END HIDDEN TESTS

# %% [markdown]
# ## 2. No looking ahead
#
# A language model predicts each token from those before it. In training all positions are computed at once, so the
# mask must hide the future: query i sees keys 0 to i. Such attention is called *causal*.
#
# When text is continued, there are fewer queries than keys: the new tokens stand at the *end* of the keys. Then the
# first query is at position keys − queries.
#
# **Exercise 2.** Write `causal_mask`.


# %% exercise="causal_mask"
# Hint: `tt.arange(n)` gives positions; compare a column [queries, 1] with a row [keys].
def causal_mask(queries: int, keys: int) -> Tensor:
    """bool[queries, keys], True where a query sees a key; the last query stands at the last key."""
    ### BEGIN SOLUTION
    places = tt.arange(queries).unsqueeze(1) + (keys - queries)
    return tt.arange(keys) <= places
    ### END SOLUTION


# %% test="causal_mask"
assert causal_mask(3, 3).tolist() == [[True, False, False], [True, True, False], [True, True, True]], (
    "a query sees itself and those before it"
)
assert causal_mask(1, 4).tolist() == [[True] * 4], "one new token sees all keys, itself included"
assert causal_mask(2, 4).tolist() == [[True, True, True, False], [True] * 4], "the last query stands at the last key"
Q, K, V = (normal(2, 6, 8) for _ in range(3))
own = attention_weights(Q, K, causal_mask(6, 6)) @ V
assert np.allclose(own.numpy(), tt.scaled_dot_product_attention(Q, K, V, is_causal=True).numpy()), (
    "with your mask it differs from the causal kernel of the framework"
)
changed = V.numpy().copy()
changed[:, 4:] = 99.0
later = attention_weights(Q, K, causal_mask(6, 6)) @ Tensor(changed)
assert np.allclose(own.numpy()[:, :4], later.numpy()[:, :4]), "what comes later must not change what stands before"
print("causal_mask: the future is hidden")

# %% [markdown]
# Here are the weights of eight random tokens, causal. Each row adds up to 1; the first token can only look at itself.

# %%
from analyses.drawing import chart

figure, axes = chart("key", "query", width=3.6, height=3.2)
image = axes.imshow(attention_weights(normal(8, 16), normal(8, 16), causal_mask(8, 8)).numpy(), cmap="Blues")
axes.grid(False)
figure.colorbar(image, label="weight")
figure

# %% [markdown]
# ## 3. Several heads
#
# One set of weights can look at one thing at a time. So the vector is cut into H *heads* of d/H elements, each with
# queries, keys and values of its own, each with weights of its own. A product costs the same in all: H times
# $2\, T^2 d/H$ operations. Then the heads are put beside each other again, and a last linear layer mixes them.
#
# $$\operatorname{head}_h = \operatorname{attention}(x W^Q_h, x W^K_h, x W^V_h) \qquad
# y = [\operatorname{head}_1 \dots \operatorname{head}_H]\, W^O$$
#
# The matrices of all heads lie beside each other in one, so the projections are three products, and "cutting" is a
# reshape of the last axis. Heads must become a *leading* axis, so that each is a matrix of its own for `@`:
#
# `[..., length, heads * size]` → `[..., length, heads, size]` → `[..., heads, length, size]`
#
# **Exercises 3 and 4.** Write this, `in_heads`, and its reverse, `of_heads`. A reshape straight to
# `[..., heads, length, size]` has the right shape and the wrong numbers: it would cut along the length.

# %% exercise="in_heads"
# Hint: reshape, then swap the axes -3 and -2. `size` is the width of a head; how many heads are there?
#| solution


# %% test="in_heads"
x = tt.arange(24).reshape(1, 3, 8)
heads = in_heads(x, 4)
assert heads.shape == (1, 2, 3, 4), f"3 tokens of 2 heads, 4 wide each, are [1, 2, 3, 4]; got {list(heads.shape)}"
assert heads[0, 0].tolist() == x[0, :, :4].tolist(), "head 0 is the first 4 elements of every token"
assert heads[0, 1, 2].tolist() == [20, 21, 22, 23], "head 1 of token 2 is its last 4 elements"
assert in_heads(tt.zeros(5, 12), 3).shape == (4, 5, 3), "no leading axes are fine, too"
print("in_heads: right")

# %% exercise="of_heads"
# Hint: swap first, then `flatten(-2)` joins the last two axes.
#| solution


# %% test="of_heads"
x = normal(2, 5, 12)
assert of_heads(in_heads(x, 3)).shape == x.shape, "the reverse gives the shape back"
assert np.array_equal(of_heads(in_heads(x, 3)).numpy(), x.numpy()), "and every number in its place"
assert np.array_equal(of_heads(in_heads(x[0], 4)).numpy(), x[0].numpy()), "without leading axes, too"
print("of_heads: the reverse")

# %% [markdown]
# ## 4. Whose queries, whose keys
#
# In *self-attention* queries, keys and values are all made of the same x. In *cross-attention* one sequence looks at
# another, such as a translation at the original: queries are of x, keys and values of `key`. Rarely, values are of a
# third, `value`.
#
# The module has three linear layers, `self.query`, `self.key` and `self.value`. Three products of the same x can be
# one, with the three weights beside each other; then x is read once. `side_by_side(x, layer, …)` does this for an x of
# many rows, where it pays, and gives a list with the result of each layer. `layer(x)` alone gives the same numbers.
#
# **Exercise 5.** Write the method `projected` of `MultiHeadAttention`. It returns a list: queries, keys, values.

# %% exercise="projected"
# Hint: three cases. Begin with the one where neither `key` nor `value` is given.
#| solution


# %% test="projected"
tt.manual_seed(0)
layer = tt.MultiHeadAttention(8, 2)
x, other, third = (Tensor(rng.standard_normal((2, n, 8)).astype(np.float32)) for n in (3, 5, 5))


def same(found, *wanted):
    return len(found) == 3 and all(
        a.shape == b.shape and np.allclose(a.numpy(), b.numpy(), atol=1e-6) for a, b in zip(found, wanted, strict=True)
    )


assert same(projected(layer, x), layer.query(x), layer.key(x), layer.value(x)), "self-attention: all of x"
assert same(projected(layer, x, other), layer.query(x), layer.key(other), layer.value(other)), (
    "cross-attention: keys and values of `key`, queries of x"
)
assert same(projected(layer, x, other, third), layer.query(x), layer.key(other), layer.value(third)), (
    "values of `value`, where it is given"
)
print("projected: right")

# %% [markdown]
# Put together, this is all of multi-head attention. It runs on your functions, with the weights of the framework's
# module, and gives its numbers.


# %%
def multi_head(layer: MultiHeadAttention, x: Tensor, causal: bool) -> Tensor:
    """What `layer(x)` computes, by your functions."""
    q, k, v = (in_heads(part, layer.head_dim) for part in projected(layer, x))
    mask = causal_mask(x.shape[-2], x.shape[-2]) if causal else None
    return layer.output(of_heads(attention_weights(q, k, mask) @ v))


for causal in (False, True):
    layer = tt.MultiHeadAttention(32, 4, causal=causal)
    x = Tensor(rng.standard_normal((2, 10, 32)).astype(np.float32))
    off = abs(multi_head(layer, x, causal).numpy() - layer(x).numpy()).max()
    assert off < 1e-5, "the parts do not give what the module gives"
    print(f"causal={causal}: differs from tt.MultiHeadAttention by at most {off:.1e}")

# %% [markdown]
# As a graph. The compiler knows your lines when it sees them: of scores, mask, softmax and product one op is left,
# `attention` with `causal=True`, in a kernel of its own. Section 5 shows how it works inside.


# %%
@tt.compile
def self_attention(x: Tensor) -> Tensor:
    return multi_head(layer, x, causal=True)


self_attention(x)
print(*(line.strip() for line in str(self_attention.graph).splitlines() if "= attention(" in line), sep="\n")
self_attention

# %% [markdown]
# ## 5. Without the scores
#
# For T = 32,768 tokens a head has a billion scores: 4 GiB, written, read by softmax, written, read again. Yet row i
# of the result is a mere d numbers. Can it be computed with a part of the keys at a time?
#
# Softmax needs the largest score (or exp overflows) and the sum over all keys, and neither is known before the last
# key. But both can be *corrected* later. Go through the keys in blocks and keep for each query
#
# - $m$, the largest score so far,
# - $l = \sum_j e^{s_j - m}$, the sum so far, relative to m,
# - $o = \sum_j e^{s_j - m} v_j$, the weighted values so far, relative to m.
#
# A new block has scores $s$ and perhaps a larger maximum $m' = \max(m, \max_j s_j)$. What is kept was relative to the
# old m; multiplying by $e^{m - m'}$ makes it relative to the new one:
#
# $$l' = l\, e^{m - m'} + \sum_j e^{s_j - m'} \qquad o' = o\, e^{m - m'} + \sum_j e^{s_j - m'} v_j$$
#
# At the end the result is $o / l$. This is exact, not an approximation (Milakov and Gimelshein 2018), and it is the
# heart of FlashAttention (Dao and others 2022). With the start $m = -\infty$, $l = 0$, $o = 0$ the first block needs
# no case of its own, for $e^{-\infty} = 0$.
#
# **Exercise 6.** Write `attention_in_blocks` in numpy, for one head:
#
# 1. Start with $m$ `[queries, 1]`, $l$ `[queries, 1]` and $o$ `[queries, dv]`.
# 2. For each block of keys: its scores, divided by $\sqrt d$.
# 3. The new maximum, and the factor $e^{m - m'}$.
# 4. Correct l and o, and add what the block gives.
# 5. Behind the last block, divide.


# %% exercise="attention_in_blocks"
# Hint: `keepdims=True` keeps the columns [queries, 1], so that everything broadcasts. Slices end at the end by
# themselves, so the last block may be smaller.
def attention_in_blocks(Q, K, V, block=32):
    """softmax(Q Kᵀ / √d) V of Q [queries, d], K [keys, d] and V [keys, dv], with [queries, block] scores at a time."""
    ### BEGIN SOLUTION
    largest = np.full((len(Q), 1), -np.inf)
    total = np.zeros((len(Q), 1))
    out = np.zeros((len(Q), V.shape[1]))
    for first in range(0, len(K), block):
        scores = Q @ K[first : first + block].T / math.sqrt(Q.shape[1])
        now = np.maximum(largest, scores.max(1, keepdims=True))
        factor, weights = np.exp(largest - now), np.exp(scores - now)
        total = total * factor + weights.sum(1, keepdims=True)
        out = out * factor + weights @ V[first : first + block]
        largest = now
    return out / total
    ### END SOLUTION


# %% test="attention_in_blocks"
for queries, keys, block in ((5, 64, 16), (7, 50, 16), (3, 5, 32), (4, 9, 1)):
    q, k, v = rng.standard_normal((queries, 8)), rng.standard_normal((keys, 8)), rng.standard_normal((keys, 6))
    found = attention_in_blocks(q, k, v, block)
    expected = (attention_weights(Tensor(q), Tensor(k)) @ Tensor(v)).numpy()
    assert found.shape == (queries, 6), f"a row of values for each query, got {list(found.shape)}"
    assert np.allclose(found, expected), (
        f"{keys} keys in blocks of {block}: differs from softmax over all keys; were l and o corrected?"
    )
rising = np.linspace(0, 900, 40)[:, None]
found = attention_in_blocks(np.full((1, 1), 10.0), rising, rising, 8)
assert np.isfinite(found).all(), "large scores must not overflow: take the largest so far off before exp"
assert np.allclose(found, 900), "when the maximum rises, what is kept must be corrected"
print("attention_in_blocks: exact, without ever having all scores")

# %% test="attention_in_blocks" hidden=true
### BEGIN HIDDEN TESTS
falling = rising[::-1]
assert np.allclose(attention_in_blocks(np.full((1, 1), 10.0), falling, falling, 8), 900)


class Watched(np.ndarray):
    """Keys that remember how many of them a product has read at a time."""

    most = 0

    def __matmul__(self, other):
        Watched.most = max(Watched.most, np.shape(other)[1])
        return np.asarray(self) @ np.asarray(other)


attention_in_blocks(rng.standard_normal((4, 8)).view(Watched), rng.standard_normal((64, 8)), np.ones((64, 2)), 16)
assert Watched.most <= 16, "no more than a block of scores at a time"
### END HIDDEN TESTS

# %% [markdown]
# The framework's kernel does this in registers and caches, with blocks of queries as well, and keeps m and l for the
# backward pass, which computes the weights of a block again when it needs them.
#
# ## 6. Systems analysis
#
# Memory and time of your plain form beside the kernel, what masks and blocks save, and what becomes of the scores
# without the root of d.

# %%
from analyses import attention

attention.analyze(attend=lambda Q, K, V: attention_weights(Q, K) @ V, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.functional.scaled_dot_product_attention` chooses between a plain form and fused kernels, as the framework
# does. Its bool masks mean what yours mean: True, where a key is seen. Those of `torch.nn.MultiheadAttention` mean
# the opposite, and have confused many. Where PyTorch's `is_causal` meets fewer queries than keys, it aligns the
# *first* query with the first key, and so does the framework here; your `causal_mask` aligns the last ones, which is
# what continuing a text needs.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    arrays = [rng.standard_normal((2, 4, 33, 16)).astype(np.float32) for _ in range(3)]
    theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, arrays), is_causal=True).numpy()
    q, k, v = map(Tensor, arrays)
    print(f"plain: off by {abs((attention_weights(q, k, causal_mask(33, 33)) @ v).numpy() - theirs).max():.1e}")
    theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.tensor, arrays)).numpy()
    blocks = attention_in_blocks(*(x[0, 0] for x in arrays), block=8)
    print(f"in blocks: off by {abs(blocks - theirs[0, 0]).max():.1e}")

# %% [markdown]
# ## 7. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** From the last two rows of the first table: how does the peak of your plain form grow when T doubles,
# and how does the kernel's? At which T do the scores of 12 heads in f32 fill 16 GiB?

# %% [markdown] question="q2" points=2
# **Question 2.** Compare the operations and the times of "all pairs", "causal", the mask of a window and the blocks. Of
# which patterns can fewer operations be counted before anything runs, and why not of the mask? When and how could a
# kernel skip what a mask hides?

# %% [markdown] question="q3" points=1
# **Question 3.** `attention_in_blocks` does slightly more arithmetic than the plain form, and kernels built like it are
# faster. Where is the time that they save?

# %% [markdown]
# ## Summary
#
# - Attention is a soft look-up: scores by a product, softmax over the keys, a weighted mean of the values.
# - Heads are a reshape and a swap of axes. They add no operations, and each can look at something else.
# - T² scores need not exist: a maximum and a sum for each row, corrected block by block, give the same result exactly.
# - Your `in_heads`, `of_heads` and `projected` now carry every attention module of the framework.
#
# In module 13 attention gets what it lacks: a network for each position, and a way to stack dozens of both.
