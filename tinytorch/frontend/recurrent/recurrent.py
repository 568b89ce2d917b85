"""Recurrent layers: LSTM, GRU and RNN over sequences.

The names, the layout of the weights and the results are PyTorch's, so state dicts go either way. A layer multiplies the
inputs of all steps at once, and goes through the steps in one op (`ir/ops/recurrent.py`), whatever their number; the
gradients of weights are one product over all steps as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from tinytorch.frontend import arguments
from tinytorch.frontend.functions.basic import cat, stack
from tinytorch.frontend.functions.creation import zeros
from tinytorch.frontend.functions.random import Generator
from tinytorch.frontend.layers.functions import dropout as drop
from tinytorch.frontend.layers.functions import linear
from tinytorch.frontend.module.parameter_types import parameter_dtype
from tinytorch.frontend.recurrent.packed import PackedSequence
from tinytorch.frontend.recurrent.sequences import (
    RNN_OPS,
    Drawn,
    Rows,
    States,
    Weights,
    add_parameters,
    check_input,
    check_state,
    common_dtype,
    hidden_bias,
    one_state,
    pair_of_states,
)
from tinytorch.frontend.tensor import Tensor
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc, warn
from tinytorch.ir.op import Array, Op, apply
from tinytorch.ir.types import DType, Shape, f32

__all__ = ["GRU", "LSTM", "RNN"]

Batch = TypeVar("Batch", Tensor, PackedSequence)


class _Recurrent(Drawn):
    """Layers of cells, in one direction or both. The subclass says which cell: `_op`."""

    _op: Op

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        proj_size: int,
        dtype: object,
        generator: Generator | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.input_size = arguments.integer(name, "input_size", input_size, 1)
        self.hidden_size = arguments.integer(name, "hidden_size", hidden_size, 1)
        self.num_layers = arguments.integer(name, "num_layers", num_layers, 1)
        self.bias = arguments.flag(name, "bias", bias)
        self.batch_first = arguments.flag(name, "batch_first", batch_first)
        self.dropout = arguments.probability(name, "dropout", dropout)
        self.bidirectional = arguments.flag(name, "bidirectional", bidirectional)
        self.proj_size = arguments.integer(name, "proj_size", proj_size, 0)
        if self.proj_size >= self.hidden_size:
            raise arguments.wrong_value(name, "proj_size", "smaller than hidden_size", proj_size)
        arguments.instance(name, "generator", generator, Generator, optional=True)
        self.generator = generator
        if dropout and num_layers == 1:
            warn(f"{name}: dropout is between layers, of which there is one")
        for layer in range(self.num_layers):
            self._add_weights(layer, dtype)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 1 + self.bidirectional

    @property
    def _out_size(self) -> int:
        """Features of the hidden state."""
        return self.proj_size or self.hidden_size

    def _add_weights(self, layer: int, dtype: object) -> None:
        cell, hidden = ops.recurrent.FORWARD[self._op], self.hidden_size
        gates = cell.gates * hidden
        features = self.input_size if layer == 0 else self._out_size * self._directions
        for suffix in _suffixes(layer, self._directions):
            shapes: dict[str, Shape] = {"weight_ih": (gates, features), "weight_hh": (gates, self._out_size)}
            if self.bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if self.proj_size:
                shapes["weight_hr"] = (self.proj_size, hidden)
            add_parameters(self, {f"{name}_{suffix}": shape for name, shape in shapes.items()}, dtype)

    def _weights(self, suffix: str) -> Weights:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return Weights(*(getattr(self, f"{name}_{suffix}", None) for name in names))  # pyright: ignore[reportArgumentType]

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction."""
        found = dict(self.named_parameters())
        suffixes = [suffix for layer in range(self.num_layers) for suffix in _suffixes(layer, self._directions)]
        return [[w for name, w in found.items() if name.partition("_l")[2] == suffix[1:]] for suffix in suffixes]

    def flatten_parameters(self) -> None:
        """Nothing: PyTorch lays them out for its GPU kernels."""

    # Running.
    def _run(self, x: Batch, given: Sequence[Tensor] | None, lengths: Any) -> tuple[Batch, States]:
        """The outputs of the last layer, and the last states of every layer and direction."""
        if not isinstance(x, PackedSequence):
            return self._run_padded(x, given, lengths)
        if lengths is not None or x.padded.ndim != 3:
            wanted = "a packed sequence has its lengths, and data [rows, features]"
            raise TinyTorchError(f"{type(self).__name__}: {wanted}; padded, it is {x.padded.type}", user_loc())
        padded = x.padded.transpose(0, 1) if self.batch_first else x.padded
        out, last = self._run_padded(padded, given, x.lengths)
        return x.with_padded(out.transpose(0, 1) if self.batch_first else out), last

    def _run_padded(self, x: Tensor, given: Sequence[Tensor] | None, lengths: Any) -> tuple[Tensor, States]:
        name = type(self).__name__
        check_input(name, x, (2, 3), self.input_size)
        batched = x.ndim == 3
        sequences = x.transpose(0, 1) if batched and self.batch_first else x if batched else x.unsqueeze(1)
        steps, batch, _ = sequences.shape
        if not steps:
            raise ShapeError(f"{name}: a sequence has one step at least, got {x.type}", user_loc())
        if lengths is not None and not batched:
            raise ShapeError(f"{name}: lengths are those of a batch, got one sequence {x.type}", user_loc())
        initial = self._initial(given, batch, batched, x.dtype)
        rows = None if lengths is None else Rows(name, lengths, steps, batch)
        if rows is not None:  # a NaN behind an end would reach gradients
            sequences = rows.masked(sequences)
        dtype = common_dtype(x, *initial, *self.parameters())
        wide = f32 if dtype.bits == 16 else dtype
        out, last = self._layers(sequences.cast(wide), [s.cast(wide) for s in initial], rows, wide)
        out = out.transpose(0, 1) if batched and self.batch_first else out if batched else out.squeeze(1)
        last = [s if batched else s.squeeze(1) for s in last]
        return out.cast(dtype), tuple(s.cast(dtype) for s in last)

    def _initial(self, given: Sequence[Tensor] | None, batch: int, batched: bool, dtype: DType) -> list[Tensor]:
        """The states before the first step, [layers * directions, batch, size] each; zeros unless given."""
        name, count = type(self).__name__, self.num_layers * self._directions
        sizes = (self._out_size, self.hidden_size)[: ops.recurrent.FORWARD[self._op].states]
        if given is None:
            return [zeros(count, batch, size, dtype=dtype) for size in sizes]
        for which, state, size in zip(("h_0", "c_0"), given, sizes, strict=False):
            check_state(name, which, state, (count, batch, size) if batched else (count, size))
        return [s if batched else s.unsqueeze(1) for s in given]

    def _layers(self, x: Tensor, initial: list[Tensor], rows: Rows | None, dtype: DType) -> tuple[Tensor, list[Tensor]]:
        ends: list[States] = []
        for layer in range(self.num_layers):
            if layer:
                x = drop(x, self.dropout, self.training, generator=self.generator)
            outputs: list[Tensor] = []
            for reverse, suffix in enumerate(_suffixes(layer, self._directions)):
                before = tuple(s[len(ends)] for s in initial)
                found, end = self._direction(x, self._weights(suffix).cast(dtype), before, bool(reverse), rows)
                outputs.append(found)
                ends.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 2)
        return x, [stack(states) for states in zip(*ends, strict=True)]

    def _direction(
        self, x: Tensor, w: Weights, before: States, reverse: bool, rows: Rows | None
    ) -> tuple[Tensor, States]:
        products = linear(x, w.ih, w.bias_ih)
        if rows is None:
            states = self._steps(products, w, before, reverse)
            last = 0 if reverse else -1
            return states[0], tuple(s[last] for s in states)
        # Each sequence is turned round within its own length: behind its end, nothing that counts follows.
        states = self._steps(rows.reversed(products) if reverse else products, w, before, False)
        out = rows.reversed(states[0]) if reverse else states[0]
        return rows.masked(out), tuple(map(rows.last, states))

    def _steps(self, products: Tensor, w: Weights, before: States, reverse: bool) -> States:
        """The states after each step."""
        projection = () if w.hr is None else (w.hr,)
        found = apply(self._op, products, w.hh, hidden_bias(w), *projection, *before, reverse=reverse)
        return (found,) if self._op.results == 1 else tuple(found[i] for i in range(len(before)))

    def resized(self, kept: Mapping[str, tuple[Array, ...]]) -> None:
        first = self._weights(_suffixes(0, 1)[0])
        self.input_size = first.ih.shape[1]
        self.hidden_size = first.ih.shape[0] // ops.recurrent.FORWARD[self._op].gates
        self.proj_size = 0 if first.hr is None else first.hr.shape[0]

    def extra_repr(self) -> str:
        options = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0, "bidirectional": False}
        given = [f"{name}={getattr(self, name)}" for name, usual in options.items() if getattr(self, name) != usual]
        given += [f"proj_size={self.proj_size}"] if self.proj_size else []
        return ", ".join([str(self.input_size), str(self.hidden_size), *given])


