"""`tt.compile` and `tt.verify`: joins trace, passes and runtime."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from tinytorch.compiled import Compiled
from tinytorch.compiled_module import CompiledModule
from tinytorch.frontend.module import Module
from tinytorch.ir.errors import CompileError

if TYPE_CHECKING:
    from tinytorch.blame import Lockstep

Backend = Literal["llvm", "interpreter"]
BACKENDS = ("llvm", "interpreter")


def compile(function: Callable[..., Any], *, backend: Backend | None = None, freeze: bool = False) -> Compiled:
    """A callable with the signature of `function` (a model, a function, a whole training step) that runs as one
    compiled graph.

    On the first call with new shapes, dtypes or static arguments, Python runs once with traced tensors; after that,
    the graph runs. `backend` is "llvm" (machine code) or "interpreter" (numpy); by default TT_BACKEND, or "llvm".
    With TT_NANS=1 the graph runs on the interpreter, which names the line that makes the first NaN.

    With `freeze`, for inference, captured tensors are constants of the graph: batch normalisation is folded into the
    weights, and those are laid out as the kernels want them, once. Changing such a tensor (`copy_`, an optimizer's
    step, assigning `data`) compiles anew in the next call; writing into its numpy array is not seen. CompileError if
    the function itself changes one.

    A compiled module is a module: its parameters, `train()`, `state_dict()` … are those of the module. As a decorator
    in a class, the function becomes a compiled method.
    """
    chosen = backend or os.environ.get("TT_BACKEND") or "llvm"
    if chosen not in BACKENDS:
        raise CompileError(f"backend is one of {', '.join(BACKENDS)}, got {chosen!r}")
    if not callable(function):
        raise TypeError(f"tt.compile takes a function or a model, got {type(function).__name__}")
    return (CompiledModule if isinstance(function, Module) else Compiled)(function, chosen, freeze)


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
