# %% [markdown]
# # Module 14: The cache of keys and values
#
# The model of module 13 writes its hundredth character by computing the ninety-nine before it once more, all layers,
# all products. Nearly all of that work gives what it gave one step ago: in a causal model no token sees what comes
# after it, so its keys and values never change.
#
# Keep them, and a further token costs the work of one token. Hardly any language model is served without it. It trades
# operations for memory, and for many long texts it is the cache, not the weights, that fills a machine. You will write
# the parts that put tokens where they belong and attend to them, and a loop that generates text with them.
#
# At the end, `tt.KVCache` and `tt.attention_with_cache` of the package run on your code.
#
# *Time: about 80 minutes. You need modules 01 to 13.*

# %%
import time

import numpy as np

import tinytorch as tt
from tinytorch import arange
from tinytorch.frontend.attention.functions import attention_at
from tinytorch.frontend.kv_cache import KVCache
from tinytorch.frontend.tensor import Tensor

rng = np.random.default_rng(0)


def normal(*shape: int) -> Tensor:
    return Tensor(rng.standard_normal(shape).astype(np.float32))


# %% [markdown]
# ## 1. What is kept
#
# Token $t$ needs of the tokens before it only their keys and values, in every layer:
#
# $$o_t = \sum_{j \le t} w_{tj} v_j \qquad
# w_{tj} = \frac{e^{s_{tj}}}{\sum_{j' \le t} e^{s_{tj'}}} \qquad s_{tj} = \frac{q_t \cdot k_j}{\sqrt d}$$
#
# Queries of earlier tokens, their attention, their networks: nobody asks for them again. So for each layer, row of the
# batch and token there are two vectors to keep, each `heads * head_dim` wide.
#
# Without a cache, n tokens cost the products of $1 + 2 + \dots + n \approx n^2/2$ tokens. With it they cost those of
# n. (Attention to all that stands before is left; it grows with the text either way.)
#
# `tt.KVCache(batch, length, layers, width)` holds a tensor for each layer in `cache.keys`, and one in `cache.values`.
#
# **Exercise 1.** How many bytes is the cache? `heads` are the heads of keys and values, which may be fewer than those
# of queries.


# %% exercise="cache_bytes"
# Hint: keys *and* values.
def cache_bytes(batch, layers, length, heads, head_dim, element_bytes=4):
    """The bytes of a cache with room for `length` tokens in each row."""
    ### BEGIN SOLUTION
    return 2 * batch * layers * length * heads * head_dim * element_bytes
    ### END SOLUTION


# %% test="cache_bytes"
cache = tt.KVCache(3, 10, 2, 32, num_heads=4, num_kv_heads=2)
counted = sum(x.numel() * 4 for x in [*cache.keys, *cache.values])
found = cache_bytes(3, 2, 10, 2, 8)
assert found == counted, f"3 rows, 2 layers, 10 tokens, 2 heads of 8: the buffers have {counted} bytes, not {found}"
assert cache_bytes(1, 1, 1, 1, 1, element_bytes=2) == 4, "a key and a value of one element each, two bytes wide"
print(f"GPT-2, one row of 1,024 tokens: {cache_bytes(1, 12, 1024, 12, 64) / 2**20:.0f} MiB in f32")
print(f"32 layers, 32 heads of 128, 8,192 tokens, f16: {cache_bytes(1, 32, 8192, 32, 128, 2) / 2**30:.0f} GiB a row")

# %% [markdown]
# ## 2. A place for each token
#
# The buffer of a layer is `[batch, most, width]`: `most` places in each row. Rows may have different lengths, since
# prompts have. So the next token of each row goes to a place of its own.
#
# A kernel writes rows of *one* long table most easily. Read the buffer as `[batch * most, width]`: the places of row b
# begin at b · most. If row b has `first[b]` tokens, its new tokens go to
#
# $$b \cdot \text{most} + \text{first}_b + 0,\; 1,\; 2,\; \dots$$
#
# **Exercises 2 to 4.** Write
#
# - `joined`: keys come as `[batch, heads, length, head_dim]` and are kept as `[batch, length, heads * head_dim]`, one
#   token after another. What has three axes is in that form already.
# - `places_of`: the formula above, for all rows and tokens. `first` is a tensor. Do not make Python numbers of it: a
#   compiled step has other positions in every call.
# - `write`: put tokens at their places, in place. `flat.index_copy_(0, places, tokens)` copies row i of `tokens` to row
#   `places[i]` of `flat`.

