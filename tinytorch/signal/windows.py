"""Windows for stretches of signals, under the names of torch.signal.windows."""

from __future__ import annotations

from tinytorch.frontend import names as names
from tinytorch.frontend.spelling import names_in

__all__ = list(names_in("signal.windows"))  # pyright: ignore[reportUnsupportedDunderAll]

globals().update(names_in("signal.windows"))
