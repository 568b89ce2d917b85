# %% [markdown]
# # Module 06: Optimizers
#
# Autograd tells you, for every parameter, in which direction the loss grows. An optimizer decides what to do about it:
# how far to step, whether to remember earlier gradients, and whether all parameters deserve the same step.
#
# You will write the two optimizers that train almost everything: gradient descent with momentum, and Adam with
# decoupled weight decay. They become the real ones: `tt.SGD` and `tt.AdamW` will run your code, also when a whole
# training step is compiled into one native call.
#
# **You need** modules 01 to 05. **It takes** about 90 minutes.
#
# ## Why it matters
#
# - The optimizer's state is often the largest thing in memory. With AdamW a model trains in four times the bytes of its
#   parameters, before the first activation. That number decides which models fit.
# - A step of an optimizer does only a few operations for each number that it reads. Memory is its limit, and that is
#   why frameworks fuse it into one pass.
# - In one and the same valley, a thousand times as steep across as along, `docs/analysis/06_optimizers.md` counts 2,200
#   steps for one optimizer, 161 for another and 24 for a third. They differ in three lines of arithmetic.

# %%
import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

import tinytorch as tt
from tinytorch import Tensor, TinyTorchError
from tinytorch.frontend import arguments
from tinytorch.frontend.optimizers.base import Entries, Optimizer, Unsupported, refuse
from tinytorch.frontend.optimizers.counted import Counted, State, check_betas, check_flags
from tinytorch.frontend.optimizers.formulas import as_dtype, fraction, with_penalty
from tinytorch.frontend.optimizers.groups import ParamGroup, named, working_dtype
from tinytorch.insight.tables import kernels_table
from tinytorch.insight.text import as_text
from tinytorch.ir.loc import user_loc
from tinytorch.ir.types import f64

where = tt.where

# %% [markdown]
# ## The mathematics
#
# Near a minimum, a smooth loss looks like a quadratic: in the right axes, measured from the minimum, and up to a
# constant, it is $f(x) = \frac12 \sum_i h_i x_i^2$ with curvatures $h_i > 0$. Its gradient is $h_i x_i$, and a step of
# gradient descent with rate $\eta$ gives
#
# $$x_i \leftarrow x_i - \eta h_i x_i = (1 - \eta h_i)\, x_i.$$
#
# Each coordinate shrinks by its own factor $|1 - \eta h_i|$.
#
# - The steepest coordinate, of curvature $L$, must not explode: $\eta < 2 / L$.
# - So the factor of the flattest, of curvature $\mu$, is above $1 - 2\mu / L = 1 - 2 / \kappa$, where
#   $\kappa = L / \mu$ is the *condition*. To become small it needs a number of steps that grows as $\kappa$.
#
# Real losses have $\kappa$ in the thousands. Everything in this lesson is a way to suffer less from it.
#
# **Momentum** keeps a *moment* $m$ of the gradients $g$: $m \leftarrow \beta m + g$ and $x \leftarrow x - \eta m$.
# Along the flat direction gradients agree and add up, to $1 / (1 - \beta)$ times one of them. Along the steep one they
# alternate and cancel. With the best $\beta$ and $\eta$ the steps grow as $\sqrt\kappa$ (Polyak 1964).
#
# **Adaptive rates** measure: divide the gradient of each coordinate by its typical size, $\sqrt{v}$ with $v$ a running
# mean of $g^2$. Then the curvature *along the axes* does not matter at all.

# %% [markdown]
# ## Step 1: descent by hand
#
# Begin with plain numpy, without any framework. Write a function that goes down and keeps every place it visits.
#
# 1. Start at `start`, with a moment of zeros.
# 2. In each step take the gradient at the current place: `g = gradient(x)`.
# 3. Move the moment on: `m = momentum * m + g`.
# 4. Move the place on: `x = x - lr * m`.
# 5. Return all places, the first one included: an array of `steps + 1` rows.
#
# **Hint.** Make new arrays (`x = x - …`) rather than changing one in place (`x -= …`), or all rows of your list will be
# the same array.


