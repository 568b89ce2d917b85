"""Which kernel computes attention, under the names of torch.nn.attention: here that follows from the shapes."""

from __future__ import annotations

import enum
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from tinytorch.frontend import arguments

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.Enum):
    """Kernels of PyTorch's."""

    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Generator[None]:
    """Nothing: results do not depend on the kernel, and which one is best is known to the compiler."""
    chosen = [backends] if isinstance(backends, SDPBackend) else backends
    if not isinstance(chosen, (list, tuple)) or not chosen:
        raise arguments.wrong_type("sdpa_kernel", "backends", "a SDPBackend or a list of them", backends)
    for backend in chosen:
        arguments.instance("sdpa_kernel", "a backend", backend, SDPBackend)
    yield
