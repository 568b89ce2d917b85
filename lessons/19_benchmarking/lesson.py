# %% [markdown]
# # Module 19: Benchmarking
#
# "Model B is 8 % faster." On which machine, for which batch, how often measured, and compared with what? Run the
# same program twice, and the second run may differ by as much: another program woke up, the clock of the processor
# went down, the memory lay elsewhere. Most speed-ups that do not exist were measured in good faith.
#
# This last lesson is about claims that hold. You write
#
# 1. an **interval** for a median, from the measurements alone,
# 2. the **ratio** of two models, and a **verdict** that says "no difference seen" when none was,
# 3. the **Pareto frontier**: of many models, those that are worth having.
#
# Then you compare what the course has built: a network in f32, in 8 bits, and pruned.
#
# *Time: about 75 minutes. You need modules 01 to 18.*

# %%
import copy
import time
from collections.abc import Sequence

import numpy as np

import tinytorch as tt
from tinytorch.frontend.benchmarking.comparison import Result
from tinytorch.frontend.benchmarking.intervals import RESAMPLES, Interval, Verdict
from tinytorch.frontend.benchmarking.metrics import METRICS, Metric
from tinytorch.ir.op import Array

rng = np.random.default_rng(0)

# %% [markdown]
# ## Look at the noise first
#
# The same call, two hundred times. Look at the distances between the quickest, the median, the mean and the slowest.

# %%
x = tt.Tensor(rng.standard_normal((128, 128)).astype(np.float32))
call = tt.compile(lambda x: (x @ x).relu().sum())
call(x)
times = []
for _ in range(200):
    start = time.perf_counter()
    call(x)
    times.append(time.perf_counter() - start)
times = np.array(times) * 1e6
print(
    f"quickest {times.min():.1f} µs, median {np.median(times):.1f}, mean {times.mean():.1f}, slowest {times.max():.1f}"
)

# %% [markdown]
# A time has a floor, the work itself, and no ceiling. What comes on top is never negative, and now and then large. The
# mean follows these large ones; the **median** does not. So we report medians.
#
# ## Part 1: how sure is a median?
#
# Measure again, and the median is another one. By how much? The honest way would be to repeat the experiment a
# thousand times. The **bootstrap** (Efron 1979) does this with the n measurements that are there: it draws n of
# them *with replacement*, takes the median of this sample, and repeats this many times. The range of the middle 95 % of
# these medians is an interval for the true one.
#
# ### Exercise 1: the interval of a median
#
# 1. Make an array of f64 of the values.
# 2. Draw `RESAMPLES` (2000) rows of n indices from 0 to n - 1, all at once. Use `np.random.default_rng(0)`: the same
#    measurements then give the same interval, on every machine.
# 3. Take the median of each row of drawn values.
# 4. The interval goes from the (1 - confidence) / 2 quantile of these medians to the (1 + confidence) / 2 quantile.
# 5. Return `Interval(median of the values, low, high)`, with Python floats.

# %% exercise="median_interval"
# Hint: `generator.integers(0, n, (rows, n))` draws indices; `np.quantile(medians, [a, b])` gives both ends.
#| solution

# %% test="median_interval"
found = median_interval([3.0, 1.0, 2.0, 100.0, 2.5])
assert isinstance(found, Interval) and found.median == 2.5, "the median of the values themselves"
assert 1 <= found.low <= found.median <= found.high <= 100, "low, median and high in this order, among the values"
same = median_interval([7.0] * 10)
assert (same.median, same.low, same.high) == (7, 7, 7), "equal values leave no doubt"
assert median_interval([4.0]) == Interval(4, 4, 4), "a single value, too"
values = rng.standard_normal(100)
wide, narrow = median_interval(values), median_interval(values, 0.5)
assert wide.low < narrow.low <= narrow.high < wide.high, "more confidence, a wider interval"
assert median_interval(values) == wide, "the same values give the same interval"
held = [(f := median_interval(rng.exponential(size=30))).low <= np.log(2) <= f.high for _ in range(200)]
assert np.mean(held) > 0.88, (
    f"the interval should hold the true median about 95 times in 100, and did {np.mean(held):.0%}"
)
print("median_interval: holds the median as often as it claims")

# %% test="median_interval" hidden=true
### BEGIN HIDDEN TESTS
from tinytorch.frontend.benchmarking import intervals

