"""`tt.compile` and `tt.verify`: joins trace, passes and runtime."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from tinytorch.frontend.module import Module
from tinytorch.frontend.tensor import kernels
from tinytorch.ir.errors import CompileError
from tinytorch.ir.loc import user_loc
from tinytorch.ir.system import locks
from tinytorch.ir.types import bf16, dtype_of, f16

if TYPE_CHECKING:
    from tinytorch.backend_names import BackendName
    from tinytorch.blame import Lockstep
    from tinytorch.compiled.function import Compiled
    from tinytorch.ir.graph import Graph, Value
    from tinytorch.ir.kernels.costs import Precision
    from tinytorch.passes.tied_axes.tied_axes import TiedAxes
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


class OfPyTorch(TypedDict, total=False):
    """Arguments of torch.compile that have no effect: there is one graph always, for exactly the shapes of a call."""

    fullgraph: bool
    dynamic: bool | None
    mode: str | None


@overload
def compile(
    function: Callable[..., Any],
    *,
    backend: BackendName | Backend | None = None,
    freeze: bool = False,
    memory_limit: int | None = None,
    precision: Precision = "fast",
    autocast: object = None,
    **of_pytorch: Unpack[OfPyTorch],
) -> Compiled: ...
@overload
def compile(
    *,
    backend: BackendName | Backend | None = None,
    freeze: bool = False,
    memory_limit: int | None = None,
    precision: Precision = "fast",
    autocast: object = None,
    **of_pytorch: Unpack[OfPyTorch],
) -> Callable[[Callable[..., Any]], Compiled]: ...
def compile(
    function: Callable[..., Any] | None = None,
    *,
    backend: BackendName | Backend | None = None,
    freeze: bool = False,
    memory_limit: int | None = None,
    precision: Precision = "fast",
    autocast: object = None,
    **of_pytorch: Unpack[OfPyTorch],
) -> Compiled | Callable[[Callable[..., Any]], Compiled]:
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

    `precision` says whether convolutions may be computed in fewer products than their definition has. With "fast",
    those of 3 × 3 windows, stride 1 and floats of 32 or 64 bits are, where that saves time: of tiles of 2 × 2 outputs
    (4 products an element instead of 9) or of 4 × 4 (2.25), by Winograd's algorithm; and those whose windows have two
    or three places for each step of the stride: 4 × 4 with stride 2 take 6.25 products instead of 16. What is rounded
    off in f32, measured against f64 and relative to the results' root mean square, for images and weights of a normal
    distribution (the largest of 262,144 elements in brackets):

        channels    by the definition    tiles of 2 × 2       tiles of 4 × 4
              16    2.1e-07 (3.0e-06)    1.6e-07 (1.2e-06)    5.1e-07 (5.6e-06)
              64    3.0e-07 (2.4e-06)    2.6e-07 (1.7e-06)    8.2e-07 (9.1e-06)
             256    3.0e-07 (1.9e-06)    4.9e-07 (3.2e-06)    1.5e-06 (1.5e-05)
             512    3.1e-07 (1.6e-06)    6.9e-07 (4.4e-06)    2.1e-06 (2.0e-05)

    and in the gradients of such weights, from 1,024 to 262,144 outputs, 4.2e-07, 5.1e-07 and 8.8e-07 at most.
    Windows of 4 × 4 with stride 2, forward: 2.9e-07 to 4.1e-07 by the definition, and by tiles of 4 × 4 7.8e-07
    (8.3e-06), 1.5e-06 (1.3e-05), 2.1e-06 (2.2e-05) and 2.1e-06 (1.5e-05) for these channels.

    It is a share of the largest elements of a tile: beside one of 10⁶ among others of about 1, outputs of the same tile
    that do not meet it are off by up to 0.2; by the definition they are not.

    An infinity, a NaN or an overflow gives what the definition gives. With "exact", every result is the sum of the
    products of its definition, and only the order of additions is left open.

    `autocast` is a 16-bit float, tt.bfloat16 or tt.float16: the graph computes in it what `tt.autocast` would, and its
    results and state have the dtypes that they have without. That is for programs written in f32; where the function
    shall see the dtypes itself, `with tt.autocast(…)` stands in it.

    A compiled module is a module: its parameters, `train()`, `state_dict()` … are those of the module. As a decorator
    in a class, the function becomes a compiled method. Without a function, this is a decorator with arguments. Of
    those of torch.compile, `fullgraph`, `dynamic` and `mode` are taken and have no effect.
    """
    unknown = of_pytorch.keys() - OfPyTorch.__annotations__.keys()
    if unknown:
        raise CompileError(f"tt.compile has no argument {sorted(unknown)[0]!r}", user_loc())
    if function is None:
        return functools.partial(
            compile,
            backend=backend,
            freeze=freeze,
            memory_limit=memory_limit,
            precision=precision,
            autocast=autocast,
        )
    with locks.importing:
        from tinytorch.backend_names import DEFAULT, checked
        from tinytorch.compiled.function import Compiled
        from tinytorch.compiled.module import stand_in_for
        from tinytorch.compiled.options import PRECISIONS, Options

    chosen = checked((os.environ.get("TT_BACKEND") or DEFAULT) if backend is None else backend)
    if not callable(function):
        raise TypeError(f"tt.compile takes a function or a model, got {type(function).__name__}")
    if memory_limit is not None and (type(memory_limit) is not int or memory_limit < 0):
        raise CompileError(f"memory_limit is a number of bytes, an int from 0 on, got {memory_limit!r}", user_loc())
    if precision not in PRECISIONS:
        raise CompileError(f'precision is "fast" or "exact", got {precision!r}', user_loc())
    narrow = None if autocast is None else dtype_of(autocast)
    if narrow not in (None, bf16, f16):
        raise CompileError(f"autocast is tt.bfloat16, tt.float16 or None, got {narrow}", user_loc())
    made = stand_in_for(type(function)) if isinstance(function, Module) else Compiled
    return made(function, Options(chosen, freeze, memory_limit, precision, narrow))


def tied_axes(graph: Graph, free: Collection[Value]) -> TiedAxes:
    """Which indices of the axes of a graph's inputs go together: the analysis that structured pruning asks."""
    from tinytorch.passes.tied_axes.tied_axes import tied_axes

    return tied_axes(graph, free)


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
