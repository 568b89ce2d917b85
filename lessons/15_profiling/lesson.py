# %% [markdown]
# # Module 15: Profiling
#
# You have built a framework's worth of layers. Which of them is slow? Guesses about performance are wrong so often
# that professionals stopped making them: they count, they measure, and they compare the two.
#
# *Counting* needs no machine: operations and bytes follow from shapes, before anything runs. *Measuring* needs care,
# for a time is a sample, and the sample is biased by everything else that the machine does. Between the two stands a
# model of one line, the roofline, that says how fast the work could have been. Where measured and possible differ by a
# factor of ten, there is something to find; where they agree, leave it alone.
#
# At the end, `tt.Profiler` of the package runs on your code.
#
# *Time: about 80 minutes. You need modules 01 to 14.*

# %%
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir.graph import Graph
from tinytorch.ir.system import collector
from tinytorch.runtime.llvm.threads.peaks import peaks

rng = np.random.default_rng(0)
_FEWEST = 5  # calls that are timed, however long they take

# %% [markdown]
# ## 1. Operations
#
# A product `[m, k] @ [k, n]` has mn results, each a sum of k products: 2mnk operations. Some count a multiply-add as
# one, a *MAC*; their numbers are half of these. Papers mix both, so always ask.
#
# A convolution is a product in disguise (module 09). Each of the results `[batch, out, height', width']` is a sum over
# a window of k × k elements and over the channels of its group. With stride s and padding p:
#
# $$\text{FLOPs} = 2 \cdot \text{results} \cdot k^2 \cdot \frac{\text{channels in}}{\text{groups}}
# \qquad h' = \left\lfloor \frac{h + 2p - k}{s} \right\rfloor + 1$$
#
# **Exercise 1.** Write this as a function, without the bias.


# %% exercise="convolution_flops"
# Hint: the sizes of the result first; they are whole numbers.
def convolution_flops(shape, out_channels, kernel, stride=1, padding=0, groups=1):
    """Operations of a convolution of an input [batch, channels, height, width] with windows kernel × kernel."""
    ### BEGIN SOLUTION
    batch, channels, *sizes = shape
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in sizes)
    results = batch * out_channels * height * width
    return 2 * results * kernel * kernel * channels // groups
    ### END SOLUTION


# %% test="convolution_flops"
for shape, out, kernel, stride, padding, groups in (
    ((1, 3, 8, 8), 4, 3, 1, 0, 1),
    ((2, 3, 9, 12), 5, 3, 2, 1, 1),
    ((1, 8, 7, 7), 8, 5, 1, 2, 8),
    ((3, 4, 6, 6), 6, 1, 1, 0, 2),
):
    layer = tt.Conv2d(shape[1], out, kernel, stride, padding, groups=groups, bias=False)
    expected = tt.Profiler().count_flops(layer, shape).ops["conv2d"]
    own = convolution_flops(shape, out, kernel, stride, padding, groups)
    assert own == expected, (
        f"{shape}, {out} channels, window {kernel}, stride {stride}, padding {padding}, {groups} groups: {expected} "
        f"operations, got {own}"
    )
    assert isinstance(own, int), "a count is a whole number"
print("convolution_flops: as the framework counts")

# %% [markdown]
# ## 2. A whole model
#
# No formula for each model is needed. The framework traces a model into a graph; each node knows its op and its
# types, so it knows its operations: `node.flops`. It also knows where it was made: `node.loc.scope` is the path of
# the module, such as `Sequential.0`. (`node.loc` may be None: then the place is not known.)
#
# **Exercise 2.** Write `counted`: two counters, of operations by scope and of operations by `node.op.name`.
#
# - The scope of a node without `loc` is `""`.
# - Every scope is in the first counter, even with 0 operations. Ops that cost nothing (reshapes, say) are left out of
#   the second.

# %% exercise="counted"
# Hint: `Counter()` is a dictionary that begins with 0 everywhere, so `counter[name] += n` always works.
#| solution


# %% test="counted"
tt.manual_seed(0)
model = tt.Sequential(tt.Linear(20, 30), tt.ReLU(), tt.Linear(30, 10))
compiled = tt.compile(model)
compiled(tt.zeros(8, 20))
graph = compiled.traced_graph
scopes, ops = counted(graph)
assert ops["matmul"] == 2 * 8 * (20 * 30 + 30 * 10), f"two products of 8 rows; got {ops['matmul']}"
assert ops["add"] == 8 * 30 + 8 * 10, f"a bias is one addition for each result: 320; got {ops['add']}"
assert "permute" not in ops, "ops that cost nothing are left out"
assert sum(scopes.values()) == sum(ops.values()) == sum(node.flops for node in graph.nodes), "each node counts once"
assert scopes["Sequential.0"] == 2 * 8 * 20 * 30 + 8 * 30, f"the first layer by its path; got {dict(scopes)}"
print(dict(scopes))
print("counted: right")


