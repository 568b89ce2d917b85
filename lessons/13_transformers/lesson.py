# %% [markdown]
# # Module 13: Transformers
#
# Attention moves information between positions and computes nothing new with it: its result is a mean of what was
# there. A network of two layers computes something new at each position and sees no other. A transformer alternates
# the two, and that is nearly all of it. GPT-2, its successors and most models that you have heard of are a table of
# embeddings, a few dozen of such blocks, and a product with the table at the end.
#
# What makes a stack of dozens trainable are two small things: a norm in front of each part, and a sum that leads
# around it. You will write both, a block, and the rule by which a model picks its next word, and train a model that
# spells.
#
# At the end, `tt.TransformerBlock` and `tt.GPT` of the package run on your code.
#
# *Time: about 110 minutes. You need modules 01 to 12.*

# %%
import math
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch import where
from tinytorch.frontend.attention.layers import Cache
from tinytorch.frontend.layers.layers import side_by_side
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.transformers.block import FeedForward

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The norm of a layer
#
# Each part of a transformer adds its result to what came in, so numbers grow from part to part. A norm brings each
# *position's* vector back to mean 0 and variance 1, and then lets the model choose scale and shift, one of each for
# every element (Ba, Kiros and Hinton 2016):
#
# $$\mu = \frac1d \sum_i x_i \qquad \sigma^2 = \frac1d \sum_i (x_i - \mu)^2 \qquad
# y_i = \gamma_i\, \frac{x_i - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta_i$$
#
# The mean runs over the elements of one vector, the last axis. No other position and no other example takes part, so
# the norm is the same in training and in use, and a token never learns of a later one through it. The $\varepsilon$
# keeps a constant vector from being divided by 0. The variance is divided by d, not by d − 1.
#
# **Exercise 1.** Write `normalized`. `weight` is $\gamma$, `bias` is $\beta$.