class LSTM(_Recurrent):
    """Layers of long short-term memories (Hochreiter & Schmidhuber 1997, with forget gates):

        i, f, g, o = W_ih x + b_ih + W_hh h + b_hh, cut in four
        c = sigmoid(f) c + sigmoid(i) tanh(g);  h = sigmoid(o) tanh(c), times W_hr with `proj_size`

    Weights of layer k are `weight_ih_l{k}` [4 hidden, input], `weight_hh_l{k}` [4 hidden, hidden], `bias_ih_l{k}` and
    `bias_hh_l{k}` [4 hidden], with `proj_size` also `weight_hr_l{k}` [proj, hidden] (the hidden state is then that
    large); those of the other direction end in `_reverse`. All are uniform with bound 1 / sqrt(hidden). `dropout` is
    between layers.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size,
            parameter_dtype(device, dtype), generator,
        )  # fmt: skip

    @property
    def _op(self) -> Op:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ops.recurrent.lstm_projected if self.proj_size else ops.recurrent.lstm

    def forward(
        self, input: Batch, hx: tuple[Tensor, Tensor] | None = None, *, lengths: Any = None
    ) -> tuple[Batch, tuple[Tensor, Tensor]]:
        """`input` is [steps, batch, input] ([batch, steps, input] with `batch_first`), or one sequence [steps, input];
        `hx` a pair of states [layers * directions, batch, size], zeros by default, without a batch for one sequence.

        The outputs are the hidden states of the last layer after each step, those of both directions side by side; then
        comes the pair of the last states. Of a batch of sequences that are padded at their ends, `lengths` [batch] says
        how long each is: outputs behind its end are zeros, its last states are those at its end, and the other
        direction begins there. A `PackedSequence` is such a batch, and the outputs then are one. ShapeError where
        shapes or dtypes do not fit, IndexError for a length that is no step's.
        """
        out, (h, c) = self._run(input, pair_of_states("LSTM", "(h_0, c_0)", hx), lengths)
        return out, (h, c)


class GRU(_Recurrent):
    """Layers of gated recurrent units (Cho et al. 2014), the reset gate behind the product:

        r, z = sigmoid(W_ih x + b_ih + W_hh h + b_hh);  n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h = (1 - z) n + z h

    Weights of layer k are `weight_ih_l{k}` [3 hidden, input], `weight_hh_l{k}` [3 hidden, hidden], `bias_ih_l{k}` and
    `bias_hh_l{k}` [3 hidden], in the order r, z, n; see `LSTM`.
    """

    _op = ops.recurrent.gru

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
            parameter_dtype(device, dtype), generator,
        )  # fmt: skip

    def forward(self, input: Batch, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Batch, Tensor]:
        """As `LSTM.forward`, with one state."""
        out, (h,) = self._run(input, one_state("GRU", hx), lengths)
        return out, h


class RNN(_Recurrent):
    """Recurrent layers (Elman 1990): h = tanh(W_ih x + b_ih + W_hh h + b_hh), or ReLU by `nonlinearity`.

    Weights of layer k are `weight_ih_l{k}` [hidden, input], `weight_hh_l{k}` [hidden, hidden], `bias_ih_l{k}` and
    `bias_hh_l{k}` [hidden]; see `LSTM`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: object = None,
        dtype: object = None,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.nonlinearity = arguments.choice("RNN", "nonlinearity", nonlinearity, *RNN_OPS)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0,
            parameter_dtype(device, dtype), generator,
        )  # fmt: skip

    @property
    def _op(self) -> Op:  # pyright: ignore[reportIncompatibleVariableOverride]
        return RNN_OPS[self.nonlinearity]

    def forward(self, input: Batch, hx: Tensor | None = None, *, lengths: Any = None) -> tuple[Batch, Tensor]:
        """As `LSTM.forward`, with one state."""
        out, (h,) = self._run(input, one_state("RNN", hx), lengths)
        return out, h

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else ", nonlinearity=relu")


def _suffixes(layer: int, directions: int) -> list[str]:
    return [f"l{layer}", f"l{layer}_reverse"][:directions]