# %% exercise="descend"
def descend(gradient: Any, start: Any, lr: float, momentum: float, steps: int) -> Any:
    """The places that gradient descent with momentum visits: [steps + 1, len(start)]."""
    ### BEGIN SOLUTION
    x = np.asarray(start, np.float64)
    m = np.zeros_like(x)
    places = [x]
    for _ in range(steps):
        m = momentum * m + gradient(x)
        x = x - lr * m
        places.append(x)
    return np.array(places)
    ### END SOLUTION


# %% test="descend"
curvatures = np.array([1.0, 10.0])
path = descend(lambda x: curvatures * x, [1.0, 1.0], 0.1, 0.0, 3)
assert path.shape == (4, 2), f"three steps visit four places, got {path.shape}"
assert np.allclose(path[:, 0], 0.9 ** np.arange(4)), "without momentum, x shrinks by 1 - lr * h in each step"
assert np.allclose(path[1:, 1], 0), "at lr = 1 / h one step reaches the minimum"
path = descend(lambda x: curvatures * x, [1.0, 1.0], 0.1, 0.5, 2)
assert np.allclose(path[2, 0], 0.9 - 0.1 * (0.5 * 1.0 + 0.9)), "the second moment is momentum * first + gradient"

# %% [markdown]
# Look at what you have. Below are two paths down a valley with $\kappa = 25$, of 30 steps at the same rate; grey lines
# are of equal height.

# %%
from analyses.drawing import chart

valley = np.array([0.04, 1.0])
figure, axes = chart("x₁ (flat)", "x₂ (steep)")
first, second = np.meshgrid(np.linspace(-1, 10.5, 100), np.linspace(-1.4, 1.4, 80))
axes.contour(first, second, valley[0] * first**2 + valley[1] * second**2, 12, colors="#cccccc", linewidths=0.8)
for beta in (0.0, 0.6):
    visited = descend(lambda x: valley * x, [10.0, 1.2], 1.5, beta, 30)
    axes.plot(
        visited[:, 0], visited[:, 1], "o-", markersize=3, label=f"momentum {beta}, ends at x₁ = {visited[-1, 0]:.2f}"
    )
axes.legend(fontsize=8)
figure

# %% [markdown]
# ## Step 2: momentum on tensors
#
# Now for the real thing. In the package, the moment of a parameter is a tensor that lives as long as the optimizer
# does. Your function gets it, changes it **in place**, and returns the direction of the step.
#
# - *In place* matters: a compiled step writes into the storage of the moment. `moment.copy_(new)` does that;
#   `moment = new` only renames a Python variable.
# - *Dampening* weighs the gradient with `1 - dampening`. PyTorch has a special rule, which is worth knowing: the first
#   moment of all is `g` itself, undamped. `started`, where it is given, is a tensor of one bool that says whether there
#   was a step before. A compiled function cannot branch on it, so choose with `where(started, new, g)` and set it with
#   `started.fill_(True)`.
# - *Nesterov's* form looks ahead: the direction is `g + momentum * m` instead of `m`.
#
# 1. Compute the new moment, `momentum * moment + (1 - dampening) * g`.
# 2. If `started` is given, choose `g` in its place for the first step, and set `started`.
# 3. Store it in `moment`.
# 4. Return the direction.
#
# **Hint.** `started` is None in most calls: then a moment of zeros makes the first step as it should be.

# %% exercise="momentum"
#| solution


# %% test="momentum"
def moments_after(gradients: list[float], **settings: Any) -> tuple[list[float], list[float]]:
    """Moments and directions of one number, gradient by gradient."""
    moment = Tensor(np.zeros(1))
    if "started" in settings:
        settings["started"] = Tensor(np.array(False))
    values, directions = [], []
    for g in gradients:
        directions.append(float(with_momentum(moment, Tensor(np.array([g])), **settings)[0]))
        values.append(float(moment[0]))
    return values, directions


