"""`tt.compile` and `tt.verify`: joins trace, passes and runtime."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import kernels
from tinytorch.ir import locks
from tinytorch.ir.errors import CompileError
from tinytorch.ir.loc import user_loc

if TYPE_CHECKING:
    from tinytorch.backend_names import BackendName
    from tinytorch.blame import Lockstep
    from tinytorch.compiled import Compiled
    from tinytorch.runtime.backend import Backend


class _KernelsWhenNeeded:
    """`EagerKernels`, loaded when the first large op asks for them, as the compiler is by the first `tt.compile`."""

    @functools.cached_property
    def _kernels(self) -> kernels.Kernels:
        with locks.importing:
            from tinytorch.eager import EagerKernels

            return EagerKernels()

    def results(self, *args: Any, **options: Any) -> Any:
        return self._kernels.results(*args, **options)

    def cotangents(self, *args: Any, **options: Any) -> Any:
        return self._kernels.cotangents(*args, **options)


kernels.slot.handed = _KernelsWhenNeeded()


def compile(
    function: Callable[..., Any],
    *,
    backend: BackendName | Backend | None = None,
    freeze: bool = False,
    memory_limit: int | None = None,
) -> Compiled:
    """A callable with the signature of `function` (a model, a function, a whole training step) that runs as one
    compiled graph.

    On the first call with new shapes, dtypes or static arguments, Python runs once with traced tensors; after that,
    the graph runs. `backend` is "llvm" (machine code), "interpreter" (numpy), or an object that follows the protocol
    `tinytorch.runtime.backend.Backend`; by default the one that TT_BACKEND names, or "llvm". With TT_NANS=1 the graph
    runs on the interpreter, which names the line that makes the first NaN.

    With `freeze`, for inference, captured tensors are constants of the graph: batch normalisation is folded into the
    weights, and those are laid out as the kernels want them, once. Changing such a tensor (`copy_`, an optimizer's
    step, assigning `data`) compiles anew in the next call; writing into its numpy array is not seen. CompileError if
    the function itself changes one.

    `memory_limit` is the most bytes that a call may need beside its inputs (parameters and other state among them),
    results and constants: `explain().arena_bytes`, for what lies between kernels and what these need for themselves.
    Where it would be more, values are dropped after their first use and computed again before the next: cheap ones
    before products, and as few as are needed. Results are the same bits. CompileError at the first call, if that is
    not enough, says how many bytes it takes and which values are the largest. The interpreter has no such memory, and
    so no limit. `tt.checkpoint` says by hand what to drop.

    A compiled module is a module: its parameters, `train()`, `state_dict()` … are those of the module. As a decorator
    in a class, the function becomes a compiled method.
    """
    with locks.importing:
        from tinytorch.backend_names import DEFAULT, checked
        from tinytorch.compiled import Compiled
        from tinytorch.compiled_module import CompiledModule

    chosen = checked((os.environ.get("TT_BACKEND") or DEFAULT) if backend is None else backend)
    if not callable(function):
        raise TypeError(f"tt.compile takes a function or a model, got {type(function).__name__}")
    if memory_limit is not None and (type(memory_limit) is not int or memory_limit < 0):
        raise CompileError(f"memory_limit is a number of bytes, an int from 0 on, got {memory_limit!r}", user_loc())
    return (CompiledModule if isinstance(function, Module) else Compiled)(function, chosen, freeze, memory_limit)


def verify(
    function: Callable[..., Any], *args: Any, folder: str = "tt-verify", freeze: bool = False, **kwargs: Any
) -> Lockstep:
    """Run `function(*args, **kwargs)` eagerly, by the interpreter after each pass of `tt.compile(function,
    freeze=freeze)`, and as machine code, and compare what they give.

    Everything is afterwards as it was. VerifyError names what is wrong (the trace, a pass, a kernel) and the first node
    that differs; a reproducer is in `folder`.
    """
    from tinytorch.lockstep import verify

    return verify(function, *args, folder=folder, freeze=freeze, **kwargs)