# %% exercise="joined"
# Hint: you wrote `of_heads` in module 12. Here the sizes are known: swap axes 1 and 2, then reshape.
#| solution


# %% test="joined"
x = tt.arange(24).reshape(1, 2, 3, 4)
found = joined(x)
assert found.shape == (1, 3, 8), f"[1, 2, 3, 4] is kept as [1, 3, 8], got {list(found.shape)}"
assert found[0, 1].tolist() == [4, 5, 6, 7, 16, 17, 18, 19], "token 1: its key of head 0, then its key of head 1"
assert joined(tt.zeros(2, 3, 8)).shape == (2, 3, 8), "three axes stay"
print("joined: right")

# %% exercise="places_of"
# Hint: `arange(0, n * most, most)` are the beginnings of n rows. A column [batch, 1] and a row [length] broadcast.
#| solution


# %% test="places_of"
found = places_of(Tensor([0, 4, 2]), 3, 10)
assert found.tolist() == [[0, 1, 2], [14, 15, 16], [22, 23, 24]], "row b begins at b * most, its tokens at first[b]"
assert places_of(Tensor([7]), 1, 8).tolist() == [[7]], "the last place of a row"
compiled_places = tt.compile(lambda first: places_of(first, 2, 10))
for first in ([0, 0], [3, 8]):
    assert compiled_places(Tensor(first)).tolist() == places_of(Tensor(first), 2, 10).tolist(), (
        "compiled once, it should follow the numbers in `first`; were they read into Python?"
    )
print("places_of: right")

# %% exercise="write"
# Hint: `kept.view(-1, width)` shares its numbers with `kept`; a copy would be lost. Indices and rows must be flat, too.
#| solution


# %% test="write"
kept = tt.zeros(2, 4, 3)
write(kept, tt.ones(2, 1, 3) * 5, Tensor([[1], [7]]))
assert kept.numpy()[0, 1].tolist() == [5, 5, 5] and kept.numpy()[1, 3].tolist() == [5, 5, 5], (
    "places 1 and 7 of two rows with room for 4 are token 1 of row 0 and token 3 of row 1"
)
assert kept.numpy().sum() == 30, "nothing else is changed"
new = normal(2, 2, 3)
write(kept, new, places_of(Tensor([0, 2]), 2, 4))
assert np.array_equal(kept.numpy()[0, :2], new.numpy()[0]), "row 0 at 0 and 1"
assert np.array_equal(kept.numpy()[1, 2:], new.numpy()[1]), "row 1 at 2 and 3"
print("write: in place")

# %% [markdown]
# As a graph. `kept` is `%state`: the compiled function takes it in and gives its new value out, and the runtime lets
# both be the same memory. So writing a token costs a token, not the cache. (`iota` counts from 0, as `arange` does;
# `scatter` is `index_copy_`.)

# %%
kept = tt.zeros(2, 64, 16)


@tt.compile
def keep(new: Tensor, first: Tensor) -> None:
    write(kept, new, places_of(first, 1, 64))


keep(normal(2, 1, 16), Tensor([3, 9]))
assert kept.numpy()[0, 3].any() and kept.numpy()[1, 9].any() and (kept.numpy() != 0).sum() == 32
print(keep.graph)

# %%
keep

# %% [markdown]
# ## 3. Attention to what is kept
#
# `cache.update(layer_idx, K, V)` writes the keys and values of new tokens (with your functions) and gives three things
# back: the keys and the values of *all* that the layer has room for, with as many axes as K and V have, and `positions`
# `[batch]`, where the new tokens begin in each row.
#
# What lies behind the newest token is not valid: zeros, or the rest of a text that was cut off. So attention must know
# where each query stands. `attention_at(Q, keys, values, positions, scale)` is causal attention for this: query i of
# row b stands at key `positions[b] + i` and sees no key behind it. It takes four axes, `[batch, heads, …, …]`.
#
# **Exercise 5.** Write `attend_to_cache`:
#
# 1. Update the cache with K and V.
# 2. If the operands have four axes, attend.
# 3. If they have three, `[batch, length, dim]`, give each an axis of one head, attend, and take the axis away again.
#
# Hand `scale` on; None means $1 / \sqrt d$.