assert moments_after([1.0, 2.0], momentum=0.5) == ([1.0, 2.5], [1.0, 2.5]), "m = 0.5 m + g, and m is kept in place"
assert moments_after([1.0, 2.0], momentum=0.5, nesterov=True)[1] == [1.5, 3.25], "Nesterov: g + momentum * m"
assert moments_after([1.0, 2.0], momentum=0.5, dampening=0.5)[0] == [0.5, 1.25], "dampening weighs g by 1 - dampening"
damped = moments_after([4.0, 2.0], momentum=0.5, dampening=0.5, started=True)
assert damped[0] == [4.0, 3.0], "with `started`, the first moment is g itself, and only the first"

# %% [markdown]
# ## Step 3: SGD
#
# The base class `Optimizer` does the work that is the same for all: it checks the parameters, sorts them into groups,
# keeps `state[i]` for parameter `i`, saves and loads. What it leaves to you is `update(group, entries)`: `entries` has
# a triple (parameter, gradient, state) for each parameter that has a gradient. Where `maximize` is set, the sign of the
# gradient is changed already.
#
# Settings such as the rate live in tensors (`group.rate`), so that a compiled step reads them anew in each call. Set
# `optimizer.lr = 0.01` between two steps, and nothing is compiled again.
#
# All of the class but `update` is there. For each triple:
#
# 1. `working_dtype(p)` is the dtype to compute in: that of the parameter, but at least f32. Cast `p`, the gradient and
#    the rate to it (`x.cast(dtype)`).
# 2. `with_penalty(group, value, g)` adds `weight_decay * value` to the gradient where there is a decay.
# 3. `self._direction(group, g, state)` is your momentum, or `g` where there is none.
# 4. Store the result in the parameter: `p.copy_(…)`, which rounds it to the parameter's dtype.
#
# **Hint.** Four lines in a loop. In which order do the penalty and the momentum come? Weight decay here "goes through
# the momentum", says the docstring.

# %% exercise="sgd"
#| solution


# %% test="sgd"
def train(optimizer_of: Any, gradients: Any, start: Any, dtype: Any = np.float64) -> Any:
    """The parameter after steps with these gradients."""
    p = tt.Parameter(Tensor(np.array(start, dtype)))
    optimizer = optimizer_of([p])
    for g in gradients:
        p.grad = Tensor(np.array(g, dtype))
        optimizer.step()
        optimizer.zero_grad()
    return p.numpy()


rng = np.random.default_rng(0)
start, steps = rng.standard_normal(4), rng.standard_normal((5, 4))
by_hand, m = start.copy(), np.zeros(4)
for g in steps:
    m = 0.9 * m + (g + 0.1 * by_hand)
    by_hand = by_hand - 0.05 * m
found = train(lambda ps: SGD(ps, lr=0.05, momentum=0.9, weight_decay=0.1), steps, start)
assert np.allclose(found, by_hand, rtol=1e-12), "p = p - lr * m, where m is the moment of g + weight_decay * p"
plain = train(lambda ps: SGD(ps, lr=0.5, momentum=0.0), [[1.0]], [3.0])
assert np.allclose(plain, [2.5]), "without momentum: p = p - lr * g"
narrow = tt.Parameter(Tensor(np.ones(2, np.float32)).to(tt.bfloat16))
narrow.grad = Tensor(np.full(2, 0.5, np.float32)).to(tt.bfloat16)
SGD([narrow], lr=1.0, momentum=0.0).step()
assert narrow.dtype == tt.bfloat16 and float(narrow[0]) == 0.5, "a bf16 parameter is computed in f32 and stays bf16"

# %% test="sgd" hidden=true
by_hand, m = start.copy(), np.zeros(4)
for number, g in enumerate(steps):
    g = -g + 0.2 * by_hand
    m = 0.8 * m + g if number else g
    by_hand = by_hand - 0.03 * (g + 0.8 * m)
found = train(lambda ps: SGD(ps, 0.03, 0.8, nesterov=True, weight_decay=0.2, maximize=True), steps, start)
assert np.allclose(found, by_hand, rtol=1e-12), "Nesterov, a penalty and maximize together"

