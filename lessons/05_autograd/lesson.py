# %% [markdown]
# # Module 05: Autograd
#
# In module 03 you wrote the gradients of one layer by hand, and in module 04 those of the loss. A network of a hundred
# layers is a hundred such rules in a row, and nobody derives that by hand. The chain rule is mechanical; a program can
# apply it. That program is called *autograd*.
#
# It has three parts. While the network computes, each operation is written on a *tape*. Then the tape is put into an
# order in which every result stands after what it was made of, its *operands*. Then it is read backwards, and each
# operation turns the gradient of its result into those of its operands.
#
# You will write the order, which becomes the package's own, and the reading backwards, on the package's real tape.
# Then two things that autograd makes possible: a derivative that you invent, and memory traded for time.
#
# *Time: about 110 minutes. You need modules 01 to 04.*

# %%
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

import tinytorch as tt
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.backward import key_of, tape_of

# %% [markdown]
# ## 1. The chain rule, backwards
#
# Let $L$ be a number computed through $y = f(x)$. If $\bar y = \partial L / \partial y$ is known, then
#
# $$\bar x = \bar y \, \frac{\partial y}{\partial x}$$
#
# (for tensors, summed over the elements of $y$). $\bar y$ is called the *cotangent* of $y$; it has the shape of $y$.
# Each operation knows its own rule: given $\bar y$, it gives the cotangents of its operands. For $y = a \cdot b$ they
# are $\bar a = \bar y\, b$ and $\bar b = \bar y\, a$; for $Y = X W$ they are products, as in module 03. The matrix of
# all $\partial y_i / \partial x_j$ is never written down.
#
# Going backwards, one pass gives the derivatives of *one* number with respect to *all* parameters. Going forwards,
# one pass would give the derivatives of all results with respect to one parameter. A loss is one number, and there
# are millions of parameters: hence backwards.
#
# Here is the tape of a small computation, as the package records it, each operation with the types of its operands.
# (The package's `sum` keeps the axes that it adds up, with size 1; `reshape` then drops them.)

# %%
x = Tensor([[1.0, 2.0]], requires_grad=True)
w = Tensor([[0.5], [-0.25]], requires_grad=True)
output = ((x @ w).tanh() * 3.0).sum()
for record in tape_of(output):
    print(f"{record.op.name:10} of {[t.type for t in record.inputs]}")

# %% [markdown]
# ## 2. The order
#
# A result may be used several times, and the ways from it may meet again further on. If $x$ is used twice, its
# cotangent is the *sum* of what both uses send back (that is the chain rule for several arguments). So, reading
# backwards, an operation has its turn only after all uses of its result. In other words: in the order, each result
# stands after all that it was made of. Such an order is called *topological*.
#
# ```
#        ┌─ a ─┐
#   x ───┤     ├── sum          x, a, b, sum   and   x, b, a, sum   are both right
#        └─ b ─┘                x, a, sum, b   is wrong: sum stands before b
# ```
#
# The way to find one: to place a result, first place what it was made of, then the result. Each only once, however
# many ways lead to it: remember what has been visited. Without that memory, the end of a chain of $n$ such diamonds
# would be reached in $2^n$ ways.
#
# And without recursion: Python's stack is about a thousand calls deep, a tape may be a million operations long. Keep
# a stack of your own, a list of pairs (result, whether its operands are done), and begin with `(root, False)`. Take
# the last pair off. If its operands are done, place the result. If not, and if it has not been visited yet, put it
# back as done, and its operands on top of it: they have their turn first.
#
# **Exercise 1.** Write `topological`. `operands(x)` gives what `x` was made of. Two entries with the same `key(x)` are
# the same result.

# %% exercise="topological"
# Hint: a set of the keys that have been visited. A result is visited when its operands are put on the stack, not when
# it is put there itself: another way to it may have to come first.
#| solution


# %% test="topological"
def order_of(made_of: dict[str, list[str]], root: str) -> list[str]:
    order = topological(root, lambda x: made_of.get(x, []), lambda x: x)
    shown = f"{order} of {made_of}" if len(order) < 10 else f"an order of {len(order)}"
    assert order and order[-1] == root, f"the root comes last: {shown}"
    place = {x: i for i, x in enumerate(order)}
    assert len(order) == len(place), f"something stands there twice: {shown}"
    for x in order:
        for operand in made_of.get(x, []):
            assert operand in place, f"{operand} is missing: {shown}"
            assert place[operand] < place[x], f"{x} stands before {operand}, of which it is made: {shown}"
    return order