# %% exercise="attend_to_cache"
# Hint: update *before* you attend: a token sees itself. `unsqueeze(1)` adds the axis of heads.
#| solution


# %% test="attend_to_cache"
Q, K, V = (normal(2, 4, 6, 8) for _ in range(3))
whole = tt.scaled_dot_product_attention(Q, K, V, is_causal=True).numpy()
cache = tt.KVCache(2, 10, 3, 32)
parts = [attend_to_cache(*(x[:, :, a:b] for x in (Q, K, V)), cache, 1).numpy() for a, b in ((0, 3), (3, 4), (4, 6))]
assert np.allclose(np.concatenate(parts, 2), whole, atol=1e-5), (
    "in parts it must give what one causal attention over all tokens gives: a query sees the keys up to its own place"
)
assert cache.pending.tolist() == [0, 6, 0], "the keys and values of layer 1 were written, and no others"
three = [normal(2, 5, 32) for _ in range(3)]
found = attend_to_cache(*three, tt.KVCache(2, 5, 1, 32), 0)
assert found.shape == (2, 5, 32), "without heads: three axes in, three axes out"
assert np.allclose(found.numpy(), tt.scaled_dot_product_attention(*three, is_causal=True).numpy(), atol=1e-5), (
    "without heads: differs from one causal attention over all tokens"
)
sharp = attend_to_cache(Q, K, V, tt.KVCache(2, 6, 1, 32), 0, 5.0)
assert not np.allclose(sharp.numpy(), whole), "the scale is handed on"
print("attend_to_cache: the same as attention over all tokens")

# %% test="attend_to_cache" hidden=true
### BEGIN HIDDEN TESTS
cache = tt.KVCache(2, 8, 1, 16, num_heads=4, num_kv_heads=1, head_dim=8)
q, k, v = normal(2, 4, 3, 8), normal(2, 1, 3, 8), normal(2, 1, 3, 8)
found = attend_to_cache(q, k, v, cache, 0).numpy()
shared = [Tensor(np.repeat(x.numpy(), 4, 1)) for x in (k, v)]
assert np.allclose(found, tt.scaled_dot_product_attention(q, *shared, is_causal=True).numpy(), atol=1e-5)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. Writing on
#
# Now a loop that uses it. A model of the framework takes the cache, hands it to every layer, and counts the tokens
# itself:
#
# - `model(prompt, cache=cache)` computes the whole prompt, `[1, length]`, in one forward.
# - `model(token, cache=cache)` computes *one* token, `[1, 1]`, behind what the cache holds.
#
# Both give logits for each token they were given; the last ones tell the next token. `step` is a function that does
# this: compiled, it has one program for the length of the prompt and one for a single token.
#
# **Exercise 6.** Write `continued`, greedy:
#
# 1. Call `step` with the prompt.
# 2. Take the most probable token behind the last one, and append it.
# 3. While tokens are missing, call `step` with that token *alone*. No call is wasted: `count` calls for `count` tokens.


# %% exercise="continued"
# Hint: `step(...)` is [1, length, vocab]; `int(logits[0, -1].argmax())` is the next token.
def continued(step, prompt, count):
    """The prompt, a list of tokens, with `count` further ones; `step(tokens [1, length])` are its logits."""
    ### BEGIN SOLUTION
    tokens, new = list(prompt), list(prompt)
    for _ in range(count):
        logits = step(Tensor(np.array([new])))
        new = [int(logits[0, -1].argmax())]
        tokens += new
    return tokens
    ### END SOLUTION


# %% test="continued"
tt.manual_seed(3)
model = tt.GPT(40, 32, 2, 4, context_length=48, initialization="identity")
with tt.no_grad():
    for p in model.parameters():
        if p.ndim == 2:
            p.copy_(tt.randn(*p.shape) * 0.2)  # large enough that the text does not repeat one token
model.eval()
given = []


def counting(tokens):
    given.append(tokens.shape[1])
    assert len(given) == 1 or given[-1] == 1, f"behind the prompt, `step` gets one token alone; it got {given[-1]}"
    with tt.no_grad():
        return model(tokens, cache=cache)