# %% [markdown]
# ### Your graph
#
# Compile a step of training: forward, backward and your update become one graph. Look for your formula near the end,
# where `%weight.momentum` is multiplied by the constant 0.9. Parameters and moments are *state*, which the call changes
# in place.
#
# Below it are the kernels that are left when the compiler has joined what belongs together, as a table and as a
# picture. Kernels of one *wave* do not need each other's results. *FLOP/B* is operations for each byte. *roofline* is
# the least time that the machine needs for these operations and bytes; module 15 is about it.
#
# Where did the update of the weight go? It is the end of the kernel that computes its gradient: that gradient never
# reaches memory.

# %%
layer = tt.Linear(3, 2)
optimizer = SGD(layer.parameters(), lr=0.1, momentum=0.9)


@tt.compile
def step(x: Tensor, y: Tensor) -> Tensor:
    optimizer.zero_grad()
    loss = ((layer(x) - y) ** 2).mean()
    loss.backward()
    optimizer.step()
    return loss


x, y = Tensor(rng.standard_normal((4, 3)).astype(np.float32)), Tensor(rng.standard_normal((4, 2)).astype(np.float32))
losses = [float(step(x, y)) for _ in range(20)]
print(f"the loss falls from {losses[0]:.3f} to {losses[-1]:.3f}\n")
print(step.traced_graph)
print(as_text(kernels_table(step.explain().kernels)))
step

# %% [markdown]
# ## Step 4: the two moments of Adam
#
# Adam keeps a running mean of the gradient and one of its square:
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g^2.$$
#
# 1. `group.numbers("betas")` gives both betas. Each is a number, or a tensor once a schedule has changed it;
#    `as_dtype(number, g.dtype)` makes a factor of either.
# 2. `state["exp_avg"]` is m, `state["exp_avg_sq"]` is v. Change both in place.
#
# **Hint.** $\beta m + (1 - \beta) g$ is also $m + (1 - \beta)(g - m)$: one product less, and exact if $g = m$.

# %% exercise="moments"
#| solution


# %% test="moments"
some = ParamGroup([tt.Parameter(Tensor(np.zeros(2)))], {"lr": 0.1, "betas": (0.9, 0.99)})
state = {"exp_avg": Tensor(np.array([1.0, -1.0])), "exp_avg_sq": Tensor(np.array([4.0, 0.0]))}
kept = state["exp_avg"]
update_moments(some, Tensor(np.array([2.0, 3.0])), state)
assert np.allclose(state["exp_avg"].numpy(), [0.9 + 0.2, -0.9 + 0.3]), "m is a mean of gradients with weight beta1"
assert np.allclose(state["exp_avg_sq"].numpy(), [3.96 + 0.04, 0.09]), "v is a mean of squares with weight beta2"
assert state["exp_avg"] is kept, "change the tensors of the state in place (copy_), do not put others there"
update_moments(some, Tensor(np.array([2.0, 3.0])), state)
assert np.allclose(state["exp_avg_sq"].numpy()[0], 4.0), "v of the second step is computed from v alone, not from m"

# %% [markdown]
# ## Step 5: weight decay, apart from the gradient
#
# An L2 penalty adds $\lambda p$ to the gradient. Under Adam that is a mistake: the penalty, too, is divided by
# $\sqrt{v}$, so weights with large gradients hardly decay. *Decoupled* decay multiplies the parameter itself,
# $p \leftarrow (1 - \eta \lambda)\, p$, whatever the gradient is (Loshchilov & Hutter 2019).
#
# Your function returns a pair, the parameter and its gradient:
#
# 1. `group.live("weight_decay")` is the tensor of $\lambda$, or None where it is 0: then both stay as they are.
# 2. If the decay is not decoupled, `with_penalty(group, value, g)` is the gradient.
# 3. If it is, shrink the value and leave the gradient alone. Compute $1 - \eta \lambda$ in f64 (`group.rate.cast(f64)`)
#    and cast it to the value's dtype.
#
# **Hint.** Why f64? PyTorch computes this factor with Python's floats, which are f64. In f32 the product would be
# rounded before it is subtracted, and results would differ in their last digits.

