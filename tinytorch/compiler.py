"""Questions about `tt.compile`, under the names of torch.compiler."""

from __future__ import annotations

from tinytorch.frontend.tensor.mode import mode

__all__ = ["is_compiling"]


def is_compiling() -> bool:
    """Whether this is a trace of `tt.compile`, whose tensors have no values yet."""
    return mode.trace is not None