for values in (rng.standard_normal(7), rng.exponential(size=41), np.arange(3)):
    for confidence in (0.5, 0.95):
        ours, theirs = median_interval(values, confidence), intervals.median_interval(values, confidence)
        assert np.allclose(list(vars(ours).values()), list(vars(theirs).values()), rtol=1e-12), (
            "another interval than the framework's: are the indices drawn as in step 2?"
        )
### END HIDDEN TESTS

# %% [markdown]
# ## Part 2: faster or slower?
#
# Do not time all of A, and then all of B. If the clock of the processor goes down meanwhile, B is "slower". Time
# them in **turns**, round by round. What slows the machine in a round then slows both, and the *ratio* of their
# times in that round keeps what is theirs. The interval of the ratios is often much narrower than those of the
# times.
#
# ### Exercise 2: the speed-up
#
# `before` and `after` are times, one of each in every round. How many times as fast is `after`? Twice as fast means:
# half the time. Divide round by round, then use what you have written, with the same `confidence`. One line is enough.

# %% exercise="speedup"
# Hint: lists cannot be divided; make arrays of f64 of both.
#| solution

# %% test="speedup"
before = np.array([2.0, 4.0, 20.0, 2.2])
assert speedup(before, before / 2) == Interval(2, 2, 2), "half the time in each round is twice as fast"
assert speedup([1.0, 1.0, 1.0], [4.0, 4.0, 4.0]).median == 0.25, "four times the time is a quarter of the speed"
noisy = rng.exponential(size=40) + 1
found = speedup(noisy, noisy / 1.1)
assert abs(found.median - 1.1) < 1e-9 and found.high - found.low < 1e-9, "by rounds, common noise cancels"
other = rng.exponential(size=40) + 1
wide, narrow = speedup(noisy, other), speedup(noisy, other, 0.5)
assert wide.low < narrow.low and narrow.high < wide.high, "hand the confidence on: half of it, a narrower interval"
print("speedup: right by rounds")

# %% [markdown]
# ### Exercise 3: the verdict
#
# A ratio of 1.03 with the interval [0.97, 1.08] says nothing: 1 lies in it. And a difference of 1 % may be real,
# but come from where the code happens to lie in memory. So a verdict has a `margin`.
#
# 1. "faster", if all of the interval is above 1 + margin.
# 2. "slower", if all of it is below 1 / (1 + margin). (Not 1 - margin: exchange the models, and the verdict must
#    turn around.)
# 3. Else "no difference seen". This is not "equal"; it may be that you measured too little.

# %% exercise="verdict"
# Hint: `ratio.low` and `ratio.high` are the ends.
#| solution

# %% test="verdict"
assert verdict(Interval(1.5, 1.4, 1.6)) == "faster", "all of [1.4, 1.6] is above 1"
assert verdict(Interval(0.5, 0.4, 0.6)) == "slower", "all of [0.4, 0.6] is below 1"
assert verdict(Interval(1.5, 0.9, 1.6)) == "no difference seen", "1 lies in the interval"
assert verdict(Interval(1.5, 1.0, 1.6)) == "no difference seen", "its end does not count"
assert verdict(Interval(1.05, 1.04, 1.06), 0.1) == "no difference seen", "less than the margin"
assert verdict(Interval(1.2, 1.11, 1.3), 0.1) == "faster", "more than the margin"
assert verdict(Interval(0.905, 0.9, 0.908), 0.1) == "slower", "1 / 1.1 is 0.909"
assert verdict(Interval(0.905, 0.9, 0.912), 0.1) == "no difference seen", "0.912 is above 1 / 1.1"
print("verdict: right on both sides of the margin")

# %% [markdown]
# An A/A test: the same function against itself, ten times. One difference in ten may be chance. A benchmark that finds
# more of them here is wrong, or runs on a machine that is too busy.


# %%
def rounds_of(calls, pause=0.0, count=15):
    """Seconds of each call in each round, in turns, with so many seconds of sleep before each turn."""
    times = [[] for _ in calls]
    for _ in range(count):
        for call, seconds in zip(calls, times, strict=True):
            time.sleep(pause)
            call()
            start = time.perf_counter()
            for _ in range(20):
                call()
            seconds.append((time.perf_counter() - start) / 20)
    return times


print("ratio [interval]      verdict")
for _ in range(10):
    a, b = rounds_of([lambda: call(x), lambda: call(x)])
    ratio = speedup(a, b)
    print(f"{ratio.median:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]  {verdict(ratio, 0.02)}")

