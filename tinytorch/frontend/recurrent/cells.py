"""Recurrent cells, for one step, under the names of torch.nn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.functions import linear
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.recurrent.sequences import (
    RNN_OPS,
    Drawn,
    States,
    Weights,
    add_parameters,
    cell_step,
    check_input,
    check_state,
    common_dtype,
    one_state,
    pair_of_states,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.op import Array, Op
from tinytorch.ir.types import Shape, f32

__all__ = ["GRUCell", "LSTMCell", "RNNCell"]


class _OneStep(Drawn):
    """A cell: one step of one layer. The subclass says which: `_op`."""

    _op: Op
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor | None
    bias_hh: Tensor | None

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, dtype: object, generator: Generator | None
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = arguments.integer(name, "input_size", input_size, 1)
        self.hidden_size = arguments.integer(name, "hidden_size", hidden_size, 1)
        self.bias = arguments.flag(name, "bias", bias)
        arguments.instance(name, "generator", generator, Generator, optional=True)
        self.generator = generator
        gates = ops.recurrent.FORWARD[self._op].gates * self.hidden_size
        shapes: dict[str, Shape] = {"weight_ih": (gates, self.input_size), "weight_hh": (gates, self.hidden_size)}
        if self.bias:
            shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
        else:
            self.bias_ih = self.bias_hh = None
        add_parameters(self, shapes, dtype)
        self.reset_parameters()

    def _step(self, x: Tensor, given: Sequence[Tensor] | None) -> States:
        name, cell = type(self).__name__, ops.recurrent.FORWARD[self._op]
        check_input(name, x, (1, 2), self.input_size)
        shape = (*x.shape[:-1], self.hidden_size)
        for which, state in zip(("hx", "cx"), given or (), strict=False):
            check_state(name, which, state, shape)
        before = [zeros(shape, dtype=x.dtype)] * cell.states if given is None else given
        dtype = common_dtype(x, *before, *self.parameters())
        wide = f32 if dtype.bits == 16 else dtype
        w = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh).cast(wide)
        after, _ = cell_step(self._op, linear(x.cast(wide), w.ih, w.bias_ih), w, [s.cast(wide) for s in before])
        return tuple(s.cast(dtype) for s in after)

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        self.input_size, self.hidden_size = self.weight_ih.shape[1], self.weight_hh.shape[1]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}{'' if self.bias else ', bias=False'}"


class LSTMCell(_OneStep):
    """One step of an LSTM, see there; weights `weight_ih` [4 hidden, input], `weight_hh`, `bias_ih`, `bias_hh`."""

    _op = ops.recurrent.lstm

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, parameter_dtype(device, dtype), generator)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The states after `input` [batch, input] or [input]; `hx` is the pair before it, zeros by default."""
        h, c = self._step(input, pair_of_states("LSTMCell", "(h, c)", hx))
        return h, c


class GRUCell(_OneStep):
    """One step of a GRU, see there; weights `weight_ih` [3 hidden, input], `weight_hh`, `bias_ih`, `bias_hh`."""

    _op = ops.recurrent.gru

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, parameter_dtype(device, dtype), generator)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after `input` [batch, input] or [input]; `hx` is the one before it, zeros by default."""
        (h,) = self._step(input, one_state("GRUCell", hx))
        return h


class RNNCell(_OneStep):
    """One step of an RNN, see there; weights `weight_ih` [hidden, input], `weight_hh`, `bias_ih`, `bias_hh`."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.nonlinearity = arguments.choice("RNNCell", "nonlinearity", nonlinearity, *RNN_OPS)
        super().__init__(input_size, hidden_size, bias, parameter_dtype(device, dtype), generator)

    @property
    def _op(self) -> Op:  # pyright: ignore[reportIncompatibleVariableOverride]
        return RNN_OPS[self.nonlinearity]

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after `input` [batch, input] or [input]; `hx` is the one before it, zeros by default."""
        (h,) = self._step(input, one_state("RNNCell", hx))
        return h
