"""What holds in a thread: whether a trace runs, and whether gradients are recorded."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from tinytorch.ir.errors import remember
from tinytorch.ir.op import Array, Attrs, Op
from tinytorch.ir.types import DType


class Consumed:
    """Stands in `grad` for a gradient that a compiled step used and did not keep."""


class TraceAgain(BaseException):
    """Raised in a trace by code that had to prepare Python state before anything else, and has: start over. It is
    nothing that a function may catch."""

    def __init__(self) -> None:
        super().__init__()
        remember(self)


class RunningTrace(Protocol):
    """What tensors need of a running trace; operands and results are tensors."""

    needed: frozenset[int]
    again: bool

    def apply(self, op: Op, operands: Sequence[Any], attrs: Attrs) -> Any: ...
    def constant(self, array: Array) -> Any: ...
    def array(self, array: Array) -> Any: ...
    def created(self, tensor: Any, source: Array | None = None) -> None: ...
    def lift(self, tensor: Any) -> Any: ...
    def holds(self, tensor: Any) -> bool: ...
    def refresh(self, tensor: Any) -> None: ...
    def differentiate(self, tensor: Any, wanted: bool) -> None: ...
    def is_leaf(self, tensor: Any) -> bool: ...
    def update(self, tensor: Any, value: Any) -> None: ...
    def backward(self, tensor: Any, grad: Any, retain_graph: bool, create_graph: bool) -> None: ...
    def gradients(self, output: Any, wrt: Sequence[Any], seed: Any, create_graph: bool) -> list[Any]: ...
    def read_grad(self, tensor: Any) -> Any: ...
    def write_grad(self, tensor: Any, grad: Any) -> None: ...
    def use_grad(self, tensor: Any) -> None: ...
    def is_outside(self, tensor: Any) -> bool: ...
    def hold(self, state: dict[str, Any], key: str, tensor: Any) -> None: ...
    def before_call(self, tensor: Any) -> Array | None: ...
    def region(self) -> AbstractContextManager[None]: ...


class _Mode(threading.local):
    """What holds in this thread: is a trace running, are gradients recorded, which ops run in 16-bit floats."""

    trace: RunningTrace | None = None
    grad: bool = True
    autocast: DType | None = None  # what products are computed in (`autocasting`)
    reference: bool = False  # every op runs by its `eval`, as in the interpreter
    # By id, the tensors whose memory eager code changes in place, and what it held before, where somebody asks.
    written: dict[int, tuple[Any, Array]] | None = None


mode = _Mode()


@contextmanager
def reference_mode() -> Generator[None, None, None]:
    """Run every op by its `eval` in this thread until the block ends."""
    before, mode.reference = mode.reference, True
    try:
        yield
    finally:
        mode.reference = before