assert order_of({}, "x") == ["x"], "of a result without operands, the order is the result alone"
order_of({"sum": ["a", "b"], "a": ["x"], "b": ["x"]}, "sum")
order_of({"y": ["x", "x"]}, "y")
order_of({"d": ["a", "c"], "c": ["b"], "b": ["a"], "a": []}, "d")
order_of({"d": ["c", "a"], "c": ["b"], "b": ["a"], "a": []}, "d")
order_of({str(i): [str(i - 1)] for i in range(1, 20_000)}, "19999")
order_of({str(i): [str(i - 1), str(i - 1)] for i in range(1, 200)}, "199")
pairs = topological((0, "a"), lambda x: [(1, "b"), (1, "c")] if x[0] == 0 else [], lambda x: x[0])
assert len(pairs) == 2, "entries with the same key are the same result"
print("topological: each once, after its operands, at any length")

# %% [markdown]
# ## 3. Reading backwards
#
# Begin with the cotangent of the output, and go through the tape from its end. For each record, take the cotangent of
# its result, ask the rule of its operation for the contributions to its operands, and *add* each to what the operand
# has so far. A record whose result has no cotangent has nothing to send back.
#
# `tape_of(output)` are the records in order (in your order, once the module is complete). `record.names[0]` is the key
# of the record's result and `key_of(tensor)` that of an operand. This function asks the rule:


