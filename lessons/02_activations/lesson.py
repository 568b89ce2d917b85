# %% [markdown]
# # Module 02: Activations
#
# A stack of linear layers is one linear layer: $(x W_1) W_2 = x (W_1 W_2)$. What makes depth worth having is a bend
# between the layers, a function applied to each number by itself. It is called an activation.
#
# You will write three: the sigmoid, which is history and still the gate of every recurrent cell; ReLU, which made
# deep networks trainable; and GELU, which stands in the transformers of today. Each is one line of mathematics. The
# work lies in two places that the line does not show: what happens at large inputs, where `exp` leaves the range of
# 32-bit floats (f32), and the derivative, without which nothing learns.
#
# Your classes become part of the framework: `tito module complete 02` puts them in the place of the package's own, and
# from then on every model in the course runs on them.
#
# *Time: about 75 minutes. You need module 01.*

# %%
import math

import numpy as np

import tinytorch as tt
from tinytorch.frontend import arguments
from tinytorch.frontend.activations.activations import Activation, InPlaceActivation
from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.tensor import Tensor

rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. The sigmoid, and why the formula is not the program
#
# $$\sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# It maps every number into (0, 1), so its result can be read as a probability. Type the formula and it works, until
# `x` is about -89: then `exp(89)` is larger than 3.4e38, the largest f32, and becomes infinite. Dividing by infinity
# gives 0, which is nearly right. The derivative of what you typed is not.
#
# The package can find derivatives by itself, which is called autograd; you will write it in module 05. For now:
# `requires_grad=True` asks for the derivative with respect to a tensor, `backward()` computes it, `x.grad` has it.

# %%
x = Tensor([-100.0, -20.0, 0.0, 20.0, 100.0], requires_grad=True)
y = 1 / (1 + (-x).exp())
y.sum().backward()
for name, numbers in (("x", x), ("value", y), ("derivative", x.grad)):
    print(f"{name:10}", *(f"{number:8.2g}" for number in numbers.tolist()))

# %% [markdown]
# The cure is to never compute `exp` of a large number. Multiply numerator and denominator by `exp(x)`:
#
# $$\sigma(x) = \frac{e^{x}}{1 + e^{x}}$$
#
# This form overflows at +89 and is safe below 0; the first overflows at -89 and is safe above 0. With
# $z = e^{-|x|}$, which is never above 1, both are safe at once:
#
# $$\sigma(x) = \begin{cases} 1 / (1 + z) & x \ge 0 \\ z / (1 + z) & x < 0 \end{cases}$$
#
# **Exercise 1.** Write `stable_sigmoid` with `exp`, `abs` and `where`. `where(condition, a, b)` takes `a` where the
# condition holds and `b` elsewhere.


