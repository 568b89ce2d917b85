"""Module 01: the tensor. Eager on numpy, recorded on a tape for gradients, or traced into a graph."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from tinytorch.frontend.tensor.autocasting import autocast_operands
from tinytorch.frontend.tensor.backward import CallsHooks, leaf_gradients
from tinytorch.frontend.tensor.conversions import as_array
from tinytorch.frontend.tensor.evaluation import evaluate, record
from tinytorch.frontend.tensor.mode import Consumed, mode
from tinytorch.frontend.tensor.printing import text_of
from tinytorch.frontend.tensor.storage import (
    Alias,
    Storage,
    base_of,
    cut_alias,
    memory_of,
    put,
    version_of,
)
from tinytorch.frontend.tensor.table_methods import TableMethods
from tinytorch.frontend.tensor.tape import TapeInput, TapeNode, data_as_met, history_of
from tinytorch.frontend.tensor.views import Views
from tinytorch.ir import ops
from tinytorch.ir.errors import ShapeError, TinyTorchError
from tinytorch.ir.loc import user_loc, warn
from tinytorch.ir.op import Array, Attrs, Op, apply
from tinytorch.ir.types import Shape, TensorType, bool_, f32, i64, type_of


@dataclass(frozen=True)
class GradientFunction:
    """The op whose derivative comes next in `backward()`, by its name."""

    name: str

    def __repr__(self) -> str:
        return f"<{''.join(part.capitalize() for part in self.name.split('_'))}Backward>"


class Tensor(Views, CallsHooks, TableMethods):
    """An n-dimensional array of one dtype.

    `data` is anything numpy can make an array of; it is copied (`from_numpy` shares instead). Python floats become
    f32, Python integers i64, arrays keep their dtype. With `requires_grad`, `backward()` leaves d(loss)/d(self) in
    `grad`. Of two sizes or more, `Tensor(2, 3)`, it is f32 zeros of that shape. Raises ShapeError for dtypes that are
    not supported.
    """

    __slots__ = (  # noqa: RUF023 (`_data` first: native code reads it at a fixed offset)
        "_data", "_storage", "_alias", "_expr", "_grad", "_node", "_requires_grad", "name", "_hooks", "_view", "_mask",
        "__weakref__",
    )  # fmt: skip

    _data: Array
    name: str

    def __init__(self, data: Any, requires_grad: bool = False, dtype: object = None, *sizes: int) -> None:
        if sizes or not isinstance(requires_grad, (bool, np.bool_)):  # pyright: ignore[reportUnnecessaryIsInstance]
            given = (data, requires_grad, *(() if dtype is None else (dtype,)), *sizes)
            data, requires_grad, dtype = _zeros_of(given), False, None
        self._set_up(as_array(data, dtype, copy=True))
        if mode.trace is not None:
            mode.trace.created(self, data if isinstance(data, np.ndarray) and data.dtype == self._data.dtype else None)
        if requires_grad:
            self.requires_grad_()

    def _set_up(self, data: Any, expr: Any = None) -> None:
        self._data = data
        self._storage: Storage | None = None
        self._alias: Alias[Tensor] | None = None
        self._expr = expr
        self._grad: Tensor | Consumed | None = None
        self._node: TapeNode | None = None
        self._requires_grad = False
        self._hooks: list[Callable[[Any], Any]] | None = None  # of a leaf
        self._view = None
        self._mask: Tensor | None = None  # which elements of a parameter are kept; `module/masks.py`
        self.name = ""

    @classmethod
    def wrap(cls, array: Array, expr: Any = None) -> Tensor:
        """A tensor over `array` itself; or over a traced expression, without an array."""
        tensor = Tensor.__new__(Tensor)
        Tensor._set_up(tensor, array, expr)
        return tensor

    # The world of tensors.
    @property
    def type(self) -> TensorType:
        if self._expr is not None:
            return self._expr.type
        return type_of(self._data.dtype, self._data.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape if self._expr is None else self._expr.type.shape

    def apply_op(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any:
        if mode.autocast is not None:
            operands = autocast_operands(op, operands, mode.autocast)
        trace = mode.trace
        if trace is not None:
            return trace.apply(op, operands, attrs)
        return evaluate(op, operands, attrs, Tensor.wrap)

    def constant(self, array: Array) -> Any:
        trace = mode.trace
        return Tensor.wrap(array) if trace is None else trace.constant(array)

    def repeated(self, shape: Shape) -> Any:
        if mode.trace is not None or self._expr is not None:
            return self.broadcast_to(shape)
        return Tensor.wrap(ops.view.repeated(self._data, shape))

    def array_operand(self, array: Array) -> Any:
        trace = mode.trace
        return super().array_operand(array) if trace is None else trace.array(array)

    # As an index.
    def as_position(self) -> Self | None:
        trace = mode.trace
        known = trace is None or (self._expr is None and not trace.holds(self))
        return None if known else super().as_position()

    def known_difference(self, other: Any) -> int | None:
        trace = mode.trace
        return None if trace is None else trace.lift(self).known_difference(trace.lift(other))

    # As Python objects.
    def __repr__(self) -> str:
        if self._expr is not None:
            return f"Tensor(traced {self.type})"
        notes = [] if self.dtype in (f32, i64, bool_) else [f"dtype={self.dtype}"]
        if not self.numel() and self.shape != (0,):
            notes.insert(0, f"size={self.shape}")
        return f"tensor({', '.join([text_of(self._data, len('tensor(')), *notes, *self._gradient_notes()])})"

    def _gradient_notes(self) -> list[str]:
        if self.grad_fn is not None:
            return [f"grad_fn={self.grad_fn}"]
        return ["requires_grad=True"] if self.requires_grad else []

    def _repr_html_(self) -> str | None:
        from tinytorch.frontend.tensor.display import as_html  # only notebooks need it

        return None if self._expr is not None else as_html(self._data, ", ".join(self._gradient_notes()))

    def __str__(self) -> str:
        if self._expr is not None or (mode.trace is not None and mode.trace.holds(self)):
            warn(
                f"a tensor of {self.type} is printed while the function is traced, when it has no values yet; calls of "
                "the compiled function print nothing. Return it, or call the function without compiling",
                RuntimeWarning,
            )
        return repr(self)

    @property
    def grad_fn(self) -> GradientFunction | None:
        """What made the values, if gradients flow through it; None for a leaf."""
        node = None if self._expr is not None else history_of(self)
        return None if node is None or not self.requires_grad else GradientFunction(node.op.name)

    def __deepcopy__(self, memo: Any) -> Tensor:
        if self._is_traced():
            return self.detach().clone().requires_grad_(self.requires_grad)
        twin = type(self)(self._concrete("deepcopy").copy(), self.requires_grad)
        twin.name = self.name
        twin._mask = None if self._mask is None else self._mask.__deepcopy__(memo)
        return twin

    def __reduce__(self) -> Any:
        made = type(self), (self._concrete("pickling"), self.requires_grad)
        return made if self._mask is None else (*made, (None, {"_mask": self._mask}))

    # Changing the storage.
    def _writable(self, what: str) -> None:
        root = self if self._alias is None or self._alias.cut else self._alias.base
        if mode.grad and root.requires_grad and root.is_leaf:
            raise TinyTorchError(f"{what} on a leaf that requires grad; do it under tt.no_grad()", user_loc())
        if self._expr is None and not self._data.flags.writeable:
            raise TinyTorchError(f"{what}: the storage of this tensor is read-only", user_loc())
        if mode.written is not None and mode.trace is None:
            base, _ = memory_of(self)
            mode.written.setdefault(id(base), (base, base._data.copy()))

    def _recorded(self, *operands: Any) -> bool:
        return mode.grad and any(isinstance(x, Tensor) and x.requires_grad for x in operands)

    def _become(self, value: Any) -> Self:
        if mode.trace is not None:
            mode.trace.update(self, value)
            return self
        node = self._new_history(value) if self._recorded(self, value) else None
        np.copyto(self._data, value._data)
        self.touch()
        if node is not None:
            node.version = version_of(self)
        return self

    def _new_history(self, value: Tensor) -> TapeNode:
        """Give the tensor, or what it is a view of, the history of `value` put into its place."""
        base, steps = base_of(self)
        whole = put(steps, base, value)
        if whole._node is None:  # a constant, but no leaf
            record(ops.core.copy, (value,), {}, whole)
        base._node, base._requires_grad = whole._node, True
        return cast(TapeNode, whole._node)

    # Gradients.
    @property
    def requires_grad(self) -> bool:
        """Whether gradients are recorded of what is computed from this tensor."""
        if self._alias is not None:
            self._refresh()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def _refresh(self) -> None:
        """Follow the tensor that this is a view of, if that has got another history."""
        alias = self._alias
        if alias is None or alias.cut:
            return
        if self._expr is not None:
            if mode.trace is not None:
                mode.trace.refresh(self)
        elif alias.base._node is not alias.seen and alias.base._storage is self._storage:
            view, recording = alias.base, mode.grad
            mode.grad = True
            try:
                for op, attrs, others in alias.steps:
                    view = evaluate(op, (view, *others), attrs, Tensor.wrap)
            finally:
                mode.grad = recording
            self._node, self._requires_grad, alias.seen = view._node, view._requires_grad, alias.base._node

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Have gradients recorded of this leaf from now on, or no more; a view is then a leaf of its own."""
        if requires_grad and not self.dtype.is_float:
            raise ShapeError(f"only float tensors have gradients, got {self.type}", user_loc())
        if requires_grad is self.requires_grad:
            return self
        if not requires_grad and not self.is_leaf:
            raise TinyTorchError("requires_grad_: only leaves can stop requiring grad; use detach()", user_loc())
        if mode.trace is not None:
            mode.trace.differentiate(self, requires_grad)
            return self
        if self._alias is not None and not self._alias.cut:
            self._alias = cut_alias(self)
        self._requires_grad = requires_grad
        return self

    def detach_(self) -> Self:
        """Forget what it was computed from: it is a leaf from now on, which does not require grad. Not for views."""
        if not self.requires_grad:
            return self
        if self._alias is not None and not self._alias.cut:
            raise TinyTorchError("detach_: a view has the history of its base; use detach()", user_loc())
        if mode.trace is not None:
            mode.trace.differentiate(self, False)
        else:
            self._node, self._requires_grad = None, False
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from tensors that require grad."""
        if self._expr is not None:
            return not self.requires_grad or (mode.trace is not None and mode.trace.is_leaf(self))
        return history_of(self) is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward()` left, or None."""
        grad = self._grad if mode.trace is None else mode.trace.read_grad(self)
        if isinstance(grad, Consumed):
            raise TinyTorchError(
                "the compiled step used this gradient up in optimizer.step() without keeping it; call zero_grad() "
                "before backward(), or return the gradient from the compiled function",
                user_loc(),
            )
        return grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None and not isinstance(cast(object, value), Tensor):
            raise TinyTorchError(f"grad: a tensor or None, got {type(value).__name__}", user_loc())
        if value is not None and value.type != self.type:
            raise ShapeError(f"grad: {value.type} does not fit {self.type}", user_loc())
        if mode.trace is not None:
            mode.trace.write_grad(self, value)
        else:
            self._grad = value

    def clear_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradient or, if there is one and `set_to_none` is False, make it zeros."""
        if set_to_none:
            self.grad = None
            return
        known = self._grad if mode.trace is None else mode.trace.read_grad(self)
        if known is None:
            return
        if isinstance(known, Consumed):
            self.grad = ops.core.zeros_like(self).clone()
        else:
            with_history, mode.grad = mode.grad, False
            try:
                known.zero_()
            finally:
                mode.grad = with_history

    def backward(self, grad: Any = None, retain_graph: bool = False, create_graph: bool = False) -> None:
        """Add d(self)/d(leaf) to the `grad` of every leaf that requires it.

        `grad` is the cotangent of self, needed unless self has one element. The tape is freed unless
        `retain_graph`; with `create_graph` the gradients can be differentiated again.
        """
        if grad is None and self.numel() != 1:
            raise ShapeError(f"backward: {self.type} has more than one element; pass its cotangent", user_loc())
        if not self.requires_grad:
            raise TinyTorchError("backward: nothing that this tensor was computed from requires grad", user_loc())
        seed = self.constant(np.ones(self.shape, self.dtype.numpy)) if grad is None else self._like(grad)
        if seed.type != self.type:
            raise ShapeError(f"backward: the cotangent is {seed.type}, the tensor {self.type}", user_loc())
        if mode.trace is not None:
            mode.trace.backward(self, seed, retain_graph, create_graph)
            return
        for leaf, cotangent in leaf_gradients(self, seed, retain_graph or create_graph, create_graph):
            leaf.accumulate_grad(cotangent)
            if leaf._hooks:
                leaf.call_afterwards(create_graph)

    def accumulate_grad(self, cotangent: Tensor) -> None:
        """Add to `grad`, in its memory unless gradients of gradients are wanted. A new one has memory of its own."""
        if self._mask is not None:
            cotangent = apply(ops.core.where, self._mask, cotangent, ops.core.zeros_like(cotangent))
        known = self.grad
        if known is None:
            self.grad = cotangent if cotangent._expr is not None else cotangent.clone()
        elif cotangent.requires_grad or known.requires_grad:
            self.grad = known + cotangent
        else:
            known.add_(cotangent)

    def use_grad(self) -> Tensor | None:
        """`grad`, for an optimizer's step: a compiled step then does not keep it in memory."""
        grad = self.grad
        if mode.trace is not None:
            mode.trace.use_grad(self)
        return grad

    def _as_met(self, met: TapeInput, op: Op) -> Tensor:
        """This as an op met it: the tensor itself, unless it has been changed since."""
        same = self._node is met.node and self._requires_grad is met.requires_grad
        return self if same and version_of(self) == met.version else _Past(met, op)

    def _known(self) -> Tensor:
        """The tensor that users know: itself, unless it stands for one as an op met it."""
        return self