# %% [markdown]
# ## Part 3: which models are worth having?
#
# By one metric, models can be sorted. By two, they cannot: one is quicker, another more accurate. But some are out of
# the question. Model A **dominates** B if it is at least as good in both metrics and better in one. The models that no
# other one dominates are the **Pareto frontier**. What you choose should be one of them.
#
# ### Exercise 4: the frontier
#
# `x` and `y` are metrics. Each of the `results` has `figures`, a dictionary by the names of metrics, such as `x.name`.
# A figure may be None. `x.more_is_better` says which way is good: more accuracy, but less latency.
#
# 1. Leave out results of which one of both figures is None.
# 2. For each other result make a pair of both figures, x first, in which *more is better*: change the sign where less
#    is.
# 3. Keep a result if no other pair is at least as large in both and different from its own.
# 4. Sort by the pair, so that the frontier goes from one end to the other, and return a tuple of results.

# %% exercise="pareto_front"
# Hint: compare each pair with all others: n² comparisons, which is fast enough. A pair is a tuple, and tuples can be
# compared and sorted; sort results with `key=`.
#| solution

# %% test="pareto_front"
latency, accuracy = METRICS["latency"], METRICS["accuracy"]


def result(name, seconds, share):
    return Result(name, {"latency": seconds, "accuracy": share})


a, b, c, d = result("a", 1.0, 0.8), result("b", 2.0, 0.9), result("c", 3.0, 0.85), result("d", 0.5, 0.1)


def names(front):
    return [r.name for r in front]


assert names(pareto_front([a, b, c, d], latency, accuracy)) == ["b", "a", "d"], (
    "b dominates c; sorted, the slowest first"
)
assert names(pareto_front([a, b, c, d], accuracy, latency)) == ["d", "a", "b"], "sorted by accuracy, the least first"
assert isinstance(pareto_front([a], latency, accuracy), tuple), "a tuple"
twin = result("twin", 1.0, 0.8)
assert set(names(pareto_front([a, twin], latency, accuracy))) == {"a", "twin"}, "equal ones do not dominate each other"
slower = result("slower", 1.5, 0.8)
assert names(pareto_front([slower, a], latency, accuracy)) == ["a"], "as accurate and slower: dominated"
unknown = result("unknown", None, 0.99)
assert names(pareto_front([unknown, a], latency, accuracy)) == ["a"], "without a figure, no place on the frontier"
assert pareto_front([], latency, accuracy) == (), "of no results, none are on the frontier"
print("pareto_front: no model on it is dominated")

# %% test="pareto_front" hidden=true
### BEGIN HIDDEN TESTS
from tinytorch.frontend.benchmarking import comparison

for _ in range(20):
    drawn = [result(str(i), *rng.integers(0, 8, 2).astype(float)) for i in range(30)]
    for metrics in ((latency, accuracy), (accuracy, latency), (latency, METRICS["memory"])):
        for each in drawn:
            each.figures["memory"] = each.figures["accuracy"]
        assert pareto_front(drawn, *metrics) == comparison.pareto_front(drawn, *metrics)
### END HIDDEN TESTS

# %% [markdown]
# ## What the course has built, compared
#
# A classifier in four forms: f32; with its products in 8 bits (module 17); with 80 % of its weights pruned (module
# 18); and with half of its neurons gone. Each has trained for eight epochs, three of them after pruning if it was
# pruned. All are compiled, with the weights as constants. `Benchmark` times them in turns, and judges them by the very
# statistics that you wrote.

# %%
centres = rng.standard_normal((60, 32))


def points(count):
    which = rng.integers(0, 60, count)
    x = centres[which] + 0.75 * rng.standard_normal((count, 32))
    return tt.Tensor(x.astype(np.float32)), tt.Tensor(which % 10)


train, test = points(8192), points(2048)
batches = [(train[0][i : i + 256], train[1][i : i + 256]) for i in range(0, 8192, 256)]


def learn(model, epochs):
    trainer = tt.Trainer(model, tt.AdamW(model.parameters(), lr=3e-3), tt.CrossEntropyLoss(), progress=False)
    for _ in range(epochs):
        trainer.train_epoch(batches)
    return model