# %% exercise="stable_sigmoid"
# Hint: compute z once. The two cases differ only in the numerator.
def stable_sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), of numbers of any size. The shape and dtype of x."""
    ### BEGIN SOLUTION
    z = (-abs(x)).exp()
    return where(x >= 0, 1.0, z) / (1.0 + z)
    ### END SOLUTION


# %% test="stable_sigmoid"
at = np.array([-1000, -104, -89, -50, -1, -1e-3, 0, 1e-3, 1, 50, 89, 1000], np.float32)
exact = np.where(at >= 0, 1.0, np.exp(-abs(at.astype(np.float64)))) / (1 + np.exp(-abs(at.astype(np.float64))))
values = stable_sigmoid(Tensor(at)).numpy()
assert np.isfinite(values).all(), f"at {at[~np.isfinite(values)]} the result is not finite: which exp overflows?"
wrong = ~np.isclose(values, exact, rtol=1e-5, atol=1e-44)
assert not wrong.any(), f"at {at[wrong]} it is {exact[wrong]}, got {values[wrong]}"
assert stable_sigmoid(Tensor([[0.0]])).shape == (1, 1), "the result has the shape of x"
print("stable_sigmoid: right at every size")

# %% [markdown]
# ## 2. Derivatives, and a tool to check them
#
# Training needs to know how much each input moves the loss $L$. If `grad` is $\partial L / \partial y$ for the result
# $y = f(x)$ of an activation, then
#
# $$\frac{\partial L}{\partial x} = \frac{\partial L}{\partial y} \cdot f'(x),$$
#
# element by element. That product is what `gradient(x, grad)` computes in each of your classes. The base class
# `Activation` does the rest: an activation is called like a function, `forward` keeps the input and calls your
# `function`, `backward(grad)` calls your `gradient` with that input.
#
# A derivative is easy to get wrong and easy to check: compare it with a difference,
# $f'(x) \approx (f(x + h) - f(x - h)) / 2h$.
#
# **Exercise 2.** Write `slope`. `at` is an array of 64-bit floats (f64), in which `h = 1e-5` is off by about 1e-10.


# %% exercise="slope"
# Hint: `function` takes a tensor: `Tensor(array)` makes one, with the dtype of the array, and `.numpy()` an array.
def slope(function, at: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """The derivative of an elementwise function of tensors at each number of `at`, f64[n], by a central difference."""
    ### BEGIN SOLUTION
    ahead, behind = (function(Tensor(at + step)).numpy() for step in (h, -h))
    return (ahead - behind) / (2 * h)
    ### END SOLUTION


# %% test="slope"
points = np.linspace(-3, 3, 7)
assert np.allclose(slope(lambda x: 2 * x, points), 2, atol=1e-8), "2x has the slope 2 everywhere"
off = abs(slope(lambda x: x * x * x, points) - 3 * points**2).max()
assert off < 1e-8, f"x³ has the slope 3x²; yours is off by {off:.1e}: is the difference taken on both sides of x?"
print("slope: ready to check what comes next")

# %% [markdown]
# ## 3. The class `Sigmoid`
#
# The derivative of the sigmoid needs nothing but its result:
#
# $$\sigma'(x) = \sigma(x)\,(1 - \sigma(x)) \le \tfrac14$$
#
# (In f32 it is 0 from about x = 17 on, where σ rounds to 1. The true slope there is 4e-8: nothing is lost.)
#
# The package has the sigmoid as one operation, `x.sigmoid()`. It computes what you have just written, and it brings
# its derivative along, for a reason. Autograd would differentiate your `abs` and `where`, and at 0 exactly $|x|$ has a
# corner, of which it takes the slope 0. So it would find 0 where the sigmoid's slope is 1/4.
#
# **Exercise 3.** Write the class. `function(x)` is `x.sigmoid()`; `gradient(x, grad)` is `grad` times the slope. Then
# check yourself: `slope(Sigmoid(), points)` should be what `Sigmoid().gradient(Tensor(points), tt.ones(7))` gives.

# %% exercise="sigmoid"
# Hint: compute σ once in `gradient`, and use it twice.
#| solution


# %% test="sigmoid"
points, grad = rng.normal(size=50) * 3, rng.normal(size=50)
s = 1 / (1 + np.exp(-points))
sigmoid = Sigmoid()
assert np.allclose(sigmoid(Tensor(points)).numpy(), s), "the values are not those of 1 / (1 + exp(-x))"
assert np.allclose(sigmoid.backward(Tensor(grad)).numpy(), grad * s * (1 - s)), "backward is not grad · σ'"
sigmoid(Tensor([-1000.0, 0.0, 1000.0]))
assert sigmoid.backward(tt.ones(3)).tolist() == [0.0, 0.25, 0.0], "σ' is 1/4 at 0, and 0 far away"
x = Tensor([-1000.0, 0.0, 1000.0], requires_grad=True)
sigmoid(x).sum().backward()
low, middle, high = x.grad.tolist()
assert middle == 0.25, f"at 0 autograd finds {middle}, not 1/4: is there an abs in `function`? Take x.sigmoid()"
assert low == high == 0, f"at -1000 and 1000 autograd finds {low} and {high}, not 0: does an exp overflow?"
print("Sigmoid: values and derivative are right")

# %% [markdown]
# ## 4. `ReLU`
#
# $$\mathrm{ReLU}(x) = \max(x, 0) \qquad \mathrm{ReLU}'(x) = \begin{cases} 1 & x > 0 \\ 0 & x \le 0 \end{cases}$$
#
# At 0 there is no derivative; any number between 0 and 1 would do. Frameworks agree on 0. `x.relu()` is the package's
# operation. `x.maximum(0)` has the same values, but where both numbers are equal it gives half of the gradient to
# each: its derivative at 0 is 1/2.
#
# A second edge: what is ReLU of NaN ("not a number", the result of 0/0)? A NaN must stay a NaN, or an earlier mistake
# is hidden. `x.relu()` keeps it. The derivative is 0 where `x <= 0`, and 1 everywhere else, at a NaN too: what comes
# back must not be wiped out there either.
#
# **Exercise 4.** Write the class, as you did `Sigmoid`. Its base, `InPlaceActivation`, adds the option to write over
# the input.

# %% exercise="relu"
# Hint: `where`. Every comparison with a NaN is false: which one do you ask for?
#| solution


# %% test="relu"
points = np.array([-2.0, -1e-30, 0.0, 1e-30, 3.0])
relu = ReLU()
assert relu(Tensor(points)).tolist() == [0, 0, 0, 1e-30, 3], "ReLU keeps what is above 0"
assert relu.backward(Tensor([1.0, 2, 3, 4, 5])).tolist() == [0, 0, 0, 4, 5], "the derivative at 0 is 0, above it 1"
assert np.isnan(relu(Tensor([math.nan])).numpy()).all(), "NaN must stay NaN"
assert relu.backward(Tensor([3.0])).tolist() == [3.0], "where x is NaN, `gradient` gives `grad` itself"
x = Tensor([0.0, -1.0, 2.0], requires_grad=True)
ReLU()(x).sum().backward()
assert x.grad.tolist() == [0, 0, 1], f"autograd finds {x.grad.tolist()} at 0, -1 and 2, not 0, 0 and 1"
print("ReLU: right, also at its corner")

# %% [markdown]
# ## 5. `GELU`
#
# ReLU gates by the sign: it multiplies `x` by 0 or 1. GELU gates by chance: it multiplies `x` by the probability
# $\Phi(x)$ that a number drawn from the normal distribution N(0, 1) is smaller than `x`. It is computed by the error
# function erf, which numpy lacks and the package has:
#
# $$\mathrm{GELU}(x) = x\,\Phi(x) = \tfrac{x}{2}\left(1 + \operatorname{erf}\tfrac{x}{\sqrt 2}\right)$$
#
# The product rule gives the derivative, with the normal density $\varphi(x) = e^{-x^2/2} / \sqrt{2\pi}$:
#
# $$\mathrm{GELU}'(x) = \Phi(x) + x\,\varphi(x)$$
#
# When GELU was new, `erf` was slow, and GPT-2 was trained with an approximation. With
# $s = \sqrt{2/\pi}$, $c = 0.044715$ and $t = \tanh(s\,(x + c x^3))$:
#
# $$\mathrm{GELU}(x) \approx \tfrac{x}{2} (1 + t) \qquad
# \mathrm{GELU}'(x) \approx \tfrac12 (1 + t) + \tfrac{x}{2} (1 - t^2)\, s\, (1 + 3 c x^2)$$
#
# Weights that were trained with one form must be used with that form, so the class has both.
#
# **Exercise 5.** Write `function` and `gradient` for both forms. `self.approximate` is `"none"` (by erf) or `"tanh"`.
# For the values there is the package's operation, `x.gelu(self.approximate)`; for the derivatives `x.erf()`,
# `x.tanh()` and `x.exp()`.

# %% exercise="gelu"
# Hint: write the derivative by erf first and run the test until it complains about "tanh"; then the other branch.
#| solution


# %% test="gelu"
points, grad, h = np.linspace(-6, 6, 101), np.random.default_rng(1).normal(size=101), 1e-5
phi = np.array([0.5 * (1 + math.erf(p / math.sqrt(2))) for p in points])
for approximate, tolerance in (("none", 1e-12), ("tanh", 5e-4)):
    gelu = GELU(approximate)
    found = gelu(Tensor(points)).numpy()
    assert np.allclose(found, points * phi, atol=tolerance), f"the values of GELU({approximate!r}) are not x Φ(x)"
    difference = (gelu(Tensor(points + h)).numpy() - gelu(Tensor(points - h)).numpy()) / (2 * h)
    gelu(Tensor(points))
    apart = abs(gelu.backward(Tensor(grad)).numpy() - grad * difference)
    at = points[apart.argmax()]
    assert apart.max() < 1e-8, f"backward of GELU({approximate!r}) is off by {apart.max():.1e} at x = {at:.2f}"
apart = abs(GELU("tanh")(Tensor(points)) - GELU()(Tensor(points))).max()
assert apart > 1e-4, "the two forms differ by up to 5e-4, yours by less: is `approximate` handed on?"
print("GELU: both forms, with their derivatives")

# %% [markdown]
# ## 6. Your activation as a graph
#
# Called as it stands, each of your operations is one call into numpy, and every intermediate result is an array in
# memory. `tt.compile` runs the function once to see the operations, and makes one kernel of them: each number is
# read once, carried through the whole formula in registers (the few numbers that a processor has at hand), and
# written once.


# %%
def layer(x: Tensor, w: Tensor) -> Tensor:
    return GELU("tanh")(x @ w)


compiled = tt.compile(layer)
compiled(tt.randn(64, 128), tt.randn(128, 32))
print(compiled.graph)
compiled

# %% [markdown]
# The product and your activation are one kernel. The indented lines are what it does with each number: first the
# product, then the formula, a constant for each of its numbers. Between them nothing is written to memory.

# %% [markdown]
# ## 7. Systems analysis
#
# Where each form of the sigmoid fails, how many zeros ReLU makes and what they save, how far the approximations of
# GELU are off, and what each activation costs. *Torch eager* is PyTorch, where it is installed.

# %%
from analyses import activations

activations.analyze(Sigmoid=Sigmoid, ReLU=ReLU, GELU=GELU, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# PyTorch has the same three under the same names, as modules (`torch.nn.GELU`) and functions
# (`torch.nn.functional.gelu`). Not compiled, it has a kernel written by hand for each; a formula that nobody wrote a
# kernel for runs as a chain of operations, each of which goes through memory once. The conventions agree: 0 for ReLU's
# slope at 0, `approximate="none"` by default.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    points = np.linspace(-8, 8, 1001)
    for ours, theirs in ((Sigmoid(), torch.nn.Sigmoid()), (ReLU(), torch.nn.ReLU()), (GELU(), torch.nn.GELU())):
        x = torch.tensor(points, requires_grad=True)
        theirs(x).sum().backward()
        apart = abs(ours(Tensor(points)).numpy() - theirs(torch.tensor(points)).numpy()).max()
        slopes = abs(ours.backward(Tensor(np.ones(1001))).numpy() - x.grad.numpy()).max()
        print(f"{type(ours).__name__:8} values differ by at most {apart:.1e}, derivatives by {slopes:.1e}")

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** In the first table of the analysis, `1 / (1 + exp(-x))` has nearly the right value at -100, and its
# derivative is NaN. Write its derivative by the chain rule, as a product of the derivatives of `1 / d`, of `1 + e` and
# of `exp(-x)`. Which two factors make the NaN, and what is each at -100?

# %% [markdown] question="q2" points=2
# **Question 2.** Half of the results of ReLU are zeros, yet the product that reads them is not faster. Say why, and
# what a machine or a format would need to make use of them.

# %% [markdown] question="q3" points=1
# **Question 3.** You are given weights of GPT-2 and a framework that has only GELU by erf. By how much is an
# activation off at most, and at which inputs? How many times is that the error of the erf form itself in f32?

# %% [markdown]
# ## Summary
#
# - An activation is a function of one number, and its derivative. You wrote three, checked each derivative by a
#   difference, and they are now what the framework runs on.
# - The formula is not the program: `exp` overflows in f32 at 88.7, and a form that keeps its argument below 0 never
#   does.
# - Corners and NaN need a decision, and values, derivatives and compiled code must all make the same one.
# - ReLU saves no time by its zeros. GELU by tanh is off by less than 5e-4. Behind a product, a compiled activation is
#   part of the product's kernel and moves no bytes of its own.
#
# In module 03 you put weights between them.