# %% test="counted" hidden=true
### BEGIN HIDDEN TESTS
def made(flops, name):
    """A node by hand, without a place."""
    return SimpleNamespace(flops=flops, op=SimpleNamespace(name=name), loc=None)


scopes, ops = counted(SimpleNamespace(nodes=[made(3, "add"), made(0, "reshape"), made(4, "add")]))
assert dict(scopes) == {"": 7} and dict(ops) == {"add": 7}
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Bytes
#
# A tensor has `numel()` elements of `dtype.size` bytes. For a model one trap waits: a GPT's head *is* its table, the
# same tensor under two names. It is in memory once, so it must count once.
#
# Equality does not tell whether two tensors are the same one, for `==` compares numbers. Identity does: `id(x)`.
#
# **Exercise 3.** Write `bytes_of`, for any iterable of tensors.

# %% exercise="bytes_of"
# Hint: a dictionary that leads from `id(t)` to `t` has each tensor once.
#| solution


# %% test="bytes_of"
a, b = tt.zeros(3, 4), tt.zeros(5, dtype=tt.float16)
assert bytes_of([a, b]) == 3 * 4 * 4 + 5 * 2, "12 elements of four bytes and 5 of two"
assert bytes_of([a, b, a, a]) == bytes_of([a, b]), "the same tensor counts once"
assert bytes_of([a, tt.zeros(3, 4)]) == 96, "equal numbers in two tensors are two tensors"
assert bytes_of(iter([a])) == 48 and bytes_of([]) == 0, "any iterable; nothing is 0 bytes"
print("bytes_of: right")

# %% [markdown]
# ## 4. Seconds
#
# Times have a long tail: an interrupt, another program, or Python's garbage collector adds to some calls, and nothing
# takes away from any. So
#
# 1. *Warm up*. The first call may compile, and caches are cold: make some calls that are not timed.
# 2. *Time each call alone*, with `time.perf_counter`, the finest clock. A mean over all hides the tail.
# 3. *Keep Python's garbage collector from running* in between: `with collector.paused():`.
# 4. *Stop in time*. When `seconds` of timing are over there are enough calls, but `_FEWEST` are made in any case (if
#    `repeats` asks for so many).
#
# **Exercise 4.** Write `time_calls`. It returns a list of the seconds of each timed call.

# %% exercise="time_calls"
# Hint: a loop that ends when there are `repeats` times, or when both _FEWEST are there and the clock is past the end.
#| solution


# %% test="time_calls"
calls = []
times = time_calls(lambda: calls.append(0), 20, 3, 10.0)
assert len(times) == 20, f"20 calls are timed, got {len(times)}"
assert len(calls) == 23, f"3 calls that are not timed come first: 23 in all, got {len(calls)}"
assert all(0 <= t < 1 for t in times), "seconds of each call"
slow = time_calls(lambda: time.sleep(0.01), 1000, 0, 0.001)
assert len(slow) == _FEWEST, f"a slow call is timed {_FEWEST} times, however little time there is; got {len(slow)}"
assert all(t >= 0.009 for t in slow), "each is timed alone"
assert len(time_calls(lambda: None, 2, 0, 0.0)) == 2, "never more than `repeats`"
few = time_calls(lambda: time.sleep(0.004), 10_000, 0, 0.1)
assert 5 <= len(few) <= 30, f"calls of 4 ms for a tenth of a second are about 25, got {len(few)}"
print("time_calls: right")

# %% [markdown]
# ## 5. What would be possible?
#
# A machine does P operations a second and moves B bytes a second. Work with F operations and M bytes has the
# *intensity* I = F/M. It cannot be faster than its operations, nor than its bytes:
#
# $$\text{time} \ge \max\!\left(\frac FP, \frac MB\right) \qquad\text{so}\qquad
# \frac{F}{\text{time}} \le \min(P,\; I \cdot B)$$
#
# Drawn over I, with both axes logarithmic, that is a slope and a flat line: the *roofline* (Williams, Waterman and
# Patterson 2009). The corner, I = P/B, parts work that is bound by memory from work that is bound by arithmetic.
#
# **Exercise 5.** Write `attainable`. It returns three things: the least time of the work, its operations a second at
# that time, and what bounds it, as a string.


# %% exercise="attainable"
# Hint: two times, and the larger one wins. Work without operations has the rate 0.
def attainable(flops, traffic, peak, bandwidth):
    """(seconds at least, operations a second at most, "operations" or "bytes") of work of `flops` operations that moves
    `traffic` bytes, on a machine of `peak` operations and `bandwidth` bytes a second."""
    ### BEGIN SOLUTION
    by_operations, by_bytes = flops / peak, traffic / bandwidth
    seconds = max(by_operations, by_bytes)
    return seconds, flops / seconds, "operations" if by_operations >= by_bytes else "bytes"
    ### END SOLUTION


