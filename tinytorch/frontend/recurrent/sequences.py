"""What recurrent layers share: one direction's weights, single steps, batches of sequences that differ in length, and
checks of what users pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from tinytorch.frontend.functions.basic import where
from tinytorch.frontend.functions.creation import arange, tensor, zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.functions import linear
from tinytorch.frontend.module import Module, Parameter, init
from tinytorch.frontend.tensor import Tensor
from tinytorch.frontend.tensor.evaluation import located
from tinytorch.frontend.tensor.gradients import require_tensor
from tinytorch.frontend.tensor.mode import mode
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.op import Op, apply
from tinytorch.ir.operators.promotion import promote
from tinytorch.ir.types import DType, Shape, TensorType, i64

States = tuple[Tensor, ...]
RNN_OPS = {"tanh": ops.recurrent.rnn_tanh, "relu": ops.recurrent.rnn_relu}


@dataclass(frozen=True)
class Weights:
    """Those of one direction of a layer, or of a cell: the products, their biases, and the projection."""

    ih: Tensor
    hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None
    hr: Tensor | None = None

    def cast(self, dtype: DType) -> Weights:
        found = (None if w is None else w.cast(dtype) for w in (self.bias_ih, self.bias_hh, self.hr))
        return Weights(self.ih.cast(dtype), self.hh.cast(dtype), *found)


# Steps.
def cell_step(op: Op, products: Tensor, w: Weights, before: Sequence[Tensor]) -> tuple[Sequence[Tensor], Any]:
    """The states after a step, given the products of its input; both products may be 16-bit floats (of an autocast),
    the states stay what they are."""
    cell, dtype = ops.recurrent.FORWARD[op], before[0].dtype
    products, hidden = products.cast(dtype), linear(before[0], w.hh, w.bias_hh).cast(dtype)
    return cell.forward(_cut(products, cell.gates), _cut(hidden, cell.gates), before)


def _cut(x: Tensor, count: int) -> list[Tensor]:
    wide = x.shape[-1] // count
    return [x[..., i * wide : (i + 1) * wide] for i in range(count)]


def hidden_bias(w: Weights) -> Tensor:
    return zeros(w.hh.shape[0], dtype=w.hh.dtype) if w.bias_hh is None else w.bias_hh


# Sequences of different lengths.
class Rows:
    """Where the sequences of a batch [steps, batch, …] end."""

    def __init__(self, name: str, lengths: Any, steps: int, batch: int) -> None:
        given = lengths if isinstance(lengths, Tensor) else tensor(lengths)
        if given.shape != (batch,) or given.dtype.kind not in ("int", "uint"):
            raise ShapeError(f"{name}: lengths are integers [{batch}], one a sequence, got {given.type}", user_loc())
        if mode.trace is None and batch and not (given.numpy().min() > 0 and given.numpy().max() <= steps):
            raise located(IndexError(f"lengths are between 1 and {steps}, got {given.numpy()}"), f"{name}: ")
        self.ends = apply(ops.elementwise.checked_index, given.cast(i64) - 1, size=steps, wrap=False)
        time, columns = arange(steps).unsqueeze(1), arange(batch)
        self.inside = time <= self.ends
        self.last_rows = self.ends * batch + columns
        self.reversed_rows = where(self.inside, self.ends - time, time) * batch + columns

    def reversed(self, x: Tensor) -> Tensor:
        """Each sequence in the other order; what is behind its end stays there."""
        return _flat(x)[self.reversed_rows]

    def masked(self, x: Tensor) -> Tensor:
        """Zeros behind the ends."""
        return where(self.inside.unsqueeze(2), x, 0.0)

    def last(self, x: Tensor) -> Tensor:
        """[batch, …] at the ends."""
        return _flat(x)[self.last_rows]


def _flat(x: Tensor) -> Tensor:
    return x.reshape(x.shape[0] * x.shape[1], x.shape[2])


# Checks.
def check_input(name: str, x: Any, ranks: tuple[int, int], features: int) -> None:
    if hasattr(type(x), "batch_sizes"):
        wanted = (
            "nn.utils.rnn has those that layers take; or give them the padded tensor, and lengths= how long each is"
        )
        raise TinyTorchError(f"{name}: got a PackedSequence of {type(x).__module__}; {wanted}", user_loc())
    require_tensor(name, x)
    if not x.dtype.is_float:
        raise ShapeError(f"{name}: needs a float dtype, got {x.type}; convert it, as in x.float()", user_loc())
    if x.ndim not in ranks or x.shape[-1] != features:
        forms = f"[…, {features}] with {ranks[1]} axes, or {ranks[0]} without a batch"
        raise ShapeError(f"{name}: x is {forms}, got {x.type}", user_loc())


def check_state(name: str, which: str, state: Any, shape: Shape) -> None:
    require_tensor(name, state)
    if state.shape != shape or not state.dtype.is_float:
        raise ShapeError(f"{name}: {which} is a float tensor {list(shape)}, got {state.type}", user_loc())


def pair_of_states(name: str, what: str, hx: Any) -> Sequence[Tensor] | None:
    if hx is not None and (not isinstance(hx, (tuple, list)) or len(cast(Sequence[Any], hx)) != 2):
        raise TinyTorchError(f"{name}: the states are a pair {what}, got {type(hx).__name__}", user_loc())
    return hx


def one_state(name: str, hx: Any) -> Sequence[Tensor] | None:
    return None if hx is None else [require_tensor(name, hx)]


def common_dtype(x: Tensor, *others: Tensor) -> DType:
    """The dtype in which all operands meet."""
    type = x.type
    for other in others:
        type = TensorType(promote(type, other.type), x.shape)
    return type.dtype


# Parameters.
def add_parameters(module: Any, shapes: dict[str, Shape], dtype: object) -> None:
    for name, shape in shapes.items():
        setattr(module, name, Parameter(zeros(shape, dtype=dtype)))


class Drawn(Module):
    """A module of which all parameters are drawn alike."""

    hidden_size: int
    generator: Generator | None

    def reset_parameters(self) -> None:
        """Draw the parameters anew: uniform with bound 1 / sqrt(hidden), as in PyTorch."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound, self.generator)