def _zeros_of(sizes: tuple[Any, ...]) -> Array:
    """Zeros of a shape, as `Tensor(2, 3)` asks for them; an error for what else stands in the place of flags."""
    if any(type(size) is not int or size < 0 for size in sizes):
        raise TinyTorchError(
            f"Tensor({', '.join(map(repr, sizes))}): the second argument is requires_grad, True or False; for a tensor "
            "of a shape use tt.zeros(…) or tt.empty(…), for several numbers a list",
            user_loc(),
        )
    return np.zeros(sizes, f32.numpy)


class _Past(Tensor):
    """A tensor as an op met it, though it has been changed since; its values are there only if that left them, or if
    they can be computed again."""

    __slots__ = ("_met", "_op", "_recomputed")

    def __init__(self, met: TapeInput, op: Op) -> None:
        Tensor._set_up(self, None)
        self._met, self._op = met, op
        self._recomputed: Array | None = None
        self._node, self._requires_grad = met.node, met.requires_grad

    def _known(self) -> Tensor:
        return self._met.tensor

    @property
    def _data(self) -> Array:
        if self._recomputed is None and version_of(self._met.tensor) != self._met.version:
            self._recomputed = data_as_met(self._met, self._op)
        return data_as_met(self._met, self._op) if self._recomputed is None else self._recomputed

    @_data.setter
    def _data(self, value: Array) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        assert value is None

    @property
    def type(self) -> TensorType:
        return self._met.tensor.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self._met.tensor.shape