# %% test="attainable"
assert attainable(1e9, 1e6, 1e11, 1e10) == (0.01, 1e11, "operations"), "1000 operations for a byte: arithmetic decides"
assert attainable(1e6, 1.2e7, 1e11, 1e10)[2] == "bytes", "an addition, 12 bytes for an operation: memory decides"
seconds, rate, _ = attainable(1e6, 1.2e7, 1e11, 1e10)
assert np.isclose(seconds, 1.2e-3) and np.isclose(rate, 1e10 / 12), "its time is that of its bytes, its rate I times B"
assert attainable(0, 100, 1.0, 50.0) == (2.0, 0.0, "bytes"), "a copy has no operations, and takes time"
print("attainable: right")

# %% [markdown]
# ## 6. All of it at once
#
# Your functions on a model: what it costs, how long a call takes, and how far that is from the roof of *this* machine,
# which the framework measures.

# %%
best = peaks()
tt.manual_seed(0)
mlp = tt.Sequential(tt.Linear(784, 256), tt.ReLU(), tt.Linear(256, 10))
for batch in (1, 16, 256):
    compiled = tt.compile(mlp)
    x = Tensor(rng.standard_normal((batch, 784)).astype(np.float32))
    with tt.no_grad():
        result = compiled(x)
        times = time_calls(lambda x=x, compiled=compiled: compiled(x), 200, 5, 0.5)
    flops = sum(counted(compiled.traced_graph)[1].values())
    traffic = bytes_of([x, result, *mlp.parameters()])
    least, rate, bound = attainable(flops, traffic, best.flops, best.bandwidth(traffic))
    median = float(np.median(times))
    print(
        f"batch {batch:3}: {flops:11,} operations, {traffic:9,} bytes: {median * 1e6:7.1f} µs; at least "
        f"{least * 1e6:6.1f} µs for its {bound}, so {least / median:.0%} of the roof"
    )

# %% [markdown]
# `tt.Profiler` says the same in more detail, layer by layer. (The *arena* is the memory in which a compiled function
# keeps what it computes on the way. p50 is the median; of a hundred times, 90 are at most p90.)

# %%
print(tt.Profiler(repeats=20, seconds=0.2).profile(mlp, (16, 784), optimizer=tt.AdamW))

# %% [markdown]
# A picture has the roofline in it, too: the time in each kernel is the least that its operations and bytes allow, and
# the bar shows where it goes. Here for the batch of 256:

# %%
compiled

# %% [markdown]
# ## 7. Systems analysis
#
# Work of equal operations and unequal times, the bandwidth of this machine by the size of the data, kernels under the
# roof, and the distribution of many times, taken by your `time_calls`.

# %%
from analyses import profiling

profiling.analyze(time_calls=time_calls, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# `torch.utils.flop_counter.FlopCounterMode` counts while a model runs, `torch.utils.benchmark` takes times with the
# care of section 4, and `torch.profiler` records events. The first counts products and convolutions only, so your
# counts, which include biases and activations, are a little larger.

# %%
try:
    import torch
    from torch.utils.flop_counter import FlopCounterMode
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    theirs = torch.nn.Sequential(torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 10))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        theirs(torch.zeros(16, 784))
    compiled = tt.compile(mlp)
    compiled(tt.zeros(16, 784))
    ops = counted(compiled.traced_graph)[1]
    print(
        f"PyTorch counts {counter.get_total_flops():,} operations; you count {ops['matmul']:,} of products, "
        f"{sum(ops.values()):,} in all"
    )

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** From the first table: four pieces of work have nearly the same number of operations. Order them by
# time. The product reads each number into a register and uses it many times (module 01), with a multiply-add at a time.
# Which of this does each of the other three lack?

# %% [markdown] question="q2" points=2
# **Question 2.** From the output of section 6: between which batches does the limit change from bytes to operations,
# and why does the batch change it? What would weights in 16 bits do to the least time at batch 1, and at batch 256, if
# the arithmetic stays as it is?

# %% [markdown] question="q3" points=1
# **Question 3.** From the last table: which row would you report to compare two kernels, and from which would you
# promise users a response time? Use the differences between the halves.

# %% [markdown]
# ## Summary
#
# - Operations and bytes are counted from shapes, before anything runs, and are exact.
# - A time is a sample with a long tail: warm up, time each call alone, report the median, look at the percentiles.
# - The roofline says what would be possible. Compare with that before you optimize anything.
# - Your `counted`, `bytes_of` and `time_calls` now stand behind the numbers that `tt.Profiler` prints.
#
# In module 16 you move the points of the plot: to the right by reuse, and upwards with fewer bits.