# %% exercise="normalized"
# Hint: `x.mean(-1, keepdim=True)` keeps the axis, so that it broadcasts. The variance is the mean of squares.
def normalized(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """The layer norm of x [..., d], with weight [d] and bias [d]."""
    ### BEGIN SOLUTION
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred / (variance + eps).sqrt() * weight + bias
    ### END SOLUTION


# %% test="normalized"
x, weight, bias = (Tensor(rng.standard_normal(shape) * 3 + 1) for shape in ((4, 5, 8), (8,), (8,)))
found = normalized(x, weight, bias)
plain = normalized(x, tt.ones(8, dtype=tt.float64), tt.zeros(8, dtype=tt.float64)).numpy()
assert found.shape == x.shape, "the shape stays"
assert np.allclose(plain.mean(-1), 0), "the mean of each vector, along the last axis, is 0"
assert np.allclose(plain.var(-1), 1, atol=1e-4), "its variance is 1; is it divided by d, not by d - 1?"
assert np.allclose(found.numpy(), tt.nn.functional.layer_norm(x, (8,), weight, bias).numpy()), (
    "differs from tt.nn.functional.layer_norm: weight times the normalized vector, plus bias"
)
assert np.isfinite(normalized(tt.ones(2, 8), tt.ones(8), tt.zeros(8)).numpy()).all(), "a constant vector: 0 / sqrt(eps)"
g = Tensor(rng.standard_normal(x.shape))
own, real = (
    tt.grad(lambda x, f=f: (f(x) * g).sum())(x).numpy()
    for f in (lambda x: normalized(x, weight, bias), lambda x: tt.nn.functional.layer_norm(x, (8,), weight, bias))
)
assert np.allclose(own, real), "the gradients differ"
print("normalized: the same as the framework's layer norm, with its gradient")

# %% [markdown]
# The framework keeps a layer norm as one op: a compiled step computes it in one kernel, and its gradient needs x alone,
# none of the vectors in between.
#
# ## 2. The network of each position
#
# Two linear layers with an activation between, `up` to a wider vector (four times, by custom) and `down` again:
#
# $$\operatorname{FFN}(x) = W_{\text{down}}\; a(W_{\text{up}}\, x)$$
#
# Two thirds of a block's parameters are here. The framework's module, `FeedForward`, offers five activations. With
# $u = W_{\text{up}}\, x$ plus its bias, which is `self.up(x)`, they are
#
# | `self.activation` | what `down` reads | methods of tensors |
# | --- | --- | --- |
# | `"gelu"`, `"gelu_tanh"` | $\operatorname{gelu}(u)$, exact or by tanh (module 02) | `gelu("none")`, `gelu("tanh")` |
# | `"relu"`, `"relu2"` | $\max(u, 0)$, or its square | `relu()`, `square()` |
# | `"swiglu"` | $\operatorname{silu}(g) \cdot u$, where $\operatorname{silu}(g) = g\, \sigma(g)$ | `silu()` |
#
# In the last, `self.gate(x)` is $g$: a third layer, which opens or closes each element of $u$. In the others
# `self.gate` is None.
#
# The module's `forward` is `self.down(self.widened(x))`.
#
# **Exercise 2.** Write its method `widened`: everything in front of `down`.

# %% exercise="widened"
# Hint: the gated case first. `side_by_side(x, a, b)` from module 12 gives the results of two layers of one x.
#| solution


# %% test="widened"
x = Tensor(rng.standard_normal((2, 3, 8)).astype(np.float32))
curves = {
    "gelu": lambda u: u * (1 + np.vectorize(math.erf)(u / math.sqrt(2))) / 2,
    "gelu_tanh": lambda u: u * (1 + np.tanh(math.sqrt(2 / math.pi) * (u + 0.044715 * u**3))) / 2,
    "relu": lambda u: np.maximum(u, 0),
    "relu2": lambda u: np.maximum(u, 0) ** 2,
    "swiglu": lambda u: u,
}
for activation, curve in curves.items():
    layer = FeedForward(8, 16, activation)
    found = widened(layer, x)
    assert found is not None and found.shape == (2, 3, 16), f"{activation}: [2, 3, 8] is widened to [2, 3, 16]"
    expected = curve(layer.up(x).numpy())
    if activation == "swiglu":
        gate = layer.gate(x).numpy()
        expected = expected * gate / (1 + np.exp(-gate))
    assert np.allclose(found.numpy(), expected, atol=1e-6), f"{activation}: wrong numbers"
print("widened: five activations, right")

# %% [markdown]
# ## 3. The block
#
# $$x \leftarrow x + \operatorname{attention}(\operatorname{norm}_1(x)) \qquad
# x \leftarrow x + \operatorname{FFN}(\operatorname{norm}_2(x))$$
#
# Each part, or *branch*, adds to what is there; such a sum is called a *residual*. Read it from the end: the gradient
# of the sum goes both into the branch and, as it is, around it. Through 48 blocks there is a path of nothing but
# additions, so the gradient reaches the first layer without being multiplied by 48 matrices. The norm stands inside the
# branch (*pre-norm*), where it cannot disturb that path. The original paper put it behind the sum; such models of many
# layers train only with a careful warm-up (Xiong and others 2020).
#
# The block of the framework hands some more things through to its attention:
#
# - `mask`, `cache` (module 14) and `layer_idx`, as attention takes them;
# - `first_value`: some models mix the values that the first block's attention computed into those of all others. To get
#   at them, attention returns a pair with `return_value=True`, its result and its values, and so does the block.
#
# **Exercise 3.** Write the method `forward` of `TransformerBlock`:
#
# 1. Call `self.attention` on the norm of x, with all that is handed through and with `return_value=True`.
# 2. Add its result, behind `self._dropped(…)` (dropout in training, else nothing).
# 3. Add the feed-forward network of the second norm of the *new* x, dropped likewise.
# 4. Return the pair or x alone, as `return_value` says.

# %% exercise="forward"
# Hint: `self.attention(y, mask, cache=cache, layer_idx=…, first_value=…, return_value=True)`.
#| solution


# %% test="forward"
tt.manual_seed(0)
block = tt.TransformerBlock(16, 4, causal=True)
tt.nn.init.normal_(block.norm2.weight)  # so that the two norms differ
x = Tensor(rng.standard_normal((2, 6, 16)).astype(np.float32))
middle = x + block.attention(block.norm1(x))
expected = middle + block.feed_forward(block.norm2(middle))
found = forward(block, x)
assert isinstance(found, Tensor), "without return_value the block returns x alone"
assert np.allclose(found.numpy(), expected.numpy(), atol=1e-5), (
    "wrong numbers: both parts add to x, and the second sees what the first has added"
)
pair = forward(block, x, return_value=True)
assert len(pair) == 2 and pair[1].shape == (2, 4, 6, 4), "with return_value: x and the values of the heads"
seen = Tensor(np.eye(6, dtype=bool))
assert not np.allclose(forward(block, x, seen).numpy(), expected.numpy()), "the mask is handed through"
block_again = tt.TransformerBlock(16, 4, causal=True, value_residual=True)
first = Tensor(rng.standard_normal((2, 4, 6, 4)).astype(np.float32))
a, b = (forward(block_again, x, first_value=v).numpy() for v in (first, first * 2))
assert not np.allclose(a, b), "first_value is handed through"


class Recorder:
    """In the place of a cache of two rows: notes the layer, and keeps nothing."""

    positions = Tensor([0, 0])

    def update(self, layer_idx, key, value):
        self.layer = layer_idx
        return key, value, Tensor([0, 0])


cache = Recorder()
kept = forward(block, x, cache=cache, layer_idx=1)
assert cache.layer == 1, "cache and layer_idx are handed through"
assert np.allclose(kept.numpy(), expected.numpy(), atol=1e-5), "and what the cache gives is attended to"


class Dropping(tt.TransformerBlock):
    """A block that drops everything."""

    def _dropped(self, x):
        return x * 0.0


assert np.array_equal(forward(Dropping(16, 4), x).numpy(), x.numpy()), "what each part adds goes through _dropped"
print("forward: right")

# %% test="forward" hidden=true
### BEGIN HIDDEN TESTS
dropping = tt.TransformerBlock(16, 4, dropout=0.5)
tt.manual_seed(1)
a = forward(dropping, x).numpy()
tt.manual_seed(2)
assert not np.allclose(a, forward(dropping, x).numpy()), "in training both branches are dropped"
dropping.eval()
assert np.allclose(forward(dropping, x).numpy(), forward(dropping, x).numpy())
### END HIDDEN TESTS

# %% [markdown]
# As a graph, compiled. Bias, activation and residual have become parts of the products; the norms are kernels of
# their own; attention is one.


# %%
@tt.compile
def one_block(x: Tensor) -> Tensor:
    return forward(block, x)


assert np.allclose(one_block(x).numpy(), forward(block, x).numpy(), atol=1e-5), "compiled and eager agree"
one_block

# %% [markdown]
# ## 4. How large is it?
#
# Count a block's parameters with biases, for width d and a ratio of 4. Attention has four matrices of d × d with
# biases. The network has one of 4d × d and one of d × 4d, with biases. Each norm has a weight and a bias of d.
#
# **Exercise 4.** Write the sum as a formula.


# %% exercise="block_parameters"
# Hint: the term with d² first. It is what remains when d is large.
def block_parameters(d: int) -> int:
    """The parameters of `tt.TransformerBlock(d, heads)`."""
    ### BEGIN SOLUTION
    return 12 * d * d + 13 * d
    ### END SOLUTION


# %% test="block_parameters"
for d in (8, 16, 64):
    counted = sum(p.numel() for p in tt.TransformerBlock(d, 4).parameters())
    assert block_parameters(d) == counted, (
        f"a block of width {d} has {counted:,} parameters, your formula gives {block_parameters(d):,}"
    )
print(f"a block of GPT-2, width 768: {block_parameters(768):,} parameters; twelve: {12 * block_parameters(768):,}")

# %% [markdown]
# ## 5. The next token
#
# The last position's vector, multiplied by the rows of the table of embeddings, gives a *logit* for each token, and
# softmax makes probabilities of them. Which token is next?
#
# - **Greedy**: the most probable one. Good for answers that are right or wrong; stories go round in circles.
# - **Drawn**: each with its probability. With a *temperature* t the logits are divided by t first: below 1 the likely
#   become likelier, above 1 the unlikely get a chance.
# - **Top k**: only the k most probable tokens take part. The tail of a distribution is long, and each of its tokens is
#   a chance to derail.
#
# **Exercise 5.** Write `most_probable` for tensors, as it is part of a compiled step. A NaN in the logits must not
# become a token that looks fine: `most_probable` answers −1 for such a row, and the loop around it raises an error.

# %% exercise="most_probable"
# Hint: the largest of a row with a NaN is NaN. `argmax(-1)`, `amax(-1)`, and `where(condition, -1, …)`.
#| solution


# %% test="most_probable"
assert most_probable(Tensor([[0.0, 3.0, 1.0], [5.0, -1.0, 2.0]])).tolist() == [1, 0], "the place of the largest logit"
assert most_probable(Tensor([[0.0, math.nan, 9.0], [1.0, 2.0, 0.0]])).tolist() == [-1, 1], "a row with a NaN gives -1"
assert most_probable(Tensor([[-math.inf, -5.0]])).tolist() == [1], "an infinity is no NaN"
print("most_probable: right")

# %% [markdown]
# **Exercise 6.** Write `shares` in numpy, the probabilities from which a token is drawn:
#
# 1. Divide the logits by the temperature.
# 2. If `k` is given, all but the k largest become $-\infty$. (What is as large as the k-th takes part.)
# 3. Softmax, with the largest taken off first.


# %% exercise="shares"
# Hint: `np.sort(x)[..., -k]` is the k-th largest of a row; `[..., None]` makes a column of it.
def shares(logits, temperature=1.0, k=None):
    """Probabilities [..., tokens] from which the next token is drawn; `k`: of so many most probable ones."""
    ### BEGIN SOLUTION
    scaled = logits / temperature
    if k is not None:
        least = np.sort(scaled, -1)[..., -k][..., None]
        scaled = np.where(scaled >= least, scaled, -np.inf)
    weights = np.exp(scaled - scaled.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)
    ### END SOLUTION


# %% test="shares"
logits = np.log(np.array([[0.5, 0.3, 0.15, 0.05]]))
assert np.allclose(shares(logits), [[0.5, 0.3, 0.15, 0.05]]), "at temperature 1 it is softmax"
assert np.allclose(shares(logits, k=2), [[0.625, 0.375, 0, 0]]), "of the best two: 0.5 and 0.3, over 0.8"
assert np.allclose(shares(logits, k=3), np.array([[0.5, 0.3, 0.15, 0]]) / 0.95), "of the best three, over 0.95"
cold, hot = shares(logits, 0.5), shares(logits, 2.0)
assert cold[0, 0] > 0.5 > hot[0, 0] > 0.25, "a temperature below 1 sharpens, above 1 it flattens"
assert np.allclose(cold, np.array([[0.25, 0.09, 0.0225, 0.0025]]) / 0.365), "logits are divided by the temperature"
assert np.isfinite(shares(logits * 1000 + 5000)).all(), "large logits must not overflow"
assert np.allclose(shares(np.array([2.0, 0.0, 2.0]), k=1), [0.5, 0, 0.5]), "what is as large as the k-th takes part"
print("shares: right")

# %% [markdown]
# ## 6. A model that spells
#
# Now all of it: a small GPT on a small text, trained by a compiled step as in module 07, then a continuation drawn by
# your `shares`. The text is a counting rhyme, so that a few seconds are enough. Watch the loss: at first it is about
# $\ln V$, as all characters are about equally likely.

# %%
TEXT = "one for sorrow, two for joy, three for a girl, four for a boy, five for silver, six for gold, "
tokenizer = tt.CharTokenizer(sorted(set(TEXT)))
data = np.array(tokenizer.encode(TEXT * 8))
vocab, length = tokenizer.vocab_size, 32
tt.manual_seed(0)
model = tt.GPT(vocab, 32, 2, 4, context_length=length)
optimizer = tt.AdamW(model.parameters(), lr=5e-3)


@tt.compile
def step(inputs: Tensor, targets: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss = model(inputs, targets)
    loss.backward()
    optimizer.step()
    return loss


losses = []
for _ in range(250):
    starts = rng.integers(0, len(data) - length - 1, 16)
    windows = np.stack([data[i : i + length + 1] for i in starts])
    losses.append(float(step(Tensor(windows[:, :-1]), Tensor(windows[:, 1:]))))
print(f"ln V = {math.log(vocab):.2f}; loss {losses[0]:.2f} at first, {losses[-1]:.3f} at last")

# %%
model.eval()
run = tt.compile(lambda tokens, last: model(tokens)[0, last])
tokens = tokenizer.encode("two for ")
for _ in range(40):
    window = tokens[-length:]
    padded = np.array([window + [0] * (length - len(window))])
    logits = run(Tensor(padded), Tensor(len(window) - 1)).numpy().astype(np.float64)
    tokens.append(int(rng.choice(vocab, p=shares(logits, temperature=0.7, k=5))))
print(tokenizer.decode(tokens))

# %% [markdown]
# `model.generate(prompt, max_length, temperature, top_k)` does this with the choice compiled into the step. Each token
# still costs a forward of all tokens before it; module 14 ends that.
#
# ## 7. Systems analysis
#
# Where the parameters and the operations are, what depth keeps in memory, and how accumulation trades memory for
# time.


# %%
class MyBlock(tt.TransformerBlock):
    """The framework's block with your forward."""

    forward = forward


from analyses import transformers

transformers.analyze(Block=MyBlock, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.nn.TransformerEncoderLayer` is a block; its norms stand behind the sums unless `norm_first=True`, it uses ReLU
# unless told otherwise, and drops with 0.1 by default: three differences from a GPT before the first line of training.
# Below, its weights are put into yours.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    theirs = torch.nn.TransformerEncoderLayer(16, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    block = tt.TransformerBlock(16, 4)
    rows = [t.detach().numpy() for t in (theirs.self_attn.in_proj_weight, theirs.self_attn.in_proj_bias)]
    state = {f"attention.{name}.{what}": part[16 * i : 16 * i + 16]
             for what, part in zip(("weight", "bias"), rows, strict=True)
             for i, name in enumerate(("query", "key", "value"))}  # fmt: skip
    others = {"attention.output": theirs.self_attn.out_proj, "norm1": theirs.norm1, "norm2": theirs.norm2,
              "feed_forward.up": theirs.linear1, "feed_forward.down": theirs.linear2}  # fmt: skip
    for name, module in others.items():
        state[f"{name}.weight"], state[f"{name}.bias"] = (p.detach().numpy() for p in (module.weight, module.bias))
    block.load_state_dict({name: Tensor(array.copy()) for name, array in state.items()})
    x = rng.standard_normal((2, 5, 16)).astype(np.float32)
    with torch.no_grad():
        off = abs(theirs(torch.tensor(x)).numpy() - forward(block, Tensor(x)).numpy()).max()
    print(f"with the same weights the results differ by at most {off:.1e}")

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** GPT-2 has 12 blocks of width 768, a table of 50,257 tokens that its head shares, 1,024 learned
# positions, and one more norm at the end. Compute its parameters with your formula, and the share of the table. From
# which width on do 12 blocks have more parameters than the table?

# %% [markdown] question="q2" points=2
# **Question 2.** From the third table: what does one more layer add to the memory of a training step, and what to a
# forward without gradients? From the fourth: what does accumulation save, and what does it cost?

# %% [markdown] question="q3" points=1
# **Question 3.** Delete `x +` in both lines of the block, in your head. What is then the gradient at the first of 48
# blocks a product of, and what has module 03 taught you about such products?

# %% [markdown]
# ## Summary
#
# - A transformer alternates attention, which moves information, and a network, which works on it.
# - Residuals give the gradient a path of additions; norms inside the branches keep the scale.
# - A block has 12 d² + 13 d parameters, and each of a matrix costs 2 operations a token forward. Attention's own part
#   grows with the length.
# - Your `forward` of the block, `widened` and `most_probable` now run in every GPT of the framework.
#
# In module 14 a further token costs the work of one token.