# %%
def contributions(record: Any, cotangent: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The operands that gradients flow to, each with what this record adds to its cotangent."""
    wanted = tuple(i for i, operand in enumerate(record.inputs) if operand.requires_grad)
    for i, found in zip(wanted, record.op.cotangents([cotangent], record, wanted), strict=True):
        if found is not None:
            yield record.inputs[i], found


# %% [markdown]
# **Exercise 2.** Write `pull_back`.


# %% exercise="pull_back"
# Hint: a dict from key to cotangent, which begins with that of the output. Add with +, not +=: a cotangent may be
# shared with another operand.
def pull_back(output: Tensor, seed: Tensor) -> dict[Hashable, Tensor]:
    """The cotangents, by key, of all that `output` depends on, for the cotangent `seed` of `output`."""
    ### BEGIN SOLUTION
    cotangents: dict[Hashable, Tensor] = {key_of(output): seed}
    for record in reversed(tape_of(output)):
        cotangent = cotangents.get(record.names[0])
        if cotangent is None:
            continue
        for operand, found in contributions(record, cotangent):
            known = cotangents.get(key_of(operand))
            cotangents[key_of(operand)] = found if known is None else known + found
    return cotangents
    ### END SOLUTION


# %% test="pull_back"
def compared(function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    leaves = [Tensor(rng.normal(size=shape), requires_grad=True) for shape in shapes]
    output = function(*leaves)
    seed = Tensor(rng.normal(size=output.shape))
    with tt.no_grad():
        found = pull_back(output, seed)
    output.backward(seed)
    for i, leaf in enumerate(leaves):
        assert key_of(leaf) in found, f"there is no cotangent of leaf {i}"
        own = found[key_of(leaf)].numpy()
        assert own.shape == leaf.shape, f"the cotangent of leaf {i} is {own.shape}, the leaf {leaf.shape}"
        right = np.allclose(own, leaf.grad.numpy())
        assert right, f"the cotangent of leaf {i} differs from backward()'s: are contributions added up?"


compared(lambda x: x.exp(), (3,))
compared(lambda x, w: (x @ w).tanh(), (4, 3), (3, 2))
compared(lambda x: x * x + x.sin() * x, (5,))
compared(lambda x, b: ((x + b).sigmoid() * x).sum(0), (4, 3), (3,))
compared(lambda x: (lambda y: (y * y).sum() + (y.exp() * x).mean())(x.tanh()), (2, 3))
compared(lambda x, w: tt.cross_entropy((x @ w).relu(), Tensor([0, 2, 1])), (3, 4), (4, 3))
print("pull_back: the same gradients as backward()")

# %% [markdown]
# (A *leaf* is a tensor that was not computed, as parameters are.) That loop is all of backpropagation. What the
# package adds is bookkeeping: it frees the tape as it goes, leaves the cotangents of leaves in `.grad`, and follows
# tensors that were changed in place. The rules are written in the same operations as everything else, so the gradients
# have a tape too, if one asks for it, and can be differentiated again.
#
# ## 4. A derivative of your own
#
# Some functions have a derivative that is of no use. The sign is flat on both sides of its step: its derivative is 0,
# and no layer before it would ever learn. Networks with weights of -1 and 1 (Hubara and others 2016) go forward with
# the sign and backward with a lie, the *straight-through estimator*: they let the gradient pass as if the function were
# the identity, where the input is small,
#
# $$y = \operatorname{sign}(x) \qquad \bar x = \begin{cases} \bar y & |x| \le 1 \\ 0 & |x| > 1 \end{cases}$$
#
# A class derived from `tt.Function` is how autograd is told. Its `forward` computes without recording, and keeps what
# the derivative needs by `self.save_for_backward(…)`; its `backward` takes $\bar y$, finds what was kept in
# `self.saved_tensors`, and returns $\bar x$. It is called through an instance: `StraightThrough()(x)`.
#
# **Exercise 3.** Write the two methods. `x.sign()` is the package's operation.


# %% exercise="straight_through"
# Hint: keep x, and choose by `tt.where`. `saved_tensors` is a tuple, also where one tensor was kept.
class StraightThrough(tt.Function):
    """sign(x), with the derivative of the identity where |x| <= 1, and 0 elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        self.save_for_backward(x)
        return x.sign()
        ### END SOLUTION

    def backward(self, grad_output: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        (x,) = self.saved_tensors
        return tt.where(abs(x) <= 1, grad_output, 0.0)
        ### END SOLUTION


# %% test="straight_through"
x = Tensor([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0], requires_grad=True)
y = StraightThrough()(x)
assert y.tolist() == [-1, -1, -1, 0, 1, 1, 1], f"forward of {x.tolist()} is the sign, got {y.tolist()}"
y.backward(Tensor([1.0, 2, 3, 4, 5, 6, 7]))
found = x.grad.tolist()
assert found == [0, 2, 3, 4, 5, 6, 0], f"of 1, 2, … 7 only those where |x| <= 1 pass, as they are; got {found}"


def both(x: Tensor) -> Tensor:
    return tt.grad(lambda x: (StraightThrough()(x) * x).sum())(x)


points = Tensor([-2.0, -0.5, 0.25, 4.0])
for name, function in (("as it stands", both), ("compiled", tt.compile(both))):
    found = function(points).tolist()
    assert found == [-1.0, -1.5, 1.25, 1.0], f"the derivative of sign(x) x, {name}, is -1, -1.5, 1.25, 1; got {found}"
print("straight_through: right, as it stands and compiled")

# %% [markdown]
# ## 5. Memory for time
#
# The tape keeps what the rules will read. For $y = \tanh(x W + b)$ that is `x` and `y`, for each layer, until
# backward reaches it: memory grows with depth. A *checkpoint* keeps only the input of a piece of the network and
# throws the rest away. When backward arrives, it computes the piece again, this time with a tape, and reads that.
#
# With pieces of $k$ layers out of $n$, at any time there are $n / k$ inputs of pieces and one tape of $k$ layers. If
# an input takes as much as the tape of a layer, the sum is least at $k = \sqrt n$. The price is one more forward pass.
#
# It is a function with a derivative of its own. `tt.Function` runs `forward` without recording, which is just what is
# wanted; in `backward`, recording has to be switched on: `with tt.enable_grad():`. There the piece is computed again,
# from a copy of its input that is a leaf, and `backward(grad_output)` of the result leaves the cotangent of the input
# in the leaf's `grad`. It also leaves the gradients of the parameters in theirs, where they belong.
#
# **Exercise 4.** Write the two methods.


# %% exercise="checkpointed"
# Hint: `x.detach().requires_grad_()` makes a leaf of a tensor.
class Checkpointed(tt.Function):
    """A function of one tensor of which only the input is kept; called as Checkpointed(function)(x)."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        self.save_for_backward(x)
        return self.function(x)
        ### END SOLUTION

    def backward(self, grad_output: Tensor) -> Tensor:
        ### BEGIN SOLUTION
        (x,) = self.saved_tensors
        leaf = x.detach().requires_grad_()
        with tt.enable_grad():
            again = self.function(leaf)
            again.backward(grad_output)
        return leaf.grad
        ### END SOLUTION


# %% test="checkpointed"
from tinytorch.frontend.profiling.memory import peak_bytes

tt.manual_seed(0)
layers = [tt.Linear(64, 64) for _ in range(16)]


def run(first: int, last: int, x: Tensor) -> Tensor:
    for layer in layers[first:last]:
        x = layer(x).tanh()
    return x


def training(checkpoints: bool) -> list[np.ndarray]:
    x = tt.ones(256, 64, requires_grad=True)
    h = x
    for first in range(0, 16, 4):
        piece = partial(run, first, first + 4)
        h = Checkpointed(piece)(h) if checkpoints else piece(h)
    h.sum().backward()
    found = [x.grad.numpy(), *(p.grad.numpy() for layer in layers for p in layer.parameters())]
    for layer in layers:
        for p in layer.parameters():
            p.grad = None
    return found


for own, expected in zip(training(True), training(False), strict=True):
    assert np.allclose(own, expected, atol=1e-5), "the gradients differ from those without checkpoints"
whole, pieces = peak_bytes(lambda: training(False)), peak_bytes(lambda: training(True))
assert pieces < 0.7 * whole, f"{pieces:,} bytes instead of {whole:,}: does forward keep more than its input?"
print(f"checkpointed: the same gradients with {pieces / whole:.0%} of the memory")

# %% [markdown]
# The package's `tt.checkpoint` is this, for any number of arguments, and dropout draws the same numbers again.
#
# ## 6. The tape as a graph
#
# Under `tt.compile` there is no tape. The function is traced; where it asks for a gradient, the same loop runs over
# the *graph* instead, at compile time, and appends the nodes of the backward pass to it. One graph, forward and
# backward, which the passes then fuse as a whole.


# %%
def step(x: Tensor, w: Tensor) -> Tensor:
    return tt.grad(lambda w: (x @ w).tanh().square().sum())(w)


compiled = tt.compile(step)
compiled(tt.randn(32, 16), tt.randn(16, 8))
print(compiled.traced_graph)
compiled

# %% [markdown]
# `%6` is the loss, and the lines after it are what the rules made (`detach` makes the leaf, as above). The square uses
# its operand twice: `%12` adds up the two contributions. You can read off what backward needs of the forward pass: the
# result of `tanh`, `%3`, and `x`. In the picture, a stroke after a name (tanh′) marks what a rule made.
#
# ## 7. Systems analysis
#
# The tape by depth; your checkpoints by the size of the pieces; the price of recording, for each operation (op) of a
# chain; and your `pull_back` against the central difference of module 02. The times of layers as small as these differ
# from run to run. The repository's page `docs/analysis/05_autograd.md` measures larger ones, where one more forward
# pass made a step about a third longer.


# %%
def gradient(output: Tensor, leaf: Tensor) -> Tensor:
    return pull_back(output, tt.ones_like(output))[key_of(leaf)]


def checkpoint(function: Any, layers: Any, h: Tensor) -> Tensor:
    return Checkpointed(lambda x: function(layers, x))(h)


# %%
from analyses import autograd

autograd.analyze(checkpoint=checkpoint, gradient=gradient, quick=True).show()

# %% [markdown]
# ### Beside PyTorch
#
# PyTorch's tape is the same structure: `grad_fn` of a tensor is a node, and its `next_functions` are the operands.
# Both add to what is in `.grad`, both free the tape after `backward()`, both have `Function`, `no_grad` and
# `checkpoint` under these names, and both record the backward pass itself only if asked, by `create_graph=True`.

# %%
try:
    import torch
except ImportError:
    print("PyTorch is not installed; nothing to compare with")
else:
    values = np.random.default_rng(0).normal(size=(4, 3))
    ours, theirs = Tensor(values, requires_grad=True), torch.tensor(values, requires_grad=True)
    (ours * ours.tanh()).exp().sum().backward()
    (theirs * theirs.tanh()).exp().sum().backward()
    print(f"gradients differ by at most {abs(ours.grad.numpy() - theirs.grad.numpy()).max():.1e}")
    print("our node:", (ours * 2).grad_fn, " theirs:", (theirs * 2).grad_fn.name())

# %% [markdown]
# ## 8. Questions

# %% [markdown] question="q1" points=2
# **Question 1.** In the first table the tape keeps about three results for each layer `tanh(x W + b)`: that of the
# product, of the sum and of tanh. Which of them do the derivatives read, and how does a compiler that makes one kernel
# of the layer avoid the others?

# %% [markdown] question="q2" points=2
# **Question 2.** A layer's tape has three results, an input of a piece is one: count it as a third. Compute
# $\frac{n}{3k} + k$ for the 9 layers of the second table, in pieces of 1, 3 and 9, divide by 9, and compare with the
# measured shares of memory. Which $k$ would be best for 64 layers?

# %% [markdown] question="q3" points=1
# **Question 3.** Why does the error of a finite difference first fall and then grow as its step gets smaller, and why
# does autograd have neither of the two errors?

# %% [markdown]
# ## Summary
#
# - Autograd is a tape, a topological order, and a loop that adds up cotangents. You wrote the last two, and once the
#   module is complete, the package's gradients follow your order.
# - A value that is used twice gets the sum of two cotangents.
# - A derivative may be chosen: straight-through estimators and checkpoints are functions with rules of their own.
# - The cost is memory that grows with depth; checkpoints at about every $\sqrt n$-th layer bring it down, for one more
#   forward pass.
#
# The gradients are there. In module 06 they change the weights.