# %% exercise="decay"
#| solution


# %% test="decay"
def with_decay(decay: float, decoupled: bool) -> tuple[Any, Any]:
    group = ParamGroup([tt.Parameter(Tensor(np.zeros(1)))], {"lr": 0.5, "weight_decay": decay})
    value, g = with_weight_decay(group, Tensor(np.array([10.0])), Tensor(np.array([3.0])), decoupled)
    return float(value[0]), float(g[0])


assert with_decay(0.0, True) == (10.0, 3.0), "no decay changes nothing"
assert with_decay(0.5, False) == (10.0, 8.0), "as a penalty it goes into the gradient: g + 0.5 * 10"
assert with_decay(0.5, True) == (7.5, 3.0), "decoupled: p * (1 - lr * decay), and the gradient stays"

# %% [markdown]
# ## Step 6: Adam
#
# The moments begin at zero, so early means are too small: after $t$ steps $m$ holds a share $1 - \beta_1^t$ of what it
# should. Adam divides that out:
#
# $$p \leftarrow p - \eta\, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}
#               = p - \underbrace{\frac{\eta}{1 - \beta_1^t}}_{\text{size}}
#                 \cdot \frac{m}{\sqrt{v} / \underbrace{\sqrt{1 - \beta_2^t}}_{\text{root}} + \varepsilon}.$$
#
# Size and root are the same for all parameters that step together. So `Counted`, the base class, counts their steps in
# one shared tensor and asks you twice:
#
# 1. `tick(group, state)` returns (size, root) in f64, from `state["step"]` (this step is counted already: 1 at the
#    first), `group.rate` and the betas.
# 2. `move(group, p, grad, state, scales)` updates one parameter. Cast the scales to its working dtype.
# 3. In `move`: decay, then moments, then the step. `group["decoupled_weight_decay"]` and `group["eps"]` are settings.
# 4. With `amsgrad` (there is a `state["max_exp_avg_sq"]`), the largest $v$ so far, kept in place, replaces $v$.
#
# **Hint.** Where $\varepsilon$ stands matters: outside of the root, after the division. A test below has gradients as
# small as $\varepsilon$.

# %% exercise="adam"
#| solution


# %% test="adam"
first = train(lambda ps: Adam(ps, lr=0.1), [[1e-3, -5.0, 200.0]], np.zeros(3))
assert np.allclose(first, [-0.1, 0.1, -0.1], rtol=1e-4), (
    f"the first step has length lr, whatever the gradient's size (eps stands outside of the root): got {first}"
)
tiny = train(lambda ps: Adam(ps, lr=0.1, eps=1e-8), [[1e-8]], [0.0])
assert np.allclose(tiny, [-0.05]), (
    f"eps is added to the root of v / (1 - beta2**t): here both are 1e-8, so the step is half of lr, got {tiny}"
)
by_hand, m, v = start.copy(), np.zeros(4), np.zeros(4)
for t, g in enumerate(steps, 1):
    by_hand = by_hand * (1 - 0.01 * 0.3)
    m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
    by_hand = by_hand - 0.01 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8)
settings = {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.3, "decoupled_weight_decay": True}
found = train(lambda ps: Adam(ps, **settings), steps, start)
assert np.allclose(found, by_hand, rtol=1e-10), "decay, moments, bias correction and step, in this order"
jump = train(lambda ps: Adam(ps, lr=0.1, betas=(0.0, 0.5), amsgrad=True), [[8.0], [0.0], [1.0]], [0.0])
expected = -0.1 * (8 / math.sqrt(32 / 0.5) + 1 / math.sqrt(32 / 0.875))
assert np.allclose(jump, expected), "amsgrad divides by the largest v so far"


# %%
def AdamW(params: Any, lr: float = 0.001, weight_decay: float = 0.01, **settings: Any) -> Adam:
    """Your Adam, with decoupled weight decay."""
    return Adam(params, lr, weight_decay=weight_decay, decoupled_weight_decay=True, **settings)