tt.manual_seed(0)
layers = [tt.Linear(32, 256), tt.ReLU(), tt.Linear(256, 256), tt.ReLU(), tt.Linear(256, 10)]
begun = learn(tt.Sequential(*layers), 5)
dense = learn(copy.deepcopy(begun), 3)
models = {
    "f32": dense,
    "int8": tt.quantize(dense, train[0][:512]),
    "pruned 80 %": learn(tt.magnitude_prune(copy.deepcopy(begun), 0.8), 3),
    "half the neurons": learn(tt.prune_channels(begun, train[0][:2], 0.5), 3),
}

bench = tt.Benchmark(test, batch_size=64, rounds=10, seconds=0.005)
comparison = bench.compare_models(
    {name: tt.compile(model, freeze=True) for name, model in models.items()},
    metrics=["accuracy", "latency", "throughput", "size"],
)
print(comparison)
print("frontier:", ", ".join(r.name for r in pareto_front(comparison.results, latency, accuracy)))

# %% [markdown]
# An accuracy is measured, too. A share p of n samples is uncertain by about $\sqrt{p (1 - p) / n}$: here, by a tenth or
# two of a percent. Are the accuracies further apart than that? The picture shows the comparison with the frontier, and
# the intervals of the latencies. Hollow points are dominated.

# %%
bench.plot_results()["latency-accuracy"]

# %% [markdown]
# ## Systems analysis
#
# Measured with *your* functions: what an interval is worth, how often a difference is claimed that is none, latency
# against throughput, a frontier, and energy. Energy is power times time; processors of Intel and AMD count it (RAPL),
# but not every machine lets a program read the counter. The full measurements are written by `tinytorch analyze 19`.

# %%
from analyses import benchmarking

benchmarking.analyze(
    median_interval=median_interval, speedup=speedup, verdict=verdict, pareto_front=pareto_front, quick=True
).show()

# %% [markdown] question="q1" points=2
# **Question 1.** The second table shows how often "slower" is said. Explain the two columns for a true factor of
# 1.00. Then say how you would find a true difference of 1 % reliably: which of margin, rounds and machine would you
# change?

# %% [markdown] question="q2" points=2
# **Question 2.** From the table of batches: which batch would you choose for a service that has to answer within
# twice the latency of one row, and which for a job overnight? Give throughput and latency of both.

# %% [markdown] question="q3" points=1
# **Question 3.** Write the sentence with which you would report the comparison of int8 with f32 to somebody who was not
# there. It must tell all that they need to judge it, and to repeat it.

# %% [markdown]
# ## What PyTorch does
#
# `torch.utils.benchmark.Timer` measures one statement at a time, reports the median with the interquartile range,
# and warns where that is wide. It leaves the comparison to you. `Benchmark` measures all models in turns, and
# reports the interval of their ratio. Here is the same product in both frameworks, judged by your verdict.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing is compared")
else:
    torch.set_num_threads(tt.get_num_threads())
    x = tt.Tensor(rng.standard_normal((256, 256)).astype(np.float32))
    theirs, product = torch.from_numpy(x.numpy().copy()), tt.compile(lambda x: (x @ x).relu())
    product(x)
    for pause in (0.0, 0.005):
        torch_times, our_times = rounds_of([lambda: (theirs @ theirs).relu(), lambda: product(x)], pause)
        ratio = speedup(torch_times, our_times)
        shown = f"{ratio.median:.2f}× [{ratio.low:.2f}, {ratio.high:.2f}] {verdict(ratio, 0.02)}"
        print(f"compiled against torch, {pause * 1e3:.0f} ms of pause: {shown}")

# %% [markdown]
# The threads of one library may wait actively for a while after its call, and disturb the other, which runs next. So
# the two lines may differ, and the second is the fair one. `Benchmark` pauses before each turn.
#
# ## Questions to think about
#
# 1. The quickest of many times is often very stable. When is it the right figure, and when does it deceive?
# 2. With five measurements the interval covers less than it claims. Why can the bootstrap not know?
# 3. Twenty comparisons with a confidence of 95 %: how many find a difference where none is?
# 4. The frontier was measured. How would you show which of its points would stay if it were measured again?
# 5. Energy is power times time. When does a slower program need less of it?
#
# ## What you have now
#
# - You can say how sure a median is, and compare two programs so that what slows both cancels.
# - "No difference seen" is one of your verdicts. Use it often.
# - Of many models you can name those worth having. The framework's `Benchmark` decides by your functions.
# - This was the last module. The milestones run on all that you exported: `tito milestone run 5` makes two models
#   smaller and faster with your own framework.