cache = tt.KVCache(1, 48, 2, 32)
found = continued(counting, [5, 1, 7, 7], 12)
expected = model.generate([5, 1, 7, 7], 16, temperature=0)
assert found is not None and len(found) == 16, "the prompt of 4 and 12 further tokens are 16"
assert found == expected, f"without a cache it is {expected}, got {found}"
assert given == [4] + [1] * 11, f"the prompt once, then 11 times one token; the steps had {given} tokens"
assert continued(counting, [5], 0) == [5], "nothing to add"
print("continued: the same tokens as without a cache")

# %% [markdown]
# Now a compiled step, beside `generate`, which computes everything again for each token and is compiled, too. Both run
# the same model.

# %%
long = tt.GPT(40, 64, 4, 4, context_length=256)
long.eval()
cache = tt.KVCache(1, 256, 4, 64)
step = tt.compile(lambda tokens: long(tokens, cache=cache))
with tt.no_grad():
    for _ in range(2):  # the first time compiles
        cache.reset()
        start = time.perf_counter()
        tokens = continued(step, [1, 2, 3, 4], 200)
        seconds = time.perf_counter() - start
    print(f"with the cache: {seconds / 200 * 1e6:.0f} µs a token")
for _ in range(2):
    start = time.perf_counter()
    again = long.generate([1, 2, 3, 4], 204, temperature=0)
    seconds = time.perf_counter() - start
print(f"all computed again: {seconds / 200 * 1e6:.0f} µs a token; the same text: {again == tokens}")

# %% [markdown]
# ## 5. Fewer heads of keys
#
# A step of one token does little arithmetic, but it reads the whole cache. Where the cache is long, its time is that of
# the bytes. Heads of queries can *share* keys and values: with `num_kv_heads=1` all of them look into one set
# (multi-query attention, Shazeer 2019); with a few sets, each serves a group of heads (Ainslie and others 2023). The
# cache and what a step reads of it shrink by that factor, at a small cost in quality. The last part of the systems
# analysis measures size and time.
#
# ## 6. Systems analysis

# %%
from analyses import kv_cache

kv_cache.analyze(attention_with_cache=attend_to_cache, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# PyTorch has no cache of its own. The libraries on top of it either let it grow, by `torch.cat` in each step, which
# copies the whole cache for one token, or keep static buffers as here, so that a compiled step stays the same. Paged
# caches, as vLLM has them, give rows pieces of memory as they grow.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    arrays = [rng.standard_normal((1, 2, 6, 8)).astype(np.float32) for _ in range(3)]
    cache = tt.KVCache(1, 6, 1, 16)
    grown, off = None, 0.0
    for t in range(6):
        q, k, v = (x[:, :, t : t + 1] for x in arrays)
        pair = [torch.tensor(k), torch.tensor(v)]
        grown = pair if grown is None else [torch.cat([old, new], 2) for old, new in zip(grown, pair, strict=True)]
        theirs = torch.nn.functional.scaled_dot_product_attention(torch.tensor(q), *grown).numpy()
        off = max(off, abs(attend_to_cache(*map(Tensor, (q, k, v)), cache, 0).numpy() - theirs).max())
    print(f"token by token, the results differ by at most {off:.1e}")

# %% [markdown]
# ## 7. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** For a model with 32 layers, 32 heads of 128 and weights of 14 GB, with 80 GB of memory: how many rows
# of 4,096 tokens in f16 can be served at a time? How many with 8 heads of keys and values?

# %% [markdown] question="q2" points=2
# **Question 2.** From the second table: how does the time of one more token grow with what stands before it, with and
# without the cache? From the third: how many times fewer operations does that token take with the cache? Is the
# measured gain as large? What else takes time in a step of one token?

# %% [markdown] question="q3" points=1
# **Question 3.** `continued` would give wrong text, without an error, if the model were not causal. Which step of the
# argument for the cache fails?

# %% [markdown]
# ## Summary
#
# - Keys and values of a causal model never change, so they are kept: n tokens cost the products of n, not of n²/2.
# - The price is memory: two vectors for each token, layer and row. Sharing keys among heads divides it.
# - Places are data, not shapes: one compiled step serves every position.
# - Your `joined`, `places_of`, `write` and `attend_to_cache` now keep the tokens of every model of the framework.
#
# In module 15 you measure all that you have built.