layer = tt.Linear(1000, 1000, bias=False)
layer.weight.grad = tt.ones(1000, 1000)
adam = AdamW(layer.parameters())


@tt.compile
def update() -> None:
    adam.step()


update()
print(as_text(kernels_table(update.explain().kernels)))
update

# %% [markdown]
# The first kernel counts the step and computes your `tick`, once for all parameters. The second one is your `move`: it
# reads the parameter, its gradient (`state` in the picture) and both moments, and writes three of them back, 28 bytes
# for each parameter in f32.
# Written with one numpy call for each operation, each of the dozen and more operations would read its operands from
# memory and write its result back.

# %% [markdown]
# ## Systems analysis
#
# The same measurements as in `docs/analysis/06_optimizers.md`, but smaller, and of your code: what each optimizer
# keeps, what curvature does to it, what decay means, and what a step costs.

# %%
from analyses import optimizers

optimizers.analyze(SGD=SGD, Adam=Adam, AdamW=AdamW, quick=True).show()

# %% [markdown]
# ## Beside PyTorch
#
# `torch.optim` has the same formulas, and the same state under the same names; state dicts can be exchanged. Three
# things differ. On a CPU, PyTorch runs a Python loop over parameters unless you ask for its *foreach* or *fused*
# variant; here the compiler fuses. A rate in PyTorch is a Python number; here it is a tensor that compiled steps read.
# And the default momentum of `tt.SGD` is 0.9, that of PyTorch 0.

# %%
from analyses.measuring import torch_if_installed

torch = torch_if_installed()
if torch:
    ours = train(lambda ps: AdamW(ps, lr=0.01, weight_decay=0.3, betas=(0.8, 0.95)), steps, start)
    theirs = torch.nn.Parameter(torch.tensor(start))
    reference = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0.3, betas=(0.8, 0.95))
    for g in steps:
        theirs.grad = torch.tensor(g)
        reference.step()
    print("largest difference from torch.optim.AdamW:", abs(theirs.detach().numpy() - ours).max())
else:
    print("PyTorch is not installed; the numbers above stand for themselves.")

# %% [markdown] question="q1" points=1
# **Question 1.** A model has 7 billion parameters in bf16; gradients are bf16, AdamW's two moments f32. How many GB
# does training keep before the first activation? Which of the parts would you shrink first, and what could go wrong?

# %% [markdown] question="q2" points=1
# **Question 2.** In the table of conditions, the steps of SGD grow by about the same factor as κ. Explain that with the
# factor $|1 - \eta h_i|$ of the flattest coordinate. By which factor do those of momentum grow, and what is √κ?

# %% [markdown] question="q3" points=1
# **Question 3.** Adam needs the same number of steps for every κ as long as the axes are aligned, and more once they
# are rotated. Why? One input of a `Linear` is in metres, another in millimetres: is that curvature along the axes of
# its weight, or rotated?

# %% [markdown] question="q4" points=1
# **Question 4.** Someone trains with `Adam(weight_decay=0.1)` and finds that it hardly regularises. Which weights decay
# least, according to your measurement, and why?

# %% [markdown] question="q5" points=1
# **Question 5.** From the measured GB/s of your machine: how long does a compiled step of AdamW take for a model of one
# billion parameters in f32? Which of the 28 bytes are saved where the update is the end of the kernel that computes the
# gradient, as in your graph?

# %% [markdown]
# ## Summary
#
# - Curvatures that differ make descent slow. Momentum turns κ steps into √κ; adaptive rates remove what lies along the
#   axes.
# - Adam is two running means, a correction for their start at zero, and one division. Where ε stands is part of it.
# - Decoupled decay shrinks all weights alike. As a penalty under Adam it does not.
# - State costs memory: 2 n, 3 n or 4 n numbers with parameters and gradients. The time of a step is that of its bytes.
# - Your `SGD` and `Adam` are now the package's: module 07 trains with them.
